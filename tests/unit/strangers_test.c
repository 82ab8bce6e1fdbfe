/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Senders that are refused: one line at once and one a minute for each of
 * them and each cause, and a table that forged addresses cannot make larger.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/strangers.h"

static monotime_t
at(int64_t seconds)
{
	return ((monotime_t){ (1000 + seconds) * MONOTIME_SEC });
}

static struct ipaddr
host(unsigned int n)
{
	struct ipaddr a;
	char buf[IPADDR_STRLEN];

	snprintf(buf, sizeof(buf), "192.0.%u.%u", n / 250, 1 + n % 250);
	ck_assert_int_eq(ipaddr_parse(buf, &a, NULL), 0);
	return (a);
}

START_TEST(one_line_at_once_then_one_a_minute)
{
	struct strangers t = { .n = 0 };
	const struct stranger *s;
	struct ipaddr a = host(1), b = host(2);
	unsigned int said = 0;
	uint64_t more = 99;
	int64_t i;

	s = strangers_note(&t, &a, SYNC_WHY_KEY, at(0), &more);
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(more, 0);
	/* another cause, another sender: each has its own line */
	ck_assert_ptr_nonnull(strangers_note(&t, &a, SYNC_WHY_NONE, at(0),
	    &more));
	ck_assert_ptr_nonnull(strangers_note(&t, &b, SYNC_WHY_KEY, at(0),
	    &more));
	for (i = 1; i <= 180; i++)
		if (strangers_note(&t, &a, SYNC_WHY_KEY, at(i), &more)) {
			said++;
			ck_assert_uint_eq(more, 59);
		}
	ck_assert_uint_eq(said, 3);
	s = strangers_get(&t, 0, at(180));
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(ipaddr_cmp(&s->addr, &a), 0);
	ck_assert_int_eq(s->why, SYNC_WHY_KEY);
	ck_assert_uint_eq(s->packets, 181);
	ck_assert_int_eq(monotime_cmp(s->heard, at(180)), 0);
	ck_assert_ptr_nonnull(strangers_get(&t, 2, at(180)));
	ck_assert_ptr_null(strangers_get(&t, 3, at(180)));
}
END_TEST

START_TEST(the_oldest_makes_room)
{
	struct strangers t = { .n = 0 };
	struct ipaddr real = host(0), forged;
	const struct stranger *s;
	bool there = false;
	uint64_t more;
	unsigned int i;

	for (i = 1; i < 1000; i++) {
		forged = host(i);
		strangers_note(&t, &forged, SYNC_WHY_KEY, at(i), &more);
		strangers_note(&t, &real, SYNC_WHY_KEY, at(i), &more);
	}
	for (i = 0; (s = strangers_get(&t, i, at(1000))) != NULL; i++)
		there |= ipaddr_cmp(&s->addr, &real) == 0 &&
		    s->packets == 999;
	ck_assert_uint_eq(i, STRANGERS_MAX);
	ck_assert(there);
}
END_TEST

START_TEST(forgotten)
{
	struct strangers t = { .n = 0 };
	struct ipaddr a = host(1), b = host(2);
	uint64_t more;

	strangers_note(&t, &a, SYNC_WHY_KEY, at(0), &more);
	strangers_note(&t, &b, SYNC_WHY_VERSION, at(1800), &more);
	ck_assert_int_eq(strangers_get(&t, 0, at(3599))->why, SYNC_WHY_KEY);
	ck_assert_int_eq(strangers_get(&t, 0, at(3600))->why,
	    SYNC_WHY_VERSION);
	ck_assert_ptr_null(strangers_get(&t, 1, at(3600)));
}
END_TEST

START_TEST(each_cause_has_its_text)
{
	int i;

	for (i = 0; i < SYNC_WHY_MAX; i++) {
		ck_assert_ptr_nonnull(sync_why_names[i]);
		ck_assert_uint_gt(strlen(sync_why_names[i]), 3);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("strangers");
	TCase *tc = tcase_create("strangers");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, one_line_at_once_then_one_a_minute);
	tcase_add_test(tc, the_oldest_makes_room);
	tcase_add_test(tc, forgotten);
	tcase_add_test(tc, each_cause_has_its_text);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
