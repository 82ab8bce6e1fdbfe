/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The layouts of sys/net/if_pfsync.h and sys/net/pfvar.h of OpenBSD and
 * FreeBSD, and the loop over regions of if_pfsync.c of both.  Layout, lengths
 * and the range of values only: what a message does is not decided here.
 *
 * Each layout is written down once, as a list of (offset, field) that is
 * expanded into its reader and its writer.  The reader works on a view that
 * ibuf has checked for the length of the whole message.
 */
#include <endian.h>
#include <string.h>

#include "pfsync.h"

/* pfsync header */
#define HDR_CKSUM	4
#define HDR_LEN		2
#define CKSUM_LEN	16
/* subheader */
#define SUB_COUNT	2
#define SIZE_UNIT	4	/* of its second byte in version 6 */

#define CLR_LEN		20
#define ID_LEN		12
#define ID_CREATOR	8
#define UPD_C_LEN	84
#define BUS_LEN		12
#define TDB_LEN		52
#define OLD_TDB_LEN	48

/* First timer number that is no state timer and the limit of FreeBSD 14 */
#define TIMEOUT_LIMIT		20
#define TIMEOUT_LIMIT_SCTP	25

const size_t pfsync_state_len[PFSYNC_FORM_MAX] = {
	[PFSYNC_FORM_OPENBSD] = 264,
	[PFSYNC_FORM_1301] = 242,
	[PFSYNC_FORM_1400] = 277,
	[PFSYNC_FORM_1500] = 360
};

const char *const pfsync_counter_names[PFSYNC_C_MAX] = {
	[PFSYNC_C_IPACKETS] = "ipackets",
	[PFSYNC_C_IPACKETS6] = "ipackets6",
	[PFSYNC_C_BADIF] = "badif",
	[PFSYNC_C_BADTTL] = "badttl",
	[PFSYNC_C_HDROPS] = "hdrops",
	[PFSYNC_C_BADVER] = "badver",
	[PFSYNC_C_BADACT] = "badact",
	[PFSYNC_C_BADLEN] = "badlen",
	[PFSYNC_C_BADAUTH] = "badauth",
	[PFSYNC_C_STALE] = "stale",
	[PFSYNC_C_BADVAL] = "badval",
	[PFSYNC_C_BADSTATE] = "badstate",
	[PFSYNC_C_OPACKETS] = "opackets",
	[PFSYNC_C_OPACKETS6] = "opackets6",
	[PFSYNC_C_ONOMEM] = "onomem",
	[PFSYNC_C_OERRORS] = "oerrors",
	[PFSYNC_C_REPLAY] = "replay",
	[PFSYNC_C_UNAUTH] = "unauth",
	[PFSYNC_C_DROPPED_FILTER] = "dropped_filter"
};

/* ---- fields ---- */

/* n is 1, 2, 4 or 8, and constant, so that one case is left. */
static inline uint64_t
load(const uint8_t *p, size_t n)
{
	uint16_t	 v16;
	uint32_t	 v32;
	uint64_t	 v64;

	switch (n) {
	case 2:
		memcpy(&v16, p, sizeof(v16));
		return (be16toh(v16));
	case 4:
		memcpy(&v32, p, sizeof(v32));
		return (be32toh(v32));
	case 8:
		memcpy(&v64, p, sizeof(v64));
		return (be64toh(v64));
	default:
		return (*p);
	}
}

static inline void
store(uint8_t *p, uint64_t v, size_t n)
{
	uint16_t	 v16 = htobe16((uint16_t)v);
	uint32_t	 v32 = htobe32((uint32_t)v);
	uint64_t	 v64 = htobe64(v);

	switch (n) {
	case 2:
		memcpy(p, &v16, sizeof(v16));
		break;
	case 4:
		memcpy(p, &v32, sizeof(v32));
		break;
	case 8:
		memcpy(p, &v64, sizeof(v64));
		break;
	default:
		*p = (uint8_t)v;
		break;
	}
}

/*
 * What a list below expands to: NUM of n bytes, big-endian, or MEM as it is,
 * at offset o of p, field f of s.
 */
