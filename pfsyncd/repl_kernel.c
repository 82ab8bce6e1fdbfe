/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h), the kernel's side: what its events and dumps
 * say of our flows, when they are told to the peers, and the operations that
 * put into it what the peers told.
 */
#include <string.h>

#include <netinet/in.h>

#include "msgs.h"
#include "repl_int.h"

/* ---- unreplied flows ---- */

static void
young_drop(struct repl *r, uint32_t i, monotime_t now)
{
	r->count.throttled++;
	repl_gone(r, i, false, 0, now);
}

static struct statedb_entry *
young_entry(struct repl *r, const struct young *y)
{
	struct statedb_entry *e;

	if (!statedb_used(r->db, y->i))
		return (NULL);
	e = repl_at(r, y->i);
	if (!(e->flags & F_YOUNG) || e->flags & F_GONE ||
	    (uint32_t)e->h != y->tag)
		return (NULL);
	return (e);
}

static struct young
young_pop(struct repl *r)
{
	struct young y = r->young[r->young_head];

	r->young_head = (r->young_head + 1) % YOUNG_MAX;
	r->young_n--;
	return (y);
}

/*
 * A SYN passed here, and its answer will pass at another node: our kernel would
 * not take the acknowledgement of that before it has been told of it.
 */
static bool
crosses(const struct repl *r, const struct statedb_entry *e)
{
	return (r->balanced && e->carrier == SELF &&
	    e->f.proto == IPPROTO_TCP &&
	    e->f.tcp_state == FLOW_TCP_SYN_SENT && r->hooks.crosses != NULL &&
	    r->hooks.crosses(&e->f, r->hooks.arg));
}

static void
young_push(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	struct young *y;

	if (r->young_n == YOUNG_MAX) {
		struct young old = young_pop(r);

		if (young_entry(r, &old) != NULL)
			young_drop(r, old.i, now);
	}
	e->flags |= F_YOUNG;
	r->nyoung++;
	y = &r->young[(r->young_head + r->young_n++) % YOUNG_MAX];
	y->i = i;
	y->tag = (uint32_t)e->h;
	y->due = monotime_add(now, REPL_YOUNG);
}

/* It may be told. */
void
repl_grow_up(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	if (!(e->flags & F_YOUNG))
		return;
	e->flags &= (uint16_t)~F_YOUNG;
	r->nyoung--;
	repl_dirty(r, i, now);
}

/* One more unreplied flow may be told. */
static bool
take_token(struct repl *r, monotime_t now)
{
	double rate = r->balanced ? HASTE_RATE : YOUNG_RATE;

	r->tokens += (double)monotime_sub(now, r->tokens_at) / 1e9 * rate;
	if (r->tokens > 2 * rate)
		r->tokens = 2 * rate;
	r->tokens_at = now;
	if (r->tokens < 1)
		return (false);
	r->tokens -= 1;
	return (true);
}

static void
young_tick(struct repl *r, monotime_t now)
{
	struct statedb_entry *e;

	while (r->young_n > 0 &&
	    monotime_cmp(r->young[r->young_head].due, now) <= 0) {
		struct young y = young_pop(r);

		if ((e = young_entry(r, &y)) == NULL)
			continue;
		if (take_token(r, now))
			repl_grow_up(r, y.i, now);
		else
			young_drop(r, y.i, now);
	}
}

/* ---- what the kernel says ---- */

static bool
exports(const struct repl *r, const struct flow *f)
{
	return (r->hooks.exports == NULL ||
	    r->hooks.exports(f, r->hooks.arg));
}

/* A dead TCP connection, about to be forgotten anyway. */
static bool
ending(const struct flow *f)
{
	return (f->proto == IPPROTO_TCP &&
	    (f->tcp_state == FLOW_TCP_TIME_WAIT ||
	    f->tcp_state == FLOW_TCP_CLOSE ||
	    f->tcp_state == FLOW_TCP_LAST_ACK));
}

/* Traffic passes at another node now, and not here. */
static bool
elsewhere(const struct repl *r)
{
	int i;

	if (r->masters > 0 || !r->carp)
		return (false);
	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].alive && r->nodes[i].master)
			return (true);
	return (false);
}

