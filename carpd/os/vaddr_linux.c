/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: virtual addresses by rtnetlink, virtual MACs as unicast filter
 * entries of carpdev, four sysctls.  Says nothing about who is answered or
 * forwarded for: that is steer's.
 *
 * Two kinds of traces are left in the kernel.  Addresses carry our mark
 * (IFA_PROTO) and expire.  Everything else that has to be put back, the old
 * values of sysctls and the host's own addresses and routes that were put
 * aside, is written to the restore record first and changed then, so that
 * the next start can undo what a killed run left at any moment.
 *
 * rtnetlink(7), packet(7), Documentation/networking/ip-sysctl.rst.
 */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/tree.h>

#include <net/if.h>
#include <netpacket/packet.h>

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "../../common/log.h"
#include "../../common/os/boot.h"
#include "../../common/os/kif.h"
#include "../../common/os/netlink.h"
#include "../bpf/steer_map.h"
#include "../restore.h"
#include "vaddr.h"

#define MSG_ROOM	128	/* what is appended to a copied message */
#define ROUTE_PASSES	3	/* a route may need one that comes later */
#define LIFE_FOREVER	UINT32_MAX
#define ATTR(t)		(UINT64_C(1) << (t))

/* -- what we change in /proc/sys/net/ipv4/conf, and to what -- */

enum sysctl { SYSCTL_REDIRECTS, SYSCTL_PROMOTE, SYSCTL_ANNOUNCE, SYSCTL_ALL,
	    SYSCTLS };
#define SYSCTL_UNKNOWN	(-1)

static const struct {
	const char	*dev;		/* NULL: carpdev */
	const char	*name;
	int		 ours;
} sysctls[SYSCTLS] = {
	[SYSCTL_REDIRECTS] = { NULL, "send_redirects", 0 },
	[SYSCTL_PROMOTE] = { NULL, "promote_secondaries", 1 },
	/*
	 * Ask for a neighbour with our own address: a packet that was
	 * translated to the virtual address would have us ask with that, and
	 * while another vhid is just being promoted the question does not get
	 * out, or its answer goes to the old MASTER: a second is lost.
	 */
	[SYSCTL_ANNOUNCE] = { NULL, "arp_announce", 2 },
	/*
	 * What counts is the OR of this and the interface's.  Shared by all
	 * carpdevs of this process; other interfaces go on by their own
	 * setting.
	 */
	[SYSCTL_ALL] = { "all", "send_redirects", 0 }
};

/* An own address of the host, or a route that hangs on it: put aside. */
struct saved {
	TAILQ_ENTRY(saved)	 entry;
	struct ipaddr		 owner;
	struct nlmsghdr		*msg;	/* RTM_NEWADDR or RTM_NEWROUTE */
	bool			 fresh;	/* not yet in the record */
	bool			 absent; /* a route that could not be added */
};
TAILQ_HEAD(savedlist, saved);

struct vip {
	TAILQ_ENTRY(vip) entry;
	RB_ENTRY(vip)	 node;
	struct ipaddr	 addr;		/* as configured */
	bool		 own;		/* the host's, see saved */
	bool		 installed;
	uint8_t		 plen;		/* in add */
	struct nlmsghdr	*add;		/* ready to be sent */
};
TAILQ_HEAD(viplist, vip);
RB_HEAD(viptree, vip);

struct vaddr {
	LIST_ENTRY(vaddr) entry;
	char		 ifname[IF_NAMESIZE];
	int		 ifindex;
	struct steer	*steer;
	struct netlink	*nl;
	char		*file;		/* of the restore record */
	struct restore_id id;
	bool		 unkept;	/* the file cannot be written: said */
	int		 orig[SYSCTLS];
	struct viplist	 vips;
	struct viptree	 index;		/* the same by address */
	struct savedlist saved;
	struct ipaddr	*notes;		/* carpdev's addresses */
	size_t		 nnotes;
	uint8_t		(*macs)[6];	/* that the NIC was told */
	size_t		 nmacs;
	int		 macfd;		/* where entries are refused */
};

/* All that are open: they share sysctls[SYSCTL_ALL]. */
static LIST_HEAD(vaddrlist, vaddr) vaddrs = LIST_HEAD_INITIALIZER(vaddrs);

/*
 * The restore record: this, then `count` times the owner (struct ipaddr) and
 * a netlink message, padded as netlink does.
 */
#define RECORD_MAGIC	0x63617270U	/* "carp" */
#define RECORD_VERSION	1
struct record {
	uint32_t	 magic;
	uint16_t	 version;
	uint16_t	 count;
	uint32_t	 len;		/* all of it */
	int32_t		 orig[SYSCTLS];
};
_Static_assert(STEER_RESTORE <= RESTORE_MAX, "a record fits into both");

/* -- messages -- */

/* Bytes of the fixed part before the attributes. */
static size_t
fixed_len(uint16_t type)
{
	return (type == RTM_NEWADDR ? sizeof(struct ifaddrmsg) :
	    sizeof(struct rtmsg));
}

static void *
payload(const struct nlmsghdr *h)
{
	return (mnl_nlmsg_get_payload(h));
}

/* A copy without some attributes, with room for MSG_ROOM bytes of others. */
static struct nlmsghdr *
copy_message(const struct nlmsghdr *h, uint64_t drop)
{
	struct nlmsghdr	*copy;
	struct nlattr	*attr;
	size_t		 fixed = fixed_len(h->nlmsg_type);
	uint16_t	 type;

	if ((copy = calloc(1, h->nlmsg_len + MSG_ROOM)) == NULL)
		return (NULL);
	copy->nlmsg_len = MNL_NLMSG_HDRLEN;
	copy->nlmsg_type = h->nlmsg_type;
	memcpy(mnl_nlmsg_put_extra_header(copy, fixed), payload(h), fixed);
	mnl_attr_for_each(attr, h, fixed) {
		type = mnl_attr_get_type(attr);
		if (type < 64 && !(drop & ATTR(type)))
			mnl_attr_put(copy, attr->nla_type,
			    mnl_attr_get_payload_len(attr),
			    mnl_attr_get_payload(attr));
	}
	return (copy);
}

static struct nlattr *
find_attr(const struct nlmsghdr *h, uint16_t type)
{
	struct nlattr	*attr;

	mnl_attr_for_each(attr, h, fixed_len(h->nlmsg_type)) {
		if (mnl_attr_get_type(attr) == type)
			return (attr);
	}
	return (NULL);
}

/* attr holds exactly this address */
static bool
attr_is(const struct nlattr *attr, const struct ipaddr *a)
{
	return (attr != NULL &&
	    mnl_attr_get_payload_len(attr) == ipaddr_len(a->af) &&
	    memcmp(mnl_attr_get_payload(attr), a->bytes,
	    ipaddr_len(a->af)) == 0);
}

