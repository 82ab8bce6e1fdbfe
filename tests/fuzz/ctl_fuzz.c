/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as messages of control clients to carpd's engine, which runs two
 * carp interfaces without a wire.  Every answer is one that the message table
 * knows, with its strings ended and nothing in it that a terminal would obey;
 * the machines' invariants hold after each, and a client that is gone leaves
 * nothing behind.  The engine lives as long as the process.
 *
 *	step	what (% STEPS; 0x70: which client), then
 *	0	a message: type, 0x80: of the right length, else a length / 8;
 *		that many bytes
 *	1	the client goes
 *	2	a timer fires: which vhid and timer
 *	3	watchers are told
 *
 * Where a string begins with 0 to 7 and ends there, it is one of the names.
 */
#undef NDEBUG

#include <sys/mman.h>
#include <sys/socket.h>

#include <assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../carpd/engine.h"
#include "../../common/ibuf.h"
#include "../../common/log.h"

#define STEPS		4
#define CLIENTS		8
#define DEVS		2

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char conf[] =
    "preempt yes\n"
    "carp0 on dev0 {\n\tvhid 1 { advskew 10 }\n\tpass \"one\"\n"
    "\taddress 192.0.2.9/24\n\tgroup \"dmz\"\n}\n"
    "carp1 on dev1 {\n\tbalancing ip\n\tvhid 2 { advskew 0 }\n"
    "\tvhid 3 { advskew 100 }\n\tpass \"two\"\n\taddress 192.0.2.10/24\n"
    "\taddress 2001:db8::10/64\n}\n";

/* ---- the control socket (common/control.c) ---- */

struct control_client {
	uint32_t	 id;		/* 0: there is none */
	bool		 subscribed, finished;
};

struct control {
	int		 unused;
};

static struct control	 control;
static struct control_client clients[CLIENTS];
static uint32_t		 last_id;
static size_t		 answers;

struct control *
control_new(int fd, control_cb cb, void *arg)
{
	(void)cb;
	(void)arg;
	close(fd);
	return (&control);
}

void
control_on_close(struct control *c, void (*cb)(uint32_t, void *), void *arg)
{
	(void)c;
	(void)cb;
	(void)arg;
}

void
control_free(struct control *c)
{
	(void)c;
}

uint32_t
control_client_id(const struct control_client *cl)
{
	assert(cl->id != 0);
	return (cl->id);
}

struct control_client *
control_find(struct control *c, uint32_t id)
{
	size_t	 i;

	assert(c == &control && id != 0);
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].id == id)
			return (&clients[i]);
	return (NULL);
}

static void
string_ok(const char *s, size_t size)
{
	assert(memchr(s, '\0', size) != NULL);
	for (; *s != '\0'; s++)
		assert(isprint((unsigned char)*s));
}

static void
strings_ok(uint32_t type, const void *data)
{
	const struct ctl_entry	*en = data;
	const struct ctl_iface	*i = data;
	const struct ctl_vhid	*v = data;
	size_t			 k;

	switch (type) {
	case IMSG_CTL_ENTRY:
		string_ok(en->owner, sizeof(en->owner));
		string_ok(en->reason, sizeof(en->reason));
		/* FALLTHROUGH */
	case IMSG_CTL_ADDR:
	case IMSG_CTL_GROUP:
	case IMSG_CTL_PEER:
	case IMSG_CTL_HISTORY:
		string_ok(data, IF_NAMESIZE);
		return;
	case IMSG_CTL_COUNTER:
		string_ok(data, sizeof(((struct ctl_counter *)0)->name));
		return;
	case IMSG_CTL_IFACE:
		string_ok(i->name, sizeof(i->name));
		assert(i->ngroups <= CONFIG_GROUPS_MAX);
		for (k = 0; k < i->ngroups; k++)
			string_ok(i->groups[k], sizeof(i->groups[k]));
		return;
	case IMSG_CTL_VHID:
		string_ok(v->name, sizeof(v->name));
		string_ok(v->why, sizeof(v->why));
		assert(v->state < VHOST_STATES && v->cause < VHOST_CAUSES);
		return;
	default:
		return;
	}
}

static void
answer(uint32_t type, const void *data, size_t len)
{
	struct imsg	 im = { .type = type, .data = data, .len = len,
	    .fd = -1 };
	const char	*text = data;
	size_t		 i;

	assert(msg_check(carpd_msgs, IMSG_MAX, &im, MSG_FROM_ENGINE) == NULL);
	answers++;
	strings_ok(type, data);
	/* what one client says may reach the terminals of others */
	for (i = 0; type == IMSG_CTL_EVENT && i < len; i++)
		assert(isprint((unsigned char)text[i]));
	for (i = 0; type == IMSG_CTL_FAIL && i < len; i++)
		assert(text[i] != '\0');
	assert(type != IMSG_CTL_FAIL || len > 0);
}

