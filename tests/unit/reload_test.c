/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Reload as a property: of random pairs of configurations the second is
 * applied over the first, in the engine's own code, with sockets that end here.
 * What is the same in both must not notice: the same machine to the last bit,
 * no frame, no request to the parent.  And what comes out is what a fresh start
 * of the second has.  RELOAD_PAIRS and RELOAD_SEED choose how many and which.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carpd/engine.h"
#include "common/hmac.h"
#include "common/log.h"
#include "common/wire/cksum.h"

#define DEVS		3
#define NAMES		6
#define VHIDS		4	/* few, so that they change hands */
#define NODES		3	/* of an interface, VHIDS apart */
#define TEXT_MAX	8192

static uint64_t	 rng;

static uint32_t
rnd(uint32_t n)
{
	rng = rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((uint32_t)(rng >> 33) % n);
}

/* ---- random configurations ---- */

struct spec {
	int		 on;
	uint32_t	 dev, vhid, base, skew, pass, addrs, groups, style,
			 digest, nodes, mode;
};

struct specs {
	uint32_t	 preempt, log, demote;	/* of group dmz */
	struct spec	 s[NAMES];
};

static void
spec_fill(struct spec *s)
{
	s->on = 1;
	s->dev = rnd(DEVS);
	s->vhid = 1 + rnd(VHIDS);
	s->base = rnd(4);
	s->skew = rnd(240);
	s->pass = rnd(3);
	s->addrs = 1 + rnd(3);		/* bits: v4, v6 */
	s->groups = rnd(4);		/* bits: dmz, lan */
	s->style = rnd(4);
	s->digest = rnd(3);
	s->nodes = rnd(1 << (NODES - 1));	/* bits: beside the first */
	s->mode = rnd(BALANCE_IP_UNICAST + 1);
}

static void
spec_change(struct spec *s)
{
	struct spec	 other;

	spec_fill(&other);
	switch (rnd(13)) {
	case 0: s->dev = other.dev; break;
	case 1: s->vhid = other.vhid; break;
	case 2: s->base = other.base; break;
	case 3: s->skew = other.skew; break;
	case 4: s->pass = other.pass; break;
	case 5: s->addrs = other.addrs; break;
	case 6: s->groups = other.groups; break;
	case 7: s->style = other.style; break;
	case 8: s->digest = other.digest; break;
	case 9:
	case 11:
	case 12: s->nodes = other.nodes; break;
	case 10: s->mode = other.mode; break;
	}
}

/* Most stays, so that there is something that must not notice. */
static void
specs_change(struct specs *c)
{
	size_t	 i;

	for (i = 0; i < NAMES; i++)
		switch (rnd(8)) {
		case 0:
			c->s[i].on = 0;
			break;
		case 1:
			spec_fill(&c->s[i]);
			break;
		case 2:
			spec_change(&c->s[i]);
			break;
		}
	if (rnd(8) == 0)
		c->preempt = rnd(2);
	if (rnd(4) == 0)
		c->demote = rnd(3);
	if (rnd(4) == 0)
		c->log = rnd(8);
}

static void __attribute__((format(printf, 2, 3)))
add(char *text, const char *fmt, ...)
{
	size_t	 len = strlen(text);
	va_list	 ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + len, TEXT_MAX - len, fmt, ap);
	va_end(ap);
}

static void
specs_write(const struct specs *c, char *text)
{
	static const char *const style[] = { "auto", "byte", "skew", "both" };
	static const char *const digest[] = { "auto", "openbsd", "freebsd" };
	size_t	 i;
	uint32_t k;

	text[0] = '\0';
	add(text, "preempt %s\nlog %u\n", c->preempt ? "yes" : "no", c->log);
	if (c->demote != 0)
		add(text, "group \"dmz\" { demote %u }\n", c->demote);
	for (i = 0; i < NAMES; i++) {
		const struct spec *s = &c->s[i];

		if (!s->on)
			continue;
		add(text, "carp%zu on dev%u {\n\tbalancing %s\n", i, s->dev,
		    balance_mode_names[s->mode]);
		for (k = 0; k < NODES; k++)
			if (k == 0 || (s->nodes >> (k - 1) & 1))
				add(text, "\tvhid %u { advbase %u advskew %u"
				    " }\n",
				    s->vhid + k * VHIDS, s->base,
				    s->skew + k);
		add(text, "\tpass \"word%u\"\n\tdemote-style %s\n"
		    "\tdigest %s\n", s->pass, style[s->style],
		    digest[s->digest]);
		if (s->addrs & 1)
			add(text, "\taddress 10.0.%zu.1/24\n", i);
		if (s->addrs & 2)
			add(text, "\taddress 2001:db8:%zu::1/64\n", i);
		if (s->groups & 1)
			add(text, "\tgroup \"dmz\"\n");
		if (s->groups & 2)
			add(text, "\tgroup \"lan\"\n");
		add(text, "}\n");
	}
}

