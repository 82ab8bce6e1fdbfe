/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h), first packets that are held back.  Our flow is
 * told at once, and who hears of it is asked to say when its kernel has it
 * (NATIVE_ASK_ACK, NATIVE_INS_ACK; pf: a flag of the state, INS_ACK).  All who
 * live are waited for, since any of them may get the answer to that packet;
 * but not those who never acknowledge.  And what others ask of us so.
 */
#include "repl_int.h"

#define DEAF		32	/* unacknowledged in a row: not waited for */

/* ---- who is asked ---- */

/* Bits of the nodes that listen; waited: only of those that acknowledge. */
static uint32_t
listeners(const struct repl *r, bool waited)
{
	const struct node *n;
	uint32_t mask = 0;
	int i;

	if (r->starting || !r->link)
		return (0);
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->alive || (waited && n->deaf >= DEAF))
			continue;
		if (n->native && r->c.native && !n->starting)
			mask |= 1U << i;
		else if (n->foreign && (!waited || r->pf_deaf < DEAF))
			mask |= HELD_IN | HELD_OUT;
	}
	return (mask);
}

static void
nobody_answered(struct repl *r, uint32_t owed)
{
	struct node *n;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (owed & 1U << i && n->deaf < DEAF)
			n->deaf++;
	}
	if (owed & (HELD_IN | HELD_OUT) && r->pf_deaf < DEAF)
		r->pf_deaf++;
}

/* ---- our packets ---- */

static void
let_go(struct repl *r, uint32_t packet, enum defer_why why)
{
	if (r->nfree < HELD_FREE)
		r->free[r->nfree++] = (struct defer_go){ packet, why };
}

static void
drop(struct repl *r, uint32_t k)
{
	r->nheld--;
	memmove(&r->held[k], &r->held[k + 1],
	    (r->nheld - k) * sizeof(r->held[0]));
}

static const struct held *
find_held(const struct repl *r, uint64_t h)
{
	uint32_t k;

	for (k = 0; k < r->nheld; k++)
		if (r->held[k].h == h)
			return (&r->held[k]);
	return (NULL);
}

bool
repl_is_held(const struct repl *r, uint32_t i)
{
	return (r->nheld > 0 &&
	    find_held(r, statedb_at(r->db, i)->h) != NULL);
}

/* Make it known; STATEDB_NONE: it is nobody else's business. */
static uint32_t
begin(struct repl *r, const struct statetbl_event *ev, monotime_t now)
{
	uint64_t h = statedb_hash(r->db, &ev->f);
	const struct statedb_entry *e;
	uint32_t i;

	/* the next packet of it, before the kernel's table has it */
	if (find_held(r, h) == NULL)
		repl_event(r, ev, now);
	if ((i = statedb_find(r->db, &ev->f, h)) == STATEDB_NONE)
		return (STATEDB_NONE);
	e = repl_at(r, i);
	return (e->carrier != SELF || e->flags & (F_GONE | F_MUTE) ?
	    STATEDB_NONE : i);
}

static void
hold(struct repl *r, uint32_t i, uint32_t packet, uint32_t owed,
    monotime_t now)
{
	const struct held *same = find_held(r, repl_at(r, i)->h);
	struct held *p = &r->held[r->nheld];

	memset(p, 0, sizeof(*p));
	p->h = repl_at(r, i)->h;
	p->owed = owed;
	if (same != NULL)
		*p = *same;
	p->packet = packet;
	p->due = monotime_add(now, DEFER_TIME);
	r->nheld++;
	repl_grow_up(r, i, now);
	if (same == NULL && (r->hooks.asks == NULL ||
	    !r->hooks.asks(i, r->hooks.arg)))
		p->owed &= ~(HELD_IN | HELD_OUT);
	p->waits = (p->owed & listeners(r, true)) != 0;
	if (!p->waits)
		let_go(r, packet, DEFER_FREE);
}

void
repl_defer(struct repl *r, const struct statetbl_event *ev, uint32_t packet,
    monotime_t now)
{
	uint32_t owed = listeners(r, false), i;

	if (owed == 0 || (i = begin(r, ev, now)) == STATEDB_NONE)
		let_go(r, packet, DEFER_FREE);
	else if (r->nheld == DEFER_MAX)
		let_go(r, packet, DEFER_FULL);
	else
		hold(r, i, packet, owed, now);
}

size_t
repl_let_go(struct repl *r, struct defer_go *go, size_t max)
{
	size_t n = r->nfree < max ? r->nfree : max;

	memcpy(go, r->free, n * sizeof(*go));
	r->nfree -= (uint32_t)n;
	memmove(r->free, r->free + n, r->nfree * sizeof(*go));
	return (n);
}

