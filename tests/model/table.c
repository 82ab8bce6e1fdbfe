/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Prints the transition table of the election core as Promela, for
 * election.pml: it puts the machine into every abstract state, lets every
 * class of event happen to it and writes down what vhost_step() does.
 *
 * A cell of the table is one value for each guard (struct dim).  It stands for
 * many concrete cases, and several of them are tried: IPv4, IPv6 and both;
 * demotion in the byte and in advskew; advbase 1 and 0; values in the middle
 * and at the border of what the guard says.  When they do not all do the same,
 * the guards do not say what the machine depends on: that is an error, and the
 * table is no good.  Cells that differ in guards that do not matter become one
 * row.
 *
 *	table >table.pml
 */
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/vhost.h"

#define TEXT	512
#define VALUES	5
#define WIDTH	79
#define ROWS	65536
#define KEPT	INT64_C(12345)		/* a timer that stays as it is */
#define JITTER	INT64_C(98765)
#define HOLD	INT64_C(54321)
#define OURSELF	50U
#define DEMOTION 10
#define SKEW	100

enum { G_STATE, G_BOWOUT, G_DEMOTE, G_RANK, G_WHO, G_FOLLOWS, G_PREEMPT,
    G_HELD, G_JITTER, G_DRAINS, G_TOLD, G_FRESH, G_DUE, G_TO,
    G_CHANGED, G_DELAYED, G_OK, G_ERRS, G_OKS, G_SNDERR, GUARDS };

enum { LESS, SAME, MORE };
enum { BETTER, EQUAL, WORSE, SLOW };
enum { LOWER, HIGHER, FOREIGN };
enum { NOBODY, SENDER, ANOTHER, STRANGER, PENDING };

/* A guard, its values in the model, and how many. */
static const struct dim {
	const char	*name;
	const char	*value[VALUES];
	int		 n;
} dims[GUARDS] = {
	[G_STATE] = { "g_state", { "INIT", "BACKUP", "MASTER" }, 3 },
	[G_BOWOUT] = { "g_bowout", { "0", "1" }, 2 },
	[G_DEMOTE] = { "g_demote", { "LESS", "SAME", "MORE" }, 3 },
	[G_RANK] = { "g_rank", { "BETTER", "EQUAL", "WORSE", "SLOW" }, 4 },
	[G_WHO] = { "g_who", { "LOWER", "HIGHER", "FOREIGN" }, 3 },
	[G_FOLLOWS] = { "g_follows", { "NOBODY", "SENDER", "ANOTHER",
	    "STRANGER", "PENDING" }, 5 },
	[G_PREEMPT] = { "g_preempt", { "0", "1" }, 2 },
	[G_HELD] = { "g_held", { "0", "1" }, 2 },
	[G_JITTER] = { "g_jitter", { "0", "1" }, 2 },
	[G_DRAINS] = { "g_drains", { "0", "1" }, 2 },
	[G_TOLD] = { "g_told", { "0", "1" }, 2 },
	[G_FRESH] = { "g_fresh", { "0", "1" }, 2 },
	[G_DUE] = { "g_due", { "0", "1" }, 2 },
	[G_TO] = { "g_to", { "INIT", "BACKUP", "MASTER" }, 3 },
	[G_CHANGED] = { "g_changed", { "0", "1" }, 2 },
	[G_DELAYED] = { "g_delayed", { "0", "1", "2" }, 3 },
	[G_OK] = { "g_ok", { "0", "1" }, 2 },
	[G_ERRS] = { "g_errs", { "0", "1", "2" }, 3 },
	[G_OKS] = { "g_oks", { "0", "1", "2" }, 3 },
	[G_SNDERR] = { "g_snderr", { "0", "1" }, 2 },
};

/* A class of events and the guards that may matter to it, most telling first */
struct class {
	const char	*name;
	enum vhost_event_type type;
	enum vhost_timer timer;
	bool		 late;
	int		 guard[GUARDS + 1];	/* ends with -1 */
};

