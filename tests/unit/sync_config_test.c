/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd.conf(5): every pair in tests/config/pfsyncd (NAME.conf with NAME.ok,
 * the printed form, and NAME.warn if there are warnings; NAME.bad with
 * NAME.err), printing that parses to the same, files and their secrecy,
 * differences, hostile structs.  Run from the top of the tree.
 */
#include <sys/stat.h>

#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../pfsyncd/config.h"
#include "files.h"

#define TEXT_MAX	(64 * 1024)
#define SAMPLE		"conf/pfsyncd.conf.sample"
#define PAIRS		"tests/config/pfsyncd"
#define KEY		"00112233445566778899aabbccddeeff" \
			"00112233445566778899AABBCCDDEEFF"

static const uint8_t	 key[32] = {
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
	0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
};

/* What was said, one a line. */
struct said {
	char		 err[TEXT_MAX];
	char		 warn[TEXT_MAX];
};

static struct said	 said;

static void
on_err(const char *line, void *arg)
{
	struct said	*s = arg;

	strlcat(s->err, line, sizeof(s->err));
	strlcat(s->err, "\n", sizeof(s->err));
}

static void
on_warn(const char *line, void *arg)
{
	struct said	*s = arg;

	strlcat(s->warn, line, sizeof(s->warn));
	strlcat(s->warn, "\n", sizeof(s->warn));
}

static struct config *
parse(const char *name, const char *text)
{
	memset(&said, 0, sizeof(said));
	return (config_load_mem(name, text, strlen(text), on_err, on_warn,
	    &said));
}

/* A file with a syncdev and these lines more. */
static struct config *
lines(const char *more)
{
	char	 text[4096];

	ck_assert((size_t)snprintf(text, sizeof(text), "syncdev eth2\n%s\n",
	    more) < sizeof(text));
	return (parse("f", text));
}

static struct config *
good(const char *more)
{
	struct config	*c = lines(more);

	ck_assert_msg(c != NULL, "%s: %s", more, said.err);
	ck_assert_msg(config_ok(c), "%s", more);
	return (c);
}

static char *
slurp(const char *path)
{
	static char	 buf[TEXT_MAX];
	FILE		*f = fopen(path, "r");
	size_t		 n;

	ck_assert_msg(f != NULL, "%s: cannot read (run from the top of the "
	    "tree)", path);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	return (buf);
}

static char *
print(const struct config *c, bool secrets)
{
	char	*text = NULL;
	size_t	 len = 0;
	FILE	*f = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(f);
	config_print(c, secrets, f);
	fclose(f);
	return (text);
}

/* What is printed parses to the same and prints the same. */
static void
assert_round_trip(const struct config *c)
{
	char		*text = print(c, true), *again, *masked;
	struct config	*back = parse("printed", text);

	ck_assert_msg(back != NULL, "%s%s", text, said.err);
	ck_assert_mem_eq(c, back, sizeof(*c));
	ck_assert_uint_eq(config_diff(c, back), 0);
	again = print(back, true);
	ck_assert_str_eq(text, again);
	config_free(back);
	free(again);
	free(text);

	masked = print(c, false);
	back = parse("masked", masked);
	ck_assert_msg(back != NULL, "%s%s", masked, said.err);
	again = print(back, false);
	ck_assert_str_eq(masked, again);
	if (c->auth.nkeys > 0) {
		ck_assert_ptr_nonnull(strstr(masked, "key \"***\" id "));
		ck_assert_ptr_nonnull(strstr(said.warn, "what -nn prints"));
		/* not to be used by mistake: nobody has this key */
		ck_assert_mem_ne(back->auth.keys[0].key, c->auth.keys[0].key,
		    AUTH_KEY_LEN);
	}
	config_free(back);
	free(again);
	free(masked);
}

/* tests/config/pfsyncd */

