/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The commands of carpctl(8) that pfsyncd answers.  Behind a wall of its own:
 * the messages of the two daemons do not fit into one file.
 */
#ifndef CARPCTL_SYNC_H
#define CARPCTL_SYNC_H

#include <net/if.h>

#include <stdbool.h>

#include "../common/ipaddr.h"
#include "findings.h"

/* What pfsyncd knows that tells something of carpd's peers, and of the rules. */
struct sync_facts {
	bool		 asked;		/* there is one, and it answered */
	bool		 master;	/* a peer that lives is MASTER, too */
	struct ipaddr	 who;		/* that one */
	char		 syncdev[IF_NAMESIZE];
	struct ipaddr	 syncpeer;	/* af 0, or the group: multicast */
	int		 senderr;	/* errno; 0: what it sends leaves */
};

/*
 * Each asks the pfsyncd that listens on path, prints its answer, or what went
 * wrong, and returns the exit code.
 */
int		 sync_show(const char *path, bool json);
int		 sync_now(const char *path);
int		 sync_flush(const char *path);
/* One line; unless it must answer, nothing when it does not. */
int		 sync_line(const char *path, bool must);
/*
 * Adds what is wrong with it to all, and fills facts.  heard: of our nodes one
 * that carpd hears, or NULL.  The exit code; unless it must answer, a pfsyncd
 * that does not run is nothing.
 */
int		 sync_diagnose(const char *path, bool must,
		    const struct ipaddr *heard, struct sync_facts *facts,
		    struct findings *all);

#endif
