/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd(8): main and the parent process.  The parent parses the
 * configuration, starts the engine (network, no rights) and the table process
 * (state table, no network), opens sockets for the engine and holds the
 * connection to carpd.  It parses nothing that came from the network and
 * treats its children as hostile: what they may ask for is the table `verbs`
 * below, anything else ends the daemon.  Whatever ends it, the states stay in
 * the kernel.
 */
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/authconf.h"
#include "../common/channel.h"
#include "../common/control.h"
#include "../common/daemon.h"
#include "../common/epoch.h"
#include "../common/ev.h"
#include "../common/hmac.h"
#include "../common/log.h"
#include "../common/notify.h"
#include "../common/os/boot.h"
#include "../common/os/kif.h"
#include "../common/os/lock.h"
#include "../common/os/sandbox.h"
#include "../common/ownfile.h"
#include "carplink.h"
#include "config.h"
#include "hold.h"
#include "msgs.h"
#include "os/host.h"
#include "pfsyncd.h"
#include "syncdev.h"

#define FILES_MAX	256	/* descriptors of each process */
#define ENGINE_NICE	(-5)
#define STOP_TIME	(2 * MONOTIME_SEC)	/* for the engine to say bye */
#define END_TIME	1000	/* ms for a child to end by itself */
#define LINKS_TIME	1000	/* ms for the first dump of interfaces */
#define ADDRS_MAX	(sizeof(((struct sync_addrs *)0)->a) / \
			 sizeof(struct share))

struct child {
	const char	*name;
	char		 role;		/* our option that makes it one */
	uint32_t	 from;		/* MSG_FROM_ */
	pid_t		 pid;		/* 0: has ended */
	struct channel	*chan;
	bool		 ready;
	struct parent	*p;
};

struct parent {
	struct daemon	 daemon;
	struct config	*conf;		/* in force; keys: digests */
	struct child	 engine, table;
	struct kif	*kif;
	int		 kif_fd;
	struct syncdev	*dev;
	int		 lock;		/* of syncdev */
	struct carplink	*carp;		/* NULL: carpd no */
	struct sync_hold hold;		/* as the engine said last */
	struct ev_timer	*deadline;
	int		 events;	/* what nf_conntrack_events was */
	bool		 ready, stopping;
	int		 status;
};

static void
to_child(struct child *ch, uint32_t type, int fd, const void *data, size_t len)
{
	if (ch->chan == NULL) {
		daemon_close(&fd);
		return;
	}
	if (channel_send(ch->chan, type, 0, fd, data, len) == -1)
		log_warn("message %s to the %s", pfsyncd_msgs[type].name,
		    ch->name);
}

static void
to_engine(struct parent *p, uint32_t type, int fd, const void *data,
    size_t len)
{
	to_child(&p->engine, type, fd, data, len);
}

/* ---- syncdev ---- */

static void
dev_socket(int fd, const struct sync_socket *s, void *arg)
{
	to_engine(arg, PMSG_SOCKET, fd, s, sizeof(*s));
}

static void
dev_link(const struct sync_link *l, void *arg)
{
	to_engine(arg, PMSG_LINK, -1, l, sizeof(*l));
}

static void
kif_event(const struct kif_event *k, void *arg)
{
	struct parent *p = arg;

	syncdev_event(p->dev, k);
}

static void
kif_readable(int fd, int what, void *arg)
{
	struct parent *p = arg;

	(void)fd;
	(void)what;
	kif_read(p->kif);
	syncdev_settle(p->dev);
}

/* Look for the syncdev and the destination of the configuration. */
static void
dev_conf(struct parent *p)
{
	const char *group = PFSYNCD_GROUP;
	struct ipaddr dst = p->conf->syncpeer;

	if (!p->conf->has_peer && ipaddr_parse(group, &dst, NULL) == -1)
		fatalx("%s", group);
	syncdev_conf(p->dev, p->conf->syncdev, &dst);
	if (kif_dump(p->kif) == -1)
		log_warn("interface dump");
}

