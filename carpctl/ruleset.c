/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: a packet's way through the chains of a hook, with three answers to
 * every question.  libnftables-json(5).
 */
#include <sys/socket.h>

#include <stdio.h>
#include <string.h>

#include "ruleset.h"

#define DEPTH_MAX	16	/* of jumps, as the kernel has it */

enum answer { NO, MAYBE, YES };

/* What becomes of the packet in a chain. */
enum verdict {
	GO_ON,			/* its end was reached */
	ACCEPTED,
	DROPPED,
	MASQUERADED,
	UNSURE			/* some rule may have ended it */
};

struct walk {
	const json_t			*rules;
	const struct ruleset_packet	*p;
	const char			*family, *table;
	bool				 nat;	/* look for masquerade */
	int				 depth;
};

/* ---- values ---- */

static const char *
str(const json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	return (s != NULL ? s : "");
}

static bool
is(const char *a, const char *b)
{
	return (strcmp(a, b) == 0);
}

static enum answer
yes(bool b)
{
	return (b ? YES : NO);
}

static enum answer
not(enum answer a)
{
	return (a == MAYBE ? MAYBE : yes(a == NO));
}

/* The names of /etc/protocols, which differ, for the two that matter. */
static int
proto_number(const char *name)
{
	if (is(name, "vrrp") || is(name, "carp"))
		return (112);
	return (is(name, "pfsync") ? 240 : -1);
}

static enum answer
is_proto(const struct ruleset_packet *p, const json_t *v)
{
	if (p->proto == -1)
		return (MAYBE);
	if (json_is_integer(v))
		return (yes(json_integer_value(v) == p->proto));
	if (!json_is_string(v))
		return (MAYBE);
	return (yes(proto_number(json_string_value(v)) == p->proto));
}

/* "eth0", "eth*" */
static enum answer
is_ifname(const char *name, const json_t *v)
{
	const char	*s = json_string_value(v);
	size_t		 len;

	if (name == NULL || s == NULL)
		return (MAYBE);
	len = strlen(s);
	if (len > 0 && s[len - 1] == '*')
		return (yes(strncmp(name, s, len - 1) == 0));
	return (yes(is(name, s)));
}

/* "192.0.2.1", {"prefix": {"addr": "192.0.2.0", "len": 24}} */
static enum answer
is_addr(const struct ipaddr *a, const json_t *v)
{
	const json_t	*prefix = json_object_get(v, "prefix");
	struct ipaddr	 net;
	const char	*s;

	s = prefix != NULL ? str(prefix, "addr") : json_string_value(v);
	if (a->af == 0 || s == NULL || ipaddr_parse(s, &net, NULL) == -1)
		return (MAYBE);
	if (prefix != NULL)
		net.plen = (uint8_t)json_integer_value(
		    json_object_get(prefix, "len"));
	return (yes(net.af == a->af && ipaddr_within(a, &net)));
}

static enum answer
is_word(const char *word, const json_t *v)
{
	return (json_is_string(v) ? yes(is(json_string_value(v), word)) :
	    MAYBE);
}

/* ---- the left side of a match ---- */

enum field { F_UNKNOWN, F_NEVER, F_PROTO, F_IN, F_OUT, F_SRC, F_DST, F_FAMILY };

static enum field
meta_field(const char *key)
{
	if (is(key, "l4proto"))
		return (F_PROTO);
	if (is(key, "iifname") || is(key, "iif"))
		return (F_IN);
	if (is(key, "oifname") || is(key, "oif"))
		return (F_OUT);
	if (is(key, "nfproto"))
		return (F_FAMILY);
	return (F_UNKNOWN);
}

