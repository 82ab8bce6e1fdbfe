/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What received messages of the dialects of pf(4) do: pairing halves into
 * flows, merging, ending, answers that are owed.
 *
 * Nothing that came from the wire is sent again: what is put here is carried
 * by the peer, and only a local change of it speaks.
 */
#include <sys/param.h>
#include <netinet/in.h>

#include <string.h>

#include "pfdial_int.h"

#define PROTO_CARP	112
#define S_ESTABLISHED	4
#define AGE_MAX		315360000U	/* s: more is not believed */
#define BORN_SLACK	1		/* s: ages are whole seconds */
#define PUT_AGAIN	10		/* s: at least, between equal puts */

/* A full state on its way to its flow. */
struct state {
	const struct pfsync_state *s;
	enum pfsync_form form;
	uint32_t	 half;
	uint32_t	 pair;
	struct flow	 f;	/* as it would be without partner */
	bool		 ack;	/* wanted, and can be heard */
};

static bool
identity_eq(const struct pfsync_id *a, uint64_t id, uint32_t creatorid)
{
	return (a->id == id && a->creatorid == creatorid);
}

/* ---- answers that are owed ---- */

/* Version 5 hosts cannot hear version 6, which is all we send. */
static bool
answers(const struct pfdial *d, bool v6)
{
	return (d->c.sends && v6);
}

static void
owe_ack(struct pfdial *d, uint64_t id, uint32_t creatorid)
{
	if (d->ack_n == ACKS) {
		d->lost++;	/* it gives up waiting by itself */
		return;
	}
	d->ack[(d->ack_head + d->ack_n++) % ACKS] = (struct ack){
	    { id, creatorid }, repl_ops_queued(d->r) };
}

static void
ask_for(struct pfdial *d, uint64_t id, uint32_t creatorid)
{
	struct recent	*r;

	if (!answers(d, d->v6) || creatorid == 0)
		return;
	r = &d->recent[pfdial_identity_hash(d, id, creatorid) % RECENT];
	if (identity_eq(&r->id, id, creatorid) &&
	    monotime_sub(d->now, r->at) < REQ_AGAIN)
		return;
	if (!pfdial_ring_put(d, &d->req, id, creatorid))
		return;
	*r = (struct recent){ { id, creatorid }, d->now };
	pfdial_sooner(d, monotime_add(d->now, BATCH));
}

/* Our version is newer: say so at once. */
static void
owe_ours(struct pfdial *d, uint32_t n)
{
	struct half	*h = pfdial_half(d, n);

	d->count[PFSYNC_C_STALE]++;
	if (!answers(d, d->v6) || h->queue == Q_INS || h->queue == Q_UPD)
		return;
	if (h->queue != Q_UPD_C)
		pfdial_push(d, n, Q_UPD_C);
	pfdial_sooner(d, d->now);
}

/* ---- giving to repl ---- */

/*
 * As whom repl knows that creator.  A host may have had many ids, and anybody
 * can invent more: those beyond the first few share one number.
 */
static struct peer *
peer_of(struct pfdial *d, uint32_t creatorid)
{
	struct peer	*p, *spare = NULL;

	for (p = d->peers; p < d->peers + PEERS; p++) {
		if (p->id == creatorid)
			return (p);
		if (spare == NULL && (p->id == 0 ||
		    (d->sec - p->heard > PEER_SILENT &&
		    pfdial_creator_count(d, p->id) == 0)))
			spare = p;
	}
	if (spare == NULL)
		return (d->peers);
	*spare = (struct peer){ creatorid, d->sec };
	return (spare);
}

/*
 * Who carries it now: the creator, or whoever else carries our flows, or those
 * of another native node, which would say so itself.
 */
static uint32_t
carrier_id(struct pfdial *d, uint32_t creatorid)
{
	uint32_t	 other = d->c.creatorid ^ 0x80000000U;

	if (creatorid != d->c.creatorid && !repl_is_native(d->r, creatorid))
		return (peer_of(d, creatorid)->id);
	if (d->peer != 0)
		return (d->peer);
	return (other != 0 ? other : 1);
}

/* Is it carried by whom we gave it to last? */
static bool
is_theirs(const struct pfdial *d, uint32_t i)
{
	const struct side	*s = pfdial_side(d, i);

	return (!repl_is_local(d->r, i) && s->put != 0 &&
	    s->carrier == statedb_at(repl_db(d->r), i)->carrier);
}

static uint32_t
put(struct pfdial *d, uint32_t creatorid, const struct flow *f, bool fresh)
{
	struct side	*s;
	uint32_t	 i;

	i = repl_foreign_put(d->r, carrier_id(d, creatorid), f, fresh,
	    d->now);
	if (i == STATEDB_NONE)
		return (NONE);
	if ((s = pfdial_side(d, i)) == NULL) {
		d->lost++;
		return (NONE);
	}
	s->put = d->sec;
	s->carrier = statedb_at(repl_db(d->r), i)->carrier;
	return (i);
}

