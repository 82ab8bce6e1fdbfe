/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/ctmap: the tables of TCP states and timeouts row by row, keys as they
 * were seen on the wire, every kind of flow there and back, what is refused.
 */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/ctmap.h"

#define LEN(a)		(sizeof(a) / sizeof((a)[0]))
#define NONE		0xff

/* ---- flows from text ---- */

static void
addr(uint8_t af, const char *s, uint8_t out[16])
{
	memset(out, 0, 16);
	ck_assert_int_eq(inet_pton(af == 4 ? AF_INET : AF_INET6, s, out), 1);
}

/* reply_src and reply_dst may be NULL: not translated. */
static struct flow
make(uint8_t af, uint8_t proto, const char *src, uint16_t sport,
    const char *dst, uint16_t dport)
{
	struct flow	 f;

	memset(&f, 0, sizeof(f));
	f.af = af;
	f.proto = proto;
	addr(af, src, f.orig.src);
	addr(af, dst, f.orig.dst);
	f.orig.sport = sport;
	f.orig.dport = dport;
	flow_invert(&f.orig, proto, &f.reply);
	f.timeout = 50;
	f.status = FLOW_STATUS;
	if (proto == IPPROTO_TCP) {
		f.tcp_state = FLOW_TCP_ESTABLISHED;
		f.tcp_flags[0] = f.tcp_flags[1] = FLOW_TCPF_SACK |
		    FLOW_TCPF_WSCALE;
		f.wscale[0] = 7;
		f.wscale[1] = 10;
	}
	return (f);
}

static void
snat(struct flow *f, const char *to, uint16_t port)
{
	addr(f->af, to, f->reply.dst);
	if (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6)
		f->reply.sport = port;
	else
		f->reply.dport = port;
}

static void
dnat(struct flow *f, const char *to, uint16_t port)
{
	addr(f->af, to, f->reply.src);
	if (f->proto != IPPROTO_ICMP && f->proto != IPPROTO_ICMPV6)
		f->reply.sport = port;
}

/* ---- TCP states ---- */

/* 6.4, and where its last row leads. */
static const struct {
	uint8_t		 src, dst;
	enum flow_tcp	 want;
} tcp_in[] = {
	{ 2, 0, FLOW_TCP_SYN_SENT }, { 2, 1, FLOW_TCP_SYN_SENT },
	{ 2, 2, FLOW_TCP_SYN_SENT2 },
	{ 4, 2, FLOW_TCP_SYN_RECV }, { 2, 4, FLOW_TCP_SYN_RECV },
	{ 4, 4, FLOW_TCP_ESTABLISHED },
	{ 7, 4, FLOW_TCP_FIN_WAIT }, { 4, 7, FLOW_TCP_FIN_WAIT },
	{ 9, 4, FLOW_TCP_CLOSE_WAIT }, { 4, 9, FLOW_TCP_CLOSE_WAIT },
	{ 7, 7, FLOW_TCP_LAST_ACK }, { 9, 7, FLOW_TCP_LAST_ACK },
	{ 7, 9, FLOW_TCP_LAST_ACK },
	{ 9, 9, FLOW_TCP_TIME_WAIT },
	{ 11, 4, FLOW_TCP_NONE }, { 4, 12, FLOW_TCP_NONE },
	{ 12, 10, FLOW_TCP_NONE }, { 0, 11, FLOW_TCP_NONE },
	{ 10, 10, FLOW_TCP_CLOSE }, { 10, 4, FLOW_TCP_CLOSE },
	{ 4, 10, FLOW_TCP_CLOSE }, { 0, 0, FLOW_TCP_CLOSE },
	{ 3, 4, FLOW_TCP_SYN_RECV }, { 0, 4, FLOW_TCP_SYN_RECV },
	{ 7, 2, FLOW_TCP_SYN_RECV }, { 1, 0, FLOW_TCP_SYN_RECV },
	{ 5, 4, FLOW_TCP_ESTABLISHED }, { 6, 9, FLOW_TCP_ESTABLISHED },
	{ 5, 5, FLOW_TCP_ESTABLISHED },
	{ 8, 7, FLOW_TCP_LAST_ACK }, { 9, 8, FLOW_TCP_LAST_ACK }
};

