/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The classifier: every rule of carpd/bpf/steer.bpf.c with frames made here
 * and run through the loaded programs (BPF_PROG_TEST_RUN), and the life of
 * the filters and maps around them (os/steer.h), on the loopback interface of
 * a network namespace of its own.  Needs root.  With the argument "bench" it
 * prints nanoseconds per frame instead.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <net/if.h>

#include "carpd/balance.h"
#include "carpd/bpf/steer_map.h"
#include "carpd/os/steer.h"
#include "common/monotime.h"
#include "anypacket.h"
#include "skip.h"

#define LO		1		/* ifindex */
#define HANDLE		0x70
#define PASS		TC_ACT_UNSPEC
#define SHOT		TC_ACT_SHOT
#define IVAL		256U		/* 1 s */
#define FRAME_MAX	256
#define NOBODY		65534

static const uint8_t	 own[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t	 peer[6] = { 2, 0, 0, 0, 0, 9 };
static const uint8_t	 vmac1[6] = { 0, 0, 0x5e, 0, 1, 1 };
static const uint8_t	 vmac2[6] = { 0, 0, 0x5e, 0, 1, 2 };
static const uint8_t	 vmac3[6] = { 0, 0, 0x5e, 0, 1, 3 };
static const uint8_t	 bcast[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t	 carp_mac[6] = { 1, 0, 0x5e, 0, 0, 0x12 };

/* vhid 1 has VIP and VIP6; nobody has the others */
#define VIP		"172.16.0.202"
#define PHYS		"172.16.0.1"
#define HOST		"172.16.0.50"
#define VIP6		"2001:db8::202"
#define PHYS6		"2001:db8::1"
#define HOST6		"2001:db8::50"
#define ANY6		"::"

struct frame {
	size_t	 len;
	uint8_t	 b[FRAME_MAX];
};

static struct steer		*st;
static struct steer_slots	*slots;
static int			 in, out;	/* the programs */

/* Frames. */

static void
put(struct frame *f, const void *p, size_t len)
{
	ck_assert_uint_le(f->len + len, FRAME_MAX);
	memcpy(f->b + f->len, p, len);
	f->len += len;
}

static void
put_addr(struct frame *f, const char *text)
{
	uint8_t	 a[16];
	int	 af = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	ck_assert_int_eq(inet_pton(af, text, a), 1);
	put(f, a, af == AF_INET6 ? 16 : 4);
}

static struct frame
ether(const uint8_t *dst, const uint8_t *src, uint16_t type)
{
	struct frame	 f = { .len = 0 };
	uint8_t		 t[2] = { (uint8_t)(type >> 8), (uint8_t)type };

	put(&f, dst, 6);
	put(&f, src, 6);
	put(&f, t, 2);
	return (f);
}

static struct frame
ip4(const uint8_t *dst, const uint8_t *src, const char *from, const char *to,
    uint8_t proto, uint8_t ttl, const void *data, size_t len)
{
	struct frame	 f = ether(dst, src, 0x0800);
	uint8_t		 h[12] = { 0x45, 0, 0, (uint8_t)(20 + len),
			    0, 1, 0, 0, ttl, proto, 0, 0 };

	put(&f, h, sizeof(h));
	put_addr(&f, from);
	put_addr(&f, to);
	put(&f, data, len);
	return (f);
}

static struct frame
ip6(const uint8_t *dst, const uint8_t *src, const char *from, const char *to,
    uint8_t next, uint8_t hops, const void *data, size_t len)
{
	struct frame	 f = ether(dst, src, 0x86dd);
	uint8_t		 h[8] = { 0x60, 0, 0, 0, 0, (uint8_t)len, next,
			    hops };

	put(&f, h, sizeof(h));
	put_addr(&f, from);
	put_addr(&f, to);
	put(&f, data, len);
	return (f);
}

static struct frame
arp(const uint8_t *src, uint8_t op, const uint8_t *sha, const char *spa,
    const char *tpa)
{
	struct frame	 f = ether(bcast, src, 0x0806);
	uint8_t		 h[8] = { 0, 1, 8, 0, 6, 4, 0, op }, none[6] = { 0 };

	put(&f, h, sizeof(h));
	put(&f, sha, 6);
	put_addr(&f, spa);
	put(&f, none, 6);
	put_addr(&f, tpa);
	return (f);
}

static uint16_t
sum6(const struct frame *f)
{
	uint32_t	 s = 58 + (uint32_t)(f->len - 54);
	size_t		 i;

	for (i = 22; i < f->len; i += 2)
		s += (uint32_t)f->b[i] << 8 | f->b[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ((uint16_t)s);		/* 0xffff: correct */
}

/* ICMPv6 with a correct checksum. */
static struct frame
icmp6(const uint8_t *src, const char *from, const void *data, size_t len)
{
	struct frame	 f = ip6(bcast, src, from, "ff02::1", 58, 255, data,
			    len);
	uint16_t	 sum = (uint16_t)~sum6(&f);

	f.b[56] = (uint8_t)(sum >> 8);
	f.b[57] = (uint8_t)sum;
	ck_assert_uint_eq(sum6(&f), 0xffff);
	return (f);
}

/* NS (135) or NA (136) with one option, or none (opt 0). */
static struct frame
nd(uint8_t type, const uint8_t *src, const char *from, const char *target,
    uint8_t opt, const uint8_t *mac)
{
	uint8_t	 d[32] = { type };

	ck_assert_int_eq(inet_pton(AF_INET6, target, d + 8), 1);
	d[24] = opt;
	d[25] = 1;
	memcpy(d + 26, mac, 6);
	return (icmp6(src, from, d, opt ? 32 : 24));
}

static struct frame
carp4(const uint8_t *src, uint8_t vhid, uint8_t ttl)
{
	uint8_t	 c[36] = { 0x21, vhid, 0, 7 };

	return (ip4(carp_mac, src, PHYS, "224.0.0.18", 112, ttl, c,
	    sizeof(c)));
}

static struct frame
carp6(const uint8_t *src, uint8_t vhid)
{
	uint8_t	 c[36] = { 0x21, vhid, 0, 7 };

	return (ip6(carp_mac, src, PHYS6, "ff02::12", 112, 255, c,
	    sizeof(c)));
}

static struct frame
udp4(const uint8_t *dst, const uint8_t *src, const char *from, const char *to)
{
	uint8_t	 u[30] = { 0 };

	return (ip4(dst, src, from, to, 17, 64, u, sizeof(u)));
}

static struct frame
udp6(const uint8_t *dst, const uint8_t *src, const char *from, const char *to)
{
	uint8_t	 u[30] = { 0 };

	return (ip6(dst, src, from, to, 17, 64, u, sizeof(u)));
}

/* With a tag in the frame. */
static struct frame
vlan(const struct frame *f, uint16_t vid)
{
	struct frame	 t = { .len = 0 };
	uint8_t		 tag[4] = { 0x81, 0, (uint8_t)(vid >> 8),
			    (uint8_t)vid };

	put(&t, f->b, 12);
	put(&t, tag, 4);
	put(&t, f->b + 12, f->len - 12);
	return (t);
}

/* Running them. */

static int
run_marked(int prog, struct frame *f, uint32_t mark)
{
	struct __sk_buff	 ctx, after;
	struct frame		 o;
	struct bpf_test_run_opts opts;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.data_in = f->b;
	opts.data_size_in = (uint32_t)f->len;
	opts.data_out = o.b;
	opts.data_size_out = FRAME_MAX;
	opts.ctx_in = &ctx;
	opts.ctx_size_in = sizeof(ctx);
	opts.ctx_out = &after;
	opts.ctx_size_out = sizeof(after);
	memset(&ctx, 0, sizeof(ctx));
	ctx.mark = mark;
	ck_assert_int_eq(bpf_prog_test_run_opts(prog, &opts), 0);
	ck_assert_uint_eq(opts.data_size_out, f->len);
	/* the next device's classifier must not judge the frame again */
	if (opts.retval != (uint32_t)SHOT)
		ck_assert_uint_eq(after.mark, (mark == STEER_MARK &&
		    prog == out) ? 0 : mark);
	memcpy(f->b, o.b, f->len);
	return ((int)opts.retval);
}

static int
run(int prog, struct frame f)
{
	return (run_marked(prog, &f, 0));
}

static uint64_t
count_of(enum steer_stat which)
{
	uint64_t	 v[STEER_STATS];

	ck_assert_uint_eq(steer_stats(st, v, STEER_STATS), STEER_STATS);
	return (v[which]);
}

/*
 * DRAIN lasts 50 ms, which a busy machine may stand still: renewed as far in
 * the future as the classifier puts up with.
 */
#define SOON	(STEER_AHEAD - 100 * MONOTIME_MSEC)

static void
set(enum steer_state state, int64_t age)
{
	steer_slot_set(slots, 1, state, IVAL,
	    monotime_add(monotime_now(), -age));
}

#define ON()	set(STEER_STATE_ON, 0)
#define DRAIN()	set(STEER_STATE_DRAIN, -(int64_t)SOON)
#define OFF()	set(STEER_STATE_OFF, 0)
/* so long ago that a slot's clock tells it from now */
#define LIVE()	set(STEER_STATE_ON, MONOTIME_MSEC)
#define STALE()	set(STEER_STATE_ON, 1600 * MONOTIME_MSEC)
#define EXPIRED() set(STEER_STATE_ON, (int64_t)STEER_LEASE(IVAL) + \
	20 * MONOTIME_MSEC)

/* libbpf wants the padding of its options zero as well. */
static void
hook_init(struct bpf_tc_hook *hook, enum bpf_tc_attach_point point)
{
	memset(hook, 0, sizeof(*hook));
	hook->sz = sizeof(*hook);
	hook->ifindex = LO;
	hook->attach_point = point;
}

static void
place_init(struct bpf_tc_opts *opts, uint32_t prio)
{
	memset(opts, 0, sizeof(*opts));
	opts->sz = sizeof(*opts);
	opts->handle = HANDLE;
	opts->priority = prio;
}

static int
program(enum bpf_tc_attach_point point, uint32_t prio)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;

	hook_init(&hook, point);
	place_init(&opts, prio);
	if (bpf_tc_query(&hook, &opts) != 0)
		return (-1);
	return (bpf_prog_get_fd_by_id(opts.prog_id));
}

static void
attach(uint32_t prio)
{
	const char	*why = NULL;

	st = steer_attach("lo", LO, own, &why);
	ck_assert_msg(st != NULL, "%s: %s", why, strerror(errno));
	slots = steer_slots_map(steer_slots_fd(st));
	ck_assert_ptr_nonnull(slots);
	in = program(BPF_TC_INGRESS, prio);
	out = program(BPF_TC_EGRESS, prio);
	ck_assert_int_ge(in, 0);
	ck_assert_int_ge(out, 0);
}

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	return (a);
}

static void
configure(void)
{
	struct ipaddr	 a4 = addr(VIP), a6 = addr(VIP6);

	ck_assert_int_eq(steer_add_vhid(st, 1, vmac1), 0);
	ck_assert_int_eq(steer_add_vhid(st, 3, vmac3), 0);
	ck_assert_int_eq(steer_add_addr(st, 1, &a4), 0);
	ck_assert_int_eq(steer_add_addr(st, 1, &a6), 0);
}

static void
setup(void)
{
	attach(1);
	configure();
}

static void
let_go(void)
{
	close(in);
	close(out);
	steer_slots_unmap(slots);
}

