/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: each cause in one place: what must have been seen, what is said, and
 * what helps.  What was heard long ago is no evidence of now.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../carpd/autopsy.h"
#include "../common/wire/carp.h"
#include "diagnose.h"
#include "put.h"

#define RECENT_MS	2000	/* and three intervals */
#define RECENT_MAX_MS	60000	/* whatever the interval is said to be */
#define SETTLED_MS	3000	/* a MASTER for so long is no newcomer */
#define STARVED_MIN	3	/* late timers: one is a mishap */

/* What the rules look at. */
struct look {
	const struct evidence	*e;
	const struct sync_facts	*s;
	struct findings		*all;
};

/* ---- what is where ---- */

static bool
is_vrrp(const struct ctl_peer *p)
{
	return (p->kind == PEER_VRRP2 || p->kind == PEER_VRRP3);
}

static bool
is_recent(const struct ctl_peer *p)
{
	uint64_t	 ms = 3 * ((uint64_t)p->advbase * 1000 +
			    (is_vrrp(p) ? 0 : p->advskew * (uint64_t)4));

	if (p->advbase == CARP_BOWOUT && p->advskew == CARP_BOWOUT)
		return (false);		/* it has left */
	return (p->heard_ms < RECENT_MS + (ms < RECENT_MAX_MS ? ms :
	    RECENT_MAX_MS));
}

const struct ipaddr *
diagnose_heard(const struct evidence *e)
{
	const struct ctl_peer	*p;

	for (p = e->peers; p < e->peers + e->npeers; p++)
		if (p->ours && p->verified && is_recent(p))
			return (&p->addr);
	return (NULL);
}

static const struct show_iface *
iface_of(const struct evidence *e, const char *name)
{
	size_t	 i;

	for (i = 0; i < e->nifaces; i++)
		if (strcmp(e->ifaces[i].i.name, name) == 0)
			return (&e->ifaces[i]);
	return (NULL);
}

static const struct ctl_vhid *
vhid_of(const struct show_iface *i, uint8_t vhid)
{
	size_t	 n;

	for (n = 0; n < i->nvhids; n++)
		if (i->vhids[n].vhid == vhid)
			return (&i->vhids[n]);
	return (NULL);
}

/* For how long a vhid has been MASTER, in ms; 0: it is not. */
static uint64_t
master_ms(const struct evidence *e, const struct ctl_vhid *v)
{
	uint64_t	 now = e->g.now * 1000;

	return (v->state == VHOST_MASTER && now > v->since_ms ?
	    now - v->since_ms : 0);
}

static bool
has_linklocal(const struct show_iface *i)
{
	size_t	 n;

	for (n = 0; n < i->naddrs; n++)
		if (ipaddr_is_linklocal(&i->addrs[n].addr))
			return (true);
	return (false);
}

/* ---- peers that are not taken ---- */

static void
badauth(struct look *l, const struct ctl_peer *p, const char *who)
{
	char	 here[IPADDR_STRLEN], there[IPADDR_STRLEN];

	ipaddr_print(&p->here, here, sizeof(here));
	ipaddr_print(&p->there, there, sizeof(there));
	if (p->drop == ADVERT_DROP_PASS)
		findings_add(l->all, FINDING_PASS, p->name, "give both the "
		    "same pass", "%s, which advertises vhid %u, has another "
		    "pass phrase", who, p->vhid);
	else if (p->fault != AUTOPSY_ADDRS)
		findings_add(l->all, FINDING_PASS_OR_ADDRESSES, p->name,
		    "compare pass and addresses", "%s, which advertises vhid "
		    "%u, has another pass phrase, or an address list that "
		    "differs by more than one", who, p->vhid);
	else
		findings_add(l->all, FINDING_ADDRESSES, p->name,
		    "give both the same addresses", "%s, which advertises "
		    "vhid %u, has our pass phrase but another address list%s"
		    "%s%s%s%s%s", who, p->vhid,
		    p->here.af != 0 ? ": " : "", p->here.af != 0 ? here : "",
		    p->here.af != 0 ? " is only here" : "",
		    p->there.af == 0 ? "" : p->here.af != 0 ? ", " : ": ",
		    p->there.af != 0 ? there : "",
		    p->there.af != 0 ? " is only there" : "");
}

static void
vrrp(struct look *l, const struct ctl_peer *p, const char *who)
{
	findings_add(l->all, FINDING_VRRP, p->name, "change the number of one "
	    "of them", "VRRP router %s on %s has the number of vhid %u, and "
	    "so the same virtual MAC address", who, p->carpdev, p->vhid);
}

