/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine: the unprivileged process that holds keys, timers and elections.
 * This file is the process itself: messages from the parent, logging, stopping.
 * No decision about an election is taken in the engine: that is vhost.c.
 */
#include <sys/types.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/log.h"
#include "../common/os/sandbox.h"
#include "carpd.h"
#include "engine.h"

#define PULSE_TIME	(3 * MONOTIME_SEC)	/* the parent is asked */
#define PULSE_MISSED	3		/* that often in vain: it is dead */

const char *const engine_counter_names[] = {
	[COUNT_IPACKETS] = "ipackets",
	[COUNT_IPACKETS6] = "ipackets6",
	[COUNT_BADIF] = "badif",
	[COUNT_BADTTL] = "badttl",
	[COUNT_HDROPS] = "hdrops",
	[COUNT_BADSUM] = "badsum",
	[COUNT_BADVER] = "badver",
	[COUNT_BADLEN] = "badlen",
	[COUNT_BADAUTH] = "badauth",
	[COUNT_BADVHID] = "badvhid",
	[COUNT_OPACKETS] = "opackets",
	[COUNT_OPACKETS6] = "opackets6",
	[COUNT_ONOMEM] = "onomem",
	[COUNT_PREEMPT] = "preempt",
	[COUNT_REPLAY] = "replay",
	[COUNT_BADTRAILER] = "badtrailer",
	[COUNT_NOTICES] = "notices",
	[COUNT_OERRORS] = "oerrors",
	[COUNT_LATE] = "late",
	[COUNT_TAKEN] = "successor",
	[COUNT_LOG_SUPPRESSED] = "logsuppressed",
	[COUNT_VRRP] = "vrrp",
	[COUNT_NOAUTH] = "noauth",
	[COUNT_KEYID] = "keyid",
	[COUNT_UNPROVEN] = "unproven",
};

uint64_t
engine_wall_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

uint32_t
engine_random(void)
{
	static uint32_t pool[64];
	static size_t left;

	/* one call of the kernel for many */
	if (left == 0) {
		hmac_random(pool, sizeof(pool));
		left = sizeof(pool) / sizeof(pool[0]);
	}
	return (pool[--left]);
}

void
engine_log(struct engine *e, int pri, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;

	if (pri > e->g.log)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_at(pri, "%s", line);
}

void
engine_notify(struct engine *e, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;

	if (e->control == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	control_notify(e->control, IMSG_CTL_EVENT, line, strlen(line));
}

void
engine_to_parent(struct engine *e, uint32_t type, const void *data, size_t len)
{
	if (e->parent == NULL)
		return;
	/* those of a round together, see tx_close() */
	if ((tx_is_open(e) ? channel_queue : channel_send)(e->parent, type, 0,
	    -1, data, len) == -1)
		log_debug("message to the parent: %s", strerror(errno));
}

void
engine_sweep(struct engine *e)
{
	ev_timer_at(e->sweep_timer, monotime_now());
}

/* ---- stopping ---- */

void
engine_allow(struct engine *e, bool allow)
{
	struct dev *d;

	if (e->allow == allow)
		return;
	e->allow = allow;
	log_info("carp: %s", allow ? "enabled" : "disabled");
	TAILQ_FOREACH(d, &e->devs, entry)
		dev_eval(d);
}

static void
engine_stop(struct engine *e)
{
	struct vif *f, *next;

	if (e->stopping)
		return;
	e->stopping = true;
	tx_open(e);
	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next)
		if (!f->dying)
			vif_stop(f, VHOST_CAUSE_SHUTDOWN);
	tx_close(e);
	engine_sweep(e);		/* there may be none */
}

/* Free what has drained; tell the parent when nothing is left to do. */
static void
sweep_cb(void *arg)
{
	struct engine *e = arg;
	struct vif *f, *next;
	bool busy = false;

	TAILQ_FOREACH_SAFE(f, &e->vifs, entry, next) {
		if (!f->dying)
			continue;
		if (vif_draining(f))
			busy = true;
		else
			vif_free(f);
	}
	if (busy)
		return;
	if (e->want_ready) {
		e->want_ready = false;
		if (e->parent != NULL && channel_send(e->parent, IMSG_READY,
		    e->generation, -1, NULL, 0) == -1)
			log_debug("message to the parent: %s",
			    strerror(errno));
	}
	if (e->stopping && TAILQ_EMPTY(&e->vifs)) {
		engine_to_parent(e, IMSG_STOPPED, NULL, 0);
		ev_stop();
	}
}

