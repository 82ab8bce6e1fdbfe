/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A file as lines, a line as commands, and which language a command is in:
 * ifconfig(8), sysctl(8) or ucarp(8) as in a shell script, sysctl.conf(5),
 * FreeBSD's rc.conf(5), or hostname.if(5), which the file's name tells.  What
 * else a script does is passed over.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "import_int.h"

static void	 do_line(struct import *, const char *, size_t);

/* sysctl */

static const struct {
	const char	*name;
	const char	*why;
} sysctls[] = {
	{ "net.inet.carp.dscp", "CARP is sent with the DSCP of OpenBSD" },
	{ "net.inet.carp.ifdown_demotion_factor", "a lost link demotes by 1, "
	    "and FreeBSD's peers are told in their own way" },
	{ "net.inet.carp.senderr_demotion_factor", "errors demote by 1, and "
	    "FreeBSD's peers are told in their own way" },
	{ "net.inet.ip.forwarding", "on Linux it is net.ipv4.ip_forward, in "
	    "/etc/sysctl.d" },
	{ "net.inet6.ip6.forwarding", "on Linux it is "
	    "net.ipv6.conf.all.forwarding, in /etc/sysctl.d" },
	{ "net.pfsync.carp_demotion_factor", "pfsyncd demotes carpd while a "
	    "bulk update runs" },
	{ NULL, NULL }
};

static void
sysctl_set(struct import *im, const char *name, const char *value, int max,
    int *dst)
{
	int	 n;

	if ((n = import_number(im, name, value, 0, max)) == -1)
		return;
	*dst = n;
}

void
import_sysctl(struct import *im, const char *name, const char *value)
{
	size_t	 i;
	int	 n;

	if (strcmp(name, "net.inet.carp.preempt") == 0) {
		sysctl_set(im, name, value, 1, &im->preempt);
		return;
	}
	if (strcmp(name, "net.inet.carp.log") == 0) {
		sysctl_set(im, name, value, 7, &im->log);
		return;
	}
	if (strcmp(name, "net.inet.carp.allow") == 0) {
		sysctl_set(im, name, value, 1, &im->allow);
		return;
	}
	if (strcmp(name, "net.inet.carp.demotion") == 0) {
		if ((n = import_number(im, name, value, 0, 255)) != -1)
			import_demote(im, "carp", n);
		return;
	}
	for (i = 0; sysctls[i].name != NULL; i++)
		if (strcmp(name, sysctls[i].name) == 0)
			break;
	import_note(im, name, sysctls[i].name != NULL ? sysctls[i].why :
	    "it is neither about CARP nor about pfsync");
}

/* net.inet.carp.log=2: cut at the sign, after the name.  NULL: it is none. */
static char *
cut_assignment(char *s, bool dots)
{
	char	*p = s;

	if (!isalpha((unsigned char)*p))
		return (NULL);
	while (isalnum((unsigned char)*p) || *p == '_' || (dots && *p == '.'))
		p++;
	if (*p != '=')
		return (NULL);
	*p = '\0';
	return (p + 1);
}

static bool
no_variable(struct import *im, const char *name, const struct import_word *w)
{
	if (w->var)
		import_error(im, "%.64s has a variable of the shell; write "
		    "its value", name);
	return (!w->var);
}

static void
sysctl_command(struct import *im, struct import_word *w, size_t n)
{
	char	*value;
	size_t	 i;

	for (i = 0; i < n; i++)
		if ((value = cut_assignment(w[i].text, true)) != NULL &&
		    no_variable(im, w[i].text, &w[i]))
			import_sysctl(im, w[i].text, value);
}

