/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The arithmetic of load balancing, shared by the classifier in the kernel
 * (steer.bpf.c) and by balance.c, so that it exists once: the hash of ARP
 * balancing, the fold of IP balancing and what each ICMP type is folded by.
 * The same as in OpenBSD's carp(4); all nodes of a group must agree on it.
 */
#ifndef CARPD_BPF_BALANCE_HASH_H
#define CARPD_BPF_BALANCE_HASH_H

#define BALANCE_NODES	32	/* at most, of one group */

/* balancing, as in carp(4) */
enum balance_mode {
	BALANCE_NONE,
	BALANCE_ARP,
	BALANCE_IP,
	BALANCE_IP_STEALTH,
	BALANCE_IP_UNICAST
};

/* Of the ARP hash: derived from the pass phrase by balance_key(). */
struct balance_key {
	unsigned int	k0, k1;
	unsigned int	first;	/* four bytes of the phrase, little-endian */
};

#define BALANCE_ROUND(a, b, c, p, q, r) do {			\
	a -= b; a -= c; a ^= c >> (p);				\
	b -= c; b -= a; b ^= a << (q);				\
	c -= a; c -= b; c ^= b >> (r);				\
} while (0)

/* The hash of the link-layer address that somebody asks from. */
static inline __attribute__((always_inline)) unsigned int
balance_hash(const struct balance_key *k, const unsigned char *mac)
{
	unsigned int	 a, b, c;

	a = 0x9e3779b9 + (mac[0] | mac[1] << 8 | mac[2] << 16 |
	    (unsigned int)mac[3] << 24);
	b = k->k0 + mac[4] + (mac[5] << 8);
	c = k->k1 + k->first;
	BALANCE_ROUND(a, b, c, 13, 8, 13);
	BALANCE_ROUND(a, b, c, 12, 16, 5);
	BALANCE_ROUND(a, b, c, 3, 10, 15);
	return (c);
}

/* The fold of two addresses: 1 (IPv4) or 4 words each, in network order. */
static inline __attribute__((always_inline)) unsigned int
balance_fold(const unsigned int *src, const unsigned int *dst, int words)
{
	unsigned int	 f = 0;
	int		 i;

	for (i = 0; i < words; i++)
		f ^= src[i] ^ dst[i];
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	f = __builtin_bswap32(f);
#endif
	return (f);
}

/*
 * What decides whose a packet is.
 *
 * OUTER: its own addresses.  INNER, an error: the address that the packet in
 * it was sent to, and its own destination, so that it reaches the node where
 * the answers of that flow arrive.  EVERY: what talks about the link and not
 * about a flow is kept by all nodes.
 *
 * OpenBSD keeps also echo replies and ICMPv6 errors for an address of its own
 * everywhere, but knows by then which are for a flow that pf translates, and
 * drops those of other nodes.  Seen from the wire these cannot be told apart,
 * and two nodes that translate and forward one reply would double it.
 */
enum balance_by { BALANCE_OUTER, BALANCE_INNER, BALANCE_EVERY };

static inline __attribute__((always_inline)) enum balance_by
balance_icmp4(unsigned char type)
{
	switch (type) {
	case 3:			/* destination unreachable */
	case 4:			/* source quench */
	case 5:			/* redirect */
	case 11:		/* time exceeded */
	case 12:		/* parameter problem */
		return (BALANCE_INNER);
	case 9:			/* router advertisement, solicitation */
	case 10:
		return (BALANCE_EVERY);
	}
	return (BALANCE_OUTER);
}

static inline __attribute__((always_inline)) enum balance_by
balance_icmp6(unsigned char type)
{
	if (type < 128)		/* RFC 4443: errors */
		return (BALANCE_INNER);
	if ((type >= 130 && type <= 137) ||	/* multicast listeners, ND */
	    (type >= 141 && type <= 143) ||	/* inverse ND, MLDv2 */
	    (type >= 148 && type <= 153))	/* SEND, multicast routers */
		return (BALANCE_EVERY);
	return (BALANCE_OUTER);
}

/* Is it IPv4 multicast or broadcast?  First byte, whole address. */
static inline __attribute__((always_inline)) int
balance_group4(unsigned char first, unsigned int addr_be)
{
	return ((first & 0xf0) == 0xe0 || addr_be == 0xffffffff);
}

/*
 * Offsets from the start of an IPv6 header, or of an ICMP header; the latter
 * is followed by the header of the packet in error.
 */
enum {
	BALANCE_ICMP_LEN = 8,
	BALANCE_IP4_DST = 16,
	BALANCE_IP6_DST = 24,
	BALANCE_IP6_LEN = 40
};

#endif