static const struct class classes[] = {
	{ "run", VHOST_EV_RUN, 0, false, { G_STATE, G_DRAINS, -1 } },
	{ "halt", VHOST_EV_HALT, 0, false,
	    { G_STATE, G_DRAINS, G_HELD, G_FOLLOWS, -1 } },
	{ "stop", VHOST_EV_STOP, 0, false,
	    { G_STATE, G_DRAINS, G_HELD, G_FOLLOWS, -1 } },
	{ "ad_timer", VHOST_EV_TIMER, VHOST_TIMER_AD, false,
	    { G_STATE, G_DUE, G_DELAYED, -1 } },
	{ "md_timer", VHOST_EV_TIMER, VHOST_TIMER_MD4, false,
	    { G_STATE, G_DUE, G_HELD, G_FOLLOWS, G_JITTER, -1 } },
	{ "drain_timer", VHOST_EV_TIMER, VHOST_TIMER_DRAIN, false,
	    { G_STATE, G_DRAINS, G_DUE, -1 } },
	{ "advert", VHOST_EV_ADVERT, 0, false,
	    { G_STATE, G_BOWOUT, G_DEMOTE, G_RANK, G_PREEMPT, G_WHO,
	    G_FOLLOWS, G_HELD, G_JITTER, G_TOLD, -1 } },
	/* the same while the slot drains: what becomes of that */
	{ "advert_draining", VHOST_EV_ADVERT, 0, false,
	    { G_STATE, G_DRAINS, G_BOWOUT, G_DEMOTE, -1 } },
	{ "gone", VHOST_EV_GONE, 0, false,
	    { G_STATE, G_FOLLOWS, G_HELD, -1 } },
	{ "demote", VHOST_EV_DEMOTE, 0, false,
	    { G_STATE, G_CHANGED, G_FOLLOWS, G_FRESH, G_DEMOTE, G_RANK,
	    G_PREEMPT, G_HELD, G_JITTER, -1 } },
	{ "force", VHOST_EV_FORCE, 0, false,
	    { G_STATE, G_TO, G_FOLLOWS, G_HELD, -1 } },
	{ "conf", VHOST_EV_CONF, 0, false,
	    { G_STATE, G_FOLLOWS, G_HELD, -1 } },
	{ "sent", VHOST_EV_SENT, 0, false,
	    { G_STATE, G_OK, G_ERRS, G_SNDERR, G_OKS, -1 } },
	{ "taken", VHOST_EV_TAKEN, 0, false, { G_STATE, -1 } },
	/* an event that does nothing itself, after too long a sleep */
	{ "late", VHOST_EV_SENT, 0, true,
	    { G_STATE, G_FOLLOWS, G_HELD, -1 } },
};

/* How a cell is made concrete. */
enum { BYTE, INSKEW, BASE0, STYLES };
struct how {
	int	 style;
	bool	 v4, v6;
	bool	 far;		/* the other end of what a guard says */
};

/* One try: before, what happens, after. */
struct try {
	struct how		 how;
	const int		*g;
	const struct class	*k;
	struct vhost_conf	 c;
	struct vhost		 before, v;
	struct vhost_event	 e;
	struct vhost_actions	 out;
	monotime_t		 now;
	int			 md;	/* the family's timer */
};

static struct {
	char	*guard, *result;
} rows[ROWS];
static size_t	 nrows;
static int	 broken;

static monotime_t
after(monotime_t t, int64_t ns)
{
	return (monotime_add(t, ns));
}

static int64_t
interval_of(int base, int skew)
{
	int n = base * 256 + skew;

	return ((n > 0 ? n : 1) * (MONOTIME_SEC / 256));
}

