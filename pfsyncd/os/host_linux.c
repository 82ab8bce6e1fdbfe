/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: see host.h.  machine-id(5),
 * Documentation/networking/nf_conntrack-sysctl.rst: nf_conntrack_events is 0
 * off, 1 on, 2 on for flows that were made while somebody listened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/hmac.h"
#include "host.h"

#define MACHINE_ID	"/etc/machine-id"
#define EVENTS		"/proc/sys/net/netfilter/nf_conntrack_events"

/* The first line of a small file; its length, 0 when there is none. */
static size_t
read_line(const char *path, char *buf, size_t size)
{
	ssize_t n;
	int fd;

	buf[0] = '\0';
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (0);
	if ((n = read(fd, buf, size - 1)) < 0)
		n = 0;
	close(fd);
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return (strlen(buf));
}

static uint32_t
digest(const char *text)
{
	uint8_t sum[HMAC_SHA256_LEN];

	hmac_sha256_once(text, strlen(text), sum);
	return ((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 |
	    (uint32_t)sum[2] << 8 | sum[3]);
}

uint32_t
host_node(const char *syncdev, const uint8_t mac[6])
{
	static const uint8_t none[6];
	char id[64], text[128];
	uint32_t node;

	/* a machine that was not set up yet says "uninitialized" */
	if (read_line(MACHINE_ID, id, sizeof(id)) != 32)
		id[0] = '\0';
	if (id[0] == '\0' && memcmp(mac, none, sizeof(none)) == 0)
		return (0);
	(void)snprintf(text, sizeof(text),
	    "%s %s %02x:%02x:%02x:%02x:%02x:%02x", id, syncdev, mac[0],
	    mac[1], mac[2], mac[3], mac[4], mac[5]);
	node = digest(text);
	return (node == 0 ? 1 : node);
}

int
host_events(void)
{
	char line[16];

	if (read_line(EVENTS, line, sizeof(line)) == 0) {
		if (access(EVENTS, F_OK) == 0)
			errno = EIO;
		return (-1);
	}
	return (atoi(line));
}

int
host_events_set(int value)
{
	char line[16];
	ssize_t r;
	int fd, n, saved;

	n = snprintf(line, sizeof(line), "%d\n", value);
	if ((fd = open(EVENTS, O_WRONLY | O_CLOEXEC)) == -1)
		return (-1);
	r = write(fd, line, (size_t)n);
	saved = errno;
	close(fd);
	errno = saved;
	return (r == n ? 0 : -1);
}
