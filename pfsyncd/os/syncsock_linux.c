/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: datagrams of protocol 240.  Multicast is sent and received with a
 * packet socket, in front of netfilter; what its filter lets through is peeled
 * and checked again here.  Unicast is the business of a raw socket, of which
 * the kernel builds the header: with IP_HDRINCL it would look for an IPsec
 * policy for another protocol (before 6.4) and measure a datagram by the
 * device instead of by the tunnel.  All memory is allocated with the socket.
 * packet(7), raw(7), ipv6(7), recvmmsg(2), <linux/filter.h>.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netpacket/packet.h>

#include <linux/filter.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/hmac.h"
#include "../../common/log.h"
#include "../../common/wire/frame.h"
#include "../../common/wire/pfsync.h"
#include "syncsock.h"

#ifndef IP_RECVFRAGSIZE
#define IP_RECVFRAGSIZE		25	/* <linux/in.h> */
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE	77	/* <linux/in6.h> */
#endif

#define RCVBUF		(8 * 1024 * 1024)
#define SNDBUF		(1024 * 1024)	/* a batch of long datagrams */
#define PRIORITY	6		/* TC_PRIO_INTERACTIVE: TOS 0x10 */
#define IP4_FRAGMENT	0x3fff		/* more fragments, or an offset */
#define IP_MAX		65535
#define ROOM_MIN	512		/* however often EMSGSIZE comes */
#define ROOM_STEP	40		/* of the headers of a tunnel */
#define SLOT_MIN	2048		/* of a received datagram */
#define CONTROL_LEN	128


/* frame.h wants a frame, so there is room for its head before the packet. */
#define ETH		FRAME_ETH_LEN

struct rx_slot {
	struct iovec	 iov;
	struct sockaddr_in6 from;
	union {
		struct cmsghdr	 align;
		uint8_t		 buf[CONTROL_LEN];
	}		 control;
};

struct syncsock {
	int		 fd;
	enum sync_sock	 kind;
	struct ipaddr	 src;
	uint32_t	 rnd;		/* of the next IP id */
	size_t		 room;
	size_t		 txsize, rxsize;	/* bytes of a slot */
	size_t		 ntx;		/* queued */
	uint8_t		*tx, *rx;
	struct frame_meta meta;
	socklen_t	 tolen;
	union {
		struct sockaddr		 sa;
		struct sockaddr_ll	 ll;
		struct sockaddr_in	 in;
		struct sockaddr_in6	 in6;
	}		 to;
	struct mmsghdr	 txmsg[SYNCSOCK_BATCH], rxmsg[SYNCSOCK_BATCH];
	struct iovec	 txiov[SYNCSOCK_BATCH];
	struct rx_slot	 rxslot[SYNCSOCK_BATCH];
};

enum sync_sock
syncsock_kind(const struct ipaddr *dst)
{
	if (dst->af == AF_INET6)
		return (SYNC_SOCK_RAW6);
	return (ipaddr_is_multicast(dst) ? SYNC_SOCK_PACKET : SYNC_SOCK_RAW4);
}

/* ---- opening ---- */

/* close() that leaves errno alone; always -1 */
static int
give_up(int fd)
{
	int	 saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
	return (-1);
}

static int
set(int fd, int level, int option, int value)
{
	return (setsockopt(fd, level, option, &value, sizeof(value)));
}

/* Forced, or what the system's limit leaves of it. */
static void
set_buffers(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF) == -1)
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, RCVBUF);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SNDBUF) == -1)
		(void)set(fd, SOL_SOCKET, SO_SNDBUF, SNDBUF);
}

/* Attach a filter that nobody, with whatever right, detaches again. */
static int
lock_filter(int fd, struct sock_filter *insns, unsigned short n)
{
	struct sock_fprog	 prog = { n, insns };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) == -1)
		return (-1);
	return (set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1));
}

