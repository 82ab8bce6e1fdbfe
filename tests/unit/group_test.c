/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/group: nodes that differ, and frames that do not arrive.  Two nodes
 * are driven in virtual time over a switch that may keep frames for their MAC
 * from one of them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/group.h"

#define MS		MONOTIME_MSEC
#define TICK		(500 * MS)	/* how often the engine asks */

static const uint8_t	 vhids[] = { 3, 4, 5 };
static const struct ipaddr addr = { AF_INET, 32, { 0 }, { 192, 0, 2, 9 } };

/* One node, and when a frame for the MAC reached it. */
struct host {
	struct group	 g;
	monotime_t	 seen;
	bool		 reached;	/* by the switch */
	bool		 speaks;
	unsigned int	 found;		/* since it was cleared */
	unsigned int	 probes;
};

static struct host	 host[2];
static monotime_t	 now;
static uint8_t		 advbase;

static monotime_t
at(int64_t s)
{
	return ((monotime_t){ s * MONOTIME_SEC });
}

static void
setup(void)
{
	size_t	 i;

	memset(host, 0, sizeof(host));
	now = at(1000);
	advbase = 1;
	for (i = 0; i < 2; i++) {
		group_conf(&host[i].g, BALANCE_IP, vhids, 2);
		host[i].reached = host[i].speaks = true;
	}
}

/* A frame for the MAC from somebody; from NULL: not a node. */
static void
frame(const struct host *from)
{
	size_t	 i;

	for (i = 0; i < 2; i++)
		if (&host[i] != from && host[i].reached)
			host[i].seen = now;
}

static void
tick(struct host *h)
{
	unsigned int	 found = group_tick(&h->g, advbase, h->speaks, h->seen,
			    now);

	h->found |= found;
	if (found & GROUP_PROBE) {
		h->probes++;
		frame(h);
	}
}

static void
advertise(size_t i)
{
	struct host	*to = &host[!i];

	if (host[i].speaks)
		to->found |= group_hear(&to->g, (uint32_t)i + 1, &addr,
		    &host[i].g.own, advbase, to->seen, now);
}

/* For that long; a client sends every so often (0: never), out of step. */
static void
run(int64_t sec, int64_t client_ms)
{
	int64_t	 ms, advert = advbase == 0 ? 4 : advbase * 1000;

	for (ms = 0; ms < sec * 1000; ms++) {
		now = monotime_add(now, MS);
		if (client_ms != 0 && ms % client_ms == client_ms / 3)
			frame(NULL);
		if (ms % (TICK / MS) == 0)
			tick(&host[0]);
		if (ms % (TICK / MS) == 170)
			tick(&host[1]);
		if (ms % advert == 1)
			advertise(0);
		if (ms % advert == 3)
			advertise(1);
	}
}

static const struct {
	uint8_t	 advbase;
	int64_t	 client_ms;
} loads[] = {
	{ 0, 0 }, { 0, 7 }, { 0, 1000 }, { 0, 1001 }, { 0, 3000 },
	{ 1, 0 }, { 1, 10 }, { 1, 1000 }, { 1, 2999 }, { 1, 3000 }, { 1, 3001 },
	{ 1, 4500 }, { 1, 6000 }, { 1, 60000 }, { 2, 0 }, { 2, 6000 },
	{ 10, 0 }, { 10, 30000 }, { 10, 29000 }, { 254, 0 }, { 254, 100 },
};
#define LOADS	(int)(sizeof(loads) / sizeof(loads[0]))

START_TEST(healthy)
{
	advbase = loads[_i].advbase;
	run(loads[_i].advbase < 10 ? 300 : 10000, loads[_i].client_ms);
	ck_assert_uint_eq(host[0].found & (unsigned int)~GROUP_PROBE, 0);
	ck_assert_uint_eq(host[1].found & (unsigned int)~GROUP_PROBE, 0);
}
END_TEST

/* Cut off, told once, and mended. */
START_TEST(cut_off)
{
	int64_t	 enough;

	advbase = loads[_i].advbase;
	enough = 2 + 8 * group_period(advbase) / MONOTIME_SEC;
	run(enough, loads[_i].client_ms);
	host[1].reached = false;
	run(enough, loads[_i].client_ms);
	ck_assert_uint_eq(host[1].found & (unsigned int)~GROUP_PROBE,
	    GROUP_CUT);
	ck_assert(host[1].g.cut);
	ck_assert_uint_eq(host[0].found & (GROUP_CUT | GROUP_ARRIVE), 0);
	host[1].found = 0;
	run(enough, loads[_i].client_ms);
	ck_assert_uint_eq(host[1].found & (GROUP_CUT | GROUP_ARRIVE), 0);
	host[1].reached = true;
	run(enough, loads[_i].client_ms);
	ck_assert_uint_eq(host[1].found & (unsigned int)~GROUP_PROBE,
	    GROUP_ARRIVE);
	ck_assert(!host[1].g.cut);
}
END_TEST

