/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The words of ifconfig(8), OpenBSD's and FreeBSD's, and hostname.if(5)'s
 * packed form of them.  Each word of a carp or pfsync interface is in a table:
 * what it sets, or why it has no meaning here.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import_int.h"

/* One command: the words, the place in them, the address that is not done. */
struct command {
	struct import	*im;
	struct import_word *w;
	size_t		 n, at;
	bool		 packed;
	struct import_carp *carp;	/* NULL: not one */
	struct import_own *own;
	struct ipaddr	 addr;
	bool		 has_addr;
	bool		 has_plen;
	bool		 inet6;		/* after the word inet6 */
	const char	*removal;	/* -alias or the like */
	struct ipaddr	 broadcast;	/* af 0: none */
};

struct ifword {
	const char	*word;
	int		 nargs;
	void		(*take)(struct command *, const char *);
	const char	*why;		/* take is NULL: why it is nothing */
};

static void
nothing(struct command *c, const char *arg)
{
	(void)c;
	(void)arg;
}

/* addresses */

/* The last address of its network. */
static void
last_of(const struct ipaddr *a, struct ipaddr *last)
{
	size_t	 n;

	*last = *a;
	for (n = a->plen; n < ipaddr_len(a->af) * 8; n++)
		last->bytes[n / 8] |= (uint8_t)(0x80 >> n % 8);
}

static void
check_broadcast(struct command *c)
{
	struct ipaddr	 last;

	last_of(&c->addr, &last);
	if (c->broadcast.af != 0 && (c->addr.af != AF_INET ||
	    ipaddr_cmp(&last, &c->broadcast) != 0) &&
	    ipaddr_cmp(&c->addr, &c->broadcast) != 0)
		import_note(c->im, "broadcast", "that of the network is used, "
		    "and this is another one");
}

static void
add_own(struct command *c)
{
	struct import_own	*o = c->own;

	if (o->naddrs == 0)
		import_note(c->im, o->name, "its own addresses are set where "
		    "this system sets them");
	if (c->has_plen && o->naddrs < IMPORT_OWN_MAX)
		o->addrs[o->naddrs++] = c->addr;
}

/* The address is complete: its netmask and the like stand behind it. */
static void
end_address(struct command *c)
{
	if (!c->has_addr)
		return;
	c->has_addr = false;
	if (!c->has_plen && c->addr.af == AF_INET6) {
		c->addr.plen = 64;
		c->has_plen = true;
	}
	if (c->removal != NULL) {
		import_note(c->im, c->removal, "leave out what adds the "
		    "address");
		c->removal = NULL;
	} else if (c->carp != NULL) {
		if (c->has_plen)
			check_broadcast(c);
		import_add_address(c->im, c->carp, &c->addr,
		    c->has_plen ? PLEN_GIVEN : PLEN_CLASSFUL);
	} else if (c->own != NULL)
		add_own(c);
	c->broadcast.af = 0;
}

/* 255.255.255.0 or 0xffffff00: its length, or -1. */
static int
mask_length(const char *s)
{
	struct ipaddr	 a;
	char		*end;
	unsigned long	 v;
	bool		 has_plen;
	int		 n;

	if (strncasecmp(s, "0x", 2) == 0 && isxdigit((unsigned char)s[2])) {
		errno = 0;
		v = strtoul(s, &end, 16);
		if (*end != '\0' || errno != 0 || v > UINT32_MAX)
			return (-1);
	} else if (ipaddr_parse(s, &a, &has_plen) == 0 && !has_plen &&
	    a.af == AF_INET)
		v = (unsigned long)a.bytes[0] << 24 | a.bytes[1] << 16 |
		    a.bytes[2] << 8 | a.bytes[3];
	else
		return (-1);
	for (n = 0; n < 32 && v & 1UL << (31 - n); n++)
		;
	return (n == 32 || (v & ((1UL << (32 - n)) - 1)) == 0 ? n : -1);
}

