/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/defer: how many first packets are held, for how long, and what is
 * counted of them.
 */
#include <check.h>
#include <string.h>

#include "../../pfsyncd/defer.h"

static struct defer	 d;
static monotime_t	 now;
static uint32_t		 id;

static void
setup(void)
{
	memset(&d, 0, sizeof(d));
	now.ns = 1000 * MONOTIME_SEC;
}

static bool
release(uint32_t packet, enum defer_why why)
{
	return (defer_release(&d, &(struct defer_go){ packet, why }));
}

START_TEST(time)
{
	ck_assert(!monotime_isset(defer_next(&d)));
	ck_assert(!defer_overdue(&d, now, &id));
	ck_assert(defer_hold(&d, 7, now));
	now = monotime_add(now, 5);
	ck_assert(defer_hold(&d, 8, now));
	ck_assert_int_eq(defer_next(&d).ns, now.ns - 5 + DEFER_TIME);
	now = monotime_add(now, DEFER_TIME - 6);
	ck_assert(!defer_overdue(&d, now, &id));
	now = monotime_add(now, 1);
	ck_assert(defer_overdue(&d, now, &id));
	ck_assert_uint_eq(id, 7);
	ck_assert(!defer_overdue(&d, now, &id));
	ck_assert(!release(7, DEFER_ACKED));	/* too late */
	now = monotime_add(now, 5);
	ck_assert(defer_overdue(&d, now, &id));
	ck_assert_uint_eq(id, 8);
	ck_assert_uint_eq(d.timed_out, 2);
	ck_assert_uint_eq(d.acked, 0);
	ck_assert(!monotime_isset(defer_next(&d)));
}
END_TEST

/* In any order; what was never deferred is not counted. */
START_TEST(released)
{
	for (id = 1; id <= 4; id++)
		ck_assert(defer_hold(&d, id, now));
	ck_assert(release(2, DEFER_ACKED));
	ck_assert(!release(2, DEFER_ACKED));
	ck_assert(release(4, DEFER_FREE));
	ck_assert(release(1, DEFER_FULL));
	ck_assert(!release(5, DEFER_ACKED));
	ck_assert_uint_eq(d.acked, 1);
	ck_assert_uint_eq(d.overflow, 1);
	ck_assert(defer_overdue(&d, monotime_add(now, DEFER_TIME), &id));
	ck_assert_uint_eq(id, 3);
	ck_assert_uint_eq(d.timed_out, 1);
}
END_TEST

START_TEST(full)
{
	for (id = 0; id < DEFER_MAX; id++)
		ck_assert(defer_hold(&d, id, now));
	ck_assert(!defer_hold(&d, 1000, now));
	ck_assert(!release(1000, DEFER_ACKED));
	ck_assert_uint_eq(d.overflow, 1);
	ck_assert(release(DEFER_MAX - 1, DEFER_ACKED));
	ck_assert(release(0, DEFER_ACKED));
	ck_assert(defer_hold(&d, 1001, now));
	ck_assert(defer_hold(&d, 1002, now));
	ck_assert(!defer_hold(&d, 1003, now));
	ck_assert_uint_eq(d.overflow, 2);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("defer");
	TCase	*tc = tcase_create("defer");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, time);
	tcase_add_test(tc, released);
	tcase_add_test(tc, full);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
