/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsync(4) as the BSD kernels speak it: header, subheaders, messages of
 * version 6 (OpenBSD) and version 5 (FreeBSD: 1301, 1400, 1500).  Pure, bytes
 * to host-order structs and back.  Layouts: if_pfsync.h and pfvar.h of both
 * systems; identities are kept as numbers read big-endian.
 */
#ifndef COMMON_WIRE_PFSYNC_H
#define COMMON_WIRE_PFSYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ibuf.h"

#define PFSYNC_PROTO		240
#define PFSYNC_HDR_LEN		20
#define PFSYNC_SUBHDR_LEN	4
#define PFSYNC_TTL		255
#define PFSYNC_TOS		0x10
#define PFSYNC_VERSION_OPENBSD	6
#define PFSYNC_VERSION_FREEBSD	5

enum pfsync_action {	/* version 6; 5 differs from 13 on */
	PFSYNC_CLR = 0, PFSYNC_OLD_INS = 1, PFSYNC_INS_ACK = 2,
	PFSYNC_OLD_UPD = 3, PFSYNC_UPD_C = 4, PFSYNC_UPD_REQ = 5,
	PFSYNC_DEL = 6, PFSYNC_DEL_C = 7, PFSYNC_INS_F = 8, PFSYNC_DEL_F = 9,
	PFSYNC_BUS = 10, PFSYNC_OLD_TDB = 11, PFSYNC_EOF = 12,
	PFSYNC_INS = 13, PFSYNC_UPD = 14, PFSYNC_TDB = 15,
	/* version 5 */
	PFSYNC_INS_1301 = 1, PFSYNC_UPD_1301 = 3,
	PFSYNC_INS_1400 = 13, PFSYNC_UPD_1400 = 14,
	PFSYNC_INS_1500 = 15, PFSYNC_UPD_1500 = 16
};

/* The layout of full states. */
enum pfsync_form { PFSYNC_FORM_OPENBSD, PFSYNC_FORM_1301, PFSYNC_FORM_1400,
	    PFSYNC_FORM_1500, PFSYNC_FORM_MAX };
extern const size_t pfsync_state_len[PFSYNC_FORM_MAX];	/* 264 242 277 360 */

#define PFSYNC_SCRUB_VALID	1

struct pfsync_peer {			/* 32 on the wire */
	uint16_t	 scrub_flags;
	uint8_t		 scrub_ttl, scrub_flag;
	uint32_t	 ts_mod;
	uint32_t	 seqlo, seqhi, seqdiff;
	uint16_t	 max_win, mss;
	uint8_t		 state, wscale;
};

struct pfsync_key {
	uint8_t		 addr[2][16];
	uint16_t	 port[2];		/* host order */
	uint16_t	 rdomain;		/* OpenBSD */
	uint8_t		 af;			/* OpenBSD: as on the wire
						   (both keys may have 0);
						   FreeBSD: the state's */
};

/*
 * PF's own words; [0] wire and [1] stack where there are two keys.  Decoded,
 * what a form does not have is 0, and rtableid -1; 1400 and 1500 have only
 * rtableid[0].
 */
struct pfsync_state {
	uint64_t	 id;
	uint32_t	 creatorid;
	char		 ifname[16];		/* raw, NUL padded */
	struct pfsync_key key[2];
	struct pfsync_peer src, dst;
	uint8_t		 rt_addr[16];
	uint32_t	 rule, anchor, nat_rule;
	uint32_t	 creation, expire;
	uint64_t	 packets[2], bytes[2];
	int32_t		 rtableid[2];
	uint16_t	 max_mss;
	uint8_t		 af, proto;		/* outer; 1500: wire */
	uint8_t		 stack_af, stack_proto, rt_af;	/* 1500 */
	uint8_t		 direction;		/* 1 in, 2 out */
	uint8_t		 log, rt, timeout, sync_flags, updates;
	uint8_t		 min_ttl, set_tos;
	uint16_t	 state_flags;
	uint8_t		 set_prio[2];
	uint16_t	 qid, pqid, dnpipe, dnrpipe;	/* FreeBSD */
	char		 rt_ifname[16], orig_ifname[16];
	char		 tagname[64];
};

#define PFSYNC_DIR_IN		1
#define PFSYNC_DIR_OUT		2
#define PFSYNC_STATE_NOSYNC	0x0008
#define PFSYNC_STATE_ACK	0x0010
#define PFSYNC_STATE_SLOPPY	0x0002
#define PFSYNC_PEERSTATE_MAX	12
#define PFSYNC_AF_INET		2
#define PFSYNC_AF_INET6_OPENBSD	24
#define PFSYNC_AF_INET6_FREEBSD	28

struct pfsync_upd_c {
	uint64_t	 id;
	uint32_t	 creatorid;
	struct pfsync_peer src, dst;
	uint32_t	 expire;
	uint8_t		 timeout, state_flags;
};
struct pfsync_id {			/* DEL_C, INS_ACK, UPD_REQ */
	uint64_t	 id;
	uint32_t	 creatorid;
};
struct pfsync_clr {
	char		 ifname[16];
	uint32_t	 creatorid;
};
#define PFSYNC_BUS_START	1
#define PFSYNC_BUS_END		2
struct pfsync_bus {
	uint32_t	 creatorid, endtime;
	uint8_t		 status;
};
struct pfsync_tdb {
	uint32_t	 spi;
	uint8_t		 dst[28];
	uint64_t	 rpl, cur_bytes;
	uint8_t		 sproto, updates;
	uint16_t	 rdomain;
};

