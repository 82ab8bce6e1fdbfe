/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What replicates, under virtual time: nodes, each with repl.c as it runs in
 * the daemon and a kernel's table of its own, a wire between them that loses,
 * delays, reorders, duplicates and is cut, and flows that begin, change, carry
 * traffic and end.  Where it is said, first packets are held back: one that is
 * acknowledged means that another kernel has its flow.  For syncsim_test.c, where MASTER moves by will, and
 * cluster_test.c, where an election decides; they include this file, and say
 * where a flow's packets pass and what carpd tells.
 */
#include <netinet/in.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../pfsyncd/repl.h"

#define NODES		3
#ifndef FLOWS
#define FLOWS		400
#endif
#define WIRE_MAX	4096
#define MTU_ROOM	1364
#define EVENTS_MAX	4096
#define MS		MONOTIME_MSEC
#define SEC		MONOTIME_SEC

static unsigned long done_packets, done_flows, done_claims, done_repairs,
	    done_held, done_acked;

/* Check writes a line of each of its own assertions: not in what runs often. */
#define must(cond)	do {						\
	if (!(cond))							\
		ck_abort_msg("%s", #cond);				\
} while (0)

/* Where packets of flow i pass; -1: nowhere. */
static int	 place(uint32_t i);
/* What carpd of node i says: so many MASTERs; false: it is not there. */
static bool	 carpd_says(int i, unsigned int *masters);

/* One entry of a kernel's table; its number is the flow's. */
struct kent {
	bool		 used;
	struct flow	 f;
	int64_t		 deadline;
	uint32_t	 ctid;
};

struct pending {
	int64_t		 at;
	struct statetbl_event e;
};

struct simnode {
	bool		 running, booted;
	int64_t		 asleep;	/* its daemon is stopped until then */
	struct repl	*r;
	struct statedb	*db;
	uint32_t	 id, boot;
	uint64_t	 epoch, seq;
	struct kent	 k[FLOWS];
	struct pending	 ev[EVENTS_MAX];
	size_t		 nev;
	bool		 overrun;
	uint32_t	 dump;
	int64_t		 dump_at;
	enum statetbl_what dump_what;
	uint32_t	 done;
	uint32_t	 ctid;
	struct { uint64_t h; struct repl_hint hint; } hint[2 * FLOWS],
	    old[2 * FLOWS];
	size_t		 nold;
	uint32_t	 boots[NODES], old_boots[NODES];	/* as hinted */
	bool		 watch_new;
};

struct packet {
	int64_t		 at;
	int		 to;
	size_t		 len;
	uint32_t	 node;
	uint64_t	 epoch, seq;
	uint8_t		 data[MTU_ROOM];
};

/* What the world is: which flows live, where their traffic goes. */
struct wish {
	bool		 alive, replied;
	int64_t		 settled;	/* last change */
	int64_t		 passed;	/* last packet */
	int64_t		 closed;	/* its kernel and daemon saw that */
	int		 closed_at;
	int64_t		 ended;		/* there, a while later; or 0 */
	bool		 known;		/* when trouble began: everywhere */
	uint8_t		 tcp;
	uint32_t	 variant;	/* of the translation */
	bool		 had[NODES];	/* its kernel was told since it began */
	int		 held_at;	/* held: where its first packet waits */
	bool		 held;
	int64_t		 held_due;
	uint32_t	 held_ctid;
};

static struct {
	int64_t		 now;
	int		 n;		/* nodes */
	int		 master;
	int		 split;		/* another one; -1: none */
	int64_t		 moved;
	struct simnode	 node[NODES];
	struct packet	 wire[WIRE_MAX];
	size_t		 nwire;
	struct wish	 wish[FLOWS];
	bool		 cut[NODES];	/* its cable */
	bool		 silent[NODES];	/* what passes there is lost */
	int64_t		 cut_at[NODES];
	unsigned int	 loss, dup, jitter;	/* percent, percent, ms */
	uint64_t	 rnd;
	unsigned long	 lost;
	int64_t		 stopped;	/* a daemon, last */
	uint64_t	 seed;
	bool		 defer;		/* first packets are held back */
	bool		 trace;	/* told step by step */
} w;