static void
dropped(struct look *l, const struct ctl_peer *p, const char *who)
{
	switch (p->drop) {
	case ADVERT_DROP_BADAUTH:
	case ADVERT_DROP_PASS:
	case ADVERT_DROP_ADDRS:
		badauth(l, p, who);
		return;
	case ADVERT_DROP_LOOP:
		findings_add(l->all, FINDING_LOOP, p->name, "look for a loop "
		    "in the network, or who replays", "our own advertisements "
		    "of vhid %u come back on %s", p->vhid, p->carpdev);
		return;
	default:
		findings_add(l->all, FINDING_DROPPED, p->name, "compare both "
		    "configurations", "what %s advertises for vhid %u is "
		    "dropped: %s", who, p->vhid, show_why(p));
		return;
	}
}

/* Other vhids are the business of others, unless it is ours misnumbered. */
static void
stranger(struct look *l, const struct ctl_peer *p, const char *who)
{
	if (p->drop == ADVERT_DROP_BADVHID && p->fault == AUTOPSY_VHID)
		findings_add(l->all, FINDING_VHID, p->like, "give both the "
		    "same vhid", "%s has our pass phrase and addresses, but "
		    "vhid %u instead of %u", who, p->vhid, p->like_vhid);
}

/* ---- peers that are ---- */

static void
digest(struct look *l, const struct ctl_peer *p, const char *who)
{
	const struct show_iface	*i = iface_of(l->e, p->name);
	const struct ctl_vhid	*v;

	/* ours take either */
	if (p->ours || i == NULL || !has_linklocal(i) ||
	    (v = vhid_of(i, p->vhid)) == NULL || v->variant == p->variant)
		return;
	if (p->variant == ADVERT_ORIG)
		findings_add(l->all, FINDING_DIGEST, p->name, "set digest "
		    "freebsd", "%s needs the digest of vhid %u that covers "
		    "link-local addresses, and does not take ours", who,
		    p->vhid);
	else
		findings_add(l->all, FINDING_DIGEST, p->name, "set digest "
		    "openbsd", "%s needs the digest of vhid %u that leaves "
		    "link-local addresses out, and does not take ours", who,
		    p->vhid);
}

static void
ucarp(struct look *l, const struct ctl_peer *p, const char *who)
{
	findings_add(l->all, FINDING_UCARP, p->name, "put carpd there", "%s is "
	    "ucarp: it does not see demotion but in advskew, has one IPv4 "
	    "address and no goodbye, and hosts get another MAC address with "
	    "each takeover", who);
}

/*
 * It was told by the peer when it must have heard us, and that goes on being
 * MASTER: the last word of one that has just heard us is none of it.
 */
static void
one_way(struct look *l, const struct ctl_peer *p, const char *who)
{
	const struct show_iface	*i = iface_of(l->e, p->name);
	const struct ctl_vhid	*v;

	if (!p->ours || p->hears_us || p->told_ms > RECENT_MAX_MS ||
	    i == NULL || (v = vhid_of(i, p->vhid)) == NULL ||
	    v->split.af == 0 || !v->split_verified ||
	    master_ms(l->e, v) < p->told_ms + SETTLED_MS)
		return;
	findings_add(l->all, FINDING_ONE_WAY, p->name, "look for what loses "
	    "multicast or protocol 112 on the way there", "%s does not hear "
	    "our advertisements of vhid %u on %s, while we hear it", who,
	    p->vhid, p->carpdev);
}

static void
peers(struct look *l)
{
	const struct ctl_peer	*p;
	char			 who[IPADDR_STRLEN];

	for (p = l->e->peers; p < l->e->peers + l->e->npeers; p++) {
		if (!is_recent(p))
			continue;
		ipaddr_print(&p->addr, who, sizeof(who));
		if (is_vrrp(p))
			vrrp(l, p, who);
		else if (p->name[0] == '\0')
			stranger(l, p, who);
		else if (!p->verified)
			dropped(l, p, who);
		else {
			digest(l, p, who);
			one_way(l, p, who);
			if (p->kind == PEER_UCARP)
				ucarp(l, p, who);
		}
	}
}

/* ---- interfaces ---- */

static void
init(struct look *l, const struct show_iface *i, const struct ctl_vhid *v)
{
	if (v->state == VHOST_INIT)
		findings_add(l->all, FINDING_INIT, i->i.name, "see to it, or "
		    "take the interface out of the file", "vhid %u is INIT: "
		    "%s", v->vhid, v->why[0] != '\0' ? v->why : "starting");
}

static void
split(struct look *l, const struct show_iface *i, const struct ctl_vhid *v)
{
	char		 who[IPADDR_STRLEN], ago[32];
	uint64_t	 now = l->e->g.now * 1000;

	if (v->split.af == 0)
		return;
	put_duration(now > v->split_ms ? (now - v->split_ms) / 1000 : 0, ago,
	    sizeof(ago));
	findings_add(l->all, FINDING_SPLIT, i->i.name, !v->split_heard ?
	    "look at the network between, and at what drops protocol 112" :
	    v->split_verified ? "see why it does not hear us" :
	    "see why it does not verify",
	    "split brain: %s is MASTER of vhid %u, too,%s for %s",
	    ipaddr_print(&v->split, who, sizeof(who)), v->vhid,
	    v->split_heard ? "" : " heard by pfsyncd only,", ago);
}

