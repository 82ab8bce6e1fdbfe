/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): which vhosts are MASTER at two nodes.  No flow
 * depends on it; carpd may not hear the other one, and we do.  Nothing is asked
 * or told unless both are MASTER of something, and what is told is fresh: a
 * carpd that hangs does not answer, and so is not said to be MASTER.
 */
#include <stdlib.h>
#include <string.h>

#include "repl_int.h"

#define RIVALS_GAP	(200 * MONOTIME_MSEC)	/* whatever peers send */

bool
repl_two_masters(const struct repl *r)
{
	const struct node *n;

	if (r->masters == 0 || !r->c.native || !r->link)
		return (false);
	for (n = r->nodes + 1; n < r->nodes + STATEDB_CARRIERS; n++)
		if (n->used && n->native && n->alive && n->master)
			return (true);
	return (false);
}

/* ---- ours ---- */

void
repl_vhosts_tick(struct repl *r, monotime_t now)
{
	if (r->vhosts_asked || monotime_cmp(r->vhosts_due, now) > 0 ||
	    !repl_two_masters(r))
		return;
	r->vhosts_want = r->vhosts_asked = true;
	r->vhosts_due = monotime_add(now, REPL_VHOSTS);
}

bool
repl_want_vhosts(struct repl *r)
{
	bool want = r->vhosts_want;

	r->vhosts_want = false;
	return (want);
}

static int
id_cmp(const void *a, const void *b)
{
	return (memcmp(a, b, NATIVE_VHOST_LEN));
}

static bool
same(const struct vhosts *a, const struct vhosts *b)
{
	return (a->n == b->n &&
	    memcmp(a->id, b->id, a->n * sizeof(a->id[0])) == 0);
}

/* Bits are places in the list. */
static void
drop_rivals(struct repl *r)
{
	struct node *n;

	for (n = r->nodes; n < r->nodes + STATEDB_CARRIERS; n++)
		memset(n->rivals, 0, sizeof(n->rivals));
	r->rivals = false;
}

void
repl_vhosts(struct repl *r, const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n,
    bool last)
{
	struct vhosts *new = &r->new_vhosts;

	if (n > REPL_VHOSTS_MAX - new->n)
		n = REPL_VHOSTS_MAX - new->n;
	if (n > 0)
		memcpy(new->id[new->n], id, n * sizeof(id[0]));
	new->n += n;
	if (!last)
		return;
	qsort(new->id, new->n, sizeof(new->id[0]), id_cmp);
	if (!same(new, &r->vhosts)) {
		drop_rivals(r);
		r->vhosts = *new;
	}
	new->n = 0;
	r->vhosts_told = 0;
	r->vhosts_asked = false;
}

void
repl_vhosts_forget(struct repl *r)
{
	drop_rivals(r);
	r->vhosts.n = r->new_vhosts.n = r->vhosts_told = 0;
	r->vhosts_want = r->vhosts_asked = false;
}

const uint8_t *
repl_vhost_next(const struct repl *r)
{
	return (r->vhosts_told < r->vhosts.n && repl_two_masters(r) ?
	    r->vhosts.id[r->vhosts_told] : NULL);
}

/* ---- theirs ---- */

void
repl_hear_vhosts(struct repl *r, struct node *n, struct rbuf *v)
{
	const uint8_t (*at)[NATIVE_VHOST_LEN], *id;
	size_t i;

	while (rbuf_left(v) >= NATIVE_VHOST_LEN &&
	    (id = rbuf_view(v, NATIVE_VHOST_LEN)) != NULL) {
		at = bsearch(id, r->vhosts.id, r->vhosts.n,
		    sizeof(r->vhosts.id[0]), id_cmp);
		if (at == NULL)
			continue;
		i = (size_t)(at - r->vhosts.id);
		n->rivals[i / 64] |= UINT64_C(1) << i % 64;
		r->rivals = true;
	}
}

static size_t
take_rivals(const struct repl *r, struct node *n,
    uint8_t (*id)[NATIVE_VHOST_LEN], size_t max)
{
	size_t i, k = 0;

	for (i = 0; i < r->vhosts.n && k < max; i++) {
		if (!(n->rivals[i / 64] & UINT64_C(1) << i % 64))
			continue;
		n->rivals[i / 64] &= ~(UINT64_C(1) << i % 64);
		memcpy(id[k++], r->vhosts.id[i], sizeof(id[0]));
	}
	return (k);
}

size_t
repl_rivals(struct repl *r, struct ipaddr *who,
    uint8_t (*id)[NATIVE_VHOST_LEN], size_t max, monotime_t now)
{
	struct node *n;
	size_t k;

	if (!r->rivals || monotime_cmp(r->rivals_due, now) > 0)
		return (0);
	for (n = r->nodes + 1; n < r->nodes + STATEDB_CARRIERS; n++)
		if ((k = take_rivals(r, n, id, max)) > 0) {
			*who = n->addr;
			return (k);
		}
	r->rivals = false;
	r->rivals_due = monotime_add(now, RIVALS_GAP);
	return (0);
}

monotime_t
repl_vhosts_due(const struct repl *r, monotime_t now)
{
	monotime_t t = MONOTIME_NEVER;

	if (r->rivals)
		t = r->rivals_due;
	if (repl_vhost_next(r) != NULL)
		repl_sooner(&t, now);
	if (!r->vhosts_asked && repl_two_masters(r))
		repl_sooner(&t, r->vhosts_due);
	return (t);
}
