/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What the dialects of pf(4) send: filling packets from the queues, bulk
 * updates for others, and giving back connections whose windows grew old.
 *
 * Regions leave in the order INS_ACK, UPD_C, DEL_C, INS, UPD, UPD_REQ, BUS, so
 * that a state that ends and begins anew does so in this order.
 */
#include <netinet/in.h>

#include <string.h>

#include "pfdial_int.h"

#define LEN_UPD_C	84
#define LEN_ID		12
#define LEN_BUS		12
#define S_CLOSED	9	/* FIN_WAIT_2, TIME_WAIT: nothing to save */

/* A packet being filled. */
struct fill {
	struct pfdial		*d;
	struct wbuf		*w;
	struct pfsync_region	 r;
	monotime_t		 now;
	bool			 any;
};

/* Is there room for one more message?  Then its region is open. */
static bool
open_region(struct fill *p, uint8_t action, size_t len)
{
	size_t	 need = len;

	if (p->r.off == 0 || p->r.action != action)
		need += PFSYNC_SUBHDR_LEN;
	if (p->w->size - wbuf_used(p->w) < need)
		return (false);
	pfsync_region(p->w, &p->r, SENT_VERSION, action, len);
	p->any = true;
	return (true);
}

static size_t
state_len(void)
{
	return (pfsync_state_len[FORM]);
}

/* ---- states ---- */

static const struct flow *
flow_of(const struct pfdial *d, uint32_t i)
{
	return (&statedb_at(repl_db(d->r), i)->f);
}

/* Does a peer's TCP state have windows that our traffic made old? */
static bool
outdated(const struct pfdial *d, uint32_t i)
{
	const struct side	*s = pfdial_side(d, i);

	return (flow_of(d, i)->proto == IPPROTO_TCP &&
	    (s->flags & S_CARRIED ||
	    (d->mastered && s->heard < d->master_from)));
}

/* Peers were told this just now. */
static void
told(struct pfdial *d, uint32_t n, const struct pfsync_peer *src,
    const struct pfsync_peer *dst, uint8_t timeout)
{
	struct half	*h = pfdial_half(d, n);

	h->flags |= H_TOLD;
	h->told_src = src->state;
	h->told_dst = dst->state;
	h->told_timeout = timeout;
	h->sent = d->sec;
}

static uint32_t
age(const struct pfdial *d, const struct side *s)
{
	int64_t	 a = (int64_t)d->sec - s->born;

	return (a < 0 ? 0 : (uint32_t)a);
}

/* Of what others carry our record of the time left stands still. */
static uint32_t
time_left(const struct pfdial *d, uint32_t i, uint32_t expire)
{
	const struct side	*s = pfdial_side(d, i);
	uint32_t		 gone = d->sec - s->put;

	if (s->put == 0 || repl_is_local(d->r, i))
		return (expire);
	return (expire > gone ? expire - gone : 1);
}

/* A peer's state keeps its flags; "ack wanted" is for our own packet only. */
static void
put_state(struct fill *p, uint32_t n)
{
	struct pfdial		*d = p->d;
	const struct half	*h = pfdial_half(d, n);
	const struct flow	*f = flow_of(d, n >> 1);
	struct pfsync_state	 s;

	ctmap_export(f, (int)(n & 1), FORM, &s);
	s.id = h->id;
	s.creatorid = h->creatorid;
	s.expire = time_left(d, n >> 1, s.expire);
	s.creation = age(d, pfdial_side(d, n >> 1));
	pfdial_view(d, n, f, &s.src, &s.dst, &s.timeout);
	if (h->flags & H_HEARD && h->creatorid != d->c.creatorid) {
		s.state_flags = h->state_flags &
		    (uint16_t)~(PFSYNC_STATE_ACK | PFSYNC_STATE_NOSYNC);
		if (outdated(d, n >> 1))
			s.state_flags |= PFSYNC_STATE_SLOPPY;
	} else if (repl_is_held(d->r, n >> 1))
		s.state_flags |= PFSYNC_STATE_ACK;
	pfsync_put_state(p->w, FORM, &s);
	told(d, n, &s.src, &s.dst, s.timeout);
}