static void
quiet(const char *line, void *arg)
{
	(void)line;
	(void)arg;
}

/* One that is valid; c changes until it is. */
static struct config *
specs_config(struct specs *c)
{
	char	 text[TEXT_MAX];

	for (;;) {
		struct config	*conf;

		specs_write(c, text);
		conf = config_load_mem("random.conf", text, strlen(text),
		    quiet, quiet, NULL);
		if (conf != NULL)
			return (conf);
		spec_fill(&c->s[rnd(NAMES)]);	/* a vhid twice */
	}
}

/* ---- an engine whose sockets end here ---- */

struct bench {
	struct engine		*e;
	int			 parent;	/* what it says to the parent */
	int			 wire[DEVS];	/* what it sends */
	struct imsgbuf		*heard;
	bool			 addrs[NAMES];	/* asked for last */
};

static void
no_kif(const struct kif_event *k, void *arg)
{
	(void)k;
	(void)arg;
}

static void
nonblocking(int fd)
{
	ck_assert_int_ne(fcntl(fd, F_SETFL, O_NONBLOCK), -1);
}

/* A carpdev that is there, with link, address and an open way. */
static void
bench_dev(struct bench *b, int i)
{
	char		 name[IF_NAMESIZE];
	struct dev	*d;
	int		 sv[2], fd;

	(void)snprintf(name, sizeof(name), "dev%d", i);
	d = dev_get(b->e, name);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	nonblocking(sv[0]);
	nonblocking(sv[1]);
	d->fd = sv[0];
	b->wire[i] = sv[1];
	ck_assert_int_ne(fd = memfd_create("slots", 0), -1);
	ck_assert_int_eq(ftruncate(fd, 1 << 16), 0);
	ck_assert_ptr_nonnull(d->slots = steer_slots_map(fd));
	d->ifindex = 1000000 + i;
	d->mac[0] = 2;
	d->mac[5] = (uint8_t)i;
	d->link = d->link_known = d->proven = true;
	ck_assert_int_eq(ipaddr_parse("192.0.2.1", &d->src4, NULL), 0);
	ck_assert_int_eq(ipaddr_parse("fe80::1", &d->src6, NULL), 0);
}

static struct bench *
bench_new(void)
{
	struct bench	*b;
	int		 i, sv[2];

	ck_assert_ptr_nonnull(b = calloc(1, sizeof(*b)));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	nonblocking(sv[0]);
	nonblocking(sv[1]);
	b->e = engine_new(sv[0]);
	b->e->nodeid = 7;
	b->e->epoch = 1;
	b->parent = sv[1];
	ck_assert_ptr_nonnull(b->heard = imsgbuf_new(sv[1]));
	b->e->kif = kif_from_fd(kif_open(false), no_kif, NULL);
	ck_assert_ptr_nonnull(b->e->kif);
	for (i = 0; i < DEVS; i++)
		bench_dev(b, i);
	return (b);
}

/* What has been stopped, drained and is freed, as the loop would. */
static void
bench_sweep(struct bench *b)
{
	struct vhost_event	 ev = { .type = VHOST_EV_TIMER,
	    .timer = VHOST_TIMER_DRAIN };
	struct vif		*f, *next;
	size_t			 i;

	TAILQ_FOREACH_SAFE(f, &b->e->vifs, entry, next) {
		for (i = 0; i < f->nnodes; i++) {
			struct node *n = f->nodes[i];

			if (monotime_isset(n->v.timer[VHOST_TIMER_DRAIN]))
				(void)node_step(n, &ev,
				    n->v.timer[VHOST_TIMER_DRAIN]);
		}
		if (f->dying)
			vif_free(f);
	}
	kif_read(b->e->kif);
}

