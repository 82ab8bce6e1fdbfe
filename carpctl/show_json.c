/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What carpctl shows to programs: one JSON object on one line, version 1 of
 * the schema in carpctl(8).  Keys are only ever added.  Times are RFC 3339
 * with milliseconds, in UTC.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "put.h"
#include "show.h"

struct json {
	FILE		*f;
	json_t		*root;
	json_t		*ifaces, *groups, *peers, *history; /* of root */
};

static void
put_mac(json_t *o, const char *key, const uint8_t mac[6])
{
	char	 buf[18];

	put_str(o, key, show_mac(mac, buf));
}

/* Only what was asked for has its array, even if that stays empty. */
static void *
json_begin(FILE *f, enum ctl_what what)
{
	struct json	*j;

	if ((j = calloc(1, sizeof(*j))) == NULL)
		err(1, NULL);
	j->f = f;
	j->root = put_must(json_object());
	put_int(j->root, "schema", PUT_SCHEMA);
	if (what == CTL_WHAT_ALL || what == CTL_WHAT_IFACE)
		j->ifaces = put_array(j->root, "interfaces");
	if (what == CTL_WHAT_ALL || what == CTL_WHAT_IFACE ||
	    what == CTL_WHAT_DEMOTION)
		j->groups = put_array(j->root, "groups");
	if (what == CTL_WHAT_PEERS)
		j->peers = put_array(j->root, "peers");
	if (what == CTL_WHAT_HISTORY)
		j->history = put_array(j->root, "history");
	return (j);
}

static void
json_global(void *arg, const struct ctl_global *g)
{
	struct json	*j = arg;

	put_node(j->root, "node", g->node);
	put_time(j->root, "now", g->now * 1000);
	put_u64(j->root, "uptime_ms", g->uptime_ms);
	put_bool(j->root, "preempt", g->preempt);
	put_bool(j->root, "allow", g->allow);
	put_int(j->root, "log", g->log);
	put_bool(j->root, "verbose", g->verbose);
}

/* Whom a BACKUP hears; null when nobody, and in the other states. */
static void
put_master(json_t *o, const struct ctl_vhid *v)
{
	char	 buf[IPADDR_STRLEN];
	json_t	*m;

	if (v->state != VHOST_BACKUP || v->master.af == 0) {
		put_new(o, "master", json_null());
		return;
	}
	put_new(o, "master", json_object());
	m = json_object_get(o, "master");
	put_str(m, "address", ipaddr_print(&v->master, buf, sizeof(buf)));
	put_node(m, "node", v->master_node);
	put_int(m, "advbase", v->master_skew / 256);
	put_int(m, "advskew", v->master_skew % 256);
}

/* Who is MASTER, too; null when nobody. */
static void
put_split(json_t *o, const struct ctl_vhid *v)
{
	char	 buf[IPADDR_STRLEN];
	json_t	*s;

	if (v->split.af == 0) {
		put_new(o, "split", json_null());
		return;
	}
	s = put_object(o, "split");
	put_str(s, "address", ipaddr_print(&v->split, buf, sizeof(buf)));
	put_bool(s, "heard", v->split_heard);
	put_bool(s, "verified", v->split_verified);
	put_time(s, "since", v->split_ms);
}

static void
put_vhid(json_t *vhids, const struct ctl_vhid *v, bool balanced)
{
	size_t	 node = json_array_size(vhids);
	json_t	*o = put_append(vhids);

	put_int(o, "vhid", v->vhid);
	if (balanced) {
		put_u64(o, "carpnode", node);
		put_u64(o, "taken", v->taken);
		put_u64(o, "dropped", v->dropped);
	}
	put_str(o, "state", show_state(v->state));
	put_int(o, "advbase", v->advbase);
	put_int(o, "advskew", v->advskew);
	put_time(o, "since", v->since_ms);
	put_str(o, "cause", show_cause(v->cause));
	if (v->state == VHOST_INIT)
		put_str(o, "why", v->why);
	put_mac(o, "lladdr", v->lladdr);
	put_int(o, "sent_advskew", v->sent_skew);
	put_int(o, "sent_demote", v->sent_demote);
	put_str(o, "digest", show_variant(v->variant));
	put_u64(o, "transitions", v->transitions);
	put_master(o, v);
	put_split(o, v);
}

