/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd(8): main and the parent process.  The parent parses the
 * configuration, opens sockets, attaches the classifier and moves addresses;
 * it parses nothing that came from the network and treats the engine as
 * hostile.  What the engine may ask for is the table `verbs` below, and each
 * verb acts within the configuration only.
 */
#include <sys/types.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/control.h"
#include "../common/daemon.h"
#include "../common/epoch.h"
#include "../common/ev.h"
#include "../common/hmac.h"
#include "../common/log.h"
#include "../common/notify.h"
#include "../common/os/kif.h"
#include "../common/os/lock.h"
#include "../common/os/sandbox.h"
#include "../common/ownfile.h"
#include "../common/wire/carp.h"
#include "../common/wire/frame.h"
#include "balance.h"
#include "bpf/steer_map.h"
#include "carpd.h"
#include "choose.h"
#include "config.h"
#include "msgs.h"
#include "os/frameio.h"
#include "os/steer.h"
#include "os/vaddr.h"

#define STOP_TIME	(2 * MONOTIME_SEC)	/* for the engine to say bye */
#define RETRY_TIME	MONOTIME_SEC	/* for a carpdev that refuses */
#define ADDR_BATCH	64	/* addresses refreshed at once */
#define LINKS_TIME	1000	/* ms for the first dump of interfaces */
#define GROUPS		2	/* bow-outs to a group: IPv4, IPv6 */
#define MTU_MIN6	1280	/* RFC 8200: less has no IPv6 */

/* The last word of one vhid and family, should the engine die. */
struct bowout {
	uint16_t	 len;
	uint8_t		 frame[MSG_FRAME_MAX];
};

/* A virtual address of a carp interface. */
struct paddr {
	struct ipaddr	 addr;
	bool		 installed;	/* by us, wanted */
	bool		 failing;	/* could not be added: it was said */
	bool		 stale;		/* went with a reload */
	uint8_t		 shown;		/* prefix length told to the engine */
};

/* A carp interface, as the parent needs it. */
struct pif {
	TAILQ_ENTRY(pif) entry;
	char		 name[IF_NAMESIZE];
	struct pdev	*dev;
	uint8_t		 vhids[CONFIG_VHIDS_MAX];
	size_t		 nvhids;
	uint8_t		 was[CONFIG_VHIDS_MAX];	/* vhids of its group until the
						   engine has moved over */
	size_t		 nwas;		/* 0: it has */
	enum balance_mode mode;
	bool		 grouped;	/* the classifier has its group */
	struct balance_key key;		/* of balancing arp */
	struct paddr	*addrs;
	size_t		 naddrs;
	struct ipaddr	 peers[CONFIG_PEERS_MAX];
	size_t		 npeers;
	struct bowout	*bowouts;	/* of each vhid: GROUPS and npeers */
	bool		 on;
	bool		 stale;		/* gone from the configuration */
	bool		 chosen;	/* dev: not by the file */
	bool		 told;		/* what was chosen: to the log */
	char		 why[CHOOSE_WHY_MAX];	/* dev has no name: so it was */
};

/* A carpdev.  Interfaces that have none are on one whose name is "". */
struct pdev {
	TAILQ_ENTRY(pdev) entry;
	char		 name[IF_NAMESIZE];
	int		 ifindex;	/* 0: not there, or not ours yet */
	int		 present;	/* the kernel's index, 0: none */
	uint8_t		 mac[6];
	int		 lock;
	int		 join[2];
	int		 sock;		/* for bow-outs */
	int		 ip[2];		/* and for those to peers */
	struct steer	*steer;
	struct steer_slots *slots;
	struct vaddr	*vaddr;
	bool		 running;	/* has a carrier */
	bool		 no_v6;		/* IPv6 is disabled there */
	bool		 bridge;
	uint32_t	 mtu;
	int		 master;	/* it is a port of that, 0: of none */
	bool		 refused;	/* cannot be one: it was said */
	bool		 contested;	/* another carpd's: it was said */
};

struct parent {
	struct daemon	 daemon;
	pid_t		 engine;
	struct channel	*chan;
	struct kif	*kif;
	int		 kif_fd;
	struct ev_timer	*refresh, *retry, *deadline, *choose;
	TAILQ_HEAD(, pdev) devs;
	TAILQ_HEAD(, pif) ifs;
	uint64_t	 count[PARENT_COUNTERS];
	bool		 ready, stopping;
	uint32_t	 generation;	/* of the configuration sent last */
	int		 status;
};

static void	 pdev_attach(struct parent *, struct pdev *);
static void	 choose_soon(struct parent *);

static void
vmac_of(uint8_t vhid, uint8_t mac[6])
{
	balance_mac(BALANCE_NONE, vhid, vhid, mac);
}

/* The MAC to which hosts send what is for the i'th vhid. */
static void
pif_mac(const struct pif *f, size_t i, uint8_t mac[6])
{
	balance_mac(f->mode, f->vhids[0], f->vhids[i], mac);
}

static void
to_engine(struct parent *p, uint32_t type, int fd, const void *data,
    size_t len)
{
	if (p->chan == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	if (channel_send(p->chan, type, 0, fd, data, len) == -1)
		log_warn("message to the engine");
}

/* ---- addresses ---- */

static void
tell_shown(struct parent *p, struct pif *f, struct paddr *a, uint8_t plen)
{
	struct ctl_addr m;

	if (a->shown == plen)
		return;
	a->shown = plen;
	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, f->name, sizeof(m.name));
	m.addr = a->addr;
	m.plen = plen;
	to_engine(p, IMSG_ADDR_SHOWN, -1, &m, sizeof(m));
}

/* What became of adding it. */
static void
addr_added(struct parent *p, struct pif *f, struct paddr *a, int error,
    uint8_t plen)
{
	char buf[IPADDR_STRLEN];

	if (error != 0) {
		p->count[PARENT_ADDR_ERRORS]++;
		errno = error;
		if (!a->failing)
			log_warn("%s: cannot add %s to %s", f->name,
			    ipaddr_print_prefix(&a->addr, buf, sizeof(buf)),
			    f->dev->name);
		a->failing = true;
		return;
	}
	a->failing = false;
	a->installed = true;
	tell_shown(p, f, a, plen);
}

static bool
addr_wanted(const struct pif *f, const struct paddr *a)
{
	return (f->dev->vaddr != NULL && !a->stale &&
	    (a->addr.af != AF_INET6 || !f->dev->no_v6));
}

static void
addr_add(struct parent *p, struct pif *f, struct paddr *a)
{
	uint8_t plen = 255;
	int error = 0;

	if (!addr_wanted(f, a))
		return;
	if (vaddr_add(f->dev->vaddr, &a->addr, &plen) == -1)
		error = errno;
	addr_added(p, f, a, error, plen);
}

static void
addr_del(struct parent *p, struct pif *f, struct paddr *a)
{
	char buf[IPADDR_STRLEN];

	if (!a->installed)
		return;
	/* first: the kernel's notice of it must not look like a theft */
	a->installed = false;
	if (f->dev->vaddr != NULL &&
	    vaddr_del(f->dev->vaddr, &a->addr) == -1) {
		p->count[PARENT_ADDR_ERRORS]++;
		log_warn("%s: cannot remove %s from %s", f->name,
		    ipaddr_print_prefix(&a->addr, buf, sizeof(buf)),
		    f->dev->name);
	}
	tell_shown(p, f, a, 255);
}

/*
 * Have carpdev take frames for the virtual MACs, or not.  A bridge keeps them
 * from its ports then: it may only while we are MASTER, else whoever is behind
 * a port could not reach another MASTER.
 */
static void
pif_macs(struct pif *f, bool on)
{
	uint8_t mac[6];
	size_t i;

	for (i = 0; i < f->nvhids; i++) {
		pif_mac(f, i, mac);
		if (vaddr_mac(f->dev->vaddr, mac, on) == -1)
			log_warn("%s: %s does not take the virtual MAC",
			    f->name, f->dev->name);
	}
}

