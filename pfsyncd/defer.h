/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: first packets that are held back until another node knows their flow,
 * as pfsync(4) defers them: so many at once, none longer than DEFER_TIME.  The
 * table process keeps them, so that no engine can.
 */
#ifndef PFSYNCD_DEFER_H
#define PFSYNCD_DEFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/monotime.h"

#define DEFER_MAX	128	/* if_pfsync.c: PFSYNC_MAX_DEFER */
#define DEFER_TIME	(20 * MONOTIME_MSEC)	/* PFSYNC_DEFER_NSEC */

/* Why a packet that is held may go. */
enum defer_why {
	DEFER_ACKED,		/* the others have its flow */
	DEFER_FREE,		/* it need not wait: it was not deferred */
	DEFER_FULL,		/* nor this one: too many are */
	DEFER_WHY_MAX
};

struct defer_go {		/* crosses processes */
	uint32_t	 packet;	/* the kernel's number */
	uint32_t	 why;		/* enum defer_why */
};

struct defer {			/* zeroed: nothing is held */
	struct {
		uint32_t	 packet;
		monotime_t	 due;
	}		 held[DEFER_MAX];	/* oldest first */
	size_t		 n;
	uint64_t	 acked, timed_out, overflow;
};

/* Hold a packet; false: there are DEFER_MAX, it goes on, and is counted. */
bool		 defer_hold(struct defer *d, uint32_t packet, monotime_t now);
/* It may go; false: it is not held (any more), and nothing is counted. */
bool		 defer_release(struct defer *d, const struct defer_go *go);
/* One that has waited long enough, and is held no more; false: none. */
bool		 defer_overdue(struct defer *d, monotime_t now,
		    uint32_t *packet);
/* When defer_overdue() will have one; MONOTIME_NEVER. */
monotime_t	 defer_next(const struct defer *d);

#endif
