/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpctl/ruleset: what rules, as nft -j of 1.0.6 writes them (with ' for "),
 * do to a packet, and what is not said because it is not certain.
 */
#include <sys/socket.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpctl/ruleset.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

#define LIST(x)		"{'nftables':[{'metainfo':{'version':'1.0.6'}}," x "]}"
#define CHAIN(name, type, hook, policy) \
	"{'chain':{'family':'inet','table':'fw','name':'" name "','type':'" \
	type "','hook':'" hook "','prio':0,'policy':'" policy "'}}"
#define SUB(name) \
	"{'chain':{'family':'inet','table':'fw','name':'" name "'}}"
#define RULE(chain, expr) \
	"{'rule':{'family':'inet','table':'fw','chain':'" chain "','expr':[" \
	expr "]}}"
#define MATCH(op, left, right) \
	"{'match':{'op':'" op "','left':{" left "},'right':" right "}},"
#define META(key)	"'meta':{'key':'" key "'}"
#define FIELD(p, f)	"'payload':{'protocol':'" p "','field':'" f "'}"
#define CT		"'ct':{'key':'state'}"
#define DROP		"{'drop':null}"
#define ACCEPT		"{'accept':null}"
#define OUTPUT		CHAIN("out", "filter", "output", "accept") ","
#define OUTPUT_DROP	CHAIN("out", "filter", "output", "drop") ","

/* The packet: protocol 112 from here out of lan0 to 172.16.0.201. */
static const struct {
	const char	*rules;
	const char	*where;		/* NULL: not certainly dropped */
} drops[] = {
	{ "", NULL },
	{ OUTPUT RULE("out", DROP), "inet fw out" },
	{ OUTPUT_DROP SUB("x"), "inet fw out" },
	{ OUTPUT_DROP RULE("out", ACCEPT), NULL },
	{ OUTPUT_DROP RULE("x", ACCEPT), "inet fw out" },
	{ OUTPUT RULE("out", "{'counter':{}}," DROP), "inet fw out" },
	{ OUTPUT RULE("out", "{'reject':{'type':'icmpx'}}"), "inet fw out" },
	/* protocols */
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"), "'vrrp'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"), "112") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"), "240") DROP), NULL },
	{ OUTPUT RULE("out", MATCH("!=", META("l4proto"), "'tcp'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"),
	    "{'set':['tcp','vrrp',240]}") DROP), "inet fw out" },
	{ OUTPUT RULE("out", MATCH("!=", META("l4proto"),
	    "{'set':['tcp','vrrp',240]}") DROP), NULL },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"),
	    "{'range':[100,120]}") DROP), "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"),
	    "{'range':[113,120]}") DROP), NULL },
	{ OUTPUT RULE("out", MATCH("==", META("l4proto"), "'@s'") DROP),
	    NULL },
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "protocol"), "'vrrp'")
	    DROP), "inet fw out" },
	{ OUTPUT RULE("out", MATCH("!=", FIELD("ip6", "nexthdr"), "6") DROP),
	    NULL },
	{ OUTPUT RULE("out", MATCH("!=", FIELD("tcp", "dport"), "22") DROP),
	    NULL },
	{ OUTPUT RULE("out", MATCH("==", META("nfproto"), "'ipv4'") DROP),
	    "inet fw out" },
	/* interfaces */
	{ OUTPUT RULE("out", MATCH("==", META("oifname"), "'lan0'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("oif"), "'lan0'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("oifname"), "'la*'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("!=", META("oifname"), "'lan0'") DROP),
	    NULL },
	{ OUTPUT RULE("out", MATCH("!=", META("iifname"), "'lan0'") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", META("iifname"), "'lan0'") DROP),
	    NULL },
	/* addresses */
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "daddr"),
	    "'172.16.0.201'") DROP), "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "daddr"),
	    "{'prefix':{'addr':'172.16.0.0','len':24}}") DROP),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "daddr"),
	    "{'prefix':{'addr':'172.16.1.0','len':24}}") DROP), NULL },
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "daddr"),
	    "'172.16.0.202'") DROP), NULL },
	{ OUTPUT RULE("out", MATCH("==", FIELD("ip", "saddr"),
	    "'172.16.0.200'") DROP), NULL },
	/* what is not known neither drops nor saves */
	{ OUTPUT RULE("out", MATCH("in", CT, "['invalid']") DROP), NULL },
	{ OUTPUT_DROP RULE("out", MATCH("in", CT, "['established']") ACCEPT),
	    NULL },
	{ OUTPUT RULE("out", MATCH("in", CT, "['invalid']") DROP) ","
	    RULE("out", DROP), "inet fw out" },
	{ OUTPUT RULE("out", "{'limit':{'rate':1}}," DROP), NULL },
	{ OUTPUT_DROP RULE("out", "{'limit':{'rate':1}}," ACCEPT), NULL },
	{ OUTPUT_DROP RULE("out", "{'vmap':{}}"), NULL },
	{ OUTPUT_DROP RULE("out", "{'xt':null}"), NULL },
	/* other chains */
	{ OUTPUT RULE("out", "{'jump':{'target':'x'}}") "," RULE("x", DROP),
	    "inet fw x" },
	{ OUTPUT RULE("out", "{'jump':{'target':'x'}}") ","
	    RULE("x", "{'return':null}") "," RULE("x", DROP), NULL },
	{ OUTPUT_DROP RULE("out", "{'jump':{'target':'x'}}") ","
	    RULE("out", ACCEPT) "," RULE("x", "{'return':null}"), NULL },
	{ OUTPUT_DROP RULE("out", "{'goto':{'target':'x'}}") ","
	    RULE("out", ACCEPT) "," RULE("x", "{'return':null}"),
	    "inet fw out" },
	{ OUTPUT RULE("out", MATCH("in", CT, "['new']")
	    "{'jump':{'target':'x'}}") "," RULE("x", DROP), NULL },
	{ OUTPUT RULE("out", "{'jump':{'target':'out'}}"), NULL },
	/* each hook has its chains, and all of them count */
	{ CHAIN("in", "filter", "input", "drop"), NULL },
	{ CHAIN("a", "filter", "output", "accept") ","
	    CHAIN("b", "filter", "output", "drop"), "inet fw b" },
	{ "{'chain':{'family':'ip6','table':'t','name':'c','type':'filter',"
	    "'hook':'output','policy':'drop'}}", NULL },
	{ "{'chain':{'family':'ip','table':'t','name':'c','type':'filter',"
	    "'hook':'output','policy':'drop'}}", "ip t c" },
	{ "{'chain':{'family':'netdev','table':'t','name':'c','dev':'lan0',"
	    "'type':'filter','hook':'output','policy':'drop'}}", NULL },
	/* rubbish */
	{ "1,[],{'chain':1},{'rule':{}},{'chain':{'hook':'output'}}", NULL },
	{ OUTPUT "{'rule':{'family':'inet','table':'fw','chain':'out'}},"
	    RULE("out", "1,{'match':{}},{'match':1}"), NULL },
};

