/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: conntrack flows and pf states (pfvar.h, pf.c).  A forwarded flow is two
 * pf states, IN and OUT; what is lost each way is written where ctmap.c
 * translates it.
 */
#ifndef PFSYNCD_CTMAP_H
#define PFSYNCD_CTMAP_H

#include <stdbool.h>
#include <stdint.h>

#include "../common/wire/pfsync.h"
#include "flow.h"

enum { CTMAP_IN, CTMAP_OUT };		/* halves of a flow */

/* Can this flow be said in pf's words?  NULL or a static text: why not. */
const char	*ctmap_exportable(const struct flow *f);
/*
 * Half of f as a full state of the form's family numbers: keys, peers,
 * timeout, sloppy, ifname "all"; id, creatorid, creation are the caller's to
 * set.  expire = min(timeout, pf's default).
 */
void		 ctmap_export(const struct flow *f, int half,
		    enum pfsync_form form, struct pfsync_state *s);
/* Peer states and timeout number alone, for UPD_C. */
void		 ctmap_export_peers(const struct flow *f,
		    struct pfsync_peer *src, struct pfsync_peer *dst,
		    uint8_t *timeout);
/*
 * The flow that the halves tell of (either may be NULL, not both); peer states
 * are taken from the further half.  false: not to be installed here (NAT64,
 * syn proxy, mismatching halves, unknown values).
 */
bool		 ctmap_import(const struct pfsync_state *in,
		    const struct pfsync_state *out, enum pfsync_form form,
		    struct flow *f);
/* Do an IN and an OUT state belong to one flow? */
bool		 ctmap_pair(const struct pfsync_state *in,
		    const struct pfsync_state *out);
/* TCP state of conntrack for pf's pair of peer states. */
enum flow_tcp	 ctmap_tcp_import(uint8_t src, uint8_t dst);
/*
 * Make f be where the peer states say: TCP state and whose FIN was first (never
 * taken back), status bits.  false: f is unchanged, no such flow (SYN proxy).
 */
bool		 ctmap_progress(struct flow *f, uint8_t src, uint8_t dst);
/* Status bits (SEEN_REPLY, ASSURED) of a state. */
uint32_t	 ctmap_status(uint8_t proto, uint8_t src, uint8_t dst);
/* conntrack's own default for that protocol and state, for UPD_C: seconds. */
uint32_t	 ctmap_timeout(uint8_t proto, enum flow_tcp tcp,
		    uint32_t status);
/* pf's default of a timeout number: seconds, 0 when it is none of a state. */
uint32_t	 ctmap_pf_timeout(uint8_t number);

#endif
