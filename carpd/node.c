/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine's hands for one vhid: events go into the pure machine (vhost.c),
 * its actions become frames, slots and messages to the parent.  Also whether
 * the vhid may run at all, and the frame for the day the engine dies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "../common/wire/frame.h"
#include "engine.h"

#define TOS_LOWDELAY	0x10	/* what OpenBSD and ucarp send */
#define TELL_TIME	(900 * MONOTIME_MSEC)	/* an advert with lists */
#define HEARD_MIN	MONOTIME_SEC	/* what is "of late" */
#define SNDERR_TIME	(60 * MONOTIME_SEC)	/* a send error's entry */

/* ---- sending ---- */

/* The source of our advertisements: carpdev's own address, else a VIP. */
static const struct ipaddr *
node_source(const struct node *n, const struct ipaddr *dst)
{
	const struct dev *d = n->vif->dev;
	const struct ipaddr *a;
	size_t i;

	if (!ipaddr_is_multicast(dst) && (a = dev_source(d, dst)) != NULL)
		return (a);
	if (dst->af == AF_INET6)
		return (d->src6.af != 0 ? &d->src6 : NULL);
	if (d->src4.af != 0)
		return (&d->src4);
	for (i = 0; i < n->vif->c.naddrs; i++)
		if (n->vif->c.addrs[i].af == AF_INET)
			return (&n->vif->c.addrs[i]);
	return (NULL);
}

static const struct ipaddr *
group_of(uint8_t af)
{
	static const struct ipaddr g4 = { AF_INET, 32, { 0 },
	    { 224, 0, 0, 18 } };
	static const struct ipaddr g6 = { AF_INET6, 128, { 0 },
	    { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12 } };

	return (af == AF_INET ? &g4 : &g6);
}

/*
 * Where advertisements of a family go: to the group, or to those peers that
 * are not this host, as one file serves all of them.  Up to CONFIG_PEERS_MAX.
 */
static size_t
node_targets(const struct node *n, uint8_t af, const struct ipaddr **to)
{
	const struct config_iface *c = &n->vif->c;
	size_t i, k = 0;

	if (!vif_has_peers(n->vif, af)) {
		to[0] = group_of(af);
		return (1);
	}
	for (i = 0; i < c->npeers; i++)
		if (c->peers[i].af == af &&
		    !dev_is_own(n->vif->dev, &c->peers[i]))
			to[k++] = &c->peers[i];
	return (k);
}

static void
note_lost(struct node *n)
{
	if (n->was_master)
		TAILQ_REMOVE(&n->eng->lost, n, lost_entry);
	n->was_master = true;
	n->lost = monotime_now();
	TAILQ_INSERT_TAIL(&n->eng->lost, n, lost_entry);
}

static void
forget_lost(struct node *n)
{
	if (n->was_master)
		TAILQ_REMOVE(&n->eng->lost, n, lost_entry);
	n->was_master = false;
}

static int
id_cmp(const struct node *a, const struct node *b)
{
	int r = memcmp(a->av.id, b->av.id, sizeof(a->av.id));

	if (r != 0)
		return (r);
	return (a < b ? -1 : a > b);
}

RB_PROTOTYPE(node_ids, node, id_entry, id_cmp)
RB_GENERATE(node_ids, node, id_entry, id_cmp)

static struct node *
first_by_id(struct engine *e, const uint8_t *id)
{
	struct node *n = RB_ROOT(&e->ids), *first = NULL;
	int r;

	while (n != NULL) {
		if ((r = memcmp(id, n->av.id, ADVERT_ID_LEN)) == 0)
			first = n;
		n = r <= 0 ? RB_LEFT(n, id_entry) : RB_RIGHT(n, id_entry);
	}
	return (first);
}

struct node *
node_by_id(struct engine *e, const uint8_t *id, struct node *last)
{
	struct node *n = last == NULL ? first_by_id(e, id) :
	    RB_NEXT(node_ids, &e->ids, last);

	return (n != NULL && memcmp(id, n->av.id, ADVERT_ID_LEN) == 0 ? n :
	    NULL);
}