static void
event_destroy(struct repl *r, uint32_t i, const struct statetbl_event *ev,
    monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	bool early, quarantine;

	if (e->flags & F_GONE)
		return;
	/* its own entry is not in the table yet: this was an earlier one's */
	if (e->ctid != ev->ctid && repl_is_held(r, i))
		return;
	if (e->ctid != 0 && ev->ctid != 0 && e->ctid != ev->ctid) {
		/* an earlier flow with this tuple; or is ours the old one? */
		repl_push_op(r, i, OP_VERIFY);
		return;
	}
	if (e->flags & F_QOP && e->ops & (OP_PUT | OP_REPLACE | OP_SET))
		return;		/* what is queued makes it anew */
	e->ctid = 0;
	early = e->deadline > repl_sec(r, now) + 1;
	quarantine = r->left && monotime_sub(now, r->left_at) <
	    REPL_QUARANTINE;
	if (e->carrier == SELF) {
		if ((quarantine || elsewhere(r)) && early && !ending(&e->f) &&
		    !(ev->flags & STATETBL_EV_FOREIGN)) {
			/* went with our address: it lives at the next one */
			repl_missing(r, e, true);
			return;
		}
		if (repl_is_over(&e->f, early))
			e->flags |= F_OVER;
		repl_gone(r, i, true, 0, now);
		return;
	}
	if (r->masters > 0 && early && !quarantine &&
	    !(r->nodes[e->carrier].alive && r->nodes[e->carrier].master)) {
		/*
		 * Traffic passes here and not there: it ended, though we
		 * had not yet seen that we carry it.
		 */
		repl_claim(r, i, now);
		if (repl_is_over(&e->f, early))
			e->flags |= F_OVER;
		repl_gone(r, i, true, 0, now);
		return;
	}
	if (!r->nodes[e->carrier].alive) {
		repl_gone(r, i, false, 0, now);
		return;
	}
	repl_missing(r, e, true);
}

/* The kernel's word on an entry that we know.  true: others should know. */
static bool
entry_update(struct repl *r, struct statedb_entry *e, const struct flow *f,
    monotime_t now)
{
	uint32_t deadline = repl_sec(r, now) + f->timeout;
	struct flow n = *f;
	bool changed;

	if (n.proto == IPPROTO_TCP && n.tcp_state == FLOW_TCP_NONE) {
		/* an event without protocol part */
		n.tcp_state = e->f.tcp_state;
		memcpy(n.tcp_flags, e->f.tcp_flags, sizeof(n.tcp_flags));
		memcpy(n.wscale, e->f.wscale, sizeof(n.wscale));
	}
	changed = !flow_equal(&n, &e->f);
	e->f = n;
	e->deadline = deadline;
	return (changed);
}

/* Do the peers drop it before we would?  Then its timeout must be told. */
static bool
wants_refresh(const struct repl *r, const struct statedb_entry *e,
    monotime_t now)
{
	uint32_t sec = repl_sec(r, now);
	uint64_t left = e->deadline > sec ? e->deadline - sec : 0;
	uint64_t told = e->told > sec ? e->told - sec : 0;

	return (told * 3 < left * 2);
}

static void
refresh(struct repl *r, uint32_t i, bool traffic, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	if (e->flags & (F_YOUNG | F_MUTE))
		return;
	/* pf's timeouts are others than ours: it decides for itself */
	if (traffic && r->hooks.changed != NULL)
		r->hooks.changed(i, r->hooks.arg);
	if (!wants_refresh(r, e, now))
		return;
	e->flags |= F_REFRESH;
	repl_push_tx(r, i, false, now);
}

static void
normalize(struct flow *f)
{
	f->tcp_flags[0] &= FLOW_TCPF_SYNC;
	f->tcp_flags[1] &= FLOW_TCPF_SYNC;
}