/* advbase and advskew that stand to ours as the guard says; false: none. */
static bool
other_rank(const struct try *t, int rank, uint8_t *base, uint8_t *skew)
{
	static const struct {
		int	 base[2], skew[2];
	} r[STYLES][4] = {
		[BYTE] = {
			[BETTER] = { { 1, 0 }, { SKEW - 1, 255 } },
			[EQUAL] = { { 1, 1 }, { SKEW, SKEW } },
			[WORSE] = { { 1, 3 }, { SKEW + 1, SKEW } },
			[SLOW] = { { 3, 254 }, { SKEW + 1, 254 } },
		},
		[INSKEW] = {
			[BETTER] = { { 1, 0 }, { SKEW - 1, 255 } },
			[EQUAL] = { { 1, 1 }, { SKEW, SKEW } },
			[WORSE] = { { 1, 3 }, { SKEW + 1, SKEW - DEMOTION } },
			[SLOW] = { { 3, 254 },
			    { SKEW - DEMOTION + 1, 254 } },
		},
		[BASE0] = {
			[BETTER] = { { 0, 0 }, { SKEW - 1, 0 } },
			[EQUAL] = { { 0, 0 }, { SKEW, SKEW } },
			[WORSE] = { { 0, 254 }, { SKEW + 1, 0 } },
		},
	};

	if (t->how.style == BASE0 && rank == SLOW)
		return (false);
	*base = (uint8_t)r[t->how.style][rank].base[t->how.far];
	*skew = (uint8_t)r[t->how.style][rank].skew[t->how.far];
	return (true);
}

static bool
other_demote(const struct try *t, int demote, uint8_t *d)
{
	int ours = t->how.style == INSKEW ? 0 : DEMOTION;

	if (demote == LESS && ours == 0)
		return (false);
	if (t->how.far)
		*d = (uint8_t)(demote == LESS ? 0 : demote == MORE ? 255 :
		    ours);
	else
		*d = (uint8_t)(ours + demote - SAME);
	return (true);
}

static void
configure(struct try *t)
{
	struct vhost_conf *c = &t->c;

	memset(c, 0, sizeof(*c));
	c->vhid = 1;
	c->advbase = t->how.style == BASE0 ? 0 : 1;
	c->advskew = t->how.style == INSKEW ? SKEW - DEMOTION : SKEW;
	c->preempt = t->g[G_PREEMPT];
	c->v4 = t->how.v4;
	c->v6 = t->how.v6;
	c->style_byte = t->how.style != INSKEW;
	c->style_skew = t->how.style == INSKEW;
	c->node = OURSELF;
	t->md = c->v4 ? VHOST_TIMER_MD4 : VHOST_TIMER_MD6;
}

static uint32_t
sender(const struct try *t)
{
	switch (t->g[G_WHO]) {
	case LOWER:
		return (t->how.far ? 1 : OURSELF - 1);
	case HIGHER:
		return (t->how.far ? UINT32_MAX : OURSELF + 1);
	default:
		return (0);
	}
}

static void
event(struct try *t)
{
	struct vhost_event *e = &t->e;

	memset(e, 0, sizeof(*e));
	e->type = t->k->type;
	e->timer = t->k->timer == VHOST_TIMER_MD4 ?
	    (enum vhost_timer)t->md : t->k->timer;
	e->cause = VHOST_CAUSE_OPERATOR;
	e->v6 = !t->c.v4;
	e->node = sender(t);
	e->ours = t->g[G_WHO] != FOREIGN;
	e->random = 0x8000;
	e->demotion = DEMOTION;
	e->state = (enum vhost_state)t->g[G_TO];
	e->ok = t->g[G_OK] || t->k->late;
	if (e->type == VHOST_EV_GONE && e->node == 0)
		e->node = OURSELF + 1;
}

/* The last word of the master that is followed, or the advertisement. */
static bool
words(struct try *t)
{
	struct vhost_event *w = t->k->type == VHOST_EV_ADVERT ? &t->e :
	    &t->before.word;

	if (!other_rank(t, t->g[G_RANK], &w->advbase, &w->advskew) ||
	    !other_demote(t, t->g[G_DEMOTE], &w->demote))
		return (false);
	if (t->g[G_BOWOUT])
		w->advbase = w->advskew = 255;
	return (true);
}

