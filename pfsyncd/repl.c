/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): entries and who carries them, what the kernel
 * tells and is told, dumps, bulk and demotion.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/in.h>

#include "../common/log.h"
#include "msgs.h"
#include "nosync.h"
#include "repl_int.h"

/* ---- time and stamps ---- */

/* Seconds since a little before we started: 0 is never. */
uint32_t
repl_sec(const struct repl *r, monotime_t now)
{
	return ((uint32_t)(monotime_sub(now, r->start) / MONOTIME_SEC) + 1);
}

/* A stamp newer than all that we know of, near the time of day. */
uint64_t
repl_stamp(struct repl *r, monotime_t now)
{
	uint64_t t = r->c.clock +
	    (uint64_t)(monotime_sub(now, r->start) / MONOTIME_USEC);

	r->clock = r->clock >= t ? r->clock + 1 : t;
	return (r->clock);
}

void
repl_seen_stamp(struct repl *r, uint64_t stamp)
{
	if (stamp > r->clock)
		r->clock = stamp;
}

/* ---- queues ---- */

static void
fifo_push(struct repl *r, struct fifo *q, uint32_t i, bool op)
{
	struct statedb_entry *e = repl_at(r, i), *last;

	if (op)
		e->opnext = STATEDB_NONE;
	else
		e->txnext = STATEDB_NONE;
	if (q->n++ == 0)
		q->head = i;
	else {
		last = repl_at(r, q->tail);
		if (op)
			last->opnext = i;
		else
			last->txnext = i;
	}
	q->tail = i;
}

bool
repl_fifo_pop(struct repl *r, struct fifo *q, bool op, uint32_t *i)
{
	struct statedb_entry *e;

	if (q->n == 0)
		return (false);
	*i = q->head;
	e = repl_at(r, q->head);
	q->head = op ? e->opnext : e->txnext;
	q->n--;
	return (true);
}

void
repl_push_tx(struct repl *r, uint32_t i, bool fresh, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	if (e->flags & F_QTX)
		return;
	e->flags |= F_QTX;
	if (!monotime_isset(r->queued_since))
		r->queued_since = now;
	if (e->flags & F_RESEND && !(e->flags & F_DIRTY))
		fifo_push(r, &r->resend, i, false);
	else
		fifo_push(r, fresh ? &r->fresh : &r->urgent, i, false);
}

void
repl_push_op(struct repl *r, uint32_t i, unsigned int op)
{
	struct statedb_entry *e = repl_at(r, i);

	e->ops |= (uint8_t)op;
	if (e->flags & F_QOP)
		return;
	e->flags |= F_QOP;
	fifo_push(r, &r->ops, i, true);
	r->ops_queued++;
}

uint64_t
repl_backlog(const struct repl *r)
{
	return (r->ops.n + (r->ops_sent - r->ops_done));
}

/* ---- nodes ---- */

static bool
node_idle(const struct repl *r, int n)
{
	return (!r->nodes[n].alive &&
	    statedb_sums(r->db, (uint8_t)n)->count == 0);
}

/* The number of a node, made if need be; -1: there are too many. */
int
repl_node(struct repl *r, uint32_t id, monotime_t now)
{
	struct node *n;
	int i, spare = -1;

	for (i = 0; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (n->used && n->id == id)
			return (i);
		if (spare == -1 && i != SELF && (!n->used ||
		    node_idle(r, i)))
			spare = i;
	}
	if (spare == -1 || id == 0)
		return (-1);
	n = &r->nodes[spare];
	memset(n, 0, sizeof(*n));
	n->id = id;
	n->used = true;
	n->heard = n->synced = n->differs = n->ack_due = MONOTIME_NEVER;
	n->ask_at = now;
	return (spare);
}

/* ---- entries ---- */

static void
note(struct repl *r, uint32_t i, bool gone)
{
	if (r->hooks.noted != NULL)
		r->hooks.noted(i, gone, r->hooks.arg);
}

/* Change who carries an entry, and its stamp; it counts for it at once. */
void
repl_carrier(struct repl *r, uint32_t i, int node, uint64_t stamp)
{
	struct statedb_entry *e = repl_at(r, i);

	if (e->flags & STATEDB_F_COUNTED)
		statedb_count_out(r->db, i);
	e->carrier = (uint8_t)node;
	e->stamp = stamp;
	statedb_count_in(r->db, i);
	note(r, i, false);
}

