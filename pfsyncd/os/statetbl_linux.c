/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: the state table is conntrack's, reached by ctnetlink
 * (<linux/netfilter/nfnetlink_conntrack.h>).  Three sockets: events, dumps,
 * operations.  What the kernel does not document and we rely on, tried on
 * Linux 6.18:
 *
 * - The one form of an insertion that translates: the reply tuple is the plain
 *   inversion of the original one, and CTA_NAT_SRC and CTA_NAT_DST give exact
 *   addresses and ports.  With the translated reply tuple the entry looks
 *   right and translates nothing.  Packets are translated only where the
 *   ruleset of this network namespace has a NAT chain.
 * - CTA_STATUS must have CONFIRMED, and can add but never clear SEEN_REPLY and
 *   ASSURED (EBUSY).  An update must not have CTA_NAT_* (EOPNOTSUPP).
 * - A lookup by the original tuple finds an entry by its reply tuple, too: who
 *   was found is told by the entry's own original tuple.
 * - An expired entry that was not collected yet and has the reply tuple that
 *   another one wants makes EEXIST, but is not found.
 * - An event bears the port of the socket that caused it: a filter on the
 *   event socket drops those of our own operations, which halves their cost.
 * - A part of a dump is made when the part before it is read.
 *
 * The messages are laid out and taken apart by hand, for speed: libmnl opens
 * the sockets.
 */
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/monotime.h"
#include "../../common/os/netlink.h"
#include "ctattr.h"
#include "statetbl.h"

#define RCVBUF_EVENTS	(128 * 1024 * 1024)
#define RCVBUF_OPS	(4 * 1024 * 1024)
#define BATCH		128		/* operations of one system call */
#define MSG_LARGEST	512		/* IPv6, translated both ways: 380 */
#define RX_MSGS		64		/* datagrams of one recvmmsg(2) */
/* An odd number of cache lines, or all of them would share a few sets. */
#define RX_LEN		(31 * 64)
#define DUMP_LEN	65536		/* parts have 32 KiB at most */
#define ROUNDS		10		/* steps of one operation, at most */
#define MARKS		65536		/* bits of a set of marks */

#define CT_MSG(m)	((NFNL_SUBSYS_CTNETLINK << 8) | (m))

_Static_assert(sizeof(struct statetbl_event) == 112, "crosses processes");
_Static_assert(sizeof(struct statetbl_op) == 112, "crosses processes");
_Static_assert(sizeof(struct statetbl_result) == 208, "crosses processes");

/* Buffers for recvmmsg(2). */
struct rx {
	struct mmsghdr	 msg[RX_MSGS];
	struct iovec	 iov[RX_MSGS];
	_Alignas(64) uint8_t buf[RX_MSGS][RX_LEN];
};

/*
 * A set of flows that errs on one side only: who is in it is found, and now
 * and then somebody who is not.
 */
struct marks {
	uint64_t	 word[MARKS / 64];
	bool		 any;
};

/* What an operation does next. */
enum step {
	STEP_CREATE,		/* exclusively */
	STEP_UPDATE,
	STEP_UPDATE_BARE,	/* without status */
	STEP_LIBERAL,
	STEP_GET,		/* by its original tuple */
	STEP_GET_REPLY,		/* who has its reply tuple? */
	STEP_REMOVE,
	STEP_RECREATE,		/* remove and create: two messages */
	STEP_DONE
};

/* An operation under way. */
struct work {
	const struct statetbl_op *op;
	enum step	 step;
	unsigned int	 rounds;
	uint32_t	 ctid;		/* REMOVE, RECREATE: only this one */
	int		 err[2];	/* of its messages; 0: no word of it */
	bool		 got;		/* GET: found is set */
	uint32_t	 found_id;
	struct flow	 found;
};

struct statetbl {
	struct statetbl_cbs cbs;
	struct mnl_socket *ev, *dumps, *ops;
	uint32_t	 portid;	/* of ops */
	uint32_t	 seq;
	bool		 overran;	/* and has not been told yet */
	bool		 watch_new;
	struct statetbl_stats stats;

	uint32_t	 dump;		/* running, or 0 */
	uint32_t	 dump_seq;
	enum statetbl_what dump_what;
	bool		 dump_broken;
	uint32_t	 part_made;	/* ms: the part that is read next */
	uint32_t	 part_now;	/* ms: the part that was read last */

	/* Flows touched since the kernel made the next part of the dump. */
	struct marks	 touched;
	/* Flows we wrote since the last time no event was waiting. */
	struct marks	 written;
	/*
	 * Flows whose insertion clashed: to remove one by its tuple could
	 * remove the other.  The older half is forgotten in time.
	 */
	struct marks	 clashed[2];
	unsigned int	 nclashed;

	struct work	 work[BATCH];
	struct rx	 rx_ev, rx_ops;
	_Alignas(64) uint8_t tx[BATCH * 2 * MSG_LARGEST];
	_Alignas(64) uint8_t part[DUMP_LEN];
};

/* -- marks -- */

static inline uint64_t
load64(const void *p)
{
	uint64_t	 v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return (h ^ h >> 29);
}

/* Not keyed: who makes flows collide makes us ask the kernel more often. */
static inline unsigned int
mark_of(const struct flow *f)
{
	uint64_t	 h;

	h = mix((uint64_t)f->zone << 8 | f->proto,
	    (uint64_t)f->orig.sport << 16 | f->orig.dport);
	h = mix(h, load64(f->orig.src));
	h = mix(h, load64(f->orig.dst));
	if (f->af == 6) {
		h = mix(h, load64(f->orig.src + 8));
		h = mix(h, load64(f->orig.dst + 8));
	}
	return ((unsigned int)(h >> 48) % MARKS);
}

static inline void
marks_add(struct marks *m, unsigned int mark)
{
	m->word[mark / 64] |= UINT64_C(1) << mark % 64;
	m->any = true;
}

