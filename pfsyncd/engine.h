/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The engine process of pfsyncd(8): what engine.c and ctl.c share.
 */
#ifndef PFSYNCD_ENGINE_H
#define PFSYNCD_ENGINE_H

#include "../common/auth.h"
#include "../common/channel.h"
#include "../common/control.h"
#include "../common/ev.h"
#include "../common/hmac.h"
#include "../common/os/kif.h"
#include "../common/wire/pfsync.h"
#include "config.h"
#include "crypt.h"
#include "hints.h"
#include "hold.h"
#include "msgs.h"
#include "nosync.h"
#include "os/syncsock.h"
#include "pfdial.h"
#include "repl.h"
#include "strangers.h"

#define ENGINE_CORK	MONOTIME_MSEC	/* between packets that are not full */
#define ENGINE_QUIET	(200 * MONOTIME_MSEC)	/* for own addresses to come */
#define ENGINE_QUIET_START (30 * MONOTIME_MSEC)	/* before the first dump */
#define ENGINE_QUIET_MAX MONOTIME_SEC	/* when they never stop */
#define ENGINE_LINES	10		/* of one kind in ENGINE_LINES_TIME */
#define ENGINE_LINES_TIME (60 * MONOTIME_SEC)
#define ENGINE_ASK	MONOTIME_SEC	/* for the table process to count */
#define ENGINE_SENDERR_TIME (5 * MONOTIME_SEC)	/* it is told for so long */
#define ENGINE_TABLE_MAX (512 * 1024)	/* bytes queued to the table process */
#define ENGINE_SEALED_MAX 65536	/* bytes of a packet */
#define ENGINE_PACKETS	256		/* sent in one go, then others' turn */

/* Lines of one kind: so many in a time, the others are counted. */
struct log_limit {
	monotime_t	 since;
	unsigned int	 said;
};

struct engine {
	struct channel	*parent, *table;
	struct control	*control;
	struct kif	*kif;
	struct ev_fd	*kif_ev, *sock_ev;
	struct ev_timer	*timer, *quiet_timer, *ask_timer;

	struct config	 conf;
	bool		 configured, started_up, settled, stopping;
	struct sync_start start;
	monotime_t	 started;

	struct statedb	*db;
	struct repl	*repl;
	struct pfdial	*pfdial;	/* NULL: no pf dialect */
	struct nosync	 nosync;
	struct hints	*hints;
	struct hints_old *old;
	int		 hints_fd, old_fd;
	bool		 refilter;
	bool		 table_full;	/* said so */
	bool		 addrs_full;	/* more than nosync keeps: said */
	bool		 addrs_told;	/* carpd's were */
	monotime_t	 quiet_end;	/* not later than that; or never */

	struct syncsock	*sock;
	struct sync_socket sock_info;
	bool		 link, link_told;
	struct auth	*auth;
	struct crypt	*crypt;
	struct hmac	*open;		/* the key of those who have none */
	uint64_t	 proofs;	/* of auth, as repl was told */
	uint64_t	 seq;		/* of the last trailer */
	int		 senderr;	/* errno of the last failure */
	monotime_t	 senderr_at;
	monotime_t	 sent_at;

	unsigned int	 masters, splits;
	bool		 carp, carp_heard;
	struct shares	 shares, new_shares;	/* told, being told */
	struct hold	 hold;
	struct sync_hold told;		/* what carpd's ledger has of it */
	bool		 watch_new;

	uint64_t	 count[PFSYNC_C_MAX];
	uint64_t	 sock_bad, other_dialect, unproven;
	struct sync_stats stats;
	struct log_limit refused, overruns, strange, mtus;
	struct strangers strangers;
	uint32_t	 asking[8];	/* clients that wait for stats */
	size_t		 nasking;
	bool		 stats_due;	/* asked for, not there yet */
};

void		 engine_to_parent(struct engine *e, uint32_t type,
		    const void *data, size_t len);
/* Do what the cores want done: operations, packets, dumps, the ledger. */
void		 engine_pump(struct engine *e);

/* ---- ctl.c ---- */
void		 ctl_dispatch(struct control_client *cl, struct imsg *im,
		    void *arg);
/* The table process has counted, or does not: answer who asked. */
void		 ctl_stats(struct engine *e);
void		 ctl_ask_cb(void *arg);
void		 ctl_reloaded(struct engine *e, const struct sync_result *r);

#endif
