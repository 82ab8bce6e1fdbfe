/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The inside of pfdial.h: shared by pfdial.c (tables, local changes, timers),
 * pfdial_rx.c (what peers say) and pfdial_tx.c (what we say).
 */
#ifndef PFSYNCD_PFDIAL_INT_H
#define PFSYNCD_PFDIAL_INT_H

#include "ctmap.h"
#include "msgs.h"
#include "pfdial.h"

#define SENT_VERSION	PFSYNC_VERSION_OPENBSD
#define FORM		PFSYNC_FORM_OPENBSD

#define BATCH		(5 * MONOTIME_MSEC)	/* INS, DEL_C: fill packets */
#define LAZY		MONOTIME_SEC		/* pfsync's own timer */
#define PARTNER		(200 * MONOTIME_MSEC)	/* a lone state waits so long */
#define REQ_AGAIN	MONOTIME_SEC		/* same UPD_REQ not before */
#define REQ_RATE	10000	/* answers to UPD_REQ a second */

/*
 * What a bulk sends: 20 states each 4 ms, four full packets; the kernels send
 * one packet each 20 ms, and 1000 packets/s is what any of them takes.
 */
#define BULK_SLICE	20
#define BULK_TIME	(4 * MONOTIME_MSEC)
#define BULK_PAUSE	(5 * MONOTIME_SEC)	/* between two starts */
#define BULK_END2	MONOTIME_SEC		/* END again: it may be lost */
#define SCAN		8192	/* entries looked at for one packet */
/* Flows given back when leaving MASTER: these should be quicker. */
#define BACK_SLICE	32
#define BACK_TIME	(2 * MONOTIME_MSEC)

/* Our own request for a bulk update */
#define ASK_TIME	(2 * MONOTIME_SEC)
#define ASK_TRIES	12
#define ASK_FEW		2		/* beside native nodes: not waited for */
#define ASK_QUIET	(10 * MONOTIME_SEC)	/* START seen, then nothing */
#define ASK_LONGEST	(1800 * MONOTIME_SEC)

#define CHUNK_BITS	12
#define CHUNK		(1U << CHUNK_BITS)
#define WAITING		2048	/* lone states */
#define ACKS		1024
#define REQS		4096
#define RECENT		4096	/* UPD_REQ sent of late */
#define GRAVES		16384	/* flows of ours that ended of late */
#define CREATORS	64
#define PEERS		4	/* node numbers that repl gives to foreigners */
#define PEER_SILENT	60	/* s: then its number is for another one */
#define CLR_BURST	8	/* each looks at all flows */
#define CLR_RATE	2	/* a second */
#define NONE		UINT32_MAX

enum queue { Q_NONE, Q_UPD_C, Q_LAZY, Q_INS, Q_UPD, Q_MAX };

/* struct half.flags */
#define H_TOLD		0x01	/* peers know it from us */
#define H_HEARD		0x02	/* src, dst, state_flags are a peer's */

/* One pf state of a flow. */
struct half {
	uint64_t	 id, alias;
	uint32_t	 creatorid;	/* 0: this half is unknown */
	uint32_t	 alias_creatorid; /* 0: no alias */
	uint32_t	 next, prev;	/* in its queue */
	uint32_t	 ifname;	/* hash of the name heard */
	uint32_t	 sent;		/* s: when peers last had news of it */
	struct pfsync_peer src, dst;	/* as last heard */
	uint16_t	 state_flags;
	uint8_t		 queue;		/* enum queue */
	uint8_t		 updates;	/* since it is in Q_LAZY */
	uint8_t		 flags;
	uint8_t		 told_src, told_dst, told_timeout;
};

/* struct side.flags */
#define S_USED		0x01
#define S_GONE		0x02	/* the entry ended; nobody put it since */
#define S_CARRIED	0x04	/* a peer's flow that had traffic here */

