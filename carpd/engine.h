/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine's own structures, shared by the files of the engine process
 * (engine.c node.c ledger.c rx.c alarm.c dev.c vif.c ctl.c) and by nobody
 * else.
 */
#ifndef CARPD_ENGINE_H
#define CARPD_ENGINE_H

#include <sys/queue.h>
#include <sys/tree.h>

#include "../common/channel.h"
#include "../common/control.h"
#include "../common/ev.h"
#include "../common/os/kif.h"
#include "../common/wire/frame.h"
#include "advert.h"
#include "autopsy.h"
#include "config.h"
#include "demote.h"
#include "group.h"
#include "msgs.h"
#include "os/steer.h"
#include "peer.h"
#include "split.h"
#include "vhost.h"

#define ENGINE_ADDRS_MAX	64	/* addresses of a carpdev we look at */
#define ENGINE_PEERS_MAX	16	/* senders remembered per vhid, and on a
					   carpdev of vhids that are not ours */
#define ENGINE_HISTORY_MAX	512
#define ENGINE_LEDGER_MAX	1024
#define ENGINE_DROPLOG_MAX	64	/* reason and peer pairs remembered */
#define ENGINE_GONE_TIME	(10 * MONOTIME_SEC)
#define ENGINE_HOLDS_MAX	16	/* reasons that pfsyncd may hold */
#define TX_FRAMES		64	/* that leave in one system call */
#define TX_FRAME_MAX		(FRAME_ETH_LEN + FRAME_IP6_LEN + ADVERT_MAX)
#define TIMERS_LATE_BUCKETS	8

/* Counters under netstat's names, then ours. */
enum engine_counter {
	COUNT_IPACKETS, COUNT_IPACKETS6, COUNT_BADIF, COUNT_BADTTL,
	COUNT_HDROPS, COUNT_BADSUM, COUNT_BADVER, COUNT_BADLEN,
	COUNT_BADAUTH, COUNT_BADVHID, COUNT_OPACKETS, COUNT_OPACKETS6,
	COUNT_ONOMEM, COUNT_PREEMPT,
	COUNT_REPLAY, COUNT_BADTRAILER, COUNT_NOTICES, COUNT_OERRORS,
	COUNT_LATE, COUNT_TAKEN, COUNT_LOG_SUPPRESSED, COUNT_VRRP,
	COUNT_NOAUTH, COUNT_KEYID, COUNT_UNPROVEN,
	COUNT_MAX
};
extern const char *const engine_counter_names[];

struct engine;
struct vif;

/* Somebody who sends adverts for a vhid. */
struct peer {
	struct ipaddr	 addr;		/* af 0: free */
	uint32_t	 node;
	uint8_t		 vhid;
	uint8_t		 advbase, advskew, demote;
	uint8_t		 priority;	/* VRRP */
	uint8_t		 variant;
	enum peer_kind	 kind;
	bool		 ours, verified;
	bool		 unlike;	/* pass or addresses: it was said */
	bool		 seen_set;
	uint8_t		 seen[CARP_COUNTER_LEN];	/* its last counter */
	enum advert_drop drop;
	uint8_t		 digest[CARP_DIGEST_LEN];	/* of what was dropped */
	struct autopsy	 why;
	bool		 hears_us;	/* our node says whether it does */
	monotime_t	 told;		/* when it said so; NEVER */
	enum auth_verdict auth;
	uint16_t	 keyid;
	uint32_t	 sender;	/* node that its trailer names */
	monotime_t	 heard;
	uint64_t	 packets, dropped;
};

