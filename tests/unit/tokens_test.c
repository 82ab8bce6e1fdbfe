/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The command language of carpctl: what each command line means, what is
 * refused, and that the usage text, which is made of the same tables, names
 * every command.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpctl/tokens.h"
#include "../../carpd/vhost.h"

#define WORDS_MAX	8
#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* A row has what its command sets, the rest is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Splits line at blanks, parses it; *err receives the message, to be freed. */
static int
parse(const char *line, struct tokens_result *r, char **err)
{
	char	*words[WORDS_MAX + 1] = { NULL }, *copy, *next, *w;
	size_t	 len, n = 0;
	FILE	*f;
	int	 res;

	ck_assert_ptr_nonnull(copy = next = strdup(line));
	while ((w = strsep(&next, " ")) != NULL)
		if (*w != '\0') {
			ck_assert_uint_lt(n, WORDS_MAX);
			words[n++] = w;
		}
	ck_assert_ptr_nonnull(f = open_memstream(err, &len));
	res = tokens_parse(words, r, f);
	fclose(f);
	free(copy);
	return (res);
}

static const struct {
	const char		*line;
	struct tokens_result	 r;
} good[] = {
	{ "show", { ACTION_SHOW, false, false, "", "carp", 0, 1 } },
	{ "show -j", { ACTION_SHOW, true, false, "", "carp", 0, 1 } },
	{ "doctor", { ACTION_DOCTOR, false, false, "", "carp", 0, 1 } },
	{ "doc -j", { ACTION_DOCTOR, true, false, "", "carp", 0, 1 } },
	{ "sh --check", { ACTION_SHOW, false, true, "", "carp", 0, 1 } },
	{ "show carp0",
	    { ACTION_SHOW_IFACE, false, false, "carp0", "carp", 0, 1 } },
	{ "show --check carp0",
	    { ACTION_SHOW_IFACE, false, true, "carp0", "carp", 0, 1 } },
	{ "show -j lan -j",
	    { ACTION_SHOW_IFACE, true, false, "lan", "carp", 0, 1 } },
	{ "show d", { ACTION_SHOW_DEMOTION, false, false, "", "carp", 0, 1 } },
	{ "show counters -j",
	    { ACTION_SHOW_COUNTERS, true, false, "", "carp", 0, 1 } },
	{ "show peer",
	    { ACTION_SHOW_PEERS, false, false, "", "carp", 0, 1 } },
	{ "show h", { ACTION_SHOW_HISTORY, false, false, "", "carp", 0, 1 } },
	{ "show sync", { ACTION_SHOW_SYNC, false, false, "", "carp", 0, 1 } },
	{ "show sy -j", { ACTION_SHOW_SYNC, true, false, "", "carp", 0, 1 } },
	{ "demote", { ACTION_DEMOTE, false, false, "", "carp", 0, 1 } },
	{ "demote 255", { ACTION_DEMOTE, false, false, "", "carp", 0, 255 } },
	{ "demote -g dmz",
	    { ACTION_DEMOTE, false, false, "", "dmz", 0, 1 } },
	{ "promote -g dmz 7",
	    { ACTION_PROMOTE, false, false, "", "dmz", 0, 7 } },
	{ "state carp0 master", { ACTION_STATE, false, false, "carp0",
	    "carp", 0, VHOST_MASTER } },
	{ "state carp0 backup", { ACTION_STATE, false, false, "carp0",
	    "carp", 0, VHOST_BACKUP } },
	{ "state carp0 i", { ACTION_STATE, false, false, "carp0",
	    "carp", 0, VHOST_INIT } },
	{ "set carp0 advskew 0", { ACTION_SET_ADVSKEW, false, false, "carp0",
	    "carp", 0, 0 } },
	{ "set carp0 vhid 255 advbase 254", { ACTION_SET_ADVBASE, false,
	    false, "carp0", "carp", 255, 254 } },
	{ "set carp0 advskew 7 vhid 3", { ACTION_SET_ADVSKEW, false,
	    false, "carp0", "carp", 3, 7 } },
	{ "set carp0 group dmz", { ACTION_SET_GROUP, false, false, "carp0",
	    "dmz", 0, 1 } },
	{ "set carp0 -group dmz", { ACTION_SET_UNGROUP, false, false, "carp0",
	    "dmz", 0, 1 } },
	{ "set log 7", { ACTION_SET_LOG, false, false, "", "carp", 0, 7 } },
	{ "up carp0", { ACTION_UP, false, false, "carp0", "carp", 0, 1 } },
	{ "dow carp0", { ACTION_DOWN, false, false, "carp0", "carp", 0, 1 } },
	{ "set preempt yes",
	    { ACTION_SET_PREEMPT, false, false, "", "carp", 0, 1 } },
	{ "set preempt no",
	    { ACTION_SET_PREEMPT, false, false, "", "carp", 0, 0 } },
	{ "enable", { ACTION_ENABLE, false, false, "", "carp", 0, 1 } },
	{ "dis", { ACTION_DISABLE, false, false, "", "carp", 0, 1 } },
	{ "reload", { ACTION_RELOAD, false, false, "", "carp", 0, 1 } },
	{ "log v", { ACTION_LOG, false, false, "", "carp", 0, 1 } },
	{ "log brief", { ACTION_LOG, false, false, "", "carp", 0, 0 } },
	{ "m", { ACTION_MONITOR, false, false, "", "carp", 0, 1 } },
	{ "sync now", { ACTION_SYNC_NOW, false, false, "", "carp", 0, 1 } },
	{ "sy f", { ACTION_SYNC_FLUSH, false, false, "", "carp", 0, 1 } }
};

