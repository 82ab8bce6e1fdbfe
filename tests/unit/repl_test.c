/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/repl, one rule at a time: a node, or two, with packets made by hand
 * and a kernel that is a list of what it was told.  What whole networks do is
 * tests/sim/syncsim_test.c's.
 */
#include <netinet/in.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/msgs.h"
#include "../../pfsyncd/repl_int.h"

#define MS		MONOTIME_MSEC
#define SEC		MONOTIME_SEC
#define ROOM		1364
#define JUMBO		8900
#define CROSSES		77	/* the flow whose answers come elsewhere */
#define US		0x100U		/* node ids */
#define PEER		0x200U
#define THIRD		0x300U
#define EPOCH		UINT64_C(1700000000000)
#define STAMP		(EPOCH * 1000 + 1000000)	/* of a peer */
#define TEN_YEARS	315360000U
#define OPS_MAX		70000
#define SAID_MAX	8192

static int64_t		 T;		/* the time */

static monotime_t
now(void)
{
	return ((monotime_t){ T });
}

/* ---- a node ---- */

struct box {
	struct repl		*r;
	struct statedb		*db;
	struct repl_conf	 c;
	uint64_t		 seq;
	size_t			 room;
	bool			 busy;	/* its kernel is not done */
	struct statetbl_op	 op[OPS_MAX];
	size_t			 nop;
};
static struct box	 box, box2;

static const uint8_t	 key[16] = "repl test key..";

static void		 together(int64_t length, unsigned int lose);
static bool		 in_step(void);

static uint32_t		 secret_mark;	/* not 0: it is not exported */

static void		 note_boot(uint32_t node, uint32_t boot, void *arg);

static bool
exports(const struct flow *f, void *arg)
{
	(void)arg;
	return (secret_mark == 0 || f->mark != secret_mark);
}

static bool
crosses(const struct flow *f, void *arg)
{
	(void)arg;
	return (f->orig.src[3] == CROSSES);
}

static void
conf(struct repl_conf *c, uint32_t node)
{
	memset(c, 0, sizeof(*c));
	c->node = node;
	c->boot = node + 7;
	c->epoch = EPOCH;
	c->clock = EPOCH * 1000;
	c->refresh = 15;
	c->native = true;
}

static void
box_open(struct box *b, const struct repl_conf *c)
{
	struct repl_hooks hooks = { .exports = exports, .crosses = crosses,
	    .booted = note_boot };

	b->c = *c;
	b->seq = 0;
	b->room = ROOM;
	b->busy = false;
	b->nop = 0;
	b->db = statedb_new(key);
	b->r = repl_new(c, b->db, &hooks, now());
}

static void
box_dump(struct box *b)
{
	enum statetbl_what what;
	uint32_t dump;

	ck_assert(repl_want_dump(b->r, &dump, &what, now()));
	repl_dumped(b->r, dump, true, now());
}

/* Nobody is MASTER, the link is up, the first dump is over and was empty. */
static void
box_begin(struct box *b, uint32_t node)
{
	struct repl_conf c;

	conf(&c, node);
	box_open(b, &c);
	repl_carp(b->r, 0, true, now());
	repl_link(b->r, true, now());
	box_dump(b);
}

static void
sound(struct box *b)
{
	const char *why = repl_check(b->r);

	ck_assert_msg(why == NULL, "%s", why);
}

static void
box_end(struct box *b)
{
	if (b->r == NULL)
		return;
	repl_free(b->r);
	statedb_free(b->db);
	memset(b, 0, offsetof(struct box, op));
}

static void
setup(void)
{
	/* what a test that failed left behind */
	box_end(&box);
	box_end(&box2);
	T = 1000 * SEC;
	secret_mark = 0;
	box_begin(&box, US);
}

static void
teardown(void)
{
	sound(&box);
	box_end(&box);
	if (box2.r != NULL)
		sound(&box2);
	box_end(&box2);
}

static void
pass(int64_t ns)
{
	T += ns;
	repl_tick(box.r, now());
}

static struct repl_status
status(void)
{
	struct repl_status s;

	repl_status(box.r, &s, now());
	return (s);
}

/* ---- its kernel ---- */

/* What a state table process would not take, op_check() of table.c. */
static void
op_ok(const struct statetbl_op *op)
{
	bool sets = op->type <= STATETBL_TOUCH;
	const char *why = flow_check(&op->f, !sets);

	ck_assert_uint_lt(op->type, STATETBL_OP_MAX);
	ck_assert_uint_eq(op->flags & ~STATETBL_OP_LIBERAL, 0);
	ck_assert_msg(why == NULL, "operation %u: %s", op->type, why);
}

/* Fetch all operations; how many. */
static size_t
ops(struct box *b)
{
	size_t i;

	b->nop = repl_ops(b->r, b->op, OPS_MAX, now());
	for (i = 0; i < b->nop && b->nop < 1000; i++)
		op_ok(&b->op[i]);
	if (!b->busy)
		repl_done(b->r, (uint32_t)b->nop);
	return (b->nop);
}

/* There was one operation, for f. */
static void
one_op(enum statetbl_op_type type, unsigned int flags, const struct flow *f)
{
	ck_assert_uint_eq(ops(&box), 1);
	ck_assert_uint_eq(box.op[0].type, type);
	ck_assert_uint_eq(box.op[0].flags, flags);
	ck_assert(flow_same(&box.op[0].f, f));
}

static void
no_op(void)
{
	ck_assert_uint_eq(ops(&box), 0);
}

/* TCP, ESTABLISHED, replied, 300 s. */
static struct flow
flow(uint32_t n)
{
	struct flow f;

	memset(&f, 0, sizeof(f));
	f.af = 4;
	f.proto = IPPROTO_TCP;
	f.orig.src[0] = 10;
	f.orig.src[1] = (uint8_t)(n >> 16);
	f.orig.src[2] = (uint8_t)(n >> 8);
	f.orig.src[3] = (uint8_t)n;
	f.orig.dst[0] = 192;
	f.orig.dst[2] = 2;
	f.orig.dst[3] = 9;
	f.orig.sport = 4000;
	f.orig.dport = 443;
	flow_invert(&f.orig, f.proto, &f.reply);
	f.status = FLOW_SEEN_REPLY | FLOW_ASSURED;
	f.tcp_state = FLOW_TCP_ESTABLISHED;
	f.timeout = 300;
	return (f);
}

static struct flow
unreplied(uint32_t n)
{
	struct flow f = flow(n);

	f.status = 0;
	f.tcp_state = FLOW_TCP_SYN_SENT;
	f.timeout = 120;
	return (f);
}

static void
kernel_says(struct box *b, enum statetbl_ev type, const struct flow *f,
    uint32_t ctid, unsigned int flags, uint32_t dump)
{
	struct statetbl_event e;

	memset(&e, 0, sizeof(e));
	e.f = *f;
	e.ctid = ctid;
	e.type = (uint8_t)type;
	e.flags = (uint8_t)flags;
	e.dump = dump;
	(void)statedb_reserve(b->db);
	repl_event(b->r, &e, now());
}

static void
event(enum statetbl_ev type, const struct flow *f)
{
	kernel_says(&box, type, f, 1, 0, 0);
}

static void
gone(const struct flow *f, unsigned int flags)
{
	kernel_says(&box, STATETBL_DESTROY, f, 1, flags, 0);
}

/* A dump that shows f alone. */
static void
dump_of(const struct flow *f)
{
	enum statetbl_what what;
	uint32_t dump;

	repl_now(box.r, now());
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	kernel_says(&box, STATETBL_DUMP, f, 1, 0, dump);
	repl_dumped(box.r, dump, true, now());
}

static void
refuse(const struct flow *f, enum statetbl_error why, const struct flow *other)
{
	struct statetbl_result res;

	memset(&res, 0, sizeof(res));
	res.f = *f;
	res.error = (uint8_t)why;
	res.type = STATETBL_PUT;
	if (other != NULL)
		res.other = *other;
	repl_result(box.r, &res, now());
}

/* Its entry; NULL when it is not known. */
static struct statedb_entry *
entry_at(struct box *b, const struct flow *f)
{
	uint32_t i = statedb_find(b->db, f, statedb_hash(b->db, f));

	return (i == STATEDB_NONE ? NULL : statedb_at(b->db, i));
}

static struct statedb_entry *
entry(const struct flow *f)
{
	return (entry_at(&box, f));
}

static uint32_t
carrier(const struct flow *f)
{
	struct statedb_entry *e = entry(f);

	return (e == NULL || e->flags & F_GONE ? 0 :
	    repl_node_id(box.r, e->carrier));
}

static uint64_t
hash(const struct flow *f)
{
	return (statedb_hash(box.db, f));
}

/* ---- what it says ---- */

static struct said {
	size_t			 packets;
	struct native_hdr	 hdr;		/* of the last packet */
	struct native_flow	 flow[SAID_MAX];
	struct native_del	 del[64];
	struct native_refresh	 refresh[64];
	struct native_del	 kill[64];
	struct native_ack	 ack[64];
	uint64_t		 asked[64];	/* ASK_FLOWS */
	size_t			 nflow, ndel, nrefresh, nkill, nack, nasked;
	struct native_del	 want_ack[64], ins_ack[64];
	uint32_t		 ins_ack_to;
	size_t			 nwant_ack, nins_ack;
	uint8_t			 master[REPL_VHOSTS_MAX][NATIVE_VHOST_LEN];
	size_t			 nmaster;
	size_t			 n[19];		/* TLVs of each type */
} said;

static void
hear_pairs(struct rbuf *v, struct native_del *d, size_t *n)
{
	while (rbuf_left(v) >= NATIVE_DEL_LEN && *n < 64) {
		d[*n].h = rbuf_be64(v);
		d[(*n)++].stamp = rbuf_be64(v);
	}
}

static void
hear(uint8_t type, struct rbuf *v)
{
	ck_assert_uint_lt(type, sizeof(said.n) / sizeof(said.n[0]));
	said.n[type]++;
	switch (type) {
	case NATIVE_FLOW4:
	case NATIVE_FLOW6:
		while (said.nflow < SAID_MAX && native_get_flow(v,
		    type == NATIVE_FLOW4 ? 4 : 6, &said.flow[said.nflow]))
			said.nflow++;
		break;
	case NATIVE_DEL:
		hear_pairs(v, said.del, &said.ndel);
		break;
	case NATIVE_KILL:
		rbuf_skip(v, 8);
		hear_pairs(v, said.kill, &said.nkill);
		break;
	case NATIVE_ASK_ACK:
		hear_pairs(v, said.want_ack, &said.nwant_ack);
		break;
	case NATIVE_INS_ACK:
		said.ins_ack_to = rbuf_be32(v);
		rbuf_skip(v, 4);
		hear_pairs(v, said.ins_ack, &said.nins_ack);
		break;
	case NATIVE_REFRESH:
		while (rbuf_left(v) >= NATIVE_REFRESH_LEN &&
		    said.nrefresh < 64) {
			said.refresh[said.nrefresh].h = rbuf_be64(v);
			said.refresh[said.nrefresh++].timeout = rbuf_be32(v);
		}
		break;
	case NATIVE_ACK:
		while (said.nack < 64 && native_get_ack(v,
		    &said.ack[said.nack]))
			said.nack++;
		break;
	case NATIVE_ASK_FLOWS:
		rbuf_skip(v, 4);
		while (rbuf_left(v) >= 8 && said.nasked < 64)
			said.asked[said.nasked++] = rbuf_be64(v);
		break;
	case NATIVE_MASTERS:
		while (rbuf_left(v) > 0 && said.nmaster < REPL_VHOSTS_MAX)
			rbuf_bytes(v, said.master[said.nmaster++],
			    NATIVE_VHOST_LEN);
		break;
	default:
		break;
	}
}

/* One packet into buf; its length. */
static size_t
packet(struct box *b, uint8_t *buf)
{
	struct wbuf w;
	size_t len;

	wbuf_init(&w, buf, b->room);
	if ((len = repl_packet(b->r, &w, b->seq + 1, now())) == 0)
		return (0);
	ck_assert(wbuf_ok(&w));
	b->seq++;
	return (len);
}

/* Take all it has to say; how many packets.  Endless is a failure. */
static size_t
listen_to(struct box *b, size_t max)
{
	static uint8_t buf[JUMBO];
	const uint8_t *tlv;
	size_t len, tlvlen, off;
	struct rbuf v;
	uint8_t type;

	memset(&said, 0, sizeof(said));
	while ((len = packet(b, buf)) > 0) {
		ck_assert_msg(++said.packets <= max, "it goes on and on");
		ck_assert(native_parse(buf, len, &said.hdr, &tlv, &tlvlen,
		    &off));
		ck_assert_uint_eq(off, len);
		for (off = 0; native_tlv(tlv, tlvlen, &off, &type, &v);)
			hear(type, &v);
	}
	return (said.packets);
}

static size_t
listen_now(void)
{
	return (listen_to(&box, 1000));
}

/* Whatever was to be said or done was. */
static void
settle(void)
{
	(void)ops(&box);
	(void)listen_now();
}

/* ---- a peer made by hand ---- */

static struct peer {
	uint32_t		 id;
	uint64_t		 epoch, seq;
	struct native_hdr	 hdr;
} peer, third;

/* of its packets, as the engine finds it */
static enum auth_verdict verdict = AUTH_OPEN;
static uint8_t		 pkt[JUMBO];
static struct wbuf	 pw;

static void
begin(void)
{
	wbuf_init(&pw, pkt, sizeof(pkt));
	native_begin(&pw);
}

/* As it is: same epoch, with that sequence number. */
static void
deliver(struct box *b, const struct peer *p, uint64_t seq)
{
	struct repl_pkt r;
	size_t len, off;

	memset(&r, 0, sizeof(r));
	len = native_end(&pw, &p->hdr);
	ck_assert(len > 0);
	ck_assert(native_parse(pkt, len, &r.hdr, &r.tlv, &r.tlvlen, &off));
	r.node = p->id;
	r.addr.bytes[3] = (uint8_t)(p->id >> 8);
	r.epoch = p->epoch;
	r.seq = seq;
	(void)statedb_reserve(b->db);
	r.auth = verdict;
	repl_rx(b->r, &r, now());
}

static void
send_packet(struct peer *p)
{
	deliver(&box, p, ++p->seq);
}

/* The peer carries what we hold of it. */
static void
agree(struct peer *p)
{
	unsigned int i;

	p->hdr.count = 0;
	p->hdr.sum = 0;
	for (i = 1; i < STATEDB_CARRIERS; i++)
		if (repl_node_id(box.r, i) == p->id) {
			p->hdr.count = statedb_sums(box.db,
			    (uint8_t)i)->count;
			p->hdr.sum = statedb_sums(box.db, (uint8_t)i)->all;
		}
}

/* It heard all that we said, and may hear window more. */
static void
put_ack(uint64_t seq, uint32_t window)
{
	struct native_ack a = { box.c.node, window, box.c.epoch, seq };
	size_t mark = native_open(&pw, NATIVE_ACK);

	native_put_ack(&pw, &a);
	native_close(&pw, mark);
}

static void
hello(struct peer *p)
{
	begin();
	put_ack(box.seq, REPL_WINDOW);
	agree(p);
	send_packet(p);
}

static void
meet(struct peer *p, uint32_t id)
{
	memset(p, 0, sizeof(*p));
	p->id = id;
	p->epoch = EPOCH;
	p->hdr.boot = id;
	hello(p);
	(void)listen_now();
}

static void
put_flow(const struct flow *f, uint32_t id, uint64_t stamp, uint8_t life)
{
	struct native_flow n;
	size_t mark;

	memset(&n, 0, sizeof(n));
	n.stamp = stamp;
	n.carrier = n.creator = id;
	n.mark = f->mark;
	n.timeout = f->timeout;
	n.zone = f->zone;
	n.proto = f->proto;
	n.seen_reply = (f->status & FLOW_SEEN_REPLY) != 0;
	n.assured = (f->status & FLOW_ASSURED) != 0;
	n.life = life;
	n.tcp_state = f->tcp_state;
	memcpy(n.osrc, f->orig.src, 16);
	memcpy(n.odst, f->orig.dst, 16);
	memcpy(n.rsrc, f->reply.src, 16);
	memcpy(n.rdst, f->reply.dst, 16);
	n.osport = f->orig.sport;
	n.odport = f->orig.dport;
	n.rsport = f->reply.sport;
	n.rdport = f->reply.dport;
	mark = native_open(&pw, f->af == 4 ? NATIVE_FLOW4 : NATIVE_FLOW6);
	native_put_flow(&pw, f->af == 4 ? 4 : 6, &n);
	native_close(&pw, mark);
}

/* The peer tells of a flow of its own. */
static void
tell(struct peer *p, const struct flow *f, uint64_t stamp, uint8_t life)
{
	begin();
	put_flow(f, p->id, stamp, life);
	send_packet(p);
}

static void
put_pair(uint8_t type, uint64_t h, uint64_t stamp, uint32_t to)
{
	size_t mark = native_open(&pw, type);

	if (type == NATIVE_KILL || type == NATIVE_INS_ACK) {
		wbuf_be32(&pw, to);
		wbuf_be32(&pw, 0);
	}
	wbuf_be64(&pw, h);
	wbuf_be64(&pw, stamp);
	native_close(&pw, mark);
}

static void
tell_del(struct peer *p, const struct flow *f, uint64_t stamp)
{
	begin();
	put_pair(NATIVE_DEL, hash(f), stamp, 0);
	send_packet(p);
}

static void
tell_refresh(struct peer *p, const struct flow *f, uint32_t timeout)
{
	size_t mark;

	begin();
	mark = native_open(&pw, NATIVE_REFRESH);
	wbuf_be64(&pw, hash(f));
	wbuf_be32(&pw, timeout);
	native_close(&pw, mark);
	send_packet(p);
}

/* A replica of the peer's, in the kernel. */
static void
replica(struct peer *p, const struct flow *f, uint64_t stamp)
{
	tell(p, f, stamp, 0);
	one_op(STATETBL_PUT, 0, f);
	ck_assert_uint_eq(carrier(f), p->id);
}

/* A flow of ours, that was told. */
static void
own(const struct flow *f)
{
	event(STATETBL_NEW, f);
	ck_assert_uint_eq(carrier(f), US);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].carrier, US);
}

/* ---- unreplied flows ---- */

START_TEST(young_waits)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(status().young, 1);
	ck_assert_uint_eq(listen_now(), 0);
	pass(SEC - 1);
	ck_assert_uint_eq(status().young, 1);
	ck_assert_uint_eq(repl_waiting(box.r), 0);
	pass(1);
	ck_assert_uint_eq(status().young, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert(!said.flow[0].seen_reply);
	ck_assert_uint_eq(said.flow[0].tcp_state, FLOW_TCP_SYN_SENT);
}
END_TEST

START_TEST(young_first_reply)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	pass(10 * MS);
	f.status = FLOW_SEEN_REPLY;
	f.tcp_state = FLOW_TCP_SYN_RECV;
	event(STATETBL_UPDATE, &f);
	ck_assert_uint_eq(status().young, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert(said.flow[0].seen_reply);
	/* and not again when its second is over */
	pass(SEC);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
}
END_TEST

/* It ended before anybody was told: nobody is told of that either. */
START_TEST(young_dies)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	gone(&f, 0);
	ck_assert_uint_eq(status().young, 0);
	ck_assert_ptr_null(entry(&f));
	pass(2 * SEC);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow + said.ndel, 0);
}
END_TEST

START_TEST(young_bucket)
{
	struct flow f;
	uint32_t i;

	meet(&peer, PEER);
	/* after a long silence the bucket is full: two seconds' worth */
	pass(60 * SEC);
	hello(&peer);
	for (i = 0; i < 5 * YOUNG_RATE; i++) {
		f = unreplied(i);
		event(STATETBL_NEW, &f);
	}
	T += SEC;
	repl_tick(box.r, now());
	ck_assert_uint_eq(repl_waiting(box.r), 2 * YOUNG_RATE);
	ck_assert_uint_eq(status().throttled, 3 * YOUNG_RATE);
	ck_assert_uint_eq(status().young, 0);
	/* those that were dropped are known no more, and may come again */
	f = unreplied(5 * YOUNG_RATE - 1);
	ck_assert_ptr_null(entry(&f));
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(status().young, 1);
	/* a second's worth came back meanwhile */
	for (i = 10 * YOUNG_RATE; i < 13 * YOUNG_RATE; i++) {
		f = unreplied(i);
		event(STATETBL_NEW, &f);
	}
	pass(SEC);
	ck_assert_uint_eq(repl_waiting(box.r), 3 * YOUNG_RATE);
}
END_TEST

/* ---- nodes that share an interface ---- */

