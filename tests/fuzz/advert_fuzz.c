/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a received advertisement.  The first byte says what a fuzzer
 * could never guess and is put right for it (the checksum, the digest, the
 * MAC), and which addresses the packet came with; the second is the time
 * since the last one.  The vhost lives as long as the process, so its memory
 * of nodes is filled and overflows too.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../carpd/autopsy.h"

#define VHID		7
#define DEAD		(3 * MONOTIME_SEC)
#define SIZE_MAX_IN	1500

enum { FIX_SUM = 1, FIX_DIGEST = 2, FIX_ORIG = 4, FIX_MAC = 8, OVER_IP6 = 16,
	BAD_TTL = 32, FRAGMENT = 64 };

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ipaddr vaddrs[] = {
	{ .af = AF_INET, .bytes = { 192, 0, 2, 1 } },
	{ .af = AF_INET6, .bytes = { 0xfe, 0x80, [15] = 1 } },
};
static const struct ipaddr ends4[] = {
	{ .af = AF_INET, .bytes = { 192, 0, 2, 2 } },
	{ .af = AF_INET, .bytes = { 224, 0, 0, 18 } },
};
static const struct ipaddr ends6[] = {
	{ .af = AF_INET6, .bytes = { 0xfe, 0x80, [15] = 2 } },
	{ .af = AF_INET6, .bytes = { 0xff, 0x02, [15] = 0x12 } },
};

static void
fix_mac(struct advert_vhost *v, const struct frame_ip *f, uint8_t *pkt)
{
	struct trailer	 t;
	uint8_t		 tlv[TRAILER_TLV_MAX];

	if (trailer_parse(TRAILER_CARP, pkt + CARP_LEN, f->len - CARP_LEN,
	    &t) != TRAILER_OK)
		return;
	if (t.tlvlen > 0)
		memcpy(tlv, t.tlv, t.tlvlen);
	t.tlv = tlv;
	assert(trailer_write(TRAILER_CARP, v->sha256, &f->src, &f->dst, pkt,
	    CARP_LEN, f->len, &t) == f->len - CARP_LEN);
}

static void
put_right(struct advert_vhost *v, const struct frame_ip *f, uint8_t *pkt,
    uint8_t what)
{
	struct carp_header	 h;

	if (!carp_decode(pkt, f->len, &h))
		return;
	if (what & FIX_DIGEST)
		advert_digest(v, what & FIX_ORIG ? ADVERT_ORIG :
		    ADVERT_NOV6LL, h.counter, h.digest);
	if (what & (FIX_SUM | FIX_DIGEST))
		carp_encode(&h, pkt);
	if (what & FIX_MAC)
		fix_mac(v, f, pkt);
}

static void
check_accepted(const struct advert_vhost *v, const struct frame_ip *f,
    const struct advert_in *in)
{
	const uint8_t	*end = f->payload + f->len;

	assert(f->len >= CARP_LEN && f->ttl == CARP_TTL && !f->fragment);
	assert(f->payload[0] >> 4 == CARP_VERSION);
	assert(in->vhid == v->vhid && in->af == f->src.af);
	assert(in->ours == (in->node != 0));
	assert(in->notice == (f->payload[1] == 0));
	assert(in->ours || (!in->notice && in->ngone == 0 &&
	    in->reason == ADVERT_REASON_NONE));
	assert(in->reason <= ADVERT_REASON_PARENT_DIED);
	assert(in->variant < ADVERT_VARIANTS && !in->both);
	assert(in->ngone <= ADVERT_GONE_MAX);
	assert(in->ours || in->group.n == 0);
	assert(in->group.n <= BALANCE_NODES);
	if (in->ngone > 0)
		assert(in->gone > f->payload + CARP_LEN &&
		    in->gone + in->ngone * ADVERT_ID_LEN <= end);
	assert(in->ours || !in->tells);
	if (in->nheard > 0)
		assert(in->heard > f->payload + CARP_LEN &&
		    in->heard + in->nheard * 4 <= end);
	(void)advert_heard(in, 1);
	assert(memcmp(f->payload + 8, v->cookie, CARP_COUNTER_LEN) != 0);
}

/* A second time it is a replay, or foreign and as good as before. */
static void
check_again(struct advert_vhost *v, const struct frame_ip *f,
    const struct carp_header *h, monotime_t now, const struct advert_in *in)
{
	struct advert_in	 again;
	enum advert_drop	 drop;

	drop = advert_verify(v, f, h, now, DEAD, &again);
	assert(drop == (in->ours ? ADVERT_DROP_REPLAY : ADVERT_ACCEPT));
	assert(in->ours || again.variant == in->variant);
}

/* What is said of one that does not verify makes sense. */
static void
check_autopsy(struct advert_vhost *v, const struct frame_ip *f,
    const struct carp_header *h)
{
	unsigned int	 budget = 100;
	struct autopsy	 a;

	memset(&a, 0, sizeof(a));
	autopsy_lists(v, f, &a);
	assert(a.fault == AUTOPSY_ADDRS);
	assert(a.here.af == 0 || ipaddr_cmp(&a.here, &a.there) != 0);
	autopsy_guess(v, h->vhid, h->counter, h->digest, vaddrs, 2, ends4, 2,
	    &budget, &a);
	assert(budget >= 90);
}

static void
judge(struct advert_vhost *v, const struct frame_ip *f, monotime_t now)
{
	struct carp_header	 h;
	struct advert_in	 in;
	enum advert_drop	 drop;

	if (advert_check(f, &h) != ADVERT_ACCEPT)
		return;
	drop = advert_verify(v, f, &h, now, DEAD, &in);
	assert(drop < ADVERT_DROPS);
	assert(drop == ADVERT_DROP_BADVHID || advert_vhid(f, &h) == VHID);
	if (drop == ADVERT_DROP_BADAUTH || drop == ADVERT_DROP_PASS ||
	    drop == ADVERT_DROP_ADDRS || drop == ADVERT_DROP_BADVHID)
		check_autopsy(v, f, &h);
	if (drop != ADVERT_ACCEPT)
		return;
	check_accepted(v, f, &in);
	check_again(v, f, &h, now, &in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct advert_vhost	 v;
	static monotime_t		 now;
	uint8_t				 pkt[SIZE_MAX_IN];
	const struct ipaddr		*ends;
	struct frame_ip			 f;

	if (v.vhid == 0)
		assert(advert_vhost_init(&v, VHID, "fuzz", 4, vaddrs, 2,
		    (const uint8_t *)"cookieRX"));
	if (size < 2 || size - 2 > sizeof(pkt))
		return (0);
	memset(&f, 0, sizeof(f));
	ends = data[0] & OVER_IP6 ? ends6 : ends4;
	f.src = ends[0];
	f.dst = ends[1];
	f.ttl = data[0] & BAD_TTL ? CARP_TTL - 1 : CARP_TTL;
	f.fragment = (data[0] & FRAGMENT) != 0;
	f.multicast = true;
	f.payload = pkt;
	f.len = size - 2;
	memcpy(pkt, data + 2, f.len);
	put_right(&v, &f, pkt, data[0]);
	now = monotime_add(now, data[1] * (MONOTIME_SEC / 16));
	judge(&v, &f, now);
	return (0);
}
