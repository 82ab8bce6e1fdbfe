/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine process: datagrams, batches of the table process, timers and
 * control clients in; the pure cores (repl.c, pfdial.c) decide; packets and
 * operations out.  It has no rights: sockets come from the parent.
 */
#include <sys/types.h>

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>

#include "../common/log.h"
#include "../common/os/sandbox.h"
#include "../common/wire/frame.h"
#include "../common/wire/native.h"
#include "engine.h"
#include "pfsyncd.h"

void
engine_to_parent(struct engine *e, uint32_t type, const void *data, size_t len)
{
	if (e->parent == NULL)
		return;
	if (channel_send(e->parent, type, 0, -1, data, len) == -1)
		log_debug("message to the parent: %s", strerror(errno));
}

static void
to_table(struct engine *e, uint32_t type, const void *data, size_t len)
{
	if (e->table == NULL)
		return;
	if (channel_send(e->table, type, 0, -1, data, len) == -1)
		fatal("message to the table process");
}

/* Room for what one message or packet can bring. */
static void
reserve(struct engine *e)
{
	static bool said;

	if (statedb_reserve(e->db) == -1 && !said) {
		log_warnx("the state database is full: maxstates is %u",
		    e->conf.maxstates);
		said = true;
	}
	if (e->pfdial != NULL)
		(void)pfdial_reserve(e->pfdial);
	(void)hints_reserve(e->hints, statedb_top(e->db) + STATEDB_SPARE);
}

/* ---- hooks of the cores ---- */

static void
hook_changed(uint32_t i, void *arg)
{
	struct engine *e = arg;

	if (e->pfdial != NULL)
		pfdial_changed(e->pfdial, i, monotime_now());
}

static void
hook_removed(uint32_t i, bool announce, void *arg)
{
	struct engine *e = arg;

	if (e->pfdial != NULL)
		pfdial_removed(e->pfdial, i, announce, monotime_now());
}

static bool
hook_exports(const struct flow *f, void *arg)
{
	struct engine *e = arg;

	return (nosync_exports(&e->nosync, f));
}

static bool
hook_crosses(const struct flow *f, void *arg)
{
	struct engine *e = arg;

	return (shares_cross(&e->shares, f));
}

static void
hook_noted(uint32_t i, bool gone, void *arg)
{
	const struct statedb_entry *s;
	struct engine *e = arg;

	if (gone) {
		hints_clear(e->hints, i);
		return;
	}
	s = statedb_at(e->db, i);
	hints_set(e->hints, i, s->h, s->stamp, repl_node_id(e->repl,
	    s->carrier), repl_value(&s->f));
}

static void
hook_booted(uint32_t node, uint32_t boot, void *arg)
{
	struct engine *e = arg;

	hints_boot(e->hints, node, boot);
}

static bool
hook_asks(uint32_t i, void *arg)
{
	struct engine *e = arg;

	return (e->pfdial != NULL && pfdial_asks(e->pfdial, i));
}

/* ---- sending ---- */

/*
 * Bytes of a packet that trailers may need: no more, also when encrypted, than
 * REPL_MTU_MIN leaves.
 */
static size_t
trailer_room(const struct engine *e)
{
	return (TRAILER_FIXED + (auth_keyed(e->auth) ? AUTH_TLV_MAX : 0));
}

/* native: what `encrypt yes' is about. */
static size_t
put_trailer(struct engine *e, uint8_t *pkt, size_t len, size_t size,
    bool native, monotime_t now)
{
	uint8_t tlv[AUTH_TLV_MAX], seal[CRYPT_TLV_LEN];
	struct trailer t;
	struct wbuf w;

	memset(&t, 0, sizeof(t));
	t.seq = ++e->seq;
	if (auth_keyed(e->auth)) {
		wbuf_init(&w, tlv, sizeof(tlv));
		if (native && e->conf.encrypt) {
			crypt_close(e->crypt, pkt, len, t.seq, seal);
			wbuf_bytes(&w, seal, sizeof(seal));
		}
		auth_tlvs(e->auth, &w, now);
		t.tlv = tlv;
		t.tlvlen = wbuf_used(&w);
		return (auth_sign(e->auth, &e->sock_info.src,
		    &e->sock_info.dst, pkt, len, size, &t));
	}
	t.node = e->start.node;
	t.epoch = e->start.epoch;
	return (trailer_write(TRAILER_PFSYNC, e->open, &e->sock_info.src,
	    &e->sock_info.dst, pkt, len, size, &t));
}

static void
commit(struct engine *e, size_t len)
{
	syncsock_commit(e->sock, len);
	e->count[e->sock_info.dst.af == AF_INET ? PFSYNC_C_OPACKETS :
	    PFSYNC_C_OPACKETS6]++;
}

static void
flush(struct engine *e)
{
	uint64_t *lost = &e->count[PFSYNC_C_OERRORS], before = *lost;

	errno = 0;
	(void)syncsock_flush(e->sock, lost);
	if (*lost == before || errno == EAGAIN || errno == EMSGSIZE)
		return;
	e->senderr = errno;
	e->senderr_at = monotime_now();
}

static uint8_t *
slot(struct engine *e)
{
	uint8_t *p = syncsock_slot(e->sock);

	if (p != NULL)
		return (p);
	flush(e);
	return (syncsock_slot(e->sock));
}