void
node_hear_gone(struct engine *e, const uint8_t *id, uint32_t from)
{
	struct vhost_event ev;
	struct node *n = NULL;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_GONE;
	ev.node = from;
	while ((n = node_by_id(e, id, n)) != NULL)
		node_event(n, &ev);
}

size_t
node_gone_list(struct engine *e, size_t skip, uint8_t (*list)[ADVERT_ID_LEN])
{
	struct node *n, *next;
	monotime_t now;
	size_t k = 0;

	if (TAILQ_EMPTY(&e->lost))	/* as nearly always */
		return (0);
	now = monotime_now();
	TAILQ_FOREACH_SAFE(n, &e->lost, lost_entry, next) {
		if (k == ADVERT_GONE_MAX)
			break;
		if (monotime_sub(now, n->lost) > ENGINE_GONE_TIME) {
			forget_lost(n);
			continue;
		}
		if (!n->av_set || n->v.state != VHOST_INIT)
			continue;
		if (skip > 0)
			skip--;
		else
			memcpy(list[k++], n->av.id, ADVERT_ID_LEN);
	}
	return (k);
}

/*
 * A whole advertisement frame to dst in buf; 0 when the family cannot send.
 * o brings timers, demotion, sequence, reason and notice.  To a peer its
 * Ethernet header is empty: the kernel makes one.
 */
static size_t
build_frame(struct node *n, const struct ipaddr *dst, struct advert_out *o,
    uint8_t *buf, size_t size)
{
	const struct ipaddr *src = node_source(n, dst);
	uint8_t payload[ADVERT_MAX];
	struct frame_meta m;
	size_t hlen, plen;

	if (src == NULL || !n->av_set)
		return (0);
	o->src = *src;
	o->dst = *dst;
	o->variant = n->variant;
	o->node = n->eng->nodeid;
	o->epoch = n->eng->epoch;
	o->group = &n->vif->group.own;
	o->now = monotime_now();
	plen = advert_build(&n->av, o, payload, sizeof(payload));
	if (plen == 0)
		return (0);
	memset(&m, 0, sizeof(m));
	if (ipaddr_is_multicast(dst)) {
		frame_mcast_mac(dst, m.eth_dst);
		/* a notice is no word of the virtual router */
		memcpy(m.eth_src, o->notice ||
		    balance_real_source(n->vif->c.balancing) ?
		    n->vif->dev->mac : n->vmac, sizeof(m.eth_src));
	}
	m.src = *src;
	m.dst = *dst;
	m.proto = CARP_PROTO;
	m.ttl = CARP_TTL;
	m.tos = dst->af == AF_INET ? TOS_LOWDELAY : 0;
	m.id = n->eng->ipid++;
	hlen = frame_ip(buf, size, &m, plen);
	if (hlen == 0 || hlen + plen > size)
		return (0);
	memcpy(buf + hlen, payload, plen);
	return (hlen + plen);
}

void
node_probe(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	const struct ipaddr *dst = group_of(n->conf.v4 ? AF_INET : AF_INET6);
	struct advert_out o;
	uint8_t *buf = tx_room(n);
	size_t len;

	memset(&o, 0, sizeof(o));
	o.notice = true;
	o.seq = ++n->eng->seq;
	if ((len = build_frame(n, dst, &o, buf, TX_FRAME_MAX)) == 0)
		return;
	balance_mac(c->balancing, c->vhids[0].vhid, c->vhids[0].vhid, buf);
	tx_put(n, len, dst, false);
}

static void
send_to(struct node *n, const struct ipaddr *dst, struct advert_out *o)
{
	size_t len;

	o->seq = ++n->eng->seq;
	len = build_frame(n, dst, o, tx_room(n), TX_FRAME_MAX);
	if (len == 0)
		n->tx_ok = false;
	else
		tx_put(n, len, dst, true);
}

/* The group, or all peers.  A node that is its only peer is alone, and well. */
static void
send_family(struct node *n, uint8_t af, struct advert_out *o)
{
	const struct ipaddr *to[CONFIG_PEERS_MAX];
	size_t i, k = node_targets(n, af, to);
	bool *told = &n->vif->told_alone[af == AF_INET6];

	if (k == 0 && !*told)
		log_warnx("%s: no %s peer but this host itself: nothing is "
		    "sent", n->vif->c.name, af == AF_INET ? "IPv4" : "IPv6");
	*told = k == 0;
	for (i = 0; i < k; i++)
		send_to(n, to[i], o);
}

