/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The classifier of one carpdev: who gets a frame, and what may leave.  Two
 * programs for clsact that share the maps of steer_map.h; carpd/os/steer.h
 * says what they are for.  They keep no state of their own: all they ever
 * write is OFF into a slot whose successor speaks, and the statistics.
 *
 * In:	frames for a virtual MAC are taken while its slot is ON or DRAIN;
 *	ARP requests and NS for a virtual address only while it is ON; a frame
 *	spoken as the virtual router closes a slot that is no longer renewed.
 * Out:	ARP and ND of a virtual address carry the virtual MAC, or do not leave;
 *	nobody here asks for a virtual address; the engine's own (marked)
 *	frames are protocol 112, ARP and NA with our MACs and nothing else, and
 *	a unicast advertisement leaves with the virtual MAC, too, so that the
 *	switch knows where it is.  An advertisement is never answered with
 *	"protocol unreachable", whoever of us is dead.
 *
 * A group (balancing) is several vhids that share addresses.  arp: who asks is
 * answered by the node of its MAC's hash, with that node's virtual MAC.  ip and
 * its like: all frames for the one MAC come to everybody, a node keeps those of
 * its share; the leader's MASTER answers.  In a group only CARP itself, and in
 * mode arp a virtual MAC as source, tell that a successor speaks: the real MAC,
 * the addresses and the one MAC are said by several nodes.
 *
 * Frames that belong to a VLAN of carpdev pass: its device has a classifier of
 * its own if it is a carpdev.  Layouts: RFC 826, RFC 8200, RFC 4861, and CARP
 * as in carp(4).  Nothing newer than Linux 6.1, no kfuncs, no kernel BTF.  The
 * type of a frame is read from the frame: a sender may lie in skb->protocol.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "carpd/bpf/steer_map.h"

/* Offsets in an untagged Ethernet frame. */
enum { ETH_SRC = 6, ETH_TYPE = 12, ETH_LEN = 14 };
enum {
	ARP_OP = 20, ARP_SHA = 22, ARP_SPA = 28, ARP_THA = 32, ARP_TPA = 38,
	ARP_LEN = 42
};
enum {
	IP4_FRAG = 20, IP4_TTL = 22, IP4_PROTO = 23, IP4_SRC = 26, IP4_DST = 30,
	IP4_LEN = 34
};
enum {
	IP6_NEXT = 20, IP6_HOPS = 21, IP6_SRC = 22, IP6_DST = 38, IP6_LEN = 54,
	ICMP6_TYPE = 54, ICMP6_SUM = 56, ICMP6_LEN = 58,
	ERR4_TYPE = 34, ERR4_CODE = 35, ERR4_PROTO = 51, ERR4_LEN = 52,
	ERR6_CODE = 55, ERR6_NEXT = 68, ERR6_LEN = 69,	/* what it is about */
	RS_OPT = 62, RA_OPT = 70, ND_TARGET = 62, ND_OPT = 78, NA_LEN = 86
};

enum { TYPE_IP4 = 0x0800, TYPE_ARP = 0x0806, TYPE_8021Q = 0x8100 };
enum { TYPE_IP6 = 0x86dd, TYPE_8021AD = 0x88a8 };
enum { PROTO_ICMP = 1, PROTO_ICMP6 = 58, PROTO_CARP = 112 };
enum { ICMP_UNREACH = 3, ICMP_UNREACH_PROTO = 2 };
enum { ICMP6_PARAM = 4, ICMP6_PARAM_NEXT = 1 };
enum { ICMP6_RS = 133, ICMP6_RA, ICMP6_NS, ICMP6_NA, ICMP6_REDIRECT };
enum { ND_SLLA = 1, ND_TLLA = 2, ND_OPTS_MAX = 8, ND_OPT_LEN = 8 };

#define ARP_REQUEST	1
#define CARP_VER_TYPE	0x21	/* version 2, advertisement */
#define HOPS		255	/* of CARP and ND: not from beyond the link */
#define VLAN_VID	0x0fff
#define FRAG_OFFSET	0x1fff
#define FRAG_ANY	0x3fff	/* more fragments, or an offset */

/* Why something is said for a virtual address of a group. */
enum { SAY_ANSWER, SAY_ASK, SAY_ROUTER };

/* Whose a frame for a group is, other than a vhid's; PROBE: the engine's. */
enum { KEEP_ALL = STEER_SLOTS, KEEP_MULTICAST, KEEP_PROBE };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEER_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_SLOTS);
	__type(key, __u32);
	__type(value, struct steer_vhid);
} vhids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_SLOTS);
	__type(key, __u32);
	__type(value, struct steer_group);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_SLOTS);
	__type(key, __u32);
	__type(value, struct steer_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_dev);
} dev SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_ADDRS);
	__uint(key_size, 4);
	__uint(value_size, 4);
} addrs4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_ADDRS);
	__uint(key_size, 16);
	__uint(value_size, 4);
} addrs6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STEER_STATS);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_restore);
} restore SEC(".maps");

