/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * VRRP as far as CARP meets it: the same IP protocol, groups and virtual MAC.
 * Recognised, to name the router that has our vhid, and nothing else.  Pure.
 * RFC 3768 (version 2), RFC 5798 (version 3).
 */
#ifndef COMMON_WIRE_VRRP_H
#define COMMON_WIRE_VRRP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../ipaddr.h"

struct vrrp_header {
	uint8_t		 version;	/* 2 or 3 */
	uint8_t		 vrid;
	uint8_t		 priority;
	uint8_t		 interval;	/* seconds, rounded down */
};

/*
 * The payload of an IP packet of protocol 112 from src to dst.  false: no VRRP
 * advertisement.  A CARP advertisement can look like one of version 2 with
 * seven addresses, so whoever expects CARP tries that first.
 */
bool		 vrrp_decode(const void *data, size_t len,
		    const struct ipaddr *src, const struct ipaddr *dst,
		    struct vrrp_header *h);

#endif