uint32_t
repl_value(const struct flow *f)
{
	uint64_t w[5] = { 0 }, v;
	size_t i;

	memcpy(w, &f->reply, sizeof(f->reply));
	v = (uint64_t)f->mark << 32 | f->status << 8 | f->tcp_state;
	v ^= (uint64_t)f->tcp_flags[0] << 24 | (uint64_t)f->tcp_flags[1] << 28;
	for (i = 0; i < 5; i++) {
		v = (v ^ w[i]) * UINT64_C(0x9e3779b97f4a7c15);
		v ^= v >> 29;
	}
	return ((uint32_t)(v >> 32));
}

/*
 * The carrier's boot at which the last run held a flow of it.  When it is back
 * already, and with another one, its kernel has lost the flow.
 */
static void
restore_boot(struct repl *r, int node, const struct repl_hint *hint)
{
	struct node *n = &r->nodes[node];

	if (!hint->booted)
		return;
	if (!n->booted)
		repl_booted(r, node, hint->boot);
	else if (n->boot != hint->boot)
		n->emptied = true;
}

void
repl_known(struct repl *r, uint32_t node, uint32_t boot, monotime_t now)
{
	const struct repl_hint hint = { .boot = boot, .booted = true };
	int n = repl_node(r, node, now);

	if (n > SELF)
		restore_boot(r, n, &hint);
}

static void
adopt_emptied(struct repl *r, monotime_t now)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		if (r->nodes[i].used && r->nodes[i].emptied)
			repl_adopt(r, i, now);
		r->nodes[i].emptied = false;
	}
}

/*
 * The first dump: what the last run knew of the flow.  Replicas stay those of
 * their carriers, and what was told and did not change is not told again.
 */
static bool
restore(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	struct repl_hint hint;
	int n = SELF;

	if (!r->hint(e->h, &hint, r->hint_arg) || hint.carrier == 0)
		return (false);
	repl_seen_stamp(r, hint.stamp);
	if (hint.carrier == r->c.node) {
		e->flags |= F_CARRIED;
		if (hint.stamp == 0 || hint.value != repl_value(&e->f))
			return (false);
		e->told = e->deadline;
	} else if ((n = repl_node(r, hint.carrier, now)) == -1)
		return (false);
	else if (hint.value != repl_value(&e->f)) {
		/*
		 * Not what we were told: it changed here while nobody looked,
		 * if this is where traffic passes; else what we were told had
		 * not got here, and its carrier has to say it again.
		 */
		if (r->masters > 0)
			return (false);
		hint.stamp = 0;
	}
	if (n != SELF)
		restore_boot(r, n, &hint);
	e->creator = (uint8_t)n;
	repl_carrier(r, i, n, hint.stamp);
	return (true);
}

/* A flow that we did not know. */
static void
event_new(struct repl *r, const struct statetbl_event *ev,
    const struct flow *f, uint64_t h, monotime_t now)
{
	struct statedb_entry *e;
	uint32_t i;

	if ((i = statedb_add(r->db, f, h)) == STATEDB_NONE)
		return;
	e = repl_at(r, i);
	e->ctid = ev->ctid;
	e->deadline = repl_sec(r, now) + f->timeout;
	e->seen = (uint8_t)r->dump_last;
	repl_note(r, i, false);
	if (r->starting && r->hint != NULL && ev->type == STATETBL_DUMP &&
	    restore(r, i, now))
		return;
	if (f->proto == IPPROTO_TCP && f->tcp_state == FLOW_TCP_NONE) {
		e->flags |= F_MUTE;	/* until the kernel said it all */
		repl_push_op(r, i, OP_VERIFY);
		return;
	}
	e->flags |= F_CARRIED;
	repl_traffic(r, e, ev->type == STATETBL_DUMP);
	if (!(f->status & FLOW_SEEN_REPLY) &&
	    !(r->balanced && take_token(r, now)))
		young_push(r, i, now);
	else {
		repl_dirty(r, i, now);
		if (ev->type == STATETBL_NEW && crosses(r, e))
			repl_push_op(r, i, OP_SET);
	}
}

/* What it was told of late, a dump on its way may not show yet. */
static bool
just_told(const struct repl *r, const struct statedb_entry *e, monotime_t now)
{
	return (e->flags & F_QOP || e->opsec + 2 > repl_sec(r, now));
}