/* In order, and without a trace. */
static void
bench_free(struct bench *b)
{
	struct vif	*f;
	struct dev	*d;
	int		 i;

	TAILQ_FOREACH(f, &b->e->vifs, entry)
		if (!f->dying)
			vif_stop(f, VHOST_CAUSE_SHUTDOWN);
	bench_sweep(b);
	channel_free(b->e->parent);
	imsgbuf_free(b->heard);
	kif_free(b->e->kif);
	ev_timer_free(b->e->ledger_timer);
	ev_timer_free(b->e->sweep_timer);
	ev_timer_free(b->e->pulse_timer);
	ev_timer_free(b->e->group_timer);
	ev_timer_free(b->e->watch_timer);
	ev_timer_free(b->e->timers_ev);
	for (i = 0; i < DEVS; i++)
		close(b->wire[i]);
	while ((d = TAILQ_FIRST(&b->e->devs)) != NULL) {
		close(d->fd);
		steer_slots_unmap(d->slots);
		TAILQ_REMOVE(&b->e->devs, d, entry);
		free(d);
	}
	free(b->e->ledger.e);
	free(b->e->groups);
	free(b->e);
	free(b);
}

/* ---- what was said ---- */

struct said {
	bool	 frame[DEVS][256];	/* of that vhid */
	bool	 vaddr[NAMES];
	bool	 bowout[DEVS][256];
};

static void
said_message(struct bench *b, struct said *s, const struct imsg *im)
{
	struct msg_bowout	 m;
	struct msg_vaddr	 v;

	if (im->type == IMSG_VADDR) {
		memcpy(&v, im->data, sizeof(v));
		s->vaddr[v.name[4] - '0'] = true;
		b->addrs[v.name[4] - '0'] = v.on;
	} else if (im->type == IMSG_BOWOUT) {
		memcpy(&m, im->data, sizeof(m));
		s->bowout[m.carpdev[3] - '0'][m.vhid] = true;
	}
}

/* An advertisement's vhid; of ARP and NA that of the virtual MAC. */
static uint8_t
frame_vhid(const uint8_t *frame, size_t len)
{
	struct frame_ip	 f;

	if (frame_peel(frame, len, &f) == FRAME_OK && f.proto == CARP_PROTO)
		return (f.payload[1]);
	return (frame[11]);
}

/* Read it all; s may be NULL. */
static void
listen_to(struct bench *b, struct said *s)
{
	struct said	 junk;
	uint8_t		 frame[2048];
	struct imsg	 im;
	ssize_t		 len;
	int		 i;

	s = s == NULL ? &junk : s;
	memset(s, 0, sizeof(*s));
	for (i = 0; i < DEVS; i++)
		while ((len = recv(b->wire[i], frame, sizeof(frame), 0)) > 12)
			s->frame[i][frame_vhid(frame, (size_t)len)] = true;
	ck_assert_int_eq(channel_drain(b->e->parent, 0), 0);
	while (recv(b->parent, frame, 1, MSG_PEEK) > 0 &&
	    imsgbuf_read(b->heard) > 0)
		while (imsg_get(b->heard, &im) > 0)
			said_message(b, s, &im);
}

/* ---- the properties ---- */

static uint64_t	 pairs, same, changed, masters, gone, added, balanced,
	regrouped;

struct before {
	bool			 there;
	struct config_iface	 c;
	struct {
		const struct node	*n;
		struct vhost		 v;
		uint64_t		 since_ms;
	}			 node[NODES];
	int			 demotion;
};

static void
remember(struct bench *b, struct before *all)
{
	struct vif	*f;

	memset(all, 0, NAMES * sizeof(*all));
	TAILQ_FOREACH(f, &b->e->vifs, entry) {
		struct before *o = &all[f->c.name[4] - '0'];
		size_t i;

		o->there = true;
		o->c = f->c;
		for (i = 0; i < f->nnodes; i++) {
			o->node[i].n = f->nodes[i];
			o->node[i].v = f->nodes[i]->v;
			o->node[i].since_ms = f->nodes[i]->since_ms;
		}
		o->demotion = ledger_vif(f);
	}
}

/* Nothing that concerns f is different: it must not have noticed. */
static void
must_not_notice(const struct vif *f, const struct before *o,
    const struct said *s)
{
	int	 i = f->c.name[4] - '0', d = f->c.carpdev[3] - '0';
	size_t	 k;

	same++;
	balanced += f->nnodes > 1;
	ck_assert_msg(!s->vaddr[i], "the addresses of %s were moved",
	    f->c.name);
	for (k = 0; k < f->nnodes; k++) {
		const struct node *n = f->nodes[k];

		masters += n->v.state == VHOST_MASTER;
		ck_assert_msg(n == o->node[k].n, "%s was made anew",
		    f->c.name);
		ck_assert_msg(memcmp(&n->v, &o->node[k].v, sizeof(n->v)) == 0,
		    "%s was touched", f->c.name);
		ck_assert(n->since_ms == o->node[k].since_ms);
		ck_assert_msg(!s->frame[d][f->c.vhids[k].vhid], "%s spoke",
		    f->c.name);
		ck_assert_msg(!s->bowout[d][f->c.vhids[k].vhid],
		    "%s changed its last words", f->c.name);
	}
}