static uint64_t
rnd(void)
{
	w.rnd ^= w.rnd << 13;
	w.rnd ^= w.rnd >> 7;
	w.rnd ^= w.rnd << 17;
	return (w.rnd);
}

static unsigned int
below(unsigned int n)
{
	return ((unsigned int)(rnd() >> 33) % n);
}

static monotime_t
now(void)
{
	return ((monotime_t){ w.now });
}

/* ---- flows ---- */

static void
make_flow(uint32_t i, struct flow *f)
{
	const struct wish *s = &w.wish[i];
	uint8_t src[4] = { 10, 0, (uint8_t)(i >> 8), (uint8_t)i };
	uint8_t dst[4] = { 192, 0, 2, 9 }, nat[4] = { 203, 0, 113, 1 };

	memset(f, 0, sizeof(*f));
	f->af = 4;
	f->proto = i % 4 == 0 ? IPPROTO_UDP : IPPROTO_TCP;
	memcpy(f->orig.src, src, 4);
	memcpy(f->orig.dst, dst, 4);
	f->orig.sport = (uint16_t)(1024 + i);
	f->orig.dport = 443;
	flow_invert(&f->orig, f->proto, &f->reply);
	if (i % 2 == 0) {
		memcpy(f->reply.dst, nat, 4);
		f->reply.dport = (uint16_t)(2000 + i + 500 * (s->variant % 8));
	}
	f->status = s->replied ? FLOW_SEEN_REPLY | FLOW_ASSURED : 0;
	f->mark = 7;
	if (f->proto == IPPROTO_TCP) {
		f->tcp_state = s->tcp;
		f->timeout = s->tcp == FLOW_TCP_ESTABLISHED ? 432000 : 120;
	} else
		f->timeout = s->replied ? 120 : 30;
}

static uint32_t
number(const struct flow *f)
{
	return ((uint32_t)f->orig.src[2] << 8 | f->orig.src[3]);
}

/* ---- kernels ---- */

/* SIM_FLOW: tell what happens to this flow. */
static void
trace_flow(const struct simnode *s, uint32_t i, const char *what)
{
	const char *one = getenv("SIM_FLOW");

	if (w.trace && one != NULL && strtoul(one, NULL, 10) == i)
		printf("%lld ms: node %d: %s (tcp %u, kernel %d)\n",
		    (long long)(w.now / MS), (int)(s - w.node), what,
		    s->k[i].f.tcp_state, s->k[i].used);
}

static void
event(struct simnode *s, enum statetbl_ev type, const struct kent *k,
    unsigned int flags)
{
	struct pending *p;

	trace_flow(s, number(&k->f), type == STATETBL_NEW ? "NEW" :
	    type == STATETBL_UPDATE ? "UPDATE" : "DESTROY");
	if (!s->running || (type == STATETBL_NEW && !s->watch_new))
		return;
	if (s->overrun || s->nev == EVENTS_MAX)
		return;
	p = &s->ev[s->nev++];
	memset(p, 0, sizeof(*p));
	p->at = w.now + (int64_t)below(2000) * MONOTIME_USEC;
	if (s->nev > 1 && p->at < s->ev[s->nev - 2].at)
		p->at = s->ev[s->nev - 2].at;
	p->e.type = (uint8_t)type;
	p->e.flags = (uint8_t)flags;
	p->e.f = k->f;
	p->e.f.timeout = (uint32_t)((k->deadline - w.now) / SEC);
	p->e.ctid = k->ctid;
}

static void
kernel_put(struct simnode *s, const struct flow *f)
{
	struct kent *k = &s->k[number(f)];

	k->used = true;
	k->f = *f;
	k->deadline = w.now + (int64_t)f->timeout * SEC;
	k->ctid = ++s->ctid;
}

/* Traffic of flow i through s; false: its table does not know it. */
static bool
traffic(struct simnode *s, uint32_t i)
{
	struct kent *k = &s->k[i];
	struct flow f;

	make_flow(i, &f);
	if (!k->used || memcmp(&k->f.reply, &f.reply, sizeof(f.reply)) != 0)
		return (false);
	w.wish[i].passed = w.now;
	k->deadline = w.now + (int64_t)f.timeout * SEC;
	if (!flow_equal(&k->f, &f)) {
		k->f = f;
		event(s, STATETBL_UPDATE, k, 0);
	}
	return (true);
}

