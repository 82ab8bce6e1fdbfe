/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine's answers to carpctl: one request, its objects, then CTL_END,
 * or CTL_OK or CTL_FAIL with a text; and to pfsyncd, whose connection may hold
 * a demotion, watch the number of MASTERs and tell who else is.  The mode of
 * the socket is the authority (carpctl(8)); a client that breaks the protocol
 * is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../common/log.h"
#include "../common/os/sandbox.h"
#include "engine.h"

#define OWNER_OPERATOR	"operator"
#define OWNER_PFSYNCD	"pfsyncd"
#define HOLD_TIME	120		/* s, at most, without `sync wait` */
#define STARVED_TIME	(600 * MONOTIME_SEC)	/* "of late" */
#define SENDERR_TIME	(3 * MONOTIME_SEC)
#define TRIALS_MAX	1024		/* a request may cost, 1 us each */
#define NELEM(a)	(sizeof(a) / sizeof((a)[0]))

static void
reply(struct control_client *cl, uint32_t type, const void *data, size_t len)
{
	control_reply(cl, type, data, len);
}

static void
ok(struct control_client *cl)
{
	reply(cl, IMSG_CTL_OK, NULL, 0);
}

static void fail(struct control_client *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
fail(struct control_client *cl, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply(cl, IMSG_CTL_FAIL, text, strlen(text));
}

/* A string field of a client, which may lack its NUL. */
static void
copy_field(char *dst, const char *src, size_t size)
{
	memcpy(dst, src, size);
	dst[size - 1] = '\0';
}

/* Milliseconds since 1970 of a monotonic time. */
static uint64_t
wall_of(monotime_t t)
{
	int64_t ago = monotime_sub(monotime_now(), t) / MONOTIME_MSEC;

	return (engine_wall_ms() - (uint64_t)(ago < 0 ? 0 : ago));
}

/* ---- show ---- */

static uint32_t
starved_of_late(const struct starved *s)
{
	monotime_t now = monotime_now();
	uint32_t k = 0;
	size_t i;

	for (i = 0; i < s->n && i < ENGINE_STARVED_MAX; i++)
		k += monotime_sub(now, s->at[i]) < STARVED_TIME;
	return (k);
}

static void
show_global(struct engine *e, struct control_client *cl)
{
	struct ctl_global g;

	memset(&g, 0, sizeof(g));
	g.now = engine_wall_ms() / 1000;
	g.node = e->nodeid;
	g.preempt = e->g.preempt;
	g.allow = e->allow;
	g.log = e->g.log;
	g.verbose = log_getverbose() > 0;
	g.uptime_ms = (uint64_t)(monotime_sub(monotime_now(), e->started) /
	    MONOTIME_MSEC);
	g.starved = starved_of_late(&e->starved);
	g.overslept = starved_of_late(&e->overslept);
	g.worst_ms = (uint64_t)(e->starved.worst / MONOTIME_MSEC);
	reply(cl, IMSG_CTL_GLOBAL, &g, sizeof(g));
}

static void
show_vhid(const struct vif *f, const struct node *n, struct control_client *cl)
{
	const struct split *split = alarm_split(n);
	struct ctl_vhid v;

	memset(&v, 0, sizeof(v));
	(void)strlcpy(v.name, f->c.name, sizeof(v.name));
	v.vhid = n->conf.vhid;
	v.advbase = n->conf.advbase;
	v.advskew = n->conf.advskew;
	v.state = (uint8_t)n->v.state;
	v.cause = (uint8_t)n->v.cause;
	v.sent_skew = vhost_skew(&n->conf, &n->v);
	v.sent_demote = n->conf.style_byte ? (uint8_t)n->v.demotion : 0;
	v.variant = (uint8_t)n->variant;
	v.since_ms = n->since_ms;
	v.transitions = n->v.transitions;
	balance_mac(f->c.balancing, f->c.vhids[0].vhid, n->conf.vhid,
	    v.lladdr);
	v.taken = n->taken;
	v.dropped = n->dropped;
	if (n->v.state == VHOST_INIT && n->why != NULL)
		(void)strlcpy(v.why, n->why, sizeof(v.why));
	if (n->v.state == VHOST_BACKUP && n->v.heard) {
		v.master = n->master;
		v.master_node = n->master_node;
		v.master_skew = n->master_rank;
	}
	if (split != NULL) {
		v.split = split->who;
		v.split_verified = split->verified;
		v.split_heard = split == &n->split;
		v.split_ms = wall_of(split->since);
	}
	reply(cl, IMSG_CTL_VHID, &v, sizeof(v));
}

static void
show_addrs(struct vif *f, struct control_client *cl)
{
	struct ctl_addr a;
	size_t k;

	for (k = 0; k < f->c.naddrs; k++) {
		memset(&a, 0, sizeof(a));
		(void)strlcpy(a.name, f->c.name, sizeof(a.name));
		a.addr = f->c.addrs[k];
		a.plen = f->shown[k].plen;
		a.balancing = f->c.balancing;
		a.nodes = (uint8_t)f->nnodes;
		a.mask = vif_mask(f);
		reply(cl, IMSG_CTL_ADDR, &a, sizeof(a));
	}
}

/* How long ago, in ms. */
static uint64_t
ago_ms(monotime_t t)
{
	return ((uint64_t)(monotime_sub(monotime_now(), t) / MONOTIME_MSEC));
}

static void
show_unlike_mates(const struct vif *f, struct control_client *cl)
{
	const struct group_mate *m;
	struct ctl_unlike u;

	for (m = f->group.mates; m < f->group.mates + GROUP_MATES; m++) {
		if (!m->differs ||
		    group_find(&f->group, m->node, monotime_now()) != m)
			continue;
		memset(&u, 0, sizeof(u));
		(void)strlcpy(u.name, f->c.name, sizeof(u.name));
		u.node = m->node;
		u.balancing = m->says.mode;
		u.nvhids = m->says.n;
		memcpy(u.vhids, m->says.vhids, sizeof(u.vhids));
		u.addr = m->addr;
		u.heard_ms = ago_ms(m->heard);
		reply(cl, IMSG_CTL_UNLIKE, &u, sizeof(u));
	}
}

static bool
peer_is_unlike(const struct peer *p)
{
	return (rx_unlike(p) && monotime_sub(monotime_now(), p->heard) <
	    group_keep(p->advbase));
}

/* Was it told because of a vhid before the node'th? */
static bool
told_before(const struct vif *f, size_t node, const struct peer *p)
{
	const struct peer *q;
	size_t i;

	for (i = 0; i < node; i++)
		for (q = f->nodes[i]->peers;
		    q < f->nodes[i]->peers + ENGINE_PEERS_MAX; q++)
			if (peer_is_unlike(q) &&
			    ipaddr_cmp(&q->addr, &p->addr) == 0)
				return (true);
	return (false);
}

static void
show_unlike_peers(const struct vif *f, struct control_client *cl)
{
	const struct peer *p;
	struct ctl_unlike u;
	size_t i;

	for (i = 0; i < f->nnodes; i++)
		for (p = f->nodes[i]->peers;
		    p < f->nodes[i]->peers + ENGINE_PEERS_MAX; p++) {
			if (!peer_is_unlike(p) || told_before(f, i, p))
				continue;
			memset(&u, 0, sizeof(u));
			(void)strlcpy(u.name, f->c.name, sizeof(u.name));
			u.drop = (uint8_t)p->drop;
			u.addr = p->addr;
			u.heard_ms = ago_ms(p->heard);
			reply(cl, IMSG_CTL_UNLIKE, &u, sizeof(u));
		}
}

static void
show_iface(struct vif *f, struct control_client *cl)
{
	const struct dev *d = f->dev;
	struct ctl_iface i;
	size_t k;

	memset(&i, 0, sizeof(i));
	(void)strlcpy(i.name, f->c.name, sizeof(i.name));
	(void)strlcpy(i.carpdev, f->c.carpdev, sizeof(i.carpdev));
	i.present = d->ifindex != 0;
	i.link = d->link;
	i.balancing = f->c.balancing;
	i.digest = f->c.digest;
	i.style = f->c.style;
	i.nvhids = f->c.nvhids;
	i.ngroups = f->c.ngroups;
	memcpy(i.mac, d->mac, sizeof(i.mac));
	i.demotion = ledger_vif(f);
	if (d->senderr != 0 && monotime_sub(monotime_now(), d->senderr_at) <
	    SENDERR_TIME)
		i.senderr = d->senderr;
	memcpy(i.groups, f->c.groups, sizeof(i.groups));
	i.npeers = (uint8_t)f->c.npeers;
	i.down = f->down;
	memcpy(i.peers, f->c.peers, sizeof(i.peers));
	for (k = 0; k < f->c.npeers; k++)
		if (dev_is_own(d, &i.peers[k]))
			i.peers[k].plen = 0;
	i.cut = f->group.cut;
	i.seen_ms = vif_seen(f).ns == 0 ? CTL_NEVER : ago_ms(vif_seen(f));
	reply(cl, IMSG_CTL_IFACE, &i, sizeof(i));
	for (k = 0; k < f->nnodes; k++)
		show_vhid(f, f->nodes[k], cl);
	show_addrs(f, cl);
	show_unlike_mates(f, cl);
	show_unlike_peers(f, cl);
}

static void
show_entry(const struct demote_entry *en, struct control_client *cl)
{
	struct ctl_entry c;

	memset(&c, 0, sizeof(c));
	memcpy(c.group, en->group, sizeof(c.group));
	memcpy(c.owner, en->owner, sizeof(c.owner));
	memcpy(c.reason, en->reason, sizeof(c.reason));
	c.amount = en->amount;
	c.expires = -1;
	if (monotime_isset(en->expiry))
		c.expires = (int32_t)((monotime_sub(en->expiry,
		    monotime_now()) + MONOTIME_SEC - 1) / MONOTIME_SEC);
	c.since_ms = wall_of(en->since);
	reply(cl, IMSG_CTL_ENTRY, &c, sizeof(c));
}

static void
show_group(struct engine *e, const char *name, struct control_client *cl)
{
	struct ctl_group g;
	size_t i;

	memset(&g, 0, sizeof(g));
	(void)strlcpy(g.name, name, sizeof(g.name));
	g.demotion = demote_group(&e->ledger, name);
	for (i = 0; i < e->ledger.size; i++)
		g.nentries += e->ledger.e[i].amount != 0 &&
		    strcmp(e->ledger.e[i].group, name) == 0;
	reply(cl, IMSG_CTL_GROUP, &g, sizeof(g));
	for (i = 0; i < e->ledger.size; i++)
		if (e->ledger.e[i].amount != 0 &&
		    strcmp(e->ledger.e[i].group, name) == 0)
			show_entry(&e->ledger.e[i], cl);
}

/* Was the group at (f, k) named by an earlier interface? */
static bool
group_before(struct engine *e, const struct vif *f, size_t k)
{
	const struct vif *g;
	size_t i;

	TAILQ_FOREACH(g, &e->vifs, entry)
		for (i = 0; i < g->c.ngroups; i++) {
			if (g == f && i == k)
				return (false);
			if (!g->dying && strcmp(g->c.groups[i],
			    f->c.groups[k]) == 0)
				return (true);
		}
	return (false);
}

static bool
group_used(struct engine *e, const char *name)
{
	const struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; !f->dying && i < f->c.ngroups; i++)
			if (strcmp(f->c.groups[i], name) == 0)
				return (true);
	return (false);
}

