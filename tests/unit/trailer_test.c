/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/trailer: the two pfsync vectors and two CARP ones, what is
 * refused, every bit under the MAC, TLVs.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/trailer.h"
#include "hex.h"

#define KEY	"000102030405060708090a0b0c0d0e0f" \
		"101112131415161718191a1b1c1d1e1f"

/* Offsets of the layout in trailer.h that the tests break on purpose. */
enum { OFF_VERSION = 4, OFF_ALG = 5, OFF_LEN = 12, OFF_FLAGS = 14,
	OFF_TLV = 32 };

struct vector {
	const char		*name;
	enum trailer_use	 use;
	const char		*src;
	const char		*dst;
	uint16_t		 keyid;
	uint32_t		 node;
	uint64_t		 epoch;
	uint64_t		 seq;
	const char		*tlv;		/* padded */
	const char		*pkt;
	const char		*trailer;
};

/*
 * The pfsync ones are v6-auth-trailer and v5-noeof-auth-trailer of the pfsync
 * vector file; the CARP ones were made with Python's hmac over the packets of
 * v4-one and v6-ll-global-nov6ll in vectors/carp-hmac.json.
 */
static const struct vector vectors[] = {
	{ "v6-auth-trailer", TRAILER_PFSYNC, "10.255.0.1", "224.0.0.240",
	    1, 0x1a2b3c4d, 1763620945920, 42, "",
	    "0600002400000000000000000000000000000000"
	    "07030001687a1b2c000000071a2b3c4d",
	    "70667341010100011a2b3c4d004000000000019aa00000000000000000"
	    "00002a52db8993469f04ad64030ebaa9e110f13907f49a121051622e2a"
	    "ab4ccfb87cb7" },
	{ "v5-noeof-auth-trailer", TRAILER_PFSYNC, "10.255.0.2",
	    "224.0.0.240", 1, 0x5e6f7081, 1763620945920, 1, "",
	    "0500002400000000000000000000000000000000"
	    "0700000100000000000000095e6f7081",
	    "70667341010100015e6f7081004000000000019aa00000000000000000"
	    "00000158f6ae0e07b632f77a780ac49a505a68119f86239cd54041dafd"
	    "64d3b5b6834a" },
	{ "carp-v4-one", TRAILER_CARP, "192.0.2.2", "224.0.0.18",
	    7, 0x0a0b0c0d, 1763620945920, 1, "",
	    "2101000700014b1400112233445566770358fe10265aaff573f1597da1"
	    "06248624c73756",
	    "63727041010100070a0b0c0d004000000000019aa00000000000000000"
	    "000001b650f03f6e01f2c804887f17c7a45a400840044f3e50cb902838"
	    "e0a36a5cc4f2" },
	{ "carp-v6-tlvs", TRAILER_CARP, "fe80::2", "ff02::12",
	    65535, 0xfffffffe, 1763620945920, UINT64_MAX - 1,
	    "01030a0b0c020000ff012a00",
	    "210500070001746b001122334455667706cadf4b7dcdb64e91920b14e5"
	    "73361fa11829f2",
	    "637270410101fffffffffffe004c00000000019aa0000000ffffffffff"
	    "fffffe01030a0b0c020000ff012a00cce92b6e28e0f90db70d182d1463"
	    "e6bff02a8104d8535bb620ec227ff0fb5e9b" },
};
#define NVECTORS	(sizeof(vectors) / sizeof(vectors[0]))

struct sample {
	struct hmac	*key;
	struct ipaddr	 src;
	struct ipaddr	 dst;
	uint8_t		 pkt[64];
	size_t		 pktlen;
	uint8_t		 data[TRAILER_MAX];
	size_t		 len;
	uint8_t		 tlv[TRAILER_TLV_MAX];
	struct trailer	 t;
};

static struct hmac *
test_key(void)
{
	uint8_t	 raw[32];

	unhex(KEY, raw, sizeof(raw));
	return (hmac_new(HMAC_ALG_SHA256, raw, sizeof(raw)));
}

static void
load(const struct vector *v, struct sample *s)
{
	memset(s, 0, sizeof(*s));
	s->key = test_key();
	ck_assert_int_eq(ipaddr_parse(v->src, &s->src, NULL), 0);
	ck_assert_int_eq(ipaddr_parse(v->dst, &s->dst, NULL), 0);
	s->pktlen = unhex(v->pkt, s->pkt, sizeof(s->pkt));
	s->len = unhex(v->trailer, s->data, sizeof(s->data));
	s->t.keyid = v->keyid;
	s->t.node = v->node;
	s->t.epoch = v->epoch;
	s->t.seq = v->seq;
	s->t.tlvlen = unhex(v->tlv, s->tlv, sizeof(s->tlv));
	s->t.tlv = s->tlv;
}

