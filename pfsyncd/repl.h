/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: replication between our own nodes.  Events of the kernel's table and
 * packets of peers go in; operations on the table and packets come out.  No
 * I/O, no clock, no allocation but in statedb_reserve(), which the engine
 * calls.
 *
 * The model.  Every flow has one carrier: the node whose kernel last showed
 * evidence of its traffic.  A node publishes what it carries, and nobody else
 * publishes that; so replication is that of one single-writer set per node,
 * and of two claims to one flow the newer wins (stamp, then node id).  A stamp
 * is given when a change is told, and is newer than every stamp seen so far.
 *
 *	kernel event --> entry --> queue --> packet --> peers
 *	packet --> entry --> operation --> kernel
 *
 * Every packet says what the sum of all (flow, stamp) is that its sender
 * carries.  Who finds another sum for what it holds of that node asks for the
 * sums of 64 groups, of the buckets that differ, for the keys of those, and
 * then for the flows it lacks; what it holds and the keys do not have is
 * deleted, unless its own kernel sees traffic of it.  All of these are
 * stateless questions that may be lost or repeated: what is not answered within
 * some round trips is asked again, step by step; and if the last packet of many
 * is not acknowledged another one follows, so that its loss is found.  A bulk
 * update is the question for the flows of all buckets.  A sender sends no more
 * than the slowest living peer acknowledged plus the window it gave.
 *
 * Who was away when a flow ended still has it, with a stamp older than its end.
 * So ends that were seen are remembered (ends.h) until each node carries just
 * what we hold of it: a node that returns is told all of those, and who tells,
 * or lists, such a flow gets its end as the answer.  It obeys unless its own
 * kernel has seen traffic of it since it lost us.
 */
#ifndef PFSYNCD_REPL_H
#define PFSYNCD_REPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/auth.h"
#include "../common/ibuf.h"
#include "../common/ipaddr.h"
#include "../common/monotime.h"
#include "../common/wire/native.h"
#include "defer.h"
#include "hold.h"
#include "os/statetbl.h"
#include "statedb.h"

#define REPL_HELLO	MONOTIME_SEC		/* a packet at least so often */
#define REPL_SILENT	(3 * MONOTIME_SEC)	/* unheard: not alive */
#define REPL_QUARANTINE	(5 * MONOTIME_SEC)	/* after leaving MASTER */
#define REPL_FORGET	(86400 * MONOTIME_SEC)	/* away: ends not kept for */
#define REPL_YOUNG	MONOTIME_SEC		/* unreplied: told after this */
#define REPL_EXTRA	10	/* s added to the carrier's remaining timeout */
#define REPL_MTU_MIN	768	/* whatever a peer says: our longest TLV fits */
#define REPL_WINDOW	256	/* packets a peer may be ahead of our ack */
#define REPL_VHOSTS	(500 * MONOTIME_MSEC)	/* who is MASTER is told */
#define REPL_VHOSTS_MAX	1024

struct repl_conf {
	uint32_t	 node;		/* our id, not 0 */
	uint32_t	 boot;		/* changes when the kernel lost all */
	uint64_t	 epoch;		/* of our trailers */
	uint64_t	 clock;		/* first stamp: microseconds since 1970 */
	uint32_t	 refresh;	/* s between looks for traffic */
	bool		 native;	/* our own dialect is spoken */
};

/* The pf dialects listen here (pfdial.c). May be NULL. */
struct repl_hooks {
	/* entry i, carried here, is new or changed: tell */
	void (*changed)(uint32_t i, void *arg);
	/* entry i goes; announce: it was ours and the peers must be told */
	void (*removed)(uint32_t i, bool announce, void *arg);
	/* may this flow be told to others? */
	bool (*exports)(const struct flow *f, void *arg);
	/* do its answers certainly come to another node? */
	bool (*crosses)(const struct flow *f, void *arg);
	/* who carries entry i, or its stamp, changed; gone: i is free again */
	void (*noted)(uint32_t i, bool gone, void *arg);
	/* the boot of that node as it is known from now on */
	void (*booted)(uint32_t node, uint32_t boot, void *arg);
	/* will pf peers be asked to acknowledge both halves of entry i? */
	bool (*asks)(uint32_t i, void *arg);
	void *arg;
};