static void
show_groups(struct engine *e, struct control_client *cl)
{
	struct vif *f;
	size_t i;

	if (!group_used(e, "carp"))
		show_group(e, "carp", cl);
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; !f->dying && i < f->c.ngroups; i++)
			if (!group_before(e, f, i))
				show_group(e, f->c.groups[i], cl);
}

/*
 * What its packets are worth.  Who is BACKUP hardly speaks: the last one may be
 * from before its session has proven to be live, here or to another vhid.
 */
static void
show_verdict(const struct engine *e, const struct peer *p, struct ctl_peer *c)
{
	c->verified = p->verified;
	c->drop = (uint8_t)p->drop;
	c->auth = (uint8_t)p->auth;
	if (p->auth != AUTH_UNPROVEN || !auth_proven(e->auth, p->sender))
		return;
	c->verified = 1;
	c->drop = ADVERT_ACCEPT;
	c->auth = AUTH_PROVEN;
}

/* Would p be one of the vhids of d, but for its number? */
static void
guess_vhid(const struct dev *d, const struct peer *p, unsigned int *trials,
    struct ctl_peer *c)
{
	struct autopsy a;
	struct node *n;
	int i;

	for (i = 1; i < 256; i++) {
		if ((n = d->byvhid[i]) == NULL)
			continue;
		autopsy_guess(&n->av, p->vhid, p->seen, p->digest,
		    n->vif->c.addrs, n->vif->c.naddrs, NULL, 0, trials, &a);
		if (a.fault != AUTOPSY_VHID)
			continue;
		c->fault = (uint8_t)a.fault;
		c->like_vhid = n->conf.vhid;
		(void)strlcpy(c->like, n->vif->c.name, sizeof(c->like));
		return;
	}
}