static void
put_upd_c(struct fill *p, uint32_t n)
{
	const struct half	*h = pfdial_half(p->d, n);
	struct pfsync_upd_c	 u;

	memset(&u, 0, sizeof(u));
	u.id = h->id;
	u.creatorid = h->creatorid;
	pfdial_view(p->d, n, flow_of(p->d, n >> 1), &u.src, &u.dst,
	    &u.timeout);
	pfsync_put_upd_c(p->w, SENT_VERSION, &u);
	told(p->d, n, &u.src, &u.dst, u.timeout);
}

/* ---- queues ---- */

static void
fill_acks(struct fill *p)
{
	struct pfdial	*d = p->d;
	uint64_t	 done = repl_ops_done(d->r);

	while (d->ack_n > 0 && d->ack[d->ack_head].mark <= done &&
	    open_region(p, PFSYNC_INS_ACK, LEN_ID)) {
		pfsync_put_id(p->w, &d->ack[d->ack_head].id);
		d->ack_head = (d->ack_head + 1) % ACKS;
		d->ack_n--;
		d->out[PFSYNC_K_INS_ACK]++;
	}
}

static void
fill_ids(struct fill *p, struct ring *r, uint8_t action)
{
	while (r->n > 0 && open_region(p, action, LEN_ID)) {
		pfsync_put_id(p->w, &r->e[r->head]);
		r->head = (r->head + 1) & (r->size - 1);
		r->n--;
		p->d->out[pfsync_kind(SENT_VERSION, action)]++;
	}
}

/* It was fit to be told when it was queued; now it may not be. */
static bool
still_fit(const struct pfdial *d, uint32_t n)
{
	return (ctmap_exportable(flow_of(d, n >> 1)) == NULL);
}

static void
fill_queue(struct fill *p, enum queue q, uint8_t action)
{
	struct pfdial	*d = p->d;
	size_t		 len = action == PFSYNC_UPD_C ? LEN_UPD_C :
			    state_len();
	uint32_t	 n;

	while ((n = d->q[q].head) != NONE) {
		if (!still_fit(d, n)) {
			pfdial_unlink(d, n);
			continue;
		}
		if (!open_region(p, action, len))
			return;
		pfdial_unlink(d, n);
		if (action == PFSYNC_UPD_C)
			put_upd_c(p, n);
		else
			put_state(p, n);
		d->out[pfsync_kind(SENT_VERSION, action)]++;
	}
}

static void
fill_request(struct fill *p)
{
	static const struct pfsync_id	 all;
	struct pfdial			*d = p->d;

	if (d->brx.ask && open_region(p, PFSYNC_UPD_REQ, LEN_ID)) {
		pfsync_put_id(p->w, &all);
		d->brx.ask = false;
		d->out[PFSYNC_K_UPD_REQ]++;
	}
}

/* One BUS message a region: receivers read no second one. */
static void
fill_bus(struct fill *p, bool *wanted, uint8_t status)
{
	struct pfsync_bus	 b = { .creatorid = p->d->c.creatorid };

	if (!*wanted)
		return;
	p->r.off = 0;
	if (!open_region(p, PFSYNC_BUS, LEN_BUS))
		return;
	b.status = status;
	pfsync_put_bus(p->w, &b);
	*wanted = false;
	p->d->out[PFSYNC_K_BUS]++;
}

/* ---- bulk, for others ---- */

static void
bulk_start(struct pfdial *d, monotime_t now)
{
	struct bulk_tx	*b = &d->btx;

	b->active = b->start = true;
	b->again = b->end = false;
	b->end2 = MONOTIME_NEVER;
	b->pos = 0;
	b->top = statedb_top(repl_db(d->r)) << 1;
	b->tokens = BULK_SLICE;
	b->next = b->started = now;
	pfdial_giveback(d, now);
	pfdial_sooner(d, now);
}

/* Who asks while one runs listens to it, as with the kernels. */
void
pfdial_bulk_request(struct pfdial *d, monotime_t now)
{
	if (d->btx.active || !d->c.sends)
		return;
	if (monotime_sub(now, d->btx.started) < BULK_PAUSE)
		d->btx.again = true;
	else
		bulk_start(d, now);
}