#define GET_NUM(o, n, f)	s->f = (__typeof__(s->f))load(p + (o), n);
#define GET_MEM(o, n, f)	memcpy(&s->f, p + (o), n);
#define PUT_NUM(o, n, f)	store(p + (o), (uint64_t)s->f, n);
#define PUT_MEM(o, n, f)	memcpy(p + (o), &s->f, n);

/* The reader and the writer of one list. */
#define CODEC(name, type, LAYOUT)					\
static inline void							\
get_##name(const uint8_t *p, struct type *s)				\
{									\
	LAYOUT(GET_NUM, GET_MEM)					\
}									\
static inline void							\
put_##name(uint8_t *p, const struct type *s)				\
{									\
	LAYOUT(PUT_NUM, PUT_MEM)					\
}

/* struct pfsync_state_peer with its pfsync_state_scrub */
#define PEER_LAYOUT(NUM, MEM)		\
	NUM(0, 2, scrub_flags)		\
	NUM(2, 1, scrub_ttl)		\
	NUM(3, 1, scrub_flag)		\
	NUM(4, 4, ts_mod)		\
	NUM(8, 4, seqlo)		\
	NUM(12, 4, seqhi)		\
	NUM(16, 4, seqdiff)		\
	NUM(20, 2, max_win)		\
	NUM(22, 2, mss)			\
	NUM(24, 1, state)		\
	NUM(25, 1, wscale)
CODEC(peer, pfsync_peer, PEER_LAYOUT)

/* struct pfsync_state_key; OpenBSD's goes on after KEY_LEN */
#define KEY_LAYOUT(NUM, MEM)		\
	MEM(0, 32, addr)		\
	NUM(32, 2, port[0])		\
	NUM(34, 2, port[1])
CODEC(key, pfsync_key, KEY_LAYOUT)
#define KEY_LEN		36
#define KEY_TAIL_LAYOUT(NUM, MEM)	\
	NUM(36, 2, rdomain)		\
	NUM(38, 1, af)
CODEC(key_tail, pfsync_key, KEY_TAIL_LAYOUT)
#define KEY_LEN_OPENBSD	40

/*
 * A state of any form: begins alike, then two keys, then the body, then what
 * is its own.
 */
#define STATE_KEYS	24
#define BODY_SRC	0
#define BODY_DST	32
#define BODY_CREATOR	132
#define STATE_HEAD_LAYOUT(NUM, MEM)	\
	NUM(0, 8, id)			\
	MEM(8, 16, ifname)
CODEC(state_head, pfsync_state, STATE_HEAD_LAYOUT)

#define STATE_BODY_LAYOUT(NUM, MEM)	\
	MEM(64, 16, rt_addr)		\
	NUM(80, 4, rule)		\
	NUM(84, 4, anchor)		\
	NUM(88, 4, nat_rule)		\
	NUM(92, 4, creation)		\
	NUM(96, 4, expire)		\
	NUM(100, 8, packets[0])		\
	NUM(108, 8, packets[1])		\
	NUM(116, 8, bytes[0])		\
	NUM(124, 8, bytes[1])		\
	NUM(BODY_CREATOR, 4, creatorid)
CODEC(state_body, pfsync_state, STATE_BODY_LAYOUT)

#define OPENBSD_LAYOUT(NUM, MEM)	\
	NUM(240, 4, rtableid[0])	\
	NUM(244, 4, rtableid[1])	\
	NUM(248, 2, max_mss)		\
	NUM(250, 1, af)			\
	NUM(251, 1, proto)		\
	NUM(252, 1, direction)		\
	NUM(253, 1, log)		\
	NUM(254, 1, rt)			\
	NUM(255, 1, timeout)		\
	NUM(256, 1, sync_flags)		\
	NUM(257, 1, updates)		\
	NUM(258, 1, min_ttl)		\
	NUM(259, 1, set_tos)		\
	NUM(260, 2, state_flags)	\
	NUM(262, 1, set_prio[0])	\
	NUM(263, 1, set_prio[1])
CODEC(openbsd, pfsync_state, OPENBSD_LAYOUT)

