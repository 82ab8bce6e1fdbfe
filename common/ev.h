/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The event loop: libevent 2 behind fd, timer, signal and loop.  ev.c is the
 * only includer of <event2/...>.  One loop a process.  Timers are one-shot
 * and absolute (precise timers, microsecond resolution); re-arm from the
 * scheduled time to keep an interval free of drift.
 */
#ifndef COMMON_EV_H
#define COMMON_EV_H

#include "monotime.h"

#define EV_IN	0x1
#define EV_OUT	0x2

struct ev_fd;
struct ev_timer;
struct ev_signal;

typedef void (*ev_fd_cb)(int fd, int what, void *arg);	/* EV_IN | EV_OUT */
typedef void (*ev_cb)(void *arg);
typedef void (*ev_signal_cb)(int sig, void *arg);

/* Make the loop; fatal() if that fails.  Call once, after fork. */
void		 ev_init(void);
/* Release everything (for leak checkers). */
void		 ev_exit(void);
/* Dispatch until ev_stop(). */
void		 ev_loop(void);
void		 ev_stop(void);

/*
 * Watch fd (not owned) for `what`; persistent, level triggered.  Objects are
 * owned by the caller and freed with the matching _free(), which accepts NULL
 * and may be called from within the object's own callback.  fatal() when out
 * of memory.
 */
struct ev_fd	*ev_fd_new(int fd, int what, ev_fd_cb cb, void *arg);
void		 ev_fd_want(struct ev_fd *e, int what);
void		 ev_fd_free(struct ev_fd *e);

/* A timer starts unarmed; ev_timer_at() (re)arms it, a past time fires soon. */
struct ev_timer	*ev_timer_new(ev_cb cb, void *arg);
void		 ev_timer_at(struct ev_timer *t, monotime_t at);
void		 ev_timer_stop(struct ev_timer *t);
void		 ev_timer_free(struct ev_timer *t);

struct ev_signal *ev_signal_new(int sig, ev_signal_cb cb, void *arg);
void		 ev_signal_free(struct ev_signal *s);

#endif