static bool
verify(enum trailer_use use, const struct sample *s)
{
	return (trailer_verify(use, s->key, &s->src, &s->dst, s->pkt,
	    s->pktlen, s->data));
}

START_TEST(read_vector)
{
	const struct vector	*v = &vectors[_i];
	struct sample		 s;
	struct trailer		 t;

	load(v, &s);
	ck_assert_int_eq(trailer_parse(v->use, s.data, s.len, &t),
	    TRAILER_OK);
	ck_assert_uint_eq(t.keyid, v->keyid);
	ck_assert_uint_eq(t.node, v->node);
	ck_assert(t.epoch == v->epoch);
	ck_assert(t.seq == v->seq);
	ck_assert_uint_eq(t.tlvlen, s.t.tlvlen);
	ck_assert_mem_eq(t.tlv, s.tlv, t.tlvlen);
	ck_assert(verify(v->use, &s));
	hmac_free(s.key);
}
END_TEST

START_TEST(write_vector)
{
	const struct vector	*v = &vectors[_i];
	struct sample		 s;
	uint8_t			 buf[256];

	load(v, &s);
	memset(buf, 0xee, sizeof(buf));
	memcpy(buf, s.pkt, s.pktlen);
	ck_assert_uint_eq(trailer_write(v->use, s.key, &s.src, &s.dst, buf,
	    s.pktlen, s.pktlen + s.len, &s.t), s.len);
	ck_assert_mem_eq(buf, s.pkt, s.pktlen);
	ck_assert_mem_eq(buf + s.pktlen, s.data, s.len);
	ck_assert_uint_eq(buf[s.pktlen + s.len], 0xee);
	hmac_free(s.key);
}
END_TEST

/* The other protocol's receiver, key, address, packet: never accepted. */
START_TEST(bound_to_context)
{
	const struct vector	*v = &vectors[_i];
	struct sample		 s, o;
	struct trailer		 t;

	load(v, &s);
	ck_assert_int_eq(trailer_parse(v->use == TRAILER_CARP ?
	    TRAILER_PFSYNC : TRAILER_CARP, s.data, s.len, &t), TRAILER_NONE);
	ck_assert(!verify(v->use == TRAILER_CARP ? TRAILER_PFSYNC :
	    TRAILER_CARP, &s));
	o = s;
	o.src.bytes[3] ^= 1;
	ck_assert(!verify(v->use, &o));
	o = s;
	o.dst = s.src;
	o.src = s.dst;
	ck_assert(!verify(v->use, &o));
	o = s;
	o.pktlen--;
	ck_assert(!verify(v->use, &o));
	o = s;
	o.key = hmac_new(HMAC_ALG_SHA256, "other", 5);
	ck_assert(!verify(v->use, &o));
	hmac_free(o.key);
	hmac_free(s.key);
}
END_TEST

