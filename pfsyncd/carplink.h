/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The parent's connection to carpd's control socket: who is MASTER here,
 * whether interfaces balance and which addresses are virtual comes in; our
 * entry in carpd's demotion ledger, and who is MASTER elsewhere, goes out.  A
 * file of its own, because carpd's messages and ours cannot be included in one.
 * carpd may be absent, come and go: it is looked for once a second, and told
 * again what it has to know.
 */
#ifndef PFSYNCD_CARPLINK_H
#define PFSYNCD_CARPLINK_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/ipaddr.h"
#include "../common/wire/native.h"
#include "shares.h"

#define CARPLINK_VHOSTS	128	/* in one message */

struct carplink;

struct carplink_cbs {
	/*
	 * carpd answers, or no longer; so many vhids are MASTER here, so many
	 * are of interfaces that balance, and so many MASTER elsewhere as well
	 */
	void (*carp)(bool connected, unsigned int masters,
	    unsigned int balancing, unsigned int splits, void *arg);
	/*
	 * All virtual addresses of carpd's configuration, sorted, and who has
	 * them, when that is not what was told last.
	 */
	void (*addrs)(const struct share *s, size_t n, void *arg);
	/*
	 * The answer to carplink_which(), in one or more calls: ids of vhosts
	 * that are MASTER here, at most CARPLINK_VHOSTS; last: these were all.
	 */
	void (*vhosts)(const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n,
	    bool last, void *arg);
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
/* Ask which vhosts are MASTER; without carpd nobody answers. */
void		 carplink_which(struct carplink *l);
/* The n vhosts of these ids, at most CARPLINK_VHOSTS, are MASTER there. */
void		 carplink_rivals(struct carplink *l, const struct ipaddr *who,
		    const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n);
/* The states are in: `sync wait` may end; remembered for ever. */
void		 carplink_synced(struct carplink *l);

#endif
