/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A child of pfsyncd that was taken over (hostile.h).  HOSTILE_AS says which:
 * "engine", which is wrong to the parent, "engine-table", the same but wrong
 * to the table process, "table", or "table-engine", wrong to the engine; of the
 * other child HOSTILE_REAL is the program.  An engine makes and changes states
 * of its own choice, well-formed ones, for others end the table process; a
 * table process tells of such, of ends, dumps, held packets and failures that
 * never were.  When all is said it takes back what it can, writes "hostile: N
 * said" and waits for the parent to stop it.
 */
#include <sys/socket.h>
#include <netinet/in.h>

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/monotime.h"
#include "hostile.h"
#include "pfsyncd/msgs.h"

#define CHANNEL		3
#define POOL		2000	/* flows that are asked for again and again */
#define GENERIC		13	/* of say_wrong() */

static struct speaker	 parent = { .tab = pfsyncd_msgs, .ntab = PMSG_MAX };
static struct speaker	 sibling = { .tab = pfsyncd_msgs, .ntab = PMSG_MAX };
static bool		 started, stopping;
static uint32_t		 asked;		/* operations of a real engine */
static uint32_t		 dump;		/* that it asked for last */

static void
parent_said(struct speaker *s, const struct imsg *im)
{
	(void)s;
	if (im->type == PMSG_TABLE_CHANNEL)
		sibling.ib = imsgbuf_new(im->fd);
	else if (im->fd != -1)
		close(im->fd);
	if (im->type == PMSG_CONF || im->type == PMSG_TABLE_START)
		started = true;
	if (im->type == PMSG_STOP)
		stopping = true;
}

static void
engine_said(struct speaker *s, const struct imsg *im)
{
	(void)s;
	if (im->type == PMSG_OPS)
		asked += (uint32_t)(im->len / sizeof(struct statetbl_op));
	if (im->type == PMSG_DUMP)
		dump = ((const struct sync_dump *)im->data)->dump;
}

static bool
is_started(void)
{
	return (started && sibling.ib != NULL);
}

static bool
is_asked(void)
{
	return (dump != 0);
}

static bool
is_stopping(void)
{
	return (stopping);
}

/* ---- states ---- */

static const uint8_t	 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
    IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_DCCP, IPPROTO_GRE,
    IPPROTO_ESP, IPPROTO_TCP };

/* Flow n of the pool: 10.64.0.0/16 or 2001:db8:64::/48, some translated. */
static void
pool_flow(struct flow *f, uint32_t n)
{
	static const uint8_t	 net6[] = { 0x20, 1, 0xd, 0xb8, 0, 0x64 };
	struct flow_tuple	*t = &f->orig;

	memset(f, 0, sizeof(*f));
	f->af = n % 4 == 3 ? 6 : 4;
	f->proto = protos[n % NELEMS(protos)];
	if (f->af == 6) {
		memcpy(t->src, net6, sizeof(net6));
		memcpy(t->dst, net6, sizeof(net6));
		if (f->proto == IPPROTO_ICMP)
			f->proto = IPPROTO_ICMPV6;
	} else {
		memcpy(t->src, "\12\100", 2);
		memcpy(t->dst, "\306\22", 2);
	}
	t->src[f->af == 6 ? 15 : 3] = t->dst[f->af == 6 ? 15 : 3] = 1;
	t->src[f->af == 6 ? 14 : 2] = (uint8_t)(n >> 8);
	if (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6)
		t->dport = f->af == 6 ? 128 << 8 : 8 << 8;
	else if (f->proto != IPPROTO_GRE && f->proto != IPPROTO_ESP)
		t->dport = 80;
	if (t->dport != 0)
		t->sport = (uint16_t)(1024 + n);
	flow_invert(t, f->proto, &f->reply);
	if (n % 3 == 0)
		f->reply.dst[f->af == 6 ? 13 : 1] ^= 1;
}