/*
 * Nothing but a trailer, behind a header that every receiver finds empty: a
 * question, or an answer, that should not wait.
 */
static void
send_hello(struct engine *e, monotime_t now)
{
	static const uint8_t empty[PFSYNC_HDR_LEN] = {
	    PFSYNC_VERSION_OPENBSD, 0, 0, PFSYNC_HDR_LEN };
	uint8_t *p;

	if (!auth_urgent(e->auth, now) || (p = slot(e)) == NULL)
		return;
	memcpy(p, empty, sizeof(empty));
	commit(e, sizeof(empty) + put_trailer(e, p, sizeof(empty),
	    syncsock_room(e->sock), false, now));
	(void)syncsock_flush(e->sock, &e->count[PFSYNC_C_OERRORS]);
}

/* Fill and send packets until nobody wants to say anything. */
static void
send_packets(struct engine *e, monotime_t now)
{
	size_t size = syncsock_room(e->sock), len, n;
	struct wbuf w;
	uint8_t *p;

	for (n = 0; n < ENGINE_PACKETS && (p = slot(e)) != NULL; n++) {
		wbuf_init(&w, p, size - trailer_room(e));
		if ((len = repl_packet(e->repl, &w, e->seq + 1, now)) == 0)
			break;
		commit(e, len + put_trailer(e, p, len, size, true, now));
	}
	for (; e->pfdial != NULL && n < ENGINE_PACKETS &&
	    (p = slot(e)) != NULL; n++) {
		wbuf_init(&w, p, auth_keyed(e->auth) ? size -
		    trailer_room(e) : size);
		if ((len = pfdial_packet(e->pfdial, &w, now)) == 0)
			break;
		if (auth_keyed(e->auth))
			len += put_trailer(e, p, len, size, false, now);
		commit(e, len);
	}
	if (n == 0)
		return;
	flush(e);
	e->sent_at = now;
}

/* ---- what the cores want ---- */

static void
send_ops(struct engine *e, monotime_t now)
{
	static struct statetbl_op op[SYNC_OPS_MAX];
	size_t n;

	if (e->table == NULL)
		return;
	while (imsgbuf_queued(channel_imsgbuf(e->table)) < ENGINE_TABLE_MAX &&
	    (n = repl_ops(e->repl, op, SYNC_OPS_MAX, now)) > 0)
		to_table(e, PMSG_OPS, op, n * sizeof(op[0]));
}

/* Packets that were held back. */
static void
send_let_go(struct engine *e)
{
	struct sync_go m;
	size_t n;

	while ((n = repl_let_go(e->repl, m.g, SYNC_GO_MAX)) > 0)
		to_table(e, PMSG_LET_GO, &m, n * sizeof(m.g[0]));
}

static void
want_dump(struct engine *e, monotime_t now)
{
	enum statetbl_what what;
	struct sync_dump m;

	memset(&m, 0, sizeof(m));
	if (e->table == NULL || !e->settled ||
	    !repl_want_dump(e->repl, &m.dump, &what, now))
		return;
	m.what = what;
	to_table(e, PMSG_DUMP, &m, sizeof(m));
}

/* carpd's ledger.  Returns when to look again though nothing happens. */
static monotime_t
tell_ledger(struct engine *e, monotime_t now)
{
	struct hold_in in;
	struct sync_hold m;
	monotime_t next;

	memset(&in, 0, sizeof(in));
	in.repl = repl_hold(e->repl);
	in.synced = repl_synced(e->repl);
	in.carp_heard = e->carp_heard;
	in.link_told = e->link_told;
	in.masters = e->masters;
	in.pf = e->pfdial != NULL;
	if (in.pf)
		in.pf_bulk = pfdial_bulk_state(e->pfdial);
	memset(&m, 0, sizeof(m));
	m.why = (uint8_t)hold_step(&e->hold, &in, now, &next);
	m.synced = e->hold.synced;
	if (memcmp(&m, &e->told, sizeof(m)) == 0)
		return (next);
	if (m.synced && !e->told.synced)
		log_info("states are in step, or nobody is there to have "
		    "any");
	e->told = m;
	engine_to_parent(e, PMSG_HOLD, &m, sizeof(m));
	return (next);
}

/* What is MASTER here, and what of that elsewhere, too. */
static void
tell_rivals(struct engine *e, monotime_t now)
{
	struct sync_vhosts m;
	size_t n;

	if (repl_want_vhosts(e->repl))
		engine_to_parent(e, PMSG_WHICH, NULL, 0);
	memset(&m, 0, sizeof(m));
	while ((n = repl_rivals(e->repl, &m.who, m.id, SYNC_VHOSTS_MAX,
	    now)) > 0) {
		m.n = (uint16_t)n;
		engine_to_parent(e, PMSG_RIVALS, &m, sizeof(m));
	}
}

static void
tell_watch(struct engine *e)
{
	struct sync_flag m = { .on = repl_watch_new(e->repl) };

	if (e->table == NULL || (m.on != 0) == e->watch_new)
		return;
	e->watch_new = m.on != 0;
	to_table(e, PMSG_WATCH_NEW, &m, sizeof(m));
}

