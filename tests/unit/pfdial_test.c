/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/pfdial: scripted exchanges in virtual time, what real kernels sent
 * (vectors/ *-pfsync-session.pcap), and two of ours over a wire that loses.
 * repl.c is stood in for by pfdial_repl.h.  Invariants are checked after each
 * step.  Runs from the root of the tree.
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <check.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/frame.h"
#include "../../pfsyncd/ctmap.h"
#include "../../pfsyncd/msgs.h"
#include "pfdial_repl.h"

#define VECTORS		"tests/unit/vectors/"
#define OURS		0x11111111U
#define THEIRS		0xb31e7dadU
#define ROOM		1480		/* of a packet: MTU 1500 */
#define MSGS_MAX	8192
#define LEN(a)		(sizeof(a) / sizeof((a)[0]))
#define MS(n)		((n) * MONOTIME_MSEC)

enum { ANY = -1 };

/* ---- the world ---- */

static struct repl	 r;		/* the node under test */
static uint64_t		 count[PFSYNC_C_MAX];

static struct {
	struct pfsync_msg	 m;
	enum pfsync_kind	 kind;
	size_t			 packet;
}			 out[MSGS_MAX];
static size_t		 nout, npackets;

static void
check_all(struct repl *w)
{
	const char	*why;

	(void)statedb_reserve(w->db);
	ck_assert_int_eq(pfdial_reserve(w->d), 0);
	why = pfdial_check(w->d);
	ck_assert_msg(why == NULL, "%s", why == NULL ? "" : why);
}

static void
begin(uint32_t maxupd, bool sends)
{
	memset(count, 0, sizeof(count));
	fake_start(&r, OURS, maxupd, sends,
	    (monotime_t){ 1000 * MONOTIME_SEC });
}

static void
setup(void)
{
	begin(128, true);
}

static void
teardown(void)
{
	check_all(&r);
	fake_stop(&r);
}

static void
hear(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	(void)arg;
	ck_assert_uint_lt(nout, MSGS_MAX);
	out[nout].m = *m;
	out[nout].kind = kind;
	out[nout++].packet = npackets;
}

/* All packets that w wants to send now, each within room, decoded to out. */
static void
collect_room(struct repl *w, size_t room)
{
	uint64_t	 c[PFSYNC_C_MAX] = { 0 };
	uint8_t		 buf[65536];
	struct wbuf	 b;
	size_t		 len;

	nout = npackets = 0;
	pfdial_tick(w->d, w->now);
	for (;;) {
		wbuf_init(&b, buf, room);
		if ((len = pfdial_packet(w->d, &b, w->now)) == 0)
			break;
		ck_assert_uint_le(len, room);
		ck_assert_uint_gt(len, PFSYNC_HDR_LEN);
		ck_assert_uint_eq(buf[0], 6);
		pfsync_walk(buf, len, hear, NULL, c, NULL);
		npackets++;
		ck_assert_uint_lt(npackets, 1000);
		check_all(w);
	}
	ck_assert_uint_eq(c[PFSYNC_C_BADVAL] + c[PFSYNC_C_BADLEN] +
	    c[PFSYNC_C_BADACT], 0);
	check_all(w);
}

static void
collect(void)
{
	collect_room(&r, ROOM);
}

static void
pass(int64_t ns)
{
	r.now = monotime_add(r.now, ns);
}

/* What leaves within that time, at the times that pfdial asks for. */
static void
collect_for(int64_t ns)
{
	monotime_t	 end = monotime_add(r.now, ns), next;
	size_t		 n = 0, packets = 0, spins = 0;
	static __typeof__(out[0]) all[MSGS_MAX];

	for (;;) {
		collect();
		ck_assert_uint_le(n + nout, MSGS_MAX);
		memcpy(all + n, out, nout * sizeof(out[0]));
		n += nout;
		packets += npackets;
		next = pfdial_next(r.d);
		if (monotime_cmp(next, end) > 0)
			break;
		if (monotime_cmp(next, r.now) > 0)
			r.now = next;
		else
			ck_assert_uint_lt(++spins, 2000);
	}
	r.now = end;
	memcpy(out, all, n * sizeof(out[0]));
	nout = n;
	npackets = packets;
}

static size_t
sent(enum pfsync_kind kind)
{
	size_t	 i, n = 0;

	for (i = 0; i < nout; i++)
		n += out[i].kind == kind;
	return (n);
}

/* The n-th sent message of that kind. */
static const struct pfsync_msg *
nth(enum pfsync_kind kind, size_t n)
{
	size_t	 i;

	for (i = 0; i < nout; i++)
		if (out[i].kind == kind && n-- == 0)
			return (&out[i].m);
	ck_abort_msg("no such message was sent");
	return (NULL);
}

/* ---- flows and states ---- */

static void
addr(const char *s, uint8_t to[16])
{
	memset(to, 0, 16);
	ck_assert_int_eq(inet_pton(strchr(s, ':') ? AF_INET6 : AF_INET, s,
	    to), 1);
}

static struct flow
make(uint8_t proto, const char *src, uint16_t sport, const char *dst,
    uint16_t dport)
{
	struct flow	 f;

	memset(&f, 0, sizeof(f));
	f.af = strchr(src, ':') ? 6 : 4;
	f.proto = proto;
	addr(src, f.orig.src);
	addr(dst, f.orig.dst);
	f.orig.sport = sport;
	f.orig.dport = dport;
	flow_invert(&f.orig, proto, &f.reply);
	f.timeout = 120;
	f.status = FLOW_STATUS;
	if (proto == IPPROTO_TCP) {
		f.tcp_state = FLOW_TCP_ESTABLISHED;
		f.tcp_flags[0] = f.tcp_flags[1] = FLOW_TCPF_SACK;
	}
	return (f);
}

static struct flow
tcp(uint16_t sport)
{
	return (make(IPPROTO_TCP, "10.0.0.2", sport, "192.0.2.1", 80));
}

static struct flow
udp(uint16_t sport)
{
	return (make(IPPROTO_UDP, "10.0.0.2", sport, "192.0.2.1", 53));
}

static struct pfsync_state
half_of(const struct flow *f, int half, uint64_t id)
{
	struct pfsync_state	 s;

	ctmap_export(f, half, PFSYNC_FORM_OPENBSD, &s);
	s.id = id << 1 | (uint64_t)half;
	s.creatorid = THEIRS;
	s.state_flags = 0;
	s.creation = 7;
	return (s);
}

static const struct statedb_entry *
entry(const struct flow *f)
{
	uint32_t	 i = fake_find(&r, f);

	return (i == STATEDB_NONE ? NULL : statedb_at(r.db, i));
}

/* ---- packets of a peer ---- */

static uint8_t		 pkt[65536];
static struct wbuf	 w;
static struct pfsync_region region;
static uint8_t		 version;

static void
open_v(uint8_t v)
{
	wbuf_init(&w, pkt, sizeof(pkt));
	memset(&region, 0, sizeof(region));
	version = v;
	pfsync_begin(&w, v);
}

static void
open_pkt(void)
{
	open_v(6);
}

static void
put_state(uint8_t action, enum pfsync_form form, const struct pfsync_state *s)
{
	pfsync_region(&w, &region, version, action, pfsync_state_len[form]);
	pfsync_put_state(&w, form, s);
}

static void
put_id(uint8_t action, uint64_t id, uint32_t creatorid)
{
	struct pfsync_id	 v = { id, creatorid };

	pfsync_region(&w, &region, version, action, 12);
	pfsync_put_id(&w, &v);
}

static void
put_upd_c(uint64_t id, uint32_t creatorid, const struct pfsync_peer *src,
    const struct pfsync_peer *dst, uint8_t timeout)
{
	struct pfsync_upd_c	 u;

	memset(&u, 0, sizeof(u));
	u.id = id;
	u.creatorid = creatorid;
	u.src = *src;
	u.dst = *dst;
	u.timeout = timeout;
	pfsync_region(&w, &region, version, PFSYNC_UPD_C, 84);
	pfsync_put_upd_c(&w, version, &u);
}

static void
put_bus(uint32_t creatorid, uint8_t status)
{
	struct pfsync_bus	 b = { creatorid, 0, status };

	region.off = 0;
	pfsync_region(&w, &region, version, PFSYNC_BUS, 12);
	pfsync_put_bus(&w, &b);
}

static void
deliver(void)
{
	size_t	 len = pfsync_end(&w);

	ck_assert_uint_gt(len, 0);
	check_all(&r);
	pfdial_rx(r.d, pkt, len, count, r.now);
	check_all(&r);
}

static void
give_pair(uint8_t action, const struct flow *f, uint64_t id)
{
	struct pfsync_state	 in = half_of(f, CTMAP_IN, id);
	struct pfsync_state	 o = half_of(f, CTMAP_OUT, id);

	open_pkt();
	put_state(action, PFSYNC_FORM_OPENBSD, &in);
	put_state(action, PFSYNC_FORM_OPENBSD, &o);
	deliver();
}

static void
give_one(uint8_t action, const struct pfsync_state *s)
{
	open_pkt();
	put_state(action, PFSYNC_FORM_OPENBSD, s);
	deliver();
}

static void
give_upd_c(uint64_t id, uint32_t creatorid, uint8_t src, uint8_t dst,
    uint32_t seqlo, uint8_t timeout)
{
	struct pfsync_peer	 s = { .state = src, .seqlo = seqlo };
	struct pfsync_peer	 d = { .state = dst, .seqlo = seqlo };

	open_pkt();
	put_upd_c(id, creatorid, &s, &d, timeout);
	deliver();
}

static void
give_id(uint8_t action, uint64_t id, uint32_t creatorid)
{
	open_pkt();
	put_id(action, id, creatorid);
	deliver();
}

/* ---- what a local flow sends ---- */

START_TEST(local_flow)
{
	struct flow			 f = tcp(4000);
	const struct pfsync_state	*s;
	uint64_t			 id;
	int				 half;

	fake_local(&r, &f);
	collect();
	ck_assert_uint_eq(npackets, 0);		/* waits for company */
	pass(MS(5));
	ck_assert_int_le(monotime_cmp(pfdial_next(r.d), r.now), 0);
	collect();
	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
	ck_assert_uint_eq(nout, 2);
	id = nth(PFSYNC_K_INS, 0)->state.id;
	for (half = 0; half < 2; half++) {
		s = &nth(PFSYNC_K_INS, (size_t)half)->state;
		ck_assert_uint_eq(s->creatorid, OURS);
		ck_assert_uint_eq(s->direction, half == 0 ? 1 : 2);
		ck_assert_uint_eq(s->id & 1, half);
		ck_assert_uint_eq(s->id >> 1, id >> 1);
		ck_assert_uint_eq(s->state_flags, PFSYNC_STATE_SLOPPY);
		ck_assert_uint_eq(s->src.state, 4);
		ck_assert_uint_eq(s->dst.state, 4);
		ck_assert_uint_eq(s->expire, 120);
	}
	/* nothing new is nothing to say */
	fake_local(&r, &f);
	collect_for(10 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	ck_assert(!monotime_isset(pfdial_next(r.d)));
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	fake_local(&r, &f);
	collect_for(MS(10));
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), 2);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 0)->upd_c.id, id);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 0)->upd_c.src.state, 7);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 1)->upd_c.timeout, 3);
	fake_destroy(&r, &f);
	collect_for(MS(10));
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.id, id);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 1)->id.id, id | 1);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 1)->id.creatorid, OURS);
	ck_assert_uint_eq(pfdial_out(r.d)[PFSYNC_K_INS], 2);
	ck_assert_uint_eq(pfdial_out(r.d)[PFSYNC_K_DEL_C], 2);
}
END_TEST