/* All addresses of the other interfaces, as far as there is room. */
static size_t
other_addrs(const struct vif *f, struct ipaddr *list, size_t max)
{
	const struct vif *g;
	size_t i, n = 0;

	TAILQ_FOREACH(g, &f->eng->vifs, entry)
		for (i = 0; g != f && i < g->c.naddrs && n < max; i++)
			list[n++] = g->c.addrs[i];
	return (n);
}

/* What it says itself counts more than guesses. */
static void
guess_addrs(struct node *n, const struct peer *p, unsigned int *trials,
    struct autopsy *a)
{
	struct ipaddr more[CONFIG_ADDRS_MAX];
	struct autopsy guess;
	size_t nmore;

	if (a->here.af != 0 || a->there.af != 0)
		return;
	nmore = other_addrs(n->vif, more, CONFIG_ADDRS_MAX);
	autopsy_guess(&n->av, p->vhid, p->seen, p->digest, n->vif->c.addrs,
	    n->vif->c.naddrs, more, nmore, trials, &guess);
	if (guess.fault != AUTOPSY_UNKNOWN)
		*a = guess;
}

/* Why p does not verify. */
static void
show_fault(struct node *n, const struct dev *d, const struct peer *p,
    unsigned int *trials, struct ctl_peer *c)
{
	struct autopsy a = p->why;

	if (n == NULL && p->drop == ADVERT_DROP_BADVHID)
		guess_vhid(d, p, trials, c);
	if (n == NULL || !rx_unlike(p) || p->drop == ADVERT_DROP_PASS)
		return;
	guess_addrs(n, p, trials, &a);
	c->fault = (uint8_t)a.fault;
	c->here = a.here;
	c->there = a.there;
}