/* What of it may be anything. */
static void
any_values(struct flow *f)
{
	f->mark = rnd(4) == 0 ? rnd(UINT32_MAX) : 0;
	f->status = rnd(8) & FLOW_STATUS;
	f->timeout = 1 + rnd(rnd(2) == 0 ? 100 : 315360000);
	if (f->proto != IPPROTO_TCP)
		return;
	f->tcp_state = (uint8_t)rnd(FLOW_TCP_MAX + 1);
	f->tcp_flags[0] = (uint8_t)(rnd(16) & FLOW_TCPF_SYNC);
	f->tcp_flags[1] = (uint8_t)(rnd(16) & FLOW_TCPF_SYNC);
	f->wscale[0] = (uint8_t)rnd(15);
	f->wscale[1] = (uint8_t)rnd(15);
}

static void
odd_address(uint8_t a[16], uint8_t af)
{
	static const uint8_t	 v4[][4] = { { 127, 0, 0, 1 },
	    { 255, 255, 255, 255 }, { 224, 0, 0, 18 }, { 172, 16, 0, 202 },
	    { 0, 0, 0, 1 } };

	memset(a, 0, 16);
	rnd_fill(a, af == 6 ? 16 : 4);
	if (rnd(3) == 0)
		memcpy(a, v4[rnd(NELEMS(v4))], 4);
	if (af == 4)
		memset(a + 4, 0, 12);
}

/* Nothing of it belongs together; it is well-formed, and gone in a moment. */
static void
odd_flow(struct flow *f)
{
	do {
		pool_flow(f, rnd(POOL));
		any_values(f);
		odd_address(f->orig.src, f->af);
		odd_address(f->orig.dst, f->af);
		odd_address(f->reply.src, f->af);
		odd_address(f->reply.dst, f->af);
		if (f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP) {
			rnd_fill(&f->orig.sport, 4);
			rnd_fill(&f->reply.sport, 4);
		} else if (rnd(2) == 0 && f->proto == IPPROTO_ESP)
			f->proto = (uint8_t)rnd(256);
		f->zone = (uint16_t)rnd(UINT16_MAX + 1);
		f->timeout = 1;
	} while (flow_check(f, false) != NULL);
}

static void
an_op(struct statetbl_op *op)
{
	memset(op, 0, sizeof(*op));
	op->type = (uint8_t)rnd(STATETBL_OP_MAX);
	op->flags = rnd(4) == 0 ? STATETBL_OP_LIBERAL : 0;
	op->cookie = rnd(UINT32_MAX);
	op->ctid = rnd(4) == 0 ? rnd(UINT32_MAX) : 0;
	op->made = rnd(UINT32_MAX);
	if (rnd(16) == 0) {
		odd_flow(&op->f);
		return;
	}
	pool_flow(&op->f, rnd(POOL));
	any_values(&op->f);
}

static void
say_ops(void)
{
	static struct statetbl_op	 op[SYNC_OPS_MAX];
	uint32_t			 i, n = 1;

	if (rnd(16) == 0)
		n += rnd(SYNC_OPS_MAX);
	for (i = 0; i < n; i++)
		an_op(&op[i]);
	say(&sibling, PMSG_OPS, rnd(UINT32_MAX), op, n * sizeof(op[0]));
}

static void
delete_all(void)
{
	struct statetbl_op	 op;
	uint32_t		 n;

	for (n = 0; n < POOL; n++) {
		memset(&op, 0, sizeof(op));
		op.type = STATETBL_DELETE;
		pool_flow(&op.f, n);
		say(&sibling, PMSG_OPS, 0, &op, sizeof(op));
	}
}

/* ---- everything else ---- */

static void
say_dump(void)
{
	struct sync_dump	 m;

	memset(&m, 0, sizeof(m));
	m.dump = 1 + rnd(UINT32_MAX - 1);
	m.what = rnd(2) == 0 ? STATETBL_ALL : STATETBL_NOT_TCP;
	m.complete = rnd(UINT32_MAX);
	say(&sibling, PMSG_DUMP, 0, &m, sizeof(m));
}

static void
say_watch(void)
{
	struct sync_flag	 m = { .on = rnd(3) };

	say(&sibling, PMSG_WATCH_NEW, 0, &m, sizeof(m));
}

static void
say_hold(void)
{
	struct sync_hold	 m;

	rnd_fill(&m, sizeof(m));
	if (rnd(4) != 0)
		m.why = (uint8_t)rnd(8);
	say(&parent, PMSG_HOLD, 0, &m, sizeof(m));
}