/* The same flow has the same ids at its next life, at whoever has the key. */
START_TEST(stable_ids)
{
	struct flow	 f = udp(1);
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	fake_stop(&r);
	begin(128, true);
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 0)->state.id, id);
}
END_TEST

/* An end may be lost: the next connection has other ids. */
START_TEST(next_ids)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	fake_destroy(&r, &f);
	collect_for(MS(5));
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_ne(nth(PFSYNC_K_INS, 0)->state.id, id);
}
END_TEST

/* A state of before this flow is ended, not merged. */
START_TEST(old_incarnation)
{
	struct flow		 f = tcp(1);
	struct pfsync_state	 s;

	fake_local(&r, &f);
	collect_for(MS(5));
	fake_destroy(&r, &f);
	pass(20 * MONOTIME_SEC);
	fake_local(&r, &f);
	collect_for(MS(5));
	f.tcp_state = FLOW_TCP_TIME_WAIT;
	s = half_of(&f, CTMAP_IN, 4711);
	s.creation = 15;
	give_one(PFSYNC_UPD, &s);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_ESTABLISHED);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 1);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.id, s.id);
}
END_TEST

/* Its number stands for another flow: nothing of the former is left. */
START_TEST(entry_reused)
{
	struct flow	 f = tcp(1), g = tcp(2);
	uint32_t	 i;

	fake_local(&r, &f);
	collect_for(MS(5));
	i = fake_find(&r, &f);
	statedb_del(r.db, i);		/* nobody said so */
	fake_local(&r, &g);
	ck_assert_uint_eq(fake_find(&r, &g), i);
	collect_for(MS(5));
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
	ck_assert_uint_eq(nout, 2);
}
END_TEST

START_TEST(never_told)
{
	struct flow	 f = tcp(1), m = udp(2);

	fake_local(&r, &f);
	fake_destroy(&r, &f);
	addr("224.0.0.9", m.orig.dst);		/* not for pf */
	fake_local(&r, &m);
	fake_destroy(&r, &m);
	collect_for(3 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* The state is told as it is when the packet leaves. */
START_TEST(ins_is_newest)
{
	struct flow	 f = tcp(1);

	f.tcp_state = FLOW_TCP_SYN_RECV;
	fake_local(&r, &f);
	f.tcp_state = FLOW_TCP_ESTABLISHED;
	fake_local(&r, &f);
	collect_for(2 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 0)->state.dst.state, 4);
}
END_TEST

/* Five states to a packet; a full one does not wait. */
START_TEST(fills_packets)
{
	struct flow	 f;
	uint16_t	 n;
	size_t		 i;

	for (n = 0; n < 10; n++) {
		f = tcp(n);
		fake_local(&r, &f);
	}
	collect();
	ck_assert_uint_eq(npackets, 3);
	for (i = 0; i < nout; i++)
		ck_assert_uint_eq(out[i].packet, i / 5);
	ck_assert_uint_eq(nout, 15);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 5);
	/* 121 DEL_C */
	for (n = 0; n < 10; n++) {
		f = tcp(n);
		fake_destroy(&r, &f);
	}
	collect_for(MS(5));
	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(sent(PFSYNC_K_DEL_C), 20);
}
END_TEST

START_TEST(any_room)
{
	struct flow	 f;
	uint16_t	 n;

	for (n = 0; n < 4; n++) {
		f = tcp(n);
		fake_local(&r, &f);
	}
	pass(MS(5));
	collect_room(&r, 287);		/* no state fits */
	ck_assert_uint_eq(npackets, 0);
	collect_room(&r, 288);
	ck_assert_uint_eq(npackets, 8);
}
END_TEST

/* An end and a new beginning leave in this order. */
START_TEST(region_order)
{
	struct flow	 f = tcp(1), g = tcp(2);
	size_t		 i;
	static const enum pfsync_kind want[] = { PFSYNC_K_UPD_C,
	    PFSYNC_K_UPD_C, PFSYNC_K_DEL_C, PFSYNC_K_DEL_C, PFSYNC_K_INS,
	    PFSYNC_K_INS, PFSYNC_K_UPD_REQ };

	fake_local(&r, &f);
	fake_local(&r, &g);
	collect_for(MS(5));
	give_upd_c(77, THEIRS, 4, 4, 0, 2);	/* unknown */
	fake_destroy(&r, &f);
	fake_local(&r, &f);
	g.tcp_state = FLOW_TCP_TIME_WAIT;
	fake_local(&r, &g);
	collect_for(MS(5));
	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(nout, LEN(want));
	for (i = 0; i < LEN(want); i++)
		ck_assert_int_eq(out[i].kind, want[i]);
}
END_TEST

/* 6.4: what conntrack begins over is another state of pf. */
START_TEST(reopened)
{
	static const struct { enum flow_tcp was, is; bool anew; } t[] = {
		{ FLOW_TCP_TIME_WAIT, FLOW_TCP_SYN_SENT, true },
		{ FLOW_TCP_CLOSE, FLOW_TCP_SYN_SENT, true },
		{ FLOW_TCP_ESTABLISHED, FLOW_TCP_SYN_SENT, true },
		{ FLOW_TCP_TIME_WAIT, FLOW_TCP_SYN_RECV, true },
		{ FLOW_TCP_TIME_WAIT, FLOW_TCP_ESTABLISHED, true },
		{ FLOW_TCP_SYN_SENT, FLOW_TCP_SYN_SENT2, false },
		{ FLOW_TCP_SYN_RECV, FLOW_TCP_ESTABLISHED, false },
		{ FLOW_TCP_FIN_WAIT, FLOW_TCP_LAST_ACK, false }
	};
	struct flow	 f = tcp(1);
	uint64_t	 id;

	f.tcp_state = (uint8_t)t[_i].was;
	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	f.tcp_state = (uint8_t)t[_i].is;
	fake_local(&r, &f);
	collect_for(MS(5));
	if (!t[_i].anew) {
		ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), nout);
		return;
	}
	ck_assert_uint_eq(nout, 4);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.id, id);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 1)->id.id, id | 1);
	ck_assert_uint_ne(nth(PFSYNC_K_INS, 0)->state.id, id);
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 1)->state.id,
	    nth(PFSYNC_K_INS, 0)->state.id | 1);
}
END_TEST

START_TEST(other_translation)
{
	struct flow	 f = udp(1);

	fake_local(&r, &f);
	collect_for(MS(5));
	addr("203.0.113.1", f.reply.dst);
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(sent(PFSYNC_K_DEL_C), 2);
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
}
END_TEST

/* Traffic without news: told before pf's timer runs out, not more often. */
START_TEST(refresh)
{
	static const struct { bool tcp; uint32_t status; int from, to; } t[] = {
		{ false, 0, 7, 30 },			/* UDP first */
		{ false, FLOW_SEEN_REPLY, 7, 30 },	/* single */
		{ false, FLOW_STATUS, 15, 60 },		/* multiple */
		{ true, FLOW_STATUS, 43000, 86400 }
	};
	struct flow	 f = t[_i].tcp ? tcp(1) : udp(1);
	int		 step = t[_i].tcp ? 60 : 15, at;

	f.status = t[_i].status;
	fake_local(&r, &f);
	collect_for(MS(5));
	for (at = step; at < t[_i].from; at += step) {
		pass((step - 2) * MONOTIME_SEC);
		fake_local(&r, &f);
		collect_for(2 * MONOTIME_SEC);
		ck_assert_uint_eq(nout, 0);
	}
	for (; at < t[_i].to; at += step) {
		pass((step - 2) * MONOTIME_SEC);
		fake_local(&r, &f);
		collect_for(2 * MONOTIME_SEC);
		if (nout > 0)
			break;
	}
	ck_assert_int_lt(at, t[_i].to);
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), 2);
}
END_TEST

/* The first reply matters, that it goes on can wait for the 1 s timer. */
START_TEST(what_matters)
{
	struct flow	 f = udp(1);

	f.status = 0;
	fake_local(&r, &f);
	collect_for(MS(5));
	f.status = FLOW_SEEN_REPLY;
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), 2);
	f.status = FLOW_STATUS;
	fake_local(&r, &f);
	collect_for(MS(900));
	ck_assert_uint_eq(nout, 0);
	collect_for(MS(101));
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), 2);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 0)->upd_c.timeout, 8);
}
END_TEST

START_TEST(maxupd)
{
	struct flow	 f = tcp(1);
	int		 n;

	fake_stop(&r);
	begin(3, true);
	fake_local(&r, &f);
	collect_for(MS(5));
	pass(50000 * MONOTIME_SEC);
	for (n = 0; n < 3; n++) {
		fake_local(&r, &f);
		collect();
		ck_assert_uint_eq(nout, 0);
	}
	fake_local(&r, &f);
	collect();
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_C), 2);
	pfdial_conf(r.d, 128);
	pass(50000 * MONOTIME_SEC);
	for (n = 0; n < 100; n++)
		fake_local(&r, &f);
	collect();
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* ---- what a peer's states do ---- */

static void
check_ops(size_t n, enum fake_op op)
{
	ck_assert_uint_eq(r.nlog, n);
	if (n > 0)
		ck_assert_int_eq(r.log[n - 1].op, op);
}

