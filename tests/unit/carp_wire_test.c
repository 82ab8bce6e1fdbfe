/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/carp and /frame against what real kernels sent: every header,
 * packet and frame of vectors/carp-hmac.json and every CARP, gratuitous ARP
 * and unsolicited NA frame of vectors/ *carp*.pcap is taken apart and built again,
 * byte for byte.  Runs from the root of the tree.  The digests are not looked
 * at here.
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/carp.h"
#include "../../common/wire/frame.h"
#include "hex.h"

#define VECTORS		"tests/unit/vectors/"
#define FRAME_MAX	256
#define NVECTORS	21	/* so that an emptied file is noticed */

enum { OFF_TYPE = 12, OFF_ID = 18 };	/* in an untagged IPv4 frame */
enum { ARP_SHA = 22, ARP_SPA = 28 };
enum { NA_SRC = 22, NA_TYPE = 54, NA_SUM = 56, NA_FLAGS = 58, NA_TARGET = 62 };

static const char *
text(json_t *o, const char *key)
{
	const char	*s = json_string_value(json_object_get(o, key));

	ck_assert_msg(s != NULL, "no %s", key);
	return (s);
}

static json_int_t
number(json_t *o, const char *key)
{
	json_t	*j = json_object_get(o, key);

	ck_assert_msg(json_is_integer(j), "no %s", key);
	return (json_integer_value(j));
}

static struct ipaddr
addr(const char *s)
{
	struct ipaddr	 a;

	ck_assert_int_eq(ipaddr_parse(s, &a, NULL), 0);
	return (a);
}

static void
mac(const char *s, uint8_t out[6])
{
	ck_assert_int_eq(sscanf(s, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &out[0],
	    &out[1], &out[2], &out[3], &out[4], &out[5]), 6);
}

/*
 * Peel and decode an untagged frame, then build it anew from the structs
 * only, and compare.  The IPv4 identification is not in struct frame_ip.
 */
static void
rebuild(const uint8_t *frame, size_t len, struct frame_ip *f,
    struct carp_header *h)
{
	struct frame_meta	 m = { .tos = 0 };
	uint8_t			 out[FRAME_MAX];
	size_t			 head;

	ck_assert_int_eq(frame_peel(frame, len, f), FRAME_OK);
	ck_assert_uint_eq(f->proto, CARP_PROTO);
	ck_assert(carp_decode(f->payload, f->len, h));
	ck_assert(carp_cksum_ok(f->payload));

	memcpy(m.eth_dst, f->eth_dst, sizeof(m.eth_dst));
	memcpy(m.eth_src, f->eth_src, sizeof(m.eth_src));
	m.src = f->src;
	m.dst = f->dst;
	m.proto = f->proto;
	m.ttl = f->ttl;
	m.tos = f->tos;
	if (f->src.af == AF_INET)
		m.id = (uint16_t)(frame[OFF_ID] << 8 | frame[OFF_ID + 1]);
	head = frame_ip(out, sizeof(out), &m, CARP_LEN);
	ck_assert_uint_ne(head, 0);
	carp_encode(h, out + head);
	ck_assert_uint_eq(head + CARP_LEN, len);
	ck_assert_mem_eq(out, frame, len);
}

static void
check_header(json_t *in, json_t *want, const struct carp_header *h)
{
	uint8_t	 counter[CARP_COUNTER_LEN], digest[CARP_DIGEST_LEN];
	uint8_t	 sum[2];

	unhex(text(in, "counter_hex"), counter, sizeof(counter));
	unhex(text(want, "hmac_sha1_hex"), digest, sizeof(digest));
	unhex(text(want, "checksum_hex"), sum, sizeof(sum));
	ck_assert_uint_eq(h->version, CARP_VERSION);
	ck_assert_uint_eq(h->type, CARP_TYPE_ADVERT);
	ck_assert_uint_eq(h->authlen, CARP_AUTHLEN);
	ck_assert_int_eq(h->vhid, number(in, "vhid"));
	ck_assert_int_eq(h->advbase, number(in, "advbase"));
	ck_assert_int_eq(h->advskew, number(in, "advskew"));
	ck_assert_int_eq(h->demote, number(in, "demote"));
	ck_assert_uint_eq(h->cksum, (uint16_t)(sum[0] << 8 | sum[1]));
	ck_assert_mem_eq(h->counter, counter, sizeof(counter));
	ck_assert_mem_eq(h->digest, digest, sizeof(digest));
}

