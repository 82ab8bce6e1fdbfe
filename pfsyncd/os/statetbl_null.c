/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The state table of a system that we know nothing of: there is none.
 */
#include <errno.h>
#include <string.h>

#include "statetbl.h"

struct statetbl *
statetbl_open(size_t rcvbuf, const struct statetbl_cbs *cbs)
{
	(void)rcvbuf;
	(void)cbs;
	errno = EOPNOTSUPP;
	return (NULL);
}

void
statetbl_close(struct statetbl *t)
{
	(void)t;
}

int
statetbl_event_fd(const struct statetbl *t)
{
	(void)t;
	return (-1);
}

int
statetbl_dump_fd(const struct statetbl *t)
{
	(void)t;
	return (-1);
}

size_t
statetbl_read(struct statetbl *t, size_t max)
{
	(void)t;
	(void)max;
	return (0);
}

int
statetbl_dump(struct statetbl *t, uint32_t dump, enum statetbl_what what)
{
	(void)t;
	(void)dump;
	(void)what;
	errno = EOPNOTSUPP;
	return (-1);
}

void
statetbl_dump_read(struct statetbl *t)
{
	(void)t;
}

void
statetbl_ops(struct statetbl *t, const struct statetbl_op *op, size_t n)
{
	(void)t;
	(void)op;
	(void)n;
}

void
statetbl_watch_new(struct statetbl *t, bool on)
{
	(void)t;
	(void)on;
}

void
statetbl_stats(struct statetbl *t, struct statetbl_stats *s)
{
	(void)t;
	memset(s, 0, sizeof(*s));
}
