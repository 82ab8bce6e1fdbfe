/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See authconf.h.  Keys are written as hexadecimal digits, here or in a file
 * of their own; neither shows up in a message.
 */
#include <stdlib.h>
#include <string.h>

#include "authconf.h"

#define KEY_DIGITS	(2 * AUTH_KEY_LEN)

void
authconf_policy(struct config_run *r, struct authconf *n, struct auth_conf *c,
    unsigned int once, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (!config_once(r, once, key) ||
	    (v = config_choose(r, key, val, auth_policy_names, NULL)) == -1)
		return;
	n->policy = *val;
	c->policy = (uint8_t)v;
}

/* ---- digits ---- */

bool
authconf_like_key(const char *word)
{
	return (strspn(word, "0123456789abcdefABCDEF") >= KEY_DIGITS / 4);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* len bytes at s, from the file or from a file of their own. */
static bool
set_key(struct config_run *r, const struct config_tok *at, struct auth_key *k,
    const char *s, size_t len)
{
	size_t	 n;

	for (n = 0; n < len; n++)
		if (hex_digit(s[n]) == -1) {
			config_fail(r, at, "the key holds something else than "
			    "hexadecimal digits (character %zu)", n + 1);
			return (false);
		}
	if (len != KEY_DIGITS) {
		config_fail(r, at, "the key has %zu digits, it must have %d; "
		    "carpctl keygen makes one", len, KEY_DIGITS);
		return (false);
	}
	for (n = 0; n < AUTH_KEY_LEN; n++)
		k->key[n] = (uint8_t)(hex_digit(s[2 * n]) << 4 |
		    hex_digit(s[2 * n + 1]));
	return (true);
}

static bool
key_text(struct config_run *r, const struct config_tok *val, struct auth_key *k)
{
	if (strcmp(val->text, CONFIG_MASKED) == 0) {
		config_warn(r, val, "key \"%s\" is what -nn prints instead of "
		    "a key; write the real one, no other node has this",
		    CONFIG_MASKED);
		/* Not one that everybody knows. */
		hmac_random(k->key, sizeof(k->key));
		return (true);
	}
	if (val->exposed != NULL)
		config_fail(r, val, "a key in a file that is not secret: %s",
		    val->exposed);
	return (set_key(r, val, k, val->text, strlen(val->text)));
}

static bool
key_file(struct config_run *r, const struct config_tok *val,
    struct auth_key *k)
{
	/* room to see a line that is too long, and a second one */
	char	 buf[256], most[32];
	ssize_t	 n;
	bool	 ok;

	snprintf(most, sizeof(most), "%d digits", KEY_DIGITS);
	n = config_secret_file(r, val, "key file", most, buf, sizeof(buf));
	ok = n != -1 && set_key(r, val, k, buf, (size_t)n);
	explicit_bzero(buf, sizeof(buf));
	return (ok);
}

/* ---- a statement ---- */

/* In the order of ids.  false: there is one, or no room. */
static bool
insert(struct config_run *r, struct authconf *n, struct auth_conf *c,
    const struct auth_key *k, const struct config_tok *at)
{
	char	 buf[CONFIG_WHERE_MAX];
	size_t	 i;

	for (i = 0; i < c->nkeys && c->keys[i].id < k->id; i++)
		;
	if (i < c->nkeys && c->keys[i].id == k->id) {
		config_fail(r, at, "key id %u is already at %s; keep one of "
		    "them, or give it another id", k->id,
		    config_where(&n->at[i], at, buf));
		return (false);
	}
	if (c->nkeys == AUTH_KEYS_MAX) {
		config_fail(r, at, "more than %d keys", AUTH_KEYS_MAX);
		return (false);
	}
	memmove(&c->keys[i + 1], &c->keys[i],
	    (c->nkeys - i) * sizeof(c->keys[0]));
	memmove(&n->at[i + 1], &n->at[i], (c->nkeys - i) * sizeof(n->at[0]));
	c->keys[i] = *k;
	n->at[i] = *at;
	c->nkeys++;
	return (true);
}

static void
claim_active(struct config_run *r, const struct authconf *n,
    const struct auth_conf *c, const struct config_tok *active)
{
	char	 buf[CONFIG_WHERE_MAX];
	size_t	 i;

	for (i = 0; i < c->nkeys; i++)
		if (c->keys[i].active)
			config_fail(r, active, "the key at %s is active "
			    "already; one key is sent with, all are accepted",
			    config_where(&n->at[i], active, buf));
}

void
authconf_key(struct config_run *r, struct authconf *n, struct auth_conf *c,
    const struct authconf_key *k, const struct config_tok *id,
    const struct config_tok *active, int min_id)
{
	const struct config_tok	 name = { .text = "id" };
	struct auth_key		 key;

	memset(&key, 0, sizeof(key));
	if (id == NULL && min_id > 0) {
		config_fail(r, &k->key, "the key has no id; write id N behind "
		    "it, %d to %d, the same on all nodes", min_id, UINT16_MAX);
		return;
	}
	if (id != NULL) {
		if (!config_in_range(r, &name, id, min_id, UINT16_MAX))
			return;
		key.id = (uint16_t)id->num;
	}
	if (active != NULL)
		claim_active(r, n, c, active);
	key.active = active != NULL;
	if (k->file ? key_file(r, &k->val, &key) : key_text(r, &k->val, &key))
		(void)insert(r, n, c, &key, &k->key);
	hmac_wipe(&key, sizeof(key));
}

/* ---- the whole ---- */

static void
find_active(struct config_run *r, struct authconf *n, struct auth_conf *c)
{
	size_t	 i;

	for (i = 0; i < c->nkeys; i++)
		if (c->keys[i].active)
			return;
	if (c->nkeys == 1)
		c->keys[0].active = 1;
	else
		config_fail(r, &n->at[0], "several keys, and none is active; "
		    "write active behind the one to send with");
}

void
authconf_end(struct config_run *r, struct authconf *n, struct auth_conf *c)
{
	const bool	 said = n->policy.file != NULL;

	if (c->nkeys == 0) {
		if (c->policy != AUTH_OFF)
			config_fail(r, &n->policy, "auth %s needs a key; write "
			    "key file \"PATH\" id N, carpctl keygen makes one",
			    auth_policy_names[c->policy]);
		return;
	}
	find_active(r, n, c);
	if (!said)
		c->policy = AUTH_STRICT;
	if (c->policy == AUTH_OFF)
		config_warn(r, &n->policy, "auth off: the keys are not used");
	if (c->policy == AUTH_PERMISSIVE && c->keys[0].id == 0)
		config_fail(r, &n->at[0], "with auth permissive a key needs an "
		    "id of 1 or more: 0 is said by nodes that have no key");
}

void
authconf_print(const struct auth_conf *c, bool secrets, FILE *f)
{
	size_t	 i, n;

	if (c->nkeys == 0)
		return;
	fprintf(f, "auth %s\n", auth_policy_names[c->policy]);
	for (i = 0; i < c->nkeys; i++) {
		fputs("key \"", f);
		for (n = 0; secrets && n < AUTH_KEY_LEN; n++)
			fprintf(f, "%02x", c->keys[i].key[n]);
		fprintf(f, "%s\" id %u%s\n", secrets ? "" : CONFIG_MASKED,
		    c->keys[i].id, c->keys[i].active ? " active" : "");
	}
}

void
authconf_hide(struct auth_conf *c)
{
	uint8_t	 sum[HMAC_SHA256_LEN];
	size_t	 i;

	_Static_assert(sizeof(sum) == AUTH_KEY_LEN, "a digest fits");
	for (i = 0; i < c->nkeys; i++) {
		hmac_sha256_once(c->keys[i].key, AUTH_KEY_LEN, sum);
		memcpy(c->keys[i].key, sum, sizeof(sum));
	}
}
