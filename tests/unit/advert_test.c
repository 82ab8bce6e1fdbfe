/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/advert: the digests and headers of vectors/carp-hmac.json, every CARP
 * frame that real kernels and ucarp sent (vectors/ *.pcap), then our own
 * trailer: round trip, tampering, replay, notices, lists.  Runs from the root
 * of the tree.
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/cksum.h"
#include "../../carpd/advert.h"
#include "hex.h"

#define VECTORS		"tests/unit/vectors/"
#define NVECTORS	21	/* so that an emptied file is noticed */
#define DEAD		(3 * MONOTIME_SEC)
#define EPOCH		UINT64_C(1763620945920)
#define NODE		0x1a2b3c4d
#define PASS		"mekmitasdigoat"
#define VHID		7

enum { OFF_SKEW = 2, OFF_SUM = 6, OFF_COUNTER = 8, OFF_DIGEST = 16 };

static const uint8_t	 cookie_tx[CARP_COUNTER_LEN] = "cookieTX";
static const uint8_t	 cookie_rx[CARP_COUNTER_LEN] = "cookieRX";

static struct advert_vhost	 tx, rx;
static struct advert_out	 out;
static struct advert_in		 in;
static struct frame_ip		 f;
static uint8_t			 pkt[ADVERT_MAX + 1024];

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_msg(ipaddr_parse(s, &a, NULL) == 0, "%s", s);
	return (a);
}

static monotime_t
at(int64_t s)
{
	return ((monotime_t){ s * MONOTIME_SEC });
}

/* At most max addresses; a NULL ends the list early. */
static void
vhost(struct advert_vhost *v, uint8_t vhid, const char *pass,
    const char *const *text, size_t max, const uint8_t *cookie)
{
	struct ipaddr	 addrs[16];
	size_t		 n;

	for (n = 0; n < max && text[n] != NULL; n++)
		addrs[n] = addr(text[n]);
	ck_assert(advert_vhost_init(v, vhid, pass, strlen(pass), addrs, n,
	    cookie));
}

static void
set_ends(const char *src, const char *dst)
{
	out.src = f.src = addr(src);
	out.dst = f.dst = addr(dst);
}

static void
ip4(void)
{
	set_ends("192.0.2.2", "224.0.0.18");
}

static void
ip6(void)
{
	set_ends("fe80::2", "ff02::12");
}

/* Two nodes of one mixed vhost with a link-local address. */
static void
setup(void)
{
	static const char *const a[] = { "192.0.2.1", "2001:db8::1",
		"fe80::1" };
	static const char *const b[] = { "fe80::1", "192.0.2.1",
		"2001:db8::1", "192.0.2.1" };

	vhost(&tx, VHID, PASS, a, 3, cookie_tx);
	vhost(&rx, VHID, PASS, b, 4, cookie_rx);
	memset(&out, 0, sizeof(out));
	memset(&f, 0, sizeof(f));
	memset(&in, 0xff, sizeof(in));
	memset(pkt, 0xee, sizeof(pkt));
	out.advbase = 1;
	out.advskew = 100;
	out.demote = 3;
	out.node = NODE;
	out.epoch = EPOCH;
	out.seq = 1;
	f.ttl = CARP_TTL;
	f.proto = CARP_PROTO;
	f.multicast = true;
	f.payload = pkt;
	ip4();
}

static void
teardown(void)
{
	advert_vhost_clear(&tx);
	advert_vhost_clear(&rx);
}

static void
build(void)
{
	f.len = advert_build(&tx, &out, pkt, ADVERT_MAX);
	ck_assert_uint_ge(f.len, CARP_LEN + TRAILER_FIXED);
}

/* What the engine does with a packet, from the check on. */
static enum advert_drop
judge(struct advert_vhost *v, monotime_t now)
{
	struct carp_header	 h;
	enum advert_drop	 drop;

	if ((drop = advert_check(&f, &h)) != ADVERT_ACCEPT)
		return (drop);
	return (advert_verify(v, &f, &h, now, DEAD, &in));
}

/* Build and judge one with this epoch and sequence. */
static enum advert_drop
say(uint64_t epoch, uint64_t seq, monotime_t now)
{
	out.epoch = epoch;
	out.seq = seq;
	build();
	return (judge(&rx, now));
}

/* Make the checksum right again: an attacker would. */
static void
fix_sum(void)
{
	struct carp_header	 h;

	ck_assert(carp_decode(pkt, CARP_LEN, &h));
	carp_encode(&h, pkt);
}

/* Right for what stands before it now. */
static void
balance(void)
{
	uint16_t	 sum;

	sum = cksum(pkt + CARP_LEN, f.len - CARP_LEN - ADVERT_BALANCE);
	pkt[f.len - 2] = (uint8_t)(sum >> 8);
	pkt[f.len - 1] = (uint8_t)sum;
}

/* A right trailer with any TLVs behind the header that is in pkt. */
static void
set_trailer(uint32_t node, uint16_t keyid, const char *tlv_hex)
{
	struct trailer	 t;
	uint8_t		 tlv[TRAILER_TLV_MAX];

	memset(&t, 0, sizeof(t));
	t.keyid = keyid;
	t.node = node;
	t.epoch = out.epoch;
	t.seq = out.seq;
	t.tlv = tlv;
	t.tlvlen = unhex(tlv_hex, tlv, sizeof(tlv));
	f.len = CARP_LEN + trailer_write(TRAILER_CARP, tx.sha256, &out.src,
	    &out.dst, pkt, CARP_LEN, ADVERT_MAX, &t);
	pkt[f.len] = pkt[f.len + 1] = 0;
	f.len += ADVERT_BALANCE;
	balance();
	ck_assert_uint_gt(f.len, CARP_LEN);
}

/* --- vectors ------------------------------------------------------------ */

static json_t *
get(json_t *o, const char *key)
{
	json_t	*j = json_object_get(o, key);

	ck_assert_msg(j != NULL, "no %s", key);
	return (j);
}

static void
assert_hex(json_t *o, const char *key, const uint8_t *got, size_t len,
    const char *name)
{
	uint8_t	 want[1024];
	size_t	 n;

	n = unhex(json_string_value(get(o, key)), want, sizeof(want));
	ck_assert_msg(n == len && memcmp(want, got, n) == 0, "%s: %s", name,
	    key);
}

/* The pass as it reaches the kernel: ifconfig(8) cuts it, an ioctl does not */
static size_t
vector_pass(json_t *vin, uint8_t *pass, size_t size)
{
	size_t	 n;

	n = unhex(json_string_value(get(vin, "password_hex")), pass, size);
	if (strcmp(json_string_value(get(vin, "password_rule")), "bsd") == 0)
		return (n < CONFIG_PASS_MAX ? n : CONFIG_PASS_MAX);
	return (n);
}

static void
vector_vhost(json_t *vec, struct advert_vhost *v, const uint8_t *cookie)
{
	json_t		*vin = get(vec, "inputs"), *list;
	uint8_t		 pass[64], key[CARP_KEY_LEN] = { 0 };
	struct ipaddr	 addrs[16];
	size_t		 i, n, len;

	list = get(vin, "addresses_in_config_order");
	n = json_array_size(list);
	ck_assert_uint_le(n, 16);
	for (i = 0; i < n; i++)
		addrs[i] = addr(json_string_value(json_array_get(list, i)));
	len = vector_pass(vin, pass, sizeof(pass));
	ck_assert_uint_le(len, sizeof(key));
	memcpy(key, pass, len);
	assert_hex(get(vec, "expected"), "key_hex", key, sizeof(key), "key");
	ck_assert(advert_vhost_init(v,
	    (uint8_t)json_integer_value(get(vin, "vhid")), pass, len, addrs, n,
	    cookie));
}

