/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl(8): one command, one request on carpd's control socket, its answer
 * on the terminal.  The words are in tokens.c, the forms of output in
 * show_*.c, the messages in carpd/msgs.h; what concerns pfsyncd is in
 * sync.c; import.c and keygen.c need no daemon.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../carpd/msgs.h"
#include "../common/ctlclient.h"
#include "../common/log.h"
#include "doctor.h"
#include "import.h"
#include "keygen.h"
#include "show.h"
#include "sync.h"
#include "tokens.h"

#define CARPD_SOCKET	"/run/carpd.sock"
#define PFSYNCD_SOCKET	"/run/pfsyncd.sock"

#define EXIT_REFUSED	1
#define EXIT_USAGE	2
#define EXIT_UNREACHABLE 3

#define WAIT_MS		5000
#define WAIT_RELOAD_MS	30000	/* a long file, on a busy firewall */

static const char *sockpath;		/* NULL: not given */
static const char *syncpath;

static void __attribute__((noreturn))
usage(void)
{
	fputs("usage: carpctl [-jV] [-S socket] [-s socket] command "
	    "[argument ...]\n", stderr);
	tokens_usage("       carpctl ", stderr);
	exit(EXIT_USAGE);
}

static void __attribute__((noreturn))
unreachable(const char *why)
{
	fprintf(stderr, "carpctl: %s: %s\n",
	    sockpath != NULL ? sockpath : CARPD_SOCKET, why);
	exit(EXIT_UNREACHABLE);
}

static struct ctlclient *
reach(void)
{
	struct ctlclient	*c;

	if ((c = ctlclient_open(sockpath != NULL ? sockpath :
	    CARPD_SOCKET)) != NULL)
		return (c);
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		unreachable("carpd is not running");
	case EACCES:
	case EPERM:
		unreachable("permission denied: need root or group _carpd");
	default:
		unreachable(strerror(errno));
	}
}

static void
ask(struct ctlclient *c, enum carpd_msg type, const void *data, size_t len)
{
	if (ctlclient_ask(c, type, data, len) == -1)
		unreachable(errno == EPIPE || errno == ECONNRESET ?
		    "carpd closed the connection" : strerror(errno));
}

/* The next reply, checked against the message table. */
static void
answer(struct ctlclient *c, struct imsg *im, int ms)
{
	const char	*wrong;
	int		 r;

	if ((r = ctlclient_next(c, im, ms)) == 0)
		unreachable("carpd closed the connection");
	if (r == -1)
		unreachable(errno == ETIMEDOUT ? "carpd does not answer" :
		    strerror(errno));
	wrong = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_ENGINE);
	if (wrong != NULL)
		unreachable(wrong);
}

/* Text from the daemon, which may quote others: no control characters. */
static void
print_text(const struct imsg *im, FILE *f)
{
	const unsigned char	*p = im->data;
	size_t			 n;

	for (n = 0; n < im->len; n++)
		fputc((p[n] < ' ' && p[n] != '\n') || p[n] == 0x7f ? '?' :
		    p[n], f);
	fputc('\n', f);
}

static int
refused(const struct imsg *im)
{
	fputs("carpctl: ", stderr);
	print_text(im, stderr);
	return (EXIT_REFUSED);
}

/* Replies of one show request up to its end.  0, or the exit code. */
static int
show_replies(struct ctlclient *c, struct show *s)
{
	struct imsg	 im;

	for (;;) {
		answer(c, &im, WAIT_MS);
		if (im.type == IMSG_CTL_END)
			return (0);
		if (im.type == IMSG_CTL_FAIL)
			return (refused(&im));
		if (show_feed(s, &im) == -1)
			unreachable("answer not understood");
	}
}

static void
ask_show(struct ctlclient *c, enum ctl_what what, const char *name)
{
	struct ctl_show	 m;

	memset(&m, 0, sizeof(m));
	m.what = what;
	strlcpy(m.name, name, sizeof(m.name));
	ask(c, IMSG_CTL_SHOW, &m, sizeof(m));
}

static enum ctl_what
show_what(enum tokens_action action)
{
	switch (action) {
	case ACTION_SHOW_IFACE:
		return (CTL_WHAT_IFACE);
	case ACTION_SHOW_DEMOTION:
		return (CTL_WHAT_DEMOTION);
	case ACTION_SHOW_COUNTERS:
		return (CTL_WHAT_COUNTERS);
	case ACTION_SHOW_PEERS:
		return (CTL_WHAT_PEERS);
	case ACTION_SHOW_HISTORY:
		return (CTL_WHAT_HISTORY);
	default:
		return (CTL_WHAT_ALL);
	}
}

