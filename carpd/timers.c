/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The timers of all vhids in one tree, behind one timer of the event loop.
 * What is due at about the same time runs in one round: advertisements a
 * little early (vhost_early()), so that hundreds of vhids cost a few wake-ups
 * a second and stay together from then on.  How late each ran is counted.
 */
#include <stdlib.h>

#include "engine.h"

#define STARVED	(100 * MONOTIME_MSEC)
#define ROUND	256	/* timers fired before frames are looked at again */

static int
timer_cmp(const struct node_timer *a, const struct node_timer *b)
{
	int r = monotime_cmp(a->armed, b->armed);

	if (r != 0)
		return (r);
	return (a < b ? -1 : a > b);
}

RB_PROTOTYPE(node_timers, node_timer, entry, timer_cmp)
RB_GENERATE(node_timers, node_timer, entry, timer_cmp)

static const int64_t late_bounds[TIMERS_LATE_BUCKETS - 1] = {
	MONOTIME_MSEC / 10, MONOTIME_MSEC / 4, MONOTIME_MSEC / 2,
	MONOTIME_MSEC, 2 * MONOTIME_MSEC, 4 * MONOTIME_MSEC,
	8 * MONOTIME_MSEC
};

const char *const timers_late_names[TIMERS_LATE_BUCKETS] = {
	"0.1ms", "0.25ms", "0.5ms", "1ms", "2ms", "4ms", "8ms", "more"
};

void
timers_settle(struct engine *e)
{
	const struct node_timer *t = RB_MIN(node_timers, &e->timers);
	monotime_t at = t == NULL ? MONOTIME_NEVER : t->armed;

	if (monotime_cmp(at, e->timers_at) == 0)
		return;
	e->timers_at = at;
	ev_timer_at(e->timers_ev, at);
}

void
timers_arm(struct node_timer *t, monotime_t at)
{
	struct engine *e = t->node->eng;

	if (monotime_cmp(t->armed, at) == 0)
		return;
	if (monotime_isset(t->armed))
		RB_REMOVE(node_timers, &e->timers, t);
	t->armed = at;
	if (monotime_isset(at))
		RB_INSERT(node_timers, &e->timers, t);
	if (!tx_is_open(e))
		timers_settle(e);
}

void
timers_starved(struct starved *s, int64_t late)
{
	s->at[s->n++ % ENGINE_STARVED_MAX] = monotime_now();
	if (late > s->worst)
		s->worst = late;
}

/* More than any scheduler does, and enough that peers begin to wonder. */
static bool
much(const struct node *n, int64_t late)
{
	return (late > STARVED && late > vhost_interval(&n->conf, &n->v) / 2);
}

static void
count_late(struct node_timer *t, int64_t late)
{
	struct engine *e = t->node->eng;
	struct timers_late *l = &e->late[t->which == VHOST_TIMER_AD ?
	    TIMERS_AD : TIMERS_MD];
	size_t i;

	for (i = 0; i < TIMERS_LATE_BUCKETS - 1; i++)
		if (late < late_bounds[i])
			break;
	l->bucket[i]++;
	if (late > l->max)
		l->max = late;
	if (much(t->node, late))
		timers_starved(&e->starved, late);
}

static bool
timer_due(const struct node_timer *t, monotime_t now)
{
	int64_t early = 0;

	if (!monotime_isset(t->armed))
		return (false);
	if (t->which == VHOST_TIMER_AD)
		early = vhost_early(&t->node->conf, &t->node->v);
	return (monotime_sub(t->armed, now) <= early);
}

/* By carpdev, so that the frames of each go out together; then by time. */
static int
by_dev(const void *a, const void *b)
{
	const struct node_timer *x = *(struct node_timer *const *)a;
	const struct node_timer *y = *(struct node_timer *const *)b;

	if (x->node->vif->dev != y->node->vif->dev)
		return (x->node->vif->dev < y->node->vif->dev ? -1 : 1);
	return (timer_cmp(x, y));
}

static size_t
collect(struct engine *e, monotime_t now, struct node_timer **due)
{
	monotime_t end = monotime_add(now, VHOST_EARLY_MAX);
	struct node_timer *t;
	size_t n = 0;

	RB_FOREACH(t, node_timers, &e->timers) {
		if (n == ROUND || monotime_cmp(t->armed, end) > 0)
			break;
		if (timer_due(t, now))
			due[n++] = t;
	}
	/* asks for the memory of one entry, qsort() perhaps of all */
	(void)heapsort(due, n, sizeof(*due), by_dev);
	return (n);
}

/*
 * Before anybody takes a master for dead: what it said may wait in the socket,
 * because it was us who were late.
 */
static void
listen_first(struct node_timer *const *due, size_t n)
{
	const struct dev *last = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		struct dev *d = due[i]->node->vif->dev;

		if ((due[i]->which != VHOST_TIMER_MD4 &&
		    due[i]->which != VHOST_TIMER_MD6) || d == last)
			continue;
		last = d;
		rx_drain(d);
	}
}

static void
fire(struct node_timer *t)
{
	monotime_t now = monotime_now(), at = t->armed;

	if (!timer_due(t, now))		/* an event of this round moved it */
		return;
	RB_REMOVE(node_timers, &t->node->eng->timers, t);
	t->armed = MONOTIME_NEVER;
	if (t->which != VHOST_TIMER_DRAIN)
		count_late(t, monotime_sub(now, at));
	node_timer(t->node, t->which);
}

static void
run(void *arg)
{
	struct node_timer *due[ROUND];
	struct engine *e = arg;
	size_t i, n;

	e->timers_at = MONOTIME_NEVER;
	tx_open(e);
	n = collect(e, monotime_now(), due);
	listen_first(due, n);
	for (i = 0; i < n; i++)
		fire(due[i]);
	tx_close(e);
}

void
timers_init(struct engine *e)
{
	RB_INIT(&e->timers);
	e->timers_at = MONOTIME_NEVER;
	e->timers_ev = ev_timer_new(run, e);
}
