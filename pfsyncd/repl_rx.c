/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): what the packets of our own nodes do here.
 */
#include <netinet/in.h>

#include <string.h>

#include "msgs.h"
#include "nosync.h"
#include "repl_int.h"

/*
 * How far ahead of ours a clock may be, in microseconds: 100 years, for one of
 * us may believe that it is 1970.  Stamps follow the newest seen, so a bound
 * that did not move with time would be reached once and for all.
 */
#define STAMP_AHEAD	(UINT64_C(100) * 366 * 86400 * 1000000)

/* ---- flows ---- */

static bool
to_flow(const struct native_flow *n, int af, struct flow *f)
{
	memset(f, 0, sizeof(*f));
	f->af = (uint8_t)af;
	memcpy(f->orig.src, n->osrc, sizeof(f->orig.src));
	memcpy(f->orig.dst, n->odst, sizeof(f->orig.dst));
	memcpy(f->reply.src, n->rsrc, sizeof(f->reply.src));
	memcpy(f->reply.dst, n->rdst, sizeof(f->reply.dst));
	f->orig.sport = n->osport;
	f->orig.dport = n->odport;
	f->reply.sport = n->rsport;
	f->reply.dport = n->rdport;
	f->mark = n->mark;
	f->timeout = n->timeout;
	f->zone = n->zone;
	f->proto = n->proto;
	f->status = (n->seen_reply ? FLOW_SEEN_REPLY : 0U) |
	    (n->assured ? FLOW_ASSURED : 0U);
	f->tcp_state = n->tcp_state;
	f->tcp_flags[0] = n->tcp_flags[0] & FLOW_TCPF_SYNC;
	f->tcp_flags[1] = n->tcp_flags[1] & FLOW_TCPF_SYNC;
	f->wscale[0] = n->wscale[0];
	f->wscale[1] = n->wscale[1];
	return (flow_check(f, false) == NULL && nosync_imports(f) &&
	    (f->proto != IPPROTO_TCP || f->tcp_state != FLOW_TCP_NONE));
}

static bool
stamp_ok(const struct repl *r, uint64_t stamp, monotime_t now)
{
	return (stamp <= r->c.clock + (uint64_t)(monotime_sub(now, r->start) /
	    MONOTIME_USEC) + STAMP_AHEAD);
}

/* Is (stamp, node id) a newer claim than what entry e has? */
static bool
newer(const struct repl *r, const struct statedb_entry *e, uint64_t stamp,
    int node)
{
	if (e->carrier == SELF && e->flags & F_DIRTY && !(e->flags & F_GONE))
		return (false);		/* we are about to tell a newer one */
	if (e->flags & F_TELL && e->stamp == 0)
		return (false);		/* or the end of one that we claimed */
	if (stamp != e->stamp)
		return (stamp > e->stamp);
	return (e->carrier != node &&
	    r->nodes[node].id > r->nodes[e->carrier].id);
}

/*
 * Both nodes see a part of the packets, and so the same connection at different
 * states at the same time: it is where the further one is.  A tuple is used
 * anew, with a SYN, only after TIME_WAIT or CLOSE.
 */
static bool
behind(const struct statedb_entry *e, const struct native_flow *nf)
{
	bool over = e->f.tcp_state >= FLOW_TCP_TIME_WAIT;

	return (e->f.proto == IPPROTO_TCP &&
	    nf->tcp_state < e->f.tcp_state &&
	    e->f.tcp_state <= FLOW_TCP_CLOSE &&
	    !(over && nf->tcp_state < FLOW_TCP_ESTABLISHED));
}

/*
 * Two nodes have carried it while they did not hear each other, or do so all
 * the time.  Traffic goes to a MASTER; and what had replies is further than
 * what had none.
 */
