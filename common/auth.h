/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * PURE: who made a packet with our trailer (wire/trailer.h), and is it alive?
 * The ring of configured keys, and what is known of each node's session.
 *
 * A session is one run of a daemon: node id and epoch.  A MAC shows that it
 * was made by somebody with the key, not that it was made now, and a recording
 * has a MAC that is right.  So a session counts only when it has answered a
 * question that this run of ours has made up:
 *
 *	A	packet, epoch of A			--> B
 *	A <--	CHALLENGE, A, nonce			B	(in any packet)
 *	A	ECHO, B, nonce, and its epoch, sequence	--> B
 *
 * all of them under the MAC of a configured key.  From the packet with the
 * ECHO on, packets of that epoch are taken, each once (a window of sequence
 * numbers; what is older than the ECHO is not); those of any other epoch,
 * higher or lower, are not, until that one has answered.  Epochs are compared
 * for equality only, and nothing that was recorded before we started, or before
 * its sender did, answers: no clock and no file has to be right for that.  A
 * nonce is used once, belongs to one node, and is void after AUTH_NONCE_LIFE.
 *
 * What we did not hear we have not taken either, so it could be played to us
 * after its sender has died.  Hence who is silent for auth_silence() has to
 * answer again, and what is late counts for AUTH_LATE only.  Who is silent for
 * half of it is asked, so that one who lives always counts at once.
 *
 * TLVs of the trailer, both 20 bytes:
 *
 *	TRAILER_TLV_CHALLENGE	node id of who is asked, nonce (16)
 *	TRAILER_TLV_ECHO	node id of who asked, its nonce (16)
 *
 * Who does not know the two skips them.  A question is in every packet that
 * leaves within AUTH_SAY of the packet that gave rise to it; so is an answer.
 * auth_urgent() says when one is worth a packet of its own.
 */
#ifndef COMMON_AUTH_H
#define COMMON_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hmac.h"
#include "ibuf.h"
#include "ipaddr.h"
#include "monotime.h"
#include "wire/trailer.h"

#define AUTH_KEYS_MAX	8
#define AUTH_KEY_LEN	32
#define AUTH_NONCE_LEN	16
#define AUTH_PEERS_MAX	32	/* nodes; who is silent longest makes room */
#define AUTH_TLV_MAX	88	/* bytes of them in one packet */
#define AUTH_WINDOW	1024	/* sequence numbers behind the highest */
/* The last word of a session, made in advance: it has no place of its own. */
#define AUTH_SEQ_LAST	UINT64_MAX

#define AUTH_ASK_GAP	(100 * MONOTIME_MSEC)	/* questions to one node */
#define AUTH_SPEAK_GAP	(10 * MONOTIME_MSEC)	/* packets for their sake */
#define AUTH_SAY	MONOTIME_SEC
#define AUTH_OVERDUE	(3 * MONOTIME_SEC)
#define AUTH_NONCE_LIFE	(10 * MONOTIME_SEC)
#define AUTH_SILENCE	(5 * MONOTIME_SEC)
#define AUTH_LATE	(100 * MONOTIME_MSEC)

enum auth_policy { AUTH_OFF, AUTH_PERMISSIVE, AUTH_STRICT, AUTH_POLICIES };
extern const char *const auth_policy_names[AUTH_POLICIES + 1];

/* One key of the configuration; zeroed first. */
struct auth_key {
	uint16_t	 id;
	uint8_t		 active;	/* what we send carries its MAC */
	uint8_t		 pad;
	uint8_t		 key[AUTH_KEY_LEN];
};

/* `auth' and `key' of a configuration; zeroed first, for memcmp(). */
struct auth_conf {
	uint8_t		 policy;	/* enum auth_policy */
	uint8_t		 nkeys;
	uint8_t		 pad[2];
	struct auth_key	 keys[AUTH_KEYS_MAX];	/* sorted by id */
};

