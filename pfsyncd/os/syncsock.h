/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: datagrams of protocol 240 on syncdev, TTL 255 and TOS 0x10 as pf's.
 * The parent opens, the engine sends and receives in batches.  Multicast IPv4
 * goes through a packet socket, so that the host's own filter cannot block it;
 * a unicast syncpeer through a raw socket, so that IPsec can protect it.
 */
#ifndef PFSYNCD_OS_SYNCSOCK_H
#define PFSYNCD_OS_SYNCSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/ipaddr.h"
#include "../msgs.h"

#define SYNCSOCK_BATCH	64	/* datagrams a system call, both ways */

/* Which kind of socket fits the destination. */
enum sync_sock	 syncsock_kind(const struct ipaddr *dst);
/*
 * Parent: open for destination dst (a group or a syncpeer) from source src on
 * dev.  PACKET: bound to dev, receives IPv4 protocol 240 sent to the group or
 * broadcast, not our own; a raw socket in *hold keeps the group's membership,
 * takes nothing in, and is the caller's to close.  RAW4, RAW6: bound to dev
 * unless dev is "enc0"-like (no ARPHRD_ETHER: then only to src).  Close-on-
 * exec, non-blocking, receive buffer 8 MiB (forced).  -1 and errno.
 */
int		 syncsock_open(enum sync_sock kind, const char *dev,
		    int ifindex, const struct ipaddr *src,
		    const struct ipaddr *dst, int *hold);

struct syncsock;

/* A datagram: payload from the pfsync header on; until the next _recv(). */
struct syncsock_pkt {
	struct ipaddr	 src, dst;
	uint8_t		 ttl;		/* or hop limit */
	const uint8_t	*data;
	size_t		 len;		/* by the IP header, at most received */
};

/* Engine: takes over the descriptor.  fatal() when out of memory. */
struct syncsock	*syncsock_new(int fd, const struct sync_socket *s);
/* Closes the descriptor.  NULL is fine. */
void		 syncsock_free(struct syncsock *s);
/* Readable: call syncsock_recv(). */
int		 syncsock_fd(const struct syncsock *s);
/*
 * Largest payload: MTU less the IP header, and less than that after the way was
 * found to be narrower (EMSGSIZE, as with IPsec).
 */
size_t		 syncsock_room(const struct syncsock *s);
/*
 * Up to SYNCSOCK_BATCH datagrams into out; malformed ones and our own are
 * left out and counted in *bad.  Fragments are refused.  How many, 0 when
 * nothing waits; -1 and errno: ENETDOWN and such.
 */
int		 syncsock_recv(struct syncsock *s,
		    struct syncsock_pkt out[SYNCSOCK_BATCH], uint64_t *bad);
/* Memory for the next datagram's payload (syncsock_room() bytes), NULL: full,
   flush first. */
uint8_t		*syncsock_slot(struct syncsock *s);
/* That slot holds len bytes, at most syncsock_room(): queue it. */
void		 syncsock_commit(struct syncsock *s, size_t len);
/*
 * Send what is queued.  Returns how many went out; what the kernel does not
 * take now (EAGAIN, ENOBUFS, EMSGSIZE) is dropped and counted in *lost, and
 * errno says why: the protocol repairs it.
 */
size_t		 syncsock_flush(struct syncsock *s, uint64_t *lost);

#endif
