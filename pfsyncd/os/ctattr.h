/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux only: the attributes by which ctnetlink tells of a connection
 * (<linux/netfilter/nfnetlink_conntrack.h>), read into a flow.  The same are
 * in its own messages and, as NFQA_CT, in those of nfnetlink_queue.
 */
#ifndef PFSYNCD_OS_CTATTR_H
#define PFSYNCD_OS_CTATTR_H

#include <netinet/in.h>

#include <linux/netlink.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../flow.h"

/* Attributes one after the other; what they hold is the caller's. */
struct ctattr_span {
	const uint8_t	*p;
	size_t		 left;
};

struct ctattr {
	unsigned int	 type;
	const uint8_t	*data;
	size_t		 len;
};

/* The next attribute; false at the end or at one that does not fit. */
static inline bool
ctattr_next(struct ctattr_span *s, struct ctattr *a)
{
	struct nlattr	 h;
	size_t		 step;

	if (s->left < NLA_HDRLEN)
		return (false);
	memcpy(&h, s->p, sizeof(h));
	if (h.nla_len < NLA_HDRLEN || h.nla_len > s->left)
		return (false);
	a->type = h.nla_type & NLA_TYPE_MASK;
	a->data = s->p + NLA_HDRLEN;
	a->len = h.nla_len - NLA_HDRLEN;
	step = NLA_ALIGN(h.nla_len);
	if (step > s->left)
		step = s->left;
	s->p += step;
	s->left -= step;
	return (true);
}

/* A number of 32 bits in network order; 0 when it is shorter. */
uint32_t	 ctattr_be32(const struct ctattr *a);
/*
 * A connection, its family AF_INET or AF_INET6.  false: a flow cannot express
 * it.  The protocol is known before the protocol's own part: the kernel puts
 * the tuples first.  timeout may be 0; ctid: its number, 0 when it has none.
 */
bool		 ctattr_flow(struct ctattr_span s, uint8_t family,
		    struct flow *f, uint32_t *ctid);
/* Its protocol, without a look at the rest; 0: unknown. */
uint8_t		 ctattr_proto(struct ctattr_span s);
/*
 * What an entry cannot be made of here: GRE would expire with its first packet
 * (the kernel keeps its timeouts in the entry and sets them before an entry is
 * confirmed), DCCP needs its role and sequence number.
 */
static inline bool
ctattr_unsupported(uint8_t proto)
{
	return (proto == IPPROTO_GRE || proto == IPPROTO_DCCP);
}

#endif