/* Its answer may come to another node at once. */
START_TEST(balanced_at_once)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	repl_balanced(box.r, true);
	ck_assert(!repl_hasty(box.r));
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(status().young, 0);
	ck_assert(repl_hasty(box.r));
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert(!said.flow[0].seen_reply);
	ck_assert(!repl_hasty(box.r));
	/* changes are as urgent */
	f.status = FLOW_SEEN_REPLY;
	f.tcp_state = FLOW_TCP_SYN_RECV;
	event(STATETBL_UPDATE, &f);
	ck_assert(repl_hasty(box.r));
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	/* no longer: it waits, as what is told does for company */
	repl_balanced(box.r, false);
	f = unreplied(2);
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(status().young, 1);
	f = flow(1);
	event(STATETBL_UPDATE, &f);
	ck_assert(!repl_hasty(box.r));
}
END_TEST

/* A flood: what is too much waits for its reply, as without balancing. */
START_TEST(balanced_bucket)
{
	struct flow f;
	uint32_t i;

	meet(&peer, PEER);
	repl_balanced(box.r, true);
	pass(60 * SEC);
	hello(&peer);
	for (i = 0; i < 2 * HASTE_RATE + 5; i++) {
		f = unreplied(i);
		event(STATETBL_NEW, &f);
	}
	ck_assert_uint_eq(repl_waiting(box.r), 2 * HASTE_RATE);
	ck_assert_uint_eq(status().young, 5);
	T += SEC;
	repl_tick(box.r, now());
	ck_assert_uint_eq(repl_waiting(box.r), 2 * HASTE_RATE + 5);
	ck_assert_uint_eq(status().throttled, 0);
}
END_TEST

/* Each kernel sees one half of the windows. */
START_TEST(balanced_liberal)
{
	struct flow f = flow(1), udp = flow(2);

	meet(&peer, PEER);
	repl_balanced(box.r, true);
	tell(&peer, &f, STAMP, 0);
	one_op(STATETBL_PUT, STATETBL_OP_LIBERAL, &f);
	udp.proto = IPPROTO_UDP;
	udp.tcp_state = 0;
	tell(&peer, &udp, STAMP + 1, 0);
	one_op(STATETBL_PUT, 0, &udp);
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	tell(&peer, &f, STAMP + 2, 0);
	one_op(STATETBL_SET, STATETBL_OP_LIBERAL, &f);
	/* it is put in again */
	gone(&f, 0);
	pass(REPL_HELLO);
	one_op(STATETBL_PUT, STATETBL_OP_LIBERAL, &f);
}
END_TEST

/* The peer says now that f is at that state, with that life. */
static void
tell_state(struct flow *f, uint8_t state, uint8_t life)
{
	static uint64_t later = STAMP + 10 * 1000000;

	f->tcp_state = state;
	later += 1000000;
	tell(&peer, f, later, life);
}

/* Each sees its half: what is further counts, until the tuple is used anew. */
START_TEST(balanced_further)
{
	static const struct {
		uint8_t ours, theirs, life;
		bool keep;
	} tab[] = {
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_SYN_RECV, 0, true },
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_SYN_SENT, 0, true },
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_ESTABLISHED, 0, false },
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_FIN_WAIT, 0, false },
		{ FLOW_TCP_LAST_ACK, FLOW_TCP_CLOSE_WAIT, 0, true },
		{ FLOW_TCP_TIME_WAIT, FLOW_TCP_ESTABLISHED, 0, true },
		{ FLOW_TCP_TIME_WAIT, FLOW_TCP_SYN_RECV, 0, false },
		{ FLOW_TCP_CLOSE, FLOW_TCP_SYN_SENT, 0, false },
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_SYN_SENT, 1, false },
	};
	struct flow f;
	size_t i;
	int on;

	meet(&peer, PEER);
	peer.hdr.flags = NATIVE_F_MASTER;
	repl_carp(box.r, 1, true, now());
	for (i = 0; i < sizeof(tab) / sizeof(tab[0]) * 2; i++) {
		on = i % 2;
		repl_balanced(box.r, on);
		f = flow((uint32_t)i);
		f.tcp_state = tab[i / 2].ours;
		event(STATETBL_NEW, &f);
		settle();
		tell_state(&f, tab[i / 2].theirs, tab[i / 2].life);
		ck_assert_msg((carrier(&f) == US) == (on && tab[i / 2].keep),
		    "case %zu, balanced %d", i / 2, on);
		(void)listen_now();
		ck_assert_uint_eq(said.nflow, on && tab[i / 2].keep);
	}
	/* who is MASTER of nothing gives way */
	repl_carp(box.r, 0, true, now());
	f = flow(100);
	event(STATETBL_NEW, &f);
	settle();
	tell_state(&f, FLOW_TCP_SYN_RECV, 0);
	ck_assert_uint_eq(carrier(&f), PEER);
}
END_TEST

/* A tuple of the peer's begins anew in our kernel: it hears that. */
START_TEST(balanced_anew)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	repl_balanced(box.r, true);
	f.tcp_state = FLOW_TCP_TIME_WAIT;
	tell(&peer, &f, STAMP, 7);
	settle();
	f = unreplied(1);
	event(STATETBL_NEW, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].life, 8);
}
END_TEST

/* A dump that shows f alone makes nobody set anything. */
static void
dump_sets_nothing(const struct flow *f)
{
	size_t i, n;

	dump_of(f);
	n = ops(&box);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(box.op[i].type, STATETBL_VERIFY);
}

/* What we had our kernel told a moment ago may undo what it has just seen. */
START_TEST(balanced_reasserts)
{
	struct flow f = unreplied(1);
	int on;

	meet(&peer, PEER);
	for (on = 0; on < 2; on++) {
		repl_balanced(box.r, on);
		f = unreplied((uint32_t)on);
		tell(&peer, &f, STAMP, 0);
		settle();
		f.status = FLOW_SEEN_REPLY;
		f.tcp_state = FLOW_TCP_SYN_RECV;
		event(STATETBL_UPDATE, &f);
		if (!on) {
			no_op();
			continue;
		}
		one_op(STATETBL_SET, STATETBL_OP_LIBERAL, &f);
		f.tcp_state = FLOW_TCP_ESTABLISHED;
		event(STATETBL_UPDATE, &f);
		one_op(STATETBL_SET, STATETBL_OP_LIBERAL, &f);
		/* a dump may be older than that */
		f.tcp_state = FLOW_TCP_FIN_WAIT;
		dump_sets_nothing(&f);
		T += 2 * SEC;
		f.tcp_state = FLOW_TCP_CLOSE_WAIT;
		event(STATETBL_UPDATE, &f);
		no_op();
	}
}
END_TEST

/*
 * The answer passes elsewhere: our kernel takes what follows it, before it has
 * heard of it; the others hear what was seen.
 */
START_TEST(balanced_crosses)
{
	struct flow f = unreplied(CROSSES), ahead;

	meet(&peer, PEER);
	repl_balanced(box.r, true);
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(ops(&box), 1);
	ahead = box.op[0].f;
	ck_assert_uint_eq(box.op[0].type, STATETBL_SET);
	ck_assert_uint_eq(box.op[0].flags, STATETBL_OP_LIBERAL);
	ck_assert_uint_eq(ahead.tcp_state, FLOW_TCP_SYN_RECV);
	ck_assert_uint_eq(ahead.status, FLOW_SEEN_REPLY);
	ck_assert_uint_eq(ahead.timeout, f.timeout);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].tcp_state, FLOW_TCP_SYN_SENT);
	ck_assert(!said.flow[0].seen_reply);
	/* not if it is not that, or may be further by now */
	f = unreplied(CROSSES + 1);
	event(STATETBL_NEW, &f);
	no_op();
	f = unreplied(CROSSES | 1 << 8);
	dump_sets_nothing(&f);
	repl_balanced(box.r, false);
	f = unreplied(CROSSES);
	f.orig.sport++;
	flow_invert(&f.orig, f.proto, &f.reply);
	event(STATETBL_NEW, &f);
	no_op();
}
END_TEST

/* What was there before: once. */
START_TEST(balanced_begins)
{
	struct flow f = flow(1), g = flow(2);
	int again;

	meet(&peer, PEER);
	own(&f);
	replica(&peer, &g, STAMP);
	settle();
	for (again = 0; again < 2; again++) {
		repl_balanced(box.r, true);
		ck_assert_uint_eq(ops(&box), again ? 0 : 2);
	}
	repl_balanced(box.r, false);
	no_op();
	repl_balanced(box.r, true);
	ck_assert_uint_eq(ops(&box), 2);
	ck_assert_uint_eq(box.op[0].type, STATETBL_LIBERAL);
	ck_assert_uint_eq(box.op[1].type, STATETBL_LIBERAL);
}
END_TEST

START_TEST(young_ring)
{
	struct flow f, first = unreplied(0), second = unreplied(1);
	uint32_t i;

	meet(&peer, PEER);
	for (i = 0; i < YOUNG_MAX; i++) {
		f = unreplied(i);
		event(STATETBL_NEW, &f);
	}
	ck_assert_uint_eq(status().throttled, 0);
	f = unreplied(YOUNG_MAX);
	event(STATETBL_NEW, &f);
	/* the oldest made room */
	ck_assert_uint_eq(status().throttled, 1);
	ck_assert_uint_eq(status().young, YOUNG_MAX);
	ck_assert_ptr_null(entry(&first));
	ck_assert_ptr_nonnull(entry(&second));
	ck_assert_ptr_nonnull(entry(&f));
}
END_TEST

/* A young flow ends while something waits for it, and comes back. */
START_TEST(young_again)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	pass(SEC / 2);
	/* a dump did not show it: VERIFY waits, so the entry stays */
	repl_now(box.r, now());
	box_dump(&box);
	gone(&f, 0);
	pass(SEC);
	event(STATETBL_NEW, &f);
	settle();
	pass(2 * SEC);
	hello(&peer);
	(void)listen_now();
	ck_assert_uint_eq(status().young, 0);
	ck_assert_ptr_nonnull(entry(&f));
	ck_assert(entry(&f)->flags & STATEDB_F_COUNTED);
}
END_TEST

/* ---- claims ---- */

START_TEST(claim_by_event)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	event(STATETBL_UPDATE, &f);
	ck_assert_uint_eq(carrier(&f), US);
	ck_assert_uint_eq(status().claims, 1);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].carrier, US);
	ck_assert_uint_eq(said.flow[0].creator, PEER);
	ck_assert_uint_gt(said.flow[0].stamp, STAMP);
	no_op();
}
END_TEST

START_TEST(claim_by_dump)
{
	static const struct {
		int passed;
		uint32_t timeout;	/* that the kernel shows */
		bool claimed;
	} cases[] = {
		/* injected with 310 */
		{ 2, 308, false }, { 2, 311, false }, { 2, 312, true },
		/* put in a moment ago: the dump may be older than that */
		{ 0, 432000, false }, { 1, 432000, false },
		{ 2, 432000, true },
		{ 100, 210, false }, { 100, 213, false }, { 100, 214, true },
		{ 100, 300, true }, { 100, 5, false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flow f = flow(1), k = f;

		box_end(&box);
		box_begin(&box, US);
		meet(&peer, PEER);
		replica(&peer, &f, STAMP);
		ck_assert_uint_eq(box.op[0].f.timeout, 310);
		settle();
		pass(cases[i].passed * SEC);
		hello(&peer);
		k.timeout = cases[i].timeout;
		dump_of(&k);
		ck_assert_msg((carrier(&f) == US) == cases[i].claimed,
		    "case %zu", i);
		ck_assert_uint_eq(status().claims, cases[i].claimed);
		ck_assert_uint_eq(repl_waiting(box.r), cases[i].claimed);
		no_op();
	}
}
END_TEST

/*
 * Events were lost, and what the dump shows is not what its carrier told: where
 * traffic passes that is what it has become.  Found by tests/sim/cluster_test.
 */
START_TEST(claim_by_difference)
{
	static const struct {
		unsigned int masters;
		int passed;
		uint8_t tcp_state;
		bool snat;
		bool claimed;
	} cases[] = {
		{ 1, 2, FLOW_TCP_ESTABLISHED, false, false },
		{ 1, 2, FLOW_TCP_CLOSE, false, true },
		{ 1, 2, FLOW_TCP_ESTABLISHED, true, true },
		/* it passes elsewhere, and its kernel knows better */
		{ 0, 2, FLOW_TCP_CLOSE, false, false },
		{ 0, 2, FLOW_TCP_ESTABLISHED, true, false },
		/* put in a moment ago: the dump may be older than that */
		{ 1, 1, FLOW_TCP_CLOSE, false, false },
		{ 1, 1, FLOW_TCP_ESTABLISHED, true, false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flow f = flow(1), k = f;

		box_end(&box);
		box_begin(&box, US);
		meet(&peer, PEER);
		replica(&peer, &f, STAMP);
		settle();
		repl_carp(box.r, cases[i].masters, true, now());
		pass(cases[i].passed * SEC);
		hello(&peer);
		k.tcp_state = cases[i].tcp_state;
		k.timeout = 5;
		if (cases[i].snat)
			k.reply.dst[3] ^= 0xff;
		dump_of(&k);
		ck_assert_msg((carrier(&f) == US) == cases[i].claimed,
		    "case %zu", i);
		ck_assert_uint_eq(status().claims, cases[i].claimed);
		ck_assert_uint_eq(entry(&f)->f.tcp_state, cases[i].claimed ?
		    k.tcp_state : f.tcp_state);
	}
}
END_TEST

/* What a dump does not show is asked for; what it shows is not. */
START_TEST(dump_sweeps)
{
	struct flow f = flow(1), g = flow(2);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	replica(&peer, &g, STAMP + 1);
	f.timeout = 310;
	dump_of(&f);
	one_op(STATETBL_VERIFY, 0, &g);
	/* not there: then it is put in again */
	kernel_says(&box, STATETBL_DESTROY, &g, 0, 0, 0);
	ck_assert_uint_eq(status().missing, 1);
	pass(SEC);
	one_op(STATETBL_PUT, 0, &g);
}
END_TEST

/* ---- ends ---- */

START_TEST(destroy_replica)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	gone(&f, 0);
	ck_assert_uint_eq(carrier(&f), PEER);
	ck_assert_uint_eq(status().missing, 1);
	no_op();
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	pass(SEC);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(status().missing, 0);
	ck_assert_uint_eq(status().restored, 1);
}
END_TEST

/* Of somebody who is not there to be asked: it aged, and that is all. */
START_TEST(destroy_orphan)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	pass(REPL_SILENT);
	gone(&f, 0);
	ck_assert_ptr_null(entry(&f));
	no_op();
	ck_assert_uint_eq(repl_waiting(box.r), 0);
}
END_TEST

START_TEST(destroy_own)
{
	struct flow f = flow(1);
	uint64_t told;

	meet(&peer, PEER);
	own(&f);
	told = said.flow[0].stamp;
	gone(&f, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&f));
	ck_assert_uint_gt(said.del[0].stamp, told);
	ck_assert_uint_eq(said.hdr.count, 0);
	ck_assert_uint_eq(said.hdr.sum, 0);
	ck_assert_ptr_null(entry(&f));
	no_op();
}
END_TEST

/* Its end is seen here, where traffic passes: it ended. */
START_TEST(destroy_at_master)
{
	struct flow f = flow(1), g = flow(2);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	replica(&peer, &g, STAMP + 1);
	repl_carp(box.r, 1, true, now());
	settle();
	gone(&f, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&f));
	ck_assert_uint_gt(said.del[0].stamp, STAMP);
	/* unless the carrier is a MASTER, too */
	peer.hdr.flags = NATIVE_F_MASTER;
	hello(&peer);
	(void)listen_now();
	gone(&g, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	ck_assert_uint_eq(status().missing, 1);
}
END_TEST

static void
destroy_case(size_t n, const char *what, int64_t wait, unsigned int flags,
    uint8_t tcp, bool master_there, bool told)
{
	struct flow f = flow(1);

	box_end(&box);
	box_begin(&box, US);
	repl_carp(box.r, 1, true, now());
	meet(&peer, PEER);
	own(&f);
	repl_carp(box.r, 0, true, now());
	one_op(STATETBL_LIBERAL, STATETBL_OP_LIBERAL, &f);
	if (tcp != f.tcp_state) {
		f.tcp_state = tcp;
		event(STATETBL_UPDATE, &f);
		settle();
	}
	pass(wait);
	if (master_there)
		peer.hdr.flags = NATIVE_F_MASTER;
	hello(&peer);
	settle();
	gone(&f, flags);
	(void)listen_now();
	ck_assert_msg(said.ndel == told, "case %zu: %s", n, what);
	ck_assert_msg(status().missing == !told, "case %zu: %s", n, what);
	ck_assert_msg(ops(&box) == 0, "case %zu: %s", n, what);
	pass(SEC);
	if (!told) {
		/* our address took it along: it lives elsewhere */
		one_op(STATETBL_PUT, 0, &f);
		ck_assert_uint_eq(carrier(&f), US);
	} else
		no_op();
}

START_TEST(destroy_after_master)
{
	static const struct {
		const char *what;
		int64_t wait;
		unsigned int flags;
		uint8_t tcp;
		bool master, told;
	} cases[] = {
		{ "at once", 0, 0, FLOW_TCP_ESTABLISHED, false, false },
		{ "late", 5 * SEC - 1, 0, FLOW_TCP_ESTABLISHED, false, false },
		{ "too late", 5 * SEC, 0, FLOW_TCP_ESTABLISHED, false, true },
		{ "by an operator", 0, STATETBL_EV_FOREIGN,
		    FLOW_TCP_ESTABLISHED, false, true },
		{ "it was ending", 0, 0, FLOW_TCP_TIME_WAIT, false, true },
		{ "it was closed", 0, 0, FLOW_TCP_CLOSE, false, true },
		{ "another is MASTER", 20 * SEC, 0, FLOW_TCP_ESTABLISHED, true,
		    false },
		{ "by an operator", 20 * SEC, STATETBL_EV_FOREIGN,
		    FLOW_TCP_ESTABLISHED, true, true },
		{ "of age", 299 * SEC, 0, FLOW_TCP_ESTABLISHED, true, true },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		destroy_case(i, cases[i].what, cases[i].wait, cases[i].flags,
		    cases[i].tcp, cases[i].master, cases[i].told);
}
END_TEST

/* MASTER again: then an end is an end at once. */
START_TEST(destroy_master_again)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	repl_carp(box.r, 1, true, now());
	own(&f);
	repl_carp(box.r, 0, true, now());
	settle();
	repl_carp(box.r, 1, true, now());
	gone(&f, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
}
END_TEST

START_TEST(destroy_other_ctid)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	kernel_says(&box, STATETBL_NEW, &f, 5, 0, 0);
	(void)listen_now();
	kernel_says(&box, STATETBL_DESTROY, &f, 4, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	ck_assert_uint_eq(carrier(&f), US);
	/* the kernel has to say which of the two it was */
	one_op(STATETBL_VERIFY, 0, &f);
	/* unknown is any */
	kernel_says(&box, STATETBL_DESTROY, &f, 0, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
}
END_TEST

/* A queued PUT makes it anew: the end of what was there before is nothing. */
START_TEST(destroy_before_put)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	tell(&peer, &f, STAMP, 0);
	gone(&f, 0);
	ck_assert_uint_eq(status().missing, 0);
	one_op(STATETBL_PUT, 0, &f);
}
END_TEST

/* ---- what a peer ends ---- */

START_TEST(del_of_carrier)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	/* older than what we have: it is late */
	tell_del(&peer, &f, STAMP - 1);
	no_op();
	tell_del(&peer, &f, STAMP + 1);
	one_op(STATETBL_DELETE, 0, &f);
	ck_assert_ptr_null(entry(&f));
	ck_assert_uint_eq(repl_waiting(box.r), 0);
}
END_TEST

/*
 * Traffic has moved here, of which a dump has not told yet: it has expired
 * where it was, and lives.  Found by tests/sim/cluster_test.
 */
START_TEST(del_at_master)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	repl_carp(box.r, 1, true, now());
	tell_del(&peer, &f, STAMP + 1);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	/* three seconds are no traffic */
	ck_assert_uint_eq(box.op[0].f.timeout, 313);
	f.timeout = 320;
	kernel_says(&box, STATETBL_DUMP, &f, 1, 0, 0);
	ck_assert_uint_eq(carrier(&f), US);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_gt(said.flow[0].stamp, STAMP + 1);
}
END_TEST

