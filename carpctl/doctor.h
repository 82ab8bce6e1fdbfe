/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl doctor: gathers evidence, has it judged, and prints what is wrong.
 */
#ifndef CARPCTL_DOCTOR_H
#define CARPCTL_DOCTOR_H

#include <stdbool.h>

#include "show.h"

#define DOCTOR_EXIT_FOUND	20	/* something is wrong */

/* Gathers carpd's replies; what it gathers is show_arg(). */
extern const struct show_writer doctor_writer;

/*
 * Judges what was gathered, and prints.  pfsyncd is asked at syncpath, unless
 * that is NULL; sync_must: it has to answer.  The exit code.
 */
int		 doctor_report(const void *gathered, const char *syncpath,
		    bool sync_must, bool json);
void		 doctor_free(void *gathered);

#endif
