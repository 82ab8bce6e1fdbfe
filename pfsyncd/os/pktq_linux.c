/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: packets are held by nfnetlink_queue
 * (<linux/netfilter/nfnetlink_queue.h>), told of without their bytes
 * (NFQNL_COPY_META), but with what conntrack has of their connection
 * (NFQA_CT), so that nothing of the network is parsed here.  What the kernel
 * does not document and we rely on, tried on Linux 6.1:
 *
 * - The connection of a first packet is in no table before the last hook has
 *   let the packet pass, so ctnetlink does not know it.  NFQA_CT tells all the
 *   same of it: behind source NAT with its translated reply tuple, with its
 *   timeout, and with the number (CTA_ID) that its NEW event will have.
 * - A queue that was bound and not set up drops packets: one message does
 *   both.
 * - A packet for a queue that is full, or whose socket is, goes on
 *   (NFQA_CFG_F_FAIL_OPEN).  One for a queue that nobody has goes on if its
 *   rule says bypass.  What is queued when the socket is closed is dropped.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/os/netlink.h"
#include "ctattr.h"
#include "pktq.h"

#define QUEUE_LEN	1024		/* packets in the kernel, at most */
#define RCVBUF		(4 * 1024 * 1024)
#define RX_MSGS		32		/* datagrams of one recvmmsg(2) */
#define RX_LEN		2048		/* IPv6, with helper and labels: 600 */
#define VERDICTS	128		/* in one system call */
#define VERDICT_LEN	32
#define FAR		(1U << 30)	/* beyond the last packet queued */

#define QUEUE_MSG(m)	((NFNL_SUBSYS_QUEUE << 8) | (m))

_Static_assert(sizeof(struct pktq_packet) == 104, "crosses processes");

struct pktq {
	struct mnl_socket *sock;
	void		(*cb)(const struct pktq_packet *, void *); /* open */
	void		*arg;
	uint32_t	 last;		/* id of the packet read last */
	size_t		 used;		/* of tx */
	struct mmsghdr	 msg[RX_MSGS];
	struct iovec	 iov[RX_MSGS];
	_Alignas(8) uint8_t rx[RX_MSGS][RX_LEN];
	_Alignas(8) uint8_t tx[VERDICTS * VERDICT_LEN];
};

static struct nlmsghdr *
put_begin(void *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr	*h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg	*g;

	h->nlmsg_type = QUEUE_MSG(type);
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(PKTQ_NUMBER);
	return (h);
}

/* -- verdicts -- */

static void
put_verdict(struct pktq *q, uint16_t type, uint32_t id)
{
	const struct nfqnl_msg_verdict_hdr	 v = {
		htonl(NF_ACCEPT), htonl(id)
	};
	struct nlmsghdr				*h;

	if (q->used + VERDICT_LEN > sizeof(q->tx))
		pktq_flush(q);
	h = put_begin(q->tx + q->used, type, 0);
	mnl_attr_put(h, NFQA_VERDICT_HDR, sizeof(v), &v);
	q->used += h->nlmsg_len;
}

void
pktq_pass(struct pktq *q, uint32_t id)
{
	put_verdict(q, NFQNL_MSG_VERDICT, id);
}

void
pktq_flush(struct pktq *q)
{
	if (q->used == 0)
		return;
	while (mnl_socket_sendto(q->sock, q->tx, q->used) == -1 &&
	    errno == EINTR)
		;
	q->used = 0;
}

/* -- packets -- */

/* A new flow's, and we can tell of it? */
static bool
get_packet(const struct nlmsghdr *h, size_t len, struct pktq_packet *p)
{
	const size_t		 head = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	const uint8_t		*b = (const uint8_t *)h;
	struct ctattr_span	 s = { b + head, 0 };
	struct ctattr		 a;
	bool			 isnew = false, known = false;

	s.left = (h->nlmsg_len < len ? h->nlmsg_len : len) - head;
	while (ctattr_next(&s, &a)) {
		switch (a.type) {
		case NFQA_PACKET_HDR:
			p->id = ctattr_be32(&a);
			break;
		case NFQA_CT:
			known = ctattr_flow((struct ctattr_span){ a.data,
			    a.len }, b[NLMSG_HDRLEN], &p->f, &p->ctid);
			break;
		case NFQA_CT_INFO:
			isnew = ctattr_be32(&a) == IP_CT_NEW;
			break;
		}
	}
	return (known && isnew && (p->f.status & FLOW_SEEN_REPLY) == 0);
}

/* An answer's error, as a number of errno(2); 0 for what is a packet. */
static int
take(struct pktq *q, const struct nlmsghdr *h, size_t len, bool *answer)
{
	struct pktq_packet	 p;
	int			 error;

	*answer = h->nlmsg_type == NLMSG_ERROR;
	if (*answer) {
		if (len < NLMSG_HDRLEN + sizeof(error))
			return (EPROTO);
		memcpy(&error, (const uint8_t *)h + NLMSG_HDRLEN,
		    sizeof(error));
		return (netlink_errno(error));
	}
	if (h->nlmsg_type != QUEUE_MSG(NFQNL_MSG_PACKET) ||
	    len < NLMSG_HDRLEN + sizeof(struct nfgenmsg) ||
	    h->nlmsg_len < NLMSG_HDRLEN + sizeof(struct nfgenmsg))
		return (0);
	memset(&p, 0, sizeof(p));
	if (!get_packet(h, len, &p) || q->cb == NULL)
		pktq_pass(q, p.id);
	else {
		if (p.f.timeout == 0)
			p.f.timeout = 1;	/* the kernel rounds down */
		q->cb(&p, q->arg);
	}
	q->last = p.id;
	return (0);
}

