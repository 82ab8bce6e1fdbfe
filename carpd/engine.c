/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine: the unprivileged process that holds keys, timers and elections.
 * Frames, timers and messages become events of the pure machine (vhost.c);
 * its actions become frames, slots and messages.  No decision about an
 * election is taken here.  Receive pipeline and log texts follow OpenBSD's
 * sys/netinet/ip_carp.c.
 */
#include <sys/types.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/os/sandbox.h"
#include "../common/wire/frame.h"
#include "carpd.h"
#include "engine.h"
#include "os/frameio.h"

#define RX_BATCH	128	/* frames of one carpdev before others' turn */
#define DROP_LOG_QUIET	(60 * MONOTIME_SEC)
#define TOS_LOWDELAY	0x10	/* what OpenBSD and ucarp send */
#define SNDERR_TIME	(60 * MONOTIME_SEC)	/* a send error's entry */
#define FRAME_BUF	(FRAME_ETH_LEN + FRAME_IP6_LEN + ADVERT_MAX)

const char *const engine_counter_names[] = {
	[COUNT_IPACKETS] = "ipackets",
	[COUNT_IPACKETS6] = "ipackets6",
	[COUNT_BADIF] = "badif",
	[COUNT_BADTTL] = "badttl",
	[COUNT_HDROPS] = "hdrops",
	[COUNT_BADSUM] = "badsum",
	[COUNT_BADVER] = "badver",
	[COUNT_BADLEN] = "badlen",
	[COUNT_BADAUTH] = "badauth",
	[COUNT_BADVHID] = "badvhid",
	[COUNT_OPACKETS] = "opackets",
	[COUNT_OPACKETS6] = "opackets6",
	[COUNT_ONOMEM] = "onomem",
	[COUNT_PREEMPT] = "preempt",
	[COUNT_REPLAY] = "replay",
	[COUNT_BADTRAILER] = "badtrailer",
	[COUNT_NOTICES] = "notices",
	[COUNT_OERRORS] = "oerrors",
	[COUNT_LATE] = "late",
	[COUNT_TAKEN] = "successor",
	[COUNT_LOG_SUPPRESSED] = "logsuppressed",
};

/* How each drop is counted and, at which net.inet.carp.log, told. */
static const struct {
	int		 count;
	int		 pri;		/* -1: never */
	const char	*text;
} drops[ADVERT_DROPS] = {
	[ADVERT_DROP_BADIF] = { COUNT_BADIF, LOG_INFO,
	    "packet received on non-carp interface" },
	[ADVERT_DROP_BADTTL] = { COUNT_BADTTL, LOG_NOTICE,
	    "received ttl != 255" },
	[ADVERT_DROP_HDROPS] = { COUNT_HDROPS, LOG_INFO, "broken header" },
	[ADVERT_DROP_BADSUM] = { COUNT_BADSUM, LOG_INFO, "checksum failed" },
	[ADVERT_DROP_BADVER] = { COUNT_BADVER, LOG_NOTICE, "invalid version" },
	[ADVERT_DROP_BADLEN] = { COUNT_BADLEN, LOG_INFO, "packet too short" },
	[ADVERT_DROP_BADAUTH] = { COUNT_BADAUTH, LOG_INFO, "incorrect hash" },
	[ADVERT_DROP_BADVHID] = { COUNT_BADVHID, -1, "unknown vhid" },
	[ADVERT_DROP_LOOP] = { COUNT_BADAUTH, LOG_WARNING,
	    "replay or network loop detected" },
	[ADVERT_DROP_REPLAY] = { COUNT_REPLAY, LOG_WARNING,
	    "replayed advertisement" },
	[ADVERT_DROP_TRAILER] = { COUNT_BADTRAILER, LOG_WARNING,
	    "incorrect trailer" },
};

static void	 node_eval(struct node *);
static void	 node_deposit(struct node *);
static void	 dev_tell(struct dev *);

/* ---- small helpers ---- */

uint64_t
engine_wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static uint32_t
random32(void)
{
	uint32_t r;

	hmac_random(&r, sizeof(r));
	return (r);
}

void
engine_log(struct engine *e, int pri, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;

	if (pri > e->g.log)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_at(pri, "%s", line);
}