/* Each single bit of packet and trailer matters. */
START_TEST(every_bit)
{
	const struct vector	*v = &vectors[_i];
	struct sample		 s;
	struct trailer		 t;
	size_t			 i;

	load(v, &s);
	for (i = 0; i < s.pktlen * 8; i++) {
		s.pkt[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!verify(v->use, &s));
		s.pkt[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (i = 0; i < s.len * 8; i++) {
		s.data[i / 8] ^= (uint8_t)(1 << i % 8);
		if (trailer_parse(v->use, s.data, s.len, &t) == TRAILER_OK)
			ck_assert(!verify(v->use, &s));
		s.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	hmac_free(s.key);
}
END_TEST

/* Exact copies on the heap, so that a sanitizer sees a read too far. */
START_TEST(cut_short_or_long)
{
	const struct vector	*v = &vectors[_i];
	struct sample		 s;
	struct trailer		 t;
	uint8_t			*copy;
	size_t			 len;

	load(v, &s);
	for (len = 0; len <= s.len + 4; len++) {
		if (len == s.len)
			continue;
		copy = malloc(len);
		memcpy(copy, s.data, len);
		ck_assert_int_eq(trailer_parse(v->use, copy, len, &t),
		    len < 4 ? TRAILER_NONE : TRAILER_BAD);
		free(copy);
	}
	hmac_free(s.key);
}
END_TEST

START_TEST(refused)
{
	static const struct {
		size_t			 off;
		uint8_t			 value;
		enum trailer_result	 want;
	} t[] = {
		{ 0, 'X', TRAILER_NONE },
		{ 3, 'a', TRAILER_NONE },
		{ OFF_VERSION, 0, TRAILER_NONE },
		{ OFF_VERSION, 2, TRAILER_NONE },
		{ OFF_ALG, 0, TRAILER_NONE },
		{ OFF_ALG, 2, TRAILER_NONE },
		{ OFF_LEN, 1, TRAILER_BAD },
		{ OFF_LEN + 1, 0, TRAILER_BAD },
		{ OFF_LEN + 1, 63, TRAILER_BAD },
		{ OFF_LEN + 1, 0x48, TRAILER_BAD },
		{ OFF_LEN + 1, 0x50, TRAILER_BAD },
		{ OFF_FLAGS, 0x80, TRAILER_BAD },
		{ OFF_FLAGS + 1, 1, TRAILER_BAD },
		/* A TLV that runs over the end, by one and by many. */
		{ OFF_TLV + 1, 11, TRAILER_BAD },
		{ OFF_TLV + 1, 255, TRAILER_BAD },
		/* A type without its length in the last byte. */
		{ OFF_TLV + 11, 9, TRAILER_BAD },
		/* Still well-formed: other types and lengths. */
		{ OFF_TLV, 77, TRAILER_OK },
		{ OFF_TLV + 1, 10, TRAILER_OK },
	};
	const struct vector	*v = &vectors[3];
	struct sample		 s;
	struct trailer		 out;
	uint8_t			 old;
	size_t			 i;

	load(v, &s);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		old = s.data[t[i].off];
		s.data[t[i].off] = t[i].value;
		ck_assert_msg(trailer_parse(v->use, s.data, s.len, &out) ==
		    t[i].want, "case %zu", i);
		s.data[t[i].off] = old;
	}
	hmac_free(s.key);
}
END_TEST

/* Right lengths that are out of bounds or not a multiple of four. */
START_TEST(total_length)
{
	static const struct {
		size_t			 total;
		enum trailer_result	 want;
	} t[] = {
		{ 60, TRAILER_BAD }, { 64, TRAILER_OK }, { 65, TRAILER_BAD },
		{ 66, TRAILER_BAD }, { 67, TRAILER_BAD }, { 68, TRAILER_OK },
		{ TRAILER_MAX, TRAILER_OK }, { TRAILER_MAX + 4, TRAILER_BAD },
		{ 65532, TRAILER_BAD }
	};
	static uint8_t	 data[65536];
	struct sample	 s;
	struct trailer	 out;
	size_t		 i;

	load(&vectors[2], &s);
	memcpy(data, s.data, OFF_TLV);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		data[OFF_LEN] = (uint8_t)(t[i].total >> 8);
		data[OFF_LEN + 1] = (uint8_t)t[i].total;
		ck_assert_int_eq(trailer_parse(TRAILER_CARP, data, t[i].total,
		    &out), t[i].want);
	}
	hmac_free(s.key);
}
END_TEST

START_TEST(write_limits)
{
	struct sample	 s;
	uint8_t		 buf[2048], big[TRAILER_TLV_MAX + 1] = { 0 };

	load(&vectors[3], &s);
	memcpy(buf, s.pkt, s.pktlen);
	ck_assert_uint_eq(trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst,
	    buf, s.pktlen, s.pktlen + s.len - 1, &s.t), 0);
	ck_assert_uint_eq(trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst,
	    buf, s.pktlen, s.pktlen - 1, &s.t), 0);
	s.t.tlv = big;
	s.t.tlvlen = TRAILER_TLV_MAX;
	ck_assert_uint_eq(trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst,
	    buf, s.pktlen, sizeof(buf), &s.t), TRAILER_MAX);
	s.t.tlvlen++;
	ck_assert_uint_eq(trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst,
	    buf, s.pktlen, sizeof(buf), &s.t), 0);
	/* What a receiver would refuse is not sent. */
	s.t.tlvlen = 3;
	big[1] = 1;
	big[2] = 1;
	ck_assert_uint_eq(trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst,
	    buf, s.pktlen, sizeof(buf), &s.t), 0);
	hmac_free(s.key);
}
END_TEST