/* Not its own any more: deleted unless our kernel sees traffic. */
START_TEST(del_of_another)
{
	struct flow f = flow(1), g = flow(2);
	uint64_t stamp;

	meet(&peer, PEER);
	meet(&third, THIRD);
	replica(&third, &f, STAMP);
	settle();
	tell_del(&peer, &f, STAMP + 1);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	/* three seconds are no traffic */
	ck_assert_uint_eq(box.op[0].f.timeout, 313);

	own(&g);
	stamp = said.flow[0].stamp;
	tell_del(&peer, &g, stamp - 1);
	no_op();
	tell_del(&peer, &g, stamp + 1);
	one_op(STATETBL_DELETE_IDLE, 0, &g);
	/* the kernel sees traffic: it is told again */
	g.timeout = 310;
	kernel_says(&box, STATETBL_DUMP, &g, 1, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_gt(said.flow[0].stamp, stamp + 1);
}
END_TEST

/* We are about to tell of a change: that is newer. */
START_TEST(del_of_dirty)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	tell_del(&peer, &f, STAMP);
	no_op();
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_gt(said.flow[0].stamp, STAMP);
}
END_TEST

/* Nobody knows of it: a DEL is of an earlier flow with this tuple. */
START_TEST(del_of_young)
{
	struct flow f = unreplied(1);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	tell_del(&peer, &f, STAMP);
	no_op();
	pass(SEC);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
}
END_TEST

/*
 * VERIFY asked the kernel; before its answer came, the carrier ended the
 * flow.  The answer is no traffic.
 */
START_TEST(del_and_late_answer)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	repl_now(box.r, now());
	box_dump(&box);
	one_op(STATETBL_VERIFY, 0, &f);
	tell_del(&peer, &f, STAMP + 1);
	f.timeout = 310;
	kernel_says(&box, STATETBL_DUMP, &f, 1, 0, 0);
	one_op(STATETBL_DELETE, 0, &f);
	ck_assert_ptr_null(entry(&f));
	ck_assert_uint_eq(repl_waiting(box.r), 0);
}
END_TEST

/* But an event that crosses it is. */
START_TEST(del_and_traffic)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	tell_del(&peer, &f, STAMP + 1);
	event(STATETBL_UPDATE, &f);
	no_op();
	ck_assert_uint_eq(carrier(&f), US);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_gt(said.flow[0].stamp, STAMP + 1);
	ck_assert_uint_eq(said.flow[0].life, 1);
}
END_TEST

/* ---- leaving MASTER ---- */

START_TEST(liberal_on_leaving)
{
	struct flow tcp = flow(1), udp = flow(2), other = flow(3),
	    young = unreplied(4);
	size_t i, n;

	meet(&peer, PEER);
	repl_carp(box.r, 2, true, now());
	own(&tcp);
	udp.proto = IPPROTO_UDP;
	udp.tcp_state = 0;
	own(&udp);
	replica(&peer, &other, STAMP);
	event(STATETBL_NEW, &young);
	settle();
	hello(&peer);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	box.busy = true;
	/* one vhid of two is enough */
	repl_carp(box.r, 1, true, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_LIBERAL);
	n = ops(&box);
	for (i = 0; i < n; i++) {
		ck_assert_uint_eq(box.op[i].type, STATETBL_LIBERAL);
		ck_assert_uint_eq(box.op[i].flags, STATETBL_OP_LIBERAL);
		ck_assert(flow_same(&box.op[i].f, i == 0 ? &tcp : &other));
	}
	ck_assert_uint_eq(n, 2);
	/* asked for is not done */
	repl_done(box.r, 1);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_LIBERAL);
	repl_done(box.r, 1);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
}
END_TEST

/* What need not be done any more does not count for what must be. */
START_TEST(liberal_and_needless)
{
	struct flow f = flow(1), g = flow(2);

	meet(&peer, PEER);
	repl_carp(box.r, 1, true, now());
	own(&f);
	no_op();
	box.busy = true;
	repl_carp(box.r, 0, true, now());
	tell(&peer, &g, STAMP, 0);
	event(STATETBL_UPDATE, &g);
	ck_assert_uint_eq(carrier(&g), US);
	one_op(STATETBL_LIBERAL, STATETBL_OP_LIBERAL, &f);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_LIBERAL);
	repl_done(box.r, 1);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
}
END_TEST

/*
 * Another one may have been MASTER while we did not hear it: liberal, but a
 * MASTER stays one meanwhile.
 */
START_TEST(liberal_at_master)
{
	struct flow f = flow(1);
	int again;

	meet(&peer, PEER);
	repl_carp(box.r, 1, true, now());
	own(&f);
	no_op();
	box.busy = true;
	for (again = 0; again < 2; again++) {
		/* it was, and told; and it does not know any more */
		peer.epoch++;
		peer.seq = 0;
		peer.hdr.flags = (uint8_t)(!again << NATIVE_F_TURNS);
		hello(&peer);
		ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
		one_op(STATETBL_LIBERAL, STATETBL_OP_LIBERAL, &f);
		ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	}
	/* the same when it falls silent */
	pass(REPL_SILENT);
	one_op(STATETBL_LIBERAL, STATETBL_OP_LIBERAL, &f);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	/* leaving is another matter */
	repl_done(box.r, 3);
	repl_carp(box.r, 0, true, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_LIBERAL);
}
END_TEST

/* In the time of the first dump: what it brings is liberal all the same. */
START_TEST(liberal_at_start)
{
	struct flow f = flow(1);
	enum statetbl_what what;
	struct repl_conf c;
	uint32_t dump;
	int left;

	for (left = 0; left < 2; left++) {
		box_end(&box);
		conf(&c, US);
		box_open(&box, &c);
		repl_link(box.r, true, now());
		repl_carp(box.r, 1, true, now());
		if (left) {
			repl_carp(box.r, 0, true, now());
			repl_carp(box.r, 1, true, now());
		}
		box.busy = true;
		ck_assert(repl_want_dump(box.r, &dump, &what, now()));
		kernel_says(&box, STATETBL_DUMP, &f, 1, 0, dump);
		repl_dumped(box.r, dump, true, now());
		if (left)
			one_op(STATETBL_LIBERAL, STATETBL_OP_LIBERAL, &f);
		else
			no_op();
	}
}
END_TEST

/* An update comes to a flow whose traffic was seen here. */
START_TEST(liberal_with_update)
{
	struct flow f = flow(1), g = flow(2);

	meet(&peer, PEER);
	own(&f);
	f.status = FLOW_SEEN_REPLY;
	tell(&peer, &f, STAMP + 10 * 1000000, 0);
	ck_assert_uint_eq(carrier(&f), PEER);
	one_op(STATETBL_SET, STATETBL_OP_LIBERAL, &f);
	/* nothing but its timeout has changed: SET all the same */
	tell(&peer, &f, STAMP + 11 * 1000000, 0);
	one_op(STATETBL_SET, STATETBL_OP_LIBERAL, &f);
	/* never carried here: its windows are as the peer told */
	replica(&peer, &g, STAMP);
	g.status = FLOW_SEEN_REPLY;
	tell(&peer, &g, STAMP + 1, 0);
	one_op(STATETBL_SET, 0, &g);
}
END_TEST

/* ---- updates ---- */

START_TEST(updates)
{
	struct flow f = flow(1), nat;

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	/* equal: nothing but the timeout */
	f.timeout = 500;
	tell(&peer, &f, STAMP + 1, 0);
	one_op(STATETBL_TOUCH, 0, &f);
	ck_assert_uint_eq(box.op[0].f.timeout, 510);
	/* the same again, an older one, one of another node's: nothing */
	tell(&peer, &f, STAMP + 1, 0);
	no_op();
	ck_assert_uint_eq(status().stale, 0);
	f.mark = 7;
	tell(&peer, &f, STAMP, 0);
	no_op();
	ck_assert_uint_eq(status().stale, 1);
	tell(&peer, &f, STAMP + 2, 0);
	one_op(STATETBL_SET, 0, &f);
	ck_assert_uint_eq(box.op[0].f.mark, 7);
	/* the tuple is used again */
	tell(&peer, &f, STAMP + 3, 1);
	one_op(STATETBL_REPLACE, 0, &f);
	/* another translation */
	nat = f;
	nat.reply.dst[0] = 203;
	nat.reply.dport = 2000;
	tell(&peer, &nat, STAMP + 4, 1);
	one_op(STATETBL_REPLACE, 0, &f);
	ck_assert_uint_eq(box.op[0].f.reply.dport, 2000);
	/* not in the kernel any more */
	gone(&nat, 0);
	tell(&peer, &nat, STAMP + 5, 1);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(status().missing, 0);
}
END_TEST

/* The kernel has another entry for the tuple: a new incarnation is told. */
START_TEST(tuple_again)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	own(&f);
	ck_assert_uint_eq(said.flow[0].life, 0);
	/* in one go: the kernel's number tells them apart */
	kernel_says(&box, STATETBL_NEW, &f, 2, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].life, 1);
	/* ended and begun before the peers were told of either */
	kernel_says(&box, STATETBL_DESTROY, &f, 2, 0, 0);
	kernel_says(&box, STATETBL_NEW, &f, 2, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].life, 2);
	/* the same entry: no new one */
	f.status = FLOW_SEEN_REPLY;
	kernel_says(&box, STATETBL_UPDATE, &f, 2, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].life, 2);
}
END_TEST

/* Of two claims the newer wins, and of equal ones the higher node. */
START_TEST(newer_wins)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	meet(&third, THIRD);
	replica(&third, &f, STAMP);
	settle();
	tell(&peer, &f, STAMP, 0);	/* lower */
	ck_assert_uint_eq(carrier(&f), THIRD);
	tell(&peer, &f, STAMP - 1, 0);	/* older */
	ck_assert_uint_eq(carrier(&f), THIRD);
	ck_assert_uint_eq(status().stale, 1);
	tell(&peer, &f, STAMP + 1, 0);
	ck_assert_uint_eq(carrier(&f), PEER);
	tell(&third, &f, STAMP + 1, 0);	/* higher */
	ck_assert_uint_eq(carrier(&f), THIRD);
}
END_TEST

/* A MASTER keeps a flow whose traffic it sees, and says so. */
START_TEST(master_keeps)
{
	struct flow f = flow(1);
	uint64_t later = STAMP + 10 * 1000000;

	meet(&peer, PEER);
	repl_carp(box.r, 1, true, now());
	own(&f);
	tell(&peer, &f, later, 0);
	ck_assert_uint_eq(carrier(&f), US);
	no_op();
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_gt(said.flow[0].stamp, later);
	/* two of them: the one with replies */
	later += 1000000;
	peer.hdr.flags = NATIVE_F_MASTER;
	hello(&peer);
	f.status = 0;
	tell(&peer, &f, later, 0);
	ck_assert_uint_eq(carrier(&f), US);
	(void)listen_now();
	f.status = FLOW_SEEN_REPLY;
	later += 1000000;
	tell(&peer, &f, later, 0);
	ck_assert_uint_eq(carrier(&f), PEER);
}
END_TEST

/* Somebody tells of a third node's: only if that is not there. */
START_TEST(orphans)
{
	struct flow f = flow(1), g = flow(2), h = flow(3);

	meet(&peer, PEER);
	meet(&third, THIRD);
	begin();
	put_flow(&f, THIRD, STAMP, 0);
	send_packet(&peer);
	ck_assert_ptr_null(entry(&f));
	pass(REPL_SILENT - SEC);
	hello(&peer);
	pass(SEC);
	begin();
	put_flow(&f, THIRD, STAMP, 0);
	send_packet(&peer);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(carrier(&f), THIRD);
	/* of one never heard of */
	begin();
	put_flow(&g, 0x999, STAMP, 0);
	send_packet(&peer);
	ck_assert_uint_eq(carrier(&g), 0x999);
	/* of ours: we know better */
	begin();
	put_flow(&h, US, STAMP, 0);
	send_packet(&peer);
	ck_assert_ptr_null(entry(&h));
	/* and they are told on, with their stamps, to who asks for all */
	settle();
	hello(&peer);
	begin();
	{
		size_t mark = native_open(&pw, NATIVE_ASK_BULK);

		wbuf_be32(&pw, US);
		wbuf_be32(&pw, 0);
		wbuf_be32(&pw, STATEDB_BUCKETS - 1);
		native_close(&pw, mark);
	}
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 2);
	ck_assert_uint_eq(said.flow[0].stamp, STAMP);
	ck_assert_uint_ne(said.flow[0].carrier, US);
	ck_assert_uint_ne(said.flow[1].carrier, US);
}
END_TEST

/* Neither who carries it nor who made it was ever heard of. */
START_TEST(orphan_of_strangers)
{
	struct flow f = flow(1);
	uint8_t rec[4];
	size_t at;

	meet(&peer, PEER);
	begin();
	at = pw.used;
	put_flow(&f, 0x777, STAMP, 0);
	/* its creator is another than its carrier */
	rec[0] = rec[1] = 0;
	rec[2] = 0x08;
	rec[3] = 0x88;
	memcpy(pkt + at + NATIVE_TLV + 12, rec, 4);
	send_packet(&peer);
	ck_assert_uint_eq(carrier(&f), 0x777);
}
END_TEST

/* A packet that says goodbye may still tell of somebody unknown. */
START_TEST(leaving_with_flows)
{
	struct repl_peer info;
	struct flow f = flow(1);
	uint8_t rec[4] = { 0, 0, 8, 0x88 };
	uint32_t i;
	size_t at;

	meet(&peer, PEER);
	/* no number is free for an unknown creator but its own */
	for (i = 2; i < STATEDB_CARRIERS; i++)
		meet(&third, 0x1000 + i);
	begin();
	at = pw.used;
	put_flow(&f, PEER, STAMP, 0);
	memcpy(pkt + at + NATIVE_TLV + 12, rec, 4);
	peer.hdr.flags = NATIVE_F_LEAVING;
	send_packet(&peer);
	ck_assert_uint_eq(carrier(&f), PEER);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert_uint_eq(info.node, PEER);
	ck_assert(info.native && !info.alive);
	ck_assert_uint_eq(info.packets, 2);
}
END_TEST

/* ---- timeouts ---- */

START_TEST(refresh_rule)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	own(&f);		/* told: 300 s */
	pass(100 * SEC);	/* 200 left: two thirds of what it has */
	hello(&peer);
	(void)listen_now();
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nrefresh + said.nflow, 0);
	pass(SEC);
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nrefresh, 1);
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert_uint_eq(said.refresh[0].h, hash(&f));
	ck_assert_uint_eq(said.refresh[0].timeout, 300);
	/* told: no need to tell again */
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nrefresh, 0);
}
END_TEST

START_TEST(refresh_touches)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	meet(&third, THIRD);
	replica(&peer, &f, STAMP);
	pass(50 * SEC);
	hello(&peer);
	hello(&third);
	tell_refresh(&third, &f, 600);	/* it does not carry it */
	no_op();
	tell_refresh(&peer, &f, 600);
	one_op(STATETBL_TOUCH, 0, &f);
	ck_assert_uint_eq(box.op[0].f.timeout, 610);
	ck_assert_uint_eq(entry(&f)->stamp, STAMP);
	/* a kernel that lost it gets it again */
	gone(&f, 0);
	ck_assert_uint_eq(status().missing, 1);
	tell_refresh(&peer, &f, 600);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(status().missing, 0);
	tell_refresh(&peer, &f, 0);
	no_op();
	tell_refresh(&peer, &f, UINT32_MAX);
	no_op();
}
END_TEST

/* Whatever a peer says, the state table process takes what comes of it. */
START_TEST(longest_timeout)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	f.timeout = TEN_YEARS;
	replica(&peer, &f, STAMP);
	tell_refresh(&peer, &f, TEN_YEARS);
	one_op(STATETBL_TOUCH, 0, &f);
	tell_refresh(&peer, &f, 10U * 366 * 86400);
	(void)ops(&box);
	meet(&third, THIRD);
	tell_del(&third, &f, STAMP + 1);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	f.timeout = TEN_YEARS + 1;
	tell(&peer, &f, STAMP + 2, 0);
	no_op();
	ck_assert_uint_eq(status().refused, 1);
}
END_TEST

/* ---- what is not for others ---- */

START_TEST(mark_set_late)
{
	struct flow f = flow(1), g = flow(2);

	secret_mark = 9;
	meet(&peer, PEER);
	own(&f);
	f.mark = 9;
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert_ptr_null(entry(&f));
	no_op();		/* it is well in our kernel */
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow + said.ndel, 0);
	/* a new rule */
	own(&g);
	secret_mark = UINT32_MAX;
	entry(&g)->f.mark = UINT32_MAX;
	repl_refilter(box.r, now());
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&g));
}
END_TEST

/* TCP of which the kernel did not yet say the state. */
/* A record that says it is from before we looked: it is from when we began. */
START_TEST(dumped_before_we_began)
{
	struct statetbl_event e;
	struct flow f = flow(1);

	memset(&e, 0, sizeof(e));
	e.f = f;
	e.ctid = 1;
	e.type = STATETBL_DUMP;
	pass(100 * SEC);
	meet(&peer, PEER);
	(void)statedb_reserve(box.db);
	repl_event(box.r, &e, (monotime_t){ T - 500 * SEC });
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].timeout, 200);
}
END_TEST

START_TEST(mute_until_known)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	f.tcp_state = FLOW_TCP_NONE;
	event(STATETBL_UPDATE, &f);
	one_op(STATETBL_VERIFY, 0, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	f.tcp_state = FLOW_TCP_ESTABLISHED;
	kernel_says(&box, STATETBL_DUMP, &f, 1, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	/* afterwards such an event changes nothing of it */
	f.tcp_state = FLOW_TCP_NONE;
	event(STATETBL_UPDATE, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_ESTABLISHED);
}
END_TEST

/* ---- clashes ---- */

/* Two flows with one translated tuple. */
static void
two_flows(struct flow *f, struct flow *g)
{
	*f = flow(1);
	*g = flow(2);
	f->reply.dst[0] = g->reply.dst[0] = 203;
	f->reply.dst[3] = g->reply.dst[3] = 1;
	f->reply.dport = g->reply.dport = 2000;
}

/* PEER's identity is higher than ours, so that it has to give way. */
START_TEST(clash_kill)
{
	struct flow f, g;

	two_flows(&f, &g);
	meet(&peer, PEER);
	own(&f);
	replica(&peer, &g, STAMP);
	refuse(&g, STATETBL_CLASH, &f);
	ck_assert_uint_eq(status().clashes, 1);
	ck_assert_uint_eq(status().missing, 1);
	ck_assert_uint_eq(carrier(&f), US);
	(void)listen_now();
	ck_assert_uint_eq(said.nkill, 1);
	ck_assert_uint_eq(said.kill[0].h, hash(&g));
	ck_assert_uint_eq(said.kill[0].stamp, STAMP);
	ck_assert_uint_eq(said.ndel, 0);
	no_op();
}
END_TEST

START_TEST(clash_yield)
{
	struct flow f, g;

	two_flows(&f, &g);
	meet(&peer, 1);		/* lower than we are */
	own(&f);
	replica(&peer, &g, STAMP);
	refuse(&g, STATETBL_CLASH, &f);
	one_op(STATETBL_DELETE, 0, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&f));
	ck_assert_uint_eq(said.nkill, 0);
	/* and there is room for the other one */
	pass(2 * SEC);
	hello(&peer);
	pass(SEC);
	(void)ops(&box);
	ck_assert_uint_eq(status().missing, 0);
}
END_TEST

/* Refused for other reasons: again, later and later. */
START_TEST(refused_put)
{
	struct flow f = flow(1);
	unsigned int i, tries = 0;

	meet(&peer, PEER);
	f.timeout = 10000;
	replica(&peer, &f, STAMP);
	for (i = 0; i < 600; i++) {
		refuse(&f, STATETBL_REFUSED, NULL);
		ck_assert_uint_eq(status().missing, 1);
		pass(SEC);
		hello(&peer);
		if (ops(&box) == 1) {
			ck_assert_uint_eq(box.op[0].type, STATETBL_PUT);
			tries++;
		}
		if (i == 20)
			ck_assert_uint_gt(tries, 2);
	}
	ck_assert_uint_gt(tries, 10);
	ck_assert_uint_lt(tries, 60);
}
END_TEST

/* A second of a kernel with room for so many more; insertions it was told. */
static unsigned int
second_of(unsigned int *room)
{
	unsigned int n;
	size_t i;

	pass(SEC);
	hello(&peer);
	box.busy = true;
	n = (unsigned int)ops(&box);
	for (i = 0; i < n; i++) {
		ck_assert_uint_eq(box.op[i].type, STATETBL_PUT);
		if (*room == 0)
			refuse(&box.op[i].f, STATETBL_FULL, NULL);
		else
			--*room;
	}
	repl_done(box.r, n);
	box.busy = false;
	repl_tick(box.r, now());
	return (n);
}

