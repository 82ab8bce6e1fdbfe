/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Flows for tests: entries of the kernel's connection tracking table made,
 * changed, removed, listed, counted and compared, and packets that make the
 * kernel do so itself.  Runs inside a namespace (ip netns exec); NETNS is the
 * path of another one.
 *
 *	flows make|del|update N [options]	by ctnetlink, in batches
 *	flows list [filters]			canonical, sorted lines
 *	flows count
 *	flows wait N [--most] [--ms T]		until at least, or at most, N
 *	flows diff NETNS [filters]		this table and that one, as sets
 *	flows lag N NETNS [options]		make N here; when are they there
 *	flows events [--secs T]			listen and count until silence
 *	flows real N [options]			UDP packets or SYNs of N ports
 *	flows echo DEV [--secs T]		returns the packets of `real`
 *
 * Flow number n (--base K and up) always has the same tuples, distinct from
 * those of all other numbers, translated or not, so several runs compose.
 * What `make` makes stands for ASSURED connections unless told otherwise.
 * Everything ends by itself: `echo` and `events` after T seconds, and with
 * their parent.
 */
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define NSEC		1000000000LL
#define FLOWS_MAX	10000000U
#define BATCH		64
#define SNDBUF		(1 << 18)
#define RCVBUF		(64 << 20)
#define DUMPBUF		(1 << 18)
#define PORTS		50000U		/* translated ports a destination */
#define PORT_FIRST	10000U
#define FILTERS_MAX	32
#define PKTS		64		/* a system call */
#define PKT_MAX		1600
#define QUIET_MS	1000		/* `events`: nothing for so long: end */

/* The networks that flow numbers are mapped into. */
#define NET_SRC		0x0a400000U	/* 10.64.0.0/10: made flows */
#define NET_REAL	0x0a800000U	/* 10.128.0.0/9: real flows */
#define NET_DST		0xc6120001U	/* 198.18.0.1 and on, of a /15 */
#define NAT_TO		"172.16.240.202"
#define NAT_TO6		"2001:db8:240::202"
#define DNAT_HOST	0xac100a00U	/* 172.16.10.0/24: inside servers */

struct tuple {
	uint8_t		 src[16], dst[16];
	uint16_t	 sport, dport;		/* host order; ICMP: see list */
};

/* What is compared comes first, and what it is sorted by first of all. */
struct rec {
	uint16_t	 zone;
	uint8_t		 af, proto;
	struct tuple	 orig;
	struct tuple	 reply;		/* end of the identity: REC_ID */
	uint32_t	 mark;
	uint8_t		 status, tcp;
	uint8_t		 wscale[2];	/* shift + 1, 0: none; REC_CMP */
	uint32_t	 timeout;
	uint8_t		 flags[2];
	uint8_t		 pad[2];
};
#define REC_ID		offsetof(struct rec, reply)
#define REC_CMP		offsetof(struct rec, timeout)
#define STATUS		(IPS_SEEN_REPLY | IPS_ASSURED)

struct table {
	struct rec	*rec;
	size_t		 n, size;
};

struct prefix {
	uint8_t		 af, plen;
	uint8_t		 addr[16];
};

static struct options {
	uint32_t	 base, natbase, rate, batch, ms, secs, show;
	uint32_t	 mark, timeout, zone;
	int		 proto, tcp;
	bool		 v6, snat, dnat, unreplied, unassured, syn;
	bool		 most, all, timeouts, flags, count, has_mark, loose;
	struct in_addr	 nat, to;
	struct in6_addr	 nat6;
	uint16_t	 port;
	int		 only, having;
	struct prefix	 skip[FILTERS_MAX];
	size_t		 nskip;
} o = { .proto = IPPROTO_TCP, .tcp = TCP_CONNTRACK_ESTABLISHED,
	.timeout = 3600, .batch = BATCH, .secs = 60, .ms = 10000, .show = 10,
	.port = 5001 };

static const char *const tcp_names[] = { "NONE", "SYN_SENT", "SYN_RECV",
	"ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT",
	"CLOSE", "SYN_SENT2" };
#define TCP_NAMES	(sizeof(tcp_names) / sizeof(tcp_names[0]))

static volatile sig_atomic_t	 stop;

static void	 usage(void) __attribute__((noreturn));

static void
usage(void)
{
	fprintf(stderr, "usage: flows make|del|update N [option ...]\n"
	    "       flows list|count|wait N|diff NETNS|lag N NETNS\n"
	    "       flows events|real N|echo DEV\n");
	exit(2);
}

static int64_t
now_ns(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * NSEC + ts.tv_nsec);
}

static void
sleep_until(int64_t t)
{
	struct timespec	 ts = { .tv_sec = t / NSEC, .tv_nsec = t % NSEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	    EINTR && !stop)
		continue;
}

static uint32_t
number(const char *s, uint32_t max)
{
	char		*end;
	unsigned long	 n;

	errno = 0;
	n = strtoul(s, &end, 0);
	if (errno != 0 || end == s || *end != '\0' || n > max)
		errx(2, "not a number up to %" PRIu32 ": %s", max, s);
	return ((uint32_t)n);
}

static void
on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* What waits for others ends with its parent, and when it is told to. */
static void
tie(void)
{
	struct sigaction	 sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_signal;
	if (sigaction(SIGTERM, &sa, NULL) == -1 ||
	    sigaction(SIGINT, &sa, NULL) == -1)
		err(1, "sigaction");
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) == -1)
		err(1, "PR_SET_PDEATHSIG");
}

/* ---- netlink ---- */

static uint8_t			 sndbuf[SNDBUF + 4096];
static uint8_t			 rcvbuf[DUMPBUF];
static uint64_t			 failed[200];	/* by errno */

static void
force_buffers(int fd)
{
	int	 size = RCVBUF;

	/* What is refused stays as it is. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static struct mnl_socket *
nl_open(unsigned int groups)
{
	struct mnl_socket	*nl;
	int			 one = 1;

	if ((nl = mnl_socket_open(NETLINK_NETFILTER)) == NULL)
		err(1, "netlink socket");
	force_buffers(mnl_socket_get_fd(nl));
	/* an error's reply need not have the whole request in it */
	(void)mnl_socket_setsockopt(nl, NETLINK_CAP_ACK, &one, sizeof(one));
	if (mnl_socket_bind(nl, groups, MNL_SOCKET_AUTOPID) == -1)
		err(1, "bind netlink socket");
	return (nl);
}

