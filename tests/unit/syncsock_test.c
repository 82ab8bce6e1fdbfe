/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/os/syncsock: what goes over a veth pair between two network
 * namespaces, and what is left out.  Needs root.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <string.h>

#include "../../common/wire/cksum.h"
#include "../../common/wire/frame.h"
#include "../../pfsyncd/os/syncsock.h"
#include "netns.h"

#define MTU		1500
#define QUIET		50	/* ms in which nothing more comes */
#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

#define GROUP		"224.0.0.240"
#define GROUP6		"ff12::f0"
#define MAC_GROUP	"\x01\x00\x5e\x00\x00\xf0"
#define MAC_ALL		"\xff\xff\xff\xff\xff\xff"
#define MAC_A		"\x02\x00\x00\x00\x00\x0a"
#define MAC_B		"\x02\x00\x00\x00\x00\x0b"

static const struct host {
	const char	*dev, *v4, *v6;
} A = { "v0", "10.9.9.1", "fd09::1" }, B = { "v1", "10.9.9.2", "fd09::2" };

static int			 ns_a, ns_b;
static struct syncsock_pkt	 in[SYNCSOCK_BATCH];
static uint64_t			 bad, lost;

static void
enter(int ns)
{
	ck_assert_int_eq(setns(ns, CLONE_NEWNET), 0);
}

static int
new_netns(void)
{
	int	 fd;

	netns_enter();
	ck_assert_int_ne(fd = open("/proc/self/ns/net", O_RDONLY), -1);
	return (fd);
}

static void
setup(void)
{
	ns_b = new_netns();
	ns_a = new_netns();
	bad = lost = 0;
	NETNS_RUN("ip link add v0 type veth peer name v1 netns /proc/%d/fd/%d",
	    (int)getpid(), ns_b);
	NETNS_RUN("ip link set v0 address 02:00:00:00:00:0a && "
	    "ip addr add 10.9.9.1/24 dev v0 && "
	    "ip addr add fd09::1/64 dev v0 nodad && ip link set v0 up");
	enter(ns_b);
	NETNS_RUN("ip link set v1 address 02:00:00:00:00:0b && "
	    "ip addr add 10.9.9.2/24 dev v1 && "
	    "ip addr add fd09::2/64 dev v1 nodad && ip link set v1 up");
	netns_await_link("v1");
	enter(ns_a);
	netns_await_link("v0");
}

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	return (a);
}

static struct sync_socket
socket_msg(const struct host *h, const char *src, const char *dst)
{
	struct sync_socket	 m;

	memset(&m, 0, sizeof(m));
	strlcpy(m.syncdev, h->dev, sizeof(m.syncdev));
	m.ifindex = (int32_t)if_nametoindex(h->dev);
	m.mtu = MTU;
	m.src = addr(src);
	m.dst = addr(dst);
	m.kind = syncsock_kind(&m.dst);
	return (m);
}

/* In the namespace of h. */
static struct syncsock *
open_sock(const struct host *h, const char *src, const char *dst, int *hold)
{
	struct sync_socket	 m;
	int			 fd;

	enter(h == &A ? ns_a : ns_b);
	m = socket_msg(h, src, dst);
	fd = syncsock_open((enum sync_sock)m.kind, h->dev, m.ifindex, &m.src,
	    &m.dst, hold);
	ck_assert_msg(fd != -1, "%s: %s", dst, strerror(errno));
	enter(ns_a);
	return (syncsock_new(fd, &m));
}

static struct syncsock *
multicast(const struct host *h)
{
	int	 hold;

	return (open_sock(h, h->v4, GROUP, &hold));
}

static struct syncsock *
unicast4(const struct host *h)
{
	int	 hold;

	return (open_sock(h, h->v4, h == &A ? B.v4 : A.v4, &hold));
}

static struct syncsock *
unicast6(const struct host *h)
{
	int	 hold;

	return (open_sock(h, h->v6, h == &A ? B.v6 : A.v6, &hold));
}

/* A packet socket on h that sees and sends whole frames. */
static int
plain(const struct host *h, uint16_t type)
{
	struct sockaddr_ll	 sll = { .sll_family = AF_PACKET };
	int			 fd, on = 1;

	enter(h == &A ? ns_a : ns_b);
	ck_assert_int_ne(fd = socket(AF_PACKET, SOCK_RAW, htons(type)), -1);
	sll.sll_protocol = htons(type);
	sll.sll_ifindex = (int)if_nametoindex(h->dev);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sll, sizeof(sll)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING,
	    &on, sizeof(on)), 0);
	enter(ns_a);
	return (fd);
}