#define F1301_LAYOUT(NUM, MEM)		\
	NUM(232, 1, af)			\
	NUM(233, 1, proto)		\
	NUM(234, 1, direction)		\
	NUM(237, 1, log)		\
	NUM(238, 1, state_flags)	\
	NUM(239, 1, timeout)		\
	NUM(240, 1, sync_flags)		\
	NUM(241, 1, updates)
CODEC(f1301, pfsync_state, F1301_LAYOUT)

#define F1400_LAYOUT(NUM, MEM)		\
	NUM(232, 1, af)			\
	NUM(233, 1, proto)		\
	NUM(234, 1, direction)		\
	NUM(235, 2, state_flags)	\
	NUM(237, 1, log)		\
	NUM(239, 1, timeout)		\
	NUM(240, 1, sync_flags)		\
	NUM(241, 1, updates)		\
	NUM(242, 2, qid)		\
	NUM(244, 2, pqid)		\
	NUM(246, 2, dnpipe)		\
	NUM(248, 2, dnrpipe)		\
	NUM(250, 4, rtableid[0])	\
	NUM(254, 1, min_ttl)		\
	NUM(255, 1, set_tos)		\
	NUM(256, 2, max_mss)		\
	NUM(258, 1, set_prio[0])	\
	NUM(259, 1, set_prio[1])	\
	NUM(260, 1, rt)			\
	MEM(261, 16, rt_ifname)
CODEC(f1400, pfsync_state, F1400_LAYOUT)

#define F1500_LAYOUT(NUM, MEM)		\
	MEM(232, 64, tagname)		\
	MEM(296, 16, rt_ifname)		\
	MEM(312, 16, orig_ifname)	\
	NUM(328, 4, rtableid[0])	\
	NUM(332, 2, state_flags)	\
	NUM(334, 2, qid)		\
	NUM(336, 2, pqid)		\
	NUM(338, 2, dnpipe)		\
	NUM(340, 2, dnrpipe)		\
	NUM(342, 2, max_mss)		\
	NUM(344, 1, af)			\
	NUM(345, 1, stack_af)		\
	NUM(346, 1, rt_af)		\
	NUM(347, 1, proto)		\
	NUM(348, 1, stack_proto)	\
	NUM(349, 1, log)		\
	NUM(350, 1, timeout)		\
	NUM(351, 1, direction)		\
	NUM(352, 1, rt)			\
	NUM(353, 1, min_ttl)		\
	NUM(354, 1, set_tos)		\
	NUM(355, 1, set_prio[0])	\
	NUM(356, 1, set_prio[1])
CODEC(f1500, pfsync_state, F1500_LAYOUT)

#define UPD_C_SRC	8
#define UPD_C_DST	40
#define UPD_C_LAYOUT(NUM, MEM)		\
	NUM(0, 8, id)			\
	NUM(72, 4, creatorid)		\
	NUM(76, 4, expire)		\
	NUM(80, 1, timeout)
CODEC(upd_c, pfsync_upd_c, UPD_C_LAYOUT)
#define UPD_C_FLAGS	81		/* version 6 */

#define ID_LAYOUT(NUM, MEM)		\
	NUM(0, 8, id)			\
	NUM(ID_CREATOR, 4, creatorid)
CODEC(id, pfsync_id, ID_LAYOUT)

#define CLR_LAYOUT(NUM, MEM)		\
	MEM(0, 16, ifname)		\
	NUM(16, 4, creatorid)
CODEC(clr, pfsync_clr, CLR_LAYOUT)

#define BUS_LAYOUT(NUM, MEM)		\
	NUM(0, 4, creatorid)		\
	NUM(4, 4, endtime)		\
	NUM(8, 1, status)
CODEC(bus, pfsync_bus, BUS_LAYOUT)

#define TDB_LAYOUT(NUM, MEM)		\
	NUM(0, 4, spi)			\
	MEM(4, 28, dst)			\
	NUM(32, 8, rpl)			\
	NUM(40, 8, cur_bytes)		\
	NUM(48, 1, sproto)		\
	NUM(49, 1, updates)		\
	NUM(50, 2, rdomain)
CODEC(tdb, pfsync_tdb, TDB_LAYOUT)

