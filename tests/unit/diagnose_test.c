/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl/diagnose: a healthy node, and what is found once one thing of it is
 * otherwise; findings/: both forms of output.
 */
#include <sys/socket.h>

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpctl/diagnose.h"
#include "../../carpd/autopsy.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define NOW		1800000000
#define VHID		1

/* MASTER of carp0 on lan0; hears one of our nodes that is BACKUP. */
static struct show_iface	 ifaces[1];
static struct ctl_vhid		*v = &ifaces[0].vhids[0];
static struct ctl_peer		 peers[1], *p = &peers[0];
static struct evidence		 e;
static struct sync_facts	 s;
static struct findings		 all;

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(text, &a, NULL), 0);
	return (a);
}

static void
setup(void)
{
	memset(ifaces, 0, sizeof(ifaces));
	memset(peers, 0, sizeof(peers));
	memset(&e, 0, sizeof(e));
	memset(&s, 0, sizeof(s));
	e.ifaces = ifaces;
	e.nifaces = e.npeers = 1;
	e.peers = peers;
	e.g.now = NOW;
	strlcpy(ifaces[0].i.name, "carp0", sizeof(ifaces[0].i.name));
	strlcpy(ifaces[0].i.carpdev, "lan0", sizeof(ifaces[0].i.carpdev));
	ifaces[0].i.link = ifaces[0].i.present = 1;
	ifaces[0].nvhids = ifaces[0].naddrs = 1;
	ifaces[0].addrs[0].addr = addr("192.0.2.1");
	v->vhid = VHID;
	v->state = VHOST_MASTER;
	v->advbase = 1;
	v->since_ms = (NOW - 100) * (uint64_t)1000;
	strlcpy(p->name, "carp0", sizeof(p->name));
	strlcpy(p->carpdev, "lan0", sizeof(p->carpdev));
	p->vhid = VHID;
	p->advbase = 1;
	p->kind = PEER_CARPD;
	p->ours = p->verified = p->hears_us = 1;
	p->addr = addr("192.0.2.9");
	p->told_ms = p->heard_ms = 500;
	s.asked = true;
	s.who = addr("198.51.100.9");
	strlcpy(s.syncdev, "sync0", sizeof(s.syncdev));
}

static void
teardown(void)
{
	findings_free(&all);
}

static void
drop(enum advert_drop why)
{
	p->verified = p->ours = 0;
	p->drop = (uint8_t)why;
}

/* Of a foreign peer, as it was guessed. */
static void
fault(enum autopsy_fault f)
{
	drop(ADVERT_DROP_BADAUTH);
	p->fault = (uint8_t)f;
}

static void	pass(void) { drop(ADVERT_DROP_PASS); }

static void
stranger(enum autopsy_fault f)
{
	drop(ADVERT_DROP_BADVHID);
	p->name[0] = '\0';
	p->vhid = 7;
	p->fault = (uint8_t)f;
	strlcpy(p->like, "carp0", sizeof(p->like));
	p->like_vhid = VHID;
}

static void	healthy(void) { }
static void	backup(void) { v->state = VHOST_BACKUP; }
static void	alone(void) { e.npeers = 0; }
static void	old(void) { pass(); p->heard_ms = 5001; }
static void	slow(void) { pass(); p->advbase = 30;
		    p->heard_ms = 61000; }
static void	ancient(void) { pass(); p->advbase = 254;
		    p->heard_ms = 62000; }
static void	left(void) { pass();
		    p->advbase = p->advskew = 255; }