static bool
readable(int fd, int ms)
{
	struct pollfd	 pfd = { .fd = fd, .events = POLLIN };

	return (poll(&pfd, 1, ms) == 1);
}

/* The next batch, 0 if none comes. */
static int
next(struct syncsock *s, int ms)
{
	if (!readable(syncsock_fd(s), ms))
		return (0);
	return (syncsock_recv(s, in, &bad));
}

/* Waits until `bad` datagrams were left out and nothing else came. */
static void
only_bad(struct syncsock *s, uint64_t n)
{
	while (bad < n) {
		ck_assert(readable(syncsock_fd(s), 5000));
		ck_assert_int_eq(syncsock_recv(s, in, &bad), 0);
	}
	ck_assert_int_eq(next(s, QUIET), 0);
	ck_assert_uint_eq(bad, n);
}

/* Queue a datagram of len bytes that begins with a number. */
static void
put(struct syncsock *s, uint32_t n, size_t len)
{
	uint8_t	*p = syncsock_slot(s);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_ge(len, sizeof(n));
	memset(p, (int)(n & 0xff), len);
	memcpy(p, &n, sizeof(n));
	syncsock_commit(s, len);
}

static void
is_datagram(const struct syncsock_pkt *p, uint32_t n, size_t len,
    const char *src, const char *dst)
{
	struct ipaddr	 a = addr(src), b = addr(dst);
	uint32_t	 got;

	ck_assert_uint_eq(p->len, len);
	memcpy(&got, p->data, sizeof(got));
	ck_assert_uint_eq(got, n);
	ck_assert_uint_eq(p->data[len - 1], n & 0xff);
	ck_assert_int_eq(ipaddr_cmp(&p->src, &a), 0);
	ck_assert_int_eq(ipaddr_cmp(&p->dst, &b), 0);
	ck_assert_uint_eq(p->ttl, 255);
}

/* Batches, more than one at a time, arrive whole and in order. */
static void
stream(struct syncsock *from, struct syncsock *to, const char *src,
    const char *dst)
{
	const size_t	 room = syncsock_room(from);
	uint32_t	 sent = 0, got = 0;
	int		 i, n;

	for (i = 0; i < 4; i++) {
		while (syncsock_slot(from) != NULL) {
			put(from, sent, sent % 2 != 0 ? room : 5 + sent);
			sent++;
		}
		ck_assert_uint_eq(syncsock_flush(from, &lost),
		    SYNCSOCK_BATCH);
		ck_assert_ptr_nonnull(syncsock_slot(from));
	}
	ck_assert_uint_eq(sent, 4 * SYNCSOCK_BATCH);
	while (got < sent) {
		ck_assert_int_gt(n = next(to, 5000), 0);
		for (i = 0; i < n; i++, got++)
			is_datagram(&in[i], got, got % 2 != 0 ? room : 5 + got,
			    src, dst);
	}
	ck_assert_int_eq(next(to, QUIET), 0);
	/* nor does the sender hear itself */
	ck_assert_int_eq(next(from, 0), 0);
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(bad, 0);
}

/* ---- which kind, how large ---- */

static const struct {
	const char	*dst;
	enum sync_sock	 kind;
	uint32_t	 mtu;
	size_t		 room;
} kinds[] = {
	{ GROUP, SYNC_SOCK_PACKET, 1500, 1480 },
	{ "10.9.9.2", SYNC_SOCK_RAW4, 1500, 1480 },
	{ "10.9.9.2", SYNC_SOCK_RAW4, 9000, 8980 },
	{ GROUP6, SYNC_SOCK_RAW6, 1280, 1240 },
	{ "fd09::2", SYNC_SOCK_RAW6, 1500, 1460 },
	{ GROUP, SYNC_SOCK_PACKET, 65536, 65515 },
	{ "fd09::2", SYNC_SOCK_RAW6, 0xffffffff, 65495 },
	{ GROUP, SYNC_SOCK_PACKET, 0, 512 }
};

