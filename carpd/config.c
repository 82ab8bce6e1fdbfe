/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd.conf(5) as structs: their lifetime and comparison, and, for the
 * grammar in parse.y, defaults, validation and messages.  Looks at nothing of
 * the system but the files that are named.  Ranges are those of carp(4) and
 * ifconfig(8).
 *
 * A message says what is wrong and what would be right.  Whatever cannot be
 * honoured as written is refused; nothing is cut, rounded or guessed.
 */
#include <sys/queue.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"
#include "config.h"
#include "parse.h"

#define VHID_MAX	255
#define ADVBASE_MAX	254	/* 255/255 is the bow-out */
#define ADVBASE_DEFAULT	1
#define ADVSKEW_MAX	254
#define DEMOTE_LIMIT	255
#define LOG_MAX		7
#define SYNC_WAIT_MAX	3600
#define CARP_GROUP	"carp"

const char *const config_digest_names[] = { "auto", "openbsd", "freebsd",
	NULL };
const char *const config_style_names[] = { "auto", "byte", "skew", "both",
	NULL };

/* lifetime */

struct config *
config_new(void)
{
	struct config	*c = config_must(calloc(1, sizeof(*c)));

	c->g.log = CONFIG_LOG_DEFAULT;
	c->g.allow = 1;
	return (c);
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	freezero(c->ifaces, c->nifaces * sizeof(*c->ifaces));
	free(c->groups);
	freezero(c, sizeof(*c));
}

static bool
in_group(const struct config_iface *i, const char *group)
{
	size_t	 n;

	for (n = 0; n < i->ngroups; n++)
		if (strcmp(i->groups[n], group) == 0)
			return (true);
	return (false);
}

struct config_iface *
config_add_iface(struct config *c, const struct config_iface *i)
{
	struct config_iface	*n;

	/*
	 * Room for a power of two.  recallocarray: no pass stays behind in
	 * freed memory.
	 */
	if ((c->nifaces & (c->nifaces - 1)) == 0)
		c->ifaces = config_must(recallocarray(c->ifaces, c->nifaces,
		    c->nifaces == 0 ? 1 : 2 * c->nifaces,
		    sizeof(*c->ifaces)));
	n = &c->ifaces[c->nifaces++];
	*n = *i;
	if (in_group(n, CARP_GROUP))
		return (n);
	if (n->ngroups >= CONFIG_GROUPS_MAX)
		fatalx("%s: no room for group carp", n->name);
	memmove(n->groups[1], n->groups[0],
	    n->ngroups * sizeof(n->groups[0]));
	memset(n->groups[0], 0, sizeof(n->groups[0]));
	strlcpy(n->groups[0], CARP_GROUP, sizeof(n->groups[0]));
	n->ngroups++;
	return (n);
}

struct config_group *
config_add_group(struct config *c, const struct config_group *g)
{
	c->groups = config_must(reallocarray(c->groups, c->ngroups + 1,
	    sizeof(*c->groups)));
	c->groups[c->ngroups] = *g;
	return (&c->groups[c->ngroups++]);
}

struct config_iface *
config_find_iface(const struct config *c, const char *name)
{
	size_t	 n;

	for (n = 0; n < c->nifaces; n++)
		if (strcmp(c->ifaces[n].name, name) == 0)
			return (&c->ifaces[n]);
	return (NULL);
}

/* comparison */

static bool
same_vhids(const struct config_iface *a, const struct config_iface *b)
{
	size_t	 n;

	if (a->nvhids != b->nvhids)
		return (false);
	for (n = 0; n < a->nvhids; n++)
		if (a->vhids[n].vhid != b->vhids[n].vhid)
			return (false);
	return (true);
}

unsigned int
config_iface_diff(const struct config_iface *a, const struct config_iface *b)
{
	unsigned int	 d = 0;

	if (strcmp(a->carpdev, b->carpdev) != 0 ||
	    a->vhids[0].vhid != b->vhids[0].vhid ||
	    a->balancing != b->balancing || a->passlen != b->passlen ||
	    memcmp(a->pass, b->pass, sizeof(a->pass)) != 0 ||
	    a->naddrs != b->naddrs ||
	    memcmp(a->addrs, b->addrs, sizeof(a->addrs)) != 0)
		d |= CONFIG_DIFF_IDENTITY;
	if (!same_vhids(a, b))
		d |= CONFIG_DIFF_VHIDS;
	if (memcmp(a->vhids, b->vhids, sizeof(a->vhids)) != 0)
		d |= CONFIG_DIFF_TIMERS;
	if (a->ngroups != b->ngroups ||
	    memcmp(a->groups, b->groups, sizeof(a->groups)) != 0)
		d |= CONFIG_DIFF_GROUPS;
	if (a->digest != b->digest || a->style != b->style)
		d |= CONFIG_DIFF_STYLE;
	if (a->npeers != b->npeers ||
	    memcmp(a->peers, b->peers, sizeof(a->peers)) != 0)
		d |= CONFIG_DIFF_PEERS;
	return (d);
}

/* names */

