/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A control socket of pfsyncd with canned answers (fake.h).
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "pfsyncd/msgs.h"

static void
fail(struct imsgbuf *b, const char *text)
{
	reply(b, PMSG_CTL_FAIL, text, strlen(text));
	reply(b, PMSG_CTL_END, NULL, 0);
}

static void
counters(struct imsgbuf *b)
{
	static const struct sync_counter	 c[] = {
		{ "ipackets", 18446744073709551615ull }, { "badauth", 0 },
		{ "stale", 3 }
	};
	size_t					 i;

	for (i = 0; i < NELEMS(c); i++)
		reply(b, PMSG_CTL_COUNTER, &c[i], sizeof(c[i]));
}

/* What is alike in all scenes: one node of ours, in step. */
static struct sync_show
self(void)
{
	struct sync_show	 s = {
		.syncdev = "eth2", .syncpeer = addr("224.0.0.240"),
		.now = NOW, .uptime_ms = 93784005, .node = 0x1a2b3c4d,
		.dialects = 1u << DIALECT_NATIVE, .maxupd = 128, .link = 1, .mtu = 1500,
		.auth = AUTH_STRICT, .keyid = 2, .carp = 1, .masters = 2,
		.bulk = SYNC_BULK_DONE, .states_local = 12345,
		.states_remote = 6789, .states_young = 12, .memory = 2411724,
		.tx_queue = 3, .lag_us = 1234, .lag_max_us = 5678,
		.bulk_have = 6789, .bulk_want = 6789,
		.kernel_count = 19146, .kernel_max = 262144
	};

	return (s);
}

static struct sync_peer_info
minnie(void)
{
	struct sync_peer_info	 p = {
		.node = 0xdeadbeef, .dialect = DIALECT_NATIVE, .mtu = 1500, .alive = 1,
		.in_sync = 1, .auth = AUTH_PROVEN, .keyid = 2, .addr = addr("192.168.2.201"),
		.heard_ms = 250, .carries = 6789, .have = 6789,
		.packets = 99999, .lost = 2, .lag_us = 1234,
		.since_sync_ms = 40
	};

	return (p);
}

/* In step with the one peer. */
static void
show_good(struct imsgbuf *b)
{
	struct sync_show	 s = self();
	struct sync_peer_info	 p = minnie();

	reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
	reply(b, PMSG_CTL_PEER, &p, sizeof(p));
	counters(b);
}

/* A bulk comes in, and peers of every kind. */
static void
show_bulk(struct imsgbuf *b)
{
	struct sync_show	 s = self();
	struct sync_peer_info	 p[5];
	size_t			 i;

	s.dialects |= 1u << DIALECT_OPENBSD | 1u << DIALECT_FREEBSD_1500;
	s.auth = AUTH_PERMISSIVE;
	s.bulk = SYNC_BULK_RUNNING;
	s.bulk_have = 4500;
	s.bulk_want = 10000;
	s.bulk_eta_ms = 2001;
	s.states_missing = 7;
	s.states_ended = 9;
	s.op_queue = 512;
	s.splits = 1;
	s.full = 1;
	s.mismatching = 40;
	s.holding = 1;
	strlcpy(s.hold_reason, "bulk", sizeof(s.hold_reason));
	for (i = 0; i < NELEMS(p); i++) {
		p[i] = minnie();
		p[i].node += (uint32_t)i;
	}
	p[1].in_sync = 0;
	p[1].mismatching = 40;
	p[1].mtu = 9000;
	p[3].mtu = 1400;	/* it is not there */
	p[1].addr = addr("2001:db8:2::201");
	p[2].in_sync = 0;
	p[2].starting = 1;
	p[3].alive = p[3].in_sync = 0;
	p[3].heard_ms = p[3].since_sync_ms = UINT64_MAX;
	memset(&p[3].addr, 0, sizeof(p[3].addr));
	p[4].dialect = DIALECT_OPENBSD;
	p[1].auth = AUTH_UNPROVEN;
	p[2].auth = AUTH_UNKNOWN;
	p[4].auth = p[4].in_sync = 0;
	reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
	for (i = 0; i < NELEMS(p); i++)
		reply(b, PMSG_CTL_PEER, &p[i], sizeof(p[i]));
	counters(b);
}