START_TEST(table_full)
{
	const unsigned int flows = 3000;
	unsigned int room = 1000, tries = 0, last = 0, n, i;
	struct flow f;

	meet(&peer, PEER);
	for (i = 0; i < flows; i++) {
		f = flow(i);
		f.timeout = 10000;
		tell(&peer, &f, STAMP + i, 0);
	}
	ck_assert(!repl_full(box.r));
	ck_assert_uint_eq(second_of(&room), flows);
	ck_assert(repl_full(box.r));
	ck_assert_uint_eq(status().missing, flows - 1000);
	/* a few try, and later and later */
	for (i = 1; i <= 600; i++) {
		if ((n = second_of(&room)) == 0)
			continue;
		ck_assert_uint_le(n, FULL_BATCH);
		tries++;
		ck_assert_uint_ge(i - last, i < 90 ? 2 : 60);
		last = i;
		ck_assert(repl_full(box.r));
		ck_assert_uint_eq(status().missing, flows - 1000);
	}
	ck_assert_uint_ge(tries, 12);
	ck_assert_uint_le(tries, 15);
	/* what changes or is refreshed meanwhile is not tried for that */
	f = flow(2500);
	f.timeout = 9000;
	tell_refresh(&peer, &f, 9000);
	f.mark = 7;
	tell(&peer, &f, STAMP + flows, 0);
	no_op();
	ck_assert_uint_eq(status().missing, flows - 1000);
	/* room for some: they are in within a minute, the others wait again */
	room = 200;
	for (i = 0; i < 70; i++)
		(void)second_of(&room);
	ck_assert_uint_eq(room, 0);
	ck_assert(repl_full(box.r));
	ck_assert_uint_eq(status().missing, flows - 1200);
	/* room for all */
	room = flows;
	for (i = 0; i < 70; i++)
		(void)second_of(&room);
	ck_assert_uint_eq(status().missing, 0);
	ck_assert(!repl_full(box.r));
	ck_assert_uint_eq(room, flows - (flows - 1200));
	ck_assert_uint_eq(second_of(&room), 0);
}
END_TEST

/* More states than are looked at in a second: it ends all the same. */
START_TEST(table_full_large)
{
	const unsigned int flows = 600000;
	unsigned int room = 10, i;
	struct flow f;

	meet(&peer, PEER);
	for (i = 0; i < flows; i++) {
		f = flow(i);
		f.timeout = 10000;
		tell(&peer, &f, STAMP + i, 0);
		if (i % OPS_MAX == 0)
			(void)ops(&box);
	}
	(void)ops(&box);
	f = flow(flows - 1);
	refuse(&f, STATETBL_FULL, NULL);
	ck_assert(repl_full(box.r));
	for (i = 0; i < 10; i++)
		(void)second_of(&room);
	ck_assert_uint_eq(status().missing, 0);
	ck_assert_uint_eq(room, 9);
	ck_assert(!repl_full(box.r));
}
END_TEST

START_TEST(kill_rules)
{
	struct flow f = flow(1), g = flow(2);
	uint64_t stamp;

	meet(&peer, PEER);
	own(&f);
	stamp = said.flow[0].stamp;
	replica(&peer, &g, STAMP);
	begin();
	put_pair(NATIVE_KILL, hash(&f), stamp, THIRD);	/* not us */
	put_pair(NATIVE_KILL, hash(&f), stamp - 1, US);	/* changed since */
	put_pair(NATIVE_KILL, hash(&f), stamp + 1, US);
	put_pair(NATIVE_KILL, hash(&g), STAMP, US);	/* not ours */
	send_packet(&peer);
	no_op();
	ck_assert_uint_eq(status().clashes, 0);
	begin();
	put_pair(NATIVE_KILL, hash(&f), stamp, US);
	send_packet(&peer);
	one_op(STATETBL_DELETE, 0, &f);
	ck_assert_uint_eq(status().clashes, 1);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
}
END_TEST

/* ---- nodes that start, stop and die ---- */

START_TEST(boot_changed)
{
	struct flow f[3] = { flow(1), flow(2), flow(3) };
	size_t i;

	meet(&peer, PEER);
	for (i = 0; i < 3; i++)
		replica(&peer, &f[i], STAMP + i);
	refuse(&f[2], STATETBL_FULL, NULL);
	/* the daemon was started again: what it carried it carries */
	peer.epoch++;
	peer.seq = 0;
	peer.hdr.flags = NATIVE_F_STARTING;
	hello(&peer);
	ck_assert_uint_eq(status().adopted, 0);
	ck_assert_uint_eq(carrier(&f[0]), PEER);
	settle();
	/* the host was: its kernel knows nothing */
	peer.epoch++;
	peer.seq = 0;
	peer.hdr.boot++;
	hello(&peer);
	ck_assert_uint_eq(status().adopted, 3);
	ck_assert_uint_eq(carrier(&f[0]), US);
	ck_assert_uint_eq(carrier(&f[1]), US);
	/* what our kernel has not either is lost */
	ck_assert_ptr_null(entry(&f[2]));
	no_op();
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 2);
	for (i = 0; i < 2; i++)
		ck_assert_uint_gt(said.flow[i].stamp, STAMP + 1);
	ck_assert_uint_eq(said.ndel, 0);
}
END_TEST

START_TEST(starting)
{
	struct flow f = flow(1);
	struct repl_conf c;
	enum statetbl_what what;
	uint32_t dump;

	box_end(&box);
	conf(&c, US);
	box_open(&box, &c);
	repl_carp(box.r, 0, true, now());
	repl_link(box.r, true, now());
	memset(&peer, 0, sizeof(peer));
	peer.id = PEER;
	peer.epoch = EPOCH;
	peer.hdr.sum = peer.hdr.count = 1;
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
	tell(&peer, &f, STAMP, 0);
	ck_assert_ptr_null(entry(&f));
	no_op();
	(void)listen_now();
	ck_assert_uint_gt(said.packets, 0);
	ck_assert(said.hdr.flags & NATIVE_F_STARTING);
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 0);
	/* what the kernel has is ours, and not told yet */
	f = flow(2);
	kernel_says(&box, STATETBL_DUMP, &f, 1, 0, dump);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	/* an incomplete dump has to be done again */
	repl_dumped(box.r, dump, false, now());
	tell(&peer, &f, STAMP + 3600 * UINT64_C(1000000), 0);
	ck_assert_uint_eq(carrier(&f), US);
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(SEC);
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	repl_dumped(box.r, dump, true, now());
	(void)listen_now();
	ck_assert(!(said.hdr.flags & NATIVE_F_STARTING));
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 1);
}
END_TEST

/* What is noted of PEER's boots, the first and the last. */
static uint32_t noted_boot[2];

static void
note_boot(uint32_t node, uint32_t boot, void *arg)
{
	(void)arg;
	if (node != PEER)
		return;
	if (noted_boot[0] == 0)
		noted_boot[0] = boot;
	noted_boot[1] = boot;
}

/* What the last run knew. */
static struct repl_hint hints[5];
static uint64_t hinted[5];

static bool
find_hint(uint64_t h, struct repl_hint *out, void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < 5; i++)
		if (hinted[i] == h) {
			*out = hints[i];
			return (true);
		}
	return (false);
}

static void
restart(unsigned int master)
{
	enum statetbl_what what;
	struct repl_conf c;
	struct flow f[5];
	uint32_t dump;
	size_t i;

	box_end(&box);
	conf(&c, US);
	box_open(&box, &c);
	repl_hints(box.r, find_hint, NULL);
	repl_link(box.r, true, now());
	repl_carp(box.r, master, true, now());
	for (i = 0; i < 5; i++) {
		f[i] = flow((uint32_t)i);
		hinted[i] = hash(&f[i]);
		hints[i].carrier = i < 2 ? US : PEER;
		hints[i].stamp = STAMP + i;
		hints[i].value = repl_value(&f[i]);
	}
	hints[1].value++;	/* changed while we were away */
	hints[3].value++;	/* a replica did */
	hints[4].carrier = 0;	/* nothing is known of it */
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	for (i = 0; i < 5; i++)
		kernel_says(&box, STATETBL_DUMP, &f[i], 1, 0, dump);
	repl_dumped(box.r, dump, true, now());
	ck_assert_uint_eq(carrier(&f[0]), US);
	ck_assert_uint_eq(entry(&f[0])->stamp, STAMP);
	ck_assert_uint_eq(carrier(&f[2]), PEER);
	ck_assert_uint_eq(entry(&f[2])->stamp, STAMP + 2);
	/* a MASTER has seen its traffic; else the carrier is asked anew */
	ck_assert_uint_eq(carrier(&f[3]), master ? US : PEER);
	ck_assert_uint_eq(entry(&f[3])->stamp, 0);
	ck_assert_uint_eq(status().remote, master ? 1 : 2);
	meet(&peer, PEER);
	/* told: what changed, and what is taken for ours; with new stamps */
	ck_assert_uint_eq(said.nflow, master ? 3 : 2);
	for (i = 0; i < said.nflow; i++)
		ck_assert_uint_gt(said.flow[i].stamp, STAMP + 3);
	if (master) {
		no_op();
		return;
	}
	/* what is carried here may go on elsewhere, unseen while we slept */
	ck_assert_uint_eq(ops(&box), 3);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(box.op[i].type, STATETBL_LIBERAL);
		ck_assert(!flow_same(&box.op[i].f, &f[2]));
	}
}

/* It is back, and its kernel is empty. */
static void
peer_returns(void)
{
	memset(&peer, 0, sizeof(peer));
	peer.id = PEER;
	peer.epoch = EPOCH;
	peer.hdr.boot = PEER + 1;
	hello(&peer);
}

/* We are restarted between: it returns when so many flows are restored. */
static void
restart_between(bool known, size_t when)
{
	enum statetbl_what what;
	struct repl_conf c;
	struct flow f[3];
	uint32_t dump;
	size_t i;

	box_end(&box);
	conf(&c, US);
	box_open(&box, &c);
	memset(noted_boot, 0, sizeof(noted_boot));
	repl_hints(box.r, find_hint, NULL);
	repl_link(box.r, true, now());
	repl_carp(box.r, 1, true, now());
	memset(hinted, 0, sizeof(hinted));
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	for (i = 0; i < 3; i++) {
		f[i] = flow((uint32_t)i);
		hinted[i] = hash(&f[i]);
		hints[i] = (struct repl_hint){ PEER, repl_value(&f[i]),
		    STAMP + i, PEER, known };
		if (i == when)
			peer_returns();
		kernel_says(&box, STATETBL_DUMP, &f[i], 1, 0, dump);
	}
	repl_dumped(box.r, dump, true, now());
	if (when == 3)
		peer_returns();
	ck_assert_uint_eq(status().adopted, known ? 3 : 0);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(carrier(&f[i]), known ? US : PEER);
	/* the next run shall know it, too */
	ck_assert_uint_eq(noted_boot[0], known && when > 0 ? PEER : PEER + 1);
	ck_assert_uint_eq(noted_boot[1], PEER + 1);
	settle();
	memset(hints, 0, sizeof(hints));
}

START_TEST(restarts_between)
{
	size_t when;

	for (when = 0; when <= 3; when++)
		restart_between(true, when);
	restart_between(false, 3);
}
END_TEST

START_TEST(restarts)
{
	restart(0);
	restart(1);
}
END_TEST

/* The peer says goodbye: silence, and its flows stay. */
START_TEST(leaving)
{
	struct repl_peer info;
	struct flow f = flow(1);
	size_t i;

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	begin();
	agree(&peer);
	peer.hdr.flags = NATIVE_F_LEAVING | NATIVE_F_ACK;
	send_packet(&peer);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(!info.alive);
	for (i = 0; i < 50; i++) {
		ck_assert_uint_le(listen_to(&box, 5), 2);
		pass(100 * MS);
		ck_assert_int_gt(monotime_cmp(repl_next(box.r, now()),
		    monotime_add(now(), -100 * MS)), 0);
	}
	ck_assert_uint_eq(carrier(&f), PEER);
	no_op();
	/* one that was late does not bring it back */
	peer.hdr.flags = 0;
	begin();
	deliver(&box, &peer, peer.seq - 1);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(!info.alive);
	/* and it comes back when it does */
	peer.epoch++;
	peer.seq = 0;
	hello(&peer);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(info.alive);
}
END_TEST

START_TEST(we_leave)
{
	meet(&peer, PEER);
	ck_assert_uint_eq(listen_now(), 0);
	repl_leave(box.r, now());
	ck_assert_uint_eq(listen_now(), 1);
	ck_assert(said.hdr.flags & NATIVE_F_LEAVING);
}
END_TEST

/* Nothing can be sent: then there is nothing to wake up for. */
START_TEST(no_busy_loop)
{
	struct repl_conf c;
	struct flow f = flow(1);
	enum statetbl_what what;
	uint32_t dump;
	int i;

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	/* something to ask for and to acknowledge, when the link goes */
	peer.hdr.flags = NATIVE_F_ACK;
	peer.hdr.sum = 1;
	begin();
	send_packet(&peer);
	repl_link(box.r, false, now());
	for (i = 0; i < 20; i++) {
		pass(SEC);
		(void)ops(&box);
		if (repl_want_dump(box.r, &dump, &what, now()))
			repl_dumped(box.r, dump, true, now());
		ck_assert_uint_eq(listen_now(), 0);
		ck_assert_msg(monotime_cmp(repl_next(box.r, now()), now()) >
		    0, "after %d s", i);
	}
	/* no native dialect at all */
	box_end(&box);
	conf(&c, US);
	c.native = false;
	box_open(&box, &c);
	repl_link(box.r, true, now());
	box_dump(&box);
	pass(2 * SEC);
	ck_assert_uint_eq(listen_now(), 0);
	ck_assert_int_gt(monotime_cmp(repl_next(box.r, now()), now()), 0);
}
END_TEST

/* ---- packets ---- */

START_TEST(duplicates)
{
	struct repl_peer info;
	struct flow f = flow(1);
	uint64_t seq;

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	seq = peer.seq;
	/* again, and one long ago */
	begin();
	put_pair(NATIVE_DEL, hash(&f), STAMP + 1, 0);
	deliver(&box, &peer, seq);
	no_op();
	ck_assert_uint_eq(status().replay, 1);
	/* six are lost, one of them is only late */
	peer.seq += 6;
	hello(&peer);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert_uint_eq(info.lost, 6);
	f.mark = 1;
	begin();
	put_flow(&f, PEER, STAMP + 2, 0);
	deliver(&box, &peer, seq + 3);
	one_op(STATETBL_SET, 0, &f);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert_uint_eq(info.lost, 5);
	deliver(&box, &peer, seq + 3);
	ck_assert_uint_eq(status().replay, 2);
	/* too old to tell whether it was heard */
	peer.seq += 99;
	hello(&peer);
	begin();
	put_pair(NATIVE_DEL, hash(&f), STAMP + 9, 0);
	deliver(&box, &peer, peer.seq - 65);
	ck_assert_uint_eq(status().replay, 3);
	deliver(&box, &peer, peer.seq - 64);
	ck_assert_uint_eq(status().replay, 3);
	ck_assert_ptr_null(entry_at(&box, &f) == NULL ? NULL :
	    entry(&f)->flags & F_GONE ? NULL : entry(&f));
	(void)ops(&box);
}
END_TEST

/* A late packet's header says nothing of now. */
START_TEST(late_header)
{
	struct repl_peer info;
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	hello(&peer);
	peer.seq += 2;
	hello(&peer);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(info.in_sync);
	peer.hdr.count = 99;
	peer.hdr.sum = 99;
	begin();
	deliver(&box, &peer, peer.seq - 1);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(info.in_sync);
	ck_assert_uint_eq(info.carries, 1);
}
END_TEST

START_TEST(epochs)
{
	struct flow f = flow(1), g = flow(2);
	enum auth_verdict proven;
	struct repl_conf c;

	for (proven = AUTH_OPEN; proven <= AUTH_PROVEN;
	    proven += AUTH_PROVEN - AUTH_OPEN) {
		box_end(&box);
		conf(&c, US);
		box_open(&box, &c);
		repl_carp(box.r, 0, true, now());
		repl_link(box.r, true, now());
		box_dump(&box);
		meet(&peer, PEER);
		replica(&peer, &f, STAMP);
		/* an older run of it, while it is there: a recording, unless
		   it has proven that it is not */
		peer.epoch--;
		verdict = proven;
		tell(&peer, &g, STAMP, 0);
		if (proven == AUTH_PROVEN) {
			ck_assert_uint_eq(carrier(&g), PEER);
			ck_assert_uint_eq(status().replay, 0);
			continue;
		}
		ck_assert_ptr_null(entry(&g));
		ck_assert_uint_eq(status().replay, 1);
		/* its clock went back while it was down */
		pass(REPL_SILENT);
		tell(&peer, &g, STAMP, 0);
		ck_assert_uint_eq(carrier(&g), PEER);
	}
	verdict = AUTH_OPEN;
}
END_TEST

START_TEST(stamps_out_of_range)
{
	static const uint64_t bad[] = { UINT64_MAX, (UINT64_MAX >> 2) + 1,
	    UINT64_C(1) << 63 };
	struct flow f = flow(1), g = flow(2);
	size_t i;

	meet(&peer, PEER);
	replica(&peer, &g, STAMP);
	settle();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tell(&peer, &f, bad[i], 0);
		ck_assert_ptr_null(entry(&f));
		tell_del(&peer, &g, bad[i]);
		ck_assert_uint_eq(carrier(&g), PEER);
		ck_assert_uint_eq(status().refused, 2 * i + 1);
		peer.hdr.clock = bad[i];
		tell(&peer, &f, STAMP, 0);
		ck_assert_ptr_null(entry(&f));
		ck_assert_uint_eq(status().refused, 2 * i + 2);
		peer.hdr.clock = 0;
	}
	no_op();
	/* and our own are what they were */
	own(&f);
	ck_assert_uint_lt(said.flow[0].stamp, STAMP + 3600 * 1000000ULL);
}
END_TEST

/* Somebody's clock is as far ahead as it may be: we go on from there. */
START_TEST(stamps_at_the_end)
{
	struct flow f = flow(1), g = flow(2);
	uint64_t last = EPOCH * 1000 + UINT64_C(100) * 366 * 86400 * 1000000;

	box_begin(&box2, PEER);
	together(SEC, 0);
	meet(&third, THIRD);
	third.hdr.clock = last + 1000000;
	hello(&third);
	ck_assert_uint_eq(status().refused, 0);
	third.hdr.clock++;
	hello(&third);
	ck_assert_uint_eq(status().refused, 1);
	kernel_says(&box, STATETBL_NEW, &f, 1, 0, 0);
	kernel_says(&box2, STATETBL_NEW, &g, 1, 0, 0);
	together(10 * SEC, 0);
	ck_assert(in_step());
	ck_assert_ptr_nonnull(entry_at(&box2, &f));
	ck_assert_ptr_nonnull(entry_at(&box, &g));
}
END_TEST

/* Ours are newer than all that was heard. */
START_TEST(stamps)
{
	struct flow f = flow(1);
	uint64_t ahead = STAMP + 86400 * UINT64_C(1000000);

	meet(&peer, PEER);
	peer.hdr.clock = ahead;
	hello(&peer);
	own(&f);
	ck_assert_uint_eq(said.flow[0].stamp, ahead + 1);
	ck_assert_uint_eq(said.hdr.clock, ahead + 1);
}
END_TEST

START_TEST(refused_flows)
{
	struct flow bad[10], f = flow(1);
	size_t i, n = 0;

	meet(&peer, PEER);
	for (i = 0; i < 10; i++)
		bad[i] = f;
	bad[n++].orig.src[0] = 0, bad[n - 1].orig.src[3] = 0;
	bad[n++].timeout = 0;
	bad[n++].tcp_state = FLOW_TCP_MAX + 1;
	bad[n++].tcp_state = FLOW_TCP_NONE;
	bad[n++].proto = IPPROTO_UDP;		/* with a TCP state */
	bad[n].proto = 112;			/* CARP */
	bad[n].tcp_state = 0;
	bad[n].orig.sport = bad[n].orig.dport = 0;
	bad[n].reply.sport = bad[n].reply.dport = 0;
	n++;
	bad[n++].orig.src[0] = 127;
	bad[n++].orig.dst[0] = 224;
	for (i = 0; i < n; i++) {
		tell(&peer, &bad[i], STAMP + i, 0);
		ck_assert_msg(status().refused == i + 1, "flow %zu", i);
		ck_assert_uint_eq(statedb_count(box.db), 0);
	}
	no_op();
}
END_TEST

