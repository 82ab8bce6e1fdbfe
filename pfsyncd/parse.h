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

#include "../common/authconf.h"
#include "../common/config.h"
#include "config.h"

/* Which words are possible where; for "did you mean". */
enum config_ctx { CONFIG_CTX_TOP, CONFIG_CTX_NOSYNC };

/* The number that stands for name, -1 when it has none; and the reverse. */
const char	*config_proto_name(uint8_t proto);

/* parse.y */

/* Keywords, sorted for lex_new(). */
const struct lex_keyword *parse_keywords(size_t *n);
/* Everything up to the end of r->lex; errors are in lex_errors(). */
void	 parse_run(struct config_run *r);

/* config.c: syntax errors; the others are common/config.h's */

/* A word that cannot start a statement here. */
void	 config_unknown(struct config_run *r, const struct config_tok *t,
	    enum config_ctx ctx);

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
void	 config_auth(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
void	 config_encrypt(struct config_run *r, const struct config_tok *key,
	    const struct config_tok *val);
/* id and active NULL: not said. */
void	 config_key(struct config_run *r, const struct authconf_key *k,
	    const struct config_tok *id, const struct config_tok *active);
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
