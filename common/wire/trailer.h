/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The authentication trailer of our own nodes, after a CARP advertisement or
 * a pfsync packet, where foreign receivers ignore it.  Pure.
 *
 *	off size
 *	  0    4  magic: "crpA" (CARP) or "pfsA" (pfsync)
 *	  4    1  trailer version, 1
 *	  5    1  algorithm, 1 = HMAC-SHA-256
 *	  6    2  key id
 *	  8    4  node id
 *	 12    2  length of the whole trailer: 64 + TLVs, a multiple of 4
 *	 14    2  flags, 0
 *	 16    8  epoch: one for each start of the sender (../epoch.h)
 *	 24    8  sequence, from 1, +1 a packet
 *	 32    n  TLVs: type 1, length 1 (of the value), value; type 0 = one
 *		  byte of padding.  Unknown types are skipped.
 *	 32+n 32  MAC
 *
 * MAC = HMAC-SHA-256(key, context || packet || trailer without its MAC), all
 * big-endian; context is 16 bytes ("carpd-auth-v1" or "pfsyncd-auth-v1", NUL
 * filled), IP version (4 or 6), protocol (112 or 240), 0, 0, source and
 * destination address, 16 bytes each (IPv4 in the first four).  Without TLVs
 * and with the pfsync values this is the trailer of the pfsync vectors.
 */
#ifndef COMMON_WIRE_TRAILER_H
#define COMMON_WIRE_TRAILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../hmac.h"
#include "../ipaddr.h"

#define TRAILER_FIXED		64	/* without TLVs */
#define TRAILER_TLV_MAX		512
#define TRAILER_MAX		(TRAILER_FIXED + TRAILER_TLV_MAX)
#define TRAILER_VERSION		1
#define TRAILER_ALG_SHA256	1

/* TLVs of both uses, see ../auth.h; a use has its own from 1 on. */
#define TRAILER_TLV_CHALLENGE	0xf0
#define TRAILER_TLV_ECHO	0xf1
#define TRAILER_TLV_SEALED	0xf2	/* pfsyncd/crypt.h */

enum trailer_use { TRAILER_CARP, TRAILER_PFSYNC };

struct trailer {
	uint16_t	 keyid;
	uint32_t	 node;
	uint64_t	 epoch;
	uint64_t	 seq;
	const uint8_t	*tlv;		/* view into the packet or caller's */
	size_t		 tlvlen;
};

enum trailer_result {
	TRAILER_OK,
	TRAILER_NONE,		/* nothing of ours there */
	TRAILER_BAD		/* ours, malformed or wrong MAC */
};

/*
 * Is there a trailer in the len bytes at data (what follows the protocol's
 * own packet)?  Parses without verifying: TRAILER_OK, _NONE or _BAD.
 */
enum trailer_result trailer_parse(enum trailer_use use, const void *data,
		    size_t len, struct trailer *t);
/*
 * Verify the MAC of a trailer that trailer_parse() accepted; pkt/pktlen is
 * what stands before it.  Constant time.
 */
bool		 trailer_verify(enum trailer_use use, struct hmac *key,
		    const struct ipaddr *src, const struct ipaddr *dst,
		    const void *pkt, size_t pktlen, const void *data);
/*
 * Write a trailer behind pkt[0..pktlen-1] in a buffer of size bytes; TLVs are
 * padded to four bytes.  Returns its length, 0 when it does not fit.
 */
size_t		 trailer_write(enum trailer_use use, struct hmac *key,
		    const struct ipaddr *src, const struct ipaddr *dst,
		    uint8_t *pkt, size_t pktlen, size_t size,
		    const struct trailer *t);
/*
 * Iterate TLVs: *off starts at 0.  true: type, value and its length are set.
 * false: the end, or rubbish (which trailer_parse() has refused before).
 */
bool		 trailer_tlv(const struct trailer *t, size_t *off,
		    uint8_t *type, const uint8_t **val, size_t *len);
/* Key derivation from a pass phrase: 32 bytes to out (domain separated). */
void		 trailer_derive(enum trailer_use use, const void *pass,
		    size_t len, uint8_t out[HMAC_SHA256_LEN]);

#endif
