/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Turns a daemon's message table into an enum, names, sizes and directions.
 *
 * A table is an X-macro of lines
 *	X(NAME, FROM, PAYLOAD, FD)
 * with FROM a MSG_FROM_* bit set, PAYLOAD a struct type (or msg_none for an
 * empty message, msg_text for 0..LEN bytes) and FD 1 when a descriptor must
 * ride along.  See carpd/msgs.h.
 */
#ifndef COMMON_MSGTAB_H
#define COMMON_MSGTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSG_FROM_PARENT	0x1
#define MSG_FROM_ENGINE	0x2
#define MSG_FROM_CLIENT	0x4	/* carpctl */
#define MSG_FROM_TABLE	0x8	/* pfsyncd's table process */

struct msg_desc {
	const char	*name;
	uint32_t	 from;
	size_t		 size;
	bool		 variable;	/* size is the most, not the exact */
	bool		 fd;
};

struct msg_none { uint8_t unused; };

struct imsg;

/*
 * Is im an allowed message from `from`, with the exact size and descriptor?
 * Returns NULL, or a static text saying what is wrong.
 */
const char	*msg_check(const struct msg_desc *tab, size_t n,
		    const struct imsg *im, uint32_t from);

#endif
