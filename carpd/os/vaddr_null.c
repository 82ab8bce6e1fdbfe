/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Virtual addresses on a system we know nothing of: every request is granted
 * and nothing changes, nothing is the host's own, every lock is free.
 */
#include <sys/socket.h>

#include <stdlib.h>

#include "vaddr.h"

struct vaddr {
	struct steer	*steer;
};

struct vaddr *
vaddr_open(const char *ifname, int ifindex, const uint8_t mac[6],
    struct steer *s, const char *file)
{
	struct vaddr	*v;

	(void)ifname;
	(void)ifindex;
	(void)mac;
	(void)file;
	if ((v = calloc(1, sizeof(*v))) != NULL)
		v->steer = s;
	return (v);
}

void
vaddr_close(struct vaddr *v)
{
	vaddr_free(v);
}

void
vaddr_free(struct vaddr *v)
{
	free(v);
}

void
vaddr_set_mac(struct vaddr *v, const uint8_t mac[6])
{
	(void)v;
	(void)mac;
}

void
vaddr_renamed(struct vaddr *v, const char *ifname)
{
	(void)v;
	(void)ifname;
}

int
vaddr_mac(struct vaddr *v, const uint8_t mac[6], bool add)
{
	(void)v;
	(void)mac;
	(void)add;
	return (0);
}

int
vaddr_declare(struct vaddr *v, const struct ipaddr *a)
{
	(void)v;
	(void)a;
	return (0);
}

void
vaddr_undeclare(struct vaddr *v, const struct ipaddr *a)
{
	(void)v;
	(void)a;
}

void
vaddr_settle(struct vaddr *v)
{
	(void)v;
}

int
vaddr_add(struct vaddr *v, const struct ipaddr *a, uint8_t *plen)
{
	(void)v;
	if (plen != NULL)
		*plen = a->plen;
	return (0);
}

void
vaddr_add_many(struct vaddr *v, struct vaddr_job *jobs, size_t n)
{
	size_t	 i;

	for (i = 0; i < n; i++)
		jobs[i].error = vaddr_add(v, jobs[i].addr, &jobs[i].plen);
}

int
vaddr_restore(struct vaddr *v, const struct ipaddr *a, uint8_t *plen)
{
	return (vaddr_add(v, a, plen));
}

int
vaddr_del(struct vaddr *v, const struct ipaddr *a)
{
	(void)v;
	(void)a;
	return (0);
}

bool
vaddr_note(struct vaddr *v, const struct ipaddr *a, bool add)
{
	(void)v;
	(void)a;
	(void)add;
	return (false);
}

void
vaddr_carrier(struct vaddr *v)
{
	(void)v;
}
