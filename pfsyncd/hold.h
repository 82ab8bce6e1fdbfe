/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: does pfsyncd demote this node, why, and does it have the states?  No
 * I/O, no clock: what the cores say goes in, what carpd is told comes out.
 */
#ifndef PFSYNCD_HOLD_H
#define PFSYNCD_HOLD_H

#include <stdbool.h>

#include "../common/monotime.h"

#define HOLD_PATIENCE	(100 * MONOTIME_MSEC)	/* before liberal demotes */
#define HOLD_FIRST	MONOTIME_SEC	/* at start, for others' word */

enum hold_reason {
	HOLD_NONE,
	HOLD_LIBERAL,	/* the kernel is not yet liberal with our windows */
	HOLD_SYNCDEV,	/* it has no carrier */
	HOLD_BULK,	/* the states are not all here */
	HOLD_REASONS
};
/* As in the ledger of carpd; "" for HOLD_NONE. */
extern const char *const hold_reason_names[HOLD_REASONS];
/*
 * By how much each demotes, as on OpenBSD: by 32 while states are on their way
 * ("pfsync start"), by 1 for the sync link ("pfsync link state down").
 */
extern const int	 hold_amounts[HOLD_REASONS];

struct hold {
	monotime_t	 start;		/* of this process */
	monotime_t	 liberal;	/* a reason since then; or never */
	bool		 synced;	/* stays so */
};

/* What is so at this moment. */
struct hold_in {
	enum hold_reason repl;		/* repl_hold() */
	bool		 synced;	/* repl_synced() */
	bool		 carp_heard;	/* carpd has said what we are */
	unsigned int	 masters;	/* vhids that are MASTER here */
	bool		 pf;		/* a pf dialect is spoken: */
	unsigned int	 pf_bulk;	/* pfdial_bulk_state() */
	bool		 link_told;	/* whether syncdev has a carrier */
};

void		 hold_init(struct hold *h, monotime_t start);
/*
 * Why the node is to be demoted now, and h->synced.  *next: when to ask again
 * though nothing happens; MONOTIME_NEVER: need not be.
 */
enum hold_reason hold_step(struct hold *h, const struct hold_in *in,
		    monotime_t now, monotime_t *next);

#endif
