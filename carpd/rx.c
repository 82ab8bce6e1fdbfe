/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The receive pipeline: frames of a carpdev, checked in OpenBSD's order
 * (sys/netinet/ip_carp.c), become events.  What the senders are is remembered
 * for `carpctl show peers`; what is dropped is counted, and logged at most once
 * per reason, peer and minute.
 */
#include <string.h>

#include "../common/log.h"
#include "../common/wire/frame.h"
#include "../common/wire/vrrp.h"
#include "engine.h"
#include "os/frameio.h"

#define RX_BATCH	32	/* frames read by one system call */
#define RX_ROUNDS	4	/* of those before others' turn */
#define RX_DRAIN	128	/* of those when nothing may be left unheard */
#define RX_PAUSE	(300 * MONOTIME_USEC)
/* a quarter of the time that the kernel waits for an objection */
#define RX_OBJECT	(25 * MONOTIME_MSEC)
#define DROP_LOG_QUIET	(60 * MONOTIME_SEC)
#define DROP_LOG_VRRP	ADVERT_DROPS	/* no reason of advert.h */
#define DROP_LOG_UNLIKE	(ADVERT_DROPS + 1)

/* How each drop is counted and, at which net.inet.carp.log, told. */
static const struct {
	int		 count;
	int		 pri;		/* -1: never */
	const char	*text;
} drops[ADVERT_DROPS] = {
	[ADVERT_DROP_BADIF] = { COUNT_BADIF, LOG_INFO,
	    "packet received on non-carp interface" },
	[ADVERT_DROP_BADTTL] = { COUNT_BADTTL, LOG_NOTICE,
	    "received ttl != 255" },
	[ADVERT_DROP_HDROPS] = { COUNT_HDROPS, LOG_INFO, "broken header" },
	[ADVERT_DROP_BADSUM] = { COUNT_BADSUM, LOG_INFO, "checksum failed" },
	[ADVERT_DROP_BADVER] = { COUNT_BADVER, LOG_NOTICE, "invalid version" },
	[ADVERT_DROP_BADLEN] = { COUNT_BADLEN, LOG_INFO, "packet too short" },
	[ADVERT_DROP_BADAUTH] = { COUNT_BADAUTH, LOG_INFO, "incorrect hash" },
	[ADVERT_DROP_PASS] = { COUNT_BADAUTH, LOG_INFO, "incorrect hash" },
	[ADVERT_DROP_ADDRS] = { COUNT_BADAUTH, LOG_INFO, "incorrect hash" },
	[ADVERT_DROP_BADVHID] = { COUNT_BADVHID, -1, "unknown vhid" },
	[ADVERT_DROP_LOOP] = { COUNT_BADAUTH, LOG_WARNING,
	    "replay or network loop detected" },
	[ADVERT_DROP_REPLAY] = { COUNT_REPLAY, LOG_WARNING,
	    "replayed advertisement" },
	[ADVERT_DROP_TRAILER] = { COUNT_BADTRAILER, LOG_WARNING,
	    "incorrect trailer" },
	[ADVERT_DROP_NOAUTH] = { COUNT_NOAUTH, LOG_WARNING,
	    "no trailer of a configured key" },
	[ADVERT_DROP_KEYID] = { COUNT_KEYID, LOG_WARNING,
	    "trailer of a key that is not configured" },
	[ADVERT_DROP_UNPROVEN] = { COUNT_UNPROVEN, LOG_INFO,
	    "sender not proven to be live" },
};

/* Once a minute for each reason and sender, and no more of them than that. */
static bool
may_log(struct engine *e, const struct ipaddr *src, int drop)
{
	monotime_t now = monotime_now();
	struct drop_log *slot = NULL;
	size_t i;

	for (i = 0; i < ENGINE_DROPLOG_MAX; i++) {
		struct drop_log *l = &e->drops[i];

		if (l->addr.af == 0 || monotime_cmp(l->until, now) <= 0) {
			if (slot == NULL)
				slot = l;
			continue;
		}
		if (l->drop == drop && ipaddr_cmp(&l->addr, src) == 0) {
			slot = NULL;
			break;
		}
	}
	if (slot == NULL) {
		e->count[COUNT_LOG_SUPPRESSED]++;
		return (false);
	}
	slot->addr = *src;
	slot->drop = drop;
	slot->until = monotime_add(now, DROP_LOG_QUIET);
	return (true);
}

