/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carp interfaces: made, changed and removed by the configuration that the
 * parent sends; what does not change does not notice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "engine.h"

#define GROUPS_TIME	(MONOTIME_SEC / 2)	/* see vif_groups_cb() */
#define DESCRIBE_MAX	(40 + 4 * BALANCE_NODES)

struct vif *
vif_find(struct engine *e, const char *name)
{
	struct vif *f;

	TAILQ_FOREACH(f, &e->vifs, entry)
		if (!f->dying && strcmp(f->c.name, name) == 0)
			return (f);
	return (NULL);
}

bool
vif_has_peers(const struct vif *f, uint8_t af)
{
	size_t i;

	for (i = 0; i < f->c.npeers; i++)
		if (f->c.peers[i].af == af)
			return (true);
	return (false);
}

/* Nodes that leave it have a vif of the same name. */
bool
vif_needs_addrs(const struct vif *f, const struct node *n)
{
	const struct vif *g;
	size_t i;

	TAILQ_FOREACH(g, &f->eng->vifs, entry)
		for (i = 0; strcmp(g->c.name, f->c.name) == 0 &&
		    i < g->nnodes; i++)
			if (g->nodes[i] != n && g->nodes[i]->needs_addrs)
				return (true);
	return (false);
}

uint32_t
vif_mask(const struct vif *f)
{
	uint32_t mask = 0;
	size_t i;

	for (i = 0; i < f->nnodes; i++)
		if (f->nodes[i]->v.state == VHOST_MASTER)
			mask |= (uint32_t)1 << i;
	return (mask);
}

void
vif_count(struct engine *e, const struct msg_count *m)
{
	struct vif *f = vif_find(e, m->name);
	size_t i;

	for (i = 0; f != NULL && i < f->nnodes; i++)
		if (f->nodes[i]->conf.vhid == m->vhid) {
			f->nodes[i]->taken = m->taken;
			f->nodes[i]->dropped = m->dropped;
		}
}

monotime_t
vif_seen(const struct vif *f)
{
	if (f->c.balancing < BALANCE_IP || f->dev->slots == NULL)
		return ((monotime_t){ 0 });
	return (steer_slot_seen(f->dev->slots, f->c.vhids[0].vhid));
}

/* "balancing ip, vhids 3 4" */
static const char *
describe(const struct advert_group *g, char *buf, size_t size)
{
	size_t i, len;

	(void)snprintf(buf, size, "balancing %s, vhids",
	    g->mode > BALANCE_IP_UNICAST ? "unknown" :
	    balance_mode_names[g->mode]);
	for (i = 0; i < g->n; i++) {
		len = strlen(buf);
		(void)snprintf(buf + len, size - len, " %d", g->vhids[i]);
	}
	return (buf);
}

static void
tell_mate(const struct vif *f, const struct group_mate *m, unsigned int found)
{
	char addr[IPADDR_STRLEN], its[DESCRIBE_MAX], own[DESCRIBE_MAX];

	(void)ipaddr_print(&m->addr, addr, sizeof(addr));
	if ((found & GROUP_DIFFERS) != 0)
		log_warnx("%s: node %08x (%s) has %s; here it is %s",
		    f->c.name, m->node, addr,
		    describe(&m->says, its, sizeof(its)),
		    describe(&f->group.own, own, sizeof(own)));
	if ((found & GROUP_AGREES) != 0)
		log_info("%s: node %08x (%s) has %s now, as here", f->c.name,
		    m->node, addr, describe(&m->says, its, sizeof(its)));
	if ((found & GROUP_CUT) != 0)
		log_warnx("%s: frames for the MAC of the group do not arrive "
		    "on %s, node %08x (%s) knows of some: does the switch keep "
		    "them from this port?", f->c.name, f->dev->name, m->node,
		    addr);
}

void
vif_hear(struct vif *f, const struct advert_in *in, const struct ipaddr *src)
{
	monotime_t now = monotime_now();
	const struct group_mate *m;
	unsigned int found;

	found = group_hear(&f->group, in->node, src, &in->group, in->advbase,
	    vif_seen(f), now);
	if (found != 0 && (m = group_find(&f->group, in->node, now)) != NULL)
		tell_mate(f, m, found);
}