static inline bool
marks_has(const struct marks *m, unsigned int mark)
{
	return (m->any && (m->word[mark / 64] >> mark % 64 & 1) != 0);
}

static inline void
marks_clear(struct marks *m)
{
	if (m->any)
		memset(m, 0, sizeof(*m));
}

/* -- building messages -- */

static inline uint8_t *
put_attr(uint8_t *p, uint16_t type, const void *data, size_t len)
{
	const struct nlattr	 a = { (uint16_t)(NLA_HDRLEN + len), type };

	memcpy(p, &a, sizeof(a));
	memcpy(p + NLA_HDRLEN, data, len);
	return (p + NLA_HDRLEN + len);
}

static inline uint8_t *
put_be32(uint8_t *p, uint16_t type, uint32_t v)
{
	v = htonl(v);
	return (put_attr(p, type, &v, sizeof(v)));
}

/* Attributes of one and two bytes, and the zeros behind them. */
static inline uint8_t *
put_short(uint8_t *p, uint16_t type, uint8_t b0, uint8_t b1, uint16_t len)
{
	const uint8_t		 data[4] = { b0, b1, 0, 0 };
	const struct nlattr	 a = { (uint16_t)(NLA_HDRLEN + len), type };

	memcpy(p, &a, sizeof(a));
	memcpy(p + NLA_HDRLEN, data, sizeof(data));
	return (p + NLA_HDRLEN + sizeof(data));
}

static inline uint8_t *
put_u8(uint8_t *p, uint16_t type, uint8_t v)
{
	return (put_short(p, type, v, 0, 1));
}

static inline uint8_t *
put_be16(uint8_t *p, uint16_t type, uint16_t v)
{
	return (put_short(p, type, (uint8_t)(v >> 8), (uint8_t)v, 2));
}

/* The attributes from p + NLA_HDRLEN to end are one of that type. */
static inline uint8_t *
put_nest(uint8_t *p, uint16_t type, uint8_t *end)
{
	const struct nlattr	 a = { (uint16_t)(end - p),
	    type | NLA_F_NESTED };

	memcpy(p, &a, sizeof(a));
	return (end);
}

static inline uint8_t *
put_begin(uint8_t *p, uint16_t msg, uint16_t flags, uint32_t seq, uint8_t af)
{
	const struct nlmsghdr	 h = { 0, CT_MSG(msg), NLM_F_REQUEST | flags,
	    seq, 0 };
	const struct nfgenmsg	 g = { af, NFNETLINK_V0, 0 };

	memcpy(p, &h, sizeof(h));
	memcpy(p + NLMSG_HDRLEN, &g, sizeof(g));
	return (p + NLMSG_HDRLEN + sizeof(g));
}

static inline uint8_t *
put_end(uint8_t *msg, uint8_t *end)
{
	const uint32_t	 len = (uint32_t)(end - msg);

	memcpy(msg, &len, sizeof(len));
	return (end);
}

static inline uint8_t
family(const struct flow *f)
{
	return (f->af == 4 ? AF_INET : AF_INET6);
}

static inline bool
has_ports(uint8_t proto)
{
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP ||
	    proto == IPPROTO_SCTP || proto == IPPROTO_UDPLITE);
}

static inline bool
is_icmp(uint8_t proto)
{
	return (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6);
}

static uint8_t *
put_proto(uint8_t *p, uint8_t proto, const struct flow_tuple *t)
{
	const bool	 v6 = proto == IPPROTO_ICMPV6;
	uint8_t		*q;

	q = put_u8(p + NLA_HDRLEN, CTA_PROTO_NUM, proto);
	if (has_ports(proto)) {
		q = put_be16(q, CTA_PROTO_SRC_PORT, t->sport);
		q = put_be16(q, CTA_PROTO_DST_PORT, t->dport);
	} else if (is_icmp(proto)) {
		q = put_be16(q, v6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID,
		    t->sport);
		q = put_u8(q, v6 ? CTA_PROTO_ICMPV6_TYPE :
		    CTA_PROTO_ICMP_TYPE, (uint8_t)(t->dport >> 8));
		q = put_u8(q, v6 ? CTA_PROTO_ICMPV6_CODE :
		    CTA_PROTO_ICMP_CODE, (uint8_t)t->dport);
	}
	return (put_nest(p, CTA_TUPLE_PROTO, q));
}

static uint8_t *
put_tuple(uint8_t *p, uint16_t type, const struct flow *f,
    const struct flow_tuple *t)
{
	uint8_t	*ip = p + NLA_HDRLEN, *q = ip + NLA_HDRLEN;

	if (f->af == 4) {
		q = put_attr(q, CTA_IP_V4_SRC, t->src, 4);
		q = put_attr(q, CTA_IP_V4_DST, t->dst, 4);
	} else {
		q = put_attr(q, CTA_IP_V6_SRC, t->src, 16);
		q = put_attr(q, CTA_IP_V6_DST, t->dst, 16);
	}
	q = put_nest(ip, CTA_TUPLE_IP, q);
	return (put_nest(p, type, put_proto(q, f->proto, t)));
}

static uint8_t *
put_zone(uint8_t *p, const struct flow *f)
{
	return (f->zone == 0 ? p : put_be16(p, CTA_ZONE, f->zone));
}

/*
 * Exactly this address and port, or the kernel picks a free one.  ports: of
 * ICMP, the identifier, which is one for both directions.
 */
static uint8_t *
put_nat(uint8_t *p, uint16_t type, const struct flow *f, const uint8_t *addr,
    bool ports, uint16_t port)
{
	uint8_t	*q = p + NLA_HDRLEN, *proto;

	if (f->af == 4) {
		q = put_attr(q, CTA_NAT_V4_MINIP, addr, 4);
		q = put_attr(q, CTA_NAT_V4_MAXIP, addr, 4);
	} else {
		q = put_attr(q, CTA_NAT_V6_MINIP, addr, 16);
		q = put_attr(q, CTA_NAT_V6_MAXIP, addr, 16);
	}
	if (ports) {
		proto = q;
		q = put_be16(q + NLA_HDRLEN, CTA_PROTONAT_PORT_MIN, port);
		q = put_be16(q, CTA_PROTONAT_PORT_MAX, port);
		q = put_nest(proto, CTA_NAT_PROTO, q);
	}
	return (put_nest(p, type, q));
}