static void
log_drop(struct engine *e, struct dev *d, const struct ipaddr *src,
    enum advert_drop drop, const struct node *n)
{
	char buf[IPADDR_STRLEN];

	if (drops[drop].pri == -1 || drops[drop].pri > e->g.log ||
	    !may_log(e, src, (int)drop))
		return;
	log_at(drops[drop].pri, "%s: %s from %s on %s",
	    n != NULL ? n->vif->c.name : "carp", drops[drop].text,
	    ipaddr_print(src, buf, sizeof(buf)), d->name);
}

/* Whose line is given away first: free, not verified, silent for longest. */
static bool
peer_worth_less(const struct peer *a, const struct peer *b)
{
	if (a->addr.af == 0 || b->addr.af == 0)
		return (b->addr.af != 0);
	if (a->verified != b->verified)
		return (b->verified);
	return (monotime_cmp(a->heard, b->heard) < 0);
}

/* The line of this sender, or one that may be given to it. */
static struct peer *
peer_find(struct peer *peers, const struct ipaddr *src, uint8_t vhid)
{
	struct peer *p, *old = &peers[0];

	for (p = peers; p < peers + ENGINE_PEERS_MAX; p++) {
		if (p->addr.af != 0 && p->vhid == vhid &&
		    ipaddr_cmp(&p->addr, src) == 0)
			return (p);
		if (peer_worth_less(p, old))
			old = p;
	}
	memset(old, 0, sizeof(*old));
	old->addr = *src;
	old->vhid = vhid;
	old->told = MONOTIME_NEVER;
	return (old);
}

static bool
is_bowout(uint8_t advbase, uint8_t advskew)
{
	return (advbase == CARP_BOWOUT && advskew == CARP_BOWOUT);
}

/*
 * It is none of what p says: of late that was verified, and this may be
 * anybody's in its name.
 */
static bool
only_counts(const struct node *n, struct peer *p)
{
	p->packets++;
	p->dropped++;
	return (n != NULL && p->verified && monotime_sub(monotime_now(),
	    p->heard) < vhost_masterdown(&n->conf));
}

/* What a packet shows of its sender; in: what verified, else NULL. */
static void
take_sign(const struct peer *p, const struct frame_ip *f,
    const struct carp_header *h, const struct advert_in *in,
    struct peer_sign *s)
{
	memset(s, 0, sizeof(*s));
	s->eth_src = f->eth_src;
	s->tos = f->tos;
	s->vhid = h->vhid;
	s->demote = h->demote;
	s->bowout = is_bowout(h->advbase, h->advskew);
	s->ours = advert_has_trailer(f);
	s->nov6ll = in != NULL && !in->both && in->variant == ADVERT_NOV6LL;
	s->orig = in != NULL && !in->both && in->variant == ADVERT_ORIG;
	s->before = p->seen_set ? p->seen : NULL;
	s->counter = h->counter;
}

static void
note_kind(struct peer *p, const struct peer_sign *s)
{
	p->kind = peer_kind(p->kind, s);
	memcpy(p->seen, s->counter, sizeof(p->seen));
	p->seen_set = true;
}

/*
 * VRRP has our protocol, groups and virtual MACs: with the same number a
 * switch takes the two routers for one.
 */