static bool
keep_ours(const struct repl *r, const struct statedb_entry *e, int node,
    const struct native_flow *nf)
{
	if (e->carrier != SELF || e->flags & (F_GONE | F_YOUNG) ||
	    !(e->flags & F_CARRIED))
		return (false);
	if (r->masters == 0)
		return (false);
	if (!r->nodes[node].master)
		return (true);
	if (r->balanced && e->life != nf->life)
		return (false);
	if (r->balanced && behind(e, nf))
		return (true);
	return (e->f.status & FLOW_SEEN_REPLY && !nf->seen_reply);
}

static void
replica_new(struct repl *r, const struct flow *f, uint64_t h, int node,
    int creator, const struct native_flow *nf, monotime_t now)
{
	struct statedb_entry *e;
	uint32_t i;

	if ((i = statedb_add(r->db, f, h)) == STATEDB_NONE)
		return;
	e = repl_at(r, i);
	e->creator = (uint8_t)creator;
	e->life = nf->life;
	e->seen = (uint8_t)r->dump_last;
	e->deadline = repl_sec(r, now) + f->timeout + REPL_EXTRA;
	repl_carrier(r, i, node, nf->stamp);
	repl_push_op(r, i, OP_PUT);
}

static void
replica_update(struct repl *r, uint32_t i, const struct flow *f, int node,
    const struct native_flow *nf, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	bool reset = e->life != nf->life;
	bool nat = memcmp(&e->f.reply, &f->reply, sizeof(f->reply)) != 0;
	bool same = flow_equal(&e->f, f);
	unsigned int op;

	if (e->flags & F_GONE) {
		e->flags &= (uint16_t)~(F_GONE | F_TELL | F_OVER);
		e->ops = 0;
		reset = true;
	}
	if (e->flags & F_YOUNG)
		r->nyoung--;
	e->flags &= (uint16_t)~(F_DIRTY | F_REFRESH | F_RESEND | F_YOUNG |
	    F_MUTE | F_LIVED);
	if (reset || nat)
		op = OP_REPLACE;
	else if (e->flags & F_MISSING)
		op = OP_PUT;
	else if (same)
		op = OP_TOUCH;
	else
		op = OP_SET;
	if (reset || nat)
		e->flags &= (uint16_t)~F_CARRIED;
	else if (e->flags & F_CARRIED)
		op |= OP_LIBERAL;
	if (op & OP_LIBERAL && op & OP_TOUCH)
		op = OP_SET | OP_LIBERAL;
	e->f = *f;
	e->life = nf->life;
	e->seen = (uint8_t)r->dump_last;
	e->deadline = repl_sec(r, now) + f->timeout + REPL_EXTRA;
	repl_carrier(r, i, node, nf->stamp);
	if (e->flags & F_MISSING && r->full)
		return;		/* its turn comes */
	repl_missing(r, e, false);
	repl_push_op(r, i, op);
}

static void
rx_flow(struct repl *r, int from, const struct native_flow *nf, int af,
    monotime_t now)
{
	int node = from, creator;
	struct statedb_entry *e;
	bool stale = false;
	struct flow f;
	uint32_t i;
	uint64_t h;

	if (!to_flow(nf, af, &f) || !stamp_ok(r, nf->stamp, now)) {
		r->count.refused++;
		return;
	}
	/* first: what is not alive yet may lose its number to the other */
	creator = repl_node(r, nf->creator, now);
	if (nf->carrier != r->nodes[from].id) {
		/* of somebody who is not there to say it himself */
		node = repl_node(r, nf->carrier, now);
		if (node <= SELF || r->nodes[node].alive)
			return;
	}
	if (creator == -1)
		creator = node;
	repl_seen_stamp(r, nf->stamp);
	h = statedb_hash(r->db, &f);
	if ((i = statedb_find(r->db, &f, h)) == STATEDB_NONE) {
		if (repl_over(r, node, h, nf->stamp))
			r->count.stale++;
		else
			replica_new(r, &f, h, node, creator, nf, now);
		return;
	}
	e = repl_at(r, i);
	if (e->carrier == node && e->stamp == nf->stamp &&
	    e->flags & F_MISSING)
		replica_update(r, i, &f, node, nf, now);
	else if (!newer(r, e, nf->stamp, node))
		stale = nf->stamp != e->stamp;
	else if (keep_ours(r, e, node, nf)) {
		repl_dirty(r, i, now);
		stale = true;
	} else
		replica_update(r, i, &f, node, nf, now);
	if (stale)
		r->count.stale++;
}

