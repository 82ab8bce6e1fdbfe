/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * An imsgbuf in the event loop.  One read a round, so that a busy sender does
 * not keep the others waiting.  What the far side wrote before it went away
 * is delivered before it is reported gone, even when a write failed first.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "ev.h"
#include "log.h"

struct channel {
	struct imsgbuf	*ib;
	struct ev_fd	*ev;		/* NULL: gone or freed */
	channel_msg_cb	 msg;
	channel_gone_cb	 gone;
	void		*arg;
	int		 werr;		/* errno of a failed write */
	bool		 finishing;
	bool		 busy;		/* within channel_event() */
	bool		 dead;		/* freed while busy */
};

static void	 channel_event(int, int, void *);

struct channel *
channel_new(int fd, channel_msg_cb msg, channel_gone_cb gone, void *arg)
{
	struct channel *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->ib = imsgbuf_new(fd);
	c->msg = msg;
	c->gone = gone;
	c->arg = arg;
	c->ev = ev_fd_new(fd, EV_IN, channel_event, c);
	return (c);
}

static void
channel_release(struct channel *c)
{
	imsgbuf_free(c->ib);
	free(c);
}

/* A callback may still be looking at its message: that goes after it. */
void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	ev_fd_free(c->ev);
	c->ev = NULL;
	if (c->busy)
		c->dead = true;
	else
		channel_release(c);
}

struct imsgbuf *
channel_imsgbuf(struct channel *c)
{
	return (c->ib);
}

/* Nothing is watched afterwards, so it is said once. */
static void
channel_gone(struct channel *c, const char *why)
{
	ev_fd_free(c->ev);
	c->ev = NULL;
	c->gone(c, why, c->arg);
}

/* Write what fits, and choose what to wait for next. */
static void
channel_write(struct channel *c)
{
	int what = c->finishing ? 0 : EV_IN;

	if (c->werr == 0 && imsgbuf_flush(c->ib) == -1)
		c->werr = errno;
	if (c->werr != 0 || c->finishing || imsgbuf_queued(c->ib) > 0)
		what |= EV_OUT;
	if (c->ev != NULL)
		ev_fd_want(c->ev, what);
}

static void
channel_input(struct channel *c)
{
	struct imsg im;
	int r;

	if ((r = imsgbuf_read(c->ib)) <= 0) {
		channel_gone(c, r == 0 ? "end of file" : strerror(errno));
		return;
	}
	while (c->ev != NULL && !c->finishing) {
		if ((r = imsg_get(c->ib, &im)) == 0)
			return;
		if (r == -1) {
			channel_gone(c, "bad framing");
			return;
		}
		c->msg(c, &im, c->arg);
	}
}

/*
 * A failed write is reported only when there is nothing (more) to read; until
 * then EV_OUT stays wanted and brings us back here.
 */
static void
channel_output(struct channel *c, int what)
{
	channel_write(c);
	if (c->werr != 0 && (c->finishing || (what & EV_IN) == 0))
		channel_gone(c, strerror(c->werr));
	else if (c->finishing && imsgbuf_queued(c->ib) == 0)
		channel_gone(c, "finished");
}

static void
channel_event(int fd, int what, void *arg)
{
	struct channel *c = arg;

	(void)fd;
	c->busy = true;
	if ((what & EV_IN) && !c->finishing)
		channel_input(c);
	if (c->ev != NULL && (what & EV_OUT))
		channel_output(c, what);
	c->busy = false;
	if (c->dead)
		channel_release(c);
}

int
channel_queue(struct channel *c, uint32_t type, uint32_t id, int fd,
    const void *data, size_t len)
{
	return (imsg_compose(c->ib, type, id, fd, data, len));
}

void
channel_flush(struct channel *c)
{
	if (imsgbuf_queued(c->ib) > 0)
		channel_write(c);
}

int
channel_send(struct channel *c, uint32_t type, uint32_t id, int fd,
    const void *data, size_t len)
{
	if (imsg_compose(c->ib, type, id, fd, data, len) == -1)
		return (-1);
	channel_write(c);
	if (c->werr != 0) {
		errno = c->werr;
		return (-1);
	}
	return (0);
}

void
channel_finish(struct channel *c)
{
	c->finishing = true;
	channel_write(c);
}

int
channel_drain(struct channel *c, int ms)
{
	struct pollfd pfd = { .fd = imsgbuf_fd(c->ib), .events = POLLOUT };
	monotime_t end = monotime_add(monotime_now(), ms * MONOTIME_MSEC);
	int64_t left;

	for (;;) {
		channel_write(c);
		if (c->werr != 0) {
			errno = c->werr;
			return (-1);
		}
		if (imsgbuf_queued(c->ib) == 0)
			return (0);
		if ((left = monotime_sub(end, monotime_now())) <= 0) {
			errno = ETIMEDOUT;
			return (-1);
		}
		left = (left + MONOTIME_MSEC - 1) / MONOTIME_MSEC;
		if (poll(&pfd, 1, (int)left) == -1 && errno != EINTR)
			return (-1);
	}
}
