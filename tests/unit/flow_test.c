/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/flow: SipHash against the vectors of its reference implementation
 * (key 00..0f, message 00..n-1), inversion, translation, what is refused,
 * text.
 */
#include <netinet/in.h>

#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/flow.h"
#include "hex.h"

static const char *const siphash_vectors[] = {
	"310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d",
	"2d7efbd796666785", "b7877127e09427cf", "8da699cd64557618",
	"cee3fe586e46c9cb", "37d1018bf50002ab", "6224939a79f5f593",
	"b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
	"fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7",
	"e545be4961ca29a1", "db9bc2577fcc2a3f", "9447be2cf5e99a69",
	"9cd38d96f0b3c14b", "bd6179a71dc96dbb", "98eea21af25cd6be",
	"c7673b2eb0cbf2d0", "883ea3e395675393", "c8ce5ccd8c030ca8",
	"94af49f6c650adb8", "eab8858ade92e1bc", "f315bb5bb835d817",
	"adcf6b0763612e2f", "a5c91da7acaa4dde", "716595876650a2a6",
	"28ef495c53a387ad", "42c341d8fa92d832", "ce7cf2722f512771",
	"e37859f94623f3a7", "381205bb1ab0e012", "ae97a10fd434e015",
	"b4a31508beff4d31", "81396229f0907902", "4d0cf49ee5d4dcca",
	"5c73336a76d8bf9a", "d0a704536ba93e0e", "925958fcd6420cad",
	"a915c29bc8067318", "952b79f3bc0aa6d4", "f21df2e41d4535f9",
	"87577519048f53a9", "10a56cf5dfcd9adb", "eb75095ccd986cd0",
	"51a9cb9ecba312e6", "96afadfc2ce666c7", "72fe52975a4364ee",
	"5a1645b276d592a1", "b274cb8ebf87870a", "6f9bb4203de7b381",
	"eaecb2a30b22a87f", "9924a43cc1315724", "bd838d3aafbf8db7",
	"0b1a2a3265d51aea", "135079a3231ce660", "932b2846e4d70666",
	"e1915f5cb1eca46c", "f325965ca16d629f", "575ff28e60381be5",
	"724506eb4c328a95",
};

static uint8_t	 key[16];

/* An end "10.0.0.1" and port into a tuple; which 0 src, 1 dst. */
static void
set_end(struct flow *f, struct flow_tuple *t, int which, const char *addr,
    uint16_t port)
{
	uint8_t	*to = which == 0 ? t->src : t->dst;

	memset(to, 0, 16);
	ck_assert_int_eq(inet_pton(f->af == 6 ? AF_INET6 : AF_INET, addr, to),
	    1);
	if (which == 0)
		t->sport = port;
	else
		t->dport = port;
}

/* A flow without translation. */
static struct flow
make(uint8_t proto, const char *src, uint16_t sport, const char *dst,
    uint16_t dport)
{
	struct flow	 f;

	memset(&f, 0, sizeof(f));
	f.af = strchr(src, ':') != NULL ? 6 : 4;
	f.proto = proto;
	f.timeout = 60;
	f.status = FLOW_SEEN_REPLY;
	set_end(&f, &f.orig, 0, src, sport);
	set_end(&f, &f.orig, 1, dst, dport);
	flow_invert(&f.orig, proto, &f.reply);
	if (proto == IPPROTO_TCP)
		f.tcp_state = FLOW_TCP_ESTABLISHED;
	return (f);
}

static struct flow
tcp4(void)
{
	return (make(IPPROTO_TCP, "10.0.0.2", 4000, "192.0.2.9", 80));
}

static struct flow
udp6(void)
{
	return (make(IPPROTO_UDP, "2001:db8::2", 4000, "2001:db8:9::9", 53));
}

static struct flow
ping4(void)
{
	return (make(IPPROTO_ICMP, "10.0.0.2", 77, "192.0.2.9", 8 << 8));
}