/* Whom a BACKUP follows; false when the guards contradict each other. */
static bool
follows(struct try *t)
{
	struct vhost *v = &t->before;
	int whom = t->g[G_FOLLOWS];

	if (v->state != VHOST_BACKUP)
		return (whom == NOBODY && !t->g[G_HELD] && !t->g[G_JITTER]);
	if (whom == SENDER && t->g[G_WHO] == FOREIGN)
		return (false);
	if (whom == PENDING)
		v->pending = VHOST_CAUSE_PEER_GONE;
	v->hold = t->g[G_HELD] ? after(t->now, HOLD) : t->now;
	v->jitter = t->g[G_JITTER] ? JITTER : 0;
	if (whom == NOBODY || whom == PENDING)
		return (true);
	v->heard = true;
	v->heard_node = whom == SENDER ? sender(t) : whom == ANOTHER ?
	    OURSELF + 2 : 0;
	v->word_at = after(t->now, -interval_of(v->word.advbase,
	    v->word.advskew) - !t->g[G_FRESH]);
	return (true);
}

/* How far away the timer is that the class is about. */
static int64_t
when(const struct try *t)
{
	int64_t lease = vhost_lease(&t->c, &t->before);
	int64_t interval = vhost_interval(&t->c, &t->before);
	int64_t slack = interval > 100 * MONOTIME_MSEC ? interval :
	    100 * MONOTIME_MSEC;
	bool master = t->before.state == VHOST_MASTER;

	if (t->k->late)
		return (master ? -lease - 1 : -slack - 1);
	if (t->k->type != VHOST_EV_TIMER)
		return (KEPT);
	if (master && t->g[G_DUE])
		return (t->how.far ? -lease : vhost_early(&t->c, &t->before));
	if (master)
		return (vhost_early(&t->c, &t->before) + 1);
	if (t->g[G_DUE])
		return (t->how.far ? -slack : 0);
	return (KEPT);
}

static bool
timers(struct try *t)
{
	struct vhost *v = &t->before;
	bool drain = t->k->timer == VHOST_TIMER_DRAIN;
	int64_t in = when(t);

	if (v->state == VHOST_MASTER) {
		v->timer[VHOST_TIMER_AD] = after(t->now, in);
		return (!t->g[G_DRAINS]);
	}
	if (v->state == VHOST_BACKUP) {
		if (t->c.v4)
			v->timer[VHOST_TIMER_MD4] = after(t->now,
			    drain ? KEPT : in);
		if (t->c.v6)
			v->timer[VHOST_TIMER_MD6] = after(t->now,
			    drain ? KEPT : in);
	}
	if (t->g[G_DRAINS])
		v->timer[VHOST_TIMER_DRAIN] = after(t->now,
		    drain && t->g[G_DUE] ? 0 : KEPT);
	return (true);
}

/* The concrete case; false when there is none. */
static bool
prepare(struct try *t)
{
	struct vhost *v = &t->before;
	bool changes;

	t->now = monotime_add((monotime_t){ 0 }, 1000 * MONOTIME_SEC);
	configure(t);
	event(t);
	vhost_init(v, t->now);
	v->state = (enum vhost_state)t->g[G_STATE];
	v->demotion = DEMOTION;
	if (!words(t) || !follows(t))
		return (false);
	changes = t->k->type == VHOST_EV_DEMOTE && t->g[G_CHANGED];
	v->told = after(t->now, -vhost_interval(&t->c, v) + t->g[G_TOLD]);
	if (!timers(t))
		return (false);
	if (changes)
		v->demotion = DEMOTION + 67;
	v->delayed = (uint8_t)t->g[G_DELAYED];
	v->snderrs = (uint8_t)t->g[G_ERRS];
	v->sndoks = (uint8_t)t->g[G_OKS];
	v->snddemoted = t->g[G_SNDERR];
	return (true);
}

