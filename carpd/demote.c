/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The demotion ledger.  It keeps who demotes which group, by how much and
 * until when, and adds it up; it neither logs nor decides what a demotion
 * means for an election.  After carp(4) and ifconfig(8), where a group has
 * one bare counter that whoever dies after raising it leaves raised.
 */
#include <string.h>

#include "demote.h"

void
demote_init(struct demote *d, struct demote_entry *e, size_t size)
{
	memset(e, 0, size * sizeof(*e));
	d->e = e;
	d->size = size;
}

static struct demote_entry *
find(const struct demote *d, const char *owner, const char *group,
    const char *reason)
{
	struct demote_entry	*e;

	for (e = d->e; e < d->e + d->size; e++)
		if (e->amount != 0 && strcmp(e->owner, owner) == 0 &&
		    strcmp(e->group, group) == 0 &&
		    strcmp(e->reason, reason) == 0)
			return (e);
	return (NULL);
}

static struct demote_entry *
find_free(const struct demote *d)
{
	struct demote_entry	*e;

	for (e = d->e; e < d->e + d->size; e++)
		if (e->amount == 0)
			return (e);
	return (NULL);
}

/* A cut name would stand for somebody else, so it is refused. */
static bool
fill_names(struct demote_entry *e, const char *owner, const char *group,
    const char *reason)
{
	return (strlcpy(e->owner, owner, sizeof(e->owner)) <
	    sizeof(e->owner) &&
	    strlcpy(e->group, group, sizeof(e->group)) < sizeof(e->group) &&
	    strlcpy(e->reason, reason, sizeof(e->reason)) <
	    sizeof(e->reason));
}

static void
take(struct demote_entry *e, struct demote_entry *gone)
{
	*gone = *e;
	memset(e, 0, sizeof(*e));
}

int
demote_set(struct demote *d, const char *owner, const char *group,
    const char *reason, int amount, monotime_t now, monotime_t expiry)
{
	struct demote_entry	*e, fresh = { .since = now };
	int			 before;

	if (amount < 0 || amount > DEMOTE_MAX ||
	    !fill_names(&fresh, owner, group, reason))
		return (INT32_MIN);
	before = demote_group(d, group);
	e = find(d, owner, group, reason);
	if (e == NULL) {
		if (amount == 0)
			return (0);
		if ((e = find_free(d)) == NULL)
			return (INT32_MIN);
		*e = fresh;
	}
	e->amount = amount;
	e->expiry = expiry;
	if (amount == 0)
		memset(e, 0, sizeof(*e));
	return (demote_group(d, group) - before);
}

int
demote_get(const struct demote *d, const char *owner, const char *group,
    const char *reason)
{
	const struct demote_entry	*e = find(d, owner, group, reason);

	return (e != NULL ? e->amount : 0);
}

static int
clamp(int sum)
{
	return (sum > DEMOTE_MAX ? DEMOTE_MAX : sum);
}

/* Clamped at every step: no size of the ledger can wrap the sum. */
int
demote_group(const struct demote *d, const char *group)
{
	const struct demote_entry	*e;
	int				 sum = 0;

	for (e = d->e; e < d->e + d->size; e++)
		if (e->amount != 0 && strcmp(e->group, group) == 0)
			sum = clamp(sum + e->amount);
	return (sum);
}

int
demote_iface(const struct demote *d, const struct config_iface *i)
{
	size_t	 n;
	int	 sum = 0;

	for (n = 0; n < i->ngroups && n < CONFIG_GROUPS_MAX; n++)
		sum = clamp(sum + demote_group(d, i->groups[n]));
	return (sum);
}

bool
demote_expire(struct demote *d, monotime_t now, struct demote_entry *gone)
{
	struct demote_entry	*e;

	for (e = d->e; e < d->e + d->size; e++)
		if (e->amount != 0 && monotime_isset(e->expiry) &&
		    monotime_cmp(e->expiry, now) <= 0) {
			take(e, gone);
			return (true);
		}
	return (false);
}

monotime_t
demote_next(const struct demote *d)
{
	const struct demote_entry	*e;
	monotime_t			 next = MONOTIME_NEVER;

	for (e = d->e; e < d->e + d->size; e++)
		if (e->amount != 0 && monotime_cmp(e->expiry, next) < 0)
			next = e->expiry;
	return (next);
}
