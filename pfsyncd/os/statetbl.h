/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: the packet filter's state table of this host: list it, watch it,
 * insert, update and delete.  Linux: ctnetlink; what of its behaviour we rely
 * on is at the top of statetbl_linux.c.  Null: EOPNOTSUPP.  Used by the table
 * process only.  Nothing here waits for anybody: what the kernel is asked it
 * answers within the system call.
 */
#ifndef PFSYNCD_OS_STATETBL_H
#define PFSYNCD_OS_STATETBL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../flow.h"

enum statetbl_ev {
	STATETBL_NEW,		/* the kernel made it */
	/*
	 * The kernel, or somebody, changed it.  TCP: tcp_state NONE when the
	 * event tells nothing of the protocol: as known before.
	 */
	STATETBL_UPDATE,
	STATETBL_DESTROY,	/* it is gone; f.timeout may be 0 */
	STATETBL_DUMP,		/* part of a dump */
	STATETBL_EV_MAX
};

#define STATETBL_EV_FOREIGN	0x1	/* done by another program (portid) */

/* What changed here; events of our own doing never appear. 112 bytes. */
struct statetbl_event {
	struct flow	 f;		/* timeout: s left, at least 1 but for
					   DESTROY */
	/*
	 * The kernel's number of the entry.  Another one is another entry; the
	 * same one may be, if the tuple came back soon.
	 */
	uint32_t	 ctid;
	uint32_t	 dump;		/* STATETBL_DUMP: number of the dump; 0:
					   the answer to an operation */
	/*
	 * STATETBL_DUMP: when it was so, ms of monotime_now(), its low 32 bits;
	 * 0 in other events, which are of now.
	 */
	uint32_t	 made;
	uint8_t		 type;		/* enum statetbl_ev */
	uint8_t		 flags;		/* STATETBL_EV_FOREIGN */
	uint8_t		 pad[2];
};

enum statetbl_op_type {
	/*
	 * Make the entry be as f says, whatever is there: create; when it
	 * exists with the same translation update it; with another one delete
	 * and create.
	 */
	STATETBL_PUT,
	/* Delete the entry and create it anew (reused tuple). */
	STATETBL_REPLACE,
	/* Update what is thought to be there; when it is not, as PUT. */
	STATETBL_SET,
	/* Set the timeout to f.timeout; when it is not there, as PUT. */
	STATETBL_TOUCH,
	/* TCP: BE_LIBERAL both ways; nothing when it is not there. */
	STATETBL_LIBERAL,
	/* Delete it (only if ctid matches, when ctid is not 0). */
	STATETBL_DELETE,
	/*
	 * Delete it unless its timeout is more than f.timeout seconds, i.e.
	 * unless it sees traffic here; then it is reported as DUMP event with
	 * dump 0 and left.
	 */
	STATETBL_DELETE_IDLE,
	/* Is it there?  DUMP event with dump 0, else DESTROY. */
	STATETBL_VERIFY,
	STATETBL_OP_MAX
};

#define STATETBL_OP_LIBERAL	0x1	/* set BE_LIBERAL both ways, too */

struct statetbl_op {			/* 112 bytes */
	struct flow	 f;
	uint32_t	 cookie;	/* comes back in the result */
	uint32_t	 ctid;		/* DELETE: 0 or the kernel's number */
	/*
	 * When f.timeout was so, as in statetbl_event: the table process takes
	 * off what it waited since.  statetbl_ops() does not look at it.
	 */
	uint32_t	 made;
	uint8_t		 type;		/* enum statetbl_op_type */
	uint8_t		 flags;		/* STATETBL_OP_LIBERAL */
	uint8_t		 pad[2];
};

enum statetbl_error {
	STATETBL_OK,
	STATETBL_CLASH,		/* its reply tuple belongs to another flow */
	STATETBL_FULL,		/* the table or memory is full */
	STATETBL_REFUSED,	/* the kernel said no; err is the errno.
				   EPROTONOSUPPORT: GRE, DCCP */
	STATETBL_ERROR_MAX
};

struct statetbl_result {		/* failed operations only; 208 bytes */
	struct flow	 f;		/* as in the op */
	struct flow	 other;		/* CLASH: who has the reply tuple */
	uint32_t	 cookie;
	int32_t		 err;		/* errno, for the log */
	uint8_t		 error;		/* enum statetbl_error */
	uint8_t		 type;		/* of the op */
	uint8_t		 pad[6];
};

/*
 * Called from statetbl_read(), _dump_read() and _ops(); what they are given is
 * valid during the call only.
 */
struct statetbl_cbs {
	void (*event)(const struct statetbl_event *e, void *arg);
	void (*result)(const struct statetbl_result *r, void *arg);
	/* events were lost; a dump is needed */
	void (*overrun)(void *arg);
	/* the dump with that number ended; complete, or it has to be redone */
	void (*dumped)(uint32_t dump, bool complete, void *arg);
	void		*arg;
};

enum statetbl_what {
	STATETBL_ALL,
	STATETBL_NOT_TCP	/* all protocols but TCP (short timeouts) */
};

/* Counted for show sync. */
struct statetbl_stats {
	uint64_t	 events;	/* read */
	uint64_t	 overruns;
	uint64_t	 inserts, updates, deletes;	/* done */
	uint64_t	 failed;
	uint64_t	 unsupported;	/* entries we cannot express, each time
					   they were read: skipped */
	uint32_t	 count, max;	/* of the kernel's table; 0 unknown */
};

struct statetbl;

/*
 * Open and start watching; rcvbuf: bytes of event buffer (SO_RCVBUFFORCE, 0:
 * 128 MiB).  Needs CAP_NET_ADMIN, now and later; call after the rights were
 * shed.  NULL and errno.
 */
struct statetbl	*statetbl_open(size_t rcvbuf, const struct statetbl_cbs *cbs);
void		 statetbl_close(struct statetbl *t);
/* Readable: call statetbl_read(). */
int		 statetbl_event_fd(const struct statetbl *t);
/* Readable while a dump runs: call statetbl_dump_read(). */
int		 statetbl_dump_fd(const struct statetbl *t);
/* Read at most max events, without waiting; returns how many there were. */
size_t		 statetbl_read(struct statetbl *t, size_t max);
/*
 * Start a dump with this number (not 0).  0; -1 and errno: EBUSY while one
 * runs, or what the socket said.  It ends with the callback dumped().
 */
int		 statetbl_dump(struct statetbl *t, uint32_t dump,
		    enum statetbl_what what);
/* Read the next part (one buffer) of the dump. */
void		 statetbl_dump_read(struct statetbl *t);
/*
 * Do n operations, batched, before it returns; failures are reported, and what
 * VERIFY and DELETE_IDLE found.
 */
void		 statetbl_ops(struct statetbl *t,
		    const struct statetbl_op *op, size_t n);
/*
 * Watch for NEW or not.  Who inserts a lot makes the kernel build an event
 * for each insertion while somebody in this namespace listens for NEW (3 us
 * each on Linux 6.18): a backup that is being filled turns it off, and finds
 * local newcomers by UPDATE events and its next dump.  While it is off, what
 * happens here during a call of statetbl_ops() is not told at all, which saves
 * 2.5 us for each update and deletion: only a dump shows it.
 */
void		 statetbl_watch_new(struct statetbl *t, bool on);
/* Asks the kernel for count and max, too. */
void		 statetbl_stats(struct statetbl *t, struct statetbl_stats *s);

#endif
