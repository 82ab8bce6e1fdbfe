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
enum { ARP_OP = 20, ARP_SHA = 22, ARP_SPA = 28, ARP_TPA = 38, ARP_LEN = 42 };
enum {
	IP4_FRAG = 20, IP4_TTL = 22, IP4_PROTO = 23, IP4_SRC = 26, IP4_LEN = 34
};
enum {
	IP6_NEXT = 20, IP6_HOPS = 21, IP6_SRC = 22, IP6_LEN = 54,
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
enum { ND_SLLA = 1, ND_TLLA = 2, ND_OPTS_MAX = 8 };

#define ARP_REQUEST	1
#define CARP_VER_TYPE	0x21	/* version 2, advertisement */
#define HOPS		255	/* of CARP and ND: not from beyond the link */
#define VLAN_VID	0x0fff

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STEER_SLOTS);
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

/* The vhid whose virtual MAC this is, 0: none. */
static __always_inline __u32
vmac(const __u8 *mac)
{
	const __u16		*m = (const void *)mac;
	struct steer_vhid	*v;
	__u32			 vhid;

	if (m[0] != 0 || m[1] != bpf_htons(0x5e00) || mac[4] != 0x01)
		return (0);
	vhid = mac[5];
	v = bpf_map_lookup_elem(&vhids, &vhid);
	if (v == NULL || v->configured == STEER_UNUSED ||
	    !same_mac(mac, v->mac))
		return (0);
	return (vhid);
}

/* STEER_ON, _DRAIN, or _OFF also when the lease has run out. */
static __always_inline __u32
state(__u32 vhid)
{
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);
	__u64		 w, lease;

	if (s == NULL)
		return (STEER_OFF);
	w = *s;
	if (STEER_STATE(w) == STEER_ON)
		lease = STEER_LEASE(STEER_INTERVAL(w));
	else if (STEER_STATE(w) == STEER_DRAIN)
		lease = STEER_DRAIN_NS;
	else
		return (STEER_OFF);
	if (STEER_PAST(w, lease, bpf_ktime_get_coarse_ns()))
		return (STEER_OFF);
	return (STEER_STATE(w));
}

/*
 * Somebody else spoke as this virtual router: if the engine has not renewed
 * the lease in time, it is dead or stopped, and this is its successor.
 */
static __always_inline void
heard(const struct __sk_buff *skb, __u32 vhid)
{
	volatile __u64	*s = bpf_map_lookup_elem(&slots, &vhid);
	__s64		 age;
	__u64		 w;

	if (s == NULL)
		return;
	w = *s;
	/* our own multicast, looped, has no Ethernet header */
	if (STEER_STATE(w) != STEER_ON || skb->pkt_type == PACKET_LOOPBACK)
		return;
	age = (__s64)(bpf_ktime_get_ns() - STEER_TIME(w));
	if (age <= (__s64)STEER_STALE(STEER_INTERVAL(w)))
		return;
	*s = STEER_OFF;
	count(STEER_STAT_CLOSED);
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
	if (v != NULL && v->configured != STEER_UNUSED)
		heard(skb, vhid);
}

static __always_inline int
in_arp(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ARP_LEN);
	__u32	*vhid;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	if ((vhid = bpf_map_lookup_elem(&addrs4, d + ARP_SPA)) != NULL)
		heard(skb, *vhid);
	if (get16(d + ARP_OP) != ARP_REQUEST)
		return (TC_ACT_UNSPEC);
	if ((vhid = bpf_map_lookup_elem(&addrs4, d + ARP_TPA)) == NULL ||
	    state(*vhid) == STEER_ON)
		return (TC_ACT_UNSPEC);
	return (drop(STEER_STAT_ARP_IN));
}

static __always_inline void
in_ip4(struct __sk_buff *skb)
{
	__u8	*d = head(skb, IP4_LEN);

	if (d == NULL || d[IP4_PROTO] != PROTO_CARP || d[IP4_TTL] != HOPS ||
	    (get16(d + IP4_FRAG) & 0x1fff) != 0)
		return;
	heard_carp(skb, ETH_LEN + (d[ETH_LEN] & 0x0f) * 4);
}