/* n NULL: strangers of d. */
static void
show_peer_list(struct node *n, const struct dev *d, const struct peer *peers,
    unsigned int *trials, struct control_client *cl)
{
	const struct group_mate *m;
	const struct peer *p;
	struct ctl_peer c;

	for (p = peers; p < peers + ENGINE_PEERS_MAX; p++) {
		if (p->addr.af == 0)
			continue;
		memset(&c, 0, sizeof(c));
		if (n != NULL)
			(void)strlcpy(c.name, n->vif->c.name, sizeof(c.name));
		(void)strlcpy(c.carpdev, d->name, sizeof(c.carpdev));
		c.kind = (uint8_t)p->kind;
		c.priority = p->priority;
		c.keyid = p->keyid;
		c.vhid = p->vhid;
		c.advbase = p->advbase;
		c.advskew = p->advskew;
		c.demote = p->demote;
		c.ours = p->ours;
		show_verdict(d->eng, p, &c);
		c.variant = p->variant;
		c.node = p->node;
		c.addr = p->addr;
		c.heard_ms = ago_ms(p->heard);
		c.packets = p->packets;
		c.dropped = p->dropped;
		m = n == NULL || !p->ours ? NULL :
		    group_find(&n->vif->group, p->node, monotime_now());
		if (m != NULL) {
			c.balancing = m->says.mode;
			c.nvhids = m->says.n;
			memcpy(c.vhids, m->says.vhids, sizeof(c.vhids));
			c.unlike = m->differs;
		}
		c.hears_us = p->hears_us;
		c.told_ms = monotime_isset(p->told) ? ago_ms(p->told) :
		    UINT64_MAX;
		show_fault(n, d, p, trials, &c);
		reply(cl, IMSG_CTL_PEER, &c, sizeof(c));
	}
}

static void
show_peers(struct engine *e, const char *name, struct control_client *cl)
{
	unsigned int trials = TRIALS_MAX;
	struct vif *f;
	struct dev *d;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry) {
		if (f->dying || (name[0] != '\0' && strcmp(name, f->c.name)))
			continue;
		for (i = 0; i < f->nnodes; i++)
			show_peer_list(f->nodes[i], f->dev,
			    f->nodes[i]->peers, &trials, cl);
	}
	TAILQ_FOREACH(d, &e->devs, entry)
		if (name[0] == '\0')
			show_peer_list(NULL, d, d->strangers, &trials, cl);
}

static void
show_history(struct engine *e, const char *name, struct control_client *cl)
{
	struct ctl_history c;
	size_t i, first = 0;

	if (e->nhistory > ENGINE_HISTORY_MAX)
		first = e->nhistory - ENGINE_HISTORY_MAX;
	for (i = first; i < e->nhistory; i++) {
		const struct history *h = &e->history[i % ENGINE_HISTORY_MAX];

		if (name[0] != '\0' && strcmp(name, h->name) != 0)
			continue;
		memset(&c, 0, sizeof(c));
		memcpy(c.name, h->name, sizeof(c.name));
		c.vhid = h->vhid;
		c.from = h->from;
		c.to = h->to;
		c.cause = h->cause;
		c.at_ms = h->at_ms;
		reply(cl, IMSG_CTL_HISTORY, &c, sizeof(c));
	}
}

static void
show_counter(struct control_client *cl, const char *name, uint64_t value)
{
	struct ctl_counter c;

	memset(&c, 0, sizeof(c));
	(void)strlcpy(c.name, name, sizeof(c.name));
	c.value = value;
	reply(cl, IMSG_CTL_COUNTER, &c, sizeof(c));
}

/* A histogram: adlate-0.1ms ran less than that late, adlate-0.25ms ... */
static void
show_late(struct control_client *cl, const char *what,
    const struct timers_late *l)
{
	char name[32];
	size_t i;

	for (i = 0; i < TIMERS_LATE_BUCKETS; i++) {
		(void)snprintf(name, sizeof(name), "%s-%s", what,
		    timers_late_names[i]);
		show_counter(cl, name, l->bucket[i]);
	}
	(void)snprintf(name, sizeof(name), "%s-max-us", what);
	show_counter(cl, name, (uint64_t)l->max / MONOTIME_USEC);
}

static const char *const parent_counter_names[] = {
	[PARENT_ADDR_RESTORED] = "addrrestored",
	[PARENT_FILTER_RESTORED] = "filterrestored",
	[PARENT_ADDR_ERRORS] = "addrerrors",
	[PARENT_REFUSED] = "refused",
};

static void
show_counters(struct engine *e, struct control_client *cl)
{
	size_t i;

	for (i = 0; i < COUNT_MAX; i++)
		show_counter(cl, engine_counter_names[i], e->count[i]);
	show_late(cl, "adlate", &e->late[TIMERS_AD]);
	show_late(cl, "mdlate", &e->late[TIMERS_MD]);
	show_counter(cl, "sandboxed", sandbox_denied());
	for (i = 0; i < PARENT_COUNTERS; i++)
		show_counter(cl, parent_counter_names[i],
		    e->parent_count.v[i]);
	for (i = 0; i < NELEM(e->parent_count.steer); i++)
		show_counter(cl, steer_stat_names[i],
		    e->parent_count.steer[i]);
}

