/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/os/statetbl against the kernel's own table, and the table process
 * around it, in a network namespace.  "Somebody else" is a second statetbl.
 * Needs root.
 */
#include <sys/socket.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/imsg.h"
#include "../../common/log.h"
#include "../../common/os/netlink.h"
#include "../../pfsyncd/msgs.h"
#include "../../pfsyncd/os/statetbl.h"
#include "../../pfsyncd/pfsyncd.h"
#include "netns.h"

#define EVENTS_MAX	4096
#define MANY		2000		/* more than a dump part holds */

static struct statetbl_event	 events[EVENTS_MAX];
static struct statetbl_result	 results[EVENTS_MAX];
static size_t			 nevents, nresults, noverruns, ndumped;
static bool			 dump_complete;
static struct statetbl		*tbl, *other;

static void
got_event(const struct statetbl_event *e, void *arg)
{
	(void)arg;
	ck_assert_uint_lt(nevents, EVENTS_MAX);
	ck_assert_ptr_null(flow_check(&e->f, e->type == STATETBL_DESTROY));
	events[nevents++] = *e;
}

static void
got_result(const struct statetbl_result *r, void *arg)
{
	(void)arg;
	ck_assert_uint_lt(nresults, EVENTS_MAX);
	results[nresults++] = *r;
}

static void
got_overrun(void *arg)
{
	(void)arg;
	noverruns++;
}

static void
got_dumped(uint32_t dump, bool complete, void *arg)
{
	(void)arg;
	ck_assert_uint_eq(dump, 7);
	dump_complete = complete;
	ndumped++;
}

static void
ignore_event(const struct statetbl_event *e, void *arg)
{
	(void)e;
	(void)arg;
}

static void
ignore(void *arg)
{
	(void)arg;
}

static const struct statetbl_cbs	 cbs = {
	got_event, got_result, got_overrun, got_dumped, NULL
}, other_cbs = {
	ignore_event, got_result, ignore, got_dumped, NULL
};

static void
no_log(int pri, const char *line, void *arg)
{
	(void)pri;
	(void)line;
	(void)arg;
}

static void
setup(void)
{
	netns_enter();
	log_set_sink(no_log, NULL);
	ck_assert_ptr_nonnull(tbl = statetbl_open(0, &cbs));
	ck_assert_ptr_nonnull(other = statetbl_open(4096, &other_cbs));
	nevents = nresults = noverruns = ndumped = 0;
}

static void
teardown(void)
{
	statetbl_close(tbl);
	statetbl_close(other);
}

/* -- flows -- */

struct kind {
	const char	*name;
	uint8_t		 af, proto;
	uint16_t	 sport, dport;
	unsigned int	 nat;		/* FLOW_SNAT | FLOW_DNAT */
	uint16_t	 nport;		/* SNAT: source port or id */
	uint16_t	 zone;
	uint32_t	 mark;
};

#define ECHO4	(8 << 8)
#define ECHO6	(128 << 8)

static const struct kind kinds[] = {
	{ "tcp", 4, IPPROTO_TCP, 4000, 80, 0, 0, 0, 0 },
	{ "tcp mark zone", 4, IPPROTO_TCP, 4000, 80, 0, 0, 9, 0x80000001 },
	{ "tcp snat", 4, IPPROTO_TCP, 4001, 80, FLOW_SNAT, 5001, 0, 0 },
	{ "tcp snat same port", 4, IPPROTO_TCP, 4002, 80, FLOW_SNAT, 4002,
	    3, 1 },
	{ "tcp dnat", 4, IPPROTO_TCP, 4003, 80, FLOW_DNAT, 0, 0, 0 },
	{ "tcp both", 4, IPPROTO_TCP, 4004, 80, FLOW_SNAT | FLOW_DNAT, 5004,
	    0, 0 },
	{ "udp", 4, IPPROTO_UDP, 4000, 53, 0, 0, 0, 0 },
	{ "udp snat", 4, IPPROTO_UDP, 4001, 53, FLOW_SNAT, 5001, 0, 0 },
	{ "udp dnat", 4, IPPROTO_UDP, 4002, 53, FLOW_DNAT, 0, 0, 0 },
	{ "icmp", 4, IPPROTO_ICMP, 10, ECHO4, 0, 0, 0, 0 },
	{ "icmp snat", 4, IPPROTO_ICMP, 11, ECHO4, FLOW_SNAT, 11, 0, 0 },
	{ "icmp snat id", 4, IPPROTO_ICMP, 12, ECHO4, FLOW_SNAT, 500, 0, 0 },
	{ "icmp dnat", 4, IPPROTO_ICMP, 13, ECHO4, FLOW_DNAT, 0, 0, 0 },
	{ "icmp both id", 4, IPPROTO_ICMP, 14, ECHO4, FLOW_SNAT | FLOW_DNAT,
	    501, 0, 0 },
	{ "sctp dnat", 4, IPPROTO_SCTP, 4000, 80, FLOW_DNAT, 0, 0, 0 },
	{ "esp", 4, IPPROTO_ESP, 0, 0, 0, 0, 0, 0 },
	{ "esp snat", 4, IPPROTO_ESP, 0, 0, FLOW_SNAT, 0, 5, 0 },
	{ "tcp6", 6, IPPROTO_TCP, 4000, 80, 0, 0, 0, 7 },
	{ "tcp6 snat", 6, IPPROTO_TCP, 4001, 80, FLOW_SNAT, 5001, 0, 0 },
	{ "tcp6 both", 6, IPPROTO_TCP, 4002, 80, FLOW_SNAT | FLOW_DNAT, 5002,
	    0, 0 },
	{ "udp6 dnat", 6, IPPROTO_UDP, 4000, 53, FLOW_DNAT, 0, 0, 0 },
	{ "icmp6", 6, IPPROTO_ICMPV6, 10, ECHO6, 0, 0, 0, 0 },
	{ "icmp6 snat id", 6, IPPROTO_ICMPV6, 11, ECHO6, FLOW_SNAT, 500, 0,
	    0 },
};
#define NKINDS	((int)(sizeof(kinds) / sizeof(kinds[0])))

