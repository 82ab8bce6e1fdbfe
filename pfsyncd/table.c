/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The table process: the only one that may touch the packet filter's state
 * table, and nothing else.  It knows no network and decides nothing: what
 * changed goes to the engine, what the engine asks for goes to the table, both
 * in batches.  First packets that the packet filter hands to us (`defer yes')
 * it knows by their flow alone; it holds them until the engine says that they
 * may go, but not for longer than DEFER_TIME.  The engine faces the network,
 * so it is taken for hostile: every record is checked here, and a wrong one
 * ends this process.
 */
#include <sys/types.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/channel.h"
#include "../common/ev.h"
#include "../common/log.h"
#include "../common/monotime.h"
#include "../common/os/sandbox.h"
#include "defer.h"
#include "msgs.h"
#include "os/pktq.h"
#include "os/statetbl.h"
#include "pfsyncd.h"

#define READ_MAX	512		/* events a round, then others' turn */
#define READ_FEW	64		/* fewer are not worth a wake-up */
#define READ_BUSY	MONOTIME_MSEC	/* rounds that follow each other */
#define READ_WAIT	(MONOTIME_MSEC / 2)	/* that long, for more */

/*
 * Queued to the engine: above HIGH nothing is read, and the kernel keeps the
 * events, until it is below LOW.  Answers to operations go on: the engine does
 * not ask for more of them than it can take, or is not our engine.
 */
#define QUEUE_HIGH	(512 * 1024)
#define QUEUE_LOW	(128 * 1024)
#define QUEUE_MAX	(4 * 1024 * 1024)
#define QUEUE_WAIT	MONOTIME_MSEC

struct table {
	struct channel	*parent, *engine;
	int		 engine_fd;	/* until we are started */
	bool		 started;
	bool		 defers;
	uint32_t	 eventbuf;
	struct statetbl	*tbl;
	struct ev_fd	*event_ev, *dump_ev;
	struct ev_timer	*timer;		/* next round, or look at the queue */
	monotime_t	 read_at;
	bool		 held;		/* the engine is behind */
	uint32_t	 dump_what;
	size_t		 nevents, nresults;
	struct sync_events events;
	struct sync_results results;
	struct pktq	*pktq;		/* NULL: defer no */
	struct defer	 defer;
	struct ev_timer	*overdue;
	size_t		 npackets;
	struct sync_held packets;
};

/* ---- to the engine ---- */

static void
to_engine(struct table *t, uint32_t type, const void *data, size_t len)
{
	if (channel_send(t->engine, type, 0, -1, data, len) == 0)
		return;
	if (errno == ENOBUFS)
		fatalx("the engine does not read");
	/* else it is gone, and the channel will say so */
}

static void
flush_events(struct table *t)
{
	if (t->nevents == 0)
		return;
	to_engine(t, PMSG_EVENTS, t->events.e,
	    t->nevents * sizeof(t->events.e[0]));
	t->nevents = 0;
}

static void
flush_results(struct table *t)
{
	if (t->nresults == 0)
		return;
	to_engine(t, PMSG_RESULTS, t->results.r,
	    t->nresults * sizeof(t->results.r[0]));
	t->nresults = 0;
}

static void
table_event(const struct statetbl_event *e, void *arg)
{
	struct table *t = arg;

	t->events.e[t->nevents++] = *e;
	if (t->nevents == SYNC_EVENTS_MAX)
		flush_events(t);
}

static void
table_result(const struct statetbl_result *r, void *arg)
{
	struct table *t = arg;

	t->results.r[t->nresults++] = *r;
	if (t->nresults == SYNC_RESULTS_MAX)
		flush_results(t);
}

/* What was read before goes before. */
static void
table_overrun(void *arg)
{
	struct table *t = arg;

	flush_events(t);
	to_engine(t, PMSG_OVERRUN, NULL, 0);
}

static void
table_dumped(uint32_t dump, bool complete, void *arg)
{
	struct table *t = arg;
	struct sync_dump m;

	flush_events(t);
	memset(&m, 0, sizeof(m));
	m.dump = dump;
	m.what = t->dump_what;
	m.complete = complete;
	to_engine(t, PMSG_DUMPED, &m, sizeof(m));
}

/* ---- reading the table ---- */

static size_t
queued(const struct table *t)
{
	return (imsgbuf_queued(channel_imsgbuf(t->engine)));
}

static void
want(struct table *t, bool events, bool dumps)
{
	ev_fd_want(t->event_ev, events ? EV_IN : 0);
	ev_fd_want(t->dump_ev, dumps ? EV_IN : 0);
}

/* true: the engine is behind, and nothing is read until it is not. */
static bool
hold(struct table *t)
{
	if (queued(t) < (t->held ? QUEUE_LOW : QUEUE_HIGH)) {
		if (t->held)
			want(t, true, true);
		t->held = false;
		return (false);
	}
	if (!t->held)
		want(t, false, false);
	t->held = true;
	ev_timer_at(t->timer, monotime_add(monotime_now(), QUEUE_WAIT));
	return (true);
}

/*
 * Events come one by one; each would wake us, and us the engine.  When rounds
 * follow each other closely and bring little, we wait instead.
 */
static void
read_round(struct table *t)
{
	monotime_t now;
	size_t n;
	bool wait;

	n = statetbl_read(t->tbl, READ_MAX);
	flush_events(t);
	if (hold(t))
		return;
	now = monotime_now();
	wait = n > 0 && n < READ_FEW &&
	    monotime_sub(now, t->read_at) < READ_BUSY;
	t->read_at = now;
	want(t, !wait, true);
	if (wait)
		ev_timer_at(t->timer, monotime_add(now, READ_WAIT));
}

static void
event_readable(int fd, int what, void *arg)
{
	(void)fd;
	(void)what;
	read_round(arg);
}

static void
timer_cb(void *arg)
{
	struct table *t = arg;

	if (!t->held || !hold(t))
		read_round(t);
}

static void
dump_readable(int fd, int what, void *arg)
{
	struct table *t = arg;

	(void)fd;
	(void)what;
	statetbl_dump_read(t->tbl);
	flush_events(t);
	(void)hold(t);
}

/* ---- first packets ---- */

/* What is not held any more has gone in time. */
static void
release(struct table *t, const struct defer_go *go)
{
	if (defer_release(&t->defer, go))
		pktq_pass(t->pktq, go->packet);
}

/* The engine has them; or is behind, and they go on as without us. */
static void
flush_held(struct table *t)
{
	size_t i, n = t->npackets;

	t->npackets = 0;
	if (n == 0)
		return;
	if (queued(t) < QUEUE_HIGH) {
		to_engine(t, PMSG_HELD, t->packets.p,
		    n * sizeof(t->packets.p[0]));
		return;
	}
	for (i = 0; i < n; i++)
		release(t, &(struct defer_go){ t->packets.p[i].id,
		    DEFER_FULL });
}

static void
packet(const struct pktq_packet *p, void *arg)
{
	struct table *t = arg;

	if (!defer_hold(&t->defer, p->id, monotime_now())) {
		pktq_pass(t->pktq, p->id);
		return;
	}
	t->packets.p[t->npackets++] = *p;
	if (t->npackets == SYNC_HELD_MAX)
		flush_held(t);
}

static void
packet_readable(int fd, int what, void *arg)
{
	struct table *t = arg;

	(void)fd;
	(void)what;
	(void)pktq_read(t->pktq, READ_MAX);
	flush_held(t);
	pktq_flush(t->pktq);
	ev_timer_at(t->overdue, defer_next(&t->defer));
}

static void
overdue_cb(void *arg)
{
	struct table *t = arg;
	uint32_t id;

	while (defer_overdue(&t->defer, monotime_now(), &id))
		pktq_pass(t->pktq, id);
	pktq_flush(t->pktq);
	ev_timer_at(t->overdue, defer_next(&t->defer));
}

static void
got_let_go(struct table *t, const struct imsg *im)
{
	const struct defer_go *go = im->data;
	size_t i, n = im->len / sizeof(*go);

	if (t->pktq == NULL || n == 0 || im->len % sizeof(*go) != 0)
		fatalx("packets of the engine: none are held, or wrong size");
	for (i = 0; i < n; i++)
		if (go[i].why >= DEFER_WHY_MAX)
			fatalx("packets of the engine: wrong values");
	for (i = 0; i < n; i++)
		release(t, &go[i]);
	pktq_flush(t->pktq);
}

static void
open_pktq(struct table *t)
{
	const char *why;

	if (!t->defers)
		return;
	if ((t->pktq = pktq_open(packet, t, &why)) == NULL)
		fatalx("defer yes: %s", why);
	(void)ev_fd_new(pktq_fd(t->pktq), EV_IN, packet_readable, t);
}

/* What is held goes on. */
static void
leave(struct table *t)
{
	pktq_close(t->pktq);
	exit(0);
}

/* ---- from the engine ---- */

static const char *
op_check(const struct statetbl_op *op)
{
	static const uint8_t zero[sizeof(op->pad)];
	bool sets;

	if (op->type >= STATETBL_OP_MAX)
		return ("unknown operation");
	if ((op->flags & ~STATETBL_OP_LIBERAL) != 0 ||
	    memcmp(op->pad, zero, sizeof(zero)) != 0)
		return ("unknown flags");
	sets = op->type == STATETBL_PUT || op->type == STATETBL_REPLACE ||
	    op->type == STATETBL_SET || op->type == STATETBL_TOUCH;
	return (flow_check(&op->f, !sets));
}

/*
 * It waited on its way, while timeouts went on: what is put into the kernel
 * late would look as if traffic had renewed it.
 */
static void
age_op(struct statetbl_op *op, uint32_t now)
{
	uint32_t waited = (now - op->made) / 1000;

	if (waited == 0 || waited > 3600)
		return;
	op->f.timeout = op->f.timeout > waited ? op->f.timeout - waited : 1;
}

static void
got_ops(struct table *t, const struct imsg *im)
{
	static struct statetbl_op op[SYNC_OPS_MAX];
	struct sync_done done;
	uint32_t now = (uint32_t)(monotime_now().ns / MONOTIME_MSEC);
	const char *why;
	size_t i, n = im->len / sizeof(*op);

	if (n == 0 || n > SYNC_OPS_MAX || im->len % sizeof(*op) != 0)
		fatalx("operations from the engine: wrong size");
	memcpy(op, im->data, im->len);
	for (i = 0; i < n; i++) {
		if ((why = op_check(&op[i])) != NULL)
			fatalx("operation from the engine: %s", why);
		age_op(&op[i], now);
	}
	statetbl_ops(t->tbl, op, n);
	flush_events(t);
	flush_results(t);
	memset(&done, 0, sizeof(done));
	done.n = (uint32_t)n;
	to_engine(t, PMSG_DONE, &done, sizeof(done));
}

/* One that cannot be had ends at once, incomplete. */
static void
got_dump(struct table *t, const struct sync_dump *m)
{
	if (m->dump == 0 || (m->what != STATETBL_ALL &&
	    m->what != STATETBL_NOT_TCP))
		fatalx("dump for the engine: wrong values");
	if (statetbl_dump(t->tbl, m->dump, m->what) == 0) {
		t->dump_what = m->what;
		return;
	}
	log_warn("dump of the state table");
	table_dumped(m->dump, false, t);
}

static void
got_want_stats(struct table *t)
{
	struct sync_stats s;

	memset(&s, 0, sizeof(s));
	statetbl_stats(t->tbl, &s.tbl);
	s.acked = t->defer.acked;
	s.timed_out = t->defer.timed_out;
	s.overflow = t->defer.overflow;
	to_engine(t, PMSG_STATS, &s, sizeof(s));
}

static void
engine_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct table *t = arg;
	const struct sync_flag *flag = im->data;
	const char *bad;

	(void)c;
	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_ENGINE);
	if (bad != NULL)
		fatalx("message %u from the engine: %s", im->type, bad);
	switch (im->type) {
	case PMSG_OPS:
		got_ops(t, im);
		return;
	case PMSG_DUMP:
		got_dump(t, im->data);
		return;
	case PMSG_WATCH_NEW:
		statetbl_watch_new(t->tbl, flag->on != 0);
		return;
	case PMSG_WANT_STATS:
		got_want_stats(t);
		return;
	case PMSG_LET_GO:
		got_let_go(t, im);
		return;
	default:
		fatalx("message %u from the engine: not for us", im->type);
	}
}

static void
engine_gone(struct channel *c, const char *why, void *arg)
{
	(void)c;
	log_debug("lost the engine: %s", why);
	leave(arg);
}

/* ---- from the parent ---- */

static void
open_table(struct table *t)
{
	const struct statetbl_cbs cbs = { table_event, table_result,
	    table_overrun, table_dumped, t };

	if ((t->tbl = statetbl_open(t->eventbuf, &cbs)) == NULL)
		fatal("state table");
	t->event_ev = ev_fd_new(statetbl_event_fd(t->tbl), EV_IN,
	    event_readable, t);
	t->dump_ev = ev_fd_new(statetbl_dump_fd(t->tbl), EV_IN, dump_readable,
	    t);
}

/* With the configuration and the engine's end of the channel. */
static void
start(struct table *t)
{
	if (!t->started || t->engine_fd == -1)
		return;
	t->engine = channel_new(t->engine_fd, engine_msg, engine_gone, t);
	t->engine_fd = -1;
	imsgbuf_limit(channel_imsgbuf(t->engine), QUEUE_MAX);
	open_table(t);
	open_pktq(t);
	if (channel_send(t->parent, PMSG_READY, 0, -1, NULL, 0) == -1)
		log_debug("message to the parent: %s", strerror(errno));
}

static void
parent_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct table *t = arg;
	const char *bad;

	(void)c;
	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_PARENT);
	if (bad != NULL)
		fatalx("message %u from the parent: %s", im->type, bad);
	switch (im->type) {
	case PMSG_TABLE_START:
		if (t->started)
			fatalx("a second start");
		t->started = true;
		t->eventbuf = ((const struct config *)im->data)->eventbuf;
		t->defers = ((const struct config *)im->data)->defer != 0;
		start(t);
		return;
	case PMSG_TABLE_CHANNEL:
		if (t->engine != NULL || t->engine_fd != -1)
			fatalx("a second engine");
		t->engine_fd = im->fd;
		start(t);
		return;
	default:
		fatalx("message %u from the parent: not for us", im->type);
	}
}

static void
parent_gone(struct channel *c, const char *why, void *arg)
{
	(void)c;
	(void)why;
	leave(arg);
}

/* ---- the process ---- */

static void
log_to_parent(int pri, const char *line, void *arg)
{
	struct table *t = arg;
	struct sync_log m;

	memset(&m, 0, sizeof(m));
	m.pri = pri;
	(void)strlcpy(m.line, line, sizeof(m.line));
	(void)channel_send(t->parent, PMSG_LOG, 0, -1, &m, sizeof(m));
}

/* They are for the parent, whose end is ours. */
static void
ignore_signals(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM,
	    SIGUSR1, SIGUSR2, SIGPIPE };
	size_t i;

	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)signal(signals[i], SIG_IGN);
}

void
table_main(int fd, const char *user, int verbose)
{
	struct table *t;
	struct passwd *pw;

	ignore_signals();
	log_procinit("table");
	log_setverbose(verbose);
	if ((pw = getpwnam(user)) == NULL)
		fatalx("unknown user %s", user);
	ev_init();
	if ((t = calloc(1, sizeof(*t))) == NULL)
		fatal("calloc");
	t->engine_fd = -1;
	t->timer = ev_timer_new(timer_cb, t);
	t->overdue = ev_timer_new(overdue_cb, t);
	t->parent = channel_new(fd, parent_msg, parent_gone, t);
	log_set_sink(log_to_parent, t);
	sandbox_enter(SANDBOX_PFSYNCD_TABLE, pw->pw_uid, pw->pw_gid);
	setproctitle("table");
	ev_loop();
	exit(0);
}