/* Half of the counters live in the parent: ask, answer when they come. */
static void
ask_counters(struct engine *e, struct control_client *cl,
    const struct ctl_show *what)
{
	struct asked *a;

	for (a = e->asked; a < e->asked + CONTROL_CLIENTS_MAX; a++)
		if (a->client == 0 ||
		    control_find(e->control, a->client) == NULL)
			break;
	if (a == e->asked + CONTROL_CLIENTS_MAX) {
		fail(cl, "too many ask for the counters");
		return;
	}
	a->client = control_client_id(cl);
	a->what = *what;
	if (e->parent == NULL || channel_send(e->parent, IMSG_WANT_COUNTERS,
	    0, -1, NULL, 0) == -1)
		ctl_counters(e);
}

static void
show_all(struct engine *e, const char *name, struct control_client *cl)
{
	struct vif *f;

	show_global(e, cl);
	TAILQ_FOREACH(f, &e->vifs, entry)
		if (!f->dying && (name[0] == '\0' ||
		    strcmp(name, f->c.name) == 0))
			show_iface(f, cl);
	show_groups(e, cl);
}

void
ctl_counters(struct engine *e)
{
	struct control_client *cl;
	struct asked *a;

	for (a = e->asked; a < e->asked + CONTROL_CLIENTS_MAX; a++) {
		if (a->client == 0)
			continue;
		cl = control_find(e->control, a->client);
		a->client = 0;
		if (cl == NULL)
			continue;
		if (a->what.what == CTL_WHAT_COUNTERS)
			show_counters(e, cl);
		else
			show_all(e, a->what.name, cl);
		reply(cl, IMSG_CTL_END, NULL, 0);
	}
}

/* Of balanced interfaces the parent knows who took how many frames. */
static bool
balances(const struct engine *e)
{
	const struct vif *f;

	TAILQ_FOREACH(f, &e->vifs, entry)
		if (!f->dying && f->c.balancing != BALANCE_NONE)
			return (true);
	return (false);
}

static void
ctl_show(struct engine *e, struct control_client *cl, const struct ctl_show *m)
{
	struct ctl_show s = *m;
	const char *name = s.name;

	s.name[sizeof(s.name) - 1] = '\0';
	if (name[0] != '\0' && vif_find(e, name) == NULL) {
		fail(cl, "%s: no such interface", name);
		return;
	}
	switch (s.what) {
	case CTL_WHAT_ALL:
	case CTL_WHAT_IFACE:
		if (balances(e)) {
			ask_counters(e, cl, &s);
			return;
		}
		show_all(e, name, cl);
		break;
	case CTL_WHAT_DEMOTION:
		show_groups(e, cl);
		break;
	case CTL_WHAT_COUNTERS:
		ask_counters(e, cl, &s);
		return;
	case CTL_WHAT_PEERS:
		show_peers(e, name, cl);
		break;
	case CTL_WHAT_HISTORY:
		show_history(e, name, cl);
		break;
	default:
		fail(cl, "this carpd cannot show that");
		return;
	}
	reply(cl, IMSG_CTL_END, NULL, 0);
}

/* ---- commands ---- */

static void
ctl_demote(struct engine *e, struct control_client *cl,
    const struct ctl_demote *m)
{
	char group[CONFIG_GROUPNAME_MAX];
	int have, want;

	copy_field(group, m->group, sizeof(group));
	have = demote_get(&e->ledger, OWNER_OPERATOR, group, "carpctl");
	if (have == 0 && !group_used(e, group) && strcmp(group, "carp") != 0) {
		fail(cl, "%s: no interface is in that group", group);
		return;
	}
	if (m->delta < -DEMOTE_MAX || m->delta > DEMOTE_MAX) {
		fail(cl, "a demotion is 1 to %d", DEMOTE_MAX);
		return;
	}
	want = have + m->delta;
	if (want < 0) {
		fail(cl, "group %s: the operator's demotion is %d, cannot "
		    "promote by %d", group, have, -m->delta);
		return;
	}
	if (m->delta > 0 && demote_group(&e->ledger, group) + m->delta >
	    DEMOTE_MAX) {
		fail(cl, "group %s: demotion is %d, the sum would exceed %d",
		    group, demote_group(&e->ledger, group), DEMOTE_MAX);
		return;
	}
	if (!ledger_set(e, OWNER_OPERATOR, group, "carpctl", want, 0))
		fail(cl, "the demotion ledger is full");
	else
		ok(cl);
}

static void
ctl_state(struct engine *e, struct control_client *cl,
    const struct ctl_state *m)
{
	struct vhost_event ev;
	char name[IF_NAMESIZE];
	struct vif *f;
	size_t i;

	copy_field(name, m->name, sizeof(name));
	if ((f = vif_find(e, name)) == NULL) {
		fail(cl, "%s: no such interface", name);
		return;
	}
	if (m->state >= VHOST_STATES) {
		fail(cl, "no such state");
		return;
	}
	for (i = 0; i < f->nnodes; i++)
		if (f->nodes[i]->v.state == VHOST_INIT) {
			fail(cl, "%s: is INIT: %s", name, f->nodes[i]->why !=
			    NULL ? f->nodes[i]->why : "starting");
			return;
		}
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_FORCE;
	ev.state = (enum vhost_state)m->state;
	for (i = 0; i < f->nnodes; i++)
		node_event(f->nodes[i], &ev);
	ok(cl);
}

