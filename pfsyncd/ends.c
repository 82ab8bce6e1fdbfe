/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: ends of flows (ends.h).
 */
#include <stddef.h>

#include "ends.h"

/* Buckets are the top bits of a hash; and so is this. */
static uint32_t
place(uint64_t h)
{
	return ((uint32_t)(h >> (64 - ENDS_BITS)));
}

static uint32_t
slot(uint64_t number)
{
	return ((uint32_t)(number % ENDS_MAX));
}

uint64_t
ends_oldest(const struct ends *t)
{
	return (t->next > ENDS_MAX ? t->next - ENDS_MAX : 0);
}

struct end *
ends_at(struct ends *t, uint64_t number)
{
	if (number >= t->next || number < ends_oldest(t))
		return (NULL);
	return (&t->ring[slot(number)]);
}

/* Take out what is in that slot: the last of its place. */
static void
forget(struct ends *t, uint32_t s)
{
	uint32_t *at = &t->index[place(t->ring[s].h)];

	while (*at != s + 1)
		at = &t->ring[*at - 1].next;
	*at = t->ring[s].next;
}

uint64_t
ends_add(struct ends *t, uint64_t h, uint64_t stamp)
{
	uint32_t s = slot(t->next);
	struct end *e = &t->ring[s];

	if (t->next >= ENDS_MAX)
		forget(t, s);
	e->h = h;
	e->stamp = stamp;
	e->owed = false;
	e->next = t->index[place(h)];
	t->index[place(h)] = s + 1;
	return (t->next++);
}

bool
ends_find(const struct ends *t, uint64_t h, uint64_t *number)
{
	uint32_t s = t->index[place(h)], last = slot(t->next);

	while (s != 0 && t->ring[s - 1].h != h)
		s = t->ring[s - 1].next;
	if (s == 0)
		return (false);
	/* how long ago: slots from the newest back */
	*number = t->next - 1 - ((last + ENDS_MAX - s) % ENDS_MAX);
	return (true);
}