/* One vhid of one carp interface. */
struct node {
	struct engine		*eng;
	struct vif		*vif;
	uint8_t			 vmac[6];
	struct vhost_conf	 conf;
	struct vhost		 v;
	struct advert_vhost	 av;
	bool			 av_set;
	enum advert_variant	 variant;	/* digest that we send */
	bool			 variant_known;	/* an advert told them apart */
	bool			 skew_peer;	/* demote-style auto saw one */
	bool			 running;	/* RUN was the last told */
	const char		*why;		/* INIT: what is missing */
	bool			 told_no_v6;	/* warned of */
	bool			 needs_addrs;	/* is MASTER, or drains */
	bool			 snderr;	/* cannot send */
	bool			 hearing;	/* it steps because of an advert */
	bool			 was_master;	/* when its link was lost: it
						   is in the engine's list */
	monotime_t		 lost;
	TAILQ_ENTRY(node)	 lost_entry;
	RB_ENTRY(node)		 id_entry;
	struct node_timer {
		RB_ENTRY(node_timer) entry;	/* while armed */
		struct node	*node;
		enum vhost_timer which;
		monotime_t	 armed;		/* MONOTIME_NEVER: off */
	}			 timer[VHOST_TIMERS];
	bool			 tx_waits;	/* for tx_ok to be told */
	bool			 tx_ok;		/* all its adverts left */
	uint8_t			 tx_missed, tx_reached;	/* peers, by family */
	TAILQ_ENTRY(node)	 tx_entry;
	uint64_t		 since_ms;	/* wall clock of the state */
	struct ipaddr		 master;
	uint32_t		 master_node, master_rank;
	struct peer		 peers[ENGINE_PEERS_MAX];
	struct split		 split;		/* while MASTER */
	struct split		 unheard;	/* the same, of whom pfsyncd
						   tells */
	monotime_t		 told;		/* of addresses and nodes */
	bool			 spoke;		/* sent since it was cleared */
	uint64_t		 taken, dropped;	/* frames, in a group: when
						   the parent told last */
};

/* One carpdev.  Interfaces that have none are on one whose name is "". */
struct dev {
	TAILQ_ENTRY(dev)	 entry;
	struct engine		*eng;
	char			 name[IF_NAMESIZE];
	int			 ifindex;	/* 0: not there */
	uint8_t			 mac[6];
	bool			 router, no_v6;
	bool			 v6_asked;	/* it lost its source: is IPv6
						   disabled? */
	bool			 link;		/* up and running */
	bool			 link_known;
	bool			 proven;	/* heard or MASTER since the link
						   came: the way is open */
	int			 fd;
	int			 ip[2];		/* to peers: IPv4, IPv6 */
	struct ev_fd		*ev;
	struct ev_timer		*pause;		/* see rx_ready() */
	struct ev_timer		*object;	/* see rx_object() */
	bool			 objecting, claimed;
	monotime_t		 read_at;
	struct steer_slots	*slots;
	struct node		*byvhid[256];
	struct peer		 strangers[ENGINE_PEERS_MAX];
	struct dev_addr {
		struct ipaddr	 addr;		/* af 0: free */
		bool		 tentative;
	}			 addrs[ENGINE_ADDRS_MAX];	/* virtual
						   ones are left out */
	int			 senderr;	/* errno of the last failure */
	monotime_t		 senderr_at;
	struct ipaddr		 src4, src6;	/* af 0: none */
};

/* One carp interface. */
struct vif {
	TAILQ_ENTRY(vif)	 entry;
	struct engine		*eng;
	struct config_iface	 c;
	struct dev		*dev;
	struct node		*nodes[CONFIG_VHIDS_MAX];
	size_t			 nnodes;
	bool			 down;		/* by the operator */
	bool			 dying;		/* freed when drained */
	char			 why[CHOOSE_WHY_MAX];	/* no carpdev */
	bool			 told_outside;	/* addresses: warned of */
	bool			 told_alone[2];	/* no peer but ourselves */
	struct ctl_addr		 shown[CONFIG_ADDRS_MAX];
	struct group		 group;
	bool			 unlike;	/* rx_unlike() of some peer */
};

struct history {
	char			 name[IF_NAMESIZE];
	uint8_t			 vhid, from, to, cause;
	uint64_t		 at_ms;
};

/* What a client, pfsyncd, holds against group carp; see ctl_hold. */
struct hold {
	uint32_t		 client;	/* 0: free */
	char			 reason[DEMOTE_REASON_MAX];
	monotime_t		 until;		/* never beyond */
};

/* What the watchers were told last. */
struct watch {
	struct ctl_masters	 m;
	uint64_t		 addrs;		/* a digest of all addresses */
};

/* When it was last too late, or would have been taken for dead. */
#define ENGINE_STARVED_MAX	8
struct starved {
	monotime_t		 at[ENGINE_STARVED_MAX];
	size_t			 n;		/* ever */
	int64_t			 worst;		/* ns, of all */
};

/* How late timers ran. */
enum { TIMERS_AD, TIMERS_MD, TIMERS_KINDS };
struct timers_late {
	uint64_t		 bucket[TIMERS_LATE_BUCKETS];
	int64_t			 max;		/* ns */
};
extern const char *const timers_late_names[TIMERS_LATE_BUCKETS];