/* -- what came of it, in words of the model -- */

static void add(char *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
add(char *s, const char *fmt, ...)
{
	size_t n = strlen(s);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s + n, TEXT - n, fmt, ap);
	va_end(ap);
}

static bool
same(monotime_t a, monotime_t b)
{
	return (monotime_cmp(a, b) == 0);
}

/* The time that a listener waits, with advbase 0 that of the slowest. */
static bool
is_wait(const struct try *t, monotime_t at)
{
	int64_t md = vhost_masterdown(&t->c) + t->v.jitter, slow, three;

	if (t->c.advbase > 0)
		return (same(at, after(t->now, md)));
	slow = MONOTIME_SEC + t->v.jitter;
	if (t->k->type == VHOST_EV_ADVERT) {
		three = t->e.advbase > 0 ? 3 * MONOTIME_SEC :
		    3 * interval_of(0, t->e.advskew);
		three += t->v.jitter;
		slow = three > md ? three : md;
	}
	return (same(at, after(t->now, slow > md ? slow : md)));
}

static const char *
md_word(const struct try *t)
{
	monotime_t at = t->v.timer[t->md], was = t->before.timer[t->md];

	if (!monotime_isset(at))
		return ("OFF");
	if (is_wait(t, at))
		return ("WAIT");
	if (same(at, was))
		return ("KEEP");
	if (same(at, t->v.hold))
		return ("SOON");		/* when the hold is over */
	if (same(at, after(t->now, JITTER)))
		return ("SOON");
	return ("WRONG");
}

static const char *
ad_word(const struct try *t)
{
	monotime_t at = t->v.timer[VHOST_TIMER_AD];
	monotime_t was = t->before.timer[VHOST_TIMER_AD];
	int64_t interval = vhost_interval(&t->c, &t->v);

	if (!monotime_isset(at))
		return ("OFF");
	if (same(at, was))
		return ("KEEP");
	if (same(at, after(t->now, interval)) || (monotime_isset(was) &&
	    monotime_cmp(was, t->now) <= 0 && same(at, after(was, interval))))
		return ("NEXT");
	return ("WRONG");
}

static const char *
drain_word(const struct try *t)
{
	monotime_t at = t->v.timer[VHOST_TIMER_DRAIN];

	if (!monotime_isset(at))
		return ("OFF");
	if (same(at, after(t->now, VHOST_DRAIN)))
		return ("NEXT");
	return (same(at, t->before.timer[VHOST_TIMER_DRAIN]) ? "KEEP" :
	    "WRONG");
}

static const char *
hold_word(const struct try *t)
{
	if (same(t->v.hold, t->before.hold))
		return ("KEEP");
	if (same(t->v.hold, t->now))
		return ("OFF");
	if (same(t->v.hold, after(t->now, vhost_masterdown(&t->c))))
		return ("WAIT");
	if (same(t->v.hold, after(t->now, vhost_interval(&t->c, &t->v))))
		return ("NEXT");
	return ("WRONG");
}

/* Whom it follows now; in INIT and as MASTER that is nobody. */
static const char *
follow_word(const struct try *t)
{
	const struct vhost *b = &t->before, *v = &t->v;

	if (v->state != VHOST_BACKUP)
		return (v->heard || v->pending != VHOST_CAUSE_NONE ? "WRONG" :
		    "KEEP");
	if (v->pending != VHOST_CAUSE_NONE)
		return (b->pending != VHOST_CAUSE_NONE ? "KEEP" : "PENDING");
	if (!v->heard)
		return (b->heard || b->pending != VHOST_CAUSE_NONE ?
		    "NOBODY" : "KEEP");
	if (!same(v->word_at, t->now))
		return ("KEEP");
	return (v->heard_node == t->e.node &&
	    memcmp(&v->word, &t->e, sizeof(t->e)) == 0 ? "SENDER" : "WRONG");
}

