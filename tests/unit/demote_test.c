/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/demote: the ledger's steps as tables, expiry, the limits, and sums
 * over the groups of an interface.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../carpd/demote.h"

#define SIZE	8
#define REFUSED	INT32_MIN

static struct demote_entry	 entries[SIZE];
static struct demote		 d;

static void
setup(void)
{
	memset(entries, 0xff, sizeof(entries));
	demote_init(&d, entries, SIZE);
}

static monotime_t
at(int64_t s)
{
	return ((monotime_t){ s * MONOTIME_SEC });
}

static int
set(const char *owner, const char *group, const char *reason, int amount)
{
	return (demote_set(&d, owner, group, reason, amount, at(1),
	    MONOTIME_NEVER));
}

static size_t
used(void)
{
	size_t	 i, n = 0;

	for (i = 0; i < SIZE; i++)
		n += entries[i].amount != 0;
	return (n);
}

/* One ledger, step after step; want: returned, left: group carp after it. */
static const struct step {
	const char	*owner;
	const char	*group;
	const char	*reason;
	int		 amount;
	int		 want;
	int		 left;
	size_t		 used;
} steps[] = {
	{ "engine", "carp", "startup", 128, 128, 128, 1 },
	{ "eth0", "carp", "carpdev", 1, 1, 129, 2 },
	{ "eth1", "carp", "carpdev", 1, 1, 130, 3 },
	{ "eth1", "carp", "carpdev", 1, 0, 130, 3 },
	{ "eth1", "carp", "snderr", 1, 1, 131, 4 },
	{ "eth1", "dmz", "carpdev", 7, 7, 131, 5 },
	{ "engine", "carp", "startup", 0, -128, 3, 4 },
	{ "engine", "carp", "startup", 0, 0, 3, 4 },
	{ "operator", "carp", "carpctl", 50, 50, 53, 5 },
	{ "operator", "carp", "carpctl", 20, -30, 23, 5 },
	/* clamped: the counter moves by less than the entry, or not at all */
	{ "operator", "carp", "carpctl", 255, 232, 255, 5 },
	{ "pfsyncd", "carp", "bulk", 255, 0, 255, 6 },
	{ "operator", "carp", "carpctl", 0, 0, 255, 5 },
	{ "pfsyncd", "carp", "bulk", 32, -220, 35, 5 },
	/* refused: nothing moves */
	{ "operator", "carp", "carpctl", -1, REFUSED, 35, 5 },
	{ "operator", "carp", "carpctl", 256, REFUSED, 35, 5 },
	{ "pfsyncd", "carp", "bulk", 256, REFUSED, 35, 5 },
	{ "pfsyncd", "carp", "bulk", INT32_MAX, REFUSED, 35, 5 },
	{ "pfsyncd", "carp", "bulk", INT32_MIN, REFUSED, 35, 5 },
	{ "123456789012345678901234", "carp", "x", 1, REFUSED, 35, 5 },
	{ "x", "1234567890123456", "x", 1, REFUSED, 35, 5 },
	{ "x", "carp", "12345678901234567890123456789012", 1, REFUSED, 35,
	    5 },
	/* the longest that fit */
	{ "12345678901234567890123", "123456789012345",
	    "1234567890123456789012345678901", 1, 1, 35, 6 },
	/* names are compared whole */
	{ "eth", "carp", "carpdev", 0, 0, 35, 6 },
	{ "eth10", "carp", "carpdev", 0, 0, 35, 6 },
	{ "eth1", "car", "carpdev", 0, 0, 35, 6 },
	{ "", "carp", "", 2, 2, 37, 7 },
	{ "", "carp", "", 0, -2, 35, 6 },
};

START_TEST(ledger)
{
	const struct step	*s;
	size_t			 i;

	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		s = &steps[i];
		ck_assert_msg(set(s->owner, s->group, s->reason, s->amount) ==
		    s->want, "step %zu", i);
		ck_assert_msg(demote_group(&d, "carp") == s->left,
		    "step %zu: %d", i, demote_group(&d, "carp"));
		ck_assert_msg(used() == s->used, "step %zu", i);
		if (s->want != REFUSED)
			ck_assert_int_eq(demote_get(&d, s->owner, s->group,
			    s->reason), s->amount);
	}
	ck_assert_int_eq(demote_group(&d, "dmz"), 7);
	ck_assert_int_eq(demote_group(&d, "nobody"), 0);
	ck_assert_int_eq(demote_get(&d, "eth1", "dmz", "snderr"), 0);
}
END_TEST

