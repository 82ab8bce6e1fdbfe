/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The native dialect: what our own nodes say to each other over protocol 240.
 * A packet is a pfsync header of version 6 with len 20, which BSD receivers
 * find empty, then ours, then the authentication trailer (trailer.h), always
 * the last 64 bytes.  Pure; bytes to host-order structs and back.
 *
 *	off size
 *	  0   20  pfsync header: version 6, 0, len 20, zeros
 *	 20    4  magic "pfsN"
 *	 24    1  version 1
 *	 25    1  flags
 *	 26    2  length from byte 20 to the trailer, a multiple of 4
 *	 28    4  boot: changes when the sender's kernel lost its table
 *	 32    4  count of flows that the sender carries
 *	 36    8  sum of what it carries, after this packet (statedb_sums.all)
 *	 44    8  clock: newest stamp that the sender gave or saw
 *	 52       TLVs: type 1, flags 1, length 2 (of the value, a multiple of
 *		  4), value.  Unknown types are skipped.
 *
 * All big-endian; node, epoch and sequence are those of the trailer.
 */
#ifndef COMMON_WIRE_NATIVE_H
#define COMMON_WIRE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ibuf.h"

#define NATIVE_HDR		52	/* pfsync header and ours */
#define NATIVE_MAGIC		0x7066734eU
#define NATIVE_VERSION		1
#define NATIVE_SEALED		0x80	/* bit of the version: the TLVs are
					   encrypted (pfsyncd/crypt.h) */
#define NATIVE_TLV		4	/* head of a TLV */

#define NATIVE_F_STARTING	0x01	/* do not compare my sum yet */
#define NATIVE_F_LEAVING	0x02	/* I stop now; I am not dead */
#define NATIVE_F_ACK		0x04	/* please acknowledge */
#define NATIVE_F_MASTER		0x08	/* a vhid is MASTER here */
/*
 * Bits 4 to 7, a number modulo 16: how often the sender became MASTER since
 * its start.  One that was and is it no more between two packets shows by that.
 */
#define NATIVE_F_TURNS		4	/* shift */

struct native_hdr {
	uint8_t		 flags;
	uint32_t	 boot;
	uint32_t	 count;
	uint64_t	 sum;
	uint64_t	 clock;
};

enum native_type {
	NATIVE_PAD = 0,
	NATIVE_ACK = 1,		/* native_ack[] */
	NATIVE_FLOW4 = 2,	/* records of NATIVE_FLOW4_LEN */
	NATIVE_FLOW6 = 3,	/* records of NATIVE_FLOW6_LEN */
	NATIVE_DEL = 4,		/* native_del[]: h, stamp */
	NATIVE_REFRESH = 5,	/* native_refresh[]: h, timeout */
	NATIVE_ASK_GROUPS = 6,	/* u32 node: your 64 group sums */
	NATIVE_GROUPS = 7,	/* 64 x u64 */
	NATIVE_ASK_BUCKETS = 8,	/* u32 node, u64 groups (bit g): their sums */
	NATIVE_BUCKETS = 9,	/* u32 group, 64 x u64 */
	NATIVE_ASK_KEYS = 10,	/* u32 node, n x u32 bucket */
	NATIVE_KEYS = 11,	/* u32 bucket, u32 0, u64 lo, u64 hi, and all
				   (h, stamp) of the sender in [lo, hi] */
	NATIVE_ASK_BULK = 12,	/* u32 node, u32 first, u32 last bucket */
	NATIVE_ASK_FLOWS = 13,	/* u32 node, n x u64 h */
	NATIVE_KILL = 14,	/* u32 node, u32 0, n x (h, stamp): lost a
				   clash, delete it */
	NATIVE_MTU = 15,	/* u32 bytes: of the sender's syncdev; what is
				   longer with its IP header may not arrive */
	NATIVE_ASK_ACK = 16,	/* (h, stamp)[]: say so when your kernel has
				   them: first packets wait for that */
	NATIVE_INS_ACK = 17,	/* u32 node, u32 0, n x (h, stamp): mine has
				   them */
	NATIVE_MASTERS = 18	/* n x id of NATIVE_VHOST_LEN bytes: vhosts
				   that are MASTER at the sender, as carpd names
				   them (first bytes of SHA-256 over vhid and
				   sorted addresses) */
};

