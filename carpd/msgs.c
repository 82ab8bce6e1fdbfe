/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The message table of msgs.h as data: shared by parent, engine and carpctl.
 */
#include "msgs.h"

/* An empty message has no payload, whatever C says about empty structs. */
#define MSG_SIZE(payload) \
	_Generic((payload *)0, struct msg_none *: 0, default: sizeof(payload))

const struct msg_desc carpd_msgs[IMSG_MAX] = {
	[IMSG_NONE] = { "NONE", 0, 0, false, false },
#define X(name, from, payload, fd, var)	\
	[IMSG_##name] = { #name, (from), MSG_SIZE(payload), (var), (fd) },
	CARPD_MSGS(X)
#undef X
};