static void
put_installed(json_t *installed, const struct ctl_addr *a)
{
	struct ipaddr	 there = a->addr;
	char		 buf[IPADDR_STRLEN];
	json_t		*o = put_append(installed);

	put_str(o, "address", ipaddr_print_prefix(&a->addr, buf,
	    sizeof(buf)));
	if (a->plen == SHOW_NOT_INSTALLED) {
		put_new(o, "installed", json_null());
		return;
	}
	there.plen = a->plen;
	put_str(o, "installed", ipaddr_print_prefix(&there, buf,
	    sizeof(buf)));
}

static void
put_addrs(json_t *o, const struct show_iface *i)
{
	char	 buf[IPADDR_STRLEN];
	json_t	*array;
	size_t	 n;

	array = put_array(o, "addresses");
	for (n = 0; n < i->naddrs; n++)
		put_append_str(array, ipaddr_print_prefix(&i->addrs[n].addr,
		    buf, sizeof(buf)));
	put_int(o, "demotion", i->i.demotion);
	array = put_array(o, "installed");
	for (n = 0; n < i->naddrs; n++)
		put_installed(array, &i->addrs[n]);
}

static void
put_peers(json_t *o, const struct ctl_iface *i)
{
	json_t	*array = put_array(o, "carppeers"), *peer;
	char	 buf[IPADDR_STRLEN];
	size_t	 n;

	for (n = 0; n < i->npeers && n < CONFIG_PEERS_MAX; n++) {
		peer = put_append(array);
		put_str(peer, "address", ipaddr_print(&i->peers[n], buf,
		    sizeof(buf)));
		put_bool(peer, "self", i->peers[n].plen == 0);
	}
}

/* Of the one MAC of a group; null where each vhid has its own. */
static void
put_arrival(json_t *o, const struct show_iface *i)
{
	json_t	*a;

	if (i->i.balancing < BALANCE_IP || i->nvhids == 0) {
		put_new(o, "group_frames", json_null());
		return;
	}
	a = put_object(o, "group_frames");
	put_mac(a, "lladdr", i->vhids[0].lladdr);
	if (i->i.seen_ms == CTL_NEVER)
		put_new(a, "last_ms", json_null());
	else
		put_u64(a, "last_ms", i->i.seen_ms);
	put_bool(a, "arrive", !i->i.cut);
}

/* What a node says of its interface; neither key where it does not. */
static void
put_group(json_t *o, uint8_t balancing, const uint8_t *vhids, size_t n)
{
	json_t	*array;
	size_t	 k;

	if (n == 0)
		return;
	put_str(o, "balancing", show_balancing(balancing));
	array = put_array(o, "vhids");
	for (k = 0; k < n; k++)
		put_append_int(array, vhids[k]);
}

static void
put_unlike(json_t *array, const struct ctl_unlike *u)
{
	char	 buf[IPADDR_STRLEN], group[SHOW_GROUP_STRLEN];
	json_t	*o = put_append(array);

	put_node(o, "node", u->node);
	put_str(o, "address", ipaddr_print(&u->addr, buf, sizeof(buf)));
	put_str(o, "has", show_unlike(u, group));
	put_group(o, u->balancing, u->vhids, u->nvhids);
	put_u64(o, "heard_ms", u->heard_ms);
}

static void
json_iface(void *arg, const struct show_iface *i)
{
	struct json	*j = arg;
	json_t		*array, *o;
	size_t		 n;

	if (j->ifaces == NULL)
		return;
	o = put_append(j->ifaces);
	put_str(o, "name", i->i.name);
	put_str(o, "carpdev", i->i.carpdev);
	put_str(o, "state", show_state((uint8_t)show_iface_state(i)));
	put_str(o, "balancing", show_balancing(i->i.balancing));
	put_addrs(o, i);
	put_bool(o, "up", !i->i.down);
	put_bool(o, "carpdev_present", i->i.present);
	put_bool(o, "link", i->i.link);
	put_mac(o, "carpdev_lladdr", i->i.mac);
	put_str(o, "digest", show_digest(i->i.digest));
	put_str(o, "demote_style", show_style(i->i.style));
	put_peers(o, &i->i);
	put_arrival(o, i);
	array = put_array(o, "differing");
	for (n = 0; n < i->nunlike; n++)
		put_unlike(array, &i->unlike[n]);
	array = put_array(o, "groups");
	for (n = 0; n < i->i.ngroups; n++)
		put_append_str(array, i->i.groups[n]);
	array = put_array(o, "vhids");
	for (n = 0; n < i->nvhids; n++)
		put_vhid(array, &i->vhids[n],
		    i->i.balancing != BALANCE_NONE);
}

