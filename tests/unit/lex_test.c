/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/lex: tokens and their lines, macros, include, what is an error and
 * where, secrecy of files, limits.
 */
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/lex.h"
#include "files.h"

#define KW_LOG	300
#define KW_ON	301
#define CHAIN	20	/* more files than may include each other */

static const struct lex_keyword kw[] = {
	{ "log", KW_LOG }, { "on", KW_ON },
};

static char	 errors[64 * 1024];	/* one a line */
static char	 tokens[64 * 1024];

static void
add(const char *line, void *arg)
{
	strlcat(arg, line, sizeof(errors));
	strlcat(arg, "\n", sizeof(errors));
}

static struct lex *
new(void)
{
	errors[0] = '\0';
	return (lex_new(kw, 2, add, errors));
}

/* Everything up to the end as text, "line:type(text)" each. */
static const char *
drain(struct lex *l)
{
	static const char *const	 names[] = { "eof", "nl", "k", "w",
		"s", "n", "c", "error" };
	struct lex_token		 t;
	char				 buf[512];

	tokens[0] = '\0';
	do {
		lex_next(l, &t);
		if (t.type == LEX_NEWLINE || t.type == LEX_EOF)
			snprintf(buf, sizeof(buf), "%d:%s", t.line,
			    names[t.type]);
		else
			snprintf(buf, sizeof(buf), "%d:%s(%s) ", t.line,
			    names[t.type], t.type == LEX_ERROR ? "" : t.text);
		if (t.type == LEX_NEWLINE)
			strlcat(buf, " ", sizeof(buf));
		strlcat(tokens, buf, sizeof(tokens));
	} while (t.type != LEX_EOF);
	ck_assert_int_eq(lex_next(l, &t), LEX_EOF);
	return (tokens);
}

static void
expect(const char *text, const char *want, const char *errs)
{
	struct lex	*l = new();

	ck_assert_int_eq(lex_open_mem(l, "m", text, strlen(text)), 0);
	ck_assert_str_eq(drain(l), want);
	ck_assert_str_eq(errors, errs);
	ck_assert_int_eq(lex_errors(l) > 0, errs[0] != '\0');
	lex_free(l);
}

START_TEST(token_kinds)
{
	expect("", "1:eof", "");
	expect("\n\n", "1:nl 2:nl 3:eof", "");
	expect("a", "1:w(a) 1:nl 1:eof", "");
	expect("log on logs", "1:k(log) 1:k(on) 1:w(logs) 1:nl 1:eof", "");
	expect("10.0.0.1/24 fe80::1%e eth0.5 a_b-c:d/e*f+g@h",
	    "1:w(10.0.0.1/24) 1:w(fe80::1%e) 1:w(eth0.5) "
	    "1:w(a_b-c:d/e*f+g@h) 1:nl 1:eof", "");
	expect("a{b}c,(=)", "1:w(a) 1:c({) 1:w(b) 1:c(}) 1:w(c) 1:c(,) "
	    "1:c(() 1:c(=) 1:c()) 1:nl 1:eof", "");
	expect(" \t a # b\n# c\n", "1:w(a) 1:nl 2:nl 3:eof", "");
	expect("a \r\nb\r\n", "1:w(a) 1:nl 2:w(b) 2:nl 3:eof", "");
	expect("a \\\n b \\\r\n c\nd", "1:w(a) 2:w(b) 3:w(c) 3:nl 4:w(d) "
	    "4:nl 4:eof", "");
	expect("# a \\\n b\nc", "2:nl 3:w(c) 3:nl 3:eof", "");
	expect("a\\\nb", "1:w(ab) 2:nl 2:eof", "");
}
END_TEST

