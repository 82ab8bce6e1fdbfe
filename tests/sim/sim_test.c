/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The election under simulation: scenarios with a known end, and random
 * networks with random faults.  What must hold all the time is watched by
 * sim.c; here is what must come of it.
 *
 *	sim_test.ut			everything
 *	sim_test.ut SEED		one random network, told step by step
 *	sim_test.ut SCENARIO SEED	one scenario
 *
 * SIM_SEEDS=n: so many random networks; SIM_FIRST=n: from this seed on.
 */
#include <check.h>
#include <stdlib.h>

#include "../../carpd/bpf/balance_hash.h"
#include "sim.c"

#define SEEDS		2500	/* random networks of `make check-unit' */
#define SCENARIO_SEEDS	24
#define MSEC		MONOTIME_MSEC
#define SEC		MONOTIME_SEC

static bool	 trace;
static uint64_t	 transitions, steps;

/* -- scenarios -- */

/* Two or more of ours, 0 the best; one millisecond of wire. */
static struct sim_conf
base(int nodes, int wires)
{
	struct sim_conf c;
	int n;

	memset(&c, 0, sizeof(c));
	c.nodes = nodes;
	c.wires = wires;
	c.v4 = c.jitter = true;
	c.delay_min = 100 * MONOTIME_USEC;
	c.delay_max = MSEC;
	c.late = MSEC;
	c.startup = 500 * MSEC;
	c.snderr_time = 5 * SEC;
	for (n = 0; n < nodes; n++) {
		c.node[n].ours = c.node[n].preempt = true;
		c.node[n].style_byte = true;
		c.node[n].advbase = 1;
		c.node[n].advskew = (uint8_t)(n * 30);
	}
	return (c);
}

static void
no_preempt(struct sim_conf *c)
{
	int n;

	for (n = 0; n < c->nodes; n++)
		c->node[n].preempt = false;
}

/* Families by seed, so that each scenario meets all three kinds. */
static void
begin(struct sim *s, struct sim_conf *c, uint64_t seed)
{
	c->v4 = seed % 3 != 1;
	c->v6 = seed % 3 != 0;
	sim_init(s, c, seed, trace);
}

static void
settle(struct sim *s)
{
	sim_run(s, s->c.startup + sim_settle(s));
	sim_quiet(s);
}

/* In this order, each with time to find its place. */
static void
up(struct sim *s)
{
	int n;

	for (n = 0; n < s->c.nodes; n++) {
		sim_start(s, n);
		settle(s);
	}
}

static void
cover(struct sim *s)
{
	int w;

	for (w = 0; w < s->c.wires; w++)
		s->cover[w] = true;
}

static void
expect(struct sim *s, int w, int n, enum vhost_cause cause)
{
	if (sim_master(s, w) != n)
		sim_fail(s, "wire %d: master is %d, expected %d", w,
		    sim_master(s, w), n);
	else if (cause != VHOST_CAUSE_NONE && s->node[n].vh[w].cause != cause)
		sim_fail(s, "wire %d: node %d became MASTER by \"%s\", "
		    "expected \"%s\"", w, n,
		    vhost_cause_names[s->node[n].vh[w].cause],
		    vhost_cause_names[cause]);
}

/* Fully equal nodes of ours, without any jitter, all started together. */
static void
equal(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 7), 1);
	int n, k;

	c.jitter = false;
	c.delay_min = seed & 1 ? c.delay_max : 0;
	for (n = 0; n < c.nodes; n++)
		c.node[n].advskew = 0;
	if (seed & 2)
		no_preempt(&c);
	begin(s, &c, seed);
	for (n = 0; n < c.nodes; n++)
		sim_start(s, n);
	settle(s);
	for (k = 0; k < 4; k++) {
		sim_partition(s, 0, (unsigned int)sim_random(s, 256));
		settle(s);
		sim_heal(s);
		settle(s);
	}
	sim_still(s, 60 * SEC);
}

/* The same with others, who cannot be told from each other. */
static void
equal_foreign(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 7), 1);
	int n, k;

	for (n = 0; n < c.nodes; n++) {
		c.node[n].advskew = 10;
		c.node[n].ours = seed & 1 && n % 2 == 0;
	}
	begin(s, &c, seed);
	for (n = 0; n < c.nodes; n++)
		sim_start(s, n);
	for (k = 0; k < 3; k++)
		sim_run(s, sim_settle(s));
	settle(s);
	sim_still(s, 60 * SEC);
}

/* rcctl stop, and back: both planned. */
static void
stop_start(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 3), 2);

	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_run(s, (int64_t)sim_random(s, 2 * SEC));
	sim_stop(s, 0);
	sim_run(s, 4 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_BOWOUT);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_BOWOUT);
	settle(s);
	sim_start(s, 0);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_PREEMPT);
	expect(s, SIM_DMZ, 0, VHOST_CAUSE_PREEMPT);
	sim_still(s, 30 * SEC);
}

