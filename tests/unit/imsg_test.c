/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/imsg: framing, descriptors, limits, and a far side that misbehaves.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "common/imsg.h"

#define HDR	16		/* the header, imsg.h */

static int		 nfds_before;
static struct imsgbuf	*tx, *rx;
static int		 raw;	/* instead of tx: its descriptor */

static void
setup(void)
{
	int sv[2];

	nfds_before = await_nfds();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    sv), 0);
	tx = imsgbuf_new(sv[0]);
	rx = imsgbuf_new(sv[1]);
	raw = sv[0];
}

/* Every test ends here: nothing may be left open. */
static void
teardown(void)
{
	imsgbuf_free(tx);
	imsgbuf_free(rx);
	await_noleak(nfds_before);
}

/* The inode tells which pipe a passed descriptor is. */
static ino_t
ino(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (st.st_ino);
}

/* A pipe's write end in fd; the read end, which sees the last one closed. */
static int
mkpipe(int *fd)
{
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	*fd = p[1];
	return (p[0]);
}

/* Are all write ends closed? */
static bool
hungup(int rd)
{
	char c;

	return (read(rd, &c, 1) == 0);
}

/* Bytes of a message as they stand on the socket. */
static size_t
wire(uint8_t *buf, size_t size, uint32_t type, int fd, const void *data,
    size_t len)
{
	struct imsgbuf *b;
	int sv[2];
	ssize_t n;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	b = imsgbuf_new(sv[0]);
	ck_assert_int_eq(imsg_compose(b, type, 7, fd, data, len), 0);
	ck_assert_int_eq(imsgbuf_flush(b), 0);
	n = recv(sv[1], buf, size, 0);
	ck_assert_int_gt(n, 0);
	imsgbuf_free(b);
	close(sv[1]);
	return ((size_t)n);
}

static void
rawsend(const void *data, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr	 hdr;
		uint8_t		 buf[CMSG_SPACE(16 * sizeof(int))];
	} ctl;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint8_t copy[32 * 1024];
	struct cmsghdr *cm;

	ck_assert_uint_le(len, sizeof(copy));
	memcpy(copy, data, len);
	iov.iov_base = copy;
	iov.iov_len = len;
	memset(&ctl, 0, sizeof(ctl));
	if (nfds > 0) {
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(raw, &msg, MSG_NOSIGNAL), (ssize_t)len);
}

/* Read until there is a message. */
static void
next(struct imsg *im)
{
	int r;

	while ((r = imsg_get(rx, im)) == 0)
		ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(r, 1);
}

static const size_t lens[] = { 0, 1, 7, 8, 9, 255, 4096, IMSG_DATA_MAX - 1,
	IMSG_DATA_MAX };

START_TEST(roundtrip)
{
	uint8_t data[IMSG_DATA_MAX];
	struct imsg im;

	memset(data, 'a' + _i, sizeof(data));
	ck_assert_int_eq(imsg_compose(tx, 42, UINT32_MAX, -1, data, lens[_i]),
	    0);
	ck_assert_int_eq(imsg_compose(tx, 43, 1, -1, "end", 3), 0);
	ck_assert_uint_ge(imsgbuf_queued(tx), 2 * HDR + lens[_i] + 3);
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	ck_assert_uint_eq(imsgbuf_queued(tx), 0);
	next(&im);
	ck_assert_uint_eq(im.type, 42);
	ck_assert_uint_eq(im.id, UINT32_MAX);
	ck_assert_uint_eq(im.len, lens[_i]);
	ck_assert_mem_eq(im.data, data, im.len);
	ck_assert_int_eq(im.fd, -1);
	next(&im);
	ck_assert_uint_eq((uintptr_t)im.data % 8, 0);
	ck_assert_uint_eq(im.len, 3);
	ck_assert_mem_eq(im.data, "end", 3);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
}
END_TEST

START_TEST(byte_by_byte)
{
	uint8_t buf[64];
	struct imsg im;
	size_t i, n;

	n = wire(buf, sizeof(buf), 5, -1, "hello", 5);
	ck_assert_uint_eq(n, HDR + 8);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(imsg_get(rx, &im), 0);
		rawsend(buf + i, 1, NULL, 0);
		ck_assert_int_eq(imsgbuf_read(rx), 1);
	}
	ck_assert_int_eq(imsg_get(rx, &im), 1);
	ck_assert_uint_eq(im.len, 5);
	ck_assert_mem_eq(im.data, "hello", 5);
}
END_TEST