static bool
addr_of(const struct nlmsghdr *h, struct ipaddr *a)
{
	const struct ifaddrmsg	*ifa = payload(h);
	const struct nlattr	*own = find_attr(h, IFA_LOCAL);

	if (own == NULL)	/* without a peer this is it */
		own = find_attr(h, IFA_ADDRESS);
	memset(a, 0, sizeof(*a));
	a->af = ifa->ifa_family;
	a->plen = ifa->ifa_prefixlen;
	if ((a->af != AF_INET && a->af != AF_INET6) || own == NULL ||
	    mnl_attr_get_payload_len(own) != ipaddr_len(a->af))
		return (false);
	memcpy(a->bytes, mnl_attr_get_payload(own), ipaddr_len(a->af));
	return (true);
}

static int
send_as(struct vaddr *v, struct nlmsghdr *h, uint16_t type, uint16_t flags)
{
	uint16_t	 was = h->nlmsg_type;
	int		 r;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	r = netlink_talk(v->nl, h);
	h->nlmsg_type = was;	/* fixed_len() goes by it */
	return (r);
}

/* -- what is put aside -- */

static uint8_t
saved_plen(const struct saved *s)
{
	return (((struct ifaddrmsg *)payload(s->msg))->ifa_prefixlen);
}

static bool
saved_same(const struct saved *a, const struct saved *b)
{
	if (a->msg->nlmsg_type != b->msg->nlmsg_type ||
	    ipaddr_cmp(&a->owner, &b->owner) != 0)
		return (false);
	if (a->msg->nlmsg_type == RTM_NEWADDR)
		return (saved_plen(a) == saved_plen(b));
	return (a->msg->nlmsg_len == b->msg->nlmsg_len &&
	    memcmp(payload(a->msg), payload(b->msg),
	    mnl_nlmsg_get_payload_len(a->msg)) == 0);
}

static struct saved *
saved_find(const struct savedlist *l, const struct saved *like)
{
	struct saved	*s;

	TAILQ_FOREACH(s, l, entry) {
		if (saved_same(s, like))
			return (s);
	}
	return (NULL);
}

static void
saved_remove(struct savedlist *l, struct saved *s)
{
	TAILQ_REMOVE(l, s, entry);
	free(s->msg);
	free(s);
}

static void
saved_clear(struct savedlist *l)
{
	struct saved	*s;

	while ((s = TAILQ_FIRST(l)) != NULL)
		saved_remove(l, s);
}

/*
 * Append once (a dump may show a thing twice).  Takes over msg, which may be
 * NULL for lack of memory.
 */
static int
saved_add(struct savedlist *l, const struct ipaddr *owner,
    struct nlmsghdr *msg)
{
	struct saved	*s;

	if (msg == NULL || (s = calloc(1, sizeof(*s))) == NULL) {
		free(msg);
		errno = ENOMEM;
		return (-1);
	}
	s->owner = *owner;
	s->msg = msg;
	s->fresh = true;
	if (saved_find(l, s) != NULL) {
		free(s->msg);
		free(s);
	} else
		TAILQ_INSERT_TAIL(l, s, entry);
	return (0);
}

static bool
saved_of(const struct saved *s, const struct ipaddr *owner, uint16_t type)
{
	return (s->msg->nlmsg_type == type &&
	    ipaddr_cmp(&s->owner, owner) == 0);
}

static struct saved *
saved_first(const struct vaddr *v, const struct ipaddr *owner, uint16_t type)
{
	struct saved	*s;

	TAILQ_FOREACH(s, &v->saved, entry) {
		if (saved_of(s, owner, type))
			return (s);
	}
	return (NULL);
}

/* -- the restore record -- */

/* The second place: without it we go on. */
static void
record_keep(struct vaddr *v, const void *buf, size_t len)
{
	bool	 failed = restore_write(v->file, &v->id, buf, len) == -1;

	if (failed && !v->unkept)
		log_warn("%s: cannot be written, and what is to be put back "
		    "after a crash is with the classifier alone", v->file);
	v->unkept = failed;
}

static int
record_store(struct vaddr *v)
{
	static union {
		struct record	 head;	/* for alignment */
		uint8_t		 bytes[STEER_RESTORE];
	}		 buf;
	struct saved	*s;
	size_t		 len = sizeof(struct record), need;
	uint16_t	 count = 0;
	int		 i;

	memset(&buf, 0, sizeof(buf));
	TAILQ_FOREACH(s, &v->saved, entry) {
		need = sizeof(s->owner) + MNL_ALIGN(s->msg->nlmsg_len);
		if (need > sizeof(buf.bytes) - len) {
			errno = ENOSPC;
			return (-1);
		}
		memcpy(buf.bytes + len, &s->owner, sizeof(s->owner));
		memcpy(buf.bytes + len + sizeof(s->owner), s->msg,
		    s->msg->nlmsg_len);
		len += need;
		count++;
	}
	buf.head.magic = RECORD_MAGIC;
	buf.head.version = RECORD_VERSION;
	buf.head.count = count;
	buf.head.len = (uint32_t)len;
	for (i = 0; i < SYSCTLS; i++)
		buf.head.orig[i] = v->orig[i];
	record_keep(v, buf.bytes, len);
	return (steer_restore_put(v->steer, buf.bytes, len));
}

static void
record_drop(struct vaddr *v)
{
	if (unlink(v->file) == -1 && errno != ENOENT)
		log_warn("%s", v->file);
	(void)steer_restore_put(v->steer, "", 0);
}

/* Is it something that we could have put aside on this interface? */
static bool
record_fits(const struct vaddr *v, const struct ipaddr *owner,
    const struct nlmsghdr *msg)
{
	const struct ifaddrmsg	*ifa = payload(msg);
	const struct rtmsg	*rtm = payload(msg);
	struct ipaddr		 a;

	if (msg->nlmsg_type == RTM_NEWROUTE)
		return (rtm->rtm_family == owner->af);
	return ((int)ifa->ifa_index == v->ifindex && addr_of(msg, &a) &&
	    ipaddr_cmp(&a, owner) == 0);
}

/* One saved thing at p; bytes it takes, 0 if it is damaged. */
static size_t
record_item(struct vaddr *v, const uint8_t *p, size_t left)
{
	struct nlmsghdr	 h, *msg;
	struct ipaddr	 owner;
	size_t		 len;

	if (left < sizeof(owner) + sizeof(h))
		return (0);
	memcpy(&owner, p, sizeof(owner));
	memcpy(&h, p + sizeof(owner), sizeof(h));
	left -= sizeof(owner);
	if ((owner.af != AF_INET && owner.af != AF_INET6) ||
	    (h.nlmsg_type != RTM_NEWADDR && h.nlmsg_type != RTM_NEWROUTE) ||
	    h.nlmsg_len > left || MNL_ALIGN(h.nlmsg_len) > left ||
	    h.nlmsg_len < sizeof(h) + fixed_len(h.nlmsg_type))
		return (0);
	len = MNL_ALIGN(h.nlmsg_len);
	if ((msg = calloc(1, len + MSG_ROOM)) == NULL)
		return (0);
	memcpy(msg, p + sizeof(owner), h.nlmsg_len);
	if (!record_fits(v, &owner, msg)) {
		free(msg);
		return (0);
	}
	if (saved_add(&v->saved, &owner, msg) == -1)
		return (0);
	TAILQ_LAST(&v->saved, savedlist)->fresh = false;
	return (sizeof(owner) + len);
}

