/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as what happens to a node that replicates: packets, events and
 * results of its kernel, time, carpd, the link, an operator.  Whatever comes,
 * the state table process takes the operations, packets parse, the node falls
 * silent when it has said all, is not woken for nothing, and its invariants
 * hold.
 *
 *	head	flags: 1 no native dialect, 2 proven, 4 starting, 8 no carpd,
 *		16 link down, 32 MASTER, 128 the rest is one raw packet
 *	step	what (% STEPS), then as each step says below
 *
 * Flows are named by a number, which is put for its hash where a TLV has a
 * hash below 256: nobody guesses one.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../pfsyncd/msgs.h"
#include "../../pfsyncd/repl.h"
#include "fuzzflow.h"

#define US		4
#define EPOCH		UINT64_C(1700000000000)
#define STAMP		(EPOCH * 1000)
#define ROOM		1364
#define PACKETS_MAX	5000	/* before it must be silent */

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct repl	*r;
	struct statedb	*db;
	monotime_t	 now;
	uint64_t	 seq, peer_seq[8];
	enum auth_verdict auth;		/* of all packets */
	uint64_t	 out;		/* operations not done */
	uint32_t	 dump;
	uint32_t	 held;		/* packets that were held back */
};

/* ---- flows ---- */

static uint64_t
hash(const struct fuzz *z, uint8_t n)
{
	struct flow f;

	fuzz_flow(n, 0, &f);
	return (statedb_hash(z->db, &f));
}

static bool
exports(const struct flow *f, void *arg)
{
	(void)arg;
	return (f->mark != FUZZFLOW_MARK);
}

static bool
crosses(const struct flow *f, void *arg)
{
	(void)arg;
	return (f->orig.sport & 1);
}

/* ---- what comes out ---- */

static void
take_ops(struct fuzz *z, size_t max)
{
	struct statetbl_op op[32];
	size_t i, n;

	n = repl_ops(z->r, op, max < 32 ? max : 32, z->now);
	for (i = 0; i < n; i++) {
		assert(op[i].type < STATETBL_OP_MAX);
		assert((op[i].flags & ~STATETBL_OP_LIBERAL) == 0);
		assert(flow_check(&op[i].f, op[i].type > STATETBL_TOUCH) ==
		    NULL);
	}
	z->out += n;
}

static bool
say(struct fuzz *z)
{
	uint8_t buf[ROOM];
	struct native_hdr h;
	const uint8_t *tlv;
	size_t len, tlvlen, off;
	struct wbuf w;

	wbuf_init(&w, buf, sizeof(buf));
	if ((len = repl_packet(z->r, &w, z->seq + 1, z->now)) == 0)
		return (false);
	z->seq++;
	assert(wbuf_ok(&w) && len <= sizeof(buf));
	assert(native_parse(buf, len, &h, &tlv, &tlvlen, &off) && off == len);
	return (true);
}

/* carpd answers at once: MASTER of vhosts 0 to 3. */
static void
pump_vhosts(struct fuzz *z)
{
	static const uint8_t ours[4][NATIVE_VHOST_LEN] = { { 0 },
	    { [7] = 1 }, { [7] = 2 }, { [7] = 3 } };
	uint8_t id[2][NATIVE_VHOST_LEN];
	struct ipaddr who;
	size_t n;
	int k;

	for (k = 0; repl_want_vhosts(z->r); k++) {
		assert(k < 2);
		repl_vhosts(z->r, ours, 4, true);
		repl_tick(z->r, z->now);
	}
	for (k = 0; (n = repl_rivals(z->r, &who, id, 2, z->now)) > 0; k++)
		assert(k < 4 * STATEDB_CARRIERS && n <= 2 && id[0][7] < 4);
}

/* All that can be done now is; then there is time before the next. */
static void
pump(struct fuzz *z)
{
	enum statetbl_what what;
	uint32_t dump;
	int n;

	repl_tick(z->r, z->now);
	while (repl_pending(z->r) > 0) {
		take_ops(z, 32);
		assert(repl_done(z->r, (uint32_t)z->out));
		z->out = 0;
	}
	pump_vhosts(z);
	for (n = 0; say(z); n++)
		assert(n < PACKETS_MAX);
	if (z->dump != 0)
		repl_dumped(z->r, z->dump, true, z->now);
	for (z->dump = 0, n = 0; repl_want_dump(z->r, &dump, &what, z->now);
	    n++) {
		assert(n < 3);
		repl_dumped(z->r, dump, true, z->now);
	}
	while (say(z))
		assert(n++ < PACKETS_MAX);
	assert(monotime_cmp(repl_next(z->r, z->now), z->now) > 0);
}

