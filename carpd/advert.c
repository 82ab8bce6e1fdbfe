/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * One CARP advertisement, built or judged.  What is hashed and in which order
 * a packet is refused follow OpenBSD's sys/netinet/ip_carp.c; the second
 * digest is FreeBSD's.  The trailer (common/wire/trailer.h) and its TLVs are
 * ours.  Not here: whether the receiving interface may have it (badif), which
 * vhids exist, and what an advertisement does to an election.
 */
#include <stdlib.h>
#include <string.h>

#include "../common/ibuf.h"
#include "../common/wire/cksum.h"
#include "advert.h"

/* What the digest covers before the addresses. */
#define MSG_HEAD	3	/* version, type, vhid */
#define SCOPE_OFF	2	/* where a KAME kernel keeps the scope id */
#define SCOPE_LEN	2
#define TLV_HEAD	2	/* type, length */
#define GROUP_HEAD	2	/* of a TLV: before the vhids */
#define NODE_LEN	4	/* of a node id */

const char *const advert_drop_names[] = {
	[ADVERT_ACCEPT] = "accepted",
	[ADVERT_DROP_BADIF] = "badif",
	[ADVERT_DROP_BADTTL] = "badttl",
	[ADVERT_DROP_HDROPS] = "hdrops",
	[ADVERT_DROP_BADSUM] = "badsum",
	[ADVERT_DROP_BADVER] = "badver",
	[ADVERT_DROP_BADLEN] = "badlen",
	[ADVERT_DROP_BADAUTH] = "badauth",
	[ADVERT_DROP_PASS] = "pass",
	[ADVERT_DROP_ADDRS] = "addresses",
	[ADVERT_DROP_BADVHID] = "badvhid",
	[ADVERT_DROP_LOOP] = "loop",
	[ADVERT_DROP_REPLAY] = "replay",
	[ADVERT_DROP_TRAILER] = "trailer",
	[ADVERT_DROP_NOAUTH] = "noauth",
	[ADVERT_DROP_KEYID] = "keyid",
	[ADVERT_DROP_UNPROVEN] = "unproven",
};

/* IN6_IS_SCOPE_EMBED: link-local, and multicast that stays on the link. */
static bool
embeds_scope(const struct ipaddr *a)
{
	uint8_t	 scope = a->bytes[1] & 0x0f;

	if (a->af != AF_INET6)
		return (false);
	return (ipaddr_is_linklocal(a) ||
	    (ipaddr_is_multicast(a) && (scope == 1 || scope == 2)));
}

static int
cmp_addr(const void *a, const void *b)
{
	return (ipaddr_cmp(a, b));
}

/* The addresses a variant hashes, sorted, to dst; returns how many. */
static size_t
pick_addrs(enum advert_variant var, const struct ipaddr *addrs, size_t naddrs,
    struct ipaddr *dst)
{
	size_t	 i, n = 0;

	for (i = 0; i < naddrs; i++) {
		if (embeds_scope(&addrs[i]) && var == ADVERT_NOV6LL)
			continue;
		dst[n] = addrs[i];
		if (embeds_scope(&addrs[i]))
			memset(dst[n].bytes + SCOPE_OFF, 0, SCOPE_LEN);
		n++;
	}
	qsort(dst, n, sizeof(*dst), cmp_addr);
	return (n);
}

/* What is hashed before the counter; work has room for naddrs. */
static bool
make_msg(struct advert_vhost *v, enum advert_variant var,
    const struct ipaddr *addrs, size_t naddrs, struct ipaddr *work)
{
	struct wbuf	 w;
	size_t		 i, n, size;

	n = pick_addrs(var, addrs, naddrs, work);
	size = MSG_HEAD + n * sizeof(work->bytes);
	if ((v->msg[var] = malloc(size)) == NULL)
		return (false);
	wbuf_init(&w, v->msg[var], size);
	wbuf_u8(&w, CARP_VERSION);
	wbuf_u8(&w, CARP_TYPE_ADVERT);
	wbuf_u8(&w, v->vhid);
	v->n4 = 0;
	for (i = 0; i < n; i++) {
		if (i > 0 && ipaddr_cmp(&work[i], &work[i - 1]) == 0)
			continue;
		v->n4 += work[i].af == AF_INET;
		wbuf_bytes(&w, work[i].bytes, ipaddr_len(work[i].af));
	}
	v->msglen[var] = wbuf_used(&w);
	return (wbuf_ok(&w));
}

