/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/os/sandbox: what the engine can and cannot do any more, seen from
 * within, and what the kernel says of it, seen from outside.  Needs root.
 * Under a sanitizer there is no system call filter, and its tests are left
 * out.
 */
#include <sys/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <netinet/in.h>

#include <linux/filter.h>
#include <linux/netlink.h>

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../common/log.h"
#include "../../common/os/sandbox.h"
#include "netns.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

#define NOBODY		65534
#define TEXT_MAX	4096

/* Where a child in the sandbox notes what it should not have been able to. */
static char	*notes;

static void
no_log(int pri, const char *line, void *arg)
{
	(void)pri;
	(void)line;
	(void)arg;
}

static void
setup(void)
{
	netns_enter();
	log_set_sink(no_log, NULL);
	notes = mmap(NULL, TEXT_MAX, PROT_READ | PROT_WRITE, MAP_SHARED |
	    MAP_ANONYMOUS, -1, 0);
	ck_assert(notes != MAP_FAILED);
}

/* A child runs f() in the role; it waits until told to end. */
struct child {
	pid_t	 pid;
	int	 go;
};

static struct child
start(enum sandbox_role role, uid_t uid, void (*f)(void))
{
	struct child	 c;
	char		 byte;
	int		 go[2], ready[2];

	ck_assert_int_eq(pipe(go), 0);
	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_ne(c.pid = fork(), -1);
	if (c.pid == 0) {
		close(go[1]);
		close(ready[0]);
		sandbox_enter(role, uid, uid);
		f();
		(void)!write(ready[1], "", 1);
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	c.go = go[1];
	close(go[0]);
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
	close(ready[0]);
	return (c);
}

static int
finish(const struct child *c)
{
	int	 status;

	close(c->go);
	ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
	return (status);
}

static void
nothing(void)
{
}

/* The value of a line of /proc/PID/status. */
static const char *
status_of(pid_t pid, const char *key)
{
	static char	 line[512];
	char		 path[64];
	size_t		 n = strlen(key);
	FILE		*f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	ck_assert_ptr_nonnull(f = fopen(path, "r"));
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, n) == 0 && line[n] == ':') {
			fclose(f);
			line[strcspn(line, "\n")] = '\0';
			return (line + n + 1 + strspn(line + n + 1, "\t "));
		}
	}
	ck_abort_msg("no %s in %s", key, path);
}

static uint64_t
caps_of(pid_t pid, const char *key)
{
	return (strtoull(status_of(pid, key), NULL, 16));
}

/* -- the engine, seen from outside -- */

static const enum sandbox_role	 engines[] = {
	SANDBOX_CARPD_ENGINE, SANDBOX_PFSYNCD_ENGINE
};
static const enum sandbox_role	 children[] = {
	SANDBOX_CARPD_ENGINE, SANDBOX_PFSYNCD_ENGINE, SANDBOX_PFSYNCD_TABLE
};

