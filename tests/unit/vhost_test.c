/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/vhost: every (state, event) pair, the timers of carp(4) to the
 * nanosecond, the comparison rules of OpenBSD's ip_carp.c as tables, what is
 * ours beyond them, and the actions in their order.  What comes of all this
 * in a network is tests/sim's.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "../../carpd/vhost.h"

#define SEC	MONOTIME_SEC
#define MSEC	MONOTIME_MSEC
#define TICK	INT64_C(3906250)	/* 1/256 s */
#define WALK	30000
#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static struct vhost_conf	 c;
static struct vhost		 v;
static struct vhost_actions	 out;
static monotime_t		 now;

/* -- short forms -- */

static void
setup(void)
{
	memset(&c, 0, sizeof(c));
	c.vhid = 1;
	c.advbase = 1;
	c.v4 = c.preempt = c.style_byte = true;
	c.node = 5;
	now.ns = 1000 * SEC;
	vhost_init(&v, now);
	memset(&out, 0xff, sizeof(out));
}

static void
pass(int64_t ns)
{
	now = monotime_add(now, ns);
}

static void
step(const struct vhost_event *e)
{
	const char	*broken;

	vhost_step(&c, &v, e, now, &out);
	ck_assert_uint_le(out.n, VHOST_ACTIONS_MAX);
	broken = vhost_check(&c, &v, now);
	ck_assert_msg(broken == NULL, "%s after %s", broken,
	    vhost_event_names[e->type]);
}

static void
simple(enum vhost_event_type type, enum vhost_cause cause)
{
	struct vhost_event	 e = { .type = type, .cause = cause };

	step(&e);
}

static void
timer(enum vhost_timer t)
{
	struct vhost_event	 e = { .type = VHOST_EV_TIMER, .timer = t };

	step(&e);
}

/* Wait for a timer and let it fire. */
static void
expire(enum vhost_timer t)
{
	ck_assert(monotime_isset(v.timer[t]));
	now = v.timer[t];
	timer(t);
}

static struct vhost_event
advert(uint8_t base, uint8_t skew, uint8_t demote)
{
	return ((struct vhost_event){ .type = VHOST_EV_ADVERT,
	    .advbase = base, .advskew = skew, .demote = demote });
}

static void
hear(uint8_t base, uint8_t skew, uint8_t demote)
{
	struct vhost_event	 e = advert(base, skew, demote);

	step(&e);
}

static void
hear_ours(uint32_t node, uint8_t base, uint8_t skew, uint8_t demote)
{
	struct vhost_event	 e = advert(base, skew, demote);

	e.ours = true;
	e.node = node;
	step(&e);
}

static void
gone(uint32_t node)
{
	struct vhost_event	 e = { .type = VHOST_EV_GONE, .node = node };

	step(&e);
}

static void
demote(int demotion)
{
	struct vhost_event	 e = { .type = VHOST_EV_DEMOTE,
				    .demotion = demotion };

	step(&e);
}

static void
force(enum vhost_state to)
{
	struct vhost_event	 e = { .type = VHOST_EV_FORCE, .state = to };

	step(&e);
}

static void
sent(bool ok)
{
	struct vhost_event	 e = { .type = VHOST_EV_SENT, .ok = ok };

	step(&e);
}

/* A vhid in this state, nobody heard. */
static void
enter(enum vhost_state state)
{
	monotime_t	 t = now;
	int		 demotion = v.demotion;

	vhost_init(&v, now);
	v.demotion = demotion;
	if (state != VHOST_INIT)
		simple(VHOST_EV_RUN, VHOST_CAUSE_NONE);
	if (state == VHOST_MASTER)
		force(VHOST_MASTER);
	ck_assert_int_eq(v.state, state);
	ck_assert_int_eq(t.ns, now.ns);
}

/* The actions in a row, as words. */
static const char *
acts(void)
{
	static const char *const words[] = {
		[VHOST_ACT_STATE] = "state",
		[VHOST_ACT_SLOT_ON] = "on",
		[VHOST_ACT_SLOT_DRAIN] = "drain",
		[VHOST_ACT_SLOT_OFF] = "off",
		[VHOST_ACT_ADDR_ADD] = "add",
		[VHOST_ACT_ADDR_DEL] = "del",
		[VHOST_ACT_SEND] = "send",
		[VHOST_ACT_BOWOUT] = "bowout",
		[VHOST_ACT_ANNOUNCE] = "announce",
		[VHOST_ACT_SNDERR] = "snderr",
	};
	static char		 row[256];
	size_t			 i;

	row[0] = '\0';
	for (i = 0; i < out.n; i++) {
		if (i > 0)
			(void)strlcat(row, " ", sizeof(row));
		(void)strlcat(row, words[out.a[i].type], sizeof(row));
	}
	return (row);
}

#define MASTERING	"add on send announce state"

static void
is(enum vhost_state state, enum vhost_cause cause, const char *actions)
{
	ck_assert_str_eq(vhost_state_names[v.state], vhost_state_names[state]);
	ck_assert_str_eq(vhost_cause_names[v.cause], vhost_cause_names[cause]);
	ck_assert_str_eq(acts(), actions);
}

static int64_t
left(enum vhost_timer t)
{
	ck_assert(monotime_isset(v.timer[t]));
	return (monotime_sub(v.timer[t], now));
}

static bool
off(enum vhost_timer t)
{
	return (!monotime_isset(v.timer[t]));
}

/* -- names -- */

START_TEST(names)
{
	int	 i;

	for (i = 0; i < VHOST_STATES; i++)
		ck_assert_ptr_nonnull(vhost_state_names[i]);
	for (i = 0; i < VHOST_CAUSES; i++)
		ck_assert_ptr_nonnull(vhost_cause_names[i]);
	for (i = 0; i < VHOST_EVENTS; i++)
		ck_assert_ptr_nonnull(vhost_event_names[i]);
}
END_TEST

/* -- every pair has an answer -- */

