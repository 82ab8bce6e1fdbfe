/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The signs by which senders differ.  OpenBSD: a constant counter, the demote
 * byte, bow-outs, the digest without link-local addresses (ip_carp.c).
 * FreeBSD: a counter that moves with every packet, the other digest, class
 * selector 7 (ip_carp.c, net.inet.carp.dscp).  ucarp: a MAC of its own (carp.c).
 */
#include <stddef.h>
#include <string.h>

#include "peer.h"

#define COUNTER_STEP	1024	/* a counter's, adverts lost included */
#define TOS_FREEBSD	0xe0	/* dscp 56 */

const char *const peer_kind_names[] = {
	[PEER_UNKNOWN] = "-",
	[PEER_CARPD] = "carpd",
	[PEER_OPENBSD] = "openbsd",
	[PEER_FREEBSD] = "freebsd",
	[PEER_UCARP] = "ucarp",
	[PEER_VRRP2] = "vrrp2",
	[PEER_VRRP3] = "vrrp3",
};

bool
peer_counter_grew(const uint8_t *before, const uint8_t *now)
{
	uint64_t	 a = 0, b = 0;
	size_t		 i;

	for (i = 0; i < CARP_COUNTER_LEN; i++) {
		a = a << 8 | before[i];
		b = b << 8 | now[i];
	}
	return (b - a >= 1 && b - a <= COUNTER_STEP);
}

/* 00:00:5e:00:00:vhid, where all others have 01 before the vhid. */
static bool
ucarp_mac(const struct peer_sign *s)
{
	static const uint8_t	 prefix[5] = { 0, 0, 0x5e, 0, 0 };

	return (memcmp(s->eth_src, prefix, sizeof(prefix)) == 0 &&
	    s->eth_src[5] == s->vhid);
}

bool
peer_skews(const struct peer_sign *s)
{
	if (s->ours || s->demote != 0 || s->nov6ll)
		return (false);
	return (ucarp_mac(s) || s->orig || s->tos == TOS_FREEBSD ||
	    (s->before != NULL && peer_counter_grew(s->before, s->counter)));
}

enum peer_kind
peer_kind(enum peer_kind was, const struct peer_sign *s)
{
	if (was == PEER_VRRP2 || was == PEER_VRRP3)
		was = PEER_UNKNOWN;
	if (s->ours)
		return (PEER_CARPD);
	if (ucarp_mac(s))
		return (PEER_UCARP);
	if (s->demote != 0 || s->bowout || s->nov6ll)
		return (PEER_OPENBSD);
	if (s->orig || s->tos == TOS_FREEBSD)
		return (PEER_FREEBSD);
	if (s->before == NULL)
		return (was);
	if (memcmp(s->before, s->counter, CARP_COUNTER_LEN) == 0)
		return (PEER_OPENBSD);
	/* random until it hears somebody; or a host that was started anew */
	if (was == PEER_UNKNOWN || peer_counter_grew(s->before, s->counter))
		return (PEER_FREEBSD);
	return (was);
}