/* sysctl.conf(5): NAME=VALUE, where blanks may be around the sign. */
static bool
sysctl_line(struct import *im, struct import_word *w, size_t n)
{
	char	*name = w[0].text, *value;

	if (memchr(name, '.', strcspn(name, "=")) == NULL ||
	    strcspn(name, "/") < strcspn(name, "="))
		return (false);
	if ((value = cut_assignment(name, true)) == NULL) {
		if (n < 2 || w[1].text[0] != '=')
			return (false);
		value = w[1].text + 1;
		w++;
		n--;
	}
	if (*value == '\0' && n > 1)
		value = w[1].text;
	import_sysctl(im, name, value);
	return (true);
}

/* rc.conf */

static void
rc_interface(struct import *im, const char *name, struct import_word *w,
    size_t n)
{
	size_t	 from, to;

	/* several commands in one: each begins with its family */
	for (from = 0; from < n; from = to) {
		for (to = from + 1; to < n; to++)
			if (strcmp(w[to].text, "inet") == 0 ||
			    strcmp(w[to].text, "inet6") == 0)
				break;
		import_interface(im, name, w + from, to - from, false);
	}
}

/* ifconfig_em0_alias0: em0, if the rest is one that holds addresses. */
static void
rc_ifconfig(struct import *im, char *name, struct import_line *l)
{
	char	*rest = name + strcspn(name, "_");

	if (*rest == '_')
		*rest++ = '\0';
	if (*rest != '\0' && strncmp(rest, "alias", 5) != 0 &&
	    strcmp(rest, "ipv6") != 0) {
		import_note(im, rest, "the system's own interfaces are set "
		    "where this system sets them");
		return;
	}
	if (strcmp(rest, "aliases") == 0)
		rc_interface(im, name, l->w, l->n);
	else
		import_interface(im, name, l->w, l->n, false);
}

static void
rc_pfsync(struct import *im, const char *name, char *value)
{
	struct import_word	 w[2] = { { 0 } };
	static char		 dev[] = "syncdev", peer[] = "syncpeer";

	w[0].text = strcmp(name, "syncdev") == 0 ? dev : peer;
	w[1].text = value;
	import_interface(im, "pfsync0", w, 2, false);
}

static void
rc_forwarding(struct import *im, const char *name)
{
	import_sysctl(im, strcmp(name, "gateway_enable") == 0 ?
	    "net.inet.ip.forwarding" : "net.inet6.ip6.forwarding", "1");
}

/* FreeBSD: NAME="value", the value being words of ifconfig(8) again. */
static bool
rc_line(struct import *im, struct import_word *w)
{
	struct import_line	*l;
	char			*name = w->text, *value;

	if (strncmp(name, "ifconfig_", 9) != 0 &&
	    strncmp(name, "pfsync_", 7) != 0 &&
	    strncmp(name, "gateway_enable", 14) != 0 &&
	    strncmp(name, "ipv6_gateway_enable", 19) != 0)
		return (false);
	if ((value = cut_assignment(name, false)) == NULL ||
	    !no_variable(im, name, w))
		return (true);
	if (strstr(name, "gateway_enable") != NULL) {
		if (strcasecmp(value, "YES") == 0)
			rc_forwarding(im, name);
		return (true);
	}
	if (strcmp(name, "pfsync_syncdev") == 0 ||
	    strcmp(name, "pfsync_syncpeer") == 0) {
		if (*value != '\0')
			rc_pfsync(im, name + 7, value);
		return (true);
	}
	if (strncmp(name, "ifconfig_", 9) != 0 &&
	    strcmp(name, "pfsync_ifconfig") != 0)
		return (true);		/* pfsync_enable and the like */
	if ((l = malloc(sizeof(*l))) == NULL)
		fatal("import");
	import_split(l, value, strlen(value));
	if (l->bad != NULL)
		import_error(im, "%s", l->bad);
	else if (strncmp(name, "ifconfig_", 9) == 0)
		rc_ifconfig(im, name + 9, l);
	else
		import_interface(im, "pfsync0", l->w, l->n, false);
	freezero(l, sizeof(*l));
	return (true);
}

/* commands */

