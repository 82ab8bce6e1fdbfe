/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Ethernet frames with the few payloads a CARP node handles: IPv4 (RFC 791),
 * IPv6 (RFC 8200), gratuitous ARP (RFC 826, 5227), unsolicited Neighbor
 * Advertisement (RFC 4861).  Not a network stack: no extension headers, no
 * reassembly, no options on what is built.
 */
#include <string.h>

#include "../ibuf.h"
#include "cksum.h"
#include "frame.h"

#define TYPE_8021Q	0x8100
#define TAG_LEN		4

#define IP4_DF		0x4000
#define IP4_FRAGMENT	0x3fff	/* more fragments, or an offset */
#define IP4_CKSUM_OFF	10
#define IP4_SRC_OFF	12
#define IP6_FRAGMENT	44	/* next header, RFC 8200 4.5 */

#define ARP_HTYPE_ETHER	1
#define ARP_REQUEST	1

#define PROTO_ICMP6	58
#define NA_TYPE		136
#define NA_ROUTER	0x80000000u
#define NA_OVERRIDE	0x20000000u
#define NA_CKSUM_OFF	2
#define ND_TARGET_LL	2	/* option, RFC 4861 4.6.1 */

const uint8_t frame_mac_broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void
take_addr(struct rbuf *r, uint8_t af, struct ipaddr *a)
{
	size_t	 n = ipaddr_len(af);

	a->af = af;
	a->plen = (uint8_t)(n * 8);
	rbuf_bytes(r, a->bytes, n);
}

/* total: what the IP header says follows it; the rest is link padding. */
static enum frame_result
take_payload(struct rbuf *r, size_t total, struct frame_ip *f)
{
	if (!rbuf_ok(r) || total > rbuf_left(r))
		return (FRAME_SHORT);
	f->payload = rbuf_view(r, total);
	f->len = total;
	f->multicast = ipaddr_is_multicast(&f->dst);
	return (FRAME_OK);
}

static enum frame_result
peel_ip4(struct rbuf *r, struct frame_ip *f)
{
	struct rbuf	 whole = *r;
	const uint8_t	*head;
	size_t		 hlen, total;
	uint8_t		 vhl;

	vhl = rbuf_u8(r);
	if (!rbuf_ok(r))
		return (FRAME_SHORT);
	if (vhl >> 4 != 4)
		return (FRAME_OTHER);
	hlen = (size_t)(vhl & 0x0f) * 4;
	head = rbuf_view(&whole, hlen);
	if (head == NULL || hlen < FRAME_IP4_LEN)
		return (FRAME_SHORT);
	if (cksum(head, hlen) != 0)
		return (FRAME_BADSUM);
	f->tos = rbuf_u8(r);
	total = rbuf_be16(r);
	rbuf_skip(r, 2);
	f->fragment = (rbuf_be16(r) & IP4_FRAGMENT) != 0;
	f->ttl = rbuf_u8(r);
	f->proto = rbuf_u8(r);
	rbuf_skip(r, 2);
	take_addr(r, AF_INET, &f->src);
	take_addr(r, AF_INET, &f->dst);
	rbuf_skip(r, hlen - FRAME_IP4_LEN);
	if (total < hlen)
		return (FRAME_SHORT);
	return (take_payload(r, total - hlen, f));
}

static enum frame_result
peel_ip6(struct rbuf *r, struct frame_ip *f)
{
	uint32_t	 vcf;
	size_t		 total;

	vcf = rbuf_be32(r);
	if (!rbuf_ok(r))
		return (FRAME_SHORT);
	if (vcf >> 28 != 6)
		return (FRAME_OTHER);
	f->tos = (uint8_t)(vcf >> 20 & 0xff);
	total = rbuf_be16(r);
	f->proto = rbuf_u8(r);
	f->ttl = rbuf_u8(r);
	f->fragment = f->proto == IP6_FRAGMENT;
	take_addr(r, AF_INET6, &f->src);
	take_addr(r, AF_INET6, &f->dst);
	return (take_payload(r, total, f));
}