/* carp0: letters and a number, as ifconfig(8) creates them. */
bool
config_is_carp_name(const char *s)
{
	size_t	 letters, digits;

	for (letters = 0; isascii((unsigned char)s[letters]) &&
	    isalpha((unsigned char)s[letters]); letters++)
		;
	digits = strspn(s + letters, "0123456789");
	return (letters > 0 && digits > 0 && s[letters + digits] == '\0' &&
	    letters + digits < IF_NAMESIZE);
}

/* NULL, or why s cannot be the name of a group. */
const char *
config_bad_group(const char *s)
{
	size_t	 n = strlen(s);

	if (n == 0)
		return ("is empty");
	if (n >= CONFIG_GROUPNAME_MAX)
		return ("is longer than 15 characters");
	if (strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789-_") != n)
		return ("must be of letters, digits, - and _");
	if (isdigit((unsigned char)s[n - 1]))
		return ("must not end in a digit, ifconfig(8) says");
	return (NULL);
}

/* a message from the parent */

static bool
addrs_ok(const struct ipaddr *addrs, size_t naddrs)
{
	static const uint8_t	 zero[12];
	const struct ipaddr	*a;
	size_t			 n;

	for (n = 0; n < naddrs; n++) {
		a = &addrs[n];
		if (a->af != AF_INET && a->af != AF_INET6)
			return (false);
		if (a->plen == 0 || a->plen > ipaddr_len(a->af) * 8)
			return (false);
		if (a->af == AF_INET &&
		    memcmp(a->bytes + 4, zero, sizeof(zero)) != 0)
			return (false);
		if (n > 0 && ipaddr_cmp(&addrs[n - 1], a) >= 0)
			return (false);
	}
	return (true);
}

static bool
vhids_ok(const struct config_iface *i)
{
	const struct config_vhid	*v;
	size_t				 n;

	if (i->nvhids == 0 || i->nvhids > CONFIG_VHIDS_MAX)
		return (false);
	for (n = 0; n < i->nvhids; n++) {
		v = &i->vhids[n];
		if (v->vhid == 0 || v->advbase > ADVBASE_MAX ||
		    v->advskew > ADVSKEW_MAX)
			return (false);
		if (n > 0 && (i->vhids[n - 1].vhid >= v->vhid ||
		    i->vhids[n - 1].advbase != v->advbase))
			return (false);
	}
	return ((i->nvhids > 1) == (i->balancing != BALANCE_NONE));
}

static bool
groups_ok(const struct config_iface *i)
{
	size_t	 n;

	if (i->ngroups > CONFIG_GROUPS_MAX)
		return (false);
	for (n = 0; n < i->ngroups; n++)
		if (!config_has_end(i->groups[n], sizeof(i->groups[n])) ||
		    config_bad_group(i->groups[n]) != NULL)
			return (false);
	/* config_add_iface() wants to add this one */
	return (i->ngroups < CONFIG_GROUPS_MAX || in_group(i, CARP_GROUP));
}

bool
config_iface_ok(const struct config_iface *i)
{
	if (!config_has_end(i->name, sizeof(i->name)) ||
	    !config_is_carp_name(i->name))
		return (false);
	if (!config_has_end(i->carpdev, sizeof(i->carpdev)) ||
	    !(config_ifname_ok(i->carpdev) ||
	    (i->chosen && i->carpdev[0] == '\0')))
		return (false);
	if (i->digest > DIGEST_FREEBSD || i->style > STYLE_BOTH ||
	    i->balancing > BALANCE_IP_UNICAST)
		return (false);
	if (i->passlen > CONFIG_PASS_MAX ||
	    !config_has_end(i->pass, sizeof(i->pass)) ||
	    strlen(i->pass) != i->passlen)
		return (false);
	if (i->naddrs == 0 || i->naddrs > CONFIG_ADDRS_MAX ||
	    i->npeers > CONFIG_PEERS_MAX)
		return (false);
	return (vhids_ok(i) && groups_ok(i) && addrs_ok(i->addrs, i->naddrs) &&
	    addrs_ok(i->peers, i->npeers));
}

/* a run of the parser */

/* Statements that may be written once. */
enum once { ONCE_PREEMPT, ONCE_ALLOW, ONCE_LOG, ONCE_SYNC, ONCE_AUTH,
	    ONCE_IFACE,			/* from here: once an interface */
	    ONCE_VHID = ONCE_IFACE, ONCE_PASS, ONCE_ADDRESS, ONCE_DIGEST,
	    ONCE_STYLE, ONCE_BALANCING, ONCE_ADVBASE, ONCE_ADVSKEW,
	    ONCE_DEMOTE, ONCES };

/* Something that must be unique, and where it was first. */
enum mark_kind { MARK_IFACE, MARK_VHID, MARK_ADDRESS, MARK_GROUP };

struct mark {
	SLIST_ENTRY(mark) entry;
	enum mark_kind	 kind;
	const char	*scope;		/* carpdev, or "" */
	const char	*key;
	const char	*owner;		/* interface, or "" */
	struct config_tok at;
};

/* What is noted during a run. */
struct config_own {
	SLIST_HEAD(mark_head, mark) marks;
	struct authconf	 auth;

	/* the block that is open; its name is config_run's */
	bool		 refused;	/* read for its mistakes only */
	bool		 muted;		/* not even for those */
	struct config_tok advbase;	/* of its vhids; file NULL: default */
	struct config_tok balancing;	/* file NULL: not said */
	struct config_iface i;
	struct config_group g;
};

static void
forget_once(struct config_run *r, enum once from)
{
	memset(&r->once[from], 0,
	    (size_t)(ONCES - from) * sizeof(r->once[0]));
}

static const struct mark *
find_mark(const struct config_run *r, enum mark_kind kind, const char *scope,
    const char *key)
{
	const struct mark	*m;

	SLIST_FOREACH(m, &r->own->marks, entry)
		if (m->kind == kind && strcmp(m->key, key) == 0 &&
		    strcmp(m->scope, scope) == 0)
			return (m);
	return (NULL);
}

/* The one that was there first, or NULL and this is it now. */
static const struct mark *
claim(struct config_run *r, enum mark_kind kind, const char *scope,
    const char *key, const char *owner, const struct config_tok *at)
{
	const struct mark	*first = find_mark(r, kind, scope, key);
	struct mark		*m;

	if (first != NULL)
		return (first);
	m = config_must(calloc(1, sizeof(*m)));
	m->kind = kind;
	m->scope = config_keep(r, scope);
	m->key = config_keep(r, key);
	m->owner = config_keep(r, owner);
	m->at = *at;
	SLIST_INSERT_HEAD(&r->own->marks, m, entry);
	return (NULL);
}

/* words and what was meant by them */

static const struct config_word words[] = {
	{ "preempt", CONFIG_CTX_TOP },
	{ "allow", CONFIG_CTX_TOP },
	{ "log", CONFIG_CTX_TOP },
	{ "sync", CONFIG_CTX_TOP },
	{ "auth", CONFIG_CTX_TOP },
	{ "key", CONFIG_CTX_TOP },
	{ "include", CONFIG_CTX_TOP },
	{ "group", CONFIG_CTX_TOP },
	{ "vhid", CONFIG_CTX_IFACE },
	{ "pass", CONFIG_CTX_IFACE },
	{ "address", CONFIG_CTX_IFACE },
	{ "group", CONFIG_CTX_IFACE },
	{ "digest", CONFIG_CTX_IFACE },
	{ "demote-style", CONFIG_CTX_IFACE },
	{ "balancing", CONFIG_CTX_IFACE },
	{ "peer", CONFIG_CTX_IFACE },
	{ "advbase", CONFIG_CTX_VHID },
	{ "advskew", CONFIG_CTX_VHID },
	{ "demote", CONFIG_CTX_GROUP },
};

static const struct config_place places[] = {
	[CONFIG_CTX_TOP] = { "outside of all braces",
	    "NAME on CARPDEV { ... }, preempt, allow, log, sync wait, "
	    "auth, key, group, include or NAME = \"VALUE\"" },
	[CONFIG_CTX_IFACE] = { "between the braces of NAME on CARPDEV { ... }",
	    "vhid, pass, address, group, peer, digest, demote-style, "
	    "balancing or }" },
	[CONFIG_CTX_VHID] = { "between the braces of vhid N { ... }",
	    "advbase, advskew or }" },
	[CONFIG_CTX_GROUP] = { "between the braces of group \"NAME\" { ... }",
	    "demote or }" },
};

/* Habits from ifconfig(8) and elsewhere. */
static const struct config_habit habits[] = {
	{ "alias", "write address ADDRESS/LENGTH" },
	{ "carpdev", "write NAME on CARPDEV {" },
	{ "carpnodes", "write vhid N { advskew N } for each of the nodes" },
	{ "carppeer", "write peer ADDRESS" },
	{ "inet", "write address ADDRESS/LENGTH" },
	{ "inet6", "write address ADDRESS/LENGTH" },
	{ "interface", "write NAME on CARPDEV {" },
	{ "netmask", "write the prefix length behind the address: address "
	    "192.0.2.1/24" },
	{ "password", "write pass \"PHRASE\"" },
	{ "prefixlen", "write it behind the address: address "
	    "2001:db8::1/64" },
	{ "state", "carpctl state NAME STATE does that" },
	{ "virtual_ipaddress", "write address ADDRESS/LENGTH" },
};

/* syntax errors */

static void
unknown(struct config_run *r, const struct config_tok *t, enum config_ctx ctx)
{
	if (!t->quoted && authconf_like_key(t->text))
		config_fail(r, t, "another word found; possible here: %s",
		    places[ctx].possible);
	else if (config_is_secret(r, t))
		config_fail(r, t, "a word too many behind pass; quote a "
		    "phrase: pass \"PHRASE\"");
	else if (t->quoted)
		config_fail(r, t, "a quoted string found; possible here: %s",
		    places[ctx].possible);
	else
		config_unknown_word(r, t, ctx);
}

void
config_unknown(struct config_run *r, const struct config_tok *t,
    enum config_ctx ctx)
{
	if (config_first_on_line(r, t))
		unknown(r, t, ctx);
}

void
config_stray(struct config_run *r, const struct config_tok *t)
{
	if (config_first_on_line(r, t))
		config_fail(r, t, "a { that belongs to nothing; possible here: "
		    "%s", places[CONFIG_CTX_IFACE].possible);
	config_quiet(r, true);
}

/* statements outside of braces */

static const char *const no_yes[] = { "no", "yes", NULL };

void
config_preempt(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (config_once(r, ONCE_PREEMPT, key) &&
	    (v = config_choose(r, key, val, no_yes, NULL)) != -1)
		r->c->g.preempt = (uint8_t)v;
}

void
config_allow(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (config_once(r, ONCE_ALLOW, key) &&
	    (v = config_choose(r, key, val, no_yes, NULL)) != -1)
		r->c->g.allow = (uint8_t)v;
}

void
config_log(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_LOG, key) &&
	    config_in_range(r, key, val, 0, LOG_MAX))
		r->c->g.log = (uint8_t)val->num;
}

