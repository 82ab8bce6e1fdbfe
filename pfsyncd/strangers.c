/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the table of strangers.h; so short that it is searched from end to
 * end.
 */
#include <string.h>

#include "strangers.h"

static struct stranger *
find(struct strangers *t, const struct ipaddr *addr, enum sync_why why)
{
	struct stranger *oldest = &t->s[0];
	size_t i;

	for (i = 0; i < t->n; i++) {
		if (t->s[i].why == why &&
		    ipaddr_cmp(&t->s[i].addr, addr) == 0)
			return (&t->s[i]);
		if (monotime_cmp(t->s[i].heard, oldest->heard) < 0)
			oldest = &t->s[i];
	}
	if (t->n < STRANGERS_MAX)
		oldest = &t->s[t->n++];
	memset(oldest, 0, sizeof(*oldest));
	oldest->addr = *addr;
	oldest->why = why;
	oldest->said = MONOTIME_NEVER;
	return (oldest);
}

const struct stranger *
strangers_note(struct strangers *t, const struct ipaddr *addr,
    enum sync_why why, monotime_t now, uint64_t *more)
{
	struct stranger *s = find(t, addr, why);

	s->packets++;
	s->heard = now;
	if (monotime_isset(s->said) &&
	    monotime_sub(now, s->said) < STRANGERS_SAY) {
		s->unsaid++;
		return (NULL);
	}
	*more = s->unsaid;
	s->unsaid = 0;
	s->said = now;
	return (s);
}

const struct stranger *
strangers_get(const struct strangers *t, size_t n, monotime_t now)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (monotime_sub(now, t->s[i].heard) < STRANGERS_FORGET &&
		    n-- == 0)
			return (&t->s[i]);
	return (NULL);
}