/* advskew is a vhid's own; advbase is that of all of the interface. */
static void
set_timer(struct vif *f, struct control_client *cl, const struct ctl_set *m)
{
	struct config_vhid *v = NULL;
	size_t i;

	for (i = 0; i < f->c.nvhids; i++)
		if (m->vhid == f->c.vhids[i].vhid || (m->vhid == 0 &&
		    (f->c.nvhids == 1 || m->key == CTL_SET_ADVBASE)))
			v = &f->c.vhids[i];
	if (v == NULL && m->vhid == 0) {
		fail(cl, "%s: has %d vhids; say which: vhid N", f->c.name,
		    f->c.nvhids);
		return;
	}
	if (v == NULL) {
		fail(cl, "%s: has no vhid %u", f->c.name, m->vhid);
		return;
	}
	if (m->value < 0 || m->value > 254) {
		fail(cl, "%s: advbase and advskew are 0 to 254", f->c.name);
		return;
	}
	if (m->key == CTL_SET_ADVSKEW)
		v->advskew = (uint8_t)m->value;
	for (i = 0; m->key == CTL_SET_ADVBASE && i < f->c.nvhids; i++)
		f->c.vhids[i].advbase = (uint8_t)m->value;
	vif_changed(f, true);
	ok(cl);
}