/* Read the dump of interfaces until syncdev, if there is one, is known. */
static void
wait_dev(struct parent *p)
{
	monotime_t end = monotime_add(monotime_now(),
	    LINKS_TIME * MONOTIME_MSEC);
	struct pollfd pfd = { .fd = p->kif_fd, .events = POLLIN };
	uint8_t mac[6];

	while (!syncdev_mac(p->dev, mac) &&
	    if_nametoindex(p->conf->syncdev) != 0 &&
	    monotime_cmp(monotime_now(), end) < 0)
		if (poll(&pfd, 1, 10) == 1)
			kif_read(p->kif);
}

/* NULL, or a text: why name cannot be ours. */
static const char *
lock_dev(const char *name, int *lock)
{
	if ((*lock = lock_interface("pfsyncd-syncdev", name)) != -1)
		return (NULL);
	return (errno == EADDRINUSE ? "another pfsyncd has this syncdev" :
	    "this syncdev cannot be locked");
}

/* ---- carpd ---- */

static void
carp_state(bool connected, unsigned int masters, unsigned int balancing,
    unsigned int splits, void *arg)
{
	struct sync_carp m;

	memset(&m, 0, sizeof(m));
	m.connected = connected;
	m.masters = masters > UINT8_MAX ? UINT8_MAX : (uint8_t)masters;
	m.balanced = balancing > 0;
	m.splits = splits > UINT8_MAX ? UINT8_MAX : (uint8_t)splits;
	to_engine(arg, PMSG_CARP, -1, &m, sizeof(m));
}

/* At least one batch, for the engine has to hear of no addresses, too. */
static void
carp_addrs(const struct share *a, size_t n, void *arg)
{
	struct sync_addrs m;

	do {
		memset(&m, 0, sizeof(m));
		m.n = (uint32_t)(n < ADDRS_MAX ? n : ADDRS_MAX);
		if (m.n > 0)
			memcpy(m.a, a, m.n * sizeof(*a));
		n -= m.n;
		if (n > 0)
			a += m.n;
		m.last = n == 0;
		to_engine(arg, PMSG_ADDRS, -1, &m, sizeof(m));
	} while (n > 0);
}

static void
carp_vhosts(const uint8_t (*id)[NATIVE_VHOST_LEN], size_t n, bool last,
    void *arg)
{
	struct sync_vhosts m;

	_Static_assert(SYNC_VHOSTS_MAX == CARPLINK_VHOSTS, "as many");
	memset(&m, 0, sizeof(m));
	m.n = (uint16_t)n;
	m.last = last;
	memcpy(m.id, id, n * sizeof(m.id[0]));
	to_engine(arg, PMSG_VHOSTS, -1, &m, sizeof(m));
}

static void
carp_hold(struct parent *p)
{
	if (p->carp == NULL)
		return;
	carplink_hold(p->carp, hold_amounts[p->hold.why],
	    hold_reason_names[p->hold.why]);
	if (p->hold.synced)
		carplink_synced(p->carp);
}

/* The carpd of the configuration, or none; what another one said is void. */
static void
carp_connect(struct parent *p)
{
	struct carplink_cbs cbs = { carp_state, carp_addrs, carp_vhosts, p };

	if (p->carp != NULL) {
		carplink_close(p->carp);
		carp_state(false, 0, 0, 0, p);
		carp_addrs(NULL, 0, p);
	}
	p->carp = NULL;
	if (p->conf->carpd[0] == '\0')
		return;
	p->carp = carplink_open(p->conf->carpd, &cbs);
	carp_hold(p);
}

/* ---- what the last run knew ---- */

/*
 * Read-only, and with its name removed.  -1 without errno ENOENT: there is
 * something that is not ours, and stays.
 */
static int
hints_old(const char *path)
{
	int fd = ownfile_open(path, O_RDONLY);

	if (fd != -1 && unlink(path) == -1)
		daemon_close(&fd);
	return (fd);
}