/* Without preempt who comes back stays back; who stops is followed. */
static void
no_return(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_stop(s, 0);
	settle(s);
	sim_start(s, 0);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_BOWOUT);
	sim_stop(s, 1);
	sim_run(s, 4 * MSEC);
	expect(s, 0, 0, VHOST_CAUSE_BOWOUT);
}

static void
engine_death(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(3, 2);

	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_engine_died(s, 0);
	sim_run(s, 4 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_ENGINE_DIED);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_ENGINE_DIED);
	settle(s);
	sim_parent_died(s, 1);
	sim_run(s, 4 * MSEC);
	expect(s, SIM_LAN, 2, VHOST_CAUSE_PARENT_DIED);
	settle(s);
	sim_start(s, 0);
	sim_start(s, 1);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_PREEMPT);
}

/* A cable of one leg: told over the other, and the other follows. */
static void
cable(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(seed & 4 ? 2 : 2 + (int)(seed % 4), 2);

	if (seed & 4)
		no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	s->cover[SIM_DMZ] = true;
	sim_link(s, 0, SIM_LAN, false);
	sim_run(s, 6 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_PEER_GONE);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_PEER_DEMOTED);
	settle(s);
	s->cover[SIM_LAN] = true;
	sim_link(s, 0, SIM_LAN, true);
	settle(s);
	expect(s, SIM_LAN, seed & 4 ? 1 : 0, VHOST_CAUSE_NONE);
	expect(s, SIM_DMZ, seed & 4 ? 1 : 0, VHOST_CAUSE_NONE);
	sim_still(s, 30 * SEC);
}

/* It goes on telling: only who followed it need listen, and only once. */
static void
told_again(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(4, 2);

	begin(s, &c, seed);
	up(s);
	sim_demote(s, 1, 5);
	sim_demote(s, 2, 5);
	sim_demote(s, 3, 5);
	settle(s);
	s->cover[SIM_DMZ] = true;
	sim_link(s, 0, SIM_LAN, false);
	sim_run(s, 6 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_PEER_GONE);
	sim_still(s, 12 * SEC);
	expect(s, SIM_DMZ, 0, VHOST_CAUSE_NONE);
}

/* It has just taken over when its cable goes: it was heard once. */
static void
cable_again(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 2);

	begin(s, &c, seed);
	up(s);
	sim_demote(s, 0, 50);
	settle(s);
	sim_demote(s, 0, 0);
	while (sim_master(s, SIM_LAN) != 0 && s->why[0] == '\0')
		sim_run(s, 5 * MSEC);
	sim_run(s, 10 * MSEC);
	sim_link(s, 0, SIM_LAN, false);
	sim_run(s, 6 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_PEER_GONE);
}

/* carpctl demote 50, promote 50. */
static void
demote(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(seed & 1 ? 2 : 2 + (int)(seed % 7), 2);

	if (seed & 1)
		no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_demote(s, 0, 50);
	sim_run(s, 8 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_PEER_DEMOTED);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_PEER_DEMOTED);
	sim_still(s, 20 * SEC);
	sim_demote(s, 0, 0);
	settle(s);
	expect(s, SIM_LAN, seed & 1 ? 1 : 0, seed & 1 ?
	    VHOST_CAUSE_PEER_DEMOTED : VHOST_CAUSE_PREEMPT);
	sim_demote(s, 0, 1);
	sim_demote(s, 1, 2);
	settle(s);
	sim_still(s, 20 * SEC);
}

/*
 * It is ready again and better, and its networks' masters speak at different
 * times: when it takes one it takes the other at once, or what comes in here
 * goes out there.
 */
static void
together(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 2);
	int k;

	c.startup = 2 * SEC;
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_stop(s, 0);
	settle(s);
	/* alone, it comes back after a master-down time: another phase */
	s->cover[SIM_DMZ] = false;
	sim_run(s, (int64_t)sim_random(s, SEC));
	sim_force(s, 1, SIM_DMZ, VHOST_BACKUP);
	settle(s);
	s->cover[SIM_DMZ] = true;
	sim_start(s, 0);
	sim_run(s, c.startup + MSEC);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_PREEMPT);
	expect(s, SIM_DMZ, 0, VHOST_CAUSE_PREEMPT);
	/* and so when it is the master who is demoted, and no preempt */
	for (k = 0; k < 2; k++)
		s->node[k].vh[SIM_LAN].conf.preempt =
		    s->node[k].vh[SIM_DMZ].conf.preempt = false;
	sim_demote(s, 1, 60);
	sim_demote(s, 0, 50);
	sim_still(s, 3 * SEC);
	sim_demote(s, 1, 40);
	sim_run(s, 3 * MSEC);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_PEER_DEMOTED);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_PEER_DEMOTED);
	settle(s);
	sim_still(s, 20 * SEC);
}

