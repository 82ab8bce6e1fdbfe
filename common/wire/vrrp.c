/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * VRRP recognised by its lengths and checksum: RFC 3768 section 5, RFC 5798
 * section 5.  No address or authentication data is looked at.
 */
#include <string.h>

#include "../ibuf.h"
#include "carp.h"
#include "cksum.h"
#include "vrrp.h"

#define HEADER_LEN	8
#define AUTH_LEN	8	/* version 2: always there */
#define TYPE_ADVERT	1
#define CENTI		100	/* version 3 counts hundredths of a second */
#define CENTI_MASK	0x0fff

/* RFC 5798 5.2.8: version 3 sums a pseudo-header, some do not over IPv4. */
static bool
cksum_ok(const void *data, size_t len, const struct ipaddr *src,
    const struct ipaddr *dst, bool pseudo)
{
	uint8_t		 tail[8];
	struct wbuf	 w;
	uint32_t	 sum = 0;

	if (pseudo) {
		wbuf_init(&w, tail, sizeof(tail));
		wbuf_be32(&w, (uint32_t)len);
		wbuf_be32(&w, CARP_PROTO);
		sum = cksum_add(sum, src->bytes, ipaddr_len(src->af));
		sum = cksum_add(sum, dst->bytes, ipaddr_len(dst->af));
		sum = cksum_add(sum, tail, sizeof(tail));
	}
	return (cksum_fin(cksum_add(sum, data, len)) == 0);
}

bool
vrrp_decode(const void *data, size_t len, const struct ipaddr *src,
    const struct ipaddr *dst, struct vrrp_header *h)
{
	struct rbuf	 r;
	uint8_t		 vertype, naddrs, hi, lo;
	size_t		 want;

	memset(h, 0, sizeof(*h));
	rbuf_init(&r, data, len);
	vertype = rbuf_u8(&r);
	h->version = vertype >> 4;
	h->vrid = rbuf_u8(&r);
	h->priority = rbuf_u8(&r);
	naddrs = rbuf_u8(&r);
	hi = rbuf_u8(&r);
	lo = rbuf_u8(&r);
	rbuf_skip(&r, 2);
	if (!rbuf_ok(&r) || (vertype & 0x0f) != TYPE_ADVERT || h->vrid == 0)
		return (false);
	want = HEADER_LEN + naddrs * ipaddr_len(src->af);
	if (h->version == 2) {
		h->interval = lo;
		return (src->af == AF_INET && len == want + AUTH_LEN &&
		    cksum_ok(data, len, src, dst, false));
	}
	h->interval = (uint8_t)(((hi << 8 | lo) & CENTI_MASK) / CENTI);
	return (h->version == 3 && len == want &&
	    (cksum_ok(data, len, src, dst, true) ||
	    (src->af == AF_INET && cksum_ok(data, len, src, dst, false))));
}