/* What a dead run left; false: nothing. */
static bool
record_load(struct vaddr *v, int32_t orig[SYSCTLS])
{
	uint8_t		 buf[RESTORE_MAX];
	struct record	 head;
	size_t		 len, off, n;
	uint16_t	 i;

	len = steer_restore_get(v->steer, buf, sizeof(buf));
	if (len == 0)		/* or the classifier has gone */
		len = restore_read(v->file, &v->id, buf);
	if (len == 0)
		return (false);
	memset(&head, 0, sizeof(head));
	if (len >= sizeof(head))
		memcpy(&head, buf, sizeof(head));
	if (head.magic != RECORD_MAGIC || head.version != RECORD_VERSION ||
	    head.len < sizeof(head) || head.len > len) {
		log_warnx("%s: restore record ignored, it is damaged or of "
		    "another version", v->ifname);
		return (false);
	}
	for (i = 0; i < SYSCTLS; i++)
		orig[i] = head.orig[i];
	off = sizeof(head);
	for (i = 0; i < head.count; i++, off += n) {
		if ((n = record_item(v, buf + off, head.len - off)) == 0) {
			log_warnx("%s: restore record damaged after %u items",
			    v->ifname, i);
			break;
		}
	}
	return (true);
}

/* -- sysctls -- */

static void
sysctl_path(const struct vaddr *v, enum sysctl i, char *path, size_t size)
{
	snprintf(path, size, "/proc/sys/net/ipv4/conf/%s/%s",
	    sysctls[i].dev != NULL ? sysctls[i].dev : v->ifname,
	    sysctls[i].name);
}

static int
sysctl_read(const struct vaddr *v, enum sysctl i)
{
	char	 path[128], text[16];
	ssize_t	 n;
	int	 fd;

	sysctl_path(v, i, path, sizeof(path));
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return (SYSCTL_UNKNOWN);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return (SYSCTL_UNKNOWN);
	text[n] = '\0';
	return ((int)strtol(text, NULL, 10));
}

static void
sysctl_write(const struct vaddr *v, enum sysctl i, int value)
{
	char	 path[128], text[16];
	int	 fd, len;
	bool	 done;

	sysctl_path(v, i, path, sizeof(path));
	len = snprintf(text, sizeof(text), "%d\n", value);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd != -1 && write(fd, text, (size_t)len) == len;
	if (!done && errno != ENOENT)	/* the interface has gone */
		log_warn("%s: cannot set %s to %d", v->ifname, path, value);
	if (fd != -1)
		close(fd);
}

/*
 * The value to put back: what a dead run recorded, if what stands there now
 * is what it set; else what stands there, somebody wants it so.
 */
static void
sysctl_origin(struct vaddr *v, bool recorded, const int32_t *orig)
{
	struct vaddr	*other = LIST_FIRST(&vaddrs);
	int		 i, now;

	for (i = 0; i < SYSCTLS; i++) {
		now = sysctl_read(v, i);
		v->orig[i] = now;
		if (now != sysctls[i].ours)
			continue;
		if (recorded && orig[i] != SYSCTL_UNKNOWN)
			v->orig[i] = orig[i];
		else if (i == SYSCTL_ALL && other != NULL)
			v->orig[i] = other->orig[i];
	}
	/* an earlier one may have taken the dead run's value for the host's */
	LIST_FOREACH(other, &vaddrs, entry) {
		if (other->orig[SYSCTL_ALL] != v->orig[SYSCTL_ALL]) {
			other->orig[SYSCTL_ALL] = v->orig[SYSCTL_ALL];
			(void)record_store(other);
		}
	}
}

static void
sysctl_apply(const struct vaddr *v)
{
	int	 i;

	for (i = 0; i < SYSCTLS; i++) {
		if (v->orig[i] != SYSCTL_UNKNOWN &&
		    v->orig[i] != sysctls[i].ours)
			sysctl_write(v, i, sysctls[i].ours);
	}
}

static void
sysctl_restore(const struct vaddr *v, enum sysctl i)
{
	if (v->orig[i] != SYSCTL_UNKNOWN && v->orig[i] != sysctls[i].ours &&
	    sysctl_read(v, i) == sysctls[i].ours)
		sysctl_write(v, i, v->orig[i]);
}

/* -- addresses of the kernel -- */

struct walk {
	struct vaddr	*v;
	struct savedlist *out;
	struct ipaddr	 owner;		/* of routes */
};

static uint32_t
addr_flags(const struct nlmsghdr *h)
{
	const struct nlattr	*flags = find_attr(h, IFA_FLAGS);

	if (flags != NULL)
		return (mnl_attr_get_u32(flags));
	return (((struct ifaddrmsg *)payload(h))->ifa_flags);
}

static bool
addr_is_marked(const struct nlmsghdr *h)
{
	const struct nlattr	*proto = find_attr(h, IFA_PROTO);

	return (proto != NULL && mnl_attr_get_u8(proto) == KIF_PROTO_CARPD);
}

/* Flags and lifetime, at the end of a message that has neither. */
static void
put_state(struct nlmsghdr *h, uint32_t flags, uint32_t valid,
    uint32_t preferred)
{
	struct ifa_cacheinfo	 ci;

	((struct ifaddrmsg *)payload(h))->ifa_flags = (uint8_t)flags;
	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	memset(&ci, 0, sizeof(ci));
	ci.ifa_valid = valid;
	ci.ifa_prefered = preferred;
	mnl_attr_put(h, IFA_CACHEINFO, sizeof(ci), &ci);
}

/* As it can be sent back: without what the kernel finds out by itself. */
static struct nlmsghdr *
clean_addr(const struct nlmsghdr *h)
{
	const struct nlattr	*ci = find_attr(h, IFA_CACHEINFO);
	struct ifa_cacheinfo	 life;
	struct nlmsghdr		*copy;
	uint32_t		 flags;

	memset(&life, 0, sizeof(life));
	life.ifa_valid = life.ifa_prefered = LIFE_FOREVER;
	if (ci != NULL && mnl_attr_get_payload_len(ci) >= sizeof(life))
		memcpy(&life, mnl_attr_get_payload(ci), sizeof(life));
	flags = addr_flags(h) & (IFA_F_NODAD | IFA_F_HOMEADDRESS |
	    IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN);
	if ((copy = copy_message(h, ATTR(IFA_FLAGS) |
	    ATTR(IFA_CACHEINFO))) != NULL)
		put_state(copy, flags, life.ifa_valid, life.ifa_prefered);
	return (copy);
}

/*
 * IPv6 leaves the prefix route of an address with a lifetime to expire by
 * itself, that of a permanent one goes with it: so it is made permanent just
 * before, in the same system call.
 */
