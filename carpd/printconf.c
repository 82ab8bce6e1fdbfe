/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A configuration in the language of carpd.conf(5), with every default
 * written out.  What is printed parses to the same (tests/unit/config_test).
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
print_iface(const struct config_iface *i, bool secrets, FILE *f)
{
	char	 buf[IPADDR_STRLEN];
	size_t	 n;

	fprintf(f, "\n%s", i->name);
	if (!i->chosen) {
		fprintf(f, " on ");
		print_name(i->carpdev, f);
	}
	fprintf(f, " {\n");
	for (n = 0; n < i->nvhids; n++)
		fprintf(f, "\tvhid %u { advbase %u advskew %u }\n",
		    i->vhids[n].vhid, i->vhids[n].advbase,
		    i->vhids[n].advskew);
	if (i->passlen > 0) {
		fprintf(f, "\tpass ");
		lex_print_quoted(secrets ? i->pass : "***", f);
		fprintf(f, "\n");
	}
	for (n = 0; n < i->naddrs; n++)
		fprintf(f, "\taddress %s\n", ipaddr_print_prefix(&i->addrs[n],
		    buf, sizeof(buf)));
	for (n = 0; n < i->npeers; n++)
		fprintf(f, "\tpeer %s\n", ipaddr_print(&i->peers[n], buf,
		    sizeof(buf)));
	for (n = 0; n < i->ngroups; n++)
		fprintf(f, "\tgroup \"%s\"\n", i->groups[n]);
	fprintf(f, "\tdigest %s\n", config_digest_names[i->digest]);
	fprintf(f, "\tdemote-style %s\n", config_style_names[i->style]);
	fprintf(f, "\tbalancing %s\n}\n",
	    balance_mode_names[i->balancing]);
}

void
config_print(const struct config *c, bool secrets, FILE *f)
{
	size_t	 n;

	fprintf(f, "preempt %s\n", c->g.preempt ? "yes" : "no");
	fprintf(f, "allow %s\n", c->g.allow ? "yes" : "no");
	fprintf(f, "log %u\n", c->g.log);
	fprintf(f, "sync wait %u\n", c->g.sync_wait);
	authconf_print(&c->auth, secrets, f);
	for (n = 0; n < c->nifaces; n++)
		print_iface(&c->ifaces[n], secrets, f);
	for (n = 0; n < c->ngroups; n++)
		fprintf(f, "%sgroup \"%s\" { demote %u }\n",
		    n == 0 ? "\n" : "", c->groups[n].name,
		    c->groups[n].demote);
}
