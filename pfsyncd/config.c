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
#include <sys/queue.h>
#include <sys/stat.h>

#include <netinet/in.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/lex.h"
#include "../common/log.h"
#include "config.h"
#include "parse.h"

#define MAXUPD_MAX	255
#define REFRESH_MAX	3600
#define MAXSTATES	4000000
#define MAXSTATES_MAX	100000000
#define EVENTBUF_MAX	1073741823	/* half of what an int of the kernel's
					   socket buffer size can be */
#define KEYID_MAX	UINT16_MAX
#define KEY_LEN		sizeof(((struct config *)0)->key)
#define KEY_DIGITS	(2 * KEY_LEN)
#define CARPD_DEFAULT	"/run/carpd.sock"
#define MASKED		"***"	/* what config_print() writes for a key */
#define MSG_MAX		768
#define NEAR		2	/* edits between a word and what was meant */

/* What may be sent today; the others are decoded. */
#define DIALECTS_SENT	(1U << DIALECT_NATIVE | 1U << DIALECT_OPENBSD)

const char *const config_dialect_names[DIALECT_MAX] = {
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

int
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

static void *
must(void *p)
{
	if (p == NULL)
		fatal("configuration");
	return (p);
}

static struct config *
config_new(void)
{
	struct config	*c = must(calloc(1, sizeof(*c)));

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
	    a->defer != b->defer || a->nnosync != b->nnosync ||
	    memcmp(a->nosync, b->nosync, sizeof(a->nosync)) != 0)
		d |= CONFIG_DIFF_LIVE;
	if (a->dialects != b->dialects || a->has_key != b->has_key ||
	    a->keyid != b->keyid ||
	    memcmp(a->key, b->key, sizeof(a->key)) != 0 ||
	    a->eventbuf != b->eventbuf || a->maxstates != b->maxstates)
		d |= CONFIG_DIFF_RESTART;
	if (strcmp(a->carpd, b->carpd) != 0)
		d |= CONFIG_DIFF_CARPD;
	return (d);
}

/* names and addresses */

/* What Linux takes for an interface's name (dev_valid_name()). */
static bool
is_interface_name(const char *s)
{
	size_t	 n;

	if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return (false);
	for (n = 0; s[n] != '\0'; n++)
		if (s[n] == '/' || s[n] == ':' ||
		    isspace((unsigned char)s[n]) ||
		    iscntrl((unsigned char)s[n]))
			return (false);
	return (n > 0 && n < IF_NAMESIZE);
}

static bool
is_loopback(const struct ipaddr *a)
{
	static const uint8_t	 one[16] = { [15] = 1 };

	if (a->af == AF_INET)
		return (a->bytes[0] == 127);
	return (memcmp(a->bytes, one, sizeof(one)) == 0);
}

static bool
is_mapped(const struct ipaddr *a)
{
	static const uint8_t	 prefix[12] = { [10] = 0xff, [11] = 0xff };

	return (a->af == AF_INET6 &&
	    memcmp(a->bytes, prefix, sizeof(prefix)) == 0);
}

/* NULL, or why it can be nobody's address. */
static const char *
bad_peer(const struct ipaddr *a)
{
	if (ipaddr_is_special(a))
		return ("is not the address of a host");
	if (ipaddr_is_multicast(a))
		return ("is a multicast address; leave syncpeer out, "
		    "multicast is what happens without it");
	if (is_loopback(a))
		return ("is a loopback address");
	if (is_mapped(a))
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
has_end(const char *s, size_t size)
{
	return (memchr(s, '\0', size) != NULL);
}

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
		return (has_end(n->ifname, sizeof(n->ifname)) &&
		    is_interface_name(n->ifname));
	}
	return (false);
}