START_TEST(engine_has_nothing)
{
	struct child	 c = start(engines[_i], NOBODY, nothing);
	static const char *const caps[] = {
		"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"
	};
	size_t		 i;

	for (i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		ck_assert_msg(caps_of(c.pid, caps[i]) == 0, "%s: %s",
		    caps[i], status_of(c.pid, caps[i]));
	ck_assert_str_eq(status_of(c.pid, "Uid"),
	    "65534\t65534\t65534\t65534");
	ck_assert_str_eq(status_of(c.pid, "Gid"),
	    "65534\t65534\t65534\t65534");
	ck_assert_str_eq(status_of(c.pid, "Groups"), "");
	ck_assert_str_eq(status_of(c.pid, "NoNewPrivs"), "1");
#ifndef SANITIZED
	ck_assert_str_eq(status_of(c.pid, "Seccomp"), "2");
#endif
	ck_assert_int_eq(finish(&c), 0);
}
END_TEST

START_TEST(engine_root_is_empty)
{
	struct child	 c = start(children[_i], NOBODY, nothing);
	struct dirent	*e;
	char		 path[64];
	DIR		*d;

	snprintf(path, sizeof(path), "/proc/%d/root/", (int)c.pid);
	ck_assert_ptr_nonnull(d = opendir(path));
	while ((e = readdir(d)) != NULL)
		ck_assert_msg(strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0, "%s%s", path, e->d_name);
	closedir(d);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert(netns_try("! ls -d /run/carpd.?????????? /tmp/carpd."
	    "?????????? >/dev/null 2>&1"));
}
END_TEST

START_TEST(engine_never_as_root)
{
	pid_t	 pid;
	int	 status;

	ck_assert_int_ne(pid = fork(), -1);
	if (pid == 0) {
		sandbox_enter(children[_i], 0, 0);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_ne(status, 0);
}
END_TEST

/* -- the engine, seen from within -- */

#ifndef SANITIZED
static int	 sock;		/* opened before */
static int	 epfd, timer, event, listener, client, pair[2];
static void	*page;

/* It must fail, and for lack of permission. */
#define REFUSED(call) do {						\
	errno = 0;							\
	if ((long)(call) != -1 || errno != EPERM)			\
		snprintf(notes + strlen(notes),				\
		    TEXT_MAX - strlen(notes), "%s: errno %d\n",		\
		    #call, errno);					\
} while (0)

#define ALLOWED(call) do {						\
	if ((long)(call) == -1)						\
		snprintf(notes + strlen(notes),				\
		    TEXT_MAX - strlen(notes), "%s: errno %d\n",		\
		    #call, errno);					\
} while (0)

#define FORBIDDEN	29	/* calls of try_forbidden() */

static void
try_forbidden(void)
{
	char	*argv[] = { NULL };
	char	*none[] = { NULL };
	int	 on = 1;

	REFUSED(open("/etc/passwd", O_RDONLY));
	REFUSED(open("/x", O_WRONLY | O_CREAT, 0600));
	REFUSED(syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0));
	REFUSED(mkdir("/x", 0700));
	REFUSED(unlink("/x"));
	REFUSED(socket(AF_INET, SOCK_DGRAM, 0));
	REFUSED(socket(AF_UNIX, SOCK_DGRAM, 0));
	REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
	REFUSED(setsockopt(sock, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)));
	REFUSED(setsockopt(sock, SOL_SOCKET, SO_DETACH_FILTER, &on,
	    sizeof(on)));
	REFUSED(bind(sock, NULL, 0));
	REFUSED(connect(sock, NULL, 0));
	REFUSED(execve("/bin/sh", argv, none));
	REFUSED(syscall(SYS_execveat, AT_FDCWD, "/bin/sh", argv, none, 0));
	REFUSED(fork());
	REFUSED(syscall(SYS_clone3, NULL, 0));
	REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
	REFUSED(kill(getpid(), SIGCONT));
	REFUSED(syscall(SYS_tgkill, 1, 1, SIGCONT));
	REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	REFUSED(setuid(0));
	REFUSED(chroot("."));
	REFUSED(unshare(CLONE_NEWUSER));
	REFUSED(syscall(SYS_bpf, 0, NULL, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(fcntl(sock, F_DUPFD_CLOEXEC, 0));
	REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	REFUSED(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0));
#if defined(__x86_64__) || defined(__aarch64__)
	if (sandbox_denied() != FORBIDDEN)
		snprintf(notes + strlen(notes), TEXT_MAX - strlen(notes),
		    "%u were counted\n", sandbox_denied());
#endif
}

START_TEST(engine_is_refused)
{
	struct child	 c;

	ck_assert_int_ne(sock = socket(AF_INET, SOCK_DGRAM, 0), -1);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE |
	    MAP_ANONYMOUS, -1, 0);
	ck_assert(page != MAP_FAILED);
	c = start(engines[_i], NOBODY, try_forbidden);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
}
END_TEST

/* A descriptor over the pair, as imsg does. */
static void
pass_descriptor(void)
{
	union {
		struct cmsghdr	 h;
		char		 bytes[CMSG_SPACE(sizeof(int))];
	}		 ctl;
	char		 byte = 0;
	struct iovec	 iov = { &byte, 1 };
	struct msghdr	 msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &ctl, .msg_controllen = sizeof(ctl)
	};

	memset(&ctl, 0, sizeof(ctl));
	ctl.h.cmsg_level = SOL_SOCKET;
	ctl.h.cmsg_type = SCM_RIGHTS;
	ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&ctl.h), &sock, sizeof(sock));
	ALLOWED(sendmsg(pair[0], &msg, 0));
	ALLOWED(recvmsg(pair[1], &msg, MSG_CMSG_CLOEXEC));
}

