/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/split: which rows of claims are a split, and when it is over.
 */
#include <sys/socket.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/split.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define CLAIMS		6

static const struct ipaddr	 who = {
	.af = AF_INET, .bytes = { 192, 0, 2, 1 }
};

static monotime_t
at(int64_t ms)
{
	return ((monotime_t){ ms * MONOTIME_MSEC });
}

/* Times in ms; begins: when it is said to, 0: never; end: when it is over. */
struct row {
	int64_t	 claim[CLAIMS];		/* 0: no more */
	int64_t	 interval;
	int64_t	 begins, end;
};

static const struct row	 rows[] = {
	/* the last word of one that yields, in two families, twice */
	{ { 1000 }, 1000, 0, 4000 },
	{ { 1000, 1001, 1200, 1201 }, 1000, 0, 4201 },
	{ { 1000, 1499 }, 1000, 0, 4499 },
	{ { 1000, 1500 }, 1000, 1500, 4500 },
	{ { 1000, 2000 }, 1000, 2000, 5000 },
	{ { 1000, 2391, 3782 }, 1391, 2391, 3782 + 4173 },
	/* one that spoke long ago */
	{ { 1000, 4000 }, 1000, 0, 7000 },
	{ { 1000, 4000, 5000 }, 1000, 5000, 8000 },
	{ { 1000, 3999 }, 1000, 3999, 6999 },
	/* fast ones are not silent after 12 ms */
	{ { 1000, 1004, 1008, 1500 }, 4, 1500, 2500 },
	{ { 1000, 2000 }, 4, 0, 3000 },
	/* who says that he speaks seldom is not waited for that long */
	{ { 1000, 2000 }, 255000, 2000, 62000 },
	{ { 1000, 62000 }, 255000, 0, 122000 },
};

/* pfsyncd, twice a second: longer than what a handover may take. */
static const struct row	 told[] = {
	{ { 1000, 1500, 2000, 2249 }, 1000, 0, 5249 },
	{ { 1000, 1500, 2000, 2250 }, 1000, 2250, 5250 },
	{ { 1000, 3999, 4000 }, 1000, 3999, 7000 },
	{ { 1000, 4000 }, 1000, 0, 7000 },
};

static void
follow(const struct row *row, int64_t confirm)
{
	struct split	 s;
	int64_t		 begins = 0;
	size_t		 i;

	memset(&s, 0, sizeof(s));
	ck_assert(!split_silent(&s, at(0)));
	for (i = 0; i < CLAIMS && row->claim[i] != 0; i++)
		if (split_claim(&s, &who, i % 2 == 0,
		    row->interval * MONOTIME_MSEC, confirm,
		    at(row->claim[i]))) {
			ck_assert_int_eq(begins, 0);
			begins = row->claim[i];
		}
	ck_assert_int_eq(begins, row->begins);
	ck_assert(s.on == (begins != 0));
	ck_assert(s.verified == (i % 2 == 1));
	ck_assert(ipaddr_cmp(&s.who, &who) == 0);
	ck_assert(!split_silent(&s, at(row->end - 1)));
	ck_assert(split_silent(&s, at(row->end)));
}

START_TEST(test_rows)
{
	follow(&rows[_i], SPLIT_CONFIRM);
}
END_TEST

START_TEST(test_told)
{
	follow(&told[_i], SPLIT_CONFIRM_TOLD);
}
END_TEST

/* Of two claimants the fast one does not end the silence of the slow one. */
START_TEST(test_slowest)
{
	struct split	 s;

	memset(&s, 0, sizeof(s));
	(void)split_claim(&s, &who, true, 10 * MONOTIME_SEC, SPLIT_CONFIRM,
	    at(1000));
	ck_assert(split_claim(&s, &who, true, MONOTIME_SEC, SPLIT_CONFIRM,
	    at(2000)));
	ck_assert(!split_silent(&s, at(30999)));
	ck_assert(split_silent(&s, at(31000)));
	/* not looked at in time: it goes on */
	ck_assert(!split_claim(&s, &who, true, MONOTIME_SEC, SPLIT_CONFIRM,
	    at(40000)));
	ck_assert(s.on && monotime_cmp(s.since, at(1000)) == 0);
}
END_TEST

/* Three claims, from ms on, which are a split: is it told? */
static bool
row(struct split *s, bool verified, int64_t ms)
{
	bool	 begins = false;
	int	 i;

	for (i = 0; i < 3; i++)
		begins |= split_claim(s, &who, verified, 0, SPLIT_CONFIRM,
		    at(ms + 250 * i));
	ck_assert(begins && s->on);
	return (s->told);
}

/*
 * Who has not our pass can make splits begin and end as he likes, but not have
 * us say so all the time.
 */
START_TEST(test_quiet)
{
	struct split	 s;
	int64_t		 ms, last = 0;
	int		 lines = 0;

	memset(&s, 0, sizeof(s));
	for (ms = 1000; ms < 601000; ms += 2000) {
		if (row(&s, false, ms)) {
			lines++;
			last = ms;
		}
		split_end(&s);
		ck_assert(!s.on && s.who.af == 0);
	}
	ck_assert_int_eq(lines, 10);
	/* one of ours is told at any time */
	split_end(&s);
	ck_assert(row(&s, true, last + 4000));
	split_end(&s);
	ck_assert(row(&s, true, last + 8000));
	/* also when there is one already that was not */
	split_end(&s);
	ck_assert(!row(&s, false, last + 12000));
	ck_assert(split_claim(&s, &who, true, 0, SPLIT_CONFIRM,
	    at(last + 12600)));
	ck_assert(s.told);
	ck_assert(!split_claim(&s, &who, true, 0, SPLIT_CONFIRM,
	    at(last + 12700)));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("split");
	TCase	*t = tcase_create("split");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(t, test_rows, 0, NELEMS(rows));
	tcase_add_loop_test(t, test_told, 0, NELEMS(told));
	tcase_add_test(t, test_slowest);
	tcase_add_test(t, test_quiet);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
