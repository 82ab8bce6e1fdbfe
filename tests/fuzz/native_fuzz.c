/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a native packet: what parses walks within bounds, records
 * written anew are the same bytes, and a packet built from what was read
 * parses to the same header and TLVs.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../common/wire/native.h"

#define PKT_MAX		(20 + 65535)

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
flows(struct rbuf v, int af, size_t len)
{
	uint8_t			 out[NATIVE_FLOW6_LEN];
	const uint8_t		*p = v.p;
	struct native_flow	 f;
	struct wbuf		 w;
	size_t			 left = rbuf_left(&v);

	for (; native_get_flow(&v, af, &f); p += len, left -= len) {
		wbuf_init(&w, out, sizeof(out));
		native_put_flow(&w, af, &f);
		assert(wbuf_ok(&w) && wbuf_used(&w) == len);
		assert(memcmp(out, p, len) == 0);
	}
	assert(left < len && rbuf_left(&v) == left);
}

static void
acks(struct rbuf v)
{
	uint8_t			 out[NATIVE_ACK_LEN];
	const uint8_t		*p = v.p;
	struct native_ack	 a;
	struct wbuf		 w;

	for (; native_get_ack(&v, &a); p += sizeof(out)) {
		wbuf_init(&w, out, sizeof(out));
		native_put_ack(&w, &a);
		assert(wbuf_ok(&w) && wbuf_used(&w) == sizeof(out));
		assert(memcmp(out, p, sizeof(out)) == 0);
	}
	assert(rbuf_left(&v) < NATIVE_ACK_LEN);
}

/* Walk the TLVs, check their records, copy them to w. */
static void
walk(const uint8_t *tlv, size_t tlvlen, struct wbuf *w)
{
	struct rbuf	 v;
	uint8_t		 type;
	size_t		 off = 0, last = 0, mark;

	while (native_tlv(tlv, tlvlen, &off, &type, &v)) {
		assert(type != NATIVE_PAD);
		assert(off > last && off <= tlvlen);
		assert(rbuf_ok(&v) && v.p + rbuf_left(&v) == tlv + off);
		last = off;
		if (type == NATIVE_FLOW4)
			flows(v, 4, NATIVE_FLOW4_LEN);
		else if (type == NATIVE_FLOW6)
			flows(v, 6, NATIVE_FLOW6_LEN);
		else if (type == NATIVE_ACK)
			acks(v);
		mark = native_open(w, type);
		wbuf_bytes(w, v.p, rbuf_left(&v));
		native_close(w, mark);
	}
	assert(off == tlvlen);
}

/* The next TLV that is not empty: those are not built. */
static bool
next(const uint8_t *tlv, size_t tlvlen, size_t *off, uint8_t *type,
    struct rbuf *v)
{
	while (native_tlv(tlv, tlvlen, off, type, v))
		if (rbuf_left(v) > 0)
			return (true);
	return (false);
}

static void
same_tlvs(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	struct rbuf	 va, vb;
	uint8_t		 ta, tb;
	size_t		 aoff = 0, boff = 0;

	while (next(a, alen, &aoff, &ta, &va)) {
		assert(next(b, blen, &boff, &tb, &vb));
		assert(ta == tb && rbuf_left(&va) == rbuf_left(&vb));
		assert(memcmp(va.p, vb.p, rbuf_left(&va)) == 0);
	}
	assert(!native_tlv(b, blen, &boff, &tb, &vb));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t		 buf[PKT_MAX];
	struct native_hdr	 h, back;
	const uint8_t		*tlv, *tlv2;
	size_t			 tlvlen, tlvlen2, off, off2, n;
	struct wbuf		 w;

	if (!native_parse(data, size, &h, &tlv, &tlvlen, &off))
		return (0);
	assert(off <= size && off % 4 == 0);
	assert(tlv == data + NATIVE_HDR && off == NATIVE_HDR + tlvlen);
	wbuf_init(&w, buf, sizeof(buf));
	native_begin(&w);
	walk(tlv, tlvlen, &w);
	n = native_end(&w, &h);
	assert(n >= NATIVE_HDR && n <= off);
	assert(memcmp(buf, data, 26) == 0);
	assert(memcmp(buf + 28, data + 28, NATIVE_HDR - 28) == 0);
	assert(native_parse(buf, n, &back, &tlv2, &tlvlen2, &off2));
	assert(off2 == n && tlvlen2 == n - NATIVE_HDR);
	assert(back.flags == h.flags && back.boot == h.boot);
	assert(back.count == h.count && back.sum == h.sum);
	assert(back.clock == h.clock);
	same_tlvs(tlv, tlvlen, tlv2, tlvlen2);
	return (0);
}
