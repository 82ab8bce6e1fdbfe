/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What an import has understood, in the languages of carpd.conf(5) and
 * pfsyncd.conf(5), as a person would write it: what is the default is left
 * out, and the interfaces, which have other names on another system, are
 * macros at the top.
 */
#include <ctype.h>
#include <string.h>

#include "../common/lex.h"
#include "import_int.h"

/* Can NAME_if be a macro?  Then it can be printed bare, too. */
static bool
is_plain(const char *s)
{
	if (!isalpha((unsigned char)*s))
		return (false);
	while (isascii((unsigned char)*s) && isalnum((unsigned char)*s))
		s++;
	return (*s == '\0');
}

static void
print_from(const struct import *im, const char *page, FILE *f)
{
	const struct import_name	*n;
	const char			*p;

	fprintf(f, "# %s, made by carpctl import of", page);
	STAILQ_FOREACH(n, &im->names, entry) {
		fprintf(f, "\n#\t");
		for (p = n->name; *p != '\0'; p++)
			fputc(isascii((unsigned char)*p) &&
			    isprint((unsigned char)*p) && *p != '\\' ? *p :
			    '?', f);
	}
	fputs("\n\n", f);
}

static bool
has_macro(const struct import_carp *c)
{
	return (c->foreign && is_plain(c->i.carpdev));
}

/* Is it the first one on that carpdev? */
static bool
is_first(const struct import *im, const struct import_carp *c)
{
	const struct import_carp	*b;

	TAILQ_FOREACH(b, &im->carps, entry)
		if (has_macro(b) &&
		    strcmp(b->i.carpdev, c->i.carpdev) == 0)
			break;
	return (b == c);
}

static void
print_macros(const struct import *im, FILE *f)
{
	const struct import_carp	*c;
	bool				 any = false;

	TAILQ_FOREACH(c, &im->carps, entry) {
		if (!has_macro(c) || !is_first(im, c))
			continue;
		if (!any)
			fputs("# the names that these interfaces have on this "
			    "host\n", f);
		any = true;
		fprintf(f, "%s_if = \"%s\"\n", c->i.carpdev, c->i.carpdev);
	}
	if (any)
		fputc('\n', f);
}

static void
print_global(const struct import *im, FILE *f)
{
	if (im->allow == 0)
		fputs("allow no\n", f);
	if (im->preempt != -1)
		fprintf(f, "preempt %s\n", im->preempt ? "yes" : "no");
	if (im->log != -1)
		fprintf(f, "log %d\n", im->log);
	if (im->allow == 0 || im->preempt != -1 || im->log != -1)
		fputc('\n', f);
}

static void
print_head(const struct import_carp *c, FILE *f)
{
	fputs(c->i.name, f);
	if (has_macro(c))
		fprintf(f, " on $%s_if", c->i.carpdev);
	else if (c->i.carpdev[0] != '\0') {
		fputs(" on ", f);
		lex_print_quoted(c->i.carpdev, f);
	}
	fputs(" {\n", f);
}

static void
print_pass(const struct import_carp *c, FILE *f)
{
	if (c->passfile != NULL) {
		fputs("\tpass file ", f);
		lex_print_quoted(c->passfile, f);
	} else if (c->i.passlen > 0) {
		fputs("\tpass ", f);
		lex_print_quoted(c->i.pass, f);
	} else
		return;
	fputc('\n', f);
}

static void
print_carp(const struct import_carp *c, FILE *f)
{
	char	 buf[IPADDR_STRLEN];
	size_t	 n;

	print_head(c, f);
	if (c->balancing != NULL)
		fprintf(f, "\tbalancing %s\n", c->balancing);
	for (n = 0; n < c->i.nvhids; n++)
		fprintf(f, "\tvhid %u { advbase %u advskew %u }\n",
		    c->i.vhids[n].vhid, c->i.vhids[n].advbase,
		    c->i.vhids[n].advskew);
	print_pass(c, f);
	for (n = 0; n < c->i.naddrs; n++)
		fprintf(f, "\taddress %s\n", ipaddr_print_prefix(
		    &c->i.addrs[n], buf, sizeof(buf)));
	for (n = 0; n < c->i.ngroups; n++)
		fprintf(f, "\tgroup \"%s\"\n", c->i.groups[n]);
	for (n = 0; n < c->npeers; n++)
		fprintf(f, "\tpeer %s\n", ipaddr_print(&c->peers[n], buf,
		    sizeof(buf)));
	fputs("}\n", f);
}

bool
import_has_carpd(const struct import *im)
{
	return (!TAILQ_EMPTY(&im->carps) || !TAILQ_EMPTY(&im->groups) ||
	    im->allow == 0 || im->preempt != -1 || im->log != -1);
}

void
import_print_carpd(const struct import *im, FILE *f)
{
	const struct import_carp	*c;
	const struct import_group	*g;

	print_from(im, "carpd.conf(5)", f);
	print_macros(im, f);
	print_global(im, f);
	TAILQ_FOREACH(c, &im->carps, entry)
		print_carp(c, f);
	TAILQ_FOREACH(g, &im->groups, entry)
		fprintf(f, "group \"%s\" { demote %d }\n", g->name, g->demote);
}

bool
import_has_pfsyncd(const struct import *im)
{
	return (im->sync.said);
}

void
import_print_pfsyncd(const struct import *im, FILE *f)
{
	char	 buf[IPADDR_STRLEN];

	print_from(im, "pfsyncd.conf(5)", f);
	fputs("# the name that this interface has on this host\nsyncdev ", f);
	lex_print_quoted(im->sync.syncdev, f);
	fputc('\n', f);
	if (im->sync.has_peer)
		fprintf(f, "syncpeer %s\n", ipaddr_print(&im->sync.peer, buf,
		    sizeof(buf)));
	if (im->sync.maxupd != -1)
		fprintf(f, "maxupd %d\n", im->sync.maxupd);
	fputs("# while another node still runs OpenBSD:\n"
	    "#dialect native openbsd\n", f);
}
