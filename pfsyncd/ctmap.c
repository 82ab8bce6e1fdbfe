/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * conntrack flows as pairs of pf states and back, after pf.c and pfvar.h of
 * OpenBSD and FreeBSD and nf_conntrack of Linux.  Not here: identities, what
 * was heard before, and which of two versions is newer (pfdial.c).
 *
 * In pf's words the initiator is address 0 of both keys of an IN state and
 * address 1 of both keys of an OUT state; the wire key is what the interface
 * sees, the stack key what the host sees between its two interfaces.
 */
#include <sys/param.h>
#include <netinet/in.h>

#include <string.h>

#include "ctmap.h"

#define PROTO_CARP	112

/* pf's states of a TCP peer that it uses itself (tcp_fsm.h) */
#define S_CLOSED	0
#define S_SYN_SENT	2
#define S_ESTABLISHED	4
#define S_CLOSING	7	/* its FIN was seen */
#define S_FIN_WAIT_2	9	/* and acknowledged */
#define S_TIME_WAIT	10
#define S_PROXY		11	/* the SYN proxy's two phases begin here */
/* and of any other peer */
#define S_NO_TRAFFIC	0
#define S_SINGLE	1
#define S_MULTIPLE	2

/* timeout numbers (PFTM_) */
enum {
	TM_TCP_FIRST, TM_TCP_OPENING, TM_TCP_ESTABLISHED, TM_TCP_CLOSING,
	TM_TCP_FIN_WAIT, TM_TCP_CLOSED, TM_UDP_FIRST, TM_UDP_SINGLE,
	TM_UDP_MULTIPLE, TM_ICMP_FIRST, TM_ICMP_ERROR, TM_OTHER_FIRST,
	TM_OTHER_SINGLE, TM_OTHER_MULTIPLE, TM_MAX
};

#define PEER_WSCALE	0x80	/* the option was seen */
#define PEER_SHIFT	0x0f
#define WSCALE_MAX	14	/* RFC 7323 */
#define EXPIRE_MAX	432000	/* conntrack's longest default, 5 days */

#define ICMP4_ECHO	8
#define ICMP6_ECHO	128
/* ICMPv6 that pf keeps states of and conntrack does not: MLD, ND */
#define ICMP6_MLD_FIRST	130
#define ICMP6_ND_LAST	137
#define ICMP6_NI_QUERY	139
/* Flags and zeros where old FreeBSD keys of neighbour discovery have an id. */
#define ICMP6_NA_ZEROS	0x1fff

uint32_t
ctmap_pf_timeout(uint8_t number)
{
	static const uint32_t	 seconds[TM_MAX] = {
		[TM_TCP_FIRST] = 120, [TM_TCP_OPENING] = 30,
		[TM_TCP_ESTABLISHED] = 86400, [TM_TCP_CLOSING] = 900,
		[TM_TCP_FIN_WAIT] = 45, [TM_TCP_CLOSED] = 90,
		[TM_UDP_FIRST] = 60, [TM_UDP_SINGLE] = 30,
		[TM_UDP_MULTIPLE] = 60,
		[TM_ICMP_FIRST] = 20, [TM_ICMP_ERROR] = 10,
		[TM_OTHER_FIRST] = 60, [TM_OTHER_SINGLE] = 30,
		[TM_OTHER_MULTIPLE] = 60
	};

	return (number < TM_MAX ? seconds[number] : 0);
}

/* net.netfilter.nf_conntrack_*_timeout* as Linux sets them. */
uint32_t
ctmap_timeout(uint8_t proto, enum flow_tcp tcp, uint32_t status)
{
	static const uint32_t	 tcp_seconds[FLOW_TCP_MAX + 1] = {
		[FLOW_TCP_NONE] = 120, [FLOW_TCP_SYN_SENT] = 120,
		[FLOW_TCP_SYN_RECV] = 60, [FLOW_TCP_ESTABLISHED] = 432000,
		[FLOW_TCP_FIN_WAIT] = 120, [FLOW_TCP_CLOSE_WAIT] = 60,
		[FLOW_TCP_LAST_ACK] = 30, [FLOW_TCP_TIME_WAIT] = 120,
		[FLOW_TCP_CLOSE] = 10, [FLOW_TCP_SYN_SENT2] = 120
	};

	switch (proto) {
	case IPPROTO_TCP:
		return (tcp_seconds[tcp <= FLOW_TCP_MAX ? tcp : 0]);
	case IPPROTO_UDP:
		return (status & FLOW_ASSURED ? 120 : 30);
	case IPPROTO_GRE:
		return (status & FLOW_ASSURED ? 180 : 30);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return (30);
	default:
		return (600);
	}
}