/* 10.9.0.n or fd00::9:n */
static void
address(uint8_t af, uint8_t n, uint8_t a[16])
{
	memset(a, 0, 16);
	if (af == 4)
		memcpy(a, "\12\11\0", 3);
	else
		memcpy(a, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\11", 15);
	a[af == 4 ? 3 : 15] = n;
}

/* From 1 to 2; SNAT to 77, DNAT to 88. */
static struct flow
flow_of(const struct kind *k)
{
	struct flow	 f;
	bool		 icmp = k->proto == IPPROTO_ICMP ||
	    k->proto == IPPROTO_ICMPV6;

	memset(&f, 0, sizeof(f));
	f.af = k->af;
	f.proto = k->proto;
	address(k->af, 1, f.orig.src);
	address(k->af, 2, f.orig.dst);
	f.orig.sport = k->sport;
	f.orig.dport = k->dport;
	flow_invert(&f.orig, f.proto, &f.reply);
	if (k->nat & FLOW_SNAT) {
		address(k->af, 77, f.reply.dst);
		if (icmp)
			f.reply.sport = k->nport;
		else
			f.reply.dport = k->nport;
	}
	if (k->nat & FLOW_DNAT) {
		address(k->af, 88, f.reply.src);
		if (!icmp && k->proto != IPPROTO_ESP)
			f.reply.sport = 8080;
	}
	f.zone = k->zone;
	f.mark = k->mark;
	f.timeout = 300;
	f.status = FLOW_SEEN_REPLY | FLOW_ASSURED;
	if (f.proto == IPPROTO_TCP) {
		f.tcp_state = FLOW_TCP_ESTABLISHED;
		f.tcp_flags[0] = FLOW_TCPF_WSCALE | FLOW_TCPF_SACK;
		f.tcp_flags[1] = FLOW_TCPF_WSCALE;
		f.wscale[0] = 7;
		f.wscale[1] = 14;
	}
	return (f);
}

static struct flow
tcp(void)
{
	return (flow_of(&kinds[0]));
}

static struct flow
udp(void)
{
	return (flow_of(&kinds[6]));
}

/* The n-th of many. */
static struct flow
nth(unsigned int n)
{
	struct flow	 f = udp();

	f.orig.sport = f.reply.dport = (uint16_t)(10000 + n);
	return (f);
}

/* -- operations -- */

static struct statetbl_op
op_of(enum statetbl_op_type type, const struct flow *f)
{
	struct statetbl_op	 op;

	memset(&op, 0, sizeof(op));
	op.f = *f;
	op.type = (uint8_t)type;
	op.cookie = 42;
	return (op);
}

static void
run(struct statetbl *t, enum statetbl_op_type type, const struct flow *f)
{
	struct statetbl_op	 op = op_of(type, f);

	statetbl_ops(t, &op, 1);
}

/* ... without an error. */
static void
done(struct statetbl *t, enum statetbl_op_type type, const struct flow *f)
{
	char	 buf[FLOW_STRLEN];

	run(t, type, f);
	ck_assert_msg(nresults == 0, "operation %d on %s: %s (%d)", type,
	    flow_print(f, buf, sizeof(buf)), strerror(results[0].err),
	    results[0].error);
}

static void
many(struct statetbl *t, enum statetbl_op_type type, uint32_t timeout)
{
	static struct statetbl_op	 op[MANY];
	struct flow			 f;
	unsigned int			 i;

	for (i = 0; i < MANY; i++) {
		f = nth(i);
		f.timeout = timeout;
		op[i] = op_of(type, &f);
	}
	statetbl_ops(t, op, MANY);
	ck_assert_uint_eq(nresults, 0);
}

static void
dump_part(void)
{
	struct pollfd	 pfd = { statetbl_dump_fd(tbl), POLLIN, 0 };

	ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
	statetbl_dump_read(tbl);
}

static void
dump(enum statetbl_what what)
{
	nevents = ndumped = 0;
	ck_assert_int_eq(statetbl_dump(tbl, 7, what), 0);
	while (ndumped == 0)
		dump_part();
	ck_assert(dump_complete);
}

static void
read_all(void)
{
	while (statetbl_read(tbl, 100) > 0)
		;
}

/* What the table has of f now; false: nothing. */
static bool
lookup(const struct flow *f, struct statetbl_event *e)
{
	size_t	 before = nevents;
	bool	 found;

	done(tbl, STATETBL_VERIFY, f);
	ck_assert_uint_eq(nevents, before + 1);
	*e = events[--nevents];
	found = e->type == STATETBL_DUMP;
	ck_assert(found || e->type == STATETBL_DESTROY);
	ck_assert_uint_eq(e->dump, 0);
	ck_assert(flow_same(&e->f, f));
	return (found);
}

static bool
exists(const struct flow *f)
{
	struct statetbl_event	 e;

	return (lookup(f, &e));
}

static void
assert_is(const struct flow *is, const struct flow *f)
{
	char	 a[FLOW_STRLEN], b[FLOW_STRLEN];

	ck_assert_msg(flow_equal(is, f), "%s: is %s",
	    flow_print(f, a, sizeof(a)), flow_print(is, b, sizeof(b)));
	ck_assert_uint_le(is->timeout, f->timeout);
	ck_assert_uint_ge(is->timeout + 5, f->timeout);
}

static void
assert_has(const struct flow *f)
{
	struct statetbl_event	 e;
	char			 buf[FLOW_STRLEN];

	ck_assert_msg(lookup(f, &e), "%s: not there",
	    flow_print(f, buf, sizeof(buf)));
	assert_is(&e.f, f);
}

/* -- the raw table -- */

static int
status_attr(const struct nlattr *a, void *arg)
{
	if (mnl_attr_get_type(a) == CTA_STATUS)
		*(uint32_t *)arg = ntohl(mnl_attr_get_u32(a));
	return (MNL_CB_OK);
}

static int
status_cb(const struct nlmsghdr *h, void *arg)
{
	return (mnl_attr_parse(h, sizeof(struct nfgenmsg), status_attr, arg));
}

static struct nlmsghdr *
raw(void *buf, uint16_t type)
{
	struct nlmsghdr		*h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg		*g;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8) | type;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	return (h);
}