static void
take_netmask(struct command *c, const char *arg)
{
	int	 n;

	if (c->own != NULL && !c->has_addr)
		;		/* of a name, or of what is not ours */
	else if (!c->has_addr || c->addr.af != AF_INET)
		import_error(c->im, "netmask without an IPv4 address");
	else if ((n = mask_length(arg)) == -1)
		import_error(c->im, "netmask %.40s is none; expected one such "
		    "as 255.255.255.0 or 0xffffff00", arg);
	else {
		c->addr.plen = (uint8_t)n;
		c->has_plen = true;
	}
}

static void
take_prefixlen(struct command *c, const char *arg)
{
	int	 n;

	if (!c->has_addr) {
		if (c->own == NULL)
			import_error(c->im, "prefixlen without an address");
		return;
	}
	n = import_number(c->im, "prefixlen", arg, 0,
	    (int)ipaddr_len(c->addr.af) * 8);
	if (n == -1)
		return;
	c->addr.plen = (uint8_t)n;
	c->has_plen = true;
}

static void
take_broadcast(struct command *c, const char *arg)
{
	struct ipaddr	 a;

	if (strcmp(arg, "NONE") == 0)
		return;
	if (ipaddr_parse(arg, &a, NULL) == -1)
		import_error(c->im, "broadcast %.40s is not an address", arg);
	else
		c->broadcast = a;
}

static void
take_inet(struct command *c, const char *arg)
{
	(void)arg;
	end_address(c);
	c->inet6 = false;
}

static void
take_inet6(struct command *c, const char *arg)
{
	(void)arg;
	end_address(c);
	c->inet6 = true;
}

static void
take_removal(struct command *c, const char *arg)
{
	(void)arg;
	if (c->has_addr || c->at == c->n)
		import_note(c->im, c->w[c->at - 1].text, "leave out what adds "
		    "the address");
	else
		c->removal = c->w[c->at - 1].text;
	c->has_addr = false;
}

/* hostname.if(5): address [netmask [broadcast]], address [prefixlen]. */
static void
packed_rest(struct command *c)
{
	const char	*s;
	bool		 masked = c->has_plen;

	if (!masked && c->at < c->n) {
		s = c->w[c->at].text;
		if (c->addr.af == AF_INET ? mask_length(s) != -1 :
		    isdigit((unsigned char)s[0]) != 0) {
			c->at++;
			masked = true;
			if (c->addr.af == AF_INET)
				take_netmask(c, s);
			else
				take_prefixlen(c, s);
		}
	}
	if (!masked || c->addr.af != AF_INET || c->at == c->n)
		return;
	s = c->w[c->at].text;
	if (strcmp(s, "NONE") == 0 || isdigit((unsigned char)s[0])) {
		c->at++;
		take_broadcast(c, s);
	}
}

/* fe80::1%carp0/64: the interface is known already. */
static const char *
without_scope(const char *s, char *buf, size_t size)
{
	size_t	 n = strcspn(s, "%");

	if (strncasecmp(s, "fe80:", 5) != 0 || s[n] == '\0' || n >= size)
		return (s);
	memcpy(buf, s, n);
	strlcpy(buf + n, s + n + strcspn(s + n, "/"), size - n);
	return (buf);
}

/* Did that look like an address, right or wrong? */
static bool
take_address(struct command *c, const char *s)
{
	struct ipaddr	 a;
	char		 buf[IPADDR_STRLEN];
	bool		 has_plen;

	s = without_scope(s, buf, sizeof(buf));
	if (ipaddr_parse(s, &a, &has_plen) == -1) {
		if (s[0] == '\0' || s[strspn(s, "0123456789abcdefABCDEF.:/")]
		    != '\0' || strpbrk(s, ".:") == NULL)
			return (false);
		import_error(c->im, "\"%.50s\" is not an address", s);
		end_address(c);
		return (true);
	}
	end_address(c);
	if (c->inet6 && a.af != AF_INET6) {
		import_error(c->im, "\"%.50s\" is not an IPv6 address", s);
		return (true);
	}
	c->addr = a;
	c->has_addr = true;
	c->has_plen = has_plen;
	if (c->packed)
		packed_rest(c);
	return (true);
}

