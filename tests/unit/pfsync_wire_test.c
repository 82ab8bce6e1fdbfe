/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/pfsync against vectors/pfsync.json and what real kernels sent:
 * regions, counters and every value, then built again, byte for byte; the
 * trailers with common/wire/trailer.  Besides, each field of each layout by
 * its offset, and what the kernels accept and refuse.  Runs from the root of
 * the tree.
 */
#include <check.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/frame.h"
#include "../../common/wire/pfsync.h"
#include "../../common/wire/trailer.h"
#include "hex.h"

#define VECTORS		"tests/unit/vectors/"
#define NVECTORS	45	/* so that an emptied file is noticed */
#define PKT_MAX		2048
#define HEARD_MAX	256
#define LEN(a)		(sizeof(a) / sizeof((a)[0]))

enum { IP_LEN = 20, IP_TTL_OFF = 8, IP_PROTO_OFF = 9 };
enum { CKSUM_OFF = 4, CKSUM_LEN = 16 };
enum { UPD_C_LEN = 84, ID_LEN = 12, CLR_LEN = 20, BUS_LEN = 12,
    TDB_LEN = 52 };

/* ---- what a walk tells ---- */

struct heard_region {
	uint8_t		 action, size;
	uint16_t	 count;
	size_t		 off;
};

struct heard {
	struct heard_region	 region[HEARD_MAX];
	size_t			 nregion;
	struct {
		struct pfsync_msg	 m;
		enum pfsync_kind	 kind;
		size_t			 region;
	}			 msg[HEARD_MAX];
	size_t			 nmsg;
	uint64_t		 count[PFSYNC_C_MAX];
};

static struct heard	heard;

static void
hear_region(uint8_t action, uint8_t size, uint16_t count, size_t off,
    void *arg)
{
	struct heard	*h = arg;

	ck_assert_uint_lt(h->nregion, HEARD_MAX);
	h->region[h->nregion].action = action;
	h->region[h->nregion].size = size;
	h->region[h->nregion].count = count;
	h->region[h->nregion++].off = off;
}

static void
hear_msg(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	struct heard	*h = arg;

	ck_assert_uint_lt(h->nmsg, HEARD_MAX);
	ck_assert_uint_gt(h->nregion, 0);
	h->msg[h->nmsg].m = *m;
	h->msg[h->nmsg].kind = kind;
	h->msg[h->nmsg++].region = h->nregion - 1;
}

/* Into heard, from memory of just that size, so that an overrun is seen. */
static void
walk(const uint8_t *pkt, size_t len)
{
	uint8_t	*copy = malloc(len == 0 ? 1 : len);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, pkt, len);
	memset(&heard, 0, sizeof(heard));
	pfsync_walk(copy, len, hear_msg, hear_region, heard.count, &heard);
	free(copy);
}

static uint64_t
errors(void)
{
	uint64_t	 sum = 0;
	size_t		 i;

	for (i = 0; i < PFSYNC_C_MAX; i++)
		sum += heard.count[i];
	return (sum);
}

static size_t
stride(uint8_t version, const struct heard_region *r)
{
	static const size_t	 freebsd[] = {
		20, 242, 12, 242, 84, 12, 0, 12, 0, 0, 12, 48, 0,
		277, 277, 360, 360
	};

	if (version == PFSYNC_VERSION_OPENBSD)
		return ((size_t)r->size * 4);
	return (r->action < LEN(freebsd) ? freebsd[r->action] : 0);
}

/* ---- build again ---- */

/* Put the message; raw is where it stood (DEL: all that is left of it). */
static void
put(struct wbuf *w, uint8_t version, const struct pfsync_msg *m,
    enum pfsync_kind kind, const uint8_t *raw)
{
	struct pfsync_state	 s;
	struct rbuf		 r;

	if (kind == PFSYNC_K_INS || kind == PFSYNC_K_UPD)
		pfsync_put_state(w, m->form, &m->state);
	else if (kind == PFSYNC_K_UPD_C)
		pfsync_put_upd_c(w, version, &m->upd_c);
	else if (kind == PFSYNC_K_CLR)
		pfsync_put_clr(w, &m->clr);
	else if (kind == PFSYNC_K_BUS)
		pfsync_put_bus(w, &m->bus);
	else if (kind == PFSYNC_K_TDB)
		pfsync_put_tdb(w, &m->tdb);
	else if (m->action == PFSYNC_DEL) {
		rbuf_init(&r, raw, pfsync_state_len[m->form]);
		ck_assert(pfsync_get_state(&r, m->form, &s));
		ck_assert_uint_eq(s.id, m->id.id);
		ck_assert_uint_eq(s.creatorid, m->id.creatorid);
		pfsync_put_state(w, m->form, &s);
	} else
		pfsync_put_id(w, &m->id);
}

/* Each message heard, alone, gives the bytes it was made of. */
static void
rebuild_messages(const uint8_t *pkt)
{
	const struct heard_region	*r;
	const struct pfsync_msg		*m;
	uint8_t				 out[512];
	const uint8_t			*raw;
	struct wbuf			 w;
	size_t				 i, len;

	for (i = 0; i < heard.nmsg; i++) {
		m = &heard.msg[i].m;
		r = &heard.region[heard.msg[i].region];
		len = stride(pkt[0], r);
		raw = pkt + r->off + PFSYNC_SUBHDR_LEN + m->index * len;
		ck_assert_uint_eq(m->count, r->count);
		ck_assert_uint_eq(m->action, r->action);
		ck_assert_int_eq(heard.msg[i].kind,
		    pfsync_kind(pkt[0], m->action));
		wbuf_init(&w, out, sizeof(out));
		put(&w, pkt[0], m, heard.msg[i].kind, raw);
		ck_assert(wbuf_ok(&w));
		ck_assert_uint_le(wbuf_used(&w), len);
		ck_assert_mem_eq(out, raw, wbuf_used(&w));
	}
}

/* The packet from what was heard, region by region. */
static void
rebuild_packet(const uint8_t *pkt, size_t len)
{
	uint8_t			 out[PKT_MAX];
	const struct heard_region *hr;
	struct pfsync_region	 r;
	struct wbuf		 w;
	size_t			 i, k = 0, n, size;

	wbuf_init(&w, out, sizeof(out));
	pfsync_begin(&w, pkt[0]);
	for (i = 0; i < heard.nregion; i++) {
		hr = &heard.region[i];
		size = stride(pkt[0], hr);
		memset(&r, 0, sizeof(r));
		for (n = 0; n < hr->count; n++) {
			pfsync_region(&w, &r, pkt[0], hr->action, size);
			if (size == 0)
				continue;
			ck_assert_uint_lt(k, heard.nmsg);
			ck_assert_uint_eq(heard.msg[k].region, i);
			put(&w, pkt[0], &heard.msg[k].m, heard.msg[k].kind,
			    pkt + hr->off + PFSYNC_SUBHDR_LEN + n * size);
			k++;
		}
	}
	ck_assert_uint_eq(k, heard.nmsg);
	ck_assert_uint_eq(pfsync_end(&w), len);
	memcpy(out + CKSUM_OFF, pkt + CKSUM_OFF, CKSUM_LEN);
	ck_assert_mem_eq(out, pkt, len);
}

/* ---- vectors: the values ---- */

enum type { NUM, HEX, NAME, ADDR, BYTES, PEER, KEY };

struct field {
	const char	*name;
	enum type	 type;
	size_t		 off, size;
};

#define F(strct, nam, typ, member)	\
	{ nam, typ, offsetof(struct strct, member),	\
	    sizeof(((struct strct *)NULL)->member) }

static const struct field peer_fields[] = {
	F(pfsync_peer, "pfss_flags", NUM, scrub_flags),
	F(pfsync_peer, "pfss_ttl", NUM, scrub_ttl),
	F(pfsync_peer, "scrub_flag", NUM, scrub_flag),
	F(pfsync_peer, "pfss_ts_mod", NUM, ts_mod),
	F(pfsync_peer, "seqlo", NUM, seqlo),
	F(pfsync_peer, "seqhi", NUM, seqhi),
	F(pfsync_peer, "seqdiff", NUM, seqdiff),
	F(pfsync_peer, "max_win", NUM, max_win),
	F(pfsync_peer, "mss", NUM, mss),
	F(pfsync_peer, "state", NUM, state),
	F(pfsync_peer, "wscale", NUM, wscale),
	{ NULL, NUM, 0, 0 }
};

static const struct field key_fields[] = {
	F(pfsync_key, "addr0", ADDR, addr[0]),
	F(pfsync_key, "addr1", ADDR, addr[1]),
	F(pfsync_key, "port0", NUM, port[0]),
	F(pfsync_key, "port1", NUM, port[1]),
	F(pfsync_key, "rdomain", NUM, rdomain),
	F(pfsync_key, "af", NUM, af),
	{ NULL, NUM, 0, 0 }
};

