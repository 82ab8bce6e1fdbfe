/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Client side of a control socket, for programs without an event loop: each
 * call waits with poll(2) and gives up after a time.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctlclient.h"
#include "log.h"
#include "monotime.h"

#define CTLCLIENT_WAIT	5		/* seconds for connect and ask */

#define CTLCLIENT_MOST	((size_t)64 << 20)	/* bytes of an answer */

struct ctlclient {
	struct imsgbuf	*ib;
	size_t		 got;		/* since it was asked */
};

static int
ctlclient_connect(const char *path)
{
	struct timeval tv = { CTLCLIENT_WAIT, 0 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return (-1);
	/* A daemon that does not accept would have us wait in connect(). */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1 ||
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno == EAGAIN ? ETIMEDOUT : errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

struct ctlclient *
ctlclient_open(const char *path)
{
	struct ctlclient *c;
	int fd;

	if ((fd = ctlclient_connect(path)) == -1)
		return (NULL);
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->ib = imsgbuf_new(fd);
	return (c);
}

void
ctlclient_close(struct ctlclient *c)
{
	if (c == NULL)
		return;
	imsgbuf_free(c->ib);
	free(c);
}

int
ctlclient_fd(const struct ctlclient *c)
{
	return (imsgbuf_fd(c->ib));
}

/* Wait for events until end.  0, or -1 and errno (ETIMEDOUT). */
static int
ctlclient_wait(const struct ctlclient *c, short events, monotime_t end)
{
	struct pollfd pfd = { .fd = ctlclient_fd(c), .events = events };
	int64_t left;
	int ms, r;

	do {
		ms = -1;
		if (monotime_isset(end)) {
			left = monotime_sub(end, monotime_now());
			left = left < 0 ? 0 : left;
			ms = (int)((left + MONOTIME_MSEC - 1) / MONOTIME_MSEC);
		}
		r = poll(&pfd, 1, ms);
	} while (r == -1 && errno == EINTR);
	if (r == 0)
		errno = ETIMEDOUT;
	return (r > 0 ? 0 : -1);
}

int
ctlclient_ask(struct ctlclient *c, uint32_t type, const void *data, size_t len)
{
	monotime_t end;
	int r;

	end = monotime_add(monotime_now(), CTLCLIENT_WAIT * MONOTIME_SEC);
	c->got = 0;
	if (imsg_compose(c->ib, type, 0, -1, data, len) == -1)
		return (-1);
	while ((r = imsgbuf_flush(c->ib)) == 1)
		if (ctlclient_wait(c, POLLOUT, end) == -1)
			return (-1);
	return (r);
}

/* A complete message, if one is there.  As imsg_get(), but no descriptors. */
static int
ctlclient_get(struct ctlclient *c, struct imsg *im)
{
	int r;

	if ((r = imsg_get(c->ib, im)) == 1 && im->fd != -1) {
		close(im->fd);
		im->fd = -1;
	}
	return (r);
}

/*
 * A daemon that closes while a request of ours is unread resets the
 * connection: closed as well.
 */
int
ctlclient_next(struct ctlclient *c, struct imsg *im, int ms)
{
	monotime_t end = MONOTIME_NEVER;
	int r;

	if (ms >= 0)
		end = monotime_add(monotime_now(), ms * MONOTIME_MSEC);
	while ((r = ctlclient_get(c, im)) == 0) {
		if (ctlclient_wait(c, POLLIN, end) == -1)
			return (-1);
		if ((r = imsgbuf_read(c->ib)) == 1)
			continue;
		return (r == -1 && errno != ECONNRESET ? -1 : 0);
	}
	if (r == 1 && ms > 0 && (c->got += sizeof(*im) + im->len) > CTLCLIENT_MOST) {
		errno = EMSGSIZE;
		return (-1);
	}
	return (r);
}
