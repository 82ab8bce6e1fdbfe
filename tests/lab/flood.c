/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Frames onto an interface at a rate: `flood DEV RATE N FILE` sends N frames,
 * RATE in a second, those of FILE over and over (a frame a line, in hex), and
 * prints {"sent": n, "ms": t}.  Where they do not fit they wait.
 */
#include <sys/socket.h>
#include <net/ethernet.h>
#include <net/if.h>

#include <linux/if_packet.h>

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FRAMES_MAX	4096
#define FRAME_MAX	1514
#define BATCH		64
#define NSEC		1000000000LL

static struct iovec	 frames[FRAMES_MAX];
static size_t		 nframes;

static int64_t
now_ns(void)
{
	struct timespec	 ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * NSEC + ts.tv_nsec);
}

static void
add_frame(const char *hex)
{
	uint8_t		 data[FRAME_MAX], *copy;
	unsigned int	 byte;
	size_t		 n;

	for (n = 0; n < sizeof(data) && sscanf(hex, "%2x", &byte) == 1;
	    hex += 2)
		data[n++] = (uint8_t)byte;
	if (n < ETH_HLEN || nframes == FRAMES_MAX)
		errx(1, "too short, or too many");
	if ((copy = malloc(n)) == NULL)
		err(1, "malloc");
	memcpy(copy, data, n);
	frames[nframes++] = (struct iovec){ copy, n };
}

static void
read_frames(const char *path)
{
	char	 line[2 * FRAME_MAX + 2];
	FILE	*f;

	if ((f = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f) != NULL)
		add_frame(line);
	fclose(f);
	if (nframes == 0)
		errx(1, "%s: no frames", path);
}

static int
open_dev(const char *dev)
{
	struct sockaddr_ll	 sll = { .sll_family = AF_PACKET };
	int			 s;

	if ((sll.sll_ifindex = (int)if_nametoindex(dev)) == 0)
		err(1, "%s", dev);
	if ((s = socket(AF_PACKET, SOCK_RAW, 0)) == -1 ||
	    bind(s, (struct sockaddr *)&sll, sizeof(sll)) == -1)
		err(1, "socket");
	return (s);
}

/* How many of the next n went out. */
static size_t
send_some(int s, size_t at, size_t n)
{
	struct mmsghdr	 m[BATCH];
	size_t		 i;
	int		 r;

	memset(m, 0, sizeof(m));
	if (n > BATCH)
		n = BATCH;
	for (i = 0; i < n; i++) {
		m[i].msg_hdr.msg_iov = &frames[(at + i) % nframes];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	r = sendmmsg(s, m, (unsigned int)n, 0);
	if (r == -1 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
		err(1, "sendmmsg");
	return (r > 0 ? (size_t)r : 0);
}

int
main(int argc, char *argv[])
{
	const struct timespec	 pause = { 0, 200000 };
	int64_t			 start, rate;
	size_t			 sent = 0, n, due;
	int			 s;

	if (argc != 5)
		errx(1, "usage: flood dev rate n file");
	rate = atoll(argv[2]);
	n = (size_t)atoll(argv[3]);
	read_frames(argv[4]);
	s = open_dev(argv[1]);
	start = now_ns();
	while (sent < n) {
		due = (size_t)((now_ns() - start) / 1000 * rate / 1000000);
		if (due > n)
			due = n;
		if (due > sent)
			sent += send_some(s, sent, due - sent);
		else
			(void)nanosleep(&pause, NULL);
	}
	printf("{\"sent\": %zu, \"ms\": %lld}\n", sent,
	    (long long)((now_ns() - start) / 1000000));
	return (0);
}
