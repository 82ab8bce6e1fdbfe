/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Between the grammar (parse.y) and config.c: the grammar knows the order of
 * words and nothing of their meaning; each statement it recognises is one
 * call, and config.c validates and stores.  Nobody else includes this.
 */
#ifndef CARPD_PARSE_H
#define CARPD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/lex.h"

/* A token that remembers where it was; text lives as long as the run. */
struct config_tok {
	const char	*text;
	int64_t		 num;
	const char	*file;
	int		 line;
	const char	*exposed;	/* lex_secrecy() */
	bool		 quoted;	/* may be a secret: not in messages */
};

/* How config_unexpected() is told of the end. */
#define CONFIG_EOF	"the end of the file"

/* One run of the parser: what is being built, and what was already said. */
struct config_run;

/* Which words are possible where; for "did you mean". */
enum config_ctx { CONFIG_CTX_TOP, CONFIG_CTX_IFACE, CONFIG_CTX_VHID,
	    CONFIG_CTX_GROUP, CONFIG_CTX_NONE };

/* parse.y */

/* Keywords, sorted for lex_new(). */
const struct lex_keyword *parse_keywords(size_t *n);
/* Everything up to the end of l; errors are in lex_errors(). */
void	 parse_run(struct config_run *r, struct lex *l);

/* config.c: tokens and syntax errors */

/* A copy of text that lives as long as the run. */
const char *config_keep(struct config_run *r, const char *text);
/* A pass is on this line: its words are not shown in messages. */
void	 config_pass_line(struct config_run *r, const struct config_tok *t);
/*
 * yacc stopped at t; what says it in words ("the end of the line"), or is
 * NULL when t->text may be shown.  Nothing is reported before
 * config_expected().
 */
void	 config_unexpected(struct config_run *r, const struct config_tok *t,
	    const char *what);
/* The lexer has said what is wrong with this line. */
void	 config_bad_line(struct config_run *r, const struct config_tok *t);
/* Report what config_unexpected() noted; hint NULL: the words of ctx. */
void	 config_expected(struct config_run *r, enum config_ctx ctx,
	    const char *hint);
/* A word that cannot start a statement here. */
void	 config_unknown(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);
/* A token, not a word, that cannot start a statement here. */
void	 config_misplaced(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);
/* A { that belongs to nothing; quiet until its }. */
void	 config_stray(struct config_run *r, const struct config_tok *t);
/* Within a block that was refused as a whole nothing is reported. */
void	 config_quiet(struct config_run *r, bool on);

/*
 * config.c: statements.  key is the word before the value.  val NULL, where
 * allowed: there was one, but it was no good (and has been reported), so it is
 * not missing.
 */

void	 config_preempt(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_log(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_sync_wait(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);

void	 config_group_begin(struct config_run *r,
	    const struct config_tok *name);
void	 config_demote(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_group_end(struct config_run *r);

/* carpdev NULL: that is wrong, the block is read for its own mistakes. */
void	 config_iface_begin(struct config_run *r,
	    const struct config_tok *name, const struct config_tok *carpdev);
/* NAME without on: says what is right and, with a block, begins it. */
void	 config_iface_head(struct config_run *r,
	    const struct config_tok *name, const struct config_tok *next,
	    bool block);
/* Another interface begins before the last one's brace. */
void	 config_iface_again(struct config_run *r,
	    const struct config_tok *name, const struct config_tok *carpdev);
/* It had no block. */
void	 config_iface_drop(struct config_run *r);
void	 config_iface_end(struct config_run *r);

void	 config_vhid(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_advbase(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_advskew(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_pass(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_pass_file(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_address(struct config_run *r, const struct config_tok *val);
void	 config_join(struct config_run *r, const struct config_tok *val);
void	 config_digest(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_style(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_balancing(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_peer(struct config_run *r, const struct config_tok *key);

#endif