/*
 * What the master said long ago, before it could not be heard any more, is no
 * reason to claim: it may be as good as we are by now.
 */
static void
old_word(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	begin(s, &c, seed);
	up(s);
	sim_demote(s, 0, 50);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_PEER_DEMOTED);
	sim_cut(s, 0, 1, 0);
	sim_run(s, 13 * SEC / 10);
	sim_demote(s, 0, 0);
	sim_run(s, 5 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_PEER_DEMOTED);
	sim_heal(s);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_PREEMPT);
}

/* Demotion shown in advskew only, as FreeBSD does. */
static void
demote_skew(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(3, 1);
	int n;

	for (n = 0; n < c.nodes; n++) {
		c.node[n].style_byte = (seed & 1) != 0;
		c.node[n].style_skew = true;
	}
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_demote(s, 0, 50);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_PREEMPT);
	sim_demote(s, 1, 200);
	sim_run(s, 8 * MSEC);
	/* 0 + 50 is better than 60 in advskew, worse in the byte */
	expect(s, 0, seed & 1 ? 2 : 0, VHOST_CAUSE_NONE);
	settle(s);
	sim_demote(s, 0, 0);
	sim_demote(s, 1, 0);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_NONE);
	sim_still(s, 20 * SEC);
}

/* The machine is gone: a master-down time, neither less nor much more. */
static void
power(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 3), 1);
	int64_t md = (3 * 256 + 30) * (SEC / 256);

	begin(s, &c, seed);
	up(s);
	sim_run(s, (int64_t)sim_random(s, 2 * SEC));
	sim_power(s, 0);
	sim_run(s, md - SEC - c.delay_max);
	expect(s, 0, -1, VHOST_CAUSE_NONE);
	sim_run(s, SEC + 2 * c.delay_max + 2 * c.late + MSEC);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	sim_quiet(s);
}

/*
 * kill -9 of everything: the kernel forwards until the successor speaks.  A
 * new start must not be in the way.
 */
static void
kill_all(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_kill(s, 0);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	sim_run(s, (int64_t)sim_random(s, 5 * SEC));
	sim_start(s, 0);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_PREEMPT);
}

/* SIGSTOP of all processes for 10 s. */
static void
sleeping_master(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);
	struct vhost *v = &s->node[0].vh[0].v;

	if (seed & 1)
		no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_freeze(s, 0, 10 * SEC);
	sim_run(s, 10 * SEC - MSEC);
	if (s->node[1].vh[0].v.state != VHOST_MASTER)
		sim_fail(s, "nobody took over from a sleeper");
	sim_run(s, 20 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	if (v->cause != VHOST_CAUSE_LATE && v->cause != VHOST_CAUSE_TAKEN)
		sim_fail(s, "the sleeper went BACKUP by \"%s\"",
		    vhost_cause_names[v->cause]);
	/* it listens for one master-down time before it claims */
	sim_run(s, 29 * SEC / 10);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	settle(s);
	expect(s, 0, (int)(seed & 1), VHOST_CAUSE_NONE);
}

/* It slept just long enough for a successor, and not for its own lease. */
static void
dozing_master(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	while (monotime_cmp(s->node[0].vh[0].v.timer[VHOST_TIMER_AD],
	    monotime_add(s->now, 990 * MSEC)) < 0 && s->why[0] == '\0')
		sim_run(s, MSEC);
	sim_freeze(s, 0, 33 * SEC / 10);
	settle(s);
	settle(s);
	sim_still(s, 30 * SEC);
}

/* The same, and its socket was full: only its kernel heard the successor. */
static void
deaf_master(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);
	struct vhost *v = &s->node[0].vh[0].v;

	no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	while (monotime_cmp(v->timer[VHOST_TIMER_AD],
	    monotime_add(s->now, 990 * MSEC)) < 0 && s->why[0] == '\0')
		sim_run(s, MSEC);
	sim_freeze(s, 0, 33 * SEC / 10);
	sim_run(s, 32 * SEC / 10);
	expect(s, 0, -1, VHOST_CAUSE_NONE);	/* it does not know */
	sim_overflow(s, 0);
	sim_run(s, 120 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	if (v->cause != VHOST_CAUSE_TAKEN)
		sim_fail(s, "it went BACKUP by \"%s\"",
		    vhost_cause_names[v->cause]);
	sim_still(s, 30 * SEC);
}

static void
sleeping_backup(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(3, 1);

	if (seed & 1)
		no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	sim_freeze(s, 1, 10 * SEC);
	sim_freeze(s, 2, (int64_t)sim_random(s, 30 * SEC) + 4 * SEC);
	sim_still(s, 45 * SEC);
}

