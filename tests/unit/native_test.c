/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/native: a packet written out by hand (native.h), both ways;
 * what is refused; that all bits of a record travel; that nothing is written
 * where there is no room.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/native.h"
#include "hex.h"

/* One acknowledgement, a TCP flow with SNAT, a UDP flow over IPv6, a ping. */
#define HEADER								\
	"06000014" "00000000000000000000000000000000"			\
	"7066734e" "01" "01" "0120" "11223344" "00000003"		\
	"0102030405060708" "0006050403020100"
#define ACK								\
	"01000018" "00000005" "00000100" "0000000000000001"		\
	"0000000000000063"
#define TCP4								\
	"0006050403020100" "a1b2c3d4" "01020304"			\
	"0a000002" "c0000209" "0fa0" "0050"				\
	"c0000209" "cb007101" "0050" "0fa0"				\
	"00000100" "00069780" "0003" "06" "17" "03" "0703" "7a"
#define UDP6								\
	"0000000000000008" "a1b2c3d4" "01020304"			\
	"20010db8000000000000000000000002"				\
	"20010db8000900000000000000000009" "0fa0" "0035"		\
	"20010db8000900000000000000000009"				\
	"20010db8000000000000000000000002" "0035" "0fa0"		\
	"00000100" "00069780" "0003" "11" "00" "00" "0000" "00"
#define PING4								\
	"0000000000000007" "a1b2c3d4" "01020304"			\
	"0a000002" "c0000209" "004d" "0800"				\
	"c0000209" "0a000002" "004d" "0000"				\
	"00000100" "00069780" "0003" "01" "01" "00" "0000" "00"
#define PACKET								\
	HEADER ACK "02000038" TCP4 "03000068" UDP6 "02000038" PING4
#define PACKET_LEN	308

#define TRAILER		64

static const struct native_hdr header = {
	.flags = NATIVE_F_STARTING, .boot = 0x11223344, .count = 3,
	.sum = 0x0102030405060708, .clock = 0x0006050403020100
};
static const struct native_ack ack = {
	.node = 5, .window = 256, .epoch = 1, .seq = 99
};
static const struct native_flow flows[] = {
	{ .stamp = 0x0006050403020100, .carrier = 0xa1b2c3d4,
	    .creator = 0x01020304, .mark = 0x100, .timeout = 432000,
	    .zone = 3, .proto = 6, .seen_reply = true, .assured = true,
	    .life = 5, .tcp_state = 3, .tcp_flags = { 7, 3 },
	    .wscale = { 7, 10 }, .osrc = { 10, 0, 0, 2 },
	    .odst = { 192, 0, 2, 9 }, .rsrc = { 192, 0, 2, 9 },
	    .rdst = { 203, 0, 113, 1 }, .osport = 4000, .odport = 80,
	    .rsport = 80, .rdport = 4000 },
	{ .stamp = 8, .carrier = 0xa1b2c3d4, .creator = 0x01020304,
	    .mark = 0x100, .timeout = 432000, .zone = 3, .proto = 17,
	    .osrc = { 0x20, 1, 0xd, 0xb8, [15] = 2 },
	    .odst = { 0x20, 1, 0xd, 0xb8, 0, 9, [15] = 9 },
	    .rsrc = { 0x20, 1, 0xd, 0xb8, 0, 9, [15] = 9 },
	    .rdst = { 0x20, 1, 0xd, 0xb8, [15] = 2 },
	    .osport = 4000, .odport = 53, .rsport = 53, .rdport = 4000 },
	{ .stamp = 7, .carrier = 0xa1b2c3d4, .creator = 0x01020304,
	    .mark = 0x100, .timeout = 432000, .zone = 3, .proto = 1,
	    .seen_reply = true, .osrc = { 10, 0, 0, 2 },
	    .odst = { 192, 0, 2, 9 }, .rsrc = { 192, 0, 2, 9 },
	    .rdst = { 10, 0, 0, 2 }, .osport = 77, .odport = 8 << 8,
	    .rsport = 77, .rdport = 0 },
};