/* The default event of each type: an equal foreign advert, a stale timer. */
static const struct {
	enum vhost_event_type	 type;
	enum vhost_state	 to[VHOST_STATES];
	const char		*actions[VHOST_STATES];
} pairs[] = {
#define I VHOST_INIT
#define B VHOST_BACKUP
#define M VHOST_MASTER
	{ VHOST_EV_RUN, { B, B, M }, { "state", "", "" } },
	{ VHOST_EV_HALT, { I, I, I }, { "", "state", "off del state" } },
	{ VHOST_EV_STOP, { I, I, I }, { "", "state", "bowout drain state" } },
	{ VHOST_EV_TIMER, { I, B, M }, { "", "", "" } },
	{ VHOST_EV_ADVERT, { I, B, B }, { "", "", "drain state" } },
	{ VHOST_EV_GONE, { I, B, M }, { "", "", "" } },
	{ VHOST_EV_DEMOTE, { I, B, M }, { "", "", "send" } },
	{ VHOST_EV_FORCE, { I, M, M }, { "", MASTERING, "" } },
	{ VHOST_EV_CONF, { I, B, M }, { "", "", "send" } },
	{ VHOST_EV_SENT, { I, B, M }, { "", "", "" } },
	{ VHOST_EV_TAKEN, { I, B, B }, { "", "", "off del state" } },
#undef I
#undef B
#undef M
};

START_TEST(pair)
{
	struct vhost_event	 e;
	int			 s;

	ck_assert_uint_eq(NITEMS(pairs), VHOST_EVENTS);
	for (s = 0; s < VHOST_STATES; s++) {
		v.demotion = 0;
		enter((enum vhost_state)s);
		memset(&e, 0, sizeof(e));
		e.type = pairs[_i].type;
		e.cause = VHOST_CAUSE_SHUTDOWN;
		e.advbase = 1;
		e.node = 9;
		e.demotion = 3;
		e.ok = true;
		e.state = VHOST_MASTER;
		step(&e);
		ck_assert_msg(v.state == pairs[_i].to[s] &&
		    strcmp(acts(), pairs[_i].actions[s]) == 0,
		    "%s in %s: %s, \"%s\"", vhost_event_names[e.type],
		    vhost_state_names[s], vhost_state_names[v.state], acts());
	}
}
END_TEST

/* -- timers: spec 3.2 -- */

static const struct {
	uint8_t	 base, skew;
	int64_t	 interval, masterdown;
} timers[] = {
	{ 1, 0, SEC, 3 * SEC },
	{ 1, 1, SEC + TICK, 3 * SEC + TICK },
	{ 1, 100, SEC + 100 * TICK, 3 * SEC + 100 * TICK },
	{ 1, 254, 1992187500, 3992187500 },
	{ 20, 50, 20195312500, 60195312500 },
	{ 254, 0, 254 * SEC, 762 * SEC },
	{ 255, 254, 255 * SEC + 254 * TICK, 765 * SEC + 254 * TICK },
	{ 0, 0, TICK, 3 * TICK },
	{ 0, 1, TICK, 3 * TICK },
	{ 0, 2, 2 * TICK, 6 * TICK },
	{ 0, 254, 254 * TICK, 762 * TICK },
};

START_TEST(timer_values)
{
	c.advbase = timers[_i].base;
	c.advskew = timers[_i].skew;
	ck_assert_int_eq(vhost_interval(&c, &v), timers[_i].interval);
	ck_assert_int_eq(vhost_masterdown(&c), timers[_i].masterdown);
	ck_assert_int_eq(vhost_lease(&c, &v), 3 * timers[_i].interval >
	    100 * MSEC ? 3 * timers[_i].interval : 100 * MSEC);
	/* Demotion does not change them, unless it goes into advskew. */
	v.demotion = 200;
	ck_assert_int_eq(vhost_interval(&c, &v), timers[_i].interval);
	c.style_skew = true;
	ck_assert_int_ge(vhost_interval(&c, &v), 200 * TICK);
	ck_assert_int_eq(vhost_masterdown(&c), timers[_i].masterdown);
}
END_TEST

static const struct {
	bool	 skew;
	uint8_t	 advskew;
	int	 demotion;
	uint8_t	 want;
} skews[] = {
	{ false, 0, 0, 0 }, { false, 254, 255, 254 }, { true, 0, 0, 0 },
	{ true, 0, 50, 50 }, { true, 100, 50, 150 }, { true, 200, 40, 240 },
	{ true, 200, 41, 240 }, { true, 254, 0, 240 }, { true, 254, 255, 240 },
};

START_TEST(skew_as_sent)
{
	c.style_skew = skews[_i].skew;
	c.advskew = skews[_i].advskew;
	v.demotion = skews[_i].demotion;
	ck_assert_uint_eq(vhost_skew(&c, &v), skews[_i].want);
}
END_TEST

/* Each family has its own master-down timer; an advert re-arms its own. */
START_TEST(families)
{
	struct vhost_event	 e = advert(1, 0, 0);

	c.v6 = true;
	c.advskew = 10;
	enter(VHOST_BACKUP);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC + 10 * TICK);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC + 10 * TICK);
	pass(SEC);
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC + 10 * TICK);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 2 * SEC + 10 * TICK);
	pass(SEC);
	e.v6 = true;
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 2 * SEC + 10 * TICK);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC + 10 * TICK);
	/* Whichever expires first claims. */
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
	ck_assert(off(VHOST_TIMER_MD4) && off(VHOST_TIMER_MD6));
	c.v4 = false;
	enter(VHOST_BACKUP);
	ck_assert(off(VHOST_TIMER_MD4));
	expire(VHOST_TIMER_MD6);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
}
END_TEST

/* One of ours is heard in either family: it lives. */
START_TEST(families_of_our_own)
{
	struct vhost_event	 e = advert(1, 0, 0);

	e.ours = true;
	e.node = 9;
	c.v6 = true;
	enter(VHOST_BACKUP);
	pass(SEC);
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC);
	pass(SEC);
	e.v6 = true;
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC);
}
END_TEST

