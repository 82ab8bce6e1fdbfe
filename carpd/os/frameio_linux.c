/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: AF_PACKET sockets.  They see a frame before the classifier, the
 * packet filter and the bridge do, so nothing on this host hides an
 * advertisement.  The socket is made for no protocol and bound to all of them
 * only when its filter is attached: no foreign frame slips in before.  What
 * comes out of here was matched by that filter and is otherwise unchecked.
 * packet(7), socket(7), pcap_compile(3), <linux/filter.h>.
 */
#include <sys/socket.h>

#include <net/ethernet.h>
#include <netinet/in.h>
#include <netpacket/packet.h>

#include <linux/filter.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>

#include "../../common/wire/carp.h"
#include "../../common/wire/frame.h"
#include "../bpf/steer_map.h"
#include "frameio.h"

#define CAPTURE		"(ip proto 112) or (ip6 proto 112)"
#define INSNS_MAX	64
#define RCVBUF		(4 * 1024 * 1024)	/* the adverts of 255 vhids */
#define SNDBUF		(4 * 1024 * 1024)	/* see room_for_dead() */
#define PRIORITY	6	/* TC_PRIO_INTERACTIVE */


static const uint8_t	 group4[4] = { 224, 0, 0, 18 };
static const uint8_t	 group6[16] = { 0xff, 0x02, [15] = 0x12 };

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

/* Attach a filter that nobody, with whatever right, detaches again. */
static int
lock_filter(int fd, const struct sock_filter *insns, size_t n)
{
	struct sock_filter	 copy[INSNS_MAX];
	struct sock_fprog	 prog = { (unsigned short)n, copy };
	int			 on = 1;

	memcpy(copy, insns, n * sizeof(*insns));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)) == -1)
		return (-1);
	return (setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof(on)));
}

/*
 * libpcap's program behind our preface: on an interface that has VLANs the
 * frames of all of them pass by with their tag taken out, and would look like
 * the interface's own.
 */
static int
compile_filter(struct sock_filter *out, size_t *n)
{
	static const struct sock_filter	 untagged[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0,
		    (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG) },
		{ BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xfff },
		{ BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0 },
		{ BPF_RET | BPF_K, 0, 0, 0 }
	};
	const size_t		 skip = sizeof(untagged) / sizeof(untagged[0]);
	struct bpf_program	 prog;
	pcap_t			*pcap;
	size_t			 i;
	int			 r = -1;

	memset(&prog, 0, sizeof(prog));
	errno = EINVAL;
	if ((pcap = pcap_open_dead(DLT_EN10MB, FRAMEIO_MTU)) == NULL)
		return (-1);
	if (pcap_compile(pcap, &prog, CAPTURE, 1, PCAP_NETMASK_UNKNOWN) == 0 &&
	    prog.bf_len <= INSNS_MAX - skip) {
		memcpy(out, untagged, sizeof(untagged));
		for (i = 0; i < prog.bf_len; i++)
			out[skip + i] = (struct sock_filter){
			    prog.bf_insns[i].code, prog.bf_insns[i].jt,
			    prog.bf_insns[i].jf, prog.bf_insns[i].k };
		*n = skip + prog.bf_len;
		r = 0;
	}
	pcap_freecode(&prog);
	pcap_close(pcap);
	return (r);
}

/* For frames out: our mark and priority. */
static int
set_mark(int fd)
{
	unsigned int	 mark = STEER_MARK;
	int		 prio = PRIORITY;

	if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1)
		return (-1);
	return (setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &prio, sizeof(prio)));
}

/* The same, and for frames in: room, no echo. */
static int
set_options(int fd)
{
	int	 on = 1, size = RCVBUF;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
		    sizeof(size));
	/*
	 * PACKET_QDISC_BYPASS stays off: the classifier at egress must see
	 * these frames.
	 */
	if (set_mark(fd) == -1)
		return (-1);
	return (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
	    sizeof(on)));
}

int
frameio_open(const char *ifname, int ifindex)
{
	struct sock_filter	 insns[INSNS_MAX];
	struct sockaddr_ll	 sll;
	size_t			 n;
	int			 fd;

	(void)ifname;
	if (compile_filter(insns, &n) == -1)
		return (-1);
	if ((fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1)
		return (-1);
	memset(&sll, 0, sizeof(sll));
	sll.sll_family = AF_PACKET;
	sll.sll_protocol = htons(ETH_P_ALL);
	sll.sll_ifindex = ifindex;
	if (lock_filter(fd, insns, n) == -1 || set_options(fd) == -1 ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)) == -1)
		return (give_up(fd));
	return (fd);
}

int
frameio_open_out(const char *ifname, int ifindex)
{
	struct sockaddr_ll	 sll;
	int			 fd;

	(void)ifname;
	if ((fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0)) == -1)
		return (-1);
	memset(&sll, 0, sizeof(sll));
	sll.sll_family = AF_PACKET;	/* of no protocol: never a frame in */
	sll.sll_ifindex = ifindex;
	if (set_mark(fd) == -1 ||
	    bind(fd, (struct sockaddr *)&sll, sizeof(sll)) == -1)
		return (give_up(fd));
	return (fd);
}

/* A raw socket that takes nothing but counts as a receiver. */
static int
silent_socket(int af)
{
	static const struct sock_filter	 nothing[] = {
		{ BPF_RET | BPF_K, 0, 0, 0 }
	};
	int				 fd;

	if ((fd = socket(af, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    CARP_PROTO)) == -1)
		return (-1);
	if (lock_filter(fd, nothing, 1) == -1)
		return (give_up(fd));
	return (fd);
}

