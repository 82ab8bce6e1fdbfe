/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The simulated network of sim.h.  Models carpd/engine.c (what it does with
 * actions, links, notices), carpd/advert.c (replay) and carpd/bpf/steer.bpf.c
 * (slots) as far as an election can notice; it decides nothing itself.
 * Everything random comes from the seed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/bpf/steer_map.h"
#include "sim.h"

#define LINK_LATENCY	MONOTIME_MSEC	/* until the engine is told */
#define WAKE_SPREAD	MONOTIME_MSEC	/* a stopped process catches up */
#define REORDERED	8		/* delays that a stray frame takes */
#define GONE_TIME	(10 * MONOTIME_SEC)	/* ENGINE_GONE_TIME */
#define STALE_TIMERS	8		/* one in so many is delivered */
#define STORM		20000000	/* steps of one run, never reached */
#define GROUP		"carp"

const char *const sim_fault_names[] = {
	[SIM_LOSS] = "lost",
	[SIM_DELAY] = "delayed",
	[SIM_REORDER] = "reordered",
	[SIM_DUP] = "duplicated",
	[SIM_ONEWAY] = "one-way cut",
	[SIM_PARTITION] = "partition",
	[SIM_FREEZE] = "freeze",
	[SIM_LATE_TIMER] = "late timer",
	[SIM_STALE_TIMER] = "stale timer",
	[SIM_KILL] = "kill",
	[SIM_ENGINE_DIED] = "engine died",
	[SIM_PARENT_DIED] = "parent died",
	[SIM_POWER] = "power off",
	[SIM_RESTART] = "restart",
	[SIM_LINK] = "link lost",
	[SIM_SNDERR] = "send error",
	[SIM_STOP] = "stop",
	[SIM_DEMOTE] = "demote",
	[SIM_PROMOTE] = "promote",
	[SIM_FORCE_BACKUP] = "state backup",
	[SIM_FORCE_MASTER] = "state master",
	[SIM_DISABLE] = "disable",
	[SIM_RECONF] = "reconfigure",
};

uint64_t sim_faults[SIM_FAULTS];

static void	 node_event(struct sim *, int, int,
		    const struct vhost_event *);

/* -- small things -- */

/* splitmix64, by Sebastiano Vigna (public domain). */
static uint64_t
next_random(struct sim *s)
{
	uint64_t z = s->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31);
}

uint64_t
sim_random(struct sim *s, uint64_t n)
{
	return (next_random(s) % n);
}

static int64_t
between(struct sim *s, int64_t min, int64_t max)
{
	return (min >= max ? min :
	    min + (int64_t)sim_random(s, (uint64_t)(max - min + 1)));
}

static bool
chance(struct sim *s, int per1000)
{
	return (per1000 > 0 && sim_random(s, 1000) < (uint64_t)per1000);
}

static int64_t
larger(int64_t a, int64_t b)
{
	return (a > b ? a : b);
}

static double
seconds(monotime_t t)
{
	return ((double)t.ns / 1e9);
}

static void	 say(struct sim *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));

static void
say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->trace)
		return;
	printf("%12.6f ", seconds(s->now));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->why[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	say(s, "WRONG: %s", s->why);
	s->trace = false;
}

/* -- the queue of events: a heap -- */

static bool
earlier(const struct sim_event *a, const struct sim_event *b)
{
	int c = monotime_cmp(a->at, b->at);

	return (c != 0 ? c < 0 : a->order < b->order);
}

static void
push(struct sim *s, struct sim_event *e)
{
	struct sim_event *h;
	size_t i, up;

	if (s->nheap == s->heapsize) {
		s->heapsize = s->heapsize == 0 ? 256 : 2 * s->heapsize;
		s->heap = reallocarray(s->heap, s->heapsize,
		    sizeof(*s->heap));
		if (s->heap == NULL)
			abort();
	}
	h = s->heap;
	e->order = next_random(s);
	for (i = s->nheap++; i > 0; i = up) {
		up = (i - 1) / 2;
		if (!earlier(e, &h[up]))
			break;
		h[i] = h[up];
	}
	h[i] = *e;
}

static void
pop(struct sim *s, struct sim_event *first)
{
	struct sim_event *h = s->heap, *last = &h[--s->nheap];
	size_t i, k;

	*first = h[0];
	for (i = 0; (k = 2 * i + 1) < s->nheap; i = k) {
		if (k + 1 < s->nheap && earlier(&h[k + 1], &h[k]))
			k++;
		if (!earlier(&h[k], last))
			break;
		h[i] = h[k];
	}
	h[i] = *last;
}

static void
push_node(struct sim *s, enum sim_event_type type, int n, int w,
    int64_t after)
{
	struct sim_event e;

	memset(&e, 0, sizeof(e));
	e.type = type;
	e.at = monotime_add(s->now, after);
	e.node = n;
	e.wire = w;
	e.epoch = s->node[n].epoch;
	push(s, &e);
}

/* -- slots: carpd/bpf/steer.bpf.c -- */

static void
slot_set(struct sim *s, int n, int w, unsigned long long state)
{
	struct sim_vhost *h = &s->node[n].vh[w];

	/* A kernel that holds the election itself does not drain. */
	if (state == STEER_DRAIN && !s->c.node[n].ours)
		state = STEER_OFF;
	h->slot = STEER_WORD(state, (unsigned long long)
	    (vhost_interval(&h->conf, &h->v) * 256 / MONOTIME_SEC), s->now.ns);
}

static unsigned long long
slot_age(const struct sim *s, unsigned long long word)
{
	return ((unsigned long long)s->now.ns - STEER_TIME(word));
}

/* What the node's kernel does now with a frame for the virtual MAC. */
static unsigned long long
slot_state(const struct sim *s, int n, int w)
{
	const struct sim_node *node = &s->node[n];
	unsigned long long word = node->vh[w].slot, state = STEER_STATE(word);

	if (node->life == SIM_OFF || !node->carrier[w])
		return (STEER_OFF);
	if (!s->c.node[n].ours)
		return (node->frozen ? STEER_OFF : state);
	if (state == STEER_ON &&
	    slot_age(s, word) >= STEER_LEASE(STEER_INTERVAL(word)))
		return (STEER_OFF);
	if (state == STEER_DRAIN && slot_age(s, word) >= STEER_DRAIN_NS)
		return (STEER_OFF);
	return (state);
}