static void
cannot_send(struct look *l, const struct show_iface *i)
{
	int	 e = i->i.senderr;

	if (e == 0 || !i->i.link)
		return;
	if (e == EPERM && !findings_have(l->all, FINDING_RULES_CARP))
		findings_add(l->all, FINDING_RULES_CARP, i->i.name, "accept "
		    "protocol 112 to the peers", "a rule of this host's packet "
		    "filter drops our advertisements (protocol 112) on %s",
		    i->i.carpdev);
	else if (e != EPERM && !findings_have(l->all, FINDING_RULES_CARP))
		findings_add(l->all, FINDING_SEND, i->i.name, e == ENOBUFS ?
		    "look for a rule at egress, or a full queue" :
		    "see to that error", "our advertisements cannot be sent "
		    "on %s: %s", i->i.carpdev, strerror(e));
}

static void
interfaces(struct look *l)
{
	const struct show_iface	*i;
	size_t			 n;

	for (i = l->e->ifaces; i < l->e->ifaces + l->e->nifaces; i++) {
		for (n = 0; n < i->nvhids; n++) {
			init(l, i, &i->vhids[n]);
			split(l, i, &i->vhids[n]);
		}
		cannot_send(l, i);
	}
}

/* ---- the host ---- */

static void
starved(struct look *l)
{
	const struct ctl_global	*g = &l->e->g;

	if (g->overslept > 0)
		findings_add(l->all, FINDING_STARVED, "", "see what takes the "
		    "CPU, or stops carpd", "timer starvation: carpd came so "
		    "late that it was not MASTER any more, %u time%s in the "
		    "last 10 minutes", g->overslept,
		    g->overslept == 1 ? "" : "s");
	else if (g->starved >= STARVED_MIN)
		findings_add(l->all, FINDING_STARVED, "", "see what takes the "
		    "CPU, or stops carpd", "timer starvation: timers ran up "
		    "to %" PRIu64 " ms late, often in the last 10 minutes",
		    g->worst_ms);
}

/* Of which carpdevs we hear nothing at all, though we speak: "lan0, wan0". */
static bool
silent_devs(const struct evidence *e, char *buf, size_t len)
{
	const struct show_iface	*i;
	size_t			 n, k;
	bool			 any = false;

	buf[0] = '\0';
	for (n = 0; n < e->nifaces; n++) {
		i = &e->ifaces[n];
		for (k = 0; k < i->nvhids; k++)
			if (master_ms(e, &i->vhids[k]) < SETTLED_MS)
				return (false);
		for (k = 0; k < e->npeers; k++)
			if (strcmp(e->peers[k].carpdev, i->i.carpdev) == 0 &&
			    !is_vrrp(&e->peers[k]) && is_recent(&e->peers[k]))
				break;
		if (k < e->npeers)
			continue;
		if (any)
			strlcat(buf, ", ", len);
		strlcat(buf, i->i.carpdev, len);
		any = true;
	}
	return (any);
}

/* It is MASTER, and so are we of everything: it must be of one of ours. */
static void
multicast(struct look *l)
{
	char	 devs[128], who[IPADDR_STRLEN];

	if (!l->s->master || !silent_devs(l->e, devs, sizeof(devs)))
		return;
	findings_add(l->all, FINDING_MULTICAST, "", "look at IGMP snooping, "
	    "VLANs and filters of the switches between, or set peer", "%s, "
	    "heard on %s, is MASTER, too, but nothing that it advertises "
	    "arrives on %s: multicast or protocol 112 does not get through",
	    ipaddr_print(&l->s->who, who, sizeof(who)), l->s->syncdev, devs);
}

/* What the rules say is said better; a full queue is an everyday matter. */
static void
sync_cannot_send(struct look *l)
{
	int	 e = l->s->senderr;

	if (e == 0 || e == ENOBUFS ||
	    findings_have(l->all, FINDING_RULES_PFSYNC) ||
	    findings_have(l->all, FINDING_SYNC_LINK))
		return;
	if (e == EPERM)
		findings_add(l->all, FINDING_RULES_PFSYNC, l->s->syncdev,
		    "accept protocol 240 there", "a rule of this host's "
		    "packet filter drops what pfsyncd sends (protocol 240)");
	else
		findings_add(l->all, FINDING_SYNC_SEND, l->s->syncdev, "see "
		    "to that error", "what pfsyncd sends does not leave: %s",
		    strerror(e));
}

void
diagnose(const struct evidence *e, const struct sync_facts *s,
    struct findings *all)
{
	struct look	 l = { e, s, all };

	interfaces(&l);
	peers(&l);
	multicast(&l);
	sync_cannot_send(&l);
	starved(&l);
}
