/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Linux: the classifier (carpd/bpf/steer.bpf.c, embedded here) is loaded with
 * libbpf and attached to carpdev's clsact, as filters of a fixed handle with
 * the lowest free priority.  What they decide is not here.
 *
 * Filters and maps outlive us.  The next run finds them by handle and program
 * name, takes over the restore record, and copies what was configured as
 * leftovers, which the new programs guard (nothing in, nothing out) until
 * steer_leftovers() has had them cleaned up: so there is no moment between
 * two runs at which the kernel alone answers for a virtual address, and a run
 * that dies in between loses nothing.  Looking into programs and maps of a
 * dead run takes CAP_SYS_ADMIN; all else CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
 *
 * Linux headers: <linux/bpf.h>, <linux/pkt_cls.h>; tc-bpf(8).
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "../../common/os/netlink.h"
#include "../bpf/steer_map.h"
#include "steer.h"

#define HANDLE		0x70	/* of our filters: 112 */
#define PRIO_MIN	1	/* before anybody else's */
#define PRIO_MAX	16
#define MAPS_MAX	16	/* of a program of any version of ours */
#define CLSACT		(BPF_TC_INGRESS | BPF_TC_EGRESS)

__asm__(".pushsection .rodata, \"a\"\n"
	".balign 8\n"
	"steer_object:\n"
	".incbin \"carpd/bpf/steer.bpf.o\"\n"
	"steer_object_end:\n"
	".balign 8\n"
	"steer_object_size:\n"
	".8byte steer_object_end - steer_object\n"
	".popsection\n");
extern const unsigned char steer_object[]
    __attribute__((visibility("hidden")));
extern const uint64_t steer_object_size __attribute__((visibility("hidden")));

const char *const steer_stat_names[STEER_STATS + 1] = {
	[STEER_STAT_TAKEN] = "taken",
	[STEER_STAT_OFF] = "off",
	[STEER_STAT_ARP_IN] = "asked-in",
	[STEER_STAT_CLOSED] = "closed",
	[STEER_STAT_REWRITTEN] = "rewritten",
	[STEER_STAT_OUT] = "out",
	[STEER_STAT_ASKED] = "asked-out",
	[STEER_STAT_MARKED] = "marked",
	[STEER_STAT_DISOWNED] = "unreachable",
};

enum map {
	VHIDS, GROUPS, DEV, ADDRS4, ADDRS6, SLOTS, STATS, COUNTS, RESTORE, MAPS
};
static const char *const map_names[MAPS] = {
	"vhids", "groups", "dev", "addrs4", "addrs6", "slots", "stats",
	"counts", "restore"
};

struct filter {
	const char			*name;		/* of the program */
	enum bpf_tc_attach_point	 point;
	int				 fd;
	uint32_t			 id;
	uint32_t			 prio;		/* 0: not attached */
};
#define FILTERS		2

struct steer {
	int			 ifindex;
	struct bpf_object	*obj;		/* owns all descriptors */
	int			 map[MAPS];
	struct filter		 filter[FILTERS];
	struct steer_slots	*slots;
	struct steer_restore	 restore;	/* as in the map */
};

/* The mapping itself. */
struct steer_slots {
	uint64_t	 word[STEER_WORDS];
};

static char	 reason[256];		/* for *why */

/* What libbpf would print is kept: the last line says what failed. */
static int
keep_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	if (level == LIBBPF_DEBUG)
		return (0);
	(void)vsnprintf(reason, sizeof(reason), fmt, ap);
	reason[strcspn(reason, "\n")] = '\0';
	return (0);
}

/* *why = what, and libbpf's last line if it had something to say. */
static void
explain(const char **why, const char *what)
{
	static const char	 prefix[] = "libbpf: ";
	const char		*said = reason;
	char			 line[sizeof(reason)];

	if (strncmp(said, prefix, sizeof(prefix) - 1) == 0)
		said += sizeof(prefix) - 1;
	(void)strlcpy(line, said, sizeof(line));
	if (line[0] == '\0')
		(void)strlcpy(reason, what, sizeof(reason));
	else
		(void)snprintf(reason, sizeof(reason), "%s: %.200s", what,
		    line);
	*why = reason;
}