static const struct {
	const char	*line;
	const char	*message;	/* part of it */
} bad[] = {
	{ "", "missing argument\nexpected: show, demote" },
	{ "s", "ambiguous argument: s" },
	{ "set carp0 adv 1", "ambiguous argument: adv" },
	{ "bogus", "unknown argument: bogus" },
	{ "show --chec", "unknown argument: --chec" },
	{ "show carp0 carp1", "expected: -j, --check" },
	{ "show carp0123456789abcde", "longer than 15 characters" },
	{ "show peers --check", "--check: only for" },
	{ "show --check -j", "-j: only for" },
	{ "show sync --check", "--check: only for" },
	{ "sync", "expected: now, flush" },
	{ "sync now flush", "unknown argument: flush" },
	{ "import", "expected: -f, -o, <file ...>" },
	{ "import -f -o dir", "missing argument" },
	{ "import -x", "unknown argument: -x" },
	{ "import a -f", "unknown argument: -f" },
	{ "demote 0", "expected 1 to 255" },
	{ "demote -1", "unknown argument: -1" },
	{ "demote x", "x: invalid, expected 1 to 255" },
	{ "demote -g", "missing argument\nexpected: <group>" },
	{ "demote 1 2", "unknown argument: 2\nexpected: nothing more" },
	{ "state", "expected: <interface>" },
	{ "state carp0 down", "expected: master, backup, init" },
	{ "set carp0 vhid 0 advskew 1", "expected 1 to 255" },
	{ "set carp0 vhid 1", "missing argument" },
	{ "set carp0 advskew 1 vhid", "missing argument" },
	{ "set carp0 advbase 1 vhid 1", "unknown argument" },
	{ "set carp0 advskew 255", "too large, expected 0 to 254" },
	{ "set carp0 advbase 255", "too large, expected 0 to 254" },
	{ "set carp0 -", "unknown argument: -" },
	{ "set carp0 -dmz", "unknown argument: -dmz" },
	{ "set carp0 -g dmz", "unknown argument: -g" },
	{ "set carp0 -group", "missing argument" },
	{ "set log 8", "too large, expected 0 to 7" },
	{ "set log verbose", "invalid, expected 0 to 7" },
	{ "up", "expected: <interface>" },
	{ "down carp0 carp1", "expected: nothing more" },
	{ "set carp0 vhid 3 group dmz", "vhid: only for" },
	{ "set preempt maybe", "expected: yes, no" },
	{ "log", "expected: verbose, brief" },
	{ "reload now", "unknown argument: now" }
};

START_TEST(test_good)
{
	struct tokens_result	 r = { .json = false };
	const struct tokens_result *want = &good[_i].r;
	char			*err = NULL;

	ck_assert_msg(parse(good[_i].line, &r, &err) == 0, "%s: %s",
	    good[_i].line, err);
	ck_assert_str_eq(err, "");
	ck_assert_int_eq(r.action, want->action);
	ck_assert_int_eq(r.json, want->json);
	ck_assert_int_eq(r.check, want->check);
	ck_assert_str_eq(r.name, want->name);
	ck_assert_str_eq(r.group, want->group);
	ck_assert_int_eq(r.vhid, want->vhid);
	ck_assert_int_eq(r.number, want->number);
	free(err);
}
END_TEST