void
config_sync_wait(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct config_tok	 both = *key;

	both.text = "sync wait";
	if (config_once(r, ONCE_SYNC, &both) &&
	    config_in_range(r, &both, val, 0, SYNC_WAIT_MAX))
		r->c->g.sync_wait = (uint32_t)val->num;
}

void
config_auth(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	authconf_policy(r, &r->own->auth, &r->c->auth, ONCE_AUTH, key, val);
}

/* Id 0 is that of trailers made with the pass. */
void
config_key(struct config_run *r, const struct authconf_key *k,
    const struct config_tok *id, const struct config_tok *active)
{
	authconf_key(r, &r->own->auth, &r->c->auth, k, id, active, 1);
}

static bool
group_name_ok(struct config_run *r, const struct config_tok *t)
{
	const char	*why = config_bad_group(t->text);

	if (why != NULL)
		config_fail(r, t, "the group name \"%.40s\" %s", t->text, why);
	return (why == NULL);
}

void
config_group_begin(struct config_run *r, const struct config_tok *name)
{
	const struct mark	*first;
	char			 buf[CONFIG_WHERE_MAX];

	forget_once(r, ONCE_IFACE);
	r->name = *name;
	memset(&r->own->g, 0, sizeof(r->own->g));
	r->own->refused = !group_name_ok(r, name);
	if (r->own->refused)
		return;
	strlcpy(r->own->g.name, name->text, sizeof(r->own->g.name));
	first = claim(r, MARK_GROUP, "", name->text, "", name);
	if (first != NULL) {
		config_fail(r, name, "group %s is already at %s; keep one of "
		    "them", name->text, config_where(&first->at, name, buf));
		r->own->refused = true;
	}
}

