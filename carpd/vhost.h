/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the election machine of one vhid, (conf, state, event, now) ->
 * actions.  Rules: OpenBSD sys/netinet/ip_carp.c; what is ours is said where
 * it stands.  No I/O, no clock, no allocation, no randomness: time and jitter
 * are arguments, effects leave as actions.
 */
#ifndef CARPD_VHOST_H
#define CARPD_VHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/monotime.h"

#define VHOST_SKEW_MAX		240	/* FreeBSD: demotion through advskew */
#define VHOST_LEASE_MIN		(100 * MONOTIME_MSEC)
#define VHOST_DRAIN		(50 * MONOTIME_MSEC)
#define VHOST_EARLY_MAX	(10 * MONOTIME_MSEC)
#define VHOST_SNDERR_MAX	3	/* ip_carp.c: CARP_SENDAD_MAX_ERRORS */

enum vhost_state { VHOST_INIT, VHOST_BACKUP, VHOST_MASTER, VHOST_STATES };
extern const char *const vhost_state_names[];	/* INIT BACKUP MASTER */

/* Why a state was entered; shown to the operator and in the log. */
enum vhost_cause {
	VHOST_CAUSE_NONE,
	VHOST_CAUSE_STARTUP,		/* INIT -> BACKUP, able to run */
	VHOST_CAUSE_LINK,		/* carpdev lost or regained its link */
	VHOST_CAUSE_CARPDEV_GONE,	/* carpdev is missing */
	VHOST_CAUSE_SOURCE,		/* a family has no usable source */
	VHOST_CAUSE_MASTER_DOWN,	/* nobody was heard in time */
	VHOST_CAUSE_PREEMPT,		/* we are better and may say so */
	VHOST_CAUSE_PEER_DEMOTED,	/* the master is more demoted */
	VHOST_CAUSE_PEER_SLOW,		/* its interval exceeds our patience */
	VHOST_CAUSE_BOWOUT,		/* the master said goodbye */
	VHOST_CAUSE_ENGINE_DIED,	/* ... because its engine died */
	VHOST_CAUSE_PARENT_DIED,	/* ... because its parent died */
	VHOST_CAUSE_PEER_GONE,		/* the master lost this network */
	VHOST_CAUSE_PEER_BETTER,	/* a better master spoke */
	VHOST_CAUSE_DEMOTED,		/* we are more demoted than the peer */
	VHOST_CAUSE_EQUAL,		/* an equal master spoke: yield */
	VHOST_CAUSE_LATE,		/* we woke up too late to be master */
	VHOST_CAUSE_TAKEN,		/* a successor spoke while we slept */
	VHOST_CAUSE_OPERATOR,		/* carpctl state, disable, down */
	VHOST_CAUSE_SHUTDOWN,
	VHOST_CAUSE_CONFIG,		/* reload */
	VHOST_CAUSES
};
extern const char *const vhost_cause_names[];

enum vhost_timer {
	VHOST_TIMER_AD,		/* next advertisement */
	VHOST_TIMER_MD4,	/* IPv4 master-down */
	VHOST_TIMER_MD6,	/* IPv6 master-down */
	VHOST_TIMER_DRAIN,	/* the slot closes */
	VHOST_TIMERS
};

struct vhost_conf {
	uint8_t		 vhid;
	uint8_t		 advbase;	/* seconds */
	uint8_t		 advskew;	/* 1/256 s */
	bool		 preempt;
	bool		 v4;		/* has IPv4 addresses */
	bool		 v6;
	bool		 style_byte;	/* demotion in byte 4 */
	bool		 style_skew;	/* demotion in advskew too */
	uint32_t	 node;		/* our node id */
};

enum vhost_event_type {
	VHOST_EV_RUN,		/* all prerequisites hold */
	VHOST_EV_HALT,		/* they no longer do; cause says why.  The
				   link is gone, nothing can be sent */
	VHOST_EV_STOP,		/* leave in order, with a bow-out; cause */
	VHOST_EV_TIMER,		/* timer fired (stale ones are ignored) */
	VHOST_EV_ADVERT,	/* a verified advertisement */
	VHOST_EV_GONE,		/* our node `node` has lost this vhost */
	VHOST_EV_DEMOTE,	/* demotion is now `demotion` */
	VHOST_EV_FORCE,		/* operator: state */
	VHOST_EV_CONF,		/* conf has changed (timers, preempt) */
	VHOST_EV_SENT,		/* an advertisement left or failed: ok */
	VHOST_EV_TAKEN,		/* the kernel closed our slot */
	VHOST_EVENTS
};
extern const char *const vhost_event_names[];

