/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The list of findings.h, and its two forms of output.
 */
#include <err.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"
#include "put.h"

const char *const finding_names[FINDINGS] = {
	[FINDING_INIT] = "init",
	[FINDING_SPLIT] = "split",
	[FINDING_PASS] = "pass",
	[FINDING_ADDRESSES] = "addresses",
	[FINDING_PASS_OR_ADDRESSES] = "pass or addresses",
	[FINDING_VHID] = "vhid",
	[FINDING_VRRP] = "vrrp",
	[FINDING_UCARP] = "ucarp",
	[FINDING_DIGEST] = "digest",
	[FINDING_ONE_WAY] = "one-way",
	[FINDING_MULTICAST] = "multicast",
	[FINDING_LOOP] = "loop",
	[FINDING_DROPPED] = "dropped",
	[FINDING_SEND] = "send",
	[FINDING_STARVED] = "starved",
	[FINDING_SYNC_LINK] = "sync link",
	[FINDING_SYNC_DIALECT] = "sync dialect",
	[FINDING_SYNC_KEY] = "sync key",
	[FINDING_SYNC_UNAUTH] = "sync unauthenticated",
	[FINDING_SYNC_UNPROVEN] = "sync unproven",
	[FINDING_SYNC_PACKET] = "sync packet",
	[FINDING_SYNC_SILENT] = "sync silent",
	[FINDING_SYNC_SEND] = "sync send",
	[FINDING_SYNC_FULL] = "sync table full",
	[FINDING_RULES_CARP] = "rules carp",
	[FINDING_RULES_PFSYNC] = "rules pfsync",
	[FINDING_MASQUERADE] = "masquerade",
};

void
findings_add(struct findings *all, enum finding_code code, const char *about,
    const char *remedy, const char *fmt, ...)
{
	struct finding	*f;
	va_list		 ap;

	f = reallocarray(all->f, all->n + 1, sizeof(*f));
	if (f == NULL)
		err(1, NULL);
	all->f = f;
	f += all->n++;
	f->code = code;
	f->remedy = remedy;
	strlcpy(f->about, about, sizeof(f->about));
	va_start(ap, fmt);
	vsnprintf(f->cause, sizeof(f->cause), fmt, ap);
	va_end(ap);
}

bool
findings_have(const struct findings *all, enum finding_code code)
{
	size_t	 i;

	for (i = 0; i < all->n; i++)
		if (all->f[i].code == code)
			return (true);
	return (false);
}

void
findings_free(struct findings *all)
{
	free(all->f);
	memset(all, 0, sizeof(*all));
}

void
findings_text(const struct findings *all, FILE *f)
{
	const struct finding	*x;

	for (x = all->f; x < all->f + all->n; x++)
		fprintf(f, "%s%s%s; %s\n", x->about, x->about[0] != '\0' ?
		    ": " : "", x->cause, x->remedy);
	if (all->n == 0)
		fputs("nothing wrong\n", f);
}

void
findings_json(const struct findings *all, FILE *f)
{
	json_t			*root = put_must(json_object()), *list, *o;
	const struct finding	*x;

	put_int(root, "schema", PUT_SCHEMA);
	list = put_array(root, "findings");
	for (x = all->f; x < all->f + all->n; x++) {
		o = put_append(list);
		put_str(o, "code", finding_names[x->code]);
		put_str(o, "about", x->about);
		put_str(o, "cause", x->cause);
		put_str(o, "remedy", x->remedy);
	}
	if (json_dumpf(root, f, JSON_COMPACT) == -1)
		errx(1, "JSON: cannot be written");
	fputc('\n', f);
	json_decref(root);
}
