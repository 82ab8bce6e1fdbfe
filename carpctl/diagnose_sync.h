/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: from what pfsyncd tells about itself to what is wrong.  Behind the
 * wall of sync.h: carpd's messages must not be included where this is.
 */
#ifndef CARPCTL_DIAGNOSE_SYNC_H
#define CARPCTL_DIAGNOSE_SYNC_H

#include "../pfsyncd/msgs.h"
#include "findings.h"
#include "sync.h"

/* All that pfsyncd says about itself. */
struct sync_answer {
	struct sync_show	 s;
	bool			 complete;
	struct sync_peer_info	*peers;
	size_t			 npeers;
	struct sync_stranger	*strangers;
	size_t			 nstrangers;
	struct sync_counter	*counters;
	size_t			 ncounters;
};

/* As sync_diagnose(). */
void		 diagnose_sync(const struct sync_answer *a,
		    const struct ipaddr *heard, struct sync_facts *facts,
		    struct findings *all);

#endif
