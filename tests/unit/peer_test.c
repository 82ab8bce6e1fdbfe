/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/peer: what sequences of packets make of their sender; and
 * common/wire/vrrp: which packets are VRRP.  The VRRP packets were put
 * together by hand from RFC 3768 and RFC 5798.
 */
#include <sys/socket.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/peer.h"
#include "../../common/wire/vrrp.h"
#include "hex.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define PACKETS		4

static const uint8_t	 vmac[6] = { 0, 0, 0x5e, 0, 1, 7 };
static const uint8_t	 ucarp[6] = { 0, 0, 0x5e, 0, 0, 7 };
static const uint8_t	 ucarp8[6] = { 0, 0, 0x5e, 0, 0, 8 };

/* A counter in letters; what it adds is in the last byte. */
struct packet {
	const char	*counter;	/* eight; NULL: no more packets */
	struct peer_sign s;
};

static const struct {
	struct packet	 p[PACKETS];
	enum peer_kind	 kind;
	bool		 skews;		/* by the last packet */
} senders[] = {
	{ { { "aaaaaaaa", { .ours = true } } }, PEER_CARPD, false },
	{ { { "aaaaaaaa", { .demote = 0 } } }, PEER_UNKNOWN, false },
	{ { { "aaaaaaaa", { .demote = 0 } },
	    { "aaaaaaaa", { .demote = 0 } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .demote = 1 } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .bowout = true } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .nov6ll = true } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .orig = true } } }, PEER_FREEBSD, true },
	{ { { "aaaaaaaa", { .tos = 0xe0 } } }, PEER_FREEBSD, true },
	{ { { "aaaaaaaa", { .tos = 0x10 } } }, PEER_UNKNOWN, false },
	{ { { "aaaaaaaa", { .tos = 0x10 } },
	    { "aaaaaaab", { .tos = 0x10 } } }, PEER_FREEBSD, true },
	{ { { "aaaaaaaa", { .tos = 0x10 } },
	    { "aaaaaaca", { .tos = 0x10 } } }, PEER_FREEBSD, true },
	/* random ones: as good as FreeBSD, but not enough for a habit */
	{ { { "aaaaaaaa", { .tos = 0 } },
	    { "xaaaaaaa", { .tos = 0 } } }, PEER_FREEBSD, false },
	/* one of OpenBSD that was started anew stays one */
	{ { { "aaaaaaaa", { .tos = 0 } }, { "aaaaaaaa", { .tos = 0 } },
	    { "xaaaaaaa", { .tos = 0 } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .tos = 0 } }, { "xaaaaaaa", { .tos = 0 } },
	    { "xaaaaaaa", { .tos = 0 } } }, PEER_OPENBSD, false },
	{ { { "aaaaaaaa", { .eth_src = ucarp } } }, PEER_UCARP, true },
	{ { { "aaaaaaaa", { .eth_src = ucarp8 } } }, PEER_UNKNOWN, false },
	/* a host that changes what it runs */
	{ { { "aaaaaaaa", { .eth_src = ucarp } }, { "aaaaaaaa", { .ours =
	    true } } }, PEER_CARPD, false },
	{ { { "aaaaaaaa", { .ours = true } }, { "xaaaaaaa", { .eth_src =
	    ucarp } } }, PEER_UCARP, true },
};

START_TEST(kinds)
{
	enum peer_kind	 kind = PEER_UNKNOWN;
	struct peer_sign s = { .vhid = 0 };
	const char	*before = NULL;
	size_t		 i;

	for (i = 0; i < PACKETS && senders[_i].p[i].counter != NULL; i++) {
		s = senders[_i].p[i].s;
		s.vhid = 7;
		if (s.eth_src == NULL)
			s.eth_src = vmac;
		s.before = (const void *)before;
		before = senders[_i].p[i].counter;
		s.counter = (const void *)before;
		kind = peer_kind(kind, &s);
	}
	ck_assert_str_eq(peer_kind_names[kind],
	    peer_kind_names[senders[_i].kind]);
	ck_assert_int_eq(peer_skews(&s), senders[_i].skews);
}
END_TEST

START_TEST(counters)
{
	static const struct {
		const char	*a, *b;
		bool		 grew;
	} t[] = {
		{ "0000000000000000", "0000000000000000", false },
		{ "0000000000000000", "0000000000000001", true },
		{ "00000000000000ff", "0000000000000100", true },
		{ "0000000000000000", "0000000000000400", true },
		{ "0000000000000000", "0000000000000401", false },
		{ "0000000000000001", "0000000000000000", false },
		{ "ffffffffffffffff", "0000000000000000", true },
		{ "00000000ffffffff", "0000000100000000", true },
		{ "0000000000000000", "0100000000000000", false },
	};
	uint8_t	 a[8], b[8];
	size_t	 i;

	for (i = 0; i < NELEMS(t); i++) {
		unhex(t[i].a, a, sizeof(a));
		unhex(t[i].b, b, sizeof(b));
		ck_assert_msg(peer_counter_grew(a, b) == t[i].grew, "case %zu",
		    i);
	}
}
END_TEST