#define LOAD(size, at)	{ BPF_LD | (size) | BPF_ABS, 0, 0, (uint32_t)(at) }
#define IS(value, yes, no) { BPF_JMP | BPF_JEQ | BPF_K, yes, no, (value) }
#define ANY(mask, yes, no) { BPF_JMP | BPF_JSET | BPF_K, yes, no, (mask) }
#define RETURN(n)	{ BPF_RET | BPF_K, 0, 0, (n) }
#define NELEM(a)	(sizeof(a) / sizeof((a)[0]))

/* An address as the filter compares it: the words of the packet. */
static uint32_t
word(const struct ipaddr *a, size_t i)
{
	const uint8_t	*p = a->bytes + 4 * i;

	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3]);
}

/*
 * The frame's head is gone, so offsets are those of the IP header.  A VLAN's
 * frames pass by here with their tag taken out, or already as those of the
 * VLAN interface.
 */
static int
filter_packet(int fd, int ifindex, const struct ipaddr *group)
{
	struct sock_filter	 insns[] = {
		LOAD(BPF_W, SKF_AD_OFF + SKF_AD_IFINDEX),
		IS((uint32_t)ifindex, 0, 14),
		LOAD(BPF_W, SKF_AD_OFF + SKF_AD_VLAN_TAG),
		ANY(0xfff, 12, 0),
		LOAD(BPF_B, 0),
		{ BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf0 },
		IS(4 << 4, 0, 9),
		LOAD(BPF_B, 9),
		IS(PFSYNC_PROTO, 0, 7),
		LOAD(BPF_H, 6),
		ANY(IP4_FRAGMENT, 5, 0),
		LOAD(BPF_W, SKF_AD_OFF + SKF_AD_PKTTYPE),
		IS(PACKET_OTHERHOST, 3, 0),
		IS(PACKET_BROADCAST, 3, 0),
		LOAD(BPF_W, 16),
		IS(word(group, 0), 1, 0),
		RETURN(0),
		RETURN(UINT32_MAX)
	};

	return (lock_filter(fd, insns, NELEM(insns)));
}

/* Nobody but the syncpeer fills our buffer. */
static int
filter_peer4(int fd, const struct ipaddr *peer)
{
	struct sock_filter	 insns[] = {
		LOAD(BPF_W, SKF_NET_OFF + 12),
		IS(word(peer, 0), 1, 0),
		RETURN(0),
		RETURN(UINT32_MAX)
	};

	return (lock_filter(fd, insns, NELEM(insns)));
}

static int
filter_peer6(int fd, const struct ipaddr *peer)
{
	struct sock_filter	 insns[] = {
		LOAD(BPF_W, SKF_NET_OFF + 8),
		IS(word(peer, 0), 0, 6),
		LOAD(BPF_W, SKF_NET_OFF + 12),
		IS(word(peer, 1), 0, 4),
		LOAD(BPF_W, SKF_NET_OFF + 16),
		IS(word(peer, 2), 0, 2),
		LOAD(BPF_W, SKF_NET_OFF + 20),
		IS(word(peer, 3), 1, 0),
		RETURN(0),
		RETURN(UINT32_MAX)
	};

	return (lock_filter(fd, insns, NELEM(insns)));
}

static int
new_socket(int af, int type, int proto)
{
	return (socket(af, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto));
}

/* A raw socket that takes nothing but is a member of the group. */
static int
open_hold(int ifindex, const struct ipaddr *group)
{
	struct sock_filter	 nothing[] = { RETURN(0) };
	struct ip_mreqn		 mr;
	int			 fd;

	memset(&mr, 0, sizeof(mr));
	memcpy(&mr.imr_multiaddr, group->bytes, sizeof(mr.imr_multiaddr));
	mr.imr_ifindex = ifindex;
	if ((fd = new_socket(AF_INET, SOCK_RAW, PFSYNC_PROTO)) == -1)
		return (-1);
	if (lock_filter(fd, nothing, NELEM(nothing)) == -1 ||
	    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr,
	    sizeof(mr)) == -1)
		return (give_up(fd));
	return (fd);
}

/*
 * It is made for no protocol, and bound to one when its filter is in place:
 * no foreign packet slips in before.
 */