/* The kernel does the destination first, so that one keeps ICMP's id. */
static uint8_t *
put_nats(uint8_t *p, const struct flow *f, unsigned int nat)
{
	const bool	 icmp = is_icmp(f->proto);
	const bool	 ports = icmp || has_ports(f->proto);

	if (nat & FLOW_DNAT)
		p = put_nat(p, CTA_NAT_DST, f, f->reply.src, ports,
		    icmp && nat & FLOW_SNAT ? f->orig.sport : f->reply.sport);
	if (nat & FLOW_SNAT)
		p = put_nat(p, CTA_NAT_SRC, f, f->reply.dst, ports,
		    icmp ? f->reply.sport : f->reply.dport);
	return (p);
}

static uint8_t *
put_tcp(uint8_t *p, const struct flow *f, bool liberal)
{
	const uint8_t	 mask = FLOW_TCPF_SYNC |
	    (liberal ? FLOW_TCPF_LIBERAL : 0);
	const uint8_t	 more = liberal ? FLOW_TCPF_LIBERAL : 0;
	uint8_t		*tcp = p + NLA_HDRLEN, *q = tcp + NLA_HDRLEN;

	if (f->tcp_state != FLOW_TCP_NONE)
		q = put_u8(q, CTA_PROTOINFO_TCP_STATE, f->tcp_state);
	q = put_short(q, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL,
	    (f->tcp_flags[0] & FLOW_TCPF_SYNC) | more, mask, 2);
	q = put_short(q, CTA_PROTOINFO_TCP_FLAGS_REPLY,
	    (f->tcp_flags[1] & FLOW_TCPF_SYNC) | more, mask, 2);
	if (f->tcp_flags[0] & f->tcp_flags[1] & FLOW_TCPF_WSCALE) {
		q = put_u8(q, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL,
		    f->wscale[0]);
		q = put_u8(q, CTA_PROTOINFO_TCP_WSCALE_REPLY, f->wscale[1]);
	}
	q = put_nest(tcp, CTA_PROTOINFO_TCP, q);
	return (put_nest(p, CTA_PROTOINFO, q));
}

static uint8_t *
put_create(uint8_t *msg, uint32_t seq, const struct statetbl_op *op)
{
	const struct flow	*f = &op->f;
	struct flow_tuple	 plain;
	unsigned int		 nat = flow_nat(f);
	uint8_t			*p;

	p = put_begin(msg, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, seq,
	    family(f));
	p = put_tuple(p, CTA_TUPLE_ORIG, f, &f->orig);
	if (nat == 0) {
		p = put_tuple(p, CTA_TUPLE_REPLY, f, &f->reply);
	} else {
		flow_invert(&f->orig, f->proto, &plain);
		p = put_tuple(p, CTA_TUPLE_REPLY, f, &plain);
		p = put_nats(p, f, nat);
	}
	p = put_be32(p, CTA_STATUS, f->status | IPS_CONFIRMED);
	p = put_be32(p, CTA_TIMEOUT, f->timeout);
	if (f->proto == IPPROTO_TCP)
		p = put_tcp(p, f, (op->flags & STATETBL_OP_LIBERAL) != 0);
	if (f->mark != 0)
		p = put_be32(p, CTA_MARK, f->mark);
	return (put_end(msg, put_zone(p, f)));
}

/* TOUCH: only the timeout.  Status bits can be set, not cleared. */
static uint8_t *
put_update(uint8_t *msg, uint32_t seq, const struct statetbl_op *op,
    bool status)
{
	const struct flow	*f = &op->f;
	uint8_t			*p;

	p = put_begin(msg, IPCTNL_MSG_CT_NEW, 0, seq, family(f));
	p = put_tuple(p, CTA_TUPLE_ORIG, f, &f->orig);
	p = put_be32(p, CTA_TIMEOUT, f->timeout);
	if (op->type != STATETBL_TOUCH) {
		if (status && f->status != 0)
			p = put_be32(p, CTA_STATUS,
			    f->status | IPS_CONFIRMED);
		if (f->proto == IPPROTO_TCP)
			p = put_tcp(p, f,
			    (op->flags & STATETBL_OP_LIBERAL) != 0);
		p = put_be32(p, CTA_MARK, f->mark);
	}
	return (put_end(msg, put_zone(p, f)));
}

static uint8_t *
put_liberal(uint8_t *msg, uint32_t seq, const struct flow *f)
{
	uint8_t	*p, *info, *tcp, *q;

	p = put_begin(msg, IPCTNL_MSG_CT_NEW, 0, seq, family(f));
	info = put_tuple(p, CTA_TUPLE_ORIG, f, &f->orig);
	tcp = info + NLA_HDRLEN;
	q = put_short(tcp + NLA_HDRLEN, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL,
	    FLOW_TCPF_LIBERAL, FLOW_TCPF_LIBERAL, 2);
	q = put_short(q, CTA_PROTOINFO_TCP_FLAGS_REPLY,
	    FLOW_TCPF_LIBERAL, FLOW_TCPF_LIBERAL, 2);
	q = put_nest(tcp, CTA_PROTOINFO_TCP, q);
	q = put_nest(info, CTA_PROTOINFO, q);
	return (put_end(msg, put_zone(q, f)));
}

static uint8_t *
put_remove(uint8_t *msg, uint32_t seq, const struct flow *f, uint32_t ctid)
{
	uint8_t	*p;

	p = put_begin(msg, IPCTNL_MSG_CT_DELETE, 0, seq, family(f));
	p = put_tuple(p, CTA_TUPLE_ORIG, f, &f->orig);
	if (ctid != 0)
		p = put_be32(p, CTA_ID, ctid);
	return (put_end(msg, put_zone(p, f)));
}

