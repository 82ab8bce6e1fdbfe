/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: `encrypt yes'.  The TLVs of a native packet are encrypted in place
 * (common/seal.h), its 52 bytes of header stay readable and are covered by the
 * tag; the version has the bit NATIVE_SEALED.  The trailer follows as ever and
 * covers what is on the wire, so that who a packet is of, and whether it is
 * fresh, is known before anything is decrypted.  Its first TLV is
 *
 *	TRAILER_TLV_SEALED	salt (16), tag (16)
 *
 * The key is that of a session,
 *
 *	HMAC-SHA-256(key of that id, "pfsyncd-seal-v1" and NUL, node id, epoch,
 *	    salt)
 *
 * where no packet's MAC begins with that label.  The salt is random and made
 * anew with each start and each change of keys; the nonce is the sequence
 * number, which never repeats within a start: so no nonce is used twice with
 * one key, whatever clock and files say.
 */
#ifndef PFSYNCD_CRYPT_H
#define PFSYNCD_CRYPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/auth.h"
#include "../common/seal.h"

#define CRYPT_SALT_LEN	16
#define CRYPT_TLV_LEN	(2 + CRYPT_SALT_LEN + SEAL_TAG_LEN)

struct crypt;

/*
 * Of a session with this node id and epoch.  salt: CRYPT_SALT_LEN random bytes.
 * a must outlive it.  fatal() when out of memory.
 */
struct crypt	*crypt_new(const struct auth *a, uint32_t node,
		    uint64_t epoch, const uint8_t *salt);
/* NULL is fine. */
void		 crypt_free(struct crypt *c);
/* The keys of a have changed. */
void		 crypt_rekey(struct crypt *c, const uint8_t *salt);
/*
 * Encrypt the native packet of len bytes that will have the trailer's number
 * seq, and write its TLV.  auth_keyed() is true.
 */
void		 crypt_close(struct crypt *c, uint8_t *pkt, size_t len,
		    uint64_t seq, uint8_t tlv[CRYPT_TLV_LEN]);
/*
 * Decrypt one of len bytes whose trailer t was right, by a key that we have;
 * afterwards it is a plain one.  false: it is not what was encrypted.
 */
bool		 crypt_open(struct crypt *c, uint8_t *pkt, size_t len,
		    const struct trailer *t);

#endif
