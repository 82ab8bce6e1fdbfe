/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/carplink against a control socket that plays carpd: absent, there,
 * gone and back, out of its mind.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "carpd/msgs.c"	/* carpd's table; our library has pfsyncd's */
#include "common/control.h"
#include "pfsyncd/carplink.h"

static int		 nfds_before;
static char		 dir[40], path[80];
static struct control	*ctl;
static struct control_client *client;	/* who asked last */
static unsigned int	 holds, synceds, watches;
static struct ctl_hold	 ledger[4];	/* one entry for each reason */
static int		 least;		/* sum of it, since the first */
static bool		 watched_last;	/* the order on a new connection */

static struct carplink	*carp;
static unsigned int	 ncarp, naddrs;	/* callbacks */
static bool		 connected;
static enum balance_mode balance;	/* of what it says */
static uint32_t		 mask;
static unsigned int	 masters, balancing, splits;
static struct ctl_vhosts rivals;	/* carpd was told last */
static unsigned int	 whichs, nrivals;
static uint8_t		 vhost[300];	/* first byte of each, as told */
static size_t		 nvhosts, nvhosts_last;
static struct share	 first;
static size_t		 n;

/* ---- carpd ---- */

/* Of that reason, or in all. */
static int
held(const char *reason)
{
	int sum = 0;
	size_t i;

	for (i = 0; i < sizeof(ledger) / sizeof(ledger[0]); i++)
		if (reason == NULL || strcmp(ledger[i].reason, reason) == 0)
			sum += ledger[i].amount;
	return (sum);
}

/* As carpd does: 0 without a reason takes everything back. */
static void
on_hold(const struct ctl_hold *h)
{
	size_t i;

	holds++;
	if (h->amount == 0 && h->reason[0] == '\0') {
		memset(ledger, 0, sizeof(ledger));
		return;
	}
	for (i = 0; i < sizeof(ledger) / sizeof(ledger[0]); i++)
		if (ledger[i].reason[0] == '\0' ||
		    strcmp(ledger[i].reason, h->reason) == 0)
			break;
	ck_assert_uint_lt(i, sizeof(ledger) / sizeof(ledger[0]));
	ledger[i] = *h;
	if (holds == 1 || held(NULL) < least)
		least = held(NULL);
}

static void
on_ask(struct control_client *cl, struct imsg *im, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(msg_check(carpd_msgs, IMSG_MAX, im,
	    MSG_FROM_CLIENT), NULL);
	client = cl;
	watched_last = im->type == IMSG_CTL_WATCH;
	switch (im->type) {
	case IMSG_CTL_HOLD:
		on_hold(im->data);
		break;
	case IMSG_CTL_SYNCED:
		synceds++;
		break;
	case IMSG_CTL_WATCH:
		watches++;
		break;
	case IMSG_CTL_WHICH:
		whichs++;
		break;
	case IMSG_CTL_RIVALS:
		rivals = *(const struct ctl_vhosts *)im->data;
		nrivals++;
		break;
	default:
		ck_abort_msg("message %u", im->type);
	}
	if (!watched_last) {
		control_reply(cl, IMSG_CTL_OK, NULL, 0);
		control_reply(cl, IMSG_CTL_END, NULL, 0);
	}
	ev_stop();
}

static void
carpd_starts(void)
{
	int fd;

	ck_assert_int_ne(fd = control_listen(path, getgid()), -1);
	ctl = control_new(fd, on_ask, NULL);
}

static void
carpd_ends(void)
{
	control_free(ctl);
	control_cleanup(path);
	ctl = NULL;
	client = NULL;
	memset(ledger, 0, sizeof(ledger));
}

static void
say_addr(uint8_t af, unsigned int i)
{
	struct ctl_addr m;

	memset(&m, 0, sizeof(m));
	m.addr.af = af;
	m.addr.plen = 24;
	m.addr.bytes[0] = 10;
	m.addr.bytes[2] = (uint8_t)(i >> 8);
	m.addr.bytes[3] = (uint8_t)i;
	m.balancing = balance;
	m.nodes = 2;
	m.mask = mask;
	control_reply(client, IMSG_CTL_ADDR, &m, sizeof(m));
}

static void
say_masters(unsigned int m)
{
	struct ctl_masters s = { .masters = m, .vhids = 2,
	    .balancing = 2 * m, .splits = 3 * m };

	control_reply(client, IMSG_CTL_MASTERS, &s, sizeof(s));
}

/* Addresses 1 to count, in an order of their own. */
static void
say_set(unsigned int m, unsigned int count)
{
	unsigned int i;

	say_masters(m);
	for (i = count; i > 0; i--)
		say_addr(AF_INET, i);
	control_reply(client, IMSG_CTL_END, NULL, 0);
}

/* ---- the parent ---- */

static void
got_carp(bool is_connected, unsigned int m, unsigned int b, unsigned int s,
    void *arg)
{
	ck_assert_ptr_eq(arg, &ncarp);
	connected = is_connected;
	masters = m;
	balancing = b;
	splits = s;
	ncarp++;
	ev_stop();
}