/* A packet that may be taken (auth.h). */
struct repl_pkt {
	uint32_t	 node;
	struct ipaddr	 addr;		/* for show */
	uint64_t	 epoch, seq;
	enum auth_verdict auth;	/* proven: its epoch is the living one */
	uint16_t	 keyid;
	bool		 sealed;	/* was encrypted: for show */
	struct native_hdr hdr;
	const uint8_t	*tlv;
	size_t		 tlvlen;
};

struct repl_peer {		/* for show */
	uint32_t	 node;
	uint32_t	 mtu;		/* of its syncdev, 0: it did not say */
	struct ipaddr	 addr;
	bool		 alive, in_sync, starting, native;
	bool		 master;	/* says that it is, of some vhid */
	monotime_t	 heard, synced;
	uint64_t	 carries, have, mismatching;
	uint64_t	 packets, lost;
	int64_t		 lag;		/* ns */
	enum auth_verdict auth;		/* of its last packet */
	uint16_t	 keyid;
	bool		 sealed;
};

struct repl_status {
	uint64_t	 local, remote, young, missing;
	uint64_t	 tx_queue, op_queue;
	int64_t		 lag, lag_max;	/* ns */
	unsigned int	 bulk;		/* enum sync_bulk */
	uint64_t	 bulk_have, bulk_want;
	int64_t		 bulk_eta;	/* ns, -1 unknown */
	uint64_t	 mismatching;
	uint64_t	 ends;		/* that a node may not know */
	bool		 full;		/* the kernel's table is full */
	uint64_t	 clashes, stale, claims, adopted, repaired_put,
			 repaired_del, throttled, restored, replay, refused,
			 ends_lost;
};

struct repl;

/*
 * At start; fatal() when out of memory.  c and h are copied; db stays the
 * caller's, who frees it afterwards.
 */
struct repl	*repl_new(const struct repl_conf *c, struct statedb *db,
		    const struct repl_hooks *h, monotime_t now);
void		 repl_free(struct repl *r);
/* A reload: seconds between looks for traffic. */
void		 repl_conf(struct repl *r, uint32_t refresh);

/* ---- in ---- */

/* What the last run knew of a flow (hints.c). */
struct repl_hint {
	uint32_t	 carrier;	/* node id */
	uint32_t	 value;		/* repl_value() of what was told */
	uint64_t	 stamp;
	uint32_t	 boot;		/* of the carrier, if booted */
	bool		 booted;
};
/* A sum over what of a flow is told: translation, mark, status, TCP. */
uint32_t	 repl_value(const struct flow *f);
/*
 * Asked for each flow of the first dump.  false: nothing is known.  Without a
 * hint what the kernel has is taken for ours.
 */
typedef bool (*repl_hint_fn)(uint64_t h, struct repl_hint *hint, void *arg);
void		 repl_hints(struct repl *r, repl_hint_fn fn, void *arg);
/*
 * The last run heard that node, with this boot: it may carry flows and not be
 * there.  Before anything else comes in.
 */
void		 repl_known(struct repl *r, uint32_t node, uint32_t boot,
		    monotime_t now);
/*
 * Checked by flow_check(); now is when it was so: of a DUMP, by its `made`, but
 * not before repl_new().
 */
void		 repl_event(struct repl *r, const struct statetbl_event *e,
		    monotime_t now);
/*
 * The first packet of a flow that is not in the kernel's table yet is held
 * back; e is of type NEW.  The flow is told at once, and repl_let_go() names
 * the packet when all who listen have it in their kernels, or need not.  What
 * waits for DEFER_TIME goes on without us.
 */