/* The adverts keep their rhythm however late the timer fires. */
START_TEST(rhythm)
{
	monotime_t	 due;

	c.advskew = 128;
	enter(VHOST_MASTER);
	due = v.timer[VHOST_TIMER_AD];
	ck_assert_int_eq(left(VHOST_TIMER_AD), SEC + 128 * TICK);
	now = monotime_add(due, 400 * MSEC);
	timer(VHOST_TIMER_AD);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	ck_assert_int_eq(left(VHOST_TIMER_AD), 1100 * MSEC);
	/* unless it was so late that the next one is due as well */
	now = monotime_add(v.timer[VHOST_TIMER_AD], 1500 * MSEC);
	timer(VHOST_TIMER_AD);
	ck_assert_int_eq(left(VHOST_TIMER_AD), 1500 * MSEC);
	/* too early, or another's: nothing */
	timer(VHOST_TIMER_AD);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	timer(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
}
END_TEST

/*
 * advbase 0: three intervals of our own may be one of the master's, and as
 * long as no master is known it may be the slowest.
 */
/*
 * With others it may speak a little early, and is together with them from
 * then on; no earlier, and a BACKUP claims at its time.
 */
START_TEST(early)
{
	monotime_t	 due;
	int64_t		 most;

	enter(VHOST_MASTER);
	most = vhost_early(&c, &v);
	ck_assert_int_gt(most, 0);
	ck_assert_int_le(most, VHOST_EARLY_MAX);
	ck_assert_int_lt(most, vhost_interval(&c, &v) / 32);
	due = v.timer[VHOST_TIMER_AD];
	now = monotime_add(due, -most - 1);
	timer(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "");
	ck_assert_int_eq(v.timer[VHOST_TIMER_AD].ns, due.ns);
	now = monotime_add(due, -most);
	timer(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send");
	ck_assert_int_eq(v.timer[VHOST_TIMER_AD].ns,
	    monotime_add(now, vhost_interval(&c, &v)).ns);
	enter(VHOST_BACKUP);
	now = monotime_add(v.timer[VHOST_TIMER_MD4], -1);
	timer(VHOST_TIMER_MD4);
	ck_assert_str_eq(acts(), "");
	/* at the fastest the grain is some microseconds */
	c.advbase = c.advskew = 0;
	ck_assert_int_lt(vhost_early(&c, &v), 100 * MONOTIME_USEC);
	c.advbase = 254;
	ck_assert_int_eq(vhost_early(&c, &v), VHOST_EARLY_MAX);
}
END_TEST

START_TEST(advbase_0)
{
	c.advbase = 0;
	enter(VHOST_BACKUP);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), SEC);
	c.preempt = false;
	hear(0, 0, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * TICK);
	hear(0, 100, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 300 * TICK);
	/* a nonsensical one is not waited for longer than the slowest */
	hear(200, 0, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	c.advskew = 200;
	hear(0, 100, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 600 * TICK);
	enter(VHOST_MASTER);
	hear(0, 100, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "drain state");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 600 * TICK);
}
END_TEST

/* -- the comparison: spec 3.3 -- */

#define STAY	VHOST_CAUSE_NONE

/* ours, as base, skew, demotion; then the advert's; then the answer. */
struct rule {
	bool			 preempt;
	uint8_t			 base, skew, demotion;
	uint8_t			 rbase, rskew, rdemote;
	enum vhost_cause	 cause;		/* STAY */
};

static const struct rule backup_rules[] = {
	/* better and no less demoted: preempt */
	{ true, 1, 0, 0, 1, 100, 0, VHOST_CAUSE_PREEMPT },
	{ true, 1, 99, 0, 1, 100, 0, VHOST_CAUSE_PREEMPT },
	{ true, 1, 100, 0, 1, 100, 0, STAY },
	{ true, 1, 101, 0, 1, 100, 0, STAY },
	{ false, 1, 0, 0, 1, 100, 0, STAY },
	/* advbase counts first */
	{ true, 1, 200, 0, 2, 0, 0, VHOST_CAUSE_PREEMPT },
	{ true, 2, 0, 0, 1, 200, 0, STAY },
	/* with demotion */
	{ true, 1, 0, 1, 1, 100, 0, STAY },
	{ true, 1, 0, 1, 1, 100, 1, VHOST_CAUSE_PREEMPT },
	{ true, 1, 0, 1, 1, 100, 2, VHOST_CAUSE_PREEMPT },
	{ true, 1, 100, 0, 1, 0, 0, STAY },
	/* the master is more demoted: even without preempt */
	{ true, 1, 100, 0, 1, 0, 1, VHOST_CAUSE_PEER_DEMOTED },
	{ false, 1, 100, 0, 1, 0, 1, VHOST_CAUSE_PEER_DEMOTED },
	{ false, 1, 100, 254, 1, 0, 255, VHOST_CAUSE_PEER_DEMOTED },
	{ false, 1, 100, 1, 1, 0, 1, STAY },
	{ false, 1, 100, 2, 1, 0, 1, STAY },
	/* too slow: (3b, s) < R */
	{ false, 1, 0, 0, 3, 0, 0, STAY },
	{ false, 1, 0, 0, 3, 1, 0, VHOST_CAUSE_PEER_SLOW },
	{ false, 1, 10, 0, 3, 10, 0, STAY },
	{ false, 1, 10, 0, 3, 11, 0, VHOST_CAUSE_PEER_SLOW },
	{ false, 1, 10, 0, 4, 0, 0, VHOST_CAUSE_PEER_SLOW },
	{ false, 1, 10, 9, 4, 0, 0, VHOST_CAUSE_PEER_SLOW },
	{ false, 85, 0, 0, 255, 254, 0, VHOST_CAUSE_PEER_SLOW },
	{ false, 86, 0, 0, 255, 254, 0, STAY },
	{ false, 0, 0, 0, 200, 0, 0, STAY },
};

START_TEST(backup_rule)
{
	const struct rule	*r = &backup_rules[_i];

	c.preempt = r->preempt;
	c.advbase = r->base;
	c.advskew = r->skew;
	enter(VHOST_BACKUP);
	demote(r->demotion);
	pass(SEC / 2);
	hear(r->rbase, r->rskew, r->rdemote);
	if (r->cause == STAY) {
		is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
		if (r->base > 0)
			ck_assert_int_eq(left(VHOST_TIMER_MD4),
			    vhost_masterdown(&c));
	} else {
		is(VHOST_MASTER, r->cause, MASTERING);
		ck_assert_uint_eq(out.a[2].advskew, r->skew);
		ck_assert_uint_eq(out.a[2].demote, r->demotion);
		ck_assert_int_eq(left(VHOST_TIMER_AD), vhost_interval(&c,
		    &v));
	}
}
END_TEST

static const struct rule master_rules[] = {
	/* R > L stays, R <= L yields; preempt is not asked */
	{ true, 1, 50, 0, 1, 51, 0, STAY },
	{ true, 1, 50, 0, 1, 50, 0, VHOST_CAUSE_EQUAL },
	{ true, 1, 50, 0, 1, 49, 0, VHOST_CAUSE_PEER_BETTER },
	{ false, 1, 50, 0, 1, 49, 0, VHOST_CAUSE_PEER_BETTER },
	{ true, 1, 200, 0, 2, 0, 0, STAY },
	{ true, 2, 0, 0, 1, 200, 0, VHOST_CAUSE_PEER_BETTER },
	/* less demoted wins, whatever the timers */
	{ true, 1, 0, 1, 1, 200, 0, VHOST_CAUSE_DEMOTED },
	{ true, 1, 0, 255, 4, 0, 254, VHOST_CAUSE_DEMOTED },
	{ true, 1, 50, 1, 1, 0, 2, STAY },
	{ true, 1, 50, 0, 1, 50, 1, STAY },
	{ true, 1, 50, 3, 1, 50, 3, VHOST_CAUSE_EQUAL },
	{ true, 1, 50, 3, 1, 0, 3, VHOST_CAUSE_PEER_BETTER },
	{ true, 1, 50, 3, 1, 51, 3, STAY },
};