static uint8_t *
put_get(uint8_t *msg, uint32_t seq, const struct flow *f, bool reply)
{
	uint8_t	*p;

	p = put_begin(msg, IPCTNL_MSG_CT_GET, 0, seq, family(f));
	p = put_tuple(p, reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG, f,
	    reply ? &f->reply : &f->orig);
	return (put_end(msg, put_zone(p, f)));
}

/* -- reading messages -- */

/* Attributes of an entry, of len bytes at most (a datagram may be cut). */
static struct ctattr_span
payload(const struct nlmsghdr *h, size_t len)
{
	const size_t	 head = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	struct ctattr_span	 s = { (const uint8_t *)h + head, 0 };

	if (h->nlmsg_len < len)
		len = h->nlmsg_len;
	if (len > head)
		s.left = len - head;
	return (s);
}

/* An entry.  false: we cannot express it. */
static bool
get_entry(const struct nlmsghdr *h, size_t len, struct flow *f, uint32_t *ctid)
{
	return (ctattr_flow(payload(h, len),
	    *((const uint8_t *)h + NLMSG_HDRLEN), f, ctid));
}

/* The error number in an answer. */
static int
get_error(const struct nlmsghdr *h, size_t len)
{
	int	 error;

	if (len < NLMSG_HDRLEN + sizeof(error))
		return (EPROTO);
	memcpy(&error, (const uint8_t *)h + NLMSG_HDRLEN, sizeof(error));
	return (netlink_errno(error));
}

/* -- sockets -- */

static void
rx_init(struct rx *r)
{
	size_t	 i;

	for (i = 0; i < RX_MSGS; i++) {
		r->iov[i].iov_base = r->buf[i];
		r->iov[i].iov_len = RX_LEN;
		r->msg[i].msg_hdr.msg_iov = &r->iov[i];
		r->msg[i].msg_hdr.msg_iovlen = 1;
	}
}

static struct mnl_socket *
open_socket(size_t rcvbuf)
{
	struct mnl_socket	*s;
	int			 fd, on = 1, saved;
	int			 size = rcvbuf > INT_MAX / 2 ? INT_MAX / 2 :
	    (int)rcvbuf;

	if ((s = mnl_socket_open2(NETLINK_NETFILTER,
	    SOCK_CLOEXEC | SOCK_NONBLOCK)) == NULL)
		return (NULL);
	fd = mnl_socket_get_fd(s);
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == -1 ||
	    (size > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)) {
		saved = errno;
		mnl_socket_close(s);
		errno = saved;
		return (NULL);
	}
	/* short error messages; kernels without send long ones */
	(void)mnl_socket_setsockopt(s, NETLINK_CAP_ACK, &on, sizeof(on));
	return (s);
}

/* Events that our own operations cause are dropped before they are queued. */
static int
drop_own(int fd, uint32_t portid)
{
	struct sock_filter	 code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(portid), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)
	};
	struct sock_fprog	 prog = {
		sizeof(code) / sizeof(code[0]), code
	};

	return (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)));
}

static int
membership(struct statetbl *t, int what, int group)
{
	return (mnl_socket_setsockopt(t->ev, what, &group, sizeof(group)));
}

static int	 count_entries(struct statetbl *);

static int
open_sockets(struct statetbl *t, size_t rcvbuf)
{
	if ((t->ops = open_socket(RCVBUF_OPS)) == NULL ||
	    (t->dumps = open_socket(0)) == NULL ||
	    (t->ev = open_socket(rcvbuf == 0 ? RCVBUF_EVENTS :
	    rcvbuf)) == NULL)
		return (-1);
	t->portid = mnl_socket_get_portid(t->ops);
	if (drop_own(mnl_socket_get_fd(t->ev), t->portid) == -1 ||
	    membership(t, NETLINK_ADD_MEMBERSHIP,
	    NFNLGRP_CONNTRACK_NEW) == -1 ||
	    membership(t, NETLINK_ADD_MEMBERSHIP,
	    NFNLGRP_CONNTRACK_UPDATE) == -1 ||
	    membership(t, NETLINK_ADD_MEMBERSHIP,
	    NFNLGRP_CONNTRACK_DESTROY) == -1)
		return (-1);
	/* the first request loads what is a module */
	return (count_entries(t));
}

struct statetbl *
statetbl_open(size_t rcvbuf, const struct statetbl_cbs *cbs)
{
	struct statetbl	*t;
	int		 saved;

	t = aligned_alloc(64, (sizeof(*t) + 63) & ~(size_t)63);
	if (t == NULL)
		return (NULL);
	memset(t, 0, sizeof(*t));
	t->cbs = *cbs;
	t->watch_new = true;
	rx_init(&t->rx_ev);
	rx_init(&t->rx_ops);
	if (open_sockets(t, rcvbuf) == -1) {
		saved = errno;
		statetbl_close(t);
		errno = saved;
		return (NULL);
	}
	return (t);
}

void
statetbl_close(struct statetbl *t)
{
	if (t == NULL)
		return;
	if (t->ev != NULL)
		mnl_socket_close(t->ev);
	if (t->dumps != NULL)
		mnl_socket_close(t->dumps);
	if (t->ops != NULL)
		mnl_socket_close(t->ops);
	free(t);
}

int
statetbl_event_fd(const struct statetbl *t)
{
	return (mnl_socket_get_fd(t->ev));
}

int
statetbl_dump_fd(const struct statetbl *t)
{
	return (mnl_socket_get_fd(t->dumps));
}

void
statetbl_watch_new(struct statetbl *t, bool on)
{
	if (t->watch_new != on && membership(t, on ? NETLINK_ADD_MEMBERSHIP :
	    NETLINK_DROP_MEMBERSHIP, NFNLGRP_CONNTRACK_NEW) == 0)
		t->watch_new = on;
}

/* -- requests on the operations' socket -- */