void
config_demote(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_DEMOTE, key) &&
	    config_in_range(r, key, val, 0, DEMOTE_LIMIT))
		r->own->g.demote = (uint32_t)val->num;
}

void
config_group_end(struct config_run *r)
{
	if (!r->own->refused)
		config_add_group(r->c, &r->own->g);
	r->name.text = NULL;
}

/* an interface's first and last line */

static bool
iface_name_ok(struct config_run *r, const struct config_tok *name)
{
	const struct mark	*first;
	char			 buf[CONFIG_WHERE_MAX];

	if (!config_is_carp_name(name->text)) {
		config_fail(r, name, "\"%.40s\" cannot be a carp interface; "
		    "its name is letters and a number, carp0, at most 15 "
		    "characters", name->text);
		return (false);
	}
	first = claim(r, MARK_IFACE, "", name->text, "", name);
	if (first != NULL)
		config_fail(r, name, "%s is already at %s; every interface "
		    "needs its own name", name->text,
		    config_where(&first->at, name, buf));
	return (first == NULL);
}

static void
iface_open(struct config_run *r, const struct config_tok *name)
{
	forget_once(r, ONCE_IFACE);
	explicit_bzero(&r->own->i, sizeof(r->own->i));
	memset(&r->own->advbase, 0, sizeof(r->own->advbase));
	memset(&r->own->balancing, 0, sizeof(r->own->balancing));
	r->name = *name;
	r->own->refused = r->own->muted = false;
}

void
config_iface_begin(struct config_run *r, const struct config_tok *name,
    const struct config_tok *carpdev)
{
	iface_open(r, name);
	if (carpdev == NULL) {
		r->own->refused = true;
		return;
	}
	if (!iface_name_ok(r, name))
		r->own->refused = true;
	strlcpy(r->own->i.name, name->text, sizeof(r->own->i.name));
	if (!config_ifname_ok(carpdev->text)) {
		config_fail(r, carpdev, "\"%.40s\" cannot be an interface of "
		    "this system: 1 to 15 characters without / : or blanks",
		    carpdev->text);
		r->own->refused = true;
		return;
	}
	strlcpy(r->own->i.carpdev, carpdev->text, sizeof(r->own->i.carpdev));
}