char steer_license[] SEC("license") = "Dual BSD/GPL";

static __always_inline void
count(__u32 reason)
{
	__u64	*n = bpf_map_lookup_elem(&stats, &reason);

	if (n != NULL)
		(*n)++;
}

static __always_inline int
drop(__u32 reason)
{
	count(reason);
	return (TC_ACT_SHOT);
}

/* A frame for that vhid: not taken. */
static __always_inline int
refuse(__u32 vhid)
{
	struct steer_count	*n = bpf_map_lookup_elem(&counts, &vhid);

	if (n != NULL)
		n->dropped++;
	return (TC_ACT_SHOT);
}

/* ... taken, although the NIC's driver took it for another host's. */
static __always_inline int
take(struct __sk_buff *skb, __u32 vhid)
{
	struct steer_count	*n;

	bpf_skb_change_type(skb, PACKET_HOST);
	n = bpf_map_lookup_elem(&counts, &vhid);
	if (n != NULL)
		n->taken++;
	return (TC_ACT_UNSPEC);
}

/* The frame, its first n bytes readable; NULL when it is shorter. */
static __always_inline __u8 *
head(struct __sk_buff *skb, __u32 n)
{
	__u8	*d;

	/* &skb->data_end must not be kept in a register: the verifier */
	__asm__ volatile("" : "+r"(skb));
	d = (void *)(long)skb->data;
	if (d + n <= (__u8 *)(long)skb->data_end)
		return (d);
	if (bpf_skb_pull_data(skb, n) != 0)
		return (NULL);
	d = (void *)(long)skb->data;
	return (d + n <= (__u8 *)(long)skb->data_end ? d : NULL);
}

static __always_inline __u16
get16(const __u8 *p)
{
	return (bpf_ntohs(*(const __u16 *)(const void *)p));
}

static __always_inline int
same_mac(const __u8 *a, const __u8 *b)
{
	const __u16	*x = (const void *)a;

	/* in a map's value a MAC may have an odd address */
	return (x[0] == (b[0] | b[1] << 8) && x[1] == (b[2] | b[3] << 8) &&
	    x[2] == (b[4] | b[5] << 8));
}

/* A priority tag alone (VLAN 0) makes no VLAN. */
static __always_inline int
tagged(const struct __sk_buff *skb, __u16 type)
{
	return (type == TYPE_8021Q || type == TYPE_8021AD ||
	    (skb->vlan_present && (skb->vlan_tci & VLAN_VID) != 0));
}

/*
 * The vhid whose virtual MAC this is (v->mac[5]), NULL: none.  All but the
 * first byte of those is fixed: 0, or 1 for a group in mode ip.
 */
static __always_inline struct steer_vhid *
vmac(const __u8 *mac)
{
	const __u16		*m = (const void *)mac;
	struct steer_vhid	*v;
	__u32			 vhid;

	if ((m[0] & bpf_htons(0xfeff)) != 0 || m[1] != bpf_htons(0x5e00) ||
	    mac[4] != 0x01)
		return (NULL);
	vhid = mac[5];
	v = bpf_map_lookup_elem(&vhids, &vhid);
	if (v == NULL || v->configured == STEER_UNUSED || v->mac[0] != mac[0])
		return (NULL);
	return (v);
}

/* The leader of the group of that vhid, 0: it is in none. */
static __always_inline __u32
leader_of(__u32 vhid)
{
	struct steer_vhid	*v = bpf_map_lookup_elem(&vhids, &vhid);

	return (v != NULL ? v->leader : 0);
}

/* Has the engine not answered who claimed its vhid? */
static __always_inline int
lost(__u32 vhid, __u64 w, __u64 now)
{
	__u32		 index = STEER_CONTEST(vhid);
	volatile __u64	*contest = bpf_map_lookup_elem(&slots, &index);
	__u64		 c;

	if (contest == NULL)
		return (0);
	c = *contest;
	return (STEER_LOST(w, c, now));
}

/* STEER_ON, _DRAIN, or _OFF also when the lease has run out or is lost. */
static __always_inline __u32
state(__u32 vhid)
{
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);
	__u64		 w, lease, now;

	if (s == NULL)
		return (STEER_OFF);
	w = *s;
	if (STEER_STATE(w) == STEER_ON)
		lease = STEER_LEASE(STEER_INTERVAL(w));
	else if (STEER_STATE(w) == STEER_DRAIN)
		lease = STEER_DRAIN_NS;
	else
		return (STEER_OFF);
	now = bpf_ktime_get_coarse_ns();
	if (STEER_PAST(w, lease, now) ||
	    (STEER_STATE(w) == STEER_ON && lost(vhid, w, now)))
		return (STEER_OFF);
	return (STEER_STATE(w));
}