/* May one more line of that kind be said? */
static bool
may_say(struct log_limit *l, const char *kind, monotime_t now)
{
	if (monotime_sub(now, l->since) >= ENGINE_LINES_TIME) {
		if (l->said > ENGINE_LINES)
			log_warnx("%u times more: %s", l->said - ENGINE_LINES,
			    kind);
		l->since = now;
		l->said = 0;
	}
	return (l->said++ < ENGINE_LINES);
}

/* Two nodes that were not made alike: it works, but see to it. */
static void
tell_mtu(struct engine *e, monotime_t now)
{
	char buf[IPADDR_STRLEN];
	struct repl_peer p;

	while (repl_mtu_differs(e->repl, &p))
		if (may_say(&e->mtus, "the MTU of a peer is another one", now))
			log_warnx("%s has an MTU of %u on its syncdev and we "
			    "one of %u on %s: the smaller one is used",
			    ipaddr_print(&p.addr, buf, sizeof(buf)), p.mtu,
			    e->sock_info.mtu, e->conf.syncdev);
}

/* Once at the begin and once at the end. */
static void
tell_full(struct engine *e)
{
	if (repl_full(e->repl) == e->table_full)
		return;
	e->table_full = !e->table_full;
	if (e->table_full)
		log_warnx("the kernel's table is full: states of the peers "
		    "are missing in it until there is room; see "
		    "net.netfilter.nf_conntrack_max");
	else
		log_info("the kernel's table has room again, and all states "
		    "that were missing in it");
}

static monotime_t
earlier(monotime_t a, monotime_t b)
{
	return (monotime_cmp(a, b) <= 0 ? a : b);
}

void
engine_pump(struct engine *e)
{
	monotime_t now = monotime_now(), next, uncork, ledger;
	bool corked;

	if (!e->started_up)
		return;
	reserve(e);
	if (e->refilter) {
		e->refilter = false;
		repl_refilter(e->repl, now);
	}
	repl_tick(e->repl, now);
	if (e->pfdial != NULL)
		pfdial_tick(e->pfdial, now);
	send_let_go(e);
	send_ops(e, now);
	want_dump(e, now);
	if (e->sock != NULL && e->link)
		send_hello(e, now);
	/* a packet that is not full may wait a moment for company */
	uncork = monotime_add(e->sent_at, ENGINE_CORK);
	corked = monotime_cmp(now, uncork) < 0 && !repl_hasty(e->repl) &&
	    repl_waiting(e->repl) < 20 && !repl_urgent(e->repl);
	if (e->sock != NULL && e->link && !corked)
		send_packets(e, now);
	ledger = tell_ledger(e, now);
	tell_rivals(e, now);
	tell_watch(e);
	tell_mtu(e, now);
	tell_full(e);
	next = repl_next(e->repl, now);
	if (e->pfdial != NULL)
		next = earlier(next, pfdial_next(e->pfdial));
	if (corked)
		next = monotime_cmp(next, uncork) < 0 ||
		    repl_waiting(e->repl) > 0 ? uncork : next;
	ev_timer_at(e->timer, earlier(next, ledger));
}

static void
timer_cb(void *arg)
{
	engine_pump(arg);
}

/* ---- receiving ---- */

/* We do not take what it says: tell the operator. */
static void
stranger(struct engine *e, const struct ipaddr *addr, enum sync_why why,
    monotime_t now)
{
	char buf[IPADDR_STRLEN];
	uint64_t more;

	if (strangers_note(&e->strangers, addr, why, now, &more) == NULL ||
	    !may_say(&e->strange, "packets are not taken", now))
		return;
	(void)ipaddr_print(addr, buf, sizeof(buf));
	if (more == 0)
		log_warnx("packets of %s are not taken: %s", buf,
		    sync_why_names[why]);
	else
		log_warnx("packets of %s are not taken: %s (%llu more since)",
		    buf, sync_why_names[why], (unsigned long long)more);
}

/* Why a packet of this verdict is not taken. */
static enum sync_why
why_not(const struct engine *e, enum auth_verdict v)
{
	switch (v) {
	case AUTH_NONE:
		return (SYNC_WHY_NONE);
	case AUTH_OPEN:
		return (SYNC_WHY_OPEN);
	case AUTH_UNKNOWN:
		return (SYNC_WHY_KEYID);
	case AUTH_UNPROVEN:
		return (SYNC_WHY_UNPROVEN);
	case AUTH_BADMAC:
		return (auth_keyed(e->auth) ? SYNC_WHY_KEY : SYNC_WHY_KEYED);
	default:
		return (SYNC_WHY_TRAILER);
	}
}

/* It is not taken: count it, and tell whoever can mend it. */
static void
refuse(struct engine *e, const struct syncsock_pkt *p, enum auth_verdict v,
    const struct trailer *t, monotime_t now)
{
	switch (v) {
	case AUTH_REPLAY:
		e->count[PFSYNC_C_REPLAY]++;
		return;
	case AUTH_UNPROVEN:
		e->unproven++;
		if (!auth_overdue(e->auth, t->node, now))
			return;
		break;
	default:
		e->count[PFSYNC_C_BADAUTH]++;
		break;
	}
	stranger(e, &p->src, why_not(e, v), now);
}

/* What the trailer at pkt[off] says; t is set where there is one. */
static enum auth_verdict
judge(struct engine *e, const struct syncsock_pkt *p, size_t off,
    struct trailer *t, monotime_t now)
{
	enum auth_verdict v;

