/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The dialects of pf(4): what is kept beside each flow, the two indices, what
 * a local change queues, and the timers.  After if_pfsync.c of OpenBSD (since
 * 7.4).  Received messages are pfdial_rx.c's, packets
 * pfdial_tx.c's.
 */
#include <sys/param.h>
#include <netinet/in.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "pfdial_int.h"

#define IDS_BITS	16
#define PAIRS_BITS	14
#define INDEX_BITS_MAX	31
#define DEL_MIN		(1U << 14)
#define DEL_MAX		(1U << 23)
#define GENERATIONS	8		/* tries to find a free identity */

/* pf's TCP states */
#define S_ESTABLISHED	4
#define S_CLOSING	7
#define S_FIN_WAIT_2	9

/* ---- time ---- */

/* Hooks read the clock themselves, so now may be a little older than last. */
uint32_t
pfdial_sec(struct pfdial *d, monotime_t now)
{
	int64_t	 s = monotime_sub(now, d->base) / MONOTIME_SEC + 1;

	if (s > d->sec)
		d->sec = (uint32_t)s;
	return (d->sec);
}

void
pfdial_sooner(struct pfdial *d, monotime_t at)
{
	if (d->c.sends && monotime_cmp(at, d->due) < 0)
		d->due = at;
}

/* ---- indices ---- */

static uint32_t
home(const struct index *x, uint32_t tag)
{
	return (tag >> (32 - x->bits));
}

static uint32_t
mask(const struct index *x)
{
	return ((1U << x->bits) - 1);
}

static bool
index_room(const struct index *x, uint32_t n)
{
	uint64_t	 size = 1ULL << x->bits;

	return ((uint64_t)x->n + n <= size / 4 * 3);
}

uint32_t
pfdial_index_next(const struct index *x, uint32_t tag, uint32_t *pos)
{
	const struct slot	*s;

	if (*pos == NONE)
		*pos = home(x, tag);
	else
		*pos = (*pos + 1) & mask(x);
	for (; (s = &x->s[*pos])->v != NONE; *pos = (*pos + 1) & mask(x))
		if (s->tag == tag)
			return (s->v);
	return (NONE);
}

static void
index_store(struct index *x, uint32_t tag, uint32_t v)
{
	uint32_t	 p = home(x, tag);

	while (x->s[p].v != NONE)
		p = (p + 1) & mask(x);
	x->s[p] = (struct slot){ tag, v };
}

static bool
index_put(struct index *x, uint32_t tag, uint32_t v)
{
	if (!index_room(x, 1))
		return (false);
	index_store(x, tag, v);
	x->n++;
	return (true);
}

/* Close the hole at p: move back what it kept from its home. */
static void
index_close(struct index *x, uint32_t p)
{
	uint32_t	 q = p, want;

	for (;;) {
		x->s[p].v = NONE;
		do {
			q = (q + 1) & mask(x);
			if (x->s[q].v == NONE)
				return;
			want = home(x, x->s[q].tag);
		} while (((q - want) & mask(x)) < ((q - p) & mask(x)));
		x->s[p] = x->s[q];
		p = q;
	}
}

static void
index_del(struct index *x, uint32_t tag, uint32_t v)
{
	uint32_t	 pos = NONE, u;

	while ((u = pfdial_index_next(x, tag, &pos)) != NONE)
		if (u == v) {
			index_close(x, pos);
			x->n--;
			return;
		}
	assert(!"not in the index");
}

static int
index_new(struct index *x, unsigned int bits)
{
	size_t	 size = (size_t)1 << bits;

	if ((x->s = reallocarray(NULL, size, sizeof(*x->s))) == NULL)
		return (-1);
	memset(x->s, 0xff, size * sizeof(*x->s));
	x->bits = bits;
	x->n = 0;
	return (0);
}

static int
index_grow(struct index *x)
{
	struct index	 y;
	size_t		 i, size = (size_t)1 << x->bits;

	if (x->bits == INDEX_BITS_MAX || index_new(&y, x->bits + 1) == -1)
		return (-1);
	for (i = 0; i < size; i++)
		if (x->s[i].v != NONE)
			index_store(&y, x->s[i].tag, x->s[i].v);
	y.n = x->n;
	free(x->s);
	*x = y;
	return (0);
}

/* ---- hashes ---- */

