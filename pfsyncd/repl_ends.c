/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): what ended while a node could not hear of it,
 * and what must not end although another one says so.
 *
 * What a node told us of with an older stamp than the end that we remember is
 * over: it gets the end as its answer, and at its return all ends that it may
 * not know.  That we lack a flow proves nothing: it may have gone by its
 * timeout while it lives where it is carried.  So remembered is only what was
 * seen to end: closed, or removed before its time.
 */
#include <netinet/in.h>

#include "repl_int.h"

/* ---- who has heard of what ---- */

/* One of ours, also if only the last run heard it. */
static bool
known(const struct node *n)
{
	return (n->used && !n->foreign && (n->native || n->booted));
}

static bool
listens(const struct node *n)
{
	return (n->used && n->native && n->alive && !n->starting);
}

/* Every node has heard of the ends before this one. */
static uint64_t
heard_by_all(const struct repl *r)
{
	uint64_t low = r->ends.next;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (known(&r->nodes[i]) && r->nodes[i].ends_done < low)
			low = r->nodes[i].ends_done;
	return (low);
}

uint64_t
repl_ends_waiting(const struct repl *r)
{
	uint64_t low = heard_by_all(r), oldest = ends_oldest(&r->ends);

	return (r->ends.next - (low > oldest ? low : oldest));
}

void
repl_ends_known(struct repl *r, struct node *n)
{
	n->ends_done = n->ends_told = r->ends.next;
}

void
repl_ends_again(struct node *n)
{
	n->ends_told = n->ends_done;
}

/*
 * It carries just what we hold of it, so nothing that ended; and what it may
 * hold of others it was told.
 */
void
repl_ends_done(struct node *n)
{
	n->ends_done = n->ends_told;
}

/* ---- remembering ---- */

/* Flows that nobody answered live so short that they need not be. */
bool
repl_is_over(const struct flow *f, bool early)
{
	if (!(f->status & FLOW_ASSURED))
		return (false);
	return (early || (f->proto == IPPROTO_TCP &&
	    f->tcp_state >= FLOW_TCP_FIN_WAIT &&
	    f->tcp_state <= FLOW_TCP_CLOSE));
}

static uint64_t
remember(struct repl *r, uint64_t h, uint64_t stamp)
{
	if (repl_ends_waiting(r) == ENDS_MAX)
		r->count.ends_lost++;
	return (ends_add(&r->ends, h, stamp));
}

void
repl_ended(struct repl *r, uint64_t h, uint64_t stamp, bool told)
{
	uint64_t number = remember(r, h, stamp);
	int i;

	for (i = 1; told && i < STATEDB_CARRIERS; i++)
		if (listens(&r->nodes[i]) && r->nodes[i].ends_told == number)
			r->nodes[i].ends_told++;
}

void
repl_end_heard(struct repl *r, const struct statedb_entry *e, int from,
    uint64_t stamp, monotime_t now)
{
	int i;

	if (!repl_is_over(&e->f, e->deadline > repl_sec(r, now) +
	    REPL_EXTRA + 1))
		return;
	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (i != from && known(&r->nodes[i])) {
			(void)remember(r, e->h, stamp);
			return;
		}
}

/* ---- telling ---- */

static void
owe(struct repl *r, uint64_t number)
{
	struct end *t = ends_at(&r->ends, number);

	if (t->owed || r->owe_ends_n == OWE_ENDS)
		return;		/* the next round asks again */
	t->owed = true;
	r->owe_ends[(r->owe_ends_head + r->owe_ends_n++) % OWE_ENDS] = number;
}

bool
repl_over(struct repl *r, int node, uint64_t h, uint64_t stamp)
{
	uint64_t number;

	if (!ends_find(&r->ends, h, &number) ||
	    number < r->nodes[node].ends_done ||
	    stamp > ends_at(&r->ends, number)->stamp)
		return (false);
	owe(r, number);
	return (true);
}

bool
repl_ends_wait(const struct repl *r)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (listens(&r->nodes[i]) &&
		    r->nodes[i].ends_told < r->ends.next)
			return (true);
	return (r->owe_ends_n > 0);
}

/* The first that a node which listens has not been told. */
static uint64_t
untold(struct repl *r)
{
	uint64_t at = r->ends.next;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (listens(&r->nodes[i]) && r->nodes[i].ends_told < at)
			at = r->nodes[i].ends_told;
	return (at < ends_oldest(&r->ends) ? ends_oldest(&r->ends) : at);
}