/* Those of the flow h that who is waited for no more. */
static void
answered(struct repl *r, uint64_t h, uint64_t stamp, uint32_t who)
{
	uint32_t waited, k = 0;

	if (r->nheld == 0)
		return;
	waited = listeners(r, true);
	while (k < r->nheld) {
		struct held *p = &r->held[k];

		if (p->h == h && (stamp == 0 || (p->asked &&
		    p->stamp == stamp)))
			p->owed &= ~who;
		if (p->h != h || p->owed & waited) {
			k++;
			continue;
		}
		if (p->waits)
			let_go(r, p->packet, DEFER_ACKED);
		drop(r, k);
	}
}

void
repl_ins_acked(struct repl *r, int from, uint64_t h, uint64_t stamp)
{
	r->nodes[from].deaf = 0;
	if (stamp != 0)
		answered(r, h, stamp, 1U << from);
}

void
repl_foreign_acked(struct repl *r, uint32_t i, unsigned int half)
{
	r->pf_deaf = 0;
	answered(r, repl_at(r, i)->h, 0, half == 0 ? HELD_IN : HELD_OUT);
}

/* Who is gone is not waited for; and nobody for longer than it takes. */
void
repl_defer_tick(struct repl *r, monotime_t now)
{
	uint32_t waited, k = 0;

	if (r->nheld == 0)
		return;
	waited = listeners(r, true);
	while (k < r->nheld) {
		struct held *p = &r->held[k];
		bool due = monotime_cmp(p->due, now) <= 0;

		if (due)	/* the table process sees to the packet */
			nobody_answered(r, p->owed);
		else if (p->waits && (p->owed & waited) == 0) {
			let_go(r, p->packet, DEFER_FREE);
			p->waits = false;
		}
		if (due)
			drop(r, k);
		else
			k++;
	}
}

/* The next that was told, and is not asked about yet. */
static struct held *
next_ask(struct repl *r)
{
	const struct statedb_entry *e;
	uint32_t k, i;

	for (k = 0; k < r->nheld; k++) {
		if (r->held[k].asked ||
		    (i = statedb_find_hash(r->db, r->held[k].h)) ==
		    STATEDB_NONE)
			continue;
		e = repl_at(r, i);
		if (e->carrier == SELF && e->flags & STATEDB_F_COUNTED &&
		    !(e->flags & (F_DIRTY | F_GONE))) {
			r->held[k].stamp = e->stamp;
			return (&r->held[k]);
		}
	}
	return (NULL);
}

bool
repl_asks_wait(struct repl *r)
{
	return (r->nheld > 0 && next_ask(r) != NULL);
}

bool
repl_ask_next(struct repl *r, struct native_del *d)
{
	struct held *p = r->nheld == 0 ? NULL : next_ask(r);

	if (p == NULL)
		return (false);
	p->asked = true;
	d->h = p->h;
	d->stamp = p->stamp;
	return (true);
}

/* ---- what others ask ---- */

void
repl_owe_ack(struct repl *r, int from, uint64_t h, uint64_t stamp)
{
	struct owe_ack *o;

	if (r->owe_acks_n == OWE_ACKS || stamp == 0)
		return;		/* its packet goes on by itself */
	o = &r->owe_acks[(r->owe_acks_head + r->owe_acks_n++) % OWE_ACKS];
	o->h = h;
	o->stamp = stamp;
	o->node = (uint8_t)from;
	o->marked = false;
}

/* Has the kernel what o asks for?  1; not yet: 0; never: -1. */
static int
kernel_has(struct repl *r, struct owe_ack *o)
{
	uint32_t i = statedb_find_hash(r->db, o->h);
	const struct statedb_entry *e;

	if (i == STATEDB_NONE)
		return (-1);
	e = repl_at(r, i);
	if (e->carrier != o->node || e->stamp < o->stamp ||
	    e->flags & (F_GONE | F_MISSING))
		return (-1);
	if (e->flags & F_QOP)
		return (0);
	if (!o->marked) {
		o->marked = true;
		o->mark = r->told_table;
	}
	return (r->done_table >= o->mark);
}

const struct owe_ack *
repl_next_ack(struct repl *r)
{
	struct owe_ack *o;
	int has;

	while (r->owe_acks_n > 0) {
		o = &r->owe_acks[r->owe_acks_head];
		if ((has = kernel_has(r, o)) == 1)
			return (o);
		if (has == 0)
			return (NULL);
		repl_ack_told(r);
	}
	return (NULL);
}

void
repl_ack_told(struct repl *r)
{
	r->owe_acks_head = (r->owe_acks_head + 1) % OWE_ACKS;
	r->owe_acks_n--;
}

bool
repl_urgent(struct repl *r)
{
	return ((r->nheld > 0 && !r->held[r->nheld - 1].asked) ||
	    repl_next_ack(r) != NULL);
}