void
engine_notify(struct engine *e, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;

	if (e->control == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	control_notify(e->control, IMSG_CTL_EVENT, line, strlen(line));
}

static void
to_parent(struct engine *e, uint32_t type, const void *data, size_t len)
{
	if (e->parent == NULL)
		return;
	if (channel_send(e->parent, type, 0, -1, data, len) == -1)
		log_debug("message to the parent: %s", strerror(errno));
}

struct vif *
engine_find_vif(struct engine *e, const char *name)
{
	struct vif *f;

	TAILQ_FOREACH(f, &e->vifs, entry)
		if (!f->dying && strcmp(f->c.name, name) == 0)
			return (f);
	return (NULL);
}

int
engine_vif_demotion(const struct vif *f)
{
	return (demote_iface(&f->eng->ledger, &f->c));
}

static void
sweep_soon(struct engine *e)
{
	ev_timer_at(e->sweep_timer, monotime_now());
}

/* ---- sending ---- */

/* The source of our advertisements: carpdev's own address, else a VIP. */
static const struct ipaddr *
node_source(const struct node *n, uint8_t af)
{
	const struct dev *d = n->vif->dev;
	size_t i;

	if (af == AF_INET6)
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

/* vhosts that this node has lost and had been MASTER of. */
static size_t
gone_list(struct engine *e, uint8_t (*list)[ADVERT_ID_LEN])
{
	monotime_t now = monotime_now();
	struct vif *f;
	size_t i, k = 0;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes && k < ADVERT_GONE_MAX; i++) {
			struct node *n = f->nodes[i];

			if (!n->was_master || !n->av_set ||
			    n->v.state != VHOST_INIT ||
			    monotime_sub(now, n->lost) > ENGINE_GONE_TIME)
				continue;
			memcpy(list[k++], n->av.id, ADVERT_ID_LEN);
		}
	return (k);
}

/*
 * A whole advertisement frame of one family in buf; 0 when the family cannot
 * send.  o brings timers, demotion, sequence, reason and notice.
 */
static size_t
build_frame(struct node *n, uint8_t af, struct advert_out *o, uint8_t *buf,
    size_t size)
{
	const struct ipaddr *src = node_source(n, af), *dst = group_of(af);
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
	plen = advert_build(&n->av, o, payload, sizeof(payload));
	if (plen == 0)
		return (0);
	memset(&m, 0, sizeof(m));
	frame_mcast_mac(dst, m.eth_dst);
	memcpy(m.eth_src, n->vmac, sizeof(m.eth_src));
	m.src = *src;
	m.dst = *dst;
	m.proto = CARP_PROTO;
	m.ttl = CARP_TTL;
	m.tos = af == AF_INET ? TOS_LOWDELAY : 0;
	m.id = (uint16_t)random32();
	hlen = frame_ip(buf, size, &m, plen);
	if (hlen == 0 || hlen + plen > size)
		return (0);
	memcpy(buf + hlen, payload, plen);
	return (hlen + plen);
}

static bool
send_family(struct node *n, uint8_t af, struct advert_out *o)
{
	struct engine *e = n->eng;
	uint8_t buf[FRAME_BUF];
	size_t len;

	o->seq = ++e->seq;
	len = build_frame(n, af, o, buf, sizeof(buf));
	if (len == 0)
		return (false);
	if (n->vif->dev->fd == -1 ||
	    frameio_send(n->vif->dev->fd, buf, len) == -1) {
		e->count[COUNT_OERRORS]++;
		if (errno == ENOBUFS)
			e->count[COUNT_ONOMEM]++;
		engine_log(e, LOG_WARNING, "%s: advertisement on %s failed: %s",
		    n->vif->c.name, n->vif->dev->name, strerror(errno));
		return (false);
	}
	e->count[af == AF_INET ? COUNT_OPACKETS : COUNT_OPACKETS6]++;
	return (true);
}

/* Every family that the vhid has; false when one of them failed. */
static bool
send_advert(struct node *n, struct advert_out *o)
{
	uint8_t gone[ADVERT_GONE_MAX][ADVERT_ID_LEN];
	bool ok = true;

	o->ngone = gone_list(n->eng, gone);
	o->gone = (const uint8_t (*)[ADVERT_ID_LEN])gone;
	if (n->conf.v4)
		ok &= send_family(n, AF_INET, o);
	if (n->conf.v6)
		ok &= send_family(n, AF_INET6, o);
	o->gone = NULL;
	n->spoke = true;
	return (ok);
}

static void
announce(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	struct dev *d = n->vif->dev;
	uint8_t buf[128];
	size_t i, len;

	if (d->fd == -1)
		return;
	for (i = 0; i < c->naddrs; i++) {
		if (c->addrs[i].af == AF_INET)
			len = frame_garp(buf, sizeof(buf), n->vmac,
			    &c->addrs[i]);
		else if (n->conf.v6)
			len = frame_una(buf, sizeof(buf), n->vmac,
			    &c->addrs[i], d->router);
		else
			continue;
		if (frameio_send(d->fd, buf, len) == -1)
			n->eng->count[COUNT_OERRORS]++;
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

static void
ask_addresses(struct node *n, bool on)
{
	struct msg_vaddr m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, n->vif->c.name, sizeof(m.name));
	m.on = on;
	to_parent(n->eng, IMSG_VADDR, &m, sizeof(m));
}

/* ---- carrying out actions ---- */

static void
record_state(struct node *n, const struct vhost_action *a)
{
	struct engine *e = n->eng;
	struct history *h;
	const char *name = n->vif->c.name;
	bool init = a->from == VHOST_INIT || a->to == VHOST_INIT;

	n->since_ms = engine_wall_ms();
	if (a->to == VHOST_MASTER) {
		e->count[COUNT_PREEMPT]++;
		n->was_master = false;
		memset(&n->master, 0, sizeof(n->master));
		n->master_node = 0;
	}
	if (a->cause == VHOST_CAUSE_LATE)
		e->count[COUNT_LATE]++;
	if (a->cause == VHOST_CAUSE_TAKEN)
		e->count[COUNT_TAKEN]++;
	h = &e->history[e->nhistory++ % ENGINE_HISTORY_MAX];
	memset(h, 0, sizeof(*h));
	(void)strlcpy(h->name, name, sizeof(h->name));
	h->vhid = n->conf.vhid;
	h->from = (uint8_t)a->from;
	h->to = (uint8_t)a->to;
	h->cause = (uint8_t)a->cause;
	h->at_ms = n->since_ms;
	engine_log(e, init ? LOG_WARNING : LOG_CRIT,
	    "%s: state transition: %s -> %s (%s)", name,
	    vhost_state_names[a->from], vhost_state_names[a->to],
	    vhost_cause_names[a->cause]);
	engine_notify(e, "%s: state transition: %s -> %s (%s)", name,
	    vhost_state_names[a->from], vhost_state_names[a->to],
	    vhost_cause_names[a->cause]);
}

static void
act_snderr(struct node *n, bool hold)
{
	const struct config_iface *c = &n->vif->c;
	size_t i;

	for (i = 0; i < c->ngroups; i++)
		(void)engine_demote(n->eng, c->name, c->groups[i],
		    "snderrors", hold ? 1 : 0, SNDERR_TIME);
}

/* Returns -1, or whether an advertisement could be sent. */
static int
act_one(struct node *n, const struct vhost_action *a)
{
	struct advert_out o;

	memset(&o, 0, sizeof(o));
	switch (a->type) {
	case VHOST_ACT_STATE:
		record_state(n, a);
		return (-1);
	case VHOST_ACT_SLOT_ON:
		set_slot(n, STEER_STATE_ON);
		return (-1);
	case VHOST_ACT_SLOT_DRAIN:
		set_slot(n, STEER_STATE_DRAIN);
		return (-1);
	case VHOST_ACT_SLOT_OFF:
		set_slot(n, STEER_STATE_OFF);
		sweep_soon(n->eng);
		return (-1);
	case VHOST_ACT_ADDR_ADD:
		ask_addresses(n, true);
		return (-1);
	case VHOST_ACT_ADDR_DEL:
		ask_addresses(n, false);
		return (-1);
	case VHOST_ACT_SEND:
		o.advbase = n->conf.advbase;
		o.advskew = a->advskew;
		o.demote = a->demote;
		/* The lease lives as long as we speak. */
		if (n->v.state == VHOST_MASTER)
			set_slot(n, STEER_STATE_ON);
		return (send_advert(n, &o));
	case VHOST_ACT_BOWOUT:
		o.advbase = o.advskew = CARP_BOWOUT;
		o.demote = a->demote;
		o.reason = n->eng->orphan ? ADVERT_REASON_PARENT_DIED :
		    ADVERT_REASON_SHUTDOWN;
		(void)send_advert(n, &o);
		return (-1);
	case VHOST_ACT_ANNOUNCE:
		announce(n);
		return (-1);
	case VHOST_ACT_SNDERR:
		act_snderr(n, a->demote != 0);
		return (-1);
	}
	return (-1);
}

static void
arm_timers(struct node *n)
{
	int i;

	for (i = 0; i < VHOST_TIMERS; i++) {
		struct node_timer *t = &n->timer[i];

		if (monotime_cmp(t->armed, n->v.timer[i]) == 0)
			continue;
		t->armed = n->v.timer[i];
		if (monotime_isset(t->armed))
			ev_timer_at(t->ev, t->armed);
		else
			ev_timer_stop(t->ev);
	}
}

static int
step_at(struct node *n, const struct vhost_event *ev, monotime_t now)
{
	struct vhost_actions out;
	const char *broken;
	int r, sent = -1;
	size_t i;

	vhost_step(&n->conf, &n->v, ev, now, &out);
	arm_timers(n);
	for (i = 0; i < out.n; i++)
		if ((r = act_one(n, &out.a[i])) != -1)
			sent = r;
	if ((broken = vhost_check(&n->conf, &n->v, now)) != NULL)
		fatalx("%s: vhid %d: %s after %s", n->vif->c.name,
		    n->conf.vhid, broken, vhost_event_names[ev->type]);
	return (sent);
}

void
engine_event(struct node *n, const struct vhost_event *ev)
{
	struct vhost_event sent;
	int r;

	if ((r = step_at(n, ev, monotime_now())) == -1)
		return;
	memset(&sent, 0, sizeof(sent));
	sent.type = VHOST_EV_SENT;
	sent.ok = r != 0;
	(void)step_at(n, &sent, monotime_now());
}

static void
simple_event(struct node *n, enum vhost_event_type type,
    enum vhost_cause cause)
{
	struct vhost_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = type;
	ev.cause = cause;
	engine_event(n, &ev);
}

static void
node_timer_cb(void *arg)
{
	struct node_timer *t = arg;
	struct node *n = t->node;
	struct vhost_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_TIMER;
	ev.timer = (enum vhost_timer)(t - n->timer);
	t->armed = MONOTIME_NEVER;
	/* A successor's frame closed the slot while we were not looking. */
	if (ev.timer == VHOST_TIMER_AD && n->v.state == VHOST_MASTER &&
	    n->vif->dev->slots != NULL && steer_slot_get(n->vif->dev->slots,
	    n->conf.vhid) != STEER_STATE_ON)
		ev.type = VHOST_EV_TAKEN;
	engine_event(n, &ev);
}

/* ---- demotion ---- */

static void
vif_demotion(struct vif *f)
{
	struct vhost_event ev;
	size_t i;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_DEMOTE;
	ev.demotion = engine_vif_demotion(f);
	for (i = 0; i < f->nnodes; i++)
		if (f->nodes[i]->v.demotion != ev.demotion)
			engine_event(f->nodes[i], &ev);
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

	TAILQ_FOREACH(f, &e->vifs, entry)
		if (vif_in_group(f, group))
			vif_demotion(f);
}

bool
engine_demote(struct engine *e, const char *owner, const char *group,
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

static void
ledger_cb(void *arg)
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

/*
 * What carpdev's loss holds against the groups of the interfaces on it: one
 * for each interface (ip_carp.c: carp_carpdev_state).
 */
static void
dev_demotion(struct dev *d)
{
	struct engine *e = d->eng;
	bool lost = d->ifindex == 0 || (d->link_known && !d->link);
	struct vif *f;
	size_t i;

	/* Groups that nobody on d is in any more, after a reload. */
	for (i = 0; i < e->ledger.size; i++) {
		struct demote_entry old = e->ledger.e[i];

		if (old.amount != 0 && strcmp(old.owner, d->name) == 0 &&
		    strcmp(old.reason, "carpdev") == 0 &&
		    dev_group_size(d, old.group) == 0)
			(void)engine_demote(e, d->name, old.group, "carpdev",
			    0, 0);
	}
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; f->dev == d && !f->dying && i < f->c.ngroups; i++)
			(void)engine_demote(e, d->name, f->c.groups[i],
			    "carpdev", lost ? dev_group_size(d,
			    f->c.groups[i]) : 0, 0);
}

/* Ready: nothing that is there is still waiting to be looked at. */
static void
startup_check(struct engine *e)
{
	struct dev *d;

	if (!e->configured || e->g.sync_wait != 0 ||
	    demote_get(&e->ledger, "carpd", "carp", "startup") == 0)
		return;
	TAILQ_FOREACH(d, &e->devs, entry)
		if (d->ifindex != 0 && !d->link_known)
			return;
	(void)engine_demote(e, "carpd", "carp", "startup", 0, 0);
}

/* ---- receiving ---- */

static void
log_drop(struct engine *e, struct dev *d, const struct ipaddr *src,
    enum advert_drop drop, const struct node *n)
{
	monotime_t now = monotime_now();
	struct drop_log *slot = NULL;
	char buf[IPADDR_STRLEN];
	size_t i;

	if (drops[drop].pri == -1 || drops[drop].pri > e->g.log)
		return;
	for (i = 0; i < ENGINE_DROPLOG_MAX; i++) {
		struct drop_log *l = &e->drops[i];

		if (l->addr.af == 0 || monotime_cmp(l->until, now) <= 0) {
			if (slot == NULL)
				slot = l;
			continue;
		}
		if (l->drop == (int)drop && ipaddr_cmp(&l->addr, src) == 0) {
			slot = NULL;
			break;
		}
	}
	if (slot == NULL) {
		e->count[COUNT_LOG_SUPPRESSED]++;
		return;
	}
	slot->addr = *src;
	slot->drop = (int)drop;
	slot->until = monotime_add(now, DROP_LOG_QUIET);
	log_at(drops[drop].pri, "%s: %s from %s on %s",
	    n != NULL ? n->vif->c.name : "carp", drops[drop].text,
	    ipaddr_print(src, buf, sizeof(buf)), d->name);
}

static void
count_drop(struct dev *d, const struct ipaddr *src, enum advert_drop drop,
    const struct node *n)
{
	d->eng->count[drops[drop].count]++;
	log_drop(d->eng, d, src, drop, n);
}

/* The line of this sender, or the one that was silent for longest. */
static struct peer *
node_peer(struct node *n, const struct ipaddr *src)
{
	struct peer *p, *old = &n->peers[0];
	size_t i;

	for (i = 0; i < ENGINE_PEERS_MAX; i++) {
		p = &n->peers[i];
		if (p->addr.af != 0 && ipaddr_cmp(&p->addr, src) == 0)
			return (p);
		if (old->addr.af != 0 && (p->addr.af == 0 ||
		    monotime_cmp(p->heard, old->heard) < 0))
			old = p;
	}
	memset(old, 0, sizeof(*old));
	old->addr = *src;
	return (old);
}

static void
note_drop(struct node *n, const struct frame_ip *f,
    const struct carp_header *h, enum advert_drop drop)
{
	struct peer *p = node_peer(n, &f->src);

	p->packets++;
	p->dropped++;
	p->drop = drop;
	p->verified = false;
	p->advbase = h->advbase;
	p->advskew = h->advskew;
	p->demote = h->demote;
	p->heard = monotime_now();
}

static void
node_style(struct node *n)
{
	uint8_t style = n->vif->c.style;

	n->conf.style_byte = style != STYLE_SKEW;
	n->conf.style_skew = style == STYLE_SKEW || style == STYLE_BOTH ||
	    (style == STYLE_AUTO && n->skew_peer);
}

/*
 * What a foreign peer's advert tells of its habits.  A digest over link-local
 * addresses is the FreeBSD form; a counter that moves is FreeBSD, NetBSD or
 * ucarp, none of which looks at the demotion byte.
 */
static void
learn_habits(struct node *n, struct peer *p, const struct carp_header *h,
    const struct advert_in *in)
{
	const char *name = n->vif->c.name;

	if (!in->both && n->vif->c.digest == DIGEST_AUTO) {
		if (in->variant == ADVERT_NOV6LL)
			n->variant_known = true;
		if (in->variant == ADVERT_ORIG && !n->variant_known &&
		    n->variant != ADVERT_ORIG) {
			n->variant = ADVERT_ORIG;
			log_info("%s: peers need the digest with link-local "
			    "addresses: sending that", name);
			node_deposit(n);
		}
	}
	if (in->ours || in->notice)
		return;
	if (p->verified && !n->skew_peer && n->vif->c.style == STYLE_AUTO &&
	    memcmp(p->counter, h->counter, sizeof(p->counter)) != 0) {
		n->skew_peer = true;
		node_style(n);
		log_info("%s: a peer does not use the demotion byte: "
		    "demotion also goes into advskew", name);
	}
	memcpy(p->counter, h->counter, sizeof(p->counter));
}

static void
note_peer(struct node *n, const struct frame_ip *f,
    const struct carp_header *h, const struct advert_in *in)
{
	struct peer *p = node_peer(n, &f->src);

	learn_habits(n, p, h, in);
	p->packets++;
	p->verified = true;
	p->drop = ADVERT_ACCEPT;
	p->ours = in->ours;
	p->node = in->node;
	p->variant = (uint8_t)in->variant;
	p->heard = monotime_now();
	if (in->notice)
		return;
	p->advbase = in->advbase;
	p->advskew = in->advskew;
	p->demote = in->demote;
	n->master = f->src;
	n->master_node = in->node;
	n->master_rank = (uint32_t)in->advbase * 256 + in->advskew;
}

/* Our node in->node says which vhosts it has lost. */
static void
hear_gone(struct engine *e, const struct advert_in *in)
{
	struct vhost_event ev;
	struct vif *f;
	size_t i, k;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_GONE;
	ev.node = in->node;
	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++)
			for (k = 0; k < in->ngone; k++)
				if (f->nodes[i]->av_set && memcmp(
				    f->nodes[i]->av.id, in->gone + k *
				    ADVERT_ID_LEN, ADVERT_ID_LEN) == 0)
					engine_event(f->nodes[i], &ev);
}

static enum vhost_cause
bowout_cause(enum advert_reason r)
{
	switch (r) {
	case ADVERT_REASON_ENGINE_DIED:
		return (VHOST_CAUSE_ENGINE_DIED);
	case ADVERT_REASON_PARENT_DIED:
		return (VHOST_CAUSE_PARENT_DIED);
	case ADVERT_REASON_NONE:
	case ADVERT_REASON_SHUTDOWN:
		break;
	}
	return (VHOST_CAUSE_BOWOUT);
}

static void
hear(struct node *n, const struct frame_ip *f, const struct carp_header *h,
    const struct advert_in *in)
{
	struct vhost_event ev;

	note_peer(n, f, h, in);
	if (in->ngone != 0)
		hear_gone(n->eng, in);
	if (in->notice) {
		n->eng->count[COUNT_NOTICES]++;
		return;
	}
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_ADVERT;
	ev.v6 = in->af == AF_INET6;
	ev.ours = in->ours;
	ev.advbase = in->advbase;
	ev.advskew = in->advskew;
	ev.demote = in->demote;
	ev.bowout = bowout_cause(in->reason);
	ev.node = in->node;
	ev.random = random32();
	engine_event(n, &ev);
}

/* The receive pipeline, in OpenBSD's order. */
static void
receive(struct dev *d, const uint8_t *frame, size_t len)
{
	static const struct ipaddr nobody = { AF_INET, 32, { 0 }, { 0 } };
	struct engine *e = d->eng;
	struct carp_header h;
	struct advert_in in;
	struct frame_ip f;
	enum advert_drop drop;
	struct node *n;

	switch (frame_peel(frame, len, &f)) {
	case FRAME_OK:
		break;
	case FRAME_OTHER:
		return;
	case FRAME_SHORT:
	case FRAME_BADSUM:
		count_drop(d, &nobody, ADVERT_DROP_HDROPS, NULL);
		return;
	}
	if (f.proto != CARP_PROTO)
		return;
	e->count[f.src.af == AF_INET ? COUNT_IPACKETS : COUNT_IPACKETS6]++;
	if (!e->allow)
		return;
	if (!f.multicast && f.src.af == AF_INET6) {
		count_drop(d, &f.src, ADVERT_DROP_BADIF, NULL);
		return;
	}
	if ((drop = advert_check(&f, &h)) != ADVERT_ACCEPT) {
		count_drop(d, &f.src, drop, NULL);
		return;
	}
	n = d->byvhid[advert_vhid(&f, &h)];
	if (n == NULL || !n->running || !f.multicast ||
	    (f.src.af == AF_INET ? !n->conf.v4 : !n->conf.v6)) {
		count_drop(d, &f.src, ADVERT_DROP_BADVHID, NULL);
		return;
	}
	drop = advert_verify(&n->av, &f, &h, monotime_now(),
	    vhost_masterdown(&n->conf), &in);
	if (drop != ADVERT_ACCEPT) {
		count_drop(d, &f.src, drop, n);
		note_drop(n, &f, &h, drop);
		return;
	}
	hear(n, &f, &h, &in);
}

static void
dev_read(int fd, int what, void *arg)
{
	struct dev *d = arg;
	uint8_t frame[FRAMEIO_MTU];
	ssize_t len;
	int i;

	(void)what;
	for (i = 0; i < RX_BATCH; i++) {
		if ((len = frameio_recv(fd, frame, sizeof(frame))) == -1)
			return;
		receive(d, frame, (size_t)len);
		if (d->fd != fd)
			return;
	}
}

/* ---- may a vhid run? ---- */

static const char *
node_missing(const struct node *n, enum vhost_cause *cause)
{
	const struct dev *d = n->vif->dev;

	*cause = VHOST_CAUSE_CARPDEV_GONE;
	if (d->ifindex == 0)
		return ("carpdev does not exist");
	*cause = VHOST_CAUSE_LINK;
	if (d->fd == -1 || d->slots == NULL || !d->link_known)
		return ("carpdev is being opened");
	if (!d->link)
		return ("carpdev has no link");
	*cause = VHOST_CAUSE_OPERATOR;
	if (!n->eng->allow)
		return ("disabled (carpctl enable)");
	*cause = VHOST_CAUSE_SHUTDOWN;
	if (n->vif->dying || n->eng->stopping)
		return ("shutting down");
	*cause = VHOST_CAUSE_SOURCE;
	if (n->conf.v6 && d->src6.af == 0)
		return ("no usable IPv6 source address on carpdev");
	if (!n->conf.v4 && !n->conf.v6)
		return ("IPv6 is disabled on carpdev");
	return (NULL);
}

static void
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
		simple_event(n, VHOST_EV_RUN, n->v.cause == VHOST_CAUSE_LINK ?
		    VHOST_CAUSE_LINK : VHOST_CAUSE_STARTUP);
		return;
	}
	if (n->v.state == VHOST_MASTER && cause != VHOST_CAUSE_OPERATOR &&
	    cause != VHOST_CAUSE_SHUTDOWN) {
		n->was_master = true;
		n->lost = monotime_now();
	}
	/* Whoever still has a link says goodbye, as far as it can. */
	simple_event(n, cause == VHOST_CAUSE_LINK ||
	    cause == VHOST_CAUSE_CARPDEV_GONE ? VHOST_EV_HALT : VHOST_EV_STOP,
	    cause);
}

