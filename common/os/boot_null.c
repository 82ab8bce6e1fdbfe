/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See boot.h: not known, so each time it is another one.
 */
#include "../hmac.h"
#include "boot.h"

uint32_t
boot_id(void)
{
	uint32_t	 id;

	hmac_random(&id, sizeof(id));
	return (id);
}
