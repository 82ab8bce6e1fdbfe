/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/choose: which interface becomes the carpdev of a carp interface that
 * is written without one.
 */
#include <check.h>
#include <string.h>

#include "../../carpd/choose.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
#define MOST		4

struct line {
	const char	*name;		/* of an interface; NULL: no more */
	const char	*text;		/* addresses, with blanks */
};

/* The index of an interface is the number behind its name. */
static size_t
read_nets(const struct line *l, struct choose_net *nets)
{
	size_t	 n;

	for (n = 0; n < MOST && l[n].name != NULL; n++) {
		strlcpy(nets[n].ifname, l[n].name, sizeof(nets[n].ifname));
		nets[n].ifindex = l[n].name[strlen(l[n].name) - 1] - '0';
		ck_assert_int_eq(ipaddr_parse(l[n].text, &nets[n].addr, NULL),
		    0);
	}
	return (n);
}

static size_t
read_addrs(const char *text, struct ipaddr *addrs)
{
	char	 copy[256], *p = copy, *word;
	size_t	 n = 0;

	strlcpy(copy, text, sizeof(copy));
	while ((word = strsep(&p, " ")) != NULL) {
		ck_assert_uint_lt(n, MOST);
		ck_assert_int_eq(ipaddr_parse(word, &addrs[n++], NULL), 0);
	}
	return (n);
}

static const struct {
	struct line	 nets[MOST];
	const char	*addrs;		/* sorted, as of a configuration */
	const char	*chosen;	/* NULL: none */
} choices[] = {
	{ { { NULL, NULL } }, "10.0.0.9/24", NULL },
	{ { { "e1", "10.0.0.1/24" } }, "10.0.0.9/24", "e1" },
	{ { { "e1", "10.0.0.1/24" } }, "10.0.1.9/24", NULL },
	/* the network is the host's, whatever length the file has */
	{ { { "e1", "10.0.0.1/24" } }, "10.0.1.9/16", NULL },
	{ { { "e1", "10.0.0.1/16" } }, "10.0.1.9/32", "e1" },
	{ { { "e1", "10.0.0.1/16" }, { "e2", "10.0.0.2/24" } },
	    "10.0.0.9/8", "e2" },
	{ { { "e2", "10.0.0.2/24" }, { "e1", "10.0.0.1/16" } },
	    "10.0.0.9/8", "e2" },
	{ { { "e3", "10.0.0.2/24" }, { "e1", "10.0.0.1/24" },
	    { "e2", "10.0.0.3/24" } }, "10.0.0.9/24", "e1" },
	{ { { "e1", "10.0.0.9/32" } }, "10.0.0.9/24", "e1" },
	/* the first that has one decides, IPv4 before IPv6 */
	{ { { "e1", "10.0.1.1/24" }, { "e2", "10.0.2.1/28" } },
	    "10.0.0.9/24 10.0.1.9/24 10.0.2.9/24", "e1" },
	{ { { "e1", "2001:db8::1/64" }, { "e2", "10.0.0.1/24" } },
	    "10.0.0.9/24 2001:db8::9/64", "e2" },
	{ { { "e1", "2001:db8::1/64" }, { "e2", "10.0.1.1/24" } },
	    "10.0.0.9/24 2001:db8::9/64", "e1" },
	{ { { "e1", "2001:db8::1/64" }, { "e2", "2001:db8::2/96" } },
	    "2001:db8::9/64", "e2" },
};

START_TEST(choice)
{
	const struct choose_net	*got;
	struct choose_net	 nets[MOST];
	struct ipaddr		 addrs[MOST];
	size_t			 n, k;

	n = read_nets(choices[_i].nets, nets);
	k = read_addrs(choices[_i].addrs, addrs);
	got = choose_net(addrs, k, nets, n);
	if (choices[_i].chosen == NULL)
		ck_assert_msg(got == NULL, "%d: %s", _i, got->ifname);
	else
		ck_assert_msg(got != NULL && strcmp(got->ifname,
		    choices[_i].chosen) == 0, "%d: %s", _i,
		    got == NULL ? "none" : got->ifname);
}
END_TEST

/* e1 has 10.0.1.0/24, e2 10.0.2.0/24. */
static const struct line two[MOST] = { { "e1", "10.0.1.1/24" },
	{ "e2", "10.0.2.1/24" } };