static bool
make_msgs(struct advert_vhost *v, const struct ipaddr *addrs, size_t naddrs)
{
	struct ipaddr	*work;
	bool		 ok;

	/* one more than needed: none is legal, zero bytes are not */
	if ((work = calloc(naddrs + 1, sizeof(*work))) == NULL)
		return (false);
	ok = make_msg(v, ADVERT_NOV6LL, addrs, naddrs, work) &&
	    make_msg(v, ADVERT_ORIG, addrs, naddrs, work);
	free(work);
	return (ok);
}

/* What signs trailers. */
static struct hmac *
trailer_hmac(const void *pass, size_t passlen)
{
	uint8_t		 key[HMAC_SHA256_LEN];
	struct hmac	*h;

	trailer_derive(TRAILER_CARP, pass, passlen, key);
	h = hmac_new(HMAC_ALG_SHA256, key, sizeof(key));
	hmac_wipe(key, sizeof(key));
	return (h);
}

/* The key of the digest is the pass, zero filled; HMAC fills it as well. */
static void
make_keys(struct advert_vhost *v, const void *pass, size_t passlen)
{
	v->sha1 = hmac_new(HMAC_ALG_SHA1, pass, passlen);
	v->sha256 = trailer_hmac(pass, passlen);
}

/* The second half of a cookie, from its first. */
static void
mark_cookie(struct hmac *h, bool keyed, uint8_t cookie[CARP_COUNTER_LEN])
{
	static const char	 use[2][16] = { "carpd-cookie-v1",
				    "carpd-cookie-k1" };
	const size_t		 half = CARP_COUNTER_LEN / 2;
	uint8_t			 mac[HMAC_SHA256_LEN];

	hmac_start(h);
	hmac_update(h, use[keyed], sizeof(use[keyed]));
	hmac_update(h, cookie, half);
	hmac_final(h, mac);
	memcpy(cookie + half, mac, CARP_COUNTER_LEN - half);
}

void
advert_cookie(const void *pass, size_t passlen, bool keyed,
    uint8_t cookie[CARP_COUNTER_LEN])
{
	struct hmac	*h = trailer_hmac(pass, passlen);

	mark_cookie(h, keyed, cookie);
	hmac_free(h);
}

/* Every node of a vhost comes to the same id: all its addresses, sorted. */
static void
make_id(struct advert_vhost *v)
{
	uint8_t	 hash[HMAC_SHA256_LEN];
	size_t	 skip = MSG_HEAD - sizeof(v->vhid);

	hmac_sha256_once(v->msg[ADVERT_ORIG] + skip,
	    v->msglen[ADVERT_ORIG] - skip, hash);
	memcpy(v->id, hash, sizeof(v->id));
}

bool
advert_vhost_init(struct advert_vhost *v, uint8_t vhid, const void *pass,
    size_t passlen, const struct ipaddr *addrs, size_t naddrs,
    const uint8_t cookie[CARP_COUNTER_LEN])
{
	memset(v, 0, sizeof(*v));
	if (vhid == 0 || passlen > CARP_KEY_LEN)
		return (false);
	v->vhid = vhid;
	if (!make_msgs(v, addrs, naddrs)) {
		advert_vhost_clear(v);
		return (false);
	}
	make_keys(v, pass, passlen);
	advert_vhost_cookie(v, cookie);
	make_id(v);
	return (true);
}

void
advert_vhost_cookie(struct advert_vhost *v,
    const uint8_t cookie[CARP_COUNTER_LEN])
{
	enum advert_variant	 var;

	memcpy(v->cookie, cookie, sizeof(v->cookie));
	for (var = 0; var < ADVERT_VARIANTS; var++)
		advert_digest(v, var, v->cookie, v->digest[var]);
}

void
advert_vhost_clear(struct advert_vhost *v)
{
	enum advert_variant	 var;

	hmac_free(v->sha1);
	hmac_free(v->sha256);
	for (var = 0; var < ADVERT_VARIANTS; var++)
		free(v->msg[var]);
	hmac_wipe(v, sizeof(*v));
}

