/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * An IPv4 or IPv6 address, and a prefix: parse, print, compare.
 */
#ifndef COMMON_IPADDR_H
#define COMMON_IPADDR_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IPADDR_STRLEN	64	/* longest text of an address or prefix + NUL */

/* bytes: network order, IPv4 in the first four, the rest zero. */
struct ipaddr {
	uint8_t		 af;		/* AF_INET or AF_INET6 */
	uint8_t		 plen;		/* prefix length in bits */
	uint8_t		 pad[2];
	uint8_t		 bytes[16];
};

/* Bytes of an address of that family: 4 or 16. */
size_t		 ipaddr_len(uint8_t af);
/*
 * "192.0.2.1", "192.0.2.1/24", "2001:db8::1/64"; strict (no names, no
 * 10.1 short forms, no zone).  Without a length plen is 32 or 128.
 * 0, or -1.  *has_plen may be NULL.
 */
int		 ipaddr_parse(const char *s, struct ipaddr *a, bool *has_plen);
/* Text into buf, which is returned; _print has no prefix length. */
const char	*ipaddr_print(const struct ipaddr *a, char *buf, size_t len);
const char	*ipaddr_print_prefix(const struct ipaddr *a, char *buf,
		    size_t len);
/* IPv4 first, then as unsigned bytes, plen not compared.  <0, 0, >0. */
int		 ipaddr_cmp(const struct ipaddr *a, const struct ipaddr *b);
/* Is a inside the prefix p (p->plen bits)? */
bool		 ipaddr_within(const struct ipaddr *a, const struct ipaddr *p);
bool		 ipaddr_is_linklocal(const struct ipaddr *a);	/* fe80::/10 */
bool		 ipaddr_is_multicast(const struct ipaddr *a);
bool		 ipaddr_is_loopback(const struct ipaddr *a);	/* 127/8, ::1 */
bool		 ipaddr_is_mapped(const struct ipaddr *a);	/* ::ffff/96 */
/* 0.0.0.0, ::, 255.255.255.255 or all-ones: can never be a virtual address */
bool		 ipaddr_is_special(const struct ipaddr *a);

#endif