START_TEST(siphash)
{
	uint8_t		 msg[64], want[8];
	uint64_t	 h, v = 0;
	size_t		 i, n = (size_t)_i;

	for (i = 0; i < sizeof(msg); i++)
		msg[i] = (uint8_t)i;
	unhex(siphash_vectors[n], want, sizeof(want));
	for (i = 0; i < 8; i++)
		v |= (uint64_t)want[i] << 8 * i;
	h = flow_siphash(key, msg, n);
	ck_assert_uint_eq(h, v);
	/* At an odd address. */
	memmove(msg + 1, msg, n < 63 ? n : 63);
	ck_assert_uint_eq(flow_siphash(key, msg + 1, n), v);
}
END_TEST

static size_t
put16(uint8_t *p, size_t n, uint16_t v)
{
	p[n] = (uint8_t)v;
	p[n + 1] = (uint8_t)(v >> 8);
	return (n + 2);
}

static uint64_t
slow_hash(const struct flow *f)
{
	uint8_t	 buf[40];
	size_t	 n = 0, alen = f->af == 4 ? 4 : 16;

	memcpy(buf, f->orig.src, alen);
	memcpy(buf + alen, f->orig.dst, alen);
	n = put16(buf, 2 * alen, f->orig.sport);
	n = put16(buf, n, f->orig.dport);
	n = put16(buf, n, f->zone);
	buf[n++] = f->proto;
	buf[n++] = f->af;
	ck_assert_uint_eq(n, f->af == 4 ? 16 : 40);
	return (flow_siphash(key, buf, n));
}

/* Every byte of the identity counts, nothing else does. */
static void
hash_bytes(const struct flow *f)
{
	struct flow	 g;
	uint8_t		*p = (uint8_t *)&g;
	uint64_t	 h = flow_hash(key, f);
	bool		 counts;
	size_t		 i;

	ck_assert_uint_eq(h, slow_hash(f));
	for (i = 0; i < sizeof(g); i++) {
		counts = i < sizeof(g.orig) ||
		    i == offsetof(struct flow, zone) ||
		    i == offsetof(struct flow, zone) + 1 ||
		    i == offsetof(struct flow, proto);
		if (f->af == 4 && ((i >= 4 && i < 16) || (i >= 20 && i < 32)))
			continue;
		if (i == offsetof(struct flow, af))
			continue;
		g = *f;
		p[i] ^= 0x10;
		ck_assert_uint_eq(flow_hash(key, &g) == h, !counts);
		ck_assert_uint_eq(flow_same(f, &g), !counts);
		ck_assert_uint_eq(flow_hash(key, &g), slow_hash(&g));
	}
}

START_TEST(hash)
{
	struct flow	 a = tcp4(), b = udp6();
	uint8_t		 other[16] = { 1 };

	a.zone = 7;
	hash_bytes(&a);
	hash_bytes(&b);
	ck_assert_uint_ne(flow_hash(key, &a), flow_hash(other, &a));
	/* The key of a cluster must give this everywhere, for ever. */
	ck_assert_uint_eq(flow_hash(key, &a), 0x512984e84c560005ULL);
	ck_assert_uint_eq(flow_hash(key, &b), 0x3d47621dd2c9b42aULL);
}
END_TEST

START_TEST(equal)
{
	struct flow	 a = tcp4(), b = a;
	uint8_t		*p = (uint8_t *)&b;
	size_t		 i, t = offsetof(struct flow, timeout);

	ck_assert(flow_equal(&a, &b));
	for (i = 0; i < sizeof(b); i++) {
		p[i] ^= 1;
		ck_assert_uint_eq(flow_equal(&a, &b), i >= t && i < t + 4);
		p[i] ^= 1;
	}
	b = a;
	b.af = 6;
	ck_assert(!flow_same(&a, &b));
}
END_TEST

