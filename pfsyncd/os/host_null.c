/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See host.h.  Nothing is known of this host; the MAC address alone names it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../../common/hmac.h"
#include "host.h"

uint32_t
host_node(const char *syncdev, const uint8_t mac[6])
{
	static const uint8_t none[6];
	uint8_t sum[HMAC_SHA256_LEN];
	uint32_t node;

	(void)syncdev;
	if (memcmp(mac, none, sizeof(none)) == 0)
		return (0);
	hmac_sha256_once(mac, 6, sum);
	memcpy(&node, sum, sizeof(node));
	return (node == 0 ? 1 : node);
}

int
host_events(void)
{
	errno = ENOENT;
	return (-1);
}

int
host_events_set(int value)
{
	(void)value;
	errno = ENOENT;
	return (-1);
}
