/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the election machine of one vhid.  It decides who is MASTER and says
 * what is to be done; it does nothing itself.  Follows OpenBSD's
 * sys/netinet/ip_carp.c (comparison, timers, bow-out, send errors).  Ours:
 * slots that drain, the `gone` notice, equality among our own nodes, and what
 * happens to a node that wakes up late.
 */
#include <string.h>

#include "vhost.h"

#define TICK	(MONOTIME_SEC / 256)	/* a unit of advskew, exact */
#define DELAYED	2		/* ip_carp.c: sc_delayed_arp */
#define PATIENCE 3		/* ip_carp.c: advertisements missed */
#define LATE_MIN (100 * MONOTIME_MSEC)	/* lateness that any scheduler has */
#define UNKNOWN	MONOTIME_SEC	/* slowest interval with advbase 0 */

const char *const vhost_state_names[] = { "INIT", "BACKUP", "MASTER" };

const char *const vhost_cause_names[] = {
	[VHOST_CAUSE_NONE] = "none",
	[VHOST_CAUSE_STARTUP] = "startup",
	[VHOST_CAUSE_LINK] = "link",
	[VHOST_CAUSE_CARPDEV_GONE] = "carpdev gone",
	[VHOST_CAUSE_SOURCE] = "no source address",
	[VHOST_CAUSE_MASTER_DOWN] = "master down",
	[VHOST_CAUSE_PREEMPT] = "preempt",
	[VHOST_CAUSE_PEER_DEMOTED] = "peer demoted",
	[VHOST_CAUSE_PEER_SLOW] = "peer too slow",
	[VHOST_CAUSE_BOWOUT] = "bow-out",
	[VHOST_CAUSE_ENGINE_DIED] = "engine died",
	[VHOST_CAUSE_PARENT_DIED] = "parent died",
	[VHOST_CAUSE_PEER_GONE] = "peer gone",
	[VHOST_CAUSE_PEER_BETTER] = "better master",
	[VHOST_CAUSE_DEMOTED] = "demoted",
	[VHOST_CAUSE_EQUAL] = "equal master",
	[VHOST_CAUSE_LATE] = "late wake-up",
	[VHOST_CAUSE_TAKEN] = "successor spoke",
	[VHOST_CAUSE_OPERATOR] = "operator",
	[VHOST_CAUSE_SHUTDOWN] = "shutdown",
	[VHOST_CAUSE_CONFIG] = "configuration",
};

const char *const vhost_event_names[] = {
	[VHOST_EV_RUN] = "run",
	[VHOST_EV_HALT] = "halt",
	[VHOST_EV_STOP] = "stop",
	[VHOST_EV_TIMER] = "timer",
	[VHOST_EV_ADVERT] = "advert",
	[VHOST_EV_GONE] = "gone",
	[VHOST_EV_DEMOTE] = "demote",
	[VHOST_EV_FORCE] = "force",
	[VHOST_EV_CONF] = "conf",
	[VHOST_EV_SENT] = "sent",
	[VHOST_EV_TAKEN] = "taken",
};

/* What a handler works on, so that each has one argument. */
struct step {
	const struct vhost_conf	 *c;
	struct vhost		 *v;
	const struct vhost_event *e;
	monotime_t		  now;
	struct vhost_actions	 *out;
};

static int64_t
max64(int64_t a, int64_t b)
{
	return (a > b ? a : b);
}

static int64_t
min64(int64_t a, int64_t b)
{
	return (a < b ? a : b);
}

uint8_t
vhost_skew(const struct vhost_conf *c, const struct vhost *v)
{
	int skew = c->advskew;

	if (!c->style_skew)
		return ((uint8_t)skew);
	/* FreeBSD clamps even a healthy node's advskew to 240. */
	skew += v->demotion;
	return ((uint8_t)(skew > VHOST_SKEW_MAX ? VHOST_SKEW_MAX : skew));
}

/* (advbase, advskew) as one number: smaller is better. */
static int
rank(unsigned int base, unsigned int skew)
{
	return ((int)(base * 256 + skew));
}