static void
dev_eval(struct dev *d)
{
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			node_eval(f->nodes[i]);
	startup_check(d->eng);
}

/*
 * carpdev lost or found.  What we were MASTER of there is told over every
 * other carpdev at once, so that nobody has to wait for our silence.
 */
static void
dev_changed(struct dev *d)
{
	struct engine *e = d->eng;
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++)
			f->nodes[i]->spoke = false;
	dev_eval(d);
	dev_demotion(d);
	dev_tell(d);
}

static void
send_notice(struct node *n)
{
	struct advert_out o;

	memset(&o, 0, sizeof(o));
	o.advbase = n->conf.advbase;
	o.advskew = vhost_skew(&n->conf, &n->v);
	o.demote = (uint8_t)n->v.demotion;
	o.notice = n->v.state != VHOST_MASTER;
	(void)send_advert(n, &o);
}

static void
dev_tell(struct dev *lost)
{
	uint8_t gone[ADVERT_GONE_MAX][ADVERT_ID_LEN];
	struct engine *e = lost->eng;
	struct vif *f;
	struct dev *d;
	size_t i;

	if (gone_list(e, gone) == 0)
		return;
	TAILQ_FOREACH(d, &e->devs, entry) {
		struct node *speaker = NULL;
		bool spoke = false;

		TAILQ_FOREACH(f, &e->vifs, entry)
			for (i = 0; f->dev == d && i < f->nnodes; i++) {
				spoke |= f->nodes[i]->spoke;
				if (f->nodes[i]->running)
					speaker = f->nodes[i];
			}
		if (d != lost && speaker != NULL && !spoke)
			send_notice(speaker);
	}
}

