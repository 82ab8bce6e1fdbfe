/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/frame: peeling of good, cut, padded, tagged and wrong frames;
 * building against frames that an OpenBSD kernel sent.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/cksum.h"
#include "../../common/wire/frame.h"
#include "hex.h"

/* v4-one of vectors/carp-hmac.json. */
#define V4	"01005e00001200005e00010108004510003800004000ff70d930c0000202" \
		"e00000122101000700014b1400112233445566770358fe10265aaff573f1" \
		"597da106248624c73756"
/* v6-ll-global-nov6ll of the same. */
#define V6	"33330000001200005e00010586dd60000000002470fffe80000000000000" \
		"0000000000000002ff020000000000000000000000000012210500070001" \
		"746b001122334455667706cadf4b7dcdb64e91920b14e573361fa11829f2"
#define ADVERT	36

/* Offsets in an untagged frame. */
enum { OFF_TYPE = 12, OFF_IP = 14, OFF_TOTAL = OFF_IP + 2,
	OFF_FRAG = OFF_IP + 6, OFF_SUM = OFF_IP + 10, OFF_PLEN = OFF_IP + 4,
	OFF_NEXT = OFF_IP + 6 };

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(s, &a, NULL), 0);
	return (a);
}

/* Redo the IPv4 header checksum after a change. */
static void
resum(uint8_t *frame, size_t hlen)
{
	uint16_t	 sum;

	frame[OFF_SUM] = frame[OFF_SUM + 1] = 0;
	sum = cksum(frame + OFF_IP, hlen);
	frame[OFF_SUM] = (uint8_t)(sum >> 8);
	frame[OFF_SUM + 1] = (uint8_t)sum;
}

static void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
check_v4(const struct frame_ip *f)
{
	static const uint8_t	 dst[] = { 0x01, 0, 0x5e, 0, 0, 0x12 };
	static const uint8_t	 src[] = { 0, 0, 0x5e, 0, 0x01, 0x01 };
	struct ipaddr		 a = addr("192.0.2.2"), b = addr("224.0.0.18");

	ck_assert_mem_eq(f->eth_dst, dst, 6);
	ck_assert_mem_eq(f->eth_src, src, 6);
	ck_assert_mem_eq(&f->src, &a, sizeof(a));
	ck_assert_mem_eq(&f->dst, &b, sizeof(b));
	ck_assert_uint_eq(f->proto, 112);
	ck_assert_uint_eq(f->ttl, 255);
	ck_assert_uint_eq(f->tos, 0x10);
	ck_assert(!f->fragment && f->multicast);
	ck_assert_uint_eq(f->len, ADVERT);
	ck_assert_uint_eq(f->payload[0], 0x21);
}

START_TEST(peel_good)
{
	uint8_t		 buf[256];
	struct frame_ip	 f;
	struct ipaddr	 a = addr("fe80::2"), b = addr("ff02::12");
	size_t		 n;

	n = unhex(V4, buf, sizeof(buf));
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	check_v4(&f);
	ck_assert_ptr_eq(f.payload, buf + n - ADVERT);

	n = unhex(V6, buf, sizeof(buf));
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	ck_assert_mem_eq(&f.src, &a, sizeof(a));
	ck_assert_mem_eq(&f.dst, &b, sizeof(b));
	ck_assert_uint_eq(f.proto, 112);
	ck_assert_uint_eq(f.ttl, 255);
	ck_assert_uint_eq(f.tos, 0);
	ck_assert(!f.fragment && f.multicast);
	ck_assert_uint_eq(f.len, ADVERT);
	ck_assert_ptr_eq(f.payload, buf + n - ADVERT);
}
END_TEST