int64_t
vhost_interval_of(uint8_t base, uint8_t skew)
{
	return (max64(rank(base, skew), 1) * TICK);
}

int64_t
vhost_interval(const struct vhost_conf *c, const struct vhost *v)
{
	return (vhost_interval_of(c->advbase, vhost_skew(c, v)));
}

int64_t
vhost_masterdown(const struct vhost_conf *c)
{
	if (c->advbase > 0)
		return ((PATIENCE * c->advbase * 256 + c->advskew) * TICK);
	return (PATIENCE * (c->advskew == 0 ? 1 : c->advskew) * TICK);
}

int64_t
vhost_lease(const struct vhost_conf *c, const struct vhost *v)
{
	return (max64(PATIENCE * vhost_interval(c, v), VHOST_LEASE_MIN));
}

int64_t
vhost_early(const struct vhost_conf *c, const struct vhost *v)
{
	return (min64(vhost_interval(c, v) / 64, VHOST_EARLY_MAX));
}

static struct vhost_action *
act(struct step *s, enum vhost_action_type type)
{
	struct vhost_action *a = &s->out->a[s->out->n++];

	memset(a, 0, sizeof(*a));
	a->type = type;
	return (a);
}

static void
send_advert(struct step *s, enum vhost_action_type type)
{
	struct vhost_action *a = act(s, type);

	a->advskew = vhost_skew(s->c, s->v);
	a->demote = s->c->style_byte ? (uint8_t)s->v->demotion : 0;
}

static void
set_state(struct step *s, enum vhost_state to, enum vhost_cause cause)
{
	struct vhost_action *a = act(s, VHOST_ACT_STATE);

	a->from = s->v->state;
	a->to = to;
	a->cause = cause;
	s->v->state = to;
	s->v->cause = cause;
	s->v->since = s->now;
}

static void
clear_timers(struct vhost *v)
{
	v->timer[VHOST_TIMER_AD] = MONOTIME_NEVER;
	v->timer[VHOST_TIMER_MD4] = MONOTIME_NEVER;
	v->timer[VHOST_TIMER_MD6] = MONOTIME_NEVER;
}

/* The slot closes for good and the address goes. */
static void
close_slot(struct step *s)
{
	s->v->timer[VHOST_TIMER_DRAIN] = MONOTIME_NEVER;
	(void)act(s, VHOST_ACT_SLOT_OFF);
	(void)act(s, VHOST_ACT_ADDR_DEL);
}

static void
drain_slot(struct step *s)
{
	s->v->timer[VHOST_TIMER_DRAIN] = monotime_add(s->now, VHOST_DRAIN);
	(void)act(s, VHOST_ACT_SLOT_DRAIN);
}

static bool
draining(const struct vhost *v)
{
	return (monotime_isset(v->timer[VHOST_TIMER_DRAIN]));
}

/*
 * Listen for one family from now on; nobody may claim before `hold`.  With
 * advbase 0 the master-down time says nothing of how often a master with
 * another advskew speaks, so that one waits for as long as that may be.
 */
static void
listen_family(struct step *s, enum vhost_timer t, int64_t slowest)
{
	int64_t wait = vhost_masterdown(s->c);
	monotime_t at;

	if (s->c->advbase == 0)
		wait = max64(wait, slowest);
	at = monotime_add(s->now, wait + s->v->jitter);
	if (monotime_cmp(at, s->v->hold) < 0)
		at = s->v->hold;
	s->v->timer[t] = at;
}

static void
listen_all(struct step *s, int64_t slowest)
{
	s->v->pending = VHOST_CAUSE_NONE;
	if (s->c->v4)
		listen_family(s, VHOST_TIMER_MD4, slowest);
	if (s->c->v6)
		listen_family(s, VHOST_TIMER_MD6, slowest);
}

/* Nobody is followed any more. */
static void
unfollow(struct vhost *v)
{
	v->heard = false;
	v->heard_node = 0;
	v->pending = VHOST_CAUSE_NONE;
}

