/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as what a kernel says of interfaces and addresses
 * (common/os/kif_linux.c) and in answer to requests (common/os/netlink.c),
 * whose system calls end here.  What is told is well-formed, an interface is
 * there before its addresses and gone before it is told as new again, and a
 * request ends whatever is answered.
 *
 *	head	bit 0: requests, not interfaces; what is asked (% 4)
 *	step	what (bits 0-1: a datagram, read it, lost ones, a dump;
 *		4: number put right, 8: from elsewhere), then of a datagram
 *	message	type (% TYPES), flags (1 part of a dump, 2 interrupted),
 *		length, so many bytes of family header and attributes
 */
#undef NDEBUG

#include <sys/socket.h>

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "../../common/ibuf.h"
#include "../../common/monotime.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the system calls ---- */

static monotime_t fake_now(void);
static int	 fake_poll(struct pollfd *p, nfds_t n, int ms);
static ssize_t	 fake_send(int fd, const void *buf, size_t len, int flags);
static ssize_t	 fake_sendmsg(int fd, const struct msghdr *m, int flags);
static ssize_t	 fake_recvfrom(int fd, void *buf, size_t len, int flags,
		    struct sockaddr *from, socklen_t *fromlen);
static ssize_t	 fake_mnl_send(const struct mnl_socket *s, const void *buf,
		    size_t len);
static ssize_t	 fake_mnl_recv(const struct mnl_socket *s, void *buf,
		    size_t len);
static struct mnl_socket *fake_open(int bus, int flags);
static int	 fake_close(struct mnl_socket *s);
static int	 fake_bind(struct mnl_socket *s, unsigned int groups,
		    pid_t pid);
static int	 fake_fd(const struct mnl_socket *s);
static unsigned int fake_portid(const struct mnl_socket *s);
static int	 fake_set(const struct mnl_socket *s, int type, void *buf,
		    socklen_t len);

#define monotime_now	fake_now
#define poll		fake_poll
#define send		fake_send
#define sendmsg		fake_sendmsg
#define recvfrom	fake_recvfrom
#define mnl_socket_sendto fake_mnl_send
#define mnl_socket_recvfrom fake_mnl_recv
#define mnl_socket_open2 fake_open
#define mnl_socket_close fake_close
#define mnl_socket_bind	fake_bind
#define mnl_socket_get_fd fake_fd
#define mnl_socket_get_portid fake_portid
#define mnl_socket_setsockopt fake_set

#include "../../common/os/kif_linux.c"
#include "../../common/os/netlink.c"

#define QUEUE		32		/* datagrams */
#define DATAGRAM	4096
#define LINKS		8		/* interfaces that are followed */

static struct {
	size_t		 n, next;
	struct {
		size_t	 len;		/* 0: some were lost here */
		bool	 elsewhere;
		uint8_t	 data[DATAGRAM];
	}		 d[QUEUE];
}			 queue;
static monotime_t	 now;
static uint32_t		 asked;		/* number of the last request */
static bool		 there[LINKS];	/* told */

static monotime_t
fake_now(void)
{
	return (now);
}

/* Nothing comes: time passes. */
static int
fake_poll(struct pollfd *p, nfds_t n, int ms)
{
	(void)p;
	assert(n == 1 && ms > 0 && ms <= 1001);
	if (queue.next < queue.n)
		return (1);
	now = monotime_add(now, ms * MONOTIME_MSEC);
	return (0);
}

static void
request_seen(const struct nlmsghdr *h, size_t len)
{
	assert(len >= sizeof(*h) && h->nlmsg_len >= sizeof(*h) &&
	    h->nlmsg_len <= len);
	assert(h->nlmsg_flags & NLM_F_REQUEST);
	asked = h->nlmsg_seq;
}

static ssize_t
fake_send(int fd, const void *buf, size_t len, int flags)
{
	(void)fd;
	(void)flags;
	request_seen(buf, len);
	return ((ssize_t)len);
}

