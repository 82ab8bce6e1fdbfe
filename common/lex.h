/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The lexer under both daemons' yacc grammars: keywords, macros, include,
 * line numbers, quoted strings, file secrecy.  Fed from a file or from memory
 * (tests, fuzzers).
 *
 * Words: letters, digits and _ - . : / * + @ % (so 10.0.0.1/24, fe80::1 and
 * eth0.5 are one word).  # starts a comment, \ before a newline joins lines,
 * "..." quotes with \" and \\.  NAME = "value" at the start of a line defines
 * a macro (the lexer does it), $NAME uses one.  include "FILE" is done by the
 * lexer too (relative to the including file, at most 16 deep).
 */
#ifndef COMMON_LEX_H
#define COMMON_LEX_H

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct lex_keyword {
	const char	*word;
	int		 token;
};

struct lex;

enum lex_type { LEX_EOF, LEX_NEWLINE, LEX_KEYWORD, LEX_WORD, LEX_STRING,
	    LEX_NUMBER, LEX_CHAR, LEX_ERROR };

struct lex_token {
	enum lex_type	 type;
	int		 token;		/* LEX_KEYWORD: its token; LEX_CHAR */
	int64_t		 number;	/* LEX_NUMBER: decimal, fits int64 */
	const char	*text;		/* as written, valid until next token */
	int		 line;
};

/* Receives "file:line: message" of each error, without newline. */
typedef void (*lex_error_cb)(const char *line, void *arg);

/* keywords: sorted by strcmp(), kept by reference. */
struct lex	*lex_new(const struct lex_keyword *kw, size_t nkw,
		    lex_error_cb cb, void *arg);
void		 lex_free(struct lex *l);
/* -D name=value; 0, or -1 when it is not of that form. */
int		 lex_define(struct lex *l, const char *assignment);
/* Push a file.  Errors are reported; 0 or -1. */
int		 lex_open(struct lex *l, const char *path);
/* Push text under the name `name`; copied. */
int		 lex_open_mem(struct lex *l, const char *name,
		    const char *text, size_t len);
enum lex_type	 lex_next(struct lex *l, struct lex_token *t);
/* Where the last token came from; the name is valid until lex_free(). */
const char	*lex_file(const struct lex *l);
/* Report an error at the current place; counts. */
void		 lex_error(struct lex *l, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));
/* The same at a given place (semantic checks after parsing). */
void		 lex_error_at(struct lex *l, const char *file, int line,
		    const char *fmt, ...)
		    __attribute__((format(printf, 4, 5)));
int		 lex_errors(const struct lex *l);
/*
 * Is the file the current token came from (and the file of the macro it came
 * out of) readable or writable by others than its owner, root or the caller?
 * NULL when it is secret enough, else a static text saying what is wrong;
 * memory input is secret.
 */
const char	*lex_secrecy(const struct lex *l);
/* The same judgement of any other file, by its fstat(2). */
const char	*lex_secrecy_of(const struct stat *st);
/*
 * The path of name as the file `file` means it: relative names start in its
 * directory.  To be freed; fatal() when out of memory.
 */
char		*lex_beside(const char *file, const char *name);
/* s in quotes, as a string that is read back as s. */
void		 lex_print_quoted(const char *s, FILE *f);
/* After the end: macros that were defined and never used, as warnings. */
void		 lex_unused(struct lex *l, void (*cb)(const char *, void *),
		    void *arg);

#endif
