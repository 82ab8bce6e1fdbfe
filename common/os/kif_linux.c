/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: interfaces and addresses from rtnetlink notifications and dumps.
 * Runs without any right on an inherited socket: receiving needs none, nor
 * does asking for a dump.  Never waits: a dump is asked for, its answers come
 * in between the notifications.  A socket runs one dump at a time, so links
 * and the addresses of each family are asked for in turn.
 *
 * What has been told is remembered, so that what vanished while notifications
 * were being lost is told as gone at the end of the new dump.
 * rtnetlink(7), <linux/rtnetlink.h>.
 */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/tree.h>

#include <net/if.h>
#include <net/if_arp.h>

#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "kif.h"

#define RCVBUF		(4 * 1024 * 1024)
#define BUFSIZE		32768	/* the kernel's largest dump datagram */
#define ROUND		64	/* datagrams before other work gets its turn */
#define DUMP_TRIES	10	/* dumps that changed under our eyes */

/*
 * Something that was told: a link (af 0, so that it sorts before its own
 * addresses) or an address.
 */
struct thing {
	RB_ENTRY(thing)	 entry;
	int		 ifindex;
	struct ipaddr	 addr;
	char		 ifname[IF_NAMESIZE];	/* of a link */
	bool		 ethernet, macvlan;	/* the same */
	uint8_t		 proto;			/* of an address */
	uint32_t	 seen;			/* in which dump */
};
RB_HEAD(things, thing);

enum stage { STAGE_LINK, STAGE_ADDR4, STAGE_ADDR6, STAGE_IDLE };

struct kif {
	int		 fd;
	kif_cb		 cb;
	void		*arg;
	struct things	 things;
	enum stage	 stage;
	uint32_t	 seq;		/* of the request of this stage */
	uint32_t	 round;		/* number of the dump */
	bool		 again;		/* another dump is due */
	int		 tries;
	union {
		struct nlmsghdr	 h;	/* for alignment */
		char		 bytes[BUFSIZE];
	}		 buf;
};

static int
thing_cmp(const struct thing *a, const struct thing *b)
{
	int	 r;

	if (a->ifindex != b->ifindex)
		return (a->ifindex < b->ifindex ? -1 : 1);
	if (a->addr.af != b->addr.af)
		return (a->addr.af < b->addr.af ? -1 : 1);
	if ((r = memcmp(a->addr.bytes, b->addr.bytes,
	    sizeof(a->addr.bytes))) != 0)
		return (r);
	/* IPv4 has the same address with two prefix lengths as two */
	return (a->addr.plen - b->addr.plen);
}

RB_PROTOTYPE(things, thing, entry, thing_cmp)
RB_GENERATE(things, thing, entry, thing_cmp)

/*
 * Our own addresses are put there again every few seconds, hundreds of them
 * perhaps, and each would wake whoever listens: the kernel keeps that to
 * itself.  Not so in the answer to a dump, of which a filter sees the first
 * message only.  It reads in network byte order what is in the host's.
 */
void
kif_skip_ours(int fd)
{
	const uint32_t		 attrs = NLMSG_HDRLEN +
				    NLMSG_ALIGN(sizeof(struct ifaddrmsg));
	struct sock_filter	 insns[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
		    offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWADDR), 0, 8),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
		    offsetof(struct nlmsghdr, nlmsg_flags)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htons(NLM_F_MULTI), 6, 0),
		BPF_STMT(BPF_LDX | BPF_IMM, IFA_PROTO),
		BPF_STMT(BPF_LD | BPF_IMM, attrs),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_IND, NLA_HDRLEN),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KIF_PROTO_CARPD, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0)
	};
	struct sock_fprog	 prog;

	prog.len = sizeof(insns) / sizeof(insns[0]);
	prog.filter = insns;
	/* without it they are told, and nothing else changes */
	(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog,
	    sizeof(prog));
}

int
kif_open(bool tc)
{
	struct sockaddr_nl	 sa;
	int			 fd, size = RCVBUF, saved;

	if ((fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_ROUTE)) == -1)
		return (-1);
	/* a smaller buffer only makes overruns likelier */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size,
	    sizeof(size)) == -1)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
		    sizeof(size));
	memset(&sa, 0, sizeof(sa));
	sa.nl_family = AF_NETLINK;
	sa.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
	if (tc)
		sa.nl_groups |= RTMGRP_TC;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == -1) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