static void
teardown(void)
{
	let_go();
	steer_detach(st);
}

/* In. */

START_TEST(in_virtual_mac)
{
	struct frame	 f = udp4(vmac1, peer, HOST, "192.0.2.1"), t;

	OFF();
	ck_assert_int_eq(run(in, f), SHOT);
	ck_assert_uint_eq(count_of(STEER_STAT_OFF), 1);
	ON();
	ck_assert_int_eq(run(in, f), PASS);
	ck_assert_uint_eq(count_of(STEER_STAT_TAKEN), 1);
	DRAIN();
	ck_assert_int_eq(run(in, f), PASS);
	ck_assert_uint_eq(count_of(STEER_STAT_TAKEN), 2);
	ck_assert_int_eq(run(in, udp6(vmac1, peer, HOST6, PHYS6)), PASS);

	EXPIRED();
	ck_assert_int_eq(run(in, f), SHOT);
	set(STEER_STATE_DRAIN, 70 * MONOTIME_MSEC);
	ck_assert_int_eq(run(in, f), SHOT);
	/* renewed in the far future: a lie */
	set(STEER_STATE_ON, -60 * MONOTIME_SEC);
	ck_assert_int_eq(run(in, f), SHOT);
	/* stale, but nobody has spoken */
	STALE();
	ck_assert_int_eq(run(in, f), PASS);

	/* not ours, or not here */
	OFF();
	ck_assert_int_eq(run(in, udp4(vmac2, peer, HOST, PHYS)), PASS);
	ck_assert_int_eq(run(in, udp4(vmac3, peer, HOST, PHYS)), SHOT);
	ck_assert_int_eq(run(in, udp4(own, peer, HOST, PHYS)), PASS);
	t = vlan(&f, 7);
	ck_assert_int_eq(run(in, t), PASS);
	ck_assert_uint_eq(count_of(STEER_STAT_CLOSED), 0);
}
END_TEST

/* All ways to speak as the virtual router. */
static size_t
successors(struct frame *f)
{
	size_t	 n = 0;

	f[n++] = udp4(bcast, vmac1, HOST, "192.0.2.1");
	f[n++] = carp4(peer, 1, 255);
	f[n++] = carp4(vmac1, 1, 255);
	f[n++] = carp6(peer, 1);
	f[n++] = arp(peer, 1, peer, VIP, VIP);
	f[n++] = arp(peer, 1, peer, VIP, HOST);
	f[n++] = arp(peer, 2, peer, VIP, HOST);
	f[n++] = nd(136, peer, PHYS6, VIP6, 2, peer);
	f[n++] = nd(135, peer, VIP6, HOST6, 1, peer);
	/* with IP options before it */
	f[n] = carp4(peer, 1, 255);
	memmove(f[n].b + 38, f[n].b + 34, f[n].len - 34);
	memset(f[n].b + 34, 1, 4);
	f[n].b[14] = 0x46;
	f[n++].len += 4;
	return (n);
}

/*
 * The state after the frame, of a slot with the shortest interval and that
 * age, in ms, and before it is older than limit: again if the machine stood
 * still meanwhile.
 */
static enum steer_state
state_after(struct frame f, enum steer_state state, int age, int limit)
{
	enum steer_state	 after;
	monotime_t		 renewed;

	do {
		renewed = monotime_add(monotime_now(), -age * MONOTIME_MSEC);
		steer_slot_set(slots, 1, state, 1, renewed);
		(void)run(in, f);
		after = steer_slot_get(slots, 1);
	} while (monotime_sub(monotime_now(), renewed) >=
	    limit * MONOTIME_MSEC);
	return (after);
}

START_TEST(in_closes)
{
	struct frame	 f[16];
	size_t		 i, n = successors(f);

	for (i = 0; i < n; i++) {
		STALE();
		(void)run(in, f[i]);
		ck_assert_msg(steer_slot_get(slots, 1) == STEER_STATE_OFF,
		    "frame %zu", i);
		ck_assert_uint_eq(count_of(STEER_STAT_CLOSED), i + 1);
		ON();
		(void)run(in, f[i]);
		ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_ON);
		/* stale by its interval, but on its way out anyway */
		ck_assert_int_eq(state_after(f[i], STEER_STATE_DRAIN, 25, 50),
		    STEER_STATE_DRAIN);
	}
	/* the shortest interval: stale after the floor, not before */
	ck_assert_int_eq(state_after(f[1], STEER_STATE_ON, 8, 10),
	    STEER_STATE_ON);
	ck_assert_int_eq(state_after(f[1], STEER_STATE_ON, 21, 3000),
	    STEER_STATE_OFF);
}
END_TEST

START_TEST(in_does_not_close)
{
	struct frame	 f[20];
	size_t		 i, n = 0;

	f[n++] = carp4(peer, 2, 255);
	f[n++] = carp4(peer, 3, 255);
	f[n++] = carp4(peer, 0, 255);
	f[n++] = carp4(peer, 1, 254);		/* from beyond the link */
	f[n] = carp4(peer, 1, 255);
	f[n++].b[34] = 0x31;			/* VRRP version 3 */
	f[n] = carp4(peer, 1, 255);
	f[n++].b[21] = 1;			/* a later fragment */
	f[n] = carp4(peer, 1, 255);
	f[n++].len = 34;			/* nothing in it */
	f[n] = carp6(peer, 1);
	f[n++].b[21] = 254;
	f[n] = nd(136, peer, PHYS6, VIP6, 2, peer);
	f[n++].b[21] = 254;
	f[n++] = arp(peer, 1, peer, HOST, PHYS);
	f[n++] = arp(peer, 2, peer, HOST, VIP);
	f[n++] = nd(136, peer, HOST6, HOST6, 2, peer);
	f[n++] = udp4(bcast, vmac2, HOST, "192.0.2.1");
	f[n++] = udp4(bcast, peer, VIP, "192.0.2.1");
	f[n] = carp4(vmac1, 1, 255);
	f[n] = vlan(&f[n], 7);
	n++;
	for (i = 0; i < n; i++) {
		STALE();
		ck_assert_int_eq(run(in, f[i]), PASS);
		ck_assert_msg(steer_slot_get(slots, 1) == STEER_STATE_ON,
		    "frame %zu", i);
	}
	ck_assert_uint_eq(count_of(STEER_STAT_CLOSED), 0);
}
END_TEST

/* The successor's first frame closes, so what comes with it is not taken. */
START_TEST(in_closed_at_once)
{
	STALE();
	ck_assert_int_eq(run(in, arp(vmac1, 1, vmac1, VIP, VIP)), SHOT);
	STALE();
	ck_assert_int_eq(run(in, udp4(vmac1, vmac1, HOST, PHYS)), SHOT);
}
END_TEST

/* So long after a claim, and longer than the coarse clock may lag. */
static void
claim_passes(monotime_t since)
{
	while (monotime_sub(monotime_now(), since) <=
	    (int64_t)STEER_CONTEST_NS + 20 * MONOTIME_MSEC)
		(void)poll(NULL, 0, 1);
}

/* A claim that the engine does not answer ends the lease, one it does not. */
START_TEST(in_contested)
{
	struct frame	 f[16], q = arp(peer, 1, peer, HOST, VIP);
	size_t		 i, n = successors(f);
	monotime_t	 since;

	for (i = 0; i < n; i++) {
		LIVE();
		ck_assert(!steer_slot_contested(slots, 1));
		since = monotime_now();
		(void)run(in, f[i]);
		if (f[i].b[23] != 112 && f[i].b[20] != 112) {
			ck_assert_msg(!steer_slot_contested(slots, 1),
			    "frame %zu", i);
			continue;
		}
		ck_assert_msg(steer_slot_contested(slots, 1), "frame %zu", i);
		ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_ON);
		ck_assert_int_eq(run(in, q), PASS);
		claim_passes(since);
		ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
		ck_assert_int_eq(run(in, q), SHOT);
	}
	ck_assert_uint_eq(count_of(STEER_STAT_CLOSED), 0);
	/* what comes after that makes it last: the clock may not go back */
	(void)run(in, f[2]);
	ck_assert_uint_eq(count_of(STEER_STAT_CLOSED), 1);
	/* an engine that renews is none that lost */
	LIVE();
	since = monotime_now();
	(void)run(in, f[1]);
	ON();
	ck_assert(!steer_slot_contested(slots, 1));
	claim_passes(since);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_ON);
	ck_assert_int_eq(run(in, q), PASS);
	/* the first claim counts, not the last */
	LIVE();
	since = monotime_now();
	while (monotime_sub(monotime_now(), since) <=
	    (int64_t)STEER_CONTEST_NS + 20 * MONOTIME_MSEC)
		(void)run(in, f[1]);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	/* nobody else's slot, and none that is on its way out */
	DRAIN();
	(void)run(in, f[1]);
	ck_assert(!steer_slot_contested(slots, 1));
	LIVE();
	(void)run(in, carp4(peer, 2, 255));
	(void)run(in, carp4(peer, 1, 254));
	ck_assert(!steer_slot_contested(slots, 1));
}
END_TEST

START_TEST(in_asked)
{
	struct frame	 q4 = arp(peer, 1, peer, HOST, VIP);
	struct frame	 q6 = nd(135, peer, HOST6, VIP6, 1, peer);
	struct frame	 u4 = q4;

	memcpy(u4.b, vmac1, 6);		/* a neighbour checks its entry */
	OFF();
	ck_assert_int_eq(run(in, q4), SHOT);
	ck_assert_int_eq(run(in, q6), SHOT);
	ck_assert_uint_eq(count_of(STEER_STAT_ARP_IN), 2);
	DRAIN();
	ck_assert_int_eq(run(in, q4), SHOT);
	ck_assert_int_eq(run(in, u4), SHOT);
	ck_assert_int_eq(run(in, q6), SHOT);
	EXPIRED();
	ck_assert_int_eq(run(in, q4), SHOT);
	ck_assert_int_eq(run(in, q6), SHOT);
	ON();
	ck_assert_int_eq(run(in, q4), PASS);
	ck_assert_int_eq(run(in, u4), PASS);
	ck_assert_int_eq(run(in, q6), PASS);

	OFF();				/* not for it, or no question */
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, PHYS)), PASS);
	ck_assert_int_eq(run(in, arp(peer, 2, peer, HOST, VIP)), PASS);
	ck_assert_int_eq(run(in, nd(135, peer, HOST6, PHYS6, 1, peer)), PASS);
	ck_assert_int_eq(run(in, nd(136, peer, VIP6, VIP6, 2, peer)), PASS);
}
END_TEST

/* Cut at every length: never an error, and never taken for something else. */
START_TEST(short_frames)
{
	struct frame	 f[16], t;
	size_t		 i, n = successors(f), len;

	f[n++] = nd(135, own, VIP6, HOST6, 1, own);
	f[n++] = udp4(vmac1, peer, HOST, PHYS);
	for (i = 0; i < n; i++)
		for (len = 34; len <= f[i].len; len++) {
			/* the kernel refuses less than an IP header */
			if (f[i].b[12] == 0x86 && len < 54)
				continue;
			t = f[i];
			t.len = len;
			ON();
			(void)run(in, t);
			(void)run(out, t);
			(void)run_marked(out, &t, STEER_MARK);
		}
}
END_TEST

/* Out. */

static bool
has_mac(const struct frame *f, size_t off, const uint8_t *mac)
{
	return (memcmp(f->b + off, mac, 6) == 0);
}

