/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: packets that the packet filter hands to us and holds until we say
 * that they may go on.  What is told of them is their flow, never their bytes.
 * Linux: nfnetlink_queue; what of its behaviour we rely on is at the top of
 * pktq_linux.c.  Null: EOPNOTSUPP.  Used by the table process only; nothing
 * here waits for anybody but the kernel.
 */
#ifndef PFSYNCD_OS_PKTQ_H
#define PFSYNCD_OS_PKTQ_H

#include <stddef.h>
#include <stdint.h>

#include "../flow.h"

#define PKTQ_NUMBER	240	/* of the queue: pfsync's protocol */

/* The first packet of a flow, which is not in the state table yet. */
struct pktq_packet {		/* 104 bytes */
	struct flow	 f;	/* translated; timeout: at least 1 */
	uint32_t	 ctid;	/* the number that the entry will have */
	uint32_t	 id;	/* of the packet */
};

struct pktq;

/*
 * Take the packets of PKTQ_NUMBER.  cb gets each of them within pktq_read().
 * NULL, and *why is a text: what this system lacks.  Needs CAP_NET_ADMIN, now
 * and later; call after the rights were shed.
 */
struct pktq	*pktq_open(void (*cb)(const struct pktq_packet *p, void *arg),
		    void *arg, const char **why);
/* All that is held goes on, and what comes later passes by. */
void		 pktq_close(struct pktq *q);
/* Readable: call pktq_read(). */
int		 pktq_fd(const struct pktq *q);
/*
 * Read at most max packets, without waiting; returns how many there were.  One
 * whose flow cannot be told of goes on, as with pktq_pass().
 */
size_t		 pktq_read(struct pktq *q, size_t max);
/* That packet may go on: when pktq_flush() is called, all in one. */
void		 pktq_pass(struct pktq *q, uint32_t id);
void		 pktq_flush(struct pktq *q);

#endif