/* Is what a dump or event says evidence of traffic in this kernel? */
static bool
evidence(const struct repl *r, const struct statedb_entry *e,
    const struct statetbl_event *ev, monotime_t now)
{
	if (ev->type != STATETBL_DUMP)
		return (true);
	if (just_told(r, e, now))
		return (false);
	return (repl_sec(r, now) + ev->f.timeout > e->deadline + 3);
}

/*
 * Where traffic passes, another state or translation than its carrier told is
 * what it has become while events were lost, though its timeout be shorter.
 */
static bool
moved_on(const struct repl *r, const struct statedb_entry *e,
    const struct flow *f, monotime_t now)
{
	if (r->masters == 0 || just_told(r, e, now))
		return (false);
	return (f->tcp_state != e->f.tcp_state ||
	    memcmp(&f->reply, &e->f.reply, sizeof(f->reply)) != 0);
}

/*
 * Where packets of a connection pass here and there, what the kernel was told a
 * moment ago may have come after this event and undone it.
 */
static void
reassert(struct repl *r, uint32_t i, const struct statetbl_event *ev,
    monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	if (r->balanced && ev->type != STATETBL_DUMP &&
	    e->f.proto == IPPROTO_TCP && just_told(r, e, now))
		repl_push_op(r, i, OP_SET);
}

static void
event_known(struct repl *r, uint32_t i, const struct statetbl_event *ev,
    const struct flow *f, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	bool changed = false, anew = false, traffic;

	if (e->flags & F_GONE) {
		/* its end is on the way; and so may an answer to VERIFY be */
		if (ev->type == STATETBL_DUMP && (ev->dump != 0 ||
		    !evidence(r, e, ev, now)))
			return;
		repl_revive(e);
		anew = true;
		if (e->carrier != SELF) {
			e->carrier = SELF;
			e->stamp = 0;
			repl_note(r, i, false);
		}
	}
	e->seen = (uint8_t)r->dump_last;
	if (e->carrier != SELF) {
		if (!evidence(r, e, ev, now) && !moved_on(r, e, f, now)) {
			repl_missing(r, e, false);
			e->ctid = ev->ctid;
			return;
		}
		(void)entry_update(r, e, f, now);
		e->ctid = ev->ctid;
		if (ev->type == STATETBL_NEW)	/* the tuple is used anew */
			e->life = (uint8_t)((e->life + 1) & 63);
		repl_traffic(r, e, ev->type == STATETBL_DUMP);
		repl_claim(r, i, now);
		reassert(r, i, ev, now);
		return;
	}
	repl_missing(r, e, false);
	if (e->ctid != 0 && ev->ctid != 0 && e->ctid != ev->ctid && !anew) {
		e->life = (uint8_t)((e->life + 1) & 63);
		anew = true;
	}
	e->ctid = ev->ctid;
	traffic = evidence(r, e, ev, now);
	if (traffic) {
		e->flags |= F_CARRIED;
		repl_traffic(r, e, ev->type == STATETBL_DUMP);
	}
	changed = entry_update(r, e, f, now);
	if (e->flags & F_MUTE && e->f.tcp_state != FLOW_TCP_NONE) {
		e->flags &= (uint16_t)~F_MUTE;
		changed = true;
	}
	if (e->flags & F_YOUNG) {
		if (e->f.status & FLOW_SEEN_REPLY)
			repl_grow_up(r, i, now);
	} else if (changed || anew) {
		repl_dirty(r, i, now);
		reassert(r, i, ev, now);
	} else
		refresh(r, i, traffic, now);
}

void
repl_event(struct repl *r, const struct statetbl_event *ev, monotime_t now)
{
	struct flow f = ev->f;
	uint64_t h;
	uint32_t i;

	if (monotime_cmp(now, r->start) < 0)
		now = r->start;
	normalize(&f);
	h = statedb_hash(r->db, &f);
	i = statedb_find(r->db, &f, h);
	if (ev->type == STATETBL_DESTROY) {
		if (i != STATEDB_NONE)
			event_destroy(r, i, ev, now);
		return;
	}
	if (!exports(r, &f)) {
		/* a mark that came late: the others forget it */
		if (i != STATEDB_NONE && repl_at(r, i)->carrier == SELF &&
		    !(repl_at(r, i)->flags & F_GONE))
			repl_gone(r, i, true, 0, now);
		return;
	}
	if (i == STATEDB_NONE)
		event_new(r, ev, &f, h, now);
	else
		event_known(r, i, ev, &f, now);
}

