/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The message table: name, who may send it, payload, descriptor.  Parent and
 * engine talk over a socketpair, carpctl and engine over the control socket.
 * Payloads are flat structs of fixed-width fields, zeroed first; strings are
 * NUL-terminated within their field, which the receiver checks.
 */
#ifndef CARPD_MSGS_H
#define CARPD_MSGS_H

#include <net/if.h>

#include <stdint.h>

#include "../common/ipaddr.h"
#include "../common/msgtab.h"
#include "choose.h"
#include "config.h"
#include "demote.h"

#define MSG_TEXT_MAX	1024
#define MSG_FRAME_MAX	768

struct msg_text {		/* variable: 1..MSG_TEXT_MAX bytes, no NUL */
	char		 text[MSG_TEXT_MAX];
};

struct msg_start {		/* parent -> engine, once */
	uint64_t	 epoch;		/* of this start, see epoch.h */
	uint32_t	 node;		/* node id, not 0 */
	int32_t		 verbose;
};

struct msg_carpdev {
	char		 name[IF_NAMESIZE];
	int32_t		 ifindex;
	uint8_t		 mac[6];
	uint8_t		 router;	/* IPv6 forwarding is on */
	uint8_t		 no_v6;		/* IPv6 is disabled there */
};

struct msg_unicast {		/* a socket to peers on a carpdev */
	char		 name[IF_NAMESIZE];
	uint8_t		 af;
	uint8_t		 pad[3];
};

struct msg_ipv6 {		/* of a carpdev, at a change or when asked */
	char		 name[IF_NAMESIZE];
	uint8_t		 router;	/* IPv6 forwarding is on */
	uint8_t		 no_v6;		/* IPv6 is disabled there */
	uint8_t		 pad[2];
};

struct msg_name {
	char		 name[IF_NAMESIZE];
};

struct msg_chosen {		/* of a carp interface without `on' */
	char		 name[IF_NAMESIZE];
	char		 carpdev[IF_NAMESIZE];	/* "": none */
	char		 why[CHOOSE_WHY_MAX];	/* then what is wrong */
};

struct msg_vaddr {		/* addresses of a carp interface on or off */
	char		 name[IF_NAMESIZE];
	uint8_t		 on;
	uint8_t		 pad[3];
};

struct msg_bowout {		/* a finished frame, for the day we die */
	char		 carpdev[IF_NAMESIZE];
	uint8_t		 vhid;
	uint8_t		 pad;
	uint16_t	 len;		/* 0: withdraw */
	struct ipaddr	 dst;		/* group or peer */
	uint8_t		 frame[MSG_FRAME_MAX];
};

struct msg_log {
	int32_t		 pri;		/* LOG_EMERG..LOG_DEBUG */
	char		 line[512];
};

/* Counters that the parent keeps and the engine shows. */
enum parent_counter {
	PARENT_ADDR_RESTORED,	/* addresses that somebody removed */
	PARENT_FILTER_RESTORED,	/* classifiers that somebody removed */
	PARENT_ADDR_ERRORS,
	PARENT_REFUSED,		/* engine's requests outside the config */
	PARENT_COUNTERS
};
struct msg_parent_counters {
	uint64_t	 v[PARENT_COUNTERS];
	uint64_t	 steer[9];	/* enum steer_stat, summed */
};

struct msg_count {		/* frames for a node of a group */
	char		 name[IF_NAMESIZE];	/* carp interface */
	uint8_t		 vhid;
	uint8_t		 pad[7];
	uint64_t	 taken;
	uint64_t	 dropped;
};

struct msg_result {		/* of a reload */
	uint32_t	 client;	/* who asked; 0: a signal */
	int32_t		 error;		/* 0 done, else refused */
	char		 text[MSG_TEXT_MAX];	/* first error line */
};

/* -- control socket -- */

enum ctl_what {
	CTL_WHAT_ALL,		/* interfaces, vhids, groups: the one screen */
	CTL_WHAT_IFACE,		/* one interface, by name */
	CTL_WHAT_DEMOTION,
	CTL_WHAT_COUNTERS,
	CTL_WHAT_PEERS,
	CTL_WHAT_HISTORY
};

struct ctl_show {
	uint32_t	 what;		/* enum ctl_what */
	char		 name[IF_NAMESIZE];	/* "" or an interface */
};

struct ctl_demote {		/* delta > 0 demotes, < 0 promotes */
	char		 group[CONFIG_GROUPNAME_MAX];
	int32_t		 delta;		/* -255..255 */
};

struct ctl_state {
	char		 name[IF_NAMESIZE];
	uint32_t	 state;		/* enum vhost_state */
};