/* Writer and reader take turns on a socket that holds little. */
START_TEST(partial_writes)
{
	static uint8_t data[IMSG_DATA_MAX];
	struct imsg im;
	uint32_t i, got = 0;
	int r, blocked = 0, size = 4096;

	ck_assert_int_eq(setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size)), 0);
	for (i = 0; i < 100; i++) {
		memset(data, (int)i, sizeof(data));
		ck_assert_int_eq(imsg_compose(tx, i, 0, -1, data,
		    (i * 977) % IMSG_DATA_MAX), 0);
	}
	do {
		r = imsgbuf_flush(tx);
		ck_assert_int_ge(r, 0);
		blocked += r;
		ck_assert_int_eq(imsgbuf_read(rx), 1);
		while (imsg_get(rx, &im) == 1) {
			ck_assert_uint_eq(im.type, got);
			ck_assert_uint_eq(im.len, (got * 977) % IMSG_DATA_MAX);
			memset(data, (int)got, im.len);
			ck_assert_mem_eq(im.data, data, im.len);
			got++;
		}
	} while (got < 100);
	ck_assert_int_gt(blocked, 0);
}
END_TEST

/* Reading on without taking the messages loses none and does not grow. */
START_TEST(read_ahead)
{
	static uint8_t data[IMSG_DATA_MAX];
	struct imsg im;
	uint32_t i;

	for (i = 0; i < 10; i++)
		ck_assert_int_eq(imsg_compose(tx, i, 0, -1, data,
		    sizeof(data)), 0);
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(imsgbuf_read(rx), 1);
	for (i = 0; i < 10; i++) {
		next(&im);
		ck_assert_uint_eq(im.type, i);
	}
}
END_TEST

START_TEST(too_long)
{
	static uint8_t data[IMSG_DATA_MAX + 1];
	int fd, rd = mkpipe(&fd);

	errno = 0;
	ck_assert_int_eq(imsg_compose(tx, 1, 0, fd, data, sizeof(data)), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert(hungup(rd));
	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, data, SIZE_MAX), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(imsgbuf_queued(tx), 0);
	close(rd);
}
END_TEST

START_TEST(queue_limit)
{
	int fd, rd = mkpipe(&fd);

	imsgbuf_limit(tx, 3 * HDR);
	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, NULL, 0), 0);
	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, "12345678", 8), 0);
	errno = 0;
	ck_assert_int_eq(imsg_compose(tx, 1, 0, fd, NULL, 0), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert(hungup(rd));
	imsgbuf_limit(tx, 8);
	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, NULL, 0), -1);
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	imsgbuf_limit(tx, HDR);
	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, NULL, 0), 0);
	close(rd);
}
END_TEST

/* Header bytes that make a message refused: offset and new value. */
static const struct {
	size_t	 off;
	uint8_t	 val;
} spoilt[] = {
	{ 0, 0xee }, { 3, 0xee },		/* magic */
	{ 13, 0x20 }, { 13, 0xff },		/* length */
	{ 14, 0x02 }, { 15, 0x80 },		/* flags */
};

