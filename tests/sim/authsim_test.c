/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Simulation of replays: three nodes with auth.c as it runs in the daemons,
 * under virtual time, over a wire that loses, delays and reorders, with
 * somebody on it who has recorded every packet ever sent and plays them to
 * whom he likes, whenever he likes, most of all just after a start.  Nodes are
 * rebooted all the time, and come back with a clock that is right, or was set
 * back.
 *
 * A packet may be taken only if it was made after its receiver started, was
 * not taken before in that run, and is of a run of its sender that no later
 * one has taken the place of.  And when wire and recorder leave them alone,
 * all know each other within a second.
 *
 * AUTHSIM_SEEDS: how many random runs (default 300); SIM_SEED: only that one.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/auth.h"

#define NODES		3
#define TAPE		20000		/* packets that the recorder keeps */
#define WIRE		256
#define PAYLOAD		8
#define MS		MONOTIME_MSEC
#define STEPS		20000		/* of a millisecond */

struct packet {
	int		 from;
	unsigned int	 run;		/* of from, counted over all nodes */
	uint64_t	 seq;
	int64_t		 made;
	size_t		 len;
	uint8_t		 data[PAYLOAD + TRAILER_FIXED + AUTH_TLV_MAX];
};

struct simnode {
	struct auth	*a;
	unsigned int	 run;
	int64_t		 started;
	uint64_t	 seq;
	int64_t		 speak;		/* next packet of its own */
	unsigned int	 trusts[NODES];	/* newest run that was taken */
	uint64_t	 taken[NODES][STEPS / 64 + 1];	/* numbers of it */
};

static struct {
	int64_t		 now;
	uint64_t	 seed, rnd;
	struct simnode	 node[NODES];
	struct packet	 tape[TAPE];
	size_t		 ntape;
	struct { int64_t at; int to; size_t i; } wire[WIRE];
	size_t		 nwire;
	unsigned int	 runs;
	unsigned int	 loss;
	bool		 recorder;
} w;

static unsigned long done_runs, done_boots, done_packets, done_replays,
	    done_taken;

static const struct ipaddr src = { .af = AF_INET, .bytes = { 10 } };

static void
assert_sim(bool right, const char *what)
{
	ck_assert_msg(right, "SIM_SEED=%llu: %s", (unsigned long long)w.seed,
	    what);
}

static unsigned int
rnd(unsigned int below)
{
	w.rnd ^= w.rnd << 13;
	w.rnd ^= w.rnd >> 7;
	w.rnd ^= w.rnd << 17;
	return ((unsigned int)(w.rnd >> 11) % below);
}

static monotime_t
mono(void)
{
	return ((monotime_t){ (w.now + 1) * MS });
}

static void
boot(int n)
{
	struct simnode		*s = &w.node[n];
	struct auth_conf	 c;
	uint8_t			 secret[HMAC_SHA256_LEN];
	uint64_t		 epoch;
	size_t			 i;

	auth_free(s->a);
	memset(s, 0, sizeof(*s));
	for (i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)rnd(256);
	/* as epoch.h makes them, with or without the clock being set back */
	epoch = (uint64_t)(rnd(2) ? 1000000 + w.now : rnd(3)) << 22 |
	    rnd(1 << 22);
	s->a = auth_new(TRAILER_PFSYNC, (uint32_t)n + 1, epoch, secret);
	memset(&c, 0, sizeof(c));
	c.policy = AUTH_STRICT;
	c.nkeys = 1;
	c.keys[0].id = 1;
	c.keys[0].active = 1;
	auth_conf(s->a, &c);
	s->run = ++w.runs;
	s->started = s->speak = w.now;
	done_boots++;
}

/* Into the wire, to one node; the recorder's are not lost. */
static void
carry(size_t i, int to, int64_t delay)
{
	if (w.nwire == WIRE)
		return;
	w.wire[w.nwire].at = w.now + delay;
	w.wire[w.nwire].to = to;
	w.wire[w.nwire++].i = i;
}