/* The vhid of the node of that hash; 0, which is always OFF: no group. */
static __always_inline __u32
node(const struct steer_group *g, __u32 hash)
{
	__u32	 n = g->n;

	if (n == 0)
		return (0);
	return (g->vhids[hash % n & (BALANCE_NODES - 1)]);
}

/* The vhid of the node that answers who asks from that MAC. */
static __noinline __u32
answerer(__u32 leader, const __u8 *mac)
{
	struct steer_group	*g = bpf_map_lookup_elem(&groups, &leader);

	if (g == NULL)
		return (0);
	if (g->mode != BALANCE_ARP)
		return (leader);
	return (node(g, balance_hash(&g->key, mac)));
}

/* The first node that is ON here, or not OFF (least); 0: none. */
static __noinline __u32
first(__u32 leader, __u32 least)
{
	struct steer_group	*g = bpf_map_lookup_elem(&groups, &leader);
	__u32			 i, vhid;

	if (g == NULL)
		return (0);
	for (i = 0; i < BALANCE_NODES && i < g->n; i++) {
		vhid = g->vhids[i];
		if (state(vhid) >= least)
			return (vhid);
	}
	return (0);
}

/*
 * Somebody else spoke as this virtual router: if the engine has not renewed
 * the lease in time, it is dead or stopped, and this is its successor.
 */
static __always_inline void
heard(const struct __sk_buff *skb, __u32 vhid)
{
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);
	__u64		 w, now;

	if (s == NULL)
		return;
	w = *s;
	/* our own multicast, looped, has no Ethernet header */
	if (STEER_STATE(w) != STEER_ON || skb->pkt_type == PACKET_LOOPBACK)
		return;
	now = bpf_ktime_get_ns();
	if ((__s64)(now - STEER_TIME(w)) <=
	    (__s64)STEER_STALE(STEER_INTERVAL(w)) && !lost(vhid, w, now))
		return;
	*s = STEER_OFF;
	count(STEER_STAT_CLOSED);
}

/*
 * With balancing all nodes get all frames: who drains stops when its successor
 * speaks, else both would take them.
 */
static __always_inline void
succeeded(const struct __sk_buff *skb, __u32 vhid)
{
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);

	if (s != NULL && STEER_STATE(*s) == STEER_DRAIN &&
	    skb->pkt_type != PACKET_LOOPBACK)
		*s = STEER_OFF;
}

/* Somebody claims this vhid: the engine has so much time to object. */
static __always_inline void
claimed(const struct __sk_buff *skb, __u32 vhid)
{
	__u32		 index = STEER_CONTEST(vhid);
	volatile __u64	*contest = bpf_map_lookup_elem(&slots, &index);
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);
	__u64		 w, c;

	if (s == NULL || contest == NULL || skb->pkt_type == PACKET_LOOPBACK)
		return;
	w = *s;
	c = *contest;
	if (STEER_STATE(w) == STEER_ON && !STEER_CONTESTED(w, c))
		*contest = bpf_ktime_get_ns();
}

/* A CARP header: the same over IPv4 and IPv6. */
static __always_inline void
heard_carp(const struct __sk_buff *skb, __u32 off)
{
	struct steer_vhid	*v;
	__u8			 carp[2];
	__u32			 vhid;

	if (bpf_skb_load_bytes(skb, off, carp, sizeof(carp)) != 0 ||
	    carp[0] != CARP_VER_TYPE)
		return;
	vhid = carp[1];
	v = bpf_map_lookup_elem(&vhids, &vhid);
	if (v == NULL || v->configured == STEER_UNUSED)
		return;
	heard(skb, vhid);
	claimed(skb, vhid);
	if (v->leader != 0)
		succeeded(skb, vhid);
}

/* Somebody speaks from this address: the virtual router, unless in a group. */
static __always_inline void
heard_from(const struct __sk_buff *skb, const __u32 *vhid)
{
	if (vhid != NULL && leader_of(*vhid) == 0)
		heard(skb, *vhid);
}

static __always_inline int
in_arp(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ARP_LEN);
	__u32	*addr, vhid, leader;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	heard_from(skb, bpf_map_lookup_elem(&addrs4, d + ARP_SPA));
	if (get16(d + ARP_OP) != ARP_REQUEST ||
	    (addr = bpf_map_lookup_elem(&addrs4, d + ARP_TPA)) == NULL)
		return (TC_ACT_UNSPEC);
	vhid = *addr;
	if ((leader = leader_of(vhid)) != 0)
		vhid = answerer(leader, d + ARP_SHA);
	if (state(vhid) == STEER_ON)
		return (TC_ACT_UNSPEC);
	return (drop(STEER_STAT_ARP_IN));
}

static __always_inline void
in_ip4(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP4_LEN);

	if (d == NULL || d[IP4_PROTO] != PROTO_CARP || d[IP4_TTL] != HOPS ||
	    (get16(d + IP4_FRAG) & FRAG_OFFSET) != 0)
		return;
	heard_carp(skb, ETH_LEN + (d[ETH_LEN] & 0x0f) * 4);
}