/* Never sent, so there is no writer. */
#define OLD_TDB_LAYOUT(NUM, MEM)	\
	NUM(0, 4, spi)			\
	MEM(4, 28, dst)			\
	NUM(32, 4, rpl)			\
	NUM(36, 8, cur_bytes)		\
	NUM(44, 1, sproto)		\
	NUM(45, 1, updates)
static inline void
get_old_tdb(const uint8_t *p, struct pfsync_tdb *s)
{
	OLD_TDB_LAYOUT(GET_NUM, GET_MEM)
	s->rdomain = 0;
}

/* ---- actions ---- */

struct action {
	enum pfsync_kind	 kind;	/* NONE: without handler */
	size_t			 len;	/* of one message */
	enum pfsync_form	 form;
};

static const struct action actions_openbsd[] = {
	[PFSYNC_CLR] = { PFSYNC_K_CLR, CLR_LEN, 0 },
	[PFSYNC_INS_ACK] = { PFSYNC_K_INS_ACK, ID_LEN, 0 },
	[PFSYNC_UPD_C] = { PFSYNC_K_UPD_C, UPD_C_LEN, 0 },
	[PFSYNC_UPD_REQ] = { PFSYNC_K_UPD_REQ, ID_LEN, 0 },
	/* a full state of which only the identity counts */
	[PFSYNC_DEL] = { PFSYNC_K_DEL_C, 264, PFSYNC_FORM_OPENBSD },
	[PFSYNC_DEL_C] = { PFSYNC_K_DEL_C, ID_LEN, 0 },
	[PFSYNC_BUS] = { PFSYNC_K_BUS, BUS_LEN, 0 },
	[PFSYNC_INS] = { PFSYNC_K_INS, 264, PFSYNC_FORM_OPENBSD },
	[PFSYNC_UPD] = { PFSYNC_K_UPD, 264, PFSYNC_FORM_OPENBSD },
	[PFSYNC_TDB] = { PFSYNC_K_TDB, TDB_LEN, 0 }
};

static const struct action actions_freebsd[] = {
	[PFSYNC_CLR] = { PFSYNC_K_CLR, CLR_LEN, 0 },
	[PFSYNC_INS_1301] = { PFSYNC_K_INS, 242, PFSYNC_FORM_1301 },
	[PFSYNC_INS_ACK] = { PFSYNC_K_INS_ACK, ID_LEN, 0 },
	[PFSYNC_UPD_1301] = { PFSYNC_K_UPD, 242, PFSYNC_FORM_1301 },
	[PFSYNC_UPD_C] = { PFSYNC_K_UPD_C, UPD_C_LEN, 0 },
	[PFSYNC_UPD_REQ] = { PFSYNC_K_UPD_REQ, ID_LEN, 0 },
	[PFSYNC_DEL_C] = { PFSYNC_K_DEL_C, ID_LEN, 0 },
	[PFSYNC_BUS] = { PFSYNC_K_BUS, BUS_LEN, 0 },
	[PFSYNC_OLD_TDB] = { PFSYNC_K_TDB, OLD_TDB_LEN, 0 },
	[PFSYNC_INS_1400] = { PFSYNC_K_INS, 277, PFSYNC_FORM_1400 },
	[PFSYNC_UPD_1400] = { PFSYNC_K_UPD, 277, PFSYNC_FORM_1400 },
	[PFSYNC_INS_1500] = { PFSYNC_K_INS, 360, PFSYNC_FORM_1500 },
	[PFSYNC_UPD_1500] = { PFSYNC_K_UPD, 360, PFSYNC_FORM_1500 }
};

#define NACTIONS(a)	(sizeof(a) / sizeof((a)[0]))

/* NULL: beyond the table of that version. */
static const struct action *
action_of(uint8_t version, uint8_t action)
{
	if (version == PFSYNC_VERSION_OPENBSD)
		return (action < NACTIONS(actions_openbsd) ?
		    &actions_openbsd[action] : NULL);
	return (action < NACTIONS(actions_freebsd) ?
	    &actions_freebsd[action] : NULL);
}

