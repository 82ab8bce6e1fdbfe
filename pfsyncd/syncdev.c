/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See syncdev.h.  Events only note what there is; syncdev_settle() compares
 * that with what the engine was told.  An address that carpd put there is not
 * ours to speak from: it moves.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/ev.h"
#include "../common/log.h"
#include "os/syncsock.h"
#include "syncdev.h"

#define SYNCDEV_RETRY	MONOTIME_SEC	/* for sockets that are refused */
#define SYNCDEV_GRACE	(200 * MONOTIME_MSEC)	/* for a dump to come in */
#define SYNCDEV_ADDRS	256		/* looked at */
#define SYNCDEV_OURS	16
/* The longest of the sums that find a difference, all headers, and some. */
#define SYNCDEV_MTU	768

struct syncdev {
	struct syncdev_cbs cbs;
	char		 name[IF_NAMESIZE];
	struct ipaddr	 dst;
	int		 ifindex;	/* 0: is not there */
	uint32_t	 mtu;
	bool		 running;
	uint8_t		 mac[6];
	/* its addresses in the kernel's order: the first is the primary one */
	struct ipaddr	 own[SYNCDEV_ADDRS];
	bool		 usable[SYNCDEV_ADDRS];
	size_t		 nown;
	/* interfaces, syncdev or not, that have dst as address */
	int		 ours[SYNCDEV_OURS];
	size_t		 nours;
	int		 hold;		/* membership of the group, -1 */
	bool		 open;		/* the engine has sockets for `told` */
	struct sync_socket told;
	struct sync_link link;		/* told */
	bool		 link_told;
	const char	*waiting;	/* for what: it was said */
	monotime_t	 grace;		/* until then nothing is missed */
	struct ev_timer	*retry;
};

static void
close_sockets(struct syncdev *d)
{
	if (d->hold != -1)
		close(d->hold);
	d->hold = -1;
	d->open = false;
}

static void
forget(struct syncdev *d)
{
	d->ifindex = 0;
	d->running = false;
	d->nown = 0;
	memset(d->mac, 0, sizeof(d->mac));
}

static void
retry_cb(void *arg)
{
	syncdev_settle(arg);
}

struct syncdev *
syncdev_new(const struct syncdev_cbs *cbs)
{
	struct syncdev *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->cbs = *cbs;
	d->hold = -1;
	d->retry = ev_timer_new(retry_cb, d);
	return (d);
}

void
syncdev_free(struct syncdev *d)
{
	if (d == NULL)
		return;
	ev_timer_free(d->retry);
	close_sockets(d);
	free(d);
}

/* ---- what the kernel tells ---- */

static void
link_event(struct syncdev *d, const struct kif_event *k)
{
	if (strcmp(k->ifname, d->name) != 0)
		return;
	if (d->ifindex != 0 && d->ifindex != k->ifindex)
		forget(d);	/* re-created before we were told */
	d->ifindex = k->ifindex;
	d->mtu = k->mtu;
	d->running = k->running;
	memcpy(d->mac, k->mac, sizeof(d->mac));
}

static bool
same_prefix(const struct ipaddr *a, const struct ipaddr *b)
{
	return (ipaddr_cmp(a, b) == 0 && a->plen == b->plen);
}

static void
own_add(struct syncdev *d, const struct kif_event *k)
{
	size_t i;

	if (k->proto == KIF_PROTO_CARPD)
		return;
	for (i = 0; i < d->nown; i++)
		if (same_prefix(&d->own[i], &k->addr))
			break;
	if (i == SYNCDEV_ADDRS)
		return;
	if (i == d->nown)
		d->own[d->nown++] = k->addr;
	d->usable[i] = !k->tentative;
}

static void
own_del(struct syncdev *d, const struct kif_event *k)
{
	size_t i;

	for (i = 0; i < d->nown; i++)
		if (same_prefix(&d->own[i], &k->addr))
			break;
	if (i == d->nown)
		return;
	d->nown--;
	memmove(&d->own[i], &d->own[i + 1],
	    (d->nown - i) * sizeof(d->own[0]));
	memmove(&d->usable[i], &d->usable[i + 1],
	    (d->nown - i) * sizeof(d->usable[0]));
}

/* dst is, or no longer is, an address of our own. */
static void
note_ours(struct syncdev *d, const struct kif_event *k, bool has)
{
	size_t i;

	if (ipaddr_cmp(&k->addr, &d->dst) != 0)
		return;
	for (i = 0; i < d->nours; i++)
		if (d->ours[i] == k->ifindex)
			break;
	if (has && i == d->nours && i < SYNCDEV_OURS)
		d->ours[d->nours++] = k->ifindex;
	else if (!has && i < d->nours)
		d->ours[i] = d->ours[--d->nours];
}

void
syncdev_event(struct syncdev *d, const struct kif_event *k)
{
	bool here = d->ifindex != 0 && k->ifindex == d->ifindex;

	switch (k->type) {
	case KIF_LINK:
		link_event(d, k);
		return;
	case KIF_GONE:
		if (here)
			forget(d);
		return;
	case KIF_ADDR_ADD:
		note_ours(d, k, true);
		if (here)
			own_add(d, k);
		return;
	case KIF_ADDR_DEL:
		note_ours(d, k, false);
		if (here)
			own_del(d, k);
		return;
	case KIF_TC:
	case KIF_OVERRUN:	/* a dump follows, and ends with what is gone */
		return;
	}
}

