/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See doctor.h.  Judged is in diagnose.c, diagnose_sync.c and ruleset.c; here
 * is where the evidence comes from: both daemons, and nft(8), which is asked
 * for the ruleset if we are root.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diagnose.h"
#include "doctor.h"
#include "put.h"
#include "ruleset.h"

#define WHERE_MAX	96
#define CARP_PROTO	112
#define PFSYNC_PROTO	240
#define EXIT_NO_NFT	127

/* ---- what carpd says ---- */

static void *
gather_begin(FILE *f, enum ctl_what what)
{
	struct evidence	*e;

	(void)f;
	(void)what;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		err(1, NULL);
	return (e);
}

static void
gather_global(void *arg, const struct ctl_global *g)
{
	((struct evidence *)arg)->g = *g;
}

static void *
grow(void *array, size_t n, size_t size)
{
	if ((array = reallocarray(array, n + 1, size)) == NULL)
		err(1, NULL);
	return (array);
}

static void
gather_iface(void *arg, const struct show_iface *i)
{
	struct evidence	*e = arg;

	e->ifaces = grow(e->ifaces, e->nifaces, sizeof(*i));
	e->ifaces[e->nifaces++] = *i;
}

static void
gather_peer(void *arg, const struct ctl_peer *p)
{
	struct evidence	*e = arg;

	e->peers = grow(e->peers, e->npeers, sizeof(*p));
	e->peers[e->npeers++] = *p;
}

static int
gather_end(void *arg)
{
	(void)arg;
	return (0);
}

const struct show_writer doctor_writer = {
	.begin = gather_begin,
	.global = gather_global,
	.iface = gather_iface,
	.peer = gather_peer,
	.end = gather_end
};

/* ---- the ruleset ---- */

static void __attribute__((noreturn))
run_nft(int out)
{
	int	 null;

	if (dup2(out, STDOUT_FILENO) == -1 ||
	    (null = open("/dev/null", O_RDWR)) == -1 ||
	    dup2(null, STDIN_FILENO) == -1)
		_exit(1);
	execlp("nft", "nft", "-j", "-t", "list", "ruleset", (char *)NULL);
	_exit(errno == ENOENT ? EXIT_NO_NFT : 1);
}

/* NULL: there is none, or it cannot be read, which is said. */
static json_t *
read_ruleset(void)
{
	json_t	*rules;
	pid_t	 pid;
	FILE	*f;
	int	 fd[2], status;

	if (geteuid() != 0) {
		warnx("the rules of the packet filter were not looked at: "
		    "need root");
		return (NULL);
	}
	if (pipe2(fd, O_CLOEXEC) == -1 || (pid = fork()) == -1)
		err(1, "nft");
	if (pid == 0)
		run_nft(fd[1]);
	close(fd[1]);
	if ((f = fdopen(fd[0], "r")) == NULL)
		err(1, "nft");
	rules = json_loadf(f, 0, NULL);
	fclose(f);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			err(1, "nft");
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != EXIT_NO_NFT &&
	    (WEXITSTATUS(status) != 0 || rules == NULL)))
		warnx("the rules of the packet filter were not looked at: "
		    "nft failed");
	return (rules);
}

/* At one of those hooks, of a NULL-terminated list. */
static bool
drops(const json_t *rules, const char *const *hooks,
    const struct ruleset_packet *p, char where[WHERE_MAX])
{
	for (; *hooks != NULL; hooks++)
		if (ruleset_drops(rules, *hooks, p, where, WHERE_MAX))
			return (true);
	return (false);
}

/* What the kernel sends for us; frames that we make pass the last one only. */
static const char *const	 out_hooks[] = { "output", "postrouting",
	"egress", NULL };
static const char *const	 in_hooks[] = { "ingress", "prerouting", "input",
	NULL };

static bool
has_family(const struct show_iface *i, uint8_t af)
{
	size_t	 n;

	for (n = 0; n < i->naddrs; n++)
		if (i->addrs[n].addr.af == af)
			return (true);
	return (false);
}