/* The sender of this advertisement is our master. */
static void
follow(struct step *s)
{
	struct vhost *v = s->v;

	v->heard = true;
	v->heard_node = s->e->ours ? s->e->node : 0;
	v->word = *s->e;
	v->word_at = s->now;
	v->pending = VHOST_CAUSE_NONE;
}

static void
to_master(struct step *s, enum vhost_cause cause)
{
	struct vhost *v = s->v;

	clear_timers(v);
	unfollow(v);
	v->timer[VHOST_TIMER_DRAIN] = MONOTIME_NEVER;
	v->jitter = 0;
	/* it may have to be said again at once, see master_advert() */
	v->told = monotime_add(s->now, -vhost_interval(s->c, v));
	v->delayed = DELAYED;
	v->transitions++;
	/* The parent works on the address while we open the slot and speak. */
	(void)act(s, VHOST_ACT_ADDR_ADD);
	(void)act(s, VHOST_ACT_SLOT_ON);
	send_advert(s, VHOST_ACT_SEND);
	(void)act(s, VHOST_ACT_ANNOUNCE);
	set_state(s, VHOST_MASTER, cause);
	v->timer[VHOST_TIMER_AD] = monotime_add(s->now,
	    vhost_interval(s->c, v));
}

/* The master has left, or should give way: claim, as soon as we may. */
static void
succeed(struct step *s, enum vhost_cause cause, int64_t after)
{
	struct vhost *v = s->v;
	monotime_t at = monotime_add(s->now, after);
	bool waits = v->pending != VHOST_CAUSE_NONE;

	if (monotime_cmp(at, v->hold) < 0)
		at = v->hold;
	if (monotime_cmp(at, s->now) <= 0) {
		to_master(s, cause);
		return;
	}
	unfollow(v);
	v->pending = cause;
	if (waits)
		return;
	if (s->c->v4)
		v->timer[VHOST_TIMER_MD4] = at;
	if (s->c->v6)
		v->timer[VHOST_TIMER_MD6] = at;
}

static void
to_backup(struct step *s, enum vhost_cause cause, bool drain)
{
	struct vhost *v = s->v;

	clear_timers(v);
	unfollow(v);
	if (v->state == VHOST_MASTER) {
		if (drain)
			drain_slot(s);
		else
			close_slot(s);
	}
	set_state(s, VHOST_BACKUP, cause);
	listen_all(s, UNKNOWN);
}

static void
to_init(struct step *s, enum vhost_cause cause)
{
	clear_timers(s->v);
	unfollow(s->v);
	s->v->jitter = 0;
	s->v->hold = s->now;
	set_state(s, VHOST_INIT, cause);
	/* whatever kept us from sending: why we are here counts now */
	if (s->v->snddemoted)
		act(s, VHOST_ACT_SNDERR)->demote = 0;
	s->v->snddemoted = false;
}

/* -- handlers, one per (state, event) that matters -- */

static void
ignore(struct step *s)
{
	(void)s;
}

static void
init_run(struct step *s)
{
	s->v->hold = s->now;
	s->v->snderrs = 0;
	s->v->sndoks = 0;
	to_backup(s, s->e->cause == VHOST_CAUSE_NONE ? VHOST_CAUSE_STARTUP :
	    s->e->cause, false);
}

static void
any_halt(struct step *s)
{
	if (s->v->state == VHOST_MASTER || draining(s->v))
		close_slot(s);
	to_init(s, s->e->cause);
}

static void
init_halt(struct step *s)
{
	if (draining(s->v))
		close_slot(s);
}

static void
backup_stop(struct step *s)
{
	to_init(s, s->e->cause);
}

static void
master_stop(struct step *s)
{
	send_advert(s, VHOST_ACT_BOWOUT);
	drain_slot(s);
	to_init(s, s->e->cause);
}

static bool
timer_due(struct step *s, enum vhost_timer t)
{
	return (s->e->timer == t &&
	    monotime_cmp(s->v->timer[t], s->now) <= 0);
}