START_TEST(out_arp)
{
	struct frame	 ask = arp(own, 1, own, VIP, HOST), f = ask;
	struct frame	 tell = arp(own, 2, own, VIP, HOST);
	struct frame	 announce = arp(own, 1, own, VIP, VIP);

	ON();
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert(has_mac(&f, 6, vmac1) && has_mac(&f, 22, vmac1));
	ck_assert_mem_eq(f.b, ask.b, 6);
	ck_assert_mem_eq(f.b + 12, ask.b + 12, 10);
	ck_assert_mem_eq(f.b + 28, ask.b + 28, ask.len - 28);
	f = tell;
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert(has_mac(&f, 6, vmac1) && has_mac(&f, 22, vmac1));
	f = announce;
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert(has_mac(&f, 6, vmac1) && has_mac(&f, 22, vmac1));
	ck_assert_uint_eq(count_of(STEER_STAT_REWRITTEN), 3);

	OFF();
	ck_assert_int_eq(run(out, ask), SHOT);
	ck_assert_int_eq(run(out, tell), SHOT);
	DRAIN();
	ck_assert_int_eq(run(out, tell), SHOT);
	EXPIRED();
	ck_assert_int_eq(run(out, announce), SHOT);
	ck_assert_uint_eq(count_of(STEER_STAT_OUT), 4);
}
END_TEST

START_TEST(out_asks)
{
	struct frame	 q4 = arp(own, 1, own, PHYS, VIP);
	struct frame	 probe = arp(own, 1, own, "0.0.0.0", VIP);
	struct frame	 q6 = nd(135, own, PHYS6, VIP6, 1, own);
	struct frame	 dad = nd(135, own, ANY6, VIP6, 0, own);
	int		 i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(run(out, q4), SHOT);
		ck_assert_int_eq(run(out, probe), SHOT);
		ck_assert_int_eq(run(out, q6), SHOT);
		ck_assert_int_eq(run(out, dad), SHOT);
		ON();
	}
	ck_assert_uint_eq(count_of(STEER_STAT_ASKED), 8);

	/* others may be asked for, and the master be answered */
	OFF();
	ck_assert_int_eq(run(out, arp(own, 1, own, PHYS, HOST)), PASS);
	ck_assert_int_eq(run(out, arp(own, 2, own, PHYS, VIP)), PASS);
	ck_assert_int_eq(run(out, nd(135, own, PHYS6, HOST6, 1, own)), PASS);
	ck_assert_int_eq(run(out, nd(135, own, ANY6, HOST6, 0, own)), PASS);
	ck_assert_int_eq(run(out, nd(136, own, PHYS6, PHYS6, 2, own)), PASS);
}
END_TEST

START_TEST(out_nd)
{
	struct frame	 f[8], was;
	size_t		 i, n = 0, opt[8];
	uint8_t		 nonce[40] = { 135 }, ra[56] = { 134 };
	uint8_t		 rs[16] = { 133 };

	opt[n] = 80;
	f[n++] = nd(135, own, VIP6, HOST6, 1, own);
	opt[n] = 80;
	f[n++] = nd(136, own, VIP6, VIP6, 2, own);
	opt[n] = 80;
	f[n++] = nd(136, own, PHYS6, VIP6, 2, own);
	opt[n] = 0;				/* a NS need not have one */
	f[n++] = nd(135, own, VIP6, HOST6, 0, own);
	/* a nonce (RFC 3971) before it */
	ck_assert_int_eq(inet_pton(AF_INET6, HOST6, nonce + 8), 1);
	memcpy(nonce + 24, "\x0e\x01nonce!\x01\x01", 10);
	memcpy(nonce + 34, own, 6);
	opt[n] = 88;
	f[n++] = icmp6(own, VIP6, nonce, sizeof(nonce));
	/* a prefix before it */
	ra[16] = 3;
	ra[17] = 4;
	memcpy(ra + 48, "\x01\x01", 2);
	memcpy(ra + 50, own, 6);
	opt[n] = 104;
	f[n++] = icmp6(own, VIP6, ra, sizeof(ra));
	memcpy(rs + 8, "\x01\x01", 2);
	memcpy(rs + 10, own, 6);
	opt[n] = 64;
	f[n++] = icmp6(own, VIP6, rs, sizeof(rs));

	for (i = 0; i < n; i++) {
		was = f[i];
		ON();
		ck_assert_int_eq(run_marked(out, &f[i], 0), PASS);
		ck_assert_msg(sum6(&f[i]) == 0xffff, "sum of frame %zu", i);
		ck_assert(has_mac(&f[i], 6, vmac1));
		if (opt[i] != 0)
			ck_assert_msg(has_mac(&f[i], opt[i], vmac1),
			    "option of frame %zu", i);
		OFF();
		ck_assert_int_eq(run(out, was), SHOT);
		DRAIN();
		ck_assert_int_eq(run(out, was), SHOT);
	}
	ck_assert_uint_eq(count_of(STEER_STAT_REWRITTEN), n);
}
END_TEST

/* An option of length 0 or many options: no loop, no harm. */
START_TEST(out_nd_options)
{
	struct frame	 f;
	uint8_t		 d[152] = { 135 };
	size_t		 i;

	ON();
	ck_assert_int_eq(inet_pton(AF_INET6, HOST6, d + 8), 1);
	f = icmp6(own, VIP6, d, sizeof(d));
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert_uint_eq(sum6(&f), 0xffff);
	for (i = 24; i < sizeof(d); i += 8) {
		d[i] = 14;
		d[i + 1] = 1;
	}
	f = icmp6(own, VIP6, d, sizeof(d));
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert_uint_eq(sum6(&f), 0xffff);
	d[25] = 255;
	f = icmp6(own, VIP6, d, sizeof(d));
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert_uint_eq(sum6(&f), 0xffff);
}
END_TEST

START_TEST(out_redirect)
{
	uint8_t		 d[40] = { 137 };
	struct frame	 f = icmp6(own, PHYS6, d, sizeof(d));
	struct ipaddr	 a6 = addr(VIP6);

	ck_assert_int_eq(run(out, f), SHOT);
	steer_remove_addr(st, &a6);
	ck_assert_int_eq(run(out, f), PASS);
}
END_TEST

START_TEST(out_ip)
{
	struct frame	 f4 = udp4(peer, own, VIP, HOST);
	struct frame	 f6 = udp6(peer, own, VIP6, HOST6);
	uint8_t		 echo[16] = { 128 };
	struct frame	 ping = icmp6(own, VIP6, echo, sizeof(echo)), v;

	OFF();
	ck_assert_int_eq(run(out, f4), SHOT);
	ck_assert_int_eq(run(out, f6), SHOT);
	ck_assert_int_eq(run(out, ping), SHOT);
	ck_assert_int_eq(run(out, carp4(vmac1, 1, 255)), SHOT);
	ck_assert_int_eq(run(out, udp4(peer, vmac1, PHYS, HOST)), SHOT);
	ck_assert_uint_eq(count_of(STEER_STAT_OUT), 5);
	v = vlan(&f4, 7);
	ck_assert_int_eq(run(out, v), PASS);
	EXPIRED();
	ck_assert_int_eq(run(out, f4), SHOT);
	DRAIN();
	ck_assert_int_eq(run(out, f4), PASS);
	ck_assert_int_eq(run(out, f6), PASS);
	ON();
	ck_assert_int_eq(run(out, f4), PASS);
	ck_assert_int_eq(run(out, f6), PASS);
	ck_assert_int_eq(run(out, ping), PASS);
	/* only the engine may use the virtual MAC */
	ck_assert_int_eq(run(out, udp4(peer, vmac1, VIP, HOST)), SHOT);

	OFF();
	ck_assert_int_eq(run(out, udp4(peer, own, PHYS, HOST)), PASS);
	ck_assert_int_eq(run(out, udp6(peer, own, PHYS6, HOST6)), PASS);
	ck_assert_int_eq(run(out, udp4(peer, vmac2, PHYS, HOST)), PASS);
	ck_assert_int_eq(run(out, carp4(own, 9, 255)), PASS);
}
END_TEST

/* The engine's socket. */
START_TEST(out_marked)
{
	struct {
		struct frame	 f;
		bool		 on, off;	/* passes in that state */
	}		 t[] = {
		{ carp4(vmac1, 1, 255), true, true },
		{ carp4(own, 1, 255), true, true },
		{ carp6(vmac1, 1), true, true },
		{ carp4(vmac2, 2, 255), false, false },
		{ carp4(peer, 1, 255), false, false },
		{ arp(vmac1, 1, vmac1, VIP, VIP), true, false },
		{ arp(own, 2, vmac1, VIP, HOST), true, false },
		{ arp(own, 1, own, VIP, VIP), true, false },
		{ arp(vmac1, 1, peer, VIP, VIP), false, false },
		{ arp(peer, 1, vmac1, VIP, VIP), false, false },
		{ arp(vmac1, 1, vmac1, HOST, HOST), false, false },
		{ arp(own, 1, own, PHYS, PHYS), false, false },
		{ arp(vmac3, 1, vmac3, VIP, VIP), false, false },
		{ nd(136, vmac1, PHYS6, VIP6, 2, vmac1), true, false },
		{ nd(136, vmac1, VIP6, VIP6, 2, peer), false, false },
		{ nd(136, vmac1, VIP6, VIP6, 0, vmac1), false, false },
		{ nd(136, vmac1, VIP6, HOST6, 2, vmac1), false, false },
		{ nd(136, peer, VIP6, VIP6, 2, vmac1), false, false },
		{ nd(136, vmac1, VIP6, VIP6, 1, vmac1), false, false },
		{ nd(135, vmac1, VIP6, HOST6, 1, vmac1), false, false },
		{ nd(135, vmac1, HOST6, VIP6, 2, vmac1), false, false },
		{ udp4(peer, vmac1, VIP, HOST), false, false },
		{ udp4(peer, own, PHYS, HOST), false, false },
		{ udp6(peer, own, PHYS6, HOST6), false, false },
		{ ether(peer, vmac1, 0x88cc), false, false },
	};
	struct frame	 f, v = carp4(vmac1, 1, 255);
	uint64_t	 shot = 0;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ON();
		f = t[i].f;
		ck_assert_msg(run_marked(out, &f, STEER_MARK) ==
		    (t[i].on ? PASS : SHOT), "frame %zu, ON", i);
		ck_assert_mem_eq(f.b, t[i].f.b, f.len);
		OFF();
		ck_assert_msg(run_marked(out, &f, STEER_MARK) ==
		    (t[i].off ? PASS : SHOT), "frame %zu, OFF", i);
		shot += (uint64_t)!t[i].on + !t[i].off;
	}
	ON();
	f = vlan(&v, 7);
	ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
	ck_assert_uint_eq(count_of(STEER_STAT_MARKED), shot + 1);
}
END_TEST