static int
delete_addr6(struct vaddr *v, struct nlmsghdr *del)
{
	struct nlmsghdr	*forever;
	int		 r, saved;

	forever = copy_message(del, ATTR(IFA_FLAGS) | ATTR(IFA_CACHEINFO));
	if (forever == NULL)
		return (-1);
	forever->nlmsg_type = RTM_NEWADDR;
	forever->nlmsg_flags = NLM_F_REPLACE;
	put_state(forever, addr_flags(del) | IFA_F_NODAD, LIFE_FOREVER,
	    LIFE_FOREVER);
	del->nlmsg_type = RTM_DELADDR;
	del->nlmsg_flags = 0;
	r = netlink_talk_after(v->nl, forever, del);
	del->nlmsg_type = RTM_NEWADDR;
	saved = errno;
	free(forever);
	errno = saved;
	return (r);
}

/* Delete the address that this RTM_NEWADDR adds; 0 also if it is not there. */
static int
delete_addr(struct vaddr *v, struct nlmsghdr *add)
{
	const struct ifaddrmsg	*ifa = payload(add);
	int			 r;

	r = ifa->ifa_family == AF_INET6 ? delete_addr6(v, add) :
	    send_as(v, add, RTM_DELADDR, 0);
	if (r == 0 || errno == EADDRNOTAVAIL || errno == ENODEV ||
	    errno == ENXIO)
		return (0);
	return (-1);
}

static int
addr_cb(const struct nlmsghdr *h, void *arg)
{
	struct walk		*w = arg;
	const struct ifaddrmsg	*ifa = payload(h);
	struct ipaddr		 a;

	if (h->nlmsg_type == RTM_NEWADDR &&
	    mnl_nlmsg_get_payload_len(h) >= sizeof(*ifa) &&
	    (int)ifa->ifa_index == w->v->ifindex && addr_of(h, &a) &&
	    saved_add(w->out, &a, clean_addr(h)) == -1)
		return (MNL_CB_ERROR);
	return (MNL_CB_OK);
}

/* A dump of that type and family. */
static int
walk_kernel(struct vaddr *v, uint16_t type, uint8_t af, mnl_cb_t cb,
    struct walk *w)
{
	struct {
		struct nlmsghdr	 h;
		struct rtmsg	 rtm;	/* the family is its first byte, */
	} req;				/* as in struct ifaddrmsg */

	memset(&req, 0, sizeof(req));
	req.h.nlmsg_len = sizeof(req);
	req.h.nlmsg_type = type;
	req.rtm.rtm_family = af;
	return (netlink_dump(v->nl, &req.h, cb, w));
}

/* All addresses of carpdev; af AF_UNSPEC: of both families. */
static int
collect_addrs(struct vaddr *v, uint8_t af, struct savedlist *out)
{
	struct walk	 w = { .v = v, .out = out };

	return (walk_kernel(v, RTM_GETADDR, af, addr_cb, &w));
}

/* -- routes of the kernel -- */

/*
 * Routes that somebody else looks after: the kernel's come and go with the
 * address, those of routing daemons are theirs, and may be a million.
 */
static bool
route_is_foreign(uint8_t proto)
{
	switch (proto) {
	case RTPROT_REDIRECT:
	case RTPROT_KERNEL:
	case RTPROT_RA:
	case RTPROT_MRT:
	case RTPROT_ZEBRA:
	case RTPROT_BIRD:
	case RTPROT_DNROUTED:
	case RTPROT_XORP:
	case RTPROT_MROUTED:
	case RTPROT_KEEPALIVED:
	case RTPROT_BABEL:
	case RTPROT_OPENR:
	case RTPROT_BGP:
	case RTPROT_ISIS:
	case RTPROT_OSPF:
	case RTPROT_RIP:
	case RTPROT_EIGRP:
		return (true);
	}
	return (false);
}

/*
 * One of several nexthops is on this interface.  Flags that the kernel sets
 * by itself, and refuses from us, are cleared on the way.
 */
static bool
nexthops_on(const struct nlattr *multipath, int ifindex)
{
	struct rtnexthop	*nh = mnl_attr_get_payload(multipath);
	int			 len = mnl_attr_get_payload_len(multipath);
	bool			 found = false;

	while (len >= (int)sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) &&
	    nh->rtnh_len <= len) {
		nh->rtnh_flags &= RTNH_F_ONLINK;
		found |= nh->rtnh_ifindex == ifindex;
		len -= RTNH_ALIGN(nh->rtnh_len);
		nh = RTNH_NEXT(nh);
	}
	return (found);
}

/* As it can be sent back. */
static struct nlmsghdr *
clean_route(const struct nlmsghdr *h)
{
	struct nlmsghdr	*copy;
	uint64_t	 drop = ATTR(RTA_CACHEINFO);

	/* a nexthop object comes with what it stands for */
	if (find_attr(h, RTA_NH_ID) != NULL)
		drop |= ATTR(RTA_OIF) | ATTR(RTA_GATEWAY) | ATTR(RTA_VIA) |
		    ATTR(RTA_MULTIPATH) | ATTR(RTA_ENCAP) |
		    ATTR(RTA_ENCAP_TYPE);
	if ((copy = copy_message(h, drop)) != NULL)
		((struct rtmsg *)payload(copy))->rtm_flags &= RTNH_F_ONLINK;
	return (copy);
}

/*
 * Could the kernel drop it with the address?  It does so with routes that
 * prefer the address as source, and with all of an interface that loses its
 * last address.
 */
static bool
route_hangs_on(const struct walk *w, const struct nlmsghdr *h)
{
	const struct rtmsg	*rtm = payload(h);
	const struct nlattr	*oif = find_attr(h, RTA_OIF);
	const struct nlattr	*multipath = find_attr(h, RTA_MULTIPATH);

	if (rtm->rtm_family != w->owner.af ||
	    (rtm->rtm_flags & RTM_F_CLONED) ||
	    route_is_foreign(rtm->rtm_protocol))
		return (false);
	return (attr_is(find_attr(h, RTA_PREFSRC), &w->owner) ||
	    (oif != NULL &&
	    mnl_attr_get_u32(oif) == (uint32_t)w->v->ifindex) ||
	    (multipath != NULL && nexthops_on(multipath, w->v->ifindex)));
}

static int
route_cb(const struct nlmsghdr *h, void *arg)
{
	struct walk	*w = arg;

	if (h->nlmsg_type == RTM_NEWROUTE &&
	    mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg) &&
	    route_hangs_on(w, h) &&
	    saved_add(w->out, &w->owner, clean_route(h)) == -1)
		return (MNL_CB_ERROR);
	return (MNL_CB_OK);
}

static int
collect_routes(struct vaddr *v, const struct ipaddr *owner,
    struct savedlist *out)
{
	struct walk	 w = { .v = v, .out = out, .owner = *owner };

	return (walk_kernel(v, RTM_GETROUTE, owner->af, route_cb, &w));
}