/* One TLV of every type, too short, too long or not for us. */
START_TEST(malformed)
{
	static const uint8_t types[] = { NATIVE_ACK, NATIVE_FLOW4,
	    NATIVE_FLOW6, NATIVE_DEL, NATIVE_REFRESH, NATIVE_ASK_GROUPS,
	    NATIVE_GROUPS, NATIVE_ASK_BUCKETS, NATIVE_BUCKETS,
	    NATIVE_ASK_KEYS, NATIVE_KEYS, NATIVE_ASK_BULK, NATIVE_ASK_FLOWS,
	    NATIVE_KILL, 15, 99, 255 };
	/* the least that does something */
	static const uint16_t least[] = { 24, 56, 104, 16, 12, 4, 512, 12,
	    516, 8, 24, 12, 12, 24, 9999, 9999, 9999 };
	struct flow f = flow(1), g = flow(2);
	size_t t, len, k, mark;
	uint64_t sum;

	meet(&peer, PEER);
	own(&f);
	replica(&peer, &g, STAMP);
	settle();
	hello(&peer);
	sum = statedb_sums(box.db, 0)->all + statedb_sums(box.db, 1)->all;
	for (t = 0; t < sizeof(types); t++)
		for (len = 0; len < 2 * 516; len += 4) {
			begin();
			mark = native_open(&pw, types[t]);
			for (k = 0; k < len; k++)
				wbuf_u8(&pw, len < least[t] &&
				    k < 4 && types[t] != NATIVE_ACK ? k == 2 :
				    0xff);
			if (len > 0)
				native_close(&pw, mark);
			agree(&peer);
			send_packet(&peer);
			ck_assert_msg(ops(&box) == 0, "type %u, %zu bytes",
			    types[t], len);
			(void)listen_now();
			/* a question is as far as it goes */
			ck_assert_msg(said.nflow + said.ndel + said.nkill +
			    said.n[NATIVE_GROUPS] + said.n[NATIVE_BUCKETS] +
			    said.n[NATIVE_KEYS] == 0, "type %u, %zu bytes",
			    types[t], len);
			ck_assert(len >= least[t] || (said.nasked == 0 &&
			    said.n[NATIVE_ASK_BUCKETS] == 0 &&
			    said.n[NATIVE_ASK_KEYS] == 0 &&
			    said.n[NATIVE_ASK_BULK] == 0));
		}
	ck_assert_uint_eq(statedb_count(box.db), 2);
	ck_assert_uint_eq(statedb_sums(box.db, 0)->all +
	    statedb_sums(box.db, 1)->all, sum);
}
END_TEST

/* Well-formed questions that are another node's. */
START_TEST(asks_of_others)
{
	static const struct { uint8_t type, words; } asks[] = {
		{ NATIVE_ASK_GROUPS, 0 }, { NATIVE_ASK_BUCKETS, 2 },
		{ NATIVE_ASK_KEYS, 3 }, { NATIVE_ASK_BULK, 2 },
		{ NATIVE_ASK_FLOWS, 2 },
	};
	static const uint8_t answers[] = { NATIVE_GROUPS, NATIVE_BUCKETS,
	    NATIVE_KEYS, NATIVE_FLOW4, NATIVE_FLOW4 };
	struct flow f = flow(1);
	size_t i, k, mark;
	int ours;

	meet(&peer, PEER);
	own(&f);
	for (i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
		for (ours = 0; ours < 2; ours++) {
			uint64_t h = hash(&f);

			begin();
			put_ack(box.seq, REPL_WINDOW);
			mark = native_open(&pw, asks[i].type);
			wbuf_be32(&pw, ours ? US : THIRD);
			switch (asks[i].type) {
			case NATIVE_ASK_BUCKETS:
				wbuf_be64(&pw, UINT64_MAX);
				break;
			case NATIVE_ASK_KEYS:
				for (k = 0; k < 3; k++)
					wbuf_be32(&pw, k == 1 ? 4096 :
					    STATEDB_BUCKET(h));
				break;
			case NATIVE_ASK_BULK:
				wbuf_be32(&pw, STATEDB_BUCKET(h));
				wbuf_be32(&pw, STATEDB_BUCKET(h));
				break;
			case NATIVE_ASK_FLOWS:
				wbuf_be64(&pw, h);
				break;
			default:
				break;
			}
			native_close(&pw, mark);
			send_packet(&peer);
			(void)listen_now();
			ck_assert_msg((said.n[answers[i]] > 0) == ours,
			    "type %u", asks[i].type);
		}
	no_op();
}
END_TEST

START_TEST(too_many_nodes)
{
	struct peer p[STATEDB_CARRIERS];
	struct repl_peer info;
	size_t i;

	for (i = 0; i < STATEDB_CARRIERS - 1; i++)
		meet(&p[i], 0x1000U + (uint32_t)i);
	ck_assert_uint_eq(status().refused, 0);
	meet(&p[i], 0x2000);
	ck_assert_uint_eq(status().refused, 1);
	for (i = 0; repl_peer(box.r, i, &info, now()); i++)
		ck_assert_uint_eq(info.node, 0x1000 + i);
	ck_assert_uint_eq(i, STATEDB_CARRIERS - 1);
	/* somebody dies and carried nothing: there is room */
	pass(REPL_SILENT - SEC);
	for (i = 1; i < STATEDB_CARRIERS - 1; i++)
		hello(&p[i]);
	pass(SEC);
	hello(&p[STATEDB_CARRIERS - 1]);
	ck_assert_uint_eq(status().refused, 1);
	/* ourselves, and nobody */
	p[0].id = US;
	hello(&p[0]);
	p[0].id = 0;
	hello(&p[0]);
	ck_assert_uint_eq(status().refused, 3);
}
END_TEST

/* ---- flow control ---- */

START_TEST(credit)
{
	struct flow f;
	uint32_t i;

	meet(&peer, PEER);
	hello(&peer);
	for (i = 0; i < 500 * 23; i++) {
		f = flow(i);
		event(STATETBL_NEW, &f);
	}
	(void)listen_now();
	ck_assert_uint_eq(said.packets, REPL_WINDOW);
	ck_assert_uint_gt(repl_waiting(box.r), 0);
	/* without news of the peer nothing but a sign of life */
	pass(SEC);
	(void)listen_now();
	ck_assert_uint_eq(said.packets, 1);
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert(said.hdr.flags & NATIVE_F_ACK);
	/* of another node, of another run of ours, of packets not sent */
	begin();
	put_ack(box.seq + 1, 100);
	box.c.epoch++;
	put_ack(box.seq, 100);
	box.c.epoch--;
	box.c.node++;
	put_ack(box.seq, 100);
	box.c.node--;
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	begin();
	put_ack(box.seq - 7, 17);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.packets, 10);
	ck_assert_uint_gt(said.nflow, 200);
	/* more than our own window is not believed */
	begin();
	put_ack(box.seq, 1000000);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_le(said.packets, REPL_WINDOW);
	begin();
	put_ack(box.seq, 0);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	/* a late acknowledgement is no news of the window */
	begin();
	put_ack(box.seq - 20, REPL_WINDOW);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
}
END_TEST

/* The slowest one counts, but not one that acknowledges nothing at all. */
START_TEST(credit_of_all)
{
	struct flow f = flow(1), g = flow(2);

	meet(&peer, PEER);
	meet(&third, THIRD);
	begin();
	put_ack(box.seq, 0);
	send_packet(&third);
	event(STATETBL_NEW, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	pass(SEC / 4);
	hello(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	pass(STALL_TIME);
	begin();		/* it lives, and acknowledges nothing */
	agree(&third);
	send_packet(&third);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	/* nobody: then nobody is told, but it counts as told */
	pass(REPL_SILENT);
	event(STATETBL_NEW, &g);
	repl_tick(box.r, now());
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert_uint_eq(said.hdr.count, 2);
	ck_assert_uint_eq(repl_waiting(box.r), 0);
}
END_TEST

static uint32_t
window_told(void)
{
	size_t i;

	(void)listen_now();
	for (i = 0; i < said.nack; i++)
		if (said.ack[i].node == PEER)
			return (said.ack[i].window);
	return (UINT32_MAX);
}

START_TEST(window_and_backlog)
{
	enum statetbl_what what;
	struct flow f;
	uint32_t i = 0, k, dump;

	meet(&peer, PEER);
	peer.hdr.flags = NATIVE_F_ACK;
	while (i < BACKLOG_MAX) {
		begin();
		for (k = 0; k < 128; k++, i++) {
			f = flow(i);
			put_flow(&f, PEER, STAMP + i, 0);
		}
		send_packet(&peer);
		if (i == BACKLOG_MAX / 2) {
			pass(ACK_TIME);
			ck_assert_uint_eq(window_told(), REPL_WINDOW / 2);
		}
	}
	pass(ACK_TIME);
	ck_assert_uint_eq(window_told(), 0);
	ck_assert_uint_eq(repl_pending(box.r), BACKLOG_MAX);
	ck_assert(repl_watch_new(box.r));
	/* taken by the table process is not done */
	box.busy = true;
	ck_assert_uint_eq(ops(&box), BACKLOG_MAX);
	repl_tick(box.r, now());
	ck_assert(!repl_watch_new(box.r));
	ck_assert_uint_eq(repl_pending(box.r), BACKLOG_MAX);
	ck_assert_uint_eq(window_told(), UINT32_MAX);
	repl_done(box.r, BACKLOG_MAX * 3 / 4);
	ck_assert_uint_eq(window_told(), REPL_WINDOW * 3 / 4);
	/* more than there were */
	ck_assert(!repl_done(box.r, BACKLOG_MAX));
	ck_assert_uint_eq(repl_pending(box.r), BACKLOG_MAX / 4);
	ck_assert(repl_done(box.r, BACKLOG_MAX / 4));
	ck_assert_uint_eq(repl_pending(box.r), 0);
	/* filled no more: NEW is of interest again, and what it did not tell */
	pass(2 * SEC);
	hello(&peer);
	ck_assert(repl_watch_new(box.r));
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(SEC);
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
}
END_TEST

START_TEST(acknowledges)
{
	int i;

	meet(&peer, PEER);
	peer.hdr.flags = NATIVE_F_ACK;
	hello(&peer);
	ck_assert_uint_eq(listen_now(), 0);
	ck_assert_int_eq(monotime_cmp(repl_next(box.r, now()),
	    monotime_add(now(), ACK_TIME)), 0);
	pass(ACK_TIME);
	ck_assert_uint_eq(listen_now(), 1);
	ck_assert_uint_eq(said.nack, 1);
	ck_assert_uint_eq(said.ack[0].node, PEER);
	ck_assert_uint_eq(said.ack[0].epoch, peer.epoch);
	ck_assert_uint_eq(said.ack[0].seq, peer.seq);
	/* an acknowledgement alone wants none */
	ck_assert(!(said.hdr.flags & NATIVE_F_ACK));
	for (i = 0; i < ACK_PACKETS; i++) {
		ck_assert_uint_eq(listen_now(), 0);
		hello(&peer);
	}
	ck_assert_uint_eq(listen_now(), 1);
}
END_TEST

/* ---- repair ---- */

static void
put_keys(const struct flow *const *f, const uint64_t *stamp, size_t n,
    unsigned int bucket, uint64_t lo, uint64_t hi)
{
	size_t i, mark = native_open(&pw, NATIVE_KEYS);

	wbuf_be32(&pw, bucket);
	wbuf_be32(&pw, 0);
	wbuf_be64(&pw, lo);
	wbuf_be64(&pw, hi);
	for (i = 0; i < n; i++) {
		wbuf_be64(&pw, hash(f[i]));
		wbuf_be64(&pw, stamp[i]);
	}
	native_close(&pw, mark);
}

START_TEST(keys)
{
	struct flow f = flow(1);
	const struct flow *list[1] = { &f };
	uint64_t h = hash(&f), first, last, stamp = STAMP + 5;
	unsigned int bucket = STATEDB_BUCKET(h);

	first = (uint64_t)bucket << 52;
	last = first | (~UINT64_C(0) >> 12);
	meet(&peer, PEER);
	/* what we lack is asked for */
	begin();
	put_keys(list, &stamp, 1, bucket, first, last);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nasked, 1);
	ck_assert_uint_eq(said.asked[0], h);
	ck_assert_uint_eq(status().repaired_put, 1);
	/* what we have as it is, not */
	replica(&peer, &f, stamp);
	begin();
	put_keys(list, &stamp, 1, bucket, first, last);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nasked, 0);
	/* out of range, of another bucket: nothing */
	begin();
	put_keys(list, &stamp, 1, bucket ^ 1, first, last);
	put_keys(NULL, NULL, 0, bucket ^ 1, first, last);
	put_keys(NULL, NULL, 0, bucket, last, first);
	put_keys(list, &stamp, 1, bucket, h + 1, last);
	put_keys(NULL, NULL, 0, STATEDB_BUCKETS, first, last);
	send_packet(&peer);
	no_op();
	/* what it does not have, in the range that it speaks of */
	begin();
	put_keys(NULL, NULL, 0, bucket, h + 1, last);
	put_keys(NULL, NULL, 0, bucket, first, h - 1);
	send_packet(&peer);
	no_op();
	begin();
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&peer);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	ck_assert_uint_eq(status().repaired_del, 1);
	/* ours it has an older claim to: it has not heard of it */
	own(&f);
	stamp = said.flow[0].stamp - 1;
	hello(&peer);
	begin();
	put_keys(list, &stamp, 1, bucket, first, last);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nasked, 0);
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.flow[0].stamp, stamp + 1);
}
END_TEST

/*
 * We were apart, and who carried it does not any more: a third node may, which
 * is not there to say so.  Found by tests/sim/cluster_test.
 */
START_TEST(keys_of_absent)
{
	struct flow f = flow(1);
	unsigned int bucket = STATEDB_BUCKET(hash(&f));
	uint64_t first = (uint64_t)bucket << 52;
	uint64_t last = first | (~UINT64_C(0) >> 12);

	meet(&third, THIRD);
	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	settle();
	/* both fall silent, and one of them returns without it */
	pass(REPL_SILENT + SEC);
	settle();
	begin();
	peer.hdr.count = 0;
	peer.hdr.sum = 0;
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&peer);
	no_op();
	ck_assert_uint_eq(carrier(&f), THIRD);
	ck_assert_uint_eq(status().repaired_del, 0);
	/* it is in step now; and the other one does not carry it either */
	begin();
	agree(&peer);
	send_packet(&peer);
	begin();
	third.hdr.count = 0;
	third.hdr.sum = 0;
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&third);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	ck_assert_uint_eq(status().repaired_del, 1);
	/* who was there all the time knows what has ended */
	replica(&peer, &f, STAMP + 1);
	settle();
	hello(&peer);
	hello(&third);
	pass(2 * SEC);
	hello(&peer);
	pass(2 * SEC);
	begin();
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&peer);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
}
END_TEST

/*
 * The link was away for a moment, too short for anybody to be missed, and who
 * carried it does not any more: the third node may, but was not heard since.
 * Found by tests/sim/cluster_test.
 */
START_TEST(keys_of_unheard)
{
	struct flow f = flow(1);
	unsigned int bucket = STATEDB_BUCKET(hash(&f));
	uint64_t first = (uint64_t)bucket << 52;
	uint64_t last = first | (~UINT64_C(0) >> 12);

	meet(&third, THIRD);
	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	agree(&peer);
	hello(&peer);
	hello(&third);
	settle();
	repl_link(box.r, false, now());
	repl_link(box.r, true, now());
	begin();
	peer.hdr.count = 0;
	peer.hdr.sum = 0;
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&peer);
	no_op();
	ck_assert_uint_eq(carrier(&f), THIRD);
	ck_assert_uint_eq(status().repaired_del, 0);
	/* it does not carry it either, and the other one was heard */
	begin();
	third.hdr.count = 0;
	third.hdr.sum = 0;
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&third);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	ck_assert_uint_eq(status().repaired_del, 1);
}
END_TEST

/*
 * Restarted: who carried it is heard at once, and the node that took it over
 * meanwhile is not there any more.
 */
START_TEST(restarted_and_absent)
{
	enum statetbl_what what;
	struct flow f = flow(1);
	unsigned int bucket = STATEDB_BUCKET(hash(&f));
	uint64_t first = (uint64_t)bucket << 52;
	struct repl_conf c;
	uint32_t dump;

	box_end(&box);
	conf(&c, US);
	box_open(&box, &c);
	repl_known(box.r, PEER, PEER, now());
	repl_known(box.r, THIRD, THIRD, now());
	repl_known(box.r, US, US, now());
	repl_hints(box.r, find_hint, NULL);
	repl_link(box.r, true, now());
	repl_carp(box.r, 0, true, now());
	memset(hinted, 0, sizeof(hinted));
	hinted[0] = hash(&f);
	hints[0] = (struct repl_hint){ PEER, repl_value(&f), STAMP, PEER,
	    true };
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	/* it carries nothing, of which we do not know of any yet */
	meet(&peer, PEER);
	kernel_says(&box, STATETBL_DUMP, &f, 1, 0, dump);
	repl_dumped(box.r, dump, true, now());
	ck_assert_uint_eq(carrier(&f), PEER);
	settle();
	begin();
	put_keys(NULL, NULL, 0, bucket, first,
	    first | (~UINT64_C(0) >> 12));
	send_packet(&peer);
	no_op();
	ck_assert_uint_eq(carrier(&f), THIRD);
}
END_TEST

/* The third node has just said that it carries more than we have heard. */
START_TEST(keys_of_successor)
{
	struct flow f = flow(1);
	unsigned int bucket = STATEDB_BUCKET(hash(&f));
	uint64_t first = (uint64_t)bucket << 52;
	uint64_t last = first | (~UINT64_C(0) >> 12);

	meet(&third, THIRD);
	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	hello(&peer);
	settle();
	begin();
	third.hdr.count = 1;
	third.hdr.sum = 4711;
	send_packet(&third);
	begin();
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&peer);
	no_op();
	ck_assert_uint_eq(carrier(&f), THIRD);
	/* that was another one */
	begin();
	peer.hdr.count = 0;
	peer.hdr.sum = 0;
	send_packet(&peer);
	begin();
	put_keys(NULL, NULL, 0, bucket, first, last);
	send_packet(&third);
	one_op(STATETBL_DELETE_IDLE, 0, &f);
	ck_assert_uint_eq(status().repaired_del, 1);
}
END_TEST

/*
 * The carrier's clock went back: it gave a flow an older stamp than it had.
 * What it says of its own is right all the same.
 */
START_TEST(stamp_went_back)
{
	struct flow f = flow(1);
	const struct flow *list[1] = { &f };
	uint64_t first, stamp = STAMP - 5;
	unsigned int bucket = STATEDB_BUCKET(hash(&f));

	first = (uint64_t)bucket << 52;
	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	begin();
	put_keys(list, &stamp, 1, bucket, first,
	    first | (~UINT64_C(0) >> 12));
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nasked, 1);
	tell(&peer, &f, stamp, 0);
	ck_assert_uint_eq(entry(&f)->stamp, stamp);
	(void)ops(&box);
}
END_TEST

/* The ladder: sums, groups, buckets, keys; what is lacked wholly at once. */
/* The peer carries one flow that we do not know. */
static void
differ(void)
{
	meet(&peer, PEER);
	peer.hdr.sum = 1;
	peer.hdr.count = 1;
	begin();
	put_ack(box.seq, REPL_WINDOW);
	send_packet(&peer);
}

/* How often that is said while nobody answers. */
static unsigned int
said_within(uint8_t type, int64_t ns)
{
	unsigned int n = 0;
	int64_t end = T + ns;

	while (T < end) {
		pass(10 * MS);
		(void)listen_now();
		n += (unsigned int)said.n[type];
	}
	return (n);
}

static void
answer_groups(uint64_t mask)
{
	size_t mark;
	unsigned int g;

	begin();
	mark = native_open(&pw, NATIVE_GROUPS);
	for (g = 0; g < STATEDB_GROUPS; g++)
		wbuf_be64(&pw, mask >> g & 1);
	native_close(&pw, mark);
	send_packet(&peer);
}

static void
answer_buckets(uint32_t g, unsigned int differing)
{
	size_t mark;
	unsigned int i;

	begin();
	mark = native_open(&pw, NATIVE_BUCKETS);
	wbuf_be32(&pw, g);
	for (i = 0; i < 64; i++)
		wbuf_be64(&pw, i == differing);
	native_close(&pw, mark);
	send_packet(&peer);
}

static void
answer_keys(const struct flow *f, uint64_t stamp)
{
	uint64_t first = (uint64_t)STATEDB_BUCKET(hash(f)) << 52;
	size_t mark;

	begin();
	mark = native_open(&pw, NATIVE_KEYS);
	wbuf_be32(&pw, STATEDB_BUCKET(hash(f)));
	wbuf_be32(&pw, 0);
	wbuf_be64(&pw, first);
	wbuf_be64(&pw, first | (~UINT64_C(0) >> 12));
	wbuf_be64(&pw, hash(f));
	wbuf_be64(&pw, stamp);
	native_close(&pw, mark);
	send_packet(&peer);
}