/* What the kernel sends to a peer leaves as the virtual router's. */
START_TEST(out_unicast)
{
	uint8_t		 c[36] = { 0x21, 1, 0, 7 };
	const struct {
		uint8_t		 vhid;
		const uint8_t	*dst, *src, *want;
	}		 t[] = {
		{ 1, peer, own, vmac1 },
		{ 3, peer, own, vmac3 },
		{ 1, peer, vmac1, vmac1 },
		{ 0, peer, own, own },		/* a notice */
		{ 2, peer, own, own },		/* none of ours */
		{ 1, carp_mac, own, own },
	};
	struct frame	 f, was;
	size_t		 i;
	int		 v6;

	OFF();
	for (i = 0; i < 2 * sizeof(t) / sizeof(t[0]); i++) {
		v6 = i % 2 != 0;
		c[1] = t[i / 2].vhid;
		was = v6 ? ip6(t[i / 2].dst, t[i / 2].src, PHYS6, HOST6, 112,
		    255, c, sizeof(c)) : ip4(t[i / 2].dst, t[i / 2].src, PHYS,
		    HOST, 112, 255, c, sizeof(c));
		f = was;
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), PASS);
		ck_assert_mem_eq(f.b + 6, t[i / 2].want, 6);
		memcpy(was.b + 6, f.b + 6, 6);
		ck_assert_mem_eq(f.b, was.b, f.len);
		/* nobody else speaks so */
		f = was;
		ck_assert_int_eq(run(out, f), t[i / 2].want == own ? PASS :
		    SHOT);
	}
}
END_TEST

/* "I know no protocol 112" does not leave, and nothing else is held back. */
START_TEST(out_disowned)
{
	static const struct {
		bool	 v6;
		uint8_t	 type, code, about;
		bool	 passes;
	}		 t[] = {
		{ false, 3, 2, 112, false },
		{ false, 3, 2, 132, true },
		{ false, 3, 3, 112, true },
		{ false, 11, 0, 112, true },
		{ true, 4, 1, 112, false },
		{ true, 4, 1, 132, true },
		{ true, 4, 0, 112, true },
		{ true, 1, 1, 112, true },
	};
	struct frame	 f;
	uint8_t		 d[60];
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(d, 0, sizeof(d));
		d[0] = t[i].type;
		d[1] = t[i].code;
		d[8] = t[i].v6 ? 0x60 : 0x45;
		d[8 + (t[i].v6 ? 6 : 9)] = t[i].about;
		f = t[i].v6 ? ip6(peer, own, PHYS6, HOST6, 58, 64, d,
		    sizeof(d)) : ip4(peer, own, PHYS, HOST, 1, 64, d,
		    sizeof(d));
		ck_assert_msg(run(out, f) == (t[i].passes ? PASS : SHOT),
		    "case %zu", i);
		/* about the same, but it is no ICMP */
		f.b[t[i].v6 ? 20 : 23] = 17;
		ck_assert_int_eq(run(out, f), PASS);
	}
	ck_assert_uint_eq(count_of(STEER_STAT_DISOWNED), 2);
}
END_TEST

START_TEST(own_mac_changes)
{
	struct frame	 f = carp4(peer, 1, 255);

	ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
	steer_set_mac(st, peer);
	ck_assert_int_eq(run_marked(out, &f, STEER_MARK), PASS);
}
END_TEST

/* Slots and configuration. */

START_TEST(slot_words)
{
	ON();
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_ON);
	EXPIRED();
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	DRAIN();
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_DRAIN);
	set(STEER_STATE_DRAIN, (int64_t)STEER_DRAIN_NS);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	/* a lie */
	set(STEER_STATE_ON, -2 * MONOTIME_SEC);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	/* the longest interval, 255 and 254/256 s, fits; more is cut */
	ck_assert_uint_eq(STEER_INTERVAL(STEER_WORD(STEER_ON, 65534, 0)),
	    65534);
	steer_slot_set(slots, 255, STEER_STATE_ON, 1 << 20,
	    monotime_add(monotime_now(), -4 * MONOTIME_SEC));
	ck_assert_int_eq(steer_slot_get(slots, 255), STEER_STATE_ON);

	ON();
	steer_close(st, 1);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	ON();
	steer_remove_vhid(st, 1);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	ck_assert_int_eq(run(in, udp4(vmac1, peer, HOST, PHYS)), PASS);
}
END_TEST

START_TEST(refused)
{
	struct ipaddr	 a = addr(VIP);

	ck_assert_int_eq(steer_add_vhid(st, 0, vmac1), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(steer_add_vhid(st, 2, vmac1), -1);
	ck_assert_int_eq(steer_add_vhid(st, 1, own), -1);
	ck_assert_int_eq(steer_add_addr(st, 0, &a), -1);
	ck_assert_ptr_null(steer_slots_map(-1));
}
END_TEST

START_TEST(many_addresses)
{
	struct ipaddr	 a = addr("10.0.0.0"), vip = addr(VIP);
	int		 i;

	for (i = 0; i < STEER_ADDRS - 1; i++) {
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		ck_assert_int_eq(steer_add_addr(st, 1, &a), 0);
	}
	a = addr("10.1.0.0");
	ck_assert_int_eq(steer_add_addr(st, 1, &a), -1);
	ck_assert_int_eq(errno, E2BIG);
	steer_remove_addr(st, &vip);
	ck_assert_int_eq(steer_add_addr(st, 1, &a), 0);
}
END_TEST

/* Somebody without rights who was given the descriptor. */
START_TEST(unprivileged)
{
	struct steer_slots	*theirs;
	int			 fd = steer_slots_fd(st), status;
	pid_t			 pid;

	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	if ((pid = fork()) == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) == -1 ||
		    setresuid(NOBODY, NOBODY, NOBODY) == -1 ||
		    (theirs = steer_slots_map(fd)) == NULL)
			_exit(1);
		steer_slot_set(theirs, 3, STEER_STATE_ON, IVAL,
		    monotime_now());
		_exit(steer_slot_get(theirs, 3) != STEER_STATE_ON);
	}
	close(fd);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(run(in, udp4(vmac3, peer, HOST, PHYS)), PASS);
}
END_TEST

/* Groups: vhids 1 (the leader), 3, 5 ... share VIP and VIP6. */

#define PASS_PHRASE	"mekmitasdigoat"
#define RANDOMS		600

static const struct {
	enum balance_mode	 mode;
	unsigned int		 n;
} groups[] = {
	{ BALANCE_ARP, 2 }, { BALANCE_ARP, 3 }, { BALANCE_ARP, 32 },
	{ BALANCE_IP, 1 }, { BALANCE_IP, 2 }, { BALANCE_IP, 3 },
	{ BALANCE_IP, 32 },
	{ BALANCE_IP_STEALTH, 2 }, { BALANCE_IP_STEALTH, 3 },
	{ BALANCE_IP_UNICAST, 2 }, { BALANCE_IP_UNICAST, 32 },
};
#define GROUPS	((int)(sizeof(groups) / sizeof(groups[0])))

static enum balance_mode	 mode;		/* of the group */
static unsigned int		 nodes;
static struct balance_key	 key;
static uint8_t			 group_mac[6];	/* the leader's */
static uint64_t			 seed;

static uint8_t
vhid_of(unsigned int i)
{
	return ((uint8_t)(2 * i + 1));
}

static int
set_group(enum balance_mode m, unsigned int n)
{
	uint8_t		 mac[6], vhids[BALANCE_NODES];
	unsigned int	 i;

	for (i = 0; i < n; i++) {
		vhids[i] = vhid_of(i);
		balance_mac(BALANCE_NONE, vhids[i], vhids[i], mac);
		ck_assert_int_eq(steer_add_vhid(st, vhids[i], mac), 0);
	}
	mode = m;
	nodes = n;
	balance_mac(m, 1, 1, group_mac);
	balance_key(PASS_PHRASE, strlen(PASS_PHRASE), &key);
	return (steer_set_group(st, 1, m, vhids, n, &key));
}

static void
group(int i)
{
	ck_assert_int_eq(set_group(groups[i].mode, groups[i].n), 0);
}

/* These nodes are in that state here, the others OFF. */
static void
set_nodes(uint32_t mask, enum steer_state state)
{
	unsigned int	 i;

	for (i = 0; i < nodes; i++)
		steer_slot_set(slots, vhid_of(i), mask >> i & 1 ? state :
		    STEER_STATE_OFF, IVAL, monotime_add(monotime_now(),
		    state == STEER_STATE_DRAIN ? (int64_t)SOON : 0));
}

static uint32_t
all_nodes(void)
{
	return (nodes == 32 ? UINT32_MAX : (1U << nodes) - 1);
}

static bool
in_mask(uint32_t mask, int owner)
{
	return (owner == BALANCE_ALL || (mask >> owner & 1));
}

static void
random_mac(uint8_t mac[6])
{
	size_t	 i;

	for (i = 0; i < 6; i++)
		mac[i] = (uint8_t)any_number(&seed);
	mac[0] &= 0xfe;
}

static unsigned int
asker_node(const uint8_t mac[6])
{
	return (balance_arp_node(&key, mac, nodes));
}

/* The virtual MAC that the node's answers, or frames to it, have. */
static void
node_mac(unsigned int i, uint8_t mac[6])
{
	balance_mac(mode, 1, vhid_of(i), mac);
}

START_TEST(group_refused)
{
	uint8_t	 three[3] = { 1, 3, 5 }, bad[3] = { 1, 5, 3 };
	uint8_t	 many[33], other[2] = { 3, 9 };
	size_t	 i;

	ck_assert_int_eq(set_group(BALANCE_IP, 3), 0);
	for (i = 0; i < sizeof(many); i++)
		many[i] = (uint8_t)(i + 1);
#define REFUSED(l, m, v, n, k) do {					\
	errno = 0;							\
	ck_assert_int_eq(steer_set_group(st, l, m, v, n, k), -1);	\
	ck_assert_int_eq(errno, EINVAL);				\
} while (0)
	REFUSED(1, BALANCE_NONE, three, 3, NULL);
	REFUSED(1, BALANCE_IP_UNICAST + 1, three, 3, NULL);
	REFUSED(1, BALANCE_ARP, three, 3, NULL);
	REFUSED(1, BALANCE_IP, three, 0, NULL);
	REFUSED(1, BALANCE_IP, many, 33, NULL);
	REFUSED(1, BALANCE_IP, bad, 3, NULL);		/* not in order */
	REFUSED(3, BALANCE_IP, three, 3, NULL);		/* not the leader */
	REFUSED(1, BALANCE_IP, many, 3, NULL);		/* 2 is not there */
	ck_assert_int_eq(steer_add_vhid(st, 9,
	    (const uint8_t[]){ 0, 0, 0x5e, 0, 1, 9 }), 0);
	REFUSED(3, BALANCE_IP, other, 2, NULL);		/* 3 is in 1's */
	/* and the group is as it was */
	set_nodes(4, STEER_STATE_ON);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, VIP)), SHOT);
	set_nodes(1, STEER_STATE_ON);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, VIP)), PASS);
}
END_TEST