/* About once a second, and of what was heard as long as an election waits. */
static void
tell(struct node *n, struct advert_out *o)
{
	int64_t late = vhost_masterdown(&n->conf);
	monotime_t now = monotime_now();

	if (o->notice || o->reason != ADVERT_REASON_NONE ||
	    monotime_sub(now, n->told) < TELL_TIME)
		return;
	o->tell = true;
	o->heard_since = monotime_add(now, -(late < HEARD_MIN ? HEARD_MIN :
	    late));
	n->told = now;
}

/*
 * Every family that the vhid has.  Of what is lost the first `skip` vhosts
 * were told before.
 */
static void
send_advert(struct node *n, struct advert_out *o, size_t skip)
{
	uint8_t gone[ADVERT_GONE_MAX][ADVERT_ID_LEN];

	o->ngone = node_gone_list(n->eng, skip, gone);
	o->gone = (const uint8_t (*)[ADVERT_ID_LEN])gone;
	tell(n, o);
	if (n->conf.v4)
		send_family(n, AF_INET, o);
	if (n->conf.v6)
		send_family(n, AF_INET6, o);
	o->gone = NULL;
	n->spoke = true;
}

/* With balancing nobody does: one MAC is that of several hosts. */
void
node_announce(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	struct dev *d = n->vif->dev;
	size_t i, len;

	for (i = 0; c->balancing == BALANCE_NONE && i < c->naddrs; i++) {
		if (c->addrs[i].af == AF_INET)
			len = frame_garp(tx_room(n), TX_FRAME_MAX, n->vmac,
			    &c->addrs[i]);
		else if (n->conf.v6)
			len = frame_una(tx_room(n), TX_FRAME_MAX, n->vmac,
			    &c->addrs[i], d->router);
		else
			continue;
		tx_put(n, len, NULL, false);
	}
}

static void
set_slot(struct node *n, enum steer_state st)
{
	struct dev *d = n->vif->dev;

	if (d->slots != NULL)
		steer_slot_set(d->slots, n->conf.vhid, st,
		    (uint32_t)(vhost_interval(&n->conf, &n->v) * 256 /
		    MONOTIME_SEC), monotime_now());
}

/* They are there while any node of the interface needs them. */
static void
ask_addresses(struct node *n, bool on)
{
	struct msg_vaddr m;

	n->needs_addrs = on;
	if (vif_needs_addrs(n->vif, n))
		return;
	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, n->vif->c.name, sizeof(m.name));
	m.on = on;
	engine_to_parent(n->eng, IMSG_VADDR, &m, sizeof(m));
}

void
node_notice(struct node *n, size_t skip)
{
	struct advert_out o;

	memset(&o, 0, sizeof(o));
	o.advbase = n->conf.advbase;
	o.advskew = vhost_skew(&n->conf, &n->v);
	o.demote = (uint8_t)n->v.demotion;
	o.notice = n->v.state != VHOST_MASTER;
	send_advert(n, &o, skip);
}

/*
 * So that others ask, and find that this session lives, before it matters.
 */
void
node_introduce(struct node *n)
{
	if (n->running && n->eng->auth != NULL && auth_keyed(n->eng->auth))
		node_notice(n, 0);
}

/* ---- carrying out actions ---- */

/* carp(4): which of several nodes it was, and which it is MASTER of now. */
static void
log_state(struct node *n, const struct vhost_action *a)
{
	bool init = a->from == VHOST_INIT || a->to == VHOST_INIT;
	const char *name = n->vif->c.name;
	struct engine *e = n->eng;
	char which[16] = "";

	if (n->vif->c.nvhids > 1)
		(void)snprintf(which, sizeof(which), " (vhid %d)",
		    n->conf.vhid);
	engine_log(e, init ? LOG_WARNING : LOG_CRIT,
	    "%s: state transition%s: %s -> %s (%s)", name, which,
	    vhost_state_names[a->from], vhost_state_names[a->to],
	    vhost_cause_names[a->cause]);
	engine_notify(e, "%s: state transition%s: %s -> %s (%s)", name, which,
	    vhost_state_names[a->from], vhost_state_names[a->to],
	    vhost_cause_names[a->cause]);
	if (n->vif->c.balancing != BALANCE_NONE)
		engine_log(e, LOG_DEBUG, "%s: balancing mask %x", name,
		    vif_mask(n->vif));
}

