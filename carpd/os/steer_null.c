/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The classifier on a system that has none: it cannot be attached, so no
 * carpdev is ever taken into use.  Everything else does nothing.
 */
#include <errno.h>
#include <unistd.h>

#include "../bpf/steer_map.h"
#include "steer.h"

const char *const steer_stat_names[STEER_STATS] = {
	"taken", "off", "asked-in", "closed", "rewritten", "out", "asked-out",
	"marked", "unreachable"
};

struct steer *
steer_attach(const char *ifname, int ifindex, const uint8_t mac[6],
    const char **why)
{
	(void)ifname;
	(void)ifindex;
	(void)mac;
	*why = "this system has no classifier";
	errno = ENOTSUP;
	return (NULL);
}

void
steer_detach(struct steer *s)
{
	(void)s;
}

void
steer_free(struct steer *s)
{
	(void)s;
}

int
steer_check(struct steer *s)
{
	(void)s;
	errno = ENOTSUP;
	return (-1);
}

int
steer_add_vhid(struct steer *s, uint8_t vhid, const uint8_t mac[6])
{
	(void)s;
	(void)vhid;
	(void)mac;
	errno = ENOTSUP;
	return (-1);
}

void
steer_remove_vhid(struct steer *s, uint8_t vhid)
{
	(void)s;
	(void)vhid;
}

int
steer_add_addr(struct steer *s, uint8_t vhid, const struct ipaddr *a)
{
	(void)s;
	(void)vhid;
	(void)a;
	errno = ENOTSUP;
	return (-1);
}

void
steer_remove_addr(struct steer *s, const struct ipaddr *a)
{
	(void)s;
	(void)a;
}

int
steer_set_group(struct steer *s, uint8_t leader, enum balance_mode mode,
    const uint8_t *vhids, size_t n, const struct balance_key *key)
{
	(void)s;
	(void)leader;
	(void)mode;
	(void)vhids;
	(void)n;
	(void)key;
	errno = ENOTSUP;
	return (-1);
}

void
steer_remove_group(struct steer *s, uint8_t leader)
{
	(void)s;
	(void)leader;
}

void
steer_set_mac(struct steer *s, const uint8_t mac[6])
{
	(void)s;
	(void)mac;
}

void
steer_close(struct steer *s, uint8_t vhid)
{
	(void)s;
	(void)vhid;
}

size_t
steer_stats(struct steer *s, uint64_t *val, size_t n)
{
	(void)s;
	(void)val;
	(void)n;
	return (0);
}

int
steer_vhid_stats(struct steer *s, uint8_t vhid, uint64_t *taken,
    uint64_t *dropped)
{
	(void)s;
	(void)vhid;
	(void)taken;
	(void)dropped;
	errno = ENOTSUP;
	return (-1);
}

size_t
steer_restore_get(struct steer *s, void *buf, size_t size)
{
	(void)s;
	(void)buf;
	(void)size;
	return (0);
}

int
steer_restore_put(struct steer *s, const void *buf, size_t len)
{
	(void)s;
	(void)buf;
	(void)len;
	errno = ENOTSUP;
	return (-1);
}

void
steer_leftovers(struct steer *s,
    void (*vhid)(uint8_t vhid, const uint8_t mac[6], void *),
    void (*addr)(const struct ipaddr *a, void *), void *arg)
{
	(void)s;
	(void)vhid;
	(void)addr;
	(void)arg;
}

int
steer_slots_fd(struct steer *s)
{
	(void)s;
	errno = ENOTSUP;
	return (-1);
}

struct steer_slots *
steer_slots_map(int fd)
{
	if (fd != -1)
		close(fd);
	errno = ENOTSUP;
	return (NULL);
}

void
steer_slots_unmap(struct steer_slots *s)
{
	(void)s;
}

void
steer_slot_set(struct steer_slots *s, uint8_t vhid, enum steer_state st,
    uint32_t interval, monotime_t now)
{
	(void)s;
	(void)vhid;
	(void)st;
	(void)interval;
	(void)now;
}

bool
steer_slot_contested(const struct steer_slots *s, uint8_t vhid)
{
	(void)s;
	(void)vhid;
	return (false);
}

monotime_t
steer_slot_seen(const struct steer_slots *s, uint8_t leader)
{
	(void)s;
	(void)leader;
	return ((monotime_t){ 0 });
}

enum steer_state
steer_slot_get(const struct steer_slots *s, uint8_t vhid)
{
	(void)s;
	(void)vhid;
	return (STEER_STATE_OFF);
}