/* Where that vhid was among the nodes; -1: it is new. */
static int
before_index(const struct before *o, uint8_t vhid)
{
	int	 k;

	for (k = 0; k < o->c.nvhids; k++)
		if (o->c.vhids[k].vhid == vhid)
			return (k);
	return (-1);
}

/*
 * Timers, groups, habits and other vhids change live: the state is what it was,
 * and with other vhids alone the ones that stay do not notice.
 */
static void
must_keep_its_state(const struct vif *f, const struct before *o, bool vhids)
{
	size_t	 k;

	changed++;
	for (k = 0; k < f->nnodes; k++) {
		int i = before_index(o, f->nodes[k]->conf.vhid);
		const struct vhost *v = &f->nodes[k]->v, *was;

		if (i == -1)
			continue;
		regrouped += vhids;
		was = &o->node[i].v;
		ck_assert_msg(f->nodes[k] == o->node[i].n,
		    "%s was made anew", f->c.name);
		ck_assert_msg(!vhids || o->c.vhids[i].advskew !=
		    f->c.vhids[k].advskew || memcmp(v, was, sizeof(*v)) == 0,
		    "%s was touched", f->c.name);
		ck_assert_msg(v->state == was->state &&
		    v->transitions == was->transitions,
		    "%s moved from %s to %s", f->c.name,
		    vhost_state_names[was->state],
		    vhost_state_names[v->state]);
	}
}

static void
compare(struct bench *b, const struct before *all, const struct said *s,
    bool preempt)
{
	struct vif	*f;

	TAILQ_FOREACH(f, &b->e->vifs, entry) {
		const struct before *o = &all[f->c.name[4] - '0'];
		unsigned int diff;

		if (f->dying) {
			gone++;
			continue;
		}
		if (!o->there) {
			added++;
			continue;
		}
		diff = config_iface_diff(&o->c, &f->c);
		if (diff == 0 && preempt && o->demotion == ledger_vif(f))
			must_not_notice(f, o, s);
		else if ((diff & CONFIG_DIFF_IDENTITY) == 0)
			must_keep_its_state(f, o, preempt &&
			    o->demotion == ledger_vif(f) && (diff &
			    ~(unsigned int)CONFIG_DIFF_TIMERS) ==
			    CONFIG_DIFF_VHIDS && o->c.vhids[0].advbase ==
			    f->c.vhids[0].advbase);
	}
}

static const struct vif *
find(const struct bench *b, const char *name)
{
	const struct vif	*f;

	TAILQ_FOREACH(f, &b->e->vifs, entry)
		if (strcmp(f->c.name, name) == 0)
			return (f);
	return (NULL);
}

static void
must_be_as_fresh_node(const struct vif *f, const struct node *n,
    const struct node *fresh)
{
	struct vhost_conf	 x = n->conf, y = fresh->conf;

	ck_assert_msg(memcmp(&x, &y, sizeof(x)) == 0,
	    "%s runs with other settings", f->c.name);
	ck_assert_msg(memcmp(n->av.id, fresh->av.id, sizeof(n->av.id)) == 0,
	    "%s is another vhost", f->c.name);
	ck_assert_int_eq(n->v.demotion, fresh->v.demotion);
	ck_assert_msg(n->v.state != VHOST_INIT, "%s does not run", f->c.name);
	ck_assert_ptr_eq(f->dev->byvhid[n->conf.vhid], n);
}

