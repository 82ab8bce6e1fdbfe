/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: requests over netlink, one at a time, with an end to the waiting.
 * Not for notifications (kif_linux.c reads those itself): a socket here has
 * one request under way and takes nothing but its answer.  libmnl lays out
 * the messages; its own receive loop gives up at the first stale answer, so
 * ours is here.  netlink(7), <linux/netlink.h>.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "../monotime.h"
#include "netlink.h"

#define WAIT		MONOTIME_SEC	/* for each part of an answer */
#define DUMP_TRIES	10		/* dumps that changed under our eyes */
#define ERRNO_MAX	4095		/* MAX_ERRNO of <linux/err.h> */
#define BUFSIZE		32768		/* the kernel's largest dump datagram */

struct netlink {
	struct mnl_socket	*sock;
	uint32_t		 seq;
	unsigned int		 portid;
	union {
		struct nlmsghdr	 h;	/* for alignment */
		char		 bytes[BUFSIZE];
	}			 buf;
};

/* What has come in of the answer to one request. */
struct answer {
	mnl_cb_t	 cb;
	void		*arg;
	bool		 complete;
	bool		 stopped;	/* by the callback */
	bool		 interrupted;	/* the table changed during the dump */
	int		 error;
};

struct netlink *
netlink_open(int bus, unsigned int groups)
{
	struct netlink	*n;
	int		 on = 1, saved;

	if ((n = calloc(1, sizeof(*n))) == NULL)
		return (NULL);
	if ((n->sock = mnl_socket_open2(bus, SOCK_CLOEXEC)) == NULL)
		goto fail;
	if (mnl_socket_bind(n->sock, groups, MNL_SOCKET_AUTOPID) == -1)
		goto fail;
	n->portid = mnl_socket_get_portid(n->sock);
	/* Short acknowledgements; older kernels send long ones. */
	(void)mnl_socket_setsockopt(n->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	return (n);
fail:
	saved = errno;
	netlink_close(n);
	errno = saved;
	return (NULL);
}

void
netlink_close(struct netlink *n)
{
	if (n == NULL)
		return;
	if (n->sock != NULL)
		mnl_socket_close(n->sock);
	free(n);
}

int
netlink_fd(const struct netlink *n)
{
	return (mnl_socket_get_fd(n->sock));
}

static int
request(struct netlink *n, struct nlmsghdr *h)
{
	h->nlmsg_flags |= NLM_F_REQUEST;
	h->nlmsg_seq = ++n->seq;
	h->nlmsg_pid = n->portid;
	return (mnl_socket_sendto(n->sock, h, h->nlmsg_len) == -1 ? -1 : 0);
}

/* Answers to the first have an older number and are skipped. */
static int
request_pair(struct netlink *n, struct nlmsghdr *first, struct nlmsghdr *h)
{
	struct sockaddr_nl	 kernel = { .nl_family = AF_NETLINK };
	struct iovec		 iov[] = {
		{ first, MNL_ALIGN(first->nlmsg_len) },
		{ h, h->nlmsg_len }
	};
	struct msghdr		 msg = {
		.msg_name = &kernel, .msg_namelen = sizeof(kernel),
		.msg_iov = iov, .msg_iovlen = 2
	};

	first->nlmsg_flags |= NLM_F_REQUEST;
	first->nlmsg_seq = ++n->seq;
	h->nlmsg_flags |= NLM_F_REQUEST;
	h->nlmsg_seq = ++n->seq;
	return (sendmsg(netlink_fd(n), &msg, 0) == -1 ? -1 : 0);
}

/* A whole datagram into the buffer; its length, or -1. */
static ssize_t
receive(struct netlink *n, monotime_t deadline)
{
	struct pollfd	 pfd = { .fd = netlink_fd(n), .events = POLLIN };
	int64_t		 left;
	ssize_t		 len;

	for (;;) {
		left = monotime_sub(deadline, monotime_now());
		if (left <= 0) {
			errno = ETIMEDOUT;
			return (-1);
		}
		if (poll(&pfd, 1, (int)(left / MONOTIME_MSEC) + 1) <= 0)
			continue;
		len = mnl_socket_recvfrom(n->sock, n->buf.bytes,
		    sizeof(n->buf.bytes));
		if (len != -1 || (errno != EINTR && errno != EAGAIN))
			return (len);
	}
}

int
netlink_errno(int error)
{
	if (error >= 0)
		return (0);
	return (error < -ERRNO_MAX ? EPROTO : -error);
}

/* The error number in an acknowledgement or at the end of a dump, or 0. */
static int
message_error(const struct nlmsghdr *h)
{
	const int	*error = mnl_nlmsg_get_payload(h);

	/* struct nlmsgerr begins with the number too */
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*error))
		return (h->nlmsg_type == NLMSG_ERROR ? EPROTO : 0);
	return (netlink_errno(*error));
}

