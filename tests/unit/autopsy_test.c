/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/autopsy: advertisements of a node that was set up otherwise than we
 * were, with a trailer and without one, and what is found out about them.
 */
#include <sys/socket.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/autopsy.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define PASS		"mekmitasdigoat"
#define VHID		7
#define ADDRS		4

/* Ours. */
static const char *const	 ours[] = {
	"192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1", NULL
};
static const char *const	 others[] = { "198.51.100.1", "2001:db8:1::1",
	NULL };

/* Theirs, and what is found; NULL: no address. */
static const struct {
	const char		*pass;
	uint8_t			 vhid;
	const char		*addrs[ADDRS + 2];
	enum advert_drop	 drop;		/* with a trailer */
	enum autopsy_fault	 guess;		/* without */
	const char		*here, *there;
	bool			 guessed;	/* the addresses, too */
} cases[] = {
	{ "other", VHID, { "192.0.2.1", "192.0.2.2", "2001:db8::1",
	    "fe80::1" }, ADVERT_DROP_PASS, AUTOPSY_UNKNOWN, NULL, NULL, false },
	{ PASS, VHID, { "192.0.2.1", "2001:db8::1", "fe80::1" },
	    ADVERT_DROP_ADDRS, AUTOPSY_ADDRS, "192.0.2.2", NULL, true },
	{ PASS, VHID, { "192.0.2.1", "192.0.2.2", "fe80::1" },
	    ADVERT_DROP_ADDRS, AUTOPSY_ADDRS, "2001:db8::1", NULL, true },
	{ PASS, VHID, { "192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1",
	    "198.51.100.1" }, ADVERT_DROP_ADDRS, AUTOPSY_ADDRS, NULL,
	    "198.51.100.1", true },
	{ PASS, VHID, { "192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1",
	    "2001:db8:1::1" }, ADVERT_DROP_ADDRS, AUTOPSY_ADDRS, NULL,
	    "2001:db8:1::1", true },
	/* another one in place of ours: the trailer knows */
	{ PASS, VHID, { "192.0.2.1", "192.0.2.3", "2001:db8::1", "fe80::1" },
	    ADVERT_DROP_ADDRS, AUTOPSY_UNKNOWN, "192.0.2.2", "192.0.2.3", false },
	/* to a digest without link-local ones it is one that is missing */
	{ PASS, VHID, { "192.0.2.1", "192.0.2.2" },
	    ADVERT_DROP_ADDRS, AUTOPSY_ADDRS, "2001:db8::1", NULL, true },
	{ PASS, VHID, { NULL }, ADVERT_DROP_ADDRS, AUTOPSY_UNKNOWN, NULL, NULL,
	    false },
	{ PASS, 8, { "192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1" },
	    ADVERT_DROP_ADDRS, AUTOPSY_VHID, NULL, NULL, true },
	{ PASS, 8, { "192.0.2.1", "192.0.2.2", "fe80::1" },
	    ADVERT_DROP_ADDRS, AUTOPSY_UNKNOWN, "2001:db8::1", NULL, false },
	{ "other", 8, { "192.0.2.1", "192.0.2.2", "2001:db8::1", "fe80::1" },
	    ADVERT_DROP_PASS, AUTOPSY_UNKNOWN, NULL, NULL, false },
};

static struct advert_vhost	 tx, rx;
static struct ipaddr		 mine[ADDRS], more[2];
static struct advert_out	 out;
static struct carp_header	 h;
static struct frame_ip		 f;
static uint8_t			 pkt[ADVERT_MAX];

static size_t
parse(const char *const *text, struct ipaddr *a)
{
	size_t	 n;

	for (n = 0; text[n] != NULL; n++)
		ck_assert_int_eq(ipaddr_parse(text[n], &a[n], NULL), 0);
	return (n);
}