void
config_iface_anywhere(struct config_run *r, const struct config_tok *name)
{
	iface_open(r, name);
	if (!config_is_carp_name(name->text)) {
		config_unknown(r, name, CONFIG_CTX_TOP);
		r->own->refused = r->own->muted = true;
		config_quiet(r, true);
		return;
	}
	r->own->refused = !iface_name_ok(r, name);
	strlcpy(r->own->i.name, name->text, sizeof(r->own->i.name));
	r->own->i.chosen = 1;
}

void
config_iface_head(struct config_run *r, const struct config_tok *name,
    const struct config_tok *next, bool block)
{
	bool	 carp = config_is_carp_name(name->text);

	if (!config_first_on_line(r, name))
		;
	else if (!carp)
		unknown(r, name, CONFIG_CTX_TOP);
	else if (next == NULL)
		config_fail(r, name, "the end of the line found, expected %s "
		    "on CARPDEV {, or %s { for the interface that has the "
		    "network of its address", name->text, name->text);
	else
		config_fail(r, next, "\"%.40s\" found, expected %s on CARPDEV "
		    "{", next->text, name->text);
	if (!block)
		return;
	config_iface_begin(r, name, NULL);
	if ((r->own->muted = !carp))
		config_quiet(r, true);
}

void
config_iface_again(struct config_run *r, const struct config_tok *name,
    const struct config_tok *carpdev)
{
	char	 buf[CONFIG_WHERE_MAX];

	if (config_first_on_line(r, name))
		config_fail(r, name, "%.40s begins inside of %.40s (%s), a } "
		    "is missing above", name->text, r->name.text,
		    config_where(&r->name, name, buf));
	config_iface_end(r);
	config_iface_begin(r, name, carpdev);
}

void
config_iface_drop(struct config_run *r)
{
	r->name.text = NULL;
}

static int
cmp_addr(const void *a, const void *b)
{
	return (ipaddr_cmp(a, b));
}

static int
cmp_vhid(const void *a, const void *b)
{
	const struct config_vhid	*x = a, *y = b;

	return (x->vhid - y->vhid);
}

/* As in carp(4): several nodes are balanced, one has nothing to share. */
static void
settle_balancing(struct config_run *r)
{
	const struct config_tok	*said = &r->own->balancing;
	struct config_iface	*i = &r->own->i;

	if (i->nvhids > 1 && i->balancing == BALANCE_NONE) {
		i->balancing = BALANCE_IP;
		if (said->file != NULL)
			config_warn(r, said, "balancing none with %u vhids is "
			    "balancing ip, as on OpenBSD; write that, or one "
			    "interface for each vhid", i->nvhids);
	}
	if (i->nvhids <= 1 && i->balancing != BALANCE_NONE) {
		config_warn(r, said, "balancing %s with one vhid is balancing "
		    "none; write vhid N { advskew N } for each of the nodes",
		    balance_mode_names[i->balancing]);
		i->balancing = BALANCE_NONE;
	}
}

static void
settle_vhids(struct config_run *r)
{
	struct config_iface	*i = &r->own->i;
	size_t			 n;

	for (n = 0; n < i->nvhids; n++)
		i->vhids[n].advbase = r->own->advbase.file == NULL ?
		    ADVBASE_DEFAULT : (uint8_t)r->own->advbase.num;
	qsort(i->vhids, i->nvhids, sizeof(i->vhids[0]), cmp_vhid);
	settle_balancing(r);
}

/* What an interface cannot do without. */
static void
check_complete(struct config_run *r)
{
	const struct config_tok	*t = &r->name;

	if (r->once[ONCE_VHID].file == NULL)
		config_fail(r, t, "%.40s has no vhid; write vhid N { advbase 1 "
		    "advskew 0 }, N from 1 to 255", t->text);
	if (r->once[ONCE_ADDRESS].file == NULL)
		config_fail(r, t, "%.40s has no address; write address "
		    "ADDRESS/LENGTH", t->text);
	if (r->once[ONCE_PASS].file == NULL)
		config_warn(r, t, "%.40s has no pass: anybody on the network "
		    "can become MASTER; write pass \"PHRASE\"", t->text);
}

/*
 * Peers are other hosts, so none has a virtual address; and of a family that
 * is not advertised they hear nothing.
 */
static void
check_peers(struct config_run *r)
{
	const struct config_iface *i = &r->own->i;
	const struct ipaddr	*a, *p;
	char			 buf[IPADDR_STRLEN];
	bool			 family;

	for (p = i->peers; p < i->peers + i->npeers; p++) {
		family = false;
		for (a = i->addrs; a < i->addrs + i->naddrs; a++) {
			family |= a->af == p->af;
			if (ipaddr_cmp(a, p) == 0)
				config_fail(r, &r->name, "peer %s of %.40s is "
				    "its virtual address; write the own address "
				    "of the other host", ipaddr_print(p, buf,
				    sizeof(buf)), r->name.text);
		}
		if (!family && i->naddrs != 0)
			config_warn(r, &r->name, "peer %s of %.40s hears "
			    "nothing: there is no %s address to advertise",
			    ipaddr_print(p, buf, sizeof(buf)), r->name.text,
			    p->af == AF_INET ? "IPv4" : "IPv6");
	}
}