/* carp(4) */

static void
take_vhid(struct command *c, const char *arg)
{
	import_set_vhid(c->im, c->carp, arg);
}

static void
take_advbase(struct command *c, const char *arg)
{
	import_set_advbase(c->im, c->carp, arg);
}

static void
take_advskew(struct command *c, const char *arg)
{
	import_set_advskew(c->im, c->carp, arg);
}

static void
take_pass(struct command *c, const char *arg)
{
	import_set_pass(c->im, c->carp, arg);
}

static void
take_carpdev(struct command *c, const char *arg)
{
	import_set_carpdev(c->im, c->carp, arg);
}

static bool
has_node(const struct import_carp *c, int vhid)
{
	size_t	 n;

	for (n = 0; n < c->nnodes; n++)
		if (c->nodes[n].vhid == vhid)
			return (true);
	return (false);
}

/* 3:100, into the next free node. */
static int
take_node(struct command *c, const char *text)
{
	struct import_carp	*p = c->carp;
	char			 buf[32], *colon;
	int			 vhid, skew;

	if (strlcpy(buf, text, sizeof(buf)) >= sizeof(buf) ||
	    (colon = strchr(buf, ':')) == NULL) {
		import_error(c->im, "carpnodes \"%.40s\" is not VHID:ADVSKEW",
		    text);
		return (-1);
	}
	*colon = '\0';
	vhid = import_number(c->im, "vhid", buf, 1, 255);
	skew = import_number(c->im, "advskew", colon + 1, 0, 254);
	if (vhid == -1 || skew == -1)
		return (-1);
	if (p->nnodes == CONFIG_VHIDS_MAX || has_node(p, vhid)) {
		import_error(c->im, has_node(p, vhid) ? "vhid %d is twice in "
		    "carpnodes" : "vhid %d is one more than the %d that "
		    "carpnodes can have", vhid, CONFIG_VHIDS_MAX);
		return (-1);
	}
	p->nodes[p->nnodes].vhid = (uint8_t)vhid;
	p->nodes[p->nnodes++].advskew = (uint8_t)skew;
	return (0);
}

static void
take_carpnodes(struct command *c, const char *arg)
{
	char	 copy[IMPORT_LINE_MAX + 1], *p = copy, *node;

	strlcpy(copy, arg, sizeof(copy));
	c->carp->nnodes = 0;
	memset(c->carp->nodes, 0, sizeof(c->carp->nodes));
	while ((node = strsep(&p, ", \t")) != NULL)
		if (*node != '\0' && take_node(c, node) == -1)
			return;
	if (c->carp->nnodes == 0)
		import_error(c->im, "carpnodes is empty; expected "
		    "VHID:ADVSKEW,VHID:ADVSKEW");
}

static void
take_balancing(struct command *c, const char *arg)
{
	static const char *const modes[] = { "arp", "ip", "ip-stealth",
	    "ip-unicast", NULL };
	int	 n;

	c->carp->balancing = NULL;
	if (strcmp(arg, "none") == 0)
		return;
	for (n = 0; modes[n] != NULL; n++)
		if (strcmp(arg, modes[n]) == 0)
			break;
	if ((c->carp->balancing = modes[n]) == NULL)
		import_error(c->im, "balancing %.40s is unknown; expected "
		    "none, arp, ip, ip-stealth or ip-unicast", arg);
}

static void
take_carppeer(struct command *c, const char *arg)
{
	struct import_carp	*p = c->carp;
	struct ipaddr		 a;
	bool			 has_plen;
	const char		*why;
	size_t			 n;

	if (ipaddr_parse(arg, &a, &has_plen) == -1 || has_plen) {
		import_error(c->im, "carppeer \"%.50s\" is not an address",
		    arg);
		return;
	}
	if (ipaddr_is_multicast(&a)) {
		import_note(c->im, "carppeer", "without a peer, 224.0.0.18 "
		    "and ff02::12 are used, and no other group");
		return;
	}
	if ((why = config_unusable(&a)) != NULL) {
		import_error(c->im, "carppeer %.50s %s", arg, why);
		return;
	}
	for (n = 0; n < p->npeers && p->peers[n].af != a.af; n++)
		;
	p->peers[n] = a;
	if (n == p->npeers)
		p->npeers++;
}