bool
config_ok(const struct config *c)
{
	size_t	 n;

	if (!has_end(c->syncdev, sizeof(c->syncdev)) ||
	    !is_interface_name(c->syncdev))
		return (false);
	if (c->has_peer > 1 || c->defer != 0 || c->has_key > 1)
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
	if (!has_end(c->carpd, sizeof(c->carpd)) ||
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
	    ONCE_DIALECT, ONCE_CARPD, ONCE_KEY, ONCE_REFRESH, ONCE_MAXSTATES,
	    ONCE_EVENTBUF, ONCE_NOSYNC, ONCES };

struct kept {
	SLIST_ENTRY(kept) entry;
	char		*text;
};

struct config_run {
	struct config	*c;
	struct lex	*lex;
	config_msg_cb	 warn;
	void		*arg;
	SLIST_HEAD(kept_head, kept) kept;
	struct config_tok once[ONCES];	/* file NULL: not yet */
	struct config_tok rules[CONFIG_NOSYNC_MAX];	/* where they are */
	int		 quiet;
	bool		 skip;		/* of a statement that was refused */

	/* syntax errors: one a line, none where a key would show */
	struct config_tok bad;
	struct config_tok key_line;
	struct config_tok unexpected;
	const char	*what;
	bool		 pending;

	struct config_tok block;	/* that is open; text NULL: none */
};

const char *
config_keep(struct config_run *r, const char *text)
{
	struct kept	*k = must(calloc(1, sizeof(*k)));

	k->text = must(strdup(text));
	SLIST_INSERT_HEAD(&r->kept, k, entry);
	return (k->text);
}

static void
run_clear(struct config_run *r)
{
	struct kept	*k;

	while ((k = SLIST_FIRST(&r->kept)) != NULL) {
		SLIST_REMOVE_HEAD(&r->kept, entry);
		freezero(k->text, strlen(k->text) + 1);
		free(k);
	}
}

static void __attribute__((format(printf, 3, 4)))
fail(struct config_run *r, const struct config_tok *t, const char *fmt, ...)
{
	char	 buf[MSG_MAX];
	va_list	 ap;

	if (r->quiet > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	lex_error_at(r->lex, t->file, t->line, "%s", buf);
}

static void __attribute__((format(printf, 3, 4)))
warn_at(struct config_run *r, const struct config_tok *t, const char *fmt, ...)
{
	char	 buf[MSG_MAX], line[2 * MSG_MAX];
	va_list	 ap;

	if (r->quiet > 0 || r->warn == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s:%d: %s", t->file, t->line, buf);
	r->warn(line, r->arg);
}

/* "line 3", or "other.conf:3" when that is not the file of t. */
static const char *
where(const struct config_tok *first, const struct config_tok *t, char *buf,
    size_t len)
{
	if (strcmp(first->file, t->file) == 0)
		snprintf(buf, len, "line %d", first->line);
	else
		snprintf(buf, len, "%s:%d", first->file, first->line);
	return (buf);
}

/* Was what said before?  Then say where. */
static bool
once(struct config_run *r, enum once what, const struct config_tok *key)
{
	struct config_tok	*first = &r->once[what];
	char			 buf[MSG_MAX / 2];

	if (first->file != NULL) {
		fail(r, key, "%s is already set at %s; keep one of them",
		    key->text, where(first, key, buf, sizeof(buf)));
		return (false);
	}
	*first = *key;
	return (true);
}

/* words and what was meant by them */

static const struct vocabulary {
	const char	*word;
	enum config_ctx	 ctx;
} vocabulary[] = {
	{ "syncdev", CONFIG_CTX_TOP },
	{ "syncpeer", CONFIG_CTX_TOP },
	{ "maxupd", CONFIG_CTX_TOP },
	{ "defer", CONFIG_CTX_TOP },
	{ "dialect", CONFIG_CTX_TOP },
	{ "carpd", CONFIG_CTX_TOP },
	{ "key", CONFIG_CTX_TOP },
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
#define NVOCABULARY	(sizeof(vocabulary) / sizeof(vocabulary[0]))

static const struct {
	const char	*belongs;
	const char	*possible;
} contexts[] = {
	[CONFIG_CTX_TOP] = { "outside of all braces",
	    "syncdev, syncpeer, maxupd, defer, dialect, carpd, key, refresh, "
	    "maxstates, eventbuf, no-sync { ... }, include or "
	    "NAME = \"VALUE\"" },
	[CONFIG_CTX_NOSYNC] = { "between the braces of no-sync { ... }",
	    "proto, self, from, to, on, mark or }" },
};

/* Habits from ifconfig(8), pf.conf(5) and conntrackd. */
static const struct {
	const char	*word;
	const char	*hint;
} habits[] = {
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

/* Insertions, deletions, replacements from a to b; NEAR + 1 for "more". */
static size_t
distance(const char *a, const char *b)
{
	size_t	 d[32], la = strlen(a), lb = strlen(b), i, j, diag, up, best;

	if (la + NEAR < lb || lb + NEAR < la ||
	    lb >= sizeof(d) / sizeof(d[0]))
		return (NEAR + 1);
	for (j = 0; j <= lb; j++)
		d[j] = j;
	for (i = 1; i <= la; i++) {
		diag = d[0];
		d[0] = i;
		for (j = 1; j <= lb; j++) {
			up = d[j];
			best = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < best)
				best = up + 1;
			if (d[j - 1] + 1 < best)
				best = d[j - 1] + 1;
			d[j] = best;
			diag = up;
		}
	}
	return (d[lb]);
}

/* Is word near enough to cand, and nearer than *best? */
static bool
nearer(const char *word, const char *cand, size_t *best)
{
	size_t	 d = distance(word, cand);

	if (d > NEAR || d >= strlen(cand) || d >= *best)
		return (false);
	*best = d;
	return (true);
}

static const char *
meant(const char *word, enum config_ctx ctx)
{
	const char	*m = NULL;
	size_t		 best = NEAR + 1, n;

	for (n = 0; n < NVOCABULARY; n++)
		if (vocabulary[n].ctx == ctx &&
		    nearer(word, vocabulary[n].word, &best))
			m = vocabulary[n].word;
	return (m);
}

static const char *
habit(const char *word)
{
	size_t	 n;

	for (n = 0; n < sizeof(habits) / sizeof(habits[0]); n++)
		if (strcmp(word, habits[n].word) == 0)
			return (habits[n].hint);
	return (NULL);
}

/* Where a word would be right, or NULL. */
static const char *
belongs(const char *word)
{
	size_t	 n;

	for (n = 0; n < NVOCABULARY; n++)
		if (strcmp(word, vocabulary[n].word) == 0)
			return (contexts[vocabulary[n].ctx].belongs);
	return (NULL);
}

/* syntax errors */

static bool
same_line(const struct config_tok *a, const struct config_tok *b)
{
	return (a->file != NULL && b->file != NULL && a->line == b->line &&
	    strcmp(a->file, b->file) == 0);
}

/* May be a key, or a good part of one, that slipped to another line. */
static bool
is_secret(const struct config_run *r, const struct config_tok *t)
{
	return (same_line(&r->key_line, t) ||
	    strspn(t->text, "0123456789abcdefABCDEF") >= KEY_DIGITS / 4);
}

void
config_bad_line(struct config_run *r, const struct config_tok *t)
{
	r->bad = *t;
}

void
config_key_line(struct config_run *r, const struct config_tok *t)
{
	r->key_line = *t;
}

void
config_quiet(struct config_run *r, bool on)
{
	r->quiet += on ? 1 : -1;
}

/* May this line still be complained about?  Then not again. */
static bool
first_on_line(struct config_run *r, const struct config_tok *t)
{
	if (same_line(&r->bad, t))
		return (false);
	r->bad = *t;
	return (true);
}

static bool
at_end(const struct config_run *r)
{
	return (r->what != NULL && strcmp(r->what, CONFIG_EOF) == 0);
}

void
config_unexpected(struct config_run *r, const struct config_tok *t,
    const char *what)
{
	r->unexpected = *t;
	r->what = what;
	r->pending = at_end(r) || first_on_line(r, t);
}

/* What was found, in words or in quotes. */
static const char *
found(const struct config_run *r, char *buf, size_t len)
{
	const struct config_tok	*t = &r->unexpected;

	if (r->what != NULL)
		return (r->what);
	if (is_secret(r, t))
		return ("another word");
	snprintf(buf, len, "\"%.40s\"", t->text);
	return (buf);
}

/* Is there something to be said of the token that yacc stopped at? */
static bool
take_pending(struct config_run *r)
{
	if (!r->pending || at_end(r))	/* the end: once, by run_end() */
		return (false);
	r->pending = false;
	return (true);
}

void
config_expected(struct config_run *r, const char *hint)
{
	char	 buf[64];

	if (take_pending(r))
		fail(r, &r->unexpected, "%s found, expected %s",
		    found(r, buf, sizeof(buf)), hint);
}

void
config_impossible(struct config_run *r, enum config_ctx ctx)
{
	const struct config_tok	*t = &r->unexpected;
	const char		*place;
	char			 buf[64];

	if (!take_pending(r))
		return;
	if (r->what == NULL && strcmp(t->text, "}") == 0)
		fail(r, t, "a } without a {");
	else if (r->what == NULL && (place = belongs(t->text)) != NULL)
		fail(r, t, "%s belongs %s", t->text, place);
	else
		fail(r, t, "%s found; possible here: %s",
		    found(r, buf, sizeof(buf)), contexts[ctx].possible);
}

void
config_misplaced(struct config_run *r, const struct config_tok *t,
    enum config_ctx ctx)
{
	config_unexpected(r, t, NULL);
	config_impossible(r, ctx);
}

void
config_unknown(struct config_run *r, const struct config_tok *t,
    enum config_ctx ctx)
{
	const char	*m;

	/* yacc stopped behind it, or not at all */
	if (r->pending && same_line(&r->unexpected, t))
		r->pending = false;
	else if (!first_on_line(r, t))
		return;
	if (t->quoted || is_secret(r, t))
		fail(r, t, "a quoted string or another word found; possible "
		    "here: %s", contexts[ctx].possible);
	else if ((m = habit(t->text)) != NULL)
		fail(r, t, "unknown word \"%.40s\"; %s", t->text, m);
	else if ((m = meant(t->text, ctx)) != NULL)
		fail(r, t, "unknown word \"%.40s\"; did you mean %s?",
		    t->text, m);
	else
		fail(r, t, "unknown word \"%.40s\"; possible here: %s",
		    t->text, contexts[ctx].possible);
}

/* values */

static bool
in_range(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, int64_t lo, int64_t hi)
{
	if (val->num >= lo && val->num <= hi)
		return (true);
	fail(r, val, "%s %.40s is out of range, %jd to %jd", key->text,
	    val->text, (intmax_t)lo, (intmax_t)hi);
	return (false);
}

static bool
read_interface(struct config_run *r, const struct config_tok *val,
    char name[IF_NAMESIZE])
{
	if (!is_interface_name(val->text)) {
		fail(r, val, "\"%.40s\" cannot be an interface of this "
		    "system: 1 to 15 characters without / : or blanks",
		    val->text);
		return (false);
	}
	strlcpy(name, val->text, IF_NAMESIZE);
	return (true);
}

/* One of n names, or -1. */
static int
find_name(const char *const *names, size_t n, const char *word)
{
	size_t	 i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], word) == 0)
			return ((int)i);
	return (-1);
}

/* Which of n names may have been meant, or NULL. */
static const char *
near_name(const char *const *names, size_t n, const char *word)
{
	const char	*m = NULL;
	size_t		 best = NEAR + 1, i;

	for (i = 0; i < n; i++)
		if (nearer(word, names[i], &best))
			m = names[i];
	return (m);
}

/* statements */

void
config_syncdev(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (once(r, ONCE_SYNCDEV, key) && val != NULL)
		read_interface(r, val, r->c->syncdev);
}

void
config_syncpeer(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct ipaddr	 a;
	const char	*why;
	bool		 has_plen;

	if (!once(r, ONCE_SYNCPEER, key))
		return;
	if (ipaddr_parse(val->text, &a, &has_plen) == -1)
		fail(r, val, "\"%.50s\" is not an address; write that of the "
		    "other firewall on syncdev, as in syncpeer 192.168.2.201",
		    val->text);
	else if (has_plen)
		fail(r, val, "syncpeer %s has a prefix length; write the "
		    "address alone", val->text);
	else if ((why = bad_peer(&a)) != NULL)
		fail(r, val, "syncpeer %s %s", val->text, why);
	else {
		r->c->syncpeer = a;
		r->c->has_peer = 1;
	}
}

void
config_maxupd(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (once(r, ONCE_MAXUPD, key) && in_range(r, key, val, 0, MAXUPD_MAX))
		r->c->maxupd = (uint32_t)val->num;
}

void
config_defer(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (!once(r, ONCE_DEFER, key))
		return;
	if (strcmp(val->text, "yes") == 0)
		fail(r, val, "defer is not available on this system; write "
		    "defer no");
	else if (strcmp(val->text, "no") != 0)
		fail(r, val, "unknown defer \"%.40s\"; expected no",
		    val->text);
}

void
config_dialect(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, bool first)
{
	const char	*m;
	int		 d;

	if (first) {
		r->skip = !once(r, ONCE_DIALECT, key);
		if (!r->skip)
			r->c->dialects = 0;
	}
	if (r->skip)
		return;
	d = find_name(config_dialect_names, DIALECT_MAX, val->text);
	if (d == -1) {
		m = near_name(config_dialect_names, DIALECT_MAX, val->text);
		if (m != NULL)
			fail(r, val, "unknown dialect \"%.40s\"; did you mean "
			    "%s?", val->text, m);
		else
			fail(r, val, "unknown dialect \"%.40s\"; expected "
			    "native or openbsd", val->text);
	} else if ((DIALECTS_SENT & 1U << d) == 0)
		fail(r, val, "dialect %s is decoded, but not sent yet: list "
		    "native or openbsd", val->text);
	else if (r->c->dialects & 1U << d)
		fail(r, val, "dialect %s is listed twice; keep one of them",
		    val->text);
	else
		r->c->dialects |= 1U << d;
}

void
config_carpd(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	struct config	*c = r->c;
	size_t		 n;

	if (!once(r, ONCE_CARPD, key))
		return;
	if (strcmp(val->text, "no") == 0) {
		memset(c->carpd, 0, sizeof(c->carpd));
		return;
	}
	for (n = 0; val->text[n] != '\0'; n++)
		if (iscntrl((unsigned char)val->text[n])) {
			fail(r, val, "the path of carpd holds a control "
			    "character");
			return;
		}
	if (val->text[0] != '/')
		fail(r, val, "\"%.40s\" is not an absolute path; write carpd "
		    "\"" CARPD_DEFAULT "\" or carpd no", val->text);
	else if (n >= sizeof(c->carpd))
		fail(r, val, "the path of carpd has %zu characters, the most "
		    "is %zu", n, sizeof(c->carpd) - 1);
	else {
		memset(c->carpd, 0, sizeof(c->carpd));
		memcpy(c->carpd, val->text, n);
	}
}

void
config_refresh(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (once(r, ONCE_REFRESH, key) &&
	    in_range(r, key, val, 1, REFRESH_MAX))
		r->c->refresh = (uint32_t)val->num;
}

void
config_maxstates(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (once(r, ONCE_MAXSTATES, key) &&
	    in_range(r, key, val, 1, MAXSTATES_MAX))
		r->c->maxstates = (uint32_t)val->num;
}

void
config_eventbuf(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val)
{
	if (once(r, ONCE_EVENTBUF, key) &&
	    in_range(r, key, val, 0, EVENTBUF_MAX))
		r->c->eventbuf = (uint32_t)val->num;
}

/* the key */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* len bytes at s, from the file or from a file of their own. */
static void
set_key(struct config_run *r, const struct config_tok *at, const char *s,
    size_t len)
{
	struct config	*c = r->c;
	size_t		 n;

	for (n = 0; n < len; n++)
		if (hex_digit(s[n]) == -1) {
			fail(r, at, "the key holds something else than "
			    "hexadecimal digits (character %zu)", n + 1);
			return;
		}
	if (len != KEY_DIGITS) {
		fail(r, at, "the key has %zu digits, it must have %zu; "
		    "openssl rand -hex %zu makes one", len, KEY_DIGITS,
		    KEY_LEN);
		return;
	}
	for (n = 0; n < KEY_LEN; n++)
		c->key[n] = (uint8_t)(hex_digit(s[2 * n]) << 4 |
		    hex_digit(s[2 * n + 1]));
	c->has_key = 1;
}

static void
key_text(struct config_run *r, const struct config_tok *val)
{
	if (strcmp(val->text, MASKED) == 0) {
		warn_at(r, val, "key \"%s\" is what pfsyncd -nn prints "
		    "instead of a key; write the real one, no other node has "
		    "this", MASKED);
		/* Not one that everybody knows. */
		hmac_random(r->c->key, sizeof(r->c->key));
		r->c->has_key = 1;
		return;
	}
	if (val->exposed != NULL)
		fail(r, val, "a key in a file that is not secret: %s",
		    val->exposed);
	set_key(r, val, val->text, strlen(val->text));
}

/* Its first bytes, or -1 and why. */
static ssize_t
read_key_file(const char *path, char *buf, size_t size, const char **why)
{
	struct stat	 st;
	ssize_t		 n = -1;
	int		 fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 || fstat(fd, &st) == -1)
		*why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		*why = "not a regular file";
	else if ((*why = lex_secrecy_of(&st)) == NULL &&
	    (n = read(fd, buf, size)) == -1)
		*why = strerror(errno);
	if (fd != -1)
		close(fd);
	return (n);
}