/* What was found behind a packet. */
enum auth_verdict {
	AUTH_NONE,		/* nothing of ours */
	AUTH_OPEN,		/* id 0, which is no configured key: nothing
				   was verified */
	AUTH_UNKNOWN,		/* another id that is not configured: the same */
	AUTH_UNPROVEN,		/* its MAC is right, its session silent so far
				   to our question */
	AUTH_PROVEN,		/* right, alive, and for the first time */
	AUTH_MALFORMED,
	AUTH_BADMAC,
	AUTH_REPLAY,		/* of a session that is alive, heard before; or
				   our own packet */
	AUTH_VERDICTS
};
extern const char *const auth_verdict_names[AUTH_VERDICTS];

struct auth;

/*
 * For one daemon's run: its node id (not 0), epoch, and 32 random bytes of
 * which the nonces are made.  fatal() when out of memory.
 */
struct auth	*auth_new(enum trailer_use use, uint32_t node, uint64_t epoch,
		    const uint8_t secret[HMAC_SHA256_LEN]);
/* Wipes the keys; NULL is fine. */
void		 auth_free(struct auth *a);
/* Policy and keys, now or after a reload; sessions stay.  Copies. */
void		 auth_conf(struct auth *a, const struct auth_conf *c);
/* Does c differ from what is in force?  Compares keys in constant time. */
bool		 auth_changed(const struct auth *a, const struct auth_conf *c);
/* Is a message from the parent well-formed? */
bool		 auth_conf_ok(const struct auth_conf *c);
enum auth_policy auth_policy(const struct auth *a);
/*
 * For how long, in ns, a node that lives may say nothing; AUTH_SILENCE at
 * least, and until this is called.
 */
void		 auth_silence(struct auth *a, int64_t ns);
/* Is there a key to send with?  Its id, 0 without. */
bool		 auth_keyed(const struct auth *a);
uint16_t	 auth_active(const struct auth *a);

/*
 * Judge the len bytes at data behind pkt, and note session and questions; t is
 * set unless AUTH_NONE or AUTH_MALFORMED.  Constant time in the MAC.
 */
enum auth_verdict auth_rx(struct auth *a, const struct ipaddr *src,
		    const struct ipaddr *dst, const void *pkt, size_t pktlen,
		    const void *data, size_t len, struct trailer *t,
		    monotime_t now);
/* May a packet of that verdict be taken?  Wrong ones never are. */
bool		 auth_takes(enum auth_policy policy, enum auth_verdict v);

/*
 * Questions and answers that are due into w, at most AUTH_TLV_MAX bytes and what
 * there is room for: those of one node are 44.
 */
void		 auth_tlvs(struct auth *a, struct wbuf *w, monotime_t now);
/*
 * A trailer behind pkt, by the active key (auth_keyed() is true); t brings
 * sequence and TLVs.  Its length, 0 when it does not fit.
 */
size_t		 auth_sign(struct auth *a, const struct ipaddr *src,
		    const struct ipaddr *dst, uint8_t *pkt, size_t pktlen,
		    size_t size, struct trailer *t);
/*
 * A key for one session's encryption: HMAC-SHA-256 (key of that id, label,
 * node, epoch, salt), see pfsyncd/crypt.h.  false: there is no such key.
 */
bool		 auth_session_key(const struct auth *a, uint16_t keyid,
		    uint32_t node, uint64_t epoch, const uint8_t *salt,
		    size_t saltlen, uint8_t out[HMAC_SHA256_LEN]);
/* Is something to be said that should not wait?  Asked once, it is told. */
bool		 auth_urgent(struct auth *a, monotime_t now);
/* Has that node a session that has proven itself? */
bool		 auth_proven(const struct auth *a, uint32_t node);
/* How many sessions have proven themselves so far. */
uint64_t	 auth_proofs(const struct auth *a);
/*
 * Has that node been heard for AUTH_OVERDUE with nothing that was proven?  Then
 * its operator may want to know.
 */
bool		 auth_overdue(const struct auth *a, uint32_t node,
		    monotime_t now);

#endif