static void
try_needed(void)
{
	struct epoll_event	 ev = { .events = EPOLLIN };
	struct itimerspec	 its = { .it_value.tv_nsec = 1 };
	struct pollfd		 pfd = { .fd = timer, .events = POLLIN };
	struct sigaction	 sa = { .sa_handler = SIG_IGN };
	struct timespec		 ts;
	struct ucred		 cred;
	socklen_t		 len = sizeof(cred);
	struct tm		 tm;
	uint64_t		 n;
	void			*p;
	int			 fd;

	ALLOWED(epoll_ctl(epfd, EPOLL_CTL_ADD, timer, &ev));
	ALLOWED(timerfd_settime(timer, 0, &its, NULL));
	ALLOWED(epoll_wait(epfd, &ev, 1, 1000));
	ALLOWED(poll(&pfd, 1, 1000));
	ALLOWED(read(timer, &n, sizeof(n)));
	n = 1;
	ALLOWED(write(event, &n, sizeof(n)));
	ALLOWED(fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	ALLOWED(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	ALLOWED(fcntl(fd, F_SETFL, O_NONBLOCK));
	ALLOWED(send(fd, "x", 1, 0));
	ALLOWED(recv(client, &n, 1, 0));
	ALLOWED(close(fd));
	pass_descriptor();
	ALLOWED(sigaction(SIGUSR1, &sa, NULL));
	ALLOWED(clock_gettime(CLOCK_REALTIME, &ts));
	ALLOWED(localtime_r(&ts.tv_sec, &tm) == NULL ? -1 : 0);
	arc4random_buf(&n, sizeof(n));
	/* from the heap, and mapped */
	ALLOWED((p = calloc(1, 64 * 1024)) == NULL ? -1 : 0);
	free(p);
	ALLOWED((p = calloc(1, 64 * 1024 * 1024)) == NULL ? -1 : 0);
	free(p);
}

static int
listen_on_abstract(struct sockaddr_un *sun)
{
	int	 fd;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path + 1, "sandbox_test", 12);
	ck_assert_int_ne(fd = socket(AF_UNIX, SOCK_STREAM, 0), -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)sun, sizeof(*sun)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	return (fd);
}

/* All that, and none of it ends the process when refusals do. */
START_TEST(engine_can_work)
{
	struct sockaddr_un	 sun;
	struct child		 c;

	ck_assert_int_ne(sock = socket(AF_INET, SOCK_DGRAM, 0), -1);
	ck_assert_int_ne(epfd = epoll_create1(EPOLL_CLOEXEC), -1);
	ck_assert_int_ne(timer = timerfd_create(CLOCK_MONOTONIC, 0), -1);
	ck_assert_int_ne(event = eventfd(0, 0), -1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	listener = listen_on_abstract(&sun);
	ck_assert_int_ne(client = socket(AF_UNIX, SOCK_STREAM, 0), -1);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&sun,
	    sizeof(sun)), 0);
	ck_assert_ptr_null(sandbox_realtime(0));
	ck_assert_int_eq(setenv("CARPD_SANDBOX_KILL", "1", 1), 0);
	c = start(children[_i], NOBODY, try_needed);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
}
END_TEST

/* What pfsyncd's engine does with its hint files. */
static void
try_file(void)
{
	struct stat	 st;
	void		*p;
	char		 c = 0;

	ALLOWED(ftruncate(sock, 16));
	ALLOWED(pwrite(sock, &c, 1, 0));
	ALLOWED(pread(sock, &c, 1, 0));
	ALLOWED(fstat(sock, &st));
	ALLOWED(p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, sock,
	    0));
	ALLOWED(munmap(p, 4096));
	REFUSED(open("/x", O_WRONLY | O_CREAT, 0600));
	REFUSED(stat("/", &st));
	REFUSED(fchmod(sock, 0666));
	REFUSED(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
}

START_TEST(engine_fills_a_file)
{
	struct child	 c;

	ck_assert_int_ne(sock = memfd_create("hints", MFD_CLOEXEC), -1);
	c = start(SANDBOX_PFSYNCD_ENGINE, NOBODY, try_file);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
}
END_TEST

/* -- pfsyncd's table process -- */

