/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The grammar of carpd.conf(5), and only that: words and their order.  What
 * they mean and whether they are right is config.c; tokens are common/lex.
 *
 * Mistakes: a rule with `error' in it exists wherever something better than
 * "syntax error" can be said, and yacc drops tokens up to what may follow.
 * Inside a block the next keyword, newline or brace may; outside the end of
 * the line, or a whole block.  Each line gets at most one such message
 * (config_yyerror()), and yyerrok at its end, so that the next line is
 * judged anew and one run finds everything.
 */
%{
#include <string.h>

#include "parse.h"

static struct config_run	*run;

static int	 yylex(void);
static void	 yyerror(const char *msg);
%}

%union {
	struct config_tok	 t;
	struct authconf_key	 k;
}

%token	<t> ACTIVE ADDRESS ALLOW ADVBASE ADVSKEW AUTH BALANCING DEMOTE
%token	<t> DEMOTESTYLE DIGEST FILENAME GROUP ID KEY LOG ON PASS PEER PREEMPT SYNC VHID WAIT
%token	<t> NUMBER STRING WORD BAD
%token	<t> '\n' '{' '}'
%type	<t> arg junk misplaced word
%type	<k> keyhead

/* vhid N without a block: a { after it is the block. */
%nonassoc NOBLOCK
%nonassoc '{'

%%

conf	: /* empty */
	| conf '\n'			{ yyerrok; }
	| conf stmt '\n'		{ yyerrok; }
	| conf stmt error '\n' {
		config_expected(run, "the end of the line");
		yyerrok;
	}
	| conf keyline			{ yyerrok; }
	| conf wrong			{ yyerrok; }
	;

stmt	: PREEMPT arg		{ config_preempt(run, &$1, &$2); }
	| ALLOW arg		{ config_allow(run, &$1, &$2); }
	| AUTH arg		{ config_auth(run, &$1, &$2); }
	| LOG NUMBER		{ config_log(run, &$1, &$2); }
	| SYNC WAIT NUMBER	{ config_sync_wait(run, &$1, &$3); }
	| GROUP word '{' { config_group_begin(run, &$2); } groupopts '}' {
		config_group_end(run);
	}
	| ifhead '{' ifopts '}'	{ config_iface_end(run); }
	| word '{'		{ config_iface_anywhere(run, &$1); }
	  ifopts '}'		{ config_iface_end(run); }
	;

/*
 * With the end of the line in the rule, so that byacc and bison find a mistake
 * at the same place.
 */
keyline	: keyhead '\n'		{ config_key(run, &$1, NULL, NULL); }
	| keyhead ACTIVE '\n'	{ config_key(run, &$1, NULL, &$2); }
	| keyhead ID NUMBER '\n' { config_key(run, &$1, &$3, NULL); }
	| keyhead ID NUMBER ACTIVE '\n' {
		config_key(run, &$1, &$3, &$4);
	}
	| keyhead error '\n' {
		config_expected(run, "id N, active or the end of the line");
	}
	| keyhead ID error '\n' {
		config_expected(run, "id N, 1 to 65535");
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

wrong	: PREEMPT error '\n' {
		config_expected(run, "preempt yes or preempt no");
	}
	| ALLOW error '\n' {
		config_expected(run, "allow yes or allow no");
	}
	| AUTH error '\n' {
		config_expected(run, "auth off, permissive or strict");
	}
	| KEY error '\n' {
		config_expected(run, "key \"64 HEX DIGITS\" or "
		    "key file \"PATH\"");
	}
	| KEY FILENAME error '\n' {
		config_expected(run, "key file \"PATH\"");
	}
	| LOG error '\n' {
		config_expected(run, "log 0 to log 7");
	}
	| SYNC error '\n' {
		config_expected(run, "sync wait SECONDS");
	}
	| SYNC WAIT error '\n' {
		config_expected(run, "sync wait SECONDS");
	}
	| groupbad '\n'
	| groupbad '{' { config_quiet(run, true); } braces '}' {
		config_quiet(run, false);
	}
	| ifhead error '\n' {
		config_expected(run, "{ on the line of NAME on CARPDEV");
		config_iface_drop(run);
	}
	| word ON error '\n' {
		config_expected(run, "NAME on CARPDEV {");
	}
	| word ON error '{' {
		config_expected(run, "NAME on CARPDEV {");
		config_iface_begin(run, &$1, NULL);
	} ifopts '}' {
		config_iface_end(run);
	}
	| word '\n'		{ config_iface_head(run, &$1, NULL, false); }
	| word junk '\n'	{ config_iface_head(run, &$1, &$2, false); }
	| word junk '{'		{ config_iface_head(run, &$1, &$2, true); }
	  ifopts '}'		{ config_iface_end(run); }
	| error '\n'		{ config_impossible(run, CONFIG_CTX_TOP); }
	| error '{' {
		config_impossible(run, CONFIG_CTX_TOP);
		config_quiet(run, true);
	} braces '}' {
		config_quiet(run, false);
	}
	;

groupbad : GROUP error {
		config_expected(run, "group \"NAME\" { demote N }");
	}
	| GROUP word error {
		config_expected(run, "group \"NAME\" { demote N }");
	}
	;

groupopts : /* empty */
	| groupopts '\n'		{ yyerrok; }
	| groupopts DEMOTE NUMBER	{ config_demote(run, &$2, &$3); }
	| groupopts DEMOTE error {
		config_expected(run, "demote N, 0 to 255");
	}
	| groupopts word	{ config_unknown(run, &$2, CONFIG_CTX_GROUP); }
	| groupopts error {
		config_impossible(run, CONFIG_CTX_GROUP);
	}
	;

ifhead	: word ON arg		{ config_iface_begin(run, &$1, &$3); }
	;

ifopts	: /* empty */
	| ifopts '\n'		{ yyerrok; }
	| ifopts ifopt
	| ifopts ifwrong
	;

ifopt	: vhid			%prec NOBLOCK
	| vhid '{' vhidopts '}'
	| PASS arg		{ config_pass(run, &$1, &$2); }
	| PASS FILENAME arg	{ config_pass_file(run, &$1, &$3); }
	| ADDRESS arg		{ config_address(run, &$2); }
	| GROUP arg		{ config_join(run, &$2); }
	| DIGEST arg		{ config_digest(run, &$1, &$2); }
	| DEMOTESTYLE arg	{ config_style(run, &$1, &$2); }
	| BALANCING arg		{ config_balancing(run, &$1, &$2); }
	| PEER arg		{ config_peer(run, &$2); }
	;

ifwrong	: VHID error {
		config_vhid(run, &$1, NULL);
		config_expected(run, "vhid N { advbase N advskew N }, "
		    "vhid from 1 to 255");
	}
	| PASS error {
		config_pass(run, &$1, NULL);
		config_expected(run, "pass \"PHRASE\" or pass file \"PATH\"");
	}
	| PASS FILENAME error {
		config_pass(run, &$1, NULL);
		config_expected(run, "pass file \"PATH\"");
	}
	| ADDRESS error {
		config_address(run, NULL);
		config_expected(run, "address ADDRESS/LENGTH");
	}
	| GROUP error {
		config_expected(run, "group \"NAME\"");
	}
	| DIGEST error {
		config_expected(run, "digest auto, openbsd or freebsd");
	}
	| DEMOTESTYLE error {
		config_expected(run, "demote-style auto, byte, skew or both");
	}
	| BALANCING error {
		config_expected(run, "balancing none, arp, ip, "
		    "ip-stealth or ip-unicast");
	}
	| PEER error {
		config_expected(run, "peer ADDRESS");
	}
	| word ON arg '{'	{ config_iface_again(run, &$1, &$3); }
	| word			{ config_unknown(run, &$1, CONFIG_CTX_IFACE); }
	| '{'			{ config_stray(run, &$1); }
	  braces '}'		{ config_quiet(run, false); }
	| misplaced {
		config_misplaced(run, &$1, CONFIG_CTX_IFACE);
	}
	| error	{ config_impossible(run, CONFIG_CTX_IFACE); }
	;

vhid	: VHID NUMBER		{ config_vhid(run, &$1, &$2); }
	;

/*
 * What cannot start a statement of an interface.  Named one by one, else byacc
 * (not bison, which reduces without looking) would find the mistake one token
 * later, behind an unknown word.
 */
misplaced : ACTIVE
	| ADVBASE
	| ADVSKEW
	| ALLOW
	| AUTH
	| BAD
	| DEMOTE
	| FILENAME
	| ID
	| KEY
	| LOG
	| NUMBER
	| PREEMPT
	| SYNC
	| WAIT
	;

vhidopts : /* empty */
	| vhidopts '\n'			{ yyerrok; }
	| vhidopts ADVBASE NUMBER	{ config_advbase(run, &$2, &$3); }
	| vhidopts ADVSKEW NUMBER	{ config_advskew(run, &$2, &$3); }
	| vhidopts ADVBASE error {
		config_expected(run, "advbase N, 0 to 254");
	}
	| vhidopts ADVSKEW error {
		config_expected(run, "advskew N, 0 to 254");
	}
	| vhidopts word		{ config_unknown(run, &$2, CONFIG_CTX_VHID); }
	| vhidopts error	{ config_impossible(run, CONFIG_CTX_VHID); }
	;

word	: WORD
	| STRING
	;

arg	: WORD
	| STRING
	| NUMBER
	;

/* The first of what follows on the line. */
junk	: arg
	| junk arg		{ $$ = $1; }
	;

/* A block that nothing is wanted of. */
braces	: /* empty */
	| braces '\n'
	| braces error
	| braces '{' braces '}'
	;

%%

static const struct lex_keyword keywords[] = {
	{ "active", ACTIVE },
	{ "address", ADDRESS },
	{ "advbase", ADVBASE },
	{ "advskew", ADVSKEW },
	{ "allow", ALLOW },
	{ "auth", AUTH },
	{ "balancing", BALANCING },
	{ "demote", DEMOTE },
	{ "demote-style", DEMOTESTYLE },
	{ "digest", DIGEST },
	{ "file", FILENAME },
	{ "group", GROUP },
	{ "id", ID },
	{ "key", KEY },
	{ "log", LOG },
	{ "on", ON },
	{ "pass", PASS },
	{ "peer", PEER },
	{ "preempt", PREEMPT },
	{ "sync", SYNC },
	{ "vhid", VHID },
	{ "wait", WAIT },
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
		.secret = { PASS, KEY } };
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