static bool
is_one_of(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return (true);
	return (false);
}

/* The name of the program, without where it is; "" for any other. */
static const char *
program(const char *word)
{
	static const char *const known[] = { "ifconfig", "sysctl", "ucarp",
	    NULL };
	const char	*base = strrchr(word, '/');

	base = base != NULL ? base + 1 : word + (word[0] == '!');
	return (is_one_of(base, known) ? base : "");
}

/*
 * The words that stand before the command that is meant; some have options,
 * as sudo -u root.
 */
static size_t
count_prefix(const struct import_word *w, size_t n)
{
	static const char *const words[] = { "!", "do", "doas", "else", "env",
	    "exec", "if", "nice", "nohup", "sudo", "then", "{", NULL };
	size_t	 i;

	if (!is_one_of(w->text, words))
		return (0);
	for (i = 1; i < n; i++)
		if (program(w[i].text)[0] != '\0')
			return (i);
	return (n > 1 ? 1 : 0);
}

/* Words of an interface, in a file that does not say of which one. */
static bool
needs_name(const char *word)
{
	static const char *const words[] = { "advbase", "advskew", "carpdev",
	    "carpnodes", "inet", "inet6", "syncdev", "syncpeer", "vhid",
	    NULL };

	return (is_one_of(word, words));
}

static void
hostname_line(struct import *im, struct import_word *w, size_t n)
{
	if (w[0].text[0] == '!') {
		import_note(im, w[0].text, "carpd runs no commands at the "
		    "start");
		return;
	}
	import_interface(im, im->iface, w, n, true);
}

static bool
run_program(struct import *im, struct import_word *w, size_t n)
{
	const char	*name = program(w[0].text);

	if (strcmp(name, "ifconfig") == 0)
		import_ifconfig(im, w + 1, n - 1);
	else if (strcmp(name, "sysctl") == 0)
		sysctl_command(im, w + 1, n - 1);
	else if (strcmp(name, "ucarp") == 0)
		import_ucarp(im, w + 1, n - 1);
	return (*name != '\0');
}

/* The words up to the end of a command. */
static void
do_command(struct import *im, struct import_word *w, size_t n)
{
	size_t	 before;

	if (n == 0)
		return;
	before = count_prefix(w, n);
	w += before;
	n -= before;
	if (run_program(im, w, n))
		return;
	if (im->iface[0] != '\0')
		hostname_line(im, w, n);
	else if (!sysctl_line(im, w, n) && !rc_line(im, w) &&
	    needs_name(w[0].text))
		import_error(im, "\"%s\" of which interface? The name of the "
		    "file must be hostname.IF, as hostname.carp0", w[0].text);
}

/* hostname.if(5): $if is the interface. */
static void
fill_in(struct import *im, struct import_line *l)
{
	size_t	 n;

	for (n = 0; im->iface[0] != '\0' && n < l->n; n++)
		if (strcmp(l->w[n].text, "$if") == 0) {
			l->w[n].text = im->iface;
			l->w[n].var = false;
		}
}

/* Does a line that cannot be split concern us? */
static bool
concerns(struct import *im, const struct import_line *l)
{
	size_t	 n;

	for (n = 0; n < l->n; n++)
		if (program(l->w[n].text)[0] != '\0' ||
		    needs_name(l->w[n].text) ||
		    strncmp(l->w[n].text, "ifconfig_", 9) == 0)
			return (true);
	return (im->iface[0] != '\0' || l->n == 0);
}

static void
do_line(struct import *im, const char *text, size_t len)
{
	struct import_line	*l;
	size_t			 from, to;

	if ((l = malloc(sizeof(*l))) == NULL)
		fatal("import");
	import_split(l, text, len);
	if (l->bad != NULL) {
		if (concerns(im, l))
			import_error(im, "%s", l->bad);
		l->n = 0;
	}
	fill_in(im, l);
	for (from = 0; from < l->n; from = to + 1) {
		for (to = from; to < l->n && !l->w[to].sep; to++)
			;
		do_command(im, l->w + from, to - from);
	}
	freezero(l, sizeof(*l));
}

