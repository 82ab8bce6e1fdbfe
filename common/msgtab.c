/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Holds a received message against the daemon's message table, before any
 * handler sees it.  What a violation means (fatal for a sibling, goodbye for
 * a control client) is the caller's decision.
 */
#include "imsg.h"
#include "msgtab.h"

const char *
msg_check(const struct msg_desc *tab, size_t n, const struct imsg *im,
    uint32_t from)
{
	const struct msg_desc *d;

	if (im->type >= n || tab[im->type].name == NULL)
		return ("unknown message type");
	d = &tab[im->type];
	if ((d->from & from) == 0)
		return ("message not permitted from this sender");
	if (d->variable ? im->len > d->size : im->len != d->size)
		return ("wrong message size");
	if (d->fd && im->fd == -1)
		return ("descriptor missing");
	if (!d->fd && im->fd != -1)
		return ("unexpected descriptor");
	return (NULL);
}