	v = auth_rx(e->auth, &p->src, &p->dst, p->data, off, p->data + off,
	    p->len - off, t, now);
	if (v == AUTH_OPEN && !trailer_verify(TRAILER_PFSYNC, e->open, &p->src,
	    &p->dst, p->data, off, p->data + off))
		v = AUTH_BADMAC;
	if (e->proofs != auth_proofs(e->auth))
		repl_speak(e->repl, now);
	e->proofs = auth_proofs(e->auth);
	return (v);
}

/* A native packet that may be taken, of that trailer. */
static void
take_native(struct engine *e, const struct syncsock_pkt *p, struct repl_pkt *r,
    const struct trailer *t, monotime_t now)
{
	if ((e->conf.dialects & (1U << DIALECT_NATIVE)) == 0) {
		e->other_dialect++;
		stranger(e, &p->src, SYNC_WHY_NATIVE, now);
		return;
	}
	if (r->auth != AUTH_PROVEN && auth_keyed(e->auth))
		e->count[PFSYNC_C_UNAUTH]++;
	r->node = t->node;
	r->addr = p->src;
	r->epoch = t->epoch;
	r->seq = t->seq;
	r->keyid = t->keyid;
	reserve(e);
	repl_rx(e->repl, r, now);
}

static void
rx_native(struct engine *e, const struct syncsock_pkt *p, struct repl_pkt *r,
    size_t off, monotime_t now)
{
	struct trailer t;

	r->auth = judge(e, p, off, &t, now);
	if (r->auth == AUTH_NONE)	/* it has always one */
		r->auth = AUTH_MALFORMED;
	if (auth_takes(auth_policy(e->auth), r->auth))
		take_native(e, p, r, &t, now);
	else
		refuse(e, p, r->auth, &t, now);
}

/* Encrypted: it says nothing to who has not its key, whatever the policy. */
static void
rx_sealed(struct engine *e, const struct syncsock_pkt *p, size_t off,
    monotime_t now)
{
	static uint8_t buf[ENGINE_SEALED_MAX];
	enum auth_verdict v;
	struct repl_pkt r;
	struct trailer t;

	v = judge(e, p, off, &t, now);
	if (v == AUTH_PROVEN && off <= sizeof(buf)) {
		memcpy(buf, p->data, off);
		memset(&r, 0, sizeof(r));
		if (crypt_open(e->crypt, buf, off, &t) && native_parse(buf,
		    off, &r.hdr, &r.tlv, &r.tlvlen, &off)) {
			r.auth = v;
			r.sealed = true;
			take_native(e, p, &r, &t, now);
			return;
		}
	}
	refuse(e, p, v == AUTH_NONE || v == AUTH_PROVEN ? AUTH_MALFORMED : v,
	    &t, now);
}

static void
rx_pfsync(struct engine *e, const struct syncsock_pkt *p,
    const struct pfsync_hdr *h, monotime_t now)
{
	enum auth_verdict v;
	struct trailer t;

	v = judge(e, p, h->len, &t, now);
	if (auth_policy(e->auth) != AUTH_OFF &&
	    !auth_takes(auth_policy(e->auth), v)) {
		refuse(e, p, v, &t, now);
		return;
	}
	/* what came for the sake of its trailer only */
	if (h->len == PFSYNC_HDR_LEN && v != AUTH_NONE)
		return;
	if (e->pfdial == NULL) {
		e->other_dialect++;
		stranger(e, &p->src, SYNC_WHY_PFSYNC, now);
		return;
	}
	if (repl_native_at(e->repl, &p->src))
		return;		/* for others: to us it speaks native */
	if (v != AUTH_PROVEN)
		e->count[PFSYNC_C_UNAUTH]++;
	reserve(e);
	pfdial_rx(e->pfdial, p->data, p->len, e->count, now);
}

static void
rx_packet(struct engine *e, const struct syncsock_pkt *p, monotime_t now)
{
	enum pfsync_counter bad;
	struct repl_pkt r;
	struct pfsync_hdr h;
	size_t off;

	e->count[p->src.af == AF_INET ? PFSYNC_C_IPACKETS :
	    PFSYNC_C_IPACKETS6]++;
	if (p->ttl != PFSYNC_TTL) {
		e->count[PFSYNC_C_BADTTL]++;
		return;
	}
	if (e->conf.has_peer && ipaddr_cmp(&p->src, &e->conf.syncpeer) != 0 &&
	    !ipaddr_is_multicast(&e->conf.syncpeer)) {
		e->count[PFSYNC_C_DROPPED_FILTER]++;
		return;
	}
	if ((bad = pfsync_parse_hdr(p->data, p->len, &h)) != PFSYNC_C_MAX) {
		e->count[bad]++;
		if (bad == PFSYNC_C_BADVER)
			stranger(e, &p->src, SYNC_WHY_VERSION, now);
		return;
	}
	memset(&r, 0, sizeof(r));
	if (native_sealed(p->data, p->len, &off))
		rx_sealed(e, p, off, now);
	else if (native_parse(p->data, p->len, &r.hdr, &r.tlv, &r.tlvlen,
	    &off))
		rx_native(e, p, &r, off, now);
	else
		rx_pfsync(e, p, &h, now);
}