/* From the inputs alone, without a look at the expected bytes. */
static void
build_from_inputs(json_t *in, const struct carp_header *h,
    const uint8_t *frame, size_t len)
{
	struct frame_meta	 m = { .proto = CARP_PROTO, .ttl = CARP_TTL };
	uint8_t			 out[FRAME_MAX];
	size_t			 head;

	mac(text(in, "ether_dst"), m.eth_dst);
	mac(text(in, "ether_src"), m.eth_src);
	m.src = addr(text(in, "ip_src"));
	m.dst = addr(text(in, "ip_dst"));
	m.tos = (uint8_t)number(in, "ip_tos");
	if (m.src.af == AF_INET)
		m.id = (uint16_t)number(in, "ip_id");
	head = frame_ip(out, sizeof(out), &m, CARP_LEN);
	carp_encode(h, out + head);
	ck_assert_uint_eq(head + CARP_LEN, len);
	ck_assert_mem_eq(out, frame, len);
	if (ipaddr_is_multicast(&m.dst)) {
		frame_mcast_mac(&m.dst, out);
		ck_assert_mem_eq(out, frame, sizeof(m.eth_dst));
	}
}

static void
check_vector(json_t *v)
{
	json_t			*in = json_object_get(v, "inputs");
	json_t			*want = json_object_get(v, "expected");
	struct frame_ip		 f;
	struct carp_header	 h;
	uint8_t			 header[FRAME_MAX], frame[FRAME_MAX];
	uint8_t			 packet[FRAME_MAX], out[CARP_LEN];
	size_t			 len, plen;

	ck_assert_uint_eq(unhex(text(want, "carp_header_hex"), header,
	    sizeof(header)), CARP_LEN);
	ck_assert(carp_decode(header, CARP_LEN, &h));
	check_header(in, want, &h);
	h.cksum ^= 0xffff;
	carp_encode(&h, out);
	ck_assert_mem_eq(out, header, CARP_LEN);

	len = unhex(text(want, "ethernet_frame_hex"), frame, sizeof(frame));
	plen = unhex(text(want, "ip_packet_hex"), packet, sizeof(packet));
	ck_assert_uint_eq(len, FRAME_ETH_LEN + plen);
	ck_assert_mem_eq(frame + FRAME_ETH_LEN, packet, plen);
	rebuild(frame, len, &f, &h);
	ck_assert_mem_eq(f.payload, header, CARP_LEN);
	build_from_inputs(in, &h, frame, len);
}

START_TEST(json_vectors)
{
	json_error_t	 err;
	json_t		*root, *list;
	size_t		 i;

	root = json_load_file(VECTORS "carp-hmac.json", 0, &err);
	ck_assert_msg(root != NULL, "%s", err.text);
	list = json_object_get(root, "vectors");
	ck_assert_uint_ge(json_array_size(list), NVECTORS);
	for (i = 0; i < json_array_size(list); i++)
		check_vector(json_array_get(list, i));
	json_decref(root);
}
END_TEST

/*
 * How many frames of each kind a capture holds, counted with tcpdump: nothing
 * may go unrecognised.
 */
struct tally {
	unsigned int	 carp;
	unsigned int	 garp;		/* as frame_garp() builds it */
	unsigned int	 garp_real_src;	/* FreeBSD: Ethernet source real */
	unsigned int	 garp_ucarp;	/* tha = sha, all real */
	unsigned int	 na;		/* as frame_una() builds it */
	unsigned int	 na_ll_src;	/* OpenBSD: source the link-local */
	unsigned int	 other;
};

