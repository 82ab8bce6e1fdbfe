/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: do the nodes of one carp interface agree, and does what is sent to
 * its MAC arrive?
 *
 * Every advertisement of ours says which vhids its interface has and how they
 * are balanced, under the authentication of its trailer: what is different is
 * known, not guessed.  Of a foreign host nothing is.
 *
 * In ip modes all nodes must get all frames for the one MAC (balance.h), which
 * switches tend to keep from some ports or all: a multicast MAC that nobody
 * has joined, or one that some port has spoken.  A quiet network looks the
 * same.  So a node that is MASTER of anything sends such a frame each period,
 * a probe, and says by a number that grows that it has.  Who hears that number
 * grow, time after time, and has seen no frame, is cut off.
 */
#ifndef CARPD_GROUP_H
#define CARPD_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "../common/monotime.h"
#include "advert.h"

#define GROUP_MATES	16	/* other nodes remembered */
#define GROUP_MISSED	3	/* frames in a row that were not seen */

/* Another node of ours. */
struct group_mate {
	uint32_t	 node;		/* 0: free */
	struct ipaddr	 addr;
	struct advert_group says;
	monotime_t	 heard;
	monotime_t	 grown;		/* its number did; 0 ns: not yet */
	int64_t		 keep;		/* group_keep() */
	bool		 differs;
};

struct group {
	struct advert_group own;
	struct group_mate mates[GROUP_MATES];
	monotime_t	 next;		/* probe */
	unsigned int	 missed;	/* in a row */
	bool		 cut;		/* frames do not arrive ... */
	monotime_t	 since;		/* known since then */
};

/* What a step has found out: bits. */
#define GROUP_DIFFERS	0x01		/* this node does, since now */
#define GROUP_AGREES	0x02		/* it did not, until now */
#define GROUP_CUT	0x04		/* frames for the MAC do not arrive */
#define GROUP_ARRIVE	0x08		/* they do again */
#define GROUP_PROBE	0x10		/* send one */

/* What we have; n vhids in ascending order.  Forgets nobody. */
void		 group_conf(struct group *g, enum balance_mode mode,
		    const uint8_t *vhids, size_t n);
/* How often a node sends a probe, in ns, by its advbase in seconds. */
int64_t		 group_period(uint8_t advbase);
/* Who has not spoken for so long, in ns, may have changed, or be gone. */
int64_t		 group_keep(uint8_t advbase);
/*
 * An advertisement of our node `node', from addr, says this of its interface
 * (n 0: nothing).  seen: when a frame for the MAC came last, 0 ns: never.
 */
unsigned int	 group_hear(struct group *g, uint32_t node,
		    const struct ipaddr *addr, const struct advert_group *says,
		    uint8_t advbase, monotime_t seen, monotime_t now);
/*
 * Time passes; to be called often enough for group_period(advbase).  speaks:
 * this host is MASTER of a node.
 */
unsigned int	 group_tick(struct group *g, uint8_t advbase, bool speaks,
		    monotime_t seen, monotime_t now);
/* That node of ours as it was heard last, lately; NULL: it was not. */
const struct group_mate *group_find(const struct group *g, uint32_t node,
		    monotime_t now);

#endif
