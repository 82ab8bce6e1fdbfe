/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The classifier on one interface without a daemon: a group with balancing
 * whose nodes come and go by hand.
 *
 *	steerer IFNAME MODE PASS VHID,VHID... ADDRESS...
 *	steerer -n MODE PASS NODES SOURCE DESTINATION
 *	steerer -n MODE PASS NODES MAC
 *
 * The first prints "ready" and takes commands, one a line, until its input
 * ends; each is answered by one line:
 *
 *	on VHID		MASTER here; as a daemon does, an advertisement is sent
 *			from the MAC that its mode says
 *	off VHID	no longer
 *	drain VHID	about to be no longer
 *	stats VHID	taken and dropped frames of that vhid
 *
 * With -n it prints which node (from 0) it is that a packet or one who asks
 * belongs to.  Nothing else of the system is changed: addresses are the
 * caller's.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include "../../carpd/balance.h"
#include "../../carpd/bpf/steer_map.h"
#include "../../carpd/os/steer.h"

#define INTERVAL	65535	/* longer than any test */
#define ADVERT_LEN	70	/* Ethernet, IPv4, CARP */

static struct steer		*st;
static struct steer_slots	*slots;
static enum balance_mode	 mode;
static uint8_t			 real[6];
static int			 sock, ifindex;

static enum balance_mode
mode_of(const char *name)
{
	int	 m;

	for (m = 0; balance_mode_names[m] != NULL; m++)
		if (strcmp(name, balance_mode_names[m]) == 0)
			return ((enum balance_mode)m);
	errx(2, "%s: no such mode", name);
}

static struct ipaddr
addr(const char *text)
{
	struct ipaddr	 a;

	if (ipaddr_parse(text, &a, NULL) == -1)
		errx(2, "%s: not an address", text);
	return (a);
}

static int
which(int argc, char *argv[])
{
	struct balance_key	 key;
	struct ipaddr		 src, dst;
	unsigned int		 n = (unsigned int)atoi(argv[4]);
	uint8_t			 mac[6];

	if (n == 0 || n > BALANCE_NODES)
		errx(2, "%s: not a number of nodes", argv[4]);
	if (mode_of(argv[2]) == BALANCE_ARP) {
		balance_key(argv[3], strlen(argv[3]), &key);
		if (sscanf(argv[5], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0],
		    &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
			errx(2, "%s: not a MAC", argv[5]);
		printf("%u\n", balance_arp_node(&key, mac, n));
		return (0);
	}
	if (argc != 7)
		errx(2, "two addresses, please");
	src = addr(argv[5]);
	dst = addr(argv[6]);
	printf("%u\n", balance_ip_node(&src, &dst, n));
	return (0);
}

static void
open_device(const char *ifname)
{
	struct ifreq	 ifr = { .ifr_name = "" };
	const char	*why = NULL;
	int		 mark = (int)STEER_MARK;

	(void)strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
	if ((ifindex = (int)if_nametoindex(ifname)) == 0)
		err(1, "%s", ifname);
	if ((sock = socket(AF_PACKET, SOCK_RAW, 0)) == -1 ||
	    ioctl(sock, SIOCGIFHWADDR, &ifr) == -1 ||
	    setsockopt(sock, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1)
		err(1, "%s", ifname);
	memcpy(real, ifr.ifr_hwaddr.sa_data, sizeof(real));
	if ((st = steer_attach(ifname, ifindex, real, &why)) == NULL)
		err(1, "%s", why);
	if ((slots = steer_slots_map(steer_slots_fd(st))) == NULL)
		err(1, "slots");
}

static void
add_group(const char *pass, char *list, char *addrs[])
{
	uint8_t			 vhids[BALANCE_NODES], mac[6];
	struct balance_key	 key;
	struct ipaddr		 a;
	char			*v;
	size_t			 n = 0;

	for (v = strtok(list, ","); v != NULL; v = strtok(NULL, ",")) {
		if (n == BALANCE_NODES)
			errx(2, "too many vhids");
		vhids[n] = (uint8_t)atoi(v);
		balance_mac(BALANCE_NONE, vhids[n], vhids[n], mac);
		if (steer_add_vhid(st, vhids[n++], mac) == -1)
			err(1, "vhid %s", v);
	}
	for (; *addrs != NULL; addrs++) {
		a = addr(*addrs);
		if (steer_add_addr(st, vhids[0], &a) == -1)
			err(1, "%s", *addrs);
	}
	balance_key(pass, strlen(pass), &key);
	if (steer_set_group(st, vhids[0], mode, vhids, n, &key) == -1)
		err(1, "group");
}

/* What a switch learns, not what a peer believes: there is no digest. */
static void
advertise(uint8_t vhid)
{
	static const uint8_t	 head[] = {
		0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0, 0, 0, 0, 0, 0,
		0x08, 0x00, 0x45, 0x10, 0, 56, 0, 0, 0x40, 0, 255, 112,
		0x9b, 0x33,	/* br_netfilter looks at the checksum */
		0, 0, 0, 0, 224, 0, 0, 18, 0x21
	};
	struct sockaddr_ll	 to = { .sll_family = AF_PACKET,
				    .sll_ifindex = ifindex };
	uint8_t			 f[ADVERT_LEN] = { 0 };

	memcpy(f, head, sizeof(head));
	balance_mac(BALANCE_NONE, vhid, vhid, f + 6);
	if (balance_real_source(mode))
		memcpy(f + 6, real, 6);
	f[sizeof(head)] = vhid;
	if (sendto(sock, f, sizeof(f), 0, (struct sockaddr *)&to,
	    sizeof(to)) == -1)
		warn("vhid %d", vhid);
}

static void
command(const char *line)
{
	static const struct {
		const char		*name;
		enum steer_state	 state;
	}		 verbs[] = {
		{ "on", STEER_STATE_ON },
		{ "off", STEER_STATE_OFF },
		{ "drain", STEER_STATE_DRAIN },
	};
	uint64_t	 taken, dropped;
	char		 verb[16];
	unsigned int	 i, vhid;

	if (sscanf(line, "%15s %u", verb, &vhid) != 2 || vhid > 255) {
		printf("what?\n");
		return;
	}
	if (strcmp(verb, "stats") == 0) {
		if (steer_vhid_stats(st, (uint8_t)vhid, &taken,
		    &dropped) == -1)
			err(1, "stats");
		printf("stats %u %llu %llu\n", vhid,
		    (unsigned long long)taken, (unsigned long long)dropped);
		return;
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].name) == 0) {
			steer_slot_set(slots, (uint8_t)vhid, verbs[i].state,
			    INTERVAL, monotime_now());
			if (verbs[i].state == STEER_STATE_ON)
				advertise((uint8_t)vhid);
			printf("%s %u\n", verb, vhid);
			return;
		}
	printf("what?\n");
}

int
main(int argc, char *argv[])
{
	char	 line[64];

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 6 && strcmp(argv[1], "-n") == 0)
		return (which(argc, argv));
	if (argc < 6)
		errx(2, "see the head of steerer.c");
	mode = mode_of(argv[2]);
	open_device(argv[1]);
	add_group(argv[3], argv[4], argv + 5);
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin) != NULL)
		command(line);
	steer_slots_unmap(slots);
	steer_detach(st);
	return (0);
}