static void
init_timer(struct step *s)
{
	if (timer_due(s, VHOST_TIMER_DRAIN))
		close_slot(s);
}

static void
backup_timer(struct step *s)
{
	struct vhost *v = s->v;
	enum vhost_timer t = s->e->timer;

	if (timer_due(s, VHOST_TIMER_DRAIN)) {
		close_slot(s);
		return;
	}
	if (!timer_due(s, VHOST_TIMER_MD4) && !timer_due(s, VHOST_TIMER_MD6))
		return;
	if (monotime_cmp(s->now, v->hold) < 0)
		v->timer[t] = v->hold;
	else
		to_master(s, v->pending != VHOST_CAUSE_NONE ? v->pending :
		    VHOST_CAUSE_MASTER_DOWN);
}

static void
master_timer(struct step *s)
{
	struct vhost *v = s->v;
	int64_t interval;
	monotime_t next;

	/* Early in company: from now on they are due at the same time. */
	if (s->e->timer != VHOST_TIMER_AD || monotime_sub(
	    v->timer[VHOST_TIMER_AD], s->now) > vhost_early(s->c, v))
		return;
	v->timer[VHOST_TIMER_AD] = monotime_min(v->timer[VHOST_TIMER_AD],
	    s->now);
	send_advert(s, VHOST_ACT_SEND);
	if (v->delayed > 0 && --v->delayed == 0)
		(void)act(s, VHOST_ACT_ANNOUNCE);
	interval = vhost_interval(s->c, v);
	next = monotime_add(v->timer[VHOST_TIMER_AD], interval);
	if (monotime_cmp(next, s->now) <= 0)
		next = monotime_add(s->now, interval);
	v->timer[VHOST_TIMER_AD] = next;
}

static bool
is_bowout(const struct vhost_event *e)
{
	return (e->advbase == 255 && e->advskew == 255);
}

/*
 * The demotion that is compared: the one that is sent.  With demote-style
 * skew it is in advskew already, and the byte stays 0 on both sides.
 */
static int
demotion(const struct step *s)
{
	return (s->c->style_byte ? s->v->demotion : 0);
}

/* Three intervals of a master with advbase 0, see listen_family(). */
static int64_t
three_of(const struct vhost_event *e)
{
	if (e->advbase > 0)
		return (PATIENCE * UNKNOWN);
	return (PATIENCE * vhost_interval_of(0, e->advskew));
}

/* May a BACKUP take the place of a master that speaks so?  Spec order. */
static enum vhost_cause
better_than(const struct step *s, const struct vhost_event *e)
{
	const struct vhost_conf *c = s->c;
	int local = rank(c->advbase, vhost_skew(c, s->v));
	int remote = rank(e->advbase, e->advskew);

	if (c->preempt && local < remote && e->demote >= demotion(s))
		return (VHOST_CAUSE_PREEMPT);
	if (e->demote > demotion(s))
		return (VHOST_CAUSE_PEER_DEMOTED);
	if (c->advbase > 0 &&
	    rank(PATIENCE * c->advbase, c->advskew) < remote)
		return (VHOST_CAUSE_PEER_SLOW);
	return (VHOST_CAUSE_NONE);
}

/*
 * Of our own nodes, another one than the master that we follow.  When a
 * master leaves, several claim, and frames of the worse and of the leaver may
 * arrive last: they are the new master's business, who hears them as well.
 */
static bool
another(const struct step *s)
{
	return (s->e->ours && s->v->heard_node != 0 &&
	    s->v->heard_node != s->e->node);
}

