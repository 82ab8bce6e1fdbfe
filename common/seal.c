/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See seal.h.  A context is made once for a key; a packet sets only its nonce,
 * which allocates nothing.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "log.h"
#include "seal.h"

#define NONCE_LEN	12
#define SEQ_OFF		4

struct seal {
	EVP_CIPHER_CTX	*in, *out;
};

static EVP_CIPHER	*cipher;

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14. */
static void
known_answer(void)
{
	static const uint8_t	 key[SEAL_KEY_LEN], zero[16], want[2][16] = {
		{ 0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e,
		    0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18 },
		{ 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b,
		    0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19 }
	};
	uint8_t			 data[16] = { 0 }, tag[SEAL_TAG_LEN];
	struct seal		*s = seal_new(key);

	seal_close(s, 0, NULL, 0, data, sizeof(data), tag);
	if (memcmp(data, want[0], sizeof(data)) != 0 ||
	    memcmp(tag, want[1], sizeof(tag)) != 0 ||
	    !seal_open(s, 0, NULL, 0, data, sizeof(data), tag) ||
	    memcmp(data, zero, sizeof(data)) != 0)
		fatalx("libcrypto computes a wrong AES-256-GCM");
	seal_free(s);
}

void
seal_setup(void)
{
	if (cipher == NULL &&
	    (cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) == NULL)
		fatalx("libcrypto has no AES-256-GCM");
	known_answer();
}

struct seal *
seal_new(const uint8_t key[SEAL_KEY_LEN])
{
	struct seal	*s;

	if ((s = calloc(1, sizeof(*s))) == NULL ||
	    (s->in = EVP_CIPHER_CTX_new()) == NULL ||
	    (s->out = EVP_CIPHER_CTX_new()) == NULL)
		fatal("seal_new");
	if (!EVP_DecryptInit_ex2(s->in, cipher, key, NULL, NULL) ||
	    !EVP_EncryptInit_ex2(s->out, cipher, key, NULL, NULL))
		fatalx("libcrypto refuses AES-256-GCM");
	return (s);
}

void
seal_free(struct seal *s)
{
	if (s == NULL)
		return;
	EVP_CIPHER_CTX_free(s->in);	/* which wipes */
	EVP_CIPHER_CTX_free(s->out);
	free(s);
}

static void
make_nonce(uint64_t seq, uint8_t nonce[NONCE_LEN])
{
	size_t	 i;

	memset(nonce, 0, NONCE_LEN);
	for (i = NONCE_LEN; i > SEQ_OFF; i--, seq >>= 8)
		nonce[i - 1] = (uint8_t)seq;
}

void
seal_close(struct seal *s, uint64_t seq, const void *aad, size_t aadlen,
    uint8_t *data, size_t len, uint8_t tag[SEAL_TAG_LEN])
{
	uint8_t	 nonce[NONCE_LEN], none[SEAL_TAG_LEN];
	int	 n;

	make_nonce(seq, nonce);
	if (!EVP_EncryptInit_ex2(s->out, NULL, NULL, nonce, NULL) ||
	    (aadlen > 0 && !EVP_EncryptUpdate(s->out, NULL, &n, aad,
	    (int)aadlen)) ||
	    !EVP_EncryptUpdate(s->out, data, &n, data, (int)len) ||
	    !EVP_EncryptFinal_ex(s->out, none, &n) ||
	    !EVP_CIPHER_CTX_ctrl(s->out, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_LEN,
	    tag))
		fatalx("libcrypto refuses to encrypt");
}

bool
seal_open(struct seal *s, uint64_t seq, const void *aad, size_t aadlen,
    uint8_t *data, size_t len, const uint8_t tag[SEAL_TAG_LEN])
{
	uint8_t	 nonce[NONCE_LEN], none[SEAL_TAG_LEN], want[SEAL_TAG_LEN];
	int	 n;

	make_nonce(seq, nonce);
	memcpy(want, tag, sizeof(want));
	return (EVP_DecryptInit_ex2(s->in, NULL, NULL, nonce, NULL) &&
	    (aadlen == 0 || EVP_DecryptUpdate(s->in, NULL, &n, aad,
	    (int)aadlen)) &&
	    EVP_DecryptUpdate(s->in, data, &n, data, (int)len) &&
	    EVP_CIPHER_CTX_ctrl(s->in, EVP_CTRL_AEAD_SET_TAG, sizeof(want),
	    want) && EVP_DecryptFinal_ex(s->in, none, &n) > 0);
}