/* The first ND option of that kind, from off on: its place, or 0. */
static __always_inline __u32
find_option(struct __sk_buff *skb, __u32 off, __u8 want, __u8 *opt)
{
	int	 i;

	for (i = 0; i < ND_OPTS_MAX; i++) {
		if (bpf_skb_load_bytes(skb, off, opt, ND_OPT_LEN) != 0 ||
		    opt[1] == 0)
			break;
		if (opt[0] == want)
			return (off);
		off += opt[1] * 8;
	}
	return (0);
}

/* The vhid that answers this NS; who does not say from where gets nothing. */
static __noinline __u32
ns_answerer(struct __sk_buff *skb, __u32 leader)
{
	struct steer_group	*g = bpf_map_lookup_elem(&groups, &leader);
	__u8			 opt[ND_OPT_LEN];

	if (g == NULL)
		return (0);
	if (g->mode != BALANCE_ARP)
		return (leader);
	if (find_option(skb, ND_OPT, ND_SLLA, opt) == 0 || opt[1] != 1)
		return (0);
	return (node(g, balance_hash(&g->key, opt + 2)));
}

static __always_inline int
in_nd(struct __sk_buff *skb, int is_ns)
{
	__u8	*d = head(skb, ND_OPT);
	__u32	*addr, vhid, leader;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	heard_from(skb, bpf_map_lookup_elem(&addrs6,
	    d + (is_ns ? IP6_SRC : ND_TARGET)));
	if (!is_ns ||
	    (addr = bpf_map_lookup_elem(&addrs6, d + ND_TARGET)) == NULL)
		return (TC_ACT_UNSPEC);
	vhid = *addr;
	if ((leader = leader_of(vhid)) != 0)
		vhid = ns_answerer(skb, leader);
	if (state(vhid) == STEER_ON)
		return (TC_ACT_UNSPEC);
	return (drop(STEER_STAT_ARP_IN));
}

static __always_inline int
in_ip6(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ICMP6_LEN);

	if (d == NULL || d[IP6_HOPS] != HOPS)
		return (TC_ACT_UNSPEC);
	if (d[IP6_NEXT] == PROTO_CARP)
		heard_carp(skb, IP6_LEN);
	else if (d[IP6_NEXT] == PROTO_ICMP6 && d[ICMP6_TYPE] == ICMP6_NS)
		return (in_nd(skb, 1));
	else if (d[IP6_NEXT] == PROTO_ICMP6 && d[ICMP6_TYPE] == ICMP6_NA)
		return (in_nd(skb, 0));
	return (TC_ACT_UNSPEC);
}

/* By the address of the packet in error at off: whose are the answers? */
static __always_inline __u32
by_inner(struct __sk_buff *skb, const struct steer_group *g, __u32 off,
    const __u32 *src, const __u32 *dst, int words)
{
	__u32	 inner[4];

	if (bpf_skb_load_bytes(skb, off, inner, words * 4) == 0)
		return (node(g, balance_fold(inner, dst, words)));
	return (node(g, balance_fold(src, dst, words)));
}

/* balance_owner() for the kernel, IPv4: a vhid, or KEEP_... */
static __always_inline __u32
keeper4(struct __sk_buff *skb, const struct steer_group *g)
{
	__u8	*d = head(skb, IP4_LEN), type;
	__u32	 src, dst, off;

	if (d == NULL)
		return (KEEP_ALL);
	src = *(__u32 *)(void *)(d + IP4_SRC);
	dst = *(__u32 *)(void *)(d + IP4_DST);
	if (balance_group4(d[IP4_DST], dst))
		return (d[IP4_PROTO] == PROTO_CARP ? KEEP_PROBE :
		    KEEP_MULTICAST);
	off = ETH_LEN + (d[ETH_LEN] & 0x0f) * 4;
	if (d[IP4_PROTO] != PROTO_ICMP || (get16(d + IP4_FRAG) & FRAG_ANY) ||
	    bpf_skb_load_bytes(skb, off, &type, 1) != 0)
		return (node(g, balance_fold(&src, &dst, 1)));
	switch (balance_icmp4(type)) {
	case BALANCE_EVERY:
		return (KEEP_ALL);
	case BALANCE_INNER:
		return (by_inner(skb, g, off + BALANCE_ICMP_LEN +
		    BALANCE_IP4_DST, &src, &dst, 1));
	case BALANCE_OUTER:
		break;
	}
	return (node(g, balance_fold(&src, &dst, 1)));
}

