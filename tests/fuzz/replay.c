/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Feeds a fuzz target its corpus, without a fuzzer: what was once found stays
 * found.  tests/fuzz/NAME_fuzz.rp reads tests/fuzz/corpus/NAME/, then every
 * file cut short at each power of two.  Closes with a line like Check's.
 */
#include <sys/types.h>

#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_MAX	(1024 * 1024)

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A copy of its own size, so that a sanitizer sees every overrun. */
static void
feed(const uint8_t *data, size_t len)
{
	uint8_t *copy;

	if ((copy = malloc(len == 0 ? 1 : len)) == NULL)
		err(1, NULL);
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void
feed_file(const char *path)
{
	static uint8_t buf[SEED_MAX];
	size_t len, cut;
	FILE *f;

	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	feed(buf, len);
	for (cut = 0; cut < len; cut = cut == 0 ? 1 : cut * 2)
		feed(buf, cut);
}

int
main(int argc, char *argv[])
{
	const char *base = strrchr(argv[0], '/'), *end;
	char dir[128], path[512];
	struct dirent *e;
	int n = 0;
	DIR *d;

	base = base == NULL ? argv[0] : base + 1;
	end = strstr(base, "_fuzz");
	(void)snprintf(dir, sizeof(dir), "tests/fuzz/corpus/%.*s",
	    end == NULL ? (int)strlen(base) : (int)(end - base), base);
	if (argc > 1)
		(void)snprintf(dir, sizeof(dir), "%s", argv[1]);
	if ((d = opendir(dir)) == NULL)
		err(1, "%s", dir);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		feed_file(path);
		n++;
	}
	closedir(d);
	printf("100%%: Checks: %d, Failures: 0, Errors: 0\n", n);
	return (n == 0);
}
