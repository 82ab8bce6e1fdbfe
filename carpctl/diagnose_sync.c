/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: see diagnose_sync.h.
 */
#include <string.h>

#include "diagnose_sync.h"

#define RECENT_MS	5000	/* a node speaks once a second */
#define YOUNG_MS	10000	/* nobody need have been heard yet */

/* What is said of a sender that is not taken; its address comes before. */
static const struct {
	enum finding_code	 code;
	const char		*cause, *remedy;
} whys[SYNC_WHY_MAX] = {
	[SYNC_WHY_KEY] = { FINDING_SYNC_KEY, "has another key, or none",
	    "give both the same key" },
	[SYNC_WHY_KEYED] = { FINDING_SYNC_UNAUTH,
	    "authenticates what it sends, and we have no key",
	    "give both the same key" },
	[SYNC_WHY_KEYID] = { FINDING_SYNC_KEY, "uses another key id",
	    "give both the same key and id" },
	[SYNC_WHY_OPEN] = { FINDING_SYNC_UNAUTH,
	    "has no key, and we have one",
	    "give both the same key" },
	[SYNC_WHY_NONE] = { FINDING_SYNC_UNAUTH,
	    "does not authenticate what it sends, and we have a key",
	    "give both the same key" },
	[SYNC_WHY_TRAILER] = { FINDING_SYNC_PACKET,
	    "sends packets with a malformed trailer",
	    "look for what changes packets on the way" },
	[SYNC_WHY_NATIVE] = { FINDING_SYNC_DIALECT,
	    "speaks the native dialect, which we do not",
	    "give both a dialect in common" },
	[SYNC_WHY_PFSYNC] = { FINDING_SYNC_DIALECT,
	    "speaks pfsync(4), which we do not",
	    "give both a dialect in common" },
	[SYNC_WHY_VERSION] = { FINDING_SYNC_DIALECT,
	    "speaks a version of pfsync that is not known",
	    "give both a dialect in common" },
	[SYNC_WHY_UNPROVEN] = { FINDING_SYNC_UNPROVEN,
	    "does not prove to be live",
	    "see whether it hears us, or who replays" },
};

static bool
is_peer(const struct sync_answer *a, const struct ipaddr *addr)
{
	size_t	 i;

	for (i = 0; i < a->npeers; i++)
		if (a->peers[i].alive &&
		    ipaddr_cmp(&a->peers[i].addr, addr) == 0)
			return (true);
	return (false);
}

/* A peer may say it in other words as well, for others. */
static bool
strangers(const struct sync_answer *a, struct findings *all)
{
	const struct sync_stranger	*s;
	char				 who[IPADDR_STRLEN];
	bool				 any = false;

	for (s = a->strangers; s < a->strangers + a->nstrangers; s++) {
		if (s->heard_ms > RECENT_MS || s->why >= SYNC_WHY_MAX ||
		    is_peer(a, &s->addr))
			continue;
		findings_add(all, whys[s->why].code, a->s.syncdev,
		    whys[s->why].remedy, "%s %s", ipaddr_print(&s->addr, who,
		    sizeof(who)), whys[s->why].cause);
		any = true;
	}
	return (any);
}

static bool
is_unicast(const struct ipaddr *syncpeer)
{
	return (syncpeer->af != 0 && !ipaddr_is_multicast(syncpeer));
}

static void
silent(const struct sync_answer *a, const struct ipaddr *heard,
    struct findings *all)
{
	char	 who[IPADDR_STRLEN];
	size_t	 i;

	for (i = 0; i < a->npeers; i++)
		if (a->peers[i].alive)
			return;
	if (a->s.uptime_ms < YOUNG_MS)
		return;
	if (is_unicast(&a->s.syncpeer))
		findings_add(all, FINDING_SYNC_SILENT, a->s.syncdev,
		    "see whether its pfsyncd runs, and what drops protocol "
		    "240 on the way", "nothing is heard from syncpeer %s",
		    ipaddr_print(&a->s.syncpeer, who, sizeof(who)));
	else if (heard != NULL)
		findings_add(all, FINDING_SYNC_SILENT, a->s.syncdev,
		    "see whether its pfsyncd runs, and what drops protocol "
		    "240 on the way", "no pfsync peer is heard, although "
		    "carpd hears %s", ipaddr_print(heard, who, sizeof(who)));
}

static void
take_facts(const struct sync_answer *a, struct sync_facts *facts)
{
	size_t	 i;

	memset(facts, 0, sizeof(*facts));
	facts->asked = true;
	facts->syncpeer = a->s.syncpeer;
	facts->senderr = a->s.senderr;
	strlcpy(facts->syncdev, a->s.syncdev, sizeof(facts->syncdev));
	for (i = 0; i < a->npeers && !facts->master; i++) {
		facts->master = a->peers[i].alive && a->peers[i].master;
		facts->who = a->peers[i].addr;
	}
}

void
diagnose_sync(const struct sync_answer *a, const struct ipaddr *heard,
    struct sync_facts *facts, struct findings *all)
{
	take_facts(a, facts);
	if (!a->s.link) {
		findings_add(all, FINDING_SYNC_LINK, a->s.syncdev, "see to the "
		    "cable, or to syncdev", "the sync link is down");
		return;
	}
	if (!strangers(a, all))
		silent(a, heard, all);
	if (a->s.full)
		findings_add(all, FINDING_SYNC_FULL, "", "raise "
		    "net.netfilter.nf_conntrack_max", "the kernel's table is "
		    "full: states of the peers are missing in it");
}
