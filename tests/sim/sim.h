/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A network of carp nodes under virtual time: the election machine
 * (carpd/vhost.c) and the demotion ledger (carpd/demote.c) as they are in the
 * daemon, and models of everything round them: the engine's handling of
 * actions, the kernel's slot with its lease (carpd/bpf/steer_map.h), timers
 * that are late, processes that stop and die, and a wire per network that
 * loses, delays, duplicates and reorders.  While it runs it watches what must
 * hold at every moment; sim_quiet() and sim_still() look at what must hold
 * when the faults are over.
 */
#ifndef TESTS_SIM_H
#define TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../carpd/demote.h"
#include "../../carpd/vhost.h"

#define SIM_NODES	32
#define SIM_WIRES	32
#define SIM_LAN		0
#define SIM_DMZ		1
#define SIM_LEDGER	16
#define SIM_BACKLOG	512		/* frames a stopped process finds */
#define SIM_WHY		256

/* Everything that is done to the network; each kind is counted. */
enum sim_fault {
	SIM_LOSS, SIM_DELAY, SIM_REORDER, SIM_DUP, SIM_ONEWAY, SIM_PARTITION,
	SIM_FREEZE, SIM_LATE_TIMER, SIM_STALE_TIMER, SIM_KILL, SIM_ENGINE_DIED,
	SIM_PARENT_DIED, SIM_POWER, SIM_RESTART, SIM_LINK, SIM_SNDERR,
	SIM_STOP, SIM_DEMOTE, SIM_PROMOTE, SIM_FORCE_BACKUP, SIM_FORCE_MASTER,
	SIM_DISABLE, SIM_RECONF, SIM_FAULTS
};
extern const char *const sim_fault_names[];
extern uint64_t sim_faults[SIM_FAULTS];		/* over all runs */

struct sim_node_conf {
	bool		 ours;		/* else like OpenBSD: no trailer */
	bool		 preempt;
	bool		 style_byte, style_skew;
	uint8_t		 advbase, advskew;
};

struct sim_conf {
	int		 nodes, wires;
	/*
	 * Balancing: each "wire" is a carpnode on one and the same network;
	 * node n is best for the n'th, the next one by so much advskew worse.
	 */
	uint8_t		 turn;
	struct sim_node_conf node[SIM_NODES];
	bool		 v4, v6;
	bool		 jitter;	/* random argument of the step */
	int64_t		 delay_min, delay_max;
	int		 loss, dup, reorder;	/* of 1000 frames */
	int64_t		 late;		/* timers fire up to this late */
	int64_t		 startup;	/* ready after */
	int64_t		 sync_wait;	/* and synced, or after this; 0: no */
	int64_t		 snderr_time;
};

struct sim_frame {
	int		 from;
	bool		 v6, notice;
	uint64_t	 epoch, seq;
	uint8_t		 advbase, advskew, demote;
	enum vhost_cause bowout;
	unsigned int	 gone;		/* bit per wire */
};

enum sim_event_type {
	SIM_EV_FRAME, SIM_EV_TIMER, SIM_EV_LINK, SIM_EV_LEDGER, SIM_EV_READY,
	SIM_EV_THAW, SIM_EV_START, SIM_EV_EXIT
};

struct sim_event {
	monotime_t	 at;
	uint64_t	 order;		/* among equals: random */
	enum sim_event_type type;
	int		 node;
	int		 wire;		/* START: the round */
	uint64_t	 epoch;		/* TIMER .. READY: of the process */
	enum vhost_timer timer;
	monotime_t	 deadline;
	struct sim_frame frame;
};

struct sim_vhost {
	struct vhost_conf conf;
	struct vhost	 v;
	bool		 running;	/* RUN was the last told */
	bool		 enabled;
	bool		 was_master, spoke;
	monotime_t	 lost;
	monotime_t	 armed[VHOST_TIMERS];
	unsigned long long slot;
	struct { uint64_t epoch, seq[2]; } peer[SIM_NODES];
	enum vhost_cause cause;		/* of the last transition to MASTER */
	int		 masters;	/* transitions to MASTER */
};

enum sim_life { SIM_OFF, SIM_DEAD, SIM_ALIVE };	/* power, process */

struct sim_node {
	enum sim_life	 life;
	bool		 frozen, snderr;
	bool		 ready, synced;	/* as startup and sync_wait want */
	bool		 carrier[SIM_WIRES];	/* the cable */
	bool		 link[SIM_WIRES];	/* what the engine knows */
	uint64_t	 epoch, seq;
	monotime_t	 awake;		/* since */
	struct demote	 ledger;
	struct demote_entry entries[SIM_LEDGER];
	struct sim_vhost vh[SIM_WIRES];
	struct sim_event *backlog;
	size_t		 nbacklog, frames;
};