static const struct field state_fields[] = {
	F(pfsync_state, "id", HEX, id),
	F(pfsync_state, "ifname", NAME, ifname),
	F(pfsync_state, "wire", KEY, key[0]),
	F(pfsync_state, "stack", KEY, key[1]),
	F(pfsync_state, "src", PEER, src),
	F(pfsync_state, "dst", PEER, dst),
	F(pfsync_state, "rt_addr", ADDR, rt_addr),
	F(pfsync_state, "rule", NUM, rule),
	F(pfsync_state, "anchor", NUM, anchor),
	F(pfsync_state, "nat_rule", NUM, nat_rule),
	F(pfsync_state, "creation", NUM, creation),
	F(pfsync_state, "expire", NUM, expire),
	F(pfsync_state, "packets0", NUM, packets[0]),
	F(pfsync_state, "packets1", NUM, packets[1]),
	F(pfsync_state, "bytes0", NUM, bytes[0]),
	F(pfsync_state, "bytes1", NUM, bytes[1]),
	F(pfsync_state, "creatorid", HEX, creatorid),
	F(pfsync_state, "rtableid0", NUM, rtableid[0]),
	F(pfsync_state, "rtableid1", NUM, rtableid[1]),
	F(pfsync_state, "rtableid", NUM, rtableid[0]),
	F(pfsync_state, "max_mss", NUM, max_mss),
	F(pfsync_state, "af", NUM, af),
	F(pfsync_state, "wire_af", NUM, af),
	F(pfsync_state, "stack_af", NUM, stack_af),
	F(pfsync_state, "rt_af", NUM, rt_af),
	F(pfsync_state, "proto", NUM, proto),
	F(pfsync_state, "wire_proto", NUM, proto),
	F(pfsync_state, "stack_proto", NUM, stack_proto),
	F(pfsync_state, "direction", NUM, direction),
	F(pfsync_state, "log", NUM, log),
	F(pfsync_state, "rt", NUM, rt),
	F(pfsync_state, "timeout", NUM, timeout),
	F(pfsync_state, "sync_flags", NUM, sync_flags),
	F(pfsync_state, "updates", NUM, updates),
	F(pfsync_state, "min_ttl", NUM, min_ttl),
	F(pfsync_state, "set_tos", NUM, set_tos),
	F(pfsync_state, "state_flags", NUM, state_flags),
	F(pfsync_state, "set_prio0", NUM, set_prio[0]),
	F(pfsync_state, "set_prio1", NUM, set_prio[1]),
	F(pfsync_state, "qid", NUM, qid),
	F(pfsync_state, "pqid", NUM, pqid),
	F(pfsync_state, "dnpipe", NUM, dnpipe),
	F(pfsync_state, "dnrpipe", NUM, dnrpipe),
	F(pfsync_state, "rt_ifname", NAME, rt_ifname),
	F(pfsync_state, "orig_ifname", NAME, orig_ifname),
	F(pfsync_state, "tagname", NAME, tagname),
	/* not in the vectors */
	F(pfsync_state, "wire.rdomain", NUM, key[0].rdomain),
	F(pfsync_state, "stack.rdomain", NUM, key[1].rdomain),
	F(pfsync_state, "wire.af", NUM, key[0].af),
	F(pfsync_state, "stack.af", NUM, key[1].af),
	{ NULL, NUM, 0, 0 }
};

static const struct field upd_c_fields[] = {
	F(pfsync_upd_c, "id", HEX, id),
	F(pfsync_upd_c, "src", PEER, src),
	F(pfsync_upd_c, "dst", PEER, dst),
	F(pfsync_upd_c, "creatorid", HEX, creatorid),
	F(pfsync_upd_c, "expire", NUM, expire),
	F(pfsync_upd_c, "timeout", NUM, timeout),
	F(pfsync_upd_c, "state_flags", NUM, state_flags),
	{ NULL, NUM, 0, 0 }
};

static const struct field id_fields[] = {
	F(pfsync_id, "id", HEX, id),
	F(pfsync_id, "creatorid", HEX, creatorid),
	{ NULL, NUM, 0, 0 }
};

static const struct field clr_fields[] = {
	F(pfsync_clr, "ifname", NAME, ifname),
	F(pfsync_clr, "creatorid", HEX, creatorid),
	{ NULL, NUM, 0, 0 }
};

static const struct field bus_fields[] = {
	F(pfsync_bus, "creatorid", HEX, creatorid),
	F(pfsync_bus, "endtime", NUM, endtime),
	F(pfsync_bus, "status", NUM, status),
	{ NULL, NUM, 0, 0 }
};

static const struct field tdb_fields[] = {
	F(pfsync_tdb, "spi", NUM, spi),
	F(pfsync_tdb, "dst_sockaddr", BYTES, dst),
	F(pfsync_tdb, "rpl", NUM, rpl),
	F(pfsync_tdb, "cur_bytes", NUM, cur_bytes),
	F(pfsync_tdb, "sproto", NUM, sproto),
	F(pfsync_tdb, "updates", NUM, updates),
	F(pfsync_tdb, "rdomain", NUM, rdomain),
	{ NULL, NUM, 0, 0 }
};

static const struct field *
field(const struct field *table, const char *name)
{
	for (; table->name != NULL; table++)
		if (strcmp(table->name, name) == 0)
			return (table);
	ck_abort_msg("no field %s", name);
	return (NULL);
}

static uint64_t
value(const struct field *f, const void *base)
{
	uint64_t	 v64;
	uint32_t	 v32;
	uint16_t	 v16;
	const uint8_t	*p = (const uint8_t *)base + f->off;

	switch (f->size) {
	case 1:
		return (*p);
	case 2:
		memcpy(&v16, p, sizeof(v16));
		return (v16);
	case 4:
		memcpy(&v32, p, sizeof(v32));
		return (v32);
	default:
		ck_assert_uint_eq(f->size, 8);
		memcpy(&v64, p, sizeof(v64));
		return (v64);
	}
}

/* null: zeros.  A family nobody knows shows the first four bytes. */
static void
check_addr(json_t *want, const uint8_t *p, bool known)
{
	static const uint8_t	 zero[16];
	struct ipaddr		 a;
	size_t			 n;

	if (json_is_null(want)) {
		ck_assert_mem_eq(p, zero, sizeof(zero));
		return;
	}
	ck_assert_int_eq(ipaddr_parse(json_string_value(want), &a, NULL), 0);
	n = ipaddr_len(a.af);
	ck_assert_mem_eq(p, a.bytes, n);
	if (known)
		ck_assert_mem_eq(p + n, zero, sizeof(zero) - n);
}

static bool
family_known(json_t *key)
{
	json_t	*af = json_object_get(key, "af");

	return (af == NULL || json_integer_value(af) != 10);
}

static void
check_fields(json_t *item, const struct field *table, const void *base)
{
	const uint8_t		*p;
	const struct field	*f;
	const char		*name;
	char			 padded[64];
	uint64_t		 want;
	json_t			*j;

	json_object_foreach(item, name, j) {
		if (strcmp(name, "_rejected") == 0)
			continue;
		f = field(table, name);
		p = (const uint8_t *)base + f->off;
		switch (f->type) {
		case NUM:
			ck_assert(json_is_integer(j));
			want = (uint64_t)json_integer_value(j);
			if (f->size < 8)
				want &= ((uint64_t)1 << f->size * 8) - 1;
			ck_assert_msg(value(f, base) == want, "%s", name);
			break;
		case HEX:
			want = strtoull(json_string_value(j), NULL, 16);
			ck_assert_msg(value(f, base) == want, "%s", name);
			break;
		case NAME:
			ck_assert_uint_le(f->size, sizeof(padded));
			ck_assert_uint_lt(json_string_length(j), f->size);
			memset(padded, 0, sizeof(padded));
			memcpy(padded, json_string_value(j),
			    json_string_length(j));
			ck_assert_mem_eq(p, padded, f->size);
			break;
		case ADDR:
			check_addr(j, p, family_known(item));
			break;
		case BYTES:
			ck_assert_uint_eq(unhex(json_string_value(j),
			    (uint8_t *)padded, sizeof(padded)), f->size);
			ck_assert_mem_eq(p, padded, f->size);
			break;
		case PEER:
			check_fields(j, peer_fields, p);
			break;
		case KEY:
			check_fields(j, key_fields, p);
			break;
		}
	}
}