/* As after a start with this file: same interfaces, same everything. */
static void
must_be_as_fresh(const struct bench *b, const struct config *c)
{
	struct bench	*fresh = bench_new();
	const struct vif *f, *g;
	size_t		 n = 0, k;

	vif_apply(fresh->e, c);
	ck_assert_int_eq(memcmp(&b->e->g, &fresh->e->g, sizeof(b->e->g)), 0);
	TAILQ_FOREACH(f, &b->e->vifs, entry) {
		n++;
		g = find(fresh, f->c.name);
		ck_assert_msg(g != NULL, "%s is still there", f->c.name);
		ck_assert_int_eq(memcmp(&f->c, &g->c, sizeof(f->c)), 0);
		ck_assert_str_eq(f->dev->name, g->dev->name);
		ck_assert_int_eq(ledger_vif(f), ledger_vif(g));
		ck_assert_uint_eq(f->nnodes, g->nnodes);
		for (k = 0; k < f->nnodes; k++)
			must_be_as_fresh_node(f, f->nodes[k], g->nodes[k]);
	}
	ck_assert_uint_eq(n, c->nifaces);
	bench_free(fresh);
}
/* Some are MASTER, as an election would have it. */
static void
elect(struct bench *b)
{
	struct vhost_event	 ev = { .type = VHOST_EV_FORCE };
	struct vif		*f;
	size_t			 i;

	TAILQ_FOREACH(f, &b->e->vifs, entry) {
		for (i = 0; i < f->nnodes; i++) {
			ev.state = rnd(2) ? VHOST_MASTER : VHOST_BACKUP;
			node_event(f->nodes[i], &ev);
		}
	}
}

/* The addresses are there while any node needs them, and no longer. */
static void
addresses_right(const struct bench *b)
{
	const struct vif	*f;
	size_t			 i;
	bool			 needed;

	TAILQ_FOREACH(f, &b->e->vifs, entry) {
		needed = false;
		for (i = 0; i < f->nnodes; i++)
			needed |= f->nodes[i]->v.state == VHOST_MASTER ||
			    monotime_isset(f->nodes[i]->v.timer[
			    VHOST_TIMER_DRAIN]);
		ck_assert_msg(needed == b->addrs[f->c.name[4] - '0'],
		    "%s: addresses %s", f->c.name, needed ? "missing" :
		    "left behind");
	}
}

static uint64_t
number(const char *name, uint64_t otherwise)
{
	const char	*s = getenv(name);

	return (s == NULL ? otherwise : strtoull(s, NULL, 0));
}

START_TEST(random_pairs)
{
	static struct before	 all[NAMES];
	uint64_t		 seed = number("RELOAD_SEED", 1), i;
	uint64_t		 n = number("RELOAD_PAIRS", 3000);
	struct bench		*b = bench_new();
	struct specs		 specs;
	struct config		*c;
	struct said		 said;
	bool			 preempt;

	rng = seed;
	memset(&specs, 0, sizeof(specs));
	for (i = 0; i < NAMES; i++)
		if (rnd(2))
			spec_fill(&specs.s[i]);
	for (pairs = 0; pairs < n; pairs++) {
		c = specs_config(&specs);
		preempt = b->e->g.preempt == c->g.preempt;
		remember(b, all);
		listen_to(b, NULL);
		addresses_right(b);
		vif_apply(b->e, c);
		listen_to(b, &said);
		compare(b, all, &said, preempt);
		bench_sweep(b);
		must_be_as_fresh(b, c);
		elect(b);
		config_free(c);
		specs_change(&specs);
	}
	bench_free(b);
	printf("sim: reload: seed %ju: %ju pairs; %ju interfaces the same "
	    "(%ju balanced, %ju MASTER), %ju changed live, %ju gone, %ju "
	    "added\n",
	    (uintmax_t)seed, (uintmax_t)pairs, (uintmax_t)same,
	    (uintmax_t)balanced, (uintmax_t)masters, (uintmax_t)changed, (uintmax_t)gone,
	    (uintmax_t)added);
	ck_assert_uint_gt(same, n / 4);
	ck_assert_uint_gt(balanced, n / 16);
	ck_assert_uint_gt(regrouped, n / 64);
	ck_assert_uint_gt(masters, n / 16);
	ck_assert_uint_gt(changed, n / 16);
	ck_assert_uint_gt(gone, n / 16);
	ck_assert_uint_gt(added, n / 16);
}
END_TEST

/* ---- who is remembered ---- */

/* A frame of another node, as it came by. */
static size_t
overhear(struct bench *from, uint8_t *frame, size_t size)
{
	ssize_t	 n;

	while ((n = recv(from->wire[0], frame, size, 0)) > 0)
		if (n > 34 && frame[23] == 112)
			return ((size_t)n);
	ck_abort_msg("nobody spoke");
	return (0);
}

static void
play(struct bench *to, const uint8_t *frame, size_t len)
{
	ck_assert_int_eq(send(to->wire[0], frame, len, 0), (ssize_t)len);
	rx_drain(dev_get(to->e, "dev0"));
}

