/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What main hands to the processes of carpd(8).
 */
#ifndef CARPD_CARPD_H
#define CARPD_CARPD_H

#define CARPD_CONF	"/etc/carpd.conf"
#define CARPD_SOCKET	"/run/carpd.sock"
#define CARPD_USER	"_carpd"

#define CARPD_FIFO_PRIO	10	/* SCHED_FIFO priority of both processes */

/*
 * The engine process: fd is the channel to the parent, user whom to become.
 * Does not return.
 */
void	 engine_main(int fd, const char *user, int verbose)
	    __attribute__((noreturn));

#endif
