/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/channel: delivery, order, back pressure, and how a channel ends.
 */
#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "common/channel.h"

struct side {
	struct channel	*c;
	unsigned int	 n;		/* messages */
	uint32_t	 last;		/* type of the latest */
	char		 text[64];	/* its payload */
	int		 fd;
	int		 gone;
	char		 why[64];
	unsigned int	 free_at;	/* free the channel at this message */
	bool		 echo;
	bool		 finish;	/* at the first message */
};

static int		 nfds_before;
static struct side	 a, b;

static void
on_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct side *s = arg;

	ck_assert_ptr_eq(c, s->c);
	ck_assert_int_eq(s->gone, 0);
	s->n++;
	s->last = im->type;
	s->fd = im->fd;
	if (s->echo)
		ck_assert_int_eq(channel_send(c, im->type, im->id, -1,
		    im->data, im->len), 0);
	if (s->finish)
		channel_finish(c);
	if (s->n == s->free_at) {
		channel_free(c);
		s->c = NULL;
	}
	/* the message outlives even its channel */
	if (im->len < sizeof(s->text)) {
		memcpy(s->text, im->data, im->len);
		s->text[im->len] = '\0';
	}
	ev_stop();
}

static void
on_gone(struct channel *c, const char *why, void *arg)
{
	struct side *s = arg;

	s->gone++;
	strlcpy(s->why, why, sizeof(s->why));
	channel_free(c);
	s->c = NULL;
	ev_stop();
}

static void
setup(void)
{
	int sv[2];

	nfds_before = await_nfds();
	ev_init();
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a.c = channel_new(sv[0], on_msg, on_gone, &a);
	b.c = channel_new(sv[1], on_msg, on_gone, &b);
}

static void
teardown(void)
{
	channel_free(a.c);
	channel_free(b.c);
	channel_free(NULL);
	ev_exit();
	await_noleak(nfds_before);
}

static void
say(struct side *s, uint32_t type, const char *text)
{
	ck_assert_int_eq(channel_send(s->c, type, 0, -1, text, strlen(text)),
	    0);
}