enum ctl_key {
	CTL_SET_ADVBASE, CTL_SET_ADVSKEW, CTL_SET_GROUP, CTL_SET_UNGROUP,
	CTL_SET_PREEMPT, CTL_SET_LOG, CTL_SET_UP
};
struct ctl_set {		/* live, until reload */
	char		 name[IF_NAMESIZE];	/* "" for PREEMPT, LOG */
	uint32_t	 key;
	uint32_t	 vhid;		/* 0: the only one */
	int32_t		 value;
	char		 group[CONFIG_GROUPNAME_MAX];
};

struct ctl_flag {		/* ALLOW: on/off; LOG: verbose/brief */
	uint32_t	 on;
};

/*
 * pfsyncd's connection: an entry in the demotion ledger (group carp) that
 * lives as long as the connection and at most `sync wait` seconds, or 120 when
 * none is set; amount 0 takes it back.
 */
struct ctl_hold {
	int32_t		 amount;	/* 0..255 */
	char		 reason[DEMOTE_REASON_MAX];	/* "bulk", "syncdev" */
};

struct ctl_global {
	uint64_t	 now;		/* seconds since 1970 */
	uint32_t	 node;
	uint8_t		 preempt;
	uint8_t		 allow;
	uint8_t		 log;
	uint8_t		 verbose;
	uint64_t	 uptime_ms;
	uint32_t	 starved;	/* of late: timers that were very late */
	uint32_t	 overslept;	/* MASTER no more for that */
	uint64_t	 worst_ms;	/* the latest ever */
};

struct ctl_iface {
	char		 name[IF_NAMESIZE];
	char		 carpdev[IF_NAMESIZE];
	uint8_t		 present;	/* carpdev exists */
	uint8_t		 link;		/* up and running */
	uint8_t		 balancing;
	uint8_t		 digest;
	uint8_t		 style;
	uint8_t		 nvhids;
	uint8_t		 ngroups;
	uint8_t		 mac[6];	/* carpdev's */
	uint8_t		 npeers;
	uint8_t		 down;		/* by the operator */
	uint8_t		 cut;		/* frames for its MAC do not arrive */
	int32_t		 demotion;
	int32_t		 senderr;	/* errno; 0: what is sent leaves */
	uint64_t	 seen_ms;	/* the last of those, ms ago */
	struct ipaddr	 peers[CONFIG_PEERS_MAX];	/* plen 0: this host */
	char		 groups[CONFIG_GROUPS_MAX][CONFIG_GROUPNAME_MAX];
};

struct ctl_vhid {		/* follows its ctl_iface */
	char		 name[IF_NAMESIZE];
	uint8_t		 vhid, advbase, advskew;
	uint8_t		 state;		/* enum vhost_state */
	uint8_t		 cause;		/* enum vhost_cause */
	uint8_t		 sent_skew, sent_demote;
	uint8_t		 variant;	/* enum advert_variant sent */
	uint64_t	 since_ms;	/* milliseconds since 1970 */
	uint64_t	 transitions;
	char		 why[CHOOSE_WHY_MAX];	/* INIT: what is missing */
	uint8_t		 lladdr[6];	/* virtual MAC that hosts have */
	uint8_t		 pad[2];
	struct ipaddr	 master;	/* whom we heard last; af 0: nobody */
	uint32_t	 master_node;
	uint32_t	 master_skew;	/* advbase * 256 + advskew */
	uint64_t	 taken, dropped;	/* frames, with balancing */
	struct ipaddr	 split;		/* is MASTER, too; af 0: nobody */
	uint8_t		 split_verified;
	uint8_t		 split_heard;	/* else only pfsyncd hears of it */
	uint8_t		 pad2[2];
	uint64_t	 split_ms;	/* since: milliseconds since 1970 */
};

struct ctl_addr {
	char		 name[IF_NAMESIZE];
	struct ipaddr	 addr;		/* as configured */
	uint8_t		 plen;		/* as installed; 255: not there */
	uint8_t		 balancing;	/* enum balance_mode of name */
	uint8_t		 nodes;		/* its vhids */
	uint8_t		 pad;
	uint32_t	 mask;		/* bit i: MASTER of the i'th */
};

struct ctl_group {
	char		 name[CONFIG_GROUPNAME_MAX];
	int32_t		 demotion;
	uint32_t	 nentries;
};

struct ctl_entry {		/* follows its ctl_group */
	char		 group[CONFIG_GROUPNAME_MAX];
	char		 owner[DEMOTE_OWNER_MAX];
	char		 reason[DEMOTE_REASON_MAX];
	int32_t		 amount;
	int32_t		 expires;	/* seconds from now, -1: never */
	uint64_t	 since_ms;	/* milliseconds since 1970 */
};

/*
 * CTL_WATCH is answered with this and one CTL_ADDR for each address of the
 * configuration, then CTL_END; the same again at each change of either.
 */