void
advert_digest(struct advert_vhost *v, enum advert_variant var,
    const uint8_t counter[CARP_COUNTER_LEN], uint8_t *out)
{
	hmac_start(v->sha1);
	hmac_update(v->sha1, v->msg[var], v->msglen[var]);
	hmac_update(v->sha1, counter, CARP_COUNTER_LEN);
	hmac_final(v->sha1, out);
}

bool
advert_digest_of(struct advert_vhost *v, enum advert_variant var, uint8_t vhid,
    const struct ipaddr *addrs, size_t naddrs,
    const uint8_t counter[CARP_COUNTER_LEN], uint8_t *out)
{
	const uint8_t	 head[MSG_HEAD] = { CARP_VERSION, CARP_TYPE_ADVERT,
			    vhid };
	struct ipaddr	 work[CONFIG_ADDRS_MAX + 1];
	size_t		 i, n;

	if (naddrs > sizeof(work) / sizeof(work[0]))
		return (false);
	n = pick_addrs(var, addrs, naddrs, work);
	hmac_start(v->sha1);
	hmac_update(v->sha1, head, sizeof(head));
	for (i = 0; i < n; i++)
		if (i == 0 || ipaddr_cmp(&work[i], &work[i - 1]) != 0)
			hmac_update(v->sha1, work[i].bytes,
			    ipaddr_len(work[i].af));
	hmac_update(v->sha1, counter, CARP_COUNTER_LEN);
	hmac_final(v->sha1, out);
	return (true);
}

const uint8_t *
advert_list(const struct advert_vhost *v, uint8_t af, size_t *n)
{
	const uint8_t	*p = v->msg[ADVERT_ORIG] + MSG_HEAD;
	size_t		 len4 = v->n4 * ipaddr_len(AF_INET);

	if (af == AF_INET) {
		*n = v->n4;
		return (p);
	}
	*n = (v->msglen[ADVERT_ORIG] - MSG_HEAD - len4) /
	    ipaddr_len(AF_INET6);
	return (p + len4);
}

static void
put_tlv(struct wbuf *w, uint8_t type, const void *val, size_t len)
{
	wbuf_u8(w, type);
	wbuf_u8(w, (uint8_t)len);
	wbuf_bytes(w, val, len);
}

static void
put_group(struct wbuf *w, const struct advert_group *g)
{
	uint8_t	 val[GROUP_HEAD + BALANCE_NODES] = { g->mode, g->probes };

	memcpy(val + GROUP_HEAD, g->vhids, g->n);
	put_tlv(w, ADVERT_TLV_GROUP, val, GROUP_HEAD + (size_t)g->n);
}

static void
put_lists(struct wbuf *w, const struct advert_vhost *v)
{
	size_t		 n4, n6, len4, len6;
	const uint8_t	*p4 = advert_list(v, AF_INET, &n4);
	const uint8_t	*p6 = advert_list(v, AF_INET6, &n6);

	len4 = n4 * ipaddr_len(AF_INET);
	len6 = n6 * ipaddr_len(AF_INET6);
	if (len4 + len6 > ADVERT_LISTS_MAX ||
	    len4 + len6 + 2 * TLV_HEAD > w->size - wbuf_used(w))
		return;
	if (n4 > 0)
		put_tlv(w, ADVERT_TLV_ADDRS4, p4, len4);
	if (n6 > 0)
		put_tlv(w, ADVERT_TLV_ADDRS6, p6, len6);
}

static void
put_heard(struct wbuf *w, const struct advert_vhost *v, monotime_t since)
{
	uint8_t				 val[ADVERT_HEARD_MAX * NODE_LEN];
	const struct advert_peer	*p;
	struct wbuf			 ids;

	wbuf_init(&ids, val, sizeof(val));
	for (p = v->peers; p < v->peers + ADVERT_PEERS_MAX; p++)
		if (p->node != 0 && monotime_cmp(p->heard, since) >= 0 &&
		    wbuf_used(&ids) < sizeof(val))
			wbuf_be32(&ids, p->node);
	put_tlv(w, ADVERT_TLV_HEARD, val, wbuf_used(&ids));
}