/* All status bits of the only entry. */
static uint32_t
only_status(void)
{
	char		 buf[256] __attribute__((aligned(4)));
	struct netlink	*n = netlink_open(NETLINK_NETFILTER, 0);
	uint32_t	 status = 0;

	ck_assert_ptr_nonnull(n);
	ck_assert_int_eq(netlink_dump(n, raw(buf, IPCTNL_MSG_CT_GET),
	    status_cb, &status), 0);
	netlink_close(n);
	return (status);
}

static void
raw_tuple(struct nlmsghdr *h, uint16_t type, const struct flow_tuple *t,
    uint8_t proto, bool zone)
{
	struct nlattr	*nest = mnl_attr_nest_start(h, type), *in;

	in = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	mnl_attr_put(h, CTA_IP_V4_SRC, 4, t->src);
	mnl_attr_put(h, CTA_IP_V4_DST, 4, t->dst);
	mnl_attr_nest_end(h, in);
	in = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(t->sport));
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(t->dport));
	mnl_attr_nest_end(h, in);
	if (zone)
		mnl_attr_put_u16(h, CTA_TUPLE_ZONE, htons(5));
	mnl_attr_nest_end(h, nest);
}

static void
raw_create(const struct flow *f, uint8_t proto, bool zone)
{
	char		 buf[512] __attribute__((aligned(4)));
	struct nlmsghdr	*h = raw(buf, IPCTNL_MSG_CT_NEW);
	struct netlink	*n = netlink_open(NETLINK_NETFILTER, 0);

	((struct nfgenmsg *)mnl_nlmsg_get_payload(h))->nfgen_family = AF_INET;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	raw_tuple(h, CTA_TUPLE_ORIG, &f->orig, proto, zone);
	raw_tuple(h, CTA_TUPLE_REPLY, &f->reply, proto, false);
	mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(100));
	ck_assert_ptr_nonnull(n);
	ck_assert_int_eq(netlink_talk(n, h), 0);
	netlink_close(n);
}

/* -- insertion -- */

START_TEST(insert)
{
	const struct kind	*k = &kinds[_i];
	struct flow		 f = flow_of(k);
	uint32_t		 status, want = IPS_CONFIRMED | f.status;

	ck_assert_msg(flow_nat(&f) == k->nat, "%s: test is wrong", k->name);
	done(tbl, STATETBL_PUT, &f);
	dump(STATETBL_ALL);
	ck_assert_msg(nevents == 1, "%s: %zu entries", k->name, nevents);
	ck_assert_uint_eq(events[0].type, STATETBL_DUMP);
	ck_assert_uint_eq(events[0].dump, 7);
	ck_assert_uint_ne(events[0].ctid, 0);
	assert_is(&events[0].f, &f);
	/* with the translated tuple but without these it would be a sham */
	if (k->nat & FLOW_SNAT)
		want |= IPS_SRC_NAT;
	if (k->nat & FLOW_DNAT)
		want |= IPS_DST_NAT;
	status = only_status();
	ck_assert_msg((status & ~(uint32_t)IPS_NAT_DONE_MASK) == want,
	    "%s: status %#x", k->name, status);
	/* our own doing is no event: the kernel does not even queue it */
	ck_assert_int_eq(recv(statetbl_event_fd(tbl), &status, sizeof(status),
	    MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	done(tbl, STATETBL_DELETE, &f);
	dump(STATETBL_ALL);
	ck_assert_uint_eq(nevents, 0);
}
END_TEST

/*
 * The first rule about connections makes the kernel track them here, the first
 * NAT chain makes it translate; neither needs rules that do.
 */
static void
nat_namespace(void)
{
	NETNS_RUN("ip link set lo up && ip addr add 10.9.0.1/24 dev lo && "
	    "ip addr add 10.9.0.2/24 dev lo && "
	    "ip addr add 10.9.0.77/24 dev lo");
	NETNS_RUN("nft 'table ip t { chain f { type filter hook output "
	    "priority 0; ct state invalid drop; }; "
	    "chain o { type nat hook output priority -100; }; "
	    "chain p { type nat hook postrouting priority 100; }; }'");
}

static int
socket_at(int type, int proto, uint8_t n, uint16_t port)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	struct timeval		 tv = { 5, 0 };
	uint8_t			 a[16];
	int			 s = socket(AF_INET, type, proto);

	address(4, n, a);
	memcpy(&sin.sin_addr, a, 4);
	sin.sin_port = htons(port);
	ck_assert_int_ne(s, -1);
	ck_assert_int_eq(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv,
	    sizeof(tv)), 0);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return (s);
}

static void
send_to(int s, uint8_t n, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in	 sin = { .sin_family = AF_INET };
	uint8_t			 a[16];

	address(4, n, a);
	memcpy(&sin.sin_addr, a, 4);
	sin.sin_port = htons(port);
	ck_assert_int_eq(sendto(s, data, len, 0, (struct sockaddr *)&sin,
	    sizeof(sin)), (int)len);
}

/* The last byte of the sender's address and its port. */
static void
assert_from(int s, uint8_t n, uint16_t port)
{
	struct sockaddr_in	 sin;
	socklen_t		 len = sizeof(sin);
	char			 buf[64];

	ck_assert_int_ge(recvfrom(s, buf, sizeof(buf), 0,
	    (struct sockaddr *)&sin, &len), 1);
	ck_assert_uint_eq(ntohl(sin.sin_addr.s_addr) & 0xff, n);
	ck_assert_uint_eq(ntohs(sin.sin_port), port);
}

/* A datagram goes the inserted flow's way, and its answer comes back. */
START_TEST(translates_udp)
{
	struct flow	 f = flow_of(&kinds[7]);
	int		 a, b;

	nat_namespace();
	a = socket_at(SOCK_DGRAM, 0, 1, 4001);
	b = socket_at(SOCK_DGRAM, 0, 2, 53);
	done(tbl, STATETBL_PUT, &f);
	send_to(a, 2, 53, "x", 1);
	assert_from(b, 77, 5001);
	send_to(b, 77, 5001, "y", 1);
	assert_from(a, 2, 53);
	close(a);
	close(b);
}
END_TEST