/* How a pair of nodes that both answer stand to each other. */
enum sim_pair { PAIR_NONE, PAIR_AWAKE, PAIR_STALE };

struct sim {
	struct sim_conf	 c;
	uint64_t	 seed, rng;
	monotime_t	 now;
	struct sim_event *heap;
	size_t		 nheap, heapsize;
	uint64_t	 stamp;
	struct sim_node	 node[SIM_NODES];
	bool		 cut[SIM_WIRES][SIM_NODES][SIM_NODES];
	/* when the last frame arrives: first in, first out */
	monotime_t	 last[SIM_WIRES][SIM_NODES][SIM_NODES];
	/* since when both hear each other */
	monotime_t	 conn[SIM_WIRES][SIM_NODES][SIM_NODES];
	enum sim_pair	 pair[SIM_WIRES][SIM_NODES][SIM_NODES];
	monotime_t	 pair_until[SIM_WIRES][SIM_NODES][SIM_NODES];
	int		 round;		/* START of another one is void */
	int		 on[SIM_WIRES];	/* slots that are ON */
	bool		 cover[SIM_WIRES];	/* demand an open slot */
	/* the last transition or change of who hears whom */
	monotime_t	 changed[SIM_WIRES];
	monotime_t	 calm;		/* since when frames do not get lost */
	uint64_t	 transitions, steps;
	bool		 trace;
	char		 why[SIM_WHY];	/* "": nothing is wrong */
};

/* A network of c, nobody running, all cables in. */
void		 sim_init(struct sim *s, const struct sim_conf *c,
		    uint64_t seed, bool trace);
void		 sim_free(struct sim *s);
/* A number below n (n > 0), uniform. */
uint64_t	 sim_random(struct sim *s, uint64_t n);
/* Remember what is wrong, unless something was already. */
void		 sim_fail(struct sim *s, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));

/* Let time pass; stops early when something is wrong. */
void		 sim_run(struct sim *s, int64_t ns);

/* Things done to a node, by the operator or by fate. */
void		 sim_start(struct sim *s, int n);
void		 sim_stop(struct sim *s, int n);
void		 sim_kill(struct sim *s, int n);	/* kill -9 of all */
void		 sim_power(struct sim *s, int n);	/* all is gone */
void		 sim_engine_died(struct sim *s, int n);
void		 sim_parent_died(struct sim *s, int n);
void		 sim_freeze(struct sim *s, int n, int64_t ns);
/* Its socket was too small for what came meanwhile. */
void		 sim_overflow(struct sim *s, int n);
void		 sim_link(struct sim *s, int n, int w, bool up);
void		 sim_snderr(struct sim *s, int n, bool on);
void		 sim_demote(struct sim *s, int n, int amount);
void		 sim_force(struct sim *s, int n, int w, enum vhost_state to);
/* As pfsyncd does: an entry of its in the ledger, 0: none; all is in step. */
void		 sim_hold(struct sim *s, int n, const char *reason, int amount,
		    int64_t lifetime);
void		 sim_synced(struct sim *s, int n);
void		 sim_enable(struct sim *s, int n, int w, bool on);
void		 sim_advskew(struct sim *s, int n, int w, uint8_t advskew);
/* To the wire: not heard from one by another; groups; all well again. */
void		 sim_cut(struct sim *s, int w, int from, int to);
void		 sim_partition(struct sim *s, int w, unsigned int group);
void		 sim_heal(struct sim *s);
/* Loss, duplicates and reordering from now on, per 1000. */
void		 sim_weather(struct sim *s, int loss, int dup, int reorder);

/* The longest master-down time and interval that are in force. */
int64_t		 sim_masterdown(const struct sim *s);
int64_t		 sim_interval(const struct sim *s);
/* Two master-down times, and what is on its way. */
int64_t		 sim_settle(const struct sim *s);
/* After sim_settle(): one MASTER, the right one, where there may be one. */
void		 sim_quiet(struct sim *s);
/* Nothing changes for so long. */
void		 sim_still(struct sim *s, int64_t ns);
/* Does the kernel of n take frames for the virtual MAC of w? */
bool		 sim_takes(const struct sim *s, int n, int w);
/* Of how many wires n is MASTER; what the ledger of n says. */
unsigned int	 sim_masters(const struct sim *s, int n);
int		 sim_demotion(const struct sim *s, int n);
/* The only MASTER among the living of wire w; -1: none or several. */
int		 sim_master(const struct sim *s, int w);

#endif