static void
pif_addresses(struct parent *p, struct pif *f, bool on)
{
	size_t i;

	f->on = on;
	if (f->dev->bridge && f->dev->vaddr != NULL)
		pif_macs(f, on);
	for (i = 0; i < f->naddrs; i++) {
		if (!on)
			addr_del(p, f, &f->addrs[i]);
		else
			addr_add(p, f, &f->addrs[i]);
	}
}

/*
 * Does the engine still renew what it asked the addresses for?  Those of an
 * engine that is stopped must not outlive its slots: they run out.
 */
static bool
pif_lives(const struct pif *f)
{
	size_t i;

	for (i = 0; f->on && f->dev->slots != NULL && i < f->nvhids; i++)
		if (steer_slot_get(f->dev->slots, f->vhids[i]) !=
		    STEER_STATE_OFF)
			return (true);
	return (false);
}

/* Addresses of one carpdev that are put there, or again, together. */
struct batch {
	struct vaddr_job job[ADDR_BATCH];
	struct pif	*pif[ADDR_BATCH];
	struct paddr	*addr[ADDR_BATCH];
	size_t		 n;
};

static void
batch_run(struct parent *p, struct vaddr *v, struct batch *b)
{
	size_t i;

	vaddr_add_many(v, b->job, b->n);
	for (i = 0; i < b->n; i++)
		addr_added(p, b->pif[i], b->addr[i], b->job[i].error,
		    b->job[i].plen);
	b->n = 0;
}

static void
batch_pif(struct parent *p, struct batch *b, struct pif *f)
{
	size_t i;

	for (i = 0; i < f->naddrs; i++) {
		if (!addr_wanted(f, &f->addrs[i]))
			continue;
		b->job[b->n] = (struct vaddr_job){ &f->addrs[i].addr, 255, 0 };
		b->pif[b->n] = f;
		b->addr[b->n++] = &f->addrs[i];
		if (b->n == ADDR_BATCH)
			batch_run(p, f->dev->vaddr, b);
	}
}

static void
refresh_cb(void *arg)
{
	static struct batch b;
	struct parent *p = arg;
	struct pdev *d;
	struct pif *f;

	TAILQ_FOREACH(d, &p->devs, entry) {
		TAILQ_FOREACH(f, &p->ifs, entry)
			if (f->dev == d && pif_lives(f))
				batch_pif(p, &b, f);
		if (b.n > 0)
			batch_run(p, d->vaddr, &b);
	}
	ev_timer_at(p->refresh, monotime_add(monotime_now(),
	    VADDR_REFRESH * MONOTIME_SEC));
}

/* ---- carpdevs ---- */

static void
declare_addr(struct pif *f, struct paddr *a)
{
	char buf[IPADDR_STRLEN];
	int r;

	(void)ipaddr_print(&a->addr, buf, sizeof(buf));
	if (steer_add_addr(f->dev->steer, f->vhids[0], &a->addr) == -1)
		log_warn("%s: cannot steer %s", f->name, buf);
	if ((r = vaddr_declare(f->dev->vaddr, &a->addr)) == -1)
		log_warn("%s: cannot declare %s", f->name, buf);
	else if (r == 1)
		log_info("%s: %s is an address of %s itself: it comes and "
		    "goes with MASTER now", f->name, buf, f->dev->name);
}

static bool
pif_has_vhid(const struct pif *f, uint8_t vhid)
{
	return (memchr(f->vhids, vhid, f->nvhids) != NULL);
}

static void
set_group(struct pif *f, const uint8_t *vhids, size_t n)
{
	if (f->mode == BALANCE_NONE || f->dev->steer == NULL)
		return;
	if (steer_set_group(f->dev->steer, f->vhids[0], f->mode, vhids, n,
	    f->mode == BALANCE_ARP ? &f->key : NULL) == -1)
		log_warn("%s: cannot balance", f->name);
	else
		f->grouped = true;
}

static void
pif_group(struct pif *f)
{
	f->nwas = 0;
	set_group(f, f->vhids, f->nvhids);
}

/* A vhid that f's group is to leave is wanted at once: without it. */
static void
group_shrink(struct pif *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->nwas; i++)
		if (pif_has_vhid(f, f->was[i]))
			f->was[n++] = f->was[i];
	f->nwas = n;
	set_group(f, f->was, n);
}

/* Is a vhid of f still in the group of old, which has it no longer? */
static bool
group_lags(const struct pif *old, const struct pif *f)
{
	size_t i;

	for (i = 0; old != f && old->dev == f->dev && i < old->nwas; i++)
		if (!pif_has_vhid(old, old->was[i]) &&
		    pif_has_vhid(f, old->was[i]))
			return (true);
	return (false);
}

/*
 * Vhids of f are in the group of an interface that goes, or gives them away:
 * no longer.
 */
static void
leave_groups(struct parent *p, const struct pif *f)
{
	struct pif *old;
	size_t i;

	TAILQ_FOREACH(old, &p->ifs, entry) {
		if (!old->stale && group_lags(old, f))
			group_shrink(old);
		if (!old->stale || old->dev != f->dev || !old->grouped)
			continue;
		for (i = 0; i < f->nvhids; i++)
			if (pif_has_vhid(old, f->vhids[i]))
				break;
		if (i == f->nvhids)
			continue;
		/* with the same leader the new group replaces it, at once */
		if (f->mode == BALANCE_NONE || f->vhids[0] != old->vhids[0])
			steer_remove_group(f->dev->steer, old->vhids[0]);
		old->grouped = false;
	}
}

static void
pif_vhids(struct pif *f)
{
	uint8_t mac[6];
	size_t i;

	for (i = 0; i < f->nvhids; i++) {
		vmac_of(f->vhids[i], mac);
		if (steer_add_vhid(f->dev->steer, f->vhids[i], mac) == -1)
			log_warn("%s: cannot steer vhid %d", f->name,
			    f->vhids[i]);
	}
	if (!f->dev->bridge || f->on)
		pif_macs(f, true);
}

/* Put a carp interface into the maps of its carpdev. */
static void
pif_declare(struct parent *p, struct pif *f)
{
	size_t i;

	if (f->dev->steer == NULL || f->dev->vaddr == NULL)
		return;
	pif_vhids(f);
	leave_groups(p, f);
	pif_group(f);
	for (i = 0; i < f->naddrs; i++)
		if (!f->addrs[i].stale)
			declare_addr(f, &f->addrs[i]);
}

static bool
read_flag(const char *fmt, const char *ifname)
{
	char path[128], c = '0';
	int fd;

	(void)snprintf(path, sizeof(path), fmt, ifname);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (false);
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return (c != '0');
}

/* Sockets to peers, IPv4 and IPv6; a host without IPv6 has no such one. */
static void
hand_over_ip(struct parent *p, struct pdev *d)
{
	static const uint8_t afs[2] = { AF_INET, AF_INET6 };
	struct msg_unicast m;
	size_t i;
	int fd;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, d->name, sizeof(m.name));
	for (i = 0; i < 2; i++) {
		m.af = afs[i];
		/* ours is another one: this one's flags are the engine's */
		d->ip[i] = frameio_open_ip(d->ifindex, m.af);
		if ((fd = frameio_open_ip(d->ifindex, m.af)) != -1)
			to_engine(p, IMSG_UNICAST, fd, &m, sizeof(m));
	}
}

/* Where the MTU is too small it goes as if it had never been there. */
static bool
ipv6_disabled(const struct pdev *d)
{
	char path[128];

	(void)snprintf(path, sizeof(path),
	    "/proc/sys/net/ipv6/conf/%s/disable_ipv6", d->name);
	return (d->mtu < MTU_MIN6 || access(path, F_OK) == -1 ||
	    read_flag("/proc/sys/net/ipv6/conf/%s/disable_ipv6", d->name));
}

static bool
ipv6_router(const char *ifname)
{
	return (read_flag("/proc/sys/net/ipv6/conf/%s/forwarding", ifname));
}

static void
tell_ipv6(struct parent *p, const struct pdev *d)
{
	struct msg_ipv6 m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, d->name, sizeof(m.name));
	m.router = ipv6_router(d->name);
	m.no_v6 = d->no_v6;
	to_engine(p, IMSG_IPV6, -1, &m, sizeof(m));
}

