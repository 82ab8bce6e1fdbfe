/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See carplink.h.  Nothing here waits: connect(2) to a unix socket is done or
 * refused at once.  carpd answers CTL_WATCH with the number of MASTERs, its
 * addresses and an end, and with all of these again at each change; addresses
 * are passed on when a set is complete and differs.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../carpd/msgs.h"
#include "../common/channel.h"
#include "../common/ev.h"
#include "../common/log.h"
#include "carplink.h"

#define CARPLINK_RETRY	MONOTIME_SEC
#define CARPLINK_ADDRS	16384	/* more than any configuration has */

struct addr_set {
	struct share	*a;
	size_t		 n, size;
};

struct carplink {
	struct carplink_cbs cbs;
	struct channel	*chan;		/* NULL: not connected */
	struct ev_timer	*retry;
	struct addr_set	 set;		/* being received */
	struct addr_set	 told;
	bool		 in_set;
	bool		 told_any;
	bool		 answers;	/* it answered on this connection */
	bool		 absent;	/* that was said */
	bool		 synced;
	struct ctl_hold	 hold;
	char		 path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void
again(struct carplink *l)
{
	ev_timer_at(l->retry, monotime_add(monotime_now(), CARPLINK_RETRY));
}

/* A write that fails is told by the channel as gone. */
static void
tell(struct carplink *l, uint32_t type, const void *data, size_t len)
{
	if (l->chan != NULL)
		(void)channel_send(l->chan, type, 0, -1, data, len);
}

/* Let go of the connection and look for another one. */
static void
hang_up(struct carplink *l, const char *why)
{
	channel_free(l->chan);
	l->chan = NULL;
	l->in_set = false;
	again(l);
	if (l->answers)
		log_info("carpd: connection lost (%s)", why);
	else if (!l->absent)
		log_info("carpd: no answer at %s (%s), going on without",
		    l->path, why);
	l->absent = true;
	if (!l->answers)
		return;
	l->answers = false;
	l->cbs.carp(false, 0, 0, 0, l->cbs.arg);
}

static void
carpd_gone(struct channel *c, const char *why, void *arg)
{
	(void)c;
	hang_up(arg, why);
}

/* ---- what carpd says ---- */

/* false: that is more than a carpd would have. */
static bool
set_add(struct addr_set *s, const struct ctl_addr *m)
{
	const struct ipaddr *a = &m->addr;
	struct share *p;
	size_t size;

	if (s->n == s->size) {
		if (s->n == CARPLINK_ADDRS)
			return (false);
		size = s->size == 0 ? 16 : 2 * s->size;
		if ((p = reallocarray(s->a, size, sizeof(*p))) == NULL)
			fatal("reallocarray");
		s->a = p;
		s->size = size;
	}
	p = &s->a[s->n++];
	memset(p, 0, sizeof(*p));
	p->addr.af = a->af;
	p->addr.plen = a->plen;
	memcpy(p->addr.bytes, a->bytes, ipaddr_len(a->af));
	p->nodes = m->balancing == BALANCE_ARP ? 0 : m->nodes;
	p->mask = m->mask;
	return (true);
}

static int
by_address(const void *a, const void *b)
{
	const struct share *s = a, *t = b;

	return (ipaddr_cmp(&s->addr, &t->addr));
}

static void
set_complete(struct carplink *l)
{
	struct addr_set was = l->told;

	l->in_set = false;
	if (l->set.n > 1)
		qsort(l->set.a, l->set.n, sizeof(*l->set.a), by_address);
	if (l->told_any && was.n == l->set.n && (was.n == 0 ||
	    memcmp(was.a, l->set.a, was.n * sizeof(*was.a)) == 0))
		return;
	l->told = l->set;
	l->set = was;
	l->told_any = true;
	l->cbs.addrs(l->told.a, l->told.n, l->cbs.arg);
}

static const char *
on_masters(struct carplink *l, const struct ctl_masters *m)
{
	if (!l->answers)
		log_info("carpd: connected at %s", l->path);
	l->answers = true;
	l->absent = false;
	l->in_set = true;
	l->set.n = 0;
	/* at once: what follows it is seldom news */
	l->cbs.carp(true, m->masters, m->balancing, m->splits, l->cbs.arg);
	return (NULL);
}

static const char *
on_addr(struct carplink *l, const struct ctl_addr *m)
{
	if ((m->addr.af != AF_INET && m->addr.af != AF_INET6) ||
	    m->nodes > BALANCE_NODES)
		return ("bad address");
	if (l->in_set && !set_add(&l->set, m))
		return ("too many addresses");
	return (NULL);
}

static const char *
on_vhosts(struct carplink *l, const struct ctl_vhosts *m)
{
	_Static_assert(CARPLINK_VHOSTS == CTL_VHOSTS_MAX &&
	    sizeof(m->id[0]) == NATIVE_VHOST_LEN, "as carpd has them");
	if (m->n > CTL_VHOSTS_MAX)
		return ("bad list of vhosts");
	l->cbs.vhosts(m->id, m->n, m->last != 0, l->cbs.arg);
	return (NULL);
}

static void
on_fail(const struct imsg *im)
{
	char text[256];
	size_t n = im->len < sizeof(text) ? im->len : sizeof(text) - 1;

	if (n > 0)
		memcpy(text, im->data, n);
	text[n] = '\0';
	log_warnx("carpd refused: %s", text);
}

/* NULL, or what was wrong with it. */
static const char *
take(struct carplink *l, const struct imsg *im)
{
	const char *bad;

	bad = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_ENGINE);
	if (bad != NULL)
		return (bad);
	switch (im->type) {
	case IMSG_CTL_MASTERS:
		return (on_masters(l, im->data));
	case IMSG_CTL_ADDR:
		return (on_addr(l, im->data));
	case IMSG_CTL_VHOSTS:
		return (on_vhosts(l, im->data));
	case IMSG_CTL_END:
		if (l->in_set)
			set_complete(l);
		return (NULL);
	case IMSG_CTL_FAIL:
		on_fail(im);
		return (NULL);
	default:
		return (NULL);
	}
}

