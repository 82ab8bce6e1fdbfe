/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication (repl.h): filling packets for our own nodes.  Order in a
 * packet: acknowledgements, what is MASTER, questions, short answers, ends and
 * changes of known flows, ends that others missed, keys, new flows, flows sent
 * again, bulk.
 */
#include <netinet/in.h>

#include <string.h>

#include "msgs.h"
#include "repl_int.h"

#define FLOW_ROOM(af)	((af) == 4 ? NATIVE_FLOW4_LEN : NATIVE_FLOW6_LEN)
#define DRAIN_STEP	20000	/* flows given their stamps in one step */
#define FEW_BUCKETS	64	/* flows that we lack: asked for one by one */
#define BULK_GRACE	(500 * MONOTIME_MSEC)

/* A packet being filled. */
struct fill {
	struct repl	*r;
	struct wbuf	*w;
	monotime_t	 now;
	uint8_t		 type;		/* of the open TLV */
	size_t		 mark;
	bool		 open;
	bool		 any;		/* something beyond acknowledgements */
	bool		 told;		/* flows that changed here */
};

static size_t
room(const struct fill *f)
{
	return (f->w->size - f->w->used);
}

static void
fill_close(struct fill *f)
{
	if (f->open)
		native_close(f->w, f->mark);
	f->open = false;
}

/* A TLV of that type with room for len more bytes. */
static bool
fill_open(struct fill *f, uint8_t type, size_t len)
{
	if (f->open && f->type == type)
		return (room(f) >= len);
	fill_close(f);
	if (room(f) < len + NATIVE_TLV)
		return (false);
	f->mark = native_open(f->w, type);
	f->type = type;
	f->open = true;
	return (true);
}

/* ---- who listens, and how much they take ---- */

bool
repl_listened(const struct repl *r)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (r->nodes[i].used && r->nodes[i].native &&
		    r->nodes[i].alive)
			return (true);
	return (false);
}

/*
 * May we send flows?  The slowest listener decides; but one that takes nothing
 * at all does not keep the others from it: the comparison will bring it what it
 * missed.
 */
static bool
credit(const struct repl *r, monotime_t now)
{
	const struct node *n;
	bool any = false;
	int i;

	if (r->starting)
		return (false);
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->native || !n->alive)
			continue;
		if (r->seq - n->acked < n->window)
			any = true;
		else if (monotime_sub(now, n->acked_at) < STALL_TIME)
			return (false);
	}
	return (any);
}

static uint32_t
window(const struct repl *r)
{
	uint64_t b = repl_backlog(r);

	if (b >= BACKLOG_MAX)
		return (0);
	return ((uint32_t)(REPL_WINDOW - b * REPL_WINDOW / BACKLOG_MAX));
}

static bool
ack_wanted(const struct repl *r, const struct node *n, monotime_t now)
{
	if (!n->used || !n->native || !n->alive)
		return (false);
	if (n->unacked >= ACK_PACKETS)
		return (true);
	if (n->unacked > 0 && monotime_cmp(n->ack_due, now) <= 0)
		return (true);
	/* it was told to wait and need not any more */
	return (n->window_told < REPL_WINDOW / 8 &&
	    window(r) >= REPL_WINDOW / 2);
}

static bool
acks_wanted(const struct repl *r, monotime_t now)
{
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (ack_wanted(r, &r->nodes[i], now))
			return (true);
	return (false);
}

static void
put_acks(struct fill *f)
{
	struct repl *r = f->r;
	struct native_ack a;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		struct node *n = &r->nodes[i];

		if (!n->used || !n->native || !n->alive ||
		    (n->ack_told == n->seq && n->unacked == 0 &&
		    !ack_wanted(r, n, f->now)) ||
		    !fill_open(f, NATIVE_ACK, NATIVE_ACK_LEN))
			continue;
		a.node = n->id;
		a.epoch = n->epoch;
		a.seq = n->seq;
		a.window = window(r);
		native_put_ack(f->w, &a);
		n->window_told = a.window;
		n->ack_told = n->seq;
		n->unacked = 0;
		n->ack_due = MONOTIME_NEVER;
	}
	fill_close(f);
}

