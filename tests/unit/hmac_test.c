/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/hmac against the vectors of RFC 2202 section 3 and RFC 4231 section
 * 4, and what the callers rely on besides: no allocation for a MAC.
 */
#include <openssl/crypto.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/hmac.h"
#include "hex.h"

#define LONGTEXT	"Test Using Larger Than Block-Size Key"

struct vector {
	enum hmac_alg	 alg;
	const char	*key;		/* hex, or NULL: keybyte * keylen */
	uint8_t		 keybyte;
	size_t		 keylen;
	const char	*text;		/* or NULL: textbyte * textlen */
	uint8_t		 textbyte;
	size_t		 textlen;
	const char	*mac;
};

static const struct vector vectors[] = {
	/* RFC 2202 */
	{ HMAC_ALG_SHA1, NULL, 0x0b, 20, "Hi There", 0, 0,
	    "b617318655057264e28bc0b6fb378c8ef146be00" },
	{ HMAC_ALG_SHA1, "4a656665", 0, 0, "what do ya want for nothing?",
	    0, 0, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
	{ HMAC_ALG_SHA1, NULL, 0xaa, 20, NULL, 0xdd, 50,
	    "125d7342b9ac11cd91a39af48aa17b4f63f175d3" },
	{ HMAC_ALG_SHA1, "0102030405060708090a0b0c0d0e0f10111213141516171819",
	    0, 0, NULL, 0xcd, 50, "4c9007f4026250c6bc8414f9bf50c86c2d7235da" },
	{ HMAC_ALG_SHA1, NULL, 0x0c, 20, "Test With Truncation", 0, 0,
	    "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04" },
	{ HMAC_ALG_SHA1, NULL, 0xaa, 80, LONGTEXT " - Hash Key First", 0, 0,
	    "aa4ae5e15272d00e95705637ce8a3b55ed402112" },
	{ HMAC_ALG_SHA1, NULL, 0xaa, 80,
	    LONGTEXT " and Larger Than One Block-Size Data", 0, 0,
	    "e8e99d0f45237d786d6bbaa7965c7808bbff1a91" },
	/* RFC 4231; case 5 is about truncation, which nothing here does */
	{ HMAC_ALG_SHA256, NULL, 0x0b, 20, "Hi There", 0, 0,
	    "b0344c61d8db38535ca8afceaf0bf12b"
	    "881dc200c9833da726e9376c2e32cff7" },
	{ HMAC_ALG_SHA256, "4a656665", 0, 0, "what do ya want for nothing?",
	    0, 0, "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843" },
	{ HMAC_ALG_SHA256, NULL, 0xaa, 20, NULL, 0xdd, 50,
	    "773ea91e36800e46854db8ebd09181a7"
	    "2959098b3ef8c122d9635514ced565fe" },
	{ HMAC_ALG_SHA256,
	    "0102030405060708090a0b0c0d0e0f10111213141516171819",
	    0, 0, NULL, 0xcd, 50, "82558a389a443c0ea4cc819899f2083a"
	    "85f0faa3e578f8077a2e3ff46729665b" },
	{ HMAC_ALG_SHA256, NULL, 0xaa, 131, LONGTEXT " - Hash Key First", 0, 0,
	    "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54" },
	{ HMAC_ALG_SHA256, NULL, 0xaa, 131,
	    "This is a test using a larger than block-size key and a larger "
	    "than block-size data. The key needs to be hashed before being "
	    "used by the HMAC algorithm.", 0, 0,
	    "9b09ffa71b942fcb27635fbcd5b0e944"
	    "bfdc63644f0713938a7f51535c3a35e2" },
};

static long	allocations;

static void *
counting_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return (malloc(n));
}

static void *
counting_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	allocations++;
	return (realloc(p, n));
}

static void
counting_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static size_t
mac_len(enum hmac_alg alg)
{
	return (alg == HMAC_ALG_SHA1 ? HMAC_SHA1_LEN : HMAC_SHA256_LEN);
}

static struct hmac *
vector_key(const struct vector *v)
{
	uint8_t	 key[256];
	size_t	 len = v->keylen;

	memset(key, v->keybyte, sizeof(key));
	if (v->key != NULL)
		len = unhex(v->key, key, sizeof(key));
	return (hmac_new(v->alg, key, len));
}

static size_t
vector_text(const struct vector *v, uint8_t *text, size_t size)
{
	size_t	 len = v->text != NULL ? strlen(v->text) : v->textlen;

	ck_assert_uint_le(len, size);
	if (v->text != NULL)
		memcpy(text, v->text, len);
	else
		memset(text, v->textbyte, len);
	return (len);
}

START_TEST(rfc_vectors)
{
	const struct vector	*v = &vectors[_i];
	uint8_t			 text[256], mac[HMAC_SHA256_LEN];
	uint8_t			 want[HMAC_SHA256_LEN];
	struct hmac		*h = vector_key(v);
	size_t			 i, len = vector_text(v, text, sizeof(text));

	ck_assert_uint_eq(unhex(v->mac, want, sizeof(want)), mac_len(v->alg));
	hmac_start(h);
	hmac_update(h, text, len);
	hmac_final(h, mac);
	ck_assert_mem_eq(mac, want, mac_len(v->alg));

	/* The context serves again, whatever the pieces. */
	hmac_start(h);
	for (i = 0; i < len; i++)
		hmac_update(h, text + i, 1);
	hmac_update(h, NULL, 0);
	hmac_final(h, mac);
	ck_assert_mem_eq(mac, want, mac_len(v->alg));
	hmac_free(h);
}
END_TEST