struct vhost_event {
	enum vhost_event_type type;
	enum vhost_cause cause;		/* HALT, STOP; RUN: why now */
	enum vhost_timer timer;		/* TIMER */
	/* ADVERT */
	bool		 v6;		/* came over IPv6; conf.v6 holds */
	bool		 ours;		/* its trailer verified */
	uint8_t		 advbase;
	uint8_t		 advskew;
	uint8_t		 demote;
	enum vhost_cause bowout;	/* BOWOUT, ENGINE_DIED or PARENT_DIED;
					   used when base and skew are 255 */
	uint32_t	 node;		/* ADVERT (0: not ours), GONE */
	uint32_t	 random;	/* ADVERT: for the jitter */
	int		 demotion;	/* DEMOTE */
	enum vhost_state state;		/* FORCE */
	bool		 ok;		/* SENT */
};

struct vhost {
	enum vhost_state state;
	enum vhost_cause cause;		/* of the last transition */
	monotime_t	 since;		/* when it was */
	monotime_t	 timer[VHOST_TIMERS];	/* MONOTIME_NEVER: off */
	monotime_t	 hold;		/* may not claim before */
	monotime_t	 told;		/* last unscheduled announcement */
	int64_t		 jitter;	/* yielded on equality: wait longer */
	int		 demotion;	/* D_l, 0..255 */
	uint32_t	 heard_node;	/* our node that we follow; 0: other */
	bool		 heard;		/* a master is followed: */
	struct vhost_event word;	/* its last advertisement */
	monotime_t	 word_at;	/* when that was heard */
	enum vhost_cause pending;	/* of a claim that has to wait */
	uint8_t		 delayed;	/* adverts until announced again */
	uint8_t		 snderrs;	/* consecutive, at most 3 */
	uint8_t		 sndoks;
	bool		 snddemoted;
	uint64_t	 transitions;	/* to MASTER: netstat's preempt */
};

enum vhost_action_type {
	VHOST_ACT_STATE,	/* transition: from, to, cause */
	VHOST_ACT_SLOT_ON,	/* the kernel takes and answers */
	VHOST_ACT_SLOT_DRAIN,	/* takes, but answers nothing */
	VHOST_ACT_SLOT_OFF,
	VHOST_ACT_ADDR_ADD,	/* ask the parent for the addresses */
	VHOST_ACT_ADDR_DEL,
	VHOST_ACT_SEND,		/* advertisement(s): advskew, demote given */
	VHOST_ACT_BOWOUT,	/* the last one, 255/255 */
	VHOST_ACT_ANNOUNCE,	/* gratuitous ARP and unsolicited NA; once
				   more with the third advertisement */
	VHOST_ACT_SNDERR	/* hold (demote 1) or release (0) an entry */
};

struct vhost_action {
	enum vhost_action_type type;
	enum vhost_state from, to;
	enum vhost_cause cause;
	uint8_t		 advskew;
	uint8_t		 demote;
};

#define VHOST_ACTIONS_MAX	16

/* In the order in which they are to be carried out. */
struct vhost_actions {
	size_t		 n;
	struct vhost_action a[VHOST_ACTIONS_MAX];
};

/* INIT, all timers off. */
void		 vhost_init(struct vhost *v, monotime_t now);
/*
 * The step.  Afterwards v->timer[] says which timers are to be armed (the
 * caller re-arms those that differ).
 */
void		 vhost_step(const struct vhost_conf *c, struct vhost *v,
		    const struct vhost_event *e, monotime_t now,
		    struct vhost_actions *out);
/* NULL, or which invariant is broken. */
const char	*vhost_check(const struct vhost_conf *c, const struct vhost *v,
		    monotime_t now);

/* advskew as sent and compared: with demotion in it where configured. */
uint8_t		 vhost_skew(const struct vhost_conf *c, const struct vhost *v);
/* How often somebody with these timers speaks, in nanoseconds. */
int64_t		 vhost_interval_of(uint8_t base, uint8_t skew);
/* Our own advertisement interval and master-down time. */
int64_t		 vhost_interval(const struct vhost_conf *c,
		    const struct vhost *v);
int64_t		 vhost_masterdown(const struct vhost_conf *c);
/*
 * How much earlier than due an advertisement may go out together with others,
 * at most VHOST_EARLY_MAX.
 */
int64_t		 vhost_early(const struct vhost_conf *c,
		    const struct vhost *v);
/* How late a MASTER may be before it must go back and listen. */
int64_t		 vhost_lease(const struct vhost_conf *c,
		    const struct vhost *v);

#endif
