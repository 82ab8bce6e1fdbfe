/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * libevent 2 behind ev.h, and the only includer of its headers.  The base is
 * made without locks and without looking at the environment, and with it all
 * that libevent ever opens (epoll, timerfd, the signal pair), so that nothing
 * beyond reading, writing, waiting and memory is asked of a sandbox later.
 */
#include <sys/time.h>

#include <event2/event.h>
#include <stdlib.h>

#include "ev.h"
#include "log.h"

struct ev_fd {
	struct event	*ev;
	int		 fd;
	int		 what;
	ev_fd_cb	 cb;
	void		*arg;
};

struct ev_timer {
	struct event	*ev;
	ev_cb		 cb;
	void		*arg;
};

struct ev_signal {
	struct event	*ev;
	ev_signal_cb	 cb;
	void		*arg;
};

static struct event_base *ev_base;
static bool		 ev_stopping;

static void
ev_log(int severity, const char *msg)
{
	if (severity >= EVENT_LOG_WARN)
		log_warnx("libevent: %s", msg);
	else
		log_debug("libevent: %s", msg);
}

static void __attribute__((noreturn))
ev_fatal(int code)
{
	fatalx("libevent gave up (%d)", code);
}

static void *
ev_alloc(size_t size)
{
	void *p;

	if ((p = calloc(1, size)) == NULL)
		fatal("calloc");
	return (p);
}

/*
 * Without the time cache event_add() counts from the real now, as
 * ev_timer_at() does; else a timer set late in a long round fires early.
 */
void
ev_init(void)
{
	struct event_config *cfg;

	event_set_log_callback(ev_log);
	event_set_fatal_callback(ev_fatal);
	if ((cfg = event_config_new()) == NULL)
		fatalx("event_config_new failed");
	if (event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER |
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
	    EVENT_BASE_FLAG_NO_CACHE_TIME) == -1)
		fatalx("event_config_set_flag failed");
	if ((ev_base = event_base_new_with_config(cfg)) == NULL)
		fatalx("event_base_new_with_config failed");
	event_config_free(cfg);
	ev_stopping = false;
}

void
ev_exit(void)
{
	if (ev_base == NULL)
		return;
	event_base_free(ev_base);
	ev_base = NULL;
	libevent_global_shutdown();
}

/*
 * event_base_loop() forgets a break requested before it runs; an ev_stop()
 * from start-up code must not be lost.
 */
void
ev_loop(void)
{
	if (!ev_stopping &&
	    event_base_loop(ev_base, EVLOOP_NO_EXIT_ON_EMPTY) == -1)
		fatalx("event loop failed");
	ev_stopping = false;
}

void
ev_stop(void)
{
	ev_stopping = true;
	event_base_loopbreak(ev_base);
}

/* The callback may free e: nothing is touched after it. */
static void
ev_fd_fire(evutil_socket_t fd, short what, void *arg)
{
	struct ev_fd *e = arg;
	int w = 0;

	if (what & EV_READ)
		w |= EV_IN;
	if (what & EV_WRITE)
		w |= EV_OUT;
	e->cb(fd, w, e->arg);
}

static short
ev_fd_flags(int what)
{
	int f = EV_PERSIST;

	if (what & EV_IN)
		f |= EV_READ;
	if (what & EV_OUT)
		f |= EV_WRITE;
	return ((short)f);
}

struct ev_fd *
ev_fd_new(int fd, int what, ev_fd_cb cb, void *arg)
{
	struct ev_fd *e;

	e = ev_alloc(sizeof(*e));
	e->fd = fd;
	e->cb = cb;
	e->arg = arg;
	e->ev = event_new(ev_base, fd, ev_fd_flags(what), ev_fd_fire, e);
	if (e->ev == NULL)
		fatalx("event_new failed");
	ev_fd_want(e, what);
	return (e);
}

void
ev_fd_want(struct ev_fd *e, int what)
{
	if (what == e->what)
		return;
	event_del(e->ev);
	e->what = what;
	if (what == 0)
		return;
	if (event_assign(e->ev, ev_base, e->fd, ev_fd_flags(what), ev_fd_fire,
	    e) == -1 || event_add(e->ev, NULL) == -1)
		fatal("cannot watch fd %d", e->fd);
}

void
ev_fd_free(struct ev_fd *e)
{
	if (e == NULL)
		return;
	event_free(e->ev);
	free(e);
}

static void
ev_timer_fire(evutil_socket_t fd, short what, void *arg)
{
	struct ev_timer *t = arg;

	(void)fd;
	(void)what;
	t->cb(t->arg);
}

struct ev_timer *
ev_timer_new(ev_cb cb, void *arg)
{
	struct ev_timer *t;

	t = ev_alloc(sizeof(*t));
	t->cb = cb;
	t->arg = arg;
	if ((t->ev = evtimer_new(ev_base, ev_timer_fire, t)) == NULL)
		fatalx("evtimer_new failed");
	return (t);
}

/*
 * libevent truncates its clock to microseconds, so one more is added after
 * rounding up: a timer never fires before its time.
 */
void
ev_timer_at(struct ev_timer *t, monotime_t at)
{
	struct timeval tv = { 0, 0 };
	int64_t us;

	if (!monotime_isset(at)) {
		ev_timer_stop(t);
		return;
	}
	us = monotime_sub(at, monotime_now());
	if (us > 0) {
		us = (us - 1) / MONOTIME_USEC + 2;
		tv.tv_sec = us / 1000000;
		tv.tv_usec = us % 1000000;
	}
	if (evtimer_add(t->ev, &tv) == -1)
		fatalx("evtimer_add failed");
}

void
ev_timer_stop(struct ev_timer *t)
{
	evtimer_del(t->ev);
}

void
ev_timer_free(struct ev_timer *t)
{
	if (t == NULL)
		return;
	event_free(t->ev);
	free(t);
}

static void
ev_signal_fire(evutil_socket_t sig, short what, void *arg)
{
	struct ev_signal *s = arg;

	(void)what;
	s->cb(sig, s->arg);
}

struct ev_signal *
ev_signal_new(int sig, ev_signal_cb cb, void *arg)
{
	struct ev_signal *s;

	s = ev_alloc(sizeof(*s));
	s->cb = cb;
	s->arg = arg;
	if ((s->ev = evsignal_new(ev_base, sig, ev_signal_fire, s)) == NULL ||
	    evsignal_add(s->ev, NULL) == -1)
		fatalx("cannot watch signal %d", sig);
	return (s);
}

void
ev_signal_free(struct ev_signal *s)
{
	if (s == NULL)
		return;
	event_free(s->ev);
	free(s);
}
