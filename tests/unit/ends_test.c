/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/ends: against a plain list, with many in the same place.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/ends.h"

#define ROUNDS	(3 * ENDS_MAX)

static struct ends	 t;
static uint64_t		 hash[ROUNDS];

/* Few different ones, and few places: the same flow ends again and again. */
static uint64_t
some(uint32_t i)
{
	uint64_t r = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (r >> 60 << 60 | (r >> 40 & 0x3ff));
}

START_TEST(ring)
{
	uint64_t number;
	uint32_t i;

	memset(&t, 0, sizeof(t));
	ck_assert(!ends_find(&t, 1, &number));
	ck_assert_ptr_null(ends_at(&t, 0));
	for (i = 0; i < ROUNDS; i++) {
		/* spread, but for the last and the first few */
		hash[i] = i < 2000 || i > ROUNDS - 2000 ? some(i) :
		    (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		ck_assert_uint_eq(ends_add(&t, hash[i], i), i);
		ck_assert(ends_find(&t, hash[i], &number));
		ck_assert_uint_eq(number, i);
	}
	ck_assert_uint_eq(ends_oldest(&t), ROUNDS - ENDS_MAX);
	ck_assert_ptr_null(ends_at(&t, ROUNDS - ENDS_MAX - 1));
	ck_assert_ptr_null(ends_at(&t, ROUNDS));
	for (i = 0; i < ROUNDS; i++) {
		bool found = ends_find(&t, hash[i], &number);

		if (i >= ROUNDS - ENDS_MAX) {
			ck_assert(found);
			ck_assert_uint_eq(ends_at(&t, i)->stamp, i);
			ck_assert_uint_eq(ends_at(&t, i)->h, hash[i]);
		}
		/* the last of that flow, and none that is not there */
		if (found) {
			ck_assert_uint_ge(number, ROUNDS - ENDS_MAX);
			ck_assert_uint_ge(number, i);
			ck_assert_uint_eq(hash[number], hash[i]);
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("ends");
	TCase *tc = tcase_create("ends");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, ring);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
