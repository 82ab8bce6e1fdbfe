/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/nosync: each rule beside a flow that it must let pass; what no rule
 * can allow; addresses that come and go at random beside a plain list (the
 * seed is printed; NOSYNC_SEED repeats a run).
 */
#include <netinet/in.h>

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../pfsyncd/nosync.h"

static struct nosync	 ns;
static struct config	 conf;

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	ck_assert_msg(ipaddr_parse(text, &a, NULL) == 0, "%s", text);
	return (a);
}

static void
put(uint8_t to[16], const char *text)
{
	struct ipaddr	 a = addr(text);

	memcpy(to, a.bytes, 16);
}

/* A TCP flow; reply addresses NULL: not translated. */
static struct flow
make(const char *src, const char *dst, const char *rsrc, const char *rdst)
{
	struct flow	 f;

	memset(&f, 0, sizeof(f));
	f.af = strchr(src, ':') != NULL ? 6 : 4;
	f.proto = IPPROTO_TCP;
	put(f.orig.src, src);
	put(f.orig.dst, dst);
	flow_invert(&f.orig, f.proto, &f.reply);
	if (rsrc != NULL)
		put(f.reply.src, rsrc);
	if (rdst != NULL)
		put(f.reply.dst, rdst);
	return (f);
}

static bool
exports(const char *src, const char *dst, const char *rsrc, const char *rdst)
{
	struct flow	 f = make(src, dst, rsrc, rdst);

	return (nosync_exports(&ns, &f));
}

static void
have(const char *ifname, const char *text, bool present)
{
	struct ipaddr	 a = addr(text);

	ck_assert(nosync_addr(&ns, ifname, &a, present));
}

/* No rules, no addresses. */
static void
start(void)
{
	memset(&conf, 0, sizeof(conf));
	nosync_init(&ns, &conf);
}

static struct config_nosync *
rule(enum config_nosync_type type)
{
	struct config_nosync	*r = &conf.nosync[conf.nnosync++];

	memset(r, 0, sizeof(*r));
	r->type = (uint8_t)type;
	return (r);
}

START_TEST(hard)
{
	static const struct {
		const char	*addr, *other;
		bool		 never;
	} t[] = {
		{ "0.0.0.0", "10.0.0.1", true },
		{ "127.0.0.1", "10.0.0.1", true },
		{ "127.255.255.255", "10.0.0.1", true },
		{ "224.0.0.18", "10.0.0.1", true },
		{ "239.255.255.250", "10.0.0.1", true },
		{ "255.255.255.255", "10.0.0.1", true },
		{ "0.0.0.1", "10.0.0.1", false },
		{ "126.255.255.255", "10.0.0.1", false },
		{ "128.0.0.1", "10.0.0.1", false },
		{ "223.255.255.255", "10.0.0.1", false },
		{ "240.0.0.1", "10.0.0.1", false },
		{ "255.255.255.254", "10.0.0.1", false },
		{ "169.254.1.1", "10.0.0.1", false },
		{ "::", "2001:db8::1", true },
		{ "::1", "2001:db8::1", true },
		{ "fe80::1", "2001:db8::1", true },
		{ "febf:ffff::1", "2001:db8::1", true },
		{ "ff02::1", "2001:db8::1", true },
		{ "ff0e::1", "2001:db8::1", true },
		{ "::2", "2001:db8::1", false },
		{ "1::", "2001:db8::1", false },
		{ "1::1", "2001:db8::1", false },
		{ "fe7f::1", "2001:db8::1", false },
		{ "fec0::1", "2001:db8::1", false },
		{ "fd00::1", "2001:db8::1", false },
		{ "7f00::1", "2001:db8::1", false },
		{ "e000::1", "2001:db8::1", false },
	};
	struct flow	 f;
	size_t		 i;
	int		 k;

	start();
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (k = 0; k < 4; k++) {
			f = make(t[i].other, t[i].other, NULL, NULL);
			put(k == 0 ? f.orig.src : k == 1 ? f.orig.dst :
			    k == 2 ? f.reply.src : f.reply.dst, t[i].addr);
			ck_assert_msg(nosync_imports(&f) == !t[i].never,
			    "%s as address %d", t[i].addr, k);
			ck_assert_int_eq(nosync_exports(&ns, &f),
			    !t[i].never);
		}
	}
	f = make("10.0.0.1", "10.0.0.2", NULL, NULL);
	for (k = 0; k < 256; k++) {
		f.proto = (uint8_t)k;
		ck_assert_int_eq(nosync_imports(&f), k != 112 && k != 240);
		ck_assert_int_eq(nosync_exports(&ns, &f),
		    k != 112 && k != 240);
	}
}
END_TEST