START_TEST(full)
{
	char	 owner[DEMOTE_OWNER_MAX];
	int	 i;

	for (i = 0; i < SIZE; i++) {
		snprintf(owner, sizeof(owner), "eth%d", i);
		ck_assert_int_eq(set(owner, "carp", "carpdev", 1), 1);
	}
	ck_assert_int_eq(set("one more", "carp", "carpdev", 1), REFUSED);
	ck_assert_int_eq(demote_group(&d, "carp"), SIZE);

	/* what is there can change and go, what is not there can "go" */
	ck_assert_int_eq(set("eth3", "carp", "carpdev", 5), 4);
	ck_assert_int_eq(set("one more", "carp", "carpdev", 0), 0);
	ck_assert_int_eq(set("eth3", "carp", "carpdev", 0), -5);
	ck_assert_int_eq(set("one more", "carp", "carpdev", 1), 1);
	ck_assert_int_eq(set("yet one", "carp", "carpdev", 1), REFUSED);
}
END_TEST

START_TEST(no_room_at_all)
{
	struct demote_entry	 gone;

	demote_init(&d, entries, 0);
	ck_assert_int_eq(set("eth0", "carp", "carpdev", 1), REFUSED);
	ck_assert_int_eq(set("eth0", "carp", "carpdev", 0), 0);
	ck_assert_int_eq(demote_group(&d, "carp"), 0);
	ck_assert(!demote_expire(&d, at(1), &gone));
	ck_assert(!monotime_isset(demote_next(&d)));
}
END_TEST

START_TEST(since_stays)
{
	demote_set(&d, "op", "carp", "x", 1, at(5), MONOTIME_NEVER);
	demote_set(&d, "op", "carp", "x", 2, at(9), at(20));
	ck_assert_int_eq(monotime_cmp(entries[0].since, at(5)), 0);
	ck_assert_int_eq(monotime_cmp(entries[0].expiry, at(20)), 0);

	demote_set(&d, "op", "carp", "x", 0, at(10), MONOTIME_NEVER);
	demote_set(&d, "op", "carp", "x", 2, at(11), MONOTIME_NEVER);
	ck_assert_int_eq(monotime_cmp(entries[0].since, at(11)), 0);
	ck_assert(!monotime_isset(entries[0].expiry));
}
END_TEST

START_TEST(refused_changes_nothing)
{
	struct demote_entry	 before[SIZE];

	demote_set(&d, "op", "carp", "x", 3, at(5), at(9));
	memcpy(before, entries, sizeof(before));
	ck_assert_int_eq(demote_set(&d, "op", "carp", "x", 256, at(6),
	    at(30)), REFUSED);
	ck_assert_mem_eq(before, entries, sizeof(before));
}
END_TEST

START_TEST(expiry)
{
	struct demote_entry	 gone;

	ck_assert(!monotime_isset(demote_next(&d)));
	set("forever", "carp", "x", 1);
	ck_assert(!monotime_isset(demote_next(&d)));
	demote_set(&d, "late", "carp", "x", 2, at(1), at(30));
	demote_set(&d, "soon", "carp", "x", 4, at(1), at(10));
	demote_set(&d, "soon", "dmz", "x", 8, at(1), at(10));
	ck_assert_int_eq(monotime_cmp(demote_next(&d), at(10)), 0);

	ck_assert(!demote_expire(&d, (monotime_t){ at(10).ns - 1 }, &gone));
	ck_assert_int_eq(demote_group(&d, "carp"), 7);
	ck_assert(demote_expire(&d, at(10), &gone));
	ck_assert_str_eq(gone.owner, "soon");
	ck_assert_str_eq(gone.group, "carp");
	ck_assert_str_eq(gone.reason, "x");
	ck_assert_int_eq(gone.amount, 4);
	ck_assert(demote_expire(&d, at(10), &gone));
	ck_assert_str_eq(gone.group, "dmz");
	ck_assert(!demote_expire(&d, at(10), &gone));
	ck_assert_int_eq(demote_group(&d, "carp"), 3);
	ck_assert_int_eq(monotime_cmp(demote_next(&d), at(30)), 0);

	/* prolonged, then made permanent */
	demote_set(&d, "late", "carp", "x", 2, at(29), at(60));
	ck_assert(!demote_expire(&d, at(30), &gone));
	demote_set(&d, "late", "carp", "x", 2, at(31), MONOTIME_NEVER);
	ck_assert(!demote_expire(&d, (monotime_t){ INT64_MAX - 1 }, &gone));
	ck_assert(!demote_expire(&d, MONOTIME_NEVER, &gone));
	ck_assert_int_eq(demote_group(&d, "carp"), 3);
}
END_TEST