/* ---- the frame for the day we die ---- */

static void
deposit_family(struct node *n, uint8_t af)
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
	m.af = af;
	m.len = (uint16_t)build_frame(n, af, &o, m.frame, sizeof(m.frame));
	to_parent(n->eng, IMSG_BOWOUT, &m, sizeof(m));
}

static void
node_deposit(struct node *n)
{
	if (n->vif->dying)
		return;
	if (n->conf.v4)
		deposit_family(n, AF_INET);
	if (n->conf.v6)
		deposit_family(n, AF_INET6);
}

/* ---- carpdevs ---- */

static struct dev *
dev_get(struct engine *e, const char *name)
{
	struct dev *d;

	TAILQ_FOREACH(d, &e->devs, entry)
		if (strcmp(d->name, name) == 0)
			return (d);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->eng = e;
	d->fd = -1;
	(void)strlcpy(d->name, name, sizeof(d->name));
	TAILQ_INSERT_TAIL(&e->devs, d, entry);
	return (d);
}

static void
dev_close(struct dev *d)
{
	ev_fd_free(d->ev);
	d->ev = NULL;
	if (d->fd != -1)
		close(d->fd);
	d->fd = -1;
	steer_slots_unmap(d->slots);
	d->slots = NULL;
	d->ifindex = 0;
	d->link = d->link_known = false;
	memset(d->addrs, 0, sizeof(d->addrs));
	memset(&d->src4, 0, sizeof(d->src4));
	memset(&d->src6, 0, sizeof(d->src6));
}