/* ---- merging ---- */

/* Modular: is a after b? */
static bool
seq_gt(uint32_t a, uint32_t b)
{
	return ((int32_t)(a - b) > 0);
}

/* 3.6; a zero is no sequence number: nobody knew one. */
static bool
ours_newer(const struct half *h, const struct pfsync_peer *ours,
    const struct pfsync_peer *theirs, bool tcp)
{
	if (ours->state != theirs->state)
		return (ours->state > theirs->state);
	return (tcp && h->flags & H_HEARD && ours->seqlo != 0 &&
	    seq_gt(ours->seqlo, theirs->seqlo));
}

static void
take_peer(struct pfsync_peer *to, const struct pfsync_peer *from)
{
	struct pfsync_peer	 old = *to;

	*to = *from;
	if (from->scrub_flag == PFSYNC_SCRUB_VALID)
		return;
	to->scrub_flags = old.scrub_flags;
	to->scrub_ttl = old.scrub_ttl;
	to->scrub_flag = old.scrub_flag;
	to->ts_mod = old.ts_mod;
}

/*
 * Merge what a peer says of half n; f is the flow as it is.  Returns on how
 * many sides ours is newer.
 */
static unsigned int
merge(struct pfdial *d, uint32_t n, const struct flow *f,
    const struct pfsync_peer *src, const struct pfsync_peer *dst,
    uint8_t timeout)
{
	struct half		*h = pfdial_half(d, n);
	struct pfsync_peer	 osrc, odst;
	uint8_t			 otimeout;
	bool			 tcp = f->proto == IPPROTO_TCP, a, b;

	pfdial_view(d, n, f, &osrc, &odst, &otimeout);
	a = ours_newer(h, &osrc, src, tcp);
	b = ours_newer(h, &odst, dst, tcp);
	h->src = osrc;
	h->dst = odst;
	if (!a)
		take_peer(&h->src, src);
	if (!b)
		take_peer(&h->dst, dst);
	if (!a || !b) {
		h->flags |= H_HEARD;
		h->told_src = src->state;
		h->told_dst = dst->state;
		h->told_timeout = timeout;
		h->sent = d->sec;
		pfdial_side(d, n >> 1)->heard = d->sec;
	}
	if (a || b)
		owe_ours(d, n);
	return ((unsigned int)a + b);
}

/* The flow that both halves, as they are now, tell of. */
static bool
merged_flow(const struct pfdial *d, uint32_t i, struct flow *f)
{
	const struct side	*s = pfdial_side(d, i);
	struct pfsync_peer	 src, dst;
	uint8_t			 timeout, a = 0, b = 0;
	uint32_t		 half;

	*f = statedb_at(repl_db(d->r), i)->f;
	for (half = 0; half < 2; half++) {
		if (s->half[half].creatorid == 0)
			continue;
		pfdial_view(d, i << 1 | half, f, &src, &dst, &timeout);
		a = MAX(a, src.state);
		b = MAX(b, dst.state);
	}
	return (ctmap_progress(f, a, b));
}

/* How far is a flow, in pf's words?  Greater is further. */
static void
states_of(const struct flow *f, uint8_t *src, uint8_t *dst)
{
	struct pfsync_peer	 a, b;
	uint8_t			 timeout;

	ctmap_export_peers(f, &a, &b, &timeout);
	*src = a.state;
	*dst = b.state;
}

static bool
advances(const struct flow *f, const struct flow *old)
{
	uint8_t	 fs, fd, os, od;

	states_of(f, &fs, &fd);
	states_of(old, &os, &od);
	return (fs > os || fd > od);
}

/*
 * After a merge that peers won at least in part.  UPD_C is evidence of traffic
 * there; a full update is none, unless it tells of progress.  Equal news is
 * not worth an operation of the kernel each second.
 */
static void
give(struct pfdial *d, uint32_t i, uint32_t creatorid, bool evidence,
    uint32_t expire)
{
	struct side		*s = pfdial_side(d, i);
	const struct flow	*old = &statedb_at(repl_db(d->r), i)->f;
	struct flow		 f;
	bool			 same, theirs = is_theirs(d, i);

	if (!merged_flow(d, i, &f))
		return;
	same = !advances(&f, old);
	if (same && !evidence && !theirs)
		return;
	if (expire != 0)
		f.timeout = MIN(expire, ctmap_timeout(IPPROTO_TCP,
		    FLOW_TCP_ESTABLISHED, 0));
	else
		f.timeout = ctmap_timeout(f.proto, f.tcp_state, f.status);
	if (same && theirs &&
	    d->sec - s->put < MIN(f.timeout / 4, PUT_AGAIN))
		return;
	if (put(d, creatorid, &f, false) == i && evidence)
		s->flags &= (uint8_t)~S_CARRIED;
}