/* A socket that lives in another network namespace. */
static struct mnl_socket *
nl_open_in(const char *netns, unsigned int groups)
{
	struct mnl_socket	*nl;
	int			 here, there;

	if ((here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "/proc/self/ns/net");
	if ((there = open(netns, O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "%s", netns);
	if (setns(there, CLONE_NEWNET) == -1)
		err(1, "enter %s", netns);
	nl = nl_open(groups);
	if (setns(here, CLONE_NEWNET) == -1)
		err(1, "come back");
	close(here);
	close(there);
	return (nl);
}

static struct nlmsghdr *
nl_header(void *buf, uint16_t type, uint16_t flags, uint8_t family,
    uint32_t seq)
{
	struct nlmsghdr		*h;
	struct nfgenmsg		*g;

	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	return (h);
}

/* Read what the kernel had to say against a batch. */
static void
nl_drain(struct mnl_socket *nl)
{
	struct nlmsghdr		*h;
	const struct nlmsgerr	*e;
	ssize_t			 got;
	int			 n, no;

	while ((got = recv(mnl_socket_get_fd(nl), rcvbuf, sizeof(rcvbuf),
	    MSG_DONTWAIT)) > 0) {
		n = (int)got;
		for (h = (struct nlmsghdr *)rcvbuf; mnl_nlmsg_ok(h, n);
		    h = mnl_nlmsg_next(h, &n)) {
			if (h->nlmsg_type != NLMSG_ERROR)
				continue;
			e = mnl_nlmsg_get_payload(h);
			no = -e->error;
			failed[no < 0 || no > 199 ? 199 : no]++;
		}
	}
	if (got == -1 && errno != EAGAIN)
		failed[errno > 199 ? 199 : errno]++;
}

static uint64_t
failures(FILE *f)
{
	uint64_t	 sum = 0;
	int		 i;

	for (i = 1; i < 200; i++) {
		if (failed[i] == 0)
			continue;
		sum += failed[i];
		if (f != NULL)
			fprintf(f, "flows: %s: %" PRIu64 " times\n",
			    strerror(i), failed[i]);
	}
	return (sum);
}

/* ---- flow numbers to tuples ---- */

static void
put4(uint8_t *a, uint32_t v)
{
	v = htonl(v);
	memcpy(a, &v, sizeof(v));
}

static void
put6(uint8_t a[16], uint16_t net, uint32_t v)
{
	static const uint8_t	 doc[4] = { 0x20, 0x01, 0x0d, 0xb8 };

	memset(a, 0, 16);
	memcpy(a, doc, sizeof(doc));
	a[4] = (uint8_t)(net >> 8);
	a[5] = (uint8_t)net;
	put4(a + 12, v);
}

static uint16_t
nat_port(uint32_t n)
{
	return ((uint16_t)(PORT_FIRST + (n + o.natbase) % PORTS));
}

/* From inside to outside, or with --dnat the other way round. */
static void
number_orig(uint32_t n, struct tuple *t)
{
	memset(t, 0, sizeof(*t));
	t->sport = (uint16_t)(1024 + (n & 0xff));
	t->dport = 443;
	if (o.v6) {
		put6(t->src, 0x64, n >> 8);
		put6(t->dst, 0x65, 1 + n / PORTS);
		return;
	}
	put4(t->src, NET_SRC + (n >> 8));
	put4(t->dst, NET_DST + n / PORTS);
	if (o.dnat)
		memcpy(t->dst, &o.nat, sizeof(o.nat));
}

/* The reply as it is with the translation asked for. */
static void
number_reply(uint32_t n, const struct tuple *orig, struct tuple *t)
{
	memcpy(t->src, orig->dst, 16);
	memcpy(t->dst, orig->src, 16);
	t->sport = orig->dport;
	t->dport = orig->sport;
	if (o.snat) {
		if (o.v6)
			memcpy(t->dst, &o.nat6, 16);
		else
			memcpy(t->dst, &o.nat, sizeof(o.nat));
		t->dport = nat_port(n);
	}
	if (o.dnat && !o.v6) {
		put4(t->src, DNAT_HOST + 1 + n % 250);
		t->sport = 8443;
	}
}

/* ---- messages ---- */

static void
put_addrs(struct nlmsghdr *h, const struct tuple *t)
{
	struct nlattr	*n = mnl_attr_nest_start(h, CTA_TUPLE_IP);

	mnl_attr_put(h, o.v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, o.v6 ? 16 : 4,
	    t->src);
	mnl_attr_put(h, o.v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, o.v6 ? 16 : 4,
	    t->dst);
	mnl_attr_nest_end(h, n);
}

static void
put_tuple(struct nlmsghdr *h, uint16_t type, const struct tuple *t)
{
	struct nlattr	*n = mnl_attr_nest_start(h, type), *p;

	put_addrs(h, t);
	p = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(h, CTA_PROTO_NUM, (uint8_t)o.proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(t->sport));
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(t->dport));
	mnl_attr_nest_end(h, p);
	mnl_attr_nest_end(h, n);
}

static void
put_nat(struct nlmsghdr *h, uint16_t type, const uint8_t *addr, uint16_t port)
{
	struct nlattr	*n = mnl_attr_nest_start(h, type), *p;

	mnl_attr_put(h, o.v6 ? CTA_NAT_V6_MINIP : CTA_NAT_V4_MINIP,
	    o.v6 ? 16 : 4, addr);
	mnl_attr_put(h, o.v6 ? CTA_NAT_V6_MAXIP : CTA_NAT_V4_MAXIP,
	    o.v6 ? 16 : 4, addr);
	p = mnl_attr_nest_start(h, CTA_NAT_PROTO);
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MIN, htons(port));
	mnl_attr_put_u16(h, CTA_PROTONAT_PORT_MAX, htons(port));
	mnl_attr_nest_end(h, p);
	mnl_attr_nest_end(h, n);
}

static void
put_tcp(struct nlmsghdr *h)
{
	struct nf_ct_tcp_flags	 f = { 0x03, 0x03 };	/* wscale, SACK */
	struct nlattr		*n, *m;

	n = mnl_attr_nest_start(h, CTA_PROTOINFO);
	m = mnl_attr_nest_start(h, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_STATE, (uint8_t)o.tcp);
	mnl_attr_put(h, CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, sizeof(f), &f);
	mnl_attr_put(h, CTA_PROTOINFO_TCP_FLAGS_REPLY, sizeof(f), &f);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, 7);
	mnl_attr_put_u8(h, CTA_PROTOINFO_TCP_WSCALE_REPLY, 8);
	mnl_attr_nest_end(h, m);
	mnl_attr_nest_end(h, n);
}

