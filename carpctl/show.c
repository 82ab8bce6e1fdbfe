/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Gathers an interface with its vhids and addresses, and a group with its
 * entries, from the messages of carpd/msgs.h, and calls the writer with each
 * once it is complete.  Formats nothing itself but the words all writers
 * share.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "../carpd/autopsy.h"
#include "../common/imsg.h"
#include "put.h"
#include "show.h"

struct show {
	const struct show_writer *w;
	void			*arg;
	struct show_iface	 iface;
	bool			 in_iface;
	struct show_group	 group;
	bool			 in_group;
};

struct show *
show_new(const struct show_writer *w, FILE *f, enum ctl_what what)
{
	struct show	*s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		err(1, NULL);
	s->w = w;
	s->arg = w->begin(f, what);
	return (s);
}

void *
show_arg(const struct show *s)
{
	return (s->arg);
}

/* Hand over what was gathered. */
static void
show_flush(struct show *s)
{
	if (s->in_iface && s->w->iface != NULL)
		s->w->iface(s->arg, &s->iface);
	if (s->in_group && s->w->group != NULL)
		s->w->group(s->arg, &s->group);
	s->in_iface = s->in_group = false;
	free(s->group.entries);
	memset(&s->group, 0, sizeof(s->group));
	memset(&s->iface, 0, sizeof(s->iface));
}

int
show_end(struct show *s)
{
	int	 code;

	show_flush(s);
	code = s->w->end(s->arg);
	free(s);
	return (code);
}

static int
feed_global(struct show *s, const void *data)
{
	if (s->w->global != NULL)
		s->w->global(s->arg, data);
	return (0);
}

static int
feed_iface(struct show *s, const void *data)
{
	const struct ctl_iface	*i = data;
	size_t			 n;

	if (!PUT_IS_TEXT(i->name) || !PUT_IS_TEXT(i->carpdev) ||
	    i->ngroups > CONFIG_GROUPS_MAX)
		return (-1);
	for (n = 0; n < i->ngroups; n++)
		if (!PUT_IS_TEXT(i->groups[n]))
			return (-1);
	show_flush(s);
	s->iface.i = *i;
	s->in_iface = true;
	return (0);
}

static int
feed_vhid(struct show *s, const void *data)
{
	const struct ctl_vhid	*v = data;

	if (!s->in_iface || s->iface.nvhids == CONFIG_VHIDS_MAX ||
	    !PUT_IS_TEXT(v->name) || !PUT_IS_TEXT(v->why))
		return (-1);
	s->iface.vhids[s->iface.nvhids++] = *v;
	return (0);
}

static int
feed_addr(struct show *s, const void *data)
{
	const struct ctl_addr	*a = data;

	if (!s->in_iface || s->iface.naddrs == CONFIG_ADDRS_MAX ||
	    !PUT_IS_TEXT(a->name))
		return (-1);
	s->iface.addrs[s->iface.naddrs++] = *a;
	return (0);
}

static int
feed_unlike(struct show *s, const void *data)
{
	const struct ctl_unlike	*u = data;

	if (!s->in_iface || !PUT_IS_TEXT(u->name) ||
	    u->nvhids > CONFIG_VHIDS_MAX)
		return (-1);
	if (s->iface.nunlike < SHOW_UNLIKE_MAX)
		s->iface.unlike[s->iface.nunlike++] = *u;
	return (0);
}

static int
feed_group(struct show *s, const void *data)
{
	const struct ctl_group	*g = data;

	if (!PUT_IS_TEXT(g->name))
		return (-1);
	show_flush(s);
	s->group.g = *g;
	s->in_group = true;
	return (0);
}

static int
feed_entry(struct show *s, const void *data)
{
	const struct ctl_entry	*e = data;
	struct ctl_entry	*all;

	if (!s->in_group || !PUT_IS_TEXT(e->group) || !PUT_IS_TEXT(e->owner) ||
	    !PUT_IS_TEXT(e->reason))
		return (-1);
	all = reallocarray(s->group.entries, s->group.nentries + 1,
	    sizeof(*all));
	if (all == NULL)
		err(1, NULL);
	all[s->group.nentries++] = *e;
	s->group.entries = all;
	return (0);
}

static int
feed_counter(struct show *s, const void *data)
{
	const struct ctl_counter	*c = data;

	if (!PUT_IS_TEXT(c->name))
		return (-1);
	if (s->w->counter != NULL)
		s->w->counter(s->arg, c);
	return (0);
}

static int
feed_peer(struct show *s, const void *data)
{
	const struct ctl_peer	*p = data;

	if (!PUT_IS_TEXT(p->name) || !PUT_IS_TEXT(p->carpdev) ||
	    !PUT_IS_TEXT(p->like) || p->nvhids > CONFIG_VHIDS_MAX)
		return (-1);
	if (s->w->peer != NULL)
		s->w->peer(s->arg, p);
	return (0);
}

static int
feed_history(struct show *s, const void *data)
{
	const struct ctl_history	*h = data;

	if (!PUT_IS_TEXT(h->name))
		return (-1);
	if (s->w->history != NULL)
		s->w->history(s->arg, h);
	return (0);
}

static int	(*const feeders[IMSG_MAX])(struct show *, const void *) = {
	[IMSG_CTL_GLOBAL] = feed_global,
	[IMSG_CTL_IFACE] = feed_iface,
	[IMSG_CTL_VHID] = feed_vhid,
	[IMSG_CTL_ADDR] = feed_addr,
	[IMSG_CTL_UNLIKE] = feed_unlike,
	[IMSG_CTL_GROUP] = feed_group,
	[IMSG_CTL_ENTRY] = feed_entry,
	[IMSG_CTL_COUNTER] = feed_counter,
	[IMSG_CTL_PEER] = feed_peer,
	[IMSG_CTL_HISTORY] = feed_history
};

