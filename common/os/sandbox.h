/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: shed rights.  Linux: chroot, setresuid, no_new_privs,
 * capabilities, seccomp; OpenBSD: pledge, unveil; FreeBSD: Capsicum.
 */
#ifndef COMMON_OS_SANDBOX_H
#define COMMON_OS_SANDBOX_H

#include <sys/types.h>

#include <stdbool.h>

enum sandbox_role {
	SANDBOX_CARPD_ENGINE,	/* no capability, no files, no sockets */
	SANDBOX_CARPD_PARENT,	/* only the capabilities of its verbs */
	SANDBOX_PFSYNCD_ENGINE,	/* as carpd's; may fill a file it was given */
	/*
	 * As the engine, but it opens sockets to the packet filter's state
	 * table, and has the right to change that.
	 */
	SANDBOX_PFSYNCD_TABLE,
	SANDBOX_PFSYNCD_PARENT,	/* only the capabilities of its verbs */
	SANDBOX_ROLES
};

/*
 * Real-time habits of a process, before its rights go: SCHED_FIFO at prio
 * (0: leave) and mlockall.  Returns a static text naming what was refused,
 * or NULL.
 */
const char	*sandbox_realtime(int prio);
/*
 * Neither core files nor debuggers get at what this process, which is about to
 * have keys, has in memory.  A program that it executes is asked again.
 */
void		 sandbox_keep_secrets(void);
/*
 * Child: chroot to an empty directory, become uid/gid.  All: capabilities,
 * no_new_privs, secrets kept, role's filter; a parent with uid 0 keeps the
 * user.  fatal() on failure.
 */
void		 sandbox_enter(enum sandbox_role role, uid_t uid, gid_t gid);

/* System calls refused so far, where the system lets us count them. */
unsigned int	 sandbox_denied(void);

#endif