static enum advert_variant
vector_variant(json_t *vin)
{
	return (strcmp(json_string_value(get(vin, "hmac_variant")), "orig") ==
	    0 ? ADVERT_ORIG : ADVERT_NOV6LL);
}

/* Our side of a vector: what is hashed, both digests, the whole header. */
static void
vector_build(json_t *vec, const char *name)
{
	json_t			*vin = get(vec, "inputs");
	json_t			*want = get(vec, "expected");
	json_t			*by = get(want, "hmac_by_variant");
	struct advert_vhost	 v;
	struct advert_out	 o;
	uint8_t			 counter[CARP_COUNTER_LEN], msg[1024];
	enum advert_variant	 var = vector_variant(vin);

	unhex(json_string_value(get(vin, "counter_hex")), counter,
	    sizeof(counter));
	vector_vhost(vec, &v, counter);
	memcpy(msg, v.msg[var], v.msglen[var]);
	memcpy(msg + v.msglen[var], counter, sizeof(counter));
	assert_hex(want, "hashed_message_hex", msg, v.msglen[var] +
	    sizeof(counter), name);
	assert_hex(by, "orig", v.digest[ADVERT_ORIG], CARP_DIGEST_LEN, name);
	assert_hex(by, "nov6ll", v.digest[ADVERT_NOV6LL], CARP_DIGEST_LEN,
	    name);

	memset(&o, 0, sizeof(o));
	o.variant = var;
	o.advbase = (uint8_t)json_integer_value(get(vin, "advbase"));
	o.advskew = (uint8_t)json_integer_value(get(vin, "advskew"));
	o.demote = (uint8_t)json_integer_value(get(vin, "demote"));
	o.src = addr(json_string_value(get(vin, "ip_src")));
	o.dst = addr(json_string_value(get(vin, "ip_dst")));
	o.node = NODE;
	o.seq = 1;
	ck_assert_uint_eq(advert_build(&v, &o, pkt, sizeof(pkt)),
	    CARP_LEN + TRAILER_FIXED + ADVERT_BALANCE);
	/* tcpdump(8) sums over all that is there */
	ck_assert_uint_eq(cksum(pkt, CARP_LEN + TRAILER_FIXED +
	    ADVERT_BALANCE), 0);
	assert_hex(want, "carp_header_hex", pkt, CARP_LEN, name);
	advert_vhost_clear(&v);
}

/* And the receiver's: the whole frame, from the wire to the verdict. */
static void
vector_judge(json_t *vec, const char *name)
{
	json_t			*vin = get(vec, "inputs");
	json_t			*want = get(vec, "expected");
	struct advert_vhost	 v;
	uint8_t			 frame[256];
	size_t			 len;
	enum advert_drop	 drop;

	len = unhex(json_string_value(get(want, "ethernet_frame_hex")), frame,
	    sizeof(frame));
	ck_assert_int_eq(frame_peel(frame, len, &f), FRAME_OK);
	vector_vhost(vec, &v, cookie_rx);
	drop = judge(&v, at(1));
	ck_assert_msg(drop == ADVERT_ACCEPT, "%s: %s", name,
	    advert_drop_names[drop]);
	ck_assert_uint_eq(in.vhid, v.vhid);
	ck_assert_int_eq(in.advbase, json_integer_value(get(vin, "advbase")));
	ck_assert_int_eq(in.advskew, json_integer_value(get(vin, "advskew")));
	ck_assert_int_eq(in.demote, json_integer_value(get(vin, "demote")));
	ck_assert_int_eq(in.af, json_integer_value(get(vin, "family")) == 6 ?
	    AF_INET6 : AF_INET);
	ck_assert(!in.ours && !in.notice && in.node == 0 && in.ngone == 0);
	ck_assert(in.both == (strncmp(name, "v6-ll", 5) != 0));
	ck_assert(in.both || in.variant == vector_variant(vin));
	advert_vhost_clear(&v);
}

/*
 * OpenBSD mixes a MAC set by hand with `ifconfig carp0 lladdr` into the
 * digest.  carpd has no such option and sends none: that vector, and only
 * that, is left out, and must not verify.
 */
START_TEST(all_vectors)
{
	json_error_t	 err;
	json_t		*root, *list, *vec;
	const char	*name;
	size_t		 i, done = 0, left_out = 0;

	root = json_load_file(VECTORS "carp-hmac.json", 0, &err);
	ck_assert_msg(root != NULL, "%s", err.text);
	list = get(root, "vectors");
	json_array_foreach(list, i, vec) {
		name = json_string_value(get(vec, "name"));
		if (json_is_string(get(get(vec, "inputs"),
		    "hand_set_lladdr"))) {
			ck_assert_str_eq(name, "hand-set-lladdr");
			left_out++;
			continue;
		}
		vector_build(vec, name);
		vector_judge(vec, name);
		done++;
	}
	ck_assert_uint_eq(left_out, 1);
	ck_assert_uint_eq(done, NVECTORS - 1);
	json_decref(root);
}
END_TEST

/* --- captures ----------------------------------------------------------- */

/* What vectors/README.md says about them; frames: so many CARP ones. */
static const struct capture {
	const char		*file;
	uint8_t			 vhid;
	const char		*pass;	/* NULL: of somebody else, unknown */
	const char		*addrs[3];
	size_t			 frames;
} captures[] = {
	{ "obsd-carp-v4-one-addr.pcap", 1, "carptest", { "10.66.0.10" }, 5 },
	{ "obsd-carp-v4-three-addrs.pcap", 2, "carptest", { "10.66.0.23/24",
	    "10.66.0.21/32", "10.66.0.122/32" }, 6 },
	{ "obsd-carp-v4v6-mixed.pcap", 5, "carptest", { "10.66.0.50",
	    "fd66::50" }, 14 },
	{ "obsd-carp-pair-failover.pcap", 20, "pairpass", { "10.66.0.200" },
	    29 },
	{ "obsd-carp-carpnodes-ip.pcap", 30, "nodepass", { "10.66.0.210" },
	    7 },
	{ "obsd-carp-carpnodes-ip.pcap", 31, "nodepass", { "10.66.0.210" },
	    5 },
	{ "ucarp-vs-obsd-backup.pcap", 51, "mixpass", { "10.66.0.231" }, 20 },
	{ "ucarp-vs-obsd-backup.pcap", 50, NULL, { NULL }, 6 },
	{ "fbsd12-carp-v4-one-addr.pcap", 1, "carptest", { "10.68.0.10/32" },
	    9 },
	{ "fbsd12-carp-v4v6-mixed.pcap", 5, "carptest", { "10.68.0.50",
	    "fd68::50" }, 12 },
};
#define NCAPTURES	(sizeof(captures) / sizeof(captures[0]))

/* Each lives through its whole file. */
static struct advert_vhost	 captured[NCAPTURES];
static size_t			 found[NCAPTURES];

static size_t
find_capture(const char *path, uint8_t vhid)
{
	const char	*file = strrchr(path, '/') + 1;
	size_t		 i;

	for (i = 0; i < NCAPTURES; i++)
		if (strcmp(captures[i].file, file) == 0 &&
		    captures[i].vhid == vhid)
			return (i);
	ck_abort_msg("%s: vhid %u is not in the table", file, vhid);
	return (0);
}

/* The frame in f against a vhost made for it alone. */
static enum advert_drop
judge_as(const struct capture *c, const char *pass, size_t naddrs,
    const uint8_t *cookie)
{
	struct advert_vhost	 v;
	enum advert_drop	 drop;

	vhost(&v, c->vhid, pass, c->addrs, naddrs, cookie);
	drop = judge(&v, at(1));
	advert_vhost_clear(&v);
	return (drop);
}