static const struct {
	const char	*file;
	struct tally	 want;
} captures[] = {
	{ "fbsd12-carp-v4-one-addr", { .carp = 9, .garp_real_src = 2 } },
	{ "fbsd12-carp-v4v6-mixed", { .carp = 12, .garp_real_src = 1 } },
	{ "obsd-carp-carpnodes-ip", { .carp = 12 } },
	/* other: a router solicitation of the host */
	{ "obsd-carp-pair-failover", { .carp = 29, .garp = 10, .other = 1 } },
	/* other: the guests announce their own addresses, to ff02::2 */
	{ "obsd-carp-v4-one-addr", { .carp = 5, .garp = 2, .other = 4 } },
	{ "obsd-carp-v4-three-addrs", { .carp = 6, .garp = 6 } },
	{ "obsd-carp-v4v6-mixed",
	    { .carp = 14, .garp = 2, .na = 1, .na_ll_src = 1 } },
	/* other: IGMP of the ucarp host */
	{ "ucarp-vs-obsd-backup",
	    { .carp = 26, .garp = 2, .garp_ucarp = 2, .other = 4 } },
};
#define NCAPTURES	(sizeof(captures) / sizeof(captures[0]))

static void
check_arp(const uint8_t *frame, size_t len, struct tally *t)
{
	struct ipaddr	 spa = { .af = AF_INET, .plen = 32 };
	uint8_t		 out[FRAME_MAX];

	memcpy(spa.bytes, frame + ARP_SPA, 4);
	ck_assert_uint_eq(frame_garp(out, sizeof(out), frame + ARP_SHA, &spa),
	    len);
	if (memcmp(out, frame, len) == 0) {
		t->garp++;
		return;
	}
	if (memcmp(out + 6, frame + 6, 6) != 0) {
		memcpy(out + 6, frame + 6, 6);
		t->garp_real_src++;
	} else {
		memcpy(out + ARP_SPA + 4, frame + ARP_SHA, 6);
		t->garp_ucarp++;
	}
	ck_assert_mem_eq(out, frame, len);
}

/* false: an NA, but not one to all nodes. */
static bool
check_na(const uint8_t *frame, size_t len, struct tally *t)
{
	struct ipaddr	 target = { .af = AF_INET6, .plen = 128 };
	uint8_t		 out[FRAME_MAX];

	memcpy(target.bytes, frame + NA_TARGET, 16);
	ck_assert_uint_eq(frame_una(out, sizeof(out), frame + 6, &target,
	    (frame[NA_FLAGS] & 0x80) != 0), len);
	if (memcmp(out, frame, 6) != 0)
		return (false);
	if (memcmp(out, frame, len) == 0) {
		t->na++;
		return (true);
	}
	memcpy(out + NA_SRC, frame + NA_SRC, 16);
	memcpy(out + NA_SUM, frame + NA_SUM, 2);
	ck_assert_mem_eq(out, frame, len);
	t->na_ll_src++;
	return (true);
}

static void
check_frame(const uint8_t *frame, size_t len, struct tally *t)
{
	struct frame_ip		 f;
	struct carp_header	 h;
	enum frame_result	 r = frame_peel(frame, len, &f);

	if (r == FRAME_OK && f.proto == CARP_PROTO) {
		rebuild(frame, len, &f, &h);
		ck_assert_uint_eq(f.ttl, CARP_TTL);
		ck_assert_uint_eq(h.version, CARP_VERSION);
		ck_assert_uint_eq(h.type, CARP_TYPE_ADVERT);
		ck_assert_uint_eq(h.authlen, CARP_AUTHLEN);
		t->carp++;
	} else if (frame[OFF_TYPE] == 0x08 && frame[OFF_TYPE + 1] == 0x06) {
		ck_assert_int_eq(r, FRAME_OTHER);
		check_arp(frame, len, t);
	} else {
		ck_assert_int_eq(r, FRAME_OK);
		if (f.proto != 58 || frame[NA_TYPE] != 136 ||
		    !check_na(frame, len, t))
			t->other++;
	}
}