/* Mode and nodes change, and it is a single vhid again in the end. */
START_TEST(group_changes)
{
	struct frame	 to1 = udp4(vmac1, peer, HOST, "192.0.2.1");
	struct frame	 to3 = udp4(vmac3, peer, HOST, "192.0.2.1");
	struct frame	 to, tell = arp(own, 2, own, VIP, HOST);
	struct ipaddr	 late = addr("172.16.0.203");
	uint8_t		 mac[6];

	ck_assert_int_eq(set_group(BALANCE_IP, 2), 0);
	to = udp4(group_mac, peer, HOST, "192.0.2.1");
	set_nodes(3, STEER_STATE_ON);
	ck_assert_int_eq(run(in, to), PASS);
	ck_assert_int_eq(run(in, to3), SHOT);	/* nobody's MAC */
	set_nodes(0, STEER_STATE_ON);
	ck_assert_int_eq(run(in, to), SHOT);
	ck_assert_int_eq(run(in, to1), PASS);	/* not ours in this mode */
	/* added again it stays in it */
	ck_assert_int_eq(steer_add_vhid(st, 1, vmac1), 0);
	ck_assert_int_eq(run(in, to), SHOT);
	/* an address that comes later belongs to it */
	ck_assert_int_eq(steer_add_addr(st, 1, &late), 0);
	set_nodes(2, STEER_STATE_ON);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, "172.16.0.203")),
	    SHOT);

	/* 3 leaves it */
	ck_assert_int_eq(set_group(BALANCE_IP_STEALTH, 1), 0);
	set_nodes(1, STEER_STATE_ON);
	ck_assert_int_eq(run(in, to), PASS);	/* no longer ours */
	ck_assert_int_eq(run(in, to1), PASS);
	steer_slot_set(slots, 3, STEER_STATE_ON, IVAL, monotime_now());
	ck_assert_int_eq(run(in, to3), PASS);
	set_nodes(0, STEER_STATE_ON);
	ck_assert_int_eq(run(in, to1), SHOT);

	steer_remove_group(st, 1);
	steer_remove_group(st, 1);
	ON();
	ck_assert_int_eq(run(in, to1), PASS);
	ck_assert_int_eq(run_marked(out, &tell, 0), PASS);
	balance_mac(BALANCE_NONE, 1, 1, mac);
	ck_assert(has_mac(&tell, 6, mac) && has_mac(&tell, 22, mac));
	OFF();
	ck_assert_int_eq(run(in, to1), SHOT);
}
END_TEST

/* Against balance.c: the same packet, each way to share out the nodes. */

static void
check_packet(const uint8_t *ip, size_t len, uint32_t mask)
{
	struct frame	 f = ether(group_mac, peer, ip[0] >> 4 == 6 ? 0x86dd :
			    0x0800);
	int		 owner = balance_owner(ip, len, nodes), got;

	put(&f, ip, len);
	got = run(in, f);
	ck_assert_msg(got == (in_mask(mask, owner) ? PASS : SHOT),
	    "%s, %u nodes, mask %x, owner %d: %d", balance_mode_names[mode],
	    nodes, mask, owner, got);
}

/* All types of ICMP and some others, whole, cut short and in parts. */
static size_t
table_packet(unsigned int i, uint8_t b[ANYPACKET_MAX])
{
	size_t		 hlen = 20 + i % 4 * 4, at, n;
	bool		 v6 = i & 4;
	static const char *const a4[] = { "192.0.2.10", "198.51.100.24",
	    "203.0.113.1", "224.0.1.1", "255.255.255.255" };
	static const char *const a6[] = { "2001:db8::10", "2001:db8:1::6",
	    "fe80::7", "ff02::1:ff00:10", "ff0e::1" };
	const char	*const *a = v6 ? a6 : a4;

	at = v6 ? 40 : hlen;
	memset(b, 0, ANYPACKET_MAX);
	b[0] = v6 ? 0x60 : (uint8_t)(0x40 | hlen / 4);
	b[v6 ? 6 : 9] = (uint8_t)(i % 5 == 0 ? 17 : v6 ? 58 : 1);
	if (!v6 && i % 7 == 0)
		b[6 + i % 2] = 0x20;
	inet_pton(v6 ? AF_INET6 : AF_INET, a[i % 3], b + (v6 ? 8 : 12));
	inet_pton(v6 ? AF_INET6 : AF_INET, a[i % 11 % 5], b + (v6 ? 24 : 16));
	b[at] = (uint8_t)(i >> 3);		/* type */
	inet_pton(v6 ? AF_INET6 : AF_INET, a[(i + 1) % 3],
	    b + at + 8 + (v6 ? 24 : 16));
	n = at + 8 + (v6 ? 40 : 20);
	return (i % 13 == 0 ? 40 : i % 17 == 0 ? n - 1 : n);
}

START_TEST(group_share)
{
	uint8_t		 b[ANYPACKET_MAX];
	unsigned int	 i, m;
	size_t		 len;

	group(_i);
	if (mode == BALANCE_ARP)
		return;
	for (m = 0; m < 4; m++) {
		enum steer_state state = m == 3 ? STEER_STATE_DRAIN :
		    STEER_STATE_ON;
		uint32_t mask = m == 0 ? all_nodes() : m == 1 ? 0 :
		    (uint32_t)any_number(&seed) & all_nodes();

		for (i = 0; i < RANDOMS; i++) {
			if (i % 64 == 0)	/* before the lease ends */
				set_nodes(mask, state);
			len = any_packet(&seed, b);
			check_packet(b, len, mask);
		}
		for (i = 0; m >= 2 && i < 2048; i++) {
			if (i % 64 == 0)	/* before the lease ends */
				set_nodes(mask, state);
			len = table_packet(i, b);
			check_packet(b, len, mask);
		}
	}
}
END_TEST

/* What the nodes of the group, and all vhids, have taken and dropped so far. */
struct tallies {
	uint64_t	 taken, dropped, all_taken, all_dropped;
};

static struct tallies
tallies(void)
{
	struct tallies	 t = { .taken = 0 };
	uint64_t	 taken, dropped;
	unsigned int	 i;

	for (i = 0; i < nodes; i++) {
		ck_assert_int_eq(steer_vhid_stats(st, vhid_of(i), &taken,
		    &dropped), 0);
		t.taken += taken;
		t.dropped += dropped;
	}
	t.all_taken = count_of(STEER_STAT_TAKEN);
	t.all_dropped = count_of(STEER_STAT_OFF);
	return (t);
}

/* Each node alone: the sum over them is one, and it is its statistics'. */
START_TEST(group_exactly_one)
{
	struct frame	 f[2] = { udp4(peer, peer, HOST, "192.0.2.1"),
			    udp6(peer, peer, HOST6, "2001:db8:7::1") };
	struct tallies	 old, new;
	uint64_t	 was, is, dropped;
	unsigned int	 i, k, kept;
	int		 verdict;

	group(_i);
	if (mode == BALANCE_ARP)
		return;
	memcpy(f[0].b, group_mac, 6);
	memcpy(f[1].b, group_mac, 6);
	old = tallies();
	for (k = 0; k < 2; k++) {
		for (kept = i = 0; i < nodes; i++) {
			set_nodes(1U << i, STEER_STATE_ON);
			ck_assert_int_eq(steer_vhid_stats(st, vhid_of(i), &was,
			    &dropped), 0);
			verdict = run(in, f[k]);
			ck_assert_int_eq(steer_vhid_stats(st, vhid_of(i), &is,
			    &dropped), 0);
			ck_assert_uint_eq(is - was, verdict == PASS);
			kept += verdict == PASS;
		}
		ck_assert_uint_eq(kept, 1);
	}
	new = tallies();
	ck_assert_uint_eq(new.taken - old.taken, 2);
	ck_assert_uint_eq(new.dropped - old.dropped, 2 * (nodes - 1));
	ck_assert_uint_eq(new.all_taken - old.all_taken, 2);
	ck_assert_uint_eq(new.all_dropped - old.all_dropped, 2 * (nodes - 1));
}
END_TEST

/* Frames for the group's one MAC are seen, whoever keeps them. */
START_TEST(group_seen)
{
	struct frame	 f = udp4(peer, peer, HOST, "192.0.2.1");
	monotime_t	 before = monotime_now(), seen;
	uint8_t		 mac[6];

	group(_i);
	seen = steer_slot_seen(slots, 1);
	set_nodes(0, STEER_STATE_ON);
	memcpy(f.b, peer, 6);
	(void)run(in, f);
	node_mac(nodes - 1, mac);
	mac[0] ^= 1;
	memcpy(f.b, mac, 6);
	(void)run(in, f);
	ck_assert_int_eq(steer_slot_seen(slots, 1).ns, seen.ns);
	memcpy(f.b, group_mac, 6);
	/* a coarse clock, and so brought up to date now and then */
	while (mode != BALANCE_ARP && monotime_sub(before,
	    steer_slot_seen(slots, 1)) > 0) {
		ck_assert_int_eq(run(in, f), SHOT);
		ck_assert_int_lt(monotime_sub(monotime_now(), before),
		    10 * MONOTIME_SEC);
	}
	if (mode != BALANCE_ARP)
		return;
	(void)run(in, f);
	ck_assert_int_eq(steer_slot_seen(slots, 1).ns, seen.ns);
}
END_TEST

/* Short frames for the group: kept or not, but never an error. */
START_TEST(group_short)
{
	struct frame	 f[8], t;
	uint8_t		 err[36] = { 3 }, err6[56] = { 1 }, mac[6];
	size_t		 i, n = 0, len;

	group(_i);
	node_mac(0, mac);
	f[n++] = udp4(mac, peer, HOST, VIP);
	f[n++] = udp6(mac, peer, HOST6, VIP6);
	f[n++] = ip4(mac, peer, HOST, VIP, 1, 64, err, sizeof(err));
	f[n++] = ip6(mac, peer, HOST6, VIP6, 58, 64, err6, sizeof(err6));
	f[n++] = arp(peer, 1, peer, HOST, VIP);
	f[n++] = arp(own, 2, own, VIP, HOST);
	f[n++] = nd(135, peer, HOST6, VIP6, 1, peer);
	f[n++] = nd(136, own, VIP6, VIP6, 2, own);
	for (i = 0; i < n; i++)
		for (len = 34; len <= f[i].len; len++) {
			if (f[i].b[12] == 0x86 && len < 54)
				continue;
			t = f[i];
			t.len = len;
			set_nodes(all_nodes(), STEER_STATE_ON);
			(void)run(in, t);
			(void)run(out, t);
			(void)run_marked(out, &t, STEER_MARK);
		}
}
END_TEST

/* Neither fold nor leader: ND and ARP of others, and what is no IP. */
START_TEST(group_everybodys)
{
	struct frame	 f[8];
	size_t		 i, n = 0;

	group(_i);
	if (mode == BALANCE_ARP)
		return;
	f[n++] = nd(136, peer, HOST6, HOST6, 2, peer);
	f[n++] = nd(135, peer, HOST6, PHYS6, 1, peer);
	f[n++] = arp(peer, 2, peer, HOST, VIP);
	f[n++] = arp(peer, 1, peer, HOST, PHYS);
	f[n++] = ether(peer, peer, 0x88cc);
	put(&f[n - 1], bcast, 6);
	f[n++] = ip4(peer, peer, HOST, "224.0.1.1", 17, 1, bcast, 6);
	f[n++] = ip4(peer, peer, HOST, "255.255.255.255", 17, 1, bcast, 6);
	for (i = 0; i < n; i++) {
		memcpy(f[i].b, group_mac, 6);
		set_nodes(0, STEER_STATE_OFF);
		ck_assert_msg(run(in, f[i]) == PASS, "frame %zu", i);
	}
	/* asked in this way as well, only the leader's MASTER answers */
	for (i = 0; i < 2; i++) {
		f[0] = i == 0 ? arp(peer, 1, peer, HOST, VIP) :
		    nd(135, peer, HOST6, VIP6, 1, peer);
		memcpy(f[0].b, group_mac, 6);
		set_nodes(all_nodes() & ~1U, STEER_STATE_ON);
		ck_assert_int_eq(run(in, f[0]), SHOT);
		set_nodes(1, STEER_STATE_ON);
		ck_assert_int_eq(run(in, f[0]), PASS);
	}
}
END_TEST