START_TEST(master_rule)
{
	const struct rule	*r = &master_rules[_i];

	c.preempt = r->preempt;
	c.advbase = r->base;
	c.advskew = r->skew;
	v.demotion = r->demotion;
	now.ns += 10 * SEC;
	enter(VHOST_MASTER);
	hear(r->rbase, r->rskew, r->rdemote);
	if (r->cause == STAY) {
		is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send announce");
	} else {
		is(VHOST_BACKUP, r->cause, "drain state");
		ck_assert(off(VHOST_TIMER_AD));
		ck_assert_int_eq(left(VHOST_TIMER_MD4), vhost_masterdown(&c));
		ck_assert_int_eq(left(VHOST_TIMER_DRAIN), 50 * MSEC);
	}
}
END_TEST

/* Demotion in advskew only: the byte is neither sent nor compared. */
START_TEST(demotion_as_sent)
{
	c.style_byte = false;
	c.style_skew = true;
	c.advskew = 10;
	enter(VHOST_MASTER);
	demote(50);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	ck_assert_uint_eq(out.a[0].advskew, 60);
	ck_assert_uint_eq(out.a[0].demote, 0);
	hear(1, 61, 0);
	ck_assert_int_eq(v.state, VHOST_MASTER);
	hear(1, 59, 0);
	ck_assert_int_eq(v.cause, VHOST_CAUSE_PEER_BETTER);
	hear(1, 61, 0);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, "off del " MASTERING);
	c.style_byte = true;
	enter(VHOST_MASTER);
	demote(51);
	ck_assert_uint_eq(out.a[0].advskew, 61);
	ck_assert_uint_eq(out.a[0].demote, 51);
}
END_TEST

/* -- equality -- */

START_TEST(equality)
{
	struct vhost_event	 e = advert(1, 0, 0);

	/* of ours, the lower id (we are 5) stays */
	enter(VHOST_MASTER);
	hear_ours(6, 1, 0, 0);
	ck_assert_int_eq(v.state, VHOST_MASTER);
	e.random = 0xffff;
	e.ours = true;
	e.node = 4;
	step(&e);
	is(VHOST_BACKUP, VHOST_CAUSE_EQUAL, "drain state");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	/* to others we yield, and wait a part of an interval longer */
	enter(VHOST_MASTER);
	e = advert(1, 0, 0);
	e.node = 6;		/* not verified: means nothing */
	e.random = 0x12348000;
	step(&e);
	is(VHOST_BACKUP, VHOST_CAUSE_EQUAL, "drain state");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC +
	    SEC / 65536 * 0x8000);
}
END_TEST

/* Its part is kept, whichever family and however many adverts come. */
START_TEST(jitter)
{
	struct vhost_event	 e = advert(1, 0, 0);
	int64_t			 part = SEC / 65536 * 0x4000;

	c.v6 = true;
	enter(VHOST_MASTER);
	e.random = 0x4000;
	step(&e);
	e.random = 7;
	e.v6 = true;
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC + part);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC + part);
	pass(SEC);
	step(&e);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC + part);
	/* equals would all preempt at the same advert */
	e = advert(1, 100, 0);
	step(&e);
	is(VHOST_BACKUP, VHOST_CAUSE_EQUAL, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), part);
	pass(part / 2);
	step(&e);		/* and it does not begin again */
	ck_assert_int_eq(left(VHOST_TIMER_MD4), part - part / 2);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
	/* a goodbye is answered at once */
	e = advert(1, 0, 0);
	e.random = 0x4000;
	step(&e);
	hear(255, 255, 0);
	ck_assert_int_eq(v.cause, VHOST_CAUSE_BOWOUT);
	/* over with the next MASTER */
	enter(VHOST_MASTER);
	step(&e);
	expire(VHOST_TIMER_MD4);
	hear(1, 0, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
}
END_TEST

/* Another one of ours claims late: the better master has been heard. */
START_TEST(another_master)
{
	c.advskew = 50;
	enter(VHOST_BACKUP);
	hear_ours(1, 1, 0, 0);
	pass(SEC);
	hear_ours(2, 1, 100, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 2 * SEC + 50 * TICK);
	hear_ours(2, 255, 255, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	/* a foreign one cannot be told from the master itself */
	hear(1, 100, 0);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
	/* the master itself is demoted */
	enter(VHOST_BACKUP);
	hear_ours(1, 1, 0, 0);
	hear_ours(1, 1, 0, 1);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_DEMOTED, MASTERING);
	/* a better one is followed */
	enter(VHOST_BACKUP);
	hear_ours(1, 1, 20, 0);
	hear_ours(2, 1, 10, 0);
	hear_ours(1, 255, 255, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	hear_ours(2, 255, 255, 0);
	is(VHOST_MASTER, VHOST_CAUSE_BOWOUT, MASTERING);
}
END_TEST

/* -- goodbyes -- */

START_TEST(bowout)
{
	static const struct {
		enum vhost_cause	 said, want;
	} causes[] = {
		{ VHOST_CAUSE_NONE, VHOST_CAUSE_BOWOUT },
		{ VHOST_CAUSE_BOWOUT, VHOST_CAUSE_BOWOUT },
		{ VHOST_CAUSE_ENGINE_DIED, VHOST_CAUSE_ENGINE_DIED },
		{ VHOST_CAUSE_PARENT_DIED, VHOST_CAUSE_PARENT_DIED },
	};
	struct vhost_event	 e = advert(255, 255, 0);
	size_t			 i;

	for (i = 0; i < NITEMS(causes); i++) {
		/* with any advbase, demoted and without preempt */
		c.advbase = (uint8_t)(i * 80);
		c.preempt = false;
		v.demotion = 9;
		enter(VHOST_BACKUP);
		hear(c.advbase, 0, 9);
		e.bowout = causes[i].said;
		step(&e);
		is(VHOST_MASTER, causes[i].want, MASTERING);
		/* those that come after we have claimed: ours is the last */
		step(&e);
		is(VHOST_MASTER, causes[i].want, "send announce");
		step(&e);
		is(VHOST_MASTER, causes[i].want, "");
	}
}
END_TEST

START_TEST(peer_gone)
{
	enter(VHOST_BACKUP);
	gone(7);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	hear_ours(8, 1, 0, 0);
	gone(7);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	gone(8);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_GONE, MASTERING);
	gone(8);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_GONE, "");
	/* whom we yielded to was heard by that */
	c.advskew = 9;
	hear_ours(8, 1, 0, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "drain state");
	gone(8);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_GONE, MASTERING);
	/* nobody's */
	enter(VHOST_BACKUP);
	hear(1, 0, 0);
	gone(0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
}
END_TEST