/* A backup slept through a change: the goodbye it finds is an old one. */
static void
old_goodbye(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(3, 1);
	int masters;

	no_preempt(&c);
	c.node[2].advskew = 10;
	begin(s, &c, seed);
	up(s);
	sim_freeze(s, 2, 20 * SEC);
	sim_run(s, 2 * SEC);
	sim_stop(s, 0);
	sim_run(s, 10 * SEC);
	masters = s->node[2].vh[0].masters;
	sim_run(s, 15 * SEC);
	expect(s, 0, 1, VHOST_CAUSE_BOWOUT);
	if (s->node[2].vh[0].masters != masters)
		sim_fail(s, "an old goodbye was followed");
}

/* The master says goodbye to one that may not claim yet. */
static void
goodbye_on_hold(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	begin(s, &c, seed);
	up(s);
	sim_freeze(s, 0, 10 * SEC);
	sim_run(s, 11 * SEC);
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	sim_run(s, (int64_t)sim_random(s, SEC));
	sim_stop(s, 1);
	sim_run(s, 22 * SEC / 10);
	expect(s, 0, 0, VHOST_CAUSE_BOWOUT);
}

/* Its interval is longer than we wait. */
static void
slow_peer(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	no_preempt(&c);
	c.node[0].advbase = 4;
	c.node[1].advskew = 0;
	begin(s, &c, seed);
	sim_start(s, 0);
	settle(s);
	sim_run(s, 4 * SEC);
	expect(s, 0, 0, VHOST_CAUSE_MASTER_DOWN);
	while (monotime_cmp(s->node[0].vh[0].v.timer[VHOST_TIMER_AD],
	    monotime_add(s->now, SEC)) > 0 && s->why[0] == '\0')
		sim_run(s, 100 * MSEC);
	sim_start(s, 1);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_PEER_SLOW);
	sim_still(s, 60 * SEC);
}

static void
send_errors(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 2);

	begin(s, &c, seed);
	up(s);
	sim_snderr(s, 0, true);
	sim_run(s, 4 * SEC);
	if (demote_get(&s->node[0].ledger, vif_name(s, 0), GROUP,
	    "snderrors") != 1)
		sim_fail(s, "send errors do not demote");
	/* it is mute, not deaf: it gives way */
	expect(s, 0, 1, VHOST_CAUSE_MASTER_DOWN);
	sim_snderr(s, 0, false);
	sim_run(s, c.snderr_time);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_PREEMPT);
	sim_still(s, 30 * SEC);
}

/* Each hears nobody, hears only, is heard only; then all is well. */
static void
one_way(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);
	int from = (int)(seed & 1);

	begin(s, &c, seed);
	up(s);
	sim_cut(s, 0, from, 1 - from);
	settle(s);
	sim_heal(s);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_NONE);
	sim_partition(s, 0, 1);
	settle(s);
	sim_heal(s);
	sim_run(s, 1300 * MSEC);
	expect(s, 0, 0, VHOST_CAUSE_NONE);
	sim_still(s, 60 * SEC);
}

/* carpctl state, disable, set advskew. */
static void
operator(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	cover(s);
	/* a worse one may try, and is told */
	sim_force(s, 1, 0, VHOST_MASTER);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 0, VHOST_CAUSE_NONE);
	sim_force(s, 0, 0, VHOST_BACKUP);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_BOWOUT);
	sim_force(s, 0, 0, VHOST_MASTER);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 0, VHOST_CAUSE_OPERATOR);
	sim_enable(s, 0, 0, false);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_BOWOUT);
	sim_enable(s, 0, 0, true);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_BOWOUT);
	sim_still(s, 20 * SEC);
}

static void
set_advskew(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_advskew(s, 0, 0, 200);
	sim_run(s, 8 * MSEC);
	expect(s, 0, 1, VHOST_CAUSE_PREEMPT);
	settle(s);
	sim_advskew(s, 0, 0, 0);
	settle(s);
	expect(s, 0, 0, VHOST_CAUSE_PREEMPT);
	sim_still(s, 20 * SEC);
}

/* advbase 0: a backup that is faster than the master's own interval. */
static void
advbase_0(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 3), 1);
	int n;

	for (n = 0; n < c.nodes; n++)
		c.node[n].advbase = 0;
	c.late = 100 * MONOTIME_USEC;
	c.delay_max = 200 * MONOTIME_USEC;
	if (seed & 1)
		no_preempt(&c);
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_still(s, SEC);
	sim_demote(s, 0, 50);
	settle(s);
	expect(s, 0, 1, VHOST_CAUSE_PEER_DEMOTED);
	sim_still(s, 5 * SEC);
	sim_demote(s, 0, 0);
	settle(s);
	sim_stop(s, sim_master(s, 0));
	settle(s);
	sim_start(s, 0);
	sim_start(s, 1);
	settle(s);
	sim_still(s, 5 * SEC);
}

