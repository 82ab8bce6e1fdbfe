/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpdevs as the engine sees them: sockets and slots handed over by the
 * parent, link and addresses told by the kernel, and what their loss means.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "engine.h"

void
dev_eval(struct dev *d)
{
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			node_eval(f->nodes[i]);
	ledger_startup(d->eng);
}

void
dev_prove(struct dev *d)
{
	struct vif *f;
	size_t i;

	if (d->proven)
		return;
	d->proven = true;
	/* by now its addresses are known, too */
	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			node_warn_outside(f->nodes[i]);
	ledger_dev(d);
	ledger_startup(d->eng);
}

static void
dev_tell(struct dev *lost)
{
	uint8_t gone[ADVERT_GONE_MAX][ADVERT_ID_LEN];
	struct engine *e = lost->eng;
	struct vif *f;
	struct dev *d;
	size_t i;

	if (node_gone_list(e, 0, gone) == 0)
		return;
	TAILQ_FOREACH(d, &e->devs, entry) {
		struct node *speaker = NULL;
		bool spoke = false;

		TAILQ_FOREACH(f, &e->vifs, entry)
			for (i = 0; f->dev == d && i < f->nnodes; i++) {
				spoke |= f->nodes[i]->spoke;
				if (f->nodes[i]->running)
					speaker = f->nodes[i];
			}
		if (d == lost || speaker == NULL)
			continue;
		if (!spoke)
			node_notice(speaker, 0);
		/* one advertisement does not hold them all */
		for (i = ADVERT_GONE_MAX; node_gone_list(e, i, gone) != 0;
		    i += ADVERT_GONE_MAX)
			node_notice(speaker, i);
	}
}

/*
 * carpdev lost or found.  What we were MASTER of there is told over every
 * other carpdev at once, so that nobody has to wait for our silence.
 */
static void
dev_changed(struct dev *d)
{
	struct engine *e = d->eng;
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++)
			f->nodes[i]->spoke = false;
	tx_open(e);
	dev_eval(d);
	ledger_dev(d);
	dev_tell(d);
	tx_close(e);
}

struct dev *
dev_get(struct engine *e, const char *name)
{
	struct dev *d;

	TAILQ_FOREACH(d, &e->devs, entry)
		if (strcmp(d->name, name) == 0)
			return (d);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	d->eng = e;
	d->fd = d->ip[0] = d->ip[1] = -1;
	d->pause = ev_timer_new(rx_resume, d);
	d->object = ev_timer_new(rx_object, d);
	(void)strlcpy(d->name, name, sizeof(d->name));
	TAILQ_INSERT_TAIL(&e->devs, d, entry);
	return (d);
}

static void
dev_close(struct dev *d)
{
	int i;

	ev_fd_free(d->ev);
	d->ev = NULL;
	ev_timer_stop(d->pause);
	ev_timer_stop(d->object);
	d->objecting = d->claimed = false;
	if (d->fd != -1)
		close(d->fd);
	for (i = 0; i < 2; i++)
		if (d->ip[i] != -1)
			close(d->ip[i]);
	d->fd = d->ip[0] = d->ip[1] = -1;
	steer_slots_unmap(d->slots);
	d->slots = NULL;
	d->ifindex = 0;
	d->link = d->link_known = d->proven = d->v6_asked = false;
	memset(d->addrs, 0, sizeof(d->addrs));
	memset(d->strangers, 0, sizeof(d->strangers));
	memset(&d->src4, 0, sizeof(d->src4));
	memset(&d->src6, 0, sizeof(d->src6));
}

static void
dev_families(struct dev *d)
{
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			node_families(f->nodes[i]);
}

void
dev_opened(struct engine *e, const struct msg_carpdev *m, int fd)
{
	struct dev *d = dev_get(e, m->name);

	if (d->ifindex != 0) {
		dev_close(d);
		dev_changed(d);
	}
	d->ifindex = m->ifindex;
	memcpy(d->mac, m->mac, sizeof(d->mac));
	d->router = m->router != 0;
	d->no_v6 = m->no_v6 != 0;
	d->fd = fd;
	d->ev = ev_fd_new(fd, EV_IN, rx_ready, d);
	dev_families(d);
}

void
dev_unicast(struct engine *e, const struct msg_unicast *m, int fd)
{
	int *ip = &dev_get(e, m->name)->ip[m->af == AF_INET6];

	if (*ip != -1)
		close(*ip);
	*ip = fd;
}

void
dev_slots(struct engine *e, const struct msg_name *m, int fd)
{
	struct dev *d = dev_get(e, m->name);

	steer_slots_unmap(d->slots);
	if ((d->slots = steer_slots_map(fd)) == NULL)
		fatal("cannot map the slots of %s", m->name);
	/* its link may have been told before */
	dev_eval(d);
	/* What the links and addresses are now comes with the dump. */
	if (kif_dump(e->kif) == -1)
		log_warn("interface dump");
}

static bool
dev_used(const struct dev *d)
{
	const struct vif *f;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		if (f->dev == d)
			return (true);
	return (false);
}

void
dev_gone(struct engine *e, const struct msg_name *m)
{
	struct dev *d = dev_get(e, m->name);

	if (!dev_used(d)) {		/* left by a reload */
		dev_close(d);
		ev_timer_free(d->pause);
		ev_timer_free(d->object);
		TAILQ_REMOVE(&e->devs, d, entry);
		free(d);
		return;
	}
	if (d->ifindex == 0)
		return;
	log_warnx("%s: interface is gone, waiting for it", d->name);
	dev_close(d);
	dev_changed(d);
}

