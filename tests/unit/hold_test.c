/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/hold: each reason beside who is MASTER and what carpd said, and the
 * two times to the nanosecond, with when it asks to be asked again.
 */
#include <check.h>
#include <string.h>

#include "../../pfsyncd/hold.h"
#include "../../pfsyncd/msgs.h"

#define MSEC	MONOTIME_MSEC
#define SEC	MONOTIME_SEC
#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static struct hold	 h;
static struct hold_in	 in;
static monotime_t	 start, now, next;

static void
setup(void)
{
	start.ns = 1000 * SEC;
	now = start;
	hold_init(&h, start);
	memset(&in, 0, sizeof(in));
	in.carp_heard = in.link_told = true;
}

static enum hold_reason
after(int64_t ns)
{
	now = monotime_add(now, ns);
	return (hold_step(&h, &in, now, &next));
}

START_TEST(names)
{
	int	 i;

	for (i = 0; i < HOLD_REASONS; i++)
		ck_assert_ptr_nonnull(hold_reason_names[i]);
	ck_assert_str_eq(hold_reason_names[HOLD_NONE], "");
}
END_TEST

/* What is so, 5 s after the start; and what comes of it. */
static const struct {
	struct hold_in	 in;
	enum hold_reason want;
	bool		 synced;
} cases[] = {
	{ { HOLD_NONE, false, true, 0, false, 0, true }, HOLD_NONE, false },
	{ { HOLD_NONE, true, true, 0, false, 0, true }, HOLD_NONE, true },
	{ { HOLD_SYNCDEV, true, true, 1, false, 0, true }, HOLD_SYNCDEV, true },
	{ { HOLD_BULK, false, true, 0, false, 0, true }, HOLD_BULK, false },
	/* who preempts with old windows in its kernel breaks connections */
	{ { HOLD_LIBERAL, true, true, 0, false, 0, true }, HOLD_NONE, false },
	/* the pf dialect's bulk; without it that means nothing */
	{ { HOLD_NONE, true, true, 0, true, SYNC_BULK_NONE, true },
	    HOLD_NONE, false },
	{ { HOLD_NONE, true, true, 0, true, SYNC_BULK_WAIT, true },
	    HOLD_BULK, false },
	{ { HOLD_NONE, true, true, 0, true, SYNC_BULK_RUNNING, true },
	    HOLD_BULK, false },
	{ { HOLD_NONE, true, true, 0, true, SYNC_BULK_DONE, true },
	    HOLD_NONE, true },
	{ { HOLD_NONE, true, true, 0, true, SYNC_BULK_FAILED, true },
	    HOLD_NONE, true },
	{ { HOLD_NONE, true, true, 0, false, SYNC_BULK_WAIT, true },
	    HOLD_NONE, true },
	{ { HOLD_NONE, false, true, 0, true, SYNC_BULK_DONE, true },
	    HOLD_NONE, false },
	/* a MASTER does not wait for it */
	{ { HOLD_NONE, true, true, 1, true, SYNC_BULK_RUNNING, true },
	    HOLD_NONE, false },
	{ { HOLD_SYNCDEV, true, true, 0, true, SYNC_BULK_WAIT, true },
	    HOLD_SYNCDEV, false },
	/* carpd is not there at all */
	{ { HOLD_BULK, false, false, 0, false, 0, true }, HOLD_BULK, false },
};

START_TEST(reason)
{
	in = cases[_i].in;
	ck_assert_int_eq(after(5 * SEC), cases[_i].want);
	ck_assert_int_eq(h.synced, cases[_i].synced);
	ck_assert(monotime_isset(next) == (in.repl == HOLD_LIBERAL));
}
END_TEST

