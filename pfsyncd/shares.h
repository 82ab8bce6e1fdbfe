/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the carp addresses, and which packets to them come to this host: what
 * carpd says of its interfaces, and the hash of IP balancing (carp(4),
 * ../carpd/bpf/balance_hash.h).
 */
#ifndef PFSYNCD_SHARES_H
#define PFSYNCD_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "flow.h"

#define SHARES_MAX	512	/* more are no help to NOSYNC_ADDRS_MAX */

struct share {
	struct ipaddr	 addr;
	uint32_t	 mask;		/* bit i: this host is node i's MASTER */
	uint8_t		 nodes;		/* that share it, 1 without balancing;
					   0: not by addresses (arp) */
	uint8_t		 pad[3];
};

struct shares {
	struct share	 s[SHARES_MAX];
	size_t		 n;
};

/* Is it one that shares_cross() can use? */
bool		 share_ok(const struct share *s);
/*
 * Do the answers of this flow come to another host?  They do when they are sent
 * to a carp address whose node for them is not here; false also when that is
 * not known.  s is sorted by ipaddr_cmp().
 */
bool		 shares_cross(const struct shares *s, const struct flow *f);

#endif
