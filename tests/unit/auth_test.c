/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/auth: keys and policies, the two TLVs byte by byte, who is taken when,
 * replays, and what floods of them must not do.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/auth.h"
#include "hex.h"

#define KEY1	"000102030405060708090a0b0c0d0e0f" \
		"101112131415161718191a1b1c1d1e1f"
#define KEY2	"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff" \
		"00112233445566778899aabbccddeeff"
#define EPOCH	UINT64_C(1763620945920)
#define MS	MONOTIME_MSEC

enum { A = 0x0a0a0a0a, B = 0x0b0b0b0b, C = 0x0c0c0c0c };

/* A daemon's run, and what it sent last. */
struct run {
	struct auth	*a;
	uint64_t	 seq;
	uint8_t		 pkt[64 + TRAILER_MAX];
	size_t		 len;		/* of the trailer behind PKT */
};
#define PKT	36

static struct ipaddr	 src = { .af = AF_INET, .bytes = { 192, 0, 2, 1 } };
static struct ipaddr	 dst = { .af = AF_INET, .bytes = { 224, 0, 0, 18 } };
static monotime_t	 now;
static struct run	 one, two;

/* With keys 1 and 2, id of the active one; 0: none at all. */
static struct auth_conf
conf(enum auth_policy policy, unsigned int active)
{
	static const char *const hex[] = { KEY1, KEY2 };
	struct auth_conf	 c;
	unsigned int		 i;

	memset(&c, 0, sizeof(c));
	c.policy = (uint8_t)policy;
	for (i = 0; active != 0 && i < 2; i++) {
		c.keys[i].id = (uint16_t)(i + 1);
		c.keys[i].active = active == i + 1;
		unhex(hex[i], c.keys[i].key, AUTH_KEY_LEN);
		c.nkeys++;
	}
	return (c);
}

static void
boot(struct run *r, uint32_t node, uint64_t epoch, uint8_t random)
{
	struct auth_conf	 c = conf(AUTH_STRICT, 1);
	uint8_t			 secret[HMAC_SHA256_LEN];

	auth_free(r->a);
	memset(r, 0, sizeof(*r));
	memset(secret, random, sizeof(secret));
	r->a = auth_new(TRAILER_CARP, node, epoch, secret);
	auth_conf(r->a, &c);
}

static void
make(struct run *r, uint64_t seq)
{
	uint8_t		 tlv[AUTH_TLV_MAX];
	struct trailer	 t;
	struct wbuf	 w;

	memset(&t, 0, sizeof(t));
	memset(r->pkt, 0x21, PKT);
	wbuf_init(&w, tlv, sizeof(tlv));
	auth_tlvs(r->a, &w, now);
	ck_assert(wbuf_ok(&w));
	t.seq = seq;
	t.tlv = tlv;
	t.tlvlen = wbuf_used(&w);
	r->len = auth_sign(r->a, &src, &dst, r->pkt, PKT, sizeof(r->pkt), &t);
	ck_assert_uint_gt(r->len, 0);
}

static void
say(struct run *r)
{
	make(r, ++r->seq);
}

static enum auth_verdict
hear(struct run *to, const struct run *from)
{
	struct trailer	 t;

	return (auth_rx(to->a, &src, &dst, from->pkt, PKT, from->pkt + PKT,
	    from->len, &t, now));
}

static enum auth_verdict
tell(struct run *from, struct run *to)
{
	say(from);
	return (hear(to, from));
}

static void
pass(int64_t ns)
{
	now = monotime_add(now, ns);
}

/* Until both know that the other one lives. */
static void
meet(void)
{
	ck_assert_int_eq(tell(&one, &two), AUTH_UNPROVEN);
	ck_assert_int_eq(tell(&two, &one), AUTH_UNPROVEN);	/* asks */
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);	/* and asks */
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	pass(AUTH_SAY);			/* nothing is left to be said */
}

static void
setup(void)
{
	hmac_setup();
	now.ns = 1000 * MONOTIME_SEC;
	boot(&one, A, EPOCH, 1);
	boot(&two, B, EPOCH, 2);
}

static void
teardown(void)
{
	auth_free(one.a);
	auth_free(two.a);
	memset(&one, 0, sizeof(one));
	memset(&two, 0, sizeof(two));
}

