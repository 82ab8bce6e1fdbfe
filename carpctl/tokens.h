/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The command language of carpctl(8): words in, a struct out.  What may be
 * said, what an abbreviation means and what the usage shows all follow from
 * one table.  Knows nothing of sockets or messages beyond their enums.
 */
#ifndef CARPCTL_TOKENS_H
#define CARPCTL_TOKENS_H

#include <net/if.h>

#include <stdbool.h>
#include <stdio.h>

#include "../carpd/config.h"

enum tokens_action {
	ACTION_NONE,
	ACTION_SHOW,
	ACTION_SHOW_IFACE,
	ACTION_SHOW_DEMOTION,
	ACTION_SHOW_COUNTERS,
	ACTION_SHOW_PEERS,
	ACTION_SHOW_HISTORY,
	ACTION_SHOW_SYNC,
	ACTION_DOCTOR,
	ACTION_DEMOTE,
	ACTION_PROMOTE,
	ACTION_STATE,
	ACTION_SET_ADVSKEW,
	ACTION_SET_ADVBASE,
	ACTION_SET_GROUP,
	ACTION_SET_UNGROUP,
	ACTION_SET_PREEMPT,
	ACTION_SET_LOG,
	ACTION_UP,
	ACTION_DOWN,
	ACTION_ENABLE,
	ACTION_DISABLE,
	ACTION_RELOAD,
	ACTION_LOG,
	ACTION_MONITOR,
	ACTION_SYNC_NOW,
	ACTION_SYNC_FLUSH,
	ACTION_IMPORT,
	ACTION_KEYGEN
};

struct tokens_result {
	enum tokens_action action;
	bool		 json;
	bool		 check;
	char		 name[IF_NAMESIZE];
	char		 group[CONFIG_GROUPNAME_MAX];
	int		 vhid;		/* 0: not given */
	int		 number;	/* amount, skew, base, state, yes/no */
	char *const	*files;		/* into words, to their end */
	const char	*dir;		/* -o; NULL: not given */
	bool		 force;
};

/*
 * Read the NULL-terminated words.  Zeroes *r, except for r->json, which an
 * option before the command may have set.  0, or -1 with what is wrong, and
 * what would be right, on err.
 */
int		 tokens_parse(char *const *words, struct tokens_result *r,
		    FILE *err);
/* One line per command, each preceded by `prefix`. */
void		 tokens_usage(const char *prefix, FILE *f);

#endif