START_TEST(strings)
{
	expect("\"\"", "1:s() 1:nl 1:eof", "");
	expect("\"a b\"\"log\"", "1:s(a b) 1:s(log) 1:nl 1:eof", "");
	expect("\"#$x{\" # y", "1:s(#$x{) 1:nl 1:eof", "");
	expect("\"\\\"a\\\\\\n\" b", "1:s(\"a\\\\n) 1:w(b) 1:nl 1:eof", "");
	expect("\"a\\\nb\" c", "1:s(ab) 2:w(c) 2:nl 2:eof", "");
	expect("\"a\\\\\nb", "1:error() 1:nl 2:w(b) 2:nl 2:eof",
	    "m:1: a quoted string does not end on its line: \" is missing\n");
	expect("x\n\"a", "1:w(x) 1:nl 2:error() 2:nl 2:eof",
	    "m:2: a quoted string does not end on its line: \" is missing\n");
	expect("\"a\033[1m\" b", "1:error() 1:w(b) 1:nl 1:eof",
	    "m:1: a control character in a quoted string\n");
	expect("\"\303\244\t\"", "1:s(\303\244\t) 1:nl 1:eof", "");
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		const char	*text;
		enum lex_type	 type;
		int64_t		 number;
	} t[] = {
		{ "0", LEX_NUMBER, 0 },
		{ "007", LEX_NUMBER, 7 },
		{ "-1", LEX_NUMBER, -1 },
		{ "9223372036854775807", LEX_NUMBER, INT64_MAX },
		{ "-9223372036854775808", LEX_NUMBER, INT64_MIN },
		{ "9223372036854775808", LEX_WORD, 0 },
		{ "1s", LEX_WORD, 0 },
		{ "-", LEX_WORD, 0 },
		{ "--1", LEX_WORD, 0 },
		{ "+1", LEX_WORD, 0 },
		{ "1.0", LEX_WORD, 0 },
		{ "0x10", LEX_WORD, 0 },
	};
	struct lex_token	 tok;
	struct lex		*l;
	size_t			 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		l = new();
		lex_open_mem(l, "m", t[i].text, strlen(t[i].text));
		ck_assert_msg(lex_next(l, &tok) == t[i].type, "%s", t[i].text);
		ck_assert_str_eq(tok.text, t[i].text);
		if (tok.type == LEX_NUMBER)
			ck_assert(tok.number == t[i].number);
		lex_free(l);
	}
}
END_TEST

START_TEST(keyword_tokens)
{
	struct lex_token	 tok;
	struct lex		*l = new();

	lex_open_mem(l, "m", "log on {", 8);
	ck_assert_int_eq(lex_next(l, &tok), LEX_KEYWORD);
	ck_assert_int_eq(tok.token, KW_LOG);
	ck_assert_int_eq(lex_next(l, &tok), LEX_KEYWORD);
	ck_assert_int_eq(tok.token, KW_ON);
	ck_assert_int_eq(lex_next(l, &tok), LEX_CHAR);
	ck_assert_int_eq(tok.token, '{');
	lex_free(l);
}
END_TEST

START_TEST(bad_bytes)
{
	expect("a#b\nc", "1:error() 1:nl 2:w(c) 2:nl 2:eof",
	    "m:1: a # right behind a word: put a blank before a comment, or "
	    "quotes around a value with a #\n");
	expect("\001 \303\244 b", "1:error() 1:error() 1:w(b) 1:nl 1:eof",
	    "m:1: byte 0x01 outside of quotes and comments\n"
	    "m:1: byte 0xc3 outside of quotes and comments\n");
	expect("# \303\244 \001\n", "1:nl 2:eof", "");
}
END_TEST

START_TEST(macros)
{
	expect("a = \"x y\"\nb=z\nc = 7\n$a $b$c.\n",
	    "1:nl 2:nl 3:nl 4:w(x) 4:w(y) 4:w(z) 4:n(7) 4:w(.) 4:nl 5:eof",
	    "");
	/* keywords, numbers, braces and strings come out of a macro */
	expect("a = \"log { 1 \\\"q r\\\" }\"\n  $a",
	    "1:nl 2:k(log) 2:c({) 2:n(1) 2:s(q r) 2:c(}) 2:nl 2:eof", "");
	expect("a = 1\nb = $a\na = $a\na = $b # c\n$a",
	    "1:nl 2:nl 3:nl 4:nl 5:n(1) 5:nl 5:eof", "");
	expect("a = 1\na = 2\n$a", "1:nl 2:nl 3:n(2) 3:nl 3:eof", "");
	expect("a = \"\"\n$a $a", "1:nl 2:nl 2:eof", "");
	/* only at the start of a line */
	expect("x a = 1", "1:w(x) 1:w(a) 1:c(=) 1:n(1) 1:nl 1:eof", "");
	/* an end of line within a joined one does not start one */
	expect("x \\\na = 1", "1:w(x) 2:w(a) 2:c(=) 2:n(1) 2:nl 2:eof", "");
	/* include and definitions are not found in a macro */
	expect("a = \"include b = 1\"\n$a", "1:nl 2:w(include) 2:w(b) 2:c(=) "
	    "2:n(1) 2:nl 2:eof", "");
}
END_TEST