void
control_reply(struct control_client *cl, uint32_t type, const void *data,
    size_t len)
{
	assert(cl->id != 0);
	answer(type, data, len);
}

void
control_finish(struct control_client *cl)
{
	cl->finished = true;
}

void
control_subscribe(struct control_client *cl)
{
	cl->subscribed = true;
}

void
control_notify(struct control *c, uint32_t type, const void *data, size_t len)
{
	size_t	 i;

	assert(c == &control);
	for (i = 0; i < CLIENTS; i++)
		if (clients[i].id != 0 && clients[i].subscribed)
			answer(type, data, len);
}

/* ---- the engine ---- */

static struct engine	*eng;
static int		 parent, wire[DEVS];
static struct config	*config;

static void
nothing_said(const char *line, void *arg)
{
	(void)line;
	(void)arg;
}

static void
no_log(int pri, const char *line, void *arg)
{
	(void)pri;
	(void)arg;
	for (; *line != '\0'; line++)
		assert(isprint((unsigned char)*line));
}

static void
no_kif(const struct kif_event *k, void *arg)
{
	(void)k;
	(void)arg;
}

static int
pair(int *mine, int type)
{
	int	 sv[2];

	assert(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, sv) == 0);
	*mine = sv[1];
	return (sv[0]);
}

/* It is there, with link, address and an open way. */
static void
carpdev(int i)
{
	char		 name[IF_NAMESIZE];
	struct dev	*d;
	int		 fd;

	(void)snprintf(name, sizeof(name), "dev%d", i);
	d = dev_get(eng, name);
	d->fd = pair(&wire[i], SOCK_SEQPACKET);
	assert((fd = memfd_create("slots", 0)) != -1);
	assert(ftruncate(fd, 1 << 16) == 0);
	assert((d->slots = steer_slots_map(fd)) != NULL);
	d->ifindex = 1000000 + i;
	d->mac[0] = 2;
	d->link = d->link_known = d->proven = true;
	assert(ipaddr_parse("192.0.2.1", &d->src4, NULL) == 0);
	assert(ipaddr_parse("fe80::1", &d->src6, NULL) == 0);
}

static void
setup(void)
{
	int	 i, unused;

	log_set_sink(no_log, NULL);
	ev_init();
	eng = engine_new(pair(&parent, SOCK_STREAM));
	eng->nodeid = 7;
	eng->epoch = 1;
	eng->control = &control;
	eng->kif = kif_from_fd(pair(&unused, SOCK_DGRAM), no_kif, NULL);
	assert(eng->kif != NULL);
	for (i = 0; i < DEVS; i++)
		carpdev(i);
	config = config_load_mem("fuzz.conf", conf, sizeof(conf) - 1,
	    nothing_said, nothing_said, NULL);
	assert(config != NULL);
	vif_apply(eng, config);
}

static void
drain(int fd)
{
	static uint8_t	 buf[65536];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}

static void
client_goes(struct control_client *cl)
{
	if (cl->id != 0)
		ctl_closed(cl->id, eng);
	memset(cl, 0, sizeof(*cl));
}

/* As after a start: what was set live goes with a reload. */
static void
reset(void)
{
	struct demote_entry	 en;
	size_t			 i;

	for (i = 0; i < CLIENTS; i++)
		client_goes(&clients[i]);
	for (i = 0; i < ENGINE_HOLDS_MAX; i++)
		assert(eng->holds[i].client == 0);
	for (i = 0; i < CONTROL_CLIENTS_MAX; i++)
		assert(eng->watcher[i] == 0);
	for (i = 0; i < eng->ledger.size; i++) {
		en = eng->ledger.e[i];
		if (strcmp(en.owner, "operator") == 0)
			(void)ledger_set(eng, en.owner, en.group, en.reason, 0,
			    0);
	}
	engine_allow(eng, true);
	vif_apply(eng, config);
	drain(parent);
	for (i = 0; i < DEVS; i++)
		drain(wire[i]);
}

static void
check(void)
{
	const struct vif	*f;
	const char		*why;
	size_t			 i;

	TAILQ_FOREACH(f, &eng->vifs, entry) {
		assert(f->c.ngroups <= CONFIG_GROUPS_MAX);
		for (i = 0; i < f->nnodes; i++) {
			why = vhost_check(&f->nodes[i]->conf, &f->nodes[i]->v,
			    monotime_now());
			assert(why == NULL);
			assert(f->nodes[i]->v.demotion == ledger_vif(f));
		}
	}
}

