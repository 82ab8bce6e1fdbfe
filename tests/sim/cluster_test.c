/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Both daemons' cores together, for years: the election of sim.c decides who
 * is MASTER, and so where connections pass and what carpd tells pfsyncd; the
 * replication of replsim.c keeps their tables equal, and holds its demotion in
 * carpd's ledger while it has not.  Hosts lose their power, processes die and
 * are stopped, cables go, switches lose, operators act, several at a time.
 *
 * A cluster-year is EPISODES episodes of one to three such faults.  All of an
 * episode is simulated, until the cluster is at rest: every node MASTER or
 * BACKUP as it ought to be and undemoted, all tables equal, and nothing moves
 * for a while.  From there on each second is like the one before; that time is
 * not simulated but for one hour of every tenth year, with traffic, in which
 * nothing may move.  What must hold:
 *
 *  - what sim.c watches at every moment, and its one right MASTER at rest;
 *  - a connection that all nodes had when an episode began lives on, unless
 *    every kernel that had it lost its power, or who came back without it was
 *    needed before anybody could tell it (counted as lost with its host);
 *  - rest comes within REST_MAX after the last fault is over.
 *
 * CLUSTER_YEARS=n (default 10), CLUSTER_FIRST=seed of the first; SIM_SEED: only
 * that year, told step by step; SIM_FLOW: and this flow.
 */
#define FLOWS	48
#include "replsim.c"
#include "../../pfsyncd/hold.h"
#include "sim.h"

#define EPISODES	100		/* of a year: one in three to four days */
#define FAULTS_MAX	3		/* of an episode */
#define IDLE		12		/* flows below are just kept alive */
#define REST_MAX	(300 * SEC)
#define HOUR		(3600 * SEC)
#define EXPIRY		30		/* s: of what was told twice */
#define LINK_TELLS	2000		/* us: between the daemons, at most */
#define RECONNECT_MS	1000		/* CARPLINK_RETRY */
#define HOLD_TIME	(120 * SEC)	/* of carpd/ctl.c */
#define NOTHING		INT64_MAX

enum fault { FAULT_POWER, FAULT_CARPD, FAULT_ENGINE, FAULT_PARENT, FAULT_STOP,
	    FAULT_FREEZE, FAULT_HOST, FAULT_PFSYNCD, FAULT_SLEEP, FAULT_BOTH,
	    FAULT_LINK, FAULT_PARTITION, FAULT_ONEWAY, FAULT_SNDERR,
	    FAULT_WEATHER, FAULT_SYNCDEV, FAULT_SYNCCUT, FAULT_SYNCLOSS,
	    FAULT_OVERRUN, FAULT_FLUSH, FAULT_STORM, FAULT_DEMOTE, FAULT_STATE,
	    FAULT_MAX };
static const char *const fault_names[FAULT_MAX] = { "power off",
	"carpd killed", "engine died", "parent died", "carpd stopped",
	"carpd frozen", "host frozen", "pfsyncd killed", "pfsyncd frozen",
	"both killed", "cable", "partition", "one-way", "send errors",
	"lossy network", "syncdev", "sync network cut", "sync network lossy",
	"overrun", "flush", "storm", "demote", "state backup" };
static unsigned long faults[FAULT_MAX];

/* How a daemon's word to the other one is under way. */
struct talk {
	bool		 there;		/* the connection is */
	int64_t		 at;		/* when it is there, or told */
	unsigned int	 masters;	/* as pfsyncd was told */
	bool		 heard;		/* anything, ever */
	struct hold	 hold;
	enum hold_reason said;		/* in carpd's ledger */
	bool		 synced;	/* said */
	int64_t		 hold_at;
};

/* A fault under way. */
struct trouble {
	int64_t		 over;
	enum fault	 what;
	int		 node, wire;
};