const char *const pfsync_kind_names[PFSYNC_KINDS] = {
	[PFSYNC_K_NONE] = "other",
	[PFSYNC_K_CLR] = "clr",
	[PFSYNC_K_INS] = "ins",
	[PFSYNC_K_UPD] = "upd",
	[PFSYNC_K_UPD_C] = "upd_c",
	[PFSYNC_K_DEL_C] = "del_c",
	[PFSYNC_K_UPD_REQ] = "upd_req",
	[PFSYNC_K_INS_ACK] = "ins_ack",
	[PFSYNC_K_BUS] = "bus",
	[PFSYNC_K_TDB] = "tdb",
};

enum pfsync_kind
pfsync_kind(uint8_t version, uint8_t action)
{
	const struct action	*a = NULL;

	if (version == PFSYNC_VERSION_OPENBSD ||
	    version == PFSYNC_VERSION_FREEBSD)
		a = action_of(version, action);
	return (a == NULL ? PFSYNC_K_NONE : a->kind);
}

/* ---- read ---- */

/* p holds pfsync_state_len[form]; fields that form lacks are left alone. */
static void
get_state(const uint8_t *p, enum pfsync_form form, struct pfsync_state *s)
{
	bool		 openbsd = form == PFSYNC_FORM_OPENBSD;
	size_t		 keylen = openbsd ? KEY_LEN_OPENBSD : KEY_LEN;
	const uint8_t	*key = p + STATE_KEYS, *body = key + 2 * keylen;

	get_state_head(p, s);
	get_key(key, &s->key[0]);
	get_key(key + keylen, &s->key[1]);
	get_peer(body + BODY_SRC, &s->src);
	get_peer(body + BODY_DST, &s->dst);
	get_state_body(body, s);
	if (openbsd) {
		get_key_tail(key, &s->key[0]);
		get_key_tail(key + keylen, &s->key[1]);
		get_openbsd(p, s);
		return;
	}
	s->rtableid[0] = s->rtableid[1] = -1;
	if (form == PFSYNC_FORM_1301)
		get_f1301(p, s);
	else if (form == PFSYNC_FORM_1400)
		get_f1400(p, s);
	else
		get_f1500(p, s);
	s->key[0].af = s->af;
	s->key[1].af = form == PFSYNC_FORM_1500 ? s->stack_af : s->af;
}

bool
pfsync_get_state(struct rbuf *r, enum pfsync_form form,
    struct pfsync_state *s)
{
	const uint8_t	*p = rbuf_view(r, pfsync_state_len[form]);

	memset(s, 0, sizeof(*s));
	if (p == NULL)
		return (false);
	get_state(p, form, s);
	return (true);
}

/* Peer states and timer, all that a kernel checks of UPD and UPD_C. */
static bool
progress_ok(const struct pfsync_peer *src, const struct pfsync_peer *dst,
    uint8_t timeout, uint8_t limit)
{
	return (src->state <= PFSYNC_PEERSTATE_MAX &&
	    dst->state <= PFSYNC_PEERSTATE_MAX && timeout < limit);
}

static bool
name_ok(const char *name, size_t size)
{
	return (memchr(name, '\0', size) != NULL);
}

static bool
af_ok(enum pfsync_form form, uint8_t af)
{
	return (af == PFSYNC_AF_INET || af == (form == PFSYNC_FORM_OPENBSD ?
	    PFSYNC_AF_INET6_OPENBSD : PFSYNC_AF_INET6_FREEBSD));
}

static bool
key_ok(const struct pfsync_key *k, uint8_t af)
{
	static const uint8_t	 zero[16];
	size_t			 len = af == PFSYNC_AF_INET ? 4 : 16;

	return (memcmp(k->addr[0], zero, len) != 0 &&
	    memcmp(k->addr[1], zero, len) != 0);
}

/* OpenBSD takes keys whose families are both 0: then the outer one counts. */
static bool
keys_ok(const struct pfsync_state *s, enum pfsync_form form)
{
	uint8_t	 wire = s->key[0].af, stack = s->key[1].af;

	if (!af_ok(form, s->af))
		return (false);
	if (wire == 0 && stack == 0)
		wire = stack = s->af;
	return (af_ok(form, wire) && af_ok(form, stack) &&
	    key_ok(&s->key[0], wire) && key_ok(&s->key[1], stack));
}

