/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a pfsync packet, and as a full state of each form.  What the
 * walk hands out was within the packet and adds up; built again it is walked
 * without an error to the same bytes.
 */
#undef NDEBUG

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/pfsync.h"

#define UPD_C_LEN	84
#define ID_LEN		12
#define CLR_LEN		20
#define BUS_LEN		12
#define TDB_LEN		52
#define PKT_MAX		512

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint8_t		 version;
	size_t		 end;		/* of what regions may use */
	size_t		 last;		/* offset of the last region */
	uint64_t	 announced, msgs;
};

/* A packet that holds just this message. */
static size_t
build(uint8_t version, const struct pfsync_msg *m, enum pfsync_kind kind,
    uint8_t out[PKT_MAX])
{
	struct pfsync_region	 r = { .off = 0 };
	struct wbuf		 w;

	/* FreeBSD's TDB and OpenBSD's DEL are not for sending */
	if (kind == PFSYNC_K_TDB)
		version = PFSYNC_VERSION_OPENBSD;
	wbuf_init(&w, out, PKT_MAX);
	pfsync_begin(&w, version);
	switch (kind) {
	case PFSYNC_K_INS:
	case PFSYNC_K_UPD:
		pfsync_region(&w, &r, version, m->action,
		    pfsync_state_len[m->form]);
		pfsync_put_state(&w, m->form, &m->state);
		break;
	case PFSYNC_K_UPD_C:
		pfsync_region(&w, &r, version, m->action, UPD_C_LEN);
		pfsync_put_upd_c(&w, version, &m->upd_c);
		break;
	case PFSYNC_K_DEL_C:
		pfsync_region(&w, &r, version, PFSYNC_DEL_C, ID_LEN);
		pfsync_put_id(&w, &m->id);
		break;
	case PFSYNC_K_UPD_REQ:
	case PFSYNC_K_INS_ACK:
		pfsync_region(&w, &r, version, m->action, ID_LEN);
		pfsync_put_id(&w, &m->id);
		break;
	case PFSYNC_K_CLR:
		pfsync_region(&w, &r, version, m->action, CLR_LEN);
		pfsync_put_clr(&w, &m->clr);
		break;
	case PFSYNC_K_BUS:
		pfsync_region(&w, &r, version, m->action, BUS_LEN);
		pfsync_put_bus(&w, &m->bus);
		break;
	case PFSYNC_K_TDB:
		pfsync_region(&w, &r, version, PFSYNC_TDB, TDB_LEN);
		pfsync_put_tdb(&w, &m->tdb);
		break;
	case PFSYNC_K_NONE:
		abort();
	}
	return (pfsync_end(&w));
}

struct again {
	const uint8_t		*pkt;
	size_t			 len;
	enum pfsync_kind	 kind;
	int			 msgs;
};

static void
again(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	struct again	*a = arg;
	uint8_t		 out[PKT_MAX];

	assert(kind == a->kind);
	assert(m->index == 0 && m->count == 1);
	assert(build(a->pkt[0], m, kind, out) == a->len);
	assert(memcmp(out, a->pkt, a->len) == 0);
	a->msgs++;
}

static void
message(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	uint64_t	 count[PFSYNC_C_MAX] = { 0 };
	uint8_t		 out[PKT_MAX];
	struct seen	*s = arg;
	struct again	 a = { .pkt = out, .kind = kind };
	size_t		 i;

	assert(kind == pfsync_kind(s->version, m->action));
	assert(m->index < m->count);
	s->msgs++;
	a.len = build(s->version, m, kind, out);
	assert(a.len != 0);
	pfsync_walk(out, a.len, again, NULL, count, &a);
	assert(a.msgs == 1);
	for (i = 0; i < PFSYNC_C_MAX; i++)
		assert(count[i] == 0);
}

static void
region(uint8_t action, uint8_t size, uint16_t count, size_t off, void *arg)
{
	struct seen	*s = arg;

	(void)action;
	(void)size;
	assert(off >= PFSYNC_HDR_LEN && off > s->last);
	assert(off + PFSYNC_SUBHDR_LEN <= s->end);
	s->last = off;
	s->announced += count;
}

/* Any values are carried; what a layout leaves free becomes zero. */
static void
state(const uint8_t *data, size_t size, enum pfsync_form form)
{
	uint8_t			 out[2][PKT_MAX];
	struct pfsync_state	 s;
	struct rbuf		 r;
	struct wbuf		 w;
	size_t			 i, len = pfsync_state_len[form];

	rbuf_init(&r, data, size);
	assert(pfsync_get_state(&r, form, &s) == (size >= len));
	if (size < len)
		return;
	assert(rbuf_left(&r) == size - len);
	for (i = 0; i < 2; i++) {
		wbuf_init(&w, out[i], sizeof(out[i]));
		pfsync_put_state(&w, form, &s);
		assert(wbuf_ok(&w) && wbuf_used(&w) == len);
		rbuf_init(&r, out[i], len);
		assert(pfsync_get_state(&r, form, &s));
	}
	assert(memcmp(out[0], out[1], len) == 0);
	for (i = 0; i < len; i++)
		assert(out[0][i] == data[i] || out[0][i] == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t		 count[PFSYNC_C_MAX] = { 0 }, stops;
	struct seen		 s = { .last = 0 };
	struct pfsync_hdr	 h;
	enum pfsync_counter	 c;
	unsigned int		 form;

	c = pfsync_parse_hdr(data, size, &h);
	s.version = h.version;
	s.end = h.len;
	pfsync_walk(data, size, message, region, count, &s);
	stops = count[PFSYNC_C_HDROPS] + count[PFSYNC_C_BADVER] +
	    count[PFSYNC_C_BADLEN] + count[PFSYNC_C_BADACT];
	assert(stops <= 1);
	if (c != PFSYNC_C_MAX)
		assert(count[c] == 1 && s.last == 0);
	else
		assert(h.len >= PFSYNC_HDR_LEN && h.len <= size);
	assert(s.msgs + count[PFSYNC_C_BADVAL] <= s.announced);
	for (form = 0; form < PFSYNC_FORM_MAX; form++)
		state(data, size, (enum pfsync_form)form);
	return (0);
}
