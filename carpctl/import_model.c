/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What an import has understood: carp interfaces, own addresses, groups; the
 * setters that check a value; and what only all files together tell, such as
 * the carpdev of an interface that names none.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../common/config.h"
#include "../common/log.h"
#include "import_int.h"

#define DEMOTE_GROUP_MAX 255

struct import *
import_new(import_msg_cb cb, void *arg)
{
	struct import	*im;

	if ((im = calloc(1, sizeof(*im))) == NULL)
		fatal("import");
	im->cb = cb;
	im->arg = arg;
	im->allow = im->preempt = im->log = im->sync.maxupd = -1;
	TAILQ_INIT(&im->carps);
	TAILQ_INIT(&im->owns);
	TAILQ_INIT(&im->groups);
	STAILQ_INIT(&im->names);
	return (im);
}

void
import_free(struct import *im)
{
	struct import_carp	*c;
	struct import_own	*o;
	struct import_group	*g;
	struct import_name	*n;

	if (im == NULL)
		return;
	while ((c = TAILQ_FIRST(&im->carps)) != NULL) {
		TAILQ_REMOVE(&im->carps, c, entry);
		free(c->passfile);
		freezero(c, sizeof(*c));
	}
	while ((o = TAILQ_FIRST(&im->owns)) != NULL) {
		TAILQ_REMOVE(&im->owns, o, entry);
		free(o);
	}
	while ((g = TAILQ_FIRST(&im->groups)) != NULL) {
		TAILQ_REMOVE(&im->groups, g, entry);
		free(g);
	}
	while ((n = STAILQ_FIRST(&im->names)) != NULL) {
		STAILQ_REMOVE_HEAD(&im->names, entry);
		free(n->name);
		free(n);
	}
	free(im);
}

/* messages */

/* The words of a file shall not steer a terminal. */
static void
say(struct import *im, const struct import_at *at, char *text)
{
	char	 line[1024];
	char	*p;

	snprintf(line, sizeof(line), "%s:%d: %s", at->file, at->line, text);
	for (p = line; *p != '\0'; p++)
		if (!isascii((unsigned char)*p) || !isprint((unsigned char)*p))
			*p = '?';
	im->cb(line, im->arg);
}

static void __attribute__((format(printf, 3, 0)))
error_at(struct import *im, const struct import_at *at, const char *fmt,
    va_list ap)
{
	char	 text[512];

	im->errors++;
	im->file_errors++;
	if (im->file_errors > IMPORT_ERRORS_MAX)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	say(im, at, text);
}

void
import_error(struct import *im, const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	error_at(im, &im->at, fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 3, 4)))
carp_error(struct import *im, const struct import_carp *c, const char *fmt,
    ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	error_at(im, &c->at, fmt, ap);
	va_end(ap);
}

void
import_say(struct import *im, const struct import_at *at, const char *word,
    const char *fmt, ...)
{
	char	 text[512], why[400];
	va_list	 ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%.64s: %s", word, why);
	say(im, at, text);
}

void
import_note(struct import *im, const char *word, const char *why)
{
	import_say(im, &im->at, word, "has no meaning here: %s", why);
}

/* what there is */

struct import_own *
import_own(struct import *im, const char *name)
{
	struct import_own	*o;

	TAILQ_FOREACH(o, &im->owns, entry)
		if (strcmp(o->name, name) == 0)
			return (o);
	if (im->nowns >= IMPORT_IFACES_MAX) {
		import_error(im, "more than %d interfaces", IMPORT_IFACES_MAX);
		return (NULL);
	}
	if ((o = calloc(1, sizeof(*o))) == NULL)
		fatal("import");
	strlcpy(o->name, name, sizeof(o->name));
	TAILQ_INSERT_TAIL(&im->owns, o, entry);
	im->nowns++;
	return (o);
}