/* An ICMP message of that type and id came from 10.9.0.n. */
static void
assert_icmp(int s, uint8_t type, uint16_t id, uint8_t n)
{
	uint8_t	 ip[128];

	ck_assert_int_ge(recv(s, ip, sizeof(ip), 0), 28);
	ck_assert_uint_eq(ip[15], n);
	ck_assert_uint_eq(ip[20], type);
	ck_assert_uint_eq(ip[24] << 8 | ip[25], id);
}

/* The kernel answers; we see what arrives there and what comes back. */
START_TEST(translates_icmp)
{
	struct flow	 f = flow_of(&kinds[11]);
	const uint8_t	 echo[8] = { 8, 0, 0xf7, 0xf3, 0, 12, 0, 0 };
	int		 a, b;

	nat_namespace();
	a = socket_at(SOCK_RAW, IPPROTO_ICMP, 1, 0);
	b = socket_at(SOCK_RAW, IPPROTO_ICMP, 2, 0);
	done(tbl, STATETBL_PUT, &f);
	send_to(a, 2, 0, echo, sizeof(echo));
	assert_icmp(b, 8, 500, 77);
	assert_icmp(a, 0, 12, 2);
	close(a);
	close(b);
}
END_TEST

/* -- operations on what is there -- */

START_TEST(put_updates)
{
	struct flow		 f = tcp();
	struct statetbl_stats	 s;

	f.tcp_state = FLOW_TCP_SYN_SENT;
	f.status = 0;
	f.mark = 5;
	done(tbl, STATETBL_PUT, &f);
	assert_has(&f);
	f = tcp();
	f.timeout = 9000;
	f.mark = 0;
	done(tbl, STATETBL_PUT, &f);
	assert_has(&f);
	statetbl_stats(tbl, &s);
	ck_assert_uint_eq(s.inserts, 1);
	ck_assert_uint_eq(s.updates, 1);
	ck_assert_uint_eq(s.count, 1);
	ck_assert_uint_gt(s.max, 0);
}
END_TEST

/* Translation cannot be changed in place. */
START_TEST(put_translates_anew)
{
	struct flow	 a = flow_of(&kinds[2]), b = a, c = a;

	b.reply.dport = 6001;
	flow_invert(&c.orig, c.proto, &c.reply);
	done(tbl, STATETBL_PUT, &a);
	done(tbl, STATETBL_PUT, &b);
	assert_has(&b);
	ck_assert_uint_eq(only_status() & IPS_NAT_MASK, IPS_SRC_NAT);
	done(tbl, STATETBL_PUT, &c);
	assert_has(&c);
	ck_assert_uint_eq(only_status() & IPS_NAT_MASK, 0);
	done(tbl, STATETBL_PUT, &a);
	assert_has(&a);
}
END_TEST

/* The kernel never takes a status bit back, which is no failure. */
START_TEST(status_stays)
{
	static const uint32_t	 less[] = { 0, FLOW_SEEN_REPLY };
	struct flow		 f = tcp(), g = f;
	size_t			 i;

	done(tbl, STATETBL_PUT, &f);
	for (i = 0; i < 2; i++) {
		g.status = less[i];
		g.timeout = f.timeout = 1000 + (uint32_t)i * 100;
		g.tcp_state = f.tcp_state = FLOW_TCP_FIN_WAIT + (uint8_t)i;
		done(tbl, STATETBL_SET, &g);
		assert_has(&f);
	}
}
END_TEST

START_TEST(set_and_touch_create)
{
	static const enum statetbl_op_type	 types[] = {
		STATETBL_SET, STATETBL_TOUCH, STATETBL_REPLACE
	};
	struct flow				 f = flow_of(&kinds[_i]);
	size_t					 i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		done(tbl, types[i], &f);
		assert_has(&f);
		done(tbl, STATETBL_DELETE, &f);
		ck_assert(!exists(&f));
	}
}
END_TEST

START_TEST(touch_touches_timeout)
{
	struct flow	 f = tcp(), g = f;

	done(tbl, STATETBL_PUT, &f);
	g.tcp_state = FLOW_TCP_CLOSE;
	g.mark = 77;
	g.timeout = f.timeout = 5000;
	done(tbl, STATETBL_TOUCH, &g);
	assert_has(&f);
}
END_TEST

START_TEST(replace)
{
	struct flow	 f = flow_of(&kinds[4]), g = f;

	done(tbl, STATETBL_PUT, &f);
	g.tcp_state = FLOW_TCP_SYN_SENT;
	g.status = 0;			/* an update could not */
	g.reply.sport = 9090;
	done(tbl, STATETBL_REPLACE, &g);
	assert_has(&g);
	ck_assert_uint_eq(only_status() & ~(uint32_t)IPS_NAT_DONE_MASK,
	    IPS_CONFIRMED | IPS_DST_NAT);
}
END_TEST

START_TEST(liberal)
{
	struct flow		 f = tcp();
	struct statetbl_op	 op;

	done(tbl, STATETBL_LIBERAL, &f);	/* not there: nothing */
	ck_assert(!exists(&f));
	done(tbl, STATETBL_PUT, &f);
	done(tbl, STATETBL_LIBERAL, &f);
	f.tcp_flags[0] |= FLOW_TCPF_LIBERAL;
	f.tcp_flags[1] |= FLOW_TCPF_LIBERAL;
	assert_has(&f);
	/* a plain update leaves it */
	done(tbl, STATETBL_SET, &f);
	assert_has(&f);
	done(tbl, STATETBL_DELETE, &f);
	f = tcp();
	op = op_of(STATETBL_PUT, &f);
	op.flags = STATETBL_OP_LIBERAL;
	statetbl_ops(tbl, &op, 1);
	f.tcp_flags[0] |= FLOW_TCPF_LIBERAL;
	f.tcp_flags[1] |= FLOW_TCPF_LIBERAL;
	assert_has(&f);
}
END_TEST