static void
say_rivals(void)
{
	struct sync_vhosts	 m;

	rnd_fill(&m, sizeof(m));
	if (rnd(2) == 0)
		m.who.af = rnd(2) == 0 ? AF_INET : AF_INET6;
	if (rnd(2) == 0)
		m.n = (uint16_t)rnd(SYNC_VHOSTS_MAX + 1);
	if (rnd(2) == 0)
		say(&parent, PMSG_RIVALS, 0, &m, sizeof(m));
	else
		say(&parent, PMSG_WHICH, 0, NULL, 0);
}

static void
say_log(void)
{
	struct sync_log	 m;

	rnd_fill(&m, sizeof(m));
	if (rnd(2) == 0)
		m.pri = (int32_t)rnd(8);
	say(&parent, PMSG_LOG, 0, &m, sizeof(m));
}

static void
engine_something(void)
{
	uint32_t	 r = rnd(1000);

	if (r < 600)
		say_ops();
	else if (r < 610)
		say_watch();
	else if (r < 650)
		say(&sibling, PMSG_WANT_STATS, 0, NULL, 0);
	else if (r < 655)
		say_dump();
	else if (r < 660)
		say_descriptors(&sibling, PMSG_WANT_STATS);
	else if (r < 820)
		say_hold();
	else if (r < 850)
		say_rivals();
	else if (r < 950)
		say(&parent, PMSG_READY, rnd(UINT32_MAX), NULL, 0);
	else if (r < 970)
		say(&parent, PMSG_STOPPED, 0, NULL, 0);
	else if (r < 985)
		say_descriptors(&parent, PMSG_READY);
	else if (r < 997)
		say_log();
	else
		say(&parent, PMSG_RELOAD, rnd(UINT32_MAX), NULL, 0);
}

/* ---- a table process ---- */

static void
an_event(struct statetbl_event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->type = (uint8_t)rnd(STATETBL_EV_MAX);
	ev->flags = (uint8_t)rnd(256);
	ev->ctid = rnd(4);
	ev->dump = rnd(4) == 0 ? rnd(UINT32_MAX) : rnd(2) == 0 ? dump : 0;
	ev->made = rnd(2) == 0 ? rnd(UINT32_MAX) :
	    (uint32_t)(monotime_now().ns / MONOTIME_MSEC) - rnd(700000);
	pool_flow(&ev->f, rnd(POOL));
	any_values(&ev->f);
	if (rnd(16) == 0)
		ev->f.timeout = 0;
}

/* How many records in a message. */
static uint32_t
many(uint32_t max)
{
	return (1 + (rnd(16) == 0 ? rnd(max) : 0));
}

/* Events of the pool; or of a flow that is gone again in the same message. */
static void
say_events(void)
{
	static struct statetbl_event	 ev[SYNC_EVENTS_MAX];
	uint32_t			 i, n = many(SYNC_EVENTS_MAX);

	for (i = 0; i < n; i++)
		an_event(&ev[i]);
	if (n > 1 && rnd(4) == 0) {
		odd_flow(&ev[n - 2].f);
		ev[n - 1] = ev[n - 2];
		ev[n - 1].type = STATETBL_DESTROY;
	}
	say(&sibling, PMSG_EVENTS, rnd(UINT32_MAX), ev, n * sizeof(ev[0]));
}

static void
say_results(void)
{
	static struct statetbl_result	 r[SYNC_RESULTS_MAX];
	uint32_t			 i, n = many(SYNC_RESULTS_MAX);

	for (i = 0; i < n; i++) {
		rnd_fill(&r[i], sizeof(r[i]));
		r[i].error = (uint8_t)rnd(STATETBL_ERROR_MAX);
		pool_flow(&r[i].f, rnd(POOL));
		if (rnd(4) != 0)
			pool_flow(&r[i].other, rnd(POOL));
	}
	say(&sibling, PMSG_RESULTS, rnd(UINT32_MAX), r, n * sizeof(r[0]));
}

