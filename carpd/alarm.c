/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The alarm that two are MASTER (split.h): it is logged whatever the level of
 * net.inet.carp.log, and when it is over, and we are still MASTER, the
 * addresses are announced again: switches may look for them at the other port.
 * The other one is heard, or, if their network does not pass anything on, only
 * pfsyncd hears of it over the sync link.
 */
#include <stdio.h>

#include "../common/log.h"
#include "engine.h"

#define UNHEARD_INTERVAL MONOTIME_SEC	/* pfsyncd repeats it twice as often */

static void
look_again(struct engine *e, monotime_t at)
{
	if (monotime_cmp(at, e->split_at) >= 0)
		return;
	e->split_at = at;
	ev_timer_at(e->split_timer, at);
}

static void
begins(struct node *n, const struct split *s, const char *how)
{
	const char *name = n->vif->c.name;
	char who[IPADDR_STRLEN];

	look_again(n->eng, s->end);
	ctl_changed(n->eng);
	if (!s->told)
		return;
	(void)ipaddr_print(&s->who, who, sizeof(who));
	log_at(LOG_CRIT, "%s: split brain: %s is MASTER of vhid %d, too%s",
	    name, who, n->conf.vhid, how);
	engine_notify(n->eng, "%s: split brain: %s is MASTER of vhid %d, too%s",
	    name, who, n->conf.vhid, how);
}

void
alarm_claim(struct node *n, const struct ipaddr *who, bool verified,
    uint8_t advbase, uint8_t advskew)
{
	if (!split_claim(&n->split, who, verified, vhost_interval_of(advbase,
	    advskew), SPLIT_CONFIRM, monotime_now()))
		return;
	split_end(&n->unheard);
	begins(n, &n->split, verified ? "" :
	    ", with another pass or address list");
}

void
alarm_unheard(struct node *n, const struct ipaddr *who)
{
	const struct split *heard = &n->split;
	monotime_t now = monotime_now();
	char how[80];

	if (n->v.state != VHOST_MASTER || (!n->unheard.on &&
	    heard->who.af != 0 && !split_silent(heard, now)))
		return;
	if (!split_claim(&n->unheard, who, false, UNHEARD_INTERVAL,
	    SPLIT_CONFIRM_TOLD, now))
		return;
	(void)snprintf(how, sizeof(how), ", and not heard on %s, but by "
	    "pfsyncd", n->vif->dev->name);
	begins(n, &n->unheard, how);
}

const struct split *
alarm_split(const struct node *n)
{
	return (n->split.on ? &n->split : n->unheard.on ? &n->unheard : NULL);
}

static void
tell_end(struct node *n)
{
	const char *name = n->vif->c.name;

	log_warnx("%s: split brain of vhid %d is over: %s", name, n->conf.vhid,
	    n->v.state != VHOST_MASTER ? "we are not MASTER any more" :
	    n->split.on ? "we are the only MASTER" :
	    "pfsyncd hears of no other MASTER any more");
	engine_notify(n->eng, "%s: split brain of vhid %d is over", name,
	    n->conf.vhid);
}

void
alarm_end(struct node *n)
{
	const struct split *s = alarm_split(n);

	if (s != NULL) {
		ctl_changed(n->eng);
		if (s->told)
			tell_end(n);
	}
	split_end(&n->split);
	split_end(&n->unheard);
}

static void
look(struct node *n, monotime_t now)
{
	const struct split *s = alarm_split(n);

	if (s == NULL)
		return;
	if (!split_silent(s, now)) {
		look_again(n->eng, s->end);
		return;
	}
	alarm_end(n);
	node_announce(n);
}

void
alarm_look(void *arg)
{
	struct engine *e = arg;
	monotime_t now = monotime_now();
	struct vif *f;
	size_t i;

	e->split_at = MONOTIME_NEVER;
	tx_open(e);
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++)
			look(f->nodes[i], now);
	tx_close(e);
}