static void
put_body(struct nlmsghdr *h)
{
	uint32_t	 status = IPS_CONFIRMED;

	if (!o.unreplied)
		status |= IPS_SEEN_REPLY;
	if (!o.unreplied && !o.unassured)
		status |= IPS_ASSURED;
	mnl_attr_put_u32(h, CTA_STATUS, htonl(status));
	mnl_attr_put_u32(h, CTA_TIMEOUT, htonl(o.timeout));
	if (o.has_mark)
		mnl_attr_put_u32(h, CTA_MARK, htonl(o.mark));
	if (o.proto == IPPROTO_TCP)
		put_tcp(h);
}

enum op { OP_MAKE, OP_UPDATE, OP_DEL };

/*
 * As design of the kernel wants it: the reply given is the inversion of the
 * original, the translation stands in the NAT attributes, an update has none.
 */
static size_t
build(void *buf, enum op op, uint32_t n, uint32_t seq)
{
	struct tuple	 orig, reply;
	struct nlmsghdr	*h;
	uint8_t		 family = o.v6 ? AF_INET6 : AF_INET;

	number_orig(n, &orig);
	number_reply(n, &orig, &reply);
	if (op == OP_DEL) {
		h = nl_header(buf, IPCTNL_MSG_CT_DELETE, 0, family, seq);
		put_tuple(h, CTA_TUPLE_ORIG, &orig);
	} else {
		struct tuple	 inverse = { .sport = orig.dport,
				    .dport = orig.sport };

		memcpy(inverse.src, orig.dst, 16);
		memcpy(inverse.dst, orig.src, 16);
		h = nl_header(buf, IPCTNL_MSG_CT_NEW, op == OP_MAKE ?
		    NLM_F_CREATE | NLM_F_EXCL : 0, family, seq);
		put_tuple(h, CTA_TUPLE_ORIG, &orig);
		if (op == OP_MAKE)
			put_tuple(h, CTA_TUPLE_REPLY, &inverse);
		if (op == OP_MAKE && o.snat)
			put_nat(h, CTA_NAT_SRC, reply.dst, reply.dport);
		if (op == OP_MAKE && o.dnat)
			put_nat(h, CTA_NAT_DST, reply.src, reply.sport);
		put_body(h);
	}
	if (o.zone != 0)
		mnl_attr_put_u16(h, CTA_ZONE, htons((uint16_t)o.zone));
	return (h->nlmsg_len);
}

/* How many at once, so that a rate is kept by steps of a millisecond. */
static uint32_t
batch_size(void)
{
	uint32_t	 n = o.batch;

	if (o.rate != 0 && n > o.rate / 1000)
		n = o.rate / 1000;
	return (n == 0 ? 1 : n);
}

/* Send flows k, k + 1 ... of a run of n; returns how many. */
static uint32_t
send_batch(struct mnl_socket *nl, enum op op, uint32_t k, uint32_t n)
{
	uint32_t	 i, most = batch_size();
	size_t		 len = 0;

	for (i = 0; i < most && k + i < n && len < SNDBUF - 1024; i++)
		len += build(sndbuf + len, op, o.base + k + i, k + i + 1);
	if (mnl_socket_sendto(nl, sndbuf, len) == -1)
		err(1, "send to netlink");
	nl_drain(nl);
	return (i);
}

static int
run_ops(enum op op, uint32_t n)
{
	struct mnl_socket	*nl = nl_open(0);
	int64_t			 start = now_ns();
	uint32_t		 k = 0;
	uint64_t		 bad;

	while (k < n && !stop) {
		if (o.rate != 0)
			sleep_until(start + (int64_t)k * NSEC / o.rate);
		k += send_batch(nl, op, k, n);
	}
	bad = failures(stderr);
	printf("%" PRIu32 " sent, %" PRIu64 " failed, %.6f s\n", k, bad,
	    (double)(now_ns() - start) / NSEC);
	mnl_socket_close(nl);
	return (bad != 0);
}

/* ---- dumps ---- */

static void
get_addrs(const struct nlattr *nest, struct rec *r, struct tuple *t)
{
	struct nlattr	*a;

	mnl_attr_for_each_nested(a, nest) {
		size_t	 len = mnl_attr_get_payload_len(a);

		if (len != 4 && len != 16)
			continue;
		r->af = len == 4 ? 4 : 6;
		switch (mnl_attr_get_type(a)) {
		case CTA_IP_V4_SRC:
		case CTA_IP_V6_SRC:
			memcpy(t->src, mnl_attr_get_payload(a), len);
			break;
		case CTA_IP_V4_DST:
		case CTA_IP_V6_DST:
			memcpy(t->dst, mnl_attr_get_payload(a), len);
			break;
		}
	}
}

static void
get_proto(const struct nlattr *nest, struct rec *r, struct tuple *t)
{
	struct nlattr	*a;

	mnl_attr_for_each_nested(a, nest) {
		switch (mnl_attr_get_type(a)) {
		case CTA_PROTO_NUM:
			r->proto = mnl_attr_get_u8(a);
			break;
		case CTA_PROTO_SRC_PORT:
		case CTA_PROTO_ICMP_ID:
		case CTA_PROTO_ICMPV6_ID:
			t->sport = ntohs(mnl_attr_get_u16(a));
			break;
		case CTA_PROTO_DST_PORT:
			t->dport = ntohs(mnl_attr_get_u16(a));
			break;
		case CTA_PROTO_ICMP_TYPE:
		case CTA_PROTO_ICMPV6_TYPE:
			t->dport |= (uint16_t)(mnl_attr_get_u8(a) << 8);
			break;
		case CTA_PROTO_ICMP_CODE:
		case CTA_PROTO_ICMPV6_CODE:
			t->dport |= mnl_attr_get_u8(a);
			break;
		}
	}
}

