/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd.conf(5) as a struct: its lifetime and comparison, and, for the
 * grammar in parse.y, defaults, validation and messages.  Looks at nothing of
 * the system but the files that are named.  Words are those of pfsync(4) and
 * ifconfig(8).
 *
 * A message says what is wrong and what would be right.  Whatever cannot be
 * honoured as written is refused; nothing is cut, rounded or guessed.
 */
#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "parse.h"

#define MAXUPD_MAX	255
#define REFRESH_MAX	3600
#define MAXSTATES	4000000
#define MAXSTATES_MAX	100000000
#define EVENTBUF_MAX	1073741823	/* half of what an int of the kernel's
					   socket buffer size can be */
#define CARPD_DEFAULT	"/run/carpd.sock"

/* What may be sent today; the others are decoded. */
#define DIALECTS_SENT	(1U << DIALECT_NATIVE | 1U << DIALECT_OPENBSD)

const char *const config_dialect_names[DIALECT_MAX + 1] = {
	[DIALECT_NATIVE] = "native",
	[DIALECT_OPENBSD] = "openbsd",
	[DIALECT_FREEBSD_1301] = "freebsd-1301",
	[DIALECT_FREEBSD_1400] = "freebsd-1400",
	[DIALECT_FREEBSD_1500] = "freebsd-1500",
};

static const struct {
	const char	*name;
	uint8_t		 proto;
} protos[] = {
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "icmp", IPPROTO_ICMP },
	{ "icmp6", IPPROTO_ICMPV6 },
	{ "carp", 112 },
	{ "pfsync", 240 },
};
#define NPROTOS		(sizeof(protos) / sizeof(protos[0]))

static int
config_proto(const char *name)
{
	size_t	 n;

	for (n = 0; n < NPROTOS; n++)
		if (strcmp(name, protos[n].name) == 0)
			return (protos[n].proto);
	return (-1);
}

const char *
config_proto_name(uint8_t proto)
{
	size_t	 n;

	for (n = 0; n < NPROTOS; n++)
		if (proto == protos[n].proto)
			return (protos[n].name);
	return (NULL);
}

/* lifetime */

static struct config *
config_new(void)
{
	struct config	*c = config_must(calloc(1, sizeof(*c)));

	c->maxupd = CONFIG_MAXUPD;
	c->refresh = CONFIG_REFRESH;
	c->dialects = 1U << DIALECT_NATIVE;
	c->maxstates = MAXSTATES;
	strlcpy(c->carpd, CARPD_DEFAULT, sizeof(c->carpd));
	c->nnosync = 1;
	c->nosync[0].type = NOSYNC_SELF;
	return (c);
}

void
config_free(struct config *c)
{
	if (c != NULL)
		freezero(c, sizeof(*c));
}

/* comparison */

unsigned int
config_diff(const struct config *a, const struct config *b)
{
	unsigned int	 d = 0;

	if (strcmp(a->syncdev, b->syncdev) != 0 ||
	    a->has_peer != b->has_peer ||
	    memcmp(&a->syncpeer, &b->syncpeer, sizeof(a->syncpeer)) != 0)
		d |= CONFIG_DIFF_SOCKETS;
	if (a->maxupd != b->maxupd || a->refresh != b->refresh ||
	    a->encrypt != b->encrypt || a->nnosync != b->nnosync ||
	    memcmp(a->nosync, b->nosync, sizeof(a->nosync)) != 0 ||
	    memcmp(&a->auth, &b->auth, sizeof(a->auth)) != 0)
		d |= CONFIG_DIFF_LIVE;
	if (a->dialects != b->dialects || a->eventbuf != b->eventbuf ||
	    a->maxstates != b->maxstates || a->defer != b->defer)
		d |= CONFIG_DIFF_RESTART;
	if (strcmp(a->carpd, b->carpd) != 0)
		d |= CONFIG_DIFF_CARPD;
	return (d);
}

/* names and addresses */