/* States that no flow can be in: a SYN proxy's, or nobody's. */
static bool
sensible(const struct flow *f, uint8_t src, uint8_t dst)
{
	struct flow	 g = *f;

	return (ctmap_progress(&g, src, dst));
}

static void
update_known(struct pfdial *d, uint32_t n, const struct pfsync_peer *src,
    const struct pfsync_peer *dst, uint8_t timeout, bool compressed,
    uint32_t expire)
{
	const struct flow	*f = &statedb_at(repl_db(d->r), n >> 1)->f;
	uint32_t		 creatorid = pfdial_half(d, n)->creatorid;
	unsigned int		 newer;

	if (!sensible(f, src->state, dst->state)) {
		d->count[PFSYNC_C_BADVAL]++;
		return;
	}
	newer = merge(d, n, f, src, dst, timeout);
	if (newer < 2)
		give(d, n >> 1, creatorid, compressed && newer == 0, expire);
}

/* ---- full states: a flow for them ---- */

/* Remember what only this half knows; its first words are taken as they are. */
static void
learn(struct pfdial *d, uint32_t n, const struct pfsync_state *s)
{
	struct half	*h = pfdial_half(d, n);
	struct side	*sd = pfdial_side(d, n >> 1);

	h->state_flags = s->state_flags;
	h->ifname = pfdial_name_hash(d, s->ifname);
	h->src = s->src;
	h->dst = s->dst;
	h->flags |= H_HEARD;
	h->told_src = s->src.state;
	h->told_dst = s->dst.state;
	h->told_timeout = s->timeout;
	h->sent = sd->heard = d->sec;
}

static int32_t
born(const struct pfdial *d, const struct pfsync_state *s)
{
	return ((int32_t)d->sec - (int32_t)MIN(s->creation, AGE_MAX));
}

/* The state's identity and content to half n of an entry that has a side. */
static bool
attach(struct pfdial *d, uint32_t i, uint32_t half,
    const struct pfsync_state *s)
{
	uint32_t	 n = i << 1 | half;

	if (!pfdial_identify(d, n, s->id, s->creatorid)) {
		d->count[PFSYNC_C_ONOMEM]++;
		return (false);
	}
	learn(d, n, s);
	return (true);
}

static bool
is_closing(const struct flow *f)
{
	uint8_t	 src, dst;

	states_of(f, &src, &dst);
	return (src > S_ESTABLISHED || dst > S_ESTABLISHED);
}

/*
 * Is a state under another name the next connection with the same ports?  It
 * begins where ours is over; or it is younger, and behind what was only heard
 * of here.
 */
static bool
new_incarnation(const struct pfdial *d, uint32_t i, const struct state *st)
{
	const struct flow	*old = &statedb_at(repl_db(d->r), i)->f;

	if (st->f.proto != IPPROTO_TCP)
		return (false);
	if (old->tcp_state == FLOW_TCP_TIME_WAIT ||
	    old->tcp_state == FLOW_TCP_CLOSE ||
	    old->tcp_state == FLOW_TCP_LAST_ACK) {
		if (!is_closing(&st->f))
			return (true);
	}
	return (!repl_is_local(d->r, i) && advances(old, &st->f) &&
	    born(d, st->s) > pfdial_side(d, i)->born + BORN_SLACK);
}

/* The reverse: what we renewed, and the peer has not heard so. */
static bool
old_incarnation(const struct pfdial *d, uint32_t i, const struct state *st)
{
	const struct side	*sd = pfdial_side(d, i);

	return (st->f.proto == IPPROTO_TCP && sd->generation > 0 &&
	    repl_is_local(d->r, i) && is_closing(&st->f) &&
	    !is_closing(&statedb_at(repl_db(d->r), i)->f) &&
	    born(d, st->s) + BORN_SLACK < sd->born);
}

/* What pf does not know of a flow that we have already. */
static void
keep_ours(struct flow *f, const struct flow *old, bool fresh)
{
	f->mark = old->mark;
	if (f->proto != IPPROTO_TCP || fresh)
		return;
	f->tcp_flags[0] |= old->tcp_flags[0];
	f->tcp_flags[1] |= old->tcp_flags[1];
	if (!(f->wscale[0] | f->wscale[1]))
		memcpy(f->wscale, old->wscale, sizeof(f->wscale));
}

/*
 * A replica of one of our own nodes that no pf state was seen of: a bulk of
 * pf must not take it from its carrier.
 */