/* -- coming and going -- */

START_TEST(startup)
{
	simple(VHOST_EV_RUN, VHOST_CAUSE_NONE);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "state");
	ck_assert_int_eq(v.since.ns, now.ns);
	enter(VHOST_INIT);
	simple(VHOST_EV_RUN, VHOST_CAUSE_LINK);
	is(VHOST_BACKUP, VHOST_CAUSE_LINK, "state");
	ck_assert_int_eq(out.a[0].from, VHOST_INIT);
	ck_assert_int_eq(out.a[0].to, VHOST_BACKUP);
	ck_assert_int_eq(out.a[0].cause, VHOST_CAUSE_LINK);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
	ck_assert_uint_eq(v.transitions, 1);
}
END_TEST

START_TEST(stop_and_halt)
{
	enter(VHOST_MASTER);
	demote(17);
	simple(VHOST_EV_STOP, VHOST_CAUSE_SHUTDOWN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "bowout drain state");
	ck_assert_uint_eq(out.a[0].demote, 17);
	ck_assert_int_eq(left(VHOST_TIMER_DRAIN), 50 * MSEC);
	pass(50 * MSEC - 1);
	timer(VHOST_TIMER_DRAIN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "");
	pass(1);
	timer(VHOST_TIMER_DRAIN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "off del");
	timer(VHOST_TIMER_DRAIN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "");
	/* the link goes while it drains */
	enter(VHOST_MASTER);
	simple(VHOST_EV_STOP, VHOST_CAUSE_OPERATOR);
	simple(VHOST_EV_HALT, VHOST_CAUSE_LINK);
	is(VHOST_INIT, VHOST_CAUSE_OPERATOR, "off del");
	/* it comes back while it drains, and claims before it has */
	enter(VHOST_MASTER);
	simple(VHOST_EV_STOP, VHOST_CAUSE_OPERATOR);
	simple(VHOST_EV_RUN, VHOST_CAUSE_NONE);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "state");
	force(VHOST_MASTER);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, MASTERING);
	ck_assert(off(VHOST_TIMER_DRAIN));
	simple(VHOST_EV_HALT, VHOST_CAUSE_LINK);
	is(VHOST_INIT, VHOST_CAUSE_LINK, "off del state");
}
END_TEST

/* The slot closes at the successor's next word, at 50 ms, or for the worst. */
START_TEST(drain)
{
	c.advskew = 50;
	enter(VHOST_MASTER);
	hear(1, 0, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "drain state");
	pass(10 * MSEC);
	hear(1, 0, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "off del");
	hear(1, 0, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "");
	enter(VHOST_MASTER);
	hear(1, 0, 0);
	pass(50 * MSEC);
	timer(VHOST_TIMER_DRAIN);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "off del");
	enter(VHOST_MASTER);
	hear(1, 0, 0);
	simple(VHOST_EV_HALT, VHOST_CAUSE_LINK);
	is(VHOST_INIT, VHOST_CAUSE_LINK, "off del state");
	enter(VHOST_MASTER);
	hear(1, 0, 0);
	simple(VHOST_EV_STOP, VHOST_CAUSE_SHUTDOWN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "state");
	expire(VHOST_TIMER_DRAIN);
	is(VHOST_INIT, VHOST_CAUSE_SHUTDOWN, "off del");
	/* the successor leaves at once: it opens again */
	enter(VHOST_MASTER);
	hear(1, 0, 0);
	hear(255, 255, 0);
	is(VHOST_MASTER, VHOST_CAUSE_BOWOUT, MASTERING);
	ck_assert(off(VHOST_TIMER_DRAIN));
}
END_TEST