/* What the kernel has now, and others hold packets back for. */
static void
put_ins_acks(struct fill *f)
{
	const struct owe_ack *o;
	int node = SELF;

	while ((o = repl_next_ack(f->r)) != NULL) {
		if (o->node != node)
			fill_close(f);
		if (!fill_open(f, NATIVE_INS_ACK, NATIVE_DEL_LEN +
		    (o->node != node ? 8 : 0)))
			break;
		if (o->node != node) {
			node = o->node;
			wbuf_be32(f->w, f->r->nodes[node].id);
			wbuf_be32(f->w, 0);
		}
		wbuf_be64(f->w, o->h);
		wbuf_be64(f->w, o->stamp);
		repl_ack_told(f->r);
	}
	fill_close(f);
}

/* ---- questions ---- */

static bool
map_empty(const uint64_t *map)
{
	int i;

	for (i = 0; i < MAP_WORDS; i++)
		if (map[i] != 0)
			return (false);
	return (true);
}

/* The next bit set at or after from; -1: none. */
static int
map_next(const uint64_t *map, unsigned int from)
{
	unsigned int w = from / 64;
	uint64_t m;

	if (from >= STATEDB_BUCKETS)
		return (-1);
	m = map[w] & (~UINT64_C(0) << (from % 64));
	while (m == 0) {
		if (++w == MAP_WORDS)
			return (-1);
		m = map[w];
	}
	return ((int)(w * 64 + (unsigned int)__builtin_ctzll(m)));
}