static void
rx_flows(struct repl *r, int from, struct rbuf *v, int af, monotime_t now)
{
	struct native_flow nf;

	while (native_get_flow(v, af, &nf))
		rx_flow(r, from, &nf, af, now);
}

static void
rx_del(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	struct statedb_entry *e;
	uint64_t h, stamp;
	uint32_t i;

	while (rbuf_left(v) >= NATIVE_DEL_LEN) {
		h = rbuf_be64(v);
		stamp = rbuf_be64(v);
		if (!stamp_ok(r, stamp, now))
			continue;
		repl_seen_stamp(r, stamp);
		if ((i = statedb_find_hash(r->db, h)) == STATEDB_NONE)
			continue;
		e = repl_at(r, i);
		if (e->flags & (F_GONE | F_DIRTY | F_YOUNG | F_MUTE) ||
		    e->stamp > stamp)
			continue;	/* not told yet: it was another */
		if (repl_lived(r, e, stamp)) {
			repl_dirty(r, i, now);
			continue;	/* there, but not here */
		}
		repl_end_heard(r, e, from, stamp, now);
		/* of another one's flow, or where traffic may have moved to */
		repl_gone(r, i, false, e->flags & F_MISSING ? 0 :
		    e->carrier == from && r->masters == 0 ? OP_DELETE :
		    OP_IDLE, now);
	}
}

static void
rx_refresh(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	struct statedb_entry *e;
	uint32_t i, timeout;
	uint64_t h;

	while (rbuf_left(v) >= NATIVE_REFRESH_LEN) {
		h = rbuf_be64(v);
		timeout = rbuf_be32(v);
		if (timeout == 0 || timeout > TIMEOUT_MAX ||
		    (i = statedb_find_hash(r->db, h)) == STATEDB_NONE)
			continue;
		e = repl_at(r, i);
		if (e->carrier != from || e->flags & F_GONE)
			continue;
		e->deadline = repl_sec(r, now) + timeout + REPL_EXTRA;
		if (e->flags & F_MISSING && r->full)
			continue;	/* its turn comes */
		repl_push_op(r, i, e->flags & F_MISSING ? OP_PUT : OP_TOUCH);
		repl_missing(r, e, false);
	}
}

static void
rx_kill(struct repl *r, struct rbuf *v, monotime_t now)
{
	struct statedb_entry *e;
	uint64_t h, stamp;
	uint32_t i;

	if (rbuf_be32(v) != r->c.node)
		return;
	rbuf_skip(v, 4);
	while (rbuf_left(v) >= NATIVE_DEL_LEN) {
		h = rbuf_be64(v);
		stamp = rbuf_be64(v);
		if ((i = statedb_find_hash(r->db, h)) == STATEDB_NONE)
			continue;
		e = repl_at(r, i);
		if (e->carrier == SELF && e->stamp == stamp &&
		    !(e->flags & F_GONE)) {
			r->count.clashes++;
			repl_gone(r, i, true, OP_DELETE, now);
		}
	}
}

/* ---- acknowledgements ---- */

static void
note_lag(struct repl *r, int64_t lag, monotime_t now)
{
	uint32_t sec = repl_sec(r, now);

	if (r->lag_sec != sec) {
		if (sec - r->lag_sec >= 10)
			memset(r->lag_max, 0, sizeof(r->lag_max));
		else
			while (r->lag_sec != sec)
				r->lag_max[++r->lag_sec % 10] = 0;
		r->lag_sec = sec;
	}
	if (lag > r->lag_max[sec % 10])
		r->lag_max[sec % 10] = lag;
}

