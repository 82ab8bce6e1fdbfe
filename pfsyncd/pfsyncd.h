/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What main hands to the processes of pfsyncd(8).
 */
#ifndef PFSYNCD_PFSYNCD_H
#define PFSYNCD_PFSYNCD_H

#define PFSYNCD_CONF	"/etc/pfsyncd.conf"
#define PFSYNCD_SOCKET	"/run/pfsyncd.sock"
#define PFSYNCD_USER	"_pfsyncd"
#define PFSYNCD_GROUP	"224.0.0.240"	/* pfsync(4) */

/*
 * The engine process: fd is the channel to the parent, user whom to become.
 * The table process likewise.  Neither returns.
 */
void	 engine_main(int fd, const char *user, int verbose)
	    __attribute__((noreturn));
void	 table_main(int fd, const char *user, int verbose)
	    __attribute__((noreturn));

#endif