void
config_iface_end(struct config_run *r)
{
	check_complete(r);
	check_peers(r);
	settle_vhids(r);
	if (!r->own->refused) {
		qsort(r->own->i.addrs, r->own->i.naddrs,
		    sizeof(r->own->i.addrs[0]), cmp_addr);
		qsort(r->own->i.peers, r->own->i.npeers,
		    sizeof(r->own->i.peers[0]), cmp_addr);
		config_add_iface(r->c, &r->own->i);
	}
	explicit_bzero(&r->own->i, sizeof(r->own->i));
	if (r->own->muted)
		config_quiet(r, false);
	r->own->muted = false;
	r->name.text = NULL;
}

/* statements of an interface */

/*
 * Where vhids and addresses are unique: on a carpdev.  One that is chosen by
 * the system is not known here: then in the block, by a name that no carpdev
 * has.  NULL: of a block that is refused nothing.
 */
static const char *
scope(const struct config_run *r, char buf[static IF_NAMESIZE + 1])
{
	const struct config_iface	*i = &r->own->i;

	if (!i->chosen)
		return (i->carpdev[0] == '\0' ? NULL : i->carpdev);
	snprintf(buf, IF_NAMESIZE + 1, "/%s", i->name);
	return (buf);
}

static void
claim_vhid(struct config_run *r, const struct config_tok *val)
{
	const struct config_iface	*i = &r->own->i;
	const struct mark		*first;
	char				 where[CONFIG_WHERE_MAX], key[8];
	char				 buf[IF_NAMESIZE + 1];
	const char			*on = scope(r, buf);

	if (on == NULL)
		return;
	snprintf(key, sizeof(key), "%d", (int)val->num);
	first = claim(r, MARK_VHID, on, key, r->name.text, val);
	if (first != NULL)
		config_fail(r, val, "vhid %s%s%s is already that of %s, %s; "
		    "every vhid on a carpdev needs its own number", key,
		    i->chosen ? "" : " on ", i->carpdev, first->owner,
		    config_where(&first->at, val, where));
}

/* The one whose block is open. */
static struct config_vhid *
this_vhid(struct config_run *r)
{
	return (&r->own->i.vhids[r->own->i.nvhids - 1]);
}

void
config_vhid(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct config_iface	*i = &r->own->i;

	memset(&r->once[ONCE_ADVBASE], 0, sizeof(r->once[0]));
	memset(&r->once[ONCE_ADVSKEW], 0, sizeof(r->once[0]));
	r->once[ONCE_VHID] = *key;
	if (i->nvhids == CONFIG_VHIDS_MAX) {
		config_fail(r, key, "more than %d vhids in %.40s",
		    CONFIG_VHIDS_MAX, r->name.text);
		return;
	}
	i->nvhids++;
	if (val != NULL && config_in_range(r, key, val, 1, VHID_MAX)) {
		this_vhid(r)->vhid = (uint8_t)val->num;
		claim_vhid(r, val);
	}
}

void
config_advbase(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct config_tok	*first = &r->own->advbase;
	char			 buf[CONFIG_WHERE_MAX];

	if (!config_once(r, ONCE_ADVBASE, key) ||
	    !config_in_range(r, key, val, 0, ADVBASE_MAX))
		return;
	if (first->file == NULL)
		*first = *val;
	else if (first->num != val->num)
		config_fail(r, val, "advbase %d, but %d at %s; the vhids of an "
		    "interface share one", (int)val->num, (int)first->num,
		    config_where(first, val, buf));
}

void
config_advskew(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_ADVSKEW, key) &&
	    config_in_range(r, key, val, 0, ADVSKEW_MAX))
		this_vhid(r)->advskew = (uint8_t)val->num;
}

/* len bytes at s, from the file or from a file of their own. */
static void
set_pass(struct config_run *r, const struct config_tok *at, const char *s,
    size_t len)
{
	size_t	 n;

	if (len == 0) {
		config_fail(r, at, "the pass is empty; write 1 to 19 "
		    "characters, or no pass at all");
		return;
	}
	if (len > CONFIG_PASS_MAX) {
		config_fail(r, at, "the pass has %zu characters, the most is "
		    "%d; ifconfig(8) would cut it without a word, so shorten "
		    "it on all nodes", len, CONFIG_PASS_MAX);
		return;
	}
	for (n = 0; n < len; n++)
		if (iscntrl((unsigned char)s[n])) {
			config_fail(r, at, "the pass holds a control character "
			    "(byte 0x%02x)", (unsigned char)s[n]);
			return;
		}
	memcpy(r->own->i.pass, s, len);
	r->own->i.passlen = (uint8_t)len;
}

void
config_pass(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (!config_once(r, ONCE_PASS, key) || val == NULL)
		return;
	if (val->exposed != NULL)
		config_fail(r, val, "a pass in a file that is not secret: %s",
		    val->exposed);
	if (strcmp(val->text, CONFIG_MASKED) == 0)
		config_warn(r, val, "pass \"%s\" is what carpd -nn prints "
		    "instead of a pass; write the real one", CONFIG_MASKED);
	set_pass(r, val, val->text, strlen(val->text));
}