START_TEST(invert)
{
	static const struct {
		uint8_t		 proto;
		uint16_t	 sport, dport, isport, idport;
	} t[] = {
		{ IPPROTO_TCP, 1, 2, 2, 1 },
		{ IPPROTO_UDP, 1, 2, 2, 1 },
		{ IPPROTO_SCTP, 1, 2, 2, 1 },
		{ IPPROTO_ESP, 0, 0, 0, 0 },
		{ IPPROTO_ICMP, 9, 8 << 8, 9, 0 },
		{ IPPROTO_ICMP, 9, 0 << 8, 9, 8 << 8 },
		{ IPPROTO_ICMP, 9, 13 << 8 | 3, 9, 14 << 8 | 3 },
		{ IPPROTO_ICMP, 9, 15 << 8, 9, 16 << 8 },
		{ IPPROTO_ICMP, 9, 17 << 8, 9, 18 << 8 },
		{ IPPROTO_ICMP, 9, 3 << 8, 9, 3 << 8 },
		{ IPPROTO_ICMP, 9, 255 << 8, 9, 255 << 8 },
		{ IPPROTO_ICMPV6, 9, 128 << 8, 9, 129 << 8 },
		{ IPPROTO_ICMPV6, 9, 129 << 8 | 1, 9, 128 << 8 | 1 },
		{ IPPROTO_ICMPV6, 9, 139 << 8 | 2, 9, 140 << 8 | 2 },
		{ IPPROTO_ICMPV6, 9, 8 << 8, 9, 8 << 8 },
	};
	struct flow_tuple	 a, b, c;
	size_t			 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(a.src, 0xaa, sizeof(a.src));
		memset(a.dst, 0xbb, sizeof(a.dst));
		a.sport = t[i].sport;
		a.dport = t[i].dport;
		flow_invert(&a, t[i].proto, &b);
		ck_assert_mem_eq(b.src, a.dst, 16);
		ck_assert_mem_eq(b.dst, a.src, 16);
		ck_assert_uint_eq(b.sport, t[i].isport);
		ck_assert_uint_eq(b.dport, t[i].idport);
		flow_invert(&b, t[i].proto, &c);
		ck_assert_mem_eq(&a, &c, sizeof(a));
	}
}
END_TEST

START_TEST(nat)
{
	struct flow	 f = tcp4(), g;

	ck_assert_uint_eq(flow_nat(&f), 0);
	g = f;
	set_end(&g, &g.reply, 1, "203.0.113.1", 4000);
	ck_assert_uint_eq(flow_nat(&g), FLOW_SNAT);
	g = f;
	g.reply.dport = 1024;
	ck_assert_uint_eq(flow_nat(&g), FLOW_SNAT);
	g = f;
	set_end(&g, &g.reply, 0, "10.1.0.7", 80);
	ck_assert_uint_eq(flow_nat(&g), FLOW_DNAT);
	g = f;
	g.reply.sport = 8080;
	ck_assert_uint_eq(flow_nat(&g), FLOW_DNAT);
	g.reply.dport = 9;
	ck_assert_uint_eq(flow_nat(&g), FLOW_SNAT | FLOW_DNAT);

	f = ping4();
	ck_assert_uint_eq(flow_nat(&f), 0);
	g = f;
	g.reply.sport = 78;
	ck_assert_uint_eq(flow_nat(&g), FLOW_SNAT);
	set_end(&g, &g.reply, 1, "203.0.113.1", 0);
	ck_assert_uint_eq(flow_nat(&g), FLOW_SNAT);
	g = f;
	set_end(&g, &g.reply, 0, "10.1.0.7", 78);
	ck_assert_uint_eq(flow_nat(&g), FLOW_DNAT);
}
END_TEST