static void
key_file(struct config_run *r, const struct config_tok *val)
{
	/* room to see a line that is too long, and a second one */
	char		 buf[256], *path, *nl;
	const char	*why;
	ssize_t		 n;

	path = lex_beside(val->file, val->text);
	if ((n = read_key_file(path, buf, sizeof(buf), &why)) == -1)
		fail(r, val, "key file %s: %s", path, why);
	else if ((nl = memchr(buf, '\n', (size_t)n)) != NULL &&
	    nl != buf + n - 1)
		fail(r, val, "key file %s has more than one line", path);
	else if (n == sizeof(buf))
		fail(r, val, "key file %s is longer than %zu digits", path,
		    KEY_DIGITS);
	else
		set_key(r, val, buf, (size_t)n - (nl != NULL));
	explicit_bzero(buf, sizeof(buf));
	free(path);
}

void
config_key(struct config_run *r, const struct config_keyhead *head,
    const struct config_tok *id)
{
	const struct config_tok	 name = { .text = "id" };

	if (!once(r, ONCE_KEY, &head->key))
		return;
	if (id != NULL && in_range(r, &name, id, 0, KEYID_MAX))
		r->c->keyid = (uint16_t)id->num;
	if (head->file)
		key_file(r, &head->val);
	else
		key_text(r, &head->val);
}

