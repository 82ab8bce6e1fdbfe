/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a script of what happens to pfdial: packets of peers, flows of
 * our kernel that come, change and go, time, carpd.  Invariants hold after
 * each step, every packet that comes out is well-formed, and nothing waits for
 * a time that has passed once all was sent.
 *
 * A step is a byte (low four bits: which one), then its operands:
 *	0-4	a packet: version (bit 0: 6 or 5), length 2, that many bytes
 *	5-7	flow number n goes on: n, what it is like now
 *	8	flow number n ends: n
 *	9-10	time passes: 2 bytes of milliseconds
 *	11	packets are taken: room
 *	12	a bulk is asked for
 *	13	so many vhids are MASTER
 *	14	the kernel is done with what it was told
 *	15	maxupd
 */
#undef NDEBUG

#include <netinet/in.h>

#include <assert.h>
#include <string.h>

#include "../../common/wire/pfsync.h"
#include "../../pfsyncd/ctmap.h"
#include "../unit/pfdial_repl.h"

#define OURS		0x11111111U
#define PKT_MAX		9000

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct repl	 r;
static uint64_t		 count[PFSYNC_C_MAX];

static void
check(void)
{
	(void)statedb_reserve(r.db);
	assert(pfdial_reserve(r.d) == 0);
	assert(pfdial_check(r.d) == NULL);
}

static void
packet(struct rbuf *b)
{
	static uint8_t	 pkt[PKT_MAX];
	uint8_t		 version = rbuf_u8(b) & 1 ? 6 : 5;
	size_t		 len = rbuf_be16(b);
	const uint8_t	*p;

	if (len > rbuf_left(b))
		len = rbuf_left(b);
	if (len > PKT_MAX - PFSYNC_HDR_LEN)
		len = PKT_MAX - PFSYNC_HDR_LEN;
	if ((p = rbuf_view(b, len)) == NULL)
		return;
	memset(pkt, 0, PFSYNC_HDR_LEN);
	memcpy(pkt + PFSYNC_HDR_LEN, p, len);
	len += PFSYNC_HDR_LEN;
	pkt[0] = version;
	pkt[2] = (uint8_t)(len >> 8);
	pkt[3] = (uint8_t)len;
	pfdial_rx(r.d, pkt, len, count, r.now);
}

/* Some of the flows of the captures are among them. */
static struct flow
flow_number(uint8_t n, uint8_t how)
{
	static const uint8_t	 src[4] = { 10, 66, 0, 4 };
	static const uint8_t	 dst[4] = { 10, 66, 1, 4 };
	struct flow		 f;

	memset(&f, 0, sizeof(f));
	f.af = 4;
	memcpy(f.orig.src, src, 4);
	memcpy(f.orig.dst, dst, 4);
	f.proto = n & 1 ? IPPROTO_TCP : IPPROTO_UDP;
	f.orig.sport = (uint16_t)(40001 + (n & 7));
	f.orig.dport = n & 1 ? 8080 : 5353;
	if (n & 8) {
		f.proto = IPPROTO_ICMP;
		f.orig.sport = 12016;
		f.orig.dport = 0x0800;
	}
	flow_invert(&f.orig, f.proto, &f.reply);
	if (how & 0x40)
		f.reply.dst[3] = 99;
	if (how & 0x80)
		f.reply.src[3] = 98;
	f.timeout = 30;
	f.status = (how & 0x30) == 0 ? 0 : (how & 0x30) == 0x10 ?
	    FLOW_SEEN_REPLY : FLOW_STATUS;
	if (f.proto == IPPROTO_TCP)
		f.tcp_state = (uint8_t)(how % (FLOW_TCP_MAX + 1));
	return (f);
}

static void
hear(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	(void)m;
	(void)kind;
	*(size_t *)arg += 1;
}

static void
take(size_t room)
{
	static uint8_t	 buf[2048];
	uint64_t	 c[PFSYNC_C_MAX];
	struct wbuf	 w;
	size_t		 len, n, k;
	int		 i;

	pfdial_tick(r.d, r.now);
	for (k = 0; ; k++) {
		wbuf_init(&w, buf, room);
		if ((len = pfdial_packet(r.d, &w, r.now)) == 0)
			break;
		assert(len <= room && len > PFSYNC_HDR_LEN && k < 100000);
		memset(c, 0, sizeof(c));
		n = 0;
		pfsync_walk(buf, len, hear, NULL, c, &n);
		assert(n > 0);
		for (i = 0; i < PFSYNC_C_MAX; i++)
			assert(c[i] == 0);
	}
}

static void
step(struct rbuf *b)
{
	struct flow	 f;
	uint8_t		 n;

	switch (rbuf_u8(b) & 15) {
	case 0: case 1: case 2: case 3: case 4:
		packet(b);
		break;
	case 5: case 6: case 7:
		n = rbuf_u8(b);
		f = flow_number(n, rbuf_u8(b));
		fake_local(&r, &f);
		break;
	case 8:
		f = flow_number(rbuf_u8(b), 0);
		fake_destroy(&r, &f);
		break;
	case 9: case 10:
		r.now = monotime_add(r.now, rbuf_be16(b) * MONOTIME_MSEC);
		pfdial_tick(r.d, r.now);
		break;
	case 11:
		take(rbuf_u8(b) * 8U);
		break;
	case 12:
		pfdial_bulk(r.d, r.now);
		break;
	case 13:
		pfdial_carp(r.d, rbuf_u8(b) % 3, r.now);
		break;
	case 14:
		fake_done(&r);
		break;
	default:
		pfdial_conf(r.d, rbuf_u8(b));
		break;
	}
}

/* Let all that waits happen: then it has happened. */
static void
settle(void)
{
	monotime_t	 next;
	int		 i;

	fake_done(&r);
	for (i = 0; i < 10000; i++) {
		take(1480);
		check();
		next = pfdial_next(r.d);
		if (!monotime_isset(next))
			return;
		if (monotime_cmp(next, r.now) > 0)
			r.now = next;
	}
	assert(!"never comes to rest");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf	 b;

	rbuf_init(&b, data, size);
	fake_start(&r, OURS, 128, rbuf_u8(&b) != 0, (monotime_t){ 1 });
	r.slow = true;
	while (rbuf_left(&b) > 0 && rbuf_ok(&b)) {
		check();
		step(&b);
	}
	check();
	settle();
	fake_stop(&r);
	return (0);
}