struct kif *
kif_from_fd(int fd, kif_cb cb, void *arg)
{
	struct kif	*k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return (NULL);
	k->fd = fd;
	k->cb = cb;
	k->arg = arg;
	k->stage = STAGE_IDLE;
	RB_INIT(&k->things);
	return (k);
}

void
kif_free(struct kif *k)
{
	struct thing	*t;

	if (k == NULL)
		return;
	while ((t = RB_ROOT(&k->things)) != NULL) {
		RB_REMOVE(things, &k->things, t);
		free(t);
	}
	close(k->fd);
	free(k);
}

/* -- what there is -- */

static struct thing *
thing_find(struct kif *k, int ifindex, const struct ipaddr *a)
{
	struct thing	 key;

	memset(&key, 0, sizeof(key));
	key.ifindex = ifindex;
	if (a != NULL)
		key.addr = *a;
	return (RB_FIND(things, &k->things, &key));
}

/* Find or add, and note that it is there; NULL without memory. */
static struct thing *
thing_see(struct kif *k, int ifindex, const struct ipaddr *a)
{
	struct thing	*t;

	if ((t = thing_find(k, ifindex, a)) == NULL) {
		if ((t = calloc(1, sizeof(*t))) == NULL)
			return (NULL);
		t->ifindex = ifindex;
		if (a != NULL)
			t->addr = *a;
		RB_INSERT(things, &k->things, t);
	}
	t->seen = k->round;
	return (t);
}

/* An event of that type about the interface; false: it is unknown. */
static bool
event_init(struct kif *k, struct kif_event *e, enum kif_event_type type,
    int ifindex)
{
	const struct thing	*link;

	memset(e, 0, sizeof(*e));
	e->type = type;
	e->ifindex = ifindex;
	if ((link = thing_find(k, ifindex, NULL)) == NULL)
		return (false);
	memcpy(e->ifname, link->ifname, sizeof(e->ifname));
	return (true);
}

/* Tell that it is gone, or its name is, and forget it. */
static void
thing_gone(struct kif *k, struct thing *t, bool renamed)
{
	struct kif_event	 e;
	bool			 known;

	known = event_init(k, &e, t->addr.af == 0 ? KIF_GONE : KIF_ADDR_DEL,
	    t->ifindex);
	e.addr = t->addr;
	e.proto = t->proto;
	e.renamed = renamed;
	RB_REMOVE(things, &k->things, t);
	free(t);
	if (known)
		k->cb(&e, k->arg);
}

/* The interface and what is still on it; from the back: its link is first. */
static void
interface_gone(struct kif *k, int ifindex, bool renamed)
{
	struct thing	*t, *prev;

	RB_FOREACH_REVERSE_SAFE(t, things, &k->things, prev) {
		if (t->ifindex == ifindex)
			thing_gone(k, t, renamed);
	}
}

/* Whatever a complete dump did not show. */
static void
forget_unseen(struct kif *k)
{
	struct thing	*t, *prev;

	RB_FOREACH_REVERSE_SAFE(t, things, &k->things, prev) {
		if (t->seen != k->round)
			thing_gone(k, t, false);
	}
}

/* -- messages -- */

struct attrs {
	const struct nlattr	*tb[MAX(IFLA_MAX, IFA_MAX) + 1];
};

static int
attr_cb(const struct nlattr *attr, void *arg)
{
	struct attrs	*a = arg;
	unsigned int	 type = mnl_attr_get_type(attr);

	if (type < sizeof(a->tb) / sizeof(a->tb[0]))
		a->tb[type] = attr;
	return (MNL_CB_OK);
}

/* Is there one, as long as its type says? */
static bool
has(const struct nlattr *attr, size_t len)
{
	return (attr != NULL && mnl_attr_get_payload_len(attr) >= len);
}

static bool
is_kind(const struct nlattr *kind, const char *name)
{
	return (kind != NULL &&
	    mnl_attr_get_payload_len(kind) == strlen(name) + 1 &&
	    memcmp(mnl_attr_get_payload(kind), name, strlen(name) + 1) == 0);
}

