/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: what is never told to others: the `no-sync` rules of pfsyncd.conf(5)
 * and what no rule can allow (CARP, pfsync, loopback, multicast, broadcast,
 * unspecified and IPv6 link-local addresses).
 */
#ifndef PFSYNCD_NOSYNC_H
#define PFSYNCD_NOSYNC_H

#include "config.h"
#include "flow.h"

#define NOSYNC_ADDRS_MAX	512	/* own addresses and carp addresses */

/* An own address with the prefix length and interface it has. */
struct nosync_addr {
	struct ipaddr	 addr;		/* plen: of its network */
	char		 ifname[IF_NAMESIZE];	/* "": a carp address */
};

struct nosync {
	struct config_nosync rules[CONFIG_NOSYNC_MAX];
	size_t		 nrules;
	struct nosync_addr addrs[NOSYNC_ADDRS_MAX];	/* kept sorted */
	size_t		 naddrs;
	/* what follows is derived, for speed */
	bool		 self;			/* there is such a rule */
	uint8_t		 protos[256 / 8];	/* bits: NOSYNC_PROTO */
	uint32_t	 bcast[NOSYNC_ADDRS_MAX]; /* of own networks, sorted */
	size_t		 nbcast;
	struct ipaddr	 on[NOSYNC_ADDRS_MAX];	/* networks of NOSYNC_ON */
	size_t		 non;
};

void		 nosync_init(struct nosync *n, const struct config *c);
/* Rules of c; addresses stay. */
void		 nosync_rules(struct nosync *n, const struct config *c);
/*
 * An address came or went; one address may be on several interfaces.  False
 * when there is no room.
 */
bool		 nosync_addr(struct nosync *n, const char *ifname,
		    const struct ipaddr *a, bool present);
/* Forget all addresses of an interface ("" for the carp addresses). */
void		 nosync_forget(struct nosync *n, const char *ifname);
/*
 * May this flow be told to others?  Nothing that nosync_imports() refuses,
 * nothing to the broadcast address of an own network, nothing that a rule
 * names.
 */
bool		 nosync_exports(const struct nosync *n, const struct flow *f);
/* May this flow of another be installed (what no rule can allow)? */
bool		 nosync_imports(const struct flow *f);

#endif
