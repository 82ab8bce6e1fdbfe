/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See balance.h.
 */
#include <string.h>

#include "../common/hmac.h"
#include "balance.h"

#define PASS_MAX	20	/* bytes of a CARP key */
#define SHA1_BLOCK	64
#define IPAD		0x36

enum { IP4_FRAG = 6, IP4_PROTO = 9, IP4_SRC = 12, IP4_LEN = 20 };
enum { IP6_NEXT = 6, IP6_SRC = 8 };
enum { PROTO_ICMP = 1, PROTO_ICMP6 = 58 };
#define FRAG_MASK	0x3fff	/* more fragments, offset */

const char *const balance_mode_names[] = {
	[BALANCE_NONE] = "none",
	[BALANCE_ARP] = "arp",
	[BALANCE_IP] = "ip",
	[BALANCE_IP_STEALTH] = "ip-stealth",
	[BALANCE_IP_UNICAST] = "ip-unicast",
	NULL
};

static uint32_t
le32(const uint8_t *p)
{
	return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24);
}

/*
 * What OpenBSD keeps of the digest that it has begun for its advertisements:
 * the inner hash, ended right after version and type.
 */
void
balance_key(const void *pass, size_t len, struct balance_key *key)
{
	uint8_t	 block[SHA1_BLOCK + 2] = { 0 }, d[HMAC_SHA1_LEN];
	size_t	 i;

	memcpy(block, pass, len < PASS_MAX ? len : PASS_MAX);
	key->first = le32(block);
	for (i = 0; i < SHA1_BLOCK; i++)
		block[i] ^= IPAD;
	block[SHA1_BLOCK] = 2;		/* version */
	block[SHA1_BLOCK + 1] = 1;	/* advertisement */
	hmac_sha1_once(block, sizeof(block), d);
	key->k0 = le32(d) ^ le32(d + 4);
	key->k1 = le32(d + 8) ^ le32(d + 12);
	hmac_wipe(block, sizeof(block));
	hmac_wipe(d, sizeof(d));
}

unsigned int
balance_arp_node(const struct balance_key *key, const uint8_t mac[6],
    unsigned int n)
{
	return (balance_hash(key, mac) % n);
}

/* len: of one address, 4 or 16. */
static unsigned int
node_of(const uint8_t *src, const uint8_t *dst, size_t len, unsigned int n)
{
	unsigned int	 s[4], d[4];

	memcpy(s, src, len);
	memcpy(d, dst, len);
	return (balance_fold(s, d, (int)(len / 4)) % n);
}

unsigned int
balance_ip_node(const struct ipaddr *src, const struct ipaddr *dst,
    unsigned int n)
{
	return (node_of(src->bytes, dst->bytes, ipaddr_len(src->af), n));
}

/* icmp: offset of the ICMP header, of which at least the type is there. */
static int
icmp_owner(const uint8_t *ip, size_t len, size_t icmp, enum balance_by by,
    const uint8_t *src, const uint8_t *dst, size_t alen, unsigned int n)
{
	size_t	 inner = icmp + BALANCE_ICMP_LEN;

	if (by == BALANCE_EVERY)
		return (BALANCE_ALL);
	inner += alen == 4 ? BALANCE_IP4_DST : BALANCE_IP6_DST;
	if (by == BALANCE_INNER && len >= inner + alen)
		src = ip + inner;
	return ((int)node_of(src, dst, alen, n));
}

/*
 * The parts of a fragmented ICMP message go where its addresses say: only the
 * first one has a type.
 */
static int
owner4(const uint8_t *ip, size_t len, unsigned int n)
{
	const uint8_t	*src = ip + IP4_SRC, *dst = ip + BALANCE_IP4_DST;
	size_t		 hlen = (size_t)(ip[0] & 0x0f) * 4;
	uint32_t	 addr;

	memcpy(&addr, dst, sizeof(addr));
	if (balance_group4(dst[0], addr))
		return (BALANCE_ALL);
	if (ip[IP4_PROTO] != PROTO_ICMP || len <= hlen ||
	    ((ip[IP4_FRAG] << 8 | ip[IP4_FRAG + 1]) & FRAG_MASK) != 0)
		return ((int)node_of(src, dst, 4, n));
	return (icmp_owner(ip, len, hlen, balance_icmp4(ip[hlen]), src, dst, 4,
	    n));
}

static int
owner6(const uint8_t *ip, size_t len, unsigned int n)
{
	const uint8_t	*src = ip + IP6_SRC, *dst = ip + BALANCE_IP6_DST;

	if (dst[0] == 0xff)
		return (BALANCE_ALL);
	if (ip[IP6_NEXT] != PROTO_ICMP6 || len <= BALANCE_IP6_LEN)
		return ((int)node_of(src, dst, 16, n));
	return (icmp_owner(ip, len, BALANCE_IP6_LEN,
	    balance_icmp6(ip[BALANCE_IP6_LEN]), src, dst, 16, n));
}

int
balance_owner(const uint8_t *ip, size_t len, unsigned int n)
{
	if (len >= IP4_LEN && ip[0] >> 4 == 4)
		return (owner4(ip, len, n));
	if (len >= BALANCE_IP6_LEN && ip[0] >> 4 == 6)
		return (owner6(ip, len, n));
	return (BALANCE_ALL);
}

void
balance_mac(enum balance_mode mode, uint8_t leader, uint8_t vhid,
    uint8_t mac[6])
{
	static const uint8_t	 virtual[5] = { 0x00, 0x00, 0x5e, 0x00, 0x01 };

	memcpy(mac, virtual, sizeof(virtual));
	if (mode == BALANCE_IP)
		mac[0] = 0x01;
	mac[5] = mode < BALANCE_IP ? vhid : leader;
}

bool
balance_real_source(enum balance_mode mode)
{
	return (mode == BALANCE_IP || mode == BALANCE_IP_STEALTH);
}
