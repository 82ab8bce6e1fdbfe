/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * AES-256-GCM (NIST SP 800-38D) by OpenSSL's EVP, in place, with a number as
 * nonce: four bytes of zero and the 64-bit sequence number of the packet, big
 * endian.  A key is that of one session (auth_session_key()), in which no
 * number is used twice.
 */
#ifndef COMMON_SEAL_H
#define COMMON_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEAL_KEY_LEN	32
#define SEAL_TAG_LEN	16

struct seal;

/*
 * Fetch the cipher and try a known answer; call at start, before chroot(2).
 * fatal() on failure.
 */
void		 seal_setup(void);
/* Copies the key into the schedule; fatal() when OpenSSL refuses. */
struct seal	*seal_new(const uint8_t key[SEAL_KEY_LEN]);
/* Wipes and frees; NULL is fine. */
void		 seal_free(struct seal *s);
/* Encrypt len bytes at data; the tag covers them and aad. */
void		 seal_close(struct seal *s, uint64_t seq, const void *aad,
		    size_t aadlen, uint8_t *data, size_t len,
		    uint8_t tag[SEAL_TAG_LEN]);
/* And back.  false: not what was sealed; data is rubbish then. */
bool		 seal_open(struct seal *s, uint64_t seq, const void *aad,
		    size_t aadlen, uint8_t *data, size_t len,
		    const uint8_t tag[SEAL_TAG_LEN]);

#endif