static uint32_t
hash(const struct pfdial *d, const void *p, size_t len)
{
	return ((uint32_t)flow_siphash(d->c.idkey, p, len));
}

uint32_t
pfdial_identity_hash(const struct pfdial *d, uint64_t id, uint32_t creatorid)
{
	uint64_t	 v[2] = { id, creatorid };

	return (hash(d, v, sizeof(v)));
}

uint32_t
pfdial_name_hash(const struct pfdial *d, const char name[16])
{
	return (hash(d, name, strnlen(name, 16)));
}

/* The initiator and the responder between the two interfaces. */
static uint32_t
pair_hash(const struct pfdial *d, const struct flow *f, const uint8_t *init,
    uint16_t iport, const uint8_t *resp, uint16_t rport)
{
	uint8_t	 v[38];

	if (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6)
		rport = 0;
	memcpy(v, init, 16);
	memcpy(v + 16, resp, 16);
	memcpy(v + 32, &iport, sizeof(iport));
	memcpy(v + 34, &rport, sizeof(rport));
	v[36] = f->proto;
	v[37] = f->af;
	return (hash(d, v, sizeof(v)));
}

static uint32_t
pair_hash_flow(const struct pfdial *d, const struct flow *f)
{
	return (pair_hash(d, f, f->orig.src, f->orig.sport, f->reply.src,
	    f->reply.sport));
}

/*
 * The same of a flow that was built from one half: there the stack key is the
 * tuple of the side that is not known.
 */
uint32_t
pfdial_pair_hash_half(const struct pfdial *d, const struct flow *f, int half)
{
	const struct flow_tuple	*r = &f->reply;
	bool			 icmp;

	if (half == CTMAP_OUT)
		return (pair_hash(d, f, f->orig.src, f->orig.sport,
		    f->orig.dst, f->orig.dport));
	icmp = f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6;
	return (pair_hash(d, f, r->dst, icmp ? r->sport : r->dport, r->src,
	    r->sport));
}

static uint32_t
nat_hash(const struct pfdial *d, const struct flow *f)
{
	return (hash(d, &f->reply, sizeof(f->reply)));
}

/* ---- creators ---- */

/* The first one is ourselves, always. */
static struct creator *
creator_get(struct pfdial *d, uint32_t id)
{
	struct creator	*c, *spare = NULL;

	for (c = d->creators; c < d->creators + CREATORS; c++) {
		if (c->id == id)
			return (c);
		if (spare == NULL && c->n == 0 && c != d->creators)
			spare = c;
	}
	if (spare != NULL)
		*spare = (struct creator){ id, 0 };
	return (spare);
}

uint32_t
pfdial_creator_count(const struct pfdial *d, uint32_t id)
{
	const struct creator	*c;

	for (c = d->creators; c < d->creators + CREATORS; c++)
		if (c->id == id)
			return (c->n);
	return (0);
}

/* ---- identities ---- */

uint32_t
pfdial_find(const struct pfdial *d, uint64_t id, uint32_t creatorid)
{
	uint32_t		 pos = NONE, v, tag;
	const struct half	*h;

	tag = pfdial_identity_hash(d, id, creatorid);
	while ((v = pfdial_index_next(&d->ids, tag, &pos)) != NONE) {
		h = pfdial_half(d, v >> 1);
		if (v & 1 ? h->alias == id && h->alias_creatorid == creatorid :
		    h->id == id && h->creatorid == creatorid)
			return (v);
	}
	return (NONE);
}

static bool
identity_put(struct pfdial *d, uint64_t id, uint32_t creatorid, uint32_t ref)
{
	struct creator	*c;

	if (pfdial_find(d, id, creatorid) != NONE ||
	    (c = creator_get(d, creatorid)) == NULL ||
	    !index_put(&d->ids, pfdial_identity_hash(d, id, creatorid), ref))
		return (false);
	c->n++;
	return (true);
}

static void
identity_del(struct pfdial *d, uint64_t id, uint32_t creatorid, uint32_t ref)
{
	index_del(&d->ids, pfdial_identity_hash(d, id, creatorid), ref);
	creator_get(d, creatorid)->n--;
}