/* Forget those routes of the owner that are in the kernel after all. */
static void
forget_present(struct vaddr *v, const struct ipaddr *owner)
{
	struct savedlist	 there = TAILQ_HEAD_INITIALIZER(there);
	struct saved		*s, *next;

	if (collect_routes(v, owner, &there) == 0) {
		TAILQ_FOREACH_SAFE(s, &v->saved, entry, next) {
			if (saved_of(s, owner, RTM_NEWROUTE) &&
			    saved_find(&there, s) != NULL)
				saved_remove(&v->saved, s);
		}
	}
	saved_clear(&there);
}

static void
restore_routes(struct vaddr *v, const struct ipaddr *owner)
{
	struct saved	*s;
	uint16_t	 flags = NLM_F_CREATE | NLM_F_EXCL;
	int		 pass, failed = 1;

	/* IPv6 keeps the route and takes only the source out of it */
	if (owner->af == AF_INET6)
		flags = NLM_F_CREATE | NLM_F_REPLACE;
	TAILQ_FOREACH(s, &v->saved, entry) {
		if (saved_of(s, owner, RTM_NEWROUTE))
			s->absent = true;
	}
	for (pass = 0; pass < ROUTE_PASSES && failed > 0; pass++) {
		failed = 0;
		TAILQ_FOREACH(s, &v->saved, entry) {
			if (!s->absent || !saved_of(s, owner, RTM_NEWROUTE))
				continue;
			s->absent = send_as(v, s->msg, RTM_NEWROUTE,
			    flags) == -1 && errno != EEXIST;
			if (s->absent)
				failed++;
		}
	}
	if (failed > 0)
		log_warn("%s: %d routes could not be restored", v->ifname,
		    failed);
}

/* -- the host's own address as a virtual one -- */

static void
forget_fresh(struct vaddr *v)
{
	struct saved	*s, *next;

	TAILQ_FOREACH_SAFE(s, &v->saved, entry, next) {
		if (s->fresh)
			saved_remove(&v->saved, s);
	}
}

/*
 * Record the routes that may go with the address, take the address away,
 * and keep of the routes those that did go.
 */
static int
put_aside(struct vaddr *v, const struct ipaddr *owner)
{
	struct saved	*s;
	int		 saved;

	if (collect_routes(v, owner, &v->saved) == -1 ||
	    record_store(v) == -1) {
		saved = errno;
		forget_fresh(v);
		errno = saved;
		return (-1);
	}
	TAILQ_FOREACH(s, &v->saved, entry) {
		s->fresh = false;
		if (saved_of(s, owner, RTM_NEWADDR) &&
		    delete_addr(v, s->msg) == -1)
			return (-1);
	}
	forget_present(v, owner);
	return (record_store(v));
}

/*
 * Give an address back to the host.  Where ours stands in its place this
 * turns it into the host's, and the routes stay.
 */
static void
give_back(struct vaddr *v, struct saved *s)
{
	struct nlmsghdr	*nodad;
	int		 r = 0;

	/* no DAD, else routes that prefer it would be refused meanwhile */
	if (s->owner.af == AF_INET6) {
		nodad = copy_message(s->msg, ATTR(IFA_FLAGS));
		if (nodad != NULL) {
			mnl_attr_put_u32(nodad, IFA_FLAGS,
			    addr_flags(s->msg) | IFA_F_NODAD);
			r = send_as(v, nodad, RTM_NEWADDR,
			    NLM_F_CREATE | NLM_F_REPLACE);
		}
		free(nodad);
	}
	if (r == -1 || send_as(v, s->msg, RTM_NEWADDR,
	    NLM_F_CREATE | NLM_F_REPLACE) == -1)
		log_warn("%s: an address of the host could not be restored",
		    v->ifname);
}

/* All that was put aside for this address. */
static void
restore_own(struct vaddr *v, struct ipaddr owner)
{
	struct saved	*s, *next;

	TAILQ_FOREACH(s, &v->saved, entry) {
		if (saved_of(s, &owner, RTM_NEWADDR))
			give_back(v, s);
	}
	restore_routes(v, &owner);
	TAILQ_FOREACH_SAFE(s, &v->saved, entry, next) {
		if (ipaddr_cmp(&s->owner, &owner) == 0)
			saved_remove(&v->saved, s);
	}
	(void)record_store(v);
}

/* -- virtual addresses -- */

static int
vip_cmp(const struct vip *a, const struct vip *b)
{
	return (ipaddr_cmp(&a->addr, &b->addr));
}

RB_PROTOTYPE(viptree, vip, node, vip_cmp)
RB_GENERATE(viptree, vip, node, vip_cmp)

static struct vip *
vip_find(const struct vaddr *v, const struct ipaddr *a)
{
	struct vip	*p = RB_ROOT(&v->index);
	int		 r;

	while (p != NULL && (r = ipaddr_cmp(a, &p->addr)) != 0)
		p = r < 0 ? RB_LEFT(p, node) : RB_RIGHT(p, node);
	return (p);
}

/* The configured length, unless carpdev has another address within it. */
static uint8_t
vip_plen(const struct vaddr *v, const struct vip *p)
{
	size_t	 i;

	for (i = 0; i < v->nnotes; i++) {
		if (ipaddr_within(&v->notes[i], &p->addr) &&
		    vip_find(v, &v->notes[i]) == NULL)
			return (p->addr.af == AF_INET ? 32 : 128);
	}
	return (p->addr.plen);
}

static void
put_broadcast(struct nlmsghdr *h, const struct ipaddr *a, uint8_t plen)
{
	uint32_t	 addr;

	if (a->af != AF_INET || plen >= 31)
		return;
	memcpy(&addr, a->bytes, sizeof(addr));
	addr |= htobe32(UINT32_MAX >> plen);
	mnl_attr_put(h, IFA_BROADCAST, sizeof(addr), &addr);
}

static struct nlmsghdr *
new_addr(const struct vaddr *v, const struct ipaddr *a, uint8_t plen)
{
	struct nlmsghdr		*h;
	struct ifaddrmsg	*ifa;

	if ((h = calloc(1, sizeof(*h) + sizeof(*ifa) + 2 * MSG_ROOM)) == NULL)
		return (NULL);
	h->nlmsg_len = MNL_NLMSG_HDRLEN;
	h->nlmsg_type = RTM_NEWADDR;
	ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));
	ifa->ifa_family = a->af;
	ifa->ifa_prefixlen = plen;
	ifa->ifa_index = (uint32_t)v->ifindex;
	mnl_attr_put(h, IFA_LOCAL, ipaddr_len(a->af), a->bytes);
	mnl_attr_put(h, IFA_ADDRESS, ipaddr_len(a->af), a->bytes);
	put_broadcast(h, a, plen);
	return (h);
}

/*
 * Make the message that installs it.  Deprecated from birth (IPv6), so that
 * the host's own traffic does not choose it as source; not so where it is
 * the host's own, which was its source before.
 */
