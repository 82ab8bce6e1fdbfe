/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: is somebody else MASTER of a vhid of which we are MASTER, and goes on
 * being it?  One claim may be the last word of a master that yields; several,
 * for half a second, are a split; for longer where they do not come from its
 * network, but by way of pfsyncd.  It is over when nobody has claimed for as
 * long as three claims take.  For people and alarms only: no election hangs on
 * it.  Anybody can claim without our pass phrase: such a split is told once in
 * SPLIT_QUIET.
 */
#ifndef CARPD_SPLIT_H
#define CARPD_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "../common/monotime.h"

#define SPLIT_CONFIRM	(500 * MONOTIME_MSEC)
/* By pfsyncd's word, which comes every 500 ms: with the fourth. */
#define SPLIT_CONFIRM_TOLD (1250 * MONOTIME_MSEC)
#define SPLIT_SILENCE_MIN MONOTIME_SEC
/* Anybody can say that his interval is four minutes. */
#define SPLIT_SILENCE_MAX (60 * MONOTIME_SEC)
#define SPLIT_QUIET	(60 * MONOTIME_SEC)

struct split {			/* zeroed: nobody claims */
	struct ipaddr	 who;		/* the last one; af 0: nobody */
	bool		 verified;	/* with our pass phrase and addresses */
	bool		 on;		/* it is a split */
	bool		 told;		/* people are to hear of it */
	monotime_t	 quiet;		/* till then not of one that is not
					   verified; of all rows */
	monotime_t	 since;		/* first claim of this row */
	monotime_t	 end;		/* of the row, if nobody claims */
};

/*
 * Somebody claims, every `interval` ns, what we are MASTER of.  True when that
 * makes it a split, since such claims have come for `confirm` ns, or one to be
 * told.
 */
bool		 split_claim(struct split *s, const struct ipaddr *who,
		    bool verified, int64_t interval, int64_t confirm,
		    monotime_t now);
/* It is over, or we are not MASTER any more. */
void		 split_end(struct split *s);
/* Nobody has claimed for too long, so that a split is over? */
bool		 split_silent(const struct split *s, monotime_t now);

#endif