static void	unknown(void) { fault(AUTOPSY_UNKNOWN); }
static void	addrs(void) { fault(AUTOPSY_ADDRS); }
static void	here(void) { addrs(); p->here = addr("192.0.2.3"); }
static void	addrs_told(void) { here(); p->drop = ADVERT_DROP_ADDRS; }
static void	there(void) { addrs(); p->there = addr("192.0.2.4"); }
static void	both(void) { here(); p->there = addr("192.0.2.4"); }
static void	vhid(void) { stranger(AUTOPSY_VHID); }
static void	others(void) { stranger(AUTOPSY_UNKNOWN); }
static void	loop(void) { drop(ADVERT_DROP_LOOP); }
static void	ttl(void) { drop(ADVERT_DROP_BADTTL); }
static void	family(void) { drop(ADVERT_DROP_BADVHID); }
static void	vrrp(void) { drop(ADVERT_DROP_BADVER); p->kind = PEER_VRRP3; }
static void	ucarp(void) { p->ours = 0; p->kind = PEER_UCARP; }
static void	orig(void) { p->ours = 0; p->variant = ADVERT_ORIG; }
static void	orig_ll(void) { orig();
		    ifaces[0].addrs[0].addr = addr("fe80::1"); }
static void	orig_ours(void) { orig_ll(); p->ours = 1; }
static void	orig_both(void) { orig_ll(); v->variant = ADVERT_ORIG; }
static void	nov6ll_ll(void) { orig_both(); p->variant = ADVERT_NOV6LL; }
static void	split(void) { v->split = addr("192.0.2.9");
		    v->split_ms = (NOW - 65) * (uint64_t)1000;
		    v->split_heard = v->split_verified = 1; }
static void	unheard(void) { split();
		    v->split_heard = v->split_verified = 0; }
static void	deaf_once(void) { p->hears_us = 0; }
static void	deaf(void) { deaf_once(); split(); }
static void	deaf_untold(void) { deaf(); p->told_ms = UINT64_MAX; }
static void	deaf_backup(void) { deaf_once(); backup(); }
static void	deaf_foreign(void) { deaf(); p->ours = 0; }
static void	deaf_young(void) { deaf();
		    v->since_ms = (NOW - 3) * (uint64_t)1000; }
static void	init(void) { v->state = VHOST_INIT;
		    strlcpy(v->why, "no link", sizeof(v->why)); }
static void	eperm(void) { ifaces[0].i.senderr = EPERM; }
static void	enobufs(void) { ifaces[0].i.senderr = ENOBUFS; }
static void	enetdown(void) { ifaces[0].i.senderr = ENETDOWN;
		    ifaces[0].i.link = 0; }
static void	late_once(void) { e.g.starved = 2; e.g.worst_ms = 900; }
static void	late(void) { e.g.starved = 3; e.g.worst_ms = 900; }
static void	overslept(void) { e.g.overslept = 1; }
static void	master_too(void) { s.master = true; alone(); }
static void	master_heard(void) { s.master = true; }
static void	master_backup(void) { master_too(); backup(); }
static void	master_young(void) { master_too();
		    v->since_ms = (NOW - 2) * (uint64_t)1000; }
static void	master_vrrp(void) { s.master = true; vrrp(); }

static void	sync_eperm(void) { s.senderr = EPERM; }
static void	sync_eio(void) { s.senderr = EIO; }
static void	sync_enobufs(void) { s.senderr = ENOBUFS; }

#define NOTHING	FINDINGS