START_TEST(macro_errors)
{
	expect("$a b", "1:error() 1:w(b) 1:nl 1:eof",
	    "m:1: macro a is not defined; write a = \"VALUE\" above\n");
	expect("$ b", "1:error() 1:w(b) 1:nl 1:eof",
	    "m:1: $ without the name of a macro; put quotes around a value "
	    "with a $\n");
	expect("log = 1\nx", "1:nl 2:w(x) 2:nl 2:eof",
	    "m:1: no = after log; only macros are written NAME = \"VALUE\", "
	    "and log cannot be the name of one\n");
	expect("a.b = 1", "1:nl 1:eof", "m:1: a.b cannot be the name of a "
	    "macro: letters, digits and _ only\n");
	expect("1a = 1", "1:nl 1:eof", "m:1: 1a cannot be the name of a "
	    "macro: letters, digits and _ only\n");
	/* one mistake, one message: a is defined all the same */
	expect("a = 1 2\n$a", "1:nl 2:nl 2:eof", "m:1: macro a has more "
	    "than one value: quote the whole, a = \"ONE TWO\"\n");
	expect("a =\n$a", "1:nl 2:nl 2:eof",
	    "m:1: macro a needs a value: a = \"VALUE\"\n");
	expect("a = 1\nb = \"$a\"\n$b", "1:nl 2:nl 3:error() 3:w(a) 3:nl "
	    "3:eof", "m:3: a macro holds a $: a macro in a macro is not "
	    "possible, a $ itself needs quotes: \"\\\"a$b\\\"\"\n");
	expect("a = \"x # y\"\n$a", "1:nl 2:w(x) 2:error() 2:w(y) 2:nl 2:eof",
	    "m:2: a macro holds a # outside of quotes: write "
	    "\"\\\"a#b\\\"\"\n");
}
END_TEST

START_TEST(defines)
{
	static const char *const	 bad[] = { "a", "", "=1", "1a=1",
		"a b=1", "log=1", "a=\n", "a-b=1" };
	struct lex			*l = new();
	size_t				 i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(lex_define(l, bad[i]) == -1, "%s", bad[i]);
	ck_assert_int_eq(lex_define(l, "a=from -D"), 0);
	ck_assert_int_eq(lex_define(l, "b="), 0);
	ck_assert_int_eq(lex_define(l, "c=x=y"), 0);
	ck_assert_int_eq(lex_define(l, "unused=1"), 0);
	lex_open_mem(l, "m", "a = file\nd = 1\n$a $b $c", 23);
	ck_assert_str_eq(drain(l), "1:nl 2:nl 3:w(from) 3:w(-D) 3:w(x) "
	    "3:c(=) 3:w(y) 3:nl 3:eof");
	ck_assert_int_eq(lex_errors(l), 0);
	lex_unused(l, add, errors);
	ck_assert_str_eq(errors, "-D unused: the macro is never used\n"
	    "m:2: macro d is never used\n");
	lex_free(l);
}
END_TEST

/* files */

static void
remove_dir(void)
{
	static const char *const	 names[] = { "a", "b", "sub/b", "sub/c",
		"fifo" };
	char				 name[8];
	size_t				 i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path(names[i]));
	for (i = 0; i < CHAIN; i++) {
		snprintf(name, sizeof(name), "d%zu", i);
		unlink(path(name));
	}
	rmdir(path("sub"));
	rmdir(dir);
}

START_TEST(includes)
{
	struct lex	*l = new();

	ck_assert_int_eq(mkdir(path("sub"), 0700), 0);
	put("a", "one\ninclude \"sub/b\"\n$x\n", 0600);
	put("sub/b", "two\n  include \"c\" # beside this one\nfour", 0600);
	put("sub/c", "x = \"three\"", 0600);
	ck_assert_int_eq(lex_open(l, path("a")), 0);
	ck_assert_str_eq(drain(l), "1:w(one) 1:nl 1:w(two) 1:nl 1:nl 2:nl "
	    "3:w(four) 3:nl 2:nl 3:w(three) 3:nl 4:eof");
	ck_assert_str_eq(errors, "");
	ck_assert_str_eq(lex_file(l), path("a"));
	lex_free(l);
}
END_TEST