/* ---- what comes in ---- */

static void
rx(struct fuzz *z, struct repl_pkt *p, const uint8_t *tlv, size_t len)
{
	p->tlv = tlv;
	p->tlvlen = len;
	p->auth = z->auth;
	(void)statedb_reserve(z->db);
	repl_rx(z->r, p, z->now);
}

/* A hash that is a number: that flow's. */
static void
put_hash(const struct fuzz *z, uint8_t *p)
{
	static const uint8_t zero[7];
	uint64_t h;
	int i;

	if (memcmp(p, zero, 7) != 0)
		return;
	h = hash(z, p[7]);
	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(h >> (56 - 8 * i));
}

static void
put_hashes(const struct fuzz *z, uint8_t *tlv, size_t len)
{
	static const struct { uint8_t from, step; } where[] = {
		[NATIVE_DEL] = { 0, 16 }, [NATIVE_REFRESH] = { 0, 12 },
		[NATIVE_ASK_FLOWS] = { 4, 8 }, [NATIVE_KILL] = { 8, 16 },
		[NATIVE_KEYS] = { 8, 8 }, [NATIVE_ASK_ACK] = { 0, 16 },
		[NATIVE_INS_ACK] = { 8, 16 },
	};
	size_t off = 0, at, n;
	struct rbuf v;
	uint8_t type;

	while (native_tlv(tlv, len, &off, &type, &v)) {
		if (type >= sizeof(where) / sizeof(where[0]) ||
		    where[type].step == 0)
			continue;
		n = rbuf_left(&v);
		for (at = where[type].from; at + 8 <= n;
		    at += where[type].step)
			put_hash(z, tlv + off - n + at);
	}
}

/* node << 5 | flags of the packet; what its sums are; seq; length / 4, TLVs */
static void
step_packet(struct fuzz *z, struct rbuf *in)
{
	uint8_t buf[4 * 255], node = rbuf_u8(in), sums = rbuf_u8(in),
	    seq = rbuf_u8(in);
	struct repl_pkt p;
	size_t len = 4U * rbuf_u8(in);
	unsigned int i;

	if (len > rbuf_left(in))
		len = rbuf_left(in);
	rbuf_bytes(in, buf, len);
	put_hashes(z, buf, len);
	memset(&p, 0, sizeof(p));
	p.node = node >> 5;
	p.hdr.flags = node & 0x1f;
	p.hdr.boot = sums & 0x80 ? 2 : 1;
	p.epoch = EPOCH + (sums & 0x60);
	p.hdr.clock = sums & 0x10 ? STAMP + (UINT64_C(1) << (sums & 0xf)) : 0;
	p.hdr.count = p.hdr.sum = sums & 1;
	for (i = 1; !(sums & 1) && i < STATEDB_CARRIERS; i++)
		if (repl_node_id(z->r, i) == p.node) {
			p.hdr.count = statedb_sums(z->db, (uint8_t)i)->count;
			p.hdr.sum = statedb_sums(z->db, (uint8_t)i)->all;
		}
	p.seq = z->peer_seq[p.node] += seq < 250 ? 1 : seq;
	if (seq < 32 && p.seq > seq)
		p.seq -= seq;
	rx(z, &p, buf, len);
}

