/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The authentication trailer: bytes, MAC, TLVs.  The layout is in trailer.h.
 * Not here: the replay window, which keys are accepted, and what a packet
 * without a trailer is worth.
 */
#include <string.h>

#include "../ibuf.h"
#include "carp.h"
#include "trailer.h"

#define MAGIC_LEN	4
#define TRAILER_HEAD	32	/* before the TLVs */
#define CONTEXT_LEN	16
#define LENGTH_OFF	12
#define PROTO_PFSYNC	240
#define TLV_PAD		0

struct trailer_words {
	char		 magic[MAGIC_LEN];
	uint8_t		 proto;
	uint8_t		 context[CONTEXT_LEN];
	const char	*derive;
};

static const struct trailer_words words[] = {
	[TRAILER_CARP] = { { 'c', 'r', 'p', 'A' }, CARP_PROTO,
	    "carpd-auth-v1", "carpd-trailer-key-v1" },
	[TRAILER_PFSYNC] = { { 'p', 'f', 's', 'A' }, PROTO_PFSYNC,
	    "pfsyncd-auth-v1", "pfsyncd-trailer-key-v1" },
};

/* One TLV or byte of padding off r; *type is TLV_PAD for padding. */
static bool
next_tlv(struct rbuf *r, uint8_t *type, const uint8_t **val, size_t *len)
{
	*type = rbuf_u8(r);
	*val = NULL;
	*len = 0;
	if (*type == TLV_PAD)
		return (rbuf_ok(r));
	*len = rbuf_u8(r);
	*val = rbuf_view(r, *len);
	return (rbuf_ok(r));
}

static bool
tlvs_ok(const uint8_t *tlv, size_t tlvlen)
{
	struct rbuf	 r;
	const uint8_t	*val;
	uint8_t		 type;
	size_t		 len;

	rbuf_init(&r, tlv, tlvlen);
	while (rbuf_left(&r) > 0)
		if (!next_tlv(&r, &type, &val, &len))
			return (false);
	return (true);
}

/*
 * Another version or algorithm is a trailer we cannot read, so the packet
 * counts as one without; whatever else is odd behind our magic was made to
 * look like ours.  Bytes behind the trailer would be covered by nothing,
 * hence the exact length.
 */
enum trailer_result
trailer_parse(enum trailer_use use, const void *data, size_t len,
    struct trailer *t)
{
	struct rbuf	 r;
	uint8_t		 magic[MAGIC_LEN], version, alg;
	uint16_t	 total, flags;

	memset(t, 0, sizeof(*t));
	rbuf_init(&r, data, len);
	rbuf_bytes(&r, magic, sizeof(magic));
	if (!rbuf_ok(&r) ||
	    memcmp(magic, words[use].magic, sizeof(magic)) != 0)
		return (TRAILER_NONE);
	version = rbuf_u8(&r);
	alg = rbuf_u8(&r);
	if (rbuf_ok(&r) &&
	    (version != TRAILER_VERSION || alg != TRAILER_ALG_SHA256))
		return (TRAILER_NONE);
	t->keyid = rbuf_be16(&r);
	t->node = rbuf_be32(&r);
	total = rbuf_be16(&r);
	flags = rbuf_be16(&r);
	t->epoch = rbuf_be64(&r);
	t->seq = rbuf_be64(&r);
	if (!rbuf_ok(&r) || flags != 0 || total != len || total % 4 != 0 ||
	    total < TRAILER_FIXED || total > TRAILER_MAX)
		return (TRAILER_BAD);
	t->tlvlen = total - (size_t)TRAILER_FIXED;
	t->tlv = rbuf_view(&r, t->tlvlen);
	return (tlvs_ok(t->tlv, t->tlvlen) ? TRAILER_OK : TRAILER_BAD);
}