static void
take_message(const struct nlmsghdr *h, struct answer *a)
{
	if (h->nlmsg_flags & NLM_F_DUMP_INTR)
		a->interrupted = true;
	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		a->complete = true;
		if (a->error == 0)
			a->error = message_error(h);
		return;
	}
	if (h->nlmsg_type < NLMSG_MIN_TYPE || a->cb == NULL || a->stopped)
		return;
	switch (a->cb(h, a->arg)) {
	case MNL_CB_ERROR:
		a->error = errno != 0 ? errno : EINVAL;
		/* FALLTHROUGH */
	case MNL_CB_STOP:
		a->stopped = true;
		break;
	}
}

/* Read until the answer to the last request is complete. */
static int
collect(struct netlink *n, struct answer *a)
{
	const struct nlmsghdr	*h;
	monotime_t		 deadline;
	ssize_t			 got;
	int			 len;

	deadline = monotime_add(monotime_now(), WAIT);
	while (!a->complete) {
		if ((got = receive(n, deadline)) == -1)
			return (-1);
		h = &n->buf.h;
		for (len = (int)got; mnl_nlmsg_ok(h, len);
		    h = mnl_nlmsg_next(h, &len)) {
			if (h->nlmsg_seq != n->seq)
				continue;	/* of a request given up */
			deadline = monotime_add(monotime_now(), WAIT);
			take_message(h, a);
		}
	}
	if (a->error != 0) {
		errno = a->error;
		return (-1);
	}
	return (0);
}

int
netlink_talk(struct netlink *n, struct nlmsghdr *h)
{
	struct answer	 a = { .cb = NULL };

	h->nlmsg_flags |= NLM_F_ACK;
	if (request(n, h) == -1)
		return (-1);
	return (collect(n, &a));
}

int
netlink_talk_after(struct netlink *n, struct nlmsghdr *first,
    struct nlmsghdr *h)
{
	struct answer	 a = { .cb = NULL };

	h->nlmsg_flags |= NLM_F_ACK;
	if (request_pair(n, first, h) == -1)
		return (-1);
	return (collect(n, &a));
}

/* Only failures are answered, and the last: that is when all are done. */
static int
request_many(struct netlink *nl, struct nlmsghdr *const *h, size_t n)
{
	struct sockaddr_nl	 kernel = { .nl_family = AF_NETLINK };
	struct iovec		 iov[NETLINK_MANY];
	struct msghdr		 msg = {
		.msg_name = &kernel, .msg_namelen = sizeof(kernel),
		.msg_iov = iov, .msg_iovlen = n
	};
	size_t			 i;

	for (i = 0; i < n; i++) {
		h[i]->nlmsg_flags |= NLM_F_REQUEST;
		if (i == n - 1)
			h[i]->nlmsg_flags |= NLM_F_ACK;
		h[i]->nlmsg_seq = ++nl->seq;
		iov[i] = (struct iovec){ h[i], MNL_ALIGN(h[i]->nlmsg_len) };
	}
	return (sendmsg(netlink_fd(nl), &msg, 0) == -1 ? -1 : 0);
}

int
netlink_talk_many(struct netlink *nl, struct nlmsghdr *const *h, size_t n,
    int *error)
{
	const struct nlmsghdr	*m;
	monotime_t		 deadline;
	uint32_t		 nth = UINT32_MAX;
	ssize_t			 got;
	int			 len;

	memset(error, 0, n * sizeof(*error));
	if (request_many(nl, h, n) == -1)
		return (-1);
	deadline = monotime_add(monotime_now(), WAIT);
	while (nth != n - 1) {
		if ((got = receive(nl, deadline)) == -1)
			return (-1);
		m = &nl->buf.h;
		for (len = (int)got; mnl_nlmsg_ok(m, len);
		    m = mnl_nlmsg_next(m, &len)) {
			nth = m->nlmsg_seq - h[0]->nlmsg_seq;
			if (nth < n && m->nlmsg_type == NLMSG_ERROR)
				error[nth] = message_error(m);
		}
	}
	return (0);
}

int
netlink_dump(struct netlink *n, struct nlmsghdr *h, mnl_cb_t cb, void *arg)
{
	struct answer	 a;
	int		 tries;

	h->nlmsg_flags |= NLM_F_DUMP;
	for (tries = 0; tries < DUMP_TRIES; tries++) {
		a = (struct answer){ .cb = cb, .arg = arg };
		if (request(n, h) == -1 || collect(n, &a) == -1)
			return (-1);
		if (!a.interrupted || a.stopped)
			return (0);
	}
	errno = EINTR;
	return (-1);
}
