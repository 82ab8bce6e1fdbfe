/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: see shares.h.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>

#include "../carpd/bpf/balance_hash.h"
#include "shares.h"

bool
share_ok(const struct share *s)
{
	return ((s->addr.af == AF_INET || s->addr.af == AF_INET6) &&
	    s->nodes <= BALANCE_NODES);
}

static int
by_address(const void *key, const void *elem)
{
	const struct share *s = elem;

	return (ipaddr_cmp(key, &s->addr));
}

bool
shares_cross(const struct shares *s, const struct flow *f)
{
	struct ipaddr to = { .af = f->af == 4 ? AF_INET : AF_INET6 };
	unsigned int src[4], dst[4];
	const struct share *mine;

	memcpy(to.bytes, f->reply.dst, sizeof(to.bytes));
	mine = bsearch(&to, s->s, s->n, sizeof(s->s[0]), by_address);
	if (mine == NULL || mine->nodes == 0)
		return (false);
	memcpy(src, f->reply.src, sizeof(src));
	memcpy(dst, f->reply.dst, sizeof(dst));
	return ((mine->mask >> balance_fold(src, dst, f->af == 4 ? 1 : 4) %
	    mine->nodes & 1) == 0);
}