START_TEST(kind_and_room)
{
	struct sync_socket	 m = socket_msg(&A, A.v4, kinds[_i].dst);
	struct syncsock		*s;

	ck_assert_int_eq(syncsock_kind(&m.dst), kinds[_i].kind);
	m.mtu = kinds[_i].mtu;
	s = syncsock_new(open("/dev/null", O_RDWR), &m);
	ck_assert_uint_eq(syncsock_room(s), kinds[_i].room);
	syncsock_free(s);
	syncsock_free(NULL);
}
END_TEST

/* ---- multicast ---- */

START_TEST(multicast_batches)
{
	struct syncsock	*a = multicast(&A), *b = multicast(&B);

	stream(a, b, A.v4, GROUP);
	stream(b, a, B.v4, GROUP);
	syncsock_free(a);
	syncsock_free(b);
}
END_TEST

/* The next IPv4 packet of protocol 240 on the plain socket. */
static ssize_t
sniff(int fd, uint8_t *f, size_t size)
{
	ssize_t	 n;

	do {
		ck_assert(readable(fd, 5000));
		n = recv(fd, f, size, 0);
	} while (n < 34 || f[14 + 9] != 240);
	return (n);
}

START_TEST(multicast_header)
{
	struct syncsock	*a = multicast(&A);
	int		 fd = plain(&B, ETH_P_IP), i;
	uint8_t		 f[2048], id[2][2];

	for (i = 0; i < 2; i++) {
		put(a, 7, 100);
		ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
		ck_assert_int_eq(sniff(fd, f, sizeof(f)), 14 + 20 + 100);
		ck_assert_mem_eq(f, MAC_GROUP MAC_A "\x08\x00", 14);
		ck_assert_mem_eq(f + 14, "\x45\x10\x00\x78", 4);
		ck_assert_mem_eq(f + 20, "\x40\x00\xff\xf0", 4);
		ck_assert_mem_eq(f + 26, "\x0a\x09\x09\x01\xe0\x00\x00\xf0",
		    8);
		ck_assert_uint_eq(cksum(f + 14, 20), 0);
		memcpy(id[i], f + 18, 2);
	}
	ck_assert_mem_ne(id[0], id[1], 2);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 0);
	ck_assert_uint_eq(lost, 0);
}
END_TEST

/*
 * Frames of somebody else: what is wrong with them.  Offsets are those of the
 * IPv4 header; the checksum is right unless that is what is wrong.
 */
enum fate { TAKEN, COUNTED, UNSEEN };
static const struct spoof {
	const char	*what;
	const char	*mac;
	int		 at;		/* byte to be set, -1: none */
	uint8_t		 value;
	size_t		 pad, cut;	/* bytes more, less than announced */
	int		 vlan;		/* -1: no tag */
	enum fate	 fate;
} spoofs[] = {
	{ "good", MAC_GROUP, -1, 0, 0, 0, -1, TAKEN },
	{ "padded", MAC_GROUP, -1, 0, 18, 0, -1, TAKEN },
	{ "priority tag", MAC_GROUP, -1, 0, 0, 0, 0, TAKEN },
	{ "TOS 0, no DF", MAC_GROUP, 6, 0, 0, 0, -1, TAKEN },
	{ "another source", MAC_GROUP, 15, 77, 0, 0, -1, TAKEN },
	{ "group by unicast frame", MAC_A, -1, 0, 0, 0, -1, TAKEN },
	{ "broadcast", MAC_ALL, 19, 0xff, 0, 0, -1, TAKEN },
	{ "our own source", MAC_GROUP, 15, 1, 0, 0, -1, COUNTED },
	{ "cut off", MAC_GROUP, -1, 0, 0, 1, -1, COUNTED },
	{ "total length too large", MAC_GROUP, 2, 1, 0, 0, -1, COUNTED },
	{ "total length below header", MAC_GROUP, 3, 19, 0, 0, -1, COUNTED },
	{ "header too short", MAC_GROUP, 0, 0x44, 0, 0, -1, COUNTED },
	{ "header too long", MAC_GROUP, 0, 0x4f, 0, 40, -1, COUNTED },
	{ "checksum", MAC_GROUP, 10, 0, 0, 0, -1, COUNTED },
	{ "more fragments", MAC_GROUP, 6, 0x20, 0, 0, -1, UNSEEN },
	{ "last fragment", MAC_GROUP, 7, 1, 0, 0, -1, UNSEEN },
	{ "version 6", MAC_GROUP, 0, 0x65, 0, 0, -1, UNSEEN },
	{ "another protocol", MAC_GROUP, 9, 112, 0, 0, -1, UNSEEN },
	{ "another group", MAC_GROUP, 19, 18, 0, 0, -1, UNSEEN },
	{ "another's frame", "\x02\0\0\0\0\x0c", -1, 0, 0, 0, -1, UNSEEN },
	{ "VLAN 5", MAC_GROUP, -1, 0, 0, 0, 5, UNSEEN }
};

