/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the demotion ledger.  Every reason to demote is an entry with its
 * owner; a group's demotion counter (carp(4), ifconfig -g) is computed from
 * the entries and never stored, so it cannot get stuck.  No allocation, no
 * clock: storage and time come from the caller.
 */
#ifndef CARPD_DEMOTE_H
#define CARPD_DEMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/monotime.h"
#include "config.h"

#define DEMOTE_MAX	255	/* a group's or interface's counter, at most */
#define DEMOTE_STARTUP	128	/* rc(8): ifconfig -g carp carpdemote 128 */
#define DEMOTE_OWNER_MAX 24
#define DEMOTE_REASON_MAX 32

/* One line of the ledger; free when amount is 0. */
struct demote_entry {
	char		 owner[DEMOTE_OWNER_MAX];   /* "eth0", "operator" ... */
	char		 group[CONFIG_GROUPNAME_MAX];
	char		 reason[DEMOTE_REASON_MAX]; /* "carpdev", "startup" */
	int32_t		 amount;		/* 1..255 */
	monotime_t	 since;
	monotime_t	 expiry;		/* MONOTIME_NEVER: none */
};

struct demote {
	struct demote_entry *e;
	size_t		 size;
};

/* size entries at e, of the caller, are zeroed and used. */
void		 demote_init(struct demote *d, struct demote_entry *e,
		    size_t size);
/*
 * Set what (owner, reason) holds against group to amount; 0 removes it.
 * `since` stays when only the amount changes.  Returns the change of the
 * group's sum (0: nothing changed), or INT32_MIN when the ledger is full, the
 * amount is out of 0..255 or a name is too long.
 */
int		 demote_set(struct demote *d, const char *owner,
		    const char *group, const char *reason, int amount,
		    monotime_t now, monotime_t expiry);
/* What (owner, reason) holds against group; 0 for nothing. */
int		 demote_get(const struct demote *d, const char *owner,
		    const char *group, const char *reason);
/* The group's counter, 0..DEMOTE_MAX. */
int		 demote_group(const struct demote *d, const char *group);
/* An interface's: the sum over its groups, 0..DEMOTE_MAX. */
int		 demote_iface(const struct demote *d,
		    const struct config_iface *i);
/*
 * Remove the next entry that has expired at now, copying it to *gone; false
 * when there is none.  Call until false.
 */
bool		 demote_expire(struct demote *d, monotime_t now,
		    struct demote_entry *gone);
/* The earliest expiry, MONOTIME_NEVER without any. */
monotime_t	 demote_next(const struct demote *d);

#endif