START_TEST(delete_by_number)
{
	struct flow		 f = tcp();
	struct statetbl_op	 op = op_of(STATETBL_DELETE, &f);
	struct statetbl_event	 e;

	done(tbl, STATETBL_DELETE, &f);		/* not there: nothing */
	done(tbl, STATETBL_PUT, &f);
	ck_assert(lookup(&f, &e));
	op.ctid = e.ctid ^ 1;
	statetbl_ops(tbl, &op, 1);
	ck_assert(exists(&f));
	op.ctid = e.ctid;
	statetbl_ops(tbl, &op, 1);
	ck_assert(!exists(&f));
	ck_assert_uint_eq(nresults, 0);
}
END_TEST

START_TEST(delete_idle)
{
	struct flow	 f = tcp();

	done(tbl, STATETBL_DELETE_IDLE, &f);
	done(tbl, STATETBL_PUT, &f);
	f.timeout -= 100;
	done(tbl, STATETBL_DELETE_IDLE, &f);
	ck_assert_uint_eq(nevents, 1);
	ck_assert_uint_eq(events[0].type, STATETBL_DUMP);
	ck_assert_uint_eq(events[0].dump, 0);
	ck_assert_uint_gt(events[0].f.timeout, f.timeout);
	ck_assert_uint_ne(events[0].ctid, 0);
	f.timeout += 110;
	done(tbl, STATETBL_DELETE_IDLE, &f);
	ck_assert(!exists(&f));
	ck_assert_uint_eq(nevents, 1);
}
END_TEST

/* -- clashes -- */

static void
assert_clash(const struct flow *f, const struct flow *with)
{
	ck_assert_uint_eq(nresults, 1);
	ck_assert_uint_eq(results[0].error, STATETBL_CLASH);
	ck_assert_uint_eq(results[0].cookie, 42);
	ck_assert(flow_equal(&results[0].f, f));
	ck_assert(flow_equal(&results[0].other, with));
	nresults = 0;
}

/* Two nodes chose the same port. */
START_TEST(clash_of_ports)
{
	static const enum statetbl_op_type	 types[] = {
		STATETBL_PUT, STATETBL_SET, STATETBL_TOUCH, STATETBL_REPLACE
	};
	struct flow				 a = flow_of(&kinds[2]), b = a;

	address(4, 3, b.orig.src);
	done(tbl, STATETBL_PUT, &a);
	run(tbl, types[_i], &b);
	assert_clash(&b, &a);
	ck_assert(!exists(&b));
	assert_has(&a);
	done(tbl, STATETBL_DELETE, &a);
	done(tbl, STATETBL_PUT, &b);
	assert_has(&b);
}
END_TEST

/* The other one was begun from the far end. */
START_TEST(clash_of_directions)
{
	struct flow	 a = flow_of(&kinds[7]), b = a;

	b.orig = a.reply;
	flow_invert(&b.orig, b.proto, &b.reply);
	done(tbl, STATETBL_PUT, &a);
	run(tbl, STATETBL_PUT, &b);
	assert_clash(&b, &a);
	ck_assert(!exists(&b));
	/* what is no entry of its own takes nobody else's along */
	done(tbl, STATETBL_DELETE_IDLE, &b);
	done(tbl, STATETBL_DELETE, &b);
	assert_has(&a);
}
END_TEST

/* Another flow that has expired is in the way without being there. */
START_TEST(expired_is_not_in_the_way)
{
	struct flow	 a = flow_of(&kinds[8]), b = a;

	b.reply = a.orig;
	flow_invert(&b.reply, b.proto, &b.orig);
	a.timeout = 1;
	done(tbl, STATETBL_PUT, &a);
	(void)poll(NULL, 0, 1200);	/* to look would collect it */
	done(tbl, STATETBL_PUT, &b);
	assert_has(&b);
}
END_TEST

START_TEST(refused)
{
	struct flow	 f = flow_of(&kinds[15]);

	f.proto = IPPROTO_GRE;
	run(tbl, STATETBL_PUT, &f);
	ck_assert_uint_eq(nresults, 1);
	ck_assert_uint_eq(results[0].error, STATETBL_REFUSED);
	ck_assert_int_eq(results[0].err, EPROTONOSUPPORT);
}
END_TEST

/* A later operation of the batch has the last word. */
START_TEST(batch_keeps_order)
{
	static const enum statetbl_op_type	 first[] = {
		STATETBL_PUT, STATETBL_SET, STATETBL_REPLACE, STATETBL_TOUCH
	};
	struct flow				 f = tcp();
	struct statetbl_op			 op[2];

	op[0] = op_of(first[_i / 2], &f);
	op[1] = op_of(STATETBL_DELETE, &f);
	if (_i % 2 == 1)
		done(tbl, STATETBL_PUT, &f);
	statetbl_ops(tbl, op, 2);
	ck_assert(!exists(&f));
	op[1] = op[0];
	op[0] = op_of(STATETBL_DELETE, &f);
	statetbl_ops(tbl, op, 2);
	assert_has(&f);
	ck_assert_uint_eq(nresults, 0);
}
END_TEST

/* -- events -- */

static void
assert_event(size_t i, enum statetbl_ev type, uint8_t flags,
    const struct flow *f)
{
	ck_assert_uint_lt(i, nevents);
	ck_assert_uint_eq(events[i].type, type);
	ck_assert_uint_eq(events[i].flags, flags);
	ck_assert_uint_ne(events[i].ctid, 0);
	ck_assert(flow_same(&events[i].f, f));
}

START_TEST(foreign_events)
{
	struct flow	 f = flow_of(&kinds[_i]), g = f;

	done(other, STATETBL_PUT, &f);
	g.timeout = 400;
	done(other, STATETBL_SET, &g);
	done(other, STATETBL_DELETE, &f);
	read_all();
	ck_assert_uint_eq(nevents, 3);
	assert_event(0, STATETBL_NEW, STATETBL_EV_FOREIGN, &f);
	assert_event(1, STATETBL_UPDATE, STATETBL_EV_FOREIGN, &f);
	assert_event(2, STATETBL_DESTROY, STATETBL_EV_FOREIGN, &f);
	assert_is(&events[0].f, &f);
	assert_is(&events[1].f, &g);
	ck_assert_uint_eq(events[2].ctid, events[0].ctid);
}
END_TEST