static bool
state_ok(const struct pfsync_state *s, enum pfsync_form form)
{
	uint8_t	 limit = TIMEOUT_LIMIT;

	if (form == PFSYNC_FORM_1400 || form == PFSYNC_FORM_1500)
		limit = TIMEOUT_LIMIT_SCTP;
	return (progress_ok(&s->src, &s->dst, s->timeout, limit) &&
	    (s->direction == PFSYNC_DIR_IN ||
	    s->direction == PFSYNC_DIR_OUT) &&
	    name_ok(s->ifname, sizeof(s->ifname)) &&
	    name_ok(s->rt_ifname, sizeof(s->rt_ifname)) &&
	    name_ok(s->orig_ifname, sizeof(s->orig_ifname)) &&
	    name_ok(s->tagname, sizeof(s->tagname)) && keys_ok(s, form));
}

static bool
get_upd_c_msg(const uint8_t *p, uint8_t version, struct pfsync_upd_c *u)
{
	bool	 openbsd = version == PFSYNC_VERSION_OPENBSD;

	get_upd_c(p, u);
	get_peer(p + UPD_C_SRC, &u->src);
	get_peer(p + UPD_C_DST, &u->dst);
	u->state_flags = openbsd ? p[UPD_C_FLAGS] : 0;
	return (progress_ok(&u->src, &u->dst, u->timeout,
	    openbsd ? TIMEOUT_LIMIT : TIMEOUT_LIMIT_SCTP));
}

/* The message at p; false: a bad value. */
static bool
get_msg(const uint8_t *p, uint8_t version, const struct action *a,
    struct pfsync_msg *m)
{
	switch (a->kind) {
	case PFSYNC_K_INS:
	case PFSYNC_K_UPD:
		get_state(p, a->form, &m->state);
		return (state_ok(&m->state, a->form));
	case PFSYNC_K_UPD_C:
		return (get_upd_c_msg(p, version, &m->upd_c));
	case PFSYNC_K_DEL_C:
		get_id(p, &m->id);
		if (a->len != ID_LEN)
			m->id.creatorid = (uint32_t)load(p + STATE_KEYS +
			    2 * KEY_LEN_OPENBSD + BODY_CREATOR, 4);
		return (true);
	case PFSYNC_K_UPD_REQ:
	case PFSYNC_K_INS_ACK:
		get_id(p, &m->id);
		return (true);
	case PFSYNC_K_CLR:
		get_clr(p, &m->clr);
		return (name_ok(m->clr.ifname, sizeof(m->clr.ifname)));
	case PFSYNC_K_BUS:
		get_bus(p, &m->bus);
		return (true);
	case PFSYNC_K_TDB:
		if (a->len == TDB_LEN)
			get_tdb(p, &m->tdb);
		else
			get_old_tdb(p, &m->tdb);
		return (true);
	case PFSYNC_K_NONE:
		break;
	}
	return (false);
}

enum pfsync_counter
pfsync_parse_hdr(const uint8_t *pkt, size_t len, struct pfsync_hdr *h)
{
	static const uint8_t	 zero[CKSUM_LEN];

	memset(h, 0, sizeof(*h));
	if (len < PFSYNC_HDR_LEN)
		return (PFSYNC_C_HDROPS);
	h->version = pkt[0];
	h->len = (uint16_t)load(pkt + HDR_LEN, sizeof(h->len));
	h->cksum_zero = memcmp(pkt + HDR_CKSUM, zero, CKSUM_LEN) == 0;
	if (h->version != PFSYNC_VERSION_OPENBSD &&
	    h->version != PFSYNC_VERSION_FREEBSD)
		return (PFSYNC_C_BADVER);
	if (h->len < PFSYNC_HDR_LEN || h->len > len)
		return (PFSYNC_C_BADLEN);
	return (PFSYNC_C_MAX);
}

struct walk {
	struct rbuf	 r;		/* what header.len still allows */
	uint8_t		 version;
	bool		 at_end;	/* nothing follows header.len */
	pfsync_msg_cb	 msg;
	uint64_t	*count;
	void		*arg;
};

struct sub {
	uint8_t		 action, size;
	uint16_t	 count;
};

