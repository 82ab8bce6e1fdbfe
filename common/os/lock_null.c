/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See lock.h.  Anything that can be closed.
 */
#include <fcntl.h>

#include "lock.h"

int
lock_interface(const char *role, const char *ifname)
{
	(void)role;
	(void)ifname;
	return (open("/dev/null", O_RDONLY | O_CLOEXEC));
}