START_TEST(tcp_import)
{
	ck_assert_int_eq(ctmap_tcp_import(tcp_in[_i].src, tcp_in[_i].dst),
	    tcp_in[_i].want);
}
END_TEST

static const struct {
	enum flow_tcp	 state;
	bool		 reply_first;	/* CLOSE_INIT of the reply side */
	uint8_t		 src, dst, timeout;
} tcp_out[] = {
	{ FLOW_TCP_SYN_SENT, false, 2, 0, 0 },
	{ FLOW_TCP_SYN_SENT2, false, 2, 2, 1 },
	{ FLOW_TCP_SYN_RECV, false, 4, 2, 1 },
	{ FLOW_TCP_SYN_RECV, true, 4, 2, 1 },
	{ FLOW_TCP_ESTABLISHED, false, 4, 4, 2 },
	{ FLOW_TCP_FIN_WAIT, false, 7, 4, 3 },
	{ FLOW_TCP_FIN_WAIT, true, 4, 7, 3 },
	{ FLOW_TCP_CLOSE_WAIT, false, 9, 4, 3 },
	{ FLOW_TCP_CLOSE_WAIT, true, 4, 9, 3 },
	{ FLOW_TCP_LAST_ACK, false, 9, 7, 4 },
	{ FLOW_TCP_LAST_ACK, true, 7, 9, 4 },
	{ FLOW_TCP_TIME_WAIT, false, 9, 9, 5 },
	{ FLOW_TCP_CLOSE, true, 10, 10, 5 }
};

START_TEST(tcp_export)
{
	struct flow		 f = make(4, IPPROTO_TCP, "10.0.0.1", 1,
				    "10.0.0.2", 2);
	struct pfsync_peer	 src, dst;
	uint8_t			 timeout;

	f.tcp_state = (uint8_t)tcp_out[_i].state;
	if (tcp_out[_i].reply_first)
		f.tcp_flags[1] |= FLOW_TCPF_CLOSE_INIT;
	ctmap_export_peers(&f, &src, &dst, &timeout);
	ck_assert_uint_eq(src.state, tcp_out[_i].src);
	ck_assert_uint_eq(dst.state, tcp_out[_i].dst);
	ck_assert_uint_eq(timeout, tcp_out[_i].timeout);
	ck_assert_uint_eq(src.wscale, 0x87);
	ck_assert_uint_eq(dst.wscale, 0x8a);
	ck_assert_uint_eq(src.seqlo | src.seqhi | src.max_win | dst.seqlo, 0);
	/* and back: the same state, and the same side closed first */
	ck_assert(ctmap_progress(&f, src.state, dst.state));
	ck_assert_uint_eq(f.tcp_state, tcp_out[_i].state);
	if (tcp_out[_i].reply_first)
		ck_assert_uint_eq(f.tcp_flags[0] & FLOW_TCPF_CLOSE_INIT, 0);
}
END_TEST

/* The side of the first FIN is learnt once. */
START_TEST(close_init)
{
	static const struct { uint8_t src, dst, orig, reply; } t[] = {
		{ 7, 4, 1, 0 }, { 4, 7, 0, 1 }, { 9, 7, 1, 0 },
		{ 7, 9, 0, 1 }, { 7, 7, 1, 0 }, { 4, 4, 0, 0 },
		{ 10, 10, 0, 0 }
	};
	struct flow	 f = make(4, IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2",
			    2);

	ck_assert(ctmap_progress(&f, t[_i].src, t[_i].dst));
	ck_assert_uint_eq(!!(f.tcp_flags[0] & FLOW_TCPF_CLOSE_INIT),
	    t[_i].orig);
	ck_assert_uint_eq(!!(f.tcp_flags[1] & FLOW_TCPF_CLOSE_INIT),
	    t[_i].reply);
	ck_assert(ctmap_progress(&f, 9, 9));
	ck_assert_uint_eq(f.tcp_state, FLOW_TCP_TIME_WAIT);
	if (t[_i].reply)
		ck_assert_uint_eq(f.tcp_flags[0] & FLOW_TCPF_CLOSE_INIT, 0);
}
END_TEST

