/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The bounded cursors of ibuf.h.  Every length is compared with what is left,
 * never added to a position first, so no sum can wrap.  No allocation, no
 * knowledge of any protocol.
 */
#include <string.h>

#include "ibuf.h"

void
rbuf_init(struct rbuf *r, const void *data, size_t len)
{
	r->p = data;
	r->left = len;
	r->bad = false;
}

bool
rbuf_ok(const struct rbuf *r)
{
	return (!r->bad);
}

size_t
rbuf_left(const struct rbuf *r)
{
	return (r->left);
}

/*
 * An overrun also empties the cursor, so that a loop over rbuf_left() ends.
 */
const uint8_t *
rbuf_view(struct rbuf *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		r->left = 0;
		return (NULL);
	}
	if (n > 0)
		r->p += n;
	r->left -= n;
	return (p);
}

/* n bytes, the first one most significant. */
static uint64_t
rbuf_be(struct rbuf *r, size_t n)
{
	const uint8_t *p;
	uint64_t v = 0;

	if ((p = rbuf_view(r, n)) == NULL)
		return (0);
	while (n-- > 0)
		v = v << 8 | *p++;
	return (v);
}

uint8_t
rbuf_u8(struct rbuf *r)
{
	return ((uint8_t)rbuf_be(r, 1));
}

uint16_t
rbuf_be16(struct rbuf *r)
{
	return ((uint16_t)rbuf_be(r, 2));
}

uint32_t
rbuf_be32(struct rbuf *r)
{
	return ((uint32_t)rbuf_be(r, 4));
}

uint64_t
rbuf_be64(struct rbuf *r)
{
	return (rbuf_be(r, 8));
}

void
rbuf_bytes(struct rbuf *r, void *dst, size_t n)
{
	const uint8_t *p;

	if (n == 0)
		return;
	if ((p = rbuf_view(r, n)) == NULL)
		memset(dst, 0, n);
	else
		memcpy(dst, p, n);
}

void
rbuf_skip(struct rbuf *r, size_t n)
{
	(void)rbuf_view(r, n);
}

void
wbuf_init(struct wbuf *w, void *mem, size_t size)
{
	w->base = mem;
	w->size = size;
	w->used = 0;
	w->bad = false;
}

bool
wbuf_ok(const struct wbuf *w)
{
	return (!w->bad);
}

size_t
wbuf_used(const struct wbuf *w)
{
	return (w->used);
}

/* Room for n bytes, counted as used; NULL on overrun. */
static uint8_t *
wbuf_room(struct wbuf *w, size_t n)
{
	uint8_t *p;

	if (w->bad || n > w->size - w->used) {
		w->bad = true;
		return (NULL);
	}
	p = w->base + w->used;
	w->used += n;
	return (p);
}

/* The low n bytes of v, the most significant first. */
static void
wbuf_be(struct wbuf *w, uint64_t v, size_t n)
{
	uint8_t *p;

	if ((p = wbuf_room(w, n)) == NULL)
		return;
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

void
wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_be(w, v, 1);
}

void
wbuf_be16(struct wbuf *w, uint16_t v)
{
	wbuf_be(w, v, 2);
}

void
wbuf_be32(struct wbuf *w, uint32_t v)
{
	wbuf_be(w, v, 4);
}

void
wbuf_be64(struct wbuf *w, uint64_t v)
{
	wbuf_be(w, v, 8);
}

void
wbuf_bytes(struct wbuf *w, const void *src, size_t n)
{
	uint8_t *p;

	if (n > 0 && (p = wbuf_room(w, n)) != NULL)
		memcpy(p, src, n);
}

uint8_t *
wbuf_zero(struct wbuf *w, size_t n)
{
	uint8_t *p;

	if ((p = wbuf_room(w, n)) != NULL && n > 0)
		memset(p, 0, n);
	return (p);
}