/* Who may ask, by the mode. */
START_TEST(group_asked)
{
	struct frame	 long_option;
	uint8_t		 mac[6], nonce[40] = { 135 };
	uint32_t	 mask;
	unsigned int	 i;
	int		 want;

	group(_i);
	for (i = 0; i < 500; i++) {
		random_mac(mac);
		mask = (uint32_t)any_number(&seed) & all_nodes();
		set_nodes(mask, STEER_STATE_ON);
		want = in_mask(mask, mode == BALANCE_ARP ?
		    (int)asker_node(mac) : 0) ? PASS : SHOT;
		/* the Ethernet source is not what counts */
		ck_assert_int_eq(run(in, arp(peer, 1, mac, HOST, VIP)), want);
		ck_assert_int_eq(run(in, nd(135, peer, HOST6, VIP6, 1, mac)),
		    want);
		/* behind another option */
		ck_assert_int_eq(inet_pton(AF_INET6, VIP6, nonce + 8), 1);
		memcpy(nonce + 24, "\x0e\x01nonce!\x01\x01", 10);
		memcpy(nonce + 34, mac, 6);
		ck_assert_int_eq(run(in, icmp6(peer, HOST6, nonce,
		    sizeof(nonce))), want);
		/* to whom else is no matter */
		ck_assert_int_eq(run(in, arp(peer, 1, mac, HOST, PHYS)), PASS);
	}
	set_nodes(all_nodes(), STEER_STATE_ON);
	/* in mode arp nobody can answer who does not say from where */
	ck_assert_int_eq(run(in, nd(135, peer, HOST6, VIP6, 0, mac)),
	    mode == BALANCE_ARP ? SHOT : PASS);
	long_option = nd(135, peer, HOST6, VIP6, 1, mac);
	long_option.b[79] = 2;
	ck_assert_int_eq(run(in, long_option),
	    mode == BALANCE_ARP ? SHOT : PASS);
	set_nodes(all_nodes(), STEER_STATE_DRAIN);
	ck_assert_int_eq(run(in, arp(peer, 1, mac, HOST, VIP)), SHOT);
	ck_assert_int_eq(run(in, nd(135, peer, HOST6, VIP6, 1, mac)), SHOT);
}
END_TEST

/* An answer's MAC and Ethernet source, own being the real one. */
static void
check_said(struct frame *f, size_t at, int verdict, bool leave,
    const uint8_t *mac, const uint8_t *source)
{
	ck_assert_int_eq(verdict, leave ? PASS : SHOT);
	if (!leave)
		return;
	ck_assert(has_mac(f, at, mac));
	ck_assert(has_mac(f, 6, source));
	if (f->b[12] == 0x86)
		ck_assert_uint_eq(sum6(f), 0xffff);
}

START_TEST(group_answers)
{
	struct frame	 f;
	uint8_t		 to[6], mac[6];
	const uint8_t	*source;
	uint32_t	 mask;
	unsigned int	 i, who;
	int		 v;

	group(_i);
	for (i = 0; i < 500; i++) {
		random_mac(to);
		mask = (uint32_t)any_number(&seed) & all_nodes();
		set_nodes(mask, STEER_STATE_ON);
		who = mode == BALANCE_ARP ? asker_node(to) : 0;
		node_mac(who, mac);
		source = balance_real_source(mode) ? own : mac;
		f = arp(own, 2, own, VIP, HOST);
		memcpy(f.b, to, 6);
		memcpy(f.b + 32, to, 6);
		v = run_marked(out, &f, 0);
		check_said(&f, 22, v, mask >> who & 1, mac, source);
		f = nd(136, own, VIP6, VIP6, 2, own);
		memcpy(f.b, to, 6);
		v = run_marked(out, &f, 0);
		check_said(&f, 80, v, mask >> who & 1, mac, source);
	}
	/* to all: only where all are told the same */
	set_nodes(all_nodes(), STEER_STATE_ON);
	f = nd(136, own, VIP6, VIP6, 2, own);
	memcpy(f.b, "\x33\x33\x00\x00\x00\x01", 6);
	ck_assert_int_eq(run(out, f), mode == BALANCE_ARP ? SHOT : PASS);
	ck_assert_int_eq(run(out, arp(own, 1, own, VIP, VIP)), SHOT);
	ck_assert_int_eq(run(out, arp(own, 2, own, VIP, VIP)), SHOT);
	/* the physical address is its own */
	f = arp(own, 2, own, PHYS, HOST);
	ck_assert_int_eq(run_marked(out, &f, 0), PASS);
	ck_assert(has_mac(&f, 22, own));
}
END_TEST

/* What the kernel asks from the address: any node must, to forward at all. */
START_TEST(group_asks)
{
	struct frame	 f;
	uint8_t		 rs[16] = { 133, 0, 0, 0, 0, 0, 0, 0, 1, 1 };
	uint8_t		 mac[6], to[6], ra[24] = { 134 };
	const uint8_t	*source;
	uint32_t	 mask;
	unsigned int	 i, who;
	int		 v;

	group(_i);
	memcpy(rs + 10, own, 6);
	ra[16] = ra[17] = 1;
	memcpy(ra + 18, own, 6);
	for (i = 0; i < 500; i++) {
		mask = i == 0 ? 0 : (uint32_t)any_number(&seed) & all_nodes();
		set_nodes(mask, STEER_STATE_ON);
		who = mask == 0 ? 0 : (unsigned int)__builtin_ctz(mask);
		node_mac(who, mac);
		source = mode == BALANCE_ARP || (mode == BALANCE_IP_UNICAST &&
		    (mask & 1)) ? mac : own;
		f = arp(own, 1, own, VIP, HOST);
		v = run_marked(out, &f, 0);
		check_said(&f, 22, v, mask != 0, mac, source);
		f = nd(135, own, VIP6, HOST6, 1, own);
		v = run_marked(out, &f, 0);
		check_said(&f, 80, v, mask != 0, mac, source);
		f = icmp6(own, VIP6, rs, sizeof(rs));
		v = run_marked(out, &f, 0);
		check_said(&f, 64, v, mask != 0, mac, source);
		/* a probe: in mode arp its node's, if that is here */
		random_mac(to);
		if (mode == BALANCE_ARP && (mask >> asker_node(to) & 1))
			node_mac(asker_node(to), mac);
		f = arp(own, 1, own, VIP, HOST);
		memcpy(f.b, to, 6);
		v = run_marked(out, &f, 0);
		check_said(&f, 22, v, mask != 0, mac, source);
		f = nd(135, own, VIP6, HOST6, 1, own);
		memcpy(f.b, to, 6);
		v = run_marked(out, &f, 0);
		check_said(&f, 80, v, mask != 0, mac, source);
		/* one router advertises */
		node_mac(0, mac);
		f = icmp6(own, VIP6, ra, sizeof(ra));
		v = run_marked(out, &f, 0);
		check_said(&f, 72, v, mask & 1, mac,
		    balance_real_source(mode) ? own : mac);
	}
	set_nodes(all_nodes(), STEER_STATE_DRAIN);
	ck_assert_int_eq(run(out, arp(own, 1, own, VIP, HOST)), SHOT);
	/* for the address itself nobody here asks */
	set_nodes(all_nodes(), STEER_STATE_ON);
	ck_assert_int_eq(run(out, arp(own, 1, own, PHYS, VIP)), SHOT);
	ck_assert_int_eq(run(out, nd(135, own, PHYS6, VIP6, 1, own)), SHOT);
}
END_TEST

START_TEST(group_out_from)
{
	struct frame	 f4 = udp4(peer, own, VIP, HOST);
	struct frame	 f6 = udp6(peer, own, VIP6, HOST6);
	unsigned int	 i;

	group(_i);
	for (i = 0; i < nodes; i++) {
		set_nodes(1U << i, i % 2 ? STEER_STATE_ON : STEER_STATE_DRAIN);
		ck_assert_int_eq(run(out, f4), PASS);
		ck_assert_int_eq(run(out, f6), PASS);
	}
	set_nodes(0, STEER_STATE_OFF);
	ck_assert_int_eq(run(out, f4), SHOT);
	ck_assert_int_eq(run(out, f6), SHOT);
	ck_assert_int_eq(run(out, udp4(peer, own, PHYS, HOST)), PASS);
	/* no virtual MAC as source but the engine's */
	set_nodes(all_nodes(), STEER_STATE_ON);
	memcpy(f4.b + 6, group_mac, 6);
	ck_assert_int_eq(run(out, f4), SHOT);
}
END_TEST

START_TEST(group_marked)
{
	struct frame	 f;
	uint8_t		 mac[6];
	unsigned int	 i;
	int		 want;

	group(_i);
	set_nodes(all_nodes(), STEER_STATE_ON);
	want = balance_real_source(mode) ? SHOT : PASS;
	for (i = 0; i < nodes; i++) {
		balance_mac(BALANCE_NONE, 1, vhid_of(i), mac);
		f = carp4(mac, vhid_of(i), 255);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), want);
		f = carp6(mac, vhid_of(i));
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), want);
		f = carp4(own, vhid_of(i), 255);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), PASS);
		/* routed by the kernel, to one peer */
		f = carp4(own, vhid_of(i), 255);
		memcpy(f.b, peer, 6);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), PASS);
		ck_assert(has_mac(&f, 6, balance_real_source(mode) ? own :
		    mac));
		f = arp(mac, 1, mac, VIP, VIP);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
		f = arp(own, 1, mac, VIP, VIP);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
		f = nd(136, own, PHYS6, VIP6, 2, mac);
		ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
	}
	f = carp4(group_mac, 1, 255);
	ck_assert_int_eq(run_marked(out, &f, STEER_MARK), want);
	f = arp(own, 1, group_mac, VIP, VIP);
	ck_assert_int_eq(run_marked(out, &f, STEER_MARK), SHOT);
}
END_TEST

/* Stale slots of nodes 0 and 1: does this frame close them? */
static void
check_closes(const struct frame *f, bool first, bool second)
{
	unsigned int	 i;

	for (i = 0; i < nodes; i++)
		steer_slot_set(slots, vhid_of(i), STEER_STATE_ON, IVAL,
		    monotime_add(monotime_now(), -1600 * MONOTIME_MSEC));
	(void)run(in, *f);
	ck_assert_int_eq(steer_slot_get(slots, 1) == STEER_STATE_OFF, first);
	ck_assert_int_eq(steer_slot_get(slots, 3) == STEER_STATE_OFF, second);
	for (i = 2; i < nodes; i++)
		ck_assert_int_eq(steer_slot_get(slots, vhid_of(i)),
		    STEER_STATE_ON);
}

START_TEST(group_closes)
{
	struct frame	 f;
	bool		 alone;

	group(_i);
	if (nodes == 1)
		return;
	alone = mode == BALANCE_ARP;
	f = carp4(peer, 1, 255);
	check_closes(&f, true, false);
	f = carp4(peer, 3, 255);
	check_closes(&f, false, true);
	f = carp6(peer, 3);
	check_closes(&f, false, true);
	/* several nodes may say these */
	f = carp4(vmac1, 3, 255);
	check_closes(&f, alone, true);
	f = udp4(bcast, vmac3, HOST, "192.0.2.1");
	check_closes(&f, false, alone);
	f = arp(peer, 1, group_mac, VIP, HOST);
	check_closes(&f, false, false);
	f = arp(peer, 2, group_mac, VIP, HOST);
	check_closes(&f, false, false);
	f = nd(136, peer, PHYS6, VIP6, 2, group_mac);
	check_closes(&f, false, false);
	f = nd(135, peer, VIP6, HOST6, 1, group_mac);
	check_closes(&f, false, false);
}
END_TEST

