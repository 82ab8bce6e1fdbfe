/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A control socket of carpd with canned answers (fake.h).
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "carpd/autopsy.h"
#include "carpd/msgs.h"
#include "carpd/peer.h"
#include "carpd/vhost.h"
#include "fake.h"

#define NOW_MS		(NOW * (uint64_t)1000)

static void
global(struct imsgbuf *b, uint8_t allow)
{
	struct ctl_global	 g = {
		.now = NOW, .node = 0x1a2b3c4d, .preempt = 1, .allow = allow,
		.log = 2, .uptime_ms = 93784005
	};

	reply(b, IMSG_CTL_GLOBAL, &g, sizeof(g));
}

static void
iface(struct imsgbuf *b, const char *name, const char *carpdev,
    uint8_t nvhids, int demotion, uint8_t link, uint8_t present)
{
	struct ctl_iface	 i = {
		.present = present, .link = link, .nvhids = nvhids,
		.ngroups = 2, .mac = { 2, 0, 0, 0, 0, 1 },
		.demotion = demotion, .groups = { "carp", "dmz" }
	};

	if (nvhids > 1)
		i.balancing = BALANCE_IP;
	i.seen_ms = strcmp(scene, "one") == 0 ? CTL_NEVER : 1234;
	i.cut = nvhids > 1 && strcmp(scene, "one") != 0;
	strlcpy(i.name, name, sizeof(i.name));
	strlcpy(i.carpdev, carpdev, sizeof(i.carpdev));
	if (strcmp(name, "carp0") == 0) {
		i.ngroups = 1;
		i.npeers = 2;
		i.peers[0] = addr("172.16.0.200");
		i.peers[0].plen = 0;
		i.peers[1] = addr("172.16.0.201");
	}
	reply(b, IMSG_CTL_IFACE, &i, sizeof(i));
}

/* Two nodes that have carp1 in another way, and one with another pass. */
static void
unlikes(struct imsgbuf *b)
{
	struct ctl_unlike	 u[] = {
		{ .name = "carp1", .node = 0xdeadbeef, .nvhids = 3,
		  .balancing = BALANCE_IP_STEALTH, .vhids = { 3, 4, 5 },
		  .addr = addr("172.16.240.100"), .heard_ms = 1007 },
		{ .name = "carp1", .node = 0xcafe, .nvhids = 1,
		  .vhids = { 3 }, .addr = addr("fe80::3") },
		{ .name = "carp1", .drop = ADVERT_DROP_PASS,
		  .addr = addr("172.16.240.99"), .heard_ms = 59999 }
	};
	size_t			 i;

	for (i = 0; i < NELEMS(u); i++)
		reply(b, IMSG_CTL_UNLIKE, &u[i], sizeof(u[i]));
}

static struct ctl_vhid
vhid(const char *name, uint8_t id, enum vhost_state state,
    enum vhost_cause cause, uint8_t skew, unsigned int ago)
{
	struct ctl_vhid	 v = {
		.vhid = id, .advbase = 1, .advskew = skew, .state = state,
		.cause = cause, .sent_skew = skew, .transitions = 3,
		.since_ms = NOW_MS - ago * (uint64_t)1000 + 123,
		.lladdr = { 0, 0, 0x5e, 0, 1, id }
	};

	strlcpy(v.name, name, sizeof(v.name));
	return (v);
}

static void
address(struct imsgbuf *b, const char *name, const char *text, uint8_t plen)
{
	struct ctl_addr	 a = { .addr = addr(text), .plen = plen };

	strlcpy(a.name, name, sizeof(a.name));
	reply(b, IMSG_CTL_ADDR, &a, sizeof(a));
}

static void
groups(struct imsgbuf *b)
{
	struct ctl_group	 g = {
		.name = "carp", .demotion = 51, .nentries = 2
	};
	struct ctl_group	 dmz = { .name = "dmz" };
	struct ctl_entry	 e[] = {
		{ .group = "carp", .owner = "eth2", .reason = "carpdev",
		  .amount = 1, .expires = -1, .since_ms = NOW_MS - 61000 },
		{ .group = "carp", .owner = "operator", .reason = "carpctl",
		  .amount = 50, .expires = 90, .since_ms = NOW_MS - 5000 }
	};

	reply(b, IMSG_CTL_GROUP, &g, sizeof(g));
	reply(b, IMSG_CTL_ENTRY, &e[0], sizeof(e[0]));
	reply(b, IMSG_CTL_ENTRY, &e[1], sizeof(e[1]));
	reply(b, IMSG_CTL_GROUP, &dmz, sizeof(dmz));
}