void
repl_missing(struct repl *r, struct statedb_entry *e, bool on)
{
	if (on && !(e->flags & F_MISSING)) {
		e->flags |= F_MISSING;
		r->nmissing++;
	} else if (!on && (e->flags & F_MISSING)) {
		e->flags &= (uint16_t)~F_MISSING;
		r->nmissing--;
		e->strikes = 0;
	}
}

void
repl_reap(struct repl *r, uint32_t i)
{
	struct statedb_entry *e = repl_at(r, i);

	if (!(e->flags & F_GONE) || e->flags & (F_QTX | F_QOP | F_DYING))
		return;
	if (e->flags & STATEDB_F_COUNTED)
		statedb_count_out(r->db, i);
	repl_missing(r, e, false);
	note(r, i, true);
	statedb_del(r->db, i);
}

/*
 * The flow has ended.  Others are told when it was ours and they know of it;
 * a replica just goes.
 */
void
repl_gone(struct repl *r, uint32_t i, bool tell, unsigned int op,
    monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	tell = tell && e->carrier == SELF && !(e->flags & (F_YOUNG | F_MUTE));
	if (r->hooks.removed != NULL && !(e->flags & F_GONE))
		r->hooks.removed(i, tell, r->hooks.arg);
	if (e->flags & F_YOUNG)
		r->nyoung--;
	e->flags |= F_GONE;
	e->flags &= (uint16_t)~(F_DIRTY | F_REFRESH | F_RESEND | F_YOUNG);
	/* never told: then there is nothing to take back */
	if (tell && (e->flags & STATEDB_F_COUNTED || e->told != 0)) {
		e->flags |= F_TELL;
		repl_push_tx(r, i, false, now);
	} else if (e->flags & STATEDB_F_COUNTED)
		statedb_count_out(r->db, i);
	e->ops = 0;
	if (op != 0)
		repl_push_op(r, i, op);
	repl_reap(r, i);
}

/* An entry that was F_GONE is wanted again. */
static void
revive(struct repl *r, struct statedb_entry *e)
{
	(void)r;
	e->flags &= (uint16_t)~(F_GONE | F_TELL);
	e->life = (uint8_t)((e->life + 1) & 63);
	e->ops = 0;
}

/* Entry i, ours, is to be told. */
void
repl_dirty(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	bool fresh = !(e->flags & STATEDB_F_COUNTED);

	if (e->flags & (F_YOUNG | F_MUTE))
		return;
	e->flags |= F_DIRTY;
	repl_push_tx(r, i, fresh, now);
	if (r->hooks.changed != NULL)
		r->hooks.changed(i, r->hooks.arg);
}

/* Our kernel saw traffic of it: we carry it from now on. */
void
repl_claim(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	e->flags |= F_CARRIED;
	if (e->carrier == SELF)
		return;
	r->count.claims++;
	/* what another one wanted it to be has come too late */
	e->ops &= (uint8_t)~(OP_PUT | OP_REPLACE | OP_SET | OP_TOUCH);
	if (e->flags & STATEDB_F_COUNTED)
		statedb_count_out(r->db, i);
	e->carrier = SELF;
	e->stamp = 0;
	e->told = e->deadline;		/* the others know of it */
	repl_missing(r, e, false);
	note(r, i, false);
	repl_dirty(r, i, now);
}

/*
 * A node's kernel has lost everything: what it carried is ours now, though we
 * see no traffic of it.  Whoever sees some claims it.
 */
void
repl_adopt(struct repl *r, int node, monotime_t now)
{
	uint32_t i, top = statedb_top(r->db);
	struct statedb_entry *e;

	for (i = 0; i < top; i++) {
		if (!statedb_used(r->db, i))
			continue;
		e = repl_at(r, i);
		if (e->carrier != node || e->flags & F_GONE)
			continue;
		r->count.adopted++;
		if (e->flags & STATEDB_F_COUNTED)
			statedb_count_out(r->db, i);
		e->carrier = SELF;
		e->stamp = 0;
		e->told = e->deadline;
		if (e->flags & F_MISSING) {
			repl_gone(r, i, false, 0, now);
			continue;
		}
		note(r, i, false);
		repl_dirty(r, i, now);
	}
}

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
static void
grow_up(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);

	if (e->flags & F_YOUNG) {
		e->flags &= (uint16_t)~F_YOUNG;
		r->nyoung--;
	}
	repl_dirty(r, i, now);
}