static int
open_packet(int ifindex, const struct ipaddr *group, int *hold)
{
	struct sockaddr_ll	 sll;
	int			 fd;

	memset(&sll, 0, sizeof(sll));
	sll.sll_family = AF_PACKET;
	sll.sll_protocol = htons(ETH_P_IP);
	sll.sll_ifindex = ifindex;
	if ((fd = new_socket(AF_PACKET, SOCK_DGRAM, 0)) == -1)
		return (-1);
	set_buffers(fd);
	if (filter_packet(fd, ifindex, group) == -1 ||
	    set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) == -1 ||
	    set(fd, SOL_SOCKET, SO_PRIORITY, PRIORITY) == -1 ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)) == -1 ||
	    (*hold = open_hold(ifindex, group)) == -1)
		return (give_up(fd));
	return (fd);
}

/*
 * What has no Ethernet address, like the inside of a tunnel, may not be where
 * the packets arrive.
 */
static int
bind_device(int fd, const char *dev, int ifindex)
{
	struct ifreq	 ifr;

	memset(&ifr, 0, sizeof(ifr));
	(void)strlcpy(ifr.ifr_name, dev, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) == -1)
		return (-1);
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return (0);
	return (set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, ifindex));
}

static int
open_raw4(const char *dev, int ifindex, const struct ipaddr *src,
    const struct ipaddr *dst)
{
	struct sockaddr_in	 sin;
	int			 fd;

	memset(&sin, 0, sizeof(sin));
	sin.sin_family = AF_INET;
	memcpy(&sin.sin_addr, src->bytes, sizeof(sin.sin_addr));
	if ((fd = new_socket(AF_INET, SOCK_RAW, PFSYNC_PROTO)) == -1)
		return (-1);
	set_buffers(fd);
	if (filter_peer4(fd, dst) == -1 ||
	    bind_device(fd, dev, ifindex) == -1 ||
	    set(fd, IPPROTO_IP, IP_TTL, PFSYNC_TTL) == -1 ||
	    set(fd, IPPROTO_IP, IP_TOS, PFSYNC_TOS) == -1 ||
	    set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO) == -1 ||
	    set(fd, IPPROTO_IP, IP_RECVFRAGSIZE, 1) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		return (give_up(fd));
	return (fd);
}

static int
join6(int fd, int ifindex, const struct ipaddr *group)
{
	struct ipv6_mreq	 mr;

	memset(&mr, 0, sizeof(mr));
	memcpy(&mr.ipv6mr_multiaddr, group->bytes,
	    sizeof(mr.ipv6mr_multiaddr));
	mr.ipv6mr_interface = (unsigned int)ifindex;
	return (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mr,
	    sizeof(mr)));
}

static int
mcast6(int fd, int ifindex, const struct ipaddr *group)
{
	if (join6(fd, ifindex, group) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, PFSYNC_TTL) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) == -1)
		return (-1);
	return (set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, ifindex));
}

static int
options6(int fd)
{
	if (set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, PFSYNC_TTL) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) == -1 ||
	    set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) == -1)
		return (-1);
	return (set(fd, IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1));
}

static void
sockaddr6(struct sockaddr_in6 *sin6, const struct ipaddr *a, int ifindex)
{
	memset(sin6, 0, sizeof(*sin6));
	sin6->sin6_family = AF_INET6;
	memcpy(&sin6->sin6_addr, a->bytes, sizeof(sin6->sin6_addr));
	if (ipaddr_is_linklocal(a) || ipaddr_is_multicast(a))
		sin6->sin6_scope_id = (uint32_t)ifindex;
}

