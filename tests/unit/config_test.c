/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd.conf(5): every pair in tests/config (NAME.conf with NAME.ok, the
 * printed form, and NAME.warn if there are warnings; NAME.bad with NAME.err),
 * printing that parses to the same, files and their secrecy, differences,
 * hostile structs.  Run from the top of the tree.
 */
#include <sys/stat.h>

#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../carpd/config.h"
#include "files.h"

#define TEXT_MAX	(64 * 1024)
#define SAMPLE		"conf/carpd.conf.sample"

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

static struct config *
parse_good(const char *text)
{
	struct config	*c = parse("good", text);

	ck_assert_msg(c != NULL, "%s", said.err);
	return (c);
}

/* An interface in braces, with its first line and body given. */
static struct config *
iface(const char *body)
{
	char	 text[1024];

	snprintf(text, sizeof(text), "carp0 on eth0 { vhid 1 pass \"p\" "
	    "address 192.0.2.1/24\n%s\n}\n", body);
	return (parse_good(text));
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

static void
assert_same(const struct config *a, const struct config *b)
{
	ck_assert_mem_eq(&a->g, &b->g, sizeof(a->g));
	ck_assert_uint_eq(a->nifaces, b->nifaces);
	ck_assert_uint_eq(a->ngroups, b->ngroups);
	if (a->nifaces > 0)
		ck_assert_mem_eq(a->ifaces, b->ifaces,
		    a->nifaces * sizeof(*a->ifaces));
	if (a->ngroups > 0)
		ck_assert_mem_eq(a->groups, b->groups,
		    a->ngroups * sizeof(*a->groups));
}

static void
assert_ok(const struct config *c)
{
	size_t	 n;

	for (n = 0; n < c->nifaces; n++)
		ck_assert(config_iface_ok(&c->ifaces[n]));
}

/* What is printed parses to the same and prints the same. */
static void
assert_round_trip(const struct config *c)
{
	char		*text = print(c, true), *again, *masked;
	struct config	*back = parse("printed", text);

	ck_assert_msg(back != NULL, "%s%s", text, said.err);
	assert_same(c, back);
	again = print(back, true);
	ck_assert_str_eq(text, again);
	config_free(back);
	free(again);
	free(text);

	masked = print(c, false);
	back = parse("masked", masked);
	ck_assert_msg(back != NULL, "%s%s", masked, said.err);
	ck_assert_uint_eq(back->nifaces, c->nifaces);
	again = print(back, false);
	ck_assert_str_eq(masked, again);
	config_free(back);
	free(again);
	free(masked);
}

/* tests/config */

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
	text = print(c, true);
	ck_assert_str_eq(text, slurp(sibling(name, "ok")));
	free(text);
	assert_ok(c);
	assert_round_trip(c);
	config_free(c);
}

static void
bad_pair(const char *name)
{
	ck_assert_ptr_null(parse(name, slurp(name)));
	ck_assert_str_eq(said.err, slurp(sibling(name, "err")));
}

START_TEST(pairs)
{
	DIR		*d;
	struct dirent	*e;
	const char	*dot;
	char		*top = getcwd(NULL, 0);
	int		 good = 0, bad = 0;

	/* names in messages and includes are relative to that directory */
	ck_assert_ptr_nonnull(top);
	ck_assert_msg(chdir("tests/config") == 0, "run from the top of the "
	    "tree");
	ck_assert_ptr_nonnull(d = opendir("."));
	while ((e = readdir(d)) != NULL) {
		if ((dot = strrchr(e->d_name, '.')) == NULL)
			continue;
		if (strcmp(dot, ".conf") == 0) {
			good_pair(e->d_name);
			good++;
		} else if (strcmp(dot, ".bad") == 0) {
			bad_pair(e->d_name);
			bad++;
		}
	}
	closedir(d);
	ck_assert_int_eq(chdir(top), 0);
	free(top);
	ck_assert_int_ge(good, 10);
	ck_assert_int_ge(bad, 15);
}
END_TEST

/* The sample is Mickey. */
START_TEST(sample)
{
	struct config	*c = parse(SAMPLE, slurp(SAMPLE));

	ck_assert_msg(c != NULL, "%s", said.err);
	ck_assert_str_eq(said.warn, "");
	ck_assert_uint_eq(c->nifaces, 2);
	ck_assert_str_eq(c->ifaces[0].carpdev, "eth0");
	ck_assert_uint_eq(c->ifaces[0].vhids[0].vhid, 1);
	ck_assert_str_eq(c->ifaces[1].carpdev, "eth1");
	ck_assert_uint_eq(c->ifaces[1].vhids[0].vhid, 2);
	ck_assert_uint_eq(c->ifaces[1].vhids[0].advskew, 0);
	ck_assert_uint_eq(c->g.preempt, 1);
	assert_ok(c);
	assert_round_trip(c);
	config_free(c);
}
END_TEST