/* The messages of one region, stride bytes apart, all of them present. */
static void
messages(const struct walk *w, const struct sub *sub, const struct action *a,
    const uint8_t *p, size_t stride)
{
	struct pfsync_msg	 m;
	uint16_t		 i;

	m.action = sub->action;
	m.form = a->form;
	m.count = sub->count;
	if (a->kind == PFSYNC_K_INS || a->kind == PFSYNC_K_UPD)
		memset(&m.state, 0, sizeof(m.state));
	for (i = 0; i < sub->count; i++, p += stride) {
		m.index = i;
		if (get_msg(p, w->version, a, &m))
			w->msg(&m, a->kind, w->arg);
		else
			w->count[PFSYNC_C_BADVAL]++;
	}
}

/*
 * As OpenBSD since 7.4: the sender's size leads over what is not known or too
 * short.  PFSYNC_C_MAX: go on; else what to count before stopping.
 */
static enum pfsync_counter
region_openbsd(struct walk *w, const struct sub *sub, const struct action *a)
{
	size_t		 stride = (size_t)sub->size * SIZE_UNIT;
	const uint8_t	*p;

	if (a == NULL && (sub->size == 0 || sub->count == 0))
		return (PFSYNC_C_BADACT);
	if ((p = rbuf_view(&w->r, stride * sub->count)) == NULL)
		return (PFSYNC_C_BADLEN);
	if (a != NULL && a->kind != PFSYNC_K_NONE && stride >= a->len)
		messages(w, sub, a, p, stride);
	return (PFSYNC_C_MAX);
}

/* As FreeBSD 15: what has no handler has no known length either. */
static enum pfsync_counter
region_freebsd(struct walk *w, const struct sub *sub, const struct action *a)
{
	const uint8_t	*p;

	if (a == NULL || a->kind == PFSYNC_K_NONE)
		return (PFSYNC_C_BADACT);
	if ((p = rbuf_view(&w->r, a->len * sub->count)) == NULL)
		return (PFSYNC_C_BADLEN);
	messages(w, sub, a, p, a->len);
	return (PFSYNC_C_MAX);
}

/* Version 5 ends here; in the kernel's eyes it is the packet that must end. */
static void
region_eof(const struct walk *w)
{
	if (rbuf_left(&w->r) > 0 || !w->at_end)
		w->count[PFSYNC_C_BADLEN]++;
}

/* false: the rest of the packet is lost, or it has ended. */
static bool
region_step(struct walk *w, const struct sub *sub)
{
	const struct action	*a = action_of(w->version, sub->action);
	enum pfsync_counter	 c;

	if (w->version == PFSYNC_VERSION_OPENBSD) {
		c = region_openbsd(w, sub, a);
	} else if (sub->action == PFSYNC_EOF) {
		region_eof(w);
		return (false);
	} else
		c = region_freebsd(w, sub, a);
	if (c == PFSYNC_C_MAX)
		return (true);
	w->count[c]++;
	return (false);
}

void
pfsync_walk(const uint8_t *pkt, size_t len, pfsync_msg_cb msg,
    pfsync_region_cb region, uint64_t *count, void *arg)
{
	struct walk		 w = { .msg = msg, .count = count, .arg = arg };
	struct pfsync_hdr	 h;
	struct sub		 sub;
	enum pfsync_counter	 c;
	size_t			 off;

	if ((c = pfsync_parse_hdr(pkt, len, &h)) != PFSYNC_C_MAX) {
		count[c]++;
		return;
	}
	w.version = h.version;
	w.at_end = h.len == len;
	rbuf_init(&w.r, pkt, h.len);
	rbuf_skip(&w.r, PFSYNC_HDR_LEN);
	/* one to three bytes left over mean nothing to any kernel */
	while (rbuf_left(&w.r) >= PFSYNC_SUBHDR_LEN) {
		off = h.len - rbuf_left(&w.r);
		sub.action = rbuf_u8(&w.r);
		sub.size = rbuf_u8(&w.r);
		sub.count = rbuf_be16(&w.r);
		if (region != NULL)
			region(sub.action, sub.size, sub.count, off, arg);
		if (!region_step(&w, &sub))
			break;
	}
}

