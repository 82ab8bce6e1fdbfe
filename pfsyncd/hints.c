/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The hint file (hints.h): a head in a page of its own and an array of records
 * by entry number, mapped in pieces.
 */
#include <sys/types.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/log.h"
#include "hints.h"

#define HINTS_MAGIC	UINT64_C(0x706673796e633032)	/* "pfsync02" */
#define HINTS_HEAD	4096		/* bytes before the records: a page */
#define HINTS_PIECE	65536		/* records mapped at once */
#define HINTS_PIECES	128
#define HINTS_BOOTS	16		/* as many carriers as there may be */

struct hint_head {
	uint64_t	 magic;
	uint32_t	 boot, node;
	struct { uint32_t node, boot; } peer[HINTS_BOOTS];	/* node 0: none */
};

struct hint_rec {
	uint64_t	 hash;		/* 0: none */
	uint64_t	 stamp;
	uint32_t	 carrier, value;
};

struct hints {
	int		 fd;
	struct hint_head head;
	unsigned int	 next_boot;	/* to be written over, when all are used */
	uint32_t	 n;		/* records that are mapped */
	struct hint_rec	*piece[HINTS_PIECES];
};

struct hints_old {
	void		*map;
	size_t		 len;
	const struct hint_rec *rec;
	uint32_t	 nrec;
	uint32_t	*slot;		/* open addressing; record + 1 */
	uint32_t	 mask;
};

static bool
write_head(const struct hints *h)
{
	return (pwrite(h->fd, &h->head, sizeof(h->head), 0) ==
	    (ssize_t)sizeof(h->head));
}

struct hints *
hints_new(int fd, uint32_t boot, uint32_t node)
{
	struct hints *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		fatal("calloc");
	h->fd = fd;
	h->head.magic = HINTS_MAGIC;
	h->head.boot = boot;
	h->head.node = node;
	/* first what needs room: no hole is left that nobody could read */
	if (fd != -1 && (!write_head(h) || ftruncate(fd, HINTS_HEAD) == -1)) {
		log_warn("hint file: a restart will begin with a full "
		    "comparison");
		close(fd);
		h->fd = -1;
	}
	return (h);
}

void
hints_free(struct hints *h)
{
	size_t i;

	if (h == NULL)
		return;
	for (i = 0; i < HINTS_PIECES; i++)
		if (h->piece[i] != NULL)
			(void)munmap(h->piece[i], HINTS_PIECE *
			    sizeof(struct hint_rec));
	if (h->fd != -1)
		close(h->fd);
	free(h);
}

static bool
give_up(struct hints *h)
{
	log_warn("hint file: no room for more flows; a restart will begin "
	    "with a full comparison");
	/* what is in it would mislead: parts of it grow old */
	if (ftruncate(h->fd, 0) == -1)
		log_warn("hint file");
	close(h->fd);
	h->fd = -1;
	h->n = 0;
	return (false);
}

/*
 * Written, so that it is there: on a full file system the mapping of a hole
 * would kill us later.  No call that allocates only is on every system.
 */
static bool
write_zeros(int fd, off_t off, size_t len)
{
	static const uint8_t zeros[4096];
	ssize_t n;

	for (; len > 0; len -= (size_t)n, off += n) {
		n = pwrite(fd, zeros, len < sizeof(zeros) ? len :
		    sizeof(zeros), off);
		if (n == -1)
			return (false);
	}
	return (true);
}

bool
hints_reserve(struct hints *h, uint32_t n)
{
	const size_t len = HINTS_PIECE * sizeof(struct hint_rec);
	off_t off;
	void *p;

	if (h->fd == -1)
		return (false);
	while (h->n < n && h->n / HINTS_PIECE < HINTS_PIECES) {
		off = HINTS_HEAD + (off_t)h->n *
		    (off_t)sizeof(struct hint_rec);
		if (!write_zeros(h->fd, off, len))
			return (give_up(h));
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd,
		    off);
		if (p == MAP_FAILED)
			return (give_up(h));
		h->piece[h->n / HINTS_PIECE] = p;
		h->n += HINTS_PIECE;
	}
	return (true);
}

void
hints_set(struct hints *h, uint32_t i, uint64_t hash, uint64_t stamp,
    uint32_t carrier, uint32_t value)
{
	struct hint_rec *r;

	if (i >= h->n)
		return;
	r = &h->piece[i / HINTS_PIECE][i % HINTS_PIECE];
	r->hash = hash;
	r->stamp = stamp;
	r->carrier = carrier;
	r->value = value;
}

