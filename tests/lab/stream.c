/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Streams that measure an outage from where it hurts: the client.
 *
 *	stream send DST PORT INTERVAL_US COUNT|0 LOG
 *	stream echo PORT
 *	stream tcp DST PORT INTERVAL_US
 *	stream sink PORT
 *	stream conns DST PORT COUNT AT_ONCE CHUNKS INTERVAL_US
 *	stream flood DST PORT MS
 *
 * `send` sends numbered UDP packets on an absolute schedule and notes when the
 * echo of each came back; LOG, written at the end or on SIGTERM, has one line
 * per packet:
 *
 *	seq  send time  receive time or 0  number of echoes
 *
 * with times in nanoseconds of CLOCK_MONOTONIC.  SIGUSR1 makes it print one
 * line of progress: packets sent, packets echoed, send time of the last one
 * that was.  `echo` returns whatever arrives.  What the figures mean is
 * report.py's business.
 *
 * `tcp` holds one connection to a `sink`, which returns every byte, sends a
 * chunk each interval, and compares each byte that comes back with what stood
 * at its place.  It takes commands, one a line, and ends with its input:
 *
 *	mark		measure from here on
 *	bulk N		move N bytes there and back as fast as they go
 *	report		one line of JSON: bytes, whether intact and alive, the
 *			longest time without any byte since the mark while some
 *			were owed
 *
 * `conns` makes COUNT connections to a sink, AT_ONCE of them at a time.  Each
 * sends a chunk, and the next one when that is back and the interval is over,
 * compares all bytes, and closes after CHUNKS.  At the end, or on SIGTERM, one
 * line of JSON: how many were whole, what the others died of, segments sent
 * again (TCP_INFO), and how many ms the connections took.
 *
 * `flood` sends as many UDP packets as it can for MS milliseconds, pinned to
 * the CPU it begins on, and prints how many nanoseconds that took, and the
 * packets.
 *
 * All but that print "ready" first.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
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
#define FLOOD_BATCH	64
#define FLOOD_DATA	18		/* the smallest frame of IPv4 */
#define RT_PRIORITY	5		/* below the daemons under test */
#define CHUNK		512		/* bytes of a connection's interval */
#define CONNECT_MS	5000
#define TCPBUF		(1 << 16)
#define CONNS_MAX	1024		/* at a time */

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
	    "       stream echo PORT\n"
	    "       stream tcp DST PORT INTERVAL_US\n"
	    "       stream sink PORT\n"
	    "       stream conns DST PORT COUNT AT_ONCE CHUNKS INTERVAL_US\n"
	    "       stream flood DST PORT MS\n");
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
open_to(const char *dst, const char *port, int type)
{
	struct addrinfo	 hints, *ai;
	struct timeval	 tv = { .tv_sec = CONNECT_MS / 1000 };
	int		 fd, error;

	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = type;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	if ((error = getaddrinfo(dst, port, &hints, &ai)) != 0)
		errx(2, "%s port %s: %s", dst, port, gai_strerror(error));
	if ((fd = socket(ai->ai_family, type, 0)) == -1)
		err(1, "socket");
	/* how long a connect() may take */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == -1)
		err(1, "SO_SNDTIMEO");
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

/* A thread must not take the signals that wake the first one. */
static void
start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t	 thread;
	sigset_t	 all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if ((errno = pthread_create(&thread, NULL, fn, arg)) != 0)
		err(1, "pthread_create");
	pthread_detach(thread);
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
	s.fd = open_to(argv[0], argv[1], SOCK_DGRAM);
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
	start_thread(receiver, &s);
	ready();
	sender(&s);
	linger(&s);
	write_log(&s, argv[4]);
	return (0);
}

/* A socket for all addresses of both families. */
static int
bind_to(const char *port, int type)
{
	struct sockaddr_in6	 sin6;
	int			 fd, off = 0, on = 1;

	memset(&sin6, 0, sizeof(sin6));
	sin6.sin6_family = AF_INET6;
	sin6.sin6_port = htons((in_port_t)number(port, 65535));
	if ((fd = socket(AF_INET6, type, 0)) == -1)
		err(1, "socket");
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == -1)
		err(1, "IPV6_V6ONLY");
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR,
	    &on, sizeof(on)) == -1)
		err(1, "SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == -1)
		err(1, "bind to port %s", port);
	return (fd);
}