static void
pdev_hand_over(struct parent *p, struct pdev *d, int sock)
{
	struct msg_carpdev m;
	struct msg_name s;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, d->name, sizeof(m.name));
	m.ifindex = d->ifindex;
	memcpy(m.mac, d->mac, sizeof(m.mac));
	m.router = ipv6_router(d->name);
	m.no_v6 = d->no_v6 = ipv6_disabled(d);
	to_engine(p, IMSG_CARPDEV, sock, &m, sizeof(m));
	hand_over_ip(p, d);
	memset(&s, 0, sizeof(s));
	(void)strlcpy(s.name, d->name, sizeof(s.name));
	to_engine(p, IMSG_SLOTS, steer_slots_fd(d->steer), &s, sizeof(s));
}

/*
 * Let go of a carpdev; in_order puts everything back, else it is gone and
 * there is nothing to put back.
 */
static void
pdev_release(struct pdev *d, bool in_order)
{
	if (d->vaddr != NULL) {
		if (in_order)
			vaddr_close(d->vaddr);
		else
			vaddr_free(d->vaddr);
	}
	if (d->steer != NULL) {
		if (in_order)
			steer_detach(d->steer);
		else
			steer_free(d->steer);
	}
	steer_slots_unmap(d->slots);
	d->vaddr = NULL;
	d->steer = NULL;
	d->slots = NULL;
	d->ifindex = 0;
	daemon_close(&d->sock);
	daemon_close(&d->ip[0]);
	daemon_close(&d->ip[1]);
	daemon_close(&d->join[0]);
	daemon_close(&d->join[1]);
}

/* What is to be put back on it after a crash, if the classifier has gone. */
static void
restore_file(const struct parent *p, const struct pdev *d, char *path,
    size_t len)
{
	(void)snprintf(path, len, "%.*s.restore-%d",
	    ownfile_stem(p->daemon.sock), p->daemon.sock, d->ifindex);
}

static bool
pdev_open(const struct parent *p, struct pdev *d, int *sock)
{
	const char *why = NULL;
	char file[PATH_MAX];

	if ((d->sock = frameio_open_out(d->name, d->ifindex)) == -1 ||
	    (*sock = frameio_open(d->name, d->ifindex)) == -1) {
		log_warn("%s: packet socket", d->name);
		return (false);
	}
	frameio_join(d->name, d->ifindex, d->join);
	d->steer = steer_attach(d->name, d->ifindex, d->mac, &why);
	if (d->steer == NULL) {
		log_warn("%s: classifier: %s", d->name,
		    why == NULL ? "refused" : why);
		return (false);
	}
	d->slots = steer_slots_map(steer_slots_fd(d->steer));
	restore_file(p, d, file, sizeof(file));
	d->vaddr = vaddr_open(d->name, d->ifindex, d->mac, d->steer, file);
	if (d->slots == NULL || d->vaddr == NULL) {
		log_warn("%s: cannot prepare", d->name);
		return (false);
	}
	return (true);
}

static void
pdev_attach(struct parent *p, struct pdev *d)
{
	struct pif *f;
	int sock = -1;

	if (d->ifindex != 0 || d->present == 0)
		return;
	if (d->lock == -1)
		d->lock = lock_interface("carpd-carpdev", d->name);
	if (d->lock == -1) {
		if (!d->contested)
			log_warnx("%s: another carpd owns this interface, "
			    "waiting for it to end", d->name);
		d->contested = true;
		ev_timer_at(p->retry, monotime_add(monotime_now(),
		    RETRY_TIME));
		return;
	}
	d->contested = false;
	d->ifindex = d->present;
	if (!pdev_open(p, d, &sock)) {
		daemon_close(&sock);
		pdev_release(d, true);
		ev_timer_at(p->retry, monotime_add(monotime_now(),
		    RETRY_TIME));
		return;
	}
	TAILQ_FOREACH(f, &p->ifs, entry)
		if (f->dev == d && !f->stale)
			pif_declare(p, f);
	vaddr_settle(d->vaddr);
	pdev_hand_over(p, d, sock);
	log_debug("%s: attached, index %d", d->name, d->ifindex);
}

static void
tell_gone(struct parent *p, const struct pdev *d)
{
	struct msg_name m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, d->name, sizeof(m.name));
	to_engine(p, IMSG_CARPDEV_GONE, -1, &m, sizeof(m));
}

static void
pdev_gone(struct parent *p, struct pdev *d, bool renamed)
{
	char now[IF_NAMESIZE];
	struct pif *f;
	size_t i;

	d->present = d->master = 0;
	choose_soon(p);
	if (d->ifindex == 0)
		return;
	/* under its new name it must have nothing of ours */
	if ((renamed = renamed && if_indextoname((unsigned int)d->ifindex,
	    now) != NULL))
		vaddr_renamed(d->vaddr, now);
	pdev_release(d, renamed);
	TAILQ_FOREACH(f, &p->ifs, entry) {
		if (f->dev != d)
			continue;
		f->on = f->grouped = false;
		for (i = 0; i < f->naddrs; i++) {
			f->addrs[i].installed = false;
			f->addrs[i].shown = 255;
		}
	}
	tell_gone(p, d);
}

static void
retry_cb(void *arg)
{
	struct parent *p = arg;
	struct pdev *d;

	TAILQ_FOREACH(d, &p->devs, entry)
		pdev_attach(p, d);
}

static struct pdev *
pdev_find(struct parent *p, const char *name)
{
	struct pdev *d;

	TAILQ_FOREACH(d, &p->devs, entry)
		if (strcmp(d->name, name) == 0)
			return (d);
	return (NULL);
}

static struct pdev *
pdev_get(struct parent *p, const char *name)
{
	struct pdev *d = pdev_find(p, name);

	if (d != NULL)
		return (d);
	if ((d = calloc(1, sizeof(*d))) == NULL)
		fatal("calloc");
	(void)strlcpy(d->name, name, sizeof(d->name));
	d->lock = d->sock = d->join[0] = d->join[1] = -1;
	d->ip[0] = d->ip[1] = -1;
	TAILQ_INSERT_TAIL(&p->devs, d, entry);
	return (d);
}

/* ---- what the kernel tells ---- */

/* They went with IPv6: nobody stole them. */
static void
addrs_lost6(struct parent *p, struct pdev *d)
{
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; f->dev == d && i < f->naddrs; i++)
			if (f->addrs[i].addr.af == AF_INET6)
				addr_del(p, f, &f->addrs[i]);
}

/* Put those of a family there, again, or for the first time. */
static void
addrs_again(struct parent *p, struct pdev *d, uint8_t af)
{
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; f->dev == d && pif_lives(f) && i < f->naddrs; i++)
			if (f->addrs[i].addr.af == af && !f->addrs[i].stale)
				addr_add(p, f, &f->addrs[i]);
}

/*
 * Has IPv6 been disabled or enabled?  Nobody tells of that but the addresses
 * that go and come with it.
 */
static void
pdev_ipv6(struct parent *p, struct pdev *d)
{
	bool was = d->no_v6;

	if (d->ifindex == 0 || (d->no_v6 = ipv6_disabled(d)) == was)
		return;
	if (d->no_v6)
		addrs_lost6(p, d);
	else {
		/* memberships may have gone with it */
		frameio_rejoin6(d->name, d->ifindex, d->join);
		addrs_again(p, d, AF_INET6);
	}
	tell_ipv6(p, d);
}

/* What comes in at a port is the bridge's, not the host's. */
static void
port_event(struct pdev *d, const struct kif_event *k)
{
	char name[IF_NAMESIZE];

	if (k->master != 0 && k->master != d->master &&
	    if_indextoname((unsigned int)k->master, name) != NULL)
		log_warnx("%s: is a port of %s: hosts reach virtual addresses "
		    "on %s, not on its ports", d->name, name, name);
	d->master = k->master;
}