/* The same from another address, with a digest that cannot be right. */
static void
forge(uint8_t *frame, size_t len, uint8_t host)
{
	uint16_t	 sum;

	frame[14 + 15] = host;
	frame[14 + 10] = frame[14 + 11] = 0;
	sum = cksum_fin(cksum_add(0, frame + 14, 20));
	frame[14 + 10] = (uint8_t)(sum >> 8);
	frame[14 + 11] = (uint8_t)sum;
	frame[len - 1] ^= host;
}

static bool
remembers(const struct node *n, uint8_t host)
{
	const struct peer	*p;

	for (p = n->peers; p < n->peers + ENGINE_PEERS_MAX; p++)
		if (p->addr.af == AF_INET && p->addr.bytes[3] == host)
			return (true);
	return (false);
}

/* Rubbish from hundreds of addresses pushes out nobody who has the key. */
START_TEST(strangers_many)
{
	static const char	 text[] = "carp0 on dev0 { vhid 1 { advskew 1 } "
	    "pass \"a\" address 192.0.2.99/24 }\n";
	struct bench		*a = bench_new(), *b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct vhost_event	 ev = { .type = VHOST_EV_FORCE,
				    .state = VHOST_MASTER };
	uint8_t			 frame[2048];
	const struct node	*n;
	size_t			 len;
	int			 i;

	ck_assert_ptr_nonnull(c);
	a->e->nodeid = 8;
	vif_apply(a->e, c);
	vif_apply(b->e, c);
	n = vif_find(b->e, "carp0")->nodes[0];
	node_event(vif_find(a->e, "carp0")->nodes[0], &ev);
	len = overhear(a, frame, sizeof(frame));
	play(b, frame, len);
	ck_assert(remembers(n, 1));
	ck_assert_uint_eq(b->e->count[COUNT_BADAUTH], 0);
	for (i = 2; i < 200; i++) {
		forge(frame, len, (uint8_t)i);
		play(b, frame, len);
	}
	ck_assert(remembers(n, 199));	/* the latest of them, too */
	ck_assert(remembers(n, 1));
	config_free(c);
	bench_free(a);
	bench_free(b);
}
END_TEST

/* ---- a carpdev that the parent opens ---- */

/* Its link may be told between its socket and its slots. */
START_TEST(link_before_slots)
{
	static const char	 text[] = "carp0 on dev0 { vhid 1 pass \"a\" "
	    "address 10.0.0.1/24 }\n";
	struct bench		*b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct dev		*d = dev_get(b->e, "dev0");
	struct msg_name		 m = { .name = "dev0" };
	struct kif_event	 k = { .type = KIF_LINK, .ifindex = d->ifindex,
				    .running = true };
	int			 fd;

	ck_assert_ptr_nonnull(c);
	steer_slots_unmap(d->slots);
	d->slots = NULL;
	d->link = d->link_known = false;
	vif_apply(b->e, c);
	dev_kif_event(&k, b->e);
	ck_assert_int_eq(vif_find(b->e, "carp0")->nodes[0]->v.state,
	    VHOST_INIT);
	ck_assert_int_ne(fd = memfd_create("slots", 0), -1);
	ck_assert_int_eq(ftruncate(fd, 1 << 16), 0);
	dev_slots(b->e, &m, fd);
	ck_assert_int_eq(vif_find(b->e, "carp0")->nodes[0]->v.state,
	    VHOST_BACKUP);
	config_free(c);
	bench_free(b);
}
END_TEST

/* ---- what the kernel tells of addresses ---- */

static int
startup(const struct bench *b)
{
	return (demote_get(&b->e->ledger, "carpd", "carp", "startup"));
}

static void
address(struct bench *b, const char *text, enum kif_event_type type,
    bool tentative, uint8_t proto)
{
	struct kif_event	 k;

	memset(&k, 0, sizeof(k));
	k.type = type;
	k.ifindex = 1000000;	/* dev0 */
	ck_assert_int_eq(ipaddr_parse(text, &k.addr, NULL), 0);
	k.tentative = tentative;
	k.proto = proto;
	dev_kif_event(&k, b->e);
}

/*
 * With peers an own address more or less changes whom we speak to.  Told
 * again, by a dump or as its lifetime goes on, it changes nothing: hundreds of
 * vhids and addresses would be a storm of last words.
 */
