/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The commands of carpctl(8) that pfsyncd answers.  Behind a wall of its own:
 * the messages of the two daemons do not fit into one file.
 */
#ifndef CARPCTL_SYNC_H
#define CARPCTL_SYNC_H

#include <stdbool.h>

/*
 * Each asks the pfsyncd that listens on path, prints its answer, or what went
 * wrong, and returns the exit code.
 */
int		 sync_show(const char *path, bool json);
int		 sync_now(const char *path);
int		 sync_flush(const char *path);
/* One line; unless it must answer, nothing when it does not. */
int		 sync_line(const char *path, bool must);

#endif