typedef void (*answer_cb)(struct statetbl *t, uint32_t off,
    const struct nlmsghdr *h, size_t len, void *arg);

static int
send_requests(const struct statetbl *t, const uint8_t *end)
{
	static const struct sockaddr_nl	 kernel = { .nl_family = AF_NETLINK };
	const size_t			 len = (size_t)(end - t->tx);
	ssize_t				 n;

	do {
		n = sendto(mnl_socket_get_fd(t->ops), t->tx, len, 0,
		    (const struct sockaddr *)&kernel, sizeof(kernel));
	} while (n == -1 && errno == EINTR);
	return (n == -1 ? -1 : 0);
}

/* One datagram has one answer, but look at all that is in it. */
static void
take_answers(struct statetbl *t, size_t i, answer_cb cb, void *arg)
{
	const uint8_t		*p = t->rx_ops.buf[i];
	size_t			 left = t->rx_ops.msg[i].msg_len, len;
	const struct nlmsghdr	*h;

	while (left >= NLMSG_HDRLEN + sizeof(struct nfgenmsg)) {
		h = (const struct nlmsghdr *)(const void *)p;
		len = NLMSG_ALIGN(h->nlmsg_len);
		cb(t, h->nlmsg_seq - t->seq, h, left, arg);
		if (len < NLMSG_HDRLEN || len >= left)
			return;
		p += len;
		left -= len;
	}
}

/*
 * All answers are queued when the request has been sent.  cb gets how far
 * behind the present sequence number each is.  -1: some may be lost.
 */
static int
read_answers(struct statetbl *t, answer_cb cb, void *arg)
{
	int	 i, n, rv = 0;

	for (;;) {
		n = recvmmsg(mnl_socket_get_fd(t->ops), t->rx_ops.msg, RX_MSGS,
		    MSG_DONTWAIT, NULL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == ENOBUFS) {
			rv = -1;
			continue;
		}
		for (i = 0; i < n; i++)
			take_answers(t, (size_t)i, cb, arg);
		if (n < RX_MSGS)
			return (rv);
	}
}

struct query {
	int		 err;		/* ENOENT until answered */
	struct flow	 f;
	uint32_t	 ctid;
};

static void
query_answer(struct statetbl *t, uint32_t off, const struct nlmsghdr *h,
    size_t len, void *arg)
{
	struct query	*q = arg;

	(void)t;
	if (off == 0 && h->nlmsg_type == CT_MSG(IPCTNL_MSG_CT_NEW))
		q->err = get_entry(h, len, &q->f, &q->ctid) ? 0 :
		    EPROTONOSUPPORT;
}

/* What is there now, under this very original tuple?  false: nothing. */
static bool
query(struct statetbl *t, const struct flow *f, struct flow *found,
    uint32_t *ctid)
{
	struct query	 q = { .err = ENOENT };

	t->seq++;
	if (send_requests(t, put_get(t->tx, t->seq, f, false)) == -1)
		return (false);
	(void)read_answers(t, query_answer, &q);
	if (q.err != 0 || !flow_same(&q.f, f))
		return (false);
	*found = q.f;
	*ctid = q.ctid;
	return (true);
}

static void
count_answer(struct statetbl *t, uint32_t off, const struct nlmsghdr *h,
    size_t len, void *arg)
{
	struct ctattr_span	 s = payload(h, len);
	struct ctattr	 a;
	int		*err = arg;

	if (off != 0)
		return;
	*err = h->nlmsg_type == NLMSG_ERROR ? get_error(h, len) : 0;
	if (h->nlmsg_type != CT_MSG(IPCTNL_MSG_CT_GET_STATS))
		return;
	while (ctattr_next(&s, &a)) {
		if (a.type == CTA_STATS_GLOBAL_ENTRIES)
			t->stats.count = ctattr_be32(&a);
		else if (a.type == CTA_STATS_GLOBAL_MAX_ENTRIES)
			t->stats.max = ctattr_be32(&a);
	}
}

/* How full the kernel's table is. -1 and errno: it has none. */
static int
count_entries(struct statetbl *t)
{
	uint8_t	*p;
	int	 err = EOPNOTSUPP;

	t->stats.count = t->stats.max = 0;
	t->seq++;
	p = put_begin(t->tx, IPCTNL_MSG_CT_GET_STATS, 0, t->seq, AF_UNSPEC);
	if (send_requests(t, put_end(t->tx, p)) == -1)
		return (-1);
	(void)read_answers(t, count_answer, &err);
	if (err != 0) {
		errno = err;
		return (-1);
	}
	return (0);
}

void
statetbl_stats(struct statetbl *t, struct statetbl_stats *s)
{
	(void)count_entries(t);
	*s = t->stats;
}

/* -- events -- */

static uint32_t
now_ms(void)
{
	return ((uint32_t)(monotime_now().ns / MONOTIME_MSEC));
}

static void
report(struct statetbl *t, enum statetbl_ev type, const struct flow *f,
    uint32_t ctid, uint32_t dump, uint8_t flags)
{
	struct statetbl_event	 e;

	memset(&e, 0, sizeof(e));
	e.f = *f;
	if (type != STATETBL_DESTROY && e.f.timeout == 0)
		e.f.timeout = 1;	/* the kernel rounds down */
	e.ctid = ctid;
	e.dump = dump;
	e.type = (uint8_t)type;
	e.flags = flags;
	if (type == STATETBL_DUMP)
		e.made = dump != 0 ? t->part_now : now_ms();
	t->cbs.event(&e, t->cbs.arg);
}

static enum statetbl_ev
event_type(const struct nlmsghdr *h)
{
	if (h->nlmsg_type == CT_MSG(IPCTNL_MSG_CT_DELETE))
		return (STATETBL_DESTROY);
	if (h->nlmsg_type != CT_MSG(IPCTNL_MSG_CT_NEW))
		return (STATETBL_EV_MAX);
	return (h->nlmsg_flags & NLM_F_CREATE ? STATETBL_NEW :
	    STATETBL_UPDATE);
}