static void
young_tick(struct repl *r, monotime_t now)
{
	struct statedb_entry *e;

	r->tokens += (double)monotime_sub(now, r->tokens_at) / 1e9 *
	    YOUNG_RATE;
	if (r->tokens > 2 * YOUNG_RATE)
		r->tokens = 2 * YOUNG_RATE;
	r->tokens_at = now;
	while (r->young_n > 0 &&
	    monotime_cmp(r->young[r->young_head].due, now) <= 0) {
		struct young y = young_pop(r);

		if ((e = young_entry(r, &y)) == NULL)
			continue;
		if (r->tokens < 1) {
			young_drop(r, y.i, now);
			continue;
		}
		r->tokens -= 1;
		grow_up(r, y.i, now);
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
	note(r, i, false);
	if (r->starting && r->hint != NULL && ev->type == STATETBL_DUMP &&
	    restore(r, i, now))
		return;
	if (f->proto == IPPROTO_TCP && f->tcp_state == FLOW_TCP_NONE) {
		e->flags |= F_MUTE;	/* until the kernel said it all */
		repl_push_op(r, i, OP_VERIFY);
		return;
	}
	e->flags |= F_CARRIED;
	if (!(f->status & FLOW_SEEN_REPLY))
		young_push(r, i, now);
	else
		repl_dirty(r, i, now);
}

/* Is what a dump or event says evidence of traffic in this kernel? */
static bool
evidence(const struct repl *r, const struct statedb_entry *e,
    const struct statetbl_event *ev, monotime_t now)
{
	if (ev->type != STATETBL_DUMP)
		return (true);
	/* what we have just told it, a dump on its way may not show yet */
	if (e->flags & F_QOP || e->opsec + 2 > repl_sec(r, now))
		return (false);
	return (repl_sec(r, now) + ev->f.timeout > e->deadline + 3);
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
		revive(r, e);
		anew = true;
		if (e->carrier != SELF) {
			e->carrier = SELF;
			e->stamp = 0;
			note(r, i, false);
		}
	}
	e->seen = (uint8_t)r->dump_last;
	if (e->carrier != SELF) {
		if (!evidence(r, e, ev, now)) {
			repl_missing(r, e, false);
			e->ctid = ev->ctid;
			return;
		}
		(void)entry_update(r, e, f, now);
		e->ctid = ev->ctid;
		repl_claim(r, i, now);
		return;
	}
	repl_missing(r, e, false);
	if (e->ctid != 0 && ev->ctid != 0 && e->ctid != ev->ctid && !anew) {
		e->life = (uint8_t)((e->life + 1) & 63);
		anew = true;
	}
	e->ctid = ev->ctid;
	traffic = evidence(r, e, ev, now);
	if (traffic)
		e->flags |= F_CARRIED;
	changed = entry_update(r, e, f, now);
	if (e->flags & F_MUTE && e->f.tcp_state != FLOW_TCP_NONE) {
		e->flags &= (uint16_t)~F_MUTE;
		changed = true;
	}
	if (e->flags & F_YOUNG) {
		if (e->f.status & FLOW_SEEN_REPLY)
			grow_up(r, i, now);
	} else if (changed || anew)
		repl_dirty(r, i, now);
	else
		refresh(r, i, traffic, now);
}

void
repl_event(struct repl *r, const struct statetbl_event *ev, monotime_t now)
{
	struct flow f = ev->f;
	uint64_t h;
	uint32_t i;

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

static void
sooner(monotime_t *t, monotime_t at)
{
	if (monotime_cmp(at, *t) < 0)
		*t = at;
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
		    e->flags & (F_GONE | F_QOP | F_MISSING))
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
		if (r->dump_what == STATETBL_ALL)
			r->dump_took = monotime_sub(now, r->dump_at);
		if (!r->starting)
			sweep(r);
	}
	r->dump = 0;
	if (complete && r->starting) {
		r->starting = false;
		r->telling = r->fresh.n;
		r->hello_due = now;
		r->hint = NULL;
		if (r->masters == 0)
			repl_liberate(r);
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
	sooner(&r->dump_all, now);
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
	if (e->ops & OP_LIBERAL && e->f.proto == IPPROTO_TCP)
		op->flags |= STATETBL_OP_LIBERAL;
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
			r->ops_done++;
		e->ops = 0;
		repl_reap(r, i);
	}
	return (n);
}

