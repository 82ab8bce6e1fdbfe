/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/os/vaddr: addresses, filter entries, sysctls and what is put aside,
 * in a network namespace, with a restore record of our own behind it that
 * outlives the process as the classifier's does, or gets lost as that may.
 * Needs root.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <linux/if_addr.h>
#include <linux/netlink.h>

#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/bpf/steer_map.h"
#include "../../carpd/os/vaddr.h"
#include "../../common/log.h"
#include "../../common/os/kif.h"
#include "../../common/os/lock.h"
#include "files.h"
#include "netns.h"

#define SNAP_MAX	65536
#define SYSCTL		"/proc/sys/net/ipv4/conf/"
#define SNAPSHOT							\
	"ip -o addr | sed 's/valid_lft.*//'; ip -4 route show table all;" \
	"ip -6 route show table all; bridge fdb show | sort;"		\
	"cat " SYSCTL "all/send_redirects " SYSCTL "v0/send_redirects "	\
	SYSCTL "v0/promote_secondaries " SYSCTL "v1/send_redirects "	\
	SYSCTL "v1/promote_secondaries " SYSCTL "v0/arp_announce"

/* In place of the classifier's map: seen by all our processes. */
struct steer {
	uint8_t		 record[STEER_RESTORE];
	size_t		 len;
	uint8_t		 mac[6];
	bool		 has_mac;
};

static const uint8_t	 own_mac[6] = { 2, 0, 0, 0, 0, 1 };
static struct steer	*steers;	/* of v0, of v1 */
static char		 before[SNAP_MAX], after[SNAP_MAX];
static struct vaddr	*va;

size_t
steer_restore_get(struct steer *s, void *buf, size_t size)
{
	ck_assert_uint_ge(size, s->len);
	memcpy(buf, s->record, s->len);
	return (s->len);
}

int
steer_restore_put(struct steer *s, const void *buf, size_t len)
{
	ck_assert_uint_le(len, sizeof(s->record));
	memcpy(s->record, buf, len);
	s->len = len;
	return (0);
}

void
steer_leftovers(struct steer *s,
    void (*vhid)(uint8_t, const uint8_t[6], void *),
    void (*addr)(const struct ipaddr *, void *), void *arg)
{
	(void)addr;
	if (s->has_mac)
		vhid(1, s->mac, arg);
}

static void
no_log(int pri, const char *line, void *arg)
{
	(void)pri;
	(void)line;
	(void)arg;
}

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	ck_assert_msg(ipaddr_parse(text, &a, NULL) == 0, "%s", text);
	return (a);
}

static void
snapshot(char *buf)
{
	FILE	*f = popen(SNAPSHOT, "r");
	size_t	 n;

	ck_assert_ptr_nonnull(f);
	n = fread(buf, 1, SNAP_MAX - 1, f);
	buf[n] = '\0';
	ck_assert_int_eq(pclose(f), 0);
}

/*
 * Nothing is other than at the last snapshot(before), in the end: IPv6 addresses
 * and their routes take the kernel a moment.
 */
static void
assert_unchanged(void)
{
	int	 i;

	for (i = 0; i < 100; i++) {
		snapshot(after);
		if (strcmp(before, after) == 0)
			return;
		(void)poll(NULL, 0, 50);
	}
	/* too much for a message of Check */
	printf("before:\n%s\nafter:\n%s\n", before, after);
	ck_abort_msg("another state than before");
}

/* Without DAD as well an address is not of use at once. */
static void
await_addrs6(int n, const char *which)
{
	NETNS_RUN("timeout 20 sh -c 'until [ $(ip -6 -o addr show %s "
	    "-tentative | wc -l) = %d ]; do :; done'", which, n);
}

static void
setup(void)
{
	netns_enter();
	make_dir();
	steers = mmap(NULL, 2 * sizeof(*steers), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(steers != MAP_FAILED);
	NETNS_RUN("ip link set lo up && ip link add v0 type veth peer "
	    "name v1");
	NETNS_RUN("echo 1 | tee " SYSCTL "all/send_redirects "
	    SYSCTL "v0/send_redirects " SYSCTL "v1/send_redirects >/dev/null");
	NETNS_RUN("echo 0 | tee " SYSCTL "v0/promote_secondaries "
	    SYSCTL "v1/promote_secondaries >/dev/null");
	NETNS_RUN("sysctl -qw net.ipv6.conf.v0.accept_dad=0 "
	    "net.ipv6.conf.v1.accept_dad=0");
	NETNS_RUN("ip link set v0 up && ip link set v1 up");
	await_addrs6(2, "scope link");	/* the kernel's own */
}

static void
teardown(void)
{
	(void)unlink(path("v0"));
	(void)unlink(path("v1"));
	(void)rmdir(dir);
}

/* The record's second place. */
static const char *
file_of(const char *ifname)
{
	return (path(ifname));
}

/* Somebody removes what the classifier hung on, and its maps with it. */
static void
lose_classifier(void)
{
	memset(steers, 0, 2 * sizeof(*steers));
}

static struct vaddr *
open_on(const char *ifname)
{
	struct vaddr	*v;

	v = vaddr_open(ifname, (int)if_nametoindex(ifname), own_mac,
	    &steers[ifname[1] - '0'], file_of(ifname));
	ck_assert_msg(v != NULL, "vaddr_open: %s", strerror(errno));
	return (v);
}

/* Run in a process that then dies without a word. */
#define DIES(...) do {							\
	pid_t pid_ = fork();						\
									\
	ck_assert_int_ne(pid_, -1);					\
	if (pid_ == 0) {						\
		__VA_ARGS__;						\
		_exit(7);						\
	}								\
	await_death(pid_);						\
} while (0)

