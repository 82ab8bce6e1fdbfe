/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The restore record of a carpdev (os/vaddr.h) in a file: a second place for
 * it, that outlives our processes and, unlike the first (os/steer.h), whatever
 * somebody does to the classifier meanwhile.
 */
#ifndef CARPD_RESTORE_H
#define CARPD_RESTORE_H

#include <stddef.h>
#include <stdint.h>

/* Of which interface, since when.  Zeroed before it is filled. */
struct restore_id {
	uint32_t	 boot;		/* os/boot.h */
	int32_t		 ifindex;
	uint8_t		 mac[6];
	uint8_t		 pad[2];
};

#define RESTORE_MAX	16384	/* bytes of a record */

/*
 * The record of that interface: its length, 0 when there is none.  What is
 * damaged, somebody else's, or of another interface or boot is none; that is
 * logged.  buf has RESTORE_MAX bytes.
 */
size_t	 restore_read(const char *path, const struct restore_id *id,
	    void *buf);
/* 0, or -1 and errno: then it is what it was. */
int	 restore_write(const char *path, const struct restore_id *id,
	    const void *buf, size_t len);

#endif
