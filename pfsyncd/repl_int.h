/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The inside of repl.h: shared by repl.c (nodes, entries, claims),
 * repl_kernel.c (what the kernel says and is told), repl_rx.c (what peers say),
 * repl_tx.c (what we say), repl_ends.c (what ended while one was away) and
 * repl_vhosts.c (what is MASTER at two nodes).
 */
#ifndef PFSYNCD_REPL_INT_H
#define PFSYNCD_REPL_INT_H

#include <string.h>

#include "ends.h"
#include "repl.h"

/* statedb_entry.flags, besides STATEDB_F_ */
#define F_DIRTY		0x0002	/* to be told, with a new stamp */
#define F_RESEND	0x0004	/* to be told again, with its stamp */
#define F_REFRESH	0x0008	/* its timeout is to be told */
#define F_GONE		0x0010	/* ended; freed when nothing waits for it */
#define F_TELL		0x0020	/* F_GONE: the peers are to be told */
#define F_QTX		0x0040	/* in a transmit queue */
#define F_QOP		0x0080	/* in the operation queue */
#define F_YOUNG		0x0100	/* unreplied, not told yet */
#define F_CARRIED	0x0200	/* its traffic was seen here */
#define F_MISSING	0x0400	/* a replica that the kernel does not have */
#define F_MUTE		0x0800	/* ours, but not for others (no-sync) */
#define F_DYING		0x1000	/* the kernel is being told that it ends */
#define F_OVER		0x2000	/* F_GONE: its end is to be remembered */
#define F_LIVED		0x4000	/* its traffic was seen here while a node
				   was away */

/* statedb_entry.ops: what the kernel is to be told */
#define OP_PUT		0x01
#define OP_REPLACE	0x02
#define OP_SET		0x04
#define OP_TOUCH	0x08
#define OP_LIBERAL	0x10
#define OP_DELETE	0x20
#define OP_IDLE		0x40
#define OP_VERIFY	0x80

#define SELF		0	/* our number as carrier */
#define RING		1024	/* packets whose time of sending is kept */
#define YOUNG_MAX	65536	/* unreplied flows that wait */
#define YOUNG_RATE	2000	/* unreplied flows told a second */
#define HASTE_RATE	20000	/* the same where nodes share an interface */
#define DYING_MAX	65536	/* deletions on their way to the kernel */
#define SKIPS		64	/* runs of needless operations */
#define WANT_MAX	8192	/* hashes of flows that we ask for */
#define OWE_ACKS	1024	/* flows whose carriers hold a packet back */
#define HELD_FREE	512	/* all held, and a batch of new ones */
#define OWE_ENDS	8192	/* ends that are to be told as answers */
#define SCRATCH		16384	/* flows of a bucket that can be sorted */
#define KEYS_MAX	512	/* (h, stamp) in one TLV */
#define TIMEOUT_MAX	315360000U	/* s: flow_check() takes no more */
#define BACKLOG_MAX	32768	/* operations: no more credit for peers */
#define MAP_WORDS	(STATEDB_BUCKETS / 64)
#define VHOST_WORDS	(REPL_VHOSTS_MAX / 64)

#define ACK_PACKETS	8	/* acknowledge so many at once */
#define ACK_TIME	(2 * MONOTIME_MSEC)
#define SETTLE		(200 * MONOTIME_MSEC)	/* before a difference counts */
#define ASK_TIME	(200 * MONOTIME_MSEC)	/* between rounds of questions */
#define RTO_MIN		(50 * MONOTIME_MSEC)	/* before one is asked again */
#define RTO_MAX		(500 * MONOTIME_MSEC)
#define RTO_TRIES	6		/* then the round begins anew */
#define STALL_TIME	(2 * MONOTIME_SEC)	/* who does not ack so long */
#define NOBODY_TIME	(5 * MONOTIME_SEC)	/* to hear a peer at start */
#define BULK_TIME	(60 * MONOTIME_SEC)	/* no progress: give up */
#define DUMP_GAP	(10 * MONOTIME_SEC)	/* after an overrun */
#define DUMP_ALL	(60 * MONOTIME_SEC)	/* between complete looks */
#define REJOIN_TIME	(10 * MONOTIME_SEC)	/* to tell what ended */
#define MISSING_TIME	MONOTIME_SEC
#define FULL_MIN	(2 * MONOTIME_SEC)	/* before a full table is tried */
#define FULL_MAX	(60 * MONOTIME_SEC)
#define FULL_BATCH	64	/* insertions that find out whether it is */
#define FILLING		2000	/* insertions a second: do not watch NEW */