/*
 * libbpf refuses options whose padding is not zero, so memset() and no
 * initializer.
 */
static void
hook_init(struct bpf_tc_hook *hook, const struct steer *s,
    enum bpf_tc_attach_point point)
{
	memset(hook, 0, sizeof(*hook));
	hook->sz = sizeof(*hook);
	hook->ifindex = s->ifindex;
	hook->attach_point = point;
}

static void
place_init(struct bpf_tc_opts *opts, uint32_t prio)
{
	memset(opts, 0, sizeof(*opts));
	opts->sz = sizeof(*opts);
	opts->handle = HANDLE;
	opts->priority = prio;
}

/* The filter with our handle at that priority: id of its program, or 0. */
static uint32_t
query(const struct steer *s, const struct filter *f, uint32_t prio)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;

	hook_init(&hook, s, f->point);
	place_init(&opts, prio);
	if (bpf_tc_query(&hook, &opts) != 0)
		return (0);
	return (opts.prog_id);
}

/* Fills in f->prio on success.  0, or -1 and errno. */
static int
attach_at(const struct steer *s, struct filter *f, uint32_t prio,
    uint32_t flags)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;
	int			 error;

	hook_init(&hook, s, f->point);
	place_init(&opts, prio);
	opts.prog_fd = f->fd;
	opts.flags = flags;
	if ((error = bpf_tc_attach(&hook, &opts)) != 0) {
		errno = -error;
		return (-1);
	}
	f->prio = prio;
	return (0);
}

/*
 * At the lowest priority that nobody else has.  A priority that holds
 * another kind of filter is refused with EINVAL, our handle with EEXIST.
 */
static int
attach_free(const struct steer *s, struct filter *f)
{
	uint32_t	 prio;

	for (prio = PRIO_MIN; prio <= PRIO_MAX; prio++)
		if (attach_at(s, f, prio, 0) == 0)
			return (0);
		else if (errno != EEXIST && errno != EINVAL)
			break;
	return (-1);
}

static int
detach(const struct steer *s, struct filter *f)
{
	struct bpf_tc_hook	 hook;
	struct bpf_tc_opts	 opts;

	if (f->prio == 0 || query(s, f, f->prio) != f->id)
		return (0);
	hook_init(&hook, s, f->point);
	place_init(&opts, f->prio);
	f->prio = 0;
	return (bpf_tc_detach(&hook, &opts));
}

static int
count_message(const struct nlmsghdr *h, void *arg)
{
	(void)h;
	(*(size_t *)arg)++;
	return (MNL_CB_OK);
}

/* Filters at one side of clsact, or -1. */
static int
filters(struct netlink *n, int ifindex, uint32_t minor, size_t *count)
{
	char		 buf[MNL_NLMSG_HDRLEN + sizeof(struct tcmsg)];
	struct nlmsghdr	*h = mnl_nlmsg_put_header(buf);
	struct tcmsg	*t;

	h->nlmsg_type = RTM_GETTFILTER;
	t = mnl_nlmsg_put_extra_header(h, sizeof(*t));
	t->tcm_ifindex = ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
	return (netlink_dump(n, h, count_message, count));
}

static bool
clsact_empty(const struct steer *s)
{
	struct netlink	*n = netlink_open(NETLINK_ROUTE, 0);
	size_t		 count = 0;
	bool		 known;

	if (n == NULL)
		return (false);
	known = filters(n, s->ifindex, TC_H_MIN_INGRESS, &count) == 0 &&
	    filters(n, s->ifindex, TC_H_MIN_EGRESS, &count) == 0;
	netlink_close(n);
	return (known && count == 0);
}

/*
 * Make clsact.  1: made, and ours to remove; 0: there already; -1 and errno.
 * An empty one is taken for ours: it does nothing for anybody, and may be what
 * a run left that was killed before its filters were in.
 */
static int
clsact_make(const struct steer *s)
{
	struct bpf_tc_hook	 hook;
	int			 error;

	hook_init(&hook, s, CLSACT);
	if ((error = bpf_tc_hook_create(&hook)) == 0)
		return (1);
	if (error == -EEXIST)
		return (clsact_empty(s));
	errno = -error;
	return (-1);
}