/* A node that is MASTER here; NULL: none. */
static struct node *
vif_master(const struct vif *f)
{
	size_t i;

	for (i = 0; i < f->nnodes; i++)
		if (f->nodes[i]->v.state == VHOST_MASTER)
			return (f->nodes[i]);
	return (NULL);
}

void
vif_groups_cb(void *arg)
{
	struct engine *e = arg;
	monotime_t now = monotime_now();
	unsigned int found;
	bool any = false;
	struct node *n;
	struct vif *f;

	TAILQ_FOREACH(f, &e->vifs, entry) {
		if (f->dying || f->c.balancing < BALANCE_IP)
			continue;
		any = true;
		n = vif_master(f);
		found = group_tick(&f->group, f->c.vhids[0].advbase, n != NULL,
		    vif_seen(f), now);
		if ((found & GROUP_ARRIVE) != 0)
			log_info("%s: frames for the MAC of the group arrive "
			    "on %s again", f->c.name, f->dev->name);
		if ((found & GROUP_PROBE) != 0)
			node_probe(n);
	}
	if (any)
		ev_timer_at(e->group_timer, monotime_add(now, GROUPS_TIME));
}

static void
vif_regroup(struct vif *f)
{
	uint8_t vhids[CONFIG_VHIDS_MAX];
	size_t i;

	for (i = 0; i < f->c.nvhids; i++)
		vhids[i] = f->c.vhids[i].vhid;
	group_conf(&f->group, f->c.balancing, vhids, f->c.nvhids);
}

static struct vif *
vif_new(struct engine *e, const struct config_iface *c)
{
	struct vif *f;
	size_t i;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("calloc");
	f->eng = e;
	f->c = *c;
	f->dev = dev_get(e, c->carpdev);
	for (i = 0; i < c->naddrs; i++)
		f->shown[i].plen = 255;
	(void)strlcpy(f->why, "carpdev is looked for", sizeof(f->why));
	vif_regroup(f);
	TAILQ_INSERT_TAIL(&e->vifs, f, entry);
	for (i = 0; i < c->nvhids; i++)
		node_new(f, &c->vhids[i]);
	return (f);
}

void
vif_free(struct vif *f)
{
	size_t i;

	hmac_wipe(f->c.pass, sizeof(f->c.pass));
	TAILQ_REMOVE(&f->eng->vifs, f, entry);
	for (i = 0; i < f->nnodes; i++)
		node_free(f->nodes[i]);
	free(f);
}

bool
vif_draining(const struct vif *f)
{
	size_t i;

	for (i = 0; i < f->nnodes; i++)
		if (monotime_isset(f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]))
			return (true);
	return (false);
}

void
vif_stop(struct vif *f, enum vhost_cause cause)
{
	size_t i;

	f->dying = true;
	for (i = 0; i < f->nnodes; i++) {
		f->nodes[i]->running = false;
		f->nodes[i]->why = "shutting down";
		node_simple_event(f->nodes[i], VHOST_EV_STOP, cause);
	}
	engine_sweep(f->eng);
}

/* Its successor takes the same slot: no time to drain. */
static void
vif_kill(struct vif *f)
{
	struct vhost_event ev;
	size_t i;

	if (!f->dying)
		vif_stop(f, VHOST_CAUSE_CONFIG);
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_TIMER;
	ev.timer = VHOST_TIMER_DRAIN;
	for (i = 0; i < f->nnodes; i++)
		if (monotime_isset(f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]))
			node_step(f->nodes[i], &ev,
			    f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]);
	vif_free(f);
}

/* A MASTER says nothing for as long as its interval is. */
static void
tell_silence(struct engine *e)
{
	int64_t ns, most = 0;
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++) {
			ns = vhost_masterdown(&f->nodes[i]->conf);
			most = ns > most ? ns : most;
		}
	if (e->auth != NULL)
		auth_silence(e->auth, most);
}

