/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: rows of claims; see split.h.
 */
#include <string.h>

#include "split.h"

#define PATIENCE	3	/* advertisements missed, as in an election */

static int64_t
silence(int64_t interval)
{
	if (interval * PATIENCE < SPLIT_SILENCE_MIN)
		return (SPLIT_SILENCE_MIN);
	if (interval > SPLIT_SILENCE_MAX / PATIENCE)
		return (SPLIT_SILENCE_MAX);
	return (interval * PATIENCE);
}

bool
split_silent(const struct split *s, monotime_t now)
{
	return (s->who.af != 0 && monotime_cmp(s->end, now) <= 0);
}

void
split_end(struct split *s)
{
	monotime_t	 quiet = s->quiet;

	memset(s, 0, sizeof(*s));
	s->quiet = quiet;
}

/* Is it to be told, from now on? */
static bool
tell(struct split *s, monotime_t now)
{
	if (s->told || (!s->verified && monotime_cmp(now, s->quiet) < 0))
		return (false);
	s->told = true;
	s->quiet = monotime_add(now, SPLIT_QUIET);
	return (true);
}

bool
split_claim(struct split *s, const struct ipaddr *who, bool verified,
    int64_t interval, int64_t confirm, monotime_t now)
{
	monotime_t	 end = monotime_add(now, silence(interval));
	bool		 was = s->on;

	if (s->who.af == 0 || (!s->on && split_silent(s, now))) {
		split_end(s);
		s->since = s->end = now;
	}
	s->who = *who;
	s->verified = verified;
	/* of several claimants the slowest counts */
	if (monotime_cmp(s->end, end) < 0)
		s->end = end;
	s->on = s->on || monotime_sub(now, s->since) >= confirm;
	return (s->on && (tell(s, now) || !was));
}
