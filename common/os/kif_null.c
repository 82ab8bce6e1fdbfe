/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Interfaces on a system we know nothing of: there are none and nothing ever
 * happens.  The descriptor is real, so that it can be handed on and watched.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <unistd.h>

#include "kif.h"

struct kif {
	int	 fd;
};

int
kif_open(bool tc)
{
	(void)tc;
	/* unbound and unconnected: never readable */
	return (socket(AF_UNIX, SOCK_DGRAM, 0));
}

void
kif_skip_ours(int fd)
{
	(void)fd;
}

struct kif *
kif_from_fd(int fd, kif_cb cb, void *arg)
{
	struct kif	*k;

	(void)cb;
	(void)arg;
	if ((k = calloc(1, sizeof(*k))) != NULL)
		k->fd = fd;
	return (k);
}

void
kif_free(struct kif *k)
{
	if (k == NULL)
		return;
	close(k->fd);
	free(k);
}

int
kif_dump(struct kif *k)
{
	(void)k;
	return (0);
}

void
kif_read(struct kif *k)
{
	(void)k;
}

bool
kif_idle(const struct kif *k)
{
	(void)k;
	return (true);
}

void
kif_each_addr(struct kif *k, kif_cb cb, void *arg)
{
	(void)k;
	(void)cb;
	(void)arg;
}

bool
kif_mac(const char *ifname, uint8_t mac[6])
{
	(void)ifname;
	(void)mac;
	return (false);
}