/* What goes with the entry of statedb of the same number. */
struct side {
	struct half	 half[2];	/* CTMAP_IN, CTMAP_OUT */
	uint32_t	 tag;		/* of the entry's hash: still it? */
	uint32_t	 pair;		/* what its two halves share, hashed */
	uint32_t	 nat;		/* reply tuple, hashed */
	int32_t		 born;		/* s */
	uint32_t	 heard;		/* s: last word of a peer */
	uint32_t	 put;		/* s: given to repl; 0: ours since */
	uint8_t		 generation;
	uint8_t		 carrier;	/* as it was after that put */
	uint8_t		 flags;
	uint8_t		 pad;
};

/* Open addressing; a slot holds the hash, so growing needs nothing else. */
struct slot {
	uint32_t	 tag;
	uint32_t	 v;		/* NONE: empty */
};
struct index {
	struct slot	*s;
	unsigned int	 bits;
	uint32_t	 n;
};
/* Of identities: entry << 2 | half << 1 | alias. */
#define REF_ENTRY(v)		((v) >> 2)
#define REF_HALF(v)		((v) >> 1 & 1)
#define ENTRIES_MAX		(1U << 30)

/* Halves by next and prev: entry << 1 | half. */
struct list {
	uint32_t	 head, tail, n;
};

struct ring {			/* size is a power of two */
	struct pfsync_id *e;
	uint32_t	 size, head, n;
};

struct ack {
	struct pfsync_id id;
	uint64_t	 mark;		/* repl_ops_done() that it waits for */
};

/* A full state whose partner is not there yet. */
struct waiting {
	struct pfsync_state s;
	enum pfsync_form form;
	monotime_t	 due;
	uint32_t	 pair;
	uint32_t	 next;		/* with the same pair, or free */
	uint32_t	 next_id;	/* with the same identity's hash */
	uint32_t	 id_bucket;
	uint32_t	 before, after;	/* by due */
};

struct recent {
	struct pfsync_id id;
	monotime_t	 at;
};

/* An end may be lost: the next flow with this tuple gets other ids. */
struct grave {
	uint32_t	 tag;		/* of the flow's hash */
	uint8_t		 generation;
	bool		 used;
};

struct creator {
	uint32_t	 id;		/* 0: free */
	uint32_t	 n;		/* identities of it */
};

/* Whom repl knows as a foreign node. */
struct peer {
	uint32_t	 id;		/* 0: free */
	uint32_t	 heard;		/* s */
};

/* So many a second, no more. */
struct bucket {
	double		 tokens;
	monotime_t	 at;
};

struct bulk_tx {
	bool		 active, start, end, again;
	uint32_t	 pos, top;	/* halves */
	uint32_t	 tokens;
	monotime_t	 next, started, end2;
};

struct bulk_rx {
	unsigned int	 state;		/* enum sync_bulk */
	unsigned int	 tries;
	monotime_t	 at;		/* next try, or end of patience */
	monotime_t	 since;
	bool		 ask;		/* UPD_REQ(0, 0) goes out next */
};

struct giveback {
	bool		 active;
	uint32_t	 pos, top;	/* entries */
	uint32_t	 tokens;
	monotime_t	 next;
};

struct pfdial {
	struct pfdial_conf c;
	struct repl	*r;
	monotime_t	 base;
	uint32_t	 sec;		/* seconds since base, from 1 */

	struct side	**chunk;
	uint32_t	 nchunks, maxchunks;
	struct index	 ids;		/* identities */
	struct index	 pairs;		/* side.pair -> entry */
	struct creator	 creators[CREATORS];

	struct list	 q[Q_MAX];
	struct ring	 del;		/* DEL_C */
	struct ring	 req;		/* UPD_REQ */
	struct ack	 ack[ACKS];
	uint32_t	 ack_head, ack_n;
	struct recent	 recent[RECENT];
	struct grave	 grave[GRAVES];
	monotime_t	 due;		/* the urgent queues go out */
	monotime_t	 lazy;		/* Q_LAZY becomes urgent */

	struct waiting	*wait;		/* WAITING */
	uint32_t	 wait_bucket[WAITING], wait_id_bucket[WAITING];
	uint32_t	 wait_free;
	uint32_t	 wait_first, wait_last;