/* no-sync */

void
config_nosync_begin(struct config_run *r, const struct config_tok *key)
{
	r->block = *key;
	r->skip = !once(r, ONCE_NOSYNC, key);
	if (r->skip) {
		config_quiet(r, true);
		return;
	}
	memset(r->c->nosync, 0, sizeof(r->c->nosync));
	r->c->nnosync = 0;
}

void
config_nosync_end(struct config_run *r)
{
	if (r->skip)
		config_quiet(r, false);
	r->skip = false;
	r->block.text = NULL;
}

static bool
read_proto(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, struct config_nosync *n)
{
	struct config_tok	 num = *val;	/* quoted or not */
	const char		*names[NPROTOS], *m;
	int			 v = config_proto(val->text);
	size_t			 i;

	if (v == -1 && isdigit((unsigned char)val->text[0]) &&
	    val->text[strspn(val->text, "0123456789")] == '\0') {
		num.num = strtoll(val->text, NULL, 10);
		if (!in_range(r, key, &num, 1, 255))
			return (false);
		v = (int)num.num;
	}
	if (v == -1) {
		for (i = 0; i < NPROTOS; i++)
			names[i] = protos[i].name;
		m = near_name(names, NPROTOS, val->text);
		if (m != NULL)
			fail(r, val, "unknown proto \"%.40s\"; did you mean "
			    "%s?", val->text, m);
		else
			fail(r, val, "unknown proto \"%.40s\"; expected tcp, "
			    "udp, icmp, icmp6, carp, pfsync or a number from "
			    "1 to 255", val->text);
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
		fail(r, val, "\"%.50s\" is not an address or prefix; write "
		    "%s 10.0.9.0/24, %s 2001:db8::/32 or the address of a "
		    "host", val->text, key->text, key->text);
		return (false);
	}
	if (!clear_host_bits(&n->addr)) {
		fail(r, val, "%s %s has bits behind its prefix; write %s",
		    key->text, val->text,
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
		fail(r, val, "\"%.40s\" is not a mark; write 0xVALUE or "
		    "0xVALUE/0xMASK, 32 bits each", val->text);
		return (false);
	}
	if (n->mask == 0) {
		fail(r, val, "mark %s has an empty mask, which every flow "
		    "would match", val->text);
		return (false);
	}
	if (n->mark & ~n->mask) {
		fail(r, val, "mark %s has bits outside of its mask and would "
		    "match nothing; write 0x%x/0x%x", val->text,
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
		return (read_interface(r, val, n->ifname));
	}
	return (false);
}

void
config_nosync(struct config_run *r, enum config_nosync_type type,
    const struct config_tok *key, const struct config_tok *val)
{
	struct config		*c = r->c;
	struct config_nosync	 n;
	char			 buf[MSG_MAX / 2];
	size_t			 i;

	memset(&n, 0, sizeof(n));
	n.type = (uint8_t)type;
	if (r->skip || !read_rule(r, key, val, &n))
		return;
	for (i = 0; i < c->nnosync; i++)
		if (memcmp(&c->nosync[i], &n, sizeof(n)) == 0) {
			fail(r, key, "%s%s%.50s is already at %s; keep one of "
			    "them", key->text, key == val ? "" : " ",
			    key == val ? "" : val->text,
			    where(&r->rules[i], key, buf, sizeof(buf)));
			return;
		}
	if (c->nnosync == CONFIG_NOSYNC_MAX) {
		fail(r, key, "more than %d rules in no-sync",
		    CONFIG_NOSYNC_MAX);
		return;
	}
	r->rules[c->nnosync] = *key;
	c->nosync[c->nnosync++] = n;
}

/* the whole */

static void
check_end_of_file(struct config_run *r)
{
	const struct config_tok	*t = &r->unexpected;

	if (!r->pending || !at_end(r))
		return;
	if (r->block.text != NULL)
		lex_error_at(r->lex, t->file, t->line, "the file ends inside "
		    "of no-sync (%s:%d), a } is missing", r->block.file,
		    r->block.line);
	else
		lex_error_at(r->lex, t->file, t->line, "the file ends inside "
		    "of a block, a } is missing");
}

/* yacc stopped somewhere: whatever was said of it, the file is wrong. */
static void
check_syntax(struct config_run *r)
{
	const struct config_tok	*t = &r->unexpected;

	if (t->file != NULL && lex_errors(r->lex) == 0)
		lex_error_at(r->lex, t->file, t->line, "syntax error");
}

/* What is only known at the end. */
static void
run_end(struct config_run *r)
{
	const struct config_tok	*key = &r->once[ONCE_KEY];
	struct config		*c = r->c;

	check_end_of_file(r);
	check_syntax(r);
	if (r->once[ONCE_SYNCDEV].file == NULL)
		lex_error(r->lex, "syncdev is missing; write syncdev "
		    "INTERFACE, the one that the firewalls share for this");
	if (lex_errors(r->lex) > 0)
		return;
	if (c->has_key && (c->dialects & ~(1U << DIALECT_NATIVE)) != 0)
		warn_at(r, key, "with a key only packets with our trailer are "
		    "accepted, and foreign peers send none: they hear us, and "
		    "nothing of theirs is taken");
	if (r->warn != NULL)
		lex_unused(r->lex, r->warn, r->arg);
}

static struct config_run *
run_new(config_msg_cb err, config_msg_cb warn, void *arg)
{
	struct config_run		*r = must(calloc(1, sizeof(*r)));
	const struct lex_keyword	*kw;
	size_t				 n;

	kw = parse_keywords(&n);
	r->lex = lex_new(kw, n, err, arg);
	r->c = config_new();
	r->warn = warn;
	r->arg = arg;
	SLIST_INIT(&r->kept);
	return (r);
}

/* What was built, or NULL if anything was wrong. */
static struct config *
run_finish(struct config_run *r, bool opened)
{
	struct config	*c = r->c;

	if (opened) {
		parse_run(r, r->lex);
		run_end(r);
	}
	if (lex_errors(r->lex) > 0) {
		config_free(c);
		c = NULL;
	}
	run_clear(r);
	lex_free(r->lex);
	free(r);
	return (c);
}

struct config *
config_load(const char *path, char *const *defines, config_msg_cb err,
    config_msg_cb warn, void *arg)
{
	struct config_run	*r = run_new(err, warn, arg);

	for (; defines != NULL && *defines != NULL; defines++)
		if (lex_define(r->lex, *defines) == -1)
			lex_error_at(r->lex, NULL, 0, "-D %s: write -D "
			    "NAME=VALUE, NAME of letters, digits and _ and no "
			    "word of pfsyncd.conf(5)", *defines);
	return (run_finish(r, lex_open(r->lex, path) == 0));
}

struct config *
config_load_mem(const char *name, const char *text, size_t len,
    config_msg_cb err, config_msg_cb warn, void *arg)
{
	struct config_run	*r = run_new(err, warn, arg);

	return (run_finish(r, lex_open_mem(r->lex, name, text, len) == 0));
}