static void
await_death(pid_t pid)
{
	int	 status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static int
sysctl(const char *name)
{
	char	 path[128];
	FILE	*f;
	int	 value;

	snprintf(path, sizeof(path), SYSCTL "%s", name);
	ck_assert_ptr_nonnull(f = fopen(path, "r"));
	ck_assert_int_eq(fscanf(f, "%d", &value), 1);
	fclose(f);
	return (value);
}

static int
declare(const char *text)
{
	struct ipaddr	 a = addr(text);

	return (vaddr_declare(va, &a));
}

/* The prefix length it went in with. */
static int
add(const char *text)
{
	struct ipaddr	 a = addr(text);
	uint8_t		 plen = 255;

	if (vaddr_add(va, &a, &plen) == -1)
		return (-1);
	return (plen);
}

static int
del(const char *text)
{
	struct ipaddr	 a = addr(text);

	return (vaddr_del(va, &a));
}

/* -- what the kernel has -- */

struct look {
	struct ipaddr		 addr;
	int			 count;
	uint8_t			 proto;
	uint32_t		 flags;
	struct ifa_cacheinfo	 life;
};

static int
look_cb(const struct nlmsghdr *h, void *arg)
{
	struct ifaddrmsg	*ifa = mnl_nlmsg_get_payload(h);
	struct look		*l = arg;
	struct nlattr		*attr;
	struct ipaddr		 a = { .af = ifa->ifa_family };
	uint32_t		 flags = 0;
	uint8_t			 proto = 0;
	struct ifa_cacheinfo	 life = { 0 };

	mnl_attr_for_each(attr, h, sizeof(*ifa)) {
		if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			memcpy(a.bytes, mnl_attr_get_payload(attr),
			    ipaddr_len(a.af));
		if (mnl_attr_get_type(attr) == IFA_PROTO)
			proto = mnl_attr_get_u8(attr);
		if (mnl_attr_get_type(attr) == IFA_FLAGS)
			flags = mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) == IFA_CACHEINFO)
			memcpy(&life, mnl_attr_get_payload(attr),
			    sizeof(life));
	}
	if (ipaddr_cmp(&a, &l->addr) == 0 &&
	    ifa->ifa_prefixlen == l->addr.plen) {
		l->count++;
		l->proto = proto;
		l->flags = flags;
		l->life = life;
	}
	return (MNL_CB_OK);
}

static struct look
look(const char *text)
{
	struct {
		struct nlmsghdr		 h;
		struct ifaddrmsg	 ifa;
	}		 req;
	struct look	 l = { .addr = addr(text) };
	struct netlink	*n;

	memset(&req, 0, sizeof(req));
	req.h.nlmsg_len = sizeof(req);
	req.h.nlmsg_type = RTM_GETADDR;
	ck_assert_ptr_nonnull(n = netlink_open(NETLINK_ROUTE, 0));
	ck_assert_int_eq(netlink_dump(n, &req.h, look_cb, &l), 0);
	netlink_close(n);
	return (l);
}

static bool
there(const char *text)
{
	return (look(text).count == 1);
}

/* -- addresses -- */