/* files */

/*
 * hostname.carp0, with or without a directory: carp0.  Else nothing.  false:
 * a file of the interface with some MAC address, which is not one of ours.
 */
static bool
name_interface(struct import *im, const char *path)
{
	const char	*base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	im->iface[0] = '\0';
	if (strncmp(base, "hostname.", 9) != 0 || base[9] == '\0')
		return (true);
	base += 9;
	if (strlen(base) == 17 && base[strspn(base, "0123456789abcdefABCDEF:")]
	    == '\0') {
		import_note(im, base, "which interface has that address is "
		    "not known");
		return (false);
	}
	if (strlcpy(im->iface, base, sizeof(im->iface)) >=
	    sizeof(im->iface)) {
		import_error(im, "\"%.40s\" is too long for an interface",
		    base);
		return (false);
	}
	return (true);
}

static const char *
keep_name(struct import *im, const char *name)
{
	struct import_name	*n;

	if ((n = malloc(sizeof(*n))) == NULL ||
	    (n->name = strdup(name)) == NULL)
		fatal("import");
	STAILQ_INSERT_TAIL(&im->names, n, entry);
	return (n->name);
}

/* The end of a line's text, before \n and the \r of a file from elsewhere. */
static size_t
line_length(const char *p, const char *nl)
{
	size_t	 n = (size_t)(nl - p);

	return (n > 0 && p[n - 1] == '\r' ? n - 1 : n);
}

static bool
joined(const char *p, size_t n)
{
	size_t	 slashes = 0;

	while (slashes < n && p[n - 1 - slashes] == '\\')
		slashes++;
	return (slashes % 2 == 1);
}

static bool
is_text(const char *p, size_t n)
{
	for (; n > 0; n--, p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return (false);
	return (true);
}

/*
 * Lines that end in a backslash and the ones behind them, as one.  One
 * character more than may be is kept, so that import_split() sees it.
 */
struct joiner {
	char	 buf[IMPORT_LINE_MAX + 1];
	size_t	 len;
	int	 lines;
};

static void
join(struct joiner *j, const char *p, size_t n)
{
	if (n > sizeof(j->buf) - j->len)
		n = sizeof(j->buf) - j->len;
	memcpy(j->buf + j->len, p, n);
	j->len += n;
	j->lines++;
}

static void
flush(struct import *im, struct joiner *j)
{
	if (j->len > 0)
		do_line(im, j->buf, j->len);
	im->at.line += j->lines;
	j->len = 0;
	j->lines = 0;
}

static void
do_text(struct import *im, const char *p, const char *end, struct joiner *j)
{
	const char	*nl;
	size_t		 n;
	bool		 more;

	for (; p < end && im->file_errors <= IMPORT_ERRORS_MAX; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		n = line_length(p, nl);
		if (!is_text(p, n)) {
			im->at.line += j->lines;
			import_error(im, "a control character: this is no "
			    "text");
			return;
		}
		more = joined(p, n);
		join(j, p, more ? n - 1 : n);
		if (!more)
			flush(im, j);
		if (nl == end)
			break;
	}
	flush(im, j);
}

void
import_text(struct import *im, const char *name, const char *text, size_t len)
{
	struct joiner	*j;

	if ((j = calloc(1, sizeof(*j))) == NULL)
		fatal("import");
	im->at.file = keep_name(im, name);
	im->at.line = 1;
	im->file_errors = 0;
	if (name_interface(im, name))
		do_text(im, text, text + len, j);
	if (im->file_errors > IMPORT_ERRORS_MAX) {
		im->file_errors = 0;
		import_error(im, "too many mistakes, the rest is not looked "
		    "at");
	}
	freezero(j, sizeof(*j));
}