START_TEST(foreign_flow)
{
	struct flow			 f = tcp(4000);
	const struct statedb_entry	*e;

	addr("203.0.113.1", f.reply.dst);
	f.reply.dport = 61000;
	give_pair(PFSYNC_INS, &f, 500);
	check_ops(1, FAKE_PUT);
	ck_assert_uint_eq(r.log[0].carrier, THEIRS);
	ck_assert_ptr_nonnull(e = entry(&f));
	ck_assert_mem_eq(&e->f.reply, &f.reply, sizeof(f.reply));
	ck_assert_uint_eq(e->f.tcp_state, FLOW_TCP_ESTABLISHED);
	ck_assert_uint_eq(e->f.timeout, 120);
	/* both halves say it: one change */
	open_pkt();
	put_upd_c(1000, THEIRS, &(struct pfsync_peer){ .state = 7 },
	    &(struct pfsync_peer){ .state = 4 }, 3);
	put_upd_c(1001, THEIRS, &(struct pfsync_peer){ .state = 7 },
	    &(struct pfsync_peer){ .state = 4 }, 3);
	deliver();
	check_ops(2, FAKE_PUT);
	ck_assert_uint_eq(e->f.tcp_state, FLOW_TCP_FIN_WAIT);
	ck_assert_uint_eq(e->f.timeout, 120);	/* conntrack's own */
	give_id(PFSYNC_DEL_C, 1001, THEIRS);
	check_ops(2, FAKE_PUT);
	give_id(PFSYNC_DEL_C, 1000, THEIRS);
	check_ops(3, FAKE_DEL);
	ck_assert_ptr_null(entry(&f));
	give_id(PFSYNC_DEL_C, 1000, THEIRS);
	ck_assert_uint_eq(count[PFSYNC_C_BADSTATE], 1);
	/* nothing of it goes back to the wire */
	collect_for(5 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	ck_assert_uint_gt(r.heard, 0);
	ck_assert_uint_eq(pfdial_in(r.d)[PFSYNC_K_INS], 2);
	ck_assert_uint_eq(pfdial_in(r.d)[PFSYNC_K_DEL_C], 3);
}
END_TEST

/* Each second's UPD_C is not each second's operation. */
START_TEST(equal_news)
{
	struct flow	 f = udp(1);
	int		 n;

	give_pair(PFSYNC_INS, &f, 5);
	for (n = 0; n < 60; n++) {
		pass(MONOTIME_SEC);
		give_upd_c(10, THEIRS, 2, 2, 0, 8);
		give_upd_c(11, THEIRS, 2, 2, 0, 8);
	}
	ck_assert_uint_ge(r.nlog, 6);
	ck_assert_uint_le(r.nlog, 8);
	/* it never comes near its end */
	ck_assert_uint_ge(entry(&f)->deadline, fake_sec(r.now) + 60);
}
END_TEST

START_TEST(lone_half)
{
	struct flow		 f = tcp(1);
	struct pfsync_state	 s = half_of(&f, _i, 9);

	give_one(PFSYNC_INS, &s);
	check_ops(0, 0);
	pass(MS(199));
	collect();
	check_ops(0, 0);
	ck_assert_int_eq(monotime_sub(pfdial_next(r.d), r.now), MS(1));
	pass(MS(1));
	collect();
	check_ops(1, FAKE_PUT);
	ck_assert_ptr_nonnull(entry(&f));
	/* said again it is nothing new */
	give_one(PFSYNC_UPD, &s);
	give_one(PFSYNC_INS, &s);
	check_ops(1, FAKE_PUT);
	/* alone it lives, alone it dies */
	give_id(PFSYNC_DEL_C, s.id, THEIRS);
	check_ops(2, FAKE_DEL);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

START_TEST(lone_half_waits)
{
	struct flow		 f = tcp(1);
	struct pfsync_state	 s = half_of(&f, CTMAP_IN, 9);

	give_one(PFSYNC_INS, &s);
	give_one(PFSYNC_INS, &s);	/* told twice */
	give_upd_c(s.id, THEIRS, 7, 4, 0, 3);
	pass(MS(300));
	collect();
	check_ops(1, FAKE_PUT);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_FIN_WAIT);
	ck_assert_uint_eq(nout, 0);
	s = half_of(&f, CTMAP_IN, 10);
	s.key[0].port[0] = s.key[1].port[0] = 99;
	give_one(PFSYNC_INS, &s);
	give_id(PFSYNC_DEL_C, s.id, THEIRS);
	pass(MS(300));
	collect();
	check_ops(1, FAKE_PUT);
}
END_TEST

/*
 * nat: bit 0 source, bit 1 destination, bit 2 who comes late.  What the first
 * half could not know is put right.
 */
START_TEST(late_partner)
{
	struct flow		 f = tcp(4000);
	struct pfsync_state	 s;
	int			 first = _i >> 2;

	if (_i & 1) {
		addr("203.0.113.1", f.reply.dst);
		f.reply.dport = 61000;
	}
	if (_i & 2)
		addr("172.16.0.9", f.reply.src);
	s = half_of(&f, first, 9);
	give_one(PFSYNC_INS, &s);
	pass(MS(200));
	collect();
	ck_assert_uint_eq(statedb_count(r.db), 1);
	s = half_of(&f, !first, 9);
	give_one(PFSYNC_INS, &s);
	ck_assert_uint_eq(statedb_count(r.db), 1);
	ck_assert_ptr_nonnull(entry(&f));
	ck_assert_mem_eq(&entry(&f)->f.reply, &f.reply, sizeof(f.reply));
	/* both identities are of this flow */
	give_upd_c(18, THEIRS, 7, 4, 0, 3);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_FIN_WAIT);
	give_upd_c(19, THEIRS, 9, 9, 0, 5);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_TIME_WAIT);
	give_id(PFSYNC_DEL_C, 18, THEIRS);
	ck_assert_ptr_nonnull(entry(&f));
	give_id(PFSYNC_DEL_C, 19, THEIRS);
	ck_assert_uint_eq(statedb_count(r.db), 0);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* More lone states than may wait: the oldest ones do not wait any more. */
START_TEST(many_lone_halves)
{
	struct pfsync_state	 s;
	struct flow		 f;
	uint16_t		 n;

	for (n = 1; n <= 3000; n++) {
		f = udp(n);
		s = half_of(&f, CTMAP_IN, n);
		give_one(PFSYNC_UPD, &s);
	}
	ck_assert_uint_eq(statedb_count(r.db), 3000 - 2048);
	pass(MS(200));
	collect();
	ck_assert_uint_eq(statedb_count(r.db), 3000);
	for (n = 1; n <= 3000; n++) {
		f = udp(n);
		s = half_of(&f, CTMAP_OUT, n);
		give_one(PFSYNC_UPD, &s);
	}
	ck_assert_uint_eq(statedb_count(r.db), 3000);
	ck_assert_uint_eq(pfdial_lost(r.d), 0);
}
END_TEST

enum { V_FINE, V_TIMEOUT22, V_TIMEOUT15, V_NOSYNC, V_CREATOR, V_PFSYNC,
    V_CARP, V_PROXY, V_EXPIRE0, V_REFUSED, V_MAX };

START_TEST(bad_states)
{
	static const enum pfsync_counter want[V_MAX] = {
		[V_FINE] = PFSYNC_C_MAX,
		[V_TIMEOUT22] = PFSYNC_C_BADVAL,
		[V_TIMEOUT15] = PFSYNC_C_BADVAL, [V_NOSYNC] = PFSYNC_C_BADVAL,
		[V_CREATOR] = PFSYNC_C_BADSTATE,
		[V_PFSYNC] = PFSYNC_C_DROPPED_FILTER,
		[V_CARP] = PFSYNC_C_DROPPED_FILTER,
		[V_PROXY] = PFSYNC_C_BADSTATE,
		[V_EXPIRE0] = PFSYNC_C_BADSTATE,
		[V_REFUSED] = PFSYNC_C_BADSTATE
	};
	struct flow		 f = tcp(1);
	struct pfsync_state	 s = half_of(&f, CTMAP_IN, 3);
	int			 c;

	switch (_i) {
	case V_TIMEOUT22: s.timeout = 22; break;
	case V_TIMEOUT15: s.timeout = 15; break;
	case V_NOSYNC: s.state_flags |= PFSYNC_STATE_NOSYNC; break;
	case V_CREATOR: s.creatorid = 0; break;
	case V_PFSYNC: s.proto = 240; break;
	case V_CARP: s.proto = 112; break;
	case V_PROXY: s.src.state = 11; break;
	case V_EXPIRE0: s.expire = 0; break;
	case V_REFUSED: r.refuse = true; break;
	default: break;
	}
	give_one(PFSYNC_UPD, &s);
	pass(MS(200));
	collect();
	ck_assert_uint_eq(statedb_count(r.db), _i == V_FINE);
	give_id(PFSYNC_INS_ACK, 1, 1);	/* late counts come with a packet */
	for (c = 0; c < PFSYNC_C_MAX; c++)
		ck_assert_uint_eq(count[c], c == (int)want[_i]);
}
END_TEST

/* ---- merging ---- */

/* 3.6: both peers of a known state; ours first. */
static const struct {
	uint8_t		 src, dst;
	uint32_t	 seq;
	uint8_t		 nsrc, ndst;
	uint32_t	 nseq;
	bool		 stale;		/* is answered */
	uint8_t		 wsrc, wdst;	/* after that */
} merges[] = {
	{ 4, 4, 0, 4, 4, 0, false, 4, 4 },
	{ 4, 4, 100, 4, 4, 200, false, 4, 4 },
	{ 4, 4, 200, 4, 4, 100, true, 4, 4 },
	{ 4, 4, 0xffffff00, 4, 4, 0x100, false, 4, 4 },	/* wrapped */
	{ 4, 4, 0, 4, 4, 0xf0000000, false, 4, 4 },	/* none known */
	{ 4, 4, 100, 7, 4, 100, false, 7, 4 },
	{ 7, 4, 100, 4, 4, 100, true, 7, 4 },
	{ 7, 4, 100, 4, 9, 100, true, 7, 9 },	/* each has its own part */
	{ 4, 9, 100, 7, 4, 100, true, 7, 9 },
	{ 9, 9, 100, 4, 4, 900, true, 9, 9 },
	{ 9, 4, 100, 10, 10, 0, false, 10, 10 },
	{ 2, 0, 100, 4, 2, 50, false, 4, 2 }
};

START_TEST(merging)
{
	struct flow			 f = tcp(1);
	struct pfsync_state		 s;
	const struct pfsync_upd_c	*u;
	int				 half;

	open_pkt();
	for (half = 0; half < 2; half++) {
		s = half_of(&f, half, 4);
		s.src.state = merges[_i].src;
		s.dst.state = merges[_i].dst;
		s.src.seqlo = s.dst.seqlo = merges[_i].seq;
		put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &s);
	}
	deliver();
	ck_assert_uint_eq(entry(&f)->f.tcp_state, ctmap_tcp_import(
	    merges[_i].src, merges[_i].dst));
	give_upd_c(9, THEIRS, merges[_i].nsrc, merges[_i].ndst,
	    merges[_i].nseq, 2);
	ck_assert_uint_eq(count[PFSYNC_C_STALE], merges[_i].stale);
	collect();
	ck_assert_uint_eq(nout, merges[_i].stale);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, ctmap_tcp_import(
	    merges[_i].wsrc, merges[_i].wdst));
	if (!merges[_i].stale)
		return;
	u = &nth(PFSYNC_K_UPD_C, 0)->upd_c;
	ck_assert_uint_eq(u->id, 9);
	ck_assert_uint_eq(u->creatorid, THEIRS);
	ck_assert_uint_eq(u->src.state, merges[_i].wsrc);
	ck_assert_uint_eq(u->dst.state, merges[_i].wdst);
	/* what was heard is said again, unless there was news */
	ck_assert_uint_eq(u->src.seqlo, merges[_i].seq);
}
END_TEST