void
repl_done(struct repl *r, uint32_t n)
{
	struct dying *d;

	r->ops_done += n;
	if (r->ops_done > r->ops_sent)
		r->ops_done = r->ops_sent;
	r->done_table += n;
	while (r->dying_n > 0) {
		d = &r->dying[r->dying_head];
		if (d->op > r->done_table)
			break;
		r->dying_head = (r->dying_head + 1) % DYING_MAX;
		r->dying_n--;
		repl_at(r, d->i)->flags &= (uint16_t)~F_DYING;
		repl_reap(r, d->i);
	}
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
	if (e->strikes < 255)
		e->strikes++;
	if (res->error == STATETBL_CLASH)
		clash(r, i, res, now);
}

/*
 * What the kernel should have and has not: put it in again, a while later and
 * later each time it is refused.
 */
static void
missing_tick(struct repl *r, monotime_t now)
{
	uint32_t n, top = statedb_top(r->db), sec = repl_sec(r, now);
	struct statedb_entry *e;

	if (r->nmissing == 0 || monotime_cmp(now, r->missing_at) < 0)
		return;
	r->missing_at = monotime_add(now, MISSING_TIME);
	for (n = 0; n < top && n < 500000; n++) {
		if (r->missing_pos >= top)
			r->missing_pos = 0;
		if (statedb_used(r->db, r->missing_pos)) {
			e = repl_at(r, r->missing_pos);
			if (e->flags & F_MISSING && !(e->flags & F_QOP) &&
			    (e->carrier == SELF ||
			    r->nodes[e->carrier].alive) &&
			    sec % (1U + (e->strikes < 8 ? e->strikes :
			    30U)) == 0) {
				if (e->deadline <= sec) {
					/* of age; or its carrier knows more */
					if (e->carrier == SELF)
						repl_gone(r, r->missing_pos,
						    true, 0, now);
					else
						repl_want(r, e->h, e->carrier);
				} else {
					e->flags &= (uint16_t)~F_MISSING;
					r->nmissing--;
					r->count.restored++;
					repl_push_op(r, r->missing_pos,
					    OP_PUT);
				}
			}
		}
		r->missing_pos++;
	}
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
		sooner(&r->dump_all, monotime_add(now, MONOTIME_SEC));
}

bool
repl_watch_new(const struct repl *r)
{
	return (!r->filling);
}

/* ---- carpd ---- */

/*
 * Another node carries, or may carry, what we carried: our windows will be old
 * when its traffic returns, so the kernel is told to be liberal with it.
 */
void
repl_liberate(struct repl *r)
{
	uint32_t i, top = statedb_top(r->db);
	struct statedb_entry *e;

	for (i = 0; i < top; i++) {
		if (!statedb_used(r->db, i))
			continue;
		e = repl_at(r, i);
		if (e->f.proto == IPPROTO_TCP && e->flags & F_CARRIED &&
		    !(e->flags & (F_GONE | F_YOUNG)))
			repl_push_op(r, i, OP_LIBERAL);
	}
	/* a MASTER stays one meanwhile */
	if (r->masters == 0)
		r->liberal_mark = r->ops_queued;
}

/*
 * While we were MASTER traffic of any flow may have passed here: a connection
 * makes no event when it goes on at another firewall.
 */
static void
carried_all(struct repl *r)
{
	uint32_t i, top = statedb_top(r->db);

	for (i = 0; i < top; i++)
		if (statedb_used(r->db, i))
			repl_at(r, i)->flags |= F_CARRIED;
}

