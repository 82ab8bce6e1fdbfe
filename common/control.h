/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Server side of a control socket.  The parent makes the listener, the engine
 * accepts.  At most CONTROL_CLIENTS_MAX clients; a client that does not read
 * its answers is cut off at CONTROL_QUEUE_MAX bytes; nothing here waits.
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#include <sys/types.h>

#include "imsg.h"

#define CONTROL_CLIENTS_MAX	32
#define CONTROL_QUEUE_MAX	(4 * 1024 * 1024)

struct control;
struct control_client;

typedef void (*control_cb)(struct control_client *cl, struct imsg *im,
	    void *arg);

/*
 * Bind path, mode 0660, owner root and gid, non-blocking.  A live daemon
 * behind path: -1, EADDRINUSE; a dead socket is replaced.  Returns the fd.
 */
int		 control_listen(const char *path, gid_t gid);
/* Unlink path if it is still the socket this process made. */
void		 control_cleanup(const char *path);

/* Takes over the listening fd. */
struct control	*control_new(int fd, control_cb cb, void *arg);
void		 control_free(struct control *c);

/* A stable id of this client, never reused while the daemon runs. */
uint32_t	 control_client_id(const struct control_client *cl);
struct control_client *control_find(struct control *c, uint32_t id);
/* Answer; a client whose queue overflows is closed later, from the loop. */
void		 control_reply(struct control_client *cl, uint32_t type,
		    const void *data, size_t len);
/* Close once everything queued is written. */
void		 control_finish(struct control_client *cl);
/* Subscribed clients receive what control_notify() sends. */
void		 control_subscribe(struct control_client *cl);
void		 control_notify(struct control *c, uint32_t type,
		    const void *data, size_t len);
/* Owner data; freed callback runs when the client goes away. */
void		 control_on_close(struct control *c,
		    void (*cb)(uint32_t client_id, void *arg), void *arg);

#endif
