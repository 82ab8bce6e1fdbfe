/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/os/kif: what is told of interfaces that ip(8) makes, changes and
 * removes in a network namespace.  Needs root.
 */
#include <sys/socket.h>

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <check.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../../common/monotime.h"
#include "../../common/os/kif.h"
#include "netns.h"
#include "skip.h"

#define EVENTS_MAX	4096
#define WAIT		(10 * MONOTIME_SEC)

static struct kif_event	 events[EVENTS_MAX];
static size_t		 nevents;
static struct kif	*kif;
static int		 fd;

static void
note_event(const struct kif_event *e, void *arg)
{
	ck_assert_ptr_eq(arg, &kif);
	ck_assert_uint_lt(nevents, EVENTS_MAX);
	events[nevents++] = *e;
}

static void
setup(void)
{
	netns_enter();
	NETNS_RUN("ip link set lo up");
	NETNS_RUN("ip link add v0 address 02:00:00:00:00:01 mtu 1400 "
	    "type veth peer name v1");
	ck_assert_int_ne(fd = kif_open(true), -1);
	ck_assert_ptr_nonnull(kif = kif_from_fd(fd, note_event, &kif));
}

static void
teardown(void)
{
	kif_free(kif);
}

/* Latest event of that type about the interface, NULL if there is none. */
static struct kif_event *
last(enum kif_event_type type, const char *ifname)
{
	size_t	 i;

	for (i = nevents; i > 0; i--) {
		if (events[i - 1].type == type &&
		    strcmp(events[i - 1].ifname, ifname) == 0)
			return (&events[i - 1]);
	}
	return (NULL);
}

static struct kif_event *
last_addr(enum kif_event_type type, const char *ifname, const char *text)
{
	struct ipaddr	 a;
	size_t		 i;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	for (i = nevents; i > 0; i--) {
		if (events[i - 1].type == type &&
		    strcmp(events[i - 1].ifname, ifname) == 0 &&
		    memcmp(&events[i - 1].addr, &a, sizeof(a)) == 0)
			return (&events[i - 1]);
	}
	return (NULL);
}

static bool
wait_more(monotime_t end)
{
	struct pollfd	 pfd = { .fd = fd, .events = POLLIN };

	if (monotime_cmp(monotime_now(), end) > 0)
		return (false);
	if (poll(&pfd, 1, 100) == 1)
		kif_read(kif);
	return (true);
}

#define AWAIT_KIF(cond) do {						\
	monotime_t end_ = monotime_add(monotime_now(), WAIT);		\
									\
	while (!(cond))							\
		ck_assert_msg(wait_more(end_), "waited in vain for %s",	\
		    #cond);						\
} while (0)

/* Everything there is; lo's IPv6 address is the last of it. */
static void
dump(void)
{
	ck_assert_int_eq(kif_dump(kif), 0);
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "lo", "::1/128") != NULL);
}

START_TEST(dump_tells_links)
{
	static const uint8_t	 mac[6] = { 2, 0, 0, 0, 0, 1 };
	const struct kif_event	*e;

	NETNS_RUN("ip link add b0 type bridge");
	dump();
	ck_assert_ptr_nonnull(e = last(KIF_LINK, "lo"));
	ck_assert(e->up && e->running && !e->ethernet && !e->bridge);
	ck_assert_ptr_nonnull(e = last(KIF_LINK, "v0"));
	ck_assert(!e->up && !e->running && e->ethernet && !e->bridge);
	ck_assert_int_eq(e->ifindex, (int)if_nametoindex("v0"));
	ck_assert_mem_eq(e->mac, mac, sizeof(mac));
	ck_assert_uint_eq(e->mtu, 1400);
	ck_assert_ptr_nonnull(e = last(KIF_LINK, "b0"));
	ck_assert(e->ethernet && e->bridge);
}
END_TEST

START_TEST(dump_tells_addresses)
{
	const struct kif_event	*e;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	NETNS_RUN("ip addr add 192.0.2.9 peer 198.51.100.1/32 dev v0");
	netns_marked("v0", "192.0.2.1/32", KIF_PROTO_CARPD);
	netns_marked("lo", "2001:db8::1/64", KIF_PROTO_CARPD);
	dump();
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "lo", "2001:db8::1/64") != NULL);
	e = last_addr(KIF_ADDR_ADD, "lo", "2001:db8::1/64");
	ck_assert_uint_eq(e->proto, KIF_PROTO_CARPD);
	ck_assert(!e->tentative);
	e = last_addr(KIF_ADDR_ADD, "v0", "192.0.2.1/24");
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->proto, 0);
	e = last_addr(KIF_ADDR_ADD, "v0", "192.0.2.1/32");
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->proto, KIF_PROTO_CARPD);
	ck_assert_ptr_nonnull(last_addr(KIF_ADDR_ADD, "v0", "192.0.2.9/32"));
}
END_TEST