/* RFC 6298: what a round trip takes, and how much that varies. */
static void
note_rtt(struct node *n, int64_t rtt)
{
	int64_t off = rtt > n->rtt ? rtt - n->rtt : n->rtt - rtt;

	if (n->rtt == 0) {
		n->rtt = rtt + 1;
		n->rttvar = rtt / 2;
		return;
	}
	n->rttvar += (off - n->rttvar) / 4;
	n->rtt += (rtt - n->rtt) / 8;
}

static void
rx_acks(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	struct node *n = &r->nodes[from];
	struct native_ack a;

	while (native_get_ack(v, &a)) {
		if (a.node != r->c.node || a.epoch != r->c.epoch ||
		    a.seq > r->seq)
			continue;
		if (a.seq < n->acked)
			continue;
		n->window = a.window > REPL_WINDOW ? REPL_WINDOW : a.window;
		n->acked_at = now;
		if (a.seq == n->acked)
			continue;
		n->acked = a.seq;
		if (r->seq - a.seq >= RING)
			continue;
		if (monotime_isset(r->sent_at[a.seq % RING]))
			note_rtt(n, monotime_sub(now,
			    r->sent_at[a.seq % RING]));
		if (monotime_isset(r->sent[a.seq % RING])) {
			n->lag = monotime_sub(now, r->sent[a.seq % RING]);
			note_lag(r, n->lag, now);
		}
	}
	repl_acked(r);
}

static void
rx_ask_acks(struct repl *r, int from, struct rbuf *v)
{
	uint64_t h;

	while (rbuf_left(v) >= NATIVE_DEL_LEN) {
		h = rbuf_be64(v);
		repl_owe_ack(r, from, h, rbuf_be64(v));
	}
}

static void
rx_ins_acks(struct repl *r, int from, struct rbuf *v)
{
	uint64_t h;

	if (rbuf_be32(v) != r->c.node)
		return;
	rbuf_skip(v, 4);
	while (rbuf_left(v) >= NATIVE_DEL_LEN) {
		h = rbuf_be64(v);
		repl_ins_acked(r, from, h, rbuf_be64(v));
	}
}

/* ---- questions and answers ---- */

static unsigned int
map_set(uint64_t *map, unsigned int bit)
{
	uint64_t m = UINT64_C(1) << (bit % 64);

	if (map[bit / 64] & m)
		return (0);
	map[bit / 64] |= m;
	return (1);
}

static unsigned int
map_clear(uint64_t *map, unsigned int bit)
{
	uint64_t m = UINT64_C(1) << (bit % 64);

	if (!(map[bit / 64] & m))
		return (0);
	map[bit / 64] &= ~m;
	return (1);
}

void
repl_stop_asking(struct node *n)
{
	n->ask_buckets = n->wait_buckets = 0;
	n->nwait_keys = n->tries = 0;
	memset(n->ask_keys, 0, sizeof(n->ask_keys));
	memset(n->ask_flows, 0, sizeof(n->ask_flows));
	memset(n->wait_keys, 0, sizeof(n->wait_keys));
}

/*
 * It answered: the wait for the rest of the answers begins anew; and after the
 * last one all of it may take effect before we compare again.
 */
static void
answered(struct node *n, monotime_t now)
{
	n->tries = 0;
	n->ask_at = monotime_add(now, n->wait_buckets != 0 ||
	    n->nwait_keys > 0 ? repl_rto(n, 0) : ASK_TIME);
}

static bool
for_us(const struct repl *r, struct rbuf *v)
{
	return (rbuf_be32(v) == r->c.node && rbuf_ok(v));
}