static void
map_clear(uint64_t *map, unsigned int bit)
{
	map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static void
ask_keys(struct fill *f, struct node *n)
{
	int b;

	if ((b = map_next(n->ask_keys, 0)) == -1 ||
	    !fill_open(f, NATIVE_ASK_KEYS, 8))
		return;
	wbuf_be32(f->w, n->id);
	for (; b != -1 && room(f) >= 4; b = map_next(n->ask_keys,
	    (unsigned int)b + 1)) {
		wbuf_be32(f->w, (uint32_t)b);
		map_clear(n->ask_keys, (unsigned int)b);
		n->nwait_keys += map_next(n->wait_keys, (unsigned int)b) != b;
		n->wait_keys[b / 64] |= UINT64_C(1) << (b % 64);
	}
	fill_close(f);
	f->any = true;
}

static void
ask_bulk(struct fill *f, struct node *n)
{
	int b, last;

	while ((b = map_next(n->ask_flows, 0)) != -1) {
		if (!fill_open(f, NATIVE_ASK_BULK, 12))
			return;
		for (last = b; last < STATEDB_BUCKETS && map_next(
		    n->ask_flows, (unsigned int)last) == last; last++)
			map_clear(n->ask_flows, (unsigned int)last);
		wbuf_be32(f->w, n->id);
		wbuf_be32(f->w, (uint32_t)b);
		wbuf_be32(f->w, (uint32_t)last - 1);
		fill_close(f);
		f->any = true;
	}
}

int64_t
repl_rto(const struct node *n, unsigned int tries)
{
	int64_t t = n->rtt == 0 ? ASK_TIME : n->rtt + 4 * n->rttvar;

	if (t < RTO_MIN)
		t = RTO_MIN;
	t <<= tries < 2 ? tries : 2;
	return (t < RTO_MAX ? t : RTO_MAX);
}

/*
 * No answer came: ask for the same again; when that leads nowhere, compare
 * anew.
 */
static void
ask_again(struct node *n)
{
	int i;

	if (n->wait_buckets == 0 && n->nwait_keys == 0)
		return;
	if (n->tries > RTO_TRIES) {
		repl_stop_asking(n);
		return;
	}
	n->ask_buckets |= n->wait_buckets;
	for (i = 0; i < MAP_WORDS; i++)
		n->ask_keys[i] |= n->wait_keys[i];
}

/*
 * A bulk has no end that one could wait for: the keys of what is little are
 * asked first, and then each flow until it is there.
 */
static void
few_by_keys(struct node *n)
{
	unsigned int many = 0;
	int i;

	for (i = 0; i < MAP_WORDS; i++)
		many += (unsigned int)__builtin_popcountll(n->ask_flows[i]);
	if (many == 0 || many > FEW_BUCKETS)
		return;
	for (i = 0; i < MAP_WORDS; i++) {
		n->ask_keys[i] |= n->ask_flows[i];
		n->ask_flows[i] = 0;
	}
}

/* Does the answer to our bulk request still come in? */
static bool
bulk_grows(struct repl *r, struct node *n, int i, monotime_t now)
{
	uint32_t have = statedb_sums(r->db, (uint8_t)i)->count;

	if (!n->bulk_asked)
		return (false);
	if (have <= n->bulk_had) {
		n->bulk_asked = false;
		return (false);
	}
	n->bulk_had = have;
	n->ask_at = monotime_add(now, BULK_GRACE);
	return (true);
}

static void
put_question(struct fill *f, int i)
{
	struct repl *r = f->r;
	struct node *n = &r->nodes[i];

	if (n->ask_bulk && fill_open(f, NATIVE_ASK_BULK, 12)) {
		wbuf_be32(f->w, n->id);
		wbuf_be32(f->w, 0);
		wbuf_be32(f->w, STATEDB_BUCKETS - 1);
		fill_close(f);
		f->any = true;
		n->ask_bulk = false;
		n->bulk_asked = true;
		n->bulk_had = statedb_sums(r->db, (uint8_t)i)->count;
		n->ask_at = monotime_add(f->now, BULK_GRACE);
		return;
	}
	if (monotime_cmp(n->ask_at, f->now) <= 0)
		ask_again(n);
	if (n->ask_buckets != 0 && fill_open(f, NATIVE_ASK_BUCKETS, 12)) {
		wbuf_be32(f->w, n->id);
		wbuf_be64(f->w, n->ask_buckets);
		fill_close(f);
		f->any = true;
		n->wait_buckets |= n->ask_buckets;
		n->ask_buckets = 0;
		n->ask_at = monotime_add(f->now, repl_rto(n, n->tries++));
	}
	few_by_keys(n);
	if (!map_empty(n->ask_keys)) {
		ask_keys(f, n);
		n->ask_at = monotime_add(f->now, repl_rto(n, n->tries++));
	}
	if (!map_empty(n->ask_flows)) {
		ask_bulk(f, n);
		n->ask_at = monotime_add(f->now, ASK_TIME);
	}
	if (monotime_cmp(n->ask_at, f->now) > 0 ||
	    (!n->ask_groups && !monotime_isset(n->differs)) ||
	    bulk_grows(r, n, i, f->now))
		return;
	if (fill_open(f, NATIVE_ASK_GROUPS, 4)) {
		wbuf_be32(f->w, n->id);
		fill_close(f);
		f->any = true;
		n->ask_groups = false;
		n->ask_at = monotime_add(f->now, repl_rto(n, n->tries++));
	}
}

/* Is what we asked for there, or of no use any more? */
static bool
satisfied(struct repl *r, const struct want *w)
{
	const struct node *n = &r->nodes[w->node];
	const struct statedb_entry *e;
	uint32_t i;

	if (!n->used || !n->alive || !monotime_isset(n->differs))
		return (true);
	if ((i = statedb_find_hash(r->db, w->h)) == STATEDB_NONE)
		return (false);
	e = repl_at(r, i);
	return (e->carrier != w->node || e->stamp >= w->stamp);
}

/* Flows that did not come although they were asked for. */
static void
want_again(struct repl *r, monotime_t now)
{
	struct want *w;

	while (r->again_n > 0 && r->want_n < WANT_MAX) {
		w = &r->again[r->again_head];
		if (monotime_cmp(w->due, now) > 0)
			return;
		if (!satisfied(r, w))
			r->want[(r->want_head + r->want_n++) % WANT_MAX] = *w;
		r->again_head = (r->again_head + 1) % WANT_MAX;
		r->again_n--;
	}
}

static void
wait_for(struct repl *r, const struct want *w, monotime_t now)
{
	struct want *a;

	if (w->kill || w->tries >= RTO_TRIES || r->again_n == WANT_MAX)
		return;		/* the next round asks again */
	a = &r->again[(r->again_head + r->again_n++) % WANT_MAX];
	*a = *w;
	a->due = monotime_add(now, repl_rto(&r->nodes[w->node], w->tries));
	a->tries++;
}

static void
put_wants(struct fill *f)
{
	struct repl *r = f->r;
	struct want *w;
	size_t each;
	uint8_t node;
	bool kill;

	while (r->want_n > 0) {
		w = &r->want[r->want_head];
		node = w->node;
		kill = w->kill;
		each = kill ? 16 : 8;
		if (!fill_open(f, kill ? NATIVE_KILL : NATIVE_ASK_FLOWS,
		    each + 8))
			return;
		wbuf_be32(f->w, r->nodes[node].id);
		if (kill)
			wbuf_be32(f->w, 0);
		while (r->want_n > 0 && room(f) >= each) {
			w = &r->want[r->want_head];
			if (w->node != node || w->kill != kill)
				break;
			wbuf_be64(f->w, w->h);
			if (kill)
				wbuf_be64(f->w, w->stamp);
			wait_for(r, w, f->now);
			r->want_head = (r->want_head + 1) % WANT_MAX;
			r->want_n--;
		}
		fill_close(f);
		f->any = true;
	}
}

static bool
asks_of(const struct node *n)
{
	return (n->ask_groups || monotime_isset(n->differs) ||
	    n->wait_buckets != 0 || n->nwait_keys > 0);
}

static bool
question_due(const struct repl *r, monotime_t now)
{
	const struct node *n;
	int i;

	if (r->starting)
		return (false);
	if (r->want_n > 0 || (r->again_n > 0 &&
	    monotime_cmp(r->again[r->again_head].due, now) <= 0))
		return (true);
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->native || !n->alive || n->starting)
			continue;
		if (n->ask_bulk || n->ask_buckets != 0 ||
		    !map_empty(n->ask_keys) || !map_empty(n->ask_flows))
			return (true);
		if (asks_of(n) && monotime_cmp(n->ask_at, now) <= 0)
			return (true);
	}
	return (false);
}