static void
kernel_begin(struct simnode *s, uint32_t i)
{
	struct flow f;

	make_flow(i, &f);
	if (s->k[i].used)
		event(s, STATETBL_DESTROY, &s->k[i], 0);
	w.wish[i].passed = w.now;
	kernel_put(s, &f);
	event(s, STATETBL_NEW, &s->k[i], 0);
}

static void	 pump(int);

/* Its first packet waits: there is no entry yet, but it has its number. */
static void
hold(int n, uint32_t i)
{
	struct simnode *s = &w.node[n];
	struct wish *f = &w.wish[i];
	struct statetbl_event e;

	memset(f->had, 0, sizeof(f->had));
	f->held = true;
	f->held_at = n;
	f->held_due = w.now + DEFER_TIME;
	f->held_ctid = ++s->ctid;
	memset(&e, 0, sizeof(e));
	e.type = STATETBL_NEW;
	make_flow(i, &e.f);
	e.ctid = f->held_ctid;
	(void)statedb_reserve(s->db);
	repl_defer(s->r, &e, i, now());
	done_held++;
	pump(n);
}

/* It goes on, and is seen where there is a daemon. */
static void
let_go(uint32_t i)
{
	struct wish *f = &w.wish[i];
	struct simnode *s = &w.node[f->held_at];
	struct flow is;

	f->held = false;
	make_flow(i, &is);
	if (s->k[i].used)
		event(s, STATETBL_DESTROY, &s->k[i], 0);
	kernel_put(s, &is);
	s->k[i].ctid = f->held_ctid;
	event(s, STATETBL_NEW, &s->k[i], 0);
}

/* What is said to be known elsewhere was put into a kernel there. */
static void
acked(uint32_t i)
{
	const struct wish *f = &w.wish[i];
	int j, had = 0;

	for (j = 0; j < w.n; j++)
		had += j != f->held_at && f->had[j];
	ck_assert_msg(had > 0, "seed %llu: flow %u is acknowledged, and "
	    "nobody has it", (unsigned long long)w.seed, i);
	done_acked++;
}

static void
release(int n)
{
	struct defer_go go;
	uint32_t i;

	while (repl_let_go(w.node[n].r, &go, 1) == 1) {
		i = go.packet;
		if (!w.wish[i].held || w.wish[i].held_at != n)
			continue;
		if (go.why == DEFER_ACKED)
			acked(i);
		let_go(i);
	}
	for (i = 0; i < FLOWS; i++)
		if (w.wish[i].held && w.wish[i].held_at == n &&
		    w.wish[i].held_due <= w.now)
			let_go(i);
}

static void
kernel_end(struct simnode *s, uint32_t i, unsigned int flags)
{
	if (!s->k[i].used)
		return;
	s->k[i].used = false;
	event(s, STATETBL_DESTROY, &s->k[i], flags);
}

static void
age(struct simnode *s)
{
	uint32_t i;

	for (i = 0; i < FLOWS; i++)
		if (s->k[i].used && s->k[i].deadline <= w.now)
			kernel_end(s, i, 0);
}

static void
answer_dump(struct simnode *s, struct kent *k, uint32_t dump)
{
	struct statetbl_event e;

	memset(&e, 0, sizeof(e));
	e.type = k->used ? STATETBL_DUMP : STATETBL_DESTROY;
	e.dump = dump;
	e.f = k->f;
	e.ctid = k->used ? k->ctid : 0;
	e.f.timeout = k->used ? (uint32_t)((k->deadline - w.now) / SEC) : 0;
	must(statedb_reserve(s->db) == 0);
	repl_event(s->r, &e, now());
}

static void
note_had(const struct simnode *s, const struct flow *f)
{
	struct flow is;

	make_flow(number(f), &is);
	if (memcmp(&is.reply, &f->reply, sizeof(is.reply)) == 0)
		w.wish[number(f)].had[s - w.node] = true;
}

