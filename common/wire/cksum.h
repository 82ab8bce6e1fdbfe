/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The Internet checksum (RFC 1071).
 */
#ifndef COMMON_WIRE_CKSUM_H
#define COMMON_WIRE_CKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Add len bytes to a running sum (start with 0); odd length only last. */
uint32_t	 cksum_add(uint32_t sum, const void *data, size_t len);
/* Fold and complement; the value as a host-order number, stored big-endian. */
uint16_t	 cksum_fin(uint32_t sum);
/* Whole checksum of one buffer; 0 when a buffer with its checksum is right */
uint16_t	 cksum(const void *data, size_t len);

#endif
