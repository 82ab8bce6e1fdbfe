/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The 36-byte CARP header: bytes <-> host-order struct.  Pure.  The layout is
 * that of OpenBSD's sys/netinet/ip_carp.h; the checksum covers exactly these
 * 36 bytes, without a pseudo-header, IPv4 and IPv6 alike.
 */
#ifndef COMMON_WIRE_CARP_H
#define COMMON_WIRE_CARP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARP_PROTO		112
#define CARP_LEN		36
#define CARP_VERSION		2
#define CARP_TYPE_ADVERT	1
#define CARP_AUTHLEN		7	/* 32-bit words of counter and digest */
#define CARP_TTL		255
#define CARP_DIGEST_LEN		20
#define CARP_COUNTER_LEN	8
#define CARP_KEY_LEN		20
#define CARP_BOWOUT		255	/* advbase and advskew of a bow-out */

struct carp_header {
	uint8_t		 version;
	uint8_t		 type;
	uint8_t		 vhid;
	uint8_t		 advskew;
	uint8_t		 authlen;
	uint8_t		 demote;
	uint8_t		 advbase;
	uint16_t	 cksum;
	uint8_t		 counter[CARP_COUNTER_LEN];	/* opaque, as sent */
	uint8_t		 digest[CARP_DIGEST_LEN];
};

/*
 * Decode CARP_LEN bytes; false when len is smaller.  Trailing bytes are not
 * looked at, no field is judged.
 */
bool		 carp_decode(const void *data, size_t len,
		    struct carp_header *h);
/* Is the checksum of these CARP_LEN bytes right? */
bool		 carp_cksum_ok(const void *data);
/* Encode to CARP_LEN bytes, computing the checksum (h->cksum is ignored). */
void		 carp_encode(const struct carp_header *h, void *data);

#endif