START_TEST(watch_new)
{
	struct flow	 f = tcp();

	statetbl_watch_new(tbl, false);
	done(other, STATETBL_PUT, &f);
	done(tbl, STATETBL_LIBERAL, &f);	/* the others are heard again */
	done(other, STATETBL_SET, &f);
	read_all();
	ck_assert_uint_eq(nevents, 1);
	assert_event(0, STATETBL_UPDATE, STATETBL_EV_FOREIGN, &f);
	done(other, STATETBL_DELETE, &f);
	statetbl_watch_new(tbl, true);
	done(other, STATETBL_PUT, &f);
	read_all();
	ck_assert_uint_eq(nevents, 3);
	assert_event(1, STATETBL_DESTROY, STATETBL_EV_FOREIGN, &f);
	assert_event(2, STATETBL_NEW, STATETBL_EV_FOREIGN, &f);
}
END_TEST

/* Real packets: nobody's port. */
START_TEST(kernel_events)
{
	struct flow	 f = udp();
	int		 a, b;

	nat_namespace();
	a = socket_at(SOCK_DGRAM, 0, 1, 4000);
	b = socket_at(SOCK_DGRAM, 0, 2, 53);
	send_to(a, 2, 53, "x", 1);
	read_all();
	ck_assert_uint_eq(nevents, 1);
	assert_event(0, STATETBL_NEW, 0, &f);
	ck_assert_uint_eq(events[0].f.status, 0);
	assert_from(b, 1, 4000);
	send_to(b, 1, 4000, "y", 1);
	read_all();
	ck_assert_uint_eq(nevents, 2);
	assert_event(1, STATETBL_UPDATE, 0, &f);
	ck_assert_uint_eq(events[1].f.status, FLOW_SEEN_REPLY);
	/* the kernel rounds down, to 0 even */
	NETNS_RUN("echo 1 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout");
	send_to(b, 1, 4001, "z", 1);
	read_all();
	ck_assert_uint_ge(nevents, 3);
	ck_assert_uint_eq(events[2].type, STATETBL_NEW);
	ck_assert_uint_eq(events[2].f.timeout, 1);
	close(a);
	close(b);
}
END_TEST

/* At most so many. */
START_TEST(read_is_bounded)
{
	many(other, STATETBL_PUT, 300);
	ck_assert_uint_eq(statetbl_read(tbl, 70), 70);
	ck_assert_uint_eq(nevents, 70);
	read_all();
	ck_assert_uint_eq(nevents, MANY);
}
END_TEST

/* The buffer is too small; afterwards events come again. */
START_TEST(overrun)
{
	struct flow		 f = tcp();
	struct statetbl_stats	 s;

	statetbl_close(tbl);
	ck_assert_ptr_nonnull(tbl = statetbl_open(4096, &cbs));
	many(other, STATETBL_PUT, 300);
	read_all();
	ck_assert_uint_lt(nevents, MANY);
	ck_assert_uint_eq(noverruns, 1);
	nevents = 0;
	done(other, STATETBL_PUT, &f);
	read_all();
	ck_assert_uint_eq(nevents, 1);
	ck_assert_uint_eq(noverruns, 1);
	statetbl_stats(tbl, &s);
	ck_assert_uint_eq(s.overruns, 1);
	dump(STATETBL_ALL);
	ck_assert_uint_eq(nevents, MANY + 1);
}
END_TEST

/* An overrun, known before or only during a dump: it has to be made again. */
START_TEST(overrun_breaks_dump)
{
	statetbl_close(tbl);
	ck_assert_ptr_nonnull(tbl = statetbl_open(4096, &cbs));
	many(other, STATETBL_PUT, 300);
	if (_i == 0)
		ck_assert_uint_eq(statetbl_read(tbl, 1), 1);
	ck_assert_int_eq(statetbl_dump(tbl, 7, STATETBL_ALL), 0);
	if (_i == 1)
		read_all();
	while (ndumped == 0)
		dump_part();
	ck_assert(!dump_complete);
	read_all();
	dump(STATETBL_ALL);
}
END_TEST

/*
 * The end of an entry that we have made anew before we came to read of it is
 * not told; that of another one is.
 */
START_TEST(outdated_destroy)
{
	struct flow	 a = nth(1), b = nth(2);

	done(tbl, STATETBL_PUT, &a);
	done(tbl, STATETBL_PUT, &b);
	read_all();
	done(other, STATETBL_DELETE, &a);
	done(other, STATETBL_DELETE, &b);
	done(tbl, STATETBL_SET, &a);
	read_all();
	ck_assert_uint_eq(nevents, 1);
	assert_event(0, STATETBL_DESTROY, STATETBL_EV_FOREIGN, &b);
	done(other, STATETBL_DELETE, &a);
	read_all();
	ck_assert_uint_eq(nevents, 2);
	assert_event(1, STATETBL_DESTROY, STATETBL_EV_FOREIGN, &a);
}
END_TEST

/* -- dumps -- */

START_TEST(dumps)
{
	struct flow	 f;
	int		 i;

	for (i = 0; i < NKINDS; i++) {
		f = flow_of(&kinds[i]);
		done(tbl, STATETBL_PUT, &f);
	}
	dump(STATETBL_ALL);
	ck_assert_uint_eq(nevents, NKINDS);
	dump(STATETBL_NOT_TCP);
	for (i = 0; i < NKINDS; i++)
		nevents += kinds[i].proto == IPPROTO_TCP;
	ck_assert_uint_eq(nevents, NKINDS);
}
END_TEST

