/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: build and judge one advertisement: digest, cookie, trailer, replay,
 * drop reason.  Sources: OpenBSD sys/netinet/ip_carp.c (digest, order of
 * checks, counters), FreeBSD ip_carp.c (digest variant).  Allocates only in
 * advert_vhost_init(), never per packet.
 */
#ifndef CARPD_ADVERT_H
#define CARPD_ADVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/auth.h"
#include "../common/hmac.h"
#include "../common/ipaddr.h"
#include "../common/monotime.h"
#include "../common/wire/carp.h"
#include "../common/wire/frame.h"
#include "../common/wire/trailer.h"
#include "config.h"

#define ADVERT_GONE_MAX	31	/* vhosts named in one advertisement: a
				   TLV holds 255 bytes */
#define ADVERT_ID_LEN	8	/* first bytes of SHA-256(vhid, addresses) */
#define ADVERT_PEERS_MAX 32	/* of our own nodes, remembered per vhost */
/*
 * Two bytes behind the trailer make its Internet checksum come out right:
 * tcpdump and tshark sum over everything, not over the 36 bytes only.
 */
#define ADVERT_BALANCE	2
#define ADVERT_MAX	(CARP_LEN + TRAILER_MAX + ADVERT_BALANCE)

/* TLVs of the trailer. */
#define ADVERT_TLV_GONE		1	/* n * ADVERT_ID_LEN */
#define ADVERT_TLV_REASON	2	/* 1 byte, enum advert_reason */
#define ADVERT_TLV_NOTICE	3	/* 1 byte: the vhid whose pass is used */
#define ADVERT_TLV_GROUP	4	/* balance_mode, probes, vhids in
					   ascending order: 1 byte each */
#define ADVERT_TLV_HEARD	5	/* n * node id: of whom the sender has
					   heard for this vhid of late */
#define ADVERT_TLV_ADDRS4	6	/* n * 4: addresses of the vhid; of both */
#define ADVERT_TLV_ADDRS6	7	/* n * 16: families, or of none */
#define ADVERT_LISTS_MAX	120	/* bytes of both; longer, or more than there
					   is room for, is not told */
#define ADVERT_HEARD_MAX	16

/* The carp interface of the vhost, as its node has it; see group.h. */
struct advert_group {
	uint8_t		 mode;		/* enum balance_mode */
	uint8_t		 probes;	/* frames for its MAC that it sent */
	uint8_t		 n;		/* vhids; 0: nothing is said */
	uint8_t		 vhids[BALANCE_NODES];
};

/* Why a bow-out was sent. */
enum advert_reason {
	ADVERT_REASON_NONE,
	ADVERT_REASON_SHUTDOWN,		/* planned */
	ADVERT_REASON_ENGINE_DIED,
	ADVERT_REASON_PARENT_DIED
};

/* The two digests: which IPv6 addresses are hashed. */
enum advert_variant { ADVERT_NOV6LL, ADVERT_ORIG, ADVERT_VARIANTS };

/* Why a packet was dropped; each is a counter under netstat's name. */
enum advert_drop {
	ADVERT_ACCEPT,
	ADVERT_DROP_BADIF,
	ADVERT_DROP_BADTTL,
	ADVERT_DROP_HDROPS,
	ADVERT_DROP_BADSUM,
	ADVERT_DROP_BADVER,
	ADVERT_DROP_BADLEN,
	ADVERT_DROP_BADAUTH,
	ADVERT_DROP_PASS,	/* the same, and our trailer is wrong as well */
	ADVERT_DROP_ADDRS,	/* ... is right: the addresses are not ours */
	ADVERT_DROP_BADVHID,
	ADVERT_DROP_LOOP,	/* our own cookie: counted badauth too */
	ADVERT_DROP_REPLAY,	/* our trailer, an old sequence */
	ADVERT_DROP_TRAILER,	/* our trailer, wrong MAC, malformed, cut off */
	ADVERT_DROP_NOAUTH,	/* auth strict: no trailer of a key */
	ADVERT_DROP_KEYID,	/* auth strict: of a key that we do not have */
	ADVERT_DROP_UNPROVEN,	/* auth strict: its sender is not proven to be
				   live */
	ADVERT_DROPS
};
extern const char *const advert_drop_names[];

struct advert_peer {
	uint32_t	 node;		/* 0: free */
	uint64_t	 epoch;
	uint64_t	 seq[2];	/* last of IPv4, IPv6 */
	monotime_t	 heard;
};

/* What one vhid needs to build and judge; owned by the engine. */
struct advert_vhost {
	uint8_t		 vhid;
	struct hmac	*sha1;
	struct hmac	*sha256;	/* of the pass: trailers of key id 0 */
	struct auth	*auth;		/* the engine's; NULL: auth off */
	uint8_t		 cookie[CARP_COUNTER_LEN];
	uint8_t		 digest[ADVERT_VARIANTS][CARP_DIGEST_LEN];
	uint8_t		*msg[ADVERT_VARIANTS];	/* what is hashed before the
						   counter */
	size_t		 msglen[ADVERT_VARIANTS];
	size_t		 n4;		/* IPv4 addresses in each */
	uint8_t		 id[ADVERT_ID_LEN];
	/* the last accepted counter and digest: a constant one costs nothing */
	uint8_t		 seen[CARP_COUNTER_LEN + CARP_DIGEST_LEN];
	enum advert_variant seen_variant;
	bool		 seen_set;
	struct advert_peer peers[ADVERT_PEERS_MAX];
};

/*
 * Make a cookie of 8 random bytes: the last four become a mark by which who
 * has the pass knows a carpd, none of whose advertisements is without trailer,
 * made with the pass, or (keyed) with a key.
 */