static void
check_item(json_t *item, const struct pfsync_msg *m, enum pfsync_kind kind)
{
	static const struct field *const tables[] = {
		[PFSYNC_K_CLR] = clr_fields, [PFSYNC_K_INS] = state_fields,
		[PFSYNC_K_UPD] = state_fields, [PFSYNC_K_UPD_C] = upd_c_fields,
		[PFSYNC_K_DEL_C] = id_fields, [PFSYNC_K_UPD_REQ] = id_fields,
		[PFSYNC_K_INS_ACK] = id_fields, [PFSYNC_K_BUS] = bus_fields,
		[PFSYNC_K_TDB] = tdb_fields
	};

	ck_assert_uint_lt(kind, LEN(tables));
	ck_assert_ptr_nonnull(tables[kind]);
	check_fields(item, tables[kind], &m->state);
}

/* What the walk keeps to itself: the rest of a DEL, and refused states. */
static void
check_raw_state(json_t *item, const uint8_t *raw)
{
	size_t			 len = pfsync_state_len[PFSYNC_FORM_OPENBSD];
	struct pfsync_state	 s;
	struct rbuf		 r;

	rbuf_init(&r, raw, len);
	ck_assert(pfsync_get_state(&r, PFSYNC_FORM_OPENBSD, &s));
	ck_assert_uint_eq(rbuf_left(&r), 0);
	check_fields(item, state_fields, &s);
	rbuf_init(&r, raw, len - 1);
	ck_assert(!pfsync_get_state(&r, PFSYNC_FORM_OPENBSD, &s));
}

/* ---- vectors: the packet ---- */

static const char *
text(json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	ck_assert_msg(s != NULL, "no %s", key);
	return (s);
}

static uint64_t
number(json_t *o, const char *key)
{
	json_t	*j = json_object_get(o, key);

	ck_assert_msg(json_is_integer(j), "no %s", key);
	return ((uint64_t)json_integer_value(j));
}

/* Returns how many messages of heard, from n on, are of region i. */
static size_t
check_region(json_t *want, size_t i, size_t n, const uint8_t *pkt)
{
	const struct heard_region	*r = &heard.region[i];
	json_t				*items, *item;
	const uint8_t			*raw;
	size_t				 k, had = 0, size;

	ck_assert_uint_eq(r->action, number(want, "action"));
	ck_assert_uint_eq(r->count, number(want, "count"));
	size = stride(pkt[0], r);
	ck_assert_uint_eq(size, number(want, "stride"));
	if (pkt[0] == PFSYNC_VERSION_FREEBSD)
		ck_assert_uint_eq(r->size, 0);
	items = json_object_get(want, "items");
	ck_assert((strcmp(text(want, "disposition"), "processed") == 0) ==
	    (json_array_size(items) > 0));
	for (k = 0; k < json_array_size(items); k++) {
		item = json_array_get(items, k);
		raw = pkt + r->off + PFSYNC_SUBHDR_LEN + k * size;
		if (json_object_get(item, "_rejected") != NULL) {
			check_raw_state(item, raw);
			continue;
		}
		ck_assert_uint_lt(n + had, heard.nmsg);
		ck_assert_uint_eq(heard.msg[n + had].region, i);
		ck_assert_uint_eq(heard.msg[n + had].m.index, k);
		if (r->action == PFSYNC_DEL)
			check_raw_state(item, raw);
		else
			check_item(item, &heard.msg[n + had].m,
			    heard.msg[n + had].kind);
		had++;
	}
	return (had);
}

static void
check_counters(json_t *want)
{
	size_t	 i, known = 0;
	json_t	*j;

	heard.count[PFSYNC_C_IPACKETS]++;	/* whoever received it */
	for (i = 0; i < PFSYNC_C_MAX; i++) {
		j = json_object_get(want, pfsync_counter_names[i]);
		known += j != NULL;
		ck_assert_msg(heard.count[i] ==
		    (uint64_t)json_integer_value(j), "%s",
		    pfsync_counter_names[i]);
	}
	ck_assert_uint_eq(known, json_object_size(want));
}

static void
check_header(json_t *want, const uint8_t *pkt, size_t len,
    struct pfsync_hdr *h)
{
	enum pfsync_counter	 c = pfsync_parse_hdr(pkt, len, h);
	uint8_t			 sum[CKSUM_LEN];
	bool			 zero;

	if (json_is_null(want)) {
		ck_assert_int_eq(c, PFSYNC_C_HDROPS);
		return;
	}
	ck_assert_uint_eq(h->version, number(want, "version"));
	ck_assert_uint_eq(h->len, number(want, "len"));
	unhex(text(want, "pfcksum"), sum, sizeof(sum));
	ck_assert_mem_eq(pkt + CKSUM_OFF, sum, sizeof(sum));
	zero = strspn(text(want, "pfcksum"), "0") == 2 * CKSUM_LEN;
	ck_assert_int_eq(h->cksum_zero, zero);
}

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(s, &a, NULL), 0);
	return (a);
}

/* The trailer behind pkt[0..len-1], pkt[..all-1] with it. */
static void
check_auth(json_t *auth, const uint8_t *pkt, size_t len, size_t all)
{
	struct ipaddr	 src = addr(text(auth, "src"));
	struct ipaddr	 dst = addr(text(auth, "dst"));
	uint8_t		 bytes[HMAC_SHA256_LEN], copy[PKT_MAX];
	struct trailer	 t;
	struct hmac	*key;
	size_t		 i;

	ck_assert_int_eq(trailer_parse(TRAILER_PFSYNC, pkt + len, all - len,
	    &t), TRAILER_OK);
	ck_assert_uint_eq(t.keyid, number(auth, "key_id"));
	ck_assert_uint_eq(t.node, strtoul(text(auth, "node"), NULL, 16));
	ck_assert_uint_eq(t.epoch, number(auth, "epoch"));
	ck_assert_uint_eq(t.seq, number(auth, "seq"));
	ck_assert_uint_eq(t.tlvlen, 0);
	unhex(text(auth, "mac"), bytes, sizeof(bytes));
	ck_assert_mem_eq(pkt + all - sizeof(bytes), bytes, sizeof(bytes));

	unhex(text(auth, "key"), bytes, sizeof(bytes));
	key = hmac_new(HMAC_ALG_SHA256, bytes, sizeof(bytes));
	for (i = 0; i <= all; i++) {
		memcpy(copy, pkt, all);
		if (i < all)
			copy[i] ^= 1;
		if (trailer_parse(TRAILER_PFSYNC, copy + len, all - len,
		    &t) != TRAILER_OK)
			ck_assert_uint_lt(i, all);
		else
			ck_assert_int_eq(i == all, trailer_verify(
			    TRAILER_PFSYNC, key, &src, &dst, copy, len,
			    copy + len));
	}
	ck_assert(!trailer_verify(TRAILER_PFSYNC, key, &dst, &src, copy, len,
	    copy + len));
	memset(copy + len, 0, all - len);
	ck_assert_uint_eq(trailer_write(TRAILER_PFSYNC, key, &src, &dst, copy,
	    len, sizeof(copy), &t), all - len);
	ck_assert_mem_eq(copy, pkt, all);
	hmac_free(key);
}

/* All regions taken, with our own lengths: can be built again as a whole. */
static bool
whole(json_t *v)
{
	static const char *const own[] = {
		"v6-unknown-action", "v6-longer-message", "v6-shorter-message"
	};
	const char	*name = text(v, "name");
	size_t		 i;

	for (i = 0; i < LEN(own); i++)
		if (strcmp(name, own[i]) == 0)
			return (false);
	return (strncmp(name, "bad-", 4) != 0);
}

static void
check_vector(json_t *v)
{
	json_t			*regions = json_object_get(v, "regions"), *auth;
	uint8_t			 pkt[PKT_MAX], ip[PKT_MAX];
	struct pfsync_hdr	 h;
	struct trailer		 t;
	size_t			 i, len, n = 0;

	len = unhex(text(v, "hex"), pkt, sizeof(pkt));
	ck_assert_uint_eq(len, number(v, "bytes"));
	ck_assert_uint_eq(unhex(text(v, "ipv4_hex"), ip, sizeof(ip)),
	    IP_LEN + len);
	ck_assert_mem_eq(ip + IP_LEN, pkt, len);
	ck_assert_uint_eq(ip[IP_TTL_OFF], PFSYNC_TTL);
	ck_assert_uint_eq(ip[IP_PROTO_OFF], PFSYNC_PROTO);
	check_header(json_object_get(v, "header"), pkt, len, &h);

	walk(pkt, len);
	ck_assert_uint_eq(heard.nregion, json_array_size(regions));
	for (i = 0; i < heard.nregion; i++)
		n += check_region(json_array_get(regions, i), i, n, pkt);
	ck_assert_uint_eq(n, heard.nmsg);
	check_counters(json_object_get(v, "counters"));
	rebuild_messages(pkt);
	if (!whole(v))
		return;
	rebuild_packet(pkt, h.len);
	ck_assert_uint_eq(len - h.len, number(v, "trailer_bytes"));
	if ((auth = json_object_get(v, "auth")) != NULL)
		check_auth(auth, pkt, h.len, len);
	else
		ck_assert_int_eq(trailer_parse(TRAILER_PFSYNC, pkt + h.len,
		    len - h.len, &t), TRAILER_NONE);
}