void
vif_changed(struct vif *f, bool timers)
{
	size_t i;

	for (i = 0; i < f->nnodes; i++) {
		struct node *n = f->nodes[i];
		struct vhost_conf was = n->conf;

		node_conf(n, &f->c.vhids[i]);
		node_variant(n);
		if (timers && (was.advbase != n->conf.advbase ||
		    was.advskew != n->conf.advskew ||
		    was.style_skew != n->conf.style_skew ||
		    was.style_byte != n->conf.style_byte))
			node_simple_event(n, VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
	}
	ledger_tell(f);
	tell_silence(f->eng);
}

/* The vhids of c: those that f has keep their nodes, the others get one. */
static void
vif_grow(struct vif *f, const struct config_iface *c)
{
	struct node *had[CONFIG_VHIDS_MAX];
	size_t i, k = 0, n = f->nnodes;

	memcpy(had, f->nodes, sizeof(had));
	f->nnodes = 0;
	for (i = 0; i < c->nvhids; i++)
		if (k < n && had[k]->conf.vhid == c->vhids[i].vhid)
			f->nodes[f->nnodes++] = had[k++];
		else
			node_new(f, &c->vhids[i]);
	vif_regroup(f);
}

static void
vif_update(struct vif *f, const struct config_iface *c, unsigned int diff)
{
	size_t i;

	if (diff == 0)
		return;
	f->c = *c;
	if ((diff & CONFIG_DIFF_VHIDS) != 0)
		vif_grow(f, c);
	/* demote-style is in advskew, and so in the interval */
	vif_changed(f, (diff & (CONFIG_DIFF_TIMERS | CONFIG_DIFF_STYLE)) != 0);
	/* in the last words, too */
	diff &= CONFIG_DIFF_PEERS | CONFIG_DIFF_VHIDS;
	for (i = 0; diff != 0 && i < f->nnodes; i++)
		if (f->nodes[i]->running)
			node_deposit(f->nodes[i]);
}

static void
apply_iface(struct engine *e, const struct config_iface *c)
{
	struct vif *f = vif_find(e, c->name);
	unsigned int diff;

	if (f != NULL) {
		f->down = false;
		diff = config_iface_diff(&f->c, c);
		if ((diff & CONFIG_DIFF_IDENTITY) == 0) {
			vif_update(f, c, diff);
			return;
		}
		vif_kill(f);
	}
	(void)vif_new(e, c);
}

/* To another carpdev, with all that carpctl changed. */
static struct vif *
vif_move(struct vif *f, const char *carpdev)
{
	struct engine *e = f->eng;
	struct config_iface c = f->c;
	struct dev *old = f->dev;
	bool down = f->down;

	(void)strlcpy(c.carpdev, carpdev, sizeof(c.carpdev));
	vif_kill(f);
	f = vif_new(e, &c);
	f->down = down;
	hmac_wipe(c.pass, sizeof(c.pass));
	ledger_move(f, old);
	ctl_changed(e);
	if (kif_dump(e->kif) == -1)
		log_warn("interface dump");
	return (f);
}

void
vif_chosen(struct engine *e, const struct msg_chosen *m, uint32_t generation)
{
	struct vif *f = vif_find(e, m->name);

	e->generation = generation;
	e->want_ready = true;
	engine_sweep(e);
	if (f == NULL)
		return;
	if (strcmp(f->c.carpdev, m->carpdev) != 0)
		f = vif_move(f, m->carpdev);
	(void)strlcpy(f->why, m->why, sizeof(f->why));
	dev_eval(f->dev);
}

/* Does c want a vhid of f's carpdev that f has? */
static bool
vif_succeeded(const struct vif *f, const struct config *c)
{
	size_t i, k, n;

	for (n = 0; n < c->nifaces; n++) {
		const struct config_iface *ci = &c->ifaces[n];

		if (strcmp(ci->carpdev, f->dev->name) != 0)
			continue;
		for (i = 0; i < f->nnodes; i++)
			for (k = 0; k < ci->nvhids; k++)
				if (ci->vhids[k].vhid ==
				    f->nodes[i]->conf.vhid)
					return (true);
	}
	return (false);
}

static void
vif_leave(struct vif *f, const struct config *c)
{
	if (vif_succeeded(f, c))
		vif_kill(f);
	else if (!f->dying)
		vif_stop(f, VHOST_CAUSE_CONFIG);
}

static bool
has_vhid(const struct config_iface *c, uint8_t vhid)
{
	size_t i;

	for (i = 0; i < c->nvhids; i++)
		if (c->vhids[i].vhid == vhid)
			return (true);
	return (false);
}

/* Nodes that its configuration no longer has leave, as a vif of their own. */
static void
vif_shrink(struct vif *f, const struct config_iface *ci, const struct config *c)
{
	struct vif *g;
	size_t i, n = 0;

	if ((g = calloc(1, sizeof(*g))) == NULL)
		fatal("calloc");
	g->eng = f->eng;
	g->c = f->c;
	g->dev = f->dev;
	g->group = f->group;
	for (i = 0; i < f->nnodes; i++) {
		if (has_vhid(ci, f->nodes[i]->conf.vhid)) {
			f->nodes[n++] = f->nodes[i];
			continue;
		}
		f->nodes[i]->vif = g;
		g->nodes[g->nnodes++] = f->nodes[i];
	}
	f->nnodes = n;
	TAILQ_INSERT_TAIL(&f->eng->vifs, g, entry);
	vif_leave(g, c);
}

/* What goes, and what still drains, makes room (vhids) for what comes. */
static void
apply_removals(struct engine *e, const struct config *c)
{
	const struct config_iface *ci;
	struct vif *f, *next;

	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next) {
		ci = f->dying ? NULL : config_find_iface(c, f->c.name);
		if (ci == NULL)
			vif_leave(f, c);
		else if ((config_iface_diff(&f->c, ci) &
		    (CONFIG_DIFF_VHIDS | CONFIG_DIFF_IDENTITY)) ==
		    CONFIG_DIFF_VHIDS)
			vif_shrink(f, ci, c);
	}
}