/* carp0, MASTER, with every form of an installed address. */
static void
show_carp0(struct imsgbuf *b)
{
	struct ctl_vhid	 v = vhid("carp0", 1, VHOST_MASTER,
	    VHOST_CAUSE_MASTER_DOWN, 0, 7500);

	/* the other scene is without a split */
	if (strcmp(scene, "many") == 0) {
		v.split = addr("172.16.0.66");
		v.split_heard = 1;
		v.split_ms = NOW_MS - 3000;
	}
	iface(b, "carp0", "eth0", 1, 51, 1, 1);
	reply(b, IMSG_CTL_VHID, &v, sizeof(v));
	address(b, "carp0", "172.16.0.202/24", 24);
	address(b, "carp0", "192.0.2.1/24", 32);
	address(b, "carp0", "2001:db8::202/64", 64);
	address(b, "carp0", "2001:db8:1::1/64", 255);
}

/* carp1, two carpnodes, one of them BACKUP. */
static void
show_carp1(struct imsgbuf *b)
{
	struct ctl_vhid	 v = vhid("carp1", 3, VHOST_MASTER,
	    VHOST_CAUSE_PREEMPT, 0, 42);
	struct ctl_vhid	 w = vhid("carp1", 4, VHOST_BACKUP,
	    VHOST_CAUSE_PEER_BETTER, 100, 180000);

	w.master = addr("fe80::2");
	w.master_node = 0xdeadbeef;
	w.master_skew = 256 + 20;
	w.variant = ADVERT_ORIG;
	v.taken = 123456789;
	w.dropped = 987654321;
	balance_mac(BALANCE_IP, 3, 3, v.lladdr);
	balance_mac(BALANCE_IP, 3, 4, w.lladdr);
	if (strcmp(scene, "many") == 0) {
		v.split = addr("192.168.2.201");
		v.split_ms = NOW_MS - 42000;
	}
	iface(b, "carp1", "eth1", 2, 51, 1, 1);
	reply(b, IMSG_CTL_VHID, &v, sizeof(v));
	reply(b, IMSG_CTL_VHID, &w, sizeof(w));
	address(b, "carp1", "172.16.240.102/24", 24);
	if (strcmp(scene, "one") != 0)
		unlikes(b);
}

/* carp2, without its link. */
static void
show_carp2(struct imsgbuf *b)
{
	struct ctl_vhid	 v = vhid("carp2", 5, VHOST_INIT, VHOST_CAUSE_LINK,
	    200, 61);

	strlcpy(v.why, "eth2 has no link", sizeof(v.why));
	iface(b, "carp2", "eth2", 1, 52, 0, 1);
	reply(b, IMSG_CTL_VHID, &v, sizeof(v));
	address(b, "carp2", "10.0.0.1/8", 255);
}

/* carp3, a BACKUP that hears a master which is not one of ours. */
static void
show_carp3(struct imsgbuf *b)
{
	struct ctl_vhid	 v = vhid("carp3", 6, VHOST_BACKUP,
	    VHOST_CAUSE_STARTUP, 100, 30);

	v.master = addr("192.0.2.7");
	v.master_skew = 256;
	iface(b, "carp3", "eth3", 1, 0, 1, 1);
	reply(b, IMSG_CTL_VHID, &v, sizeof(v));
	address(b, "carp3", "192.0.2.1/24", 255);
}

/* carp4, a BACKUP that has heard nobody yet; carp5, without its carpdev. */
static void
show_carp4_5(struct imsgbuf *b)
{
	struct ctl_vhid	 w = vhid("carp4", 7, VHOST_BACKUP,
	    VHOST_CAUSE_STARTUP, 100, 1);
	struct ctl_vhid	 x = vhid("carp5", 8, VHOST_INIT,
	    VHOST_CAUSE_CARPDEV_GONE, 0, 1);

	iface(b, "carp4", "eth4", 1, 0, 1, 1);
	reply(b, IMSG_CTL_VHID, &w, sizeof(w));
	iface(b, "carp5", "eth5", 1, 0, 0, 0);
	reply(b, IMSG_CTL_VHID, &x, sizeof(x));
}