static bool
note_vrrp(struct dev *d, const struct frame_ip *f)
{
	struct vrrp_header v;
	enum peer_kind kind;
	struct node *n;
	struct peer *p;
	char buf[IPADDR_STRLEN];

	if (f->ttl != CARP_TTL ||
	    !vrrp_decode(f->payload, f->len, &f->src, &f->dst, &v))
		return (false);
	if ((n = d->byvhid[v.vrid]) == NULL)
		return (true);
	d->eng->count[COUNT_VRRP]++;
	p = peer_find(n->peers, &f->src, v.vrid);
	if (only_counts(n, p))
		return (true);
	kind = v.version == 2 ? PEER_VRRP2 : PEER_VRRP3;
	if (p->kind != kind && may_log(d->eng, &f->src, DROP_LOG_VRRP))
		log_warnx("%s: VRRP router %s has the same number, and so the "
		    "same virtual MAC, as vhid %d: change one of them",
		    n->vif->c.name, ipaddr_print(&f->src, buf, sizeof(buf)),
		    v.vrid);
	p->kind = kind;
	p->priority = v.priority;
	p->advbase = v.interval;
	p->verified = p->ours = false;
	p->drop = ADVERT_DROP_BADVER;
	p->heard = monotime_now();
	return (true);
}

void
rx_known(struct dev *d, uint8_t vhid)
{
	struct peer *p;

	for (p = d->strangers; p < d->strangers + ENGINE_PEERS_MAX; p++)
		if (p->vhid == vhid)
			memset(p, 0, sizeof(*p));
}

/* Another pass, or other addresses. */
static bool
is_unlike(enum advert_drop drop)
{
	return (drop == ADVERT_DROP_BADAUTH || drop == ADVERT_DROP_PASS ||
	    drop == ADVERT_DROP_ADDRS);
}

bool
rx_unlike(const struct peer *p)
{
	return (p->addr.af != 0 && !p->verified && is_unlike(p->drop));
}

/*
 * Nodes whose pass or addresses differ do not hear each other, and all are
 * MASTER: said to everybody, but once.
 */
static void
note_unlike(struct node *n, struct peer *p)
{
	char buf[IPADDR_STRLEN];

	if (!rx_unlike(p))
		return;
	n->vif->unlike = true;
	if (p->drop == ADVERT_DROP_BADAUTH || p->unlike ||
	    !may_log(n->eng, &p->addr, DROP_LOG_UNLIKE))
		return;
	p->unlike = true;
	log_warnx("%s: vhid %d of %s has another %s", n->vif->c.name,
	    n->conf.vhid, ipaddr_print(&p->addr, buf, sizeof(buf)),
	    p->drop == ADVERT_DROP_PASS ? "pass" : "list of addresses");
}

/*
 * All vhids of an interface have one pass and the same addresses: who is right
 * in one is in all.
 */
static void
note_alike(const struct node *n, const struct ipaddr *addr)
{
	struct vif *f = n->vif;
	char buf[IPADDR_STRLEN];
	bool told = false;
	struct peer *p;
	size_t i;

	if (!f->unlike)
		return;
	f->unlike = false;
	for (i = 0; i < f->nnodes; i++)
		for (p = f->nodes[i]->peers;
		    p < f->nodes[i]->peers + ENGINE_PEERS_MAX; p++) {
			if (!rx_unlike(p))
				continue;
			if (ipaddr_cmp(&p->addr, addr) != 0) {
				f->unlike = true;
				continue;
			}
			told |= p->unlike;
			p->unlike = false;
			if (f->nodes[i] != n)
				memset(p, 0, sizeof(*p));
		}
	if (told)
		log_info("%s: %s has our pass and addresses now", f->c.name,
		    ipaddr_print(addr, buf, sizeof(buf)));
}

/*
 * With another pass phrase it is none of our election's business; but that is
 * how most splits come about: each side discards what the other says.
 */
static void
note_claim(struct node *n, const struct frame_ip *f, enum advert_drop drop)
{
	struct carp_header h;

	if (n != NULL && n->v.state == VHOST_MASTER && is_unlike(drop) &&
	    carp_decode(f->payload, f->len, &h) && h.vhid != 0 &&
	    !is_bowout(h.advbase, h.advskew))
		alarm_claim(n, &f->src, false, h.advbase, h.advskew);
}