START_TEST(address_told_again)
{
	static const char	 text[] = "carp0 on dev0 { vhid 1 pass \"a\" "
	    "address 10.0.0.1/24 peer 10.0.0.2 peer 10.0.0.3 }\n";
	static const struct {
		const char		*addr;
		enum kif_event_type	 type;
		bool			 tentative;
		uint8_t			 proto;
		bool			 deposits;
	}			 t[] = {
		{ "10.0.0.2/24", KIF_ADDR_ADD, false, 0, true },
		{ "10.0.0.2/24", KIF_ADDR_ADD, false, 0, false },
		{ "10.0.0.9/24", KIF_ADDR_ADD, true, 0, true },
		{ "10.0.0.9/24", KIF_ADDR_ADD, true, 0, false },
		{ "10.0.0.9/24", KIF_ADDR_ADD, false, 0, true },
		{ "10.0.0.1/24", KIF_ADDR_ADD, false, KIF_PROTO_CARPD, false },
		{ "10.0.0.1/32", KIF_ADDR_DEL, false, KIF_PROTO_CARPD, false },
		{ "10.0.0.8/24", KIF_ADDR_DEL, false, 0, false },
		{ "10.0.0.9/24", KIF_ADDR_DEL, false, 0, true },
		{ "10.0.0.9/24", KIF_ADDR_DEL, false, 0, false },
		{ "10.0.0.2/16", KIF_ADDR_ADD, false, 0, true },
	};
	struct bench		*b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct said		 said;
	size_t			 i;

	ck_assert_ptr_nonnull(c);
	vif_apply(b->e, c);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		listen_to(b, NULL);
		address(b, t[i].addr, t[i].type, t[i].tentative, t[i].proto);
		listen_to(b, &said);
		ck_assert_msg(said.bowout[0][1] == t[i].deposits,
		    "event %zu, %s: %s", i, t[i].addr, t[i].deposits ?
		    "nothing deposited" : "deposited anew");
	}
	config_free(c);
	bench_free(b);
}
END_TEST

/* ---- a carpdev that the parent chooses ---- */

static struct vif *
must_be_on(struct bench *b, const char *name, const char *dev)
{
	struct vif	*f = vif_find(b->e, name);

	ck_assert_ptr_nonnull(f);
	ck_assert_str_eq(f->c.carpdev, dev);
	ck_assert_str_eq(f->dev->name, dev);
	ck_assert_ptr_eq(f->dev->byvhid[1], f->nodes[0]);
	if (dev[0] == '\0') {
		ck_assert_int_eq(f->nodes[0]->v.state, VHOST_INIT);
		ck_assert_str_eq(f->nodes[0]->why, "for a reason");
	} else
		ck_assert_int_ne(f->nodes[0]->v.state, VHOST_INIT);
	return (f);
}

static void
chosen(struct bench *b, const char *name, const char *dev)
{
	static uint32_t		 generation;
	struct msg_chosen	 m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, name, sizeof(m.name));
	(void)strlcpy(m.carpdev, dev, sizeof(m.carpdev));
	(void)strlcpy(m.why, dev[0] == '\0' ? "for a reason" : "",
	    sizeof(m.why));
	b->e->want_ready = false;
	vif_chosen(b->e, &m, ++generation);
	ck_assert(b->e->want_ready);
	ck_assert_uint_eq(b->e->generation, generation);
	bench_sweep(b);
}

START_TEST(carpdev_chosen)
{
	static const char	 text[] = "carp0 { vhid 1 pass \"a\" "
	    "address 10.0.0.1/24 }\ncarp1 on dev1 { vhid 1 pass \"b\" "
	    "address 10.0.1.1/24 }\n";
	struct bench		*b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct said		 said;
	struct vif		*f;

	ck_assert_ptr_nonnull(c);
	ck_assert(config_iface_ok(&c->ifaces[0]));
	vif_apply(b->e, c);
	chosen(b, "carp0", "");
	must_be_on(b, "carp0", "");
	f = must_be_on(b, "carp1", "dev1");
	ck_assert_int_eq(ledger_vif(f), 1);
	listen_to(b, NULL);
	chosen(b, "carp0", "dev0");
	f = must_be_on(b, "carp0", "dev0");
	ck_assert_str_eq(f->c.pass, "a");
	ck_assert_int_eq(ledger_vif(f), 0);
	listen_to(b, &said);
	ck_assert(!said.frame[1][1] && !said.bowout[1][1] && !said.vaddr[1]);
	ck_assert(said.bowout[0][1]);
	f->c.vhids[0].advskew = 9;	/* as carpctl sets it */
	f->down = true;
	chosen(b, "carp0", "");
	f = must_be_on(b, "carp0", "");
	ck_assert(f->down && f->c.vhids[0].advskew == 9);
	/* a way that was not proven yet is still held against it */
	dev_get(b->e, "dev0")->proven = false;
	f->down = false;
	chosen(b, "carp0", "dev0");
	f = must_be_on(b, "carp0", "dev0");
	ck_assert_int_eq(ledger_vif(f), 1);
	dev_prove(f->dev);
	ck_assert_int_eq(ledger_vif(f), 0);
	/* twice the same, and nobody's */
	f->nodes[0]->spoke = true;
	chosen(b, "carp0", "dev0");
	chosen(b, "carp7", "dev0");
	ck_assert(vif_find(b->e, "carp0") == f && f->nodes[0]->spoke);
	config_free(c);
	bench_free(b);
}
END_TEST