void
repl_carp(struct repl *r, unsigned int masters, bool connected,
    monotime_t now)
{
	/* a carpd that died has left, too */
	if (r->carp && masters < r->masters) {
		r->left = true;
		r->left_at = now;
		carried_all(r);
		repl_liberate(r);
		r->liberal_mark = r->ops_queued;
	}
	if (masters > 0 && r->masters == 0) {
		r->turns = (r->turns + 1) & 15;
		r->hello_due = now;
	}
	if (masters > r->masters && !r->starting) {
		/* see soon what we carry now */
		sooner(&r->dump_all, monotime_add(now, 2 * MONOTIME_SEC));
		r->dump_again = monotime_add(now, 15 * MONOTIME_SEC);
	}
	if (masters > 0 && masters >= r->masters && r->masters == 0)
		r->left = false;
	r->masters = masters;
	r->carp = connected;
}

/* ---- bulk ---- */

void
repl_bulk_begin(struct repl *r, monotime_t now)
{
	int i;

	r->bulk = SYNC_BULK_WAIT;
	r->bulk_since = r->bulk_moved = now;
	r->bulk_seen = 0;
	for (i = 1; i < STATEDB_CARRIERS; i++)
		r->nodes[i].matched = false;
	r->hello_due = now;
}

void
repl_link(struct repl *r, bool up, monotime_t now)
{
	if (up && !r->link)
		repl_bulk_begin(r, now);
	r->link = up;
}

static uint64_t
bulk_have(const struct repl *r, uint64_t *want, bool *all, bool *any)
{
	uint64_t have = 0;
	int i;

	*want = 0;
	*all = true;
	*any = false;
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		const struct node *n = &r->nodes[i];

		if (!n->used || !n->native || !n->alive)
			continue;
		*any = true;
		if (!n->matched)
			*all = false;
		*want += n->count;
		have += statedb_sums(r->db, (uint8_t)i)->count;
	}
	return (have);
}

static void
bulk_tick(struct repl *r, monotime_t now)
{
	uint64_t have, want;
	bool all, any;

	if (r->bulk != SYNC_BULK_WAIT && r->bulk != SYNC_BULK_RUNNING)
		return;
	have = bulk_have(r, &want, &all, &any);
	if (have != r->bulk_seen) {
		r->bulk_seen = have;
		r->bulk_moved = now;
	}
	if (any && r->bulk == SYNC_BULK_WAIT)
		r->bulk = SYNC_BULK_RUNNING;
	if (any && all && !r->starting)
		r->bulk = SYNC_BULK_DONE;
	else if (!any && monotime_sub(now, r->bulk_since) > NOBODY_TIME)
		r->bulk = SYNC_BULK_DONE;	/* we are alone */
	else if (monotime_sub(now, r->bulk_moved) > BULK_TIME)
		r->bulk = SYNC_BULK_FAILED;
	if (r->bulk >= SYNC_BULK_DONE)
		r->synced = true;
}

bool
repl_synced(const struct repl *r)
{
	return (r->synced);
}

const char *
repl_hold(const struct repl *r)
{
	if (r->liberal_mark != 0 && r->ops_done < r->liberal_mark)
		return ("liberal");
	if (!r->link)
		return ("syncdev");
	if (r->c.native && r->masters == 0 && (r->bulk == SYNC_BULK_WAIT ||
	    r->bulk == SYNC_BULK_RUNNING))
		return ("bulk");
	return (NULL);
}

/* ---- operator ---- */

void
repl_now(struct repl *r, monotime_t now)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && r->nodes[i].alive) {
			r->nodes[i].ask_groups = true;
			r->nodes[i].ask_at = now;
		}
	sooner(&r->dump_all, now);
	repl_bulk_begin(r, now);
}

void
repl_flush(struct repl *r, monotime_t now)
{
	uint32_t i, top = statedb_top(r->db);
	struct statedb_entry *e;

	for (i = 0; i < top; i++) {
		if (!statedb_used(r->db, i))
			continue;
		e = repl_at(r, i);
		if (e->carrier != SELF && !(e->flags & F_GONE) &&
		    r->nodes[e->carrier].alive)
			repl_gone(r, i, false, OP_DELETE, now);
	}
	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].alive && r->nodes[i].native)
			r->nodes[i].ask_bulk = true;
	repl_bulk_begin(r, now);
}

void
repl_leave(struct repl *r, monotime_t now)
{
	r->leaving = true;
	r->hello_due = now;
}

/* ---- foreign peers ---- */

