/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: from what carpd tells about itself to what is wrong.
 */
#ifndef CARPCTL_DIAGNOSE_H
#define CARPCTL_DIAGNOSE_H

#include "../carpd/msgs.h"
#include "findings.h"
#include "show.h"
#include "sync.h"

struct evidence {
	struct ctl_global	 g;
	struct show_iface	*ifaces;
	size_t			 nifaces;
	struct ctl_peer		*peers;
	size_t			 npeers;
};

/* Of our own nodes one that is heard now, or NULL. */
const struct ipaddr *diagnose_heard(const struct evidence *e);
/*
 * Adds to all, where what the rules do is already, what evidence and facts
 * (asked or not) show to be wrong.
 */
void		 diagnose(const struct evidence *e, const struct sync_facts *s,
		    struct findings *all);

#endif