static void
clsact_unmake(const struct steer *s)
{
	struct bpf_tc_hook	 hook;

	hook_init(&hook, s, CLSACT);
	if (s->restore.clsact_made && clsact_empty(s))
		(void)bpf_tc_hook_destroy(&hook);
}

static int
restore_store(struct steer *s)
{
	uint32_t	 zero = 0;

	return (bpf_map_update_elem(s->map[RESTORE], &zero, &s->restore,
	    BPF_ANY));
}

/* has_v6 follows from the addresses; mac: NULL leaves it. */
static int
dev_store(struct steer *s, const uint8_t *mac)
{
	struct steer_dev	 d;
	uint8_t			 key[16];
	uint32_t		 zero = 0;

	if (bpf_map_lookup_elem(s->map[DEV], &zero, &d) != 0)
		return (-1);
	if (mac != NULL)
		memcpy(d.mac, mac, sizeof(d.mac));
	d.has_v6 = bpf_map_get_next_key(s->map[ADDRS6], NULL, key) == 0;
	return (bpf_map_update_elem(s->map[DEV], &zero, &d, BPF_ANY));
}

static int
load_maps(struct steer *s)
{
	struct bpf_map	*m;
	int		 i;

	for (i = 0; i < MAPS; i++) {
		m = bpf_object__find_map_by_name(s->obj, map_names[i]);
		if (m == NULL) {
			errno = ENOENT;
			return (-1);
		}
		s->map[i] = bpf_map__fd(m);
	}
	return (0);
}

static int
load_program(struct steer *s, struct filter *f)
{
	struct bpf_prog_info	 info;
	struct bpf_program	*p;
	uint32_t		 len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if ((p = bpf_object__find_program_by_name(s->obj, f->name)) == NULL) {
		errno = ENOENT;
		return (-1);
	}
	f->fd = bpf_program__fd(p);
	if (bpf_obj_get_info_by_fd(f->fd, &info, &len) != 0)
		return (-1);
	f->id = info.id;
	/* no instruction names it: bound, it lives as long as the filter */
	if (bpf_prog_bind_map(f->fd, s->map[RESTORE], NULL) != 0 ||
	    bpf_prog_bind_map(f->fd, s->map[ADDRS4], NULL) != 0 ||
	    bpf_prog_bind_map(f->fd, s->map[ADDRS6], NULL) != 0)
		return (-1);
	return (0);
}

static int
load(struct steer *s)
{
	struct bpf_object_open_opts	 opts;
	int				 i;

	memset(&opts, 0, sizeof(opts));
	opts.sz = sizeof(opts);
	opts.object_name = "carp";
	s->obj = bpf_object__open_mem(steer_object,
	    (size_t)steer_object_size, &opts);
	if (s->obj == NULL || bpf_object__load(s->obj) != 0 ||
	    load_maps(s) == -1)
		return (-1);
	for (i = 0; i < FILTERS; i++)
		if (load_program(s, &s->filter[i]) == -1)
			return (-1);
	s->slots = steer_slots_map(steer_slots_fd(s));
	return (s->slots == NULL ? -1 : 0);
}

/*
 * A descriptor of the map that a program of a dead run used under that name,
 * if it is as ours is.  -1: none.
 */
static int
old_map(const struct bpf_prog_info *prog, const uint32_t *ids, const char *name,
    uint32_t value_size)
{
	struct bpf_map_info	 info;
	uint32_t		 i, len;
	int			 fd;

	for (i = 0; i < prog->nr_map_ids && i < MAPS_MAX; i++) {
		if ((fd = bpf_map_get_fd_by_id(ids[i])) < 0)
			continue;
		len = sizeof(info);
		memset(&info, 0, sizeof(info));
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    strcmp(info.name, name) == 0 &&
		    info.value_size == value_size)
			return (fd);
		close(fd);
	}
	return (-1);
}

