/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the dialects of pf(4): what a received pfsync message does to flows
 * and what a changed flow sends, as if_pfsync.c does (version 6 both ways;
 * version 5's three forms are decoded).  Two pf states a flow, their ids, the
 * last peer blocks heard, halves that wait for their partner, bulk updates,
 * maxupd and the 1 s timer.
 *
 * Memory besides statedb's: some 300 bytes a flow, only where a pf dialect is
 * configured.
 */
#ifndef PFSYNCD_PFDIAL_H
#define PFSYNCD_PFDIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ibuf.h"
#include "../common/monotime.h"
#include "../common/wire/pfsync.h"
#include "repl.h"

struct pfdial_conf {
	uint32_t	 creatorid;	/* ours, not 0 */
	uint32_t	 maxupd;	/* 0..255 */
	uint8_t		 idkey[16];	/* secret: ids of states come of it */
	bool		 sends;		/* openbsd is configured (else: only
					   listens) */
};

struct pfdial;

/*
 * repl's hooks must call pfdial_changed and pfdial_removed.  c is copied, r
 * stays the caller's.  fatal() when out of memory.
 */
struct pfdial	*pfdial_new(const struct pfdial_conf *c, struct repl *r,
		    monotime_t now);
void		 pfdial_free(struct pfdial *d);
/* A reload: maxupd, 0..255. */
void		 pfdial_conf(struct pfdial *d, uint32_t maxupd);
/*
 * Room for all entries statedb may get in the next step; allocates.  0, or -1:
 * no memory, and new entries are not told to pf.
 */
int		 pfdial_reserve(struct pfdial *d);

/* As struct repl_hooks has them: entry i is new or changed, and goes. */
void		 pfdial_changed(struct pfdial *d, uint32_t i, monotime_t now);
void		 pfdial_removed(struct pfdial *d, uint32_t i, bool announce,
		    monotime_t now);
/* As struct repl_hooks has it: entry i is held back, and not told yet. */
bool		 pfdial_asks(const struct pfdial *d, uint32_t i);
/*
 * A packet (pfsync header on, len is what the header says or more); src tells
 * peers apart.  Counters are added to count (PFSYNC_C_MAX).
 */
void		 pfdial_rx(struct pfdial *d, const uint8_t *pkt, size_t len,
		    uint64_t *count, monotime_t now);
/* Ask for a bulk update: start, syncdev is back, carpctl sync now. */
void		 pfdial_bulk(struct pfdial *d, monotime_t now);
/*
 * enum sync_bulk of our request.  FAILED also while it is still asked for, but
 * nobody answered twice, and native nodes are there.
 */
unsigned int	 pfdial_bulk_state(const struct pfdial *d);
/* Left or became MASTER: on leaving, INS anew what BSD created. */
void		 pfdial_carp(struct pfdial *d, unsigned int masters,
		    monotime_t now);
/* Timers; call it when pfdial_next() says and after anything else. */
void		 pfdial_tick(struct pfdial *d, monotime_t now);
/*
 * Fill one packet (header on) into w; its size is what fits.  0: nothing to
 * send now.
 */
size_t		 pfdial_packet(struct pfdial *d, struct wbuf *w,
		    monotime_t now);
/* When to call pfdial_tick() and pfdial_packet() again at the latest. */
monotime_t	 pfdial_next(const struct pfdial *d);
/* Messages by action, in and out, for the counters (index enum pfsync_kind). */
const uint64_t	*pfdial_in(const struct pfdial *d);
const uint64_t	*pfdial_out(const struct pfdial *d);
/* What no queue or table had room for. */
uint64_t	 pfdial_lost(const struct pfdial *d);
/* Invariants; NULL or a static text.  Slow, for tests. */
const char	*pfdial_check(const struct pfdial *d);

#endif
