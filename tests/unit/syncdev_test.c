/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/syncdev: which address speaks, and what the engine is told when the
 * interface, its addresses and its link come and go.  The sockets are made
 * here, of nothing, so no right is needed.
 */
#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "pfsyncd/os/syncsock.h"
#include "pfsyncd/syncdev.h"

static struct syncdev	*dev;
static int		 nfds_before;
static unsigned int	 nsockets, nlinks;
static struct sync_socket sock;		/* told last */
static struct sync_link	 linked;	/* told last */
static int		 refuse;	/* errno of the next open, 0: none */

/* ---- instead of os/syncsock ---- */

enum sync_sock
syncsock_kind(const struct ipaddr *dst)
{
	if (dst->af == AF_INET6)
		return (SYNC_SOCK_RAW6);
	return (ipaddr_is_multicast(dst) ? SYNC_SOCK_PACKET : SYNC_SOCK_RAW4);
}

static int
nothing(void)
{
	return (open("/dev/null", O_RDONLY | O_CLOEXEC));
}

int
syncsock_open(enum sync_sock kind, const char *name, int ifindex,
    const struct ipaddr *src, const struct ipaddr *dst, int *hold)
{
	ck_assert(kind == syncsock_kind(dst));
	ck_assert_str_eq(name, "sync0");
	ck_assert_int_gt(ifindex, 0);
	ck_assert_int_eq(src->af, dst->af);
	if (refuse != 0) {
		errno = refuse;
		return (-1);
	}
	*hold = kind == SYNC_SOCK_PACKET ? nothing() : -1;
	return (nothing());
}

/* ---- what happens ---- */

static void
got_socket(int fd, const struct sync_socket *s, void *arg)
{
	ck_assert_ptr_eq(arg, &nsockets);
	close(fd);
	sock = *s;
	nsockets++;
	ev_stop();
}

static void
got_link(const struct sync_link *l, void *arg)
{
	ck_assert_ptr_eq(arg, &nsockets);
	linked = *l;
	nlinks++;
	ev_stop();
}

static struct ipaddr
addr(const char *text)
{
	struct ipaddr a;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	return (a);
}

static void
conf(const char *dst)
{
	struct ipaddr a = addr(dst);

	syncdev_conf(dev, "sync0", &a);
}

static void
event(struct kif_event *k)
{
	syncdev_event(dev, k);
	syncdev_settle(dev);
}

static void
link_is(const char *name, int ifindex, bool running, uint32_t mtu)
{
	struct kif_event k;

	memset(&k, 0, sizeof(k));
	k.type = KIF_LINK;
	k.ifindex = ifindex;
	(void)strlcpy(k.ifname, name, sizeof(k.ifname));
	k.up = k.running = running;
	k.mtu = mtu;
	k.mac[5] = (uint8_t)ifindex;
	event(&k);
}

static void
addr_event(enum kif_event_type type, int ifindex, const char *text,
    bool tentative, uint8_t proto)
{
	struct kif_event k;

	memset(&k, 0, sizeof(k));
	k.type = type;
	k.ifindex = ifindex;
	k.addr = addr(text);
	k.tentative = tentative;
	k.proto = proto;
	event(&k);
}

static void
gone(int ifindex)
{
	struct kif_event k;

	memset(&k, 0, sizeof(k));
	k.type = KIF_GONE;
	k.ifindex = ifindex;
	event(&k);
}

static void
add(const char *text)
{
	addr_event(KIF_ADDR_ADD, 7, text, false, 0);
}

static void
del(const char *text)
{
	addr_event(KIF_ADDR_DEL, 7, text, false, 0);
}

static void
expect_socket(unsigned int n, const char *src, const char *dst)
{
	struct ipaddr s = addr(src), d = addr(dst);

	ck_assert_uint_eq(nsockets, n);
	ck_assert_str_eq(sock.syncdev, "sync0");
	ck_assert_mem_eq(&sock.src, &s, sizeof(s));
	ck_assert_mem_eq(&sock.dst, &d, sizeof(d));
}

static void
expect_link(int ifindex, bool running)
{
	ck_assert_int_eq(linked.ifindex, ifindex);
	ck_assert_int_eq(linked.running, running);
}

static void
setup(void)
{
	struct syncdev_cbs cbs = { got_socket, got_link, &nsockets };

	nfds_before = await_nfds();
	nsockets = nlinks = 0;
	refuse = 0;
	memset(&sock, 0, sizeof(sock));
	memset(&linked, 0, sizeof(linked));
	ev_init();
	dev = syncdev_new(&cbs);
}