/*
 * The end of an entry that one of our operations has made anew since is no
 * news any more: the event was waiting here meanwhile.
 */
static bool
outdated(struct statetbl *t, const struct flow *f, unsigned int mark)
{
	struct flow	 now;
	uint32_t	 ctid;

	return (marks_has(&t->written, mark) && query(t, f, &now, &ctid));
}

static void
take_event(struct statetbl *t, const struct nlmsghdr *h, size_t len)
{
	enum statetbl_ev	 type;
	struct flow		 f;
	uint32_t		 ctid;
	unsigned int		 mark;

	if (len < NLMSG_HDRLEN + sizeof(struct nfgenmsg) ||
	    (type = event_type(h)) == STATETBL_EV_MAX ||
	    h->nlmsg_pid == t->portid)
		return;
	t->stats.events++;
	if (!get_entry(h, len, &f, &ctid)) {
		t->stats.unsupported++;
		return;
	}
	if (t->dump != 0 || t->written.any) {
		mark = mark_of(&f);
		if (t->dump != 0)
			marks_add(&t->touched, mark);
		if (type == STATETBL_DESTROY && outdated(t, &f, mark))
			return;
	}
	report(t, type, &f, ctid, 0,
	    h->nlmsg_pid != 0 ? STATETBL_EV_FOREIGN : 0);
}

/* Nothing is waiting. */
static void
drained(struct statetbl *t)
{
	marks_clear(&t->written);
	if (!t->overran)
		return;
	t->overran = false;
	t->cbs.overrun(t->cbs.arg);
}

/*
 * Once the buffer has overrun the kernel queues nothing until it is empty, so
 * a dump makes sense only then.
 */
static void
lost(struct statetbl *t)
{
	t->stats.overruns++;
	t->overran = true;
	t->dump_broken = true;
}

size_t
statetbl_read(struct statetbl *t, size_t max)
{
	size_t	 done = 0;
	int	 i, n, want;

	while (done < max) {
		want = max - done < RX_MSGS ? (int)(max - done) : RX_MSGS;
		n = recvmmsg(mnl_socket_get_fd(t->ev), t->rx_ev.msg,
		    (unsigned int)want, MSG_DONTWAIT, NULL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == ENOBUFS) {
			lost(t);
			continue;
		}
		for (i = 0; i < n; i++)
			take_event(t, (const void *)t->rx_ev.buf[i],
			    t->rx_ev.msg[i].msg_len);
		done += n > 0 ? (size_t)n : 0;
		if (n < want) {
			drained(t);
			break;
		}
	}
	return (done);
}

/* -- dumps -- */

/*
 * The kernel can filter by one protocol, not by all but one; and a dump of
 * nearly nothing walks the whole table in one system call, 0.4 s for a million
 * entries.  So all are dumped, and TCP is passed over here.
 */
int
statetbl_dump(struct statetbl *t, uint32_t dump, enum statetbl_what what)
{
	uint8_t	 buf[64], *p;

	if (dump == 0 || t->dump != 0) {
		errno = dump == 0 ? EINVAL : EBUSY;
		return (-1);
	}
	p = put_begin(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, ++t->dump_seq,
	    AF_UNSPEC);
	p = put_end(buf, p);
	marks_clear(&t->touched);
	t->part_made = now_ms();
	if (mnl_socket_sendto(t->dumps, buf, (size_t)(p - buf)) == -1)
		return (-1);
	t->dump = dump;
	t->dump_what = what;
	t->dump_broken = t->overran;
	return (0);
}

static void
dump_end(struct statetbl *t, bool complete)
{
	uint32_t	 dump = t->dump;

	t->dump = 0;
	marks_clear(&t->touched);
	t->cbs.dumped(dump, complete && !t->dump_broken, t->cbs.arg);
}

/*
 * The part is as old as the last read.  What was touched since by an event
 * that we read, or by an operation, is asked for again: it may be gone.
 */
static void
take_dumped(struct statetbl *t, const struct nlmsghdr *h, size_t len)
{
	struct flow	 f;
	uint32_t	 ctid;

	if (t->dump_what == STATETBL_NOT_TCP &&
	    ctattr_proto(payload(h, len)) == IPPROTO_TCP)
		return;
	if (!get_entry(h, len, &f, &ctid)) {
		t->stats.unsupported++;
		return;
	}
	if (t->touched.any && marks_has(&t->touched, mark_of(&f)) &&
	    !query(t, &f, &f, &ctid))
		return;
	report(t, STATETBL_DUMP, &f, ctid, t->dump, 0);
}

static void
take_dump_message(struct statetbl *t, const struct nlmsghdr *h, size_t len)
{
	if (t->dump == 0 || h->nlmsg_seq != t->dump_seq)
		return;			/* of a dump given up */
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		t->dump_broken = true;
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
		dump_end(t, h->nlmsg_type == NLMSG_DONE &&
		    get_error(h, len) == 0);
	else if (h->nlmsg_type == CT_MSG(IPCTNL_MSG_CT_NEW) &&
	    len >= NLMSG_HDRLEN + sizeof(struct nfgenmsg))
		take_dumped(t, h, len);
}

/*
 * After an error the kernel goes on with a dump only when something else has
 * been read, as the refusal of the next one is.
 */
void
statetbl_dump_read(struct statetbl *t)
{
	const struct nlmsghdr	*h = (const void *)t->part;
	ssize_t			 n;
	int			 left;

	n = recv(mnl_socket_get_fd(t->dumps), t->part, sizeof(t->part),
	    MSG_DONTWAIT | MSG_TRUNC);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR && t->dump != 0)
			dump_end(t, false);
		return;
	}
	/* this receipt made the kernel make the next part */
	t->part_now = t->part_made;
	t->part_made = now_ms();
	left = (int)n;
	if (n > (ssize_t)sizeof(t->part)) {
		t->dump_broken = true;
		left = (int)sizeof(t->part);
	}
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		take_dump_message(t, h, h->nlmsg_len);
	marks_clear(&t->touched);
}

