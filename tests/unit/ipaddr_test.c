/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/ipaddr: what parses and what must not, text that parses back,
 * order, prefixes at every length.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/ipaddr.h"

/* More text than any address has. */
#define OVERLONG	"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:" \
			"bbbb:cccc:dddd:eeee:ffff"

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_msg(ipaddr_parse(s, &a, NULL) == 0, "%s", s);
	return (a);
}

START_TEST(parse_good)
{
	static const struct {
		const char	*text;
		uint8_t		 af;
		uint8_t		 plen;
		bool		 has_plen;
		const char	*print;
	} t[] = {
		{ "192.0.2.1", AF_INET, 32, false, "192.0.2.1" },
		{ "192.0.2.1/24", AF_INET, 24, true, "192.0.2.1" },
		{ "0.0.0.0/0", AF_INET, 0, true, "0.0.0.0" },
		{ "255.255.255.255/32", AF_INET, 32, true,
		    "255.255.255.255" },
		{ "2001:db8::1/64", AF_INET6, 64, true, "2001:db8::1" },
		{ "2001:DB8:0:0:0:0:0:1", AF_INET6, 128, false,
		    "2001:db8::1" },
		{ "::/0", AF_INET6, 0, true, "::" },
		{ "::ffff:192.0.2.1/128", AF_INET6, 128, true,
		    "::ffff:192.0.2.1" },
		{ "fe80::200:5eff:fe00:101", AF_INET6, 128, false,
		    "fe80::200:5eff:fe00:101" },
	};
	char		 buf[IPADDR_STRLEN];
	struct ipaddr	 a, b;
	bool		 has_plen;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		has_plen = !t[i].has_plen;
		ck_assert_int_eq(ipaddr_parse(t[i].text, &a, &has_plen), 0);
		ck_assert_uint_eq(a.af, t[i].af);
		ck_assert_uint_eq(a.plen, t[i].plen);
		ck_assert(has_plen == t[i].has_plen);
		ck_assert_str_eq(ipaddr_print(&a, buf, sizeof(buf)),
		    t[i].print);
		ipaddr_print_prefix(&a, buf, sizeof(buf));
		ck_assert_int_eq(ipaddr_parse(buf, &b, NULL), 0);
		ck_assert_mem_eq(&a, &b, sizeof(a));
	}
}
END_TEST

START_TEST(parse_bad)
{
	static const char *const	 t[] = {
		"", "/", "/24", "10.1", "10.1.1", "1.2.3.4.5", "1.2.3.256",
		"01.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/024",
		"1.2.3.4/+8", "1.2.3.4/-1", "1.2.3.4/ 8", "1.2.3.4/8 ",
		"1.2.3.4/8/8", "1.2.3.4/4294967297", "1.2.3.4/255.255.255.0",
		" 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "localhost", "carp0",
		":", ":::", "1::2::3", "fe80::1%eth0", "2001:db8::1/129",
		"2001:db8::1/", "12345::", "1:2:3:4:5:6:7", "::/00",
		"1:2:3:4:5:6:7:8:9", "2001:db8::1/0000000000000000000064",
		OVERLONG
	};
	struct ipaddr	 a;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(ipaddr_parse(t[i], &a, NULL) == -1, "%s", t[i]);
}
END_TEST

START_TEST(print_edges)
{
	struct ipaddr	 a = addr("2001:db8::1/64"), none = { .af = 77 };
	char		 buf[IPADDR_STRLEN], tiny[4] = "xyz";

	ck_assert_str_eq(ipaddr_print_prefix(&a, buf, sizeof(buf)),
	    "2001:db8::1/64");
	ck_assert_str_eq(ipaddr_print(&none, buf, sizeof(buf)), "?");
	ck_assert_str_eq(ipaddr_print(&a, tiny, sizeof(tiny)), "?");
	ck_assert_str_eq(ipaddr_print_prefix(&a, tiny, sizeof(tiny)), "200");
	ck_assert_str_eq(ipaddr_print(&a, tiny, 1), "");
	tiny[0] = 'x';
	ck_assert_ptr_eq(ipaddr_print(&a, tiny, 0), tiny);
	ck_assert_int_eq(tiny[0], 'x');
	ck_assert_uint_eq(ipaddr_len(AF_INET), 4);
	ck_assert_uint_eq(ipaddr_len(AF_INET6), 16);
}
END_TEST