/* A node: number 0 is this one. */
struct node {
	uint32_t	 id;
	struct ipaddr	 addr;
	bool		 used, native, foreign;
	bool		 starting, alive, master;
	uint8_t		 turns;			/* how often it became that */
	uint32_t	 boot;
	uint64_t	 rivals[VHOST_WORDS];	/* vhosts of ours: MASTER there,
						   too */
	bool		 booted;		/* boot is known */
	bool		 emptied;		/* it came back with another one
						   before we were restored */
	uint32_t	 mtu;			/* of its syncdev; 0 unknown */
	uint32_t	 mtu_told;		/* the operator was told of it */
	uint64_t	 epoch, seq;		/* highest heard */
	enum auth_verdict auth;
	uint16_t	 keyid;
	bool		 sealed;
	uint64_t	 window_bits;		/* of the 64 before seq */
	monotime_t	 heard;
	uint64_t	 sum;			/* what it says */
	uint32_t	 count;
	uint64_t	 packets, lost;
	/* ends: numbers; those before */
	uint64_t	 ends_done;		/* are over there, too */
	uint64_t	 ends_told;		/* were sent to it */
	bool		 apart;			/* it fell silent */
	uint64_t	 apart_clock;		/* its stamps till it was back */
	/* its acknowledgements of us */
	uint64_t	 acked;
	monotime_t	 acked_at;
	uint32_t	 window;
	int64_t		 lag;
	int64_t		 rtt, rttvar;		/* ns, smoothed; 0: unknown */
	/* ours of it */
	uint32_t	 unacked;		/* that want it */
	monotime_t	 ack_due;
	uint64_t	 ack_told;		/* highest that we told */
	uint32_t	 window_told;
	uint8_t		 deaf;			/* held packets that it did not
						   acknowledge, in a row */
	/* the comparison */
	bool		 matched;		/* since it, or we, started */
	monotime_t	 synced;		/* sums were equal */
	monotime_t	 differs;		/* since; never when equal */
	monotime_t	 ask_at;		/* next question */
	unsigned int	 mismatching;		/* buckets, as last seen */
	bool		 bulk_asked;		/* and its answer still grows */
	uint32_t	 bulk_had;
	bool		 ask_groups;		/* to be asked: */
	bool		 ask_bulk;		/* all buckets */
	uint64_t	 ask_buckets;		/* groups */
	uint64_t	 ask_keys[MAP_WORDS];
	uint64_t	 ask_flows[MAP_WORDS];	/* buckets we lack wholly */
	uint64_t	 wait_buckets;		/* asked, and not answered: */
	uint64_t	 wait_keys[MAP_WORDS];
	unsigned int	 nwait_keys;
	unsigned int	 tries;			/* since the last answer */
};

struct fifo {
	uint32_t	 head, tail, n;
};

struct young {
	uint32_t	 i;
	uint32_t	 tag;		/* of the entry's hash: is it still it? */
	monotime_t	 due;
};

struct dying {
	uint32_t	 i;
	uint64_t	 op;		/* gone when so many are done */
};

/* Operations that were needless, one after the other. */
struct skip {
	uint64_t	 op;		/* done when so many are */
	uint32_t	 n;
};

struct want {
	uint64_t	 h;
	uint8_t		 node;
	uint64_t	 stamp;		/* KILL: its; else: at least that */
	bool		 kill;
	uint8_t		 tries;
	monotime_t	 due;		/* asked: when it is asked again */
};

/* A first packet of ours that is held back. */
struct held {
	uint64_t	 h;		/* of its flow */
	uint64_t	 stamp;		/* asked: of what was told */
	uint32_t	 packet;
	uint32_t	 owed;		/* acknowledgements: bits of nodes, or */
#define HELD_IN		(1U << 16)	/* of the pf peers: the two states */
#define HELD_OUT	(1U << 17)
	bool		 asked;
	bool		 waits;		/* else it has gone */
	monotime_t	 due;
};