void
pfdial_bulk_tick(struct pfdial *d, monotime_t now)
{
	struct bulk_tx	*b = &d->btx;

	if (b->again && !b->active &&
	    monotime_sub(now, b->started) >= BULK_PAUSE)
		bulk_start(d, now);
	if (monotime_cmp(now, b->end2) >= 0) {
		b->end2 = MONOTIME_NEVER;
		b->end = true;
		pfdial_sooner(d, now);
	}
}

static bool
refill(monotime_t *next, uint32_t *tokens, uint32_t slice, int64_t step,
    monotime_t now)
{
	if (monotime_cmp(now, *next) >= 0) {
		*tokens = slice;
		*next = monotime_add(now, step);
	}
	return (*tokens > 0);
}

static bool
bulk_ready(struct pfdial *d, monotime_t now)
{
	struct bulk_tx	*b = &d->btx;

	return (b->active && !b->start && !d->back.active &&
	    refill(&b->next, &b->tokens, BULK_SLICE, BULK_TIME, now));
}

/* What is not told yet goes by INS; what ends is no longer there. */
static bool
in_bulk(const struct pfdial *d, uint32_t n)
{
	const struct side	*s = pfdial_side(d, n >> 1);
	const struct half	*h;

	if (s == NULL || !(s->flags & S_USED))
		return (false);
	h = &s->half[n & 1];
	return (h->creatorid != 0 && h->queue != Q_INS && still_fit(d, n));
}

static void
fill_bulk(struct fill *p)
{
	struct pfdial	*d = p->d;
	struct bulk_tx	*b = &d->btx;
	uint32_t	 scanned;

	for (scanned = 0; b->pos < b->top && b->tokens > 0; b->pos++) {
		if (++scanned > SCAN) {
			b->next = p->now;	/* the rest right away */
			return;
		}
		if (!in_bulk(d, b->pos))
			continue;
		if (!open_region(p, PFSYNC_UPD, state_len()))
			return;
		put_state(p, b->pos);
		b->tokens--;
		d->out[PFSYNC_K_UPD]++;
	}
	if (b->pos < b->top)
		return;
	b->active = false;
	b->end = true;
	b->end2 = monotime_add(p->now, BULK_END2);
	pfdial_sooner(d, p->now);
}

/* ---- giving back (6.5) ---- */

/*
 * A BSD host keeps the windows of before our traffic and would block the
 * connection: it gets each such state anew, under its own identity, sloppy.
 */
void
pfdial_giveback(struct pfdial *d, monotime_t now)
{
	struct giveback	*b = &d->back;

	if (!d->c.sends)
		return;
	b->active = true;
	b->pos = 0;
	b->top = statedb_top(repl_db(d->r));
	b->tokens = BACK_SLICE;
	b->next = now;
}

static bool
strict_half(const struct pfdial *d, const struct half *h)
{
	return (h->creatorid != 0 && h->creatorid != d->c.creatorid &&
	    h->flags & H_HEARD && !(h->state_flags & PFSYNC_STATE_SLOPPY) &&
	    h->src.state < S_CLOSED && h->dst.state < S_CLOSED);
}

static bool
to_give_back(const struct pfdial *d, uint32_t i)
{
	const struct side	*s = pfdial_side(d, i);

	return (s != NULL && s->flags & S_USED && outdated(d, i) &&
	    (strict_half(d, &s->half[0]) || strict_half(d, &s->half[1])));
}

static void
give_back_ids(struct fill *p, uint32_t n)
{
	const struct half	*h = pfdial_half(p->d, n);
	struct pfsync_id	 id = { h->id, h->creatorid };

	if (h->creatorid == 0 || !open_region(p, PFSYNC_DEL_C, LEN_ID))
		return;
	pfsync_put_id(p->w, &id);
	p->d->out[PFSYNC_K_DEL_C]++;
}

static void
give_back_state(struct fill *p, uint32_t n)
{
	struct half	*h = pfdial_half(p->d, n);

	if (h->creatorid == 0 || !open_region(p, PFSYNC_INS, state_len()))
		return;
	pfdial_unlink(p->d, n);
	h->state_flags |= PFSYNC_STATE_SLOPPY;
	put_state(p, n);
	p->d->out[PFSYNC_K_INS]++;
}

