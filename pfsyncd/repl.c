/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): nodes, the table of entries and who carries
 * them, bulk and demotion.
 */
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
	int i, spare = -1, idle = -1;

	for (i = 0; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (n->used && n->id == id)
			return (i);
		if (spare == -1 && !n->used)
			spare = i;
		if (idle == -1 && i != SELF && n->used && node_idle(r, i))
			idle = i;
	}
	if (spare == -1)
		spare = idle;
	if (spare == -1 || id == 0)
		return (-1);
	n = &r->nodes[spare];
	memset(n, 0, sizeof(*n));
	n->id = id;
	n->used = true;
	n->heard = n->synced = n->differs = n->ack_due = MONOTIME_NEVER;
	n->ask_at = now;
	repl_ends_known(r, n);
	return (spare);
}

/* ---- entries ---- */

void
repl_note(struct repl *r, uint32_t i, bool gone)
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
	repl_note(r, i, false);
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
	repl_note(r, i, true);
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

void
repl_revive(struct statedb_entry *e)
{
	e->flags &= (uint16_t)~(F_GONE | F_TELL | F_OVER);
	e->life = (uint8_t)((e->life + 1) & 63);
	e->ops = 0;
}

/* Entry i, ours, is to be told. */
void
repl_dirty(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	bool fresh = !(e->flags & STATEDB_F_COUNTED) && !repl_is_held(r, i);

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
	repl_note(r, i, false);
	repl_dirty(r, i, now);
}

void
repl_booted(struct repl *r, int node, uint32_t boot)
{
	struct node *n = &r->nodes[node];

	n->boot = boot;
	n->booted = true;
	if (r->hooks.booted != NULL)
		r->hooks.booted(n->id, boot, r->hooks.arg);
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
		repl_note(r, i, false);
		repl_dirty(r, i, now);
	}
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

	/* what is not read yet as well */
	r->liberate_all |= r->starting;
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
void
repl_carried_all(struct repl *r)
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
		repl_carried_all(r);
		repl_liberate(r);
		r->liberal_mark = r->ops_queued;
	}
	if (masters > 0 && r->masters == 0) {
		r->turns = (r->turns + 1) & 15;
		r->hello_due = now;
	}
	if (masters == 0 || !connected)
		repl_vhosts_forget(r);
	if (masters > r->masters)
		r->vhosts_due = now;
	if (masters > r->masters && !r->starting) {
		/* see soon what we carry now */
		repl_sooner(&r->dump_all, monotime_add(now, 2 * MONOTIME_SEC));
		r->dump_again = monotime_add(now, 15 * MONOTIME_SEC);
	}
	if (masters > 0 && masters >= r->masters && r->masters == 0)
		r->left = false;
	r->masters = masters;
	r->carp = connected;
}

/* What is there already has passed, or will pass, anywhere. */
void
repl_balanced(struct repl *r, bool on)
{
	if (on && !r->balanced) {
		repl_carried_all(r);
		repl_liberate(r);
	}
	r->balanced = on;
}

bool
repl_hasty(const struct repl *r)
{
	return (r->balanced && (r->urgent.n > 0 || r->fresh.n > 0));
}

/* ---- bulk ---- */

static void
bulk_begin(struct repl *r, monotime_t now)
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
		bulk_begin(r, now);
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

enum hold_reason
repl_hold(const struct repl *r)
{
	if (r->liberal_mark != 0 && r->ops_done < r->liberal_mark)
		return (HOLD_LIBERAL);
	if (!r->link)
		return (HOLD_SYNCDEV);
	if (r->c.native && r->masters == 0 && (r->bulk == SYNC_BULK_WAIT ||
	    r->bulk == SYNC_BULK_RUNNING))
		return (HOLD_BULK);
	return (HOLD_NONE);
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
	repl_sooner(&r->dump_all, now);
	bulk_begin(r, now);
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
	bulk_begin(r, now);
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

	if (n <= SELF || r->nodes[n].native)
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
	    (n = repl_node(r, creatorid, now)) == -1 || r->nodes[n].native)
		return (STATEDB_NONE);
	i = statedb_find(r->db, f, h);
	known = i != STATEDB_NONE;
	if (!known && (i = statedb_add(r->db, f, h)) == STATEDB_NONE)
		return (STATEDB_NONE);
	e = repl_at(r, i);
	if (known) {
		if (e->flags & F_GONE)
			repl_revive(e);
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
repl_is_native(const struct repl *r, uint32_t node)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && r->nodes[i].native &&
		    r->nodes[i].id == node)
			return (true);
	return (false);
}

bool
repl_native_at(const struct repl *r, const struct ipaddr *addr)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && r->nodes[i].native &&
		    r->nodes[i].alive &&
		    ipaddr_cmp(&r->nodes[i].addr, addr) == 0)
			return (true);
	return (false);
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
	r->probe_due = r->rejoined = MONOTIME_NEVER;
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
		if (n->native)
			repl_apart(r, i, now);
		/* what it does now we shall not hear */
		if (r->masters > 0 && n->native)
			repl_liberate(r);
	}
}

void
repl_tick(struct repl *r, monotime_t now)
{
	nodes_tick(r, now);
	repl_defer_tick(r, now);
	repl_ends_tick(r, now);
	repl_kernel_tick(r, now);
	repl_vhosts_tick(r, now);
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
	s->full = r->full;
	s->ends = repl_ends_waiting(r);
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
		p->mtu = n->mtu;
		p->alive = n->alive;
		p->native = n->native;
		p->master = n->master;
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
		p->auth = n->auth;
		p->keyid = n->keyid;
		p->sealed = n->sealed;
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