/* A flow of another one, who waits till our kernel has it. */
struct owe_ack {
	uint64_t	 h, stamp;
	uint64_t	 mark;		/* marked: operations to wait for */
	uint8_t		 node;
	bool		 marked;
};

/* A bucket being sorted by hash: keys and bulk answers. */
struct sorted { uint64_t h; uint32_t i; };

struct repl {
	struct repl_conf c;
	struct repl_hooks hooks;
	struct statedb	*db;
	monotime_t	 start;
	uint64_t	 clock;			/* newest stamp given or seen */
	struct node	 nodes[STATEDB_CARRIERS];
	repl_hint_fn	 hint;
	void		*hint_arg;

	/* queues: linked by entry numbers */
	struct fifo	 urgent, fresh, resend;	/* txnext */
	struct fifo	 ops;			/* opnext */
	uint64_t	 ops_queued, ops_sent, ops_done;
	uint64_t	 told_table, done_table;	/* without the skipped */
	struct skip	 skips[SKIPS];
	uint32_t	 skips_head, skips_n;
	struct dying	 dying[DYING_MAX];
	uint32_t	 dying_head, dying_n;
	uint32_t	 put_sec, puts, puts_before;	/* insertions a second */
	bool		 filling;		/* many of them */
	monotime_t	 queued_since;		/* something waits to be told */
	struct young	 young[YOUNG_MAX];
	uint32_t	 young_head, young_n;
	double		 tokens;
	monotime_t	 tokens_at;

	/* packets */
	uint64_t	 seq;			/* of the last one */
	monotime_t	 sent[RING];	/* since when its flows had waited */
	monotime_t	 sent_at[RING];	/* itself */
	uint64_t	 ack_seq;		/* the last that wants an ack */
	monotime_t	 probe_due;		/* say hello if it got none */
	unsigned int	 probes;
	monotime_t	 hello_due;
	uint32_t	 mtu, overhead;		/* of our syncdev; 0 unknown */
	bool		 leaving;
	int64_t		 lag_max[10];		/* of each of 10 seconds */
	uint32_t	 lag_sec;

	/* answers that are owed */
	bool		 owe_groups;
	uint64_t	 owe_buckets;		/* groups */
	uint64_t	 owe_keys[MAP_WORDS];
	uint64_t	 owe_flows[MAP_WORDS];
	unsigned int	 owe_keys_n, owe_flows_n;
	uint64_t	 keys_cursor;		/* in the lowest owed bucket */
	struct sorted	 keys_list[SCRATCH];	/* scratch of put_keys() */
	int		 bulk_bucket;		/* -1: none */
	struct sorted	 bulk_list[SCRATCH];
	size_t		 bulk_n, bulk_pos;
	unsigned int	 bulk_from;		/* round robin */
	struct want	 want[WANT_MAX];
	uint32_t	 want_head, want_n;
	struct want	 again[WANT_MAX];	/* asked, and not there yet */
	uint32_t	 again_head, again_n;

	/* packets that are held back */
	struct held	 held[DEFER_MAX];	/* oldest first */
	uint32_t	 nheld;
	struct defer_go	 free[HELD_FREE];	/* to be let go */
	uint32_t	 nfree;
	uint8_t		 pf_deaf;		/* as deaf of a node */
	struct owe_ack	 owe_acks[OWE_ACKS];
	uint32_t	 owe_acks_head, owe_acks_n;

	/* what ended */
	struct ends	 ends;
	uint64_t	 owe_ends[OWE_ENDS];	/* answers: their numbers */
	uint32_t	 owe_ends_head, owe_ends_n;
	bool		 apart;			/* a node is, or was just now */
	bool		 watching;		/* what a dump shows is newer */
	monotime_t	 apart_at, rejoined;

	/* looking at the kernel */
	bool		 starting;		/* the first dump is not done */
	bool		 liberate_all;		/* another carried meanwhile */
	uint32_t	 telling;		/* of it, still to be told */
	uint32_t	 dump;			/* running, 0: none */
	uint32_t	 dump_last;
	enum statetbl_what dump_what;
	monotime_t	 dump_at;		/* begin of the running one */
	monotime_t	 dump_all, dump_part;	/* when they are next due */
	monotime_t	 dump_again;		/* another complete one */
	int64_t		 dump_took;
	monotime_t	 overrun_at;		/* last dump after an overrun */

