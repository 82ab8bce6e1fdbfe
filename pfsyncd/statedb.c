/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The state database: entries in chunks that never move, an index by hash,
 * sums per carrier.  No policy: which entry wins, who is told, is repl.c's.
 *
 * The index is linear probing with the top bits of the hash as position, so
 * it is ordered by hash but for the overflow of clusters.  A slot keeps the
 * upper 32 bits of the hash: probing, deleting and growing need no look at
 * the entries, and growing reads and writes memory in order.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "statedb.h"

#define CHUNK_BITS	14
#define CHUNK		(1U << CHUNK_BITS)
#define SLOT_BITS_MIN	14		/* four slots a bucket */
#define SLOT_BITS_MAX	32		/* a slot knows no more of the hash */
#define LIMIT_DEFAULT	4000000U
#define LIMIT_MAX	(UINT32_MAX - CHUNK)

/* Upper half: of the hash; lower half: entry number + 1.  0: empty. */
#define SLOT_TAG	0xffffffff00000000ULL
#define SLOT_INDEX(s)	((uint32_t)(s) - 1)

struct statedb {
	uint64_t		*slots;
	uint64_t		 mask;		/* number of slots - 1 */
	unsigned int		 shift;		/* 64 - bits of a position */
	uint32_t		 count;
	uint32_t		 top;
	uint32_t		 free;		/* list by txnext */
	uint32_t		 room;		/* add works below this count */
	uint32_t		 limit;
	struct statedb_entry	**chunks;
	uint32_t		 nchunks;
	uint32_t		 maxchunks;	/* length of chunks[] */
	struct statedb_sums	*sums;		/* STATEDB_CARRIERS */
	uint8_t			 key[16];
};

static inline struct statedb_entry *
entry(const struct statedb *db, uint32_t i)
{
	return (&db->chunks[i >> CHUNK_BITS][i & (CHUNK - 1)]);
}

static inline uint64_t
home(const struct statedb *db, uint64_t h)
{
	return (h >> db->shift);
}

/* Entries that the memory at hand and the limit allow. */
static void
set_room(struct statedb *db)
{
	uint64_t	 room = (uint64_t)db->nchunks * CHUNK;
	uint64_t	 load = (db->mask + 1) / 4 * 3;

	if (room > load)
		room = load;
	if (room > db->limit)
		room = db->limit;
	db->room = (uint32_t)room;
}

struct statedb *
statedb_new(const uint8_t key[16])
{
	struct statedb	*db;

	if ((db = calloc(1, sizeof(*db))) == NULL)
		fatal("statedb");
	memcpy(db->key, key, sizeof(db->key));
	db->free = STATEDB_NONE;
	db->limit = LIMIT_DEFAULT;
	db->shift = 64 - SLOT_BITS_MIN;
	db->mask = (1U << SLOT_BITS_MIN) - 1;
	db->slots = calloc(db->mask + 1, sizeof(*db->slots));
	/* Pages of carriers that never show up are never touched. */
	db->sums = calloc(STATEDB_CARRIERS, sizeof(*db->sums));
	if (db->slots == NULL || db->sums == NULL || statedb_reserve(db) == -1)
		fatal("statedb");
	return (db);
}

void
statedb_free(struct statedb *db)
{
	uint32_t	 i;

	if (db == NULL)
		return;
	for (i = 0; i < db->nchunks; i++)
		free(db->chunks[i]);
	free(db->chunks);
	free(db->slots);
	free(db->sums);
	explicit_bzero(db->key, sizeof(db->key));
	free(db);
}

static int
grow_chunks(struct statedb *db)
{
	struct statedb_entry	**list;
	uint32_t		  n;

	if (db->nchunks == db->maxchunks) {
		n = db->maxchunks == 0 ? 16 : db->maxchunks * 2;
		list = reallocarray(db->chunks, n, sizeof(*list));
		if (list == NULL)
			return (-1);
		db->chunks = list;
		db->maxchunks = n;
	}
	db->chunks[db->nchunks] = reallocarray(NULL, CHUNK,
	    sizeof(struct statedb_entry));
	if (db->chunks[db->nchunks] == NULL)
		return (-1);
	db->nchunks++;
	return (0);
}

