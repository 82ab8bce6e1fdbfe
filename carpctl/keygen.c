/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See keygen.h.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/auth.h"
#include "keygen.h"

#define EXIT_REFUSED	1
#define LINE_LEN	(2 * AUTH_KEY_LEN + 1)

static void
make_line(char line[LINE_LEN + 1])
{
	uint8_t	 key[AUTH_KEY_LEN];
	size_t	 i;

	hmac_random(key, sizeof(key));
	for (i = 0; i < sizeof(key); i++)
		snprintf(line + 2 * i, 3, "%02x", key[i]);
	line[LINE_LEN - 1] = '\n';
	line[LINE_LEN] = '\0';
	hmac_wipe(key, sizeof(key));
}

/* Whole or not at all. */
static int
write_file(const char *path, const char *line)
{
	int	 fd, saved;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return (-1);
	if (fchmod(fd, 0600) == 0 &&
	    write(fd, line, LINE_LEN) == (ssize_t)LINE_LEN && fsync(fd) == 0)
		return (close(fd));
	saved = errno;
	(void)unlink(path);
	close(fd);
	errno = saved;
	return (-1);
}

int
keygen_command(const char *path)
{
	char	 line[LINE_LEN + 1];
	int	 r;

	make_line(line);
	if (path == NULL || strcmp(path, "-") == 0)
		r = fputs(line, stdout) == EOF ? -1 : 0;
	else
		r = write_file(path, line);
	hmac_wipe(line, sizeof(line));
	if (r == 0)
		return (0);
	warn("%s", path == NULL ? "-" : path);
	return (EXIT_REFUSED);
}