static bool
group_name_ok(const char *s)
{
	size_t len = strnlen(s, CONFIG_GROUPNAME_MAX);

	return (len != 0 && len < CONFIG_GROUPNAME_MAX &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-") == len && strchr("0123456789", s[len - 1]) == NULL);
}

static void
set_group(struct vif *f, struct control_client *cl, const struct ctl_set *m)
{
	bool add = m->key == CTL_SET_GROUP;
	size_t i;

	if (!group_name_ok(m->group)) {
		fail(cl, "a group is up to 15 letters, digits, - and _, and "
		    "does not end in a digit");
		return;
	}
	for (i = 0; i < f->c.ngroups; i++)
		if (strcmp(f->c.groups[i], m->group) == 0)
			break;
	if (add == (i < f->c.ngroups)) {
		fail(cl, "%s: is %s group %s", f->c.name,
		    add ? "already in" : "not in", m->group);
		return;
	}
	if (add && f->c.ngroups == CONFIG_GROUPS_MAX) {
		fail(cl, "%s: is in %d groups, which is the most", f->c.name,
		    CONFIG_GROUPS_MAX);
		return;
	}
	if (add) {
		(void)strlcpy(f->c.groups[f->c.ngroups++], m->group,
		    CONFIG_GROUPNAME_MAX);
	} else {
		memmove(f->c.groups[i], f->c.groups[i + 1],
		    (f->c.ngroups - i - 1) * sizeof(f->c.groups[0]));
		memset(f->c.groups[--f->c.ngroups], 0,
		    sizeof(f->c.groups[0]));
	}
	vif_changed(f, false);
	ledger_dev(f->dev);		/* a loss is held against its groups */
	ok(cl);
}

static void
set_log(struct engine *e, struct control_client *cl, int32_t level)
{
	if (level < 0 || level > LOG_DEBUG) {
		fail(cl, "log is 0 to %d", LOG_DEBUG);
		return;
	}
	e->g.log = (uint8_t)level;
	ok(cl);
}

/* ifconfig carp0 up | down */
static void
set_up(struct vif *f, bool up)
{
	if (f->down != up)
		return;
	f->down = !up;
	log_info("%s: %s by the operator", f->c.name, up ? "up" : "down");
	dev_eval(f->dev);
	ledger_dev(f->dev);
}

static void
ctl_set(struct engine *e, struct control_client *cl, const struct ctl_set *msg)
{
	struct ctl_set m = *msg;
	struct vif *f;

	m.name[sizeof(m.name) - 1] = '\0';
	m.group[sizeof(m.group) - 1] = '\0';
	if (m.key == CTL_SET_PREEMPT) {
		e->g.preempt = m.value != 0;
		TAILQ_FOREACH(f, &e->vifs, entry)
			vif_changed(f, false);
		ok(cl);
		return;
	}
	if (m.key == CTL_SET_LOG) {
		set_log(e, cl, m.value);
		return;
	}
	if ((f = vif_find(e, m.name)) == NULL) {
		fail(cl, "%s: no such interface", m.name);
		return;
	}
	switch (m.key) {
	case CTL_SET_UP:
		set_up(f, m.value != 0);
		ok(cl);
		return;
	case CTL_SET_ADVBASE:
	case CTL_SET_ADVSKEW:
		set_timer(f, cl, &m);
		return;
	case CTL_SET_GROUP:
	case CTL_SET_UNGROUP:
		set_group(f, cl, &m);
		return;
	default:
		fail(cl, "this carpd cannot set that");
		return;
	}
}

static void
ctl_reload(struct engine *e, struct control_client *cl)
{
	if (e->parent == NULL || channel_send(e->parent, IMSG_RELOAD,
	    control_client_id(cl), -1, NULL, 0) == -1)
		fail(cl, "the parent process does not answer");
}

void
ctl_reloaded(struct engine *e, const struct msg_result *r)
{
	struct control_client *cl;
	char text[MSG_TEXT_MAX];

	if (r->client == 0 || e->control == NULL ||
	    (cl = control_find(e->control, r->client)) == NULL)
		return;
	copy_field(text, r->text, sizeof(text));
	if (r->error != 0)
		fail(cl, "%s", text);
	else
		ok(cl);
}

static void
ctl_log(struct engine *e, struct control_client *cl, const struct ctl_flag *m)
{
	(void)e;
	log_setverbose(m->on != 0 ? 1 : 0);
	ok(cl);
}

/* ---- pfsyncd ---- */

static struct hold *
hold_find(struct engine *e, uint32_t client, const char *reason)
{
	struct hold *h;

	for (h = e->holds; h < e->holds + ENGINE_HOLDS_MAX; h++)
		if (h->client == client && (reason == NULL ||
		    strcmp(h->reason, reason) == 0))
			return (h);
	return (NULL);
}

/* The hold of that reason, whoever has it, or a new one; NULL: no room. */
static struct hold *
hold_take(struct engine *e, uint32_t client, const char *reason)
{
	int64_t most = e->g.sync_wait != 0 ? e->g.sync_wait : HOLD_TIME;
	struct hold *h;

	if ((h = hold_find(e, client, reason)) != NULL)
		return (h);
	/* of a connection that is not known to be dead yet */
	for (h = e->holds; h < e->holds + ENGINE_HOLDS_MAX; h++)
		if (h->client != 0 && strcmp(h->reason, reason) == 0)
			break;
	if (h == e->holds + ENGINE_HOLDS_MAX &&
	    (h = hold_find(e, 0, NULL)) == NULL)
		return (NULL);
	h->client = client;
	(void)strlcpy(h->reason, reason, sizeof(h->reason));
	h->until = monotime_add(monotime_now(), most * MONOTIME_SEC);
	return (h);
}

static void
hold_release(struct engine *e, struct hold *h)
{
	(void)ledger_set(e, OWNER_PFSYNCD, "carp", h->reason, 0, 0);
	memset(h, 0, sizeof(*h));
}

/* All that a client holds. */
static void
hold_forget(struct engine *e, uint32_t client)
{
	struct hold *h;

	while ((h = hold_find(e, client, NULL)) != NULL)
		hold_release(e, h);
}

/* A reason goes into logs and onto terminals. */
static bool
reason_ok(const char *s)
{
	size_t len = strnlen(s, DEMOTE_REASON_MAX);

	return (len != 0 && len < DEMOTE_REASON_MAX &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789_-. ") == len);
}

/*
 * The time counts from when a reason came up: saying it again does not make it
 * longer, and after its end it holds nothing.  0 takes one reason back, or all
 * when none is named.
 */
static void
ctl_hold(struct engine *e, struct control_client *cl, const struct ctl_hold *m)
{
	uint32_t client = control_client_id(cl);
	struct hold *h;
	int64_t left;

	if (m->amount == 0 && m->reason[0] == '\0') {
		hold_forget(e, client);
		ok(cl);
		return;
	}
	if (!reason_ok(m->reason) || m->amount < 0 || m->amount > DEMOTE_MAX) {
		fail(cl, "a hold is 0 to %d, for a reason", DEMOTE_MAX);
		return;
	}
	if (m->amount == 0) {
		if ((h = hold_find(e, client, m->reason)) != NULL)
			hold_release(e, h);
		ok(cl);
		return;
	}
	if ((h = hold_take(e, client, m->reason)) == NULL) {
		fail(cl, "too many reasons");
		return;
	}
	left = monotime_sub(h->until, monotime_now());
	if (left > 0 && !ledger_set(e, OWNER_PFSYNCD, "carp", m->reason,
	    m->amount, left))
		fail(cl, "the demotion ledger is full");
	else
		ok(cl);
}

static void
ctl_synced(struct engine *e, struct control_client *cl)
{
	e->synced = true;
	ledger_startup(e);
	ok(cl);
}

/* FNV-1a: to see a change, not to withstand anybody. */
static uint64_t
digest(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len-- > 0)
		h = (h ^ *p++) * 0x100000001b3ULL;
	return (h);
}

static void
watch_look(struct engine *e, struct watch *w)
{
	const struct vif *f;
	uint32_t mask;
	size_t i;

	memset(w, 0, sizeof(*w));
	w->addrs = 0xcbf29ce484222325ULL;
	TAILQ_FOREACH(f, &e->vifs, entry) {
		if (f->dying)
			continue;
		w->addrs = digest(w->addrs, f->c.addrs,
		    f->c.naddrs * sizeof(f->c.addrs[0]));
		mask = vif_mask(f);
		w->addrs = digest(w->addrs, &mask, sizeof(mask));
		w->m.vhids += (uint32_t)f->nnodes;
		if (f->c.balancing != BALANCE_NONE)
			w->m.balancing += (uint32_t)f->nnodes;
		for (i = 0; i < f->nnodes; i++) {
			w->m.masters += f->nodes[i]->v.state == VHOST_MASTER;
			w->m.splits += alarm_split(f->nodes[i]) != NULL;
		}
	}
}

static void
watch_tell(struct engine *e, struct control_client *cl, const struct watch *w)
{
	struct vif *f;

	reply(cl, IMSG_CTL_MASTERS, &w->m, sizeof(w->m));
	TAILQ_FOREACH(f, &e->vifs, entry)
		if (!f->dying)
			show_addrs(f, cl);
	reply(cl, IMSG_CTL_END, NULL, 0);
}

/* What has changed since is told first: all know the same from then on. */
static void
ctl_watch(struct engine *e, struct control_client *cl)
{
	uint32_t id = control_client_id(cl);
	size_t i, at = CONTROL_CLIENTS_MAX;

	ctl_watch_cb(e);
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (e->watcher[i] == id || (e->watcher[i] == 0 &&
		    at == CONTROL_CLIENTS_MAX))
			at = i;
	if (at == CONTROL_CLIENTS_MAX) {
		fail(cl, "too many watch");
		return;
	}
	e->watcher[at] = id;
	watch_tell(e, cl, &e->watched);
}

void
ctl_watch_cb(void *arg)
{
	struct engine *e = arg;
	struct control_client *cl;
	struct watch w;
	size_t i;

	watch_look(e, &w);
	if (memcmp(&w, &e->watched, sizeof(w)) == 0)
		return;
	e->watched = w;
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (e->watcher[i] != 0 && (cl = control_find(e->control,
		    e->watcher[i])) != NULL)
			watch_tell(e, cl, &w);
}

/* Not from here: an election is being carried out. */
void
ctl_changed(struct engine *e)
{
	ev_timer_at(e->watch_timer, monotime_now());
}

/* Those that are MASTER now. */
static void
ctl_which(struct engine *e, struct control_client *cl)
{
	const struct node *n;
	struct ctl_vhosts m;
	const struct vif *f;
	size_t i;

	_Static_assert(sizeof(m.id[0]) == ADVERT_ID_LEN, "one id each");
	memset(&m, 0, sizeof(m));
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; !f->dying && i < f->nnodes; i++) {
			n = f->nodes[i];
			if (n->v.state != VHOST_MASTER || !n->av_set)
				continue;
			if (m.n == CTL_VHOSTS_MAX) {
				reply(cl, IMSG_CTL_VHOSTS, &m, sizeof(m));
				memset(&m, 0, sizeof(m));
			}
			memcpy(m.id[m.n++], n->av.id, sizeof(m.id[0]));
		}
	m.last = 1;
	reply(cl, IMSG_CTL_VHOSTS, &m, sizeof(m));
}