static void
get_tuple(const struct nlattr *nest, struct rec *r, struct tuple *t)
{
	struct nlattr	*a;

	mnl_attr_for_each_nested(a, nest) {
		if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
			get_addrs(a, r, t);
		else if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
			get_proto(a, r, t);
	}
}

static void
get_tcp(const struct nlattr *nest, struct rec *r)
{
	struct nlattr	*a;
	int			 i;

	mnl_attr_for_each_nested(a, nest) {
		switch (mnl_attr_get_type(a)) {
		case CTA_PROTOINFO_TCP_STATE:
			r->tcp = mnl_attr_get_u8(a);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_ORIGINAL:
			r->wscale[0] = mnl_attr_get_u8(a);
			break;
		case CTA_PROTOINFO_TCP_WSCALE_REPLY:
			r->wscale[1] = mnl_attr_get_u8(a);
			break;
		case CTA_PROTOINFO_TCP_FLAGS_ORIGINAL:
			r->flags[0] = *(uint8_t *)mnl_attr_get_payload(a);
			break;
		case CTA_PROTOINFO_TCP_FLAGS_REPLY:
			r->flags[1] = *(uint8_t *)mnl_attr_get_payload(a);
			break;
		}
	}
	for (i = 0; i < 2; i++)
		r->wscale[i] = !o.loose &&
		    r->flags[i] & IP_CT_TCP_FLAG_WINDOW_SCALE ?
		    (uint8_t)(r->wscale[i] + 1) : 0;
}

static void
get_rec(const struct nlmsghdr *h, struct rec *r)
{
	struct nlattr	*a, *b;

	memset(r, 0, sizeof(*r));
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(a)) {
		case CTA_TUPLE_ORIG:
			get_tuple(a, r, &r->orig);
			break;
		case CTA_TUPLE_REPLY:
			get_tuple(a, r, &r->reply);
			break;
		case CTA_STATUS:
			r->status = ntohl(mnl_attr_get_u32(a)) & STATUS;
			break;
		case CTA_TIMEOUT:
			r->timeout = ntohl(mnl_attr_get_u32(a));
			break;
		case CTA_MARK:
			r->mark = ntohl(mnl_attr_get_u32(a));
			break;
		case CTA_ZONE:
			r->zone = ntohs(mnl_attr_get_u16(a));
			break;
		case CTA_PROTOINFO:
			mnl_attr_for_each_nested(b, a)
				if (mnl_attr_get_type(b) == CTA_PROTOINFO_TCP)
					get_tcp(b, r);
			break;
		}
	}
}

static bool
in_prefix(const struct prefix *p, uint8_t af, const uint8_t *a)
{
	int	 bytes = p->plen / 8, bits = p->plen % 8;

	if (p->af != af || memcmp(p->addr, a, (size_t)bytes) != 0)
		return (false);
	return (bits == 0 || (p->addr[bytes] ^ a[bytes]) >> (8 - bits) == 0);
}

/*
 * What no test is about: CARP, pfsync and IGMP, multicast, and what an address
 * of --skip began or answers, i.e. the firewalls' own traffic.
 */
static bool
wanted(const struct rec *r)
{
	size_t	 i;

	if (o.all)
		return (true);
	if ((o.only != 0 && r->proto != o.only) ||
	    (o.having != 0 && r->tcp != o.having))
		return (false);
	if (r->proto == 112 || r->proto == 240 || r->proto == IPPROTO_IGMP ||
	    (r->af == 4 ? r->orig.dst[0] >= 224 : r->orig.dst[0] == 0xff))
		return (false);
	for (i = 0; i < o.nskip; i++)
		if (in_prefix(&o.skip[i], r->af, r->orig.src) ||
		    in_prefix(&o.skip[i], r->af, r->reply.src))
			return (false);
	return (true);
}

static int
dump_cb(const struct nlmsghdr *h, void *arg)
{
	struct table	*t = arg;

	if (t->n == t->size) {
		t->size = t->size == 0 ? 4096 : t->size * 2;
		if ((t->rec = reallocarray(t->rec, t->size,
		    sizeof(*t->rec))) == NULL)
			err(1, NULL);
	}
	get_rec(h, &t->rec[t->n]);
	if (wanted(&t->rec[t->n]))
		t->n++;
	return (MNL_CB_OK);
}

static int
rec_cmp(const void *a, const void *b)
{
	return (memcmp(a, b, REC_CMP));
}

/* Two messages may carry one entry when the table moves under a dump. */
static void
unique(struct table *t)
{
	size_t	 i, n = 0;

	if (t->n > 0)
		qsort(t->rec, t->n, sizeof(*t->rec), rec_cmp);
	for (i = 0; i < t->n; i++)
		if (n == 0 || memcmp(&t->rec[n - 1], &t->rec[i], REC_ID) != 0)
			t->rec[n++] = t->rec[i];
	t->n = n;
}

static void
dump(struct mnl_socket *nl, struct table *t)
{
	struct nlmsghdr	*h;
	ssize_t		 n;
	int		 rc = MNL_CB_OK;

	h = nl_header(sndbuf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, 1);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) == -1)
		err(1, "ask for a dump");
	t->n = 0;
	while (rc > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(nl, rcvbuf, sizeof(rcvbuf));
		if (n == -1)
			err(1, "read a dump");
		rc = mnl_cb_run(rcvbuf, (size_t)n, 1,
		    mnl_socket_get_portid(nl), dump_cb, t);
	}
	if (rc == MNL_CB_ERROR && errno != EINTR)
		err(1, "dump");
	unique(t);
}