/* ---- others ---- */

static const struct {
	uint8_t		 proto;
	uint32_t	 status;
	uint8_t		 src, dst, timeout;
} others[] = {
	{ IPPROTO_UDP, 0, 1, 0, 6 },
	{ IPPROTO_UDP, FLOW_SEEN_REPLY, 2, 1, 7 },
	{ IPPROTO_UDP, FLOW_STATUS, 2, 2, 8 },
	{ IPPROTO_ICMP, 0, 0, 0, 9 },
	{ IPPROTO_ICMP, FLOW_SEEN_REPLY, 1, 1, 9 },
	{ IPPROTO_ESP, 0, 1, 0, 11 },
	{ IPPROTO_GRE, FLOW_SEEN_REPLY, 2, 1, 12 },
	{ IPPROTO_ESP, FLOW_STATUS, 2, 2, 13 }
};

START_TEST(other_states)
{
	struct flow		 f = make(4, others[_i].proto, "10.0.0.1", 0,
				    "10.0.0.2", 0x0800);
	struct pfsync_peer	 src, dst;
	uint8_t			 timeout;

	f.status = others[_i].status;
	ctmap_export_peers(&f, &src, &dst, &timeout);
	ck_assert_uint_eq(src.state, others[_i].src);
	ck_assert_uint_eq(dst.state, others[_i].dst);
	ck_assert_uint_eq(timeout, others[_i].timeout);
	ck_assert_uint_eq(ctmap_status(f.proto, src.state, dst.state),
	    f.status);
}
END_TEST

START_TEST(statuses)
{
	static const struct { uint8_t proto, src, dst; uint32_t want; } t[] = {
		{ IPPROTO_TCP, 2, 0, 0 },
		{ IPPROTO_TCP, 4, 2, FLOW_SEEN_REPLY },
		{ IPPROTO_TCP, 4, 4, FLOW_STATUS },
		{ IPPROTO_TCP, 10, 10, FLOW_STATUS },
		{ IPPROTO_UDP, 1, 1, FLOW_SEEN_REPLY },
		{ IPPROTO_UDP, 2, 2, FLOW_STATUS },
		{ IPPROTO_ICMPV6, 2, 2, FLOW_SEEN_REPLY },
	};

	ck_assert_uint_eq(ctmap_status(t[_i].proto, t[_i].src, t[_i].dst),
	    t[_i].want);
}
END_TEST

START_TEST(timeouts)
{
	static const uint32_t	 pf[] = { 120, 30, 86400, 900, 45, 90, 60, 30,
				    60, 20, 10, 60, 30, 60 };
	unsigned int		 i;

	for (i = 0; i < 256; i++)
		ck_assert_uint_eq(ctmap_pf_timeout((uint8_t)i),
		    i < LEN(pf) ? pf[i] : 0);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_TCP, FLOW_TCP_ESTABLISHED, 0),
	    432000);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_TCP, FLOW_TCP_CLOSE, 0), 10);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_UDP, 0, 0), 30);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_UDP, 0, FLOW_STATUS), 120);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_ICMPV6, 0, FLOW_STATUS), 30);
	ck_assert_uint_eq(ctmap_timeout(IPPROTO_ESP, 0, 0), 600);
	for (i = 0; i <= FLOW_TCP_MAX; i++)
		ck_assert_uint_gt(ctmap_timeout(IPPROTO_TCP, i, 0), 0);
}
END_TEST

/* ---- keys ---- */

static void
check_key(const struct pfsync_key *k, uint8_t af, const char *a0, uint16_t p0,
    const char *a1, uint16_t p1)
{
	uint8_t	 want[16];

	addr(af, a0, want);
	ck_assert_mem_eq(k->addr[0], want, 16);
	addr(af, a1, want);
	ck_assert_mem_eq(k->addr[1], want, 16);
	ck_assert_uint_eq(k->port[0], p0);
	ck_assert_uint_eq(k->port[1], p1);
}

