/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: see boot.h.  random(4), network_namespaces(7).
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../hmac.h"
#include "boot.h"

#define BOOT_ID		"/proc/sys/kernel/random/boot_id"
#define NETNS		"/proc/self/ns/net"

static void
read_boot(char *buf, size_t size)
{
	int	 fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return;
	if (read(fd, buf, size) == -1)
		memset(buf, 0, size);
	close(fd);
}

static uint64_t
netns_cookie(void)
{
	uint64_t	 cookie = 0;
	socklen_t	 len = sizeof(cookie);
	int		 fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return (0);
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == -1)
		cookie = 0;
	close(fd);
	return (cookie);
}

uint32_t
boot_id(void)
{
	struct {
		char		 boot[36];
		uint64_t	 inode, cookie;
	}		 of;
	struct stat	 st;
	uint8_t		 sum[HMAC_SHA256_LEN];
	uint32_t	 id;

	memset(&of, 0, sizeof(of));
	read_boot(of.boot, sizeof(of.boot));
	if (stat(NETNS, &st) == 0)
		of.inode = st.st_ino;
	/* the number of an inode is used again, that of a namespace is not */
	of.cookie = netns_cookie();
	hmac_sha256_once(&of, sizeof(of), sum);
	memcpy(&id, sum, sizeof(id));
	return (id);
}
