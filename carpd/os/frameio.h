/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: raw frames on a carpdev.  The parent opens, an unprivileged
 * process sends and receives.
 */
#ifndef CARPD_OS_FRAMEIO_H
#define CARPD_OS_FRAMEIO_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/ipaddr.h"

#define FRAMEIO_MTU	2048	/* a received frame is cut here */

/*
 * A socket on the interface that receives IP protocol 112 (IPv4 and IPv6,
 * multicast and unicast, not our own output), marked so that the classifier
 * knows its frames, with its filter locked.  Non-blocking.  -1 and errno.
 */
int		 frameio_open(const char *ifname, int ifindex);
/* The same for sending only: nothing comes in. */
int		 frameio_open_out(const char *ifname, int ifindex);
/*
 * A socket for whole IP packets of a family (IPv4 or IPv6) to other hosts,
 * over that interface only: the kernel finds their link-layer address.  Marked
 * as above; receives nothing.  Non-blocking.  -1 and errno.
 */
int		 frameio_open_ip(int ifindex, uint8_t af);
/*
 * Silent sockets that join 224.0.0.18 and ff02::12 there and keep the host
 * from answering "protocol unreachable", which they do where the group is
 * refused, too; held by the parent.  Fills fds[2] (IPv4, IPv6), -1 where the
 * family is not to be had.
 */
void		 frameio_join(const char *ifname, int ifindex, int fds[2]);
/* The IPv6 one anew: IPv6 was disabled there and is back. */
void		 frameio_rejoin6(const char *ifname, int ifindex, int fds[2]);
/* Whole Ethernet frame.  0, or -1 and errno. */
int		 frameio_send(int fd, const void *frame, size_t len);
/*
 * The IP packet of a whole Ethernet frame whose IP destination is dst, over a
 * socket of frameio_open_ip().  That dst does not answer its neighbours is no
 * error.  0, or -1 and errno.
 */
int		 frameio_send_ip(int fd, int ifindex, const void *frame,
		    size_t len, const struct ipaddr *dst);
/* Bytes of the next frame, or -1 and errno (EAGAIN, ENETDOWN ...). */
ssize_t		 frameio_recv(int fd, void *frame, size_t size);

/* Several in one system call, at most FRAMEIO_BATCH. */
#define FRAMEIO_BATCH	64
struct frameio_vec {
	uint8_t		*data;
	size_t		 len;	/* receiving: size before, length after */
};
/* How many left, in order; if not all, errno tells what the next one met. */
size_t		 frameio_sendv(int fd, const struct frameio_vec *v, size_t n);
/* How many were there, 0 also on errors. */
size_t		 frameio_recvv(int fd, struct frameio_vec *v, size_t n);

#endif