START_TEST(check_good)
{
	struct flow	 f;
	uint8_t		 i;

	f = tcp4();
	ck_assert_ptr_null(flow_check(&f, false));
	f.mark = UINT32_MAX;
	f.zone = UINT16_MAX;
	f.status = FLOW_STATUS;
	f.timeout = 315360000;
	f.tcp_flags[0] = f.tcp_flags[1] = FLOW_TCPF_SYNC | FLOW_TCPF_LIBERAL;
	f.wscale[0] = f.wscale[1] = 14;
	for (i = 0; i <= FLOW_TCP_MAX; i++) {
		f.tcp_state = i;
		ck_assert_ptr_null(flow_check(&f, false));
	}
	f.timeout = 0;
	ck_assert_ptr_null(flow_check(&f, true));
	f = udp6();
	ck_assert_ptr_null(flow_check(&f, false));
	f = ping4();
	ck_assert_ptr_null(flow_check(&f, false));
	f = make(IPPROTO_ICMPV6, "2001:db8::2", 5, "2001:db8::3", 128 << 8);
	ck_assert_ptr_null(flow_check(&f, false));
	f = make(IPPROTO_ESP, "10.0.0.2", 0, "10.0.0.3", 0);
	ck_assert_ptr_null(flow_check(&f, false));
}
END_TEST

/* One field at a time is bad. */
#define BAD(base, change) do {						\
	struct flow f = (base);						\
	ck_assert_ptr_null(flow_check(&f, false));			\
	change;								\
	ck_assert_msg(flow_check(&f, false) != NULL, "%s", #change);	\
} while (0)

START_TEST(check_bad)
{
	size_t	 i;

	BAD(tcp4(), f.af = 0);
	BAD(tcp4(), f.af = 5);
	BAD(tcp4(), f.status |= 1);
	BAD(tcp4(), f.status |= 8);
	BAD(tcp4(), f.status |= 0x80000000);
	BAD(tcp4(), f.timeout = 0);
	BAD(tcp4(), f.timeout = 315360001);
	BAD(tcp4(), f.timeout = UINT32_MAX);
	BAD(tcp4(), f.tcp_state = FLOW_TCP_MAX + 1);
	BAD(tcp4(), f.tcp_flags[0] = 0x10);
	BAD(tcp4(), f.tcp_flags[1] = 0x80);
	BAD(tcp4(), f.wscale[0] = 15);
	BAD(tcp4(), f.wscale[1] = 15);
	for (i = 4; i < 16; i++) {
		BAD(tcp4(), f.orig.src[i] = 1);
		BAD(tcp4(), f.orig.dst[i] = 1);
		BAD(tcp4(), f.reply.src[i] = 1);
		BAD(tcp4(), f.reply.dst[i] = 1);
	}
	for (i = 0; i < 3; i++)
		BAD(tcp4(), f.pad[i] = 1);
	BAD(tcp4(), memset(f.orig.src, 0, 16));
	BAD(tcp4(), memset(f.orig.dst, 0, 16));
	BAD(tcp4(), memset(f.reply.src, 0, 16));
	BAD(udp6(), memset(f.reply.dst, 0, 16));
	BAD(udp6(), f.tcp_state = 1);
	BAD(udp6(), f.tcp_flags[0] = 1);
	BAD(udp6(), f.tcp_flags[1] = 1);
	BAD(udp6(), f.wscale[0] = 1);
	BAD(udp6(), f.wscale[1] = 1);
	BAD(ping4(), f.proto = IPPROTO_ICMPV6);
	BAD(ping4(), f.orig.dport = 3 << 8);
	BAD(ping4(), f.orig.dport |= 1);
	BAD(ping4(), f.reply.dport = 8 << 8);
	BAD(make(IPPROTO_ICMPV6, "2001:db8::2", 5, "2001:db8::3", 128 << 8),
	    f.proto = IPPROTO_ICMP);
	BAD(make(IPPROTO_ESP, "10.0.0.2", 0, "10.0.0.3", 0), f.orig.sport = 1);
	BAD(make(IPPROTO_ESP, "10.0.0.2", 0, "10.0.0.3", 0), f.reply.dport = 1);
}
END_TEST

