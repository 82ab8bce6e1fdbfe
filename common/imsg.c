/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * imsg.h over sendmsg(2) and recvmsg(2).  The names are those of OpenBSD's
 * imsg_init(3), the format is ours: header in host order, payload, zeroes up
 * to a multiple of eight, so that every payload stands aligned in the read
 * buffer and can be used as a struct where it lies.
 *
 * A descriptor travels with the first byte of its message.  The kernel may
 * hand over earlier messages in the same read, so the header says which
 * message a descriptor belongs to, and descriptors are matched in order.
 * Messages carry keys: memory is wiped before it goes.
 */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imsg.h"
#include "log.h"

#define IMSG_MAGIC	0x43724d31u	/* one more check of the framing */
#define IMSG_F_FD	0x1u		/* a descriptor belongs to this one */
#define IMSG_READ_MAX	32768		/* read buffer, several messages */
#define IMSG_FDS_MAX	8		/* received and not yet claimed */
#define IMSG_IOV_MAX	32
#define IMSG_LIMIT	(1024 * 1024)

struct imsg_hdr {
	uint32_t	 magic;
	uint32_t	 type;
	uint32_t	 id;
	uint16_t	 len;		/* of the payload */
	uint16_t	 flags;
};

struct imsg_out {
	TAILQ_ENTRY(imsg_out) entry;
	size_t		 len;
	size_t		 off;		/* written already */
	int		 fd;
	uint8_t		 data[];
};

struct imsgbuf {
	int		 fd;
	TAILQ_HEAD(imsg_queue, imsg_out) out;
	size_t		 queued;
	size_t		 limit;
	int		 fds[IMSG_FDS_MAX];
	size_t		 nfds;
	size_t		 pos;		/* buf[pos..len-1] is not yet used */
	size_t		 len;
	_Alignas(8) uint8_t buf[IMSG_READ_MAX];
};

/* Bytes of a message on the socket. */
static size_t
imsg_size(size_t len)
{
	return (sizeof(struct imsg_hdr) + ((len + 7) & ~(size_t)7));
}

static void
imsg_out_free(struct imsg_out *o)
{
	if (o->fd != -1)
		close(o->fd);
	explicit_bzero(o->data, o->len);
	free(o);
}

/* Close received descriptors beyond the first `keep`. */
static void
imsg_drop_fds(struct imsgbuf *b, size_t keep)
{
	while (b->nfds > keep)
		close(b->fds[--b->nfds]);
}

static int
imsg_take_fd(struct imsgbuf *b)
{
	int fd;

	if (b->nfds == 0)
		return (-1);
	fd = b->fds[0];
	b->nfds--;
	memmove(b->fds, b->fds + 1, b->nfds * sizeof(b->fds[0]));
	return (fd);
}

struct imsgbuf *
imsgbuf_new(int fd)
{
	struct imsgbuf *b;
	int fl;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		fatal("calloc");
	if ((fl = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, fl | O_NONBLOCK) == -1 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		fatal("fcntl of message socket");
	b->fd = fd;
	b->limit = IMSG_LIMIT;
	TAILQ_INIT(&b->out);
	return (b);
}

void
imsgbuf_free(struct imsgbuf *b)
{
	struct imsg_out *o;

	if (b == NULL)
		return;
	while ((o = TAILQ_FIRST(&b->out)) != NULL) {
		TAILQ_REMOVE(&b->out, o, entry);
		imsg_out_free(o);
	}
	imsg_drop_fds(b, 0);
	close(b->fd);
	explicit_bzero(b, sizeof(*b));
	free(b);
}

int
imsgbuf_fd(const struct imsgbuf *b)
{
	return (b->fd);
}

void
imsgbuf_limit(struct imsgbuf *b, size_t bytes)
{
	b->limit = bytes;
}

size_t
imsgbuf_queued(const struct imsgbuf *b)
{
	return (b->queued);
}

/* NULL and errno when it may not or cannot be queued. */
static struct imsg_out *
imsg_out_new(const struct imsgbuf *b, size_t len)
{
	struct imsg_out *o;
	size_t size;

	if (len > IMSG_DATA_MAX) {
		errno = EMSGSIZE;
		return (NULL);
	}
	size = imsg_size(len);
	if (b->queued > b->limit || size > b->limit - b->queued) {
		errno = ENOBUFS;
		return (NULL);
	}
	if ((o = calloc(1, sizeof(*o) + size)) != NULL)
		o->len = size;
	return (o);
}

int
imsg_compose(struct imsgbuf *b, uint32_t type, uint32_t id, int fd,
    const void *data, size_t len)
{
	struct imsg_hdr hdr = { IMSG_MAGIC, type, id, (uint16_t)len, 0 };
	struct imsg_out *o;
	int saved;

	if ((o = imsg_out_new(b, len)) == NULL) {
		saved = errno;
		if (fd >= 0)
			close(fd);
		errno = saved;
		return (-1);
	}
	if (fd >= 0)
		hdr.flags |= IMSG_F_FD;
	o->fd = fd >= 0 ? fd : -1;
	memcpy(o->data, &hdr, sizeof(hdr));
	if (len > 0)
		memcpy(o->data + sizeof(hdr), data, len);
	TAILQ_INSERT_TAIL(&b->out, o, entry);
	b->queued += o->len;
	return (0);
}

/*
 * As many messages as go out in one call: a descriptor must be at the front,
 * or it would arrive with an earlier message.
 */
static int
imsg_gather(struct imsgbuf *b, struct iovec *iov)
{
	struct imsg_out *o;
	int n = 0;

	TAILQ_FOREACH(o, &b->out, entry) {
		if (n == IMSG_IOV_MAX || (n > 0 && o->fd != -1))
			break;
		iov[n].iov_base = o->data + o->off;
		iov[n].iov_len = o->len - o->off;
		n++;
	}
	return (n);
}

/* n bytes went out, and with the first of them the descriptor in front. */
static void
imsg_written(struct imsgbuf *b, size_t n)
{
	struct imsg_out *o;
	size_t part;

	if ((o = TAILQ_FIRST(&b->out)) != NULL && o->fd != -1) {
		close(o->fd);
		o->fd = -1;
	}
	b->queued -= n;
	while (n > 0 && (o = TAILQ_FIRST(&b->out)) != NULL) {
		part = o->len - o->off;
		if (n < part) {
			o->off += n;
			return;
		}
		n -= part;
		TAILQ_REMOVE(&b->out, o, entry);
		imsg_out_free(o);
	}
}

static ssize_t
imsg_write_once(struct imsgbuf *b)
{
	union {
		struct cmsghdr	 hdr;
		uint8_t		 buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov[IMSG_IOV_MAX];
	struct msghdr msg = { .msg_iov = iov };
	struct cmsghdr *cm;
	int fd = TAILQ_FIRST(&b->out)->fd;

	msg.msg_iovlen = (size_t)imsg_gather(b, iov);
	if (fd != -1) {
		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.buf;
		msg.msg_controllen = sizeof(ctl.buf);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	}
	return (sendmsg(b->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT));
}

int
imsgbuf_flush(struct imsgbuf *b)
{
	ssize_t n;

	while (!TAILQ_EMPTY(&b->out)) {
		n = imsg_write_once(b);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == ENOBUFS))
			return (1);
		if (n == -1)
			return (-1);
		imsg_written(b, (size_t)n);
	}
	return (0);
}