static void
say_held(void)
{
	static struct pktq_packet	 p[SYNC_HELD_MAX];
	uint32_t			 i, n = many(SYNC_HELD_MAX);

	for (i = 0; i < n; i++) {
		memset(&p[i], 0, sizeof(p[i]));
		pool_flow(&p[i].f, rnd(POOL));
		any_values(&p[i].f);
		p[i].id = rnd(200);
		p[i].ctid = rnd(4);
	}
	say(&sibling, PMSG_HELD, rnd(UINT32_MAX), p, n * sizeof(p[0]));
}

/* Any number of those that were asked for, before their results or after. */
static void
say_done(void)
{
	struct sync_done	 m = { .n = rnd(asked + 1) };

	asked -= m.n;
	say(&sibling, PMSG_DONE, 0, &m, sizeof(m));
}

static void
say_dumped(void)
{
	struct sync_dump	 m;

	rnd_fill(&m, sizeof(m));
	if (rnd(2) == 0)
		m.dump = dump;
	if (rnd(2) == 0)
		m.complete = 0;
	say(&sibling, PMSG_DUMPED, 0, &m, sizeof(m));
}

static void
say_stats(void)
{
	struct sync_stats	 m;

	rnd_fill(&m, sizeof(m));
	say(&sibling, PMSG_STATS, 0, &m, sizeof(m));
}

static void
table_something(bool endless)
{
	uint32_t	 r = rnd(1000);

	hear_now(&sibling);
	if (r < 500)
		say_events();
	else if (r < 650)
		say_results();
	else if (r < 750)
		say_held();
	else if (r < 900 && !endless)
		say_done();
	else if (r < 920 && !endless)
		say_dumped();
	else if (r < 940)
		say(&sibling, PMSG_OVERRUN, 0, NULL, 0);
	else if (r < 970)
		say_stats();
	else if (r < 975)
		say_descriptors(&sibling, PMSG_OVERRUN);
	else if (r < 980)
		say_descriptors(&parent, PMSG_READY);
	else if (r < 990)
		say(&parent, PMSG_READY, rnd(UINT32_MAX), NULL, 0);
	else
		say_log();
}

/* The kernel has none of them. */
static void
destroy_all(void)
{
	struct statetbl_event	 ev;
	uint32_t		 n;

	for (n = 0; n < POOL; n++) {
		memset(&ev, 0, sizeof(ev));
		ev.type = STATETBL_DESTROY;
		ev.flags = STATETBL_EV_FOREIGN;
		pool_flow(&ev.f, n);
		say(&sibling, PMSG_EVENTS, 0, &ev, sizeof(ev));
	}
}

/* ---- records that are none: a good one before it must not count either ---- */

static bool
bad_op(struct statetbl_op *op, uint32_t which)
{
	struct flow	*f = &op->f;

	switch (which) {
	case 0: op->type = STATETBL_OP_MAX; return (true);
	case 1: op->flags = 0x80; return (true);
	case 2: op->pad[1] = 1; return (true);
	case 3: f->af = 5; return (true);
	case 4: f->timeout = 0; return (true);
	case 5: f->timeout = UINT32_MAX; return (true);
	case 6: f->wscale[1] = 15; return (true);
	case 7: f->tcp_state = FLOW_TCP_MAX + 1; return (true);
	case 8: f->tcp_flags[0] = 0xff; return (true);
	case 9: f->status = 1 << 3; return (true);
	case 10: memset(f->orig.dst, 0, sizeof(f->orig.dst)); return (true);
	case 11: f->reply.src[15] = 1; return (true);
	case 12: f->proto = IPPROTO_ICMPV6; return (true);
	case 13: f->pad[0] = 1; return (true);
	default: return (false);
	}
}

static bool
say_bad_ops(uint32_t which)
{
	struct statetbl_op	 op[2];
	uint32_t		 i;

	memset(op, 0, sizeof(op));
	for (i = 0; i < NELEMS(op); i++) {
		op[i].type = STATETBL_PUT;
		pool_flow(&op[i].f, 40 * i);	/* TCP, IPv4 */
		op[i].f.timeout = 600;
		op[i].f.tcp_state = FLOW_TCP_ESTABLISHED;
	}
	if (bad_op(&op[1], which))
		say(&sibling, PMSG_OPS, 0, op, sizeof(op));
	else if (which == 14)
		say(&sibling, PMSG_OPS, 0, op, sizeof(op) - 1);
	else if (which == 15)
		say(&sibling, PMSG_OPS, 0, op, 0);
	else
		return (false);
	return (true);
}