/* What is not answered is asked again, and not what was answered before. */
START_TEST(questions_lost)
{
	struct flow f = flow(1);
	unsigned int b = STATEDB_BUCKET(hash(&f));

	differ();
	peer.hdr.clock = STAMP;
	pass(SETTLE);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_GROUPS], 1);
	hello(&peer);		/* an acknowledgement: the way is short */
	peer.hdr.sum = peer.hdr.count = 1;
	begin();
	send_packet(&peer);
	pass(SETTLE);
	ck_assert_uint_ge(said_within(NATIVE_ASK_GROUPS, SEC), 4);
	answer_groups(UINT64_C(1) << (b / 64));
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BUCKETS], 1);
	begin();
	send_packet(&peer);	/* it lives */
	ck_assert_uint_ge(said_within(NATIVE_ASK_BUCKETS, SEC), 4);
	answer_buckets(b / 64, b % 64);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_KEYS], 1);
	ck_assert_uint_eq(said.n[NATIVE_ASK_BUCKETS], 0);
	ck_assert_uint_ge(said_within(NATIVE_ASK_KEYS, SEC), 4);
	answer_keys(&f, STAMP);
	(void)listen_now();
	ck_assert_uint_eq(said.nasked, 1);
	begin();
	send_packet(&peer);
	ck_assert_uint_ge(said_within(NATIVE_ASK_FLOWS, 300 * MS), 2);
	ck_assert_uint_eq(said.n[NATIVE_ASK_KEYS], 0);
	/* there it is: nothing more is asked */
	begin();
	put_flow(&f, PEER, STAMP, 0);
	peer.hdr.count = 1;
	peer.hdr.sum = statedb_mix(hash(&f), STAMP);
	send_packet(&peer);
	ck_assert_uint_eq(said_within(NATIVE_ASK_FLOWS, SEC), 0);
	(void)ops(&box);
}
END_TEST

/* The last packet of many is missed by nobody but the one who sent it. */
START_TEST(probes)
{
	struct flow f = flow(1);
	unsigned int i, n = 0;

	meet(&peer, PEER);
	hello(&peer);
	own(&f);
	for (i = 0; i < 50; i++) {
		pass(10 * MS);
		n += (unsigned int)listen_now();
	}
	ck_assert_uint_ge(n, 2);
	ck_assert_uint_le(n, 5);
	hello(&peer);		/* acknowledges all */
	pass(0);
	(void)listen_now();
	/* nor are we woken up for nothing */
	ck_assert_int_ge(monotime_sub(repl_next(box.r, now()), now()),
	    800 * MS);
	for (i = 0; i < 80; i++) {	/* before the next hello */
		pass(10 * MS);
		ck_assert_uint_eq(listen_now(), 0);
	}
}
END_TEST

START_TEST(questions)
{
	uint32_t g;
	size_t mark, i;

	differ();
	/* nothing at all of it: all is asked for when it was met */
	pass(SETTLE - 1);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_GROUPS], 0);
	pass(1);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_GROUPS], 1);
	/* not at once again, but soon */
	(void)listen_now();
	ck_assert_uint_eq(said.packets, 0);
	pass(ASK_TIME);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_GROUPS], 1);
	begin();
	mark = native_open(&pw, NATIVE_GROUPS);
	for (i = 0; i < STATEDB_GROUPS; i++)
		wbuf_be64(&pw, i == 5);
	native_close(&pw, mark);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BUCKETS], 1);
	begin();
	mark = native_open(&pw, NATIVE_BUCKETS);
	wbuf_be32(&pw, 5);
	for (i = 0; i < 64; i++)
		wbuf_be64(&pw, i == 9);
	native_close(&pw, mark);
	send_packet(&peer);
	ck_assert_uint_eq(status().mismatching, 1);
	(void)listen_now();
	/* we have nothing of it, but it is only one */
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 0);
	ck_assert_uint_eq(said.n[NATIVE_ASK_KEYS], 1);
	/* a lot of which we have nothing */
	begin();
	for (g = 6; g < 8; g++) {
		mark = native_open(&pw, NATIVE_BUCKETS);
		wbuf_be32(&pw, g);
		for (i = 0; i < 64; i++)
			wbuf_be64(&pw, i % 4 != 0 ? 1 : 0);
		native_close(&pw, mark);
	}
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 32);
	ck_assert_uint_eq(said.n[NATIVE_ASK_KEYS], 0);
	/* one that we have something of: its keys */
	begin();
	{
		struct flow f = flow(1);
		unsigned int b = STATEDB_BUCKET(hash(&f));

		put_flow(&f, PEER, STAMP, 0);
		mark = native_open(&pw, NATIVE_BUCKETS);
		wbuf_be32(&pw, b / 64);
		for (i = 0; i < 64; i++)
			wbuf_be64(&pw, i == b % 64);
		native_close(&pw, mark);
	}
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 0);
	ck_assert_uint_eq(said.n[NATIVE_ASK_KEYS], 1);
	(void)ops(&box);
}
END_TEST

/* ---- two of them ---- */

/* Everything that one says, to the other; bytes lost now and then. */
static bool
carry(struct box *from, struct box *to, unsigned int lose)
{
	static uint8_t buf[JUMBO];
	static unsigned int n;
	struct repl_pkt r;
	size_t len, off;
	bool any = false;

	while ((len = packet(from, buf)) > 0) {
		any = true;
		if (lose != 0 && ++n % lose == 0)
			continue;
		memset(&r, 0, sizeof(r));
		ck_assert(native_parse(buf, len, &r.hdr, &r.tlv, &r.tlvlen,
		    &off));
		r.node = from->c.node;
		r.epoch = from->c.epoch;
		r.seq = from->seq;
		(void)statedb_reserve(to->db);
		repl_rx(to->r, &r, now());
	}
	return (any);
}

static void
together(int64_t length, unsigned int lose)
{
	int64_t end = T + length;

	for (; T < end; T += 5 * MS) {
		repl_tick(box.r, now());
		repl_tick(box2.r, now());
		(void)carry(&box, &box2, lose);
		(void)carry(&box2, &box, lose);
		(void)ops(&box);
		(void)ops(&box2);
	}
}

static bool
in_step(void)
{
	struct repl_peer a, b;

	return (repl_peer(box.r, 0, &a, now()) && a.in_sync &&
	    repl_peer(box2.r, 0, &b, now()) && b.in_sync);
}

START_TEST(two_nodes)
{
	struct flow f;
	uint32_t i;

	box_begin(&box2, PEER);
	for (i = 0; i < 5000; i++) {
		f = flow(i);
		kernel_says(i % 2 ? &box : &box2, STATETBL_NEW, &f, 1, 0, 0);
	}
	together(2 * SEC, 0);
	ck_assert(in_step());
	ck_assert_uint_eq(statedb_count(box.db), 5000);
	ck_assert_uint_eq(statedb_count(box2.db), 5000);
	/* one in three is lost */
	for (i = 0; i < 5000; i++) {
		f = flow(i);
		if (i % 10 == 0)
			kernel_says(i % 2 ? &box : &box2, STATETBL_DESTROY, &f,
			    1, 0, 0);
		f = flow(5000 + i);
		kernel_says(i % 2 ? &box : &box2, STATETBL_NEW, &f, 1, 0, 0);
		if (i % 100 == 0)
			together(5 * MS, 3);
	}
	together(SEC, 3);
	together(3 * SEC, 0);
	ck_assert(in_step());
	ck_assert_uint_eq(statedb_count(box.db), 9500);
	ck_assert_uint_eq(statedb_count(box2.db), 9500);
}
END_TEST

/* The two of them tell a clash apart in the same way. */
START_TEST(two_nodes_clash)
{
	struct flow f, g;
	struct statetbl_result res;

	two_flows(&f, &g);
	box_begin(&box2, PEER);
	kernel_says(&box, STATETBL_NEW, &f, 1, 0, 0);
	kernel_says(&box2, STATETBL_NEW, &g, 1, 0, 0);
	together(SEC, 0);
	/* both kernels refuse the other's */
	refuse(&g, STATETBL_CLASH, &f);
	memset(&res, 0, sizeof(res));
	res.f = f;
	res.other = g;
	res.error = STATETBL_CLASH;
	repl_result(box2.r, &res, now());
	together(SEC, 0);
	ck_assert_ptr_nonnull(entry_at(&box, &f));
	ck_assert_ptr_nonnull(entry_at(&box2, &f));
	ck_assert_ptr_null(entry_at(&box, &g));
	ck_assert_ptr_null(entry_at(&box2, &g));
	ck_assert(in_step());
}
END_TEST

/* ---- what ended while one was away ---- */

/* The peer says nothing for so long that it is taken for dead. */
static void
fall_silent(void)
{
	pass(REPL_SILENT + SEC);
	settle();
}

/*
 * The peer carried f, with STAMP; its traffic came here when the peer was
 * silent, and here it ended.
 */
static void
end_apart(const struct flow *f)
{
	replica(&peer, f, STAMP);
	hello(&peer);
	fall_silent();
	repl_carp(box.r, 1, true, now());
	event(STATETBL_UPDATE, f);
	ck_assert_uint_eq(carrier(f), US);
	pass(10 * MS);
	gone(f, 0);
	pass(10 * MS);
	settle();
	ck_assert_ptr_null(entry(f));
	ck_assert_uint_eq(status().ends, 1);
}

/* The end of f was told, and nothing else of it. */
static void
told_end(const struct flow *f)
{
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(f));
	ck_assert_uint_gt(said.del[0].stamp, STAMP);
	ck_assert_ptr_null(entry(f));
	ck_assert_uint_eq(said.nasked, 0);
	no_op();
}

/* It carries f, and nothing else. */
static void
carries_one(struct peer *p, const struct flow *f, uint64_t stamp)
{
	p->hdr.count = 1;
	p->hdr.sum = statedb_mix(hash(f), stamp);
}

/* A complete look at the kernel, which shows f, if that is not NULL. */
static void
look(const struct flow *f)
{
	enum statetbl_what what;
	uint32_t dump;

	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
	if (f != NULL)
		kernel_says(&box, STATETBL_DUMP, f, 1, 0, dump);
	repl_dumped(box.r, dump, true, now());
}

START_TEST(end_told_at_return)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	end_apart(&f);
	/* it returns; as long as it starts it does not listen */
	begin();
	peer.hdr.flags = NATIVE_F_STARTING;
	carries_one(&peer, &f, STAMP);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	begin();
	peer.hdr.flags = 0;
	put_ack(box.seq, REPL_WINDOW);
	send_packet(&peer);
	told_end(&f);
	ck_assert_uint_eq(status().ends, 1);
	/* once; and what it carries now is what we hold of it */
	begin();
	put_ack(box.seq, REPL_WINDOW);
	agree(&peer);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	ck_assert_uint_eq(status().ends, 0);
}
END_TEST

/* It was told, but did not hear it: nobody knew yet that it was away. */
START_TEST(end_told_in_vain)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	replica(&peer, &f, STAMP);
	event(STATETBL_UPDATE, &f);
	settle();
	hello(&peer);
	gone(&f, 0);
	told_end(&f);
	fall_silent();
	ck_assert_uint_eq(status().ends, 1);
	begin();
	put_ack(box.seq, REPL_WINDOW);
	carries_one(&peer, &f, STAMP);
	send_packet(&peer);
	told_end(&f);
}
END_TEST

/* It tells of it, or lists it: the end is the answer, each time. */
START_TEST(end_is_the_answer)
{
	struct flow f = flow(1);
	const struct flow *list[1] = { &f };
	uint64_t first = hash(&f) >> 52 << 52, stamp = STAMP;
	int i;

	meet(&peer, PEER);
	end_apart(&f);
	carries_one(&peer, &f, STAMP);
	begin();
	put_ack(box.seq, REPL_WINDOW);
	send_packet(&peer);
	told_end(&f);
	for (i = 0; i < 2; i++) {
		begin();
		put_ack(box.seq, REPL_WINDOW);
		put_flow(&f, PEER, STAMP, 0);
		put_flow(&f, PEER, STAMP, 0);
		send_packet(&peer);
		told_end(&f);
		begin();
		put_ack(box.seq, REPL_WINDOW);
		put_keys(list, &stamp, 1, STATEDB_BUCKET(hash(&f)), first,
		    first | (~UINT64_C(0) >> 12));
		send_packet(&peer);
		told_end(&f);
	}
	ck_assert_uint_eq(status().stale, 4);
	ck_assert_uint_eq(status().repaired_put, 0);
	/* it waits for credit as all do */
	begin();
	put_ack(box.seq, 0);
	put_flow(&f, PEER, STAMP, 0);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	begin();
	put_ack(box.seq, REPL_WINDOW);
	send_packet(&peer);
	told_end(&f);
	/* as old as the end: over; newer: another one */
	tell(&peer, &f, said.del[0].stamp, 0);
	ck_assert_ptr_null(entry(&f));
	tell(&peer, &f, said.del[0].stamp + 1, 0);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(carrier(&f), PEER);
}
END_TEST

/* Of another one that is away, and the third has it: the same. */
START_TEST(end_of_orphan)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	meet(&third, THIRD);
	end_apart(&f);
	begin();
	put_ack(box.seq, REPL_WINDOW);
	third.hdr.count = 1;
	put_flow(&f, PEER, STAMP, 0);
	send_packet(&third);
	(void)listen_now();
	ck_assert_uint_ge(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&f));
	ck_assert_ptr_null(entry(&f));
	/* it does not carry it, and is told all; the other one is not */
	hello(&third);
	ck_assert_uint_eq(status().ends, 1);
}
END_TEST

/* An end that we heard of is remembered for the third. */
START_TEST(end_heard)
{
	struct flow f = flow(1), g = flow(2), h = unreplied(3);

	meet(&peer, PEER);
	meet(&third, THIRD);
	replica(&peer, &f, STAMP);
	replica(&peer, &g, STAMP);
	replica(&peer, &h, STAMP);
	hello(&third);
	pass(REPL_SILENT - SEC);
	hello(&peer);
	pass(2 * SEC);
	settle();
	tell_del(&peer, &f, STAMP + 9);
	ck_assert_uint_eq(status().ends, 1);
	/* not if its time was over, nor what nobody answered */
	tell_del(&peer, &h, STAMP + 9);
	entry(&g)->deadline = repl_sec(box.r, now()) + REPL_EXTRA;
	tell_del(&peer, &g, STAMP + 9);
	ck_assert_uint_eq(status().ends, 1);
	settle();
	third.hdr.count = 1;
	begin();
	put_ack(box.seq, REPL_WINDOW);
	put_flow(&f, THIRD, STAMP - 1, 0);
	send_packet(&third);
	(void)listen_now();
	ck_assert_uint_ge(said.ndel, 1);
	ck_assert_uint_eq(said.del[0].h, hash(&f));
	ck_assert_uint_eq(said.del[0].stamp, STAMP + 9);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

/* That it went here proves nothing: neither by its time, nor a replica's. */
START_TEST(end_not_seen)
{
	static const struct {
		bool		 master, own;
		unsigned int	 after;		/* s */
		uint8_t		 tcp, status;
		uint64_t	 ends;
	} t[] = {
		{ true, true, 10, FLOW_TCP_ESTABLISHED, FLOW_ASSURED, 1 },
		{ true, true, 300, FLOW_TCP_ESTABLISHED, FLOW_ASSURED, 0 },
		{ true, true, 300, FLOW_TCP_TIME_WAIT, FLOW_ASSURED, 1 },
		{ true, true, 300, FLOW_TCP_FIN_WAIT, FLOW_ASSURED, 1 },
		{ true, true, 10, FLOW_TCP_ESTABLISHED, 0, 0 },
		{ true, false, 10, FLOW_TCP_ESTABLISHED, FLOW_ASSURED, 1 },
		{ true, false, 320, FLOW_TCP_ESTABLISHED, FLOW_ASSURED, 0 },
		{ false, false, 10, FLOW_TCP_ESTABLISHED, FLOW_ASSURED, 0 },
	};
	struct flow f;
	uint32_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		teardown();
		setup();
		f = flow(i);
		f.tcp_state = t[i].tcp;
		f.status = (uint8_t)(FLOW_SEEN_REPLY | t[i].status);
		meet(&peer, PEER);
		if (!t[i].own)
			replica(&peer, &f, STAMP);
		hello(&peer);
		fall_silent();
		repl_carp(box.r, t[i].master ? 1 : 0, true, now());
		if (t[i].own)
			event(STATETBL_NEW, &f);
		settle();
		pass((t[i].after - (t[i].own ? 0 : 4)) * SEC);
		gone(&f, 0);
		pass(MS);
		settle();
		ck_assert_msg(status().ends == t[i].ends, "row %u: %llu", i,
		    (unsigned long long)status().ends);
		/* what it has goes on to be put in, or is over */
		if (t[i].own)
			continue;
		begin();
		put_ack(box.seq, REPL_WINDOW);
		carries_one(&peer, &f, STAMP);
		put_flow(&f, PEER, STAMP, 0);
		send_packet(&peer);
		ck_assert_uint_eq(entry(&f) != NULL, t[i].ends == 0);
		settle();
	}
}
END_TEST

/* It begins anew here: its old end is told to nobody. */
START_TEST(end_and_anew)
{
	struct flow f = flow(1);

	meet(&peer, PEER);
	end_apart(&f);
	event(STATETBL_NEW, &f);
	pass(10 * MS);
	settle();
	begin();
	put_ack(box.seq, REPL_WINDOW);
	carries_one(&peer, &f, STAMP);
	put_flow(&f, PEER, STAMP, 0);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 0);
	ck_assert_uint_eq(carrier(&f), US);
	no_op();
}
END_TEST

/* Its host was booted anew, or it was away too long: nothing is kept for it. */
START_TEST(end_dropped)
{
	struct flow f = flow(1);
	int i;

	for (i = 0; i < 2; i++) {
		teardown();
		setup();
		meet(&peer, PEER);
		end_apart(&f);
		if (i == 0) {
			peer.epoch++;
			peer.hdr.boot++;
			hello(&peer);
			ck_assert_uint_eq(status().ends, 0);
		} else {
			pass(REPL_FORGET - 10 * SEC);
			ck_assert_uint_eq(status().ends, 1);
			pass(10 * SEC);
			ck_assert_uint_eq(status().ends, 0);
			hello(&peer);
		}
		(void)listen_now();
		ck_assert_uint_eq(said.ndel, 0);
		tell(&peer, &f, STAMP, 0);
		one_op(STATETBL_PUT, 0, &f);
		settle();
	}
}
END_TEST

/* As many as there is room for; the oldest is written over. */
START_TEST(ends_many)
{
	struct flow f;
	uint32_t i, k;

	meet(&peer, PEER);
	f = flow(0);
	end_apart(&f);
	for (i = 1; i <= ENDS_MAX; i++) {
		f = flow(i);
		event(STATETBL_NEW, &f);
		if (i % 64 != 0)
			continue;
		pass(MS);
		for (k = i - 63; k <= i; k++) {
			f = flow(k);
			gone(&f, 0);
		}
		pass(MS);
	}
	ck_assert_uint_eq(status().ends, ENDS_MAX);
	ck_assert_uint_eq(status().ends_lost, 1);
	/* the first is forgotten, the others are not */
	begin();
	put_ack(box.seq, 0);
	peer.hdr.count = 3;
	for (i = 0; i < 3; i++) {
		f = flow(i);
		put_flow(&f, PEER, STAMP, 0);
	}
	send_packet(&peer);
	for (i = 0; i < 3; i++) {
		f = flow(i);
		ck_assert_int_eq(entry(&f) != NULL, i == 0);
	}
	/* all are told: 16 bytes each */
	for (i = 0; i <= ENDS_MAX / 80; i++) {
		pass(MS);
		begin();
		put_ack(box.seq, REPL_WINDOW);
		send_packet(&peer);
		(void)listen_to(&box, REPL_WINDOW + 2);
	}
	(void)ops(&box);
	hello(&peer);
	ck_assert_uint_eq(status().ends, 0);
}
END_TEST

/* The other one says that it ended there; here its traffic went on. */
START_TEST(end_and_lives)
{
	static const struct {
		int		 seen;	/* 0: before; 1: by the next look; 2: by
					   one after that; 3: an event */
		bool		 late;	/* the end is from after the return */
		bool		 stays;
	} t[] = {
		{ 0, false, false }, { 1, false, false }, { 2, false, true },
		{ 3, false, true }, { 3, true, false },
	};
	struct flow f, more;
	uint64_t stamp;
	uint32_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		teardown();
		setup();
		f = flow(i);
		more = f;
		more.timeout = 400;
		meet(&peer, PEER);
		own(&f);
		hello(&peer);
		fall_silent();
		look(t[i].seen == 1 ? &more : NULL);
		settle();
		pass(20 * SEC);
		more.timeout = 500;
		if (t[i].seen == 2) {
			repl_now(box.r, now());
			look(&more);
		}
		if (t[i].seen == 3)
			event(STATETBL_UPDATE, &more);
		settle();
		stamp = entry(&f)->stamp + 5 * SEC / MONOTIME_USEC;
		peer.hdr.clock = t[i].late ? stamp - 1 : stamp;
		hello(&peer);
		settle();
		tell_del(&peer, &f, stamp);
		if (!t[i].stays) {
			one_op(STATETBL_DELETE_IDLE, 0, &f);
			continue;
		}
		ck_assert_msg(ops(&box) == 0, "row %u: operation %u", i,
		    box.op[0].type);
		/* and the other one shall have it again */
		(void)listen_now();
		ck_assert_uint_eq(said.nflow, 1);
		ck_assert_uint_gt(said.flow[0].stamp, stamp);
	}
}
END_TEST