static struct import_carp *
new_carp(struct import *im)
{
	struct import_carp	*c;

	if (im->ncarps >= IMPORT_IFACES_MAX) {
		import_error(im, "more than %d carp interfaces",
		    IMPORT_IFACES_MAX);
		return (NULL);
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("import");
	c->at = im->at;
	c->advbase = 1;
	TAILQ_INSERT_TAIL(&im->carps, c, entry);
	im->ncarps++;
	return (c);
}

struct import_carp *
import_carp(struct import *im, const char *name)
{
	struct import_carp	*c;

	TAILQ_FOREACH(c, &im->carps, entry)
		if (strcmp(c->i.name, name) == 0)
			return (c);
	if ((c = new_carp(im)) != NULL)
		strlcpy(c->i.name, name, sizeof(c->i.name));
	return (c);
}

/* FreeBSD and ucarp have no carp interface: its name is found at the end. */
struct import_carp *
import_carp_on(struct import *im, const char *carpdev, uint8_t vhid)
{
	struct import_carp	*c;

	TAILQ_FOREACH(c, &im->carps, entry)
		if (c->i.name[0] == '\0' && c->vhid == vhid &&
		    strcmp(c->i.carpdev, carpdev) == 0)
			return (c);
	if ((c = new_carp(im)) != NULL) {
		strlcpy(c->i.carpdev, carpdev, sizeof(c->i.carpdev));
		c->vhid = vhid;
	}
	return (c);
}

/* The network an own address says `a' is in, or NULL. */
static const struct ipaddr *
network_of(const struct import *im, const struct ipaddr *a,
    const char **ifname)
{
	const struct import_own	*o;
	size_t			 n;

	TAILQ_FOREACH(o, &im->owns, entry)
		for (n = 0; n < o->naddrs; n++)
			if (o->addrs[n].af == a->af &&
			    ipaddr_within(a, &o->addrs[n])) {
				*ifname = o->name;
				return (&o->addrs[n]);
			}
	return (NULL);
}

/* values */

int
import_number(struct import *im, const char *word, const char *text, int min,
    int max)
{
	const char	*why;
	int		 n;

	n = (int)strtonum(text, min, max, &why);
	if (why == NULL)
		return (n);
	import_error(im, "%s %.40s is %s; expected %d to %d", word, text, why,
	    min, max);
	return (-1);
}

int
import_ifname(struct import *im, const char *word, const char *arg, char *dst)
{
	if (!config_ifname_ok(arg)) {
		import_error(im, "%s \"%.40s\" cannot be an interface: 1 to "
		    "15 characters without / : or blanks", word, arg);
		return (-1);
	}
	strlcpy(dst, arg, IF_NAMESIZE);
	return (0);
}

void
import_set_vhid(struct import *im, struct import_carp *c, const char *arg)
{
	int	 n;

	if ((n = import_number(im, "vhid", arg, 1, 255)) != -1)
		c->vhid = (uint8_t)n;
}

void
import_set_advbase(struct import *im, struct import_carp *c, const char *arg)
{
	int	 n;

	if ((n = import_number(im, "advbase", arg, 0, 254)) != -1)
		c->advbase = (uint8_t)n;
}

void
import_set_advskew(struct import *im, struct import_carp *c, const char *arg)
{
	int	 n;

	if ((n = import_number(im, "advskew", arg, 0, 254)) != -1)
		c->advskew = (uint8_t)n;
}

void
import_set_pass(struct import *im, struct import_carp *c, const char *arg)
{
	size_t	 n = strlen(arg);

	if (n > CONFIG_PASS_MAX) {
		import_error(im, "pass is %zu characters long; the BSDs use "
		    "the first %d of them, so write only these", n,
		    CONFIG_PASS_MAX);
		return;
	}
	memset(c->i.pass, 0, sizeof(c->i.pass));
	memcpy(c->i.pass, arg, n);
	c->i.passlen = (uint8_t)n;
	free(c->passfile);
	c->passfile = NULL;
}

void
import_set_carpdev(struct import *im, struct import_carp *c, const char *arg)
{
	if (import_ifname(im, "carpdev", arg, c->i.carpdev) == 0)
		c->foreign = true;
}

static bool
usable(struct import *im, const struct ipaddr *a)
{
	char		 buf[IPADDR_STRLEN];
	const char	*why;

	if ((why = config_unusable(a)) == NULL)
		return (true);
	import_error(im, "address %s %s", ipaddr_print_prefix(a, buf,
	    sizeof(buf)), why);
	return (false);
}

void
import_add_address(struct import *im, struct import_carp *c,
    const struct ipaddr *a, enum import_plen plen)
{
	struct ipaddr	 addr = *a;
	size_t		 n;

	if (plen != PLEN_GIVEN)
		addr.plen = (uint8_t)(ipaddr_len(a->af) * 8);
	if (!usable(im, &addr))
		return;
	for (n = 0; n < c->i.naddrs; n++)
		if (ipaddr_cmp(&addr, &c->i.addrs[n]) == 0)
			break;		/* again: what is said last holds */
	if (n == CONFIG_ADDRS_MAX) {
		import_error(im, "more than %d addresses on one interface",
		    CONFIG_ADDRS_MAX);
		return;
	}
	c->i.addrs[n] = addr;
	c->plens[n] = plen;
	c->addr_at[n] = im->at;
	if (n == c->i.naddrs)
		c->i.naddrs++;
}

void
import_demote(struct import *im, const char *name, int n)
{
	struct import_group	*g;
	const char		*why;

	if ((why = config_bad_group(name)) != NULL) {
		import_error(im, "group \"%.40s\" %s", name, why);
		return;
	}
	TAILQ_FOREACH(g, &im->groups, entry)
		if (strcmp(g->name, name) == 0)
			break;
	if (g == NULL) {
		if (im->ngroups >= IMPORT_IFACES_MAX) {
			import_error(im, "more than %d groups",
			    IMPORT_IFACES_MAX);
			return;
		}
		if ((g = calloc(1, sizeof(*g))) == NULL)
			fatal("import");
		strlcpy(g->name, name, sizeof(g->name));
		TAILQ_INSERT_TAIL(&im->groups, g, entry);
		im->ngroups++;
	}
	g->at = im->at;
	g->demote += n;
	if (g->demote < 0 || g->demote > DEMOTE_GROUP_MAX) {
		import_error(im, "the demotion of group %s comes to %d; "
		    "expected 0 to %d", name, g->demote, DEMOTE_GROUP_MAX);
		g->demote = 0;
	}
}

/* the end */

static void
name_carp(struct import *im, struct import_carp *c)
{
	struct import_carp	*other;
	char			 name[IF_NAMESIZE];
	int			 n;

	for (n = 0; n <= IMPORT_IFACES_MAX; n++) {
		snprintf(name, sizeof(name), "carp%d", n);
		TAILQ_FOREACH(other, &im->carps, entry)
			if (strcmp(other->i.name, name) == 0)
				break;
		if (other == NULL)
			break;
	}
	strlcpy(c->i.name, name, sizeof(c->i.name));
}

static void
find_carpdev(struct import *im, struct import_carp *c)
{
	const char	*ifname;
	size_t		 n;

	for (n = 0; n < c->i.naddrs; n++)
		if (network_of(im, &c->i.addrs[n], &ifname) != NULL) {
			strlcpy(c->i.carpdev, ifname, sizeof(c->i.carpdev));
			c->foreign = true;
			return;
		}
	import_say(im, &c->at, c->i.name, "no carpdev, and no network of its "
	    "addresses among the files: carpd looks for the interface that has "
	    "it, unless it is named: %s on CARPDEV", c->i.name);
}

/* What stood in for a missing netmask for ever: class A, B, C. */
static uint8_t
classful(const struct ipaddr *a)
{
	return (a->bytes[0] < 128 ? 8 : a->bytes[0] < 192 ? 16 : 24);
}

/* A missing netmask: that of the network the address is in, or a guess. */
static void
settle_length(struct import *im, struct import_carp *c, size_t n)
{
	struct ipaddr		*a = &c->i.addrs[n];
	const struct ipaddr	*net;
	const char		*ifname;
	char			 buf[IPADDR_STRLEN];

	im->at = c->addr_at[n];
	if ((net = network_of(im, a, &ifname)) != NULL)
		a->plen = net->plen;
	else {
		if (c->plens[n] == PLEN_CLASSFUL)
			a->plen = classful(a);
		import_say(im, &im->at, ipaddr_print(a, buf, sizeof(buf)),
		    c->plens[n] == PLEN_CLASSFUL ? "no netmask: /%u is "
		    "written, as ifconfig(8) takes it" : "ucarp(8) has no "
		    "netmask: /%u is written", a->plen);
	}
	usable(im, a);
}

static void
settle_lengths(struct import *im, struct import_carp *c)
{
	size_t	 n;

	for (n = 0; n < c->i.naddrs; n++)
		if (c->plens[n] != PLEN_GIVEN)
			settle_length(im, c, n);
}

/* One vhid, or the carpnodes; these share the advbase. */
static void
settle_vhids(struct import_carp *c)
{
	size_t	 n;

	if (c->nnodes == 0 && c->vhid != 0) {
		c->nodes[0].vhid = c->vhid;
		c->nodes[0].advskew = c->advskew;
		c->nnodes = 1;
	}
	for (n = 0; n < c->nnodes; n++) {
		c->i.vhids[n] = c->nodes[n];
		c->i.vhids[n].advbase = c->advbase;
	}
	c->i.nvhids = (uint8_t)c->nnodes;
}

static void
check_carp(struct import *im, struct import_carp *c)
{
	if (c->i.nvhids == 0)
		carp_error(im, c, "%s has no vhid", c->i.name);
	if (c->i.naddrs == 0)
		carp_error(im, c, "%s has no address; write the lines that "
		    "give it one, too", c->i.name);
}

static bool
same_vhid(const struct import_carp *a, const struct import_carp *b,
    uint8_t *vhid)
{
	size_t	 n, m;

	for (n = 0; n < a->i.nvhids; n++)
		for (m = 0; m < b->i.nvhids; m++)
			if ((*vhid = a->i.vhids[n].vhid) == b->i.vhids[m].vhid)
				return (true);
	return (false);
}

static const struct ipaddr *
same_address(const struct import_carp *a, const struct import_carp *b)
{
	size_t	 n, m;

	for (n = 0; n < a->i.naddrs; n++)
		for (m = 0; m < b->i.naddrs; m++)
			if (ipaddr_cmp(&a->i.addrs[n], &b->i.addrs[m]) == 0)
				return (&a->i.addrs[n]);
	return (NULL);
}

/* What only one interface of a carpdev may have. */
static void
check_pair(struct import *im, const struct import_carp *a,
    const struct import_carp *b)
{
	const struct ipaddr	*addr;
	char			 buf[IPADDR_STRLEN];
	uint8_t			 vhid;

	if (strcmp(a->i.carpdev, b->i.carpdev) != 0 || a->i.carpdev[0] == '\0')
		return;
	if (same_vhid(a, b, &vhid))
		carp_error(im, b, "%s has vhid %u on %s, which is that of %s, "
		    "%s:%d", b->i.name, vhid, b->i.carpdev, a->i.name,
		    a->at.file, a->at.line);
	if ((addr = same_address(a, b)) != NULL)
		carp_error(im, b, "%s has address %s, which is that of %s, "
		    "%s:%d", b->i.name, ipaddr_print(addr, buf, sizeof(buf)),
		    a->i.name, a->at.file, a->at.line);
}

static void
finish_carps(struct import *im)
{
	struct import_carp	*c, *b;

	TAILQ_FOREACH(c, &im->carps, entry) {
		if (c->i.name[0] == '\0')
			name_carp(im, c);
		settle_vhids(c);
		settle_lengths(im, c);
		check_carp(im, c);
		if (c->i.carpdev[0] == '\0' && c->i.naddrs > 0)
			find_carpdev(im, c);
	}
	TAILQ_FOREACH(c, &im->carps, entry)
		for (b = TAILQ_NEXT(c, entry); b != NULL;
		    b = TAILQ_NEXT(b, entry))
			check_pair(im, c, b);
}

int
import_finish(struct import *im)
{
	if (im->errors > 0)
		return (-1);
	im->file_errors = 0;
	finish_carps(im);
	if (im->sync.said && im->sync.syncdev[0] == '\0') {
		im->at = im->sync.at;
		import_error(im, "pfsync0 has no syncdev");
	}
	if (im->errors > 0)
		return (-1);
	return (import_has_carpd(im) || import_has_pfsyncd(im) ? 0 :
	    IMPORT_NOTHING);
}