/* Advertisements of one family: to the peers, or to the group. */
static bool
drops_adverts(const json_t *rules, const struct show_iface *i, uint8_t af,
    char where[WHERE_MAX])
{
	struct ruleset_packet	 p = { .af = af, .proto = CARP_PROTO, .in = "",
				    .out = i->i.carpdev,
				    .any_dev = i->i.senderr == ENOBUFS };
	bool			 peers = false;
	size_t			 n;

	for (n = 0; n < i->i.npeers && n < CONFIG_PEERS_MAX; n++) {
		if (i->i.peers[n].af != af)
			continue;
		peers = true;
		p.dst = i->i.peers[n];
		if (p.dst.plen != 0 && drops(rules, out_hooks, &p, where))
			return (true);
	}
	(void)ipaddr_parse(af == AF_INET ? "224.0.0.18" : "ff02::12", &p.dst,
	    NULL);
	return (!peers && drops(rules, out_hooks + 2, &p, where));
}

static void
rules_of_iface(const json_t *rules, const struct show_iface *i, uint8_t af,
    struct findings *all)
{
	struct ruleset_packet	 p = { .af = af, .proto = -1,
				    .out = i->i.carpdev };
	char			 where[WHERE_MAX];

	if (!has_family(i, af))
		return;
	if (drops_adverts(rules, i, af, where))
		findings_add(all, FINDING_RULES_CARP, i->i.name, "accept "
		    "protocol 112 there", "the rules drop our advertisements "
		    "(protocol 112) on %s: %s", i->i.carpdev, where);
	if (ruleset_masquerades(rules, &p, where, sizeof(where)))
		findings_add(all, FINDING_MASQUERADE, i->i.name, "use snat to "
		    "a virtual address", "what leaves by %s may be "
		    "masqueraded (%s): such connections do not survive a "
		    "takeover", i->i.carpdev, where);
}

static void
rules_of_sync(const json_t *rules, const struct sync_facts *s,
    struct findings *all)
{
	bool			 unicast = s->syncpeer.af != 0 &&
				    !ipaddr_is_multicast(&s->syncpeer);
	struct ruleset_packet	 out = { .af = unicast ? s->syncpeer.af :
				    AF_INET, .proto = PFSYNC_PROTO, .in = "",
				    .out = s->syncdev, .dst = s->syncpeer,
				    .any_dev = s->senderr == ENOBUFS };
	struct ruleset_packet	 in = { .af = out.af, .proto = PFSYNC_PROTO,
				    .in = s->syncdev, .out = "",
				    .src = s->syncpeer };
	char			 where[WHERE_MAX];

	if (!s->asked)
		return;
	if (drops(rules, unicast ? out_hooks : out_hooks + 2, &out, where))
		findings_add(all, FINDING_RULES_PFSYNC, s->syncdev, "accept "
		    "protocol 240 there", "the rules drop what pfsyncd sends "
		    "(protocol 240): %s", where);
	if (unicast && drops(rules, in_hooks, &in, where))
		findings_add(all, FINDING_RULES_PFSYNC, s->syncdev, "accept "
		    "protocol 240 there", "the rules drop what comes for "
		    "pfsyncd (protocol 240): %s", where);
}

static void
judge_rules(const struct evidence *e, const struct sync_facts *s,
    struct findings *all)
{
	json_t	*rules = read_ruleset();
	size_t	 n;

	if (rules == NULL)
		return;
	for (n = 0; n < e->nifaces; n++) {
		rules_of_iface(rules, &e->ifaces[n], AF_INET, all);
		rules_of_iface(rules, &e->ifaces[n], AF_INET6, all);
	}
	rules_of_sync(rules, s, all);
	json_decref(rules);
}

/* ---- all of it ---- */

int
doctor_report(const void *gathered, const char *syncpath, bool sync_must,
    bool json)
{
	const struct evidence	*e = gathered;
	struct findings		 all = { NULL, 0 };
	struct sync_facts	 s = { .asked = false };
	int			 code = 0;

	if (syncpath != NULL)
		code = sync_diagnose(syncpath, sync_must, diagnose_heard(e),
		    &s, &all);
	if (code == 0) {
		/* first: what it names is named best */
		judge_rules(e, &s, &all);
		diagnose(e, &s, &all);
		(json ? findings_json : findings_text)(&all, stdout);
		code = all.n > 0 ? DOCTOR_EXIT_FOUND : 0;
	}
	findings_free(&all);
	return (code);
}

void
doctor_free(void *gathered)
{
	struct evidence	*e = gathered;

	free(e->ifaces);
	free(e->peers);
	free(e);
}