static void
rx_ask(struct repl *r, uint8_t type, struct rbuf *v, monotime_t now)
{
	uint32_t a, b, i;

	if (!for_us(r, v))
		return;
	switch (type) {
	case NATIVE_ASK_GROUPS:
		r->owe_groups = true;
		break;
	case NATIVE_ASK_BUCKETS:
		r->owe_buckets |= rbuf_be64(v);
		break;
	case NATIVE_ASK_KEYS:
		while (rbuf_left(v) >= 4)
			if ((a = rbuf_be32(v)) < STATEDB_BUCKETS)
				r->owe_keys_n += map_set(r->owe_keys, a);
		break;
	case NATIVE_ASK_BULK:
		a = rbuf_be32(v);
		b = rbuf_be32(v);
		for (; rbuf_ok(v) && a <= b && a < STATEDB_BUCKETS; a++)
			r->owe_flows_n += map_set(r->owe_flows, a);
		break;
	case NATIVE_ASK_FLOWS:
		while (rbuf_left(v) >= 8) {
			i = statedb_find_hash(r->db, rbuf_be64(v));
			if (i == STATEDB_NONE ||
			    repl_at(r, i)->carrier != SELF ||
			    repl_at(r, i)->flags & F_GONE)
				continue;
			repl_at(r, i)->flags |= F_RESEND;
			repl_push_tx(r, i, false, now);
		}
		break;
	default:
		break;
	}
}

static void
rx_groups(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	const struct statedb_sums *s = statedb_sums(r->db, (uint8_t)from);
	struct node *n = &r->nodes[from];
	uint64_t mask = 0;
	int g;

	if (rbuf_left(v) != 8 * STATEDB_GROUPS)
		return;
	for (g = 0; g < STATEDB_GROUPS; g++)
		if (rbuf_be64(v) != s->group[g])
			mask |= UINT64_C(1) << g;
	/* what is known better by now was asked before it */
	n->ask_buckets |= mask & ~n->wait_buckets;
	n->mismatching = 0;
	answered(n, now);
}

static void
rx_buckets(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	const struct statedb_sums *s = statedb_sums(r->db, (uint8_t)from);
	struct node *n = &r->nodes[from];
	uint32_t g, b, i;

	g = rbuf_be32(v);
	if (g >= STATEDB_GROUPS || rbuf_left(v) != 8 * 64)
		return;
	n->wait_buckets &= ~(UINT64_C(1) << g);
	for (i = 0; i < 64; i++) {
		b = g * 64 + i;
		if (rbuf_be64(v) == s->bucket[b])
			continue;
		n->mismatching++;
		/* what we lack wholly needs no list of keys */
		(void)map_set(s->bcount[b] == 0 ? n->ask_flows : n->ask_keys,
		    b);
	}
	answered(n, now);
}

void
repl_want(struct repl *r, uint64_t h, uint64_t stamp, int from)
{
	struct want *w;

	if (r->want_n == WANT_MAX)
		return;		/* the next round asks again */
	w = &r->want[(r->want_head + r->want_n++) % WANT_MAX];
	w->h = h;
	w->stamp = stamp;
	w->node = (uint8_t)from;
	w->kill = false;
	w->tries = 0;
}

/* Sorted (h, stamp) of the peer against what we hold of it. */
struct keys {
	uint64_t	 lo, hi;
	uint64_t	 h[KEYS_MAX], stamp[KEYS_MAX];
	size_t		 n;
};

static bool
read_keys(struct rbuf *v, struct keys *k, unsigned int *bucket)
{
	*bucket = rbuf_be32(v);
	rbuf_skip(v, 4);
	k->lo = rbuf_be64(v);
	k->hi = rbuf_be64(v);
	for (k->n = 0; rbuf_left(v) >= 16 && k->n < KEYS_MAX; k->n++) {
		k->h[k->n] = rbuf_be64(v);
		k->stamp[k->n] = rbuf_be64(v);
		if (k->h[k->n] < k->lo || k->h[k->n] > k->hi ||
		    (k->n > 0 && k->h[k->n] <= k->h[k->n - 1]))
			return (false);
	}
	return (rbuf_ok(v) && rbuf_left(v) == 0 && k->lo <= k->hi &&
	    *bucket < STATEDB_BUCKETS && STATEDB_BUCKET(k->lo) == *bucket &&
	    STATEDB_BUCKET(k->hi) == *bucket);
}

static bool
has_key(const struct keys *k, uint64_t h)
{
	size_t lo = 0, hi = k->n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (k->h[mid] < h)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo < k->n && k->h[lo] == h);
}

