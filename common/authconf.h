/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * `auth' and `key' of both daemons' configurations: their meaning, messages
 * and printed form.  Beside config.h, and for the same callers; the result is
 * struct auth_conf of auth.h.
 */
#ifndef COMMON_AUTHCONF_H
#define COMMON_AUTHCONF_H

#include <stdbool.h>
#include <stdio.h>

#include "auth.h"
#include "config.h"

/* key "HEX", key file "PATH" */
struct authconf_key {
	struct config_tok key;		/* the word */
	struct config_tok val;		/* digits, or a path */
	bool		 file;
};

/* What is noted during a run; zeroed first. */
struct authconf {
	struct config_tok policy;	/* file NULL: not said */
	struct config_tok at[AUTH_KEYS_MAX];	/* as c->keys */
};

void	 authconf_policy(struct config_run *r, struct authconf *n,
	    struct auth_conf *c, unsigned int once,
	    const struct config_tok *key, const struct config_tok *val);
/*
 * id and active NULL: not said.  min_id: the lowest that may be; 0: also none
 * at all.
 */
void	 authconf_key(struct config_run *r, struct authconf *n,
	    struct auth_conf *c, const struct authconf_key *k,
	    const struct config_tok *id, const struct config_tok *active,
	    int min_id);
/* At the end of a file without errors: defaults, and what is missing. */
void	 authconf_end(struct config_run *r, struct authconf *n,
	    struct auth_conf *c);
/* May be a key, or a good part of one, that slipped somewhere else. */
bool	 authconf_like_key(const char *word);
/* Nothing without keys; secrets: not masked. */
void	 authconf_print(const struct auth_conf *c, bool secrets, FILE *f);
/*
 * What a parent keeps to compare with must not be the keys: each becomes its
 * SHA-256.
 */
void	 authconf_hide(struct auth_conf *c);

#endif
