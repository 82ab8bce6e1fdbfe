/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: who gets a frame.  The classifier on one carpdev, its maps, and
 * the slots by which the unprivileged engine opens and closes virtual MACs.
 * Parent side unless said.
 */
#ifndef CARPD_OS_STEER_H
#define CARPD_OS_STEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../common/ipaddr.h"
#include "../../common/monotime.h"
#include "../balance.h"

struct steer;

enum steer_state { STEER_STATE_OFF, STEER_STATE_DRAIN, STEER_STATE_ON };

/*
 * Load the classifier and attach it to the interface, replacing what an
 * earlier run left there (its restore record is carried over: see
 * steer_restore()).  All slots are OFF.  NULL and errno; *why (static or in
 * why's storage of the module) names what failed.
 */
struct steer	*steer_attach(const char *ifname, int ifindex,
		    const uint8_t mac[6], const char **why);
/* Detach, remove clsact if attach made it and nothing else uses it, free. */
void		 steer_detach(struct steer *s);
/* Free without touching the kernel (interface gone, or exit by a crash). */
void		 steer_free(struct steer *s);
/* Is it still attached?  If not, attach again.  1: re-attached; 0; -1. */
int		 steer_check(struct steer *s);

/*
 * The configuration map: one vhid with its virtual MAC and addresses.
 * steer_remove_vhid() closes its slot.  0, or -1 and errno.
 */
int		 steer_add_vhid(struct steer *s, uint8_t vhid,
		    const uint8_t mac[6]);
void		 steer_remove_vhid(struct steer *s, uint8_t vhid);
int		 steer_add_addr(struct steer *s, uint8_t vhid,
		    const struct ipaddr *a);
void		 steer_remove_addr(struct steer *s, const struct ipaddr *a);
/*
 * Balancing: these vhids (n, ascending, the leader first, all of them added
 * and none in another group) share the addresses that were or will be added
 * for the leader.  Said again for a leader it replaces the group.  The key is
 * that of mode arp, NULL in others.  Removing makes single vhids of them again;
 * do that before the vhids are removed.  0, or -1 and errno.
 */
int		 steer_set_group(struct steer *s, uint8_t leader,
		    enum balance_mode mode, const uint8_t *vhids, size_t n,
		    const struct balance_key *key);
void		 steer_remove_group(struct steer *s, uint8_t leader);
/* carpdev's own MAC has changed. */
void		 steer_set_mac(struct steer *s, const uint8_t mac[6]);
/* Close a slot from the parent (engine dead). */
void		 steer_close(struct steer *s, uint8_t vhid);
/* Names and values of the statistics; returns how many there are. */
size_t		 steer_stats(struct steer *s, uint64_t *val, size_t n);
extern const char *const steer_stat_names[];
/*
 * Frames for the virtual MAC that were this vhid's: taken while its slot was
 * ON or DRAIN, dropped while it was OFF.  In a group with one MAC, what all
 * nodes keep counts for the leader.  0, or -1 and errno.
 */
int		 steer_vhid_stats(struct steer *s, uint8_t vhid,
		    uint64_t *taken, uint64_t *dropped);

/*
 * The restore record: up to steer_restore_size() bytes that survive our
 * processes.  At attach it holds what a dead run left (len 0: nothing).
 */
size_t		 steer_restore_get(struct steer *s, void *buf, size_t size);
int		 steer_restore_put(struct steer *s, const void *buf, size_t len);
/*
 * Virtual MACs and addresses that the dead run had configured: for clean-up.
 * The MAC is that of the group when the vhid was the leader of one.
 */
void		 steer_leftovers(struct steer *s,
		    void (*vhid)(uint8_t vhid, const uint8_t mac[6], void *),
		    void (*addr)(const struct ipaddr *a, void *), void *arg);

/* A new descriptor of the slots, to be passed to the engine. */
int		 steer_slots_fd(struct steer *s);

/* Engine side: the mapped slots. */
struct steer_slots;
/* Takes over fd; NULL and errno. */
struct steer_slots *steer_slots_map(int fd);
void		 steer_slots_unmap(struct steer_slots *s);
/*
 * One atomic store: state, interval in 1/256 s, renewed at now.
 */
void		 steer_slot_set(struct steer_slots *s, uint8_t vhid,
		    enum steer_state st, uint32_t interval, monotime_t now);
/* What the kernel left there: OFF when it has closed the slot. */
enum steer_state steer_slot_get(const struct steer_slots *s, uint8_t vhid);
/*
 * Is it ON, and has somebody else claimed the vhid since it was renewed?  Then
 * the kernel closes it 0.1 s after that, unless it is renewed again.
 */
bool		 steer_slot_contested(const struct steer_slots *s,
		    uint8_t vhid);
/*
 * When a frame for the one MAC of that leader's group came last, whoever it was
 * for (ip modes; to a tenth of a second); 0 ns: never.
 */
monotime_t	 steer_slot_seen(const struct steer_slots *s, uint8_t leader);

#endif