static int
vip_prepare(struct vaddr *v, struct vip *p)
{
	const struct saved	*s = saved_first(v, &p->addr, RTM_NEWADDR);
	struct nlmsghdr		*h;
	uint32_t		 flags = 0, preferred = VADDR_LIFETIME;
	uint8_t			 plen;

	if (p->own && s != NULL) {
		plen = saved_plen(s);
		flags = addr_flags(s->msg);
		h = copy_message(s->msg, ATTR(IFA_FLAGS) |
		    ATTR(IFA_CACHEINFO) | ATTR(IFA_PROTO));
	} else {
		plen = vip_plen(v, p);
		h = new_addr(v, &p->addr, plen);
		if (p->addr.af == AF_INET6)
			preferred = 0;
		/* its prefix has a route already */
		if (plen == ipaddr_len(p->addr.af) * 8)
			flags = IFA_F_NOPREFIXROUTE;
	}
	if (h == NULL)
		return (-1);
	if (p->addr.af == AF_INET6)
		flags |= IFA_F_NODAD;
	put_state(h, flags, VADDR_LIFETIME, preferred);
	mnl_attr_put_u8(h, IFA_PROTO, KIF_PROTO_CARPD);
	((struct ifaddrmsg *)payload(h))->ifa_index = (uint32_t)v->ifindex;
	free(p->add);
	p->add = h;
	p->plen = plen;
	return (0);
}

static void
vip_free(struct vaddr *v, struct vip *p)
{
	TAILQ_REMOVE(&v->vips, p, entry);
	RB_REMOVE(viptree, &v->index, p);
	free(p->add);
	free(p);
}

static bool
is_noted(const struct vaddr *v, const struct ipaddr *a)
{
	size_t	 i;

	for (i = 0; i < v->nnotes; i++) {
		if (ipaddr_cmp(&v->notes[i], a) == 0)
			return (true);
	}
	return (false);
}

/*
 * The host's own addresses among carpdev's that equal it go into the saved
 * ones, not yet into the record.  How many, or -1.
 */
static int
find_own(struct vaddr *v, const struct ipaddr *a)
{
	struct savedlist	 there = TAILQ_HEAD_INITIALIZER(there);
	struct saved		*s, *next;
	int			 n = 0;

	if (!is_noted(v, a))
		return (0);
	if (collect_addrs(v, a->af, &there) == -1)
		n = -1;
	TAILQ_FOREACH_SAFE(s, &there, entry, next) {
		if (n == -1 || ipaddr_cmp(&s->owner, a) != 0 ||
		    addr_is_marked(s->msg))
			continue;
		TAILQ_REMOVE(&there, s, entry);
		if (saved_find(&v->saved, s) == NULL)
			TAILQ_INSERT_TAIL(&v->saved, s, entry);
		else {
			free(s->msg);
			free(s);
		}
		n++;
	}
	saved_clear(&there);
	return (n);
}

static struct vip *
vip_new(struct vaddr *v, const struct ipaddr *a)
{
	struct vip	*p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (NULL);
	p->addr = *a;
	TAILQ_INSERT_TAIL(&v->vips, p, entry);
	RB_INSERT(viptree, &v->index, p);
	return (p);
}

int
vaddr_declare(struct vaddr *v, const struct ipaddr *a)
{
	struct vip	*p;
	bool		 created = false, again;
	int		 n, saved;

	if ((p = vip_find(v, a)) == NULL) {
		if ((p = vip_new(v, a)) == NULL)
			return (-1);
		created = true;
	}
	if ((n = find_own(v, a)) == -1 || (n > 0 && put_aside(v, a) == -1))
		goto fail;
	/* or a dead run has put it aside, and it is in the record */
	p->own = saved_first(v, a, RTM_NEWADDR) != NULL;
	/* the host got it beside ours: in its form from now on */
	if ((again = n > 0 && p->installed)) {
		(void)delete_addr(v, p->add);
		p->installed = false;
	}
	if (!p->installed) {
		p->addr = *a;
		if (vip_prepare(v, p) == -1)
			goto fail;
	}
	if (again && vaddr_add(v, a, NULL) == -1)
		return (-1);
	return (p->own ? 1 : 0);
fail:
	saved = errno;
	if (created)
		vip_free(v, p);
	errno = saved;
	return (-1);
}

void
vaddr_undeclare(struct vaddr *v, const struct ipaddr *a)
{
	struct vip	*p;

	if ((p = vip_find(v, a)) == NULL)
		return;
	if (p->own)
		restore_own(v, p->addr);
	else
		(void)vaddr_del(v, a);
	vip_free(v, p);
}

void
vaddr_settle(struct vaddr *v)
{
	struct saved	*s;
	bool		 again;

	do {
		again = false;
		TAILQ_FOREACH(s, &v->saved, entry) {
			if (vip_find(v, &s->owner) == NULL) {
				/* changes the list */
				restore_own(v, s->owner);
				again = true;
				break;
			}
		}
	} while (again);
}

/* 1: it was not there; 0: it is. */
static int
add_missing(struct vaddr *v, struct vip *p)
{
	if (send_as(v, p->add, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL) == -1)
		return (errno == EEXIST ? 0 : -1);
	if (p->own)
		restore_routes(v, &p->addr);
	return (1);
}

/*
 * An own address needs to know whether it is new, because its routes then
 * are gone; this costs a second exchange only where it is a refresh.
 */
static int
add_or_refresh(struct vaddr *v, struct vip *p)
{
	int	 r;

	if (p->own && (r = add_missing(v, p)) != 0)
		return (r);
	return (send_as(v, p->add, RTM_NEWADDR,
	    NLM_F_CREATE | NLM_F_REPLACE));
}

static int
put(struct vaddr *v, const struct ipaddr *a, uint8_t *plen,
    int (*how)(struct vaddr *, struct vip *))
{
	struct vip	*p;
	int		 r;

	if ((p = vip_find(v, a)) == NULL) {
		errno = ENOENT;
		return (-1);
	}
	if ((r = how(v, p)) == -1)
		return (-1);
	p->installed = true;
	if (plen != NULL)
		*plen = p->plen;
	return (r);
}

int
vaddr_add(struct vaddr *v, const struct ipaddr *a, uint8_t *plen)
{
	return (put(v, a, plen, add_or_refresh) == -1 ? -1 : 0);
}

int
vaddr_restore(struct vaddr *v, const struct ipaddr *a, uint8_t *plen)
{
	return (put(v, a, plen, add_missing));
}

/* Jobs that need a single message each. */
static void
add_batch(struct vaddr *v, struct vaddr_job *const *jobs, size_t n)
{
	struct nlmsghdr	*h[NETLINK_MANY] = { NULL };
	struct vip	*p[NETLINK_MANY];
	int		 error[NETLINK_MANY];
	size_t		 i;
	bool		 lost;

	if (n == 0)
		return;
	for (i = 0; i < n; i++) {
		p[i] = vip_find(v, jobs[i]->addr);
		h[i] = p[i]->add;
		h[i]->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	}
	lost = netlink_talk_many(v->nl, h, n, error) == -1;
	for (i = 0; i < n; i++) {
		jobs[i]->error = lost ? errno : error[i];
		if (jobs[i]->error != 0)
			continue;
		p[i]->installed = true;
		jobs[i]->plen = p[i]->plen;
	}
}