static void
adopt_vhids(struct steer *s, int old)
{
	struct steer_vhid	 v;
	uint32_t		 vhid;

	for (vhid = 1; vhid < STEER_SLOTS; vhid++) {
		if (bpf_map_lookup_elem(old, &vhid, &v) != 0 ||
		    v.configured == STEER_UNUSED)
			continue;
		v.configured = STEER_LEFTOVER;
		v.leader = 0;
		(void)bpf_map_update_elem(s->map[VHIDS], &vhid, &v, BPF_ANY);
	}
}

static void
adopt_addrs(struct steer *s, enum map which, int old)
{
	uint8_t		 key[16], next[16];
	uint32_t	 nobody = 0;
	int		 rc;

	for (rc = bpf_map_get_next_key(old, NULL, next); rc == 0;
	    rc = bpf_map_get_next_key(old, key, next)) {
		memcpy(key, next, sizeof(key));
		(void)bpf_map_update_elem(s->map[which], key, &nobody,
		    BPF_ANY);
	}
}

static void
adopt(struct steer *s, const struct bpf_prog_info *prog, const uint32_t *ids)
{
	uint32_t	 zero = 0;
	int		 fd;

	if ((fd = old_map(prog, ids, "restore", sizeof(s->restore))) != -1) {
		if (bpf_map_lookup_elem(fd, &zero, &s->restore) != 0 ||
		    s->restore.len > sizeof(s->restore.data))
			memset(&s->restore, 0, sizeof(s->restore));
		close(fd);
	}
	fd = old_map(prog, ids, "vhids", sizeof(struct steer_vhid));
	if (fd != -1) {
		adopt_vhids(s, fd);
		close(fd);
	}
	if ((fd = old_map(prog, ids, "addrs4", sizeof(uint32_t))) != -1) {
		adopt_addrs(s, ADDRS4, fd);
		close(fd);
	}
	if ((fd = old_map(prog, ids, "addrs6", sizeof(uint32_t))) != -1) {
		adopt_addrs(s, ADDRS6, fd);
		close(fd);
	}
}

/*
 * Is the program of that id one of a dead run of ours, by its name?  Then its
 * maps are taken over.  1, 0, or -1 and errno when it may not be looked at.
 */
static int
adopt_program(struct steer *s, const struct filter *f, uint32_t id)
{
	struct bpf_prog_info	 info;
	uint32_t		 ids[MAPS_MAX], len = sizeof(info);
	int			 fd, rc;

	if ((fd = bpf_prog_get_fd_by_id(id)) < 0)
		return (errno == ENOENT ? 0 : -1);
	memset(&info, 0, sizeof(info));
	info.nr_map_ids = MAPS_MAX;
	info.map_ids = (uint64_t)(uintptr_t)ids;
	rc = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	if (rc != 0)
		return (-1);
	if (strcmp(info.name, f->name) != 0)
		return (0);
	adopt(s, &info, ids);
	return (1);
}

/* Where a dead run's filter is: f->prio.  0 (also when none), or -1. */
static int
find_old(struct steer *s, struct filter *f)
{
	uint32_t	 id, prio;
	int		 rc = 0;

	for (prio = PRIO_MIN; prio <= PRIO_MAX && rc == 0; prio++)
		if ((id = query(s, f, prio)) != 0 &&
		    (rc = adopt_program(s, f, id)) == 1)
			f->prio = prio;
	return (rc == -1 ? -1 : 0);
}

static int
attach(struct steer *s, struct filter *f)
{
	if (f->prio != 0)
		return (attach_at(s, f, f->prio, BPF_TC_F_REPLACE));
	return (attach_free(s, f));
}

static struct steer *
new_steer(int ifindex)
{
	struct steer	*s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->ifindex = ifindex;
	s->filter[0].name = "carp_in";
	s->filter[0].point = BPF_TC_INGRESS;
	s->filter[1].name = "carp_out";
	s->filter[1].point = BPF_TC_EGRESS;
	return (s);
}

