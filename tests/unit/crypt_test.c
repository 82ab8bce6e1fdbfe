/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/crypt and common/seal: a packet worked out with Python's hmac and
 * cryptography, every bit of it under the tag, sessions, salts and keys.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/native.h"
#include "../../pfsyncd/crypt.h"
#include "hex.h"

#define NODE	0x1a2b3c4d
#define EPOCH	UINT64_C(1763620945920)
#define SEQ	42

static const char	*plain_hex =
    "06000014000000000000000000000000000000007066734e010000280000"
    "000700000003112233445566778800000000000000630f00000400000dac";
static const char	*sealed_hex =
    "06000014000000000000000000000000000000007066734e810000280000"
    "0007000000031122334455667788000000000000006307851a8ca6c3e9e5";
static const char	*tlv_hex =
    "f220a0a1a2a3a4a5a6a7a8a9aaabacadaeafb6b74f87ecb9d1879e61f799"
    "baa3b59b";

static struct auth	*a;
static struct crypt	*c;
static uint8_t		 plain[128], sealed[128], tlv[CRYPT_TLV_LEN];
static size_t		 len;

/* Keys 1 and 2, of which the first is 00 01 .. 1f. */
static void
keys(unsigned int active)
{
	struct auth_conf	 conf;
	size_t			 i;

	memset(&conf, 0, sizeof(conf));
	conf.policy = AUTH_STRICT;
	conf.nkeys = 2;
	for (i = 0; i < AUTH_KEY_LEN; i++) {
		conf.keys[0].key[i] = (uint8_t)i;
		conf.keys[1].key[i] = (uint8_t)~i;
	}
	for (i = 0; i < 2; i++) {
		conf.keys[i].id = (uint16_t)(i + 1);
		conf.keys[i].active = active == i + 1;
	}
	auth_conf(a, &conf);
}

static void
setup(void)
{
	uint8_t	 secret[HMAC_SHA256_LEN] = { 1 }, salt[CRYPT_SALT_LEN];

	hmac_setup();
	seal_setup();
	a = auth_new(TRAILER_PFSYNC, NODE, EPOCH, secret);
	keys(1);
	len = unhex(plain_hex, plain, sizeof(plain));
	ck_assert_uint_eq(unhex(sealed_hex, sealed, sizeof(sealed)), len);
	ck_assert_uint_eq(unhex(tlv_hex, tlv, sizeof(tlv)), sizeof(tlv));
	memcpy(salt, tlv + 2, sizeof(salt));
	c = crypt_new(a, NODE, EPOCH, salt);
}

static void
teardown(void)
{
	crypt_free(c);
	auth_free(a);
}

/* As a peer with that trailer would have it. */
static bool
opens(const uint8_t *pkt, const uint8_t *its_tlv, uint16_t keyid, uint64_t seq,
    uint8_t *out)
{
	struct trailer	 t;

	memset(&t, 0, sizeof(t));
	t.keyid = keyid;
	t.node = NODE;
	t.epoch = EPOCH;
	t.seq = seq;
	t.tlv = its_tlv;
	t.tlvlen = CRYPT_TLV_LEN;
	memcpy(out, pkt, len);
	return (crypt_open(c, out, len, &t));
}

START_TEST(vector)
{
	uint8_t	 pkt[128], got[CRYPT_TLV_LEN];

	memcpy(pkt, plain, len);
	crypt_close(c, pkt, len, SEQ, got);
	ck_assert_mem_eq(pkt, sealed, len);
	ck_assert_mem_eq(got, tlv, sizeof(tlv));
	ck_assert(opens(sealed, tlv, 1, SEQ, pkt));
	ck_assert_mem_eq(pkt, plain, len);
}
END_TEST

/* The header is readable, and nobody takes it for a plain packet. */
START_TEST(marked)
{
	struct native_hdr	 h;
	const uint8_t		*view;
	size_t			 n, off;

	ck_assert(!native_parse(sealed, len, &h, &view, &n, &off));
	ck_assert(native_sealed(sealed, len, &off));
	ck_assert_uint_eq(off, len);
	ck_assert(!native_sealed(plain, len, &off));
	ck_assert(native_parse(plain, len, &h, &view, &n, &off));
	ck_assert_uint_eq(h.count, 3);
	ck_assert_mem_eq(plain + 25, sealed + 25, NATIVE_HDR - 25);
	ck_assert(!native_sealed(sealed, NATIVE_HDR - 1, &off));
	ck_assert(!native_sealed(sealed, len - 4, &off));
}
END_TEST

