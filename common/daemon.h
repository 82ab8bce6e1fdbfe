/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * How both daemons start: the command line, the parent's way into the
 * background, its control socket and signals, and its children, which are this
 * program executed again with an option (a role) and a channel.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "channel.h"

#define DAEMON_CHILD_FD		3	/* the channel, in a child */
#define DAEMON_DEFINES_MAX	32
#define DAEMON_TEXT_MAX		1024	/* of an error, with its NUL */

struct daemon {
	/* set by main(): who we are, and what holds without options */
	const char	*name;		/* "carpd" */
	const char	*roles;		/* for getopt(3): "E:" */
	const char	*file, *sock, *user;

	/* daemon_args() */
	char		*defines[DAEMON_DEFINES_MAX + 1];	/* of -D */
	size_t		 ndefines;
	bool		 debug;
	int		 verbose;
	int		 check;		/* how often -n was said */
	char		 role;		/* which child we are; 0: the parent */

	/* daemon_parent() */
	const char	*self;		/* our program */
	int		 ready_fd;	/* who waits for us to be up, or -1 */
};

/*
 * Read the options into d, set up log and process title.  Ends the process
 * after -V (status 0) and when they are wrong (usage, status 1).
 */
void	 daemon_args(struct daemon *d, int argc, char *argv[]);
/*
 * From here we are the parent: root or fatal(), of no interest to a debugger,
 * with paths that chdir() does not make wrong.
 */
void	 daemon_parent(struct daemon *d, const char *argv0);
/* The control socket, for a group that d->user has; fatal() without. */
int	 daemon_listen(const struct daemon *d);
/*
 * Unless -d: into the background, where daemon_ready() ends the process that
 * was started with status 0, and our end with 1.  Logs as "parent".
 */
void	 daemon_background(struct daemon *d);
/* Calls cb for the signals of a parent; ev_init() was before. */
void	 daemon_signals(void (*cb)(int sig, void *arg), void *arg);
/*
 * Start a child; its id in *pid.  The channel calls msg and gone with arg;
 * free it with channel_free().  fatal() when that fails.
 */
struct channel *daemon_child(const struct daemon *d, char role, pid_t *pid,
	    channel_msg_cb msg, channel_gone_cb gone, void *arg);
/* All children run with their configuration: tell who waits for it. */
void	 daemon_ready(struct daemon *d);
/* Log the line of size bytes that a child sent, whatever is in it. */
void	 daemon_log(int pri, const char *line, size_t size);

/* What config_load() said; the arg of its err and warn. */
struct daemon_load {
	char		 first[DAEMON_TEXT_MAX];	/* error, or "" */
	bool		 check;		/* -n: errors only, and bare */
};

void	 daemon_load_error(const char *line, void *arg);
void	 daemon_load_warning(const char *line, void *arg);

/* Close *fd unless it is -1, which it is afterwards. */
void	 daemon_close(int *fd);

#endif