static void
sock_readable(int fd, int what, void *arg)
{
	struct syncsock_pkt pkt[SYNCSOCK_BATCH];
	struct engine *e = arg;
	monotime_t now;
	int i, n;

	(void)fd;
	(void)what;
	if ((n = syncsock_recv(e->sock, pkt, &e->sock_bad)) == -1) {
		if (errno != EAGAIN && errno != EINTR)
			log_debug("receive on %s: %s", e->conf.syncdev,
			    strerror(errno));
		return;
	}
	now = monotime_now();
	for (i = 0; i < n; i++)
		rx_packet(e, &pkt[i], now);
	engine_pump(e);
}

/* ---- the table process ---- */

static const char *
why_refused(const struct statetbl_result *r)
{
	switch ((enum statetbl_error)r->error) {
	case STATETBL_CLASH:
		return ("its translated address and port are another flow's");
	case STATETBL_FULL:
		return ("its table or memory is full");
	default:
		return (strerror(r->err));
	}
}

/*
 * When a dump's record was true: by now its timeout is less, and what we had
 * done since is not in it.
 */
static monotime_t
made_at(const struct statetbl_event *ev, monotime_t now)
{
	uint32_t ago = (uint32_t)(now.ns / MONOTIME_MSEC) - ev->made;

	return (ago < 600000 ? monotime_add(now, -(int64_t)ago *
	    MONOTIME_MSEC) : now);
}

static void
got_events(struct engine *e, const struct imsg *im)
{
	const struct statetbl_event *ev = im->data;
	size_t n = im->len / sizeof(*ev), i;
	monotime_t now = monotime_now();

	if (im->len % sizeof(*ev) != 0)
		fatalx("events of the table process: odd size");
	reserve(e);
	for (i = 0; i < n; i++) {
		if (ev[i].type >= STATETBL_EV_MAX ||
		    flow_check(&ev[i].f, true) != NULL)
			fatalx("event of the table process: %s",
			    ev[i].type >= STATETBL_EV_MAX ? "type" :
			    flow_check(&ev[i].f, true));
		repl_event(e->repl, &ev[i], ev[i].type == STATETBL_DUMP ?
		    made_at(&ev[i], now) : now);
	}
}

static void
got_held(struct engine *e, const struct imsg *im)
{
	const struct pktq_packet *p = im->data;
	size_t n = im->len / sizeof(*p), i;
	monotime_t now = monotime_now();
	struct statetbl_event ev;
	const char *bad;

	if (im->len % sizeof(*p) != 0)
		fatalx("packets of the table process: odd size");
	reserve(e);
	memset(&ev, 0, sizeof(ev));
	ev.type = STATETBL_NEW;
	for (i = 0; i < n; i++) {
		if ((bad = flow_check(&p[i].f, false)) != NULL)
			fatalx("packet of the table process: %s", bad);
		ev.f = p[i].f;
		ev.ctid = p[i].ctid;
		repl_defer(e->repl, &ev, p[i].id, now);
	}
}

static void
got_results(struct engine *e, const struct imsg *im)
{
	const struct statetbl_result *r = im->data;
	size_t n = im->len / sizeof(*r), i;
	monotime_t now = monotime_now();

	if (im->len % sizeof(*r) != 0)
		fatalx("results of the table process: odd size");
	for (i = 0; i < n; i++) {
		char buf[FLOW_STRLEN];

		if (r[i].error >= STATETBL_ERROR_MAX ||
		    flow_check(&r[i].f, true) != NULL)
			fatalx("malformed result of the table process");
		if (r[i].error == STATETBL_CLASH &&
		    flow_check(&r[i].other, true) != NULL)
			continue;
		/* of a full one tell_full() tells */
		if (r[i].error != STATETBL_FULL && may_say(&e->refused,
		    "the kernel did not take a flow", now))
			log_warnx("the kernel did not take %s: %s",
			    flow_print(&r[i].f, buf, sizeof(buf)),
			    why_refused(&r[i]));
		repl_result(e->repl, &r[i], now);
	}
}

static void
first_dump_done(struct engine *e)
{
	hints_old_free(e->old);
	e->old = NULL;
	log_debug("%u flows at start", statedb_count(e->db));
}

static void
table_msg(struct channel *c, struct imsg *im, void *arg)
{
	const struct sync_dump *d = im->data;
	const struct sync_done *done = im->data;
	struct engine *e = arg;
	const char *bad;

	(void)c;
	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_TABLE);
	if (bad != NULL)
		fatalx("message %u from the table process: %s", im->type,
		    bad);
	if (!e->started_up)
		return;		/* the first dump will show it */
	switch (im->type) {
	case PMSG_EVENTS:
		got_events(e, im);
		break;
	case PMSG_RESULTS:
		got_results(e, im);
		break;
	case PMSG_HELD:
		got_held(e, im);
		break;
	case PMSG_DONE:
		if (!repl_done(e->repl, done->n))
			fatalx("more done by the table process than was asked");
		break;
	case PMSG_DUMPED:
		repl_dumped(e->repl, d->dump, d->complete != 0,
		    monotime_now());
		if (e->old != NULL && d->complete)
			first_dump_done(e);
		break;
	case PMSG_OVERRUN:
		if (may_say(&e->overruns, "events of the kernel were lost",
		    monotime_now()))
			log_warnx("events of the kernel were lost: looking "
			    "at the whole table");
		repl_overrun(e->repl, monotime_now());
		break;
	case PMSG_STATS:
		memcpy(&e->stats, im->data, sizeof(e->stats));
		e->stats_due = false;
		ctl_stats(e);
		break;
	default:
		fatalx("message %u from the table process", im->type);
	}
	engine_pump(e);
}

