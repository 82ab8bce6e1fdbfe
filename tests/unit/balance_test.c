/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/balance: the hashes of vectors/carp-hmac.json, whose each packet is,
 * ICMP of every type, and over random packets that each belongs to exactly
 * one node, for any number of nodes.  Runs from the root of the tree.
 */
#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../carpd/balance.h"
#include "anypacket.h"
#include "hex.h"

#define VECTORS		"tests/unit/vectors/carp-hmac.json"
#define ROUNDS		20000
#define IP_MAX		128

static json_t		*root;		/* "balancing" of the vectors */
static json_t		*file;
static uint64_t		 seed;

static void
setup(void)
{
	json_error_t	 err;

	file = json_load_file(VECTORS, 0, &err);
	ck_assert_msg(file != NULL, "%s", err.text);
	root = json_object_get(file, "balancing");
	ck_assert_ptr_nonnull(root);
}

static void
teardown(void)
{
	json_decref(file);
}

static const char *
text(json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	ck_assert_msg(s != NULL, "no %s", key);
	return (s);
}

static unsigned int
number(json_t *o, const char *key)
{
	json_t	*j = json_object_get(o, key);

	ck_assert_msg(json_is_integer(j), "no %s", key);
	return ((unsigned int)json_integer_value(j));
}

static unsigned int
hex32(const char *s)
{
	return ((unsigned int)strtoul(s, NULL, 16));
}

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_msg(ipaddr_parse(s, &a, NULL) == 0, "%s", s);
	return (a);
}

static unsigned int
fold(const struct ipaddr *src, const struct ipaddr *dst)
{
	unsigned int	 s[4], d[4];

	memcpy(s, src->bytes, sizeof(s));
	memcpy(d, dst->bytes, sizeof(d));
	return (balance_fold(s, d, src->af == AF_INET ? 1 : 4));
}

START_TEST(arp_vectors)
{
	struct balance_key	 k;
	json_t			*o = json_object_get(root, "arp_hash"), *c;
	const char		*pass = text(o, "password_ascii");
	uint8_t			 mac[6];
	size_t			 i, n = 0;

	balance_key(pass, strlen(pass), &k);
	ck_assert_uint_eq(k.k0, hex32(json_string_value(json_array_get(
	    json_object_get(o, "hashkey_le_hosts"), 0))));
	ck_assert_uint_eq(k.k1, hex32(json_string_value(json_array_get(
	    json_object_get(o, "hashkey_le_hosts"), 1))));
	json_array_foreach(json_object_get(o, "cases"), i, c) {
		ck_assert_int_eq(sscanf(text(c, "src_mac"),
		    "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
		    &mac[2], &mac[3], &mac[4], &mac[5]), 6);
		ck_assert_uint_eq(balance_hash(&k, mac),
		    hex32(text(c, "hash")));
		ck_assert_uint_eq(balance_arp_node(&k, mac, 2),
		    number(c, "mod2"));
		ck_assert_uint_eq(balance_arp_node(&k, mac, 3),
		    number(c, "mod3"));
		ck_assert_uint_eq(balance_arp_node(&k, mac, 1), 0);
		n++;
	}
	ck_assert_uint_eq(n, 3);
}
END_TEST

START_TEST(fold_vectors)
{
	struct ipaddr	 src, dst;
	json_t		*c;
	size_t		 i, n = 0;

	json_array_foreach(json_object_get(root, "ip_fold"), i, c) {
		src = addr(text(c, "src"));
		dst = addr(text(c, "dst"));
		ck_assert_uint_eq(fold(&src, &dst), hex32(text(c, "fold")));
		ck_assert_uint_eq(fold(&dst, &src), hex32(text(c, "fold")));
		ck_assert_uint_eq(balance_ip_node(&src, &dst, 2),
		    number(c, "mod2"));
		ck_assert_uint_eq(balance_ip_node(&src, &dst, 3),
		    number(c, "mod3"));
		n++;
	}
	ck_assert_uint_eq(n, 3);
}
END_TEST