static void
hand_over_hints(struct parent *p)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%.*s.states",
	    ownfile_stem(p->daemon.sock), p->daemon.sock);
	if ((fd = hints_old(path)) != -1)
		to_engine(p, PMSG_HINTS_OLD, fd, NULL, 0);
	else if (errno != ENOENT) {
		log_warn("%s: not a file of ours, going on without it", path);
		return;
	}
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0600);
	if (fd == -1 || fchmod(fd, 0600) == -1) {
		log_warn("%s", path);
		daemon_close(&fd);
		return;
	}
	to_engine(p, PMSG_HINTS_NEW, fd, NULL, 0);
}

/* ---- configuration ---- */

/* The table process gets everything but the keys. */
static void
table_start(struct parent *p)
{
	struct config t = *p->conf;

	hmac_wipe(&t.auth, sizeof(t.auth));
	to_child(&p->table, PMSG_TABLE_START, -1, &t, sizeof(t));
}

/* The engine has the keys from now on, and we no longer. */
static void
engine_conf(struct parent *p)
{
	to_engine(p, PMSG_CONF, -1, p->conf, sizeof(*p->conf));
	authconf_hide(&p->conf->auth);
	hmac_wipe_stack();
}

/* How c differs from what is in force. */
static unsigned int
conf_diff(const struct parent *p, const struct config *c)
{
	struct config hidden = *c;
	unsigned int diff;

	authconf_hide(&hidden.auth);
	diff = config_diff(p->conf, &hidden);
	hmac_wipe(&hidden, sizeof(hidden));
	return (diff);
}

/* Takes c over, whole; or a text: why not, and nothing has changed. */
static const char *
apply_config(struct parent *p, struct config *c)
{
	unsigned int diff = conf_diff(p, c);
	const char *why;
	int lock;

	if (diff & CONFIG_DIFF_RESTART)
		return ("dialect, maxstates, eventbuf and defer change only "
		    "with a restart");
	if (strcmp(p->conf->syncdev, c->syncdev) != 0) {
		if ((why = lock_dev(c->syncdev, &lock)) != NULL)
			return (why);
		daemon_close(&p->lock);
		p->lock = lock;
	}
	config_free(p->conf);
	p->conf = c;
	engine_conf(p);
	if (diff & CONFIG_DIFF_SOCKETS)
		dev_conf(p);
	if (diff & CONFIG_DIFF_CARPD)
		carp_connect(p);
	return (NULL);
}

static struct config *
load(const struct daemon *d, struct daemon_load *m)
{
	return (config_load(d->file, d->defines, daemon_load_error,
	    daemon_load_warning, m));
}

static void
reload(struct parent *p, uint32_t client)
{
	struct sync_result r;
	struct daemon_load m;
	struct config *c;
	const char *why;

	memset(&m, 0, sizeof(m));
	memset(&r, 0, sizeof(r));
	r.client = client;
	c = load(&p->daemon, &m);
	if (c == NULL)
		why = m.first[0] != '\0' ? m.first :
		    "cannot load the configuration";
	else if ((why = apply_config(p, c)) != NULL) {
		log_warnx("%s: %s", p->daemon.file, why);
		config_free(c);
	}
	if (why != NULL) {
		r.error = 1;
		(void)strlcpy(r.text, why, sizeof(r.text));
		log_warnx("%s: not reloaded, nothing has changed",
		    p->daemon.file);
	} else
		log_info("%s: reloaded", p->daemon.file);
	to_engine(p, PMSG_RELOADED, -1, &r, sizeof(r));
}

/* ---- events of the state table ---- */

/*
 * The setting exists when the kernel tracks connections, at the latest when
 * the table process has asked for them.
 */
static void
events_on(struct parent *p, bool last)
{
	int value;

	if (p->events != -1)
		return;
	if ((value = host_events()) == -1) {
		if (last)
			log_warn("cannot read nf_conntrack_events: flows that "
			    "are older than this process may stay unnoticed");
		return;
	}
	p->events = value;
	if (value != HOST_EVENTS_ON && host_events_set(HOST_EVENTS_ON) == -1)
		log_warn("cannot set nf_conntrack_events to %d",
		    HOST_EVENTS_ON);
}