void
dev_ipv6(struct engine *e, const struct msg_ipv6 *m)
{
	struct dev *d = dev_get(e, m->name);

	if (d->ifindex == 0)
		return;
	d->v6_asked = false;
	d->router = m->router != 0;
	d->no_v6 = m->no_v6 != 0;
	dev_families(d);
	dev_changed(d);
	dev_families(d);	/* of those that stopped */
}

/*
 * The last IPv6 source went.  Where IPv6 was disabled the other family goes
 * on; else the vhid stops, since another host can do both.  Who may look knows.
 */
static void
dev_ask_ipv6(struct dev *d)
{
	struct msg_name m;

	if (!d->link || d->no_v6 || d->eng->parent == NULL)
		return;
	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, d->name, sizeof(m.name));
	d->v6_asked = true;
	engine_to_parent(d->eng, IMSG_ASK_IPV6, &m, sizeof(m));
}

/* Link-local sources are preferred for IPv6, as the kernels do. */
static void
dev_sources(struct dev *d)
{
	struct ipaddr old4 = d->src4, old6 = d->src6;
	struct vif *f;
	bool changed;
	size_t i;

	memset(&d->src4, 0, sizeof(d->src4));
	memset(&d->src6, 0, sizeof(d->src6));
	for (i = 0; i < ENGINE_ADDRS_MAX; i++) {
		const struct dev_addr *a = &d->addrs[i];

		if (a->addr.af == 0 || a->tentative)
			continue;
		if (a->addr.af == AF_INET && d->src4.af == 0)
			d->src4 = a->addr;
		if (a->addr.af == AF_INET6 && (d->src6.af == 0 ||
		    (ipaddr_is_linklocal(&a->addr) &&
		    !ipaddr_is_linklocal(&d->src6))))
			d->src6 = a->addr;
	}
	changed = memcmp(&old4, &d->src4, sizeof(old4)) != 0 ||
	    memcmp(&old6, &d->src6, sizeof(old6)) != 0;
	if (changed) {
		if (d->src6.af != 0)
			d->v6_asked = false;
		else if (old6.af != 0)
			dev_ask_ipv6(d);
		dev_families(d);
	}
	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->nnodes; i++)
			if (f->nodes[i]->running &&
			    (changed || f->c.npeers != 0))
				node_deposit(f->nodes[i]);
	if (changed)
		dev_changed(d);
}

bool
dev_is_own(const struct dev *d, const struct ipaddr *a)
{
	size_t i;

	for (i = 0; i < ENGINE_ADDRS_MAX; i++)
		if (d->addrs[i].addr.af == a->af &&
		    ipaddr_cmp(&d->addrs[i].addr, a) == 0)
			return (true);
	return (false);
}

/* An address of the network of dst, else one that it can answer to. */
const struct ipaddr *
dev_source(const struct dev *d, const struct ipaddr *dst)
{
	const struct ipaddr *a, *other = NULL;
	size_t i;

	for (i = 0; i < ENGINE_ADDRS_MAX; i++) {
		a = &d->addrs[i].addr;
		if (a->af != dst->af || d->addrs[i].tentative ||
		    ipaddr_is_linklocal(a) != ipaddr_is_linklocal(dst))
			continue;
		if (ipaddr_within(dst, a))
			return (a);
		if (other == NULL)
			other = a;
	}
	return (other);
}

/* Is this one of the virtual addresses of carpdev? */
static bool
dev_is_virtual(const struct dev *d, const struct ipaddr *a)
{
	const struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &d->eng->vifs, entry)
		for (i = 0; f->dev == d && i < f->c.naddrs; i++)
			if (ipaddr_cmp(&f->c.addrs[i], a) == 0)
				return (true);
	return (false);
}

static void
dev_addr(struct dev *d, const struct kif_event *k)
{
	struct dev_addr *slot = NULL, *a, old;
	size_t i;

	for (i = 0; i < ENGINE_ADDRS_MAX; i++) {
		a = &d->addrs[i];
		if (a->addr.af == 0) {
			if (slot == NULL)
				slot = a;
		} else if (ipaddr_cmp(&a->addr, &k->addr) == 0) {
			slot = a;
			break;
		}
	}
	if (slot == NULL)
		return;
	old = *slot;
	memset(slot, 0, sizeof(*slot));
	if (k->type == KIF_ADDR_ADD && k->proto != KIF_PROTO_CARPD &&
	    !dev_is_virtual(d, &k->addr)) {
		slot->addr = k->addr;
		slot->tentative = k->tentative;
	}
	/* a dump tells all of them, and a router each of its prefixes, again */
	if (memcmp(&old, slot, sizeof(old)) != 0)
		dev_sources(d);
}

void
dev_kif_event(const struct kif_event *k, void *arg)
{
	struct engine *e = arg;
	struct dev *d;

	TAILQ_FOREACH(d, &e->devs, entry)
		if (d->ifindex != 0 && d->ifindex == k->ifindex)
			break;
	if (d == NULL)
		return;
	switch (k->type) {
	case KIF_LINK:
		memcpy(d->mac, k->mac, sizeof(d->mac));
		if (d->link_known && d->link == k->running)
			return;
		d->link_known = true;
		d->link = k->running;
		d->proven = false;
		dev_changed(d);
		return;
	case KIF_ADDR_ADD:
	case KIF_ADDR_DEL:
		dev_addr(d, k);
		return;
	case KIF_GONE:
		/* The parent says it too; the link is lost at once. */
		d->link_known = true;
		d->link = d->proven = false;
		dev_changed(d);
		return;
	case KIF_TC:
	case KIF_OVERRUN:
		return;
	}
}
