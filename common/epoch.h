/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What a daemon remembers from one start to the next: the epoch of its
 * trailers (wire/trailer.h), and its node id where it has made that up.  One
 * record of 32 bytes in a file of its own, read and written in place, once, at
 * the start: no disk is waited for later, and a full one has had room before.
 *
 * An epoch is above all earlier ones of the node as far as the file knows, and
 * no two of them are the same even if it is lost and the clock set back: the
 * milliseconds since 1970, times 2^22, and 22 random bits.  Nothing that is
 * secure depends on the file: see auth.h.
 */
#ifndef COMMON_EPOCH_H
#define COMMON_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch {
	uint64_t	 epoch;		/* of this start */
	uint32_t	 node;		/* of all starts; not 0 */
};

/* PURE.  last: 0 when there is none; random: any number. */
uint64_t	 epoch_next(uint64_t last, uint64_t now_ms, uint32_t random);
/*
 * Where: /run/NAME.sock has /var/lib/DAEMON/NAME.epoch, any other control
 * socket a file beside it.  false: too long.
 */
bool		 epoch_path(const char *daemon, const char *sock, char *path,
		    size_t len);
/*
 * Read the file, make this start's, write it; what fails is logged, and e is
 * good nevertheless.  Only a file that is ours (plain, 0600, one link) is read
 * or written; its directory is made when it is missing.  mac (6 bytes, or
 * NULL): of this host; a file that came here by a clone of a machine, with
 * another one, has no node id for us.
 */
void		 epoch_start(const char *daemon, const char *sock,
		    const uint8_t *mac, struct epoch *e);

#endif