/* A match on another protocol's header never fits, whatever is asked. */
static enum field
payload_field(const struct walk *w, const char *proto, const char *field)
{
	static const char *const	 others[] = { "tcp", "udp", "icmp",
		"icmpv6", "sctp", "dccp", "udplite", "igmp", "esp", "ah" };
	size_t				 i;

	if (is(proto, "ip") || is(proto, "ip6")) {
		if (is(proto, "ip") != (w->p->af == AF_INET))
			return (F_NEVER);
		if (is(field, "protocol") || is(field, "nexthdr"))
			return (F_PROTO);
		if (is(field, "saddr"))
			return (F_SRC);
		return (is(field, "daddr") ? F_DST : F_UNKNOWN);
	}
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (is(proto, others[i]))
			return (w->p->proto == -1 ? F_UNKNOWN : F_NEVER);
	return (F_UNKNOWN);
}

static enum field
field_of(const struct walk *w, const json_t *left)
{
	const json_t	*meta = json_object_get(left, "meta");
	const json_t	*payload = json_object_get(left, "payload");

	if (meta != NULL)
		return (meta_field(str(meta, "key")));
	if (payload != NULL)
		return (payload_field(w, str(payload, "protocol"),
		    str(payload, "field")));
	return (F_UNKNOWN);
}

static enum answer
has_value(const struct walk *w, enum field f, const json_t *v)
{
	const json_t	*range = json_object_get(v, "range");

	if (range != NULL && f == F_PROTO && w->p->proto != -1)
		return (yes(w->p->proto >= json_integer_value(
		    json_array_get(range, 0)) && w->p->proto <=
		    json_integer_value(json_array_get(range, 1))));
	switch (f) {
	case F_PROTO:
		return (is_proto(w->p, v));
	case F_IN:
		return (is_ifname(w->p->in, v));
	case F_OUT:
		return (is_ifname(w->p->out, v));
	case F_SRC:
		return (is_addr(&w->p->src, v));
	case F_DST:
		return (is_addr(&w->p->dst, v));
	case F_FAMILY:
		return (is_word(w->p->af == AF_INET ? "ipv4" : "ipv6", v));
	case F_UNKNOWN:
	case F_NEVER:
		break;
	}
	return (MAYBE);
}

/* One value, or an anonymous set of them; "@name" is a set elsewhere. */
static enum answer
has_one_of(const struct walk *w, enum field f, const json_t *right)
{
	const json_t	*set = json_object_get(right, "set"), *v;
	const char	*s = json_string_value(right);
	enum answer	 best = NO, a;
	size_t		 i;

	if (s != NULL && s[0] == '@')
		return (MAYBE);
	if (!json_is_array(set))
		return (has_value(w, f, right));
	json_array_foreach(set, i, v)
		if ((a = has_value(w, f, v)) > best)
			best = a;
	return (best);
}

static enum answer
matches(const struct walk *w, const json_t *match)
{
	enum field	 f = field_of(w, json_object_get(match, "left"));
	const char	*op = str(match, "op");
	enum answer	 a;

	if (f == F_NEVER)
		return (NO);
	if (f == F_UNKNOWN)
		return (MAYBE);
	a = has_one_of(w, f, json_object_get(match, "right"));
	if (is(op, "==") || is(op, "in"))
		return (a);
	return (is(op, "!=") ? not(a) : MAYBE);
}

/* ---- rules and chains ---- */

static enum verdict	 walk_chain(struct walk *, const char *, const char **);

static enum verdict
jump(struct walk *w, const json_t *to, const char **where)
{
	enum verdict	 v;

	if (w->depth == DEPTH_MAX)
		return (UNSURE);
	w->depth++;
	v = walk_chain(w, str(to, "target"), where);
	w->depth--;
	return (v);
}

/*
 * The statements of one rule.  *left: it has ended the walk through its chain
 * without a verdict.
 */