static bool
leave_it(const struct pfdial *d, uint32_t i, const struct flow *f)
{
	const struct statedb_entry	*e = statedb_at(repl_db(d->r), i);
	const struct side		*s = pfdial_side(d, i);

	if (s == NULL || (s->flags & S_GONE && s->tag == (uint32_t)e->h))
		return (false);
	return (memcmp(&e->f.reply, &f->reply, sizeof(f->reply)) == 0 &&
	    !advances(f, &e->f));
}

/* What peers know of entry i is over; of our own states, they must be told. */
static void
end_ours(struct pfdial *d, uint32_t i)
{
	uint32_t	 n;

	for (n = i << 1; n <= (i << 1 | 1); n++)
		if (pfdial_half(d, n)->creatorid == d->c.creatorid)
			pfdial_half_del(d, n, d->now);
	pfdial_bury(d, i);
	pfdial_forget(d, i);
}

/* Make the flow; its entry has a side then.  NONE: refused. */
static uint32_t
make_flow(struct pfdial *d, const struct pfsync_state *s, struct flow *f,
    uint32_t pair, bool fresh)
{
	struct statedb	*db = repl_db(d->r);
	struct side	*sd;
	uint32_t	 i;
	bool		 leave;

	i = statedb_find(db, f, statedb_hash(db, f));
	if (i != STATEDB_NONE)
		keep_ours(f, &statedb_at(db, i)->f, fresh);
	leave = i != STATEDB_NONE && !fresh && leave_it(d, i, f);
	if (!leave && (i = put(d, s->creatorid, f, fresh)) == NONE) {
		d->count[PFSYNC_C_BADSTATE]++;
		return (NONE);
	}
	end_ours(d, i);
	pfdial_side_new(d, i, pair, born(d, s));
	sd = pfdial_side(d, i);
	if (!(sd->flags & S_USED)) {
		d->count[PFSYNC_C_ONOMEM]++;
		return (NONE);
	}
	sd->put = leave ? 0 : d->sec;
	sd->carrier = statedb_at(db, i)->carrier;
	return (i);
}

/* ---- states of flows that are known ---- */

/* The flow that this state alone tells of; time left, or not. */
static bool
lone_flow(struct state *st)
{
	const struct pfsync_state	*s = st->s;
	struct pfsync_state		 t;
	bool				 in = st->half == CTMAP_IN;

	if (s->expire == 0) {
		t = *s;
		t.expire = 1;
		s = &t;
	}
	return (ctmap_import(in ? s : NULL, in ? NULL : s, st->form,
	    &st->f));
}

/* Does this half say the same of the flow as what we have? */
static bool
consistent(const struct state *st, const struct flow *f)
{
	if (f->proto != st->f.proto || f->af != st->f.af)
		return (false);
	if (st->half == CTMAP_IN)
		return (memcmp(&f->orig, &st->f.orig, sizeof(f->orig)) == 0);
	return (memcmp(&f->reply, &st->f.reply, sizeof(f->reply)) == 0);
}

/* The flow that entry i is goes on as a new connection. */
static void
begin_anew(struct pfdial *d, uint32_t i, const struct state *st)
{
	struct flow	 f = statedb_at(repl_db(d->r), i)->f;
	struct flow	 g = st->f;
	uint32_t	 pair = pfdial_side(d, i)->pair;

	g.orig = f.orig;
	g.reply = f.reply;
	g.mark = f.mark;
	end_ours(d, i);
	if ((i = make_flow(d, st->s, &g, pair, true)) != NONE)
		(void)attach(d, i, st->half, st->s);
}

/*
 * The partner of a half that was built alone comes late and tells of another
 * translation: another flow, then, with both.
 */
static bool
rebuild(struct pfdial *d, uint32_t i, const struct state *st)
{
	struct side		*sd = pfdial_side(d, i);
	struct half		 known = sd->half[!st->half];
	struct pfsync_state	 o;
	struct flow		 f;
	uint32_t		 j;

	ctmap_export(&statedb_at(repl_db(d->r), i)->f, (int)!st->half,
	    st->form, &o);
	/* what a lone state implies of its translation is on its stack key */
	if (known.creatorid == 0 || known.alias_creatorid != 0 ||
	    repl_is_local(d->r, i) ||
	    !ctmap_import(st->half == CTMAP_IN ? st->s : &o,
	    st->half == CTMAP_IN ? &o : st->s, st->form, &f))
		return (false);
	if (memcmp(&f.orig, &statedb_at(repl_db(d->r), i)->f.orig,
	    sizeof(f.orig)) != 0) {
		d->quiet = i;
		repl_foreign_del(d->r, i, d->now);
		d->quiet = NONE;
	}
	pfdial_forget(d, i);
	if ((j = make_flow(d, st->s, &f, st->pair, false)) == NONE)
		return (true);
	if (pfdial_identify(d, j << 1 | !st->half, known.id,
	    known.creatorid)) {
		known.queue = Q_NONE;
		*pfdial_half(d, j << 1 | !st->half) = known;
	}
	(void)attach(d, j, st->half, st->s);
	return (true);
}

