/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The election of one vhid among two or three nodes, for spin.  What a node
 * does when something happens to it is not written here: each step is a row of
 * table.pml, which table.c makes from carpd/vhost.c.  Here is what is round it:
 * timers, the wire, and everything that can go wrong.  tests/model/check.sh
 * runs it; `spin -t -B -w election.pml' tells the story of a counterexample.
 *
 * What goes wrong, in any order, at any moment, FAULTS times: a node is killed
 * (with and without the goodbye of its parent), stopped, started, loses its
 * carrier and tells or does not, sleeps and wakes late or not, is demoted or
 * promoted, forced by the operator, reloaded; one node is cut off from the
 * others, and back.  Until all that is over every frame may get lost for every
 * receiver by itself.  preempt is on, off, or on in one node only; timers are
 * ordered or all equal (then the node id decides).
 *
 * What must hold:
 *	in each state	the slot answers if and only if the node is MASTER
 *	SETTLE beats after the faults (check(), done())
 *			among nodes that hear each other exactly one is
 *			MASTER: none of them is less demoted, none that
 *			preempts and is equally demoted has better timers; and
 *			nobody's state changes any more: no livelock
 *	LIVE		<> [] ONE with weak fairness: whatever happens, in the
 *			end there is always exactly one MASTER
 *
 * Time.  A beat is an advertisement interval: it is over when every MASTER that
 * is awake has advertised and every frame has been heard or lost.  Within a
 * beat everything happens in any order, so phases are arbitrary and one node
 * may speak twice between two adverts of another.  Of the timers the model
 * keeps only this:
 *
 *	- master-down, at least 3 advbase, is longer than an interval of any
 *	  master with the same advbase (less than 2 advbase) and its frame's
 *	  way: it may run out only after a whole beat, in which every MASTER
 *	  spoke, and by then two more make it run out.  That one beat without
 *	  a word is enough gives a node less patience than it has: the model
 *	  can do all that three lost adverts do, and more;
 *	- the order in which master-down runs out by rank is not kept: any
 *	  node may be the first.  Every real order is among these;
 *	- `hold' ends at any beat, after two (an interval) or four
 *	  (master-down) at the latest; a claim that waits for it happens any
 *	  time after;
 *	- the word of the master, when demotion changes, may be younger or
 *	  older than its interval at any time.
 *
 * So whatever real timers of one advbase can do is a run of the model, and what
 * holds in all of its runs holds there.  Left to tests/sim: different advbase,
 * advbase 0, the jitter among equals that are not ours, drains and leases of
 * the kernel's slot, one-way links, two families, networks of one node that
 * fail apart.  The rows for them are in the table all the same.
 */
#ifndef N
#define N	2
#endif
#ifndef FAULTS
#define FAULTS	3
#endif
#ifndef DEMOTE
#define DEMOTE	2
#endif
#ifndef SETTLE
#define SETTLE	8
#endif

#ifndef ON_AIR
#define ON_AIR	6		/* frames from one node to another, at most */
#endif
#define BACKLOG	1		/* of them, those that a sleeper finds */

/* states */
#define INIT	0
#define BACKUP	1
#define MASTER	2
/* what another's advertisement is beside us: demotion, timers, node id */
#define LESS	0
#define SAME	1
#define MORE	2
#define BETTER	0
#define EQUAL	1
#define WORSE	2
#define SLOW	3
#define LOWER	0
#define HIGHER	1
#define FOREIGN	2
/* whom a BACKUP follows */
#define NOBODY	0
#define SENDER	1
#define ANOTHER	2
#define STRANGER 3
#define PENDING	4		/* nobody, and will claim */
/* what becomes of a timer and the like */
#define OFF	0
#define KEEP	1
#define WAIT	2
#define SOON	3
#define NEXT	4
#define EVENT	5
#define ON	6
#define DRAIN	7
#define ADVERT	8
#define BOWOUT	9
/* frames; below them an advertisement with this demotion */
#define BYE	10
#define GONE	11
#define NOTHING	12

/* follows[] is a node or */
#define NONE	N
#define CLAIMS	(N + 1)

byte state[N], demote[N], follows[N], word[N], md[N], age[N],
    held[N];
