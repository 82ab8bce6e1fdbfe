/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: what the parent asks of the host: who it is, whether flows have
 * events.  Linux, and null: nothing is known.
 */
#ifndef PFSYNCD_OS_HOST_H
#define PFSYNCD_OS_HOST_H

#include <stdint.h>

/*
 * The number of this node: the same at each start, another one on another
 * host, syncdev or MAC address.  0: this host has neither a name for itself
 * nor a MAC address (all zero) there.
 */
uint32_t	 host_node(const char *syncdev, const uint8_t mac[6]);
/*
 * Does every flow get events?  The setting of this network namespace, -1 and
 * errno: there is none (yet).
 */
int		 host_events(void);
/* The setting that gives them, and back.  0, or -1 and errno. */
#define HOST_EVENTS_ON	1
int		 host_events_set(int value);

#endif