START_TEST(every_bit)
{
	uint8_t	 bad[128], btlv[CRYPT_TLV_LEN], out[128];
	size_t	 i;

	for (i = 0; i < 8 * len; i++) {
		memcpy(bad, sealed, len);
		bad[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!opens(bad, tlv, 1, SEQ, out));
	}
	for (i = 0; i < 8 * sizeof(tlv); i++) {
		memcpy(btlv, tlv, sizeof(tlv));
		btlv[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!opens(sealed, btlv, 1, SEQ, out));
	}
	ck_assert(!opens(sealed, tlv, 1, SEQ + 1, out));
	ck_assert(!opens(sealed, tlv, 2, SEQ, out));
	ck_assert(!opens(sealed, tlv, 3, SEQ, out));
	ck_assert(opens(sealed, tlv, 1, SEQ, out));
}
END_TEST

/* The same packet again and again is never the same on the wire. */
START_TEST(never_twice)
{
	uint8_t	 pkt[3][128], t[3][CRYPT_TLV_LEN], salt[CRYPT_SALT_LEN] = { 9 };
	uint8_t	 out[128];
	int	 i;

	for (i = 0; i < 3; i++)
		memcpy(pkt[i], plain, len);
	crypt_close(c, pkt[0], len, SEQ, t[0]);
	crypt_close(c, pkt[1], len, SEQ + 1, t[1]);
	/* the same number after a start with the same epoch, or another key */
	crypt_rekey(c, salt);
	crypt_close(c, pkt[2], len, SEQ, t[2]);
	ck_assert_mem_ne(pkt[0] + NATIVE_HDR, pkt[1] + NATIVE_HDR, 8);
	ck_assert_mem_ne(pkt[0] + NATIVE_HDR, pkt[2] + NATIVE_HDR, 8);
	for (i = 0; i < 3; i++) {
		ck_assert(opens(pkt[i], t[i], 1, i == 1 ? SEQ + 1 : SEQ, out));
		ck_assert_mem_eq(out, plain, len);
	}
}
END_TEST

START_TEST(rollover)
{
	uint8_t	 pkt[128], t[CRYPT_TLV_LEN], salt[CRYPT_SALT_LEN] = { 8 };
	uint8_t	 out[128];

	keys(2);
	crypt_rekey(c, salt);
	memcpy(pkt, plain, len);
	crypt_close(c, pkt, len, SEQ, t);
	ck_assert(!opens(pkt, t, 1, SEQ, out));
	ck_assert(opens(pkt, t, 2, SEQ, out));
	ck_assert(opens(sealed, tlv, 1, SEQ, out));
	ck_assert_mem_eq(out, plain, len);
}
END_TEST

/* A packet of nothing but its header, and one of many bytes. */
START_TEST(lengths)
{
	static uint8_t	 big[2][1400];
	uint8_t		 key[SEAL_KEY_LEN] = { 5 }, tag[SEAL_TAG_LEN];
	struct seal	*s = seal_new(key);
	size_t		 n;

	for (n = 0; n <= sizeof(big[0]); n += n < 40 ? 1 : 97) {
		memset(big[0], 0x5a, sizeof(big[0]));
		memcpy(big[1], big[0], n);
		seal_close(s, n, "header", 6, big[1], n, tag);
		ck_assert(n < 16 || memcmp(big[0], big[1], n) != 0);
		ck_assert(!seal_open(s, n, "Header", 6, big[1], n, tag));
		memcpy(big[1], big[0], n);
		seal_close(s, n, "header", 6, big[1], n, tag);
		ck_assert(seal_open(s, n, "header", 6, big[1], n, tag));
		ck_assert_int_eq(memcmp(big[0], big[1], n), 0);
	}
	seal_free(s);
	seal_free(NULL);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("crypt");
	TCase	*tc = tcase_create("crypt");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, vector);
	tcase_add_test(tc, marked);
	tcase_add_test(tc, every_bit);
	tcase_add_test(tc, never_twice);
	tcase_add_test(tc, rollover);
	tcase_add_test(tc, lengths);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
