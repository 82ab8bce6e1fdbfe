/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: one flow of the packet filter's state table, as a flat record: what
 * conntrack has of it.  This struct crosses processes (in batches), is kept
 * by statedb.c and is what wire/native.c and ctmap.c translate.  Host byte
 * order everywhere but in addresses.
 */
#ifndef PFSYNCD_FLOW_H
#define PFSYNCD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"

/*
 * addresses: network order, IPv4 in the first four bytes, the rest zero.
 * TCP, UDP, SCTP, DCCP, UDP-Lite: ports.  ICMP and ICMPv6: sport is the echo
 * identifier, dport type << 8 | code.  Other protocols: both 0.
 */
struct flow_tuple {
	uint8_t		 src[16];
	uint8_t		 dst[16];
	uint16_t	 sport;
	uint16_t	 dport;
};

#define FLOW_SEEN_REPLY	0x2	/* the kernel's IPS_ bits; no others here */
#define FLOW_ASSURED	0x4
#define FLOW_STATUS	(FLOW_SEEN_REPLY | FLOW_ASSURED)

/* The kernel's TCP states (nf_conntrack_tcp.h). */
enum flow_tcp {
	FLOW_TCP_NONE, FLOW_TCP_SYN_SENT, FLOW_TCP_SYN_RECV,
	FLOW_TCP_ESTABLISHED, FLOW_TCP_FIN_WAIT, FLOW_TCP_CLOSE_WAIT,
	FLOW_TCP_LAST_ACK, FLOW_TCP_TIME_WAIT, FLOW_TCP_CLOSE,
	FLOW_TCP_SYN_SENT2
};
#define FLOW_TCP_MAX	FLOW_TCP_SYN_SENT2
extern const char *const flow_tcp_names[FLOW_TCP_MAX + 1];

/* The kernel's TCP flags of a direction (nf_conntrack_tcp.h). */
#define FLOW_TCPF_WSCALE	0x01
#define FLOW_TCPF_SACK		0x02
#define FLOW_TCPF_CLOSE_INIT	0x04
#define FLOW_TCPF_LIBERAL	0x08
/* those that travel and are injected; the others are the kernel's own */
#define FLOW_TCPF_SYNC		(FLOW_TCPF_WSCALE | FLOW_TCPF_SACK | \
				 FLOW_TCPF_CLOSE_INIT)

/*
 * 96 bytes, zeroed before use so that memcmp() compares.  reply is the reply
 * tuple as conntrack shows it: its difference from the inversion of orig is
 * the translation (SNAT: reply.dst, DNAT: reply.src, and their ports).
 */
struct flow {
	struct flow_tuple orig;
	struct flow_tuple reply;
	uint32_t	 mark;
	uint32_t	 status;	/* FLOW_STATUS bits */
	uint32_t	 timeout;	/* seconds left in the kernel */
	uint16_t	 zone;
	uint8_t		 af;		/* 4 or 6 */
	uint8_t		 proto;		/* IPPROTO_ */
	uint8_t		 tcp_state;	/* enum flow_tcp; 0 when not TCP */
	uint8_t		 tcp_flags[2];	/* original, reply */
	uint8_t		 wscale[2];	/* 0..14, when FLOW_TCPF_WSCALE */
	uint8_t		 pad[3];
};

/* The inversion of a tuple: what the reply is without translation. */
void		 flow_invert(const struct flow_tuple *t, uint8_t proto,
		    struct flow_tuple *out);
/* Is it translated? bit 0 source, bit 1 destination. */
#define FLOW_SNAT	0x1
#define FLOW_DNAT	0x2
unsigned int	 flow_nat(const struct flow *f);
/*
 * Well-formed?  Families, zero padding, known status bits and TCP values,
 * port rules of the protocol, no unspecified address, timeout 1 s to 10 years
 * (0 allowed with timeout_may_be_0).  NULL, or a static text: what is wrong.
 * Foreign records pass here before anything else looks at them.
 */
const char	*flow_check(const struct flow *f, bool timeout_may_be_0);
/* The same flow (zone, family, protocol, original tuple)? */
bool		 flow_same(const struct flow *a, const struct flow *b);
/* Equal but for timeout? */
bool		 flow_equal(const struct flow *a, const struct flow *b);
/*
 * The 64-bit identity of a flow: SipHash-2-4 with a 16-byte key over zone,
 * family, protocol and original tuple.  All nodes of a cluster use one key.
 */
uint64_t	 flow_hash(const uint8_t key[16], const struct flow *f);
/* SipHash-2-4 of len bytes (the reference function; unit-tested vectors). */
uint64_t	 flow_siphash(const uint8_t key[16], const void *data,
		    size_t len);
/* An address of a tuple as ipaddr; which 0 src, 1 dst. */
void		 flow_addr(const struct flow *f, const struct flow_tuple *t,
		    int which, struct ipaddr *out);
#define FLOW_STRLEN	256
/*
 * "tcp 10.0.0.2:4000 -> 192.0.2.9:80 snat 203.0.113.1:4000 ESTABLISHED zone 3"
 * into buf, which is returned.
 */
const char	*flow_print(const struct flow *f, char *buf, size_t len);

#endif