/* How many of these flows a packet takes, end and new beginning together. */
static uint32_t
per_packet(const struct fill *p)
{
	size_t	 room = p->w->size - wbuf_used(p->w);
	size_t	 fixed = 2 * PFSYNC_SUBHDR_LEN;

	if (room < fixed)
		return (0);
	return ((uint32_t)((room - fixed) / (2 * (LEN_ID + state_len()))));
}

static void
fill_giveback(struct fill *p)
{
	struct pfdial	*d = p->d;
	struct giveback	*b = &d->back;
	uint32_t	 pick[8] = { 0 }, n = 0, k, scanned = 0;
	uint32_t	 max = per_packet(p);

	if (max > 8)
		max = 8;
	for (; b->pos < b->top && n < max && scanned < SCAN;
	    b->pos++, scanned++)
		if (to_give_back(d, b->pos))
			pick[n++] = b->pos;
	for (k = 0; k < n; k++) {
		give_back_ids(p, pick[k] << 1);
		give_back_ids(p, pick[k] << 1 | 1);
	}
	for (k = 0; k < n; k++) {
		give_back_state(p, pick[k] << 1);
		give_back_state(p, pick[k] << 1 | 1);
	}
	b->tokens -= n < b->tokens ? n : b->tokens;
	if (b->pos >= b->top || max == 0) {
		b->active = false;
		if (d->btx.active)
			pfdial_sooner(d, p->now);
	} else if (n == 0)
		b->next = p->now;
}

static bool
giveback_ready(struct pfdial *d, monotime_t now)
{
	return (d->back.active && refill(&d->back.next, &d->back.tokens,
	    BACK_SLICE, BACK_TIME, now));
}

/* ---- packets ---- */

static bool
ack_ready(const struct pfdial *d)
{
	return (d->ack_n > 0 &&
	    d->ack[d->ack_head].mark <= repl_ops_done(d->r));
}

/* What waits for company already fills a packet. */
static bool
full(const struct pfdial *d, size_t size)
{
	return ((d->q[Q_INS].n + d->q[Q_UPD].n) * state_len() +
	    d->q[Q_UPD_C].n * (size_t)LEN_UPD_C +
	    d->del.n * (size_t)LEN_ID >= size);
}

static bool
nothing_urgent(const struct pfdial *d)
{
	return (d->q[Q_INS].n == 0 && d->q[Q_UPD].n == 0 &&
	    d->q[Q_UPD_C].n == 0 && d->del.n == 0 && d->req.n == 0 &&
	    !d->brx.ask && !d->btx.start && !d->btx.end);
}

static void
fill_all(struct fill *p)
{
	struct pfdial	*d = p->d;
	bool		 bulk = bulk_ready(d, p->now);

	fill_acks(p);
	fill_queue(p, Q_UPD_C, PFSYNC_UPD_C);
	fill_ids(p, &d->del, PFSYNC_DEL_C);
	fill_queue(p, Q_INS, PFSYNC_INS);
	fill_queue(p, Q_UPD, PFSYNC_UPD);
	if (bulk)
		fill_bulk(p);
	fill_request(p);
	fill_ids(p, &d->req, PFSYNC_UPD_REQ);
	fill_bus(p, &d->btx.start, PFSYNC_BUS_START);
	fill_bus(p, &d->btx.end, PFSYNC_BUS_END);
	if (nothing_urgent(d))
		d->due = MONOTIME_NEVER;
}

/* The smallest packet that takes one of each kind of message. */
static bool
too_small(const struct wbuf *w)
{
	return (w->size < PFSYNC_HDR_LEN + PFSYNC_SUBHDR_LEN + state_len());
}

size_t
pfdial_packet(struct pfdial *d, struct wbuf *w, monotime_t now)
{
	struct fill	 p = { .d = d, .w = w, .now = now };

	if (!d->c.sends || too_small(w))
		return (0);
	(void)pfdial_sec(d, now);
	pfsync_begin(w, SENT_VERSION);
	if (giveback_ready(d, now)) {
		fill_giveback(&p);
		if (p.any)
			return (pfsync_end(w));
	}
	if (monotime_cmp(now, d->due) < 0 && !ack_ready(d) &&
	    !full(d, w->size) && !bulk_ready(d, now))
		return (0);
	fill_all(&p);
	return (p.any ? pfsync_end(w) : 0);
}