/* The whole key counts, filled up with zeros; what is longer is not used. */
START_TEST(keys)
{
	static const char	 longest[] = "12345678901234567890x";
	struct balance_key	 a, b;

	balance_key("", 0, &a);
	balance_key("\0\0\0\0", 4, &b);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_uint_eq(a.first, 0);
	balance_key(longest, 20, &a);
	balance_key(longest, 21, &b);
	ck_assert_mem_eq(&a, &b, sizeof(a));
	ck_assert_uint_eq(a.first, 0x34333231);
	balance_key(longest, 19, &b);
	ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
}
END_TEST

static const struct {
	enum balance_mode	 mode;
	const char		*name;
	const char		*leader, *other;	/* vhids 3 and 7 */
	bool			 real;
} modes[] = {
	{ BALANCE_NONE, "none", "00005e000103", "00005e000107", false },
	{ BALANCE_ARP, "arp", "00005e000103", "00005e000107", false },
	{ BALANCE_IP, "ip", "01005e000103", "01005e000103", true },
	{ BALANCE_IP_STEALTH, "ip-stealth", "00005e000103", "00005e000103",
	    true },
	{ BALANCE_IP_UNICAST, "ip-unicast", "00005e000103", "00005e000103",
	    false },
};

START_TEST(macs)
{
	uint8_t	 mac[6], want[6];

	unhex(modes[_i].leader, want, sizeof(want));
	balance_mac(modes[_i].mode, 3, 3, mac);
	ck_assert_mem_eq(mac, want, 6);
	unhex(modes[_i].other, want, sizeof(want));
	balance_mac(modes[_i].mode, 3, 7, mac);
	ck_assert_mem_eq(mac, want, 6);
	ck_assert_int_eq(balance_real_source(modes[_i].mode), modes[_i].real);
	ck_assert_str_eq(balance_mode_names[modes[_i].mode], modes[_i].name);
	ck_assert_ptr_null(balance_mode_names[BALANCE_IP_UNICAST + 1]);
}
END_TEST

/* Packets. */

struct packet {
	uint8_t	 b[IP_MAX];
	size_t	 len;
};

/* Headers with the given addresses, hlen (IPv4) and len in all, zero else. */
static struct packet
packet(const char *src, const char *dst, uint8_t proto, size_t hlen,
    size_t len)
{
	struct packet	 p = { .len = len };
	struct ipaddr	 s = addr(src), d = addr(dst);

	if (s.af == AF_INET) {
		p.b[0] = (uint8_t)(0x40 | hlen / 4);
		p.b[9] = proto;
		memcpy(p.b + 12, s.bytes, 4);
		memcpy(p.b + 16, d.bytes, 4);
	} else {
		p.b[0] = 0x60;
		p.b[6] = proto;
		memcpy(p.b + 8, s.bytes, 16);
		memcpy(p.b + 24, d.bytes, 16);
	}
	return (p);
}

/*
 * From a router at R to H, about a packet of H's to S; hlen 0: IPv6.  By the
 * node: which address with H's decides.
 */
static const char	*R[] = { "203.0.113.1", "2001:db8:7::1" };
static const char	*H[] = { "192.0.2.10", "2001:db8::10" };
static const char	*S[] = { "198.51.100.24", "2001:db8:1::6" };

static struct packet
icmp(int v6, uint8_t type, size_t hlen)
{
	size_t		 at = v6 ? 40 : hlen, alen = v6 ? 16 : 4;
	struct packet	 p = packet(R[v6], H[v6], v6 ? 58 : 1, hlen,
			    at + 8 + (v6 ? 48 : 28));
	struct ipaddr	 s = addr(S[v6]), h = addr(H[v6]);
	uint8_t		*inner = p.b + at + 8;

	p.b[at] = type;
	memcpy(inner + (v6 ? 8 : 12), h.bytes, alen);
	memcpy(inner + (v6 ? 24 : 16), s.bytes, alen);
	return (p);
}

static unsigned int
node(const char *src, const char *dst, unsigned int n)
{
	struct ipaddr	 s = addr(src), d = addr(dst);

	return (balance_ip_node(&s, &d, n));
}