/* Both ends: two nodes that lost each other, and the carrier moved. */
START_TEST(two_nodes_ended)
{
	struct flow f;
	uint32_t i;

	box_begin(&box2, PEER);
	for (i = 0; i < 3000; i++) {
		f = flow(i);
		kernel_says(&box, STATETBL_NEW, &f, 1, 0, 0);
	}
	together(2 * SEC, 0);
	ck_assert(in_step());
	T += 5 * SEC;
	repl_tick(box.r, now());
	repl_tick(box2.r, now());
	repl_carp(box2.r, 1, true, now());
	for (i = 0; i < 3000; i += 3) {
		f = flow(i);
		kernel_says(&box2, STATETBL_DESTROY, &f, 1, 0, 0);
	}
	repl_tick(box2.r, now());
	/* one packet of five is lost */
	together(3 * SEC, 5);
	together(SEC, 0);
	ck_assert(in_step());
	ck_assert_uint_eq(statedb_count(box.db), 2000);
	ck_assert_uint_eq(statedb_count(box2.db), 2000);
}
END_TEST

/* Packets as large as they get, and a bucket that fills more than one. */
START_TEST(two_nodes_jumbo)
{
	struct flow f;
	uint32_t i, n = 0;

	box_begin(&box2, PEER);
	box.room = box2.room = JUMBO;
	for (i = 0; n < 700; i++) {
		f = flow(i);
		if (STATEDB_BUCKET(hash(&f)) != 77)
			continue;
		kernel_says(&box, STATETBL_NEW, &f, 1, 0, 0);
		n++;
	}
	together(SEC, 0);
	ck_assert(in_step());
	/* the end of one of them is lost */
	kernel_says(&box, STATETBL_DESTROY, &f, 1, 0, 0);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	together(3 * SEC, 0);
	ck_assert_ptr_null(entry_at(&box2, &f));
	ck_assert(in_step());
}
END_TEST

/* ---- how long packets are ---- */

static void
tell_mtu(struct peer *p, uint32_t mtu)
{
	size_t mark;

	begin();
	mark = native_open(&pw, NATIVE_MTU);
	wbuf_be32(&pw, mtu);
	native_close(&pw, mark);
	put_ack(box.seq, REPL_WINDOW);
	send_packet(p);
}

/* The longest packet of 2000 flows that begin and end. */
static size_t
longest(void)
{
	static uint8_t buf[JUMBO];
	size_t len, most = 0;
	struct flow f;
	uint32_t i;

	for (i = 0; i < 4000; i++) {
		f = flow(i % 2000);
		kernel_says(&box, i < 2000 ? STATETBL_NEW : STATETBL_DESTROY,
		    &f, 1, 0, 0);
		if (i % 2000 == 1999)
			while ((len = packet(&box, buf)) > 0)
				most = len > most ? len : most;
	}
	return (most);
}

START_TEST(narrower_peer)
{
	static const struct { uint32_t mtu; size_t most; } table[] = {
		{ 1500, 1500 - 84 }, { 9000, JUMBO }, { 65535, JUMBO },
		{ 0, 768 - 84 }, { 767, 768 - 84 }, { 8999, JUMBO }
	};
	struct repl_peer info;
	size_t i;

	box.room = JUMBO;
	repl_mtu(box.r, 9000, 84);
	meet(&peer, PEER);
	ck_assert_uint_eq(said.n[NATIVE_MTU], 1);
	ck_assert(!repl_mtu_differs(box.r, &info));
	ck_assert_uint_gt(longest(), JUMBO - 60);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		tell_mtu(&peer, table[i].mtu);
		ck_assert_uint_le(longest(), table[i].most);
		ck_assert_uint_gt(longest(), table[i].most - 120);
		ck_assert_int_eq(repl_mtu_differs(box.r, &info),
		    table[i].mtu != 9000 && table[i].mtu != 767);
	}
	ck_assert_uint_eq(info.node, PEER);
	ck_assert_uint_eq(info.mtu, 8999);
	/* once for each pair; what we have now is ours to tell */
	tell_mtu(&peer, 8999);
	ck_assert(!repl_mtu_differs(box.r, &info));
	repl_mtu(box.r, 1500, 84);
	ck_assert(repl_mtu_differs(box.r, &info));
	ck_assert(!repl_mtu_differs(box.r, &info));
	/* it is not asked when it is not there */
	repl_mtu(box.r, 9000, 84);
	tell_mtu(&peer, 1500);
	meet(&third, THIRD);
	pass(2 * SEC);
	hello(&third);
	pass(2 * SEC);
	ck_assert_uint_gt(longest(), JUMBO - 120);
}
END_TEST

/* ---- bulk, and why we are demoted ---- */

START_TEST(alone)
{
	box_end(&box);
	box_begin(&box, US);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_BULK);
	ck_assert_uint_eq(status().bulk, SYNC_BULK_WAIT);
	pass(NOBODY_TIME);
	ck_assert_int_eq(repl_hold(box.r), HOLD_BULK);
	ck_assert(!repl_synced(box.r));
	pass(1);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	ck_assert(repl_synced(box.r));
	ck_assert_uint_eq(status().bulk, SYNC_BULK_DONE);
	/* the cable */
	repl_link(box.r, false, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_SYNCDEV);
	repl_carp(box.r, 1, true, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_SYNCDEV);
	repl_link(box.r, true, now());
	/* a MASTER does not wait for a bulk */
	ck_assert_uint_eq(status().bulk, SYNC_BULK_WAIT);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	repl_carp(box.r, 0, true, now());
	(void)ops(&box);
	repl_tick(box.r, now());
	ck_assert_int_eq(repl_hold(box.r), HOLD_BULK);
}
END_TEST

START_TEST(bulk)
{
	struct repl_peer info;
	struct flow f[4];
	size_t i;

	memset(&peer, 0, sizeof(peer));
	peer.id = PEER;
	peer.epoch = EPOCH;
	peer.hdr.count = 4;
	for (i = 0; i < 4; i++) {
		f[i] = flow((uint32_t)i);
		peer.hdr.sum += statedb_mix(hash(&f[i]), STAMP + i);
	}
	begin();
	send_packet(&peer);
	repl_tick(box.r, now());
	ck_assert_uint_eq(status().bulk, SYNC_BULK_RUNNING);
	ck_assert_uint_eq(status().bulk_want, 4);
	ck_assert_int_eq(status().bulk_eta, -1);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 1);
	pass(SEC);
	begin();
	put_flow(&f[0], PEER, STAMP, 0);
	send_packet(&peer);
	pass(0);
	ck_assert_uint_eq(status().bulk_have, 1);
	ck_assert_int_eq(status().bulk_eta, 3 * SEC);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(!info.in_sync);
	ck_assert_uint_eq(info.carries, 4);
	ck_assert_uint_eq(info.have, 1);
	begin();
	for (i = 1; i < 4; i++)
		put_flow(&f[i], PEER, STAMP + i, 0);
	send_packet(&peer);
	pass(0);
	ck_assert_uint_eq(status().bulk, SYNC_BULK_DONE);
	ck_assert(repl_synced(box.r));
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert(info.in_sync);
	ck_assert_uint_eq(ops(&box), 4);
	/* once more, by hand */
	repl_now(box.r, now());
	ck_assert_uint_eq(status().bulk, SYNC_BULK_WAIT);
	/* as soon as the answer to the last question grows no more */
	(void)listen_now();
	pass(500 * MS);
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_GROUPS], 1);
	hello(&peer);
	pass(0);
	ck_assert_uint_eq(status().bulk, SYNC_BULK_DONE);
	/* all anew */
	settle();
	repl_flush(box.r, now());
	ck_assert_uint_eq(ops(&box), 4);
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(box.op[i].type, STATETBL_DELETE);
	ck_assert_uint_eq(statedb_count(box.db), 0);
	hello(&peer);		/* does not know of it */
	(void)listen_now();
	ck_assert_uint_eq(said.n[NATIVE_ASK_BULK], 0);
}
END_TEST

/* It never comes: we go on without. */
START_TEST(bulk_fails)
{
	int i;

	meet(&peer, PEER);
	peer.hdr.sum = peer.hdr.count = 1;
	repl_now(box.r, now());
	for (i = 0; i <= 60; i++) {
		begin();
		send_packet(&peer);
		pass(0);
		ck_assert_uint_eq(status().bulk, SYNC_BULK_RUNNING);
		T += SEC;
	}
	pass(0);
	ck_assert_uint_eq(status().bulk, SYNC_BULK_FAILED);
	ck_assert_int_eq(repl_hold(box.r), HOLD_NONE);
	ck_assert(repl_synced(box.r));
}
END_TEST

START_TEST(numbers)
{
	struct repl_peer info;
	struct flow f = flow(1), g = flow(2), y = unreplied(3);

	meet(&peer, PEER);
	event(STATETBL_NEW, &f);
	ck_assert_uint_eq(status().tx_queue, 1);
	ck_assert_uint_eq(status().local, 0);
	pass(30 * MS);
	(void)listen_now();
	ck_assert_uint_eq(status().local, 1);
	ck_assert_uint_eq(said.hdr.count, 1);
	ck_assert_uint_eq(said.hdr.sum, statedb_mix(hash(&f),
	    said.flow[0].stamp));
	/* from the change here to the word of the peer */
	pass(20 * MS);
	hello(&peer);
	ck_assert_int_eq(status().lag, 50 * MS);
	ck_assert_int_eq(status().lag_max, 50 * MS);
	tell(&peer, &g, STAMP, 0);
	event(STATETBL_NEW, &y);
	ck_assert_uint_eq(status().remote, 1);
	ck_assert_uint_eq(status().young, 1);
	ck_assert_uint_eq(status().op_queue, 1);
	(void)ops(&box);
	ck_assert_uint_eq(status().op_queue, 0);
	ck_assert(repl_peer(box.r, 0, &info, now()));
	ck_assert_uint_eq(info.node, PEER);
	ck_assert(info.alive && info.native && !info.starting);
	ck_assert_uint_eq(info.packets, 3);
	ck_assert_uint_eq(info.have, 1);
	ck_assert_int_eq(info.lag, 50 * MS);
	ck_assert(!repl_peer(box.r, 1, &info, now()));
	pass(11 * SEC);
	ck_assert_int_eq(status().lag_max, 0);
}
END_TEST

/* ---- dumps ---- */

START_TEST(dumps)
{
	enum statetbl_what what;
	uint32_t dump;

	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(15 * SEC - 1);
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(1);
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_NOT_TCP);
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	repl_dumped(box.r, dump + 1, true, now());	/* another's */
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	repl_dumped(box.r, dump, true, now());
	/* events were lost: at once, but not again for ten seconds */
	repl_overrun(box.r, now());
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
	repl_overrun(box.r, now());
	repl_dumped(box.r, dump, true, now());
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(DUMP_GAP - 1);
	ck_assert(!repl_want_dump(box.r, &dump, &what, now()));
	pass(1);
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
	repl_dumped(box.r, dump, true, now());
	/* MASTER: soon, to see what we carry */
	repl_carp(box.r, 1, true, now());
	pass(2 * SEC);
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	ck_assert_uint_eq(what, STATETBL_ALL);
	repl_dumped(box.r, dump, true, now());
}
END_TEST

/* ---- the pf dialects ---- */

/* An operation for f is queued that turns out to be needless. */
static void
needless(const struct flow *f)
{
	ck_assert_uint_ne(repl_foreign_put(box.r, THIRD, f, true, now()),
	    STATEDB_NONE);
	event(STATETBL_UPDATE, f);
	ck_assert_uint_eq(carrier(f), US);
}

static void
needed(const struct flow *f)
{
	ck_assert_uint_ne(repl_foreign_put(box.r, THIRD, f, true, now()),
	    STATEDB_NONE);
}

/* What is needless is done when all before it is, and not before. */
START_TEST(done_in_order)
{
	struct flow before = flow(1), f = flow(2), g = flow(3), h = flow(4),
	    behind = flow(5);

	box.busy = true;
	needless(&before);
	needed(&f);
	needless(&g);
	needed(&h);
	needless(&behind);
	ck_assert_uint_eq(repl_ops_queued(box.r), 5);
	ck_assert_uint_eq(repl_ops_done(box.r), 0);
	ck_assert_uint_eq(ops(&box), 2);
	ck_assert_uint_eq(repl_ops_done(box.r), 1);
	repl_done(box.r, 1);
	ck_assert_uint_eq(repl_ops_done(box.r), 3);
	repl_done(box.r, 1);
	ck_assert_uint_eq(repl_ops_done(box.r), 5);
	ck_assert_uint_eq(repl_pending(box.r), 0);
	/* of nothing there is no more to do */
	ck_assert(!repl_done(box.r, 1));
	ck_assert(!repl_done(box.r, UINT32_MAX));
	ck_assert_uint_eq(repl_ops_done(box.r), 5);
}
END_TEST

/* The same of more than are remembered one by one: later, never sooner. */
START_TEST(done_in_order_many)
{
	const uint32_t many = 3 * SKIPS;
	struct flow f;
	uint32_t i;

	box.busy = true;
	for (i = 0; i < many; i++) {
		f = flow(2 * i + 1);
		needed(&f);
		f = flow(2 * i + 2);
		needless(&f);
	}
	ck_assert_uint_eq(ops(&box), many);
	for (i = 0; i < many; i++) {
		ck_assert_uint_ge(repl_ops_done(box.r), i);
		ck_assert_uint_le(repl_ops_done(box.r), 2 * i);
		if (i < SKIPS)
			ck_assert_uint_eq(repl_ops_done(box.r), 2 * i);
		repl_done(box.r, 1);
	}
	ck_assert_uint_eq(repl_ops_done(box.r), 2 * many);
	ck_assert_uint_eq(repl_pending(box.r), 0);
}
END_TEST

START_TEST(foreign)
{
	struct flow f = flow(1), bad = flow(2), g = flow(3);
	struct repl_peer info;
	uint32_t i;

	meet(&peer, PEER);
	repl_foreign_heard(box.r, THIRD, now());
	i = repl_foreign_put(box.r, THIRD, &f, true, now());
	ck_assert_uint_ne(i, STATEDB_NONE);
	ck_assert(!repl_is_local(box.r, i));
	ck_assert_uint_eq(carrier(&f), THIRD);
	one_op(STATETBL_PUT, 0, &f);
	ck_assert_uint_eq(box.op[0].f.timeout, 300);
	ck_assert_uint_eq(repl_ops_done(box.r), repl_ops_queued(box.r));
	f.mark = 3;
	ck_assert_uint_eq(repl_foreign_put(box.r, THIRD, &f, false, now()), i);
	one_op(STATETBL_SET, 0, &f);
	ck_assert_uint_eq(repl_foreign_put(box.r, THIRD, &f, true, now()), i);
	one_op(STATETBL_REPLACE, 0, &f);
	/* our own nodes hear pf themselves */
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	bad.orig.src[0] = 127;
	ck_assert_uint_eq(repl_foreign_put(box.r, THIRD, &bad, false, now()),
	    STATEDB_NONE);
	repl_foreign_del(box.r, i, now());
	one_op(STATETBL_DELETE, 0, &f);
	ck_assert_ptr_null(entry(&f));
	/* ours that pf ends is told to the others */
	own(&g);
	repl_foreign_del(box.r, statedb_find(box.db, &g, hash(&g)), now());
	one_op(STATETBL_DELETE, 0, &g);
	(void)listen_now();
	ck_assert_uint_eq(said.ndel, 1);
	/* it may be silent for longer */
	pass(10 * SEC);
	hello(&peer);
	ck_assert(repl_peer(box.r, 1, &info, now()));
	ck_assert_uint_eq(info.node, THIRD);
	ck_assert(info.alive && !info.native);
	pass(51 * SEC);
	ck_assert(repl_peer(box.r, 1, &info, now()));
	ck_assert(!info.alive);
}
END_TEST

/* One of ours that speaks pf as well: what it says so is not for us. */
START_TEST(foreign_native)
{
	struct flow f = flow(1), g = flow(2);
	struct repl_peer info;
	uint32_t i;

	/* heard in pf first: what it told is kept, whatever it carries */
	meet(&third, THIRD);
	own(&f);
	repl_foreign_heard(box.r, PEER, now());
	i = repl_foreign_put(box.r, PEER, &f, false, now());
	ck_assert_uint_eq(carrier(&f), PEER);
	ck_assert(!repl_is_native(box.r, PEER));
	memset(&peer, 0, sizeof(peer));
	peer.id = PEER;
	peer.epoch = EPOCH;
	peer.hdr.boot = PEER;
	begin();
	send_packet(&peer);
	settle();
	ck_assert_uint_eq(carrier(&f), US);
	ck_assert(repl_is_native(box.r, PEER));
	/* from then on */
	repl_foreign_heard(box.r, PEER, now());
	ck_assert_uint_eq(repl_foreign_put(box.r, PEER, &f, false, now()),
	    STATEDB_NONE);
	ck_assert_uint_eq(repl_foreign_put(box.r, PEER, &g, false, now()),
	    STATEDB_NONE);
	ck_assert(repl_is_local(box.r, i));
	ck_assert_ptr_null(entry(&g));
	/* and it is silent as soon as any of ours */
	pass(REPL_SILENT);
	ck_assert(repl_peer(box.r, 1, &info, now()));
	ck_assert_uint_eq(info.node, PEER);
	ck_assert(!info.alive && info.native);
}
END_TEST

START_TEST(native_at)
{
	struct repl_pkt p;
	struct ipaddr other;

	memset(&p, 0, sizeof(p));
	p.node = PEER;
	p.epoch = EPOCH;
	p.seq = 1;
	p.hdr.boot = PEER;
	ck_assert_int_eq(ipaddr_parse("192.0.2.1", &p.addr, NULL), 0);
	ck_assert_int_eq(ipaddr_parse("192.0.2.2", &other, NULL), 0);
	ck_assert(!repl_native_at(box.r, &p.addr));
	repl_rx(box.r, &p, now());
	ck_assert(repl_native_at(box.r, &p.addr));
	ck_assert(!repl_native_at(box.r, &other));
	pass(REPL_SILENT);
	ck_assert(!repl_native_at(box.r, &p.addr));
}
END_TEST

/* ---- */

/* ---- first packets that are held back ---- */

static void
first_packet(const struct flow *f, uint32_t id)
{
	struct statetbl_event e;

	memset(&e, 0, sizeof(e));
	e.f = *f;
	e.ctid = 1;
	e.type = STATETBL_NEW;
	(void)statedb_reserve(box.db);
	repl_defer(box.r, &e, id, now());
}

/* That packet, and no other one, may go, for that reason. */
static void
let_go(uint32_t id, enum defer_why why)
{
	struct defer_go go[4];

	ck_assert_uint_eq(repl_let_go(box.r, go, 4), 1);
	ck_assert_uint_eq(go[0].packet, id);
	ck_assert_uint_eq(go[0].why, why);
}

static void
none_go(void)
{
	struct defer_go go;

	ck_assert_uint_eq(repl_let_go(box.r, &go, 1), 0);
}

/* The peer has in its kernel what we asked for last. */
static void
ins_ack(struct peer *p, uint64_t h, uint64_t stamp, uint32_t to)
{
	begin();
	put_ack(box.seq, REPL_WINDOW);
	put_pair(NATIVE_INS_ACK, h, stamp, to);
	send_packet(p);
}

static void
acknowledge(struct peer *p)
{
	ck_assert_uint_eq(said.nwant_ack, 1);
	ins_ack(p, said.want_ack[0].h, said.want_ack[0].stamp, US);
}

START_TEST(defer_acked)
{
	struct flow f = unreplied(1);
	uint64_t h = hash(&f), stamp;

	meet(&peer, PEER);
	first_packet(&f, 17);
	none_go();
	ck_assert(repl_urgent(box.r));
	(void)listen_now();
	/* told at once, though it is young, and asked about, in one packet */
	ck_assert_uint_eq(said.packets, 1);
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.nwant_ack, 1);
	stamp = said.flow[0].stamp;
	ck_assert_uint_eq(said.want_ack[0].h, h);
	ck_assert_uint_eq(said.want_ack[0].stamp, stamp);
	ck_assert(!repl_urgent(box.r));
	/* not by the packet's receipt, nor by what is not it */
	hello(&peer);
	ins_ack(&peer, h, stamp, THIRD);
	ins_ack(&peer, h, stamp + 1, US);
	ins_ack(&peer, h + 1, stamp, US);
	ins_ack(&peer, h, 0, US);
	none_go();
	ins_ack(&peer, h, stamp, US);
	let_go(17, DEFER_ACKED);
	ins_ack(&peer, h, stamp, US);
	none_go();
	/* the kernel's own word on it is no news to anybody */
	event(STATETBL_NEW, &f);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	ck_assert_uint_eq(status().young, 0);
	/* and another packet of it need not wait */
	first_packet(&f, 18);
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 0);
	acknowledge(&peer);
	let_go(18, DEFER_ACKED);
}
END_TEST