static bool
is_icmp(uint8_t proto)
{
	return (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6);
}

static bool
has_ports(uint8_t proto)
{
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP);
}

/* The requests of ICMP that both sides keep state of. */
static bool
icmp_request(uint8_t proto, unsigned int type)
{
	if (proto == IPPROTO_ICMPV6)
		return (type == ICMP6_ECHO);
	return (type == ICMP4_ECHO || type == 13 || type == 15 || type == 17);
}

/* ---- TCP ---- */

enum flow_tcp
ctmap_tcp_import(uint8_t src, uint8_t dst)
{
	uint8_t	 lo = MIN(src, dst), hi = MAX(src, dst);

	if (hi >= S_PROXY)
		return (FLOW_TCP_NONE);
	if (hi == S_TIME_WAIT || hi == S_CLOSED)
		return (FLOW_TCP_CLOSE);
	if (src == S_SYN_SENT && dst < S_SYN_SENT)
		return (FLOW_TCP_SYN_SENT);
	if (lo == S_SYN_SENT && hi == S_SYN_SENT)
		return (FLOW_TCP_SYN_SENT2);
	if (lo < S_ESTABLISHED)
		return (FLOW_TCP_SYN_RECV);
	if (lo == S_ESTABLISHED && hi == S_CLOSING)
		return (FLOW_TCP_FIN_WAIT);
	if (lo == S_ESTABLISHED && hi == S_FIN_WAIT_2)
		return (FLOW_TCP_CLOSE_WAIT);
	if (lo < S_CLOSING)
		return (FLOW_TCP_ESTABLISHED);
	return (lo < S_FIN_WAIT_2 ? FLOW_TCP_LAST_ACK : FLOW_TCP_TIME_WAIT);
}

/* A row of 6.4; first is whose FIN was first. */
struct tcp_row {
	uint8_t	 first, other, timeout;
};

static const struct tcp_row tcp_rows[FLOW_TCP_MAX + 1] = {
	[FLOW_TCP_SYN_SENT] = { S_SYN_SENT, S_CLOSED, TM_TCP_FIRST },
	[FLOW_TCP_SYN_SENT2] = { S_SYN_SENT, S_SYN_SENT, TM_TCP_OPENING },
	[FLOW_TCP_SYN_RECV] = { S_ESTABLISHED, S_SYN_SENT, TM_TCP_OPENING },
	[FLOW_TCP_ESTABLISHED] = { S_ESTABLISHED, S_ESTABLISHED,
	    TM_TCP_ESTABLISHED },
	[FLOW_TCP_FIN_WAIT] = { S_CLOSING, S_ESTABLISHED, TM_TCP_CLOSING },
	[FLOW_TCP_CLOSE_WAIT] = { S_FIN_WAIT_2, S_ESTABLISHED,
	    TM_TCP_CLOSING },
	[FLOW_TCP_LAST_ACK] = { S_FIN_WAIT_2, S_CLOSING, TM_TCP_FIN_WAIT },
	[FLOW_TCP_TIME_WAIT] = { S_FIN_WAIT_2, S_FIN_WAIT_2, TM_TCP_CLOSED },
	[FLOW_TCP_CLOSE] = { S_TIME_WAIT, S_TIME_WAIT, TM_TCP_CLOSED }
};

static bool
closing(uint8_t state)
{
	return (state == S_CLOSING || state == S_FIN_WAIT_2);
}

