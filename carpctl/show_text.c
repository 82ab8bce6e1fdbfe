/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What carpctl shows to people: interfaces and groups in the form of
 * ifconfig(8), the rest as one line per fact.  Times are local.
 */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "put.h"
#include "show.h"

#define TIME_STRLEN	PUT_TIME_STRLEN

struct text {
	FILE		*f;
	enum ctl_what	 what;
	uint64_t	 now;		/* seconds; 0: not told */
	size_t		 nlines;	/* of a table */
};

static void *
text_begin(FILE *f, enum ctl_what what)
{
	struct text	*t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		err(1, NULL);
	t->f = f;
	t->what = what;
	return (t);
}

static const char *
local_time(uint64_t ms, char *buf, size_t len)
{
	time_t		 sec = (time_t)(ms / 1000);
	struct tm	 tm;

	if (localtime_r(&sec, &tm) == NULL ||
	    strftime(buf, len, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		strlcpy(buf, "?", len);
	return (buf);
}

/* "since 2026-11-22 04:03:11 (2h03m)" */
static void
print_since(const struct text *t, uint64_t ms)
{
	char	 at[TIME_STRLEN], ago[TIME_STRLEN];

	fprintf(t->f, "since %s", local_time(ms, at, sizeof(at)));
	if (t->now >= ms / 1000 && t->now != 0)
		fprintf(t->f, " (%s)", put_duration(t->now - ms / 1000, ago,
		    sizeof(ago)));
}

static void
text_global(void *arg, const struct ctl_global *g)
{
	struct text	*t = arg;
	char		 node[SHOW_NODE_STRLEN], up[TIME_STRLEN];

	t->now = g->now;
	if (t->what != CTL_WHAT_ALL)
		return;
	fprintf(t->f, "carpd: node %s, up %s, preempt %s, log %u%s%s\n",
	    show_node(g->node, node),
	    put_duration(g->uptime_ms / 1000, up, sizeof(up)),
	    g->preempt ? "yes" : "no", g->log, g->verbose ? ", verbose" : "",
	    g->allow ? "" : ", disabled");
}

/* As ifconfig(8) says it. */
static const char *
carpdev(const struct show_iface *i)
{
	return (i->i.carpdev[0] != '\0' ? i->i.carpdev : "none");
}

static void
print_head(const struct text *t, const struct show_iface *i)
{
	char	 mac[18];

	fprintf(t->f, "%s: carpdev %s%s demotion %d\n", i->i.name,
	    carpdev(i), i->i.carpdev[0] == '\0' ? "" :
	    !i->i.present ? " (missing)" : !i->i.link ? " (no link)" : "",
	    i->i.demotion);
	if (i->nvhids != 0)
		fprintf(t->f, "\tlladdr %s\n",
		    show_mac(i->vhids[0].lladdr, mac));
}

static void
print_why(const struct text *t, const struct ctl_vhid *v, const char *indent)
{
	if (v->state == VHOST_INIT && v->why[0] != '\0')
		fprintf(t->f, "%swaiting: %s\n", indent, v->why);
}

/* Whom a BACKUP hears. */
static void
print_master(const struct text *t, const struct ctl_vhid *v,
    const char *indent)
{
	char	 addr[IPADDR_STRLEN], node[SHOW_NODE_STRLEN];

	if (v->state != VHOST_BACKUP)
		return;
	if (v->master.af == 0) {
		fprintf(t->f, "%smaster: none heard\n", indent);
		return;
	}
	fprintf(t->f, "%smaster: %s advbase %u advskew %u", indent,
	    ipaddr_print(&v->master, addr, sizeof(addr)),
	    v->master_skew / 256, v->master_skew % 256);
	if (v->master_node != 0)
		fprintf(t->f, " node %s", show_node(v->master_node, node));
	fputc('\n', t->f);
}

/* Two are MASTER: nothing on this screen is as important. */
static void
print_split(const struct text *t, const struct ctl_vhid *v,
    const char *indent)
{
	char	 addr[IPADDR_STRLEN];

	if (v->split.af == 0)
		return;
	fprintf(t->f, "%sSPLIT: %s is MASTER, too%s, ", indent,
	    ipaddr_print(&v->split, addr, sizeof(addr)),
	    !v->split_heard ? " (heard by pfsyncd only)" :
	    v->split_verified ? "" : " (another pass or address list)");
	print_since(t, v->split_ms);
	fputc('\n', t->f);
}

/* Where unicast advertisements go. */
static void
print_peers(const struct text *t, const struct show_iface *i)
{
	const struct ipaddr	*a = i->i.peers;
	char			 buf[IPADDR_STRLEN];
	size_t			 n;

	for (n = 0; n < i->i.npeers && n < CONFIG_PEERS_MAX; n++, a++)
		fprintf(t->f, " carppeer %s%s", ipaddr_print(a, buf,
		    sizeof(buf)), a->plen == 0 ? " (this host)" : "");
	fputc('\n', t->f);
}

static void
print_vhid(const struct text *t, const struct show_iface *i,
    const struct ctl_vhid *v)
{
	fprintf(t->f, "\tcarp: %s carpdev %s vhid %u advbase %u advskew %u",
	    show_state(v->state), carpdev(i), v->vhid, v->advbase,
	    v->advskew);
	print_peers(t, i);
}

/* Do frames for the one MAC of a group arrive? */
static void
print_arrival(const struct text *t, const struct show_iface *i)
{
	char	 mac[18];

	if (i->i.balancing < BALANCE_IP)
		return;
	fprintf(t->f, "\t\tframes for %s: ",
	    show_mac(i->vhids[0].lladdr, mac));
	if (i->i.seen_ms == CTL_NEVER)
		fputs("none yet", t->f);
	else
		fprintf(t->f, "the last %" PRIu64 ".%03us ago",
		    i->i.seen_ms / 1000, (unsigned int)(i->i.seen_ms % 1000));
	fputs(i->i.cut ? "; another node has had some since: does the switch "
	    "keep them from here?\n" : "\n", t->f);
}

static void
print_unlike(const struct text *t, const struct ctl_unlike *u)
{
	char	 addr[IPADDR_STRLEN], node[SHOW_NODE_STRLEN];
	char	 group[SHOW_GROUP_STRLEN];

	fputs("\tdiffers: ", t->f);
	if (u->node != 0)
		fprintf(t->f, "node %s ", show_node(u->node, node));
	fprintf(t->f, "%s: %s, heard %" PRIu64 ".%03us ago\n",
	    ipaddr_print(&u->addr, addr, sizeof(addr)), show_unlike(u, group),
	    u->heard_ms / 1000, (unsigned int)(u->heard_ms % 1000));
}

static void
print_vhids(const struct text *t, const struct show_iface *i)
{
	const struct ctl_vhid	*v;

	fprintf(t->f, "\tcarp: carpdev %s advbase %u balancing %s",
	    carpdev(i), i->vhids[0].advbase, show_balancing(i->i.balancing));
	print_peers(t, i);
	print_arrival(t, i);
	for (v = i->vhids; v < i->vhids + i->nvhids; v++) {
		fprintf(t->f, "\t\tstate %s vhid %u advskew %u ",
		    show_state(v->state), v->vhid, v->advskew);
		print_since(t, v->since_ms);
		fprintf(t->f, ", %s\n", show_cause(v->cause));
		if (i->i.balancing != BALANCE_NONE)
			fprintf(t->f, "\t\t\tnode %td: %" PRIu64 " packets "
			    "taken, %" PRIu64 " dropped\n", v - i->vhids,
			    v->taken, v->dropped);
		print_why(t, v, "\t\t\t");
		print_split(t, v, "\t\t\t");
		print_master(t, v, "\t\t\t");
	}
}

static void
print_groups(const struct text *t, const struct show_iface *i)
{
	size_t	 n;

	fputs("\tgroups:", t->f);
	for (n = 0; n < i->i.ngroups; n++)
		fprintf(t->f, " %s", i->i.groups[n]);
	fputc('\n', t->f);
}

/* Since when and why: of the vhid, where there is only one. */
static void
print_status(const struct text *t, const struct show_iface *i)
{
	static const char *const	 status[VHOST_STATES] = {
		"init", "backup", "master"
	};

	fprintf(t->f, "\tstatus: %s", status[show_iface_state(i)]);
	if (i->nvhids == 1) {
		fputc(' ', t->f);
		print_since(t, i->vhids[0].since_ms);
		fprintf(t->f, ", %s", show_cause(i->vhids[0].cause));
	}
	fputc('\n', t->f);
	if (i->nvhids != 1)
		return;
	print_why(t, &i->vhids[0], "\t");
	print_split(t, &i->vhids[0], "\t");
	print_master(t, &i->vhids[0], "\t");
}

static uint32_t
netmask(uint8_t plen)
{
	return (plen == 0 ? 0 : UINT32_MAX << (32 - (plen > 32 ? 32 : plen)));
}

/* A BACKUP has no addresses, so nothing is said about their absence. */
static void
print_addr(const struct text *t, const struct ctl_addr *a, bool master)
{
	char	 buf[IPADDR_STRLEN];

	ipaddr_print(&a->addr, buf, sizeof(buf));
	if (a->addr.af == AF_INET)
		fprintf(t->f, "\tinet %s netmask 0x%08x", buf,
		    netmask(a->addr.plen));
	else
		fprintf(t->f, "\tinet6 %s prefixlen %u", buf, a->addr.plen);
	if (a->plen == SHOW_NOT_INSTALLED)
		fputs(master ? " (not installed)" : "", t->f);
	else if (a->plen != a->addr.plen)
		fprintf(t->f, " (installed as %s/%u)", buf, a->plen);
	fputc('\n', t->f);
}

static void
text_iface(void *arg, const struct show_iface *i)
{
	const struct text	*t = arg;
	bool			 master = false;
	size_t			 n;

	for (n = 0; n < i->nvhids; n++)
		master = master || i->vhids[n].state == VHOST_MASTER;
	print_head(t, i);
	if (i->nvhids == 1)
		print_vhid(t, i, &i->vhids[0]);
	else if (i->nvhids > 1)
		print_vhids(t, i);
	print_groups(t, i);
	print_status(t, i);
	for (n = 0; n < i->nunlike; n++)
		print_unlike(t, &i->unlike[n]);
	for (n = 0; n < i->naddrs; n++)
		print_addr(t, &i->addrs[n], master);
}

static void
print_entry(const struct text *t, const struct ctl_entry *e)
{
	char	 left[TIME_STRLEN];

	fprintf(t->f, "\t%d by %s (%s) ", e->amount, e->owner, e->reason);
	print_since(t, e->since_ms);
	if (e->expires >= 0)
		fprintf(t->f, ", expires in %s",
		    put_duration((uint64_t)e->expires, left, sizeof(left)));
	fputc('\n', t->f);
}

/* The line of `ifconfig -g carp`. */
static void
text_group(void *arg, const struct show_group *g)
{
	const struct text	*t = arg;
	size_t			 n;

	fprintf(t->f, "%s: carp demote count %d\n", g->g.name, g->g.demotion);
	for (n = 0; n < g->nentries; n++)
		print_entry(t, &g->entries[n]);
}

static void
text_counter(void *arg, const struct ctl_counter *c)
{
	const struct text	*t = arg;

	fprintf(t->f, "%-20s %" PRIu64 "\n", c->name, c->value);
}

static void
text_peer(void *arg, const struct ctl_peer *p)
{
	struct text	*t = arg;
	char		 addr[IPADDR_STRLEN], node[SHOW_NODE_STRLEN];
	char		 group[SHOW_GROUP_STRLEN];
	char		 auth[PUT_AUTH_STRLEN];

	if (t->nlines++ == 0)
		fprintf(t->f, "%-8s %4s %-24s %-8s %-8s %-18s %7s %7s %6s %9s "
		    "%9s %s\n", "IFACE", "VHID", "ADDRESS", "KIND", "NODE",
		    "AUTH", "ADVBASE", "ADVSKEW", "DEMOTE", "PACKETS", "DROPPED",
		    "LAST HEARD");
	fprintf(t->f, "%-8s %4u %-24s %-8s %-8s %-18s %7u %7u %6u %9" PRIu64
	    " %9" PRIu64 " %" PRIu64 ".%03us ago, %s%s%s\n",
	    p->name[0] != '\0' ? p->name : p->carpdev, p->vhid,
	    ipaddr_print(&p->addr, addr, sizeof(addr)), show_kind(p->kind),
	    p->ours ? show_node(p->node, node) : "-",
	    p->auth == AUTH_OPEN ? "pass" : put_auth(p->auth, p->keyid, false,
	    auth),
	    p->advbase, p->advskew,
	    p->demote, p->packets, p->dropped, p->heard_ms / 1000,
	    (unsigned int)(p->heard_ms % 1000), show_why(p),
	    p->unlike ? ", differs: " : "", p->unlike ?
	    show_group(p->balancing, p->vhids, p->nvhids, group) : "");
}

static void
text_history(void *arg, const struct ctl_history *h)
{
	const struct text	*t = arg;
	char			 at[TIME_STRLEN];

	fprintf(t->f, "%s.%03u %s vhid %u: %s -> %s (%s)\n",
	    local_time(h->at_ms, at, sizeof(at)),
	    (unsigned int)(h->at_ms % 1000), h->name, h->vhid,
	    show_state(h->from), show_state(h->to), show_cause(h->cause));
}

static int
text_end(void *arg)
{
	free(arg);
	return (0);
}

const struct show_writer show_text = {
	.begin = text_begin,
	.global = text_global,
	.iface = text_iface,
	.group = text_group,
	.counter = text_counter,
	.peer = text_peer,
	.history = text_history,
	.end = text_end
};
