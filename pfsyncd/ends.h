/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the flows that ended and whose end not every node has heard of yet:
 * (hash, stamp) in a ring of fixed size with an index by hash.  The oldest is
 * written over; every step takes constant time.  Ends are numbered from 0 on,
 * so that what a node has heard of is one number (repl_ends.c).
 *
 * Memory: 28 bytes an end, 3.5 MiB in all, of which the kernel gives only what
 * was ever used.  131072 of them are a minute at 2000 ends a second.
 */
#ifndef PFSYNCD_ENDS_H
#define PFSYNCD_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#define ENDS_BITS	17
#define ENDS_MAX	(1U << ENDS_BITS)	/* remembered at most */

struct end {
	uint64_t	 h;		/* flow_hash() */
	uint64_t	 stamp;		/* of the end: older ones are over */
	uint32_t	 next;		/* same place in the index; + 1 */
	bool		 owed;		/* of repl_ends.c: waits to be told */
};

/* All zero is empty. */
struct ends {
	uint64_t	 next;			/* number of the next one */
	struct end	 ring[ENDS_MAX];	/* by number */
	uint32_t	 index[ENDS_MAX];	/* by hash; newest first; + 1 */
};

/* The oldest number that is still there; as next when there is none. */
uint64_t	 ends_oldest(const struct ends *t);
/* Returns its number; the oldest is written over when there is no room. */
uint64_t	 ends_add(struct ends *t, uint64_t h, uint64_t stamp);
/* The last end of that flow: true, and *number is set. */
bool		 ends_find(const struct ends *t, uint64_t h, uint64_t *number);
/* NULL when it was written over, or is not there yet. */
struct end	*ends_at(struct ends *t, uint64_t number);

#endif