/* Is this what a node in this state has to tell? */
static const char *
tells(const struct try *t, const struct vhost_action *a)
{
	return (a->advskew == vhost_skew(&t->c, &t->v) &&
	    a->demote == (t->c.style_byte ? t->v.demotion : 0) ? "" :
	    "-wrong");
}

static void
action_words(const struct try *t, char *s)
{
	static const char *const names[] = {
		[VHOST_ACT_STATE] = "state", [VHOST_ACT_SLOT_ON] = "slot-on",
		[VHOST_ACT_SLOT_DRAIN] = "slot-drain",
		[VHOST_ACT_SLOT_OFF] = "slot-off",
		[VHOST_ACT_ADDR_ADD] = "addr-add",
		[VHOST_ACT_ADDR_DEL] = "addr-del", [VHOST_ACT_SEND] = "send",
		[VHOST_ACT_BOWOUT] = "bow-out",
		[VHOST_ACT_ANNOUNCE] = "announce",
		[VHOST_ACT_SNDERR] = "snderr",
	};
	const struct vhost_action *a;
	size_t i;

	for (i = 0; i < t->out.n; i++) {
		a = &t->out.a[i];
		add(s, "%s%s", s[0] == '\0' ? "" : ", ", names[a->type]);
		if (a->type == VHOST_ACT_STATE)
			add(s, " for %s", vhost_cause_names[a->cause]);
		if (a->type == VHOST_ACT_SEND || a->type == VHOST_ACT_BOWOUT)
			add(s, "%s", tells(t, a));
		if (a->type == VHOST_ACT_SNDERR)
			add(s, " %u", a->demote);
	}
}

static void
slot_and_send(const struct try *t, char *s)
{
	size_t i;

	for (i = 0; i < t->out.n; i++)
		switch (t->out.a[i].type) {
		case VHOST_ACT_SLOT_ON:
			add(s, "o_slot = ON; ");
			break;
		case VHOST_ACT_SLOT_DRAIN:
			add(s, "o_slot = DRAIN; ");
			break;
		case VHOST_ACT_SLOT_OFF:
			add(s, "o_slot = OFF; ");
			break;
		case VHOST_ACT_SEND:
			add(s, "o_send = ADVERT; ");
			break;
		case VHOST_ACT_BOWOUT:
			add(s, "o_send = BOWOUT; ");
			break;
		default:
			break;
		}
}

static void
unless(char *s, const char *field, const char *word, const char *quiet)
{
	if (strcmp(word, quiet) != 0)
		add(s, "%s = %s; ", field, word);
}

static void
result(const struct try *t, char *s)
{
	const struct vhost *b = &t->before, *v = &t->v;
	const char *wrong = vhost_check(&t->c, v, t->now);
	char acts[TEXT] = "";

	s[0] = '\0';
	if (t->out.n == 0 && memcmp(b, v, sizeof(*b)) == 0) {
		add(s, "skip");
		return;
	}
	if (v->state != b->state)
		add(s, "o_state = %s; ", vhost_state_names[v->state]);
	unless(s, "o_ad", ad_word(t), v->state == VHOST_MASTER ? "KEEP" :
	    "OFF");
	unless(s, "o_md", md_word(t), v->state == VHOST_BACKUP ? "KEEP" :
	    "OFF");
	unless(s, "o_follows", follow_word(t), "KEEP");
	unless(s, "o_hold", hold_word(t), v->state == VHOST_INIT &&
	    same(v->hold, t->now) ? hold_word(t) : "KEEP");
	unless(s, "o_drains", drain_word(t), monotime_isset(
	    b->timer[VHOST_TIMER_DRAIN]) ? "KEEP" : "OFF");
	if (v->jitter != b->jitter)
		add(s, "o_jitter = %d; ", v->jitter != 0);
	if (v->demotion != b->demotion)
		add(s, "o_demote = %s; ", v->demotion == t->e.demotion ?
		    "EVENT" : "WRONG");
	if (!same(v->told, b->told))
		add(s, "o_told = %d; ", same(v->told, t->now));
	if (v->delayed != b->delayed)
		add(s, "o_delayed = %u; ", v->delayed);
	slot_and_send(t, s);
	if (t->k->type == VHOST_EV_SENT && !t->k->late)
		add(s, "/* errors %u, sent %u, demoted %d */ skip; ", v->snderrs,
		    v->sndoks, v->snddemoted);
	if (v->transitions != b->transitions + (v->state == VHOST_MASTER &&
	    b->state != VHOST_MASTER))
		add(s, "WRONG; ");
	action_words(t, acts);
	if (acts[0] != '\0')
		add(s, "/* %s */", acts);
	if (v->pending != VHOST_CAUSE_NONE && v->pending != b->pending)
		add(s, "/* claims later for %s */",
		    vhost_cause_names[v->pending]);
	if (wrong != NULL)
		add(s, "WRONG /* %s */", wrong);
	if (s[0] == '\0')
		add(s, "skip /* something that is not in the model */");
}