static void
got_addrs(const struct share *a, size_t count, void *arg)
{
	size_t i;

	ck_assert_ptr_eq(arg, &ncarp);
	if (count > 0)
		first = a[0];
	for (i = 1; i < count; i++)
		ck_assert_int_lt(ipaddr_cmp(&a[i - 1].addr, &a[i].addr), 0);
	n = count;
	naddrs++;
	ev_stop();
}

static void
got_vhosts(const uint8_t (*id)[NATIVE_VHOST_LEN], size_t count, bool last,
    void *arg)
{
	size_t i;

	ck_assert_ptr_eq(arg, &ncarp);
	for (i = 0; i < count; i++)
		vhost[nvhosts++] = id[i][0];
	if (last)
		nvhosts_last = nvhosts;
	ev_stop();
}

static void
link_opens(void)
{
	struct carplink_cbs cbs = { got_carp, got_addrs, got_vhosts, &ncarp };

	carp = carplink_open(path, &cbs);
}

static void
setup(void)
{
	nfds_before = await_nfds();
	(void)strlcpy(dir, "/tmp/carplink.XXXXXX", sizeof(dir));
	ck_assert_ptr_ne(mkdtemp(dir), NULL);
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	holds = synceds = watches = ncarp = naddrs = masters = mask = 0;
	whichs = nrivals = 0;
	nvhosts = nvhosts_last = 0;
	balance = BALANCE_NONE;
	memset(ledger, 0, sizeof(ledger));
	connected = false;
	n = 0;
	ev_init();
}

static void
teardown(void)
{
	carplink_close(carp);
	carp = NULL;
	if (ctl != NULL)
		carpd_ends();
	ev_exit();
	(void)rmdir(dir);
	await_noleak(nfds_before);
}

/* ---- tests ---- */

START_TEST(told)
{
	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	ck_assert_uint_eq(holds + synceds, 0);
	say_set(1, 300);
	AWAIT(naddrs == 1);
	ck_assert(connected);
	ck_assert_uint_eq(masters, 1);
	ck_assert_uint_eq(n, 300);
	ck_assert_uint_eq(first.addr.bytes[3], 1);

	/* another number, the same addresses */
	say_set(2, 300);
	AWAIT(masters == 2);
	ck_assert_uint_eq(balancing, 4);
	ck_assert_uint_eq(splits, 6);
	say_set(0, 299);
	AWAIT(naddrs == 2);
	ck_assert_uint_eq(masters, 0);
	ck_assert_uint_eq(n, 299);
	say_set(0, 0);
	AWAIT(naddrs == 3);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(ncarp, 4);
}
END_TEST

/* Who has an address is news as well. */
START_TEST(shares)
{
	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	balance = BALANCE_IP;
	mask = 1;
	say_set(1, 1);
	AWAIT(naddrs == 1);
	ck_assert_uint_eq(first.nodes, 2);
	ck_assert_uint_eq(first.mask, 1);
	mask = 2;
	say_set(1, 1);
	AWAIT(naddrs == 2);
	ck_assert_uint_eq(first.mask, 2);
	/* whose share a packet is does not depend on its addresses */
	balance = BALANCE_ARP;
	say_set(1, 1);
	AWAIT(naddrs == 3);
	ck_assert_uint_eq(first.nodes, 0);
}
END_TEST