/* Somebody spoke as the virtual router. */
static void
slot_heard(struct sim *s, int n, int w)
{
	struct sim_vhost *h = &s->node[n].vh[w];

	if (!s->c.node[n].ours || STEER_STATE(h->slot) != STEER_ON ||
	    slot_age(s, h->slot) <= STEER_STALE(STEER_INTERVAL(h->slot)))
		return;
	say(s, "node %d wire %d: slot closed by a successor", n, w);
	h->slot = STEER_OFF;
}

/* -- the wire -- */

static bool
awake(const struct sim *s, int n)
{
	return (s->node[n].life == SIM_ALIVE && !s->node[n].frozen);
}

/* Does what `from` sends reach the machine `to`? */
static bool
reaches(const struct sim *s, int w, int from, int to)
{
	return (awake(s, from) && !s->node[from].snderr &&
	    s->node[from].carrier[w] && s->node[to].carrier[w] &&
	    s->node[to].life != SIM_OFF && !s->cut[w][from][to]);
}

static bool
hears(const struct sim *s, int w, int from, int to)
{
	return (reaches(s, w, from, to) && awake(s, to));
}

/* Something changed who hears whom. */
static void
topology(struct sim *s)
{
	monotime_t *c;
	int w, i, j;
	bool both;

	for (w = 0; w < s->c.wires; w++)
		for (i = 0; i < s->c.nodes; i++)
			for (j = 0; j < s->c.nodes; j++) {
				c = &s->conn[w][i][j];
				both = hears(s, w, i, j) && hears(s, w, j, i);
				if (both == monotime_isset(*c))
					continue;
				*c = both ? s->now : MONOTIME_NEVER;
				s->changed[w] = s->now;
			}
}

static void
transmit_one(struct sim *s, struct sim_event *e)
{
	int64_t delay = between(s, s->c.delay_min, s->c.delay_max);
	monotime_t *last = &s->last[e->wire][e->frame.from][e->node];

	if (chance(s, s->c.loss)) {
		sim_faults[SIM_LOSS]++;
		return;
	}
	if (chance(s, s->c.reorder)) {
		delay += REORDERED * s->c.delay_max;
		sim_faults[SIM_REORDER]++;
	}
	sim_faults[SIM_DELAY] += delay != s->c.delay_min;
	e->at = monotime_add(s->now, delay);
	if (s->c.reorder == 0) {	/* first in, first out */
		if (monotime_cmp(e->at, *last) < 0)
			e->at = *last;
		*last = monotime_add(e->at, 1);
	}
	push(s, e);
	if (chance(s, s->c.dup)) {
		sim_faults[SIM_DUP]++;
		e->at = monotime_add(e->at, delay);
		push(s, e);
	}
}

static bool
transmit(struct sim *s, int n, int w, const struct sim_frame *f)
{
	struct sim_event e;
	int to;

	if (!s->node[n].carrier[w] || s->node[n].snderr)
		return (false);
	memset(&e, 0, sizeof(e));
	e.type = SIM_EV_FRAME;
	e.wire = w;
	e.frame = *f;
	for (to = 0; to < s->c.nodes; to++) {
		if (to == n || s->cut[w][n][to])
			continue;
		e.node = to;
		transmit_one(s, &e);
	}
	return (true);
}

/* -- sending: engine.c -- */

static unsigned int
gone_list(const struct sim *s, int n)
{
	const struct sim_node *node = &s->node[n];
	unsigned int gone = 0;
	int w;

	for (w = 0; s->c.node[n].ours && w < s->c.wires; w++)
		if (node->vh[w].was_master &&
		    node->vh[w].v.state == VHOST_INIT &&
		    monotime_sub(s->now, node->vh[w].lost) <= GONE_TIME)
			gone |= 1U << w;
	return (gone);
}

/* Every family; false when they could not be sent. */
static bool
send_advert(struct sim *s, int n, int w, struct sim_frame *f)
{
	struct sim_node *node = &s->node[n];
	struct sim_vhost *h = &node->vh[w];
	bool ok = true;

	f->from = n;
	f->epoch = node->epoch;
	f->gone = gone_list(s, n);
	h->spoke = true;
	if (h->conf.v4) {
		f->v6 = false;
		f->seq = ++node->seq;
		ok &= transmit(s, n, w, f);
	}
	if (h->conf.v6) {
		f->v6 = true;
		f->seq = ++node->seq;
		ok &= transmit(s, n, w, f);
	}
	return (ok);
}

/* What the ledger of n holds against its vhids. */
static int
demotion(const struct sim *s, int n)
{
	static const struct config_iface i = { .ngroups = 1,
	    .groups = { GROUP } };

	return (demote_iface(&s->node[n].ledger, &i));
}

static void
demoted(struct sim *s, int n)
{
	struct vhost_event ev;
	int w;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_DEMOTE;
	for (w = 0; w < s->c.wires; w++) {
		/* sending may fail and so change it meanwhile */
		ev.demotion = demotion(s, n);
		if (s->node[n].vh[w].v.demotion != ev.demotion)
			node_event(s, n, w, &ev);
	}
}

/* What owner holds for reason; lifetime 0: for good. */
static void
ledger(struct sim *s, int n, const char *owner, const char *reason,
    int amount, int64_t lifetime)
{
	monotime_t expiry = MONOTIME_NEVER;
	int delta;

	if (lifetime > 0 && amount > 0) {
		expiry = monotime_add(s->now, lifetime);
		push_node(s, SIM_EV_LEDGER, n, 0, lifetime);
	}
	delta = demote_set(&s->node[n].ledger, owner, GROUP, reason, amount,
	    s->now, expiry);
	if (delta == INT32_MIN)
		sim_fail(s, "node %d: the ledger refuses %s", n, reason);
	if (delta == 0)
		return;
	say(s, "node %d: %s %+d to %d", n, reason, delta,
	    demote_group(&s->node[n].ledger, GROUP));
	demoted(s, n);
}

