/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: the libmnl glue that os/ files of both daemons share.
 */
#ifndef COMMON_OS_NETLINK_H
#define COMMON_OS_NETLINK_H

#include <libmnl/libmnl.h>

struct netlink;

/* bus: NETLINK_ROUTE ...; groups: legacy multicast bit mask. NULL, errno. */
struct netlink	*netlink_open(int bus, unsigned int groups);
void		 netlink_close(struct netlink *n);
int		 netlink_fd(const struct netlink *n);
/*
 * Send one request (NLM_F_REQUEST | NLM_F_ACK are added) and wait for its
 * acknowledgement, at most a second.  0, or -1 and errno = the kernel's.
 */
int		 netlink_talk(struct netlink *n, struct nlmsghdr *h);
/*
 * The same with another request before it, in one system call: nothing, not
 * even our death, comes between.  The first one's result is not looked at.
 */
int		 netlink_talk_after(struct netlink *n, struct nlmsghdr *first,
		    struct nlmsghdr *h);
/*
 * n requests in one system call; each is carried out, whatever became of the
 * others.  error[i] is 0 or the kernel's.  -1 and errno when it is not known
 * what became of them.
 */
int		 netlink_talk_many(struct netlink *nl, struct nlmsghdr *const *h,
		    size_t n, int *error);
#define NETLINK_MANY	64	/* n at most */
/* A kernel's error, -errno or none, as errno or 0; EPROTO: it cannot be one. */
int		 netlink_errno(int error);
/* Dump request; cb for each answer, repeated on NLM_F_DUMP_INTR. */
int		 netlink_dump(struct netlink *n, struct nlmsghdr *h,
		    mnl_cb_t cb, void *arg);

#endif
