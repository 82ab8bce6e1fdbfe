/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine's answers to carpctl(8).
 */
#include <string.h>
#include <time.h>

#include "../common/log.h"
#include "engine.h"

static void
ok(struct control_client *cl)
{
	control_reply(cl, PMSG_CTL_OK, NULL, 0);
	control_reply(cl, PMSG_CTL_END, NULL, 0);
}

static void
fail(struct control_client *cl, const char *text)
{
	control_reply(cl, PMSG_CTL_FAIL, text, strlen(text));
	control_reply(cl, PMSG_CTL_END, NULL, 0);
}

static uint64_t
us(int64_t ns)
{
	return (ns > 0 ? (uint64_t)(ns / MONOTIME_USEC) : 0);
}

static uint64_t
ms_since(monotime_t t, monotime_t now)
{
	return (monotime_isset(t) ? (uint64_t)(monotime_sub(now, t) /
	    MONOTIME_MSEC) : UINT64_MAX);
}

static void
show_global(struct engine *e, struct control_client *cl, monotime_t now)
{
	struct repl_status s;
	struct sync_show m;

	repl_status(e->repl, &s, now);
	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.syncdev, e->conf.syncdev, sizeof(m.syncdev));
	m.syncpeer = e->sock_info.dst;
	if (m.syncpeer.af == 0 && e->conf.has_peer)
		m.syncpeer = e->conf.syncpeer;
	m.now = (uint64_t)time(NULL);
	m.uptime_ms = ms_since(e->started, now);
	m.node = e->start.node;
	m.dialects = e->conf.dialects;
	m.maxupd = e->conf.maxupd;
	m.mtu = e->sock != NULL ? e->sock_info.mtu : 0;
	m.link = e->link && e->sock != NULL;
	m.auth = e->conf.auth.policy;
	m.keyid = auth_active(e->auth);
	m.carp = e->carp;
	m.masters = (uint8_t)e->masters;
	m.splits = e->splits;
	m.holding = e->told.why != HOLD_NONE;
	(void)strlcpy(m.hold_reason, hold_reason_names[e->told.why],
	    sizeof(m.hold_reason));
	m.bulk = (uint8_t)s.bulk;
	if ((e->conf.dialects & (1U << DIALECT_NATIVE)) == 0 &&
	    e->pfdial != NULL)
		m.bulk = (uint8_t)pfdial_bulk_state(e->pfdial);
	m.states_local = s.local;
	m.states_remote = s.remote;
	m.states_young = s.young;
	m.states_missing = s.missing;
	m.states_ended = s.ends;
	m.full = s.full;
	m.memory = statedb_bytes(e->db);
	m.tx_queue = s.tx_queue;
	m.op_queue = s.op_queue;
	m.lag_us = us(s.lag);
	m.lag_max_us = us(s.lag_max);
	m.bulk_have = s.bulk_have;
	m.bulk_want = s.bulk_want;
	m.bulk_eta_ms = s.bulk_eta < 0 ? UINT64_MAX :
	    (uint64_t)(s.bulk_eta / MONOTIME_MSEC);
	m.kernel_count = e->stats.tbl.count;
	m.kernel_max = e->stats.tbl.max;
	m.mismatching = s.mismatching;
	if (e->senderr != 0 && monotime_sub(now, e->senderr_at) <
	    ENGINE_SENDERR_TIME)
		m.senderr = e->senderr;
	control_reply(cl, PMSG_CTL_SYNC, &m, sizeof(m));
}

static void
show_peers(struct engine *e, struct control_client *cl, monotime_t now)
{
	struct sync_peer_info m;
	struct repl_peer p;
	size_t i;

	for (i = 0; repl_peer(e->repl, i, &p, now); i++) {
		memset(&m, 0, sizeof(m));
		m.node = p.node;
		m.dialect = p.native ? DIALECT_NATIVE : DIALECT_OPENBSD;
		m.mtu = p.mtu;
		m.alive = p.alive;
		m.in_sync = p.in_sync;
		m.starting = p.starting;
		m.master = p.master;
		m.auth = (uint8_t)(p.native ? p.auth : AUTH_NONE);
		m.keyid = p.keyid;
		m.sealed = p.sealed;
		m.heard_ms = ms_since(p.heard, now);
		m.carries = p.carries;
		m.have = p.have;
		m.mismatching = p.mismatching;
		m.packets = p.packets;
		m.lost = p.lost;
		m.lag_us = us(p.lag);
		m.since_sync_ms = ms_since(p.synced, now);
		m.addr = p.addr;
		control_reply(cl, PMSG_CTL_PEER, &m, sizeof(m));
	}
}

static void
show_strangers(struct engine *e, struct control_client *cl, monotime_t now)
{
	const struct stranger *s;
	struct sync_stranger m;
	size_t i;

	for (i = 0; (s = strangers_get(&e->strangers, i, now)) != NULL; i++) {
		memset(&m, 0, sizeof(m));
		m.addr = s->addr;
		m.why = s->why;
		m.packets = s->packets;
		m.heard_ms = ms_since(s->heard, now);
		control_reply(cl, PMSG_CTL_STRANGER, &m, sizeof(m));
	}
}

static void
counter(struct control_client *cl, const char *name, uint64_t value)
{
	struct sync_counter m;

	memset(&m, 0, sizeof(m));
	(void)strlcpy(m.name, name, sizeof(m.name));
	m.value = value;
	control_reply(cl, PMSG_CTL_COUNTER, &m, sizeof(m));
}