size_t
pktq_read(struct pktq *q, size_t max)
{
	size_t	 done = 0;
	int	 i, n, want;
	bool	 answer;

	while (done < max) {
		want = max - done < RX_MSGS ? (int)(max - done) : RX_MSGS;
		n = recvmmsg(mnl_socket_get_fd(q->sock), q->msg,
		    (unsigned int)want, MSG_DONTWAIT, NULL);
		if (n == -1 && errno == EINTR)
			continue;
		/* a verdict on what has gone is an error of no interest */
		for (i = 0; i < n; i++)
			(void)take(q, (const void *)q->rx[i],
			    q->msg[i].msg_len, &answer);
		done += n > 0 ? (size_t)n : 0;
		if (n < want)
			break;
	}
	return (done);
}

/* -- life -- */

static int
send_config(struct pktq *q)
{
	const struct nfqnl_msg_config_cmd	 cmd = {
		.command = NFQNL_CFG_CMD_BIND
	};
	const struct nfqnl_msg_config_params	 params = {
		.copy_mode = NFQNL_COPY_META
	};
	/* one of a large datagram is one, and not its segments */
	const uint32_t				 flags = NFQA_CFG_F_CONNTRACK |
	    NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO;
	struct nlmsghdr				*h;

	h = put_begin(q->tx, NFQNL_MSG_CONFIG, NLM_F_ACK);
	mnl_attr_put(h, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(h, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(h, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LEN));
	mnl_attr_put_u32(h, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(h, NFQA_CFG_MASK, htonl(flags));
	return (mnl_socket_sendto(q->sock, h, h->nlmsg_len) == -1 ? -1 : 0);
}

/* Packets may come before the answer, which is there when it was sent. */
static int
configure(struct pktq *q)
{
	const struct nlmsghdr	*h = (const void *)q->rx[0];
	bool			 answer = false;
	int			 error = 0;
	ssize_t			 n;

	if (send_config(q) == -1)
		return (errno);
	while (!answer && error == 0) {
		n = recv(mnl_socket_get_fd(q->sock), q->rx[0], RX_LEN,
		    MSG_DONTWAIT);
		if (n == -1 && errno != EINTR)
			return (errno);
		if (n >= (ssize_t)NLMSG_HDRLEN)
			error = take(q, h, (size_t)n, &answer);
	}
	return (error);
}

static const char *
why_not(int error)
{
	switch (error) {
	case EOPNOTSUPP:
		return ("this kernel's nfnetlink_queue does not tell of "
		    "connections (CONFIG_NETFILTER_NETLINK_GLUE_CT)");
	case EINVAL:
		return ("this kernel has no nfnetlink_queue "
		    "(CONFIG_NETFILTER_NETLINK_QUEUE)");
	case EBUSY:
	case EPERM:
		return ("another program has queue 240 of nfnetlink_queue");
	default:
		return (strerror(error));
	}
}

static int
open_queue(struct pktq *q)
{
	int	 on = 1, size = RCVBUF, fd;

	if ((q->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC |
	    SOCK_NONBLOCK)) == NULL ||
	    mnl_socket_bind(q->sock, 0, MNL_SOCKET_AUTOPID) == -1)
		return (errno);
	fd = mnl_socket_get_fd(q->sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)
		return (errno);
	/* what does not fit goes on: nobody need hear of it */
	(void)mnl_socket_setsockopt(q->sock, NETLINK_NO_ENOBUFS, &on,
	    sizeof(on));
	(void)mnl_socket_setsockopt(q->sock, NETLINK_CAP_ACK, &on,
	    sizeof(on));
	return (configure(q));
}

struct pktq *
pktq_open(void (*cb)(const struct pktq_packet *p, void *arg), void *arg,
    const char **why)
{
	struct pktq	*q;
	size_t		 i;
	int		 error;

	if ((q = calloc(1, sizeof(*q))) == NULL) {
		*why = strerror(errno);
		return (NULL);
	}
	for (i = 0; i < RX_MSGS; i++) {
		q->iov[i].iov_base = q->rx[i];
		q->iov[i].iov_len = RX_LEN;
		q->msg[i].msg_hdr.msg_iov = &q->iov[i];
		q->msg[i].msg_hdr.msg_iovlen = 1;
	}
	if ((error = open_queue(q)) == 0) {
		pktq_flush(q);
		q->cb = cb;
		q->arg = arg;
		return (q);
	}
	*why = why_not(error);
	if (q->sock != NULL)
		mnl_socket_close(q->sock);
	free(q);
	return (NULL);
}

void
pktq_close(struct pktq *q)
{
	if (q == NULL)
		return;
	put_verdict(q, NFQNL_MSG_VERDICT_BATCH, q->last + FAR);
	pktq_flush(q);
	mnl_socket_close(q->sock);
	free(q);
}

int
pktq_fd(const struct pktq *q)
{
	return (mnl_socket_get_fd(q->sock));
}