/* Unless somebody else has changed it meanwhile. */
static void
events_back(struct parent *p)
{
	if (p->events == -1 || p->events == HOST_EVENTS_ON ||
	    host_events() != HOST_EVENTS_ON)
		return;
	if (host_events_set(p->events) == -1)
		log_warn("cannot set nf_conntrack_events to %d", p->events);
}

/* ---- the end ---- */

static void
finish_cb(void *arg)
{
	(void)arg;
	log_warnx("the engine did not stop in time");
	ev_stop();
}

/* Only the engine has something to finish; the table is not asked. */
static void
stop(struct parent *p, const char *why)
{
	if (p->stopping)
		return;
	p->stopping = true;
	log_info("stopping: %s", why);
	notify("STOPPING=1");
	if (p->engine.chan == NULL) {
		ev_stop();
		return;
	}
	to_engine(p, PMSG_STOP, -1, NULL, 0);
	ev_timer_at(p->deadline, monotime_add(monotime_now(), STOP_TIME));
}

static void
child_ended(struct child *ch, int status)
{
	ch->pid = 0;
	if (WIFSIGNALED(status))
		log_warnx("the %s was killed by signal %d", ch->name,
		    WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		log_warnx("the %s ended with status %d", ch->name,
		    WEXITSTATUS(status));
}

static void
reap(struct parent *p)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->engine.pid)
			child_ended(&p->engine, status);
		else if (pid == p->table.pid)
			child_ended(&p->table, status);
	}
}

static void
child_gone(struct channel *c, const char *why, void *arg)
{
	struct child *ch = arg;
	struct parent *p = ch->p;

	channel_free(c);
	ch->chan = NULL;
	if (p->stopping) {
		if (ch == &p->engine)
			ev_stop();
		return;
	}
	log_at(LOG_CRIT, "the %s died (%s); the states stay", ch->name, why);
	p->status = 1;
	stop(p, ch->name);
}

/* Its channel is closed, which ends it; wait for that, then insist. */
static void
end_child(struct child *ch)
{
	monotime_t end = monotime_add(monotime_now(),
	    END_TIME * MONOTIME_MSEC);

	channel_free(ch->chan);
	ch->chan = NULL;
	for (reap(ch->p); ch->pid != 0 &&
	    monotime_cmp(monotime_now(), end) < 0; reap(ch->p))
		(void)poll(NULL, 0, 5);
	if (ch->pid == 0)
		return;
	log_warnx("the %s does not end: killed", ch->name);
	(void)kill(ch->pid, SIGKILL);
}

static void
signal_cb(int sig, void *arg)
{
	struct parent *p = arg;

	switch (sig) {
	case SIGHUP:
		if (!p->stopping)
			reload(p, 0);
		return;
	case SIGUSR1:
		to_engine(p, PMSG_STATUS, -1, NULL, 0);
		return;
	case SIGCHLD:
		reap(p);
		return;
	default:
		stop(p, sig == SIGINT ? "SIGINT" : "SIGTERM");
		return;
	}
}

/* ---- the verbs of the root process ---- */

static void
verb_ready(struct child *ch, const struct imsg *im)
{
	struct parent *p = ch->p;

	(void)im;
	ch->ready = true;
	if (ch == &p->table)
		events_on(p, true);
	if (p->ready || !p->engine.ready || !p->table.ready)
		return;
	p->ready = true;
	daemon_ready(&p->daemon);
}

static void
verb_log(struct child *ch, const struct imsg *im)
{
	const struct sync_log *m = im->data;

	(void)ch;
	daemon_log(m->pri, m->line, sizeof(m->line));
}

static void
verb_reload(struct child *ch, const struct imsg *im)
{
	if (!ch->p->stopping)
		reload(ch->p, im->id);
}

static void
verb_hold(struct child *ch, const struct imsg *im)
{
	const struct sync_hold *m = im->data;
	struct parent *p = ch->p;

	if (m->why >= HOLD_REASONS)
		return;
	p->hold.why = m->why;
	/* once is enough: the states of this run are in */
	if (m->synced)
		p->hold.synced = 1;
	carp_hold(p);
}

