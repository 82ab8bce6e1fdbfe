/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/ev and common/monotime: order and punctuality of timers, descriptors,
 * signals, and objects that are freed from within their own callbacks.
 */
#include <sys/socket.h>

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "common/ev.h"

static int nfds_before;

/* The environment must not choose how the loop works. */
static void
setup(void)
{
	nfds_before = await_nfds();
	setenv("EVENT_NOEPOLL", "1", 1);
	setenv("EVENT_NOPOLL", "1", 1);
	setenv("EVENT_NOSELECT", "1", 1);
	ev_init();
}

static void
teardown(void)
{
	ev_exit();
	ev_exit();
	await_noleak(nfds_before);
}

START_TEST(monotime)
{
	monotime_t a = { 5 }, b = { 7 }, now, later;

	ck_assert_int_eq(monotime_cmp(a, b), -1);
	ck_assert_int_eq(monotime_cmp(b, a), 1);
	ck_assert_int_eq(monotime_cmp(a, a), 0);
	ck_assert_int_eq(monotime_sub(a, b), -2);
	ck_assert_int_eq(monotime_add(a, 2).ns, 7);
	ck_assert(monotime_isset(a));
	ck_assert(!monotime_isset(MONOTIME_NEVER));
	ck_assert(!monotime_isset(monotime_add(MONOTIME_NEVER, 1)));
	ck_assert_int_eq(monotime_cmp(a, MONOTIME_NEVER), -1);
	now = monotime_now();
	later = monotime_now();
	ck_assert_int_le(monotime_cmp(now, later), 0);
	ck_assert_int_gt(now.ns, 0);
}
END_TEST

struct shot {
	struct ev_timer	*t;
	monotime_t	 at;
	int		 order;
	int		 left;		/* times to re-arm */
};

static int	 nshots;

static void
shot_fire(void *arg)
{
	struct shot *s = arg;

	ck_assert_int_ge(monotime_sub(monotime_now(), s->at), 0);
	s->order = ++nshots;
	if (s->left-- > 0) {
		s->at = monotime_add(s->at, 3906250);
		ev_timer_at(s->t, s->at);
	}
	ev_stop();
}

static void
shot_set(struct shot *s, monotime_t at)
{
	s->t = ev_timer_new(shot_fire, s);
	s->at = at;
	s->order = s->left = 0;
	ev_timer_at(s->t, at);
}

START_TEST(timer_order)
{
	static const int64_t ns[] = { 9000000, 1000001, 5000999,
	    -MONOTIME_SEC };
	static const int want[] = { 4, 2, 3, 1 };
	struct shot s[4];
	monotime_t now = monotime_now();
	int i;

	nshots = 0;
	for (i = 0; i < 4; i++)
		shot_set(&s[i], monotime_add(now, ns[i]));
	AWAIT(nshots == 4);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(s[i].order, want[i]);
		ev_timer_free(s[i].t);
	}
}
END_TEST

/* Never early, checked in the callback, over many sub-microsecond offsets. */
START_TEST(timer_not_early)
{
	struct shot s;
	int i;

	for (i = 0; i < 500; i++) {
		nshots = 0;
		shot_set(&s, monotime_add(monotime_now(), 20000 + i * 37));
		AWAIT(nshots == 1);
		ev_timer_free(s.t);
	}
}
END_TEST

/* Re-armed from its scheduled time an interval does not drift. */
START_TEST(timer_interval)
{
	struct shot s;
	monotime_t start = monotime_now();

	nshots = 0;
	shot_set(&s, start);
	s.left = 20;
	AWAIT(nshots == 21);
	ck_assert_int_eq(monotime_sub(s.at, start), 20 * 3906250);
	ev_timer_free(s.t);
}
END_TEST

START_TEST(timer_rearm_stop)
{
	struct shot moved, stopped, never, end;
	monotime_t now = monotime_now();

	nshots = 0;
	shot_set(&moved, monotime_add(now, MONOTIME_SEC * 3600));
	shot_set(&stopped, now);
	shot_set(&never, now);
	shot_set(&end, monotime_add(now, 2 * MONOTIME_MSEC));
	ev_timer_stop(stopped.t);
	ev_timer_at(never.t, MONOTIME_NEVER);
	moved.at = monotime_add(now, MONOTIME_MSEC);
	ev_timer_at(moved.t, moved.at);
	AWAIT(nshots == 2);
	ck_assert_int_eq(moved.order, 1);
	ck_assert_int_eq(end.order, 2);
	ck_assert_int_eq(stopped.order, 0);
	ck_assert_int_eq(never.order, 0);
	ev_timer_free(moved.t);
	ev_timer_free(stopped.t);
	ev_timer_free(never.t);
	ev_timer_free(end.t);
	ev_timer_free(NULL);
}
END_TEST

static struct ev_timer *own_timer;

static void
timer_suicide(void *arg)
{
	ev_timer_free(own_timer);
	*(bool *)arg = true;
	ev_stop();
}

START_TEST(timer_free_within)
{
	bool done = false;

	own_timer = ev_timer_new(timer_suicide, &done);
	ev_timer_at(own_timer, monotime_now());
	AWAIT(done);
}
END_TEST

struct end {
	struct ev_fd	*ev;
	int		 fd;
	int		 got;		/* events seen */
	int		 calls;
	struct end	*kill;		/* free this one too */
};

static void
end_fire(int fd, int what, void *arg)
{
	struct end *e = arg;

	ck_assert_int_eq(fd, e->fd);
	ck_assert_int_ne(what, 0);
	e->got |= what;
	e->calls++;
	if (e->kill != NULL) {
		ev_fd_free(e->kill->ev);
		e->kill->ev = NULL;
	}
	ev_stop();
}

