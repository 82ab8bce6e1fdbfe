/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Test help: a test, or a whole program, that cannot run here says why.
 */
#ifndef TESTS_UNIT_SKIP_H
#define TESTS_UNIT_SKIP_H

#include <stdio.h>

/*
 * A line that tests/run.sh counts as skipped and shows.  Once per test, which
 * then returns; or in a program that ends with 0 and runs no test at all.
 */
static inline void
skip_because(const char *reason)
{
	printf("skip: %s\n", reason);
	fflush(stdout);
}

#endif
