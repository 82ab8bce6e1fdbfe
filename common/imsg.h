/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Framed messages with file descriptor passing over a unix stream socket.
 * OpenBSD's names, our code on every system.  A message is a 16-byte header
 * and up to IMSG_DATA_MAX bytes; at most one descriptor rides with it.  The
 * far side is not trusted: every length is checked, descriptors nobody asked
 * for are closed, and memory per connection is bounded.
 */
#ifndef COMMON_IMSG_H
#define COMMON_IMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMSG_DATA_MAX	8176	/* payload bytes of one message */

struct imsg {
	uint32_t	 type;
	uint32_t	 id;	/* free for the sender: request or client id */
	const void	*data;	/* 8-byte aligned; until next imsgbuf_ call */
	size_t		 len;
	int		 fd;	/* -1, or owned by the receiver of the imsg */
};

struct imsgbuf;

/* Takes over fd, sets it non-blocking.  fatal() when out of memory. */
struct imsgbuf	*imsgbuf_new(int fd);
/* Closes the fd and what is queued. */
void		 imsgbuf_free(struct imsgbuf *b);
int		 imsgbuf_fd(const struct imsgbuf *b);
/* Queue limit in bytes, default 1 MiB: beyond it compose fails with ENOBUFS. */
void		 imsgbuf_limit(struct imsgbuf *b, size_t bytes);
/* Bytes waiting to be written. */
size_t		 imsgbuf_queued(const struct imsgbuf *b);

/*
 * Queue a message, copying data.  fd >= 0 is sent along and closed once
 * written (also on failure).  0, or -1 and errno (EMSGSIZE, ENOBUFS).
 */
int		 imsg_compose(struct imsgbuf *b, uint32_t type, uint32_t id,
		    int fd, const void *data, size_t len);
/* Write what fits.  0: queue empty; 1: would block; -1: error and errno. */
int		 imsgbuf_flush(struct imsgbuf *b);
/* Read once.  1: something or nothing yet; 0: end of file; -1: errno. */
int		 imsgbuf_read(struct imsgbuf *b);
/* Next complete message.  1: got it; 0: none; -1: framing error. */
int		 imsg_get(struct imsgbuf *b, struct imsg *im);

#endif