/* NAME and another suffix: NAME.conf and "ok" make NAME.ok. */
static const char *
sibling(const char *name, const char *suffix)
{
	static char	 buf[512];

	snprintf(buf, sizeof(buf), "%.*s.%s", (int)(strrchr(name, '.') - name),
	    name, suffix);
	return (buf);
}

static void
good_pair(const char *name)
{
	struct config	*c = parse(name, slurp(name));
	char		*text;

	ck_assert_msg(c != NULL, "%s", said.err);
	if (access(sibling(name, "warn"), F_OK) == 0)
		ck_assert_str_eq(said.warn, slurp(sibling(name, "warn")));
	else
		ck_assert_str_eq(said.warn, "");
	/* a masked key stays masked */
	text = print(c, strstr(said.warn, "***") == NULL);
	ck_assert_str_eq(text, slurp(sibling(name, "ok")));
	free(text);
	ck_assert(config_ok(c));
	assert_round_trip(c);
	config_free(c);
}

static void
bad_pair(const char *name)
{
	ck_assert_msg(parse(name, slurp(name)) == NULL, "%s", name);
	ck_assert_str_eq(said.err, slurp(sibling(name, "err")));
}

START_TEST(pairs)
{
	DIR		*d;
	struct dirent	*e;
	const char	*dot;
	char		*top = getcwd(NULL, 0);
	int		 ngood = 0, nbad = 0;

	/* names in messages and includes are relative to that directory */
	ck_assert_ptr_nonnull(top);
	ck_assert_msg(chdir(PAIRS) == 0, "run from the top of the tree");
	ck_assert_ptr_nonnull(d = opendir("."));
	while ((e = readdir(d)) != NULL) {
		if ((dot = strrchr(e->d_name, '.')) == NULL)
			continue;
		if (strcmp(dot, ".conf") == 0) {
			good_pair(e->d_name);
			ngood++;
		} else if (strcmp(dot, ".bad") == 0) {
			bad_pair(e->d_name);
			nbad++;
		}
	}
	closedir(d);
	ck_assert_int_eq(chdir(top), 0);
	free(top);
	ck_assert_int_ge(ngood, 9);
	ck_assert_int_ge(nbad, 15);
}
END_TEST

/* The sample works as it is, and has the rules of nftables that it needs. */
START_TEST(sample)
{
	static const char *const	 needed[] = {
		"ip protocol 240 accept", "ip protocol { 112, 240 } notrack",
		"ct state invalid drop", "snat to", "masquerade",
		"nf_conntrack_tcp_loose"
	};
	struct config			*c;
	const char			*text = slurp(SAMPLE);
	size_t				 i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		ck_assert_msg(strstr(text, needed[i]) != NULL, "%s",
		    needed[i]);
	c = parse(SAMPLE, text);
	ck_assert_msg(c != NULL, "%s", said.err);
	ck_assert_str_eq(said.warn, "");
	ck_assert_str_eq(c->syncdev, "eth2");
	ck_assert_uint_eq(c->has_peer, 0);
	ck_assert_uint_eq(c->dialects, 1U << DIALECT_NATIVE);
	ck_assert_str_eq(c->carpd, "/run/carpd.sock");
	ck_assert(config_ok(c));
	assert_round_trip(c);
	config_free(c);
}
END_TEST