/* clsact, and both filters into it. */
static int
attach_all(struct steer *s)
{
	int	 made = clsact_make(s);

	if (made == -1)
		return (-1);
	if (made == 1)
		s->restore.clsact_made = 1;
	if (restore_store(s) != 0)
		return (-1);
	if (attach(s, &s->filter[0]) == -1 || attach(s, &s->filter[1]) == -1)
		return (-1);
	return (0);
}

struct steer *
steer_attach(const char *ifname, int ifindex, const uint8_t mac[6],
    const char **why)
{
	struct steer	*s;
	int		 saved;

	(void)ifname;		/* the index tells it from its successors */
	(void)libbpf_set_print(keep_line);
	reason[0] = '\0';
	*why = "out of memory";
	if ((s = new_steer(ifindex)) == NULL)
		return (NULL);
	if (load(s) == -1) {
		saved = errno;
		explain(why, "cannot load the classifier");
		goto fail;
	}
	reason[0] = '\0';
	if (find_old(s, &s->filter[0]) == -1 ||
	    find_old(s, &s->filter[1]) == -1) {
		saved = errno;
		explain(why, "cannot look at the classifier found there");
		goto fail;
	}
	reason[0] = '\0';
	if (dev_store(s, mac) != 0 || attach_all(s) == -1) {
		saved = errno;
		explain(why, "cannot attach the classifier");
		goto fail;
	}
	return (s);
fail:
	/* what is not ours by its id stays, a dead run's filter with it */
	steer_detach(s);
	errno = saved;
	return (NULL);
}

void
steer_detach(struct steer *s)
{
	int	 i;

	if (s == NULL)
		return;
	for (i = 0; i < FILTERS; i++)
		(void)detach(s, &s->filter[i]);
	clsact_unmake(s);
	steer_free(s);
}

void
steer_free(struct steer *s)
{
	if (s == NULL)
		return;
	steer_slots_unmap(s->slots);
	bpf_object__close(s->obj);
	free(s);
}

int
steer_check(struct steer *s)
{
	int	 i, made, changed = 0;

	for (i = 0; i < FILTERS; i++) {
		if (query(s, &s->filter[i], s->filter[i].prio) ==
		    s->filter[i].id)
			continue;
		if ((made = clsact_make(s)) == -1)
			return (-1);
		if (made == 1) {
			s->restore.clsact_made = 1;
			(void)restore_store(s);
		}
		if (attach_free(s, &s->filter[i]) == -1)
			return (-1);
		changed = 1;
	}
	return (changed);
}

static int
get_vhid(const struct steer *s, uint8_t vhid, struct steer_vhid *v)
{
	uint32_t	 key = vhid;

	return (bpf_map_lookup_elem(s->map[VHIDS], &key, v) != 0 ? -1 : 0);
}

static int
put_vhid(const struct steer *s, uint8_t vhid, const struct steer_vhid *v)
{
	uint32_t	 key = vhid;

	return (bpf_map_update_elem(s->map[VHIDS], &key, v, BPF_ANY) != 0 ?
	    -1 : 0);
}

int
steer_add_vhid(struct steer *s, uint8_t vhid, const uint8_t mac[6])
{
	static const uint8_t	 prefix[5] = { 0x00, 0x00, 0x5e, 0x00, 0x01 };
	struct steer_vhid	 v;

	/* the programs find a MAC by its last byte */
	if (vhid == 0 || memcmp(mac, prefix, sizeof(prefix)) != 0 ||
	    mac[5] != vhid) {
		errno = EINVAL;
		return (-1);
	}
	if (get_vhid(s, vhid, &v) == -1)
		return (-1);
	if (v.configured == STEER_CONFIGURED)
		return (0);		/* in its group, if it is in one */
	memset(&v, 0, sizeof(v));
	v.configured = STEER_CONFIGURED;
	memcpy(v.mac, mac, sizeof(v.mac));
	return (put_vhid(s, vhid, &v));
}

void
steer_remove_vhid(struct steer *s, uint8_t vhid)
{
	struct steer_vhid	 v;

	steer_close(s, vhid);
	memset(&v, 0, sizeof(v));
	(void)put_vhid(s, vhid, &v);
}

/*
 * Into the group of that leader with the MAC that it has there, or (leader 0)
 * out of any, with its own.
 */