START_TEST(empty_set_is_told)
{
	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	say_set(0, 0);
	AWAIT(naddrs == 1);
	ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(tells)
{
	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	carplink_hold(carp, 32, "bulk");
	AWAIT(holds == 1);
	ck_assert_int_eq(held("bulk"), 32);
	carplink_hold(carp, 32, "bulk");
	/* another reason: first that, then no longer the other */
	carplink_hold(carp, 1, "syncdev");
	AWAIT(holds == 3);
	ck_assert_int_eq(held("bulk"), 0);
	ck_assert_int_eq(held("syncdev"), 1);
	ck_assert_int_gt(least, 0);
	/* the same one, stronger */
	carplink_hold(carp, 32, "syncdev");
	AWAIT(holds == 4);
	ck_assert_int_eq(held("syncdev"), 32);
	carplink_hold(carp, 0, "syncdev");
	carplink_synced(carp);
	carplink_synced(carp);
	AWAIT(synceds == 1);
	ck_assert_uint_eq(holds, 5);
	ck_assert_int_eq(held(NULL), 0);
}
END_TEST

static void
say_vhosts(uint8_t from, uint16_t count, bool last)
{
	struct ctl_vhosts m;
	uint16_t i;

	memset(&m, 0, sizeof(m));
	m.n = count;
	m.last = last;
	for (i = 0; i < count && i < CTL_VHOSTS_MAX; i++)
		m.id[i][0] = (uint8_t)(from + i);
	control_reply(client, IMSG_CTL_VHOSTS, &m, sizeof(m));
}

/* Which vhosts are MASTER here, and which elsewhere. */
START_TEST(vhosts)
{
	static const uint8_t id[2][NATIVE_VHOST_LEN] = { { 7 }, { 9 } };
	struct ipaddr who;

	carpd_starts();
	link_opens();
	/* nobody is there yet: forgotten */
	carplink_which(carp);
	AWAIT(watches == 1);
	AWAIT(whichs == 1);
	say_vhosts(0, 128, false);
	say_vhosts(128, 3, true);
	AWAIT(nvhosts_last == 131);
	ck_assert_uint_eq(vhost[130], 130);
	say_vhosts(0, 0, true);
	ck_assert_int_eq(ipaddr_parse("2001:db8::9", &who, NULL), 0);
	carplink_rivals(carp, &who, id, 2);
	AWAIT(nrivals == 1);
	ck_assert_uint_eq(rivals.n, 2);
	ck_assert_uint_eq(rivals.id[1][0], 9);
	ck_assert_int_eq(ipaddr_cmp(&rivals.who, &who), 0);
	/* one more than there is room for */
	say_set(1, 0);
	AWAIT(connected);
	say_vhosts(0, 129, true);
	AWAIT(!connected);
	ck_assert_uint_eq(nvhosts, 131);
}
END_TEST

START_TEST(comes_later_and_again)
{
	link_opens();
	carplink_hold(carp, 32, "bulk");
	carpd_starts();
	AWAIT(watches == 1);
	ck_assert(watched_last);
	ck_assert_uint_eq(holds, 1);
	ck_assert_int_eq(held("bulk"), 32);
	say_set(1, 2);
	AWAIT(naddrs == 1);
	carplink_synced(carp);
	AWAIT(synceds == 1);

	carpd_ends();
	AWAIT(!connected);
	ck_assert_uint_eq(ncarp, 2);
	ck_assert_uint_eq(masters + balancing + splits, 0);
	carpd_starts();
	AWAIT(watches == 2);
	ck_assert(watched_last);
	ck_assert_uint_eq(holds, 2);
	ck_assert_int_eq(held("bulk"), 32);
	ck_assert_uint_eq(synceds, 2);
	say_set(1, 2);
	AWAIT(connected);

	/* what is over is not said to the next one */
	carplink_hold(carp, 0, "");
	AWAIT(holds == 3);
	carpd_ends();
	AWAIT(!connected);
	carpd_starts();
	AWAIT(watches == 3);
	ck_assert_uint_eq(holds, 3);
	ck_assert_uint_eq(naddrs, 1);
}
END_TEST

/* A set that was cut short by the end of carpd is none. */
START_TEST(half_a_set)
{
	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	say_masters(1);
	say_addr(AF_INET, 1);
	AWAIT(connected);
	carpd_ends();
	AWAIT(!connected);
	carpd_starts();
	AWAIT(watches == 2);
	say_set(1, 2);
	AWAIT(naddrs == 1);
	ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(nonsense)
{
	static const struct {
		const char	*what;
		uint32_t	 type;
		size_t		 len;
	} tab[] = {
		{ "unknown type", IMSG_MAX, 0 },
		{ "size", IMSG_CTL_MASTERS, 3 },
		{ "what only we may say", IMSG_CTL_WATCH, 0 },
		{ "what only a parent may say", IMSG_STOP, 0 },
		{ "address of no family", IMSG_CTL_ADDR,
		    sizeof(struct ctl_addr) },
	};
	static const uint8_t zero[64];
	size_t i;

	carpd_starts();
	link_opens();
	for (i = 0; i < sizeof(tab) / sizeof(tab[0]); i++) {
		AWAIT(watches == i + 1);
		say_masters(1);
		AWAIT(connected);
		control_reply(client, tab[i].type, zero, tab[i].len);
		AWAIT(!connected);
	}
	AWAIT(watches == i + 1);
	/* a refusal and an end out of place are none */
	control_reply(client, IMSG_CTL_FAIL, "no\n", 3);
	control_reply(client, IMSG_CTL_END, NULL, 0);
	say_set(1, 1);
	AWAIT(naddrs == 1);
	ck_assert_uint_eq(watches, i + 1);
}
END_TEST

START_TEST(too_many)
{
	unsigned int i;

	carpd_starts();
	link_opens();
	AWAIT(watches == 1);
	say_masters(1);
	for (i = 0; i < 16385; i++)
		say_addr(AF_INET, i);
	AWAIT(connected);
	AWAIT(!connected);
	ck_assert_uint_eq(naddrs, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("carplink");
	TCase *t = tcase_create("carplink");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, told);
	tcase_add_test(t, shares);
	tcase_add_test(t, empty_set_is_told);
	tcase_add_test(t, tells);
	tcase_add_test(t, vhosts);
	tcase_add_test(t, comes_later_and_again);
	tcase_add_test(t, half_a_set);
	tcase_add_test(t, nonsense);
	tcase_add_test(t, too_many);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr) + await_leaks;
	srunner_free(sr);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