static void
send_frame(int fd, const struct spoof *p, uint8_t ttl)
{
	struct frame_meta	 m = { .proto = 240, .ttl = ttl, .tos = 0x10 };
	uint8_t			 f[256];
	size_t			 len, tag = p->vlan >= 0 ? 4 : 0;
	uint16_t		 sum;

	memset(f, 0, sizeof(f));
	memcpy(m.eth_dst, p->mac, 6);
	memcpy(m.eth_src, MAC_B, 6);
	m.src = addr(B.v4);
	m.dst = addr(GROUP);
	len = frame_ip(f, sizeof(f), &m, 40) + 40 + p->pad - p->cut;
	memset(f + 34, 9, 40);
	if (p->at >= 0)
		f[14 + p->at] = p->value;
	if (p->at >= 0 && p->at != 10) {
		memset(f + 24, 0, 2);
		sum = cksum(f + 14, 20);
		f[24] = (uint8_t)(sum >> 8);
		f[25] = (uint8_t)sum;
	}
	if (tag != 0) {
		memmove(f + 16, f + 12, len - 12);
		memcpy(f + 12, "\x81\0\0", 3);
		f[15] = (uint8_t)p->vlan;
	}
	ck_assert_int_eq(send(fd, f, len + tag, 0), (ssize_t)(len + tag));
}

START_TEST(multicast_judged)
{
	const struct spoof	*p = &spoofs[_i];
	struct syncsock		*a = multicast(&A);
	int			 fd = plain(&B, ETH_P_ALL);

	send_frame(fd, p, 255);
	if (p->fate == TAKEN) {
		ck_assert_int_eq(next(a, 5000), 1);
		ck_assert_uint_eq(in[0].len, 40);
		ck_assert_mem_eq(in[0].data, "\x09\x09\x09\x09", 4);
		ck_assert_uint_eq(bad, 0);
		return;
	}
	/* what follows it, and arrives, shows that it did not */
	if (p->fate == COUNTED)
		only_bad(a, 1);
	send_frame(fd, &spoofs[0], 254);
	ck_assert_int_eq(next(a, 5000), 1);
	ck_assert_uint_eq(in[0].ttl, 254);
	ck_assert_uint_eq(bad, p->fate == COUNTED ? 1 : 0);
}
END_TEST

/* A VLAN's packets are those of the VLAN interface. */
START_TEST(multicast_vlan_interface)
{
	struct spoof	 five = spoofs[0];
	struct syncsock	*a;
	int		 fd = plain(&B, ETH_P_ALL);

	five.vlan = 5;
	if (!netns_try("ip link add link v0 name v0.5 type vlan id 5 "
	    "2>/dev/null")) {
		skip_because("a kernel without VLANs (8021q)");
		return;
	}
	NETNS_RUN("ip link set v0.5 up");
	a = multicast(&A);
	send_frame(fd, &five, 255);
	send_frame(fd, &spoofs[0], 254);
	ck_assert_int_eq(next(a, 5000), 1);
	ck_assert_uint_eq(in[0].ttl, 254);
}
END_TEST

START_TEST(multicast_hold)
{
	struct syncsock	*a, *b = multicast(&B);
	uint8_t		 buf[2048];
	int		 hold;

	a = open_sock(&A, A.v4, GROUP, &hold);
	ck_assert_int_ne(hold, -1);
	ck_assert(netns_try("ip maddr show dev v0 | grep -q " GROUP));
	put(b, 1, 100);
	ck_assert_uint_eq(syncsock_flush(b, &lost), 1);
	ck_assert_int_eq(next(a, 5000), 1);
	ck_assert_int_eq(recv(hold, buf, sizeof(buf), MSG_DONTWAIT), -1);
	ck_assert_int_ne(fcntl(hold, F_GETFD) & FD_CLOEXEC, 0);
	close(hold);
	ck_assert(netns_try("! ip maddr show dev v0 | grep -q " GROUP));
}
END_TEST