/* Our encoder, given its counter and timers, makes the same 36 bytes. */
static void
rebuild(const struct capture *c, const struct carp_header *h)
{
	struct advert_vhost	 v;
	struct advert_out	 o = out;

	vhost(&v, c->vhid, c->pass, c->addrs, 3, h->counter);
	o.advbase = h->advbase;
	o.advskew = h->advskew;
	o.demote = h->demote;
	ck_assert_uint_gt(advert_build(&v, &o, pkt, sizeof(pkt)), CARP_LEN);
	ck_assert_mem_eq(pkt, f.payload, CARP_LEN);
	advert_vhost_clear(&v);
}

static void
captured_advert(size_t n)
{
	const struct capture	*c = &captures[n];
	struct carp_header	 h;

	ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
	if (c->pass == NULL)
		return;
	ck_assert_int_eq(judge(&captured[n], at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.vhid, c->vhid);
	ck_assert_int_eq(in.advskew, h.advskew);
	ck_assert(in.both && !in.ours && !in.notice);

	ck_assert_int_eq(judge_as(c, c->pass, 3, cookie_rx), ADVERT_ACCEPT);
	ck_assert_int_eq(judge_as(c, "wrong", 3, cookie_rx),
	    ADVERT_DROP_BADAUTH);
	ck_assert_int_eq(judge_as(c, "", 3, cookie_rx), ADVERT_DROP_BADAUTH);
	ck_assert_int_eq(judge_as(c, c->pass, 0, cookie_rx),
	    ADVERT_DROP_BADAUTH);
	ck_assert_int_eq(judge_as(c, c->pass, 3, h.counter),
	    ADVERT_DROP_LOOP);
	rebuild(c, &h);
}

static void
read_capture(const char *path)
{
	char			 err[PCAP_ERRBUF_SIZE];
	pcap_t			*p;
	struct pcap_pkthdr	*head;
	const u_char		*data;
	size_t			 n;

	p = pcap_open_offline(path, err);
	ck_assert_msg(p != NULL, "%s", err);
	while (pcap_next_ex(p, &head, &data) == 1) {
		if (frame_peel(data, head->caplen, &f) != FRAME_OK ||
		    f.proto != CARP_PROTO)
			continue;
		ck_assert_uint_ge(f.len, CARP_LEN);
		n = find_capture(path, f.payload[1]);
		found[n]++;
		captured_advert(n);
	}
	pcap_close(p);
}

START_TEST(all_captures)
{
	const struct capture	*c;
	glob_t			 g;
	size_t			 i;

	for (i = 0; i < NCAPTURES; i++) {
		c = &captures[i];
		if (c->pass != NULL)
			vhost(&captured[i], c->vhid, c->pass, c->addrs, 3,
			    cookie_rx);
	}
	ck_assert_int_eq(glob(VECTORS "*.pcap", 0, NULL, &g), 0);
	for (i = 0; i < g.gl_pathc; i++)
		read_capture(g.gl_pathv[i]);
	globfree(&g);
	for (i = 0; i < NCAPTURES; i++) {
		ck_assert_msg(found[i] == captures[i].frames,
		    "%s vhid %u: %zu", captures[i].file, captures[i].vhid,
		    found[i]);
		advert_vhost_clear(&captured[i]);
	}
}
END_TEST

/* --- what is hashed ----------------------------------------------------- */

static void
assert_msg_is(const struct advert_vhost *v, enum advert_variant var,
    const char *hex)
{
	uint8_t	 want[512];
	size_t	 n = unhex(hex, want, sizeof(want));

	ck_assert_uint_eq(v->msglen[var], n);
	ck_assert_mem_eq(v->msg[var], want, n);
}

/*
 * Scope ids are zeroed before sorting and before duplicates go; site-local
 * multicast (scope 5) embeds none.
 */
START_TEST(scope_and_order)
{
	static const char *const a[] = { "ff02:9::1", "fe80:ffff::1",
		"10.0.0.2", "fe80::2", "ff05:1::1", "2001:db8::1", "10.0.0.1",
		"fe80:7::2", "ff01:3::1", "10.0.0.1/24", "febf::1" };
	struct advert_vhost	 v;

	vhost(&v, VHID, PASS, a, 11, cookie_rx);
	assert_msg_is(&v, ADVERT_NOV6LL, "020107" "0a000001" "0a000002"
	    "20010db8000000000000000000000001"
	    "ff050001000000000000000000000001");
	assert_msg_is(&v, ADVERT_ORIG, "020107" "0a000001" "0a000002"
	    "20010db8000000000000000000000001"
	    "fe800000000000000000000000000001"
	    "fe800000000000000000000000000002"
	    "febf0000000000000000000000000001"
	    "ff010000000000000000000000000001"
	    "ff020000000000000000000000000001"
	    "ff050001000000000000000000000001");
	advert_vhost_clear(&v);
}
END_TEST

START_TEST(no_addresses)
{
	struct advert_vhost	 v;

	ck_assert(advert_vhost_init(&v, VHID, NULL, 0, NULL, 0, cookie_rx));
	assert_msg_is(&v, ADVERT_NOV6LL, "020107");
	assert_msg_is(&v, ADVERT_ORIG, "020107");
	advert_vhost_clear(&v);
}
END_TEST

START_TEST(init_refuses)
{
	struct advert_vhost	 v;
	struct ipaddr		 a = addr("192.0.2.1");

	ck_assert(!advert_vhost_init(&v, 0, PASS, 4, &a, 1, cookie_rx));
	ck_assert(!advert_vhost_init(&v, 1, "123456789012345678901", 21, &a,
	    1, cookie_rx));
	/* what was refused holds nothing, and clearing twice is harmless */
	advert_vhost_clear(&v);
	advert_vhost_clear(&v);
}
END_TEST

/* SHA-256 of 07 c0000201 20010db8...01 fe80...01, by Python's hashlib. */
START_TEST(identity)
{
	static const char *const other[] = { "192.0.2.1", "2001:db8::1" };
	struct advert_vhost	 v;
	uint8_t			 want[ADVERT_ID_LEN];

	unhex("0a322cd455f20da7", want, sizeof(want));
	ck_assert_mem_eq(tx.id, want, ADVERT_ID_LEN);
	ck_assert_mem_eq(rx.id, want, ADVERT_ID_LEN);

	vhost(&v, VHID, PASS, other, 2, cookie_rx);
	ck_assert_mem_ne(v.id, tx.id, ADVERT_ID_LEN);
	advert_vhost_clear(&v);
	vhost(&v, VHID + 1, PASS, other, 2, cookie_rx);
	ck_assert_mem_ne(v.id, tx.id, ADVERT_ID_LEN);
	advert_vhost_clear(&v);
}
END_TEST

START_TEST(digest_of_any_counter)
{
	uint8_t	 digest[CARP_DIGEST_LEN];
	int	 var;

	for (var = 0; var < ADVERT_VARIANTS; var++) {
		advert_digest(&tx, var, cookie_tx, digest);
		ck_assert_mem_eq(digest, tx.digest[var], sizeof(digest));
		advert_digest(&rx, var, cookie_tx, digest);
		ck_assert_mem_eq(digest, tx.digest[var], sizeof(digest));
		advert_digest(&tx, var, cookie_rx, digest);
		ck_assert_mem_eq(digest, rx.digest[var], sizeof(digest));
	}
	ck_assert_mem_ne(tx.digest[0], tx.digest[1], CARP_DIGEST_LEN);
}
END_TEST

/* --- step by step ------------------------------------------------------- */

START_TEST(before_the_digest)
{
	struct carp_header	 h;
	size_t			 len;

	build();
	len = f.len;
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
	for (f.ttl = 0; f.ttl < CARP_TTL; f.ttl++)
		ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_BADTTL);
	for (f.len = 0; f.len < CARP_LEN; f.len++)
		ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_BADLEN);
	f.len = len;
	f.fragment = true;
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_HDROPS);
	f.fragment = false;
	for (len = 0; len < CARP_LEN; len++) {
		pkt[len] ^= 0x10;
		ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_BADSUM);
		pkt[len] ^= 0x10;
	}
	/* TTL is looked at first, the length before the checksum */
	pkt[0] ^= 1;
	f.len = CARP_LEN - 1;
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_BADLEN);
	f.ttl = 64;
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_DROP_BADTTL);
}
END_TEST

