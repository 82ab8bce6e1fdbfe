/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Test help: reproducible random numbers, and random IP packets that are as
 * wrong as they like but for version and length.
 */
#ifndef TESTS_UNIT_ANYPACKET_H
#define TESTS_UNIT_ANYPACKET_H

#include <stddef.h>
#include <stdint.h>

#define ANYPACKET_MIN	40	/* an IPv6 header */
#define ANYPACKET_MAX	128

/* splitmix64: the same everywhere */
static inline uint64_t
any_number(uint64_t *seed)
{
	uint64_t	 z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31));
}

/*
 * Half of them ICMP, half of the IPv4 ones whole; IPv4 headers have 20 to 60
 * bytes.  Returns the length.
 */
static inline size_t
any_packet(uint64_t *seed, uint8_t b[ANYPACKET_MAX])
{
	size_t	 i, len;
	int	 v6 = any_number(seed) % 2 != 0;

	len = ANYPACKET_MIN +
	    any_number(seed) % (ANYPACKET_MAX - ANYPACKET_MIN + 1);
	for (i = 0; i < ANYPACKET_MAX; i++)
		b[i] = (uint8_t)any_number(seed);
	b[0] = v6 ? 0x60 : (uint8_t)(0x45 + any_number(seed) % 11);
	if (any_number(seed) % 2)
		b[v6 ? 6 : 9] = v6 ? 58 : 1;
	if (!v6 && any_number(seed) % 2)
		b[6] = b[7] = 0;
	return (len);
}

#endif
