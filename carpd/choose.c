/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The choice of a carpdev, see choose.h.
 */
#include <stdio.h>
#include <string.h>

#include "choose.h"

const struct choose_net *
choose_net(const struct ipaddr *addrs, size_t naddrs,
    const struct choose_net *nets, size_t n)
{
	const struct choose_net	*best = NULL, *net;
	size_t			 i;

	for (i = 0; i < naddrs && best == NULL; i++)
		for (net = nets; net < nets + n; net++) {
			if (net->addr.af != addrs[i].af ||
			    !ipaddr_within(&addrs[i], &net->addr))
				continue;
			if (best == NULL || net->addr.plen > best->addr.plen ||
			    (net->addr.plen == best->addr.plen &&
			    net->ifindex < best->ifindex))
				best = net;
		}
	return (best);
}

/* Does a use a vhid or an address of b?  Says which. */
static bool
share(const struct config_iface *a, const struct config_iface *b, char *why)
{
	char	 buf[IPADDR_STRLEN];
	size_t	 i, k;

	for (i = 0; i < a->nvhids; i++)
		for (k = 0; k < b->nvhids; k++)
			if (a->vhids[i].vhid == b->vhids[k].vhid) {
				snprintf(why, CHOOSE_WHY_MAX, "vhid %u on %s "
				    "is already that of %s", a->vhids[i].vhid,
				    b->carpdev, b->name);
				return (true);
			}
	for (i = 0; i < a->naddrs; i++)
		for (k = 0; k < b->naddrs; k++)
			if (ipaddr_cmp(&a->addrs[i], &b->addrs[k]) == 0) {
				snprintf(why, CHOOSE_WHY_MAX, "%s on %s is "
				    "already that of %s", ipaddr_print(
				    &a->addrs[i], buf, sizeof(buf)),
				    b->carpdev, b->name);
				return (true);
			}
	return (false);
}

/* Nobody else may have on its carpdev what i has. */
static void
confirm(const struct config *c, struct config_iface *i, char *why)
{
	const struct config_iface	*o;

	for (o = c->ifaces; o < c->ifaces + c->nifaces; o++)
		if (o != i && strcmp(o->carpdev, i->carpdev) == 0 &&
		    share(i, o, why)) {
			memset(i->carpdev, 0, sizeof(i->carpdev));
			return;
		}
}

void
choose_carpdevs(struct config *c, const struct choose_net *nets, size_t n,
    char (*why)[CHOOSE_WHY_MAX])
{
	const struct choose_net	*net;
	struct config_iface	*i;
	char			 buf[IPADDR_STRLEN];
	size_t			 k;

	for (k = 0; k < c->nifaces; k++) {
		i = &c->ifaces[k];
		why[k][0] = '\0';
		if (i->chosen && i->carpdev[0] != '\0')
			confirm(c, i, why[k]);
	}
	for (k = 0; k < c->nifaces; k++) {
		i = &c->ifaces[k];
		if (!i->chosen || i->carpdev[0] != '\0')
			continue;
		net = choose_net(i->addrs, i->naddrs, nets, n);
		if (net == NULL) {
			snprintf(why[k], CHOOSE_WHY_MAX, "no interface has a "
			    "network with %s", ipaddr_print(&i->addrs[0], buf,
			    sizeof(buf)));
			continue;
		}
		why[k][0] = '\0';
		strlcpy(i->carpdev, net->ifname, sizeof(i->carpdev));
		confirm(c, i, why[k]);
	}
}
