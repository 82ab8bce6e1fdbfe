/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * An engine of carpd that was taken over (hostile.h).  It knows the
 * configuration, as the real one does, and asks the parent for what is in it,
 * for what is beside it, and for nonsense.  When it has said all it writes
 * "hostile: N said" and waits for the parent to stop it.
 */
#include <sys/socket.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carpd/msgs.h"
#include "carpd/os/steer.h"
#include "common/monotime.h"
#include "common/wire/carp.h"
#include "common/wire/frame.h"
#include "hostile.h"

#define CHANNEL		3
#define NAMES_MAX	64

static char	 names[NAMES_MAX][IF_NAMESIZE];	/* carp interfaces */
static char	 devs[NAMES_MAX][IF_NAMESIZE];	/* their carpdevs */
static size_t	 nnames, next;		/* next: of the file that comes */
static uint8_t	 vhids[NAMES_MAX];
static struct steer_slots *slots[NAMES_MAX];	/* of carpdevs, as they came */
static size_t	 nslots;
static bool	 configured, stopping;
static uint32_t	 generation;

static void
heard(struct speaker *s, const struct imsg *im)
{
	const struct config_iface	*c = im->data;

	(void)s;
	if (im->type == IMSG_SLOTS && nslots < NAMES_MAX)
		slots[nslots++] = steer_slots_map(im->fd);
	else if (im->fd != -1)
		close(im->fd);
	switch (im->type) {
	case IMSG_CONF_BEGIN:
		next = 0;
		return;
	case IMSG_CONF_IFACE:
		if (next == NAMES_MAX)
			return;
		memcpy(names[next], c->name, IF_NAMESIZE);
		memcpy(devs[next], c->carpdev, IF_NAMESIZE);
		vhids[next++] = c->vhids[0].vhid;
		if (nnames < next)
			nnames = next;
		return;
	case IMSG_CONF_END:
		generation = im->id;
		configured = true;
		return;
	case IMSG_STOP:
		stopping = true;
		return;
	default:
		return;
	}
}

static bool
is_configured(void)
{
	return (configured);
}

static bool
is_stopping(void)
{
	return (stopping);
}

/* Mostly of the configuration, or close to it. */
static void
a_name(char name[IF_NAMESIZE], char of[][IF_NAMESIZE])
{
	static const char *const	 others[] = {
		"lo", "sync0", "all", "", "../../../etc", "lan0\ncarp0",
		"%s%s%n", "carp0 "
	};

	memset(name, 0, IF_NAMESIZE);
	switch (rnd(8)) {
	case 0:
		rnd_fill(name, IF_NAMESIZE);
		return;
	case 1:
		strlcpy(name, others[rnd(NELEMS(others))], IF_NAMESIZE);
		return;
	case 2:			/* without its end */
		memset(name, 'A', IF_NAMESIZE);
		return;
	default:
		memcpy(name, of[rnd((uint32_t)nnames)], IF_NAMESIZE);
		return;
	}
}

static void
say_vaddr(struct speaker *s)
{
	struct msg_vaddr	 m;

	memset(&m, 0, sizeof(m));
	a_name(m.name, names);
	m.on = (uint8_t)rnd(3);
	rnd_fill(m.pad, sizeof(m.pad));
	say(s, IMSG_VADDR, rnd(UINT32_MAX), &m, sizeof(m));
}

/* The frame that a real engine deposits, but for its digest. */
static void
bowout(struct msg_bowout *m, uint32_t of)
{
	static const struct carp_header	 h = { .version = CARP_VERSION,
	    .type = CARP_TYPE_ADVERT, .authlen = CARP_AUTHLEN,
	    .advbase = CARP_BOWOUT, .advskew = CARP_BOWOUT };
	struct carp_header		 mine = h;
	struct frame_meta		 f;
	size_t				 n;

	memset(m, 0, sizeof(*m));
	memset(&f, 0, sizeof(f));
	memcpy(m->carpdev, devs[of], IF_NAMESIZE);
	m->vhid = mine.vhid = vhids[of];
	if (ipaddr_parse("224.0.0.18", &f.dst, NULL) == -1 ||
	    ipaddr_parse("192.0.2.66", &f.src, NULL) == -1)
		errx(1, "addresses");
	m->dst = f.dst;
	frame_mcast_mac(&f.dst, f.eth_dst);
	memcpy(f.eth_src, "\0\0\x5e\0\1", 5);
	f.eth_src[5] = m->vhid;
	f.proto = CARP_PROTO;
	f.ttl = CARP_TTL;
	n = frame_ip(m->frame, sizeof(m->frame), &f, CARP_LEN);
	carp_encode(&mine, m->frame + n);
	m->len = (uint16_t)(n + CARP_LEN);
}

