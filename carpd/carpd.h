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

/*
 * Bytes that may wait between the two processes: the configuration, or the
 * last frames, of some ten thousand vhids at once.
 */
#define CARPD_QUEUE_MAX	(64 * 1024 * 1024)
/*
 * SCHED_FIFO priorities.  Hundreds of addresses take the parent a while; the
 * engine's advertisements must not wait for that, on a single CPU neither.
 */
#define CARPD_PARENT_PRIO	10
#define CARPD_ENGINE_PRIO	11

/*
 * The engine process: fd is the channel to the parent, user whom to become.
 * Does not return.
 */
void	 engine_main(int fd, const char *user, int verbose)
	    __attribute__((noreturn));

#endif