bool
pfdial_identify(struct pfdial *d, uint32_t n, uint64_t id,
    uint32_t creatorid)
{
	struct half	*h = pfdial_half(d, n);

	if (!identity_put(d, id, creatorid, n << 1))
		return (false);
	h->id = id;
	h->creatorid = creatorid;
	return (true);
}

static void
alias_forget(struct pfdial *d, uint32_t n)
{
	struct half	*h = pfdial_half(d, n);

	if (h->alias_creatorid == 0)
		return;
	identity_del(d, h->alias, h->alias_creatorid, n << 1 | 1);
	h->alias = 0;
	h->alias_creatorid = 0;
}

/* What no peer was ever told needs no alias. */
bool
pfdial_adopt(struct pfdial *d, uint32_t n, uint64_t id, uint32_t creatorid)
{
	struct half	*h = pfdial_half(d, n);
	bool		 known = h->flags & (H_TOLD | H_HEARD);

	if (h->queue == Q_INS)
		pfdial_unlink(d, n);
	alias_forget(d, n);
	identity_del(d, h->id, h->creatorid, n << 1);
	if (known && identity_put(d, h->id, h->creatorid, n << 1 | 1)) {
		h->alias = h->id;
		h->alias_creatorid = h->creatorid;
	}
	h->creatorid = 0;
	return (pfdial_identify(d, n, id, creatorid));
}

/* ---- queues ---- */

void
pfdial_unlink(struct pfdial *d, uint32_t n)
{
	struct half	*h = pfdial_half(d, n);
	struct list	*l = &d->q[h->queue];

	if (h->queue == Q_NONE)
		return;
	if (h->prev == NONE)
		l->head = h->next;
	else
		pfdial_half(d, h->prev)->next = h->next;
	if (h->next == NONE)
		l->tail = h->prev;
	else
		pfdial_half(d, h->next)->prev = h->prev;
	l->n--;
	h->queue = Q_NONE;
	h->updates = 0;
}

void
pfdial_push(struct pfdial *d, uint32_t n, enum queue q)
{
	struct half	*h = pfdial_half(d, n);
	struct list	*l = &d->q[q];

	if (!d->c.sends)
		return;
	pfdial_unlink(d, n);
	h->queue = (uint8_t)q;
	h->next = NONE;
	h->prev = l->tail;
	if (l->tail == NONE)
		l->head = n;
	else
		pfdial_half(d, l->tail)->next = n;
	l->tail = n;
	l->n++;
}

/* What could wait goes with the urgent ones now. */
static void
lazy_now(struct pfdial *d, monotime_t now)
{
	while (d->q[Q_LAZY].n > 0)
		pfdial_push(d, d->q[Q_LAZY].head, Q_UPD_C);
	d->lazy = MONOTIME_NEVER;
	pfdial_sooner(d, now);
}

bool
pfdial_ring_put(struct pfdial *d, struct ring *r, uint64_t id,
    uint32_t creatorid)
{
	if (r->n == r->size) {
		d->lost++;
		return (false);
	}
	r->e[(r->head + r->n++) & (r->size - 1)] =
	    (struct pfsync_id){ id, creatorid };
	return (true);
}

static int
ring_new(struct ring *r, uint32_t size)
{
	if ((r->e = reallocarray(NULL, size, sizeof(*r->e))) == NULL)
		return (-1);
	r->size = size;
	r->head = r->n = 0;
	return (0);
}

static int
ring_grow(struct ring *r)
{
	struct ring	 q;
	uint32_t	 i;

	if (ring_new(&q, r->size * 2) == -1)
		return (-1);
	for (i = 0; i < r->n; i++)
		q.e[i] = r->e[(r->head + i) & (r->size - 1)];
	q.n = r->n;
	free(r->e);
	*r = q;
	return (0);
}

/* ---- sides ---- */

void
pfdial_half_forget(struct pfdial *d, uint32_t n)
{
	struct half	*h = pfdial_half(d, n);

	pfdial_unlink(d, n);
	alias_forget(d, n);
	if (h->creatorid != 0)
		identity_del(d, h->id, h->creatorid, n << 1);
	memset(h, 0, sizeof(*h));
}