/* ---- unicast ---- */

START_TEST(raw4_batches)
{
	struct syncsock	*a = unicast4(&A), *b = unicast4(&B);

	stream(a, b, A.v4, B.v4);
	stream(b, a, B.v4, A.v4);
}
END_TEST

START_TEST(raw4_header)
{
	struct syncsock	*a = unicast4(&A);
	int		 fd = plain(&B, ETH_P_IP);
	uint8_t		 f[2048];

	put(a, 7, 100);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
	ck_assert_int_eq(sniff(fd, f, sizeof(f)), 14 + 20 + 100);
	ck_assert_mem_eq(f, MAC_B MAC_A "\x08\x00", 14);
	ck_assert_mem_eq(f + 14, "\x45\x10\x00\x78", 4);
	ck_assert_mem_eq(f + 20, "\x40\x00\xff\xf0", 4);
	ck_assert_mem_eq(f + 26, "\x0a\x09\x09\x01\x0a\x09\x09\x02", 8);
	ck_assert_uint_eq(cksum(f + 14, 20), 0);
}
END_TEST

/* A raw socket on h for what syncsock does not send. */
static int
raw(const struct host *h, int af)
{
	int	 fd;

	enter(h == &A ? ns_a : ns_b);
	ck_assert_int_ne(fd = socket(af, SOCK_RAW, 240), -1);
	enter(ns_a);
	return (fd);
}

static void
send4(int fd, const char *dst, size_t len)
{
	static const uint8_t	 data[4096];
	struct sockaddr_in	 sin = { .sin_family = AF_INET };

	ck_assert_int_eq(inet_pton(AF_INET, dst, &sin.sin_addr), 1);
	ck_assert_int_eq(sendto(fd, data, len, 0, (struct sockaddr *)&sin,
	    sizeof(sin)), (ssize_t)len);
}

static void
send6(int fd, const char *dst, size_t len)
{
	static const uint8_t	 data[4096];
	struct sockaddr_in6	 sin6 = { .sin6_family = AF_INET6 };

	ck_assert_int_eq(inet_pton(AF_INET6, dst, &sin6.sin6_addr), 1);
	ck_assert_int_eq(sendto(fd, data, len, 0, (struct sockaddr *)&sin6,
	    sizeof(sin6)), (ssize_t)len);
}

START_TEST(raw4_others)
{
	struct syncsock	*a = unicast4(&A), *b = unicast4(&B);
	int		 fd = raw(&B, AF_INET), off = IP_PMTUDISC_DONT;
	int		 ttl = 99;

	/* from another address than the syncpeer's */
	enter(ns_b);
	NETNS_RUN("ip addr add 10.9.9.3/24 dev v1 && "
	    "ip route replace 10.9.9.1 dev v1 src 10.9.9.3");
	enter(ns_a);
	send4(fd, A.v4, 100);
	ck_assert_int_eq(next(a, QUIET), 0);
	enter(ns_b);
	NETNS_RUN("ip route del 10.9.9.1 dev v1");
	enter(ns_a);
	/* fragments, even when they were put together */
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &off,
	    sizeof(off)), 0);
	send4(fd, A.v4, 1900);
	only_bad(a, 1);
	/* not so small ones that could have been */
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl,
	    sizeof(ttl)), 0);
	send4(fd, A.v4, 1400);
	ck_assert_int_eq(next(a, 5000), 1);
	ck_assert_uint_eq(in[0].len, 1400);
	ck_assert_uint_eq(in[0].ttl, 99);
	ck_assert_uint_eq(bad, 1);
	syncsock_free(b);
}
END_TEST

/* After the link is up IPv6 takes its time. */
static void
await6(void)
{
	NETNS_RUN("timeout 20 sh -c 'until ping -6 -c1 -W1 fd09::2 && "
	    "ping -6 -c1 -W1 ff02::1%%v0; do :; done' >/dev/null 2>&1");
}

START_TEST(raw6_batches)
{
	struct syncsock	*a = unicast6(&A), *b = unicast6(&B);

	await6();
	stream(a, b, A.v6, B.v6);
	stream(b, a, B.v6, A.v6);
}
END_TEST

START_TEST(raw6_multicast)
{
	struct syncsock	*a, *b;
	int		 hold;

	a = open_sock(&A, A.v6, GROUP6, &hold);
	ck_assert_int_eq(hold, -1);
	b = open_sock(&B, B.v6, GROUP6, &hold);
	await6();
	stream(a, b, A.v6, GROUP6);
	stream(b, a, B.v6, GROUP6);
}
END_TEST