static void
link_event(struct parent *p, struct pdev *d, const struct kif_event *k)
{
	if (!k->ethernet || k->macvlan) {
		if (!d->refused)
			log_warnx("%s: %s", d->name, !k->ethernet ?
			    "is not an Ethernet interface" : "a macvlan gets "
			    "nothing for a virtual MAC, except in mode "
			    "passthru: not used");
		d->refused = true;
		return;
	}
	d->refused = false;
	/* re-created before we were told, or its name went to another */
	if (d->ifindex != 0 && d->ifindex != k->ifindex)
		pdev_gone(p, d, true);
	d->present = k->ifindex;
	d->bridge = k->bridge;
	d->mtu = k->mtu;
	port_event(d, k);
	pdev_ipv6(p, d);
	if (d->ifindex != 0 && memcmp(d->mac, k->mac, sizeof(d->mac)) != 0) {
		steer_set_mac(d->steer, k->mac);
		vaddr_set_mac(d->vaddr, k->mac);
	}
	memcpy(d->mac, k->mac, sizeof(d->mac));
	if (k->running && !d->running && d->ifindex != 0)
		vaddr_carrier(d->vaddr);
	d->running = k->running;
	pdev_attach(p, d);
}

/*
 * An address that we are MASTER of is gone: somebody took it, unless it was us,
 * and are told only now that it is back.
 */
static void
restore_address(struct parent *p, struct pif *f, struct paddr *a)
{
	char buf[IPADDR_STRLEN];
	uint8_t plen = 255;
	int error = 0;

	switch (vaddr_restore(f->dev->vaddr, &a->addr, &plen)) {
	case 0:
		return;
	case -1:
		error = errno;
	}
	p->count[PARENT_ADDR_RESTORED]++;
	log_warnx("%s: somebody removed %s from %s: it is back", f->name,
	    ipaddr_print(&a->addr, buf, sizeof(buf)), f->dev->name);
	addr_added(p, f, a, error, plen);
}

static void
stolen_address(struct parent *p, struct pdev *d, const struct ipaddr *addr)
{
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry) {
		if (f->dev != d || !pif_lives(f))
			continue;
		for (i = 0; i < f->naddrs; i++) {
			struct paddr *a = &f->addrs[i];

			/* with another length we have replaced it ourselves */
			if (!a->installed || a->stale ||
			    a->shown != addr->plen ||
			    ipaddr_cmp(&a->addr, addr) != 0)
				continue;
			if (addr->af == AF_INET6)
				pdev_ipv6(p, d);
			if (a->installed)	/* else it went with IPv6 */
				restore_address(p, f, a);
		}
	}
}

static void
addr_event(struct parent *p, struct pdev *d, const struct kif_event *k)
{
	bool add = k->type == KIF_ADDR_ADD;

	if (d->vaddr == NULL)
		return;
	if (k->addr.af == AF_INET6 && k->proto != KIF_PROTO_CARPD)
		pdev_ipv6(p, d);
	if (k->proto != KIF_PROTO_CARPD &&
	    vaddr_note(d->vaddr, &k->addr, add))
		addrs_again(p, d, k->addr.af);
	if (!add)
		stolen_address(p, d, &k->addr);
}

static void
stolen_filter(struct parent *p, struct pdev *d)
{
	int r;

	if (d->steer == NULL || (r = steer_check(d->steer)) == 0)
		return;
	if (r == -1) {
		log_warn("%s: cannot attach the classifier again", d->name);
		return;
	}
	p->count[PARENT_FILTER_RESTORED]++;
	log_warnx("%s: somebody removed the classifier: it is back", d->name);
}

static void
kif_event(const struct kif_event *k, void *arg)
{
	struct parent *p = arg;
	struct pdev *d;

	if (k->type == KIF_ADDR_ADD && k->proto != KIF_PROTO_CARPD)
		choose_soon(p);
	if (k->type == KIF_LINK) {
		if ((d = pdev_find(p, k->ifname)) != NULL)
			link_event(p, d, k);
		return;
	}
	TAILQ_FOREACH(d, &p->devs, entry)
		if (d->present == k->ifindex && k->ifindex != 0)
			break;
	if (d == NULL)
		return;
	switch (k->type) {
	case KIF_GONE:
		pdev_gone(p, d, k->renamed);
		return;
	case KIF_ADDR_ADD:
	case KIF_ADDR_DEL:
		addr_event(p, d, k);
		return;
	case KIF_TC:
		stolen_filter(p, d);
		return;
	case KIF_LINK:
	case KIF_OVERRUN:
		return;
	}
}

static void
kif_readable(int fd, int what, void *arg)
{
	struct parent *p = arg;

	(void)fd;
	(void)what;
	kif_read(p->kif);
}

/* ---- configuration ---- */

static struct pif *
pif_find(struct parent *p, const char *name)
{
	struct pif *f;

	TAILQ_FOREACH(f, &p->ifs, entry)
		if (!f->stale && strcmp(f->name, name) == 0)
			return (f);
	return (NULL);
}

static void
pif_free(struct parent *p, struct pif *f)
{
	TAILQ_REMOVE(&p->ifs, f, entry);
	free(f->addrs);
	free(f->bowouts);
	free(f);
}

static bool
pif_same_addrs(const struct pif *f, const struct config_iface *c)
{
	size_t i;

	if (f->naddrs != c->naddrs)
		return (false);
	for (i = 0; i < f->naddrs; i++)
		if (memcmp(&f->addrs[i].addr, &c->addrs[i],
		    sizeof(struct ipaddr)) != 0)
			return (false);
	return (true);
}

/* Same carpdev, addresses and group: at most other vhids. */
static bool
pif_like(const struct pif *f, const struct config_iface *c)
{
	return (strcmp(f->dev->name, c->carpdev) == 0 &&
	    f->mode == (enum balance_mode)c->balancing &&
	    f->vhids[0] == c->vhids[0].vhid && pif_same_addrs(f, c));
}

/* Whom its last words go to; the engine deposits them anew. */
static void
pif_peers(struct pif *f, const struct config_iface *c)
{
	if (f->bowouts != NULL && f->npeers == c->npeers &&
	    memcmp(f->peers, c->peers, sizeof(f->peers)) == 0)
		return;
	free(f->bowouts);
	f->npeers = c->npeers;
	memcpy(f->peers, c->peers, sizeof(f->peers));
	f->bowouts = calloc(f->nvhids, (GROUPS + f->npeers) *
	    sizeof(*f->bowouts));
	if (f->bowouts == NULL)
		fatal("calloc");
}

static struct pif *
pif_new(struct parent *p, const struct config_iface *c)
{
	struct pif *f;
	size_t i;

	if ((f = calloc(1, sizeof(*f))) == NULL ||
	    (f->addrs = calloc(c->naddrs, sizeof(*f->addrs))) == NULL)
		fatal("calloc");
	(void)strlcpy(f->name, c->name, sizeof(f->name));
	f->dev = pdev_get(p, c->carpdev);
	f->chosen = c->chosen != 0;
	f->nvhids = c->nvhids;
	for (i = 0; i < c->nvhids; i++)
		f->vhids[i] = c->vhids[i].vhid;
	f->mode = c->balancing;
	balance_key(c->pass, c->passlen, &f->key);
	f->naddrs = c->naddrs;
	for (i = 0; i < c->naddrs; i++) {
		f->addrs[i].addr = c->addrs[i];
		f->addrs[i].shown = 255;
	}
	pif_peers(f, c);
	TAILQ_INSERT_TAIL(&p->ifs, f, entry);
	return (f);
}

/* Another pass: another hash, in mode arp. */
static void
pif_rekey(struct pif *f, const struct config_iface *c)
{
	struct balance_key key;

	balance_key(c->pass, c->passlen, &key);
	if (memcmp(&key, &f->key, sizeof(key)) == 0)
		return;
	f->key = key;
	if (f->nwas != 0)
		set_group(f, f->was, f->nwas);
	else
		pif_group(f);
}

/* Does an interface that stays use this vhid of d? */
static bool
vhid_used(struct parent *p, const struct pdev *d, uint8_t vhid)
{
	struct pif *f;

	TAILQ_FOREACH(f, &p->ifs, entry)
		if (!f->stale && f->dev == d && pif_has_vhid(f, vhid))
			return (true);
	return (false);
}

/* ... this MAC? */
static bool
mac_used(struct parent *p, const struct pdev *d, const uint8_t mac[6])
{
	struct pif *f;
	uint8_t its[6];
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; !f->stale && f->dev == d && i < f->nvhids; i++) {
			pif_mac(f, i, its);
			if (memcmp(its, mac, sizeof(its)) == 0)
				return (true);
		}
	return (false);
}