/* Once more with the third advertisement. */
START_TEST(announcement)
{
	enter(VHOST_MASTER);
	ck_assert_str_eq(acts(), MASTERING);
	expire(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send");
	expire(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send announce");
	expire(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send");
	/* counted anew in each tenure */
	enter(VHOST_MASTER);
	expire(VHOST_TIMER_AD);
	hear(0, 0, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_PEER_BETTER, "drain state");
	force(VHOST_MASTER);
	expire(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send");
	expire(VHOST_TIMER_AD);
	ck_assert_str_eq(acts(), "send announce");
}
END_TEST

/* A worse master is told who is MASTER, at most once an interval. */
START_TEST(insisting)
{
	pass(10 * SEC);
	enter(VHOST_BACKUP);
	pass(10 * SEC);
	force(VHOST_MASTER);
	now.ns += 1;
	hear(1, 9, 0);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send announce");
	pass(SEC - 1);
	hear(1, 9, 0);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	pass(1);
	hear(1, 0, 1);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send announce");
	pass(SEC);
	hear_ours(6, 1, 0, 0);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send announce");
}
END_TEST

/* -- sleeping -- */

START_TEST(late_master)
{
	c.advskew = 64;
	enter(VHOST_MASTER);
	/* late by exactly the lease: still MASTER */
	now = monotime_add(v.timer[VHOST_TIMER_AD], vhost_lease(&c, &v));
	timer(VHOST_TIMER_AD);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	now = monotime_add(v.timer[VHOST_TIMER_AD], vhost_lease(&c, &v) + 1);
	timer(VHOST_TIMER_AD);
	is(VHOST_BACKUP, VHOST_CAUSE_LATE, "off del state");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC + 64 * TICK);
	/* it must not claim before it has listened, whatever it hears */
	pass(SEC);
	hear(1, 200, 9);
	is(VHOST_BACKUP, VHOST_CAUSE_LATE, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 2 * SEC + 64 * TICK);
	hear(1, 0, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC + 64 * TICK);
	pass(3 * SEC);
	hear(1, 200, 0);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
}
END_TEST

/* The first event after the sleep may be any. */
START_TEST(late_by_any_event)
{
	static const struct {
		enum vhost_event_type	 type;
		enum vhost_state	 to;
		const char		*actions;
	} events[] = {
		{ VHOST_EV_RUN, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_HALT, VHOST_INIT, "off del state state" },
		{ VHOST_EV_STOP, VHOST_INIT, "off del state state" },
		{ VHOST_EV_ADVERT, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_GONE, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_DEMOTE, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_CONF, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_SENT, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_TAKEN, VHOST_BACKUP, "off del state" },
		{ VHOST_EV_FORCE, VHOST_MASTER, "off del state " MASTERING },
	};
	struct vhost_event	 e;
	size_t			 i;

	for (i = 0; i < NITEMS(events); i++) {
		enter(VHOST_MASTER);
		pass(10 * SEC);
		memset(&e, 0, sizeof(e));
		e.type = events[i].type;
		e.cause = VHOST_CAUSE_SHUTDOWN;
		e.advbase = 9;
		e.state = VHOST_MASTER;
		step(&e);
		ck_assert_str_eq(acts(), events[i].actions);
		ck_assert_int_eq(v.state, events[i].to);
	}
}
END_TEST

/* Slow timers of advbase 0 are no sleep: the lease has a floor of 100 ms. */
START_TEST(late_floor)
{
	c.advbase = 0;
	enter(VHOST_MASTER);
	pass(TICK + 100 * MSEC);
	timer(VHOST_TIMER_AD);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	pass(TICK + 100 * MSEC + 1);
	timer(VHOST_TIMER_AD);
	is(VHOST_BACKUP, VHOST_CAUSE_LATE, "off del state");
}
END_TEST

START_TEST(late_backup)
{
	enter(VHOST_BACKUP);
	now = monotime_add(v.timer[VHOST_TIMER_MD4], SEC);
	timer(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
	/* a nanosecond more: what was said is still in the socket */
	enter(VHOST_BACKUP);
	now = monotime_add(v.timer[VHOST_TIMER_MD4], SEC + 1);
	timer(VHOST_TIMER_MD4);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), SEC);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
	/* goodbyes of long ago as well, and the other family */
	c.v6 = true;
	enter(VHOST_BACKUP);
	pass(10 * SEC);
	hear(255, 255, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), SEC);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), SEC);
	/* a living master was in there too */
	hear(1, 0, 0);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	ck_assert_int_eq(left(VHOST_TIMER_MD6), 3 * SEC);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
	/* or not */
	enter(VHOST_BACKUP);
	pass(10 * SEC);
	hear(255, 255, 0);
	expire(VHOST_TIMER_MD6);
	is(VHOST_MASTER, VHOST_CAUSE_BOWOUT, MASTERING);
	/* lateness that any scheduler has */
	c.advbase = 0;
	enter(VHOST_BACKUP);
	now = monotime_add(v.timer[VHOST_TIMER_MD4], 100 * MSEC);
	timer(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_MASTER_DOWN, MASTERING);
}
END_TEST

START_TEST(taken)
{
	enter(VHOST_MASTER);
	pass(2 * SEC);
	simple(VHOST_EV_TAKEN, VHOST_CAUSE_NONE);
	is(VHOST_BACKUP, VHOST_CAUSE_TAKEN, "off del state");
	pass(SEC);
	hear(1, 50, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_TAKEN, "");
	/* it left again: as soon as we may, and for that reason */
	hear(255, 255, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_TAKEN, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 2 * SEC);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_BOWOUT, MASTERING);
}
END_TEST

/* -- orders, and what is counted -- */

START_TEST(forced)
{
	enter(VHOST_BACKUP);
	pass(SEC);
	force(VHOST_BACKUP);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 3 * SEC);
	force(VHOST_INIT);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	force(VHOST_MASTER);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, MASTERING);
	force(VHOST_MASTER);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	force(VHOST_INIT);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	force(VHOST_BACKUP);
	is(VHOST_BACKUP, VHOST_CAUSE_OPERATOR, "bowout drain state");
	enter(VHOST_INIT);
	force(VHOST_MASTER);
	is(VHOST_INIT, VHOST_CAUSE_NONE, "");
}
END_TEST

/* At once, and then in the new rhythm; nothing when nothing changes. */
START_TEST(demoted_and_configured)
{
	enter(VHOST_MASTER);
	pass(SEC / 2);
	demote(3);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	ck_assert_uint_eq(out.a[0].demote, 3);
	ck_assert_int_eq(left(VHOST_TIMER_AD), SEC);
	demote(3);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	pass(SEC / 2);
	c.advbase = 2;
	c.advskew = 7;
	simple(VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "send");
	ck_assert_uint_eq(out.a[0].advskew, 7);
	ck_assert_int_eq(left(VHOST_TIMER_AD), 2 * SEC + 7 * TICK);
	enter(VHOST_BACKUP);
	c.advbase = 5;
	simple(VHOST_EV_CONF, VHOST_CAUSE_CONFIG);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), 15 * SEC + 7 * TICK);
}
END_TEST

/*
 * A BACKUP whose demotion changes judges what its master said last: ours as
 * preempt, advskew, demotion before; the advert and its age; then demotion
 * after, and the answer.
 */
static const struct {
	bool			 preempt;
	uint8_t			 skew, before;
	uint8_t			 rbase, rskew, rdemote;
	int64_t			 age;
	int			 after;
	enum vhost_cause	 want;
} words[] = {
	{ true, 0, 128, 1, 100, 0, 0, 0, VHOST_CAUSE_PREEMPT },
	{ true, 0, 128, 1, 100, 5, SEC, 5, VHOST_CAUSE_PREEMPT },
	{ true, 0, 128, 1, 100, 5, SEC, 6, VHOST_CAUSE_NONE },
	/* as old as its interval, and older */
	{ true, 0, 128, 1, 100, 0, SEC + 100 * TICK, 0, VHOST_CAUSE_PREEMPT },
	{ true, 0, 128, 1, 100, 0, SEC + 100 * TICK + 1, 0, VHOST_CAUSE_NONE },
	{ true, 0, 128, 0, 1, 0, TICK, 0, VHOST_CAUSE_NONE },	/* worse */
	{ false, 100, 9, 0, 0, 9, TICK, 8, VHOST_CAUSE_PEER_DEMOTED },
	{ false, 100, 9, 0, 0, 9, TICK + 1, 8, VHOST_CAUSE_NONE },
	/* without preempt only a more demoted master gives way */
	{ false, 0, 128, 1, 100, 0, 0, 0, VHOST_CAUSE_NONE },
	{ false, 0, 128, 1, 100, 5, 0, 5, VHOST_CAUSE_NONE },
	{ false, 0, 128, 1, 100, 5, 0, 4, VHOST_CAUSE_PEER_DEMOTED },
	{ false, 100, 128, 1, 0, 5, 0, 4, VHOST_CAUSE_PEER_DEMOTED },
	/* equal, worse, or more demoted */
	{ true, 100, 128, 1, 100, 0, 0, 0, VHOST_CAUSE_NONE },
	{ true, 101, 128, 1, 100, 0, 0, 0, VHOST_CAUSE_NONE },
	{ true, 0, 0, 1, 0, 0, 0, 9, VHOST_CAUSE_NONE },
};