static void
put_questions(struct fill *f)
{
	struct repl *r = f->r;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		struct node *n = &r->nodes[i];

		if (n->used && n->native && n->alive && !n->starting)
			put_question(f, i);
	}
	want_again(r, f->now);
	put_wants(f);
}

/* ---- answers ---- */

static void
put_sums(struct fill *f)
{
	const struct statedb_sums *s = statedb_sums(f->r->db, SELF);
	struct repl *r = f->r;
	uint32_t g, i;

	if (r->owe_groups && fill_open(f, NATIVE_GROUPS,
	    8 * STATEDB_GROUPS)) {
		for (i = 0; i < STATEDB_GROUPS; i++)
			wbuf_be64(f->w, s->group[i]);
		fill_close(f);
		r->owe_groups = false;
		f->any = true;
	}
	while (r->owe_buckets != 0 && fill_open(f, NATIVE_BUCKETS,
	    4 + 8 * 64)) {
		g = (uint32_t)__builtin_ctzll(r->owe_buckets);
		wbuf_be32(f->w, g);
		for (i = 0; i < 64; i++)
			wbuf_be64(f->w, s->bucket[g * 64 + i]);
		fill_close(f);
		r->owe_buckets &= r->owe_buckets - 1;
		f->any = true;
	}
}

static void
sort_list(struct sorted *s, size_t n)
{
	size_t gap, i, j;
	struct sorted t;

	for (gap = n / 2; gap > 0; gap /= 2)
		for (i = gap; i < n; i++) {
			t = s[i];
			for (j = i; j >= gap && s[j - gap].h > t.h; j -= gap)
				s[j] = s[j - gap];
			s[j] = t;
		}
}

/* A bucket's own flows (and orphans) into out (SCRATCH), by hash. */
static size_t
sorted_bucket(struct repl *r, unsigned int bucket, bool orphans,
    struct sorted *out, bool *overflow)
{
	uint32_t list[256], pos = 0;
	struct statedb_entry *e;
	bool more = true;
	size_t k, j, n = 0;

	*overflow = false;
	while (more) {
		k = statedb_bucket(r->db, bucket, list, 256, &pos, &more);
		for (j = 0; j < k; j++) {
			e = repl_at(r, list[j]);
			if (!(e->flags & STATEDB_F_COUNTED) ||
			    e->flags & F_MUTE)
				continue;
			if (e->carrier != SELF && (!orphans ||
			    e->flags & F_GONE ||
			    r->nodes[e->carrier].alive))
				continue;
			if (n == SCRATCH) {
				*overflow = true;
				return (n);
			}
			out[n].h = e->h;
			out[n++].i = list[j];
		}
	}
	sort_list(out, n);
	return (n);
}

static void
keys_done(struct repl *r, unsigned int b)
{
	map_clear(r->owe_keys, b);
	r->owe_keys_n--;
	r->keys_cursor = 0;
}