static void
json_group(void *arg, const struct show_group *g)
{
	struct json	*j = arg;
	json_t		*entries, *o;
	size_t		 n;

	if (j->groups == NULL)
		return;
	o = put_append(j->groups);
	put_str(o, "name", g->g.name);
	put_int(o, "demotion", g->g.demotion);
	entries = put_array(o, "entries");
	for (n = 0; n < g->nentries; n++) {
		o = put_append(entries);
		put_str(o, "owner", g->entries[n].owner);
		put_str(o, "reason", g->entries[n].reason);
		put_int(o, "amount", g->entries[n].amount);
		put_time(o, "since", g->entries[n].since_ms);
		put_new(o, "expires_s", g->entries[n].expires < 0 ?
		    json_null() : json_integer(g->entries[n].expires));
	}
}

static void
json_counter(void *arg, const struct ctl_counter *c)
{
	struct json	*j = arg;

	put_u64(j->root, c->name, c->value);
}

static void
json_peer(void *arg, const struct ctl_peer *p)
{
	struct json	*j = arg;
	char		 buf[IPADDR_STRLEN];
	json_t		*o;

	if (j->peers == NULL)
		return;
	o = put_append(j->peers);
	put_new(o, "interface", p->name[0] == '\0' ? json_null() :
	    json_string(p->name));
	put_str(o, "carpdev", p->carpdev);
	put_int(o, "vhid", p->vhid);
	put_new(o, "kind", p->kind == PEER_UNKNOWN ? json_null() :
	    json_string(show_kind(p->kind)));
	put_str(o, "address", ipaddr_print(&p->addr, buf, sizeof(buf)));
	put_node(o, "node", p->ours ? p->node : 0);
	put_bool(o, "verified", p->verified);
	put_new(o, "drop", p->verified ? json_null() :
	    json_string(show_drop(p->drop)));
	put_str(o, "status", show_why(p));
	put_bool(o, "ours", p->ours);
	put_auth_json(o, p->auth, p->keyid);
	if (p->kind == PEER_VRRP2 || p->kind == PEER_VRRP3)
		put_int(o, "priority", p->priority);
	put_int(o, "advbase", p->advbase);
	put_int(o, "advskew", p->advskew);
	put_int(o, "demote", p->demote);
	put_str(o, "digest", show_variant(p->variant));
	put_group(o, p->balancing, p->vhids, p->nvhids);
	put_bool(o, "differs", p->unlike);
	put_addr(o, "only_here", &p->here);
	put_addr(o, "only_there", &p->there);
	if (p->told_ms == UINT64_MAX)
		put_new(o, "hears_us", json_null());
	else
		put_bool(o, "hears_us", p->hears_us);
	put_u64(o, "heard_ms", p->heard_ms);
	put_u64(o, "packets", p->packets);
	put_u64(o, "dropped", p->dropped);
}

static void
json_history(void *arg, const struct ctl_history *h)
{
	struct json	*j = arg;
	json_t		*o;

	if (j->history == NULL)
		return;
	o = put_append(j->history);
	put_time(o, "at", h->at_ms);
	put_str(o, "interface", h->name);
	put_int(o, "vhid", h->vhid);
	put_str(o, "from", show_state(h->from));
	put_str(o, "to", show_state(h->to));
	put_str(o, "cause", show_cause(h->cause));
}

static int
json_end(void *arg)
{
	struct json	*j = arg;
	int		 r;

	r = json_dumpf(j->root, j->f, JSON_COMPACT);
	fputc('\n', j->f);
	json_decref(j->root);
	free(j);
	return (r == -1 ? 1 : 0);
}

const struct show_writer show_json = {
	.begin = json_begin,
	.global = json_global,
	.iface = json_iface,
	.group = json_group,
	.counter = json_counter,
	.peer = json_peer,
	.history = json_history,
	.end = json_end
};
