/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: which carpdev a carp interface has that is written without one, as in
 * OpenBSD's carp_set_addr(): the interface that has the network of its address.
 */
#ifndef CARPD_CHOOSE_H
#define CARPD_CHOOSE_H

#include <net/if.h>

#include <stddef.h>

#include "config.h"

#define CHOOSE_WHY_MAX	112	/* with NUL */

/* An address of an interface of this host, with the length of its network. */
struct choose_net {
	int		 ifindex;
	char		 ifname[IF_NAMESIZE];
	struct ipaddr	 addr;
};

/*
 * The network that decides for these addresses: of the first one, in their
 * order, that any network holds the narrowest; of two that are alike the one of
 * the lower index.  NULL: there is none.
 */
const struct choose_net *choose_net(const struct ipaddr *addrs, size_t naddrs,
		    const struct choose_net *nets, size_t n);
/*
 * The carpdevs of all interfaces with `chosen'.  What is there as carpdev was
 * chosen before and stays, if no other interface has that vhid or address on
 * it; the others get one, in their order.  Who gets none has "" and in why[],
 * one for each interface of c, what is wrong.
 */
void		 choose_carpdevs(struct config *c,
		    const struct choose_net *nets, size_t n,
		    char (*why)[CHOOSE_WHY_MAX]);

#endif