/* Link padding is not payload; a longer IP length is. */
START_TEST(peel_lengths)
{
	uint8_t		 buf[256] = { 0 };
	struct frame_ip	 f;
	size_t		 n;

	n = unhex(V4, buf, sizeof(buf));
	ck_assert_int_eq(frame_peel(buf, n + 50, &f), FRAME_OK);
	check_v4(&f);
	put16(buf + OFF_TOTAL, FRAME_IP4_LEN + ADVERT + 50);
	resum(buf, FRAME_IP4_LEN);
	ck_assert_int_eq(frame_peel(buf, n + 50, &f), FRAME_OK);
	ck_assert_uint_eq(f.len, ADVERT + 50);
	ck_assert_int_eq(frame_peel(buf, n + 49, &f), FRAME_SHORT);
	put16(buf + OFF_TOTAL, FRAME_IP4_LEN);
	resum(buf, FRAME_IP4_LEN);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	ck_assert_uint_eq(f.len, 0);
	put16(buf + OFF_TOTAL, FRAME_IP4_LEN - 1);
	resum(buf, FRAME_IP4_LEN);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_SHORT);

	n = unhex(V6, buf, sizeof(buf));
	ck_assert_int_eq(frame_peel(buf, n + 20, &f), FRAME_OK);
	ck_assert_uint_eq(f.len, ADVERT);
	put16(buf + OFF_PLEN, ADVERT + 1);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_SHORT);
	put16(buf + OFF_PLEN, UINT16_MAX);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_SHORT);
}
END_TEST

/* Exact copies on the heap, so that a sanitizer sees a read too far. */
START_TEST(peel_cut)
{
	static const char *const	 t[] = { V4, V6 };
	uint8_t				 buf[256], *copy;
	struct frame_ip			 f;
	size_t				 i, k, n;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		n = unhex(t[i], buf, sizeof(buf));
		for (k = 0; k < n; k++) {
			copy = malloc(k);
			memcpy(copy, buf, k);
			ck_assert_int_eq(frame_peel(copy, k, &f), FRAME_SHORT);
			free(copy);
		}
	}
}
END_TEST

START_TEST(peel_options)
{
	uint8_t		 buf[256], opt[] = { 0x94, 0x04, 0, 0 };
	struct frame_ip	 f;
	size_t		 n;

	n = unhex(V4, buf, sizeof(buf));
	memmove(buf + OFF_IP + 24, buf + OFF_IP + 20, ADVERT);
	memcpy(buf + OFF_IP + 20, opt, sizeof(opt));
	buf[OFF_IP] = 0x46;
	put16(buf + OFF_TOTAL, 24 + ADVERT);
	resum(buf, 24);
	ck_assert_int_eq(frame_peel(buf, n + 4, &f), FRAME_OK);
	check_v4(&f);

	/* A header longer than the frame, and one shorter than it may be. */
	buf[OFF_IP] = 0x4f;
	ck_assert_int_eq(frame_peel(buf, OFF_IP + 59, &f), FRAME_SHORT);
	buf[OFF_IP] = 0x44;
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_SHORT);
}
END_TEST

START_TEST(peel_tagged)
{
	uint8_t		 buf[256], tag[] = { 0x81, 0x00, 0xc0, 0x2a };
	struct frame_ip	 f;
	size_t		 i, n;

	n = unhex(V4, buf, sizeof(buf));
	memmove(buf + OFF_TYPE + 4, buf + OFF_TYPE, n - OFF_TYPE);
	memcpy(buf + OFF_TYPE, tag, sizeof(tag));
	ck_assert_int_eq(frame_peel(buf, n + 4, &f), FRAME_OK);
	check_v4(&f);
	for (i = 0; i < n + 4; i++)
		ck_assert_int_eq(frame_peel(buf, i, &f), FRAME_SHORT);
	/* Only one tag. */
	memmove(buf + OFF_TYPE + 4, buf + OFF_TYPE, n + 4 - OFF_TYPE);
	ck_assert_int_eq(frame_peel(buf, n + 8, &f), FRAME_OTHER);
}
END_TEST

START_TEST(peel_badsum)
{
	uint8_t		 buf[256];
	struct frame_ip	 f;
	size_t		 i, n;

	n = unhex(V4, buf, sizeof(buf));
	for (i = 8; i < FRAME_IP4_LEN * 8; i++) {
		buf[OFF_IP + i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_BADSUM);
		buf[OFF_IP + i / 8] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

START_TEST(peel_other)
{
	static const uint16_t	 types[] = { 0, 36, 0x0806, 0x88a8, 0xffff };
	uint8_t			 buf[256];
	struct frame_ip		 f;
	size_t			 i, n;

	n = unhex(V4, buf, sizeof(buf));
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		put16(buf + OFF_TYPE, types[i]);
		ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OTHER);
	}
	/* The version in the header is not that of the type. */
	put16(buf + OFF_TYPE, FRAME_TYPE_IP6);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OTHER);
	n = unhex(V6, buf, sizeof(buf));
	put16(buf + OFF_TYPE, FRAME_TYPE_IP4);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OTHER);
}
END_TEST