static struct sim	 s;
static struct talk	 talk[NODES];
static struct trouble	 trouble[FAULTS_MAX];
static size_t		 ntrouble;
static int64_t		 starts[NODES][2];	/* carpd, pfsyncd; or NOTHING */
static bool		 blank[NODES];	/* its table was lost */
static bool		 sync_ill;	/* of late, while one was blank */
static unsigned int	 rate;		/* of flows: so many a second */
static int64_t		 next_flow, next_look;
static unsigned long	 done_years, done_episodes, done_excused, done_known,
	    done_events, done_transitions, holds[HOLD_REASONS];
static int64_t		 done_time, rest_most, rest_sum;

static void	 sim_ok(void);

/* ---- what the two sides know of each other ---- */

/* The firewalls that what comes in at one wire leaves by the other through. */
static unsigned int
ways(void)
{
	unsigned int able = 0;
	int i, wire;
	bool all;

	for (i = 0; i < w.n; i++) {
		for (all = true, wire = 0; wire < s.c.wires; wire++)
			all &= sim_takes(&s, i, wire);
		able |= all ? 1U << i : 0;
	}
	return (able);
}

static int
place(uint32_t i)
{
	unsigned int able = ways(), nth;
	int k;

	if (able == 0)
		return (-1);
	nth = i % (unsigned int)__builtin_popcount(able);
	for (k = 0; (able >> k & 1) == 0 || nth-- > 0; k++)
		;
	return (k);
}

static bool
carpd_says(int i, unsigned int *masters)
{
	*masters = talk[i].masters;
	return (talk[i].there);
}

static bool
carpd_awake(int i)
{
	return (s.node[i].life == SIM_ALIVE && !s.node[i].frozen);
}

static bool
pfsyncd_awake(int i)
{
	return (w.node[i].running && w.node[i].asleep <= w.now);
}

static int64_t
soon(void)
{
	return (w.now + (int64_t)below(LINK_TELLS) * MONOTIME_USEC);
}

/* What pfsyncd holds goes with its connection. */
static void
forget_hold(int i)
{
	if (talk[i].said != HOLD_NONE)
		sim_hold(&s, i, hold_reason_names[talk[i].said], 0, 0);
	talk[i].said = HOLD_NONE;
	talk[i].synced = false;
	talk[i].hold_at = NOTHING;
}

static void
disconnect(int i)
{
	bool was = talk[i].there;

	forget_hold(i);
	talk[i].there = false;
	talk[i].masters = 0;
	if (was)
		tell_carp(i);
}

/* carpd's word to pfsyncd. */
static void
hear_carpd(int i)
{
	struct talk *t = &talk[i];

	if (s.node[i].life != SIM_ALIVE) {
		if (t->there)
			disconnect(i);
		return;
	}
	if (!carpd_awake(i) || !pfsyncd_awake(i))
		return;
	if (t->there && t->masters == sim_masters(&s, i)) {
		t->at = NOTHING;
		return;
	}
	if (t->at == NOTHING)
		t->at = soon();
	if (t->at > w.now)
		return;
	t->there = t->heard = true;
	t->masters = sim_masters(&s, i);
	t->at = NOTHING;
	tell_carp(i);
}

/* pfsyncd's to carpd: as tell_ledger() of its engine. */
static enum hold_reason
wants_hold(int i, int64_t *again)
{
	const struct hold_in in = {
		.repl = repl_hold(w.node[i].r),
		.synced = repl_synced(w.node[i].r),
		.carp_heard = talk[i].heard, .masters = talk[i].masters,
		.link_told = true
	};
	enum hold_reason why;
	monotime_t next;

	why = hold_step(&talk[i].hold, &in, now(), &next);
	*again = monotime_isset(next) ? next.ns : NOTHING;
	return (why);
}

static void
say_hold(int i, enum hold_reason why)
{
	struct talk *t = &talk[i];
	enum hold_reason was = t->said;

	t->said = why;
	holds[why]++;
	if (why != HOLD_NONE)
		sim_hold(&s, i, hold_reason_names[why],
		    why == HOLD_SYNCDEV ? 1 : 32,
		    s.c.sync_wait != 0 ? s.c.sync_wait : HOLD_TIME);
	if (was != HOLD_NONE)
		sim_hold(&s, i, hold_reason_names[was], 0, 0);
}