/* Keys of the lowest bucket owed, from the cursor on. */
static bool
put_keys(struct fill *f)
{
	struct repl *r = f->r;
	struct sorted *list = r->keys_list;
	uint64_t first, last;
	size_t n, i, fit;
	bool overflow;
	int b;

	if ((b = map_next(r->owe_keys, 0)) == -1)
		return (false);
	if (!fill_open(f, NATIVE_KEYS, 24 + 8 * 16))
		return (false);
	first = (uint64_t)b << 52;
	last = first | (~UINT64_C(0) >> 12);
	if (r->keys_cursor < first || r->keys_cursor > last)
		r->keys_cursor = first;
	n = sorted_bucket(r, (unsigned int)b, false, list, &overflow);
	if (overflow) {
		/* too many to list: the flows themselves, then */
		r->owe_flows_n += map_next(r->owe_flows, (unsigned int)b) != b;
		r->owe_flows[b / 64] |= UINT64_C(1) << (b % 64);
		keys_done(r, (unsigned int)b);
		fill_close(f);
		return (true);
	}
	for (i = 0; i < n && list[i].h < r->keys_cursor; i++)
		;
	fit = (room(f) - 24) / 16;
	if (fit > KEYS_MAX)
		fit = KEYS_MAX;
	wbuf_be32(f->w, (uint32_t)b);
	wbuf_be32(f->w, 0);
	wbuf_be64(f->w, r->keys_cursor);
	wbuf_be64(f->w, n - i > fit ? list[i + fit - 1].h : last);
	for (; i < n && fit > 0; i++, fit--) {
		wbuf_be64(f->w, list[i].h);
		wbuf_be64(f->w, repl_at(r, list[i].i)->stamp);
	}
	fill_close(f);
	f->any = true;
	if (i < n)
		r->keys_cursor = list[i - 1].h + 1;
	else
		keys_done(r, (unsigned int)b);
	return (true);
}

/* ---- flows ---- */

static void
put_flow(struct fill *f, const struct statedb_entry *e)
{
	uint32_t sec = repl_sec(f->r, f->now);
	struct native_flow n;

	n.stamp = e->stamp;
	n.carrier = f->r->nodes[e->carrier].id;
	n.creator = f->r->nodes[e->creator].id;
	if (n.creator == 0)
		n.creator = n.carrier;
	n.mark = e->f.mark;
	n.timeout = e->deadline > sec ? e->deadline - sec : 1;
	n.zone = e->f.zone;
	n.proto = e->f.proto;
	n.seen_reply = (e->f.status & FLOW_SEEN_REPLY) != 0;
	n.assured = (e->f.status & FLOW_ASSURED) != 0;
	n.life = e->life;
	n.tcp_state = e->f.tcp_state;
	memcpy(n.tcp_flags, e->f.tcp_flags, sizeof(n.tcp_flags));
	memcpy(n.wscale, e->f.wscale, sizeof(n.wscale));
	memcpy(n.osrc, e->f.orig.src, sizeof(n.osrc));
	memcpy(n.odst, e->f.orig.dst, sizeof(n.odst));
	memcpy(n.rsrc, e->f.reply.src, sizeof(n.rsrc));
	memcpy(n.rdst, e->f.reply.dst, sizeof(n.rdst));
	n.osport = e->f.orig.sport;
	n.odport = e->f.orig.dport;
	n.rsport = e->f.reply.sport;
	n.rdport = e->f.reply.dport;
	native_put_flow(f->w, e->f.af == 4 ? 4 : 6, &n);
}

/* What entry e needs in a packet: TLV type and bytes; 0: nothing any more. */
static size_t
item_size(const struct statedb_entry *e, uint8_t *type)
{
	if (e->flags & F_GONE) {
		*type = NATIVE_DEL;
		return (e->flags & F_TELL ? NATIVE_DEL_LEN : 0);
	}
	if (e->carrier != SELF || e->flags & (F_YOUNG | F_MUTE))
		return (0);
	if (e->flags & F_DIRTY ||
	    (e->flags & F_RESEND && e->flags & STATEDB_F_COUNTED)) {
		*type = e->f.af == 4 ? NATIVE_FLOW4 : NATIVE_FLOW6;
		return ((size_t)FLOW_ROOM(e->f.af));
	}
	*type = NATIVE_REFRESH;
	return (e->flags & F_REFRESH ? NATIVE_REFRESH_LEN : 0);
}