/* Do we hold of it just what it carries? */
static bool
in_step(const struct repl *r, int node)
{
	const struct statedb_sums *s = statedb_sums(r->db, (uint8_t)node);
	const struct node *n = &r->nodes[node];

	return (!n->starting && s->all == n->sum && s->count == n->count);
}

void
repl_compare_again(struct repl *r)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		r->nodes[i].matched &= in_step(r, i);
}

/*
 * Who may have taken over a flow that `from` does not carry any more: one of
 * which we lack something, or have not heard since the link came back; or, when
 * we were apart from `from`, who is not there to say so.  SELF when there is
 * none.
 */
static int
successor(const struct repl *r, int from)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (i != from && r->nodes[i].used && !r->nodes[i].foreign &&
		    (r->nodes[i].alive ? !r->nodes[i].matched ||
		    !in_step(r, i) : !r->nodes[from].matched))
			return (i);
	return (SELF);
}

/* We hold entry i of `from`, which does not carry it. */
static void
disown(struct repl *r, int from, uint32_t i, monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	int other = successor(r, from);

	if (other != SELF && !(e->flags & F_MISSING)) {
		repl_carrier(r, i, other, e->stamp);
		return;
	}
	r->count.repaired_del++;
	repl_gone(r, i, false, e->flags & F_MISSING ? 0 : OP_IDLE, now);
}

static void
rx_keys(struct repl *r, int from, struct rbuf *v, monotime_t now)
{
	uint32_t list[256], pos = 0, i;
	struct statedb_entry *e;
	unsigned int bucket;
	bool more = true;
	struct keys k;
	size_t n, j;

	if (!read_keys(v, &k, &bucket))
		return;
	if (STATEDB_BUCKET(k.hi + 1) != bucket) {	/* the last of them */
		r->nodes[from].nwait_keys -= map_clear(
		    r->nodes[from].wait_keys, bucket);
		answered(&r->nodes[from], now);
	}
	/* ours of it that it does not carry */
	while (more) {
		n = statedb_bucket(r->db, bucket, list, 256, &pos, &more);
		for (j = 0; j < n; j++) {
			if (!statedb_used(r->db, list[j]))
				continue;
			e = repl_at(r, list[j]);
			if (e->carrier != from || e->flags & F_GONE ||
			    e->h < k.lo || e->h > k.hi || has_key(&k, e->h))
				continue;
			disown(r, from, list[j], now);
		}
	}
	/* and the other way round */
	for (j = 0; j < k.n; j++) {
		i = statedb_find_hash(r->db, k.h[j]);
		if (i != STATEDB_NONE) {
			e = repl_at(r, i);
			if (e->carrier == from && e->stamp == k.stamp[j] &&
			    !(e->flags & F_GONE))
				continue;
			/* its own, but older: its clock went back */
			if (e->carrier == from && !(e->flags & F_GONE) &&
			    e->stamp > k.stamp[j] && k.stamp[j] > 0)
				repl_carrier(r, i, from, k.stamp[j] - 1);
			if (!newer(r, e, k.stamp[j], from)) {
				/* ours is: it has not heard of it */
				if (e->carrier == SELF &&
				    !(e->flags & F_GONE)) {
					e->flags |= F_RESEND;
					repl_push_tx(r, i, false, now);
				}
				continue;
			}
		} else if (repl_over(r, from, k.h[j], k.stamp[j]))
			continue;
		r->count.repaired_put++;
		repl_want(r, k.h[j], k.stamp[j], from);
	}
}

/* ---- the length of packets ---- */

static void
rx_mtu(struct node *n, struct rbuf *v)
{
	uint32_t mtu = rbuf_be32(v);

	if (rbuf_ok(v))
		n->mtu = mtu < REPL_MTU_MIN ? REPL_MTU_MIN : mtu;
}

void
repl_mtu(struct repl *r, uint32_t mtu, uint32_t overhead)
{
	int i;

	if (mtu != r->mtu)
		for (i = 1; i < STATEDB_CARRIERS; i++)
			r->nodes[i].mtu_told = 0;
	r->mtu = mtu;
	r->overhead = overhead;
}