void
repl_foreign_heard(struct repl *r, uint32_t creatorid, monotime_t now)
{
	int n = repl_node(r, creatorid, now);

	if (n <= SELF)
		return;
	r->nodes[n].foreign = true;
	r->nodes[n].alive = true;
	r->nodes[n].heard = now;
	r->nodes[n].packets++;
}

uint32_t
repl_foreign_put(struct repl *r, uint32_t creatorid, const struct flow *f,
    bool fresh, monotime_t now)
{
	uint64_t h = statedb_hash(r->db, f);
	struct statedb_entry *e;
	bool nat = false, known;
	uint32_t i;
	int n;

	if (!nosync_imports(f) ||
	    (n = repl_node(r, creatorid, now)) == -1)
		return (STATEDB_NONE);
	i = statedb_find(r->db, f, h);
	known = i != STATEDB_NONE;
	if (!known && (i = statedb_add(r->db, f, h)) == STATEDB_NONE)
		return (STATEDB_NONE);
	e = repl_at(r, i);
	if (known) {
		if (e->flags & F_GONE)
			revive(r, e);
		nat = memcmp(&e->f.reply, &f->reply, sizeof(f->reply)) != 0;
		if (e->flags & F_YOUNG) {
			e->flags &= (uint16_t)~F_YOUNG;
			r->nyoung--;
		}
	} else
		e->creator = (uint8_t)n;
	e->f = *f;
	e->deadline = repl_sec(r, now) + f->timeout;
	e->flags &= (uint16_t)~(F_DIRTY | F_REFRESH | F_RESEND | F_MUTE);
	repl_missing(r, e, false);
	repl_carrier(r, i, n, repl_stamp(r, now));
	repl_push_op(r, i, !known ? OP_PUT : fresh || nat ? OP_REPLACE :
	    OP_SET | (e->flags & F_CARRIED ? OP_LIBERAL : 0));
	return (i);
}

void
repl_foreign_del(struct repl *r, uint32_t i, monotime_t now)
{
	/* the other native nodes are told if it was ours */
	repl_gone(r, i, true, OP_DELETE, now);
}

size_t
repl_waiting(const struct repl *r)
{
	return ((size_t)r->urgent.n + r->fresh.n + r->resend.n);
}

size_t
repl_pending(const struct repl *r)
{
	return ((size_t)repl_backlog(r));
}

uint32_t
repl_node_id(const struct repl *r, unsigned int n)
{
	return (n < STATEDB_CARRIERS ? r->nodes[n].id : 0);
}

uint64_t
repl_ops_queued(const struct repl *r)
{
	return (r->ops_queued);
}

uint64_t
repl_ops_done(const struct repl *r)
{
	return (r->ops_done);
}

bool
repl_is_local(const struct repl *r, uint32_t i)
{
	return (statedb_at(r->db, i)->carrier == SELF);
}

struct statedb *
repl_db(struct repl *r)
{
	return (r->db);
}

/* ---- life ---- */

struct repl *
repl_new(const struct repl_conf *c, struct statedb *db,
    const struct repl_hooks *h, monotime_t now)
{
	struct repl *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		fatal("calloc");
	r->c = *c;
	if (h != NULL)
		r->hooks = *h;
	r->db = db;
	r->start = now;
	r->clock = c->clock;
	r->nodes[SELF].used = true;
	r->nodes[SELF].id = c->node;
	r->queued_since = r->overrun_at = r->dump_again = MONOTIME_NEVER;
	r->dump_all = r->dump_part = now;
	r->tokens = YOUNG_RATE;
	r->tokens_at = r->hello_due = r->missing_at = now;
	r->starting = true;
	r->bulk_bucket = -1;
	return (r);
}

void
repl_free(struct repl *r)
{
	free(r);
}

void
repl_conf(struct repl *r, uint32_t refresh_s)
{
	r->c.refresh = refresh_s;
}

void
repl_hints(struct repl *r, repl_hint_fn fn, void *arg)
{
	r->hint = fn;
	r->hint_arg = arg;
}

static void
nodes_tick(struct repl *r, monotime_t now)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		struct node *n = &r->nodes[i];

		if (!n->alive || monotime_sub(now, n->heard) <
		    (n->foreign ? 20 : 1) * REPL_SILENT)
			continue;
		n->alive = n->matched = false;
		n->differs = MONOTIME_NEVER;
		/* what it does now we shall not hear */
		if (r->masters > 0 && n->native)
			repl_liberate(r);
	}
}