/* Entry i is told now; f is NULL when nobody listens. */
static void
put_item(struct repl *r, struct fill *f, uint32_t i, size_t size,
    monotime_t now)
{
	struct statedb_entry *e = repl_at(r, i);
	uint32_t sec = repl_sec(r, now);
	uint64_t stamp;

	e->flags &= (uint16_t)~F_QTX;
	if (size == 0) {
		e->flags &= (uint16_t)~(F_DIRTY | F_RESEND | F_REFRESH |
		    F_TELL);
	} else if (e->flags & F_GONE) {
		stamp = repl_stamp(r, now);
		if (f != NULL) {
			wbuf_be64(f->w, e->h);
			wbuf_be64(f->w, stamp);
		}
		if (e->flags & STATEDB_F_COUNTED)
			statedb_count_out(r->db, i);
		if (e->flags & F_OVER)
			repl_ended(r, e->h, stamp, f != NULL);
		e->flags &= (uint16_t)~(F_TELL | F_OVER);
	} else if (e->flags & (F_DIRTY | F_RESEND)) {
		if (e->flags & F_DIRTY)
			repl_carrier(r, i, SELF, repl_stamp(r, now));
		e->told = e->deadline;
		e->flags &= (uint16_t)~(F_DIRTY | F_RESEND | F_REFRESH);
		if (f != NULL)
			put_flow(f, e);
	} else {
		if (f != NULL) {
			wbuf_be64(f->w, e->h);
			wbuf_be32(f->w, e->deadline > sec ?
			    e->deadline - sec : 1);
		}
		e->told = e->deadline;
		e->flags &= (uint16_t)~F_REFRESH;
	}
	repl_reap(r, i);
}

/* false: the packet is full. */
static bool
put_queue(struct fill *f, struct fifo *q)
{
	struct repl *r = f->r;
	uint8_t type;
	uint32_t i;
	size_t len;

	while (q->n > 0) {
		len = item_size(repl_at(r, q->head), &type);
		if (len > 0 && !fill_open(f, type, len))
			return (false);
		(void)repl_fifo_pop(r, q, false, &i);
		if (q == &r->fresh && r->telling > 0)
			r->telling--;
		put_item(r, f, i, len, f->now);
		if (len > 0)
			f->any = f->told = true;
	}
	return (true);
}

/* false: the packet is full. */
static bool
put_ends(struct fill *f)
{
	struct native_del d;

	while (repl_ends_wait(f->r)) {
		if (!fill_open(f, NATIVE_DEL, NATIVE_DEL_LEN))
			return (false);
		if (!repl_end_next(f->r, &d))
			break;
		wbuf_be64(f->w, d.h);
		wbuf_be64(f->w, d.stamp);
		f->any = true;
	}
	return (true);
}

/* false: the packet is full. */
static bool
put_ask_acks(struct fill *f)
{
	struct native_del d;

	while (repl_asks_wait(f->r)) {
		if (!fill_open(f, NATIVE_ASK_ACK, NATIVE_DEL_LEN))
			return (false);
		(void)repl_ask_next(f->r, &d);
		wbuf_be64(f->w, d.h);
		wbuf_be64(f->w, d.stamp);
		f->any = true;
	}
	return (true);
}

static bool
bulk_open(struct repl *r)
{
	bool overflow;
	int b;

	if (r->bulk_bucket != -1)
		return (true);
	if (r->owe_flows_n == 0)
		return (false);
	if ((b = map_next(r->owe_flows, r->bulk_from)) == -1 &&
	    (b = map_next(r->owe_flows, 0)) == -1)
		return (false);
	map_clear(r->owe_flows, (unsigned int)b);
	r->owe_flows_n--;
	r->bulk_from = (unsigned int)b + 1;
	r->bulk_bucket = b;
	r->bulk_pos = 0;
	r->bulk_n = sorted_bucket(r, (unsigned int)b, true, r->bulk_list,
	    &overflow);
	return (true);
}

/* An entry of the list may have become another since it was made. */
static struct statedb_entry *
bulk_entry(struct repl *r, const struct sorted *s)
{
	struct statedb_entry *e;

	if (!statedb_used(r->db, s->i))
		return (NULL);
	e = repl_at(r, s->i);
	if (e->h != s->h || !(e->flags & STATEDB_F_COUNTED) ||
	    e->flags & (F_GONE | F_DIRTY) ||
	    (e->carrier != SELF && r->nodes[e->carrier].alive))
		return (NULL);
	return (e);
}