enum frame_result
frame_peel(const void *data, size_t len, struct frame_ip *f)
{
	struct rbuf	 r;
	uint16_t	 type;

	memset(f, 0, sizeof(*f));
	rbuf_init(&r, data, len);
	rbuf_bytes(&r, f->eth_dst, sizeof(f->eth_dst));
	rbuf_bytes(&r, f->eth_src, sizeof(f->eth_src));
	type = rbuf_be16(&r);
	if (type == TYPE_8021Q) {
		rbuf_skip(&r, TAG_LEN - 2);
		type = rbuf_be16(&r);
	}
	if (!rbuf_ok(&r))
		return (FRAME_SHORT);
	if (type == FRAME_TYPE_IP4)
		return (peel_ip4(&r, f));
	if (type == FRAME_TYPE_IP6)
		return (peel_ip6(&r, f));
	return (FRAME_OTHER);
}

static void
put_eth(struct wbuf *w, const uint8_t dst[6], const uint8_t src[6],
    uint16_t type)
{
	wbuf_bytes(w, dst, 6);
	wbuf_bytes(w, src, 6);
	wbuf_be16(w, type);
}

/* Store a checksum at p. */
static void
put_cksum(uint8_t *p, uint16_t sum)
{
	struct wbuf	 w;

	wbuf_init(&w, p, sizeof(sum));
	wbuf_be16(&w, sum);
}

static void
put_ip4(struct wbuf *w, const struct frame_meta *m, uint16_t total,
    uint8_t *head)
{
	wbuf_u8(w, 4 << 4 | FRAME_IP4_LEN / 4);
	wbuf_u8(w, m->tos);
	wbuf_be16(w, total);
	wbuf_be16(w, m->id);
	wbuf_be16(w, IP4_DF);
	wbuf_u8(w, m->ttl);
	wbuf_u8(w, m->proto);
	wbuf_be16(w, 0);
	wbuf_bytes(w, m->src.bytes, 4);
	wbuf_bytes(w, m->dst.bytes, 4);
	put_cksum(head + IP4_CKSUM_OFF, cksum(head, FRAME_IP4_LEN));
}

static void
put_ip6(struct wbuf *w, const struct frame_meta *m, uint16_t plen)
{
	wbuf_be32(w, (uint32_t)6 << 28 | (uint32_t)m->tos << 20);
	wbuf_be16(w, plen);
	wbuf_u8(w, m->proto);
	wbuf_u8(w, m->ttl);
	wbuf_bytes(w, m->src.bytes, 16);
	wbuf_bytes(w, m->dst.bytes, 16);
}

size_t
frame_ip(void *buf, size_t size, const struct frame_meta *m, size_t plen)
{
	struct wbuf	 w;
	bool		 v6 = m->src.af == AF_INET6;
	size_t		 iplen = v6 ? FRAME_IP6_LEN : FRAME_IP4_LEN;

	if (m->src.af != m->dst.af || (!v6 && m->src.af != AF_INET))
		return (0);
	if (plen > UINT16_MAX - (v6 ? 0 : iplen))
		return (0);
	if (size < FRAME_ETH_LEN + iplen || plen > size - FRAME_ETH_LEN - iplen)
		return (0);
	wbuf_init(&w, buf, size);
	put_eth(&w, m->eth_dst, m->eth_src,
	    v6 ? FRAME_TYPE_IP6 : FRAME_TYPE_IP4);
	if (v6)
		put_ip6(&w, m, (uint16_t)plen);
	else
		put_ip4(&w, m, (uint16_t)(iplen + plen),
		    (uint8_t *)buf + FRAME_ETH_LEN);
	return (wbuf_used(&w));
}

void
frame_set_source(void *frame, const uint8_t mac[6])
{
	memcpy((uint8_t *)frame + 6, mac, 6);
}