void
pfdial_forget(struct pfdial *d, uint32_t i)
{
	struct side	*s = pfdial_side(d, i);
	uint32_t	 tag;

	if (s == NULL || !(s->flags & S_USED))
		return;
	pfdial_half_forget(d, i << 1 | CTMAP_IN);
	pfdial_half_forget(d, i << 1 | CTMAP_OUT);
	index_del(&d->pairs, s->pair, i);
	tag = s->tag;
	memset(s, 0, sizeof(*s));
	s->tag = tag;
	s->flags = S_GONE;
}

void
pfdial_side_new(struct pfdial *d, uint32_t i, uint32_t pair, int32_t born)
{
	const struct statedb_entry	*e = statedb_at(repl_db(d->r), i);
	struct side			*s = pfdial_side(d, i);

	assert(!(s->flags & S_USED));
	memset(s, 0, sizeof(*s));
	if (!index_put(&d->pairs, pair, i)) {
		d->lost++;
		return;
	}
	s->flags = S_USED;
	s->tag = (uint32_t)e->h;
	s->pair = pair;
	s->nat = nat_hash(d, &e->f);
	s->born = born;
}

/* The side of entry i, if it is still that of the flow that is there now. */
static struct side *
side_of(struct pfdial *d, uint32_t i)
{
	struct side	*s = pfdial_side(d, i);

	if (s != NULL && s->flags & S_USED &&
	    s->tag != (uint32_t)statedb_at(repl_db(d->r), i)->h)
		pfdial_forget(d, i);
	return (s);
}

void
pfdial_half_del(struct pfdial *d, uint32_t n, monotime_t now)
{
	const struct half	*h = pfdial_half(d, n);

	if (!d->c.sends || !(h->flags & (H_TOLD | H_HEARD)))
		return;
	if (h->creatorid != 0)
		(void)pfdial_ring_put(d, &d->del, h->id, h->creatorid);
	if (h->alias_creatorid != 0)
		(void)pfdial_ring_put(d, &d->del, h->alias,
		    h->alias_creatorid);
	pfdial_sooner(d, monotime_add(now, BATCH));
}

void
pfdial_bury(struct pfdial *d, uint32_t i)
{
	const struct side	*s = pfdial_side(d, i);

	if ((s->half[0].flags | s->half[1].flags) & H_TOLD)
		d->grave[s->tag % GRAVES] = (struct grave){ s->tag,
		    s->generation, true };
}

static uint8_t
next_generation(const struct pfdial *d, uint32_t tag)
{
	const struct grave	*g = &d->grave[tag % GRAVES];

	return (g->used && g->tag == tag ? (uint8_t)(g->generation + 1) : 0);
}

/* ---- what we would tell ---- */

/*
 * Peers never go back, so what was heard stays where it is further; where both
 * mean one conntrack state, pf knew better which side is where.
 */
static void
view_heard(const struct half *h, const struct flow *f,
    struct pfsync_peer *src, struct pfsync_peer *dst, uint8_t *timeout)
{
	uint8_t		 xs = src->state, xd = dst->state;
	struct flow	 g = *f;

	*src = h->src;
	*dst = h->dst;
	if (f->proto == IPPROTO_TCP &&
	    ctmap_tcp_import(src->state, dst->state) == f->tcp_state)
		return;
	if (src->state < xs)
		src->state = xs;
	if (dst->state < xd)
		dst->state = xd;
	if (src->state == xs && dst->state == xd)
		return;
	if (ctmap_progress(&g, src->state, dst->state)) {
		struct pfsync_peer	 a, b;

		ctmap_export_peers(&g, &a, &b, timeout);
	}
}

void
pfdial_view(const struct pfdial *d, uint32_t n, const struct flow *f,
    struct pfsync_peer *src, struct pfsync_peer *dst, uint8_t *timeout)
{
	const struct half	*h = pfdial_half(d, n);

	ctmap_export_peers(f, src, dst, timeout);
	if (h->flags & H_HEARD)
		view_heard(h, f, src, dst, timeout);
}

/* ---- local changes ---- */

/* 63 bits that all who know the secret come to, and the half (6.8). */
static uint64_t
make_id(const struct pfdial *d, const struct flow *f, uint8_t generation,
    uint32_t half)
{
	struct {
		struct flow_tuple	 orig;
		uint16_t		 zone;
		uint8_t			 proto, af;
		uint32_t		 generation;
	} v;

	memset(&v, 0, sizeof(v));
	v.orig = f->orig;
	v.zone = f->zone;
	v.proto = f->proto;
	v.af = f->af;
	v.generation = generation;
	return (flow_siphash(d->c.idkey, &v, sizeof(v)) << 1 | half);
}