static void
put_tlvs(struct wbuf *w, const struct advert_vhost *v,
    const struct advert_out *o)
{
	size_t	 n = o->ngone < ADVERT_GONE_MAX ? o->ngone : ADVERT_GONE_MAX;
	uint8_t	 reason = (uint8_t)o->reason;

	if (o->notice)
		put_tlv(w, ADVERT_TLV_NOTICE, &v->vhid, sizeof(v->vhid));
	if (o->reason != ADVERT_REASON_NONE)
		put_tlv(w, ADVERT_TLV_REASON, &reason, sizeof(reason));
	if (o->group != NULL)
		put_group(w, o->group);
	if (n > 0)
		put_tlv(w, ADVERT_TLV_GONE, o->gone, n * ADVERT_ID_LEN);
	/* what is made for later neither asks nor answers */
	if (v->auth != NULL && o->seq != AUTH_SEQ_LAST)
		auth_tlvs(v->auth, w, o->now);
	if (!o->tell)
		return;
	put_heard(w, v, o->heard_since);
	put_lists(w, v);
}

/* By the active key, else by the pass. */
static size_t
put_trailer(struct advert_vhost *v, const struct advert_out *o,
    struct trailer *t, uint8_t *buf, size_t size)
{
	if (v->auth != NULL && auth_keyed(v->auth))
		return (auth_sign(v->auth, &o->src, &o->dst, buf, CARP_LEN,
		    size, t));
	t->node = o->node;
	t->epoch = o->epoch;
	return (trailer_write(TRAILER_CARP, v->sha256, &o->src, &o->dst, buf,
	    CARP_LEN, size, t));
}

size_t
advert_build(struct advert_vhost *v, const struct advert_out *o, uint8_t *buf,
    size_t size)
{
	struct carp_header	 h;
	struct trailer		 t;
	struct wbuf		 w;
	uint8_t			 tlv[TRAILER_TLV_MAX];
	size_t			 len;

	if (size < CARP_LEN)
		return (0);
	memset(&h, 0, sizeof(h));
	h.version = CARP_VERSION;
	h.type = CARP_TYPE_ADVERT;
	h.vhid = o->notice ? 0 : v->vhid;
	h.advskew = o->advskew;
	h.authlen = CARP_AUTHLEN;
	h.demote = o->demote;
	h.advbase = o->advbase;
	memcpy(h.counter, v->cookie, sizeof(h.counter));
	memcpy(h.digest, v->digest[o->variant], sizeof(h.digest));
	carp_encode(&h, buf);

	wbuf_init(&w, tlv, sizeof(tlv));
	put_tlvs(&w, v, o);
	memset(&t, 0, sizeof(t));
	t.seq = o->seq;
	t.tlv = tlv;
	t.tlvlen = wbuf_used(&w);
	if (size < CARP_LEN + ADVERT_BALANCE)
		return (0);
	len = put_trailer(v, o, &t, buf, size - ADVERT_BALANCE);
	if (len == 0)
		return (0);
	len += CARP_LEN;
	wbuf_init(&w, buf + len, ADVERT_BALANCE);
	wbuf_be16(&w, cksum(buf + CARP_LEN, len - CARP_LEN));
	return (len + ADVERT_BALANCE);
}

/*
 * hdrops is a kernel that cannot get at the whole packet; for us, who do not
 * reassemble, that is a fragment.
 */
enum advert_drop
advert_check(const struct frame_ip *f, struct carp_header *h)
{
	memset(h, 0, sizeof(*h));
	if (f->ttl != CARP_TTL)
		return (ADVERT_DROP_BADTTL);
	if (f->fragment)
		return (ADVERT_DROP_HDROPS);
	if (!carp_decode(f->payload, f->len, h))
		return (ADVERT_DROP_BADLEN);
	if (!carp_cksum_ok(f->payload))
		return (ADVERT_DROP_BADSUM);
	return (ADVERT_ACCEPT);
}

enum trailer_result
advert_trailer(const struct frame_ip *f, struct trailer *t)
{
	const uint8_t		*data = f->payload + CARP_LEN;
	size_t			 len = f->len - CARP_LEN;
	enum trailer_result	 r;

	if (len < ADVERT_BALANCE)
		return (TRAILER_NONE);
	r = trailer_parse(TRAILER_CARP, data, len - ADVERT_BALANCE, t);
	if (r == TRAILER_OK && cksum(data, len) != 0)
		return (TRAILER_BAD);
	return (r);
}

bool
advert_has_trailer(const struct frame_ip *f)
{
	struct trailer	 t;

	return (f->len >= CARP_LEN && advert_trailer(f, &t) == TRAILER_OK);
}