/* The cable is out, carpd is not there, and nothing is known. */
static void
show_alone(struct imsgbuf *b)
{
	struct sync_show	 s = self();

	s.link = s.carp = s.masters = 0;
	s.bulk = SYNC_BULK_WAIT;
	s.bulk_have = s.bulk_want = 0;
	s.bulk_eta_ms = UINT64_MAX;
	s.lag_us = s.lag_max_us = s.states_remote = 0;
	memset(&s.syncpeer, 0, sizeof(s.syncpeer));
	reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
}

/* Only pfsync(4) is heard, and two who are not let in. */
static void
show_foreign(struct imsgbuf *b)
{
	struct sync_stranger	 n[] = {
		{ .addr = addr("192.168.2.202"), .why = SYNC_WHY_KEY,
		    .packets = 57, .heard_ms = 250 },
		{ .addr = addr("2001:db8:2::202"), .why = SYNC_WHY_NONE,
		    .packets = 1, .heard_ms = 61005 },
		{ .addr = addr("192.168.2.203"), .why = SYNC_WHY_MAX }
	};
	struct sync_show	 s = self();
	struct sync_peer_info	 p = minnie();
	size_t			 i;

	s.syncpeer = addr("2001:db8:2::201");
	s.dialects = 1u << DIALECT_OPENBSD;
	s.bulk = SYNC_BULK_FAILED;
	p.dialect = DIALECT_OPENBSD;
	p.in_sync = 0;
	reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
	reply(b, PMSG_CTL_PEER, &p, sizeof(p));
	for (i = 0; i < NELEMS(n); i++)
		reply(b, PMSG_CTL_STRANGER, &n[i], sizeof(n[i]));
	counters(b);
}

/* 0: close the connection. */
static int
show(struct imsgbuf *b)
{
	static const struct {
		const char	*scene;
		void		(*show)(struct imsgbuf *);
	} shows[] = {
		{ "good", show_good }, { "bulk", show_bulk },
		{ "alone", show_alone }, { "foreign", show_foreign },
		{ "nothing", counters }
	};
	struct sync_show	 s = self();
	size_t			 i;

	if (strcmp(scene, "cut") == 0) {
		show_good(b);
		return (0);
	}
	if (strcmp(scene, "wild") == 0) {
		memset(s.syncdev, 'x', sizeof(s.syncdev));
		reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
		return (0);
	}
	if (strcmp(scene, "escape") == 0) {
		strlcpy(s.hold_reason, "\033[2Jbulk", sizeof(s.hold_reason));
		s.holding = 1;
		reply(b, PMSG_CTL_SYNC, &s, sizeof(s));
		reply(b, PMSG_CTL_END, NULL, 0);
		return (1);
	}
	for (i = 0; i < NELEMS(shows); i++)
		if (strcmp(shows[i].scene, scene) == 0) {
			shows[i].show(b);
			reply(b, PMSG_CTL_END, NULL, 0);
			return (1);
		}
	fail(b, "starting");
	return (1);
}

/* 0: close the connection. */
static int
serve(struct imsgbuf *b, const struct imsg *im)
{
	const char	*wrong;

	wrong = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_CLIENT);
	if (wrong != NULL)
		errx(1, "%s", wrong);
	if (strcmp(scene, "mute") == 0)
		return (0);
	if (strcmp(scene, "garbage") == 0) {
		reply(b, PMSG_CTL_SYNC, "short", 5);
		return (0);
	}
	if (im->type == PMSG_CTL_SHOW)
		return (show(b));
	if (strcmp(scene, "echo") == 0) {
		/* the name, and what no terminal should get */
		char	 text[64];

		snprintf(text, sizeof(text), "%s\033[2J",
		    pfsyncd_msgs[im->type].name);
		fail(b, text);
		return (1);
	}
	reply(b, PMSG_CTL_OK, NULL, 0);
	reply(b, PMSG_CTL_END, NULL, 0);
	return (1);
}

int
main(int argc, char *argv[])
{
	return (fake_main(argc, argv, serve));
}