static int
by_type(int v6, int type)
{
	static const uint8_t	 errors[] = { 3, 4, 5, 11, 12 };
	static const uint8_t	 link[] = { 9, 10 };
	static const uint8_t	 link6[] = { 130, 131, 132, 133, 134, 135, 136,
				    137, 141, 142, 143, 148, 149, 150, 151,
				    152, 153 };

	if (v6 && type < 128)
		return (BALANCE_INNER);
	if (v6)
		return (memchr(link6, type, sizeof(link6)) != NULL ?
		    BALANCE_EVERY : BALANCE_OUTER);
	if (memchr(errors, type, sizeof(errors)) != NULL)
		return (BALANCE_INNER);
	return (memchr(link, type, sizeof(link)) != NULL ? BALANCE_EVERY :
	    BALANCE_OUTER);
}

/* _i: IPv6 */
START_TEST(icmp_types)
{
	/* a number of nodes at which it makes a difference */
	unsigned int	 n = 31, outer = node(R[_i], H[_i], n);
	unsigned int	 inner = node(S[_i], H[_i], n);
	struct packet	 p;
	int		 type, hlen, want = 0;

	ck_assert_uint_ne(outer, inner);
	for (type = 0; type < 256; type++)
		for (hlen = 20; hlen <= (_i ? 20 : 60); hlen += 4) {
			p = icmp(_i, (uint8_t)type, (size_t)hlen);
			switch (by_type(_i, type)) {
			case BALANCE_INNER:
				want = (int)inner;
				break;
			case BALANCE_OUTER:
				want = (int)outer;
				break;
			case BALANCE_EVERY:
				want = BALANCE_ALL;
				break;
			}
			ck_assert_msg(balance_owner(p.b, p.len, n) == want,
			    "type %d, header %d", type, hlen);
		}
}
END_TEST

/* An error goes where the answers to the packet in it go. */
START_TEST(icmp_owner)
{
	unsigned int	 n;

	for (n = 1; n <= BALANCE_NODES; n++) {
		struct packet	 e = icmp(_i, _i ? 1 : 3, 20);
		struct packet	 a = packet(S[_i], H[_i], 6, 20,
				    _i ? 60 : 40);
		struct packet	 q = packet(H[_i], S[_i], 6, 20,
				    _i ? 60 : 40);

		ck_assert_int_eq(balance_owner(e.b, e.len, n),
		    balance_owner(a.b, a.len, n));
		ck_assert_int_eq(balance_owner(e.b, e.len, n),
		    balance_owner(q.b, q.len, n));
	}
}
END_TEST

/* All fragments of a message have one owner; so has one that is cut short. */
START_TEST(icmp_parts)
{
	unsigned int	 n = 31, inner = node(S[0], H[0], n);
	unsigned int	 outer = node(R[0], H[0], n);
	struct packet	 p = icmp(0, 3, 20), q = icmp(1, 1, 20);
	size_t		 len;

	p.b[6] = 0x40;				/* do not fragment */
	ck_assert_int_eq(balance_owner(p.b, p.len, n), (int)inner);
	p.b[6] = 0x20;				/* more of them */
	ck_assert_int_eq(balance_owner(p.b, p.len, n), (int)outer);
	p.b[6] = 0;
	p.b[7] = 9;				/* a later one */
	ck_assert_int_eq(balance_owner(p.b, p.len, n), (int)outer);
	p.b[7] = 0;
	for (len = 0; len <= p.len; len++)
		ck_assert_int_eq(balance_owner(p.b, len, n), len < 20 ?
		    BALANCE_ALL : (int)(len < 48 ? outer : inner));
	inner = node(S[1], H[1], n);
	outer = node(R[1], H[1], n);
	for (len = 0; len <= q.len; len++)
		ck_assert_int_eq(balance_owner(q.b, len, n), len < 40 ?
		    BALANCE_ALL : (int)(len < 88 ? outer : inner));
	/* behind another header it is not looked for */
	q.b[6] = 44;
	ck_assert_int_eq(balance_owner(q.b, q.len, n), (int)outer);
}
END_TEST

