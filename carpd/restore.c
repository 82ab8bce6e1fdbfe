/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See restore.h.  A file is a digest of what follows, the interface, and the
 * record.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "../common/hmac.h"
#include "../common/log.h"
#include "../common/ownfile.h"
#include "restore.h"

struct file {
	uint8_t			 sum[HMAC_SHA256_LEN];
	struct restore_id	 id;
	uint8_t			 record[RESTORE_MAX];
};
#define HEAD_LEN	offsetof(struct file, record)

static struct file	 file;		/* too large for a stack */

static void
make_sum(const struct file *f, size_t len, uint8_t sum[HMAC_SHA256_LEN])
{
	hmac_sha256_once((const uint8_t *)f + sizeof(f->sum),
	    len - sizeof(f->sum), sum);
}

static bool
is_sound(const struct file *f, size_t len)
{
	uint8_t	 sum[HMAC_SHA256_LEN];

	if (len < HEAD_LEN)
		return (false);
	make_sum(f, len, sum);
	return (memcmp(sum, f->sum, sizeof(sum)) == 0);
}

/* What is in it, whatever it is; 0: nothing. */
static size_t
read_file(const char *path)
{
	ssize_t	 n;
	int	 fd;

	if ((fd = ownfile_open(path, O_RDONLY)) == -1) {
		if (errno != ENOENT)
			log_warn("%s: ignored", path);
		return (0);
	}
	n = read(fd, &file, sizeof(file));
	close(fd);
	return (n > 0 ? (size_t)n : 0);
}

size_t
restore_read(const char *path, const struct restore_id *id, void *buf)
{
	size_t	 len;

	if ((len = read_file(path)) == 0)
		return (0);
	if (!is_sound(&file, len)) {
		log_warnx("%s: ignored, it is damaged", path);
		return (0);
	}
	if (memcmp(&file.id, id, sizeof(*id)) != 0) {
		log_warnx("%s: ignored, it is of another interface or boot",
		    path);
		return (0);
	}
	memcpy(buf, file.record, len - HEAD_LEN);
	return (len - HEAD_LEN);
}

int
restore_write(const char *path, const struct restore_id *id, const void *buf,
    size_t len)
{
	if (len > sizeof(file.record)) {
		errno = EMSGSIZE;
		return (-1);
	}
	file.id = *id;
	memcpy(file.record, buf, len);
	make_sum(&file, HEAD_LEN + len, file.sum);
	return (ownfile_replace(path, &file, HEAD_LEN + len));
}