static int
open_raw6(const char *dev, int ifindex, const struct ipaddr *src,
    const struct ipaddr *dst)
{
	struct sockaddr_in6	 sin6;
	int			 fd;

	sockaddr6(&sin6, src, ifindex);
	if ((fd = new_socket(AF_INET6, SOCK_RAW, PFSYNC_PROTO)) == -1)
		return (-1);
	set_buffers(fd);
	if (options6(fd) == -1 || bind_device(fd, dev, ifindex) == -1 ||
	    (ipaddr_is_multicast(dst) ? mcast6(fd, ifindex, dst) :
	    filter_peer6(fd, dst)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == -1)
		return (give_up(fd));
	return (fd);
}

int
syncsock_open(enum sync_sock kind, const char *dev, int ifindex,
    const struct ipaddr *src, const struct ipaddr *dst, int *hold)
{
	*hold = -1;
	switch (kind) {
	case SYNC_SOCK_PACKET:
		return (open_packet(ifindex, dst, hold));
	case SYNC_SOCK_RAW4:
		return (open_raw4(dev, ifindex, src, dst));
	case SYNC_SOCK_RAW6:
		return (open_raw6(dev, ifindex, src, dst));
	}
	errno = EINVAL;
	return (-1);
}

/* ---- the engine's side ---- */

static void
set_destination(struct syncsock *s, const struct sync_socket *m)
{
	memset(&s->to, 0, sizeof(s->to));
	switch (s->kind) {
	case SYNC_SOCK_PACKET:
		s->to.ll.sll_family = AF_PACKET;
		s->to.ll.sll_protocol = htons(ETH_P_IP);
		s->to.ll.sll_ifindex = m->ifindex;
		s->to.ll.sll_halen = ETHER_ADDR_LEN;
		frame_mcast_mac(&m->dst, s->to.ll.sll_addr);
		s->tolen = sizeof(s->to.ll);
		return;
	case SYNC_SOCK_RAW4:
		s->to.in.sin_family = AF_INET;
		memcpy(&s->to.in.sin_addr, m->dst.bytes,
		    sizeof(s->to.in.sin_addr));
		s->tolen = sizeof(s->to.in);
		return;
	case SYNC_SOCK_RAW6:
		sockaddr6(&s->to.in6, &m->dst, m->ifindex);
		s->tolen = sizeof(s->to.in6);
		return;
	}
}

/* Bytes in front of the payload that are sent by us. */
static size_t
tx_head(const struct syncsock *s)
{
	return (s->kind == SYNC_SOCK_PACKET ? FRAME_IP4_LEN : 0);
}

static uint8_t *
tx_at(const struct syncsock *s, size_t i)
{
	return (s->tx + i * s->txsize);
}

static uint8_t *
rx_at(const struct syncsock *s, size_t i)
{
	return (s->rx + i * s->rxsize);
}

/* What never changes of the messages to and from the kernel. */
static void
set_messages(struct syncsock *s)
{
	struct msghdr	*tx, *rx;
	struct rx_slot	*slot;
	size_t		 i;

	for (i = 0; i < SYNCSOCK_BATCH; i++) {
		s->txiov[i].iov_base = tx_at(s, i) + ETH;
		tx = &s->txmsg[i].msg_hdr;
		tx->msg_name = &s->to;
		tx->msg_namelen = s->tolen;
		tx->msg_iov = &s->txiov[i];
		tx->msg_iovlen = 1;
		slot = &s->rxslot[i];
		slot->iov.iov_base = rx_at(s, i) + ETH;
		slot->iov.iov_len = s->rxsize - ETH;
		rx = &s->rxmsg[i].msg_hdr;
		rx->msg_iov = &slot->iov;
		rx->msg_iovlen = 1;
		if (s->kind != SYNC_SOCK_PACKET)
			rx->msg_control = slot->control.buf;
		if (s->kind == SYNC_SOCK_RAW6)
			rx->msg_name = &slot->from;
		/* the type of a frame's head, for frame_peel() */
		memcpy(rx_at(s, i) + ETH - 2, "\x08\x00", 2);
	}
}

static size_t
room_of(enum sync_sock kind, uint32_t mtu)
{
	size_t	 head = kind == SYNC_SOCK_RAW6 ? FRAME_IP6_LEN : FRAME_IP4_LEN;

	if (mtu > IP_MAX)
		mtu = IP_MAX;
	return (mtu < head + ROOM_MIN ? ROOM_MIN : mtu - head);
}

/* The sizes are multiples of a cache line. */
static size_t
line_up(size_t n)
{
	return ((n + 63) & ~(size_t)63);
}

struct syncsock *
syncsock_new(int fd, const struct sync_socket *m)
{
	struct syncsock	*s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	s->fd = fd;
	s->kind = (enum sync_sock)m->kind;
	s->src = m->src;
	s->room = room_of(s->kind, m->mtu);
	s->txsize = line_up(ETH + FRAME_IP4_LEN + s->room);
	s->rxsize = line_up(s->txsize > SLOT_MIN ? s->txsize : SLOT_MIN);
	if ((s->tx = calloc(SYNCSOCK_BATCH, s->txsize)) == NULL ||
	    (s->rx = calloc(SYNCSOCK_BATCH, s->rxsize)) == NULL)
		fatal("calloc");
	hmac_random(&s->rnd, sizeof(s->rnd));
	s->rnd |= 1;			/* xorshift has no way out of 0 */
	s->meta.src = m->src;
	s->meta.dst = m->dst;
	s->meta.proto = PFSYNC_PROTO;
	s->meta.ttl = PFSYNC_TTL;
	s->meta.tos = PFSYNC_TOS;
	set_destination(s, m);
	set_messages(s);
	return (s);
}

void
syncsock_free(struct syncsock *s)
{
	if (s == NULL)
		return;
	close(s->fd);
	free(s->tx);
	free(s->rx);
	free(s);
}

int
syncsock_fd(const struct syncsock *s)
{
	return (s->fd);
}

size_t
syncsock_room(const struct syncsock *s)
{
	return (s->room);
}

/* ---- receiving ---- */

/* What the kernel writes over, anew for each call. */
static void
ready_messages(struct syncsock *s)
{
	struct msghdr	*h;
	size_t		 i;

	if (s->kind == SYNC_SOCK_PACKET)
		return;
	for (i = 0; i < SYNCSOCK_BATCH; i++) {
		h = &s->rxmsg[i].msg_hdr;
		h->msg_controllen = CONTROL_LEN;
		h->msg_namelen = s->kind == SYNC_SOCK_RAW6 ?
		    sizeof(s->rxslot[i].from) : 0;
	}
}

static int
cmsg_int(const struct cmsghdr *c)
{
	int	 v = -1;

	if (c->cmsg_len >= CMSG_LEN(sizeof(v)))
		memcpy(&v, CMSG_DATA(c), sizeof(v));
	return (v);
}

/* Was it put together again?  The kernel gives the size of the fragments. */
static bool
was_fragments(struct msghdr *h)
{
	struct cmsghdr	*c;

	if (h->msg_control == NULL)
		return (false);
	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c))
		if ((c->cmsg_level == IPPROTO_IP &&
		    c->cmsg_type == IP_RECVFRAGSIZE) ||
		    (c->cmsg_level == IPPROTO_IPV6 &&
		    c->cmsg_type == IPV6_RECVFRAGSIZE))
			return (true);
	return (false);
}