START_TEST(version_before_digest)
{
	uint8_t	 version;

	build();
	pkt[OFF_DIGEST] ^= 1;
	for (version = 0; version < 16; version++) {
		pkt[0] = (uint8_t)(version << 4 | CARP_TYPE_ADVERT);
		fix_sum();
		ck_assert_int_eq(judge(&rx, at(1)), version == CARP_VERSION ?
		    ADVERT_DROP_PASS : ADVERT_DROP_BADVER);
	}
}
END_TEST

/* No implementation looks at them. */
START_TEST(type_and_authlen)
{
	int	 i;

	build();
	f.len = CARP_LEN;
	for (i = 0; i < 256; i++) {
		pkt[0] = (uint8_t)(CARP_VERSION << 4 | (i & 0x0f));
		pkt[3] = (uint8_t)i;
		fix_sum();
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	}
}
END_TEST

START_TEST(variants)
{
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.variant, ADVERT_NOV6LL);
	ck_assert(!in.both);
	out.variant = ADVERT_ORIG;
	out.seq++;
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.variant, ADVERT_ORIG);
	ck_assert(!in.both);
	/* the remembered digest says its variant too */
	out.seq++;
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.variant, ADVERT_ORIG);
}
END_TEST

START_TEST(own_cookie)
{
	build();
	ck_assert_int_eq(judge(&tx, at(1)), ADVERT_DROP_LOOP);
	ck_assert(!tx.seen_set);
	ck_assert_uint_eq(tx.peers[0].node, 0);
	/* only a right digest makes it a loop */
	pkt[OFF_DIGEST + 5] ^= 0x80;
	fix_sum();
	ck_assert_int_eq(judge(&tx, at(1)), ADVERT_DROP_PASS);
}
END_TEST

START_TEST(wrong_vhid)
{
	build();
	pkt[1] = VHID + 1;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADVHID);
}
END_TEST

/*
 * Exactly the last accepted counter and digest are known without HMAC: with
 * another key in place nothing but those verifies any more.
 */
START_TEST(seen_digest)
{
	struct hmac	*right = rx.sha1;
	size_t		 i;

	build();
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert(rx.seen_set);

	rx.sha1 = hmac_new(HMAC_ALG_SHA1, "another", 7);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	for (i = OFF_COUNTER; i < CARP_LEN; i++) {
		pkt[i] ^= 0x01;
		fix_sum();
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADAUTH);
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADAUTH);
		pkt[i] ^= 0x01;
		fix_sum();
	}
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	hmac_free(rx.sha1);
	rx.sha1 = right;
}
END_TEST

START_TEST(failures_are_not_remembered)
{
	build();
	pkt[f.len - 1] ^= 1;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	pkt[OFF_DIGEST] ^= 1;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADAUTH);
	ck_assert(!rx.seen_set);
	ck_assert_uint_eq(rx.peers[0].node, 0);
}
END_TEST

/* All zeros are what an empty memory of the last digest holds. */
START_TEST(zeros_do_not_match_an_empty_memory)
{
	build();
	memset(pkt + OFF_COUNTER, 0, CARP_LEN - OFF_COUNTER);
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_PASS);
}
END_TEST

/* --- the trailer -------------------------------------------------------- */

START_TEST(round_trip)
{
	if (_i == 1)
		ip6();
	build();
	ck_assert_uint_eq(f.len, CARP_LEN + TRAILER_FIXED + ADVERT_BALANCE);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.vhid, VHID);
	ck_assert_int_eq(in.advbase, 1);
	ck_assert_int_eq(in.advskew, 100);
	ck_assert_int_eq(in.demote, 3);
	ck_assert_int_eq(in.af, _i == 1 ? AF_INET6 : AF_INET);
	ck_assert(in.ours && !in.notice);
	ck_assert_uint_eq(in.node, NODE);
	ck_assert_int_eq(in.reason, ADVERT_REASON_NONE);
	ck_assert_uint_eq(in.ngone, 0);
}
END_TEST

START_TEST(does_not_fit)
{
	size_t	 need, size;

	build();
	need = f.len;
	for (size = 0; size < need; size++)
		ck_assert_uint_eq(advert_build(&tx, &out, pkt, size), 0);
	ck_assert_uint_eq(advert_build(&tx, &out, pkt, need), need);
}
END_TEST

START_TEST(reasons)
{
	out.advbase = out.advskew = CARP_BOWOUT;
	out.reason = _i;
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.reason, _i);
	ck_assert_int_eq(in.advbase, CARP_BOWOUT);
	ck_assert_int_eq(in.advskew, CARP_BOWOUT);
}
END_TEST

/* Lists of every length; too long ones are cut. */
START_TEST(gone)
{
	uint8_t	 ids[ADVERT_GONE_MAX + 2][ADVERT_ID_LEN];
	size_t	 i, n;

	for (i = 0; i < sizeof(ids); i++)
		ids[i / ADVERT_ID_LEN][i % ADVERT_ID_LEN] = (uint8_t)(i * 7);
	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])ids;
	out.reason = ADVERT_REASON_PARENT_DIED;
	for (n = 0; n <= ADVERT_GONE_MAX + 2; n++) {
		out.ngone = n;
		out.notice = n % 2 != 0;
		out.seq++;
		build();
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
		i = n < ADVERT_GONE_MAX ? n : ADVERT_GONE_MAX;
		ck_assert_uint_eq(in.ngone, i);
		if (i > 0)
			ck_assert_mem_eq(in.gone, ids, i * ADVERT_ID_LEN);
		ck_assert_int_eq(in.reason, ADVERT_REASON_PARENT_DIED);
		ck_assert(in.notice == out.notice);
	}
}
END_TEST

/* Whom the sender has heard of late: nobody, us, somebody else. */
START_TEST(heard)
{
	ck_assert_int_eq(say(EPOCH, 1, at(1)), ADVERT_ACCEPT);
	ck_assert(!in.tells && !advert_heard(&in, NODE));
	out.tell = true;
	ck_assert_int_eq(say(EPOCH, 2, at(1)), ADVERT_ACCEPT);
	ck_assert(in.tells && !advert_heard(&in, NODE));
	tx.peers[3].node = NODE + 1;
	tx.peers[3].heard = at(5);
	tx.peers[ADVERT_PEERS_MAX - 1].node = NODE + 2;
	tx.peers[ADVERT_PEERS_MAX - 1].heard = at(4);
	out.heard_since = at(5);
	ck_assert_int_eq(say(EPOCH, 3, at(1)), ADVERT_ACCEPT);
	ck_assert(advert_heard(&in, NODE + 1));
	ck_assert(!advert_heard(&in, NODE + 2) && !advert_heard(&in, 0));
}
END_TEST

/* Instead of what v was, one of n addresses. */
static void
many_addrs(struct advert_vhost *v, size_t n, const uint8_t *cookie)
{
	struct ipaddr	 a[ADVERT_LISTS_MAX / 4 + 1];
	size_t		 i;

	for (i = 0; i < n; i++) {
		a[i] = addr("10.0.0.1");
		a[i].bytes[2] = (uint8_t)i;
	}
	advert_vhost_clear(v);
	ck_assert(advert_vhost_init(v, VHID, PASS, strlen(PASS), a, n,
	    cookie));
}