/* NULL, or why it can be nobody's address. */
static const char *
bad_peer(const struct ipaddr *a)
{
	if (ipaddr_is_special(a))
		return ("is not the address of a host");
	if (ipaddr_is_multicast(a))
		return ("is a multicast address; leave syncpeer out, "
		    "multicast is what happens without it");
	if (ipaddr_is_loopback(a))
		return ("is a loopback address");
	if (ipaddr_is_mapped(a))
		return ("is an IPv4-mapped address; write the IPv4 address");
	return (NULL);
}

/* The network of a: bits behind the prefix zero.  Were they? */
static bool
clear_host_bits(struct ipaddr *a)
{
	bool	 clean = true;
	uint8_t	 bit;
	size_t	 n;

	for (n = a->plen; n < ipaddr_len(a->af) * 8; n++) {
		bit = (uint8_t)(0x80 >> (n % 8));
		if (a->bytes[n / 8] & bit)
			clean = false;
		a->bytes[n / 8] &= (uint8_t)~bit;
	}
	return (clean);
}

/* a message from the parent */

static bool
addr_ok(const struct ipaddr *a)
{
	static const uint8_t	 zero[12];

	if (a->af != AF_INET && a->af != AF_INET6)
		return (false);
	if (a->plen > ipaddr_len(a->af) * 8)
		return (false);
	return (a->af == AF_INET6 ||
	    memcmp(a->bytes + 4, zero, sizeof(zero)) == 0);
}

static bool
nosync_ok(const struct config_nosync *n)
{
	struct ipaddr	 a;

	switch (n->type) {
	case NOSYNC_PROTO:
		return (n->proto != 0);
	case NOSYNC_SELF:
		return (true);
	case NOSYNC_FROM:
	case NOSYNC_TO:
		a = n->addr;
		return (addr_ok(&a) && clear_host_bits(&a));
	case NOSYNC_MARK:
		return (n->mask != 0 && (n->mark & ~n->mask) == 0);
	case NOSYNC_ON:
		return (config_has_end(n->ifname, sizeof(n->ifname)) &&
		    config_ifname_ok(n->ifname));
	}
	return (false);
}

bool
config_ok(const struct config *c)
{
	size_t	 n;

	if (!config_has_end(c->syncdev, sizeof(c->syncdev)) ||
	    !config_ifname_ok(c->syncdev))
		return (false);
	if (c->has_peer > 1 || c->defer > 1 || c->encrypt > 1 ||
	    !auth_conf_ok(&c->auth) ||
	    (c->encrypt && c->auth.policy == AUTH_OFF))
		return (false);
	if (c->has_peer && (!addr_ok(&c->syncpeer) ||
	    c->syncpeer.plen != ipaddr_len(c->syncpeer.af) * 8 ||
	    bad_peer(&c->syncpeer) != NULL))
		return (false);
	if (c->maxupd > MAXUPD_MAX || c->refresh == 0 ||
	    c->refresh > REFRESH_MAX || c->maxstates == 0 ||
	    c->maxstates > MAXSTATES_MAX || c->eventbuf > EVENTBUF_MAX)
		return (false);
	if (c->dialects == 0 || (c->dialects & ~DIALECTS_SENT) != 0)
		return (false);
	if (!config_has_end(c->carpd, sizeof(c->carpd)) ||
	    (c->carpd[0] != '\0' && c->carpd[0] != '/'))
		return (false);
	if (c->nnosync > CONFIG_NOSYNC_MAX)
		return (false);
	for (n = 0; n < c->nnosync; n++)
		if (!nosync_ok(&c->nosync[n]))
			return (false);
	return (true);
}

/* a run of the parser */

/* Statements that may be written once. */
enum once { ONCE_SYNCDEV, ONCE_SYNCPEER, ONCE_MAXUPD, ONCE_DEFER,
	    ONCE_DIALECT, ONCE_CARPD, ONCE_AUTH, ONCE_ENCRYPT,
	    ONCE_REFRESH, ONCE_MAXSTATES, ONCE_EVENTBUF, ONCE_NOSYNC, ONCES };

