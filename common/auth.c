/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Keys, sessions, questions and answers; the protocol is in auth.h.  Not here:
 * the bytes of a trailer (wire/trailer.c), and what a packet is worth that is
 * not proven, beyond auth_takes().
 *
 * What floods can do is bounded: a recording may make us ask its sender again,
 * every AUTH_ASK_GAP, with the same nonce; it cannot end a session that lives,
 * nor spend a nonce.
 */
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "log.h"

#define WINDOW_WORDS	32	/* a power of two, more than AUTH_WINDOW bits */
#define TLV_LEN		(2 + QUESTION_LEN)
#define QUESTION_LEN	(4 + AUTH_NONCE_LEN)

struct session {
	uint32_t	 node;		/* 0: free */
	bool		 proven;
	uint64_t	 epoch, seq;	/* seq: highest */
	uint64_t	 window[WINDOW_WORDS];	/* bit seq % 2048: was heard */
	monotime_t	 heard;		/* proven: that is, its newest packet */
	bool		 waiting;	/* nothing was proven since: */
	monotime_t	 waiting_since;
	/* what we ask it */
	uint8_t		 nonce[AUTH_NONCE_LEN];
	bool		 asked;		/* the nonce is set */
	monotime_t	 nonce_at;
	monotime_t	 ask_next, ask_until;
	/* what it asks us */
	uint8_t		 echo[AUTH_NONCE_LEN];
	uint64_t	 echo_epoch, echo_seq;	/* of the packet with it */
	bool		 echo_any;	/* this time not only a newer one */
	monotime_t	 echo_held;	/* it was proven: not another before */
	monotime_t	 echo_next, echo_until;
};

struct auth {
	enum trailer_use use;
	uint32_t	 node;
	uint64_t	 epoch;
	struct hmac	*nonces;
	uint64_t	 nonce_n;
	enum auth_policy policy;
	int64_t		 silence;
	uint8_t		 digest[HMAC_SHA256_LEN];	/* of the configuration */
	size_t		 nkeys, active;
	struct {
		uint16_t	 id;
		struct hmac	*mac;
	}		 keys[AUTH_KEYS_MAX];
	struct session	 peers[AUTH_PEERS_MAX];
	uint64_t	 proofs;
	unsigned int	 turn;		/* who is first in a packet */
	bool		 urgent;
	monotime_t	 speak_next;
};

const char *const auth_policy_names[AUTH_POLICIES + 1] = {
	[AUTH_OFF] = "off",
	[AUTH_PERMISSIVE] = "permissive",
	[AUTH_STRICT] = "strict",
};

const char *const auth_verdict_names[AUTH_VERDICTS] = {
	[AUTH_NONE] = "plain",
	[AUTH_OPEN] = "without a key",
	[AUTH_UNKNOWN] = "a key that is not configured here",
	[AUTH_UNPROVEN] = "not proven to be live",
	[AUTH_PROVEN] = "verified",
	[AUTH_MALFORMED] = "malformed",
	[AUTH_BADMAC] = "wrong key",
	[AUTH_REPLAY] = "replay",
};

/* ---- keys ---- */

struct auth *
auth_new(enum trailer_use use, uint32_t node, uint64_t epoch,
    const uint8_t secret[HMAC_SHA256_LEN])
{
	static const struct auth_conf	 off;
	struct auth			*a;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		fatal("calloc");
	a->use = use;
	a->node = node;
	a->epoch = epoch;
	a->nonces = hmac_new(HMAC_ALG_SHA256, secret, HMAC_SHA256_LEN);
	auth_silence(a, AUTH_SILENCE);
	auth_conf(a, &off);
	return (a);
}

static void
drop_keys(struct auth *a)
{
	size_t	 i;

	for (i = 0; i < a->nkeys; i++)
		hmac_free(a->keys[i].mac);
	a->nkeys = 0;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	drop_keys(a);
	hmac_free(a->nonces);
	hmac_wipe(a, sizeof(*a));
	free(a);
}

/* A digest of it: the keys themselves are in their contexts only. */
static void
conf_digest(const struct auth_conf *c, uint8_t out[HMAC_SHA256_LEN])
{
	hmac_sha256_once(c, sizeof(*c), out);
}

void
auth_conf(struct auth *a, const struct auth_conf *c)
{
	size_t	 i;

	drop_keys(a);
	a->policy = c->policy;
	for (i = 0; i < c->nkeys; i++) {
		a->keys[i].id = c->keys[i].id;
		a->keys[i].mac = hmac_new(HMAC_ALG_SHA256, c->keys[i].key,
		    sizeof(c->keys[i].key));
		if (c->keys[i].active)
			a->active = i;
	}
	a->nkeys = c->nkeys;
	conf_digest(c, a->digest);
}

