/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See ownfile.h.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ownfile.h"

int
ownfile_stem(const char *sock)
{
	static const char	 end[] = ".sock";
	size_t			 n = strlen(sock);

	if (n > strlen(end) && strcmp(sock + n - strlen(end), end) == 0)
		n -= strlen(end);
	return ((int)n);
}

/* Nobody else's, and no device or link to something. */
static bool
is_ours(int fd)
{
	struct stat	 st;

	if (fstat(fd, &st) == -1)
		return (false);
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    st.st_nlink == 1 && (st.st_mode & ALLPERMS) == 0600)
		return (true);
	errno = EPERM;
	return (false);
}

/* errno stays. */
static void
give_up(int fd, const char *path)
{
	int	 saved = errno;

	close(fd);
	if (path != NULL)
		(void)unlink(path);
	errno = saved;
}

int
ownfile_open(const char *path, int flags)
{
	int	 fd;

	fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
	    O_CLOEXEC, 0600);
	if (fd == -1 || is_ours(fd))
		return (fd);
	give_up(fd, NULL);
	return (-1);
}

static bool
write_all(int fd, const void *buf, size_t len)
{
	ssize_t	 n = write(fd, buf, len);

	if (n == (ssize_t)len)
		return (true);
	if (n != -1)
		errno = ENOSPC;
	return (false);
}

int
ownfile_replace(const char *path, const void *buf, size_t len)
{
	char	 new[PATH_MAX];
	int	 fd;

	if ((size_t)snprintf(new, sizeof(new), "%s.new", path) >=
	    sizeof(new)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	/* of a run that was killed in between */
	(void)unlink(new);
	if ((fd = ownfile_open(new, O_WRONLY | O_CREAT | O_EXCL)) == -1)
		return (-1);
	if (!write_all(fd, buf, len) || rename(new, path) == -1) {
		give_up(fd, new);
		return (-1);
	}
	close(fd);
	return (0);
}
