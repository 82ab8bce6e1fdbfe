/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The socket, the process and the clients of a fake daemon (fake.h).
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

#define LIFETIME	60		/* seconds */

const char *scene;

void
reply(struct imsgbuf *b, uint32_t type, const void *data, size_t len)
{
	if (imsg_compose(b, type, 0, -1, data, len) == -1)
		err(1, "imsg_compose");
}

struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	if (ipaddr_parse(s, &a, NULL) == -1)
		errx(1, "%s", s);
	return (a);
}

static void
wait_for(struct imsgbuf *b, short events)
{
	struct pollfd	 pfd = { .fd = imsgbuf_fd(b), .events = events };

	if (poll(&pfd, 1, -1) == -1)
		err(1, "poll");
}

static void
client(int fd, fake_serve serve)
{
	struct imsgbuf	*b = imsgbuf_new(fd);
	struct imsg	 im;
	int		 go_on = 1, r;

	while (go_on) {
		if ((r = imsg_get(b, &im)) == 1)
			go_on = serve(b, &im);
		else if (r == -1)
			break;
		while ((r = imsgbuf_flush(b)) == 1)
			wait_for(b, POLLOUT);
		if (r == -1)
			break;
		if (go_on) {
			wait_for(b, POLLIN);
			if (imsgbuf_read(b) != 1)
				break;
		}
	}
	imsgbuf_free(b);
}

static int
listener(const char *path)
{
	struct sockaddr_un	 sun = { .sun_family = AF_UNIX };
	int			 fd;

	strlcpy(sun.sun_path, path, sizeof(sun.sun_path));
	unlink(path);
	if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 8) == -1)
		err(1, "%s", path);
	return (fd);
}

/* The caller reads the pid up to end of file: let go of its pipe. */
static void
background(void)
{
	pid_t	 pid;
	int	 fd;

	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid != 0) {
		printf("%d\n", (int)pid);
		exit(0);
	}
	if ((fd = open("/dev/null", O_RDWR)) == -1 || dup2(fd, 1) == -1)
		err(1, "/dev/null");
	alarm(LIFETIME);
}

int
fake_main(int argc, char *argv[], fake_serve serve)
{
	int	 fd, s;

	if (argc != 3)
		errx(1, "usage: %s socket scene", getprogname());
	scene = argv[2];
	s = listener(argv[1]);
	background();
	while ((fd = accept(s, NULL, NULL)) != -1)
		client(fd, serve);
	err(1, "accept");
}