static int
set_leader(struct steer *s, uint8_t vhid, uint8_t leader,
    enum balance_mode mode)
{
	struct steer_vhid	 v;

	if (get_vhid(s, vhid, &v) == -1)
		return (-1);
	if (v.configured != STEER_CONFIGURED)
		return (0);
	v.leader = leader;
	balance_mac(vhid == leader ? mode : BALANCE_NONE, vhid, vhid, v.mac);
	return (put_vhid(s, vhid, &v));
}

static bool
group_ok(struct steer *s, uint8_t leader, enum balance_mode mode,
    const uint8_t *vhids, size_t n, const struct balance_key *key)
{
	struct steer_vhid	 v;
	size_t			 i;

	if (n == 0 || n > BALANCE_NODES || leader == 0 || vhids[0] != leader ||
	    mode < BALANCE_ARP || mode > BALANCE_IP_UNICAST ||
	    (mode == BALANCE_ARP && key == NULL))
		return (false);
	for (i = 0; i < n; i++)
		if ((i > 0 && vhids[i] <= vhids[i - 1]) ||
		    get_vhid(s, vhids[i], &v) == -1 ||
		    v.configured != STEER_CONFIGURED ||
		    (v.leader != 0 && v.leader != leader))
			return (false);
	return (true);
}

/* Those of the old group that are not in the new one. */
static void
leave_group(struct steer *s, const struct steer_group *old,
    const struct steer_group *new)
{
	uint32_t	 i;

	for (i = 0; i < old->n && i < BALANCE_NODES; i++)
		if (memchr(new->vhids, old->vhids[i], new->n) == NULL)
			(void)set_leader(s, old->vhids[i], 0, BALANCE_NONE);
}

int
steer_set_group(struct steer *s, uint8_t leader, enum balance_mode mode,
    const uint8_t *vhids, size_t n, const struct balance_key *key)
{
	struct steer_group	 g, old;
	uint32_t		 idx = leader;
	size_t			 i;

	if (!group_ok(s, leader, mode, vhids, n, key)) {
		errno = EINVAL;
		return (-1);
	}
	memset(&g, 0, sizeof(g));
	g.mode = mode;
	g.n = (uint32_t)n;
	if (key != NULL)
		g.key = *key;
	memcpy(g.vhids, vhids, n);
	/* the group before who is led into it: it is read without a lock */
	if (bpf_map_lookup_elem(s->map[GROUPS], &idx, &old) != 0 ||
	    bpf_map_update_elem(s->map[GROUPS], &idx, &g, BPF_ANY) != 0)
		return (-1);
	for (i = 0; i < n; i++)
		if (set_leader(s, vhids[i], leader, mode) == -1)
			return (-1);
	leave_group(s, &old, &g);
	return (0);
}

void
steer_remove_group(struct steer *s, uint8_t leader)
{
	struct steer_group	 old, none;
	uint32_t		 idx = leader;

	memset(&none, 0, sizeof(none));
	if (bpf_map_lookup_elem(s->map[GROUPS], &idx, &old) != 0)
		return;
	leave_group(s, &old, &none);
	(void)bpf_map_update_elem(s->map[GROUPS], &idx, &none, BPF_ANY);
}

static int
addr_map(const struct steer *s, const struct ipaddr *a)
{
	return (s->map[a->af == AF_INET ? ADDRS4 : ADDRS6]);
}

int
steer_add_addr(struct steer *s, uint8_t vhid, const struct ipaddr *a)
{
	uint32_t	 value = vhid;

	if (vhid == 0) {
		errno = EINVAL;
		return (-1);
	}
	if (bpf_map_update_elem(addr_map(s, a), a->bytes, &value,
	    BPF_ANY) != 0)
		return (-1);
	return (dev_store(s, NULL) != 0 ? -1 : 0);
}

void
steer_remove_addr(struct steer *s, const struct ipaddr *a)
{
	(void)bpf_map_delete_elem(addr_map(s, a), a->bytes);
	(void)dev_store(s, NULL);
}

void
steer_set_mac(struct steer *s, const uint8_t mac[6])
{
	(void)dev_store(s, mac);
}