START_TEST(rule_proto)
{
	struct flow	 f = make("10.0.0.1", "10.0.0.2", NULL, NULL);
	int		 k;

	start();
	rule(NOSYNC_PROTO)->proto = IPPROTO_UDP;
	rule(NOSYNC_PROTO)->proto = 255;
	nosync_rules(&ns, &conf);
	for (k = 1; k < 256; k++) {
		f.proto = (uint8_t)k;
		ck_assert_int_eq(nosync_exports(&ns, &f), k != 112 &&
		    k != 240 && k != IPPROTO_UDP && k != 255);
	}
	/* Others' flows are no matter of our rules. */
	f.proto = IPPROTO_UDP;
	ck_assert(nosync_imports(&f));
}
END_TEST

START_TEST(rule_from_to)
{
	start();
	rule(NOSYNC_FROM)->addr = addr("10.0.9.0/24");
	rule(NOSYNC_TO)->addr = addr("192.0.2.128/25");
	rule(NOSYNC_FROM)->addr = addr("2001:db8:9::/48");
	nosync_rules(&ns, &conf);
	ck_assert(!exports("10.0.9.1", "1.2.3.4", NULL, NULL));
	ck_assert(exports("10.0.8.1", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("10.0.8.1", "192.0.2.200", NULL, NULL));
	ck_assert(exports("10.0.8.1", "192.0.2.100", NULL, NULL));
	/* The other way round, and after translation, they do not apply. */
	ck_assert(exports("192.0.2.200", "10.0.9.1", NULL, NULL));
	ck_assert(exports("10.0.8.1", "192.0.2.100", "192.0.2.200",
	    "10.0.9.1"));
	ck_assert(!exports("2001:db8:9::1", "2001:db8::1", NULL, NULL));
	ck_assert(exports("2001:db8:8::1", "2001:db8::1", NULL, NULL));
}
END_TEST

START_TEST(rule_mark)
{
	struct config_nosync	*r;
	struct flow		 f = make("10.0.0.1", "10.0.0.2", NULL, NULL);

	start();
	r = rule(NOSYNC_MARK);
	r->mark = 0x100;
	r->mask = 0x300;
	nosync_rules(&ns, &conf);
	ck_assert(nosync_exports(&ns, &f));
	f.mark = 0x100;
	ck_assert(!nosync_exports(&ns, &f));
	f.mark = 0xfffffd00;
	ck_assert(!nosync_exports(&ns, &f));
	f.mark = 0x300;
	ck_assert(nosync_exports(&ns, &f));
	f.mark = 0x200;
	ck_assert(nosync_exports(&ns, &f));
}
END_TEST

START_TEST(rule_self)
{
	start();
	have("eth0", "192.0.2.1/24", true);
	have("", "192.0.2.7/24", true);		/* carp */
	have("eth0", "2001:db8::1/64", true);
	ck_assert(exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	rule(NOSYNC_SELF);
	nosync_rules(&ns, &conf);
	/* From ourselves, and to ourselves. */
	ck_assert(!exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("192.0.2.7", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("1.2.3.4", "192.0.2.1", NULL, NULL));
	ck_assert(!exports("1.2.3.4", "192.0.2.7", NULL, NULL));
	ck_assert(!exports("2001:db8::1", "2001:db8::2", NULL, NULL));
	/* Through us: SNAT to and DNAT from the carp address. */
	ck_assert(exports("10.0.0.2", "1.2.3.4", "1.2.3.4", "192.0.2.7"));
	ck_assert(exports("1.2.3.4", "192.0.2.7", "10.0.0.2", "1.2.3.4"));
	/* DNAT to ourselves (a proxy). */
	ck_assert(!exports("10.0.0.2", "1.2.3.4", "192.0.2.1", "10.0.0.2"));
	ck_assert(exports("2001:db8::2", "2001:db8:9::9", NULL, NULL));
	/* An address of the other family with the same bytes. */
	ck_assert(exports("c000:201::", "2001:db8:9::9", NULL, NULL));
	nosync_forget(&ns, "");
	ck_assert(exports("192.0.2.7", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	have("eth0", "192.0.2.1/24", false);
	ck_assert(exports("192.0.2.1", "1.2.3.4", NULL, NULL));
}
END_TEST

/* One address on two interfaces, and with two prefix lengths. */
START_TEST(twice)
{
	start();
	rule(NOSYNC_SELF);
	nosync_rules(&ns, &conf);
	have("eth0", "192.0.2.1/24", true);
	have("eth0", "192.0.2.1/24", true);
	have("", "192.0.2.1/24", true);
	have("eth0", "192.0.2.1/32", true);
	ck_assert_uint_eq(ns.naddrs, 3);
	nosync_forget(&ns, "");
	ck_assert(!exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("10.0.0.1", "192.0.2.255", NULL, NULL));
	have("eth0", "192.0.2.1/24", false);
	ck_assert(!exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	ck_assert(exports("10.0.0.1", "192.0.2.255", NULL, NULL));
	have("eth0", "192.0.2.1/24", false);
	have("eth0", "192.0.2.1/32", false);
	ck_assert(exports("192.0.2.1", "1.2.3.4", NULL, NULL));
	ck_assert_uint_eq(ns.naddrs, 0);
}
END_TEST

START_TEST(broadcast)
{
	start();
	have("eth0", "192.0.2.1/24", true);
	have("eth1", "10.20.30.40/20", true);
	have("eth2", "198.51.100.0/31", true);
	have("eth3", "203.0.113.9/32", true);
	ck_assert(!exports("10.0.0.1", "192.0.2.255", NULL, NULL));
	ck_assert(!exports("10.0.0.1", "10.20.31.255", NULL, NULL));
	ck_assert(exports("10.0.0.1", "192.0.2.254", NULL, NULL));
	ck_assert(exports("10.0.0.1", "192.0.3.255", NULL, NULL));
	ck_assert(exports("10.0.0.1", "198.51.100.1", NULL, NULL));
	ck_assert(exports("10.0.0.1", "203.0.113.9", NULL, NULL));
	nosync_forget(&ns, "eth0");
	ck_assert(exports("10.0.0.1", "192.0.2.255", NULL, NULL));
	ck_assert(!exports("10.0.0.1", "10.20.31.255", NULL, NULL));
}
END_TEST

START_TEST(rule_on)
{
	start();
	have("eth0", "192.0.2.1/24", true);
	strlcpy(rule(NOSYNC_ON)->ifname, "eth1", IF_NAMESIZE);
	strlcpy(rule(NOSYNC_ON)->ifname, "eth2", IF_NAMESIZE);
	nosync_rules(&ns, &conf);
	ck_assert(exports("10.1.0.5", "1.2.3.4", NULL, NULL));
	have("eth1", "10.1.0.1/16", true);
	have("eth2", "2001:db8:2::1/64", true);
	have("", "10.3.0.1/16", true);
	ck_assert(!exports("10.1.0.5", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("1.2.3.4", "10.1.255.255", "10.1.0.5", NULL));
	ck_assert(!exports("1.2.3.4", "10.1.0.5", NULL, NULL));
	ck_assert(!exports("2001:db8:2::9", "2001:db8:9::9", NULL, NULL));
	ck_assert(exports("192.0.2.9", "1.2.3.4", NULL, NULL));
	ck_assert(exports("10.3.0.5", "1.2.3.4", NULL, NULL));
	ck_assert(exports("10.2.0.5", "1.2.3.4", "1.2.3.4", "10.1.0.1"));
	nosync_forget(&ns, "eth1");
	ck_assert(exports("10.1.0.5", "1.2.3.4", NULL, NULL));
	ck_assert(!exports("2001:db8:2::9", "2001:db8:9::9", NULL, NULL));
	/* New rules, the addresses stay. */
	conf.nnosync = 0;
	strlcpy(rule(NOSYNC_ON)->ifname, "eth0", IF_NAMESIZE);
	nosync_rules(&ns, &conf);
	ck_assert(!exports("192.0.2.9", "1.2.3.4", NULL, NULL));
	ck_assert(exports("2001:db8:2::9", "2001:db8:9::9", NULL, NULL));
}
END_TEST

START_TEST(full)
{
	struct ipaddr	 a;
	char		 text[32];
	int		 i;

	start();
	for (i = 0; i < NOSYNC_ADDRS_MAX; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1/24", i / 256,
		    i % 256);
		have("eth0", text, true);
	}
	a = addr("192.0.2.1/24");
	ck_assert(!nosync_addr(&ns, "eth0", &a, true));
	have("eth0", "10.0.0.1/24", true);	/* is there */
	have("eth0", "192.0.2.1/24", false);	/* is not */
	have("eth0", "10.0.0.1/24", false);
	ck_assert(nosync_addr(&ns, "eth0", &a, true));
	nosync_forget(&ns, "eth0");
	ck_assert_uint_eq(ns.naddrs, 0);
	ck_assert_uint_eq(ns.nbcast, 0);
}
END_TEST

/* ---- at random ---- */

#define PLAIN_MAX	NOSYNC_ADDRS_MAX

static struct nosync_addr	 plain[PLAIN_MAX];
static size_t			 nplain;

static void
plain_set(const char *ifname, const struct ipaddr *a, bool present)
{
	size_t	 i;

	for (i = 0; i < nplain; i++)
		if (strcmp(plain[i].ifname, ifname) == 0 &&
		    memcmp(&plain[i].addr, a, sizeof(*a)) == 0)
			break;
	if (present && i == nplain && nplain < PLAIN_MAX) {
		strlcpy(plain[nplain].ifname, ifname, IF_NAMESIZE);
		plain[nplain++].addr = *a;
	} else if (!present && i < nplain) {
		plain[i] = plain[--nplain];
	}
}

static void
plain_forget(const char *ifname)
{
	size_t	 i = nplain;

	while (i-- > 0)
		if (strcmp(plain[i].ifname, ifname) == 0)
			plain[i] = plain[--nplain];
}

static bool
plain_own(const struct ipaddr *a)
{
	size_t	 i;

	for (i = 0; i < nplain; i++)
		if (ipaddr_cmp(&plain[i].addr, a) == 0)
			return (true);
	return (false);
}

static bool
plain_bcast(const struct ipaddr *a)
{
	struct ipaddr	 b;
	int		 bit;
	size_t		 i;

	for (i = 0; i < nplain; i++) {
		b = plain[i].addr;
		if (b.af != AF_INET || b.plen > 30)
			continue;
		for (bit = b.plen; bit < 32; bit++)
			b.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (ipaddr_cmp(&b, a) == 0)
			return (true);
	}
	return (false);
}

static bool
plain_on(const char *ifname, const struct ipaddr *a)
{
	size_t	 i;

	for (i = 0; i < nplain; i++)
		if (strcmp(plain[i].ifname, ifname) == 0 &&
		    ipaddr_within(a, &plain[i].addr))
			return (true);
	return (false);
}

/* Few enough to meet each other often. */
static struct ipaddr
random_addr(void)
{
	struct ipaddr	 a;
	long		 r = random();

	memset(&a, 0, sizeof(a));
	if (r % 4 == 0) {
		a.af = AF_INET6;
		a.plen = (uint8_t)(112 + r / 4 % 17);
		a.bytes[0] = 0x20;
		a.bytes[14] = (uint8_t)(random() % 4);
		a.bytes[15] = (uint8_t)random();
	} else {
		a.af = AF_INET;
		a.plen = (uint8_t)(24 + r / 4 % 9);
		a.bytes[0] = 10;
		a.bytes[2] = (uint8_t)(random() % 3);
		a.bytes[3] = (uint8_t)random();
	}
	return (a);
}

static void
compare(void)
{
	struct ipaddr	 s = random_addr(), d, r;
	struct flow	 f;
	bool		 want;

	do
		d = random_addr();
	while (d.af != s.af);
	do
		r = random_addr();
	while (r.af != s.af);
	memset(&f, 0, sizeof(f));
	f.af = s.af == AF_INET ? 4 : 6;
	f.proto = IPPROTO_UDP;
	memcpy(f.orig.src, s.bytes, 16);
	memcpy(f.orig.dst, d.bytes, 16);
	memcpy(f.reply.src, r.bytes, 16);
	memcpy(f.reply.dst, s.bytes, 16);
	want = !plain_own(&s) && !plain_own(&r) && !plain_bcast(&d) &&
	    !plain_on("eth1", &s) && !plain_on("eth1", &r);
	ck_assert_int_eq(nosync_exports(&ns, &f), want);
}

START_TEST(at_random)
{
	static const char *const names[] = { "", "eth0", "eth1", "eth22" };
	const char	*name;
	struct ipaddr	 a;
	size_t		 i, k;

	start();
	nplain = 0;
	rule(NOSYNC_SELF);
	strlcpy(rule(NOSYNC_ON)->ifname, "eth1", IF_NAMESIZE);
	nosync_rules(&ns, &conf);
	for (i = 0; i < 20000; i++) {
		name = names[random() % 4];
		a = random_addr();
		/* eth1 has few: else everything is connected */
		if (strcmp(name, "eth1") == 0 && i % 16 != 0)
			continue;
		k = (size_t)random() % 64;
		if (k == 0) {
			nosync_forget(&ns, name);
			plain_forget(name);
		} else {
			nosync_addr(&ns, name, &a, k < 48);
			plain_set(name, &a, k < 48);
		}
		ck_assert_uint_eq(ns.naddrs, nplain);
		compare();
	}
}
END_TEST

/* Printed, not judged. */
START_TEST(speed)
{
	struct flow	 f = make("10.9.0.1", "192.0.2.9", NULL, NULL);
	struct timespec	 a, b;
	char		 text[32];
	unsigned int	 yes = 0;
	int		 i;

	start();
	rule(NOSYNC_SELF);
	nosync_rules(&ns, &conf);
	for (i = 0; i < NOSYNC_ADDRS_MAX; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1/24", i / 256,
		    i % 256);
		have("eth0", text, true);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < 1000000; i++) {
		f.orig.src[2] = (uint8_t)i;
		yes += nosync_exports(&ns, &f);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_uint_eq(yes, 1000000);
	printf("nosync: %.0f ns a flow with %d addresses\n",
	    ((double)(b.tv_sec - a.tv_sec) * 1e9 +
	    (double)(b.tv_nsec - a.tv_nsec)) / 1e6, NOSYNC_ADDRS_MAX);
}
END_TEST

int
main(void)
{
	Suite		*s = suite_create("nosync");
	TCase		*tc = tcase_create("nosync");
	const char	*seed = getenv("NOSYNC_SEED");
	unsigned int	 n;
	SRunner		*sr;
	int		 failed;

	n = seed != NULL ? (unsigned int)strtoul(seed, NULL, 0) :
	    (unsigned int)time(NULL);
	printf("nosync: NOSYNC_SEED=%u\n", n);
	srandom(n);
	tcase_add_test(tc, hard);
	tcase_add_test(tc, rule_proto);
	tcase_add_test(tc, rule_from_to);
	tcase_add_test(tc, rule_mark);
	tcase_add_test(tc, rule_self);
	tcase_add_test(tc, twice);
	tcase_add_test(tc, broadcast);
	tcase_add_test(tc, rule_on);
	tcase_add_test(tc, full);
	tcase_add_test(tc, at_random);
	tcase_add_test(tc, speed);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