/* ---- dumps ---- */

bool
repl_want_dump(struct repl *r, uint32_t *dump, enum statetbl_what *what,
    monotime_t now)
{
	bool all;

	if (r->dump != 0)
		return (false);
	if (monotime_cmp(r->dump_again, now) <= 0) {
		r->dump_all = now;
		r->dump_again = MONOTIME_NEVER;
	}
	all = monotime_cmp(r->dump_all, now) <= 0;
	if (!all && monotime_cmp(r->dump_part, now) > 0)
		return (false);
	if (++r->dump_last == 0 || (uint8_t)r->dump_last == 0)
		r->dump_last++;
	r->dump = *dump = r->dump_last;
	r->dump_what = *what = all ? STATETBL_ALL : STATETBL_NOT_TCP;
	r->dump_at = now;
	r->dump_all = all ? MONOTIME_NEVER : r->dump_all;
	r->dump_part = MONOTIME_NEVER;
	return (true);
}

/* The next dumps: seldom enough that they cost little. */
static void
plan_dumps(struct repl *r, monotime_t now)
{
	int64_t part = (int64_t)r->c.refresh * MONOTIME_SEC, all;

	if (part < 10 * r->dump_took)
		part = 10 * r->dump_took;
	all = 4 * (int64_t)r->c.refresh * MONOTIME_SEC;
	if (all < DUMP_ALL && r->c.refresh >= CONFIG_REFRESH)
		all = DUMP_ALL;
	if (all < 30 * r->dump_took)
		all = 30 * r->dump_took;
	if (!monotime_isset(r->dump_all))
		r->dump_all = monotime_add(now, all);
	if (!monotime_isset(r->dump_part))
		r->dump_part = monotime_add(now, part);
}

/* What a complete dump did not show: is it still there? */
static void
sweep(struct repl *r)
{
	uint32_t i, top = statedb_top(r->db);
	struct statedb_entry *e;

	for (i = 0; i < top; i++) {
		if (!statedb_used(r->db, i))
			continue;
		e = repl_at(r, i);
		if (e->seen == (uint8_t)r->dump ||
		    e->flags & (F_GONE | F_QOP | F_MISSING) ||
		    repl_is_held(r, i))
			continue;
		if (r->dump_what == STATETBL_NOT_TCP &&
		    e->f.proto == IPPROTO_TCP)
			continue;
		repl_push_op(r, i, OP_VERIFY);
	}
}

void
repl_dumped(struct repl *r, uint32_t dump, bool complete, monotime_t now)
{
	if (dump != r->dump)
		return;
	if (complete) {
		repl_apart_looked(r);
		if (r->dump_what == STATETBL_ALL)
			r->dump_took = monotime_sub(now, r->dump_at);
		if (!r->starting)
			sweep(r);
	}
	r->dump = 0;
	if (complete && r->starting) {
		r->starting = false;
		adopt_emptied(r, now);
		repl_compare_again(r);
		r->telling = r->fresh.n;
		r->hello_due = now;
		r->hint = NULL;
		if (r->liberate_all)
			repl_carried_all(r);
		if (r->masters == 0 || r->liberate_all)
			repl_liberate(r);
		r->liberate_all = false;
	}
	if (!complete)
		r->dump_all = monotime_add(now, MONOTIME_SEC);
	plan_dumps(r, now);
}

void
repl_overrun(struct repl *r, monotime_t now)
{
	monotime_t at = now;

	if (monotime_isset(r->overrun_at) &&
	    monotime_sub(now, r->overrun_at) < DUMP_GAP)
		at = monotime_add(r->overrun_at, DUMP_GAP);
	if (monotime_cmp(r->dump_all, at) <= 0)
		return;		/* it is planned */
	r->dump_all = at;
	r->overrun_at = at;
}