/* ledger_startup() of carpd/ledger.c */
static void
startup_over(struct sim *s, int n)
{
	const struct sim_node *node = &s->node[n];

	if (node->ready && (s->c.sync_wait == 0 || node->synced))
		ledger(s, n, "carpd", "startup", 0, 0);
}

/* Of the carpdev, and of the interface, of a wire. */
static const char *
dev_name(const struct sim *s, int w)
{
	return (w == 0 || s->c.turn != 0 ? "eth0" : "eth1");
}

static const char *
vif_name(const struct sim *s, int w)
{
	return (w == 0 || s->c.turn != 0 ? "carp0" : "carp1");
}

/* -- what must hold when somebody becomes MASTER -- */

/* As on the wire: the demotion byte. */
static int
byte_of(const struct sim_vhost *h)
{
	return (h->conf.style_byte ? h->v.demotion : 0);
}

static int
rank_of(const struct sim_vhost *h)
{
	return (h->conf.advbase * 256 + vhost_skew(&h->conf, &h->v));
}

/* n, which is BACKUP, may not want to be where m is. */
static bool
content(const struct sim_vhost *n, const struct sim_vhost *m)
{
	if (byte_of(m) > byte_of(n))
		return (false);
	return (!n->conf.preempt || rank_of(n) >= rank_of(m) ||
	    byte_of(m) < byte_of(n));
}

/* For how long nothing was heard by a BACKUP that claims. */
static int64_t
patience(const struct sim *s, const struct sim_vhost *h,
    const struct sim_vhost *master)
{
	return (larger(vhost_masterdown(&h->conf),
	    3 * vhost_interval(&master->conf, &master->v)) +
	    2 * vhost_interval(&master->conf, &master->v) +
	    2 * s->c.delay_max + 2 * s->c.late);
}

static bool
since(monotime_t t, monotime_t now, int64_t ns)
{
	return (monotime_isset(t) && monotime_sub(now, t) >= ns);
}

/* Nobody is missed who is there and heard, and good enough. */
static void
check_claim(struct sim *s, int n, int w)
{
	struct sim_vhost *h = &s->node[n].vh[w], *m;
	int64_t wait;
	int i;

	for (i = 0; i < s->c.nodes; i++) {
		m = &s->node[i].vh[w];
		if (i == n || s->node[i].life != SIM_ALIVE ||
		    m->v.state != VHOST_MASTER || !content(h, m))
			continue;
		wait = patience(s, h, m);
		if (since(s->conn[w][n][i], s->now, wait) &&
		    since(s->calm, s->now, wait) &&
		    since(s->changed[w], s->now, wait))
			sim_fail(s, "node %d wire %d: misses master %d, which "
			    "it hears", n, w, i);
	}
}

static void
check_transition(struct sim *s, int n, int w, const struct vhost_action *a)
{
	struct sim_vhost *h = &s->node[n].vh[w];

	s->transitions++;
	say(s, "node %d wire %d: %s -> %s (%s)", n, w,
	    vhost_state_names[a->from], vhost_state_names[a->to],
	    vhost_cause_names[a->cause]);
	if (a->cause == VHOST_CAUSE_NONE)
		sim_fail(s, "node %d wire %d: transition without a cause", n,
		    w);
	if (a->cause == VHOST_CAUSE_MASTER_DOWN)
		check_claim(s, n, w);
	s->changed[w] = s->now;
	if (a->to != VHOST_MASTER)
		return;
	h->cause = a->cause;
	h->masters++;
}

/* -- the machine, and what is done with its actions: engine.c -- */

static void
arm_timers(struct sim *s, int n, int w)
{
	struct sim_vhost *h = &s->node[n].vh[w];
	struct sim_event e;
	int64_t late;
	int i;

	for (i = 0; i < VHOST_TIMERS; i++) {
		if (monotime_cmp(h->armed[i], h->v.timer[i]) == 0)
			continue;
		h->armed[i] = h->v.timer[i];
		if (!monotime_isset(h->armed[i]))
			continue;
		late = between(s, 0, s->c.late);
		sim_faults[SIM_LATE_TIMER] += late > MONOTIME_MSEC;
		memset(&e, 0, sizeof(e));
		e.type = SIM_EV_TIMER;
		e.deadline = h->armed[i];
		e.at = monotime_add(monotime_cmp(e.deadline, s->now) < 0 ?
		    s->now : e.deadline, late);
		e.node = n;
		e.wire = w;
		e.epoch = s->node[n].epoch;
		e.timer = (enum vhost_timer)i;
		push(s, &e);
	}
}

/* -1, or whether an advertisement could be sent. */
static int
act_one(struct sim *s, int n, int w, const struct vhost_action *a,
    enum vhost_cause reason)
{
	struct sim_vhost *h = &s->node[n].vh[w];
	struct sim_frame f;

	memset(&f, 0, sizeof(f));
	f.demote = a->demote;
	switch (a->type) {
	case VHOST_ACT_STATE:
		check_transition(s, n, w, a);
		if (a->to == VHOST_MASTER)
			h->was_master = false;
		break;
	case VHOST_ACT_SLOT_ON:
		slot_set(s, n, w, STEER_ON);
		break;
	case VHOST_ACT_SLOT_DRAIN:
		slot_set(s, n, w, STEER_DRAIN);
		break;
	case VHOST_ACT_SLOT_OFF:
		slot_set(s, n, w, STEER_OFF);
		break;
	case VHOST_ACT_SEND:
		f.advbase = h->conf.advbase;
		f.advskew = a->advskew;
		if (h->v.state == VHOST_MASTER)
			slot_set(s, n, w, STEER_ON);
		return (send_advert(s, n, w, &f));
	case VHOST_ACT_BOWOUT:
		f.advbase = f.advskew = 255;
		f.bowout = reason;
		(void)send_advert(s, n, w, &f);
		break;
	case VHOST_ACT_SNDERR:
		ledger(s, n, vif_name(s, w), "snderrors", a->demote,
		    s->c.snderr_time);
		break;
	case VHOST_ACT_ADDR_ADD:
	case VHOST_ACT_ADDR_DEL:
	case VHOST_ACT_ANNOUNCE:
		break;
	}
	return (-1);
}

