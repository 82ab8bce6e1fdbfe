/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: of what kind a sender of advertisements is, told by what its packets
 * have in common with those of a system.  For people only: no election and no
 * check hangs on it.
 */
#ifndef CARPD_PEER_H
#define CARPD_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/wire/carp.h"

enum peer_kind {
	PEER_UNKNOWN,		/* one packet may be too little to tell */
	PEER_CARPD,
	PEER_OPENBSD,
	PEER_FREEBSD,		/* or NetBSD */
	PEER_UCARP,
	PEER_VRRP2,
	PEER_VRRP3,
	PEER_KINDS
};
extern const char *const peer_kind_names[];

/* What one packet shows. */
struct peer_sign {
	const uint8_t	*eth_src;	/* 6 bytes */
	uint8_t		 tos;
	uint8_t		 vhid;
	uint8_t		 demote;
	bool		 bowout;
	bool		 ours;		/* it has our trailer, right or wrong */
	bool		 nov6ll, orig;	/* only that digest was right */
	const uint8_t	*before;	/* the counter of its last packet; NULL:
					   there was none */
	const uint8_t	*counter;	/* and of this one */
};

/* The kind after this packet, that was `was' until now. */
enum peer_kind	 peer_kind(enum peer_kind was, const struct peer_sign *s);

/* Does its sender express demotion by advskew, and ignore the byte? */
bool		 peer_skews(const struct peer_sign *s);

/*
 * Has a counter grown by a few steps, as that of FreeBSD, NetBSD and ucarp
 * does?  Any other value is the random one of a peer that was started anew, or
 * somebody's replay.
 */
bool		 peer_counter_grew(const uint8_t *before, const uint8_t *now);

#endif