START_TEST(defaults)
{
	struct config	*c = good("");

	ck_assert_str_eq(c->syncdev, "eth2");
	ck_assert_uint_eq(c->has_peer, 0);
	ck_assert_uint_eq(c->defer, 0);
	ck_assert_uint_eq(c->auth.policy, AUTH_OFF);
	ck_assert_uint_eq(c->auth.nkeys, 0);
	ck_assert_uint_eq(c->maxupd, 128);
	ck_assert_uint_eq(c->refresh, 15);
	ck_assert_uint_eq(c->dialects, 1U << DIALECT_NATIVE);
	ck_assert_uint_eq(c->maxstates, 4000000);
	ck_assert_uint_eq(c->eventbuf, 0);
	ck_assert_str_eq(c->carpd, "/run/carpd.sock");
	/* own connections stay at home unless a block says otherwise */
	ck_assert_uint_eq(c->nnosync, 1);
	ck_assert_uint_eq(c->nosync[0].type, NOSYNC_SELF);
	config_free(c);
	config_free(NULL);
	c = good("no-sync { }\ndefer yes");
	ck_assert_uint_eq(c->nnosync, 0);
	ck_assert_uint_eq(c->defer, 1);
	config_free(c);
	c = good("no-sync { proto tcp }");
	ck_assert_uint_eq(c->nnosync, 1);
	ck_assert_uint_eq(c->nosync[0].type, NOSYNC_PROTO);
	ck_assert_uint_eq(c->nosync[0].proto, 6);
	config_free(c);
}
END_TEST

/* Each statement puts its value where it belongs. */
START_TEST(values)
{
	struct config	*c = good("syncpeer 192.168.2.201\nmaxupd 7\n"
			    "dialect native openbsd\ncarpd no\nrefresh 3\n"
			    "maxstates 5\neventbuf 9\nkey " KEY " id 258\n"
			    "no-sync { to 10.0.9.0/24 mark 0x100/0x300\n"
			    "on eth1 }");

	ck_assert_uint_eq(c->has_peer, 1);
	ck_assert_uint_eq(c->syncpeer.af, AF_INET);
	ck_assert_uint_eq(c->syncpeer.plen, 32);
	ck_assert_uint_eq(c->syncpeer.bytes[3], 201);
	ck_assert_uint_eq(c->maxupd, 7);
	ck_assert_uint_eq(c->dialects,
	    1U << DIALECT_NATIVE | 1U << DIALECT_OPENBSD);
	ck_assert_str_eq(c->carpd, "");
	ck_assert_uint_eq(c->refresh, 3);
	ck_assert_uint_eq(c->maxstates, 5);
	ck_assert_uint_eq(c->eventbuf, 9);
	ck_assert_uint_eq(c->auth.nkeys, 1);
	ck_assert_uint_eq(c->auth.policy, AUTH_STRICT);
	ck_assert_uint_eq(c->auth.keys[0].id, 258);
	ck_assert_uint_eq(c->auth.keys[0].active, 1);
	ck_assert_mem_eq(c->auth.keys[0].key, key, sizeof(key));
	ck_assert_uint_eq(c->nnosync, 3);
	ck_assert_uint_eq(c->nosync[0].type, NOSYNC_TO);
	ck_assert_uint_eq(c->nosync[0].addr.plen, 24);
	ck_assert_uint_eq(c->nosync[0].addr.bytes[2], 9);
	ck_assert_uint_eq(c->nosync[1].mark, 0x100);
	ck_assert_uint_eq(c->nosync[1].mask, 0x300);
	ck_assert_str_eq(c->nosync[2].ifname, "eth1");
	config_free(c);
}
END_TEST