static enum verdict
walk_rule(struct walk *w, const json_t *expr, const char **where, bool *left)
{
	enum answer	 sure = YES, a;
	enum verdict	 v = GO_ON;
	const json_t	*st, *x;
	size_t		 i;

	json_array_foreach(expr, i, st) {
		if ((x = json_object_get(st, "match")) != NULL) {
			if ((a = matches(w, x)) == NO)
				return (GO_ON);
			if (a < sure)
				sure = a;
		} else if (json_object_get(st, "limit") != NULL)
			sure = MAYBE;
		else if (json_object_get(st, "accept") != NULL ||
		    json_object_get(st, "snat") != NULL)
			v = ACCEPTED;
		else if (json_object_get(st, "drop") != NULL ||
		    json_object_get(st, "reject") != NULL)
			v = DROPPED;
		else if (json_object_get(st, "masquerade") != NULL)
			v = MASQUERADED;
		else if ((x = json_object_get(st, "jump")) != NULL)
			v = jump(w, x, where);
		else if ((x = json_object_get(st, "goto")) != NULL) {
			v = jump(w, x, where);
			*left = sure == YES;
		} else if (json_object_get(st, "return") != NULL)
			*left = sure == YES;
		else if (json_object_get(st, "vmap") != NULL ||
		    json_object_get(st, "queue") != NULL ||
		    json_object_get(st, "xt") != NULL)
			v = UNSURE;
	}
	if (v == MASQUERADED || v == GO_ON || sure == YES)
		return (v);
	/* it may go on, and then the rules after this one count */
	return (w->nat || v == DROPPED ? GO_ON : UNSURE);
}

static const json_t *
next_of(const struct walk *w, const char *what, const char *key,
    const char *name, size_t *i)
{
	const json_t	*o;

	for (; (o = json_array_get(w->rules, *i)) != NULL; (*i)++)
		if ((o = json_object_get(o, what)) != NULL &&
		    is(str(o, "family"), w->family) &&
		    is(str(o, "table"), w->table) && is(str(o, key), name)) {
			(*i)++;
			return (o);
		}
	return (NULL);
}

static enum verdict
walk_chain(struct walk *w, const char *chain, const char **where)
{
	const json_t	*rule;
	enum verdict	 v = GO_ON;
	bool		 left = false;
	size_t		 i = 0;

	while (v == GO_ON && !left && (rule = next_of(w, "rule", "chain",
	    chain, &i)) != NULL) {
		v = walk_rule(w, json_object_get(rule, "expr"), where, &left);
		if (v == DROPPED || v == MASQUERADED)
			*where = *where != NULL ? *where : chain;
	}
	return (v);
}

/* Older versions of nft(8) do not say which device a chain is on. */
static bool
concerns(const struct ruleset_packet *p, const json_t *chain)
{
	const char	*family = str(chain, "family"), *dev = str(chain, "dev");

	if (is(family, "netdev"))
		return (dev[0] == '\0' ? p->any_dev : is(dev,
		    is(str(chain, "hook"), "egress") ? p->out : p->in));
	return (is(family, "inet") || is(family, p->af == AF_INET ? "ip" :
	    "ip6"));
}

/* Does any base chain of that hook end the packet's way so? */
static bool
any_chain(const json_t *rules, const char *hook, bool nat, enum verdict want,
    const struct ruleset_packet *p, char *where, size_t len)
{
	const json_t	*list = json_object_get(rules, "nftables"), *o, *c;
	const char	*in;
	enum verdict	 v;
	struct walk	 w;
	size_t		 i;

	json_array_foreach(list, i, o) {
		c = json_object_get(o, "chain");
		if (c == NULL || !is(str(c, "hook"), hook) ||
		    is(str(c, "type"), "nat") != nat || !concerns(p, c))
			continue;
		w = (struct walk){ list, p, str(c, "family"),
		    str(c, "table"), nat, 0 };
		in = NULL;
		v = walk_chain(&w, str(c, "name"), &in);
		if (v == GO_ON && is(str(c, "policy"), "drop"))
			v = DROPPED;
		if (v != want)
			continue;
		snprintf(where, len, "%s %s %s", w.family, w.table,
		    in != NULL ? in : str(c, "name"));
		return (true);
	}
	return (false);
}

bool
ruleset_drops(const json_t *rules, const char *hook,
    const struct ruleset_packet *p, char *where, size_t len)
{
	return (any_chain(rules, hook, false, DROPPED, p, where, len));
}

bool
ruleset_masquerades(const json_t *rules, const struct ruleset_packet *p,
    char *where, size_t len)
{
	return (any_chain(rules, "postrouting", true, MASQUERADED, p, where,
	    len));
}