/* node; flow, condition, stamp, life; carrier, creator */
static void
step_flow(struct fuzz *z, struct rbuf *in)
{
	uint8_t buf[NATIVE_TLV + NATIVE_FLOW6_LEN], n, v;
	struct native_flow nf;
	struct repl_pkt p;
	struct wbuf w;
	struct flow f;
	size_t mark;

	memset(&p, 0, sizeof(p));
	memset(&nf, 0, sizeof(nf));
	p.node = rbuf_u8(in) % 8;
	n = rbuf_u8(in);
	v = rbuf_u8(in);
	fuzz_flow(n, v, &f);
	nf.stamp = STAMP + rbuf_u8(in);
	nf.life = rbuf_u8(in) & 63;
	nf.carrier = rbuf_u8(in);
	nf.creator = nf.carrier >> 4;
	nf.carrier = nf.carrier & 8 ? nf.carrier & 7 : p.node;
	nf.mark = f.mark;
	nf.timeout = f.timeout;
	nf.proto = f.proto;
	nf.seen_reply = (f.status & FLOW_SEEN_REPLY) != 0;
	nf.tcp_state = f.tcp_state;
	memcpy(nf.osrc, f.orig.src, 16);
	memcpy(nf.odst, f.orig.dst, 16);
	memcpy(nf.rsrc, f.reply.src, 16);
	memcpy(nf.rdst, f.reply.dst, 16);
	nf.osport = f.orig.sport;
	nf.odport = f.orig.dport;
	nf.rsport = f.reply.sport;
	nf.rdport = f.reply.dport;
	wbuf_init(&w, buf, sizeof(buf));
	mark = native_open(&w, f.af == 4 ? NATIVE_FLOW4 : NATIVE_FLOW6);
	native_put_flow(&w, f.af, &nf);
	native_close(&w, mark);
	p.epoch = EPOCH;
	p.hdr.boot = 1;
	p.seq = ++z->peer_seq[p.node];
	rx(z, &p, buf, w.used);
}

/* type and flags; flow, condition; ctid */
static void
step_event(struct fuzz *z, struct rbuf *in)
{
	struct statetbl_event e;
	uint8_t what = rbuf_u8(in), n = rbuf_u8(in), v = rbuf_u8(in);

	memset(&e, 0, sizeof(e));
	fuzz_flow(n, v, &e.f);
	e.type = what % STATETBL_EV_MAX;
	e.flags = what & 0x10 ? STATETBL_EV_FOREIGN : 0;
	e.dump = what & 0x20 ? z->dump : 0;
	if (what & 0x40)
		e.f.timeout = e.type == STATETBL_DESTROY ? 0 : 1;
	e.ctid = rbuf_u8(in) % 4;
	(void)statedb_reserve(z->db);
	repl_event(z->r, &e, z->now);
}

/* error; flow; the other flow */
static void
step_result(struct fuzz *z, struct rbuf *in)
{
	struct statetbl_result res;

	memset(&res, 0, sizeof(res));
	res.error = rbuf_u8(in) % STATETBL_ERROR_MAX;
	fuzz_flow(rbuf_u8(in), 0, &res.f);
	fuzz_flow(rbuf_u8(in), 0, &res.other);
	repl_result(z->r, &res, z->now);
}

static void
step_dump(struct fuzz *z, uint8_t what)
{
	enum statetbl_what w;

	if (z->dump != 0) {
		repl_dumped(z->r, z->dump, what & 1, z->now);
		z->dump = 0;
	} else if (!repl_want_dump(z->r, &z->dump, &w, z->now))
		z->dump = 0;
}

static void
step_operator(struct fuzz *z, uint8_t what)
{
	switch (what % 6) {
	case 0:
		repl_now(z->r, z->now);
		return;
	case 1:
		repl_flush(z->r, z->now);
		return;
	case 2:
		repl_refilter(z->r, z->now);
		return;
	case 3:
		repl_overrun(z->r, z->now);
		return;
	case 4:
		repl_conf(z->r, 1U + (what >> 4));
		return;
	default:
		repl_leave(z->r, z->now);
		return;
	}
}

/* what and who; flow, condition */
static void
step_foreign(struct fuzz *z, struct rbuf *in)
{
	uint8_t what = rbuf_u8(in), n = rbuf_u8(in), v = rbuf_u8(in);
	uint32_t i, who = 0x80U + (what >> 4);
	struct flow f;

	fuzz_flow(n, v, &f);
	repl_foreign_heard(z->r, who, z->now);
	(void)statedb_reserve(z->db);
	i = statedb_find(z->db, &f, statedb_hash(z->db, &f));
	if (what & 1 && i != STATEDB_NONE)
		repl_foreign_del(z->r, i, z->now);
	else
		(void)repl_foreign_put(z->r, who, &f, what & 2, z->now);
}