/* A half that nobody has told us of gets an identity of ours. */
static void
own_half(struct pfdial *d, uint32_t n, const struct flow *f, monotime_t now)
{
	struct side	*s = pfdial_side(d, n >> 1);
	unsigned int	 tries;

	for (tries = 0; tries < GENERATIONS; tries++) {
		if (pfdial_identify(d, n, make_id(d, f, s->generation, n & 1),
		    d->c.creatorid)) {
			pfdial_push(d, n, Q_INS);
			pfdial_sooner(d, repl_is_held(d->r, n >> 1) ? now :
			    monotime_add(now, BATCH));
			return;
		}
		s->generation++;
	}
	d->lost++;
}

/*
 * Before peers, of pf or of conntrack as we are, drop it; not much sooner: a
 * BSD host that forwards it, too, answers each refresh with a burst (3.1).
 */
static uint32_t
refresh_after(const struct flow *f, uint8_t timeout)
{
	uint32_t	 t, slack;

	t = MIN(ctmap_pf_timeout(timeout), ctmap_timeout(f->proto,
	    f->tcp_state, f->status));
	slack = MIN(t / 4, CONFIG_REFRESH);
	return (t / 2 - slack);
}

static void
push_lazy(struct pfdial *d, uint32_t n, const struct flow *f, monotime_t now)
{
	struct half	*h = pfdial_half(d, n);

	if (h->queue != Q_LAZY) {
		if (d->q[Q_LAZY].n == 0)
			d->lazy = monotime_add(now, LAZY);
		pfdial_push(d, n, Q_LAZY);
		return;
	}
	if (f->proto == IPPROTO_TCP && ++h->updates >= d->c.maxupd)
		lazy_now(d, now);
}

/*
 * A half with an identity: is there anything that peers should know?  That it
 * is ours now, once, so that nobody ends it for lack of traffic there.
 */
static void
half_changed(struct pfdial *d, uint32_t n, const struct flow *f, bool claimed,
    monotime_t now)
{
	struct half		*h = pfdial_half(d, n);
	struct pfsync_peer	 src, dst;
	uint8_t			 timeout;
	bool			 changed, matters;

	if (!d->c.sends || h->queue == Q_INS || h->queue == Q_UPD ||
	    h->queue == Q_UPD_C)
		return;		/* these are filled in when they leave */
	pfdial_view(d, n, f, &src, &dst, &timeout);
	changed = src.state != h->told_src || dst.state != h->told_dst ||
	    timeout != h->told_timeout;
	matters = f->proto == IPPROTO_TCP ||
	    (dst.state != 0 && h->told_dst == 0);
	if (changed && matters) {
		pfdial_push(d, n, Q_UPD_C);
		pfdial_sooner(d, monotime_add(now, BATCH));
	} else if (changed || claimed ||
	    d->sec - h->sent >= refresh_after(f, timeout))
		push_lazy(d, n, f, now);
}

/* Where its peers are, as far as others know. */
static void
known_states(const struct half *h, uint8_t *src, uint8_t *dst)
{
	*src = h->told_src;
	*dst = h->told_dst;
	if (h->flags & H_HEARD) {
		if (h->src.state > *src)
			*src = h->src.state;
		if (h->dst.state > *dst)
			*dst = h->dst.state;
	}
}

/*
 * pf's states only go on, conntrack starts a closed connection over; and a
 * key cannot change, so another translation is another state.
 */
static bool
reopened(const struct pfdial *d, uint32_t i, const struct flow *f)
{
	const struct side	*s = pfdial_side(d, i);
	uint8_t			 src = 0, dst = 0, a, b;
	int			 half;

	if (s->nat != nat_hash(d, f))
		return (true);
	if (f->proto != IPPROTO_TCP)
		return (false);
	for (half = 0; half < 2; half++) {
		known_states(&s->half[half], &a, &b);
		if (a > src)
			src = a;
		if (b > dst)
			dst = b;
	}
	switch (f->tcp_state) {
	case FLOW_TCP_SYN_SENT:
	case FLOW_TCP_SYN_SENT2:
		return (src >= S_ESTABLISHED);
	case FLOW_TCP_SYN_RECV:
		return (src >= S_CLOSING || dst >= S_CLOSING);
	case FLOW_TCP_ESTABLISHED:
		return (src >= S_FIN_WAIT_2 && dst >= S_FIN_WAIT_2);
	default:
		return (false);
	}
}