/* Frames that wait for the end of a round, all of one carpdev. */
struct tx {
	int			 depth;		/* of rounds */
	struct dev		*dev;
	size_t			 n;
	struct tx_frame {
		struct node	*node;
		uint16_t	 len;
		uint8_t		 af;
		bool		 advert;
		struct ipaddr	 to;		/* a peer; af 0: the group */
		uint8_t		 data[TX_FRAME_MAX];
	}			 frame[TX_FRAMES];
	TAILQ_HEAD(tx_nodes, node) waiting;	/* for what became of them */
};

struct engine {
	struct channel		*parent;
	struct control		*control;
	struct kif		*kif;
	struct ev_fd		*kif_ev;
	struct config_global	 g;
	struct config		*incoming;
	struct config_group	*groups;
	size_t			 ngroups;
	TAILQ_HEAD(, dev)	 devs;
	TAILQ_HEAD(, vif)	 vifs;
	struct demote		 ledger;
	struct ev_timer		*ledger_timer;
	struct ev_timer		*sweep_timer;
	struct ev_timer		*pulse_timer;
	struct ev_timer		*group_timer;
	struct ev_timer		*split_timer;
	monotime_t		 split_at;	/* split_timer is set for */
	RB_HEAD(node_timers, node_timer) timers;
	struct ev_timer		*timers_ev;
	monotime_t		 timers_at;	/* timers_ev is set for */
	struct timers_late	 late[TIMERS_KINDS];
	struct starved		 starved;	/* timers, see count_late() */
	struct starved		 overslept;	/* MASTER no more for it */
	struct tx		 tx;
	TAILQ_HEAD(, node)	 lost;		/* as MASTER, in that order */
	RB_HEAD(node_ids, node)	 ids;		/* by advert id */
	uint16_t		 ipid;
	unsigned int		 unanswered;	/* by the parent */
	bool			 configured;	/* first CONF_END was seen */
	bool			 want_ready;	/* tell the parent when drained */
	uint32_t		 generation;	/* of the configuration */
	bool			 stopping;
	bool			 orphan;	/* the parent died */
	bool			 allow;
	uint32_t		 nodeid;
	uint64_t		 epoch, seq;
	struct auth		*auth;		/* since START */
	monotime_t		 started;
	uint64_t		 count[COUNT_MAX];
	struct msg_parent_counters parent_count;
	struct asked {		/* waits for the parent's counters */
		uint32_t	 client;	/* 0: free */
		struct ctl_show	 what;
	}			 asked[CONTROL_CLIENTS_MAX];
	uint32_t		 watcher[CONTROL_CLIENTS_MAX];
	struct watch		 watched;
	struct ev_timer		*watch_timer;
	struct hold		 holds[ENGINE_HOLDS_MAX];
	bool			 synced;	/* pfsyncd has the states */
	struct drop_log {
		struct ipaddr	 addr;
		int		 drop;
		monotime_t	 until;
	}			 drops[ENGINE_DROPLOG_MAX];
	struct history		 history[ENGINE_HISTORY_MAX];
	size_t			 nhistory;	/* ever */
};

/* -- engine.c -- */

/* Without any configuration; fd leads to the parent.  Needs the loop. */
struct engine	*engine_new(int fd);
uint64_t	 engine_wall_ms(void);
uint32_t	 engine_random(void);
/* carp(4)'s own log levels: shown when net.inet.carp.log >= pri. */
void		 engine_log(struct engine *e, int pri, const char *fmt, ...)
		    __attribute__((format(printf, 3, 4)));
/* A line for `carpctl monitor`. */
void		 engine_notify(struct engine *e, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));
void		 engine_to_parent(struct engine *e, uint32_t type,
		    const void *data, size_t len);
/* Look soon, from the loop, what has drained and can be freed. */
void		 engine_sweep(struct engine *e);
/* net.inet.carp.allow */
void		 engine_allow(struct engine *e, bool allow);

/* -- node.c: one vhid -- */

void		 node_new(struct vif *f, const struct config_vhid *cv);
void		 node_free(struct node *n);
/* Take over timers, habits and families from the configuration. */
void		 node_conf(struct node *n, const struct config_vhid *cv);
void		 node_style(struct node *n);
void		 node_variant(struct node *n);
/*
 * Which families it has, by its addresses and carpdev.  A family that comes
 * while it runs does so when it can send.
 */
