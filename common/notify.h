/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * sd_notify(3) without its library: one datagram to $NOTIFY_SOCKET.
 */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

/* Read $NOTIFY_SOCKET and forget it for our children. */
void	 notify_init(void);
/* "READY=1", "STOPPING=1" ...; nothing happens when nobody asked. */
void	 notify(const char *state);

#endif