/* What the node of case i sends. */
static void
send_case(int i)
{
	static const uint8_t	 cookie[CARP_COUNTER_LEN] = "cookieTX";
	struct ipaddr		 a[ADDRS + 2];
	size_t			 n = parse(cases[i].addrs, a);

	ck_assert(advert_vhost_init(&tx, cases[i].vhid, cases[i].pass,
	    strlen(cases[i].pass), a, n, cookie));
	memset(&out, 0, sizeof(out));
	memset(&f, 0, sizeof(f));
	out.node = out.seq = out.epoch = 1;
	out.tell = true;
	out.variant = i % 2 == 0 ? ADVERT_NOV6LL : ADVERT_ORIG;
	ck_assert_int_eq(ipaddr_parse("192.0.2.9", &out.src, NULL), 0);
	ck_assert_int_eq(ipaddr_parse("224.0.0.18", &out.dst, NULL), 0);
	f.src = out.src;
	f.dst = out.dst;
	f.ttl = CARP_TTL;
	f.payload = pkt;
	f.len = advert_build(&tx, &out, pkt, sizeof(pkt));
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
}

static void
setup(void)
{
	static const uint8_t	 cookie[CARP_COUNTER_LEN] = "cookieRX";

	hmac_setup();
	ck_assert_uint_eq(parse(ours, mine), ADDRS);
	ck_assert_uint_eq(parse(others, more), NELEMS(more));
	ck_assert(advert_vhost_init(&rx, VHID, PASS, strlen(PASS), mine,
	    ADDRS, cookie));
}

static void
teardown(void)
{
	advert_vhost_clear(&tx);
	advert_vhost_clear(&rx);
}

static void
is_addr(const struct ipaddr *a, const char *want)
{
	char	 buf[IPADDR_STRLEN];

	if (want == NULL)
		ck_assert_int_eq(a->af, 0);
	else
		ck_assert_str_eq(ipaddr_print(a, buf, sizeof(buf)), want);
}

START_TEST(by_trailer)
{
	struct advert_in in;
	struct autopsy	 a;

	send_case(_i);
	memset(&a, 0, sizeof(a));
	f.multicast = true;
	ck_assert_int_eq(advert_verify(&rx, &f, &h, (monotime_t){ 0 },
	    MONOTIME_SEC, &in), h.vhid != VHID ? ADVERT_DROP_BADVHID :
	    cases[_i].drop);
	if (cases[_i].drop != ADVERT_DROP_ADDRS)
		return;
	autopsy_lists(&rx, &f, &a);
	ck_assert_int_eq(a.fault, AUTOPSY_ADDRS);
	is_addr(&a.here, cases[_i].here);
	is_addr(&a.there, cases[_i].there);
	/* one without lists does not take back what is known */
	out.tell = false;
	f.len = advert_build(&tx, &out, pkt, sizeof(pkt));
	autopsy_lists(&rx, &f, &a);
	is_addr(&a.here, cases[_i].here);
	is_addr(&a.there, cases[_i].there);
	memset(&a, 0, sizeof(a));
	autopsy_lists(&rx, &f, &a);
	ck_assert_int_eq(a.fault, AUTOPSY_ADDRS);
	is_addr(&a.here, NULL);
	is_addr(&a.there, NULL);
}
END_TEST

START_TEST(by_trial)
{
	unsigned int	 budget = 1000, need;
	struct autopsy	 a;

	send_case(_i);
	autopsy_guess(&rx, h.vhid, h.counter, h.digest, mine, ADDRS, more,
	    NELEMS(more), &budget, &a);
	ck_assert_int_eq(a.fault, cases[_i].guess);
	is_addr(&a.here, cases[_i].guessed ? cases[_i].here : NULL);
	is_addr(&a.there, cases[_i].guessed ? cases[_i].there : NULL);
	need = 1000 - budget;
	ck_assert_uint_le(need, 2 * (1 + ADDRS + NELEMS(more)));
	/* no more is done than may be */
	budget = need - 1;
	autopsy_guess(&rx, h.vhid, h.counter, h.digest, mine, ADDRS, more,
	    NELEMS(more), &budget, &a);
	ck_assert_uint_eq(budget, 0);
	ck_assert_int_eq(a.fault, AUTOPSY_UNKNOWN);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("autopsy");
	TCase	*t = tcase_create("autopsy");
	SRunner	*r;
	int	 failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, by_trailer, 0, NELEMS(cases));
	tcase_add_loop_test(t, by_trial, 0, NELEMS(cases));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