/*
 * The packets of meet(), made anew by hand: the nonces are the first 16 bytes
 * of HMAC-SHA-256 (secret, counter), as the trailer's MAC with Python's hmac.
 */
START_TEST(bytes)
{
	static const char	*tlv = "f0140a0a0a0a";
	uint8_t			 want[8], nonce[AUTH_NONCE_LEN];

	say(&one);
	ck_assert_uint_eq(one.len, TRAILER_FIXED);
	ck_assert_int_eq(hear(&two, &one), AUTH_UNPROVEN);
	say(&two);
	ck_assert_uint_eq(two.len, TRAILER_FIXED + 24);	/* 22, padded */
	unhex(tlv, want, sizeof(want));
	ck_assert_mem_eq(two.pkt + PKT + 32, want, 6);
	memcpy(nonce, two.pkt + PKT + 38, sizeof(nonce));
	ck_assert_int_eq(hear(&one, &two), AUTH_UNPROVEN);
	say(&one);
	ck_assert_uint_eq(one.len, TRAILER_FIXED + 44);
	/* its own question is first */
	unhex("f0140b0b0b0b", want, sizeof(want));
	ck_assert_mem_eq(one.pkt + PKT + 32, want, 6);
	unhex("f1140b0b0b0b", want, sizeof(want));
	ck_assert_mem_eq(one.pkt + PKT + 54, want, 6);
	ck_assert_mem_eq(one.pkt + PKT + 60, nonce, sizeof(nonce));
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	ck_assert_uint_eq(auth_proofs(two.a), 1);
}
END_TEST

/* Three packets after the first one, each worth to be sent for its own sake. */
START_TEST(handshake)
{
	ck_assert(!auth_urgent(one.a, now));
	ck_assert_int_eq(tell(&one, &two), AUTH_UNPROVEN);
	ck_assert(auth_urgent(two.a, now));
	ck_assert(!auth_urgent(two.a, now));
	ck_assert_int_eq(tell(&two, &one), AUTH_UNPROVEN);
	ck_assert(auth_urgent(one.a, now));
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(AUTH_SPEAK_GAP);
	ck_assert(auth_urgent(two.a, now));
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	ck_assert(!auth_urgent(one.a, now));
	/* from now on no more than the trailer */
	pass(AUTH_SAY);
	say(&one);
	ck_assert_uint_eq(one.len, TRAILER_FIXED);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
}
END_TEST

START_TEST(window)
{
	uint64_t	 base;

	meet();
	base = one.seq;
	ck_assert_int_eq(hear(&two, &one), AUTH_REPLAY);
	make(&one, base + 5000);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &one), AUTH_REPLAY);
	/* late ones count once, as far as the window goes */
	make(&one, base + 5000 - AUTH_WINDOW + 1);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &one), AUTH_REPLAY);
	make(&one, base + 5000 - AUTH_WINDOW);
	ck_assert_int_eq(hear(&two, &one), AUTH_REPLAY);
	make(&one, base + 5001);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	make(&one, base + 4999);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	/* a last word has no number of its own */
	make(&one, AUTH_SEQ_LAST);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
	make(&one, base + 5002);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
}
END_TEST

/* What it said before its answer is old, whatever the window has room for. */
START_TEST(before_the_answer)
{
	struct run	 early;

	say(&one);
	early = one;
	(void)hear(&two, &one);
	say(&one);
	(void)tell(&two, &one);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &early), AUTH_REPLAY);
}
END_TEST

/* A higher epoch is worth no more than a lower one: it has to answer. */
START_TEST(new_session)
{
	static const int64_t	 step[] = { 1000, -1000 };
	struct run		 old;

	meet();
	say(&one);
	old = one;
	old.a = NULL;
	boot(&one, A, EPOCH + (uint64_t)step[_i], 3);
	ck_assert_int_eq(tell(&one, &two), AUTH_UNPROVEN);
	/* until then the old one is not over */
	ck_assert_int_eq(hear(&two, &old), AUTH_PROVEN);
	(void)tell(&two, &one);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	/* and then it is */
	ck_assert_int_eq(hear(&two, &old), AUTH_UNPROVEN);
	say(&one);
	ck_assert_int_eq(hear(&two, &one), AUTH_PROVEN);
}
END_TEST

