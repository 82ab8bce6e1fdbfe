/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The options of ucarp(8): one process of it is one carp interface here.
 * Options are read by hand as getopt_long(3) reads them, because getopt keeps
 * its place in globals that each system resets in another way.
 */
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "import_int.h"

struct ucarp {
	struct import	*im;
	struct import_word *w;
	size_t		 n, at;
	struct import_carp set;		/* what the options say */
	char		 ifname[IF_NAMESIZE];
	struct ipaddr	 addr;
	bool		 has_addr;
	bool		 preempt;
};

struct option {
	char		 letter;
	const char	*word;
	bool		 arg;
	void		(*take)(struct ucarp *, const char *);
	const char	*why;
};

static void
take_interface(struct ucarp *u, const char *arg)
{
	import_ifname(u->im, "interface", arg, u->ifname);
}

static void
take_vhid(struct ucarp *u, const char *arg)
{
	import_set_vhid(u->im, &u->set, arg);
}

static void
take_pass(struct ucarp *u, const char *arg)
{
	import_set_pass(u->im, &u->set, arg);
}

/* Said again where carpd wants it; the file itself is not opened. */
static void
take_passfile(struct ucarp *u, const char *arg)
{
	if (*arg == '\0') {
		import_error(u->im, "passfile needs a value");
		return;
	}
	free(u->set.passfile);
	if ((u->set.passfile = strdup(arg)) == NULL)
		fatal("import");
	u->set.i.passlen = 0;
}

static void
take_addr(struct ucarp *u, const char *arg)
{
	bool	 has_plen;

	if (ipaddr_parse(arg, &u->addr, &has_plen) == -1 || has_plen)
		import_error(u->im, "addr \"%.50s\" is not an address", arg);
	else
		u->has_addr = true;
}

static void
take_advbase(struct ucarp *u, const char *arg)
{
	import_set_advbase(u->im, &u->set, arg);
}

static void
take_advskew(struct ucarp *u, const char *arg)
{
	import_set_advskew(u->im, &u->set, arg);
}

static void
take_preempt(struct ucarp *u, const char *arg)
{
	(void)arg;
	u->preempt = true;
}

static void
take_mcast(struct ucarp *u, const char *arg)
{
	if (strcmp(arg, "224.0.0.18") != 0)
		import_note(u->im, "mcast", "the group is 224.0.0.18");
}

static const struct option options[] = {
	{ 'a', "addr", true, take_addr, NULL },
	{ 'b', "advbase", true, take_advbase, NULL },
	{ 'k', "advskew", true, take_advskew, NULL },
	{ 'B', "daemonize", false, NULL, "carpd does, unless -d is given" },
	{ 'r', "deadratio", true, NULL, "a master is dead after three "
	    "intervals, as on OpenBSD" },
	{ 'D', "debug", false, NULL, "it is an option of carpd, -dv" },
	{ 'd', "downscript", true, NULL, "carpd moves the address itself, and "
	    "carpctl monitor tells others" },
	{ 'f', "facility", true, NULL, "carpd logs as daemon" },
	{ 'h', "help", false, NULL, "see carpd.conf(5)" },
	{ 'S', "ignoreifstate", false, NULL, "without a link a host is no "
	    "master" },
	{ 'i', "interface", true, take_interface, NULL },
	{ 'm', "mcast", true, take_mcast, NULL },
	{ 'n', "neutral", false, NULL, "there is no downscript" },
	{ 'M', "nomcast", false, NULL, "the group is 224.0.0.18, or there are "
	    "peers" },
	{ 'p', "pass", true, take_pass, NULL },
	{ 'o', "passfile", true, take_passfile, NULL },
	{ 'P', "preempt", false, take_preempt, NULL },
	{ 'z', "shutdown", false, NULL, "carpd takes its addresses with it" },
	{ 's', "srcip", true, NULL, "carpd finds the address of carpdev" },
	{ 'u', "upscript", true, NULL, "carpd moves the address itself, and "
	    "carpctl monitor tells others" },
	{ 'v', "vhid", true, take_vhid, NULL },
	{ 'x', "xparam", true, NULL, "there are no scripts" },
	{ 0, NULL, false, NULL, NULL }
};