START_TEST(address4)
{
	struct look	 l;

	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert(!there("192.0.2.1/24"));
	ck_assert_int_eq(add("192.0.2.1"), 24);
	l = look("192.0.2.1/24");
	ck_assert_int_eq(l.count, 1);
	ck_assert_uint_eq(l.proto, KIF_PROTO_CARPD);
	ck_assert_uint_le(l.life.ifa_valid, VADDR_LIFETIME);
	ck_assert_uint_gt(l.life.ifa_valid, VADDR_LIFETIME - 3);
	ck_assert(netns_try("ip addr | grep -q 'brd 192.0.2.255'"));
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert(there("192.0.2.1/24"));
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert(!there("192.0.2.1/24"));
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

START_TEST(address6)
{
	struct look	 l;

	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(declare("2001:db8::1/64"), 0);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	l = look("2001:db8::1/64");
	ck_assert_int_eq(l.count, 1);
	ck_assert_uint_eq(l.proto, KIF_PROTO_CARPD);
	ck_assert_uint_eq(l.flags & IFA_F_TENTATIVE, 0);
	ck_assert_uint_ne(l.flags & IFA_F_DEPRECATED, 0);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	ck_assert_int_eq(del("2001:db8::1"), 0);
	ck_assert_int_eq(del("2001:db8::1"), 0);
	ck_assert(!there("2001:db8::1/64"));
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

/* Beside the host's own address it is not chosen as source. */
START_TEST(source)
{
	NETNS_RUN("ip addr add 192.0.2.200/24 dev v0");
	NETNS_RUN("ip addr add 2001:db8::ff/64 dev v0");
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(declare("2001:db8::1/64"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 32);
	ck_assert_int_eq(add("2001:db8::1"), 128);
	ck_assert(there("192.0.2.1/32") && there("2001:db8::1/128"));
	ck_assert(netns_try("ip route get 192.0.2.7 | grep -q "
	    "'src 192.0.2.200'"));
	ck_assert(netns_try("ip route get 2001:db8::7 | grep -q "
	    "'src 2001:db8::ff'"));
	vaddr_close(va);
	ck_assert(there("192.0.2.200/24") && there("2001:db8::ff/64"));
}
END_TEST

START_TEST(prefix_length)
{
	struct ipaddr	 other = addr("192.0.2.200/24");

	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(declare("192.0.2.2/24"), 0);
	ck_assert(!vaddr_note(va, &other, true));
	ck_assert(!vaddr_note(va, &other, true));
	ck_assert_int_eq(add("192.0.2.1"), 32);
	/* it is the only one that could bring the route */
	ck_assert(vaddr_note(va, &other, false));
	ck_assert(there("192.0.2.1/24") && !there("192.0.2.1/32"));
	ck_assert_int_eq(add("192.0.2.1"), 24);
	/* the first other one of the network brings it, and is its source */
	NETNS_RUN("ip addr add 192.0.2.200/24 dev v0");
	ck_assert(vaddr_note(va, &other, true));
	ck_assert(there("192.0.2.1/32") && !there("192.0.2.1/24"));
	ck_assert(netns_try("ip route get 192.0.2.7 | grep -q "
	    "'src 192.0.2.200'"));
	ck_assert_int_eq(add("192.0.2.1"), 32);
	NETNS_RUN("ip addr del 192.0.2.200/24 dev v0");
	ck_assert(vaddr_note(va, &other, false));
	/* another virtual address is no other address */
	other = addr("192.0.2.1/32");
	ck_assert(!vaddr_note(va, &other, true));
	ck_assert_int_eq(add("192.0.2.2"), 24);
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	/* the first goes, the second of its prefix stays */
	ck_assert_int_eq(del("192.0.2.2"), 0);
	ck_assert(there("192.0.2.1/24"));
	vaddr_close(va);
	ck_assert(!there("192.0.2.1/24"));
}
END_TEST

/* IPv6 has an address once, whatever its prefix; its lifetime goes on. */
START_TEST(prefix_length6)
{
	struct ipaddr	 other = addr("2001:db8::200/64");

	NETNS_RUN("ip addr add 2001:db8::200/64 dev v0 nodad");
	va = open_on("v0");
	ck_assert_int_eq(declare("2001:db8::1/64"), 0);
	ck_assert_int_eq(add("2001:db8::1"), 128);
	NETNS_RUN("ip addr del 2001:db8::200/64 dev v0");
	ck_assert(vaddr_note(va, &other, false));
	ck_assert(there("2001:db8::1/64") && !there("2001:db8::1/128"));
	ck_assert(netns_try("ip -6 route show dev v0 | grep -q "
	    "2001:db8::/64"));
	/* both have the route, and it is not removed for a moment */
	NETNS_RUN("ip addr add 2001:db8::200/64 dev v0 nodad");
	ck_assert(!vaddr_note(va, &other, true));
	ck_assert(there("2001:db8::1/64"));
	ck_assert(netns_try("ip route get 2001:db8::7 | grep -q "
	    "'src 2001:db8::200'"));
	NETNS_RUN("ip addr del 2001:db8::200/64 dev v0");
	ck_assert(!vaddr_note(va, &other, false));
	ck_assert_int_eq(del("2001:db8::1"), 0);
	ck_assert(!netns_try("ip -6 route show dev v0 | grep -q "
	    "2001:db8::/64"));
	vaddr_close(va);
}
END_TEST

/* Everything goes by its new name: what was changed there is put back. */
START_TEST(renamed)
{
	NETNS_RUN("echo 1 > /proc/sys/net/ipv4/conf/v0/send_redirects");
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	NETNS_RUN("ip link set v0 name w0");
	vaddr_renamed(va, "w0");
	vaddr_close(va);
	ck_assert(netns_try("grep -q 1 "
	    "/proc/sys/net/ipv4/conf/w0/send_redirects"));
	ck_assert(netns_try("! ip addr show dev w0 | grep -q 192.0.2.1"));
	NETNS_RUN("ip link set w0 name v0");
}
END_TEST

START_TEST(outside_every_prefix)
{
	NETNS_RUN("ip addr add 192.0.2.200/24 dev v0");
	va = open_on("v0");
	ck_assert_int_eq(declare("198.51.100.1/24"), 0);
	ck_assert_int_eq(add("198.51.100.1"), 24);
	vaddr_close(va);
}
END_TEST

START_TEST(not_declared)
{
	va = open_on("v0");
	ck_assert_int_eq(add("192.0.2.1"), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(del("192.0.2.1"), 0);
	vaddr_close(va);
}
END_TEST

START_TEST(somebody_removed_it)
{
	struct ipaddr	 a4 = addr("192.0.2.1"), a6 = addr("2001:db8::1");
	uint8_t		 plen = 255;

	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(declare("2001:db8::1/64"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	NETNS_RUN("ip addr flush dev v0");
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert(there("192.0.2.1/24"));
	ck_assert_int_eq(vaddr_restore(va, &a4, &plen), 0);
	ck_assert_int_eq(vaddr_restore(va, &a6, &plen), 1);
	ck_assert_uint_eq(plen, 64);
	ck_assert(there("2001:db8::1/64"));
	ck_assert_int_eq(vaddr_restore(va, &a6, &plen), 0);
	NETNS_RUN("ip addr flush dev v0");
	ck_assert_int_eq(vaddr_restore(va, &a4, &plen), 1);
	ck_assert_uint_eq(plen, 24);
	ck_assert(there("192.0.2.1/24"));
	NETNS_RUN("ip addr flush dev v0");
	ck_assert_int_eq(del("192.0.2.1"), 0);
	vaddr_close(va);
}
END_TEST

START_TEST(undeclared)
{
	struct ipaddr	 a = addr("192.0.2.1/24");

	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(vaddr_declare(va, &a), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	vaddr_undeclare(va, &a);
	ck_assert(!there("192.0.2.1/24"));
	ck_assert_int_eq(add("192.0.2.1"), -1);
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

START_TEST(many)
{
	char	 text[32];
	int	 i;

	snapshot(before);
	va = open_on("v0");
	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d/8", i + 1);
		ck_assert_int_eq(declare(text), 0);
		ck_assert_int_eq(add(text), 8);
	}
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

/* -- sysctls -- */

START_TEST(sysctls)
{
	struct vaddr	*second;

	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(sysctl("v0/send_redirects"), 0);
	ck_assert_int_eq(sysctl("v0/promote_secondaries"), 1);
	ck_assert_int_eq(sysctl("v0/arp_announce"), 2);
	ck_assert_int_eq(sysctl("all/send_redirects"), 0);
	ck_assert_int_eq(sysctl("v1/send_redirects"), 1);
	second = open_on("v1");
	ck_assert_int_eq(sysctl("v1/send_redirects"), 0);
	vaddr_close(va);
	ck_assert_int_eq(sysctl("v0/send_redirects"), 1);
	ck_assert_int_eq(sysctl("v0/promote_secondaries"), 0);
	ck_assert_int_eq(sysctl("v0/arp_announce"), 0);
	ck_assert_int_eq(sysctl("all/send_redirects"), 0);
	vaddr_close(second);
	ck_assert_int_eq(sysctl("all/send_redirects"), 1);
	assert_unchanged();
}
END_TEST

/* The record is written before anything changes, so any moment will do. */
START_TEST(sysctls_after_death)
{
	struct vaddr	*second;

	snapshot(before);
	DIES(open_on("v0"));
	DIES(open_on("v0"); open_on("v1"));
	ck_assert_int_eq(sysctl("all/send_redirects"), 0);
	va = open_on("v1");
	second = open_on("v0");
	vaddr_close(va);
	vaddr_close(second);
	assert_unchanged();
}
END_TEST

/* The classifier has gone as well: then the file has it, of this interface. */
START_TEST(sysctls_without_classifier)
{
	static const uint8_t	 other[6] = { 2, 0, 0, 0, 0, 2 };
	struct vaddr		*second;

	snapshot(before);
	DIES(open_on("v0"); open_on("v1"));
	lose_classifier();
	va = open_on("v0");
	second = open_on("v1");
	vaddr_close(second);
	ck_assert_int_ne(access(file_of("v1"), F_OK), 0);
	vaddr_close(va);
	ck_assert_int_ne(access(file_of("v0"), F_OK), 0);
	assert_unchanged();
	/* its own MAC changed meanwhile, which we saw */
	DIES(va = open_on("v0"); vaddr_set_mac(va, other));
	lose_classifier();
	va = vaddr_open("v0", (int)if_nametoindex("v0"), other, &steers[0],
	    file_of("v0"));
	vaddr_close(va);
	assert_unchanged();
	/* another card: what it has is taken for the host's */
	DIES(open_on("v0"));
	lose_classifier();
	va = vaddr_open("v0", (int)if_nametoindex("v0"), other, &steers[0],
	    file_of("v0"));
	vaddr_close(va);
	ck_assert_int_eq(sysctl("v0/send_redirects"), 0);
}
END_TEST

/* No file can be made: as if there was none. */
START_TEST(sysctls_without_file)
{
	snapshot(before);
	log_set_sink(no_log, NULL);
	ck_assert_int_eq(rmdir(dir), 0);
	DIES(open_on("v0"));
	va = open_on("v0");
	vaddr_close(va);
	assert_unchanged();
	DIES(open_on("v0"));
	lose_classifier();
	va = open_on("v0");
	vaddr_close(va);
	ck_assert_int_eq(sysctl("v0/send_redirects"), 0);
}
END_TEST

/* The first has no record of its own and takes the dead run's 0 as given. */
START_TEST(sysctl_all_learnt_late)
{
	struct vaddr	*second;

	snapshot(before);
	DIES(open_on("v0"));
	va = open_on("v1");
	second = open_on("v0");
	vaddr_close(second);
	DIES(vaddr_close(va));
	assert_unchanged();
}
END_TEST

START_TEST(sysctls_of_somebody_else)
{
	DIES(open_on("v0"));
	NETNS_RUN("echo 0 > " SYSCTL "v0/promote_secondaries");
	va = open_on("v0");
	NETNS_RUN("echo 1 > " SYSCTL "v0/send_redirects");
	vaddr_close(va);
	ck_assert_int_eq(sysctl("v0/promote_secondaries"), 0);
	ck_assert_int_eq(sysctl("v0/send_redirects"), 1);
	ck_assert_int_eq(sysctl("all/send_redirects"), 1);
}
END_TEST

START_TEST(interface_gone)
{
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	NETNS_RUN("ip link del v0");
	ck_assert_int_eq(add("192.0.2.1"), -1);
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert_int_eq(access(file_of("v0"), F_OK), 0);
	vaddr_free(va);
	ck_assert_int_ne(access(file_of("v0"), F_OK), 0);
	ck_assert_int_eq(sysctl("all/send_redirects"), 1);
}
END_TEST

/* -- leftovers -- */

static void
run_and_leave(void)
{
	static const uint8_t	 mac[6] = { 0, 0, 0x5e, 0, 1, 1 };

	va = open_on("v0");
	steers[0].has_mac = true;
	memcpy(steers[0].mac, mac, sizeof(mac));
	if (declare("192.0.2.1/24") != 0 || add("192.0.2.1") != 32 ||
	    declare("2001:db8::1/64") != 0 || add("2001:db8::1") != 64 ||
	    vaddr_mac(va, mac, true) != 0)
		_exit(1);
}

START_TEST(leftovers)
{
	NETNS_RUN("ip addr add 192.0.2.200/24 dev v0");
	netns_marked("v0", "198.51.100.1/24", 99);	/* another's mark */
	snapshot(before);
	DIES(run_and_leave());
	ck_assert(there("192.0.2.1/32") && there("2001:db8::1/64"));
	ck_assert(netns_try("bridge fdb show dev v0 | grep -q "
	    "'00:00:5e:00:01:01 self permanent'"));
	va = open_on("v0");
	ck_assert(!there("192.0.2.1/32") && !there("2001:db8::1/64"));
	ck_assert(there("192.0.2.200/24") && there("198.51.100.1/24"));
	ck_assert(!netns_try("bridge fdb show dev v0 | grep -q "
	    "'00:00:5e:00:01:01'"));
	vaddr_close(va);
	ck_assert_uint_eq(steers[0].len, 0);
	assert_unchanged();
}
END_TEST

/* -- neighbours -- */

/* Who was asked for without a carrier is asked for again at once. */
START_TEST(unanswered)
{
	NETNS_RUN("ip addr add 192.0.2.200/24 dev v0 && "
	    "ip addr add 2001:db8::200/64 dev v0 nodad && "
	    "ip addr add 198.51.100.200/24 dev v1");
	va = open_on("v0");
	NETNS_RUN("ip neigh add 192.0.2.8 lladdr 02:00:00:00:00:08 dev v0 "
	    "nud stale");
	NETNS_RUN("{ ping -c1 -W1 192.0.2.9 & ping -c1 -W1 2001:db8::9 & "
	    "ping -c1 -W1 198.51.100.9 & wait; } >/dev/null 2>&1 & "
	    "timeout 10 sh -c 'until [ $(ip neigh show nud incomplete | "
	    "wc -l) = 3 ]; do :; done'");
	vaddr_carrier(va);
	ck_assert(netns_try("test -z \"$(ip neigh show dev v0 "
	    "nud incomplete)\""));
	/* nobody else's, and none that has answered */
	ck_assert(netns_try("ip neigh show dev v1 nud incomplete | "
	    "grep -q 198.51.100.9"));
	ck_assert(netns_try("ip neigh show dev v0 nud stale | "
	    "grep -q 192.0.2.8"));
	vaddr_close(va);
}
END_TEST

/* -- the host's own address -- */

static void
host_addresses(void)
{
	NETNS_RUN("ip addr add 192.0.2.1/24 brd + dev v0 label v0:lan");
	NETNS_RUN("ip route add default via 192.0.2.254 metric 7");
	NETNS_RUN("ip route add 203.0.113.0/24 via 192.0.2.253 table 99");
	NETNS_RUN("ip route add 198.51.100.0/24 dev v0 scope link");
	NETNS_RUN("ip addr add 10.0.0.1/24 dev v1");
	NETNS_RUN("ip route add 10.9.0.0/16 via 10.0.0.2 src 192.0.2.1");
	NETNS_RUN("ip addr add 2001:db8::1/64 dev v0");
	await_addrs6(1, "to 2001:db8::1");
	NETNS_RUN("ip -6 route add default via 2001:db8::ffff");
	NETNS_RUN("ip -6 route add 2001:db8:9::/48 via 2001:db8::fffe src "
	    "2001:db8::1 metric 50");
}

static bool
host_routes4(void)
{
	return (netns_try("ip route | grep -q default && "
	    "ip route show table 99 | grep -q 192.0.2.253 && "
	    "ip route | grep -q 198.51.100 && "
	    "ip route | grep -q '10.9.0.0/16 .*src 192.0.2.1'"));
}

static bool
host_routes6(void)
{
	return (netns_try("ip -6 route | grep -q 'default via' && "
	    "ip -6 route | grep -q '2001:db8:9::/48 .*src 2001:db8::1'"));
}

START_TEST(own4)
{
	struct look	 l;

	host_addresses();
	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert(!there("192.0.2.1/24"));
	ck_assert(netns_try("! ip route | grep -q 'default\\|10.9'"));
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	l = look("192.0.2.1/24");
	ck_assert_int_eq(l.count, 1);
	ck_assert_uint_eq(l.proto, KIF_PROTO_CARPD);
	ck_assert_uint_le(l.life.ifa_valid, VADDR_LIFETIME);
	ck_assert(host_routes4());
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert(!there("192.0.2.1/24") && !host_routes4());
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert(host_routes4());
	ck_assert_int_eq(del("192.0.2.1"), 0);
	vaddr_close(va);
	l = look("192.0.2.1/24");
	ck_assert_uint_eq(l.proto, 0);
	ck_assert_uint_ne(l.flags & IFA_F_PERMANENT, 0);
	assert_unchanged();
}
END_TEST

START_TEST(own6)
{
	struct look	 l;

	host_addresses();
	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(declare("2001:db8::1/64"), 1);
	ck_assert(!there("2001:db8::1/64") && !host_routes6());
	ck_assert_int_eq(add("2001:db8::1"), 64);
	ck_assert(host_routes6());
	ck_assert_int_eq(add("2001:db8::1"), 64);
	l = look("2001:db8::1/64");
	ck_assert_uint_eq(l.proto, KIF_PROTO_CARPD);
	ck_assert_uint_eq(l.flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED), 0);
	ck_assert_int_eq(del("2001:db8::1"), 0);
	ck_assert(!there("2001:db8::1/64") && !host_routes6());
	vaddr_close(va);
	l = look("2001:db8::1/64");
	ck_assert_uint_eq(l.proto, 0);
	ck_assert_uint_ne(l.flags & IFA_F_PERMANENT, 0);
	assert_unchanged();
}
END_TEST

START_TEST(own_closed_as_master)
{
	host_addresses();
	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert_int_eq(declare("2001:db8::1/64"), 1);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	vaddr_close(va);
	ck_assert_uint_eq(look("192.0.2.1/24").proto, 0);
	assert_unchanged();
}
END_TEST

START_TEST(own_undeclared)
{
	struct ipaddr	 a = addr("192.0.2.1/24");

	host_addresses();
	va = open_on("v0");
	ck_assert_int_eq(vaddr_declare(va, &a), 1);
	vaddr_undeclare(va, &a);
	ck_assert(there("192.0.2.1/24") && host_routes4());
	ck_assert_uint_eq(look("192.0.2.1/24").proto, 0);
	vaddr_close(va);
	ck_assert(there("192.0.2.1/24") && host_routes4());
}
END_TEST

/*
 * Killed as BACKUP or as MASTER, declared again by the next or not, which finds
 * the classifier or not.
 */
START_TEST(own_after_death)
{
	bool	 master = (_i & 1) != 0, again = (_i & 2) != 0;

	host_addresses();
	snapshot(before);
	DIES(va = open_on("v0"); declare("192.0.2.1/24");
	    declare("2001:db8::1/64");
	    if (master && (add("192.0.2.1") != 24 || add("2001:db8::1") != 64))
		    _exit(1));
	if (_i & 4)
		lose_classifier();
	va = open_on("v0");
	ck_assert(!there("192.0.2.1/24") && !there("2001:db8::1/64"));
	if (again) {
		ck_assert_int_eq(declare("192.0.2.1/24"), 1);
		ck_assert_int_eq(declare("2001:db8::1/64"), 1);
		vaddr_settle(va);
		ck_assert(!there("192.0.2.1/24"));
		ck_assert_int_eq(add("192.0.2.1"), 24);
		ck_assert(host_routes4());
	} else {
		vaddr_settle(va);
		ck_assert(there("192.0.2.1/24") && host_routes4());
		ck_assert(there("2001:db8::1/64") && host_routes6());
	}
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

START_TEST(route_learnt_as_master)
{
	host_addresses();
	va = open_on("v0");
	ck_assert_int_eq(declare("2001:db8::1/64"), 1);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	NETNS_RUN("ip -6 route del 2001:db8:9::/48");
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert_int_eq(del("2001:db8::1"), 0);
	ck_assert_int_eq(add("2001:db8::1"), 64);
	ck_assert(netns_try("! ip -6 route | grep -q 2001:db8:9::"));
	NETNS_RUN("ip route add 10.77.0.0/16 via 192.0.2.7");
	NETNS_RUN("ip route del 198.51.100.0/24");
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert(netns_try("! ip route | grep -q 10.77"));
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert(netns_try("ip route | grep -q '10.77.0.0/16 via 192.0.2.7'"));
	ck_assert(netns_try("! ip route | grep -q 198.51"));
	vaddr_close(va);
	ck_assert(netns_try("ip route | grep -q '10.77.0.0/16 via 192.0.2.7'"));
}
END_TEST

/* Another address stays on carpdev: only what hangs on this one goes. */
START_TEST(own_beside_others)
{
	host_addresses();
	NETNS_RUN("ip addr add 192.0.2.9/24 dev v0");
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert(there("192.0.2.9/24"));
	ck_assert(netns_try("ip route | grep -q 'default via'"));
	ck_assert_int_eq(add("192.0.2.1"), 24);
	ck_assert(host_routes4());
	ck_assert_int_eq(del("192.0.2.1"), 0);
	vaddr_close(va);
	ck_assert(there("192.0.2.1/24") && host_routes4());
}
END_TEST

/* More than go in one exchange, of both families; one is not declared. */
START_TEST(in_batches)
{
	static struct vaddr_job	 jobs[2 * 100 + 1];
	static struct ipaddr	 a[2 * 100 + 1];
	char			 text[32];
	size_t			 i, n = sizeof(a) / sizeof(a[0]);
	int			 round;

	va = open_on("v0");
	for (i = 0; i < n; i++) {
		snprintf(text, sizeof(text), i % 2 == 0 ? "10.1.%zu.1/24" :
		    "2001:db8:%zx::1/64", i);
		jobs[i].addr = &a[i];
		a[i] = addr(text);
		if (i != 77)
			ck_assert_int_eq(vaddr_declare(va, &a[i]), 0);
	}
	for (round = 0; round < 2; round++) {	/* added, and refreshed */
		vaddr_add_many(va, jobs, n);
		for (i = 0; i < n; i++)
			ck_assert_int_eq(jobs[i].error,
			    i == 77 ? ENOENT : 0);
		ck_assert_uint_eq(jobs[0].plen, 24);
		ck_assert_uint_eq(jobs[n - 2].plen, 64);
	}
	ck_assert(there("10.1.200.1/24") && there("2001:db8:c7::1/64"));
	ck_assert(!there("2001:db8:4d::1/64"));
	vaddr_close(va);
	ck_assert(!there("10.1.200.1/24") && !there("2001:db8:c7::1/64"));
}
END_TEST

/* The kernel refuses some: the others are there, and it is known which. */
START_TEST(batch_refused)
{
	struct ipaddr		 a[] = { addr("10.1.1.1/24"),
				    addr("2001:db8::1/64"),
				    addr("10.1.2.1/24") };
	struct vaddr_job	 jobs[] = { { .addr = &a[0] },
				    { .addr = &a[1] }, { .addr = &a[2] } };
	size_t			 i;

	va = open_on("v0");
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(vaddr_declare(va, &a[i]), 0);
	NETNS_RUN("echo 1 > /proc/sys/net/ipv6/conf/v0/disable_ipv6");
	vaddr_add_many(va, jobs, 3);
	ck_assert_int_eq(jobs[0].error, 0);
	ck_assert_int_eq(jobs[1].error, EACCES);
	ck_assert_int_eq(jobs[2].error, 0);
	ck_assert(there("10.1.1.1/24") && there("10.1.2.1/24"));
	vaddr_close(va);
}
END_TEST

/* While we have it, the host gets it too. */
START_TEST(own_later)
{
	struct ipaddr	 a = addr("192.0.2.1/24");

	NETNS_RUN("ip addr add 192.0.2.9/24 dev v0");
	va = open_on("v0");
	ck_assert_int_eq(declare("192.0.2.1/24"), 0);
	ck_assert_int_eq(add("192.0.2.1"), 32);
	NETNS_RUN("ip addr add 192.0.2.1/24 dev v0");
	vaddr_note(va, &a, true);
	ck_assert_int_eq(declare("192.0.2.1/24"), 1);
	ck_assert(there("192.0.2.1/24") && !there("192.0.2.1/32"));
	ck_assert_uint_eq(look("192.0.2.1/24").proto, KIF_PROTO_CARPD);
	ck_assert_int_eq(del("192.0.2.1"), 0);
	ck_assert(!there("192.0.2.1/24") && !there("192.0.2.1/32"));
	vaddr_close(va);
	ck_assert_uint_eq(look("192.0.2.1/24").proto, 0);
	ck_assert(there("192.0.2.1/24"));
}
END_TEST

/* More routes than the record holds: refused, and nothing is touched. */
START_TEST(record_is_full)
{
	host_addresses();
	NETNS_RUN("for i in $(seq 200); do echo route add 10.50.$i.0/24 via "
	    "192.0.2.254; done | ip -batch -");
	va = open_on("v0");
	snapshot(before);
	ck_assert_int_eq(declare("192.0.2.1/24"), -1);
	ck_assert_int_eq(errno, ENOSPC);
	assert_unchanged();
	ck_assert_int_eq(add("192.0.2.1"), -1);
	vaddr_close(va);
	ck_assert(there("192.0.2.1/24") && host_routes4());
}
END_TEST

/* What is in the record was ours once; damage must not make it worse. */
START_TEST(record_damaged)
{
	struct steer	 good;
	size_t		 at;

	log_set_sink(no_log, NULL);
	host_addresses();
	DIES(va = open_on("v0"); declare("192.0.2.1/24"));
	good = steers[0];
	ck_assert_uint_gt(good.len, 100);
	for (at = 0; at < good.len; at += 3) {
		steers[0] = good;
		steers[0].record[at] ^= 0xff;
		DIES(open_on("v0"));
		steers[0] = good;
		steers[0].len = at;
		DIES(open_on("v0"));
	}
}
END_TEST

/* Well-formed, but it says what this interface never had. */
START_TEST(record_of_another)
{
	log_set_sink(no_log, NULL);
	host_addresses();
	DIES(va = open_on("v0"); declare("192.0.2.1/24"));
	steers[1] = steers[0];
	va = open_on("v1");
	vaddr_settle(va);
	ck_assert(!there("192.0.2.1/24"));
	vaddr_close(va);
	va = open_on("v0");
	vaddr_settle(va);
	ck_assert(there("192.0.2.1/24"));
	vaddr_close(va);
}
END_TEST

/* -- virtual MACs -- */

static bool
told(const char *dev, const char *how)
{
	return (netns_try("bridge fdb show dev %s | grep -q "
	    "'00:00:5e:00:01:01 %s'", dev, how));
}

START_TEST(macs)
{
	static const uint8_t	 mac[6] = { 0, 0, 0x5e, 0, 1, 1 };

	snapshot(before);
	va = open_on("v0");
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	ck_assert(told("v0", "self permanent"));
	ck_assert_int_eq(vaddr_mac(va, mac, false), 0);
	ck_assert_int_eq(vaddr_mac(va, mac, false), 0);
	ck_assert(!told("v0", ""));
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	vaddr_close(va);
	assert_unchanged();
}
END_TEST

/* That of a group in mode ip. */
START_TEST(mac_multicast)
{
	static const char *const on[] = { "v0", "lo" };
	static const uint8_t	 mac[6] = { 1, 0, 0x5e, 0, 1, 1 };
	const char		*show = "ip maddr show dev %s | grep -q "
				    "01:00:5e:00:01:01";

	snapshot(before);
	va = vaddr_open(on[_i], (int)if_nametoindex(on[_i]), own_mac, steers,
	    file_of("v0"));
	ck_assert_ptr_nonnull(va);
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	ck_assert(netns_try(show, on[_i]));
	ck_assert_int_eq(vaddr_mac(va, mac, false), 0);
	ck_assert(!netns_try(show, on[_i]));
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	vaddr_close(va);
	ck_assert(!netns_try(show, on[_i]));
	assert_unchanged();
}
END_TEST

/* A bridge takes up a frame only for an address that is local to it. */
START_TEST(mac_of_a_bridge)
{
	static const uint8_t	 mac[6] = { 0, 0, 0x5e, 0, 1, 1 };

	NETNS_RUN("ip link set v1 name p1 && ip link add v1 type bridge && "
	    "ip link set v1 up && ip link set p1 master v1");
	va = open_on("v1");
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	ck_assert(netns_try("bridge fdb show br v1 | grep -q "
	    "'00:00:5e:00:01:01 dev v1 .*permanent'"));
	ck_assert_int_eq(vaddr_mac(va, mac, false), 0);
	ck_assert(netns_try("! bridge fdb show br v1 | grep -q "
	    "00:00:5e:00:01:01"));
	vaddr_close(va);
}
END_TEST

/* The loopback interface has no such entries. */
START_TEST(mac_by_membership)
{
	static const uint8_t	 mac[6] = { 0, 0, 0x5e, 0, 1, 1 };

	va = vaddr_open("lo", (int)if_nametoindex("lo"), own_mac, steers,
	    file_of("v0"));
	ck_assert_ptr_nonnull(va);
	ck_assert_int_eq(vaddr_mac(va, mac, true), 0);
	ck_assert(netns_try("ip -d link show lo | grep -q 'promiscuity 1'"));
	ck_assert_int_eq(vaddr_mac(va, mac, false), 0);
	ck_assert(netns_try("ip -d link show lo | grep -q 'promiscuity 0'"));
	vaddr_close(va);
}
END_TEST

START_TEST(locks)
{
	int	 fd;

	ck_assert_int_ne(fd = lock_interface("test", "v0"), -1);
	ck_assert_int_eq(lock_interface("test", "v0"), -1);
	ck_assert_int_eq(errno, EADDRINUSE);
	ck_assert_int_ne(lock_interface("test", "v01"), -1);
	close(fd);
	ck_assert_int_ne(lock_interface("test", "v0"), -1);
	netns_enter();		/* another namespace, another lock */
	ck_assert_int_ne(lock_interface("test", "v0"), -1);
}
END_TEST

static TCase *
vaddr_case(void)
{
	TCase	*tc = tcase_create("vaddr");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, address4);
	tcase_add_test(tc, address6);
	tcase_add_test(tc, source);
	tcase_add_test(tc, prefix_length);
	tcase_add_test(tc, prefix_length6);
	tcase_add_test(tc, renamed);
	tcase_add_test(tc, outside_every_prefix);
	tcase_add_test(tc, not_declared);
	tcase_add_test(tc, somebody_removed_it);
	tcase_add_test(tc, undeclared);
	tcase_add_test(tc, many);
	tcase_add_test(tc, sysctls);
	tcase_add_test(tc, sysctls_after_death);
	tcase_add_test(tc, sysctls_without_classifier);
	tcase_add_test(tc, sysctls_without_file);
	tcase_add_test(tc, sysctl_all_learnt_late);
	tcase_add_test(tc, sysctls_of_somebody_else);
	tcase_add_test(tc, interface_gone);
	tcase_add_test(tc, leftovers);
	tcase_add_test(tc, unanswered);
	tcase_add_test(tc, own4);
	tcase_add_test(tc, own6);
	tcase_add_test(tc, own_closed_as_master);
	tcase_add_test(tc, own_undeclared);
	tcase_add_loop_test(tc, own_after_death, 0, 6);
	tcase_add_test(tc, route_learnt_as_master);
	tcase_add_test(tc, own_beside_others);
	tcase_add_test(tc, in_batches);
	tcase_add_test(tc, batch_refused);
	tcase_add_test(tc, own_later);
	tcase_add_test(tc, record_is_full);
	tcase_add_test(tc, record_damaged);
	tcase_add_test(tc, record_of_another);
	tcase_add_test(tc, macs);
	tcase_add_loop_test(tc, mac_multicast, 0, 2);
	tcase_add_test(tc, mac_of_a_bridge);
	tcase_add_test(tc, mac_by_membership);
	tcase_add_test(tc, locks);
	return (tc);
}

int
main(void)
{
	Suite	*s = suite_create("vaddr");
	SRunner	*sr;
	int	 failed;

	if (!netns_possible())
		return (0);
	suite_add_tcase(s, vaddr_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
