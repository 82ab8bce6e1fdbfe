/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What fakecarpd and fakepfsyncd share: a control socket with canned answers,
 * for tests of carpctl.  Not a daemon of any use: no network, no state, a fixed
 * clock.
 *
 *	fakecarpd socket scene
 *
 * Listens, goes into the background, prints its process id and serves one
 * client after another; ends by itself after a minute.
 */
#ifndef SHELL_FAKE_H
#define SHELL_FAKE_H

#include <stddef.h>
#include <stdint.h>

#include "common/imsg.h"
#include "common/ipaddr.h"

#define NOW		1795320000u	/* 2026-11-22 04:00:00 UTC */

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Answer a message; 0: close the connection. */
typedef int (*fake_serve)(struct imsgbuf *b, const struct imsg *im);

/* Which answers to give. */
extern const char *scene;

void		 reply(struct imsgbuf *b, uint32_t type, const void *data,
		    size_t len);
struct ipaddr	 addr(const char *s);
/* All of main(); never returns. */
int		 fake_main(int argc, char *argv[], fake_serve serve);

#endif
