/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The message table of pfsyncd(8): name, who may send it, payload, descriptor,
 * variable size.  Three channels: parent-engine, parent-table, engine-table;
 * and carpctl's to the engine.  Payloads are flat structs of fixed-width
 * fields, zeroed first; strings are NUL-terminated within their field, which
 * the receiver checks.  Batches of records are arrays in one message; the
 * receiver checks that the size is a multiple and every record.
 */
#ifndef PFSYNCD_MSGS_H
#define PFSYNCD_MSGS_H

#include <net/if.h>

#include <stdint.h>

#include "../common/imsg.h"
#include "../common/ipaddr.h"
#include "../common/msgtab.h"
#include "../common/wire/native.h"
#include "config.h"
#include "defer.h"
#include "os/pktq.h"
#include "os/statetbl.h"
#include "shares.h"

#define SYNC_TEXT_MAX	1024

struct sync_text {		/* variable: 1..SYNC_TEXT_MAX bytes, no NUL */
	char		 text[SYNC_TEXT_MAX];
};
struct sync_start {		/* parent -> engine, once */
	uint64_t	 epoch;		/* of this start, see epoch.h */
	uint64_t	 clock;		/* microseconds since 1970 */
	uint32_t	 node;		/* node id = creatorid, not 0 */
	uint32_t	 boot;		/* changes when the kernel lost all */
	int32_t		 verbose;
	uint32_t	 pad;
};
struct sync_log {
	int32_t		 pri;		/* LOG_EMERG..LOG_DEBUG */
	char		 line[512];
};

enum sync_sock {
	SYNC_SOCK_PACKET,	/* AF_PACKET, SOCK_DGRAM, on syncdev: multicast */
	SYNC_SOCK_RAW4,		/* raw socket, the kernel makes the header */
	SYNC_SOCK_RAW6		/* raw socket, IPv6 */
};
struct sync_socket {		/* syncdev is there; descriptor rides along */
	char		 syncdev[IF_NAMESIZE];
	int32_t		 ifindex;
	uint32_t	 mtu;
	uint32_t	 kind;		/* enum sync_sock */
	struct ipaddr	 src;		/* whom we are on the wire */
	struct ipaddr	 dst;		/* group or syncpeer */
};
struct sync_link {		/* syncdev's link; gone: ifindex 0 */
	int32_t		 ifindex;
	uint8_t		 running;
	uint8_t		 open;		/* the socket told last is in use */
	uint8_t		 pad[2];
};
struct sync_carp {		/* what carpd says */
	uint8_t		 connected;
	uint8_t		 masters;	/* vhids that are MASTER here */
	uint8_t		 balanced;	/* nodes share an interface */
	uint8_t		 splits;	/* vhids MASTER here and elsewhere */
};
struct sync_addrs {		/* all carp addresses: a batch */
	uint32_t	 n;
	uint32_t	 last;		/* 1: the set is complete */
	struct share	 a[256];
};
#define SYNC_VHOSTS_MAX	128
struct sync_vhosts {		/* ids of vhosts that are MASTER */
	struct ipaddr	 who;		/* RIVALS: there, at a peer; VHOSTS: af
					   0, here: carpd's answer to WHICH */
	uint16_t	 n;
	uint8_t		 last;		/* VHOSTS: these were all */
	uint8_t		 pad[3];
	uint8_t		 id[SYNC_VHOSTS_MAX][NATIVE_VHOST_LEN];
};
struct sync_hold {		/* engine -> parent: carpd's ledger */
	uint8_t		 why;		/* enum hold_reason; NONE: no demotion */
	uint8_t		 synced;	/* once: `sync wait` may end */
	uint8_t		 pad[2];
};
struct sync_result {		/* of a reload */
	uint32_t	 client;	/* who asked; 0: a signal */
	int32_t		 error;		/* 0 done, else refused */
	char		 text[SYNC_TEXT_MAX];	/* first error line */
};

/* -- engine and table -- */

#define SYNC_EVENTS_MAX	(IMSG_DATA_MAX / sizeof(struct statetbl_event))
#define SYNC_OPS_MAX	(IMSG_DATA_MAX / sizeof(struct statetbl_op))
#define SYNC_RESULTS_MAX (IMSG_DATA_MAX / sizeof(struct statetbl_result))
#define SYNC_HELD_MAX	(IMSG_DATA_MAX / sizeof(struct pktq_packet))
#define SYNC_GO_MAX	512	/* in one message */
struct sync_events { struct statetbl_event e[SYNC_EVENTS_MAX]; };
struct sync_ops { struct statetbl_op op[SYNC_OPS_MAX]; };
struct sync_results { struct statetbl_result r[SYNC_RESULTS_MAX]; };
struct sync_held { struct pktq_packet p[SYNC_HELD_MAX]; };
struct sync_go { struct defer_go g[SYNC_GO_MAX]; };
struct sync_stats {
	struct statetbl_stats tbl;
	uint64_t	 acked, timed_out, overflow;	/* of defer.h */
};
struct sync_done {		/* so many operations of OPS are done */
	uint32_t	 n;
};
struct sync_dump {		/* engine asks; table ends it with the same */
	uint32_t	 dump;		/* number, not 0 */
	uint32_t	 what;		/* enum statetbl_what */
	uint32_t	 complete;	/* in the answer: 0, it has to be redone */
};
struct sync_flag {
	uint32_t	 on;
};