bool
auth_changed(const struct auth *a, const struct auth_conf *c)
{
	uint8_t	 digest[HMAC_SHA256_LEN];

	conf_digest(c, digest);
	return (!hmac_equal(digest, a->digest, sizeof(digest)));
}

bool
auth_conf_ok(const struct auth_conf *c)
{
	size_t	 i, active = 0;

	if (c->policy >= AUTH_POLICIES || c->nkeys > AUTH_KEYS_MAX ||
	    (c->nkeys == 0 && c->policy != AUTH_OFF))
		return (false);
	for (i = 0; i < c->nkeys; i++) {
		if (c->keys[i].active > 1 ||
		    (i > 0 && c->keys[i].id <= c->keys[i - 1].id))
			return (false);
		active += c->keys[i].active;
	}
	return (active == (c->nkeys > 0));
}

enum auth_policy
auth_policy(const struct auth *a)
{
	return (a->policy);
}

void
auth_silence(struct auth *a, int64_t ns)
{
	a->silence = ns > AUTH_SILENCE ? ns : AUTH_SILENCE;
}

bool
auth_keyed(const struct auth *a)
{
	return (a->policy != AUTH_OFF && a->nkeys > 0);
}

uint16_t
auth_active(const struct auth *a)
{
	return (auth_keyed(a) ? a->keys[a->active].id : 0);
}

static struct hmac *
find_key(const struct auth *a, uint16_t id)
{
	size_t	 i;

	for (i = 0; auth_keyed(a) && i < a->nkeys; i++)
		if (a->keys[i].id == id)
			return (a->keys[i].mac);
	return (NULL);
}

bool
auth_takes(enum auth_policy policy, enum auth_verdict v)
{
	switch (v) {
	case AUTH_PROVEN:
		return (true);
	case AUTH_NONE:
	case AUTH_OPEN:
	case AUTH_UNKNOWN:
	case AUTH_UNPROVEN:
		return (policy != AUTH_STRICT);
	case AUTH_MALFORMED:
	case AUTH_BADMAC:
	case AUTH_REPLAY:
	case AUTH_VERDICTS:
		break;
	}
	return (false);
}

/* ---- the window ---- */

static uint64_t *
window_word(struct session *s, uint64_t seq)
{
	return (&s->window[seq / 64 % WINDOW_WORDS]);
}

/* Is it heard for the first time? */
static bool
window_take(struct session *s, uint64_t seq, monotime_t now)
{
	const uint64_t	 bit = UINT64_C(1) << seq % 64;
	uint64_t	 word;

	if (seq == AUTH_SEQ_LAST)
		return (true);
	if (seq > s->seq) {
		for (word = s->seq / 64 + 1; word <= seq / 64 &&
		    word <= s->seq / 64 + WINDOW_WORDS; word++)
			s->window[word % WINDOW_WORDS] = 0;
		s->seq = seq;
		s->heard = now;
	} else if (s->seq - seq >= AUTH_WINDOW ||
	    monotime_sub(now, s->heard) >= AUTH_LATE)
		return (false);
	if (*window_word(s, seq) & bit)
		return (false);
	*window_word(s, seq) |= bit;
	return (true);
}

/* What it said before seq counts as heard. */
static void
window_begin(struct session *s, uint64_t seq, monotime_t now)
{
	const uint64_t	 bit = UINT64_C(1) << seq % 64;

	memset(s->window, 0xff, sizeof(s->window));
	s->seq = seq;
	s->heard = now;
	/* what comes after it in its own word was not */
	*window_word(s, seq) = bit | (bit - 1);
}

/* ---- sessions ---- */

/* Who makes room: a node that never proved itself, then the silent ones. */
static bool
worth_less(const struct session *a, const struct session *b)
{
	if (a->proven != b->proven)
		return (b->proven);
	return (monotime_cmp(a->heard, b->heard) < 0);
}

static struct session *
find_session(struct auth *a, uint32_t node)
{
	struct session	*s, *old = &a->peers[0];

	for (s = a->peers; s < a->peers + AUTH_PEERS_MAX; s++) {
		if (s->node == node)
			return (s);
		if (s->node == 0 ? old->node != 0 :
		    old->node != 0 && worth_less(s, old))
			old = s;
	}
	memset(old, 0, sizeof(*old));
	old->node = node;
	return (old);
}

static void
make_nonce(struct auth *a, uint8_t nonce[AUTH_NONCE_LEN])
{
	uint8_t	 mac[HMAC_SHA256_LEN];

	a->nonce_n++;
	hmac_start(a->nonces);
	hmac_update(a->nonces, &a->nonce_n, sizeof(a->nonce_n));
	hmac_final(a->nonces, mac);
	memcpy(nonce, mac, AUTH_NONCE_LEN);
}

