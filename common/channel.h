/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * An imsgbuf driven by the event loop: reads, writes when it can, hands each
 * message to one callback, says once when the far side is gone.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include "imsg.h"

struct channel;

/* The fd in im, if any, belongs to the callback. May call channel_free(). */
typedef void (*channel_msg_cb)(struct channel *c, struct imsg *im, void *arg);
/* End of file, error or bad framing; the callback frees the channel. */
typedef void (*channel_gone_cb)(struct channel *c, const char *why, void *arg);

struct channel	*channel_new(int fd, channel_msg_cb msg, channel_gone_cb gone,
		    void *arg);
void		 channel_free(struct channel *c);
struct imsgbuf	*channel_imsgbuf(struct channel *c);
/*
 * Queue and try to write at once, so a message leaves before this returns
 * whenever the socket has room.  0, or -1 and errno as imsg_compose().  Never
 * calls back.
 */
int		 channel_send(struct channel *c, uint32_t type, uint32_t id,
		    int fd, const void *data, size_t len);
/* The same, but it is not written before channel_flush() or other sending. */
int		 channel_queue(struct channel *c, uint32_t type, uint32_t id,
		    int fd, const void *data, size_t len);
void		 channel_flush(struct channel *c);
/*
 * Read no more, and call gone from the loop once everything queued is written
 * (or cannot be).
 */
void		 channel_finish(struct channel *c);
/* Wait (poll, at most ms) until everything queued is written; 0 or -1. */
int		 channel_drain(struct channel *c, int ms);

#endif