static void
record_state(struct node *n, const struct vhost_action *a)
{
	struct engine *e = n->eng;
	struct history *h;
	const char *name = n->vif->c.name;

	n->since_ms = engine_wall_ms();
	alarm_end(n);
	ctl_changed(e);
	if (a->to == VHOST_MASTER) {
		e->count[COUNT_PREEMPT]++;
		forget_lost(n);
		dev_prove(n->vif->dev);
		memset(&n->master, 0, sizeof(n->master));
		n->master_node = 0;
	}
	if (a->cause == VHOST_CAUSE_LATE)
		e->count[COUNT_LATE]++;
	if (a->cause == VHOST_CAUSE_TAKEN)
		e->count[COUNT_TAKEN]++;
	if (a->cause == VHOST_CAUSE_LATE || a->cause == VHOST_CAUSE_TAKEN)
		timers_starved(&e->overslept, 0);
	h = &e->history[e->nhistory++ % ENGINE_HISTORY_MAX];
	memset(h, 0, sizeof(*h));
	(void)strlcpy(h->name, name, sizeof(h->name));
	h->vhid = n->conf.vhid;
	h->from = (uint8_t)a->from;
	h->to = (uint8_t)a->to;
	h->cause = (uint8_t)a->cause;
	h->at_ms = n->since_ms;
	log_state(n, a);
}

/* Held as long as any node of the interface cannot send. */
static void
act_snderr(struct node *n, bool hold)
{
	const struct config_iface *c = &n->vif->c;
	size_t i;

	n->snderr = hold;
	for (i = 0; i < n->vif->nnodes; i++)
		hold |= n->vif->nodes[i]->snderr;
	for (i = 0; i < c->ngroups; i++)
		(void)ledger_set(n->eng, c->name, c->groups[i],
		    "snderrors", hold ? 1 : 0, SNDERR_TIME);
}

/*
 * What is on its way to a virtual MAC that moves is still taken.  Where all
 * hosts get all frames the successor, who has spoken, takes it as well.
 */
static enum steer_state
drain_state(const struct node *n)
{
	return (n->hearing && n->vif->c.balancing >= BALANCE_IP ?
	    STEER_STATE_OFF : STEER_STATE_DRAIN);
}

static void
act_one(struct node *n, const struct vhost_action *a)
{
	struct advert_out o;

	memset(&o, 0, sizeof(o));
	switch (a->type) {
	case VHOST_ACT_STATE:
		record_state(n, a);
		return;
	case VHOST_ACT_SLOT_ON:
		set_slot(n, STEER_STATE_ON);
		return;
	case VHOST_ACT_SLOT_DRAIN:
		set_slot(n, drain_state(n));
		return;
	case VHOST_ACT_SLOT_OFF:
		set_slot(n, STEER_STATE_OFF);
		engine_sweep(n->eng);
		return;
	case VHOST_ACT_ADDR_ADD:
		ask_addresses(n, true);
		return;
	case VHOST_ACT_ADDR_DEL:
		ask_addresses(n, false);
		return;
	case VHOST_ACT_SEND:
		o.advbase = n->conf.advbase;
		o.advskew = a->advskew;
		o.demote = a->demote;
		/* The lease lives as long as we speak. */
		if (n->v.state == VHOST_MASTER)
			set_slot(n, STEER_STATE_ON);
		send_advert(n, &o, 0);
		tx_tell(n);
		return;
	case VHOST_ACT_BOWOUT:
		o.advbase = o.advskew = CARP_BOWOUT;
		o.demote = a->demote;
		o.reason = n->eng->orphan ? ADVERT_REASON_PARENT_DIED :
		    ADVERT_REASON_SHUTDOWN;
		send_advert(n, &o, 0);
		return;
	case VHOST_ACT_ANNOUNCE:
		node_announce(n);
		return;
	case VHOST_ACT_SNDERR:
		act_snderr(n, a->demote != 0);
		return;
	}
}