/* ---- steps ---- */

/* Of all messages the strings are where one of these words would fit. */
static void
put_names(uint32_t type, uint8_t *data, size_t len)
{
	static const char *const names[] = { "carp0", "carp1", "dmz", "carp",
	    "bulk", "syncdev", "lan", "" };
	static const uint8_t	 where[IMSG_MAX] = {
		[IMSG_CTL_SHOW] = offsetof(struct ctl_show, name),
		[IMSG_CTL_DEMOTE] = offsetof(struct ctl_demote, group),
		[IMSG_CTL_STATE] = offsetof(struct ctl_state, name),
		[IMSG_CTL_SET] = offsetof(struct ctl_set, name),
		[IMSG_CTL_HOLD] = offsetof(struct ctl_hold, reason)
	};
	size_t			 off = where[type], group;

	if (off + IF_NAMESIZE <= len && data[off] < 8 && data[off + 1] == 0)
		(void)strlcpy((char *)data + off, names[data[off]],
		    IF_NAMESIZE);
	group = offsetof(struct ctl_set, group);
	if (type == IMSG_CTL_SET && len == sizeof(struct ctl_set) &&
	    data[group] < 8 && data[group + 1] == 0)
		(void)strlcpy((char *)data + group, names[data[group]],
		    CONFIG_GROUPNAME_MAX);
}

/* Ids of vhosts that are numbers: those of our own. */
static void
put_ids(struct ctl_vhosts *m)
{
	static const uint8_t	 zero[ADVERT_ID_LEN - 1];
	const struct vif	*f;
	size_t			 i, k;

	for (i = 0; i < CTL_VHOSTS_MAX; i++) {
		k = m->id[i][0];
		if (memcmp(m->id[i] + 1, zero, sizeof(zero)) != 0)
			continue;
		TAILQ_FOREACH(f, &eng->vifs, entry) {
			if (k < f->nnodes)
				memcpy(m->id[i], f->nodes[k]->av.id,
				    ADVERT_ID_LEN);
			k -= f->nnodes;
		}
	}
}

static void
message(struct control_client *cl, struct rbuf *in)
{
	uint8_t		 type = rbuf_u8(in), *copy;
	struct imsg	 im = { .type = (type & 0x7f) % (IMSG_MAX + 2),
	    .fd = -1 };
	size_t		 n;

	im.len = type & 0x80 && im.type < IMSG_MAX &&
	    !carpd_msgs[im.type].variable ? carpd_msgs[im.type].size :
	    8U * rbuf_u8(in);
	if (cl->finished)		/* nothing of it is read any more */
		client_goes(cl);
	if (cl->id == 0)
		cl->id = ++last_id;
	/* a block of its own, and aligned, as imsg_get() gives it */
	assert((copy = calloc(1, im.len + 1)) != NULL);
	n = im.len < rbuf_left(in) ? im.len : rbuf_left(in);
	rbuf_bytes(in, copy, n);
	if (im.type < IMSG_MAX)
		put_names(im.type, copy, im.len);
	if (im.type == IMSG_CTL_RIVALS && im.len == sizeof(struct ctl_vhosts))
		put_ids((struct ctl_vhosts *)copy);
	im.data = copy;
	answers = 0;
	ctl_dispatch(cl, &im, eng);
	free(copy);
}

static void
timer(uint8_t which)
{
	struct vif	*f;
	struct node	*n;
	enum vhost_timer t = (enum vhost_timer)(which % VHOST_TIMERS);
	size_t		 k = which / VHOST_TIMERS % 3, i;

	TAILQ_FOREACH(f, &eng->vifs, entry)
		for (i = 0; i < f->nnodes; i++) {
			n = f->nodes[i];
			if (k-- == 0 && monotime_isset(n->v.timer[t]))
				node_timer(n, t);
		}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_client	*cl;
	struct rbuf		 in;
	uint8_t			 what;

	if (eng == NULL)
		setup();
	rbuf_init(&in, data, size);
	while (rbuf_left(&in) > 0) {
		what = rbuf_u8(&in);
		cl = &clients[what >> 4 & 7];
		switch (what % STEPS) {
		case 0:
			message(cl, &in);
			break;
		case 1:
			client_goes(cl);
			break;
		case 2:
			timer(rbuf_u8(&in));
			break;
		default:
			ctl_watch_cb(eng);
		}
		check();
	}
	reset();
	return (0);
}