static bool
addr_used(struct parent *p, const struct pdev *d, const struct ipaddr *a)
{
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; !f->stale && f->dev == d && i < f->naddrs; i++)
			if (ipaddr_cmp(&f->addrs[i].addr, a) == 0)
				return (true);
	return (false);
}

/* This vhid, and its MAC, of a mode and leader, are no more. */
static void
vhid_gone(struct parent *p, const struct pif *f, uint8_t vhid)
{
	struct pdev *d = f->dev;
	uint8_t mac[6];

	balance_mac(f->mode, f->vhids[0], vhid, mac);
	if (d->vaddr != NULL && !mac_used(p, d, mac))
		(void)vaddr_mac(d->vaddr, mac, false);
	if (d->steer != NULL && !vhid_used(p, d, vhid))
		steer_remove_vhid(d->steer, vhid);
}

/*
 * Other vhids.  New ones are there before the engine hears of them, while the
 * group stays as it was until old ones have drained: pif_moved().
 */
static void
pif_revhid(struct parent *p, struct pif *f, const struct config_iface *c)
{
	size_t i, each = GROUPS + f->npeers, n = f->nvhids;
	struct bowout *old = f->bowouts;
	uint8_t had[CONFIG_VHIDS_MAX], *place;

	memcpy(had, f->vhids, sizeof(had));
	f->nvhids = c->nvhids;
	if ((f->bowouts = calloc(f->nvhids, each * sizeof(*old))) == NULL)
		fatal("calloc");
	for (i = 0; i < f->nvhids; i++) {
		f->vhids[i] = c->vhids[i].vhid;
		if ((place = memchr(had, f->vhids[i], n)) != NULL)
			memcpy(f->bowouts + i * each, old +
			    (size_t)(place - had) * each, each * sizeof(*old));
	}
	free(old);
	if (f->nwas == 0) {
		memcpy(f->was, had, sizeof(f->was));
		f->nwas = n;
	}
	/* of a reload that was never finished */
	for (i = 0; i < n; i++)
		if (!pif_has_vhid(f, had[i]) &&
		    memchr(f->was, had[i], f->nwas) == NULL)
			vhid_gone(p, f, had[i]);
	if (f->dev->steer != NULL && f->dev->vaddr != NULL)
		pif_vhids(f);
}

/* The engine has left the vhids that f has no longer. */
static void
pif_moved(struct parent *p, struct pif *f)
{
	uint8_t was[CONFIG_VHIDS_MAX];
	size_t i, n = f->nwas;

	if (n == 0)
		return;
	memcpy(was, f->was, sizeof(was));
	leave_groups(p, f);
	pif_group(f);
	for (i = 0; i < n; i++)
		if (!pif_has_vhid(f, was[i]))
			vhid_gone(p, f, was[i]);
}

static bool
pif_same_vhids(const struct pif *f, const struct config_iface *c)
{
	size_t i;

	for (i = 0; i < f->nvhids && i < c->nvhids; i++)
		if (f->vhids[i] != c->vhids[i].vhid)
			return (false);
	return (f->nvhids == c->nvhids);
}

static void
pif_undeclare(struct parent *p, struct pif *f)
{
	struct pdev *d = f->dev;
	uint8_t mac[6];
	size_t i;

	if (d->steer == NULL || d->vaddr == NULL)
		return;
	for (i = 0; i < f->naddrs; i++) {
		if (addr_used(p, d, &f->addrs[i].addr))
			continue;
		addr_del(p, f, &f->addrs[i]);
		steer_remove_addr(d->steer, &f->addrs[i].addr);
		vaddr_undeclare(d->vaddr, &f->addrs[i].addr);
	}
	for (i = 0; i < f->nvhids; i++) {
		pif_mac(f, i, mac);
		if (!mac_used(p, d, mac))
			(void)vaddr_mac(d->vaddr, mac, false);
	}
	if (f->grouped)
		steer_remove_group(d->steer, f->vhids[0]);
	for (i = 0; i < f->nvhids; i++)
		if (!vhid_used(p, d, f->vhids[i]))
			steer_remove_vhid(d->steer, f->vhids[i]);
}

/* The engine has left what is stale: undo it. */
static void
forget_stale(struct parent *p)
{
	struct pif *f, *nf;
	struct pdev *d, *nd;

	TAILQ_FOREACH_SAFE(f, &p->ifs, entry, nf)
		if (f->stale) {
			pif_undeclare(p, f);
			pif_free(p, f);
		}
	TAILQ_FOREACH(f, &p->ifs, entry)
		pif_moved(p, f);
	TAILQ_FOREACH_SAFE(d, &p->devs, entry, nd) {
		TAILQ_FOREACH(f, &p->ifs, entry)
			if (f->dev == d)
				break;
		if (f != NULL)
			continue;
		pdev_release(d, true);
		tell_gone(p, d);
		daemon_close(&d->lock);
		TAILQ_REMOVE(&p->devs, d, entry);
		free(d);
	}
}

static void
send_config(struct parent *p, const struct config *c)
{
	bool ok;
	size_t i;

	if (p->chan == NULL)
		return;
	ok = channel_send(p->chan, IMSG_CONF_BEGIN, 0, -1, &c->g,
	    sizeof(c->g)) == 0;
	ok = ok && channel_send(p->chan, IMSG_CONF_AUTH, 0, -1, &c->auth,
	    sizeof(c->auth)) == 0;
	for (i = 0; ok && i < c->nifaces; i++)
		ok = channel_send(p->chan, IMSG_CONF_IFACE, 0, -1,
		    &c->ifaces[i], sizeof(c->ifaces[i])) == 0;
	for (i = 0; ok && i < c->ngroups; i++)
		ok = channel_send(p->chan, IMSG_CONF_GROUP, 0, -1,
		    &c->groups[i], sizeof(c->groups[i])) == 0;
	ok = ok && channel_send(p->chan, IMSG_CONF_END, ++p->generation, -1,
	    NULL, 0) == 0;
	if (ok)
		return;
	/* half of it is worse than none */
	log_warn("configuration to the engine");
	if (p->engine > 0)
		(void)kill(p->engine, SIGKILL);
}

static void
warn_missing(struct parent *p)
{
	struct pdev *d;
	struct pif *f;

	TAILQ_FOREACH(d, &p->devs, entry) {
		if (d->name[0] == '\0' || d->present != 0 ||
		    if_nametoindex(d->name) != 0)
			continue;
		TAILQ_FOREACH(f, &p->ifs, entry)
			if (f->dev == d && !f->stale)
				log_warnx("%s: carpdev %s does not exist, "
				    "waiting for it", f->name, d->name);
	}
}

/* Read the dump of interfaces until those of the configuration are known. */
static void
wait_links(struct parent *p)
{
	monotime_t end = monotime_add(monotime_now(),
	    LINKS_TIME * MONOTIME_MSEC);
	struct pollfd pfd = { .fd = p->kif_fd, .events = POLLIN };
	struct pdev *d;

	if (kif_dump(p->kif) == -1)
		log_warn("interface dump");
	while (monotime_cmp(monotime_now(), end) < 0) {
		TAILQ_FOREACH(d, &p->devs, entry)
			if (d->present == 0 && !d->refused &&
			    if_nametoindex(d->name) != 0)
				break;
		if (d == NULL)
			return;
		if (poll(&pfd, 1, 10) == 1)
			kif_read(p->kif);
	}
}

/* ---- carpdevs that the file does not name ---- */

struct nets {
	struct choose_net *net;
	size_t		 n, room;
};

/* Virtual addresses say nothing of networks; a link has each its own. */
static void
note_net(const struct kif_event *k, void *arg)
{
	struct nets *nets = arg;
	struct choose_net *net;

	if (!k->ethernet || k->macvlan || k->proto == KIF_PROTO_CARPD ||
	    ipaddr_is_linklocal(&k->addr))
		return;
	if (nets->n == nets->room) {
		nets->room = nets->room == 0 ? 16 : 2 * nets->room;
		nets->net = reallocarray(nets->net, nets->room,
		    sizeof(*nets->net));
		if (nets->net == NULL)
			fatal("reallocarray");
	}
	net = &nets->net[nets->n++];
	net->ifindex = k->ifindex;
	memcpy(net->ifname, k->ifname, sizeof(net->ifname));
	net->addr = k->addr;
}