size_t
frame_garp(void *buf, size_t size, const uint8_t mac[6],
    const struct ipaddr *addr)
{
	struct wbuf	 w;

	if (size < FRAME_ETH_LEN + FRAME_ARP_LEN || addr->af != AF_INET)
		return (0);
	wbuf_init(&w, buf, size);
	put_eth(&w, frame_mac_broadcast, mac, FRAME_TYPE_ARP);
	wbuf_be16(&w, ARP_HTYPE_ETHER);
	wbuf_be16(&w, FRAME_TYPE_IP4);
	wbuf_u8(&w, 6);
	wbuf_u8(&w, 4);
	wbuf_be16(&w, ARP_REQUEST);
	wbuf_bytes(&w, mac, 6);
	wbuf_bytes(&w, addr->bytes, 4);
	wbuf_zero(&w, 6);
	wbuf_bytes(&w, addr->bytes, 4);
	return (wbuf_used(&w));
}

/* RFC 8200 8.1: addresses, 32-bit length, next header; then the message. */
static uint16_t
icmp6_cksum(const struct frame_meta *m, const uint8_t *icmp, size_t len)
{
	uint8_t		 pseudo[2 * 16 + 8];
	struct wbuf	 w;

	wbuf_init(&w, pseudo, sizeof(pseudo));
	wbuf_bytes(&w, m->src.bytes, 16);
	wbuf_bytes(&w, m->dst.bytes, 16);
	wbuf_be32(&w, (uint32_t)len);
	wbuf_be32(&w, PROTO_ICMP6);
	return (cksum_fin(cksum_add(cksum_add(0, pseudo, sizeof(pseudo)),
	    icmp, len)));
}

static void
put_na(struct wbuf *w, const uint8_t mac[6], const struct ipaddr *target,
    bool router)
{
	wbuf_u8(w, NA_TYPE);
	wbuf_u8(w, 0);
	wbuf_be16(w, 0);
	wbuf_be32(w, NA_OVERRIDE | (router ? NA_ROUTER : 0));
	wbuf_bytes(w, target->bytes, 16);
	wbuf_u8(w, ND_TARGET_LL);
	wbuf_u8(w, 1);			/* in units of eight bytes */
	wbuf_bytes(w, mac, 6);
}

size_t
frame_una(void *buf, size_t size, const uint8_t mac[6],
    const struct ipaddr *addr, bool router)
{
	static const struct ipaddr	 all_nodes = {
		.af = AF_INET6, .plen = 128,
		.bytes = { 0xff, 0x02, [15] = 0x01 }
	};
	struct frame_meta	 m = { .src = *addr, .dst = all_nodes,
				    .proto = PROTO_ICMP6, .ttl = 255 };
	struct wbuf		 w;
	uint8_t			*na;
	size_t			 head;

	memcpy(m.eth_src, mac, sizeof(m.eth_src));
	frame_mcast_mac(&all_nodes, m.eth_dst);
	if ((head = frame_ip(buf, size, &m, FRAME_NA_LEN)) == 0)
		return (0);
	na = (uint8_t *)buf + head;
	wbuf_init(&w, na, FRAME_NA_LEN);
	put_na(&w, mac, addr, router);
	put_cksum(na + NA_CKSUM_OFF, icmp6_cksum(&m, na, FRAME_NA_LEN));
	return (head + FRAME_NA_LEN);
}

/* RFC 1112 6.4 and RFC 2464 7. */
void
frame_mcast_mac(const struct ipaddr *group, uint8_t mac[6])
{
	if (group->af == AF_INET6) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, group->bytes + 12, 4);
		return;
	}
	mac[0] = 0x01;
	mac[1] = 0x00;
	mac[2] = 0x5e;
	mac[3] = group->bytes[1] & 0x7f;
	mac[4] = group->bytes[2];
	mac[5] = group->bytes[3];
}