START_TEST(bad_framing)
{
	uint8_t buf[64];
	struct imsg im;
	size_t n;

	n = wire(buf, sizeof(buf), 5, -1, "ok", 2);
	memcpy(buf + n, buf, n);
	buf[n + spoilt[_i].off] = spoilt[_i].val;
	rawsend(buf, 2 * n, NULL, 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(imsg_get(rx, &im), 1);
	errno = 0;
	ck_assert_int_eq(imsg_get(rx, &im), -1);
	ck_assert_int_eq(errno, EPROTO);
	/* and so it stays */
	rawsend(buf, n, NULL, 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(imsg_get(rx, &im), -1);
}
END_TEST

START_TEST(bad_framing_with_fd)
{
	uint8_t buf[HDR] = { 0 };
	struct imsg im;
	int fd, rd = mkpipe(&fd);

	rawsend(buf, sizeof(buf), &fd, 1);
	close(fd);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert(!hungup(rd));
	ck_assert_int_eq(imsg_get(rx, &im), -1);
	ck_assert(hungup(rd));
	close(rd);
}
END_TEST

/* Written together, read together: each descriptor with its message. */
START_TEST(fd_coalesced)
{
	int i, fd[8], rd[8];
	ino_t want[8];
	struct imsg im;

	for (i = 0; i < 8; i++) {
		rd[i] = mkpipe(&fd[i]);
		want[i] = ino(fd[i]);
		if (i == 0 || i == 3 || i == 4)
			continue;
		close(fd[i]);
		fd[i] = -1;
	}
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(imsg_compose(tx, (uint32_t)i, 0, fd[i],
		    "data", 4), 0);
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	for (i = 0; i < 8; i++) {
		next(&im);
		ck_assert_uint_eq(im.type, (uint32_t)i);
		ck_assert_int_eq(im.fd != -1, fd[i] != -1);
		if (im.fd != -1) {
			ck_assert_uint_eq(ino(im.fd), want[i]);
			ck_assert_int_ne(fcntl(im.fd, F_GETFD) & FD_CLOEXEC,
			    0);
			close(im.fd);
			ck_assert(hungup(rd[i]));
		}
		close(rd[i]);
	}
}
END_TEST

/* As above, with reads running ahead and messages that fill the buffer. */
START_TEST(fd_read_ahead)
{
	static uint8_t data[IMSG_DATA_MAX];
	int i, j, fd, rd;
	struct imsg im;
	ino_t want[20];

	for (i = 0; i < 20; i++) {
		rd = mkpipe(&fd);
		want[i] = ino(fd);
		ck_assert_int_eq(imsg_compose(tx, (uint32_t)i, 0,
		    i % 3 == 0 ? fd : -1, data, i % 2 ? 0 : 3000), 0);
		if (i % 3 != 0)
			close(fd);
		close(rd);
	}
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	for (i = 0; i < 20; i++) {
		for (j = 0; j < 10; j++)
			ck_assert_int_eq(imsgbuf_read(rx), 1);
		ck_assert_int_eq(imsg_get(rx, &im), 1);
		ck_assert_int_eq(im.fd != -1, i % 3 == 0);
		if (im.fd != -1) {
			ck_assert_uint_eq(ino(im.fd), want[i]);
			close(im.fd);
		}
	}
}
END_TEST

/* The descriptor comes with the first byte; the rest takes its time. */
START_TEST(fd_split)
{
	uint8_t buf[64];
	struct imsg im;
	int fd, rd = mkpipe(&fd);
	size_t n;

	n = wire(buf, sizeof(buf), 5, dup(fd), "hello", 5);
	rawsend(buf, 1, &fd, 1);
	close(fd);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	rawsend(buf + 1, HDR, NULL, 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	ck_assert(!hungup(rd));
	rawsend(buf + 1 + HDR, n - 1 - HDR, NULL, 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_eq(imsg_get(rx, &im), 1);
	ck_assert_int_ne(im.fd, -1);
	close(im.fd);
	ck_assert(hungup(rd));
	close(rd);
}
END_TEST

/* n descriptors ride on a message that announces none. */
START_TEST(fd_stray)
{
	int i, fd, fds[16], rd = mkpipe(&fd);
	uint8_t buf[64];
	struct imsg im;
	size_t n;

	for (i = 0; i < 16; i++)
		fds[i] = fd;
	n = wire(buf, sizeof(buf), 5, -1, "hello", 5);
	rawsend(buf, n, fds, (size_t)_i);
	close(fd);
	next(&im);
	ck_assert_int_eq(im.fd, -1);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	ck_assert(hungup(rd));
	close(rd);
}
END_TEST

START_TEST(fd_several)
{
	int i, fd, fds[16], rd = mkpipe(&fd);
	uint8_t buf[64];
	struct imsg im;
	size_t n;

	for (i = 0; i < 16; i++)
		fds[i] = fd;
	n = wire(buf, sizeof(buf), 5, dup(fd), "hello", 5);
	rawsend(buf, n, fds, (size_t)_i);
	close(fd);
	next(&im);
	ck_assert_int_ne(im.fd, -1);
	ck_assert(!hungup(rd));
	close(im.fd);
	ck_assert(hungup(rd));
	close(rd);
}
END_TEST

START_TEST(fd_missing)
{
	uint8_t buf[64];
	struct imsg im;
	int fd, rd = mkpipe(&fd);
	size_t n;

	n = wire(buf, sizeof(buf), 5, fd, NULL, 0);
	rawsend(buf, n, NULL, 0);
	next(&im);
	ck_assert_uint_eq(im.type, 5);
	ck_assert_int_eq(im.fd, -1);
	close(rd);
}
END_TEST

/* A descriptor with every byte of a message that announces one. */
START_TEST(fd_flood)
{
	int fd, rd = mkpipe(&fd), held;
	uint8_t buf[64];
	struct imsg im;
	size_t i, n;

	n = wire(buf, sizeof(buf), 5, dup(fd), "hello", 5);
	held = await_nfds();
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(imsg_get(rx, &im), 0);
		ck_assert_int_le(await_nfds(), held + 1);
		rawsend(buf + i, 1, &fd, 1);
		ck_assert_int_eq(imsgbuf_read(rx), 1);
	}
	close(fd);
	ck_assert_int_eq(imsg_get(rx, &im), 1);
	ck_assert_int_ne(im.fd, -1);
	close(im.fd);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	ck_assert(hungup(rd));
	close(rd);
}
END_TEST

/* A reader that never asks for messages holds few descriptors. */
START_TEST(fd_hoard)
{
	int i, fd, rd = mkpipe(&fd), held;
	uint8_t buf[64];
	size_t n;

	n = wire(buf, sizeof(buf), 5, dup(fd), NULL, 0);
	held = await_nfds();
	for (i = 0; i < 40; i++)
		rawsend(buf, n, &fd, 1);
	for (i = 0; i < 40; i++)
		ck_assert_int_eq(imsgbuf_read(rx), 1);
	ck_assert_int_le(await_nfds(), held + 8);
	close(fd);
	close(rd);
}
END_TEST

START_TEST(free_closes)
{
	int i, fd, fd2, rd = mkpipe(&fd), rd2 = mkpipe(&fd2);
	uint8_t buf[64];
	size_t n;

	n = wire(buf, sizeof(buf), 5, dup(fd), NULL, 0);
	for (i = 0; i < 3; i++)
		rawsend(buf, n, &fd, 1);
	close(fd);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
	imsgbuf_free(rx);
	rx = NULL;
	ck_assert(hungup(rd));
	ck_assert_int_eq(imsg_compose(tx, 1, 0, fd2, "never sent", 10), 0);
	imsgbuf_free(tx);
	tx = NULL;
	ck_assert(hungup(rd2));
	close(rd);
	close(rd2);
	imsgbuf_free(NULL);
}
END_TEST

START_TEST(end_of_file)
{
	struct imsg im;

	ck_assert_int_eq(imsg_compose(tx, 1, 0, -1, NULL, 0), 0);
	ck_assert_int_eq(imsgbuf_flush(tx), 0);
	imsgbuf_free(tx);
	tx = NULL;
	next(&im);
	ck_assert_int_eq(imsg_get(rx, &im), 0);
	ck_assert_int_eq(imsgbuf_read(rx), 0);
	/* no SIGPIPE either */
	ck_assert_int_eq(imsg_compose(rx, 1, 0, -1, NULL, 0), 0);
	errno = 0;
	ck_assert_int_eq(imsgbuf_flush(rx), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(nonblocking)
{
	ck_assert_int_eq(imsgbuf_fd(rx) != -1, 1);
	ck_assert_int_ne(fcntl(imsgbuf_fd(rx), F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(imsgbuf_fd(rx), F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(imsgbuf_flush(rx), 0);
	ck_assert_int_eq(imsgbuf_read(rx), 1);
}
END_TEST

static Suite *
imsg_suite(void)
{
	Suite *s = suite_create("imsg");
	TCase *tc = tcase_create("imsg");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, roundtrip, 0, sizeof(lens) / sizeof(lens[0]));
	tcase_add_test(tc, byte_by_byte);
	tcase_add_test(tc, partial_writes);
	tcase_add_test(tc, read_ahead);
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, queue_limit);
	tcase_add_loop_test(tc, bad_framing, 0,
	    sizeof(spoilt) / sizeof(spoilt[0]));
	tcase_add_test(tc, bad_framing_with_fd);
	tcase_add_test(tc, fd_coalesced);
	tcase_add_test(tc, fd_read_ahead);
	tcase_add_test(tc, fd_split);
	tcase_add_loop_test(tc, fd_stray, 1, 17);
	tcase_add_loop_test(tc, fd_several, 1, 17);
	tcase_add_test(tc, fd_missing);
	tcase_add_test(tc, fd_flood);
	tcase_add_test(tc, fd_hoard);
	tcase_add_test(tc, free_closes);
	tcase_add_test(tc, end_of_file);
	tcase_add_test(tc, nonblocking);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(imsg_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0 || await_leaks != 0);
}