/* All that there is has been told, or LINKS_TIME is over. */
static void
wait_idle(struct parent *p)
{
	monotime_t end = monotime_add(monotime_now(),
	    LINKS_TIME * MONOTIME_MSEC);
	struct pollfd pfd = { .fd = p->kif_fd, .events = POLLIN };

	while (!kif_idle(p->kif) && monotime_cmp(monotime_now(), end) < 0) {
		(void)poll(&pfd, 1, 10);
		kif_read(p->kif);	/* asks again where it could not */
	}
}

/*
 * Give those interfaces of c a carpdev that the file gives none.  What was
 * chosen stays while that is there and the addresses are the same.  Returns
 * for each interface why it has none, to be freed; NULL: all is in the file.
 */
static char (*
choose(struct parent *p, struct config *c))[CHOOSE_WHY_MAX]
{
	struct nets nets = { NULL, 0, 0 };
	char (*why)[CHOOSE_WHY_MAX] = NULL;
	struct config_iface *i;
	struct pif *f;
	bool any = false;

	for (i = c->ifaces; i < c->ifaces + c->nifaces; i++) {
		if (!i->chosen)
			continue;
		any = true;
		memset(i->carpdev, 0, sizeof(i->carpdev));
		f = pif_find(p, i->name);
		if (f != NULL && f->chosen && f->dev->present != 0 &&
		    pif_same_addrs(f, i))
			(void)strlcpy(i->carpdev, f->dev->name,
			    sizeof(i->carpdev));
	}
	if (!any)
		return (NULL);
	if ((why = calloc(c->nifaces, sizeof(*why))) == NULL)
		fatal("calloc");
	if (p->generation == 0 && kif_dump(p->kif) == -1)
		log_warn("interface dump");
	wait_idle(p);
	kif_each_addr(p->kif, note_net, &nets);
	choose_carpdevs(c, nets.net, nets.n, why);
	free(nets.net);
	return (why);
}

static void
tell_chosen(struct parent *p, const struct pif *f)
{
	struct msg_chosen m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, f->name, sizeof(m.name));
	(void)strlcpy(m.carpdev, f->dev->name, sizeof(m.carpdev));
	(void)strlcpy(m.why, f->why, sizeof(m.why));
	if (p->chan != NULL && channel_send(p->chan, IMSG_CHOSEN,
	    ++p->generation, -1, &m, sizeof(m)) == -1)
		log_warn("message to the engine");
}

/*
 * Say what was chosen, once, and tell the engine, which after a configuration
 * knows all carpdevs but not why there is none.
 */
static void
say_chosen(struct parent *p, const struct config *c,
    char (*why)[CHOOSE_WHY_MAX], bool configured)
{
	const struct config_iface *i;
	struct pif *f;
	bool same;

	for (i = c->ifaces; i < c->ifaces + c->nifaces; i++, why++) {
		if (!i->chosen || (f = pif_find(p, i->name)) == NULL)
			continue;
		same = f->told && strcmp(f->why, *why) == 0;
		(void)strlcpy(f->why, *why, sizeof(f->why));
		if (!same && f->dev->name[0] == '\0')
			log_warnx("%s: no carpdev: %s", f->name, f->why);
		else if (!same)
			log_info("%s: carpdev is %s", f->name, f->dev->name);
		f->told = true;
		if (configured ? f->dev->name[0] == '\0' : !same)
			tell_chosen(p, f);
	}
}

/* The interfaces as they are, for a choice. */
static struct config *
current(struct parent *p)
{
	struct config *c = config_new();
	struct config_iface i;
	struct pif *f;
	size_t k;

	TAILQ_FOREACH(f, &p->ifs, entry) {
		if (f->stale)
			continue;
		memset(&i, 0, sizeof(i));
		(void)strlcpy(i.name, f->name, sizeof(i.name));
		(void)strlcpy(i.carpdev, f->dev->name, sizeof(i.carpdev));
		i.chosen = f->chosen;
		i.nvhids = (uint8_t)f->nvhids;
		for (k = 0; k < f->nvhids; k++)
			i.vhids[k].vhid = f->vhids[k];
		i.naddrs = (uint16_t)f->naddrs;
		for (k = 0; k < f->naddrs; k++)
			i.addrs[k] = f->addrs[k].addr;
		(void)config_add_iface(c, &i);
	}
	return (c);
}

static void	 settle_devs(struct parent *);

/* The same interface elsewhere; where it was it has nothing any more. */
static void
pif_move(struct parent *p, struct pif *f, const char *carpdev)
{
	struct pif *n;
	size_t i;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		fatal("calloc");
	*n = *f;
	n->addrs = calloc(n->naddrs, sizeof(*n->addrs));
	n->bowouts = calloc(n->nvhids, (GROUPS + n->npeers) *
	    sizeof(*n->bowouts));
	if (n->addrs == NULL || n->bowouts == NULL)
		fatal("calloc");
	for (i = 0; i < n->naddrs; i++) {
		n->addrs[i].addr = f->addrs[i].addr;
		n->addrs[i].shown = 255;
	}
	n->on = n->told = n->grouped = false;
	n->dev = pdev_get(p, carpdev);
	f->stale = true;
	TAILQ_INSERT_AFTER(&p->ifs, f, n, entry);
	if (n->dev->ifindex != 0)
		pif_declare(p, n);
}

static bool
move_chosen(struct parent *p, const struct config *c)
{
	const struct config_iface *i;
	struct pif *f;
	bool moved = false;

	for (i = c->ifaces; i < c->ifaces + c->nifaces; i++) {
		f = pif_find(p, i->name);
		if (f == NULL || strcmp(f->dev->name, i->carpdev) == 0)
			continue;
		pif_move(p, f, i->carpdev);
		moved = true;
	}
	return (moved);
}

/* Something came or went: who has no carpdev, or lost it, may find one. */
static void
choose_cb(void *arg)
{
	struct parent *p = arg;
	char (*why)[CHOOSE_WHY_MAX];
	struct config *c;
	struct pif *f;

	TAILQ_FOREACH(f, &p->ifs, entry)
		if (f->chosen && !f->stale && f->dev->present == 0)
			break;
	if (f == NULL || p->stopping)
		return;
	c = current(p);
	if ((why = choose(p, c)) != NULL) {
		/* only then: it has interfaces dumped, which brings us here */
		if (move_chosen(p, c))
			settle_devs(p);
		say_chosen(p, c, why, false);
		free(why);
	}
	config_free(c);
}

/* When the events that are here now have been read. */
static void
choose_soon(struct parent *p)
{
	ev_timer_at(p->choose, monotime_now());
}

/* ---- a configuration comes into force ---- */

/* What is wanted of carpdevs has changed. */
static void
settle_devs(struct parent *p)
{
	struct pdev *d;

	TAILQ_FOREACH(d, &p->devs, entry)
		if (d->vaddr != NULL)
			vaddr_settle(d->vaddr);
	wait_links(p);
	TAILQ_FOREACH(d, &p->devs, entry)
		pdev_attach(p, d);
}

/*
 * Additions first, then the engine moves over, then (READY) what it left is
 * undone: at no moment does it run on something that is not there.
 */