static void
node_families(struct node *n)
{
	const struct config_iface *c = &n->vif->c;
	bool had6 = n->conf.v6;
	size_t i;

	n->conf.v4 = n->conf.v6 = false;
	for (i = 0; i < c->naddrs; i++) {
		if (c->addrs[i].af == AF_INET)
			n->conf.v4 = true;
		else if (!n->vif->dev->no_v6)
			n->conf.v6 = true;
		else if (had6)
			log_warnx("%s: IPv6 is disabled on %s: its IPv6 "
			    "addresses are not served", c->name, c->carpdev);
	}
}

static void
dev_families(struct dev *d)
{
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			if (f->nodes[i]->v.state == VHOST_INIT)
				node_families(f->nodes[i]);
}

static void
got_carpdev(struct engine *e, const struct msg_carpdev *m, int fd)
{
	struct dev *d = dev_get(e, m->name);

	if (d->ifindex != 0) {
		dev_close(d);
		dev_changed(d);
	}
	d->ifindex = m->ifindex;
	memcpy(d->mac, m->mac, sizeof(d->mac));
	d->router = m->router != 0;
	d->no_v6 = m->no_v6 != 0;
	d->fd = fd;
	d->ev = ev_fd_new(fd, EV_IN, dev_read, d);
	dev_families(d);
}