static __always_inline __u32
keeper6(struct __sk_buff *skb, const struct steer_group *g)
{
	__u8	*d = head(skb, IP6_LEN), type;
	__u32	*src, *dst;

	if (d == NULL)
		return (KEEP_ALL);
	src = (void *)(d + IP6_SRC);
	dst = (void *)(d + IP6_DST);
	if (d[IP6_DST] == 0xff)
		return (d[IP6_NEXT] == PROTO_CARP ? KEEP_PROBE :
		    KEEP_MULTICAST);
	if (d[IP6_NEXT] != PROTO_ICMP6 ||
	    bpf_skb_load_bytes(skb, ICMP6_TYPE, &type, 1) != 0)
		return (node(g, balance_fold(src, dst, 4)));
	switch (balance_icmp6(type)) {
	case BALANCE_EVERY:
		return (KEEP_ALL);
	case BALANCE_INNER:
		return (by_inner(skb, g, ICMP6_TYPE + BALANCE_ICMP_LEN +
		    BALANCE_IP6_DST, src, dst, 4));
	case BALANCE_OUTER:
		break;
	}
	return (node(g, balance_fold(src, dst, 4)));
}

/* A frame for the group's MAC has come, whoever is to have it. */
static __always_inline void
seen(__u32 leader)
{
	__u32	 index = STEER_SEEN(leader);
	__u64	*last = bpf_map_lookup_elem(&slots, &index);
	__u64	 now = bpf_ktime_get_coarse_ns();

	if (last != NULL && now - *last >= STEER_SEEN_NS)
		*last = now;
}

/*
 * A frame for the MAC of that vhid, of that group.  In ip modes the leader's
 * is the only one; IP multicast may have the same MAC as the group in mode ip,
 * and the kernel knows best what to do with it.
 */
static __noinline int
in_group(struct __sk_buff *skb, __u32 vhid, __u32 leader, __u32 type)
{
	struct steer_group	*g = bpf_map_lookup_elem(&groups, &leader);
	__u32			 keeper = KEEP_ALL;

	if (g == NULL || g->n == 0)
		return (refuse(vhid));
	if (g->mode == BALANCE_ARP)
		keeper = vhid;
	else if (vhid != leader)
		return (refuse(vhid));
	else
		seen(leader);
	if (g->mode != BALANCE_ARP && type == TYPE_IP4)
		keeper = keeper4(skb, g);
	else if (g->mode != BALANCE_ARP && type == TYPE_IP6)
		keeper = keeper6(skb, g);
	if (keeper == KEEP_PROBE ||
	    (keeper == KEEP_MULTICAST && g->mode == BALANCE_IP))
		return (TC_ACT_UNSPEC);
	if (keeper >= KEEP_ALL)
		return (take(skb, leader));
	return (state(keeper) == STEER_OFF ? refuse(keeper) :
	    take(skb, keeper));
}

/* Is this virtual MAC spoken by one node at a time? */
static __always_inline int
speaks_alone(const struct steer_vhid *v)
{
	struct steer_group	*g;
	__u32			 leader = v->leader;

	if (leader == 0)
		return (1);
	g = bpf_map_lookup_elem(&groups, &leader);
	return (g != NULL && g->mode == BALANCE_ARP);
}

SEC("tc")
int
carp_in(struct __sk_buff *skb)
{
	__u8			*d = head(skb, ETH_LEN);
	struct steer_vhid	*from, *to;
	__u16			 type;
	int			 rc = TC_ACT_UNSPEC;

	if (d == NULL)
		return (rc);
	type = get16(d + ETH_TYPE);
	if (tagged(skb, type))
		return (rc);
	to = vmac(d);
	from = vmac(d + ETH_SRC);
	if (from != NULL && speaks_alone(from))
		heard(skb, from->mac[5]);
	if (type == TYPE_IP4)
		in_ip4(skb);
	else if (type == TYPE_IP6)
		rc = in_ip6(skb);
	else if (type == TYPE_ARP)
		rc = in_arp(skb);
	if (to == NULL || rc != TC_ACT_UNSPEC)
		return (rc);
	if (to->leader != 0)
		return (in_group(skb, to->mac[5], to->leader, type));
	if (state(to->mac[5]) == STEER_OFF)
		return (refuse(to->mac[5]));
	return (take(skb, to->mac[5]));
}

/* Copy of the virtual MAC into mac[6]; 0, or -1. */
static __always_inline int
get_mac(__u32 vhid, __u8 *mac)
{
	struct steer_vhid	*v = bpf_map_lookup_elem(&vhids, &vhid);

	if (v == NULL)
		return (-1);
	__builtin_memcpy(mac, v->mac, 6);
	return (0);
}

/*
 * Mode arp, asking: who is asked takes the MAC for the address's, so that one
 * should be its own node's.  Known only if it is asked alone (a probe).
 */
static __always_inline __u32
asker(__u32 leader, const struct steer_group *g, const __u8 *to)
{
	__u32	 vhid;

	if (g->mode == BALANCE_ARP && !(to[0] & 1)) {
		vhid = node(g, balance_hash(&g->key, to));
		if (state(vhid) == STEER_ON)
			return (vhid);
	}
	return (first(leader, STEER_ON));
}