/* Without the group it still counts as a receiver of unicast. */
static int
join4(int ifindex)
{
	struct ip_mreqn	 mr;
	int		 fd;

	memset(&mr, 0, sizeof(mr));
	memcpy(&mr.imr_multiaddr, group4, sizeof(group4));
	mr.imr_ifindex = ifindex;
	if ((fd = silent_socket(AF_INET)) != -1)
		(void)setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mr,
		    sizeof(mr));
	return (fd);
}

static int
join6(int ifindex)
{
	struct ipv6_mreq	 mr;
	int			 fd;

	memset(&mr, 0, sizeof(mr));
	memcpy(&mr.ipv6mr_multiaddr, group6, sizeof(group6));
	mr.ipv6mr_interface = (unsigned int)ifindex;
	if ((fd = silent_socket(AF_INET6)) != -1)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mr,
		    sizeof(mr));
	return (fd);
}

/*
 * Up to 208 KiB wait for each neighbour that does not answer (arp(7):
 * unres_qlen_bytes), and count against the socket: with the usual buffer one
 * dead peer would silence us to all others.
 */
static void
room_for_dead(int fd)
{
	int	 size = SNDBUF;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
	    sizeof(size)) == -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size));
}

int
frameio_open_ip(int ifindex, uint8_t af)
{
	int	 fd, on = 1, r;

	if ((fd = silent_socket(af)) == -1)
		return (-1);
	if (af == AF_INET)
		r = setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof(on));
	else
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on,
		    sizeof(on));
	if (r == -1 || set_mark(fd) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex,
	    sizeof(ifindex)) == -1)
		return (give_up(fd));
	room_for_dead(fd);
	return (fd);
}

void
frameio_join(const char *ifname, int ifindex, int fds[2])
{
	(void)ifname;
	fds[0] = join4(ifindex);
	fds[1] = join6(ifindex);
}

void
frameio_rejoin6(const char *ifname, int ifindex, int fds[2])
{
	(void)ifname;
	if (fds[1] != -1)
		close(fds[1]);
	fds[1] = join6(ifindex);
}

int
frameio_send(int fd, const void *frame, size_t len)
{
	ssize_t	 n;

	do {
		n = send(fd, frame, len, 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (-1);
	if ((size_t)n != len) {
		errno = EMSGSIZE;
		return (-1);
	}
	return (0);
}

int
frameio_send_ip(int fd, int ifindex, const void *frame, size_t len,
    const struct ipaddr *dst)
{
	union {
		struct sockaddr		 sa;
		struct sockaddr_in	 in;
		struct sockaddr_in6	 in6;
	}			 to;
	socklen_t		 tolen;
	ssize_t			 n;

	memset(&to, 0, sizeof(to));
	to.sa.sa_family = dst->af;
	if (dst->af == AF_INET) {
		memcpy(&to.in.sin_addr, dst->bytes, sizeof(to.in.sin_addr));
		tolen = sizeof(to.in);
	} else {
		memcpy(&to.in6.sin6_addr, dst->bytes,
		    sizeof(to.in6.sin6_addr));
		if (ipaddr_is_linklocal(dst))
			to.in6.sin6_scope_id = (uint32_t)ifindex;
		tolen = sizeof(to.in6);
	}
	if (len < FRAME_ETH_LEN) {
		errno = EINVAL;
		return (-1);
	}
	do {
		n = sendto(fd, (const uint8_t *)frame + FRAME_ETH_LEN,
		    len - FRAME_ETH_LEN, 0, &to.sa, tolen);
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno != EHOSTUNREACH && errno != EHOSTDOWN)
		return (-1);
	return (0);
}

ssize_t
frameio_recv(int fd, void *frame, size_t size)
{
	ssize_t	 n;

	do {
		n = recv(fd, frame, size, 0);
	} while (n == -1 && errno == EINTR);
	return (n);
}

static void
fill(struct mmsghdr *m, struct iovec *iov, const struct frameio_vec *v,
    size_t n)
{
	size_t	 i;

	memset(m, 0, n * sizeof(*m));
	for (i = 0; i < n; i++) {
		iov[i].iov_base = v[i].data;
		iov[i].iov_len = v[i].len;
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
}

size_t
frameio_sendv(int fd, const struct frameio_vec *v, size_t n)
{
	struct mmsghdr	 m[FRAMEIO_BATCH];
	struct iovec	 iov[FRAMEIO_BATCH];
	size_t		 done = 0;
	int		 r;

	if (n > FRAMEIO_BATCH)
		n = FRAMEIO_BATCH;
	fill(m, iov, v, n);
	while (done < n) {
		r = sendmmsg(fd, m + done, (unsigned int)(n - done), 0);
		if (r > 0)
			done += (size_t)r;
		else if (r == 0 || errno != EINTR)
			break;
	}
	return (done);
}

size_t
frameio_recvv(int fd, struct frameio_vec *v, size_t n)
{
	struct mmsghdr	 m[FRAMEIO_BATCH];
	struct iovec	 iov[FRAMEIO_BATCH];
	int		 i, r;

	if (n > FRAMEIO_BATCH)
		n = FRAMEIO_BATCH;
	fill(m, iov, v, n);
	do {
		r = recvmmsg(fd, m, (unsigned int)n, 0, NULL);
	} while (r == -1 && errno == EINTR);
	for (i = 0; i < r; i++)
		v[i].len = m[i].msg_len;
	return (r > 0 ? (size_t)r : 0);
}