static void
backup_advert(struct step *s)
{
	const struct vhost_event *e = s->e;
	struct vhost *v = s->v;
	enum vhost_cause cause;
	bool all;

	if (is_bowout(e)) {
		if (!another(s))
			succeed(s, e->bowout == VHOST_CAUSE_NONE ?
			    VHOST_CAUSE_BOWOUT : e->bowout, 0);
		return;
	}
	if (draining(v))
		close_slot(s);		/* the successor has spoken */
	if ((cause = better_than(s, e)) != VHOST_CAUSE_NONE) {
		/* Equals would all claim at the same advert, for ever. */
		if (!another(s))
			succeed(s, cause, v->jitter);
		return;
	}
	/*
	 * A foreign master that is heard in one family may have died in the
	 * other.  One of ours is alive: it has no IPv6 at present, or the path
	 * loses it, and a claim would only be taken back at once, for ever.
	 */
	all = e->ours || v->pending != VHOST_CAUSE_NONE;
	follow(s);
	if (all)
		listen_all(s, three_of(e));
	else
		listen_family(s, e->v6 ? VHOST_TIMER_MD6 : VHOST_TIMER_MD4,
		    three_of(e));
}

/* A master whom we heard is the better one. */
static void
yield(struct step *s, enum vhost_cause cause)
{
	to_backup(s, cause, true);
	follow(s);
	listen_all(s, three_of(s->e));
}

/*
 * A worse master spoke, or one that leaves: say again who is MASTER, once an
 * interval.
 */
static void
master_insist(struct step *s)
{
	struct vhost *v = s->v;

	if (monotime_sub(s->now, v->told) < vhost_interval(s->c, v))
		return;
	v->told = s->now;
	send_advert(s, VHOST_ACT_SEND);
	(void)act(s, VHOST_ACT_ANNOUNCE);
}

static void
master_advert(struct step *s)
{
	const struct vhost_event *e = s->e;
	struct vhost *v = s->v;
	int local, remote;

	/*
	 * The leaver's words for another family, or peer, came after our first:
	 * the switch has learnt the virtual MAC at its port again.
	 */
	if (is_bowout(e)) {
		master_insist(s);
		return;
	}
	local = rank(s->c->advbase, vhost_skew(s->c, v));
	remote = rank(e->advbase, e->advskew);
	if (e->demote < demotion(s)) {
		yield(s, VHOST_CAUSE_DEMOTED);
		return;
	}
	if (e->demote > demotion(s) || remote > local) {
		master_insist(s);
		return;
	}
	if (remote < local) {
		yield(s, VHOST_CAUSE_PEER_BETTER);
		return;
	}
	/*
	 * Equal.  OpenBSD yields, and so both may.  Of our own nodes the one
	 * with the lower id stays; towards all others we yield, and break the
	 * symmetry by a random part of an interval before the next claim,
	 * however many come between.
	 */
	if (e->ours && e->node > s->c->node) {
		master_insist(s);
		return;
	}
	if (!e->ours)
		v->jitter = vhost_interval(s->c, v) / 65536 *
		    (e->random & 0xffff);
	yield(s, VHOST_CAUSE_EQUAL);
}

static void
backup_gone(struct step *s)
{
	if (s->v->heard && s->e->node != 0 &&
	    s->v->heard_node == s->e->node)
		succeed(s, VHOST_CAUSE_PEER_GONE, 0);
}

static void
init_demote(struct step *s)
{
	s->v->demotion = s->e->demotion;
}

/*
 * Would we have claimed, demoted like this, at what our master said last?
 * Then not at its next advertisement only, which may be more than a second
 * away, while another vhid of this node, whose master spoke a moment later, is
 * MASTER already: traffic would come in here and go out there.  What is older
 * than its interval says nothing of what the master is by now.
 */
static void
backup_demote(struct step *s)
{
	struct vhost *v = s->v;
	enum vhost_cause cause;

	v->demotion = s->e->demotion;
	if (!v->heard || monotime_sub(s->now, v->word_at) >
	    vhost_interval_of(v->word.advbase, v->word.advskew))
		return;
	if ((cause = better_than(s, &v->word)) != VHOST_CAUSE_NONE)
		succeed(s, cause, v->jitter);
}

static void
master_demote(struct step *s)
{
	bool changed = s->v->demotion != s->e->demotion;

	s->v->demotion = s->e->demotion;
	if (!changed)
		return;
	send_advert(s, VHOST_ACT_SEND);
	s->v->timer[VHOST_TIMER_AD] = monotime_add(s->now,
	    vhost_interval(s->c, s->v));
}

