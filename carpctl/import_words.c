/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A line of a shell script, or of a file that is read like one, as words:
 * quotes, backslashes, comments, and the signs that end a command.  Nothing is
 * run or expanded; a word with a variable in it is marked.
 */
#include <ctype.h>
#include <string.h>

#include "import_int.h"

struct reader {
	struct import_line *l;
	const char	*p, *end;
	char		*out;
	struct import_word *w;		/* the word being read, or NULL */
	bool		 skip;		/* a redirection: up to the next sign */
};

static struct import_word *
new_word(struct reader *r)
{
	if (r->l->n == IMPORT_WORDS_MAX) {
		r->l->bad = "too many words";
		return (NULL);
	}
	r->w = &r->l->w[r->l->n++];
	memset(r->w, 0, sizeof(*r->w));
	r->w->text = r->out;
	return (r->w);
}

static void
end_word(struct reader *r)
{
	if (r->w == NULL)
		return;
	*r->out++ = '\0';
	r->w = NULL;
}

/* A character of the current word, which begins with it if need be. */
static void
put(struct reader *r, char c)
{
	if (r->w == NULL && new_word(r) == NULL)
		return;
	*r->out++ = c;
}

static void
separator(struct reader *r, char c)
{
	end_word(r);
	r->skip = false;
	if (new_word(r) == NULL)
		return;
	r->w->sep = true;
	*r->out++ = c;
	end_word(r);
}

/* 2>/dev/null: nothing from there on, and not the 2 either. */
static void
redirection(struct reader *r)
{
	if (r->w != NULL) {
		*r->out = '\0';
		if (r->w->text[strspn(r->w->text, "0123456789")] == '\0') {
			r->out = r->w->text;
			r->w = NULL;
			r->l->n--;
		}
	}
	end_word(r);
	r->skip = true;
}

/* Up to the closing quote, also when nothing is in between. */
static void
quoted(struct reader *r, char quote)
{
	if (r->w == NULL && new_word(r) == NULL)
		return;
	for (; r->p < r->end && *r->p != quote; r->p++) {
		if (quote == '"' && *r->p == '\\' && r->p + 1 < r->end &&
		    strchr("\"\\$`", r->p[1]) != NULL)
			r->p++;
		else if (quote == '"' && (*r->p == '$' || *r->p == '`'))
			r->w->var = true;
		put(r, *r->p);
	}
	if (r->p == r->end)
		r->l->bad = "a quote that does not end on its line";
	else
		r->p++;
}

static void
plain(struct reader *r, char c)
{
	if (c == '\\' && r->p < r->end) {
		put(r, *r->p++);
		return;
	}
	put(r, c);
	if ((c == '$' || c == '`') && r->w != NULL)
		r->w->var = true;
}

static void
one(struct reader *r)
{
	char	 c = *r->p++;

	if (c == ' ' || c == '\t') {
		end_word(r);
	} else if (c == '#' && r->w == NULL) {
		r->p = r->end;
	} else if (c == ';' || c == '&' || c == '|') {
		separator(r, c);
	} else if (r->skip) {
		/* the file of a redirection */
	} else if (c == '<' || c == '>') {
		redirection(r);
	} else if (c == '"' || c == '\'') {
		quoted(r, c);
	} else
		plain(r, c);
}

void
import_split(struct import_line *l, const char *text, size_t len)
{
	struct reader	 r = { .l = l, .p = text, .end = text + len,
			    .out = l->buf };

	l->n = 0;
	l->bad = NULL;
	if (len > IMPORT_LINE_MAX) {
		l->bad = "a line that is too long";
		return;
	}
	while (r.p < r.end && l->n < IMPORT_WORDS_MAX)
		one(&r);
	if (r.p < r.end)
		l->bad = "too many words";
	end_word(&r);
}