/* The old states end, new ones will begin. */
static void
renew(struct pfdial *d, uint32_t i, const struct flow *f, monotime_t now)
{
	struct side	*s = pfdial_side(d, i);
	uint8_t		 generation = s->generation;
	bool		 told = (s->half[0].flags | s->half[1].flags) & H_TOLD;

	pfdial_half_del(d, i << 1 | CTMAP_IN, now);
	pfdial_half_del(d, i << 1 | CTMAP_OUT, now);
	pfdial_forget(d, i);
	pfdial_side_new(d, i, pair_hash_flow(d, f), (int32_t)d->sec);
	s->generation = (uint8_t)(generation + told);
}

static void
tell(struct pfdial *d, uint32_t i, const struct flow *f, monotime_t now)
{
	struct side	*s = pfdial_side(d, i);
	bool		 claimed = s->put != 0;
	uint32_t	 n;

	s->put = 0;
	for (n = i << 1; n <= (i << 1 | 1); n++) {
		const struct half	*h = &s->half[n & 1];

		if (h->creatorid == 0) {
			own_half(d, n, f, now);
			continue;
		}
		if (h->creatorid != d->c.creatorid)
			s->flags |= S_CARRIED;
		half_changed(d, n, f, claimed, now);
	}
}

void
pfdial_changed(struct pfdial *d, uint32_t i, monotime_t now)
{
	struct side		*s = side_of(d, i);
	const struct flow	*f;

	(void)pfdial_sec(d, now);
	if (s == NULL || !repl_is_local(d->r, i)) {
		d->lost += s == NULL;
		return;
	}
	f = &statedb_at(repl_db(d->r), i)->f;
	if (ctmap_exportable(f) != NULL)
		return;
	if (!(s->flags & S_USED)) {
		pfdial_side_new(d, i, pair_hash_flow(d, f),
		    (int32_t)d->sec);
		s->generation = next_generation(d, s->tag);
	} else if (reopened(d, i, f))
		renew(d, i, f, now);
	if (s->flags & S_USED)
		tell(d, i, f, now);
}

bool
pfdial_asks(const struct pfdial *d, uint32_t i)
{
	const struct side	*s = pfdial_side(d, i);

	return (s != NULL && s->flags & S_USED &&
	    s->half[0].queue == Q_INS && s->half[1].queue == Q_INS &&
	    s->half[0].creatorid == d->c.creatorid &&
	    s->half[1].creatorid == d->c.creatorid);
}

void
pfdial_removed(struct pfdial *d, uint32_t i, bool announce, monotime_t now)
{
	struct side	*s = side_of(d, i);

	(void)pfdial_sec(d, now);
	if (s == NULL || !(s->flags & S_USED))
		return;
	if (announce && d->quiet != i) {
		pfdial_half_del(d, i << 1 | CTMAP_IN, now);
		pfdial_half_del(d, i << 1 | CTMAP_OUT, now);
		pfdial_bury(d, i);
	}
	pfdial_forget(d, i);
}

/* ---- our request for a bulk ---- */

static void
ask(struct pfdial *d, monotime_t now)
{
	struct bulk_rx	*b = &d->brx;

	b->state = SYNC_BULK_WAIT;
	b->tries++;
	b->ask = true;
	b->at = monotime_add(now, ASK_TIME);
	pfdial_sooner(d, now);
}

void
pfdial_bulk(struct pfdial *d, monotime_t now)
{
	if (!d->c.sends) {
		d->brx.state = SYNC_BULK_DONE;	/* nobody can be asked */
		return;
	}
	d->brx.tries = 0;
	d->brx.since = now;
	ask(d, now);
}

unsigned int
pfdial_bulk_state(const struct pfdial *d)
{
	const struct bulk_rx	*b = &d->brx;

	/* on go the questions, but others have told us what they have */
	if (b->state == SYNC_BULK_WAIT && b->tries > ASK_FEW &&
	    repl_listened(d->r))
		return (SYNC_BULK_FAILED);
	return (b->state);
}