/* All that was recorded, to one that has started anew, again and again. */
START_TEST(recorded)
{
	static struct run	 tape[64];
	size_t			 n = 0, i, round;

	for (i = 0; i < 16; i++) {
		(void)tell(&one, &two);
		tape[n++] = one;
		(void)tell(&two, &one);
		pass(50 * MS);
	}
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	boot(&two, B, EPOCH + 5000, 7);
	for (round = 0; round < 50; round++, pass(30 * MS))
		for (i = 0; i < n; i++)
			ck_assert_int_eq(hear(&two, &tape[i]),
			    AUTH_UNPROVEN);
	/* the same through the flood, at the first attempt */
	ck_assert(auth_urgent(two.a, now));
	(void)tell(&two, &one);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(hear(&two, &tape[i]), AUTH_REPLAY);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
}
END_TEST

/* An answer proves one session, once, for a while. */
START_TEST(answer_once)
{
	struct run	 answer;

	(void)tell(&one, &two);
	(void)tell(&two, &one);
	say(&one);			/* its answer, held back */
	answer = one;
	answer.a = NULL;
	pass(AUTH_NONCE_LIFE);
	ck_assert_int_eq(hear(&two, &answer), AUTH_UNPROVEN);

	/* now in time; then its sender starts anew */
	(void)tell(&two, &one);
	say(&one);
	answer = one;
	answer.a = NULL;
	ck_assert_int_eq(hear(&two, &answer), AUTH_PROVEN);
	boot(&one, A, EPOCH - 5, 4);
	ck_assert_int_eq(tell(&one, &two), AUTH_UNPROVEN);
	(void)tell(&two, &one);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &answer), AUTH_UNPROVEN);
}
END_TEST

/* C's answer is none of A's, nor is one for B of any use to C. */
START_TEST(somebody_elses)
{
	struct run	 three = { .a = NULL }, spoofed;

	boot(&three, C, EPOCH, 9);
	(void)tell(&one, &two);
	(void)tell(&two, &three);	/* the question is for A */
	ck_assert_int_eq(tell(&three, &two), AUTH_UNPROVEN);
	/* it has the key: what it says as A it may; but not by replay */
	say(&three);
	spoofed = three;
	spoofed.pkt[PKT + 11] = 0x0a;	/* the node id */
	ck_assert_int_eq(hear(&two, &spoofed), AUTH_BADMAC);
	auth_free(three.a);
}
END_TEST

/* Who floods with recordings does not keep a live question from its answer. */
START_TEST(question_flood)
{
	struct run	 tape;

	(void)tell(&one, &two);
	(void)tell(&two, &one);
	tape = two;			/* a question of this run of B */
	tape.a = NULL;
	boot(&two, B, EPOCH + 1, 5);
	(void)tell(&one, &two);
	(void)tell(&two, &one);
	(void)tell(&one, &two);
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	/* A starts anew and is asked: by B, and by what B said once */
	pass(AUTH_SAY);
	boot(&one, A, EPOCH + 1, 6);
	(void)tell(&one, &two);
	(void)tell(&two, &one);
	(void)tell(&one, &two);
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	pass(AUTH_SAY);
	boot(&two, B, EPOCH + 2, 11);
	(void)tell(&one, &two);
	(void)tell(&two, &one);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	ck_assert_int_eq(hear(&one, &tape), AUTH_UNPROVEN);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
}
END_TEST

/* What `to' hears, and at once says if it should not wait. */
static void
react(struct run *to, const struct run *from, struct run *other)
{
	(void)hear(to, from);
	if (auth_urgent(to->a, now))
		(void)tell(to, other);
}

/* And somebody who has a recording plays it right behind what is live. */
static void
spoilt(struct run *from, struct run *to, const struct run *tape)
{
	struct run	 live;

	say(from);
	live = *from;
	live.a = NULL;
	react(to, &live, from);
	if (tape != NULL)
		react(to, tape, from);
}

/*
 * Both have started, and somebody plays to them what the other one asked in
 * runs before: so that they have just spoken when a question comes, and then
 * once more, so that his comes last.  They meet all the same.
 */
