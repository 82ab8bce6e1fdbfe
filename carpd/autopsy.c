/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: the two ways of autopsy.h.
 */
#include <string.h>

#include "autopsy.h"

/* Addresses of one family, one after the other. */
struct list {
	const uint8_t	*p;
	size_t		 n;
};

static const uint8_t	 families[] = { AF_INET, AF_INET6 };

static bool
holds(const struct list *l, const uint8_t *addr, size_t len)
{
	size_t	 i;

	for (i = 0; i < l->n; i++)
		if (memcmp(l->p + i * len, addr, len) == 0)
			return (true);
	return (false);
}

/* The first of a that b does not have, if there was none before. */
static void
first_only(const struct list *a, const struct list *b, uint8_t af,
    struct ipaddr *only)
{
	size_t	 i, len = ipaddr_len(af);

	for (i = 0; i < a->n && only->af == 0; i++) {
		if (holds(b, a->p + i * len, len))
			continue;
		memset(only, 0, sizeof(*only));
		only->af = af;
		only->plen = (uint8_t)(len * 8);
		memcpy(only->bytes, a->p + i * len, len);
	}
}

/* Both lists of the trailer; false: it tells none. */
static bool
told(const struct trailer *t, struct list theirs[2])
{
	const uint8_t	*val;
	uint8_t		 type;
	size_t		 len, fam, off = 0;
	bool		 any = false;

	memset(theirs, 0, 2 * sizeof(theirs[0]));
	while (trailer_tlv(t, &off, &type, &val, &len)) {
		if (type != ADVERT_TLV_ADDRS4 && type != ADVERT_TLV_ADDRS6)
			continue;
		fam = type == ADVERT_TLV_ADDRS6;
		theirs[fam].p = val;
		theirs[fam].n = len / ipaddr_len(families[fam]);
		any = true;
	}
	return (any);
}

static void
compare(const struct advert_vhost *v, const struct list theirs[2],
    struct autopsy *a)
{
	struct list	 ours;
	size_t		 i;

	memset(&a->here, 0, sizeof(a->here));
	memset(&a->there, 0, sizeof(a->there));
	for (i = 0; i < 2; i++) {
		ours.p = advert_list(v, families[i], &ours.n);
		first_only(&ours, &theirs[i], families[i], &a->here);
		first_only(&theirs[i], &ours, families[i], &a->there);
	}
}

void
autopsy_lists(const struct advert_vhost *v, const struct frame_ip *f,
    struct autopsy *a)
{
	struct list	 theirs[2];
	struct trailer	 t;

	a->fault = AUTOPSY_ADDRS;
	if (f->len >= CARP_LEN && advert_trailer(f, &t) == TRAILER_OK &&
	    told(&t, theirs))
		compare(v, theirs, a);
}

struct trial {
	struct advert_vhost	*v;
	uint8_t			 vhid;
	const uint8_t		*counter, *digest;
	unsigned int		*budget;
	struct ipaddr		 list[CONFIG_ADDRS_MAX + 1];
	size_t			 n;
};

static bool
comes_out(const struct trial *t)
{
	uint8_t			 got[CARP_DIGEST_LEN];
	enum advert_variant	 var;

	for (var = 0; var < ADVERT_VARIANTS; var++) {
		if (*t->budget == 0)
			return (false);
		--*t->budget;
		if (advert_digest_of(t->v, var, t->vhid, t->list, t->n,
		    t->counter, got) && hmac_equal(got, t->digest,
		    sizeof(got)))
			return (true);
	}
	return (false);
}

/* With each of ours left out. */
static bool
one_less(struct trial *t, struct autopsy *a)
{
	struct ipaddr	 last;
	size_t		 i;

	if (t->n == 0)
		return (false);
	t->n--;
	for (i = 0; i <= t->n; i++) {
		last = t->list[t->n];
		a->here = t->list[i];
		t->list[i] = last;
		if (comes_out(t))
			return (true);
		t->list[i] = a->here;
		t->list[t->n] = last;
	}
	t->n++;
	memset(&a->here, 0, sizeof(a->here));
	return (false);
}

static bool
one_more(struct trial *t, const struct ipaddr *more, size_t nmore,
    struct autopsy *a)
{
	size_t	 i;

	for (i = 0; i < nmore; i++) {
		t->list[t->n++] = a->there = more[i];
		if (comes_out(t))
			return (true);
		t->n--;
	}
	memset(&a->there, 0, sizeof(a->there));
	return (false);
}

void
autopsy_guess(struct advert_vhost *v, uint8_t vhid,
    const uint8_t counter[CARP_COUNTER_LEN],
    const uint8_t digest[CARP_DIGEST_LEN], const struct ipaddr *addrs,
    size_t naddrs, const struct ipaddr *more, size_t nmore,
    unsigned int *budget, struct autopsy *a)
{
	struct trial	 t = { v, vhid, counter, digest, budget, { { 0 } }, 0 };

	memset(a, 0, sizeof(*a));
	for (; t.n < naddrs && t.n < CONFIG_ADDRS_MAX; t.n++)
		t.list[t.n] = addrs[t.n];
	if (vhid != v->vhid) {
		if (comes_out(&t))
			a->fault = AUTOPSY_VHID;
	} else if (one_less(&t, a) || one_more(&t, more, nmore, a))
		a->fault = AUTOPSY_ADDRS;
}