/* What kind of virtual interface it is, as far as that matters. */
static void
link_kind(struct kif_event *e, const struct nlattr *linkinfo)
{
	struct attrs		 a = { .tb = { NULL } };
	struct attrs		 data = { .tb = { NULL } };
	const struct nlattr	*kind, *mode;

	if (linkinfo == NULL)
		return;
	(void)mnl_attr_parse_nested(linkinfo, attr_cb, &a);
	kind = a.tb[IFLA_INFO_KIND];
	e->bridge = is_kind(kind, "bridge");
	if (!is_kind(kind, "macvlan") && !is_kind(kind, "macvtap"))
		return;
	if (a.tb[IFLA_INFO_DATA] != NULL)
		(void)mnl_attr_parse_nested(a.tb[IFLA_INFO_DATA], attr_cb,
		    &data);
	mode = data.tb[IFLA_MACVLAN_MODE];
	e->macvlan = mode == NULL ||
	    mnl_attr_get_payload_len(mode) != sizeof(uint32_t) ||
	    mnl_attr_get_u32(mode) != MACVLAN_MODE_PASSTHRU;
}

static void
link_event(struct kif *k, const struct ifinfomsg *ifi, const struct attrs *a)
{
	const struct nlattr	*name = a->tb[IFLA_IFNAME];
	const struct nlattr	*mac = a->tb[IFLA_ADDRESS];
	struct kif_event	 e;
	struct thing		*t;

	if ((t = thing_see(k, ifi->ifi_index, NULL)) == NULL)
		return;
	strlcpy(t->ifname, mnl_attr_get_str(name), sizeof(t->ifname));
	event_init(k, &e, KIF_LINK, ifi->ifi_index);
	e.up = (ifi->ifi_flags & IFF_UP) != 0;
	e.running = e.up && (ifi->ifi_flags & IFF_RUNNING) != 0;
	e.ethernet = ifi->ifi_type == ARPHRD_ETHER;
	link_kind(&e, a->tb[IFLA_LINKINFO]);
	if (has(a->tb[IFLA_MASTER], sizeof(uint32_t)))
		e.master = (int)mnl_attr_get_u32(a->tb[IFLA_MASTER]);
	e.mtu = mnl_attr_get_u32(a->tb[IFLA_MTU]);
	if (mac != NULL && mnl_attr_get_payload_len(mac) == sizeof(e.mac))
		memcpy(e.mac, mnl_attr_get_payload(mac), sizeof(e.mac));
	t->ethernet = e.ethernet;
	t->macvlan = e.macvlan;
	k->cb(&e, k->arg);
}

static void
on_link(struct kif *k, const struct nlmsghdr *h)
{
	const struct ifinfomsg	*ifi = mnl_nlmsg_get_payload(h);
	const struct thing	*t;
	const char		*name;
	struct attrs		 a = { .tb = { NULL } };

	/*
	 * Of the bridge's family are only changes of a port: its DELLINK says
	 * that the port left the bridge.
	 */
	if (mnl_nlmsg_get_payload_len(h) < sizeof(*ifi) ||
	    ifi->ifi_family != AF_UNSPEC)
		return;
	if (h->nlmsg_type == RTM_DELLINK) {
		interface_gone(k, ifi->ifi_index, false);
		return;
	}
	(void)mnl_attr_parse(h, sizeof(*ifi), attr_cb, &a);
	/* wireless events have the type but not the content */
	if (a.tb[IFLA_IFNAME] == NULL ||
	    mnl_attr_validate(a.tb[IFLA_IFNAME], MNL_TYPE_NUL_STRING) == -1 ||
	    mnl_attr_get_payload_len(a.tb[IFLA_IFNAME]) > IF_NAMESIZE ||
	    !has(a.tb[IFLA_MTU], sizeof(uint32_t)))
		return;
	name = mnl_attr_get_str(a.tb[IFLA_IFNAME]);
	if ((t = thing_find(k, ifi->ifi_index, NULL)) != NULL &&
	    strcmp(t->ifname, name) != 0) {
		/* renamed; its addresses come again with a dump */
		interface_gone(k, ifi->ifi_index, true);
		(void)kif_dump(k);
	}
	link_event(k, ifi, &a);
}

static bool
addr_parse(const struct nlmsghdr *h, const struct attrs *a,
    struct ipaddr *addr)
{
	const struct ifaddrmsg	*ifa = mnl_nlmsg_get_payload(h);
	const struct nlattr	*own = a->tb[IFA_LOCAL];