/*
 * The MAC to say for an address of that group, to "to", a broadcast or one.
 * 1: the Ethernet source as well; 0: that stays the real one; -1: nothing may
 * be said.  In ip modes all nodes say the same, so that those who are not the
 * leader can ask, too; only in ip-unicast a switch may learn it, from the one
 * that answers.
 */
static __noinline int
group_mac(__u32 leader, const __u8 *to, int why, __u8 *mac)
{
	struct steer_group	*g = bpf_map_lookup_elem(&groups, &leader);
	__u32			 vhid = leader;

	if (g == NULL)
		return (-1);
	if (why == SAY_ASK)
		vhid = asker(leader, g, to);
	else if (why == SAY_ANSWER)
		vhid = answerer(leader, to);
	if (state(vhid) != STEER_ON)
		return (-1);
	if (g->mode == BALANCE_ARP)	/* to nobody in particular: no answer */
		return (why == SAY_ANSWER && (to[0] & 1) ? -1 :
		    get_mac(vhid, mac) == 0 ? 1 : -1);
	if (get_mac(leader, mac) != 0)
		return (-1);
	return (g->mode == BALANCE_IP_UNICAST && state(leader) == STEER_ON);
}

/* IP from a virtual address: a node that drains may still finish. */
static __always_inline int
out_from(const __u32 *addr)
{
	__u32	 vhid, leader;

	if (addr == NULL)
		return (TC_ACT_UNSPEC);
	vhid = *addr;
	if ((leader = leader_of(vhid)) != 0)
		vhid = first(leader, STEER_DRAIN);
	if (state(vhid) != STEER_OFF)
		return (TC_ACT_UNSPEC);
	return (drop(STEER_STAT_OUT));
}

/* Of a group: who says "it is me" to all would move everybody's entry. */
static __noinline int
out_arp_group(struct __sk_buff *skb, __u32 leader)
{
	__u8	*d = head(skb, ARP_LEN);
	__u8	 mac[6], to[6];
	int	 source, why = SAY_ANSWER;

	if (d == NULL ||
	    __builtin_memcmp(d + ARP_SPA, d + ARP_TPA, 4) == 0)
		return (drop(STEER_STAT_OUT));
	__builtin_memcpy(to, d + ARP_THA, 6);
	if (get16(d + ARP_OP) == ARP_REQUEST) {
		__builtin_memcpy(to, d, 6);
		why = SAY_ASK;
	}
	source = group_mac(leader, to, why, mac);
	if (source == -1 ||
	    bpf_skb_store_bytes(skb, ARP_SHA, mac, 6, 0) != 0 ||
	    (source && bpf_skb_store_bytes(skb, ETH_SRC, mac, 6, 0) != 0))
		return (drop(STEER_STAT_OUT));
	count(STEER_STAT_REWRITTEN);
	return (TC_ACT_UNSPEC);
}

static __always_inline int
out_arp(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ARP_LEN);
	__u32	*vhid, leader;
	__u8	 mac[6];

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	if (get16(d + ARP_OP) == ARP_REQUEST &&
	    __builtin_memcmp(d + ARP_SPA, d + ARP_TPA, 4) != 0 &&
	    bpf_map_lookup_elem(&addrs4, d + ARP_TPA) != NULL)
		return (drop(STEER_STAT_ASKED));
	if ((vhid = bpf_map_lookup_elem(&addrs4, d + ARP_SPA)) == NULL)
		return (TC_ACT_UNSPEC);
	if ((leader = leader_of(*vhid)) != 0)
		return (out_arp_group(skb, leader));
	if (state(*vhid) != STEER_ON || get_mac(*vhid, mac) != 0 ||
	    bpf_skb_store_bytes(skb, ARP_SHA, mac, 6, 0) != 0 ||
	    bpf_skb_store_bytes(skb, ETH_SRC, mac, 6, 0) != 0)
		return (drop(STEER_STAT_OUT));
	count(STEER_STAT_REWRITTEN);
	return (TC_ACT_UNSPEC);
}

/* Give the link-layer address option "want", if there is one, this MAC. */
static __always_inline int
rewrite_option(struct __sk_buff *skb, __u32 off, __u8 want, const __u8 *mac)
{
	__u8	 old[ND_OPT_LEN], new[ND_OPT_LEN];

	if ((off = find_option(skb, off, want, old)) == 0)
		return (0);
	new[0] = old[0];
	new[1] = old[1];
	__builtin_memcpy(new + 2, mac, 6);
	if (bpf_l4_csum_replace(skb, ICMP6_SUM, 0, bpf_csum_diff(
	    (__be32 *)(void *)old, sizeof(old),
	    (__be32 *)(void *)new, sizeof(new), 0), 0) != 0)
		return (-1);
	return (bpf_skb_store_bytes(skb, off, new, sizeof(new), 0));
}