/* Every port: both hear of the other's probes only. */
START_TEST(all_cut_off)
{
	host[0].reached = host[1].reached = false;
	run(30, 500);
	ck_assert(host[0].g.cut && host[1].g.cut);
}
END_TEST

/* Who is MASTER of nothing says nothing, and so sends nothing. */
START_TEST(silent)
{
	host[0].speaks = host[1].speaks = false;
	run(30, 0);
	ck_assert_uint_eq(host[0].probes + host[1].probes, 0);
	host[0].speaks = true;
	host[1].reached = false;
	run(30, 0);
	ck_assert(host[1].g.cut && !host[0].g.cut);
}
END_TEST

/* One lost frame in two is not a switch. */
START_TEST(lossy)
{
	int	 i;

	for (i = 0; i < 40; i++) {
		host[1].reached = i % 2 == 0;
		run(3, 0);
		ck_assert(!host[1].g.cut);
	}
}
END_TEST

/* arp, and none: no frames are looked for. */
START_TEST(no_one_mac)
{
	static const enum balance_mode	 m[] = { BALANCE_NONE, BALANCE_ARP };

	group_conf(&host[0].g, m[_i], vhids, 2);
	group_conf(&host[1].g, m[_i], vhids, 2);
	host[0].reached = host[1].reached = false;
	run(60, 100);
	ck_assert_uint_eq(host[0].found | host[1].found, 0);
}
END_TEST

static unsigned int
hear(uint32_t node, enum balance_mode mode, const uint8_t *v, size_t n)
{
	struct advert_group	 says = { .mode = (uint8_t)mode,
				    .n = (uint8_t)n };

	memcpy(says.vhids, v, n);
	return (group_hear(&host[0].g, node, &addr, &says, 1, now, now));
}

START_TEST(differs)
{
	const struct group_mate	*m;
	static const uint8_t	 other[] = { 3, 5 };

	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 2), 0);
	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 0), 0);
	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 3), GROUP_DIFFERS);
	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 3), 0);
	m = group_find(&host[0].g, 7, now);
	ck_assert(m != NULL && m->differs && m->says.n == 3);
	/* another way */
	ck_assert_uint_eq(hear(7, BALANCE_ARP, vhids, 2), 0);
	ck_assert_uint_eq(hear(8, BALANCE_IP, other, 2), GROUP_DIFFERS);
	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 2), GROUP_AGREES);
	ck_assert_uint_eq(hear(8, BALANCE_NONE, vhids, 1), 0);
	/* we change */
	group_conf(&host[0].g, BALANCE_NONE, vhids, 1);
	ck_assert_uint_eq(hear(8, BALANCE_NONE, vhids, 1), GROUP_AGREES);
	ck_assert_uint_eq(hear(7, BALANCE_IP, vhids, 2), GROUP_DIFFERS);
	now = monotime_add(now, group_keep(1));
	ck_assert(group_find(&host[0].g, 7, now) == NULL);
	ck_assert_uint_eq(hear(7, BALANCE_NONE, vhids, 1), 0);
}
END_TEST

/* The one that was silent for longest makes room. */
START_TEST(many_mates)
{
	uint32_t	 i;

	for (i = 1; i <= GROUP_MATES + 1; i++) {
		now = monotime_add(now, MS);
		ck_assert_uint_eq(hear(i, BALANCE_ARP, vhids, 2),
		    GROUP_DIFFERS);
	}
	ck_assert(group_find(&host[0].g, 1, now) == NULL);
	ck_assert(group_find(&host[0].g, 2, now) != NULL);
	ck_assert(group_find(&host[0].g, 0, now) == NULL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("group");
	SRunner	*r = srunner_create(s);
	TCase	*tc = tcase_create("group");
	int	 failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, healthy, 0, LOADS);
	tcase_add_loop_test(tc, cut_off, 0, LOADS);
	tcase_add_test(tc, all_cut_off);
	tcase_add_test(tc, silent);
	tcase_add_test(tc, lossy);
	tcase_add_loop_test(tc, no_one_mac, 0, 2);
	tcase_add_test(tc, differs);
	tcase_add_test(tc, many_mates);
	suite_add_tcase(s, tc);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? 0 : 1);
}
