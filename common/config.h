/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Under both daemons' configuration: one run of a yacc grammar over a file,
 * with the tokens it sees, the errors and warnings ("file:line: what, and what
 * would be right"), the words that may have been meant, and secrets that must
 * not show in a message.  A daemon's parse.y knows the order of its words, its
 * config.c what they mean; both talk to this.  Only they include it, and the
 * import of carpctl, which asks what an interface may be called.
 *
 * The rules of a message: at most one syntax error a line, the end of the file
 * is complained about once, nothing at all within a block that was refused as
 * a whole (config_quiet()).
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <sys/types.h>
#include <sys/queue.h>

#include <net/if.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lex.h"

#define CONFIG_MSG_MAX	768	/* a message without its file:line */
#define CONFIG_WHERE_MAX 384	/* what config_where() writes */
#define CONFIG_ONCE_MAX	32	/* statements that may be written once */
#define CONFIG_MASKED	"***"	/* what config_print() writes for a secret */

/* A token that remembers where it was; text lives as long as the run. */
struct config_tok {
	const char	*text;
	int64_t		 num;
	const char	*file;
	int		 line;
	const char	*exposed;	/* lex_secrecy() */
	bool		 quoted;	/* may be a secret: not in messages */
};

struct config;			/* what a daemon's file says */
struct config_own;		/* what its config.c notes meanwhile */
struct config_kept;
struct config_run;

/* A word, and the context (the daemon's enum config_ctx) it belongs to. */
struct config_word {
	const char	*word;
	unsigned int	 ctx;
};

/* A context in words: "... belongs BELONGS", "possible here: POSSIBLE". */
struct config_place {
	const char	*belongs;
	const char	*possible;
};

/* A habit from elsewhere: "unknown word WORD; HINT". */
struct config_habit {
	const char	*word;
	const char	*hint;
};

/* What a daemon brings; kept by reference. */
struct config_lang {
	const char	*name;		/* its file: "carpd.conf(5)" */
	const struct config_word *words;
	size_t		 nwords;
	const struct config_place *places;	/* by context */
	const struct config_habit *habits;
	size_t		 nhabits;
	/* sorted, for lex_new() */
	const struct lex_keyword *(*keywords)(size_t *n);
	/* yyparse() up to the end of r->lex */
	void		 (*parse)(struct config_run *r);
	/* what is only known at the end; errors may have been reported */
	void		 (*end)(struct config_run *r);
	/* a word that may be a secret wherever it stands; NULL: none */
	bool		 (*secret)(const char *word);
};

/* One run of the parser: what is being built, and what was already said. */
struct config_run {
	struct config	*c;		/* the daemon's, both */
	struct config_own *own;
	struct lex	*lex;
	struct config_tok once[CONFIG_ONCE_MAX];	/* file NULL: not yet */
	struct config_tok name;		/* of the open block; text NULL: none */

	/* only for common/config.c */
	const struct config_lang *lang;
	lex_error_cb	 warn;
	void		*arg;
	SLIST_HEAD(config_kept_head, config_kept) kept;
	int		 quiet;
	struct config_tok last;		/* the last token, for yyerror() */
	const char	*last_what;
	struct config_tok bad;		/* a line that was complained about */
	struct config_tok secret_line;
	struct config_tok unexpected;	/* where yacc stopped */
	const char	*what;		/* that in words, or NULL */
	bool		 pending;	/* and it was not reported yet */
};

/*
 * A run.  err gets each error, warn (or NULL) each warning, as "file:line:
 * message" without newline; c and own stay the caller's.  fatal() when out of
 * memory.
 */
struct config_run *config_run_new(const struct config_lang *lang,
		    struct config *c, struct config_own *own, lex_error_cb err,
		    lex_error_cb warn, void *arg);
/*
 * Parse path with defines ("name=value", NULL-terminated array or NULL), or
 * len bytes at text under a name.  True when nothing was wrong.
 */
bool		 config_run_file(struct config_run *r, const char *path,
		    char *const *defines);
bool		 config_run_mem(struct config_run *r, const char *name,
		    const char *text, size_t len);
/* Wipes and frees all text of the run. */
void		 config_run_free(struct config_run *r);

/* for parse.y */

/* The numbers that a grammar gave to these tokens. */
struct config_tokens {
	int		 word, string, number;
	int		 bad;		/* anything that fits nowhere */
	int		 secret[2];	/* keywords: their lines are not shown;
					   0: none */
};

/* The next token for yylex(); it is r->last. */
int		 config_next(struct config_run *r,
		    const struct config_tokens *tokens);
/*
 * For yyerror(): yacc stopped at r->last.  Nothing is reported before
 * config_expected() or config_impossible().
 */
void		 config_yyerror(struct config_run *r, const char *msg);
/* Report that, and what would be right. */
void		 config_expected(struct config_run *r, const char *hint);
/* The same, where any word of ctx would be right. */
void		 config_impossible(struct config_run *r, unsigned int ctx);
/* A token, not a word, that cannot start a statement here. */
void		 config_misplaced(struct config_run *r,
		    const struct config_tok *t, unsigned int ctx);
/* Within a block that was refused as a whole nothing is reported. */
void		 config_quiet(struct config_run *r, bool on);

/* for config.c: messages */

void		 config_fail(struct config_run *r, const struct config_tok *t,
		    const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));