/* netstat -s -p pfsync, in the kernel's order, and ours */
enum pfsync_counter {
	PFSYNC_C_IPACKETS, PFSYNC_C_IPACKETS6, PFSYNC_C_BADIF,
	PFSYNC_C_BADTTL, PFSYNC_C_HDROPS, PFSYNC_C_BADVER, PFSYNC_C_BADACT,
	PFSYNC_C_BADLEN, PFSYNC_C_BADAUTH, PFSYNC_C_STALE, PFSYNC_C_BADVAL,
	PFSYNC_C_BADSTATE, PFSYNC_C_OPACKETS, PFSYNC_C_OPACKETS6,
	PFSYNC_C_ONOMEM, PFSYNC_C_OERRORS, PFSYNC_C_REPLAY,
	PFSYNC_C_UNAUTH, PFSYNC_C_DROPPED_FILTER, PFSYNC_C_MAX
};
extern const char *const pfsync_counter_names[PFSYNC_C_MAX];

struct pfsync_hdr {
	uint8_t		 version;
	uint16_t	 len;
	bool		 cksum_zero;	/* pfcksum is all zeros */
};

/*
 * The header in the len bytes at pkt.  PFSYNC_C_MAX: fine; else the counter to
 * raise (hdrops, badver, badlen; len below 20 is badlen).  h is what stands
 * there also when refused, all 0 for hdrops.
 */
enum pfsync_counter pfsync_parse_hdr(const uint8_t *pkt, size_t len,
		    struct pfsync_hdr *h);

/* One message handed out by pfsync_walk(). */
struct pfsync_msg {
	uint8_t		 action;	/* of its version */
	enum pfsync_form form;		/* of INS and UPD */
	uint16_t	 index, count;	/* which of how many in its region */
	union {
		struct pfsync_state	 state;	/* INS, UPD */
		struct pfsync_upd_c	 upd_c;
		struct pfsync_id	 id;	/* DEL_C INS_ACK UPD_REQ DEL */
		struct pfsync_clr	 clr;
		struct pfsync_bus	 bus;
		struct pfsync_tdb	 tdb;
	};
};
/* What a message means, whatever the version says for a number. */
enum pfsync_kind { PFSYNC_K_NONE, PFSYNC_K_CLR, PFSYNC_K_INS, PFSYNC_K_UPD,
	    PFSYNC_K_UPD_C, PFSYNC_K_DEL_C, PFSYNC_K_UPD_REQ,
	    PFSYNC_K_INS_ACK, PFSYNC_K_BUS, PFSYNC_K_TDB };
#define PFSYNC_KINDS	(PFSYNC_K_TDB + 1)
extern const char *const pfsync_kind_names[PFSYNC_KINDS];	/* ins, upd_c */
enum pfsync_kind pfsync_kind(uint8_t version, uint8_t action);

typedef void (*pfsync_msg_cb)(const struct pfsync_msg *m,
	    enum pfsync_kind kind, void *arg);
/*
 * A region was met, before it is judged: for tests and counting.  size as on
 * the wire (units of 4 bytes, 0 in version 5), off where its subheader stands.
 */
typedef void (*pfsync_region_cb)(uint8_t action, uint8_t size, uint16_t count,
	    size_t off, void *arg);

/*
 * Walk the regions of a packet (header included) by the rules of pfsync_input()
 * (version 6 as OpenBSD 7.4 and later; version 5 as FreeBSD 15): each valid
 * message goes to msg, those with a bad value (stricter than there: direction
 * 1 or 2, names with a NUL, known af of the dialect, no unspecified address)
 * are counted badval and passed over.  count: array of PFSYNC_C_MAX that is
 * added to, by a bad header too; ipackets is the caller's.  region may be
 * NULL.  The message is valid during the call only; DEL of version 6 comes as
 * DEL_C.
 */
void		 pfsync_walk(const uint8_t *pkt, size_t len,
		    pfsync_msg_cb msg, pfsync_region_cb region,
		    uint64_t *count, void *arg);

/* ---- build ---- */

/* Header with version, zero checksum; len is filled in by pfsync_end(). */
void		 pfsync_begin(struct wbuf *w, uint8_t version);
/*
 * Call before each message is put: a region of one message; the next of the
 * same action and length joins it when nothing was put in between.  *r is
 * zeroed for a packet, and to get a region of its own (INS and UPD of 1301:
 * FreeBSD 14 misreads a second one).  EOF of version 5 has msglen 0.
 */
struct pfsync_region { size_t off; uint8_t action; uint16_t count; };
void		 pfsync_region(struct wbuf *w, struct pfsync_region *r,
		    uint8_t version, uint8_t action, size_t msglen);
void		 pfsync_put_state(struct wbuf *w, enum pfsync_form form,
		    const struct pfsync_state *s);
void		 pfsync_put_upd_c(struct wbuf *w, uint8_t version,
		    const struct pfsync_upd_c *u);
void		 pfsync_put_id(struct wbuf *w, const struct pfsync_id *i);
void		 pfsync_put_clr(struct wbuf *w, const struct pfsync_clr *c);
void		 pfsync_put_bus(struct wbuf *w, const struct pfsync_bus *b);
void		 pfsync_put_tdb(struct wbuf *w, const struct pfsync_tdb *t);
/* Fill len in; returns it, 0 when the packet did not fit. */
size_t		 pfsync_end(struct wbuf *w);
/* Read one full state of that form, whatever its values; false when short. */
bool		 pfsync_get_state(struct rbuf *r, enum pfsync_form form,
		    struct pfsync_state *s);

#endif
