/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: network interfaces of the system: index, MTU, MAC, link,
 * addresses, and what changes.  Linux: rtnetlink; BSD: route socket; null:
 * nothing exists.  Events name interfaces by index and name; a re-created
 * interface has a new index.
 */
#ifndef COMMON_OS_KIF_H
#define COMMON_OS_KIF_H

#include <net/if.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ipaddr.h"

enum kif_event_type {
	KIF_LINK,		/* present; flags, mac, mtu, link as given */
	KIF_GONE,		/* interface removed, or renamed away */
	KIF_ADDR_ADD,		/* address present (or changed) */
	KIF_ADDR_DEL,
	KIF_TC,			/* a traffic control object went away */
	KIF_OVERRUN		/* events were lost: everything is dumped anew */
};

struct kif_event {
	enum kif_event_type type;
	int		 ifindex;
	char		 ifname[IF_NAMESIZE];
	/* KIF_LINK */
	bool		 up;		/* administratively */
	bool		 running;	/* up and carrier */
	uint8_t		 mac[6];
	uint32_t	 mtu;
	bool		 ethernet;
	bool		 bridge;	/* of kind "bridge" */
	bool		 macvlan;	/* one that gets only what is for its
					   own MAC: not in mode passthru */
	int		 master;	/* index of the bridge, bond or other
					   that it is a port of; 0 none */
	/* KIF_GONE: it is still there, by another name */
	bool		 renamed;
	/* KIF_ADDR_*: addr.plen is the prefix length */
	struct ipaddr	 addr;
	bool		 tentative;	/* cannot be a source yet, or dadfailed */
	uint8_t		 proto;		/* IFA_PROTO, our mark; 0 unknown */
};

/* Our mark on addresses (IFA_PROTO). */
#define KIF_PROTO_CARPD	112

struct kif;
typedef void (*kif_cb)(const struct kif_event *e, void *arg);

/*
 * Open and subscribe (links, addresses; with tc also traffic control).  The
 * fd may be handed to an unprivileged process and wrapped there with
 * kif_from_fd(): it receives events and can dump.  -1 and errno.
 */
int		 kif_open(bool tc);
/*
 * From now on the fd does not tell of addresses with KIF_PROTO_CARPD that are
 * put there or refreshed, only of their going, and all of them in a dump.
 */
void		 kif_skip_ours(int fd);
/* The MAC address that an interface has now.  false: there is none. */
bool		 kif_mac(const char *ifname, uint8_t mac[6]);
/* Takes over the fd. */
struct kif	*kif_from_fd(int fd, kif_cb cb, void *arg);
void		 kif_free(struct kif *k);
/*
 * Ask for everything there is; events KIF_LINK and KIF_ADDR_ADD come through
 * kif_read().  0 or -1.
 */
int		 kif_dump(struct kif *k);
/* Read what is there and call back; on overrun KIF_OVERRUN and a new dump. */
void		 kif_read(struct kif *k);
/* Is no dump under way, so that everything there is has been told? */
bool		 kif_idle(const struct kif *k);
/*
 * Every address known, by index of its interface, as KIF_ADDR_ADD of which
 * ifindex, ifname, addr, proto and, of its interface, ethernet and macvlan are
 * filled in.
 */
void		 kif_each_addr(struct kif *k, kif_cb cb, void *arg);

#endif