/* TLVs of any length come back, padded to four bytes on the wire. */
START_TEST(tlv_padding)
{
	struct sample	 s;
	struct trailer	 out;
	uint8_t		 buf[512], type, tlv[64] = { 5 };
	const uint8_t	*val;
	size_t		 n, len, off;

	load(&vectors[2], &s);
	memcpy(buf, s.pkt, s.pktlen);
	for (n = 0; n <= 62; n++) {
		tlv[1] = (uint8_t)n;
		memset(tlv + 2, (int)n, n);
		s.t.tlv = tlv;
		s.t.tlvlen = n + 2;
		len = trailer_write(TRAILER_CARP, s.key, &s.src, &s.dst, buf,
		    s.pktlen, sizeof(buf), &s.t);
		ck_assert_uint_eq(len, 64 + (n + 2 + 3) / 4 * 4);
		memcpy(s.data, buf + s.pktlen, len);
		ck_assert_int_eq(trailer_parse(TRAILER_CARP, s.data, len,
		    &out), TRAILER_OK);
		ck_assert(verify(TRAILER_CARP, &s));
		off = 0;
		ck_assert(trailer_tlv(&out, &off, &type, &val, &len));
		ck_assert_uint_eq(type, 5);
		ck_assert_uint_eq(len, n);
		ck_assert_mem_eq(val, tlv + 2, n);
		ck_assert(!trailer_tlv(&out, &off, &type, &val, &len));
		ck_assert(!trailer_tlv(&out, &off, &type, &val, &len));
	}
	hmac_free(s.key);
}
END_TEST

START_TEST(tlv_walk)
{
	static const uint8_t	 good[] = {
		0, 0, 1, 3, 10, 11, 12, 0, 2, 0, 0xff, 1, 42, 0
	};
	static const uint8_t	 rubbish[] = { 1, 1, 9, 7, 5, 1 };
	struct trailer		 t = { .tlv = good, .tlvlen = sizeof(good) };
	const uint8_t		*val;
	uint8_t			 type;
	size_t			 off = 0, len;

	ck_assert(trailer_tlv(&t, &off, &type, &val, &len));
	ck_assert_uint_eq(type, 1);
	ck_assert_uint_eq(len, 3);
	ck_assert_ptr_eq(val, good + 4);
	ck_assert(trailer_tlv(&t, &off, &type, &val, &len));
	ck_assert_uint_eq(type, 2);
	ck_assert_uint_eq(len, 0);
	ck_assert(trailer_tlv(&t, &off, &type, &val, &len));
	ck_assert_uint_eq(type, 0xff);
	ck_assert_uint_eq(val[0], 42);
	ck_assert(!trailer_tlv(&t, &off, &type, &val, &len));

	t = (struct trailer){ .tlv = rubbish, .tlvlen = sizeof(rubbish) };
	off = 0;
	ck_assert(trailer_tlv(&t, &off, &type, &val, &len));
	ck_assert(!trailer_tlv(&t, &off, &type, &val, &len));
	ck_assert(!trailer_tlv(&t, &off, &type, &val, &len));

	t = (struct trailer){ .tlv = NULL };
	off = 0;
	ck_assert(!trailer_tlv(&t, &off, &type, &val, &len));
	off = SIZE_MAX;
	ck_assert(!trailer_tlv(&t, &off, &type, &val, &len));
}
END_TEST

/* Changing these breaks every running pair with a pass phrase. */
START_TEST(derive)
{
	static const struct {
		enum trailer_use	 use;
		const char		*pass;
		const char		*key;
	} t[] = {
		{ TRAILER_CARP, "mekmitasdigoat",
		    "3009878f2b69030f389c6fbbcf3d4a0b"
		    "e5b9571d3bb84872a8d9afb69c347658" },
		{ TRAILER_CARP, "", "8b80a04a57689c50494380278df0263b"
		    "c626a7cb8941a5357e101a05ccda6e72" },
		{ TRAILER_PFSYNC, "mekmitasdigoat",
		    "4fffbd2563f867c0d18ba5b2c7145d6b"
		    "9bbc930f2e1dc53132585c537fc558c8" },
		{ TRAILER_PFSYNC, "", "8adcc2888468e7f808ad88dceba9abde"
		    "bb4ee751000bc394b6be9ccf51bc9f74" },
	};
	uint8_t	 out[HMAC_SHA256_LEN], want[HMAC_SHA256_LEN];
	size_t	 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unhex(t[i].key, want, sizeof(want));
		trailer_derive(t[i].use, t[i].pass, strlen(t[i].pass), out);
		ck_assert_mem_eq(out, want, sizeof(want));
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("trailer");
	TCase	*tc = tcase_create("trailer");
	SRunner	*sr;
	int	 failed;

	hmac_setup();
	tcase_add_loop_test(tc, read_vector, 0, NVECTORS);
	tcase_add_loop_test(tc, write_vector, 0, NVECTORS);
	tcase_add_loop_test(tc, bound_to_context, 0, NVECTORS);
	tcase_add_loop_test(tc, every_bit, 0, NVECTORS);
	tcase_add_loop_test(tc, cut_short_or_long, 0, NVECTORS);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, total_length);
	tcase_add_test(tc, write_limits);
	tcase_add_test(tc, tlv_padding);
	tcase_add_test(tc, tlv_walk);
	tcase_add_test(tc, derive);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
