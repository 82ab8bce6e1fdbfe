/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * From the daemon's replies to what the operator sees.  show.c gathers the
 * messages of carpd/msgs.h into whole objects and hands these to a writer;
 * text, JSON and `show --check` are writers.
 */
#ifndef CARPCTL_SHOW_H
#define CARPCTL_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../carpd/config.h"
#include "../carpd/msgs.h"
#include "../carpd/peer.h"
#include "../carpd/vhost.h"

#define SHOW_NOT_INSTALLED	255	/* ctl_addr.plen */
#define SHOW_NODE_STRLEN	9	/* "01234567" and NUL */
#define SHOW_UNLIKE_MAX		32	/* of one interface; more are left out */
#define SHOW_GROUP_STRLEN	(40 + 4 * CONFIG_VHIDS_MAX)

struct show_iface {
	struct ctl_iface	 i;
	struct ctl_vhid		 vhids[CONFIG_VHIDS_MAX];
	size_t			 nvhids;
	struct ctl_addr		 addrs[CONFIG_ADDRS_MAX];
	size_t			 naddrs;
	struct ctl_unlike	 unlike[SHOW_UNLIKE_MAX];
	size_t			 nunlike;
};

struct show_group {
	struct ctl_group	 g;
	struct ctl_entry	*entries;
	size_t			 nentries;
};

/* Methods get what begin() returned; NULL methods are skipped. */
struct show_writer {
	void	*(*begin)(FILE *f, enum ctl_what what);
	void	 (*global)(void *arg, const struct ctl_global *g);
	void	 (*iface)(void *arg, const struct show_iface *i);
	void	 (*group)(void *arg, const struct show_group *g);
	void	 (*counter)(void *arg, const struct ctl_counter *c);
	void	 (*peer)(void *arg, const struct ctl_peer *p);
	void	 (*history)(void *arg, const struct ctl_history *h);
	/* Writes what is left, frees arg; returns the exit code. */
	int	 (*end)(void *arg);
};

extern const struct show_writer show_text, show_json, show_check;

struct show;

struct show	*show_new(const struct show_writer *w, FILE *f,
		    enum ctl_what what);
/* What the writer's begin() has returned. */
void		*show_arg(const struct show *s);
/*
 * One reply of a show request, before its IMSG_CTL_END.  0, or -1 when it
 * makes no sense here.
 */
int		 show_feed(struct show *s, const struct imsg *im);
/* Hands over, finishes the output, frees s; returns the exit code. */
int		 show_end(struct show *s);

/* -- words and numbers that writers share -- */

/*
 * As carp(4): MASTER when it is that of any of its vhids; else INIT if any is
 * (or there is none), else BACKUP.
 */
enum vhost_state show_iface_state(const struct show_iface *i);
const char	*show_state(uint8_t state);
const char	*show_cause(uint8_t cause);
const char	*show_drop(uint8_t drop);
const char	*show_kind(uint8_t kind);	/* "-": not known */
/* Why a peer's packets do not count, or "verified". */
const char	*show_why(const struct ctl_peer *p);
/* The same for a node that has an interface differently. */
const char	*show_unlike(const struct ctl_unlike *u,
		    char buf[SHOW_GROUP_STRLEN]);
/* "balancing ip, vhids 3 4", SHOW_GROUP_STRLEN bytes. */
const char	*show_group(uint8_t balancing, const uint8_t *vhids, size_t n,
		    char buf[SHOW_GROUP_STRLEN]);
const char	*show_variant(uint8_t variant);	/* digest: openbsd, freebsd */
const char	*show_digest(uint8_t digest);	/* as configured */
const char	*show_style(uint8_t style);
const char	*show_balancing(uint8_t balancing);
/* "xx:xx:xx:xx:xx:xx", 18 bytes. */
const char	*show_mac(const uint8_t mac[6], char buf[18]);
/* Eight hexadecimal digits. */
const char	*show_node(uint32_t node, char buf[SHOW_NODE_STRLEN]);

#endif
