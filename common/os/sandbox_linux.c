/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: real-time habits first, then shed rights.  An engine keeps nothing
 * but its descriptors: empty root, own user, no capability, no way back to
 * any, and a list of system calls that neither opens nor creates anything.
 * pfsyncd's table process is such a child with one capability and one kind of
 * socket.  A parent stays root by name, keeps the capabilities of its verbs and
 * loses the system calls that none of them takes.  capabilities(7), prctl(2),
 * seccomp(2), seccomp_rule_add(3).
 *
 * A refused call fails with EPERM (and leaves a line in the audit log); with
 * CARPD_SANDBOX_KILL=1 in the environment it ends the process, so that a test
 * cannot overlook it.
 */
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/netlink.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../log.h"
#include "sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif

#define EMPTY_DIR	"/var/empty"
/* Where an empty directory may be made instead: the first that works. */
static const char *const tmpdirs[] = { "/run", "/tmp" };

static volatile sig_atomic_t	 denied;	/* calls the filter refused */

/* -- real-time -- */

/*
 * Our own program, read in now: what is needed first at a failover must not
 * wait for a disk.  The few pages of the libraries that we use have been used
 * by the time it matters.
 */
static void
read_program(void)
{
	extern char	 __executable_start[], end[];
	uintptr_t	 page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t	 from = (uintptr_t)__executable_start & ~(page - 1);

	(void)madvise((void *)from, (uintptr_t)end - from,
	    MADV_POPULATE_READ);
}

/*
 * One arena: every page of another would be pinned for nothing.  A page is
 * locked when it is first used, not when it is mapped: most of what the
 * libraries bring is never used.
 *
 * A process that may lock without limit while it starts, and then loses that
 * right, would find its next malloc() refused.  So future pages are locked
 * only if the limit, which stays, could be lifted; else what there is now,
 * which is nearly all there will be.
 */
static bool
lock_memory(void)
{
	struct rlimit	 rl = { RLIM_INFINITY, RLIM_INFINITY };
	int		 flags = MCL_CURRENT | MCL_ONFAULT;

	(void)mallopt(M_ARENA_MAX, 1);
	(void)setrlimit(RLIMIT_MEMLOCK, &rl);
	if (getrlimit(RLIMIT_MEMLOCK, &rl) == 0 &&
	    rl.rlim_cur == RLIM_INFINITY)
		flags |= MCL_FUTURE;
	if (mlockall(flags) == -1)
		return (false);
	read_program();
	return (true);
}

const char *
sandbox_realtime(int prio)
{
	struct sched_param	 sp;
	bool			 fifo = true, locked;

	memset(&sp, 0, sizeof(sp));
	sp.sched_priority = prio;
	if (prio > 0)
		fifo = sched_setscheduler(0, SCHED_FIFO, &sp) == 0;
	locked = lock_memory();
	if (!fifo && !locked)
		return ("SCHED_FIFO and mlockall refused");
	if (!fifo)
		return ("SCHED_FIFO refused");
	if (!locked)
		return ("mlockall refused");
	return (NULL);
}

/* -- secrets -- */

void
sandbox_keep_secrets(void)
{
	const struct rlimit	 none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef SANITIZED	/* its leak check is a debugger */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		fatal("PR_SET_DUMPABLE");
#endif
}

/* -- an empty root -- */

/* A directory of root's alone, with nothing in it. */
static bool
is_empty_dir(int fd)
{
	struct dirent	*e;
	struct stat	 st;
	DIR		*d;
	bool		 empty = true;
	int		 copy;

	if (fstat(fd, &st) == -1 || st.st_uid != 0 ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return (false);
	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1)
		return (false);
	if ((d = fdopendir(copy)) == NULL) {
		close(copy);
		return (false);
	}
	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0;
	closedir(d);
	return (empty);
}

/* A directory that is removed while we hold it: nothing can get into it. */
static int
unlinked_dir(const char *in)
{
	char	 path[64];
	int	 fd;

	snprintf(path, sizeof(path), "%s/carpd.XXXXXXXXXX", in);
	if (mkdtemp(path) == NULL)
		return (-1);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rmdir(path) == -1)
		log_warn("%s", path);
	return (fd);
}