static void
arm_timers(struct node *n)
{
	int i;

	for (i = 0; i < VHOST_TIMERS; i++)
		timers_arm(&n->timer[i], n->v.timer[i]);
}

void
node_step(struct node *n, const struct vhost_event *ev, monotime_t now)
{
	struct vhost_actions out;
	const char *broken;
	size_t i;

	vhost_step(&n->conf, &n->v, ev, now, &out);
	if ((broken = vhost_check(&n->conf, &n->v, now)) != NULL)
		fatalx("%s: vhid %d: %s after %s", n->vif->c.name,
		    n->conf.vhid, broken, vhost_event_names[ev->type]);
	arm_timers(n);
	n->hearing = ev->type == VHOST_EV_ADVERT;
	for (i = 0; i < out.n; i++)
		act_one(n, &out.a[i]);
	n->hearing = false;
}

/*
 * Has a successor's frame closed the slot while we were not looking?  Asked
 * before we speak, or hear him, as MASTER: that would open it again.
 */
static bool
node_taken(const struct node *n, const struct vhost_event *ev)
{
	return (n->v.state == VHOST_MASTER && (ev->type == VHOST_EV_ADVERT ||
	    (ev->type == VHOST_EV_TIMER && ev->timer == VHOST_TIMER_AD)) &&
	    n->vif->dev->slots != NULL && steer_slot_get(n->vif->dev->slots,
	    n->conf.vhid) != STEER_STATE_ON);
}

void
node_object(struct node *n)
{
	const struct steer_slots *s = n->vif->dev->slots;

	if (n->v.state == VHOST_MASTER && s != NULL &&
	    steer_slot_contested(s, n->conf.vhid) &&
	    steer_slot_get(s, n->conf.vhid) == STEER_STATE_ON)
		set_slot(n, STEER_STATE_ON);
}

void
node_event(struct node *n, const struct vhost_event *ev)
{
	tx_open(n->eng);
	if (node_taken(n, ev)) {
		struct vhost_event taken = { .type = VHOST_EV_TAKEN };

		node_step(n, &taken, monotime_now());
	}
	node_step(n, ev, monotime_now());
	tx_close(n->eng);
}

void
node_simple_event(struct node *n, enum vhost_event_type type,
    enum vhost_cause cause)
{
	struct vhost_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = type;
	ev.cause = cause;
	node_event(n, &ev);
}

void
node_timer(struct node *n, enum vhost_timer which)
{
	struct vhost_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_TIMER;
	ev.timer = which;
	node_event(n, &ev);
}

/* ---- may it run? ---- */

static const char *
node_missing(const struct node *n, enum vhost_cause *cause)
{
	const struct dev *d = n->vif->dev;

	*cause = VHOST_CAUSE_CARPDEV_GONE;
	if (d->name[0] == '\0')
		return (n->vif->why);
	if (d->ifindex == 0)
		return ("carpdev does not exist, or cannot be used");
	*cause = VHOST_CAUSE_LINK;
	if (d->fd == -1 || d->slots == NULL || !d->link_known)
		return ("carpdev is being opened");
	if (!d->link)
		return ("carpdev has no link");
	*cause = VHOST_CAUSE_OPERATOR;
	if (!n->eng->allow)
		return ("disabled (carpctl enable)");
	if (n->vif->down)
		return ("down (carpctl up)");
	*cause = VHOST_CAUSE_SHUTDOWN;
	if (n->vif->dying || n->eng->stopping)
		return ("shutting down");
	*cause = VHOST_CAUSE_SOURCE;
	if (!n->conf.v4 && d->no_v6)
		return ("IPv6 is disabled on carpdev");
	if (n->conf.v6 && d->src6.af == 0 && !d->v6_asked)
		return ("no usable IPv6 source address on carpdev");
	return (NULL);
}

