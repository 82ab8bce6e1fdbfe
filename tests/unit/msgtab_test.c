/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/msgtab: what is let through to a handler, and what is not.
 */
#include <check.h>

#include "common/imsg.h"
#include "common/msgtab.h"

enum { T_GAP, T_EMPTY, T_FIXED, T_TEXT, T_FD, T_MAX };

static const struct msg_desc tab[T_MAX] = {
	[T_EMPTY] = { "EMPTY", MSG_FROM_PARENT, 0, false, false },
	[T_FIXED] = { "FIXED", MSG_FROM_PARENT | MSG_FROM_ENGINE, 12, false,
	    false },
	[T_TEXT] = { "TEXT", MSG_FROM_CLIENT, 100, true, false },
	[T_FD] = { "FD", MSG_FROM_PARENT, 4, false, true },
};

#define BAD_TYPE	"unknown message type"
#define BAD_FROM	"message not permitted from this sender"
#define BAD_SIZE	"wrong message size"
#define NO_FD		"descriptor missing"
#define STRAY_FD	"unexpected descriptor"

static const struct {
	uint32_t	 type;
	size_t		 len;
	int		 fd;
	uint32_t	 from;
	const char	*want;
} cases[] = {
	{ T_EMPTY, 0, -1, MSG_FROM_PARENT, NULL },
	{ T_EMPTY, 1, -1, MSG_FROM_PARENT, BAD_SIZE },
	{ T_EMPTY, 0, -1, MSG_FROM_ENGINE, BAD_FROM },
	{ T_EMPTY, 0, 0, MSG_FROM_PARENT, STRAY_FD },
	{ T_FIXED, 12, -1, MSG_FROM_PARENT, NULL },
	{ T_FIXED, 12, -1, MSG_FROM_ENGINE, NULL },
	{ T_FIXED, 12, -1, MSG_FROM_CLIENT, BAD_FROM },
	{ T_FIXED, 12, -1, 0, BAD_FROM },
	{ T_FIXED, 11, -1, MSG_FROM_ENGINE, BAD_SIZE },
	{ T_FIXED, 13, -1, MSG_FROM_ENGINE, BAD_SIZE },
	{ T_TEXT, 0, -1, MSG_FROM_CLIENT, NULL },
	{ T_TEXT, 100, -1, MSG_FROM_CLIENT, NULL },
	{ T_TEXT, 101, -1, MSG_FROM_CLIENT, BAD_SIZE },
	{ T_FD, 4, 3, MSG_FROM_PARENT, NULL },
	{ T_FD, 4, -1, MSG_FROM_PARENT, NO_FD },
	{ T_GAP, 0, -1, MSG_FROM_PARENT, BAD_TYPE },
	{ T_MAX, 0, -1, MSG_FROM_PARENT, BAD_TYPE },
	{ UINT32_MAX, 0, -1, MSG_FROM_PARENT, BAD_TYPE },
};

START_TEST(check)
{
	struct imsg im = { .type = cases[_i].type, .data = "",
	    .len = cases[_i].len, .fd = cases[_i].fd };

	ck_assert_pstr_eq(msg_check(tab, T_MAX, &im, cases[_i].from),
	    cases[_i].want);
}
END_TEST

static Suite *
msgtab_suite(void)
{
	Suite *s = suite_create("msgtab");
	TCase *tc = tcase_create("msgtab");

	tcase_add_loop_test(tc, check, 0, sizeof(cases) / sizeof(cases[0]));
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(msgtab_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