/* -- control socket -- */

/* What a bulk does, seen by the receiving side. */
enum sync_bulk { SYNC_BULK_NONE, SYNC_BULK_WAIT, SYNC_BULK_RUNNING,
	    SYNC_BULK_DONE, SYNC_BULK_FAILED, SYNC_BULK_MAX };
extern const char *const sync_bulk_names[SYNC_BULK_MAX];

struct sync_show {		/* one answer to CTL_SHOW */
	char		 syncdev[IF_NAMESIZE];
	struct ipaddr	 syncpeer;	/* the group when none is set */
	uint64_t	 now;		/* seconds since 1970 */
	uint64_t	 uptime_ms;
	uint32_t	 node;
	uint32_t	 dialects;	/* bits of enum config_dialect */
	uint32_t	 maxupd;
	uint32_t	 mtu;		/* of syncdev, 0: not there */
	uint32_t	 full;		/* the kernel's table is */
	uint8_t		 link;		/* syncdev is there and running */
	uint8_t		 auth;		/* enum auth_policy */
	uint8_t		 carp;		/* connected to carpd */
	uint8_t		 masters;
	uint8_t		 holding;	/* demotes carpd */
	uint8_t		 bulk;		/* enum sync_bulk */
	uint16_t	 keyid;		/* of what we send; auth off: 0 */
	char		 hold_reason[32];
	uint64_t	 states_local;	/* carried here */
	uint64_t	 states_remote;	/* carried by others */
	uint64_t	 states_young;	/* not told yet: unreplied */
	uint64_t	 states_missing; /* known, but not in the kernel */
	uint64_t	 states_ended;	/* a node that was away may have them */
	uint64_t	 memory;	/* bytes of the state database */
	uint64_t	 tx_queue;	/* flows waiting to be told */
	uint64_t	 op_queue;	/* operations waiting for the kernel */
	uint64_t	 lag_us;	/* change here to acknowledged there */
	uint64_t	 lag_max_us;	/* worst of the last 10 s */
	uint64_t	 bulk_have, bulk_want;	/* flows */
	uint64_t	 bulk_eta_ms;
	uint64_t	 kernel_count, kernel_max;
	uint64_t	 mismatching;	/* buckets, sum over the peers */
	int32_t		 senderr;	/* errno; 0: what is sent leaves */
	uint32_t	 splits;	/* vhids MASTER here and elsewhere */
};
struct sync_peer_info {
	uint32_t	 node;
	uint32_t	 mtu;		/* of its syncdev, 0: unknown */
	uint8_t		 dialect;	/* enum config_dialect */
	uint8_t		 alive;
	uint8_t		 in_sync;	/* sums are equal */
	uint8_t		 starting;
	uint8_t		 auth;		/* enum auth_verdict of its packets */
	uint8_t		 sealed;	/* which are encrypted */
	uint8_t		 master;	/* native: of some vhid */
	uint8_t		 pad;
	uint16_t	 keyid;		/* that it uses */
	uint8_t		 pad2[2];
	struct ipaddr	 addr;
	uint64_t	 heard_ms;	/* milliseconds ago */
	uint64_t	 carries;	/* flows it says it carries */
	uint64_t	 have;		/* of these, we have */
	uint64_t	 mismatching;	/* buckets that differ, as last known */
	uint64_t	 packets, lost;	/* received; sequence gaps */
	uint64_t	 lag_us;	/* its acknowledgement of us */
	uint64_t	 since_sync_ms;	/* since sums were last equal */
};
/* Why packets of a sender are not taken, as far as its operator can mend it. */
enum sync_why { SYNC_WHY_KEY, SYNC_WHY_KEYED, SYNC_WHY_KEYID, SYNC_WHY_OPEN,
	    SYNC_WHY_NONE, SYNC_WHY_TRAILER, SYNC_WHY_NATIVE, SYNC_WHY_PFSYNC,
	    SYNC_WHY_VERSION, SYNC_WHY_UNPROVEN, SYNC_WHY_MAX };
extern const char *const sync_why_names[SYNC_WHY_MAX];

