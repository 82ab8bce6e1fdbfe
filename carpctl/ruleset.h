/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: what an nftables ruleset, in the JSON of libnftables-json(5), does to
 * one kind of packet.  What cannot be told, such as what conntrack thinks of
 * it or what a set holds, counts for neither side: only what is certain is
 * said.
 */
#ifndef CARPCTL_RULESET_H
#define CARPCTL_RULESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "../common/ipaddr.h"

struct ruleset_packet {
	uint8_t		 af;		/* AF_INET, AF_INET6 */
	int		 proto;		/* -1: any */
	const char	*in, *out;	/* interfaces; "": none, NULL: any */
	struct ipaddr	 src, dst;	/* af 0: any */
	bool		 any_dev;	/* it is known to be dropped: a chain
					   on an unknown device may be it */
};

/*
 * Is it certainly dropped at a hook ("input", "egress" ...)?  Then where,
 * "inet fw input", is in where.
 */
bool		 ruleset_drops(const json_t *rules, const char *hook,
		    const struct ruleset_packet *p, char *where, size_t len);
/* Might it be masqueraded?  Then where. */
bool		 ruleset_masquerades(const json_t *rules,
		    const struct ruleset_packet *p, char *where, size_t len);

#endif