START_TEST(question_displaced)
{
	struct run	 a[2], b[2];
	bool		 met = false;
	int		 i;

	for (i = 0; i < 2; i++) {
		(void)tell(&one, &two);
		(void)tell(&two, &one);
		say(&one);
		a[i] = one;
		b[i] = two;
		a[i].a = b[i].a = NULL;
		/* clocks and files may be wrong in the last run */
		boot(&one, A, _i == 0 || i == 0 ? EPOCH + 1 + (uint64_t)i :
		    EPOCH - 1, (uint8_t)(3 + 2 * i));
		boot(&two, B, _i == 0 || i == 0 ? EPOCH + 1 + (uint64_t)i :
		    EPOCH - 1, (uint8_t)(4 + 2 * i));
	}
	for (i = 0; i < 300 && !met; i++, pass(8 * MS)) {
		react(&one, &b[i % 2], &two);
		react(&two, &a[i % 2], &one);
		pass(MS);
		/* if they are wrong he may be too late now and then */
		spoilt(&two, &one, _i == 1 && i % 20 == 7 ? NULL :
		    &b[(i + 1) % 2]);
		spoilt(&one, &two, _i == 1 && i % 20 == 7 ? NULL :
		    &a[(i + 1) % 2]);
		pass(MS);
		met = tell(&one, &two) == AUTH_PROVEN &&
		    tell(&two, &one) == AUTH_PROVEN;
	}
	ck_assert(met);
}
END_TEST

/* No more packets than that, whatever comes. */
START_TEST(bounded)
{
	struct run	 tape;
	int		 i, urgent = 0;

	say(&one);
	tape = one;
	tape.a = NULL;
	for (i = 0; i < 10000; i++, pass(100 * MONOTIME_USEC)) {
		ck_assert_int_eq(hear(&two, &tape), AUTH_UNPROVEN);
		urgent += auth_urgent(two.a, now);
	}
	ck_assert_int_le(urgent, (int)(MONOTIME_SEC / AUTH_ASK_GAP) + 1);
	ck_assert(auth_overdue(two.a, A, monotime_add(now, AUTH_OVERDUE)));
	ck_assert(!auth_overdue(two.a, B, now));
}
END_TEST

/* As many nodes as there may be, and one more: nobody who lives is lost. */
START_TEST(crowd)
{
	struct run	 other = { .a = NULL };
	uint8_t		 little[54];
	struct wbuf	 w;
	uint32_t	 i;

	meet();
	for (i = 0; i < 3 * AUTH_PEERS_MAX; i++) {
		boot(&other, 0x1000 + i, EPOCH, 8);
		ck_assert_int_eq(tell(&other, &two), AUTH_UNPROVEN);
		pass(MS);
	}
	make(&two, ++two.seq);
	ck_assert_uint_le(two.len, TRAILER_FIXED + AUTH_TLV_MAX);
	/* with little room one of them, with less nobody */
	for (i = 0; i < 2; i++) {
		wbuf_init(&w, little, i == 0 ? 54 : 43);
		auth_tlvs(two.a, &w, now);
		ck_assert(wbuf_ok(&w));
		ck_assert_int_eq(wbuf_used(&w) > 0, i == 0);
	}
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	/* the last of them is not left out, however many there are */
	for (i = 0; i < AUTH_PEERS_MAX; i++) {
		(void)tell(&two, &other);
		if (tell(&other, &two) == AUTH_PROVEN)
			break;
	}
	ck_assert_uint_lt(i, AUTH_PEERS_MAX);
	auth_free(other.a);
}
END_TEST

/*
 * A node that lives is not lost for those that have gone, of which somebody has
 * recordings.
 */
START_TEST(crowd_of_the_dead)
{
	static struct run	 dead[AUTH_PEERS_MAX - 1];
	struct run		 other = { .a = NULL };
	uint32_t		 i;

	for (i = 0; i < AUTH_PEERS_MAX - 1; i++) {
		boot(&other, 0x1000 + i, EPOCH, 8);
		(void)tell(&other, &two);
		(void)tell(&two, &other);
		ck_assert_int_eq(tell(&other, &two), AUTH_PROVEN);
		dead[i] = other;
		dead[i].a = NULL;
		pass(AUTH_SAY);
	}
	meet();
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(MS);
	for (i = 0; i < AUTH_PEERS_MAX - 1; i++)
		ck_assert_int_ne(hear(&two, &dead[i]), AUTH_PROVEN);
	boot(&other, 0x2000, EPOCH, 8);
	ck_assert_int_eq(tell(&other, &two), AUTH_UNPROVEN);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	auth_free(other.a);
}
END_TEST

