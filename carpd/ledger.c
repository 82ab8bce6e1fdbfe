/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What the demotion ledger (demote.c) means to the engine: who holds what
 * against which group, the log lines of carp(4), and telling the vhids.
 */
#include <string.h>

#include "../common/log.h"
#include "engine.h"

int
ledger_vif(const struct vif *f)
{
	return (demote_iface(&f->eng->ledger, &f->c));
}

void
ledger_tell(struct vif *f)
{
	struct vhost_event ev;
	size_t i;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_DEMOTE;
	for (i = 0; i < f->nnodes; i++) {
		/* sending may fail and so change it meanwhile */
		ev.demotion = ledger_vif(f);
		if (f->nodes[i]->v.demotion != ev.demotion)
			node_event(f->nodes[i], &ev);
	}
}

static bool
vif_in_group(const struct vif *f, const char *group)
{
	size_t i;

	for (i = 0; i < f->c.ngroups; i++)
		if (strcmp(f->c.groups[i], group) == 0)
			return (true);
	return (false);
}

static void
log_demotion(struct engine *e, const char *owner, const char *group,
    const char *reason, int delta)
{
	int total = demote_group(&e->ledger, group);

	engine_log(e, LOG_ERR, "carp: %s demoted group %s by %d to %d (%s)",
	    owner, group, delta, total, reason);
	engine_notify(e, "carp: %s demoted group %s by %d to %d (%s)",
	    owner, group, delta, total, reason);
}

static void
ledger_arm(struct engine *e)
{
	monotime_t next = demote_next(&e->ledger);

	if (monotime_isset(next))
		ev_timer_at(e->ledger_timer, next);
	else
		ev_timer_stop(e->ledger_timer);
}

static void
group_changed(struct engine *e, const char *group)
{
	struct vif *f;

	tx_open(e);
	TAILQ_FOREACH(f, &e->vifs, entry)
		if (vif_in_group(f, group))
			ledger_tell(f);
	tx_close(e);
}

bool
ledger_set(struct engine *e, const char *owner, const char *group,
    const char *reason, int amount, int64_t lifetime)
{
	monotime_t now = monotime_now(), expiry = MONOTIME_NEVER;
	int delta;

	if (lifetime > 0 && amount > 0)
		expiry = monotime_add(now, lifetime);
	delta = demote_set(&e->ledger, owner, group, reason, amount, now,
	    expiry);
	if (delta == INT32_MIN) {
		log_warnx("demotion ledger refused %s for %s (%s)", group,
		    owner, reason);
		return (false);
	}
	ledger_arm(e);
	if (delta != 0) {
		log_demotion(e, owner, group, reason, delta);
		group_changed(e, group);
	}
	return (true);
}

void
ledger_expire(void *arg)
{
	struct engine *e = arg;
	struct demote_entry gone;

	while (demote_expire(&e->ledger, monotime_now(), &gone)) {
		log_demotion(e, gone.owner, gone.group, gone.reason,
		    -gone.amount);
		group_changed(e, gone.group);
	}
	ledger_arm(e);
}

/* Interfaces on d that are in the group. */
static int
dev_group_size(const struct dev *d, const char *group)
{
	const struct vif *f;
	int n = 0;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		n += f->dev == d && !f->dying && vif_in_group(f, group);
	return (n > DEMOTE_MAX ? DEMOTE_MAX : n);
}

/* Is there a vhid on d that runs, or will when it has an address? */
static bool
dev_speaks(const struct dev *d)
{
	const struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && !f->dying && !f->down &&
		    i < f->nnodes; i++)
			if (f->nodes[i]->conf.v4 || f->nodes[i]->conf.v6)
				return (d->eng->allow);
	return (false);
}

/* Who holds it; no interface has a blank in its name. */
static const char *
dev_owner(const struct dev *d)
{
	return (d->name[0] != '\0' ? d->name : "carpdev none");
}

/*
 * What carpdev's loss holds against the groups of the interfaces on it: one
 * for each interface (ip_carp.c: carp_carpdev_state).  A link that is back is
 * not yet a way: switch ports take their time.  So it is held until somebody
 * was heard there, or nobody for a master-down time; otherwise the other
 * networks would come back to a node that cannot pass anything on.
 */
void
ledger_dev(struct dev *d)
{
	struct engine *e = d->eng;
	const char *owner = dev_owner(d);
	bool lost = d->ifindex == 0 || (d->link_known && !d->link);
	bool unsure = !lost && !d->proven && dev_speaks(d);
	struct vif *f;
	size_t i;

	/* Groups that nobody on d is in any more, after a reload. */
	for (i = 0; i < e->ledger.size; i++) {
		struct demote_entry old = e->ledger.e[i];

		if (old.amount != 0 && strcmp(old.owner, owner) == 0 &&
		    strcmp(old.reason, "carpdev") == 0 &&
		    dev_group_size(d, old.group) == 0)
			(void)ledger_set(e, owner, old.group, "carpdev",
			    0, 0);
	}
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; f->dev == d && !f->dying && i < f->c.ngroups; i++)
			(void)ledger_set(e, owner, f->c.groups[i],
			    "carpdev", lost || (unsure && demote_get(
			    &e->ledger, owner, f->c.groups[i], "carpdev") >
			    0) ? dev_group_size(d, f->c.groups[i]) : 0, 0);
}

/* The new one is not yet a way, either; it holds before the old one lets go. */
void
ledger_move(const struct vif *f, struct dev *from)
{
	struct engine *e = f->eng;
	struct dev *to = f->dev;
	const char *group;
	size_t i;

	for (i = 0; i < f->c.ngroups; i++) {
		group = f->c.groups[i];
		if (demote_get(&e->ledger, dev_owner(from), group,
		    "carpdev") > 0 && demote_get(&e->ledger, dev_owner(to),
		    group, "carpdev") == 0)
			(void)ledger_set(e, dev_owner(to), group, "carpdev",
			    1, 0);
	}
	ledger_dev(to);
	ledger_dev(from);
}

static bool
dev_waits(const struct dev *d)
{
	const struct vif *f;
	size_t i;

	if (d->ifindex == 0 || (d->link_known && (!d->link || d->proven)))
		return (false);
	if (!d->link_known)
		return (true);
	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			if (f->nodes[i]->running)
				return (true);
	return (false);
}

/*
 * Ready: every carpdev that is there has shown that it passes something, and
 * the states are in where they are waited for.
 */
void
ledger_startup(struct engine *e)
{
	struct dev *d;

	if (!e->configured || (e->g.sync_wait != 0 && !e->synced) ||
	    demote_get(&e->ledger, "carpd", "carp", "startup") == 0)
		return;
	/* addresses come after links: who lacks a source may have one soon */
	if (!kif_idle(e->kif))
		return;
	TAILQ_FOREACH(d, &e->devs, entry)
		if (dev_waits(d))
			return;
	(void)ledger_set(e, "carpd", "carp", "startup", 0, 0);
}