/*
 * Who drains takes on until its successor speaks: then both would.  Outside of
 * a group there is one MAC, which the switch moves, and it drains to the end.
 */
START_TEST(group_drains)
{
	struct frame	 f = carp4(peer, 3, 255);

	group(_i);
	if (nodes == 1)
		return;
	set_nodes(all_nodes(), STEER_STATE_DRAIN);
	(void)run(in, f);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_DRAIN);
	ck_assert_int_eq(steer_slot_get(slots, 3), STEER_STATE_OFF);
	f = carp6(peer, 1);
	(void)run(in, f);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	steer_remove_group(st, 1);
	set_nodes(all_nodes(), STEER_STATE_DRAIN);
	(void)run(in, f);
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_DRAIN);
}
END_TEST

/* Mode arp: each node has a MAC of its own, and gets all for it. */
START_TEST(group_arp_macs)
{
	uint8_t		 mac[6];
	unsigned int	 i;
	uint32_t	 mask;
	struct frame	 f;

	group(_i);
	if (mode != BALANCE_ARP)
		return;
	for (mask = 1; mask != 0 && mask <= all_nodes(); mask <<= 1)
		for (i = 0; i < nodes; i++) {
			node_mac(i, mac);
			f = udp4(mac, peer, HOST, "192.0.2.1");
			set_nodes(mask, STEER_STATE_ON);
			ck_assert_int_eq(run(in, f), mask >> i & 1 ? PASS :
			    SHOT);
			set_nodes(mask, STEER_STATE_DRAIN);
			ck_assert_int_eq(run(in, f), mask >> i & 1 ? PASS :
			    SHOT);
			ck_assert_int_eq(run(in, udp6(mac, peer, HOST6,
			    PHYS6)), mask >> i & 1 ? PASS : SHOT);
		}
}
END_TEST

/* The filters' life. */

static int
query_id(enum bpf_tc_attach_point point, uint32_t prio, uint32_t *id)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;
	int			 rc;

	hook_init(&hook, point);
	place_init(&opts, prio);
	rc = bpf_tc_query(&hook, &opts);
	*id = opts.prog_id;
	return (rc);
}

static bool
attached(enum bpf_tc_attach_point point, uint32_t prio)
{
	uint32_t	 id;

	return (query_id(point, prio, &id) == 0);
}

static int
clsact(bool make)
{
	struct bpf_tc_hook	 hook;

	hook_init(&hook, BPF_TC_INGRESS | BPF_TC_EGRESS);
	return (make ? bpf_tc_hook_create(&hook) : bpf_tc_hook_destroy(&hook));
}

#define INSN(op, d, s, o, i)	\
	{ .code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }

/* Somebody else's filter: stores the type of the packet into a map. */
static int
foreign_load(int map)
{
	struct bpf_insn	 p[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 6, 1,
		    offsetof(struct __sk_buff, pkt_type), 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0),
		INSN(BPF_STX | BPF_MEM | BPF_W, 0, 6, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, TC_ACT_UNSPEC),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return (bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", p,
	    sizeof(p) / sizeof(p[0]), NULL));
}

static int
foreign_map(void)
{
	return (bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4, 1, NULL));
}

static void
foreign_attach(int map, uint32_t prio)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;

	hook_init(&hook, BPF_TC_INGRESS);
	place_init(&opts, prio);
	opts.prog_fd = foreign_load(map);
	ck_assert_int_ge(opts.prog_fd, 0);
	ck_assert_int_eq(bpf_tc_attach(&hook, &opts), 0);
	close(opts.prog_fd);
}

/* Made by us alone: goes with us. */
START_TEST(clsact_ours)
{
	attach(1);
	ck_assert_int_eq(clsact(true), -EEXIST);
	teardown();
	ck_assert_int_eq(clsact(true), 0);
	/* found empty, as a run leaves it that is killed before it is done */
	attach(1);
	teardown();
	ck_assert_int_eq(clsact(true), 0);
	ck_assert(!attached(BPF_TC_INGRESS, 1));
	ck_assert(!attached(BPF_TC_EGRESS, 1));
	ck_assert_int_eq(clsact(false), 0);
}
END_TEST

/* Made by us, then used by somebody else too. */
START_TEST(clsact_shared)
{
	int	 map = foreign_map();

	attach(1);
	foreign_attach(map, 5);
	teardown();
	ck_assert(attached(BPF_TC_INGRESS, 5));
	ck_assert(!attached(BPF_TC_INGRESS, 1));
	ck_assert_int_eq(clsact(false), 0);
	close(map);
}
END_TEST

/* Somebody else sits where we would: left alone. */
START_TEST(foreign_place)
{
	uint32_t	 before, after;
	int		 map = foreign_map();

	ck_assert_int_eq(clsact(true), 0);
	foreign_attach(map, 1);
	ck_assert_int_eq(query_id(BPF_TC_INGRESS, 1, &before), 0);
	st = steer_attach("lo", LO, own, &(const char *){ NULL });
	ck_assert_ptr_nonnull(st);
	ck_assert(attached(BPF_TC_INGRESS, 2));
	ck_assert(attached(BPF_TC_EGRESS, 1));
	ck_assert_int_eq(steer_check(st), 0);
	steer_detach(st);
	ck_assert_int_eq(query_id(BPF_TC_INGRESS, 1, &after), 0);
	ck_assert_uint_eq(before, after);
	ck_assert(!attached(BPF_TC_INGRESS, 2));
	ck_assert_int_eq(clsact(false), 0);
	close(map);
}
END_TEST

START_TEST(check_reattaches)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;
	int			 map = foreign_map();

	hook_init(&hook, BPF_TC_EGRESS);
	place_init(&opts, 1);
	setup();
	ON();
	ck_assert_int_eq(steer_check(st), 0);
	ck_assert_int_eq(bpf_tc_detach(&hook, &opts), 0);
	ck_assert_int_eq(steer_check(st), 1);
	ck_assert_int_eq(steer_check(st), 0);
	ck_assert(attached(BPF_TC_EGRESS, 1));
	/* the whole of it, and somebody else was faster */
	ck_assert_int_eq(clsact(false), 0);
	ck_assert_int_eq(clsact(true), 0);
	foreign_attach(map, 1);
	ck_assert_int_eq(steer_check(st), 1);
	ck_assert(attached(BPF_TC_INGRESS, 2));
	ck_assert_int_eq(steer_check(st), 0);
	/* with slots and configuration as before */
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_ON);
	ck_assert_int_eq(clsact(false), 0);
	ck_assert_int_eq(steer_check(st), 1);
	ck_assert(attached(BPF_TC_INGRESS, 1));
	teardown();
	ck_assert_int_eq(clsact(true), 0);
	ck_assert_int_eq(clsact(false), 0);
	close(map);
}
END_TEST

struct seen {
	int		 vhids, addrs;
	uint8_t		 mac[6];
	struct ipaddr	 last;
};

static void
see_vhid(uint8_t vhid, const uint8_t mac[6], void *arg)
{
	struct seen	*s = arg;

	ck_assert_uint_eq(vhid, mac[5]);
	s->vhids++;
	memcpy(s->mac, mac, 6);
}

static void
see_addr(const struct ipaddr *a, void *arg)
{
	struct seen	*s = arg;

	s->addrs++;
	s->last = *a;
}

/* As after kill -9 of all: nothing is taken back. */
static void
crash(void)
{
	let_go();
	steer_free(st);
}

START_TEST(leftovers)
{
	struct seen	 seen = { .vhids = 0 };
	char		 buf[64];
	int		 i;

	setup();
	ck_assert_uint_eq(steer_restore_get(st, buf, sizeof(buf)), 0);
	ck_assert_int_eq(steer_restore_put(st, "send_redirects 1", 16), 0);
	ON();
	/* twice: the second run dies before it has cleaned up */
	for (i = 0; i < 2; i++) {
		crash();
		ck_assert(attached(BPF_TC_INGRESS, 1));
		ck_assert(attached(BPF_TC_EGRESS, 1));
		attach(1);
		ck_assert(!attached(BPF_TC_INGRESS, 2));
	}
	ck_assert_uint_eq(steer_restore_get(st, buf, sizeof(buf)), 16);
	ck_assert_mem_eq(buf, "send_redirects 1", 16);
	ck_assert_uint_eq(steer_restore_get(st, buf, 4), 4);

	/* guarded until cleaned up */
	ck_assert_int_eq(steer_slot_get(slots, 1), STEER_STATE_OFF);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, VIP)), SHOT);
	ck_assert_int_eq(run(in, udp4(vmac1, peer, HOST, PHYS)), SHOT);
	ck_assert_int_eq(run(out, arp(own, 2, own, VIP, HOST)), SHOT);
	ck_assert_int_eq(run(out, nd(136, own, VIP6, VIP6, 2, own)), SHOT);
	ck_assert_int_eq(run(out, udp4(peer, own, VIP, HOST)), SHOT);
	steer_leftovers(st, see_vhid, see_addr, &seen);
	ck_assert_int_eq(seen.vhids, 2);
	ck_assert_int_eq(seen.addrs, 2);
	ck_assert_mem_eq(seen.mac, vmac3, 6);
	ck_assert_int_eq(seen.last.af, AF_INET6);
	ck_assert_int_eq(seen.last.plen, 128);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, VIP)), PASS);
	ck_assert_int_eq(run(in, udp4(vmac1, peer, HOST, PHYS)), PASS);
	ck_assert_int_eq(run(out, arp(own, 2, own, VIP, HOST)), PASS);
	memset(&seen, 0, sizeof(seen));
	steer_leftovers(st, see_vhid, see_addr, &seen);
	ck_assert_int_eq(seen.vhids + seen.addrs, 0);

	/* what is in use again is none */
	configure();
	crash();
	attach(1);
	configure();
	steer_leftovers(st, see_vhid, see_addr, &seen);
	ck_assert_int_eq(seen.vhids + seen.addrs, 0);
	ON();
	ck_assert_int_eq(run(in, udp4(vmac1, peer, HOST, PHYS)), PASS);
	teardown();
	/* who made clsact was not forgotten */
	ck_assert_int_eq(clsact(true), 0);
	ck_assert_int_eq(clsact(false), 0);
}
END_TEST

START_TEST(leftover_group)
{
	struct seen	 seen = { .vhids = 0 };
	uint8_t		 mac[6];

	setup();
	ck_assert_int_eq(set_group(BALANCE_IP, 2), 0);
	memcpy(mac, group_mac, 6);
	crash();
	attach(1);
	/* guarded as single vhids */
	ck_assert_int_eq(run(in, udp4(mac, peer, HOST, PHYS)), SHOT);
	ck_assert_int_eq(run(in, arp(peer, 1, peer, HOST, VIP)), SHOT);
	ck_assert_int_eq(run(out, arp(own, 2, own, VIP, HOST)), SHOT);
	ck_assert_int_eq(steer_add_vhid(st, 3, vmac3), 0);
	steer_leftovers(st, see_vhid, see_addr, &seen);
	ck_assert_int_eq(seen.vhids, 1);
	ck_assert_mem_eq(seen.mac, mac, 6);
	ck_assert_int_eq(run(in, udp4(mac, peer, HOST, PHYS)), PASS);
	/* and is no group by itself */
	configure();
	ON();
	ck_assert_int_eq(run(in, udp4(mac, peer, HOST, PHYS)), PASS);
	ck_assert_int_eq(run(in, udp4(vmac1, peer, HOST, PHYS)), PASS);
	teardown();
}
END_TEST