START_TEST(defaults)
{
	struct config		*c = iface("");
	struct config_iface	*i = config_find_iface(c, "carp0");

	ck_assert_uint_eq(c->g.preempt, 0);
	ck_assert_uint_eq(c->g.log, CONFIG_LOG_DEFAULT);
	ck_assert_uint_eq(c->g.sync_wait, 0);
	ck_assert_ptr_nonnull(i);
	ck_assert_uint_eq(i->nvhids, 1);
	ck_assert_uint_eq(i->vhids[0].advbase, 1);
	ck_assert_uint_eq(i->vhids[0].advskew, 0);
	ck_assert_uint_eq(i->digest, DIGEST_AUTO);
	ck_assert_uint_eq(i->style, STYLE_AUTO);
	ck_assert_uint_eq(i->balancing, BALANCE_NONE);
	ck_assert_uint_eq(i->ngroups, 1);
	ck_assert_str_eq(i->groups[0], "carp");
	ck_assert_uint_eq(i->passlen, 1);
	ck_assert_ptr_null(config_find_iface(c, "carp1"));
	config_free(c);
	config_free(NULL);
}
END_TEST

/* files */

static void
remove_dir(void)
{
	unlink(path("conf"));
	unlink(path("inc"));
	unlink(path("pass"));
	rmdir(dir);
}

static struct config *
load(char *const *defines)
{
	memset(&said, 0, sizeof(said));
	return (config_load(path("conf"), defines, on_err, on_warn, &said));
}

static void
assert_error(const char *part)
{
	ck_assert_msg(strstr(said.err, part) != NULL, "%s: not in: %s", part,
	    said.err);
}

#define IFACE	"carp0 on eth0 {\nvhid 1\naddress 192.0.2.1/24\n"

START_TEST(secrecy)
{
	static const mode_t	 modes[] = { 0640, 0604, 0660, 0644 };
	struct config		*c;
	size_t			 i;

	put("conf", IFACE "pass \"p\"\n}\n", 0600);
	c = load(NULL);
	ck_assert_msg(c != NULL, "%s", said.err);
	config_free(c);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ck_assert_int_eq(chmod(path("conf"), modes[i]), 0);
		ck_assert_ptr_null(load(NULL));
		assert_error("conf:4: a pass in a file that is not secret: "
		    "group or others may read or write it; chmod 600 it\n");
	}
	/* without a pass anybody may read it */
	put("conf", IFACE "}\n", 0644);
	c = load(NULL);
	ck_assert_msg(c != NULL, "%s", said.err);
	ck_assert_uint_eq(c->ifaces[0].passlen, 0);
	config_free(c);
	/* the file that counts is the one the pass is in */
	put("conf", IFACE "include \"inc\"\n}\n", 0644);
	put("inc", "pass \"p\"", 0600);
	c = load(NULL);
	ck_assert_msg(c != NULL, "%s", said.err);
	config_free(c);
	put("conf", "include \"inc\"\n" IFACE "pass $p\n}\n", 0600);
	put("inc", "p = \"q\"", 0644);
	ck_assert_ptr_null(load(NULL));
	assert_error("conf:5: a pass in a file that is not secret");
}
END_TEST

