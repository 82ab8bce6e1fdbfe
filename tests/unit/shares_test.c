/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/shares.  The folds are the vectors of carp(4)'s balancing: source
 * 198.51.100.23 to 192.0.2.10 is node 1 of 2 and 2 of 3, from .24 node 0 of
 * either; 2001:db8:1::5 to 2001:db8::10 is node 1 of both.
 */
#include <sys/socket.h>
#include <netinet/in.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "pfsyncd/shares.h"

static struct shares	 shares;

static struct share
share(const char *addr, uint8_t nodes, uint32_t mask)
{
	struct share s;

	memset(&s, 0, sizeof(s));
	ck_assert_int_eq(ipaddr_parse(addr, &s.addr, NULL), 0);
	s.nodes = nodes;
	s.mask = mask;
	return (s);
}

/* TCP whose answers go from src to dst. */
static struct flow
answered(const char *src, const char *dst)
{
	struct ipaddr a, b;
	struct flow f;

	ck_assert_int_eq(ipaddr_parse(src, &a, NULL), 0);
	ck_assert_int_eq(ipaddr_parse(dst, &b, NULL), 0);
	memset(&f, 0, sizeof(f));
	f.af = a.af == AF_INET ? 4 : 6;
	f.proto = IPPROTO_TCP;
	memcpy(f.reply.src, a.bytes, sizeof(f.reply.src));
	memcpy(f.reply.dst, b.bytes, sizeof(f.reply.dst));
	return (f);
}

START_TEST(cross)
{
	static const struct {
		const char	*src, *dst;
		uint8_t		 nodes;
		uint32_t	 mask;
		bool		 crosses;
	} tab[] = {
		{ "198.51.100.23", "192.0.2.10", 2, 1, true },
		{ "198.51.100.23", "192.0.2.10", 2, 2, false },
		{ "198.51.100.23", "192.0.2.10", 2, 3, false },
		{ "198.51.100.23", "192.0.2.10", 2, 0, true },
		{ "198.51.100.24", "192.0.2.10", 2, 1, false },
		{ "198.51.100.24", "192.0.2.10", 2, 2, true },
		{ "198.51.100.23", "192.0.2.10", 3, 3, true },
		{ "198.51.100.23", "192.0.2.10", 3, 4, false },
		{ "2001:db8:1::5", "2001:db8::10", 2, 1, true },
		{ "2001:db8:1::5", "2001:db8::10", 3, 2, false },
		/* without balancing: who is MASTER */
		{ "198.51.100.23", "192.0.2.10", 1, 1, false },
		{ "198.51.100.23", "192.0.2.10", 1, 0, true },
		/* not known */
		{ "198.51.100.23", "192.0.2.10", 0, 0, false },
		{ "198.51.100.23", "192.0.2.11", 2, 1, false },
		{ "2001:db8:1::5", "2001:db8::11", 2, 1, false },
	};
	struct flow f;
	size_t i;

	for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
		shares.s[0] = share("192.0.2.9", 1, 1);
		shares.s[1] = share("192.0.2.10", tab[i].nodes, tab[i].mask);
		shares.s[2] = share("192.0.2.12", 1, 1);
		shares.s[3] = share("2001:db8::10", tab[i].nodes, tab[i].mask);
		shares.n = 4;
		f = answered(tab[i].src, tab[i].dst);
		ck_assert_msg(shares_cross(&shares, &f) == tab[i].crosses,
		    "case %zu", i);
	}
	shares.n = 0;
	f = answered(tab[0].src, tab[0].dst);
	ck_assert(!shares_cross(&shares, &f));
}
END_TEST

START_TEST(checked)
{
	struct share s = share("192.0.2.10", 32, 0);

	ck_assert(share_ok(&s));
	s.nodes = 33;
	ck_assert(!share_ok(&s));
	s.nodes = 0;
	ck_assert(share_ok(&s));
	s.addr.af = 0;
	ck_assert(!share_ok(&s));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("shares");
	TCase *t = tcase_create("shares");
	SRunner *sr;
	int failed;

	tcase_add_test(t, cross);
	tcase_add_test(t, checked);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