/* One mistake a file, where the first one would hide the others. */
START_TEST(refused)
{
	static const struct {
		const char	*text;
		const char	*err;
	} t[] = {
		{ "syncpeer 224.0.0.240", "syncpeer 224.0.0.240 is a "
		    "multicast address; leave syncpeer out" },
		{ "syncpeer ff12::f0", "is a multicast address" },
		{ "syncpeer 0.0.0.0", "is not the address of a host" },
		{ "syncpeer ::", "is not the address of a host" },
		{ "syncpeer 127.0.0.1", "is a loopback address" },
		{ "syncpeer ::1", "is a loopback address" },
		{ "syncpeer ::ffff:192.0.2.1", "IPv4-mapped address" },
		{ "syncpeer 192.0.2.1/24", "has a prefix length" },
		{ "syncpeer fw2", "\"fw2\" is not an address" },
		{ "syncpeer 192.0.2", "\"192.0.2\" is not an address" },
		{ "syncpeer fe80::1%eth2", "is not an address" },
		{ "defer perhaps", "unknown defer \"perhaps\"; expected yes or "
		    "no" },
		{ "dialect freebsd-1500", "decoded, but not sent yet: list "
		    "native or openbsd" },
		{ "dialect native native", "dialect native is listed twice" },
		{ "carpd \"\"", "not an absolute path" },
		{ "carpd yes", "not an absolute path" },
		{ "key \"\"", "the key has 0 digits, it must have 64" },
		{ "key 0" KEY, "the key has 65 digits" },
		{ "key " KEY KEY, "the key has 128 digits" },
		{ "key 0x" KEY, "else than hexadecimal digits (character 2)" },
		{ "key \"0011 2233\"", "(character 5)" },
		{ "key " KEY " id 65536", "id 65536 is out of range" },
		{ "key " KEY " id -1", "id -1 is out of range" },
		{ "key " KEY " id", "the end of the line found, expected id "
		    "N, 0 to 65535" },
		{ "key " KEY " id one", "another word found, expected id N" },
		{ "key " KEY " " KEY, "another word found, expected id N, active or "
		    "the end of the line" },
		{ "key " KEY " id 1 2", "another word found, expected active "
		    "or the end of the line" },
		{ "key " KEY " active id 1", "found, expected the end of the "
		    "line" },
		{ "key " KEY " id 1 active 2", "another word found, expected "
		    "the end of the line" },
		{ "auth strict", "auth strict needs a key" },
		{ "auth", "expected auth off, permissive or strict" },
		{ "encrypt", "expected encrypt yes or encrypt no" },
		{ "encrypt aes", "unknown encrypt \"aes\"" },
		{ "encrypt yes", "encrypt yes needs a key that is used" },
		{ "dialect native {", "\"{\" found, expected native, openbsd "
		    "or the end of the line" },
		{ "dialect native mark", "\"mark\" found, expected native" },
		{ "maxupd 1 {", "\"{\" found, expected the end of the line" },
		{ "key file", "expected key file \"PATH\"" },
		{ "key file \"/nonexistent/key\"", "No such file" },
		{ "key file \"/\"", "not a regular file" },
		{ "key file \"/x\" id x", "expected id N" },
		{ "no-sync { self self }", "self is already at line 2" },
	};
	size_t	 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(lines(t[i].text) == NULL, "%s", t[i].text);
		ck_assert_msg(strstr(said.err, t[i].err) != NULL,
		    "%s: not \"%s\" in: %s", t[i].text, t[i].err, said.err);
		ck_assert_msg(strncmp(said.err, "f:2: ", 5) == 0, "%s",
		    said.err);
		ck_assert_msg(strchr(said.err, '\n')[1] == '\0',
		    "%s: more than one message: %s", t[i].text, said.err);
	}
}
END_TEST