/* false: it was asked just now. */
static bool
ask(struct auth *a, struct session *s, monotime_t now)
{
	if (monotime_cmp(now, s->ask_next) < 0)
		return (false);
	/* what is asked now may be answered in AUTH_SAY and a little more */
	if (!s->asked || monotime_sub(now, s->nonce_at) > AUTH_NONCE_LIFE / 2) {
		make_nonce(a, s->nonce);
		s->nonce_at = now;
		s->asked = true;
	}
	s->ask_next = monotime_add(now, AUTH_ASK_GAP);
	s->ask_until = monotime_add(now, AUTH_SAY);
	return (true);
}

/* Who has nothing to say is asked while its word still counts. */
static void
ask_silent(struct auth *a, struct session *s, monotime_t now)
{
	int64_t	 ns = monotime_sub(now, s->heard);

	if (s->proven && ns >= a->silence / 2 && ns < a->silence)
		(void)ask(a, s, now);
}

static bool
older(const struct session *s, const struct trailer *t)
{
	return (t->epoch != s->echo_epoch ? t->epoch < s->echo_epoch :
	    t->seq < s->echo_seq);
}

/*
 * A recorded question does no harm, but must not displace a live one.  Before
 * either has proven anything, the live one is the newest, if clocks and files
 * were right: so every other packet is for that.
 */
static void
heard_challenge(struct auth *a, struct session *s, const uint8_t *nonce,
    const struct trailer *t, bool live, monotime_t now)
{
	bool	 same = hmac_equal(s->echo, nonce, AUTH_NONCE_LEN);
	bool	 due = monotime_cmp(now, s->echo_until) < 0;

	if (!same && !live && (monotime_cmp(now, s->echo_held) < 0 ||
	    (due && !s->echo_any && older(s, t))))
		return;
	if (!due || !same || monotime_cmp(now, s->echo_next) >= 0) {
		a->urgent = true;
		s->echo_next = monotime_add(now, AUTH_ASK_GAP / 2);
	}
	memcpy(s->echo, nonce, AUTH_NONCE_LEN);
	s->echo_epoch = t->epoch;
	s->echo_seq = t->seq;
	if (live)
		s->echo_held = monotime_add(now, AUTH_ASK_GAP);
	s->echo_until = monotime_add(now, AUTH_SAY);
}

/* The nonce that a TLV of this type has for us, or NULL. */
static const uint8_t *
for_us(const struct auth *a, const struct trailer *t, uint8_t want)
{
	const uint8_t	*val;
	struct rbuf	 r;
	uint8_t		 type;
	size_t		 len, off = 0;

	while (trailer_tlv(t, &off, &type, &val, &len)) {
		if (type != want || len != QUESTION_LEN)
			continue;
		rbuf_init(&r, val, len);
		if (rbuf_be32(&r) == a->node)
			return (rbuf_view(&r, AUTH_NONCE_LEN));
	}
	return (NULL);
}

static bool
answers(const struct auth *a, struct session *s, const struct trailer *t,
    monotime_t now)
{
	const uint8_t	*nonce = for_us(a, t, TRAILER_TLV_ECHO);

	return (nonce != NULL && s->asked &&
	    monotime_sub(now, s->nonce_at) < AUTH_NONCE_LIFE &&
	    hmac_equal(nonce, s->nonce, AUTH_NONCE_LEN));
}

/* Its MAC was right. */
static enum auth_verdict
judge_session(struct auth *a, struct session *s, const struct trailer *t,
    monotime_t now)
{
	if (s->proven && monotime_sub(now, s->heard) >= a->silence)
		s->proven = false;
	if (answers(a, s, t, now)) {
		s->asked = false;
		s->ask_until = s->ask_next = (monotime_t){ 0 };
		if (!s->proven || s->epoch != t->epoch) {
			s->proven = true;
			s->epoch = t->epoch;
			window_begin(s, t->seq, now);
			a->proofs++;
			return (AUTH_PROVEN);
		}
	}
	if (s->proven && s->epoch == t->epoch)
		return (window_take(s, t->seq, now) ? AUTH_PROVEN :
		    AUTH_REPLAY);
	a->urgent |= ask(a, s, now);
	return (AUTH_UNPROVEN);
}

enum auth_verdict
auth_rx(struct auth *a, const struct ipaddr *src, const struct ipaddr *dst,
    const void *pkt, size_t pktlen, const void *data, size_t len,
    struct trailer *t, monotime_t now)
{
	const uint8_t		*question;
	struct session		*s;
	struct hmac		*key;
	enum auth_verdict	 v;