static void
print_addr(FILE *f, const struct rec *r, const uint8_t *a, uint16_t port)
{
	char	 s[INET6_ADDRSTRLEN];

	inet_ntop(r->af == 4 ? AF_INET : AF_INET6, a, s, sizeof(s));
	fprintf(f, r->af == 4 ? "%s:%u" : "[%s]:%u", s, port);
}

static void
print_rec(FILE *f, const char *head, const struct rec *r)
{
	fprintf(f, "%szone %u proto %u ", head, r->zone, r->proto);
	print_addr(f, r, r->orig.src, r->orig.sport);
	fprintf(f, " > ");
	print_addr(f, r, r->orig.dst, r->orig.dport);
	fprintf(f, " reply ");
	print_addr(f, r, r->reply.src, r->reply.sport);
	fprintf(f, " > ");
	print_addr(f, r, r->reply.dst, r->reply.dport);
	fprintf(f, "%s%s", r->status & IPS_SEEN_REPLY ? " REPLIED" : "",
	    r->status & IPS_ASSURED ? " ASSURED" : "");
	if (r->proto == IPPROTO_TCP)
		fprintf(f, " %s wscale %d/%d",
		    r->tcp < TCP_NAMES ? tcp_names[r->tcp] : "?",
		    r->wscale[0] - 1, r->wscale[1] - 1);
	if (r->mark != 0)
		fprintf(f, " mark %#x", r->mark);
	if (o.timeouts)
		fprintf(f, " timeout %u", r->timeout);
	if (o.flags && r->proto == IPPROTO_TCP)
		fprintf(f, " flags %02x/%02x", r->flags[0], r->flags[1]);
	fputc('\n', f);
}

static int
do_list(void)
{
	struct mnl_socket	*nl = nl_open(0);
	struct table		 t = { 0 };
	size_t			 i;

	dump(nl, &t);
	for (i = 0; i < t.n && !o.count; i++)
		print_rec(stdout, "", &t.rec[i]);
	if (o.count)
		printf("%zu\n", t.n);
	mnl_socket_close(nl);
	free(t.rec);
	return (0);
}

/*
 * Both tables as sets: what only this one has (missing there), what only that
 * one has (stale there), and what is in both but not the same.
 */
static int
do_diff(const char *netns)
{
	struct mnl_socket	*nl[2];
	struct table		 t[2] = { { 0 }, { 0 } };
	const struct rec	*a, *b;
	size_t			 i = 0, j = 0, missing = 0, stale = 0;
	size_t			 differ = 0;
	int			 c;

	nl[0] = nl_open(0);
	nl[1] = nl_open_in(netns, 0);
	dump(nl[0], &t[0]);
	dump(nl[1], &t[1]);
	while (i < t[0].n || j < t[1].n) {
		a = &t[0].rec[i];
		b = &t[1].rec[j];
		if (i == t[0].n)
			c = 1;
		else if (j == t[1].n)
			c = -1;
		else
			c = memcmp(a, b, REC_ID);
		if (c < 0 && missing++ < o.show)
			print_rec(stderr, "missing ", a);
		if (c > 0 && stale++ < o.show)
			print_rec(stderr, "stale   ", b);
		if (c == 0 && memcmp(a, b, REC_CMP) != 0 &&
		    differ++ < o.show) {
			print_rec(stderr, "differs ", a);
			print_rec(stderr, "   from ", b);
		}
		i += c <= 0;
		j += c >= 0;
	}
	printf("{\"here\":%zu,\"there\":%zu,\"missing\":%zu,\"stale\":%zu,"
	    "\"differ\":%zu}\n", t[0].n, t[1].n, missing, stale, differ);
	for (c = 0; c < 2; c++) {
		mnl_socket_close(nl[c]);
		free(t[c].rec);
	}
	return (missing + stale + differ != 0);
}

/* The kernel's own count, which needs no dump. */
static uint32_t
table_count(void)
{
	static int	 fd = -1;
	char		 buf[16];
	ssize_t		 n;

	if (fd == -1 && (fd = open("/proc/sys/net/netfilter/nf_conntrack_count",
	    O_RDONLY | O_CLOEXEC)) == -1)
		err(1, "nf_conntrack_count");
	/* this file must be read at one go */
	if ((n = pread(fd, buf, sizeof(buf) - 1, 0)) <= 0)
		err(1, "nf_conntrack_count");
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return (number(buf, UINT32_MAX));
}

static int
do_wait(uint32_t goal)
{
	int64_t		 start = now_ns(), end = start + o.ms * 1000000LL;
	uint32_t	 n;

	for (;;) {
		n = table_count();
		if (o.most ? n <= goal : n >= goal)
			break;
		if (now_ns() > end)
			errx(1, "%" PRIu32 " flows after %" PRIu32 " ms, not %"
			    PRIu32, n, o.ms, goal);
		sleep_until(now_ns() + 200000);
	}
	printf("%" PRIu32 " %.6f\n", n, (double)(now_ns() - start) / NSEC);
	return (0);
}

/* ---- listening ---- */

struct arrivals {
	int64_t		*at;		/* by flow number less base */
	uint32_t	 n, seen;
};

/* The flow number of an entry that `make` made, less base. */
static bool
rec_number(const struct rec *r, uint32_t *n)
{
	uint32_t	 src;

	memcpy(&src, r->orig.src, sizeof(src));
	src = ntohl(src) - NET_SRC;
	if (r->af != 4 || r->proto != o.proto || src > FLOWS_MAX >> 8)
		return (false);
	*n = (src << 8 | ((r->orig.sport - 1024U) & 0xff)) - o.base;
	return (true);
}

static int
arrival_cb(const struct nlmsghdr *h, void *arg)
{
	struct arrivals	*a = arg;
	struct rec	 r;
	uint32_t	 n;

	get_rec(h, &r);
	if (rec_number(&r, &n) && n < a->n && a->at[n] == 0) {
		a->at[n] = now_ns();
		a->seen++;
	}
	return (MNL_CB_OK);
}