static bool
group_stays(const char *name, const struct config *c)
{
	size_t i;

	for (i = 0; i < c->ngroups; i++)
		if (strcmp(c->groups[i].name, name) == 0)
			return (true);
	return (false);
}

static void
apply_groups(struct engine *e, const struct config *c)
{
	size_t i;

	for (i = 0; i < e->ngroups; i++)
		if (!group_stays(e->groups[i].name, c))
			(void)ledger_set(e, "configuration",
			    e->groups[i].name, "group", 0, 0);
	free(e->groups);
	e->groups = NULL;
	e->ngroups = c->ngroups;
	if (c->ngroups != 0) {
		e->groups = reallocarray(NULL, c->ngroups, sizeof(*e->groups));
		if (e->groups == NULL)
			fatal("reallocarray");
		memcpy(e->groups, c->groups, c->ngroups * sizeof(*e->groups));
	}
	for (i = 0; i < e->ngroups; i++)
		(void)ledger_set(e, "configuration", e->groups[i].name,
		    "group", (int)e->groups[i].demote, 0);
}

/*
 * Other keys: what was made with the old ones is made anew, and who has not
 * met us by these may.
 */
static void
apply_auth(struct engine *e, const struct auth_conf *c)
{
	struct vif *f;
	size_t i;

	if (e->auth == NULL || !auth_changed(e->auth, c))
		return;
	auth_conf(e->auth, c);
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++)
			node_rekeyed(f->nodes[i]);
}

static void
apply_global(struct engine *e, const struct config_global *g)
{
	bool preempt = e->g.preempt != g->preempt;
	struct vif *f;

	e->g = *g;
	engine_allow(e, g->allow != 0);
	if (!preempt)
		return;
	TAILQ_FOREACH(f, &e->vifs, entry)
		vif_changed(f, false);
}

void
vif_apply(struct engine *e, const struct config *c)
{
	bool waits = e->g.sync_wait != 0;
	struct dev *d;
	size_t i;

	apply_global(e, &c->g);
	apply_auth(e, &c->auth);
	apply_removals(e, c);
	for (i = 0; i < c->nifaces; i++)
		apply_iface(e, &c->ifaces[i]);
	tell_silence(e);
	apply_groups(e, c);
	e->configured = true;
	/* from now on the time ends it, see ledger_startup() */
	if (!waits && c->g.sync_wait != 0 && demote_get(&e->ledger, "carpd",
	    "carp", "startup") != 0)
		(void)ledger_set(e, "carpd", "carp", "startup",
		    DEMOTE_STARTUP, (int64_t)c->g.sync_wait * MONOTIME_SEC);
	TAILQ_FOREACH(d, &e->devs, entry) {
		ledger_dev(d);
		dev_eval(d);
	}
	ledger_startup(e);
	ctl_changed(e);
	ev_timer_at(e->group_timer, monotime_now());
	e->want_ready = true;
	engine_sweep(e);
	if (kif_dump(e->kif) == -1)
		log_warn("interface dump");
}
