/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/os/frameio: which frames come in over a veth pair, and how ours go
 * out.  Needs root.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "../../carpd/bpf/steer_map.h"
#include "../../carpd/os/frameio.h"
#include "../../common/wire/frame.h"
#include "netns.h"

#define LEN	70
#define QUIET	50		/* ms in which nothing more comes */

static int	 fd, peer;	/* ours on v0, a plain one on v1 */
static uint8_t	 frame[LEN], in[FRAMEIO_MTU];

static void
setup(void)
{
	struct sockaddr_ll	 sll = { .sll_family = AF_PACKET };

	netns_enter();
	NETNS_RUN("ip link add v0 type veth peer name v1 && "
	    "ip link set v0 up && ip link set v1 up");
	netns_await_link("v0");
	netns_await_link("v1");
	fd = frameio_open("v0", (int)if_nametoindex("v0"));
	ck_assert_int_ne(fd, -1);
	ck_assert_int_ne(peer = socket(AF_PACKET, SOCK_RAW,
	    htons(ETH_P_ALL)), -1);
	sll.sll_protocol = htons(ETH_P_ALL);
	sll.sll_ifindex = (int)if_nametoindex("v1");
	ck_assert_int_eq(bind(peer, (struct sockaddr *)&sll, sizeof(sll)), 0);
}

/* A packet of that protocol in a frame, with a VLAN tag or (-1) without. */
static size_t
make(uint16_t type, uint8_t proto, int vlan)
{
	size_t	 at = 12;

	memset(frame, 0, sizeof(frame));
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\0\0\x5e\0\1\1", 6);
	if (vlan >= 0) {
		memcpy(frame + at, "\x81\0\0", 3);
		frame[at + 3] = (uint8_t)vlan;
		at += 4;
	}
	frame[at] = (uint8_t)(type >> 8);
	frame[at + 1] = (uint8_t)type;
	frame[at + 2] = type == ETHERTYPE_IP ? 0x45 : 0x60;
	frame[at + 2 + (type == ETHERTYPE_IP ? 9 : 6)] = proto;
	return (LEN);
}

static void
from_peer(uint16_t type, uint8_t proto, int vlan)
{
	size_t	 len = make(type, proto, vlan);

	ck_assert_int_eq(send(peer, frame, len, 0), (ssize_t)len);
}

/* Length of the next frame, -1 if none comes. */
static ssize_t
next(int timeout)
{
	struct pollfd	 pfd = { .fd = fd, .events = POLLIN };

	if (poll(&pfd, 1, timeout) != 1)
		return (-1);
	return (frameio_recv(fd, in, sizeof(in)));
}