/* Source and destination translated, each with another port. */
START_TEST(keys_nat)
{
	struct flow		 f = make(4, IPPROTO_TCP, "10.0.0.2", 4000,
				    "192.0.2.1", 80);
	struct pfsync_state	 s;

	snat(&f, "203.0.113.1", 61000);
	dnat(&f, "172.16.0.9", 8080);
	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	ck_assert_uint_eq(s.direction, PFSYNC_DIR_IN);
	check_key(&s.key[0], 4, "10.0.0.2", 4000, "192.0.2.1", 80);
	check_key(&s.key[1], 4, "10.0.0.2", 4000, "172.16.0.9", 8080);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_OPENBSD, &s);
	ck_assert_uint_eq(s.direction, PFSYNC_DIR_OUT);
	check_key(&s.key[0], 4, "172.16.0.9", 8080, "203.0.113.1", 61000);
	check_key(&s.key[1], 4, "172.16.0.9", 8080, "10.0.0.2", 4000);
}
END_TEST

/* As in the captures: identifier and type, or the identifier twice. */
START_TEST(keys_icmp)
{
	struct flow		 f = make(4, IPPROTO_ICMP, "10.66.0.4", 12016,
				    "10.66.1.4", 0x0800);
	struct pfsync_state	 s;

	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	check_key(&s.key[0], 4, "10.66.0.4", 12016, "10.66.1.4", 8);
	check_key(&s.key[1], 4, "10.66.0.4", 12016, "10.66.1.4", 8);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_OPENBSD, &s);
	check_key(&s.key[0], 4, "10.66.1.4", 8, "10.66.0.4", 12016);
	check_key(&s.key[1], 4, "10.66.1.4", 8, "10.66.0.4", 12016);
	snat(&f, "203.0.113.1", 777);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_OPENBSD, &s);
	check_key(&s.key[0], 4, "10.66.1.4", 8, "203.0.113.1", 777);
	check_key(&s.key[1], 4, "10.66.1.4", 8, "10.66.0.4", 12016);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_1301, &s);
	check_key(&s.key[0], 4, "10.66.1.4", 777, "203.0.113.1", 777);
	check_key(&s.key[1], 4, "10.66.1.4", 12016, "10.66.0.4", 12016);
}
END_TEST

START_TEST(rest_of_state)
{
	struct flow		 f = make(6, IPPROTO_TCP, "2001:db8::1", 1,
				    "2001:db8::2", 2);
	struct pfsync_state	 s;

	f.timeout = 432000;
	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	ck_assert_str_eq(s.ifname, "all");
	ck_assert_uint_eq(s.af, PFSYNC_AF_INET6_OPENBSD);
	ck_assert_uint_eq(s.key[0].af, PFSYNC_AF_INET6_OPENBSD);
	ck_assert_uint_eq(s.key[1].af, PFSYNC_AF_INET6_OPENBSD);
	ck_assert_uint_eq(s.proto, IPPROTO_TCP);
	ck_assert_uint_eq(s.expire, 86400);
	ck_assert_uint_eq(s.state_flags, PFSYNC_STATE_SLOPPY);
	ck_assert_uint_eq(s.rule & s.anchor & s.nat_rule, UINT32_MAX);
	ck_assert_int_eq(s.rtableid[0], -1);
	ck_assert_int_eq(s.rtableid[1], -1);
	ck_assert_uint_eq(s.rt, 0);
	ck_assert(s.id == 0 && s.creatorid == 0 && s.creation == 0);
	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_1500, &s);
	ck_assert_uint_eq(s.af, PFSYNC_AF_INET6_FREEBSD);
	ck_assert_uint_eq(s.stack_af, PFSYNC_AF_INET6_FREEBSD);
	ck_assert_uint_eq(s.stack_proto, IPPROTO_TCP);
	f = make(4, IPPROTO_UDP, "10.0.0.1", 1, "10.0.0.2", 2);
	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	ck_assert_uint_eq(s.af, PFSYNC_AF_INET);
	ck_assert_uint_eq(s.expire, 50);
	ck_assert_uint_eq(s.state_flags, 0);
	f.timeout = 0;
	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	ck_assert_uint_eq(s.expire, 1);	/* 0 would be pf's default */
}
END_TEST