/* Nobody knows whose FIN was first?  Then the original side's. */
static bool
reply_fin_first(const struct flow *f)
{
	return ((f->tcp_state == FLOW_TCP_FIN_WAIT ||
	    f->tcp_state == FLOW_TCP_CLOSE_WAIT ||
	    f->tcp_state == FLOW_TCP_LAST_ACK) &&
	    f->tcp_flags[1] & FLOW_TCPF_CLOSE_INIT &&
	    !(f->tcp_flags[0] & FLOW_TCPF_CLOSE_INIT));
}

static void
export_tcp(const struct flow *f, struct pfsync_peer *src,
    struct pfsync_peer *dst, uint8_t *timeout)
{
	const struct tcp_row	*row = &tcp_rows[f->tcp_state <=
	    FLOW_TCP_MAX ? f->tcp_state : FLOW_TCP_NONE];

	src->state = reply_fin_first(f) ? row->other : row->first;
	dst->state = reply_fin_first(f) ? row->first : row->other;
	*timeout = row->timeout;
	if (f->tcp_flags[0] & f->tcp_flags[1] & FLOW_TCPF_WSCALE) {
		src->wscale = PEER_WSCALE | (f->wscale[0] & PEER_SHIFT);
		dst->wscale = PEER_WSCALE | (f->wscale[1] & PEER_SHIFT);
	}
}

static uint8_t
shift_of(const struct pfsync_peer *p)
{
	return (MIN(p->wscale & PEER_SHIFT, WSCALE_MAX));
}

/* Both sides scale, or neither does. */
static void
import_wscale(const struct pfsync_state *s, struct flow *f)
{
	if (!(s->src.wscale & s->dst.wscale & PEER_WSCALE))
		return;
	f->tcp_flags[0] |= FLOW_TCPF_WSCALE;
	f->tcp_flags[1] |= FLOW_TCPF_WSCALE;
	f->wscale[0] = shift_of(&s->src);
	f->wscale[1] = shift_of(&s->dst);
}

uint32_t
ctmap_status(uint8_t proto, uint8_t src, uint8_t dst)
{
	uint32_t	 status = dst > 0 ? FLOW_SEEN_REPLY : 0;
	bool		 both;

	if (is_icmp(proto))
		return (status);
	both = proto == IPPROTO_TCP ?
	    src >= S_ESTABLISHED && dst >= S_ESTABLISHED :
	    src >= S_MULTIPLE && dst >= S_MULTIPLE;
	return (both ? status | FLOW_ASSURED : status);
}

/* Once known, whose FIN was first stays. */
static void
import_close_init(struct flow *f, uint8_t src, uint8_t dst)
{
	if ((f->tcp_flags[0] | f->tcp_flags[1]) & FLOW_TCPF_CLOSE_INIT)
		return;
	if (closing(src) && src >= dst)
		f->tcp_flags[0] |= FLOW_TCPF_CLOSE_INIT;
	else if (closing(dst))
		f->tcp_flags[1] |= FLOW_TCPF_CLOSE_INIT;
}

bool
ctmap_progress(struct flow *f, uint8_t src, uint8_t dst)
{
	enum flow_tcp	 tcp;

	if (f->proto == IPPROTO_TCP) {
		if ((tcp = ctmap_tcp_import(src, dst)) == FLOW_TCP_NONE)
			return (false);
		f->tcp_state = (uint8_t)tcp;
		import_close_init(f, src, dst);
	} else if (src > S_MULTIPLE || dst > S_MULTIPLE)
		return (false);
	f->status |= ctmap_status(f->proto, src, dst);
	return (true);
}

/* ---- export ---- */

static bool
is_multicast(const struct flow *f)
{
	static const uint8_t	 all[4] = { 255, 255, 255, 255 };
	const uint8_t		*a = f->orig.dst;

	if (f->af == 6)
		return (a[0] == 0xff);
	return ((a[0] & 0xf0) == 0xe0 || memcmp(a, all, sizeof(all)) == 0);
}