static ssize_t
fake_sendmsg(int fd, const struct msghdr *m, int flags)
{
	size_t	 i;

	(void)fd;
	(void)flags;
	for (i = 0; i < m->msg_iovlen; i++)
		request_seen(m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
	return (1);
}

static ssize_t
fake_recvfrom(int fd, void *buf, size_t len, int flags,
    struct sockaddr *from, socklen_t *fromlen)
{
	struct sockaddr_nl	 sa = { .nl_family = AF_NETLINK };
	size_t			 n;

	(void)fd;
	(void)flags;
	if (queue.next == queue.n) {
		queue.next = queue.n = 0;
		errno = EAGAIN;
		return (-1);
	}
	if ((n = queue.d[queue.next].len) == 0) {
		queue.next++;
		errno = ENOBUFS;
		return (-1);
	}
	sa.nl_pid = queue.d[queue.next].elsewhere;
	if (from != NULL) {
		assert(*fromlen >= sizeof(sa));
		memcpy(from, &sa, sizeof(sa));
	}
	assert(n <= len);
	memcpy(buf, queue.d[queue.next].data, n);
	queue.next++;
	return ((ssize_t)n);
}

static ssize_t
fake_mnl_send(const struct mnl_socket *s, const void *buf, size_t len)
{
	return (fake_send(fake_fd(s), buf, len, 0));
}

static ssize_t
fake_mnl_recv(const struct mnl_socket *s, void *buf, size_t len)
{
	return (fake_recvfrom(fake_fd(s), buf, len, 0, NULL, NULL));
}

static struct mnl_socket *
fake_open(int bus, int flags)
{
	(void)bus;
	(void)flags;
	return ((struct mnl_socket *)(intptr_t)1);
}

static int
fake_close(struct mnl_socket *s)
{
	(void)s;
	return (0);
}

static int
fake_bind(struct mnl_socket *s, unsigned int groups, pid_t pid)
{
	(void)s;
	(void)groups;
	(void)pid;
	return (0);
}

static int
fake_fd(const struct mnl_socket *s)
{
	(void)s;
	return (-1);
}

static unsigned int
fake_portid(const struct mnl_socket *s)
{
	(void)s;
	return (70);
}

static int
fake_set(const struct mnl_socket *s, int type, void *buf, socklen_t len)
{
	(void)s;
	(void)type;
	(void)buf;
	(void)len;
	return (0);
}

/* ---- what a kernel says ---- */

/* Messages until the input of this step ends: length 0. */
static size_t
make_messages(struct rbuf *in, uint8_t *out, size_t size, bool right)
{
	static const uint16_t	 types[] = { RTM_NEWLINK, RTM_DELLINK,
	    RTM_NEWADDR, RTM_DELADDR, RTM_DELTFILTER, RTM_DELQDISC,
	    NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP };
	struct nlmsghdr		 h;
	size_t			 used = 0, n;
	uint8_t			 flags;

	while (rbuf_left(in) > 2) {
		memset(&h, 0, sizeof(h));
		h.nlmsg_type = types[rbuf_u8(in) % (sizeof(types) /
		    sizeof(types[0]))];
		flags = rbuf_u8(in);
		h.nlmsg_flags = (flags & 1 ? NLM_F_MULTI : 0) |
		    (flags & 2 ? NLM_F_DUMP_INTR : 0);
		h.nlmsg_seq = right ? asked - (flags >> 2) : 0;
		if ((n = rbuf_u8(in)) > rbuf_left(in))
			n = rbuf_left(in);
		if (used + sizeof(h) + MNL_ALIGN(n) > size)
			break;
		h.nlmsg_len = (uint32_t)(sizeof(h) + n);
		memcpy(out + used, &h, sizeof(h));
		rbuf_bytes(in, out + used + sizeof(h), n);
		used += sizeof(h) + MNL_ALIGN(n);
		if (n == 0)
			break;
	}
	return (used);
}

static void
datagram(struct rbuf *in, uint8_t what)
{
	size_t	 i = queue.n;

	if (i == QUEUE)
		return;
	memset(queue.d[i].data, 0, DATAGRAM);
	queue.d[i].len = make_messages(in, queue.d[i].data, DATAGRAM,
	    what & 4);
	queue.d[i].elsewhere = what & 8;
	queue.n += queue.d[i].len != 0;
}

/* ---- what is told ---- */

static void
addr_ok(const struct ipaddr *a)
{
	assert((a->af == AF_INET && a->plen <= 32) ||
	    (a->af == AF_INET6 && a->plen <= 128));
}

static void
told(const struct kif_event *e, void *arg)
{
	bool	*link = e->ifindex >= 0 && e->ifindex < LINKS ?
	    &there[e->ifindex] : NULL;

	assert(arg == &queue);
	assert(memchr(e->ifname, '\0', sizeof(e->ifname)) != NULL);
	switch (e->type) {
	case KIF_LINK:
		assert(!e->running || e->up);
		assert(!e->bridge || !e->macvlan);
		if (link != NULL)
			*link = true;
		return;
	case KIF_GONE:
		assert(link == NULL || *link);
		if (link != NULL)
			*link = false;
		return;
	case KIF_ADDR_ADD:
	case KIF_ADDR_DEL:
		assert(link == NULL || *link);
		addr_ok(&e->addr);
		return;
	case KIF_TC:
		assert(link == NULL || *link);
		return;
	case KIF_OVERRUN:
		return;
	}
	assert(0);
}

static void
interfaces(struct rbuf *in)
{
	struct kif	*k = kif_from_fd(-1, told, &queue);
	uint8_t		 what;

	assert(k != NULL);
	while (rbuf_left(in) > 0) {
		what = rbuf_u8(in);
		switch (what % 4) {
		case 0:
			datagram(in, what);
			break;
		case 1:
			kif_read(k);
			break;
		case 2:
			if (queue.n < QUEUE)
				queue.d[queue.n++].len = 0;
			break;
		default:
			assert(kif_dump(k) == 0);
		}
	}
	while (queue.next < queue.n)
		kif_read(k);
	kif_each_addr(k, told, &queue);
	kif_free(k);
}

/* ---- requests ---- */

static int
answered(const struct nlmsghdr *h, void *arg)
{
	assert(arg == &queue && h->nlmsg_type >= NLMSG_MIN_TYPE);
	errno = h->nlmsg_len % 8 == 7 ? EPERM : 0;
	return (h->nlmsg_len % 8 == 6 ? MNL_CB_STOP :
	    h->nlmsg_len % 8 == 7 ? MNL_CB_ERROR : MNL_CB_OK);
}

static void
requests(struct rbuf *in, uint8_t what)
{
	struct nlmsghdr	 h[4] = { { .nlmsg_len = sizeof(h[0]) } }, *many[4];
	static const uint32_t	 last[] = { 1, 1, 4, 2 };
	struct netlink	*n = netlink_open(NETLINK_ROUTE, 0);
	int		 error[4];
	size_t		 i;

	assert(n != NULL);
	/* the number that the last request of the first round will have */
	asked = last[what % 4];
	while (rbuf_left(in) > 0 && queue.n < QUEUE)
		datagram(in, rbuf_u8(in));
	for (i = 0; i < 4; i++) {
		h[i] = h[0];
		many[i] = &h[i];
	}
	switch (what % 4) {
	case 0:
		(void)netlink_talk(n, h);
		break;
	case 1:
		(void)netlink_dump(n, h, answered, &queue);
		break;
	case 2:
		if (netlink_talk_many(n, many, 4, error) == 0)
			for (i = 0; i < 4; i++)
				assert(error[i] >= 0);
		break;
	default:
		(void)netlink_talk_after(n, h, h + 1);
	}
	netlink_close(n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rbuf	 in;
	uint8_t		 what;

	queue.n = queue.next = asked = 0;
	now.ns = MONOTIME_SEC;
	memset(there, 0, sizeof(there));
	rbuf_init(&in, data, size);
	what = rbuf_u8(&in);
	if (what & 1)
		requests(&in, what >> 1);
	else
		interfaces(&in);
	return (0);
}