static void
table_gone(struct channel *c, const char *why, void *arg)
{
	(void)c;
	(void)arg;
	fatalx("the table process is gone: %s", why);
}

/* ---- the parent ---- */

static void
kif_readable(int fd, int what, void *arg)
{
	struct engine *e = arg;

	(void)fd;
	(void)what;
	kif_read(e->kif);
}

static void
quiet_cb(void *arg)
{
	struct engine *e = arg;

	e->quiet_end = MONOTIME_NEVER;
	if (e->settled)
		e->refilter = true;
	e->settled = true;
	engine_pump(e);
}

/*
 * Own addresses decide what is exported; changes come in bunches.  Those that
 * never end do not put it off for ever.
 */
static void
addrs_changed(struct engine *e)
{
	monotime_t now = monotime_now();

	if (!monotime_isset(e->quiet_end))
		e->quiet_end = monotime_add(now, ENGINE_QUIET_MAX);
	/*
	 * At start those that there are come at once, and what comes later is
	 * looked at again: a bulk update need not wait for it.
	 */
	ev_timer_at(e->quiet_timer, earlier(e->quiet_end, monotime_add(now,
	    e->settled ? ENGINE_QUIET : ENGINE_QUIET_START)));
}

/* Once; a host that has so many has them for long. */
static void
too_many_addrs(struct engine *e)
{
	if (!e->addrs_full)
		log_warnx("more than %d own addresses: the others are not "
		    "known as our own", NOSYNC_ADDRS_MAX);
	e->addrs_full = true;
}

static void
kif_event(const struct kif_event *k, void *arg)
{
	struct engine *e = arg;

	switch (k->type) {
	case KIF_ADDR_ADD:
	case KIF_ADDR_DEL:
		if (!nosync_addr(&e->nosync, k->ifname, &k->addr,
		    k->type == KIF_ADDR_ADD))
			too_many_addrs(e);
		addrs_changed(e);
		return;
	case KIF_GONE:
		nosync_forget(&e->nosync, k->ifname);
		addrs_changed(e);
		return;
	case KIF_LINK:
	case KIF_TC:
	case KIF_OVERRUN:
		return;
	}
}

/*
 * Flows are named by a hash (flow_hash()) that all nodes must agree on, also
 * while one has a key that the others do not have yet: so it has none of the
 * configured ones.
 */
static void
make_idkey(const uint8_t key[HMAC_SHA256_LEN], uint8_t idkey[16])
{
	static const char label[] = "pfsyncd-flow";
	uint8_t mix[sizeof(label) + HMAC_SHA256_LEN], sum[HMAC_SHA256_LEN];

	memcpy(mix, label, sizeof(label));
	memcpy(mix + sizeof(label), key, HMAC_SHA256_LEN);
	hmac_sha256_once(mix, sizeof(mix), sum);
	memcpy(idkey, sum, 16);
}

/* Keys of the configuration into their contexts, and out of it. */
static void
take_keys(struct engine *e)
{
	uint8_t salt[CRYPT_SALT_LEN];
	size_t i;

	auth_conf(e->auth, &e->conf.auth);
	hmac_random(salt, sizeof(salt));
	crypt_rekey(e->crypt, salt);
	for (i = 0; i < AUTH_KEYS_MAX; i++)
		hmac_wipe(e->conf.auth.keys[i].key, AUTH_KEY_LEN);
}

static void
start_auth(struct engine *e, uint8_t idkey[16])
{
	uint8_t key[HMAC_SHA256_LEN];

	trailer_derive(TRAILER_PFSYNC, "", 0, key);
	e->open = hmac_new(HMAC_ALG_SHA256, key, sizeof(key));
	make_idkey(key, idkey);
	hmac_random(key, sizeof(key));
	e->auth = auth_new(TRAILER_PFSYNC, e->start.node, e->start.epoch, key);
	e->crypt = crypt_new(e->auth, e->start.node, e->start.epoch, key);
	hmac_wipe(key, sizeof(key));
	take_keys(e);
}

/* What the last run knew: of nodes, and of flows as they are asked for. */
static void
use_hints(struct engine *e, monotime_t now)
{
	uint32_t node, boot;
	unsigned int i;

	for (i = 0; hints_node(e->old, i, &node, &boot); i++)
		repl_known(e->repl, node, boot, now);
	repl_hints(e->repl, hints_find, e->old);
}