START_TEST(pass_file)
{
	static const struct {
		const char	*text;
		const char	*pass;		/* NULL: refused */
		const char	*err;
	} t[] = {
		{ "secret", "secret", NULL },
		{ "secret\n", "secret", NULL },
		{ "a b \"c\" \\ #", "a b \"c\" \\ #", NULL },
		{ "1234567890123456789\n", "1234567890123456789", NULL },
		{ "12345678901234567890\n", NULL, "20 characters" },
		{ "", NULL, "the pass is empty" },
		{ "\n", NULL, "the pass is empty" },
		{ "a\nb", NULL, "more than one line" },
		{ "a\n\n", NULL, "more than one line" },
		{ "a\r\n", NULL, "control character (byte 0x0d)" },
	};
	struct config	*c;
	char		 big[512];
	size_t		 i;

	put("conf", IFACE "pass file \"pass\"\n}\n", 0644);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put("pass", t[i].text, 0600);
		c = load(NULL);
		if (t[i].pass == NULL) {
			ck_assert_ptr_null(c);
			assert_error("conf:4: ");
			assert_error(t[i].err);
			continue;
		}
		ck_assert_msg(c != NULL, "%s", said.err);
		ck_assert_str_eq(c->ifaces[0].pass, t[i].pass);
		ck_assert_uint_eq(c->ifaces[0].passlen, strlen(t[i].pass));
		assert_round_trip(c);
		config_free(c);
	}
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put("pass", big, 0600);
	ck_assert_ptr_null(load(NULL));
	assert_error("longer than 19 characters");
	put("pass", "secret", 0640);
	ck_assert_ptr_null(load(NULL));
	assert_error("group or others may read or write it");
	unlink(path("pass"));
	ck_assert_ptr_null(load(NULL));
	assert_error("No such file");
	ck_assert_int_eq(mkfifo(path("pass"), 0600), 0);
	ck_assert_ptr_null(load(NULL));
	assert_error("not a regular file");
}
END_TEST

START_TEST(defines)
{
	char		*const good[] = { (char[]){ "if=eth7" },
			    (char[]){ "unused=1" }, NULL };
	char		*const wrong[] = { (char[]){ "if" }, NULL };
	struct config	*c;

	put("conf", "if = eth0\ncarp0 on $if { vhid 1 pass \"p\" address "
	    "192.0.2.1/24 }", 0600);
	c = load(good);
	ck_assert_msg(c != NULL, "%s", said.err);
	ck_assert_str_eq(c->ifaces[0].carpdev, "eth7");
	ck_assert_str_eq(said.warn, "-D unused: the macro is never used\n");
	config_free(c);
	ck_assert_ptr_null(load(wrong));
	assert_error("-D if: write -D NAME=VALUE");
	unlink(path("conf"));
	ck_assert_ptr_null(load(NULL));
	assert_error("No such file");
}
END_TEST

/* No message holds what may be (part of) a pass. */
START_TEST(no_leak)
{
	static const char *const	 t[] = {
		"carp0 on eth0 { vhid 1 pass \"SECRETSECRETSECRETSECRET\" }",
		"carp0 on eth0 { vhid 1 pass a SECRET }",
		"carp0 on eth0 { pass \"a\" \"SECRET\" }",
		"carp0 on eth0 { pass a SECRET\n vhid 1 }",
		"carp0 on eth0 { pas \"SECRET\" }",
		"pass \"SECRET\"",
		"pass SECRET",
		"carp0 on eth0 { vhid 1 { pass SECRET } }",
		"carp0 on eth0 { vhid \"SECRET\" }",
		"x = \"SECRET\" 1",
		"carp0 on eth0 { pass \"SECRET }",
		"carp0 on eth0 { pass a;SECRET }",
	};
	size_t				 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert_msg(parse("f", t[i]) == NULL, "%s", t[i]);
		ck_assert(said.err[0] != '\0');
		ck_assert_msg(strstr(said.err, "SECRET") == NULL, "%s%s",
		    t[i], said.err);
		ck_assert_ptr_null(strstr(said.warn, "SECRET"));
	}
}
END_TEST