/* Returns when to look again. */
static int64_t
hear_pfsyncd(int i)
{
	struct talk *t = &talk[i];
	enum hold_reason why;
	int64_t again;

	if (!pfsyncd_awake(i))
		return (NOTHING);
	why = wants_hold(i, &again);
	if (!t->there || !carpd_awake(i))
		return (again);
	if (why == t->said && t->synced == t->hold.synced) {
		t->hold_at = NOTHING;
		return (again);
	}
	if (t->hold_at == NOTHING)
		t->hold_at = soon();
	if (t->hold_at > w.now)
		return (t->hold_at < again ? t->hold_at : again);
	t->hold_at = NOTHING;
	if (why != t->said)
		say_hold(i, why);
	if (t->hold.synced && !t->synced)
		sim_synced(&s, i);
	t->synced = t->hold.synced;
	return (again);
}

/* ---- flows ---- */

/* Has it all that lives? */
static bool
complete(int i)
{
	uint32_t k;

	for (k = 0; k < FLOWS; k++)
		if (w.wish[k].known && !w.node[i].k[k].used)
			return (false);
	return (w.node[i].running && talk[i].said == HOLD_NONE &&
	    repl_synced(w.node[i].r));
}

/* Nobody who has power has it any more. */
static void
forget_lost(void)
{
	uint32_t k;
	int i;

	for (k = 0; k < FLOWS; k++) {
		for (i = 0; i < w.n; i++)
			if (w.node[i].k[k].used)
				break;
		if (i == w.n && w.wish[k].known) {
			w.wish[k].known = false;
			done_excused++;
		}
	}
}

/*
 * It came back without its table, and is needed nevertheless: where nobody
 * could tell it, or nobody else is there, or carpd does not wait for it.
 */
static bool
excused(int i)
{
	return (blank[i] && (s.c.sync_wait == 0 || sync_ill ||
	    sim_demotion(&s, i) != 0));
}

/* A packet of flow i, which lives; or it turns out that it does not. */
static void
carry(uint32_t i)
{
	struct wish *f = &w.wish[i];
	int at = place(i);

	if (at == -1)
		return;
	if (f->known && !w.node[at].k[i].used && excused(at)) {
		f->known = false;
		done_excused++;
	}
	if (!traffic(&w.node[at], i))
		lose(i);
}

/* Something happens to flow i. */
static void
happen(uint32_t i)
{
	struct wish *f = &w.wish[i];

	if (f->alive)
		carry(i);
	if (i >= IDLE || !f->alive || !f->replied)
		live(i);
}

static void
churn(void)
{
	if (rate == 0 || next_flow > w.now)
		return;
	next_flow = w.now + (int64_t)below(2000000 / rate) * MONOTIME_USEC;
	happen(below(FLOWS));
}

/* Kernels collect what has expired now and then. */
static void
grow_old(void)
{
	int i;

	if (next_look > w.now)
		return;
	next_look = w.now + SEC / 2;
	for (i = 0; i < w.n; i++)
		age(&w.node[i]);
}

/* ---- time ---- */

static void
earliest(int64_t *t, int64_t at)
{
	if (at < *t)
		*t = at;
}

static void
due(int i, int64_t *t)
{
	const struct simnode *n = &w.node[i];

	earliest(t, starts[i][0]);
	earliest(t, starts[i][1]);
	if (!n->running)
		return;
	if (n->asleep > w.now) {
		earliest(t, n->asleep);
		return;
	}
	if (n->nev > 0)
		earliest(t, n->ev[0].at);
	if (n->dump != 0)
		earliest(t, n->dump_at);
	earliest(t, repl_next(n->r, now()).ns);
	if (carpd_awake(i))
		earliest(t, talk[i].at);
}

/* The next moment at which anything happens. */
static int64_t
next_moment(int64_t end, int64_t again)
{
	int64_t t = end < again ? end : again;
	size_t k;
	int i;

	if (s.nheap > 0)
		earliest(&t, s.heap[0].at.ns);
	for (k = 0; k < w.nwire; k++)
		if (w.node[w.wire[k].to].asleep <= w.now)
			earliest(&t, w.wire[k].at);
	for (i = 0; i < w.n; i++)
		due(i, &t);
	if (rate != 0)
		earliest(&t, next_flow);
	earliest(&t, next_look);
	return (t > w.now ? t : w.now + 10 * MONOTIME_USEC);
}