/* ---- build ---- */

void
pfsync_begin(struct wbuf *w, uint8_t version)
{
	uint8_t	*p = wbuf_zero(w, PFSYNC_HDR_LEN);

	if (p != NULL)
		p[0] = version;
}

/*
 * One more message joins when the open region is of its kind and ends where
 * the buffer does.
 */
static bool
joins(const struct wbuf *w, const struct pfsync_region *r, uint8_t action,
    size_t msglen)
{
	return (r->off != 0 && r->action == action && r->count < UINT16_MAX &&
	    r->off + PFSYNC_SUBHDR_LEN + r->count * msglen == wbuf_used(w));
}

void
pfsync_region(struct wbuf *w, struct pfsync_region *r, uint8_t version,
    uint8_t action, size_t msglen)
{
	if (joins(w, r, action, msglen)) {
		r->count++;
		store(w->base + r->off + SUB_COUNT, r->count,
		    sizeof(r->count));
		return;
	}
	r->off = wbuf_used(w);
	r->action = action;
	r->count = 1;
	wbuf_u8(w, action);
	wbuf_u8(w, version == PFSYNC_VERSION_OPENBSD ?
	    (uint8_t)(msglen / SIZE_UNIT) : 0);
	wbuf_be16(w, r->count);
}

void
pfsync_put_state(struct wbuf *w, enum pfsync_form form,
    const struct pfsync_state *s)
{
	bool	 openbsd = form == PFSYNC_FORM_OPENBSD;
	size_t	 keylen = openbsd ? KEY_LEN_OPENBSD : KEY_LEN;
	uint8_t	*p, *key, *body;

	if ((p = wbuf_zero(w, pfsync_state_len[form])) == NULL)
		return;
	key = p + STATE_KEYS;
	body = key + 2 * keylen;
	put_state_head(p, s);
	put_key(key, &s->key[0]);
	put_key(key + keylen, &s->key[1]);
	put_peer(body + BODY_SRC, &s->src);
	put_peer(body + BODY_DST, &s->dst);
	put_state_body(body, s);
	if (openbsd) {
		put_key_tail(key, &s->key[0]);
		put_key_tail(key + keylen, &s->key[1]);
		put_openbsd(p, s);
	} else if (form == PFSYNC_FORM_1301)
		put_f1301(p, s);
	else if (form == PFSYNC_FORM_1400)
		put_f1400(p, s);
	else
		put_f1500(p, s);
}

void
pfsync_put_upd_c(struct wbuf *w, uint8_t version,
    const struct pfsync_upd_c *u)
{
	uint8_t	*p = wbuf_zero(w, UPD_C_LEN);

	if (p == NULL)
		return;
	put_upd_c(p, u);
	put_peer(p + UPD_C_SRC, &u->src);
	put_peer(p + UPD_C_DST, &u->dst);
	if (version == PFSYNC_VERSION_OPENBSD)
		p[UPD_C_FLAGS] = u->state_flags;
}

void
pfsync_put_id(struct wbuf *w, const struct pfsync_id *i)
{
	uint8_t	*p = wbuf_zero(w, ID_LEN);

	if (p != NULL)
		put_id(p, i);
}

void
pfsync_put_clr(struct wbuf *w, const struct pfsync_clr *c)
{
	uint8_t	*p = wbuf_zero(w, CLR_LEN);

	if (p != NULL)
		put_clr(p, c);
}

void
pfsync_put_bus(struct wbuf *w, const struct pfsync_bus *b)
{
	uint8_t	*p = wbuf_zero(w, BUS_LEN);

	if (p != NULL)
		put_bus(p, b);
}

void
pfsync_put_tdb(struct wbuf *w, const struct pfsync_tdb *t)
{
	uint8_t	*p = wbuf_zero(w, TDB_LEN);

	if (p != NULL)
		put_tdb(p, t);
}

size_t
pfsync_end(struct wbuf *w)
{
	size_t	 len = wbuf_used(w);

	if (!wbuf_ok(w) || len < PFSYNC_HDR_LEN || len > UINT16_MAX)
		return (0);
	store(w->base + HDR_LEN, len, sizeof(uint16_t));
	return (len);
}