START_TEST(receives)
{
	from_peer(ETHERTYPE_IP, 112, -1);
	ck_assert_int_eq(next(5000), LEN);
	ck_assert_mem_eq(in, frame, LEN);
	from_peer(ETHERTYPE_IPV6, 112, -1);
	ck_assert_int_eq(next(5000), LEN);
	ck_assert_mem_eq(in, frame, LEN);
	ck_assert_int_eq(frameio_recv(fd, in, sizeof(in)), -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

/* What follows the others, and arrives, shows that they did not. */
START_TEST(nothing_else)
{
	from_peer(ETHERTYPE_IP, 17, -1);
	from_peer(ETHERTYPE_IPV6, 58, -1);
	from_peer(ETHERTYPE_ARP, 112, -1);
	from_peer(ETHERTYPE_IP, 112, 5);	/* of VLAN 5 */
	from_peer(ETHERTYPE_IPV6, 112, 5);
	from_peer(ETHERTYPE_IP, 112, 0);	/* priority only: ours */
	ck_assert_int_eq(next(5000), LEN - 4);
	ck_assert_int_eq(next(QUIET), -1);
}
END_TEST

/* Both ways in one call; a frame the kernel refuses is told by its place. */
START_TEST(several)
{
	static uint8_t		 room[4][FRAMEIO_MTU], tiny[4], huge[4096];
	struct frameio_vec	 v[4], out[3];
	size_t			 i, n;

	for (i = 0; i < 3; i++)
		from_peer(i == 1 ? ETHERTYPE_IPV6 : ETHERTYPE_IP, 112, -1);
	for (n = 0; n < 3; ) {
		for (i = 0; i < 4; i++)
			v[i] = (struct frameio_vec){ room[i],
			    sizeof(room[i]) };
		n += frameio_recvv(fd, v, 4);
		ck_assert_uint_eq(v[0].len, LEN);
	}
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(frameio_recvv(fd, v, 4), 0);
	make(ETHERTYPE_IP, 112, -1);
	out[0] = out[2] = (struct frameio_vec){ frame, LEN };
	out[1] = (struct frameio_vec){ huge, sizeof(huge) };
	ck_assert_uint_eq(frameio_sendv(fd, out, 3), 1);
	ck_assert_int_eq(errno, EMSGSIZE);
	out[1] = (struct frameio_vec){ tiny, sizeof(tiny) };
	ck_assert_uint_eq(frameio_sendv(fd, out + 1, 2), 0);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(frameio_sendv(fd, out + 2, 1), 1);
}
END_TEST

START_TEST(no_echo)
{
	int	 other;

	ck_assert_int_eq(frameio_send(fd, frame,
	    make(ETHERTYPE_IP, 112, -1)), 0);
	ck_assert_int_ne(other = frameio_open("v0",
	    (int)if_nametoindex("v0")), -1);
	ck_assert_int_eq(frameio_send(other, frame, LEN), 0);
	ck_assert_int_eq(next(QUIET), -1);
}
END_TEST

/* What is sent from there comes to the peer, among what IPv6 says. */
static void
arrives(int from, size_t len)
{
	struct pollfd	 pfd = { .fd = peer, .events = POLLIN };

	ck_assert_int_eq(frameio_send(from, frame, len), 0);
	do {
		ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
		ck_assert_int_gt(recv(peer, in, sizeof(in), 0), 0);
	} while (memcmp(in, frame, len) != 0);
}

START_TEST(sends)
{
	arrives(fd, make(ETHERTYPE_IP, 112, -1));
}
END_TEST

/* Bytes that wait in a socket. */
static uint32_t
waiting(int s)
{
	uint32_t	 mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t	 len = sizeof(mem);

	ck_assert_int_eq(getsockopt(s, SOL_SOCKET, SO_MEMINFO, mem, &len), 0);
	return (mem[SK_MEMINFO_RMEM_ALLOC]);
}

/* Nobody reads from it: what came would stay there until it is full. */
START_TEST(for_sending_only)
{
	int	 out;

	ck_assert_int_ne(out = frameio_open_out("v0",
	    (int)if_nametoindex("v0")), -1);
	from_peer(ETHERTYPE_IP, 112, -1);
	from_peer(ETHERTYPE_IPV6, 112, -1);
	ck_assert_int_eq(next(5000), LEN);	/* they have come in */
	ck_assert_int_eq(next(5000), LEN);
	ck_assert_uint_eq(waiting(out), 0);
	NETNS_RUN("ip link set v0 down && ip link set v0 up");
	netns_await_link("v0");
	netns_await_link("v1");
	from_peer(ETHERTYPE_IP, 112, -1);
	(void)next(5000);			/* ENETDOWN first */
	ck_assert_int_eq(next(5000), LEN);
	ck_assert_uint_eq(waiting(out), 0);
	arrives(out, make(ETHERTYPE_IP, 112, -1));
	close(out);
}
END_TEST

START_TEST(seen_by_the_classifier)
{
	NETNS_RUN("tc qdisc add dev v0 clsact");
	/* drop (2) what bears the mark at egress, everything at ingress */
	NETNS_RUN("tc filter add dev v0 egress bpf da bytecode "
	    "'4,32 0 0 4294963220,21 0 1 %u,6 0 0 2,6 0 0 0'", STEER_MARK);
	NETNS_RUN("tc filter add dev v0 ingress bpf da bytecode '1,6 0 0 2'");
	ck_assert_int_eq(frameio_send(fd, frame,
	    make(ETHERTYPE_IP, 112, -1)), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	/* and yet what it drops comes in here */
	from_peer(ETHERTYPE_IP, 112, -1);
	ck_assert_int_eq(next(5000), LEN);
}
END_TEST

START_TEST(filter_is_locked)
{
	int	 zero = 0;

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &zero,
	    sizeof(zero)), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &zero,
	    sizeof(zero)), -1);
}
END_TEST