static void
enter_empty_root(void)
{
	size_t	 i;
	int	 fd;

	fd = open(EMPTY_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd != -1 && !is_empty_dir(fd)) {
		close(fd);
		fd = -1;
	}
	for (i = 0; fd == -1 && i < sizeof(tmpdirs) / sizeof(tmpdirs[0]); i++)
		fd = unlinked_dir(tmpdirs[i]);
	if (fd == -1)
		fatal("no empty directory to be had");
	if (fchdir(fd) == -1 || chroot(".") == -1)
		fatal("chroot");
	close(fd);
}

/* -- capabilities -- */

/*
 * What the verbs of carpd's parent take while it runs.  Not here, because it
 * is done before: SYS_CHROOT, SETUID, SETGID (the engine is started by then,
 * and is not started again), SYS_NICE, IPC_LOCK, SYS_RESOURCE
 * (sandbox_realtime()), CHOWN (the control socket).  Writing net sysctls takes
 * root's user id or NET_ADMIN.
 */
static const cap_value_t carpd_parent_caps[] = {
	CAP_NET_ADMIN,		/* addresses, filter entries, tc, sysctls */
	CAP_NET_RAW,		/* packet sockets of a new carpdev */
	CAP_BPF,		/* maps and classifier of a new carpdev */
	/*
	 * Without it the verifier refuses the classifier ("pointer comparison
	 * prohibited").
	 */
	CAP_PERFMON,
	/*
	 * BPF_PROG_GET_FD_BY_ID and BPF_MAP_GET_FD_BY_ID: a carpdev that a
	 * reload adds may carry what a killed run left, and its restore record
	 * can be had in no other way.
	 */
	CAP_SYS_ADMIN,
	CAP_DAC_READ_SEARCH,	/* reload reads the files that start could */
	CAP_KILL		/* the engine has another user */
};

/*
 * The same of pfsyncd's.  Here, too, the children are started before and not
 * again; what it opens by name belongs to root.
 */
static const cap_value_t pfsyncd_parent_caps[] = {
	CAP_NET_ADMIN,		/* conntrack's sysctl, receive buffers */
	CAP_NET_RAW,		/* sockets of a syncdev that comes late */
	CAP_DAC_READ_SEARCH,	/* reload reads the files that start could */
	CAP_KILL		/* the children have another user */
};

/*
 * ctnetlink asks for the sender's right with each message: a descriptor that
 * was opened by somebody else is not enough.
 */
static const cap_value_t table_caps[] = { CAP_NET_ADMIN };

#define LIST(a)		(a), sizeof(a) / sizeof((a)[0])

static const struct role {
	bool			 child;	/* empty root, never root */
	const cap_value_t	*caps;
	size_t			 ncaps;
} roles[SANDBOX_ROLES] = {
	[SANDBOX_CARPD_ENGINE] = { true, NULL, 0 },
	[SANDBOX_CARPD_PARENT] = { false, LIST(carpd_parent_caps) },
	[SANDBOX_PFSYNCD_ENGINE] = { true, NULL, 0 },
	[SANDBOX_PFSYNCD_TABLE] = { true, LIST(table_caps) },
	[SANDBOX_PFSYNCD_PARENT] = { false, LIST(pfsyncd_parent_caps) },
};

static bool
wants(enum sandbox_role role, cap_value_t cap)
{
	size_t	 i;

	for (i = 0; i < roles[role].ncaps; i++) {
		if (roles[role].caps[i] == cap)
			return (true);
	}
	return (false);
}

/* No program that we might run could get more than the role has. */
static void
bound_caps(enum sandbox_role role)
{
	cap_value_t	 cap;

	for (cap = 0; cap_get_bound(cap) != -1; cap++) {
		if (!wants(role, cap) && cap_get_bound(cap) == 1 &&
		    cap_drop_bound(cap) == -1)
			fatal("cannot drop capability %d", cap);
	}
	if (cap_reset_ambient() == -1)
		fatal("cannot drop ambient capabilities");
}

/* Those of the role, as far as we have them at all. */
static void
limit_caps(enum sandbox_role role)
{
	cap_flag_value_t	 has;
	cap_value_t		 cap;
	cap_t			 now, then;

	if ((now = cap_get_proc()) == NULL || (then = cap_init()) == NULL)
		fatal("capabilities");
	for (cap = 0; cap_get_flag(now, cap, CAP_PERMITTED, &has) == 0;
	    cap++) {
		if (has == CAP_SET && wants(role, cap) &&
		    (cap_set_flag(then, CAP_PERMITTED, 1, &cap,
		    CAP_SET) == -1 ||
		    cap_set_flag(then, CAP_EFFECTIVE, 1, &cap,
		    CAP_SET) == -1))
			fatal("capability %d", cap);
	}
	if (cap_set_proc(then) == -1)
		fatal("cannot drop capabilities");
	cap_free(now);
	cap_free(then);
}