bool told[N], spoken[N], asleep[N], slot[N];
byte preempt;			/* a bit for each node */
bool equals;			/* advbase and advskew of all are the same */
byte apart = N;			/* this node is cut off from the others */
bool lossy = true;
byte quiet;			/* beats since the last fault, from 1 */
chan air[N * N] = [ON_AIR] of { byte };

/* the guards and results of a row; dead outside of a step */
hidden byte g_state, g_demote, g_rank, g_who, g_follows, g_to, g_delayed;
hidden byte g_bowout, g_preempt, g_held, g_jitter, g_drains, g_told, g_fresh,
    g_due, g_changed;
hidden byte o_state, o_ad, o_md, o_follows, o_hold, o_drains, o_jitter,
    o_demote, o_told, o_delayed, o_slot, o_send;
hidden byte n, masters, living;

#include "table.pml"

#define FROM(s, r)	air[(s) * N + (r)]
#define RUNS(i)		(state[i] != INIT && !asleep[i])
#define LEADS(i)	(state[i] == MASTER && !asleep[i])
#define RANK(i)		(equals -> 0 : (i))
#define BESIDE(a, b, less, same, more) \
	((a) < (b) -> less : ((a) == (b) -> same : more))

/* The guards of node me, when something comes from node him. */
inline ask(me, him)
{
	g_state = state[me];
	g_held = (held[me] > 0);
	g_told = told[me];
	g_preempt = (preempt >> me) & 1;
	g_jitter = 0;
	g_drains = 0;
	g_delayed = 0;
	g_bowout = 0;
	g_due = 1;
	g_demote = SAME;
	g_who = (him < me -> LOWER : HIGHER);
	g_rank = BESIDE(RANK(him), RANK(me), BETTER, EQUAL, WORSE);
	g_follows = (follows[me] == NONE -> NOBODY :
	    (follows[me] == CLAIMS -> PENDING :
	    (follows[me] == him -> SENDER : ANOTHER)));
	o_state = state[me];
	o_ad = KEEP;
	o_md = KEEP;
	o_follows = KEEP;
	o_hold = KEEP;
	o_demote = KEEP;
	o_told = 0;
	o_slot = KEEP;
	o_send = NOTHING
}

/* What the row said; said is the demotion in the advertisement. */
inline done(me, him, said)
{
	if
	:: o_state == state[me] -> skip
	:: else ->
		printf("node %d: %d -> %d\n", me, state[me], o_state);
		assert(quiet < SETTLE)
	fi;
	state[me] = o_state;
	if
	:: o_state == BACKUP ->
		if
		:: o_md == KEEP -> skip
		:: else -> md[me] = o_md; age[me] = 0
		fi;
		if
		:: o_follows == KEEP -> skip
		:: o_follows == SENDER -> follows[me] = him; word[me] = said
		:: o_follows == PENDING -> follows[me] = CLAIMS; word[me] = 0
		:: o_follows == NOBODY -> follows[me] = NONE; word[me] = 0
		:: else -> assert(false)
		fi;
		if
		:: o_hold == KEEP -> skip
		:: else -> held[me] = (o_hold == WAIT -> 4 : 2)
		fi;
		assert(md[me] == WAIT || md[me] == SOON)
	:: else ->
		md[me] = OFF;
		age[me] = 0;
		follows[me] = NONE;
		word[me] = 0;
		held[me] = 0
	fi;
	if
	:: o_state != MASTER -> spoken[me] = false
	:: o_ad == NEXT -> spoken[me] = true
	:: else -> skip
	fi;
	if
	:: o_told -> told[me] = true
	:: else -> skip
	fi;
	if
	:: o_slot == KEEP -> skip
	:: else -> slot[me] = (o_slot == ON)
	fi;
	assert(slot[me] == (o_state == MASTER));
	say = (o_send == ADVERT -> demote[me] :
	    (o_send == BOWOUT -> BYE : NOTHING))
}

/* Nobody listens here: what is on its way is lost. */
inline deaf(x)
{
	n = 0;
	do
	:: n < N && len(FROM(n, x)) > 0 -> FROM(n, x)?_
	:: n < N && len(FROM(n, x)) == 0 -> n++
	:: n == N -> break
	od;
	told[x] = false
}