static int
step(struct sim *s, int n, int w, const struct vhost_event *ev)
{
	struct sim_vhost *h = &s->node[n].vh[w];
	struct vhost_actions out;
	enum vhost_cause reason;
	const char *broken;
	int r, sent = -1;
	size_t i;

	if (++s->steps == STORM)
		sim_fail(s, "a storm of events");
	vhost_step(&h->conf, &h->v, ev, s->now, &out);
	if (out.n > VHOST_ACTIONS_MAX)
		sim_fail(s, "%zu actions", out.n);
	if ((broken = vhost_check(&h->conf, &h->v, s->now)) != NULL)
		sim_fail(s, "node %d wire %d: %s after %s", n, w, broken,
		    vhost_event_names[ev->type]);
	arm_timers(s, n, w);
	reason = ev->cause == VHOST_CAUSE_PARENT_DIED ? ev->cause :
	    VHOST_CAUSE_BOWOUT;
	for (i = 0; i < out.n; i++)
		if ((r = act_one(s, n, w, &out.a[i], reason)) != -1)
			sent = r;
	return (sent);
}

static void
node_event(struct sim *s, int n, int w, const struct vhost_event *ev)
{
	struct vhost_event sent;
	int r;

	if ((r = step(s, n, w, ev)) == -1)
		return;
	memset(&sent, 0, sizeof(sent));
	sent.type = VHOST_EV_SENT;
	sent.ok = r != 0;
	(void)step(s, n, w, &sent);
}

static void
simple_event(struct sim *s, int n, int w, enum vhost_event_type type,
    enum vhost_cause cause)
{
	struct vhost_event ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = type;
	ev.cause = cause;
	node_event(s, n, w, &ev);
}

/* May the vhid run? */
static void
node_eval(struct sim *s, int n, int w, enum vhost_cause cause)
{
	struct sim_node *node = &s->node[n];
	struct sim_vhost *h = &node->vh[w];
	bool running = node->link[w] && h->enabled;

	if (running == h->running)
		return;
	h->running = running;
	if (running) {
		simple_event(s, n, w, VHOST_EV_RUN, cause);
		return;
	}
	if (cause != VHOST_CAUSE_LINK) {
		simple_event(s, n, w, VHOST_EV_STOP, cause);
		return;
	}
	if (h->v.state == VHOST_MASTER) {
		h->was_master = true;
		h->lost = s->now;
	}
	simple_event(s, n, w, VHOST_EV_HALT, cause);
}

static void
send_notice(struct sim *s, int n, int w)
{
	struct sim_vhost *h = &s->node[n].vh[w];
	struct sim_frame f;

	memset(&f, 0, sizeof(f));
	f.advbase = h->conf.advbase;
	f.advskew = vhost_skew(&h->conf, &h->v);
	f.demote = (uint8_t)h->v.demotion;
	f.notice = h->v.state != VHOST_MASTER;
	(void)send_advert(s, n, w, &f);
}

/* The cable of wire w went or came: what is lost is told over the others. */
static void
link_changed(struct sim *s, int n, int w)
{
	struct sim_node *node = &s->node[n];
	int k;

	node->link[w] = node->carrier[w];
	for (k = 0; k < s->c.wires; k++)
		node->vh[k].spoke = false;
	node_eval(s, n, w, VHOST_CAUSE_LINK);
	ledger(s, n, dev_name(s, w), "carpdev", node->link[w] ? 0 : 1, 0);
	if (gone_list(s, n) == 0)
		return;
	for (k = 0; k < s->c.wires; k++)
		if (k != w && node->vh[k].running && !node->vh[k].spoke)
			send_notice(s, n, k);
}

/* -- receiving: engine.c, advert.c -- */

/* A node's own sequence only grows, per process and family. */
static bool
fresh(struct sim_vhost *h, const struct sim_frame *f)
{
	int fam = f->v6;

	if (f->epoch < h->peer[f->from].epoch)
		return (false);
	if (f->epoch > h->peer[f->from].epoch) {
		memset(&h->peer[f->from], 0, sizeof(h->peer[f->from]));
		h->peer[f->from].epoch = f->epoch;
	}
	if (f->seq <= h->peer[f->from].seq[fam])
		return (false);
	h->peer[f->from].seq[fam] = f->seq;
	return (true);
}

static void
hear_gone(struct sim *s, int n, const struct sim_frame *f)
{
	struct vhost_event ev;
	int w;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_GONE;
	ev.node = (uint32_t)f->from + 1;
	for (w = 0; w < s->c.wires; w++)
		if (f->gone & 1U << w)
			node_event(s, n, w, &ev);
}

static void
hear(struct sim *s, int n, int w, const struct sim_frame *f)
{
	struct sim_vhost *h = &s->node[n].vh[w];
	bool ours = s->c.node[n].ours && s->c.node[f->from].ours;
	struct vhost_event ev;

	if (!h->running || (f->v6 ? !h->conf.v6 : !h->conf.v4))
		return;
	if (ours && !fresh(h, f))
		return;
	if (ours && f->gone != 0)
		hear_gone(s, n, f);
	if (f->notice)
		return;
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_ADVERT;
	ev.v6 = f->v6;
	ev.ours = ours;
	ev.advbase = f->advbase;
	ev.advskew = f->advskew;
	ev.demote = f->demote;
	ev.bowout = ours ? f->bowout : VHOST_CAUSE_BOWOUT;
	ev.node = ours ? (uint32_t)f->from + 1 : 0;
	ev.random = s->c.jitter ? (uint32_t)next_random(s) : 0;
	node_event(s, n, w, &ev);
}