/*
 * Who sent what was dropped, and why: under its vhid, or with the strangers of
 * carpdev.  What is too short, or for a vhid that does not run, tells nothing.
 */
static void
note_drop(struct dev *d, const struct frame_ip *f, enum advert_drop drop,
    const struct advert_in *in)
{
	struct carp_header h;
	struct peer_sign s;
	struct node *n;
	struct peer *p;

	if (!carp_decode(f->payload, f->len, &h) || h.vhid == 0)
		return;
	n = d->byvhid[h.vhid];
	if (n != NULL && !n->running)
		return;
	p = peer_find(n != NULL ? n->peers : d->strangers, &f->src, h.vhid);
	if (only_counts(n, p))
		return;
	take_sign(p, f, &h, NULL, &s);
	note_kind(p, &s);
	p->drop = drop;
	p->auth = in != NULL ? in->auth : AUTH_NONE;
	p->keyid = in != NULL ? in->keyid : 0;
	p->sender = in != NULL ? in->sender : 0;
	p->verified = false;
	p->advbase = h.advbase;
	p->advskew = h.advskew;
	p->demote = h.demote;
	p->heard = monotime_now();
	memcpy(p->digest, h.digest, sizeof(p->digest));
	if (n != NULL && drop == ADVERT_DROP_ADDRS)
		autopsy_lists(&n->av, f, &p->why);
	else
		memset(&p->why, 0, sizeof(p->why));
	if (n != NULL)
		note_unlike(n, p);
}

/* n NULL: nobody's; in NULL: nobody has looked at its trailer. */
static void
reject(struct dev *d, const struct frame_ip *f, enum advert_drop drop,
    struct node *n, const struct advert_in *in)
{
	d->eng->count[drops[drop].count]++;
	if (note_vrrp(d, f))		/* which is told by itself */
		return;
	log_drop(d->eng, d, &f->src, drop, n);
	note_drop(d, f, drop, in);
	note_claim(n, f, drop);
}

/*
 * What a foreign peer's advert tells of its habits: which digest it needs, and
 * whether it looks at the demotion byte.
 */
static void
learn_habits(struct node *n, const struct peer_sign *s,
    const struct advert_in *in)
{
	const char *name = n->vif->c.name;

	if (n->vif->c.digest == DIGEST_AUTO) {
		if (s->nov6ll)
			n->variant_known = true;
		if (s->orig && !n->variant_known &&
		    n->variant != ADVERT_ORIG) {
			n->variant = ADVERT_ORIG;
			log_info("%s: peers need the digest with link-local "
			    "addresses: sending that", name);
			node_deposit(n);
		}
	}
	if (!in->notice && !n->skew_peer && n->vif->c.style == STYLE_AUTO &&
	    peer_skews(s)) {
		n->skew_peer = true;
		node_style(n);
		log_info("%s: a peer does not use the demotion byte: "
		    "demotion also goes into advskew", name);
	}
}

static void
note_peer(struct node *n, const struct frame_ip *f,
    const struct carp_header *h, const struct advert_in *in)
{
	struct peer_sign s;
	struct peer *p;

	note_alike(n, &f->src);
	p = peer_find(n->peers, &f->src, n->conf.vhid);
	take_sign(p, f, h, in, &s);
	/* counters of what was dropped may be anybody's */
	if (!p->verified)
		s.before = NULL;
	learn_habits(n, &s, in);
	note_kind(p, &s);
	p->packets++;
	p->verified = true;
	p->drop = ADVERT_ACCEPT;
	p->auth = in->auth;
	p->keyid = in->keyid;
	p->sender = in->sender;
	p->ours = in->ours;
	p->node = in->node;
	p->variant = (uint8_t)in->variant;
	p->heard = monotime_now();
	memset(&p->why, 0, sizeof(p->why));
	if (in->tells) {
		p->hears_us = advert_heard(in, n->eng->nodeid);
		p->told = p->heard;
	}
	if (in->notice)
		return;
	p->advbase = in->advbase;
	p->advskew = in->advskew;
	p->demote = in->demote;
	n->master = f->src;
	n->master_node = in->node;
	n->master_rank = (uint32_t)in->advbase * 256 + in->advskew;
}