START_TEST(address)
{
	struct flow	 f = tcp4(), g = udp6();
	struct ipaddr	 a, want;

	ck_assert_int_eq(ipaddr_parse("10.0.0.2", &want, NULL), 0);
	flow_addr(&f, &f.orig, 0, &a);
	ck_assert_mem_eq(&a, &want, sizeof(a));
	flow_addr(&f, &f.reply, 1, &a);
	ck_assert_mem_eq(&a, &want, sizeof(a));
	ck_assert_int_eq(ipaddr_parse("2001:db8:9::9", &want, NULL), 0);
	flow_addr(&g, &g.orig, 1, &a);
	ck_assert_mem_eq(&a, &want, sizeof(a));
}
END_TEST

static void
prints(const struct flow *f, const char *want)
{
	char	 buf[FLOW_STRLEN], small[11];

	ck_assert_str_eq(flow_print(f, buf, sizeof(buf)), want);
	memset(small, 'x', sizeof(small));
	ck_assert_str_eq(flow_print(f, small, 10), (strlcpy(buf, want, 10),
	    buf));
	ck_assert_int_eq(small[10], 'x');
	ck_assert_ptr_eq(flow_print(f, small, 0), small);
}

START_TEST(text)
{
	struct flow	 f = tcp4();

	set_end(&f, &f.reply, 1, "203.0.113.1", 4000);
	f.zone = 3;
	prints(&f, "tcp 10.0.0.2:4000 -> 192.0.2.9:80 "
	    "snat 203.0.113.1:4000 ESTABLISHED zone 3");
	f.tcp_state = 99;
	set_end(&f, &f.reply, 0, "10.1.0.7", 8080);
	f.zone = 0;
	prints(&f, "tcp 10.0.0.2:4000 -> 192.0.2.9:80 "
	    "snat 203.0.113.1:4000 dnat 10.1.0.7:8080 ?");
	f = udp6();
	prints(&f, "udp [2001:db8::2]:4000 -> [2001:db8:9::9]:53");
	f = ping4();
	prints(&f, "icmp 10.0.0.2 -> 192.0.2.9 type 8 id 77");
	set_end(&f, &f.reply, 1, "203.0.113.1", f.reply.dport);
	f.reply.sport = 78;
	prints(&f, "icmp 10.0.0.2 -> 192.0.2.9 type 8 id 77 "
	    "snat 203.0.113.1 id 78");
	f = make(111, "10.0.0.2", 0, "10.0.0.3", 0);
	prints(&f, "proto 111 10.0.0.2 -> 10.0.0.3");
}
END_TEST

/* The longest text fits. */
START_TEST(long_text)
{
	struct flow	 f;
	char		 buf[FLOW_STRLEN];
	size_t		 len;

	f = make(IPPROTO_TCP,
	    "1111:2222:3333:4444:5555:6666:7777:1111", 65535,
	    "1111:2222:3333:4444:5555:6666:7777:2222", 65534);
	memset(f.reply.src, 0x55, 16);
	memset(f.reply.dst, 0x66, 16);
	f.zone = 65535;
	len = strlen(flow_print(&f, buf, sizeof(buf)));
	ck_assert_uint_lt(len, sizeof(buf) - 1);
	ck_assert_str_eq(buf + len - 11, " zone 65535");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("flow");
	TCase	*tc = tcase_create("flow");
	SRunner	*sr;
	size_t	 i;
	int	 failed;

	for (i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	tcase_add_loop_test(tc, siphash, 0,
	    sizeof(siphash_vectors) / sizeof(siphash_vectors[0]));
	tcase_add_test(tc, hash);
	tcase_add_test(tc, equal);
	tcase_add_test(tc, invert);
	tcase_add_test(tc, nat);
	tcase_add_test(tc, check_good);
	tcase_add_test(tc, check_bad);
	tcase_add_test(tc, address);
	tcase_add_test(tc, text);
	tcase_add_test(tc, long_text);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