/* Sums over the groups of an interface. */
static const struct sum {
	const char	*groups[CONFIG_GROUPS_MAX];
	int		 want;
} sums[] = {
	{ { "carp" }, 10 },
	{ { "carp", "dmz" }, 110 },
	{ { "dmz", "lan" }, 255 },		/* 100 + 155: just there */
	{ { "carp", "dmz", "lan" }, 255 },	/* 265: clamped */
	{ { "full", "carp" }, 255 },
	{ { "full", "full2" }, 255 },
	{ { "none" }, 0 },
	{ { "none", "carp", "other" }, 10 },
	{ { NULL }, 0 },
	{ { "full", "full2", "carp", "dmz", "lan", "none", "x", "y" }, 255 },
};

START_TEST(iface)
{
	const struct sum	*s = &sums[_i];
	struct config_iface	 c;

	set("a", "carp", "x", 4);
	set("b", "carp", "x", 6);
	set("a", "dmz", "x", 100);
	set("a", "lan", "x", 155);
	set("a", "full", "x", 200);
	set("b", "full", "x", 200);
	set("a", "full2", "x", 255);

	memset(&c, 0, sizeof(c));
	while (c.ngroups < CONFIG_GROUPS_MAX &&
	    s->groups[c.ngroups] != NULL) {
		strlcpy(c.groups[c.ngroups], s->groups[c.ngroups],
		    sizeof(c.groups[0]));
		c.ngroups++;
	}
	ck_assert_int_eq(demote_group(&d, "full"), DEMOTE_MAX);
	ck_assert_int_eq(demote_iface(&d, &c), s->want);
}
END_TEST

/* The counter always equals a sum made the slow way. */
START_TEST(random_walk)
{
	static const char *const owners[] = { "a", "b", "c", "d" };
	static const char *const groups[] = { "carp", "dmz", "lan" };
	int	 model[4][3] = { { 0 } }, before, want, ret, amount;
	size_t	 o, g, i, n, held;
	unsigned int	 seed = 20260101;

	for (n = 0; n < 20000; n++) {
		seed = seed * 1103515245 + 12345;
		o = seed >> 16 & 3;
		g = (seed >> 18 & 0xff) % 3;
		amount = (int)(seed >> 26) * 8 - 24;
		for (before = want = 0, held = 0, i = 0; i < 12; i++) {
			held += model[i / 3][i % 3] != 0;
			if (i % 3 != g)
				continue;
			before += model[i / 3][g];
			want += i / 3 == o ? amount : model[i / 3][g];
		}
		before = before > DEMOTE_MAX ? DEMOTE_MAX : before;
		want = want > DEMOTE_MAX ? DEMOTE_MAX : want;
		ret = set(owners[o], groups[g], "walk", amount);
		if (amount < 0 || amount > DEMOTE_MAX || (amount > 0 &&
		    held == SIZE && model[o][g] == 0)) {
			ck_assert_int_eq(ret, REFUSED);
			ck_assert_int_eq(demote_group(&d, groups[g]), before);
			continue;
		}
		model[o][g] = amount;
		ck_assert_int_eq(ret, want - before);
		ck_assert_int_eq(demote_group(&d, groups[g]), want);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("demote");
	TCase	*tc = tcase_create("demote");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, ledger);
	tcase_add_test(tc, full);
	tcase_add_test(tc, no_room_at_all);
	tcase_add_test(tc, since_stays);
	tcase_add_test(tc, refused_changes_nothing);
	tcase_add_test(tc, expiry);
	tcase_add_loop_test(tc, iface, 0, sizeof(sums) / sizeof(sums[0]));
	tcase_add_test(tc, random_walk);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
