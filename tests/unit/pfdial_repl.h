/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * In place of repl.c, for the tests and the fuzz target of pfdial: the part of
 * pfsyncd/repl.h that pfdial calls, on a real statedb, without a kernel.  A
 * program that includes this does not pull repl.o out of the library.
 */
#ifndef TESTS_UNIT_PFDIAL_REPL_H
#define TESTS_UNIT_PFDIAL_REPL_H

#include <string.h>

#include "../../pfsyncd/pfdial.h"

#define FAKE_LOG	4096
#define FAKE_NODES	16

enum fake_op { FAKE_PUT, FAKE_REPLACE, FAKE_DEL };

struct repl {
	struct statedb	*db;
	struct pfdial	*d;
	monotime_t	 now;
	uint32_t	 nodes[FAKE_NODES];	/* ids; 0 is ourselves */
	uint64_t	 queued, done;
	bool		 slow;		/* operations wait for fake_done() */
	bool		 refuse;
	struct {
		enum fake_op	 op;
		struct flow	 f;
		uint32_t	 carrier;
	}		 log[FAKE_LOG];
	size_t		 nlog;
	uint64_t	 heard;
	uint32_t	 native;		/* id of a native node; 0: none */
	bool		 hold;		/* first packets of all entries */
	unsigned int	 acked[2];	/* by half */
};

static inline void
fake_op(struct repl *r, enum fake_op op, const struct flow *f,
    uint32_t carrier)
{
	r->queued++;
	if (!r->slow)
		r->done = r->queued;
	if (r->nlog == FAKE_LOG)
		return;
	r->log[r->nlog].op = op;
	r->log[r->nlog].f = *f;
	r->log[r->nlog++].carrier = carrier;
}

static inline uint8_t
fake_node(struct repl *r, uint32_t id)
{
	uint8_t	 n;

	for (n = 1; n < FAKE_NODES; n++) {
		if (r->nodes[n] == 0)
			r->nodes[n] = id;
		if (r->nodes[n] == id)
			return (n);
	}
	return (FAKE_NODES - 1);
}

static inline uint32_t
fake_sec(monotime_t t)
{
	return ((uint32_t)(t.ns / MONOTIME_SEC));
}

/* deadline: when the kernel would drop it */
static inline uint32_t
fake_set(struct repl *r, const struct flow *f, uint8_t carrier)
{
	uint64_t		 h = statedb_hash(r->db, f);
	uint32_t		 i = statedb_find(r->db, f, h);
	struct statedb_entry	*e;

	if (i == STATEDB_NONE && (i = statedb_add(r->db, f, h)) ==
	    STATEDB_NONE)
		return (STATEDB_NONE);
	e = statedb_at(r->db, i);
	e->f = *f;
	e->carrier = carrier;
	e->deadline = fake_sec(r->now) + f->timeout;
	return (i);
}

/* ---- what pfdial calls ---- */

uint32_t
repl_foreign_put(struct repl *r, uint32_t creatorid, const struct flow *f,
    bool fresh, monotime_t now)
{
	struct ipaddr	 dst;

	(void)now;
	flow_addr(f, &f->orig, 1, &dst);
	if (r->refuse || flow_check(f, false) != NULL ||
	    ipaddr_is_multicast(&dst))
		return (STATEDB_NONE);
	fake_op(r, fresh ? FAKE_REPLACE : FAKE_PUT, f, creatorid);
	return (fake_set(r, f, fake_node(r, creatorid)));
}

static inline void
fake_gone(struct repl *r, uint32_t i, bool announce)
{
	struct statedb_entry	*e = statedb_at(r->db, i);

	pfdial_removed(r->d, i, announce && e->carrier == 0, r->now);
	statedb_del(r->db, i);
}

void
repl_foreign_del(struct repl *r, uint32_t i, monotime_t now)
{
	struct statedb_entry	*e = statedb_at(r->db, i);

	(void)now;
	fake_op(r, FAKE_DEL, &e->f, 0);
	fake_gone(r, i, true);
}

void
repl_foreign_heard(struct repl *r, uint32_t creatorid, monotime_t now)
{
	(void)now;
	(void)fake_node(r, creatorid);
	r->heard++;
}

uint64_t
repl_ops_queued(const struct repl *r)
{
	return (r->queued);
}

uint64_t
repl_ops_done(const struct repl *r)
{
	return (r->done);
}

bool
repl_is_native(const struct repl *r, uint32_t node)
{
	return (r->native != 0 && node == r->native);
}

bool
repl_listened(const struct repl *r)
{
	return (r->native != 0);
}

bool
repl_is_local(const struct repl *r, uint32_t i)
{
	return (statedb_at(r->db, i)->carrier == 0);
}

bool
repl_is_held(const struct repl *r, uint32_t i)
{
	return (r->hold && statedb_used(r->db, i));
}

void
repl_foreign_acked(struct repl *r, uint32_t i, unsigned int half)
{
	(void)i;
	r->acked[half]++;
}

struct statedb *
repl_db(struct repl *r)
{
	return (r->db);
}

/* ---- what the kernel and repl would do ---- */

static inline void
fake_done(struct repl *r)
{
	r->done = r->queued;
}

static inline uint32_t
fake_find(struct repl *r, const struct flow *f)
{
	return (statedb_find(r->db, f, statedb_hash(r->db, f)));
}

/* Our kernel has traffic of f. */
static inline void
fake_local(struct repl *r, const struct flow *f)
{
	uint32_t	 i;

	(void)statedb_reserve(r->db);
	(void)pfdial_reserve(r->d);
	if ((i = fake_set(r, f, 0)) != STATEDB_NONE)
		pfdial_changed(r->d, i, r->now);
}

static inline void
fake_destroy(struct repl *r, const struct flow *f)
{
	uint32_t	 i = fake_find(r, f);

	if (i != STATEDB_NONE)
		fake_gone(r, i, true);
}

static inline void
fake_start(struct repl *r, uint32_t creatorid, uint32_t maxupd, bool sends,
    monotime_t now)
{
	struct pfdial_conf	 c = { .creatorid = creatorid,
				    .maxupd = maxupd, .sends = sends };
	uint8_t			 key[16];

	memset(r, 0, sizeof(*r));
	memset(key, 0x5a, sizeof(key));
	memcpy(c.idkey, key, sizeof(c.idkey));
	r->now = now;
	r->db = statedb_new(key);
	r->d = pfdial_new(&c, r, now);
}

static inline void
fake_stop(struct repl *r)
{
	pfdial_free(r->d);
	statedb_free(r->db);
}

#endif