/* 11.7 ms. */
static void
advbase_0_detects(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2, 1);

	c.node[0].advbase = c.node[1].advbase = 0;
	c.node[1].advskew = 0;
	c.late = 100 * MONOTIME_USEC;
	c.delay_max = 200 * MONOTIME_USEC;
	begin(s, &c, seed);
	up(s);
	sim_still(s, SEC);
	sim_power(s, sim_master(s, 0));
	sim_run(s, 3 * SEC / 256 + MSEC);
	sim_quiet(s);
}

/* Foreign peers: no trailer, no notices; the BSD rules alone. */
static void
foreign(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(3, 2);

	c.node[seed % 3].ours = false;
	c.node[(seed / 3) % 3].ours = false;
	begin(s, &c, seed);
	up(s);
	sim_stop(s, 0);
	sim_run(s, 4 * MSEC);
	if (!eligible(s, 1, 0) || s->node[1].vh[0].cause ==
	    VHOST_CAUSE_MASTER_DOWN)
		sim_fail(s, "a goodbye was not heard");
	settle(s);
	expect(s, SIM_LAN, 1, VHOST_CAUSE_NONE);
	sim_start(s, 0);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_PREEMPT);
	sim_link(s, 0, SIM_LAN, false);
	sim_run(s, 6 * MSEC);
	expect(s, SIM_DMZ, 1, VHOST_CAUSE_NONE);
	settle(s);
	expect(s, SIM_LAN, 1, c.node[0].ours && c.node[1].ours ?
	    VHOST_CAUSE_PEER_GONE : VHOST_CAUSE_NONE);
	sim_still(s, 30 * SEC);
}

/* A demoted node that is alone stays or becomes MASTER. */
static void
alone(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(1, 2);

	begin(s, &c, seed);
	sim_start(s, 0);
	sim_demote(s, 0, 200);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_MASTER_DOWN);
	sim_link(s, 0, SIM_DMZ, false);
	sim_still(s, 0);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_MASTER_DOWN);
	sim_freeze(s, 0, 20 * SEC);
	sim_run(s, 20 * SEC);
	settle(s);
	expect(s, SIM_LAN, 0, VHOST_CAUSE_MASTER_DOWN);
}

/* Nothing happens for hours. */
static void
hours(struct sim *s, uint64_t seed)
{
	struct sim_conf c = base(2 + (int)(seed % 4), 2);

	c.late = 20 * MSEC;
	c.delay_max = 10 * MSEC;
	begin(s, &c, seed);
	up(s);
	cover(s);
	sim_still(s, 2 * 3600 * SEC);
}

/*
 * What anybody sends to anybody is taken by one firewall.  One whose processes
 * are dead counts: its kernel goes on until its successor speaks.
 */
static void
exactly_once(struct sim *s)
{
	unsigned int src, dst;
	int i, n, node, takers;

	for (i = 0; i < 64 && s->why[0] == '\0'; i++) {
		src = (unsigned int)sim_random(s, UINT32_MAX);
		dst = (unsigned int)sim_random(s, UINT32_MAX);
		node = (int)(balance_fold(&src, &dst, 1) %
		    (unsigned int)s->c.wires);
		takers = 0;
		for (n = 0; n < s->c.nodes; n++)
			takers += sim_takes(s, n, node);
		if (takers != 1)
			sim_fail(s, "carpnode %d of %d: %d take its packets",
			    node, s->c.wires, takers);
	}
}

/* All of it, or none: the nodes are on one network. */
static void
all_cables(struct sim *s, int n, bool in)
{
	int w;

	for (w = 0; w < s->c.wires; w++)
		sim_link(s, n, w, in);
}

static void
dies(struct sim *s, int n)
{
	switch (sim_random(s, 5)) {
	case 0: sim_stop(s, n); break;
	case 1: sim_kill(s, n); break;
	case 2: sim_power(s, n); break;
	case 3: sim_engine_died(s, n); break;
	case 4: all_cables(s, n, false); break;
	}
}

/* Seed 0: 32 firewalls, else 2 to 8; some of them die and come back. */
static void
shares(struct sim *s, uint64_t seed)
{
	int n = seed == 0 ? SIM_NODES : (int)(2 + seed % 7), i, w;
	struct sim_conf c = base(n, n);

	c.turn = 7;
	begin(s, &c, seed);
	for (i = 0; i < n; i++)
		sim_start(s, i);
	settle(s);
	exactly_once(s);
	for (i = 0; i < n - 1; i++)
		if (sim_random(s, 2) == 0)
			dies(s, i);
	settle(s);
	exactly_once(s);
	for (i = 0; i < n; i++) {
		all_cables(s, i, true);
		if (s->node[i].life != SIM_ALIVE)
			sim_start(s, i);
	}
	settle(s);
	settle(s);
	exactly_once(s);
	for (w = 0; w < n; w++)
		expect(s, w, w, VHOST_CAUSE_NONE);
}

