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

#include "../common/authconf.h"
#include "../common/config.h"

/* Which words are possible where; for "did you mean". */
enum config_ctx { CONFIG_CTX_TOP, CONFIG_CTX_IFACE, CONFIG_CTX_VHID,
	    CONFIG_CTX_GROUP };

/* parse.y */

/* Keywords, sorted for lex_new(). */
const struct lex_keyword *parse_keywords(size_t *n);
/* Everything up to the end of r->lex; errors are in lex_errors(). */
void	 parse_run(struct config_run *r);

/* config.c: syntax errors; the others are common/config.h's */

/* A word that cannot start a statement here. */
void	 config_unknown(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);
/* A { that belongs to nothing; quiet until its }. */
void	 config_stray(struct config_run *r, const struct config_tok *t);

/*
 * config.c: statements.  key is the word before the value.  val NULL, where
 * allowed: there was one, but it was no good (and has been reported), so it is
 * not missing.
 */

void	 config_preempt(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_allow(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_log(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_sync_wait(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);

void	 config_auth(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
/* id and active NULL: not said. */
void	 config_key(struct config_run *r, const struct authconf_key *k,
	    const struct config_tok *id, const struct config_tok *active);

void	 config_group_begin(struct config_run *r,
	    const struct config_tok *name);
void	 config_demote(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_group_end(struct config_run *r);

/* carpdev NULL: that is wrong, the block is read for its own mistakes. */
void	 config_iface_begin(struct config_run *r,
	    const struct config_tok *name, const struct config_tok *carpdev);
/* NAME {: its carpdev is chosen later. */
void	 config_iface_anywhere(struct config_run *r,
	    const struct config_tok *name);
/*
 * NAME and something else than on, next, or the end of the line, NULL: says
 * what is right and, with a block, begins it.
 */
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
void	 config_peer(struct config_run *r, const struct config_tok *val);

#endif