START_TEST(one_dump_at_a_time)
{
	ck_assert_int_eq(statetbl_dump(tbl, 0, STATETBL_ALL), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(statetbl_dump(tbl, 7, STATETBL_ALL), 0);
	ck_assert_int_eq(statetbl_dump(tbl, 8, STATETBL_ALL), -1);
	ck_assert_int_eq(errno, EBUSY);
	while (ndumped == 0)
		dump_part();
	dump(STATETBL_ALL);
}
END_TEST

/* What is gone when we know that it is gone does not come back in a dump. */
START_TEST(dump_is_not_older_than_events)
{
	struct statetbl	*who = _i == 0 ? other : tbl;
	size_t		 i, first;

	many(tbl, STATETBL_PUT, 300);
	ck_assert_int_eq(statetbl_dump(tbl, 7, STATETBL_ALL), 0);
	dump_part();
	ck_assert_uint_gt(first = nevents, 0);
	ck_assert_uint_lt(first, MANY);
	many(who, STATETBL_DELETE, 300);
	read_all();
	ck_assert_uint_eq(nevents, first + (_i == 0 ? MANY : 0));
	first = nevents;
	while (ndumped == 0)
		dump_part();
	for (i = first; i < nevents; i++)
		ck_assert_uint_ne(events[i].type, STATETBL_DUMP);
}
END_TEST

/* ... and what has changed does not change back. */
START_TEST(dump_is_not_older_than_changes)
{
	struct statetbl	*who = _i == 0 ? other : tbl;
	size_t		 i, first;

	many(tbl, STATETBL_PUT, 300);
	ck_assert_int_eq(statetbl_dump(tbl, 7, STATETBL_ALL), 0);
	dump_part();
	many(who, STATETBL_SET, 900);
	read_all();
	first = nevents;
	while (ndumped == 0)
		dump_part();
	ck_assert_uint_gt(nevents, first);
	for (i = first; i < nevents; i++)
		ck_assert_uint_gt(events[i].f.timeout, 800);
}
END_TEST

/* Counted, and left out: the engine would take them for a forgery. */
START_TEST(unsupported)
{
	struct flow		 f = tcp(), g = udp(), z = f;
	struct statetbl_stats	 s;

	memset(z.orig.src, 0, sizeof(z.orig.src));
	memset(z.reply.dst, 0, sizeof(z.reply.dst));
	raw_create(&f, IPPROTO_GRE, false);
	raw_create(&g, IPPROTO_UDP, true);
	raw_create(&z, IPPROTO_UDP, false);	/* from 0.0.0.0: DHCP */
	read_all();
	ck_assert_uint_eq(nevents, 0);
	statetbl_stats(tbl, &s);
	ck_assert_uint_eq(s.unsupported, 3);
	ck_assert_uint_eq(s.events, 3);
	dump(STATETBL_ALL);
	ck_assert_uint_eq(nevents, 0);
	statetbl_stats(tbl, &s);
	ck_assert_uint_eq(s.unsupported, 6);
}
END_TEST

/* -- the table process -- */

static pid_t		 process;
static struct imsgbuf	*parent, *engine;
static size_t		 told[PMSG_MAX];	/* messages, of events each */
static struct imsg	 last;

static void
send_msg(struct imsgbuf *b, uint32_t type, int fd, const void *data,
    size_t len)
{
	ck_assert_int_eq(imsg_compose(b, type, 0, fd, data, len), 0);
	ck_assert_int_ne(imsgbuf_flush(b), -1);
}

/* One message; false: the far end is gone. */
static bool
receive(struct imsgbuf *b)
{
	struct pollfd	 pfd = { imsgbuf_fd(b), POLLIN, 0 };

	while (imsg_get(b, &last) == 0) {
		ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
		if (imsgbuf_read(b) <= 0)
			return (false);
	}
	ck_assert_ptr_null(msg_check(pfsyncd_msgs, PMSG_MAX, &last,
	    MSG_FROM_TABLE));
	told[last.type]++;
	return (true);
}

/* Events and results are collected on the way. */
static void
await(struct imsgbuf *b, uint32_t type)
{
	do {
		ck_assert_msg(receive(b), "it ended before %s",
		    pfsyncd_msgs[type].name);
		if (last.type == PMSG_EVENTS) {
			size_t	 n = last.len / sizeof(events[0]);

			ck_assert_uint_le(nevents + n, EVENTS_MAX);
			memcpy(&events[nevents], last.data, last.len);
			nevents += n;
		}
		if (last.type == PMSG_RESULTS) {
			memcpy(&results[nresults], last.data, last.len);
			nresults += last.len / sizeof(results[0]);
		}
	} while (last.type != type);
}

static void
process_start(void)
{
	struct config	 c;
	int		 p[2], e[2];

	setup();
	statetbl_close(tbl);
	tbl = NULL;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, e), 0);
	ck_assert_int_eq(setenv("CARPD_SANDBOX_KILL", "1", 1), 0);
	ck_assert_int_ne(process = fork(), -1);
	if (process == 0) {
		close(p[0]);
		close(e[0]);
		close(e[1]);
		statetbl_close(other);
		table_main(p[1], "nobody", 0);
	}
	close(p[1]);
	parent = imsgbuf_new(p[0]);
	engine = imsgbuf_new(e[0]);
	memset(&c, 0, sizeof(c));
	send_msg(parent, PMSG_TABLE_CHANNEL, e[1], NULL, 0);
	send_msg(parent, PMSG_TABLE_START, -1, &c, sizeof(c));
	await(parent, PMSG_READY);
}

static int
process_status(void)
{
	int	 status;

	ck_assert_int_eq(waitpid(process, &status, 0), process);
	return (status);
}

static void
process_end(void)
{
	imsgbuf_free(engine);
	engine = NULL;
	ck_assert_int_eq(process_status(), 0);
	imsgbuf_free(parent);
	statetbl_close(other);
}

static void
ask(uint32_t type, const void *data, size_t len)
{
	send_msg(engine, type, -1, data, len);
}

static void
ask_dump(enum statetbl_what what)
{
	struct sync_dump	 m = { 3, what, 0 };

	ask(PMSG_DUMP, &m, sizeof(m));
}