/* What is noted during a run. */
struct config_own {
	struct config_tok rules[CONFIG_NOSYNC_MAX];	/* where they are */
	bool		 skip;		/* of a statement that was refused */
	struct authconf	 auth;
};

/* words and what was meant by them */

static const struct config_word words[] = {
	{ "syncdev", CONFIG_CTX_TOP },
	{ "syncpeer", CONFIG_CTX_TOP },
	{ "maxupd", CONFIG_CTX_TOP },
	{ "defer", CONFIG_CTX_TOP },
	{ "dialect", CONFIG_CTX_TOP },
	{ "carpd", CONFIG_CTX_TOP },
	{ "auth", CONFIG_CTX_TOP },
	{ "key", CONFIG_CTX_TOP },
	{ "encrypt", CONFIG_CTX_TOP },
	{ "refresh", CONFIG_CTX_TOP },
	{ "maxstates", CONFIG_CTX_TOP },
	{ "eventbuf", CONFIG_CTX_TOP },
	{ "no-sync", CONFIG_CTX_TOP },
	{ "include", CONFIG_CTX_TOP },
	{ "proto", CONFIG_CTX_NOSYNC },
	{ "self", CONFIG_CTX_NOSYNC },
	{ "from", CONFIG_CTX_NOSYNC },
	{ "to", CONFIG_CTX_NOSYNC },
	{ "on", CONFIG_CTX_NOSYNC },
	{ "mark", CONFIG_CTX_NOSYNC },
};

static const struct config_place places[] = {
	[CONFIG_CTX_TOP] = { "outside of all braces",
	    "syncdev, syncpeer, maxupd, defer, dialect, carpd, auth, key, "
	    "encrypt, refresh, maxstates, eventbuf, no-sync { ... }, include or "
	    "NAME = \"VALUE\"" },
	[CONFIG_CTX_NOSYNC] = { "between the braces of no-sync { ... }",
	    "proto, self, from, to, on, mark or }" },
};

/* Habits from ifconfig(8), pf.conf(5) and conntrackd. */
static const struct config_habit habits[] = {
	{ "-defer", "write defer no" },
	{ "-syncdev", "write syncdev INTERFACE, or stop pfsyncd" },
	{ "-syncpeer", "leave syncpeer out for multicast" },
	{ "dst", "write to ADDRESS/LENGTH" },
	{ "group", "the group is always 224.0.0.240; write syncpeer ADDRESS "
	    "for unicast" },
	{ "interface", "write syncdev INTERFACE, or on INTERFACE between the "
	    "braces of no-sync { ... }" },
	{ "multicast", "leave syncpeer out for multicast" },
	{ "pass", "write key \"64 HEX DIGITS\" or key file \"PATH\"" },
	{ "password", "write key \"64 HEX DIGITS\" or key file \"PATH\"" },
	{ "peer", "write syncpeer ADDRESS" },
	{ "src", "write from ADDRESS/LENGTH" },
	{ "up", "pfsyncd is up while it runs" },
};

/* syntax errors */

void
config_unknown(struct config_run *r, const struct config_tok *t,
    enum config_ctx ctx)
{
	/* yacc stopped behind it, or not at all */
	if (!config_stopped_on_line(r, t) && !config_first_on_line(r, t))
		return;
	if (t->quoted || config_is_secret(r, t))
		config_fail(r, t, "a quoted string or another word found; "
		    "possible here: %s", places[ctx].possible);
	else
		config_unknown_word(r, t, ctx);
}

/* statements */

void
config_syncdev(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_SYNCDEV, key) && val != NULL)
		config_ifname(r, val, r->c->syncdev);
}

