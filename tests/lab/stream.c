/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * A packet stream that measures an outage from where it hurts: the client.
 *
 *	stream send DST PORT INTERVAL_US COUNT|0 LOG
 *	stream echo PORT
 *
 * `send` sends numbered UDP packets on an absolute schedule and notes when the
 * echo of each came back; LOG, written at the end or on SIGTERM, has one line
 * per packet:
 *
 *	seq  send time  receive time or 0  number of echoes
 *
 * with times in nanoseconds of CLOCK_MONOTONIC.  SIGUSR1 makes it print one
 * line of progress: packets sent, packets echoed, send time of the last one
 * that was.  `echo` returns whatever arrives.  Both print "ready" first.  What
 * the figures mean is report.py's business.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAGIC		0x63617270U	/* "carp" */
#define PACKETS_MAX	(1U << 24)	/* 4.6 hours of milliseconds */
#define NSEC		1000000000LL
#define LINGER_MS	500		/* for the last echoes */
#define RT_PRIORITY	5		/* below the daemons under test */

struct packet {
	uint32_t	 magic;
	uint32_t	 seq;
	int64_t		 sent;
};

struct record {
	int64_t		 sent;
	_Atomic int64_t	 received;
	_Atomic uint32_t echoes;
};

struct stream {
	int		 fd;
	int64_t		 interval;
	uint32_t	 count;		/* 0: until SIGTERM */
	uint32_t	 sent;
	_Atomic uint32_t received;
	_Atomic uint32_t last;
	struct record	*rec;
};

static volatile sig_atomic_t	 stop, tell;

static void
on_signal(int sig)
{
	if (sig == SIGUSR1)
		tell = 1;
	else
		stop = 1;
}

static int64_t
now_ns(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * NSEC + ts.tv_nsec);
}

static void
usage(void)
{
	fprintf(stderr, "usage: stream send DST PORT INTERVAL_US COUNT LOG\n"
	    "       stream echo PORT\n");
	exit(2);
}

static uint32_t
number(const char *s, uint32_t max)
{
	char		*end;
	unsigned long	 n;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (errno != 0 || end == s || *end != '\0' || n > max)
		errx(2, "not a number up to %" PRIu32 ": %s", max, s);
	return ((uint32_t)n);
}

static void
realtime(void)
{
	struct sched_param	 sp = { .sched_priority = RT_PRIORITY };

	/* Not allowed everywhere; then the schedule is what it is. */
	(void)sched_setscheduler(0, SCHED_FIFO, &sp);
}

static int
open_to(const char *dst, const char *port)
{
	struct addrinfo	 hints, *ai;
	int		 fd, error;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_DGRAM;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	if ((error = getaddrinfo(dst, port, &hints, &ai)) != 0)
		errx(2, "%s port %s: %s", dst, port, gai_strerror(error));
	if ((fd = socket(ai->ai_family, SOCK_DGRAM, 0)) == -1)
		err(1, "socket");
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == -1)
		err(1, "connect to %s", dst);
	freeaddrinfo(ai);
	return (fd);
}

static void
note_echo(struct stream *s, const struct packet *p)
{
	struct record	*r;

	if (p->magic != MAGIC || p->seq >= PACKETS_MAX)
		return;
	r = &s->rec[p->seq];
	if (atomic_fetch_add(&r->echoes, 1) > 0)
		return;
	atomic_store(&r->received, now_ns());
	atomic_fetch_add(&s->received, 1);
	atomic_store(&s->last, p->seq);
}

static void *
receiver(void *arg)
{
	struct stream	*s = arg;
	struct packet	 p;
	ssize_t		 n;

	/* Errors here are ICMP's: part of an outage, never the end. */
	for (;;) {
		n = recv(s->fd, &p, sizeof(p), 0);
		if (n == (ssize_t)sizeof(p))
			note_echo(s, &p);
	}
	return (NULL);
}

static void
progress(const struct stream *s)
{
	uint32_t	 last = atomic_load(&s->last);

	printf("%" PRIu32 " %" PRIu32 " %" PRId64 "\n", s->sent,
	    atomic_load(&s->received),
	    atomic_load(&s->received) > 0 ? s->rec[last].sent : 0);
	fflush(stdout);
}

static void
sleep_until(int64_t t)
{
	struct timespec	 ts;

	ts.tv_sec = t / NSEC;
	ts.tv_nsec = t % NSEC;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	    EINTR && !stop && !tell)
		continue;
}