/* Our node in->node says which vhosts it has lost. */
static void
hear_gone(struct engine *e, const struct advert_in *in)
{
	size_t k;

	for (k = 0; k < in->ngone; k++)
		node_hear_gone(e, in->gone + k * ADVERT_ID_LEN, in->node);
}

static enum vhost_cause
bowout_cause(enum advert_reason r)
{
	switch (r) {
	case ADVERT_REASON_ENGINE_DIED:
		return (VHOST_CAUSE_ENGINE_DIED);
	case ADVERT_REASON_PARENT_DIED:
		return (VHOST_CAUSE_PARENT_DIED);
	case ADVERT_REASON_NONE:
	case ADVERT_REASON_SHUTDOWN:
		break;
	}
	return (VHOST_CAUSE_BOWOUT);
}

static void
hear(struct node *n, const struct frame_ip *f, const struct carp_header *h,
    const struct advert_in *in)
{
	bool master = n->v.state == VHOST_MASTER;
	struct vhost_event ev;

	note_peer(n, f, h, in);
	dev_prove(n->vif->dev);
	if (in->ours)
		vif_hear(n->vif, in, &f->src);
	if (in->ngone != 0)
		hear_gone(n->eng, in);
	if (in->notice) {
		n->eng->count[COUNT_NOTICES]++;
		return;
	}
	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_ADVERT;
	ev.v6 = in->af == AF_INET6;
	ev.ours = in->ours;
	ev.advbase = in->advbase;
	ev.advskew = in->advskew;
	ev.demote = in->demote;
	ev.bowout = bowout_cause(in->reason);
	ev.node = in->node;
	ev.random = engine_random();
	node_event(n, &ev);
	if (master && n->v.state == VHOST_MASTER &&
	    !is_bowout(in->advbase, in->advskew))
		alarm_claim(n, &f->src, true, in->advbase, in->advskew);
}

/*
 * May n hear this?  As on OpenBSD, unicast only where a peer is configured;
 * but there multicast too, so that the hosts can be changed one by one.
 */
static bool
listens(const struct node *n, const struct frame_ip *f)
{
	return (n != NULL && n->running &&
	    (f->src.af == AF_INET ? n->conf.v4 : n->conf.v6) &&
	    (f->multicast || vif_has_peers(n->vif, f->src.af)));
}

static bool
dev_has_peers6(const struct dev *d)
{
	const struct vif *v;

	TAILQ_FOREACH(v, &d->eng->vifs, entry)
		if (v->dev == d && vif_has_peers(v, AF_INET6))
			return (true);
	return (false);
}

/*
 * Somebody may have claimed a vhid of ours, or more frames came than we could
 * read.  The kernel notes a claim, on another CPU maybe after we read it, and
 * lets the MASTER be dead if it does not object.
 */
static void
claim(struct dev *d)
{
	if (d->objecting) {
		d->claimed = true;
		return;
	}
	d->objecting = true;
	ev_timer_at(d->object, monotime_add(monotime_now(), RX_OBJECT));
}

void
rx_object(void *arg)
{
	struct dev *d = arg;
	size_t vhid;

	for (vhid = 1; vhid < sizeof(d->byvhid) / sizeof(d->byvhid[0]); vhid++)
		if (d->byvhid[vhid] != NULL)
			node_object(d->byvhid[vhid]);
	d->objecting = false;
	if (d->claimed)
		claim(d);
	d->claimed = false;
}

