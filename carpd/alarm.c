/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The alarm that two are MASTER (split.h): it is logged whatever the level of
 * net.inet.carp.log, and when it is over, and we are still MASTER, the
 * addresses are announced again: switches may look for them at the other port.
 */
#include "../common/log.h"
#include "engine.h"

static void
look_again(struct engine *e, monotime_t at)
{
	if (monotime_cmp(at, e->split_at) >= 0)
		return;
	e->split_at = at;
	ev_timer_at(e->split_timer, at);
}

static void
begins(struct node *n)
{
	const struct split *s = &n->split;
	const char *name = n->vif->c.name;
	char who[IPADDR_STRLEN];

	look_again(n->eng, s->end);
	if (!s->told)
		return;
	(void)ipaddr_print(&s->who, who, sizeof(who));
	log_at(LOG_CRIT, "%s: split brain: %s is MASTER of vhid %d, too%s",
	    name, who, n->conf.vhid, s->verified ? "" :
	    ", with another pass or address list");
	engine_notify(n->eng, "%s: split brain: %s is MASTER of vhid %d, too",
	    name, who, n->conf.vhid);
}

void
alarm_claim(struct node *n, const struct ipaddr *who, bool verified,
    uint8_t advbase, uint8_t advskew)
{
	if (split_claim(&n->split, who, verified, vhost_interval_of(advbase,
	    advskew), monotime_now()))
		begins(n);
}

void
alarm_end(struct node *n)
{
	const char *name = n->vif->c.name;
	bool master = n->v.state == VHOST_MASTER;

	if (n->split.on && n->split.told) {
		log_warnx("%s: split brain of vhid %d is over: %s", name,
		    n->conf.vhid, master ? "we are the only MASTER" :
		    "we are not MASTER any more");
		engine_notify(n->eng, "%s: split brain of vhid %d is over",
		    name, n->conf.vhid);
	}
	split_end(&n->split);
}

static void
look(struct node *n, monotime_t now)
{
	if (!n->split.on)
		return;
	if (!split_silent(&n->split, now)) {
		look_again(n->eng, n->split.end);
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