START_TEST(peel_fragments)
{
	static const struct {
		uint16_t	 field;
		bool		 fragment;
	} t[] = {
		{ 0, false }, { 0x4000, false }, { 0x8000, false },
		{ 0x2000, true }, { 0x0001, true }, { 0x1fff, true },
		{ 0x6000, true }
	};
	uint8_t		 buf[256];
	struct frame_ip	 f;
	size_t		 i, n;

	n = unhex(V4, buf, sizeof(buf));
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put16(buf + OFF_FRAG, t[i].field);
		resum(buf, FRAME_IP4_LEN);
		ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
		ck_assert(f.fragment == t[i].fragment);
	}
	n = unhex(V6, buf, sizeof(buf));
	buf[OFF_NEXT] = 44;
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	ck_assert(f.fragment);
	ck_assert_uint_eq(f.proto, 44);
}
END_TEST

START_TEST(peel_unicast)
{
	uint8_t		 buf[256];
	struct frame_ip	 f;
	size_t		 n;

	n = unhex(V4, buf, sizeof(buf));
	buf[OFF_IP + 16] = 10;
	resum(buf, FRAME_IP4_LEN);
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	ck_assert(!f.multicast);
	n = unhex(V6, buf, sizeof(buf));
	buf[OFF_IP + 24] = 0x20;
	ck_assert_int_eq(frame_peel(buf, n, &f), FRAME_OK);
	ck_assert(!f.multicast);
}
END_TEST

static struct frame_meta
meta(const char *src, const char *dst)
{
	struct frame_meta	 m = { .src = addr(src), .dst = addr(dst),
				    .proto = 112, .ttl = 255 };

	frame_mcast_mac(&m.dst, m.eth_dst);
	m.eth_src[2] = 0x5e;
	m.eth_src[4] = 1;
	return (m);
}

START_TEST(build_ip)
{
	uint8_t			 buf[256], want[256];
	struct frame_meta	 m = meta("192.0.2.2", "224.0.0.18");

	m.eth_src[5] = 1;
	m.tos = 0x10;
	unhex(V4, want, sizeof(want));
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 34);
	ck_assert_mem_eq(buf, want, 34);
	m.id = 0xbeef;
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 34);
	ck_assert_uint_eq(buf[OFF_IP + 4], 0xbe);
	ck_assert_uint_eq(buf[OFF_IP + 5], 0xef);
	ck_assert_uint_eq(cksum(buf + OFF_IP, FRAME_IP4_LEN), 0);

	m = meta("fe80::2", "ff02::12");
	m.eth_src[5] = 5;
	m.id = 0xbeef;
	unhex(V6, want, sizeof(want));
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 54);
	ck_assert_mem_eq(buf, want, 54);
	m.tos = 0xe0;
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 54);
	ck_assert_uint_eq(buf[OFF_IP], 0x6e);
	ck_assert_uint_eq(buf[OFF_IP + 1], 0x00);
}
END_TEST

START_TEST(build_limits)
{
	static uint8_t		 buf[66000];
	struct frame_meta	 m = meta("192.0.2.2", "224.0.0.18");
	struct frame_meta	 m6 = meta("fe80::2", "ff02::12");
	struct frame_ip		 f;

	ck_assert_uint_eq(frame_ip(buf, 34 + ADVERT - 1, &m, ADVERT), 0);
	ck_assert_uint_eq(frame_ip(buf, 34 + ADVERT, &m, ADVERT), 34);
	ck_assert_uint_eq(frame_ip(buf, 54 + ADVERT - 1, &m6, ADVERT), 0);
	ck_assert_uint_eq(frame_ip(buf, 54 + ADVERT, &m6, ADVERT), 54);
	ck_assert_uint_eq(frame_ip(buf, 33, &m, 0), 0);
	ck_assert_uint_eq(frame_ip(buf, 0, &m, 0), 0);
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, 65515), 34);
	ck_assert_int_eq(frame_peel(buf, 34 + 65515, &f), FRAME_OK);
	ck_assert_uint_eq(f.len, 65515);
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, 65516), 0);
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m6, 65535), 54);
	ck_assert_int_eq(frame_peel(buf, 54 + 65535, &f), FRAME_OK);
	ck_assert_uint_eq(f.len, 65535);
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m6, 65536), 0);
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m6, SIZE_MAX), 0);
	m.dst = m6.dst;
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 0);
	m.src.af = m.dst.af = 77;
	ck_assert_uint_eq(frame_ip(buf, sizeof(buf), &m, ADVERT), 0);
}
END_TEST