/* A state of a flow that is known, under an identity that is not. */
static void
join_flow(struct pfdial *d, uint32_t i, const struct state *st)
{
	const struct pfsync_state	*s = st->s;
	uint32_t			 n = i << 1 | st->half;
	struct half			*h = pfdial_half(d, n);

	if (new_incarnation(d, i, st)) {
		begin_anew(d, i, st);
		return;
	}
	if (old_incarnation(d, i, st)) {
		if (answers(d, d->v6))
			(void)pfdial_ring_put(d, &d->del, s->id,
			    s->creatorid);
		pfdial_sooner(d, monotime_add(d->now, BATCH));
		return;
	}
	if (h->creatorid == 0) {
		if (!pfdial_identify(d, n, s->id, s->creatorid)) {
			d->count[PFSYNC_C_ONOMEM]++;
			return;
		}
	} else if (!pfdial_adopt(d, n, s->id, s->creatorid)) {
		d->count[PFSYNC_C_ONOMEM]++;
		return;
	}
	h->state_flags = s->state_flags;
	h->ifname = pfdial_name_hash(d, s->ifname);
	update_known(d, n, &s->src, &s->dst, s->timeout, false, s->expire);
}

/* true: it belongs to a flow that pf states are known of. */
static bool
known_flow(struct pfdial *d, const struct state *st)
{
	uint32_t		 pos, i;
	const struct side	*sd;

	pos = NONE;
	while ((i = pfdial_index_next(&d->pairs, st->pair, &pos)) != NONE)
		if (consistent(st, &statedb_at(repl_db(d->r), i)->f)) {
			join_flow(d, i, st);
			return (true);
		}
	pos = NONE;
	while ((i = pfdial_index_next(&d->pairs, st->pair, &pos)) != NONE) {
		sd = pfdial_side(d, i);
		if (sd->half[st->half].creatorid == 0 && rebuild(d, i, st))
			return (true);
	}
	return (false);
}

/* ---- lone states ---- */

void
pfdial_wait_init(struct pfdial *d)
{
	uint32_t	 k;

	for (k = 0; k < WAITING; k++) {
		d->wait_bucket[k] = d->wait_id_bucket[k] = NONE;
		d->wait[k].next = k + 1 < WAITING ? k + 1 : NONE;
	}
	d->wait_free = 0;
	d->wait_first = d->wait_last = NONE;
}

static void
wait_remove(struct pfdial *d, uint32_t k)
{
	struct waiting	*w = &d->wait[k];
	uint32_t	*p = &d->wait_bucket[w->pair % WAITING];

	while (*p != k)
		p = &d->wait[*p].next;
	*p = w->next;
	p = &d->wait_id_bucket[w->id_bucket];
	while (*p != k)
		p = &d->wait[*p].next_id;
	*p = w->next_id;
	if (w->before == NONE)
		d->wait_first = w->after;
	else
		d->wait[w->before].after = w->after;
	if (w->after == NONE)
		d->wait_last = w->before;
	else
		d->wait[w->after].before = w->before;
	w->next = d->wait_free;
	d->wait_free = k;
}

static void
wait_insert(struct pfdial *d, uint32_t k)
{
	struct waiting	*w = &d->wait[k];
	uint32_t	*p = &d->wait_bucket[w->pair % WAITING];

	w->next = *p;
	*p = k;
	p = &d->wait_id_bucket[w->id_bucket];
	w->next_id = *p;
	*p = k;
	w->before = d->wait_last;
	w->after = NONE;
	if (d->wait_last == NONE)
		d->wait_first = k;
	else
		d->wait[d->wait_last].after = k;
	d->wait_last = k;
}

/* Build a flow from one half, or from both; an ack is owed then. */
static void
build(struct pfdial *d, const struct state *a, const struct state *b)
{
	const struct pfsync_state	*h[2] = { NULL, NULL };
	struct flow			 f;
	uint32_t			 i;

	h[a->half] = a->s;
	if (b != NULL)
		h[b->half] = b->s;
	if (!ctmap_import(h[CTMAP_IN], h[CTMAP_OUT], a->form, &f)) {
		d->count[PFSYNC_C_BADSTATE]++;
		return;
	}
	if ((i = make_flow(d, a->s, &f, a->pair, false)) == NONE)
		return;
	if (attach(d, i, a->half, a->s) && a->ack)
		owe_ack(d, a->s->id, a->s->creatorid);
	if (b != NULL)
		(void)attach(d, i, b->half, b->s);
}

