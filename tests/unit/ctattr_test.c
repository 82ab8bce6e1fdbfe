/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/os/ctattr: NFQA_CT of first packets, as Linux 6.1 told of them behind
 * source NAT; and the same cut short, or with bytes that are others.
 */
#include <sys/socket.h>
#include <arpa/inet.h>

#include <check.h>
#include <stdlib.h>

#include "../../pfsyncd/os/ctattr.h"
#include "hex.h"

/* 10.1.0.2:50087 to 10.2.0.2:99, hidden behind 10.2.0.1 */
static const char	 udp[] =
    "3400018014000180080001000a010002080002000a0200021c00028005000100"
    "1100000006000200c3a700000600030000630000340002801400018008000100"
    "0a020002080002000a0200011c00028005000100110000000600020000630000"
    "06000300c3a7000008000c00121554120800030000000190080007000000001e"
    "0800080000000000";
/* echo request 166 on the same way */
static const char	 icmp[] =
    "3c00018014000180080001000a010002080002000a0200022400028005000100"
    "010000000600040000a60000050005000800000005000600000000003c000280"
    "14000180080001000a020002080002000a020001240002800500010001000000"
    "0600040000a600000500050000000000050006000000000008000c00a47154ed"
    "0800030000000190080007000000001e0800080000000000";

static struct flow	 f;
static uint32_t		 ctid;
static uint8_t		 buf[512];

static bool
take(const char *hex)
{
	struct ctattr_span	 s = { buf, unhex(hex, buf, sizeof(buf)) };

	return (ctattr_flow(s, AF_INET, &f, &ctid));
}

static void
tuple(const struct flow_tuple *t, const char *src, uint16_t sport,
    const char *dst, uint16_t dport)
{
	char	 a[INET_ADDRSTRLEN];

	ck_assert_str_eq(inet_ntop(AF_INET, t->src, a, sizeof(a)), src);
	ck_assert_str_eq(inet_ntop(AF_INET, t->dst, a, sizeof(a)), dst);
	ck_assert_uint_eq(t->sport, sport);
	ck_assert_uint_eq(t->dport, dport);
}

START_TEST(first_packets)
{
	ck_assert(take(udp));
	ck_assert_uint_eq(f.proto, IPPROTO_UDP);
	ck_assert_uint_eq(f.status, 0);
	ck_assert_uint_eq(f.timeout, 30);
	ck_assert_uint_eq(ctid, 0x12155412);
	tuple(&f.orig, "10.1.0.2", 50087, "10.2.0.2", 99);
	tuple(&f.reply, "10.2.0.2", 99, "10.2.0.1", 50087);
	ck_assert(take(icmp));
	ck_assert_uint_eq(f.proto, IPPROTO_ICMP);
	ck_assert_uint_eq(ctid, 0xa47154ed);
	tuple(&f.orig, "10.1.0.2", 166, "10.2.0.2", 8 << 8);
	tuple(&f.reply, "10.2.0.2", 166, "10.2.0.1", 0);
	ck_assert_uint_eq(flow_nat(&f), FLOW_SNAT);
}
END_TEST

/* Whatever is there, it is no flow or one that makes sense. */
START_TEST(others)
{
	struct ctattr_span	 s;
	uint8_t			*p;
	size_t			 len = unhex(udp, buf, sizeof(buf)), i;

	for (i = 0; i < len; i++) {
		/* of its own, so that a sanitizer sees its end */
		ck_assert_ptr_nonnull(p = malloc(i + 1));
		memcpy(p, buf, i);
		s = (struct ctattr_span){ p, i };
		if (ctattr_flow(s, AF_INET, &f, &ctid))
			ck_assert_ptr_null(flow_check(&f, true));
		free(p);
	}
	for (i = 0; i < len * 255; i++) {
		buf[i / 255] ^= (uint8_t)(i % 255 + 1);
		s = (struct ctattr_span){ buf, len };
		if (ctattr_flow(s, AF_INET, &f, &ctid))
			ck_assert_ptr_null(flow_check(&f, true));
		buf[i / 255] ^= (uint8_t)(i % 255 + 1);
	}
	ck_assert(take(udp));
	ck_assert(!ctattr_flow((struct ctattr_span){ buf, len }, AF_BRIDGE,
	    &f, &ctid));
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ctattr");
	TCase	*tc = tcase_create("ctattr");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, first_packets);
	tcase_add_test(tc, others);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