static void
kernel_op(struct simnode *s, const struct statetbl_op *op)
{
	struct kent *k = &s->k[number(&op->f)];
	bool same = k->used && memcmp(&k->f.reply, &op->f.reply,
	    sizeof(op->f.reply)) == 0;
	static const char *const names[] = { "put", "replace", "set", "touch",
	    "liberal", "delete", "delete idle", "verify" };

	trace_flow(s, number(&op->f), names[op->type]);
	if (op->type <= STATETBL_TOUCH)
		note_had(s, &op->f);

	switch (op->type) {
	case STATETBL_PUT:
	case STATETBL_SET:
		if (same) {
			k->f = op->f;
			k->deadline = w.now + (int64_t)op->f.timeout * SEC;
		} else
			kernel_put(s, &op->f);
		return;
	case STATETBL_REPLACE:
		kernel_put(s, &op->f);
		return;
	case STATETBL_TOUCH:
		if (k->used)
			k->deadline = w.now + (int64_t)op->f.timeout * SEC;
		else
			kernel_put(s, &op->f);
		return;
	case STATETBL_DELETE:
		if (op->ctid == 0 || op->ctid == k->ctid)
			k->used = false;
		return;
	case STATETBL_DELETE_IDLE:
		if (k->used && (k->deadline - w.now) / SEC >
		    (int64_t)op->f.timeout)
			answer_dump(s, k, 0);
		else
			k->used = false;
		return;
	case STATETBL_VERIFY:
		if (!k->used)
			k->f = op->f;
		answer_dump(s, k, 0);
		return;
	default:
		return;
	}
}

/* ---- daemons ---- */

static struct simnode *
owner(void *arg)
{
	return (arg);
}

static void
hook_noted(uint32_t i, bool gone, void *arg)
{
	struct simnode *s = owner(arg);
	struct statedb_entry *e = statedb_at(s->db, i);

	must(i < 2 * FLOWS);
	s->hint[i].h = gone ? 0 : e->h;
	s->hint[i].hint.carrier = repl_node_id(s->r, e->carrier);
	s->hint[i].hint.value = repl_value(&e->f);
	s->hint[i].hint.stamp = e->stamp;
}

static int
node_of(uint32_t id)
{
	int i;

	for (i = 0; i < w.n && w.node[i].id != id; i++)
		;
	return (i);
}

static void
hook_booted(uint32_t node, uint32_t boot, void *arg)
{
	int i = node_of(node);

	must(i < w.n);
	owner(arg)->boots[i] = boot;
}

static bool
find_hint(uint64_t h, struct repl_hint *hint, void *arg)
{
	struct simnode *s = owner(arg);
	size_t i;

	for (i = 0; i < s->nold; i++)
		if (s->old[i].h == h) {
			*hint = s->old[i].hint;
			hint->boot = hint->carrier == 0 ? 0 :
			    s->old_boots[node_of(hint->carrier)];
			hint->booted = hint->boot != 0;
			return (true);
		}
	return (false);
}

static void
tell_carp(int i)
{
	struct simnode *s = &w.node[i];
	unsigned int masters = 0;
	bool there = carpd_says(i, &masters);

	if (!s->running)
		return;
	repl_carp(s->r, there ? masters : 0, there, now());
	repl_balanced(s->r, w.seed % 4 == 0);
}

static void
start(int i)
{
	static const uint8_t key[16] = "simulated-key-1";
	struct simnode *s = &w.node[i];
	struct repl_hooks hooks = { .noted = hook_noted,
	    .booted = hook_booted, .arg = s };
	struct repl_conf c;
	int k;

	memset(&c, 0, sizeof(c));
	c.node = s->id;
	c.boot = s->boot;
	c.epoch = s->epoch = (uint64_t)(w.now / MS) + 1000000;
	c.clock = c.epoch * 1000;
	c.refresh = 15;
	c.native = true;
	s->seq = 0;
	s->nev = 0;
	s->overrun = false;
	s->dump = 0;
	s->done = 0;
	s->watch_new = true;
	memcpy(s->old, s->hint, sizeof(s->old));
	s->nold = 2 * FLOWS;
	memset(s->hint, 0, sizeof(s->hint));
	memcpy(s->old_boots, s->boots, sizeof(s->boots));
	memset(s->boots, 0, sizeof(s->boots));
	s->db = statedb_new(key);
	statedb_limit(s->db, 2 * FLOWS);
	s->r = repl_new(&c, s->db, &hooks, now());
	for (k = 0; k < w.n; k++)
		if (s->old_boots[k] != 0)
			repl_known(s->r, w.node[k].id, s->old_boots[k], now());
	repl_hints(s->r, find_hint, s);
	s->running = true;
	repl_link(s->r, !w.cut[i], now());
	tell_carp(i);
}