void
vaddr_add_many(struct vaddr *v, struct vaddr_job *jobs, size_t n)
{
	struct vaddr_job	*batch[NETLINK_MANY];
	const struct vip	*p;
	size_t			 i, k = 0;

	for (i = 0; i < n; i++) {
		p = vip_find(v, jobs[i].addr);
		if (p != NULL && !p->own)
			batch[k++] = &jobs[i];
		else
			jobs[i].error = vaddr_add(v, jobs[i].addr,
			    &jobs[i].plen) == -1 ? errno : 0;
		if (k == NETLINK_MANY) {
			add_batch(v, batch, k);
			k = 0;
		}
	}
	add_batch(v, batch, k);
}

/* The routes that now hang on an own address take the place of the saved. */
static int
del_own(struct vaddr *v, struct vip *p)
{
	struct saved	*s, *next;

	TAILQ_FOREACH_SAFE(s, &v->saved, entry, next) {
		if (saved_of(s, &p->addr, RTM_NEWROUTE) && !s->absent)
			saved_remove(&v->saved, s);
	}
	if (put_aside(v, &p->addr) == 0)
		return (0);
	log_warn("%s: routes of an address of the host are lost", v->ifname);
	return (delete_addr(v, p->add));
}

int
vaddr_del(struct vaddr *v, const struct ipaddr *a)
{
	struct vip	*p;
	int		 r;

	if ((p = vip_find(v, a)) == NULL || !p->installed)
		return (0);
	r = p->own ? del_own(v, p) : delete_addr(v, p->add);
	if (r == -1)
		return (-1);
	p->installed = false;
	/* carpdev's other addresses may have changed meanwhile */
	(void)vip_prepare(v, p);
	return (0);
}

/*
 * The same address with another prefix length.  IPv4 has both for a moment,
 * so that nothing that hangs on it is lost; IPv6 takes it only once.
 */