static void
listen_once(struct mnl_socket *nl, struct arrivals *a)
{
	ssize_t	 n;

	while ((n = recv(mnl_socket_get_fd(nl), rcvbuf, sizeof(rcvbuf),
	    MSG_DONTWAIT)) > 0)
		(void)mnl_cb_run(rcvbuf, (size_t)n, 0, 0, arrival_cb, a);
	if (n == -1 && errno != EAGAIN)
		err(1, "listen");
}

static int
cmp_i64(const void *a, const void *b)
{
	int64_t	 x = *(const int64_t *)a, y = *(const int64_t *)b;

	return ((x > y) - (x < y));
}

/*
 * Who inserts and who listens is one process, so both times are of one clock
 * and no flow waits for a reader: a step sends what is due, then listens until
 * the next is.
 */
static int
do_lag(uint32_t n, const char *netns)
{
	struct mnl_socket	*here = nl_open(0);
	struct mnl_socket	*there;
	struct arrivals		 a = { .n = n };
	int64_t			*sent, start, due, end;
	struct pollfd		 pfd;
	uint32_t		 k = 0, i, got = 0;

	there = nl_open_in(netns, NF_NETLINK_CONNTRACK_NEW);
	a.at = calloc(n, sizeof(*a.at));
	sent = calloc(n, sizeof(*sent));
	if (a.at == NULL || sent == NULL)
		err(1, NULL);
	pfd.fd = mnl_socket_get_fd(there);
	pfd.events = POLLIN;
	start = now_ns();
	end = 0;
	while (a.seen < n && (end == 0 || now_ns() < end)) {
		due = start + (int64_t)k * NSEC / o.rate;
		if (k < n && now_ns() >= due) {
			for (i = k; i < n && i < k + batch_size(); i++)
				sent[i] = now_ns();
			k += send_batch(here, OP_MAKE, k, n);
			if (k == n)
				end = now_ns() + o.ms * 1000000LL;
		}
		(void)poll(&pfd, 1, k == n ? 10 : 0);
		listen_once(there, &a);
	}
	for (i = 0; i < n; i++)
		if (a.at[i] != 0)
			sent[got++] = a.at[i] - sent[i];
	qsort(sent, got, sizeof(*sent), cmp_i64);
	printf("{\"flows\":%" PRIu32 ",\"missing\":%" PRIu32 ",\"failed\":%"
	    PRIu64 ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", n,
	    n - got, failures(stderr), got ? sent[got / 2] / 1e6 : 0.0,
	    got ? sent[got - 1 - got / 100] / 1e6 : 0.0,
	    got ? sent[got - 1] / 1e6 : 0.0);
	mnl_socket_close(here);
	mnl_socket_close(there);
	free(a.at);
	free(sent);
	return (got != n);
}