/* What a process holds is lost with it; nobody sends it again. */
static void
drop_held(int n)
{
	uint32_t i;

	for (i = 0; i < FLOWS; i++)
		if (w.wish[i].held && w.wish[i].held_at == n)
			w.wish[i].held = w.wish[i].alive = false;
}

static void
stop(int i)
{
	struct simnode *s = &w.node[i];
	struct repl_status st;

	if (!s->running)
		return;
	repl_status(s->r, &st, now());
	done_claims += st.claims;
	done_repairs += st.repaired_put + st.repaired_del;
	drop_held(i);
	repl_free(s->r);
	statedb_free(s->db);
	s->running = false;
	w.stopped = w.now;
}

static void
reboot(int i)
{
	stop(i);
	memset(w.node[i].k, 0, sizeof(w.node[i].k));
	memset(w.node[i].hint, 0, sizeof(w.node[i].hint));
	memset(w.node[i].boots, 0, sizeof(w.node[i].boots));
	w.node[i].boot++;
}

static void
send_to(int to, const struct packet *p, int64_t delay)
{
	struct packet *q;

	if (w.nwire == WIRE_MAX)
		return;
	q = &w.wire[w.nwire++];
	memcpy(q, p, offsetof(struct packet, data) + p->len);
	q->to = to;
	q->at = w.now + delay;
}

static bool
severed(int i)
{
	return (w.cut[i] || w.silent[i]);
}

static int64_t
delay(void)
{
	return (100 * MONOTIME_USEC +
	    (w.jitter ? (int64_t)below(w.jitter * 1000) * MONOTIME_USEC : 0));
}

static void
transmit(int from)
{
	struct simnode *s = &w.node[from];
	struct packet p;
	struct wbuf b;
	int i, n;

	for (n = 0; n < 64; n++) {
		memset(&p, 0, offsetof(struct packet, data));
		wbuf_init(&b, p.data, sizeof(p.data));
		p.len = repl_packet(s->r, &b, s->seq + 1, now());
		if (p.len == 0)
			return;
		must(wbuf_ok(&b));
		p.node = s->id;
		p.epoch = s->epoch;
		p.seq = ++s->seq;
		done_packets++;
		for (i = 0; i < w.n; i++) {
			if (i == from || severed(i) || severed(from))
				continue;
			if (below(100) >= w.loss)
				send_to(i, &p, delay());
			if (w.dup > 0 && below(100) < w.dup)
				send_to(i, &p, delay());
		}
	}
}

static void
receive(int i, struct packet *p)
{
	struct repl_pkt r;
	size_t off;

	memset(&r, 0, sizeof(r));
	if (!w.node[i].running)
		return;
	/* the trailer's room: native_parse wants to see it behind the TLVs */
	must(native_parse(p->data, p->len, &r.hdr, &r.tlv, &r.tlvlen, &off));
	r.node = p->node;
	r.epoch = p->epoch;
	r.seq = p->seq;
	must(statedb_reserve(w.node[i].db) == 0);
	repl_rx(w.node[i].r, &r, now());
}

static void
run_dump(struct simnode *s)
{
	uint32_t i;

	for (i = 0; i < FLOWS; i++)
		if (s->k[i].used && (s->dump_what == STATETBL_ALL ||
		    s->k[i].f.proto != IPPROTO_TCP))
			answer_dump(s, &s->k[i], s->dump);
	i = s->dump;
	s->dump = 0;
	repl_dumped(s->r, i, true, now());
}