uint8_t
advert_vhid(const struct frame_ip *f, const struct carp_header *h)
{
	struct trailer	 t;
	const uint8_t	*val;
	uint8_t		 type;
	size_t		 len, off = 0;

	if (h->vhid != 0)
		return (h->vhid);
	if (f->len < CARP_LEN || advert_trailer(f, &t) != TRAILER_OK)
		return (0);
	while (trailer_tlv(&t, &off, &type, &val, &len))
		if (type == ADVERT_TLV_NOTICE && len == 1)
			return (val[0]);
	return (0);
}

/* ORIG holds all that NOV6LL does: of one length, they are the same. */
static bool
variants_equal(const struct advert_vhost *v)
{
	return (v->msglen[ADVERT_NOV6LL] == v->msglen[ADVERT_ORIG]);
}

static bool
seen_before(const struct advert_vhost *v, const struct carp_header *h)
{
	uint8_t	 now[sizeof(v->seen)];

	memcpy(now, h->counter, sizeof(h->counter));
	memcpy(now + sizeof(h->counter), h->digest, sizeof(h->digest));
	return (v->seen_set && hmac_equal(now, v->seen, sizeof(now)));
}

static bool
try_digest(struct advert_vhost *v, enum advert_variant var,
    const struct carp_header *h)
{
	uint8_t	 want[CARP_DIGEST_LEN];

	advert_digest(v, var, h->counter, want);
	return (hmac_equal(want, h->digest, sizeof(want)));
}

/*
 * Does the digest match, and which?  A peer with a cookie sends the same
 * counter and digest again and again: known once, known for good.  Otherwise
 * both variants are tried whatever the first one says, so that time does not
 * tell them apart; where they are equal, one is enough.
 */
static bool
match_digest(struct advert_vhost *v, const struct carp_header *h,
    enum advert_variant *var)
{
	bool	 nov6ll, orig = false;

	if (seen_before(v, h)) {
		*var = v->seen_variant;
		return (true);
	}
	nov6ll = try_digest(v, ADVERT_NOV6LL, h);
	if (!variants_equal(v))
		orig = try_digest(v, ADVERT_ORIG, h);
	*var = orig ? ADVERT_ORIG : ADVERT_NOV6LL;
	return (nov6ll || orig);
}

static void
remember_digest(struct advert_vhost *v, const struct carp_header *h,
    enum advert_variant var)
{
	memcpy(v->seen, h->counter, sizeof(h->counter));
	memcpy(v->seen + sizeof(h->counter), h->digest, sizeof(h->digest));
	v->seen_variant = var;
	v->seen_set = true;
}

static bool
take_group(struct advert_group *g, const uint8_t *val, size_t len)
{
	size_t	 i, n = len - GROUP_HEAD;

	if (len <= GROUP_HEAD || n > BALANCE_NODES)
		return (false);
	for (i = 1, val += GROUP_HEAD; i < n; i++)
		if (val[i] <= val[i - 1])
			return (false);
	memset(g, 0, sizeof(*g));
	g->mode = val[-2];
	g->probes = val[-1];
	g->n = (uint8_t)n;
	memcpy(g->vhids, val, n);
	return (true);
}

/* One TLV of a trailer whose MAC was right; false: malformed. */
static bool
take_tlv(struct advert_in *in, uint8_t type, const uint8_t *val, size_t len)
{
	switch (type) {
	case ADVERT_TLV_GONE:
		in->gone = val;
		in->ngone = len / ADVERT_ID_LEN;
		return (len % ADVERT_ID_LEN == 0);
	case ADVERT_TLV_HEARD:
		in->tells = true;
		in->heard = val;
		in->nheard = len / NODE_LEN;
		return (len % NODE_LEN == 0);
	case ADVERT_TLV_REASON:
		if (len == 1 && val[0] <= ADVERT_REASON_PARENT_DIED)
			in->reason = val[0];
		return (len == 1);
	case ADVERT_TLV_NOTICE:
		/* the first one chose the vhid, another must not disagree */
		return (in->notice && len == 1 && val[0] == in->vhid);
	case ADVERT_TLV_GROUP:
		return (take_group(&in->group, val, len));
	default:
		return (true);
	}
}

static bool
take_tlvs(struct advert_in *in, const struct trailer *t)
{
	const uint8_t	*val;
	uint8_t		 type;
	size_t		 len, off = 0;

	while (trailer_tlv(t, &off, &type, &val, &len))
		if (!take_tlv(in, type, val, len))
			return (false);
	return (true);
}