static inline void
slot_put(struct statedb *db, uint64_t slot)
{
	uint64_t	 p = home(db, slot);

	while (db->slots[p] != 0)
		p = (p + 1) & db->mask;
	db->slots[p] = slot;
}

static int
grow_slots(struct statedb *db)
{
	uint64_t	*old = db->slots, *slots;
	uint64_t	 i, n = db->mask + 1;

	if (db->shift == 64 - SLOT_BITS_MAX ||
	    (slots = calloc(n * 2, sizeof(*slots))) == NULL)
		return (-1);
	db->slots = slots;
	db->mask = n * 2 - 1;
	db->shift--;
	for (i = 0; i < n; i++)
		if (old[i] != 0)
			slot_put(db, old[i]);
	free(old);
	return (0);
}

int
statedb_reserve(struct statedb *db)
{
	uint64_t	 want = (uint64_t)db->count + STATEDB_SPARE;
	int		 rc = 0;

	if (want <= db->room)
		return (0);
	if (want > db->limit)
		want = db->limit;
	while (rc == 0 && (uint64_t)db->nchunks * CHUNK < want)
		rc = grow_chunks(db);
	while (rc == 0 && (db->mask + 1) / 4 * 3 < want)
		rc = grow_slots(db);
	set_room(db);
	return (db->count >= db->limit ? -1 : rc);
}

void
statedb_limit(struct statedb *db, uint32_t max)
{
	db->limit = max < LIMIT_MAX ? max : LIMIT_MAX;
	set_room(db);
}

uint64_t
statedb_hash(const struct statedb *db, const struct flow *f)
{
	return (flow_hash(db->key, f));
}

bool
statedb_used(const struct statedb *db, uint32_t i)
{
	return (i < db->top && (entry(db, i)->flags & STATEDB_F_USED) != 0);
}

struct statedb_entry *
statedb_at(struct statedb *db, uint32_t i)
{
	assert(statedb_used(db, i));
	return (entry(db, i));
}

/*
 * The entry with this hash, or STATEDB_NONE; *pos is its slot, or the empty
 * one where it would go.  There always is an empty one: see set_room().
 */
static inline uint32_t
lookup(const struct statedb *db, uint64_t h, uint64_t *pos)
{
	uint64_t	 p, slot;

	for (p = home(db, h); (slot = db->slots[p]) != 0;
	    p = (p + 1) & db->mask)
		if (((slot ^ h) & SLOT_TAG) == 0 &&
		    entry(db, SLOT_INDEX(slot))->h == h)
			break;
	*pos = p;
	return (slot != 0 ? SLOT_INDEX(slot) : STATEDB_NONE);
}

uint32_t
statedb_find_hash(const struct statedb *db, uint64_t h)
{
	uint64_t	 p;

	return (lookup(db, h, &p));
}

uint32_t
statedb_find(const struct statedb *db, const struct flow *f, uint64_t h)
{
	uint64_t	 p;
	uint32_t	 i;

	if ((i = lookup(db, h, &p)) == STATEDB_NONE ||
	    !flow_same(&entry(db, i)->f, f))
		return (STATEDB_NONE);
	return (i);
}

uint32_t
statedb_add(struct statedb *db, const struct flow *f, uint64_t h)
{
	struct statedb_entry	*e;
	uint64_t		 p;
	uint32_t		 i;

	if (db->count >= db->room || lookup(db, h, &p) != STATEDB_NONE)
		return (STATEDB_NONE);
	if ((i = db->free) != STATEDB_NONE) {
		e = entry(db, i);
		db->free = e->txnext;
	} else {
		i = db->top++;
		e = entry(db, i);
	}
	db->slots[p] = (h & SLOT_TAG) | (i + 1);
	db->count++;
	e->f = *f;
	e->h = h;
	e->stamp = 0;
	e->ctid = e->deadline = e->told = e->opsec = 0;
	e->txnext = e->opnext = STATEDB_NONE;
	e->flags = STATEDB_F_USED;
	e->carrier = e->creator = e->seen = e->life = e->strikes = 0;
	e->ops = 0;
	return (i);
}

