/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * When did this machine stand still?  A thread on each CPU, SCHED_FIFO at a
 * priority above everything that is tested, wakes up each millisecond, sends
 * itself a packet over the loopback interface, and writes a line whenever it
 * had it later than LIMIT_US: soft interrupts may be left to a thread of
 * ordinary priority, and wait behind whatever else runs.
 *
 *	witness LIMIT_US	->	ready, then TIME_NS LATE_US ...
 *
 * TIME_NS is CLOCK_MONOTONIC when it ran.  Whoever measures timers needs to
 * know what no process on the machine could have kept.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PERIOD	1000000		/* ns */

static int64_t	 limit;

static int64_t
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

/* Connected to itself; -1 where there is no loopback. */
static int
to_myself(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((fd = socket(AF_INET, SOCK_DGRAM, 0)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) == -1 ||
	    connect(fd, (struct sockaddr *)&sin, len) == -1) {
		perror("witness: loopback");
		return (-1);
	}
	return (fd);
}

static void *
watch(void *arg)
{
	struct timespec ts;
	int64_t next, t;
	char c = 0;
	int fd = to_myself();

	(void)arg;
	for (next = now() + PERIOD;; next = (t > next ? t : next) + PERIOD) {
		ts.tv_sec = next / 1000000000;
		ts.tv_nsec = next % 1000000000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts,
		    NULL);
		if (fd != -1 && send(fd, &c, 1, 0) == 1)
			(void)recv(fd, &c, 1, 0);
		t = now();
		if (t - next > limit)
			printf("%lld %lld\n", (long long)t,
			    (long long)(t - next) / 1000);
	}
	return (NULL);
}

int
main(int argc, char *argv[])
{
	struct sched_param sp = { .sched_priority = 90 };
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t cpus, one;
	int cpu;

	limit = argc > 1 ? strtoll(argv[1], NULL, 10) * 1000 : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sched_setscheduler(0, SCHED_FIFO, &sp) == -1 ||
	    mlockall(MCL_CURRENT | MCL_FUTURE) == -1)
		perror("witness: not in real time");
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == -1)
		return (1);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_attr_init(&attr);
		pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
		if (pthread_create(&thread, &attr, watch, NULL) != 0)
			return (1);
	}
	printf("ready\n");
	for (;;)
		pause();
}