void
repl_refilter(struct repl *r, monotime_t now)
{
	uint32_t i, top = statedb_top(r->db);
	struct statedb_entry *e;

	for (i = 0; i < top; i++) {
		if (!statedb_used(r->db, i))
			continue;
		e = repl_at(r, i);
		if (e->carrier == SELF && !(e->flags & F_GONE) &&
		    !exports(r, &e->f))
			repl_gone(r, i, true, 0, now);
	}
	repl_sooner(&r->dump_all, now);
}

/* ---- what the kernel is told ---- */

static void
fill_op(struct repl *r, struct statedb_entry *e, uint32_t i,
    struct statetbl_op *op, enum statetbl_op_type type, monotime_t now)
{
	uint32_t sec = repl_sec(r, now);

	op->f = e->f;
	op->f.timeout = e->deadline > sec ? e->deadline - sec : 1;
	if (type == STATETBL_DELETE_IDLE)
		op->f.timeout += 3;
	if (op->f.timeout > TIMEOUT_MAX)
		op->f.timeout = TIMEOUT_MAX;
	op->cookie = i;
	op->ctid = 0;
	op->made = (uint32_t)(now.ns / MONOTIME_MSEC);
	op->type = (uint8_t)type;
	op->flags = 0;
	memset(op->pad, 0, sizeof(op->pad));
	if (e->f.proto == IPPROTO_TCP && (e->ops & OP_LIBERAL ||
	    (r->balanced && type <= STATETBL_SET)))
		op->flags |= STATETBL_OP_LIBERAL;
	if (type == STATETBL_SET && crosses(r, e)) {
		op->f.tcp_state = FLOW_TCP_SYN_RECV;
		op->f.status |= FLOW_SEEN_REPLY;
	}
}

/* The one operation that does all of e->ops; false: none is needed. */
static bool
choose_op(const struct statedb_entry *e, enum statetbl_op_type *type)
{
	unsigned int o = e->ops;

	if (e->flags & F_GONE) {
		*type = o & OP_DELETE ? STATETBL_DELETE :
		    STATETBL_DELETE_IDLE;
		return ((o & (OP_DELETE | OP_IDLE)) != 0);
	}
	if (o & OP_REPLACE)
		*type = STATETBL_REPLACE;
	else if (o & OP_PUT)
		*type = STATETBL_PUT;
	else if (o & OP_SET)
		*type = STATETBL_SET;
	else if (o & OP_TOUCH)
		*type = STATETBL_TOUCH;
	else if (o & OP_LIBERAL)
		*type = STATETBL_LIBERAL;
	else if (o & OP_VERIFY)
		*type = STATETBL_VERIFY;
	else
		return (false);
	return (true);
}

static void
count_put(struct repl *r, monotime_t now)
{
	uint32_t sec = repl_sec(r, now);

	if (r->put_sec != sec) {
		r->puts_before = r->put_sec + 1 == sec ? r->puts : 0;
		r->puts = 0;
		r->put_sec = sec;
	}
	r->puts++;
}

/*
 * An entry stays known until the kernel has deleted it: a dump that was on its
 * way would bring it back as ours.
 */
static void
dying(struct repl *r, uint32_t i)
{
	struct dying *d;

	if (r->dying_n == DYING_MAX || repl_at(r, i)->flags & F_DYING)
		return;
	d = &r->dying[(r->dying_head + r->dying_n++) % DYING_MAX];
	d->i = i;
	d->op = r->told_table;
	repl_at(r, i)->flags |= F_DYING;
}

/*
 * One is needless.  It is done with those before it; of too many runs the last
 * waits for those between as well.
 */
static void
skip(struct repl *r)
{
	struct skip *s = &r->skips[(r->skips_head + r->skips_n - 1) % SKIPS];

	if (r->skips_n == 0 || (s->op != r->told_table && r->skips_n < SKIPS)) {
		s = &r->skips[(r->skips_head + r->skips_n++) % SKIPS];
		s->n = 0;
	}
	s->op = r->told_table;
	s->n++;
}