START_TEST(test_bad)
{
	struct tokens_result	 r = { .json = false };
	char			*err = NULL;

	ck_assert_msg(parse(bad[_i].line, &r, &err) == -1, "%s: accepted",
	    bad[_i].line);
	ck_assert_msg(strstr(err, bad[_i].message) != NULL, "%s: %s",
	    bad[_i].line, err);
	free(err);
}
END_TEST

/* An empty word is no abbreviation of anything, and no name. */
START_TEST(test_empty_word)
{
	char			 show[] = "show", state[] = "state", none[] = "";
	char			*one[] = { show, none, NULL };
	char			*two[] = { state, none, NULL };
	struct tokens_result	 r = { .json = false };
	char			*err = NULL;
	size_t			 len;
	FILE			*f;

	ck_assert_ptr_nonnull(f = open_memstream(&err, &len));
	ck_assert_int_eq(tokens_parse(one, &r, f), -1);
	ck_assert_int_eq(tokens_parse(two, &r, f), -1);
	fclose(f);
	free(err);
}
END_TEST

/* -j before the command counts for show, and for nothing else. */
START_TEST(test_json_before)
{
	struct tokens_result	 r = { .json = true };
	char			*err = NULL;

	ck_assert_int_eq(parse("show peers", &r, &err), 0);
	ck_assert(r.json);
	free(err);
	ck_assert_int_eq(parse("show sync", &r, &err), 0);
	ck_assert(r.json);
	free(err);
	ck_assert_int_eq(parse("sync now", &r, &err), -1);
	free(err);
	ck_assert_int_eq(parse("enable", &r, &err), -1);
	ck_assert_ptr_nonnull(strstr(err, "-j: only for"));
	free(err);
}
END_TEST

START_TEST(test_import)
{
	char			 text[4][8] = { "import", "-o", "-f", "-f" };
	char			 first[] = "-", second[] = "b";
	char			*words[] = { text[0], text[1], text[2],
				    text[3], first, second, NULL };
	struct tokens_result	 r = { .json = false };

	ck_assert_int_eq(tokens_parse(words, &r, stderr), 0);
	ck_assert_int_eq(r.action, ACTION_IMPORT);
	ck_assert_str_eq(r.dir, "-f");
	ck_assert(r.force);
	ck_assert_ptr_eq(r.files, &words[4]);

	words[1] = second;
	words[2] = NULL;
	ck_assert_int_eq(tokens_parse(words, &r, stderr), 0);
	ck_assert_ptr_null(r.dir);
	ck_assert(!r.force);
	ck_assert_ptr_eq(r.files, &words[1]);
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"% show [-j] [--check] "
		    "[interface|demotion|counters|peers|history|sync]\n",
		"% demote [-g group] [number]\n",
		"% promote [-g group] [number]\n",
		"% state interface master|backup|init\n",
		"% set interface [vhid number] advskew number|advbase seconds|"
		    "group name|-group name\n",
		"% set preempt yes|no\n",
		"% enable\n", "% disable\n", "% reload\n",
		"% log verbose|brief\n", "% monitor\n",
		"% sync now|flush\n", "% doctor [-j]\n",
		"% import [-f] [-o directory] file ...\n",
		"% keygen [file]\n"
	};
	char	*text = NULL;
	size_t	 i, len;
	FILE	*f;

	ck_assert_ptr_nonnull(f = open_memstream(&text, &len));
	tokens_usage("% ", f);
	fclose(f);
	for (i = 0; i < NELEMS(lines); i++)
		ck_assert_msg(strstr(text, lines[i]) != NULL,
		    "no %sin:\n%s", lines[i], text);
	free(text);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("tokens");
	TCase	*tc = tcase_create("tokens");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, test_good, 0, NELEMS(good));
	tcase_add_loop_test(tc, test_bad, 0, NELEMS(bad));
	tcase_add_test(tc, test_empty_word);
	tcase_add_test(tc, test_json_before);
	tcase_add_test(tc, test_import);
	tcase_add_test(tc, test_usage);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