START_TEST(judged_again)
{
	c.preempt = words[_i].preempt;
	c.advskew = words[_i].skew;
	v.demotion = words[_i].before;
	enter(VHOST_BACKUP);
	hear_ours(7, words[_i].rbase, words[_i].rskew, words[_i].rdemote);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	now = monotime_add(now, words[_i].age);
	demote(words[_i].after);
	ck_assert_int_eq(v.demotion, words[_i].after);
	if (words[_i].want != VHOST_CAUSE_NONE) {
		is(VHOST_MASTER, words[_i].want, MASTERING);
		ck_assert_uint_eq(out.a[2].demote, words[_i].after);
		return;
	}
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	/* it was not heard anew */
	ck_assert_int_eq(left(VHOST_TIMER_MD4), (words[_i].rbase == 0 ?
	    3 * SEC + words[_i].skew * TICK : vhost_masterdown(&c)) -
	    words[_i].age);
	gone(7);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_GONE, MASTERING);
}
END_TEST

/* Whose word it is: that of the master that we follow, and of nobody else. */
START_TEST(whose_word)
{
	struct vhost_event	 e = advert(1, 100, 0);

	c.advskew = 50;
	v.demotion = 9;
	/* nobody was heard, or only before it was stopped */
	enter(VHOST_BACKUP);
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	demote(9);
	hear(1, 100, 0);
	simple(VHOST_EV_HALT, VHOST_CAUSE_LINK);
	simple(VHOST_EV_RUN, VHOST_CAUSE_LINK);
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_LINK, "");
	/* while MASTER, of one that gave way */
	v.demotion = 0;
	enter(VHOST_MASTER);
	hear(1, 100, 0);
	force(VHOST_BACKUP);
	demote(9);
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_OPERATOR, "");
	/* of the one to whom we yielded */
	enter(VHOST_MASTER);
	demote(9);
	hear(1, 100, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_DEMOTED, "drain state");
	demote(0);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
	/* not of another one of ours, which is worse and thinks otherwise */
	v.demotion = 9;
	enter(VHOST_BACKUP);
	hear_ours(1, 1, 40, 0);
	hear_ours(2, 1, 100, 10);
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	/* the last of two, over either family */
	c.v6 = true;
	v.demotion = 9;
	enter(VHOST_BACKUP);
	hear(1, 40, 0);
	e.v6 = true;
	step(&e);
	demote(0);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
}
END_TEST

/* The master has left, and we may not claim yet: that stays so. */
START_TEST(word_of_who_left)
{
	monotime_t	 at;

	c.advskew = 50;
	v.demotion = 9;
	enter(VHOST_BACKUP);
	v.hold = monotime_add(now, SEC);
	at = v.hold;
	hear_ours(1, 1, 0, 0);
	pass(SEC / 10);
	hear_ours(1, 255, 255, 0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(v.timer[VHOST_TIMER_MD4].ns, at.ns);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_BOWOUT, MASTERING);
}
END_TEST

/* It claims no sooner than at an advertisement: on hold, with jitter. */
START_TEST(judged_on_hold)
{
	struct vhost_event	 e = advert(1, 0, 0);
	int64_t			 part = SEC / 65536 * 0x4000;

	v.demotion = 9;
	enter(VHOST_BACKUP);
	v.hold = monotime_add(now, SEC);
	hear(1, 100, 0);
	pass(SEC / 10);
	demote(0);
	is(VHOST_BACKUP, VHOST_CAUSE_STARTUP, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), SEC - SEC / 10);
	/* told twice it does not begin again */
	hear(1, 100, 0);
	demote(1);
	ck_assert_int_eq(left(VHOST_TIMER_MD4), SEC - SEC / 10);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_PREEMPT, MASTERING);
	/* we yielded to an equal one: then we wait our part of an interval */
	c.advskew = 0;
	v.demotion = 0;
	enter(VHOST_MASTER);
	e.random = 0x4000;
	step(&e);
	is(VHOST_BACKUP, VHOST_CAUSE_EQUAL, "drain state");
	demote(9);
	hear(1, 0, 8);
	demote(7);
	is(VHOST_BACKUP, VHOST_CAUSE_EQUAL, "");
	ck_assert_int_eq(left(VHOST_TIMER_MD4), part);
	expire(VHOST_TIMER_MD4);
	is(VHOST_MASTER, VHOST_CAUSE_PEER_DEMOTED, MASTERING);
}
END_TEST

START_TEST(send_errors)
{
	enter(VHOST_MASTER);
	sent(false);
	sent(false);
	sent(true);
	sent(false);
	sent(false);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	sent(false);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "snderr");
	ck_assert_uint_eq(out.a[0].demote, 1);
	sent(true);
	sent(true);
	sent(false);	/* three in a row */
	sent(true);
	sent(true);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
	sent(true);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "snderr");
	ck_assert_uint_eq(out.a[0].demote, 0);
	sent(true);
	is(VHOST_MASTER, VHOST_CAUSE_OPERATOR, "");
}
END_TEST

/* The cable was out before we heard of it: that is the demotion, not this. */
START_TEST(send_errors_of_a_lost_link)
{
	int	 i;

	enter(VHOST_MASTER);
	for (i = 0; i < VHOST_SNDERR_MAX; i++)
		sent(false);
	simple(VHOST_EV_HALT, VHOST_CAUSE_LINK);
	is(VHOST_INIT, VHOST_CAUSE_LINK, "off del state snderr");
	ck_assert_uint_eq(out.a[out.n - 1].demote, 0);
	simple(VHOST_EV_RUN, VHOST_CAUSE_LINK);
	is(VHOST_BACKUP, VHOST_CAUSE_LINK, "state");
}
END_TEST

/* -- invariants -- */

