/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The CARP header as OpenBSD's sys/netinet/ip_carp.h lays it out.  Layout
 * only: which values are acceptable, and the digest, are the business of
 * whoever judges advertisements.
 *
 *	off size
 *	  0    1  version (high nibble), type (low nibble)
 *	  1    1  vhid
 *	  2    1  advskew
 *	  3    1  authlen
 *	  4    1  demote
 *	  5    1  advbase
 *	  6    2  checksum
 *	  8    8  counter
 *	 16   20  digest
 */
#include "../ibuf.h"
#include "carp.h"
#include "cksum.h"

#define CARP_CKSUM_OFF	6

bool
carp_decode(const void *data, size_t len, struct carp_header *h)
{
	struct rbuf	 r;
	uint8_t		 verstype;

	rbuf_init(&r, data, len);
	verstype = rbuf_u8(&r);
	h->version = verstype >> 4;
	h->type = verstype & 0x0f;
	h->vhid = rbuf_u8(&r);
	h->advskew = rbuf_u8(&r);
	h->authlen = rbuf_u8(&r);
	h->demote = rbuf_u8(&r);
	h->advbase = rbuf_u8(&r);
	h->cksum = rbuf_be16(&r);
	rbuf_bytes(&r, h->counter, sizeof(h->counter));
	rbuf_bytes(&r, h->digest, sizeof(h->digest));
	return (rbuf_ok(&r));
}

bool
carp_cksum_ok(const void *data)
{
	return (cksum(data, CARP_LEN) == 0);
}

void
carp_encode(const struct carp_header *h, void *data)
{
	struct wbuf	 w;
	uint8_t		*p = data;
	uint16_t	 sum;

	wbuf_init(&w, data, CARP_LEN);
	wbuf_u8(&w, (uint8_t)(h->version << 4 | (h->type & 0x0f)));
	wbuf_u8(&w, h->vhid);
	wbuf_u8(&w, h->advskew);
	wbuf_u8(&w, h->authlen);
	wbuf_u8(&w, h->demote);
	wbuf_u8(&w, h->advbase);
	wbuf_be16(&w, 0);
	wbuf_bytes(&w, h->counter, sizeof(h->counter));
	wbuf_bytes(&w, h->digest, sizeof(h->digest));

	sum = cksum(data, CARP_LEN);
	wbuf_init(&w, p + CARP_CKSUM_OFF, sizeof(sum));
	wbuf_be16(&w, sum);
}