static void
take_nopeer(struct command *c, const char *arg)
{
	(void)arg;
	c->carp->npeers = 0;
}

static void
take_group(struct command *c, const char *arg)
{
	struct config_iface	*i = &c->carp->i;
	const char		*why;
	size_t			 n;

	if ((why = config_bad_group(arg)) != NULL) {
		import_error(c->im, "group \"%.40s\" %s", arg, why);
		return;
	}
	if (strcmp(arg, "carp") == 0)
		return;		/* every one is in it */
	for (n = 0; n < i->ngroups; n++)
		if (strcmp(i->groups[n], arg) == 0)
			return;
	if (i->ngroups == CONFIG_GROUPS_MAX - 1)
		import_error(c->im, "more than %d groups, carp is one of them",
		    CONFIG_GROUPS_MAX);
	else
		strlcpy(i->groups[i->ngroups++], arg, sizeof(i->groups[0]));
}

static void
take_nogroup(struct command *c, const char *arg)
{
	struct config_iface	*i = &c->carp->i;
	size_t			 n;

	for (n = 0; n < i->ngroups; n++)
		if (strcmp(i->groups[n], arg) == 0)
			break;
	if (n == i->ngroups) {
		import_note(c->im, "-group", "it is not in that group, or the "
		    "group is carp, in which every one is");
		return;
	}
	for (; n + 1 < i->ngroups; n++)
		memcpy(i->groups[n], i->groups[n + 1], sizeof(i->groups[0]));
	memset(i->groups[--i->ngroups], 0, sizeof(i->groups[0]));
}

static const struct ifword carp_words[] = {
	{ "-alias", 0, take_removal, NULL },
	{ "-carpdev", 0, NULL, "carpd needs one" },
	{ "-carppeer", 0, take_nopeer, NULL },
	{ "-group", 1, take_nogroup, NULL },
	{ "-inet", 0, NULL, "addresses are those that are written" },
	{ "-inet6", 0, NULL, "addresses are those that are written" },
	{ "add", 0, nothing, NULL },
	{ "advbase", 1, take_advbase, NULL },
	{ "advskew", 1, take_advskew, NULL },
	{ "alias", 0, nothing, NULL },
	{ "balancing", 1, take_balancing, NULL },
	{ "broadcast", 1, take_broadcast, NULL },
	{ "carpdev", 1, take_carpdev, NULL },
	{ "carpnodes", 1, take_carpnodes, NULL },
	{ "carppeer", 1, take_carppeer, NULL },
	{ "carpver", 1, NULL, "carpd speaks CARP, not VRRP" },
	{ "create", 0, nothing, NULL },
	{ "delete", 0, take_removal, NULL },
	{ "destroy", 0, NULL, "leave out what creates it" },
	{ "down", 0, NULL, "leave the interface out, or disable carpd" },
	{ "eui64", 0, NULL, "write the whole address" },
	{ "group", 1, take_group, NULL },
	{ "inet", 0, take_inet, NULL },
	{ "inet6", 0, take_inet6, NULL },
	{ "lladdr", 1, NULL, "the MAC address follows from the vhid" },
	{ "mcast", 0, take_nopeer, NULL },
	{ "mcast6", 0, take_nopeer, NULL },
	{ "mtu", 1, NULL, "that of carpdev counts" },
	{ "netmask", 1, take_netmask, NULL },
	{ "pass", 1, take_pass, NULL },
	{ "peer", 1, take_carppeer, NULL },
	{ "peer6", 1, take_carppeer, NULL },
	{ "prefixlen", 1, take_prefixlen, NULL },
	{ "remove", 0, take_removal, NULL },
	{ "state", 1, NULL, "a state is forced on a running carpd, with "
	    "carpctl state" },
	{ "up", 0, nothing, NULL },
	{ "vhid", 1, take_vhid, NULL },
	{ "vrrpinterval", 1, NULL, "carpd speaks CARP, not VRRP" },
	{ "vrrpprio", 1, NULL, "carpd speaks CARP, not VRRP" },
	{ NULL, 0, NULL, NULL }
};