/* As it should be, or a few bytes of it changed anywhere. */
static void
say_bowout(struct speaker *s)
{
	struct msg_bowout	 m;
	uint32_t		 i, n = rnd(6);
	uint8_t			 whole[sizeof(m)];

	bowout(&m, rnd((uint32_t)nnames));
	if (rnd(8) == 0)
		rnd_fill(m.frame, sizeof(m.frame));
	memcpy(whole, &m, sizeof(m));
	for (i = 0; i < n; i++)		/* most of it is past the frame */
		rnd_fill(whole + rnd(rnd(2) == 0 ? sizeof(whole) : 160), 1);
	say(s, IMSG_BOWOUT, 0, whole, sizeof(whole));
}

static void
say_log(struct speaker *s)
{
	struct msg_log	 m;

	rnd_fill(&m, sizeof(m));
	if (rnd(2) == 0)
		m.pri = (int32_t)rnd(8);
	say(s, IMSG_LOG, 0, &m, sizeof(m));
}

static void
say_name(struct speaker *s, uint32_t type)
{
	struct msg_name	 m;

	a_name(m.name, devs);
	say(s, type, 0, &m, sizeof(m));
}

/* The kernel reads them, and so does the parent. */
static void
scribble(void)
{
	uint64_t	 word;
	uint32_t	 i, vhid = rnd(4) == 0 ? rnd(256) : rnd(4);

	rnd_fill(&word, sizeof(word));
	for (i = 0; i < nslots; i++) {
		if (rnd(2) == 0)
			((volatile uint64_t *)slots[i])[vhid] = word;
		else
			steer_slot_set(slots[i], (uint8_t)vhid,
			    STEER_STATE_ON, rnd(1024), monotime_now());
	}
}

static void
say_something(struct speaker *s)
{
	uint32_t	 r = rnd(1000);

	if (r < 300)
		say_vaddr(s);
	else if (r < 650)
		say_bowout(s);
	else if (r < 750)
		say_name(s, IMSG_ASK_IPV6);
	else if (r < 800)
		say(s, IMSG_WANT_COUNTERS, rnd(UINT32_MAX), NULL, 0);
	else if (r < 900)
		say(s, IMSG_ASK_ALIVE, rnd(UINT32_MAX), NULL, 0);
	else if (r < 940)
		say(s, IMSG_READY, generation - rnd(2), NULL, 0);
	else if (r < 970)
		say(s, IMSG_STOPPED, 0, NULL, 0);
	else if (r < 985)
		say_descriptors(s, IMSG_ASK_ALIVE);
	else if (r < 997)
		say_log(s);
	else
		say(s, IMSG_RELOAD, rnd(UINT32_MAX), NULL, 0);
}

/* At the end it is MASTER of all that the configuration has, for long. */
static void
storm(struct speaker *s, uint32_t n)
{
	struct msg_vaddr	 m;
	uint32_t		 i;

	for (i = 0; i < n; i++) {
		if (rnd(4) == 0)
			scribble();
		say_something(s);
	}
	for (i = 0; i < nnames; i++) {
		memset(&m, 0, sizeof(m));
		memcpy(m.name, names[i], sizeof(m.name));
		m.on = 1;
		say(s, IMSG_VADDR, 0, &m, sizeof(m));
	}
	for (i = 0; i < nslots * NAMES_MAX; i++)
		steer_slot_set(slots[i / NAMES_MAX], (uint8_t)(i % NAMES_MAX),
		    STEER_STATE_ON, UINT16_MAX, monotime_now());
	printf("hostile: %u said\n", n);
	fflush(stdout);
}

int
main(void)
{
	struct order	 o = order_read();
	struct speaker	 s = { .ib = imsgbuf_new(CHANNEL), .tab = carpd_msgs,
	    .ntab = IMSG_MAX, .from = MSG_FROM_ENGINE, .heard = heard };

	hear_until(&s, is_configured);
	say(&s, IMSG_READY, generation, NULL, 0);
	if (o.wrong && !say_wrong(&s, o.n))
		errx(1, "no wrong message %u", o.n);
	s.deaf = o.deaf;
	if (!o.wrong)
		storm(&s, o.n);
	s.deaf = false;
	hear_until(&s, is_stopping);
	say(&s, IMSG_STOPPED, 0, NULL, 0);
	return (0);
}