/* Messages of the pf dialects by their action. */
static void
show_pf_counters(const struct pfdial *d, struct control_client *cl)
{
	char name[sizeof(((struct sync_counter *)0)->name)];
	size_t i;

	for (i = PFSYNC_K_NONE + 1; i < PFSYNC_KINDS; i++) {
		(void)snprintf(name, sizeof(name), "pf_in_%s",
		    pfsync_kind_names[i]);
		counter(cl, name, pfdial_in(d)[i]);
		(void)snprintf(name, sizeof(name), "pf_out_%s",
		    pfsync_kind_names[i]);
		counter(cl, name, pfdial_out(d)[i]);
	}
	counter(cl, "pf_lost", pfdial_lost(d));
}

static void
show_counters(struct engine *e, struct control_client *cl, monotime_t now)
{
	const struct statetbl_stats *t = &e->stats.tbl;
	struct repl_status s;
	size_t i;

	repl_status(e->repl, &s, now);
	for (i = 0; i < PFSYNC_C_MAX; i++)
		counter(cl, pfsync_counter_names[i], e->count[i] +
		    (i == PFSYNC_C_STALE ? s.stale : 0) +
		    (i == PFSYNC_C_REPLAY ? s.replay : 0) +
		    (i == PFSYNC_C_BADVAL ? s.refused : 0));
	counter(cl, "malformed", e->sock_bad);
	counter(cl, "other_dialect", e->other_dialect);
	counter(cl, "unproven", e->unproven);
	counter(cl, "claims", s.claims);
	counter(cl, "adopted", s.adopted);
	counter(cl, "clashes", s.clashes);
	counter(cl, "throttled", s.throttled);
	counter(cl, "restored", s.restored);
	counter(cl, "repaired_put", s.repaired_put);
	counter(cl, "repaired_del", s.repaired_del);
	counter(cl, "ends_lost", s.ends_lost);
	counter(cl, "deferred", e->stats.acked + e->stats.timed_out);
	counter(cl, "defer_acked", e->stats.acked);
	counter(cl, "defer_timed_out", e->stats.timed_out);
	counter(cl, "defer_overflow", e->stats.overflow);
	counter(cl, "kernel_events", t->events);
	counter(cl, "kernel_overruns", t->overruns);
	counter(cl, "kernel_inserts", t->inserts);
	counter(cl, "kernel_updates", t->updates);
	counter(cl, "kernel_deletes", t->deletes);
	counter(cl, "kernel_failed", t->failed);
	counter(cl, "kernel_unsupported", t->unsupported);
	if (e->pfdial != NULL)
		show_pf_counters(e->pfdial, cl);
}

static void
answer(struct engine *e, struct control_client *cl)
{
	monotime_t now = monotime_now();

	show_global(e, cl, now);
	show_peers(e, cl, now);
	show_strangers(e, cl, now);
	show_counters(e, cl, now);
	control_reply(cl, PMSG_CTL_END, NULL, 0);
}

void
ctl_stats(struct engine *e)
{
	struct control_client *cl;
	size_t i;

	for (i = 0; i < e->nasking; i++)
		if ((cl = control_find(e->control, e->asking[i])) != NULL)
			answer(e, cl);
	e->nasking = 0;
	ev_timer_stop(e->ask_timer);
}

/* It did not count in time: what it said last must do. */
void
ctl_ask_cb(void *arg)
{
	ctl_stats(arg);
}

/*
 * The answer has the kernel's numbers in it: they are asked for first, once
 * for all who wait, so that nobody can fill the channel with questions.
 */
static void
show(struct engine *e, struct control_client *cl)
{
	if (e->table == NULL || e->nasking == sizeof(e->asking) /
	    sizeof(e->asking[0])) {
		answer(e, cl);
		return;
	}
	if (e->nasking == 0) {
		if (!e->stats_due && channel_send(e->table, PMSG_WANT_STATS,
		    0, -1, NULL, 0) == -1) {
			answer(e, cl);
			return;
		}
		e->stats_due = true;
		ev_timer_at(e->ask_timer, monotime_add(monotime_now(),
		    ENGINE_ASK));
	}
	e->asking[e->nasking++] = control_client_id(cl);
}

void
ctl_reloaded(struct engine *e, const struct sync_result *r)
{
	struct control_client *cl;
	char text[SYNC_TEXT_MAX];

	if (r->client == 0 || e->control == NULL ||
	    (cl = control_find(e->control, r->client)) == NULL)
		return;
	memcpy(text, r->text, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (r->error != 0)
		fail(cl, text);
	else
		ok(cl);
}

void
ctl_dispatch(struct control_client *cl, struct imsg *im, void *arg)
{
	struct engine *e = arg;
	const char *bad;

	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_CLIENT);
	if (bad != NULL || !e->started_up) {
		fail(cl, bad != NULL ? bad : "starting");
		control_finish(cl);
		return;
	}
	switch (im->type) {
	case PMSG_CTL_SHOW:
		show(e, cl);
		break;
	case PMSG_CTL_NOW:
		repl_now(e->repl, monotime_now());
		if (e->pfdial != NULL)
			pfdial_bulk(e->pfdial, monotime_now());
		ok(cl);
		break;
	case PMSG_CTL_FLUSH:
		repl_flush(e->repl, monotime_now());
		if (e->pfdial != NULL)
			pfdial_bulk(e->pfdial, monotime_now());
		ok(cl);
		break;
	case PMSG_CTL_RELOAD:
		if (channel_send(e->parent, PMSG_RELOAD,
		    control_client_id(cl), -1, NULL, 0) == -1)
			fail(cl, "the parent is busy");
		break;
	case PMSG_CTL_LOG:
		log_setverbose(((const struct sync_flag *)im->data)->on != 0);
		ok(cl);
		break;
	default:
		control_finish(cl);
		break;
	}
	engine_pump(e);
}
