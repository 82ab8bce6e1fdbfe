/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The native dialect of pfsyncd(8), bytes to structs and back.  The layout is
 * in native.h.  Records are the hot path: one bounds check each, then plain
 * loads and stores.  Not here: what any of it means.
 */
#include <assert.h>
#include <string.h>

#include "native.h"

#define PFSYNC_VERSION	6
#define PFSYNC_LEN	20
#define BODY_MIN	(NATIVE_HDR - PFSYNC_LEN)
#define WORD		4

#define STATUS_REPLY	0x01
#define STATUS_ASSURED	0x02
#define STATUS_LIFE	2		/* shift */

static inline uint16_t
get16(const uint8_t *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

static inline uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3]);
}

static inline uint64_t
get64(const uint8_t *p)
{
	return ((uint64_t)get32(p) << 32 | get32(p + 4));
}

static inline void
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

/* ---- packets ---- */

/* A BSD receiver must find an empty packet, and so do we. */
static bool
pfsync_header_ok(const uint8_t *p)
{
	static const uint8_t	 head[PFSYNC_LEN] = {
		PFSYNC_VERSION, 0, 0, PFSYNC_LEN
	};

	return (memcmp(p, head, sizeof(head)) == 0);
}

static bool
tlvs_ok(const uint8_t *tlv, size_t left)
{
	size_t	 len;

	while (left > 0) {
		if (left < NATIVE_TLV)
			return (false);
		len = get16(tlv + 2);
		if (len % WORD != 0 || len > left - NATIVE_TLV)
			return (false);
		tlv += NATIVE_TLV + len;
		left -= NATIVE_TLV + len;
	}
	return (true);
}

/* The length from byte 20 on; 0: not ours, not of that version, or wrong. */
static size_t
body_of(const uint8_t *pkt, size_t len, uint8_t version)
{
	size_t	 body;

	if (len < NATIVE_HDR || !pfsync_header_ok(pkt) ||
	    get32(pkt + 20) != NATIVE_MAGIC || pkt[24] != version)
		return (0);
	body = get16(pkt + 26);
	if (body % WORD != 0 || body < BODY_MIN || body > len - PFSYNC_LEN)
		return (0);
	return (body);
}

bool
native_sealed(const uint8_t *pkt, size_t len, size_t *trailer_off)
{
	size_t	 body = body_of(pkt, len, NATIVE_VERSION | NATIVE_SEALED);

	*trailer_off = PFSYNC_LEN + body;
	return (body != 0);
}

void
native_mark_sealed(uint8_t *pkt, bool sealed)
{
	pkt[24] = NATIVE_VERSION | (sealed ? NATIVE_SEALED : 0);
}

bool
native_parse(const uint8_t *pkt, size_t len, struct native_hdr *hdr,
    const uint8_t **tlv, size_t *tlvlen, size_t *trailer_off)
{
	size_t	 body = body_of(pkt, len, NATIVE_VERSION);

	if (body == 0 || !tlvs_ok(pkt + NATIVE_HDR, body - BODY_MIN))
		return (false);
	hdr->flags = pkt[25];
	hdr->boot = get32(pkt + 28);
	hdr->count = get32(pkt + 32);
	hdr->sum = get64(pkt + 36);
	hdr->clock = get64(pkt + 44);
	*tlv = pkt + NATIVE_HDR;
	*tlvlen = body - BODY_MIN;
	*trailer_off = PFSYNC_LEN + body;
	return (true);
}

bool
native_tlv(const uint8_t *tlv, size_t tlvlen, size_t *off, uint8_t *type,
    struct rbuf *val)
{
	const uint8_t	*p;
	size_t		 len;

	while (*off < tlvlen && tlvlen - *off >= NATIVE_TLV) {
		p = tlv + *off;
		len = get16(p + 2);
		if (len > tlvlen - *off - NATIVE_TLV)
			break;
		*off += NATIVE_TLV + len;
		if (p[0] == NATIVE_PAD)
			continue;
		*type = p[0];
		rbuf_init(val, p + NATIVE_TLV, len);
		return (true);
	}
	*off = tlvlen;
	return (false);
}

void
native_begin(struct wbuf *w)
{
	(void)wbuf_zero(w, NATIVE_HDR);
}

size_t
native_open(struct wbuf *w, uint8_t type)
{
	size_t	 mark = wbuf_used(w);

	wbuf_be32(w, (uint32_t)type << 24);
	return (mark);
}

/*
 * A value that is no multiple of 4 or over 16 bits is a mistake of the
 * caller: all records are multiples, and no packet is that large.
 */
void
native_close(struct wbuf *w, size_t mark)
{
	size_t	 len;

	if (!wbuf_ok(w))
		return;
	assert(w->used >= mark + NATIVE_TLV);
	len = w->used - mark - NATIVE_TLV;
	assert(len % WORD == 0 && len <= UINT16_MAX);
	if (len == 0)
		w->used = mark;
	else
		put16(w->base + mark + 2, (uint16_t)len);
}