static struct tally
read_capture(const char *path)
{
	char			 errbuf[PCAP_ERRBUF_SIZE];
	struct tally		 t = { .carp = 0 };
	struct pcap_pkthdr	*hdr;
	const u_char		*data;
	pcap_t			*p;
	int			 r;

	p = pcap_open_offline(path, errbuf);
	ck_assert_msg(p != NULL, "%s", errbuf);
	ck_assert_int_eq(pcap_datalink(p), DLT_EN10MB);
	while ((r = pcap_next_ex(p, &hdr, &data)) == 1) {
		ck_assert_uint_eq(hdr->caplen, hdr->len);
		ck_assert_uint_ge(hdr->len, FRAME_ETH_LEN + FRAME_ARP_LEN);
		check_frame(data, hdr->caplen, &t);
	}
	ck_assert_int_eq(r, PCAP_ERROR_BREAK);
	pcap_close(p);
	return (t);
}

START_TEST(capture)
{
	const struct tally	*want = &captures[_i].want;
	struct tally		 t;
	char			 path[256];

	snprintf(path, sizeof(path), VECTORS "%s.pcap", captures[_i].file);
	t = read_capture(path);
	ck_assert_uint_eq(t.carp, want->carp);
	ck_assert_uint_eq(t.garp, want->garp);
	ck_assert_uint_eq(t.garp_real_src, want->garp_real_src);
	ck_assert_uint_eq(t.garp_ucarp, want->garp_ucarp);
	ck_assert_uint_eq(t.na, want->na);
	ck_assert_uint_eq(t.na_ll_src, want->na_ll_src);
	ck_assert_uint_eq(t.other, want->other);
}
END_TEST

/* A capture that is added must get its line above. */
START_TEST(all_captures_listed)
{
	glob_t	 g;

	ck_assert_int_eq(glob(VECTORS "*carp*.pcap", 0, NULL, &g), 0);
	ck_assert_uint_eq(g.gl_pathc, NCAPTURES);
	globfree(&g);
}
END_TEST

START_TEST(cut_short)
{
	uint8_t			 zeros[CARP_LEN] = { 0 }, *copy;
	struct carp_header	 h;
	size_t			 n;

	for (n = 0; n < CARP_LEN; n++) {
		copy = calloc(1, n + 1);
		ck_assert(!carp_decode(copy, n, &h));
		free(copy);
	}
	ck_assert(carp_decode(zeros, CARP_LEN, &h));
	ck_assert(!carp_cksum_ok(zeros));
}
END_TEST

/* Each field in its place, at its limits; nibbles do not leak. */
START_TEST(fields)
{
	static const uint8_t	 want[8] = {
		0x21, 0xff, 0xfe, 0x07, 0x80, 0xfd
	};
	struct carp_header	 h = { .version = 2, .type = 0xf1,
				    .vhid = 255, .advskew = 254,
				    .authlen = 7, .demote = 128,
				    .advbase = 253, .cksum = 0x1234 };
	struct carp_header	 back;
	uint8_t			 out[CARP_LEN];
	size_t			 i;

	for (i = 0; i < sizeof(h.counter); i++)
		h.counter[i] = (uint8_t)(i + 1);
	for (i = 0; i < sizeof(h.digest); i++)
		h.digest[i] = (uint8_t)(i + 101);
	carp_encode(&h, out);
	ck_assert_mem_eq(out, want, 6);
	ck_assert_mem_eq(out + 8, h.counter, sizeof(h.counter));
	ck_assert_mem_eq(out + 16, h.digest, sizeof(h.digest));
	ck_assert(carp_cksum_ok(out));
	ck_assert(carp_decode(out, sizeof(out), &back));
	ck_assert_uint_eq(back.version, 2);
	ck_assert_uint_eq(back.type, 1);
	for (i = 0; i < CARP_LEN * 8; i++) {
		out[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!carp_cksum_ok(out));
		out[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("carp_wire");
	TCase	*tc = tcase_create("carp_wire");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, json_vectors);
	tcase_add_loop_test(tc, capture, 0, NCAPTURES);
	tcase_add_test(tc, all_captures_listed);
	tcase_add_test(tc, cut_short);
	tcase_add_test(tc, fields);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