static const struct {
	struct {
		bool		 chosen;	/* else named */
		const char	*dev;		/* before */
		uint8_t		 vhid;
		const char	*addrs;
		const char	*after, *why;
	} i[MOST];
} sets[] = {
	{ { { true, "", 1, "10.0.1.9/24", "e1", "" },
	    { true, "", 1, "10.0.2.9/24", "e2", "" },
	    { true, "", 2, "10.0.1.8/24", "e1", "" } } },
	{ { { true, "", 1, "10.0.3.9/24", "",
	    "no interface has a network with 10.0.3.9" },
	    { true, "", 1, "10.0.3.9/24", "",
	    "no interface has a network with 10.0.3.9" } } },
	{ { { true, "", 1, "10.0.1.9/24", "e1", "" },
	    { true, "", 1, "10.0.1.8/24", "",
	    "vhid 1 on e1 is already that of carp0" } } },
	{ { { true, "", 1, "10.0.1.9/24", "e1", "" },
	    { true, "", 2, "10.0.1.9/24", "",
	    "10.0.1.9 on e1 is already that of carp0" } } },
	/* a name in the file goes first, wherever it stands */
	{ { { true, "", 1, "10.0.1.9/24", "",
	    "vhid 1 on e1 is already that of carp1" },
	    { false, "e1", 1, "10.0.2.9/24", "e1", "" } } },
	{ { { true, "e1", 1, "10.0.1.9/24", "",
	    "vhid 1 on e1 is already that of carp1" },
	    { false, "e1", 1, "10.0.2.9/24", "e1", "" } } },
	/* then who has it */
	{ { { true, "", 1, "10.0.1.9/24", "",
	    "vhid 1 on e1 is already that of carp1" },
	    { true, "e1", 1, "10.0.1.8/24", "e1", "" } } },
	/* which need not be where it would be chosen to be */
	{ { { true, "e9", 1, "10.0.1.9/24", "e9", "" },
	    { true, "", 1, "10.0.1.8/24", "e1", "" } } },
	/* who lost it may have another one */
	{ { { true, "e9", 1, "10.0.1.9/24", "e1", "" },
	    { false, "e9", 1, "10.0.2.9/24", "e9", "" } } },
};

START_TEST(together)
{
	char			 why[MOST][CHOOSE_WHY_MAX];
	struct choose_net	 nets[MOST];
	struct config		*c = config_new();
	struct config_iface	 i;
	size_t			 k, n = read_nets(two, nets);

	for (k = 0; k < MOST && sets[_i].i[k].dev != NULL; k++) {
		memset(&i, 0, sizeof(i));
		snprintf(i.name, sizeof(i.name), "carp%zu", k);
		i.chosen = sets[_i].i[k].chosen;
		strlcpy(i.carpdev, sets[_i].i[k].dev, sizeof(i.carpdev));
		i.nvhids = 1;
		i.vhids[0].vhid = sets[_i].i[k].vhid;
		i.naddrs = (uint16_t)read_addrs(sets[_i].i[k].addrs, i.addrs);
		config_add_iface(c, &i);
	}
	choose_carpdevs(c, nets, n, why);
	for (k = 0; k < c->nifaces; k++) {
		ck_assert_str_eq(c->ifaces[k].carpdev, sets[_i].i[k].after);
		ck_assert_str_eq(why[k], sets[_i].i[k].why);
	}
	config_free(c);
}
END_TEST

/* The longest reasons fit. */
START_TEST(long_why)
{
	static const char	 v6[] = "2001:db8:1111:2222:3333:4444:5555:";
	char			 why[2][CHOOSE_WHY_MAX], text[64];
	struct choose_net	 net;
	struct config		*c = config_new();
	struct config_iface	 i;

	memset(&i, 0, sizeof(i));
	i.chosen = 1;
	i.nvhids = i.naddrs = 1;
	snprintf(text, sizeof(text), "%s6666/64", v6);
	ck_assert_int_eq(ipaddr_parse(text, &i.addrs[0], NULL), 0);
	strlcpy(i.name, "abcdefghijklmn0", sizeof(i.name));
	i.vhids[0].vhid = 254;
	config_add_iface(c, &i);
	strlcpy(i.name, "abcdefghijklmn1", sizeof(i.name));
	i.vhids[0].vhid = 255;
	config_add_iface(c, &i);
	choose_carpdevs(c, NULL, 0, why);
	snprintf(text, sizeof(text), "%s6666", v6);
	ck_assert_ptr_nonnull(strstr(why[0], text));
	net.ifindex = 1;
	strlcpy(net.ifname, "interface-of-15", sizeof(net.ifname));
	net.addr = i.addrs[0];
	choose_carpdevs(c, &net, 1, why);
	ck_assert_ptr_nonnull(strstr(why[1], text));
	ck_assert_ptr_nonnull(strstr(why[1], "that of abcdefghijklmn0"));
	config_free(c);
}
END_TEST

int
main(void)
{
	TCase	*tc = tcase_create("choose");
	Suite	*s = suite_create("choose");
	SRunner	*sr;
	int	 failed;

	tcase_add_loop_test(tc, choice, 0, NELEMS(choices));
	tcase_add_loop_test(tc, together, 0, NELEMS(sets));
	tcase_add_test(tc, long_why);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