static void
teardown(void)
{
	syncdev_free(dev);
	ev_exit();
	await_noleak(nfds_before);
}

/* ---- tests ---- */

START_TEST(source)
{
	static const struct {
		const char	*dst;
		const char	*own[5];
		int		 want;
	} tab[] = {
		{ "224.0.0.240", { NULL }, -1 },
		{ "224.0.0.240", { "fe80::1/64", "2001:db8::1/64" }, -1 },
		{ "224.0.0.240", { "10.0.0.1/8", "192.0.2.1/24" }, 0 },
		{ "224.0.0.240", { "fe80::1/64", "192.0.2.1/24" }, 1 },
		/* 224.0.0.0/3 is not a network that it is in */
		{ "224.0.0.240", { "10.0.0.1/8", "192.0.2.1/0" }, 0 },
		{ "192.0.2.9", { "10.0.0.1/8", "192.0.2.1/24" }, 1 },
		{ "192.0.2.9", { "10.0.0.1/8", "192.0.2.1/24",
		    "192.0.2.2/24" }, 1 },
		{ "198.51.100.1", { "10.0.0.1/8", "192.0.2.1/24" }, 0 },
		{ "198.51.100.1", { "2001:db8::1/64" }, -1 },
		{ "ff12::f0", { "10.0.0.1/8", "2001:db8::1/64",
		    "fe80::1/64" }, 2 },
		{ "ff12::f0", { "2001:db8::1/64" }, 0 },
		{ "fe80::9", { "2001:db8::1/64", "fe80::1/64" }, 1 },
		{ "2001:db8::9", { "fe80::1/64", "2001:db8:1::1/64",
		    "2001:db8::1/64" }, 2 },
		{ "2001:db8:9::9", { "fe80::1/64", "2001:db8::1/64" }, 1 },
		{ "2001:db8:9::9", { "fe80::1/64", "192.0.2.1/24" }, 0 },
	};
	struct ipaddr own[5], dst;
	size_t i, n;

	for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
		for (n = 0; tab[i].own[n] != NULL; n++)
			own[n] = addr(tab[i].own[n]);
		dst = addr(tab[i].dst);
		ck_assert_msg(syncdev_source(own, n, &dst) == tab[i].want,
		    "line %zu", i);
	}
}
END_TEST

START_TEST(comes_and_goes)
{
	uint8_t mac[6];

	conf("224.0.0.240");
	ck_assert(!syncdev_mac(dev, mac));
	link_is("other0", 3, true, 1500);
	link_is("sync0", 7, true, 1500);
	ck_assert(syncdev_mac(dev, mac));
	ck_assert_uint_eq(mac[5], 7);
	addr_event(KIF_ADDR_ADD, 3, "10.0.0.1/8", false, 0);
	ck_assert_uint_eq(nsockets, 0);
	add("192.0.2.1/24");
	expect_socket(1, "192.0.2.1", "224.0.0.240");
	ck_assert_uint_eq(sock.mtu, 1500);
	ck_assert_uint_eq(sock.kind, SYNC_SOCK_PACKET);
	expect_link(7, true);

	/* nothing of these is new */
	add("192.0.2.1/24");
	add("192.0.2.2/24");
	add("2001:db8::1/64");
	link_is("sync0", 7, true, 1500);
	gone(3);
	ck_assert_uint_eq(nsockets, 1);
	ck_assert_uint_eq(nlinks, 1);

	/* the cable: the sockets stay */
	link_is("sync0", 7, false, 1500);
	expect_link(7, false);
	link_is("sync0", 7, true, 1500);
	expect_link(7, true);
	ck_assert_uint_eq(nsockets, 1);

	/* MTU and primary address */
	link_is("sync0", 7, true, 9000);
	expect_socket(2, "192.0.2.1", "224.0.0.240");
	ck_assert_uint_eq(sock.mtu, 9000);
	del("192.0.2.1/24");
	expect_socket(3, "192.0.2.2", "224.0.0.240");
	expect_link(7, true);

	gone(7);
	AWAIT(linked.ifindex == 0);
	expect_link(0, false);
	ck_assert(!syncdev_mac(dev, mac));
	link_is("sync0", 8, true, 1500);
	expect_link(8, false);
	addr_event(KIF_ADDR_ADD, 8, "192.0.2.2/24", false, 0);
	expect_socket(4, "192.0.2.2", "224.0.0.240");
	ck_assert_int_eq(sock.ifindex, 8);
	expect_link(8, true);
	/* re-created, and we hear of the new one first */
	link_is("sync0", 9, true, 1500);
	expect_link(9, false);
	gone(8);
	expect_link(9, false);
	ck_assert_uint_eq(nsockets, 4);
}
END_TEST