static void
compute_mac(enum trailer_use use, struct hmac *key, const struct ipaddr *src,
    const struct ipaddr *dst, const void *pkt, size_t pktlen,
    const void *head, size_t headlen, uint8_t mac[HMAC_SHA256_LEN])
{
	uint8_t	 ends[4 + 16 + 16];

	memset(ends, 0, sizeof(ends));
	ends[0] = src->af == AF_INET6 ? 6 : 4;
	ends[1] = words[use].proto;
	memcpy(ends + 4, src->bytes, ipaddr_len(src->af));
	memcpy(ends + 20, dst->bytes, ipaddr_len(dst->af));

	hmac_start(key);
	hmac_update(key, words[use].context, CONTEXT_LEN);
	hmac_update(key, ends, sizeof(ends));
	hmac_update(key, pkt, pktlen);
	hmac_update(key, head, headlen);
	hmac_final(key, mac);
}

bool
trailer_verify(enum trailer_use use, struct hmac *key,
    const struct ipaddr *src, const struct ipaddr *dst, const void *pkt,
    size_t pktlen, const void *data)
{
	const uint8_t	*p = data;
	uint8_t		 mac[HMAC_SHA256_LEN];
	struct rbuf	 r;
	size_t		 covered;

	rbuf_init(&r, p + LENGTH_OFF, 2);
	covered = rbuf_be16(&r) - (size_t)HMAC_SHA256_LEN;
	compute_mac(use, key, src, dst, pkt, pktlen, p, covered, mac);
	return (hmac_equal(mac, p + covered, sizeof(mac)));
}

size_t
trailer_write(enum trailer_use use, struct hmac *key,
    const struct ipaddr *src, const struct ipaddr *dst, uint8_t *pkt,
    size_t pktlen, size_t size, const struct trailer *t)
{
	struct wbuf	 w;
	size_t		 tlvlen, total;

	if (t->tlvlen > TRAILER_TLV_MAX || !tlvs_ok(t->tlv, t->tlvlen))
		return (0);
	tlvlen = (t->tlvlen + 3) & ~(size_t)3;
	total = TRAILER_FIXED + tlvlen;
	if (pktlen > size || total > size - pktlen)
		return (0);

	wbuf_init(&w, pkt + pktlen, total);
	wbuf_bytes(&w, words[use].magic, MAGIC_LEN);
	wbuf_u8(&w, TRAILER_VERSION);
	wbuf_u8(&w, TRAILER_ALG_SHA256);
	wbuf_be16(&w, t->keyid);
	wbuf_be32(&w, t->node);
	wbuf_be16(&w, (uint16_t)total);
	wbuf_be16(&w, 0);
	wbuf_be64(&w, t->epoch);
	wbuf_be64(&w, t->seq);
	if (t->tlvlen > 0)
		wbuf_bytes(&w, t->tlv, t->tlvlen);
	wbuf_zero(&w, tlvlen - t->tlvlen);
	compute_mac(use, key, src, dst, pkt, pktlen, pkt + pktlen,
	    TRAILER_HEAD + tlvlen, wbuf_zero(&w, HMAC_SHA256_LEN));
	return (total);
}

bool
trailer_tlv(const struct trailer *t, size_t *off, uint8_t *type,
    const uint8_t **val, size_t *len)
{
	struct rbuf	 r;

	if (*off >= t->tlvlen)
		return (false);
	rbuf_init(&r, t->tlv + *off, t->tlvlen - *off);
	while (rbuf_left(&r) > 0 && next_tlv(&r, type, val, len)) {
		*off = t->tlvlen - rbuf_left(&r);
		if (*type != TLV_PAD)
			return (true);
	}
	*off = t->tlvlen;
	return (false);
}

/*
 * HKDF-Extract (RFC 5869) with the use as salt: the CARP digest keyed with
 * the same pass phrase says nothing about this key.  No stretching: that
 * digest is open to guessing at full speed anyhow.
 */
void
trailer_derive(enum trailer_use use, const void *pass, size_t len,
    uint8_t out[HMAC_SHA256_LEN])
{
	struct hmac	*h;

	h = hmac_new(HMAC_ALG_SHA256, words[use].derive,
	    strlen(words[use].derive));
	hmac_start(h);
	hmac_update(h, pass, len);
	hmac_final(h, out);
	hmac_free(h);
}