static void
carpd_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct carplink *l = arg;
	const char *bad;

	(void)c;
	bad = take(l, im);
	if (im->fd != -1)
		close(im->fd);
	if (bad != NULL)
		hang_up(l, bad);
}

/* ---- connecting ---- */

static int
connect_to(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, saved;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1)
		return (-1);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

/* The demotion first: it must not come later than anything else. */
static void
look(void *arg)
{
	struct carplink *l = arg;
	int fd;

	if ((fd = connect_to(l->path)) == -1) {
		if (!l->absent)
			log_info("carpd: nobody answers at %s (%s), going on "
			    "without", l->path, strerror(errno));
		l->absent = true;
		again(l);
		return;
	}
	l->chan = channel_new(fd, carpd_msg, carpd_gone, l);
	if (l->hold.amount != 0)
		tell(l, IMSG_CTL_HOLD, &l->hold, sizeof(l->hold));
	if (l->synced)
		tell(l, IMSG_CTL_SYNCED, NULL, 0);
	tell(l, IMSG_CTL_WATCH, NULL, 0);
}

struct carplink *
carplink_open(const char *path, const struct carplink_cbs *cbs)
{
	struct carplink *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		fatal("calloc");
	l->cbs = *cbs;
	(void)strlcpy(l->path, path, sizeof(l->path));
	l->retry = ev_timer_new(look, l);
	look(l);
	return (l);
}

void
carplink_close(struct carplink *l)
{
	if (l == NULL)
		return;
	ev_timer_free(l->retry);
	channel_free(l->chan);
	free(l->set.a);
	free(l->told.a);
	free(l);
}

/*
 * carpd has an entry for each reason.  The new one comes before the old one
 * goes, so that there is no moment without.
 */
void
carplink_hold(struct carplink *l, int amount, const char *reason)
{
	struct ctl_hold was = l->hold, h;

	memset(&h, 0, sizeof(h));
	h.amount = amount;
	if (amount != 0)
		(void)strlcpy(h.reason, reason, sizeof(h.reason));
	if (memcmp(&h, &was, sizeof(h)) == 0)
		return;
	l->hold = h;
	tell(l, IMSG_CTL_HOLD, &h, sizeof(h));
	if (amount == 0 || was.amount == 0 ||
	    strcmp(was.reason, h.reason) == 0)
		return;
	was.amount = 0;
	tell(l, IMSG_CTL_HOLD, &was, sizeof(was));
}

void
carplink_which(struct carplink *l)
{
	tell(l, IMSG_CTL_WHICH, NULL, 0);
}

void
carplink_rivals(struct carplink *l, const struct ipaddr *who,
    const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n)
{
	struct ctl_vhosts m;

	memset(&m, 0, sizeof(m));
	m.who = *who;
	m.n = (uint16_t)n;
	memcpy(m.id, id, n * sizeof(m.id[0]));
	tell(l, IMSG_CTL_RIVALS, &m, sizeof(m));
}

void
carplink_synced(struct carplink *l)
{
	if (l->synced)
		return;
	l->synced = true;
	tell(l, IMSG_CTL_SYNCED, NULL, 0);
}