/* pfsync(4) */

static void
take_syncdev(struct command *c, const char *arg)
{
	import_ifname(c->im, "syncdev", arg, c->im->sync.syncdev);
}

static void
take_nosyncdev(struct command *c, const char *arg)
{
	(void)arg;
	c->im->sync.syncdev[0] = '\0';
}

static void
take_syncpeer(struct command *c, const char *arg)
{
	struct ipaddr	 a;
	bool		 has_plen;
	const char	*why;

	if (ipaddr_parse(arg, &a, &has_plen) == -1 || has_plen) {
		import_error(c->im, "syncpeer \"%.50s\" is not an address",
		    arg);
		return;
	}
	c->im->sync.has_peer = false;
	if (strcmp(arg, "224.0.0.240") == 0)
		return;
	if ((why = config_unusable(&a)) != NULL) {
		import_error(c->im, "syncpeer %.50s %s", arg, why);
		return;
	}
	c->im->sync.peer = a;
	c->im->sync.has_peer = true;
}

static void
take_nosyncpeer(struct command *c, const char *arg)
{
	(void)arg;
	c->im->sync.has_peer = false;
}

static void
take_maxupd(struct command *c, const char *arg)
{
	int	 n;

	if ((n = import_number(c->im, "maxupd", arg, 0, 255)) != -1)
		c->im->sync.maxupd = n;
}

static const struct ifword pfsync_words[] = {
	{ "-defer", 0, nothing, NULL },
	{ "-syncdev", 0, take_nosyncdev, NULL },
	{ "-syncif", 0, take_nosyncdev, NULL },
	{ "-syncpeer", 0, take_nosyncpeer, NULL },
	{ "create", 0, nothing, NULL },
	{ "defer", 0, NULL, "it takes a rule of nftables: see defer in "
	    "pfsyncd.conf(5)" },
	{ "destroy", 0, NULL, "leave out what creates it" },
	{ "down", 0, NULL, "leave the interface out, or disable pfsyncd" },
	{ "maxupd", 1, take_maxupd, NULL },
	{ "mtu", 1, NULL, "that of syncdev counts" },
	{ "syncdev", 1, take_syncdev, NULL },
	{ "syncif", 1, take_syncdev, NULL },
	{ "syncpeer", 1, take_syncpeer, NULL },
	{ "up", 0, nothing, NULL },
	{ "version", 1, NULL, "write the dialect of the peers, if they are "
	    "not pfsyncd" },
	{ NULL, 0, NULL, NULL }
};

/* What an interface of the system has, and neither of ours is one. */
static const struct ifword device_words[] = {
	{ "-autoconf", 0, NULL, IMPORT_NOIFACE },
	{ "-autoconfprivacy", 0, NULL, IMPORT_NOIFACE },
	{ "-debug", 0, NULL, IMPORT_NOIFACE },
	{ "-description", 0, NULL, "write a comment" },
	{ "-link0", 0, NULL, IMPORT_NOIFACE },
	{ "-link1", 0, NULL, IMPORT_NOIFACE },
	{ "-link2", 0, NULL, IMPORT_NOIFACE },
	{ "-rdomain", 0, NULL, IMPORT_NOIFACE },
	{ "-rtlabel", 0, NULL, IMPORT_NOIFACE },
	{ "-vnetid", 0, NULL, IMPORT_NOIFACE },
	{ "arp", 0, NULL, IMPORT_NOIFACE },
	{ "autoconf", 0, NULL, IMPORT_NOIFACE },
	{ "debug", 0, NULL, IMPORT_NOIFACE },
	{ "descr", 1, NULL, "write a comment" },
	{ "description", 1, NULL, "write a comment" },
	{ "link0", 0, NULL, IMPORT_NOIFACE },
	{ "link1", 0, NULL, IMPORT_NOIFACE },
	{ "link2", 0, NULL, IMPORT_NOIFACE },
	{ "llprio", 1, NULL, IMPORT_NOIFACE },
	{ "media", 1, NULL, IMPORT_NOIFACE },
	{ "mediaopt", 1, NULL, IMPORT_NOIFACE },
	{ "metric", 1, NULL, IMPORT_NOIFACE },
	{ "name", 1, NULL, IMPORT_NOIFACE },
	{ "polling", 0, NULL, IMPORT_NOIFACE },
	{ "priority", 1, NULL, IMPORT_NOIFACE },
	{ "rdomain", 1, NULL, IMPORT_NOIFACE },
	{ "rtlabel", 1, NULL, IMPORT_NOIFACE },
	{ "vnetid", 1, NULL, IMPORT_NOIFACE },
	{ NULL, 0, NULL, NULL }
};

