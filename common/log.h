/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Logging of all processes.  OpenBSD's names.  A process logs to stderr (-d)
 * or to syslog; a child hands its lines to the parent through a sink
 * (log_set_sink).  /dev/log is written without blocking: when it is full or
 * gone, lines are counted and dropped, and the count is logged when it works
 * again.  Nothing here ever blocks or kills a daemon.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <syslog.h>

#define LOG_LINE_MAX	512	/* a line, with its NUL; longer ones are cut */

/* Receives each finished line (no newline); the text is not kept. */
typedef void (*log_sink)(int pri, const char *line, void *arg);

/*
 * progname: kept by reference.  to_stderr: foreground (-d).  verbose: level
 * of -v; debug lines appear from 1 on.
 */
void	 log_init(const char *progname, bool to_stderr, int verbose);
/* Name of this process ("parent", "engine"), shown by log_debug and fatal. */
void	 log_procinit(const char *procname);
void	 log_set_sink(log_sink sink, void *arg);
void	 log_setverbose(int verbose);
int	 log_getverbose(void);
/* Emit a line that a child made: used by the parent, does not use the sink. */
void	 log_emit(int pri, const char *line);

void	 log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	 log_at(int pri, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	 fatal(const char *fmt, ...)
	    __attribute__((noreturn, format(printf, 1, 2)));
void	 fatalx(const char *fmt, ...)
	    __attribute__((noreturn, format(printf, 1, 2)));

#endif
