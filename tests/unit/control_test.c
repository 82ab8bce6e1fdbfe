/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/control and common/ctlclient: the socket file, questions, answers,
 * subscribers, limits, and clients that do not behave.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "common/control.h"
#include "common/ctlclient.h"

enum { T_ECHO = 1, T_MANY, T_SUBSCRIBE, T_FINISH, T_FLOOD, T_SILENT };

static int		 nfds_before;
static char		 dir[40];
static char		 path[80];
static struct control	*ctl;
static unsigned int	 asked;		/* requests seen */
static int		 asked_fd;	/* descriptor of the latest */
static uint32_t		 asked_id;	/* client of the latest */
static uint32_t		 answers;	/* received by a client */
static unsigned int	 closed;	/* clients gone */
static uint32_t		 closed_id;

static void
flood(struct control_client *cl)
{
	static char big[IMSG_DATA_MAX];
	int i;

	for (i = 0; i < CONTROL_QUEUE_MAX / IMSG_DATA_MAX + 100; i++)
		control_reply(cl, T_FLOOD, big, sizeof(big));
}

static void
on_ask(struct control_client *cl, struct imsg *im, void *arg)
{
	uint32_t i;

	ck_assert_ptr_eq(arg, &asked);
	asked++;
	asked_fd = im->fd;
	asked_id = control_client_id(cl);
	ck_assert_ptr_eq(control_find(ctl, asked_id), cl);
	switch (im->type) {
	case T_ECHO:
		control_reply(cl, T_ECHO, im->data, im->len);
		break;
	case T_MANY:
		for (i = 0; i < 1000; i++)
			control_reply(cl, T_MANY, &i, sizeof(i));
		break;
	case T_SUBSCRIBE:
		control_subscribe(cl);
		break;
	case T_FINISH:
		control_reply(cl, T_FINISH, NULL, 0);
		control_finish(cl);
		break;
	case T_FLOOD:
		flood(cl);
		control_finish(cl);
		break;
	}
	ev_stop();
}

static void
on_close(uint32_t id, void *arg)
{
	ck_assert_ptr_eq(arg, &closed);
	closed++;
	closed_id = id;
	ev_stop();
}

static void
setup(void)
{
	int fd;

	nfds_before = await_nfds();
	strcpy(dir, "/tmp/carpd-control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	asked = closed = 0;
	ev_init();
	fd = control_listen(path, getgid());
	ck_assert_int_ne(fd, -1);
	ctl = control_new(fd, on_ask, &asked);
	control_on_close(ctl, on_close, &closed);
}

static void
teardown(void)
{
	control_free(ctl);
	control_free(NULL);
	control_cleanup(path);
	rmdir(dir);
	ev_exit();
	await_noleak(nfds_before);
}

static struct ctlclient *
client(void)
{
	struct ctlclient *c;

	c = ctlclient_open(path);
	ck_assert_ptr_nonnull(c);
	return (c);
}

/* Ask, and let the server hear it. */
static void
ask(struct ctlclient *c, uint32_t type, const char *text)
{
	unsigned int n = asked + 1;

	ck_assert_int_eq(ctlclient_ask(c, type, text, strlen(text)), 0);
	AWAIT(asked == n);
}

static void
want(struct ctlclient *c, uint32_t type, const char *text)
{
	struct imsg im;

	ck_assert_int_eq(ctlclient_next(c, &im, 10000), 1);
	ck_assert_uint_eq(im.type, type);
	ck_assert_uint_eq(im.len, strlen(text));
	ck_assert_mem_eq(im.data, text, im.len);
	ck_assert_int_eq(im.fd, -1);
}

static void
want_nothing(struct ctlclient *c)
{
	struct imsg im;

	errno = 0;
	ck_assert_int_eq(ctlclient_next(c, &im, 0), -1);
	ck_assert_int_eq(errno, ETIMEDOUT);
}

static void
want_closed(struct ctlclient *c)
{
	struct imsg im;

	ck_assert_int_eq(ctlclient_next(c, &im, 10000), 0);
}

START_TEST(file)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(st.st_uid, getuid());
	ck_assert_uint_eq(st.st_gid, getgid());
}
END_TEST