/* An interface of the system: only its addresses are of interest. */
static const struct ifword own_words[] = {
	{ "-alias", 0, take_removal, NULL },
	{ "broadcast", 1, nothing, NULL },
	{ "delete", 0, take_removal, NULL },
	{ "descr", 1, nothing, NULL },
	{ "description", 1, nothing, NULL },
	{ "dest", 1, nothing, NULL },
	{ "inet", 0, take_inet, NULL },
	{ "inet6", 0, take_inet6, NULL },
	{ "netmask", 1, take_netmask, NULL },
	{ "prefixlen", 1, take_prefixlen, NULL },
	{ NULL, 0, NULL, NULL }
};

static const struct ifword *
find_word(const struct ifword *table, const char *word)
{
	for (; table->word != NULL; table++)
		if (strcmp(table->word, word) == 0)
			return (table);
	return (NULL);
}

/* The word's value, or NULL and a message. */
static const char *
value_of(struct command *c, const struct ifword *t)
{
	if (c->at == c->n) {
		import_error(c->im, "%s needs a value", t->word);
		return (NULL);
	}
	if (c->w[c->at].var) {
		import_error(c->im, "%s has a variable of the shell; write its "
		    "value", t->word);
		c->at++;
		return (NULL);
	}
	return (c->w[c->at++].text);
}

static void
do_word(struct command *c, const struct ifword *t)
{
	const char	*arg = "";

	if (t->nargs > 0 && (arg = value_of(c, t)) == NULL)
		return;
	if (t->take == NULL)
		import_note(c->im, t->word, t->why);
	else
		t->take(c, arg);
}

/* Addresses are at many places; that of the interface is at these. */
static void
take_own(struct command *c)
{
	const char	*before = c->at > 1 ? c->w[c->at - 2].text : "inet";
	struct ipaddr	 a;

	if ((strncmp(before, "inet", 4) == 0 || strcmp(before, "alias") == 0) &&
	    ipaddr_parse(c->w[c->at - 1].text, &a, NULL) == 0)
		take_address(c, c->w[c->at - 1].text);
}

/* false: what follows cannot be read, because nobody knows what this is. */
static bool
next_word(struct command *c, const struct ifword *table)
{
	struct import_word	*w = &c->w[c->at++];
	const struct ifword	*t;

	if ((t = find_word(table, w->text)) != NULL ||
	    (c->own == NULL && (t = find_word(device_words, w->text)) !=
	    NULL)) {
		do_word(c, t);
		return (true);
	}
	if (c->own != NULL) {
		take_own(c);
		return (true);
	}
	if (w->var) {
		import_error(c->im, "\"%.40s\" is a variable of the shell; "
		    "write its value", w->text);
		return (false);
	}
	if (table != pfsync_words && take_address(c, w->text))
		return (true);
	import_error(c->im, "\"%.40s\" is not a word of ifconfig(8) for %s "
	    "interfaces", w->text, table == carp_words ? "carp" : "pfsync");
	return (false);
}

static void
run_words(struct command *c, const struct ifword *table)
{
	while (c->at < c->n && next_word(c, table))
		;
	end_address(c);
	if (c->removal != NULL)
		import_note(c->im, c->removal, "leave out what adds the "
		    "address");
}