/*
 * Empty slot p and close the gap: what stands behind it moves up unless that
 * would put it before its home.
 */
static void
slot_del(struct statedb *db, uint64_t p)
{
	uint64_t	 next, slot;

	for (next = (p + 1) & db->mask; (slot = db->slots[next]) != 0;
	    next = (next + 1) & db->mask) {
		if (((next - home(db, slot)) & db->mask) <
		    ((next - p) & db->mask))
			continue;
		db->slots[p] = slot;
		p = next;
	}
	db->slots[p] = 0;
}

void
statedb_del(struct statedb *db, uint32_t i)
{
	struct statedb_entry	*e = statedb_at(db, i);
	uint64_t		 p, slot = (e->h & SLOT_TAG) | (i + 1);

	assert((e->flags & STATEDB_F_COUNTED) == 0);
	for (p = home(db, e->h); db->slots[p] != slot; p = (p + 1) & db->mask)
		assert(db->slots[p] != 0);
	slot_del(db, p);
	e->flags = 0;
	e->txnext = db->free;
	db->free = i;
	db->count--;
}

uint32_t
statedb_count(const struct statedb *db)
{
	return (db->count);
}

uint32_t
statedb_top(const struct statedb *db)
{
	return (db->top);
}

/* ---- sums ---- */

/*
 * All nodes must agree on this for ever.  h is uniform and the rest a
 * bijection (the finish of MurmurHash3), so that sums of other sets or other
 * stamps are equal by chance only.
 */
uint64_t
statedb_mix(uint64_t h, uint64_t stamp)
{
	uint64_t	 x = h + stamp * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return (x ^ x >> 33);
}

void
statedb_count_in(struct statedb *db, uint32_t i)
{
	struct statedb_entry	*e = statedb_at(db, i);
	uint64_t		 mix = statedb_mix(e->h, e->stamp);
	struct statedb_sums	*s;

	assert(e->carrier < STATEDB_CARRIERS);
	assert((e->flags & STATEDB_F_COUNTED) == 0);
	s = &db->sums[e->carrier];
	e->flags |= STATEDB_F_COUNTED;
	s->all += mix;
	s->group[STATEDB_GROUP(e->h)] += mix;
	s->bucket[STATEDB_BUCKET(e->h)] += mix;
	s->bcount[STATEDB_BUCKET(e->h)]++;
	s->count++;
}

void
statedb_count_out(struct statedb *db, uint32_t i)
{
	struct statedb_entry	*e = statedb_at(db, i);
	uint64_t		 mix = statedb_mix(e->h, e->stamp);
	struct statedb_sums	*s;

	assert(e->carrier < STATEDB_CARRIERS);
	assert((e->flags & STATEDB_F_COUNTED) != 0);
	s = &db->sums[e->carrier];
	e->flags &= (uint16_t)~STATEDB_F_COUNTED;
	s->all -= mix;
	s->group[STATEDB_GROUP(e->h)] -= mix;
	s->bucket[STATEDB_BUCKET(e->h)] -= mix;
	s->bcount[STATEDB_BUCKET(e->h)]--;
	s->count--;
}

const struct statedb_sums *
statedb_sums(const struct statedb *db, uint8_t carrier)
{
	assert(carrier < STATEDB_CARRIERS);
	return (&db->sums[carrier]);
}

/*
 * A bucket is the slots between two homes, where overflow of the bucket
 * before may stand, and then its own overflow, which an empty slot ends.
 * *pos counts slots from the bucket's first; when the index grew between two
 * calls, going on at *pos repeats much and skips at most overflow.
 */
