/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * What the parts of the import share: the words of a command, and what was
 * understood so far.
 */
#ifndef CARPCTL_IMPORT_INT_H
#define CARPCTL_IMPORT_INT_H

#include <sys/queue.h>

#include "../carpd/config.h"
#include "import.h"

#define IMPORT_LINE_MAX	4096	/* bytes of a line, joined ones together */
#define IMPORT_WORDS_MAX 512	/* words of a line */
#define IMPORT_IFACES_MAX 4096	/* of each kind */
#define IMPORT_ERRORS_MAX 100	/* of one file */
#define IMPORT_OWN_MAX	32	/* own addresses of a physical interface */

#define IMPORT_NOIFACE	"carpd makes no interface, its addresses are on " \
			"carpdev"

/* One word of a line, or what stands between two commands. */
struct import_word {
	char		*text;
	bool		 sep;		/* ; & | or the like */
	bool		 var;		/* has a variable of the shell */
};

/* The words of one line; text of all of them is in buf. */
struct import_line {
	struct import_word w[IMPORT_WORDS_MAX];
	size_t		 n;
	const char	*bad;		/* NULL, or what is wrong */
	char		 buf[2 * IMPORT_LINE_MAX + 2];
};

struct import_at {
	const char	*file;
	int		 line;
};

/* An address without netmask: its length is found when all is known. */
enum import_plen { PLEN_GIVEN, PLEN_CLASSFUL, PLEN_HOST };

/* A carp interface.  i.vhids is filled by import_finish(). */
struct import_carp {
	TAILQ_ENTRY(import_carp) entry;
	struct config_iface i;
	struct import_at at;		/* first mention */
	const char	*balancing;	/* NULL: none */
	struct config_vhid nodes[CONFIG_VHIDS_MAX];
	size_t		 nnodes;
	enum import_plen plens[CONFIG_ADDRS_MAX];	/* of i.addrs */
	struct import_at addr_at[CONFIG_ADDRS_MAX];
	struct ipaddr	 peers[2];	/* carppeer; and FreeBSD's peer6 */
	size_t		 npeers;
	char		*passfile;
	uint8_t		 vhid;		/* 0: not given */
	uint8_t		 advbase;
	uint8_t		 advskew;
	bool		 foreign;	/* carpdev has a name of a BSD */
};

/* An interface with addresses of its own, to find the carpdev by. */
struct import_own {
	TAILQ_ENTRY(import_own) entry;
	char		 name[IF_NAMESIZE];
	struct ipaddr	 addrs[IMPORT_OWN_MAX];
	size_t		 naddrs;
};

struct import_group {
	TAILQ_ENTRY(import_group) entry;
	char		 name[CONFIG_GROUPNAME_MAX];
	struct import_at at;
	int		 demote;
};

struct import_name {
	STAILQ_ENTRY(import_name) entry;
	char		*name;
};

struct import {
	import_msg_cb	 cb;
	void		*arg;
	int		 errors;
	int		 file_errors;
	struct import_at at;
	char		 iface[IF_NAMESIZE];	/* of hostname.IF, or "" */
	int		 allow;		/* -1: not said */
	int		 preempt;
	int		 log;
	struct {
		bool		 said;
		struct import_at at;
		char		 syncdev[IF_NAMESIZE];
		bool		 has_peer;
		struct ipaddr	 peer;
		int		 maxupd;	/* -1: not said */
	} sync;
	TAILQ_HEAD(import_carps, import_carp) carps;
	TAILQ_HEAD(import_owns, import_own) owns;
	TAILQ_HEAD(import_groups, import_group) groups;
	STAILQ_HEAD(import_names, import_name) names;
	size_t		 ncarps;
	size_t		 nowns;
	size_t		 ngroups;
};

/* A mistake at the current line: "file:line: " and the text. */
void		 import_error(struct import *im, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));
/* "file:line: WORD: has no meaning here: why" */
void		 import_note(struct import *im, const char *word,
		    const char *why);
/* The same at another line, with any text behind "WORD: ". */
void		 import_say(struct import *im, const struct import_at *at,
		    const char *word, const char *fmt, ...)
		    __attribute__((format(printf, 4, 5)));

/* Split the len bytes of a line as the shell does. */
void		 import_split(struct import_line *l, const char *text,
		    size_t len);
/* Decimal from min to max, else a mistake: WORD: TEXT is ...; -1 then. */
int		 import_number(struct import *im, const char *word,
		    const char *text, int min, int max);

/* The words behind `ifconfig', `sysctl' and `ucarp'. */
void		 import_ifconfig(struct import *im, struct import_word *w,
		    size_t n);
/* Those of interface `name'; packed: as hostname.if(5) has them. */
void		 import_interface(struct import *im, const char *name,
		    struct import_word *w, size_t n, bool packed);
void		 import_sysctl(struct import *im, const char *name,
		    const char *value);
void		 import_ucarp(struct import *im, struct import_word *w,
		    size_t n);

/* What is there by that name, or a new one; NULL: too many, said. */
struct import_carp *import_carp(struct import *im, const char *name);
struct import_carp *import_carp_on(struct import *im, const char *carpdev,
		    uint8_t vhid);
struct import_own *import_own(struct import *im, const char *name);
void		 import_demote(struct import *im, const char *group, int n);
/* Setters that several languages share; they report what is wrong. */
void		 import_set_vhid(struct import *im, struct import_carp *c,
		    const char *arg);
void		 import_set_advbase(struct import *im, struct import_carp *c,
		    const char *arg);
void		 import_set_advskew(struct import *im, struct import_carp *c,
		    const char *arg);
void		 import_set_pass(struct import *im, struct import_carp *c,
		    const char *arg);
void		 import_set_carpdev(struct import *im, struct import_carp *c,
		    const char *arg);
/* a->plen counts with PLEN_GIVEN. */
void		 import_add_address(struct import *im, struct import_carp *c,
		    const struct ipaddr *a, enum import_plen plen);
/* 0, or -1 when it cannot be the name of an interface, said. */
int		 import_ifname(struct import *im, const char *word,
		    const char *arg, char *dst);

#endif
