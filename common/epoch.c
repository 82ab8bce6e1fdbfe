/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See epoch.h.
 */
#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "epoch.h"
#include "hmac.h"
#include "log.h"
#include "ownfile.h"

#define EPOCH_MAGIC	UINT64_C(0x6361727065703031)	/* "carpep01" */
#define RANDOM_BITS	22
#define RUN_DIR		"/run/"
#define STATE_DIR	"/var/lib/"

struct record {			/* host byte order */
	uint64_t	 magic;
	uint64_t	 epoch;
	uint32_t	 node;
	uint32_t	 host;		/* a digest of its MAC; 0: unknown */
	uint64_t	 check;		/* of what is before it */
};

uint64_t
epoch_next(uint64_t last, uint64_t now_ms, uint32_t random)
{
	const uint64_t	 mask = (UINT64_C(1) << RANDOM_BITS) - 1;
	uint64_t	 ms = now_ms;

	if (ms <= last >> RANDOM_BITS)
		ms = (last >> RANDOM_BITS) + 1;
	return (ms << RANDOM_BITS | (random & mask));
}

bool
epoch_path(const char *daemon, const char *sock, char *path, size_t len)
{
	int	 n = ownfile_stem(sock), r;

	if (strncmp(sock, RUN_DIR, strlen(RUN_DIR)) == 0 &&
	    strchr(sock + strlen(RUN_DIR), '/') == NULL)
		r = snprintf(path, len, STATE_DIR "%s/%.*s.epoch", daemon,
		    n - (int)strlen(RUN_DIR), sock + strlen(RUN_DIR));
	else
		r = snprintf(path, len, "%.*s.epoch", n, sock);
	return (r > 0 && (size_t)r < len);
}

static uint64_t
record_check(const struct record *r)
{
	uint8_t		 sum[HMAC_SHA256_LEN];
	uint64_t	 v;

	hmac_sha256_once(r, offsetof(struct record, check), sum);
	memcpy(&v, sum, sizeof(v));
	return (v);
}

static int
open_file(const char *path)
{
	char	 dir[PATH_MAX], *slash;

	(void)strlcpy(dir, path, sizeof(dir));
	if ((slash = strrchr(dir, '/')) != NULL && slash != dir) {
		*slash = '\0';
		(void)mkdir(dir, 0700);
	}
	return (ownfile_open(path, O_RDWR | O_CREAT));
}

/* Zeros where there is nothing, or something that we did not write. */
static void
read_record(int fd, struct record *r)
{
	if (pread(fd, r, sizeof(*r), 0) == (ssize_t)sizeof(*r) &&
	    r->magic == EPOCH_MAGIC && r->node != 0 &&
	    r->check == record_check(r))
		return;
	memset(r, 0, sizeof(*r));
}

static bool
write_record(int fd, struct record *r)
{
	ssize_t	 n;

	r->magic = EPOCH_MAGIC;
	r->check = record_check(r);
	if ((n = pwrite(fd, r, sizeof(*r), 0)) == (ssize_t)sizeof(*r))
		return (true);
	if (n != -1)
		errno = ENOSPC;
	return (false);
}

static uint32_t
host_digest(const uint8_t *mac)
{
	uint8_t		 sum[HMAC_SHA256_LEN];
	uint32_t	 v;

	if (mac == NULL)
		return (0);
	hmac_sha256_once(mac, 6, sum);
	memcpy(&v, sum, sizeof(v));
	return (v);
}

void
epoch_start(const char *daemon, const char *sock, const uint8_t *mac,
    struct epoch *e)
{
	char		 path[PATH_MAX];
	struct timespec	 ts;
	struct record	 r;
	uint32_t	 random;
	int		 fd = -1;

	memset(&r, 0, sizeof(r));
	if (!epoch_path(daemon, sock, path, sizeof(path)))
		errno = ENAMETOOLONG;
	else if ((fd = open_file(path)) != -1)
		read_record(fd, &r);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	hmac_random(&random, sizeof(random));
	r.epoch = epoch_next(r.epoch, (uint64_t)ts.tv_sec * 1000 +
	    (uint64_t)ts.tv_nsec / 1000000, random);
	if (r.host != host_digest(mac))
		r.node = 0;
	r.host = host_digest(mac);
	while (r.node == 0)
		hmac_random(&r.node, sizeof(r.node));
	e->epoch = r.epoch;
	e->node = r.node;
	if (fd == -1 || !write_record(fd, &r))
		log_warn("%s: not kept; the next start is that of a stranger",
		    path);
	if (fd != -1)
		close(fd);
}
