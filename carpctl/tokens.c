/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The command words as tables, after bgpctl(8): each table lists what may
 * stand at one place, each entry names the table for the place after it.  A
 * keyword may be cut as long as it stays unique.
 */
#include <stdlib.h>
#include <string.h>

#include "../carpd/demote.h"
#include "../carpd/vhost.h"
#include "tokens.h"

enum token_type {
	TOKEN_END,	/* last of a table */
	TOKEN_NONE,	/* the command may end here */
	TOKEN_WORD,	/* keyword; value: action, 0 leaves it */
	TOKEN_CHOICE,	/* keyword; value: the number it stands for */
	TOKEN_OPT,	/* optional, its path returns to this table */
	TOKEN_NAME,	/* carp interface; value: action, 0 leaves it */
	TOKEN_GROUP,	/* interface group */
	TOKEN_NUMBER,	/* min to max */
	TOKEN_VHID,	/* min to max */
	TOKEN_DIR,	/* any word */
	TOKEN_FILE	/* no option, but "-" is one; the first is kept */
};

enum table {
	T_STOP,		/* nothing may follow */
	T_MAIN, T_SHOW, T_SHOW_OPTS, T_DEMOTE, T_DEMOTE_GROUP, T_STATE,
	T_STATE_NAME, T_SET, T_SET_IFACE, T_SET_VHID, T_SET_SKEW, T_SET_BASE,
	T_SET_MORE, T_SET_MORE_VHID,
	T_SET_GROUP, T_SET_PREEMPT, T_SET_LOG, T_IFACE, T_LOG, T_SYNC,
	T_DOCTOR, T_IMPORT, T_IMPORT_DIR, T_IMPORT_FILES, T_KEYGEN, TABLES
};

/* What the flags of TOKEN_OPT set. */
enum { OPT_NONE, OPT_JSON, OPT_CHECK, OPT_FORCE };

struct token {
	enum token_type	 type;
	const char	*word;		/* keyword, or its name in the usage */
	int		 value;
	enum table	 next;
	int		 min, max;
};

#define END	{ TOKEN_END, NULL, 0, T_STOP, 0, 0 }
#define NONE	{ TOKEN_NONE, NULL, 0, T_STOP, 0, 0 }

static const struct token t_stop[] = { NONE, END };

static const struct token t_main[] = {
	{ TOKEN_WORD, "show", ACTION_SHOW, T_SHOW, 0, 0 },
	{ TOKEN_WORD, "demote", ACTION_DEMOTE, T_DEMOTE, 0, 0 },
	{ TOKEN_WORD, "promote", ACTION_PROMOTE, T_DEMOTE, 0, 0 },
	{ TOKEN_WORD, "state", ACTION_STATE, T_STATE, 0, 0 },
	{ TOKEN_WORD, "set", ACTION_NONE, T_SET, 0, 0 },
	{ TOKEN_WORD, "up", ACTION_UP, T_IFACE, 0, 0 },
	{ TOKEN_WORD, "down", ACTION_DOWN, T_IFACE, 0, 0 },
	{ TOKEN_WORD, "enable", ACTION_ENABLE, T_STOP, 0, 0 },
	{ TOKEN_WORD, "disable", ACTION_DISABLE, T_STOP, 0, 0 },
	{ TOKEN_WORD, "reload", ACTION_RELOAD, T_STOP, 0, 0 },
	{ TOKEN_WORD, "log", ACTION_LOG, T_LOG, 0, 0 },
	{ TOKEN_WORD, "monitor", ACTION_MONITOR, T_STOP, 0, 0 },
	{ TOKEN_WORD, "sync", ACTION_NONE, T_SYNC, 0, 0 },
	{ TOKEN_WORD, "doctor", ACTION_DOCTOR, T_DOCTOR, 0, 0 },
	{ TOKEN_WORD, "import", ACTION_IMPORT, T_IMPORT, 0, 0 },
	{ TOKEN_WORD, "keygen", ACTION_KEYGEN, T_KEYGEN, 0, 0 },
	END
};

