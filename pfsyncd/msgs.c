/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The message table of msgs.h as data: shared by parent, engine, table and
 * carpctl.
 */
#include "msgs.h"

/* An empty message has no payload, whatever C says about empty structs. */
#define MSG_SIZE(payload) \
	_Generic((payload *)0, struct msg_none *: 0, default: sizeof(payload))

const struct msg_desc pfsyncd_msgs[PMSG_MAX] = {
	[PMSG_NONE] = { "NONE", 0, 0, false, false },
#define X(name, from, payload, fd, var)	\
	[PMSG_##name] = { #name, (from), MSG_SIZE(payload), (var), (fd) },
	PFSYNCD_MSGS(X)
#undef X
};

const char *const sync_bulk_names[SYNC_BULK_MAX] = {
	"none", "waiting", "running", "done", "failed"
};

const char *const sync_why_names[SYNC_WHY_MAX] = {
	[SYNC_WHY_KEY] = "wrong key",
	[SYNC_WHY_KEYED] = "it has a key and we have none",
	[SYNC_WHY_KEYID] = "another key id",
	[SYNC_WHY_OPEN] = "it has no key and we have one",
	[SYNC_WHY_NONE] = "no trailer although we have a key",
	[SYNC_WHY_TRAILER] = "malformed trailer",
	[SYNC_WHY_NATIVE] = "native dialect, not spoken here",
	[SYNC_WHY_PFSYNC] = "pfsync(4), not spoken here",
	[SYNC_WHY_VERSION] = "unknown pfsync version",
	[SYNC_WHY_UNPROVEN] = ("it does not prove to be live: a recording, or "
	    "it does not hear us")
};