/* The replies of a request, through a writer to f. */
static int
show_to(struct ctlclient *c, const struct tokens_result *r, FILE *f)
{
	const struct show_writer	*w;
	struct show			*s;
	enum ctl_what			 what = show_what(r->action);
	int				 code, end;

	w = r->check ? &show_check : r->json ? &show_json : &show_text;
	s = show_new(w, f, what);
	ask_show(c, what, r->name);
	code = show_replies(c, s);
	end = show_end(s);
	return (code != 0 ? code : end);
}

/* Without an end nothing is printed: half an answer could be believed. */
static int
do_show(struct ctlclient *c, const struct tokens_result *r)
{
	char	*buf = NULL;
	size_t	 len = 0;
	FILE	*f;
	int	 code;

	if ((f = open_memstream(&buf, &len)) == NULL)
		err(EXIT_REFUSED, NULL);
	code = show_to(c, r, f);
	if (fclose(f) == EOF)
		err(EXIT_REFUSED, NULL);
	if (code != EXIT_REFUSED)
		fwrite(buf, 1, len, stdout);
	free(buf);
	return (code);
}

/*
 * The pfsyncd beside that carpd.  Who names another carpd, but no pfsyncd,
 * would get that of somebody else: NULL.
 */
static const char *
sync_beside(void)
{
	if (syncpath != NULL || sockpath != NULL)
		return (syncpath);
	return (PFSYNCD_SOCKET);
}

/* The last line of the one screen is pfsyncd's. */
static int
do_show_sync_line(const struct tokens_result *r)
{
	const char	*path = sync_beside();

	if (r->json || r->check || path == NULL)
		return (0);
	return (sync_line(path, syncpath != NULL));
}

static int
do_show_all(struct ctlclient *c, const struct tokens_result *r)
{
	int	 code = do_show(c, r);

	return (code != 0 ? code : do_show_sync_line(r));
}

static int
do_doctor(struct ctlclient *c, const struct tokens_result *r)
{
	static const enum ctl_what	 what[] = { CTL_WHAT_ALL,
					    CTL_WHAT_PEERS };
	struct show			*s;
	size_t				 i;
	void				*gathered;
	int				 code = 0;

	s = show_new(&doctor_writer, NULL, CTL_WHAT_ALL);
	for (i = 0; i < sizeof(what) / sizeof(what[0]) && code == 0; i++) {
		ask_show(c, what[i], "");
		code = show_replies(c, s);
	}
	gathered = show_arg(s);
	(void)show_end(s);
	if (code == 0)
		code = doctor_report(gathered, sync_beside(),
		    syncpath != NULL, r->json);
	doctor_free(gathered);
	return (code);
}

static int
do_monitor(struct ctlclient *c)
{
	struct imsg	 im;

	ask(c, IMSG_CTL_MONITOR, NULL, 0);
	for (;;) {
		answer(c, &im, -1);
		if (im.type == IMSG_CTL_FAIL)
			return (refused(&im));
		if (im.type != IMSG_CTL_EVENT)
			continue;
		print_text(&im, stdout);
		if (fflush(stdout) == EOF)
			return (EXIT_REFUSED);
	}
}

/* A command is answered by one message. */
static int
command(struct ctlclient *c, enum carpd_msg type, const void *data, size_t len,
    int ms)
{
	struct imsg	 im;

	ask(c, type, data, len);
	answer(c, &im, ms);
	if (im.type == IMSG_CTL_OK)
		return (0);
	if (im.type != IMSG_CTL_FAIL)
		unreachable("answer not understood");
	return (refused(&im));
}

static int
do_demote(struct ctlclient *c, const struct tokens_result *r)
{
	struct ctl_demote	 m;

	memset(&m, 0, sizeof(m));
	strlcpy(m.group, r->group, sizeof(m.group));
	m.delta = r->action == ACTION_DEMOTE ? r->number : -r->number;
	return (command(c, IMSG_CTL_DEMOTE, &m, sizeof(m), WAIT_MS));
}

static int
do_state(struct ctlclient *c, const struct tokens_result *r)
{
	struct ctl_state	 m;

	memset(&m, 0, sizeof(m));
	strlcpy(m.name, r->name, sizeof(m.name));
	m.state = (uint32_t)r->number;
	return (command(c, IMSG_CTL_STATE, &m, sizeof(m), WAIT_MS));
}

static enum ctl_key
set_key(enum tokens_action action)
{
	switch (action) {
	case ACTION_SET_ADVBASE:
		return (CTL_SET_ADVBASE);
	case ACTION_SET_ADVSKEW:
		return (CTL_SET_ADVSKEW);
	case ACTION_SET_GROUP:
		return (CTL_SET_GROUP);
	case ACTION_SET_UNGROUP:
		return (CTL_SET_UNGROUP);
	case ACTION_SET_LOG:
		return (CTL_SET_LOG);
	case ACTION_UP:
	case ACTION_DOWN:
		return (CTL_SET_UP);
	default:
		return (CTL_SET_PREEMPT);
	}
}