bool
repl_mtu_differs(struct repl *r, struct repl_peer *p)
{
	struct node *n;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || n->mtu == n->mtu_told || r->mtu == 0)
			continue;
		n->mtu_told = n->mtu;
		if (n->mtu == r->mtu)
			continue;
		p->node = n->id;
		p->addr = n->addr;
		p->mtu = n->mtu;
		return (true);
	}
	return (false);
}

/* ---- a packet ---- */

static void
peer_started(struct repl *r, int from, const struct repl_pkt *p,
    monotime_t now)
{
	struct node *n = &r->nodes[from];
	bool lost = n->booted && n->boot != p->hdr.boot;

	n->epoch = p->epoch;
	n->seq = p->seq;
	n->window_bits = 0;
	/* heard in another dialect before this one: not carried by it */
	if (n->foreign)
		repl_adopt(r, from, now);
	n->native = true;
	n->foreign = false;
	repl_booted(r, from, p->hdr.boot);
	n->matched = false;
	n->acked = r->seq;
	n->acked_at = now;
	n->window = REPL_WINDOW;
	n->window_told = REPL_WINDOW;
	n->ack_told = 0;
	n->unacked = 0;
	n->bulk_asked = false;
	repl_ends_again(n);
	if (lost)
		repl_ends_known(r, n);
	n->rtt = 0;
	repl_stop_asking(n);
	n->ack_due = MONOTIME_NEVER;
	n->ask_at = now;
	n->differs = MONOTIME_NEVER;
	r->hello_due = now;		/* let it hear of us at once */
	if (lost)
		repl_adopt(r, from, now);
	/* what hints gave to it is compared; nothing at all is a bulk */
	if (statedb_sums(r->db, (uint8_t)from)->count == 0)
		n->ask_bulk = true;
}

/* 0: a duplicate or too old; 1: the newest; -1: late, but not seen yet. */
static int
sequence(struct node *n, uint64_t seq)
{
	uint64_t d;

	if (seq > n->seq) {
		d = seq - n->seq;
		if (d > 1)
			n->lost += d - 1;
		n->window_bits = d > 63 ? 0 : n->window_bits << d;
		if (d <= 64)
			n->window_bits |= UINT64_C(1) << (d - 1);
		n->seq = seq;
		return (1);
	}
	d = n->seq - seq;
	if (d == 0 || d > 64 || n->window_bits & (UINT64_C(1) << (d - 1)))
		return (0);
	n->window_bits |= UINT64_C(1) << (d - 1);
	if (n->lost > 0)
		n->lost--;
	return (-1);
}

static bool
accept_packet(struct repl *r, int from, const struct repl_pkt *p,
    bool *newest, monotime_t now)
{
	struct node *n = &r->nodes[from];
	int s;

	*newest = true;
	if (!n->native || p->epoch > n->epoch || (p->epoch < n->epoch &&
	    (p->auth == AUTH_PROVEN || !n->alive))) {
		peer_started(r, from, p, now);
		return (true);
	}
	if (p->epoch < n->epoch || (s = sequence(n, p->seq)) == 0) {
		r->count.replay++;
		return (false);
	}
	*newest = s == 1;
	return (true);
}

/* Do we hold of it what it says it carries? */
static void
compare(struct repl *r, int from, monotime_t now)
{
	struct node *n = &r->nodes[from];

	if (n->starting)
		return;
	if (in_step(r, from)) {
		n->matched = true;
		n->synced = now;
		n->differs = MONOTIME_NEVER;
		n->mismatching = 0;
		n->ask_bulk = false;
		repl_ends_done(n);
		repl_stop_asking(n);
		return;
	}
	if (!monotime_isset(n->differs)) {
		n->differs = now;
		if (monotime_cmp(n->ask_at, monotime_add(now, SETTLE)) < 0)
			n->ask_at = monotime_add(now, SETTLE);
	}
}

