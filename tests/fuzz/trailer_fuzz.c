/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Any bytes as a trailer; the first byte chooses the protocol.  What parses
 * walks within bounds and, written anew, differs in the MAC at most, verifies,
 * and stops verifying when a bit changes.
 */
#undef NDEBUG

#include <assert.h>
#include <string.h>

#include "../../common/wire/trailer.h"

#define PKT	"some packet"
#define PKTLEN	(sizeof(PKT) - 1)

int	 LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ipaddr src = { .af = AF_INET, .bytes = { 192, 0, 2, 2 } };
static const struct ipaddr dst = { .af = AF_INET, .bytes = { 224, 0, 0, 18 } };

static void
walk(const struct trailer *t)
{
	const uint8_t	*val;
	uint8_t		 type;
	size_t		 off = 0, last = 0, len;

	while (trailer_tlv(t, &off, &type, &val, &len)) {
		assert(type != 0);
		assert(off > last && off <= t->tlvlen);
		assert(val + len == t->tlv + off);
		last = off;
	}
	assert(off == t->tlvlen);
}

static void
write_again(enum trailer_use use, struct hmac *key, const uint8_t *data,
    size_t len, const struct trailer *t)
{
	uint8_t		 buf[PKTLEN + TRAILER_MAX];
	uint8_t		*tr = buf + PKTLEN;
	struct trailer	 back;

	memcpy(buf, PKT, PKTLEN);
	assert(trailer_write(use, key, &src, &dst, buf, PKTLEN, sizeof(buf),
	    t) == len);
	assert(memcmp(tr, data, len - HMAC_SHA256_LEN) == 0);
	assert(trailer_parse(use, tr, len, &back) == TRAILER_OK);
	assert(trailer_verify(use, key, &src, &dst, buf, PKTLEN, tr));
	/* Forging the input's MAC is beyond a fuzzer, copying is not. */
	assert(trailer_verify(use, key, &src, &dst, buf, PKTLEN, data) ==
	    (memcmp(tr, data, len) == 0));
	tr[len - 1 - t->seq % 20] ^= 1;
	assert(!trailer_verify(use, key, &src, &dst, buf, PKTLEN, tr));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hmac	*key;
	enum trailer_use	 use;
	struct trailer		 t;

	if (key == NULL)
		key = hmac_new(HMAC_ALG_SHA256, "fuzz", 4);
	if (size == 0)
		return (0);
	use = data[0] & 1 ? TRAILER_PFSYNC : TRAILER_CARP;
	if (trailer_parse(use, data + 1, size - 1, &t) != TRAILER_OK)
		return (0);
	walk(&t);
	write_again(use, key, data + 1, size - 1, &t);
	return (0);
}
