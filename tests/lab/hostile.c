/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A child that was taken over: its channel and its means (hostile.h).
 */
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostile.h"

#define FDS		32

struct header {			/* as in common/imsg.c */
	uint32_t	 magic, type, id;
	uint16_t	 len, flags;
};
#define MAGIC		0x43724d31u
#define F_FD		0x1u

static uint64_t	 seed = 1;

struct order
order_read(void)
{
	const char	*text = getenv("HOSTILE");
	struct order	 o = { .n = 0 };
	char		 what[16];
	unsigned int	 n, with = 1;

	if (text == NULL || sscanf(text, "%15s %u %u", what, &n, &with) < 2)
		errx(1, "HOSTILE: %s", text == NULL ? "not set" : text);
	o.wrong = strcmp(what, "wrong") == 0;
	o.deaf = strcmp(what, "deaf") == 0;
	o.endless = strcmp(what, "endless") == 0;
	o.n = n;
	seed += with;
	return (o);
}

/* Steele, Lea, Flood: splitmix64. */
static uint64_t
rnd64(void)
{
	uint64_t	 z = seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31);
}

uint32_t
rnd(uint32_t below)
{
	return ((uint32_t)(rnd64() % below));
}

void
rnd_fill(void *p, size_t len)
{
	uint8_t	*b = p;

	while (len-- > 0)
		*b++ = (uint8_t)rnd64();
}

/* ---- hearing and saying ---- */

static void
hear(struct speaker *s)
{
	struct imsg	 im;
	int		 r;

	if (imsgbuf_read(s->ib) != 1)
		exit(0);
	while ((r = imsg_get(s->ib, &im)) == 1) {
		if (s->heard != NULL)
			s->heard(s, &im);
		else if (im.fd != -1)
			close(im.fd);
	}
	if (r == -1)
		errx(1, "bad framing");
}

static short
await(const struct speaker *s, short events)
{
	struct pollfd	 pfd = { .fd = imsgbuf_fd(s->ib), .events = events };

	while (poll(&pfd, 1, -1) == -1)
		if (errno != EINTR)
			err(1, "poll");
	return (pfd.revents);
}

void
hear_until(struct speaker *s, bool (*done)(void))
{
	while (!done()) {
		(void)await(s, POLLIN);
		hear(s);
	}
}

void
hear_now(struct speaker *s)
{
	struct pollfd	 pfd = { .fd = imsgbuf_fd(s->ib), .events = POLLIN };

	while (!s->deaf && poll(&pfd, 1, 0) == 1)
		hear(s);
}

static void
drain(struct speaker *s)
{
	short	 events = s->deaf ? POLLOUT : POLLIN | POLLOUT;
	int	 r;

	while ((r = imsgbuf_flush(s->ib)) == 1)
		if (await(s, events) & POLLIN)
			hear(s);
	if (r == -1)		/* we were killed, only later */
		exit(0);
}

void
say(struct speaker *s, uint32_t type, uint32_t id, const void *data,
    size_t len)
{
	if (imsg_compose(s->ib, type, id, -1, data, len) == -1)
		err(1, "imsg_compose");
	drain(s);
}

/* ---- what nobody may say ---- */

/* The first type that we may, or may not, send; with a payload. */
static uint32_t
a_type(const struct speaker *s, bool ours)
{
	uint32_t	 t;

	for (t = 1; t < s->ntab; t++)
		if (((s->tab[t].from & s->from) != 0) == ours &&
		    s->tab[t].size > 0 && !s->tab[t].variable &&
		    !s->tab[t].fd)
			return (t);
	errx(1, "no such type");
}

static void
typed(struct speaker *s, uint32_t type, size_t len, int fd)
{
	static uint8_t	 data[IMSG_DATA_MAX];

	if (imsg_compose(s->ib, type, 0, fd, data, len) == -1)
		err(1, "imsg_compose");
	drain(s);
}

static void
raw(struct speaker *s, const void *data, size_t len)
{
	ssize_t	 n;

	while ((n = send(imsgbuf_fd(s->ib), data, len, MSG_NOSIGNAL)) == -1 &&
	    errno == EAGAIN)
		(void)await(s, POLLOUT);
	if (n == -1)
		exit(0);
}

static void
header(struct speaker *s, uint32_t magic, uint16_t len, uint16_t flags)
{
	struct header	 h = { magic, a_type(s, true), 0, len, flags };

	raw(s, &h, sizeof(h));
}

static int
some_fd(void)
{
	int	 fd;

	if ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "/dev/null");
	return (fd);
}

bool
say_wrong(struct speaker *s, uint32_t which)
{
	uint32_t	 good = a_type(s, true);
	size_t		 size = s->tab[good].size;
	uint8_t		 noise[1000];

	switch (which) {
	case 0:
		typed(s, 0, 0, -1);
		return (true);
	case 1:
		typed(s, (uint32_t)s->ntab, 0, -1);
		return (true);
	case 2:
		typed(s, UINT32_MAX, 16, -1);
		return (true);
	case 3:			/* another's word */
		typed(s, a_type(s, false), s->tab[a_type(s, false)].size, -1);
		return (true);
	case 4:
		typed(s, good, size - 1, -1);
		return (true);
	case 5:
		typed(s, good, size + 1, -1);
		return (true);
	case 6:
		typed(s, good, 0, -1);
		return (true);
	case 7:
		typed(s, good, size, some_fd());
		return (true);
	case 8:
		header(s, MAGIC + 1, 0, 0);
		return (true);
	case 9:
		header(s, MAGIC, UINT16_MAX, 0);
		return (true);
	case 10:
		header(s, MAGIC, 0, UINT16_MAX & ~F_FD);
		return (true);
	case 11:
		rnd_fill(noise, sizeof(noise));
		raw(s, noise, sizeof(noise));
		return (true);
	case 12:		/* half a message, and the end */
		header(s, MAGIC, 512, F_FD);
		exit(0);
	default:
		return (false);
	}
}

/* They ride with a message that does not say so. */
void
say_descriptors(struct speaker *s, uint32_t type)
{
	union {
		struct cmsghdr	 hdr;
		uint8_t		 buf[CMSG_SPACE(FDS * sizeof(int))];
	} ctl;
	struct header	 h = { MAGIC, type, 0, 0, 0 };
	struct iovec	 iov = { &h, sizeof(h) };
	struct msghdr	 msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	struct cmsghdr	*cm;
	int		 fds[FDS];
	size_t		 i;

	for (i = 0; i < FDS; i++)
		fds[i] = some_fd();
	memset(&ctl, 0, sizeof(ctl));
	cm = CMSG_FIRSTHDR(&msg);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cm), fds, sizeof(fds));
	while (sendmsg(imsgbuf_fd(s->ib), &msg, MSG_NOSIGNAL) == -1) {
		if (errno != EAGAIN && errno != ETOOMANYREFS)
			exit(0);
		(void)await(s, POLLOUT);
	}
	for (i = 0; i < FDS; i++)
		close(fds[i]);
}
