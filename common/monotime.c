/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The one reader of the monotonic clock; the arithmetic is in the header.
 * Follows clock_gettime(2).
 */
#include <stdlib.h>
#include <time.h>

#include "monotime.h"

monotime_t
monotime_now(void)
{
	struct timespec ts;

	/* Cannot fail for this clock; garbage would be worse than death. */
	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		abort();
	return ((monotime_t){ ts.tv_sec * MONOTIME_SEC + ts.tv_nsec });
}