START_TEST(not_yet)
{
	conf("224.0.0.240");
	link_is("sync0", 7, true, 1500);
	/* what carpd put there moves; what is tentative may not be ours */
	addr_event(KIF_ADDR_ADD, 7, "192.0.2.100/24", false,
	    KIF_PROTO_CARPD);
	addr_event(KIF_ADDR_ADD, 7, "192.0.2.1/24", true, 0);
	ck_assert_uint_eq(nsockets, 0);
	/* a dump has its time; then it is said that nothing goes */
	ck_assert_uint_eq(nlinks, 0);
	AWAIT(nlinks == 1);
	expect_link(7, false);
	addr_event(KIF_ADDR_ADD, 7, "192.0.2.1/24", false, 0);
	expect_socket(1, "192.0.2.1", "224.0.0.240");
	expect_link(7, true);
	del("192.0.2.1/24");
	expect_link(7, false);
	add("192.0.2.1/24");
	expect_socket(2, "192.0.2.1", "224.0.0.240");
	expect_link(7, true);
}
END_TEST

START_TEST(own_syncpeer)
{
	conf("192.0.2.2");
	link_is("sync0", 7, true, 1500);
	add("10.0.0.1/8");
	add("192.0.2.1/24");
	/* one that has it in its network is better than the first */
	expect_socket(2, "192.0.2.1", "192.0.2.2");
	ck_assert_uint_eq(sock.kind, SYNC_SOCK_RAW4);
	expect_link(7, true);
	/* on whatever interface, or two of them */
	addr_event(KIF_ADDR_ADD, 3, "192.0.2.2/32", false, 0);
	AWAIT(!linked.running);
	addr_event(KIF_ADDR_ADD, 4, "192.0.2.2/32", false, 0);
	addr_event(KIF_ADDR_ADD, 4, "192.0.2.2/32", false, 0);
	addr_event(KIF_ADDR_DEL, 4, "192.0.2.2/32", false, 0);
	expect_link(7, false);
	addr_event(KIF_ADDR_DEL, 3, "192.0.2.2/32", false, 0);
	expect_link(7, true);
	expect_socket(3, "192.0.2.1", "192.0.2.2");
}
END_TEST

START_TEST(other_peer)
{
	conf("224.0.0.240");
	link_is("sync0", 7, true, 1500);
	add("192.0.2.1/24");
	add("fe80::1/64");
	conf("fe80::2");
	syncdev_settle(dev);
	/* forgotten until the dump comes */
	ck_assert_uint_eq(nsockets, 1);
	link_is("sync0", 7, true, 1500);
	add("192.0.2.1/24");
	add("fe80::1/64");
	expect_socket(2, "fe80::1", "fe80::2");
	ck_assert_uint_eq(sock.kind, SYNC_SOCK_RAW6);
	/* the link was up all the time */
	ck_assert_uint_eq(nlinks, 1);
}
END_TEST

START_TEST(refused)
{
	conf("224.0.0.240");
	refuse = EMFILE;
	link_is("sync0", 7, true, 1500);
	add("192.0.2.1/24");
	ck_assert_uint_eq(nsockets, 0);
	expect_link(7, false);
	refuse = 0;
	AWAIT(nsockets == 1 && linked.running);
	expect_socket(1, "192.0.2.1", "224.0.0.240");
}
END_TEST

START_TEST(many_addresses)
{
	char text[32];
	int i;

	conf("224.0.0.240");
	link_is("sync0", 7, true, 1500);
	for (i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "10.0.%d.%d/32", i / 250,
		    1 + i % 250);
		add(text);
	}
	expect_socket(1, "10.0.0.1", "224.0.0.240");
	for (i = 999; i > 0; i--) {
		(void)snprintf(text, sizeof(text), "10.0.%d.%d/32", i / 250,
		    1 + i % 250);
		del(text);
	}
	ck_assert_uint_eq(nsockets, 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("syncdev");
	TCase *t = tcase_create("syncdev");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, source);
	tcase_add_test(t, comes_and_goes);
	tcase_add_test(t, not_yet);
	tcase_add_test(t, own_syncpeer);
	tcase_add_test(t, other_peer);
	tcase_add_test(t, refused);
	tcase_add_test(t, many_addresses);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr) + await_leaks;
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
