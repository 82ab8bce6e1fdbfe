/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl/diagnose_sync: a healthy pfsyncd, and what is found once one thing
 * of it is otherwise.
 */
#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpctl/diagnose_sync.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

static struct sync_peer_info	 peers[1], *p = &peers[0];
static struct sync_stranger	 strangers[1], *x = &strangers[0];
static struct sync_answer	 a;
static struct sync_facts	 facts;
static struct findings		 all;
static struct ipaddr		 carp_peer;
static const struct ipaddr	*heard;

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 ip;

	ck_assert_int_eq(ipaddr_parse(text, &ip, NULL), 0);
	return (ip);
}

static void
setup(void)
{
	memset(&a, 0, sizeof(a));
	memset(peers, 0, sizeof(peers));
	memset(strangers, 0, sizeof(strangers));
	memset(&facts, 0, sizeof(facts));
	a.peers = peers;
	a.npeers = 1;
	a.strangers = strangers;
	strlcpy(a.s.syncdev, "sync0", sizeof(a.s.syncdev));
	a.s.syncpeer = addr("224.0.0.240");
	a.s.link = 1;
	a.s.uptime_ms = 60000;
	p->alive = 1;
	p->addr = addr("192.0.2.9");
	x->addr = addr("192.0.2.8");
	x->heard_ms = 700;
	carp_peer = addr("198.51.100.9");
	heard = &carp_peer;
}

static void
teardown(void)
{
	findings_free(&all);
}

static void
alone(void)
{
	p->alive = 0;
}

static void
strange(enum sync_why why)
{
	alone();
	x->why = why;
	a.nstrangers = 1;
}

static void	healthy(void) { }
static void	unheard(void) { alone(); heard = NULL; }
static void	young(void) { alone(); a.s.uptime_ms = 9999; }
static void	unicast(void) { unheard();
		    a.s.syncpeer = addr("192.0.2.9"); }
static void	unicast6(void) { unheard();
		    a.s.syncpeer = addr("2001:db8::9"); }
static void	link_down(void) { alone(); a.s.link = 0; }
static void	key(void) { strange(SYNC_WHY_KEY); }
static void	keyed(void) { strange(SYNC_WHY_KEYED); }
static void	keyid(void) { strange(SYNC_WHY_KEYID); }
static void	open_key(void) { strange(SYNC_WHY_OPEN); }
static void	none(void) { strange(SYNC_WHY_NONE); }
static void	trailer(void) { strange(SYNC_WHY_TRAILER); }
static void	native(void) { strange(SYNC_WHY_NATIVE); }
static void	pfsync(void) { strange(SYNC_WHY_PFSYNC); }
static void	version(void) { strange(SYNC_WHY_VERSION); }
static void	unproven(void) { strange(SYNC_WHY_UNPROVEN); }
static void	future(void) { strange(SYNC_WHY_MAX); heard = NULL; }
static void	long_ago(void) { key(); x->heard_ms = 5001; heard = NULL; }
static void	peer_too(void) { pfsync(); p->alive = 1; x->addr = p->addr; }
static void	senderr(void) { a.s.senderr = EPERM; }
static void	full(void) { a.s.full = 1; }

#define NOTHING	FINDINGS

static const struct {
	void			(*change)(void);
	enum finding_code	 code;
	const char		*cause;		/* a part of it */
} cases[] = {
	{ healthy, NOTHING, NULL },
	{ alone, FINDING_SYNC_SILENT, "although carpd hears 198.51.100.9" },
	{ unheard, NOTHING, NULL },
	{ young, NOTHING, NULL },
	{ unicast, FINDING_SYNC_SILENT, "from syncpeer 192.0.2.9" },
	{ unicast6, FINDING_SYNC_SILENT, "from syncpeer 2001:db8::9" },
	{ link_down, FINDING_SYNC_LINK, "down" },
	{ key, FINDING_SYNC_KEY, "192.0.2.8 has another key" },
	{ keyed, FINDING_SYNC_UNAUTH, "we have no key" },
	{ keyid, FINDING_SYNC_KEY, "another key id" },
	{ open_key, FINDING_SYNC_UNAUTH, "192.0.2.8 has no key" },
	{ none, FINDING_SYNC_UNAUTH, "does not authenticate" },
	{ trailer, FINDING_SYNC_PACKET, "malformed" },
	{ native, FINDING_SYNC_DIALECT, "192.0.2.8 speaks the native" },
	{ pfsync, FINDING_SYNC_DIALECT, "192.0.2.8 speaks pfsync(4)" },
	{ version, FINDING_SYNC_DIALECT, "version" },
	{ unproven, FINDING_SYNC_UNPROVEN, "live" },
	{ future, NOTHING, NULL },
	{ long_ago, NOTHING, NULL },
	{ peer_too, NOTHING, NULL },
	{ senderr, NOTHING, NULL },	/* a fact for others */
	{ full, FINDING_SYNC_FULL, "full" },
};

START_TEST(one_cause)
{
	cases[_i].change();
	diagnose_sync(&a, heard, &facts, &all);
	ck_assert_uint_eq(all.n, cases[_i].code != NOTHING);
	ck_assert(facts.asked && !facts.master);
	ck_assert_int_eq(facts.senderr, a.s.senderr);
	ck_assert_str_eq(facts.syncdev, "sync0");
	if (cases[_i].code == NOTHING)
		return;
	ck_assert_int_eq(all.f[0].code, cases[_i].code);
	ck_assert_msg(strstr(all.f[0].cause, cases[_i].cause) != NULL, "%s",
	    all.f[0].cause);
}
END_TEST

/* Who is MASTER, too, for carpd's part. */
START_TEST(master)
{
	p->master = 1;
	diagnose_sync(&a, heard, &facts, &all);
	ck_assert(facts.master && ipaddr_cmp(&facts.who, &p->addr) == 0);
	alone();
	diagnose_sync(&a, NULL, &facts, &all);
	ck_assert(!facts.master);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("diagnose_sync");
	TCase	*t = tcase_create("diagnose_sync");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, one_cause, 0, NELEMS(cases));
	tcase_add_test(t, master);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
