/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as what happens to a vhid: the first HEAD bytes are its
 * configuration, each STEP bytes after them an event.  After every step the
 * machine's own invariants hold, transitions follow each other and have a
 * cause, and the slot that the actions leave behind is the one that belongs
 * to the state.
 *
 *	head	advbase, advskew, flags (1 preempt, 2 v4, 4 v6, 8 no byte,
 *		16 skew)
 *	step	type, time (exponent in ticks of 2^10 ns; 255: when the timer
 *		is due), which (timer, state, cause, node), flags (1 v6, 2 ours,
 *		4 ok), advbase, advskew, demote, random
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../carpd/vhost.h"

#define HEAD	3
#define STEP	8
#define WHEN_DUE 255
#define OURSELF	4

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum slot { OFF, DRAIN, ON };

struct fuzz {
	struct vhost_conf	 c;
	struct vhost		 v;
	monotime_t		 now;
	enum vhost_state	 state;
	enum slot		 slot;
};

static void
configure(struct vhost_conf *c, const uint8_t *p)
{
	memset(c, 0, sizeof(*c));
	c->vhid = 1;
	c->node = OURSELF;
	c->advbase = p[0];
	c->advskew = p[1] % 255;
	c->preempt = p[2] & 1;
	c->v6 = p[2] & 4;
	c->v4 = !c->v6 || p[2] & 2;
	c->style_byte = !(p[2] & 8);
	c->style_skew = p[2] & 16;
}

static void
pass(struct fuzz *f, const struct vhost_event *e, uint8_t time)
{
	monotime_t	 due = f->v.timer[e->timer];

	if (time != WHEN_DUE)
		f->now = monotime_add(f->now, INT64_C(1024) << time % 32);
	else if (e->type == VHOST_EV_TIMER && monotime_isset(due) &&
	    monotime_cmp(due, f->now) > 0)
		f->now = due;
}

static void
event(struct fuzz *f, const uint8_t *p, struct vhost_event *e)
{
	memset(e, 0, sizeof(*e));
	e->type = (enum vhost_event_type)(p[0] % VHOST_EVENTS);
	e->timer = (enum vhost_timer)(p[2] % VHOST_TIMERS);
	e->state = (enum vhost_state)(p[2] % VHOST_STATES);
	e->cause = (enum vhost_cause)(1 + p[2] % (VHOST_CAUSES - 1));
	e->node = p[2] % 8;
	e->v6 = f->c.v6 && (!f->c.v4 || p[3] & 1);
	e->ours = p[3] & 2;
	e->ok = p[3] & 4;
	e->advbase = p[4];
	e->advskew = p[5];
	e->demote = p[6];
	e->demotion = p[6];
	e->random = (uint32_t)p[7] << 8;
	e->bowout = (enum vhost_cause)(VHOST_CAUSE_BOWOUT + p[7] % 3);
	/* What is reconfigured live: timers and preempt. */
	if (e->type == VHOST_EV_CONF) {
		f->c.advbase = p[4];
		f->c.advskew = p[5] % 255;
		f->c.preempt = p[6] & 1;
	}
}

static void
act(struct fuzz *f, const struct vhost_action *a)
{
	switch (a->type) {
	case VHOST_ACT_STATE:
		assert(a->from == f->state);
		assert(a->cause > VHOST_CAUSE_NONE &&
		    a->cause < VHOST_CAUSES);
		f->state = a->to;
		break;
	case VHOST_ACT_SLOT_ON:
		f->slot = ON;
		break;
	case VHOST_ACT_SLOT_DRAIN:
		assert(f->slot == ON);
		f->slot = DRAIN;
		break;
	case VHOST_ACT_SLOT_OFF:
		assert(f->slot != OFF);
		f->slot = OFF;
		break;
	case VHOST_ACT_BOWOUT:
	case VHOST_ACT_SEND:
		assert(f->slot == ON);
		assert(!f->c.style_byte ? a->demote == 0 :
		    a->demote == f->v.demotion);
		break;
	case VHOST_ACT_ADDR_ADD:
	case VHOST_ACT_ADDR_DEL:
	case VHOST_ACT_ANNOUNCE:
	case VHOST_ACT_SNDERR:
		break;
	}
}

static void
check(const struct fuzz *f)
{
	bool	 drains = monotime_isset(f->v.timer[VHOST_TIMER_DRAIN]);

	assert(vhost_check(&f->c, &f->v, f->now) == NULL);
	assert(f->state == f->v.state);
	if (f->state == VHOST_MASTER)
		assert(f->slot == ON);
	else
		assert(f->slot == (drains ? DRAIN : OFF));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_actions	 out;
	struct vhost_event	 e;
	struct fuzz		 f;
	size_t			 i;

	if (size < HEAD)
		return (0);
	memset(&f, 0, sizeof(f));
	configure(&f.c, data);
	f.now.ns = MONOTIME_SEC;
	vhost_init(&f.v, f.now);
	for (data += HEAD, size -= HEAD; size >= STEP;
	    data += STEP, size -= STEP) {
		event(&f, data, &e);
		pass(&f, &e, data[1]);
		vhost_step(&f.c, &f.v, &e, f.now, &out);
		assert(out.n <= VHOST_ACTIONS_MAX);
		for (i = 0; i < out.n; i++)
			act(&f, &out.a[i]);
		check(&f);
	}
	return (0);
}
