/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: one daemon for one interface.  Linux, and null: nobody else is
 * there.
 */
#ifndef COMMON_OS_LOCK_H
#define COMMON_OS_LOCK_H

/*
 * Ownership of an interface in a role ("carpd-carpdev", "pfsyncd-syncdev"): a
 * descriptor that holds it until it is closed or the process is gone.  -1 and
 * errno; EADDRINUSE: another process has it.
 */
int		 lock_interface(const char *role, const char *ifname);

#endif