static void
start_due(void)
{
	int i;

	for (i = 0; i < w.n; i++) {
		if (starts[i][0] <= w.now) {
			starts[i][0] = NOTHING;
			sim_start(&s, i);
			/* who looks for it does so once in a while */
			talk[i].at = w.now + (int64_t)below(RECONNECT_MS) * MS;
		}
		if (starts[i][1] <= w.now) {
			starts[i][1] = NOTHING;
			memset(&talk[i], 0, sizeof(talk[i]));
			talk[i].hold_at = NOTHING;
			talk[i].at = soon();
			hold_init(&talk[i].hold, now());
			start(i);
		}
	}
}

/* Is nobody kept from telling the others? */
static bool
sync_well(void)
{
	int i;

	for (i = 0; i < w.n; i++)
		if (!pfsyncd_awake(i) || severed(i))
			return (false);
	return (w.loss == 0);
}

static void
advance(int64_t length)
{
	int64_t end = w.now + length, again = NOTHING, t;
	int i;

	done_time += length;
	while (w.now < end) {
		t = next_moment(end, again);
		sim_run(&s, t - w.now);
		step_time(t - w.now);
		done_events++;
		start_due();
		for (again = NOTHING, i = 0; i < w.n; i++) {
			hear_carpd(i);
			earliest(&again, hear_pfsyncd(i));
			if (blank[i] && complete(i))
				blank[i] = false;
			sync_ill |= blank[i] && !sync_well();
		}
		churn();
		grow_old();
		sim_ok();
	}
}

/* ---- faults ---- */

/* Something is the matter with the processes of n, or soon. */
static bool
busy(int n)
{
	size_t k;

	for (k = 0; k < ntrouble; k++)
		if (trouble[k].node == n && trouble[k].what <= FAULT_BOTH)
			return (true);
	return (s.node[n].life != SIM_ALIVE || s.node[n].frozen ||
	    !pfsyncd_awake(n) || starts[n][0] != NOTHING ||
	    starts[n][1] != NOTHING);
}

static void
kill_pfsyncd(int n)
{
	stop(n);
	disconnect(n);
}

static void
power_off(int n)
{
	int i;

	sim_power(&s, n);
	disconnect(n);
	reboot(n);
	blank[n] = true;
	for (sync_ill = false, i = 0; i < w.n; i++)
		sync_ill |= i != n && blank[i];
	forget_lost();
}

static void
set_sync(int n, bool cut)
{
	w.cut[n] = cut;
	if (w.node[n].running)
		repl_link(w.node[n].r, !cut, now());
}

static void
flush(int n)
{
	uint32_t k;

	for (k = 0; k < FLOWS; k++) {
		/* it may be their carrier: then they end */
		w.wish[k].known = false;
		kernel_end(&w.node[n], k, STATETBL_EV_FOREIGN);
	}
}

static int64_t
how_long(void)
{
	static const unsigned int most[] = { 300, 3000, 10000, 30000, 120000 };

	return ((int64_t)(1 + below(most[below(5)])) * MS);
}

