/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The grammar of pfsyncd.conf(5), and only that: words and their order.  What
 * they mean and whether they are right is config.c; tokens are common/lex.
 *
 * Mistakes: a rule with `error' in it exists wherever something better than
 * "syntax error" can be said, and yacc drops tokens up to what may follow.
 * Inside the block the next keyword, newline or brace may; outside the end of
 * the line, or a whole block.  Each line gets at most one such message
 * (config_yyerror()), and yyerrok at its end, so that the next line is
 * judged anew and one run finds everything.
 */
%{
#include "parse.h"

static struct config_run	*run;

static int	 yylex(void);
static void	 yyerror(const char *msg);
%}

%union {
	struct config_tok	 t;
	struct authconf_key	 k;
}

%token	<t> ACTIVE AUTH CARPD DEFER DIALECT ENCRYPT EVENTBUF FILENAME FROM ID
%token	<t> KEY MARK MAXSTATES MAXUPD NOSYNC ON PROTO REFRESH SELF SYNCDEV SYNCPEER TO
%token	<t> NUMBER STRING WORD BAD
%token	<t> '\n' '{' '}'
%type	<t> arg dialects misplaced word
%type	<k> keyhead

%%

conf	: /* empty */
	| conf '\n'			{ yyerrok; }
	| conf stmt '\n'		{ yyerrok; }
	| conf stmt error '\n' {
		config_expected(run, "the end of the line");
		yyerrok;
	}
	| conf open			{ yyerrok; }
	| conf wrong			{ yyerrok; }
	;

stmt	: SYNCDEV arg		{ config_syncdev(run, &$1, &$2); }
	| SYNCPEER arg		{ config_syncpeer(run, &$1, &$2); }
	| MAXUPD NUMBER		{ config_maxupd(run, &$1, &$2); }
	| DEFER arg		{ config_defer(run, &$1, &$2); }
	| CARPD arg		{ config_carpd(run, &$1, &$2); }
	| AUTH arg		{ config_auth(run, &$1, &$2); }
	| ENCRYPT arg		{ config_encrypt(run, &$1, &$2); }
	| REFRESH NUMBER	{ config_refresh(run, &$1, &$2); }
	| MAXSTATES NUMBER	{ config_maxstates(run, &$1, &$2); }
	| EVENTBUF NUMBER	{ config_eventbuf(run, &$1, &$2); }
	| NOSYNC '{' { config_nosync_begin(run, &$1); } rules '}' {
		config_nosync_end(run);
	}
	;

/*
 * Statements that may go on: with the end of the line in the rule, so that
 * byacc and bison find a mistake at the same place.
 */
open	: dialects '\n'
	| dialects error '\n' {
		config_expected(run, "native, openbsd or the end of the line");
	}
	| keyhead '\n'		{ config_key(run, &$1, NULL, NULL); }
	| keyhead ACTIVE '\n'	{ config_key(run, &$1, NULL, &$2); }
	| keyhead ID NUMBER '\n' { config_key(run, &$1, &$3, NULL); }
	| keyhead ID NUMBER ACTIVE '\n' {
		config_key(run, &$1, &$3, &$4);
	}
	| keyhead error '\n' {
		config_expected(run, "id N, active or the end of the line");
	}
	| keyhead ID error '\n' {
		config_expected(run, "id N, 0 to 65535");
	}
	| keyhead ID NUMBER error '\n' {
		config_expected(run, "active or the end of the line");
	}
	| keyhead ACTIVE error '\n' {
		config_expected(run, "the end of the line");
	}
	| keyhead ID NUMBER ACTIVE error '\n' {
		config_expected(run, "the end of the line");
	}
	;

dialects : DIALECT arg {
		config_dialect(run, &$1, &$2, true);
		$$ = $1;
	}
	| dialects arg {
		config_dialect(run, &$1, &$2, false);
		$$ = $1;
	}
	;

keyhead	: KEY arg {
		$$.key = $1;
		$$.val = $2;
		$$.file = false;
	}
	| KEY FILENAME arg {
		$$.key = $1;
		$$.val = $3;
		$$.file = true;
	}
	;

wrong	: SYNCDEV error '\n' {
		config_syncdev(run, &$1, NULL);
		config_expected(run, "syncdev INTERFACE");
	}
	| SYNCPEER error '\n' {
		config_expected(run, "syncpeer ADDRESS");
	}
	| MAXUPD error '\n' {
		config_expected(run, "maxupd N, 0 to 255");
	}
	| DEFER error '\n'	{ config_expected(run, "defer yes or defer no"); }
	| DIALECT error '\n' {
		config_expected(run, "dialect native, openbsd or both");
	}
	| CARPD error '\n' {
		config_expected(run, "carpd \"PATH\" or carpd no");
	}
	| AUTH error '\n' {
		config_expected(run, "auth off, permissive or strict");
	}
	| ENCRYPT error '\n' {
		config_expected(run, "encrypt yes or encrypt no");
	}
	| KEY error '\n' {
		config_expected(run, "key \"64 HEX DIGITS\" or "
		    "key file \"PATH\"");
	}
	| KEY FILENAME error '\n' {
		config_expected(run, "key file \"PATH\"");
	}
	| REFRESH error '\n' {
		config_expected(run, "refresh SECONDS, 1 to 3600");
	}
	| MAXSTATES error '\n'	{ config_expected(run, "maxstates N"); }
	| EVENTBUF error '\n'	{ config_expected(run, "eventbuf BYTES"); }
	| NOSYNC error '\n'	{ config_expected(run, "no-sync {"); }
	| word '\n'		{ config_unknown(run, &$1, CONFIG_CTX_TOP); }
	| word error '\n'	{ config_unknown(run, &$1, CONFIG_CTX_TOP); }
	| error '\n'		{ config_impossible(run, CONFIG_CTX_TOP); }
	| badblock braces '}'	{ config_quiet(run, false); }
	;

badblock : NOSYNC error '{' {
		config_expected(run, "no-sync {");
		config_quiet(run, true);
	}
	| word '{' {
		config_unknown(run, &$1, CONFIG_CTX_TOP);
		config_quiet(run, true);
	}
	| word error '{' {
		config_unknown(run, &$1, CONFIG_CTX_TOP);
		config_quiet(run, true);
	}
	| error '{' {
		config_impossible(run, CONFIG_CTX_TOP);
		config_quiet(run, true);
	}
	;

rules	: /* empty */
	| rules '\n'		{ yyerrok; }
	| rules rule
	| rules rulewrong
	;

rule	: PROTO arg	{ config_nosync(run, NOSYNC_PROTO, &$1, &$2); }
	| SELF		{ config_nosync(run, NOSYNC_SELF, &$1, &$1); }
	| FROM arg	{ config_nosync(run, NOSYNC_FROM, &$1, &$2); }
	| TO arg	{ config_nosync(run, NOSYNC_TO, &$1, &$2); }
	| ON arg	{ config_nosync(run, NOSYNC_ON, &$1, &$2); }
	| MARK arg	{ config_nosync(run, NOSYNC_MARK, &$1, &$2); }
	;

rulewrong : PROTO error {
		config_expected(run, "proto NAME or proto N");
	}
	| FROM error	{ config_expected(run, "from ADDRESS/LENGTH"); }
	| TO error	{ config_expected(run, "to ADDRESS/LENGTH"); }
	| ON error	{ config_expected(run, "on INTERFACE"); }
	| MARK error	{ config_expected(run, "mark 0xVALUE/0xMASK"); }
	| word		{ config_unknown(run, &$1, CONFIG_CTX_NOSYNC); }
	| '{' {
		config_misplaced(run, &$1, CONFIG_CTX_NOSYNC);
		config_quiet(run, true);
	} braces '}' {
		config_quiet(run, false);
	}
	| misplaced	{ config_misplaced(run, &$1, CONFIG_CTX_NOSYNC); }
	| error		{ config_impossible(run, CONFIG_CTX_NOSYNC); }
	;

/*
 * What cannot start a rule.  Named one by one, else byacc (not bison, which
 * reduces without looking) would find the mistake one token later, behind an
 * unknown word.
 */
misplaced : ACTIVE
	| AUTH
	| BAD
	| CARPD
	| DEFER
	| DIALECT
	| ENCRYPT
	| EVENTBUF
	| FILENAME
	| ID
	| KEY
	| MAXSTATES
	| MAXUPD
	| NOSYNC
	| NUMBER
	| REFRESH
	| SYNCDEV
	| SYNCPEER
	;

word	: WORD
	| STRING
	;

arg	: WORD
	| STRING
	| NUMBER
	;

/* Within a block that nothing is wanted of. */
braces	: /* empty */
	| braces '\n'
	| braces error
	| braces '{' braces '}'
	;

%%

static const struct lex_keyword keywords[] = {
	{ "active", ACTIVE },
	{ "auth", AUTH },
	{ "carpd", CARPD },
	{ "defer", DEFER },
	{ "dialect", DIALECT },
	{ "encrypt", ENCRYPT },
	{ "eventbuf", EVENTBUF },
	{ "file", FILENAME },
	{ "from", FROM },
	{ "id", ID },
	{ "key", KEY },
	{ "mark", MARK },
	{ "maxstates", MAXSTATES },
	{ "maxupd", MAXUPD },
	{ "no-sync", NOSYNC },
	{ "on", ON },
	{ "proto", PROTO },
	{ "refresh", REFRESH },
	{ "self", SELF },
	{ "syncdev", SYNCDEV },
	{ "syncpeer", SYNCPEER },
	{ "to", TO },
};

const struct lex_keyword *
parse_keywords(size_t *n)
{
	*n = sizeof(keywords) / sizeof(keywords[0]);
	return (keywords);
}

static int
yylex(void)
{
	static const struct config_tokens	 tokens = { .word = WORD,
		.string = STRING, .number = NUMBER, .bad = BAD,
		.secret = { KEY, 0 } };
	int					 token;

	token = config_next(run, &tokens);
	yylval.t = run->last;
	return (token);
}

static void
yyerror(const char *msg)
{
	config_yyerror(run, msg);
}

void
parse_run(struct config_run *r)
{
	run = r;
	yyparse();
	run = NULL;
}