/* Of our own flows no sequence is known: states decide, zeros are sent. */
START_TEST(own_sequence)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 0)->state.src.seqlo, 0);
	give_upd_c(id, OURS, 4, 4, 0xfffffff0, 2);
	ck_assert_uint_eq(count[PFSYNC_C_STALE], 0);
	give_upd_c(id, OURS, 2, 4, 5, 2);
	ck_assert_uint_eq(count[PFSYNC_C_STALE], 1);
}
END_TEST

/* Where both know of another end, all of it counts. */
START_TEST(both_ends)
{
	struct flow			 f = tcp(1);
	const struct pfsync_upd_c	*u;

	give_pair(PFSYNC_INS, &f, 4);
	give_upd_c(8, THEIRS, 4, 9, 0, 3);
	f.tcp_state = FLOW_TCP_FIN_WAIT;	/* the original side's */
	fake_local(&r, &f);
	collect_for(MS(5));
	u = &nth(PFSYNC_K_UPD_C, 0)->upd_c;
	ck_assert_uint_eq(u->src.state, 7);
	ck_assert_uint_eq(u->dst.state, 9);
	ck_assert_uint_eq(u->timeout, 4);
	/* of our own flow a peer knows one end, we the other one */
	f = tcp(2);
	f.tcp_state = FLOW_TCP_CLOSE_WAIT;
	f.tcp_flags[1] |= FLOW_TCPF_CLOSE_INIT;
	fake_local(&r, &f);
	collect_for(MS(5));
	give_upd_c(nth(PFSYNC_K_INS, 0)->state.id, OURS, 7, 4, 0, 3);
	ck_assert_uint_eq(count[PFSYNC_C_STALE], 1);
	collect();
	u = &nth(PFSYNC_K_UPD_C, 0)->upd_c;
	ck_assert_uint_eq(u->src.state, 7);
	ck_assert_uint_eq(u->dst.state, 9);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_LAST_ACK);
}
END_TEST

/* Translated ICMP is found by both names, too. */
START_TEST(icmp_flow)
{
	struct flow	 f = make(IPPROTO_ICMP, "10.0.0.2", 77, "192.0.2.1",
			    0x800);

	addr("203.0.113.1", f.reply.dst);
	f.reply.sport = 61000;
	fake_local(&r, &f);
	collect_for(MS(5));
	give_pair(PFSYNC_INS, &f, 50);
	ck_assert_uint_eq(statedb_count(r.db), 1);
	give_id(PFSYNC_DEL_C, 100, THEIRS);
	give_id(PFSYNC_DEL_C, 101, THEIRS);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

/* The SYN proxy's states, and numbers that UDP does not have. */
START_TEST(senseless_states)
{
	struct flow	 f = tcp(1), u = udp(1);

	give_pair(PFSYNC_INS, &f, 1);
	give_pair(PFSYNC_INS, &u, 2);
	give_upd_c(2, THEIRS, 12, 4, 0, 2);
	give_upd_c(2, THEIRS, 4, 11, 0, 2);
	give_upd_c(4, THEIRS, 2, 3, 0, 8);
	ck_assert_uint_eq(count[PFSYNC_C_BADVAL], 3);
	check_ops(2, FAKE_PUT);
	give_upd_c(2, THEIRS, 7, 4, 0, 3);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_FIN_WAIT);
}
END_TEST

START_TEST(scrub_is_kept)
{
	struct flow		 f = tcp(1);
	struct pfsync_state	 s = half_of(&f, CTMAP_IN, 1);
	struct pfsync_peer	 p = { .state = 4, .seqlo = 3 };

	s.src.scrub_flag = PFSYNC_SCRUB_VALID;
	s.src.ts_mod = 0xabcd;
	s.src.mss = 1460;
	give_one(PFSYNC_INS, &s);
	pass(MS(200));
	collect();
	open_pkt();
	put_upd_c(s.id, THEIRS, &p, &p, 2);
	deliver();
	give_id(PFSYNC_UPD_REQ, s.id, THEIRS);
	collect();
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.src.ts_mod, 0xabcd);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.src.mss, 0);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.src.seqlo, 3);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.state_flags, 0);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.creation, 7);
}
END_TEST

/* A peer's flow that our kernel carries now keeps its identity. */
START_TEST(takeover)
{
	struct flow			 f = tcp(1);
	const struct pfsync_upd_c	*u;
	struct pfsync_state		 s;
	int				 half;

	open_pkt();
	for (half = 0; half < 2; half++) {
		s = half_of(&f, half, 4);
		s.src.seqlo = 1000;
		s.dst.seqlo = 2000;
		s.dst.max_win = 77;
		put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &s);
	}
	deliver();
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 2);
	u = &nth(PFSYNC_K_UPD_C, 0)->upd_c;
	ck_assert_uint_eq(u->id, 8);
	ck_assert_uint_eq(u->creatorid, THEIRS);
	ck_assert_uint_eq(u->src.state, 7);
	ck_assert_uint_eq(u->src.seqlo, 1000);
	ck_assert_uint_eq(u->dst.seqlo, 2000);
	ck_assert_uint_eq(u->dst.max_win, 77);
	ck_assert_uint_eq(u->timeout, 3);
	/* and its end is told under it, too */
	fake_destroy(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.id, 8);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.creatorid, THEIRS);
}
END_TEST

/* A flow of ours that a peer carries now: UPD_C says so, UPD does not. */
START_TEST(taken_over)
{
	struct flow	 f = tcp(1);
	struct pfsync_state s;
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	s = half_of(&f, CTMAP_IN, 0);
	s.id = id;
	s.creatorid = OURS;
	give_one(PFSYNC_UPD, &s);
	ck_assert_uint_eq(entry(&f)->carrier, 0);
	give_upd_c(id, OURS, 4, 4, 0, 2);
	ck_assert_uint_ne(entry(&f)->carrier, 0);
	check_ops(1, FAKE_PUT);
	ck_assert_uint_ne(r.log[0].carrier, OURS);
	/* it timed out here: no news to others */
	fake_destroy(&r, &f);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* A peer ends a flow of ours: it goes, and is not announced. */
START_TEST(ended_by_peer)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	give_id(PFSYNC_DEL_C, id, OURS);
	ck_assert_ptr_nonnull(entry(&f));
	give_id(PFSYNC_DEL_C, id | 1, OURS);
	ck_assert_ptr_null(entry(&f));
	check_ops(1, FAKE_DEL);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* Both made states for one flow: theirs is its name, ours an alias. */
START_TEST(two_identities)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	addr("172.16.0.9", f.reply.src);
	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	give_pair(PFSYNC_INS, &f, 50);
	ck_assert_uint_eq(statedb_count(r.db), 1);
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 0)->upd_c.id, 100);
	/* found by the other one as well */
	give_upd_c(id, OURS, 9, 9, 0, 5);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_TIME_WAIT);
	fake_local(&r, &entry(&f)->f);
	collect_for(MS(5));
	fake_destroy(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(sent(PFSYNC_K_DEL_C), 4);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 0)->id.id, 100);
	ck_assert_uint_eq(nth(PFSYNC_K_DEL_C, 1)->id.id, id);
}
END_TEST

/* Ours was not told yet: then it never will be. */
START_TEST(adopted_in_time)
{
	struct flow	 f = tcp(1);

	fake_local(&r, &f);
	give_pair(PFSYNC_INS, &f, 50);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	give_id(PFSYNC_DEL_C, 100, THEIRS);
	give_id(PFSYNC_DEL_C, 101, THEIRS);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

/* The peer reuses the tuple under a new id before the old one has ended. */
START_TEST(new_incarnation)
{
	struct flow	 f = tcp(1);

	f.tcp_state = FLOW_TCP_TIME_WAIT;
	give_pair(PFSYNC_INS, &f, 50);
	f.tcp_state = FLOW_TCP_SYN_SENT;
	give_pair(PFSYNC_INS, &f, 60);
	check_ops(2, FAKE_REPLACE);
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_SYN_SENT);
	/* the end of the old one is late */
	give_id(PFSYNC_DEL_C, 100, THEIRS);
	give_id(PFSYNC_DEL_C, 101, THEIRS);
	ck_assert_ptr_nonnull(entry(&f));
	give_id(PFSYNC_DEL_C, 120, THEIRS);
	give_id(PFSYNC_DEL_C, 121, THEIRS);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

/* A host that began to count anew: the id means another flow now. */
START_TEST(id_reused)
{
	struct flow	 f = tcp(1), g = tcp(2);

	give_pair(PFSYNC_INS, &f, 50);
	give_pair(PFSYNC_INS, &g, 50);
	ck_assert_ptr_null(entry(&f));
	ck_assert_ptr_nonnull(entry(&g));
}
END_TEST

/* ---- questions and answers ---- */

START_TEST(unknown_upd_c)
{
	int	 n;

	for (n = 0; n < 10; n++) {
		give_upd_c(77, THEIRS, 4, 4, 0, 2);
		give_upd_c(78, THEIRS, 4, 4, 0, 2);
	}
	collect_for(MS(5));
	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_REQ, 0)->id.id, 77);
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_REQ, 0)->id.creatorid, THEIRS);
	give_upd_c(77, THEIRS, 4, 4, 0, 2);
	collect_for(MS(900));
	ck_assert_uint_eq(nout, 0);
	pass(MS(200));
	give_upd_c(77, THEIRS, 4, 4, 0, 2);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 1);
	/* a timer that no state has; and nobody's state */
	give_upd_c(79, THEIRS, 4, 4, 0, 17);
	give_upd_c(80, 0, 4, 4, 0, 2);
	collect_for(MS(5));
	ck_assert_uint_eq(nout, 0);
	ck_assert_uint_eq(count[PFSYNC_C_BADVAL], 1);
}
END_TEST

START_TEST(upd_req)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	open_pkt();
	put_id(PFSYNC_UPD_REQ, id, OURS);
	put_id(PFSYNC_UPD_REQ, id | 1, OURS);
	put_id(PFSYNC_UPD_REQ, id, THEIRS);
	put_id(PFSYNC_UPD_REQ, 0, OURS);
	put_id(PFSYNC_UPD_REQ, id, 0);
	deliver();
	ck_assert_uint_eq(count[PFSYNC_C_BADSTATE], 3);
	collect();
	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(sent(PFSYNC_K_UPD), 2);
	ck_assert_uint_eq(nout, 2);
}
END_TEST