static json_t *
load_vectors(void)
{
	json_error_t	 err;
	json_t		*root;

	root = json_load_file(VECTORS "pfsync.json", 0, &err);
	ck_assert_msg(root != NULL, "%s", err.text);
	return (root);
}

START_TEST(json_vectors)
{
	json_t	*root = load_vectors(), *list, *v;

	list = json_object_get(root, "vectors");
	ck_assert_uint_eq(json_array_size(list), NVECTORS);
	v = json_array_get(list, (size_t)_i);
	check_vector(v);
	json_decref(root);
}
END_TEST

/* ---- captures ---- */

/*
 * Messages by kind, as counted by a script of its own; nothing may go unheard.
 */
static const struct capture {
	const char	*file;
	unsigned int	 datagrams;
	uint8_t		 version;
	unsigned int	 eof;
	unsigned int	 kind[PFSYNC_K_TDB + 1];
} captures[] = {
	{ "obsd-pfsync-session", 30, PFSYNC_VERSION_OPENBSD, 0,
	    { [PFSYNC_K_CLR] = 1, [PFSYNC_K_INS] = 15, [PFSYNC_K_UPD] = 14,
	    [PFSYNC_K_UPD_C] = 11, [PFSYNC_K_DEL_C] = 8,
	    [PFSYNC_K_UPD_REQ] = 10, [PFSYNC_K_BUS] = 4 } },
	{ "fbsd12-pfsync-session", 59, PFSYNC_VERSION_FREEBSD, 59,
	    { [PFSYNC_K_CLR] = 1, [PFSYNC_K_INS] = 21, [PFSYNC_K_UPD] = 40,
	    [PFSYNC_K_UPD_C] = 9, [PFSYNC_K_DEL_C] = 8,
	    [PFSYNC_K_UPD_REQ] = 3, [PFSYNC_K_BUS] = 4 } },
};

static void
check_datagram(const uint8_t *frame, size_t len, struct capture *got)
{
	struct frame_ip	 f;
	size_t		 i;

	ck_assert_int_eq(frame_peel(frame, len, &f), FRAME_OK);
	ck_assert_uint_eq(f.proto, PFSYNC_PROTO);
	ck_assert_uint_eq(f.ttl, PFSYNC_TTL);
	ck_assert_uint_eq(f.payload[0], got->version);
	walk(f.payload, f.len);
	ck_assert_uint_eq(errors(), 0);
	rebuild_messages(f.payload);
	rebuild_packet(f.payload, f.len);
	got->datagrams++;
	for (i = 0; i < heard.nmsg; i++)
		got->kind[heard.msg[i].kind]++;
	for (i = 0; i < heard.nregion; i++)
		got->eof += heard.region[i].action == PFSYNC_EOF;
}