/* What only several lines can get wrong. */
START_TEST(keyring)
{
	static const struct {
		const char	*text;
		const char	*err;
	} t[] = {
		{ "key " KEY "\nkey " KEY, "key id 0 is already at line 2" },
		{ "key " KEY " id 1\nkey " KEY " id 2",
		    "several keys, and none is active" },
		{ "key " KEY " id 1 active\nkey " KEY " id 2 active",
		    "the key at line 2 is active already" },
		{ "auth yes\nkey " KEY, "unknown auth \"yes\"" },
		{ "auth off\nauth off", "auth is already set at line 2" },
		{ "auth permissive\nkey " KEY, "a key needs an id of 1" },
		{ "key " KEY " id 1\nkey " KEY " id 2\nkey " KEY " id 3\n"
		    "key " KEY " id 4\nkey " KEY " id 5\nkey " KEY " id 6\n"
		    "key " KEY " id 7\nkey " KEY " id 8\nkey " KEY " id 9",
		    "more than 8 keys" },
	};
	struct config	*c;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(lines(t[i].text) == NULL, "%s", t[i].text);
		ck_assert_msg(strstr(said.err, t[i].err) != NULL,
		    "%s: not \"%s\" in: %s", t[i].text, t[i].err, said.err);
		ck_assert_msg(strchr(said.err, '\n')[1] == '\0',
		    "%s: more than one message: %s", t[i].text, said.err);
		ck_assert_ptr_null(strstr(said.err, "001122"));
	}
	c = good("key " KEY " id 7\nauth permissive\nkey " KEY
	    " id 3 active");
	ck_assert_uint_eq(c->auth.policy, AUTH_PERMISSIVE);
	ck_assert_uint_eq(c->auth.nkeys, 2);
	ck_assert_uint_eq(c->auth.keys[0].id, 3);
	ck_assert_uint_eq(c->auth.keys[0].active, 1);
	ck_assert_uint_eq(c->auth.keys[1].id, 7);
	ck_assert_uint_eq(c->auth.keys[1].active, 0);
	assert_round_trip(c);
	config_free(c);
	c = good("key " KEY " id 7\nencrypt yes");
	ck_assert_uint_eq(c->encrypt, 1);
	assert_round_trip(c);
	config_free(c);
	c = parse("f", "syncdev eth2\nkey " KEY "\nencrypt yes\n"
	    "auth permissive\ndialect native openbsd");
	ck_assert_ptr_null(c);
	c = parse("f", "syncdev eth2\nkey " KEY " id 1\nencrypt yes\n"
	    "auth permissive\ndialect native openbsd");
	ck_assert_ptr_nonnull(strstr(said.warn, "f:3: only the dialect native "
	    "is encrypted"));
	config_free(c);
	c = parse("f", "syncdev eth2\nauth off\nkey " KEY);
	ck_assert_ptr_nonnull(c);
	ck_assert_str_eq(said.warn, "f:2: auth off: the keys are not used\n");
	config_free(c);
}
END_TEST

/* No message holds what may be (part of) a key. */
START_TEST(no_leak)
{
	static const char *const	 t[] = {
		"key 5EC8E75EC8E75EC8E75EC8E75EC8E7",
		"key \"5EC8E75EC8E7\" \"5EC8E7\"",
		"key " KEY " 5EC8E7",
		"key " KEY " id 5EC8E7",
		"key\n5EC8E75EC8E75EC8E7\n",
		"ky \"5EC8E7\"",
		"ky 5EC8E7",
		"5EC8E75EC8E75EC8E75EC8E75EC8E7",
		"\"5EC8E7\"",
		"syncpeer key 5EC8E75EC8E7",
		"no-sync { key 5EC8E7 }",
		"no-sync { 5EC8E75EC8E75EC8E7 }",
		"x = \"5EC8E7\" 1",
		"key \"5EC8E7",
		"key a;5EC8E7",
	};
	size_t				 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(lines(t[i]) == NULL, "%s", t[i]);
		ck_assert(said.err[0] != '\0');
		ck_assert_msg(strstr(said.err, "5EC8E7") == NULL, "%s: %s",
		    t[i], said.err);
		ck_assert_ptr_null(strstr(said.warn, "5EC8E7"));
	}
}
END_TEST

/* limits that no file in tests/config reaches */
START_TEST(many_rules)
{
	char		 text[8 * 1024], line[64];
	struct config	*c;
	int		 n, i;

	for (n = CONFIG_NOSYNC_MAX; n <= CONFIG_NOSYNC_MAX + 1; n++) {
		strlcpy(text, "syncdev eth2\nno-sync {\n", sizeof(text));
		for (i = 0; i < n; i++) {
			snprintf(line, sizeof(line), "mark %d\n", i);
			strlcat(text, line, sizeof(text));
		}
		strlcat(text, "}", sizeof(text));
		c = parse("f", text);
		if (n > CONFIG_NOSYNC_MAX) {
			ck_assert_ptr_null(c);
			ck_assert_str_eq(said.err, "f:67: more than 64 rules "
			    "in no-sync\n");
			break;
		}
		ck_assert_msg(c != NULL, "%s", said.err);
		ck_assert_uint_eq(c->nnosync, n);
		ck_assert(config_ok(c));
		assert_round_trip(c);
		config_free(c);
	}
}
END_TEST