static void
verb_which(struct child *ch, const struct imsg *im)
{
	(void)im;
	if (ch->p->carp != NULL)
		carplink_which(ch->p->carp);
}

/* It may lie: carpd takes it for an alarm, and for nothing else. */
static void
verb_rivals(struct child *ch, const struct imsg *im)
{
	const struct sync_vhosts *m = im->data;
	struct ipaddr who = { .af = m->who.af };

	if ((who.af != AF_INET && who.af != AF_INET6) ||
	    m->n > SYNC_VHOSTS_MAX || ch->p->carp == NULL)
		return;
	memcpy(who.bytes, m->who.bytes, ipaddr_len(who.af));
	carplink_rivals(ch->p->carp, &who, m->id, m->n);
}

static void
verb_stopped(struct child *ch, const struct imsg *im)
{
	(void)im;
	if (ch->p->stopping)
		ev_stop();
}

static void (*const verbs[PMSG_MAX])(struct child *, const struct imsg *) = {
	[PMSG_READY] = verb_ready,	/* configuration is in force */
	[PMSG_LOG] = verb_log,
	[PMSG_RELOAD] = verb_reload,	/* carpctl asked for it */
	[PMSG_HOLD] = verb_hold,	/* demote carpd, or no longer */
	[PMSG_WHICH] = verb_which,	/* ask carpd what is MASTER here */
	[PMSG_RIVALS] = verb_rivals,	/* tell it what is so elsewhere */
	[PMSG_STOPPED] = verb_stopped,
};

static void
child_msg(struct channel *c, struct imsg *im, void *arg)
{
	struct child *ch = arg;
	const char *bad;

	(void)c;
	bad = msg_check(pfsyncd_msgs, PMSG_MAX, im, ch->from);
	if (bad == NULL && verbs[im->type] == NULL)
		bad = "not a verb";
	if (bad == NULL) {
		verbs[im->type](ch, im);
		return;
	}
	daemon_close(&im->fd);
	log_at(LOG_CRIT, "the %s sent message %u: %s", ch->name, im->type,
	    bad);
	if (ch->pid != 0)
		(void)kill(ch->pid, SIGKILL);
}

/* ---- start ---- */

static void
start_child(struct child *ch)
{
	ch->chan = daemon_child(&ch->p->daemon, ch->role, &ch->pid, child_msg,
	    child_gone, ch);
}

/*
 * The engine goes before what does not mind waiting: a peer that gets no
 * acknowledgement stops sending.  Real time would be too much, for a bulk
 * takes a processor for seconds.
 */
static void
start_children(struct parent *p)
{
	struct rlimit rl = { FILES_MAX, FILES_MAX };

	if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
		log_debug("limit of %d files refused", FILES_MAX);
	p->table = (struct child){ .name = "table process", .role = 'T',
	    .from = MSG_FROM_TABLE, .p = p };
	p->engine = (struct child){ .name = "engine", .role = 'E',
	    .from = MSG_FROM_ENGINE, .p = p };
	start_child(&p->table);
	start_child(&p->engine);
	if (setpriority(PRIO_PROCESS, (id_t)p->engine.pid, ENGINE_NICE) == -1)
		log_debug("nice %d refused to the engine", ENGINE_NICE);
}

/* Engine and table talk without us. */
static void
join_children(struct parent *p)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		fatal("socketpair");
	to_engine(p, PMSG_TABLE_CHANNEL, sv[0], NULL, 0);
	to_child(&p->table, PMSG_TABLE_CHANNEL, sv[1], NULL, 0);
}

/*
 * The same at each start, so that peers and hints know us again; by chance
 * when we would have to guess, for two nodes with one number are worse.
 */
static uint32_t
node_id(struct parent *p)
{
	uint8_t mac[6];
	uint32_t node = 0;

	if (syncdev_mac(p->dev, mac))
		node = host_node(p->conf->syncdev, mac);
	if (node != 0)
		return (node);
	log_warnx("the MAC address of %s is not known: this node has another "
	    "number after each start", p->conf->syncdev);
	while (node == 0)
		hmac_random(&node, sizeof(node));
	return (node);
}

