/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Client side of a control socket: connect, ask, iterate the replies.
 * Blocking, with a time limit per call.
 */
#ifndef COMMON_CTLCLIENT_H
#define COMMON_CTLCLIENT_H

#include "imsg.h"

struct ctlclient;

/* NULL and errno (ENOENT, ECONNREFUSED, EACCES ...) */
struct ctlclient *ctlclient_open(const char *path);
void		 ctlclient_close(struct ctlclient *c);
/* 0, or -1 and errno. */
int		 ctlclient_ask(struct ctlclient *c, uint32_t type,
		    const void *data, size_t len);
/*
 * Next message, waiting at most ms milliseconds (-1: for ever).  1: got one;
 * 0: the daemon closed the connection; -1: errno (ETIMEDOUT, EPROTO ...;
 * EMSGSIZE for an answer without an end, where ms is more than 0).
 */
int		 ctlclient_next(struct ctlclient *c, struct imsg *im, int ms);
int		 ctlclient_fd(const struct ctlclient *c);

#endif