START_TEST(defer_for_nobody)
{
	struct flow f = unreplied(1), g = unreplied(2), h = flow(3);
	struct repl_conf c;

	first_packet(&f, 1);		/* alone */
	let_go(1, DEFER_FREE);
	ck_assert(entry(&f) == NULL);
	meet(&peer, PEER);
	secret_mark = g.mark = 5;	/* not exported */
	first_packet(&g, 2);
	let_go(2, DEFER_FREE);
	ck_assert(entry(&g) == NULL);
	secret_mark = 0;
	peer.hdr.flags = NATIVE_F_STARTING;
	hello(&peer);
	first_packet(&f, 3);
	let_go(3, DEFER_FREE);
	peer.hdr.flags = 0;
	hello(&peer);
	repl_link(box.r, false, now());
	first_packet(&f, 4);
	let_go(4, DEFER_FREE);
	repl_link(box.r, true, now());
	/* another one's, and stays so: what is known of it is a claim */
	tell(&peer, &h, STAMP, 0);
	(void)ops(&box);
	first_packet(&h, 5);
	ck_assert_uint_eq(carrier(&h), US);
	none_go();
	/* before the first dump is over */
	box_end(&box);
	conf(&c, US);
	box_open(&box, &c);
	repl_link(box.r, true, now());
	hello(&peer);
	first_packet(&f, 6);
	let_go(6, DEFER_FREE);
}
END_TEST

START_TEST(defer_all_peers)
{
	struct flow f = unreplied(1), g = unreplied(2);
	struct native_del d;

	meet(&peer, PEER);
	meet(&third, THIRD);
	first_packet(&f, 1);
	(void)listen_now();
	ck_assert_uint_eq(said.nwant_ack, 1);	/* one question for all */
	d = said.want_ack[0];
	ins_ack(&third, d.h, d.stamp, US);
	none_go();
	ins_ack(&peer, d.h, d.stamp, US);
	let_go(1, DEFER_ACKED);
	/* who leaves meanwhile is not waited for */
	first_packet(&g, 2);
	(void)listen_now();
	acknowledge(&peer);
	none_go();
	third.hdr.flags = NATIVE_F_LEAVING;
	hello(&third);
	pass(0);
	let_go(2, DEFER_FREE);
}
END_TEST

/* The table process has let it go by itself. */
START_TEST(defer_in_vain)
{
	struct flow f = unreplied(1);
	struct native_del d;

	meet(&peer, PEER);
	first_packet(&f, 1);
	(void)listen_now();
	d = said.want_ack[0];
	ck_assert_int_le(monotime_sub(repl_next(box.r, now()), now()),
	    DEFER_TIME);
	pass(DEFER_TIME - 1);
	ck_assert(repl_is_held(box.r, statedb_find(box.db, &f, hash(&f))));
	pass(1);
	ck_assert(!repl_is_held(box.r, statedb_find(box.db, &f, hash(&f))));
	none_go();
	ins_ack(&peer, d.h, d.stamp, US);
	none_go();
}
END_TEST

/* Whatever is held; how many go. */
static uint32_t
acknowledge_all(void)
{
	struct defer_go go[DEFER_MAX];
	uint32_t n = 0, i;

	for (i = 0; i < box.r->nheld;) {
		const struct held *h = &box.r->held[i];

		ck_assert(h->asked);
		ins_ack(&peer, h->h, h->stamp, US);
	}
	while ((i = (uint32_t)repl_let_go(box.r, go, 100)) > 0)
		n += i;
	return (n);
}

START_TEST(defer_overflow)
{
	struct flow f;
	uint32_t i;

	meet(&peer, PEER);
	for (i = 0; i < DEFER_MAX; i++) {
		f = unreplied(i);
		first_packet(&f, i);
	}
	none_go();
	f = unreplied(i);
	first_packet(&f, i);
	let_go(i, DEFER_FULL);
	(void)listen_now();
	/* the last one is known, and as any unreplied one is */
	ck_assert_uint_eq(said.nflow, DEFER_MAX);
	ck_assert_uint_eq(status().young, 1);
	/* room again */
	ck_assert_uint_eq(acknowledge_all(), DEFER_MAX);
	f = unreplied(i + 1);
	first_packet(&f, i + 1);
	none_go();
}
END_TEST

/* Who never acknowledges is asked, but not waited for, until it does. */
START_TEST(defer_deaf)
{
	struct flow f;
	uint32_t i;

	meet(&peer, PEER);
	for (i = 0; i < 32; i++) {
		f = unreplied(i);
		first_packet(&f, i);
		none_go();
		(void)listen_now();
		pass(DEFER_TIME);
		hello(&peer);
	}
	f = unreplied(100);
	first_packet(&f, 100);
	let_go(100, DEFER_FREE);
	(void)listen_now();
	acknowledge(&peer);
	none_go();
	f = unreplied(101);
	first_packet(&f, 101);
	none_go();
	(void)listen_now();
	acknowledge(&peer);
	let_go(101, DEFER_ACKED);
}
END_TEST

/* The next packet came before the first one passed. */
START_TEST(defer_twice)
{
	struct flow f = unreplied(1);
	struct defer_go go[4];

	meet(&peer, PEER);
	first_packet(&f, 1);
	(void)listen_now();
	first_packet(&f, 2);
	ck_assert_uint_eq(listen_now(), 0);
	memset(&said, 0, sizeof(said));
	ins_ack(&peer, hash(&f), entry(&f)->stamp, US);
	ck_assert_uint_eq(repl_let_go(box.r, go, 4), 2);
	ck_assert_uint_eq(go[0].packet, 1);
	ck_assert_uint_eq(go[1].packet, 2);
	ck_assert_uint_eq(go[1].why, DEFER_ACKED);
}
END_TEST

/* A dump cannot show it yet: that is no reason to look for it. */
START_TEST(defer_and_dumps)
{
	struct flow f = unreplied(1);
	enum statetbl_what what;
	uint32_t dump;

	meet(&peer, PEER);
	first_packet(&f, 1);
	repl_now(box.r, now());
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	repl_dumped(box.r, dump, true, now());
	no_op();
	/* later it is: what was dropped on its way is forgotten */
	pass(DEFER_TIME);
	repl_now(box.r, now());
	ck_assert(repl_want_dump(box.r, &dump, &what, now()));
	repl_dumped(box.r, dump, true, now());
	one_op(STATETBL_VERIFY, 0, &f);
}
END_TEST

/* The end of the tuple's former entry comes late. */
START_TEST(defer_reused)
{
	struct flow f = flow(1), n = unreplied(1);

	meet(&peer, PEER);
	own(&f);
	settle();
	kernel_says(&box, STATETBL_NEW, &f, 7, 0, 0);
	first_packet(&n, 1);		/* has number 1 */
	(void)listen_now();
	ck_assert_uint_eq(said.nflow, 1);
	ck_assert_uint_eq(said.nwant_ack, 1);
	kernel_says(&box, STATETBL_DESTROY, &f, 7, 0, 0);
	kernel_says(&box, STATETBL_DESTROY, &f, 0, 0, 0);
	no_op();
	acknowledge(&peer);
	let_go(1, DEFER_ACKED);
	ck_assert_uint_eq(carrier(&f), US);
	/* its own end is one */
	gone(&n, 0);
	ck_assert_uint_eq(carrier(&f), 0);
}
END_TEST

/* ---- what others hold back ---- */

static void
ask_ack(const struct flow *f, uint64_t stamp)
{
	begin();
	put_pair(NATIVE_ASK_ACK, hash(f), stamp, 0);
	send_packet(&peer);
}

START_TEST(defer_answer)
{
	struct flow f = unreplied(1), g = unreplied(2);

	meet(&peer, PEER);
	box.busy = true;
	begin();
	put_flow(&f, PEER, STAMP, 0);
	put_pair(NATIVE_ASK_ACK, hash(&f), STAMP, 0);
	send_packet(&peer);
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 0);	/* not even on its way */
	ck_assert_uint_eq(ops(&box), 1);
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 0);	/* the kernel has it not */
	/* something else is done meanwhile: it is still not */
	tell(&peer, &g, STAMP + 1, 0);
	ck_assert(!repl_urgent(box.r));
	repl_done(box.r, 1);
	ck_assert(repl_urgent(box.r));
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 1);
	ck_assert_uint_eq(said.ins_ack_to, PEER);
	ck_assert_uint_eq(said.ins_ack[0].h, hash(&f));
	ck_assert_uint_eq(said.ins_ack[0].stamp, STAMP);
	ck_assert_uint_eq(listen_now(), 0);
	/* what is there already is acknowledged at once */
	ask_ack(&f, STAMP);
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 1);
	ops(&box);
	repl_done(box.r, 1);
}
END_TEST

START_TEST(defer_no_answer)
{
	struct flow f = unreplied(1), g = unreplied(2), o = flow(3);
	uint32_t i;

	meet(&peer, PEER);
	own(&o);
	ask_ack(&f, STAMP);		/* never heard of it */
	ask_ack(&o, STAMP);		/* ours */
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 0);
	tell(&peer, &f, STAMP, 0);
	ask_ack(&f, STAMP + 1);		/* not that one */
	box.busy = true;
	tell(&peer, &g, STAMP, 0);
	ask_ack(&g, STAMP);
	(void)ops(&box);
	refuse(&g, STATETBL_REFUSED, NULL);
	repl_done(box.r, (uint32_t)box.nop);
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 0);
	/* however many are asked for, some are remembered */
	for (i = 0; i < 3000; i++)
		ask_ack(&g, STAMP + 7);
	sound(&box);
	box.busy = false;
	(void)listen_now();
	ck_assert_uint_eq(said.nins_ack, 0);
}
END_TEST

/* ---- what is MASTER at two nodes ---- */

#define OURS		1	/* vhosts */
#define OURS_TOO	2
#define THEIRS		3

static void
vhost_id(uint32_t vhost, uint8_t id[NATIVE_VHOST_LEN])
{
	/* big numbers first */
	memset(id, 0xa5, NATIVE_VHOST_LEN);
	id[0] = (uint8_t)~(vhost >> 8);
	id[7] = (uint8_t)~vhost;
}

/* carpd says that we are MASTER of n vhosts, from first on. */
static void
carpd_says(struct box *b, uint32_t first, uint32_t n)
{
	uint8_t id[100][NATIVE_VHOST_LEN];
	uint32_t i, k;

	for (i = 0; i < n; i += k) {
		for (k = 0; k < 100 && i + k < n; k++)
			vhost_id(first + i + k, id[k]);
		repl_vhosts(b->r, (const uint8_t (*)[NATIVE_VHOST_LEN])id, k,
		    false);
	}
	repl_vhosts(b->r, NULL, 0, true);
}

/* p is MASTER of these. */
static void
claim(struct peer *p, uint32_t vhost, uint32_t another)
{
	uint8_t id[NATIVE_VHOST_LEN];
	size_t mark;

	begin();
	put_ack(box.seq, REPL_WINDOW);
	mark = native_open(&pw, NATIVE_MASTERS);
	vhost_id(vhost, id);
	wbuf_bytes(&pw, id, sizeof(id));
	vhost_id(another, id);
	wbuf_bytes(&pw, id, sizeof(id));
	/* half an id more */
	wbuf_be32(&pw, 0xa5a5a5a5);
	native_close(&pw, mark);
	agree(p);
	send_packet(p);
}

/* carpd is to be told of one vhost, at a node. */
static bool
rival(uint32_t vhost, uint8_t node)
{
	uint8_t want[NATIVE_VHOST_LEN], id[2][NATIVE_VHOST_LEN];
	struct ipaddr who;

	vhost_id(vhost, want);
	return (repl_rivals(box.r, &who, id, 2, now()) == 1 &&
	    memcmp(want, id[0], sizeof(want)) == 0 && who.bytes[3] == node);
}

static bool
no_rival(void)
{
	uint8_t id[2][NATIVE_VHOST_LEN];
	struct ipaddr who;

	return (repl_rivals(box.r, &who, id, 2, now()) == 0);
}

static bool
wants(void)
{
	pass(0);
	return (repl_want_vhosts(box.r));
}

/* When it has said and done everything it waits. */
static void
idle(void)
{
	enum statetbl_what what;
	uint32_t dump;

	if (repl_want_dump(box.r, &dump, &what, now()))
		repl_dumped(box.r, dump, true, now());
	settle();
	(void)no_rival();
	ck_assert_int_gt(monotime_cmp(repl_next(box.r, now()), now()), 0);
}

START_TEST(masters_told)
{
	static const uint8_t half[1][NATIVE_VHOST_LEN] = { { 1 } };
	int i;

	meet(&peer, PEER);
	peer.hdr.flags = NATIVE_F_MASTER;
	hello(&peer);
	ck_assert(!wants());		/* it alone */
	repl_carp(box.r, 1, true, now());
	ck_assert(wants());
	ck_assert(!wants());
	settle();
	ck_assert_uint_eq(said.nmaster, 0);
	carpd_says(&box, OURS, 2);
	idle();
	ck_assert_uint_eq(said.nmaster, 2);
	ck_assert_uint_eq(said.master[0][7], (uint8_t)~OURS_TOO);
	ck_assert_uint_eq(said.master[1][7], (uint8_t)~OURS);
	(void)listen_now();
	ck_assert_uint_eq(said.nmaster, 0);	/* once */
	pass(REPL_VHOSTS - 1);
	ck_assert(!wants());
	ck_assert_int_le(monotime_cmp(repl_next(box.r, now()),
	    monotime_add(now(), 1)), 0);
	T += 1;
	ck_assert(wants());
	/* one that hangs is not MASTER for all we know, nor asked again */
	for (i = 0; i < 5; i++) {
		hello(&peer);
		pass(SEC);
		idle();
		ck_assert(!wants());
		ck_assert_uint_eq(said.nmaster, 0);
	}
	/* it was MASTER of nothing any more when it answered */
	carpd_says(&box, OURS, 0);
	settle();
	ck_assert_uint_eq(said.nmaster, 0);
	ck_assert(wants());
	/* an answer that comes too late: the peer is BACKUP */
	peer.hdr.flags = 0;
	hello(&peer);
	carpd_says(&box, OURS, 2);
	idle();
	ck_assert_uint_eq(said.nmaster, 0);
	pass(SEC);
	ck_assert(!wants());
	/* another carpd, and what is left of the last one's words */
	peer.hdr.flags = NATIVE_F_MASTER;
	hello(&peer);
	ck_assert(wants());
	repl_vhosts(box.r, half, 1, false);
	repl_carp(box.r, 0, false, now());
	repl_carp(box.r, 1, true, now());
	ck_assert(wants());
	carpd_says(&box, OURS, 1);
	settle();
	ck_assert_uint_eq(said.nmaster, 1);
	/* the peer is gone */
	pass(REPL_SILENT);
	idle();
	ck_assert(!wants());
}
END_TEST

START_TEST(masters_heard)
{
	meet(&peer, PEER);
	meet(&third, THIRD);
	peer.hdr.flags = third.hdr.flags = NATIVE_F_MASTER;
	repl_carp(box.r, 1, true, now());
	claim(&peer, OURS, THEIRS);
	ck_assert(no_rival());		/* carpd was not asked yet */
	ck_assert(wants());
	carpd_says(&box, OURS, 2);
	settle();
	/* each vhost is MASTER at one of the two, as with balancing */
	claim(&peer, THEIRS, THEIRS + 1);
	ck_assert(no_rival());
	claim(&peer, OURS, THEIRS);
	claim(&third, THEIRS, OURS_TOO);
	claim(&third, OURS_TOO, THEIRS);
	ck_assert(rival(OURS, 2));
	ck_assert(rival(OURS_TOO, 3));
	idle();
	/* however many packets come, carpd is not told of them all */
	claim(&peer, OURS, THEIRS);
	ck_assert(no_rival());
	ck_assert_int_gt(monotime_cmp(repl_next(box.r, now()), now()), 0);
	pass(200 * MS);
	ck_assert(rival(OURS, 2));
	idle();
	pass(200 * MS);
	ck_assert(no_rival());
	/* not MASTER of it when it would be told */
	claim(&peer, OURS, THEIRS);
	repl_carp(box.r, 0, true, now());
	ck_assert(no_rival());
	claim(&peer, OURS, THEIRS);
	ck_assert(no_rival());
	repl_carp(box.r, 1, true, now());
	ck_assert(wants());
	carpd_says(&box, OURS, 2);
	claim(&peer, OURS_TOO, THEIRS);
	carpd_says(&box, OURS, 1);
	ck_assert(no_rival());
}
END_TEST

/* More than one packet has, more than are kept; also before the first dump. */
START_TEST(masters_many)
{
	uint8_t id[1000][NATIVE_VHOST_LEN];
	struct repl_conf c;
	struct ipaddr who;
	size_t n = 0, k;

	conf(&c, PEER);
	box_open(&box2, &c);
	repl_link(box2.r, true, now());
	repl_carp(box.r, 1, true, now());
	repl_carp(box2.r, 1, true, now());
	together(100 * MS, 0);
	ck_assert(repl_want_vhosts(box.r) && repl_want_vhosts(box2.r));
	carpd_says(&box, 0, 1500);
	carpd_says(&box2, 100, REPL_VHOSTS_MAX);
	together(100 * MS, 0);
	while ((k = repl_rivals(box2.r, &who, id, 1000, now())) > 0)
		n += k;
	ck_assert_uint_eq(n, REPL_VHOSTS_MAX - 100);
	carpd_says(&box, 0, 1500);
	ck_assert_uint_gt(listen_now(), REPL_VHOSTS_MAX * 8 / ROOM);
	ck_assert_uint_eq(said.nmaster, REPL_VHOSTS_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("repl");
	TCase *tc = tcase_create("repl");
	const TTest *const tests[] = {
		young_waits, young_first_reply, young_dies, young_bucket,
		young_ring, young_again,
		balanced_at_once, balanced_bucket, balanced_liberal,
		balanced_begins, balanced_further, balanced_anew,
		balanced_reasserts, balanced_crosses,
		claim_by_event, claim_by_dump, claim_by_difference,
		dump_sweeps,
		destroy_replica, destroy_orphan, destroy_own,
		destroy_at_master, destroy_after_master, destroy_master_again,
		destroy_other_ctid, destroy_before_put,
		del_of_carrier, del_at_master, del_of_another, del_of_dirty,
		del_of_young,
		del_and_late_answer, del_and_traffic,
		liberal_on_leaving, liberal_and_needless, liberal_at_master,
		liberal_at_start, liberal_with_update,
		updates, tuple_again, newer_wins, master_keeps, orphans,
		orphan_of_strangers, leaving_with_flows,
		refresh_rule, refresh_touches, longest_timeout,
		mark_set_late, dumped_before_we_began, mute_until_known,
		clash_kill, clash_yield, refused_put, table_full,
		table_full_large, kill_rules,
		boot_changed, starting, restarts, restarts_between, leaving, we_leave,
		no_busy_loop,
		duplicates, late_header, epochs, stamps_out_of_range,
		stamps_at_the_end, stamps,
		refused_flows, malformed, asks_of_others, too_many_nodes,
		credit, credit_of_all, window_and_backlog, acknowledges,
		restarted_and_absent,
		keys, keys_of_absent, keys_of_unheard, keys_of_successor,
		stamp_went_back,
		questions, questions_lost, probes,
		two_nodes, two_nodes_clash, two_nodes_jumbo,
		narrower_peer,
		end_told_at_return, end_told_in_vain, end_is_the_answer,
		end_of_orphan, end_heard, end_not_seen, end_and_anew, end_dropped, ends_many,
		end_and_lives, two_nodes_ended,
		alone, bulk, bulk_fails, numbers, dumps,
		done_in_order, done_in_order_many, foreign,
		foreign_native, native_at,
		masters_told, masters_heard, masters_many,
	};
	SRunner *sr;
	int failed;
	size_t i;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_test(tc, defer_acked);
	tcase_add_test(tc, defer_for_nobody);
	tcase_add_test(tc, defer_all_peers);
	tcase_add_test(tc, defer_in_vain);
	tcase_add_test(tc, defer_overflow);
	tcase_add_test(tc, defer_deaf);
	tcase_add_test(tc, defer_twice);
	tcase_add_test(tc, defer_and_dumps);
	tcase_add_test(tc, defer_reused);
	tcase_add_test(tc, defer_answer);
	tcase_add_test(tc, defer_no_answer);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
