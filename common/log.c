/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Lines to stderr, to syslog or to a sink.  Not syslog(3), which can block:
 * we write RFC 3164 datagrams to /dev/log ourselves, and what cannot be
 * written at once is counted and lost.
 *
 * A line of level debug or critical (fatal) starts with "[process] ", also on
 * its way from a child to the parent; on stderr that becomes part of the name.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "monotime.h"

#define LOG_PATH	"/dev/log"
#define LOG_RETRY	MONOTIME_SEC	/* between attempts to connect */
#define LOG_HEAD_MAX	128		/* what stands before a line */

static struct {
	const char		*ident;
	const char		*proc;
	bool			 to_stderr;
	int			 verbose;
	log_sink		 sink;
	void			*arg;
	bool			 in_sink;
	bool			 had_sink;
	int			 fd;
	struct sockaddr_un	 sun;
	monotime_t		 tried;
	uint64_t		 lost;
} lg = { .ident = "log", .to_stderr = true, .fd = -1 };

static void
log_close(void)
{
	if (lg.fd != -1)
		close(lg.fd);
	lg.fd = -1;
}

/*
 * A process that had a sink may be in a sandbox: no new socket there, not even
 * after the sink has gone.
 */
static bool
log_connect(void)
{
	monotime_t now = monotime_now();

	if (lg.had_sink || (monotime_isset(lg.tried) &&
	    monotime_sub(now, lg.tried) < LOG_RETRY))
		return (false);
	lg.tried = now;
	lg.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (lg.fd == -1)
		return (false);
	if (connect(lg.fd, (struct sockaddr *)&lg.sun, sizeof(lg.sun)) == -1) {
		log_close();
		return (false);
	}
	return (true);
}

/* tzset() here lets localtime_r() do without files for ever after. */
void
log_init(const char *progname, bool to_stderr, int verbose)
{
	const char *path;

	log_close();
	lg.ident = progname;
	lg.to_stderr = to_stderr;
	lg.verbose = verbose;
	lg.lost = 0;
	lg.had_sink = false;
	lg.tried = MONOTIME_NEVER;
	if ((path = getenv("CARPD_SYSLOG")) == NULL)
		path = LOG_PATH;
	memset(&lg.sun, 0, sizeof(lg.sun));
	lg.sun.sun_family = AF_UNIX;
	strlcpy(lg.sun.sun_path, path, sizeof(lg.sun.sun_path));
	tzset();
	if (!to_stderr)
		log_connect();
}

void
log_procinit(const char *procname)
{
	lg.proc = procname;
}

void
log_set_sink(log_sink sink, void *arg)
{
	lg.sink = sink;
	lg.arg = arg;
	if (sink != NULL) {
		lg.had_sink = true;
		log_close();
	}
}

void
log_setverbose(int verbose)
{
	lg.verbose = verbose;
}

int
log_getverbose(void)
{
	return (lg.verbose);
}

static bool
log_tagged(int pri)
{
	return (pri == LOG_DEBUG || pri == LOG_ALERT);
}

/* Length of the leading "[process]", 0 when there is none. */
static int
log_taglen(int pri, const char *line)
{
	const char *end;

	if (!log_tagged(pri) || line[0] != '[')
		return (0);
	if ((end = strstr(line, "] ")) == NULL)
		return (0);
	return ((int)(end - line) + 1);
}

/*
 * stderr is not ours to make non-blocking (it is the administrator's
 * terminal), so it is asked first; a reader that is gone would be SIGPIPE.
 */
