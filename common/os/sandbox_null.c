/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A system we know nothing of: become the user, which every Unix has, and
 * nothing beyond.  Says so in the log.
 */
#include <sys/resource.h>

#include <grp.h>
#include <unistd.h>

#include "../log.h"
#include "sandbox.h"

const char *
sandbox_realtime(int prio)
{
	(void)prio;
	return ("no real-time scheduling on this system");
}

void
sandbox_keep_secrets(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
}

void
sandbox_enter(enum sandbox_role role, uid_t uid, gid_t gid)
{
	if (uid == 0 && (role == SANDBOX_CARPD_PARENT ||
	    role == SANDBOX_PFSYNCD_PARENT))
		return;
	if (setgroups(0, NULL) == -1 || setgid(gid) == -1 ||
	    setuid(uid) == -1)
		fatal("cannot become user %u", (unsigned int)uid);
	log_warnx("no sandbox on this system");
}

unsigned int
sandbox_denied(void)
{
	return (0);
}
