/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The maps of the classifier: shared by the program in the kernel
 * (steer.bpf.c), the parent that writes the configuration (os/steer_linux.c)
 * and the engine that mmaps the slots.
 *
 * A slot is one aligned 64-bit word per vhid, so that a store is atomic:
 *
 *	bits 0-1	state (STEER_OFF, STEER_DRAIN, STEER_ON)
 *	bits 2-17	advertisement interval in 1/256 s (0 counts as 1)
 *	bits 18-63	time of the last renewal, CLOCK_MONOTONIC in units of
 *			2^14 ns
 *
 * Lease.  ON is renewed with every advertisement sent.  It expires by itself
 * STEER_LEASE after the last renewal: three intervals, and the time that the
 * slowest successor (advskew 254, or three times that on OpenBSD after 2024)
 * may wait longer, so that a node whose processes are dead goes on forwarding
 * until its successor speaks.  While it has not been renewed for one and a
 * half intervals (floor STEER_STALE_MIN) a frame received from the virtual
 * router closes it at once.  DRAIN expires STEER_DRAIN_NS after its store.
 *
 * Contest.  Before that, an advertisement of somebody else asks whether the
 * engine lives: it renews then, or yields.  If it does neither in
 * STEER_CONTEST_NS, ON is over too.
 */
#ifndef CARPD_BPF_STEER_MAP_H
#define CARPD_BPF_STEER_MAP_H

#include "balance_hash.h"

#define STEER_OFF	0ULL
#define STEER_DRAIN	1ULL
#define STEER_ON	2ULL

#define STEER_STATE(w)		((w) & 3)
#define STEER_INTERVAL(w)	(((w) >> 2) & 0xffff)
#define STEER_TIME(w)		(((w) >> 18) << 14)	/* ns */
#define STEER_WORD(state, ival, ns)				\
	((unsigned long long)(state) |				\
	 ((unsigned long long)((ival) & 0xffff) << 2) |		\
	 (((unsigned long long)(ns) >> 14) << 18))

#define STEER_TICK	3906250ULL		/* 1/256 s in ns */
/* ival as in the word, result in ns */
#define STEER_LEASE(ival) \
	(3ULL * ((ival) ? (ival) : 1) * STEER_TICK + 3000000000ULL)
/*
 * Less than the fastest successor waits (3 ticks, 11.7 ms), so that his first
 * frame closes the slot; more than a busy master is ever late.
 */
#define STEER_STALE_MIN	10000000ULL
#define STEER_STALE(ival) \
	((ival) * STEER_TICK * 3 / 2 > STEER_STALE_MIN ?	\
	 (ival) * STEER_TICK * 3 / 2 : STEER_STALE_MIN)
#define STEER_DRAIN_NS	50000000ULL
/*
 * Has lease (ns) run out?  A renewal may lie a little in the future of a
 * coarse clock; more than STEER_AHEAD of it is a lie, and has run out too.
 */
#define STEER_AHEAD	1000000000ULL
#define STEER_PAST(w, lease, now) \
	((now) + STEER_AHEAD - STEER_TIME(w) >= (lease) + STEER_AHEAD)

#define STEER_SLOTS	256	/* index: vhid; 0 unused */
/*
 * Behind the slots: when a frame for the one MAC of that leader's group came
 * last, CLOCK_MONOTONIC in ns, 0: never; brought up to date that seldom, so
 * that many CPUs do not fight for it.
 */
#define STEER_SEEN(leader)	(STEER_SLOTS + (leader))
#define STEER_SEEN_NS	50000000ULL
/*
 * And when another's advertisement for that vhid came, CLOCK_MONOTONIC in ns:
 * the first since the slot was renewed, but for what a word can tell of time.
 */
#define STEER_CONTEST(vhid)	(2 * STEER_SLOTS + (vhid))
#define STEER_CONTEST_NS	100000000ULL
#define STEER_CONTESTED(w, contest)	((contest) >= STEER_TIME(w) + (1 << 14))
#define STEER_LOST(w, contest, now)	(STEER_CONTESTED(w, contest) &&	\
	(long long)((now) - (contest)) > (long long)STEER_CONTEST_NS)
#define STEER_WORDS	(3 * STEER_SLOTS)	/* of the map "slots" */
#define STEER_ADDRS	4096	/* addresses of one carpdev, per family */
#define STEER_MARK	0xca4b0070U	/* SO_MARK of the engine's sockets */
#define STEER_RESTORE	16384	/* bytes of the restore record */

/*
 * Map "vhids": index vhid.  Written by the parent only.  LEFTOVER: a dead run
 * had it; its frames are not let through until the parent has cleaned up.
 */
enum { STEER_UNUSED, STEER_CONFIGURED, STEER_LEFTOVER };
struct steer_vhid {
	unsigned char	configured;	/* of the above */
	unsigned char	mac[6];		/* virtual MAC, 00:00:5e:00:01:vhid;
					   mode ip, the leader's: 01:... */
	unsigned char	leader;		/* of its group, 0: in none */
};

/*
 * Map "groups": index vhid of the leader.  A carp interface with balancing:
 * its vhids in ascending order, the leader first.  An address belongs to the
 * group of the vhid that "addrs4", "addrs6" name.
 */
struct steer_group {
	unsigned int		mode;		/* enum balance_mode */
	unsigned int		n;		/* nodes, 0: no group */
	struct balance_key	key;		/* mode arp */
	unsigned char		vhids[BALANCE_NODES];
};

/* Map "counts": frames for its virtual MAC, per CPU, index vhid. */
struct steer_count {
	unsigned long long	taken;
	unsigned long long	dropped;
};

/* Map "dev", one entry. */
struct steer_dev {
	unsigned char	mac[6];		/* carpdev's own */
	unsigned short	has_v6;		/* any IPv6 address configured */
};

/*
 * Maps "addrs4" (key: 4 bytes) and "addrs6" (16): address -> vhid, u32.  Vhid
 * 0, whose slot is always OFF: a leftover of a dead run, see above.
 */

/*
 * Map "stats": one entry per reason, u64 per CPU, what the classifier dropped
 * or did.
 */
enum steer_stat {
	STEER_STAT_TAKEN,	/* frames for a virtual MAC, accepted */
	STEER_STAT_OFF,		/* ... dropped, slot off; these two are the
				   sums of "counts" */
	STEER_STAT_ARP_IN,	/* ARP requests / NS for an address, dropped */
	STEER_STAT_CLOSED,	/* slots closed by a successor's frame */
	STEER_STAT_REWRITTEN,	/* ARP, NS, NA given the virtual MAC */
	STEER_STAT_OUT,		/* frames from MAC or address, dropped */
	STEER_STAT_ASKED,	/* who-has / NS for an address, dropped */
	STEER_STAT_MARKED,	/* engine's frames that were none of its own */
	STEER_STAT_DISOWNED,	/* "protocol 112 unreachable", dropped */
	STEER_STATS
};

/*
 * Map "restore", one entry: what the next start or the exit puts back (see
 * os/vaddr.h); opaque to the program.  It lives in the kernel as long as the
 * classifier, so it survives the death of all our processes and is gone after
 * a reboot, as what it describes.
 */
struct steer_restore {
	unsigned int	clsact_made;	/* by us: steer_detach() removes it */
	unsigned int	len;		/* of data */
	unsigned char	data[STEER_RESTORE];
};

#endif