static void
same_flow(const struct native_flow *a, const struct native_flow *b)
{
	ck_assert_uint_eq(a->stamp, b->stamp);
	ck_assert_uint_eq(a->carrier, b->carrier);
	ck_assert_uint_eq(a->creator, b->creator);
	ck_assert_uint_eq(a->mark, b->mark);
	ck_assert_uint_eq(a->timeout, b->timeout);
	ck_assert_uint_eq(a->zone, b->zone);
	ck_assert_uint_eq(a->proto, b->proto);
	ck_assert_int_eq(a->seen_reply, b->seen_reply);
	ck_assert_int_eq(a->assured, b->assured);
	ck_assert_uint_eq(a->life, b->life);
	ck_assert_uint_eq(a->tcp_state, b->tcp_state);
	ck_assert_mem_eq(a->tcp_flags, b->tcp_flags, 2);
	ck_assert_mem_eq(a->wscale, b->wscale, 2);
	ck_assert_mem_eq(a->osrc, b->osrc, 16);
	ck_assert_mem_eq(a->odst, b->odst, 16);
	ck_assert_mem_eq(a->rsrc, b->rsrc, 16);
	ck_assert_mem_eq(a->rdst, b->rdst, 16);
	ck_assert_uint_eq(a->osport, b->osport);
	ck_assert_uint_eq(a->odport, b->odport);
	ck_assert_uint_eq(a->rsport, b->rsport);
	ck_assert_uint_eq(a->rdport, b->rdport);
}

/* The packet and room for a trailer. */
static size_t
packet(uint8_t buf[PACKET_LEN + TRAILER])
{
	size_t	 n = unhex(PACKET, buf, PACKET_LEN);

	ck_assert_uint_eq(n, PACKET_LEN);
	memset(buf + n, 0xff, TRAILER);
	return (n + TRAILER);
}

static bool
parses(const uint8_t *pkt, size_t len)
{
	struct native_hdr	 h;
	const uint8_t		*tlv;
	size_t			 tlvlen, off;

	return (native_parse(pkt, len, &h, &tlv, &tlvlen, &off));
}

START_TEST(build)
{
	static const uint8_t	 types[] = {
		NATIVE_FLOW4, NATIVE_FLOW6, NATIVE_FLOW4
	};
	uint8_t			 buf[1500], want[PACKET_LEN];
	struct wbuf		 w;
	size_t			 mark, i;

	memset(buf, 0xee, sizeof(buf));
	wbuf_init(&w, buf, sizeof(buf));
	native_begin(&w);
	mark = native_open(&w, NATIVE_KEYS);
	native_close(&w, mark);		/* empty: taken out */
	mark = native_open(&w, NATIVE_ACK);
	native_put_ack(&w, &ack);
	native_close(&w, mark);
	for (i = 0; i < 3; i++) {
		mark = native_open(&w, types[i]);
		native_put_flow(&w, types[i] == NATIVE_FLOW6 ? 6 : 4,
		    &flows[i]);
		native_close(&w, mark);
	}
	mark = native_open(&w, NATIVE_DEL);
	native_close(&w, mark);
	ck_assert_uint_eq(native_end(&w, &header), PACKET_LEN);
	unhex(PACKET, want, sizeof(want));
	ck_assert_mem_eq(buf, want, sizeof(want));
}
END_TEST