void
steer_close(struct steer *s, uint8_t vhid)
{
	__atomic_store_n(&s->slots->word[vhid], STEER_OFF, __ATOMIC_RELEASE);
}

/* Adds up what n entries of struct steer_count have. */
static void
add_counts(const struct steer_count *c, size_t n, uint64_t *taken,
    uint64_t *dropped)
{
	for (; n > 0; n--, c++) {
		*taken += c->taken;
		*dropped += c->dropped;
	}
}

int
steer_vhid_stats(struct steer *s, uint8_t vhid, uint64_t *taken,
    uint64_t *dropped)
{
	int			 rc, cpus = libbpf_num_possible_cpus();
	struct steer_count	*each;
	uint32_t		 key = vhid;

	*taken = *dropped = 0;
	if (cpus <= 0 || (each = calloc((size_t)cpus, sizeof(*each))) == NULL)
		return (-1);
	if ((rc = bpf_map_lookup_elem(s->map[COUNTS], &key, each)) == 0)
		add_counts(each, (size_t)cpus, taken, dropped);
	free(each);
	return (rc != 0 ? -1 : 0);
}

/* Of all vhids, in one system call. */
static void
sum_counts(struct steer *s, size_t cpus, uint64_t *taken, uint64_t *dropped)
{
	struct steer_count	*each = calloc(STEER_SLOTS * cpus,
				    sizeof(*each));
	uint32_t		 keys[STEER_SLOTS], next = 0, n = STEER_SLOTS;

	*taken = *dropped = 0;
	if (each == NULL)
		return;
	/* ENOENT: the last of them was among these */
	if (bpf_map_lookup_batch(s->map[COUNTS], NULL, &next, keys, each, &n,
	    NULL) == 0 || errno == ENOENT)
		add_counts(each, n * cpus, taken, dropped);
	free(each);
}

size_t
steer_stats(struct steer *s, uint64_t *val, size_t n)
{
	int		 cpu, cpus = libbpf_num_possible_cpus();
	uint64_t	*each, taken, off;
	uint32_t	 i;

	if (cpus <= 0 || (each = calloc((size_t)cpus, sizeof(*each))) == NULL)
		return (0);
	for (i = 0; i < STEER_STATS && i < n; i++) {
		val[i] = 0;
		if (bpf_map_lookup_elem(s->map[STATS], &i, each) != 0)
			continue;
		for (cpu = 0; cpu < cpus; cpu++)
			val[i] += each[cpu];
	}
	free(each);
	sum_counts(s, (size_t)cpus, &taken, &off);
	if (n > STEER_STAT_TAKEN)
		val[STEER_STAT_TAKEN] = taken;
	if (n > STEER_STAT_OFF)
		val[STEER_STAT_OFF] = off;
	return (STEER_STATS);
}

size_t
steer_restore_get(struct steer *s, void *buf, size_t size)
{
	size_t	 len = s->restore.len;

	if (len > size)
		len = size;
	memcpy(buf, s->restore.data, len);
	return (len);
}

int
steer_restore_put(struct steer *s, const void *buf, size_t len)
{
	if (len > sizeof(s->restore.data)) {
		errno = EMSGSIZE;
		return (-1);
	}
	memset(s->restore.data, 0, sizeof(s->restore.data));
	memcpy(s->restore.data, buf, len);
	s->restore.len = (uint32_t)len;
	return (restore_store(s) != 0 ? -1 : 0);
}

static void
leftover_vhids(struct steer *s,
    void (*cb)(uint8_t, const uint8_t[6], void *), void *arg)
{
	struct steer_vhid	 v;
	uint32_t		 vhid;

	for (vhid = 1; vhid < STEER_SLOTS; vhid++) {
		if (bpf_map_lookup_elem(s->map[VHIDS], &vhid, &v) != 0 ||
		    v.configured != STEER_LEFTOVER)
			continue;
		cb((uint8_t)vhid, v.mac, arg);
		steer_remove_vhid(s, (uint8_t)vhid);
	}
}