#define NATIVE_VHOST_LEN	8

struct native_ack {		/* 24 bytes: to one peer */
	uint32_t	 node;		/* whose packets are acknowledged */
	uint32_t	 window;	/* packets it may send beyond seq */
	uint64_t	 epoch;
	uint64_t	 seq;		/* highest heard */
};
#define NATIVE_ACK_LEN		24

struct native_del { uint64_t h, stamp; };
#define NATIVE_DEL_LEN		16
struct native_refresh { uint64_t h; uint32_t timeout; };
#define NATIVE_REFRESH_LEN	12

/*
 * One flow.  Tuples as in pfsyncd/flow.h: af 4 or 6, ports in host order.
 *
 * On the wire: stamp 8, carrier 4, creator 4; original src, dst, sport,
 * dport; reply src, dst, sport, dport; mark 4, timeout 4, zone 2, proto 1,
 * status 1 (bit 0 reply seen, 1 assured, 2-7 life), tcp_state 1, tcp_flags
 * 2, wscale 1 (original << 4 | reply).
 */
struct native_flow {
	uint64_t	 stamp;
	uint32_t	 carrier, creator;	/* node ids */
	uint32_t	 mark, timeout;
	uint16_t	 zone;
	uint8_t		 proto;
	bool		 seen_reply, assured;
	uint8_t		 life;			/* 0..63 */
	uint8_t		 tcp_state;
	uint8_t		 tcp_flags[2];
	uint8_t		 wscale[2];		/* 0..15 */
	uint8_t		 osrc[16], odst[16], rsrc[16], rdst[16];
	uint16_t	 osport, odport, rsport, rdport;
};
#define NATIVE_FLOW4_LEN	56
#define NATIVE_FLOW6_LEN	104

/*
 * Is there a native packet in the len bytes at pkt (from the pfsync header
 * on, trailer included)?  true: hdr is set, *tlv and *tlvlen view its TLVs,
 * which are well-formed as a sequence, and *trailer_off says where the
 * trailer must begin.
 */
bool		 native_parse(const uint8_t *pkt, size_t len,
		    struct native_hdr *hdr, const uint8_t **tlv,
		    size_t *tlvlen, size_t *trailer_off);
/*
 * The same of one whose TLVs are encrypted, of which no more can be said;
 * native_parse() does not take it until it is marked otherwise.
 */
bool		 native_sealed(const uint8_t *pkt, size_t len,
		    size_t *trailer_off);
void		 native_mark_sealed(uint8_t *pkt, bool sealed);
/*
 * Iterate TLVs of a parsed packet; *off starts at 0.  true: type is set, and
 * val views the value.  NATIVE_PAD is passed over.
 */
bool		 native_tlv(const uint8_t *tlv, size_t tlvlen, size_t *off,
		    uint8_t *type, struct rbuf *val);
/*
 * Read one record of FLOW4 (af 4) or FLOW6; false when there is none left.  No
 * value in it is judged: flow_check() does that.
 */
bool		 native_get_flow(struct rbuf *r, int af, struct native_flow *f);
void		 native_put_flow(struct wbuf *w, int af,
		    const struct native_flow *f);
/* One record of NATIVE_ACK; false when there is none left. */
bool		 native_get_ack(struct rbuf *r, struct native_ack *a);
void		 native_put_ack(struct wbuf *w, const struct native_ack *a);

/*
 * Build: native_begin() into a buffer, then TLVs between native_open() and
 * native_close() with the mark that open gave, then native_end(), which fills
 * the header in and returns the length up to the trailer, 0 when it did not
 * fit.  An empty TLV is taken out by close.
 */
void		 native_begin(struct wbuf *w);
size_t		 native_open(struct wbuf *w, uint8_t type);
void		 native_close(struct wbuf *w, size_t mark);
size_t		 native_end(struct wbuf *w, const struct native_hdr *hdr);

#endif
