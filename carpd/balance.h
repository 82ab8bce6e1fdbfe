/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: which node of a carp interface with several vhids (carpnodes) answers
 * a client or keeps a packet, and what it says its MAC is, for each mode of
 * balancing.  Nodes are the interface's vhids in ascending order, numbered
 * from 0; the first is the leader.  OpenBSD computes the same, so that its
 * nodes and ours share one group.  The classifier applies it (os/steer.h),
 * with the arithmetic of bpf/balance_hash.h.
 */
#ifndef CARPD_BALANCE_H
#define CARPD_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "bpf/balance_hash.h"

#define BALANCE_ALL	(-1)	/* every node keeps it */

/* none, arp, ip, ip-stealth, ip-unicast; NULL at the end. */
extern const char *const balance_mode_names[];

/*
 * The key of the ARP hash from the pass phrase: len bytes, at most 20, taken
 * as filled up with zeros.  Words are read little-endian as OpenBSD does on
 * amd64: its big-endian machines disagree with those.
 */
void		 balance_key(const void *pass, size_t len,
		    struct balance_key *key);

/* arp: the node that answers who asks from this MAC, n (1 to 32) nodes. */
unsigned int	 balance_arp_node(const struct balance_key *key,
		    const uint8_t mac[6], unsigned int n);
/* ip modes: the node that keeps what src sends to dst, of one family. */
unsigned int	 balance_ip_node(const struct ipaddr *src,
		    const struct ipaddr *dst, unsigned int n);
/*
 * ip modes: the node that keeps this packet, or BALANCE_ALL.  ip: from the
 * version nibble on, len bytes of it; what is cut short or malformed has an
 * owner as well, as long as its addresses are there (else BALANCE_ALL).
 */
int		 balance_owner(const uint8_t *ip, size_t len, unsigned int n);

/*
 * The MAC that ARP and ND give for the addresses when the node of that vhid
 * answers, which is where frames then go: in ip modes the leader's, whoever
 * answers; in mode ip a multicast one.
 */
void		 balance_mac(enum balance_mode mode, uint8_t leader,
		    uint8_t vhid, uint8_t mac[6]);
/*
 * Do advertisements and answers have the real MAC of carpdev as Ethernet
 * source, so that no switch learns the virtual one?
 */
bool		 balance_real_source(enum balance_mode mode);

#endif