/* An address that no network of carpdev holds works, for who routes to it. */
void
node_warn_outside(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	const struct dev *d = n->vif->dev;
	char buf[IPADDR_STRLEN];
	size_t i, k;

	for (i = 0; i < c->naddrs && !n->vif->told_outside; i++) {
		for (k = 0; k < ENGINE_ADDRS_MAX; k++)
			if (d->addrs[k].addr.af == c->addrs[i].af &&
			    ipaddr_within(&c->addrs[i], &d->addrs[k].addr))
				break;
		if (k == ENGINE_ADDRS_MAX)
			log_warnx("%s: %s is in none of the networks of %s",
			    c->name, ipaddr_print(&c->addrs[i], buf,
			    sizeof(buf)), d->name);
	}
	n->vif->told_outside = true;
}

void
node_eval(struct node *n)
{
	enum vhost_cause cause;
	const char *why = node_missing(n, &cause);
	bool running = why == NULL;

	n->why = why;
	if (running == n->running)
		return;
	n->running = running;
	if (running) {
		node_deposit(n);
		node_simple_event(n, VHOST_EV_RUN,
		    n->v.cause == VHOST_CAUSE_LINK ? VHOST_CAUSE_LINK :
		    VHOST_CAUSE_STARTUP);
		node_introduce(n);
		return;
	}
	if (n->v.state == VHOST_MASTER && cause != VHOST_CAUSE_OPERATOR &&
	    cause != VHOST_CAUSE_SHUTDOWN)
		note_lost(n);
	/* Whoever still has a link says goodbye, as far as it can. */
	node_simple_event(n, cause == VHOST_CAUSE_LINK ||
	    cause == VHOST_CAUSE_CARPDEV_GONE ? VHOST_EV_HALT : VHOST_EV_STOP,
	    cause);
}

/* ---- the frame for the day we die ---- */

static void
deposit(struct node *n, const struct ipaddr *dst, bool withdraw)
{
	struct msg_bowout m;
	struct advert_out o;

	memset(&o, 0, sizeof(o));
	o.advbase = o.advskew = CARP_BOWOUT;
	o.reason = ADVERT_REASON_ENGINE_DIED;
	o.seq = UINT64_MAX;	/* the last word of this epoch */
	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.carpdev, n->vif->dev->name, sizeof(m.carpdev));
	m.vhid = n->conf.vhid;
	m.dst = *dst;
	if (!withdraw && (dst->af == AF_INET ? n->conf.v4 : n->conf.v6))
		m.len = (uint16_t)build_frame(n, dst, &o, m.frame,
		    sizeof(m.frame));
	engine_to_parent(n->eng, IMSG_BOWOUT, &m, sizeof(m));
}

static void
deposit_family(struct node *n, uint8_t af)
{
	const struct config_iface *c = &n->vif->c;
	size_t i;

	if (!vif_has_peers(n->vif, af)) {
		deposit(n, group_of(af), false);
		return;
	}
	for (i = 0; i < c->npeers; i++)
		if (c->peers[i].af == af)
			deposit(n, &c->peers[i], dev_is_own(n->vif->dev,
			    &c->peers[i]));
}

void
node_deposit(struct node *n)
{
	if (n->vif->dying)
		return;
	if (n->conf.v4)
		deposit_family(n, AF_INET);
	if (n->conf.v6 || n->told_no_v6)
		deposit_family(n, AF_INET6);
}

/* ---- configuration ---- */

void
node_style(struct node *n)
{
	uint8_t style = n->vif->c.style;

	n->conf.style_byte = style != STYLE_SKEW;
	n->conf.style_skew = style == STYLE_SKEW || style == STYLE_BOTH ||
	    (style == STYLE_AUTO && n->skew_peer);
}

/* Tell of an IPv6 that carpdev does not have, or has again. */
static void
told_families(struct node *n, bool v6, bool served)
{
	const struct config_iface *c = &n->vif->c;
	bool first = n->conf.vhid == c->vhids[0].vhid;	/* for all of them */

	if (first && v6 && !served && !n->told_no_v6)
		log_warnx("%s: IPv6 is disabled on %s: its IPv6 addresses are "
		    "not served", c->name, c->carpdev);
	if (first && served && n->told_no_v6)
		log_info("%s: IPv6 is back on %s: its IPv6 addresses are "
		    "served", c->name, c->carpdev);
	n->told_no_v6 = v6 && !served;
}