static void
mkends(struct end *a, struct end *b)
{
	int sv[2];

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	a->fd = sv[0];
	b->fd = sv[1];
}

START_TEST(fd_in_out)
{
	struct end a, b;

	mkends(&a, &b);
	a.ev = ev_fd_new(a.fd, EV_IN, end_fire, &a);
	b.ev = ev_fd_new(b.fd, EV_OUT, end_fire, &b);
	AWAIT(b.calls > 0);
	ck_assert_int_eq(a.calls, 0);
	ck_assert_int_eq(b.got, EV_OUT);
	ev_fd_want(b.ev, 0);
	ck_assert_int_eq(send(b.fd, "x", 1, 0), 1);
	/* level triggered: it comes again as long as it is not read */
	AWAIT(a.calls >= 3);
	ck_assert_int_eq(a.got, EV_IN);
	ck_assert_int_eq(b.got, EV_OUT);
	ev_fd_want(a.ev, EV_IN | EV_OUT);
	AWAIT(a.got == (EV_IN | EV_OUT));
	ev_fd_want(a.ev, 0);
	b.calls = 0;
	ev_fd_want(b.ev, EV_IN | EV_OUT);
	AWAIT(b.calls > 0);
	ck_assert_int_eq(b.got, EV_OUT);
	ev_fd_free(a.ev);
	ev_fd_free(b.ev);
	close(a.fd);
	close(b.fd);
}
END_TEST

/* The far side going away is something to read. */
START_TEST(fd_hangup)
{
	struct end a, b;

	mkends(&a, &b);
	a.ev = ev_fd_new(a.fd, EV_IN, end_fire, &a);
	close(b.fd);
	AWAIT(a.calls > 0);
	ck_assert_int_eq(a.got, EV_IN);
	ev_fd_free(a.ev);
	ev_fd_free(NULL);
	close(a.fd);
}
END_TEST

START_TEST(fd_free_within)
{
	struct end a, b;

	mkends(&a, &b);
	a.ev = ev_fd_new(a.fd, EV_OUT, end_fire, &a);
	a.kill = &a;
	AWAIT(a.calls == 1);
	ck_assert_ptr_null(a.ev);
	close(a.fd);
	close(b.fd);
}
END_TEST

/* Both are ready in the same round; the first to run frees the other. */
START_TEST(fd_free_other)
{
	struct end a, b;

	mkends(&a, &b);
	a.ev = ev_fd_new(a.fd, EV_OUT, end_fire, &a);
	b.ev = ev_fd_new(b.fd, EV_OUT, end_fire, &b);
	a.kill = &b;
	b.kill = &a;
	AWAIT(a.calls + b.calls >= 2);
	ck_assert(a.calls == 0 || b.calls == 0);
	ev_fd_free(a.ev);
	ev_fd_free(b.ev);
	close(a.fd);
	close(b.fd);
}
END_TEST

struct sig {
	struct ev_signal *ev;
	int		 calls;
	bool		 once;
};

static void
sig_fire(int sig, void *arg)
{
	struct sig *s = arg;

	ck_assert_int_eq(sig, SIGUSR1);
	s->calls++;
	if (s->once) {
		ev_signal_free(s->ev);
		s->ev = NULL;
	}
	ev_stop();
}

START_TEST(signals)
{
	struct sig s = { .calls = 0 };

	s.ev = ev_signal_new(SIGUSR1, sig_fire, &s);
	raise(SIGUSR1);
	AWAIT(s.calls == 1);
	raise(SIGUSR1);
	AWAIT(s.calls == 2);
	s.once = true;
	raise(SIGUSR1);
	AWAIT(s.calls == 3);
	ck_assert_ptr_null(s.ev);
	ev_signal_free(NULL);
}
END_TEST

START_TEST(stop_before_loop)
{
	struct shot s;

	nshots = 0;
	ev_stop();
	ev_loop();
	/* used up: the next loop runs */
	shot_set(&s, monotime_now());
	ev_loop();
	ck_assert_int_eq(nshots, 1);
	ev_timer_free(s.t);
}
END_TEST

/* All that is ever opened is opened by ev_init(). */
START_TEST(opens_nothing)
{
	struct end a, b;
	struct shot t;
	struct sig s = { .calls = 0 };
	int fds;

	nshots = 0;
	mkends(&a, &b);
	fds = await_nfds();
	a.ev = ev_fd_new(a.fd, EV_OUT, end_fire, &a);
	shot_set(&t, monotime_now());
	s.ev = ev_signal_new(SIGUSR1, sig_fire, &s);
	raise(SIGUSR1);
	AWAIT(a.calls > 0 && s.calls == 1 && nshots == 1);
	ck_assert_int_eq(await_nfds(), fds);
	ev_fd_free(a.ev);
	ev_timer_free(t.t);
	ev_signal_free(s.ev);
	close(a.fd);
	close(b.fd);
}
END_TEST

static Suite *
ev_suite(void)
{
	Suite *s = suite_create("ev");
	TCase *tc = tcase_create("ev");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, monotime);
	tcase_add_test(tc, timer_order);
	tcase_add_test(tc, timer_not_early);
	tcase_add_test(tc, timer_interval);
	tcase_add_test(tc, timer_rearm_stop);
	tcase_add_test(tc, timer_free_within);
	tcase_add_test(tc, fd_in_out);
	tcase_add_test(tc, fd_hangup);
	tcase_add_test(tc, fd_free_within);
	tcase_add_test(tc, fd_free_other);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, stop_before_loop);
	tcase_add_test(tc, opens_nothing);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(ev_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0 || await_leaks != 0);
}