START_TEST(link_goes_down_and_up)
{
	dump();
	NETNS_RUN("ip link set v0 up");
	AWAIT_KIF(last(KIF_LINK, "v0")->up);
	ck_assert(!last(KIF_LINK, "v0")->running);	/* v1 is down */
	NETNS_RUN("ip link set v1 up");
	AWAIT_KIF(last(KIF_LINK, "v0")->running);
	NETNS_RUN("ip link set v1 down");
	AWAIT_KIF(!last(KIF_LINK, "v0")->running);
	ck_assert(last(KIF_LINK, "v0")->up);
	NETNS_RUN("ip link set v0 down");
	AWAIT_KIF(!last(KIF_LINK, "v0")->up);
}
END_TEST

START_TEST(addresses_come_and_go)
{
	dump();
	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "v0", "192.0.2.1/24") != NULL);
	NETNS_RUN("ip addr del 192.0.2.1/24 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.1/24") != NULL);
	ck_assert_uint_eq(last_addr(KIF_ADDR_DEL, "v0",
	    "192.0.2.1/24")->proto, 0);
	netns_marked("v0", "192.0.2.3/32", KIF_PROTO_CARPD);
	NETNS_RUN("ip addr del 192.0.2.3/32 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.3/32") != NULL);
	ck_assert_uint_eq(last_addr(KIF_ADDR_DEL, "v0",
	    "192.0.2.3/32")->proto, KIF_PROTO_CARPD);
}
END_TEST

/* Ours are told when they go, and in a dump. */
START_TEST(ours_skipped)
{
	kif_skip_ours(fd);
	dump();
	netns_marked("v0", "192.0.2.3/32", KIF_PROTO_CARPD);
	netns_marked("lo", "2001:db8::1/64", KIF_PROTO_CARPD);
	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "v0", "192.0.2.1/24") != NULL);
	ck_assert_ptr_null(last_addr(KIF_ADDR_ADD, "v0", "192.0.2.3/32"));
	ck_assert_ptr_null(last_addr(KIF_ADDR_ADD, "lo", "2001:db8::1/64"));
	NETNS_RUN("ip addr del 192.0.2.3/32 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.3/32") != NULL);
	ck_assert_uint_eq(last_addr(KIF_ADDR_DEL, "v0",
	    "192.0.2.3/32")->proto, KIF_PROTO_CARPD);
	dump();
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "lo", "2001:db8::1/64") != NULL);
}
END_TEST

/* Was it ever told as tentative? */
static bool
was_tentative(const char *ifname, const char *text)
{
	struct ipaddr	 a;
	size_t		 i;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	for (i = 0; i < nevents; i++) {
		if (events[i].type == KIF_ADDR_ADD && events[i].tentative &&
		    strcmp(events[i].ifname, ifname) == 0 &&
		    memcmp(&events[i].addr, &a, sizeof(a)) == 0)
			return (true);
	}
	return (false);
}

START_TEST(tentative)
{
	dump();
	NETNS_RUN("ip addr add 2001:db8::2/64 dev v0");
	NETNS_RUN("ip link set v0 up && ip link set v1 up");
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "v0", "2001:db8::2/64") != NULL);
	AWAIT_KIF(!last_addr(KIF_ADDR_ADD, "v0",
	    "2001:db8::2/64")->tentative);
	ck_assert(was_tentative("v0", "2001:db8::2/64"));
}
END_TEST

START_TEST(duplicate_is_tentative)
{
	NETNS_RUN("ip link set v0 up && ip link set v1 up");
	dump();
	NETNS_RUN("ip addr add 2001:db8::3/64 dev v1 nodad");
	NETNS_RUN("ip addr add 2001:db8::3/64 dev v0");
	AWAIT_KIF(netns_try("ip addr show dev v0 | grep -q dadfailed"));
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "v0", "2001:db8::3/64") != NULL);
	ck_assert(last_addr(KIF_ADDR_ADD, "v0",
	    "2001:db8::3/64")->tentative);
}
END_TEST