/* A raw end of the channel in place of b. */
static int
raw_b(void)
{
	int fd;

	fd = fcntl(imsgbuf_fd(channel_imsgbuf(b.c)), F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ne(fd, -1);
	channel_free(b.c);
	b.c = NULL;
	return (fd);
}

START_TEST(echo)
{
	b.echo = true;
	say(&a, 3, "hello");
	/* gone out already, before any loop */
	ck_assert_uint_eq(imsgbuf_queued(channel_imsgbuf(a.c)), 0);
	AWAIT(a.n == 1);
	ck_assert_uint_eq(a.last, 3);
	ck_assert_str_eq(a.text, "hello");
	ck_assert_str_eq(b.text, "hello");
	ck_assert_int_eq(a.fd, -1);
}
END_TEST

/* Two wait for the word to go; then they go in their order. */
START_TEST(queued)
{
	channel_flush(a.c);	/* nothing there */
	ck_assert_int_eq(channel_queue(a.c, 7, 0, -1, "one", 3), 0);
	ck_assert_int_eq(channel_queue(a.c, 8, 0, -1, "two", 3), 0);
	ck_assert_uint_gt(imsgbuf_queued(channel_imsgbuf(a.c)), 0);
	channel_flush(a.c);
	ck_assert_uint_eq(imsgbuf_queued(channel_imsgbuf(a.c)), 0);
	while (b.n < 2)
		ev_loop();
	ck_assert_uint_eq(b.last, 8);
	ck_assert_str_eq(b.text, "two");
}
END_TEST

START_TEST(descriptor)
{
	int p[2];
	char c;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(channel_send(a.c, 1, 0, p[1], NULL, 0), 0);
	AWAIT(b.n == 1);
	ck_assert_int_ne(b.fd, -1);
	ck_assert_int_eq(write(b.fd, "x", 1), 1);
	ck_assert_int_eq(read(p[0], &c, 1), 1);
	close(b.fd);
	ck_assert_int_eq(read(p[0], &c, 1), 0);
	close(p[0]);
}
END_TEST

/* The last words arrive, then the end, once. */
START_TEST(last_words)
{
	int i;

	for (i = 1; i <= 50; i++)
		say(&a, (uint32_t)i, "word");
	channel_free(a.c);
	a.c = NULL;
	AWAIT(b.gone);
	ck_assert_uint_eq(b.n, 50);
	ck_assert_int_eq(b.gone, 1);
	ck_assert_str_eq(b.why, "end of file");
}
END_TEST

/* They arrive as well when we notice the end by writing. */
START_TEST(last_words_after_epipe)
{
	static char big[IMSG_DATA_MAX];
	int i;

	for (i = 1; i <= 12; i++)
		ck_assert_int_eq(channel_send(a.c, (uint32_t)i, 0, -1, big,
		    sizeof(big)), 0);
	channel_free(a.c);
	a.c = NULL;
	errno = 0;
	ck_assert_int_eq(channel_send(b.c, 1, 0, -1, NULL, 0), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(b.gone, 0);
	AWAIT(b.gone);
	ck_assert_uint_eq(b.last, 12);
	ck_assert_int_eq(b.gone, 1);
}
END_TEST

/* A far side that only stops listening is gone too. */
START_TEST(deaf)
{
	int fd = raw_b();

	ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
	ck_assert_int_eq(channel_send(a.c, 1, 0, -1, NULL, 0), -1);
	ck_assert_int_eq(errno, EPIPE);
	AWAIT(a.gone);
	ck_assert_str_eq(a.why, strerror(EPIPE));
	close(fd);
}
END_TEST

START_TEST(bad_framing)
{
	int fd = raw_b();

	ck_assert_int_eq(send(fd, "this is no message of ours", 26, 0), 26);
	AWAIT(a.gone);
	ck_assert_uint_eq(a.n, 0);
	ck_assert_str_eq(a.why, "bad framing");
	close(fd);
}
END_TEST

/* Freed by its own callback with more messages waiting in the buffer. */
START_TEST(free_within)
{
	b.free_at = 2;
	say(&a, 1, "first");
	say(&a, 2, "second");
	say(&a, 3, "third");
	AWAIT(b.c == NULL && a.gone);
	ck_assert_uint_eq(b.n, 2);
	ck_assert_str_eq(b.text, "second");
	ck_assert_int_eq(b.gone, 0);
}
END_TEST

/* More than a socket holds: queued, and written as the reader takes it. */
START_TEST(back_pressure)
{
	static char big[IMSG_DATA_MAX];
	uint32_t i;

	for (i = 1; i <= 120; i++)
		ck_assert_int_eq(channel_send(a.c, i, 0, -1, big, sizeof(big)),
		    0);
	ck_assert_uint_gt(imsgbuf_queued(channel_imsgbuf(a.c)), 0);
	AWAIT(b.n == 120);
	ck_assert_uint_eq(b.last, 120);
	ck_assert_uint_eq(imsgbuf_queued(channel_imsgbuf(a.c)), 0);
}
END_TEST

START_TEST(queue_full)
{
	static char big[IMSG_DATA_MAX];
	int r;

	imsgbuf_limit(channel_imsgbuf(a.c), 100000);
	do
		r = channel_send(a.c, 1, 0, -1, big, sizeof(big));
	while (r == 0);
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert_uint_le(imsgbuf_queued(channel_imsgbuf(a.c)), 100000);
	AWAIT(imsgbuf_queued(channel_imsgbuf(a.c)) == 0);
	ck_assert_int_eq(channel_send(a.c, 1, 0, -1, big, sizeof(big)), 0);
}
END_TEST

/* finish: the whole queue is written, nothing is read, then it ends. */
START_TEST(finish)
{
	static char big[IMSG_DATA_MAX];
	uint32_t i;

	for (i = 1; i <= 100; i++)
		ck_assert_int_eq(channel_send(a.c, i, 0, -1, big, sizeof(big)),
		    0);
	say(&b, 1, "not read any more");
	channel_finish(a.c);
	ck_assert_int_eq(a.gone, 0);
	AWAIT(b.gone);
	ck_assert_uint_eq(b.last, 100);
	ck_assert_uint_eq(a.n, 0);
	ck_assert_int_eq(a.gone, 1);
	ck_assert_str_eq(a.why, "finished");
}
END_TEST

START_TEST(finish_within)
{
	b.echo = b.finish = true;
	say(&a, 1, "question");
	say(&a, 2, "ignored");
	AWAIT(a.gone && b.gone);
	ck_assert_uint_eq(b.n, 1);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_str_eq(b.why, "finished");
}
END_TEST

/* The far side goes before it has read everything. */
START_TEST(finish_refused)
{
	static char big[IMSG_DATA_MAX];
	int i;

	for (i = 0; i < 100; i++)
		ck_assert_int_eq(channel_send(a.c, 1, 0, -1, big, sizeof(big)),
		    0);
	channel_finish(a.c);
	channel_free(b.c);
	b.c = NULL;
	AWAIT(a.gone);
	ck_assert_int_eq(a.gone, 1);
}
END_TEST

START_TEST(drain)
{
	static char big[IMSG_DATA_MAX];
	monotime_t start;
	int i;

	say(&a, 1, "fits");
	ck_assert_int_eq(channel_drain(a.c, 0), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(channel_send(a.c, 1, 0, -1, big, sizeof(big)),
		    0);
	start = monotime_now();
	ck_assert_int_eq(channel_drain(a.c, 10), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
	ck_assert_int_ge(monotime_sub(monotime_now(), start),
	    10 * MONOTIME_MSEC);
	channel_free(b.c);
	b.c = NULL;
	ck_assert_int_eq(channel_drain(a.c, 10000), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(a.gone, 0);
	AWAIT(a.gone);
}
END_TEST

static Suite *
channel_suite(void)
{
	Suite *s = suite_create("channel");
	TCase *tc = tcase_create("channel");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, echo);
	tcase_add_test(tc, queued);
	tcase_add_test(tc, descriptor);
	tcase_add_test(tc, last_words);
	tcase_add_test(tc, last_words_after_epipe);
	tcase_add_test(tc, deaf);
	tcase_add_test(tc, bad_framing);
	tcase_add_test(tc, free_within);
	tcase_add_test(tc, back_pressure);
	tcase_add_test(tc, queue_full);
	tcase_add_test(tc, finish);
	tcase_add_test(tc, finish_within);
	tcase_add_test(tc, finish_refused);
	tcase_add_test(tc, drain);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(channel_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0 || await_leaks != 0);
}