/* The receive pipeline, in OpenBSD's order. */
static void
receive(struct dev *d, const uint8_t *frame, size_t len)
{
	static const struct ipaddr nobody = { AF_INET, 32, { 0 }, { 0 } };
	struct engine *e = d->eng;
	struct carp_header h;
	struct advert_in in;
	struct frame_ip f;
	enum advert_drop drop;
	struct node *n;
	monotime_t now;

	switch (frame_peel(frame, len, &f)) {
	case FRAME_OK:
		break;
	case FRAME_OTHER:
		return;
	case FRAME_SHORT:
	case FRAME_BADSUM:
		claim(d);
		d->eng->count[COUNT_HDROPS]++;
		log_drop(d->eng, d, &nobody, ADVERT_DROP_HDROPS, NULL);
		return;
	}
	if (f.proto != CARP_PROTO)
		return;
	if (f.len > 1 && (n = d->byvhid[f.payload[1]]) != NULL &&
	    n->v.state == VHOST_MASTER)
		claim(d);
	/* a NIC that takes all frames sees other hosts' as well */
	if (!f.multicast && memcmp(f.eth_dst, d->mac, sizeof(d->mac)) != 0)
		return;
	e->count[f.src.af == AF_INET ? COUNT_IPACKETS : COUNT_IPACKETS6]++;
	if (!e->allow)
		return;
	if (!f.multicast && f.src.af == AF_INET6 && !dev_has_peers6(d)) {
		reject(d, &f, ADVERT_DROP_BADIF, NULL, NULL);
		return;
	}
	if ((drop = advert_check(&f, &h)) != ADVERT_ACCEPT) {
		reject(d, &f, drop, NULL, NULL);
		return;
	}
	n = d->byvhid[advert_vhid(&f, &h)];
	if (!listens(n, &f)) {
		reject(d, &f, ADVERT_DROP_BADVHID, NULL, NULL);
		return;
	}
	now = monotime_now();
	drop = advert_verify(&n->av, &f, &h, now, vhost_masterdown(&n->conf),
	    &in);
	if (drop == ADVERT_ACCEPT)
		hear(n, &f, &h, &in);
	else
		reject(d, &f, drop, n, &in);
	/* it asks, or is to be asked */
	if (n->running && e->auth != NULL && auth_urgent(e->auth, now))
		node_notice(n, 0);
}

/* Up to `rounds` batches; false: there may be more. */
static bool
take(struct dev *d, int rounds)
{
	static uint8_t bytes[RX_BATCH][FRAMEIO_MTU];
	struct frameio_vec v[RX_BATCH];
	size_t i, n = RX_BATCH;
	int fd = d->fd;

	while (n == RX_BATCH) {
		if (rounds-- == 0) {
			claim(d);
			return (false);
		}
		for (i = 0; i < RX_BATCH; i++)
			v[i] = (struct frameio_vec){ bytes[i],
			    sizeof(bytes[i]) };
		n = frameio_recvv(fd, v, RX_BATCH);
		tx_open(d->eng);
		for (i = 0; i < n && d->fd == fd; i++)
			receive(d, v[i].data, v[i].len);
		tx_close(d->eng);
		if (d->fd != fd)
			break;
	}
	return (true);
}

/*
 * The first frame after a quiet time is looked at once.  Those that follow it
 * closely come from somebody with many vhids, one by one as he sends them:
 * they are let come in for a moment, else each would cost a wake-up.
 */
void
rx_ready(int fd, int what, void *arg)
{
	struct dev *d = arg;
	monotime_t last = d->read_at;

	(void)fd;
	(void)what;
	d->read_at = monotime_now();
	if (!take(d, RX_ROUNDS) || d->ev == NULL ||
	    monotime_sub(d->read_at, last) > RX_PAUSE)
		return;
	ev_fd_want(d->ev, 0);
	ev_timer_at(d->pause, monotime_add(d->read_at, RX_PAUSE));
}

void
rx_resume(void *arg)
{
	struct dev *d = arg;

	if (d->ev == NULL)
		return;
	ev_fd_want(d->ev, EV_IN);
	d->read_at = monotime_now();
	(void)take(d, RX_ROUNDS);
}

void
rx_drain(struct dev *d)
{
	if (d->fd != -1)
		(void)take(d, RX_DRAIN);
}
