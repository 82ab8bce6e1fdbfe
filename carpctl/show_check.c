/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * `carpctl show --check`: one word and an exit code for monitoring.  Prints
 * the state of all vhids together, or SPLIT when somebody else advertises a
 * vhid of which we are MASTER and goes on doing so.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "../carpd/advert.h"
#include "show.h"

#define CHECK_MASTER	0
#define CHECK_BACKUP	10
#define CHECK_INIT	11
#define CHECK_SPLIT	12

#define BOWOUT		255	/* advbase and advskew of a goodbye */

/*
 * A master that yields has its last advertisement on the wire for a moment,
 * and ctl_global.now counts seconds.
 */
#define CHECK_GRACE_MS	2000

/* One vhid of which we are MASTER. */
struct master {
	char		 name[IF_NAMESIZE];
	uint8_t		 vhid;
	uint8_t		 advbase;
	uint64_t	 since_ms;
};

struct check {
	FILE		*f;
	uint64_t	 now_ms;
	struct master	*masters;
	size_t		 nmasters;
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
check_global(void *arg, const struct ctl_global *g)
{
	struct check	*c = arg;

	c->now_ms = g->now * 1000;
}

static void
add_master(struct check *c, const struct ctl_vhid *v)
{
	struct master	*m;

	m = reallocarray(c->masters, c->nmasters + 1, sizeof(*m));
	if (m == NULL)
		err(1, NULL);
	c->masters = m;
	m += c->nmasters++;
	memset(m, 0, sizeof(*m));
	memcpy(m->name, v->name, sizeof(m->name));
	m->vhid = v->vhid;
	m->advbase = v->advbase;
	m->since_ms = v->since_ms;
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
		if (i->vhids[n].state == VHOST_MASTER)
			add_master(c, &i->vhids[n]);
}

/*
 * With the right pass phrase, or with a wrong one, which is how most
 * splits come about: each side discards the other's advertisements.
 */
static bool
claims(const struct ctl_peer *p)
{
	if ((p->advbase == BOWOUT && p->advskew == BOWOUT) ||
	    p->kind == PEER_VRRP2 || p->kind == PEER_VRRP3)
		return (false);
	return (p->verified || p->drop == ADVERT_DROP_BADAUTH);
}

static void
check_peer(void *arg, const struct ctl_peer *p)
{
	struct check		*c = arg;
	const struct master	*m;
	size_t			 n;

	if (!claims(p) || p->heard_ms > c->now_ms)
		return;
	for (n = 0; n < c->nmasters; n++) {
		m = &c->masters[n];
		if (m->vhid == p->vhid && strcmp(m->name, p->name) == 0 &&
		    p->heard_ms < (3 * m->advbase + 1) * (uint64_t)1000 &&
		    c->now_ms - p->heard_ms > m->since_ms + CHECK_GRACE_MS)
			c->split = true;
	}
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
	free(c->masters);
	free(c);
	return (code);
}

const struct show_writer show_check = {
	.begin = check_begin,
	.global = check_global,
	.iface = check_iface,
	.peer = check_peer,
	.end = check_end
};