START_TEST(options)
{
	unsigned int	 mark = 0;
	int		 prio = 0;
	socklen_t	 len = sizeof(mark);

	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
	ck_assert_uint_eq(mark, STEER_MARK);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &prio,
	    &len), 0);
	ck_assert_int_eq(prio, 6);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}
END_TEST

START_TEST(link_down)
{
	NETNS_RUN("ip link set v0 down");
	ck_assert_int_eq(frameio_recv(fd, in, sizeof(in)), -1);
	ck_assert_int_eq(errno, ENETDOWN);
	ck_assert_int_eq(frameio_send(fd, frame,
	    make(ETHERTYPE_IP, 112, -1)), -1);
	ck_assert_int_eq(errno, ENETDOWN);
	NETNS_RUN("ip link set v0 up");
	ck_assert_int_eq(frameio_send(fd, frame, LEN), 0);
	NETNS_RUN("ip link del v0");
	ck_assert_int_eq(frameio_recv(fd, in, sizeof(in)), -1);
	ck_assert_int_eq(frameio_send(fd, frame, LEN), -1);
	ck_assert_int_eq(errno, ENXIO);
}
END_TEST

START_TEST(no_such_interface)
{
	ck_assert_int_eq(frameio_open("none", 4711), -1);
	ck_assert_int_eq(errno, ENODEV);
}
END_TEST

START_TEST(joins)
{
	int	 fds[2];

	frameio_join("v0", (int)if_nametoindex("v0"), fds);
	ck_assert_int_ne(fds[0], -1);
	ck_assert_int_ne(fds[1], -1);
	ck_assert(netns_try("ip maddr show dev v0 | grep -q 224.0.0.18"));
	ck_assert(netns_try("ip maddr show dev v0 | grep -q ff02::12"));
	from_peer(ETHERTYPE_IP, 112, -1);
	ck_assert_int_eq(next(5000), LEN);
	ck_assert_int_eq(recv(fds[0], in, sizeof(in), 0), -1);
	close(fds[0]);
	close(fds[1]);
	ck_assert(netns_try("! ip maddr show dev v0 | grep -q 224.0.0.18"));
	/* without a group they still want what is for this host */
	frameio_join("none", 4711, fds);
	ck_assert_int_ne(fds[0], -1);
	ck_assert_int_ne(fds[1], -1);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* One IP packet as a frame: an empty Ethernet header, then what counts. */
static size_t
packet(const struct ipaddr *src, const struct ipaddr *dst, const char *payload)
{
	struct frame_meta	 m = { .src = *src, .dst = *dst, .proto = 112,
				    .ttl = 255, .id = 7 };
	size_t			 head, len = strlen(payload);

	ck_assert_uint_ne(head = frame_ip(in, sizeof(in), &m, len), 0);
	memcpy(in + head, payload, len);
	return (head + len);
}

/* The next frame of that protocol at the other end, into *f. */
static void
next_at_peer(struct frame_ip *f)
{
	struct pollfd	 pfd = { .fd = peer, .events = POLLIN };
	ssize_t		 n;

	do {
		ck_assert_int_eq(poll(&pfd, 1, 5000), 1);
		ck_assert_int_gt(n = recv(peer, in, sizeof(in), 0), 0);
	} while (frame_peel(in, (size_t)n, f) != FRAME_OK || f->proto != 112);
}

/* The kernel finds the neighbour; what we say as whom stays as it is. */
START_TEST(unicast)
{
	static const struct {
		const char	*src, *dst;
	}		 t[] = {
		{ "192.0.2.1", "192.0.2.2" },
		{ "192.0.2.77", "192.0.2.2" },
		{ "2001:db8::1", "2001:db8::2" },
		{ "2001:db8::1", "fe80::2" },
	};
	const int	 v0 = (int)if_nametoindex("v0");
	struct ipaddr	 src, dst;
	struct frame_ip	 f;
	int		 ip;
	size_t		 i, len;

	NETNS_RUN("ip link set v1 address 02:00:00:00:00:99 && "
	    "ip addr add 192.0.2.1/24 dev v0 && "
	    "ip addr add 2001:db8::1/64 dev v0 nodad && "
	    "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev v0 && "
	    "ip neigh add 2001:db8::2 lladdr 02:00:00:00:00:99 dev v0 && "
	    "ip neigh add fe80::2 lladdr 02:00:00:00:00:99 dev v0");
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_int_eq(ipaddr_parse(t[i].src, &src, NULL), 0);
		ck_assert_int_eq(ipaddr_parse(t[i].dst, &dst, NULL), 0);
		ck_assert_int_ne(ip = frameio_open_ip(v0, dst.af), -1);
		len = packet(&src, &dst, "advertisement");
		ck_assert_int_eq(frameio_send_ip(ip, v0, in, len, &dst), 0);
		next_at_peer(&f);
		ck_assert_mem_eq(f.eth_dst, "\2\0\0\0\0\x99", 6);
		ck_assert_int_eq(ipaddr_cmp(&f.src, &src), 0);
		ck_assert_int_eq(ipaddr_cmp(&f.dst, &dst), 0);
		ck_assert_uint_eq(f.ttl, 255);
		ck_assert_mem_eq(f.payload, "advertisement", 13);
		/* it is for sending only */
		ck_assert_int_eq(recv(ip, in, sizeof(in), 0), -1);
		ck_assert_int_eq(errno, EAGAIN);
		close(ip);
	}
}
END_TEST