static const struct token t_show[] = {
	{ TOKEN_OPT, "-j", OPT_JSON, T_SHOW, 0, 0 },
	{ TOKEN_OPT, "--check", OPT_CHECK, T_SHOW, 0, 0 },
	NONE,
	{ TOKEN_NAME, "interface", ACTION_SHOW_IFACE, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_WORD, "demotion", ACTION_SHOW_DEMOTION, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_WORD, "counters", ACTION_SHOW_COUNTERS, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_WORD, "peers", ACTION_SHOW_PEERS, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_WORD, "history", ACTION_SHOW_HISTORY, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_WORD, "sync", ACTION_SHOW_SYNC, T_SHOW_OPTS, 0, 0 },
	END
};

/* The same options behind the word. */
static const struct token t_show_opts[] = {
	{ TOKEN_OPT, "-j", OPT_JSON, T_SHOW_OPTS, 0, 0 },
	{ TOKEN_OPT, "--check", OPT_CHECK, T_SHOW_OPTS, 0, 0 },
	NONE,
	END
};

static const struct token t_demote[] = {
	{ TOKEN_OPT, "-g", OPT_NONE, T_DEMOTE_GROUP, 0, 0 },
	NONE,
	{ TOKEN_NUMBER, "number", 0, T_STOP, 1, DEMOTE_MAX },
	END
};

static const struct token t_demote_group[] = {
	{ TOKEN_GROUP, "group", 0, T_DEMOTE, 0, 0 },
	END
};

static const struct token t_state[] = {
	{ TOKEN_NAME, "interface", 0, T_STATE_NAME, 0, 0 },
	END
};

static const struct token t_state_name[] = {
	{ TOKEN_CHOICE, "master", VHOST_MASTER, T_STOP, 0, 0 },
	{ TOKEN_CHOICE, "backup", VHOST_BACKUP, T_STOP, 0, 0 },
	{ TOKEN_CHOICE, "init", VHOST_INIT, T_STOP, 0, 0 },
	END
};

static const struct token t_set[] = {
	{ TOKEN_NAME, "interface", 0, T_SET_IFACE, 0, 0 },
	{ TOKEN_WORD, "preempt", ACTION_SET_PREEMPT, T_SET_PREEMPT, 0, 0 },
	{ TOKEN_WORD, "log", ACTION_SET_LOG, T_SET_LOG, 0, 0 },
	END
};

static const struct token t_set_iface[] = {
	{ TOKEN_OPT, "vhid", OPT_NONE, T_SET_VHID, 0, 0 },
	{ TOKEN_WORD, "advskew", ACTION_SET_ADVSKEW, T_SET_SKEW, 0, 0 },
	{ TOKEN_WORD, "advbase", ACTION_SET_ADVBASE, T_SET_BASE, 0, 0 },
	{ TOKEN_WORD, "group", ACTION_SET_GROUP, T_SET_GROUP, 0, 0 },
	{ TOKEN_WORD, "-group", ACTION_SET_UNGROUP, T_SET_GROUP, 0, 0 },
	END
};

static const struct token t_set_vhid[] = {
	{ TOKEN_VHID, "number", 0, T_SET_IFACE, 1, 255 },
	END
};

static const struct token t_set_skew[] = {
	{ TOKEN_NUMBER, "number", 0, T_SET_MORE, 0, 254 },
	END
};

/* The same option behind the word. */
static const struct token t_set_more[] = {
	{ TOKEN_OPT, "vhid", OPT_NONE, T_SET_MORE_VHID, 0, 0 },
	NONE,
	END
};

static const struct token t_set_more_vhid[] = {
	{ TOKEN_VHID, "number", 0, T_STOP, 1, 255 },
	END
};

static const struct token t_set_base[] = {
	{ TOKEN_NUMBER, "seconds", 0, T_STOP, 0, 254 },
	END
};

static const struct token t_set_group[] = {
	{ TOKEN_GROUP, "name", 0, T_STOP, 0, 0 },
	END
};