/* All that an advertisement can hold, and lists that it cannot. */
START_TEST(lists_that_fit)
{
	static const char *const none[] = { NULL };
	const struct advert_group g = { .n = BALANCE_NODES };
	uint8_t		 ids[ADVERT_GONE_MAX][ADVERT_ID_LEN] = { { 0 } };
	size_t		 i, n;

	many_addrs(&tx, ADVERT_LISTS_MAX / 4 + (size_t)_i, cookie_tx);
	for (i = 0; i < ADVERT_PEERS_MAX; i++)
		tx.peers[i].node = NODE;
	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])ids;
	out.ngone = ADVERT_GONE_MAX;
	out.group = &g;
	out.reason = ADVERT_REASON_SHUTDOWN;
	out.notice = true;
	build();
	n = f.len;
	out.tell = true;
	build();
	ck_assert_uint_ge(f.len, n + ADVERT_HEARD_MAX * 4 +
	    (_i == 0 ? ADVERT_LISTS_MAX : 0));
	ck_assert_uint_le(f.len, n + 8 + ADVERT_HEARD_MAX * 4 +
	    (_i == 0 ? ADVERT_LISTS_MAX : 0));
	advert_vhost_clear(&tx);
	vhost(&tx, VHID, PASS, none, 1, cookie_tx);
}
END_TEST

/*
 * What one changed byte must lead to.  A trailer whose magic, version or
 * algorithm is not ours is none of ours: the packet counts as a foreign one.
 */
static enum advert_drop
tampered_verdict(size_t off, uint8_t was, bool *foreign)
{
	*foreign = off >= CARP_LEN && off < CARP_LEN + 6;
	if (off == 0 && pkt[0] >> 4 != was >> 4)
		return (ADVERT_DROP_BADVER);
	if (off == 1)
		return (ADVERT_DROP_BADVHID);
	if (off == OFF_SUM || off == OFF_SUM + 1)
		return (ADVERT_DROP_BADSUM);
	if (off >= OFF_COUNTER && off < CARP_LEN)
		return (ADVERT_DROP_PASS);
	return (*foreign ? ADVERT_ACCEPT : ADVERT_DROP_TRAILER);
}

/* Every value of every byte, with the checksum made right again. */
START_TEST(tamper)
{
	uint8_t			 ids[2][ADVERT_ID_LEN] = { "gone id", "other" };
	uint8_t			 genuine[ADVERT_MAX];
	enum advert_drop	 want, got;
	bool			 foreign;
	size_t			 off;
	int			 x;

	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])ids;
	out.ngone = 2;
	out.reason = ADVERT_REASON_SHUTDOWN;
	build();
	memcpy(genuine, pkt, f.len);
	for (off = 0; off < f.len; off++) {
		for (x = 1; x < 256; x++) {
			pkt[off] = (uint8_t)(genuine[off] ^ x);
			want = tampered_verdict(off, genuine[off], &foreign);
			if (want != ADVERT_DROP_BADSUM)
				fix_sum();
			got = judge(&rx, at(1));
			ck_assert_msg(got == want, "byte %zu ^ %d: %s, not %s",
			    off, x, advert_drop_names[got],
			    advert_drop_names[want]);
			if (foreign)
				ck_assert(!in.ours && in.node == 0 &&
				    in.ngone == 0 &&
				    in.reason == ADVERT_REASON_NONE);
			memcpy(pkt, genuine, f.len);
		}
	}
	/* none of it was taken for its sequence */
	ck_assert_uint_eq(rx.peers[0].node, 0);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert(in.ours);
}
END_TEST

START_TEST(bound_to_addresses)
{
	size_t	 i;

	if (_i == 1)
		ip6();
	build();
	for (i = 0; i < ipaddr_len(f.src.af); i++) {
		f.src.bytes[i] ^= 1;
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
		f.src.bytes[i] ^= 1;
		f.dst.bytes[i] ^= 1;
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
		f.dst.bytes[i] ^= 1;
	}
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
}
END_TEST

START_TEST(cut_or_prolonged)
{
	size_t	 whole, len;

	out.reason = ADVERT_REASON_SHUTDOWN;
	build();
	whole = f.len;
	for (len = CARP_LEN; len < whole + 64; len++) {
		if (len == whole)
			continue;
		f.len = len;
		/* up to the magic nothing tells that it was ours */
		ck_assert_int_eq(judge(&rx, at(1)), len <
		    CARP_LEN + 4 + ADVERT_BALANCE ? ADVERT_ACCEPT : ADVERT_DROP_TRAILER);
		ck_assert(!in.ours);
	}
	f.len = whole;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
}
END_TEST

START_TEST(foreign_bytes_behind)
{
	static const size_t	 n[] = { 1, 4, 27, 64, 96, 128, 1000 };
	size_t			 i;

	build();
	memset(pkt + CARP_LEN, 0xaa, sizeof(pkt) - CARP_LEN);
	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		f.len = CARP_LEN + n[i];
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
		ck_assert(!in.ours && in.node == 0);
	}
}
END_TEST

/* The same addresses and digest, but a trailer made with another pass. */
START_TEST(trailer_of_another_pass)
{
	struct hmac	*right = tx.sha256;

	tx.sha256 = hmac_new(HMAC_ALG_SHA256, "another", 7);
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	hmac_free(tx.sha256);
	tx.sha256 = right;
}
END_TEST

static const struct tlvs {
	bool			 notice;
	const char		*tlv;
	enum advert_drop	 want;
	enum advert_reason	 reason;
	size_t			 ngone;
} tlvs[] = {
	{ false, "", ADVERT_ACCEPT, 0, 0 },
	{ false, "000000", ADVERT_ACCEPT, 0, 0 },
	{ false, "020101", ADVERT_ACCEPT, ADVERT_REASON_SHUTDOWN, 0 },
	{ false, "0201c8", ADVERT_ACCEPT, ADVERT_REASON_NONE, 0 },
	{ false, "0200", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "02020101", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "0100", ADVERT_ACCEPT, 0, 0 },
	{ false, "01080001020304050607", ADVERT_ACCEPT, 0, 1 },
	{ false, "010700010203040506", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "0109000102030405060708", ADVERT_DROP_TRAILER, 0, 0 },
	/* of a later version: skipped, what stands around it is read */
	{ false, "4d03ffffff0201034d00", ADVERT_ACCEPT,
	    ADVERT_REASON_PARENT_DIED, 0 },
	/* a group: mode, probes, vhids in ascending order */
	{ false, "04030107" "03", ADVERT_ACCEPT, 0, 0 },
	{ false, "0404ff000304", ADVERT_ACCEPT, 0, 0 },
	{ false, "04020107", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "0400", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "040401070403", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "040401070303", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "0500", ADVERT_ACCEPT, 0, 0 },
	{ false, "05081a2b3c4d00000001", ADVERT_ACCEPT, 0, 0 },
	{ false, "05031a2b3c", ADVERT_DROP_TRAILER, 0, 0 },
	{ false, "0601ff0700", ADVERT_ACCEPT, 0, 0 },
	{ false, "030107", ADVERT_DROP_TRAILER, 0, 0 },
	{ true, "030107", ADVERT_ACCEPT, 0, 0 },
	{ true, "020102030107", ADVERT_ACCEPT, ADVERT_REASON_ENGINE_DIED, 0 },
	{ true, "030107030107", ADVERT_ACCEPT, 0, 0 },
	{ true, "030107030108", ADVERT_DROP_TRAILER, 0, 0 },
	{ true, "03010703020707", ADVERT_DROP_TRAILER, 0, 0 },
	{ true, "", ADVERT_DROP_BADVHID, 0, 0 },
	{ true, "020101", ADVERT_DROP_BADVHID, 0, 0 },
	{ true, "0300", ADVERT_DROP_BADVHID, 0, 0 },
	{ true, "03020707", ADVERT_DROP_BADVHID, 0, 0 },
	{ true, "030100", ADVERT_DROP_BADVHID, 0, 0 },
	{ true, "030108", ADVERT_DROP_BADVHID, 0, 0 },
};

