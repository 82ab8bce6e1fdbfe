/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What `carpctl doctor` has found: a code for programs, a sentence that names
 * the cause, and what is to be done.  Running out of memory ends the program.
 */
#ifndef CARPCTL_FINDINGS_H
#define CARPCTL_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum finding_code {
	/* carpd */
	FINDING_INIT,		/* a vhid does not run */
	FINDING_SPLIT,		/* two MASTERs */
	FINDING_PASS,		/* another pass phrase */
	FINDING_ADDRESSES,	/* ours, but another address list */
	FINDING_PASS_OR_ADDRESSES,
	FINDING_VHID,		/* both are ours, but another vhid */
	FINDING_VRRP,		/* a VRRP router has the number */
	FINDING_UCARP,		/* a peer that cannot do all */
	FINDING_DIGEST,		/* a peer that needs the other digest */
	FINDING_ONE_WAY,	/* a peer does not hear us */
	FINDING_MULTICAST,	/* a peer is not heard at all */
	FINDING_LOOP,		/* our own advertisements come back */
	FINDING_DROPPED,	/* a peer's are dropped for another reason */
	FINDING_SEND,		/* ours cannot be sent */
	FINDING_STARVED,	/* timers ran much too late */
	/* pfsyncd */
	FINDING_SYNC_LINK,
	FINDING_SYNC_DIALECT,
	FINDING_SYNC_KEY,	/* a wrong one */
	FINDING_SYNC_UNAUTH,	/* one side has none */
	FINDING_SYNC_UNPROVEN,	/* a recording, or it does not hear us */
	FINDING_SYNC_PACKET,	/* malformed */
	FINDING_SYNC_SILENT,	/* nobody is heard */
	FINDING_SYNC_SEND,
	FINDING_SYNC_FULL,
	/* the packet filter */
	FINDING_RULES_CARP,	/* drop protocol 112 */
	FINDING_RULES_PFSYNC,	/* drop protocol 240 */
	FINDING_MASQUERADE,
	FINDINGS
};
extern const char *const finding_names[FINDINGS];

struct findings {		/* zeroed: none */
	struct finding {
		enum finding_code code;
		char		 about[32];	/* an interface, or "" */
		char		 cause[384];
		const char	*remedy;	/* constant text */
	}	*f;
	size_t	 n;
};

/* The cause is one sentence, without its stop. */
void		 findings_add(struct findings *all, enum finding_code code,
		    const char *about, const char *remedy, const char *fmt, ...)
		    __attribute__((format(printf, 5, 6)));
bool		 findings_have(const struct findings *all,
		    enum finding_code code);
void		 findings_free(struct findings *all);

/* A line each with its remedy, or that nothing is wrong; or one JSON object. */
void		 findings_text(const struct findings *all, FILE *f);
void		 findings_json(const struct findings *all, FILE *f);

#endif