/* FreeBSD: `ifconfig em0 vhid 1 ...' is a virtual host of em0. */
static const char *
vhid_of(const struct import_word *w, size_t n)
{
	size_t	 i;

	for (i = 0; i + 1 < n; i++)
		if (strcmp(w[i].text, "vhid") == 0)
			return (w[i + 1].text);
	return (NULL);
}

/* Is there a word in it that only our interfaces have? */
static bool
is_ours(const struct import_word *w, size_t n)
{
	static const char *const words[] = { "advbase", "advskew", "carpdev",
	    "carpnodes", "carppeer", "maxupd", "pass", "syncdev", "syncpeer",
	    "vhid" };
	size_t	 i, k;

	for (i = 0; i < n; i++)
		for (k = 0; k < sizeof(words) / sizeof(words[0]); k++)
			if (strcmp(w[i].text, words[k]) == 0)
				return (true);
	return (false);
}

static bool
is_unit(const char *name, const char *driver)
{
	size_t	 n = strlen(driver);

	return (strncmp(name, driver, n) == 0 && name[n] != '\0' &&
	    name[n + strspn(name + n, "0123456789")] == '\0');
}

static void
on_device(struct command *c, const char *name)
{
	const char	*text;
	char		 ifname[IF_NAMESIZE];
	int		 vhid;

	if (import_ifname(c->im, "ifconfig", name, ifname) == -1)
		return;
	if ((text = vhid_of(c->w, c->n)) != NULL && c->packed) {
		import_error(c->im, "vhid on \"%.40s\", which is no carp "
		    "interface; expected a name such as hostname.carp0", name);
		return;
	}
	if (text == NULL) {
		if ((c->own = import_own(c->im, ifname)) != NULL)
			run_words(c, own_words);
		return;
	}
	if ((vhid = import_number(c->im, "vhid", text, 1, 255)) == -1)
		return;
	c->carp = import_carp_on(c->im, ifname, (uint8_t)vhid);
	if (c->carp == NULL)
		return;
	c->carp->foreign = true;
	run_words(c, carp_words);
}

void
import_interface(struct import *im, const char *name, struct import_word *w,
    size_t n, bool packed)
{
	struct command	 c = { .im = im, .w = w, .n = n, .packed = packed };

	if (is_unit(name, "pfsync")) {
		if (!im->sync.said)
			im->sync.at = im->at;
		im->sync.said = true;
		run_words(&c, pfsync_words);
	} else if (is_unit(name, "carp")) {
		if (!config_is_carp_name(name))
			import_error(im, "\"%.40s\" is too long", name);
		else if ((c.carp = import_carp(im, name)) != NULL)
			run_words(&c, carp_words);
	} else
		on_device(&c, name);
}

/* -g GROUP carpdemote [N] */
static void
group_command(struct import *im, struct import_word *w, size_t n)
{
	int	 by = 1;

	if (n < 2)
		return;		/* a question, not a setting */
	if (strcmp(w[1].text, "carpdemote") != 0 &&
	    strcmp(w[1].text, "-carpdemote") != 0) {
		import_note(im, w[1].text, "groups have a demotion, nothing "
		    "else");
		return;
	}
	if (n > 2 && (by = import_number(im, w[1].text, w[2].text, 0,
	    128)) == -1)
		return;
	import_demote(im, w[0].text, w[1].text[0] == '-' ? -by : by);
}

void
import_ifconfig(struct import *im, struct import_word *w, size_t n)
{
	if (n > 0 && strcmp(w[0].text, "-g") == 0) {
		group_command(im, w + 1, n - 1);
		return;
	}
	while (n > 0 && w->text[0] == '-') {
		w++;
		n--;
	}
	if (n < 2)
		return;		/* a question, or an interface being made */
	if (w[0].var) {
		if (is_ours(w, n))
			import_error(im, "\"%.40s\" is a variable of the "
			    "shell; write the interface", w[0].text);
		return;
	}
	import_interface(im, w[0].text, w + 1, n - 1, false);
}