static void
no_log(int pri, const char *line, void *arg)
{
	(void)pri;
	(void)line;
	(void)arg;
}

/*
 * A link is told before the addresses: a vhid that has no source yet will run
 * in a moment, so the demotion of the start is not over.
 */
START_TEST(startup_waits_for_addresses)
{
	static const char	 text[] = "carp0 on dev0 { vhid 1 pass \"a\" "
	    "address 2001:db8::1/64 }\n";
	struct bench		*b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct dev		*d;
	struct kif_event	 k = { .type = KIF_LINK, .running = true };

	ck_assert_ptr_nonnull(c);
	TAILQ_FOREACH(d, &b->e->devs, entry)
		d->link_known = d->link = true;
	d = dev_get(b->e, "dev0");
	memset(&d->src6, 0, sizeof(d->src6));
	d->link = d->link_known = d->proven = false;
	k.ifindex = d->ifindex;
	ck_assert(ledger_set(b->e, "carpd", "carp", "startup", DEMOTE_STARTUP,
	    0));
	vif_apply(b->e, c);		/* which asks for all there is */
	ck_assert(!kif_idle(b->e->kif));
	dev_kif_event(&k, b->e);
	ck_assert_int_eq(vif_find(b->e, "carp0")->nodes[0]->v.state,
	    VHOST_INIT);
	ck_assert_int_eq(startup(b), DEMOTE_STARTUP);
	address(b, "fe80::1/64", KIF_ADDR_ADD, false, 0);
	ck_assert_int_eq(vif_find(b->e, "carp0")->nodes[0]->v.state,
	    VHOST_BACKUP);
	while (!kif_idle(b->e->kif))
		kif_read(b->e->kif);
	ledger_startup(b->e);
	ck_assert_int_eq(startup(b), DEMOTE_STARTUP);
	dev_prove(d);			/* somebody was heard there */
	ck_assert_int_eq(startup(b), 0);
	config_free(c);
	bench_free(b);
}
END_TEST

/* The same without an address ever: what cannot run is not waited for. */
START_TEST(startup_ends_without_addresses)
{
	static const char	 text[] = "carp0 on dev0 { vhid 1 pass \"a\" "
	    "address 2001:db8::1/64 }\n";
	struct bench		*b = bench_new();
	struct config		*c = config_load_mem("text", text,
				    strlen(text), quiet, quiet, NULL);
	struct dev		*d = dev_get(b->e, "dev0");

	ck_assert_ptr_nonnull(c);
	memset(&d->src6, 0, sizeof(d->src6));
	d->proven = false;
	ck_assert(ledger_set(b->e, "carpd", "carp", "startup", DEMOTE_STARTUP,
	    0));
	vif_apply(b->e, c);
	while (!kif_idle(b->e->kif))
		kif_read(b->e->kif);
	ledger_startup(b->e);
	ck_assert_int_eq(startup(b), 0);
	config_free(c);
	bench_free(b);
}
END_TEST

int
main(void)
{
	TCase	*tc = tcase_create("reload");
	Suite	*s = suite_create("reload");
	SRunner	*sr;
	int	 failed;

	log_set_sink(no_log, NULL);
	hmac_setup();
	ev_init();
	tcase_add_test(tc, random_pairs);
	tcase_add_test(tc, carpdev_chosen);
	tcase_add_test(tc, link_before_slots);
	tcase_add_test(tc, startup_waits_for_addresses);
	tcase_add_test(tc, startup_ends_without_addresses);
	tcase_add_test(tc, strangers_many);
	tcase_add_test(tc, address_told_again);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