/* A yacc stack that is full is one more message. */
START_TEST(deep_braces)
{
	size_t		 n = 50 * 1000;
	char		*text = malloc(n + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, '{', n);
	text[n] = '\0';
	ck_assert_ptr_null(parse("f", text));
	ck_assert(said.err[0] != '\0');
	free(text);
}
END_TEST

START_TEST(diff)
{
	static const struct {
		const char	*a;
		const char	*b;
		unsigned int	 want;
	} t[] = {
		{ "", "", 0 },
		{ "", "no-sync { self }", 0 },
		{ "key " KEY, "key \"" KEY "\" id 0", 0 },
		{ "", "syncpeer 192.0.2.1", CONFIG_DIFF_SOCKETS },
		{ "syncpeer 192.0.2.1", "syncpeer 192.0.2.2",
		    CONFIG_DIFF_SOCKETS },
		{ "", "maxupd 1", CONFIG_DIFF_LIVE },
		{ "", "refresh 1", CONFIG_DIFF_LIVE },
		{ "", "no-sync { }", CONFIG_DIFF_LIVE },
		{ "no-sync { from 10.0.0.0/8 }", "no-sync { to 10.0.0.0/8 }",
		    CONFIG_DIFF_LIVE },
		{ "key " KEY, "key " KEY "\nencrypt yes", CONFIG_DIFF_LIVE },
		{ "", "dialect openbsd", CONFIG_DIFF_RESTART },
		{ "", "key " KEY, CONFIG_DIFF_LIVE },
		{ "key " KEY, "key " KEY " id 1", CONFIG_DIFF_LIVE },
		{ "key " KEY " id 1", "auth permissive\nkey " KEY " id 1",
		    CONFIG_DIFF_LIVE },
		{ "", "maxstates 1", CONFIG_DIFF_RESTART },
		{ "", "eventbuf 1", CONFIG_DIFF_RESTART },
		{ "", "defer yes", CONFIG_DIFF_RESTART },
		{ "", "carpd no", CONFIG_DIFF_CARPD },
		{ "carpd \"/a\"", "carpd \"/b\"", CONFIG_DIFF_CARPD },
		{ "", "carpd no\nmaxupd 1\nmaxstates 1\nsyncpeer 192.0.2.1",
		    CONFIG_DIFF_CARPD | CONFIG_DIFF_LIVE |
		    CONFIG_DIFF_RESTART | CONFIG_DIFF_SOCKETS },
	};
	struct config	*a, *b;
	size_t		 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = good(t[i].a);
		b = good(t[i].b);
		ck_assert_msg(config_diff(a, b) == t[i].want, "%s: %s: %x",
		    t[i].a, t[i].b, config_diff(a, b));
		ck_assert_uint_eq(config_diff(b, a), t[i].want);
		config_free(a);
		config_free(b);
	}
	a = good("");
	b = good("");
	strlcpy(b->syncdev, "eth3", sizeof(b->syncdev));
	ck_assert_uint_eq(config_diff(a, b), CONFIG_DIFF_SOCKETS);
	config_free(a);
	config_free(b);
}
END_TEST