static const struct token t_set_preempt[] = {
	{ TOKEN_CHOICE, "yes", 1, T_STOP, 0, 0 },
	{ TOKEN_CHOICE, "no", 0, T_STOP, 0, 0 },
	END
};

static const struct token t_set_log[] = {
	{ TOKEN_NUMBER, "level", 0, T_STOP, 0, 7 },
	END
};

static const struct token t_iface[] = {
	{ TOKEN_NAME, "interface", 0, T_STOP, 0, 0 },
	END
};

static const struct token t_log[] = {
	{ TOKEN_CHOICE, "verbose", 1, T_STOP, 0, 0 },
	{ TOKEN_CHOICE, "brief", 0, T_STOP, 0, 0 },
	END
};

static const struct token t_sync[] = {
	{ TOKEN_WORD, "now", ACTION_SYNC_NOW, T_STOP, 0, 0 },
	{ TOKEN_WORD, "flush", ACTION_SYNC_FLUSH, T_STOP, 0, 0 },
	END
};

static const struct token t_doctor[] = {
	{ TOKEN_OPT, "-j", OPT_JSON, T_DOCTOR, 0, 0 },
	NONE,
	END
};

static const struct token t_import[] = {
	{ TOKEN_OPT, "-f", OPT_FORCE, T_IMPORT, 0, 0 },
	{ TOKEN_OPT, "-o", OPT_NONE, T_IMPORT_DIR, 0, 0 },
	{ TOKEN_FILE, "file ...", 0, T_IMPORT_FILES, 0, 0 },
	END
};

static const struct token t_import_dir[] = {
	{ TOKEN_DIR, "directory", 0, T_IMPORT, 0, 0 },
	END
};

static const struct token t_import_files[] = {
	NONE,
	{ TOKEN_FILE, "file", 0, T_IMPORT_FILES, 0, 0 },
	END
};

static const struct token t_keygen[] = {
	NONE,
	{ TOKEN_FILE, "file", 0, T_STOP, 0, 0 },
	END
};

static const struct token *const tables[TABLES] = {
	[T_STOP] = t_stop,
	[T_MAIN] = t_main,
	[T_SHOW] = t_show,
	[T_SHOW_OPTS] = t_show_opts,
	[T_DEMOTE] = t_demote,
	[T_DEMOTE_GROUP] = t_demote_group,
	[T_STATE] = t_state,
	[T_STATE_NAME] = t_state_name,
	[T_SET] = t_set,
	[T_SET_IFACE] = t_set_iface,
	[T_SET_VHID] = t_set_vhid,
	[T_SET_SKEW] = t_set_skew,
	[T_SET_BASE] = t_set_base,
	[T_SET_MORE] = t_set_more,
	[T_SET_MORE_VHID] = t_set_more_vhid,
	[T_SET_GROUP] = t_set_group,
	[T_SET_PREEMPT] = t_set_preempt,
	[T_SET_LOG] = t_set_log,
	[T_IFACE] = t_iface,
	[T_LOG] = t_log,
	[T_SYNC] = t_sync,
	[T_DOCTOR] = t_doctor,
	[T_IMPORT] = t_import,
	[T_IMPORT_DIR] = t_import_dir,
	[T_IMPORT_FILES] = t_import_files,
	[T_KEYGEN] = t_keygen
};

static bool
is_keyword(const struct token *t)
{
	return (t->type == TOKEN_WORD || t->type == TOKEN_CHOICE ||
	    t->type == TOKEN_OPT);
}

/* Options with a dash are letters, not words: nothing to cut there. */
static bool
keyword_starts(const struct token *t, const char *word)
{
	return (t->word[0] != '-' &&
	    strncmp(t->word, word, strlen(word)) == 0);
}

static bool
takes(const struct token *t, const char *word)
{
	switch (t->type) {
	case TOKEN_NAME:
	case TOKEN_GROUP:
	case TOKEN_NUMBER:
	case TOKEN_VHID:
		return (word[0] != '-' && word[0] != '\0');
	case TOKEN_DIR:
		return (word[0] != '\0');
	case TOKEN_FILE:
		return (word[0] != '\0' && (word[0] != '-' ||
		    word[1] == '\0'));
	default:
		return (false);
	}
}