/* -- cells, rows -- */

static void
ambiguous(const struct try *t, const char *one, const char *other)
{
	static const char *const styles[STYLES] = { "byte", "skew",
	    "advbase 0" };
	int i;

	fprintf(stderr, "table: %s with", t->k->name);
	for (i = 0; t->k->guard[i] != -1; i++)
		fprintf(stderr, " %s %s", dims[t->k->guard[i]].name,
		    dims[t->k->guard[i]].value[t->g[t->k->guard[i]]]);
	fprintf(stderr, " does different things:\n\t%s\nand (%s%s%s%s)\n\t%s\n",
	    one, styles[t->how.style], t->how.v4 ? ", IPv4" : "",
	    t->how.v6 ? ", IPv6" : "", t->how.far ? ", at the border" : "",
	    other);
	broken = 1;
}

/* All concrete cases of a cell; NULL when there are none. */
static char *
cell(const struct class *k, const int *g)
{
	char now[TEXT], first[TEXT] = "";
	struct try t;
	int i;

	for (i = 0; i < STYLES * 8; i++) {
		memset(&t, 0, sizeof(t));
		t.g = g;
		t.k = k;
		t.how.style = i / 8;
		t.how.v4 = i & 1;
		t.how.v6 = i & 2;
		t.how.far = i & 4;
		if ((!t.how.v4 && !t.how.v6) || !prepare(&t))
			continue;
		t.v = t.before;
		vhost_step(&t.c, &t.v, &t.e, t.now, &t.out);
		result(&t, now);
		if (first[0] == '\0')
			memcpy(first, now, sizeof(first));
		else if (strcmp(first, now) != 0 && !broken)
			ambiguous(&t, first, now);
	}
	return (first[0] == '\0' ? NULL : strdup(first));
}

static void
row(const char *guard, const char *what)
{
	if (nrows == ROWS)
		errx(1, "too many rows");
	if ((rows[nrows].guard = strdup(guard)) == NULL ||
	    (rows[nrows].result = strdup(what)) == NULL)
		err(1, NULL);
	nrows++;
}

/* Two lists of rows: [a, b) and [b, c) are the same? */
static bool
equal_rows(size_t a, size_t na, size_t b, size_t nb)
{
	size_t i;

	if (na != nb)
		return (false);
	for (i = 0; i < na; i++)
		if (strcmp(rows[a + i].guard, rows[b + i].guard) != 0 ||
		    strcmp(rows[a + i].result, rows[b + i].result) != 0)
			return (false);
	return (true);
}

static void
prefix(size_t from, size_t to, const char *guard)
{
	char *s;

	for (; from < to; from++) {
		if (asprintf(&s, "%s%s%s", guard,
		    rows[from].guard[0] == '\0' ? "" : " && ",
		    rows[from].guard) == -1)
			err(1, NULL);
		free(rows[from].guard);
		rows[from].guard = s;
	}
}