/* limits that no file in tests/config reaches */
START_TEST(many_addresses)
{
	char		 text[16 * 1024], line[64];
	struct config	*c;
	int		 n, i;

	for (n = CONFIG_ADDRS_MAX; n <= CONFIG_ADDRS_MAX + 1; n++) {
		strlcpy(text, "carp0 on eth0 {\nvhid 1\npass \"p\"\n",
		    sizeof(text));
		for (i = n; i > 0; i--) {
			snprintf(line, sizeof(line),
			    "address 2001:db8::%x/64\n", i);
			strlcat(text, line, sizeof(text));
		}
		strlcat(text, "}", sizeof(text));
		c = parse("f", text);
		if (n > CONFIG_ADDRS_MAX) {
			ck_assert_ptr_null(c);
			ck_assert_str_eq(said.err, "f:132: more than 128 "
			    "addresses in carp0\n");
			break;
		}
		ck_assert_msg(c != NULL, "%s", said.err);
		ck_assert_uint_eq(c->ifaces[0].naddrs, n);
		assert_ok(c);
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
		{ "group dmz", "", CONFIG_DIFF_GROUPS },
		{ "group dmz", "group wan", CONFIG_DIFF_GROUPS },
		{ "digest auto", "digest freebsd", CONFIG_DIFF_STYLE },
		{ "demote-style both", "", CONFIG_DIFF_STYLE },
		{ "address 192.0.2.9/24", "", CONFIG_DIFF_IDENTITY },
		{ "peer 192.0.2.9", "", CONFIG_DIFF_PEERS },
		{ "peer 192.0.2.9", "peer 192.0.2.8", CONFIG_DIFF_PEERS },
		{ "peer 192.0.2.9 peer 192.0.2.8",
		    "peer 192.0.2.8 peer 192.0.2.9", 0 },
		{ "address 192.0.2.9/24", "address 192.0.2.8/24",
		    CONFIG_DIFF_IDENTITY },
		{ "address 192.0.2.9/24", "address 192.0.2.9/25",
		    CONFIG_DIFF_IDENTITY },
		{ "address 192.0.2.9/24\naddress 192.0.2.8/24",
		    "address 192.0.2.8/24\naddress 192.0.2.9/24", 0 },
		{ "vhid 200 { }", "vhid 200 { } vhid 201 { }",
		    CONFIG_DIFF_VHIDS | CONFIG_DIFF_TIMERS },
		{ "vhid 200 { }", "vhid 201 { }",
		    CONFIG_DIFF_VHIDS | CONFIG_DIFF_TIMERS },
		{ "vhid 200 { } balancing arp", "vhid 200 { }",
		    CONFIG_DIFF_IDENTITY },
		{ "", "vhid 200 { }", CONFIG_DIFF_IDENTITY |
		    CONFIG_DIFF_VHIDS | CONFIG_DIFF_TIMERS },
	};
	struct config		*a, *b;
	struct config_iface	 x, y;
	size_t			 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = iface(t[i].a);
		b = iface(t[i].b);
		ck_assert_uint_eq(config_iface_diff(a->ifaces, b->ifaces),
		    t[i].want);
		config_free(a);
		config_free(b);
	}
	a = iface("");
	x = y = a->ifaces[0];
	y.vhids[0].advskew = 100;
	ck_assert_uint_eq(config_iface_diff(&x, &y), CONFIG_DIFF_TIMERS);
	y.digest = DIGEST_OPENBSD;
	ck_assert_uint_eq(config_iface_diff(&x, &y),
	    CONFIG_DIFF_TIMERS | CONFIG_DIFF_STYLE);
	y = x;
	y.vhids[0].vhid = 9;
	ck_assert(config_iface_diff(&x, &y) & CONFIG_DIFF_IDENTITY);
	y = x;
	strlcpy(y.carpdev, "eth1", sizeof(y.carpdev));
	ck_assert_uint_eq(config_iface_diff(&x, &y), CONFIG_DIFF_IDENTITY);
	y = x;
	y.pass[0] = 'q';
	ck_assert_uint_eq(config_iface_diff(&x, &y), CONFIG_DIFF_IDENTITY);
	config_free(a);
}
END_TEST