	/* with a peer IFA_ADDRESS is the peer's */
	if (own == NULL)
		own = a->tb[IFA_ADDRESS];
	memset(addr, 0, sizeof(*addr));
	addr->af = ifa->ifa_family;
	addr->plen = ifa->ifa_prefixlen;
	if ((addr->af != AF_INET && addr->af != AF_INET6) || own == NULL ||
	    mnl_attr_get_payload_len(own) != ipaddr_len(addr->af) ||
	    addr->plen > 8 * ipaddr_len(addr->af))
		return (false);
	memcpy(addr->bytes, mnl_attr_get_payload(own), ipaddr_len(addr->af));
	return (true);
}

static void
addr_event(struct kif *k, const struct ifaddrmsg *ifa, const struct attrs *a,
    const struct ipaddr *addr)
{
	struct kif_event	 e;
	struct thing		*t;
	uint32_t		 flags = ifa->ifa_flags;

	/* of an interface not yet told: the dump that tells it follows */
	if (!event_init(k, &e, KIF_ADDR_ADD, (int)ifa->ifa_index) ||
	    (t = thing_see(k, e.ifindex, addr)) == NULL)
		return;
	if (has(a->tb[IFA_FLAGS], sizeof(flags)))
		flags = mnl_attr_get_u32(a->tb[IFA_FLAGS]);
	if (has(a->tb[IFA_PROTO], sizeof(e.proto)))
		e.proto = mnl_attr_get_u8(a->tb[IFA_PROTO]);
	e.tentative = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0;
	t->proto = e.proto;
	e.addr = *addr;
	k->cb(&e, k->arg);
}

/* It was not told when it came: one of ours, see kif_skip_ours(). */
static void
unknown_gone(struct kif *k, int ifindex, const struct attrs *a,
    const struct ipaddr *addr)
{
	struct kif_event	 e;

	if (!has(a->tb[IFA_PROTO], sizeof(e.proto)) ||
	    mnl_attr_get_u8(a->tb[IFA_PROTO]) != KIF_PROTO_CARPD ||
	    !event_init(k, &e, KIF_ADDR_DEL, ifindex))
		return;
	e.proto = KIF_PROTO_CARPD;
	e.addr = *addr;
	k->cb(&e, k->arg);
}

static void
on_addr(struct kif *k, const struct nlmsghdr *h)
{
	const struct ifaddrmsg	*ifa = mnl_nlmsg_get_payload(h);
	struct attrs		 a = { .tb = { NULL } };
	struct ipaddr		 addr;
	struct thing		*t;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*ifa))
		return;
	(void)mnl_attr_parse(h, sizeof(*ifa), attr_cb, &a);
	if (!addr_parse(h, &a, &addr))
		return;
	if (h->nlmsg_type == RTM_NEWADDR)
		addr_event(k, ifa, &a, &addr);
	else if ((t = thing_find(k, (int)ifa->ifa_index, &addr)) != NULL)
		thing_gone(k, t, false);
	else
		unknown_gone(k, (int)ifa->ifa_index, &a, &addr);
}

static void
on_tc(struct kif *k, const struct nlmsghdr *h)
{
	const struct tcmsg	*tcm = mnl_nlmsg_get_payload(h);
	struct kif_event	 e;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(*tcm) &&
	    event_init(k, &e, KIF_TC, tcm->tcm_ifindex))
		k->cb(&e, k->arg);
}

/* -- dumps -- */

static int
ask(struct kif *k, enum stage stage)
{
	static const struct {
		uint16_t	 type;
		uint8_t		 af;
	} what[] = {
		[STAGE_LINK] =	{ RTM_GETLINK, AF_UNSPEC },
		[STAGE_ADDR4] =	{ RTM_GETADDR, AF_INET },
		[STAGE_ADDR6] =	{ RTM_GETADDR, AF_INET6 },
	};
	struct {
		struct nlmsghdr	 h;
		union {
			struct ifinfomsg	 ifi;
			struct ifaddrmsg	 ifa;
		}		 u;
	} req;

	memset(&req, 0, sizeof(req));
	req.h.nlmsg_len = sizeof(req);
	req.h.nlmsg_type = what[stage].type;
	req.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req.h.nlmsg_seq = ++k->seq;
	if (stage == STAGE_LINK)
		req.u.ifi.ifi_family = what[stage].af;
	else
		req.u.ifa.ifa_family = what[stage].af;
	if (send(k->fd, &req, sizeof(req), 0) == -1) {
		/* tried again at the next kif_read() */
		k->stage = STAGE_IDLE;
		k->again = true;
		return (-1);
	}
	k->stage = stage;
	return (0);
}

