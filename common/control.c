/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Server side of a control socket: who may connect is decided by the file's
 * owner, group and mode; who is there, how much waits for them and when they
 * go is decided here; what they ask is the owner's business.  A client is not
 * trusted: it cannot make the daemon wait, grow or hold its descriptors.
 */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "control.h"
#include "ev.h"
#include "log.h"

#define CONTROL_BACKLOG	16
#define CONTROL_PAUSE	MONOTIME_SEC	/* out of descriptors: try again */

struct control_client {
	TAILQ_ENTRY(control_client) entry;
	struct control	*c;
	struct channel	*ch;
	uint32_t	 id;
	bool		 subscribed;
	bool		 doomed;	/* does not read: to be closed */
};

struct control {
	int		 fd;
	struct ev_fd	*ev;
	struct ev_timer	*pause;
	struct ev_timer	*reap;
	control_cb	 cb;
	void		*arg;
	void		(*on_close)(uint32_t, void *);
	void		*on_close_arg;
	TAILQ_HEAD(control_clients, control_client) clients;
	unsigned int	 nclients;
	uint32_t	 lastid;
};

/* The socket file this process made. */
static struct {
	dev_t		 dev;
	ino_t		 ino;
} control_made;

static int
control_addr(struct sockaddr_un *sun, const char *path)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	if (strlcpy(sun->sun_path, path, sizeof(sun->sun_path)) >=
	    sizeof(sun->sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	return (0);
}

static int
control_socket(void)
{
	return (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0));
}

/* 1: somebody listens behind sun (EAGAIN: and is busy); 0: not; -1: errno. */
static int
control_live(const struct sockaddr_un *sun)
{
	int fd, r, saved;

	if ((fd = control_socket()) == -1)
		return (-1);
	r = connect(fd, (const struct sockaddr *)sun, sizeof(*sun));
	saved = errno;
	close(fd);
	if (r == 0 || saved == EAGAIN)
		return (1);
	errno = saved;
	return (saved == ECONNREFUSED || saved == ENOENT ? 0 : -1);
}

/* Make sure that nothing is at the path; a live daemon or a file stays. */
static int
control_clear(const struct sockaddr_un *sun)
{
	struct stat st;
	int r;

	if (lstat(sun->sun_path, &st) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return (-1);
	}
	if ((r = control_live(sun)) == 1)
		errno = EADDRINUSE;
	if (r != 0)
		return (-1);
	return (unlink(sun->sun_path) == -1 && errno != ENOENT ? -1 : 0);
}

/*
 * The umask keeps the file closed until owner and group are right.  Nobody
 * can connect before listen(), which comes last.
 */
static int
control_bind(int fd, const struct sockaddr_un *sun, gid_t gid)
{
	const char *path = sun->sun_path;
	struct stat st;
	mode_t old;
	int r;

	old = umask(0177);
	r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun));
	umask(old);
	if (r == -1)
		return (-1);
	if ((chown(path, 0, gid) == -1 && errno != EPERM) ||
	    chmod(path, 0660) == -1 || lstat(path, &st) == -1 ||
	    listen(fd, CONTROL_BACKLOG) == -1) {
		r = errno;
		unlink(path);
		errno = r;
		return (-1);
	}
	control_made.dev = st.st_dev;
	control_made.ino = st.st_ino;
	return (0);
}