bool
advert_heard(const struct advert_in *in, uint32_t node)
{
	struct rbuf	 r;
	size_t		 i;

	rbuf_init(&r, in->heard, in->nheard * NODE_LEN);
	for (i = 0; i < in->nheard; i++)
		if (rbuf_be32(&r) == node)
			return (true);
	return (false);
}

static struct advert_peer *
find_peer(struct advert_vhost *v, uint32_t node)
{
	struct advert_peer	*p;

	for (p = v->peers; p < v->peers + ADVERT_PEERS_MAX; p++)
		if (p->node == node)
			return (p);
	return (NULL);
}

/* A free place, or that of the node silent for longest. */
static struct advert_peer *
new_peer(struct advert_vhost *v)
{
	struct advert_peer	*p, *oldest;

	if ((p = find_peer(v, 0)) != NULL)
		return (p);
	oldest = v->peers;
	for (p = v->peers; p < v->peers + ADVERT_PEERS_MAX; p++)
		if (monotime_cmp(p->heard, oldest->heard) < 0)
			oldest = p;
	return (oldest);
}

/*
 * Is t newer than all we took from its node, over this family?  A lower epoch
 * is a recording or a node whose clock went back over a reboot; only the
 * second one was silent in the meantime.  If it is newer it is remembered,
 * hence this comes after every other check.
 */
static bool
fresh(struct advert_vhost *v, const struct trailer *t, uint8_t af,
    bool proven, monotime_t now, int64_t dead)
{
	struct advert_peer	*p = find_peer(v, t->node);
	size_t			 fam = af == AF_INET6;
	bool			 reset;

	reset = p == NULL || t->epoch > p->epoch ||
	    (t->epoch < p->epoch && (proven ||
	    monotime_sub(now, p->heard) >= dead));
	if (!reset && t->epoch < p->epoch)
		return (false);
	if (t->seq <= (reset ? 0 : p->seq[fam]))
		return (false);
	if (p == NULL)
		p = new_peer(v);
	if (reset)
		memset(p, 0, sizeof(*p));
	p->node = t->node;
	p->epoch = t->epoch;
	p->seq[fam] = t->seq;
	p->heard = now;
	return (true);
}

/* The MAC of a trailer that advert_trailer() took. */
static bool
trailer_right(struct advert_vhost *v, const struct frame_ip *f)
{
	return (trailer_verify(TRAILER_CARP, v->sha256, &f->src, &f->dst,
	    f->payload, CARP_LEN, f->payload + CARP_LEN));
}

/*
 * The digest was wrong.  It is made of the pass, the vhid and the addresses; a
 * trailer of the pass alone, unless it is of a key.
 */
static enum advert_drop
why_badauth(struct advert_vhost *v, const struct frame_ip *f)
{
	struct trailer	 t;

	if (advert_trailer(f, &t) != TRAILER_OK || t.keyid != 0)
		return (ADVERT_DROP_BADAUTH);
	return (trailer_right(v, f) ? ADVERT_DROP_ADDRS : ADVERT_DROP_PASS);
}

/* What is behind the CARP header; t is set where there is a trailer. */
static enum auth_verdict
trailer_verdict(struct advert_vhost *v, const struct frame_ip *f,
    monotime_t now, struct trailer *t)
{
	switch (advert_trailer(f, t)) {
	case TRAILER_NONE:
		return (AUTH_NONE);
	case TRAILER_BAD:
		return (AUTH_MALFORMED);
	case TRAILER_OK:
		break;
	}
	if (t->node == 0)
		return (AUTH_MALFORMED);
	if (t->keyid == 0)
		return (trailer_right(v, f) ? AUTH_OPEN : AUTH_BADMAC);
	if (v->auth == NULL)
		return (AUTH_UNKNOWN);
	return (auth_rx(v->auth, &f->src, &f->dst, f->payload, CARP_LEN,
	    f->payload + CARP_LEN, f->len - CARP_LEN - ADVERT_BALANCE, t, now));
}