	switch (trailer_parse(a->use, data, len, t)) {
	case TRAILER_NONE:
		return (AUTH_NONE);
	case TRAILER_BAD:
		return (AUTH_MALFORMED);
	case TRAILER_OK:
		break;
	}
	if ((key = find_key(a, t->keyid)) == NULL)
		return (t->keyid == 0 ? AUTH_OPEN : AUTH_UNKNOWN);
	if (!trailer_verify(a->use, key, src, dst, pkt, pktlen, data))
		return (AUTH_BADMAC);
	if (t->node == 0)
		return (AUTH_MALFORMED);
	if (t->node == a->node)
		return (AUTH_REPLAY);
	s = find_session(a, t->node);
	v = judge_session(a, s, t, now);
	/* recordings do not make one look alive that is proven to be */
	if (!s->proven)
		s->heard = now;
	if (v == AUTH_UNPROVEN && !s->waiting)
		s->waiting_since = now;
	if (v != AUTH_REPLAY)
		s->waiting = v == AUTH_UNPROVEN;
	question = for_us(a, t, TRAILER_TLV_CHALLENGE);
	if (question != NULL && v != AUTH_REPLAY)
		heard_challenge(a, s, question, t, v == AUTH_PROVEN, now);
	return (v);
}

/* ---- what we say ---- */

static void
put_question(struct wbuf *w, uint8_t type, uint32_t node,
    const uint8_t nonce[AUTH_NONCE_LEN])
{
	wbuf_u8(w, type);
	wbuf_u8(w, QUESTION_LEN);
	wbuf_be32(w, node);
	wbuf_bytes(w, nonce, AUTH_NONCE_LEN);
}

void
auth_tlvs(struct auth *a, struct wbuf *w, monotime_t now)
{
	const size_t	 begin = wbuf_used(w);
	struct session	*s;
	unsigned int	 i;

	if (!auth_keyed(a))
		return;
	for (i = 0; i < AUTH_PEERS_MAX; i++) {
		s = &a->peers[(a->turn + i) % AUTH_PEERS_MAX];
		if (wbuf_used(w) - begin > AUTH_TLV_MAX - 2 * TLV_LEN ||
		    w->size - wbuf_used(w) < 2 * TLV_LEN)
			break;
		if (s->node == 0)
			continue;
		ask_silent(a, s, now);
		if (s->asked && monotime_cmp(now, s->ask_until) < 0)
			put_question(w, TRAILER_TLV_CHALLENGE, s->node,
			    s->nonce);
		if (monotime_cmp(now, s->echo_until) >= 0)
			continue;
		put_question(w, TRAILER_TLV_ECHO, s->node, s->echo);
		s->echo_any = !s->echo_any;
	}
	/* the others are first in the next one */
	if (i < AUTH_PEERS_MAX)
		a->turn = (a->turn + i) % AUTH_PEERS_MAX;
}

size_t
auth_sign(struct auth *a, const struct ipaddr *src, const struct ipaddr *dst,
    uint8_t *pkt, size_t pktlen, size_t size, struct trailer *t)
{
	t->keyid = a->keys[a->active].id;
	t->node = a->node;
	t->epoch = a->epoch;
	return (trailer_write(a->use, a->keys[a->active].mac, src, dst, pkt,
	    pktlen, size, t));
}

bool
auth_session_key(const struct auth *a, uint16_t keyid, uint32_t node,
    uint64_t epoch, const uint8_t *salt, size_t saltlen,
    uint8_t out[HMAC_SHA256_LEN])
{
	static const char	 label[16] = "pfsyncd-seal-v1";
	struct hmac		*key = find_key(a, keyid);
	uint8_t			 name[12];
	struct wbuf		 w;

	if (key == NULL)
		return (false);
	wbuf_init(&w, name, sizeof(name));
	wbuf_be32(&w, node);
	wbuf_be64(&w, epoch);
	hmac_start(key);
	hmac_update(key, label, sizeof(label));
	hmac_update(key, name, sizeof(name));
	hmac_update(key, salt, saltlen);
	hmac_final(key, out);
	return (true);
}

bool
auth_urgent(struct auth *a, monotime_t now)
{
	if (!a->urgent || !auth_keyed(a) ||
	    monotime_cmp(now, a->speak_next) < 0)
		return (false);
	a->urgent = false;
	a->speak_next = monotime_add(now, AUTH_SPEAK_GAP);
	return (true);
}

uint64_t
auth_proofs(const struct auth *a)
{
	return (a->proofs);
}

static const struct session *
known_session(const struct auth *a, uint32_t node)
{
	const struct session	*s;

	for (s = a->peers; s < a->peers + AUTH_PEERS_MAX; s++)
		if (s->node == node)
			return (s);
	return (NULL);
}

bool
auth_proven(const struct auth *a, uint32_t node)
{
	const struct session	*s = known_session(a, node);

	return (s != NULL && s->proven);
}

bool
auth_overdue(const struct auth *a, uint32_t node, monotime_t now)
{
	const struct session	*s = known_session(a, node);

	return (s != NULL && s->waiting &&
	    monotime_sub(now, s->waiting_since) >= AUTH_OVERDUE);
}
