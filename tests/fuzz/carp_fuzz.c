/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a CARP header: decoding loses nothing but the checksum, and
 * encoding always makes a right one.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../common/wire/carp.h"
#include "../../common/wire/vrrp.h"

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ipaddr a4 = { .af = AF_INET }, a6 = { .af = AF_INET6 };
	struct vrrp_header	 v;
	struct carp_header	 h, back;
	uint8_t			 out[CARP_LEN];
	bool			 ok;

	if (vrrp_decode(data, size, &a4, &a4, &v) ||
	    vrrp_decode(data, size, &a6, &a6, &v))
		assert(size >= 8 && v.vrid == data[1] && (v.version == 2 ||
		    v.version == 3));
	ok = carp_decode(data, size, &h);
	assert(ok == (size >= CARP_LEN));
	if (!ok)
		return (0);
	carp_encode(&h, out);
	assert(carp_cksum_ok(out));
	assert(memcmp(out, data, 6) == 0);
	assert(memcmp(out + 8, data + 8, CARP_LEN - 8) == 0);
	/* 0xffff is the other zero of one's complement; nobody sends it. */
	if (carp_cksum_ok(data) && h.cksum != 0xffff)
		assert(memcmp(out, data, CARP_LEN) == 0);
	assert(carp_decode(out, sizeof(out), &back));
	assert(back.version == h.version && back.type == h.type);
	assert(back.vhid == h.vhid && back.advskew == h.advskew);
	assert(back.authlen == h.authlen && back.demote == h.demote);
	assert(back.advbase == h.advbase);
	return (0);
}