/* The entry for the end of the command, or NULL. */
static const struct token *
match_end(const struct token *table)
{
	const struct token	*t;

	for (t = table; t->type != TOKEN_END; t++)
		if (t->type == TOKEN_NONE)
			return (t);
	return (NULL);
}

/*
 * A whole keyword wins over a cut one, and that over a name, so an interface
 * may be called anything that does not begin a keyword.
 */
static const struct token *
match_word(const struct token *table, const char *word, bool *ambiguous)
{
	const struct token	*t, *cut = NULL, *other = NULL;

	*ambiguous = false;
	for (t = table; t->type != TOKEN_END; t++) {
		if (is_keyword(t)) {
			if (strcmp(t->word, word) == 0)
				return (t);
			if (!keyword_starts(t, word))
				continue;
			*ambiguous = cut != NULL;
			cut = t;
		} else if (takes(t, word))
			other = t;
	}
	if (*ambiguous)
		return (NULL);
	return (cut != NULL ? cut : other);
}

static int
take_string(const char *what, const char *word, char *dst, size_t size,
    FILE *err)
{
	if (strlcpy(dst, word, size) >= size) {
		fprintf(err, "%s %s: longer than %zu characters\n", what, word,
		    size - 1);
		return (-1);
	}
	return (0);
}

static int
take_number(const struct token *t, const char *word, int *n, FILE *err)
{
	const char	*why;

	*n = (int)strtonum(word, t->min, t->max, &why);
	if (why == NULL)
		return (0);
	fprintf(err, "%s: %s, expected %d to %d\n", word, why, t->min, t->max);
	return (-1);
}

static void
take_option(int which, struct tokens_result *r)
{
	if (which == OPT_JSON)
		r->json = true;
	else if (which == OPT_CHECK)
		r->check = true;
	else if (which == OPT_FORCE)
		r->force = true;
}

/* Carry what the matched word says over into *r. */
static int
take(const struct token *t, char *const *words, struct tokens_result *r,
    FILE *err)
{
	const char	*word = *words;

	switch (t->type) {
	case TOKEN_OPT:
		take_option(t->value, r);
		return (0);
	case TOKEN_CHOICE:
		r->number = t->value;
		return (0);
	case TOKEN_NUMBER:
		return (take_number(t, word, &r->number, err));
	case TOKEN_VHID:
		return (take_number(t, word, &r->vhid, err));
	case TOKEN_GROUP:
		return (take_string("group", word, r->group, sizeof(r->group),
		    err));
	case TOKEN_NAME:
		if (t->value != 0)
			r->action = (enum tokens_action)t->value;
		return (take_string("interface", word, r->name,
		    sizeof(r->name), err));
	case TOKEN_WORD:
		if (t->value != 0)
			r->action = (enum tokens_action)t->value;
		return (0);
	case TOKEN_DIR:
		r->dir = word;
		return (0);
	case TOKEN_FILE:
		if (r->files == NULL)
			r->files = words;
		return (0);
	case TOKEN_NONE:
	case TOKEN_END:
		break;
	}
	return (0);
}

static void
print_token(const struct token *t, FILE *f)
{
	switch (t->type) {
	case TOKEN_NAME:
	case TOKEN_GROUP:
	case TOKEN_DIR:
	case TOKEN_FILE:
		fprintf(f, "<%s>", t->word);
		break;
	case TOKEN_NUMBER:
	case TOKEN_VHID:
		fprintf(f, "<%s %d-%d>", t->word, t->min, t->max);
		break;
	default:
		fputs(t->word, f);
		break;
	}
}