/* false: that cannot happen to it now. */
static bool
begin(struct trouble *t)
{
	int n = t->node;

	if (t->what <= FAULT_BOTH && busy(n))
		return (false);
	switch (t->what) {
	case FAULT_POWER:
		power_off(n);
		break;
	case FAULT_CARPD:
		sim_kill(&s, n);
		break;
	case FAULT_ENGINE:
		sim_engine_died(&s, n);
		break;
	case FAULT_PARENT:
		sim_parent_died(&s, n);
		break;
	case FAULT_STOP:
		sim_stop(&s, n);
		break;
	case FAULT_HOST:
		w.node[n].asleep = t->over;
		/* FALLTHROUGH */
	case FAULT_FREEZE:
		sim_freeze(&s, n, t->over - w.now);
		break;
	case FAULT_BOTH:
		sim_kill(&s, n);
		/* FALLTHROUGH */
	case FAULT_PFSYNCD:
		kill_pfsyncd(n);
		break;
	case FAULT_SLEEP:
		w.node[n].asleep = t->over;
		break;
	case FAULT_LINK:
		sim_link(&s, n, t->wire, false);
		break;
	case FAULT_PARTITION:
		sim_partition(&s, t->wire, 1U << n);
		break;
	case FAULT_ONEWAY:
		sim_cut(&s, t->wire, n, (n + 1) % w.n);
		break;
	case FAULT_SNDERR:
		sim_snderr(&s, n, true);
		break;
	case FAULT_WEATHER:
		sim_weather(&s, 10 + (int)below(300), (int)below(100),
		    (int)below(100));
		break;
	case FAULT_SYNCDEV:
		set_sync(n, true);
		break;
	case FAULT_SYNCCUT:
		w.silent[n] = true;
		break;
	case FAULT_SYNCLOSS:
		w.loss = 10 + below(30);
		w.dup = below(20);
		w.jitter = below(30);
		break;
	case FAULT_OVERRUN:
		w.node[n].overrun = true;
		break;
	case FAULT_FLUSH:
		flush(n);
		break;
	case FAULT_STORM:
		rate = 400;
		break;
	case FAULT_DEMOTE:
		sim_demote(&s, n, 1 + (int)below(200));
		break;
	case FAULT_STATE:
		sim_force(&s, n, t->wire, VHOST_BACKUP);
		break;
	case FAULT_MAX:
		return (false);
	}
	return (true);
}

static void
over(const struct trouble *t)
{
	int n = t->node;

	switch (t->what) {
	case FAULT_POWER:
	case FAULT_BOTH:
		/* in any order, and not at once */
		starts[n][0] = w.now + (int64_t)below(3000) * MS;
		starts[n][1] = w.now + (int64_t)below(3000) * MS;
		break;
	case FAULT_CARPD:
	case FAULT_ENGINE:
	case FAULT_PARENT:
	case FAULT_STOP:
		starts[n][0] = w.now + 60 * MS;
		break;
	case FAULT_PFSYNCD:
		starts[n][1] = w.now;
		break;
	case FAULT_LINK:
		sim_link(&s, n, t->wire, true);
		break;
	case FAULT_PARTITION:
	case FAULT_ONEWAY:
		sim_heal(&s);
		break;
	case FAULT_SNDERR:
		sim_snderr(&s, n, false);
		break;
	case FAULT_WEATHER:
		sim_weather(&s, 0, 0, 0);
		break;
	case FAULT_SYNCDEV:
		set_sync(n, false);
		break;
	case FAULT_SYNCCUT:
		w.silent[n] = false;
		break;
	case FAULT_SYNCLOSS:
		w.loss = w.dup = w.jitter = 0;
		break;
	case FAULT_STORM:
		rate = 20;
		break;
	case FAULT_DEMOTE:
		sim_demote(&s, n, 0);
		break;
	case FAULT_FREEZE:
	case FAULT_HOST:
	case FAULT_SLEEP:
	case FAULT_OVERRUN:
	case FAULT_FLUSH:
	case FAULT_STATE:
	case FAULT_MAX:
		break;
	}
}

/* An operator waits for a daemon that does not answer. */
static bool
may_end(const struct trouble *t)
{
	return (t->over <= w.now && (t->what != FAULT_DEMOTE ||
	    !s.node[t->node].frozen));
}

static void
new_trouble(void)
{
	struct trouble *t = &trouble[ntrouble];
	int m = sim_master(&s, 0);

	t->what = (enum fault)below(FAULT_MAX);
	t->node = m != -1 && below(2) == 0 ? m : (int)below((unsigned int)w.n);
	t->wire = (int)below((unsigned int)s.c.wires);
	t->over = w.now + how_long();
	if (t->what == FAULT_FLUSH && t->node == m)
		t->node = (m + 1) % w.n;
	if (w.trace)
		printf("%12.6f %s of node %d wire %d for %lld ms\n",
		    (double)w.now / 1e9, fault_names[t->what], t->node,
		    t->wire, (long long)((t->over - w.now) / MS));
	if (!begin(t))
		return;
	faults[t->what]++;
	ntrouble++;
}