void
repl_tick(struct repl *r, monotime_t now)
{
	nodes_tick(r, now);
	young_tick(r, now);
	missing_tick(r, now);
	filling_tick(r, now);
	bulk_tick(r, now);
	if (r->liberal_mark != 0 && r->ops_done >= r->liberal_mark)
		r->liberal_mark = 0;
	if (!repl_listened(r))
		repl_drain(r, now);
}

/* ---- show ---- */

void
repl_status(const struct repl *r, struct repl_status *s, monotime_t now)
{
	uint64_t want;
	bool all, any;
	uint32_t sec = repl_sec(r, now), i;

	*s = r->count;
	s->local = statedb_sums(r->db, SELF)->count;
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		s->remote += statedb_sums(r->db, (uint8_t)i)->count;
		if (r->nodes[i].alive && monotime_isset(r->nodes[i].differs))
			s->mismatching += r->nodes[i].mismatching;
		if (r->nodes[i].alive && r->nodes[i].lag > s->lag)
			s->lag = r->nodes[i].lag;
	}
	s->young = r->nyoung;
	s->missing = r->nmissing;
	s->tx_queue = r->urgent.n + r->fresh.n + r->resend.n;
	s->op_queue = repl_backlog(r);
	for (i = 0; i < 10; i++)
		if (r->lag_sec + 10 > sec && r->lag_max[i] > s->lag_max)
			s->lag_max = r->lag_max[i];
	s->bulk = r->bulk;
	s->bulk_have = bulk_have(r, &want, &all, &any);
	s->bulk_want = want;
	s->bulk_eta = -1;
	if (r->bulk == SYNC_BULK_RUNNING && s->bulk_have > 0 &&
	    want > s->bulk_have)
		s->bulk_eta = (int64_t)((double)monotime_sub(now,
		    r->bulk_since) * (double)(want - s->bulk_have) /
		    (double)s->bulk_have);
	s->reason = repl_hold(r);
	s->holding = s->reason != NULL;
}

bool
repl_peer(const struct repl *r, size_t k, struct repl_peer *p,
    monotime_t now)
{
	const struct node *n;
	size_t i, seen = 0;

	(void)now;
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || (!n->native && !n->foreign) || seen++ != k)
			continue;
		memset(p, 0, sizeof(*p));
		p->node = n->id;
		p->addr = n->addr;
		p->alive = n->alive;
		p->native = n->native;
		p->starting = n->starting;
		p->in_sync = n->matched && !monotime_isset(n->differs);
		p->heard = n->heard;
		p->synced = n->synced;
		p->have = statedb_sums(r->db, (uint8_t)i)->count;
		p->carries = n->native ? n->count : p->have;
		p->mismatching = monotime_isset(n->differs) ?
		    n->mismatching : 0;
		p->packets = n->packets;
		p->lost = n->lost;
		p->lag = n->lag;
		return (true);
	}
	return (false);
}

const char *
repl_check(const struct repl *r)
{
	const char *why;
	uint32_t i, young = 0, missing = 0;

	if ((why = statedb_check(r->db)) != NULL)
		return (why);
	for (i = 0; i < statedb_top(r->db); i++) {
		const struct statedb_entry *e;

		if (!statedb_used(r->db, i))
			continue;
		e = statedb_at(r->db, i);
		young += (e->flags & F_YOUNG) != 0;
		missing += (e->flags & F_MISSING) != 0;
		if (e->carrier != SELF && !(e->flags & F_GONE) &&
		    !(e->flags & STATEDB_F_COUNTED))
			return ("a replica is not in the sums");
		if (e->flags & F_DIRTY && !(e->flags & F_QTX))
			return ("a changed flow waits in no queue");
		if (e->ops != 0 && !(e->flags & F_QOP))
			return ("an operation waits in no queue");
		if (e->flags & F_GONE &&
		    !(e->flags & (F_QTX | F_QOP | F_DYING)))
			return ("an ended flow that nothing waits for");
	}
	if (young != r->nyoung)
		return ("the count of young flows is wrong");
	if (missing != r->nmissing)
		return ("the count of missing flows is wrong");
	return (NULL);
}