START_TEST(raw6_others)
{
	struct syncsock	*a = unicast6(&A);
	int		 fd = raw(&B, AF_INET6), off = IPV6_PMTUDISC_DONT;
	int		 hops = 99;

	await6();
	enter(ns_b);
	NETNS_RUN("ip addr add fd09::3/64 dev v1 nodad && "
	    "ip -6 route add fd09::1/128 dev v1 src fd09::3");
	enter(ns_a);
	send6(fd, A.v6, 100);
	ck_assert_int_eq(next(a, QUIET), 0);
	enter(ns_b);
	NETNS_RUN("ip -6 route del fd09::1/128 dev v1 && "
	    "ip addr del fd09::3/64 dev v1");
	enter(ns_a);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &off,
	    sizeof(off)), 0);
	send6(fd, A.v6, 1900);
	only_bad(a, 1);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS,
	    &hops, sizeof(hops)), 0);
	send6(fd, A.v6, 1400);
	ck_assert_int_eq(next(a, 5000), 1);
	ck_assert_uint_eq(in[0].len, 1400);
	ck_assert_uint_eq(in[0].ttl, 99);
	ck_assert_uint_eq(bad, 1);
}
END_TEST

/* A peer whose interface takes more than ours said. */
START_TEST(truncated)
{
	struct syncsock	*a4, *a6;

	NETNS_RUN("ip link set v0 mtu 9000");
	enter(ns_b);
	NETNS_RUN("ip link set v1 mtu 9000");
	enter(ns_a);
	a4 = unicast4(&A);
	a6 = unicast6(&A);
	await6();
	send4(raw(&B, AF_INET), A.v4, 4000);
	only_bad(a4, 1);
	send6(raw(&B, AF_INET6), A.v6, 4000);
	only_bad(a6, 2);
}
END_TEST

/* What has no Ethernet address is not what the socket is bound to. */
START_TEST(raw4_through_a_tunnel)
{
	static const struct host	 tun = { "t0", "10.9.9.1", "" };
	struct sync_socket		 m;
	struct syncsock			*a, *b = unicast4(&B);
	int				 fd, hold;

	NETNS_RUN("ip tuntap add dev t0 mode tun && ip link set t0 up");
	m = socket_msg(&tun, A.v4, B.v4);
	fd = syncsock_open(SYNC_SOCK_RAW4, "t0", m.ifindex, &m.src, &m.dst,
	    &hold);
	ck_assert_int_ne(fd, -1);
	a = syncsock_new(fd, &m);
	stream(a, b, A.v4, B.v4);
	stream(b, a, B.v4, A.v4);
}
END_TEST

/* ---- errors ---- */

/* A way that is narrower than said: some are lost, then they are shorter. */
static void
narrower(struct syncsock *(*opener)(const struct host *))
{
	struct syncsock	*a = opener(&A), *b = opener(&B);
	size_t		 want = syncsock_room(a);
	int		 i, n;

	NETNS_RUN("ip link set v0 mtu %d", MTU - 60);
	for (i = 0; i < 2; i++) {
		put(a, 1, syncsock_room(a));
		put(a, 2, 100);
		put(a, 3, syncsock_room(a));
		ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
		ck_assert_uint_eq(lost, 2 * (uint64_t)(i + 1));
		want -= 40;
		ck_assert_uint_eq(syncsock_room(a), want);
	}
	put(a, 4, want);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
	ck_assert_uint_eq(syncsock_room(a), want);
	for (i = 0; i < 3; i += n) {
		ck_assert_int_gt(n = next(b, 5000), 0);
		ck_assert_uint_eq(in[n - 1].len, i + n < 3 ? 100 : want);
	}
	ck_assert_int_eq(i, 3);
	ck_assert_int_eq(next(b, QUIET), 0);
}

START_TEST(too_long)
{
	struct syncsock	*(*const openers[])(const struct host *) = {
		multicast, unicast4, unicast6
	};

	if (openers[_i] == unicast6)
		await6();
	narrower(openers[_i]);
}
END_TEST