/* The packet is there from its IP header on. */
static bool
peel4(uint8_t *slot, size_t len, struct syncsock_pkt *p)
{
	struct frame_ip	 f;

	if (frame_peel(slot, ETH + len, &f) != FRAME_OK || f.fragment ||
	    f.proto != PFSYNC_PROTO)
		return (false);
	p->src = f.src;
	p->dst = f.dst;
	p->ttl = f.ttl;
	p->data = f.payload;
	p->len = f.len;
	return (true);
}

static void
address6(struct ipaddr *a, const struct in6_addr *in6)
{
	memset(a, 0, sizeof(*a));
	a->af = AF_INET6;
	a->plen = 128;
	memcpy(a->bytes, in6, sizeof(*in6));
}

/* Of an IPv6 packet there is the payload; the rest the kernel tells. */
static bool
peel6(struct msghdr *h, const uint8_t *data, size_t len,
    struct syncsock_pkt *p)
{
	const struct sockaddr_in6	*from = h->msg_name;
	struct in6_pktinfo		 info;
	struct cmsghdr			*c;
	int				 hops = -1;

	p->dst.af = 0;
	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_HOPLIMIT)
			hops = cmsg_int(c);
		else if (c->cmsg_type == IPV6_PKTINFO &&
		    c->cmsg_len >= CMSG_LEN(sizeof(info))) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			address6(&p->dst, &info.ipi6_addr);
		}
	}
	if (hops < 0 || hops > UINT8_MAX || p->dst.af == 0 ||
	    h->msg_namelen < sizeof(*from))
		return (false);
	address6(&p->src, &from->sin6_addr);
	p->ttl = (uint8_t)hops;
	p->data = data;
	p->len = len;
	return (true);
}