void		 config_warn(struct config_run *r, const struct config_tok *t,
		    const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));
/*
 * "line 3", or "other.conf:3" when that is not the file of t; into buf of
 * CONFIG_WHERE_MAX bytes, which is returned.
 */
const char	*config_where(const struct config_tok *first,
		    const struct config_tok *t, char *buf);
/* Was statement n (an index of r->once) said before?  Then say where. */
bool		 config_once(struct config_run *r, unsigned int n,
		    const struct config_tok *key);
/* May this line still be complained about?  Then not again. */
bool		 config_first_on_line(struct config_run *r,
		    const struct config_tok *t);
/* Did yacc stop on the line of t, with nothing reported?  Then no more. */
bool		 config_stopped_on_line(struct config_run *r,
		    const struct config_tok *t);
/* Is t behind the keyword of a secret, or looks like one? */
bool		 config_is_secret(const struct config_run *r,
		    const struct config_tok *t);
/* "unknown word", and what may have been meant. */
void		 config_unknown_word(struct config_run *r,
		    const struct config_tok *t, unsigned int ctx);

/* for config.c: values */

/* A copy of text that lives as long as the run. */
const char	*config_keep(struct config_run *r, const char *text);
/* Is val from lo to hi?  Else a message. */
bool		 config_in_range(struct config_run *r,
		    const struct config_tok *key, const struct config_tok *val,
		    int64_t lo, int64_t hi);
/*
 * Which of names (NULL-terminated) val is, or -1 and a message; expected is
 * what that lists, NULL: all of them.
 */
int		 config_choose(struct config_run *r,
		    const struct config_tok *key, const struct config_tok *val,
		    const char *const *names, const char *expected);
/* An interface's name into name; false and a message when it is none. */
bool		 config_ifname(struct config_run *r,
		    const struct config_tok *val, char name[IF_NAMESIZE]);
/* What Linux takes for one (dev_valid_name()). */
bool		 config_ifname_ok(const char *s);
/*
 * The one line of a secret file ("pass file", most "19 characters"), without
 * its newline: its length, or -1 and a message.  buf, to be wiped by the
 * caller, has room for a line that is too long.
 */
ssize_t		 config_secret_file(struct config_run *r,
		    const struct config_tok *val, const char *what,
		    const char *most, char *buf, size_t size);

/* Does s, size bytes from another process, have an end? */
bool		 config_has_end(const char *s, size_t size);
/* p, or fatal() when that is NULL: out of memory. */
void		*config_must(void *p);

#endif
