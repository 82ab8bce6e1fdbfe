/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * Text and comparison of IPv4 and IPv6 addresses and prefixes.  No resolver,
 * no scope: an address is its bytes.  RFC 4291, RFC 5952 (by inet_ntop).
 */
#include <arpa/inet.h>

#include <stdio.h>
#include <string.h>

#include "ipaddr.h"

size_t
ipaddr_len(uint8_t af)
{
	return (af == AF_INET6 ? 16 : 4);
}

static uint8_t
max_plen(uint8_t af)
{
	return (af == AF_INET6 ? 128 : 32);
}

/* Digits only, no leading zero, not above max. */
static int
parse_plen(const char *s, uint8_t max, uint8_t *plen)
{
	unsigned int	 v = 0;
	size_t		 i;

	if (s[0] == '\0' || (s[0] == '0' && s[1] != '\0'))
		return (-1);
	for (i = 0; s[i] != '\0'; i++) {
		if (s[i] < '0' || s[i] > '9' || i == 3)
			return (-1);
		v = v * 10 + (unsigned int)(s[i] - '0');
	}
	if (v > max)
		return (-1);
	*plen = (uint8_t)v;
	return (0);
}

int
ipaddr_parse(const char *s, struct ipaddr *a, bool *has_plen)
{
	char		 text[IPADDR_STRLEN];
	const char	*slash;
	size_t		 n;

	memset(a, 0, sizeof(*a));
	slash = strchr(s, '/');
	n = slash != NULL ? (size_t)(slash - s) : strlen(s);
	if (n >= sizeof(text))
		return (-1);
	memcpy(text, s, n);
	text[n] = '\0';

	a->af = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	a->plen = max_plen(a->af);
	if (inet_pton(a->af, text, a->bytes) != 1)
		return (-1);
	if (slash != NULL && parse_plen(slash + 1, a->plen, &a->plen) == -1)
		return (-1);
	if (has_plen != NULL)
		*has_plen = slash != NULL;
	return (0);
}

const char *
ipaddr_print(const struct ipaddr *a, char *buf, size_t len)
{
	if (len > 0 && ((a->af != AF_INET && a->af != AF_INET6) ||
	    inet_ntop(a->af, a->bytes, buf, (socklen_t)len) == NULL))
		strlcpy(buf, "?", len);
	return (buf);
}

const char *
ipaddr_print_prefix(const struct ipaddr *a, char *buf, size_t len)
{
	char	 text[IPADDR_STRLEN];

	snprintf(buf, len, "%s/%u", ipaddr_print(a, text, sizeof(text)),
	    a->plen);
	return (buf);
}

int
ipaddr_cmp(const struct ipaddr *a, const struct ipaddr *b)
{
	if (a->af != b->af)
		return (a->af == AF_INET ? -1 : 1);
	return (memcmp(a->bytes, b->bytes, ipaddr_len(a->af)));
}

bool
ipaddr_within(const struct ipaddr *a, const struct ipaddr *p)
{
	size_t	 whole = p->plen / 8;
	uint8_t	 mask = (uint8_t)(0xff00 >> (p->plen % 8));

	if (a->af != p->af || p->plen > max_plen(p->af))
		return (false);
	if (memcmp(a->bytes, p->bytes, whole) != 0)
		return (false);
	if (mask == 0)
		return (true);
	return (((a->bytes[whole] ^ p->bytes[whole]) & mask) == 0);
}

bool
ipaddr_is_linklocal(const struct ipaddr *a)
{
	return (a->af == AF_INET6 && a->bytes[0] == 0xfe &&
	    (a->bytes[1] & 0xc0) == 0x80);
}

bool
ipaddr_is_multicast(const struct ipaddr *a)
{
	if (a->af == AF_INET6)
		return (a->bytes[0] == 0xff);
	return ((a->bytes[0] & 0xf0) == 0xe0);
}

bool
ipaddr_is_loopback(const struct ipaddr *a)
{
	static const uint8_t	 one[16] = { [15] = 1 };

	if (a->af == AF_INET)
		return (a->bytes[0] == 127);
	return (memcmp(a->bytes, one, sizeof(one)) == 0);
}

bool
ipaddr_is_mapped(const struct ipaddr *a)
{
	static const uint8_t	 prefix[12] = { [10] = 0xff, [11] = 0xff };

	return (a->af == AF_INET6 &&
	    memcmp(a->bytes, prefix, sizeof(prefix)) == 0);
}

bool
ipaddr_is_special(const struct ipaddr *a)
{
	static const uint8_t	 zeros[16];
	static const uint8_t	 ones[16] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
	};
	size_t			 n = ipaddr_len(a->af);

	return (memcmp(a->bytes, zeros, n) == 0 ||
	    memcmp(a->bytes, ones, n) == 0);
}