int
kif_dump(struct kif *k)
{
	if (k->stage != STAGE_IDLE) {
		k->again = true;
		return (0);
	}
	k->again = false;
	k->round++;
	return (ask(k, STAGE_LINK));
}

/* One stage is complete (or was refused: no such family). */
static void
stage_done(struct kif *k)
{
	if (k->stage != STAGE_ADDR6) {
		(void)ask(k, k->stage + 1);
		return;
	}
	k->stage = STAGE_IDLE;
	if (k->again) {
		(void)kif_dump(k);
		return;
	}
	k->tries = 0;
	forget_unseen(k);
}

/* The kernel says that the table changed while it was dumped. */
static void
interrupted(struct kif *k)
{
	if (!k->again && k->tries < DUMP_TRIES) {
		k->tries++;
		k->again = true;
	}
}

static void
on_message(struct kif *k, const struct nlmsghdr *h)
{
	bool	 ours;

	ours = k->stage != STAGE_IDLE && h->nlmsg_seq == k->seq;
	if (ours && (h->nlmsg_flags & NLM_F_DUMP_INTR))
		interrupted(k);
	switch (h->nlmsg_type) {
	case NLMSG_DONE:
	case NLMSG_ERROR:
		if (ours)
			stage_done(k);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(k, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		on_addr(k, h);
		break;
	case RTM_DELTFILTER:
	case RTM_DELQDISC:
		on_tc(k, h);
		break;
	}
}

static void
overrun(struct kif *k)
{
	struct kif_event	 e;

	memset(&e, 0, sizeof(e));
	e.type = KIF_OVERRUN;
	k->cb(&e, k->arg);
	(void)kif_dump(k);
}

/* Take one datagram; false: there is none. */
static bool
read_one(struct kif *k)
{
	struct sockaddr_nl	 from;
	struct nlmsghdr		*h;
	socklen_t		 fromlen = sizeof(from);
	ssize_t			 got;
	int			 len;

	memset(&from, 0, sizeof(from));
	got = recvfrom(k->fd, k->buf.bytes, sizeof(k->buf.bytes),
	    MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &fromlen);
	if (got == -1) {
		if (errno == ENOBUFS)
			overrun(k);
		return (errno == ENOBUFS || errno == EINTR);
	}
	if (from.nl_pid != 0)
		return (true);		/* not the kernel's */
	if (got > (ssize_t)sizeof(k->buf.bytes)) {
		overrun(k);
		return (true);
	}
	for (len = (int)got, h = &k->buf.h; mnl_nlmsg_ok(h, len);
	    h = mnl_nlmsg_next(h, &len))
		on_message(k, h);
	return (true);
}

void
kif_read(struct kif *k)
{
	int	 i;

	for (i = 0; i < ROUND && read_one(k); i++)
		continue;
	if (k->again && k->stage == STAGE_IDLE)
		(void)kif_dump(k);
}

bool
kif_idle(const struct kif *k)
{
	return (k->stage == STAGE_IDLE && !k->again);
}

void
kif_each_addr(struct kif *k, kif_cb cb, void *arg)
{
	struct thing		*link = NULL, *t;
	struct kif_event	 e;

	RB_FOREACH(t, things, &k->things) {
		if (t->addr.af == 0) {
			link = t;
			continue;
		}
		if (link == NULL || link->ifindex != t->ifindex)
			continue;
		memset(&e, 0, sizeof(e));
		e.type = KIF_ADDR_ADD;
		e.ifindex = t->ifindex;
		memcpy(e.ifname, link->ifname, sizeof(e.ifname));
		e.ethernet = link->ethernet;
		e.macvlan = link->macvlan;
		e.addr = t->addr;
		e.proto = t->proto;
		cb(&e, arg);
	}
}

bool
kif_mac(const char *ifname, uint8_t mac[6])
{
	struct ifreq	 ifr;
	int		 fd, r;

	memset(&ifr, 0, sizeof(ifr));
	(void)strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
	if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return (false);
	r = ioctl(fd, SIOCGIFHWADDR, &ifr);
	close(fd);
	if (r == -1 || ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return (false);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return (true);
}