static void
start_cores(struct engine *e)
{
	const struct repl_hooks hooks = { hook_changed, hook_removed,
	    hook_exports, hook_crosses, hook_noted, hook_booted, hook_asks,
	    e };
	const uint32_t pf = e->conf.dialects & ~(1U << DIALECT_NATIVE);
	monotime_t now = monotime_now();
	struct pfdial_conf pc;
	struct repl_conf rc;
	uint8_t key[16];

	start_auth(e, key);
	e->db = statedb_new(key);
	statedb_limit(e->db, e->conf.maxstates);
	memset(&rc, 0, sizeof(rc));
	rc.node = e->start.node;
	rc.boot = e->start.boot;
	rc.epoch = e->start.epoch;
	rc.clock = e->start.clock;
	rc.refresh = e->conf.refresh;
	rc.native = (e->conf.dialects & (1U << DIALECT_NATIVE)) != 0;
	e->hints = hints_new(e->hints_fd, e->start.boot, e->start.node);
	e->repl = repl_new(&rc, e->db, &hooks, now);
	if (e->old_fd != -1 && (e->old = hints_load(e->old_fd, e->start.boot,
	    e->start.node)) != NULL)
		use_hints(e, now);
	if (pf != 0) {
		memset(&pc, 0, sizeof(pc));
		pc.creatorid = e->start.node;
		pc.maxupd = e->conf.maxupd;
		memcpy(pc.idkey, key, sizeof(pc.idkey));
		pc.sends = (pf & (1U << DIALECT_OPENBSD)) != 0;
		e->pfdial = pfdial_new(&pc, e->repl, now);
	}
	e->started_up = true;
}

/* How long packets may be, and what of that is not repl's. */
static void
tell_mtu_room(struct engine *e)
{
	if (e->sock != NULL)
		repl_mtu(e->repl, e->sock_info.mtu,
		    (uint32_t)trailer_room(e) +
		    (e->sock_info.dst.af == AF_INET6 ? FRAME_IP6_LEN :
		    FRAME_IP4_LEN));
}

static void
got_conf(struct engine *e, const struct config *c)
{
	if (!config_ok(c))
		fatalx("malformed configuration from the parent");
	e->conf = *c;
	if (!e->configured) {
		nosync_init(&e->nosync, c);
		start_cores(e);
	} else {
		take_keys(e);
		tell_mtu_room(e);
		nosync_rules(&e->nosync, c);
		repl_conf(e->repl, c->refresh);
		if (e->pfdial != NULL)
			pfdial_conf(e->pfdial, c->maxupd);
		e->refilter = true;
	}
	e->configured = true;
}

static void
link_changed(struct engine *e)
{
	bool up = e->link && e->sock != NULL;

	repl_link(e->repl, up, monotime_now());
	if (up && e->pfdial != NULL)
		pfdial_bulk(e->pfdial, monotime_now());
}

static void
close_sock(struct engine *e)
{
	ev_fd_free(e->sock_ev);
	syncsock_free(e->sock);
	e->sock_ev = NULL;
	e->sock = NULL;
}

static void
got_socket(struct engine *e, const struct sync_socket *s, int fd)
{
	close_sock(e);
	e->sock_info = *s;
	if ((e->sock = syncsock_new(fd, s)) == NULL) {
		log_warn("socket on %s", s->syncdev);
		return;
	}
	e->sock_ev = ev_fd_new(syncsock_fd(e->sock), EV_IN, sock_readable, e);
	tell_mtu_room(e);
	link_changed(e);
}

static void
got_link(struct engine *e, const struct sync_link *l)
{
	/* after a reload it may be that of another syncdev */
	if (l->ifindex == 0 || !l->open)
		close_sock(e);
	e->link = l->running != 0;
	e->link_told = true;
	log_info("%s: link %s", e->conf.syncdev, l->ifindex == 0 ? "gone" :
	    e->link ? "up" : "down");
	link_changed(e);
}

static void
got_carp(struct engine *e, const struct sync_carp *c)
{
	if (!e->carp && c->connected)
		log_debug("connected to carpd");
	e->carp = c->connected != 0;
	e->carp_heard = true;
	e->masters = c->masters;
	e->splits = c->splits;
	repl_carp(e->repl, c->masters, e->carp, monotime_now());
	repl_balanced(e->repl, c->balanced != 0);
	if (e->pfdial != NULL)
		pfdial_carp(e->pfdial, c->masters, monotime_now());
}

/* The configured addresses of carpd, all of them in one or more batches. */
static void
got_addrs(struct engine *e, const struct sync_addrs *a)
{
	struct shares *s = &e->new_shares;
	bool same;
	size_t i;

	if (a->n > sizeof(a->a) / sizeof(a->a[0]))
		fatalx("malformed addresses from the parent");
	for (i = 0; i < a->n && s->n < SHARES_MAX; i++) {
		if (!share_ok(&a->a[i]))
			fatalx("malformed address from the parent");
		s->s[s->n++] = a->a[i];
	}
	if (i < a->n)
		too_many_addrs(e);
	if (!a->last)
		return;
	same = s->n == e->shares.n;
	for (i = 0; same && i < s->n; i++)
		same = memcmp(&s->s[i].addr, &e->shares.s[i].addr,
		    sizeof(s->s[i].addr)) == 0;
	e->shares = *s;
	s->n = 0;
	if (same && e->addrs_told)
		return;
	e->addrs_told = true;
	nosync_forget(&e->nosync, "");
	for (i = 0; i < e->shares.n; i++)
		if (!nosync_addr(&e->nosync, "", &e->shares.s[i].addr, true))
			too_many_addrs(e);
	addrs_changed(e);
}

static void
got_vhosts(struct engine *e, const struct sync_vhosts *v)
{
	if (v->n > SYNC_VHOSTS_MAX)
		fatalx("malformed list of vhosts from the parent");
	repl_vhosts(e->repl, v->id, v->n, v->last != 0);
}