static void
backup_force(struct step *s)
{
	if (s->e->state == VHOST_MASTER)
		to_master(s, VHOST_CAUSE_OPERATOR);
	else if (s->e->state == VHOST_BACKUP)
		listen_all(s, UNKNOWN);
}

/*
 * OpenBSD falls silent here and the network waits; we say goodbye, so that
 * a planned change loses nothing.
 */
static void
master_force(struct step *s)
{
	if (s->e->state != VHOST_BACKUP)
		return;
	send_advert(s, VHOST_ACT_BOWOUT);
	to_backup(s, VHOST_CAUSE_OPERATOR, true);
}

static void
backup_conf(struct step *s)
{
	clear_timers(s->v);
	listen_all(s, UNKNOWN);
}

static void
master_conf(struct step *s)
{
	send_advert(s, VHOST_ACT_SEND);
	s->v->timer[VHOST_TIMER_AD] = monotime_add(s->now,
	    vhost_interval(s->c, s->v));
}

static void
any_sent(struct step *s)
{
	struct vhost *v = s->v;

	if (!s->e->ok) {
		v->sndoks = 0;
		if (++v->snderrs < VHOST_SNDERR_MAX)
			return;
		v->snderrs = 0;
		v->snddemoted = true;
		act(s, VHOST_ACT_SNDERR)->demote = 1;
		return;
	}
	v->snderrs = 0;
	if (!v->snddemoted || ++v->sndoks < VHOST_SNDERR_MAX)
		return;
	v->sndoks = 0;
	v->snddemoted = false;
	act(s, VHOST_ACT_SNDERR)->demote = 0;
}

static void
master_taken(struct step *s)
{
	s->v->hold = monotime_add(s->now, vhost_masterdown(s->c));
	to_backup(s, VHOST_CAUSE_TAKEN, false);
}

typedef void (*handler)(struct step *);

static const handler table[VHOST_STATES][VHOST_EVENTS] = {
	[VHOST_INIT] = {
		[VHOST_EV_RUN] = init_run,
		[VHOST_EV_HALT] = init_halt,
		[VHOST_EV_STOP] = ignore,
		[VHOST_EV_TIMER] = init_timer,
		[VHOST_EV_ADVERT] = ignore,
		[VHOST_EV_GONE] = ignore,
		[VHOST_EV_DEMOTE] = init_demote,
		[VHOST_EV_FORCE] = ignore,
		[VHOST_EV_CONF] = ignore,
		[VHOST_EV_SENT] = any_sent,
		[VHOST_EV_TAKEN] = ignore,
	},
	[VHOST_BACKUP] = {
		[VHOST_EV_RUN] = ignore,
		[VHOST_EV_HALT] = any_halt,
		[VHOST_EV_STOP] = backup_stop,
		[VHOST_EV_TIMER] = backup_timer,
		[VHOST_EV_ADVERT] = backup_advert,
		[VHOST_EV_GONE] = backup_gone,
		[VHOST_EV_DEMOTE] = backup_demote,
		[VHOST_EV_FORCE] = backup_force,
		[VHOST_EV_CONF] = backup_conf,
		[VHOST_EV_SENT] = any_sent,
		[VHOST_EV_TAKEN] = ignore,
	},
	[VHOST_MASTER] = {
		[VHOST_EV_RUN] = ignore,
		[VHOST_EV_HALT] = any_halt,
		[VHOST_EV_STOP] = master_stop,
		[VHOST_EV_TIMER] = master_timer,
		[VHOST_EV_ADVERT] = master_advert,
		[VHOST_EV_GONE] = ignore,
		[VHOST_EV_DEMOTE] = master_demote,
		[VHOST_EV_FORCE] = master_force,
		[VHOST_EV_CONF] = master_conf,
		[VHOST_EV_SENT] = any_sent,
		[VHOST_EV_TAKEN] = master_taken,
	},
};