static const struct scenario {
	const char	*name;
	void		(*run)(struct sim *, uint64_t);
	uint64_t	 seeds;
} scenarios[] = {
	{ "equal", equal, SCENARIO_SEEDS },
	{ "equal-foreign", equal_foreign, 4 * SCENARIO_SEEDS },
	{ "stop-start", stop_start, SCENARIO_SEEDS },
	{ "no-return", no_return, SCENARIO_SEEDS },
	{ "engine-death", engine_death, SCENARIO_SEEDS },
	{ "cable", cable, SCENARIO_SEEDS },
	{ "told-again", told_again, SCENARIO_SEEDS },
	{ "cable-again", cable_again, SCENARIO_SEEDS },
	{ "demote", demote, SCENARIO_SEEDS },
	{ "together", together, SCENARIO_SEEDS },
	{ "old-word", old_word, SCENARIO_SEEDS },
	{ "demote-skew", demote_skew, SCENARIO_SEEDS },
	{ "power", power, SCENARIO_SEEDS },
	{ "kill-all", kill_all, SCENARIO_SEEDS },
	{ "sleeping-master", sleeping_master, SCENARIO_SEEDS },
	{ "dozing-master", dozing_master, SCENARIO_SEEDS },
	{ "deaf-master", deaf_master, SCENARIO_SEEDS },
	{ "sleeping-backup", sleeping_backup, SCENARIO_SEEDS },
	{ "old-goodbye", old_goodbye, SCENARIO_SEEDS },
	{ "goodbye-on-hold", goodbye_on_hold, SCENARIO_SEEDS },
	{ "slow-peer", slow_peer, SCENARIO_SEEDS },
	{ "send-errors", send_errors, SCENARIO_SEEDS },
	{ "one-way", one_way, SCENARIO_SEEDS },
	{ "operator", operator, SCENARIO_SEEDS },
	{ "set-advskew", set_advskew, SCENARIO_SEEDS },
	{ "advbase-0", advbase_0, SCENARIO_SEEDS },
	{ "advbase-0-detects", advbase_0_detects, SCENARIO_SEEDS },
	{ "foreign", foreign, SCENARIO_SEEDS },
	{ "alone", alone, SCENARIO_SEEDS },
	{ "shares", shares, SCENARIO_SEEDS },
	{ "hours", hours, 4 },
};
#define NSCENARIOS	(sizeof(scenarios) / sizeof(scenarios[0]))

/* -- random networks -- */

/* One value of the list, by chance. */
#define PICK(s, ...)							\
	(((const int64_t[]){ __VA_ARGS__ })[sim_random(s,		\
	    sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))])

static void
random_nodes(struct sim *s, struct sim_conf *c)
{
	int kind = (int)sim_random(s, 4);	/* of advskew */
	int foreign_of_8 = (int)PICK(s, 0, 0, 0, 2, 4, 8);
	int preempt = (int)PICK(s, 0, 2, 2, 1);	/* of 2 */
	int style = (int)PICK(s, 0, 0, 0, 1, 2);
	uint8_t advbase = (uint8_t)PICK(s, 0, 1, 1, 1, 2);
	int n;

	for (n = 0; n < c->nodes; n++) {
		struct sim_node_conf *k = &c->node[n];

		k->ours = (int)sim_random(s, 8) >= foreign_of_8;
		k->preempt = (int)sim_random(s, 2) < preempt;
		k->style_byte = style != 2;
		k->style_skew = style != 0;
		k->advbase = advbase;
		k->advskew = (uint8_t)(kind == 0 ? 0 : kind == 1 ? 100 :
		    kind == 2 ? n * 30 : (int)sim_random(s, 255));
		if (advbase == 0)	/* or it takes ages, 4 ms each */
			k->advskew /= 8;
		c->jitter |= !k->ours;
	}
}

static void
random_conf(struct sim *s, struct sim_conf *c)
{
	int64_t tick = SEC / 256;

	memset(c, 0, sizeof(*c));
	c->nodes = (int)PICK(s, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8);
	c->wires = 1 + (int)sim_random(s, 2);
	c->v4 = sim_random(s, 3) != 0;
	c->v6 = !c->v4 || sim_random(s, 2) == 0;
	c->jitter = sim_random(s, 2) == 0;
	random_nodes(s, c);
	c->startup = PICK(s, 0, 200 * MSEC, 5 * SEC);
	c->snderr_time = 5 * SEC;
	if (c->node[0].advbase == 0) {
		c->delay_max = PICK(s, tick / 100, tick / 20);
		c->late = tick / 20;
		c->startup /= 10;
		c->snderr_time /= 10;
	} else {
		c->delay_max = PICK(s, 50 * MONOTIME_USEC, MSEC, 20 * MSEC);
		c->late = PICK(s, 100 * MONOTIME_USEC, MSEC, 20 * MSEC);
	}
	c->delay_min = PICK(s, 0, c->delay_max / 2, c->delay_max);
}

