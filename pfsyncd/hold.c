/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: when a reason to demote this node becomes a demotion (hold.h).
 */
#include "hold.h"
#include "msgs.h"

const char *const hold_reason_names[HOLD_REASONS] = {
	[HOLD_NONE] = "",
	[HOLD_LIBERAL] = "liberal",
	[HOLD_SYNCDEV] = "syncdev",
	[HOLD_BULK] = "bulk",
};
const int hold_amounts[HOLD_REASONS] = {
	[HOLD_LIBERAL] = 32,
	[HOLD_SYNCDEV] = 1,
	[HOLD_BULK] = 32,
};

void
hold_init(struct hold *h, monotime_t start)
{
	h->start = start;
	h->liberal = MONOTIME_NEVER;
	h->synced = false;
}

/* A MASTER does not wait for a bulk update: it is where traffic passes. */
static bool
pf_waits(const struct hold_in *in)
{
	return (in->pf && in->masters == 0 && (in->pf_bulk == SYNC_BULK_WAIT ||
	    in->pf_bulk == SYNC_BULK_RUNNING));
}

/* Is `at` still to come?  Then that is when to ask again. */
static bool
until(monotime_t at, monotime_t now, monotime_t *next)
{
	if (monotime_cmp(now, at) >= 0)
		return (false);
	if (monotime_cmp(at, *next) < 0)
		*next = at;
	return (true);
}

enum hold_reason
hold_step(struct hold *h, const struct hold_in *in, monotime_t now,
    monotime_t *next)
{
	enum hold_reason why = in->repl;

	*next = MONOTIME_NEVER;
	if (why != HOLD_LIBERAL)
		h->liberal = MONOTIME_NEVER;
	else if (!monotime_isset(h->liberal))
		h->liberal = now;
	/*
	 * Mostly over in some milliseconds, in which the other vhids of this
	 * node leave MASTER: one that is demoted just then would advertise, and
	 * take its MAC back from the successor.
	 */
	if (why == HOLD_LIBERAL &&
	    until(monotime_add(h->liberal, HOLD_PATIENCE), now, next))
		why = HOLD_NONE;
	if (why == HOLD_NONE && pf_waits(in))
		why = HOLD_BULK;
	/*
	 * A restart must not move a MASTER: first hear what we are, and how
	 * the link is.
	 */
	if (why != HOLD_NONE &&
	    !(why == HOLD_SYNCDEV ? in->link_told : in->carp_heard) &&
	    until(monotime_add(h->start, HOLD_FIRST), now, next))
		why = HOLD_NONE;
	/*
	 * With that the start's demotion ends, and the node may preempt at
	 * once: not before its own kernel is liberal, however soon that is.
	 */
	h->synced |= in->synced && in->repl != HOLD_LIBERAL &&
	    (!in->pf || in->pf_bulk >= SYNC_BULK_DONE);
	return (why);
}