/* Good for an alarm, and for nothing else. */
static void
ctl_rivals(struct engine *e, struct control_client *cl,
    const struct ctl_vhosts *m)
{
	struct ipaddr who = { .af = m->who.af };
	struct node *n;
	size_t i;

	if ((who.af != AF_INET && who.af != AF_INET6) ||
	    m->n > CTL_VHOSTS_MAX) {
		fail(cl, "malformed list of vhosts");
		return;
	}
	memcpy(who.bytes, m->who.bytes, ipaddr_len(who.af));
	for (i = 0; i < m->n; i++)
		for (n = NULL; (n = node_by_id(e, m->id[i], n)) != NULL;)
			alarm_unheard(n, &who);
	ok(cl);
}

void
ctl_closed(uint32_t client, void *arg)
{
	struct engine *e = arg;
	size_t i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (e->watcher[i] == client)
			e->watcher[i] = 0;
	hold_forget(e, client);
}

void
ctl_dispatch(struct control_client *cl, struct imsg *im, void *arg)
{
	struct engine *e = arg;
	const char *bad;

	bad = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_CLIENT);
	if (bad != NULL) {
		log_debug("control client: %s", bad);
		fail(cl, "%s", bad);
		control_finish(cl);
		return;
	}
	switch (im->type) {
	case IMSG_CTL_SHOW:
		ctl_show(e, cl, im->data);
		return;
	case IMSG_CTL_DEMOTE:
		ctl_demote(e, cl, im->data);
		return;
	case IMSG_CTL_STATE:
		ctl_state(e, cl, im->data);
		return;
	case IMSG_CTL_SET:
		ctl_set(e, cl, im->data);
		return;
	case IMSG_CTL_ALLOW:
		engine_allow(e, ((const struct ctl_flag *)im->data)->on != 0);
		ok(cl);
		return;
	case IMSG_CTL_RELOAD:
		ctl_reload(e, cl);
		return;
	case IMSG_CTL_LOG:
		ctl_log(e, cl, im->data);
		return;
	case IMSG_CTL_MONITOR:
		control_subscribe(cl);
		return;
	case IMSG_CTL_HOLD:
		ctl_hold(e, cl, im->data);
		return;
	case IMSG_CTL_SYNCED:
		ctl_synced(e, cl);
		return;
	case IMSG_CTL_WATCH:
		ctl_watch(e, cl);
		return;
	case IMSG_CTL_WHICH:
		ctl_which(e, cl);
		return;
	case IMSG_CTL_RIVALS:
		ctl_rivals(e, cl, im->data);
		return;
	default:
		control_finish(cl);
		return;
	}
}