START_TEST(rename_is_gone_and_new)
{
	int	 ifindex;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	dump();
	ifindex = last(KIF_LINK, "v0")->ifindex;
	NETNS_RUN("ip link set v0 name w0");
	AWAIT_KIF(last(KIF_LINK, "w0") != NULL);
	ck_assert_ptr_nonnull(last(KIF_GONE, "v0"));
	ck_assert_ptr_nonnull(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.1/24"));
	ck_assert(last(KIF_GONE, "v0") < last(KIF_LINK, "w0"));
	ck_assert_int_eq(last(KIF_GONE, "v0")->ifindex, ifindex);
	ck_assert(last(KIF_GONE, "v0")->renamed);
	ck_assert_int_eq(last(KIF_LINK, "w0")->ifindex, ifindex);
	AWAIT_KIF(last_addr(KIF_ADDR_ADD, "w0", "192.0.2.1/24") != NULL);
}
END_TEST

START_TEST(removed)
{
	int	 ifindex;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	dump();
	ifindex = last(KIF_LINK, "v0")->ifindex;
	NETNS_RUN("ip link del v0");
	AWAIT_KIF(last(KIF_GONE, "v0") != NULL);
	ck_assert(!last(KIF_GONE, "v0")->renamed);
	ck_assert_ptr_nonnull(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.1/24"));
	ck_assert(last(KIF_ADDR_DEL, "v0") < last(KIF_GONE, "v0"));
	NETNS_RUN("ip link add v0 type veth peer name v1");
	AWAIT_KIF(last(KIF_LINK, "v0") > last(KIF_GONE, "v0"));
	ck_assert_int_ne(last(KIF_LINK, "v0")->ifindex, ifindex);
}
END_TEST

/* A macvlan gets what is for its own MAC, except in mode passthru. */
START_TEST(macvlan_modes)
{
	if (!netns_try("ip link add m0 link v0 type macvlan mode bridge")) {
		skip_because("this kernel has no macvlan");
		return;
	}
	dump();
	ck_assert(last(KIF_LINK, "m0")->macvlan);
	ck_assert(!last(KIF_LINK, "v0")->macvlan);
	NETNS_RUN("ip link del m0");
	NETNS_RUN("ip link add m1 link v0 type macvlan mode passthru");
	AWAIT_KIF(last(KIF_LINK, "m1") != NULL);
	ck_assert(!last(KIF_LINK, "m1")->macvlan);
}
END_TEST

START_TEST(port_of_a_bridge)
{
	NETNS_RUN("ip link add b0 type bridge");
	dump();
	ck_assert_int_eq(last(KIF_LINK, "v0")->master, 0);
	NETNS_RUN("ip link set v0 master b0");
	AWAIT_KIF(last(KIF_LINK, "v0")->master ==
	    last(KIF_LINK, "b0")->ifindex);
	NETNS_RUN("ip link set v0 nomaster");
	AWAIT_KIF(last(KIF_LINK, "v0")->master == 0);
}
END_TEST

/* A port that leaves its bridge is told by a DELLINK of the bridge's. */
START_TEST(bridge_port_stays)
{
	NETNS_RUN("ip link add b0 type bridge");
	NETNS_RUN("ip link set v0 master b0 up");
	dump();
	NETNS_RUN("ip link set v0 nomaster");
	NETNS_RUN("ip link set v0 mtu 1300");
	AWAIT_KIF(last(KIF_LINK, "v0")->mtu == 1300);
	ck_assert_ptr_null(last(KIF_GONE, "v0"));
}
END_TEST

START_TEST(traffic_control)
{
	NETNS_RUN("tc qdisc add dev v0 clsact");
	NETNS_RUN("tc filter add dev v0 ingress bpf da "
	    "bytecode '1,6 0 0 0'");
	dump();
	ck_assert_ptr_null(last(KIF_TC, "v0"));
	NETNS_RUN("tc filter del dev v0 ingress");
	AWAIT_KIF(last(KIF_TC, "v0") != NULL);
	nevents = 0;
	NETNS_RUN("tc qdisc del dev v0 clsact");
	AWAIT_KIF(last(KIF_TC, "v0") != NULL);
	ck_assert_int_eq(last(KIF_TC, "v0")->ifindex,
	    (int)if_nametoindex("v0"));
}
END_TEST

/*
 * More than the buffer holds while nobody reads: what vanished and what came
 * meanwhile is told all the same.
 */
static struct kif_event	 known[16];
static size_t		 nknown;

static void
note_known(const struct kif_event *e, void *arg)
{
	ck_assert_ptr_eq(arg, known);
	ck_assert_uint_lt(nknown, sizeof(known) / sizeof(known[0]));
	if (e->addr.af == AF_INET)
		known[nknown++] = *e;
}

START_TEST(each_addr)
{
	static const struct {
		const char	*ifname, *addr;
		bool		 ethernet, macvlan;
		uint8_t		 proto;
	} want[] = {
		{ "lo", "127.0.0.1/8", false, false, 0 },
		{ "v0", "192.0.2.1/24", true, false, 0 },
		{ "v0", "192.0.2.3/32", true, false, KIF_PROTO_CARPD },
		{ "mv", "192.0.2.4/24", true, true, 0 },
	};
	const size_t	 n = sizeof(want) / sizeof(want[0]);
	struct ipaddr	 a;
	size_t		 i, k, mv;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	NETNS_RUN("ip addr add 192.0.2.2/24 dev v0");
	netns_marked("v0", "192.0.2.3/32", KIF_PROTO_CARPD);
	mv = netns_try("ip link add mv link v0 type macvlan 2>/dev/null");
	if (mv == 0)
		printf("# no macvlan in this kernel: one line less is asked\n");
	else
		NETNS_RUN("ip addr add 192.0.2.4/24 dev mv");
	ck_assert_int_eq(kif_dump(kif), 0);
	ck_assert(!kif_idle(kif));
	AWAIT_KIF(kif_idle(kif));
	NETNS_RUN("ip addr del 192.0.2.2/24 dev v0");
	AWAIT_KIF(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.2/24") != NULL);
	nknown = 0;
	kif_each_addr(kif, note_known, known);
	ck_assert_uint_eq(nknown, n - 1 + mv);
	for (i = 0; i < n - 1 + mv; i++) {
		ck_assert_int_eq(ipaddr_parse(want[i].addr, &a, NULL), 0);
		for (k = 0; k < nknown; k++)
			if (memcmp(&known[k].addr, &a, sizeof(a)) == 0)
				break;
		ck_assert_msg(k < nknown, "%s is missing", want[i].addr);
		ck_assert_str_eq(known[k].ifname, want[i].ifname);
		ck_assert_int_eq(known[k].ifindex,
		    (int)if_nametoindex(want[i].ifname));
		ck_assert_int_eq(known[k].ethernet, want[i].ethernet);
		ck_assert_int_eq(known[k].macvlan, want[i].macvlan);
		ck_assert_uint_eq(known[k].proto, want[i].proto);
	}
}
END_TEST

START_TEST(overrun)
{
	int	 i, size = 4096;

	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	NETNS_RUN("ip link add gone0 type veth peer name gone1");
	dump();
	ck_assert_ptr_nonnull(last(KIF_LINK, "gone0"));
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size)), 0);
	for (i = 0; i < 50; i++)
		NETNS_RUN("ip link set v0 mtu %d", 1300 + i);
	NETNS_RUN("ip link del gone0");
	NETNS_RUN("ip addr del 192.0.2.1/24 dev v0");
	NETNS_RUN("ip addr add 192.0.2.2/24 dev v0");
	nevents = 0;
	AWAIT_KIF(last(KIF_OVERRUN, "") != NULL);
	AWAIT_KIF(last(KIF_GONE, "gone0") != NULL);
	AWAIT_KIF(last_addr(KIF_ADDR_DEL, "v0", "192.0.2.1/24") != NULL);
	ck_assert_ptr_nonnull(last_addr(KIF_ADDR_ADD, "v0", "192.0.2.2/24"));
	ck_assert_uint_eq(last(KIF_LINK, "v0")->mtu, 1349);
	ck_assert_ptr_null(last(KIF_GONE, "v0"));
}
END_TEST