/* src sends what is in say to all who hear it; over: by another network. */
inline transmit(src, over)
{
	do
	:: say == NOTHING || r == N -> break
	:: else ->
		if
		:: r == src || state[r] == INIT ||
		    (!over && (apart == src || apart == r))
		:: else ->
			if
			:: !asleep[r] || len(FROM(src, r)) < BACKLOG ->
				assert(len(FROM(src, r)) < ON_AIR);
				printf("node %d says %d to %d\n", src, say, r);
				FROM(src, r)!say
			:: lossy || asleep[r]
			fi
		fi;
		r++
	od;
	say = NOTHING;
	r = 0
}

inline hear(y, from)
{
	FROM(from, y)?f;
	printf("node %d hears %d of %d\n", y, f, from);
	d_step {
		ask(y, from);
		if
		:: f == GONE -> row_gone()
		:: else ->
			g_bowout = (f == BYE);
			g_demote = BESIDE(f, demote[y], LESS, SAME, MORE);
			row_advert()
		fi;
		done(y, from, f);
		f = 0
	};
	transmit(y, false)
}

#if N == 2
#define ALL(p)		(p(0) && p(1))
#define SUM(p)		(p(0) + p(1))
#else
#define ALL(p)		(p(0) && p(1) && p(2))
#define SUM(p)		(p(0) + p(1) + p(2))
#endif
#define NO_FRAME(i)	(asleep[i] || (empty(FROM(0, i)) && \
			empty(FROM(1, i)) && empty(FROM(N - 1, i))))
#define SENT(i, r)	(asleep[r] || empty(FROM(i, r)))
#define ALL_SENT(i)	(SENT(i, 0) && SENT(i, 1) && SENT(i, N - 1))
/* Nothing of this beat is left to do for i. */
#define IDLE(i)		(NO_FRAME(i) && (!RUNS(i) || \
			(state[i] == MASTER -> spoken[i] : age[i] < 3)))

proctype Node(byte i)
{
	byte f, say = NOTHING, r;

end:	do
	:: atomic { RUNS(i) && nempty(FROM((i + 1) % N, i)) ->
		hear(i, (i + 1) % N) }
#if N > 2
	:: atomic { RUNS(i) && nempty(FROM((i + 2) % N, i)) ->
		hear(i, (i + 2) % N) }
#endif
	:: atomic { LEADS(i) && !spoken[i] && ALL_SENT(i) ->
		d_step {
			ask(i, i);
			row_ad_timer();
			done(i, i, 0)
		};
		transmit(i, false) }
	:: atomic { RUNS(i) && state[i] == BACKUP &&
	    (md[i] == SOON || age[i] >= 2) ->
		d_step {
			held[i] = 0;
			ask(i, i);
			row_md_timer();
			done(i, i, 0)
		};
		transmit(i, false) }
	od
}

/* One MASTER among those who hear each other, and a right one. */
inline check()
{
	n = 0;
	do
	:: n < N ->
		k = 0;
		masters = 0;
		living = 0;
		do
		:: k < N ->
			if
			:: !RUNS(k) || (k != n && (apart == n || apart == k))
			:: else ->
				living++;
				masters = masters + (state[k] == MASTER);
				/* the least demoted; if all preempt, the best */
				assert(state[n] != MASTER || !RUNS(n) ||
				    demote[n] < demote[k] ||
				    (demote[n] == demote[k] &&
				    (RANK(n) <= RANK(k) ||
				    !((preempt >> k) & 1))))
			fi;
			k++
		:: else -> break
		od;
		assert(!RUNS(n) || masters == 1);
		n++
	:: else -> break
	od;
	k = 0
}

proctype Beat()
{
	byte k;

end:	do
	:: atomic { ALL(IDLE) ->
		d_step {
			printf("beat, quiet %d\n", quiet);
			if
			:: quiet == SETTLE -> check()
			:: quiet > 0 && quiet < SETTLE -> quiet++
			:: else -> skip
			fi;
			do
			:: k < N ->
				spoken[k] = false;
				told[k] = false;
				if
				:: state[k] == BACKUP && age[k] < 3 -> age[k]++
				:: else -> skip
				fi;
				k++
			:: else -> break
			od;
			k = 0
		};
		do
		:: k < N ->
			if
			:: held[k] > 0 -> held[k] = 0
			:: held[k] > 1 -> held[k]--
			:: held[k] == 0
			fi;
			k++
		:: else -> break
		od;
		k = 0 }
	od
}