int
show_feed(struct show *s, const struct imsg *im)
{
	if (im->type >= IMSG_MAX || feeders[im->type] == NULL)
		return (-1);
	return (feeders[im->type](s, im->data));
}

enum vhost_state
show_iface_state(const struct show_iface *i)
{
	enum vhost_state	 state = VHOST_BACKUP;
	size_t			 n;

	for (n = 0; n < i->nvhids; n++) {
		if (i->vhids[n].state == VHOST_MASTER)
			return (VHOST_MASTER);
		if (i->vhids[n].state == VHOST_INIT)
			state = VHOST_INIT;
	}
	return (i->nvhids == 0 ? VHOST_INIT : state);
}

static const char *
word(const char *const *names, size_t n, size_t i)
{
	return (i < n && names[i] != NULL ? names[i] : "?");
}

const char *
show_state(uint8_t state)
{
	return (word(vhost_state_names, VHOST_STATES, state));
}

const char *
show_cause(uint8_t cause)
{
	return (word(vhost_cause_names, VHOST_CAUSES, cause));
}

const char *
show_kind(uint8_t kind)
{
	return (word(peer_kind_names, PEER_KINDS, kind));
}

static const char *
why_dropped(uint8_t drop)
{
	static const char *const	 why[ADVERT_DROPS] = {
		[ADVERT_ACCEPT] = "verified",
		[ADVERT_DROP_BADIF] = "unicast, no peer configured here",
		[ADVERT_DROP_BADTTL] = "TTL is not 255",
		[ADVERT_DROP_HDROPS] = "fragment",
		[ADVERT_DROP_BADSUM] = "wrong checksum",
		[ADVERT_DROP_BADVER] = "another version",
		[ADVERT_DROP_BADLEN] = "too short",
		[ADVERT_DROP_BADAUTH] = "another pass or address list",
		[ADVERT_DROP_PASS] = "another pass",
		[ADVERT_DROP_ADDRS] = "another address list",
		[ADVERT_DROP_BADVHID] =
		    "this family or unicast is not configured here",
		[ADVERT_DROP_LOOP] = "our own, by a loop or replayed",
		[ADVERT_DROP_REPLAY] = "replayed",
		[ADVERT_DROP_TRAILER] = "wrong trailer",
		[ADVERT_DROP_NOAUTH] = "no key, and auth is strict",
		[ADVERT_DROP_KEYID] = "a key that is not configured here",
		[ADVERT_DROP_UNPROVEN] = "not proven to be live"
	};

	return (word(why, ADVERT_DROPS, drop));
}

const char *
show_why(const struct ctl_peer *p)
{
	if (p->kind == PEER_VRRP2 || p->kind == PEER_VRRP3)
		return ("VRRP, with the virtual MAC of this vhid");
	if (!p->verified && p->fault == AUTOPSY_ADDRS)
		return (why_dropped(ADVERT_DROP_ADDRS));
	if (!p->verified && p->fault == AUTOPSY_VHID)
		return ("our pass and addresses, another vhid");
	if (p->name[0] == '\0' && p->drop == ADVERT_DROP_BADVHID)
		return ("this vhid is not configured here");
	return (why_dropped(p->verified ? ADVERT_ACCEPT : p->drop));
}

const char *
show_group(uint8_t balancing, const uint8_t *vhids, size_t n,
    char buf[SHOW_GROUP_STRLEN])
{
	size_t	 i, len;

	(void)snprintf(buf, SHOW_GROUP_STRLEN, "balancing %s, vhid%s",
	    show_balancing(balancing), n == 1 ? "" : "s");
	for (i = 0; i < n; i++) {
		len = strlen(buf);
		(void)snprintf(buf + len, SHOW_GROUP_STRLEN - len, " %u",
		    vhids[i]);
	}
	return (buf);
}

const char *
show_unlike(const struct ctl_unlike *u, char buf[SHOW_GROUP_STRLEN])
{
	if (u->drop != ADVERT_ACCEPT)
		return (why_dropped(u->drop));
	return (show_group(u->balancing, u->vhids, u->nvhids, buf));
}

const char *
show_drop(uint8_t drop)
{
	return (word(advert_drop_names, ADVERT_DROPS, drop));
}

const char *
show_variant(uint8_t variant)
{
	static const char *const names[ADVERT_VARIANTS] = {
		[ADVERT_NOV6LL] = "openbsd",
		[ADVERT_ORIG] = "freebsd"
	};

	return (word(names, ADVERT_VARIANTS, variant));
}

const char *
show_digest(uint8_t digest)
{
	return (word(config_digest_names, DIGEST_FREEBSD + 1, digest));
}

const char *
show_style(uint8_t style)
{
	return (word(config_style_names, STYLE_BOTH + 1, style));
}

const char *
show_balancing(uint8_t balancing)
{
	return (word(balance_mode_names, BALANCE_IP_UNICAST + 1, balancing));
}

const char *
show_mac(const uint8_t mac[6], char buf[18])
{
	snprintf(buf, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
	    mac[2], mac[3], mac[4], mac[5]);
	return (buf);
}

const char *
show_node(uint32_t node, char buf[SHOW_NODE_STRLEN])
{
	snprintf(buf, SHOW_NODE_STRLEN, "%08x", node);
	return (buf);
}