static int
do_set(struct ctlclient *c, const struct tokens_result *r)
{
	struct ctl_set	 m;

	memset(&m, 0, sizeof(m));
	strlcpy(m.name, r->name, sizeof(m.name));
	m.key = set_key(r->action);
	m.vhid = (uint32_t)r->vhid;
	m.value = r->action == ACTION_DOWN ? 0 : r->number;
	if (m.key == CTL_SET_GROUP || m.key == CTL_SET_UNGROUP)
		strlcpy(m.group, r->group, sizeof(m.group));
	return (command(c, IMSG_CTL_SET, &m, sizeof(m), WAIT_MS));
}

static int
do_flag(struct ctlclient *c, enum carpd_msg type, bool on)
{
	struct ctl_flag	 m;

	memset(&m, 0, sizeof(m));
	m.on = on;
	return (command(c, type, &m, sizeof(m), WAIT_MS));
}

static int
act(struct ctlclient *c, const struct tokens_result *r)
{
	switch (r->action) {
	case ACTION_SHOW:
		return (do_show_all(c, r));
	case ACTION_SHOW_IFACE:
	case ACTION_SHOW_DEMOTION:
	case ACTION_SHOW_COUNTERS:
	case ACTION_SHOW_PEERS:
	case ACTION_SHOW_HISTORY:
		return (do_show(c, r));
	case ACTION_DOCTOR:
		return (do_doctor(c, r));
	case ACTION_DEMOTE:
	case ACTION_PROMOTE:
		return (do_demote(c, r));
	case ACTION_STATE:
		return (do_state(c, r));
	case ACTION_SET_ADVSKEW:
	case ACTION_SET_ADVBASE:
	case ACTION_SET_GROUP:
	case ACTION_SET_UNGROUP:
	case ACTION_SET_PREEMPT:
	case ACTION_SET_LOG:
	case ACTION_UP:
	case ACTION_DOWN:
		return (do_set(c, r));
	case ACTION_ENABLE:
	case ACTION_DISABLE:
		return (do_flag(c, IMSG_CTL_ALLOW,
		    r->action == ACTION_ENABLE));
	case ACTION_RELOAD:
		return (command(c, IMSG_CTL_RELOAD, NULL, 0, WAIT_RELOAD_MS));
	case ACTION_LOG:
		return (do_flag(c, IMSG_CTL_LOG, r->number != 0));
	case ACTION_MONITOR:
		return (do_monitor(c));
	case ACTION_SHOW_SYNC:		/* see act_alone() */
	case ACTION_SYNC_NOW:
	case ACTION_SYNC_FLUSH:
	case ACTION_IMPORT:
	case ACTION_KEYGEN:
	case ACTION_NONE:
		break;
	}
	usage();
}

/* What carpd has no part in: pfsyncd is asked, or nobody.  false: it has. */
static bool
act_alone(const struct tokens_result *r, int *code)
{
	const char	*path = syncpath != NULL ? syncpath : PFSYNCD_SOCKET;

	switch (r->action) {
	case ACTION_SHOW_SYNC:
		*code = sync_show(path, r->json);
		return (true);
	case ACTION_SYNC_NOW:
		*code = sync_now(path);
		return (true);
	case ACTION_SYNC_FLUSH:
		*code = sync_flush(path);
		return (true);
	case ACTION_IMPORT:
		*code = import_command(r->files, r->dir, r->force);
		return (true);
	case ACTION_KEYGEN:
		*code = keygen_command(r->files != NULL ? r->files[0] :
		    NULL);
		return (true);
	default:
		return (false);
	}
}

int
main(int argc, char *argv[])
{
	struct tokens_result	 r = { .json = false };
	struct ctlclient	*c;
	int			 ch, code;

	log_init("carpctl", true, 0);
	while ((ch = getopt(argc, argv, "+jS:s:V")) != -1) {
		switch (ch) {
		case 'j':
			r.json = true;
			break;
		case 'S':
			syncpath = optarg;
			break;
		case 's':
			sockpath = optarg;
			break;
		case 'V':
			printf("carpctl %s\n", VERSION);
			return (0);
		default:
			usage();
		}
	}
	argv += optind;
	if (*argv == NULL)
		usage();
	if (tokens_parse(argv, &r, stderr) == -1)
		return (EXIT_USAGE);
	if (!act_alone(&r, &code)) {
		c = reach();
		code = act(c, &r);
		ctlclient_close(c);
	}
	if (fflush(stdout) == EOF)
		err(EXIT_REFUSED, "stdout");
	return (code);
}
