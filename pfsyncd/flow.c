/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Flows as values: inversion, translation, well-formedness, identity, text.
 * The inversion of ICMP types follows nf_conntrack_proto_icmp.c and
 * nf_conntrack_proto_icmpv6.c of Linux; SipHash is that of J.-P. Aumasson and
 * D. J. Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#include <sys/socket.h>
#include <netinet/in.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "flow.h"

#define TIMEOUT_MAX	315360000U	/* 10 years; more overflows jiffies */
#define WSCALE_MAX	14		/* RFC 7323 */
#define TCPF_KNOWN	(FLOW_TCPF_SYNC | FLOW_TCPF_LIBERAL)

_Static_assert(sizeof(struct flow_tuple) == 36, "compared as bytes");
_Static_assert(sizeof(struct flow) == 96, "crosses processes");

const char *const flow_tcp_names[FLOW_TCP_MAX + 1] = {
	[FLOW_TCP_NONE] = "NONE",
	[FLOW_TCP_SYN_SENT] = "SYN_SENT",
	[FLOW_TCP_SYN_RECV] = "SYN_RECV",
	[FLOW_TCP_ESTABLISHED] = "ESTABLISHED",
	[FLOW_TCP_FIN_WAIT] = "FIN_WAIT",
	[FLOW_TCP_CLOSE_WAIT] = "CLOSE_WAIT",
	[FLOW_TCP_LAST_ACK] = "LAST_ACK",
	[FLOW_TCP_TIME_WAIT] = "TIME_WAIT",
	[FLOW_TCP_CLOSE] = "CLOSE",
	[FLOW_TCP_SYN_SENT2] = "SYN_SENT2",
};

/* What the ports of a protocol are. */
enum portkind { PORTS_NONE, PORTS_PORTS, PORTS_ICMP };

static enum portkind
portkind(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		return (PORTS_PORTS);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return (PORTS_ICMP);
	default:
		return (PORTS_NONE);
	}
}

/* The type that answers this one, -1 when the kernel knows none. */
static int
icmp_invert(uint8_t proto, uint8_t type)
{
	/* one more than the answer; 0: none */
	static const uint8_t	 v4[] = {
		[0] = 8 + 1, [8] = 0 + 1,		/* echo */
		[13] = 14 + 1, [14] = 13 + 1,		/* timestamp */
		[15] = 16 + 1, [16] = 15 + 1,		/* information */
		[17] = 18 + 1, [18] = 17 + 1		/* address mask */
	};

	if (proto == IPPROTO_ICMP)
		return (type < sizeof(v4) ? v4[type] - 1 : -1);
	switch (type) {
	case 128:		/* echo */
		return (129);
	case 129:
		return (128);
	case 139:		/* node information */
		return (140);
	case 140:
		return (139);
	default:
		return (-1);
	}
}

void
flow_invert(const struct flow_tuple *t, uint8_t proto, struct flow_tuple *out)
{
	int	 type;

	memcpy(out->src, t->dst, sizeof(out->src));
	memcpy(out->dst, t->src, sizeof(out->dst));
	if (portkind(proto) != PORTS_ICMP) {
		out->sport = t->dport;
		out->dport = t->sport;
		return;
	}
	/* The identifier is one for both directions. */
	out->sport = t->sport;
	out->dport = t->dport;
	if ((type = icmp_invert(proto, (uint8_t)(t->dport >> 8))) != -1)
		out->dport = (uint16_t)(type << 8 | (t->dport & 0xff));
}