struct ctl_masters {
	uint32_t	 masters;	/* vhids that are MASTER here */
	uint32_t	 vhids;
	uint32_t	 balancing;	/* vhids of interfaces that balance */
	uint32_t	 splits;	/* vhids MASTER here and elsewhere */
};

/*
 * Vhosts that are MASTER, by the ids of ADVERT_ID_LEN bytes that all nodes give
 * them.  VHOSTS: here; the answer to CTL_WHICH, in one or more messages.
 * RIVALS: at `who`, a peer of pfsyncd, by its word.
 */
#define CTL_VHOSTS_MAX	128
struct ctl_vhosts {
	struct ipaddr	 who;		/* VHOSTS: af 0 */
	uint16_t	 n;
	uint8_t		 last;		/* VHOSTS: these were all */
	uint8_t		 pad[3];
	uint8_t		 id[CTL_VHOSTS_MAX][8];
};

struct ctl_counter {
	char		 name[32];
	uint64_t	 value;
};

struct ctl_peer {
	char		 name[IF_NAMESIZE];	/* carp interface, or "": its
						   vhid is none of ours */
	char		 carpdev[IF_NAMESIZE];
	uint8_t		 kind;		/* enum peer_kind */
	uint8_t		 priority;	/* VRRP */
	uint8_t		 balancing;	/* of its interface, by its word */
	uint8_t		 nvhids;	/* ..., 0: not told */
	uint8_t		 unlike;	/* ... is not as here */
	uint8_t		 auth;		/* enum auth_verdict of its trailers */
	uint16_t	 keyid;		/* that it uses */
	uint8_t		 vhid;
	uint8_t		 advbase, advskew, demote;
	uint8_t		 ours;		/* its trailer verified */
	uint8_t		 verified;	/* digest was right */
	uint8_t		 drop;		/* enum advert_drop when not */
	uint8_t		 variant;
	uint32_t	 node;
	struct ipaddr	 addr;
	uint64_t	 heard_ms;	/* milliseconds ago */
	uint64_t	 packets;
	uint64_t	 dropped;
	uint8_t		 vhids[CONFIG_VHIDS_MAX];
	uint8_t		 fault;		/* enum autopsy_fault */
	uint8_t		 like_vhid;	/* VHID: the one of ours, */
	uint8_t		 hears_us;	/* ours: it says so */
	uint8_t		 pad2[5];
	uint64_t	 told_ms;	/* ... so many ms ago; UINT64_MAX */
	struct ipaddr	 here, there;	/* ADDRS: only we have, only they */
	char		 like[IF_NAMESIZE];	/* ... and its interface */
};

struct ctl_history {
	char		 name[IF_NAMESIZE];
	uint8_t		 vhid, from, to, cause;
	uint32_t	 pad;
	uint64_t	 at_ms;		/* milliseconds since 1970 */
};

#define CTL_NEVER	UINT64_MAX	/* seen_ms */

/*
 * Follows its ctl_iface: another node that has it differently.  By its own
 * word (drop ADVERT_ACCEPT), or that its digests are wrong.
 */
struct ctl_unlike {
	char		 name[IF_NAMESIZE];
	uint32_t	 node;		/* 0: not known */
	uint8_t		 drop;		/* enum advert_drop */
	uint8_t		 balancing;
	uint8_t		 nvhids;
	uint8_t		 pad;
	uint8_t		 vhids[CONFIG_VHIDS_MAX];
	struct ipaddr	 addr;
	uint64_t	 heard_ms;	/* milliseconds ago */
};

/*
 * name, from, payload, descriptor, variable
 */