START_TEST(abandoned_start)
{
	const struct vector	*v = &vectors[1];
	uint8_t			 mac[HMAC_SHA1_LEN], want[HMAC_SHA1_LEN];
	struct hmac		*h = vector_key(v);

	unhex(v->mac, want, sizeof(want));
	hmac_start(h);
	hmac_update(h, "something else", 14);
	hmac_start(h);
	hmac_update(h, v->text, strlen(v->text));
	hmac_final(h, mac);
	ck_assert_mem_eq(mac, want, sizeof(want));
	hmac_free(h);
}
END_TEST

/* Key lengths round the block size, and none; values from Python's hmac. */
START_TEST(odd_keys)
{
	static const struct {
		size_t		 len;
		const char	*mac;
	} t[] = {
		{ 0, "b613679a0814d9ec772f95d778c35fc5"
		    "ff1697c493715653c6c712144292c5ad" },
		{ 63, "d134c77727f0a8b06553f050e09054e5"
		    "ed9bb0565843ed7d33397b3e22d61e12" },
		{ 64, "dc4f7c5453d45334e21e14fb78b12e9c"
		    "b0dc1cdf785642a04c950f467174ce6b" },
		{ 65, "4b53da10260fce03282149238b1c6209"
		    "f450c2498315e8c916a81091789554f1" },
	};
	uint8_t		 key[65], mac[HMAC_SHA256_LEN], want[HMAC_SHA256_LEN];
	struct hmac	*h;
	size_t		 i;

	memset(key, 0x5a, sizeof(key));
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unhex(t[i].mac, want, sizeof(want));
		h = hmac_new(HMAC_ALG_SHA256, key, t[i].len);
		hmac_start(h);
		hmac_final(h, mac);
		hmac_free(h);
		ck_assert_mem_eq(mac, want, sizeof(want));
	}
}
END_TEST

START_TEST(no_allocation)
{
	uint8_t		 mac[HMAC_SHA256_LEN], data[200] = { 1 };
	struct hmac	*h[2];
	long		 before;
	int		 i, k;

	h[0] = hmac_new(HMAC_ALG_SHA1, "key", 3);
	h[1] = hmac_new(HMAC_ALG_SHA256, "key", 3);
	before = allocations;
	for (i = 0; i < 100; i++) {
		for (k = 0; k < 2; k++) {
			hmac_start(h[k]);
			hmac_update(h[k], data, sizeof(data));
			hmac_final(h[k], mac);
		}
		hmac_sha256_once(data, sizeof(data), mac);
	}
	ck_assert_int_eq(allocations, before);
	hmac_free(h[0]);
	hmac_free(h[1]);
	hmac_free(NULL);
}
END_TEST

/* FIPS 180-2 appendix B.1, and the empty message. */
START_TEST(plain_sha256)
{
	uint8_t	 out[HMAC_SHA256_LEN], want[HMAC_SHA256_LEN];

	unhex("ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad", want, sizeof(want));
	hmac_sha256_once("abc", 3, out);
	ck_assert_mem_eq(out, want, sizeof(want));
	unhex("e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855", want, sizeof(want));
	hmac_sha256_once(NULL, 0, out);
	ck_assert_mem_eq(out, want, sizeof(want));
}
END_TEST

START_TEST(equal)
{
	uint8_t	 a[HMAC_SHA1_LEN] = { 0 }, b[HMAC_SHA1_LEN];
	size_t	 i;

	memcpy(b, a, sizeof(b));
	ck_assert(hmac_equal(a, b, sizeof(a)));
	ck_assert(hmac_equal(a, b, 0));
	for (i = 0; i < sizeof(b); i++) {
		b[i] = 0x80;
		ck_assert(!hmac_equal(a, b, sizeof(a)));
		ck_assert(hmac_equal(a, b, i));
		b[i] = 0;
	}
}
END_TEST

START_TEST(wipe_and_random)
{
	uint8_t	 a[1000], zero[1000] = { 0 }, tail = 0x77;

	/* Crosses the limit of one call; 1000 zero bytes do not happen. */
	hmac_random(a, sizeof(a));
	ck_assert_mem_ne(a, zero, sizeof(a) / 2);
	ck_assert_mem_ne(a + 900, zero, 100);
	ck_assert_mem_ne(a, a + 500, 500);
	hmac_random(&tail, 0);
	ck_assert_uint_eq(tail, 0x77);
	hmac_wipe(a, sizeof(a));
	ck_assert_mem_eq(a, zero, sizeof(a));
	hmac_wipe(NULL, 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("hmac");
	TCase	*tc = tcase_create("hmac");
	SRunner	*sr;
	int	 failed;

	if (!CRYPTO_set_mem_functions(counting_malloc, counting_realloc,
	    counting_free))
		return (1);
	hmac_setup();
	tcase_add_loop_test(tc, rfc_vectors, 0,
	    sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_test(tc, abandoned_start);
	tcase_add_test(tc, odd_keys);
	tcase_add_test(tc, no_allocation);
	tcase_add_test(tc, plain_sha256);
	tcase_add_test(tc, equal);
	tcase_add_test(tc, wipe_and_random);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