void		 advert_cookie(const void *pass, size_t passlen, bool keyed,
		    uint8_t cookie[CARP_COUNTER_LEN]);
/*
 * Prepare for vhid with these addresses (any order, duplicates allowed) and
 * pass (passlen bytes, at most 20, zero filled); cookie is 8 random bytes,
 * not all zero.  false when OpenSSL refuses or memory is short.
 */
bool		 advert_vhost_init(struct advert_vhost *v, uint8_t vhid,
		    const void *pass, size_t passlen,
		    const struct ipaddr *addrs, size_t naddrs,
		    const uint8_t cookie[CARP_COUNTER_LEN]);
/* Another cookie, when the keys have changed. */
void		 advert_vhost_cookie(struct advert_vhost *v,
		    const uint8_t cookie[CARP_COUNTER_LEN]);
/* Wipes and frees what it holds. */
void		 advert_vhost_clear(struct advert_vhost *v);
/*
 * The digest over the vhost's addresses for any counter: CARP_DIGEST_LEN
 * bytes to out.
 */
void		 advert_digest(struct advert_vhost *v, enum advert_variant var,
		    const uint8_t counter[CARP_COUNTER_LEN], uint8_t *out);

/*
 * The same with another vhid and other addresses, at most CONFIG_ADDRS_MAX + 1.
 * false: too many.
 */
bool		 advert_digest_of(struct advert_vhost *v,
		    enum advert_variant var, uint8_t vhid,
		    const struct ipaddr *addrs, size_t naddrs,
		    const uint8_t counter[CARP_COUNTER_LEN], uint8_t *out);
/*
 * The addresses of a family that are hashed with ADVERT_ORIG: *n of them, one
 * after the other in network order.  A view.
 */
const uint8_t	*advert_list(const struct advert_vhost *v, uint8_t af,
		    size_t *n);

struct advert_out {
	uint8_t		 advbase;
	uint8_t		 advskew;
	uint8_t		 demote;
	enum advert_variant variant;
	struct ipaddr	 src;
	struct ipaddr	 dst;
	uint32_t	 node;
	uint64_t	 epoch;
	uint64_t	 seq;
	monotime_t	 now;		/* for the TLVs of auth.h */
	enum advert_reason reason;
	bool		 notice;	/* no advertisement: vhid 0 on the wire,
					   which every CARP ignores, for a node
					   that is BACKUP but has lost vhosts */
	const struct advert_group *group;	/* NULL: not to be told */
	const uint8_t	(*gone)[ADVERT_ID_LEN];
	size_t		 ngone;		/* those beyond ADVERT_GONE_MAX are
					   not sent */
	bool		 tell;		/* for who looks for a fault: our
					   addresses, and whom we have heard */
	monotime_t	 heard_since;	/* ... from then on */
};

/* CARP header and trailer into buf (ADVERT_MAX bytes); returns the length. */
size_t		 advert_build(struct advert_vhost *v,
		    const struct advert_out *o, uint8_t *buf, size_t size);

/* An accepted advertisement. */
struct advert_in {
	uint8_t		 vhid;		/* of the vhost whose pass verified */
	uint8_t		 advbase;
	uint8_t		 advskew;
	uint8_t		 demote;
	uint8_t		 af;
	enum advert_variant variant;	/* which digest matched */
	bool		 both;		/* both digests are equal here */
	bool		 ours;		/* the trailer verified */
	enum auth_verdict auth;		/* of the trailer; AUTH_OPEN: the pass
					   verified it */
	uint16_t	 keyid;
	uint32_t	 sender;	/* node by its trailer, verified or not */
	bool		 notice;
	uint32_t	 node;		/* 0 unless ours */
	enum advert_reason reason;
	struct advert_group group;
	const uint8_t	*gone;		/* view: ngone * ADVERT_ID_LEN */
	size_t		 ngone;
	bool		 tells;		/* whom it has heard: */
	const uint8_t	*heard;		/* view: nheard * 4 */
	size_t		 nheard;
};

/*
 * Steps 3 to 6 of the receive pipeline: TTL, length, checksum.  Fills *h.
 */
enum advert_drop advert_check(const struct frame_ip *f, struct carp_header *h);
/*
 * Does a trailer of ours follow, whoever made it?  f has CARP_LEN bytes at
 * least.  As trailer_parse().
 */
enum trailer_result advert_trailer(const struct frame_ip *f,
		    struct trailer *t);
/* The same for a packet of any length. */
bool		 advert_has_trailer(const struct frame_ip *f);
/* Has its sender heard that node? */
bool		 advert_heard(const struct advert_in *in, uint32_t node);
/*
 * Which vhid must judge it: h->vhid, or, for a notice (h->vhid 0 with our
 * trailer), the one its TLV names; 0: nobody.
 */
uint8_t		 advert_vhid(const struct frame_ip *f,
		    const struct carp_header *h);
/*
 * Steps 8 to 10 against v: version, digest (both variants, constant time),
 * own cookie, then the trailer: wrong is a drop, absent, or of an unknown key,
 * is fine unless auth is strict or the cookie says that it must be another one,
 * and within one epoch the sequence must grow.  A lower epoch of a node is
 * accepted only when its session has proven to be live (auth.h), or it has been
 * silent for `dead` nanoseconds.  in->auth, in->keyid and in->sender are set
 * also when the trailer is the reason to drop it.
 */
enum advert_drop advert_verify(struct advert_vhost *v,
		    const struct frame_ip *f, const struct carp_header *h,
		    monotime_t now, int64_t dead, struct advert_in *in);

#endif