/* ---- there and back ---- */

#define FLOWS	8

static struct flow
sample(int i)
{
	switch (i) {
	case 0:
		return (make(4, IPPROTO_TCP, "10.0.0.2", 4000, "192.0.2.1",
		    80));
	case 1:
		return (make(6, IPPROTO_TCP, "2001:db8::2", 4000,
		    "2001:db8:1::9", 80));
	case 2:
		return (make(4, IPPROTO_UDP, "10.0.0.2", 53, "192.0.2.1",
		    53));
	case 3:
		return (make(6, IPPROTO_UDP, "2001:db8::2", 53,
		    "2001:db8:1::9", 53));
	case 4:
		return (make(4, IPPROTO_ICMP, "10.0.0.2", 0x1234,
		    "192.0.2.1", 0x0800));
	case 5:
		return (make(4, IPPROTO_ICMP, "10.0.0.2", 0x1234,
		    "192.0.2.1", 13 << 8));
	case 6:
		return (make(6, IPPROTO_ICMPV6, "2001:db8::2", 0x1234,
		    "2001:db8:1::9", 0x8000));
	default:
		return (make(4, IPPROTO_ESP, "10.0.0.2", 0, "192.0.2.1", 0));
	}
}

static bool
has_ports(const struct flow *f)
{
	return (f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP);
}

/* nat: bit 0 source, bit 1 destination */
static void
translate(struct flow *f, int nat)
{
	bool	 icmp = f->proto == IPPROTO_ICMP ||
		    f->proto == IPPROTO_ICMPV6;

	if (nat & 1)
		snat(f, f->af == 4 ? "203.0.113.1" : "2001:db8:f::1",
		    has_ports(f) || icmp ? 61000 : 0);
	if (nat & 2)
		dnat(f, f->af == 4 ? "172.16.0.9" : "2001:db8:e::9",
		    has_ports(f) ? 8080 : 0);
}

/* Everything that both know survives. */
static void
check_same(const struct flow *got, const struct flow *want)
{
	char	 a[FLOW_STRLEN], b[FLOW_STRLEN];

	ck_assert_str_eq(flow_print(got, a, sizeof(a)),
	    flow_print(want, b, sizeof(b)));
	ck_assert_mem_eq(&got->orig, &want->orig, sizeof(got->orig));
	ck_assert_mem_eq(&got->reply, &want->reply, sizeof(got->reply));
	ck_assert_uint_eq(got->tcp_state, want->tcp_state);
	ck_assert_mem_eq(got->wscale, want->wscale, sizeof(got->wscale));
	ck_assert_mem_eq(got->tcp_flags, want->tcp_flags,
	    sizeof(got->tcp_flags));
	ck_assert_uint_eq(got->timeout, want->timeout);
	ck_assert_uint_eq(got->mark | got->zone, 0);
	ck_assert_ptr_null(flow_check(got, false));
}

static uint32_t
status_of(const struct flow *f)
{
	return (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6 ?
	    FLOW_SEEN_REPLY : FLOW_STATUS);
}