int
control_listen(const char *path, gid_t gid)
{
	struct sockaddr_un sun;
	int fd, saved;

	if (control_addr(&sun, path) == -1 || control_clear(&sun) == -1 ||
	    (fd = control_socket()) == -1)
		return (-1);
	if (control_bind(fd, &sun, gid) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

void
control_cleanup(const char *path)
{
	struct stat st;

	if (control_made.ino == 0 || lstat(path, &st) == -1)
		return;
	if (st.st_dev == control_made.dev && st.st_ino == control_made.ino)
		unlink(path);
}

static void
control_client_free(struct control_client *cl)
{
	struct control *c = cl->c;

	TAILQ_REMOVE(&c->clients, cl, entry);
	c->nclients--;
	channel_free(cl->ch);
	if (c->on_close != NULL)
		c->on_close(cl->id, c->on_close_arg);
	free(cl);
}

/* No request carries a descriptor.  cl may be gone after the callback. */
static void
control_msg(struct channel *ch, struct imsg *im, void *arg)
{
	struct control_client *cl = arg;

	(void)ch;
	if (im->fd != -1) {
		close(im->fd);
		im->fd = -1;
	}
	if (!cl->doomed)
		cl->c->cb(cl, im, cl->c->arg);
}

static void
control_gone(struct channel *ch, const char *why, void *arg)
{
	struct control_client *cl = arg;

	(void)ch;
	log_debug("control client %u: %s", cl->id, why);
	control_client_free(cl);
}

/* Replies are sent from callbacks that still use cl: it is closed from here. */
static void
control_reap(void *arg)
{
	struct control *c = arg;
	struct control_client *cl, *next;

	TAILQ_FOREACH_SAFE(cl, &c->clients, entry, next)
		if (cl->doomed)
			control_client_free(cl);
}

static void
control_doom(struct control_client *cl)
{
	cl->doomed = true;
	ev_timer_at(cl->c->reap, monotime_now());
}

static uint32_t
control_newid(struct control *c)
{
	do
		c->lastid++;
	while (c->lastid == 0 || control_find(c, c->lastid) != NULL);
	return (c->lastid);
}

static void
control_client_new(struct control *c, int fd)
{
	struct control_client *cl;

	if (c->nclients >= CONTROL_CLIENTS_MAX) {
		log_debug("control: too many clients");
		close(fd);
		return;
	}
	if ((cl = calloc(1, sizeof(*cl))) == NULL)
		fatal("calloc");
	cl->c = c;
	cl->id = control_newid(c);
	cl->ch = channel_new(fd, control_msg, control_gone, cl);
	imsgbuf_limit(channel_imsgbuf(cl->ch), CONTROL_QUEUE_MAX);
	TAILQ_INSERT_TAIL(&c->clients, cl, entry);
	c->nclients++;
}

/*
 * Out of descriptors the listener stays readable: look away for a while
 * instead of spinning.
 */
static void
control_accept(int fd, int what, void *arg)
{
	struct control *c = arg;
	int s;

	(void)what;
	s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s != -1) {
		control_client_new(c, s);
		return;
	}
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ECONNABORTED:
		return;
	default:
		log_warn("control: accept");
		ev_fd_want(c->ev, 0);
		ev_timer_at(c->pause, monotime_add(monotime_now(),
		    CONTROL_PAUSE));
	}
}

static void
control_resume(void *arg)
{
	struct control *c = arg;

	ev_fd_want(c->ev, EV_IN);
}

struct control *
control_new(int fd, control_cb cb, void *arg)
{
	struct control *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("calloc");
	c->fd = fd;
	c->cb = cb;
	c->arg = arg;
	TAILQ_INIT(&c->clients);
	c->ev = ev_fd_new(fd, EV_IN, control_accept, c);
	c->pause = ev_timer_new(control_resume, c);
	c->reap = ev_timer_new(control_reap, c);
	return (c);
}

void
control_free(struct control *c)
{
	struct control_client *cl;

	if (c == NULL)
		return;
	while ((cl = TAILQ_FIRST(&c->clients)) != NULL)
		control_client_free(cl);
	ev_timer_free(c->reap);
	ev_timer_free(c->pause);
	ev_fd_free(c->ev);
	close(c->fd);
	free(c);
}

uint32_t
control_client_id(const struct control_client *cl)
{
	return (cl->id);
}

struct control_client *
control_find(struct control *c, uint32_t id)
{
	struct control_client *cl;

	TAILQ_FOREACH(cl, &c->clients, entry)
		if (cl->id == id)
			return (cl);
	return (NULL);
}

/* EPIPE and the like come back from the channel as gone: not judged here. */
void
control_reply(struct control_client *cl, uint32_t type, const void *data,
    size_t len)
{
	if (cl->doomed)
		return;
	if (channel_send(cl->ch, type, 0, -1, data, len) == 0)
		return;
	if (errno == ENOBUFS || errno == ENOMEM || errno == EMSGSIZE) {
		log_debug("control client %u: cut off", cl->id);
		control_doom(cl);
	}
}

void
control_finish(struct control_client *cl)
{
	if (!cl->doomed)
		channel_finish(cl->ch);
}

void
control_subscribe(struct control_client *cl)
{
	cl->subscribed = true;
}

void
control_notify(struct control *c, uint32_t type, const void *data, size_t len)
{
	struct control_client *cl;

	TAILQ_FOREACH(cl, &c->clients, entry)
		if (cl->subscribed)
			control_reply(cl, type, data, len);
}

void
control_on_close(struct control *c, void (*cb)(uint32_t client_id, void *arg),
    void *arg)
{
	c->on_close = cb;
	c->on_close_arg = arg;
}