inline begin(y)
{
	d_step {
		ask(y, y);
		row_run();
		done(y, y, 0)
	}
}

inline vanish(y)
{
	d_step {
		ask(y, y);
		row_halt();
		done(y, y, 0);
		deaf(y)
	}
}

inline wake(y)
{
	asleep[y] = false;
	printf("node %d wakes\n", y);
	if
	:: true
	:: d_step { ask(y, y); row_late(); done(y, y, 0) }
	:: d_step { state[y] == MASTER -> ask(y, y); row_taken(); done(y, y, 0) }
	fi
}

inline fault(z)
{
	if
	:: apart == N -> apart = z; printf("cut off: %d\n", z)
	:: apart != N && z == 0 -> apart = N; printf("healed\n")
	/* started, or its carrier is back */
	:: state[z] == INIT -> begin(z)
	/* killed; or its carrier is gone: the others may hear of that */
	:: RUNS(z) -> vanish(z)
	:: RUNS(z) -> vanish(z); say = GONE; transmit(z, true)
	/* its engine was killed: the parent says goodbye */
	:: LEADS(z) -> vanish(z); say = BYE; transmit(z, false)
	/* stopped in order */
	:: RUNS(z) ->
		d_step {
			ask(z, z);
			row_stop();
			done(z, z, 0);
			deaf(z)
		};
		transmit(z, false)
	/* demoted, promoted */
	:: RUNS(z) ->
		if
		:: demote[z] > 0 -> d = demote[z] - 1
		:: demote[z] < DEMOTE -> d = demote[z] + 1
		fi;
		/* is the master's last word younger than its interval? */
		if
		:: fresh = true
		:: fresh = false
		fi;
		d_step {
			if
			:: follows[z] < N -> ask(z, follows[z])
			:: else -> ask(z, z)
			fi;
			g_demote = BESIDE(word[z], d, LESS, SAME, MORE);
			g_changed = 1;
			g_fresh = fresh;
			row_demote();
			assert(o_demote == EVENT);
			printf("node %d demoted by %d\n", z, d);
			demote[z] = d;
			done(z, follows[z], 0);
			d = 0;
			fresh = false
		};
		transmit(z, false)
	/* carpctl state */
	:: RUNS(z) ->
		d_step {
			ask(z, z);
			g_to = (state[z] == MASTER -> BACKUP : MASTER);
			row_force();
			done(z, z, 0)
		};
		transmit(z, false)
	/* reload */
	:: RUNS(z) ->
		d_step { ask(z, z); row_conf(); done(z, z, 0) };
		transmit(z, false)
	/* SIGSTOP, SIGCONT */
	:: RUNS(z) -> asleep[z] = true; printf("node %d sleeps\n", z)
	:: asleep[z] -> wake(z)
	fi
}

proctype Faults()
{
	byte left = FAULTS, i, d, say = NOTHING, r;
	bool fresh;

	do
	:: left > 0 ->
		atomic {
			left--;
			if
			:: i = 0
			:: i = 1
#if N > 2
			:: i = 2
#endif
			fi;
			fault(i);
			i = 0
		}
	:: atomic { lossy = false; left = 0; break }
	od;
	atomic {
		do
		:: i < N && asleep[i] -> wake(i)
		:: i < N && !asleep[i] -> i++
		:: else -> break
		od;
		i = 0;
		quiet = 1;
		printf("quiet\n")
	}
}

init {
	byte i, say;

	atomic {
		if
		:: preempt = 0
		:: preempt = 7
#if N == 2
		:: preempt = 1
		:: preempt = 7; equals = true
#endif
		fi;
		do
		:: i < N ->
			follows[i] = NONE;
			begin(i);
			run Node(i);
			i++
		:: else -> break
		od;
		i = 0;
		run Beat();
		run Faults()
	}
}

#ifdef LIVE
/* always, in the end, exactly one MASTER where somebody runs */
#define TOGETHER(p)	(apart == N && SUM(p) == 1)
#define NOBODY_RUNS	(SUM(RUNS) == 0)
#define PARTS		(apart != N && LEADS(apart) == RUNS(apart) && \
			SUM(LEADS) - LEADS(apart) == \
			(SUM(RUNS) > RUNS(apart)))
#define ONE		(PARTS || NOBODY_RUNS || TOGETHER(LEADS))
ltl settles { <> [] ONE }
#endif