START_TEST(link_down)
{
	struct syncsock	*a = multicast(&A);

	put(a, 1, 10);
	put(a, 2, 10);
	NETNS_RUN("ip link set v0 down");
	ck_assert_int_eq(syncsock_recv(a, in, &bad), -1);
	ck_assert_int_eq(errno, ENETDOWN);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 0);
	ck_assert_uint_eq(lost, 2);
	NETNS_RUN("ip link set v0 up");
	put(a, 3, 10);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
	ck_assert_int_eq(syncsock_recv(a, in, &bad), 0);
	NETNS_RUN("ip link del v0");
	put(a, 4, 10);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 0);
	ck_assert_uint_eq(lost, 3);
}
END_TEST

/* What the way does not take now is lost with all behind it; nothing waits. */
START_TEST(queue_full)
{
	struct syncsock	*a = multicast(&A);
	int		 i;

	NETNS_RUN("tc qdisc add dev v0 clsact");
	/* drop (2), as a full queue does, what is longer than 100 bytes */
	NETNS_RUN("tc filter add dev v0 egress bpf da bytecode "
	    "'4,128 0 0 0,37 0 1 100,6 0 0 2,6 0 0 0'");
	for (i = 0; i < SYNCSOCK_BATCH; i++)
		put(a, 1, i == 10 ? 200 : 10);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 10);
	ck_assert_uint_eq(lost, SYNCSOCK_BATCH - 10);
	ck_assert_ptr_nonnull(syncsock_slot(a));
	put(a, 2, 10);
	ck_assert_uint_eq(syncsock_flush(a, &lost), 1);
}
END_TEST

/* Every kind: what the unprivileged holder can, and what it cannot. */
static const char *const pairs[][2] = {
	{ "10.9.9.1", GROUP }, { "10.9.9.1", "10.9.9.2" },
	{ "fd09::1", "fd09::2" }
};

START_TEST(options)
{
	struct sync_socket	 m = socket_msg(&A, pairs[_i][0],
				    pairs[_i][1]);
	int			 fd, hold, size = 0, zero = 0;
	socklen_t		 len = sizeof(size);

	fd = syncsock_open((enum sync_sock)m.kind, "v0", m.ifindex, &m.src,
	    &m.dst, &hold);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &len),
	    0);
	ck_assert_int_eq(size, 2 * 8 * 1024 * 1024);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero,
	    sizeof(zero)), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(cannot_open)
{
	struct ipaddr	 src = addr(pairs[_i][0]), dst = addr(pairs[_i][1]);
	int		 hold = 77;

	ck_assert_int_eq(syncsock_open(syncsock_kind(&dst), "none", 4711,
	    &src, &dst, &hold), -1);
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_int_eq(hold, -1);
	if (syncsock_kind(&dst) == SYNC_SOCK_PACKET)
		return;
	src.bytes[1] ^= 1;
	ck_assert_int_eq(syncsock_open(syncsock_kind(&dst), "v0",
	    (int)if_nametoindex("v0"), &src, &dst, &hold), -1);
	ck_assert_int_eq(errno, EADDRNOTAVAIL);
}
END_TEST

static TCase *
syncsock_case(void)
{
	TCase	*tc = tcase_create("syncsock");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, kind_and_room, 0, NELEMS(kinds));
	tcase_add_test(tc, multicast_batches);
	tcase_add_test(tc, multicast_header);
	tcase_add_loop_test(tc, multicast_judged, 0, NELEMS(spoofs));
	tcase_add_test(tc, multicast_vlan_interface);
	tcase_add_test(tc, multicast_hold);
	tcase_add_test(tc, raw4_batches);
	tcase_add_test(tc, raw4_header);
	tcase_add_test(tc, raw4_others);
	tcase_add_test(tc, raw6_batches);
	tcase_add_test(tc, raw6_multicast);
	tcase_add_test(tc, raw6_others);
	tcase_add_test(tc, truncated);
	tcase_add_test(tc, raw4_through_a_tunnel);
	tcase_add_loop_test(tc, too_long, 0, 3);
	tcase_add_test(tc, link_down);
	tcase_add_test(tc, queue_full);
	tcase_add_loop_test(tc, options, 0, NELEMS(pairs));
	tcase_add_loop_test(tc, cannot_open, 0, NELEMS(pairs));
	return (tc);
}

int
main(void)
{
	Suite	*s = suite_create("syncsock");
	SRunner	*sr;
	int	 failed;

	if (!netns_possible())
		return (0);
	suite_add_tcase(s, syncsock_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