START_TEST(everybodys)
{
	static const char *const to[] = { "224.0.0.18", "239.255.255.250",
	    "255.255.255.255", "ff02::1", "ff0e::9" };
	struct packet		 p;
	size_t			 i;

	for (i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		p = packet(strchr(to[i], ':') ? H[1] : H[0], to[i], 17, 20,
		    60);
		ck_assert_int_eq(balance_owner(p.b, p.len, 7), BALANCE_ALL);
	}
	p = packet(H[0], "223.255.255.255", 17, 20, 40);
	ck_assert_int_ge(balance_owner(p.b, p.len, 7), 0);
	p = packet(H[0], "240.0.0.1", 17, 20, 40);
	ck_assert_int_ge(balance_owner(p.b, p.len, 7), 0);
	p.b[0] = 0x55;				/* no such version */
	ck_assert_int_eq(balance_owner(p.b, p.len, 7), BALANCE_ALL);
}
END_TEST

/* Does the node keep it, as OpenBSD asks: by the mask of those it has. */
static bool
keeps(int owner, uint32_t mask)
{
	return (owner == BALANCE_ALL || (mask >> owner & 1));
}

/*
 * However the vhids are shared out among the machines, exactly one keeps each
 * packet; and none of them depends on what else is in it.
 */
START_TEST(exactly_one)
{
	uint8_t		 b[ANYPACKET_MAX];
	uint32_t	 mask[4];
	unsigned int	 i, n, m, kept, all = 0, hits[BALANCE_NODES] = { 0 };
	size_t		 len;
	int		 owner;

	printf("balance_test: seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < ROUNDS; i++) {
		len = any_packet(&seed, b);
		n = 1 + (unsigned int)(any_number(&seed) % BALANCE_NODES);
		memset(mask, 0, sizeof(mask));
		for (m = 0; m < n; m++)
			mask[any_number(&seed) % 4] |= 1U << m;
		owner = balance_owner(b, len, n);
		for (kept = m = 0; m < 4; m++)
			kept += keeps(owner, mask[m]);
		if (owner == BALANCE_ALL) {
			ck_assert_uint_eq(kept, 4);
			all++;
			continue;
		}
		ck_assert_msg(kept == 1, "round %u: %u keep it", i, kept);
		hits[balance_owner(b, len, BALANCE_NODES)]++;
	}
	/* multicast is few, and no node is without work */
	ck_assert_uint_lt(all, ROUNDS / 10);
	for (m = 0; m < BALANCE_NODES; m++)
		ck_assert_uint_gt(hits[m], ROUNDS / BALANCE_NODES / 2);
}
END_TEST

START_TEST(exactly_one_answers)
{
	struct balance_key	 k;
	unsigned int		 i, n, m, hits[BALANCE_NODES] = { 0 };
	uint8_t			 mac[6], pass[20];

	for (i = 0; i < ROUNDS; i++) {
		for (m = 0; m < 6; m++)
			mac[m] = (uint8_t)any_number(&seed);
		for (m = 0; m < 20; m++)
			pass[m] = (uint8_t)any_number(&seed);
		balance_key(pass, any_number(&seed) % 21, &k);
		n = 1 + (unsigned int)(any_number(&seed) % BALANCE_NODES);
		ck_assert_uint_lt(balance_arp_node(&k, mac, n), n);
		hits[balance_arp_node(&k, mac, BALANCE_NODES)]++;
	}
	for (m = 0; m < BALANCE_NODES; m++)
		ck_assert_uint_gt(hits[m], ROUNDS / BALANCE_NODES / 2);
}
END_TEST

static Suite *
suite(void)
{
	Suite	*s = suite_create("balance");
	TCase	*tc = tcase_create("balance");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, arp_vectors);
	tcase_add_test(tc, fold_vectors);
	tcase_add_test(tc, keys);
	tcase_add_loop_test(tc, macs, 0,
	    (int)(sizeof(modes) / sizeof(modes[0])));
	tcase_add_loop_test(tc, icmp_types, 0, 2);
	tcase_add_loop_test(tc, icmp_owner, 0, 2);
	tcase_add_test(tc, icmp_parts);
	tcase_add_test(tc, everybodys);
	tcase_add_test(tc, exactly_one);
	tcase_add_test(tc, exactly_one_answers);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(int argc, char *argv[])
{
	SRunner	*sr = srunner_create(suite());
	int	 failed;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
