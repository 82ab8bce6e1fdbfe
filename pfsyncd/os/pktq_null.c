/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A system without such a queue.
 */
#include "pktq.h"

struct pktq *
pktq_open(void (*cb)(const struct pktq_packet *p, void *arg), void *arg,
    const char **why)
{
	(void)cb;
	(void)arg;
	*why = "this system cannot hold packets back";
	return (NULL);
}

void
pktq_close(struct pktq *q)
{
	(void)q;
}

int
pktq_fd(const struct pktq *q)
{
	(void)q;
	return (-1);
}

size_t
pktq_read(struct pktq *q, size_t max)
{
	(void)q;
	(void)max;
	return (0);
}

void
pktq_pass(struct pktq *q, uint32_t id)
{
	(void)q;
	(void)id;
}

void
pktq_flush(struct pktq *q)
{
	(void)q;
}