START_TEST(file_umask)
{
	char other[96];
	struct stat st;
	mode_t old;
	int fd;

	snprintf(other, sizeof(other), "%s/other", dir);
	old = umask(0777);
	fd = control_listen(other, getgid());
	ck_assert_uint_eq(umask(old), 0777);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(lstat(other, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
	control_cleanup(other);
	ck_assert_int_eq(access(other, F_OK), -1);
	/* path is no longer the one that was made last */
	control_cleanup(path);
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
}
END_TEST

START_TEST(file_live)
{
	struct ctlclient *c;

	errno = 0;
	ck_assert_int_eq(control_listen(path, getgid()), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	c = client();
	ask(c, T_ECHO, "still there");
	want(c, T_ECHO, "still there");
	ctlclient_close(c);
}
END_TEST

/* A daemon that does not accept (stopped, say) is alive nevertheless. */
START_TEST(file_live_busy)
{
	int fd[64], i, n = 0;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strcpy(sun.sun_path, path);
	for (i = 0; i < 64; i++) {
		fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		ck_assert_int_ne(fd[n], -1);
		if (connect(fd[n++], (struct sockaddr *)&sun, sizeof(sun)) ==
		    -1)
			break;
	}
	ck_assert_int_lt(i, 64);
	errno = 0;
	ck_assert_int_eq(control_listen(path, getgid()), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	while (n > 0)
		close(fd[--n]);
}
END_TEST

START_TEST(file_stale)
{
	char other[96];
	struct stat st;
	int fd;

	snprintf(other, sizeof(other), "%s/stale", dir);
	fd = control_listen(other, getgid());
	ck_assert_int_ne(fd, -1);
	close(fd);
	ck_assert_int_eq(lstat(other, &st), 0);
	errno = 0;
	ck_assert_ptr_null(ctlclient_open(other));
	ck_assert_int_eq(errno, ECONNREFUSED);
	fd = control_listen(other, getgid());
	ck_assert_int_ne(fd, -1);
	ctlclient_close(ctlclient_open(other));
	close(fd);
	control_cleanup(other);
	unlink(path);
}
END_TEST

START_TEST(file_refused)
{
	char other[200];
	int fd;

	snprintf(other, sizeof(other), "%s/file", dir);
	fd = open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
	errno = 0;
	ck_assert_int_eq(control_listen(other, getgid()), -1);
	ck_assert_int_eq(errno, ENOTSOCK);
	ck_assert_int_eq(access(other, F_OK), 0);
	unlink(other);
	snprintf(other, sizeof(other), "%s/none/sock", dir);
	ck_assert_int_eq(control_listen(other, getgid()), -1);
	ck_assert_int_eq(errno, ENOENT);
	snprintf(other, sizeof(other), "%s/%0120d", dir, 0);
	ck_assert_int_eq(control_listen(other, getgid()), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	ck_assert_ptr_null(ctlclient_open(other));
	ck_assert_int_eq(errno, ENAMETOOLONG);
}
END_TEST

START_TEST(client_errors)
{
	char other[96];

	snprintf(other, sizeof(other), "%s/none", dir);
	errno = 0;
	ck_assert_ptr_null(ctlclient_open(other));
	ck_assert_int_eq(errno, ENOENT);
	ctlclient_close(NULL);
}
END_TEST

/* Whoever asks keeps what it is told: that must have an end. */
START_TEST(answer_without_end)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	static const char	 data[IMSG_DATA_MAX];
	struct ctlclient	*c;
	struct pollfd		 p = { .events = POLLOUT };
	struct imsgbuf		*b;
	struct imsg		 im;
	size_t			 got = 0;
	int			 fd, status;
	pid_t			 pid;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/endless", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		b = imsgbuf_new(accept(fd, NULL, NULL));
		p.fd = imsgbuf_fd(b);
		while (imsg_compose(b, T_ECHO, 0, -1, data,
		    sizeof(data)) == 0 && poll(&p, 1, -1) == 1 &&
		    imsgbuf_flush(b) != -1)
			;
		_exit(0);
	}
	close(fd);
	ck_assert_ptr_nonnull(c = ctlclient_open(sun.sun_path));
	ck_assert_int_eq(ctlclient_ask(c, T_ECHO, "", 0), 0);
	while (ctlclient_next(c, &im, 10000) == 1) {
		got += im.len;
		ck_assert_uint_lt(got, 128 << 20);
	}
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_gt(got, 32 << 20);
	ctlclient_close(c);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(unlink(sun.sun_path), 0);
}
END_TEST

START_TEST(question_answer)
{
	struct ctlclient *c = client();

	want_nothing(c);
	ask(c, T_ECHO, "hello");
	want(c, T_ECHO, "hello");
	ask(c, T_ECHO, "");
	want(c, T_ECHO, "");
	want_nothing(c);
	ctlclient_close(c);
	AWAIT(closed == 1);
	ck_assert_uint_eq(closed_id, asked_id);
	ck_assert_ptr_null(control_find(ctl, asked_id));
}
END_TEST

static void
on_answer(int fd, int what, void *arg)
{
	struct imsg im;
	uint32_t v;

	(void)fd;
	(void)what;
	while (ctlclient_next(arg, &im, 0) == 1) {
		ck_assert_uint_eq(im.len, sizeof(v));
		memcpy(&v, im.data, sizeof(v));
		ck_assert_uint_eq(v, answers);
		answers++;
	}
	ck_assert_int_eq(errno, ETIMEDOUT);
	ev_stop();
}

/* More than the socket holds at once. */
START_TEST(many_answers)
{
	struct ctlclient *c = client();
	struct ev_fd *ev;

	answers = 0;
	ask(c, T_MANY, "");
	ev = ev_fd_new(ctlclient_fd(c), EV_IN, on_answer, c);
	AWAIT(answers == 1000);
	ev_fd_free(ev);
	ctlclient_close(c);
}
END_TEST

START_TEST(ids)
{
	struct ctlclient *c[3];
	uint32_t id[3];
	int i;

	for (i = 0; i < 3; i++) {
		c[i] = client();
		ask(c[i], T_SILENT, "");
		id[i] = asked_id;
		ck_assert_uint_ne(id[i], 0);
	}
	ctlclient_close(c[1]);
	AWAIT(closed == 1);
	ck_assert_uint_eq(closed_id, id[1]);
	c[1] = client();
	ask(c[1], T_SILENT, "");
	ck_assert_uint_gt(asked_id, id[2]);
	ck_assert_ptr_null(control_find(ctl, id[1]));
	ck_assert_ptr_null(control_find(ctl, 0));
	for (i = 0; i < 3; i++)
		ctlclient_close(c[i]);
}
END_TEST

START_TEST(notify)
{
	struct ctlclient *sub = client(), *other = client();

	ask(sub, T_SUBSCRIBE, "");
	ask(other, T_ECHO, "x");
	control_notify(ctl, 9, "news", 4);
	want(sub, 9, "news");
	want(other, T_ECHO, "x");
	want_nothing(other);
	ctlclient_close(sub);
	ctlclient_close(other);
}
END_TEST

START_TEST(finish)
{
	struct ctlclient *c = client();

	ask(c, T_FINISH, "");
	AWAIT(closed == 1);
	want(c, T_FINISH, "");
	want_closed(c);
	ctlclient_close(c);
}
END_TEST

/* A question nobody reads does not hide the answer to the one before. */
START_TEST(finish_unread)
{
	struct ctlclient *c = client();

	ck_assert_int_eq(ctlclient_ask(c, T_FINISH, NULL, 0), 0);
	ck_assert_int_eq(ctlclient_ask(c, T_ECHO, "late", 4), 0);
	AWAIT(closed == 1);
	ck_assert_uint_eq(asked, 1);
	want(c, T_FINISH, "");
	want_closed(c);
	ctlclient_close(c);
}
END_TEST

START_TEST(too_many)
{
	struct ctlclient *c[CONTROL_CLIENTS_MAX], *more;
	int i;

	for (i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		c[i] = client();
		ask(c[i], T_SILENT, "");
	}
	more = client();
	ck_assert_int_eq(ctlclient_ask(more, T_ECHO, NULL, 0), 0);
	/* refused in the same round in which another is heard */
	ask(c[0], T_ECHO, "x");
	want(c[0], T_ECHO, "x");
	ask(c[1], T_ECHO, "y");
	want_closed(more);
	ctlclient_close(more);
	ctlclient_close(c[5]);
	AWAIT(closed == 1);
	c[5] = client();
	ask(c[5], T_ECHO, "z");
	want(c[5], T_ECHO, "z");
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		ctlclient_close(c[i]);
}
END_TEST

/* Does not read: cut off, from the loop, and the others live on. */
START_TEST(queue_overflow)
{
	struct ctlclient *slow = client(), *good = client();

	ask(good, T_ECHO, "a");
	ask(slow, T_FLOOD, "");
	ck_assert_uint_eq(closed, 0);
	ck_assert_ptr_nonnull(control_find(ctl, asked_id));
	AWAIT(closed == 1);
	ck_assert_uint_eq(closed_id, asked_id);
	want(good, T_ECHO, "a");
	ask(good, T_ECHO, "b");
	want(good, T_ECHO, "b");
	ctlclient_close(slow);
	ctlclient_close(good);
}
END_TEST

START_TEST(notify_overflow)
{
	static char big[IMSG_DATA_MAX];
	struct ctlclient *slow = client();
	int i;

	ask(slow, T_SUBSCRIBE, "");
	for (i = 0; i < CONTROL_QUEUE_MAX / IMSG_DATA_MAX + 100; i++)
		control_notify(ctl, 9, big, sizeof(big));
	ck_assert_uint_eq(closed, 0);
	AWAIT(closed == 1);
	ctlclient_close(slow);
}
END_TEST

START_TEST(rubbish)
{
	struct ctlclient *c = client();
	char text[] = "GET / HTTP/1.0\r\n\r\n";

	ck_assert_int_eq(send(ctlclient_fd(c), text, sizeof(text), 0),
	    sizeof(text));
	AWAIT(closed == 1);
	ck_assert_uint_eq(asked, 0);
	want_closed(c);
	ctlclient_close(c);
}
END_TEST

/* The same from the daemon's side. */
START_TEST(rubbish_answer)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct ctlclient *c;
	struct imsg im;
	int fd, s;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/bad", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	c = ctlclient_open(sun.sun_path);
	ck_assert_ptr_nonnull(c);
	s = accept(fd, NULL, NULL);
	ck_assert_int_eq(send(s, "0123456789abcdef", 16, 0), 16);
	errno = 0;
	ck_assert_int_eq(ctlclient_next(c, &im, 10000), -1);
	ck_assert_int_eq(errno, EPROTO);
	ctlclient_close(c);
	close(s);
	close(fd);
	unlink(sun.sun_path);
}
END_TEST

/* Descriptors of clients are closed, not kept. */
START_TEST(client_sends_fd)
{
	struct ctlclient *c = client();
	struct imsgbuf *b;
	int p[2];
	char ch;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	b = imsgbuf_new(dup(ctlclient_fd(c)));
	ck_assert_int_eq(imsg_compose(b, T_SILENT, 0, p[1], NULL, 0), 0);
	ck_assert_int_eq(imsgbuf_flush(b), 0);
	AWAIT(asked == 1);
	ck_assert_int_eq(asked_fd, -1);
	ck_assert_int_eq(read(p[0], &ch, 1), 0);
	imsgbuf_free(b);
	ctlclient_close(c);
	close(p[0]);
}
END_TEST

/*
 * Out of descriptors: the listener rests, the clients there are served, and
 * later the new one as well.
 */
START_TEST(no_descriptors)
{
	struct ctlclient *old = client(), *new;
	struct rlimit rl, less;

	ask(old, T_ECHO, "a");
	want(old, T_ECHO, "a");
	new = client();
	ck_assert_int_eq(ctlclient_ask(new, T_ECHO, "n", 1), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &rl), 0);
	less = rl;
	less.rlim_cur = 1;	/* poll(2) of one must still be possible */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &less), 0);
	ask(old, T_ECHO, "b");
	ask(old, T_ECHO, "c");
	want_nothing(new);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	AWAIT(asked == 4);
	want(new, T_ECHO, "n");
	ctlclient_close(old);
	ctlclient_close(new);
}
END_TEST