/* What no table process says, though each record is well-formed or nearly. */
static bool
say_bad_answer(uint32_t which)
{
	struct statetbl_event	 ev[2];
	struct statetbl_result	 r;
	struct pktq_packet	 p;
	struct sync_done	 done = { .n = asked + 1 };

	an_event(&ev[0]);
	an_event(&ev[1]);
	memset(&r, 0, sizeof(r));
	memset(&p, 0, sizeof(p));
	pool_flow(&r.f, 0);
	pool_flow(&p.f, 0);
	p.f.timeout = 1;
	switch (which) {
	case 0: ev[1].type = STATETBL_EV_MAX; break;
	case 1: ev[1].f.af = 5; break;
	case 2: ev[1].f.tcp_state = FLOW_TCP_MAX + 1; break;
	case 3: ev[1].f.pad[0] = 1; break;
	case 4:
		say(&sibling, PMSG_EVENTS, 0, ev, sizeof(ev) - 1);
		return (true);
	case 5: r.error = STATETBL_ERROR_MAX; break;
	case 6: r.f.wscale[0] = 15; break;
	case 7: p.f.timeout = 0; break;
	case 8:
		say(&sibling, PMSG_DONE, 0, &done, sizeof(done));
		return (true);
	case 9:
		done.n = UINT32_MAX;
		say(&sibling, PMSG_DONE, 0, &done, sizeof(done));
		return (true);
	default: return (false);
	}
	if (which < 5)
		say(&sibling, PMSG_EVENTS, 0, ev, sizeof(ev));
	else if (which < 7)
		say(&sibling, PMSG_RESULTS, 0, &r, sizeof(r));
	else
		say(&sibling, PMSG_HELD, 0, &p, sizeof(p));
	return (true);
}

static bool
wrong(const char *as, uint32_t which)
{
	if (strchr(as, '-') == NULL)
		return (say_wrong(&parent, which));
	if (which < GENERIC)
		return (say_wrong(&sibling, which));
	return (strcmp(as, "engine-table") == 0 ?
	    say_bad_ops(which - GENERIC) : say_bad_answer(which - GENERIC));
}

static void
storm(const struct order *o)
{
	bool		 engine = sibling.from == MSG_FROM_ENGINE;
	uint32_t	 i;

	for (i = 0; i < o->n; i++) {
		if (engine)
			engine_something();
		else
			table_something(o->endless);
	}
	if (engine)
		delete_all();
	else
		destroy_all();
	printf("hostile: %u said\n", o->n);
	fflush(stdout);
}

int
main(int argc, char *argv[])
{
	const char	*as = getenv("HOSTILE_AS");
	struct order	 o = order_read();

	if (as == NULL || argc < 2)
		errx(1, "HOSTILE_AS, and an option");
	if ((argv[1][1] == 'T') != (strncmp(as, "table", 5) == 0)) {
		execv(getenv("HOSTILE_REAL"), argv);
		err(1, "HOSTILE_REAL");
	}
	parent.ib = imsgbuf_new(CHANNEL);
	parent.from = argv[1][1] == 'T' ? MSG_FROM_TABLE : MSG_FROM_ENGINE;
	parent.heard = parent_said;
	sibling.from = parent.from;
	if (sibling.from == MSG_FROM_TABLE)
		sibling.heard = engine_said;
	hear_until(&parent, is_started);
	say(&parent, PMSG_READY, 0, NULL, 0);
	/* before that it does not listen */
	if (strcmp(as, "table-engine") == 0)
		hear_until(&sibling, is_asked);
	if (o.wrong && !wrong(as, o.n))
		errx(1, "no wrong message %u", o.n);
	parent.deaf = sibling.deaf = o.deaf;
	if (!o.wrong)
		storm(&o);
	parent.deaf = sibling.deaf = false;
	hear_until(&parent, is_stopping);
	say(&parent, PMSG_STOPPED, 0, NULL, 0);
	return (0);
}