const char *
ctmap_exportable(const struct flow *f)
{
	switch (f->proto) {
	case IPPROTO_TCP:
		if (f->tcp_state == FLOW_TCP_NONE)
			return ("no TCP state");
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (!icmp_request(f->proto, f->orig.dport >> 8) ||
		    (f->orig.dport & 0xff) != 0)
			return ("ICMP without an identifier");
		break;
	case PFSYNC_PROTO:
	case PROTO_CARP:
		return ("CARP or pfsync");
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		return ("pf has no ports for this protocol");
	default:
		break;
	}
	if (f->zone != 0)
		return ("in a zone");
	if (is_multicast(f))
		return ("multicast");
	return (NULL);
}

void
ctmap_export_peers(const struct flow *f, struct pfsync_peer *src,
    struct pfsync_peer *dst, uint8_t *timeout)
{
	unsigned int	 step;	/* unreplied, replied, assured */
	static const uint8_t	 states[3][2] = {
		{ S_SINGLE, S_NO_TRAFFIC }, { S_MULTIPLE, S_SINGLE },
		{ S_MULTIPLE, S_MULTIPLE }
	};

	memset(src, 0, sizeof(*src));
	memset(dst, 0, sizeof(*dst));
	if (f->proto == IPPROTO_TCP) {
		export_tcp(f, src, dst, timeout);
		return;
	}
	step = f->status & FLOW_ASSURED ? 2 :
	    f->status & FLOW_SEEN_REPLY ? 1 : 0;
	if (is_icmp(f->proto)) {
		src->state = dst->state = step > 0;
		*timeout = TM_ICMP_FIRST;
		return;
	}
	src->state = states[step][0];
	dst->state = states[step][1];
	*timeout = (uint8_t)((f->proto == IPPROTO_UDP ? TM_UDP_FIRST :
	    TM_OTHER_FIRST) + step);
}

/* One end of a key: an address and what pf keeps as its port. */
struct end {
	const uint8_t	*addr;
	uint16_t	 port;
};

/* The four ends of a flow in pf's words (2.4). */
struct ends {
	struct end	 osrc, odst, rsrc, rdst;
};

static void
flow_ends(const struct flow *f, struct ends *e)
{
	e->osrc = (struct end){ f->orig.src, f->orig.sport };
	e->odst = (struct end){ f->orig.dst, f->orig.dport };
	e->rsrc = (struct end){ f->reply.src, f->reply.sport };
	e->rdst = (struct end){ f->reply.dst, f->reply.dport };
	if (!is_icmp(f->proto))
		return;
	/* the requester has the identifier, the other one the type */
	e->odst.port = e->rsrc.port = f->orig.dport >> 8;
	e->rdst.port = f->reply.sport;
}

static void
set_end(struct pfsync_key *k, int i, const struct end *e, uint8_t af)
{
	memcpy(k->addr[i], e->addr, af == 4 ? 4 : 16);
	k->port[i] = e->port;
}

static void
set_key(struct pfsync_key *k, const struct end *e0, const struct end *e1,
    const struct flow *f, uint8_t pf_af)
{
	set_end(k, 0, e0, f->af);
	set_end(k, 1, e1, f->af);
	k->af = pf_af;
}

static void
export_keys(const struct flow *f, int half, enum pfsync_form form,
    struct pfsync_state *s)
{
	int		 init = half == CTMAP_IN ? 0 : 1;
	struct ends	 e;

	flow_ends(f, &e);
	if (half == CTMAP_IN) {
		set_key(&s->key[0], &e.osrc, &e.odst, f, s->af);
		set_key(&s->key[1], &e.osrc, &e.rsrc, f, s->af);
	} else {
		set_key(&s->key[0], &e.rsrc, &e.rdst, f, s->af);
		set_key(&s->key[1], &e.rsrc, &e.osrc, f, s->af);
	}
	/* FreeBSD 12 and 13: the identifier on both sides */
	if (form == PFSYNC_FORM_1301 && is_icmp(f->proto)) {
		s->key[0].port[!init] = s->key[0].port[init];
		s->key[1].port[!init] = s->key[1].port[init];
	}
}

static uint8_t
pf_af(uint8_t af, enum pfsync_form form)
{
	if (af == 4)
		return (PFSYNC_AF_INET);
	return (form == PFSYNC_FORM_OPENBSD ? PFSYNC_AF_INET6_OPENBSD :
	    PFSYNC_AF_INET6_FREEBSD);
}