START_TEST(free_closes)
{
	struct ctlclient *c = client(), *d = client();

	ask(c, T_SILENT, "");
	ask(d, T_SILENT, "");
	control_free(ctl);
	ctl = NULL;
	ck_assert_uint_eq(closed, 2);
	want_closed(c);
	want_closed(d);
	ctlclient_close(c);
	ctlclient_close(d);
}
END_TEST

static Suite *
control_suite(void)
{
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, file);
	tcase_add_test(tc, file_umask);
	tcase_add_test(tc, file_live);
	tcase_add_test(tc, file_live_busy);
	tcase_add_test(tc, file_stale);
	tcase_add_test(tc, file_refused);
	tcase_add_test(tc, client_errors);
	tcase_add_test(tc, answer_without_end);
	tcase_add_test(tc, question_answer);
	tcase_add_test(tc, many_answers);
	tcase_add_test(tc, ids);
	tcase_add_test(tc, notify);
	tcase_add_test(tc, finish);
	tcase_add_test(tc, finish_unread);
	tcase_add_test(tc, too_many);
	tcase_add_test(tc, queue_overflow);
	tcase_add_test(tc, notify_overflow);
	tcase_add_test(tc, rubbish);
	tcase_add_test(tc, rubbish_answer);
	tcase_add_test(tc, client_sends_fd);
	tcase_add_test(tc, no_descriptors);
	tcase_add_test(tc, free_closes);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(control_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0 || await_leaks != 0);
}