/*
 * What waits for neighbours that do not answer, 208 KiB for each of them, must
 * not take the room from those who do.
 */
START_TEST(unicast_dead_peers)
{
	const int	 v0 = (int)if_nametoindex("v0");
	struct ipaddr	 src, dst;
	char		 text[32];
	size_t		 i, k, len;
	int		 ip;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0 && "
	    "ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev v0");
	ck_assert_int_eq(ipaddr_parse("192.0.2.1", &src, NULL), 0);
	ck_assert_int_ne(ip = frameio_open_ip(v0, AF_INET), -1);
	for (k = 16; k >= 2; k--)	/* the last one is there */
		for (i = 0; i < 400; i++) {
			(void)snprintf(text, sizeof(text), "192.0.2.%zu", k);
			ck_assert_int_eq(ipaddr_parse(text, &dst, NULL), 0);
			len = packet(&src, &dst, "advertisement");
			ck_assert_msg(frameio_send_ip(ip, v0, in, len,
			    &dst) == 0, "%s: %s", text, strerror(errno));
		}
	close(ip);
}
END_TEST

START_TEST(unicast_errors)
{
	const int	 v0 = (int)if_nametoindex("v0");
	struct ipaddr	 src, dst;
	size_t		 len;
	int		 ip;

	ck_assert_int_eq(ipaddr_parse("192.0.2.1", &src, NULL), 0);
	ck_assert_int_eq(ipaddr_parse("192.0.2.2", &dst, NULL), 0);
	ck_assert_int_ne(ip = frameio_open_ip(v0, AF_INET), -1);
	len = packet(&src, &dst, "advertisement");
	/* nobody there: no error, whatever the neighbour table has to say */
	ck_assert_int_eq(frameio_send_ip(ip, v0, in, len, &dst), 0);
	ck_assert_int_eq(frameio_send_ip(ip, v0, in, 13, &dst), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(frameio_send_ip(-1, v0, in, len, &dst), -1);
	ck_assert_int_eq(errno, EBADF);
	NETNS_RUN("ip link del v0");
	ck_assert_int_eq(frameio_send_ip(ip, v0, in, len, &dst), -1);
	close(ip);
	ck_assert_int_eq(frameio_open_ip(v0, AF_UNIX), -1);
}
END_TEST

static TCase *
frameio_case(void)
{
	TCase	*tc = tcase_create("frameio");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, receives);
	tcase_add_test(tc, unicast);
	tcase_add_test(tc, unicast_errors);
	tcase_add_test(tc, unicast_dead_peers);
	tcase_add_test(tc, for_sending_only);
	tcase_add_test(tc, nothing_else);
	tcase_add_test(tc, several);
	tcase_add_test(tc, no_echo);
	tcase_add_test(tc, sends);
	tcase_add_test(tc, seen_by_the_classifier);
	tcase_add_test(tc, filter_is_locked);
	tcase_add_test(tc, options);
	tcase_add_test(tc, link_down);
	tcase_add_test(tc, no_such_interface);
	tcase_add_test(tc, joins);
	return (tc);
}

int
main(void)
{
	Suite	*s = suite_create("frameio");
	SRunner	*sr;
	int	 failed;

	if (!netns_possible())
		return (0);
	suite_add_tcase(s, frameio_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