static void
pump(int i)
{
	struct simnode *s = &w.node[i];
	struct statetbl_op op[64];
	size_t n, k;

	if (!s->running || s->asleep > w.now)
		return;
	if (s->overrun && s->nev == 0) {
		s->overrun = false;
		repl_overrun(s->r, now());
	}
	for (n = 0; n < s->nev && s->ev[n].at <= w.now; n++) {
		(void)statedb_reserve(s->db);
		repl_event(s->r, &s->ev[n].e, now());
	}
	s->nev -= n;
	memmove(s->ev, s->ev + n, s->nev * sizeof(s->ev[0]));
	repl_tick(s->r, now());
	must(repl_done(s->r, s->done));
	s->done = 0;
	while ((n = repl_ops(s->r, op, 64, now())) > 0)
		for (k = 0; k < n; k++) {
			kernel_op(s, &op[k]);
			s->done++;
		}
	if (s->dump != 0 && s->dump_at <= w.now)
		run_dump(s);
	if (s->dump == 0 && repl_want_dump(s->r, &s->dump, &s->dump_what,
	    now()))
		s->dump_at = w.now + (int64_t)below(50) * MS;
	s->watch_new = repl_watch_new(s->r);
	transmit(i);
	release(i);
}

/* ---- the world ---- */

static void	 explain(uint64_t seed, const char *what, int i, uint32_t k);

/* Nobody was there to forward a packet of it, for as long as a kernel waits. */
static bool
ran_out(uint32_t i)
{
	struct flow f;

	make_flow(i, &f);
	return (w.now - w.wish[i].passed >= (int64_t)f.timeout * SEC);
}

/* Its firewall does not know it any more: was that to be expected? */
static void
lose(uint32_t i)
{
	struct wish *f = &w.wish[i];

	if (f->known && !ran_out(i)) {
		explain(w.seed, "died", w.master, i);
		ck_abort_msg("seed %llu: flow %u died, which every node knew",
		    (unsigned long long)w.seed, i);
	}
	f->alive = false;
	f->settled = w.now;
	w.lost++;
}

/* Which connections every kernel has, now that trouble begins. */
static void
take_stock(void)
{
	struct flow is;
	uint32_t k;
	int i;

	for (k = 0; k < FLOWS; k++) {
		struct wish *f = &w.wish[k];

		f->known = f->alive && f->tcp == FLOW_TCP_ESTABLISHED &&
		    k % 4 != 0 && w.now - f->settled > SEC;
		/* not an earlier one, of which nobody saw the end */
		make_flow(k, &is);
		for (i = 0; i < w.n; i++)
			if (!w.node[i].k[k].used || memcmp(
			    &w.node[i].k[k].f.reply, &is.reply,
			    sizeof(is.reply)) != 0)
				f->known = false;
	}
}

/* Its kernel forgets it. */
static void
end_flow(uint32_t i)
{
	struct simnode *s = &w.node[place(i)];
	struct wish *f = &w.wish[i];

	if (f->tcp == FLOW_TCP_CLOSE && f->closed > w.stopped &&
	    f->closed_at == place(i) && w.now - f->closed > 50 * MS &&
	    s->k[i].used && s->running && !s->overrun)
		f->ended = w.now;
	f->alive = f->known = false;
	f->settled = w.now;
	kernel_end(s, i, below(4) == 0 ? STATETBL_EV_FOREIGN : 0);
}

/* Something happens to flow i where its packets pass. */
static void
live(uint32_t i)
{
	struct wish *f = &w.wish[i];
	int at = place(i);
	struct simnode *s;

	if (at == -1 || !w.node[at].booted || f->held)
		return;
	s = &w.node[at];
	if (!f->alive) {
		f->alive = true;
		f->ended = 0;
		f->replied = false;
		f->tcp = FLOW_TCP_SYN_SENT;
		f->variant++;
		f->settled = w.now;
		if (w.defer && s->running)
			hold(place(i), i);
		else
			kernel_begin(s, i);
		done_flows++;
		return;
	}
	if (!f->replied) {
		f->replied = true;
		f->tcp = FLOW_TCP_ESTABLISHED;
		f->settled = w.now;
	} else if (f->tcp == FLOW_TCP_CLOSE || below(8) == 0) {
		/* it ends, and the kernel forgets it */
		if (i % 4 == 0 || f->tcp == FLOW_TCP_CLOSE ||
		    below(2) == 0) {
			end_flow(i);
			return;
		}
		/* with words: its node learns whose it is */
		f->tcp = FLOW_TCP_CLOSE;
		f->settled = w.now;
		f->closed = s->running && !s->overrun ? w.now : 0;
		f->closed_at = place(i);
	}
	if (!traffic(s, i))
		lose(i);
}