void		 node_families(struct node *n);
/* Deliver an event and carry out what follows, in a round of its own. */
void		 node_event(struct node *n, const struct vhost_event *ev);
/* Its timer is due. */
void		 node_timer(struct node *n, enum vhost_timer which);
void		 node_simple_event(struct node *n, enum vhost_event_type type,
		    enum vhost_cause cause);
/* One step at a given time; within a round if it may send anything. */
void		 node_step(struct node *n, const struct vhost_event *ev,
		    monotime_t now);
/* May it run?  Tells the machine when that has changed. */
void		 node_eval(struct node *n);
/* Warn, once, of addresses outside every network of carpdev. */
void		 node_warn_outside(struct node *n);
/* Give the parent the frames for the day we die. */
void		 node_deposit(struct node *n);
/*
 * vhosts that this node has lost and had been MASTER of, without the first
 * `skip`; how many are in list, at most ADVERT_GONE_MAX.
 */
size_t		 node_gone_list(struct engine *e, size_t skip,
		    uint8_t (*list)[ADVERT_ID_LEN]);
/* A frame for the MAC of its group, that is to arrive at all its nodes. */
void		 node_probe(struct node *n);
/* Tell what is lost, from the skip'th on: advertisement if MASTER, notice. */
void		 node_notice(struct node *n, size_t skip);
/* With keys: let those who hear n meet this session, see auth.h. */
void		 node_introduce(struct node *n);
/* The keys have changed. */
void		 node_rekeyed(struct node *n);

/* Renew the lease if we are MASTER and somebody has claimed it. */
void		 node_object(struct node *n);

/*
 * The next of those here that are the vhost of that id, two carpdevs may have
 * one that looks the same; NULL for the first, NULL when there are no more.
 */
struct node	*node_by_id(struct engine *e, const uint8_t *id,
		    struct node *last);
/* Our node has lost the vhost of that id: tell those here that are it. */
void		 node_hear_gone(struct engine *e, const uint8_t *id,
		    uint32_t from);

/* Tell hosts and switches where the addresses are. */
void		 node_announce(struct node *n);

/* -- alarm.c -- */

/* While n is MASTER somebody else advertises it, with these timers. */
void		 alarm_claim(struct node *n, const struct ipaddr *who,
		    bool verified, uint8_t advbase, uint8_t advskew);
/* pfsyncd's word: n's vhost is MASTER at its peer `who`, which is not heard. */
void		 alarm_unheard(struct node *n, const struct ipaddr *who);
/* The split that is on, heard (n->split) or not; NULL: there is none. */
const struct split *alarm_split(const struct node *n);
/* Whatever was claimed of n does not matter any more. */
void		 alarm_end(struct node *n);
/* Timer callback: which splits are over? */
void		 alarm_look(void *engine);

/* -- timers.c -- */

void		 timers_init(struct engine *e);
/* Set or (MONOTIME_NEVER) stop it. */
void		 timers_arm(struct node_timer *t, monotime_t at);
/* Remember that something was late by so many ns. */
void		 timers_starved(struct starved *s, int64_t late);
/* Tell the event loop when the next one is due. */
void		 timers_settle(struct engine *e);

/* -- tx.c -- */

void		 tx_init(struct engine *e);
/*
 * A round: frames are collected, advertisements answered (VHOST_EV_SENT) at
 * its end.  Rounds nest; the outermost counts.  No vhid is freed within one.
 */
void		 tx_open(struct engine *e);
void		 tx_close(struct engine *e);
bool		 tx_is_open(const struct engine *e);
/*
 * Room for a frame on n's carpdev, TX_FRAME_MAX bytes; what was written there
 * goes out by tx_put(), at once if no round is open.  dst is where an
 * advertisement goes, group or peer, else NULL.
 */
uint8_t		*tx_room(struct node *n);
void		 tx_put(struct node *n, size_t len, const struct ipaddr *dst,
		    bool advert);
/* n hears at the end of the round whether its advertisements left. */
void		 tx_tell(struct node *n);
/* n goes: nothing here may point to it. */
void		 tx_forget(struct node *n);

/* -- ledger.c: demotion -- */

/*
 * Change what (owner, reason) holds against group; logs, tells the vhids;
 * lifetime in ns, 0: no end.  false if refused.
 */
bool		 ledger_set(struct engine *e, const char *owner,
		    const char *group, const char *reason, int amount,
		    int64_t lifetime);
