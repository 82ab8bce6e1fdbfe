/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: reading what ctnetlink says of a connection.  Taken apart by hand,
 * for speed: there may be a million of them.
 */
#include <sys/socket.h>

#include <linux/netfilter/nfnetlink_conntrack.h>

#include <arpa/inet.h>

#include "ctattr.h"

uint32_t
ctattr_be32(const struct ctattr *a)
{
	uint32_t	 v = 0;

	if (a->len >= sizeof(v))
		memcpy(&v, a->data, sizeof(v));
	return (ntohl(v));
}

static inline uint16_t
get_be16(const struct ctattr *a)
{
	return (a->len < 2 ? 0 : (uint16_t)(a->data[0] << 8 | a->data[1]));
}

static inline uint8_t
get_u8(const struct ctattr *a)
{
	return (a->len < 1 ? 0 : a->data[0]);
}

static void
get_ip(const struct ctattr *nest, struct flow_tuple *t)
{
	struct ctattr_span	 s = { nest->data, nest->len };
	struct ctattr	 a;

	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case CTA_IP_V4_SRC:
			if (a.len == 4)
				memcpy(t->src, a.data, 4);
			break;
		case CTA_IP_V4_DST:
			if (a.len == 4)
				memcpy(t->dst, a.data, 4);
			break;
		case CTA_IP_V6_SRC:
			if (a.len == 16)
				memcpy(t->src, a.data, 16);
			break;
		case CTA_IP_V6_DST:
			if (a.len == 16)
				memcpy(t->dst, a.data, 16);
			break;
		}
	}
}

static void
get_proto(const struct ctattr *nest, struct flow_tuple *t, uint8_t *proto)
{
	struct ctattr_span	 s = { nest->data, nest->len };
	struct ctattr	 a;

	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case CTA_PROTO_NUM:
			*proto = get_u8(&a);
			break;
		case CTA_PROTO_SRC_PORT:
		case CTA_PROTO_ICMP_ID:
		case CTA_PROTO_ICMPV6_ID:
			t->sport = get_be16(&a);
			break;
		case CTA_PROTO_DST_PORT:
			t->dport = get_be16(&a);
			break;
		case CTA_PROTO_ICMP_TYPE:
		case CTA_PROTO_ICMPV6_TYPE:
			t->dport = (uint16_t)((t->dport & 0xff) |
			    get_u8(&a) << 8);
			break;
		case CTA_PROTO_ICMP_CODE:
		case CTA_PROTO_ICMPV6_CODE:
			t->dport = (uint16_t)((t->dport & 0xff00) |
			    get_u8(&a));
			break;
		}
	}
}

/* false: it has a zone of its own, which a flow cannot say */
static bool
get_tuple(const struct ctattr *nest, struct flow_tuple *t, uint8_t *proto)
{
	struct ctattr_span	 s = { nest->data, nest->len };
	struct ctattr	 a;

	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case CTA_TUPLE_IP:
			get_ip(&a, t);
			break;
		case CTA_TUPLE_PROTO:
			get_proto(&a, t, proto);
			break;
		case CTA_TUPLE_ZONE:
			return (false);
		}
	}
	return (true);
}

static void
get_tcp(const struct ctattr *nest, struct flow *f)
{
	const uint8_t	 known = FLOW_TCPF_SYNC | FLOW_TCPF_LIBERAL;
	struct ctattr_span	 s = { nest->data, nest->len };
	struct ctattr	 a;

	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case CTA_PROTOINFO_TCP_STATE:
			f->tcp_state = get_u8(&a);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_ORIGINAL:
			f->wscale[0] = get_u8(&a);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_REPLY:
			f->wscale[1] = get_u8(&a);
			break;
		case CTA_PROTOINFO_TCP_FLAGS_ORIGINAL:
			f->tcp_flags[0] = get_u8(&a) & known;
			break;
		case CTA_PROTOINFO_TCP_FLAGS_REPLY:
			f->tcp_flags[1] = get_u8(&a) & known;
			break;
		}
	}
}

static void
get_protoinfo(const struct ctattr *nest, struct flow *f)
{
	struct ctattr_span	 s = { nest->data, nest->len };
	struct ctattr	 a;

	if (ctattr_next(&s, &a) && a.type == CTA_PROTOINFO_TCP &&
	    f->proto == IPPROTO_TCP)
		get_tcp(&a, f);
}

bool
ctattr_flow(struct ctattr_span s, uint8_t family, struct flow *f,
    uint32_t *ctid)
{
	struct ctattr	 a;
	uint8_t		 proto2 = 0;

	memset(f, 0, sizeof(*f));
	*ctid = 0;
	f->af = family == AF_INET ? 4 : family == AF_INET6 ? 6 : 0;
	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case CTA_TUPLE_ORIG:
			if (!get_tuple(&a, &f->orig, &f->proto))
				return (false);
			break;
		case CTA_TUPLE_REPLY:
			if (!get_tuple(&a, &f->reply, &proto2))
				return (false);
			break;
		case CTA_STATUS:
			f->status = ctattr_be32(&a) & FLOW_STATUS;
			break;
		case CTA_TIMEOUT:
			f->timeout = ctattr_be32(&a);
			break;
		case CTA_PROTOINFO:
			get_protoinfo(&a, f);
			break;
		case CTA_MARK:
			f->mark = ctattr_be32(&a);
			break;
		case CTA_ZONE:
			f->zone = get_be16(&a);
			break;
		case CTA_ID:
			*ctid = ctattr_be32(&a);
			break;
		}
	}
	return (f->proto == proto2 && !ctattr_unsupported(f->proto) &&
	    flow_check(f, true) == NULL);
}

uint8_t
ctattr_proto(struct ctattr_span s)
{
	struct flow_tuple	 t;
	struct ctattr		 a, b;
	uint8_t			 proto = 0;

	if (!ctattr_next(&s, &a) || a.type != CTA_TUPLE_ORIG)
		return (0);
	s = (struct ctattr_span){ a.data, a.len };
	while (ctattr_next(&s, &b))
		if (b.type == CTA_TUPLE_PROTO)
			get_proto(&b, &t, &proto);
	return (proto);
}