static void
state_of(const struct waiting *w, struct state *st)
{
	memset(st, 0, sizeof(*st));
	st->s = &w->s;
	st->form = w->form;
	st->half = w->s.direction == PFSYNC_DIR_OUT;
	st->pair = w->pair;
}

/* Its partner did not come. */
static void
wait_over(struct pfdial *d, uint32_t k)
{
	struct state	 st;

	state_of(&d->wait[k], &st);
	wait_remove(d, k);	/* its content stays until the next insertion */
	/* its flow may have come another way; an UPD_C may have changed it */
	if (!lone_flow(&st))
		d->count[PFSYNC_C_BADSTATE]++;
	else if (!known_flow(d, &st))
		build(d, &st, NULL);
}

void
pfdial_wait_tick(struct pfdial *d, monotime_t now)
{
	d->now = now;
	d->count = d->late;
	while (d->wait_first != NONE &&
	    monotime_cmp(d->wait[d->wait_first].due, now) <= 0)
		wait_over(d, d->wait_first);
	d->count = NULL;
}

/* The lone state with this identity, or NONE. */
static uint32_t
wait_find(const struct pfdial *d, uint64_t id, uint32_t creatorid)
{
	uint32_t	 k;

	if (d->wait_first == NONE)
		return (NONE);
	k = d->wait_id_bucket[pfdial_identity_hash(d, id, creatorid) %
	    WAITING];
	for (; k != NONE; k = d->wait[k].next_id)
		if (d->wait[k].s.id == id &&
		    d->wait[k].s.creatorid == creatorid)
			return (k);
	return (NONE);
}

static bool
wait_partner(struct pfdial *d, const struct state *st)
{
	uint32_t	 k = d->wait_bucket[st->pair % WAITING];
	struct state	 other;

	for (; k != NONE; k = d->wait[k].next) {
		const struct pfsync_state	*o = &d->wait[k].s;

		if (d->wait[k].pair != st->pair ||
		    d->wait[k].form != st->form ||
		    o->creatorid != st->s->creatorid ||
		    !(st->half == CTMAP_IN ? ctmap_pair(st->s, o) :
		    ctmap_pair(o, st->s)))
			continue;
		state_of(&d->wait[k], &other);
		wait_remove(d, k);
		build(d, st, &other);
		return (true);
	}
	return (false);
}

static void
wait_for_partner(struct pfdial *d, const struct state *st)
{
	struct waiting	*w;
	uint32_t	 k;

	if (d->wait_free == NONE)
		wait_over(d, d->wait_first);
	k = d->wait_free;
	w = &d->wait[k];
	d->wait_free = w->next;
	w->s = *st->s;
	w->form = st->form;
	w->due = monotime_add(d->now, PARTNER);
	w->pair = st->pair;
	w->id_bucket = pfdial_identity_hash(d, w->s.id, w->s.creatorid) %
	    WAITING;
	wait_insert(d, k);
}

/* ---- the end of states ---- */

/* The flow ends when this was the last half that is known. */
static void
end_half(struct pfdial *d, uint32_t n)
{
	uint32_t	 i = n >> 1;

	pfdial_half_forget(d, n);
	if (pfdial_half(d, n ^ 1)->creatorid != 0)
		return;
	d->quiet = i;
	repl_foreign_del(d->r, i, d->now);
	d->quiet = NONE;
	/* an entry that was reused meanwhile has no side yet */
	pfdial_forget(d, i);
}

/* ---- messages ---- */

static void
heard_from(struct pfdial *d, uint32_t creatorid)
{
	struct peer	*p;

	if (creatorid == 0 || creatorid == d->c.creatorid ||
	    repl_is_native(d->r, creatorid))
		return;
	p = peer_of(d, creatorid);
	p->heard = d->sec;
	d->peer = p->id;
	if (p->id == d->heard)
		return;
	d->heard = p->id;
	repl_foreign_heard(d->r, p->id, d->now);
}

/* Is it a state that may be here at all? */
static bool
importable(struct pfdial *d, const struct pfsync_state *s)
{
	if (s->proto == PFSYNC_PROTO || s->proto == PROTO_CARP) {
		d->count[PFSYNC_C_DROPPED_FILTER]++;
		return (false);
	}
	if (ctmap_pf_timeout(s->timeout) == 0 ||
	    s->state_flags & PFSYNC_STATE_NOSYNC) {
		d->count[PFSYNC_C_BADVAL]++;
		return (false);
	}
	if (s->creatorid == 0) {
		d->count[PFSYNC_C_BADSTATE]++;
		return (false);
	}
	return (true);
}