/* Is that enough?  Only auth strict asks for more than nothing. */
static enum advert_drop
judge_verdict(const struct advert_vhost *v, const struct advert_in *in)
{
	bool	 taken = auth_takes(v->auth == NULL ? AUTH_OFF :
		    auth_policy(v->auth), in->auth);

	switch (in->auth) {
	case AUTH_NONE:
	case AUTH_OPEN:
		return (taken ? ADVERT_ACCEPT : ADVERT_DROP_NOAUTH);
	case AUTH_UNKNOWN:
		/* of an advertisement the CARP header is left, of a notice
		   nothing */
		return (taken && !in->notice ? ADVERT_ACCEPT :
		    ADVERT_DROP_KEYID);
	case AUTH_UNPROVEN:
		return (taken ? ADVERT_ACCEPT : ADVERT_DROP_UNPROVEN);
	case AUTH_PROVEN:
		return (ADVERT_ACCEPT);
	case AUTH_REPLAY:
		return (ADVERT_DROP_REPLAY);
	case AUTH_MALFORMED:
	case AUTH_BADMAC:
	case AUTH_VERDICTS:
		break;
	}
	return (ADVERT_DROP_TRAILER);
}

/* Step 10 on, ours: what follows the CARP header. */
static enum advert_drop
judge_trailer(struct advert_vhost *v, const struct frame_ip *f, monotime_t now,
    int64_t dead, struct advert_in *in)
{
	enum advert_drop	 drop;
	struct trailer		 t;

	in->auth = trailer_verdict(v, f, now, &t);
	in->keyid = t.keyid;
	in->sender = t.node;
	if ((drop = judge_verdict(v, in)) != ADVERT_ACCEPT ||
	    in->auth == AUTH_NONE || in->auth == AUTH_UNKNOWN)
		return (drop);
	if (!take_tlvs(in, &t))
		return (ADVERT_DROP_TRAILER);
	if (!fresh(v, &t, f->src.af, in->auth == AUTH_PROVEN, now, dead))
		return (ADVERT_DROP_REPLAY);
	in->ours = true;
	in->node = t.node;
	return (ADVERT_ACCEPT);
}

static bool
is_marked(struct advert_vhost *v, bool keyed, const uint8_t *counter)
{
	uint8_t	 cookie[CARP_COUNTER_LEN];

	memcpy(cookie, counter, sizeof(cookie));
	mark_cookie(v->sha256, keyed, cookie);
	return (hmac_equal(cookie, counter, sizeof(cookie)));
}

/*
 * A recording of a carpd, its trailer cut off, or another one put there, so that
 * it looks like any CARP: timers and age would be whatever the sender likes.
 * What is made with a key that we do not have must be made with some.
 */
static bool
trailer_cut_off(struct advert_vhost *v, const struct carp_header *h,
    const struct advert_in *in)
{
	if (in->ours)
		return (false);
	return (is_marked(v, false, h->counter) || (in->auth == AUTH_NONE &&
	    is_marked(v, true, h->counter)));
}

static void
take_header(const struct advert_vhost *v, const struct frame_ip *f,
    const struct carp_header *h, struct advert_in *in)
{
	memset(in, 0, sizeof(*in));
	in->vhid = v->vhid;
	in->advbase = h->advbase;
	in->advskew = h->advskew;
	in->demote = h->demote;
	in->af = f->src.af;
	in->both = variants_equal(v);
	in->notice = h->vhid == 0;
}

/*
 * A notice without a trailer never gets past the first line, and one whose
 * trailer is wrong not past judge_trailer(): a notice accepted is ours.
 */
enum advert_drop
advert_verify(struct advert_vhost *v, const struct frame_ip *f,
    const struct carp_header *h, monotime_t now, int64_t dead,
    struct advert_in *in)
{
	enum advert_drop	 drop;

	take_header(v, f, h, in);
	if (advert_vhid(f, h) != v->vhid || f->len < CARP_LEN)
		return (ADVERT_DROP_BADVHID);
	if (h->version != CARP_VERSION)
		return (ADVERT_DROP_BADVER);
	if (!match_digest(v, h, &in->variant))
		return (why_badauth(v, f));
	if (hmac_equal(h->counter, v->cookie, sizeof(v->cookie)))
		return (ADVERT_DROP_LOOP);
	if ((drop = judge_trailer(v, f, now, dead, in)) != ADVERT_ACCEPT)
		return (drop);
	if (trailer_cut_off(v, h, in))
		return (ADVERT_DROP_TRAILER);
	remember_digest(v, h, in->variant);
	return (ADVERT_ACCEPT);
}