struct sync_stranger {		/* a sender whose packets are not taken */
	struct ipaddr	 addr;
	uint32_t	 why;		/* enum sync_why */
	uint64_t	 packets;
	uint64_t	 heard_ms;	/* milliseconds ago */
};
struct sync_counter {
	char		 name[32];
	uint64_t	 value;
};

/*
 * name, from, payload, descriptor, variable
 */
#define PFSYNCD_MSGS(X)							\
	/* parent -> engine */						\
	X(START,	MSG_FROM_PARENT, struct sync_start, 0, 0)	\
	X(CTL_SOCKET,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(KIF_SOCKET,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(TABLE_CHANNEL, MSG_FROM_PARENT, struct msg_none, 1, 0)	\
	X(HINTS_OLD,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(HINTS_NEW,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(CONF,		MSG_FROM_PARENT, struct config, 0, 0)		\
	X(SOCKET,	MSG_FROM_PARENT, struct sync_socket, 1, 0)	\
	X(LINK,		MSG_FROM_PARENT, struct sync_link, 0, 0)	\
	X(CARP,		MSG_FROM_PARENT, struct sync_carp, 0, 0)	\
	X(ADDRS,	MSG_FROM_PARENT, struct sync_addrs, 0, 0)	\
	X(VHOSTS,	MSG_FROM_PARENT, struct sync_vhosts, 0, 0)	\
	X(RELOADED,	MSG_FROM_PARENT, struct sync_result, 0, 0)	\
	X(STATUS,	MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	X(STOP,		MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	/* engine, table -> parent: the verbs of the root process */	\
	X(READY,	MSG_FROM_ENGINE | MSG_FROM_TABLE,		\
	    struct msg_none, 0, 0)					\
	X(LOG,		MSG_FROM_ENGINE | MSG_FROM_TABLE,		\
	    struct sync_log, 0, 0)					\
	X(RELOAD,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(HOLD,		MSG_FROM_ENGINE, struct sync_hold, 0, 0)	\
	X(WHICH,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(RIVALS,	MSG_FROM_ENGINE, struct sync_vhosts, 0, 0)	\
	X(STOPPED,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	/* parent -> table */						\
	X(TABLE_START,	MSG_FROM_PARENT, struct config, 0, 0)		\
	/* engine -> table */						\
	X(OPS,		MSG_FROM_ENGINE, struct sync_ops, 0, 1)		\
	X(DUMP,		MSG_FROM_ENGINE, struct sync_dump, 0, 0)	\
	X(WATCH_NEW,	MSG_FROM_ENGINE, struct sync_flag, 0, 0)	\
	X(WANT_STATS,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(LET_GO,	MSG_FROM_ENGINE, struct sync_go, 0, 1)		\
	/* table -> engine */						\
	X(EVENTS,	MSG_FROM_TABLE, struct sync_events, 0, 1)	\
	X(RESULTS,	MSG_FROM_TABLE, struct sync_results, 0, 1)	\
	X(DONE,		MSG_FROM_TABLE, struct sync_done, 0, 0)		\
	X(DUMPED,	MSG_FROM_TABLE, struct sync_dump, 0, 0)		\
	X(OVERRUN,	MSG_FROM_TABLE, struct msg_none, 0, 0)		\
	X(STATS,	MSG_FROM_TABLE, struct sync_stats, 0, 0)	\
	X(HELD,		MSG_FROM_TABLE, struct sync_held, 0, 1)		\
	/* carpctl -> engine */						\
	X(CTL_SHOW,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_NOW,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_FLUSH,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_RELOAD,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_LOG,	MSG_FROM_CLIENT, struct sync_flag, 0, 0)	\
	/* engine -> carpctl */						\
	X(CTL_SYNC,	MSG_FROM_ENGINE, struct sync_show, 0, 0)	\
	X(CTL_PEER,	MSG_FROM_ENGINE, struct sync_peer_info, 0, 0)	\
	X(CTL_STRANGER,	MSG_FROM_ENGINE, struct sync_stranger, 0, 0)	\
	X(CTL_COUNTER,	MSG_FROM_ENGINE, struct sync_counter, 0, 0)	\
	X(CTL_OK,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(CTL_FAIL,	MSG_FROM_ENGINE, struct sync_text, 0, 1)	\
	X(CTL_END,	MSG_FROM_ENGINE, struct msg_none, 0, 0)

enum pfsyncd_msg {
	PMSG_NONE,
#define X(name, from, payload, fd, var) PMSG_##name,
	PFSYNCD_MSGS(X)
#undef X
	PMSG_MAX
};

/* Indexed by enum pfsyncd_msg; entry 0 is nobody's. */
extern const struct msg_desc pfsyncd_msgs[PMSG_MAX];

#endif
