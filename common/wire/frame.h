/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Ethernet, IPv4, IPv6, ARP and Neighbor Discovery: build and peel.  Pure.
 * RFC 791, 826, 4861, 8200.
 */
#ifndef COMMON_WIRE_FRAME_H
#define COMMON_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ipaddr.h"

#define FRAME_ETH_LEN		14
#define FRAME_IP4_LEN		20
#define FRAME_IP6_LEN		40
#define FRAME_ARP_LEN		28	/* Ethernet/IPv4 body */
#define FRAME_NA_LEN		32	/* with the target link-layer option */

#define FRAME_TYPE_IP4		0x0800
#define FRAME_TYPE_ARP		0x0806
#define FRAME_TYPE_IP6		0x86dd

extern const uint8_t frame_mac_broadcast[6];

/* A received IP packet of one protocol, peeled. */
struct frame_ip {
	uint8_t		 eth_dst[6];
	uint8_t		 eth_src[6];
	struct ipaddr	 src;
	struct ipaddr	 dst;
	uint8_t		 proto;		/* IPv6: next header, no extensions */
	uint8_t		 ttl;
	uint8_t		 tos;
	bool		 fragment;
	bool		 multicast;	/* IP destination is multicast */
	const uint8_t	*payload;
	size_t		 len;		/* by the IP header, within the frame */
};

enum frame_result {
	FRAME_OK,
	FRAME_SHORT,		/* cut off, or lengths that do not add up */
	FRAME_BADSUM,		/* IPv4 header checksum */
	FRAME_OTHER		/* not IPv4 or IPv6 */
};

/* One 802.1Q tag is skipped. */
enum frame_result frame_peel(const void *data, size_t len, struct frame_ip *f);

/*
 * Build Ethernet + IP header for plen payload bytes into buf; returns the
 * header length (the payload follows there), 0 when size is too small.  IPv4:
 * DF set, id as given, header checksum filled in.  IPv6: id unused.
 */
struct frame_meta {
	uint8_t		 eth_dst[6];
	uint8_t		 eth_src[6];
	struct ipaddr	 src;
	struct ipaddr	 dst;
	uint8_t		 proto;
	uint8_t		 ttl;
	uint8_t		 tos;
	uint16_t	 id;
};
size_t		 frame_ip(void *buf, size_t size, const struct frame_meta *m,
		    size_t plen);

/* Another Ethernet source for a frame. */
void		 frame_set_source(void *frame, const uint8_t mac[6]);

/* Gratuitous ARP request for addr from mac; frame length, 0 if too small. */
size_t		 frame_garp(void *buf, size_t size, const uint8_t mac[6],
		    const struct ipaddr *addr);
/*
 * Unsolicited NA for addr to ff02::1 (33:33:00:00:00:01), hop limit 255,
 * Override set, Solicited clear, source = addr, with the target link-layer
 * option; router says whether the Router flag is set.
 */
size_t		 frame_una(void *buf, size_t size, const uint8_t mac[6],
		    const struct ipaddr *addr, bool router);
/* Ethernet multicast address of an IP group. */
void		 frame_mcast_mac(const struct ipaddr *group, uint8_t mac[6]);

#endif