#define POST		"{'chain':{'family':'ip','table':'nat','name':'post'," \
			"'type':'nat','hook':'postrouting'}},"
#define NAT(expr)	"{'rule':{'family':'ip','table':'nat','chain':'post'," \
			"'expr':[" expr "]}}"
#define SRC		MATCH("==", FIELD("ip", "saddr"), "'@lan'")
#define MASQ		"{'masquerade':null}"
#define SNAT		"{'snat':{'addr':'192.0.2.1'}}"

/* The packet: anything out of wan0. */
static const struct {
	const char	*rules;
	bool		 masquerades;
} nats[] = {
	{ POST NAT(MASQ), true },
	{ POST NAT(SRC MASQ), true },
	{ POST NAT(MATCH("==", META("oifname"), "'wan0'") SRC MASQ), true },
	{ POST NAT(MATCH("==", META("oifname"), "'wan1'") SRC MASQ), false },
	{ POST NAT(MATCH("==", FIELD("tcp", "dport"), "80") MASQ), true },
	{ POST NAT(SNAT) "," NAT(MASQ), false },
	{ POST NAT(ACCEPT) "," NAT(MASQ), false },
	{ POST NAT(SRC SNAT) "," NAT(MASQ), true },
	{ POST NAT(SRC SNAT), false },
	{ NAT(MASQ), false },
	{ CHAIN("post", "filter", "postrouting", "accept") ","
	    RULE("post", MASQ), false },
};

static json_t *
parse(const char *list)
{
	char	 text[4096], *p;
	json_t	*j;

	ck_assert_uint_lt((size_t)snprintf(text, sizeof(text), LIST("%s"),
	    list[0] != '\0' ? list : "{}"), sizeof(text));
	for (p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	ck_assert_msg((j = json_loads(text, 0, NULL)) != NULL, "%s", text);
	return (j);
}

START_TEST(dropped)
{
	struct ruleset_packet	 p = { .af = AF_INET, .proto = 112, .in = "",
				    .out = "lan0" };
	json_t			*rules = parse(drops[_i].rules);
	char			 where[64];
	bool			 r;

	ck_assert_int_eq(ipaddr_parse("172.16.0.201", &p.dst, NULL), 0);
	r = ruleset_drops(rules, "output", &p, where, sizeof(where));
	ck_assert_msg(r == (drops[_i].where != NULL), "%s", drops[_i].rules);
	if (r)
		ck_assert_str_eq(where, drops[_i].where);
	json_decref(rules);
}
END_TEST

START_TEST(masqueraded)
{
	const struct ruleset_packet	 p = { .af = AF_INET, .proto = -1,
					    .out = "wan0" };
	json_t				*rules = parse(nats[_i].rules);
	char				 where[64];

	ck_assert_msg(ruleset_masquerades(rules, &p, where, sizeof(where)) ==
	    nats[_i].masquerades, "%s", nats[_i].rules);
	if (nats[_i].masquerades)
		ck_assert_str_eq(where, "ip nat post");
	json_decref(rules);
}
END_TEST

/* A chain of one device: of which one, older versions do not say. */
START_TEST(devices)
{
	static const struct {
		const char	*dev;
		bool		 any_dev, drops;
	} t[] = {
		{ "'dev':'lan0',", false, true },
		{ "'dev':'wan0',", true, false },
		{ "", true, true }, { "", false, false }
	};
	struct ruleset_packet	 p = { .af = AF_INET, .proto = 112, .in = "",
				    .out = "lan0" };
	char			 text[512], where[64];
	json_t			*rules;

	p.any_dev = t[_i].any_dev;
	snprintf(text, sizeof(text), "{'chain':{'family':'netdev','table':'t',"
	    "'name':'c',%s'type':'filter','hook':'egress','policy':'drop'}}",
	    t[_i].dev);
	rules = parse(text);
	ck_assert(ruleset_drops(rules, "egress", &p, where, sizeof(where)) ==
	    t[_i].drops);
	json_decref(rules);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("ruleset");
	TCase	*t = tcase_create("ruleset");
	SRunner	*r;
	int	 failed;

	tcase_add_loop_test(t, dropped, 0, NELEMS(drops));
	tcase_add_loop_test(t, masqueraded, 0, NELEMS(nats));
	tcase_add_loop_test(t, devices, 0, 4);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return (failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
