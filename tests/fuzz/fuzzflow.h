/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A flow that two bytes of an input name, for the fuzz targets that need
 * well-formed ones.
 */
#ifndef TESTS_FUZZ_FUZZFLOW_H
#define TESTS_FUZZ_FUZZFLOW_H

#include <netinet/in.h>

#include <string.h>

#include "../../pfsyncd/flow.h"

#define FUZZFLOW_MARK	7	/* of some */

/* n says which, v in what condition. */
static void
fuzz_flow(uint8_t n, uint8_t v, struct flow *f)
{
	memset(f, 0, sizeof(*f));
	f->af = n & 0x80 ? 6 : 4;
	f->orig.src[0] = f->orig.dst[0] = f->af == 4 ? 10 : 0x20;
	f->orig.src[3] = n;
	f->orig.dst[3] = 1;
	f->timeout = 30;
	f->status = v & 1 ? FLOW_SEEN_REPLY : 0;
	switch (n % 4) {
	case 0:
		f->proto = f->af == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		f->orig.sport = n;
		f->orig.dport = (uint16_t)(f->af == 4 ? 8 << 8 : 128 << 8);
		break;
	case 1:
		f->proto = IPPROTO_UDP;
		f->orig.sport = n;
		f->orig.dport = 53;
		break;
	default:
		f->proto = IPPROTO_TCP;
		f->orig.sport = n;
		f->orig.dport = 80;
		f->tcp_state = (uint8_t)(v >> 4) % (FLOW_TCP_MAX + 1);
		f->timeout = v & 2 ? 432000 : 120;
		break;
	}
	flow_invert(&f->orig, f->proto, &f->reply);
	if (v & 4)
		f->reply.dst[3] = 200;
	if (v & 8)
		f->mark = FUZZFLOW_MARK;
	if (v == 0xff)
		f->timeout = 315360000;
}

#endif