/* true: its flow was found by its identity. */
static bool
known_state(struct pfdial *d, const struct state *st)
{
	const struct pfsync_state	*s = st->s;
	uint32_t			 v, k;

	if ((v = pfdial_find(d, s->id, s->creatorid)) != NONE) {
		if (REF_HALF(v) == st->half && consistent(st,
		    &statedb_at(repl_db(d->r), REF_ENTRY(v))->f)) {
			update_known(d, v >> 1, &s->src, &s->dst, s->timeout,
			    false, s->expire);
			return (true);
		}
		end_half(d, v >> 1);	/* a host that counts anew */
	}
	/* told again: the newest word counts */
	if ((k = wait_find(d, s->id, s->creatorid)) != NONE)
		wait_remove(d, k);
	return (false);
}

static void
rx_state(struct pfdial *d, const struct pfsync_msg *m)
{
	const struct pfsync_state	*s = &m->state;
	struct state			 st = { .s = s, .form = m->form };

	if (!importable(d, s))
		return;
	heard_from(d, s->creatorid);
	st.half = s->direction == PFSYNC_DIR_IN ? CTMAP_IN : CTMAP_OUT;
	st.ack = (s->state_flags & PFSYNC_STATE_ACK) != 0 &&
	    answers(d, d->v6);
	if (!lone_flow(&st)) {
		d->count[PFSYNC_C_BADSTATE]++;
		return;
	}
	st.pair = pfdial_pair_hash_half(d, &st.f, (int)st.half);
	if (known_state(d, &st) || (s->expire != 0 && known_flow(d, &st))) {
		if (st.ack)
			owe_ack(d, s->id, s->creatorid);
	} else if (s->expire == 0) {
		d->count[PFSYNC_C_BADSTATE]++;	/* past its end */
	} else if (!wait_partner(d, &st)) {
		/* a creator that holds a packet back does not wait for us */
		if (st.ack)
			build(d, &st, NULL);
		else
			wait_for_partner(d, &st);
	}
}

/* Who says anything of a state has it. */
static void
acked(struct pfdial *d, uint32_t ref)
{
	repl_foreign_acked(d->r, REF_ENTRY(ref), REF_HALF(ref));
}

static void
rx_ins_ack(struct pfdial *d, const struct pfsync_id *id)
{
	uint32_t	 v;

	if ((v = pfdial_find(d, id->id, id->creatorid)) != NONE)
		acked(d, v);
}

static void
rx_upd_c(struct pfdial *d, const struct pfsync_upd_c *u)
{
	struct waiting	*w;
	uint32_t	 v, k;

	if (ctmap_pf_timeout(u->timeout) == 0) {
		d->count[PFSYNC_C_BADVAL]++;
		return;
	}
	heard_from(d, u->creatorid);
	if ((v = pfdial_find(d, u->id, u->creatorid)) != NONE) {
		acked(d, v);
		update_known(d, v >> 1, &u->src, &u->dst, u->timeout, true, 0);
		return;
	}
	if ((k = wait_find(d, u->id, u->creatorid)) == NONE) {
		ask_for(d, u->id, u->creatorid);
		return;
	}
	w = &d->wait[k];
	if (u->src.state >= w->s.src.state)
		take_peer(&w->s.src, &u->src);
	if (u->dst.state >= w->s.dst.state)
		take_peer(&w->s.dst, &u->dst);
	w->s.timeout = u->timeout;
}

static void
rx_del(struct pfdial *d, const struct pfsync_id *id)
{
	uint32_t	 v, k;

	heard_from(d, id->creatorid);
	if ((v = pfdial_find(d, id->id, id->creatorid)) != NONE)
		end_half(d, v >> 1);
	else if ((k = wait_find(d, id->id, id->creatorid)) != NONE)
		wait_remove(d, k);
	else
		d->count[PFSYNC_C_BADSTATE]++;
}

static bool
may(struct bucket *b, unsigned int rate, unsigned int burst, monotime_t now)
{
	b->tokens += (double)monotime_sub(now, b->at) / MONOTIME_SEC * rate;
	if (b->tokens > burst)
		b->tokens = burst;
	b->at = now;
	if (b->tokens < 1)
		return (false);
	b->tokens -= 1;
	return (true);
}

