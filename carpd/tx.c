/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Frames on their way out.  Within a round (tx_open() to tx_close(): timers
 * that ran together, frames that were read together) they are collected and
 * go out in one system call per carpdev; outside of one at once.  Whether an
 * advertisement left is told to its vhid when that is known.
 */
#include <errno.h>
#include <string.h>

#include "../common/log.h"
#include "engine.h"
#include "os/frameio.h"

void
tx_open(struct engine *e)
{
	e->tx.depth++;
}

bool
tx_is_open(const struct engine *e)
{
	return (e->tx.depth > 0);
}

/* A bit for each. */
static uint8_t
family(const struct ipaddr *a)
{
	return (a->af == AF_INET ? 1 : 2);
}

static void
tx_failed(struct tx *x, const struct tx_frame *f, int error)
{
	struct node *n = f->node;
	struct engine *e = n->eng;

	e->count[COUNT_OERRORS]++;
	if (!f->advert)
		return;
	n->vif->dev->senderr = error;
	n->vif->dev->senderr_at = monotime_now();
	/* of several peers one that is reached is enough */
	if (f->to.af != 0)
		n->tx_missed |= family(&f->to);
	else
		n->tx_ok = false;
	if (error == ENOBUFS)
		e->count[COUNT_ONOMEM]++;
	engine_log(e, LOG_WARNING, "%s: advertisement on %s failed: %s",
	    n->vif->c.name, x->dev->name, strerror(error));
}

static void
tx_left(const struct tx_frame *f)
{
	if (!f->advert)
		return;
	f->node->eng->count[f->af == AF_INET ? COUNT_OPACKETS :
	    COUNT_OPACKETS6]++;
	if (f->to.af != 0)
		f->node->tx_reached |= family(&f->to);
}

/* To a peer, by the kernel's own way. */
static void
tx_unicast(struct tx *x, const struct tx_frame *f)
{
	const struct dev *d = x->dev;

	if (frameio_send_ip(d->ip[f->to.af == AF_INET6], d->ifindex, f->data,
	    f->len, &f->to) == -1)
		tx_failed(x, f, errno);
	else
		tx_left(f);
}

/* How many of the frames from the i'th on go to no peer. */
static size_t
tx_run(const struct tx *x, size_t i)
{
	size_t n = 0;

	while (i + n < x->n && x->frame[i + n].to.af == 0)
		n++;
	return (n);
}

static void
tx_flush(struct engine *e)
{
	struct frameio_vec v[TX_FRAMES];
	struct tx *x = &e->tx;
	size_t i, k, run, sent;
	int fd, error;

	if (x->n == 0)
		return;
	fd = x->dev->fd;
	for (i = 0; i < x->n; i++)
		v[i] = (struct frameio_vec){ x->frame[i].data,
		    x->frame[i].len };
	for (i = 0; i < x->n; i++) {
		if ((run = tx_run(x, i)) == 0) {
			tx_unicast(x, &x->frame[i]);
			continue;
		}
		errno = ENETDOWN;
		sent = fd == -1 ? 0 : frameio_sendv(fd, v + i, run);
		error = errno;
		for (k = 0; k < sent; k++)
			tx_left(&x->frame[i + k]);
		i += sent;
		if (sent < run)
			tx_failed(x, &x->frame[i], error);
		else
			i--;
	}
	x->n = 0;
	x->dev = NULL;
}

uint8_t *
tx_room(struct node *n)
{
	struct tx *x = &n->eng->tx;

	if (x->dev != n->vif->dev || x->n == TX_FRAMES)
		tx_flush(n->eng);
	x->dev = n->vif->dev;
	return (x->frame[x->n].data);
}

void
tx_put(struct node *n, size_t len, const struct ipaddr *dst, bool advert)
{
	struct tx *x = &n->eng->tx;
	struct tx_frame *f = &x->frame[x->n++];

	f->node = n;
	f->len = (uint16_t)len;
	f->af = dst != NULL ? dst->af : 0;
	f->to.af = 0;
	if (dst != NULL && !ipaddr_is_multicast(dst))
		f->to = *dst;
	f->advert = advert;
	if (x->depth == 0)
		tx_flush(n->eng);
}

/* Adverts of n were put: it hears what became of them. */
void
tx_tell(struct node *n)
{
	struct tx *x = &n->eng->tx;

	if (n->tx_waits)
		return;
	n->tx_waits = true;
	TAILQ_INSERT_TAIL(&x->waiting, n, tx_entry);
}

/* An answer may make others speak, who then wait for theirs. */
static void
answer(struct engine *e)
{
	struct tx_nodes now = TAILQ_HEAD_INITIALIZER(now);
	struct vhost_event ev;
	struct node *n;

	memset(&ev, 0, sizeof(ev));
	ev.type = VHOST_EV_SENT;
	TAILQ_CONCAT(&now, &e->tx.waiting, tx_entry);
	while ((n = TAILQ_FIRST(&now)) != NULL) {
		TAILQ_REMOVE(&now, n, tx_entry);
		n->tx_waits = false;
		ev.ok = n->tx_ok && (n->tx_missed & ~n->tx_reached) == 0;
		n->tx_ok = true;
		n->tx_missed = n->tx_reached = 0;
		node_step(n, &ev, monotime_now());
	}
}

void
tx_close(struct engine *e)
{
	while (e->tx.depth == 1) {
		/* the parent works on addresses while we speak */
		if (e->parent != NULL)
			channel_flush(e->parent);
		tx_flush(e);
		if (TAILQ_EMPTY(&e->tx.waiting))
			break;
		answer(e);
	}
	if (--e->tx.depth > 0)
		return;
	if (e->parent != NULL)
		channel_flush(e->parent);
	timers_settle(e);
}

void
tx_forget(struct node *n)
{
	tx_flush(n->eng);
	if (n->tx_waits)
		TAILQ_REMOVE(&n->eng->tx.waiting, n, tx_entry);
}

void
tx_init(struct engine *e)
{
	TAILQ_INIT(&e->tx.waiting);
}
