/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The command carpctl import: files are read whole, and what comes of them is
 * written only when there was no mistake in any; a file appears whole, with
 * mode 0600, or not at all.
 */
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import.h"

#define FILE_MAX	(1024 * 1024)	/* bytes of one file */
#define EXIT_REFUSED	1

struct output {
	const char	*name;
	bool		(*has)(const struct import *);
	void		(*print)(const struct import *, FILE *);
};

static const struct output outputs[] = {
	{ "carpd.conf", import_has_carpd, import_print_carpd },
	{ "pfsyncd.conf", import_has_pfsyncd, import_print_pfsyncd },
	{ NULL, NULL, NULL }
};

static void
complain(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", line);
}

/* The whole of fd.  Its length, or -1 with errno; at most size bytes. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t	 len = 0;
	ssize_t	 n;

	while (len < size) {
		if ((n = read(fd, buf + len, size - len)) == -1 &&
		    errno == EINTR)
			continue;
		if (n == -1)
			return (-1);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return ((ssize_t)len);
}

static int
read_file(struct import *im, const char *path, char *buf)
{
	bool	 in = strcmp(path, "-") == 0;
	ssize_t	 n = -1;
	int	 fd;

	fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd != -1)
		n = read_all(fd, buf, FILE_MAX + 1);
	if (n == -1)
		warn("%s", path);
	if (fd != -1 && !in)
		close(fd);
	if (n > FILE_MAX) {
		warnx("%s: longer than %d bytes", path, FILE_MAX);
		return (-1);
	}
	if (n == -1)
		return (-1);
	import_text(im, in ? "stdin" : path, buf, (size_t)n);
	return (0);
}

static int
read_files(struct import *im, char *const *files)
{
	char	*buf;
	int	 ret = 0;

	if ((buf = malloc(FILE_MAX + 1)) == NULL)
		err(EXIT_REFUSED, NULL);
	for (; *files != NULL; files++)
		if (read_file(im, *files, buf) == -1)
			ret = -1;
	freezero(buf, FILE_MAX + 1);
	return (ret);
}

static void
write_stdout(const struct import *im)
{
	const struct output	*o;
	const char		*sep = "";

	for (o = outputs; o->name != NULL; o++) {
		if (!o->has(im))
			continue;
		printf("%s# ---- %s ----\n", sep, o->name);
		o->print(im, stdout);
		sep = "\n";
	}
}

static void
path_of(char *buf, size_t size, const char *dir, const char *name,
    const char *more)
{
	if ((size_t)snprintf(buf, size, "%s/%s%s", dir, name, more) >= size)
		errx(EXIT_REFUSED, "%s: name too long", dir);
}

/* Written aside, then put into place: link(2) does not replace anything. */
static int
write_file(const struct import *im, const struct output *o, const char *dir,
    bool force)
{
	char	 path[PATH_MAX], tmp[PATH_MAX];
	FILE	*f = NULL;
	int	 fd, bad;

	path_of(path, sizeof(path), dir, o->name, "");
	path_of(tmp, sizeof(tmp), dir, o->name, ".XXXXXXXX");
	if ((fd = mkstemp(tmp)) == -1 || (f = fdopen(fd, "w")) == NULL) {
		warn("%s", tmp);
		if (fd != -1) {
			close(fd);
			unlink(tmp);
		}
		return (-1);
	}
	o->print(im, f);
	bad = fchmod(fd, 0600) == -1 || fflush(f) == EOF || fsync(fd) == -1;
	bad = fclose(f) == EOF || bad;
	if (!bad)
		bad = (force ? rename(tmp, path) : link(tmp, path)) == -1;
	if (bad)
		warn("%s", path);
	if (bad || !force)
		unlink(tmp);
	return (bad ? -1 : 0);
}

/* None is written when one of them could not be. */
static int
write_dir(const struct import *im, const char *dir, bool force)
{
	const struct output	*o;
	struct stat		 st;
	char			 path[PATH_MAX];
	int			 ret = 0;

	for (o = outputs; !force && o->name != NULL; o++) {
		path_of(path, sizeof(path), dir, o->name, "");
		if (o->has(im) && lstat(path, &st) == 0) {
			warnx("%s exists; -f overwrites it", path);
			ret = -1;
		}
	}
	for (o = outputs; ret == 0 && o->name != NULL; o++)
		if (o->has(im))
			ret = write_file(im, o, dir, force);
	return (ret);
}

int
import_command(char *const *files, const char *dir, bool force)
{
	struct import	*im = import_new(complain, NULL);
	int		 ret, done;

	ret = read_files(im, files);
	done = import_finish(im);
	if (done == IMPORT_NOTHING && ret == 0)
		warnx("nothing in there that carpd or pfsyncd could do");
	if (ret == 0)
		ret = done;
	if (ret == 0 && dir != NULL)
		ret = write_dir(im, dir, force);
	else if (ret == 0)
		write_stdout(im);
	import_free(im);
	return (ret == 0 ? 0 : EXIT_REFUSED);
}