/* Somebody; often the MASTER, who is the more interesting. */
static int
random_node(struct sim *s, int w)
{
	int m = sim_master(s, w);

	return (m != -1 && sim_random(s, 2) == 0 ? m :
	    (int)sim_random(s, (uint64_t)s->c.nodes));
}

/* Whoever dies comes back some day, or not. */
static void
restart_later(struct sim *s, int n)
{
	if (sim_random(s, 4) != 0)
		push_node(s, SIM_EV_START, n, s->round, (int64_t)
		    sim_random(s, (uint64_t)(4 * sim_masterdown(s) + 1)));
}

static void
random_death(struct sim *s, int n)
{
	static void (*const deaths[])(struct sim *, int) = {
		sim_stop, sim_kill, sim_power, sim_engine_died,
		sim_parent_died
	};

	deaths[sim_random(s, 5)](s, n);
	restart_later(s, n);
}

static void
random_order(struct sim *s, int n, int w)
{
	switch (sim_random(s, 6)) {
	case 0:
		sim_demote(s, n, (int)PICK(s, 1, 2, 50, 254, 255));
		break;
	case 1:
		sim_demote(s, n, 0);
		break;
	case 2:
		sim_force(s, n, w, VHOST_BACKUP);
		break;
	case 3:
		sim_force(s, n, w, VHOST_MASTER);
		break;
	case 4:
		sim_enable(s, n, w, sim_random(s, 2) != 0);
		break;
	default:
		sim_advskew(s, n, w, s->c.node[n].advskew);
		break;
	}
}

static void
random_fault(struct sim *s)
{
	int w = (int)sim_random(s, (uint64_t)s->c.wires);
	int n = random_node(s, w);

	switch (sim_random(s, 10)) {
	case 0:
	case 1:
		random_death(s, n);
		break;
	case 2:
		sim_freeze(s, n, (int64_t)sim_random(s, (uint64_t)(4 *
		    sim_masterdown(s) + 200 * MSEC)));
		break;
	case 3:
	case 4:
		sim_link(s, n, w, !s->node[n].carrier[w]);
		break;
	case 5:
		sim_partition(s, w, (unsigned int)sim_random(s, 256));
		break;
	case 6:
		sim_cut(s, w, n, (n + 1 + (int)sim_random(s,
		    (uint64_t)s->c.nodes - 1)) % s->c.nodes);
		break;
	case 7:
		sim_snderr(s, n, !s->node[n].snderr);
		break;
	default:
		random_order(s, n, w);
		break;
	}
}

/* The faults end; some of what they did stays. */
static void
recover(struct sim *s)
{
	int n, w;

	s->round++;
	sim_weather(s, 0, 0, 0);
	sim_heal(s);
	for (n = 0; n < s->c.nodes; n++) {
		if (s->node[n].frozen)
			thaw(s, n);
		sim_snderr(s, n, false);
		if (sim_random(s, 8) != 0)
			sim_start(s, n);
		if (s->node[n].life == SIM_ALIVE && sim_random(s, 2) == 0)
			sim_demote(s, n, 0);
		for (w = 0; w < s->c.wires; w++)
			if (sim_random(s, 8) != 0) {
				sim_link(s, n, w, true);
				sim_enable(s, n, w, true);
			}
	}
	/* every ledger entry runs out */
	sim_run(s, larger(s->c.startup, s->c.snderr_time) + 60 * MSEC);
	for (w = 0; w < s->c.wires && sim_random(s, 4) == 0; w++)
		sim_partition(s, w, (unsigned int)sim_random(s, 256));
}

/* Who cannot tell each other apart needs luck, and thus time. */
static void
wait_settled(struct sim *s)
{
	int n, k, rounds = 1;

	for (n = 0; n < s->c.nodes; n++)
		if (!s->c.node[n].ours)
			rounds = 8;
	for (k = 0; k < rounds; k++)
		sim_run(s, sim_settle(s));
}

/* Something planned, in a network where all is well: nothing is lost. */
static void
planned(struct sim *s)
{
	int w, n = random_node(s, 0), k;

	for (w = 0; w < s->c.wires; w++)
		if ((k = sim_master(s, w)) == -1 || !s->c.node[k].ours)
			return;
	for (k = 0; k < s->c.nodes; k++)
		for (w = 0; w < s->c.wires; w++)
			if (!eligible(s, k, w) || !s->c.node[k].ours)
				return;
	cover(s);
	if (sim_random(s, 2) == 0)
		sim_stop(s, n);
	else
		random_order(s, n, 0);
	wait_settled(s);
	sim_start(s, n);
	sim_run(s, s->c.startup);
	wait_settled(s);
	memset(s->cover, 0, sizeof(s->cover));
}

