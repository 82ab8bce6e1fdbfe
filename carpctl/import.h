/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl import: the configuration of a BSD firewall, or of ucarp(8), read
 * and said again in the words of carpd.conf(5) and pfsyncd.conf(5).  What is
 * read are bytes in memory, what is written goes to a FILE: no other I/O here,
 * except in import_command().
 */
#ifndef CARPCTL_IMPORT_H
#define CARPCTL_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct import;

/* Receives "file:line: ..." without newline, printable; no value of a pass. */
typedef void (*import_msg_cb)(const char *line, void *arg);

/* fatal() when out of memory, here and below. */
struct import	*import_new(import_msg_cb cb, void *arg);
/* Wipes pass phrases and frees; NULL is fine. */
void		 import_free(struct import *im);
/*
 * Read len bytes of the file `name`, which says what it is: hostname.IF, or
 * anything else.  Mistakes are reported and counted.
 */
void		 import_text(struct import *im, const char *name,
		    const char *text, size_t len);
/*
 * After the last file: what only all of them together tell.  0; -1 when there
 * was any mistake; IMPORT_NOTHING when nothing was found that could be said
 * here.  Only after a 0 there is something to print.
 */
#define IMPORT_NOTHING	1
int		 import_finish(struct import *im);
/* Does the file have anything in it? */
bool		 import_has_carpd(const struct import *im);
bool		 import_has_pfsyncd(const struct import *im);
/* In the language of carpd.conf(5), with pass phrases; of pfsyncd.conf(5). */
void		 import_print_carpd(const struct import *im, FILE *f);
void		 import_print_pfsyncd(const struct import *im, FILE *f);

/*
 * The command.  files: NULL-terminated, "-" is stdin; dir: where to write, or
 * NULL for stdout; force: overwrite.  The exit code.
 */
int		 import_command(char *const *files, const char *dir,
		    bool force);

#endif