void
config_syncpeer(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct ipaddr	 a;
	const char	*why;
	bool		 has_plen;

	if (!config_once(r, ONCE_SYNCPEER, key))
		return;
	if (ipaddr_parse(val->text, &a, &has_plen) == -1)
		config_fail(r, val, "\"%.50s\" is not an address; write that "
		    "of the other firewall on syncdev, as in syncpeer "
		    "192.168.2.201", val->text);
	else if (has_plen)
		config_fail(r, val, "syncpeer %s has a prefix length; write "
		    "the address alone", val->text);
	else if ((why = bad_peer(&a)) != NULL)
		config_fail(r, val, "syncpeer %s %s", val->text, why);
	else {
		r->c->syncpeer = a;
		r->c->has_peer = 1;
	}
}

void
config_maxupd(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_MAXUPD, key) &&
	    config_in_range(r, key, val, 0, MAXUPD_MAX))
		r->c->maxupd = (uint32_t)val->num;
}

void
config_defer(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (!config_once(r, ONCE_DEFER, key))
		return;
	if (strcmp(val->text, "yes") == 0)
		r->c->defer = 1;
	else if (strcmp(val->text, "no") != 0)
		config_fail(r, val, "unknown defer \"%.40s\"; expected yes "
		    "or no", val->text);
}

void
config_dialect(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, bool first)
{
	int	 d;

	if (first) {
		r->own->skip = !config_once(r, ONCE_DIALECT, key);
		if (!r->own->skip)
			r->c->dialects = 0;
	}
	if (r->own->skip)
		return;
	d = config_choose(r, key, val, config_dialect_names,
	    "native or openbsd");
	if (d == -1)
		return;
	if ((DIALECTS_SENT & 1U << d) == 0)
		config_fail(r, val, "dialect %s is decoded, but not sent yet: "
		    "list native or openbsd", val->text);
	else if (r->c->dialects & 1U << d)
		config_fail(r, val, "dialect %s is listed twice; keep one of "
		    "them", val->text);
	else
		r->c->dialects |= 1U << d;
}

void
config_carpd(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct config	*c = r->c;
	size_t		 n;

	if (!config_once(r, ONCE_CARPD, key))
		return;
	if (strcmp(val->text, "no") == 0) {
		memset(c->carpd, 0, sizeof(c->carpd));
		return;
	}
	for (n = 0; val->text[n] != '\0'; n++)
		if (iscntrl((unsigned char)val->text[n])) {
			config_fail(r, val, "the path of carpd holds a control "
			    "character");
			return;
		}
	if (val->text[0] != '/')
		config_fail(r, val, "\"%.40s\" is not an absolute path; "
		    "write carpd \"" CARPD_DEFAULT "\" or carpd no",
		    val->text);
	else if (n >= sizeof(c->carpd))
		config_fail(r, val, "the path of carpd has %zu characters, the "
		    "most is %zu", n, sizeof(c->carpd) - 1);
	else {
		memset(c->carpd, 0, sizeof(c->carpd));
		memcpy(c->carpd, val->text, n);
	}
}

void
config_refresh(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_REFRESH, key) &&
	    config_in_range(r, key, val, 1, REFRESH_MAX))
		r->c->refresh = (uint32_t)val->num;
}

void
config_maxstates(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_MAXSTATES, key) &&
	    config_in_range(r, key, val, 1, MAXSTATES_MAX))
		r->c->maxstates = (uint32_t)val->num;
}

void
config_eventbuf(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (config_once(r, ONCE_EVENTBUF, key) &&
	    config_in_range(r, key, val, 0, EVENTBUF_MAX))
		r->c->eventbuf = (uint32_t)val->num;
}

/* who may speak */

void
config_auth(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	authconf_policy(r, &r->own->auth, &r->c->auth, ONCE_AUTH, key, val);
}

void
config_encrypt(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	static const char *const no_yes[] = { "no", "yes", NULL };
	int	 v;

	if (config_once(r, ONCE_ENCRYPT, key) &&
	    (v = config_choose(r, key, val, no_yes, NULL)) != -1)
		r->c->encrypt = (uint8_t)v;
}