START_TEST(process_works)
{
	struct flow		 f = flow_of(&kinds[2]), clash = f;
	struct statetbl_op	 op[2];
	struct sync_flag	 off = { 0 };
	const struct sync_dump	*d;

	process_start();
	address(4, 3, clash.orig.src);
	op[0] = op_of(STATETBL_PUT, &f);
	op[1] = op_of(STATETBL_PUT, &clash);
	ask(PMSG_OPS, op, sizeof(op));
	await(engine, PMSG_DONE);
	ck_assert_uint_eq(((const struct sync_done *)last.data)->n, 2);
	ck_assert_uint_eq(nresults, 1);
	assert_clash(&clash, &f);
	ask_dump(STATETBL_ALL);
	await(engine, PMSG_DUMPED);
	d = last.data;
	ck_assert_uint_eq(d->dump, 3);
	ck_assert_uint_eq(d->what, STATETBL_ALL);
	ck_assert_uint_eq(d->complete, 1);
	ck_assert_uint_eq(nevents, 1);
	ck_assert_uint_eq(events[0].dump, 3);
	assert_is(&events[0].f, &f);
	ask_dump(STATETBL_NOT_TCP);
	await(engine, PMSG_DUMPED);
	ck_assert_uint_eq(nevents, 1);
	ask(PMSG_WATCH_NEW, &off, sizeof(off));
	ask(PMSG_WANT_STATS, NULL, 0);
	await(engine, PMSG_STATS);
	ck_assert_uint_eq(((const struct statetbl_stats *)last.data)->count,
	    1);
	done(other, STATETBL_DELETE, &f);
	await(engine, PMSG_EVENTS);
	assert_event(1, STATETBL_DESTROY, STATETBL_EV_FOREIGN, &f);
	process_end();
}
END_TEST

/* It goes with either of the others. */
START_TEST(process_follows)
{
	process_start();
	imsgbuf_free(_i == 0 ? parent : engine);
	ck_assert_int_eq(process_status(), 0);
	imsgbuf_free(_i == 0 ? engine : parent);
	statetbl_close(other);
}
END_TEST

/* The engine does not read: everything waits in the kernel, nothing is lost */
START_TEST(process_holds_back)
{
	size_t	 n, rounds;

	process_start();
	for (rounds = 0; rounds < 15; rounds++) {
		many(other, STATETBL_PUT, 300);
		many(other, STATETBL_DELETE, 300);
	}
	ask(PMSG_WANT_STATS, NULL, 0);
	for (n = 0; n < 15 * 2 * MANY; n += nevents) {
		nevents = 0;
		await(engine, PMSG_EVENTS);
	}
	ck_assert_uint_eq(n, 15 * 2 * MANY);
	ck_assert_uint_eq(told[PMSG_OVERRUN], 0);
	while (told[PMSG_STATS] == 0)
		await(engine, PMSG_STATS);
	process_end();
}
END_TEST

/* A hostile engine. */
START_TEST(process_is_suspicious)
{
	struct flow		 f = tcp();
	struct statetbl_op	 op = op_of(STATETBL_PUT, &f);
	struct sync_dump	 d = { 1, STATETBL_ALL, 0 };
	uint32_t		 type = PMSG_OPS;
	const void		*data = &op;
	size_t			 len = sizeof(op);

	process_start();
	switch (_i) {
	case 0:
		op.type = STATETBL_OP_MAX;
		break;
	case 1:
		op.flags = 0x80;
		break;
	case 2:
		op.pad[1] = 1;
		break;
	case 3:
		op.f.af = 5;
		break;
	case 4:
		op.f.timeout = 0;
		break;
	case 5:
		len--;
		break;
	case 6:
		len = 0;
		break;
	case 7:
		type = PMSG_DUMP, data = &d, len = sizeof(d);
		d.what = 2;
		break;
	case 8:
		type = PMSG_DUMP, data = &d, len = sizeof(d);
		d.dump = 0;
		break;
	case 9:
		type = PMSG_EVENTS;
		break;
	case 10:
		type = PMSG_STOPPED, len = 0;
		break;
	}
	ask(type, data, len);
	while (receive(engine))
		ck_assert_uint_ne(last.type, PMSG_DONE);
	ck_assert_int_ne(process_status(), 0);
	while (receive(parent))
		if (last.type == PMSG_LOG)
			told[PMSG_NONE]++;
	ck_assert_uint_ge(told[PMSG_NONE], 1);	/* it said why */
	imsgbuf_free(engine);
	imsgbuf_free(parent);
	statetbl_close(other);
}
END_TEST

static TCase *
table_case(void)
{
	TCase	*tc = tcase_create("table");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, insert, 0, NKINDS);
	tcase_add_test(tc, translates_udp);
	tcase_add_test(tc, translates_icmp);
	tcase_add_test(tc, put_updates);
	tcase_add_test(tc, put_translates_anew);
	tcase_add_test(tc, status_stays);
	tcase_add_loop_test(tc, set_and_touch_create, 0, NKINDS);
	tcase_add_test(tc, touch_touches_timeout);
	tcase_add_test(tc, replace);
	tcase_add_test(tc, liberal);
	tcase_add_test(tc, delete_by_number);
	tcase_add_test(tc, delete_idle);
	tcase_add_loop_test(tc, clash_of_ports, 0, 4);
	tcase_add_test(tc, clash_of_directions);
	tcase_add_test(tc, expired_is_not_in_the_way);
	tcase_add_test(tc, refused);
	tcase_add_loop_test(tc, batch_keeps_order, 0, 8);
	tcase_add_loop_test(tc, foreign_events, 0, NKINDS);
	tcase_add_test(tc, watch_new);
	tcase_add_test(tc, kernel_events);
	tcase_add_test(tc, read_is_bounded);
	tcase_add_test(tc, overrun);
	tcase_add_loop_test(tc, overrun_breaks_dump, 0, 2);
	tcase_add_test(tc, outdated_destroy);
	tcase_add_test(tc, dumps);
	tcase_add_test(tc, one_dump_at_a_time);
	tcase_add_loop_test(tc, dump_is_not_older_than_events, 0, 2);
	tcase_add_loop_test(tc, dump_is_not_older_than_changes, 0, 2);
	tcase_add_test(tc, unsupported);
	return (tc);
}

static TCase *
process_case(void)
{
	TCase	*tc = tcase_create("process");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, process_works);
	tcase_add_loop_test(tc, process_follows, 0, 2);
	tcase_add_test(tc, process_holds_back);
	tcase_add_loop_test(tc, process_is_suspicious, 0, 11);
	return (tc);
}

int
main(int argc, char *argv[])
{
	Suite	*s = suite_create("statetbl");
	SRunner	*sr;
	int	 failed;

	setproctitle_init(argc, argv, environ);
	if (!netns_possible())
		return (0);
	suite_add_tcase(s, table_case());
	suite_add_tcase(s, process_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
