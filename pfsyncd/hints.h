/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Who carried which flow, kept in a mapped file beside the control socket, so
 * that a daemon that was killed and comes back knows which entries of the
 * kernel's table are its own and which are replicas.  24 bytes a flow, written
 * in place without a system call; the file grows in pieces of 65536 flows.
 * With it stands which boot of its host each carrier was last heard with: one
 * that comes back with another has lost its table.  A hint is only that: a file
 * that is torn, old, gone, of another format or of another boot of ours costs a
 * comparison with the peers, nothing more.
 */
#ifndef PFSYNCD_HINTS_H
#define PFSYNCD_HINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "repl.h"

struct hints;

/*
 * Write to the empty file fd (taken over; -1: keep none).  boot and node go
 * into its head.  fatal() when out of memory.
 */
struct hints	*hints_new(int fd, uint32_t boot, uint32_t node);
/* The file stays.  NULL is fine. */
void		 hints_free(struct hints *h);
/*
 * Room for entries 0..n-1, but for 8388608 at most: those beyond have no hint.
 * false: none are kept, or given up (no space; said once, the file emptied).
 */
bool		 hints_reserve(struct hints *h, uint32_t n);
/*
 * What is known of entry i: hash, stamp, id of the node that carries it,
 * repl_value().  Nothing happens beyond the reserved ones.
 */
void		 hints_set(struct hints *h, uint32_t i, uint64_t hash,
		    uint64_t stamp, uint32_t carrier, uint32_t value);
void		 hints_clear(struct hints *h, uint32_t i);

/* That node was heard with this boot; the last 16 nodes are kept. */
void		 hints_boot(struct hints *h, uint32_t node, uint32_t boot);

struct hints_old;

/*
 * Read the file of the last run (fd is taken over).  NULL when there is
 * nothing to learn from it: other boot, other node, other format, malformed,
 * empty.
 */
struct hints_old *hints_load(int fd, uint32_t boot, uint32_t node);
void		 hints_old_free(struct hints_old *o);
/* Node number i (0 ..) that was heard; false when there are no more. */
bool		 hints_node(const struct hints_old *o, unsigned int i,
		    uint32_t *node, uint32_t *boot);
/* A repl_hint_fn; arg is the hints_old.  false: nothing is known. */
bool		 hints_find(uint64_t hash, struct repl_hint *hint, void *arg);

#endif