void		 repl_defer(struct repl *r, const struct statetbl_event *e,
		    uint32_t packet, monotime_t now);
/* An operation failed: the flow is missing in the kernel, or clashes. */
void		 repl_result(struct repl *r, const struct statetbl_result *res,
		    monotime_t now);
/* The next n operations of repl_ops() were done; false: so many are not due. */
bool		 repl_done(struct repl *r, uint32_t n);
/* The dump of repl_want_dump() ended; incomplete: another is wanted soon. */
void		 repl_dumped(struct repl *r, uint32_t dump, bool complete,
		    monotime_t now);
/* Events were lost: a complete dump is wanted. */
void		 repl_overrun(struct repl *r, monotime_t now);
/* Of a peer, or of us: replays and what makes no sense are counted, no more. */
void		 repl_rx(struct repl *r, const struct repl_pkt *p,
		    monotime_t now);
/* How many vhids are MASTER here; connected: carpd is there. */
void		 repl_carp(struct repl *r, unsigned int masters,
		    bool connected, monotime_t now);
/*
 * The nodes share an interface (carpd.conf(5), LOAD BALANCING), so an answer may
 * pass at another one than the question: a flow that begins is told at once,
 * its changes wait for no company, and no kernel checks its windows, of which
 * each sees one half.
 */
void		 repl_balanced(struct repl *r, bool on);
/*
 * carpd's answer to repl_want_vhosts(): n ids of vhosts that are MASTER here,
 * in as many calls as it takes, last with the last of them.  The peers are told
 * once.  Those beyond REPL_VHOSTS_MAX are passed over.
 */
void		 repl_vhosts(struct repl *r,
		    const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n, bool last);
/* Does something wait that must not wait for company? */
bool		 repl_hasty(const struct repl *r);
/* syncdev can be used, or not; when it is back a bulk begins. */
void		 repl_link(struct repl *r, bool up, monotime_t now);
/*
 * The MTU of our syncdev; overhead is how much of it is not for repl_packet():
 * IP header and trailer.  Peers hear of it, and we send no longer packets than
 * what the narrowest of those that are alive has.
 */
void		 repl_mtu(struct repl *r, uint32_t mtu, uint32_t overhead);
/* carpctl sync now, sync flush. */
void		 repl_now(struct repl *r, monotime_t now);
void		 repl_flush(struct repl *r, monotime_t now);
/* What may be told has changed (rules, own addresses): look at all flows. */
void		 repl_refilter(struct repl *r, monotime_t now);
/* Time goes on; call it when repl_next() says and after anything else. */
void		 repl_tick(struct repl *r, monotime_t now);
/* Somebody listens from now on: say hello. */
void		 repl_speak(struct repl *r, monotime_t now);
/* We stop: the next packet says so. */
void		 repl_leave(struct repl *r, monotime_t now);

/* ---- out ---- */

/*
 * Fill one packet into w (an empty buffer, its size is what fits before the
 * trailer).  Returns its length, 0 when there is nothing to send now.  seq:
 * the sequence number its trailer will carry.
 */
size_t		 repl_packet(struct repl *r, struct wbuf *w, uint64_t seq,
		    monotime_t now);
/* Operations for the kernel, at most max; returns how many. */
size_t		 repl_ops(struct repl *r, struct statetbl_op *op, size_t max,
		    monotime_t now);
/* Packets of repl_defer() that may go on, at most max; returns how many. */
size_t		 repl_let_go(struct repl *r, struct defer_go *go, size_t max);
/* Does somebody hold a packet back until we have sent a packet? */
bool		 repl_urgent(struct repl *r);
/* Is a dump wanted now?  Then it is taken as started. */
bool		 repl_want_dump(struct repl *r, uint32_t *dump,
		    enum statetbl_what *what, monotime_t now);
/* Should the table watch for NEW (statetbl_watch_new)? */
bool		 repl_watch_new(const struct repl *r);
/*
 * A living peer is MASTER of something, and so are we: is carpd to be asked now
 * of what?  It is not asked again before it has answered.
 */
