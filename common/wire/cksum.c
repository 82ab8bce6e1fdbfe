/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The Internet checksum, RFC 1071.  Bytes are read one by one, so data needs
 * no alignment and the result no byte swapping.
 */
#include "cksum.h"

uint32_t
cksum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t	*p = data;
	uint64_t	 acc = sum;
	size_t		 i;

	for (i = 0; i + 1 < len; i += 2)
		acc += (uint64_t)p[i] << 8 | p[i + 1];
	if (i < len)
		acc += (uint64_t)p[i] << 8;
	/* Leave 16 bits, so that no number of calls can wrap the sum. */
	while (acc > 0xffff)
		acc = (acc & 0xffff) + (acc >> 16);
	return ((uint32_t)acc);
}

uint16_t
cksum_fin(uint32_t sum)
{
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return ((uint16_t)~sum);
}

uint16_t
cksum(const void *data, size_t len)
{
	return (cksum_fin(cksum_add(0, data, len)));
}
