/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Hexadecimal text of vectors to bytes.  For tests only: bad text aborts.
 */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decode hex (even length, no spaces) to out; returns the number of bytes. */
static inline size_t
unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t		 i, n = strlen(hex) / 2;
	unsigned int	 byte;

	if (strlen(hex) % 2 != 0 || n > size)
		abort();
	for (i = 0; i < n; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			abort();
		out[i] = (uint8_t)byte;
	}
	return (n);
}

#endif