static void
random_round(struct sim *s)
{
	int k, faults = 1 + (int)sim_random(s, 12);
	int64_t still = 40 * sim_interval(s);

	if (sim_random(s, 2) == 0)
		sim_weather(s, (int)PICK(s, 0, 10, 100, 500),
		    (int)PICK(s, 0, 10, 300), (int)PICK(s, 0, 10, 300));
	for (k = 0; k < faults; k++) {
		random_fault(s);
		sim_run(s, (int64_t)sim_random(s,
		    (uint64_t)sim_masterdown(s) + 1));
	}
	recover(s);
	wait_settled(s);
	sim_quiet(s);
	/* a one-way voice may be obeyed and contradicted for ever */
	sim_still(s, still);
	sim_heal(s);
	wait_settled(s);
	sim_quiet(s);
	planned(s);
	sim_quiet(s);
}

static void
random_network(struct sim *s, uint64_t seed)
{
	struct sim_conf c;
	int n, rounds;

	memset(s, 0, sizeof(*s));
	s->rng = seed * UINT64_C(0x9e3779b97f4a7c15);
	random_conf(s, &c);
	sim_init(s, &c, s->rng, trace);
	s->seed = seed;
	rounds = 1 + (int)sim_random(s, 3);
	for (n = 0; n < c.nodes; n++)
		push_node(s, SIM_EV_START, n, 0, (int64_t)sim_random(s,
		    3 * SEC));
	sim_run(s, 3 * SEC);
	for (n = 0; n < rounds && s->why[0] == '\0'; n++)
		random_round(s);
}

/* -- running it all -- */

static void
finish(struct sim *s)
{
	transitions += s->transitions;
	steps += s->steps;
	sim_free(s);
}

START_TEST(scenario)
{
	const struct scenario *sc = &scenarios[_i];
	static struct sim s;
	uint64_t seed;

	for (seed = 0; seed < sc->seeds; seed++) {
		memset(&s, 0, sizeof(s));
		sc->run(&s, seed);
		finish(&s);
		ck_assert_msg(s.why[0] == '\0',
		    "scenario %s: %s (tests/sim/sim_test.ut %s %ju)",
		    sc->name, s.why, sc->name, (uintmax_t)seed);
	}
}
END_TEST

static uint64_t
from_env(const char *name, uint64_t otherwise)
{
	const char *v = getenv(name);

	return (v != NULL ? strtoull(v, NULL, 10) : otherwise);
}

START_TEST(random_seeds)
{
	uint64_t first = from_env("SIM_FIRST", 1), n, seed;
	static struct sim s;

	n = from_env("SIM_SEEDS", SEEDS);
	for (seed = first; seed < first + n; seed++) {
		random_network(&s, seed);
		finish(&s);
		ck_assert_msg(s.why[0] == '\0',
		    "random network: %s (tests/sim/sim_test.ut %ju)", s.why,
		    (uintmax_t)seed);
	}
	printf("sim: %ju random networks\n", (uintmax_t)n);
}
END_TEST

/* Runs last: what was simulated, and that nothing was forgotten. */
START_TEST(every_fault)
{
	int i;

	printf("sim: %ju steps, %ju transitions; faults:", (uintmax_t)steps,
	    (uintmax_t)transitions);
	for (i = 0; i < SIM_FAULTS; i++)
		printf(" %s %ju%s", sim_fault_names[i],
		    (uintmax_t)sim_faults[i], i + 1 < SIM_FAULTS ? "," : "\n");
	for (i = 0; i < SIM_FAULTS; i++)
		ck_assert_msg(sim_faults[i] > 0, "no fault of kind \"%s\"",
		    sim_fault_names[i]);
}
END_TEST

static int
one(const char *name, uint64_t seed)
{
	static struct sim s;
	size_t i;

	trace = true;
	memset(&s, 0, sizeof(s));
	if (name == NULL)
		random_network(&s, seed);
	for (i = 0; name != NULL && i < NSCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			scenarios[i].run(&s, seed);
	finish(&s);
	printf("%s\n", s.why[0] == '\0' ? "all well" : s.why);
	return (s.why[0] != '\0');
}

int
main(int argc, char **argv)
{
	Suite	*suite = suite_create("sim");
	TCase	*tc = tcase_create("sim");
	SRunner	*sr;
	int	 failed;

	if (argc > 1)
		return (one(argc > 2 ? argv[1] : NULL,
		    strtoull(argv[argc - 1], NULL, 10)));
	tcase_add_loop_test(tc, scenario, 0, (int)NSCENARIOS);
	tcase_add_test(tc, random_seeds);
	tcase_add_test(tc, every_fault);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