static const struct {
	const char		*name;
	void			(*change)(void);
	enum finding_code	 code;		/* NOTHING: healthy */
	const char		*about, *cause;	/* a part of it */
} cases[] = {
	{ "healthy", healthy, NOTHING, NULL, NULL },
	{ "backup", backup, NOTHING, NULL, NULL },
	{ "alone", alone, NOTHING, NULL, NULL },
	{ "old", old, NOTHING, NULL, NULL },
	{ "slow", slow, FINDING_PASS, "carp0", "another pass" },
	{ "ancient", ancient, NOTHING, NULL, NULL },
	{ "left", left, NOTHING, NULL, NULL },
	{ "pass", pass, FINDING_PASS, "carp0",
	    "192.0.2.9, which advertises vhid 1, has another pass phrase" },
	{ "unknown", unknown, FINDING_PASS_OR_ADDRESSES, "carp0",
	    "192.0.2.9, which advertises vhid 1, has another pass phrase, or" },
	{ "addrs", addrs, FINDING_ADDRESSES, "carp0", "address list" },
	{ "here", here, FINDING_ADDRESSES, "carp0",
	    "address list: 192.0.2.3 is only here" },
	{ "told", addrs_told, FINDING_ADDRESSES, "carp0",
	    "address list: 192.0.2.3 is only here" },
	{ "there", there, FINDING_ADDRESSES, "carp0",
	    "address list: 192.0.2.4 is only there" },
	{ "both", both, FINDING_ADDRESSES, "carp0",
	    "address list: 192.0.2.3 is only here, 192.0.2.4 is only there" },
	{ "vhid", vhid, FINDING_VHID, "carp0",
	    "192.0.2.9 has our pass phrase and addresses, but vhid 7 instead "
	    "of 1" },
	{ "others", others, NOTHING, NULL, NULL },
	{ "loop", loop, FINDING_LOOP, "carp0", "come back on lan0" },
	{ "ttl", ttl, FINDING_DROPPED, "carp0", "dropped: TTL is not 255" },
	{ "family", family, FINDING_DROPPED, "carp0", "not configured here" },
	{ "vrrp", vrrp, FINDING_VRRP, "carp0",
	    "VRRP router 192.0.2.9 on lan0 has the number of vhid 1" },
	{ "ucarp", ucarp, FINDING_UCARP, "carp0", "192.0.2.9 is ucarp" },
	{ "orig, but no link-local", orig, NOTHING, NULL, NULL },
	{ "orig", orig_ll, FINDING_DIGEST, "carp0", "that covers" },
	{ "orig, by ours", orig_ours, NOTHING, NULL, NULL },
	{ "orig, sent", orig_both, NOTHING, NULL, NULL },
	{ "nov6ll", nov6ll_ll, FINDING_DIGEST, "carp0", "that leaves" },
	{ "deaf", deaf, FINDING_ONE_WAY, "carp0",
	    "192.0.2.9 does not hear our advertisements of vhid 1 on lan0" },
	{ "deaf, once", deaf_once, NOTHING, NULL, NULL },
	{ "deaf, untold", deaf_untold, FINDING_SPLIT, "carp0", "split" },
	{ "deaf, backup", deaf_backup, NOTHING, NULL, NULL },
	{ "deaf, foreign", deaf_foreign, FINDING_SPLIT, "carp0", "split" },
	{ "deaf, young", deaf_young, FINDING_SPLIT, "carp0", "split" },
	{ "split", split, FINDING_SPLIT, "carp0",
	    "split brain: 192.0.2.9 is MASTER of vhid 1, too, for 1m05s" },
	{ "split, unheard", unheard, FINDING_SPLIT, "carp0",
	    "is MASTER of vhid 1, too, heard by pfsyncd only, for 1m05s" },
	{ "init", init, FINDING_INIT, "carp0", "vhid 1 is INIT: no link" },
	{ "eperm", eperm, FINDING_RULES_CARP, "carp0", "on lan0" },
	{ "enobufs", enobufs, FINDING_SEND, "carp0", "No buffer space" },
	{ "enetdown", enetdown, NOTHING, NULL, NULL },
	{ "late once", late_once, NOTHING, NULL, NULL },
	{ "late", late, FINDING_STARVED, "", "up to 900 ms late" },
	{ "overslept", overslept, FINDING_STARVED, "", "not MASTER any more" },
	{ "two, unheard", master_too, FINDING_MULTICAST, "",
	    "198.51.100.9, heard on sync0, is MASTER, too, but nothing that "
	    "it advertises arrives on lan0" },
	{ "two, heard", master_heard, NOTHING, NULL, NULL },
	{ "it alone", master_backup, NOTHING, NULL, NULL },
	{ "two, young", master_young, NOTHING, NULL, NULL },
	{ "sync, eperm", sync_eperm, FINDING_RULES_PFSYNC, "sync0",
	    "drops what pfsyncd sends (protocol 240)" },
	{ "sync, eio", sync_eio, FINDING_SYNC_SEND, "sync0",
	    "does not leave: Input/output error" },
	{ "sync, enobufs", sync_enobufs, NOTHING, NULL, NULL },
	{ "two, and VRRP", master_vrrp, FINDING_VRRP, "carp0", "VRRP" },
};