static const struct {
	enum vhost_state	 state;
	int			 timer;		/* touched; -1: none */
	bool			 set;
	int			 demotion;
} broken[] = {
	{ VHOST_INIT, VHOST_TIMER_AD, true, 0 },
	{ VHOST_INIT, VHOST_TIMER_MD4, true, 0 },
	{ VHOST_INIT, VHOST_TIMER_MD6, true, 0 },
	{ VHOST_BACKUP, VHOST_TIMER_AD, true, 0 },
	{ VHOST_BACKUP, VHOST_TIMER_MD4, false, 0 },
	{ VHOST_BACKUP, VHOST_TIMER_MD6, true, 0 },
	{ VHOST_MASTER, VHOST_TIMER_AD, false, 0 },
	{ VHOST_MASTER, VHOST_TIMER_AD, true, 0 },
	{ VHOST_MASTER, VHOST_TIMER_MD4, true, 0 },
	{ VHOST_MASTER, VHOST_TIMER_DRAIN, true, 0 },
	{ VHOST_BACKUP, VHOST_TIMER_DRAIN, true, 0 },
	{ VHOST_INIT, -1, false, -1 },
	{ VHOST_BACKUP, -1, false, 256 },
};

START_TEST(invariant)
{
	enter(broken[_i].state);
	ck_assert_ptr_null(vhost_check(&c, &v, now));
	v.demotion = broken[_i].demotion;
	if (broken[_i].timer != -1)
		v.timer[broken[_i].timer] = broken[_i].set ?
		    monotime_add(now, 5 * SEC) : MONOTIME_NEVER;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
}
END_TEST

START_TEST(followed)
{
	enter(VHOST_BACKUP);
	v.heard_node = 1;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	enter(VHOST_INIT);
	v.pending = VHOST_CAUSE_BOWOUT;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	enter(VHOST_BACKUP);
	hear(1, 0, 0);
	v.pending = VHOST_CAUSE_BOWOUT;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	v.pending = VHOST_CAUSE_NONE;
	v.word_at = monotime_add(now, 1);
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	v.word_at = now;
	ck_assert_ptr_null(vhost_check(&c, &v, now));
	v.word.advbase = v.word.advskew = 255;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	enter(VHOST_MASTER);
	v.pending = VHOST_CAUSE_BOWOUT;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
	enter(VHOST_BACKUP);
	v.state = VHOST_STATES;
	ck_assert_ptr_nonnull(vhost_check(&c, &v, now));
}
END_TEST

static uint32_t
next(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + 1442695040888963407;
	return ((uint32_t)(*x >> 33));
}

/* Anything in any order; step() looks at the invariants. */
START_TEST(random_walk)
{
	uint64_t		 x = (uint64_t)_i + 1;
	struct vhost_event	 e;
	int			 n;

	c.v6 = _i & 1;
	c.v4 = !c.v6 || _i & 2;
	c.advbase = (uint8_t)(_i % 3);
	c.style_skew = _i & 8;
	for (n = 0; n < WALK; n++) {
		memset(&e, 0, sizeof(e));
		e.type = (enum vhost_event_type)(next(&x) % VHOST_EVENTS);
		e.cause = (enum vhost_cause)(1 + next(&x) %
		    (VHOST_CAUSES - 1));
		e.timer = (enum vhost_timer)(next(&x) % VHOST_TIMERS);
		e.v6 = c.v6 && (!c.v4 || next(&x) % 2 != 0);
		e.ours = next(&x) % 2 != 0;
		e.advbase = next(&x) % 8 == 0 ? 255 : (uint8_t)(next(&x) % 3);
		e.advskew = e.advbase == 255 ? 255 : (uint8_t)next(&x);
		e.demote = next(&x) % 4 == 0 ? (uint8_t)next(&x) : 0;
		e.bowout = VHOST_CAUSE_BOWOUT;
		e.node = next(&x) % 10;
		e.random = next(&x);
		e.demotion = (int)(next(&x) % 256) * (next(&x) % 4 == 0);
		e.state = (enum vhost_state)(next(&x) % VHOST_STATES);
		e.ok = next(&x) % 2 != 0;
		pass((int64_t)(next(&x) % (next(&x) % 16 == 0 ? 6000 : 60)) *
		    MSEC);
		if (e.type == VHOST_EV_TIMER && next(&x) % 2 != 0 &&
		    monotime_isset(v.timer[e.timer]) &&
		    monotime_cmp(now, v.timer[e.timer]) < 0)
			now = v.timer[e.timer];
		step(&e);
		ck_assert(v.state == VHOST_INIT ||
		    v.cause != VHOST_CAUSE_NONE);
	}
	ck_assert_uint_gt(v.transitions, WALK / 1000);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("vhost");
	TCase	*tc = tcase_create("vhost");
	SRunner	*sr;
	int	 failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, names);
	tcase_add_loop_test(tc, pair, 0, VHOST_EVENTS);
	tcase_add_loop_test(tc, timer_values, 0, (int)NITEMS(timers));
	tcase_add_loop_test(tc, skew_as_sent, 0, (int)NITEMS(skews));
	tcase_add_test(tc, families);
	tcase_add_test(tc, families_of_our_own);
	tcase_add_test(tc, rhythm);
	tcase_add_test(tc, early);
	tcase_add_test(tc, advbase_0);
	tcase_add_loop_test(tc, backup_rule, 0, (int)NITEMS(backup_rules));
	tcase_add_loop_test(tc, master_rule, 0, (int)NITEMS(master_rules));
	tcase_add_test(tc, demotion_as_sent);
	tcase_add_test(tc, equality);
	tcase_add_test(tc, jitter);
	tcase_add_test(tc, another_master);
	tcase_add_test(tc, bowout);
	tcase_add_test(tc, peer_gone);
	tcase_add_test(tc, startup);
	tcase_add_test(tc, stop_and_halt);
	tcase_add_test(tc, drain);
	tcase_add_test(tc, announcement);
	tcase_add_test(tc, insisting);
	tcase_add_test(tc, late_master);
	tcase_add_test(tc, late_by_any_event);
	tcase_add_test(tc, late_floor);
	tcase_add_test(tc, late_backup);
	tcase_add_test(tc, taken);
	tcase_add_test(tc, forced);
	tcase_add_test(tc, demoted_and_configured);
	tcase_add_loop_test(tc, judged_again, 0, (int)NITEMS(words));
	tcase_add_test(tc, whose_word);
	tcase_add_test(tc, word_of_who_left);
	tcase_add_test(tc, judged_on_hold);
	tcase_add_test(tc, send_errors);
	tcase_add_test(tc, send_errors_of_a_lost_link);
	tcase_add_loop_test(tc, invariant, 0, (int)NITEMS(broken));
	tcase_add_test(tc, followed);
	tcase_add_loop_test(tc, random_walk, 0, 16);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
