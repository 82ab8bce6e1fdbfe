/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: first packets that are held back.  All wait equally long, so the
 * oldest is due first.
 */
#include <string.h>

#include "defer.h"

static void
drop(struct defer *d, size_t i)
{
	d->n--;
	memmove(&d->held[i], &d->held[i + 1],
	    (d->n - i) * sizeof(d->held[0]));
}

bool
defer_hold(struct defer *d, uint32_t packet, monotime_t now)
{
	if (d->n == DEFER_MAX) {
		d->overflow++;
		return (false);
	}
	d->held[d->n].packet = packet;
	d->held[d->n++].due = monotime_add(now, DEFER_TIME);
	return (true);
}

bool
defer_release(struct defer *d, const struct defer_go *go)
{
	size_t	 i;

	for (i = 0; i < d->n; i++)
		if (d->held[i].packet == go->packet) {
			drop(d, i);
			d->acked += go->why == DEFER_ACKED;
			d->overflow += go->why == DEFER_FULL;
			return (true);
		}
	return (false);
}

bool
defer_overdue(struct defer *d, monotime_t now, uint32_t *packet)
{
	if (d->n == 0 || monotime_cmp(d->held[0].due, now) > 0)
		return (false);
	*packet = d->held[0].packet;
	drop(d, 0);
	d->timed_out++;
	return (true);
}

monotime_t
defer_next(const struct defer *d)
{
	return (d->n == 0 ? MONOTIME_NEVER : d->held[0].due);
}