static bool
peel(struct syncsock *s, size_t i, struct syncsock_pkt *p)
{
	struct msghdr	*h = &s->rxmsg[i].msg_hdr;
	size_t		 len = s->rxmsg[i].msg_len;
	uint8_t		*slot = rx_at(s, i);

	if ((h->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || was_fragments(h))
		return (false);
	if (s->kind == SYNC_SOCK_RAW6) {
		if (!peel6(h, slot + ETH, len, p))
			return (false);
	} else if (!peel4(slot, len, p))
		return (false);
	return (ipaddr_cmp(&p->src, &s->src) != 0);
}

int
syncsock_recv(struct syncsock *s, struct syncsock_pkt out[SYNCSOCK_BATCH],
    uint64_t *bad)
{
	int	 i, n, k = 0;

	ready_messages(s);
	do {
		n = recvmmsg(s->fd, s->rxmsg, SYNCSOCK_BATCH, MSG_DONTWAIT,
		    NULL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (errno == EAGAIN ? 0 : -1);
	for (i = 0; i < n; i++) {
		if (peel(s, (size_t)i, &out[k]))
			k++;
		else
			(*bad)++;
	}
	return (k);
}

/* ---- sending ---- */

uint8_t *
syncsock_slot(struct syncsock *s)
{
	if (s->ntx == SYNCSOCK_BATCH)
		return (NULL);
	return (tx_at(s, s->ntx) + ETH + tx_head(s));
}

/* xorshift32: ids shall differ, nobody relies on what they are */
static uint16_t
next_id(struct syncsock *s)
{
	s->rnd ^= s->rnd << 13;
	s->rnd ^= s->rnd >> 17;
	s->rnd ^= s->rnd << 5;
	return ((uint16_t)(s->rnd >> 8));
}

/* The frame's head that frame_ip() makes is in front of what is sent. */
void
syncsock_commit(struct syncsock *s, size_t len)
{
	if (s->ntx == SYNCSOCK_BATCH ||
	    len > s->txsize - ETH - FRAME_IP4_LEN)
		fatalx("%s: %zu bytes", __func__, len);
	if (s->kind == SYNC_SOCK_PACKET) {
		s->meta.id = next_id(s);
		if (frame_ip(tx_at(s, s->ntx), s->txsize, &s->meta,
		    len) == 0)
			fatalx("%s: no header", __func__);
	}
	s->txiov[s->ntx++].iov_len = tx_head(s) + len;
}

/*
 * The way is narrower than the interface, as where IPsec adds its headers:
 * make the next ones shorter.  Once a flush, since all of its datagrams were
 * made for the same room.
 */
static void
narrow(struct syncsock *s)
{
	s->room = s->room < ROOM_MIN + ROOM_STEP ? ROOM_MIN :
	    s->room - ROOM_STEP;
	log_debug("datagrams are too long for the way: at most %zu bytes",
	    s->room);
}

size_t
syncsock_flush(struct syncsock *s, uint64_t *lost)
{
	size_t	 at = 0, sent = 0;
	bool	 too_long = false;
	int	 n;

	while (at < s->ntx) {
		n = sendmmsg(s->fd, s->txmsg + at, (unsigned int)(s->ntx - at),
		    MSG_DONTWAIT);
		if (n > 0) {
			at += (size_t)n;
			sent += (size_t)n;
		} else if (n == -1 && errno == EINTR) {
			continue;
		} else if (n == -1 && errno == EMSGSIZE) {
			too_long = true;
			at++;
		} else
			break;
	}
	if (too_long)
		narrow(s);
	*lost += s->ntx - sent;
	s->ntx = 0;
	return (sent);
}