/* Right MAC, odd content: a drop must not move the sequence either. */
START_TEST(tlv)
{
	const struct tlvs	*t = &tlvs[_i];

	out.notice = t->notice;
	out.seq = 1000;
	build();
	set_trailer(NODE, 0, t->tlv);
	ck_assert_int_eq(judge(&rx, at(1)), t->want);
	if (t->want == ADVERT_ACCEPT) {
		ck_assert(in.ours);
		ck_assert_int_eq(in.reason, t->reason);
		ck_assert_uint_eq(in.ngone, t->ngone);
		return;
	}
	out.notice = false;
	ck_assert_int_eq(say(EPOCH, 1, at(1)), ADVERT_ACCEPT);
}
END_TEST

/* All vhids that an interface may have, and what else is told with them. */
START_TEST(group)
{
	static uint8_t		 lost[ADVERT_GONE_MAX][ADVERT_ID_LEN];
	struct advert_group	 g = { .mode = BALANCE_IP, .probes = 200,
				    .n = BALANCE_NODES };
	unsigned int		 i;

	for (i = 0; i < BALANCE_NODES; i++)
		g.vhids[i] = (uint8_t)(255 - BALANCE_NODES + i);
	out.group = &g;
	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])lost;
	out.ngone = ADVERT_GONE_MAX;
	out.reason = ADVERT_REASON_SHUTDOWN;
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_mem_eq(&in.group, &g, sizeof(g));
	ck_assert_uint_eq(in.ngone, ADVERT_GONE_MAX);
	out.group = NULL;
	out.seq++;
	build();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_uint_eq(in.group.n, 0);
}
END_TEST

/* Of a node of ours with a wrong digest it is known why. */
START_TEST(why_badauth)
{
	static const char *const other[] = { "192.0.2.9", NULL };
	struct advert_vhost	 v;

	vhost(&v, VHID, PASS, other, 1, cookie_rx);
	build();
	ck_assert_int_eq(judge(&v, at(1)), ADVERT_DROP_ADDRS);
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&v, at(1)), ADVERT_DROP_BADAUTH);
	advert_vhost_clear(&v);
	vhost(&v, VHID, "another", other, 1, cookie_rx);
	build();
	ck_assert_int_eq(judge(&v, at(1)), ADVERT_DROP_PASS);
	advert_vhost_clear(&v);
}
END_TEST

START_TEST(node_and_keyid)
{
	build();
	set_trailer(0, 0, "");
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	/* a key that we do not have: nothing of it counts */
	set_trailer(NODE, 1, "");
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert(!in.ours);
	ck_assert_int_eq(in.auth, AUTH_UNKNOWN);
	ck_assert_uint_eq(in.node, 0);
	out.notice = true;
	build();
	set_trailer(NODE, 1, "030107");
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_KEYID);
	out.notice = false;
	build();
	set_trailer(NODE, 0, "");
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(in.auth, AUTH_OPEN);
}
END_TEST

/* --- keys --------------------------------------------------------------- */

static struct auth	*auth_tx, *auth_rx_;

static struct auth *
auth_of(uint32_t node, enum auth_policy policy)
{
	struct auth_conf	 c;
	uint8_t			 secret[HMAC_SHA256_LEN];
	struct auth		*a;

	memset(&c, 0, sizeof(c));
	c.policy = (uint8_t)policy;
	c.nkeys = 1;
	c.keys[0].id = 5;
	c.keys[0].active = 1;
	memset(secret, (int)node & 0xff, sizeof(secret));
	a = auth_new(TRAILER_CARP, node, EPOCH, secret);
	auth_conf(a, &c);
	return (a);
}

static void
keyed(enum auth_policy policy)
{
	tx.auth = auth_tx = auth_of(NODE, AUTH_STRICT);
	rx.auth = auth_rx_ = auth_of(NODE + 1, policy);
}

static void
unkeyed(void)
{
	tx.auth = rx.auth = NULL;
	auth_free(auth_tx);
	auth_free(auth_rx_);
}

/* The other way, as a notice: rx asks, tx hears it. */
static void
ask_back(monotime_t now)
{
	struct advert_out	 o = out;
	struct advert_in	 back;
	struct carp_header	 h;
	uint8_t			 buf[ADVERT_MAX];

	o.node = NODE + 1;
	o.notice = true;
	o.now = now;
	o.seq = out.seq;
	f.payload = buf;
	f.len = advert_build(&rx, &o, buf, sizeof(buf));
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
	(void)advert_verify(&tx, &f, &h, now, DEAD, &back);
	f.payload = pkt;
}

static enum advert_drop
next(int64_t sec)
{
	out.now = at(sec);
	out.seq++;
	build();
	return (judge(&rx, at(sec)));
}

/* Nothing is taken in strict before its sender has answered. */
START_TEST(strict)
{
	keyed(AUTH_STRICT);
	ck_assert_int_eq(next(1), ADVERT_DROP_UNPROVEN);
	ck_assert_uint_eq(in.keyid, 5);
	ck_assert(auth_urgent(auth_rx_, at(1)));
	ask_back(at(1));
	ck_assert(auth_urgent(auth_tx, at(1)));
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	ck_assert(in.ours);
	ck_assert_uint_eq(in.node, NODE);
	ck_assert_int_eq(in.auth, AUTH_PROVEN);
	ck_assert_int_eq(judge(&rx, at(2)), ADVERT_DROP_REPLAY);
	/* the last word of that session, over either family */
	out.seq = AUTH_SEQ_LAST;
	build();
	ck_assert_int_eq(judge(&rx, at(3)), ADVERT_ACCEPT);
	unkeyed();
}
END_TEST

START_TEST(not_strict_enough)
{
	static const struct {
		enum auth_policy	 policy;
		enum advert_drop	 plain, pass, unknown;
	} t[] = {
		{ AUTH_OFF, ADVERT_ACCEPT, ADVERT_ACCEPT, ADVERT_ACCEPT },
		{ AUTH_PERMISSIVE, ADVERT_ACCEPT, ADVERT_ACCEPT,
		    ADVERT_ACCEPT },
		{ AUTH_STRICT, ADVERT_DROP_NOAUTH, ADVERT_DROP_NOAUTH,
		    ADVERT_DROP_KEYID },
	};
	static const uint8_t	 cookie[CARP_COUNTER_LEN] = { 1, 8, 8 };

	keyed(t[_i].policy);
	tx.auth = NULL;
	build();
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&rx, at(1)), t[_i].plain);
	build();
	ck_assert_int_eq(judge(&rx, at(1)), t[_i].pass);
	ck_assert_int_eq(in.auth, AUTH_OPEN);
	/* what is new, not made of what was verified before */
	advert_vhost_cookie(&tx, cookie);
	build();
	set_trailer(NODE, 6, "");
	ck_assert_int_eq(judge(&rx, at(1)), t[_i].unknown);
	/* forged is forged, under every policy that has the key */
	set_trailer(NODE, 5, "");
	ck_assert_int_eq(judge(&rx, at(1)), t[_i].policy == AUTH_OFF ?
	    ADVERT_ACCEPT : ADVERT_DROP_TRAILER);
	unkeyed();
}
END_TEST