bool		 repl_want_vhosts(struct repl *r);
/*
 * Ids, at most max, of vhosts that are MASTER here and that a peer says are
 * MASTER there as well; who is its address.  0: no more now.
 */
size_t		 repl_rivals(struct repl *r, struct ipaddr *who,
		    uint8_t (*id)[NATIVE_VHOST_LEN], size_t max,
		    monotime_t now);
/* When to call repl_tick() and repl_packet() again at the latest. */
monotime_t	 repl_next(const struct repl *r, monotime_t now);
void		 repl_status(const struct repl *r, struct repl_status *s,
		    monotime_t now);
/* Peer number n (0 ..); false when there are no more. */
bool		 repl_peer(const struct repl *r, size_t n,
		    struct repl_peer *p, monotime_t now);
/*
 * A peer whose MTU is another than ours, told once for each pair of values:
 * true, and its node id, address and MTU are set.
 */
bool		 repl_mtu_differs(struct repl *r, struct repl_peer *p);
/*
 * What speaks for demoting this node, the first of liberal (window checks are
 * being switched off), syncdev (no link), bulk (MASTER of nothing, and states
 * come in); hold.h says when it does.
 */
enum hold_reason repl_hold(const struct repl *r);
/*
 * The kernel's table is full and replicas are not in it: from the first that it
 * refused until all are.
 */
bool		 repl_full(const struct repl *r);
/* Flows that wait to be told. */
size_t		 repl_waiting(const struct repl *r);
/* Operations not done yet. */
size_t		 repl_pending(const struct repl *r);
/*
 * The first bulk is over, also since nobody was heard for 5 s or nothing came
 * in for 60 s: `sync wait` may end.  Stays true.
 */
bool		 repl_synced(const struct repl *r);

/* ---- for the pf dialects ---- */

/*
 * A flow that a foreign peer told of: make or update it (translation may
 * differ from what is there; fresh: a new incarnation).  It is carried by
 * creatorid, which is no native node.  Returns its entry number, STATEDB_NONE
 * when refused.
 */
uint32_t	 repl_foreign_put(struct repl *r, uint32_t creatorid,
		    const struct flow *f, bool fresh, monotime_t now);
/* A foreign peer ended it (any carrier: pf does not ask). */
void		 repl_foreign_del(struct repl *r, uint32_t i, monotime_t now);
/* Something was heard from that foreign node. */
void		 repl_foreign_heard(struct repl *r, uint32_t creatorid,
		    monotime_t now);
/* A foreign peer has that half (CTMAP_IN, CTMAP_OUT) of entry i. */
void		 repl_foreign_acked(struct repl *r, uint32_t i,
		    unsigned int half);
/* Is the first packet of entry i held back? */
bool		 repl_is_held(const struct repl *r, uint32_t i);
/*
 * Operations queued so far, and done so far, in this order: one is in the
 * kernel, or needless, when done >= the queued count right after it was queued.
 */
uint64_t	 repl_ops_queued(const struct repl *r);
uint64_t	 repl_ops_done(const struct repl *r);
/* The id of node number n, 0 when there is none. */
uint32_t	 repl_node_id(const struct repl *r, unsigned int n);
/*
 * Is that node one of ours, heard in the native dialect?  What it says in
 * another one is not for us: it has told us already, and knows better.
 */
bool		 repl_is_native(const struct repl *r, uint32_t node);
/* Is a living one at that address? */
bool		 repl_native_at(const struct repl *r,
		    const struct ipaddr *addr);
/* Is a native node alive? */
bool		 repl_listened(const struct repl *r);
/* Is entry i carried here? */
bool		 repl_is_local(const struct repl *r, uint32_t i);
struct statedb	*repl_db(struct repl *r);

/* Invariants; NULL or a static text.  Slow, for tests. */
const char	*repl_check(const struct repl *r);

#endif
