/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl keygen: a key for `key' and `key file' of carpd.conf(5) and
 * pfsyncd.conf(5).
 */
#ifndef CARPCTL_KEYGEN_H
#define CARPCTL_KEYGEN_H

/*
 * 256 random bits as hexadecimal digits and a newline into a new file that
 * nobody else may read, or to stdout (NULL, "-").  0, or the exit code after a
 * line on stderr; a file that exists is never touched.
 */
int		 keygen_command(const char *path);

#endif