static void
put_bulk(struct fill *f)
{
	struct repl *r = f->r;
	struct statedb_entry *e;

	while (bulk_open(r)) {
		for (; r->bulk_pos < r->bulk_n; r->bulk_pos++) {
			e = bulk_entry(r, &r->bulk_list[r->bulk_pos]);
			if (e == NULL)
				continue;
			if (!fill_open(f, e->f.af == 4 ? NATIVE_FLOW4 :
			    NATIVE_FLOW6, (size_t)FLOW_ROOM(e->f.af)))
				return;
			put_flow(f, e);
			if (e->carrier == SELF)
				e->told = e->deadline;
			f->any = true;
		}
		r->bulk_bucket = -1;
	}
}

static bool
data_waits(struct repl *r)
{
	return (r->urgent.n > 0 || r->fresh.n > 0 || r->resend.n > 0 ||
	    r->owe_groups || r->owe_buckets != 0 || r->owe_keys_n > 0 ||
	    r->owe_flows_n > 0 || r->bulk_bucket != -1 ||
	    repl_ends_wait(r) || repl_asks_wait(r));
}

static void
put_data(struct fill *f)
{
	struct repl *r = f->r;

	put_sums(f);
	if (!put_queue(f, &r->urgent) || !put_ask_acks(f) || !put_ends(f))
		return;
	while (r->owe_keys_n > 0)
		if (!put_keys(f))
			return;
	if (!put_queue(f, &r->fresh) || !put_ask_acks(f) ||
	    !put_queue(f, &r->resend))
		return;
	put_bulk(f);
}

void
repl_drain(struct repl *r, monotime_t now)
{
	struct fifo *q[] = { &r->urgent, &r->fresh, &r->resend };
	uint32_t i, n = 0;
	uint8_t type;
	size_t k;

	if (r->starting)
		return;
	for (k = 0; k < 3; k++)
		while (n++ < DRAIN_STEP && repl_fifo_pop(r, q[k], false, &i))
			put_item(r, NULL, i, item_size(repl_at(r, i), &type),
			    now);
	if (r->urgent.n + r->fresh.n + r->resend.n == 0)
		r->queued_since = MONOTIME_NEVER;
	if (r->telling > r->fresh.n)
		r->telling = r->fresh.n;
	/* questions of those who are gone */
	memset(r->owe_keys, 0, sizeof(r->owe_keys));
	memset(r->owe_flows, 0, sizeof(r->owe_flows));
	r->owe_groups = false;
	r->owe_buckets = 0;
	r->owe_keys_n = r->owe_flows_n = 0;
	r->bulk_bucket = -1;
	r->want_n = r->again_n = 0;
	repl_ends_drain(r);
}

/* ---- the packet ---- */

/* The slowest of those that owe an acknowledgement; -1: nobody does. */
static int64_t
ack_time(const struct repl *r)
{
	const struct node *n;
	int64_t t, most = -1;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->native || !n->alive ||
		    n->acked >= r->ack_seq)
			continue;
		if ((t = repl_rto(n, 0)) > most)
			most = t;
	}
	return (most);
}

/*
 * If the last of our packets is lost nobody can miss it, so another one that
 * says what we carry follows, if it is not acknowledged in time.
 */
static void
probe_later(struct repl *r, uint64_t seq, monotime_t now)
{
	int64_t t;

	r->ack_seq = seq;
	t = ack_time(r);
	r->probe_due = t == -1 ? MONOTIME_NEVER :
	    monotime_add(now, t << (r->probes < 4 ? r->probes : 4));
}

void
repl_acked(struct repl *r)
{
	if (ack_time(r) != -1)
		return;
	r->probe_due = MONOTIME_NEVER;
	r->probes = 0;
}

static bool
probe_wanted(struct repl *r, monotime_t now)
{
	if (monotime_cmp(r->probe_due, now) > 0)
		return (false);
	repl_acked(r);		/* who did not may be gone */
	if (!monotime_isset(r->probe_due))
		return (false);
	r->probes++;
	return (true);
}