static void
told_to(struct repl *r, uint64_t number)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (listens(&r->nodes[i]) && r->nodes[i].ends_told <= number)
			r->nodes[i].ends_told = number + 1;
}

/* Has it begun anew meanwhile? */
static bool
lives(struct repl *r, uint64_t h)
{
	uint32_t i = statedb_find_hash(r->db, h);

	return (i != STATEDB_NONE && !(repl_at(r, i)->flags & F_GONE));
}

bool
repl_end_next(struct repl *r, struct native_del *d)
{
	uint64_t number;
	struct end *t;

	while (r->owe_ends_n > 0) {
		number = r->owe_ends[r->owe_ends_head];
		r->owe_ends_head = (r->owe_ends_head + 1) % OWE_ENDS;
		r->owe_ends_n--;
		if ((t = ends_at(&r->ends, number)) == NULL)
			continue;
		t->owed = false;
		if (lives(r, t->h))
			continue;
		*d = (struct native_del){ t->h, t->stamp };
		return (true);
	}
	while ((number = untold(r)) < r->ends.next) {
		t = ends_at(&r->ends, number);
		told_to(r, number);
		if (lives(r, t->h))
			continue;
		*d = (struct native_del){ t->h, t->stamp };
		return (true);
	}
	return (false);
}

void
repl_ends_drain(struct repl *r)
{
	struct end *t;

	while (r->owe_ends_n > 0) {
		t = ends_at(&r->ends, r->owe_ends[r->owe_ends_head]);
		if (t != NULL)
			t->owed = false;
		r->owe_ends_head = (r->owe_ends_head + 1) % OWE_ENDS;
		r->owe_ends_n--;
	}
}

/* ---- what lives here ---- */

static bool
any_apart(const struct repl *r)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && r->nodes[i].apart)
			return (true);
	return (false);
}

void
repl_apart(struct repl *r, int node, monotime_t now)
{
	uint32_t i, top = statedb_top(r->db);
	bool more = any_apart(r);

	r->nodes[node].apart = true;
	r->nodes[node].apart_clock = UINT64_MAX;
	r->rejoined = MONOTIME_NEVER;
	if (more)
		return;		/* what it did not know before stays so */
	r->apart = true;
	r->watching = false;
	r->apart_at = now;
	for (i = 0; i < top; i++)
		if (statedb_used(r->db, i))
			repl_at(r, i)->flags &= (uint16_t)~F_LIVED;
	/* what a look shows from the next one on has happened since */
	repl_overrun(r, now);
}

void
repl_apart_looked(struct repl *r)
{
	if (r->apart && r->dump_what == STATETBL_ALL &&
	    monotime_cmp(r->dump_at, r->apart_at) >= 0)
		r->watching = true;
}

void
repl_traffic(const struct repl *r, struct statedb_entry *e, bool dump)
{
	if (r->apart && (!dump || r->watching))
		e->flags |= F_LIVED;
}

void
repl_rejoins(struct node *n, uint64_t clock)
{
	if (n->apart)
		n->apart_clock = clock;
}

bool
repl_lived(const struct repl *r, const struct statedb_entry *e, uint64_t stamp)
{
	int i;

	if (!r->apart || e->carrier != SELF || !(e->flags & F_LIVED))
		return (false);
	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && stamp <= r->nodes[i].apart_clock)
			return (true);
	return (false);
}

/* Who was away too long is not waited for any more. */
static void
node_tick(struct repl *r, struct node *n, monotime_t now)
{
	monotime_t since = monotime_isset(n->heard) ? n->heard : r->start;

	if (n->alive && n->matched)
		n->apart = false;
	else if (!n->alive && known(n) &&
	    monotime_sub(now, since) > REPL_FORGET) {
		n->apart = false;
		repl_ends_known(r, n);
	}
}

void
repl_ends_tick(struct repl *r, monotime_t now)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		node_tick(r, &r->nodes[i], now);
	if (any_apart(r) || !r->apart)
		r->rejoined = MONOTIME_NEVER;
	else if (!monotime_isset(r->rejoined))
		r->rejoined = now;
	else if (monotime_sub(now, r->rejoined) > REJOIN_TIME)
		r->apart = false;
}