/* One field at a time made hostile. */
static void
hostile(struct config *c, int what)
{
	switch (what) {
	case 0: memset(c->syncdev, 'a', sizeof(c->syncdev)); break;
	case 1: c->syncdev[0] = '\0'; break;
	case 2: strlcpy(c->syncdev, "a/b", sizeof(c->syncdev)); break;
	case 3: strlcpy(c->syncdev, "..", sizeof(c->syncdev)); break;
	case 4: c->has_peer = 2; break;
	case 5: c->syncpeer.af = AF_UNIX; break;
	case 6: c->syncpeer.plen = 24; break;
	case 7: c->syncpeer.plen = 33; break;
	case 8: c->syncpeer.bytes[15] = 1; break;
	case 9: c->syncpeer.bytes[0] = 224; break;
	case 10: c->defer = 2; break;
	case 11: c->auth.policy = AUTH_STRICT; break;
	case 38: c->encrypt = 1; break;
	case 39: c->encrypt = 2; break;
	case 12: c->maxupd = 256; break;
	case 13: c->refresh = 0; break;
	case 14: c->refresh = 3601; break;
	case 15: c->dialects = 0; break;
	case 16: c->dialects = 1U << DIALECT_FREEBSD_1400; break;
	case 17: c->dialects = 0xffffffff; break;
	case 18: c->maxstates = 0; break;
	case 19: c->maxstates = 100000001; break;
	case 20: c->eventbuf = 0x40000000; break;
	case 21: c->carpd[0] = 'x'; break;
	case 22: memset(c->carpd, '/', sizeof(c->carpd)); break;
	case 23: c->nnosync = CONFIG_NOSYNC_MAX + 1; break;
	case 24: c->nnosync = UINT16_MAX; break;
	case 25: c->nosync[0].type = NOSYNC_ON + 1; break;
	case 26: c->nosync[1].proto = 0; break;
	case 27: c->nosync[2].addr.af = 0; break;
	case 28: c->nosync[2].addr.plen = 33; break;
	case 29: c->nosync[2].addr.bytes[3] = 1; break;
	case 30: c->nosync[2].addr.bytes[4] = 1; break;
	case 31: c->nosync[3].mask = 0; break;
	case 32: c->nosync[3].mark = 0x1; break;
	case 33: c->nosync[4].ifname[0] = '\0'; break;
	case 34: memset(c->nosync[4].ifname, 'a', IF_NAMESIZE); break;
	case 35: c->nosync[5].addr.plen = 129; break;
	case 36: c->nosync[5].addr.bytes[15] = 1; break;
	case 37: c->nnosync = 7; c->nosync[6].type = NOSYNC_PROTO; break;
	default: ck_abort();
	}
}
#define HOSTILE	40

START_TEST(ok)
{
	struct config	*c = good("syncpeer 192.0.2.1\nno-sync { self\n"
			    "proto tcp from 10.0.9.0/24 mark 0x100/0x100\n"
			    "on eth1 to 2001:db8::/32 }");
	struct config	 i;
	int		 n;

	for (n = 0; n < HOSTILE; n++) {
		i = *c;
		hostile(&i, n);
		ck_assert_msg(!config_ok(&i), "case %d", n);
	}
	memset(&i, 0, sizeof(i));
	ck_assert(!config_ok(&i));
	memset(&i, 0xff, sizeof(i));
	ck_assert(!config_ok(&i));
	config_free(c);
}
END_TEST

/* files */

static void
remove_dir(void)
{
	unlink(path("conf"));
	unlink(path("inc"));
	unlink(path("key"));
	rmdir(dir);
}

static struct config *
load(char *const *defines)
{
	memset(&said, 0, sizeof(said));
	return (config_load(path("conf"), defines, on_err, on_warn, &said));
}

static void
assert_loads(void)
{
	struct config	*c = load(NULL);

	ck_assert_msg(c != NULL, "%s", said.err);
	config_free(c);
}

static void
assert_refused(const char *part)
{
	ck_assert_ptr_null(load(NULL));
	ck_assert_msg(strstr(said.err, part) != NULL, "%s: not in: %s", part,
	    said.err);
}

