/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * HMAC (RFC 2104) over the SHA contexts of libcrypto.  Not a general crypto
 * layer: two algorithms, whole keys, whole digests.
 *
 * The plain SHA1_ and SHA256_ functions are used on purpose, although
 * OpenSSL 3 calls them deprecated in favour of EVP.  Every EVP path
 * of OpenSSL 3.0 allocates twice for each MAC (EVP_MAC_init, EVP_MD_CTX_copy_ex
 * and a repeated EVP_DigestInit_ex2 alike, counted with
 * CRYPTO_set_mem_functions) and needs a provider and the configuration file to
 * be found; a SHA context is a flat struct, copying it is an assignment, and a
 * MAC costs a third to a half of the time.  LibreSSL has them undeprecated.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hmac.h"
#include "log.h"

#define HMAC_BLOCK	64	/* both hashes */
#define HMAC_IPAD	0x36
#define HMAC_OPAD	0x5c
#define GETENTROPY_MAX	256	/* bytes one call gives */

union hmac_sha {
	SHA_CTX		 sha1;
	SHA256_CTX	 sha256;
};

struct hmac {
	enum hmac_alg	 alg;
	union hmac_sha	 inner;		/* after key ^ ipad */
	union hmac_sha	 outer;		/* after key ^ opad */
	union hmac_sha	 work;
};

static void
sha_init(enum hmac_alg alg, union hmac_sha *s)
{
	int	 ok;

	if (alg == HMAC_ALG_SHA1)
		ok = SHA1_Init(&s->sha1);
	else
		ok = SHA256_Init(&s->sha256);
	if (ok != 1)
		fatalx("libcrypto refuses SHA");
}

static void
sha_update(enum hmac_alg alg, union hmac_sha *s, const void *data, size_t len)
{
	int	 ok;

	if (alg == HMAC_ALG_SHA1)
		ok = SHA1_Update(&s->sha1, data, len);
	else
		ok = SHA256_Update(&s->sha256, data, len);
	if (ok != 1)
		fatalx("libcrypto refuses SHA");
}

/* Returns the length of the digest. */
static size_t
sha_final(enum hmac_alg alg, union hmac_sha *s, uint8_t *out)
{
	int	 ok;

	if (alg == HMAC_ALG_SHA1)
		ok = SHA1_Final(out, &s->sha1);
	else
		ok = SHA256_Final(out, &s->sha256);
	if (ok != 1)
		fatalx("libcrypto refuses SHA");
	return (alg == HMAC_ALG_SHA1 ? HMAC_SHA1_LEN : HMAC_SHA256_LEN);
}

/*
 * One known answer per algorithm, RFC 2202 and RFC 4231 case 2: a libcrypto
 * that cannot do it stops the daemon here and not at the first packet.
 */
void
hmac_setup(void)
{
	static const uint8_t	 sha1[HMAC_SHA1_LEN] = {
		0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74,
		0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79
	};
	static const uint8_t	 sha256[HMAC_SHA256_LEN] = {
		0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
		0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
		0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
		0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43
	};
	static const char	 text[] = "what do ya want for nothing?";
	const uint8_t		*want[] = { sha1, sha256 };
	static const enum hmac_alg algs[] = { HMAC_ALG_SHA1, HMAC_ALG_SHA256 };
	uint8_t			 mac[HMAC_SHA256_LEN];
	struct hmac		*h;
	size_t			 i, len;

	for (i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		len = algs[i] == HMAC_ALG_SHA1 ? HMAC_SHA1_LEN :
		    HMAC_SHA256_LEN;
		h = hmac_new(algs[i], "Jefe", 4);
		hmac_start(h);
		hmac_update(h, text, sizeof(text) - 1);
		hmac_final(h, mac);
		hmac_free(h);
		if (!hmac_equal(mac, want[i], len))
			fatalx("libcrypto computes a wrong HMAC");
	}
}

/* The key as one block: hashed if it is longer than that, zero filled. */
static void
key_block(enum hmac_alg alg, const void *key, size_t keylen,
    uint8_t block[HMAC_BLOCK])
{
	union hmac_sha	 s;

	memset(block, 0, HMAC_BLOCK);
	if (keylen <= HMAC_BLOCK) {
		if (keylen > 0)
			memcpy(block, key, keylen);
		return;
	}
	sha_init(alg, &s);
	sha_update(alg, &s, key, keylen);
	sha_final(alg, &s, block);
	hmac_wipe(&s, sizeof(s));
}

/* Start s with the key block XOR pad. */
static void
pad_state(enum hmac_alg alg, union hmac_sha *s, const uint8_t *block,
    uint8_t pad)
{
	uint8_t	 padded[HMAC_BLOCK];
	size_t	 i;

	for (i = 0; i < HMAC_BLOCK; i++)
		padded[i] = (uint8_t)(block[i] ^ pad);
	sha_init(alg, s);
	sha_update(alg, s, padded, sizeof(padded));
	hmac_wipe(padded, sizeof(padded));
}

struct hmac *
hmac_new(enum hmac_alg alg, const void *key, size_t keylen)
{
	struct hmac	*h;
	uint8_t		 block[HMAC_BLOCK];

	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("hmac_new");
	h->alg = alg;
	key_block(alg, key, keylen, block);
	pad_state(alg, &h->inner, block, HMAC_IPAD);
	pad_state(alg, &h->outer, block, HMAC_OPAD);
	h->work = h->inner;
	hmac_wipe(block, sizeof(block));
	return (h);
}

void
hmac_free(struct hmac *h)
{
	if (h == NULL)
		return;
	hmac_wipe(h, sizeof(*h));
	free(h);
}

void
hmac_start(struct hmac *h)
{
	h->work = h->inner;
}

void
hmac_update(struct hmac *h, const void *data, size_t len)
{
	if (len > 0)
		sha_update(h->alg, &h->work, data, len);
}

void
hmac_final(struct hmac *h, uint8_t *mac)
{
	uint8_t	 digest[HMAC_SHA256_LEN];
	size_t	 len;

	len = sha_final(h->alg, &h->work, digest);
	h->work = h->outer;
	sha_update(h->alg, &h->work, digest, len);
	sha_final(h->alg, &h->work, mac);
}

static void
sha_once(enum hmac_alg alg, const void *data, size_t len, uint8_t *out)
{
	union hmac_sha	 s;

	sha_init(alg, &s);
	if (len > 0)
		sha_update(alg, &s, data, len);
	sha_final(alg, &s, out);
	hmac_wipe(&s, sizeof(s));
}

void
hmac_sha1_once(const void *data, size_t len, uint8_t *out)
{
	sha_once(HMAC_ALG_SHA1, data, len, out);
}

void
hmac_sha256_once(const void *data, size_t len, uint8_t *out)
{
	sha_once(HMAC_ALG_SHA256, data, len, out);
}

bool
hmac_equal(const void *a, const void *b, size_t len)
{
	return (CRYPTO_memcmp(a, b, len) == 0);
}

void
hmac_wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}

void __attribute__((noinline))
hmac_wipe_stack(void)
{
	uint8_t	 below[32768];

	explicit_bzero(below, sizeof(below));
}

/* getentropy(3) is the getrandom system call on Linux: no file, no fd. */
void
hmac_random(void *p, size_t len)
{
	uint8_t	*dst = p;
	size_t	 n;

	while (len > 0) {
		n = len < GETENTROPY_MAX ? len : GETENTROPY_MAX;
		if (getentropy(dst, n) == -1)
			fatal("getentropy");
		dst += n;
		len -= n;
	}
}
