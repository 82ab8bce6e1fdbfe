/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What hostile_carpd and hostile_pfsyncd share: they stand in for a child that
 * an attacker has taken over, and say to its siblings, over the real channel,
 * whatever they like.  A daemon executes its own argv[0] again for a child, so
 * one that was started under such a program's name has it as child; no daemon
 * knows anything of this.
 *
 * In the environment: HOSTILE="storm N SEED" (N messages of the right form
 * with anything in them, all answers read), "endless N SEED" (the same, but
 * nothing that was asked for is ever done), "deaf N SEED" (no answer is read)
 * or "wrong WHICH" (one message that is none).
 */
#ifndef LAB_HOSTILE_H
#define LAB_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/imsg.h"
#include "common/msgtab.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

struct order {
	bool		 wrong, deaf, endless;
	uint32_t	 n;		/* messages, or which wrong one */
};

/* One channel, and what may be said on it. */
struct speaker {
	struct imsgbuf	*ib;
	const struct msg_desc *tab;
	size_t		 ntab;
	uint32_t	 from;		/* MSG_FROM_, whom we stand in for */
	bool		 deaf;
	/* a message of the far side, or NULL */
	void (*heard)(struct speaker *s, const struct imsg *im);
};

/* What HOSTILE says, and the seed of the numbers below. */
struct order	 order_read(void);
/* 0 .. below - 1 */
uint32_t	 rnd(uint32_t below);
void		 rnd_fill(void *p, size_t len);

/* Read until done() is true; the far side ends: so do we. */
void		 hear_until(struct speaker *s, bool (*done)(void));
/* What there is to read now; nothing where we are deaf. */
void		 hear_now(struct speaker *s);
/* Send at once, waiting for room, and hear meanwhile unless deaf. */
void		 say(struct speaker *s, uint32_t type, uint32_t id,
		    const void *data, size_t len);
/*
 * One of the messages that nobody may send: wrong type, sender, size,
 * descriptor, framing.  False when there is no such number.
 */
bool		 say_wrong(struct speaker *s, uint32_t which);
/* An empty message, and 32 descriptors that it does not announce. */
void		 say_descriptors(struct speaker *s, uint32_t type);

#endif