/* It demotes only when it takes long, and each time anew. */
START_TEST(liberal)
{
	int	 n;

	for (n = 0; n < 2; n++) {
		in.repl = HOLD_LIBERAL;
		ck_assert_int_eq(after(5 * SEC), HOLD_NONE);
		ck_assert_int_eq(monotime_sub(next, now), 100 * MSEC);
		ck_assert_int_eq(after(100 * MSEC - 1), HOLD_NONE);
		ck_assert_int_eq(monotime_sub(next, now), 1);
		ck_assert_int_eq(after(1), HOLD_LIBERAL);
		ck_assert(!monotime_isset(next));
		ck_assert_int_eq(after(SEC), HOLD_LIBERAL);
		in.repl = HOLD_NONE;
		ck_assert_int_eq(after(0), HOLD_NONE);
		ck_assert(!monotime_isset(next));
	}
	/* what pf waits for does not wait for that */
	in.repl = HOLD_LIBERAL;
	in.pf = true;
	in.pf_bulk = SYNC_BULK_WAIT;
	ck_assert_int_eq(after(0), HOLD_BULK);
}
END_TEST

/* A process that has just started does not know its link yet. */
START_TEST(link_untold)
{
	in.repl = HOLD_SYNCDEV;
	in.link_told = false;
	ck_assert_int_eq(after(0), HOLD_NONE);
	ck_assert_int_eq(monotime_sub(next, now), SEC);
	in.link_told = true;
	ck_assert_int_eq(after(1), HOLD_SYNCDEV);
	ck_assert(!monotime_isset(next));
	in.link_told = false;		/* nobody ever tells */
	ck_assert_int_eq(after(SEC - 2), HOLD_NONE);
	ck_assert_int_eq(monotime_sub(next, now), 1);
	ck_assert_int_eq(after(1), HOLD_SYNCDEV);
	ck_assert(!monotime_isset(next));
}
END_TEST

/* Until carpd has said what we are; but a lost cable is one for a MASTER. */
START_TEST(carpd_silent)
{
	in.carp_heard = false;
	in.repl = HOLD_BULK;
	ck_assert_int_eq(after(0), HOLD_NONE);
	ck_assert_int_eq(monotime_sub(next, now), SEC);
	ck_assert_int_eq(after(SEC - 1), HOLD_NONE);
	ck_assert_int_eq(monotime_sub(next, now), 1);
	in.repl = HOLD_SYNCDEV;
	ck_assert_int_eq(after(0), HOLD_SYNCDEV);
	ck_assert(!monotime_isset(next));
	in.repl = HOLD_NONE;
	ck_assert_int_eq(after(0), HOLD_NONE);
	ck_assert(!monotime_isset(next));
	in.repl = HOLD_BULK;
	ck_assert_int_eq(after(1), HOLD_BULK);
	/* heard sooner */
	hold_init(&h, now);
	ck_assert_int_eq(after(10 * MSEC), HOLD_NONE);
	in.carp_heard = true;
	ck_assert_int_eq(after(0), HOLD_BULK);
	/* both times: the nearer one */
	hold_init(&h, now);
	in.carp_heard = false;
	in.repl = HOLD_LIBERAL;
	in.pf = true;
	in.pf_bulk = SYNC_BULK_RUNNING;
	ck_assert_int_eq(after(950 * MSEC), HOLD_NONE);
	ck_assert_int_eq(monotime_sub(next, now), 50 * MSEC);
}
END_TEST

/* Once is for good: `sync wait' of carpd ends. */
START_TEST(synced)
{
	(void)after(0);
	ck_assert(!h.synced);
	in.synced = true;
	(void)after(0);
	ck_assert(h.synced);
	in.synced = false;
	in.repl = HOLD_BULK;
	ck_assert_int_eq(after(0), HOLD_BULK);
	ck_assert(h.synced);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("hold");
	TCase	*tc = tcase_create("hold");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, reason, 0, (int)NITEMS(cases));
	tcase_add_test(tc, liberal);
	tcase_add_test(tc, carpd_silent);
	tcase_add_test(tc, link_untold);
	tcase_add_test(tc, synced);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