/* The state table, and nothing else. */
static void
try_table(void)
{
	struct sockaddr_nl	 nl = { .nl_family = AF_NETLINK };
	struct sock_filter	 code = { BPF_RET | BPF_K, 0, 0, 0 };
	struct sock_fprog	 prog = { 1, &code };
	socklen_t		 len = sizeof(nl);
	int			 fd, size = 1 << 26, group = 1;

	ALLOWED(fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
	    NETLINK_NETFILTER));
	ALLOWED(bind(fd, (struct sockaddr *)&nl, sizeof(nl)));
	ALLOWED(getsockname(fd, (struct sockaddr *)&nl, &len));
	ALLOWED(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)));
	ALLOWED(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog)));
	ALLOWED(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
	    sizeof(group)));
	REFUSED(setsockopt(fd, SOL_SOCKET, SO_MARK, &size, sizeof(size)));
	REFUSED(setsockopt(fd, SOL_PACKET, 1, &size, sizeof(size)));
	REFUSED(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	REFUSED(socket(AF_INET, SOCK_DGRAM, 0));
	REFUSED(socket(AF_PACKET, SOCK_RAW, 0));
	REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
	REFUSED(connect(fd, (struct sockaddr *)&nl, sizeof(nl)));
	REFUSED(ioctl(fd, SIOCGIFINDEX, NULL));
	REFUSED(open("/etc/passwd", O_RDONLY));
	REFUSED(ftruncate(fd, 0));
	REFUSED(fork());
	REFUSED(setuid(0));
	REFUSED(unshare(CLONE_NEWUSER));
}

START_TEST(table_is_refused)
{
	struct child	 c = start(SANDBOX_PFSYNCD_TABLE, NOBODY, try_table);

	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
}
END_TEST

static void
open_something(void)
{
	(void)!open("/etc/passwd", O_RDONLY);
}

START_TEST(engine_is_killed_in_tests)
{
	struct child	 c;
	int		 status;

	ck_assert_int_eq(setenv("CARPD_SANDBOX_KILL", "1", 1), 0);
	c = start(SANDBOX_CARPD_ENGINE, NOBODY, open_something);
	status = finish(&c);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

static void
give_up(void)
{
	abort();
}

START_TEST(engine_can_abort)
{
	struct child	 c;
	int		 status;

	ck_assert_int_eq(setenv("CARPD_SANDBOX_KILL", "1", 1), 0);
	c = start(SANDBOX_CARPD_ENGINE, NOBODY, give_up);
	status = finish(&c);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGABRT);
}
END_TEST
#else
START_TEST(system_call_filter)
{
	skip_because("there is no system call filter in a build with "
	    "AddressSanitizer");
}
END_TEST
#endif

#define CAP(c)	(UINT64_C(1) << (c))

