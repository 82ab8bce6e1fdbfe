/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * `carpctl show --check`: one word and an exit code for monitoring.  Prints
 * the state of all vhids together, or SPLIT when the daemon says that somebody
 * else is MASTER, too, of a vhid of ours.
 */
#include <err.h>
#include <stdlib.h>

#include "show.h"

#define CHECK_MASTER	0
#define CHECK_BACKUP	10
#define CHECK_INIT	11
#define CHECK_SPLIT	12

struct check {
	FILE		*f;
	size_t		 nifaces;
	enum vhost_state state;
	bool		 split;
};

static void *
check_begin(FILE *f, enum ctl_what what)
{
	struct check	*c;

	(void)what;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		err(1, NULL);
	c->f = f;
	c->state = VHOST_MASTER;
	return (c);
}

static void
check_iface(void *arg, const struct show_iface *i)
{
	struct check		*c = arg;
	enum vhost_state	 state = show_iface_state(i);
	size_t			 n;

	c->nifaces++;
	if (state < c->state)
		c->state = state;
	for (n = 0; n < i->nvhids; n++)
		c->split |= i->vhids[n].split.af != 0;
}

static int
check_code(const struct check *c)
{
	if (c->split)
		return (CHECK_SPLIT);
	if (c->nifaces == 0 || c->state == VHOST_INIT)
		return (CHECK_INIT);
	return (c->state == VHOST_MASTER ? CHECK_MASTER : CHECK_BACKUP);
}

static int
check_end(void *arg)
{
	struct check	*c = arg;
	int		 code = check_code(c);

	fprintf(c->f, "%s\n", code == CHECK_SPLIT ? "SPLIT" :
	    code == CHECK_INIT ? "INIT" : show_state((uint8_t)c->state));
	free(c);
	return (code);
}

const struct show_writer show_check = {
	.begin = check_begin,
	.iface = check_iface,
	.end = check_end
};
