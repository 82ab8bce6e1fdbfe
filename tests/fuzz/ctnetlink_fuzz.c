/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as what a kernel says to pfsyncd/os/statetbl_linux.c, whose system
 * calls end here: events, parts of dumps, answers to its requests, lost ones.
 * What is told is well-formed, every operation comes to an end and is told at
 * most once, and what is asked for is a row of whole messages.
 *
 *	step	what (% STEPS), then as each step says below
 *	message	a byte: bits 0-2 which, 3: number put right, 4: of the
 *		kernel's own port; then as make_message() says
 */
#undef NDEBUG

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the system calls ---- */

static struct mnl_socket *fake_open(int bus, int flags);
static void	 fake_close(struct mnl_socket *s);
static int	 fake_bind(struct mnl_socket *s, unsigned int groups,
		    pid_t pid);
static int	 fake_fd(const struct mnl_socket *s);
static unsigned int fake_portid(const struct mnl_socket *s);
static int	 fake_mnl_set(const struct mnl_socket *s, int type, void *buf,
		    socklen_t len);
static int	 fake_set(int fd, int level, int name, const void *val,
		    socklen_t len);
static ssize_t	 fake_mnl_send(const struct mnl_socket *s, const void *buf,
		    size_t len);
static ssize_t	 fake_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *to, socklen_t tolen);
static ssize_t	 fake_recv(int fd, void *buf, size_t len, int flags);
static int	 fake_recvmmsg(int fd, struct mmsghdr *m, unsigned int n,
		    int flags, struct timespec *timeout);

#define mnl_socket_open2 fake_open
#define mnl_socket_close fake_close
#define mnl_socket_bind	fake_bind
#define mnl_socket_get_fd fake_fd
#define mnl_socket_get_portid fake_portid
#define mnl_socket_setsockopt fake_mnl_set
#define mnl_socket_sendto fake_mnl_send
#define setsockopt	fake_set
#define sendto		fake_sendto
#define recv		fake_recv
#define recvmmsg	fake_recvmmsg
#include "../../pfsyncd/os/statetbl_linux.c"
#include "../../common/ibuf.h"
#include "fuzzflow.h"

#define STEPS		6
#define QUEUE		64		/* datagrams of a socket */
#define DATAGRAM	2048
#define OPS		16		/* of one batch */
#define PORTID		70
enum { FD_NONE, FD_OPS, FD_DUMPS, FD_EV, FD_MAX };	/* as opened */

static struct rbuf	 in;
static int		 opened;
static struct queue {
	size_t		 n, next;
	size_t		 len[QUEUE];	/* 0: some were lost here */
	uint8_t		 data[QUEUE][DATAGRAM];
}			 queue[FD_MAX];
static size_t		 results;
static struct statetbl	*tbl;

static struct mnl_socket *
fake_open(int bus, int flags)
{
	assert(bus == NETLINK_NETFILTER && flags & SOCK_NONBLOCK);
	return ((struct mnl_socket *)(intptr_t)++opened);
}

static void
fake_close(struct mnl_socket *s)
{
	(void)s;
	opened--;
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
	return ((int)(intptr_t)s);
}

static unsigned int
fake_portid(const struct mnl_socket *s)
{
	return (PORTID + (unsigned int)fake_fd(s));
}

static int
fake_mnl_set(const struct mnl_socket *s, int type, void *buf, socklen_t len)
{
	return (fake_set(fake_fd(s), SOL_NETLINK, type, buf, len));
}

static int
fake_set(int fd, int level, int name, const void *val, socklen_t len)
{
	(void)fd;
	(void)level;
	(void)name;
	(void)val;
	(void)len;
	return (0);
}

/* NULL: it is full, and the kernel says so. */
static uint8_t *
enqueue(int fd, size_t len)
{
	struct queue	*q = &queue[fd];

	if (q->n == QUEUE)
		return (NULL);
	q->len[q->n] = len;
	return (q->data[q->n++]);
}

static ssize_t
fake_recv(int fd, void *data, size_t len, int flags)
{
	struct queue	*q = &queue[fd];
	size_t		 n;

	(void)flags;
	if (q->next == q->n) {
		q->next = q->n = 0;
		errno = EAGAIN;
		return (-1);
	}
	n = q->len[q->next++];
	if (n == 0) {
		errno = ENOBUFS;
		return (-1);
	}
	memcpy(data, q->data[q->next - 1], n < len ? n : len);
	return ((ssize_t)(n < len ? n : len));
}