START_TEST(parse)
{
	uint8_t			 buf[PACKET_LEN + TRAILER], type;
	const uint8_t		*tlv;
	struct native_hdr	 h;
	struct native_flow	 f;
	struct native_ack	 a;
	struct rbuf		 v;
	size_t			 tlvlen, trailer, off = 0;

	ck_assert(native_parse(buf, packet(buf), &h, &tlv, &tlvlen,
	    &trailer));
	ck_assert_uint_eq(trailer, PACKET_LEN);
	ck_assert_ptr_eq(tlv, buf + NATIVE_HDR);
	ck_assert_uint_eq(tlvlen, PACKET_LEN - NATIVE_HDR);
	ck_assert_uint_eq(h.flags, header.flags);
	ck_assert_uint_eq(h.boot, header.boot);
	ck_assert_uint_eq(h.count, header.count);
	ck_assert_uint_eq(h.sum, header.sum);
	ck_assert_uint_eq(h.clock, header.clock);

	ck_assert(native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert_uint_eq(type, NATIVE_ACK);
	ck_assert(native_get_ack(&v, &a));
	ck_assert_mem_eq(&a, &ack, sizeof(a));
	ck_assert(!native_get_ack(&v, &a));

	memset(&f, 0xee, sizeof(f));
	ck_assert(native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert_uint_eq(type, NATIVE_FLOW4);
	ck_assert(native_get_flow(&v, 4, &f));
	same_flow(&f, &flows[0]);
	ck_assert(!native_get_flow(&v, 4, &f));
	ck_assert(native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert_uint_eq(type, NATIVE_FLOW6);
	ck_assert(native_get_flow(&v, 6, &f));
	same_flow(&f, &flows[1]);
	ck_assert(!native_get_flow(&v, 6, &f));
	ck_assert(native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert_uint_eq(type, NATIVE_FLOW4);
	ck_assert(native_get_flow(&v, 4, &f));
	same_flow(&f, &flows[2]);
	ck_assert(!native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert(!native_tlv(tlv, tlvlen, &off, &type, &v));
	ck_assert_uint_eq(off, tlvlen);
}
END_TEST

/* Any bytes as a record: read and written anew they are the same. */
START_TEST(all_bits)
{
	uint8_t			 rec[NATIVE_FLOW6_LEN];
	uint8_t			 out[NATIVE_FLOW6_LEN];
	int			 af = _i == 0 ? 4 : 6;
	size_t			 len = af == 4 ? NATIVE_FLOW4_LEN :
				    NATIVE_FLOW6_LEN;
	struct native_flow	 f;
	struct native_ack	 a;
	struct rbuf		 r;
	struct wbuf		 w;
	size_t			 i, bit;

	for (bit = 0; bit < len * 8; bit++) {
		for (i = 0; i < len; i++)
			rec[i] = (uint8_t)(i * 59 + 3);
		rec[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rbuf_init(&r, rec, len);
		ck_assert(native_get_flow(&r, af, &f));
		ck_assert_uint_eq(rbuf_left(&r), 0);
		ck_assert_uint_le(f.life, 63);
		ck_assert_uint_le(f.wscale[0] | f.wscale[1], 15);
		wbuf_init(&w, out, sizeof(out));
		native_put_flow(&w, af, &f);
		ck_assert_uint_eq(wbuf_used(&w), len);
		ck_assert_mem_eq(out, rec, len);
	}
	for (i = 0; i < len; i++) {
		rbuf_init(&r, rec, i);
		ck_assert(!native_get_flow(&r, af, &f));
	}
	for (i = 0; i < NATIVE_ACK_LEN; i++) {
		rbuf_init(&r, rec, i);
		ck_assert(!native_get_ack(&r, &a));
	}
}
END_TEST

START_TEST(refused)
{
	static const struct {
		size_t		 off;
		const char	*bytes;
	} t[] = {
		{ 0, "05" },		/* pfsync version */
		{ 1, "01" },
		{ 2, "0018" },		/* not empty to a BSD receiver */
		{ 4, "80" }, { 19, "01" },	/* its digest */
		{ 20, "70667341" },	/* "pfsA" */
		{ 24, "00" }, { 24, "02" },	/* our version */
		{ 26, "0000" }, { 26, "001c" },	/* shorter than our header */
		{ 26, "0122" },		/* no multiple of 4 */
		{ 26, "0164" },		/* longer than all there is */
		{ 26, "fffc" },
		{ 26, "0024" },		/* cuts a TLV */
		{ 26, "0124" },		/* ends in half a head */
		{ 54, "0019" },		/* no multiple of 4 */
		{ 54, "0100" },		/* beyond the end */
		{ 54, "fffc" },
		{ 54, "0014" },		/* next head is data */
	};
	uint8_t	 buf[PACKET_LEN + TRAILER];
	size_t	 i, n;

	n = packet(buf);
	ck_assert(parses(buf, n));
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		packet(buf);
		unhex(t[i].bytes, buf + t[i].off, 4);
		ck_assert_msg(!parses(buf, n), "%zu: %s", t[i].off,
		    t[i].bytes);
	}
	packet(buf);
	for (i = 0; i < PACKET_LEN; i++)
		ck_assert(!parses(buf, i));
	ck_assert(parses(buf, PACKET_LEN));
}
END_TEST

/* Lengths that are legal: no TLVs at all, unknown flags, a shorter body. */
START_TEST(minimal)
{
	uint8_t			 buf[PACKET_LEN + TRAILER], type;
	const uint8_t		*tlv;
	struct native_hdr	 h;
	struct rbuf		 v;
	size_t			 tlvlen, trailer, off = 0;

	packet(buf);
	unhex("ff0020", buf + 25, 3);
	ck_assert(native_parse(buf, NATIVE_HDR, &h, &tlv, &tlvlen, &trailer));
	ck_assert_uint_eq(h.flags, 0xff);
	ck_assert_uint_eq(tlvlen, 0);
	ck_assert_uint_eq(trailer, NATIVE_HDR);
	ck_assert(!native_tlv(tlv, tlvlen, &off, &type, &v));
}
END_TEST

START_TEST(padding)
{
	uint8_t		 tlv[64], type = 0;
	size_t		 n, off = 0;
	struct rbuf	 v;

	n = unhex("00000008ffffffffffffffff" "00ff0000" "c8ff0004" "01020304"
	    "04000000" "00000000", tlv, sizeof(tlv));
	ck_assert(native_tlv(tlv, n, &off, &type, &v));
	ck_assert_uint_eq(type, 200);
	ck_assert_uint_eq(rbuf_left(&v), 4);
	ck_assert_uint_eq(rbuf_be32(&v), 0x01020304);
	ck_assert(native_tlv(tlv, n, &off, &type, &v));
	ck_assert_uint_eq(type, NATIVE_DEL);
	ck_assert_uint_eq(rbuf_left(&v), 0);
	ck_assert(!native_tlv(tlv, n, &off, &type, &v));

	/* Unparsed rubbish ends it, too. */
	off = 0;
	n = unhex("02000008ffff", tlv, sizeof(tlv));
	ck_assert(!native_tlv(tlv, n, &off, &type, &v));
	off = 0;
	ck_assert(!native_tlv(tlv, 3, &off, &type, &v));
}
END_TEST

/* Every size of buffer: nothing is written behind it, 0 says so. */
START_TEST(no_room)
{
	uint8_t		 buf[PACKET_LEN + 1];
	struct wbuf	 w;
	size_t		 size, mark;

	for (size = 0; size <= NATIVE_HDR + NATIVE_TLV + NATIVE_FLOW4_LEN;
	    size++) {
		memset(buf, 0xee, sizeof(buf));
		wbuf_init(&w, buf, size);
		native_begin(&w);
		mark = native_open(&w, NATIVE_FLOW4);
		native_put_flow(&w, 4, &flows[0]);
		native_close(&w, mark);
		ck_assert_uint_eq(native_end(&w, &header),
		    size == NATIVE_HDR + NATIVE_TLV + NATIVE_FLOW4_LEN ?
		    size : 0);
		ck_assert_uint_eq(buf[size], 0xee);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("native");
	TCase	*tc = tcase_create("native");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, build);
	tcase_add_test(tc, parse);
	tcase_add_loop_test(tc, all_bits, 0, 2);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, minimal);
	tcase_add_test(tc, padding);
	tcase_add_test(tc, no_room);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
