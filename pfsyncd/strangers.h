/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: senders whose packets we do not take, and why: a wrong key, a dialect
 * that is not spoken here.  An operator who gave two nodes two keys reads it
 * here.  Source addresses are easily forged: the table has an end, and the
 * sender heard longest ago makes room.
 */
#ifndef PFSYNCD_STRANGERS_H
#define PFSYNCD_STRANGERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "../common/monotime.h"
#include "msgs.h"

#define STRANGERS_MAX	16
#define STRANGERS_SAY	(60 * MONOTIME_SEC)	/* between lines of one */
#define STRANGERS_FORGET (3600 * MONOTIME_SEC)	/* not shown any more */

struct stranger {
	struct ipaddr	 addr;
	enum sync_why	 why;
	uint64_t	 packets;
	uint64_t	 unsaid;	/* of them, since the last line */
	monotime_t	 heard;
	monotime_t	 said;		/* when the last line was due */
};

struct strangers {
	struct stranger	 s[STRANGERS_MAX];
	size_t		 n;
};

/*
 * A packet from addr was not taken.  NULL, or the entry of which a line is to
 * be logged now: the first time, then once a minute; *more is how many
 * packets came since the line before, this one not counted.
 */
const struct stranger *strangers_note(struct strangers *t,
		    const struct ipaddr *addr, enum sync_why why,
		    monotime_t now, uint64_t *more);
/* Entry n (0 ..) that is not yet forgotten; NULL: no more. */
const struct stranger *strangers_get(const struct strangers *t, size_t n,
		    monotime_t now);

#endif
