/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: virtual MAC and addresses come and go on one carpdev, and
 * whatever else of the system must be changed for that and put back.  Parent
 * only.  Everything it makes carries our mark (KIF_PROTO_CARPD on addresses)
 * or is in the restore record, so that the next start can undo what a dead
 * run left.  The record is with the classifier (steer.h), and in a file
 * (../restore.h), from which it is taken when the classifier has gone.
 */
#ifndef CARPD_OS_VADDR_H
#define CARPD_OS_VADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "../../common/ipaddr.h"
#include "steer.h"

#define VADDR_LIFETIME	10	/* s an address lives unrefreshed */
#define VADDR_REFRESH	3	/* s between refreshes */

struct vaddr;

/*
 * Undo the leftovers of a dead run on this carpdev (addresses with our mark,
 * filter entries of its virtual MACs, sysctls, own addresses and routes it
 * had put aside: all by the restore record), then change the sysctls we need
 * (send_redirects off, promote_secondaries on, arp_announce 2), saving the old
 * values in the record.  file is that of the record; mac is carpdev's own.
 * The caller holds the ownership lock.  NULL and errno.
 */
struct vaddr	*vaddr_open(const char *ifname, int ifindex,
		    const uint8_t mac[6], struct steer *s, const char *file);
/* Remove all our addresses and MACs, put everything back, free. */
void		 vaddr_close(struct vaddr *v);
/* Free without touching the kernel (interface gone). */
void		 vaddr_free(struct vaddr *v);
/* carpdev has another MAC of its own now. */
void		 vaddr_set_mac(struct vaddr *v, const uint8_t mac[6]);

/* carpdev has another name now; what follows goes by that. */
void		 vaddr_renamed(struct vaddr *v, const char *ifname);

/*
 * The NIC is told a virtual MAC, or to forget it; survives our processes.  A
 * bridge takes frames for it away from its ports: to be told of it only while
 * this host is MASTER.
 */
int		 vaddr_mac(struct vaddr *v, const uint8_t mac[6], bool add);
/*
 * Declare a virtual address (with its configured prefix length).  When the
 * host itself has it on carpdev, it is its own: it is put aside now with the
 * routes that hang on it (recorded) and comes and goes with MASTER from here
 * on; vaddr_close() restores it.  Addresses that came to carpdev after
 * vaddr_open() have been told to vaddr_note().  0; 1: it was the host's
 * own; -1 and errno.
 */
int		 vaddr_declare(struct vaddr *v, const struct ipaddr *a);
void		 vaddr_undeclare(struct vaddr *v, const struct ipaddr *a);
/*
 * All that is configured has been declared: own addresses of the host that a
 * dead run had put aside, and that nobody declared again, go back to it.
 */
void		 vaddr_settle(struct vaddr *v);
/*
 * Put it on carpdev or refresh its lifetime: mark, lifetime VADDR_LIFETIME,
 * IPv6 without DAD.  Prefix length: the configured one when carpdev has no
 * other address within that prefix, else 32 or 128; *plen tells which.
 * Promotion calls this in its fast path: one netlink exchange.  0 or -1.
 */
int		 vaddr_add(struct vaddr *v, const struct ipaddr *a,
		    uint8_t *plen);
/* The same for many, in as few exchanges as can be. */
struct vaddr_job {
	const struct ipaddr *addr;
	uint8_t		 plen;		/* which length it has */
	int		 error;		/* 0 or errno */
};
void		 vaddr_add_many(struct vaddr *v, struct vaddr_job *jobs,
		    size_t n);
/*
 * Put it back if it is not on carpdev, with that prefix length: 1, or 0 when it
 * is there, or -1.  Who is told that it went cannot know whether it is back.
 */
int		 vaddr_restore(struct vaddr *v, const struct ipaddr *a,
		    uint8_t *plen);
/* Take it away; 0 also when it is not there. */
int		 vaddr_del(struct vaddr *v, const struct ipaddr *a);
/*
 * Note what carpdev's other addresses are (from kif events), for the choice
 * of the prefix length.  When the last one within the prefix of an installed
 * virtual address is gone, that gets its configured length, and the network
 * its route, at once; when the first one comes, that of IPv4 gets both back.
 * true: some did, vaddr_add() tells.
 */
bool		 vaddr_note(struct vaddr *v, const struct ipaddr *a, bool add);

/*
 * carpdev has a carrier again: forget the neighbours that were asked for in
 * vain meanwhile.  The kernel would ask for them again up to a second later,
 * now it does so with the first packet.
 */
void		 vaddr_carrier(struct vaddr *v);

#endif