	struct bulk_tx	 btx;
	struct bulk_rx	 brx;
	struct giveback	 back;
	unsigned int	 masters;
	bool		 mastered;	/* were MASTER once */
	uint32_t	 master_from;	/* s */
	struct peer	 peers[PEERS];
	uint32_t	 peer;		/* of them, heard last; 0: none */
	uint32_t	 quiet;		/* its end is no news to peers */
	struct bucket	 req_limit, clr_limit;
	uint64_t	 late[PFSYNC_C_MAX]; /* counted between packets */

	/* while a packet is walked through */
	monotime_t	 now;
	uint64_t	*count;
	uint32_t	 heard;		/* creatorid reported last */
	bool		 v6;

	uint64_t	 in[PFSYNC_KINDS], out[PFSYNC_KINDS];
	uint64_t	 lost;		/* what no queue had room for */
};

static inline struct side *
pfdial_side(const struct pfdial *d, uint32_t i)
{
	if (i >> CHUNK_BITS >= d->nchunks)
		return (NULL);
	return (&d->chunk[i >> CHUNK_BITS][i & (CHUNK - 1)]);
}

static inline struct half *
pfdial_half(const struct pfdial *d, uint32_t n)
{
	return (&pfdial_side(d, n >> 1)->half[n & 1]);
}

/* ---- pfdial.c ---- */
uint32_t	 pfdial_sec(struct pfdial *d, monotime_t now);
/* Walk what may have that hash: *pos starts at NONE; NONE: no more. */
uint32_t	 pfdial_index_next(const struct index *x, uint32_t tag,
		    uint32_t *pos);
uint32_t	 pfdial_find(const struct pfdial *d, uint64_t id,
		    uint32_t creatorid);	/* REF, or NONE */
/* How many identities of that creator are known. */
uint32_t	 pfdial_creator_count(const struct pfdial *d, uint32_t id);
/* What IN and OUT of a flow have in common, from what one of them says. */
uint32_t	 pfdial_pair_hash_half(const struct pfdial *d,
		    const struct flow *f, int half);
uint32_t	 pfdial_identity_hash(const struct pfdial *d, uint64_t id,
		    uint32_t creatorid);
uint32_t	 pfdial_name_hash(const struct pfdial *d, const char name[16]);
/* Make the side of entry i, which has none. */
void		 pfdial_side_new(struct pfdial *d, uint32_t i, uint32_t pair,
		    int32_t born);
/* Forget a half, or all; nobody is told. */
void		 pfdial_half_forget(struct pfdial *d, uint32_t n);
void		 pfdial_forget(struct pfdial *d, uint32_t i);
/* Tell peers that a half and its alias are gone; it stays otherwise. */
void		 pfdial_half_del(struct pfdial *d, uint32_t n, monotime_t now);
/* A flow that peers were told of under ids of ours goes. */
void		 pfdial_bury(struct pfdial *d, uint32_t i);
/* Give a half that has none an identity.  false: no room, or it is taken. */
bool		 pfdial_identify(struct pfdial *d, uint32_t n, uint64_t id,
		    uint32_t creatorid);
/* The half gets another one; the former is kept as alias. */
bool		 pfdial_adopt(struct pfdial *d, uint32_t n, uint64_t id,
		    uint32_t creatorid);
/* Peer states and timeout of a half as we would tell them now. */
void		 pfdial_view(const struct pfdial *d, uint32_t n,
		    const struct flow *f, struct pfsync_peer *src,
		    struct pfsync_peer *dst, uint8_t *timeout);
/* Queue; sooner: when the urgent ones go out at the latest. */
void		 pfdial_push(struct pfdial *d, uint32_t n, enum queue q);
void		 pfdial_unlink(struct pfdial *d, uint32_t n);
void		 pfdial_sooner(struct pfdial *d, monotime_t at);
bool		 pfdial_ring_put(struct pfdial *d, struct ring *r, uint64_t id,
		    uint32_t creatorid);

/* ---- pfdial_rx.c ---- */
void		 pfdial_wait_init(struct pfdial *d);
void		 pfdial_wait_tick(struct pfdial *d, monotime_t now);

/* ---- pfdial_tx.c ---- */
void		 pfdial_bulk_request(struct pfdial *d, monotime_t now);
void		 pfdial_bulk_tick(struct pfdial *d, monotime_t now);
void		 pfdial_giveback(struct pfdial *d, monotime_t now);

#endif