START_TEST(secrecy)
{
	static const mode_t	 modes[] = { 0640, 0604, 0660, 0644 };
	size_t			 i;

	put("conf", "syncdev eth2\nkey " KEY "\n", 0600);
	assert_loads();
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ck_assert_int_eq(chmod(path("conf"), modes[i]), 0);
		assert_refused("conf:2: a key in a file that is not secret: "
		    "group or others may read or write it; chmod 600 it\n");
	}
	/* without a key anybody may read it */
	put("conf", "syncdev eth2\nkey \"***\"\n", 0644);
	assert_loads();
	put("conf", "syncdev eth2\n", 0644);
	assert_loads();
	/* the file that counts is the one the key is in */
	put("conf", "syncdev eth2\ninclude \"inc\"\n", 0644);
	put("inc", "key " KEY, 0600);
	assert_loads();
	put("conf", "include \"inc\"\nsyncdev eth2\nkey $k\n", 0600);
	put("inc", "k = " KEY, 0644);
	assert_refused("conf:3: a key in a file that is not secret");
}
END_TEST

START_TEST(key_file)
{
	static const struct {
		const char	*text;
		const char	*err;		/* NULL: good */
	} t[] = {
		{ KEY, NULL },
		{ KEY "\n", NULL },
		{ "", "the key has 0 digits" },
		{ "\n", "the key has 0 digits" },
		{ KEY "0", "the key has 65 digits" },
		{ KEY "\n\n", "more than one line" },
		{ KEY "\n" KEY, "more than one line" },
		{ KEY "\r\n", "(character 65)" },
		{ KEY " ", "(character 65)" },
		{ KEY KEY KEY KEY, "longer than 64 digits" },
	};
	struct config	*c;
	size_t		 i;

	put("conf", "syncdev eth2\nkey file \"key\" id 3\n", 0644);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put("key", t[i].text, 0600);
		if (t[i].err != NULL) {
			assert_refused(t[i].err);
			assert_refused("conf:2: ");
			continue;
		}
		c = load(NULL);
		ck_assert_msg(c != NULL, "%s", said.err);
		ck_assert_uint_eq(c->auth.nkeys, 1);
		ck_assert_uint_eq(c->auth.keys[0].id, 3);
		ck_assert_mem_eq(c->auth.keys[0].key, key, sizeof(key));
		assert_round_trip(c);
		config_free(c);
	}
	put("key", KEY, 0640);
	assert_refused("group or others may read or write it");
	unlink(path("key"));
	assert_refused("No such file");
	ck_assert_int_eq(mkfifo(path("key"), 0600), 0);
	assert_refused("not a regular file");
}
END_TEST

START_TEST(defines)
{
	char		*const right[] = { (char[]){ "if=eth7" },
			    (char[]){ "unused=1" }, NULL };
	char		*const wrong[] = { (char[]){ "if" }, NULL };
	struct config	*c;

	put("conf", "if = eth0\nsyncdev $if", 0600);
	c = load(right);
	ck_assert_msg(c != NULL, "%s", said.err);
	ck_assert_str_eq(c->syncdev, "eth7");
	ck_assert_str_eq(said.warn, "-D unused: the macro is never used\n");
	config_free(c);
	ck_assert_ptr_null(load(wrong));
	ck_assert_ptr_nonnull(strstr(said.err, "-D if: write -D NAME=VALUE"));
	unlink(path("conf"));
	assert_refused("No such file");
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("sync_config");
	TCase	*tc = tcase_create("config"), *files = tcase_create("files");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, pairs);
	tcase_add_test(tc, sample);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, values);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, keyring);
	tcase_add_test(tc, no_leak);
	tcase_add_test(tc, many_rules);
	tcase_add_test(tc, deep_braces);
	tcase_add_test(tc, diff);
	tcase_add_test(tc, ok);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(files, make_dir, remove_dir);
	tcase_add_test(files, secrecy);
	tcase_add_test(files, key_file);
	tcase_add_test(files, defines);
	suite_add_tcase(s, files);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
