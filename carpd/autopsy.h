/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: why an advertisement did not verify though its pass phrase is ours:
 * which address, or another vhid.  For people only; no check hangs on it.
 */
#ifndef CARPD_AUTOPSY_H
#define CARPD_AUTOPSY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/ipaddr.h"
#include "advert.h"

enum autopsy_fault {
	AUTOPSY_UNKNOWN,
	AUTOPSY_ADDRS,		/* our pass phrase, other addresses */
	AUTOPSY_VHID,		/* our pass phrase and addresses, other vhid */
	AUTOPSY_FAULTS
};

struct autopsy {
	enum autopsy_fault fault;
	/* ADDRS: an address that only we, or only they have; af 0: not known */
	struct ipaddr	 here, there;
};

/*
 * One of our nodes, whose packet was dropped for ADVERT_DROP_ADDRS, may tell
 * its addresses: then they are compared with ours.  The others were told
 * before: *a stays.
 */
void		 autopsy_lists(const struct advert_vhost *v,
		    const struct frame_ip *f, struct autopsy *a);
/*
 * By trial, for others: does the digest of (counter, digest) under `vhid` come
 * out with our list, with one of our naddrs addresses left out, or with one
 * of the nmore others added?  Costs up to 2 * (1 + naddrs + nmore) HMACs, which
 * are taken from *budget; nothing is tried beyond it.
 */
void		 autopsy_guess(struct advert_vhost *v, uint8_t vhid,
		    const uint8_t counter[CARP_COUNTER_LEN],
		    const uint8_t digest[CARP_DIGEST_LEN],
		    const struct ipaddr *addrs, size_t naddrs,
		    const struct ipaddr *more, size_t nmore,
		    unsigned int *budget, struct autopsy *a);

#endif
