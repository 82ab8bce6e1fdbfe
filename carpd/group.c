/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See group.h.
 */
#include <string.h>

#include "group.h"

#define PERIOD		3	/* advertisements */
#define SLACK		(MONOTIME_SEC / 2)
#define KEEP_MIN	(60 * MONOTIME_SEC)

void
group_conf(struct group *g, enum balance_mode mode, const uint8_t *vhids,
    size_t n)
{
	struct group_mate	*m;

	memset(g->own.vhids, 0, sizeof(g->own.vhids));
	g->own.mode = (uint8_t)mode;
	g->own.n = (uint8_t)n;
	memcpy(g->own.vhids, vhids, n);
	g->missed = 0;
	g->cut = false;
	for (m = g->mates; m < g->mates + GROUP_MATES; m++)
		m->grown = (monotime_t){ 0 };
}

int64_t
group_period(uint8_t advbase)
{
	return ((advbase == 0 ? 1 : PERIOD * advbase) * MONOTIME_SEC);
}

int64_t
group_keep(uint8_t advbase)
{
	int64_t	 some = 2 * group_period(advbase);

	return (some < KEEP_MIN ? KEEP_MIN : some);
}

static bool
same(const struct advert_group *a, const struct advert_group *b)
{
	return (a->mode == b->mode && a->n == b->n &&
	    memcmp(a->vhids, b->vhids, a->n) == 0);
}

static bool
lately(const struct group_mate *m, monotime_t now)
{
	return (monotime_sub(now, m->heard) < m->keep);
}

/* Its place, begun anew after a silence, or one that is given to it. */
static struct group_mate *
place(struct group *g, uint32_t node, monotime_t now)
{
	struct group_mate	*m, *old = g->mates;

	for (m = g->mates; m < g->mates + GROUP_MATES; m++) {
		if (m->node == node) {
			old = m;
			break;
		}
		if (monotime_cmp(m->heard, old->heard) < 0)
			old = m;
	}
	if (old->node != node || !lately(old, now))
		memset(old, 0, sizeof(*old));
	old->node = node;
	return (old);
}

/*
 * Its number has grown again.  Of what it sent before the last time something
 * should have come, or any other frame since; it probes at its own times.
 */
static unsigned int
judge(struct group *g, const struct group_mate *m, int64_t period,
    monotime_t seen, monotime_t now)
{
	if (seen.ns != 0 && monotime_sub(m->grown, seen) <= period + SLACK) {
		g->missed = 0;
		return (0);
	}
	if (g->cut || ++g->missed < GROUP_MISSED)
		return (0);
	g->cut = true;
	g->since = now;
	return (GROUP_CUT);
}

unsigned int
group_hear(struct group *g, uint32_t node, const struct ipaddr *addr,
    const struct advert_group *says, uint8_t advbase, monotime_t seen,
    monotime_t now)
{
	struct group_mate	*m;
	unsigned int		 found = 0;
	bool			 grew, differed;

	if (says->n == 0)
		return (0);
	m = place(g, node, now);
	differed = m->differs;
	grew = m->says.n != 0 && m->says.probes != says->probes;
	m->addr = *addr;
	m->says = *says;
	m->heard = now;
	m->keep = group_keep(advbase);
	m->differs = !same(&g->own, says);
	if (m->differs != differed)
		found = m->differs ? GROUP_DIFFERS : GROUP_AGREES;
	if (!grew || m->differs || g->own.mode < BALANCE_IP)
		return (found);
	if (m->grown.ns != 0)
		found |= judge(g, m, group_period(advbase), seen, now);
	m->grown = now;
	return (found);
}

unsigned int
group_tick(struct group *g, uint8_t advbase, bool speaks, monotime_t seen,
    monotime_t now)
{
	unsigned int	 found = 0;

	if (g->own.mode < BALANCE_IP)
		return (0);
	if (g->cut && monotime_cmp(seen, g->since) > 0) {
		g->cut = false;
		g->missed = 0;
		found = GROUP_ARRIVE;
	}
	if (!speaks || monotime_cmp(now, g->next) < 0)
		return (found);
	g->next = monotime_add(now, group_period(advbase));
	g->own.probes++;
	return (found | GROUP_PROBE);
}

const struct group_mate *
group_find(const struct group *g, uint32_t node, monotime_t now)
{
	const struct group_mate	*m;

	for (m = g->mates; m < g->mates + GROUP_MATES; m++)
		if (node != 0 && m->node == node && lately(m, now))
			return (m);
	return (NULL);
}