int		 ledger_vif(const struct vif *f);	/* 0..255 */
/* Tell the vhids of f what its demotion is. */
void		 ledger_tell(struct vif *f);
/* Hold or release what the loss of d holds. */
void		 ledger_dev(struct dev *d);
/* The same where f has gone from one carpdev to another. */
void		 ledger_move(const struct vif *f, struct dev *from);
/*
 * Release the startup demotion when everything has been looked at, and with
 * `sync wait` pfsyncd has the states.
 */
void		 ledger_startup(struct engine *e);
/* Timer callback: entries with an end. */
void		 ledger_expire(void *engine);

/* -- rx.c -- */

/* From now on who speaks for that vhid on d is no stranger. */
void		 rx_known(struct dev *d, uint8_t vhid);
/* Is its digest wrong, as that of another pass or other addresses? */
bool		 rx_unlike(const struct peer *p);
/* Event callback: frames wait at a carpdev. */
void		 rx_ready(int fd, int what, void *dev);
/* Take in whatever has come by now. */
void		 rx_drain(struct dev *d);
/* Timer callback: the end of a pause, see rx_ready(). */
void		 rx_resume(void *dev);
/* Timer callback: claims heard on that carpdev are answered. */
void		 rx_object(void *dev);

/* -- dev.c: carpdevs -- */

struct dev	*dev_get(struct engine *e, const char *name);
void		 dev_opened(struct engine *e, const struct msg_carpdev *m,
		    int fd);
void		 dev_unicast(struct engine *e, const struct msg_unicast *m,
		    int fd);
void		 dev_slots(struct engine *e, const struct msg_name *m, int fd);
/* Is it an address of carpdev itself, usable or not? */
bool		 dev_is_own(const struct dev *d, const struct ipaddr *a);
/* What carpdev itself would say to dst as; NULL: nothing suits. */
const struct ipaddr *dev_source(const struct dev *d,
		    const struct ipaddr *dst);
void		 dev_gone(struct engine *e, const struct msg_name *m);
/* IPv6 was disabled there, or is back, or neither: we had asked. */
void		 dev_ipv6(struct engine *e, const struct msg_ipv6 *m);
/*
 * Somebody was heard on d, or nobody for long enough: what was held because
 * the way through it was not sure is released.
 */
void		 dev_prove(struct dev *d);
/* Ask each vhid on d whether it may run. */
void		 dev_eval(struct dev *d);
void		 dev_kif_event(const struct kif_event *k, void *engine);

/* -- vif.c: carp interfaces -- */

struct vif	*vif_find(struct engine *e, const char *name);
/* Does it advertise that family to peers, not to the group? */
bool		 vif_has_peers(const struct vif *f, uint8_t af);
/* Does a node other than n need the addresses of f? */
bool		 vif_needs_addrs(const struct vif *f, const struct node *n);
/* With balancing: bit i is set while this host is MASTER of its i'th node. */
uint32_t	 vif_mask(const struct vif *f);
/* Our node in->node has advertised from src what its interface is like. */
void		 vif_hear(struct vif *f, const struct advert_in *in,
		    const struct ipaddr *src);
/* When a frame for the one MAC of f's group came last; 0 ns: never. */
monotime_t	 vif_seen(const struct vif *f);
/* Timer callback: do frames for groups arrive? */
void		 vif_groups_cb(void *engine);
/* What a node took and dropped, by the parent's count. */
void		 vif_count(struct engine *e, const struct msg_count *m);
/* Timers or groups of vif were changed live: recompute and tell the vhids. */
void		 vif_changed(struct vif *f, bool timers);
void		 vif_stop(struct vif *f, enum vhost_cause cause);
bool		 vif_draining(const struct vif *f);
void		 vif_free(struct vif *f);
/* The parent has chosen a carpdev, or none, where the file names none. */
void		 vif_chosen(struct engine *e, const struct msg_chosen *m,
		    uint32_t generation);
/* Bring a complete configuration into force. */
void		 vif_apply(struct engine *e, const struct config *c);

/* -- ctl.c -- */

/* A message of a client. */
void		 ctl_dispatch(struct control_client *cl, struct imsg *im,
		    void *arg);
/* That client is gone, and with it what it held. */
void		 ctl_closed(uint32_t client, void *engine);
/* MASTERs or addresses may have changed: tell who watches, from the loop. */
void		 ctl_changed(struct engine *e);
/* Timer callback for that. */
void		 ctl_watch_cb(void *engine);
/* The parent's answers arrived. */
void		 ctl_counters(struct engine *e);
void		 ctl_reloaded(struct engine *e, const struct msg_result *r);

#endif