static void
fire(struct sim *s, const struct sim_event *e)
{
	struct sim_vhost *h = &s->node[e->node].vh[e->wire];
	bool stale = monotime_cmp(h->armed[e->timer], e->deadline) != 0;
	struct vhost_event ev;

	if (stale && sim_random(s, STALE_TIMERS) != 0)
		return;
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_TIMER;
	ev.timer = e->timer;
	if (stale)
		sim_faults[SIM_STALE_TIMER]++;
	else
		h->armed[e->timer] = MONOTIME_NEVER;
	if (!stale && e->timer == VHOST_TIMER_AD &&
	    h->v.state == VHOST_MASTER && s->c.node[e->node].ours &&
	    STEER_STATE(h->slot) != STEER_ON)
		ev.type = VHOST_EV_TAKEN;
	node_event(s, e->node, e->wire, &ev);
}

/* -- life and death -- */

static void
forget_backlog(struct sim_node *node)
{
	node->nbacklog = 0;
	node->frames = 0;
}

/* A stopped process finds it all when it wakes up. */
static void
keep(struct sim *s, const struct sim_event *e)
{
	struct sim_node *node = &s->node[e->node];

	if (e->type == SIM_EV_FRAME && ++node->frames > SIM_BACKLOG)
		return;
	node->backlog = reallocarray(node->backlog, node->nbacklog + 1,
	    sizeof(*e));
	if (node->backlog == NULL)
		abort();
	node->backlog[node->nbacklog++] = *e;
}

/* Timers and frames in any order, but each wire's frames in theirs. */
static void
thaw(struct sim *s, int n)
{
	struct sim_node *node = &s->node[n];
	monotime_t last = s->now;
	size_t i, frames = node->frames + 1;

	if (!node->frozen)
		return;
	say(s, "node %d: wakes up", n);
	node->frozen = false;
	node->awake = s->now;
	for (i = 0; i < node->nbacklog; i++) {
		struct sim_event *e = &node->backlog[i];

		e->at = monotime_add(s->now, between(s, 0, WAKE_SPREAD));
		if (e->type == SIM_EV_FRAME)
			e->at = last = monotime_add(last, between(s, 1,
			    WAKE_SPREAD / (int64_t)frames));
		push(s, e);
	}
	forget_backlog(node);
	topology(s);
}

static void
die(struct sim *s, int n, enum sim_life life)
{
	struct sim_node *node = &s->node[n];
	int w;

	node->life = s->c.node[n].ours ? life : SIM_OFF;
	node->frozen = false;
	forget_backlog(node);
	for (w = 0; w < s->c.wires; w++) {
		node->vh[w].running = false;
		vhost_init(&node->vh[w].v, s->now);
		if (node->life == SIM_OFF)
			node->vh[w].slot = STEER_OFF;
	}
	topology(s);
}

/* In order, saying goodbye; the slots drain, then the process ends. */
static void
leave(struct sim *s, int n, enum vhost_cause cause)
{
	struct sim_node *node = &s->node[n];
	int w;

	if (!awake(s, n))
		return;
	for (w = 0; w < s->c.wires; w++) {
		node->vh[w].enabled = false;
		node_eval(s, n, w, cause);
	}
	push_node(s, SIM_EV_EXIT, n, 0, (int64_t)STEER_DRAIN_NS);
}

void
sim_stop(struct sim *s, int n)
{
	say(s, "node %d: stop", n);
	sim_faults[SIM_STOP]++;
	leave(s, n, VHOST_CAUSE_SHUTDOWN);
}

void
sim_parent_died(struct sim *s, int n)
{
	say(s, "node %d: parent dies", n);
	sim_faults[SIM_PARENT_DIED]++;
	leave(s, n, VHOST_CAUSE_PARENT_DIED);
}

/* The parent sends what the engine deposited for this day. */
void
sim_engine_died(struct sim *s, int n)
{
	struct sim_node *node = &s->node[n];
	struct sim_frame f;
	int w;

	if (node->life != SIM_ALIVE)
		return;
	say(s, "node %d: engine dies", n);
	sim_faults[SIM_ENGINE_DIED]++;
	for (w = 0; s->c.node[n].ours && w < s->c.wires; w++) {
		if (node->vh[w].v.state != VHOST_MASTER)
			continue;
		memset(&f, 0, sizeof(f));
		f.from = n;
		f.epoch = node->epoch;
		f.seq = UINT64_MAX;
		f.advbase = f.advskew = 255;
		f.bowout = VHOST_CAUSE_ENGINE_DIED;
		f.v6 = false;
		if (node->vh[w].conf.v4)
			(void)transmit(s, n, w, &f);
		f.v6 = true;
		if (node->vh[w].conf.v6)
			(void)transmit(s, n, w, &f);
		slot_set(s, n, w, STEER_DRAIN);
	}
	die(s, n, SIM_DEAD);
}

void
sim_kill(struct sim *s, int n)
{
	if (s->node[n].life != SIM_ALIVE)
		return;
	say(s, "node %d: killed", n);
	sim_faults[SIM_KILL]++;
	die(s, n, SIM_DEAD);
}

void
sim_power(struct sim *s, int n)
{
	say(s, "node %d: power off", n);
	sim_faults[SIM_POWER]++;
	die(s, n, SIM_OFF);
}

static void
start_vhost(struct sim *s, int n, int w)
{
	struct sim_node_conf *c = &s->c.node[n];
	struct sim_vhost *h = &s->node[n].vh[w];
	int i;

	memset(h, 0, sizeof(*h));	/* leftovers of a dead run go, too */
	h->conf.vhid = (uint8_t)(w + 1);
	h->conf.advbase = c->advbase;
	h->conf.advskew = s->c.turn == 0 ? c->advskew : (uint8_t)
	    ((w - n + s->c.nodes) % s->c.nodes * s->c.turn);
	h->conf.preempt = c->preempt;
	h->conf.v4 = s->c.v4;
	h->conf.v6 = s->c.v6;
	h->conf.style_byte = c->style_byte;
	h->conf.style_skew = c->style_skew;
	h->conf.node = (uint32_t)n + 1;
	h->enabled = true;
	vhost_init(&h->v, s->now);
	for (i = 0; i < VHOST_TIMERS; i++)
		h->armed[i] = MONOTIME_NEVER;
}