static void
end_troubles(void)
{
	size_t i;

	for (i = 0; i < ntrouble;)
		if (may_end(&trouble[i])) {
			over(&trouble[i]);
			trouble[i] = trouble[--ntrouble];
		} else
			i++;
}

/* ---- rest ---- */

static void
sim_ok(void)
{
	if (s.why[0] != '\0')
		ck_abort_msg("year %llu: %lld ms: %s",
		    (unsigned long long)w.seed, (long long)(w.now / MS), s.why);
}

/* What is still to come before there is rest; NULL: nothing. */
static const char *
unrest(void)
{
	uint32_t k;
	int i, wire;

	for (i = 0; i < w.n; i++) {
		if (busy(i))
			return ("a node that does not run");
		if (sim_demotion(&s, i) != 0)
			return ("a demotion");
		if (talk[i].said != HOLD_NONE || !talk[i].there)
			return ("a hold");
		if (blank[i])
			return ("a table that was not filled");
	}
	w.master = sim_master(&s, 0);
	for (wire = 0; wire < s.c.wires; wire++)
		if (sim_master(&s, wire) == -1 ||
		    sim_master(&s, wire) != w.master)
			return ("no MASTER, or not the same everywhere");
	for (i = 0; i < w.n; i++)
		for (k = 0; k < FLOWS; k++)
			if (differs(i, k) != NULL)
				return ("tables that differ");
	return (NULL);
}

/* All that lives goes on; what was not answered yet, and is told late, is. */
static void
carry_all(void)
{
	uint32_t k;

	for (k = 0; k < FLOWS; k++)
		if (w.wish[k].alive && w.wish[k].replied)
			carry(k);
		else if (w.wish[k].alive)
			live(k);
}

static void
rest(void)
{
	int64_t began = w.now;
	const char *why;

	rate = 0;
	carry_all();
	advance(sim_settle(&s));
	while ((why = unrest()) != NULL && w.now - began < REST_MAX) {
		carry_all();
		advance(SEC);
	}
	if (why != NULL)
		ck_abort_msg("year %llu: %lld ms: no rest after %lld s: %s",
		    (unsigned long long)w.seed, (long long)(w.now / MS),
		    (long long)(REST_MAX / SEC), why);
	rest_sum += w.now - began;
	if (w.now - began > rest_most)
		rest_most = w.now - began;
}

/* It is one: nothing moves. */
static void
still(int64_t length)
{
	int64_t end = w.now + length;
	uint64_t before = s.transitions;
	const char *why;
	int i;

	while (w.now < end) {
		carry_all();
		advance(5 * SEC);
		/* what ended expires, with its carrier first */
		for (i = 0; (why = unrest()) != NULL && i < EXPIRY; i++) {
			carry_all();
			advance(SEC);
		}
		judge(w.seed);
		if (why != NULL || s.transitions != before)
			ck_abort_msg("year %llu: %lld ms: rest ended with %s",
			    (unsigned long long)w.seed,
			    (long long)(w.now / MS),
			    why == NULL ? "a transition" : why);
	}
	sim_quiet(&s);
	sim_ok();
}

/* ---- years ---- */

static void
episode(void)
{
	unsigned int n = 1 + below(FAULTS_MAX);
	uint32_t k;

	s.steps = 0;
	rate = 20;
	take_stock();
	for (k = 0; k < FLOWS; k++)
		done_known += w.wish[k].known;
	while (n-- > 0) {
		new_trouble();
		advance((int64_t)below(4000) * MS);
		end_troubles();
	}
	while (ntrouble > 0) {
		advance(100 * MS);
		end_troubles();
	}
	rest();
	still(5 * SEC);
	done_episodes++;
}