/* Frame 5 of vectors/obsd-carp-v4-one-addr.pcap. */
START_TEST(garp)
{
	static const uint8_t	 mac[] = { 0, 0, 0x5e, 0, 0x01, 0x01 };
	struct ipaddr		 a = addr("10.66.0.10"), b = addr("fe80::1");
	uint8_t			 buf[64], want[64];
	size_t			 n;

	n = unhex("ffffffffffff00005e0001010806000108000604000100005e000101"
	    "0a42000a0000000000000a42000a", want, sizeof(want));
	ck_assert_uint_eq(frame_garp(buf, sizeof(buf), mac, &a), n);
	ck_assert_mem_eq(buf, want, n);
	ck_assert_uint_eq(frame_garp(buf, n, mac, &a), n);
	ck_assert_uint_eq(frame_garp(buf, n - 1, mac, &a), 0);
	ck_assert_uint_eq(frame_garp(buf, sizeof(buf), mac, &b), 0);
}
END_TEST

/* Frame 3 of vectors/obsd-carp-v4v6-mixed.pcap. */
START_TEST(una)
{
	static const uint8_t	 mac[] = { 0, 0, 0x5e, 0, 0x01, 0x05 };
	struct ipaddr		 a = addr("fe80::200:5eff:fe00:105");
	struct ipaddr		 b = addr("192.0.2.1");
	uint8_t			 buf[128], want[128];
	size_t			 n;

	n = unhex("33330000000100005e00010586dd6000000000203afffe8000000000"
	    "000002005efffe000105ff02000000000000000000000000000188003a8e"
	    "20000000fe8000000000000002005efffe000105020100005e000105",
	    want, sizeof(want));
	ck_assert_uint_eq(frame_una(buf, sizeof(buf), mac, &a, false), n);
	ck_assert_mem_eq(buf, want, n);
	ck_assert_uint_eq(frame_una(buf, n, mac, &a, true), n);
	ck_assert_uint_eq(buf[FRAME_ETH_LEN + FRAME_IP6_LEN + 4], 0xa0);
	/* 0x8000 more in the message is 0x8000 less in its checksum. */
	ck_assert_uint_eq(buf[FRAME_ETH_LEN + FRAME_IP6_LEN + 2], 0xba);
	ck_assert_uint_eq(buf[FRAME_ETH_LEN + FRAME_IP6_LEN + 3], 0x8d);
	ck_assert_uint_eq(frame_una(buf, n - 1, mac, &a, false), 0);
	ck_assert_uint_eq(frame_una(buf, sizeof(buf), mac, &b, false), 0);
}
END_TEST

START_TEST(mcast_mac)
{
	static const struct {
		const char	*group;
		uint8_t		 mac[6];
	} t[] = {
		{ "224.0.0.18", { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 } },
		{ "224.0.0.240", { 0x01, 0x00, 0x5e, 0x00, 0x00, 0xf0 } },
		{ "239.255.254.253", { 0x01, 0x00, 0x5e, 0x7f, 0xfe, 0xfd } },
		{ "ff02::12", { 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 } },
		{ "ff02::1:ff00:105", { 0x33, 0x33, 0xff, 0x00, 0x01, 0x05 } },
	};
	struct ipaddr	 a;
	uint8_t		 mac[6];
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = addr(t[i].group);
		frame_mcast_mac(&a, mac);
		ck_assert_mem_eq(mac, t[i].mac, 6);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("frame");
	TCase	*tc = tcase_create("frame");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, peel_good);
	tcase_add_test(tc, peel_lengths);
	tcase_add_test(tc, peel_cut);
	tcase_add_test(tc, peel_options);
	tcase_add_test(tc, peel_tagged);
	tcase_add_test(tc, peel_badsum);
	tcase_add_test(tc, peel_other);
	tcase_add_test(tc, peel_fragments);
	tcase_add_test(tc, peel_unicast);
	tcase_add_test(tc, build_ip);
	tcase_add_test(tc, build_limits);
	tcase_add_test(tc, garp);
	tcase_add_test(tc, una);
	tcase_add_test(tc, mcast_mac);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