void
hints_clear(struct hints *h, uint32_t i)
{
	if (i < h->n)
		h->piece[i / HINTS_PIECE][i % HINTS_PIECE].hash = 0;
}

void
hints_boot(struct hints *h, uint32_t node, uint32_t boot)
{
	unsigned int i;

	if (h->fd == -1 || node == 0)
		return;
	for (i = 0; i < HINTS_BOOTS; i++)
		if (h->head.peer[i].node == node || h->head.peer[i].node == 0)
			break;
	if (i == HINTS_BOOTS)
		i = h->next_boot++ % HINTS_BOOTS;
	else if (h->head.peer[i].node == node && h->head.peer[i].boot == boot)
		return;
	h->head.peer[i].node = node;
	h->head.peer[i].boot = boot;
	if (!write_head(h))
		log_debug("hint file: not written");
}

/* ---- the last run's ---- */

static bool
index_records(struct hints_old *o)
{
	uint32_t i, used = 0, size = 1024, at;

	for (i = 0; i < o->nrec; i++)
		used += o->rec[i].hash != 0;
	while (size < used * 2)
		size *= 2;
	if (used == 0 || (o->slot = calloc(size, sizeof(*o->slot))) == NULL)
		return (false);
	o->mask = size - 1;
	for (i = 0; i < o->nrec; i++) {
		if (o->rec[i].hash == 0)
			continue;
		at = (uint32_t)(o->rec[i].hash >> 20) & o->mask;
		while (o->slot[at] != 0)
			at = (at + 1) & o->mask;
		o->slot[at] = i + 1;
	}
	return (true);
}

struct hints_old *
hints_load(int fd, uint32_t boot, uint32_t node)
{
	struct hint_head head;
	struct hints_old *o;
	struct stat st;
	bool good = false;

	if ((o = calloc(1, sizeof(*o))) == NULL)
		fatal("calloc");
	o->map = MAP_FAILED;
	/* not mapped: to look into a hole takes room on some file systems */
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    head.magic != HINTS_MAGIC || head.boot != boot ||
	    head.node != node)
		goto out;
	if (fstat(fd, &st) == -1 || st.st_size < HINTS_HEAD)
		goto out;
	o->len = (size_t)st.st_size;
	o->map = mmap(NULL, o->len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (o->map == MAP_FAILED)
		goto out;
	o->rec = (const struct hint_rec *)(const void *)((const char *)o->map +
	    HINTS_HEAD);
	o->nrec = (uint32_t)((o->len - HINTS_HEAD) / sizeof(*o->rec));
	if (o->nrec > HINTS_PIECE * HINTS_PIECES)
		o->nrec = HINTS_PIECE * HINTS_PIECES;
	good = index_records(o);
out:
	close(fd);
	if (good)
		return (o);
	hints_old_free(o);
	return (NULL);
}

void
hints_old_free(struct hints_old *o)
{
	if (o == NULL)
		return;
	if (o->map != MAP_FAILED)
		(void)munmap(o->map, o->len);
	free(o->slot);
	free(o);
}

bool
hints_node(const struct hints_old *o, unsigned int i, uint32_t *node,
    uint32_t *boot)
{
	const struct hint_head *head = o->map;

	if (i >= HINTS_BOOTS || head->peer[i].node == 0)
		return (false);
	*node = head->peer[i].node;
	*boot = head->peer[i].boot;
	return (true);
}

static void
find_boot(const struct hints_old *o, struct repl_hint *hint)
{
	const struct hint_head *head = o->map;
	unsigned int i;

	hint->booted = false;
	hint->boot = 0;
	for (i = 0; i < HINTS_BOOTS; i++)
		if (head->peer[i].node == hint->carrier &&
		    hint->carrier != 0) {
			hint->booted = true;
			hint->boot = head->peer[i].boot;
		}
}

bool
hints_find(uint64_t hash, struct repl_hint *hint, void *arg)
{
	const struct hints_old *o = arg;
	const struct hint_rec *r;
	uint32_t at = (uint32_t)(hash >> 20) & o->mask;

	for (; o->slot[at] != 0; at = (at + 1) & o->mask) {
		r = &o->rec[o->slot[at] - 1];
		if (r->hash != hash)
			continue;
		hint->carrier = r->carrier;
		hint->value = r->value;
		hint->stamp = r->stamp;
		find_boot(o, hint);
		return (true);
	}
	return (false);
}