START_TEST(include_errors)
{
	char		 want[12 * PATH_MAX];
	struct lex	*l = new();

	ck_assert_int_eq(mkfifo(path("fifo"), 0600), 0);
	put("a", "include\ninclude b\ninclude \"b\" c\ninclude \"a\"\n"
	    "include \"none\"\ninclude \"fifo\"\ninclude \"b\nend\n", 0600);
	ck_assert_int_eq(lex_open(l, path("a")), 0);
	ck_assert_str_eq(drain(l), "1:nl 2:nl 3:nl 4:nl 5:nl 6:nl 7:nl "
	    "8:w(end) 8:nl 9:eof");
	snprintf(want, sizeof(want),
	    "%s/a:1: include needs a file name in quotes: include \"FILE\"\n"
	    "%s/a:2: include needs a file name in quotes: include \"FILE\"\n"
	    "%s/a:3: include \"FILE\" must be alone on its line\n"
	    "%s/a:4: cannot include %s/a: it includes itself\n"
	    "%s/a:5: cannot include %s/none: No such file or directory\n"
	    "%s/a:6: cannot include %s/fifo: not a regular file\n"
	    "%s/a:7: a quoted string does not end on its line: "
	    "\" is missing\n", dir, dir, dir, dir, dir, dir, dir, dir, dir,
	    dir);
	ck_assert_str_eq(errors, want);
	ck_assert_int_eq(lex_errors(l), 7);
	lex_free(l);
}
END_TEST

START_TEST(open_errors)
{
	char		 want[PATH_MAX + 64];
	struct lex	*l = new();

	ck_assert_int_eq(lex_open(l, path("none")), -1);
	snprintf(want, sizeof(want), "%s: No such file or directory\n",
	    path("none"));
	ck_assert_str_eq(errors, want);
	ck_assert_str_eq(drain(l), "0:eof");
	errors[0] = '\0';
	ck_assert_int_eq(lex_open(l, dir), -1);
	snprintf(want, sizeof(want), "%s: Is a directory\n", dir);
	ck_assert_str_eq(errors, want);
	errors[0] = '\0';
	ck_assert_int_eq(lex_open_mem(l, "m", "a\0b", 3), -1);
	ck_assert_str_eq(errors, "m: not a text file\n");
	errors[0] = '\0';
	ck_assert_int_eq(lex_open(l, "/dev/zero"), -1);
	ck_assert_str_eq(errors, "/dev/zero: larger than 1 MB\n");
	ck_assert_int_eq(lex_errors(l), 4);
	lex_free(l);
}
END_TEST

START_TEST(many_includes)
{
	struct lex	*l = new();
	char		 text[512 * 16] = "";
	int		 i;

	put("b", "x\n", 0600);
	for (i = 0; i < 300; i++)
		strlcat(text, "include \"b\"\n", sizeof(text));
	put("a", text, 0600);
	ck_assert_int_eq(lex_open(l, path("a")), 0);
	drain(l);
	ck_assert_ptr_nonnull(strstr(errors, "more than 256 files"));
	ck_assert_int_eq(lex_errors(l), 300 - 255);
	lex_free(l);
}
END_TEST

/* The seventeenth file of a chain. */
START_TEST(deep_includes)
{
	struct lex	*l = new();
	char		 name[8], text[32];
	int		 i;

	for (i = 0; i < CHAIN; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		snprintf(text, sizeof(text), "include \"d%d\"\n", i + 1);
		put(name, text, 0600);
	}
	ck_assert_int_eq(lex_open(l, path("d0")), 0);
	drain(l);
	ck_assert_ptr_nonnull(strstr(errors, "d15:1: cannot include "));
	ck_assert_ptr_nonnull(strstr(errors, "d16: more than 16 files deep"));
	ck_assert_int_eq(lex_errors(l), 1);
	lex_free(l);
}
END_TEST