START_TEST(ack_wanted)
{
	struct flow		 f = tcp(1);
	struct pfsync_state	 in = half_of(&f, CTMAP_IN, 4);
	struct pfsync_state	 o = half_of(&f, CTMAP_OUT, 4);

	r.slow = true;
	o.state_flags |= PFSYNC_STATE_ACK;
	open_pkt();
	put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &in);
	put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &o);
	deliver();
	check_ops(1, FAKE_PUT);
	collect();
	ck_assert_uint_eq(nout, 0);	/* the kernel has it not yet */
	fake_done(&r);
	collect();
	ck_assert_uint_eq(nout, 1);
	ck_assert_uint_eq(nth(PFSYNC_K_INS_ACK, 0)->id.id, o.id);
	ck_assert_uint_eq(nth(PFSYNC_K_INS_ACK, 0)->id.creatorid, THEIRS);
	/* a flow of that host alone: does not wait for a partner */
	f = tcp(2);
	o = half_of(&f, CTMAP_OUT, 5);
	o.state_flags |= PFSYNC_STATE_ACK;
	give_one(PFSYNC_INS, &o);
	check_ops(2, FAKE_PUT);
	fake_done(&r);
	collect();
	ck_assert_uint_eq(sent(PFSYNC_K_INS_ACK), 1);
	/* and what we tell does not ask for one */
	give_id(PFSYNC_UPD_REQ, o.id, THEIRS);
	collect();
	ck_assert_uint_eq(nth(PFSYNC_K_UPD, 0)->state.state_flags &
	    PFSYNC_STATE_ACK, 0);
}
END_TEST

/* The first packet of ours is held back. */
START_TEST(ack_asked)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;

	r.hold = true;
	f.status = 0;
	f.tcp_state = FLOW_TCP_SYN_SENT;
	fake_local(&r, &f);
	ck_assert(pfdial_asks(r.d, fake_find(&r, &f)));
	collect();			/* it does not wait for company */
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
	ck_assert(nth(PFSYNC_K_INS, 0)->state.state_flags &
	    nth(PFSYNC_K_INS, 1)->state.state_flags & PFSYNC_STATE_ACK);
	ck_assert(!pfdial_asks(r.d, fake_find(&r, &f)));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	give_id(PFSYNC_INS_ACK, id + 12, OURS);
	give_id(PFSYNC_INS_ACK, id, THEIRS);
	ck_assert_uint_eq(r.acked[0] + r.acked[1], 0);
	give_id(PFSYNC_INS_ACK, id, OURS);
	ck_assert_uint_eq(r.acked[0], 1);
	ck_assert_uint_eq(r.acked[1], 0);
	/* who tells more of it has it, too */
	give_upd_c(nth(PFSYNC_K_INS, 1)->state.id, OURS, 2, 1, 1, 0);
	ck_assert_uint_eq(r.acked[1], 1);
	/* other flows wait, and ask for nothing */
	r.hold = false;
	f = tcp(2);
	fake_local(&r, &f);
	collect();
	ck_assert_uint_eq(nout, 0);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 0)->state.state_flags &
	    PFSYNC_STATE_ACK, 0);
}
END_TEST

static void
give_clr(const char *ifname, uint32_t creatorid)
{
	struct pfsync_clr	 c;

	memset(&c, 0xee, sizeof(c));	/* kernels leave rubbish behind */
	memcpy(c.ifname, ifname, strlen(ifname) + 1);
	c.creatorid = creatorid;
	open_pkt();
	pfsync_region(&w, &region, 6, PFSYNC_CLR, 20);
	pfsync_put_clr(&w, &c);
	deliver();
}

START_TEST(clear)
{
	struct flow		 f = tcp(1), g = tcp(2), mine = tcp(3);
	struct pfsync_state	 s;
	int			 half;

	fake_local(&r, &mine);
	give_pair(PFSYNC_INS, &f, 1);
	open_pkt();
	for (half = 0; half < 2; half++) {
		s = half_of(&g, half, 2);
		memcpy(s.ifname, "em0", 4);
		put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &s);
	}
	deliver();
	give_clr("em1", THEIRS);
	give_clr("", THEIRS + 1);
	give_clr("", 0);
	ck_assert_uint_eq(statedb_count(r.db), 3);
	give_clr("em0", THEIRS);
	ck_assert_ptr_null(entry(&g));
	ck_assert_ptr_nonnull(entry(&f));
	give_clr("all", THEIRS);
	ck_assert_ptr_null(entry(&f));
	give_pair(PFSYNC_INS, &f, 1);
	s = half_of(&g, CTMAP_IN, 9);	/* is still alone */
	give_one(PFSYNC_INS, &s);
	s = half_of(&mine, CTMAP_IN, 9);
	s.key[0].port[0] = s.key[1].port[0] = 4;
	s.creatorid = THEIRS + 1;
	give_one(PFSYNC_INS, &s);
	give_clr("", THEIRS);
	pass(MS(300));
	collect();
	ck_assert_uint_eq(statedb_count(r.db), 2);
	ck_assert_ptr_null(entry(&g));
	ck_assert_ptr_nonnull(entry(&mine));
}
END_TEST

/* ---- bulk ---- */

static void
ask_bulk(void)
{
	give_id(PFSYNC_UPD_REQ, 0, 0);
}

START_TEST(bulk_empty)
{
	ask_bulk();
	collect();
	ck_assert_uint_eq(nth(PFSYNC_K_BUS, 0)->bus.status, PFSYNC_BUS_START);
	ck_assert_uint_eq(nth(PFSYNC_K_BUS, 0)->bus.creatorid, OURS);
	collect_for(MS(10));
	/* START may have left END in its wake at once */
	collect_for(MS(1200));
	ck_assert_uint_eq(nth(PFSYNC_K_BUS, 0)->bus.status, PFSYNC_BUS_END);
	ck_assert_uint_eq(nout, 1);	/* the second one */
	collect_for(10 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

START_TEST(bulk_sent)
{
	struct flow	 f;
	uint16_t	 n;
	size_t		 i, last = 0;
	monotime_t	 start;

	for (n = 1; n <= 500; n++) {
		f = udp(n);
		fake_local(&r, &f);
	}
	f = tcp(1);
	give_pair(PFSYNC_INS, &f, 77);	/* theirs are told as well */
	collect_for(MS(50));
	pfdial_next(r.d);
	start = r.now;
	ask_bulk();
	collect();
	ck_assert_uint_le(nout, 21);
	ck_assert_uint_eq(nth(PFSYNC_K_BUS, 0)->bus.status, PFSYNC_BUS_START);
	ck_assert_int_eq(out[0].kind, PFSYNC_K_BUS);
	i = sent(PFSYNC_K_UPD);
	ask_bulk();			/* it listens to this one */
	collect_for(MS(400));
	ck_assert_uint_eq(i + sent(PFSYNC_K_UPD), 1002);
	ck_assert_uint_eq(sent(PFSYNC_K_BUS), 1);
	for (i = 0; i < nout; i++)
		if (out[i].kind == PFSYNC_K_UPD)
			last = i;
	ck_assert_int_eq(out[last + 1].kind, PFSYNC_K_BUS);
	ck_assert_uint_eq(out[last + 1].m.bus.status, PFSYNC_BUS_END);
	/* not twice within 5 s; END is said twice */
	ask_bulk();
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 1);
	ck_assert_uint_eq(out[0].m.bus.status, PFSYNC_BUS_END);
	collect_for(3 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	while (sent(PFSYNC_K_BUS) == 0)
		collect_for(MS(100));
	ck_assert_int_ge(monotime_sub(r.now, start), 5 * MONOTIME_SEC);
	ck_assert_uint_eq(out[0].m.bus.status, PFSYNC_BUS_START);
}
END_TEST

/* The pace: 20 states each 4 ms. */
START_TEST(bulk_pace)
{
	struct flow	 f;
	uint16_t	 n;

	for (n = 1; n <= 500; n++) {
		f = udp(n);
		fake_local(&r, &f);
	}
	collect_for(MS(50));
	ask_bulk();
	collect_for(MS(100));
	ck_assert_uint_ge(sent(PFSYNC_K_UPD), 480);
	ck_assert_uint_le(sent(PFSYNC_K_UPD), 540);
}
END_TEST

START_TEST(bulk_asked)
{
	int	 n;

	ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_NONE);
	pfdial_bulk(r.d, r.now);
	for (n = 0; n < 12; n++) {
		ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_WAIT);
		collect();
		ck_assert_uint_eq(nout, 1);
		ck_assert_uint_eq(nth(PFSYNC_K_UPD_REQ, 0)->id.id, 0);
		ck_assert_uint_eq(nth(PFSYNC_K_UPD_REQ, 0)->id.creatorid, 0);
		pass(MS(1999));
		collect();
		ck_assert_uint_eq(nout, 0);
		pass(MS(1));
		pfdial_tick(r.d, r.now);
	}
	collect();
	ck_assert_uint_eq(nout, 0);
	ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_FAILED);
}
END_TEST

/* States of a native node that a BSD has now: that one carries them. */
START_TEST(of_a_native_node)
{
	struct flow	 f = tcp(3000), g = tcp(3001);
	struct pfsync_state in = half_of(&g, CTMAP_IN, 9);
	struct pfsync_state o = half_of(&g, CTMAP_OUT, 9);

	give_pair(PFSYNC_INS, &f, 8);
	ck_assert_uint_eq(r.log[r.nlog - 1].carrier, THEIRS);
	r.native = in.creatorid = o.creatorid = 7;
	open_pkt();
	put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &in);
	put_state(PFSYNC_INS, PFSYNC_FORM_OPENBSD, &o);
	deliver();
	pass(MS(2000));
	pfdial_tick(r.d, r.now);
	ck_assert_ptr_nonnull(entry(&g));
	ck_assert_uint_eq(r.log[r.nlog - 1].carrier, THEIRS);
}
END_TEST

/* Native nodes are there: it is asked as often, and not waited for. */
START_TEST(bulk_beside_native)
{
	int	 n;

	r.native = 7;
	pfdial_bulk(r.d, r.now);
	for (n = 0; n < 12; n++) {
		ck_assert_uint_eq(pfdial_bulk_state(r.d), n < 2 ?
		    SYNC_BULK_WAIT : SYNC_BULK_FAILED);
		collect();
		ck_assert_uint_eq(nout, 1);
		ck_assert_uint_eq(nth(PFSYNC_K_UPD_REQ, 0)->id.id, 0);
		pass(MS(2000));
		pfdial_tick(r.d, r.now);
	}
	collect();
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* 0: START and END, 1: END alone, 2: END of others, 3: END never comes */
START_TEST(bulk_received)
{
	struct flow	 f = udp(1);
	int		 n;

	open_pkt();
	put_bus(THEIRS, PFSYNC_BUS_END);
	deliver();
	ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_NONE);
	pfdial_bulk(r.d, r.now);
	collect();
	if (_i != 1) {
		open_pkt();
		put_bus(THEIRS, PFSYNC_BUS_START);
		deliver();
		ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_RUNNING);
		for (n = 0; n < 10; n++) {
			collect_for(9 * MONOTIME_SEC);
			ck_assert_uint_eq(sent(PFSYNC_K_UPD_REQ), 0);
			give_pair(PFSYNC_UPD, &f, 5);
		}
		ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_RUNNING);
	}
	if (_i == 3) {
		collect_for(10 * MONOTIME_SEC);
		ck_assert_uint_eq(sent(PFSYNC_K_UPD_REQ), 1);
		collect_for(60 * MONOTIME_SEC);
		ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_FAILED);
		return;
	}
	open_pkt();
	put_bus(_i == 2 ? 12345 : THEIRS, 77);		/* unknown status */
	put_bus(_i == 2 ? 12345 : THEIRS, PFSYNC_BUS_END);
	deliver();
	ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_DONE);
	collect_for(60 * MONOTIME_SEC);
	ck_assert_uint_eq(sent(PFSYNC_K_UPD_REQ), 0);
}
END_TEST