static double
cpu_seconds(void)
{
	struct rusage	 ru;

	getrusage(RUSAGE_SELF, &ru);
	return ((double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

static int
do_events(void)
{
	struct mnl_socket	*nl = nl_open(NF_NETLINK_CONNTRACK_NEW |
				    NF_NETLINK_CONNTRACK_UPDATE |
				    NF_NETLINK_CONNTRACK_DESTROY);
	struct pollfd		 pfd = { .fd = mnl_socket_get_fd(nl),
				    .events = POLLIN };
	int64_t			 end = now_ns() + o.secs * NSEC, last = 0;
	uint64_t		 n = 0, lost = 0;
	ssize_t			 got;

	tie();
	printf("ready\n");
	fflush(stdout);
	while (!stop && now_ns() < end &&
	    (last == 0 || now_ns() - last < QUIET_MS * 1000000LL)) {
		if (poll(&pfd, 1, 100) <= 0)
			continue;
		while ((got = recv(pfd.fd, rcvbuf, sizeof(rcvbuf),
		    MSG_DONTWAIT)) > 0)
			n++;
		if (errno == ENOBUFS)
			lost++;
		last = now_ns();
	}
	printf("{\"events\":%" PRIu64 ",\"overruns\":%" PRIu64
	    ",\"cpu_us\":%.3f}\n", n, lost, cpu_seconds() * 1e6 /
	    (double)(n ? n : 1));
	mnl_socket_close(nl);
	return (0);
}

/* ---- packets ---- */

static struct mmsghdr	 msgs[PKTS];
static struct iovec	 iovs[PKTS];
static uint8_t		 pkts[PKTS][PKT_MAX];

static void
packets_init(size_t len)
{
	size_t	 i;

	memset(msgs, 0, sizeof(msgs));
	for (i = 0; i < PKTS; i++) {
		iovs[i].iov_base = pkts[i];
		iovs[i].iov_len = len;
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
	}
}

static uint16_t
checksum(const struct iphdr *ip, const void *seg, size_t len)
{
	const uint8_t	*p = seg;
	uint32_t	 sum = (uint32_t)ip->protocol + (uint32_t)len;
	size_t		 i;

	sum += (ntohl(ip->saddr) >> 16) + (ntohl(ip->saddr) & 0xffff);
	sum += (ntohl(ip->daddr) >> 16) + (ntohl(ip->daddr) & 0xffff);
	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (htons((uint16_t)~sum));
}

/* UDP with its flow number as data, or a SYN; of flow number n. */
static size_t
real_packet(uint8_t *p, uint32_t n)
{
	struct iphdr	*ip = (struct iphdr *)p;
	struct udphdr	*udp = (struct udphdr *)(ip + 1);
	struct tcphdr	*tcp = (struct tcphdr *)(ip + 1);
	size_t		 len;

	memset(p, 0, 64);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->saddr = htonl(NET_REAL + (n >> 8));
	ip->daddr = o.to.s_addr != 0 ? o.to.s_addr :
	    htonl(NET_DST + n / PORTS);
	if (o.syn) {
		ip->protocol = IPPROTO_TCP;
		len = sizeof(*ip) + sizeof(*tcp);
		tcp->source = htons((uint16_t)(1024 + (n & 0xff)));
		tcp->dest = htons(o.port);
		tcp->seq = htonl(n);
		tcp->doff = 5;
		tcp->syn = 1;
		tcp->window = htons(65535);
		tcp->check = checksum(ip, tcp, sizeof(*tcp));
	} else {
		ip->protocol = IPPROTO_UDP;
		len = sizeof(*ip) + sizeof(*udp) + sizeof(n);
		udp->source = htons((uint16_t)(1024 + (n & 0xff)));
		udp->dest = htons(o.port);
		udp->len = htons(sizeof(*udp) + sizeof(n));
		memcpy(udp + 1, &n, sizeof(n));
	}
	ip->tot_len = htons((uint16_t)len);
	return (len);
}

static int
do_real(uint32_t n)
{
	struct sockaddr_in	 sin[PKTS];
	int64_t			 start;
	uint32_t		 k = 0, i, most = batch_size();
	uint64_t		 refused = 0;
	int			 fd, sent;

	if ((fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW)) == -1)
		err(1, "raw socket");
	force_buffers(fd);
	packets_init(0);
	memset(sin, 0, sizeof(sin));
	if (most > PKTS)
		most = PKTS;
	start = now_ns();
	while (k < n && !stop) {
		if (o.rate != 0)
			sleep_until(start + (int64_t)k * NSEC / o.rate);
		for (i = 0; i < most && k + i < n; i++) {
			iovs[i].iov_len = real_packet(pkts[i], o.base + k + i);
			sin[i].sin_family = AF_INET;
			sin[i].sin_addr.s_addr =
			    ((struct iphdr *)pkts[i])->daddr;
			msgs[i].msg_hdr.msg_name = &sin[i];
			msgs[i].msg_hdr.msg_namelen = sizeof(sin[i]);
		}
		if ((sent = sendmmsg(fd, msgs, i, 0)) == -1) {
			/* what the link does not take is lost, as anywhere */
			refused++;
			sent = 1;
		}
		k += (uint32_t)sent;
	}
	printf("%" PRIu32 " sent, %" PRIu64 " failed, %.6f s\n", k, refused,
	    (double)(now_ns() - start) / NSEC);
	return (refused != 0);
}

/*
 * Turn a packet round where it stands: both checksums are sums, and stay
 * right.  false: not one of ours.
 */
static bool
turn(uint8_t *p, size_t len)
{
	struct ether_header	*eh = (struct ether_header *)p;
	struct iphdr		*ip = (struct iphdr *)(eh + 1);
	struct udphdr		*udp = (struct udphdr *)(ip + 1);
	uint8_t			 mac[ETHER_ADDR_LEN];
	uint32_t		 a;
	uint16_t		 port;

	if (len < sizeof(*eh) + sizeof(*ip) + sizeof(*udp) ||
	    eh->ether_type != htons(ETHERTYPE_IP) || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_UDP ||
	    ntohl(ip->daddr) - NET_DST > 0x1ffffU)
		return (false);
	memcpy(mac, eh->ether_dhost, sizeof(mac));
	memcpy(eh->ether_dhost, eh->ether_shost, sizeof(mac));
	memcpy(eh->ether_shost, mac, sizeof(mac));
	a = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = a;
	port = udp->source;
	udp->source = udp->dest;
	udp->dest = port;
	return (true);
}

static void
echo_batch(int fd, uint64_t *n)
{
	static struct mmsghdr	 back[PKTS];
	static struct iovec	 biov[PKTS];
	int			 i, got;
	unsigned int		 k = 0;

	for (i = 0; i < PKTS; i++)
		iovs[i].iov_len = PKT_MAX;
	if ((got = recvmmsg(fd, msgs, PKTS, MSG_DONTWAIT, NULL)) <= 0)
		return;
	for (i = 0; i < got; i++) {
		if (!turn(pkts[i], msgs[i].msg_len))
			continue;
		biov[k].iov_base = pkts[i];
		biov[k].iov_len = msgs[i].msg_len;
		memset(&back[k], 0, sizeof(back[k]));
		back[k].msg_hdr.msg_iov = &biov[k];
		back[k].msg_hdr.msg_iovlen = 1;
		k++;
	}
	if (k > 0 && (got = sendmmsg(fd, back, k, 0)) > 0)
		*n += (uint64_t)got;
}

static int
do_echo(const char *dev)
{
	struct sockaddr_ll	 sll;
	struct pollfd		 pfd;
	int64_t			 end = now_ns() + o.secs * NSEC;
	uint64_t		 n = 0;
	int			 one = 1;

	memset(&sll, 0, sizeof(sll));
	sll.sll_family = AF_PACKET;
	sll.sll_protocol = htons(ETH_P_IP);
	if ((sll.sll_ifindex = (int)if_nametoindex(dev)) == 0)
		err(1, "%s", dev);
	if ((pfd.fd = socket(AF_PACKET, SOCK_RAW, 0)) == -1)
		err(1, "packet socket");
	force_buffers(pfd.fd);
	/* what is turned round must not come back to us */
	(void)setsockopt(pfd.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
	    sizeof(one));
	if (bind(pfd.fd, (struct sockaddr *)&sll, sizeof(sll)) == -1)
		err(1, "bind to %s", dev);
	packets_init(PKT_MAX);
	tie();
	printf("ready\n");
	fflush(stdout);
	pfd.events = POLLIN;
	while (!stop && now_ns() < end)
		if (poll(&pfd, 1, 200) > 0)
			echo_batch(pfd.fd, &n);
	printf("%" PRIu64 " returned\n", n);
	return (0);
}

/* ---- options ---- */

static void
parse_prefix(const char *s, struct prefix *p)
{
	char	 buf[INET6_ADDRSTRLEN + 4], *slash;

	if (strlen(s) >= sizeof(buf))
		errx(2, "not a prefix: %s", s);
	strcpy(buf, s);
	if ((slash = strchr(buf, '/')) != NULL)
		*slash++ = '\0';
	memset(p, 0, sizeof(*p));
	p->af = strchr(buf, ':') != NULL ? 6 : 4;
	if (inet_pton(p->af == 4 ? AF_INET : AF_INET6, buf, p->addr) != 1)
		errx(2, "not an address: %s", s);
	p->plen = p->af == 4 ? 32 : 128;
	if (slash != NULL)
		p->plen = (uint8_t)number(slash, p->plen);
}

static int
parse_tcp(const char *s)
{
	size_t	 i;

	for (i = 0; i < TCP_NAMES; i++)
		if (strcasecmp(s, tcp_names[i]) == 0)
			return ((int)i);
	errx(2, "no TCP state: %s", s);
}

static int
parse_proto(const char *s)
{
	if (strcmp(s, "tcp") == 0)
		return (IPPROTO_TCP);
	if (strcmp(s, "udp") == 0)
		return (IPPROTO_UDP);
	return ((int)number(s, 255));
}

static void
parse_addr(const char *s, struct in_addr *a)
{
	if (inet_pton(AF_INET, s, a) != 1)
		errx(2, "not an IPv4 address: %s", s);
}

static const struct option	 longopts[] = {
	{ "base", 1, NULL, 'b' }, { "natbase", 1, NULL, 'N' },
	{ "rate", 1, NULL, 'r' }, { "batch", 1, NULL, 'B' },
	{ "ms", 1, NULL, 'm' }, { "secs", 1, NULL, 't' },
	{ "show", 1, NULL, 'w' }, { "mark", 1, NULL, 'M' },
	{ "timeout", 1, NULL, 'T' }, { "zone", 1, NULL, 'z' },
	{ "proto", 1, NULL, 'p' }, { "state", 1, NULL, 's' },
	{ "nat", 1, NULL, 'n' }, { "to", 1, NULL, 'A' },
	{ "port", 1, NULL, 'P' }, { "only", 1, NULL, 'O' },
	{ "having", 1, NULL, 'H' }, { "skip", 1, NULL, 'k' },
	{ "v6", 0, NULL, '6' },
	{ "snat", 0, NULL, 'S' }, { "dnat", 0, NULL, 'D' },
	{ "unreplied", 0, NULL, 'u' }, { "unassured", 0, NULL, 'a' },
	{ "syn", 0, NULL, 'y' }, { "most", 0, NULL, 'o' },
	{ "all", 0, NULL, 'l' }, { "timeouts", 0, NULL, 'e' },
	{ "flags", 0, NULL, 'f' }, { "count", 0, NULL, 'c' },
	{ "loose", 0, NULL, 'L' },
	{ NULL, 0, NULL, 0 }
};

static void
parse_option(int c)
{
	switch (c) {
	case 'b': o.base = number(optarg, FLOWS_MAX); break;
	case 'N': o.natbase = number(optarg, FLOWS_MAX); break;
	case 'r': o.rate = number(optarg, 100000000); break;
	case 'B': o.batch = number(optarg, 1000); break;
	case 'm': o.ms = number(optarg, 3600000); break;
	case 't': o.secs = number(optarg, 3600); break;
	case 'w': o.show = number(optarg, UINT32_MAX); break;
	case 'M': o.mark = number(optarg, UINT32_MAX);
		  o.has_mark = true; break;
	case 'T': o.timeout = number(optarg, UINT32_MAX); break;
	case 'z': o.zone = number(optarg, UINT16_MAX); break;
	case 'p': o.proto = parse_proto(optarg); break;
	case 's': o.tcp = parse_tcp(optarg); break;
	case 'n': parse_addr(optarg, &o.nat); break;
	case 'A': parse_addr(optarg, &o.to); break;
	case 'P': o.port = (uint16_t)number(optarg, UINT16_MAX); break;
	case 'O': o.only = parse_proto(optarg); break;
	case 'H': o.having = parse_tcp(optarg); break;
	case 'k':
		if (o.nskip == FILTERS_MAX)
			errx(2, "too many --skip");
		parse_prefix(optarg, &o.skip[o.nskip++]);
		break;
	case '6': o.v6 = true; break;
	case 'S': o.snat = true; break;
	case 'D': o.dnat = true; break;
	case 'u': o.unreplied = true; break;
	case 'a': o.unassured = true; break;
	case 'y': o.syn = true; break;
	case 'o': o.most = true; break;
	case 'l': o.all = true; break;
	case 'e': o.timeouts = true; break;
	case 'f': o.flags = true; break;
	case 'c': o.count = true; break;
	case 'L': o.loose = true; break;	/* no window scale */
	default: usage();
	}
}

static int
run(const char *cmd, int argc, char **argv)
{
	if (strcmp(cmd, "list") == 0 && argc == 0)
		return (do_list());
	if (strcmp(cmd, "count") == 0 && argc == 0)
		return (printf("%" PRIu32 "\n", table_count()) < 0);
	if (strcmp(cmd, "events") == 0 && argc == 0)
		return (do_events());
	if (strcmp(cmd, "diff") == 0 && argc == 1)
		return (do_diff(argv[0]));
	if (strcmp(cmd, "echo") == 0 && argc == 1)
		return (do_echo(argv[0]));
	if (strcmp(cmd, "lag") == 0 && argc == 2) {
		if (o.rate == 0)
			errx(2, "lag wants a --rate");
		return (do_lag(number(argv[0], FLOWS_MAX), argv[1]));
	}
	if (argc != 1)
		usage();
	if (strcmp(cmd, "make") == 0)
		return (run_ops(OP_MAKE, number(argv[0], FLOWS_MAX)));
	if (strcmp(cmd, "update") == 0)
		return (run_ops(OP_UPDATE, number(argv[0], FLOWS_MAX)));
	if (strcmp(cmd, "del") == 0)
		return (run_ops(OP_DEL, number(argv[0], FLOWS_MAX)));
	if (strcmp(cmd, "wait") == 0)
		return (do_wait(number(argv[0], FLOWS_MAX)));
	if (strcmp(cmd, "real") == 0)
		return (do_real(number(argv[0], FLOWS_MAX)));
	usage();
}

int
main(int argc, char *argv[])
{
	int	 c;

	parse_addr(NAT_TO, &o.nat);
	if (inet_pton(AF_INET6, NAT_TO6, &o.nat6) != 1)
		errx(1, "%s", NAT_TO6);
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		parse_option(c);
	if (argc - optind < 1)
		usage();
	if (o.batch == 0 || o.batch > BATCH * 4)
		errx(2, "a batch is 1 to %d", BATCH * 4);
	return (run(argv[optind], argc - optind - 1, argv + optind + 1));
}