static size_t
finish(struct fill *f, uint64_t seq)
{
	const struct statedb_sums *s = statedb_sums(f->r->db, SELF);
	struct repl *r = f->r;
	struct native_hdr h;

	fill_close(f);
	memset(&h, 0, sizeof(h));
	/* what others hold of ours is not compared until all of it is told */
	if (r->starting || r->telling > 0)
		h.flags |= NATIVE_F_STARTING;
	if (r->leaving)
		h.flags |= NATIVE_F_LEAVING;
	if (f->any)
		h.flags |= NATIVE_F_ACK;
	if (r->masters > 0)
		h.flags |= NATIVE_F_MASTER;
	h.flags |= (uint8_t)(r->turns << NATIVE_F_TURNS);
	h.boot = r->c.boot;
	h.count = s->count;
	h.sum = s->all;
	h.clock = r->clock;
	r->seq = seq;
	/* what waited longest tells the lag */
	r->sent[seq % RING] = f->told ? r->queued_since : MONOTIME_NEVER;
	/* what wants no acknowledgement gets one when it suits */
	r->sent_at[seq % RING] = f->any ? f->now : MONOTIME_NEVER;
	if (f->any)
		probe_later(r, seq, f->now);
	if (r->urgent.n + r->fresh.n + r->resend.n == 0)
		r->queued_since = MONOTIME_NEVER;
	r->hello_due = monotime_add(f->now, REPL_HELLO);
	return (native_end(f->w, &h));
}

/* No longer than what arrives at all that listen. */
static void
narrow(const struct repl *r, struct wbuf *w)
{
	const struct node *n;
	uint32_t most;
	int i;

	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->alive || n->mtu == 0 || n->mtu >= r->mtu)
			continue;
		most = n->mtu - r->overhead;
		if (w->size > most)
			w->size = most;
	}
}

static void
put_mtu(struct fill *f)
{
	if (f->r->mtu == 0 || !fill_open(f, NATIVE_MTU, 4))
		return;
	wbuf_be32(f->w, f->r->mtu);
	fill_close(f);
}

static void
put_vhosts(struct fill *f)
{
	const uint8_t *id;

	while ((id = repl_vhost_next(f->r)) != NULL &&
	    fill_open(f, NATIVE_MASTERS, NATIVE_VHOST_LEN)) {
		wbuf_bytes(f->w, id, NATIVE_VHOST_LEN);
		f->r->vhosts_told++;
	}
}

size_t
repl_packet(struct repl *r, struct wbuf *w, uint64_t seq, monotime_t now)
{
	struct fill f = { .r = r, .w = w, .now = now };
	bool hello, data, ask;

	if (!r->c.native || !r->link)
		return (0);
	hello = monotime_cmp(r->hello_due, now) <= 0 || probe_wanted(r, now);
	data = data_waits(r) && credit(r, now);
	ask = question_due(r, now);
	if (!hello && !data && !ask && !acks_wanted(r, now) &&
	    repl_next_ack(r) == NULL && repl_vhost_next(r) == NULL)
		return (0);
	narrow(r, w);
	native_begin(w);
	if (hello)
		put_mtu(&f);
	put_acks(&f);
	put_ins_acks(&f);
	put_vhosts(&f);
	if (ask)
		put_questions(&f);
	if (data)
		put_data(&f);
	if (hello)
		f.any = true;
	return (finish(&f, seq));
}

monotime_t
repl_next(const struct repl *r, monotime_t now)
{
	bool busy = r->bulk == SYNC_BULK_WAIT ||
	    r->bulk == SYNC_BULK_RUNNING || r->nmissing > 0 ||
	    r->full ||
	    r->liberal_mark != 0;
	monotime_t t = monotime_add(now, busy ? 100 * MONOTIME_MSEC :
	    MONOTIME_SEC);
	const struct node *n;
	int i;

#define EARLIER(x) do { if (monotime_cmp((x), t) < 0) t = (x); } while (0)
	if (r->dump == 0) {
		EARLIER(r->dump_all);
		EARLIER(r->dump_part);
		EARLIER(r->dump_again);
	}
	if (r->young_n > 0)
		EARLIER(r->young[r->young_head].due);
	if (r->nheld > 0)
		EARLIER(r->held[0].due);
	if (!r->c.native || !r->link)
		return (t);		/* nothing can be said */
	EARLIER(r->hello_due);
	EARLIER(r->probe_due);
	EARLIER(repl_vhosts_due(r, now));
	if (r->again_n > 0 && !r->starting)
		EARLIER(r->again[r->again_head].due);
	for (i = 1; i < STATEDB_CARRIERS; i++) {
		n = &r->nodes[i];
		if (!n->used || !n->native || !n->alive)
			continue;
		if (n->unacked > 0)
			EARLIER(n->ack_due);
		if (!r->starting && !n->starting && asks_of(n))
			EARLIER(n->ask_at);
	}
#undef EARLIER
	return (t);
}