static void
skips_done(struct repl *r)
{
	struct skip *s;

	while (r->skips_n > 0) {
		s = &r->skips[r->skips_head];
		if (s->op > r->done_table)
			break;
		r->ops_done += s->n;
		r->skips_head = (r->skips_head + 1) % SKIPS;
		r->skips_n--;
	}
}

size_t
repl_ops(struct repl *r, struct statetbl_op *op, size_t max, monotime_t now)
{
	enum statetbl_op_type type;
	struct statedb_entry *e;
	size_t n = 0;
	uint32_t i;

	while (n < max && repl_fifo_pop(r, &r->ops, true, &i)) {
		e = repl_at(r, i);
		e->flags &= (uint16_t)~F_QOP;
		r->ops_sent++;
		if (choose_op(e, &type)) {
			fill_op(r, e, i, &op[n], type, now);
			if (type <= STATETBL_TOUCH) {
				e->ctid = 0;	/* it may be made anew */
				e->opsec = repl_sec(r, now);
			}
			if (type <= STATETBL_REPLACE)
				count_put(r, now);
			if (type == STATETBL_DELETE)
				op[n].ctid = e->ctid;
			n++;
			r->told_table++;
			if (e->flags & F_GONE)
				dying(r, i);
		} else
			skip(r);
		e->ops = 0;
		repl_reap(r, i);
	}
	skips_done(r);
	return (n);
}

bool
repl_done(struct repl *r, uint32_t n)
{
	struct dying *d;

	if (n > r->told_table - r->done_table)
		return (false);
	r->done_table += n;
	r->ops_done += n;
	skips_done(r);
	while (r->dying_n > 0) {
		d = &r->dying[r->dying_head];
		if (d->op > r->done_table)
			break;
		r->dying_head = (r->dying_head + 1) % DYING_MAX;
		r->dying_n--;
		repl_at(r, d->i)->flags &= (uint16_t)~F_DYING;
		repl_reap(r, d->i);
	}
	return (true);
}

/* Two flows want one translated tuple: the lower identity stays. */
static void
clash(struct repl *r, uint32_t i, const struct statetbl_result *res,
    monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i), *o;
	uint32_t cre, cro, j;
	struct want *w;

	r->count.clashes++;
	j = statedb_find(r->db, &res->other, statedb_hash(r->db,
	    &res->other));
	if (j == STATEDB_NONE || j == i || e->carrier == SELF)
		return;
	o = repl_at(r, j);
	if (o->carrier != SELF || o->flags & F_GONE)
		return;		/* its own end is on the way: try again */
	cre = r->nodes[e->creator].id;
	cro = r->nodes[o->creator].id;
	if (cre < cro || (cre == cro && e->h < o->h)) {
		repl_gone(r, j, true, OP_DELETE, now);
		return;		/* the next look puts the other one in */
	}
	if (r->want_n == WANT_MAX)
		return;
	w = &r->want[(r->want_head + r->want_n++) % WANT_MAX];
	w->h = e->h;
	w->stamp = e->stamp;
	w->node = e->carrier;
	w->kill = true;
	w->tries = 0;
}

/*
 * There is no room for replicas.  That is no entry's fault: some of them find
 * out, later and later, whether there is any again, and then more and more.
 */
static void
table_full(struct repl *r, monotime_t now)
{
	r->full_hit = true;
	if (r->full)
		return;
	r->full = true;
	r->full_wait = FULL_MIN;
	r->full_at = monotime_add(now, FULL_MIN);
	r->full_batch = FULL_BATCH;
	r->full_mark = 0;
	r->full_looked = 0;
}

/* Those that were to find out are done: has any been refused? */
static void
full_tried(struct repl *r, monotime_t now)
{
	r->full_mark = 0;
	if (r->full_hit) {
		r->full_wait = r->full_wait * 2 < FULL_MAX ?
		    r->full_wait * 2 : FULL_MAX;
		r->full_at = monotime_add(now, r->full_wait);
		r->full_batch = FULL_BATCH;
	} else {
		r->full_wait = FULL_MIN;
		r->full_at = now;
		if (r->full_batch < UINT32_MAX / 4)
			r->full_batch *= 4;
	}
}