static void
rx_tlvs(struct repl *r, int from, const struct repl_pkt *p, monotime_t now)
{
	struct rbuf v;
	uint8_t type;
	size_t off = 0;

	while (native_tlv(p->tlv, p->tlvlen, &off, &type, &v)) {
		/*
		 * Until our own kernel has told what it has, nothing is put
		 * into it: what we miss now the comparison brings.
		 */
		if (r->starting && type != NATIVE_ACK && type != NATIVE_MTU &&
		    type != NATIVE_MASTERS)
			continue;
		switch (type) {
		case NATIVE_ACK:
			rx_acks(r, from, &v, now);
			break;
		case NATIVE_FLOW4:
			rx_flows(r, from, &v, 4, now);
			break;
		case NATIVE_FLOW6:
			rx_flows(r, from, &v, 6, now);
			break;
		case NATIVE_DEL:
			rx_del(r, from, &v, now);
			break;
		case NATIVE_REFRESH:
			rx_refresh(r, from, &v, now);
			break;
		case NATIVE_GROUPS:
			rx_groups(r, from, &v, now);
			break;
		case NATIVE_BUCKETS:
			rx_buckets(r, from, &v, now);
			break;
		case NATIVE_KEYS:
			rx_keys(r, from, &v, now);
			break;
		case NATIVE_KILL:
			rx_kill(r, &v, now);
			break;
		case NATIVE_ASK_ACK:
			rx_ask_acks(r, from, &v);
			break;
		case NATIVE_INS_ACK:
			rx_ins_acks(r, from, &v);
			break;
		case NATIVE_MTU:
			rx_mtu(&r->nodes[from], &v);
			break;
		case NATIVE_MASTERS:
			repl_hear_vhosts(r, &r->nodes[from], &v);
			break;
		default:
			rx_ask(r, type, &v, now);
			break;
		}
	}
}

/* Has it been MASTER since it was heard last?  It carried what we carried. */
static void
rx_master(struct repl *r, struct node *n, uint8_t flags)
{
	bool master = (flags & NATIVE_F_MASTER) != 0;
	uint8_t turns = flags >> NATIVE_F_TURNS;

	if (turns != n->turns || (master && !n->master))
		repl_liberate(r);
	n->master = master;
	n->turns = turns;
}

void
repl_rx(struct repl *r, const struct repl_pkt *p, monotime_t now)
{
	bool newest, was_alive, leaves;
	struct node *n;
	int from;

	if (p->node == r->c.node || !stamp_ok(r, p->hdr.clock, now)) {
		r->count.refused++;
		return;
	}
	if ((from = repl_node(r, p->node, now)) <= SELF) {
		r->count.refused++;
		return;
	}
	n = &r->nodes[from];
	if (!accept_packet(r, from, p, &newest, now))
		return;
	was_alive = n->alive;
	n->heard = now;
	n->addr = p->addr;
	n->auth = p->auth;
	n->keyid = p->keyid;
	n->sealed = p->sealed;
	n->packets++;
	/* a late packet says nothing of now */
	leaves = newest ? p->hdr.flags & NATIVE_F_LEAVING : !was_alive;
	n->alive = true;	/* till the end: its number is in use */
	if (!leaves && !was_alive) {
		n->acked = r->seq;	/* it owes nothing for its absence */
		n->acked_at = now;
		n->window = REPL_WINDOW;
		repl_ends_again(n);
		repl_rejoins(n, p->hdr.clock);
		r->hello_due = now;
	}
	repl_seen_stamp(r, p->hdr.clock);
	if (p->hdr.flags & NATIVE_F_ACK && n->unacked++ == 0)
		n->ack_due = monotime_add(now, ACK_TIME);
	if (newest) {
		n->starting = (p->hdr.flags & NATIVE_F_STARTING) != 0;
		rx_master(r, n, p->hdr.flags);
		n->sum = p->hdr.sum;
		n->count = p->hdr.count;
	}
	rx_tlvs(r, from, p, now);
	if (newest)
		compare(r, from, now);
	n->alive = !leaves;
}

void
repl_speak(struct repl *r, monotime_t now)
{
	r->hello_due = now;
}