/* Asked while one runs: another follows. */
START_TEST(dump_twice)
{
	size_t	 i, n = 0;

	ck_assert_int_eq(kif_dump(kif), 0);
	ck_assert_int_eq(kif_dump(kif), 0);
	AWAIT_KIF(nevents > 0);
	nevents = 0;
	dump();
	AWAIT_KIF(last(KIF_LINK, "v0") != NULL);
	for (i = 0; i < nevents; i++)
		n += events[i].type == KIF_GONE;
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* ---- what no kernel says ---- */

static void
say(int to, const struct nlmsghdr *h)
{
	ck_assert_int_eq(send(to, h, h->nlmsg_len, 0), (int)h->nlmsg_len);
	kif_read(kif);
}

static void
say_link(int to, const char *name, size_t namelen, size_t mtulen)
{
	_Alignas(8) char	 buf[256];
	struct nlmsghdr		*h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg	*ifi;
	uint32_t		 mtu = 1500;

	h->nlmsg_type = RTM_NEWLINK;
	ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_index = 7;
	mnl_attr_put(h, IFLA_IFNAME, namelen, name);
	mnl_attr_put(h, IFLA_MTU, mtulen, &mtu);
	say(to, h);
}

static void
say_addr(int to, uint8_t plen, size_t flagslen)
{
	_Alignas(8) char	 buf[256];
	struct nlmsghdr		*h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg	*ifa;
	uint32_t		 flags = IFA_F_TENTATIVE;

	h->nlmsg_type = RTM_NEWADDR;
	ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = plen;
	ifa->ifa_index = 7;
	mnl_attr_put(h, IFA_LOCAL, 4, "\300\0\2\1");
	mnl_attr_put(h, IFA_FLAGS, flagslen, &flags);
	mnl_attr_put(h, IFA_PROTO, 0, NULL);
	say(to, h);
}

/* Found by tests/fuzz/rtnetlink_fuzz: lengths were taken for granted. */
START_TEST(makes_no_sense)
{
	const struct kif_event	*e;
	int			 sv[2];

	nevents = 0;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	ck_assert_ptr_nonnull(kif = kif_from_fd(sv[0], note_event, &kif));
	say_link(sv[1], "dev7", 4, 4);		/* without its NUL */
	say_link(sv[1], "", 0, 4);
	say_link(sv[1], "a-name-that-is-too-long", 24, 4);
	say_link(sv[1], "dev7", 5, 2);
	ck_assert_uint_eq(nevents, 0);
	say_link(sv[1], "dev7", 5, 4);
	ck_assert_ptr_nonnull(e = last(KIF_LINK, "dev7"));
	ck_assert_uint_eq(e->mtu, 1500);
	say_addr(sv[1], 33, 4);
	ck_assert_uint_eq(nevents, 1);
	say_addr(sv[1], 24, 4);
	ck_assert_ptr_nonnull(e = last_addr(KIF_ADDR_ADD, "dev7",
	    "192.0.2.1/24"));
	ck_assert(e->tentative && e->proto == 0);
	say_addr(sv[1], 24, 2);
	ck_assert_uint_eq(nevents, 3);
	ck_assert(!events[2].tentative);
	kif_free(kif);
	close(sv[1]);
}
END_TEST

START_TEST(without_rights)
{
	ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	ck_assert_int_eq(open("/proc/sys/net/ipv4/ip_forward", O_WRONLY), -1);
	dump();
	ck_assert_ptr_nonnull(last(KIF_LINK, "v0"));
}
END_TEST

START_TEST(events_without_rights)
{
	int	 go[2];
	char	 c;
	pid_t	 pid;

	dump();
	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		(void)!read(go[0], &c, 1);
		_exit(netns_try("ip link set v0 mtu 1234") ? 0 : 1);
	}
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	ck_assert_int_eq(write(go[1], "", 1), 1);
	AWAIT_KIF(last(KIF_LINK, "v0")->mtu == 1234);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

static TCase *
kif_case(void)
{
	TCase	*tc = tcase_create("kif");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, dump_tells_links);
	tcase_add_test(tc, dump_tells_addresses);
	tcase_add_test(tc, link_goes_down_and_up);
	tcase_add_test(tc, addresses_come_and_go);
	tcase_add_test(tc, ours_skipped);
	tcase_add_test(tc, tentative);
	tcase_add_test(tc, duplicate_is_tentative);
	tcase_add_test(tc, rename_is_gone_and_new);
	tcase_add_test(tc, removed);
	tcase_add_test(tc, bridge_port_stays);
	tcase_add_test(tc, macvlan_modes);
	tcase_add_test(tc, port_of_a_bridge);
	tcase_add_test(tc, traffic_control);
	tcase_add_test(tc, each_addr);
	tcase_add_test(tc, overrun);
	tcase_add_test(tc, dump_twice);
	tcase_add_test(tc, without_rights);
	tcase_add_test(tc, events_without_rights);
	return (tc);
}

static TCase *
nonsense_case(void)
{
	TCase	*tc = tcase_create("nonsense");

	tcase_add_test(tc, makes_no_sense);
	return (tc);
}

int
main(void)
{
	Suite	*s = suite_create("kif");
	SRunner	*sr;
	int	 failed;

	if (!netns_possible())
		return (0);
	suite_add_tcase(s, kif_case());
	suite_add_tcase(s, nonsense_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