/* A MASTER that missed its own lease: others may have taken over by now. */
static void
late_master(struct step *s)
{
	struct vhost *v = s->v;

	if (monotime_sub(s->now, v->timer[VHOST_TIMER_AD]) <=
	    vhost_lease(s->c, v))
		return;
	v->hold = monotime_add(s->now, vhost_masterdown(s->c));
	to_backup(s, VHOST_CAUSE_LATE, false);
}

/*
 * A process that slept heard nothing because it slept: what the master said
 * meanwhile is still in the socket, goodbyes of long ago too.  Listen for an
 * interval.
 */
static void
late_backup(struct step *s, enum vhost_timer t)
{
	struct vhost *v = s->v;
	int64_t interval = vhost_interval(s->c, v);

	if (!monotime_isset(v->timer[t]) ||
	    monotime_sub(s->now, v->timer[t]) <= max64(interval, LATE_MIN))
		return;
	v->hold = monotime_add(s->now, interval);
	v->timer[t] = v->hold;
}

static void
check_late(struct step *s)
{
	switch (s->v->state) {
	case VHOST_MASTER:
		late_master(s);
		break;
	case VHOST_BACKUP:
		late_backup(s, VHOST_TIMER_MD4);
		late_backup(s, VHOST_TIMER_MD6);
		break;
	case VHOST_INIT:
	case VHOST_STATES:
		break;
	}
}

void
vhost_init(struct vhost *v, monotime_t now)
{
	int i;

	memset(v, 0, sizeof(*v));
	v->state = VHOST_INIT;
	v->since = now;
	v->hold = now;
	v->told = now;
	for (i = 0; i < VHOST_TIMERS; i++)
		v->timer[i] = MONOTIME_NEVER;
}

void
vhost_step(const struct vhost_conf *c, struct vhost *v,
    const struct vhost_event *e, monotime_t now, struct vhost_actions *out)
{
	struct step s = { c, v, e, now, out };

	out->n = 0;
	check_late(&s);
	table[v->state][e->type](&s);
}

const char *
vhost_check(const struct vhost_conf *c, const struct vhost *v, monotime_t now)
{
	bool ad = monotime_isset(v->timer[VHOST_TIMER_AD]);
	bool md4 = monotime_isset(v->timer[VHOST_TIMER_MD4]);
	bool md6 = monotime_isset(v->timer[VHOST_TIMER_MD6]);

	if (v->demotion < 0 || v->demotion > 255)
		return ("demotion out of range");
	if (draining(v) && v->state == VHOST_MASTER)
		return ("a MASTER drains");
	if (draining(v) && monotime_sub(v->timer[VHOST_TIMER_DRAIN], now) >
	    VHOST_DRAIN)
		return ("drains too long");
	switch (v->state) {
	case VHOST_INIT:
		if (ad || md4 || md6)
			return ("INIT with a timer");
		if (v->heard || v->pending != VHOST_CAUSE_NONE)
			return ("INIT follows somebody");
		return (NULL);
	case VHOST_BACKUP:
		if (ad)
			return ("BACKUP advertises");
		if (v->heard_node != 0 && !v->heard)
			return ("BACKUP follows whom it did not hear");
		if (v->heard && (is_bowout(&v->word) ||
		    monotime_cmp(v->word_at, now) > 0))
			return ("BACKUP follows what no master said");
		if (v->heard && v->pending != VHOST_CAUSE_NONE)
			return ("BACKUP follows whom it succeeds");
		if (md4 != c->v4 || md6 != c->v6)
			return ("BACKUP does not listen to each family");
		return (NULL);
	case VHOST_MASTER:
		if (!ad)
			return ("MASTER without advertisement timer");
		if (md4 || md6)
			return ("MASTER with a master-down timer");
		if (v->heard || v->pending != VHOST_CAUSE_NONE)
			return ("MASTER follows somebody");
		if (monotime_sub(v->timer[VHOST_TIMER_AD], now) >
		    vhost_interval(c, v))
			return ("MASTER silent for too long");
		return (NULL);
	default:
		return ("no such state");
	}
}