void
config_pass_file(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	/* room to see a line that is too long, and a second one */
	char	 buf[256], most[32];
	ssize_t	 n;

	if (!config_once(r, ONCE_PASS, key))
		return;
	snprintf(most, sizeof(most), "%d characters", CONFIG_PASS_MAX);
	n = config_secret_file(r, val, "pass file", most, buf, sizeof(buf));
	if (n != -1)
		set_pass(r, val, buf, (size_t)n);
	explicit_bzero(buf, sizeof(buf));
}

/* Are all bits behind the prefix `ones' or all not? */
static bool
host_bits_all(const struct ipaddr *a, bool ones)
{
	size_t	 bit;

	for (bit = a->plen; bit < ipaddr_len(a->af) * 8; bit++)
		if (((a->bytes[bit / 8] >> (7 - bit % 8)) & 1) != ones)
			return (false);
	return (true);
}

/* What no host can own; NULL when it may be a virtual address. */
const char *
config_unusable(const struct ipaddr *a)
{
	if (ipaddr_is_special(a))
		return ("is not the address of a host");
	if (ipaddr_is_multicast(a))
		return ("is a multicast address");
	if (ipaddr_is_loopback(a))
		return ("is a loopback address");
	if (ipaddr_is_mapped(a))
		return ("is an IPv4-mapped address; write the IPv4 address");
	/* RFC 3021: both addresses of a /31 are hosts */
	if (a->af == AF_INET && a->plen < 31 && host_bits_all(a, false))
		return ("is the network itself, not an address in it");
	if (a->af == AF_INET && a->plen < 31 && host_bits_all(a, true))
		return ("is the broadcast address of its network");
	return (NULL);
}

/* ADDRESS/LENGTH in all its wrong forms. */
static bool
read_address(struct config_run *r, const struct config_tok *val,
    struct ipaddr *a)
{
	const char	*s = val->text;
	char		 host[IPADDR_STRLEN];
	size_t		 n = strcspn(s, "/");
	bool		 has_plen;

	if (n >= sizeof(host))
		n = sizeof(host) - 1;
	memcpy(host, s, n);
	host[n] = '\0';
	if (ipaddr_parse(host, a, NULL) == -1) {
		config_fail(r, val, "\"%.50s\" is not an address; write "
		    "ADDRESS/LENGTH, as in 192.0.2.1/24 or 2001:db8::1/64", s);
		return (false);
	}
	if (strchr(s, '/') == NULL) {
		config_fail(r, val, "address %s has no prefix length; write "
		    "that of its network, as in %s/%d", s, s,
		    a->af == AF_INET ? 24 : 64);
		return (false);
	}
	if (ipaddr_parse(s, a, &has_plen) == -1 || a->plen == 0) {
		config_fail(r, val, "the prefix length of address %.50s is not "
		    "a number from 1 to %d", s, a->af == AF_INET ? 32 : 128);
		return (false);
	}
	return (true);
}

static bool
claim_address(struct config_run *r, const struct config_tok *val,
    const struct ipaddr *a)
{
	const struct config_iface	*i = &r->own->i;
	const struct mark		*first;
	char				 where[CONFIG_WHERE_MAX];
	char				 text[IPADDR_STRLEN];
	char				 buf[IF_NAMESIZE + 1];
	const char			*on = scope(r, buf);

	if (on == NULL)
		return (true);
	ipaddr_print(a, text, sizeof(text));
	first = claim(r, MARK_ADDRESS, on, text, r->name.text, val);
	if (first != NULL)
		config_fail(r, val, "address %s%s%s is already that of %s, "
		    "%s", text, i->chosen ? "" : " on ", i->carpdev,
		    first->owner, config_where(&first->at, val, where));
	return (first == NULL);
}

void
config_address(struct config_run *r, const struct config_tok *val)
{
	struct ipaddr	 a;
	const char	*why;

	if (r->once[ONCE_ADDRESS].file == NULL)
		r->once[ONCE_ADDRESS] = val != NULL ? *val : r->name;
	if (val == NULL || !read_address(r, val, &a))
		return;
	if ((why = config_unusable(&a)) != NULL) {
		config_fail(r, val, "address %s %s", val->text, why);
		return;
	}
	if (a.af == AF_INET6 && a.plen < 127 && host_bits_all(&a, false))
		config_warn(r, val, "address %s is the anycast address of its "
		    "network's routers (RFC 4291)", val->text);
	if (!claim_address(r, val, &a))
		return;
	if (r->own->i.naddrs == CONFIG_ADDRS_MAX)
		config_fail(r, val, "more than %d addresses in %.40s",
		    CONFIG_ADDRS_MAX, r->name.text);
	else
		r->own->i.addrs[r->own->i.naddrs++] = a;
}