static void
print_expected(const struct token *table, FILE *f)
{
	const struct token	*t;
	const char		*sep = "expected: ";

	for (t = table; t->type != TOKEN_END; t++) {
		if (t->type == TOKEN_NONE)
			continue;
		fputs(sep, f);
		print_token(t, f);
		sep = ", ";
	}
	fputs(sep[0] == ',' ? "\n" : "expected: nothing more\n", f);
}

/* Combinations that no single place in the table can refuse. */
static int
check_result(const struct tokens_result *r, FILE *err)
{
	if (r->json && (r->check || r->action > ACTION_DOCTOR)) {
		fputs("-j: only for show and doctor, and not with --check\n",
		    err);
		return (-1);
	}
	if (r->check && r->action != ACTION_SHOW &&
	    r->action != ACTION_SHOW_IFACE) {
		fputs("--check: only for the state of interfaces\n", err);
		return (-1);
	}
	if (r->vhid != 0 && r->action != ACTION_SET_ADVSKEW &&
	    r->action != ACTION_SET_ADVBASE) {
		fputs("vhid: only for advskew and advbase\n", err);
		return (-1);
	}
	return (0);
}

int
tokens_parse(char *const *words, struct tokens_result *r, FILE *err)
{
	const struct token	*table = t_main, *t;
	bool			 ambiguous, json = r->json;

	memset(r, 0, sizeof(*r));
	r->json = json;
	strlcpy(r->group, "carp", sizeof(r->group));
	r->number = 1;
	for (; *words != NULL; words++) {
		if ((t = match_word(table, *words, &ambiguous)) == NULL) {
			fprintf(err, "%s argument: %s\n",
			    ambiguous ? "ambiguous" : "unknown", *words);
			print_expected(table, err);
			return (-1);
		}
		if (take(t, words, r, err) == -1)
			return (-1);
		table = tables[t->next];
	}
	if (match_end(table) == NULL) {
		fputs("missing argument\n", err);
		print_expected(table, err);
		return (-1);
	}
	return (check_result(r, err));
}

static void	 usage_table(enum table, FILE *);

/* [-g group]: the word, and its argument up to where the path returns. */
static void
usage_option(const struct token *t, enum table home, FILE *f)
{
	fprintf(f, " [%s", t->word);
	if (t->next != home)
		fprintf(f, " %s", tables[t->next][0].word);
	fputc(']', f);
}

static void
usage_table(enum table id, FILE *f)
{
	const struct token	*t;
	bool			 optional;
	const char		*sep;

	for (t = tables[id]; t->type != TOKEN_END; t++)
		if (t->type == TOKEN_OPT)
			usage_option(t, id, f);
	optional = match_end(tables[id]) != NULL;
	sep = optional ? " [" : " ";
	for (t = tables[id]; t->type != TOKEN_END; t++) {
		if (t->type == TOKEN_NONE || t->type == TOKEN_OPT)
			continue;
		fprintf(f, "%s%s", sep, t->word);
		sep = "|";
		/* said before the word, or in it */
		if (t->next != T_SHOW_OPTS && t->next != T_IMPORT_FILES &&
		    t->next != T_SET_MORE)
			usage_table(t->next, f);
	}
	if (optional && sep[0] == '|')
		fputc(']', f);
}

/* Does what follows depend on the word chosen?  Then each gets its line. */
static bool
branches(const struct token *table)
{
	return (match_end(table) == NULL && table->next != T_STOP &&
	    table->type != TOKEN_OPT);
}

static void
usage_branches(const char *prefix, const struct token *command, FILE *f)
{
	const struct token	*t;

	for (t = tables[command->next]; t->type != TOKEN_END; t++) {
		fprintf(f, "%s%s %s", prefix, command->word, t->word);
		usage_table(t->next, f);
		fputc('\n', f);
	}
}

void
tokens_usage(const char *prefix, FILE *f)
{
	const struct token	*t;

	for (t = t_main; t->type != TOKEN_END; t++) {
		if (branches(tables[t->next])) {
			usage_branches(prefix, t, f);
			continue;
		}
		fprintf(f, "%s%s", prefix, t->word);
		usage_table(t->next, f);
		fputc('\n', f);
	}
}