/*
 * What it said while we were deaf was never heard, and is old all the same:
 * its sender may have died since.
 */
START_TEST(deaf)
{
	struct run	 tape, late;
	int		 i;

	meet();
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	say(&one);
	late = one;			/* lost, here; not on all wires */
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(AUTH_LATE - MS);
	tape = late;
	tape.a = NULL;
	if (_i == 0)
		ck_assert_int_eq(hear(&two, &tape), AUTH_PROVEN);
	pass(MS);
	if (_i == 1)
		ck_assert_int_eq(hear(&two, &tape), AUTH_REPLAY);
	for (i = 0; i < 3600; i++) {
		say(&one);
		tape = one;
		tape.a = NULL;
		pass(MONOTIME_SEC);
	}
	ck_assert_int_eq(hear(&two, &tape), AUTH_UNPROVEN);
	pass(AUTH_SAY);
	make(&one, AUTH_SEQ_LAST);
	ck_assert_int_eq(hear(&two, &one), AUTH_UNPROVEN);
	/* it lives: asked, it says so */
	(void)tell(&two, &one);
	(void)tell(&one, &two);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	ck_assert_int_eq(hear(&two, &tape), AUTH_REPLAY);
}
END_TEST

/* Who speaks seldom is not silent. */
START_TEST(seldom)
{
	meet();
	auth_silence(two.a, 2 * AUTH_SILENCE);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(2 * AUTH_SILENCE - MS);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	/* but not for less than that */
	auth_silence(two.a, 0);
	pass(AUTH_SILENCE - MS);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(AUTH_SILENCE);
	ck_assert_int_eq(tell(&one, &two), AUTH_UNPROVEN);
}
END_TEST

/*
 * A BACKUP, which speaks when it must: it is asked now and then, and counts at
 * once when it has something to say.  After its death nobody asks.
 */
START_TEST(asked_when_silent)
{
	int	 i, spoke = 0;

	meet();
	for (i = 0; i < 60; i++, pass(MONOTIME_SEC)) {
		ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
		if (!auth_urgent(one.a, now))
			continue;
		ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
		spoke++;
	}
	ck_assert_int_ge(spoke, (int)(60 * MONOTIME_SEC / AUTH_SILENCE));
	ck_assert_int_le(spoke, (int)(2 * 60 * MONOTIME_SEC / AUTH_SILENCE));
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	pass(AUTH_SILENCE / 2);
	say(&two);
	ck_assert_uint_eq(two.len, TRAILER_FIXED + 24);
	pass(AUTH_SILENCE);
	say(&two);
	ck_assert_uint_eq(two.len, TRAILER_FIXED);
}
END_TEST

START_TEST(rollover)
{
	struct auth_conf	 c;
	unsigned int		 i;

	meet();
	/* both accept 1 and 2; one sends with 2 first, then the other */
	c = conf(AUTH_STRICT, 2);
	auth_conf(one.a, &c);
	ck_assert_uint_eq(auth_active(one.a), 2);
	ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	auth_conf(two.a, &c);
	ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	/* the old key goes */
	for (i = 0; i < 2; i++) {
		c.keys[0] = c.keys[1];
		c.nkeys = 1;
		auth_conf(i == 0 ? one.a : two.a, &c);
		ck_assert_int_eq(tell(&one, &two), AUTH_PROVEN);
		ck_assert_int_eq(tell(&two, &one), AUTH_PROVEN);
	}
	c = conf(AUTH_STRICT, 1);
	c.nkeys = 1;
	auth_conf(one.a, &c);
	ck_assert_int_eq(tell(&one, &two), AUTH_UNKNOWN);
}
END_TEST