static int
do_echo(const char *port)
{
	struct sockaddr_storage	 from;
	socklen_t		 len;
	ssize_t			 n;
	char			 buf[2048];
	int			 fd = bind_to(port, SOCK_DGRAM);

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

/* ---- a connection ---- */

struct conn {
	int		 fd;
	int		 error;		/* errno of its death */
	int64_t		 interval;
	int64_t		 next;		/* when the next chunk is due */
	int64_t		 heard;		/* last byte, or the first one owed */
	int64_t		 stall;		/* longest silence since the mark */
	int64_t		 bulk_start, bulk_end;
	uint64_t	 goal;		/* bytes to have been sent by now */
	uint64_t	 sent, got, wrong;
	uint64_t	 bulk;		/* position that ends the bulk */
	bool		 eof;		/* no more commands */
};

/* The byte at a place of the stream; any shift by less than 2^32 shows. */
static uint8_t
pattern(uint64_t at)
{
	return ((uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 56));
}

static void
conn_died(struct conn *c, int error)
{
	if (c->error == 0)
		c->error = error;
}

/* A silence counts only while bytes are owed. */
static void
conn_silence(struct conn *c, int64_t now)
{
	if (c->got < c->sent && now - c->heard > c->stall)
		c->stall = now - c->heard;
}

static void
conn_send(struct conn *c)
{
	uint8_t		 buf[TCPBUF];
	uint64_t	 left = c->goal - c->sent;
	size_t		 len = left < sizeof(buf) ? (size_t)left : sizeof(buf);
	size_t		 i;
	ssize_t		 n;

	for (i = 0; i < len; i++)
		buf[i] = pattern(c->sent + i);
	n = send(c->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			conn_died(c, errno);
		return;
	}
	if (c->got == c->sent)
		c->heard = now_ns();
	c->sent += (uint64_t)n;
}

static void
conn_recv(struct conn *c)
{
	uint8_t		 buf[TCPBUF];
	ssize_t		 i, n;

	n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0)
			conn_died(c, EPIPE);
		else if (errno != EAGAIN && errno != EINTR)
			conn_died(c, errno);
		return;
	}
	conn_silence(c, now_ns());
	c->heard = now_ns();
	for (i = 0; i < n; i++)
		c->wrong += buf[i] != pattern(c->got + (uint64_t)i);
	c->got += (uint64_t)n;
	if (c->bulk_end == 0 && c->got >= c->bulk)
		c->bulk_end = c->heard;
}

static void
conn_report(struct conn *c)
{
	int64_t	 now = now_ns();

	conn_silence(c, now);
	printf("{\"sent\":%" PRIu64 ",\"got\":%" PRIu64 ",\"wrong\":%" PRIu64
	    ",\"alive\":%s,\"error\":\"%s\",\"stall_ms\":%.1f,"
	    "\"heard_ns\":%" PRId64 ",\"bulk\":%s,\"bulk_ms\":%.1f}\n",
	    c->sent, c->got, c->wrong, c->error == 0 ? "true" : "false",
	    c->error == 0 ? "" : strerror(c->error), (double)c->stall / 1e6,
	    c->heard, c->bulk_end != 0 ? "true" : "false",
	    (double)((c->bulk_end != 0 ? c->bulk_end : now) -
	    c->bulk_start) / 1e6);
	fflush(stdout);
}

static void
conn_command(struct conn *c, const char *cmd)
{
	int64_t	 now = now_ns();

	if (strcmp(cmd, "report") == 0) {
		conn_report(c);
	} else if (strcmp(cmd, "mark") == 0) {
		c->stall = 0;
		if (c->heard < now)
			c->heard = now;
	} else if (strncmp(cmd, "bulk ", 5) == 0) {
		c->goal += number(cmd + 5, UINT32_MAX);
		c->bulk = c->goal;
		c->bulk_start = now;
		c->bulk_end = 0;
	} else
		errx(2, "no such command: %s", cmd);
}

static void
conn_commands(struct conn *c)
{
	static char	 buf[256];
	static size_t	 len;
	char		*nl;
	ssize_t		 n;

	n = read(STDIN_FILENO, buf + len, sizeof(buf) - 1 - len);
	if (n <= 0) {
		c->eof = true;
		return;
	}
	len += (size_t)n;
	buf[len] = '\0';
	while ((nl = strchr(buf, '\n')) != NULL) {
		*nl++ = '\0';
		conn_command(c, buf);
		len -= (size_t)(nl - buf);
		memmove(buf, nl, len + 1);
	}
	if (len == sizeof(buf) - 1)
		errx(2, "a command without end");
}

static void
conn_step(struct conn *c)
{
	struct pollfd	 pfd[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			    { .fd = c->error == 0 ? c->fd : -1,
			    .events = POLLIN } };
	int64_t		 now = now_ns();
	int		 ms;

	if (now >= c->next) {
		if (c->goal == c->sent)
			c->goal += CHUNK;
		c->next += c->interval;
		if (c->next < now)
			c->next = now;
	}
	ms = (int)((c->next - now) / (NSEC / 1000)) + 1;
	if (c->goal > c->sent)
		pfd[1].events |= POLLOUT;
	if (poll(pfd, 2, ms) == -1 && errno != EINTR)
		err(1, "poll");
	if (pfd[1].revents & ~POLLOUT)
		conn_recv(c);
	if (c->error == 0 && pfd[1].revents & POLLOUT && c->goal > c->sent)
		conn_send(c);
	if (pfd[0].revents)
		conn_commands(c);
}