/* How many of those that are missing may be put in now. */
static uint32_t
may_put(struct repl *r, monotime_t now)
{
	if (!r->full)
		return (UINT32_MAX);
	if (r->full_mark != 0 && r->ops_done >= r->full_mark)
		full_tried(r, now);
	if (r->full_mark != 0 || monotime_cmp(now, r->full_at) < 0)
		return (0);
	return (r->full_batch);
}

/*
 * n were, of so many looked at.  Once all have been, and none was left and none
 * refused, it is over.
 */
static void
have_put(struct repl *r, uint32_t n, uint32_t looked, uint32_t top)
{
	if (!r->full)
		return;
	if (n == 0 && !r->full_hit) {
		r->full_looked += looked;
		r->full = r->full_looked < top;
		return;
	}
	r->full_looked = 0;
	r->full_hit = false;
	r->full_mark = r->ops_queued;
}

bool
repl_full(const struct repl *r)
{
	return (r->full);
}

void
repl_result(struct repl *r, const struct statetbl_result *res, monotime_t now)
{
	struct statedb_entry *e;
	uint32_t i;

	i = statedb_find(r->db, &res->f, statedb_hash(r->db, &res->f));
	if (i == STATEDB_NONE)
		return;
	e = repl_at(r, i);
	if (e->flags & F_GONE || e->carrier == SELF)
		return;
	repl_missing(r, e, true);
	if (res->error == STATETBL_FULL) {
		table_full(r, now);
		return;
	}
	if (e->strikes < 255)
		e->strikes++;
	if (res->error == STATETBL_CLASH)
		clash(r, i, res, now);
}

/*
 * What the kernel should have and has not: put it in again, a while later and
 * later each time it is refused.
 */
static bool
restore_missing(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	uint32_t sec = repl_sec(r, now);

	if (!(e->flags & F_MISSING) || e->flags & F_QOP ||
	    (e->carrier != SELF && !r->nodes[e->carrier].alive) ||
	    sec % (1U + (e->strikes < 8 ? e->strikes : 30U)) != 0)
		return (false);
	if (e->deadline <= sec) {
		/* of age; or its carrier knows more */
		if (e->carrier == SELF)
			repl_gone(r, i, true, 0, now);
		else
			repl_want(r, e->h, 0, e->carrier);
		return (false);
	}
	e->flags &= (uint16_t)~F_MISSING;
	r->nmissing--;
	r->count.restored++;
	repl_push_op(r, i, OP_PUT);
	return (true);
}

static void
missing_tick(struct repl *r, monotime_t now)
{
	uint32_t n, top = statedb_top(r->db), room, put = 0;

	if ((r->nmissing == 0 && !r->full) ||
	    monotime_cmp(now, r->missing_at) < 0)
		return;
	r->missing_at = monotime_add(now, MISSING_TIME);
	if ((room = may_put(r, now)) == 0)
		return;
	for (n = 0; n < top && n < 500000 && put < room; n++) {
		if (r->missing_pos >= top)
			r->missing_pos = 0;
		if (statedb_used(r->db, r->missing_pos) &&
		    restore_missing(r, r->missing_pos, now))
			put++;
		r->missing_pos++;
	}
	have_put(r, put, n, top);
}

/* Are we being filled?  When that is over, look for what NEW did not tell. */
static void
filling_tick(struct repl *r, monotime_t now)
{
	uint32_t sec = repl_sec(r, now), own;
	bool was = r->filling, backup;

	own = statedb_sums(r->db, SELF)->count;
	backup = r->carp ? r->masters == 0 : own < statedb_count(r->db) / 8;
	r->filling = backup && sec - r->put_sec <= 1 &&
	    (r->puts > FILLING || (r->put_sec == sec &&
	    r->puts_before > FILLING));
	if (was && !r->filling)
		repl_sooner(&r->dump_all, monotime_add(now, MONOTIME_SEC));
}

bool
repl_watch_new(const struct repl *r)
{
	return (!r->filling);
}

void
repl_kernel_tick(struct repl *r, monotime_t now)
{
	young_tick(r, now);
	missing_tick(r, now);
	filling_tick(r, now);
}
