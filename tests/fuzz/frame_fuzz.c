/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a received frame: what peels lies inside the frame, and a
 * frame of the form we send ourselves is built again byte for byte.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../common/wire/cksum.h"
#include "../../common/wire/frame.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint16_t
be16(const uint8_t *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

/* No tag, no options, no flow label, DF and nothing else: as frame_ip(). */
static bool
our_form(const uint8_t *data)
{
	const uint8_t	*ip = data + FRAME_ETH_LEN;

	if (be16(data + 12) == FRAME_TYPE_IP4)
		return (ip[0] == 0x45 && be16(ip + 6) == 0x4000 &&
		    be16(ip + 10) != 0xffff);
	if (be16(data + 12) == FRAME_TYPE_IP6)
		return ((ip[1] & 0x0f) == 0 && be16(ip + 2) == 0);
	return (false);
}

static void
build_again(const uint8_t *data, const struct frame_ip *f)
{
	static uint8_t		 out[FRAME_ETH_LEN + FRAME_IP6_LEN + 65535];
	struct frame_meta	 m = { .src = f->src, .dst = f->dst,
				    .proto = f->proto, .ttl = f->ttl,
				    .tos = f->tos };
	size_t			 head;

	memcpy(m.eth_dst, f->eth_dst, sizeof(m.eth_dst));
	memcpy(m.eth_src, f->eth_src, sizeof(m.eth_src));
	m.id = be16(data + FRAME_ETH_LEN + 4);
	head = frame_ip(out, sizeof(out), &m, f->len);
	assert(head == (size_t)(f->payload - data));
	assert(memcmp(out, data, head) == 0);
}

/* What we announce for a source address peels, or is refused by family. */
static void
announce(const struct frame_ip *f)
{
	uint8_t		 out[128];
	struct frame_ip	 back;
	size_t		 n;

	n = frame_garp(out, sizeof(out), f->eth_src, &f->src);
	assert((n == 0) == (f->src.af != AF_INET));
	n = frame_una(out, sizeof(out), f->eth_src, &f->src, f->ttl & 1);
	assert((n == 0) == (f->src.af != AF_INET6));
	if (n == 0)
		return;
	assert(frame_peel(out, n, &back) == FRAME_OK);
	assert(back.len == FRAME_NA_LEN && back.ttl == 255);
	assert(ipaddr_cmp(&back.src, &f->src) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame_ip	 f;

	if (frame_peel(data, size, &f) != FRAME_OK)
		return (0);
	assert(f.payload >= data + FRAME_ETH_LEN);
	assert(f.len <= size - (size_t)(f.payload - data));
	assert(f.src.af == f.dst.af);
	assert(f.multicast == ipaddr_is_multicast(&f.dst));
	(void)cksum(f.payload, f.len);
	if (our_form(data))
		build_again(data, &f);
	announce(&f);
	return (0);
}