static void
leftover_addrs(struct steer *s, uint8_t af,
    void (*cb)(const struct ipaddr *, void *), void *arg)
{
	struct ipaddr	 a = { .af = af,
	    .plen = (uint8_t)(ipaddr_len(af) * 8) };
	uint8_t		 next[16];
	uint32_t	 vhid;
	int		 more, map = addr_map(s, &a);

	more = bpf_map_get_next_key(map, NULL, next) == 0;
	while (more) {
		memcpy(a.bytes, next, ipaddr_len(af));
		/* before a is deleted: after it, this would start over */
		more = bpf_map_get_next_key(map, a.bytes, next) == 0;
		if (bpf_map_lookup_elem(map, a.bytes, &vhid) != 0 || vhid != 0)
			continue;
		cb(&a, arg);
		steer_remove_addr(s, &a);
	}
}

void
steer_leftovers(struct steer *s,
    void (*vhid)(uint8_t vhid, const uint8_t mac[6], void *),
    void (*addr)(const struct ipaddr *a, void *), void *arg)
{
	leftover_addrs(s, AF_INET, addr, arg);
	leftover_addrs(s, AF_INET6, addr, arg);
	leftover_vhids(s, vhid, arg);
}

int
steer_slots_fd(struct steer *s)
{
	return (fcntl(s->map[SLOTS], F_DUPFD_CLOEXEC, 0));
}

struct steer_slots *
steer_slots_map(int fd)
{
	void	*p;
	int	 saved;

	if (fd == -1)
		return (NULL);
	p = mmap(NULL, sizeof(struct steer_slots), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	saved = errno;
	close(fd);
	errno = saved;
	return (p == MAP_FAILED ? NULL : p);
}

void
steer_slots_unmap(struct steer_slots *s)
{
	if (s != NULL)
		munmap(s, sizeof(*s));
}

void
steer_slot_set(struct steer_slots *s, uint8_t vhid, enum steer_state st,
    uint32_t interval, monotime_t now)
{
	static const uint64_t	 state[] = {
		[STEER_STATE_OFF] = STEER_OFF,
		[STEER_STATE_DRAIN] = STEER_DRAIN,
		[STEER_STATE_ON] = STEER_ON
	};
	uint64_t	 word = STEER_OFF;

	if (st != STEER_STATE_OFF)
		word = STEER_WORD(state[st],
		    interval > 0xffff ? 0xffff : interval, now.ns);
	__atomic_store_n(&s->word[vhid], word, __ATOMIC_RELEASE);
}

enum steer_state
steer_slot_get(const struct steer_slots *s, uint8_t vhid)
{
	uint64_t	 word = __atomic_load_n(&s->word[vhid],
			    __ATOMIC_ACQUIRE);
	uint64_t	 contest = __atomic_load_n(
			    &s->word[STEER_CONTEST(vhid)], __ATOMIC_RELAXED);
	uint64_t	 now = (uint64_t)monotime_now().ns;

	switch (STEER_STATE(word)) {
	case STEER_ON:
		if (!STEER_PAST(word, STEER_LEASE(STEER_INTERVAL(word)), now) &&
		    !STEER_LOST(word, contest, now))
			return (STEER_STATE_ON);
		break;
	case STEER_DRAIN:
		if (!STEER_PAST(word, STEER_DRAIN_NS, now))
			return (STEER_STATE_DRAIN);
		break;
	}
	return (STEER_STATE_OFF);
}

bool
steer_slot_contested(const struct steer_slots *s, uint8_t vhid)
{
	uint64_t	 word = __atomic_load_n(&s->word[vhid],
			    __ATOMIC_RELAXED);
	uint64_t	 contest = __atomic_load_n(
			    &s->word[STEER_CONTEST(vhid)], __ATOMIC_RELAXED);

	return (STEER_STATE(word) == STEER_ON &&
	    STEER_CONTESTED(word, contest));
}

monotime_t
steer_slot_seen(const struct steer_slots *s, uint8_t leader)
{
	uint64_t	 ns = __atomic_load_n(&s->word[STEER_SEEN(leader)],
			    __ATOMIC_RELAXED);

	return ((monotime_t){ (int64_t)ns });
}