/* Two or three of ours, and how they are set up. */
static void
conf(struct sim_conf *c, int nodes)
{
	int n;
	bool preempt = below(4) != 0, equal = below(4) == 0;

	memset(c, 0, sizeof(*c));
	c->nodes = nodes;
	/* nothing else brings the MASTERs of two networks together again */
	c->wires = preempt && !equal ? 2 : 1;
	c->v4 = below(3) != 0;
	c->v6 = !c->v4 || below(2) == 0;
	c->jitter = below(2) == 0;
	c->delay_min = 50 * MONOTIME_USEC;
	c->delay_max = below(2) == 0 ? MS : 5 * MS;
	c->late = below(2) == 0 ? MS : 10 * MS;
	c->startup = 500 * MS;
	c->sync_wait = below(4) == 0 ? 0 : 60 * SEC;
	c->snderr_time = 5 * SEC;
	for (n = 0; n < nodes; n++) {
		c->node[n].ours = c->node[n].style_byte = true;
		c->node[n].preempt = preempt;
		c->node[n].advbase = 1;
		c->node[n].advskew = equal ? 0 : (uint8_t)(n * 50);
	}
}

static void
year(uint64_t seed)
{
	struct sim_conf c;
	unsigned int i;
	int n, nodes = seed % 3 == 0 ? 3 : 2;

	world(seed, nodes);
	conf(&c, nodes);
	sim_init(&s, &c, seed, w.trace);
	ntrouble = 0;
	sync_ill = false;
	memset(blank, 0, sizeof(blank));
	for (n = 0; n < nodes; n++) {
		stop(n);
		starts[n][0] = w.now + (int64_t)below(3000) * MS;
		starts[n][1] = w.now + (int64_t)below(3000) * MS;
	}
	rate = 20;
	next_flow = next_look = w.now;
	advance(20 * SEC);
	rest();
	for (i = 0; i < EPISODES; i++)
		episode();
	if (seed % 10 == 0)
		still(HOUR);
	done_transitions += s.transitions;
	unmake();
	sim_free(&s);
	done_years++;
}

static uint64_t
from_env(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return (v != NULL ? strtoull(v, NULL, 10) : otherwise);
}

START_TEST(years)
{
	uint64_t first = from_env("CLUSTER_FIRST", 1), seed,
	    n = from_env("CLUSTER_YEARS", 10);
	int i;

	if (getenv("SIM_SEED") != NULL) {
		first = from_env("SIM_SEED", 1);
		n = 1;
	}
	for (seed = first; seed < first + n; seed++)
		year(seed);
	printf("sim: seeds %ju to %ju\n", (uintmax_t)first,
	    (uintmax_t)(first + n - 1));
	for (i = 0; n > 1 && i < FAULT_MAX; i++)
		ck_assert_msg(faults[i] > 0, "%s never happened",
		    fault_names[i]);
}
END_TEST

static void
print_figures(void)
{
	int i;

	printf("sim: %lu cluster-years, %lu episodes; %.1f hours of them "
	    "simulated, %lu moments, the rest at rest; %lu transitions, "
	    "%lu flows, %lu packets, %lu claims, %lu repairs; holds: liberal "
	    "%lu, syncdev %lu, bulk %lu; rest after %.1f s, at most %.1f s; "
	    "%lu times a connection that all knew, %lu lost with its host\n",
	    done_years, done_episodes, (double)done_time / HOUR, done_events,
	    done_transitions, done_flows, done_packets, done_claims,
	    done_repairs, holds[HOLD_LIBERAL], holds[HOLD_SYNCDEV],
	    holds[HOLD_BULK], done_episodes == 0 ? 0 :
	    (double)rest_sum / SEC / (double)done_episodes,
	    (double)rest_most / SEC, done_known, done_excused);
	printf("sim: faults:");
	for (i = 0; i < FAULT_MAX; i++)
		printf(" %s %lu%s", fault_names[i], faults[i],
		    i + 1 < FAULT_MAX ? "," : "\n");
}

int
main(void)
{
	Suite *suite = suite_create("cluster");
	TCase *tc = tcase_create("cluster");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, years);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	print_figures();
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