static void
apply_config(struct parent *p, struct config *c)
{
	char (*why)[CHOOSE_WHY_MAX];
	const struct config_iface *i;
	struct pif *f, *next;
	size_t k;

	kif_read(p->kif);	/* the host's addresses as they are now */
	why = choose(p, c);
	TAILQ_FOREACH_SAFE(f, &p->ifs, entry, next) {
		i = config_find_iface(c, f->name);
		if (i == NULL || !pif_like(f, i))
			f->stale = true;
		else if (!f->stale) {
			if (!pif_same_vhids(f, i))
				pif_revhid(p, f, i);
			pif_peers(f, i);
			f->told = f->told || f->chosen != (i->chosen != 0);
			f->chosen = i->chosen != 0;
			pif_rekey(f, i);
		}
	}
	for (k = 0; k < c->nifaces; k++)
		if (pif_find(p, c->ifaces[k].name) == NULL) {
			f = pif_new(p, &c->ifaces[k]);
			if (f->dev->ifindex != 0)
				pif_declare(p, f);
		}
	for (k = 0; why != NULL && k < c->nifaces; k++) {
		/* in the order of the file, which later choices keep to */
		f = pif_find(p, c->ifaces[k].name);
		TAILQ_REMOVE(&p->ifs, f, entry);
		TAILQ_INSERT_TAIL(&p->ifs, f, entry);
	}
	settle_devs(p);
	warn_missing(p);
	send_config(p, c);
	hmac_wipe_stack();
	if (why != NULL)
		say_chosen(p, c, why, true);
	free(why);
}

static struct config *
load(const struct daemon *d, struct daemon_load *m)
{
	return (config_load(d->file, d->defines, daemon_load_error,
	    daemon_load_warning, m));
}

static void
reload(struct parent *p, uint32_t client)
{
	struct msg_result r;
	struct daemon_load m;
	struct config *c;

	memset(&m, 0, sizeof(m));
	memset(&r, 0, sizeof(r));
	r.client = client;
	c = load(&p->daemon, &m);
	if (c == NULL) {
		r.error = 1;
		(void)strlcpy(r.text, m.first[0] != '\0' ? m.first :
		    "cannot load the configuration", sizeof(r.text));
		log_warnx("%s: not reloaded, nothing has changed",
		    p->daemon.file);
	} else {
		apply_config(p, c);
		config_free(c);
		log_info("%s: reloaded", p->daemon.file);
	}
	to_engine(p, IMSG_RELOADED, -1, &r, sizeof(r));
}

/* ---- the end ---- */

static void
release_all(struct parent *p)
{
	struct pdev *d;
	struct pif *f;

	TAILQ_FOREACH(f, &p->ifs, entry)
		pif_addresses(p, f, false);
	TAILQ_FOREACH(d, &p->devs, entry)
		pdev_release(d, true);
}

/* The place of a last word of the i'th vhid to dst; NULL: not to that one. */
static struct bowout *
pif_bowout(const struct pif *f, size_t i, const struct ipaddr *dst)
{
	struct bowout *b = f->bowouts + i * (GROUPS + f->npeers);
	size_t k;

	if (ipaddr_is_multicast(dst))
		return (b + (dst->af == AF_INET6));
	for (k = 0; k < f->npeers; k++)
		if (ipaddr_cmp(&f->peers[k], dst) == 0)
			return (b + GROUPS + k);
	return (NULL);
}

/* All last words of the i'th vhid. */
static void
say_goodbye(struct pif *f, size_t i)
{
	struct bowout *b = f->bowouts + i * (GROUPS + f->npeers);
	const struct pdev *d = f->dev;
	const struct ipaddr *a;
	size_t k;

	for (k = 0; k < GROUPS; k++, b++) {
		if (b->len == 0)
			continue;
		if (balance_real_source(f->mode))
			frame_set_source(b->frame, d->mac);
		(void)frameio_send(d->sock, b->frame, b->len);
	}
	for (a = f->peers; a < f->peers + f->npeers; a++, b++)
		if (b->len != 0)
			(void)frameio_send_ip(d->ip[a->af == AF_INET6],
			    d->ifindex, b->frame, b->len, a);
}

/*
 * The engine is dead: say its last words for what it was MASTER of, go on
 * forwarding for a moment, then close everything.  A slot drains before that is
 * said: the successor may answer before send() returns, and closes it.
 */
static void
engine_died(struct parent *p)
{
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; f->on && i < f->nvhids; i++) {
			if (f->dev->ifindex == 0 || steer_slot_get(
			    f->dev->slots, f->vhids[i]) == STEER_STATE_OFF)
				continue;
			steer_slot_set(f->dev->slots, f->vhids[i],
			    STEER_STATE_DRAIN, 0, monotime_now());
			say_goodbye(f, i);
		}
}

static void
finish_cb(void *arg)
{
	struct parent *p = arg;

	if (p->engine > 0)
		(void)kill(p->engine, SIGKILL);
	ev_stop();
}

static void
engine_gone(struct channel *c, const char *why, void *arg)
{
	struct parent *p = arg;

	channel_free(c);
	p->chan = NULL;
	if (p->stopping) {
		ev_stop();
		return;
	}
	log_at(LOG_CRIT, "engine died (%s): giving up all virtual addresses",
	    why);
	engine_died(p);
	p->stopping = true;
	p->status = 1;
	/* slots drain meanwhile, so that the successor loses nothing */
	ev_timer_at(p->deadline, monotime_add(monotime_now(),
	    (int64_t)STEER_DRAIN_NS));
}

static void
stop(struct parent *p, const char *why)
{
	if (p->stopping)
		return;
	p->stopping = true;
	log_info("stopping: %s", why);
	notify("STOPPING=1");
	to_engine(p, IMSG_STOP, -1, NULL, 0);
	ev_timer_at(p->deadline, monotime_add(monotime_now(), STOP_TIME));
}

static void
signal_cb(int sig, void *arg)
{
	struct parent *p = arg;

	switch (sig) {
	case SIGHUP:
		if (!p->stopping)
			reload(p, 0);
		return;
	case SIGUSR1:
		to_engine(p, IMSG_STATUS, -1, NULL, 0);
		return;
	case SIGCHLD:
		while (waitpid(-1, NULL, WNOHANG) > 0)
			p->engine = 0;
		return;
	default:
		stop(p, sig == SIGINT ? "SIGINT" : "SIGTERM");
		return;
	}
}

/* ---- the verbs of the root process ---- */

static void
refuse(struct parent *p, const char *what)
{
	p->count[PARENT_REFUSED]++;
	log_debug("engine asked for %s outside the configuration", what);
}

static void
verb_ready(struct parent *p, const struct imsg *im)
{
	/* or another reload is on its way to it: it runs on the one before */
	if (im->id == p->generation)
		forget_stale(p);
	if (p->ready)
		return;
	p->ready = true;
	daemon_ready(&p->daemon);
}

