/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What pfsyncd.conf(5) says, as one flat struct: parsed in the parent, sent to
 * the engine, compared at reload.
 */
#ifndef PFSYNCD_CONFIG_H
#define PFSYNCD_CONFIG_H

#include <net/if.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#include "../common/auth.h"
#include "../common/ipaddr.h"

#define CONFIG_NOSYNC_MAX	64	/* rules of the no-sync block */
#define CONFIG_MAXUPD		128
#define CONFIG_REFRESH		15	/* seconds */
#define CONFIG_PATH_MAX		104

/* What we send; the bit 1 << d is set in `dialects`. */
enum config_dialect { DIALECT_NATIVE, DIALECT_OPENBSD, DIALECT_FREEBSD_1301,
	    DIALECT_FREEBSD_1400, DIALECT_FREEBSD_1500, DIALECT_MAX };

enum config_nosync_type {
	NOSYNC_PROTO,		/* proto: number */
	NOSYNC_SELF,		/* original or reply source is our own */
	NOSYNC_FROM,		/* addr: prefix of the original source */
	NOSYNC_TO,		/* addr: prefix of the original destination */
	NOSYNC_MARK,		/* (mark & mask) == value */
	NOSYNC_ON		/* ifname: original or reply source is in a
				   network directly connected there */
};

struct config_nosync {
	uint8_t		 type;		/* enum config_nosync_type */
	uint8_t		 proto;
	uint16_t	 pad;
	uint32_t	 mark, mask;
	struct ipaddr	 addr;
	char		 ifname[IF_NAMESIZE];
};

/* Zeroed first, so that memcmp() compares it. */
struct config {
	char		 syncdev[IF_NAMESIZE];
	uint8_t		 has_peer;
	uint8_t		 defer;		/* "defer yes" is refused today */
	uint8_t		 encrypt;	/* native packets */
	uint8_t		 pad;
	struct ipaddr	 syncpeer;	/* has_peer */
	uint32_t	 maxupd;	/* 0..255 */
	uint32_t	 refresh;	/* seconds between looks for traffic */
	uint32_t	 dialects;	/* bits */
	uint32_t	 maxstates;	/* at most, default 4000000 */
	uint32_t	 eventbuf;	/* bytes of the event buffer, 0: default */
	uint16_t	 nnosync;
	uint16_t	 pad2;
	struct auth_conf auth;
	char		 carpd[CONFIG_PATH_MAX];	/* "" : carpd no */
	struct config_nosync nosync[CONFIG_NOSYNC_MAX];
};

/* Receives "file:line: message" of an error or warning, without newline. */
typedef void (*config_msg_cb)(const char *line, void *arg);

/*
 * Parse and validate path with defines ("name=value", NULL-terminated array
 * or NULL) into a new struct.  NULL when there was any error; all of them are
 * reported (err).  Warnings go to warn.  Nothing of the system is looked at
 * except files.
 */
struct config	*config_load(const char *path, char *const *defines,
		    config_msg_cb err, config_msg_cb warn, void *arg);
/* The same from memory, for tests and fuzzing. */
struct config	*config_load_mem(const char *name, const char *text,
		    size_t len, config_msg_cb err, config_msg_cb warn,
		    void *arg);
/* Wipes the keys and frees; NULL is fine. */
void		 config_free(struct config *c);
/* Which part differs: bits for the reload. */
#define CONFIG_DIFF_SOCKETS	0x01	/* syncdev, syncpeer: sockets anew */
#define CONFIG_DIFF_LIVE	0x02	/* auth, key, maxupd, no-sync ... : live */
#define CONFIG_DIFF_RESTART	0x04	/* dialect, eventbuf, maxstates: the
					   protocol starts anew */
#define CONFIG_DIFF_CARPD	0x08	/* another carpd */
unsigned int	 config_diff(const struct config *a, const struct config *b);
/* Is a message from the parent well-formed (every count and string)? */
bool		 config_ok(const struct config *c);
/*
 * Print in the file's language, keys masked as key "***" unless secrets;
 * what is printed parses to the same (a masked one to a warning).
 */
void		 config_print(const struct config *c, bool secrets, FILE *f);

extern const char *const config_dialect_names[DIALECT_MAX + 1];

#endif
