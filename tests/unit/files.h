/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Test help: a directory of the test's own and files in it.
 */
#ifndef TESTS_UNIT_FILES_H
#define TESTS_UNIT_FILES_H

#include <sys/stat.h>

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static char	 dir[PATH_MAX];

/* Two of them are valid at a time. */
static inline const char *
path(const char *name)
{
	static char	 buf[2][PATH_MAX];
	static int	 n;

	n = !n;
	ck_assert((size_t)snprintf(buf[n], sizeof(buf[n]), "%s/%s", dir,
	    name) < sizeof(buf[n]));
	return (buf[n]);
}

static inline void
put(const char *name, const char *text, mode_t mode)
{
	FILE	*f = fopen(path(name), "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(chmod(path(name), mode), 0);
}

static inline void
make_dir(void)
{
	const char	*tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/carpd_test.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

#endif