static __always_inline int
in_nd(struct __sk_buff *skb, int is_ns)
{
	__u8	*d = head(skb, ND_OPT);
	__u32	*vhid;

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	vhid = bpf_map_lookup_elem(&addrs6, d + (is_ns ? IP6_SRC : ND_TARGET));
	if (vhid != NULL)
		heard(skb, *vhid);
	if (!is_ns)
		return (TC_ACT_UNSPEC);
	if ((vhid = bpf_map_lookup_elem(&addrs6, d + ND_TARGET)) == NULL ||
	    state(*vhid) == STEER_ON)
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

SEC("tc")
int
carp_in(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ETH_LEN);
	__u32	 from, to;
	__u16	 type;
	int	 rc = TC_ACT_UNSPEC;

	if (d == NULL)
		return (rc);
	type = get16(d + ETH_TYPE);
	if (tagged(skb, type))
		return (rc);
	to = vmac(d);
	from = vmac(d + ETH_SRC);
	if (from != 0)
		heard(skb, from);
	if (type == TYPE_IP4)
		in_ip4(skb);
	else if (type == TYPE_IP6)
		rc = in_ip6(skb);
	else if (type == TYPE_ARP)
		rc = in_arp(skb);
	if (to == 0 || rc != TC_ACT_UNSPEC)
		return (rc);
	if (state(to) == STEER_OFF)
		return (drop(STEER_STAT_OFF));
	/* the NIC's driver took it for another host's */
	bpf_skb_change_type(skb, PACKET_HOST);
	count(STEER_STAT_TAKEN);
	return (TC_ACT_UNSPEC);
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

/* IP from a virtual address: a node that drains may still finish. */
static __always_inline int
out_from(const __u32 *vhid)
{
	if (vhid == NULL || state(*vhid) != STEER_OFF)
		return (TC_ACT_UNSPEC);
	return (drop(STEER_STAT_OUT));
}

static __always_inline int
out_arp(struct __sk_buff *skb)
{
	__u8	*d = head(skb, ARP_LEN);
	__u32	*vhid;
	__u8	 mac[6];

	if (d == NULL)
		return (TC_ACT_UNSPEC);
	if (get16(d + ARP_OP) == ARP_REQUEST &&
	    __builtin_memcmp(d + ARP_SPA, d + ARP_TPA, 4) != 0 &&
	    bpf_map_lookup_elem(&addrs4, d + ARP_TPA) != NULL)
		return (drop(STEER_STAT_ASKED));
	if ((vhid = bpf_map_lookup_elem(&addrs4, d + ARP_SPA)) == NULL)
		return (TC_ACT_UNSPEC);
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
	__u8	 old[8], new[8];
	int	 i;

	for (i = 0; i < ND_OPTS_MAX; i++) {
		if (bpf_skb_load_bytes(skb, off, old, sizeof(old)) != 0 ||
		    old[1] == 0)
			return (0);
		if (old[0] == want)
			break;
		off += old[1] * 8;
	}
	if (i == ND_OPTS_MAX)
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
out_rewrite(struct __sk_buff *skb, __u32 vhid, __u32 off, __u8 want)
{
	__u8	 mac[6];

	if (state(vhid) != STEER_ON || get_mac(vhid, mac) != 0 ||
	    rewrite_option(skb, off, want, mac) != 0 ||
	    bpf_skb_store_bytes(skb, ETH_SRC, mac, 6, 0) != 0)
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
		return (out_rewrite(skb, *target, ND_OPT, ND_TLLA));
	vhid = bpf_map_lookup_elem(&addrs6, d + IP6_SRC);
	if (is_ns && vhid != NULL)
		return (out_rewrite(skb, *vhid, ND_OPT, ND_SLLA));
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
			return (out_rewrite(skb, *vhid, RS_OPT, ND_SLLA));
		break;
	case ICMP6_RA:		/* radvd may speak as the virtual router */
		if (vhid != NULL)
			return (out_rewrite(skb, *vhid, RA_OPT, ND_SLLA));
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
 * successor has spoken must not announce.
 */
static __always_inline int
may_claim(const __u32 *addr, const __u8 *mac)
{
	__u32	 vhid;

	if (addr == NULL)
		return (0);
	if ((vhid = vmac(mac)) == 0) {
		if (!own_mac(mac))
			return (0);
		vhid = *addr;
	}
	return (state(vhid) == STEER_ON);
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
	if (v == NULL || v->configured != STEER_CONFIGURED)
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

	if (d == NULL || (vmac(d + ETH_SRC) == 0 && !own_mac(d + ETH_SRC)))
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
	return (ok ? TC_ACT_UNSPEC : drop(STEER_STAT_MARKED));
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
	if (vmac(d + ETH_SRC) != 0)
		return (drop(STEER_STAT_OUT));
	if (type == TYPE_IP4)
		return (out_ip4(skb));
	if (type == TYPE_IP6)
		return (out_ip6(skb));
	if (type == TYPE_ARP)
		return (out_arp(skb));
	return (TC_ACT_UNSPEC);
}