static void
sender(struct stream *s)
{
	struct packet	 p;
	int64_t		 next = now_ns();

	while (!stop && s->sent < PACKETS_MAX &&
	    (s->count == 0 || s->sent < s->count)) {
		sleep_until(next);
		if (tell) {
			tell = 0;
			progress(s);
		}
		if (now_ns() < next)
			continue;
		p.magic = MAGIC;
		p.seq = s->sent;
		p.sent = now_ns();
		s->rec[p.seq].sent = p.sent;
		s->sent++;
		/* A failure is a lost packet, and counted as one. */
		(void)send(s->fd, &p, sizeof(p), MSG_DONTWAIT);
		next += s->interval;
	}
}

static void
linger(const struct stream *s)
{
	struct timespec	 ms = { .tv_nsec = NSEC / 1000 };
	int		 i;

	for (i = 0; i < LINGER_MS; i++) {
		if (atomic_load(&s->received) == s->sent)
			break;
		nanosleep(&ms, NULL);
	}
}

static void
write_log(const struct stream *s, const char *path)
{
	FILE		*f;
	uint32_t	 i;

	if ((f = fopen(path, "w")) == NULL)
		err(1, "%s", path);
	fprintf(f, "# interval_ns %" PRId64 "\n", s->interval);
	fprintf(f, "# seq sent received echoes\n");
	for (i = 0; i < s->sent; i++)
		fprintf(f, "%" PRIu32 " %" PRId64 " %" PRId64 " %" PRIu32 "\n",
		    i, s->rec[i].sent, atomic_load(&s->rec[i].received),
		    atomic_load(&s->rec[i].echoes));
	if (fclose(f) != 0)
		err(1, "%s", path);
}

static void
catch_signals(void)
{
	struct sigaction	 sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	if (sigaction(SIGTERM, &sa, NULL) == -1 ||
	    sigaction(SIGINT, &sa, NULL) == -1 ||
	    sigaction(SIGUSR1, &sa, NULL) == -1)
		err(1, "sigaction");
}

/* The receiver's thread must not take the signals that wake the sender. */
static void
start_receiver(struct stream *s)
{
	pthread_t	 thread;
	sigset_t	 all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if ((errno = pthread_create(&thread, NULL, receiver, s)) != 0)
		err(1, "pthread_create");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* From here on signals are understood. */
static void
ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

static int
do_send(char **argv)
{
	struct stream	 s;

	memset(&s, 0, sizeof(s));
	s.fd = open_to(argv[0], argv[1]);
	s.interval = (int64_t)number(argv[2], 10000000) * 1000;
	s.count = number(argv[3], PACKETS_MAX);
	if (s.interval == 0)
		errx(2, "an interval of 0 is a flood");
	s.rec = mmap(NULL, sizeof(*s.rec) * PACKETS_MAX,
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE, -1, 0);
	if (s.rec == MAP_FAILED)
		err(1, "mmap");
	catch_signals();
	realtime();
	start_receiver(&s);
	ready();
	sender(&s);
	linger(&s);
	write_log(&s, argv[4]);
	return (0);
}

static int
do_echo(const char *port)
{
	struct sockaddr_in6	 sin6;
	struct sockaddr_storage	 from;
	socklen_t		 len;
	ssize_t			 n;
	char			 buf[2048];
	int			 fd, off = 0;

	memset(&sin6, 0, sizeof(sin6));
	sin6.sin6_family = AF_INET6;
	sin6.sin6_port = htons((in_port_t)number(port, 65535));
	if ((fd = socket(AF_INET6, SOCK_DGRAM, 0)) == -1)
		err(1, "socket");
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == -1)
		err(1, "IPV6_V6ONLY");
	if (bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == -1)
		err(1, "bind to port %s", port);
	catch_signals();
	realtime();
	ready();
	while (!stop) {
		len = sizeof(from);
		n = recvfrom(fd, buf, sizeof(buf), 0,
		    (struct sockaddr *)&from, &len);
		if (n >= 0)
			(void)sendto(fd, buf, (size_t)n, MSG_DONTWAIT,
			    (struct sockaddr *)&from, len);
	}
	return (0);
}

int
main(int argc, char *argv[])
{
	if (argc == 7 && strcmp(argv[1], "send") == 0)
		return (do_send(argv + 2));
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return (do_echo(argv[2]));
	usage();
}
