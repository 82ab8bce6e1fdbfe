/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: all flows that this node knows, its own and the replicas of other
 * nodes': flat memory, no allocation per state.  Entries live in chunks and
 * are named by index; the index of flow_hash() is one open-addressing table
 * ordered by the hash's top bits, so that a bucket (the top 12 bits of the
 * hash) is one short stretch of it.  Per carrier the sums of what it carries
 * are kept for each bucket: two nodes compare them to find what differs.
 *
 * Memory per state: the entry, 144 bytes, and 11 to 21 bytes of index.
 */
#ifndef PFSYNCD_STATEDB_H
#define PFSYNCD_STATEDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow.h"

#define STATEDB_BUCKETS		4096	/* top 12 bits of the hash */
#define STATEDB_GROUPS		64	/* of 64 buckets: top 6 bits */
#define STATEDB_CARRIERS	16	/* carrier numbers 0..15; 0: us */
#define STATEDB_NONE		UINT32_MAX
#define STATEDB_SPARE		4096	/* what statedb_reserve() guarantees */

#define STATEDB_BUCKET(h)	((unsigned int)((h) >> 52))
#define STATEDB_GROUP(h)	((unsigned int)((h) >> 58))

/* Flags are those of repl_int.h; statedb.c looks at USED and COUNTED only. */
struct statedb_entry {
	struct flow	 f;
	uint64_t	 h;		/* flow_hash() */
	uint64_t	 stamp;		/* version, given by its carrier */
	uint32_t	 ctid;		/* kernel's CTA_ID here, 0 unknown */
	uint32_t	 deadline;	/* repl_sec(): when our kernel drops it */
	uint32_t	 told;		/* deadline as the peers know it */
	uint32_t	 txnext;	/* queue link of repl.c; free list */
	uint32_t	 opnext;	/* queue link of repl.c */
	uint16_t	 flags;
	uint8_t		 carrier;	/* number of the node */
	uint8_t		 creator;	/* number of the node */
	uint8_t		 seen;		/* dump that saw it, low 8 bits */
	uint8_t		 life;		/* incarnations of the tuple, 6 bits */
	uint8_t		 strikes;	/* of repl.c */
	uint8_t		 ops;		/* of repl.c: operations to do */
	uint32_t	 opsec;		/* repl_sec(): the last one was sent */
};
#define STATEDB_F_COUNTED	0x0001	/* is in its carrier's sums */
#define STATEDB_F_USED		0x8000	/* the slot holds an entry */

/* What a carrier's flows sum up to; mod 2^64. */
struct statedb_sums {
	uint64_t	 all;
	uint64_t	 group[STATEDB_GROUPS];
	uint64_t	 bucket[STATEDB_BUCKETS];
	uint32_t	 count;
	uint32_t	 bcount[STATEDB_BUCKETS];
};

struct statedb;

/* key: of flow_hash(), copied.  fatal() when out of memory. */
struct statedb	*statedb_new(const uint8_t key[16]);
/* NULL is fine. */
void		 statedb_free(struct statedb *db);
/*
 * Make room: afterwards STATEDB_SPARE entries, or what statedb_limit() leaves
 * of them, can be added without any allocation.  The one function that
 * allocates (statedb_new() calls it once); the engine calls it between steps.
 * 0, or -1 when the limit is reached or there is no memory: then
 * statedb_add() will say no when the spare ones are used up.
 */
int		 statedb_reserve(struct statedb *db);
/* At most this many entries, default 4 million; none is removed. */
void		 statedb_limit(struct statedb *db, uint32_t max);
/* The hash of a flow under this database's key. */
uint64_t	 statedb_hash(const struct statedb *db, const struct flow *f);

/* Entry number i; i must be used (assert). */
struct statedb_entry *statedb_at(struct statedb *db, uint32_t i);
/* Is number i (of any origin) an entry in use? */
bool		 statedb_used(const struct statedb *db, uint32_t i);
/*
 * By hash and identity (two flows may share a hash: only the first is kept,
 * the second is refused by statedb_add).  STATEDB_NONE when unknown.
 */
uint32_t	 statedb_find(const struct statedb *db, const struct flow *f,
		    uint64_t h);
/* By hash alone. */
uint32_t	 statedb_find_hash(const struct statedb *db, uint64_t h);
/*
 * A new entry with f, everything else zero but h, flags USED, txnext and
 * opnext STATEDB_NONE.  STATEDB_NONE: no room, or the hash is taken.
 * Entry numbers stay the same until statedb_del().
 */
uint32_t	 statedb_add(struct statedb *db, const struct flow *f,
		    uint64_t h);
/* Remove; it must not be COUNTED (assert). */
void		 statedb_del(struct statedb *db, uint32_t i);
/* How many entries are in use. */
uint32_t	 statedb_count(const struct statedb *db);
/* Entry numbers in use are below this. */
uint32_t	 statedb_top(const struct statedb *db);

/*
 * COUNTED on or off: put into or take out of the sums of its carrier with its
 * present h, stamp, carrier.  Take it out before any of these changes.
 */
void		 statedb_count_in(struct statedb *db, uint32_t i);
void		 statedb_count_out(struct statedb *db, uint32_t i);
/* Of a carrier number below STATEDB_CARRIERS; a view that goes on changing. */
const struct statedb_sums *statedb_sums(const struct statedb *db,
		    uint8_t carrier);
/* What one entry adds to the sums: a mix of both. */
uint64_t	 statedb_mix(uint64_t h, uint64_t stamp);

/*
 * Numbers of all entries of a bucket (any carrier), unsorted, into out (max);
 * *pos is where to go on (start with 0), and *more is false when the bucket is
 * done.  Entries added or removed between calls may be missed or, when they
 * moved, seen twice.  Returns how many were stored.
 */
size_t		 statedb_bucket(const struct statedb *db, unsigned int bucket,
		    uint32_t *out, size_t max, uint32_t *pos, bool *more);
/* Bytes of memory in use, for show sync. */
size_t		 statedb_bytes(const struct statedb *db);
/* Everything consistent?  NULL, or a static text; slow, for tests. */
const char	*statedb_check(const struct statedb *db);

#endif