static void
step_time(int64_t step)
{
	static struct packet now_due;
	size_t k, kept = 0, n = w.nwire;
	int i;

	w.now += step;
	for (k = 0; k < n; k++) {
		struct packet *q = &w.wire[k];
		const size_t len = offsetof(struct packet, data) + q->len;

		if (q->at > w.now || w.node[q->to].asleep > w.now) {
			if (kept != k)
				memcpy(&w.wire[kept], q, len);
			kept++;
			continue;
		}
		memcpy(&now_due, q, len);
		if (!severed(now_due.to))
			receive(now_due.to, &now_due);
	}
	w.nwire = kept;
	for (i = 0; i < w.n; i++)
		pump(i);
}

static void
explain(uint64_t seed, const char *what, int i, uint32_t k)
{
	int j;

	printf("%lld ms: seed %llu: %s: node %d flow %u (alive %d, settled %lld ms "
	    "ago), master %d\n", (long long)(w.now / MS),
	    (unsigned long long)seed, what, i, k,
	    w.wish[k].alive, (long long)((w.now - w.wish[k].settled) / MS),
	    w.master);
	for (j = 0; j < w.n; j++) {
		struct simnode *s = &w.node[j];
		struct flow f;
		uint32_t e;

		make_flow(k, &f);
		if (!s->running) {
			printf("  node %d (%u): kernel %d, no daemon\n", j,
			    s->id, s->k[k].used);
			continue;
		}
		e = statedb_find(s->db, &f, statedb_hash(s->db, &f));
		printf("  node %d (%u): kernel %d tcp %u, entry %d", j, s->id,
		    s->k[k].used, s->k[k].f.tcp_state, e != STATEDB_NONE);
		if (e != STATEDB_NONE) {
			struct statedb_entry *d = statedb_at(s->db, e);

			printf(" carrier %u stamp %llu flags %04x ops %02x "
			    "deadline %u", repl_node_id(s->r, d->carrier),
			    (unsigned long long)d->stamp, d->flags, d->ops,
			    d->deadline);
		}
		printf("\n");
	}
}

/* What is wrong with flow k in the table of i; NULL: it is as the MASTER's. */
static const char *
differs(int i, uint32_t k)
{
	const struct kent *a = &w.node[w.master].k[k], *b = &w.node[i].k[k];

	if (w.wish[k].alive && !b->used)
		return ("missing");
	if (a->used != b->used)
		return ("stale");
	return (a->used && !flow_equal(&a->f, &b->f) ? "different" : NULL);
}

/* All tables are the same and what lives is in them. */
static void
judge(uint64_t seed)
{
	unsigned int bad = 0;
	const char *why;
	uint32_t k;
	int i;

	for (i = 0; i < w.n; i++) {
		why = repl_check(w.node[i].r);
		ck_assert_msg(why == NULL, "seed %llu node %d: %s",
		    (unsigned long long)seed, i, why == NULL ? "" : why);
		for (k = 0; k < FLOWS && bad < 5; k++)
			if ((why = differs(i, k)) != NULL) {
				explain(seed, why, i, k);
				bad++;
			}
	}
	ck_assert_msg(bad == 0, "seed %llu: tables differ",
	    (unsigned long long)seed);
}

static void
world(uint64_t seed, int nodes)
{
	int i;

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	w.trace = getenv("SIM_SEED") != NULL;
	w.rnd = seed * UINT64_C(0x9e3779b97f4a7c15) + 88172645463325252U;
	w.now = 1000 * SEC;
	w.n = nodes;
	w.split = -1;
	for (i = 0; i < nodes; i++) {
		w.node[i].id = 0x1000U + below(1000000) * 4 + (uint32_t)i;
		w.node[i].boot = below(1000000) + 1;
		w.node[i].booted = true;
		start(i);
	}
}

static void
unmake(void)
{
	int i;

	for (i = 0; i < w.n; i++)
		stop(i);
}