static void
parent_gone(struct channel *c, const char *why, void *arg)
{
	struct engine *e = arg;

	log_set_sink(NULL, NULL);
	channel_free(c);
	e->parent = NULL;
	e->orphan = true;
	log_warnx("lost the parent: %s", why);
	engine_stop(e);
}

/*
 * A parent that hangs is as good as dead: the addresses run out, and hosts
 * ask for the gateway in vain.  Questions are counted, not time, so a machine
 * that slept does not take it for that.
 */
static void
pulse_cb(void *arg)
{
	struct engine *e = arg;

	if (e->parent == NULL || e->stopping)
		return;
	if (e->configured && e->unanswered++ == PULSE_MISSED) {
		parent_gone(e->parent, "it does not answer", e);
		return;
	}
	engine_to_parent(e, IMSG_ASK_ALIVE, NULL, 0);
	ev_timer_at(e->pulse_timer, monotime_add(monotime_now(), PULSE_TIME));
}

/* ---- messages from the parent ---- */

static void
kif_readable(int fd, int what, void *arg)
{
	struct engine *e = arg;

	(void)fd;
	(void)what;
	kif_read(e->kif);
	ledger_startup(e);	/* perhaps that was all there is */
}

static void
got_conf(struct engine *e, struct imsg *im)
{
	switch (im->type) {
	case IMSG_CONF_BEGIN:
		config_free(e->incoming);
		e->incoming = config_new();
		memcpy(&e->incoming->g, im->data, sizeof(e->incoming->g));
		return;
	case IMSG_CONF_IFACE:
		if (e->incoming != NULL && config_iface_ok(im->data))
			(void)config_add_iface(e->incoming, im->data);
		return;
	case IMSG_CONF_AUTH:
		if (e->incoming != NULL && auth_conf_ok(im->data))
			memcpy(&e->incoming->auth, im->data,
			    sizeof(e->incoming->auth));
		return;
	case IMSG_CONF_GROUP:
		if (e->incoming != NULL)
			(void)config_add_group(e->incoming, im->data);
		return;
	default:
		e->generation = im->id;
		if (e->incoming != NULL)
			vif_apply(e, e->incoming);
		config_free(e->incoming);
		e->incoming = NULL;
		return;
	}
}

static void
got_start(struct engine *e, const struct msg_start *m)
{
	uint8_t secret[HMAC_SHA256_LEN];

	e->epoch = m->epoch;
	e->nodeid = m->node;
	hmac_random(secret, sizeof(secret));
	e->auth = auth_new(TRAILER_CARP, m->node, m->epoch, secret);
	hmac_wipe(secret, sizeof(secret));
	log_setverbose(m->verbose);
}

static void
got_addr(struct engine *e, const struct ctl_addr *a)
{
	struct vif *f = vif_find(e, a->name);
	size_t i;

	for (i = 0; f != NULL && i < f->c.naddrs; i++)
		if (ipaddr_cmp(&f->c.addrs[i], &a->addr) == 0)
			f->shown[i].plen = a->plen;
}

/* SIGUSR1: what ucarp(8) and keepalived(8) users look for in the log. */
static void
log_status(struct engine *e)
{
	struct vif *f;
	size_t i;

	TAILQ_FOREACH(f, &e->vifs, entry)
		for (i = 0; i < f->nnodes; i++) {
			const struct node *n = f->nodes[i];

			log_info("%s: %s carpdev %s vhid %d advbase %d "
			    "advskew %d demotion %d (%s)", f->c.name,
			    vhost_state_names[n->v.state],
			    f->c.carpdev[0] != '\0' ? f->c.carpdev : "none",
			    n->conf.vhid, n->conf.advbase, n->conf.advskew,
			    n->v.demotion, vhost_cause_names[n->v.cause]);
		}
}

