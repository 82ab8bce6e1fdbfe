/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The parent's connection to carpd's control socket: who is MASTER here,
 * whether interfaces balance and which addresses are virtual comes in, our entry
 * in carpd's demotion ledger goes out.  A file of its own, because carpd's
 * messages and ours cannot be included in one.  carpd may be absent, come and
 * go: it is looked for once a second, and told again what it has to know.
 */
#ifndef PFSYNCD_CARPLINK_H
#define PFSYNCD_CARPLINK_H

#include <stdbool.h>
#include <stddef.h>

#include "shares.h"

struct carplink;

struct carplink_cbs {
	/*
	 * carpd answers, or no longer; so many vhids are MASTER here, and so
	 * many are of interfaces that balance
	 */
	void (*carp)(bool connected, unsigned int masters,
	    unsigned int balancing, void *arg);
	/*
	 * All virtual addresses of carpd's configuration, sorted, and who has
	 * them, when that is not what was told last.
	 */
	void (*addrs)(const struct share *s, size_t n, void *arg);
	void		*arg;
};

/* Starts to look for carpd; fatal() when out of memory.  Needs the ev loop. */
struct carplink	*carplink_open(const char *path,
		    const struct carplink_cbs *cbs);
/* Calls nobody back.  carpd takes our ledger entry away.  NULL is fine. */
void		 carplink_close(struct carplink *l);
/*
 * Demote carpd's group carp by amount for that reason, and for no other any
 * more; 0: for none.  Remembered until the next call.
 */
void		 carplink_hold(struct carplink *l, int amount,
		    const char *reason);
/* The states are in: `sync wait` may end; remembered for ever. */
void		 carplink_synced(struct carplink *l);

#endif