/* After our restart a peer still knows our flows: under our own ids. */
START_TEST(own_ids_come_back)
{
	struct flow		 f = tcp(1), g = tcp(2);
	struct pfsync_state	 s;
	int			 half;

	fake_local(&r, &f);
	open_pkt();
	put_bus(THEIRS, PFSYNC_BUS_START);
	for (half = 0; half < 4; half++) {
		s = half_of(half < 2 ? &f : &g, half & 1,
		    (uint64_t)(900 + half / 2));
		s.creatorid = OURS;
		put_state(PFSYNC_UPD, PFSYNC_FORM_OPENBSD, &s);
	}
	deliver();
	/* f was never told under its new id: the old one stays */
	collect_for(MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	ck_assert_uint_eq(entry(&f)->carrier, 0);
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(nth(PFSYNC_K_UPD_C, 0)->upd_c.id, 1800);
	/* g lives on at the peer */
	ck_assert_uint_ne(entry(&g)->carrier, 0);
	ck_assert_uint_eq(r.nodes[entry(&g)->carrier], THEIRS);
}
END_TEST

/*
 * What a node of ours carries is not taken from it by a bulk of pf, which is
 * no evidence of traffic; progress and UPD_C are.
 */
START_TEST(native_replica)
{
	struct flow	 f = tcp(1);

	(void)fake_set(&r, &f, 9);
	give_pair(PFSYNC_UPD, &f, 5);
	check_ops(0, 0);
	ck_assert_uint_eq(entry(&f)->carrier, 9);
	pass(20 * MONOTIME_SEC);
	give_pair(PFSYNC_UPD, &f, 5);
	check_ops(0, 0);
	f.tcp_state = FLOW_TCP_FIN_WAIT;
	give_pair(PFSYNC_UPD, &f, 5);
	check_ops(1, FAKE_PUT);
	ck_assert_uint_ne(entry(&f)->carrier, 9);
	f = tcp(2);
	(void)fake_set(&r, &f, 9);
	give_pair(PFSYNC_UPD, &f, 6);
	give_upd_c(12, THEIRS, 4, 4, 0, 2);
	check_ops(2, FAKE_PUT);
	/* what has ended and is not reaped yet is there no more */
	give_id(PFSYNC_DEL_C, 12, THEIRS);
	give_id(PFSYNC_DEL_C, 13, THEIRS);
	check_ops(3, FAKE_DEL);
	(void)fake_set(&r, &f, 9);
	give_pair(PFSYNC_INS, &f, 7);
	check_ops(4, FAKE_PUT);
}
END_TEST

/* ---- giving back (6.5) ---- */

static void
check_given_back(uint64_t id)
{
	int	 half;

	ck_assert_uint_eq(npackets, 1);
	ck_assert_uint_eq(nout, 4);
	for (half = 0; half < 2; half++) {
		ck_assert_int_eq(out[half].kind, PFSYNC_K_DEL_C);
		ck_assert_uint_eq(out[half].m.id.id,
		    id << 1 | (uint64_t)half);
		ck_assert_uint_eq(out[half].m.id.creatorid, THEIRS);
		ck_assert_int_eq(out[2 + half].kind, PFSYNC_K_INS);
		ck_assert_uint_eq(out[2 + half].m.state.id,
		    id << 1 | (uint64_t)half);
		ck_assert_uint_eq(out[2 + half].m.state.creatorid, THEIRS);
		ck_assert_uint_eq(out[2 + half].m.state.state_flags &
		    PFSYNC_STATE_SLOPPY, PFSYNC_STATE_SLOPPY);
	}
}

START_TEST(given_back_on_leaving)
{
	struct flow	 f = tcp(1), u = udp(2), g = tcp(3), idle = tcp(4);

	give_pair(PFSYNC_INS, &f, 4);
	give_pair(PFSYNC_INS, &u, 5);
	collect();
	pass(2 * MONOTIME_SEC);
	pfdial_carp(r.d, 1, r.now);
	pass(2 * MONOTIME_SEC);
	give_pair(PFSYNC_INS, &g, 6);	/* carried over there */
	f.timeout++;
	fake_local(&r, &f);
	fake_local(&r, &u);
	collect_for(2 * MONOTIME_SEC);
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 0);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(10));
	check_given_back(4);
	/* once; and what went on at the peer meanwhile is as it should be */
	pfdial_carp(r.d, 1, r.now);
	pass(2 * MONOTIME_SEC);
	give_upd_c(12, THEIRS, 4, 4, 0, 2);
	give_upd_c(13, THEIRS, 4, 4, 0, 2);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(10));
	ck_assert_uint_eq(nout, 0);
	/* later it had traffic here after all */
	fake_local(&r, &g);
	collect_for(2 * MONOTIME_SEC);
	pfdial_carp(r.d, 1, r.now);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(10));
	check_given_back(6);
	/* what was silent while we were MASTER may have had traffic here */
	give_pair(PFSYNC_INS, &idle, 9);
	pass(3 * MONOTIME_SEC);
	pfdial_carp(r.d, 1, r.now);
	pass(MONOTIME_SEC);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(10));
	check_given_back(9);
}
END_TEST

START_TEST(given_back_on_request)
{
	struct flow	 f = tcp(1);
	size_t		 i;

	give_pair(PFSYNC_INS, &f, 4);
	fake_local(&r, &f);
	collect_for(2 * MONOTIME_SEC);
	ask_bulk();
	collect_for(MS(20));
	ck_assert_uint_eq(sent(PFSYNC_K_DEL_C), 2);
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
	for (i = 0; i < nout; i++)
		if (out[i].kind == PFSYNC_K_UPD) {
			ck_assert_uint_ne(out[i].m.state.state_flags &
			    PFSYNC_STATE_SLOPPY, 0);
			break;
		}
	ck_assert_uint_lt(i, nout);
	/* the peer carries it again: nothing to repair next time */
	give_upd_c(8, THEIRS, 4, 4, 0, 2);
	give_upd_c(9, THEIRS, 4, 4, 0, 2);
	pass(10 * MONOTIME_SEC);
	ask_bulk();
	collect_for(MS(20));
	ck_assert_uint_eq(sent(PFSYNC_K_DEL_C), 0);
}
END_TEST

/* Two flows to a packet, ends and beginnings of a flow never apart. */
START_TEST(given_back_many)
{
	struct flow	 f;
	uint16_t	 n;
	size_t		 i, k;

	for (n = 0; n < 101; n++) {
		f = tcp(n);
		give_pair(PFSYNC_INS, &f, 1000U + n);
		fake_local(&r, &f);
	}
	collect_for(2 * MONOTIME_SEC);
	pfdial_carp(r.d, 1, r.now);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(20));
	ck_assert_uint_eq(npackets, 51);
	ck_assert_uint_eq(nout, 404);
	for (i = 0; i < nout; i++) {
		if (out[i].kind != PFSYNC_K_INS)
			continue;
		for (k = 0; k < i; k++)
			if (out[k].kind == PFSYNC_K_DEL_C &&
			    out[k].m.id.id == out[i].m.state.id)
				break;
		ck_assert_uint_lt(k, i);
	}
}
END_TEST

/* ---- version 5 ---- */