/* -- operations -- */

static enum step
first_step(const struct statetbl *t, const struct statetbl_op *op)
{
	unsigned int	 mark;

	switch ((enum statetbl_op_type)op->type) {
	case STATETBL_PUT:
	case STATETBL_REPLACE:
		return (STEP_CREATE);
	case STATETBL_SET:
	case STATETBL_TOUCH:
		return (STEP_UPDATE);
	case STATETBL_LIBERAL:
		return (STEP_LIBERAL);
	case STATETBL_DELETE:
		if (op->ctid != 0)
			return (STEP_REMOVE);
		mark = mark_of(&op->f);
		return (marks_has(&t->clashed[0], mark) ||
		    marks_has(&t->clashed[1], mark) ? STEP_GET : STEP_REMOVE);
	case STATETBL_DELETE_IDLE:
	case STATETBL_VERIFY:
		return (STEP_GET);
	case STATETBL_OP_MAX:
		break;
	}
	return (STEP_DONE);
}

static uint8_t *
put_step(uint8_t *p, const struct work *w, uint32_t seq)
{
	const struct statetbl_op	*op = w->op;

	switch (w->step) {
	case STEP_CREATE:
		return (put_create(p, seq, op));
	case STEP_UPDATE:
		return (put_update(p, seq, op, true));
	case STEP_UPDATE_BARE:
		return (put_update(p, seq, op, false));
	case STEP_LIBERAL:
		return (put_liberal(p, seq, &op->f));
	case STEP_GET:
		return (put_get(p, seq, &op->f, false));
	case STEP_GET_REPLY:
		return (put_get(p, seq, &op->f, true));
	case STEP_REMOVE:
		return (put_remove(p, seq, &op->f, w->ctid));
	case STEP_RECREATE:
		p = put_remove(p, seq + 1, &op->f, w->ctid);
		return (put_create(p, seq, op));
	case STEP_DONE:
		break;
	}
	return (p);
}

/* Messages of operation i have the numbers 2i (and 2i + 1). */
static void
op_answer(struct statetbl *t, uint32_t off, const struct nlmsghdr *h,
    size_t len, void *arg)
{
	struct work	*w;

	(void)arg;
	if (off >= 2 * BATCH)
		return;			/* of a request given up */
	w = &t->work[off / 2];
	if (h->nlmsg_type == NLMSG_ERROR)
		w->err[off % 2] = get_error(h, len);
	else if (h->nlmsg_type == CT_MSG(IPCTNL_MSG_CT_NEW)) {
		w->got = true;
		if (!get_entry(h, len, &w->found, &w->found_id))
			w->err[0] = EPROTONOSUPPORT;
	}
}

static void
finish(struct work *w, uint64_t *counter)
{
	w->step = STEP_DONE;
	if (counter != NULL)
		(*counter)++;
}

static void
fail(struct statetbl *t, struct work *w, enum statetbl_error error, int err)
{
	struct statetbl_result	 r;

	memset(&r, 0, sizeof(r));
	r.f = w->op->f;
	r.cookie = w->op->cookie;
	r.err = err;
	r.error = (uint8_t)error;
	r.type = w->op->type;
	if (error == STATETBL_CLASH)
		r.other = w->found;
	finish(w, &t->stats.failed);
	t->cbs.result(&r, t->cbs.arg);
}

static void
clash(struct statetbl *t, struct work *w)
{
	if (++t->nclashed % 4096 == 0) {
		t->clashed[1] = t->clashed[0];
		marks_clear(&t->clashed[0]);
	}
	marks_add(&t->clashed[0], mark_of(&w->op->f));
	fail(t, w, STATETBL_CLASH, EEXIST);
}

static void
refused(struct statetbl *t, struct work *w, int err)
{
	fail(t, w, err == ENOMEM || err == ENOSPC || err == ENFILE ||
	    err == ENOBUFS ? STATETBL_FULL : STATETBL_REFUSED, err);
}

static void
after_create(struct statetbl *t, struct work *w)
{
	if (w->err[0] == 0)
		finish(w, &t->stats.inserts);
	else if (w->err[0] == EEXIST)
		w->step = STEP_GET;
	else
		refused(t, w, w->err[0]);
}

static void
after_update(struct statetbl *t, struct work *w)
{
	switch (w->err[0]) {
	case 0:
		finish(w, &t->stats.updates);
		return;
	case ENOENT:
	case ETIME:		/* it is dying */
		w->step = STEP_CREATE;
		return;
	case EBUSY:		/* it has more status bits than we know */
		if (w->step == STEP_UPDATE) {
			w->step = STEP_UPDATE_BARE;
			return;
		}
		break;
	}
	refused(t, w, w->err[0]);
}

/* The entry is there. */
static void
after_found(struct statetbl *t, struct work *w)
{
	const struct statetbl_op	*op = w->op;

	w->ctid = w->found_id;
	switch ((enum statetbl_op_type)op->type) {
	case STATETBL_PUT:
	case STATETBL_SET:
	case STATETBL_TOUCH:
		w->step = memcmp(&w->found.reply, &op->f.reply,
		    sizeof(op->f.reply)) == 0 ? STEP_UPDATE : STEP_RECREATE;
		return;
	case STATETBL_REPLACE:
		w->step = STEP_RECREATE;
		return;
	case STATETBL_DELETE_IDLE:
		if (w->found.timeout <= op->f.timeout) {
			w->step = STEP_REMOVE;
			return;
		}
		/* FALLTHROUGH */
	case STATETBL_VERIFY:
		report(t, STATETBL_DUMP, &w->found, w->found_id, 0, 0);
		finish(w, NULL);
		return;
	default:
		w->step = STEP_REMOVE;
		return;
	}
}

