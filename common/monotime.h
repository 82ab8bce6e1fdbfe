/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Typed monotonic time.  A point in time is a struct so that it cannot be
 * mixed up with a duration, which is a plain int64_t in nanoseconds (1/256 s
 * is exact: 3906250 ns).  monotime_now() is the only reader of the clock
 * (CLOCK_MONOTONIC, the clock bpf_ktime_get_ns() reads too).
 */
#ifndef COMMON_MONOTIME_H
#define COMMON_MONOTIME_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	int64_t	ns;
} monotime_t;

#define MONOTIME_SEC	INT64_C(1000000000)
#define MONOTIME_MSEC	INT64_C(1000000)
#define MONOTIME_USEC	INT64_C(1000)

/* Never: later than every real time; an unset deadline. */
#define MONOTIME_NEVER	((monotime_t){ INT64_MAX })

monotime_t	 monotime_now(void);

static inline monotime_t
monotime_add(monotime_t t, int64_t ns)
{
	if (t.ns == INT64_MAX)
		return (t);
	return ((monotime_t){ t.ns + ns });
}

/* a - b in nanoseconds. */
static inline int64_t
monotime_sub(monotime_t a, monotime_t b)
{
	return (a.ns - b.ns);
}

/* <0, 0, >0 as a is before, at, after b. */
static inline int
monotime_cmp(monotime_t a, monotime_t b)
{
	return ((a.ns > b.ns) - (a.ns < b.ns));
}

static inline monotime_t
monotime_min(monotime_t a, monotime_t b)
{
	return (a.ns < b.ns ? a : b);
}

static inline bool
monotime_isset(monotime_t t)
{
	return (t.ns != INT64_MAX);
}

#endif
