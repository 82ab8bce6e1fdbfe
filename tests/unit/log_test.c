/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/log: the form of the lines, and a syslog that is full, gone or back.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/monotime.h"

static char	 dir[32];
static char	 path[64];
static int	 syslogd = -1;
static int	 saved_stderr, err;	/* the real one; what we read of ours */
static char	 line[2048];

static void
syslogd_start(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	syslogd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_ne(syslogd, -1);
	ck_assert_int_eq(bind(syslogd, (struct sockaddr *)&sun, sizeof(sun)),
	    0);
}

static void
syslogd_stop(void)
{
	if (syslogd != -1)
		close(syslogd);
	syslogd = -1;
	unlink(path);
}

static void
setup(void)
{
	int p[2];

	strcpy(dir, "/tmp/carpd-log.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	setenv("CARPD_SYSLOG", path, 1);
	syslogd_start();
	ck_assert_int_eq(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	saved_stderr = dup(STDERR_FILENO);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	err = p[0];
	log_procinit(NULL);
	log_set_sink(NULL, NULL);
}

static void
teardown(void)
{
	log_init("log_test", true, 0);
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	if (err != -1)
		close(err);
	syslogd_stop();
	rmdir(dir);
}

/* Next datagram at syslogd as a string; NULL: none. */
static const char *
got(void)
{
	ssize_t n;

	if ((n = recv(syslogd, line, sizeof(line) - 1, 0)) == -1)
		return (NULL);
	line[n] = '\0';
	return (line);
}

/* All that is on stderr; NULL: nothing. */
static const char *
got_err(void)
{
	ssize_t n;

	if ((n = read(err, line, sizeof(line) - 1)) <= 0)
		return (NULL);
	line[n] = '\0';
	return (line);
}

static void
match(const char *s, const char *re)
{
	regex_t r;

	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(regcomp(&r, re, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&r, s, 0, NULL, 0) == 0, "<%s> is not %s", s,
	    re);
	regfree(&r);
}

START_TEST(syslog_form)
{
	char re[128];

	log_init("carpd", false, 0);
	log_procinit("engine");
	log_info("vhid %d on %s", 1, "eth0");
	snprintf(re, sizeof(re), "^<30>[A-Z][a-z]{2} [ 1-3][0-9] "
	    "[0-9]{2}:[0-9]{2}:[0-9]{2} carpd\\[%d\\]: vhid 1 on eth0$",
	    (int)getpid());
	match(got(), re);
	ck_assert_ptr_null(got());
	ck_assert_ptr_null(got_err());
}
END_TEST

START_TEST(syslog_levels)
{
	log_init("carpd", false, 1);
	log_procinit("engine");
	errno = EACCES;
	log_warn("open %s", "x");
	ck_assert_int_eq(errno, EACCES);
	match(got(), "^<28>.*\\]: open x: Permission denied$");
	log_warnx("plain");
	match(got(), "^<28>.*\\]: plain$");
	log_debug("detail");
	match(got(), "^<31>.*\\]: \\[engine\\] detail$");
	log_at(LOG_NOTICE, "notice");
	match(got(), "^<29>.*\\]: notice$");
	log_at(LOG_NOTICE | LOG_KERN | (5 << 3), "other facility");
	match(got(), "^<29>");
}
END_TEST

START_TEST(verbosity)
{
	log_init("carpd", false, 0);
	log_debug("no");
	log_at(LOG_DEBUG, "no");
	ck_assert_ptr_null(got());
	ck_assert_int_eq(log_getverbose(), 0);
	log_setverbose(2);
	ck_assert_int_eq(log_getverbose(), 2);
	log_debug("yes");
	match(got(), "yes$");
}
END_TEST

START_TEST(long_line)
{
	char text[2000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_init("carpd", false, 0);
	log_info("%s", text);
	ck_assert_ptr_nonnull(got());
	ck_assert_uint_eq(strspn(strstr(line, "]: ") + 3, "a"),
	    LOG_LINE_MAX - 1);
	log_emit(LOG_INFO, text);
	ck_assert_ptr_nonnull(got());
	ck_assert_uint_eq(strspn(strstr(line, "]: ") + 3, "a"),
	    LOG_LINE_MAX - 1);
	log_init("carpd", true, 0);
	log_info("%s", text);
	ck_assert_ptr_nonnull(got_err());
	ck_assert_str_eq(line + strlen(line) - 2, "a\n");
}
END_TEST

/* One line in is one line out, whatever is in it. */
START_TEST(control_characters)
{
	log_init("carpd", false, 0);
	log_info("a\nb\r\x1b[31mc\td\x7f" "e\xc3\xa4");
	match(got(), "\\]: a\\?b\\?\\?\\[31mc d\\?e\xc3\xa4$");
}
END_TEST

START_TEST(stderr_form)
{
	log_init("carpd", true, 1);
	log_procinit("parent");
	log_info("info");
	ck_assert_pstr_eq(got_err(), "carpd: info\n");
	log_warnx("warn");
	ck_assert_pstr_eq(got_err(), "carpd: warn\n");
	log_debug("detail");
	ck_assert_pstr_eq(got_err(), "carpd[parent]: detail\n");
	log_emit(LOG_DEBUG, "[engine] from a child");
	ck_assert_pstr_eq(got_err(), "carpd[engine]: from a child\n");
	log_emit(LOG_DEBUG, "[no end");
	ck_assert_pstr_eq(got_err(), "carpd: [no end\n");
	log_emit(LOG_INFO, "[not] a tag");
	ck_assert_pstr_eq(got_err(), "carpd: [not] a tag\n");
	log_procinit(NULL);
	log_debug("nameless");
	ck_assert_pstr_eq(got_err(), "carpd: nameless\n");
	ck_assert_ptr_null(got());
}
END_TEST

/* A full pipe is not waited for. */
START_TEST(stderr_full)
{
	int fl = fcntl(STDERR_FILENO, F_GETFL), i;

	fcntl(STDERR_FILENO, F_SETFL, fl & ~O_NONBLOCK);
	log_init("carpd", true, 0);
	for (i = 0; i < 1000; i++)
		log_info("%0400d", i);
	while (got_err() != NULL)
		continue;
	log_info("room");
	match(got_err(), "^carpd: [0-9]+ log lines lost\ncarpd: room\n$");
}
END_TEST

/* Nor is a reader that is gone our death. */
START_TEST(stderr_gone)
{
	log_init("carpd", true, 0);
	close(err);
	err = -1;
	log_info("into the void");
}
END_TEST

START_TEST(syslog_full)
{
	unsigned int sent, seen = 0, lost;
	const char *p;

	log_init("carpd", false, 0);
	for (sent = 0; sent < 20000; sent++)
		log_info("line %u", sent);
	while (got() != NULL)
		seen++;
	ck_assert_uint_lt(seen, sent);
	log_info("back");
	ck_assert_ptr_nonnull(p = got());
	match(p, "^<28>.*\\]: [0-9]+ log lines lost$");
	ck_assert_int_eq(sscanf(strstr(p, "]: ") + 3, "%u", &lost), 1);
	ck_assert_uint_eq(seen + lost, sent);
	match(got(), "\\]: back$");
	ck_assert_ptr_null(got());
}
END_TEST

/*
 * syslogd stops and starts again.  Lines are written until one arrives; the
 * pace of the attempts (one a second) is what is waited for.
 */
START_TEST(syslog_restart)
{
	monotime_t start = monotime_now();
	struct pollfd pfd = { .events = POLLIN };
	int n = 0;

	log_init("carpd", false, 0);
	log_info("one");
	match(got(), "one$");
	syslogd_stop();
	log_info("two");
	log_info("three");
	syslogd_start();
	pfd.fd = syslogd;
	do {
		ck_assert_int_lt(n++, 200);
		log_info("again");
	} while (poll(&pfd, 1, 50) == 0);
	ck_assert_int_ge(monotime_sub(monotime_now(), start),
	    9 * MONOTIME_SEC / 10);
	match(got(), "\\]: [0-9]+ log lines lost$");
	match(got(), "again$");
	ck_assert_ptr_null(got());
}
END_TEST

START_TEST(syslog_absent)
{
	syslogd_stop();
	log_init("carpd", false, 0);
	errno = ENOEXEC;
	log_info("nobody");
	ck_assert_int_eq(errno, ENOEXEC);
}
END_TEST

struct sunk {
	int		 n;
	int		 pri;
	char		 text[LOG_LINE_MAX];
	bool		 recurse;
};

static void
sink(int pri, const char *text, void *arg)
{
	struct sunk *s = arg;

	s->n++;
	s->pri = pri;
	snprintf(s->text, sizeof(s->text), "%s", text);
	if (s->recurse)
		log_warnx("from the sink");
}

START_TEST(sinks)
{
	struct sunk s = { .n = 0 };

	log_init("carpd", false, 1);
	log_procinit("engine");
	log_set_sink(sink, &s);
	log_info("a %s", "b");
	ck_assert_int_eq(s.pri, LOG_INFO);
	ck_assert_str_eq(s.text, "a b");
	log_debug("d");
	ck_assert_int_eq(s.pri, LOG_DEBUG);
	ck_assert_str_eq(s.text, "[engine] d");
	/* a sink that logs neither recurses nor opens a socket */
	s.recurse = true;
	log_info("r");
	ck_assert_int_eq(s.n, 3);
	ck_assert_ptr_null(got());
	ck_assert_ptr_null(got_err());
	/* nor does the process without its sink */
	log_set_sink(NULL, NULL);
	log_info("lost");
	ck_assert_ptr_null(got());
	log_init("carpd", false, 0);
	log_info("direct");
	ck_assert_int_eq(s.n, 3);
	match(got(), "direct$");
}
END_TEST

/* status of a child that dies; what it said is in got_err() */
static int
death(bool with_errno)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		errno = ENOSPC;
		if (with_errno)
			fatal("cannot %s", "go on");
		fatalx("cannot %s", "go on");
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return (WEXITSTATUS(status));
}

START_TEST(fatals)
{
	log_init("carpd", true, 0);
	ck_assert_int_eq(death(true), 1);
	ck_assert_pstr_eq(got_err(),
	    "carpd: cannot go on: No space left on device\n");
	log_procinit("engine");
	ck_assert_int_eq(death(false), 1);
	ck_assert_pstr_eq(got_err(), "carpd[engine]: cannot go on\n");
	log_init("carpd", false, 0);
	ck_assert_int_eq(death(false), 1);
	match(got(), "^<25>.*\\]: \\[engine\\] cannot go on$");
}
END_TEST

static Suite *
log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, syslog_form);
	tcase_add_test(tc, syslog_levels);
	tcase_add_test(tc, verbosity);
	tcase_add_test(tc, long_line);
	tcase_add_test(tc, control_characters);
	tcase_add_test(tc, stderr_form);
	tcase_add_test(tc, stderr_full);
	tcase_add_test(tc, stderr_gone);
	tcase_add_test(tc, syslog_full);
	tcase_add_test(tc, syslog_restart);
	tcase_add_test(tc, syslog_absent);
	tcase_add_test(tc, sinks);
	tcase_add_test(tc, fatals);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(log_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