/*
 * One read brings the descriptors of one message, and a message has one at
 * most: further ones are a sender's mischief.
 */
static void
imsg_collect_fds(struct imsgbuf *b, struct msghdr *msg)
{
	struct cmsghdr *cm;
	size_t i, n, got = 0;
	int fd;

	for (cm = CMSG_FIRSTHDR(msg); cm != NULL; cm = CMSG_NXTHDR(msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET ||
		    cm->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int),
			    sizeof(fd));
			if (got++ == 0)
				b->fds[b->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static void
imsg_compact(struct imsgbuf *b)
{
	size_t left = b->len - b->pos;

	if (b->pos == 0)
		return;
	memmove(b->buf, b->buf + b->pos, left);
	explicit_bzero(b->buf + left, b->len - left);
	b->pos = 0;
	b->len = left;
}

/*
 * Full of messages, or of descriptors, that imsg_get() has not been asked for
 * means: nothing new yet.  CMSG_SPACE has padding that could hold a second
 * descriptor; imsg_collect_fds() copes.
 */
int
imsgbuf_read(struct imsgbuf *b)
{
	union {
		struct cmsghdr	 hdr;
		uint8_t		 buf[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	ssize_t n;

	imsg_compact(b);
	if (b->len == sizeof(b->buf) || b->nfds == IMSG_FDS_MAX)
		return (1);
	iov.iov_base = b->buf + b->len;
	iov.iov_len = sizeof(b->buf) - b->len;
	n = recvmsg(b->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1)
		return (errno == EAGAIN || errno == EINTR ? 1 : -1);
	imsg_collect_fds(b, &msg);
	b->len += (size_t)n;
	return (n > 0);
}

static bool
imsg_hdr_ok(const struct imsg_hdr *hdr)
{
	return (hdr->magic == IMSG_MAGIC && hdr->len <= IMSG_DATA_MAX &&
	    (hdr->flags & ~IMSG_F_FD) == 0);
}

/*
 * When no complete message is left, the one that has begun may own one
 * descriptor; every other was sent without being announced.  A bad header
 * stays where it is, so the error stays, too.
 */
int
imsg_get(struct imsgbuf *b, struct imsg *im)
{
	struct imsg_hdr hdr;
	size_t left = b->len - b->pos;

	if (left < sizeof(hdr)) {
		imsg_drop_fds(b, left > 0);
		return (0);
	}
	memcpy(&hdr, b->buf + b->pos, sizeof(hdr));
	if (!imsg_hdr_ok(&hdr)) {
		imsg_drop_fds(b, 0);
		errno = EPROTO;
		return (-1);
	}
	if (left < imsg_size(hdr.len)) {
		imsg_drop_fds(b, (hdr.flags & IMSG_F_FD) != 0);
		return (0);
	}
	im->type = hdr.type;
	im->id = hdr.id;
	im->len = hdr.len;
	im->data = b->buf + b->pos + sizeof(hdr);
	im->fd = hdr.flags & IMSG_F_FD ? imsg_take_fd(b) : -1;
	b->pos += imsg_size(hdr.len);
	return (1);
}