static void
log_status(struct engine *e)
{
	struct repl_status s;

	repl_status(e->repl, &s, monotime_now());
	log_info("%llu states carried here, %llu by others, %llu missing, "
	    "lag %lld us", (unsigned long long)s.local,
	    (unsigned long long)s.remote, (unsigned long long)s.missing,
	    (long long)(s.lag / 1000));
}

static void
stop(struct engine *e)
{
	if (e->stopping)
		return;
	e->stopping = true;
	if (e->repl != NULL) {
		repl_leave(e->repl, monotime_now());
		e->sent_at = (monotime_t){ 0 };
		engine_pump(e);
	}
	engine_to_parent(e, PMSG_STOPPED, NULL, 0);
}

/* Messages that come before the cores exist. */
static bool
early_msg(struct engine *e, const struct imsg *im)
{
	const struct sync_start *s = im->data;

	switch (im->type) {
	case PMSG_START:
		e->start = *s;
		if (s->node == 0)
			fatalx("malformed start from the parent");
		log_setverbose(s->verbose);
		return (true);
	case PMSG_CTL_SOCKET:
		e->control = control_new(im->fd, ctl_dispatch, e);
		return (true);
	case PMSG_KIF_SOCKET:
		if ((e->kif = kif_from_fd(im->fd, kif_event, e)) == NULL)
			fatal("kif_from_fd");
		e->kif_ev = ev_fd_new(im->fd, EV_IN, kif_readable, e);
		return (true);
	case PMSG_TABLE_CHANNEL:
		e->table = channel_new(im->fd, table_msg, table_gone, e);
		imsgbuf_limit(channel_imsgbuf(e->table), 4 * ENGINE_TABLE_MAX);
		e->watch_new = true;
		return (true);
	case PMSG_HINTS_OLD:
		e->old_fd = im->fd;
		return (true);
	case PMSG_HINTS_NEW:
		e->hints_fd = im->fd;
		return (true);
	case PMSG_CONF:
		if (e->start.node == 0)
			fatalx("configuration before the start");
		got_conf(e, im->data);
		return (true);
	case PMSG_STOP:
		stop(e);
		return (true);
	default:
		return (false);
	}
}

static void
parent_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct engine *e = arg;
	const char *bad;
	bool first;

	(void)c;
	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_PARENT);
	if (bad != NULL)
		fatalx("message %u from the parent: %s", im->type, bad);
	first = !e->configured;
	if (early_msg(e, im)) {
		if (first && e->configured) {
			if (e->kif != NULL && kif_dump(e->kif) == -1)
				log_warn("interface dump");
			addrs_changed(e);
			engine_to_parent(e, PMSG_READY, NULL, 0);
		}
		engine_pump(e);
		return;
	}
	if (!e->configured)
		fatalx("message %u before the configuration", im->type);
	switch (im->type) {
	case PMSG_SOCKET:
		got_socket(e, im->data, im->fd);
		break;
	case PMSG_LINK:
		got_link(e, im->data);
		break;
	case PMSG_CARP:
		got_carp(e, im->data);
		break;
	case PMSG_ADDRS:
		got_addrs(e, im->data);
		break;
	case PMSG_VHOSTS:
		got_vhosts(e, im->data);
		break;
	case PMSG_RELOADED:
		ctl_reloaded(e, im->data);
		break;
	case PMSG_STATUS:
		log_status(e);
		break;
	default:
		fatalx("message %u from the parent", im->type);
	}
	engine_pump(e);
}

static void
parent_gone(struct channel *c, const char *why, void *arg)
{
	struct engine *e = arg;

	(void)why;
	channel_free(c);
	e->parent = NULL;
	log_set_sink(NULL, NULL);
	ev_stop();
}

/* ---- the process ---- */

static void
log_to_parent(int pri, const char *line, void *arg)
{
	struct sync_log m;

	memset(&m, 0, sizeof(m));
	m.pri = pri;
	(void)strlcpy(m.line, line, sizeof(m.line));
	engine_to_parent(arg, PMSG_LOG, &m, sizeof(m));
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

	ignore_signals();
	log_procinit("engine");
	log_setverbose(verbose);
	if ((pw = getpwnam(user)) == NULL)
		fatalx("unknown user %s", user);
	hmac_setup();
	seal_setup();
	tzset();
	ev_init();
	if ((e = calloc(1, sizeof(*e))) == NULL)
		fatal("calloc");
	e->hints_fd = e->old_fd = -1;
	e->started = monotime_now();
	hold_init(&e->hold, e->started);
	e->timer = ev_timer_new(timer_cb, e);
	e->quiet_timer = ev_timer_new(quiet_cb, e);
	e->quiet_end = MONOTIME_NEVER;
	e->ask_timer = ev_timer_new(ctl_ask_cb, e);
	e->parent = channel_new(fd, parent_msg, parent_gone, e);
	log_set_sink(log_to_parent, e);
	sandbox_enter(SANDBOX_PFSYNCD_ENGINE, pw->pw_uid, pw->pw_gid);
	setproctitle("engine");
	ev_loop();
	if (e->parent != NULL)
		(void)channel_drain(e->parent, 1000);
	exit(0);
}