static void
ask_tick(struct pfdial *d, monotime_t now)
{
	struct bulk_rx	*b = &d->brx;

	if ((b->state != SYNC_BULK_WAIT && b->state != SYNC_BULK_RUNNING) ||
	    monotime_cmp(now, b->at) < 0)
		return;
	if (b->tries >= ASK_TRIES ||
	    monotime_sub(now, b->since) > ASK_LONGEST)
		b->state = SYNC_BULK_FAILED;
	else
		ask(d, now);
}

/* ---- carpd ---- */

void
pfdial_carp(struct pfdial *d, unsigned int masters, monotime_t now)
{
	uint32_t	 sec = pfdial_sec(d, now);

	if (masters > 0 && d->masters == 0) {
		d->mastered = true;
		d->master_from = sec;
	}
	if (masters < d->masters)
		pfdial_giveback(d, now);
	d->masters = masters;
}

/* ---- time ---- */

void
pfdial_tick(struct pfdial *d, monotime_t now)
{
	(void)pfdial_sec(d, now);
	pfdial_wait_tick(d, now);
	ask_tick(d, now);
	pfdial_bulk_tick(d, now);
	if (monotime_cmp(now, d->lazy) >= 0)
		lazy_now(d, now);
}

static monotime_t
earlier(monotime_t a, monotime_t b)
{
	return (monotime_cmp(a, b) < 0 ? a : b);
}

monotime_t
pfdial_next(const struct pfdial *d)
{
	monotime_t	 at = earlier(d->due, d->lazy);

	if (d->wait_first != NONE)
		at = earlier(at, d->wait[d->wait_first].due);
	if (d->brx.state == SYNC_BULK_WAIT ||
	    d->brx.state == SYNC_BULK_RUNNING)
		at = earlier(at, d->brx.at);
	if (d->back.active)
		at = earlier(at, d->back.next);
	else if (d->btx.active && !d->btx.start)
		at = earlier(at, d->btx.next);
	if (d->btx.again)
		at = earlier(at, monotime_add(d->btx.started, BULK_PAUSE));
	return (earlier(at, d->btx.end2));
}

/* ---- life ---- */

static int
grow_chunks(struct pfdial *d)
{
	struct side	**list;
	uint32_t	  n;

	if (d->nchunks == d->maxchunks) {
		n = d->maxchunks == 0 ? 16 : d->maxchunks * 2;
		if ((list = reallocarray(d->chunk, n, sizeof(*list))) == NULL)
			return (-1);
		d->chunk = list;
		d->maxchunks = n;
	}
	if ((d->chunk[d->nchunks] = calloc(CHUNK, sizeof(struct side))) ==
	    NULL)
		return (-1);
	d->nchunks++;
	return (0);
}

int
pfdial_reserve(struct pfdial *d)
{
	uint64_t	 need;

	need = (uint64_t)statedb_top(repl_db(d->r)) + STATEDB_SPARE;
	while ((uint64_t)d->nchunks << CHUNK_BITS < need)
		if (need > ENTRIES_MAX || grow_chunks(d) == -1)
			return (-1);
	while (!index_room(&d->ids, 4 * STATEDB_SPARE))
		if (index_grow(&d->ids) == -1)
			return (-1);
	while (!index_room(&d->pairs, STATEDB_SPARE))
		if (index_grow(&d->pairs) == -1)
			return (-1);
	if (d->del.n > d->del.size / 2 && d->del.size < DEL_MAX)
		return (ring_grow(&d->del));
	return (0);
}

struct pfdial *
pfdial_new(const struct pfdial_conf *c, struct repl *r, monotime_t now)
{
	struct pfdial	*d;
	int		 q;

	if ((d = calloc(1, sizeof(*d))) == NULL ||
	    (d->wait = calloc(WAITING, sizeof(*d->wait))) == NULL ||
	    index_new(&d->ids, IDS_BITS) == -1 ||
	    index_new(&d->pairs, PAIRS_BITS) == -1 ||
	    ring_new(&d->del, DEL_MIN) == -1 ||
	    ring_new(&d->req, REQS) == -1)
		fatal("pfdial");
	d->c = *c;
	d->r = r;
	d->creators[0].id = c->creatorid;
	d->base = now;
	d->sec = 1;
	for (q = 0; q < Q_MAX; q++)
		d->q[q].head = d->q[q].tail = NONE;
	d->due = d->lazy = d->btx.end2 = MONOTIME_NEVER;
	d->btx.started = monotime_add(now, -BULK_PAUSE);
	d->quiet = NONE;
	d->req_limit = (struct bucket){ REQ_RATE, now };
	d->clr_limit = (struct bucket){ CLR_BURST, now };
	pfdial_wait_init(d);
	if (pfdial_reserve(d) == -1)
		fatal("pfdial");
	return (d);
}