/* One copy for its four callers; the verifier likes it so too. */
static __noinline int
out_rewrite(struct __sk_buff *skb, __u32 vhid, __u32 off, __u8 want, int why)
{
	__u32	 leader = leader_of(vhid);
	__u8	 mac[6], to[6];
	int	 source = 1;

	if (leader == 0) {
		if (state(vhid) != STEER_ON || get_mac(vhid, mac) != 0)
			return (drop(STEER_STAT_OUT));
	} else if (bpf_skb_load_bytes(skb, 0, to, 6) != 0 ||
	    (source = group_mac(leader, to, why, mac)) == -1)
		return (drop(STEER_STAT_OUT));
	if (rewrite_option(skb, off, want, mac) != 0 ||
	    (source && bpf_skb_store_bytes(skb, ETH_SRC, mac, 6, 0) != 0))
		return (drop(STEER_STAT_OUT));
	count(STEER_STAT_REWRITTEN);
	return (TC_ACT_UNSPEC);
}

/* NS and NA.  Sent with a virtual address: that of the NA is its target. */
static __always_inline int
out_nd(struct __sk_buff *skb, int is_ns)
{
	__u8	*d = head(skb, ND_OPT);
	__u32	*vhid, *target;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	target = bpf_map_lookup_elem(&addrs6, d + ND_TARGET);
	if (is_ns && target != NULL)
		return (drop(STEER_STAT_ASKED));
	if (!is_ns && target != NULL)
		return (out_rewrite(skb, *target, ND_OPT, ND_TLLA,
		    SAY_ANSWER));
	vhid = bpf_map_lookup_elem(&addrs6, d + IP6_SRC);
	if (is_ns && vhid != NULL)
		return (out_rewrite(skb, *vhid, ND_OPT, ND_SLLA, SAY_ASK));
	return (out_from(vhid));
}

static __always_inline int
out_icmp6(struct __sk_buff *skb, __u32 *vhid, __u8 type)
{
	struct steer_dev	*own;
	__u32			 zero = 0;

	switch (type) {
	case ICMP6_NS:
		return (out_nd(skb, 1));
	case ICMP6_NA:
		return (out_nd(skb, 0));
	case ICMP6_RS:
		if (vhid != NULL)
			return (out_rewrite(skb, *vhid, RS_OPT, ND_SLLA,
			    SAY_ASK));
		break;
	case ICMP6_RA:		/* radvd may speak as the virtual router */
		if (vhid != NULL)
			return (out_rewrite(skb, *vhid, RA_OPT, ND_SLLA,
			    SAY_ROUTER));
		break;
	case ICMP6_REDIRECT:	/* Linux has no send_redirects for IPv6 */
		own = bpf_map_lookup_elem(&dev, &zero);
		if (own != NULL && own->has_v6)
			return (drop(STEER_STAT_OUT));
		break;
	}
	return (out_from(vhid));
}

/* Does the kernel say that it knows no protocol 112? */
static __always_inline int
disowns4(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ERR4_LEN);

	return (d != NULL && (d[ETH_LEN] & 0x0f) * 4 == IP4_LEN - ETH_LEN &&
	    d[ERR4_TYPE] == ICMP_UNREACH &&
	    d[ERR4_CODE] == ICMP_UNREACH_PROTO && d[ERR4_PROTO] == PROTO_CARP);
}

static __always_inline int
disowns6(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ERR6_LEN);

	return (d != NULL && d[ICMP6_TYPE] == ICMP6_PARAM &&
	    d[ERR6_CODE] == ICMP6_PARAM_NEXT && d[ERR6_NEXT] == PROTO_CARP);
}

static __always_inline int
out_ip6(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP6_LEN);
	__u32	*vhid;
	__u8	 hops;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	vhid = bpf_map_lookup_elem(&addrs6, d + IP6_SRC);
	if (d[IP6_NEXT] != PROTO_ICMP6)
		return (out_from(vhid));
	hops = d[IP6_HOPS];
	if (disowns6(skb))
		return (drop(STEER_STAT_DISOWNED));
	if (hops != HOPS || (d = head(skb, ICMP6_LEN)) == NULL)
		return (out_from(vhid));
	return (out_icmp6(skb, vhid, d[ICMP6_TYPE]));
}

static __always_inline int
out_ip4(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP4_LEN);
	__u32	*vhid;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	vhid = bpf_map_lookup_elem(&addrs4, d + IP4_SRC);
	if (d[IP4_PROTO] == PROTO_ICMP && disowns4(skb))
		return (drop(STEER_STAT_DISOWNED));
	return (out_from(vhid));
}

static __always_inline int
own_mac(const __u8 *mac)
{
	struct steer_dev	*own;
	__u32			 zero = 0;

	own = bpf_map_lookup_elem(&dev, &zero);
	return (own != NULL && same_mac(mac, own->mac));
}

/*
 * May it say "addr is at mac"?  Only for an address of ours, with one of our
 * MACs, and while we are its MASTER: a process that wakes up after its
 * successor has spoken must not announce.  Nobody announces for a group.
 */