/* One field at a time made hostile. */
static void
hostile(struct config_iface *i, int what)
{
	switch (what) {
	case 0: memset(i->name, 'a', sizeof(i->name)); break;
	case 1: i->name[0] = '\0'; break;
	case 2: strlcpy(i->name, "carp", sizeof(i->name)); break;
	case 3: memset(i->carpdev, 'a', sizeof(i->carpdev)); break;
	case 4: i->carpdev[0] = '\0'; break;
	case 5: strlcpy(i->carpdev, "a/b", sizeof(i->carpdev)); break;
	case 6: i->digest = DIGEST_FREEBSD + 1; break;
	case 7: i->style = STYLE_BOTH + 1; break;
	case 8: i->balancing = BALANCE_IP_UNICAST + 1; break;
	case 9: i->nvhids = 0; break;
	case 10: i->nvhids = CONFIG_VHIDS_MAX + 1; break;
	case 11: i->nvhids = 2; break;
	case 12: i->vhids[0].vhid = 0; break;
	case 13: i->vhids[0].advbase = 255; break;
	case 14: i->vhids[0].advskew = 255; break;
	case 15: i->ngroups = CONFIG_GROUPS_MAX + 1; break;
	case 16: memset(i->groups[0], 'a', sizeof(i->groups[0])); break;
	case 17: i->ngroups = 2; break;
	case 18: i->passlen = CONFIG_PASS_MAX + 1; break;
	case 19: i->passlen = 2; break;
	case 20: memset(i->pass, 'a', sizeof(i->pass)); break;
	case 21: i->naddrs = 0; break;
	case 22: i->naddrs = CONFIG_ADDRS_MAX + 1; break;
	case 23: i->naddrs = UINT16_MAX; break;
	case 24: i->naddrs = 2; break;
	case 25: i->addrs[0].af = AF_UNIX; break;
	case 26: i->addrs[0].plen = 33; break;
	case 27: i->addrs[0].plen = 0; break;
	case 28: i->addrs[0].bytes[15] = 1; break;
	case 29: i->naddrs = 2; i->addrs[1] = i->addrs[0]; break;
	case 31: i->npeers = CONFIG_PEERS_MAX + 1; break;
	case 32: i->npeers = 1; break;
	case 33: i->npeers = 1; i->peers[0] = i->addrs[0];
		 i->peers[0].plen = 33; break;
	case 34: i->npeers = 2; i->peers[0] = i->peers[1] = i->addrs[0]; break;
	case 30: i->nvhids = 2; i->vhids[1] = i->vhids[0];
		 i->balancing = BALANCE_IP; break;
	case 35: i->balancing = BALANCE_IP; break;
	case 36: i->nvhids = 2; i->vhids[1] = i->vhids[0];
		 i->vhids[1].vhid++; break;
	case 37: i->nvhids = 2; i->vhids[1] = i->vhids[0];
		 i->vhids[1].vhid++; i->vhids[1].advbase++;
		 i->balancing = BALANCE_IP; break;
	default: ck_abort();
	}
}
#define HOSTILE	38

START_TEST(iface_ok)
{
	struct config		*c = iface("");
	struct config_iface	 i;
	int			 n;

	ck_assert(config_iface_ok(&c->ifaces[0]));
	for (n = 0; n < HOSTILE; n++) {
		i = c->ifaces[0];
		hostile(&i, n);
		ck_assert_msg(!config_iface_ok(&i), "case %d", n);
	}
	i = c->ifaces[0];
	i.addrs[0].af = AF_INET6;
	i.addrs[0].plen = 128;
	ck_assert(config_iface_ok(&i));
	i.addrs[0].plen = 129;
	ck_assert(!config_iface_ok(&i));
	memset(&i, 0, sizeof(i));
	ck_assert(!config_iface_ok(&i));
	memset(&i, 0xff, sizeof(i));
	ck_assert(!config_iface_ok(&i));
	config_free(c);
}
END_TEST

START_TEST(add)
{
	struct config		*c = config_new(), *one = iface("group dmz");
	struct config_group	 g = { .name = "dmz", .demote = 7 };
	struct config_iface	 i = one->ifaces[0], *p;

	/* carp comes first, once */
	ck_assert_uint_eq(i.ngroups, 2);
	ck_assert_str_eq(i.groups[0], "carp");
	ck_assert_str_eq(i.groups[1], "dmz");
	p = config_add_iface(c, &i);
	ck_assert_uint_eq(p->ngroups, 2);
	memset(i.groups, 0, sizeof(i.groups));
	strlcpy(i.groups[0], "wan", sizeof(i.groups[0]));
	i.ngroups = 1;
	strlcpy(i.name, "carp1", sizeof(i.name));
	p = config_add_iface(c, &i);
	ck_assert_uint_eq(p->ngroups, 2);
	ck_assert_str_eq(p->groups[0], "carp");
	ck_assert_str_eq(p->groups[1], "wan");
	ck_assert_ptr_eq(config_find_iface(c, "carp1"), p);
	ck_assert_uint_eq(config_add_group(c, &g)->demote, 7);
	g.demote = 8;
	config_add_group(c, &g);
	ck_assert_uint_eq(c->ngroups, 2);
	ck_assert_uint_eq(c->groups[0].demote, 7);
	config_free(c);
	config_free(one);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("config");
	TCase	*tc = tcase_create("config"), *files = tcase_create("files");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, pairs);
	tcase_add_test(tc, sample);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, no_leak);
	tcase_add_test(tc, many_addresses);
	tcase_add_test(tc, deep_braces);
	tcase_add_test(tc, diff);
	tcase_add_test(tc, iface_ok);
	tcase_add_test(tc, add);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(files, make_dir, remove_dir);
	tcase_add_test(files, secrecy);
	tcase_add_test(files, pass_file);
	tcase_add_test(files, defines);
	suite_add_tcase(s, files);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