START_TEST(round_trip)
{
	struct flow		 f = sample(_i % FLOWS), g;
	int			 nat = _i / FLOWS % 4;
	enum pfsync_form	 form = (enum pfsync_form)(_i / FLOWS / 4);
	struct pfsync_state	 in, out;

	/* the old key has no type */
	if (form == PFSYNC_FORM_1301 && f.proto == IPPROTO_ICMP &&
	    f.orig.dport != 0x0800)
		return;
	translate(&f, nat);
	ck_assert_ptr_null(ctmap_exportable(&f));
	ctmap_export(&f, CTMAP_IN, form, &in);
	ctmap_export(&f, CTMAP_OUT, form, &out);
	f.timeout = in.expire;
	ck_assert(ctmap_pair(&in, &out));
	ck_assert(!ctmap_pair(&out, &in));
	ck_assert(ctmap_import(&in, &out, form, &g));
	check_same(&g, &f);
	ck_assert_uint_eq(g.status, status_of(&f));
	/* the wrong way round, and twice the same */
	ck_assert(!ctmap_import(&out, &in, form, &g));
	ck_assert(!ctmap_import(&in, &in, form, &g));
	/* alone: what the other half would have said is missing */
	ck_assert(ctmap_import(&in, NULL, form, &g));
	ck_assert_mem_eq(&g.orig, &f.orig, sizeof(g.orig));
	ck_assert_mem_eq(g.reply.src, f.reply.src, 16);
	ck_assert_mem_eq(g.reply.dst, f.orig.src, 16);
	ck_assert(ctmap_import(NULL, &out, form, &g));
	ck_assert_mem_eq(&g.reply, &f.reply, sizeof(g.reply));
	ck_assert_mem_eq(g.orig.src, f.orig.src, 16);
	ck_assert_mem_eq(g.orig.dst, f.reply.src, 16);
	if (nat == 0) {
		ck_assert(ctmap_import(&in, NULL, form, &g));
		check_same(&g, &f);
		ck_assert(ctmap_import(NULL, &out, form, &g));
		check_same(&g, &f);
	}
}
END_TEST

/* Only the further one of two halves counts, side by side. */
START_TEST(further_half)
{
	struct flow		 f = sample(0), g;
	struct pfsync_state	 in, out;

	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &in);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_OPENBSD, &out);
	in.src.state = 7;
	out.dst.state = 9;
	in.expire = 3;
	out.expire = 40;
	ck_assert(ctmap_import(&in, &out, PFSYNC_FORM_OPENBSD, &g));
	ck_assert_uint_eq(g.tcp_state, FLOW_TCP_LAST_ACK);
	ck_assert_uint_eq(g.timeout, 40);
	/* a scale of one side only is none */
	in.src.wscale = out.src.wscale = 0;
	ck_assert(ctmap_import(&in, &out, PFSYNC_FORM_OPENBSD, &g));
	ck_assert_uint_eq((g.tcp_flags[0] | g.tcp_flags[1]) &
	    FLOW_TCPF_WSCALE, 0);
	ck_assert_uint_eq(g.wscale[0] | g.wscale[1], 0);
	in.src.wscale = in.dst.wscale = 0x8f;	/* above what TCP knows */
	ck_assert(ctmap_import(&in, &out, PFSYNC_FORM_OPENBSD, &g));
	ck_assert_uint_eq(g.wscale[0], 14);
	in.expire = out.expire = UINT32_MAX;
	ck_assert(ctmap_import(&in, &out, PFSYNC_FORM_OPENBSD, &g));
	ck_assert_uint_eq(g.timeout, 432000);
}
END_TEST

/* The kernel leaves what it likes behind an IPv4 address. */
START_TEST(padded_addresses)
{
	struct flow		 f = sample(0), g;
	struct pfsync_state	 in, out;

	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &in);
	ctmap_export(&f, CTMAP_OUT, PFSYNC_FORM_OPENBSD, &out);
	memset(in.key[0].addr[0] + 4, 0xaa, 12);
	memset(in.key[1].addr[1] + 4, 0xbb, 12);
	memset(out.key[1].addr[0] + 4, 0xcc, 12);
	ck_assert(ctmap_pair(&in, &out));
	ck_assert(ctmap_import(&in, &out, PFSYNC_FORM_OPENBSD, &g));
	ck_assert_mem_eq(&g.orig, &f.orig, sizeof(g.orig));
	ck_assert_mem_eq(&g.reply, &f.reply, sizeof(g.reply));
}
END_TEST

/* ---- ICMP of others ---- */