/* It is not there; other: found has its original tuple as reply. */
static void
after_missed(struct statetbl *t, struct work *w, bool other)
{
	switch ((enum statetbl_op_type)w->op->type) {
	case STATETBL_VERIFY:
		report(t, STATETBL_DESTROY, &w->op->f, 0, 0, 0);
		/* FALLTHROUGH */
	case STATETBL_DELETE:
	case STATETBL_DELETE_IDLE:
		finish(w, NULL);
		return;
	default:
		break;
	}
	if (other)
		clash(t, w);
	else
		w->step = STEP_GET_REPLY;
}

static void
after_get(struct statetbl *t, struct work *w)
{
	if (w->err[0] == ENOENT)
		after_missed(t, w, false);
	else if (w->err[0] != 0)
		refused(t, w, w->err[0]);
	else if (!w->got)
		refused(t, w, ENOBUFS);
	else if (flow_same(&w->found, &w->op->f))
		after_found(t, w);
	else
		after_missed(t, w, true);
}

/* Nobody has it: what was in the way has expired meanwhile. */
static void
after_get_reply(struct statetbl *t, struct work *w)
{
	if (w->err[0] == ENOENT)
		w->step = STEP_CREATE;
	else if (w->err[0] != 0)
		refused(t, w, w->err[0]);
	else if (!w->got)
		refused(t, w, ENOBUFS);
	else if (flow_same(&w->found, &w->op->f))
		after_found(t, w);
	else
		clash(t, w);
}

static void
advance(struct statetbl *t, struct work *w)
{
	if (++w->rounds > ROUNDS) {
		refused(t, w, w->err[0] != 0 ? w->err[0] : EAGAIN);
		return;
	}
	switch (w->step) {
	case STEP_CREATE:
	case STEP_RECREATE:
		after_create(t, w);
		return;
	case STEP_UPDATE:
	case STEP_UPDATE_BARE:
		after_update(t, w);
		return;
	case STEP_LIBERAL:
	case STEP_REMOVE:
		/* gone is as good as done */
		if (w->err[0] == 0)
			finish(w, w->step == STEP_REMOVE ?
			    &t->stats.deletes : &t->stats.updates);
		else if (w->err[0] == ENOENT || w->err[0] == ETIME)
			finish(w, NULL);
		else
			refused(t, w, w->err[0]);
		return;
	case STEP_GET:
		after_get(t, w);
		return;
	case STEP_GET_REPLY:
		after_get_reply(t, w);
		return;
	case STEP_DONE:
		return;
	}
}

/* Does a later operation of the batch say all about the same flow? */
static bool
superseded(const struct statetbl *t, size_t i, size_t n)
{
	const struct statetbl_op	*op = t->work[i].op, *later;

	for (i++; i < n; i++) {
		later = t->work[i].op;
		if (later->type != STATETBL_TOUCH &&
		    later->type != STATETBL_LIBERAL &&
		    later->type != STATETBL_VERIFY &&
		    flow_same(&later->f, &op->f))
			return (true);
	}
	return (false);
}

/* One message (or two) for each that is not done; how many there were. */
static size_t
send_steps(struct statetbl *t, size_t n)
{
	uint8_t		*p = t->tx;
	size_t		 i, live = 0;
	struct work	*w;

	t->seq += 2 * BATCH;
	for (i = 0; i < n; i++) {
		w = &t->work[i];
		if (w->step == STEP_DONE)
			continue;
		live++;
		w->err[0] = w->err[1] = 0;
		w->got = false;
		p = put_step(p, w, t->seq + 2 * (uint32_t)i);
	}
	if (live == 0 || send_requests(t, p) == 0)
		return (live);
	for (i = 0; i < n; i++)
		t->work[i].err[0] = errno;
	return (live);
}

/*
 * Where nobody listens the kernel makes no event: half the time of an update
 * or a deletion (4.0 and 3.9 us, without 1.2 and 1.5; leaving and joining take
 * 1 us).  Only while NEW is not watched either.
 */
static void
hush(struct statetbl *t, bool on)
{
	int	 what = on ? NETLINK_DROP_MEMBERSHIP : NETLINK_ADD_MEMBERSHIP;

	if (t->watch_new)
		return;
	(void)membership(t, what, NFNLGRP_CONNTRACK_UPDATE);
	(void)membership(t, what, NFNLGRP_CONNTRACK_DESTROY);
}

/* Rounds, until all are done; nearly always all are after the first. */
static void
run_batch(struct statetbl *t, size_t n)
{
	struct work	*w;
	size_t		 i;
	bool		 incomplete;

	while (send_steps(t, n) > 0) {
		incomplete = read_answers(t, op_answer, NULL) == -1;
		for (i = 0; i < n; i++) {
			w = &t->work[i];
			if (w->step == STEP_DONE)
				continue;
			if (incomplete && w->err[0] == 0)
				w->err[0] = ENOBUFS;
			advance(t, w);
			if (w->step != STEP_DONE && w->rounds == 1 &&
			    superseded(t, i, n))
				finish(w, NULL);
		}
	}
}

static void
start_op(struct statetbl *t, struct work *w, const struct statetbl_op *op)
{
	unsigned int	 mark = mark_of(&op->f);

	w->op = op;
	w->rounds = 0;
	w->ctid = op->ctid;
	w->err[0] = w->err[1] = 0;
	w->step = first_step(t, op);
	if (ctattr_unsupported(op->f.proto))
		fail(t, w, STATETBL_REFUSED, EPROTONOSUPPORT);
	if (t->dump != 0)
		marks_add(&t->touched, mark);
	if (w->step == STEP_CREATE || w->step == STEP_UPDATE)
		marks_add(&t->written, mark);
}

void
statetbl_ops(struct statetbl *t, const struct statetbl_op *op, size_t n)
{
	size_t	 i, k;

	for (; n > 0; n -= k, op += k) {
		k = n < BATCH ? n : BATCH;
		for (i = 0; i < k; i++)
			start_op(t, &t->work[i], &op[i]);
		hush(t, true);
		run_batch(t, k);
		hush(t, false);
	}
}