unsigned int
flow_nat(const struct flow *f)
{
	unsigned int	 nat = 0;

	if (memcmp(f->reply.dst, f->orig.src, sizeof(f->orig.src)) != 0)
		nat |= FLOW_SNAT;
	if (memcmp(f->reply.src, f->orig.dst, sizeof(f->orig.dst)) != 0)
		nat |= FLOW_DNAT;
	if (portkind(f->proto) != PORTS_ICMP) {
		if (f->reply.dport != f->orig.sport)
			nat |= FLOW_SNAT;
		if (f->reply.sport != f->orig.dport)
			nat |= FLOW_DNAT;
	} else if (f->reply.sport != f->orig.sport && nat == 0) {
		/* Either translation may change the identifier. */
		nat = FLOW_SNAT;
	}
	return (nat);
}

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t	 v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline uint32_t
load32(const uint8_t *p)
{
	uint32_t	 v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

static inline bool
addr_zero(const uint8_t a[16])
{
	return ((load64(a) | load64(a + 8)) == 0);
}

/* Is anything behind the four bytes of an IPv4 address? */
static inline bool
addr_padded(const uint8_t a[16])
{
	return ((load32(a + 4) | load64(a + 8)) == 0);
}

static const char *
check_addrs(const struct flow *f)
{
	const struct flow_tuple	*o = &f->orig, *r = &f->reply;

	if (f->af != 4 && f->af != 6)
		return ("unknown address family");
	if (f->af == 4 && (!addr_padded(o->src) || !addr_padded(o->dst) ||
	    !addr_padded(r->src) || !addr_padded(r->dst)))
		return ("bytes behind an IPv4 address");
	if (addr_zero(o->src) || addr_zero(o->dst) ||
	    addr_zero(r->src) || addr_zero(r->dst))
		return ("unspecified address");
	return (NULL);
}

static const char *
check_ports(const struct flow *f)
{
	const struct flow_tuple	*o = &f->orig, *r = &f->reply;
	int			 type;

	switch (portkind(f->proto)) {
	case PORTS_PORTS:
		return (NULL);
	case PORTS_NONE:
		if ((o->sport | o->dport | r->sport | r->dport) != 0)
			return ("ports in a protocol without");
		return (NULL);
	case PORTS_ICMP:
		break;
	}
	if ((f->proto == IPPROTO_ICMP) != (f->af == 4))
		return ("ICMP of the other address family");
	type = icmp_invert(f->proto, (uint8_t)(o->dport >> 8));
	if (type == -1)
		return ("ICMP type without an answer");
	if (r->dport != (type << 8 | (o->dport & 0xff)))
		return ("ICMP types do not match");
	return (NULL);
}

static const char *
check_tcp(const struct flow *f)
{
	if (f->proto != IPPROTO_TCP) {
		if ((f->tcp_state | f->tcp_flags[0] | f->tcp_flags[1] |
		    f->wscale[0] | f->wscale[1]) != 0)
			return ("TCP values in another protocol");
		return (NULL);
	}
	if (f->tcp_state > FLOW_TCP_MAX)
		return ("unknown TCP state");
	if (((f->tcp_flags[0] | f->tcp_flags[1]) & ~TCPF_KNOWN) != 0)
		return ("unknown TCP flags");
	if (f->wscale[0] > WSCALE_MAX || f->wscale[1] > WSCALE_MAX)
		return ("window scale above 14");
	return (NULL);
}

const char *
flow_check(const struct flow *f, bool timeout_may_be_0)
{
	const char	*why;

	if ((why = check_addrs(f)) != NULL || (why = check_ports(f)) != NULL ||
	    (why = check_tcp(f)) != NULL)
		return (why);
	if ((f->status & ~(uint32_t)FLOW_STATUS) != 0)
		return ("unknown status bits");
	if (f->timeout > TIMEOUT_MAX || (f->timeout == 0 && !timeout_may_be_0))
		return ("timeout out of range");
	if ((f->pad[0] | f->pad[1] | f->pad[2]) != 0)
		return ("padding is not zero");
	return (NULL);
}

bool
flow_same(const struct flow *a, const struct flow *b)
{
	return (a->zone == b->zone && a->af == b->af && a->proto == b->proto &&
	    memcmp(&a->orig, &b->orig, sizeof(a->orig)) == 0);
}

bool
flow_equal(const struct flow *a, const struct flow *b)
{
	return (memcmp(a, b, offsetof(struct flow, timeout)) == 0 &&
	    memcmp(&a->zone, &b->zone,
	    sizeof(*a) - offsetof(struct flow, zone)) == 0);
}

/* ---- SipHash-2-4 ---- */

struct sip {
	uint64_t	 v0, v1, v2, v3;
};

static inline uint64_t
rotl(uint64_t v, unsigned int n)
{
	return (v << n | v >> (64 - n));
}

static inline void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void
sip_init(struct sip *s, const uint8_t key[16])
{
	uint64_t	 k0 = le64toh(load64(key));
	uint64_t	 k1 = le64toh(load64(key + 8));

	s->v0 = k0 ^ 0x736f6d6570736575ULL;
	s->v1 = k1 ^ 0x646f72616e646f6dULL;
	s->v2 = k0 ^ 0x6c7967656e657261ULL;
	s->v3 = k1 ^ 0x7465646279746573ULL;
}

static inline void
sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

static inline uint64_t
sip_end(struct sip *s)
{
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return (s->v0 ^ s->v1 ^ s->v2 ^ s->v3);
}

uint64_t
flow_siphash(const uint8_t key[16], const void *data, size_t len)
{
	const uint8_t	*p = data;
	struct sip	 s;
	uint64_t	 last = (uint64_t)len << 56;
	size_t		 i, tail = len % 8;

	sip_init(&s, key);
	for (i = 0; i + 8 <= len; i += 8)
		sip_word(&s, le64toh(load64(p + i)));
	while (tail-- > 0)
		last |= (uint64_t)p[i + tail] << 8 * tail;
	sip_word(&s, last);
	return (sip_end(&s));
}

/*
 * The same over what would be, packed: addresses, then sport, dport, zone
 * (little-endian), proto, af; without packing it.
 */
uint64_t
flow_hash(const uint8_t key[16], const struct flow *f)
{
	const struct flow_tuple	*t = &f->orig;
	struct sip		 s;
	uint64_t		 rest;

	rest = t->sport | (uint64_t)t->dport << 16 | (uint64_t)f->zone << 32 |
	    (uint64_t)f->proto << 48 | (uint64_t)f->af << 56;
	sip_init(&s, key);
	if (f->af == 4) {
		sip_word(&s, le32toh(load32(t->src)) |
		    (uint64_t)le32toh(load32(t->dst)) << 32);
		sip_word(&s, rest);
		sip_word(&s, 16ULL << 56);
	} else {
		sip_word(&s, le64toh(load64(t->src)));
		sip_word(&s, le64toh(load64(t->src + 8)));
		sip_word(&s, le64toh(load64(t->dst)));
		sip_word(&s, le64toh(load64(t->dst + 8)));
		sip_word(&s, rest);
		sip_word(&s, 40ULL << 56);
	}
	return (sip_end(&s));
}

/* ---- text ---- */

void
flow_addr(const struct flow *f, const struct flow_tuple *t, int which,
    struct ipaddr *out)
{
	memset(out, 0, sizeof(*out));
	out->af = f->af == 6 ? AF_INET6 : AF_INET;
	out->plen = f->af == 6 ? 128 : 32;
	memcpy(out->bytes, which == 0 ? t->src : t->dst, f->af == 6 ? 16 : 4);
}

static const char *
proto_name(uint8_t proto, char *buf, size_t len)
{
	switch (proto) {
	case IPPROTO_ICMP:
		return ("icmp");
	case IPPROTO_TCP:
		return ("tcp");
	case IPPROTO_UDP:
		return ("udp");
	case IPPROTO_DCCP:
		return ("dccp");
	case IPPROTO_GRE:
		return ("gre");
	case IPPROTO_ESP:
		return ("esp");
	case IPPROTO_ICMPV6:
		return ("icmp6");
	case IPPROTO_SCTP:
		return ("sctp");
	case IPPROTO_UDPLITE:
		return ("udplite");
	default:
		snprintf(buf, len, "proto %u", proto);
		return (buf);
	}
}

/* One end of the flow, with its port where the protocol has ports. */
static const char *
print_end(const struct flow *f, const struct flow_tuple *t, int which,
    char *buf, size_t len)
{
	char		 text[IPADDR_STRLEN];
	struct ipaddr	 a;

	flow_addr(f, t, which, &a);
	ipaddr_print(&a, text, sizeof(text));
	if (portkind(f->proto) != PORTS_PORTS)
		strlcpy(buf, text, len);
	else
		snprintf(buf, len, f->af == 6 ? "[%s]:%u" : "%s:%u", text,
		    which == 0 ? t->sport : t->dport);
	return (buf);
}

static void
append(char *buf, size_t len, const char *word, const char *what)
{
	strlcat(buf, word, len);
	strlcat(buf, what, len);
}

static void
append_number(char *buf, size_t len, const char *word, unsigned int v)
{
	char	 text[16];

	snprintf(text, sizeof(text), "%u", v);
	append(buf, len, word, text);
}

const char *
flow_print(const struct flow *f, char *buf, size_t len)
{
	char		 text[IPADDR_STRLEN + 16];
	unsigned int	 nat = flow_nat(f);
	bool		 icmp = portkind(f->proto) == PORTS_ICMP;

	if (len == 0)
		return (buf);
	strlcpy(buf, proto_name(f->proto, text, sizeof(text)), len);
	append(buf, len, " ", print_end(f, &f->orig, 0, text, sizeof(text)));
	append(buf, len, " -> ",
	    print_end(f, &f->orig, 1, text, sizeof(text)));
	if (icmp) {
		append_number(buf, len, " type ", f->orig.dport >> 8);
		append_number(buf, len, " id ", f->orig.sport);
	}
	if (nat & FLOW_SNAT)
		append(buf, len, " snat ",
		    print_end(f, &f->reply, 1, text, sizeof(text)));
	if (nat & FLOW_DNAT)
		append(buf, len, " dnat ",
		    print_end(f, &f->reply, 0, text, sizeof(text)));
	if (icmp && f->reply.sport != f->orig.sport)
		append_number(buf, len, " id ", f->reply.sport);
	if (f->proto == IPPROTO_TCP)
		append(buf, len, " ", f->tcp_state <= FLOW_TCP_MAX ?
		    flow_tcp_names[f->tcp_state] : "?");
	if (f->zone != 0)
		append_number(buf, len, " zone ", f->zone);
	return (buf);
}