static void
verb_vaddr(struct parent *p, const struct imsg *im)
{
	const struct msg_vaddr *m = im->data;
	char name[IF_NAMESIZE];
	struct pif *f;
	bool known = false;

	memcpy(name, m->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	TAILQ_FOREACH(f, &p->ifs, entry) {
		if (strcmp(f->name, name) != 0 || (f->stale && m->on))
			continue;
		known = true;
		if (f->dev->ifindex != 0)
			pif_addresses(p, f, m->on != 0);
	}
	if (!known)
		refuse(p, "addresses");
}

/*
 * Is this the advertisement it claims to be: virtual MAC, protocol 112?  To a
 * peer the kernel and the classifier write the Ethernet header; where it is
 * the real MAC that says it, that is written when it is said.
 */
static bool
bowout_ok(const struct pif *pif, const struct msg_bowout *m)
{
	struct frame_ip f;
	uint8_t mac[6];

	vmac_of(m->vhid, mac);
	return (m->len <= sizeof(m->frame) &&
	    frame_peel(m->frame, m->len, &f) == FRAME_OK &&
	    f.proto == CARP_PROTO && f.len >= CARP_LEN &&
	    ipaddr_cmp(&f.dst, &m->dst) == 0 && (!f.multicast ||
	    balance_real_source(pif->mode) ||
	    memcmp(f.eth_src, mac, sizeof(mac)) == 0) &&
	    f.payload[1] == m->vhid && f.payload[2] == CARP_BOWOUT &&
	    f.payload[5] == CARP_BOWOUT);
}

static void
verb_bowout(struct parent *p, const struct imsg *im)
{
	const struct msg_bowout *m = im->data;
	struct pif *f;
	size_t i;

	TAILQ_FOREACH(f, &p->ifs, entry)
		for (i = 0; !f->stale && i < f->nvhids; i++) {
			struct bowout *b;

			if (f->vhids[i] != m->vhid || strncmp(f->dev->name,
			    m->carpdev, sizeof(m->carpdev)) != 0)
				continue;
			if ((b = pif_bowout(f, i, &m->dst)) == NULL)
				break;
			if (m->len != 0 && !bowout_ok(f, m)) {
				refuse(p, "a frame");
				return;
			}
			b->len = m->len;
			memcpy(b->frame, m->frame, m->len);
			return;
		}
	refuse(p, "a vhid");
}

static void
verb_log(struct parent *p, const struct imsg *im)
{
	const struct msg_log *m = im->data;

	(void)p;
	daemon_log(m->pri, m->line, sizeof(m->line));
}

static void
verb_reload(struct parent *p, const struct imsg *im)
{
	if (!p->stopping)
		reload(p, im->id);
}

static void
verb_ask_ipv6(struct parent *p, const struct imsg *im)
{
	const struct msg_name *m = im->data;
	char name[IF_NAMESIZE];
	struct pdev *d;

	memcpy(name, m->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	kif_read(p->kif);	/* an MTU may have changed just before */
	if ((d = pdev_find(p, name)) == NULL) {
		refuse(p, "a carpdev");
		return;
	}
	pdev_ipv6(p, d);
	tell_ipv6(p, d);
}

/* What each node of a group took and dropped. */
static void
tell_counts(struct parent *p, const struct pif *f)
{
	struct msg_count m;
	size_t i;

	for (i = 0; i < f->nvhids && f->dev->steer != NULL; i++) {
		memset(&m, 0, sizeof(m));
		(void)strlcpy(m.name, f->name, sizeof(m.name));
		m.vhid = f->vhids[i];
		if (steer_vhid_stats(f->dev->steer, m.vhid, &m.taken,
		    &m.dropped) == 0)
			to_engine(p, IMSG_COUNT, -1, &m, sizeof(m));
	}
}

static void
verb_counters(struct parent *p, const struct imsg *im)
{
	struct msg_parent_counters m;
	uint64_t val[STEER_STATS];
	struct pdev *d;
	struct pif *f;
	size_t i, n;

	(void)im;
	TAILQ_FOREACH(f, &p->ifs, entry)
		if (!f->stale && f->mode != BALANCE_NONE)
			tell_counts(p, f);
	memset(&m, 0, sizeof(m));
	memcpy(m.v, p->count, sizeof(m.v));
	TAILQ_FOREACH(d, &p->devs, entry) {
		if (d->steer == NULL)
			continue;
		n = steer_stats(d->steer, val, STEER_STATS);
		for (i = 0; i < n; i++)
			m.steer[i] += val[i];
	}
	to_engine(p, IMSG_COUNTERS, -1, &m, sizeof(m));
}

static void
verb_alive(struct parent *p, const struct imsg *im)
{
	(void)im;
	to_engine(p, IMSG_ALIVE, -1, NULL, 0);
}

static void
verb_stopped(struct parent *p, const struct imsg *im)
{
	(void)im;
	if (p->stopping)
		ev_stop();
}

static void (*const verbs[IMSG_MAX])(struct parent *, const struct imsg *) = {
	[IMSG_READY] = verb_ready,		/* configuration is in force */
	[IMSG_VADDR] = verb_vaddr,		/* its addresses on or off */
	[IMSG_BOWOUT] = verb_bowout,		/* deposit the last frame */
	[IMSG_LOG] = verb_log,
	[IMSG_RELOAD] = verb_reload,
	[IMSG_ASK_IPV6] = verb_ask_ipv6,	/* is it disabled there? */
	[IMSG_WANT_COUNTERS] = verb_counters,
	[IMSG_ASK_ALIVE] = verb_alive,
	[IMSG_STOPPED] = verb_stopped,
};

static void
engine_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct parent *p = arg;
	const char *bad;

	(void)c;
	bad = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_ENGINE);
	if (bad == NULL && verbs[im->type] == NULL)
		bad = "not a verb";
	if (bad != NULL) {
		log_warnx("engine sent message %u: %s", im->type, bad);
		if (im->fd != -1)
			close(im->fd);
		if (p->engine > 0)
			(void)kill(p->engine, SIGKILL);
		return;
	}
	verbs[im->type](p, im);
}

/* ---- start ---- */

/* That of the first carpdev that is there tells this machine from a clone. */
static const uint8_t *
some_mac(const struct config *c, uint8_t mac[6])
{
	size_t i;

	for (i = 0; i < c->nifaces; i++)
		if (kif_mac(c->ifaces[i].carpdev, mac))
			return (mac);
	return (NULL);
}

static void
tell_start(struct parent *p, const struct config *c)
{
	uint8_t mac[6];
	struct msg_start m;
	struct epoch e;
	int fd;

	memset(&m, 0, sizeof(m));
	epoch_start(p->daemon.name, p->daemon.sock, some_mac(c, mac), &e);
	m.epoch = e.epoch;
	m.node = e.node;
	m.verbose = p->daemon.verbose;
	to_engine(p, IMSG_START, -1, &m, sizeof(m));
	if ((fd = kif_open(false)) == -1)
		fatal("kif_open");
	kif_skip_ours(fd);
	to_engine(p, IMSG_KIF_SOCKET, fd, NULL, 0);
}

/* A carpdev takes some twenty descriptors, and the usual limit is 1024. */
static void
allow_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		log_debug("limit of %ju files refused", (uintmax_t)rl.rlim_max);
}

static void
parent_setup(struct parent *p, struct config *c)
{
	const char *refused;
	int ctl, fd;

	ctl = daemon_listen(&p->daemon);
	daemon_background(&p->daemon);
	allow_files();
	if ((refused = sandbox_realtime(CARPD_PARENT_PRIO)) != NULL)
		log_debug("parent: %s", refused);
	ev_init();
	TAILQ_INIT(&p->devs);
	TAILQ_INIT(&p->ifs);
	p->refresh = ev_timer_new(refresh_cb, p);
	p->retry = ev_timer_new(retry_cb, p);
	p->deadline = ev_timer_new(finish_cb, p);
	p->choose = ev_timer_new(choose_cb, p);
	daemon_signals(signal_cb, p);
	if ((fd = kif_open(true)) == -1 ||
	    (p->kif = kif_from_fd(fd, kif_event, p)) == NULL)
		fatal("kif_open");
	p->kif_fd = fd;
	kif_skip_ours(fd);
	(void)ev_fd_new(fd, EV_IN, kif_readable, p);
	p->chan = daemon_child(&p->daemon, 'E', &p->engine, engine_msg,
	    engine_gone, p);
	imsgbuf_limit(channel_imsgbuf(p->chan), CARPD_QUEUE_MAX);
	tell_start(p, c);
	apply_config(p, c);
	/* last, so that nobody is shown a daemon without configuration */
	to_engine(p, IMSG_CTL_SOCKET, ctl, NULL, 0);
	config_free(c);
	refresh_cb(p);
	sandbox_enter(SANDBOX_CARPD_PARENT, 0, 0);
	setproctitle("parent");
}

/* -n: 0 when the file is right; twice prints it. */
static int
check_config(const struct daemon *d)
{
	struct daemon_load m;
	struct config *c;

	memset(&m, 0, sizeof(m));
	m.check = true;
	if ((c = load(d, &m)) == NULL)
		return (1);
	if (d->check > 1)
		config_print(c, false, stdout);
	config_free(c);
	return (0);
}

int
main(int argc, char *argv[])
{
	static struct parent p;
	struct daemon *d = &p.daemon;
	struct daemon_load m;
	struct config *c;

	d->name = "carpd";
	d->roles = "E:";
	d->file = CARPD_CONF;
	d->sock = CARPD_SOCKET;
	d->user = CARPD_USER;
	daemon_args(d, argc, argv);
	if (d->role == 'E')
		engine_main(DAEMON_CHILD_FD, d->user, d->verbose);
	if (d->check)
		return (check_config(d));
	daemon_parent(d, argv[0]);
	memset(&m, 0, sizeof(m));
	if ((c = load(d, &m)) == NULL)
		return (1);
	notify_init();
	parent_setup(&p, c);
	ev_loop();
	release_all(&p);
	control_cleanup(d->sock);
	log_info("terminating");
	return (p.status);
}