void
syncdev_conf(struct syncdev *d, const char *name, const struct ipaddr *dst)
{
	memset(d->name, 0, sizeof(d->name));
	(void)strlcpy(d->name, name, sizeof(d->name));
	d->dst = *dst;
	d->waiting = NULL;
	d->grace = monotime_add(monotime_now(), SYNCDEV_GRACE);
	d->nours = 0;
	forget(d);
	close_sockets(d);
}

bool
syncdev_mac(const struct syncdev *d, uint8_t mac[6])
{
	memcpy(mac, d->mac, sizeof(d->mac));
	return (d->ifindex != 0);
}

/* ---- sockets ---- */

int
syncdev_source(const struct ipaddr *own, size_t n, const struct ipaddr *dst)
{
	bool group = ipaddr_is_multicast(dst);
	bool local = dst->af == AF_INET6 &&
	    (group || ipaddr_is_linklocal(dst));
	int best = -1, best_score = -1, score;
	size_t i;

	for (i = 0; i < n; i++) {
		if (own[i].af != dst->af)
			continue;
		score = !group && ipaddr_within(dst, &own[i]) ? 2 : 0;
		if (dst->af == AF_INET6 &&
		    ipaddr_is_linklocal(&own[i]) == local)
			score++;
		if (score > best_score) {
			best = (int)i;
			best_score = score;
		}
	}
	return (best);
}

/* An address alone; what the prefix was is of no interest to the engine. */
static struct ipaddr
host_of(const struct ipaddr *a)
{
	struct ipaddr h = *a;

	h.plen = (uint8_t)(8 * ipaddr_len(a->af));
	return (h);
}

/* What the engine needs to speak there; or a text: what is missing. */
static const char *
obstacle(const struct syncdev *d, struct sync_socket *s)
{
	struct ipaddr own[SYNCDEV_ADDRS];
	size_t i, n = 0;
	int best;

	if (d->ifindex == 0)
		return ("does not exist");
	if (d->mtu < SYNCDEV_MTU)
		return ("has an MTU that is too small");
	if (d->nours > 0)
		return ("cannot be used: syncpeer is an address of our own");
	for (i = 0; i < d->nown; i++)
		if (d->usable[i])
			own[n++] = d->own[i];
	if ((best = syncdev_source(own, n, &d->dst)) == -1)
		return (d->dst.af == AF_INET ? "has no IPv4 address" :
		    "has no IPv6 address");
	memset(s, 0, sizeof(*s));
	(void)strlcpy(s->syncdev, d->name, sizeof(s->syncdev));
	s->ifindex = d->ifindex;
	s->mtu = d->mtu;
	s->kind = syncsock_kind(&d->dst);
	s->src = host_of(&own[best]);
	s->dst = host_of(&d->dst);
	return (NULL);
}

static void
tell_link(struct syncdev *d)
{
	struct sync_link l;

	memset(&l, 0, sizeof(l));
	l.ifindex = d->ifindex;
	l.running = d->running && d->open;
	l.open = d->open;
	if (d->link_told && memcmp(&l, &d->link, sizeof(l)) == 0)
		return;
	d->link = l;
	d->link_told = true;
	d->cbs.link(&l, d->cbs.arg);
}

/* The engine takes the new sockets for the old ones, which it closes. */
static bool
open_sockets(struct syncdev *d, const struct sync_socket *s)
{
	char src[IPADDR_STRLEN], dst[IPADDR_STRLEN];
	int fd, hold = -1;

	fd = syncsock_open((enum sync_sock)s->kind, d->name, s->ifindex,
	    &s->src, &s->dst, &hold);
	if (fd == -1)
		return (false);
	close_sockets(d);
	d->hold = hold;
	d->told = *s;
	d->open = true;
	log_info("%s: syncing from %s with %s", d->name,
	    ipaddr_print(&s->src, src, sizeof(src)),
	    ipaddr_print(&s->dst, dst, sizeof(dst)));
	d->cbs.socket(fd, s, d->cbs.arg);
	return (true);
}

/* Something is in the way: forget the sockets, say why, once. */
static void
wait_for(struct syncdev *d, const char *why)
{
	if (why != d->waiting)
		log_warnx("%s %s, waiting", d->name, why);
	d->waiting = why;
	close_sockets(d);
}

static void
refused(struct syncdev *d)
{
	static const char why[] = "has no sockets";

	if (why != d->waiting)
		log_warn("%s: sync socket", d->name);
	d->waiting = why;
	close_sockets(d);
	ev_timer_at(d->retry, monotime_add(monotime_now(), SYNCDEV_RETRY));
}

void
syncdev_settle(struct syncdev *d)
{
	struct sync_socket s;
	const char *why;

	why = obstacle(d, &s);
	if (why != NULL && monotime_cmp(monotime_now(), d->grace) < 0) {
		ev_timer_at(d->retry, d->grace);
		return;
	}
	if (why != NULL)
		wait_for(d, why);
	else if (d->open && memcmp(&s, &d->told, sizeof(s)) == 0)
		d->waiting = NULL;
	else if (open_sockets(d, &s))
		d->waiting = NULL;
	else
		refused(d);
	tell_link(d);
}
