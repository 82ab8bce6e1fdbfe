/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See lock.h.  An abstract socket, unix(7), is of the network namespace.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lock.h"

int
lock_interface(const char *role, const char *ifname)
{
	struct sockaddr_un sun;
	int fd, n, saved;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	/* the first byte stays NUL: abstract */
	n = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1, "%s-%s",
	    role, ifname);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return (-1);
	if (bind(fd, (struct sockaddr *)&sun, (socklen_t)(offsetof(struct
	    sockaddr_un, sun_path) + 1 + (size_t)n)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}