/*
 * Who has no key takes what is made with one, but no recording of what was made
 * with the pass, with whatever trailer: the cookie says which it must be.
 */
START_TEST(new_key_new_cookie)
{
	uint8_t	 cookie[CARP_COUNTER_LEN] = { 1, 9, 9 };

	advert_cookie(PASS, strlen(PASS), false, cookie);
	advert_vhost_cookie(&tx, cookie);
	ck_assert_int_eq(say(EPOCH, 1, at(1)), ADVERT_ACCEPT);
	ck_assert(in.ours);
	tx.auth = auth_tx = auth_of(NODE, AUTH_STRICT);
	ck_assert_int_eq(next(2), ADVERT_DROP_TRAILER);
	advert_cookie(PASS, strlen(PASS), true, cookie);
	advert_vhost_cookie(&tx, cookie);
	ck_assert_int_eq(next(3), ADVERT_ACCEPT);
	ck_assert(!in.ours);
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&rx, at(3)), ADVERT_DROP_TRAILER);
	tx.auth = NULL;
	auth_free(auth_tx);
}
END_TEST

/*
 * All that there is to say, and questions and answers: what is for people only
 * stands back, and the trailer is whole.
 */
START_TEST(lists_and_questions)
{
	static uint8_t		 ids[ADVERT_GONE_MAX][ADVERT_ID_LEN];
	struct advert_group	 g = { .n = BALANCE_NODES };
	size_t			 i, bare;

	many_addrs(&tx, ADVERT_LISTS_MAX / 4, cookie_tx);
	many_addrs(&rx, ADVERT_LISTS_MAX / 4, cookie_rx);
	keyed(AUTH_STRICT);
	for (i = 0; i < BALANCE_NODES; i++)
		g.vhids[i] = (uint8_t)(i + 1);
	(void)next(1);
	ask_back(at(1));
	for (i = 0; i < ADVERT_PEERS_MAX; i++)
		tx.peers[i].node = NODE + 1;
	out.tell = true;
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	ck_assert_uint_ge(f.len, CARP_LEN + TRAILER_FIXED + ADVERT_LISTS_MAX +
	    ADVERT_HEARD_MAX * 4);
	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])ids;
	out.ngone = ADVERT_GONE_MAX;
	out.group = &g;
	out.reason = ADVERT_REASON_SHUTDOWN;
	out.notice = true;
	out.tell = false;
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	bare = f.len;
	out.tell = true;
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	ck_assert_uint_eq(in.ngone, ADVERT_GONE_MAX);
	ck_assert_uint_eq(in.nheard, ADVERT_HEARD_MAX);
	ck_assert_uint_ge(f.len, bare + ADVERT_HEARD_MAX * 4);
	unkeyed();
}
END_TEST

/* In a cluster on its way to strict all of it is taken, and what is not
   proven yet, too. */
START_TEST(permissive)
{
	keyed(AUTH_PERMISSIVE);
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	ck_assert_int_eq(in.auth, AUTH_UNPROVEN);
	ask_back(at(1));
	ck_assert_int_eq(next(1), ADVERT_ACCEPT);
	ck_assert_int_eq(in.auth, AUTH_PROVEN);
	/* its next run has a lower epoch, and answers */
	auth_free(auth_tx);
	tx.auth = auth_tx = auth_of(NODE, AUTH_STRICT);
	ck_assert_int_eq(next(2), ADVERT_ACCEPT);
	unkeyed();
}
END_TEST

/* --- notices ------------------------------------------------------------ */

START_TEST(notice)
{
	uint8_t			 id[1][ADVERT_ID_LEN] = { "gone id" };
	struct carp_header	 h;

	out.notice = true;
	out.reason = ADVERT_REASON_NONE;
	out.gone = (const uint8_t (*)[ADVERT_ID_LEN])id;
	out.ngone = 1;
	build();
	ck_assert_uint_eq(pkt[0], 0x21);
	ck_assert_uint_eq(pkt[1], 0);
	ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
	ck_assert_uint_eq(advert_vhid(&f, &h), VHID);
	ck_assert_mem_eq(h.digest, tx.digest[ADVERT_NOV6LL],
	    CARP_DIGEST_LEN);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	ck_assert(in.notice && in.ours);
	ck_assert_uint_eq(in.vhid, VHID);
	ck_assert_uint_eq(in.node, NODE);
	ck_assert_uint_eq(in.ngone, 1);
	ck_assert_mem_eq(in.gone, id, ADVERT_ID_LEN);

	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(judge(&tx, at(1)), ADVERT_DROP_LOOP);
}
END_TEST

/* One sequence for both: a notice cannot be taken for an advertisement. */
START_TEST(notice_is_no_advert)
{
	out.notice = true;
	build();
	pkt[1] = VHID;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	out.notice = false;
	build();
	pkt[1] = 0;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADVHID);
}
END_TEST

START_TEST(notice_needs_a_trailer)
{
	struct carp_header	 h;
	size_t			 whole;

	out.notice = true;
	build();
	whole = f.len;
	for (f.len = CARP_LEN; f.len < whole; f.len++) {
		ck_assert_int_eq(advert_check(&f, &h), ADVERT_ACCEPT);
		ck_assert_uint_eq(advert_vhid(&f, &h), 0);
		ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADVHID);
	}
	f.len = 0;
	ck_assert_uint_eq(advert_vhid(&f, &h), 0);
	f.len = whole;
	pkt[whole - 1 - ADVERT_BALANCE] ^= 1;
	balance();
	ck_assert_uint_eq(advert_vhid(&f, &h), VHID);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	pkt[CARP_LEN] ^= 1;
	ck_assert_uint_eq(advert_vhid(&f, &h), 0);
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_BADVHID);
}
END_TEST

/* --- replay ------------------------------------------------------------- */

START_TEST(sequence)
{
	ck_assert_int_eq(say(EPOCH, 0, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 5, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH, 5, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 4, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 0, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 6, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH, UINT64_MAX, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH, UINT64_MAX, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 0, at(1)), ADVERT_DROP_REPLAY);
	/* silence does not make an old recording of this epoch good */
	ck_assert_int_eq(say(EPOCH, 6, at(100000)), ADVERT_DROP_REPLAY);
}
END_TEST

/* A sender's packets of two families may overtake each other. */
START_TEST(families_count_alone)
{
	ck_assert_int_eq(say(EPOCH, 10, at(1)), ADVERT_ACCEPT);
	ip6();
	ck_assert_int_eq(say(EPOCH, 9, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH, 9, at(1)), ADVERT_DROP_REPLAY);
	ip4();
	ck_assert_int_eq(say(EPOCH, 10, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 11, at(1)), ADVERT_ACCEPT);
	/* a new epoch over one family ends the old one over both */
	ip6();
	ck_assert_int_eq(say(EPOCH + 1, 2, at(1)), ADVERT_ACCEPT);
	ip4();
	ck_assert_int_eq(say(EPOCH, 12, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH + 1, 1, at(1)), ADVERT_ACCEPT);
}
END_TEST

/* Also at the clock's zero, where a free place looks as old as a used one. */
START_TEST(nodes_count_alone)
{
	ck_assert_int_eq(say(EPOCH, 10, at(0)), ADVERT_ACCEPT);
	out.node = NODE + 1;
	ck_assert_int_eq(say(EPOCH - 5, 3, at(0)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH - 5, 3, at(0)), ADVERT_DROP_REPLAY);
	out.node = NODE;
	ck_assert_int_eq(say(EPOCH, 10, at(0)), ADVERT_DROP_REPLAY);
}
END_TEST

