/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A configuration in the language of pfsyncd.conf(5), with every default
 * written out.  What is printed parses to the same
 * (tests/unit/sync_config_test).
 */
#include <string.h>

#include "config.h"
#include "parse.h"

/* Bare where the lexer reads it as one word that means nothing else. */
static void
print_name(const char *s, FILE *f)
{
	const struct lex_keyword	*kw;
	size_t				 n, i;
	bool				 bare;

	bare = s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == strlen(s);
	kw = parse_keywords(&n);
	for (i = 0; i < n; i++)
		if (strcmp(s, kw[i].word) == 0)
			bare = false;
	if (bare)
		fputs(s, f);
	else
		lex_print_quoted(s, f);
}

static void
print_rule(const struct config_nosync *n, FILE *f)
{
	const char	*name;
	char		 buf[IPADDR_STRLEN];

	switch ((enum config_nosync_type)n->type) {
	case NOSYNC_PROTO:
		if ((name = config_proto_name(n->proto)) != NULL)
			fprintf(f, "\tproto %s\n", name);
		else
			fprintf(f, "\tproto %u\n", n->proto);
		break;
	case NOSYNC_SELF:
		fputs("\tself\n", f);
		break;
	case NOSYNC_FROM:
	case NOSYNC_TO:
		fprintf(f, "\t%s %s\n", n->type == NOSYNC_FROM ? "from" : "to",
		    ipaddr_print_prefix(&n->addr, buf, sizeof(buf)));
		break;
	case NOSYNC_MARK:
		fprintf(f, "\tmark 0x%x/0x%x\n", n->mark, n->mask);
		break;
	case NOSYNC_ON:
		fputs("\ton ", f);
		print_name(n->ifname, f);
		fputc('\n', f);
		break;
	}
}

void
config_print(const struct config *c, bool secrets, FILE *f)
{
	char	 buf[IPADDR_STRLEN];
	size_t	 n;

	fputs("syncdev ", f);
	print_name(c->syncdev, f);
	fputc('\n', f);
	if (c->has_peer)
		fprintf(f, "syncpeer %s\n", ipaddr_print(&c->syncpeer, buf,
		    sizeof(buf)));
	fprintf(f, "maxupd %u\n", c->maxupd);
	fprintf(f, "defer %s\n", c->defer ? "yes" : "no");
	fputs("dialect", f);
	for (n = 0; n < DIALECT_MAX; n++)
		if (c->dialects & 1U << n)
			fprintf(f, " %s", config_dialect_names[n]);
	fputs("\ncarpd ", f);
	if (c->carpd[0] != '\0')
		lex_print_quoted(c->carpd, f);
	else
		fputs("no", f);
	fputc('\n', f);
	authconf_print(&c->auth, secrets, f);
	if (c->auth.nkeys > 0)
		fprintf(f, "encrypt %s\n", c->encrypt ? "yes" : "no");
	fprintf(f, "refresh %u\n", c->refresh);
	fprintf(f, "maxstates %u\n", c->maxstates);
	fprintf(f, "eventbuf %u\n", c->eventbuf);
	fputs("no-sync {\n", f);
	for (n = 0; n < c->nnosync; n++)
		print_rule(&c->nosync[n], f);
	fputs("}\n", f);
}
