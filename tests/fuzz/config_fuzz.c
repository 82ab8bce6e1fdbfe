/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as carpd.conf.  What is refused says why; what is accepted is
 * well-formed, prints, and parses back to the same.
 */
#undef NDEBUG

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/config.h"

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
print_and_parse(const struct config *c)
{
	struct config	*back;
	char		*text = NULL;
	size_t		 len = 0;
	FILE		*f = open_memstream(&text, &len);

	assert(f != NULL);
	config_print(c, true, f);
	fclose(f);
	back = load(text, len);
	assert(back != NULL);
	assert(memcmp(&c->g, &back->g, sizeof(c->g)) == 0);
	assert(c->nifaces == back->nifaces && c->ngroups == back->ngroups);
	assert(c->nifaces == 0 || memcmp(c->ifaces, back->ifaces,
	    c->nifaces * sizeof(*c->ifaces)) == 0);
	assert(c->ngroups == 0 || memcmp(c->groups, back->groups,
	    c->ngroups * sizeof(*c->groups)) == 0);
	config_free(back);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config	*c;
	size_t		 n;

	if ((c = load((const char *)data, size)) == NULL)
		return (0);
	for (n = 0; n < c->nifaces; n++) {
		assert(config_iface_ok(&c->ifaces[n]));
		assert(config_iface_diff(&c->ifaces[n], &c->ifaces[n]) == 0);
	}
	print_and_parse(c);
	config_free(c);
	return (0);
}
