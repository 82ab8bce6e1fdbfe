/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * HMAC-SHA1 and HMAC-SHA-256 (RFC 2104) over libcrypto SHA, constant-time
 * compare, key wiping.  A context keeps the key schedule, so that one packet
 * costs two or three compressions and no allocation.
 */
#ifndef COMMON_HMAC_H
#define COMMON_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HMAC_SHA1_LEN	20
#define HMAC_SHA256_LEN	32

enum hmac_alg { HMAC_ALG_SHA1, HMAC_ALG_SHA256 };

struct hmac;

/*
 * Known-answer test of both algorithms; call at start.  fatal() on failure.
 */
void		 hmac_setup(void);
/* Copies the key into the schedule; fatal() when OpenSSL refuses. */
struct hmac	*hmac_new(enum hmac_alg alg, const void *key, size_t keylen);
/* Wipes and frees; NULL is fine. */
void		 hmac_free(struct hmac *h);
void		 hmac_start(struct hmac *h);
void		 hmac_update(struct hmac *h, const void *data, size_t len);
/* Writes HMAC_SHA1_LEN or HMAC_SHA256_LEN bytes to mac. */
void		 hmac_final(struct hmac *h, uint8_t *mac);
/* Plain SHA-1, SHA-256 of one buffer: 20, 32 bytes to out. */
void		 hmac_sha1_once(const void *data, size_t len, uint8_t *out);
void		 hmac_sha256_once(const void *data, size_t len, uint8_t *out);

/* true when equal; time depends on len only. */
bool		 hmac_equal(const void *a, const void *b, size_t len);
/* Overwrite; not removed by the optimiser. */
void		 hmac_wipe(void *p, size_t len);
/*
 * What functions that have returned left below us on the stack: copies in
 * registers that the dynamic linker saves when it resolves a symbol, for one.
 */
void		 hmac_wipe_stack(void);
/* len random bytes from the kernel; works inside chroot and sandbox. */
void		 hmac_random(void *p, size_t len);

#endif
