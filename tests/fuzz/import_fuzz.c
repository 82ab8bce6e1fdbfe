/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as the files of carpctl import: "@NAME" on a line of its own
 * begins one.  Messages are text; what comes out of it is something that
 * carpd.conf(5) can say, and nothing comes out where there was a mistake.
 */
#undef NDEBUG

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpctl/import.h"
#include "../../carpd/config.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count(const char *line, void *arg)
{
	size_t	 i;

	assert(strchr(line, ':') != NULL);
	for (i = 0; line[i] != '\0'; i++)
		assert(line[i] >= 0x20 && line[i] < 0x7f);
	++*(int *)arg;
}

/* What another version has, or another machine, is no mistake of ours. */
static void
refused(const char *line, void *arg)
{
	(void)arg;
	assert(strstr(line, "not available in this version") != NULL ||
	    strstr(line, "\"allow\"") != NULL ||
	    strstr(line, "pass file") != NULL);
}

static void
warned(const char *line, void *arg)
{
	(void)line;
	(void)arg;
}

static void
check_carpd(const struct import *im)
{
	char	*text = NULL;
	size_t	 len = 0;
	FILE	*f = open_memstream(&text, &len);

	assert(f != NULL);
	import_print_carpd(im, f);
	fclose(f);
	config_free(config_load_mem("import", text, len, refused, warned,
	    NULL));
	free(text);
}

static void
check_pfsyncd(const struct import *im)
{
	FILE	*f = fopen("/dev/null", "w");

	assert(f != NULL);
	import_print_pfsyncd(im, f);
	fclose(f);
}

/* The next file of the input; its end. */
static const char *
one_file(struct import *im, const char *p, const char *end)
{
	const char	*nl, *next = end, *q;
	char		 name[64] = "script";

	if (*p == '@' && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL &&
	    nl - p < (ptrdiff_t)sizeof(name)) {
		memset(name, 0, sizeof(name));
		memcpy(name, p + 1, (size_t)(nl - p - 1));
		p = nl + 1;
	}
	for (q = p; q + 1 < end; q++)
		if (q[0] == '\n' && q[1] == '@') {
			next = q + 1;
			break;
		}
	import_text(im, name, p, (size_t)(next - p));
	return (next);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char	*p = (const char *)data, *end = p + size;
	int		 said = 0, done;
	struct import	*im = import_new(count, &said);

	while (p < end)
		p = one_file(im, p, end);
	done = import_finish(im);
	assert(done == 0 || done == IMPORT_NOTHING || said > 0);
	if (done == 0) {
		if (import_has_carpd(im))
			check_carpd(im);
		if (import_has_pfsyncd(im))
			check_pfsyncd(im);
	}
	import_free(im);
	return (0);
}