static int
fake_recvmmsg(int fd, struct mmsghdr *m, unsigned int n, int flags,
    struct timespec *timeout)
{
	unsigned int	 i;
	ssize_t		 len;

	(void)timeout;
	for (i = 0; i < n; i++) {
		len = fake_recv(fd, m[i].msg_hdr.msg_iov->iov_base,
		    m[i].msg_hdr.msg_iov->iov_len, flags);
		if (len == -1 && i == 0)
			return (-1);
		if (len == -1) {
			/* told by the next call */
			queue[fd].next -= errno == ENOBUFS;
			break;
		}
		m[i].msg_len = (unsigned int)len;
	}
	return ((int)i);
}

/* ---- what a kernel says ---- */

static uint8_t *
put_flow(uint8_t *p, const struct flow *f)
{
	p = put_tuple(p, CTA_TUPLE_ORIG, f, &f->orig);
	p = put_tuple(p, CTA_TUPLE_REPLY, f, &f->reply);
	p = put_be32(p, CTA_STATUS, f->status | IPS_CONFIRMED);
	p = put_be32(p, CTA_TIMEOUT, f->timeout);
	if (f->proto == IPPROTO_TCP)
		p = put_tcp(p, f, false);
	p = put_be32(p, CTA_ID, f->orig.sport);
	return (put_zone(p, f));
}

static uint8_t *
put_error(uint8_t *p, uint16_t type, int error)
{
	const struct nlmsghdr	 h = { .nlmsg_type = type };
	const int		 err = error == INT_MIN ? error : -error;

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), &err, sizeof(err));
	return (p + sizeof(h) + sizeof(err));
}

/*
 * 0	an error, or nonsense: which
 * 1	the end of a dump: error
 * 2	an entry: flow, condition
 * 3	the same, gone
 * 4	the same, new
 * 5	an entry, and so many bytes for more attributes; 6 gone
 * 7	so many bytes
 */
static uint8_t *
make_message(uint8_t *msg, uint8_t what)
{
	static const int	 errors[] = { 0, EEXIST, ENOENT, ETIME, EBUSY,
	    ENOMEM, ENOSPC, INT_MIN };	/* no error number */
	uint16_t		 flags = what % 8 == 4 ? NLM_F_CREATE : 0;
	struct flow		 f;
	uint8_t			*p, n, v;
	size_t			 more;

	n = rbuf_u8(&in);
	if (what % 8 < 2)
		return (put_error(msg, what % 8 == 0 ? NLMSG_ERROR :
		    NLMSG_DONE, errors[n % 8]));
	p = msg;
	if (what % 8 < 7) {
		v = rbuf_u8(&in);
		fuzz_flow(n, v, &f);
		p = put_begin(msg, what % 8 == 3 || what % 8 == 6 ?
		    IPCTNL_MSG_CT_DELETE : IPCTNL_MSG_CT_NEW, flags, 0,
		    family(&f));
		if (what % 8 < 5)
			return (put_flow(p, &f));
		n = rbuf_u8(&in);
	}
	more = n < rbuf_left(&in) ? n : rbuf_left(&in);
	rbuf_bytes(&in, p, more);
	return (p + more);
}

/* One datagram for fd; right: the number that an answer has. */
static void
say(int fd, uint32_t right)
{
	static uint8_t	 buf[DATAGRAM];
	uint8_t		 what = rbuf_u8(&in), *end, *to;
	struct nlmsghdr	 h;
	size_t		 len;

	memset(buf, 0, sizeof(h));
	end = make_message(buf, what);
	len = (size_t)(end - buf);
	if (len >= sizeof(h) && what % 8 != 7) {
		memcpy(&h, buf, sizeof(h));
		h.nlmsg_len = (uint32_t)len;
		h.nlmsg_seq = right - (what & 0x8 ? rbuf_u8(&in) : 0);
		h.nlmsg_pid = what & 0x10 ? PORTID + FD_OPS : what & 0x20 ? 5 : 0;
		h.nlmsg_flags |= what & 0x40 ? NLM_F_DUMP_INTR : 0;
		memcpy(buf, &h, sizeof(h));
	}
	if (len > 0 && (to = enqueue(fd, len)) != NULL)
		memcpy(to, buf, len);
}