START_TEST(wrong)
{
	struct auth_conf	 c = conf(AUTH_STRICT, 1);
	struct trailer		 t;
	size_t			 i;

	c.keys[0].key[31] ^= 1;
	auth_conf(one.a, &c);
	ck_assert_int_eq(tell(&one, &two), AUTH_BADMAC);
	boot(&one, A, EPOCH, 1);
	for (i = 0; i < PKT; i++) {
		say(&one);
		one.pkt[i] ^= 0x10;
		ck_assert_int_eq(hear(&two, &one), AUTH_BADMAC);
	}
	ck_assert_int_eq(auth_rx(two.a, &src, &dst, "x", 1, "", 0, &t, now),
	    AUTH_NONE);
	say(&one);
	one.len -= 4;
	ck_assert_int_eq(hear(&two, &one), AUTH_MALFORMED);
	/* reflected */
	say(&two);
	ck_assert_int_eq(hear(&two, &two), AUTH_REPLAY);
	/* nothing of all that was a question to anybody */
	ck_assert(!auth_urgent(two.a, now));
}
END_TEST

START_TEST(policies)
{
	static const struct {
		enum auth_verdict	 v;
		bool			 off, permissive, strict;
	} t[] = {
		{ AUTH_NONE, true, true, false },
		{ AUTH_OPEN, true, true, false },
		{ AUTH_UNKNOWN, true, true, false },
		{ AUTH_UNPROVEN, true, true, false },
		{ AUTH_PROVEN, true, true, true },
		{ AUTH_MALFORMED, false, false, false },
		{ AUTH_BADMAC, false, false, false },
		{ AUTH_REPLAY, false, false, false },
	};
	struct auth_conf	 c = conf(AUTH_OFF, 1);
	size_t			 i;

	ck_assert_uint_eq(sizeof(t) / sizeof(t[0]), AUTH_VERDICTS);
	for (i = 0; i < AUTH_VERDICTS; i++) {
		ck_assert(auth_takes(AUTH_OFF, t[i].v) == t[i].off);
		ck_assert(auth_takes(AUTH_PERMISSIVE, t[i].v) ==
		    t[i].permissive);
		ck_assert(auth_takes(AUTH_STRICT, t[i].v) == t[i].strict);
		ck_assert_ptr_nonnull(auth_verdict_names[i]);
	}
	/* keys that are not in use do nothing */
	auth_conf(two.a, &c);
	ck_assert(!auth_keyed(two.a));
	ck_assert_uint_eq(auth_active(two.a), 0);
	ck_assert_int_eq(tell(&one, &two), AUTH_UNKNOWN);
	ck_assert(!auth_urgent(two.a, now));
}
END_TEST

START_TEST(conf_ok)
{
	struct auth_conf	 c;

	memset(&c, 0, sizeof(c));
	ck_assert(auth_conf_ok(&c));
	c.policy = AUTH_STRICT;
	ck_assert(!auth_conf_ok(&c));
	c = conf(AUTH_STRICT, 2);
	ck_assert(auth_conf_ok(&c));
	c.policy = AUTH_POLICIES;
	ck_assert(!auth_conf_ok(&c));
	c = conf(AUTH_STRICT, 2);
	c.keys[1].active = 0;
	ck_assert(!auth_conf_ok(&c));
	c.keys[0].active = c.keys[1].active = 1;
	ck_assert(!auth_conf_ok(&c));
	c.keys[0].active = 2;
	ck_assert(!auth_conf_ok(&c));
	c = conf(AUTH_STRICT, 1);
	c.keys[1].id = 1;
	ck_assert(!auth_conf_ok(&c));
	c = conf(AUTH_STRICT, 1);
	c.nkeys = AUTH_KEYS_MAX + 1;
	ck_assert(!auth_conf_ok(&c));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("auth");
	TCase	*tc = tcase_create("auth");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bytes);
	tcase_add_test(tc, handshake);
	tcase_add_test(tc, window);
	tcase_add_test(tc, before_the_answer);
	tcase_add_loop_test(tc, new_session, 0, 2);
	tcase_add_test(tc, recorded);
	tcase_add_test(tc, answer_once);
	tcase_add_test(tc, somebody_elses);
	tcase_add_test(tc, question_flood);
	tcase_add_loop_test(tc, question_displaced, 0, 2);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, crowd);
	tcase_add_test(tc, crowd_of_the_dead);
	tcase_add_loop_test(tc, deaf, 0, 2);
	tcase_add_test(tc, seldom);
	tcase_add_test(tc, asked_when_silent);
	tcase_add_test(tc, rollover);
	tcase_add_test(tc, wrong);
	tcase_add_test(tc, policies);
	tcase_add_test(tc, conf_ok);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