static const struct {
	enum pfsync_form form;
	uint8_t		 af;
	uint16_t	 id, port;	/* of initiator and responder */
	uint8_t		 want;		/* type, NONE: refused */
} icmp_in[] = {
	{ PFSYNC_FORM_OPENBSD, 4, 77, 8, 8 },
	{ PFSYNC_FORM_OPENBSD, 4, 77, 13, 13 },
	{ PFSYNC_FORM_OPENBSD, 4, 77, 17, 17 },
	{ PFSYNC_FORM_OPENBSD, 4, 77, 30, 8 },	/* unknown: echo */
	{ PFSYNC_FORM_OPENBSD, 4, 77, 77, 8 },
	{ PFSYNC_FORM_OPENBSD, 4, 13, 13, 13 },
	{ PFSYNC_FORM_1301, 4, 13, 13, 8 },
	{ PFSYNC_FORM_1400, 4, 500, 500, 8 },
	{ PFSYNC_FORM_1500, 4, 500, 8, 8 },	/* the new key */
	{ PFSYNC_FORM_OPENBSD, 6, 77, 128, 128 },
	{ PFSYNC_FORM_OPENBSD, 6, 64867, 135, NONE },	/* as captured */
	{ PFSYNC_FORM_OPENBSD, 6, 0, 137, NONE },
	{ PFSYNC_FORM_OPENBSD, 6, 0, 130, NONE },
	{ PFSYNC_FORM_OPENBSD, 6, 9, 139, NONE },
	{ PFSYNC_FORM_1301, 6, 77, 77, 128 },
	{ PFSYNC_FORM_1301, 6, 0, 0, NONE },	/* neighbour discovery */
	{ PFSYNC_FORM_1301, 6, 24576, 24576, NONE },
	{ PFSYNC_FORM_1301, 6, 57344, 57344, NONE }
};

START_TEST(icmp_import)
{
	bool			 six = icmp_in[_i].af == 6;
	struct flow		 f = sample(six ? 6 : 4), g;
	enum pfsync_form	 form = icmp_in[_i].form;
	struct pfsync_state	 s;
	int			 half, k;

	for (half = 0; half < 2; half++) {
		ctmap_export(&f, half, form, &s);
		for (k = 0; k < 2; k++) {
			s.key[k].port[half] = icmp_in[_i].id;
			s.key[k].port[!half] = icmp_in[_i].port;
		}
		ck_assert_int_eq(ctmap_import(half == 0 ? &s : NULL,
		    half == 0 ? NULL : &s, form, &g),
		    icmp_in[_i].want != NONE);
		if (icmp_in[_i].want == NONE)
			continue;
		ck_assert_uint_eq(g.orig.sport, icmp_in[_i].id);
		ck_assert_uint_eq(g.reply.sport, icmp_in[_i].id);
		ck_assert_uint_eq(g.orig.dport, icmp_in[_i].want << 8);
		ck_assert_mem_eq(g.orig.src, f.orig.src, 16);
	}
}
END_TEST

/* ---- refusals ---- */

enum { R_FINE, R_DIRECTION, R_NAT64, R_RDOMAIN, R_STACK_AF, R_STACK_PROTO,
    R_PROXY, R_SEQDIFF, R_EXPIRE, R_PROTO_PFSYNC, R_PROTO_CARP, R_PROTO_SCTP,
    R_PROTO_ICMP6, R_FAMILY, R_UNSPECIFIED, R_UDP_STATE, R_PARTNER, R_MAX };

START_TEST(import_refused)
{
	struct flow		 f = sample(_i == R_UDP_STATE ? 2 : 0), g;
	enum pfsync_form	 form = PFSYNC_FORM_1500;
	struct pfsync_state	 in, out, *s = &in;
	bool			 want = _i == R_FINE;
	int			 both;

	for (both = 0; both < 2; both++) {
		ctmap_export(&f, CTMAP_IN, form, &in);
		ctmap_export(&f, CTMAP_OUT, form, &out);
		switch (_i) {
		case R_DIRECTION: s->direction = 0; break;
		case R_NAT64: s->key[1].af = PFSYNC_AF_INET6_FREEBSD; break;
		case R_RDOMAIN: s->key[1].rdomain = 7; break;
		case R_STACK_AF: s->stack_af = PFSYNC_AF_INET6_FREEBSD; break;
		case R_STACK_PROTO: s->stack_proto = IPPROTO_UDP; break;
		case R_PROXY: s->dst.state = 11; break;
		case R_SEQDIFF: s->dst.seqdiff = 1; break;
		case R_EXPIRE: in.expire = out.expire = 0; break;
		case R_PROTO_PFSYNC: s->proto = s->stack_proto = 240; break;
		case R_PROTO_CARP: s->proto = s->stack_proto = 112; break;
		case R_PROTO_SCTP: s->proto = s->stack_proto = 132; break;
		case R_PROTO_ICMP6: s->proto = s->stack_proto = 58; break;
		case R_FAMILY: s->af = 10; break;
		case R_UNSPECIFIED: memset(s->key[0].addr, 0, 32); break;
		case R_UDP_STATE: s->src.state = 3; break;
		case R_PARTNER:
			s->key[1].port[1]++;
			want = !both;
			break;
		default: break;
		}
		ck_assert_int_eq(ctmap_import(&in, both ? &out : NULL, form,
		    &g), want);
	}
}
END_TEST