void
config_key(struct config_run *r, const struct authconf_key *k,
    const struct config_tok *id, const struct config_tok *active)
{
	authconf_key(r, &r->own->auth, &r->c->auth, k, id, active, 0);
}

/* no-sync */

void
config_nosync_begin(struct config_run *r, const struct config_tok *key)
{
	r->name = *key;
	r->own->skip = !config_once(r, ONCE_NOSYNC, key);
	if (r->own->skip) {
		config_quiet(r, true);
		return;
	}
	memset(r->c->nosync, 0, sizeof(r->c->nosync));
	r->c->nnosync = 0;
}

void
config_nosync_end(struct config_run *r)
{
	if (r->own->skip)
		config_quiet(r, false);
	r->own->skip = false;
	r->name.text = NULL;
}

static bool
read_proto(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, struct config_nosync *n)
{
	struct config_tok	 num = *val;	/* quoted or not */
	const char		*names[NPROTOS + 1] = { NULL };
	int			 v = config_proto(val->text);
	size_t			 i;

	if (v == -1 && isdigit((unsigned char)val->text[0]) &&
	    val->text[strspn(val->text, "0123456789")] == '\0') {
		num.num = strtoll(val->text, NULL, 10);
		if (!config_in_range(r, key, &num, 1, 255))
			return (false);
		v = (int)num.num;
	}
	if (v == -1) {
		for (i = 0; i < NPROTOS; i++)
			names[i] = protos[i].name;
		config_choose(r, key, val, names, "tcp, udp, icmp, icmp6, "
		    "carp, pfsync or a number from 1 to 255");
		return (false);
	}
	n->proto = (uint8_t)v;
	return (true);
}

static bool
read_prefix(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, struct config_nosync *n)
{
	char	 buf[IPADDR_STRLEN];

	if (ipaddr_parse(val->text, &n->addr, NULL) == -1) {
		config_fail(r, val, "\"%.50s\" is not an address or prefix; "
		    "write %s 10.0.9.0/24, %s 2001:db8::/32 or the address of "
		    "a host", val->text, key->text, key->text);
		return (false);
	}
	if (!clear_host_bits(&n->addr)) {
		config_fail(r, val, "%s %s has bits behind its prefix; write "
		    "%s", key->text, val->text,
		    ipaddr_print_prefix(&n->addr, buf, sizeof(buf)));
		return (false);
	}
	return (true);
}

/* Decimal, or 0x and hexadecimal; the end in *end, NULL when it is neither. */
static uint32_t
read_u32(const char *s, char **end)
{
	bool			 hex = s[0] == '0' && (s[1] | 0x20) == 'x';
	const char		*digits = hex ? s + 2 : s;
	unsigned long long	 v;

	*end = NULL;
	if (hex ? !isxdigit((unsigned char)*digits) :
	    !isdigit((unsigned char)*digits))
		return (0);
	/* 010 means ten to some and eight to others */
	if (!hex && digits[0] == '0' && isdigit((unsigned char)digits[1]))
		return (0);
	errno = 0;
	v = strtoull(digits, end, hex ? 16 : 10);
	if (errno != 0 || v > UINT32_MAX)
		*end = NULL;
	return ((uint32_t)v);
}

static bool
read_mark(struct config_run *r, const struct config_tok *val,
    struct config_nosync *n)
{
	char	*end;

	n->mark = read_u32(val->text, &end);
	n->mask = UINT32_MAX;
	if (end != NULL && *end == '/')
		n->mask = read_u32(end + 1, &end);
	if (end == NULL || *end != '\0') {
		config_fail(r, val, "\"%.40s\" is not a mark; write 0xVALUE or "
		    "0xVALUE/0xMASK, 32 bits each", val->text);
		return (false);
	}
	if (n->mask == 0) {
		config_fail(r, val, "mark %s has an empty mask, which every "
		    "flow would match", val->text);
		return (false);
	}
	if (n->mark & ~n->mask) {
		config_fail(r, val, "mark %s has bits outside of its mask and "
		    "would match nothing; write 0x%x/0x%x", val->text,
		    n->mark & n->mask, n->mask);
		return (false);
	}
	return (true);
}

