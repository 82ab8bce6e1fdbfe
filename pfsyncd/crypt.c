/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See crypt.h.  Keys of peers are kept, as many as there are nodes; only
 * packets that were proven ask for one.
 */
#include <stdlib.h>
#include <string.h>

#include "../common/ibuf.h"
#include "../common/log.h"
#include "../common/wire/native.h"
#include "crypt.h"

/* Whose key it is. */
struct name {
	uint16_t	 keyid;
	uint16_t	 pad;
	uint32_t	 node;
	uint64_t	 epoch;
	uint8_t		 salt[CRYPT_SALT_LEN];
};

struct crypt {
	const struct auth *auth;
	struct name	 own;
	struct seal	*out;		/* NULL: not needed so far */
	struct {
		struct name	 name;	/* node 0: free */
		struct seal	*seal;
	}		 in[AUTH_PEERS_MAX];
	unsigned int	 next;		/* to be given away */
};

struct crypt *
crypt_new(const struct auth *a, uint32_t node, uint64_t epoch,
    const uint8_t *salt)
{
	struct crypt	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->auth = a;
	c->own.node = node;
	c->own.epoch = epoch;
	memcpy(c->own.salt, salt, sizeof(c->own.salt));
	return (c);
}

static void
drop_keys(struct crypt *c)
{
	size_t	 i;

	seal_free(c->out);
	c->out = NULL;
	for (i = 0; i < AUTH_PEERS_MAX; i++)
		seal_free(c->in[i].seal);
	memset(c->in, 0, sizeof(c->in));
}

void
crypt_free(struct crypt *c)
{
	if (c == NULL)
		return;
	drop_keys(c);
	free(c);
}

void
crypt_rekey(struct crypt *c, const uint8_t *salt)
{
	drop_keys(c);
	memcpy(c->own.salt, salt, sizeof(c->own.salt));
}

/* NULL: there is no key of that id. */
static struct seal *
session_seal(const struct crypt *c, const struct name *n)
{
	uint8_t		 key[SEAL_KEY_LEN];
	struct seal	*s;

	if (!auth_session_key(c->auth, n->keyid, n->node, n->epoch, n->salt,
	    sizeof(n->salt), key))
		return (NULL);
	s = seal_new(key);
	hmac_wipe(key, sizeof(key));
	return (s);
}

static struct seal *
peer_seal(struct crypt *c, const struct name *n)
{
	size_t	 i;

	for (i = 0; i < AUTH_PEERS_MAX; i++)
		if (c->in[i].name.node == n->node)
			break;
	if (i < AUTH_PEERS_MAX &&
	    memcmp(&c->in[i].name, n, sizeof(*n)) == 0)
		return (c->in[i].seal);
	if (i == AUTH_PEERS_MAX)
		i = c->next++ % AUTH_PEERS_MAX;
	seal_free(c->in[i].seal);
	c->in[i].name = *n;
	c->in[i].seal = session_seal(c, n);
	return (c->in[i].seal);
}

void
crypt_close(struct crypt *c, uint8_t *pkt, size_t len, uint64_t seq,
    uint8_t tlv[CRYPT_TLV_LEN])
{
	if (c->out == NULL) {
		c->own.keyid = auth_active(c->auth);
		c->out = session_seal(c, &c->own);
	}
	native_mark_sealed(pkt, true);
	tlv[0] = TRAILER_TLV_SEALED;
	tlv[1] = CRYPT_TLV_LEN - 2;
	memcpy(tlv + 2, c->own.salt, CRYPT_SALT_LEN);
	seal_close(c->out, seq, pkt, NATIVE_HDR, pkt + NATIVE_HDR,
	    len - NATIVE_HDR, tlv + 2 + CRYPT_SALT_LEN);
}

bool
crypt_open(struct crypt *c, uint8_t *pkt, size_t len, const struct trailer *t)
{
	const uint8_t	*val;
	struct name	 n;
	struct seal	*s;
	uint8_t		 type;
	size_t		 vlen, off = 0;

	memset(&n, 0, sizeof(n));
	n.keyid = t->keyid;
	n.node = t->node;
	n.epoch = t->epoch;
	if (!trailer_tlv(t, &off, &type, &val, &vlen) ||
	    type != TRAILER_TLV_SEALED || vlen != CRYPT_TLV_LEN - 2)
		return (false);
	memcpy(n.salt, val, sizeof(n.salt));
	if ((s = peer_seal(c, &n)) == NULL ||
	    !seal_open(s, t->seq, pkt, NATIVE_HDR, pkt + NATIVE_HDR,
	    len - NATIVE_HDR, val + CRYPT_SALT_LEN))
		return (false);
	native_mark_sealed(pkt, false);
	return (true);
}