START_TEST(higher_epoch)
{
	ck_assert_int_eq(say(EPOCH, 100, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH + 1, 0, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 101, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH + 1, 1, at(1)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH + 1, 1, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH, 102, at(1)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(UINT64_MAX, 1, at(1)), ADVERT_ACCEPT);
}
END_TEST

/* A clock that went back over a reboot: only after the node was silent. */
START_TEST(lower_epoch)
{
	monotime_t	 last = monotime_add(at(10), DEAD - 1);

	ck_assert_int_eq(say(EPOCH, 100, at(10)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH - 1, 200, at(10)), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH - 1, 200, last), ADVERT_DROP_REPLAY);
	/* a replay did not count as being heard */
	last = monotime_add(at(10), DEAD);
	ck_assert_int_eq(say(EPOCH - 1, 0, last), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH - 1, 1, last), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH - 1, 1, last), ADVERT_DROP_REPLAY);
	ck_assert_int_eq(say(EPOCH - 1, 2, last), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH - 2, 9, last), ADVERT_DROP_REPLAY);
}
END_TEST

/* Forged high numbers must not lock the genuine node out. */
START_TEST(only_verified_is_stored)
{
	ck_assert_int_eq(say(EPOCH, 1, at(1)), ADVERT_ACCEPT);
	out.epoch = EPOCH + 1000;
	out.seq = 1000;
	build();
	pkt[f.len - 1] ^= 1;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	build();
	pkt[OFF_DIGEST] ^= 1;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_PASS);
	build();
	pkt[OFF_SKEW] ^= 1;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	ck_assert_int_eq(say(EPOCH, 2, at(1)), ADVERT_ACCEPT);
	ck_assert_uint_eq(rx.peers[0].epoch, EPOCH);
	ck_assert_uint_eq(rx.peers[0].seq[0], 2);
	ck_assert_uint_eq(rx.peers[1].node, 0);
}
END_TEST

/* A full table gives up the node that was silent for longest, no other. */
/*
 * Who cuts the trailer off, or spoils its first byte, could choose the timers
 * and the time; of a node that has none it is all that there is.
 */
START_TEST(trailer_cut_off)
{
	uint8_t			 cookie[CARP_COUNTER_LEN] = "random";
	enum advert_variant	 var;

	build();
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_ACCEPT);
	advert_cookie(PASS, strlen(PASS), false, cookie);
	ck_assert_mem_eq(cookie, "rand", 4);
	memcpy(tx.cookie, cookie, sizeof(cookie));
	for (var = 0; var < ADVERT_VARIANTS; var++)
		advert_digest(&tx, var, cookie, tx.digest[var]);
	build();
	f.len = CARP_LEN;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	pkt[OFF_SKEW] ^= 1;
	fix_sum();
	ck_assert_int_eq(judge(&rx, at(100000)), ADVERT_DROP_TRAILER);
	build();
	pkt[CARP_LEN] ^= 1;
	ck_assert_int_eq(judge(&rx, at(1)), ADVERT_DROP_TRAILER);
	ck_assert_int_eq(say(EPOCH, 2, at(1)), ADVERT_ACCEPT);
}
END_TEST

START_TEST(too_many_nodes)
{
	const uint32_t	 silent = NODE + 5;
	uint32_t	 n;

	for (n = 0; n < ADVERT_PEERS_MAX; n++) {
		out.node = NODE + n;
		ck_assert_int_eq(say(EPOCH, 7, at(100 + n)), ADVERT_ACCEPT);
	}
	for (n = 0; n < ADVERT_PEERS_MAX; n++) {
		out.node = NODE + n;
		if (out.node != silent)
			ck_assert_int_eq(say(EPOCH, 8, at(200)),
			    ADVERT_ACCEPT);
	}
	out.node = NODE + ADVERT_PEERS_MAX;
	ck_assert_int_eq(say(EPOCH, 7, at(300)), ADVERT_ACCEPT);
	ck_assert_int_eq(say(EPOCH, 7, at(300)), ADVERT_DROP_REPLAY);
	for (n = 0; n < ADVERT_PEERS_MAX; n++) {
		out.node = NODE + n;
		if (out.node != silent)
			ck_assert_int_eq(say(EPOCH, 8, at(300)),
			    ADVERT_DROP_REPLAY);
	}
	/* forgotten, so it is new again */
	out.node = silent;
	ck_assert_int_eq(say(EPOCH, 7, at(300)), ADVERT_ACCEPT);
}
END_TEST

START_TEST(names)
{
	int	 i, j;

	for (i = 0; i < ADVERT_DROPS; i++) {
		ck_assert_ptr_nonnull(advert_drop_names[i]);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(advert_drop_names[i],
			    advert_drop_names[j]);
	}
}
END_TEST

static void
add_digest_tests(TCase *tc)
{
	tcase_add_test(tc, all_vectors);
	tcase_add_test(tc, all_captures);
	tcase_add_test(tc, scope_and_order);
	tcase_add_test(tc, no_addresses);
	tcase_add_test(tc, init_refuses);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, digest_of_any_counter);
	tcase_add_test(tc, before_the_digest);
	tcase_add_test(tc, version_before_digest);
	tcase_add_test(tc, type_and_authlen);
	tcase_add_test(tc, variants);
	tcase_add_test(tc, own_cookie);
	tcase_add_test(tc, wrong_vhid);
	tcase_add_test(tc, seen_digest);
	tcase_add_test(tc, failures_are_not_remembered);
	tcase_add_test(tc, zeros_do_not_match_an_empty_memory);
	tcase_add_test(tc, names);
}

static void
add_trailer_tests(TCase *tc)
{
	tcase_add_loop_test(tc, round_trip, 0, 2);
	tcase_add_test(tc, does_not_fit);
	tcase_add_loop_test(tc, reasons, ADVERT_REASON_NONE,
	    ADVERT_REASON_PARENT_DIED + 1);
	tcase_add_test(tc, gone);
	tcase_add_test(tc, heard);
	tcase_add_loop_test(tc, lists_that_fit, 0, 2);
	tcase_add_test(tc, tamper);
	tcase_add_loop_test(tc, bound_to_addresses, 0, 2);
	tcase_add_test(tc, cut_or_prolonged);
	tcase_add_test(tc, foreign_bytes_behind);
	tcase_add_test(tc, trailer_of_another_pass);
	tcase_add_loop_test(tc, tlv, 0, sizeof(tlvs) / sizeof(tlvs[0]));
	tcase_add_test(tc, group);
	tcase_add_test(tc, why_badauth);
	tcase_add_test(tc, node_and_keyid);
	tcase_add_test(tc, new_key_new_cookie);
	tcase_add_test(tc, lists_and_questions);
	tcase_add_test(tc, strict);
	tcase_add_loop_test(tc, not_strict_enough, 0, 3);
	tcase_add_test(tc, permissive);
	tcase_add_test(tc, notice);
	tcase_add_test(tc, notice_is_no_advert);
	tcase_add_test(tc, notice_needs_a_trailer);
	tcase_add_test(tc, sequence);
	tcase_add_test(tc, families_count_alone);
	tcase_add_test(tc, nodes_count_alone);
	tcase_add_test(tc, higher_epoch);
	tcase_add_test(tc, lower_epoch);
	tcase_add_test(tc, only_verified_is_stored);
	tcase_add_test(tc, trailer_cut_off);
	tcase_add_test(tc, too_many_nodes);
}

int
main(void)
{
	Suite	*s = suite_create("advert");
	TCase	*digest = tcase_create("digest");
	TCase	*trailer = tcase_create("trailer");
	SRunner	*sr;
	int	 failed;

	hmac_setup();
	tcase_add_checked_fixture(digest, setup, teardown);
	tcase_add_checked_fixture(trailer, setup, teardown);
	add_digest_tests(digest);
	add_trailer_tests(trailer);
	suite_add_tcase(s, digest);
	suite_add_tcase(s, trailer);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