static void
run_option(struct ucarp *u, const struct option *o, const char *arg)
{
	if (o->take != NULL)
		o->take(u, arg);
	else
		import_note(u->im, o->word, o->why);
}

/* The value behind the option or in the next word; NULL: said. */
static const char *
value_of(struct ucarp *u, const struct option *o, const char *behind)
{
	if (behind == NULL && u->at == u->n) {
		import_error(u->im, "%s needs a value", o->word);
		return (NULL);
	}
	if (behind == NULL)
		behind = u->w[u->at++].text;
	if (u->w[u->at - 1].var && o->take != NULL) {
		import_error(u->im, "%s has a variable of the shell; write its "
		    "value", o->word);
		return (NULL);
	}
	return (behind);
}

/* A whole word, or as much of one as only it begins with. */
static const struct option *
find_long(const char *s, size_t n)
{
	const struct option	*o, *cut = NULL;

	for (o = options; o->word != NULL; o++) {
		if (strncmp(o->word, s, n) != 0)
			continue;
		if (o->word[n] == '\0')
			return (o);
		if (cut != NULL)
			return (NULL);
		cut = o;
	}
	return (n > 0 ? cut : NULL);
}

static bool
long_option(struct ucarp *u, const char *s)
{
	const struct option	*o;
	size_t			 n = strcspn(s, "=");
	const char		*arg = s[n] == '=' ? s + n + 1 : NULL;

	if ((o = find_long(s, n)) == NULL || (arg != NULL && !o->arg)) {
		import_error(u->im, "\"--%.40s\" is not an option of ucarp(8)",
		    s);
		return (false);
	}
	if (o->arg && (arg = value_of(u, o, arg)) == NULL)
		return (false);
	run_option(u, o, arg);
	return (true);
}

/* -Pv1: letters up to the one that takes the rest. */
static bool
short_options(struct ucarp *u, const char *s)
{
	const struct option	*o;
	const char		*arg = NULL;

	for (; *s != '\0'; s++) {
		for (o = options; o->word != NULL && o->letter != *s; o++)
			;
		if (o->word == NULL) {
			import_error(u->im, "\"-%c\" is not an option of "
			    "ucarp(8)", *s);
			return (false);
		}
		if (o->arg && (arg = value_of(u, o, s[1] != '\0' ? s + 1 :
		    NULL)) == NULL)
			return (false);
		run_option(u, o, arg);
		if (o->arg)
			return (true);
	}
	return (true);
}

static bool
next_option(struct ucarp *u)
{
	const char	*s = u->w[u->at++].text;

	if (strncmp(s, "--", 2) == 0)
		return (s[2] == '\0' || long_option(u, s + 2));
	if (s[0] == '-' && s[1] != '\0')
		return (short_options(u, s + 1));
	import_error(u->im, "\"%.40s\" is not an option of ucarp(8)", s);
	return (false);
}

static void
add(struct ucarp *u)
{
	struct import_carp	*c;

	if (u->ifname[0] == '\0' || u->set.vhid == 0 || !u->has_addr) {
		import_error(u->im, "ucarp needs %s", u->ifname[0] == '\0' ?
		    "an interface" : u->set.vhid == 0 ? "a vhid" :
		    "an address, --addr");
		return;
	}
	c = import_carp_on(u->im, u->ifname, u->set.vhid);
	if (c == NULL)
		return;
	import_add_address(u->im, c, &u->addr, PLEN_HOST);
	c->advbase = u->set.advbase;
	c->advskew = u->set.advskew;
	memcpy(c->i.pass, u->set.i.pass, sizeof(c->i.pass));
	c->i.passlen = u->set.i.passlen;
	free(c->passfile);
	c->passfile = u->set.passfile;
	u->set.passfile = NULL;
	if (u->preempt)
		u->im->preempt = 1;
}

void
import_ucarp(struct import *im, struct import_word *w, size_t n)
{
	struct ucarp	 u = { .im = im, .w = w, .n = n };
	bool		 good = true;

	u.set.advbase = 1;
	while (good && u.at < n)
		good = next_option(&u);
	if (good)
		add(&u);
	free(u.set.passfile);
	explicit_bzero(&u, sizeof(u));
}
