/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Test help: run the event loop until a condition holds, fail after a while.
 * The condition is looked at each time a callback has called ev_stop().
 */
#ifndef TESTS_UNIT_AWAIT_H
#define TESTS_UNIT_AWAIT_H

#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/ev.h"

#define AWAIT_MAX	(20 * MONOTIME_SEC)

static inline void
await_late(void *arg)
{
	*(bool *)arg = true;
	ev_stop();
}

#define AWAIT(cond) do {						\
	bool late_ = false;						\
	struct ev_timer *t_ = ev_timer_new(await_late, &late_);		\
									\
	ev_timer_at(t_, monotime_add(monotime_now(), AWAIT_MAX));	\
	while (!(cond) && !late_)					\
		ev_loop();						\
	ev_timer_free(t_);						\
	ck_assert_msg(!late_, "waited in vain for %s", #cond);		\
} while (0)

/* How many descriptors are open. */
static inline int
await_nfds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

/*
 * For fixtures: as many as before?  Check cannot fail in a teardown without
 * running it twice, so it is counted here and judged in main().
 */
static int	 await_leaks;

static inline void
await_noleak(int before)
{
	if (await_nfds() == before)
		return;
	fprintf(stderr, "a test has left descriptors open\n");
	await_leaks++;
}

#endif