static void
show_peers(struct imsgbuf *b)
{
	struct ctl_peer	 p[] = {
		{ .name = "carp0", .vhid = 1, .advbase = 1, .advskew = 100,
		  .kind = PEER_CARPD, .carpdev = "eth0", .ours = 1, .verified = 1, .node = 0xdeadbeef,
		  .auth = AUTH_PROVEN, .keyid = 2,
		  .addr = addr("172.16.0.101"), .heard_ms = 7503210,
		  .packets = 1234, .balancing = BALANCE_ARP, .nvhids = 2,
		  .vhids = { 1, 200 }, .unlike = 1,
		  .told_ms = 7503210, .hears_us = 1 },
		{ .name = "carp1", .vhid = 4, .advbase = 1, .advskew = 20,
		  .verified = 1, .variant = ADVERT_ORIG,
		  .kind = PEER_FREEBSD, .carpdev = "eth1",
		  .addr = addr("fe80::2"), .heard_ms = 750,
		  .packets = 99999, .dropped = 2, .told_ms = UINT64_MAX },
		{ .name = "carp0", .vhid = 1, .advbase = 1, .demote = 1,
		  .auth = AUTH_UNKNOWN, .keyid = 65535,
		  .drop = ADVERT_DROP_BADAUTH, .addr = addr("172.16.0.66"),
		  .heard_ms = 250, .packets = 17, .dropped = 17,
		  .fault = AUTOPSY_ADDRS, .here = addr("192.0.2.1"),
		  .told_ms = UINT64_MAX, .carpdev = "eth0" },
		{ .name = "carp1", .carpdev = "eth1", .vhid = 3,
		  .kind = PEER_VRRP2, .priority = 100, .advbase = 1,
		  .drop = ADVERT_DROP_BADVER, .addr = addr("172.16.0.9"),
		  .heard_ms = 10, .packets = 9, .dropped = 9,
		  .told_ms = UINT64_MAX },
		{ .carpdev = "eth1", .vhid = 77, .kind = PEER_UCARP,
		  .advbase = 1, .drop = ADVERT_DROP_BADVHID,
		  .addr = addr("172.16.0.8"), .heard_ms = 20, .packets = 3,
		  .dropped = 3, .told_ms = UINT64_MAX }
	};

	reply(b, IMSG_CTL_PEER, &p[0], sizeof(p[0]));
	if (strcmp(scene, "well") == 0)
		return;
	reply(b, IMSG_CTL_PEER, &p[1], sizeof(p[1]));
	reply(b, IMSG_CTL_PEER, &p[2], sizeof(p[2]));
	reply(b, IMSG_CTL_PEER, &p[3], sizeof(p[3]));
	reply(b, IMSG_CTL_PEER, &p[4], sizeof(p[4]));
}

static void
show_counters(struct imsgbuf *b)
{
	struct ctl_counter	 c[] = {
		{ "ipackets", 18446744073709551615ull }, { "ipackets6", 0 },
		{ "badauth", 17 }, { "preempt", 3 }
	};
	size_t			 i;

	for (i = 0; i < NELEMS(c); i++)
		reply(b, IMSG_CTL_COUNTER, &c[i], sizeof(c[i]));
}

static void
show_history(struct imsgbuf *b)
{
	struct ctl_history	 h[] = {
		{ .name = "carp0", .vhid = 1, .from = VHOST_INIT,
		  .to = VHOST_BACKUP, .cause = VHOST_CAUSE_STARTUP,
		  .at_ms = NOW_MS - 7503000 },
		{ .name = "carp0", .vhid = 1, .from = VHOST_BACKUP,
		  .to = VHOST_MASTER, .cause = VHOST_CAUSE_MASTER_DOWN,
		  .at_ms = NOW_MS - 7500000 + 123 }
	};

	reply(b, IMSG_CTL_HISTORY, &h[0], sizeof(h[0]));
	reply(b, IMSG_CTL_HISTORY, &h[1], sizeof(h[1]));
}

static void
show_all(struct imsgbuf *b)
{
	global(b, strcmp(scene, "backup") != 0);
	if (strcmp(scene, "backup") == 0) {
		show_carp3(b);
		show_carp4_5(b);
		return;
	}
	show_carp0(b);
	if (strcmp(scene, "many") == 0) {
		show_carp1(b);
		show_carp2(b);
	}
	groups(b);
}