static void
got_slots(struct engine *e, const struct msg_name *m, int fd)
{
	struct dev *d = dev_get(e, m->name);

	steer_slots_unmap(d->slots);
	if ((d->slots = steer_slots_map(fd)) == NULL)
		fatal("cannot map the slots of %s", m->name);
	/* What the links and addresses are now comes with the dump. */
	if (kif_dump(e->kif) == -1)
		log_warn("interface dump");
}

static void
carpdev_gone(struct engine *e, const struct msg_name *m)
{
	struct dev *d = dev_get(e, m->name);

	if (d->ifindex == 0)
		return;
	log_warnx("%s: interface is gone, waiting for it", d->name);
	dev_close(d);
	dev_changed(d);
}

/* Link-local sources are preferred for IPv6, as the kernels do. */
static void
dev_sources(struct dev *d)
{
	struct ipaddr old4 = d->src4, old6 = d->src6;
	struct vif *f;
	size_t i;

	memset(&d->src4, 0, sizeof(d->src4));
	memset(&d->src6, 0, sizeof(d->src6));
	for (i = 0; i < ENGINE_ADDRS_MAX; i++) {
		const struct dev_addr *a = &d->addrs[i];

		if (a->addr.af == 0 || a->tentative || a->virtual)
			continue;
		if (a->addr.af == AF_INET && d->src4.af == 0)
			d->src4 = a->addr;
		if (a->addr.af == AF_INET6 && (d->src6.af == 0 ||
		    (ipaddr_is_linklocal(&a->addr) &&
		    !ipaddr_is_linklocal(&d->src6))))
			d->src6 = a->addr;
	}
	if (memcmp(&old4, &d->src4, sizeof(old4)) == 0 &&
	    memcmp(&old6, &d->src6, sizeof(old6)) == 0)
		return;
	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			if (f->nodes[i]->running)
				node_deposit(f->nodes[i]);
	dev_changed(d);
}

/* Is this one of the virtual addresses of carpdev? */
static bool
dev_is_virtual(const struct dev *d, const struct ipaddr *a)
{
	const struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->c.naddrs; i++)
			if (ipaddr_cmp(&f->c.addrs[i], a) == 0)
				return (true);
	return (false);
}

static void
dev_addr(struct dev *d, const struct kif_event *k)
{
	struct dev_addr *slot = NULL, *a;
	size_t i;

	for (i = 0; i < ENGINE_ADDRS_MAX; i++) {
		a = &d->addrs[i];
		if (a->addr.af == 0) {
			if (slot == NULL)
				slot = a;
		} else if (ipaddr_cmp(&a->addr, &k->addr) == 0) {
			slot = a;
			break;
		}
	}
	if (slot == NULL)
		return;
	memset(slot, 0, sizeof(*slot));
	if (k->type == KIF_ADDR_ADD) {
		slot->addr = k->addr;
		slot->tentative = k->tentative;
		slot->virtual = k->proto == KIF_PROTO_CARPD ||
		    dev_is_virtual(d, &k->addr);
	}
	dev_sources(d);
}

static void
kif_event(const struct kif_event *k, void *arg)
{
	struct engine *e = arg;
	struct dev *d;

	TAILQ_FOREACH(d, &e->devs, entry)
		if (d->ifindex != 0 && d->ifindex == k->ifindex)
			break;
	if (d == NULL)
		return;
	switch (k->type) {
	case KIF_LINK:
		memcpy(d->mac, k->mac, sizeof(d->mac));
		if (d->link_known && d->link == k->running)
			return;
		d->link_known = true;
		d->link = k->running;
		dev_changed(d);
		return;
	case KIF_ADDR_ADD:
	case KIF_ADDR_DEL:
		dev_addr(d, k);
		return;
	case KIF_GONE:
		/* The parent says it too; the link is lost at once. */
		d->link_known = true;
		d->link = false;
		dev_changed(d);
		return;
	case KIF_TC:
	case KIF_OVERRUN:
		return;
	}
}

static void
kif_readable(int fd, int what, void *arg)
{
	struct engine *e = arg;

	(void)fd;
	(void)what;
	kif_read(e->kif);
}

/* ---- configuration ---- */

static void
node_conf(struct node *n, const struct config_vhid *cv)
{
	n->conf.vhid = cv->vhid;
	n->conf.advbase = cv->advbase;
	n->conf.advskew = cv->advskew;
	n->conf.preempt = n->eng->g.preempt != 0;
	n->conf.node = n->eng->nodeid;
	node_style(n);
}

static void
node_variant(struct node *n)
{
	if (n->vif->c.digest == DIGEST_FREEBSD)
		n->variant = ADVERT_ORIG;
	else if (n->vif->c.digest == DIGEST_OPENBSD)
		n->variant = ADVERT_NOV6LL;
}