/* The user's id; capabilities outlive this only for who wants some. */
static void
become(enum sandbox_role role, uid_t uid, gid_t gid)
{
	if (roles[role].ncaps > 0 && prctl(PR_SET_KEEPCAPS, 1) == -1)
		fatal("PR_SET_KEEPCAPS");
	if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 ||
	    setresuid(uid, uid, uid) == -1)
		fatal("cannot become user %u", uid);
}

/* -- system calls -- */

#ifdef SANITIZED
/* A sanitizer maps, opens and traces as it likes: no list would be one. */
static void
filter_calls(enum sandbox_role role, bool kill)
{
	(void)role;
	(void)kill;
	log_warnx("built with a sanitizer: no system call filter");
}
#else
static void
allow(scmp_filter_ctx ctx, int call)
{
	if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 0) != 0)
		fatalx("system call filter: call %d", call);
}

static void
allow_if(scmp_filter_ctx ctx, int call, struct scmp_arg_cmp cmp)
{
	if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, cmp) != 0)
		fatalx("system call filter: call %d", call);
}

static const int plain_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev),
	SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg), SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(getsockopt),
	SCMP_SYS(getpeername), SCMP_SYS(getsockname),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(eventfd2), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
	SCMP_SYS(futex), SCMP_SYS(getrandom), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
	/* the same by the names of 32-bit machines; no-ops elsewhere */
	SCMP_SYS(clock_gettime64), SCMP_SYS(clock_nanosleep_time64),
	SCMP_SYS(timerfd_settime64), SCMP_SYS(futex_time64),
	SCMP_SYS(ppoll_time64), SCMP_SYS(recvmmsg_time64)
};

/*
 * A refused call is counted: the filter raises SIGSYS instead, and the
 * handler puts -EPERM where the kernel would have.  That place is a register
 * of the machine; where we do not know it, calls are refused uncounted.
 */
#if defined(__x86_64__)
#define RESULT(uc)	((uc)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define RESULT(uc)	((uc)->uc_mcontext.regs[0])
#endif

#ifdef RESULT
#define REFUSE	SCMP_ACT_TRAP

static void
count_refused(int sig, siginfo_t *info, void *context)
{
	ucontext_t	*uc = context;

	(void)sig;
	(void)info;
	denied++;
	RESULT(uc) = -EPERM;
}

static void
catch_refused(void)
{
	struct sigaction	 sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = count_refused;
	sa.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
	(void)sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSYS, &sa, NULL) == -1)
		fatal("SIGSYS");
}
#else
#define REFUSE	SCMP_ACT_ERRNO(EPERM)

static void
catch_refused(void)
{
}
#endif

static const int fcntl_cmds[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL };

/*
 * What no verb of a parent takes, though root could: other programs and
 * processes, a look into them, another root or namespace, modules, the clock.
 * Its children run before it comes here.
 */
static const int parents_not[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
	SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp), SCMP_SYS(chroot),
	SCMP_SYS(pivot_root), SCMP_SYS(mount), SCMP_SYS(umount),
	SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree),
	SCMP_SYS(fsopen), SCMP_SYS(fspick), SCMP_SYS(mount_setattr),
	SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot),
	SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
	SCMP_SYS(clock_settime64), SCMP_SYS(adjtimex),
	SCMP_SYS(clock_adjtime), SCMP_SYS(clock_adjtime64), SCMP_SYS(stime),
	SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd), SCMP_SYS(open_by_handle_at), SCMP_SYS(mknod),
	SCMP_SYS(mknodat), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
	SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(personality)
};

/*
 * pfsyncd's engine makes its hint file grow and maps it.  fstat(2) is a call
 * by name here and there, with an empty name; there are no others to be found
 * in an empty root.
 */