START_TEST(version_5)
{
	enum pfsync_form	 form = (enum pfsync_form)_i;
	uint8_t			 action[] = { 0, 1, 13, 15 };
	struct flow		 f = make(IPPROTO_TCP, "2001:db8::1", 1,
				    "2001:db8:1::2", 2);
	struct pfsync_state	 s;
	int			 half;

	open_v(5);
	for (half = 0; half < 2; half++) {
		ctmap_export(&f, half, form, &s);
		s.id = 70 + (uint64_t)half;
		s.creatorid = THEIRS;
		s.state_flags = PFSYNC_STATE_ACK;
		put_state(action[_i], form, &s);
	}
	deliver();
	ck_assert_ptr_nonnull(entry(&f));
	open_v(5);
	put_upd_c(70, THEIRS, &(struct pfsync_peer){ .state = 9 },
	    &(struct pfsync_peer){ .state = 9 }, 5);
	put_upd_c(99, THEIRS, &(struct pfsync_peer){ .state = 9 },
	    &(struct pfsync_peer){ .state = 9 }, 5);
	put_upd_c(70, THEIRS, &(struct pfsync_peer){ .state = 4 },
	    &(struct pfsync_peer){ .state = 4 }, 2);
	put_id(PFSYNC_UPD_REQ, 0, 0);
	deliver();
	ck_assert_uint_eq(entry(&f)->f.tcp_state, FLOW_TCP_TIME_WAIT);
	ck_assert_uint_eq(count[PFSYNC_C_STALE], 1);
	/* who speaks version 5 cannot hear us */
	collect_for(3 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
	open_v(5);
	put_id(PFSYNC_DEL_C, 70, THEIRS);
	put_id(PFSYNC_DEL_C, 71, THEIRS);
	deliver();
	ck_assert_ptr_null(entry(&f));
}
END_TEST

START_TEST(listen_only)
{
	struct flow	 f = tcp(1), g = tcp(2);

	fake_stop(&r);
	begin(128, false);
	fake_local(&r, &f);
	give_pair(PFSYNC_INS, &g, 4);
	ck_assert_ptr_nonnull(entry(&g));
	give_upd_c(99, THEIRS, 4, 4, 0, 2);
	give_upd_c(8, THEIRS, 2, 4, 0, 2);
	ask_bulk();
	pfdial_bulk(r.d, r.now);
	ck_assert_uint_eq(pfdial_bulk_state(r.d), SYNC_BULK_DONE);
	pfdial_carp(r.d, 1, r.now);
	pfdial_carp(r.d, 0, r.now);
	fake_destroy(&r, &f);
	collect_for(10 * MONOTIME_SEC);
	ck_assert_uint_eq(nout, 0);
}
END_TEST

/* ---- hostile ---- */

/* Creators are invented at will: ours still work, nodes are few. */
START_TEST(many_creators)
{
	struct pfsync_state	 s;
	struct flow		 f;
	uint16_t		 n;

	for (n = 1; n <= 200; n++) {
		f = udp(n);
		s = half_of(&f, CTMAP_IN, n);
		s.creatorid = 0x1000U + n;
		give_one(PFSYNC_INS, &s);
		pass(MS(1));
	}
	pass(MS(200));
	collect();
	ck_assert_uint_le(statedb_count(r.db), 200);
	ck_assert_uint_ge(statedb_count(r.db), 60);
	ck_assert_uint_eq(r.nodes[5], 0);
	f = tcp(1);
	fake_local(&r, &f);
	collect_for(MS(5));
	ck_assert_uint_eq(sent(PFSYNC_K_INS), 2);
	ck_assert_uint_eq(nth(PFSYNC_K_INS, 0)->state.creatorid, OURS);
}
END_TEST

START_TEST(floods)
{
	struct flow	 f = tcp(1);
	uint64_t	 id;
	uint32_t	 n;

	fake_local(&r, &f);
	collect_for(MS(5));
	id = nth(PFSYNC_K_INS, 0)->state.id;
	for (n = 0; n < 20; n++) {
		open_pkt();
		while (wbuf_used(&w) < 60000) {
			put_upd_c(wbuf_used(&w) + n * 100000ULL, THEIRS,
			    &(struct pfsync_peer){ .state = 4 },
			    &(struct pfsync_peer){ .state = 4 }, 2);
		}
		deliver();
	}
	ck_assert_uint_gt(pfdial_lost(r.d), 0);	/* UPD_REQ are bounded */
	for (n = 0; n < 3; n++) {
		open_pkt();
		while (wbuf_used(&w) < 60000)
			put_id(PFSYNC_UPD_REQ, id, OURS);
		deliver();
	}
	collect();
	ck_assert_uint_eq(sent(PFSYNC_K_UPD), 1);
	/* a packet of CLR, each of which looks at everything */
	for (n = 0; n < 100; n++)
		give_clr("nosuch0", OURS);
	ck_assert_ptr_nonnull(entry(&f));
	give_clr("", OURS);
	ck_assert_ptr_nonnull(entry(&f));	/* too many */
	pass(5 * MONOTIME_SEC);
	give_clr("", OURS);
	ck_assert_ptr_null(entry(&f));
}
END_TEST

/* ---- what real kernels sent ---- */

struct capture {
	const char	*file;
	const char	*net;		/* first two numbers of the addresses */
};

static const struct capture captures[] = {
	{ "obsd-pfsync-session.pcap", "10.66" },
	{ "fbsd12-pfsync-session.pcap", "10.68" }
};

static bool
play_frame(const uint8_t *data, size_t len)
{
	const struct ip4 { uint8_t vhl, tos, len[2]; } *ip;
	size_t	 ihl, total;

	if (len < 34 || data[12] != 8 || data[13] != 0 || data[23] != 240)
		return (false);
	ip = (const void *)(data + 14);
	ihl = (ip->vhl & 15) * 4U;
	total = (size_t)ip->len[0] << 8 | ip->len[1];
	ck_assert_uint_le(14 + total, len);
	check_all(&r);
	pfdial_rx(r.d, data + 14 + ihl, total - ihl, count, r.now);
	check_all(&r);
	return (true);
}

/* In the log: is f put (with that TCP state, or ANY), or deleted, from i on? */
static size_t
logged(size_t i, enum fake_op op, const struct flow *f, int tcp_state)
{
	for (; i < r.nlog; i++)
		if (r.log[i].op == op && flow_same(&r.log[i].f, f) &&
		    (tcp_state == ANY || r.log[i].f.tcp_state == tcp_state))
			return (i + 1);
	return (0);
}

static struct flow
flow_in(const struct capture *c, uint8_t proto, uint16_t sport,
    uint16_t dport)
{
	char	 src[32], dst[32];

	snprintf(src, sizeof(src), "%s.0.4", c->net);
	snprintf(dst, sizeof(dst), "%s.1.4", c->net);
	return (make(proto, src, sport, dst, dport));
}

START_TEST(kernel_session)
{
	const struct capture	*c = &captures[_i];
	char			 err[PCAP_ERRBUF_SIZE], path[256];
	struct flow		 u = flow_in(c, IPPROTO_UDP, 40001, 5353);
	struct flow		 t = flow_in(c, IPPROTO_TCP, 40002, 8080);
	struct flow		 i = flow_in(c, IPPROTO_ICMP, 12016, 0x800);
	struct pcap_pkthdr	*h;
	const uint8_t		*data;
	monotime_t		 first = r.now;
	int64_t			 zero = -1, at;
	size_t			 n = 0, k;
	pcap_t			*p;

	snprintf(path, sizeof(path), VECTORS "%s", c->file);
	p = pcap_open_offline(path, err);
	ck_assert_msg(p != NULL, "%s: %s", path, err);
	while (pcap_next_ex(p, &h, &data) == 1) {
		at = h->ts.tv_sec * MONOTIME_SEC +
		    h->ts.tv_usec * MONOTIME_USEC;
		zero = zero == -1 ? at : zero;
		while (monotime_sub(r.now, first) < at - zero) {
			r.now = monotime_add(first, at - zero);
			collect();
		}
		n += play_frame(data, h->caplen);
	}
	pcap_close(p);
	collect_for(MONOTIME_SEC);
	ck_assert_uint_gt(n, 20);
	/* put, seen going on, ended */
	ck_assert_uint_ne(k = logged(0, FAKE_PUT, &u, ANY), 0);
	ck_assert_uint_ne(logged(k, FAKE_DEL, &u, ANY), 0);
	ck_assert_uint_ne(k = logged(0, FAKE_PUT, &t,
	    FLOW_TCP_ESTABLISHED), 0);
	ck_assert_uint_ne(k = logged(k, FAKE_PUT, &t, FLOW_TCP_TIME_WAIT), 0);
	ck_assert_uint_ne(logged(k, FAKE_DEL, &t, ANY), 0);
	if (_i == 0) {
		ck_assert_uint_ne(k = logged(0, FAKE_PUT, &i, ANY), 0);
		ck_assert_uint_ne(logged(k, FAKE_DEL, &i, ANY), 0);
		i = make(IPPROTO_ICMPV6, "fd66::4", 12426, "fd67::4", 0x8000);
		ck_assert_uint_ne(k = logged(0, FAKE_PUT, &i, ANY), 0);
		ck_assert_uint_ne(logged(k, FAKE_DEL, &i, ANY), 0);
	}
	for (k = 0; k < r.nlog; k++) {
		ck_assert_uint_ne(r.log[k].f.proto, 240);
		ck_assert_uint_ne(r.log[k].f.proto, 112);
	}
	ck_assert_uint_eq(statedb_count(r.db), 0);
}
END_TEST

/* ---- two of ours, over a wire that loses ---- */

#define SIM_FLOWS	300

static struct repl	*node[2];
static uint32_t		 rnd;

static uint32_t
dice(uint32_t n)
{
	rnd ^= rnd << 13;
	rnd ^= rnd >> 17;
	rnd ^= rnd << 5;
	return (rnd % n);
}

/* Carry what each node sends to the other one; loss in percent. */
static void
exchange(uint32_t loss, monotime_t now)
{
	uint64_t	 c[PFSYNC_C_MAX] = { 0 };
	uint8_t		 buf[ROOM];
	struct wbuf	 b;
	size_t		 len;
	int		 k;

	for (k = 0; k < 2; k++) {
		node[k]->now = now;
		pfdial_tick(node[k]->d, now);
	}
	for (k = 0; k < 2; k++)
		for (;;) {
			wbuf_init(&b, buf, sizeof(buf));
			if ((len = pfdial_packet(node[k]->d, &b, now)) == 0)
				break;
			if (dice(100) < loss)
				continue;
			(void)statedb_reserve(node[!k]->db);
			(void)pfdial_reserve(node[!k]->d);
			pfdial_rx(node[!k]->d, buf, len, c, now);
		}
	ck_assert_uint_eq(c[PFSYNC_C_BADVAL] + c[PFSYNC_C_BADLEN], 0);
}

/* What the kernels would do: forget what has neither traffic nor news. */
static void
expire(struct repl *n)
{
	const struct statedb_entry	*e;
	struct flow			 f;
	uint32_t			 i;

	for (i = 0; i < statedb_top(n->db); i++) {
		if (!statedb_used(n->db, i))
			continue;
		e = statedb_at(n->db, i);
		if (e->deadline > fake_sec(n->now))
			continue;
		f = e->f;
		fake_destroy(n, &f);
	}
}

struct sim_flow {
	struct flow	 f;
	int		 at;		/* which node carries it; -1: none */
};

/* How often a peer had its way with a flow where it is carried. */
static size_t		 disturbed;

/* The kernel's table is the truth, whoever changed it. */
static void
sim_look(struct sim_flow *s)
{
	const struct statedb_entry	*e;
	uint32_t			 i;

	if (s->at == -1)
		return;
	if ((i = fake_find(node[s->at], &s->f)) == STATEDB_NONE) {
		s->at = -1;
		disturbed++;
		return;
	}
	e = statedb_at(node[s->at]->db, i);

	disturbed += e->f.tcp_state != s->f.tcp_state ||
	    e->f.status != s->f.status;
	s->f.tcp_state = e->f.tcp_state;
	s->f.status = e->f.status;
	s->f.timeout = ctmap_timeout(s->f.proto, s->f.tcp_state, s->f.status);
}

static void
sim_step(struct sim_flow *s)
{
	static const enum flow_tcp next[] = {
		[FLOW_TCP_SYN_SENT] = FLOW_TCP_SYN_RECV,
		[FLOW_TCP_SYN_SENT2] = FLOW_TCP_SYN_RECV,
		[FLOW_TCP_SYN_RECV] = FLOW_TCP_ESTABLISHED,
		[FLOW_TCP_ESTABLISHED] = FLOW_TCP_FIN_WAIT,
		[FLOW_TCP_FIN_WAIT] = FLOW_TCP_LAST_ACK,
		[FLOW_TCP_CLOSE_WAIT] = FLOW_TCP_LAST_ACK,
		[FLOW_TCP_CLOSE] = FLOW_TCP_SYN_SENT,
		[FLOW_TCP_LAST_ACK] = FLOW_TCP_TIME_WAIT,
		[FLOW_TCP_TIME_WAIT] = FLOW_TCP_SYN_SENT
	};

	sim_look(s);
	switch (dice(8)) {
	case 0:				/* ends */
		if (s->at >= 0)
			fake_destroy(node[s->at], &s->f);
		s->at = -1;
		break;
	case 1:				/* moves to the other firewall */
		if (s->at >= 0) {
			s->at = !s->at;
			fake_local(node[s->at], &s->f);
		}
		break;
	default:
		if (s->at == -1) {
			s->at = (int)dice(2);
			s->f.tcp_state = s->f.proto == IPPROTO_TCP ?
			    FLOW_TCP_SYN_SENT : 0;
			s->f.status = 0;
		} else if (s->f.proto == IPPROTO_TCP) {
			s->f.tcp_state = (uint8_t)next[s->f.tcp_state];
		} else
			s->f.status |= dice(2) ? FLOW_SEEN_REPLY :
			    FLOW_STATUS;
		if (s->f.proto == IPPROTO_TCP && s->f.tcp_state >=
		    FLOW_TCP_ESTABLISHED)
			s->f.status = FLOW_STATUS;
		s->f.timeout = ctmap_timeout(s->f.proto, s->f.tcp_state,
		    s->f.status);
		fake_local(node[s->at], &s->f);
	}
}

/* Traffic of whatever is there, as the next look at the table shows it. */
static void
sim_traffic(struct sim_flow *flow)
{
	size_t	 n;

	for (n = 0; n < SIM_FLOWS; n++) {
		sim_look(&flow[n]);
		if (flow[n].at >= 0)
			fake_local(node[flow[n].at], &flow[n].f);
	}
}

/* Time goes by, in steps of so many seconds, with traffic each every-th. */
static void
sim_quiet(struct sim_flow *flow, monotime_t *now, int seconds, int step,
    int every)
{
	int	 sec, k;

	for (sec = 0; sec < seconds; sec += step) {
		*now = monotime_add(*now, step * MONOTIME_SEC);
		node[0]->now = node[1]->now = *now;
		if (sec % every == 0)
			sim_traffic(flow);
		for (k = 0; k < 300; k++) {
			exchange(0, monotime_add(*now, MS(5 * k)));
			if (k > 3 && step > 1 && !monotime_isset(
			    pfdial_next(node[0]->d)) && !monotime_isset(
			    pfdial_next(node[1]->d)))
				break;
			if (k == 20 && step == 1)
				break;
		}
		expire(node[0]);
		expire(node[1]);
	}
	check_all(node[0]);
	check_all(node[1]);
}

/* What is carried is known, as it is, to both; exact: nothing else is. */
static void
check_equal(const struct sim_flow *s, bool exact, size_t *there)
{
	const struct statedb_entry	*e;
	char				 text[FLOW_STRLEN];
	uint32_t			 i;
	int				 k;

	flow_print(&s->f, text, sizeof(text));
	for (k = 0; k < 2; k++) {
		i = fake_find(node[k], &s->f);
		if (s->at == -1) {
			ck_assert_msg(!exact || i == STATEDB_NONE,
			    "%s: ended, node %d has it", text, k);
			continue;
		}
		ck_assert_msg(i != STATEDB_NONE,
		    "%s: at %d, node %d lacks it", text, s->at, k);
		e = statedb_at(node[k]->db, i);
		ck_assert_msg(e->f.tcp_state == s->f.tcp_state,
		    "%s: at %d, node %d says %s", text, s->at, k,
		    flow_tcp_names[e->f.tcp_state]);
		ck_assert_mem_eq(&e->f.reply, &s->f.reply,
		    sizeof(s->f.reply));
		ck_assert(!exact || (e->carrier == 0) == (s->at == k));
		*there += k;
	}
}

static void
sim_start(struct sim_flow *flow, monotime_t now)
{
	size_t	 n;

	fake_start(node[0], OURS, 128, true, now);
	fake_start(node[1], THEIRS, 128, true, now);
	for (n = 0; n < SIM_FLOWS; n++) {
		flow[n].f = n % 2 ? tcp((uint16_t)n) : udp((uint16_t)n);
		if (n % 3 == 0)
			addr("203.0.113.1", flow[n].f.reply.dst);
		if (n % 5 == 0)
			addr("172.16.0.9", flow[n].f.reply.src);
		flow[n].at = -1;
	}
}

/*
 * Loss leaves gaps and leftovers.  Refreshes and bulks fill the gaps; of the
 * leftovers, which the protocol cannot name, age takes care.
 */
START_TEST(two_nodes)
{
	static struct sim_flow	 flow[SIM_FLOWS];
	static struct repl	 pair[2];
	monotime_t		 now = { 1000 * MONOTIME_SEC };
	size_t			 n, there;
	int			 step;

	rnd = 0x9e3779b9U * (uint32_t)(_i + 1);
	disturbed = 0;
	node[0] = &pair[0];
	node[1] = &pair[1];
	sim_start(flow, now);
	for (step = 0; step < 4000; step++) {
		now = monotime_add(now, MS(20));
		node[0]->now = node[1]->now = now;
		for (n = dice(6); n > 0; n--)
			sim_step(&flow[dice(SIM_FLOWS)]);
		if (step % 750 == 749)
			sim_traffic(flow);
		exchange(_i % 2 ? 20 : 0, now);
	}
	/* words that cross a flow's move; of some 8000 steps */
	ck_assert_uint_lt(disturbed, _i % 2 ? 100 : 25);
	sim_quiet(flow, &now, 60, 1, 15);
	pfdial_bulk(node[0]->d, now);
	pfdial_bulk(node[1]->d, now);
	sim_quiet(flow, &now, 500, 1, 15);
	for (n = 0, there = 0; n < SIM_FLOWS; n++)
		check_equal(&flow[n], _i % 2 == 0, &there);
	ck_assert_uint_gt(there, 50);
	ck_assert_uint_eq(pfdial_bulk_state(node[0]->d), SYNC_BULK_DONE);
	ck_assert_uint_eq(pfdial_bulk_state(node[1]->d), SYNC_BULK_DONE);
	/* only connections that last are left, and these for days */
	for (n = 0; n < SIM_FLOWS; n++)
		if (flow[n].at >= 0 &&
		    flow[n].f.tcp_state != FLOW_TCP_ESTABLISHED) {
			fake_destroy(node[flow[n].at], &flow[n].f);
			flow[n].at = -1;
		}
	sim_quiet(flow, &now, 600 * 1000, 900, 900);
	for (n = 0, there = 0; n < SIM_FLOWS; n++)
		check_equal(&flow[n], true, &there);
	ck_assert_uint_gt(there, 5);
	ck_assert_uint_eq(statedb_count(node[0]->db), there);
	ck_assert_uint_eq(statedb_count(node[1]->db), there);
	fake_stop(node[0]);
	fake_stop(node[1]);
}
END_TEST

/* ---- growing ---- */

static void
drain(void)
{
	struct wbuf	 b;
	uint8_t		 buf[ROOM];

	do
		wbuf_init(&b, buf, sizeof(buf));
	while (pfdial_packet(r.d, &b, r.now) > 0);
	check_all(&r);
}

START_TEST(many_flows)
{
	struct flow	 f;
	uint32_t	 n, total = 50000;

	for (n = 0; n < total; n++) {
		f = udp((uint16_t)n);
		memcpy(f.orig.src, &n, 4);
		f.orig.src[3] = 10;
		flow_invert(&f.orig, f.proto, &f.reply);
		fake_local(&r, &f);
		if (n % 1000 == 999)
			check_all(&r);
	}
	pass(MS(5));
	drain();
	ck_assert_uint_eq(pfdial_out(r.d)[PFSYNC_K_INS], 2 * total);
	for (n = 0; n < total; n++) {
		f = udp((uint16_t)n);
		memcpy(f.orig.src, &n, 4);
		f.orig.src[3] = 10;
		fake_destroy(&r, &f);
		if (n % 1000 == 999)
			check_all(&r);
	}
	pass(MS(5));
	drain();
	ck_assert_uint_eq(pfdial_out(r.d)[PFSYNC_K_DEL_C], 2 * total);
	ck_assert_uint_eq(pfdial_lost(r.d), 0);
	/* nothing is there, in much room */
	ask_bulk();
	pfdial_carp(r.d, 1, r.now);
	pfdial_carp(r.d, 0, r.now);
	collect_for(MS(100));
	ck_assert_uint_eq(nout, 2);
	ck_assert_uint_eq(nth(PFSYNC_K_BUS, 1)->bus.status, PFSYNC_BUS_END);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite	*s = suite_create("pfdial");
	TCase	*tc = tcase_create("pfdial");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, local_flow);
	tcase_add_test(tc, stable_ids);
	tcase_add_test(tc, next_ids);
	tcase_add_test(tc, old_incarnation);
	tcase_add_test(tc, entry_reused);
	tcase_add_test(tc, never_told);
	tcase_add_test(tc, ins_is_newest);
	tcase_add_test(tc, fills_packets);
	tcase_add_test(tc, any_room);
	tcase_add_test(tc, region_order);
	tcase_add_loop_test(tc, reopened, 0, 8);
	tcase_add_test(tc, other_translation);
	tcase_add_loop_test(tc, refresh, 0, 4);
	tcase_add_test(tc, what_matters);
	tcase_add_test(tc, maxupd);
	tcase_add_test(tc, foreign_flow);
	tcase_add_test(tc, equal_news);
	tcase_add_loop_test(tc, lone_half, 0, 2);
	tcase_add_test(tc, lone_half_waits);
	tcase_add_loop_test(tc, late_partner, 0, 8);
	tcase_add_test(tc, many_lone_halves);
	tcase_add_loop_test(tc, bad_states, 0, V_MAX);
	tcase_add_loop_test(tc, merging, 0, LEN(merges));
	tcase_add_test(tc, own_sequence);
	tcase_add_test(tc, both_ends);
	tcase_add_test(tc, icmp_flow);
	tcase_add_test(tc, senseless_states);
	tcase_add_test(tc, scrub_is_kept);
	tcase_add_test(tc, takeover);
	tcase_add_test(tc, taken_over);
	tcase_add_test(tc, ended_by_peer);
	tcase_add_test(tc, two_identities);
	tcase_add_test(tc, adopted_in_time);
	tcase_add_test(tc, new_incarnation);
	tcase_add_test(tc, id_reused);
	tcase_add_test(tc, unknown_upd_c);
	tcase_add_test(tc, upd_req);
	tcase_add_test(tc, ack_wanted);
	tcase_add_test(tc, ack_asked);
	tcase_add_test(tc, clear);
	tcase_add_test(tc, bulk_empty);
	tcase_add_test(tc, bulk_sent);
	tcase_add_test(tc, bulk_pace);
	tcase_add_test(tc, bulk_asked);
	tcase_add_test(tc, bulk_beside_native);
	tcase_add_test(tc, of_a_native_node);
	tcase_add_loop_test(tc, bulk_received, 0, 4);
	tcase_add_test(tc, own_ids_come_back);
	tcase_add_test(tc, native_replica);
	tcase_add_test(tc, given_back_on_leaving);
	tcase_add_test(tc, given_back_on_request);
	tcase_add_test(tc, given_back_many);
	tcase_add_loop_test(tc, version_5, PFSYNC_FORM_1301, PFSYNC_FORM_MAX);
	tcase_add_test(tc, listen_only);
	tcase_add_test(tc, many_creators);
	tcase_add_test(tc, floods);
	tcase_add_loop_test(tc, kernel_session, 0, LEN(captures));
	tcase_add_loop_test(tc, two_nodes, 0, 6);
	tcase_add_test(tc, many_flows);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner	*sr = srunner_create(make_suite());
	int	 failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