static void
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
	memcpy(n->vmac, "\0\0\x5e\0\x01", 5);
	n->vmac[5] = cv->vhid;
	vhost_init(&n->v, monotime_now());
	n->since_ms = engine_wall_ms();
	node_conf(n, cv);
	node_families(n);
	node_variant(n);
	hmac_random(cookie, sizeof(cookie));
	cookie[0] |= 1;		/* never zero */
	n->av_set = advert_vhost_init(&n->av, cv->vhid, f->c.pass,
	    f->c.passlen, f->c.addrs, f->c.naddrs, cookie);
	if (!n->av_set)
		fatalx("%s: cannot prepare the digest", f->c.name);
	for (i = 0; i < VHOST_TIMERS; i++) {
		n->timer[i].node = n;
		n->timer[i].armed = MONOTIME_NEVER;
		n->timer[i].ev = ev_timer_new(node_timer_cb, &n->timer[i]);
	}
	f->nodes[f->nnodes++] = n;
	f->dev->byvhid[cv->vhid] = n;
	n->v.demotion = engine_vif_demotion(f);
}

static void
node_free(struct node *n)
{
	int i;

	if (n->vif->dev->byvhid[n->conf.vhid] == n)
		n->vif->dev->byvhid[n->conf.vhid] = NULL;
	for (i = 0; i < VHOST_TIMERS; i++)
		ev_timer_free(n->timer[i].ev);
	if (n->av_set)
		advert_vhost_clear(&n->av);
	free(n);
}

static void
vif_new(struct engine *e, const struct config_iface *c)
{
	struct vif *f;
	size_t i;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		fatal("calloc");
	f->eng = e;
	f->c = *c;
	f->keep = true;
	f->dev = dev_get(e, c->carpdev);
	for (i = 0; i < c->naddrs; i++)
		f->shown[i].plen = 255;
	TAILQ_INSERT_TAIL(&e->vifs, f, entry);
	for (i = 0; i < c->nvhids; i++)
		node_new(f, &c->vhids[i]);
}

static void
vif_free(struct vif *f)
{
	size_t i;

	hmac_wipe(f->c.pass, sizeof(f->c.pass));
	TAILQ_REMOVE(&f->eng->vifs, f, entry);
	for (i = 0; i < f->nnodes; i++)
		node_free(f->nodes[i]);
	free(f);
}

static bool
vif_draining(const struct vif *f)
{
	size_t i;

	for (i = 0; i < f->nnodes; i++)
		if (monotime_isset(f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]))
			return (true);
	return (false);
}

static void
vif_stop(struct vif *f, enum vhost_cause cause)
{
	size_t i;

	f->dying = true;
	for (i = 0; i < f->nnodes; i++) {
		f->nodes[i]->running = false;
		f->nodes[i]->why = "shutting down";
		simple_event(f->nodes[i], VHOST_EV_STOP, cause);
	}
	sweep_soon(f->eng);
}

/* Its successor takes the same slot: no time to drain. */
static void
vif_kill(struct vif *f)
{
	struct vhost_event ev;
	size_t i;

	vif_stop(f, VHOST_CAUSE_CONFIG);
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_TIMER;
	ev.timer = VHOST_TIMER_DRAIN;
	for (i = 0; i < f->nnodes; i++)
		if (monotime_isset(f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]))
			(void)step_at(f->nodes[i], &ev,
			    f->nodes[i]->v.timer[VHOST_TIMER_DRAIN]);
	vif_free(f);
}

void
engine_vif_changed(struct vif *f, bool timers)
{
	size_t i;

	for (i = 0; i < f->nnodes; i++) {
		struct node *n = f->nodes[i];

		node_conf(n, &f->c.vhids[i]);
		node_variant(n);
		if (timers)
			simple_event(n, VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
	}
	vif_demotion(f);
}

static void
vif_update(struct vif *f, const struct config_iface *c, unsigned int diff)
{
	f->keep = true;
	if (diff == 0)
		return;
	f->c = *c;
	engine_vif_changed(f, (diff & CONFIG_DIFF_TIMERS) != 0);
}

static void
apply_iface(struct engine *e, const struct config_iface *c)
{
	struct vif *f = engine_find_vif(e, c->name);
	unsigned int diff;

	if (f != NULL) {
		diff = config_iface_diff(&f->c, c);
		if ((diff & CONFIG_DIFF_IDENTITY) == 0) {
			vif_update(f, c, diff);
			return;
		}
		vif_kill(f);
	}
	vif_new(e, c);
}

static void
apply_groups(struct engine *e, const struct config *c)
{
	size_t i;

	for (i = 0; i < e->ngroups; i++)
		(void)engine_demote(e, "configuration", e->groups[i].name,
		    "group", 0, 0);
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
		(void)engine_demote(e, "configuration", e->groups[i].name,
		    "group", (int)e->groups[i].demote, 0);
}

static void
apply_global(struct engine *e, const struct config_global *g)
{
	bool preempt = e->g.preempt != g->preempt;
	struct vif *f;

	e->g = *g;
	if (!preempt)
		return;
	TAILQ_FOREACH(f, &e->vifs, entry)
		engine_vif_changed(f, false);
}

static void
apply_config(struct engine *e, struct config *c)
{
	struct vif *f, *next;
	struct dev *d;
	bool first = !e->configured;
	size_t i;

	apply_global(e, &c->g);
	TAILQ_FOREACH(f, &e->vifs, entry)
		f->keep = false;
	/* What goes makes room (vhids) before what comes. */
	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next)
		if (!f->dying && config_find_iface(c, f->c.name) == NULL)
			vif_stop(f, VHOST_CAUSE_CONFIG);
	for (i = 0; i < c->nifaces; i++)
		apply_iface(e, &c->ifaces[i]);
	apply_groups(e, c);
	e->configured = true;
	if (first && c->g.sync_wait != 0)
		(void)engine_demote(e, "carpd", "carp", "startup",
		    DEMOTE_STARTUP, (int64_t)c->g.sync_wait * MONOTIME_SEC);
	TAILQ_FOREACH(d, &e->devs, entry) {
		dev_demotion(d);
		dev_eval(d);
	}
	startup_check(e);
	e->want_ready = true;
	sweep_soon(e);
	if (kif_dump(e->kif) == -1)
		log_warn("interface dump");
}

/* ---- stopping ---- */