START_TEST(secrecy)
{
	static const struct {
		mode_t	 mode;
		bool	 secret;
	} t[] = {
		{ 0600, true }, { 0400, true }, { 0700, true },
		{ 0640, false }, { 0620, false }, { 0604, false },
		{ 0602, false }, { 0644, false }, { 0666, false },
	};
	struct lex_token	 tok;
	struct stat		 st;
	struct lex		*l;
	size_t			 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		put("a", "x", t[i].mode);
		l = new();
		ck_assert_int_eq(lex_open(l, path("a")), 0);
		lex_next(l, &tok);
		ck_assert_msg((lex_secrecy(l) == NULL) == t[i].secret, "%o",
		    t[i].mode);
		lex_free(l);
	}
	l = new();
	lex_open_mem(l, "m", "x", 1);
	lex_next(l, &tok);
	ck_assert_ptr_null(lex_secrecy(l));
	lex_free(l);

	memset(&st, 0, sizeof(st));
	st.st_mode = S_IFREG | 0600;
	ck_assert_ptr_null(lex_secrecy_of(&st));
	st.st_uid = geteuid();
	ck_assert_ptr_null(lex_secrecy_of(&st));
	st.st_uid = geteuid() + 1;
	ck_assert_ptr_nonnull(lex_secrecy_of(&st));
}
END_TEST

/* Text is as secret as the least secret file it came through. */
START_TEST(secrecy_of_macros)
{
	struct lex_token	 tok;
	struct lex		*l = new();

	put("a", "include \"b\"\nd = $c\n$d\nx\n", 0600);
	put("b", "c = 1\ny\n", 0644);
	ck_assert_int_eq(lex_open(l, path("a")), 0);
	while (lex_next(l, &tok) != LEX_WORD)
		;
	ck_assert_str_eq(tok.text, "y");
	ck_assert_ptr_nonnull(lex_secrecy(l));
	while (lex_next(l, &tok) != LEX_NUMBER)
		;
	ck_assert_ptr_nonnull(lex_secrecy(l));
	while (lex_next(l, &tok) != LEX_WORD)
		;
	ck_assert_str_eq(tok.text, "x");
	ck_assert_ptr_null(lex_secrecy(l));
	lex_free(l);
}
END_TEST

START_TEST(beside)
{
	static const struct {
		const char	*file;
		const char	*name;
		const char	*want;
	} t[] = {
		{ "/etc/carpd.conf", "x", "/etc/x" },
		{ "/etc/carpd.conf", "/x", "/x" },
		{ "carpd.conf", "x", "x" },
		{ "a/b", "c/d", "a/c/d" },
		{ "/b", "c", "/c" },
	};
	size_t	 i;
	char	*p;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		p = lex_beside(t[i].file, t[i].name);
		ck_assert_str_eq(p, t[i].want);
		free(p);
	}
}
END_TEST

/* A message is one line, whatever bytes the file holds. */
START_TEST(messages)
{
	struct lex	*l = new();

	lex_error(l, "nowhere yet");
	lex_error_at(l, "a\nb", 7, "x %s", "\033[1m\177\n");
	ck_assert_str_eq(errors, "nowhere yet\na?b:7: x ?[1m??\n");
	ck_assert_int_eq(lex_errors(l), 2);
	lex_free(l);
	lex_free(NULL);
}
END_TEST

START_TEST(long_token)
{
	size_t			 n = 100 * 1000;
	char			*text = malloc(n + 1);
	struct lex_token	 tok;
	struct lex		*l = new();

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', n);
	lex_open_mem(l, "m", text, n);
	ck_assert_int_eq(lex_next(l, &tok), LEX_WORD);
	ck_assert_uint_eq(strlen(tok.text), n);
	lex_free(l);
	free(text);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("lex");
	TCase	*tc = tcase_create("lex"), *files = tcase_create("files");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, token_kinds);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, keyword_tokens);
	tcase_add_test(tc, bad_bytes);
	tcase_add_test(tc, macros);
	tcase_add_test(tc, macro_errors);
	tcase_add_test(tc, defines);
	tcase_add_test(tc, beside);
	tcase_add_test(tc, messages);
	tcase_add_test(tc, long_token);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(files, make_dir, remove_dir);
	tcase_add_test(files, includes);
	tcase_add_test(files, include_errors);
	tcase_add_test(files, open_errors);
	tcase_add_test(files, many_includes);
	tcase_add_test(files, deep_includes);
	tcase_add_test(files, secrecy);
	tcase_add_test(files, secrecy_of_macros);
	suite_add_tcase(s, files);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