/* The kernel carries requests out one by one and answers each. */
static ssize_t
fake_sendto(int fd, const void *data, size_t len, int flags,
    const struct sockaddr *to, socklen_t tolen)
{
	const uint8_t	*p = data, *end = p + len;
	struct nlmsghdr	 h;

	(void)flags;
	(void)to;
	(void)tolen;
	assert(len > 0 && (fd == FD_OPS || fd == FD_DUMPS));
	for (; p < end; p += h.nlmsg_len) {
		memcpy(&h, p, sizeof(h));
		assert(h.nlmsg_len >= NLMSG_HDRLEN + sizeof(struct nfgenmsg));
		assert(h.nlmsg_len <= (size_t)(end - p));
		assert(h.nlmsg_len % 4 == 0 && h.nlmsg_len <= MSG_LARGEST);
		assert(h.nlmsg_flags & NLM_F_REQUEST);
		if (fd == FD_OPS)
			say(fd, h.nlmsg_seq);
	}
	return ((ssize_t)len);
}

static ssize_t
fake_mnl_send(const struct mnl_socket *s, const void *data, size_t len)
{
	return (fake_sendto(fake_fd(s), data, len, 0, NULL, 0));
}

/* ---- what is told of it ---- */

static void
told_event(const struct statetbl_event *e, void *arg)
{
	(void)arg;
	assert(e->type < STATETBL_EV_MAX);
	assert((e->flags & ~STATETBL_EV_FOREIGN) == 0);
	assert(flow_check(&e->f, e->type == STATETBL_DESTROY) == NULL);
	assert(e->dump == 0 || e->type == STATETBL_DUMP);
}

static void
told_result(const struct statetbl_result *r, void *arg)
{
	(void)arg;
	assert(r->error > STATETBL_OK && r->error < STATETBL_ERROR_MAX);
	assert(r->type < STATETBL_OP_MAX && r->err > 0);
	assert(r->error != STATETBL_CLASH || flow_check(&r->other, true) ==
	    NULL);
	results++;
}

static void
told_overrun(void *arg)
{
	(void)arg;
}

static void
told_dumped(uint32_t dump, bool complete, void *arg)
{
	(void)arg;
	(void)complete;
	assert(dump != 0);
}

/* ---- steps ---- */

/* how many; of each: type, flow, condition */
static void
step_ops(void)
{
	struct statetbl_op	 op[OPS];
	size_t			 i, n = 1 + rbuf_u8(&in) % OPS;
	uint8_t			 type;

	memset(op, 0, sizeof(op));
	for (i = 0; i < n; i++) {
		type = rbuf_u8(&in);
		op[i].type = type % STATETBL_OP_MAX;
		op[i].flags = type & 0x40 ? STATETBL_OP_LIBERAL : 0;
		op[i].ctid = type & 0x80 ? 1 : 0;
		fuzz_flow(rbuf_u8(&in), rbuf_u8(&in), &op[i].f);
	}
	results = 0;
	statetbl_ops(tbl, op, n);
	assert(results <= n);
}

static void
step(void)
{
	struct statetbl_stats	 stats;
	uint8_t			 what = rbuf_u8(&in);

	switch (what % STEPS) {
	case 0:
		say(FD_EV, 0);
		return;
	case 1:
		say(FD_DUMPS, tbl->dump_seq);
		return;
	case 2:
		if (what & 0x10)
			(void)enqueue(FD_EV, 0);
		assert(statetbl_read(tbl, 1 + what / STEPS) <=
		    1U + what / STEPS);
		return;
	case 3:
		if (what & 0x10)
			(void)statetbl_dump(tbl, 1 + what, what & 0x20 ?
			    STATETBL_ALL : STATETBL_NOT_TCP);
		else
			statetbl_dump_read(tbl);
		return;
	case 4:
		step_ops();
		return;
	default:
		statetbl_watch_new(tbl, what & 0x10);
		statetbl_stats(tbl, &stats);
		return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct statetbl_cbs	 cbs = { told_event,
	    told_result, told_overrun, told_dumped, NULL };
	static const uint8_t			 yes[2];	/* error 0 */
	int					 i;

	opened = 0;
	for (i = 0; i < FD_MAX; i++)
		queue[i].n = queue[i].next = 0;
	rbuf_init(&in, yes, sizeof(yes));
	tbl = statetbl_open(0, &cbs);
	assert(tbl != NULL);
	rbuf_init(&in, data, size);
	while (rbuf_left(&in) > 0)
		step();
	while (statetbl_read(tbl, QUEUE) > 0)
		;
	statetbl_close(tbl);
	assert(opened == 0);
	return (0);
}