void
engine_allow(struct engine *e, bool allow)
{
	struct dev *d;

	if (e->allow == allow)
		return;
	e->allow = allow;
	log_info("carp: %s by the operator", allow ? "enabled" : "disabled");
	TAILQ_FOREACH(d, &e->devs, entry)
		dev_eval(d);
}

static void
engine_stop(struct engine *e)
{
	struct vif *f, *next;

	if (e->stopping)
		return;
	e->stopping = true;
	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next)
		if (!f->dying)
			vif_stop(f, VHOST_CAUSE_SHUTDOWN);
}

/* Free what has drained; tell the parent when nothing is left to do. */
static void
sweep_cb(void *arg)
{
	struct engine *e = arg;
	struct vif *f, *next;
	bool busy = false;

	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next) {
		if (!f->dying)
			continue;
		if (vif_draining(f))
			busy = true;
		else
			vif_free(f);
	}
	if (busy)
		return;
	if (e->want_ready) {
		e->want_ready = false;
		to_parent(e, IMSG_READY, NULL, 0);
	}
	if (e->stopping && TAILQ_EMPTY(&e->vifs)) {
		to_parent(e, IMSG_STOPPED, NULL, 0);
		ev_stop();
	}
}

static void
parent_gone(struct channel *c, const char *why, void *arg)
{
	struct engine *e = arg;

	log_set_sink(NULL, NULL);
	channel_free(c);
	e->parent = NULL;
	e->orphan = true;
	log_warnx("lost the parent: %s", why);
	engine_stop(e);
}

/* ---- messages from the parent ---- */

static void
got_conf(struct engine *e, struct imsg *im)
{
	switch (im->type) {
	case IMSG_CONF_BEGIN:
		config_free(e->incoming);
		e->incoming = config_new();
		memcpy(&e->incoming->g, im->data, sizeof(e->incoming->g));
		return;
	case IMSG_CONF_IFACE:
		if (e->incoming != NULL && config_iface_ok(im->data))
			(void)config_add_iface(e->incoming, im->data);
		return;
	case IMSG_CONF_GROUP:
		if (e->incoming != NULL)
			(void)config_add_group(e->incoming, im->data);
		return;
	default:
		if (e->incoming != NULL)
			apply_config(e, e->incoming);
		config_free(e->incoming);
		e->incoming = NULL;
		return;
	}
}

static void
got_start(struct engine *e, const struct msg_start *m)
{
	e->epoch = m->epoch;
	e->nodeid = m->node;
	log_setverbose(m->verbose);
}

static void
got_addr(struct engine *e, const struct ctl_addr *a)
{
	struct vif *f = engine_find_vif(e, a->name);
	size_t i;

	for (i = 0; f != NULL && i < f->c.naddrs; i++)
		if (ipaddr_cmp(&f->c.addrs[i], &a->addr) == 0)
			f->shown[i].plen = a->plen;
}

static void
parent_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct engine *e = arg;
	const char *bad;
	int fd = im->fd;

	(void)c;
	bad = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_PARENT);
	if (bad != NULL)
		fatalx("message %u from the parent: %s", im->type, bad);
	switch (im->type) {
	case IMSG_START:
		got_start(e, im->data);
		return;
	case IMSG_CTL_SOCKET:
		e->control = control_new(fd, ctl_dispatch, e);
		return;
	case IMSG_KIF_SOCKET:
		if ((e->kif = kif_from_fd(fd, kif_event, e)) == NULL)
			fatal("kif_from_fd");
		e->kif_ev = ev_fd_new(fd, EV_IN, kif_readable, e);
		return;
	case IMSG_CARPDEV:
		got_carpdev(e, im->data, fd);
		return;
	case IMSG_SLOTS:
		got_slots(e, im->data, fd);
		return;
	case IMSG_CARPDEV_GONE:
		carpdev_gone(e, im->data);
		return;
	case IMSG_ADDR_SHOWN:
		got_addr(e, im->data);
		return;
	case IMSG_COUNTERS:
		memcpy(&e->parent_count, im->data, sizeof(e->parent_count));
		ctl_counters(e);
		return;
	case IMSG_RELOADED:
		ctl_reloaded(e, im->data);
		return;
	case IMSG_STOP:
		engine_stop(e);
		return;
	default:
		got_conf(e, im);
		return;
	}
}

/* ---- the process ---- */

static void
log_to_parent(int pri, const char *line, void *arg)
{
	struct engine *e = arg;
	struct msg_log m;

	memset(&m, 0, sizeof(m));
	m.pri = pri;
	(void)strlcpy(m.line, line, sizeof(m.line));
	to_parent(e, IMSG_LOG, &m, sizeof(m));
}

static struct engine *
engine_new(int fd)
{
	static struct demote_entry entries[ENGINE_LEDGER_MAX];
	struct engine *e;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	TAILQ_INIT(&e->devs);
	TAILQ_INIT(&e->vifs);
	e->allow = true;
	e->g.log = CONFIG_LOG_DEFAULT;
	e->started = monotime_now();
	demote_init(&e->ledger, entries, ENGINE_LEDGER_MAX);
	e->ledger_timer = ev_timer_new(ledger_cb, e);
	e->sweep_timer = ev_timer_new(sweep_cb, e);
	e->parent = channel_new(fd, parent_msg, parent_gone, e);
	log_set_sink(log_to_parent, e);
	return (e);
}

void
engine_main(int fd, const char *user, int verbose)
{
	struct engine *e;
	struct passwd *pw;
	const char *refused;

	log_procinit("engine");
	log_setverbose(verbose);
	if ((pw = getpwnam(user)) == NULL)
		fatalx("unknown user %s", user);
	hmac_setup();
	tzset();
	refused = sandbox_realtime(CARPD_FIFO_PRIO);
	ev_init();
	e = engine_new(fd);
	if (refused != NULL)
		log_warnx("%s: timers may be late under load", refused);
	sandbox_enter(SANDBOX_CARPD_ENGINE, pw->pw_uid, pw->pw_gid);
	setproctitle("engine");
	(void)engine_demote(e, "carpd", "carp", "startup", DEMOTE_STARTUP, 0);
	ev_loop();
	if (e->parent != NULL)
		(void)channel_drain(e->parent, 1000);
	exit(e->orphan ? 1 : 0);
}
