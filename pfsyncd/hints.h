/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Who carried which flow, kept in a mapped file beside the control socket, so
 * that a daemon that was killed and comes back knows which entries of the
 * kernel's table are its own and which are replicas.  24 bytes a flow, written
 * in place without a system call.  A hint is only that: a file that is torn,
 * old or of another boot costs a comparison with the peers, nothing more.
 */
#ifndef PFSYNCD_HINTS_H
#define PFSYNCD_HINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "repl.h"

struct hints;

/*
 * Write to the empty file fd (taken over; -1: keep none).  boot and node go
 * into its head.
 */
struct hints	*hints_new(int fd, uint32_t boot, uint32_t node);
void		 hints_free(struct hints *h);
/* Room for entries 0..n-1; false: hints are given up (no space), said once. */
bool		 hints_reserve(struct hints *h, uint32_t n);
/* Entry i; nothing happens beyond the reserved ones. */
void		 hints_set(struct hints *h, uint32_t i, uint64_t hash,
		    uint64_t stamp, uint32_t carrier, uint32_t value);
void		 hints_clear(struct hints *h, uint32_t i);

struct hints_old;

/*
 * Read the file of the last run (fd is taken over).  NULL when there is
 * nothing to learn from it: other boot, other node, malformed, empty.
 */
struct hints_old *hints_load(int fd, uint32_t boot, uint32_t node);
void		 hints_old_free(struct hints_old *o);
/* A repl_hint_fn; arg is the hints_old. */
bool		 hints_find(uint64_t hash, struct repl_hint *hint, void *arg);

#endif