START_TEST(many_leftovers)
{
	struct seen	 seen = { .vhids = 0 };
	struct ipaddr	 a = addr("10.0.0.0");
	int		 i;

	setup();
	for (i = 0; i < 1000; i++) {
		a.bytes[2] = (uint8_t)(i >> 8);
		a.bytes[3] = (uint8_t)i;
		ck_assert_int_eq(steer_add_addr(st, 1, &a), 0);
	}
	crash();
	attach(1);
	steer_leftovers(st, see_vhid, see_addr, &seen);
	ck_assert_int_eq(seen.addrs, 1002);
	teardown();
}
END_TEST

START_TEST(restore_record)
{
	static char	 big[STEER_RESTORE + 1], back[STEER_RESTORE];

	setup();
	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(steer_restore_put(st, big, STEER_RESTORE), 0);
	ck_assert_int_eq(steer_restore_put(st, big, STEER_RESTORE + 1), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	crash();
	attach(1);
	ck_assert_uint_eq(steer_restore_get(st, back, sizeof(back)),
	    STEER_RESTORE);
	ck_assert_mem_eq(back, big, STEER_RESTORE);
	ck_assert_int_eq(steer_restore_put(st, "", 0), 0);
	crash();
	attach(1);
	ck_assert_uint_eq(steer_restore_get(st, back, sizeof(back)), 0);
	teardown();
}
END_TEST

START_TEST(no_interface)
{
	const char	*why = NULL;

	ck_assert_ptr_null(steer_attach("no", 4711, own, &why));
	ck_assert_int_ne(errno, 0);
	ck_assert_ptr_nonnull(strstr(why, "attach"));
}
END_TEST

/* The type of a frame that came by the wire, after our filter. */

static uint32_t
type_after(int map, const struct frame *f)
{
	struct sockaddr_ll	 to = { .sll_family = AF_PACKET,
				    .sll_ifindex = LO };
	monotime_t		 late;
	uint32_t		 zero = 0, type = 99;
	int			 fd = socket(AF_PACKET, SOCK_RAW, 0);

	ck_assert_int_eq(bpf_map_update_elem(map, &zero, &type, BPF_ANY), 0);
	ck_assert_int_eq(sendto(fd, f->b, f->len, 0, (struct sockaddr *)&to,
	    sizeof(to)), (ssize_t)f->len);
	close(fd);
	late = monotime_add(monotime_now(), 5 * MONOTIME_SEC);
	while (type == 99 && monotime_cmp(monotime_now(), late) < 0)
		ck_assert_int_eq(bpf_map_lookup_elem(map, &zero, &type), 0);
	return (type);
}

START_TEST(type_changes)
{
	struct frame	 ours = udp4(vmac1, peer, HOST, PHYS);
	struct frame	 theirs = udp4(vmac2, peer, HOST, PHYS);
	int		 map = foreign_map();

	setup();
	foreign_attach(map, 2);
	ON();
	ck_assert_uint_eq(type_after(map, &ours), PACKET_HOST);
	ck_assert_uint_eq(type_after(map, &theirs), PACKET_OTHERHOST);
	/* a group's MAC is multicast, what is in it is not, or is */
	ck_assert_int_eq(set_group(BALANCE_IP, 2), 0);
	set_nodes(3, STEER_STATE_ON);
	ours = udp4(group_mac, peer, HOST, PHYS);
	ck_assert_uint_eq(type_after(map, &ours), PACKET_HOST);
	ours = udp6(group_mac, peer, HOST6, PHYS6);
	ck_assert_uint_eq(type_after(map, &ours), PACKET_HOST);
	theirs = udp4(group_mac, peer, HOST, "224.0.1.1");
	ck_assert_uint_eq(type_after(map, &theirs), PACKET_MULTICAST);
	ck_assert_int_eq(set_group(BALANCE_IP_STEALTH, 2), 0);
	ours = udp4(group_mac, peer, HOST, PHYS);
	ck_assert_uint_eq(type_after(map, &ours), PACKET_HOST);
	teardown();
	ours = udp4(vmac1, peer, HOST, PHYS);
	ck_assert_uint_eq(type_after(map, &ours), PACKET_OTHERHOST);
	ck_assert_int_eq(clsact(false), 0);
	close(map);
}
END_TEST

/* Nanoseconds per frame, the kernel's test loop included. */

static void
measure(const char *what, int prog, struct frame f)
{
	struct bpf_test_run_opts opts;
	uint32_t	 best = UINT32_MAX;
	int		 i;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.data_in = f.b;
	opts.data_size_in = (uint32_t)f.len;
	opts.repeat = 2000000;
	for (i = 0; i < 5; i++)
		if (bpf_prog_test_run_opts(prog, &opts) == 0 &&
		    opts.duration < best)
			best = opts.duration;
	printf("{\"bench\":\"steer\",\"frame\":\"%s\",\"ns\":%u}\n", what,
	    best);
}

static void
measure_group(enum balance_mode m, unsigned int n)
{
	static const char *const what[] = { "taken", "taken, IPv6",
	    "ICMP error taken", "another node's", "ARP for us" };
	uint8_t		 err[36] = { 3 };
	char		 name[5][48];
	size_t		 i;

	ck_assert_int_eq(set_group(m, n), 0);
	set_nodes(all_nodes(), STEER_STATE_ON);
	for (i = 0; i < n; i++)
		steer_slot_set(slots, vhid_of((unsigned int)i), STEER_STATE_ON,
		    65535, monotime_now());
	for (i = 0; i < 5; i++)
		(void)snprintf(name[i], sizeof(name[i]), "in: %s, %u nodes: "
		    "%s", balance_mode_names[m], n, what[i]);
	measure(name[0], in, udp4(group_mac, peer, HOST, PHYS));
	measure(name[1], in, udp6(group_mac, peer, HOST6, PHYS6));
	measure(name[2], in, ip4(group_mac, peer, HOST, VIP, 1, 64, err,
	    sizeof(err)));
	measure(name[4], in, arp(peer, 1, peer, HOST, VIP));
	set_nodes(0, STEER_STATE_OFF);
	measure(name[3], in, udp4(group_mac, peer, HOST, PHYS));
}

static void
measure_groups(void)
{
	measure_group(BALANCE_ARP, 2);
	measure_group(BALANCE_IP, 2);
	measure_group(BALANCE_IP, 32);
	measure_group(BALANCE_IP_STEALTH, 2);
	measure_group(BALANCE_IP_UNICAST, 2);
}

START_TEST(bench)
{
	struct bpf_insn	 p[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, TC_ACT_UNSPEC),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	int		 empty = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS,
			    "empty", "GPL", p, 2, NULL);

	steer_slot_set(slots, 1, STEER_STATE_ON, 65535, monotime_now());
	measure("none: empty program", empty, udp4(own, peer, HOST, PHYS));
	measure("in: not for us", in, udp4(own, peer, HOST, PHYS));
	measure("in: not for us, IPv6", in, udp6(own, peer, HOST6, PHYS6));
	measure("in: virtual MAC, taken", in, udp4(vmac1, peer, HOST, PHYS));
	measure("in: virtual MAC, off", in, udp4(vmac3, peer, HOST, PHYS));
	measure("in: ARP for us", in, arp(peer, 1, peer, HOST, VIP));
	measure("out: from others", out, udp4(peer, own, HOST, PHYS));
	measure("out: from others, IPv6", out, udp6(peer, own, HOST6, PHYS6));
	measure("out: from us", out, udp4(peer, own, VIP, HOST));
	measure_groups();
	close(empty);
}
END_TEST

static int
namespace(void)
{
	struct ifreq	 ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int		 fd, rc;

	if (unshare(CLONE_NEWNET) == -1)
		return (-1);
	if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) == -1)
		return (-1);
	rc = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return (rc);
}

static Suite *
suite(bool measuring)
{
	Suite	*s = suite_create("steer_prog");
	TCase	*tc = tcase_create("programs");

	tcase_add_checked_fixture(tc, setup, teardown);
	if (measuring) {
		tcase_add_test(tc, bench);
		suite_add_tcase(s, tc);
		return (s);
	}
	tcase_add_test(tc, in_virtual_mac);
	tcase_add_test(tc, in_closes);
	tcase_add_test(tc, in_does_not_close);
	tcase_add_test(tc, in_closed_at_once);
	tcase_add_test(tc, in_contested);
	tcase_add_test(tc, in_asked);
	tcase_add_test(tc, short_frames);
	tcase_add_test(tc, out_arp);
	tcase_add_test(tc, out_asks);
	tcase_add_test(tc, out_nd);
	tcase_add_test(tc, out_nd_options);
	tcase_add_test(tc, out_redirect);
	tcase_add_test(tc, out_ip);
	tcase_add_test(tc, out_marked);
	tcase_add_test(tc, out_unicast);
	tcase_add_test(tc, out_disowned);
	tcase_add_test(tc, own_mac_changes);
	tcase_add_test(tc, slot_words);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, many_addresses);
	tcase_add_test(tc, unprivileged);
	suite_add_tcase(s, tc);
	tc = tcase_create("groups");
	/* once: to attach takes long */
	tcase_add_unchecked_fixture(tc, setup, teardown);
	tcase_add_test(tc, group_refused);
	tcase_add_test(tc, group_changes);
	tcase_add_loop_test(tc, group_share, 0, GROUPS);
	tcase_add_loop_test(tc, group_exactly_one, 0, GROUPS);
	tcase_add_loop_test(tc, group_seen, 0, GROUPS);
	tcase_add_loop_test(tc, group_short, 0, GROUPS);
	tcase_add_loop_test(tc, group_everybodys, 0, GROUPS);
	tcase_add_loop_test(tc, group_asked, 0, GROUPS);
	tcase_add_loop_test(tc, group_answers, 0, GROUPS);
	tcase_add_loop_test(tc, group_asks, 0, GROUPS);
	tcase_add_loop_test(tc, group_out_from, 0, GROUPS);
	tcase_add_loop_test(tc, group_marked, 0, GROUPS);
	tcase_add_loop_test(tc, group_closes, 0, GROUPS);
	tcase_add_loop_test(tc, group_drains, 0, GROUPS);
	tcase_add_loop_test(tc, group_arp_macs, 0, GROUPS);
	suite_add_tcase(s, tc);
	tc = tcase_create("life");
	tcase_add_test(tc, clsact_ours);
	tcase_add_test(tc, clsact_shared);
	tcase_add_test(tc, foreign_place);
	tcase_add_test(tc, check_reattaches);
	tcase_add_test(tc, leftovers);
	tcase_add_test(tc, leftover_group);
	tcase_add_test(tc, many_leftovers);
	tcase_add_test(tc, restore_record);
	tcase_add_test(tc, no_interface);
	tcase_add_test(tc, type_changes);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(int argc, char *argv[])
{
	SRunner	*sr;
	int	 failed;

	if (geteuid() != 0 || namespace() == -1) {
		skip_because("needs root and a network namespace of its own");
		return (0);
	}
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	printf("steer_prog_test: seed %llu\n", (unsigned long long)seed);
	sr = srunner_create(suite(argc > 1 && strcmp(argv[1], "bench") == 0));
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