static void
allow_file(scmp_filter_ctx ctx)
{
	static const int	 calls[] = {
		SCMP_SYS(ftruncate), SCMP_SYS(ftruncate64),
		SCMP_SYS(pread64), SCMP_SYS(pwrite64),
		SCMP_SYS(fstat), SCMP_SYS(fstat64)
	};
	size_t			 i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		allow(ctx, calls[i]);
	allow_if(ctx, SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ,
	    AT_EMPTY_PATH, 0));
}

/*
 * Sockets to netfilter, and what is set on them.  Whom they could talk to
 * beyond conntrack is what the capability allows anyway.
 */
static void
allow_table(scmp_filter_ctx ctx)
{
	static const scmp_datum_t	 opts[] = {
		SO_RCVBUFFORCE, SO_ATTACH_FILTER
	};
	size_t				 i;

	if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
	    SCMP_A2(SCMP_CMP_EQ, NETLINK_NETFILTER, 0)) != 0)
		fatalx("system call filter: socket");
	allow(ctx, SCMP_SYS(bind));
	allow_if(ctx, SCMP_SYS(setsockopt), SCMP_A1(SCMP_CMP_EQ,
	    SOL_NETLINK, 0));
	for (i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt),
		    2, SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET, 0),
		    SCMP_A2(SCMP_CMP_EQ, opts[i], 0)) != 0)
			fatalx("system call filter: setsockopt");
	}
}

static void
allow_child(scmp_filter_ctx ctx, enum sandbox_role role)
{
	size_t	 i;

	for (i = 0; i < sizeof(plain_calls) / sizeof(plain_calls[0]); i++)
		allow(ctx, plain_calls[i]);
	if (role == SANDBOX_PFSYNCD_ENGINE)
		allow_file(ctx);
	if (role == SANDBOX_PFSYNCD_TABLE)
		allow_table(ctx);
	for (i = 0; i < sizeof(fcntl_cmds) / sizeof(fcntl_cmds[0]); i++) {
		allow_if(ctx, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ,
		    (scmp_datum_t)fcntl_cmds[i], 0));
		allow_if(ctx, SCMP_SYS(fcntl64), SCMP_A1(SCMP_CMP_EQ,
		    (scmp_datum_t)fcntl_cmds[i], 0));
	}
	/* memory, but never code */
	allow_if(ctx, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ,
	    PROT_EXEC, 0));
	allow_if(ctx, SCMP_SYS(mmap2), SCMP_A2(SCMP_CMP_MASKED_EQ,
	    PROT_EXEC, 0));
	allow_if(ctx, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ,
	    PROT_EXEC, 0));
	/* abort() raises a signal in this process, and in no other */
	allow_if(ctx, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ,
	    (scmp_datum_t)getpid(), 0));
}

static void
refuse_parent(scmp_filter_ctx ctx, uint32_t action)
{
	size_t	 i;

	for (i = 0; i < sizeof(parents_not) / sizeof(parents_not[0]); i++)
		if (seccomp_rule_add(ctx, action, parents_not[i], 0) != 0)
			fatalx("system call filter: call %d", parents_not[i]);
}

static void
filter_calls(enum sandbox_role role, bool kill)
{
	uint32_t	 action = kill ? SCMP_ACT_KILL_PROCESS : REFUSE;
	bool		 child = roles[role].child;
	scmp_filter_ctx	 ctx;
	int		 error;

	if (!kill)
		catch_refused();
	if ((ctx = seccomp_init(child ? action : SCMP_ACT_ALLOW)) == NULL)
		fatalx("system call filter");
	if (child)
		allow_child(ctx, role);
	else
		refuse_parent(ctx, action);
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	if ((error = seccomp_load(ctx)) != 0) {
		errno = -error;
		fatal("cannot load the system call filter");
	}
	seccomp_release(ctx);
}
#endif

void
sandbox_enter(enum sandbox_role role, uid_t uid, gid_t gid)
{
	const char	*kill = getenv("CARPD_SANDBOX_KILL");
	bool		 child = roles[role].child;

	if (child && uid == 0)
		fatalx("this process must not run as root");
	if (child) {
		tzset();	/* reads its file now or never */
		enter_empty_root();
	}
	bound_caps(role);
	if (uid != 0)
		become(role, uid, gid);
	limit_caps(role);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		fatal("PR_SET_NO_NEW_PRIVS");
	sandbox_keep_secrets();		/* a new user may be looked into */
	filter_calls(role, kill != NULL && strcmp(kill, "1") == 0);
}

unsigned int
sandbox_denied(void)
{
	return ((unsigned int)denied);
}