START_TEST(order)
{
	/* Ascending; every pair is compared both ways. */
	static const char *const	 t[] = {
		"0.0.0.0", "10.0.0.1", "127.255.255.255", "128.0.0.0",
		"192.0.2.1", "203.0.113.9", "::", "::1", "7fff::", "8000::",
		"fe80::1", "ff02::12"
	};
	struct ipaddr	 a, b;
	int		 cmp;
	size_t		 i, k;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
			a = addr(t[i]);
			b = addr(t[k]);
			b.plen = 3;
			cmp = ipaddr_cmp(&a, &b);
			ck_assert_int_eq((cmp > 0) - (cmp < 0),
			    (i > k) - (i < k));
		}
	}
}
END_TEST

/* A prefix of any length holds its own address and not one with a bit less. */
static void
check_within(const char *text, uint8_t bits)
{
	struct ipaddr	 a = addr(text), p = a, q;
	unsigned int	 plen, bit;

	for (plen = 0; plen <= bits; plen++) {
		p.plen = (uint8_t)plen;
		ck_assert(ipaddr_within(&a, &p));
		for (bit = 0; bit < bits; bit++) {
			q = a;
			q.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
			ck_assert(ipaddr_within(&q, &p) == (bit >= plen));
		}
	}
	p.plen = (uint8_t)(bits + 1);
	ck_assert(!ipaddr_within(&a, &p));
	p.plen = 255;
	ck_assert(!ipaddr_within(&a, &p));
}

START_TEST(within)
{
	struct ipaddr	 v4 = addr("10.0.0.1"), all6 = addr("::/0");

	check_within("172.16.240.202", 32);
	check_within("2001:db8:1234:5678:9abc:def0:1122:3344", 128);
	ck_assert(!ipaddr_within(&v4, &all6));
}
END_TEST

START_TEST(kinds)
{
	enum { LL = 1, MC = 2, SP = 4, LO = 8, MAP = 16 };
	static const struct {
		const char	*text;
		int		 kind;
	} t[] = {
		{ "0.0.0.0", SP }, { "255.255.255.255", SP }, { "::", SP },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", MC | SP },
		{ "0.0.0.1", 0 }, { "255.255.255.254", 0 }, { "::1", LO },
		{ "::2", 0 }, { "126.255.255.255", 0 }, { "127.0.0.0", LO },
		{ "127.255.255.255", LO }, { "128.0.0.0", 0 },
		{ "::ffff:192.0.2.1", MAP }, { "::fffe:192.0.2.1", 0 },
		{ "223.255.255.255", 0 }, { "224.0.0.18", MC },
		{ "239.255.255.255", MC }, { "240.0.0.0", 0 },
		{ "169.254.1.1", 0 }, { "fe7f::1", 0 }, { "fe80::1", LL },
		{ "febf::1", LL }, { "fec0::1", 0 }, { "feff::1", 0 },
		{ "ff02::12", MC }, { "2001:db8::", 0 }
	};
	struct ipaddr	 a;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = addr(t[i].text);
		ck_assert_int_eq((ipaddr_is_linklocal(&a) ? LL : 0) |
		    (ipaddr_is_multicast(&a) ? MC : 0) |
		    (ipaddr_is_special(&a) ? SP : 0) |
		    (ipaddr_is_loopback(&a) ? LO : 0) |
		    (ipaddr_is_mapped(&a) ? MAP : 0), t[i].kind);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ipaddr");
	TCase	*tc = tcase_create("ipaddr");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, parse_good);
	tcase_add_test(tc, parse_bad);
	tcase_add_test(tc, print_edges);
	tcase_add_test(tc, order);
	tcase_add_test(tc, within);
	tcase_add_test(tc, kinds);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