/* OpenBSD takes keys without family. */
START_TEST(keys_without_af)
{
	struct flow		 f = sample(0), g;
	struct pfsync_state	 s;

	ctmap_export(&f, CTMAP_IN, PFSYNC_FORM_OPENBSD, &s);
	s.key[0].af = s.key[1].af = 0;
	ck_assert(ctmap_import(&s, NULL, PFSYNC_FORM_OPENBSD, &g));
	s.key[0].af = PFSYNC_AF_INET;
	ck_assert(!ctmap_import(&s, NULL, PFSYNC_FORM_OPENBSD, &g));
}
END_TEST

enum { X_ZONE, X_MULTICAST, X_BROADCAST, X_NO_TCP_STATE, X_PFSYNC, X_CARP,
    X_SCTP, X_DCCP, X_UDPLITE, X_ICMP_REPLY, X_ICMP_CODE, X_NI_QUERY, X_MAX };

START_TEST(export_refused)
{
	struct flow	 f = sample(_i == X_NI_QUERY ? 6 :
			    _i == X_ICMP_REPLY || _i == X_ICMP_CODE ? 4 : 0);

	ck_assert_ptr_null(ctmap_exportable(&f));
	switch (_i) {
	case X_ZONE: f.zone = 3; break;
	case X_MULTICAST: addr(4, "224.0.0.5", f.orig.dst); break;
	case X_BROADCAST: addr(4, "255.255.255.255", f.orig.dst); break;
	case X_NO_TCP_STATE: f.tcp_state = FLOW_TCP_NONE; break;
	case X_PFSYNC: f.proto = 240; break;
	case X_CARP: f.proto = 112; break;
	case X_SCTP: f.proto = IPPROTO_SCTP; break;
	case X_DCCP: f.proto = IPPROTO_DCCP; break;
	case X_UDPLITE: f.proto = IPPROTO_UDPLITE; break;
	case X_ICMP_REPLY: f.orig.dport = 0; break;
	case X_ICMP_CODE: f.orig.dport |= 1; break;
	case X_NI_QUERY: f.orig.dport = 139 << 8; break;
	default: break;
	}
	ck_assert_ptr_nonnull(ctmap_exportable(&f));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ctmap");
	TCase	*tc = tcase_create("ctmap");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, tcp_import, 0, LEN(tcp_in));
	tcase_add_loop_test(tc, tcp_export, 0, LEN(tcp_out));
	tcase_add_loop_test(tc, close_init, 0, 7);
	tcase_add_loop_test(tc, other_states, 0, LEN(others));
	tcase_add_loop_test(tc, statuses, 0, 7);
	tcase_add_test(tc, timeouts);
	tcase_add_test(tc, keys_nat);
	tcase_add_test(tc, keys_icmp);
	tcase_add_test(tc, rest_of_state);
	tcase_add_loop_test(tc, round_trip, 0, FLOWS * 4 * PFSYNC_FORM_MAX);
	tcase_add_test(tc, further_half);
	tcase_add_test(tc, padded_addresses);
	tcase_add_loop_test(tc, icmp_import, 0, LEN(icmp_in));
	tcase_add_loop_test(tc, import_refused, 0, R_MAX);
	tcase_add_test(tc, keys_without_af);
	tcase_add_loop_test(tc, export_refused, 0, X_MAX);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