	/* carpd, link, bulk */
	unsigned int	 masters;
	uint8_t		 turns;			/* how often we became MASTER */
	bool		 carp, link, left, balanced;
	monotime_t	 left_at;
	struct vhosts {
		uint8_t	 id[REPL_VHOSTS_MAX][NATIVE_VHOST_LEN];
		size_t	 n;
	}		 vhosts, new_vhosts;	/* MASTER here, sorted; the
						   answer so far */
	size_t		 vhosts_told;		/* of these, to the peers */
	bool		 vhosts_want, vhosts_asked;
	monotime_t	 vhosts_due;		/* next question */
	bool		 rivals;		/* of some node, untold */
	monotime_t	 rivals_due;
	uint64_t	 liberal_mark;		/* ops to wait for; 0: none */
	unsigned int	 bulk;			/* enum sync_bulk */
	monotime_t	 bulk_since, bulk_moved;
	uint64_t	 bulk_seen;
	bool		 synced;
	monotime_t	 missing_at;
	uint32_t	 missing_pos;
	/* the kernel's table is full */
	bool		 full;
	bool		 full_hit;		/* it said so since we tried */
	uint64_t	 full_mark;		/* ops to wait for; 0: none */
	monotime_t	 full_at;		/* next try */
	int64_t		 full_wait;
	uint32_t	 full_batch;
	uint32_t	 full_looked;		/* at, and none was missing */
	uint32_t	 nyoung, nmissing;

	struct repl_status count;		/* the counters of it */
};

/* ---- repl.c ---- */
uint32_t	 repl_sec(const struct repl *r, monotime_t now);
uint64_t	 repl_stamp(struct repl *r, monotime_t now);
void		 repl_seen_stamp(struct repl *r, uint64_t stamp);
int		 repl_node(struct repl *r, uint32_t id, monotime_t now);
void		 repl_push_tx(struct repl *r, uint32_t i, bool fresh,
		    monotime_t now);
void		 repl_push_op(struct repl *r, uint32_t i, unsigned int op);
void		 repl_dirty(struct repl *r, uint32_t i, monotime_t now);
void		 repl_claim(struct repl *r, uint32_t i, monotime_t now);
void		 repl_carrier(struct repl *r, uint32_t i, int node,
		    uint64_t stamp);
/* The flow is gone: tell: the peers; op: OP_DELETE, OP_IDLE or 0. */
void		 repl_gone(struct repl *r, uint32_t i, bool tell,
		    unsigned int op, monotime_t now);
/* Free it if nothing waits for it. */
void		 repl_reap(struct repl *r, uint32_t i);
/* An entry that was F_GONE is wanted again. */
void		 repl_revive(struct statedb_entry *e);
void		 repl_missing(struct repl *r, struct statedb_entry *e, bool on);
/* To the hook: who carries it, or its stamp, changed; gone: it is free. */
void		 repl_note(struct repl *r, uint32_t i, bool gone);
uint64_t	 repl_backlog(const struct repl *r);
/* What boot a node has is known now. */
void		 repl_booted(struct repl *r, int node, uint32_t boot);
void		 repl_adopt(struct repl *r, int node, monotime_t now);
/* Our kernel has told what it has: what was compared before means nothing. */
void		 repl_compare_again(struct repl *r);
void		 repl_liberate(struct repl *r);
void		 repl_carried_all(struct repl *r);
bool		 repl_fifo_pop(struct repl *r, struct fifo *q, bool op,
		    uint32_t *i);

/* ---- repl_kernel.c ---- */
/* Unreplied flows, what the kernel lacks, and whether we are being filled. */
void		 repl_kernel_tick(struct repl *r, monotime_t now);

/* A young one is told now. */
void		 repl_grow_up(struct repl *r, uint32_t i, monotime_t now);

/* ---- repl_defer.c ---- */
/* Node from has that flow in its kernel. */
void		 repl_ins_acked(struct repl *r, int from, uint64_t h,
		    uint64_t stamp);