START_TEST(capture)
{
	const struct capture	*want = &captures[_i];
	struct capture		 got = { .version = want->version };
	char			 path[256], errbuf[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr	*hdr;
	const u_char		*data;
	pcap_t			*p;
	size_t			 i;
	int			 r;

	snprintf(path, sizeof(path), VECTORS "%s.pcap", want->file);
	p = pcap_open_offline(path, errbuf);
	ck_assert_msg(p != NULL, "%s", errbuf);
	ck_assert_int_eq(pcap_datalink(p), DLT_EN10MB);
	while ((r = pcap_next_ex(p, &hdr, &data)) == 1) {
		ck_assert_uint_eq(hdr->caplen, hdr->len);
		check_datagram(data, hdr->caplen, &got);
	}
	ck_assert_int_eq(r, PCAP_ERROR_BREAK);
	pcap_close(p);
	ck_assert_uint_eq(got.datagrams, want->datagrams);
	ck_assert_uint_eq(got.eof, want->eof);
	for (i = 0; i < LEN(got.kind); i++)
		ck_assert_uint_eq(got.kind[i], want->kind[i]);
}
END_TEST

/* ---- each field of each layout ---- */

/*
 * Offsets by field and form, -1 where a form has none.  Written down from the
 * kernels' structs a second time, so that no field is shown by zeros only.
 */
static const struct {
	const char	*field;
	int		 off[PFSYNC_FORM_MAX];
	size_t		 size;	/* on the wire */
} layout[] = {
	{ "id", { 0, 0, 0, 0 }, 8 },
	{ "ifname", { 8, 8, 8, 8 }, 16 },
	{ "wire.rdomain", { 60, -1, -1, -1 }, 2 },
	{ "wire.af", { 62, -1, -1, -1 }, 1 },
	{ "stack.rdomain", { 100, -1, -1, -1 }, 2 },
	{ "stack.af", { 102, -1, -1, -1 }, 1 },
	{ "rt_addr", { 168, 160, 160, 160 }, 16 },
	{ "rule", { 184, 176, 176, 176 }, 4 },
	{ "anchor", { 188, 180, 180, 180 }, 4 },
	{ "nat_rule", { 192, 184, 184, 184 }, 4 },
	{ "creation", { 196, 188, 188, 188 }, 4 },
	{ "expire", { 200, 192, 192, 192 }, 4 },
	{ "packets0", { 204, 196, 196, 196 }, 8 },
	{ "packets1", { 212, 204, 204, 204 }, 8 },
	{ "bytes0", { 220, 212, 212, 212 }, 8 },
	{ "bytes1", { 228, 220, 220, 220 }, 8 },
	{ "creatorid", { 236, 228, 228, 228 }, 4 },
	{ "rtableid0", { 240, -1, 250, 328 }, 4 },
	{ "rtableid1", { 244, -1, -1, -1 }, 4 },
	{ "max_mss", { 248, -1, 256, 342 }, 2 },
	{ "af", { 250, 232, 232, 344 }, 1 },
	{ "stack_af", { -1, -1, -1, 345 }, 1 },
	{ "rt_af", { -1, -1, -1, 346 }, 1 },
	{ "proto", { 251, 233, 233, 347 }, 1 },
	{ "stack_proto", { -1, -1, -1, 348 }, 1 },
	{ "direction", { 252, 234, 234, 351 }, 1 },
	{ "log", { 253, 237, 237, 349 }, 1 },
	{ "rt", { 254, -1, 260, 352 }, 1 },
	{ "timeout", { 255, 239, 239, 350 }, 1 },
	{ "sync_flags", { 256, 240, 240, -1 }, 1 },
	{ "updates", { 257, 241, 241, -1 }, 1 },
	{ "min_ttl", { 258, -1, 254, 353 }, 1 },
	{ "set_tos", { 259, -1, 255, 354 }, 1 },
	{ "state_flags", { 260, -1, 235, 332 }, 2 },	/* 1301: below */
	{ "set_prio0", { 262, -1, 258, 355 }, 1 },
	{ "set_prio1", { 263, -1, 259, 356 }, 1 },
	{ "qid", { -1, -1, 242, 334 }, 2 },
	{ "pqid", { -1, -1, 244, 336 }, 2 },
	{ "dnpipe", { -1, -1, 246, 338 }, 2 },
	{ "dnrpipe", { -1, -1, 248, 340 }, 2 },
	{ "rt_ifname", { -1, -1, 261, 296 }, 16 },
	{ "orig_ifname", { -1, -1, -1, 312 }, 16 },
	{ "tagname", { -1, -1, -1, 232 }, 64 },
};

/* 0x81, 0x82 ... in wire order, to the field in host order. */
static void
set_field(const struct field *f, void *base)
{
	uint8_t		*p = (uint8_t *)base + f->off;
	uint64_t	 v = 0;
	uint32_t	 v32;
	uint16_t	 v16;
	size_t		 i;

	for (i = 0; i < f->size; i++) {
		p[i] = (uint8_t)(0x81 + i);
		v = v << 8 | p[i];
	}
	if (f->type != NUM && f->type != HEX)
		return;
	v16 = (uint16_t)v;
	v32 = (uint32_t)v;
	if (f->size == 2)
		memcpy(p, &v16, f->size);
	else if (f->size == 4)
		memcpy(p, &v32, f->size);
	else if (f->size == 8)
		memcpy(p, &v, f->size);
}

static void
check_layout(size_t i, enum pfsync_form form)
{
	const struct field	*f = field(state_fields, layout[i].field);
	struct pfsync_state	 s, back;
	uint8_t			 out[512], want[512] = { 0 };
	struct wbuf		 w;
	struct rbuf		 r;
	size_t			 k;

	ck_assert_uint_eq(f->size, layout[i].size);
	memset(&s, 0, sizeof(s));
	set_field(f, &s);
	wbuf_init(&w, out, sizeof(out));
	pfsync_put_state(&w, form, &s);
	ck_assert_uint_eq(wbuf_used(&w), pfsync_state_len[form]);
	if (form == PFSYNC_FORM_1301 &&
	    strcmp(layout[i].field, "state_flags") == 0)
		want[238] = 0x82;
	else if (layout[i].off[form] >= 0)
		for (k = 0; k < f->size; k++)
			want[layout[i].off[form] + (int)k] =
			    (uint8_t)(0x81 + k);
	ck_assert_msg(memcmp(out, want, wbuf_used(&w)) == 0, "%s form %d",
	    layout[i].field, form);

	rbuf_init(&r, out, wbuf_used(&w));
	ck_assert(pfsync_get_state(&r, form, &back));
	if (layout[i].off[form] >= 0)
		ck_assert_mem_eq((uint8_t *)&back + f->off,
		    (uint8_t *)&s + f->off, f->size);
	else if (strncmp(layout[i].field, "rtableid", 8) == 0)
		ck_assert_uint_eq(value(f, &back), UINT32_MAX);
	else if (strcmp(layout[i].field, "state_flags") == 0)
		ck_assert_uint_eq(back.state_flags, 0x82);
	else
		for (k = 0; k < f->size; k++)
			ck_assert_uint_eq(*((uint8_t *)&back + f->off + k), 0);
}

START_TEST(layouts)
{
	size_t	 i;

	for (i = 0; i < LEN(layout); i++)
		check_layout(i, (enum pfsync_form)_i);
}
END_TEST

/* FreeBSD's keys have the family of the state. */
START_TEST(key_families)
{
	struct pfsync_state	 s, back;
	uint8_t			 out[PKT_MAX];
	struct wbuf		 w;
	struct rbuf		 r;

	memset(&s, 0, sizeof(s));
	s.af = PFSYNC_AF_INET;
	s.stack_af = PFSYNC_AF_INET6_FREEBSD;
	s.key[0].af = s.key[1].af = 99;
	wbuf_init(&w, out, sizeof(out));
	pfsync_put_state(&w, PFSYNC_FORM_1500, &s);
	pfsync_put_state(&w, PFSYNC_FORM_1400, &s);
	rbuf_init(&r, out, wbuf_used(&w));
	ck_assert(pfsync_get_state(&r, PFSYNC_FORM_1500, &back));
	ck_assert_uint_eq(back.key[0].af, PFSYNC_AF_INET);
	ck_assert_uint_eq(back.key[1].af, PFSYNC_AF_INET6_FREEBSD);
	ck_assert(pfsync_get_state(&r, PFSYNC_FORM_1400, &back));
	ck_assert_uint_eq(back.key[0].af, PFSYNC_AF_INET);
	ck_assert_uint_eq(back.key[1].af, PFSYNC_AF_INET);
	ck_assert_uint_eq(back.stack_af, 0);
	ck_assert(!pfsync_get_state(&r, PFSYNC_FORM_1301, &back));
}
END_TEST

/* ---- values ---- */

/* A good state of any form, in a packet of its own. */
static struct pfsync_state
good_state(enum pfsync_form form)
{
	struct pfsync_state	 s;

	memset(&s, 0, sizeof(s));
	s.id = 0x0102030405060708;
	s.creatorid = 0x1a2b3c4d;
	snprintf(s.ifname, sizeof(s.ifname), "all");
	memset(s.key[0].addr, 10, sizeof(s.key[0].addr));
	memset(s.key[1].addr, 10, sizeof(s.key[1].addr));
	s.af = s.stack_af = PFSYNC_AF_INET;
	if (form == PFSYNC_FORM_OPENBSD)
		s.key[0].af = s.key[1].af = PFSYNC_AF_INET;
	s.direction = PFSYNC_DIR_OUT;
	s.proto = 6;
	return (s);
}

static uint8_t
version_of(enum pfsync_form form)
{
	return (form == PFSYNC_FORM_OPENBSD ? PFSYNC_VERSION_OPENBSD :
	    PFSYNC_VERSION_FREEBSD);
}

static uint8_t
ins_of(enum pfsync_form form)
{
	static const uint8_t	 ins[PFSYNC_FORM_MAX] = {
		PFSYNC_INS, PFSYNC_INS_1301, PFSYNC_INS_1400, PFSYNC_INS_1500
	};

	return (ins[form]);
}

static void
walk_state(enum pfsync_form form, uint8_t action, const struct pfsync_state *s)
{
	struct pfsync_region	 r = { .off = 0 };
	uint8_t			 pkt[512];
	struct wbuf		 w;
	size_t			 len;

	wbuf_init(&w, pkt, sizeof(pkt));
	pfsync_begin(&w, version_of(form));
	pfsync_region(&w, &r, version_of(form), action,
	    pfsync_state_len[form]);
	pfsync_put_state(&w, form, s);
	len = pfsync_end(&w);
	ck_assert_uint_ne(len, 0);
	walk(pkt, len);
	ck_assert_uint_eq(heard.nmsg + heard.count[PFSYNC_C_BADVAL], 1);
	ck_assert_uint_eq(errors(), heard.count[PFSYNC_C_BADVAL]);
}

enum { A = 1 << PFSYNC_FORM_OPENBSD, B = 1 << PFSYNC_FORM_1301,
    C = 1 << PFSYNC_FORM_1400, D = 1 << PFSYNC_FORM_1500, ALL = A|B|C|D };

/* good, bad: in which forms the field may, or must not, have that value. */
static const struct {
	const char	*field;
	uint8_t		 byte;		/* all bytes of the field */
	int		 good, bad;
} values[] = {
	{ "timeout", 0, ALL, 0 },
	{ "timeout", 19, ALL, 0 },
	{ "timeout", 20, C|D, A|B },
	{ "timeout", 22, C|D, A|B },
	{ "timeout", 24, C|D, A|B },
	{ "timeout", 25, 0, ALL },
	{ "timeout", 255, 0, ALL },
	{ "src.state", 12, ALL, 0 },
	{ "src.state", 13, 0, ALL },
	{ "dst.state", 12, ALL, 0 },
	{ "dst.state", 13, 0, ALL },
	{ "direction", 0, 0, ALL },
	{ "direction", 1, ALL, 0 },
	{ "direction", 3, 0, ALL },
	{ "af", 0, 0, ALL },
	{ "af", 10, 0, ALL },
	{ "af", 24, A, B|C|D },
	{ "af", 28, B|C|D, A },
	{ "stack_af", 0, A|B|C, D },
	{ "stack_af", 24, A|B|C, D },
	{ "stack_af", 28, ALL, 0 },
	{ "wire.af", 0, B|C|D, A },	/* not one alone */
	{ "wire.af", 24, ALL, 0 },
	{ "wire.af", 28, B|C|D, A },
	{ "stack.af", 0, B|C|D, A },
	{ "stack.af", 24, ALL, 0 },
	{ "stack.af", 10, B|C|D, A },
	{ "ifname", 0, ALL, 0 },
	{ "ifname", 'x', 0, ALL },
	{ "rt_ifname", 'x', A|B, C|D },
	{ "orig_ifname", 'x', A|B|C, D },
	{ "tagname", 'x', A|B|C, D },
	{ "rt_addr", 0, ALL, 0 },
	{ "wire.addr0", 0, 0, ALL },
	{ "wire.addr1", 0, 0, ALL },
	{ "stack.addr0", 0, 0, ALL },
	{ "stack.addr1", 0, 0, ALL },
	{ "proto", 255, ALL, 0 },
	{ "creatorid", 0, ALL, 0 },	/* not a matter of layout */
};

static void
set_value(struct pfsync_state *s, const char *name, uint8_t byte)
{
	const struct field	*f;

	if (strcmp(name, "src.state") == 0)
		s->src.state = byte;
	else if (strcmp(name, "dst.state") == 0)
		s->dst.state = byte;
	else if (strncmp(name, "wire.addr", 9) == 0)
		memset(s->key[0].addr[name[9] - '0'], byte, 16);
	else if (strncmp(name, "stack.addr", 10) == 0)
		memset(s->key[1].addr[name[10] - '0'], byte, 16);
	else {
		f = field(state_fields, name);
		memset((uint8_t *)s + f->off, byte, f->size);
	}
}

START_TEST(state_values)
{
	enum pfsync_form	 form = (enum pfsync_form)_i;
	uint8_t			 ins = ins_of(form);
	uint8_t			 upd = form == PFSYNC_FORM_1301 ?
				    PFSYNC_UPD_1301 : (uint8_t)(ins + 1);
	struct pfsync_state	 s = good_state(form);
	size_t			 i;

	walk_state(form, ins, &s);
	ck_assert_uint_eq(heard.nmsg, 1);
	ck_assert_int_eq(heard.msg[0].kind, PFSYNC_K_INS);
	ck_assert_int_eq(heard.msg[0].m.form, form);
	for (i = 0; i < LEN(values); i++) {
		ck_assert_int_eq(values[i].good ^ values[i].bad, ALL);
		s = good_state(form);
		set_value(&s, values[i].field, values[i].byte);
		walk_state(form, ins, &s);
		ck_assert_msg(heard.nmsg == ((values[i].good >> form) & 1),
		    "%s %u in form %d", values[i].field, values[i].byte, form);
		walk_state(form, upd, &s);
		ck_assert_uint_eq(heard.nmsg, (values[i].good >> form) & 1);
	}
}
END_TEST

/* OpenBSD: no families in both keys is as good as two; only v4's 4 bytes. */
START_TEST(key_values)
{
	struct pfsync_state	 s = good_state(PFSYNC_FORM_OPENBSD);

	s.key[0].af = s.key[1].af = 0;
	walk_state(PFSYNC_FORM_OPENBSD, PFSYNC_INS, &s);
	ck_assert_uint_eq(heard.nmsg, 1);
	ck_assert_uint_eq(heard.msg[0].m.state.key[0].af, 0);
	memset(s.key[1].addr[1], 0, 4);
	walk_state(PFSYNC_FORM_OPENBSD, PFSYNC_INS, &s);
	ck_assert_uint_eq(heard.nmsg, 0);
	s.key[1].af = s.key[0].af = PFSYNC_AF_INET;
	walk_state(PFSYNC_FORM_OPENBSD, PFSYNC_INS, &s);
	ck_assert_uint_eq(heard.nmsg, 0);
	s.key[1].af = PFSYNC_AF_INET6_OPENBSD;	/* ::a0a:a0a... is one */
	walk_state(PFSYNC_FORM_OPENBSD, PFSYNC_INS, &s);
	ck_assert_uint_eq(heard.nmsg, 1);
}
END_TEST

START_TEST(upd_c_values)
{
	static const struct {
		uint8_t	 version, timeout, src, dst;
		bool	 good;
	} t[] = {
		{ 6, 19, 12, 12, true }, { 6, 20, 0, 0, false },
		{ 5, 24, 12, 12, true }, { 5, 25, 0, 0, false },
		{ 6, 0, 13, 0, false }, { 6, 0, 0, 13, false },
		{ 5, 0, 13, 0, false }, { 5, 0, 0, 255, false },
	};
	struct pfsync_upd_c	 u = { .id = 1, .creatorid = 2, .expire = 3,
				    .state_flags = 0x42 };
	struct pfsync_region	 r;
	uint8_t			 pkt[128];
	struct wbuf		 w;
	size_t			 i;

	for (i = 0; i < LEN(t); i++) {
		u.timeout = t[i].timeout;
		u.src.state = t[i].src;
		u.dst.state = t[i].dst;
		memset(&r, 0, sizeof(r));
		wbuf_init(&w, pkt, sizeof(pkt));
		pfsync_begin(&w, t[i].version);
		pfsync_region(&w, &r, t[i].version, PFSYNC_UPD_C, UPD_C_LEN);
		pfsync_put_upd_c(&w, t[i].version, &u);
		ck_assert_uint_eq(pkt[24 + 81], t[i].version == 6 ? 0x42 : 0);
		pkt[24 + 81] = 0x42;	/* not a field in version 5 */
		walk(pkt, pfsync_end(&w));
		ck_assert_uint_eq(heard.nmsg, t[i].good);
		ck_assert_uint_eq(heard.count[PFSYNC_C_BADVAL], !t[i].good);
		if (!t[i].good)
			continue;
		ck_assert_uint_eq(heard.msg[0].m.upd_c.expire, 3);
		ck_assert_uint_eq(heard.msg[0].m.upd_c.state_flags,
		    t[i].version == 6 ? 0x42 : 0);
	}
}
END_TEST

/* ---- regions ---- */

/* body: everything behind the header; want: one counter or PFSYNC_C_MAX. */
static const struct {
	uint8_t			 version;
	const char		*body;
	size_t			 regions, msgs;
	enum pfsync_counter	 want;
} bodies[] = {
	/* left over: one to three bytes */
	{ 6, "00", 0, 0, PFSYNC_C_MAX },
	{ 5, "000000", 0, 0, PFSYNC_C_MAX },
	/* without handler in version 6: skipped, with a size or without */
	{ 6, "01010001" "ffffffff" "07030000", 2, 0, PFSYNC_C_MAX },
	{ 6, "03000001" "08000001" "09000001" "0b000001" "0c000001"
	    "07030000", 6, 0, PFSYNC_C_MAX },
	{ 6, "0c050001" "0000000000000000000000000000000000000000"
	    "07030001" "0000000000000001" "00000002", 2, 1, PFSYNC_C_MAX },
	{ 6, "0c050001" "00", 1, 0, PFSYNC_C_BADLEN },
	/* unknown ones need a size and a count */
	{ 6, "10010001" "ffffffff" "07030000", 2, 0, PFSYNC_C_MAX },
	{ 6, "10010000" "07030000", 1, 0, PFSYNC_C_BADACT },
	{ 6, "ff000001" "07030000", 1, 0, PFSYNC_C_BADACT },
	{ 6, "ffffffff", 1, 0, PFSYNC_C_BADLEN },
	/* known: count 0 does nothing, too short is skipped */
	{ 6, "0d420000" "07020001" "0000000000000001" "07030001"
	    "0000000000000001" "00000002", 3, 1, PFSYNC_C_MAX },
	{ 6, "07000005" "07030000", 2, 0, PFSYNC_C_MAX },
	{ 6, "07030002" "0000000000000001" "00000002", 1, 0,
	    PFSYNC_C_BADLEN },
	/* CLR: a name that does not end */
	{ 6, "00050001" "41414141414141414141414141414141" "00000002", 1, 0,
	    PFSYNC_C_BADVAL },
	{ 6, "00050001" "41414141414141414141414141414100" "00000002", 1, 1,
	    PFSYNC_C_MAX },
	/* BUS: any status; what it means is not decided here */
	{ 6, "0a030001" "000000010000000003000000", 1, 1, PFSYNC_C_MAX },
	/* version 5: the size is not looked at */
	{ 5, "07ff0001" "0000000000000001" "00000002" "0c000001", 2, 1,
	    PFSYNC_C_MAX },
	{ 5, "07000000" "0c000000", 2, 0, PFSYNC_C_MAX },
	{ 5, "07000002" "0000000000000001" "00000002", 1, 0,
	    PFSYNC_C_BADLEN },
	{ 5, "06000001" "0c000001", 1, 0, PFSYNC_C_BADACT },
	{ 5, "09000001" "0c000001", 1, 0, PFSYNC_C_BADACT },
	{ 5, "11010001" "00000000", 1, 0, PFSYNC_C_BADACT },
	{ 5, "0c000001" "00", 1, 0, PFSYNC_C_BADLEN },
	{ 5, "0f000001" "00", 1, 0, PFSYNC_C_BADLEN },
};

START_TEST(regions)
{
	uint8_t	 pkt[PKT_MAX] = { 0 };
	size_t	 len = PFSYNC_HDR_LEN;

	len += unhex(bodies[_i].body, pkt + len, sizeof(pkt) - len);
	pkt[0] = bodies[_i].version;
	pkt[3] = (uint8_t)len;
	walk(pkt, len);
	ck_assert_uint_eq(heard.nregion, bodies[_i].regions);
	ck_assert_uint_eq(heard.nmsg, bodies[_i].msgs);
	ck_assert_uint_eq(errors(), bodies[_i].want != PFSYNC_C_MAX);
	if (bodies[_i].want != PFSYNC_C_MAX)
		ck_assert_uint_eq(heard.count[bodies[_i].want], 1);
}
END_TEST

/* Bytes behind header.len: of interest to EOF only. */
START_TEST(behind_len)
{
	uint8_t	 pkt[64] = { 5, 0, 0, 24, [20] = PFSYNC_EOF, 0, 0, 1 };

	walk(pkt, 24);
	ck_assert_uint_eq(errors(), 0);
	walk(pkt, 25);
	ck_assert_uint_eq(heard.count[PFSYNC_C_BADLEN], 1);
	pkt[20] = PFSYNC_DEL_C;
	walk(pkt, 36);		/* present, but not within len */
	ck_assert_uint_eq(heard.count[PFSYNC_C_BADLEN], 1);
	pkt[3] = 36;
	walk(pkt, 64);
	ck_assert_uint_eq(errors(), 0);
	ck_assert_uint_eq(heard.nmsg, 1);
}
END_TEST

/* A region that could be filled by no packet: 65535 x 1020 bytes. */
START_TEST(huge_region)
{
	uint8_t	 pkt[24] = { 6, 0, 0, 24, [20] = 200, 255, 255, 255 };

	walk(pkt, sizeof(pkt));
	ck_assert_uint_eq(heard.count[PFSYNC_C_BADLEN], 1);
	pkt[20] = PFSYNC_INS;
	walk(pkt, sizeof(pkt));
	ck_assert_uint_eq(heard.count[PFSYNC_C_BADLEN], 1);
	pkt[0] = 5;
	pkt[20] = PFSYNC_INS_1500;
	walk(pkt, sizeof(pkt));
	ck_assert_uint_eq(heard.count[PFSYNC_C_BADLEN], 1);
	ck_assert_uint_eq(heard.nmsg, 0);
}
END_TEST

START_TEST(without_region_callback)
{
	uint8_t		 pkt[36] = { 6, 0, 0, 36, [20] = 7, 3, 0, 1 };
	uint64_t	 count[PFSYNC_C_MAX] = { 0 };

	memset(&heard, 0, sizeof(heard));
	heard.nregion = 1;
	pfsync_walk(pkt, sizeof(pkt), hear_msg, NULL, count, &heard);
	ck_assert_uint_eq(heard.nmsg, 1);
}
END_TEST

/* FreeBSD's TDB; no vector has one. */
START_TEST(old_tdb)
{
	static const char	*body = "0b000001" "10203040"
	    "1002000001020304050607080910111213141516171819202122232a"
	    "a1b2c3d4" "0102030405060708" "32" "09" "0000" "0c000001";
	uint8_t			 pkt[96] = { 5 };
	const struct pfsync_tdb	*t = &heard.msg[0].m.tdb;
	size_t			 len = PFSYNC_HDR_LEN;

	len += unhex(body, pkt + len, sizeof(pkt) - len);
	pkt[3] = (uint8_t)len;
	walk(pkt, len);
	ck_assert_uint_eq(errors(), 0);
	ck_assert_uint_eq(heard.nmsg, 1);
	ck_assert_int_eq(heard.msg[0].kind, PFSYNC_K_TDB);
	ck_assert_uint_eq(t->spi, 0x10203040);
	ck_assert_mem_eq(t->dst, pkt + 28, sizeof(t->dst));
	ck_assert_uint_eq(t->rpl, 0xa1b2c3d4);
	ck_assert_uint_eq(t->cur_bytes, 0x0102030405060708);
	ck_assert_uint_eq(t->sproto, 0x32);
	ck_assert_uint_eq(t->updates, 9);
	ck_assert_uint_eq(t->rdomain, 0);
}
END_TEST

/* OpenBSD's, with no field zero. */
START_TEST(new_tdb)
{
	struct pfsync_tdb	 t = { .spi = 0x01020304, .rpl = 0x11121314,
				    .cur_bytes = 0x2122232425262728,
				    .sproto = 0x31, .updates = 0x41,
				    .rdomain = 0x5152 };
	uint8_t			 pkt[96], want[76] = { 6, 0, 0, 76 };
	struct pfsync_region	 r = { .off = 0 };
	struct wbuf		 w;

	memset(t.dst, 0x61, sizeof(t.dst));
	wbuf_init(&w, pkt, sizeof(pkt));
	pfsync_begin(&w, 6);
	pfsync_region(&w, &r, 6, PFSYNC_TDB, TDB_LEN);
	pfsync_put_tdb(&w, &t);
	ck_assert_uint_eq(pfsync_end(&w), sizeof(want));
	unhex("0f0d0001" "01020304", want + 20, 8);
	memset(want + 28, 0x61, sizeof(t.dst));
	unhex("0000000011121314" "2122232425262728" "31" "41" "5152",
	    want + 56, 20);
	ck_assert_mem_eq(pkt, want, sizeof(want));
	walk(pkt, sizeof(want));
	ck_assert_uint_eq(heard.nmsg, 1);
	ck_assert_uint_eq(heard.msg[0].m.tdb.sproto, 0x31);
	ck_assert_uint_eq(heard.msg[0].m.tdb.updates, 0x41);
	ck_assert_uint_eq(heard.msg[0].m.tdb.rdomain, 0x5152);
}
END_TEST

/* Nothing of a longer form is left in the next state of a shorter one. */
START_TEST(no_remains)
{
	struct pfsync_state	 s = good_state(PFSYNC_FORM_1500);
	static const char	 zero[sizeof(s.tagname)];
	struct pfsync_region	 r = { .off = 0 };
	uint8_t			 pkt[PKT_MAX];
	struct wbuf		 w;
	size_t			 i;

	memset(s.tagname, 't', sizeof(s.tagname) - 1);
	s.qid = s.max_mss = s.stack_af = 2;
	wbuf_init(&w, pkt, sizeof(pkt));
	pfsync_begin(&w, 5);
	pfsync_region(&w, &r, 5, PFSYNC_INS_1500, 360);
	pfsync_put_state(&w, PFSYNC_FORM_1500, &s);
	pfsync_region(&w, &r, 5, PFSYNC_UPD_1301, 242);
	pfsync_put_state(&w, PFSYNC_FORM_1301, &s);
	walk(pkt, pfsync_end(&w));
	ck_assert_uint_eq(heard.nmsg, 2);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(i == 0, memcmp(heard.msg[i].m.state.tagname,
		    zero, sizeof(zero)) != 0);
	ck_assert_uint_eq(heard.msg[1].m.state.qid, 0);
	ck_assert_uint_eq(heard.msg[1].m.state.max_mss, 0);
	ck_assert_uint_eq(heard.msg[1].m.state.stack_af, 0);
}
END_TEST

START_TEST(kinds)
{
	static const enum pfsync_kind	 v6[] = {
		PFSYNC_K_CLR, PFSYNC_K_NONE, PFSYNC_K_INS_ACK, PFSYNC_K_NONE,
		PFSYNC_K_UPD_C, PFSYNC_K_UPD_REQ, PFSYNC_K_DEL_C,
		PFSYNC_K_DEL_C, PFSYNC_K_NONE, PFSYNC_K_NONE, PFSYNC_K_BUS,
		PFSYNC_K_NONE, PFSYNC_K_NONE, PFSYNC_K_INS, PFSYNC_K_UPD,
		PFSYNC_K_TDB
	};
	static const enum pfsync_kind	 v5[] = {
		PFSYNC_K_CLR, PFSYNC_K_INS, PFSYNC_K_INS_ACK, PFSYNC_K_UPD,
		PFSYNC_K_UPD_C, PFSYNC_K_UPD_REQ, PFSYNC_K_NONE,
		PFSYNC_K_DEL_C, PFSYNC_K_NONE, PFSYNC_K_NONE, PFSYNC_K_BUS,
		PFSYNC_K_TDB, PFSYNC_K_NONE, PFSYNC_K_INS, PFSYNC_K_UPD,
		PFSYNC_K_INS, PFSYNC_K_UPD
	};
	unsigned int			 i;

	for (i = 0; i < 256; i++) {
		ck_assert_int_eq(pfsync_kind(6, (uint8_t)i),
		    i < LEN(v6) ? v6[i] : PFSYNC_K_NONE);
		ck_assert_int_eq(pfsync_kind(5, (uint8_t)i),
		    i < LEN(v5) ? v5[i] : PFSYNC_K_NONE);
		ck_assert_int_eq(pfsync_kind(4, (uint8_t)i), PFSYNC_K_NONE);
	}
}
END_TEST

START_TEST(counter_names)
{
	size_t	 i, k;

	for (i = 0; i < PFSYNC_C_MAX; i++) {
		ck_assert_ptr_nonnull(pfsync_counter_names[i]);
		for (k = 0; k < i; k++)
			ck_assert_str_ne(pfsync_counter_names[i],
			    pfsync_counter_names[k]);
	}
}
END_TEST

/* Every vector, cut anywhere: nothing is read that is not there. */
START_TEST(cut_short)
{
	json_t	*root = load_vectors(), *list, *v;
	uint8_t	 pkt[PKT_MAX];
	size_t	 i, n, len, k;

	list = json_object_get(root, "vectors");
	json_array_foreach(list, i, v) {
		len = unhex(text(v, "hex"), pkt, sizeof(pkt));
		for (n = 0; n < len; n++) {
			walk(pkt, n);
			if (n < PFSYNC_HDR_LEN)
				ck_assert_uint_eq(
				    heard.count[PFSYNC_C_HDROPS], 1);
			/* with a length to fit, whatever is there */
			if (n < PFSYNC_HDR_LEN)
				continue;
			k = (size_t)pkt[2] << 8 | pkt[3];
			pkt[2] = (uint8_t)(n >> 8);
			pkt[3] = (uint8_t)n;
			walk(pkt, n);
			rebuild_messages(pkt);
			pkt[2] = (uint8_t)(k >> 8);
			pkt[3] = (uint8_t)k;
		}
	}
	json_decref(root);
}
END_TEST

/* ---- building ---- */

START_TEST(joining)
{
	struct pfsync_region	 r = { .off = 0 }, other = { .off = 0 };
	struct pfsync_id	 id = { .id = 1, .creatorid = 2 };
	struct pfsync_bus	 bus = { .creatorid = 2,
				    .status = PFSYNC_BUS_END };
	uint8_t			 pkt[256];
	struct wbuf		 w;
	size_t			 i, len;

	wbuf_init(&w, pkt, sizeof(pkt));
	pfsync_begin(&w, PFSYNC_VERSION_OPENBSD);
	for (i = 0; i < 3; i++, id.id++) {
		pfsync_region(&w, &r, 6, PFSYNC_DEL_C, ID_LEN);
		pfsync_put_id(&w, &id);
	}
	pfsync_region(&w, &r, 6, PFSYNC_INS_ACK, ID_LEN);
	pfsync_put_id(&w, &id);
	pfsync_region(&w, &other, 6, PFSYNC_BUS, BUS_LEN);
	pfsync_put_bus(&w, &bus);
	pfsync_region(&w, &r, 6, PFSYNC_INS_ACK, ID_LEN);
	pfsync_put_id(&w, &id);
	memset(&r, 0, sizeof(r));
	pfsync_region(&w, &r, 6, PFSYNC_INS_ACK, ID_LEN);
	pfsync_put_id(&w, &id);
	len = pfsync_end(&w);
	ck_assert_uint_eq(len, 20 + 5 * 4 + 7 * 12);
	walk(pkt, len);
	ck_assert_uint_eq(errors(), 0);
	ck_assert_uint_eq(heard.nmsg, 7);
	ck_assert_uint_eq(heard.nregion, 5);
	ck_assert_uint_eq(heard.region[0].count, 3);
	ck_assert_uint_eq(heard.region[0].size, 3);
	for (i = 1; i < 5; i++)
		ck_assert_uint_eq(heard.region[i].count, 1);
	ck_assert_uint_eq(heard.msg[2].m.id.id, 3);
}
END_TEST

/* A region that was closed stays so, though the sizes would fit. */
START_TEST(closed_region)
{
	struct pfsync_region	 r = { .off = 0 };
	struct pfsync_clr	 clr = { .creatorid = 1 };
	uint8_t			 pkt[128];
	struct wbuf		 w;

	wbuf_init(&w, pkt, sizeof(pkt));
	pfsync_begin(&w, 6);
	pfsync_region(&w, &r, 6, PFSYNC_CLR, CLR_LEN);
	pfsync_put_clr(&w, &clr);
	r.off = 0;
	r.count = 2;	/* 4 + 2 * 20 = 20 + 4 + 20 */
	pfsync_region(&w, &r, 6, PFSYNC_CLR, CLR_LEN);
	pfsync_put_clr(&w, &clr);
	walk(pkt, pfsync_end(&w));
	ck_assert_uint_eq(heard.nregion, 2);
	ck_assert_uint_eq(heard.nmsg, 2);
}
END_TEST

/* What does not fit spoils the packet, wherever it ends. */
START_TEST(does_not_fit)
{
	struct pfsync_state	 s = good_state(PFSYNC_FORM_OPENBSD);
	struct pfsync_upd_c	 u = { .id = 1 };
	struct pfsync_id	 id = { .id = 1 };
	struct pfsync_clr	 clr = { .creatorid = 1 };
	struct pfsync_bus	 bus = { .creatorid = 1 };
	struct pfsync_tdb	 tdb = { .spi = 1 };
	struct pfsync_region	 r;
	size_t			 full = 20 + 6 * 4 + 264 + UPD_C_LEN + ID_LEN +
				    CLR_LEN + BUS_LEN + TDB_LEN, size;
	uint8_t			*mem;
	struct wbuf		 w;

	for (size = 0; size <= full; size++) {
		mem = malloc(size + 1);
		ck_assert_ptr_nonnull(mem);
		mem[size] = 0x5a;
		memset(&r, 0, sizeof(r));
		wbuf_init(&w, mem, size);
		pfsync_begin(&w, 6);
		pfsync_region(&w, &r, 6, PFSYNC_INS, 264);
		pfsync_put_state(&w, PFSYNC_FORM_OPENBSD, &s);
		pfsync_region(&w, &r, 6, PFSYNC_UPD_C, UPD_C_LEN);
		pfsync_put_upd_c(&w, 6, &u);
		pfsync_region(&w, &r, 6, PFSYNC_DEL_C, ID_LEN);
		pfsync_put_id(&w, &id);
		pfsync_region(&w, &r, 6, PFSYNC_CLR, CLR_LEN);
		pfsync_put_clr(&w, &clr);
		pfsync_region(&w, &r, 6, PFSYNC_BUS, BUS_LEN);
		pfsync_put_bus(&w, &bus);
		pfsync_region(&w, &r, 6, PFSYNC_TDB, TDB_LEN);
		pfsync_put_tdb(&w, &tdb);
		ck_assert_uint_eq(pfsync_end(&w), size == full ? full : 0);
		ck_assert_uint_eq(mem[size], 0x5a);
		free(mem);
	}
}
END_TEST

/* The length and the count of a region are 16 bits. */
START_TEST(too_long)
{
	static uint8_t		 mem[300000];
	struct pfsync_region	 r = { .off = 0 };
	struct wbuf		 w;
	size_t			 i;

	wbuf_init(&w, mem, sizeof(mem));
	wbuf_zero(&w, PFSYNC_HDR_LEN - 1);
	ck_assert_uint_eq(pfsync_end(&w), 0);	/* not even a header */
	wbuf_init(&w, mem, sizeof(mem));
	pfsync_begin(&w, 5);
	for (i = 0; i < UINT16_MAX; i++)
		pfsync_region(&w, &r, 5, PFSYNC_EOF, 0);
	ck_assert_uint_eq(wbuf_used(&w), 24);
	ck_assert_uint_eq(r.count, UINT16_MAX);
	pfsync_region(&w, &r, 5, PFSYNC_EOF, 0);
	ck_assert_uint_eq(wbuf_used(&w), 28);
	ck_assert_uint_eq(r.count, 1);
	wbuf_zero(&w, UINT16_MAX - 28);
	ck_assert_uint_eq(pfsync_end(&w), UINT16_MAX);
	wbuf_u8(&w, 0);
	ck_assert_uint_eq(pfsync_end(&w), 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("pfsync_wire");
	TCase	*tc = tcase_create("pfsync_wire");
	SRunner	*sr;
	int	 failed;

	hmac_setup();
	tcase_add_loop_test(tc, json_vectors, 0, NVECTORS);
	tcase_add_loop_test(tc, capture, 0, LEN(captures));
	tcase_add_loop_test(tc, layouts, 0, PFSYNC_FORM_MAX);
	tcase_add_test(tc, key_families);
	tcase_add_loop_test(tc, state_values, 0, PFSYNC_FORM_MAX);
	tcase_add_test(tc, key_values);
	tcase_add_test(tc, upd_c_values);
	tcase_add_loop_test(tc, regions, 0, LEN(bodies));
	tcase_add_test(tc, behind_len);
	tcase_add_test(tc, huge_region);
	tcase_add_test(tc, without_region_callback);
	tcase_add_test(tc, old_tdb);
	tcase_add_test(tc, new_tdb);
	tcase_add_test(tc, no_remains);
	tcase_add_test(tc, kinds);
	tcase_add_test(tc, counter_names);
	tcase_add_test(tc, cut_short);
	tcase_add_test(tc, joining);
	tcase_add_test(tc, closed_region);
	tcase_add_test(tc, does_not_fit);
	tcase_add_test(tc, too_long);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
