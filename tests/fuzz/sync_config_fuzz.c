/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as pfsyncd.conf.  What is refused says why; what is accepted is
 * well-formed, prints, and parses back to the same.
 */
#undef NDEBUG

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/config.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
count(const char *line, void *arg)
{
	size_t	 i;

	for (i = 0; line[i] != '\0'; i++)
		assert((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
	++*(int *)arg;
}

static void
warned(const char *line, void *arg)
{
	assert(line[0] != '\0');
	(void)arg;
}

static struct config *
load(const char *text, size_t len)
{
	struct config	*c;
	int		 errors = 0;

	c = config_load_mem("fuzz", text, len, count, warned, &errors);
	assert((c == NULL) == (errors > 0));
	return (c);
}

static void
print_and_parse(const struct config *c, bool secrets)
{
	struct config	*back;
	char		*text = NULL;
	size_t		 len = 0;
	FILE		*f = open_memstream(&text, &len);

	assert(f != NULL);
	config_print(c, secrets, f);
	fclose(f);
	back = load(text, len);
	assert(back != NULL);
	if (!secrets)		/* a masked key is another one */
		back->auth = c->auth;
	assert(memcmp(c, back, sizeof(*c)) == 0);
	assert(config_diff(c, back) == 0);
	config_free(back);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config	*c;

	if ((c = load((const char *)data, size)) == NULL)
		return (0);
	assert(config_ok(c));
	print_and_parse(c, true);
	print_and_parse(c, false);
	config_free(c);
	return (0);
}
