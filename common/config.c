/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What both daemons' configurations share: a run of the parser, its messages
 * and the values that mean the same in both (config.h).
 */
#include <sys/stat.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "hmac.h"
#include "log.h"

#define END_OF_FILE	"the end of the file"
#define NEAR		2	/* edits between a word and what was meant */

struct config_kept {
	SLIST_ENTRY(config_kept) entry;
	char		*text;
};

void *
config_must(void *p)
{
	if (p == NULL)
		fatal("configuration");
	return (p);
}

const char *
config_keep(struct config_run *r, const char *text)
{
	struct config_kept	*k = config_must(calloc(1, sizeof(*k)));

	k->text = config_must(strdup(text));
	SLIST_INSERT_HEAD(&r->kept, k, entry);
	return (k->text);
}

/* messages */

void
config_fail(struct config_run *r, const struct config_tok *t, const char *fmt,
    ...)
{
	char	 buf[CONFIG_MSG_MAX];
	va_list	 ap;

	if (r->quiet > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	lex_error_at(r->lex, t->file, t->line, "%s", buf);
}

void
config_warn(struct config_run *r, const struct config_tok *t, const char *fmt,
    ...)
{
	char	 buf[CONFIG_MSG_MAX], line[2 * CONFIG_MSG_MAX];
	va_list	 ap;

	if (r->quiet > 0 || r->warn == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "%s:%d: %s", t->file, t->line, buf);
	r->warn(line, r->arg);
}

const char *
config_where(const struct config_tok *first, const struct config_tok *t,
    char *buf)
{
	if (strcmp(first->file, t->file) == 0)
		snprintf(buf, CONFIG_WHERE_MAX, "line %d", first->line);
	else
		snprintf(buf, CONFIG_WHERE_MAX, "%s:%d", first->file,
		    first->line);
	return (buf);
}

bool
config_once(struct config_run *r, unsigned int n, const struct config_tok *key)
{
	struct config_tok	*first = &r->once[n];
	char			 buf[CONFIG_WHERE_MAX];

	if (first->file != NULL) {
		config_fail(r, key, "%s is already set at %s; keep one of "
		    "them", key->text, config_where(first, key, buf));
		return (false);
	}
	*first = *key;
	return (true);
}

/* words and what was meant by them */

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
meant(const struct config_lang *l, const char *word, unsigned int ctx)
{
	const char	*m = NULL;
	size_t		 best = NEAR + 1, n;

	for (n = 0; n < l->nwords; n++)
		if (l->words[n].ctx == ctx &&
		    nearer(word, l->words[n].word, &best))
			m = l->words[n].word;
	return (m);
}

static const char *
habit(const struct config_lang *l, const char *word)
{
	size_t	 n;

	for (n = 0; n < l->nhabits; n++)
		if (strcmp(word, l->habits[n].word) == 0)
			return (l->habits[n].hint);
	return (NULL);
}

/* Where a word would be right, or NULL. */
static const char *
belongs(const struct config_lang *l, const char *word)
{
	size_t	 n;

	for (n = 0; n < l->nwords; n++)
		if (strcmp(word, l->words[n].word) == 0)
			return (l->places[l->words[n].ctx].belongs);
	return (NULL);
}

void
config_unknown_word(struct config_run *r, const struct config_tok *t,
    unsigned int ctx)
{
	const char	*m;

	if ((m = habit(r->lang, t->text)) != NULL)
		config_fail(r, t, "unknown word \"%.40s\"; %s", t->text, m);
	else if ((m = meant(r->lang, t->text, ctx)) != NULL)
		config_fail(r, t, "unknown word \"%.40s\"; did you mean %s?",
		    t->text, m);
	else
		config_fail(r, t, "unknown word \"%.40s\"; possible here: %s",
		    t->text, r->lang->places[ctx].possible);
}

/* tokens and syntax errors */

int
config_next(struct config_run *r, const struct config_tokens *tokens)
{
	struct lex_token	 t;

	lex_next(r->lex, &t);
	r->last_what = NULL;
	r->last.text = config_keep(r, t.text);
	r->last.num = t.number;
	r->last.file = lex_file(r->lex);
	r->last.line = t.line;
	r->last.exposed = lex_secrecy(r->lex);
	r->last.quoted = t.type == LEX_STRING;

	switch (t.type) {
	case LEX_EOF:
		r->last_what = END_OF_FILE;
		return (0);
	case LEX_NEWLINE:
		r->last_what = "the end of the line";
		return ('\n');
	case LEX_KEYWORD:
		if (t.token == tokens->secret[0] ||
		    t.token == tokens->secret[1])
			r->secret_line = r->last;
		return (t.token);
	case LEX_WORD:
		return (tokens->word);
	case LEX_STRING:
		r->last_what = "a quoted string";
		return (tokens->string);
	case LEX_NUMBER:
		return (tokens->number);
	case LEX_CHAR:
		if (t.token == '{' || t.token == '}')
			return (t.token);
		break;
	case LEX_ERROR:			/* the lexer has said what is wrong */
		r->bad = r->last;
		break;
	}
	return (tokens->bad);
}

static bool
same_line(const struct config_tok *a, const struct config_tok *b)
{
	return (a->file != NULL && b->file != NULL && a->line == b->line &&
	    strcmp(a->file, b->file) == 0);
}

bool
config_is_secret(const struct config_run *r, const struct config_tok *t)
{
	return (same_line(&r->secret_line, t) ||
	    (r->lang->secret != NULL && r->lang->secret(t->text)));
}

void
config_quiet(struct config_run *r, bool on)
{
	r->quiet += on ? 1 : -1;
}

bool
config_first_on_line(struct config_run *r, const struct config_tok *t)
{
	if (same_line(&r->bad, t))
		return (false);
	r->bad = *t;
	return (true);
}

bool
config_stopped_on_line(struct config_run *r, const struct config_tok *t)
{
	if (!r->pending || !same_line(&r->unexpected, t))
		return (false);
	r->pending = false;
	return (true);
}

static bool
at_end(const struct config_run *r)
{
	return (r->what != NULL && strcmp(r->what, END_OF_FILE) == 0);
}

static void
unexpected(struct config_run *r, const struct config_tok *t, const char *what)
{
	r->unexpected = *t;
	r->what = what;
	r->pending = at_end(r) || config_first_on_line(r, t);
}

void
config_yyerror(struct config_run *r, const char *msg)
{
	if (strcmp(msg, "syntax error") == 0)
		unexpected(r, &r->last, r->last_what);
	else
		lex_error(r->lex, "%s", msg);	/* yacc's stack is full */
}

/* What was found, in words or in quotes. */
static const char *
found(const struct config_run *r, char *buf, size_t len)
{
	const struct config_tok	*t = &r->unexpected;

	if (r->what != NULL)
		return (r->what);
	if (config_is_secret(r, t))
		return ("another word");
	snprintf(buf, len, "\"%.40s\"", t->text);
	return (buf);
}

/* Is there something to be said of the token that yacc stopped at? */
static bool
take_pending(struct config_run *r)
{
	if (!r->pending || at_end(r))	/* the end: once, by run() */
		return (false);
	r->pending = false;
	return (true);
}

void
config_expected(struct config_run *r, const char *hint)
{
	char	 buf[64];

	if (take_pending(r))
		config_fail(r, &r->unexpected, "%s found, expected %s",
		    found(r, buf, sizeof(buf)), hint);
}

void
config_impossible(struct config_run *r, unsigned int ctx)
{
	const struct config_tok	*t = &r->unexpected;
	const char		*place;
	char			 buf[64];

	if (!take_pending(r))
		return;
	if (r->what == NULL && strcmp(t->text, "}") == 0)
		config_fail(r, t, "a } without a {");
	else if (r->what == NULL &&
	    (place = belongs(r->lang, t->text)) != NULL)
		config_fail(r, t, "%s belongs %s", t->text, place);
	else
		config_fail(r, t, "%s found; possible here: %s",
		    found(r, buf, sizeof(buf)), r->lang->places[ctx].possible);
}

void
config_misplaced(struct config_run *r, const struct config_tok *t,
    unsigned int ctx)
{
	unexpected(r, t, NULL);
	config_impossible(r, ctx);
}

/* values */

bool
config_in_range(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, int64_t lo, int64_t hi)
{
	if (val->num >= lo && val->num <= hi)
		return (true);
	config_fail(r, val, "%s %.40s is out of range, %jd to %jd", key->text,
	    val->text, (intmax_t)lo, (intmax_t)hi);
	return (false);
}

/* "a, b or c" */
static const char *
list(const char *const *names, char *buf, size_t len)
{
	size_t	 n;

	buf[0] = '\0';
	for (n = 0; names[n] != NULL; n++) {
		if (n > 0)
			strlcat(buf, names[n + 1] != NULL ? ", " : " or ",
			    len);
		strlcat(buf, names[n], len);
	}
	return (buf);
}

int
config_choose(struct config_run *r, const struct config_tok *key,
    const struct config_tok *val, const char *const *names,
    const char *expected)
{
	char		 buf[128];
	const char	*m = NULL;
	size_t		 best = NEAR + 1, n;

	for (n = 0; names[n] != NULL; n++) {
		if (strcmp(val->text, names[n]) == 0)
			return ((int)n);
		if (nearer(val->text, names[n], &best))
			m = names[n];
	}
	if (expected == NULL)
		expected = list(names, buf, sizeof(buf));
	if (m != NULL)
		config_fail(r, val, "unknown %s \"%.40s\"; did you mean %s?",
		    key->text, val->text, m);
	else
		config_fail(r, val, "unknown %s \"%.40s\"; expected %s",
		    key->text, val->text, expected);
	return (-1);
}

bool
config_ifname_ok(const char *s)
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

bool
config_ifname(struct config_run *r, const struct config_tok *val,
    char name[IF_NAMESIZE])
{
	if (!config_ifname_ok(val->text)) {
		config_fail(r, val, "\"%.40s\" cannot be an interface of this "
		    "system: 1 to 15 characters without / : or blanks",
		    val->text);
		return (false);
	}
	strlcpy(name, val->text, IF_NAMESIZE);
	return (true);
}

/* The first bytes of a file, or -1 and why. */
static ssize_t
read_secret(const char *path, char *buf, size_t size, const char **why)
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

ssize_t
config_secret_file(struct config_run *r, const struct config_tok *val,
    const char *what, const char *most, char *buf, size_t size)
{
	char		*path = lex_beside(val->file, val->text), *nl;
	const char	*why;
	ssize_t		 n, len = -1;

	if ((n = read_secret(path, buf, size, &why)) == -1)
		config_fail(r, val, "%s %s: %s", what, path, why);
	else if ((nl = memchr(buf, '\n', (size_t)n)) != NULL &&
	    nl != buf + n - 1)
		config_fail(r, val, "%s %s has more than one line", what,
		    path);
	else if ((size_t)n == size)
		config_fail(r, val, "%s %s is longer than %s", what, path,
		    most);
	else
		len = n - (nl != NULL);
	free(path);
	return (len);
}

bool
config_has_end(const char *s, size_t size)
{
	return (memchr(s, '\0', size) != NULL);
}

/* the whole */

static void
check_end_of_file(struct config_run *r)
{
	const struct config_tok	*t = &r->unexpected;

	if (!r->pending || !at_end(r))
		return;
	if (r->name.text != NULL)
		lex_error_at(r->lex, t->file, t->line, "the file ends inside "
		    "of %.40s (%s:%d), a } is missing", r->name.text,
		    r->name.file, r->name.line);
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

static bool
run(struct config_run *r, int opened)
{
	if (opened == -1)
		return (false);
	r->lang->parse(r);
	check_end_of_file(r);
	check_syntax(r);
	r->lang->end(r);
	if (lex_errors(r->lex) > 0)
		return (false);
	if (r->warn != NULL)
		lex_unused(r->lex, r->warn, r->arg);
	return (true);
}

struct config_run *
config_run_new(const struct config_lang *lang, struct config *c,
    struct config_own *own, lex_error_cb err, lex_error_cb warn, void *arg)
{
	const struct lex_keyword	*kw;
	struct config_run		*r;
	size_t				 n;

	r = config_must(calloc(1, sizeof(*r)));
	kw = lang->keywords(&n);
	r->lex = lex_new(kw, n, err, arg);
	r->lang = lang;
	r->c = c;
	r->own = own;
	r->warn = warn;
	r->arg = arg;
	SLIST_INIT(&r->kept);
	return (r);
}

void
config_run_free(struct config_run *r)
{
	struct config_kept	*k;

	while ((k = SLIST_FIRST(&r->kept)) != NULL) {
		SLIST_REMOVE_HEAD(&r->kept, entry);
		freezero(k->text, strlen(k->text) + 1);
		free(k);
	}
	lex_free(r->lex);
	free(r);
	hmac_wipe_stack();
}

bool
config_run_file(struct config_run *r, const char *path, char *const *defines)
{
	for (; defines != NULL && *defines != NULL; defines++)
		if (lex_define(r->lex, *defines) == -1)
			lex_error_at(r->lex, NULL, 0, "-D %s: write -D "
			    "NAME=VALUE, NAME of letters, digits and _ and no "
			    "word of %s", *defines, r->lang->name);
	return (run(r, lex_open(r->lex, path)));
}

bool
config_run_mem(struct config_run *r, const char *name, const char *text,
    size_t len)
{
	return (run(r, lex_open_mem(r->lex, name, text, len)));
}