/* True when there is such an interface. */
static int
show_iface(struct imsgbuf *b, const char *name)
{
	static const struct {
		const char	*name;
		void		(*show)(struct imsgbuf *);
	} ifaces[] = {
		{ "carp0", show_carp0 },
		{ "carp1", show_carp1 },
		{ "carp2", show_carp2 },
		{ "carp3", show_carp3 }
	};
	size_t	 i;

	for (i = 0; i < NELEMS(ifaces); i++)
		if (strcmp(ifaces[i].name, name) == 0) {
			global(b, 1);
			ifaces[i].show(b);
			groups(b);
			return (1);
		}
	return (0);
}

/* What a terminal would obey. */
static void
escape(struct imsgbuf *b)
{
	struct ctl_vhid	 v = vhid("carp0", 1, VHOST_INIT, VHOST_CAUSE_STARTUP,
	    0, 1);

	strlcpy(v.why, "\033[2Jnothing", sizeof(v.why));
	global(b, 1);
	iface(b, "carp0", "eth0", 1, 0, 1, 1);
	reply(b, IMSG_CTL_VHID, &v, sizeof(v));
	reply(b, IMSG_CTL_END, NULL, 0);
}

static void
fail(struct imsgbuf *b, const char *text)
{
	reply(b, IMSG_CTL_FAIL, text, strlen(text));
}

static void
show(struct imsgbuf *b, const struct ctl_show *m)
{
	switch (m->what) {
	case CTL_WHAT_ALL:
		show_all(b);
		break;
	case CTL_WHAT_IFACE:
		if (!show_iface(b, m->name)) {
			fail(b, "no such interface: carp\033[9");
			return;
		}
		break;
	case CTL_WHAT_DEMOTION:
		groups(b);
		break;
	case CTL_WHAT_COUNTERS:
		show_counters(b);
		break;
	case CTL_WHAT_PEERS:
		show_peers(b);
		break;
	case CTL_WHAT_HISTORY:
		show_history(b);
		break;
	}
	reply(b, IMSG_CTL_END, NULL, 0);
}

/* What a command said, as the daemon understood it. */
static void
describe(const struct imsg *im, char *buf, size_t len)
{
	const struct ctl_demote	*d = im->data;
	const struct ctl_state	*s = im->data;
	const struct ctl_set	*t = im->data;
	const struct ctl_flag	*f = im->data;

	switch (im->type) {
	case IMSG_CTL_DEMOTE:
		snprintf(buf, len, "demote %s %d", d->group, d->delta);
		break;
	case IMSG_CTL_STATE:
		snprintf(buf, len, "state %s %s", s->name,
		    vhost_state_names[s->state]);
		break;
	case IMSG_CTL_SET:
		snprintf(buf, len, "set '%s' key %u vhid %u value %d group "
		    "'%s'", t->name, t->key, t->vhid, t->value, t->group);
		break;
	case IMSG_CTL_ALLOW:
		snprintf(buf, len, "allow %u", f->on);
		break;
	case IMSG_CTL_LOG:
		snprintf(buf, len, "log %u", f->on);
		break;
	default:
		snprintf(buf, len, "%s", carpd_msgs[im->type].name);
		break;
	}
}

/* 0: close the connection. */
static int
serve(struct imsgbuf *b, const struct imsg *im)
{
	const char	*wrong;
	char		 buf[256];

	wrong = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_CLIENT);
	if (wrong != NULL)
		errx(1, "%s", wrong);
	if (strcmp(scene, "mute") == 0)
		return (0);
	if (strcmp(scene, "garbage") == 0) {
		reply(b, IMSG_CTL_GLOBAL, "short", 5);
		return (0);
	}
	if (strcmp(scene, "escape") == 0) {
		escape(b);
		return (1);
	}
	if (im->type == IMSG_CTL_SHOW) {
		show(b, im->data);
		return (1);
	}
	if (im->type == IMSG_CTL_MONITOR) {
		strlcpy(buf, "carp0: state transition: BACKUP -> MASTER "
		    "(bow-out)", sizeof(buf));
		reply(b, IMSG_CTL_EVENT, buf, strlen(buf));
		return (0);
	}
	if (strcmp(scene, "echo") == 0) {
		describe(im, buf, sizeof(buf));
		fail(b, buf);
	} else
		reply(b, IMSG_CTL_OK, NULL, 0);
	return (1);
}

int
main(int argc, char *argv[])
{
	return (fake_main(argc, argv, serve));
}