static void
say(int n)
{
	struct simnode	*s = &w.node[n];
	uint8_t		 tlv[AUTH_TLV_MAX];
	struct packet	*p;
	struct trailer	 t;
	struct wbuf	 b;
	int		 to;

	if (w.ntape == TAPE)
		return;
	p = &w.tape[w.ntape];
	memset(p, 0, sizeof(*p));
	p->from = n;
	p->run = s->run;
	p->made = w.now;
	p->seq = ++s->seq;
	memset(&t, 0, sizeof(t));
	wbuf_init(&b, tlv, sizeof(tlv));
	auth_tlvs(s->a, &b, mono());
	t.seq = p->seq;
	t.tlv = tlv;
	t.tlvlen = wbuf_used(&b);
	p->len = PAYLOAD + auth_sign(s->a, &src, &src, p->data, PAYLOAD,
	    sizeof(p->data), &t);
	for (to = 0; to < NODES; to++)
		if (to != n && rnd(100) >= w.loss)
			carry(w.ntape, to, 1 + rnd(20));
	w.ntape++;
	done_packets++;
}

static void
hear(int to, const struct packet *p)
{
	struct simnode	*s = &w.node[to];
	struct trailer	 t;
	uint64_t	*word, bit;

	if (auth_rx(s->a, &src, &src, p->data, PAYLOAD, p->data + PAYLOAD,
	    p->len - PAYLOAD, &t, mono()) == AUTH_PROVEN) {
		assert_sim(p->made >= s->started, "older than its hearer");
		assert_sim(p->run >= s->trusts[p->from], "its run is over");
		if (p->run > s->trusts[p->from])
			memset(s->taken[p->from], 0, sizeof(s->taken[0]));
		s->trusts[p->from] = p->run;
		word = &s->taken[p->from][p->seq / 64];
		bit = UINT64_C(1) << p->seq % 64;
		assert_sim((*word & bit) == 0, "taken twice");
		*word |= bit;
		done_taken++;
	}
	if (auth_urgent(s->a, mono()))
		say(to);
}

/* Everything at once to one that has just started; else now and then one. */
static void
record_plays(void)
{
	int	 to = (int)rnd(NODES);
	size_t	 n = rnd(20) == 0 ? 40 : rnd(3) == 0;
	size_t	 i;

	while (w.ntape > 0 && n-- > 0) {
		/* the newest are the most dangerous ones */
		i = rnd(2) ? rnd((unsigned int)w.ntape) :
		    w.ntape - 1 - rnd(w.ntape < 50 ? (unsigned int)w.ntape :
		    50);
		if (w.tape[i].from == to)
			continue;
		hear(to, &w.tape[i]);
		done_replays++;
	}
}

static void
step(void)
{
	struct packet	 p;
	size_t		 i;
	int		 n, to;

	w.now++;
	for (i = 0; i < w.nwire; ) {
		if (w.wire[i].at > w.now) {
			i++;
			continue;
		}
		p = w.tape[w.wire[i].i];
		to = w.wire[i].to;
		w.wire[i] = w.wire[--w.nwire];
		hear(to, &p);
	}
	for (n = 0; n < NODES; n++)
		if (w.now >= w.node[n].speak) {
			say(n);
			w.node[n].speak = w.now + 100;
		}
	if (w.recorder)
		record_plays();
}

static bool
all_known(void)
{
	int	 a, b;

	for (a = 0; a < NODES; a++)
		for (b = 0; b < NODES; b++)
			if (a != b && w.node[a].trusts[b] != w.node[b].run)
				return (false);
	return (true);
}

static void
simulate(uint64_t seed)
{
	int	 i, n;

	for (n = 0; n < NODES; n++)
		auth_free(w.node[n].a);
	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.rnd = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	w.loss = rnd(40);
	w.recorder = true;
	for (n = 0; n < NODES; n++)
		boot(n);
	for (i = 0; i < 3000; i++) {
		if (rnd(400) == 0)
			boot((int)rnd(NODES));
		step();
	}
	w.loss = 0;
	/* the recorder goes on half of the time */
	w.recorder = rnd(2);
	for (i = 0; i < 1000 && !all_known(); i++)
		step();
	assert_sim(all_known(), "strangers after a second");
	done_runs++;
}

START_TEST(replays)
{
	const char	*one = getenv("SIM_SEED"), *many = getenv("AUTHSIM_SEEDS");
	uint64_t	 seed, n = many != NULL ? strtoull(many, NULL, 10) :
			    300;
	int		 i;

	hmac_setup();
	if (one != NULL)
		simulate(strtoull(one, NULL, 10));
	else
		for (seed = 1; seed <= n; seed++)
			simulate(seed);
	for (i = 0; i < NODES; i++)
		auth_free(w.node[i].a);
	printf("sim: %lu runs, %lu starts, %lu packets, %lu taken, %lu "
	    "replayed and not taken twice\n", done_runs, done_boots,
	    done_packets, done_taken, done_replays);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("authsim");
	TCase	*tc = tcase_create("authsim");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, replays);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
