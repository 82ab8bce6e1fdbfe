/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Contract: since when the kernel knows anything.  Null: not known.
 */
#ifndef COMMON_OS_BOOT_H
#define COMMON_OS_BOOT_H

#include <stdint.h>

/*
 * A number that is another one after a boot, and in another network namespace:
 * settings, interfaces and the state table were begun anew.
 */
uint32_t	 boot_id(void);

#endif