/*
 * Appends the rows of all cells that begin with what g has for the first i
 * guards: values with the same rows share them, and a guard whose values all do
 * is not mentioned.
 */
static void
rows_of(const struct class *k, int *g, int i)
{
	const struct dim *d;
	size_t at[VALUES], n[VALUES];
	char guard[TEXT], *s;
	int x, y, lists = 0, of[VALUES], alone;

	if (k->guard[i] == -1) {
		if ((s = cell(k, g)) != NULL)
			row("", s);
		free(s);
		return;
	}
	d = &dims[k->guard[i]];
	for (x = 0; x < d->n; x++) {
		g[k->guard[i]] = x;
		at[x] = nrows;
		rows_of(k, g, i + 1);
		n[x] = nrows - at[x];
		of[x] = -1;
		if (n[x] == 0)
			continue;
		for (y = 0; y < x && of[x] == -1; y++)
			if (of[y] == y && equal_rows(at[y], n[y], at[x], n[x]))
				of[x] = y;
		if (of[x] == -1) {
			of[x] = x;
			lists++;
		} else
			nrows = at[x];
	}
	g[k->guard[i]] = 0;
	if (lists <= 1)
		return;
	for (x = 0; x < d->n; x++) {
		if (of[x] != x)
			continue;
		guard[0] = '\0';
		for (y = x, alone = 0; y < d->n; y++)
			alone += of[y] == x;
		for (y = x; y < d->n; y++)
			if (of[y] == x)
				add(guard, "%s%s == %s", guard[0] != '\0' ?
				    " || " : alone > 1 ? "(" : "", d->name,
				    d->value[y]);
		add(guard, "%s", alone > 1 ? ")" : "");
		prefix(at[x], at[x] + n[x], guard);
	}
}

/* How much of s is not broken: spin takes the end of a line for a semicolon. */
static int
unit(const char *s)
{
	const char *p;

	for (p = s; *p != '\0'; p++)
		if (p[1] == ' ' && strchr("&|;,/", *p) != NULL)
			return ((int)(p + 1 - s));
	return ((int)strlen(s));
}

/* s, indented by in, within the width. */
static void
wrap(const char *s, int in)
{
	int col = in * 8, n;

	printf("%.*s", in, "\t\t");
	for (; *s != '\0'; s += n + strspn(s + n, " ")) {
		n = unit(s);
		if (col > in * 8 && col + 1 + n > WIDTH) {
			printf("\n%.*s    ", in, "\t\t");
			col = in * 8 + 4;
		} else if (col > in * 8) {
			printf(" ");
			col++;
		}
		printf("%.*s", n, s);
		col += n;
	}
	printf("\n");
}

static void
print_row(const char *guard, const char *what)
{
	char line[2 * TEXT] = "";

	snprintf(line, sizeof(line), ":: %s ->", guard[0] == '\0' ? "true" :
	    guard);
	wrap(line, 1);
	wrap(what, 2);
}

static void
print(const struct class *k)
{
	int g[GUARDS] = { 0 };
	size_t i;

	nrows = 0;
	rows_of(k, g, 0);
	printf("\ninline row_%s()\n{\n\tif\n", k->name);
	for (i = 0; i < nrows; i++)
		print_row(rows[i].guard, rows[i].result);
	printf("\t:: else -> assert(false)\n\tfi\n}\n");
}

int
main(void)
{
	size_t i;

	printf("/*\n * Copyright (c) 2026 the carpd authors\n"
	    " * SPDX-License-Identifier: ISC\n *\n"
	    " * The transition table of carpd/vhost.c.  Generated by"
	    " table.c: do not edit,\n"
	    " * see \"The model\" in CONTRIBUTING.md.  What a row does not"
	    " mention stays.\n */\n");
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		print(&classes[i]);
	return (broken);
}