static void
rx_upd_req(struct pfdial *d, const struct pfsync_id *id)
{
	uint32_t	 v;

	if (!answers(d, d->v6))
		return;
	if (id->id == 0 && id->creatorid == 0) {
		pfdial_bulk_request(d, d->now);
		return;
	}
	if ((v = pfdial_find(d, id->id, id->creatorid)) == NONE) {
		d->count[PFSYNC_C_BADSTATE]++;
		return;
	}
	/* an answer is 22 times as long as its question */
	if (!may(&d->req_limit, REQ_RATE, REQ_RATE, d->now)) {
		d->lost++;
		return;
	}
	if (pfdial_half(d, v >> 1)->queue != Q_INS)
		pfdial_push(d, v >> 1, Q_UPD);
	pfdial_sooner(d, d->now);
}

static bool
half_cleared(const struct half *h, uint32_t creatorid, bool all,
    uint32_t ifname)
{
	return ((h->creatorid == creatorid ||
	    h->alias_creatorid == creatorid) &&
	    (all || h->ifname == ifname));
}

static void
clear_waiting(struct pfdial *d, uint32_t creatorid, bool all,
    uint32_t ifname)
{
	uint32_t	 k, next;

	for (k = d->wait_first; k != NONE; k = next) {
		next = d->wait[k].after;
		if (d->wait[k].s.creatorid == creatorid && (all ||
		    pfdial_name_hash(d, d->wait[k].s.ifname) == ifname))
			wait_remove(d, k);
	}
}

static void
rx_clr(struct pfdial *d, const struct pfsync_clr *c)
{
	uint32_t	 n, top = statedb_top(repl_db(d->r)) << 1, ifname;
	bool		 all = c->ifname[0] == '\0';

	heard_from(d, c->creatorid);
	if (c->creatorid == 0)
		return;
	ifname = pfdial_name_hash(d, c->ifname);
	clear_waiting(d, c->creatorid, all, ifname);
	if (pfdial_creator_count(d, c->creatorid) == 0)
		return;
	if (!may(&d->clr_limit, CLR_RATE, CLR_BURST, d->now)) {
		d->lost++;
		return;
	}
	for (n = 0; n < top && n >> 1 < d->nchunks << CHUNK_BITS; n++)
		if (half_cleared(pfdial_half(d, n), c->creatorid, all,
		    ifname))
			end_half(d, n);
}

static void
rx_bus(struct pfdial *d, const struct pfsync_msg *m)
{
	struct bulk_rx	*b = &d->brx;

	heard_from(d, m->bus.creatorid);
	if (m->index > 0 ||	/* as all kernels */
	    (b->state != SYNC_BULK_WAIT && b->state != SYNC_BULK_RUNNING))
		return;
	if (m->bus.status == PFSYNC_BUS_START) {
		b->state = SYNC_BULK_RUNNING;
		b->ask = false;
		b->at = monotime_add(d->now, ASK_QUIET);
	} else if (m->bus.status == PFSYNC_BUS_END) {
		/* an empty kernel sends no START (3.7) */
		b->state = SYNC_BULK_DONE;
		b->ask = false;
	}
}

static void
rx_msg(const struct pfsync_msg *m, enum pfsync_kind kind, void *arg)
{
	struct pfdial	*d = arg;

	d->in[kind]++;
	switch (kind) {
	case PFSYNC_K_UPD:
		if (d->brx.state == SYNC_BULK_RUNNING)
			d->brx.at = monotime_add(d->now, ASK_QUIET);
		rx_state(d, m);
		break;
	case PFSYNC_K_INS:
		rx_state(d, m);
		break;
	case PFSYNC_K_UPD_C:
		rx_upd_c(d, &m->upd_c);
		break;
	case PFSYNC_K_DEL_C:
		rx_del(d, &m->id);
		break;
	case PFSYNC_K_UPD_REQ:
		rx_upd_req(d, &m->id);
		break;
	case PFSYNC_K_CLR:
		rx_clr(d, &m->clr);
		break;
	case PFSYNC_K_BUS:
		rx_bus(d, m);
		break;
	case PFSYNC_K_INS_ACK:
		rx_ins_ack(d, &m->id);
		break;
	case PFSYNC_K_TDB:
	case PFSYNC_K_NONE:
		break;
	}
}

void
pfdial_rx(struct pfdial *d, const uint8_t *pkt, size_t len, uint64_t *count,
    monotime_t now)
{
	struct pfsync_hdr	 h;
	enum pfsync_counter	 bad;
	int			 c;

	if ((bad = pfsync_parse_hdr(pkt, len, &h)) != PFSYNC_C_MAX) {
		count[bad]++;
		return;
	}
	(void)pfdial_sec(d, now);
	d->now = now;
	d->count = count;
	d->heard = 0;
	d->v6 = h.version == SENT_VERSION;
	for (c = 0; c < PFSYNC_C_MAX; c++) {
		count[c] += d->late[c];
		d->late[c] = 0;
	}
	pfsync_walk(pkt, len, rx_msg, NULL, count, d);
	d->count = NULL;
}
