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
#include "engine.h"
#include "os/frameio.h"

#define RX_BATCH	32	/* frames read by one system call */
#define RX_ROUNDS	4	/* of those before others' turn */
#define RX_DRAIN	128	/* of those when nothing may be left unheard */
#define RX_PAUSE	(300 * MONOTIME_USEC)
#define COUNTER_STEP	1024	/* a counter's, adverts lost included */
#define DROP_LOG_QUIET	(60 * MONOTIME_SEC)

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
	[ADVERT_DROP_BADVHID] = { COUNT_BADVHID, -1, "unknown vhid" },
	[ADVERT_DROP_LOOP] = { COUNT_BADAUTH, LOG_WARNING,
	    "replay or network loop detected" },
	[ADVERT_DROP_REPLAY] = { COUNT_REPLAY, LOG_WARNING,
	    "replayed advertisement" },
	[ADVERT_DROP_TRAILER] = { COUNT_BADTRAILER, LOG_WARNING,
	    "incorrect trailer" },
};

static void
log_drop(struct engine *e, struct dev *d, const struct ipaddr *src,
    enum advert_drop drop, const struct node *n)
{
	monotime_t now = monotime_now();
	struct drop_log *slot = NULL;
	char buf[IPADDR_STRLEN];
	size_t i;

	if (drops[drop].pri == -1 || drops[drop].pri > e->g.log)
		return;
	for (i = 0; i < ENGINE_DROPLOG_MAX; i++) {
		struct drop_log *l = &e->drops[i];

		if (l->addr.af == 0 || monotime_cmp(l->until, now) <= 0) {
			if (slot == NULL)
				slot = l;
			continue;
		}
		if (l->drop == (int)drop && ipaddr_cmp(&l->addr, src) == 0) {
			slot = NULL;
			break;
		}
	}
	if (slot == NULL) {
		e->count[COUNT_LOG_SUPPRESSED]++;
		return;
	}
	slot->addr = *src;
	slot->drop = (int)drop;
	slot->until = monotime_add(now, DROP_LOG_QUIET);
	log_at(drops[drop].pri, "%s: %s from %s on %s",
	    n != NULL ? n->vif->c.name : "carp", drops[drop].text,
	    ipaddr_print(src, buf, sizeof(buf)), d->name);
}

static void
count_drop(struct dev *d, const struct ipaddr *src, enum advert_drop drop,
    const struct node *n)
{
	d->eng->count[drops[drop].count]++;
	log_drop(d->eng, d, src, drop, n);
}

/* The line of this sender, or the one that was silent for longest. */
static struct peer *
node_peer(struct node *n, const struct ipaddr *src)
{
	struct peer *p, *old = &n->peers[0];
	size_t i;

	for (i = 0; i < ENGINE_PEERS_MAX; i++) {
		p = &n->peers[i];
		if (p->addr.af != 0 && ipaddr_cmp(&p->addr, src) == 0)
			return (p);
		if (old->addr.af != 0 && (p->addr.af == 0 ||
		    monotime_cmp(p->heard, old->heard) < 0))
			old = p;
	}
	memset(old, 0, sizeof(*old));
	old->addr = *src;
	return (old);
}

static void
note_drop(struct node *n, const struct frame_ip *f,
    const struct carp_header *h, enum advert_drop drop)
{
	struct peer *p = node_peer(n, &f->src);

	p->packets++;
	p->dropped++;
	p->drop = drop;
	p->verified = false;
	p->advbase = h->advbase;
	p->advskew = h->advskew;
	p->demote = h->demote;
	p->heard = monotime_now();
}

/*
 * A few steps further?  Any other value is the random one of a peer that was
 * started anew, or somebody's replay.
 */
static bool
counter_grew(const uint8_t *old, const uint8_t *new)
{
	uint64_t a = 0, b = 0;
	size_t i;

	for (i = 0; i < CARP_COUNTER_LEN; i++) {
		a = a << 8 | old[i];
		b = b << 8 | new[i];
	}
	return (b - a >= 1 && b - a <= COUNTER_STEP);
}

/*
 * What a foreign peer's advert tells of its habits.  A digest over link-local
 * addresses is the FreeBSD form; a counter that moves is FreeBSD, NetBSD or
 * ucarp, none of which looks at the demotion byte.
 */
static void
learn_habits(struct node *n, struct peer *p, const struct carp_header *h,
    const struct advert_in *in)
{
	const char *name = n->vif->c.name;

	if (!in->both && n->vif->c.digest == DIGEST_AUTO) {
		if (in->variant == ADVERT_NOV6LL)
			n->variant_known = true;
		if (in->variant == ADVERT_ORIG && !n->variant_known &&
		    n->variant != ADVERT_ORIG) {
			n->variant = ADVERT_ORIG;
			log_info("%s: peers need the digest with link-local "
			    "addresses: sending that", name);
			node_deposit(n);
		}
	}
	if (in->ours || in->notice)
		return;
	if (p->verified && !n->skew_peer && n->vif->c.style == STYLE_AUTO &&
	    counter_grew(p->counter, h->counter)) {
		n->skew_peer = true;
		node_style(n);
		log_info("%s: a peer does not use the demotion byte: "
		    "demotion also goes into advskew", name);
	}
	memcpy(p->counter, h->counter, sizeof(p->counter));
}

static void
note_peer(struct node *n, const struct frame_ip *f,
    const struct carp_header *h, const struct advert_in *in)
{
	struct peer *p = node_peer(n, &f->src);

	learn_habits(n, p, h, in);
	p->packets++;
	p->verified = true;
	p->drop = ADVERT_ACCEPT;
	p->ours = in->ours;
	p->node = in->node;
	p->variant = (uint8_t)in->variant;
	p->heard = monotime_now();
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
	struct vhost_event ev;

	note_peer(n, f, h, in);
	dev_prove(n->vif->dev);
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

	switch (frame_peel(frame, len, &f)) {
	case FRAME_OK:
		break;
	case FRAME_OTHER:
		return;
	case FRAME_SHORT:
	case FRAME_BADSUM:
		count_drop(d, &nobody, ADVERT_DROP_HDROPS, NULL);
		return;
	}
	if (f.proto != CARP_PROTO)
		return;
	e->count[f.src.af == AF_INET ? COUNT_IPACKETS : COUNT_IPACKETS6]++;
	if (!e->allow)
		return;
	if (!f.multicast && f.src.af == AF_INET6) {
		count_drop(d, &f.src, ADVERT_DROP_BADIF, NULL);
		return;
	}
	if ((drop = advert_check(&f, &h)) != ADVERT_ACCEPT) {
		count_drop(d, &f.src, drop, NULL);
		return;
	}
	n = d->byvhid[advert_vhid(&f, &h)];
	if (n == NULL || !n->running || !f.multicast ||
	    (f.src.af == AF_INET ? !n->conf.v4 : !n->conf.v6)) {
		count_drop(d, &f.src, ADVERT_DROP_BADVHID, NULL);
		return;
	}
	drop = advert_verify(&n->av, &f, &h, monotime_now(),
	    vhost_masterdown(&n->conf), &in);
	if (drop != ADVERT_ACCEPT) {
		count_drop(d, &f.src, drop, n);
		note_drop(n, &f, &h, drop);
		return;
	}
	hear(n, &f, &h, &in);
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
		if (rounds-- == 0)
			return (false);
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