#define CARPD_MSGS(X)							\
	/* parent -> engine */						\
	X(START,	MSG_FROM_PARENT, struct msg_start, 0, 0)	\
	X(CTL_SOCKET,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(KIF_SOCKET,	MSG_FROM_PARENT, struct msg_none, 1, 0)		\
	X(CONF_BEGIN,	MSG_FROM_PARENT, struct config_global, 0, 0)	\
	X(CONF_AUTH,	MSG_FROM_PARENT, struct auth_conf, 0, 0)	\
	X(CONF_IFACE,	MSG_FROM_PARENT, struct config_iface, 0, 0)	\
	X(CONF_GROUP,	MSG_FROM_PARENT, struct config_group, 0, 0)	\
	X(CONF_END,	MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	X(CHOSEN,	MSG_FROM_PARENT, struct msg_chosen, 0, 0)	\
	X(CARPDEV,	MSG_FROM_PARENT, struct msg_carpdev, 1, 0)	\
	X(UNICAST,	MSG_FROM_PARENT, struct msg_unicast, 1, 0)	\
	X(SLOTS,	MSG_FROM_PARENT, struct msg_name, 1, 0)		\
	X(CARPDEV_GONE,	MSG_FROM_PARENT, struct msg_name, 0, 0)		\
	X(IPV6,		MSG_FROM_PARENT, struct msg_ipv6, 0, 0)		\
	X(ADDR_SHOWN,	MSG_FROM_PARENT, struct ctl_addr, 0, 0)		\
	X(COUNT,	MSG_FROM_PARENT, struct msg_count, 0, 0)	\
	X(COUNTERS,	MSG_FROM_PARENT, struct msg_parent_counters, 0, 0) \
	X(RELOADED,	MSG_FROM_PARENT, struct msg_result, 0, 0)	\
	X(STATUS,	MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	X(ALIVE,	MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	X(STOP,		MSG_FROM_PARENT, struct msg_none, 0, 0)		\
	/* engine -> parent: the verbs of the root process */		\
	X(READY,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(VADDR,	MSG_FROM_ENGINE, struct msg_vaddr, 0, 0)	\
	X(BOWOUT,	MSG_FROM_ENGINE, struct msg_bowout, 0, 0)	\
	X(LOG,		MSG_FROM_ENGINE, struct msg_log, 0, 0)		\
	X(RELOAD,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(ASK_IPV6,	MSG_FROM_ENGINE, struct msg_name, 0, 0)		\
	X(WANT_COUNTERS, MSG_FROM_ENGINE, struct msg_none, 0, 0)	\
	X(ASK_ALIVE,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(STOPPED,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	/* carpctl -> engine */						\
	X(CTL_SHOW,	MSG_FROM_CLIENT, struct ctl_show, 0, 0)		\
	X(CTL_DEMOTE,	MSG_FROM_CLIENT, struct ctl_demote, 0, 0)	\
	X(CTL_STATE,	MSG_FROM_CLIENT, struct ctl_state, 0, 0)	\
	X(CTL_SET,	MSG_FROM_CLIENT, struct ctl_set, 0, 0)		\
	X(CTL_ALLOW,	MSG_FROM_CLIENT, struct ctl_flag, 0, 0)		\
	X(CTL_RELOAD,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_LOG,	MSG_FROM_CLIENT, struct ctl_flag, 0, 0)		\
	X(CTL_MONITOR,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	/* pfsyncd -> engine: ledger; states are in; tell me of changes; \
	   which vhosts are MASTER here; these are MASTER there */	\
	X(CTL_HOLD,	MSG_FROM_CLIENT, struct ctl_hold, 0, 0)		\
	X(CTL_SYNCED,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_WATCH,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_WHICH,	MSG_FROM_CLIENT, struct msg_none, 0, 0)		\
	X(CTL_RIVALS,	MSG_FROM_CLIENT, struct ctl_vhosts, 0, 0)	\
	/* engine -> carpctl */						\
	X(CTL_GLOBAL,	MSG_FROM_ENGINE, struct ctl_global, 0, 0)	\
	X(CTL_IFACE,	MSG_FROM_ENGINE, struct ctl_iface, 0, 0)	\
	X(CTL_VHID,	MSG_FROM_ENGINE, struct ctl_vhid, 0, 0)		\
	X(CTL_ADDR,	MSG_FROM_ENGINE, struct ctl_addr, 0, 0)		\
	X(CTL_UNLIKE,	MSG_FROM_ENGINE, struct ctl_unlike, 0, 0)	\
	X(CTL_GROUP,	MSG_FROM_ENGINE, struct ctl_group, 0, 0)	\
	X(CTL_ENTRY,	MSG_FROM_ENGINE, struct ctl_entry, 0, 0)	\
	X(CTL_COUNTER,	MSG_FROM_ENGINE, struct ctl_counter, 0, 0)	\
	X(CTL_PEER,	MSG_FROM_ENGINE, struct ctl_peer, 0, 0)		\
	X(CTL_HISTORY,	MSG_FROM_ENGINE, struct ctl_history, 0, 0)	\
	X(CTL_EVENT,	MSG_FROM_ENGINE, struct msg_text, 0, 1)		\
	X(CTL_MASTERS,	MSG_FROM_ENGINE, struct ctl_masters, 0, 0)	\
	X(CTL_VHOSTS,	MSG_FROM_ENGINE, struct ctl_vhosts, 0, 0)	\
	X(CTL_OK,	MSG_FROM_ENGINE, struct msg_none, 0, 0)		\
	X(CTL_FAIL,	MSG_FROM_ENGINE, struct msg_text, 0, 1)		\
	X(CTL_END,	MSG_FROM_ENGINE, struct msg_none, 0, 0)

enum carpd_msg {
	IMSG_NONE,
#define X(name, from, payload, fd, var) IMSG_##name,
	CARPD_MSGS(X)
#undef X
	IMSG_MAX
};

/* Indexed by enum carpd_msg; entry 0 is nobody's. */
extern const struct msg_desc carpd_msgs[IMSG_MAX];

#endif