void
ctmap_export(const struct flow *f, int half, enum pfsync_form form,
    struct pfsync_state *s)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->ifname, "all", sizeof("all"));
	s->af = s->stack_af = pf_af(f->af, form);
	s->proto = s->stack_proto = f->proto;
	s->direction = half == CTMAP_IN ? PFSYNC_DIR_IN : PFSYNC_DIR_OUT;
	export_keys(f, half, form, s);
	ctmap_export_peers(f, &s->src, &s->dst, &s->timeout);
	s->expire = MAX(1, MIN(f->timeout, ctmap_pf_timeout(s->timeout)));
	s->rule = s->anchor = s->nat_rule = UINT32_MAX;
	s->rtableid[0] = s->rtableid[1] = -1;
	/* our windows are unknown: without it the peer would drop (6.5) */
	if (f->proto == IPPROTO_TCP)
		s->state_flags = PFSYNC_STATE_SLOPPY;
}

/* ---- import ---- */

/* 4, 6, or 0 for a family that this form does not have. */
static uint8_t
flow_af(uint8_t af, enum pfsync_form form)
{
	if (af == PFSYNC_AF_INET)
		return (4);
	return (af == pf_af(6, form) ? 6 : 0);
}

static bool
acceptable_proto(const struct pfsync_state *s, uint8_t af)
{
	switch (s->proto) {
	case IPPROTO_ICMP:
		return (af == 4);
	case IPPROTO_ICMPV6:
		return (af == 6);
	case PFSYNC_PROTO:
	case PROTO_CARP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
	case IPPROTO_IP:
		return (false);
	default:
		return (true);
	}
}

/* What no conntrack entry can be, whatever its partner says (6.10). */
static bool
acceptable(const struct pfsync_state *s, enum pfsync_form form)
{
	uint8_t	 af = flow_af(s->af, form);

	if (af == 0 || !acceptable_proto(s, af))
		return (false);
	if (s->key[0].af != s->key[1].af ||
	    (s->key[0].af != 0 && s->key[0].af != s->af))
		return (false);			/* NAT64 */
	if (form == PFSYNC_FORM_1500 &&
	    (s->stack_af != s->af || s->stack_proto != s->proto))
		return (false);
	if (s->key[0].rdomain != 0 || s->key[1].rdomain != 0)
		return (false);			/* no map to zones */
	/* modulated sequence numbers would be passed on unchanged */
	return (s->src.seqdiff == 0 && s->dst.seqdiff == 0);
}

/* The ICMP type that the responder's port tells; -1: not for conntrack. */
static int
icmp_type(const struct pfsync_state *s, const struct pfsync_key *k, int init,
    enum pfsync_form form)
{
	uint16_t	 id = k->port[init], port = k->port[!init];
	int		 echo;

	echo = s->proto == IPPROTO_ICMPV6 ? ICMP6_ECHO : ICMP4_ECHO;
	if (form != PFSYNC_FORM_OPENBSD && port == id) {
		/* old key; there, neighbour discovery is a state, too */
		if (s->proto == IPPROTO_ICMPV6 && (id & ICMP6_NA_ZEROS) == 0)
			return (-1);
		return (echo);
	}
	if (s->proto == IPPROTO_ICMPV6 && (port == ICMP6_NI_QUERY ||
	    (port >= ICMP6_MLD_FIRST && port <= ICMP6_ND_LAST)))
		return (-1);
	return (icmp_request(s->proto, port) ? port : echo);
}

/* A key seen from the initiator. */
struct side {
	uint8_t		 iaddr[16], raddr[16];	/* initiator, responder */
	uint16_t	 iport, rport;
};

static bool
import_key(const struct pfsync_state *s, int which, enum pfsync_form form,
    struct side *out)
{
	const struct pfsync_key	*k = &s->key[which];
	int			 init = s->direction == PFSYNC_DIR_IN ? 0 : 1;
	size_t			 len = s->af == PFSYNC_AF_INET ? 4 : 16;
	int			 type;

