/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * syncdev, as the parent sees it: it comes and goes, has addresses and an
 * MTU; out of that come the sockets the engine speaks through.  Fed with the
 * events of a kif; waits for whatever is missing, and says so once.
 */
#ifndef PFSYNCD_SYNCDEV_H
#define PFSYNCD_SYNCDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "../common/os/kif.h"
#include "msgs.h"

struct syncdev;

struct syncdev_cbs {
	/* sockets anew; fd is the callback's */
	void (*socket)(int fd, const struct sync_socket *s, void *arg);
	/* it can be used, or not: something else than told last */
	void (*link)(const struct sync_link *l, void *arg);
	void		*arg;
};

/* fatal() when out of memory.  Needs the ev loop. */
struct syncdev	*syncdev_new(const struct syncdev_cbs *cbs);
void		 syncdev_free(struct syncdev *d);
/*
 * From now on it is that interface, and packets go to dst (a group or a
 * syncpeer).  What was known is forgotten: have the kif dump.
 */
void		 syncdev_conf(struct syncdev *d, const char *name,
		    const struct ipaddr *dst);
void		 syncdev_event(struct syncdev *d, const struct kif_event *k);
/* After some events: act on the whole of it. */
void		 syncdev_settle(struct syncdev *d);
/* Is it there?  Its MAC address then; all zero when it has none. */
bool		 syncdev_mac(const struct syncdev *d, uint8_t mac[6]);

/*
 * Which of n own addresses packets to dst are from, -1: none fits.  A unicast
 * dst: one that has it in its network, else the first of its family.  IPv6:
 * preferably of dst's scope, for a group a link-local one.
 */
int		 syncdev_source(const struct ipaddr *own, size_t n,
		    const struct ipaddr *dst);

#endif
