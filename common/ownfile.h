/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Files that a daemon leaves for its next start.  What somebody else could
 * have put there is neither read nor written: only a plain file of our own
 * with mode 0600 and one name counts.
 */
#ifndef COMMON_OWNFILE_H
#define COMMON_OWNFILE_H

#include <stddef.h>

/* How many characters of a control socket's path are not its ".sock". */
int	 ownfile_stem(const char *sock);
/*
 * open(2) with these flags, close-on-exec, following no link; 0600 if it is
 * made.  The descriptor, or -1 and errno: EPERM when it is not ours.
 */
int	 ownfile_open(const char *path, int flags);
/*
 * Its contents are these from now on, or as before: there is no moment between
 * at which it is torn.  For a short while there is a second file, PATH.new.  0,
 * or -1 and errno.
 */
int	 ownfile_replace(const char *path, const void *buf, size_t len);

#endif