/* flow, condition: its first packet is held back */
static void
step_defer(struct fuzz *z, struct rbuf *in)
{
	struct statetbl_event e;
	struct defer_go go[2];
	uint8_t n = rbuf_u8(in), v = rbuf_u8(in);

	memset(&e, 0, sizeof(e));
	fuzz_flow(n, v, &e.f);
	e.type = STATETBL_NEW;
	e.ctid = v % 4;
	(void)statedb_reserve(z->db);
	repl_defer(z->r, &e, ++z->held, z->now);
	for (n = 0; repl_let_go(z->r, go, 2) > 0; n++)
		assert(n < DEFER_MAX && go[0].packet <= z->held &&
		    go[0].why < DEFER_WHY_MAX);
}

#define STEPS	13

static void
step(struct fuzz *z, struct rbuf *in)
{
	uint8_t b;

	switch (rbuf_u8(in) % STEPS) {
	case 0:
		step_packet(z, in);
		return;
	case 1:
		step_flow(z, in);
		return;
	case 2:
		step_event(z, in);
		return;
	case 3:		/* exponent of nanoseconds, at most 70 s */
		z->now = monotime_add(z->now, INT64_C(1) << rbuf_u8(in) % 37);
		repl_tick(z->r, z->now);
		return;
	case 4:
		take_ops(z, rbuf_u8(in));
		return;
	case 5:
		b = rbuf_u8(in);
		if (repl_done(z->r, b))
			z->out -= b;
		return;
	case 6:
		pump(z);
		return;
	case 7:
		step_dump(z, rbuf_u8(in));
		return;
	case 8:		/* masters; 0x10: carpd is there, 0x20: link, 0x40:
			   balancing */
		b = rbuf_u8(in);
		repl_carp(z->r, b & 3, b & 0x10, z->now);
		repl_balanced(z->r, b & 0x40);
		repl_link(z->r, b & 0x20, z->now);
		return;
	case 9:
		step_result(z, in);
		return;
	case 10:
		step_operator(z, rbuf_u8(in));
		return;
	case 11:
		step_foreign(z, in);
		return;
	default:
		step_defer(z, in);
		return;
	}
}

static void
raw(struct fuzz *z, const uint8_t *data, size_t len)
{
	struct repl_pkt p;
	size_t off;

	memset(&p, 0, sizeof(p));
	p.node = 1;
	p.epoch = EPOCH;
	p.seq = 1;
	if (native_parse(data, len, &p.hdr, &p.tlv, &p.tlvlen, &off))
		rx(z, &p, p.tlv, p.tlvlen);
}

static void
begin(struct fuzz *z, uint8_t flags)
{
	static const uint8_t key[16] = "fuzzed flows";
	const struct repl_hooks hooks = { .exports = exports,
	    .crosses = crosses };
	struct repl_conf c;
	enum statetbl_what what;

	memset(z, 0, sizeof(*z));
	memset(&c, 0, sizeof(c));
	c.node = US;
	c.boot = 1;
	c.epoch = EPOCH;
	c.clock = STAMP;
	c.refresh = 15;
	c.native = !(flags & 1);
	z->auth = flags & 2 ? AUTH_PROVEN : AUTH_OPEN;
	z->now.ns = 1000 * MONOTIME_SEC;
	z->db = statedb_new(key);
	z->r = repl_new(&c, z->db, &hooks, z->now);
	repl_link(z->r, !(flags & 16), z->now);
	repl_carp(z->r, flags & 32 ? 1 : 0, !(flags & 8), z->now);
	if (!(flags & 4) && repl_want_dump(z->r, &z->dump, &what, z->now)) {
		repl_dumped(z->r, z->dump, true, z->now);
		z->dump = 0;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf in;
	struct fuzz z;

	rbuf_init(&in, data, size);
	if (size < 1)
		return (0);
	begin(&z, data[0]);
	(void)rbuf_u8(&in);
	if (data[0] & 0x80)
		raw(&z, data + 1, size - 1);
	else
		while (rbuf_left(&in) > 0)
			step(&z, &in);
	assert(repl_check(z.r) == NULL);
	pump(&z);
	assert(repl_check(z.r) == NULL);
	repl_free(z.r);
	statedb_free(z.db);
	return (0);
}