size_t
native_end(struct wbuf *w, const struct native_hdr *hdr)
{
	uint8_t	*p = w->base;
	size_t	 body;

	if (!wbuf_ok(w))
		return (0);
	assert(w->used >= NATIVE_HDR);
	body = w->used - PFSYNC_LEN;
	assert(body % WORD == 0 && body <= UINT16_MAX);
	p[0] = PFSYNC_VERSION;
	put16(p + 2, PFSYNC_LEN);
	put32(p + 20, NATIVE_MAGIC);
	p[24] = NATIVE_VERSION;
	p[25] = hdr->flags;
	put16(p + 26, (uint16_t)body);
	put32(p + 28, hdr->boot);
	put32(p + 32, hdr->count);
	put64(p + 36, hdr->sum);
	put64(p + 44, hdr->clock);
	return (w->used);
}

/* ---- records ---- */

/* An address of n bytes, the rest zero; returns what follows it. */
static inline const uint8_t *
get_addr(const uint8_t *p, uint8_t a[16], size_t n)
{
	memcpy(a, p, n);
	if (n < 16)
		memset(a + n, 0, 16 - n);
	return (p + n);
}

static inline void
get_flow(const uint8_t *p, size_t alen, struct native_flow *f)
{
	f->stamp = get64(p);
	f->carrier = get32(p + 8);
	f->creator = get32(p + 12);
	p = get_addr(p + 16, f->osrc, alen);
	p = get_addr(p, f->odst, alen);
	f->osport = get16(p);
	f->odport = get16(p + 2);
	p = get_addr(p + 4, f->rsrc, alen);
	p = get_addr(p, f->rdst, alen);
	f->rsport = get16(p);
	f->rdport = get16(p + 2);
	f->mark = get32(p + 4);
	f->timeout = get32(p + 8);
	f->zone = get16(p + 12);
	f->proto = p[14];
	f->seen_reply = (p[15] & STATUS_REPLY) != 0;
	f->assured = (p[15] & STATUS_ASSURED) != 0;
	f->life = p[15] >> STATUS_LIFE;
	f->tcp_state = p[16];
	f->tcp_flags[0] = p[17];
	f->tcp_flags[1] = p[18];
	f->wscale[0] = p[19] >> 4;
	f->wscale[1] = p[19] & 0xf;
}

/* Two copies, so that lengths are constants in each. */
bool
native_get_flow(struct rbuf *r, int af, struct native_flow *f)
{
	const uint8_t	*p;

	if (af == 4) {
		if (rbuf_left(r) < NATIVE_FLOW4_LEN ||
		    (p = rbuf_view(r, NATIVE_FLOW4_LEN)) == NULL)
			return (false);
		get_flow(p, 4, f);
	} else {
		if (rbuf_left(r) < NATIVE_FLOW6_LEN ||
		    (p = rbuf_view(r, NATIVE_FLOW6_LEN)) == NULL)
			return (false);
		get_flow(p, 16, f);
	}
	return (true);
}

static inline uint8_t *
put_addr(uint8_t *p, const uint8_t a[16], size_t n)
{
	memcpy(p, a, n);
	return (p + n);
}

static inline void
put_flow(uint8_t *p, size_t alen, const struct native_flow *f)
{
	put64(p, f->stamp);
	put32(p + 8, f->carrier);
	put32(p + 12, f->creator);
	p = put_addr(p + 16, f->osrc, alen);
	p = put_addr(p, f->odst, alen);
	put16(p, f->osport);
	put16(p + 2, f->odport);
	p = put_addr(p + 4, f->rsrc, alen);
	p = put_addr(p, f->rdst, alen);
	put16(p, f->rsport);
	put16(p + 2, f->rdport);
	put32(p + 4, f->mark);
	put32(p + 8, f->timeout);
	put16(p + 12, f->zone);
	p[14] = f->proto;
	p[15] = (uint8_t)((f->seen_reply ? STATUS_REPLY : 0) |
	    (f->assured ? STATUS_ASSURED : 0) | f->life << STATUS_LIFE);
	p[16] = f->tcp_state;
	p[17] = f->tcp_flags[0];
	p[18] = f->tcp_flags[1];
	p[19] = (uint8_t)(f->wscale[0] << 4 | (f->wscale[1] & 0xf));
}

void
native_put_flow(struct wbuf *w, int af, const struct native_flow *f)
{
	uint8_t	 rec[NATIVE_FLOW6_LEN];

	if (af == 4) {
		put_flow(rec, 4, f);
		wbuf_bytes(w, rec, NATIVE_FLOW4_LEN);
	} else {
		put_flow(rec, 16, f);
		wbuf_bytes(w, rec, NATIVE_FLOW6_LEN);
	}
}

bool
native_get_ack(struct rbuf *r, struct native_ack *a)
{
	const uint8_t	*p;

	if (rbuf_left(r) < NATIVE_ACK_LEN ||
	    (p = rbuf_view(r, NATIVE_ACK_LEN)) == NULL)
		return (false);
	a->node = get32(p);
	a->window = get32(p + 4);
	a->epoch = get64(p + 8);
	a->seq = get64(p + 16);
	return (true);
}

void
native_put_ack(struct wbuf *w, const struct native_ack *a)
{
	wbuf_be32(w, a->node);
	wbuf_be32(w, a->window);
	wbuf_be64(w, a->epoch);
	wbuf_be64(w, a->seq);
}