	memset(out, 0, sizeof(*out));
	memcpy(out->iaddr, k->addr[init], len);
	memcpy(out->raddr, k->addr[!init], len);
	if (has_ports(s->proto)) {
		out->iport = k->port[init];
		out->rport = k->port[!init];
	} else if (is_icmp(s->proto)) {
		if ((type = icmp_type(s, k, init, form)) == -1)
			return (false);
		out->iport = k->port[init];
		out->rport = (uint16_t)type;
	}
	return (true);
}

/* orig from what one side saw of the initiator, reply from the other. */
static void
set_tuples(struct flow *f, const struct side *o, const struct side *r)
{
	struct flow_tuple	 t;

	memcpy(f->orig.src, o->iaddr, sizeof(o->iaddr));
	memcpy(f->orig.dst, o->raddr, sizeof(o->raddr));
	f->orig.sport = o->iport;
	f->orig.dport = is_icmp(f->proto) ? (uint16_t)(o->rport << 8) :
	    o->rport;
	memset(&t, 0, sizeof(t));
	memcpy(t.src, r->iaddr, sizeof(t.src));
	memcpy(t.dst, r->raddr, sizeof(t.dst));
	t.sport = r->iport;
	t.dport = is_icmp(f->proto) ? (uint16_t)(o->rport << 8) : r->rport;
	flow_invert(&t, f->proto, &f->reply);
}

/*
 * What the ingress saw is orig, what the egress saw is reply; of a lone state
 * its stack key is what the other one would show without translation.
 */
static bool
import_tuples(const struct pfsync_state *in, const struct pfsync_state *out,
    enum pfsync_form form, struct flow *f)
{
	struct side	 o, r;

	if (in != NULL ? !import_key(in, 0, form, &o) :
	    !import_key(out, 1, form, &o))
		return (false);
	if (out != NULL ? !import_key(out, 0, form, &r) :
	    !import_key(in, 1, form, &r))
		return (false);
	set_tuples(f, &o, &r);
	return (true);
}

/* A lone state is its own partner here. */
static bool
import_progress(const struct pfsync_state *a, const struct pfsync_state *b,
    struct flow *f)
{
	uint32_t	 expire = MAX(a->expire, b->expire);

	f->timeout = MIN(expire, EXPIRE_MAX);
	if (f->proto == IPPROTO_TCP) {
		f->tcp_flags[0] = f->tcp_flags[1] = FLOW_TCPF_SACK;
		import_wscale(a, f);
		import_wscale(b, f);
	}
	return (f->timeout != 0 && ctmap_progress(f,
	    MAX(a->src.state, b->src.state), MAX(a->dst.state, b->dst.state)));
}

bool
ctmap_import(const struct pfsync_state *in, const struct pfsync_state *out,
    enum pfsync_form form, struct flow *f)
{
	const struct pfsync_state	*s = in != NULL ? in : out;

	memset(f, 0, sizeof(*f));
	if (in != NULL && (in->direction != PFSYNC_DIR_IN ||
	    !acceptable(in, form)))
		return (false);
	if (out != NULL && (out->direction != PFSYNC_DIR_OUT ||
	    !acceptable(out, form)))
		return (false);
	if (in != NULL && out != NULL && !ctmap_pair(in, out))
		return (false);
	f->af = flow_af(s->af, form);
	f->proto = s->proto;
	return (import_tuples(in, out, form, f) &&
	    import_progress(s, out != NULL ? out : s, f) &&
	    flow_check(f, false) == NULL);
}

bool
ctmap_pair(const struct pfsync_state *in, const struct pfsync_state *out)
{
	const struct pfsync_key	*a = &in->key[1], *b = &out->key[1];
	size_t			 len = in->af == PFSYNC_AF_INET ? 4 : 16;

	return (in->direction == PFSYNC_DIR_IN &&
	    out->direction == PFSYNC_DIR_OUT &&
	    in->af == out->af && in->proto == out->proto &&
	    memcmp(a->addr[0], b->addr[1], len) == 0 &&
	    memcmp(a->addr[1], b->addr[0], len) == 0 &&
	    a->port[0] == b->port[1] && a->port[1] == b->port[0]);
}
