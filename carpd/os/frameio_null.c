/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Frames on a system we know nothing of: what is sent is lost, and nothing
 * is ever received.
 */
#include <sys/socket.h>

#include <errno.h>

#include "frameio.h"

int
frameio_open(const char *ifname, int ifindex)
{
	(void)ifname;
	(void)ifindex;
	/* unbound and unconnected: never readable */
	return (socket(AF_UNIX, SOCK_DGRAM, 0));
}

int
frameio_open_out(const char *ifname, int ifindex)
{
	return (frameio_open(ifname, ifindex));
}

int
frameio_open_ip(int ifindex, uint8_t af)
{
	(void)af;
	return (frameio_open(NULL, ifindex));
}

int
frameio_send_ip(int fd, int ifindex, const void *frame, size_t len,
    const struct ipaddr *dst)
{
	(void)ifindex;
	(void)dst;
	return (frameio_send(fd, frame, len));
}

void
frameio_join(const char *ifname, int ifindex, int fds[2])
{
	(void)ifname;
	(void)ifindex;
	fds[0] = fds[1] = -1;
}

void
frameio_rejoin6(const char *ifname, int ifindex, int fds[2])
{
	(void)ifname;
	(void)ifindex;
	fds[1] = -1;
}

int
frameio_send(int fd, const void *frame, size_t len)
{
	(void)fd;
	(void)frame;
	(void)len;
	return (0);
}

ssize_t
frameio_recv(int fd, void *frame, size_t size)
{
	(void)fd;
	(void)frame;
	(void)size;
	errno = EAGAIN;
	return (-1);
}

size_t
frameio_sendv(int fd, const struct frameio_vec *v, size_t n)
{
	(void)fd;
	(void)v;
	return (n);
}

size_t
frameio_recvv(int fd, struct frameio_vec *v, size_t n)
{
	(void)fd;
	(void)v;
	(void)n;
	return (0);
}