void		 repl_defer_tick(struct repl *r, monotime_t now);
/* Acknowledgements are to be asked for; the next of them, false: none. */
bool		 repl_asks_wait(struct repl *r);
bool		 repl_ask_next(struct repl *r, struct native_del *d);
/* Node from asks for one. */
void		 repl_owe_ack(struct repl *r, int from, uint64_t h,
		    uint64_t stamp);
/* The next that can be told; NULL: none.  It stays till repl_ack_told(). */
const struct owe_ack *repl_next_ack(struct repl *r);
void		 repl_ack_told(struct repl *r);

/* ---- repl_rx.c ---- */
/* Ask a node for a flow with that stamp or a later one, soon. */
void		 repl_want(struct repl *r, uint64_t h, uint64_t stamp,
		    int from);
/* Nothing is asked of n any more, and no answer waited for. */
void		 repl_stop_asking(struct node *n);

/* ---- repl_ends.c ---- */
/* How many ends some node may not have heard of. */
uint64_t	 repl_ends_waiting(const struct repl *r);
/* n needs none of those that we remember now. */
void		 repl_ends_known(struct repl *r, struct node *n);
/* What was sent to n may not have arrived. */
void		 repl_ends_again(struct node *n);
/* n carries nothing that ended. */
void		 repl_ends_done(struct node *n);
/*
 * Is it sure that a flow which is gone has ended?  early: its timeout was not
 * over.
 */
bool		 repl_is_over(const struct flow *f, bool early);
/* Ours ended; told: all that listen are told in the packet being filled. */
void		 repl_ended(struct repl *r, uint64_t h, uint64_t stamp,
		    bool told);
/* Another one says that e ended. */
void		 repl_end_heard(struct repl *r, const struct statedb_entry *e,
		    int from, uint64_t stamp, monotime_t now);
/*
 * Is a flow that node has with that stamp over?  Then its end will be told.
 */
bool		 repl_over(struct repl *r, int node, uint64_t h,
		    uint64_t stamp);
/* Ends are to be told; the next of them, false: none. */
bool		 repl_ends_wait(const struct repl *r);
bool		 repl_end_next(struct repl *r, struct native_del *d);
/* Nobody listens. */
void		 repl_ends_drain(struct repl *r);
/* node fell silent: what has traffic here from now on lives, not there. */
void		 repl_apart(struct repl *r, int node, monotime_t now);
/* A complete dump is over. */
void		 repl_apart_looked(struct repl *r);
/* Traffic of e was seen, in a dump or not. */
void		 repl_traffic(const struct repl *r, struct statedb_entry *e,
		    bool dump);
/* node is heard again, and has given no stamp that is newer than clock. */
void		 repl_rejoins(struct node *n, uint64_t clock);
/*
 * Ours, had traffic here while somebody was away, and the end that one is told
 * of now, with that stamp, may be from then?
 */
bool		 repl_lived(const struct repl *r,
		    const struct statedb_entry *e, uint64_t stamp);
void		 repl_ends_tick(struct repl *r, monotime_t now);

/* ---- repl_vhosts.c ---- */
/* Is a living peer MASTER, and so are we? */
bool		 repl_two_masters(const struct repl *r);
void		 repl_vhosts_tick(struct repl *r, monotime_t now);
/* What carpd said is void. */
void		 repl_vhosts_forget(struct repl *r);
/* The next that the peers are to be told; NULL: none. */
const uint8_t	*repl_vhost_next(const struct repl *r);
/* n says that it is MASTER of these. */
void		 repl_hear_vhosts(struct repl *r, struct node *n,
		    struct rbuf *v);
/* When something here is due again; NEVER. */
monotime_t	 repl_vhosts_due(const struct repl *r, monotime_t now);

/* ---- repl_tx.c ---- */
/* Nobody listens: give the waiting flows their stamps. */
void		 repl_drain(struct repl *r, monotime_t now);
/* Acknowledgements came: is the last packet among those that arrived? */
void		 repl_acked(struct repl *r);
/* How long to wait for a node's answer before asking for it another time. */
int64_t		 repl_rto(const struct node *n, unsigned int tries);

static inline struct statedb_entry *
repl_at(struct repl *r, uint32_t i)
{
	return (statedb_at(r->db, i));
}

static inline void
repl_sooner(monotime_t *t, monotime_t at)
{
	if (monotime_cmp(at, *t) < 0)
		*t = at;
}

#endif