void
pfdial_free(struct pfdial *d)
{
	uint32_t	 i;

	if (d == NULL)
		return;
	for (i = 0; i < d->nchunks; i++)
		free(d->chunk[i]);
	free(d->chunk);
	free(d->ids.s);
	free(d->pairs.s);
	free(d->del.e);
	free(d->req.e);
	free(d->wait);
	explicit_bzero(d->c.idkey, sizeof(d->c.idkey));
	free(d);
}

void
pfdial_conf(struct pfdial *d, uint32_t maxupd)
{
	d->c.maxupd = maxupd;
}

const uint64_t *
pfdial_in(const struct pfdial *d)
{
	return (d->in);
}

const uint64_t *
pfdial_out(const struct pfdial *d)
{
	return (d->out);
}

uint64_t
pfdial_lost(const struct pfdial *d)
{
	return (d->lost);
}

/* ---- invariants ---- */

static const char *
check_half(const struct pfdial *d, uint32_t n, uint32_t *identities,
    uint32_t queued[Q_MAX])
{
	const struct half	*h = pfdial_half(d, n);

	if (h->creatorid == 0) {
		if (h->alias_creatorid != 0 || h->queue != Q_NONE ||
		    h->flags != 0)
			return ("an unknown half has an alias or is queued");
		return (NULL);
	}
	if (pfdial_find(d, h->id, h->creatorid) != n << 1)
		return ("an identity is not found");
	*identities += 1;
	if (h->alias_creatorid != 0) {
		if (pfdial_find(d, h->alias, h->alias_creatorid) !=
		    (n << 1 | 1))
			return ("an alias is not found");
		*identities += 1;
	}
	if (h->queue >= Q_MAX)
		return ("no such queue");
	queued[h->queue]++;
	return (NULL);
}

static const char *
check_queues(const struct pfdial *d, const uint32_t queued[Q_MAX])
{
	uint32_t	 n, count, prev;
	int		 q;

	for (q = Q_NONE + 1; q < Q_MAX; q++) {
		count = 0;
		prev = NONE;
		for (n = d->q[q].head; n != NONE;
		    prev = n, n = pfdial_half(d, n)->next) {
			if (pfdial_half(d, n)->queue != q ||
			    pfdial_half(d, n)->prev != prev)
				return ("a queue is broken");
			count++;
		}
		if (count != d->q[q].n || count != queued[q] ||
		    d->q[q].tail != prev)
			return ("a queue does not count up");
		if (count > 0 && !monotime_isset(q == Q_LAZY ? d->lazy :
		    d->due))
			return ("a queue waits for nothing");
	}
	return (NULL);
}

const char *
pfdial_check(const struct pfdial *d)
{
	uint32_t		 i, v, pos, ids = 0, sides = 0, sum = 0;
	uint32_t		 queued[Q_MAX] = { 0 };
	const struct side	*s;
	const char		*why;

	for (i = 0; i < statedb_top(repl_db(d->r)); i++) {
		s = pfdial_side(d, i);
		if (s == NULL || !(s->flags & S_USED))
			continue;
		sides++;
		if (!statedb_used(repl_db(d->r), i))
			return ("a side without entry");
		for (pos = NONE; (v = pfdial_index_next(&d->pairs, s->pair,
		    &pos)) != i;)
			if (v == NONE)
				return ("a side is not in the index");
		if ((why = check_half(d, i << 1, &ids, queued)) != NULL ||
		    (why = check_half(d, i << 1 | 1, &ids, queued)) != NULL)
			return (why);
	}
	for (i = 0; i < CREATORS; i++)
		sum += d->creators[i].n;
	if (ids != d->ids.n || sum != ids || sides != d->pairs.n)
		return ("the indices do not count up");
	return (check_queues(d, queued));
}