void
sim_start(struct sim *s, int n)
{
	struct sim_node *node = &s->node[n];
	int w;

	if (node->life == SIM_ALIVE)
		return;
	say(s, "node %d: starts", n);
	sim_faults[SIM_RESTART] += node->epoch != 0;
	node->life = SIM_ALIVE;
	node->epoch = ++s->stamp;
	node->seq = 0;
	node->snderr = false;
	node->awake = s->now;
	for (w = 0; w < s->c.wires; w++)
		start_vhost(s, n, w);
	demote_init(&node->ledger, node->entries, SIM_LEDGER);
	node->ready = node->synced = false;
	ledger(s, n, "carpd", "startup", DEMOTE_STARTUP, s->c.sync_wait);
	topology(s);
	for (w = 0; w < s->c.wires; w++) {
		node->link[w] = node->carrier[w];
		ledger(s, n, dev_name(s, w), "carpdev", !node->link[w], 0);
		node_eval(s, n, w, VHOST_CAUSE_STARTUP);
	}
	push_node(s, SIM_EV_READY, n, 0, s->c.startup);
}

void
sim_freeze(struct sim *s, int n, int64_t ns)
{
	if (!awake(s, n))
		return;
	say(s, "node %d: stopped for %.3f s", n, (double)ns / 1e9);
	sim_faults[SIM_FREEZE]++;
	s->node[n].frozen = true;
	topology(s);
	push_node(s, SIM_EV_THAW, n, 0, ns);
}

void
sim_overflow(struct sim *s, int n)
{
	struct sim_node *node = &s->node[n];
	size_t i, kept = 0;

	for (i = 0; i < node->nbacklog; i++)
		if (node->backlog[i].type != SIM_EV_FRAME)
			node->backlog[kept++] = node->backlog[i];
	node->nbacklog = kept;
	node->frames = 0;
}

void
sim_link(struct sim *s, int n, int w, bool up)
{
	if (s->node[n].carrier[w] == up)
		return;
	say(s, "node %d wire %d: cable %s", n, w, up ? "in" : "out");
	sim_faults[SIM_LINK] += !up;
	s->node[n].carrier[w] = up;
	topology(s);
	if (s->node[n].life == SIM_ALIVE)
		push_node(s, SIM_EV_LINK, n, w,
		    between(s, 0, LINK_LATENCY));
}

void
sim_snderr(struct sim *s, int n, bool on)
{
	if (s->node[n].snderr == on)
		return;
	say(s, "node %d: sending %s", n, on ? "fails" : "works");
	sim_faults[SIM_SNDERR] += on;
	s->node[n].snderr = on;
	topology(s);
}

/* -- the operator -- */

void
sim_demote(struct sim *s, int n, int amount)
{
	if (!awake(s, n))
		return;
	sim_faults[amount == 0 ? SIM_PROMOTE : SIM_DEMOTE]++;
	ledger(s, n, "operator", "carpctl", amount, 0);
}

void
sim_hold(struct sim *s, int n, const char *reason, int amount,
    int64_t lifetime)
{
	if (awake(s, n))
		ledger(s, n, "pfsyncd", reason, amount, lifetime);
}

void
sim_synced(struct sim *s, int n)
{
	if (!awake(s, n))
		return;
	s->node[n].synced = true;
	startup_over(s, n);
}

void
sim_force(struct sim *s, int n, int w, enum vhost_state to)
{
	struct vhost_event ev;

	if (!awake(s, n))
		return;
	say(s, "node %d wire %d: state %s", n, w, vhost_state_names[to]);
	sim_faults[to == VHOST_MASTER ? SIM_FORCE_MASTER :
	    SIM_FORCE_BACKUP]++;
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_FORCE;
	ev.state = to;
	node_event(s, n, w, &ev);
}

void
sim_enable(struct sim *s, int n, int w, bool on)
{
	if (!awake(s, n) || s->node[n].vh[w].enabled == on)
		return;
	sim_faults[SIM_DISABLE] += !on;
	s->node[n].vh[w].enabled = on;
	node_eval(s, n, w, on ? VHOST_CAUSE_STARTUP : VHOST_CAUSE_OPERATOR);
}

