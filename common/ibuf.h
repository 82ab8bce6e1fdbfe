/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A bounded read cursor and a bounded write cursor over memory of the caller:
 * the only code that touches foreign bytes.  No allocation.  Both are sticky:
 * after the first overrun every further call does nothing, reads give zero,
 * and *_ok() is false, so a parser checks once at its end.
 */
#ifndef COMMON_IBUF_H
#define COMMON_IBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rbuf {
	const uint8_t	*p;
	size_t		 left;
	bool		 bad;
};

struct wbuf {
	uint8_t		*base;
	size_t		 size;
	size_t		 used;
	bool		 bad;
};

void		 rbuf_init(struct rbuf *r, const void *data, size_t len);
bool		 rbuf_ok(const struct rbuf *r);
size_t		 rbuf_left(const struct rbuf *r);
uint8_t		 rbuf_u8(struct rbuf *r);
uint16_t	 rbuf_be16(struct rbuf *r);
uint32_t	 rbuf_be32(struct rbuf *r);
uint64_t	 rbuf_be64(struct rbuf *r);
/* Copies n bytes, zeroes dst when there are fewer. */
void		 rbuf_bytes(struct rbuf *r, void *dst, size_t n);
/* A view of the next n bytes, or NULL. */
const uint8_t	*rbuf_view(struct rbuf *r, size_t n);
void		 rbuf_skip(struct rbuf *r, size_t n);

void		 wbuf_init(struct wbuf *w, void *mem, size_t size);
bool		 wbuf_ok(const struct wbuf *w);
size_t		 wbuf_used(const struct wbuf *w);
void		 wbuf_u8(struct wbuf *w, uint8_t v);
void		 wbuf_be16(struct wbuf *w, uint16_t v);
void		 wbuf_be32(struct wbuf *w, uint32_t v);
void		 wbuf_be64(struct wbuf *w, uint64_t v);
void		 wbuf_bytes(struct wbuf *w, const void *src, size_t n);
/* n zero bytes; returns where they start, or NULL. */
uint8_t		*wbuf_zero(struct wbuf *w, size_t n);

#endif