static bool
log_stderr(int pri, const char *line)
{
	char buf[LOG_HEAD_MAX + LOG_LINE_MAX];
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	int n, tag;

	tag = log_taglen(pri, line);
	n = snprintf(buf, sizeof(buf), "%s%.*s: %s\n", lg.ident, tag, line,
	    line + tag + (tag > 0));
	if (n < 0)
		return (false);
	if ((size_t)n >= sizeof(buf)) {
		n = sizeof(buf) - 1;
		buf[n - 1] = '\n';
	}
	if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0 ||
	    (pfd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
		return (false);
	return (write(STDERR_FILENO, buf, (size_t)n) == n);
}

/* Full is not gone: only the latter is worth a new connection. */
static bool
log_full(int error)
{
	return (error == EAGAIN || error == ENOBUFS || error == ENOMEM ||
	    error == EMSGSIZE || error == EINTR);
}

/* log_connect() refuses a second try within a second, which ends the loop. */
static bool
log_send(const char *buf, size_t len)
{
	for (;;) {
		if (lg.fd == -1 && !log_connect())
			return (false);
		if (send(lg.fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
			return (true);
		if (log_full(errno))
			return (false);
		log_close();
	}
}

/* RFC 3164 4.1, without a host name, as local programs write it. */
static bool
log_syslog(int pri, const char *line)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr",
	    "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	char buf[LOG_HEAD_MAX + LOG_LINE_MAX];
	struct timespec ts;
	struct tm tm;
	int n;

	if (clock_gettime(CLOCK_REALTIME, &ts) == -1 ||
	    localtime_r(&ts.tv_sec, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	n = snprintf(buf, sizeof(buf), "<%d>%s %2d %02d:%02d:%02d %s[%d]: %s",
	    LOG_DAEMON | pri, months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, lg.ident, (int)getpid(), line);
	if (n < 0)
		return (false);
	if ((size_t)n >= sizeof(buf))
		n = sizeof(buf) - 1;
	return (log_send(buf, (size_t)n));
}

static bool
log_out(int pri, const char *line)
{
	return (lg.to_stderr ? log_stderr(pri, line) : log_syslog(pri, line));
}

/* A line from elsewhere must not be able to look like two. */
static void
log_clean(char *dst, const char *src)
{
	size_t i;

	for (i = 0; i < LOG_LINE_MAX - 1 && src[i] != '\0'; i++) {
		dst[i] = src[i];
		if ((unsigned char)dst[i] < ' ' || dst[i] == 0x7f)
			dst[i] = dst[i] == '\t' ? ' ' : '?';
	}
	dst[i] = '\0';
}

void
log_emit(int pri, const char *line)
{
	char buf[LOG_LINE_MAX], note[64];
	int saved = errno;

	log_clean(buf, line);
	if (lg.lost > 0) {
		snprintf(note, sizeof(note), "%" PRIu64 " log lines lost",
		    lg.lost);
		if (log_out(LOG_WARNING, note))
			lg.lost = 0;
	}
	if (lg.lost > 0 || !log_out(pri & LOG_PRIMASK, buf))
		lg.lost++;
	errno = saved;
}

/*
 * What a sink itself has to say goes past it: into the sink it would recurse.
 */
static void
log_deliver(int pri, const char *line)
{
	if (lg.sink == NULL || lg.in_sink) {
		log_emit(pri, line);
		return;
	}
	lg.in_sink = true;
	lg.sink(pri, line, lg.arg);
	lg.in_sink = false;
}

/* error: errno to append, or 0. */
static void __attribute__((format(printf, 3, 0)))
log_v(int pri, int error, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX] = "";
	int saved = errno;
	size_t n;

	if (pri == LOG_DEBUG && lg.verbose < 1)
		return;
	if (lg.proc != NULL && log_tagged(pri))
		snprintf(line, sizeof(line), "[%s] ", lg.proc);
	n = strlen(line);
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	if (error != 0) {
		strlcat(line, ": ", sizeof(line));
		strlcat(line, strerror(error), sizeof(line));
	}
	log_deliver(pri, line);
	errno = saved;
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_WARNING, errno, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_WARNING, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_INFO, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void
log_at(int pri, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(pri & LOG_PRIMASK, 0, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_ALERT, errno, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_v(LOG_ALERT, 0, fmt, ap);
	va_end(ap);
	exit(1);
}