void
config_join(struct config_run *r, const struct config_tok *val)
{
	struct config_iface	*i = &r->own->i;

	/* config_add_iface() puts every interface into carp, said or not. */
	if (!group_name_ok(r, val) || strcmp(val->text, CARP_GROUP) == 0)
		return;
	if (in_group(i, val->text)) {
		config_fail(r, val, "%.40s is already in group %s",
		    r->name.text, val->text);
		return;
	}
	if (i->ngroups >= CONFIG_GROUPS_MAX - 1)
		config_fail(r, val, "%.40s is in more than %d groups (carp is "
		    "one of them)", r->name.text, CONFIG_GROUPS_MAX);
	else
		strlcpy(i->groups[i->ngroups++], val->text,
		    sizeof(i->groups[0]));
}

void
config_digest(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (config_once(r, ONCE_DIGEST, key) &&
	    (v = config_choose(r, key, val, config_digest_names, NULL)) != -1)
		r->own->i.digest = (uint8_t)v;
}

void
config_style(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (config_once(r, ONCE_STYLE, key) &&
	    (v = config_choose(r, key, val, config_style_names, NULL)) != -1)
		r->own->i.style = (uint8_t)v;
}

void
config_balancing(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	int	 v;

	if (!config_once(r, ONCE_BALANCING, key) ||
	    (v = config_choose(r, key, val, balance_mode_names, NULL)) == -1)
		return;
	r->own->balancing = *val;
	r->own->i.balancing = (uint8_t)v;
}

/* An address of another host, without a prefix length. */
void
config_peer(struct config_run *r, const struct config_tok *val)
{
	struct config_iface	*i = &r->own->i;
	struct ipaddr		 a;
	const char		*why;
	bool			 has_plen;
	size_t			 n;

	if (ipaddr_parse(val->text, &a, &has_plen) == -1) {
		config_fail(r, val, "\"%.50s\" is not an address; write the own "
		    "address of the other host, as in peer 192.0.2.2",
		    val->text);
		return;
	}
	if (has_plen) {
		config_fail(r, val, "peer %.50s has a prefix length; write the "
		    "address alone", val->text);
		return;
	}
	if ((why = config_unusable(&a)) != NULL) {
		config_fail(r, val, "peer %s %s", val->text, why);
		return;
	}
	for (n = 0; n < i->npeers; n++)
		if (ipaddr_cmp(&i->peers[n], &a) == 0) {
			config_fail(r, val, "%.40s has peer %s already",
			    r->name.text, val->text);
			return;
		}
	if (i->npeers == CONFIG_PEERS_MAX)
		config_fail(r, val, "more than %d peers in %.40s",
		    CONFIG_PEERS_MAX, r->name.text);
	else
		i->peers[i->npeers++] = a;
}

/* the whole */

/* What is only known at the end. */
static void
run_end(struct config_run *r)
{
	const struct mark	*m;
	size_t			 n;

	if (lex_errors(r->lex) > 0)
		return;
	authconf_end(r, &r->own->auth, &r->c->auth);
	SLIST_FOREACH(m, &r->own->marks, entry) {
		if (m->kind != MARK_GROUP || strcmp(m->key, CARP_GROUP) == 0)
			continue;
		for (n = 0; n < r->c->nifaces; n++)
			if (in_group(&r->c->ifaces[n], m->key))
				break;
		if (n == r->c->nifaces)
			config_warn(r, &m->at, "no interface is in group %s",
			    m->key);
	}
}

static const struct config_lang lang = {
	.name = "carpd.conf(5)",
	.words = words,
	.nwords = sizeof(words) / sizeof(words[0]),
	.places = places,
	.habits = habits,
	.nhabits = sizeof(habits) / sizeof(habits[0]),
	.keywords = parse_keywords,
	.parse = parse_run,
	.end = run_end,
	.secret = authconf_like_key,
};

static struct config_run *
run_new(config_msg_cb err, config_msg_cb warn, void *arg)
{
	struct config_own	*own = config_must(calloc(1, sizeof(*own)));

	_Static_assert(ONCES <= CONFIG_ONCE_MAX, "a place for each");
	SLIST_INIT(&own->marks);
	return (config_run_new(&lang, config_new(), own, err, warn, arg));
}

/* What was built, or NULL if anything was wrong. */
static struct config *
run_finish(struct config_run *r, bool right)
{
	struct config	*c = r->c;
	struct mark	*m;

	if (!right) {
		config_free(c);
		c = NULL;
	}
	while ((m = SLIST_FIRST(&r->own->marks)) != NULL) {
		SLIST_REMOVE_HEAD(&r->own->marks, entry);
		free(m);
	}
	freezero(r->own, sizeof(*r->own));
	config_run_free(r);
	return (c);
}

struct config *
config_load(const char *path, char *const *defines, config_msg_cb err,
    config_msg_cb warn, void *arg)
{
	struct config_run	*r = run_new(err, warn, arg);

	return (run_finish(r, config_run_file(r, path, defines)));
}

struct config *
config_load_mem(const char *name, const char *text, size_t len,
    config_msg_cb err, config_msg_cb warn, void *arg)
{
	struct config_run	*r = run_new(err, warn, arg);

	return (run_finish(r, config_run_mem(r, name, text, len)));
}
