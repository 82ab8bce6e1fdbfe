/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What carpd.conf(5) says, as flat structs: parsed in the parent, sent to the
 * engine one message per object, compared at reload.
 */
#ifndef CARPD_CONFIG_H
#define CARPD_CONFIG_H

#include <net/if.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../common/auth.h"
#include "../common/ipaddr.h"
#include "balance.h"

#define CONFIG_VHIDS_MAX	BALANCE_NODES	/* carpnodes of one interface */
#define CONFIG_ADDRS_MAX	128	/* addresses of one interface */
#define CONFIG_PEERS_MAX	16	/* unicast peers of one interface */
#define CONFIG_GROUPS_MAX	8	/* groups of one interface, with "carp" */
#define CONFIG_GROUPNAME_MAX	16	/* with NUL, as IFNAMSIZ */
#define CONFIG_PASS_MAX		19	/* ifconfig(8): 20 with the NUL */
#define CONFIG_LOG_DEFAULT	2	/* net.inet.carp.log */

enum config_digest { DIGEST_AUTO, DIGEST_OPENBSD, DIGEST_FREEBSD };
enum config_style { STYLE_AUTO, STYLE_BYTE, STYLE_SKEW, STYLE_BOTH };

struct config_global {
	uint8_t		 preempt;
	uint8_t		 log;		/* 0..7 */
	uint8_t		 allow;
	uint8_t		 pad;
	uint32_t	 sync_wait;	/* seconds, 0: do not wait */
};

struct config_group {
	char		 name[CONFIG_GROUPNAME_MAX];
	uint32_t	 demote;	/* 0..255 */
};

struct config_vhid {
	uint8_t		 vhid;		/* 1..255 */
	uint8_t		 advbase;	/* seconds, 0..254 */
	uint8_t		 advskew;	/* 1/256 s, 0..254 */
	uint8_t		 pad;
};

/* One carp interface.  Zeroed first, so that memcmp() compares it. */
struct config_iface {
	char		 name[IF_NAMESIZE];	/* carp0 */
	char		 carpdev[IF_NAMESIZE];	/* eth0; "": none yet */
	uint8_t		 digest;		/* enum config_digest */
	uint8_t		 style;			/* enum config_style */
	uint8_t		 balancing;		/* enum balance_mode */
	uint8_t		 nvhids;
	uint8_t		 ngroups;
	uint8_t		 passlen;
	uint16_t	 naddrs;
	uint16_t	 npeers;
	uint8_t		 chosen;		/* carpdev: not by the file */
	uint8_t		 pad;
	struct config_vhid vhids[CONFIG_VHIDS_MAX];	/* sorted by vhid,
							   one advbase */
	char		 pass[CONFIG_PASS_MAX + 1];
	char		 groups[CONFIG_GROUPS_MAX][CONFIG_GROUPNAME_MAX];
	struct ipaddr	 addrs[CONFIG_ADDRS_MAX];	/* sorted, unique */
	struct ipaddr	 peers[CONFIG_PEERS_MAX];	/* the same */
};

struct config {
	struct config_global	 g;
	struct auth_conf	 auth;
	struct config_iface	*ifaces;	/* in the order of the file */
	size_t			 nifaces;
	struct config_group	*groups;
	size_t			 ngroups;
};

/* Receives "file:line: message" of an error or warning, without newline. */
typedef void (*config_msg_cb)(const char *line, void *arg);

/*
 * Parse and validate path with defines ("name=value", NULL-terminated array
 * or NULL).  NULL when there was any error; all of them are reported (err).
 * Warnings go to warn.  Nothing of the system is looked at except files.
 */
struct config	*config_load(const char *path, char *const *defines,
		    config_msg_cb err, config_msg_cb warn, void *arg);
/* The same from memory, for tests and fuzzing. */
struct config	*config_load_mem(const char *name, const char *text,
		    size_t len, config_msg_cb err, config_msg_cb warn,
		    void *arg);

/* An empty configuration with defaults; fatal() when out of memory. */
struct config	*config_new(void);
/* Wipes pass phrases and keys and frees; NULL is fine. */
void		 config_free(struct config *c);
/* Append a copy; returns it. */
struct config_iface *config_add_iface(struct config *c,
		    const struct config_iface *i);
struct config_group *config_add_group(struct config *c,
		    const struct config_group *g);
/* By name, or NULL. */
struct config_iface *config_find_iface(const struct config *c,
		    const char *name);
/* Which part of an interface differs: bits for the reload. */
#define CONFIG_DIFF_TIMERS	0x01	/* advbase, advskew: live */
#define CONFIG_DIFF_GROUPS	0x02	/* groups: live */
#define CONFIG_DIFF_STYLE	0x04	/* digest, demote-style: live */
#define CONFIG_DIFF_PEERS	0x10	/* unicast peers: live */
#define CONFIG_DIFF_IDENTITY	0x08	/* carpdev, pass, addresses, balancing,
					   the lowest vhid: all start anew */
#define CONFIG_DIFF_VHIDS	0x20	/* other vhids: those come and go */
unsigned int	 config_iface_diff(const struct config_iface *a,
		    const struct config_iface *b);
/* carp0: letters and a number, as ifconfig(8) creates them. */
bool		 config_is_carp_name(const char *s);
/* NULL, or why that cannot be the name of a group, a virtual address. */
const char	*config_bad_group(const char *s);
const char	*config_unusable(const struct ipaddr *a);
/* Is a message from the parent well-formed (every count and string)? */
bool		 config_iface_ok(const struct config_iface *i);

/*
 * Print in the file's language, pass phrases and keys masked as "***" unless
 * secrets; what is printed parses to the same (a masked one to a warning).
 */
void		 config_print(const struct config *c, bool secrets, FILE *f);

extern const char *const config_digest_names[];
extern const char *const config_style_names[];

#endif