static __always_inline int
may_claim(const __u32 *addr, const __u8 *mac)
{
	struct steer_vhid	*v;
	__u32			 vhid;

	if (addr == NULL || leader_of(*addr) != 0)
		return (0);
	if ((v = vmac(mac)) != NULL)
		vhid = v->mac[5];
	else if (own_mac(mac))
		vhid = *addr;
	else
		return (0);
	return (state(vhid) == STEER_ON);
}

/*
 * May advertisements come from this virtual MAC?  See balance_real_source().
 */
static __always_inline int
may_be_source(const struct steer_vhid *v)
{
	struct steer_group	*g;
	__u32			 leader = v->leader;

	if (leader == 0)
		return (1);
	g = bpf_map_lookup_elem(&groups, &leader);
	return (g != NULL && g->mode != BALANCE_IP &&
	    g->mode != BALANCE_IP_STEALTH);
}

/*
 * A unicast advertisement that the kernel has routed: the virtual router
 * speaks, not this host.  A notice (vhid 0) is this host's word.
 */
static __noinline int
speak(struct __sk_buff *skb, __u32 off)
{
	struct steer_vhid	*v;
	__u8			 carp[2], mac[6];
	__u32			 vhid;

	if (bpf_skb_load_bytes(skb, off, carp, sizeof(carp)) != 0)
		return (0);
	vhid = carp[1];
	v = bpf_map_lookup_elem(&vhids, &vhid);
	if (v == NULL || v->configured != STEER_CONFIGURED ||
	    !may_be_source(v))
		return (0);
	__builtin_memcpy(mac, v->mac, 6);
	return (bpf_skb_store_bytes(skb, ETH_SRC, mac, 6, 0));
}

static __always_inline int
marked_arp(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ARP_LEN);

	return (d != NULL && may_claim(bpf_map_lookup_elem(&addrs4,
	    d + ARP_SPA), d + ARP_SHA));
}

static __always_inline int
marked_ip6(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP6_LEN);

	if (d == NULL)
		return (0);
	if (d[IP6_NEXT] == PROTO_CARP)
		return ((d[0] & 1) != 0 || speak(skb, IP6_LEN) == 0);
	if (d[IP6_NEXT] != PROTO_ICMP6 || (d = head(skb, NA_LEN)) == NULL)
		return (0);
	return (d[ICMP6_TYPE] == ICMP6_NA && d[ND_OPT] == ND_TLLA &&
	    d[ND_OPT + 1] == 1 && may_claim(bpf_map_lookup_elem(&addrs6,
	    d + ND_TARGET), d + ND_OPT + 2));
}

static __always_inline int
marked_ip4(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP4_LEN);

	if (d == NULL || d[IP4_PROTO] != PROTO_CARP)
		return (0);
	return ((d[0] & 1) != 0 ||
	    speak(skb, ETH_LEN + (d[ETH_LEN] & 0x0f) * 4) == 0);
}

/* May a frame of the engine's come from there? */
static __always_inline int
may_send(const __u8 *mac)
{
	struct steer_vhid	*v = vmac(mac);

	return (v != NULL ? may_be_source(v) : own_mac(mac));
}

/*
 * The engine's socket, which an intruder may hold: what CARP needs to say,
 * with our MACs, passes.  Not subject to anything else here: the last
 * advertisement leaves when the slot is closed already.
 */
static __always_inline int
out_marked(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ETH_LEN);
	__u16	 type;
	int	 ok = 0;

	if (d == NULL || !may_send(d + ETH_SRC))
		return (drop(STEER_STAT_MARKED));
	type = get16(d + ETH_TYPE);
	if (tagged(skb, type))
		ok = 0;
	else if (type == TYPE_IP4)
		ok = marked_ip4(skb);
	else if (type == TYPE_IP6)
		ok = marked_ip6(skb);
	else if (type == TYPE_ARP)
		ok = marked_arp(skb);
	if (!ok)
		return (drop(STEER_STAT_MARKED));
	/*
	 * Of a VLAN's frame its parent, if that is a carpdev as well, is not to
	 * judge anew: there it belongs to the VLAN.
	 */
	skb->mark = 0;
	return (TC_ACT_UNSPEC);
}

SEC("tc")
int
carp_out(struct __sk_buff *skb)
{
	__u8	*d;
	__u16	 type;

	if (skb->mark == STEER_MARK)
		return (out_marked(skb));
	if ((d = head(skb, ETH_LEN)) == NULL)
		return (TC_ACT_UNSPEC);
	type = get16(d + ETH_TYPE);
	if (tagged(skb, type))
		return (TC_ACT_UNSPEC);
	if (vmac(d + ETH_SRC) != NULL)
		return (drop(STEER_STAT_OUT));
	if (type == TYPE_IP4)
		return (out_ip4(skb));
	if (type == TYPE_IP6)
		return (out_ip6(skb));
	if (type == TYPE_ARP)
		return (out_arp(skb));
	return (TC_ACT_UNSPEC);
}