static int
do_tcp(char **argv)
{
	struct conn	 c;
	int		 on = 1;

	memset(&c, 0, sizeof(c));
	c.interval = (int64_t)number(argv[2], 10000000) * 1000;
	if (c.interval == 0)
		errx(2, "an interval of 0 is a flood");
	c.fd = open_to(argv[0], argv[1], SOCK_STREAM);
	if (setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		err(1, "TCP_NODELAY");
	catch_signals();
	c.next = c.heard = now_ns();
	c.bulk_end = c.bulk_start = c.next;
	ready();
	while (!stop && !c.eof)
		conn_step(&c);
	return (0);
}

static void *
sink_conn(void *arg)
{
	int	 fd = (int)(intptr_t)arg;
	char	*buf, *p;
	ssize_t	 n, m;

	if ((buf = malloc(TCPBUF)) == NULL)
		err(1, NULL);
	while ((n = recv(fd, buf, TCPBUF, 0)) > 0)
		for (p = buf; n > 0; p += m, n -= m)
			if ((m = send(fd, p, (size_t)n, MSG_NOSIGNAL)) == -1)
				break;
	free(buf);
	close(fd);
	return (NULL);
}

static int
do_sink(const char *port)
{
	int	 fd = bind_to(port, SOCK_STREAM), on = 1, got;

	if (listen(fd, 128) == -1)
		err(1, "listen");
	catch_signals();
	ready();
	while (!stop) {
		if ((got = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) == -1)
			continue;
		(void)setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		start_thread(sink_conn, (void *)(intptr_t)got);
	}
	return (0);
}

/* ---- many connections ---- */

struct short_conn {
	int64_t		 start, next;
	uint32_t	 chunks;	/* that were sent */
	uint64_t	 sent, got;
};

struct conns {
	struct sockaddr_storage to;
	socklen_t	 tolen;
	uint32_t	 count, at_once, chunks;
	int64_t		 interval;
	uint32_t	 begun, live, whole, wrong, again;
	int64_t		 longest, sum;
	int		 error;		/* the last one's */
	struct short_conn conn[CONNS_MAX];
	struct pollfd	 pfd[CONNS_MAX];	/* fd -1: free */
};

static void
short_begin(struct conns *s, uint32_t i)
{
	struct short_conn *c = &s->conn[i];
	int		 fd, on = 1;

	if ((fd = socket(s->to.ss_family, SOCK_STREAM | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0)) == -1)
		err(1, "socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		err(1, "TCP_NODELAY");
	if (connect(fd, (struct sockaddr *)&s->to, s->tolen) == -1 &&
	    errno != EINPROGRESS)
		err(1, "connect");
	memset(c, 0, sizeof(*c));
	c->start = c->next = now_ns();
	s->pfd[i].fd = fd;
	s->begun++;
	s->live++;
}

static void
short_end(struct conns *s, uint32_t i, int error)
{
	struct tcp_info	 ti;
	socklen_t	 len = sizeof(ti);
	int64_t		 took = now_ns() - s->conn[i].start;

	if (getsockopt(s->pfd[i].fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1)
		err(1, "TCP_INFO");
	s->again += ti.tcpi_total_retrans;
	if (error == 0)
		s->whole++;
	else
		s->error = error;
	s->sum += took;
	if (took > s->longest)
		s->longest = took;
	close(s->pfd[i].fd);
	s->pfd[i].fd = -1;
	s->live--;
}

static void
short_send(struct conns *s, uint32_t i)
{
	struct short_conn *c = &s->conn[i];
	uint8_t		 buf[CHUNK];
	size_t		 k;
	ssize_t		 n;

	for (k = 0; k < sizeof(buf); k++)
		buf[k] = pattern(c->sent + k);
	n = send(s->pfd[i].fd, buf, sizeof(buf), MSG_NOSIGNAL);
	if (n != (ssize_t)sizeof(buf)) {
		/* one chunk always fits */
		short_end(s, i, n == -1 ? errno : ENOBUFS);
		return;
	}
	c->sent += sizeof(buf);
	c->chunks++;
	c->next = now_ns() + s->interval;
}

static void
short_recv(struct conns *s, uint32_t i)
{
	struct short_conn *c = &s->conn[i];
	uint8_t		 buf[CHUNK];
	ssize_t		 n, k;

	n = recv(s->pfd[i].fd, buf, sizeof(buf), 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		short_end(s, i, n == 0 ? EPIPE : errno);
		return;
	}
	for (k = 0; k < n; k++)
		s->wrong += buf[k] != pattern(c->got + (uint64_t)k);
	c->got += (uint64_t)n;
	if (c->got == c->sent && c->chunks == s->chunks)
		short_end(s, i, 0);
}

/* What it waits for; until when, if that is sooner. */
static void
short_wait(struct conns *s, uint32_t i, int64_t *until)
{
	struct short_conn *c = &s->conn[i];

	s->pfd[i].events = POLLIN;
	if (c->got != c->sent || s->pfd[i].fd == -1)
		return;
	if (c->next <= now_ns())
		s->pfd[i].events |= POLLOUT;
	else if (c->next < *until)
		*until = c->next;
}

static void
conns_step(struct conns *s)
{
	int64_t		 now = now_ns(), until = now + NSEC;
	uint32_t	 i;

	for (i = 0; i < s->at_once; i++) {
		if (s->pfd[i].fd == -1 && s->begun < s->count)
			short_begin(s, i);
		short_wait(s, i, &until);
	}
	if (poll(s->pfd, s->at_once, (int)((until - now) / (NSEC / 1000)) +
	    1) == -1 && errno != EINTR)
		err(1, "poll");
	for (i = 0; i < s->at_once; i++) {
		if (s->pfd[i].fd == -1 || s->pfd[i].revents == 0)
			continue;
		if (s->pfd[i].revents & POLLOUT)
			short_send(s, i);
		else
			short_recv(s, i);
	}
}

static int
do_conns(char **argv)
{
	static struct conns s;
	uint32_t	 i;
	int		 fd;

	s.count = number(argv[2], 1000000);
	s.at_once = number(argv[3], CONNS_MAX);
	s.chunks = number(argv[4], 1000000);
	s.interval = (int64_t)number(argv[5], 10000000) * 1000;
	/* the address, without a packet */
	fd = open_to(argv[0], argv[1], SOCK_DGRAM);
	s.tolen = sizeof(s.to);
	if (getpeername(fd, (struct sockaddr *)&s.to, &s.tolen) == -1)
		err(1, "getpeername");
	close(fd);
	for (i = 0; i < s.at_once; i++)
		s.pfd[i].fd = -1;
	catch_signals();
	ready();
	while (!stop && s.whole < s.count && (s.live > 0 ||
	    s.begun < s.count))
		conns_step(&s);
	for (i = 0; i < s.at_once; i++)
		if (s.pfd[i].fd != -1)
			short_end(&s, i, ETIMEDOUT);
	printf("{\"begun\":%" PRIu32 ",\"whole\":%" PRIu32 ",\"wrong\":%"
	    PRIu32 ",\"error\":\"%s\",\"retrans\":%" PRIu32
	    ",\"mean_ms\":%.1f,\"longest_ms\":%.1f}\n", s.begun, s.whole,
	    s.wrong, s.error == 0 ? "" : strerror(s.error), s.again,
	    (double)s.sum / 1e6 / (s.begun > 0 ? s.begun : 1),
	    (double)s.longest / 1e6);
	return (0);
}

/* ---- as many packets as can be ---- */

/* Small ones, many a system call: what is measured is the way. */
static int
do_flood(char **argv)
{
	static struct mmsghdr	 m[FLOOD_BATCH];
	static char		 data[FLOOD_DATA];
	struct iovec		 iov = { data, sizeof(data) };
	cpu_set_t		 cpu;
	int64_t			 start, now, end;
	uint64_t		 sent = 0;
	int			 i, n, fd = open_to(argv[0], argv[1],
				    SOCK_DGRAM);

	for (i = 0; i < FLOOD_BATCH; i++) {
		m[i].msg_hdr.msg_iov = &iov;
		m[i].msg_hdr.msg_iovlen = 1;
	}
	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) == -1)
		err(1, "sched_setaffinity");
	start = now = now_ns();
	end = start + (int64_t)number(argv[2], 60000) * (NSEC / 1000);
	for (; now < end; now = now_ns())
		if ((n = sendmmsg(fd, m, FLOOD_BATCH, 0)) > 0)
			sent += (uint64_t)n;
	printf("%" PRId64 " %" PRIu64 "\n", now - start, sent);
	return (0);
}

int
main(int argc, char *argv[])
{
	if (argc == 7 && strcmp(argv[1], "send") == 0)
		return (do_send(argv + 2));
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return (do_echo(argv[2]));
	if (argc == 5 && strcmp(argv[1], "tcp") == 0)
		return (do_tcp(argv + 2));
	if (argc == 3 && strcmp(argv[1], "sink") == 0)
		return (do_sink(argv[2]));
	if (argc == 8 && strcmp(argv[1], "conns") == 0)
		return (do_conns(argv + 2));
	if (argc == 5 && strcmp(argv[1], "flood") == 0)
		return (do_flood(argv + 2));
	usage();
}