static int
vip_refit(struct vaddr *v, struct vip *p)
{
	struct nlmsghdr	*old = p->add;
	bool		 v4 = p->addr.af == AF_INET;
	int		 r = 0;

	p->add = NULL;
	if (vip_prepare(v, p) == -1) {
		p->add = old;
		return (-1);
	}
	if (!v4)
		(void)delete_addr(v, old);
	r = send_as(v, p->add, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	if (v4 && r == 0)
		(void)delete_addr(v, old);
	free(old);
	return (r);
}

/*
 * Those that have become the only ones of their network; and those of IPv4 that
 * are it no more: the host would go on speaking as the virtual address.
 */
static bool
refit(struct vaddr *v)
{
	struct vip	*p;
	bool		 changed = false;

	TAILQ_FOREACH(p, &v->vips, entry) {
		if (!p->installed || p->own || p->plen == vip_plen(v, p) ||
		    (p->addr.af == AF_INET6 && p->plen == p->addr.plen))
			continue;
		/* or carpdev is on its way out; the next refresh will tell */
		if (vip_refit(v, p) == 0)
			changed = true;
	}
	return (changed);
}

bool
vaddr_note(struct vaddr *v, const struct ipaddr *a, bool add)
{
	struct ipaddr	*notes;
	struct vip	*p;
	size_t		 i;

	for (i = 0; i < v->nnotes; i++) {
		if (ipaddr_cmp(&v->notes[i], a) == 0 &&
		    v->notes[i].plen == a->plen)
			break;
	}
	if (add == (i < v->nnotes))
		return (false);
	if (!add)
		v->notes[i] = v->notes[--v->nnotes];
	else {
		if ((notes = reallocarray(v->notes, v->nnotes + 1,
		    sizeof(*notes))) == NULL)
			return (false);
		v->notes = notes;
		v->notes[v->nnotes++] = *a;
	}
	TAILQ_FOREACH(p, &v->vips, entry) {
		if (!p->installed)
			(void)vip_prepare(v, p);
	}
	return (refit(v));
}

/* -- virtual MACs -- */

/*
 * As `bridge fdb add MAC dev X self`; of a bridge this makes it local too.  A
 * multicast MAC goes where `ip maddr` shows it; a bridge takes all of those.
 */
static int
filter_entry(struct vaddr *v, uint16_t type, const uint8_t mac[6])
{
	char		 buf[MSG_ROOM] __attribute__((aligned(4)));
	struct nlmsghdr	*h;
	struct ndmsg	*ndm;

	memset(buf, 0, sizeof(buf));
	h = mnl_nlmsg_put_header(buf);
	h->nlmsg_type = type;
	if (type == RTM_NEWNEIGH)
		h->nlmsg_flags = NLM_F_CREATE;
	ndm = mnl_nlmsg_put_extra_header(h, sizeof(*ndm));
	ndm->ndm_family = AF_BRIDGE;
	ndm->ndm_ifindex = v->ifindex;
	ndm->ndm_state = NUD_PERMANENT;
	ndm->ndm_flags = NTF_SELF;
	mnl_attr_put(h, NDA_LLADDR, 6, mac);
	return (netlink_talk(v->nl, h));
}

/* For drivers that refuse: dies with our process. */
static int
filter_member(struct vaddr *v, int op, const uint8_t mac[6])
{
	struct packet_mreq	 mr;

	if (v->macfd == -1 &&
	    (v->macfd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) == -1)
		return (-1);
	memset(&mr, 0, sizeof(mr));
	mr.mr_ifindex = v->ifindex;
	mr.mr_type = mac[0] & 1 ? PACKET_MR_MULTICAST : PACKET_MR_UNICAST;
	mr.mr_alen = 6;
	memcpy(mr.mr_address, mac, 6);
	return (setsockopt(v->macfd, SOL_PACKET, op, &mr, sizeof(mr)));
}

static int
mac_add(struct vaddr *v, const uint8_t mac[6])
{
	uint8_t	(*macs)[6];

	if ((macs = reallocarray(v->macs, v->nmacs + 1,
	    sizeof(*macs))) == NULL)
		return (-1);
	v->macs = macs;
	if (filter_entry(v, RTM_NEWNEIGH, mac) == -1 && errno != EEXIST &&
	    filter_member(v, PACKET_ADD_MEMBERSHIP, mac) == -1)
		return (-1);
	memcpy(v->macs[v->nmacs++], mac, 6);
	return (0);
}

static int
mac_del(struct vaddr *v, const uint8_t mac[6])
{
	if (v->macfd != -1)
		(void)filter_member(v, PACKET_DROP_MEMBERSHIP, mac);
	if (filter_entry(v, RTM_DELNEIGH, mac) == 0 || errno == ENOENT ||
	    errno == ENODEV || v->macfd != -1)
		return (0);
	return (-1);
}

int
vaddr_mac(struct vaddr *v, const uint8_t mac[6], bool add)
{
	size_t	 i;

	for (i = 0; i < v->nmacs && memcmp(v->macs[i], mac, 6) != 0; i++)
		continue;
	if (add)
		return (i < v->nmacs ? 0 : mac_add(v, mac));
	if (i == v->nmacs)
		return (0);
	if (mac_del(v, mac) == -1)
		return (-1);
	v->nmacs--;
	memmove(v->macs[i], v->macs[v->nmacs], 6);
	return (0);
}

/* -- neighbours -- */

/* Those without an answer; more than these are asked for a second later. */
struct unanswered {
	int		 ifindex;
	size_t		 n;
	struct ipaddr	 a[64];
};

static int
unanswered_cb(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg	*ndm = payload(h);
	struct unanswered	*u = arg;
	struct nlattr		*attr;
	struct ipaddr		*a;

	if (ndm->ndm_ifindex != u->ifindex ||
	    ndm->ndm_state != NUD_INCOMPLETE ||
	    (ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6))
		return (MNL_CB_OK);
	mnl_attr_for_each(attr, h, sizeof(*ndm)) {
		if (mnl_attr_get_type(attr) != NDA_DST ||
		    mnl_attr_get_payload_len(attr) !=
		    ipaddr_len(ndm->ndm_family))
			continue;
		a = &u->a[u->n++];
		a->af = ndm->ndm_family;
		memcpy(a->bytes, mnl_attr_get_payload(attr),
		    ipaddr_len(a->af));
		break;
	}
	return (u->n < sizeof(u->a) / sizeof(u->a[0]) ? MNL_CB_OK :
	    MNL_CB_STOP);
}

static void
neigh_message(struct nlmsghdr *h, uint16_t type, uint8_t af, int ifindex)
{
	struct ndmsg	*ndm;

	h->nlmsg_len = MNL_NLMSG_HDRLEN;
	h->nlmsg_type = type;
	ndm = mnl_nlmsg_put_extra_header(h, sizeof(*ndm));
	ndm->ndm_family = af;
	ndm->ndm_ifindex = ifindex;
}

void
vaddr_carrier(struct vaddr *v)
{
	char			 buf[MSG_ROOM] __attribute__((aligned(4)));
	struct nlmsghdr		*h = (struct nlmsghdr *)(void *)buf;
	struct unanswered	 u = { .ifindex = v->ifindex };
	size_t			 i;

	memset(buf, 0, sizeof(buf));
	neigh_message(h, RTM_GETNEIGH, AF_UNSPEC, 0);
	mnl_attr_put_u32(h, NDA_IFINDEX, (uint32_t)v->ifindex);
	(void)netlink_dump(v->nl, h, unanswered_cb, &u);
	for (i = 0; i < u.n; i++) {
		memset(buf, 0, sizeof(buf));
		neigh_message(h, RTM_DELNEIGH, u.a[i].af, v->ifindex);
		mnl_attr_put(h, NDA_DST, ipaddr_len(u.a[i].af), u.a[i].bytes);
		(void)netlink_talk(v->nl, h);
	}
}

/* -- open and close -- */

static void
leftover_mac(uint8_t vhid, const uint8_t mac[6], void *arg)
{
	(void)vhid;
	(void)filter_entry(arg, RTM_DELNEIGH, mac);
}

/* They are found by their mark. */
static void
leftover_addr(const struct ipaddr *a, void *arg)
{
	(void)a;
	(void)arg;
}

/* Addresses that a dead run left go; the others are noted. */
static int
undo_leftovers(struct vaddr *v)
{
	struct savedlist	 there = TAILQ_HEAD_INITIALIZER(there);
	struct saved		*s;
	int			 r;

	if ((r = collect_addrs(v, AF_UNSPEC, &there)) == 0) {
		TAILQ_FOREACH(s, &there, entry) {
			if (!addr_is_marked(s->msg))
				vaddr_note(v, &s->owner, true);
			else if (delete_addr(v, s->msg) == -1)
				log_warn("%s: a leftover address stays",
				    v->ifname);
		}
		steer_leftovers(v->steer, leftover_mac, leftover_addr, v);
	}
	saved_clear(&there);
	return (r);
}

/* It is no carpdev any more: what is not the interface's goes back. */
static void
unlist(struct vaddr *v)
{
	LIST_REMOVE(v, entry);
	if (LIST_EMPTY(&vaddrs))
		sysctl_restore(v, SYSCTL_ALL);
}

static void
destroy(struct vaddr *v)
{
	struct vip	*p;

	while ((p = TAILQ_FIRST(&v->vips)) != NULL)
		vip_free(v, p);
	saved_clear(&v->saved);
	netlink_close(v->nl);
	if (v->macfd != -1)
		close(v->macfd);
	free(v->notes);
	free(v->macs);
	free(v->file);
	free(v);
}

struct vaddr *
vaddr_open(const char *ifname, int ifindex, const uint8_t mac[6],
    struct steer *s, const char *file)
{
	struct vaddr	*v;
	int32_t		 orig[SYSCTLS];
	bool		 recorded;
	int		 saved;

	if ((v = calloc(1, sizeof(*v))) == NULL ||
	    (v->file = strdup(file)) == NULL) {
		free(v);
		return (NULL);
	}
	strlcpy(v->ifname, ifname, sizeof(v->ifname));
	v->ifindex = ifindex;
	v->id.boot = boot_id();
	v->id.ifindex = ifindex;
	memcpy(v->id.mac, mac, sizeof(v->id.mac));
	v->steer = s;
	v->macfd = -1;
	TAILQ_INIT(&v->vips);
	RB_INIT(&v->index);
	TAILQ_INIT(&v->saved);
	recorded = record_load(v, orig);
	sysctl_origin(v, recorded, orig);
	LIST_INSERT_HEAD(&vaddrs, v, entry);
	if ((v->nl = netlink_open(NETLINK_ROUTE, 0)) == NULL ||
	    record_store(v) == -1 || undo_leftovers(v) == -1) {
		saved = errno;
		unlist(v);
		destroy(v);
		errno = saved;
		return (NULL);
	}
	sysctl_apply(v);
	return (v);
}

void
vaddr_set_mac(struct vaddr *v, const uint8_t mac[6])
{
	memcpy(v->id.mac, mac, sizeof(v->id.mac));
	(void)record_store(v);
}

void
vaddr_renamed(struct vaddr *v, const char *ifname)
{
	strlcpy(v->ifname, ifname, sizeof(v->ifname));
}

void
vaddr_free(struct vaddr *v)
{
	if (v == NULL)
		return;
	unlist(v);
	record_drop(v);
	destroy(v);
}

void
vaddr_close(struct vaddr *v)
{
	struct vip	*p;

	while ((p = TAILQ_FIRST(&v->vips)) != NULL)
		vaddr_undeclare(v, &p->addr);
	vaddr_settle(v);
	while (v->nmacs > 0)
		(void)mac_del(v, v->macs[--v->nmacs]);
	sysctl_restore(v, SYSCTL_REDIRECTS);
	sysctl_restore(v, SYSCTL_PROMOTE);
	sysctl_restore(v, SYSCTL_ANNOUNCE);
	vaddr_free(v);
}
