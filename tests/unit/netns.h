/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Test help: a network namespace for the calling process alone, which is gone
 * with it, and ip(8) and tc(8) in it.  Needs root; the tests run one process
 * each (CK_FORK).
 */
#ifndef TESTS_UNIT_NETNS_H
#define TESTS_UNIT_NETNS_H

#include <check.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/ipaddr.h"
#include "../../common/os/netlink.h"
#include "skip.h"

/* Says so where it cannot be: the test program has nothing to do then. */
static inline bool
netns_possible(void)
{
	pid_t	 pid;
	int	 status = -1;

	if (geteuid() != 0) {
		skip_because("not root");
		return (false);
	}
	if ((pid = fork()) == 0)
		_exit(unshare(CLONE_NEWNET) == 0 ? 0 : 1);
	if (pid == -1 || waitpid(pid, &status, 0) == -1 || status != 0) {
		skip_because("no network namespace to be had");
		return (false);
	}
	return (true);
}

/* true: the command ended with 0 */
static inline bool __attribute__((format(printf, 1, 2)))
netns_try(const char *fmt, ...)
{
	char	 cmd[512];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return (system(cmd) == 0);
}

#define NETNS_RUN(...) \
	ck_assert_msg(netns_try(__VA_ARGS__), "failed: " __VA_ARGS__)

/* Until its queue is attached what an interface sends vanishes, no error. */
static inline void
netns_await_link(const char *ifname)
{
	NETNS_RUN("timeout 20 sh -c 'until ip link show %s | "
	    "grep -q \"qdisc noqueue state UP\"; do :; done'", ifname);
}

/* An address with a mark, which Debian 12's ip(8) has no word for. */
static inline void
netns_marked(const char *ifname, const char *text, uint8_t proto)
{
	char			 buf[256] __attribute__((aligned(4)));
	struct nlmsghdr		*h;
	struct ifaddrmsg	*ifa;
	struct netlink		*n;
	struct ipaddr		 a;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	memset(buf, 0, sizeof(buf));
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = RTM_NEWADDR;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = a.af;
	ifa->ifa_prefixlen = a.plen;
	ifa->ifa_flags = a.af == AF_INET6 ? IFA_F_NODAD : 0;
	ifa->ifa_index = if_nametoindex(ifname);
	mnl_attr_put(h, IFA_LOCAL, ipaddr_len(a.af), a.bytes);
	mnl_attr_put(h, IFA_ADDRESS, ipaddr_len(a.af), a.bytes);
	mnl_attr_put_u8(h, IFA_PROTO, proto);
	ck_assert_ptr_nonnull(n = netlink_open(NETLINK_ROUTE, 0));
	ck_assert_int_eq(netlink_talk(n, h), 0);
	netlink_close(n);
}

static inline void
netns_enter(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
}

#endif