size_t
statedb_bucket(const struct statedb *db, unsigned int bucket, uint32_t *out,
    size_t max, uint32_t *pos, bool *more)
{
	uint64_t	 width = (db->mask + 1) / STATEDB_BUCKETS;
	uint64_t	 off, slot;
	size_t		 n = 0;

	*more = false;
	if (bucket >= STATEDB_BUCKETS)
		return (0);
	for (off = *pos; off <= db->mask; off++) {
		slot = db->slots[(bucket * width + off) & db->mask];
		if (slot == 0 && off >= width)
			break;
		if (slot == 0 || STATEDB_BUCKET(slot) != bucket)
			continue;
		if (n == max) {
			*more = true;
			break;
		}
		out[n++] = SLOT_INDEX(slot);
	}
	*pos = (uint32_t)off;
	return (n);
}

size_t
statedb_bytes(const struct statedb *db)
{
	return (sizeof(*db) + (db->mask + 1) * sizeof(*db->slots) +
	    (size_t)db->nchunks * CHUNK * sizeof(struct statedb_entry) +
	    db->maxchunks * sizeof(*db->chunks) +
	    STATEDB_CARRIERS * sizeof(*db->sums));
}

/* ---- consistency ---- */

static const char *
check_slots(const struct statedb *db)
{
	uint64_t	 p, slot, q;
	uint32_t	 n = 0;

	for (p = 0; p <= db->mask; p++) {
		if ((slot = db->slots[p]) == 0)
			continue;
		n++;
		if (!statedb_used(db, SLOT_INDEX(slot)))
			return ("slot of an unused entry");
		if (((entry(db, SLOT_INDEX(slot))->h ^ slot) & SLOT_TAG) != 0)
			return ("slot with another hash than its entry");
		for (q = home(db, slot); q != p; q = (q + 1) & db->mask)
			if (db->slots[q] == 0)
				return ("gap before a slot");
	}
	return (n == db->count ? NULL : "slots and entries differ in number");
}

static const char *
check_entries(const struct statedb *db)
{
	uint64_t	 p;
	uint32_t	 i, n = 0;

	for (i = 0; i < db->top; i++) {
		if (!statedb_used(db, i))
			continue;
		n++;
		if (lookup(db, entry(db, i)->h, &p) != i)
			return ("entry not found by its hash");
	}
	if (n != db->count)
		return ("count is wrong");
	for (i = db->free; i != STATEDB_NONE; i = entry(db, i)->txnext) {
		if (i >= db->top || statedb_used(db, i))
			return ("used entry in the free list");
		if (n++ == db->top)
			return ("free list has a loop");
	}
	return (n == db->top ? NULL : "free list is not complete");
}

static void
sums_add(struct statedb_sums *s, const struct statedb_entry *e)
{
	uint64_t	 mix = statedb_mix(e->h, e->stamp);

	s->all += mix;
	s->group[STATEDB_GROUP(e->h)] += mix;
	s->bucket[STATEDB_BUCKET(e->h)] += mix;
	s->bcount[STATEDB_BUCKET(e->h)]++;
	s->count++;
}

static const char *
check_sums(const struct statedb *db)
{
	struct statedb_sums		*s;
	const struct statedb_entry	*e;
	bool				 good;
	uint32_t			 i;

	if ((s = calloc(STATEDB_CARRIERS, sizeof(*s))) == NULL)
		return ("no memory to check");
	for (i = 0; i < db->top; i++) {
		e = entry(db, i);
		if ((e->flags & STATEDB_F_USED) != 0 &&
		    (e->flags & STATEDB_F_COUNTED) != 0)
			sums_add(&s[e->carrier % STATEDB_CARRIERS], e);
	}
	good = memcmp(s, db->sums, STATEDB_CARRIERS * sizeof(*s)) == 0;
	free(s);
	return (good ? NULL : "sums are wrong");
}

const char *
statedb_check(const struct statedb *db)
{
	const char	*why;

	if (db->room > db->limit || (db->room > (db->mask + 1) / 4 * 3) ||
	    db->top > (uint64_t)db->nchunks * CHUNK)
		return ("room is wrong");
	if ((why = check_slots(db)) != NULL ||
	    (why = check_entries(db)) != NULL)
		return (why);
	return (check_sums(db));
}