static void
parent_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct engine *e = arg;
	const char *bad;
	int fd = im->fd;

	(void)c;
	bad = msg_check(carpd_msgs, IMSG_MAX, im, MSG_FROM_PARENT);
	if (bad != NULL)
		fatalx("message %u from the parent: %s", im->type, bad);
	e->unanswered = 0;
	switch (im->type) {
	case IMSG_START:
		got_start(e, im->data);
		return;
	case IMSG_CTL_SOCKET:
		e->control = control_new(fd, ctl_dispatch, e);
		control_on_close(e->control, ctl_closed, e);
		return;
	case IMSG_KIF_SOCKET:
		if ((e->kif = kif_from_fd(fd, dev_kif_event, e)) == NULL)
			fatal("kif_from_fd");
		e->kif_ev = ev_fd_new(fd, EV_IN, kif_readable, e);
		return;
	case IMSG_CHOSEN:
		vif_chosen(e, im->data, im->id);
		return;
	case IMSG_CARPDEV:
		dev_opened(e, im->data, fd);
		return;
	case IMSG_UNICAST:
		dev_unicast(e, im->data, fd);
		return;
	case IMSG_SLOTS:
		dev_slots(e, im->data, fd);
		return;
	case IMSG_CARPDEV_GONE:
		dev_gone(e, im->data);
		return;
	case IMSG_IPV6:
		dev_ipv6(e, im->data);
		return;
	case IMSG_ADDR_SHOWN:
		got_addr(e, im->data);
		return;
	case IMSG_COUNT:
		vif_count(e, im->data);
		return;
	case IMSG_COUNTERS:
		memcpy(&e->parent_count, im->data, sizeof(e->parent_count));
		ctl_counters(e);
		return;
	case IMSG_RELOADED:
		ctl_reloaded(e, im->data);
		return;
	case IMSG_STATUS:
		log_status(e);
		return;
	case IMSG_ALIVE:	/* any message is an answer */
		return;
	case IMSG_STOP:
		engine_stop(e);
		return;
	default:
		got_conf(e, im);
		return;
	}
}

/* ---- the process ---- */

static void
log_to_parent(int pri, const char *line, void *arg)
{
	struct engine *e = arg;
	struct msg_log m;

	memset(&m, 0, sizeof(m));
	m.pri = pri;
	(void)strlcpy(m.line, line, sizeof(m.line));
	engine_to_parent(e, IMSG_LOG, &m, sizeof(m));
}

struct engine *
engine_new(int fd)
{
	struct demote_entry *entries;
	struct engine *e;

	if ((e = calloc(1, sizeof(*e))) == NULL ||
	    (entries = calloc(ENGINE_LEDGER_MAX, sizeof(*entries))) == NULL)
		fatal("calloc");
	TAILQ_INIT(&e->devs);
	TAILQ_INIT(&e->vifs);
	e->allow = true;
	e->g.log = CONFIG_LOG_DEFAULT;
	e->started = monotime_now();
	demote_init(&e->ledger, entries, ENGINE_LEDGER_MAX);
	TAILQ_INIT(&e->lost);
	RB_INIT(&e->ids);
	hmac_random(&e->ipid, sizeof(e->ipid));
	timers_init(e);
	tx_init(e);
	e->ledger_timer = ev_timer_new(ledger_expire, e);
	e->sweep_timer = ev_timer_new(sweep_cb, e);
	e->pulse_timer = ev_timer_new(pulse_cb, e);
	e->group_timer = ev_timer_new(vif_groups_cb, e);
	e->split_timer = ev_timer_new(alarm_look, e);
	e->split_at = MONOTIME_NEVER;
	e->watch_timer = ev_timer_new(ctl_watch_cb, e);
	e->parent = channel_new(fd, parent_msg, parent_gone, e);
	imsgbuf_limit(channel_imsgbuf(e->parent), CARPD_QUEUE_MAX);
	return (e);
}

/*
 * Signals are for the parent, which has us leave in order; but a terminal, a
 * service manager or killall(1) sends them to us as well.
 */
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
engine_main(int fd, const char *user, int verbose)
{
	struct engine *e;
	struct passwd *pw;
	const char *refused;

	ignore_signals();
	log_procinit("engine");
	log_setverbose(verbose);
	if ((pw = getpwnam(user)) == NULL)
		fatalx("unknown user %s", user);
	hmac_setup();
	tzset();
	refused = sandbox_realtime(CARPD_ENGINE_PRIO);
	ev_init();
	e = engine_new(fd);
	log_set_sink(log_to_parent, e);
	if (refused != NULL)
		log_warnx("%s: timers may be late under load", refused);
	sandbox_enter(SANDBOX_CARPD_ENGINE, pw->pw_uid, pw->pw_gid);
	setproctitle("engine");
	(void)ledger_set(e, "carpd", "carp", "startup", DEMOTE_STARTUP, 0);
	pulse_cb(e);
	ev_loop();
	if (e->parent != NULL)
		(void)channel_drain(e->parent, 1000);
	exit(e->orphan ? 1 : 0);
}
