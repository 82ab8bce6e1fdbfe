/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Fuzz target of common/imsg: what arrives at an imsgbuf through a socketpair
 * is made of the input, which is read as a list of operations: good messages,
 * spoilt ones, rubbish, each with or without descriptors.  Besides memory
 * errors it looks for descriptors that stay open, for payloads out of bounds
 * or misaligned, and for good messages that arrive changed.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ibuf.h"
#include "common/imsg.h"

#define OPS_MAX		64		/* of one input */
#define CHUNK_MAX	512		/* bytes of one operation */
#define TRACK_MAX	OPS_MAX

enum { OP_GOOD, OP_RAW, OP_SPOILT, OP_READ, OP_COUNT };

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct fuzz {
	struct imsgbuf	*tx;
	struct imsgbuf	*rx;
	int		 devnull;
	bool		 dirty;		/* something but good messages sent */
	bool		 broken;
	unsigned int	 sent;
	unsigned int	 got;
	struct { size_t len; bool fd; uint8_t fill; } good[TRACK_MAX];
};

static void
must(bool cond)
{
	if (!cond)
		abort();
}

static int
open_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

/* A good message must arrive as it was sent, while nothing else was. */
static void
fuzz_compare(struct fuzz *f, const struct imsg *im)
{
	const uint8_t *p = im->data;
	size_t i;

	if (f->dirty)
		return;
	must(f->got < f->sent);
	must(im->type == f->got);
	must(im->len == f->good[f->got].len);
	must((im->fd != -1) == f->good[f->got].fd);
	for (i = 0; i < im->len; i++)
		must(p[i] == f->good[f->got].fill);
	f->got++;
}

/* Touches every byte, for the address sanitizer. */
static size_t
fuzz_sum(const struct imsg *im)
{
	const uint8_t *p = im->data;
	size_t i, sum = 0;

	for (i = 0; i < im->len; i++)
		sum += p[i];
	return (sum);
}

static void
fuzz_receive(struct fuzz *f)
{
	struct imsg im;
	int r;

	if (imsgbuf_read(f->rx) != 1)
		f->dirty = true;
	while ((r = imsg_get(f->rx, &im)) == 1) {
		must(!f->broken);
		must(im.len <= IMSG_DATA_MAX);
		must((uintptr_t)im.data % 8 == 0);
		must(fuzz_sum(&im) <= UINT8_MAX * im.len);
		fuzz_compare(f, &im);
		if (im.fd != -1) {
			must(fcntl(im.fd, F_GETFD) & FD_CLOEXEC);
			close(im.fd);
		}
	}
	f->broken |= r == -1;
	must(!f->broken || f->dirty);
	must(!f->broken || r == -1);
}

/* Past the imsgbuf, onto its socket, with n descriptors. */
static void
fuzz_send(struct fuzz *f, uint8_t *data, size_t len, size_t n)
{
	union {
		struct cmsghdr	 hdr;
		uint8_t		 buf[CMSG_SPACE(3 * sizeof(int))];
	} ctl;
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[3] = { f->devnull, f->devnull, f->devnull };
	struct cmsghdr *cm;

	if (len == 0)
		return;
	must(imsgbuf_flush(f->tx) >= 0);
	memset(&ctl, 0, sizeof(ctl));
	if (n > 0) {
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, n * sizeof(int));
	}
	f->dirty = true;
	(void)sendmsg(imsgbuf_fd(f->tx), &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
op_good(struct fuzz *f, struct rbuf *r)
{
	static uint8_t data[IMSG_DATA_MAX];
	size_t len = rbuf_be16(r) % (IMSG_DATA_MAX + 1);
	uint8_t fill = rbuf_u8(r), how = rbuf_u8(r);
	bool fd = how & 1;

	memset(data, fill, len);
	f->good[f->sent].len = len;
	f->good[f->sent].fd = fd;
	f->good[f->sent].fill = fill;
	must(imsg_compose(f->tx, f->sent++, 0, fd ? dup(f->devnull) : -1,
	    data, len) == 0);
	/* else together with the next */
	if (how & 2)
		must(imsgbuf_flush(f->tx) >= 0);
}

static void
op_raw(struct fuzz *f, struct rbuf *r)
{
	uint8_t buf[CHUNK_MAX];
	size_t n = rbuf_u8(r) & 3, len = rbuf_be16(r) % (CHUNK_MAX + 1);

	if (len > rbuf_left(r))
		len = rbuf_left(r);
	rbuf_bytes(r, buf, len);
	fuzz_send(f, buf, len, n);
}

/* A good message's bytes, caught on another socket, with one changed. */
static void
op_spoilt(struct fuzz *f, struct rbuf *r)
{
	uint8_t buf[CHUNK_MAX] = { 0 }, flip = rbuf_u8(r);
	size_t len = rbuf_u8(r), off = rbuf_u8(r), n = rbuf_u8(r), got;
	struct imsgbuf *b;
	int sv[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	b = imsgbuf_new(sv[0]);
	must(imsg_compose(b, 1, 2, n & 4 ? dup(f->devnull) : -1, buf, len) ==
	    0);
	must(imsgbuf_flush(b) == 0);
	got = (size_t)recv(sv[1], buf, sizeof(buf), 0);
	must(got > 0 && got <= sizeof(buf));
	imsgbuf_free(b);
	close(sv[1]);
	buf[off % got] ^= flip;
	/* n: descriptors in the low bits, bytes cut off in the high ones */
	got -= n >> 3 < got ? n >> 3 : 0;
	fuzz_send(f, buf, got, n & 3);
}

static void
fuzz_step(struct fuzz *f, struct rbuf *r)
{
	switch (rbuf_u8(r) % OP_COUNT) {
	case OP_GOOD:
		op_good(f, r);
		break;
	case OP_RAW:
		op_raw(f, r);
		break;
	case OP_SPOILT:
		op_spoilt(f, r);
		break;
	case OP_READ:
		must(imsgbuf_flush(f->tx) >= 0);
		fuzz_receive(f);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { .dirty = false };
	int before = open_fds(), i, sv[2];
	struct rbuf r;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
	f.devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must(f.devnull != -1);
	f.tx = imsgbuf_new(sv[0]);
	f.rx = imsgbuf_new(sv[1]);
	rbuf_init(&r, data, size);
	for (i = 0; i < OPS_MAX && rbuf_left(&r) > 0; i++)
		fuzz_step(&f, &r);
	/* the rest: each read brings something, or there is nothing left */
	for (i = 0; i < 4 * OPS_MAX; i++) {
		must(imsgbuf_flush(f.tx) >= 0);
		fuzz_receive(&f);
	}
	must(f.dirty || f.got == f.sent);
	imsgbuf_free(f.tx);
	imsgbuf_free(f.rx);
	close(f.devnull);
	must(open_fds() == before);
	return (0);
}
