/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Between the grammar (parse.y) and config.c: the grammar knows the order of
 * words and nothing of their meaning; each statement it recognises is one
 * call, and config.c validates and stores.  Nobody else includes this.
 */
#ifndef PFSYNCD_PARSE_H
#define PFSYNCD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/lex.h"
#include "config.h"

/* A token that remembers where it was; text lives as long as the run. */
struct config_tok {
	const char	*text;
	int64_t		 num;
	const char	*file;
	int		 line;
	const char	*exposed;	/* lex_secrecy() */
	bool		 quoted;	/* may be a secret: not in messages */
};

/* key "HEX", key file "PATH" */
struct config_keyhead {
	struct config_tok key;
	struct config_tok val;
	bool		 file;
};

/* How config_unexpected() is told of the end. */
#define CONFIG_EOF	"the end of the file"

/* One run of the parser: what is being built, and what was already said. */
struct config_run;

/* Which words are possible where; for "did you mean". */
enum config_ctx { CONFIG_CTX_TOP, CONFIG_CTX_NOSYNC };

/* The number that stands for name, -1 when it has none; and the reverse. */
int		 config_proto(const char *name);
const char	*config_proto_name(uint8_t proto);

/* parse.y */

/* Keywords, sorted for lex_new(). */
const struct lex_keyword *parse_keywords(size_t *n);
/* Everything up to the end of l; errors are in lex_errors(). */
void	 parse_run(struct config_run *r, struct lex *l);

/* config.c: tokens and syntax errors */

/* A copy of text that lives as long as the run. */
const char *config_keep(struct config_run *r, const char *text);
/* A key is on this line: its words are not shown in messages. */
void	 config_key_line(struct config_run *r, const struct config_tok *t);
/*
 * yacc stopped at t; what says it in words ("the end of the line"), or is
 * NULL when t->text may be shown.  Nothing is reported before
 * config_expected() or config_impossible().
 */
void	 config_unexpected(struct config_run *r, const struct config_tok *t,
	    const char *what);
/* The lexer has said what is wrong with this line. */
void	 config_bad_line(struct config_run *r, const struct config_tok *t);
/* Report what config_unexpected() noted, and what would be right. */
void	 config_expected(struct config_run *r, const char *hint);
/* The same, where any word of ctx would be right. */
void	 config_impossible(struct config_run *r, enum config_ctx ctx);
/* A word that cannot start a statement here. */
void	 config_unknown(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);
/* A token, not a word, that cannot start a statement here. */
void	 config_misplaced(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);
/* Within a block that was refused as a whole nothing is reported. */
void	 config_quiet(struct config_run *r, bool on);

/*
 * config.c: statements.  key is the word before the value.  val NULL, where
 * allowed: there was one, but it was no good (and has been reported), so it is
 * not missing.
 */

void	 config_syncdev(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_syncpeer(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_maxupd(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_defer(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
/* One call a word; the first of them opens the statement. */
void	 config_dialect(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val, bool first);
void	 config_carpd(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
/* id NULL: not said. */
void	 config_key(struct config_run *r, const struct config_keyhead *head,
	    const struct config_tok *id);
void	 config_refresh(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_maxstates(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_eventbuf(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);

void	 config_nosync_begin(struct config_run *r,
	    const struct config_tok *key);
/* type: enum config_nosync_type; NOSYNC_SELF has key as val. */
void	 config_nosync(struct config_run *r, enum config_nosync_type type,
	    const struct config_tok *key, const struct config_tok *val);
void	 config_nosync_end(struct config_run *r);

#endif