static void
tell_start(struct parent *p)
{
	struct sync_start m;
	struct timespec ts;
	struct epoch e;
	int fd;

	memset(&m, 0, sizeof(m));
	epoch_start(p->daemon.name, p->daemon.sock, NULL, &e);
	m.epoch = e.epoch;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	m.clock = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	m.node = node_id(p);
	m.boot = boot_id();
	m.verbose = p->daemon.verbose;
	to_engine(p, PMSG_START, -1, &m, sizeof(m));
	if ((fd = kif_open(false)) == -1)
		fatal("kif_open");
	to_engine(p, PMSG_KIF_SOCKET, fd, NULL, 0);
}

static void
parent_setup(struct parent *p)
{
	static const struct syncdev_cbs none;
	struct syncdev_cbs cbs = none;
	const char *why;
	int ctl;

	ctl = daemon_listen(&p->daemon);
	if ((why = lock_dev(p->conf->syncdev, &p->lock)) != NULL) {
		control_cleanup(p->daemon.sock);
		fatalx("%s: %s", p->conf->syncdev, why);
	}
	daemon_background(&p->daemon);
	ev_init();
	p->deadline = ev_timer_new(finish_cb, p);
	daemon_signals(signal_cb, p);
	cbs.socket = dev_socket;
	cbs.link = dev_link;
	cbs.arg = p;
	p->dev = syncdev_new(&cbs);
	if ((p->kif_fd = kif_open(false)) == -1 ||
	    (p->kif = kif_from_fd(p->kif_fd, kif_event, p)) == NULL)
		fatal("kif_open");
	(void)ev_fd_new(p->kif_fd, EV_IN, kif_readable, p);
	dev_conf(p);
	wait_dev(p);
	events_on(p, false);
	start_children(p);
	table_start(p);
	tell_start(p);
	join_children(p);
	hand_over_hints(p);
	engine_conf(p);
	syncdev_settle(p->dev);
	carp_connect(p);
	/* last, so that nobody is shown a daemon without configuration */
	to_engine(p, PMSG_CTL_SOCKET, ctl, NULL, 0);
	sandbox_enter(SANDBOX_PFSYNCD_PARENT, 0, 0);
	setproctitle("parent");
}

/* -n: 0 when the file is right; twice prints it. */
static int
check_config(const struct daemon *d)
{
	struct daemon_load m;
	struct config *c;

	memset(&m, 0, sizeof(m));
	m.check = true;
	if ((c = load(d, &m)) == NULL)
		return (1);
	if (d->check > 1)
		config_print(c, false, stdout);
	config_free(c);
	return (0);
}

static void
run(struct parent *p)
{
	parent_setup(p);
	ev_loop();
	/* in this order: to the engine a table that ends is a mishap */
	end_child(&p->engine);
	end_child(&p->table);
	carplink_close(p->carp);
	events_back(p);
	control_cleanup(p->daemon.sock);
	log_info("terminating");
}

int
main(int argc, char *argv[])
{
	static struct parent p;
	struct daemon *d = &p.daemon;
	struct daemon_load m;

	d->name = "pfsyncd";
	d->roles = "E:T:";
	d->file = PFSYNCD_CONF;
	d->sock = PFSYNCD_SOCKET;
	d->user = PFSYNCD_USER;
	p.lock = p.events = -1;
	daemon_args(d, argc, argv);
	if (d->role == 'E')
		engine_main(DAEMON_CHILD_FD, d->user, d->verbose);
	if (d->role == 'T')
		table_main(DAEMON_CHILD_FD, d->user, d->verbose);
	if (d->check)
		return (check_config(d));
	daemon_parent(d, argv[0]);
	memset(&m, 0, sizeof(m));
	if ((p.conf = load(d, &m)) == NULL)
		return (1);
	notify_init();
	run(&p);
	return (p.status);
}