void
node_families(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	const struct dev *d = n->vif->dev;
	bool was = n->conf.v6, v4 = false, v6 = false, served;
	size_t i;

	for (i = 0; i < c->naddrs; i++) {
		v4 |= c->addrs[i].af == AF_INET;
		v6 |= c->addrs[i].af == AF_INET6;
	}
	served = v6 && !d->no_v6;
	if (n->v.state != VHOST_INIT) {
		if (!v4)	/* without anything to run on it is stopped */
			return;
		if (!was && d->src6.af == 0)
			served = false;
	}
	n->conf.v4 = v4;
	n->conf.v6 = served;
	told_families(n, v6, served);
	if (n->v.state == VHOST_INIT || was == served)
		return;
	node_deposit(n);
	node_simple_event(n, VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
	if (served && n->v.state == VHOST_MASTER)
		node_announce(n);
}

void
node_conf(struct node *n, const struct config_vhid *cv)
{
	n->conf.vhid = cv->vhid;
	n->conf.advbase = cv->advbase;
	n->conf.advskew = cv->advskew;
	n->conf.preempt = n->eng->g.preempt != 0;
	n->conf.node = n->eng->nodeid;
	node_style(n);
}

void
node_variant(struct node *n)
{
	enum advert_variant old = n->variant;

	if (n->vif->c.digest == DIGEST_FREEBSD)
		n->variant = ADVERT_ORIG;
	else if (n->vif->c.digest == DIGEST_OPENBSD)
		n->variant = ADVERT_NOV6LL;
	if (n->running && n->variant != old)
		node_deposit(n);
}

static void
make_cookie(const struct vif *f, uint8_t cookie[CARP_COUNTER_LEN])
{
	hmac_random(cookie, CARP_COUNTER_LEN);
	cookie[0] |= 1;		/* never zero */
	advert_cookie(f->c.pass, f->c.passlen, f->eng->auth != NULL &&
	    auth_keyed(f->eng->auth), cookie);
}

void
node_rekeyed(struct node *n)
{
	uint8_t cookie[CARP_COUNTER_LEN];

	make_cookie(n->vif, cookie);
	advert_vhost_cookie(&n->av, cookie);
	if (!n->running)
		return;
	node_deposit(n);
	node_introduce(n);
}

void
node_new(struct vif *f, const struct config_vhid *cv)
{
	uint8_t cookie[CARP_COUNTER_LEN];
	struct node *n;
	int i;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		fatal("calloc");
	n->eng = f->eng;
	n->vif = f;
	n->why = "starting";
	balance_mac(BALANCE_NONE, cv->vhid, cv->vhid, n->vmac);
	vhost_init(&n->v, monotime_now());
	n->since_ms = engine_wall_ms();
	node_conf(n, cv);
	node_families(n);
	node_variant(n);
	make_cookie(f, cookie);
	n->av_set = advert_vhost_init(&n->av, cv->vhid, f->c.pass,
	    f->c.passlen, f->c.addrs, f->c.naddrs, cookie);
	if (!n->av_set)
		fatalx("%s: cannot prepare the digest", f->c.name);
	n->av.auth = f->eng->auth;
	for (i = 0; i < VHOST_TIMERS; i++) {
		n->timer[i].node = n;
		n->timer[i].which = (enum vhost_timer)i;
		n->timer[i].armed = MONOTIME_NEVER;
	}
	n->tx_ok = true;
	RB_INSERT(node_ids, &f->eng->ids, n);
	f->nodes[f->nnodes++] = n;
	f->dev->byvhid[cv->vhid] = n;
	rx_known(f->dev, cv->vhid);
	n->v.demotion = ledger_vif(f);
}

void
node_free(struct node *n)
{
	int i;

	if (n->vif->dev->byvhid[n->conf.vhid] == n)
		n->vif->dev->byvhid[n->conf.vhid] = NULL;
	tx_forget(n);
	forget_lost(n);
	for (i = 0; i < VHOST_TIMERS; i++)
		timers_arm(&n->timer[i], MONOTIME_NEVER);
	RB_REMOVE(node_ids, &n->eng->ids, n);
	if (n->av_set)
		advert_vhost_clear(&n->av);
	free(n);
}