START_TEST(table_keeps_one_right)
{
	const uint64_t	 want = CAP(CAP_NET_ADMIN);
	struct child	 c = start(SANDBOX_PFSYNCD_TABLE, NOBODY, nothing);

	ck_assert_uint_eq(caps_of(c.pid, "CapPrm"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapEff"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapBnd"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapInh"), 0);
	ck_assert_uint_eq(caps_of(c.pid, "CapAmb"), 0);
	ck_assert_str_eq(status_of(c.pid, "NoNewPrivs"), "1");
	ck_assert_str_eq(status_of(c.pid, "Uid"),
	    "65534\t65534\t65534\t65534");
	ck_assert_str_eq(status_of(c.pid, "Groups"), "");
	ck_assert_int_eq(finish(&c), 0);
}
END_TEST

/* -- the parents -- */

static pid_t	 foreign;	/* of another user */

START_TEST(parent_keeps_its_verbs)
{
	const uint64_t	 want = CAP(CAP_NET_ADMIN) | CAP(CAP_NET_RAW) |
	    CAP(CAP_BPF) | CAP(CAP_PERFMON) | CAP(CAP_SYS_ADMIN) |
	    CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_KILL);
	struct child	 c = start(SANDBOX_CARPD_PARENT, 0, nothing);

	ck_assert_uint_eq(caps_of(c.pid, "CapPrm"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapEff"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapBnd"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapInh"), 0);
	ck_assert_uint_eq(caps_of(c.pid, "CapAmb"), 0);
	ck_assert_str_eq(status_of(c.pid, "NoNewPrivs"), "1");
	ck_assert_str_eq(status_of(c.pid, "Uid"), "0\t0\t0\t0");
	ck_assert_int_eq(finish(&c), 0);
}
END_TEST

START_TEST(pfsyncd_parent_keeps_its_verbs)
{
	const uint64_t	 want = CAP(CAP_NET_ADMIN) | CAP(CAP_NET_RAW) |
	    CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_KILL);
	struct child	 c = start(SANDBOX_PFSYNCD_PARENT, 0, nothing);

	ck_assert_uint_eq(caps_of(c.pid, "CapPrm"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapEff"), want);
	ck_assert_uint_eq(caps_of(c.pid, "CapBnd"), want);
	ck_assert_str_eq(status_of(c.pid, "NoNewPrivs"), "1");
	ck_assert_str_eq(status_of(c.pid, "Uid"), "0\t0\t0\t0");
	ck_assert_int_eq(finish(&c), 0);
}
END_TEST

static void
try_sync_verbs(void)
{
	int	 fd, s, size = 1 << 26, mem = memfd_create("x", MFD_CLOEXEC);

	if ((fd = open("/proc/sys/net/netfilter/nf_conntrack_events",
	    O_WRONLY)) == -1 || write(fd, "1\n", 2) != 2)
		strcat(notes, "sysctl\n");
	if ((s = socket(AF_PACKET, SOCK_DGRAM, 0)) == -1 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)
		strcat(notes, "packet socket\n");
	if ((s = socket(AF_INET, SOCK_RAW, 240)) == -1 ||
	    setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == -1)
		strcat(notes, "raw socket\n");
	if (socket(AF_UNIX, SOCK_STREAM, 0) == -1)
		strcat(notes, "to carpd\n");
	if (open("/etc/passwd", O_RDONLY) == -1)
		strcat(notes, "read a file\n");
	if (kill(foreign, SIGKILL) == -1)
		strcat(notes, "kill\n");
	if (setuid(1) == 0 || chroot("/") == 0 || fchown(mem, 1, 1) == 0)
		strcat(notes, "it can still do everything\n");
}

START_TEST(pfsyncd_parent_can_work)
{
	struct child	 c;
	int		 status;

	ck_assert_int_ne(foreign = fork(), -1);
	if (foreign == 0) {
		if (setuid(NOBODY) == 0)
			pause();
		_exit(1);
	}
	c = start(SANDBOX_PFSYNCD_PARENT, 0, try_sync_verbs);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
	ck_assert_int_eq(waitpid(foreign, &status, 0), foreign);
}
END_TEST

START_TEST(parent_of_another_user)
{
	struct child	 c = start(SANDBOX_CARPD_PARENT, NOBODY, nothing);

	ck_assert_uint_eq(caps_of(c.pid, "CapEff") & CAP(CAP_NET_ADMIN),
	    CAP(CAP_NET_ADMIN));
	ck_assert_str_eq(status_of(c.pid, "Uid"),
	    "65534\t65534\t65534\t65534");
	ck_assert_int_eq(finish(&c), 0);
}
END_TEST

static void
try_verbs(void)
{
	int	 fd, mem = memfd_create("theirs", MFD_CLOEXEC);

	if ((fd = open("/proc/sys/net/ipv4/conf/all/send_redirects",
	    O_WRONLY)) == -1 || write(fd, "0\n", 2) != 2)
		strcat(notes, "sysctl\n");
	if (socket(AF_PACKET, SOCK_RAW, 0) == -1)
		strcat(notes, "packet socket\n");
	if (socket(AF_INET, SOCK_RAW, 112) == -1)
		strcat(notes, "raw socket\n");
	netns_marked("lo", "192.0.2.1/32", 112);
	if (kill(foreign, SIGKILL) == -1)
		strcat(notes, "kill\n");
	if (open("/etc/passwd", O_RDONLY) == -1)
		strcat(notes, "read a file\n");
	if (setuid(1) == 0 || chroot("/") == 0 || fchown(mem, 1, 1) == 0)
		strcat(notes, "it can still do everything\n");
}

START_TEST(parent_can_work)
{
	struct child	 c;
	int		 status;

	ck_assert_int_ne(foreign = fork(), -1);
	if (foreign == 0) {
		if (setuid(NOBODY) == 0)
			pause();
		_exit(1);
	}
	c = start(SANDBOX_CARPD_PARENT, 0, try_verbs);
	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
	ck_assert_int_eq(waitpid(foreign, &status, 0), foreign);
}
END_TEST

#ifndef SANITIZED
/* Without the filter each of these would do, or say something else. */
static void
try_what_no_verb_takes(void)
{
	if (fork() != -1 || errno != EPERM)
		strcat(notes, "fork\n");
	if (execl("/bin/true", "true", (char *)NULL) != -1 || errno != EPERM)
		strcat(notes, "execve\n");
	if (ptrace(PTRACE_CONT, getppid(), NULL, NULL) != -1 ||
	    errno != EPERM)
		strcat(notes, "ptrace\n");
	if (unshare(0) != -1 || errno != EPERM)
		strcat(notes, "unshare\n");
	if (setns(-1, 0) != -1 || errno != EPERM)
		strcat(notes, "setns\n");
	if (sandbox_denied() != 5)
		strcat(notes, "they were not counted\n");
	if (prctl(PR_GET_DUMPABLE) != 0)
		strcat(notes, "it can be debugged\n");
}

START_TEST(parents_are_refused)
{
	static const enum sandbox_role	 parents[] = {
		SANDBOX_CARPD_PARENT, SANDBOX_PFSYNCD_PARENT
	};
	struct child	 c = start(parents[_i], 0, try_what_no_verb_takes);

	ck_assert_int_eq(finish(&c), 0);
	ck_assert_str_eq(notes, "");
}
END_TEST
#endif

/* -- real-time -- */

START_TEST(realtime)
{
	struct sched_param	 sp;

	ck_assert_ptr_null(sandbox_realtime(10));
	ck_assert_int_eq(sched_getscheduler(0), SCHED_FIFO);
	ck_assert_int_eq(sched_getparam(0, &sp), 0);
	ck_assert_int_eq(sp.sched_priority, 10);
#ifndef SANITIZED	/* which makes mlockall() do nothing */
	ck_assert_int_gt(atoi(status_of(getpid(), "VmLck")), 0);
#endif
}
END_TEST

START_TEST(realtime_leaves_priority)
{
	ck_assert_ptr_null(sandbox_realtime(0));
	ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
}
END_TEST

START_TEST(realtime_refused)
{
	struct rlimit	 rl = { 0, 0 };
	const char	*refused;

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &rl), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_RTPRIO, &rl), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_ptr_nonnull(refused = sandbox_realtime(10));
	ck_assert_ptr_nonnull(strstr(refused, "SCHED_FIFO"));
#ifndef SANITIZED
	ck_assert_ptr_nonnull(strstr(refused, "mlockall"));
#endif
	ck_assert_ptr_nonnull(calloc(1, 1 << 20));
}
END_TEST

static TCase *
sandbox_case(void)
{
	TCase	*tc = tcase_create("sandbox");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, engine_has_nothing, 0, 2);
	tcase_add_loop_test(tc, engine_root_is_empty, 0, 3);
	tcase_add_loop_test(tc, engine_never_as_root, 0, 3);
#ifndef SANITIZED
	tcase_add_loop_test(tc, parents_are_refused, 0, 2);
	tcase_add_loop_test(tc, engine_is_refused, 0, 2);
	tcase_add_loop_test(tc, engine_can_work, 0, 3);
	tcase_add_test(tc, engine_fills_a_file);
	tcase_add_test(tc, table_is_refused);
	tcase_add_test(tc, engine_is_killed_in_tests);
	tcase_add_test(tc, engine_can_abort);
#else
	tcase_add_test(tc, system_call_filter);
#endif
	tcase_add_test(tc, table_keeps_one_right);
	tcase_add_test(tc, parent_keeps_its_verbs);
	tcase_add_test(tc, pfsyncd_parent_keeps_its_verbs);
	tcase_add_test(tc, pfsyncd_parent_can_work);
	tcase_add_test(tc, parent_of_another_user);
	tcase_add_test(tc, parent_can_work);
	tcase_add_test(tc, realtime);
	tcase_add_test(tc, realtime_leaves_priority);
	tcase_add_test(tc, realtime_refused);
	return (tc);
}

int
main(void)
{
	Suite	*s = suite_create("sandbox");
	SRunner	*sr;
	int	 failed;

	if (!netns_possible())
		return (0);
	suite_add_tcase(s, sandbox_case());
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_FORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
