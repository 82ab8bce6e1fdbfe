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

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct carp_header	 h, back;
	uint8_t			 out[CARP_LEN];
	bool			 ok;

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