#define SRC4	"172.16.0.9"
#define GROUP4	"224.0.0.18"
#define SRC6	"fe80::9"
#define GROUP6	"ff02::12"

static const struct {
	const char		*hex, *src, *dst;
	bool			 ok;
	struct vrrp_header	 h;
} packets[] = {
	{ "2107640100010000c00002010000000000000000", SRC4, GROUP4, true,
	    { 2, 7, 100, 1 } },
	{ "31076401006400" "00c0000201", SRC4, GROUP4, true,
	    { 3, 7, 100, 1 } },
	{ "31fe00020fff0000fe800000000000000000000000000001"
	  "20010db8000000000000000000000001", SRC6, GROUP6, true,
	    { 3, 254, 0, 40 } },
	/* vrid 0, a type that does not exist, versions */
	{ "2100640100010000c00002010000000000000000", SRC4, GROUP4, false,
	    { 0, 0, 0, 0 } },
	{ "2207640100010000c00002010000000000000000", SRC4, GROUP4, false,
	    { 0, 0, 0, 0 } },
	{ "4107640100010000c00002010000000000000000", SRC4, GROUP4, false,
	    { 0, 0, 0, 0 } },
	/* one byte more, one less, none */
	{ "2107640100010000c0000201000000000000000000", SRC4, GROUP4, false,
	    { 0, 0, 0, 0 } },
	{ "2107640100010000c000020100000000000000", SRC4, GROUP4, false,
	    { 0, 0, 0, 0 } },
	{ "21076401000100", SRC4, GROUP4, false, { 0, 0, 0, 0 } },
	{ "", SRC4, GROUP4, false, { 0, 0, 0, 0 } },
	/* version 2 is IPv4 only */
	{ "2107640100010000c00002010000000000000000", SRC6, GROUP6, false,
	    { 0, 0, 0, 0 } },
};

/* Sum 16-bit words, end-around; independent of the code under test. */
static uint16_t
sum(const uint8_t *p, size_t len, uint32_t s)
{
	size_t	 i;

	for (i = 0; i < len; i++)
		s += i % 2 != 0 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16 != 0)
		s = (s & 0xffff) + (s >> 16);
	return ((uint16_t)s);
}

/* Fill in the checksum, over a pseudo-header too if that is wanted. */
static void
seal(uint8_t *p, size_t len, const struct ipaddr *src,
    const struct ipaddr *dst, bool pseudo)
{
	size_t		 n = ipaddr_len(src->af);
	uint32_t	 s = 0;
	uint16_t	 c;

	if (len < 8)
		return;
	if (pseudo)
		s = sum(src->bytes, n, sum(dst->bytes, n,
		    (uint32_t)len + 112));
	p[6] = p[7] = 0;
	c = (uint16_t)~sum(p, len, s);
	p[6] = (uint8_t)(c >> 8);
	p[7] = (uint8_t)c;
}

START_TEST(vrrp)
{
	struct vrrp_header	 h;
	struct ipaddr		 src, dst;
	uint8_t			 p[64];
	size_t			 len = unhex(packets[_i].hex, p, sizeof(p));
	bool			 v3 = p[0] == 0x31;
	int			 pseudo;

	ck_assert_int_eq(ipaddr_parse(packets[_i].src, &src, NULL), 0);
	ck_assert_int_eq(ipaddr_parse(packets[_i].dst, &dst, NULL), 0);
	/* version 3 over IPv4 is met with and without */
	for (pseudo = 0; pseudo < 2; pseudo++) {
		bool	 ok = packets[_i].ok && (v3 ? pseudo ||
			    src.af == AF_INET : !pseudo);

		seal(p, len, &src, &dst, pseudo != 0);
		ck_assert_int_eq(vrrp_decode(p, len, &src, &dst, &h), ok);
		if (!ok)
			continue;
		ck_assert_uint_eq(h.version, packets[_i].h.version);
		ck_assert_uint_eq(h.vrid, packets[_i].h.vrid);
		ck_assert_uint_eq(h.priority, packets[_i].h.priority);
		ck_assert_uint_eq(h.interval, packets[_i].h.interval);
		p[2] ^= 1;		/* the checksum counts */
		ck_assert(!vrrp_decode(p, len, &src, &dst, &h));
		p[2] ^= 1;
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("peer");
	TCase	*tc = tcase_create("peer");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, kinds, 0, (int)NELEMS(senders));
	tcase_add_test(tc, counters);
	tcase_add_loop_test(tc, vrrp, 0, (int)NELEMS(packets));
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
