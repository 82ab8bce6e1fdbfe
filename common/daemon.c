/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The start of a daemon, its parent and its children (daemon.h).
 */
#include <sys/types.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "daemon.h"
#include "ev.h"
#include "log.h"
#include "notify.h"
#include "os/sandbox.h"

void
daemon_close(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* ---- the command line ---- */

static void __attribute__((noreturn))
usage(const struct daemon *d)
{
	fprintf(stderr, "usage: %s [-dnVv] [-D macro=value] [-f file] "
	    "[-s socket] [-u user]\n", d->name);
	exit(1);
}

/* An argument for later: setproctitle() writes over argv. */
static char *
keep(const char *arg)
{
	char *copy;

	if ((copy = strdup(arg)) == NULL)
		fatal("strdup");
	return (copy);
}

static void
option(struct daemon *d, int ch)
{
	switch (ch) {
	case 'b':		/* a child only: in the background */
		break;
	case 'D':
		if (d->ndefines == DAEMON_DEFINES_MAX ||
		    strchr(optarg, '=') == NULL)
			usage(d);
		d->defines[d->ndefines++] = keep(optarg);
		break;
	case 'd':
		d->debug = true;
		break;
	case 'f':
		d->file = keep(optarg);
		break;
	case 'n':
		d->check++;
		break;
	case 's':
		d->sock = keep(optarg);
		break;
	case 'u':
		d->user = keep(optarg);
		break;
	case 'V':
		printf("%s %s\n", d->name, VERSION);
		exit(0);
	case 'v':
		d->verbose++;
		break;
	case '?':
		usage(d);
	default:		/* we are a child; verbosity */
		d->role = (char)ch;
		d->verbose = atoi(optarg);
		break;
	}
}

void
daemon_args(struct daemon *d, int argc, char *argv[])
{
	char opts[32];
	int ch;

	(void)snprintf(opts, sizeof(opts), "bD:df:ns:u:Vv%s", d->roles);
	while ((ch = getopt(argc, argv, opts)) != -1)
		option(d, ch);
	if (argc != optind)
		usage(d);
	setproctitle_init(argc, argv, environ);
	log_init(d->name, d->role == 0 || d->debug, d->verbose);
}

/* ---- the parent ---- */

/*
 * Our own program for the children, before chdir() makes a relative one
 * wrong.
 */
static const char *
own_path(const char *argv0)
{
	static char path[PATH_MAX];

	if (strchr(argv0, '/') == NULL || realpath(argv0, path) == NULL)
		return (keep(argv0));
	return (path);
}

/* Files and options relative to where we were started. */
static const char *
absolute(const char *path)
{
	char cwd[PATH_MAX], *abs;

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return (path);
	if (asprintf(&abs, "%s/%s", cwd, path) == -1)
		fatal("asprintf");
	return (abs);
}

void
daemon_parent(struct daemon *d, const char *argv0)
{
	if (geteuid() != 0)
		fatalx("need root privileges");
	sandbox_keep_secrets();
	d->self = own_path(argv0);
	d->file = absolute(d->file);
	d->sock = absolute(d->sock);
	d->ready_fd = -1;
}

int
daemon_listen(const struct daemon *d)
{
	struct passwd *pw;
	int fd;

	if ((pw = getpwnam(d->user)) == NULL)
		fatalx("user %s does not exist (useradd --system --shell "
		    "/usr/sbin/nologin %s, or -u)", d->user, d->user);
	if ((fd = control_listen(d->sock, pw->pw_gid)) == -1) {
		if (errno == EADDRINUSE)
			fatalx("%s: another %s answers there", d->sock,
			    d->name);
		fatal("%s", d->sock);
	}
	return (fd);
}

/* The process that was started waits here for what becomes of us. */
static void __attribute__((noreturn))
await_ready(const struct daemon *d, int fd)
{
	char c;

	if (read(fd, &c, 1) == 1)
		_exit(0);
	fprintf(stderr, "%s: did not start: see the system log, or start it "
	    "with -d\n", d->name);
	_exit(1);
}

static void
detach(struct daemon *d)
{
	int fds[2], null;

	if (pipe2(fds, O_CLOEXEC) == -1)
		fatal("pipe");
	switch (fork()) {
	case -1:
		fatal("fork");
	case 0:
		break;
	default:
		close(fds[1]);
		await_ready(d, fds[0]);
	}
	close(fds[0]);
	d->ready_fd = fds[1];
	(void)setsid();
	if (chdir("/") == -1)
		fatal("chdir");
	if ((null = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1)
		fatal("/dev/null");
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	close(null);
}

void
daemon_background(struct daemon *d)
{
	if (!d->debug)
		detach(d);
	log_init(d->name, d->debug, d->verbose);
	log_procinit("parent");
	(void)signal(SIGPIPE, SIG_IGN);
}

void
daemon_signals(void (*cb)(int sig, void *arg), void *arg)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGCHLD,
	    SIGUSR1 };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)ev_signal_new(signals[i], cb, arg);
}

void
daemon_ready(struct daemon *d)
{
	notify("READY=1");
	if (d->ready_fd != -1) {
		if (write(d->ready_fd, "", 1) == -1)
			log_debug("nobody waits for us");
		daemon_close(&d->ready_fd);
	}
	log_info("%s %s started", d->name, VERSION);
}

/* ---- children ---- */

static void __attribute__((noreturn))
child_exec(const struct daemon *d, char role, int fd)
{
	char flag[3] = { '-', role, '\0' }, verbose[8];

	(void)snprintf(verbose, sizeof(verbose), "%d", d->verbose);
	if (dup2(fd, DAEMON_CHILD_FD + 1) == -1 ||
	    dup2(DAEMON_CHILD_FD + 1, DAEMON_CHILD_FD) == -1)
		_exit(1);
	closefrom(DAEMON_CHILD_FD + 1);
	execlp(d->self, d->name, flag, verbose, d->debug ? "-d" : "-b", "-u",
	    d->user, (char *)NULL);
	_exit(1);
}

struct channel *
daemon_child(const struct daemon *d, char role, pid_t *pid, channel_msg_cb msg,
    channel_gone_cb gone, void *arg)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		fatal("socketpair");
	switch (*pid = fork()) {
	case -1:
		fatal("fork");
	case 0:
		child_exec(d, role, sv[1]);
	default:
		break;
	}
	close(sv[1]);
	return (channel_new(sv[0], msg, gone, arg));
}

void
daemon_log(int pri, const char *line, size_t size)
{
	char buf[LOG_LINE_MAX];

	(void)snprintf(buf, sizeof(buf), "%.*s", (int)size, line);
	if (pri >= LOG_EMERG && pri <= LOG_DEBUG)
		log_emit(pri, buf);
}

/* ---- configuration ---- */

void
daemon_load_error(const char *line, void *arg)
{
	struct daemon_load *m = arg;

	if (m->first[0] == '\0')
		(void)strlcpy(m->first, line, sizeof(m->first));
	if (m->check)
		fprintf(stderr, "%s\n", line);
	else
		log_warnx("%s", line);
}

void
daemon_load_warning(const char *line, void *arg)
{
	struct daemon_load *m = arg;

	if (!m->check)
		log_warnx("%s", line);
}
