/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Which flows are nobody else's business.  Asked for each new or changed
 * flow, so what can be looked up is: own addresses and broadcast addresses by
 * binary search, protocols as bits.  Changes are rare and may cost.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <string.h>

#include "../common/wire/carp.h"
#include "../common/wire/pfsync.h"
#include "nosync.h"

static uint32_t
get32(const uint8_t *p)
{
	uint32_t	 v;

	memcpy(&v, p, sizeof(v));
	return (ntohl(v));
}

/* ---- own addresses ---- */

/* By address, so that a search needs nothing else; then what tells apart. */
static int
addr_cmp(const struct nosync_addr *a, const struct ipaddr *b,
    const char *ifname)
{
	int	 c;

	if ((c = ipaddr_cmp(&a->addr, b)) != 0 ||
	    (c = strcmp(a->ifname, ifname)) != 0)
		return (c);
	return ((int)a->addr.plen - (int)b->plen);
}

static size_t
bcast_pos(const struct nosync *n, uint32_t v)
{
	size_t	 lo = 0, hi = n->nbcast, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (n->bcast[mid] < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

/* One entry for each address, so equal ones may come and go. */
static void
bcast_set(struct nosync *n, const struct ipaddr *a, bool present)
{
	uint32_t	 v;
	size_t		 i;

	if (a->af != AF_INET || a->plen == 0 || a->plen > 30)
		return;
	v = get32(a->bytes) | UINT32_MAX >> a->plen;
	i = bcast_pos(n, v);
	if (present) {
		memmove(&n->bcast[i + 1], &n->bcast[i],
		    (n->nbcast - i) * sizeof(n->bcast[0]));
		n->bcast[i] = v;
		n->nbcast++;
	} else if (i < n->nbcast && n->bcast[i] == v) {
		n->nbcast--;
		memmove(&n->bcast[i], &n->bcast[i + 1],
		    (n->nbcast - i) * sizeof(n->bcast[0]));
	}
}

static bool
on_named(const struct nosync *n, const char *ifname)
{
	size_t	 i;

	if (ifname[0] == '\0')
		return (false);
	for (i = 0; i < n->nrules; i++)
		if (n->rules[i].type == NOSYNC_ON &&
		    strcmp(n->rules[i].ifname, ifname) == 0)
			return (true);
	return (false);
}

/* Rules or addresses changed. */
static void
collect_on(struct nosync *n)
{
	size_t	 i;

	n->non = 0;
	for (i = 0; i < n->naddrs; i++)
		if (on_named(n, n->addrs[i].ifname))
			n->on[n->non++] = n->addrs[i].addr;
}

static void
addr_drop(struct nosync *n, size_t i)
{
	bcast_set(n, &n->addrs[i].addr, false);
	n->naddrs--;
	memmove(&n->addrs[i], &n->addrs[i + 1],
	    (n->naddrs - i) * sizeof(n->addrs[0]));
}

static bool
addr_insert(struct nosync *n, size_t i, const char *ifname,
    const struct ipaddr *a)
{
	if (n->naddrs == NOSYNC_ADDRS_MAX)
		return (false);
	memmove(&n->addrs[i + 1], &n->addrs[i],
	    (n->naddrs - i) * sizeof(n->addrs[0]));
	n->naddrs++;
	memset(&n->addrs[i], 0, sizeof(n->addrs[i]));
	n->addrs[i].addr = *a;
	strlcpy(n->addrs[i].ifname, ifname, sizeof(n->addrs[i].ifname));
	bcast_set(n, a, true);
	return (true);
}

bool
nosync_addr(struct nosync *n, const char *ifname, const struct ipaddr *a,
    bool present)
{
	size_t	 i = 0;
	int	 c = 1;

	if (a->af != AF_INET && a->af != AF_INET6)
		return (true);
	while (i < n->naddrs && (c = addr_cmp(&n->addrs[i], a, ifname)) < 0)
		i++;
	if ((i < n->naddrs && c == 0) == present)
		return (true);
	if (!present)
		addr_drop(n, i);
	else if (!addr_insert(n, i, ifname, a))
		return (false);
	collect_on(n);
	return (true);
}

void
nosync_forget(struct nosync *n, const char *ifname)
{
	size_t	 i = n->naddrs;

	while (i-- > 0)
		if (strcmp(n->addrs[i].ifname, ifname) == 0)
			addr_drop(n, i);
	collect_on(n);
}

/* ---- rules ---- */

void
nosync_init(struct nosync *n, const struct config *c)
{
	memset(n, 0, sizeof(*n));
	nosync_rules(n, c);
}

void
nosync_rules(struct nosync *n, const struct config *c)
{
	size_t	 i;

	n->nrules = c->nnosync < CONFIG_NOSYNC_MAX ? c->nnosync :
	    CONFIG_NOSYNC_MAX;
	memcpy(n->rules, c->nosync, sizeof(n->rules));
	n->self = false;
	memset(n->protos, 0, sizeof(n->protos));
	for (i = 0; i < n->nrules; i++) {
		if (n->rules[i].type == NOSYNC_SELF)
			n->self = true;
		else if (n->rules[i].type == NOSYNC_PROTO)
			n->protos[n->rules[i].proto / 8] |=
			    (uint8_t)(1 << n->rules[i].proto % 8);
	}
	collect_on(n);
}

/* ---- what no rule can allow ---- */

static bool
never4(const uint8_t *a)
{
	uint32_t	 v = get32(a);

	return (v == 0 || v == UINT32_MAX || a[0] == 127 ||
	    (a[0] & 0xf0) == 0xe0);
}

static bool
never6(const uint8_t *a)
{
	static const uint8_t	 zeros[15];

	return (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) ||
	    (a[15] <= 1 && memcmp(a, zeros, sizeof(zeros)) == 0));
}

/*
 * All four addresses alike: where one of these cannot stand, it is wrong
 * anyhow.
 */
bool
nosync_imports(const struct flow *f)
{
	const struct flow_tuple	*o = &f->orig, *r = &f->reply;

	if (f->proto == CARP_PROTO || f->proto == PFSYNC_PROTO)
		return (false);
	if (f->af == 4)
		return (!never4(o->src) && !never4(o->dst) &&
		    !never4(r->src) && !never4(r->dst));
	return (!never6(o->src) && !never6(o->dst) &&
	    !never6(r->src) && !never6(r->dst));
}

/* ---- what the rules forbid ---- */

static bool
is_own(const struct nosync *n, uint8_t af, const uint8_t *bytes)
{
	size_t	 len = ipaddr_len(af), lo = 0, hi = n->naddrs, mid;
	int	 c;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (n->addrs[mid].addr.af != af)
			c = n->addrs[mid].addr.af == AF_INET ? -1 : 1;
		else
			c = memcmp(n->addrs[mid].addr.bytes, bytes, len);
		if (c == 0)
			return (true);
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (false);
}

static bool
is_bcast(const struct nosync *n, const uint8_t *bytes)
{
	uint32_t	 v = get32(bytes);
	size_t		 i = bcast_pos(n, v);

	return (i < n->nbcast && n->bcast[i] == v);
}

static bool
within(const struct flow *f, const struct flow_tuple *t, int which,
    const struct ipaddr *net)
{
	struct ipaddr	 a;

	flow_addr(f, t, which, &a);
	return (ipaddr_within(&a, net));
}

static bool
is_connected(const struct nosync *n, const struct flow *f)
{
	size_t	 i;

	for (i = 0; i < n->non; i++)
		if (within(f, &f->orig, 0, &n->on[i]) ||
		    within(f, &f->reply, 0, &n->on[i]))
			return (true);
	return (false);
}

/* Those that are looked up elsewhere are no match here. */
static bool
matches(const struct config_nosync *r, const struct flow *f)
{
	switch (r->type) {
	case NOSYNC_FROM:
		return (within(f, &f->orig, 0, &r->addr));
	case NOSYNC_TO:
		return (within(f, &f->orig, 1, &r->addr));
	case NOSYNC_MARK:
		return ((f->mark & r->mask) == r->mark);
	default:
		return (false);
	}
}

bool
nosync_exports(const struct nosync *n, const struct flow *f)
{
	uint8_t	 af = f->af == 6 ? AF_INET6 : AF_INET;
	size_t	 i;

	if (!nosync_imports(f) ||
	    (n->protos[f->proto / 8] & 1 << f->proto % 8) != 0)
		return (false);
	if (af == AF_INET && is_bcast(n, f->orig.dst))
		return (false);
	if (n->self && (is_own(n, af, f->orig.src) ||
	    is_own(n, af, f->reply.src)))
		return (false);
	for (i = 0; i < n->nrules; i++)
		if (matches(&n->rules[i], f))
			return (false);
	return (!is_connected(n, f));
}
