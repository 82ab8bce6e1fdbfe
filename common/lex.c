/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The lexer that every OpenBSD daemon carries at the end of its parse.y,
 * written once: tokens, macros, include, places for messages.  It knows no
 * grammar and keeps no globals.  A file is read whole before its first token,
 * so that looking ahead is a matter of remembering an offset.
 *
 * A macro's value is read as tokens again, as in pf.conf(5), with two
 * differences that keep it harmless: it holds no other macro, and no comment
 * (a pass with a # in it would be cut short without a word).
 */
#include <sys/queue.h>
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lex.h"
#include "log.h"

#define LEX_DEPTH_MAX	16		/* files within files */
#define LEX_FILES_MAX	256		/* files in all */
#define LEX_FILE_MAX	(1024 * 1024)	/* bytes of one file */
#define LEX_MSG_MAX	1024		/* one message, with its NUL */

struct source {
	struct source	*up;
	const char	*name;
	char		*text;
	size_t		 len;
	size_t		 pos;
	int		 line;
	bool		 start;		/* nothing but blanks on this line */
	bool		 macro;		/* name and line are the user's */
	const char	*exposed;	/* what lex_secrecy() says */
	dev_t		 dev;
	ino_t		 ino;		/* 0: memory */
};

struct macro {
	TAILQ_ENTRY(macro) entry;
	char		*name;
	char		*value;
	const char	*file;		/* NULL: -D */
	int		 line;
	const char	*exposed;
	bool		 used;
};

/* File names live as long as the lexer: messages may come late. */
struct filename {
	SLIST_ENTRY(filename) entry;
	char		*name;
};

struct lex {
	const struct lex_keyword *kw;
	size_t		 nkw;
	lex_error_cb	 cb;
	void		*arg;
	struct source	*src;
	TAILQ_HEAD(macro_head, macro) macros;
	SLIST_HEAD(filename_head, filename) names;
	int		 depth;
	int		 nfiles;
	int		 errors;
	char		*text;		/* of the current token */
	size_t		 textlen;
	size_t		 textsize;
	const char	*file;		/* where it began */
	int		 line;
	const char	*exposed;
};

struct place {
	size_t		 pos;
	int		 line;
};

static void *
must(void *p)
{
	if (p == NULL)
		fatal("configuration");
	return (p);
}

static void
wipe_free(char *s)
{
	if (s != NULL)
		freezero(s, strlen(s) + 1);
}

static bool
is_word(int c)
{
	return (c != EOF && c < 0x80 &&
	    (isalnum(c) || (c != '\0' && strchr("_-.:/*+@%", c) != NULL)));
}

static bool
is_name(int c)
{
	return (c != EOF && c < 0x80 && (isalnum(c) || c == '_'));
}

static bool
is_control(int c)
{
	return ((c >= 0 && c < 0x20 && c != '\t') || c == 0x7f);
}

/* Where the next token is going to be. */
static void
set_place(struct lex *l)
{
	const struct source	*s = l->src;

	if (s == NULL)
		return;
	l->file = s->name;
	l->line = s->line;
	l->exposed = s->exposed;
}

struct lex *
lex_new(const struct lex_keyword *kw, size_t nkw, lex_error_cb cb, void *arg)
{
	struct lex	*l = must(calloc(1, sizeof(*l)));

	l->kw = kw;
	l->nkw = nkw;
	l->cb = cb;
	l->arg = arg;
	TAILQ_INIT(&l->macros);
	SLIST_INIT(&l->names);
	l->textsize = 64;
	l->text = must(calloc(1, l->textsize));
	return (l);
}

static void
pop(struct lex *l)
{
	struct source	*s = l->src;

	l->src = s->up;
	if (!s->macro)
		l->depth--;
	freezero(s->text, s->len + 1);
	free(s);
}

static void
macro_free(struct lex *l, struct macro *m)
{
	TAILQ_REMOVE(&l->macros, m, entry);
	free(m->name);
	wipe_free(m->value);
	free(m);
}

void
lex_free(struct lex *l)
{
	struct filename	*n;

	if (l == NULL)
		return;
	while (l->src != NULL)
		pop(l);
	while (!TAILQ_EMPTY(&l->macros))
		macro_free(l, TAILQ_FIRST(&l->macros));
	while ((n = SLIST_FIRST(&l->names)) != NULL) {
		SLIST_REMOVE_HEAD(&l->names, entry);
		free(n->name);
		free(n);
	}
	freezero(l->text, l->textsize);
	free(l);
}

/* messages */

static void __attribute__((format(printf, 4, 0)))
report(struct lex *l, const char *file, int line, const char *fmt, va_list ap)
{
	char	 buf[LEX_MSG_MAX];
	size_t	 i;
	int	 n = 0;

	if (file != NULL)
		n = snprintf(buf, sizeof(buf), "%s:%d: ", file, line);
	if (n >= 0 && (size_t)n < sizeof(buf))
		vsnprintf(buf + n, sizeof(buf) - (size_t)n, fmt, ap);
	/* The file's bytes shall not steer a terminal. */
	for (i = 0; buf[i] != '\0'; i++)
		if (iscntrl((unsigned char)buf[i]))
			buf[i] = '?';
	l->errors++;
	if (l->cb != NULL)
		l->cb(buf, l->arg);
}

void
lex_error(struct lex *l, const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	report(l, l->file, l->line, fmt, ap);
	va_end(ap);
}

void
lex_error_at(struct lex *l, const char *file, int line, const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	report(l, file, line, fmt, ap);
	va_end(ap);
}

int
lex_errors(const struct lex *l)
{
	return (l->errors);
}

const char *
lex_file(const struct lex *l)
{
	return (l->file);
}

const char *
lex_secrecy(const struct lex *l)
{
	return (l->exposed);
}

const char *
lex_secrecy_of(const struct stat *st)
{
	if (st->st_mode & (S_IRWXG | S_IRWXO))
		return ("group or others may read or write it; chmod 600 it");
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return ("its owner is neither root nor the caller; "
		    "chown root it");
	return (NULL);
}

/* sources */

static const char *
intern(struct lex *l, const char *name)
{
	struct filename	*n = must(calloc(1, sizeof(*n)));

	n->name = must(strdup(name));
	SLIST_INSERT_HEAD(&l->names, n, entry);
	return (n->name);
}

/* text has room for one byte more than len; it is taken over. */
static struct source *
push(struct lex *l, const char *name, char *text, size_t len)
{
	struct source	*s = must(calloc(1, sizeof(*s)));

	s->up = l->src;
	s->name = name;
	s->text = text;
	s->len = len;
	s->text[len] = '\0';
	s->line = 1;
	s->start = true;
	l->src = s;
	return (s);
}

static void
push_file(struct lex *l, const char *name, char *text, size_t len,
    const struct stat *st)
{
	struct source	*s = push(l, intern(l, name), text, len);

	l->depth++;
	l->nfiles++;
	if (st == NULL)
		return;
	s->exposed = lex_secrecy_of(st);
	s->dev = st->st_dev;
	s->ino = st->st_ino;
}

static const char *
binary(const char *text, size_t len)
{
	return (memchr(text, '\0', len) != NULL ? "not a text file" : NULL);
}

int
lex_open_mem(struct lex *l, const char *name, const char *text, size_t len)
{
	const char	*why = binary(text, len);
	char		*copy;

	if (why != NULL) {
		lex_error_at(l, NULL, 0, "%s: %s", name, why);
		return (-1);
	}
	copy = must(malloc(len + 1));
	memcpy(copy, text, len);
	push_file(l, name, copy, len, NULL);
	return (0);
}

/*
 * A file that is a pipe without a writer must not hold a daemon: O_NONBLOCK
 * for the open, not for the reads, so that -f /dev/stdin waits for its text.
 */
static int
open_text(const char *path, struct stat *st)
{
	int	 fd, flags;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1)
		return (-1);
	if (fstat(fd, st) == -1 || (flags = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == -1) {
		close(fd);
		return (-1);
	}
	return (fd);
}

/* The whole file, or NULL and why. */
static char *
read_text(int fd, size_t *len, const char **why)
{
	char	*text = must(malloc(LEX_FILE_MAX + 1)), *fit;
	ssize_t	 n;

	*len = 0;
	*why = NULL;
	for (;;) {
		n = read(fd, text + *len, LEX_FILE_MAX + 1 - *len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*len += (size_t)n;
		if (*len > LEX_FILE_MAX)
			break;
	}
	if (n == -1)
		*why = strerror(errno);
	else if (*len > LEX_FILE_MAX)
		*why = "larger than 1 MB";
	else
		*why = binary(text, *len);
	fit = NULL;
	if (*why == NULL) {
		fit = must(malloc(*len + 1));
		memcpy(fit, text, *len);
	}
	explicit_bzero(text, *len);
	free(text);
	return (fit);
}

static bool
is_open(const struct lex *l, const struct stat *st)
{
	const struct source	*s;

	for (s = l->src; s != NULL; s = s->up)
		if (s->ino != 0 && s->dev == st->st_dev &&
		    s->ino == st->st_ino)
			return (true);
	return (false);
}

static int
open_failed(struct lex *l, const char *path, const char *why)
{
	if (l->src == NULL)
		lex_error_at(l, NULL, 0, "%s: %s", path, why);
	else
		lex_error(l, "cannot include %s: %s", path, why);
	return (-1);
}

int
lex_open(struct lex *l, const char *path)
{
	const char	*why;
	struct stat	 st;
	char		*text;
	size_t		 len;
	int		 fd;

	if (l->depth >= LEX_DEPTH_MAX)
		return (open_failed(l, path, "more than 16 files deep"));
	if (l->nfiles >= LEX_FILES_MAX)
		return (open_failed(l, path, "more than 256 files"));
	if ((fd = open_text(path, &st)) == -1)
		return (open_failed(l, path, strerror(errno)));
	/* Only the operator's own -f may be a pipe or a terminal. */
	if (l->src != NULL && !S_ISREG(st.st_mode))
		text = NULL, why = "not a regular file";
	else if (is_open(l, &st))
		text = NULL, why = "it includes itself";
	else
		text = read_text(fd, &len, &why);
	close(fd);
	if (text == NULL)
		return (open_failed(l, path, why));
	push_file(l, path, text, len, &st);
	return (0);
}

/* characters */

/* Over each \ that ends a line. */
static void
join_lines(struct source *s)
{
	const char	*p;
	size_t		 n;

	for (;;) {
		p = s->text + s->pos;	/* NUL-terminated */
		n = p[0] != '\\' ? 0 : p[1] == '\n' ? 2 :
		    p[1] == '\r' && p[2] == '\n' ? 3 : 0;
		if (n == 0)
			return;
		s->pos += n;
		s->line++;
	}
}

/* The next one, or EOF at the end of the source. */
static int
get(struct lex *l)
{
	struct source	*s = l->src;

	if (s == NULL)
		return (EOF);
	join_lines(s);
	if (s->pos >= s->len)
		return (EOF);
	return ((unsigned char)s->text[s->pos++]);
}

static struct place
here(const struct lex *l)
{
	if (l->src == NULL)
		return ((struct place){ 0, 0 });
	return ((struct place){ l->src->pos, l->src->line });
}

static void
back(struct lex *l, struct place p)
{
	if (l->src == NULL)
		return;
	l->src->pos = p.pos;
	l->src->line = p.line;
}

static int
peek(struct lex *l)
{
	struct place	 p = here(l);
	int		 c = get(l);

	back(l, p);
	return (c);
}

static bool
is_blank(int c)
{
	return (c == ' ' || c == '\t' || c == '\r');
}

static void
skip_blanks(struct lex *l)
{
	while (is_blank(peek(l)))
		get(l);
	if (l->src != NULL)
		join_lines(l->src);
}

/* To the end of the line, but not over it. */
static void
skip_line(struct lex *l)
{
	int	 c;

	while ((c = peek(l)) != '\n' && c != EOF)
		get(l);
}

/* Is the rest of the line empty?  It is skipped in any case. */
static bool
rest_empty(struct lex *l)
{
	int	 c;

	skip_blanks(l);
	c = peek(l);
	skip_line(l);
	return (c == '\n' || c == EOF || c == '#');
}

/* the token's text */

static void
text_start(struct lex *l)
{
	explicit_bzero(l->text, l->textlen);
	l->textlen = 0;
}

static void
text_add(struct lex *l, int c)
{
	if (l->textlen + 1 >= l->textsize) {
		l->text = must(recallocarray(l->text, l->textsize,
		    l->textsize * 2, 1));
		l->textsize *= 2;
	}
	l->text[l->textlen++] = (char)c;
	l->text[l->textlen] = '\0';
}

static void
read_while(struct lex *l, bool (*is)(int))
{
	text_start(l);
	while (is(peek(l)))
		text_add(l, get(l));
}

/* After the opening quote. */
static bool
read_string(struct lex *l)
{
	struct source	*s = l->src;
	bool		 clean = true;
	int		 c;

	text_start(l);
	while ((c = get(l)) != '"') {
		if (c == EOF || c == '\n') {
			if (c == '\n')
				s->pos--;
			lex_error(l, "a quoted string does not end on its "
			    "line: \" is missing");
			return (false);
		}
		/* \" and \\ stand for the second one, else \ is itself. */
		if (c == '\\' && (s->text[s->pos] == '"' ||
		    s->text[s->pos] == '\\'))
			c = (unsigned char)s->text[s->pos++];
		if (is_control(c))
			clean = false;
		text_add(l, c);
	}
	if (!clean)
		lex_error(l, "a control character in a quoted string");
	return (clean);
}

void
lex_print_quoted(const char *s, FILE *f)
{
	fputc('"', f);
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

/* macros */

static struct macro *
macro_find(const struct lex *l, const char *name)
{
	struct macro	*m;

	TAILQ_FOREACH(m, &l->macros, entry)
		if (strcmp(m->name, name) == 0)
			return (m);
	return (NULL);
}

static struct macro *
macro_set(struct lex *l, const char *name, const char *value)
{
	struct macro	*m = macro_find(l, name);
	char		*copy = must(strdup(value));	/* may be m's own */

	if (m == NULL) {
		m = must(calloc(1, sizeof(*m)));
		m->name = must(strdup(name));
		TAILQ_INSERT_TAIL(&l->macros, m, entry);
	}
	wipe_free(m->value);
	m->value = copy;
	return (m);
}

static const struct lex_keyword *
find_keyword(const struct lex *l, const char *word)
{
	size_t	 lo = 0, hi = l->nkw, mid;
	int	 d;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((d = strcmp(word, l->kw[mid].word)) == 0)
			return (&l->kw[mid]);
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (NULL);
}

static bool
good_name(const char *s)
{
	if (*s == '\0' || isdigit((unsigned char)*s))
		return (false);
	while (is_name((unsigned char)*s))
		s++;
	return (*s == '\0');
}

int
lex_define(struct lex *l, const char *assignment)
{
	const char	*eq = strchr(assignment, '='), *p;
	char		*name;
	int		 ret = -1;

	if (eq == NULL)
		return (-1);
	for (p = eq + 1; *p != '\0'; p++)
		if (is_control((unsigned char)*p))
			return (-1);
	name = must(strndup(assignment, (size_t)(eq - assignment)));
	if (good_name(name) && find_keyword(l, name) == NULL) {
		macro_set(l, name, eq + 1)->file = NULL;
		ret = 0;
	}
	free(name);
	return (ret);
}

void
lex_unused(struct lex *l, void (*cb)(const char *, void *), void *arg)
{
	char		 buf[LEX_MSG_MAX];
	struct macro	*m;

	TAILQ_FOREACH(m, &l->macros, entry) {
		if (m->used)
			continue;
		if (m->file != NULL)
			snprintf(buf, sizeof(buf), "%s:%d: macro %s is "
			    "never used", m->file, m->line, m->name);
		else
			snprintf(buf, sizeof(buf), "-D %s: the macro is never "
			    "used", m->name);
		cb(buf, arg);
	}
}

/* After the $: the macro, or NULL. */
static struct macro *
read_macro(struct lex *l)
{
	struct macro	*m;

	read_while(l, is_name);
	if (l->textlen == 0) {
		lex_error(l, "$ without the name of a macro; put quotes "
		    "around a value with a $");
		return (NULL);
	}
	if ((m = macro_find(l, l->text)) == NULL) {
		lex_error(l, "macro %s is not defined; write %s = \"VALUE\" "
		    "above", l->text, l->text);
		return (NULL);
	}
	m->used = true;
	return (m);
}

static bool
expand(struct lex *l)
{
	struct source	*s = l->src, *e;
	struct macro	*m;

	if (s->macro) {
		lex_error(l, "a macro holds a $: a macro in a macro is not "
		    "possible, a $ itself needs quotes: \"\\\"a$b\\\"\"");
		return (false);
	}
	if ((m = read_macro(l)) == NULL)
		return (false);
	e = push(l, s->name, must(strdup(m->value)), strlen(m->value));
	e->macro = true;
	e->start = false;
	e->line = s->line;
	e->exposed = s->exposed != NULL ? s->exposed : m->exposed;
	return (true);
}

/* NAME = was read: one value, to the end of the line. */
static void
define(struct lex *l, const char *name)
{
	struct macro	*m, *other = NULL;
	bool		 ok;
	int		 c;

	skip_blanks(l);
	c = peek(l);
	if (c == '"') {
		get(l);
		ok = read_string(l);
	} else if (c == '$') {
		get(l);
		ok = (other = read_macro(l)) != NULL;
	} else {
		read_while(l, is_word);
		if (!(ok = l->textlen > 0))
			lex_error(l, "macro %s needs a value: %s = \"VALUE\"",
			    name, name);
	}
	if (!ok)
		skip_line(l);
	else if (!rest_empty(l)) {
		lex_error(l, "macro %s has more than one value: quote the "
		    "whole, %s = \"ONE TWO\"", name, name);
		ok = false;
	}
	/* Defined in any case: one mistake, one message. */
	if ((m = macro_find(l, name)) != NULL && m->file == NULL)
		return;		/* -D goes before the file */
	m = macro_set(l, name, !ok ? "" : other != NULL ? other->value :
	    l->text);
	m->file = l->file;
	m->line = l->line;
	m->exposed = l->exposed;
	if (m->exposed == NULL && other != NULL)
		m->exposed = other->exposed;
	if (!ok)
		m->used = true;
}

/* statements of the lexer itself, at the start of a line */

char *
lex_beside(const char *file, const char *name)
{
	const char	*slash = strrchr(file, '/');
	char		*path;

	if (name[0] == '/' || slash == NULL)
		return (must(strdup(name)));
	if (asprintf(&path, "%.*s/%s", (int)(slash - file), file, name) == -1)
		fatal("configuration");
	return (path);
}

static void
include(struct lex *l)
{
	char	*path;

	skip_blanks(l);
	if (peek(l) != '"') {
		lex_error(l, "include needs a file name in quotes: "
		    "include \"FILE\"");
		skip_line(l);
		return;
	}
	get(l);
	if (!read_string(l)) {
		skip_line(l);
		return;
	}
	if (!rest_empty(l)) {
		lex_error(l, "include \"FILE\" must be alone on its line");
		return;
	}
	path = lex_beside(l->src->name, l->text);
	lex_open(l, path);
	free(path);
}

/* Is the word that starts this line a macro's name or include?  Do it. */
static bool
own_statement(struct lex *l)
{
	struct place	 p = here(l);
	char		*name;

	skip_blanks(l);
	if (peek(l) == '=') {
		get(l);
		name = must(strdup(l->text));
		if (!good_name(name)) {
			lex_error(l, "%s cannot be the name of a macro: "
			    "letters, digits and _ only", name);
			skip_line(l);
		} else if (find_keyword(l, name) != NULL) {
			lex_error(l, "no = after %s; only macros are written "
			    "NAME = \"VALUE\", and %s cannot be the name of "
			    "one", name, name);
			skip_line(l);
		} else
			define(l, name);
		free(name);
		return (true);
	}
	back(l, p);
	if (strcmp(l->text, "include") == 0) {
		include(l);
		return (true);
	}
	return (false);
}

/* tokens */

static enum lex_type
finish(struct lex *l, struct lex_token *t, enum lex_type type)
{
	t->type = type;
	t->text = l->text;
	t->line = l->line;
	return (type);
}

static bool
to_number(const char *s, int64_t *v)
{
	const char	*digits = s + (s[0] == '-');
	char		*end;

	if (!isdigit((unsigned char)*digits))
		return (false);
	errno = 0;
	*v = strtoll(s, &end, 10);
	return (*end == '\0' && errno == 0);
}

static enum lex_type
word(struct lex *l, struct lex_token *t)
{
	const struct lex_keyword	*kw;

	if (peek(l) == '#') {
		lex_error(l, "a # right behind a word: put a blank before a "
		    "comment, or quotes around a value with a #");
		skip_line(l);
		return (finish(l, t, LEX_ERROR));
	}
	if ((kw = find_keyword(l, l->text)) != NULL) {
		t->token = kw->token;
		return (finish(l, t, LEX_KEYWORD));
	}
	if (to_number(l->text, &t->number))
		return (finish(l, t, LEX_NUMBER));
	return (finish(l, t, LEX_WORD));
}

/*
 * The end of a source.  A file ends its last line, newline or not; a macro
 * does not.
 */
static bool
end_of_source(struct lex *l, struct lex_token *t)
{
	struct source	*s = l->src;

	if (s == NULL) {
		finish(l, t, LEX_EOF);
		return (true);
	}
	if (!s->macro && !s->start) {
		s->start = true;
		finish(l, t, LEX_NEWLINE);
		return (true);
	}
	pop(l);
	return (false);
}

static enum lex_type
odd_char(struct lex *l, struct lex_token *t, int c)
{
	text_add(l, c);
	if (c == '#') {		/* within a macro, else it is a comment */
		lex_error(l, "a macro holds a # outside of quotes: write "
		    "\"\\\"a#b\\\"\"");
		return (finish(l, t, LEX_ERROR));
	}
	if (c >= 0x7f || c < 0x20) {
		lex_error(l, "byte 0x%02x outside of quotes and comments", c);
		while (peek(l) >= 0x80)		/* one character, perhaps */
			get(l);
		return (finish(l, t, LEX_ERROR));
	}
	t->token = c;
	return (finish(l, t, LEX_CHAR));
}

enum lex_type
lex_next(struct lex *l, struct lex_token *t)
{
	struct source	*s;
	bool		 start;
	int		 c;

	memset(t, 0, sizeof(*t));
	for (;;) {
		skip_blanks(l);
		set_place(l);
		text_start(l);
		c = peek(l);
		if ((s = l->src) == NULL || c == EOF) {
			if (end_of_source(l, t))
				return (t->type);
			continue;
		}
		if (c == '#' && !s->macro) {
			skip_line(l);
			continue;
		}
		start = s->start;
		s->start = false;
		if (is_word(c)) {
			read_while(l, is_word);
			if (!start || !own_statement(l))
				return (word(l, t));
			continue;
		}
		get(l);
		switch (c) {
		case '\n':
			s->start = true;
			s->line++;
			return (finish(l, t, LEX_NEWLINE));
		case '"':
			return (finish(l, t, read_string(l) ? LEX_STRING :
			    LEX_ERROR));
		case '$':
			if (!expand(l))
				return (finish(l, t, LEX_ERROR));
			continue;
		default:
			return (odd_char(l, t, c));
		}
	}
}