void
sim_advskew(struct sim *s, int n, int w, uint8_t advskew)
{
	if (!awake(s, n))
		return;
	say(s, "node %d wire %d: advskew %d", n, w, advskew);
	sim_faults[SIM_RECONF]++;
	s->node[n].vh[w].conf.advskew = advskew;
	simple_event(s, n, w, VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
}

void
sim_cut(struct sim *s, int w, int from, int to)
{
	say(s, "wire %d: cut from %d to %d", w, from, to);
	sim_faults[SIM_ONEWAY]++;
	s->cut[w][from][to] = true;
	topology(s);
}

void
sim_partition(struct sim *s, int w, unsigned int group)
{
	int i, j;

	say(s, "wire %d: partition 0x%x", w, group);
	sim_faults[SIM_PARTITION]++;
	for (i = 0; i < s->c.nodes; i++)
		for (j = 0; j < s->c.nodes; j++)
			if ((group >> i & 1) != (group >> j & 1))
				s->cut[w][i][j] = true;
	topology(s);
}

void
sim_heal(struct sim *s)
{
	memset(s->cut, 0, sizeof(s->cut));
	topology(s);
}

void
sim_weather(struct sim *s, int loss, int dup, int reorder)
{
	s->c.loss = loss;
	s->c.dup = dup;
	s->c.reorder = reorder;
	if (loss != 0 || dup != 0 || reorder != 0)
		s->calm = MONOTIME_NEVER;
	else if (!monotime_isset(s->calm))
		/* what was sent before may still be on its way */
		s->calm = monotime_add(s->now,
		    (2 * REORDERED + 2) * s->c.delay_max);
}

/* -- what must hold at every moment -- */

/* The nearest moment at which two that hear each other must have spoken. */
static int64_t
pair_limit(const struct sim *s, int w, int i, int j)
{
	const struct sim_vhost *a = &s->node[i].vh[w], *b = &s->node[j].vh[w];
	int64_t ia = vhost_interval(&a->conf, &a->v);
	int64_t ib = vhost_interval(&b->conf, &b->v);
	int64_t limit = 2 * s->c.delay_max + MONOTIME_USEC;
	bool claim_a, claim_b;

	claim_a = monotime_cmp(a->v.since, s->now) == 0;
	claim_b = monotime_cmp(b->v.since, s->now) == 0;
	if (s->c.node[i].ours && s->c.node[j].ours && claim_a != claim_b &&
	    (claim_a ? since(b->v.told, s->now, ib) :
	    since(a->v.told, s->now, ia)))
		return (limit);
	return (limit + larger(ia, ib) + 2 * s->c.late + WAKE_SPREAD);
}

/* The kernel of a node whose process sleeps or died waits for this. */
static int64_t
stale_limit(const struct sim *s, int w, int dead, int successor)
{
	const struct sim_vhost *h = &s->node[successor].vh[w];
	unsigned long long ival = STEER_INTERVAL(s->node[dead].vh[w].slot);

	return ((int64_t)STEER_STALE(ival) + vhost_interval(&h->conf, &h->v) +
	    s->c.delay_max + 2 * s->c.late + WAKE_SPREAD);
}

static enum sim_pair
pair_class(const struct sim *s, int w, int i, int j, int64_t *limit)
{
	if (!since(s->calm, s->now, 0))
		return (PAIR_NONE);
	if (monotime_isset(s->conn[w][i][j])) {
		*limit = pair_limit(s, w, i, j);
		return (PAIR_AWAKE);
	}
	if (!awake(s, i) && reaches(s, w, j, i)) {
		*limit = stale_limit(s, w, i, j);
		return (PAIR_STALE);
	}
	if (!awake(s, j) && reaches(s, w, i, j)) {
		*limit = stale_limit(s, w, j, i);
		return (PAIR_STALE);
	}
	return (PAIR_NONE);
}

static void
watch_pair(struct sim *s, int w, int i, int j, bool both)
{
	enum sim_pair class = PAIR_NONE;
	int64_t limit = 0;

	if (both)
		class = pair_class(s, w, i, j, &limit);
	if (class != s->pair[w][i][j]) {
		s->pair[w][i][j] = class;
		s->pair_until[w][i][j] = monotime_add(s->now, limit);
	} else if (class != PAIR_NONE &&
	    monotime_cmp(s->now, s->pair_until[w][i][j]) > 0)
		sim_fail(s, "wire %d: nodes %d and %d both answer", w, i, j);
}

static void
watch_wire(struct sim *s, int w)
{
	unsigned long long st[SIM_NODES];
	bool open = false;
	int i, j, on = 0;

	for (i = 0; i < s->c.nodes; i++) {
		st[i] = slot_state(s, i, w);
		open |= st[i] != STEER_OFF;
		on += st[i] == STEER_ON;
	}
	if (s->cover[w] && !open)
		sim_fail(s, "wire %d: nobody takes frames", w);
	if (on < 2 && s->on[w] < 2)
		return;
	s->on[w] = on;
	for (i = 0; i < s->c.nodes; i++)
		for (j = 0; j < i; j++)
			watch_pair(s, w, i, j, st[i] == STEER_ON &&
			    st[j] == STEER_ON);
}

static void
watch(struct sim *s)
{
	int n, w, d;

	for (w = 0; w < s->c.wires; w++)
		watch_wire(s, w);
	for (n = 0; n < s->c.nodes; n++) {
		if (s->node[n].life != SIM_ALIVE)
			continue;
		d = demotion(s, n);
		for (w = 0; w < s->c.wires; w++)
			if (s->node[n].vh[w].v.demotion != d)
				sim_fail(s, "node %d wire %d: demoted by %d, "
				    "not %d", n, w, s->node[n].vh[w].v.demotion,
				    d);
	}
}

/* -- the loop -- */

static void
deliver_frame(struct sim *s, const struct sim_event *e)
{
	struct sim_node *node = &s->node[e->node];

	if (node->life == SIM_OFF || !node->carrier[e->wire])
		return;
	if (!e->frame.notice)
		slot_heard(s, e->node, e->wire);
	if (node->life != SIM_ALIVE)
		return;
	if (node->frozen)
		keep(s, e);
	else
		hear(s, e->node, e->wire, &e->frame);
}

static void
expire(struct sim *s, int n)
{
	struct demote_entry gone;

	while (demote_expire(&s->node[n].ledger, s->now, &gone)) {
		say(s, "node %d: %s expired", n, gone.reason);
		demoted(s, n);
	}
}

/* What happens inside a process. */
static void
deliver_inside(struct sim *s, const struct sim_event *e)
{
	struct sim_node *node = &s->node[e->node];

	if (node->life != SIM_ALIVE || e->epoch != node->epoch)
		return;
	if (e->type == SIM_EV_THAW) {
		thaw(s, e->node);
		return;
	}
	if (node->frozen) {
		keep(s, e);
		return;
	}
	switch (e->type) {
	case SIM_EV_TIMER:
		fire(s, e);
		break;
	case SIM_EV_LINK:
		if (node->link[e->wire] != node->carrier[e->wire])
			link_changed(s, e->node, e->wire);
		break;
	case SIM_EV_LEDGER:
		expire(s, e->node);
		break;
	case SIM_EV_READY:
		node->ready = true;
		startup_over(s, e->node);
		break;
	case SIM_EV_EXIT:
		die(s, e->node, SIM_DEAD);
		break;
	case SIM_EV_FRAME:
	case SIM_EV_THAW:
	case SIM_EV_START:
		break;
	}
}

void
sim_run(struct sim *s, int64_t ns)
{
	monotime_t end = monotime_add(s->now, ns);
	struct sim_event e;

	while (s->why[0] == '\0' && s->nheap > 0 &&
	    monotime_cmp(s->heap[0].at, end) <= 0) {
		pop(s, &e);
		s->now = e.at;
		watch(s);
		if (e.type == SIM_EV_FRAME)
			deliver_frame(s, &e);
		else if (e.type != SIM_EV_START)
			deliver_inside(s, &e);
		else if (e.wire == s->round)
			sim_start(s, e.node);
		watch(s);
	}
	s->now = end;
	if (s->why[0] == '\0')
		watch(s);
}

void
sim_init(struct sim *s, const struct sim_conf *c, uint64_t seed, bool trace)
{
	int n, m, w;

	memset(s, 0, sizeof(*s));
	s->c = *c;
	s->seed = s->rng = seed;
	s->trace = trace;
	s->now.ns = 1000 * MONOTIME_SEC;
	s->calm = MONOTIME_NEVER;
	sim_weather(s, c->loss, c->dup, c->reorder);
	for (w = 0; w < c->wires; w++)
		for (n = 0; n < c->nodes; n++) {
			s->node[n].carrier[w] = true;
			for (m = 0; m < c->nodes; m++)
				s->conn[w][n][m] = MONOTIME_NEVER;
		}
}

void
sim_free(struct sim *s)
{
	int n;

	for (n = 0; n < SIM_NODES; n++)
		free(s->node[n].backlog);
	free(s->heap);
}

/* -- what must hold when the faults are over -- */

int64_t
sim_masterdown(const struct sim *s)
{
	int64_t md = 3 * sim_interval(s);
	const struct vhost_conf *c;
	int n, w;

	for (n = 0; n < s->c.nodes; n++)
		for (w = 0; w < s->c.wires; w++) {
			c = &s->node[n].vh[w].conf;
			if (s->node[n].life != SIM_ALIVE)
				continue;
			md = larger(md, vhost_masterdown(c));
			/* who knows no master listens for a slow one */
			if (c->advbase == 0)
				md = larger(md, MONOTIME_SEC);
		}
	return (md);
}

int64_t
sim_interval(const struct sim *s)
{
	int64_t i = 0;
	int n, w;

	for (n = 0; n < s->c.nodes; n++)
		for (w = 0; w < s->c.wires; w++)
			if (s->node[n].life == SIM_ALIVE)
				i = larger(i, vhost_interval(
				    &s->node[n].vh[w].conf,
				    &s->node[n].vh[w].v));
	return (i);
}

int64_t
sim_settle(const struct sim *s)
{
	return (2 * sim_masterdown(s) + sim_interval(s) +
	    2 * (REORDERED + 2) * s->c.delay_max + 4 * s->c.late +
	    2 * WAKE_SPREAD + 100 * MONOTIME_MSEC);
}

static bool
eligible(const struct sim *s, int n, int w)
{
	return (s->node[n].life == SIM_ALIVE &&
	    s->node[n].vh[w].v.state != VHOST_INIT);
}

bool
sim_takes(const struct sim *s, int n, int w)
{
	return (slot_state(s, n, w) != STEER_OFF);
}

unsigned int
sim_masters(const struct sim *s, int n)
{
	unsigned int masters = 0;
	int w;

	for (w = 0; w < s->c.wires; w++)
		masters += s->node[n].life == SIM_ALIVE &&
		    s->node[n].vh[w].v.state == VHOST_MASTER;
	return (masters);
}

int
sim_demotion(const struct sim *s, int n)
{
	return (demotion(s, n));
}

int
sim_master(const struct sim *s, int w)
{
	int n, found = -1;

	for (n = 0; n < s->c.nodes; n++) {
		if (s->node[n].life != SIM_ALIVE ||
		    s->node[n].vh[w].v.state != VHOST_MASTER)
			continue;
		if (found != -1)
			return (-1);
		found = n;
	}
	return (found);
}

/* Does somebody outside speak to n, whom n cannot answer? */
static bool
spoken_to(const struct sim *s, int w, int n)
{
	int i;

	for (i = 0; i < s->c.nodes; i++)
		if (i != n && hears(s, w, i, n) && !hears(s, w, n, i))
			return (true);
	return (false);
}

/* The component of n in wire w. */
static void
quiet_component(struct sim *s, int w, int n, bool *seen)
{
	int i, masters = 0, able = 0, m = -1;
	bool spoken = false;

	for (i = 0; i < s->c.nodes; i++) {
		if (i != n && !monotime_isset(s->conn[w][n][i]))
			continue;
		seen[i] = true;
		spoken |= spoken_to(s, w, i);
		if (!eligible(s, i, w))
			continue;
		able++;
		if (s->node[i].vh[w].v.state == VHOST_MASTER) {
			masters++;
			m = i;
		}
	}
	if (masters > 1 || (masters == 0 && able > 0 && !spoken))
		sim_fail(s, "wire %d: %d masters of %d in the network of node "
		    "%d", w, masters, able, n);
	if (masters != 1)
		return;
	for (i = 0; i < s->c.nodes; i++)
		if (i != m && (i == n || monotime_isset(s->conn[w][n][i])) &&
		    eligible(s, i, w) && !content(&s->node[i].vh[w],
		    &s->node[m].vh[w]))
			sim_fail(s, "wire %d: node %d is MASTER, but node %d "
			    "is better", w, m, i);
}

void
sim_quiet(struct sim *s)
{
	bool seen[SIM_NODES];
	int w, n;

	for (w = 0; w < s->c.wires; w++) {
		memset(seen, 0, sizeof(seen));
		for (n = 0; n < s->c.nodes; n++)
			if (!seen[n] && awake(s, n) && s->node[n].carrier[w])
				quiet_component(s, w, n, seen);
	}
}

void
sim_still(struct sim *s, int64_t ns)
{
	uint64_t before = s->transitions;

	sim_run(s, ns);
	if (s->transitions != before)
		sim_fail(s, "%d transitions in a quiet network",
		    (int)(s->transitions - before));
}