static bool
read_rule(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, struct config_nosync *n)
{
	switch ((enum config_nosync_type)n->type) {
	case NOSYNC_PROTO:
		return (read_proto(r, key, val, n));
	case NOSYNC_SELF:
		return (true);
	case NOSYNC_FROM:
	case NOSYNC_TO:
		return (read_prefix(r, key, val, n));
	case NOSYNC_MARK:
		return (read_mark(r, val, n));
	case NOSYNC_ON:
		return (config_ifname(r, val, n->ifname));
	}
	return (false);
}

void
config_nosync(struct config_run *r, enum config_nosync_type type,
    const struct config_tok *key, const struct config_tok *val)
{
	struct config		*c = r->c;
	struct config_nosync	 n;
	char			 buf[CONFIG_WHERE_MAX];
	size_t			 i;

	memset(&n, 0, sizeof(n));
	n.type = (uint8_t)type;
	if (r->own->skip || !read_rule(r, key, val, &n))
		return;
	for (i = 0; i < c->nnosync; i++)
		if (memcmp(&c->nosync[i], &n, sizeof(n)) == 0) {
			config_fail(r, key, "%s%s%.50s is already at %s; keep "
			    "one of them", key->text, key == val ? "" : " ",
			    key == val ? "" : val->text,
			    config_where(&r->own->rules[i], key, buf));
			return;
		}
	if (c->nnosync == CONFIG_NOSYNC_MAX) {
		config_fail(r, key, "more than %d rules in no-sync",
		    CONFIG_NOSYNC_MAX);
		return;
	}
	r->own->rules[c->nnosync] = *key;
	c->nosync[c->nnosync++] = n;
}

/* the whole */

static void
check_encrypt(struct config_run *r)
{
	const struct config_tok	*at = &r->once[ONCE_ENCRYPT];

	if (!r->c->encrypt)
		return;
	if (r->c->auth.policy == AUTH_OFF)
		config_fail(r, at, "encrypt yes needs a key that is used; "
		    "write key file \"PATH\" id N and auth strict");
	else if ((r->c->dialects & 1U << DIALECT_NATIVE) == 0)
		config_warn(r, at, "nothing is encrypted: only the dialect "
		    "native is");
	else if ((r->c->dialects & ~(1U << DIALECT_NATIVE)) != 0)
		config_warn(r, at, "only the dialect native is encrypted: the "
		    "same states leave readable for the other ones");
}

/* What is only known at the end. */
static void
run_end(struct config_run *r)
{
	struct config	*c = r->c;

	if (r->once[ONCE_SYNCDEV].file == NULL)
		lex_error(r->lex, "syncdev is missing; write syncdev "
		    "INTERFACE, the one that the firewalls share for this");
	if (lex_errors(r->lex) > 0)
		return;
	authconf_end(r, &r->own->auth, &c->auth);
	check_encrypt(r);
	if (c->auth.policy == AUTH_STRICT &&
	    (c->dialects & ~(1U << DIALECT_NATIVE)) != 0)
		config_warn(r, &r->own->auth.at[0], "with auth strict only "
		    "packets with our trailer are accepted, and foreign peers "
		    "send none: they hear us, and nothing of theirs is taken");
}

static const struct config_lang lang = {
	.name = "pfsyncd.conf(5)",
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
	return (config_run_new(&lang, config_new(), own, err, warn, arg));
}

/* What was built, or NULL if anything was wrong. */
static struct config *
run_finish(struct config_run *r, bool right)
{
	struct config	*c = r->c;

	if (!right) {
		config_free(c);
		c = NULL;
	}
	free(r->own);
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