START_TEST(one_cause)
{
	size_t	 i;

	cases[_i].change();
	diagnose(&e, &s, &all);
	for (i = 0; i < all.n && all.f[i].code != cases[_i].code; i++)
		;
	if (cases[_i].code == NOTHING) {
		ck_assert_msg(all.n == 0, "%s: %s", cases[_i].name,
		    all.n > 0 ? all.f[0].cause : "");
		return;
	}
	ck_assert_msg(i < all.n, "%s: not found", cases[_i].name);
	ck_assert_str_eq(all.f[i].about, cases[_i].about);
	ck_assert_msg(strstr(all.f[i].cause, cases[_i].cause) != NULL, "%s: %s",
	    cases[_i].name, all.f[i].cause);
	/* and no more, but for these two */
	ck_assert_msg(all.n == 1 || cases[_i].change == master_vrrp ||
	    cases[_i].change == deaf, "%s: %s",
	    cases[_i].name, all.f[1 - (i > 0)].cause);
	ck_assert_uint_gt(strlen(all.f[i].remedy), 0);
}
END_TEST

/* What the rules say is not said once more. */
START_TEST(rules_first)
{
	findings_add(&all, FINDING_RULES_PFSYNC, "sync0", "-", "-");
	findings_add(&all, FINDING_RULES_CARP, "carp0", "-", "-");
	sync_eperm();
	eperm();
	diagnose(&e, &s, &all);
	ck_assert_uint_eq(all.n, 2);
}
END_TEST

/* Of our own nodes only, and only now. */
START_TEST(who_is_heard)
{
	ck_assert_ptr_eq(diagnose_heard(&e), &p->addr);
	p->heard_ms = 60000;
	ck_assert_ptr_null(diagnose_heard(&e));
	setup();
	p->ours = 0;
	ck_assert_ptr_null(diagnose_heard(&e));
}
END_TEST

START_TEST(output)
{
	char	*text = NULL, *json = NULL;
	size_t	 len;
	FILE	*f;

	if (_i == 1)
		findings_add(&all, FINDING_ONE_WAY, "carp0", "help it", "%s %d",
		    "it is", 42);
	if (_i == 1)
		findings_add(&all, FINDING_STARVED, "", "rest", "late");
	ck_assert(findings_have(&all, FINDING_ONE_WAY) == (_i == 1));
	ck_assert(!findings_have(&all, FINDING_SPLIT));
	f = open_memstream(&text, &len);
	findings_text(&all, f);
	fclose(f);
	f = open_memstream(&json, &len);
	findings_json(&all, f);
	fclose(f);
	if (_i == 0) {
		ck_assert_str_eq(text, "nothing wrong\n");
		ck_assert_str_eq(json, "{\"schema\":1,\"findings\":[]}\n");
	} else {
		ck_assert_str_eq(text, "carp0: it is 42; help it\n"
		    "late; rest\n");
		ck_assert_str_eq(json, "{\"schema\":1,\"findings\":["
		    "{\"code\":\"one-way\",\"about\":\"carp0\","
		    "\"cause\":\"it is 42\",\"remedy\":\"help it\"},"
		    "{\"code\":\"starved\",\"about\":\"\","
		    "\"cause\":\"late\",\"remedy\":\"rest\"}]}\n");
	}
	free(text);
	free(json);
}
END_TEST

START_TEST(names)
{
	size_t	 i, k;

	for (i = 0; i < FINDINGS; i++) {
		ck_assert_ptr_nonnull(finding_names[i]);
		for (k = 0; k < i; k++)
			ck_assert_str_ne(finding_names[i], finding_names[k]);
	}
}
END_TEST

int
main(void)
{
	Suite	*suite = suite_create("diagnose");
	TCase	*t = tcase_create("diagnose");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, one_cause, 0, NELEMS(cases));
	tcase_add_test(t, rules_first);
	tcase_add_test(t, who_is_heard);
	tcase_add_loop_test(t, output, 0, 2);
	tcase_add_test(t, names);
	suite_add_tcase(suite, t);
	r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
