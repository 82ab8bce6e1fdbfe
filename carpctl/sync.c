/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * See sync.h: asks pfsyncd, gathers its whole answer, then shows it as text,
 * as JSON, or as the last line of `carpctl show`.  pfsyncd/msgs.h has the
 * messages; carpd's must not be included here.
 */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/ctlclient.h"
#include "diagnose_sync.h"
#include "put.h"
#include "sync.h"

#define EXIT_REFUSED	1
#define EXIT_UNREACHABLE 3

#define WAIT_MS		5000
#define WAIT_LINE_MS	1000	/* nobody asked for it */
#define WHY_MAX		256
#define UNKNOWN		UINT64_MAX

/* A conversation: whom we talk to, how long we wait, what went wrong. */
struct talk {
	const char		*path;
	int			 ms;
	struct ctlclient	*c;
	char			 why[WHY_MAX];
};

/* ---- talking ---- */

static int
unreachable(struct talk *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s: %s", t->path, why);
	return (EXIT_UNREACHABLE);
}

/* Text from the daemon, which may quote others: no control characters. */
static int
refused(struct talk *t, const struct imsg *im)
{
	const unsigned char	*p = im->data;
	size_t			 i;

	for (i = 0; i < im->len && i < sizeof(t->why) - 1; i++)
		t->why[i] = p[i] < ' ' || p[i] == 0x7f ? '?' : (char)p[i];
	t->why[i] = '\0';
	return (EXIT_REFUSED);
}

/* Connect and ask.  0, or the exit code. */
static int
talk_ask(struct talk *t, enum pfsyncd_msg type)
{
	if ((t->c = ctlclient_open(t->path)) == NULL) {
		switch (errno) {
		case ENOENT:
		case ECONNREFUSED:
			return (unreachable(t, "pfsyncd is not running"));
		case EACCES:
		case EPERM:
			return (unreachable(t, "permission denied: need root "
			    "or group _pfsyncd"));
		default:
			return (unreachable(t, strerror(errno)));
		}
	}
	if (ctlclient_ask(t->c, type, NULL, 0) == -1)
		return (unreachable(t, errno == EPIPE || errno == ECONNRESET ?
		    "pfsyncd closed the connection" : strerror(errno)));
	return (0);
}

/* The next reply, checked against the message table.  0, or the exit code. */
static int
talk_next(struct talk *t, struct imsg *im)
{
	const char	*wrong;
	int		 r;

	if ((r = ctlclient_next(t->c, im, t->ms)) == 0)
		return (unreachable(t, "pfsyncd closed the connection"));
	if (r == -1)
		return (unreachable(t, errno == ETIMEDOUT ?
		    "pfsyncd does not answer" : strerror(errno)));
	wrong = msg_check(pfsyncd_msgs, PMSG_MAX, im, MSG_FROM_ENGINE);
	if (wrong != NULL)
		return (unreachable(t, wrong));
	return (im->type == PMSG_CTL_FAIL ? refused(t, im) : 0);
}

static int
talk_end(struct talk *t, int code, bool say)
{
	ctlclient_close(t->c);
	if (code != 0 && say)
		fprintf(stderr, "carpctl: %s\n", t->why);
	return (code);
}

static void *
grow(void *array, size_t n, size_t size)
{
	if ((array = reallocarray(array, n + 1, size)) == NULL)
		err(EXIT_REFUSED, NULL);
	return (array);
}

/* One reply into a.  -1: it makes no sense here. */
static int
take(struct sync_answer *a, const struct imsg *im)
{
	const struct sync_show		*s = im->data;
	const struct sync_counter	*c = im->data;

	switch (im->type) {
	case PMSG_CTL_SYNC:
		if (!PUT_IS_TEXT(s->syncdev) || !PUT_IS_TEXT(s->hold_reason))
			return (-1);
		a->s = *s;
		a->complete = true;
		return (0);
	case PMSG_CTL_PEER:
		a->peers = grow(a->peers, a->npeers, sizeof(*a->peers));
		memcpy(&a->peers[a->npeers++], im->data, sizeof(*a->peers));
		return (0);
	case PMSG_CTL_STRANGER:
		a->strangers = grow(a->strangers, a->nstrangers,
		    sizeof(*a->strangers));
		memcpy(&a->strangers[a->nstrangers++], im->data,
		    sizeof(*a->strangers));
		return (0);
	case PMSG_CTL_COUNTER:
		if (!PUT_IS_TEXT(c->name))
			return (-1);
		a->counters = grow(a->counters, a->ncounters, sizeof(*c));
		a->counters[a->ncounters++] = *c;
		return (0);
	default:
		return (-1);
	}
}

static int
gather(struct talk *t, struct sync_answer *a)
{
	struct imsg	 im;
	int		 code;

	memset(a, 0, sizeof(*a));
	if ((code = talk_ask(t, PMSG_CTL_SHOW)) != 0)
		return (code);
	for (;;) {
		if ((code = talk_next(t, &im)) != 0)
			return (code);
		if (im.type == PMSG_CTL_END)
			return (a->complete ? 0 :
			    unreachable(t, "answer not understood"));
		if (take(a, &im) == -1)
			return (unreachable(t, "answer not understood"));
	}
}

static void
answer_free(struct sync_answer *a)
{
	free(a->peers);
	free(a->strangers);
	free(a->counters);
}

/* ---- words ---- */

static const char *
dialect_name(unsigned int d)
{
	static const char *const names[DIALECT_MAX] = {
		[DIALECT_NATIVE] = "native",
		[DIALECT_OPENBSD] = "openbsd",
		[DIALECT_FREEBSD_1301] = "freebsd-1301",
		[DIALECT_FREEBSD_1400] = "freebsd-1400",
		[DIALECT_FREEBSD_1500] = "freebsd-1500"
	};

	return (d < DIALECT_MAX ? names[d] : "?");
}

static const char *
bulk_name(const struct sync_show *s)
{
	return (s->bulk < SYNC_BULK_MAX ? sync_bulk_names[s->bulk] : "?");
}

static const char *
why_name(const struct sync_stranger *s)
{
	return (s->why < SYNC_WHY_MAX ? sync_why_names[s->why] : "?");
}

static const char *
policy_name(const struct sync_show *s)
{
	return (s->auth < AUTH_POLICIES ? auth_policy_names[s->auth] : "?");
}

static const char *
address(const struct ipaddr *a, char *buf, size_t len)
{
	return (a->af == 0 ? "-" : ipaddr_print(a, buf, len));
}

/* Only our own nodes say what they have, so that it can be compared. */
static const char *
peer_state(const struct sync_peer_info *p)
{
	if (!p->alive)
		return ("silent");
	if (p->starting)
		return ("starting");
	if (p->dialect != DIALECT_NATIVE)
		return ("heard");
	return (p->in_sync ? "in sync" : "repairing");
}

struct tally {
	unsigned int	 native, in_sync, other;	/* peers that live */
};

static struct tally
count(const struct sync_answer *a)
{
	struct tally	 n = { 0, 0, 0 };
	size_t		 i;

	for (i = 0; i < a->npeers; i++) {
		if (!a->peers[i].alive)
			continue;
		if (a->peers[i].dialect != DIALECT_NATIVE)
			n.other++;
		else {
			n.native++;
			n.in_sync += a->peers[i].in_sync != 0;
		}
	}
	return (n);
}

/* What a peer says is known here, but our kernel does not have all of it. */
static bool
lacking(const struct sync_answer *a)
{
	return (a->s.states_missing > 0 || a->s.full);
}

static bool
all_in_sync(const struct sync_answer *a)
{
	const struct tally	 n = count(a);

	return (n.native > 0 && n.in_sync == n.native && !lacking(a));
}

static void
print_peers_heard(const struct sync_answer *a, FILE *f)
{
	const struct tally	 n = count(a);

	if (n.native + n.other == 0)
		fputs("no peer heard", f);
	if (n.native > 0 && lacking(a))
		fprintf(f, "states missing in the kernel%s, otherwise ",
		    a->s.full ? ", whose table is full" : "");
	if (n.native > 0 && n.in_sync == n.native)
		fprintf(f, "in sync with %u peer%s", n.native,
		    n.native == 1 ? "" : "s");
	else if (n.native > 0)
		fprintf(f, "in sync with %u of %u peer%s", n.in_sync,
		    n.native, n.native == 1 ? "" : "s");
	if (n.other > 0)
		fprintf(f, "%shears %u pfsync(4) peer%s",
		    n.native > 0 ? ", " : "", n.other,
		    n.other == 1 ? "" : "s");
}

static void
print_ms(uint64_t us, FILE *f)
{
	fprintf(f, "%" PRIu64 ".%03u ms", us / 1000,
	    (unsigned int)(us % 1000));
}

/* "running, 4500 of 10000 (45%), 3s left" */
static void
print_bulk(const struct sync_show *s, FILE *f)
{
	char	 left[PUT_TIME_STRLEN];

	fputs(bulk_name(s), f);
	if (s->bulk_want != 0)
		fprintf(f, ", %" PRIu64 " of %" PRIu64 " (%.0f%%)",
		    s->bulk_have, s->bulk_want,
		    100.0 * (double)s->bulk_have / (double)s->bulk_want);
	if (s->bulk == SYNC_BULK_RUNNING && s->bulk_eta_ms != UNKNOWN)
		fprintf(f, ", %s left", put_duration(s->bulk_eta_ms / 1000 +
		    (s->bulk_eta_ms % 1000 != 0), left, sizeof(left)));
}

/* ---- text ---- */

static void
text_head(const struct sync_answer *a, FILE *f)
{
	const struct sync_show	*s = &a->s;
	char			 buf[IPADDR_STRLEN], up[PUT_TIME_STRLEN];
	unsigned int		 d;

	fprintf(f, "pfsyncd: node %08" PRIx32 ", up %s, dialect", s->node,
	    put_duration(s->uptime_ms / 1000, up, sizeof(up)));
	for (d = 0; d < DIALECT_MAX; d++)
		if ((s->dialects & 1U << d) != 0)
			fprintf(f, " %s", dialect_name(d));
	if (s->auth != AUTH_OFF)
		fprintf(f, ", auth %s key %u", policy_name(s), s->keyid);
	fprintf(f, "\n\tpfsync: syncdev %s%s syncpeer %s maxupd %" PRIu32
	    "\n\tstatus: ", s->syncdev, s->link ? "" : " (no link)",
	    address(&s->syncpeer, buf, sizeof(buf)), s->maxupd);
	print_peers_heard(a, f);
	fputc('\n', f);
}

/* Of interest when they are not alike. */
static void
text_mtu(const struct sync_answer *a, FILE *f)
{
	const struct sync_peer_info	*p;
	char				 buf[IPADDR_STRLEN];
	size_t				 i;

	for (i = 0; i < a->npeers; i++) {
		p = &a->peers[i];
		if (p->alive && p->mtu != 0 && a->s.mtu != 0 &&
		    p->mtu != a->s.mtu)
			fprintf(f, "\tmtu: %" PRIu32 " here, %" PRIu32
			    " at %s: the smaller one is used\n", a->s.mtu,
			    p->mtu, address(&p->addr, buf, sizeof(buf)));
	}
}

static void
text_states(const struct sync_show *s, FILE *f)
{
	fprintf(f, "\tstates: local %" PRIu64 " remote %" PRIu64 " young %"
	    PRIu64 " missing %" PRIu64 " ended %" PRIu64 "\n",
	    s->states_local, s->states_remote, s->states_young,
	    s->states_missing, s->states_ended);
	fprintf(f, "\tkernel: %" PRIu64 " of %" PRIu64 " entries%s\n",
	    s->kernel_count, s->kernel_max, s->full ? ", full" : "");
	fprintf(f, "\tmemory: %.1f MiB\n",
	    (double)s->memory / (1024 * 1024));
}

static void
text_progress(const struct sync_show *s, FILE *f)
{
	fputs("\tlag: ", f);
	print_ms(s->lag_us, f);
	fputs(", at most ", f);
	print_ms(s->lag_max_us, f);
	fprintf(f, " in 10 s\n\tqueues: %" PRIu64 " to be sent, %" PRIu64
	    " for the kernel\n\tdiffering: %" PRIu64 " buckets\n\tbulk: ",
	    s->tx_queue, s->op_queue, s->mismatching);
	print_bulk(s, f);
	fputc('\n', f);
}

static void
text_carpd(const struct sync_show *s, FILE *f)
{
	fprintf(f, "\tcarpd: %s", s->carp ? "connected" : "not connected");
	if (s->carp)
		fprintf(f, ", MASTER of %u", s->masters);
	if (s->splits > 0)
		fprintf(f, " (SPLIT: %" PRIu32 " of them elsewhere, too)",
		    s->splits);
	if (s->holding)
		fprintf(f, ", demoted by us (%s)", s->hold_reason);
	fputc('\n', f);
}

static void
text_peer(const struct sync_peer_info *p, FILE *f)
{
	char	 buf[IPADDR_STRLEN], heard[32];
	char	 auth[PUT_AUTH_STRLEN];

	snprintf(heard, sizeof(heard), "%" PRIu64 ".%03us ago",
	    p->heard_ms / 1000, (unsigned int)(p->heard_ms % 1000));
	fprintf(f, "%08" PRIx32 " %-24s %-12s %-9s %-18s %9" PRIu64 " %9"
	    PRIu64 " %6" PRIu64 " %5" PRIu64 ".%03u %9" PRIu64 " %6" PRIu64
	    " %s\n", p->node, address(&p->addr, buf, sizeof(buf)),
	    dialect_name(p->dialect), peer_state(p),
	    put_auth(p->auth, p->keyid, p->sealed, auth), p->carries, p->have,
	    p->mismatching, p->lag_us / 1000,
	    (unsigned int)(p->lag_us % 1000), p->packets, p->lost,
	    p->heard_ms == UNKNOWN ? "-" : heard);
}

static void
text_peers(const struct sync_answer *a, FILE *f)
{
	size_t	 i;

	if (a->npeers == 0)
		return;
	fprintf(f, "%-8s %-24s %-12s %-9s %-18s %9s %9s %6s %9s %9s %6s %s\n",
	    "NODE", "ADDRESS", "DIALECT", "STATE", "AUTH", "CARRIES", "HAVE",
	    "DIFFER", "LAG MS", "PACKETS", "LOST", "LAST HEARD");
	for (i = 0; i < a->npeers; i++)
		text_peer(&a->peers[i], f);
}

static void
text_strangers(const struct sync_answer *a, FILE *f)
{
	const struct sync_stranger	*s;
	char				 buf[IPADDR_STRLEN];
	size_t				 i;

	for (i = 0; i < a->nstrangers; i++) {
		s = &a->strangers[i];
		fprintf(f, "not taken: %s: %s, %" PRIu64 " packet%s, last "
		    "heard %" PRIu64 ".%03us ago\n",
		    address(&s->addr, buf, sizeof(buf)), why_name(s),
		    s->packets, s->packets == 1 ? "" : "s",
		    s->heard_ms / 1000, (unsigned int)(s->heard_ms % 1000));
	}
}

/* Most of them are 0 for ever; JSON has all. */
static void
text_counters(const struct sync_answer *a, FILE *f)
{
	size_t	 i;

	for (i = 0; i < a->ncounters; i++)
		if (a->counters[i].value != 0)
			fprintf(f, "%-20s %" PRIu64 "\n", a->counters[i].name,
			    a->counters[i].value);
}

static void
show_text(const struct sync_answer *a, FILE *f)
{
	text_head(a, f);
	text_mtu(a, f);
	text_states(&a->s, f);
	text_progress(&a->s, f);
	text_carpd(&a->s, f);
	text_peers(a, f);
	text_strangers(a, f);
	text_counters(a, f);
}

static void
show_line(const struct sync_answer *a, FILE *f)
{
	const struct sync_show	*s = &a->s;

	fprintf(f, "pfsync: %s%s, ", s->syncdev, s->link ? "" : " (no link)");
	print_peers_heard(a, f);
	if (a->nstrangers > 0)
		fprintf(f, ", %zu not taken", a->nstrangers);
	fprintf(f, ", states local %" PRIu64 " remote %" PRIu64,
	    s->states_local, s->states_remote);
	if (count(a).native > 0) {
		fputs(", lag ", f);
		print_ms(s->lag_us, f);
	}
	if (s->bulk == SYNC_BULK_WAIT || s->bulk == SYNC_BULK_RUNNING ||
	    s->bulk == SYNC_BULK_FAILED) {
		fputs(", bulk ", f);
		print_bulk(s, f);
	}
	if (s->holding)
		fprintf(f, ", demotes carp (%s)", s->hold_reason);
	fputc('\n', f);
}

/* ---- JSON ---- */

static void
put_ms(json_t *o, const char *key, uint64_t us)
{
	put_new(o, key, json_real((double)us / 1000));
}

static void
put_known(json_t *o, const char *key, uint64_t n)
{
	if (n == UNKNOWN)
		put_new(o, key, json_null());
	else
		put_u64(o, key, n);
}

static void
json_self(json_t *o, const struct sync_show *s)
{
	json_t		*list;
	unsigned int	 d;

	put_node(o, "node", s->node);
	put_time(o, "now", s->now * 1000);
	put_u64(o, "uptime_ms", s->uptime_ms);
	put_str(o, "syncdev", s->syncdev);
	put_addr(o, "syncpeer", &s->syncpeer);
	put_bool(o, "link", s->link);
	put_known(o, "mtu", s->mtu == 0 ? UNKNOWN : s->mtu);
	put_int(o, "maxupd", s->maxupd);
	list = put_array(o, "dialects");
	for (d = 0; d < DIALECT_MAX; d++)
		if ((s->dialects & 1U << d) != 0)
			put_append_str(list, dialect_name(d));
	put_bool(o, "authenticated", s->auth != AUTH_OFF);
	put_str(o, "auth", policy_name(s));
	put_known(o, "key", s->auth == AUTH_OFF ? UNKNOWN : s->keyid);
	put_bool(o, "carpd", s->carp);
	put_int(o, "masters", s->masters);
	put_int(o, "split", s->splits);
	put_bool(o, "holding", s->holding);
	if (s->holding)
		put_str(o, "hold_reason", s->hold_reason);
	else
		put_new(o, "hold_reason", json_null());
}

static void
json_peer(json_t *o, const struct sync_peer_info *p)
{
	put_node(o, "node", p->node);
	put_addr(o, "address", &p->addr);
	put_known(o, "mtu", p->mtu == 0 ? UNKNOWN : p->mtu);
	put_str(o, "dialect", dialect_name(p->dialect));
	put_str(o, "state", peer_state(p));
	put_bool(o, "alive", p->alive);
	put_bool(o, "in_sync", p->in_sync);
	put_bool(o, "starting", p->starting);
	put_bool(o, "verified", p->auth == AUTH_PROVEN);
	put_auth_json(o, p->auth, p->keyid);
	put_bool(o, "encrypted", p->sealed);
	put_known(o, "heard_ms", p->heard_ms);
	put_known(o, "since_sync_ms", p->since_sync_ms);
	put_u64(o, "carries", p->carries);
	put_u64(o, "have", p->have);
	put_u64(o, "mismatching", p->mismatching);
	put_u64(o, "packets", p->packets);
	put_u64(o, "lost", p->lost);
	put_ms(o, "lag_ms", p->lag_us);
}

static void
json_stranger(json_t *o, const struct sync_stranger *s)
{
	put_addr(o, "address", &s->addr);
	put_str(o, "why", why_name(s));
	put_u64(o, "packets", s->packets);
	put_u64(o, "heard_ms", s->heard_ms);
}

static void
json_progress(json_t *root, const struct sync_show *s)
{
	json_t	*o;

	o = put_object(root, "states");
	put_u64(o, "local", s->states_local);
	put_u64(o, "remote", s->states_remote);
	put_u64(o, "young", s->states_young);
	put_u64(o, "missing", s->states_missing);
	put_u64(o, "ended", s->states_ended);
	put_ms(root, "lag_ms", s->lag_us);
	put_ms(root, "lag_max_ms", s->lag_max_us);
	put_u64(root, "mismatching", s->mismatching);
	o = put_object(root, "queues");
	put_u64(o, "send", s->tx_queue);
	put_u64(o, "kernel", s->op_queue);
	o = put_object(root, "kernel");
	put_u64(o, "count", s->kernel_count);
	put_u64(o, "max", s->kernel_max);
	put_bool(o, "full", s->full);
	put_u64(root, "memory", s->memory);
	o = put_object(root, "bulk");
	put_str(o, "state", bulk_name(s));
	put_u64(o, "have", s->bulk_have);
	put_u64(o, "want", s->bulk_want);
	put_known(o, "eta_ms", s->bulk == SYNC_BULK_RUNNING ?
	    s->bulk_eta_ms : UNKNOWN);
}

static void
show_json(const struct sync_answer *a, FILE *f)
{
	json_t	*root = put_must(json_object()), *list, *o;
	size_t	 i;

	put_int(root, "schema", PUT_SCHEMA);
	json_self(root, &a->s);
	put_bool(root, "in_sync", all_in_sync(a));
	list = put_array(root, "peers");
	for (i = 0; i < a->npeers; i++)
		json_peer(put_append(list), &a->peers[i]);
	list = put_array(root, "not_taken");
	for (i = 0; i < a->nstrangers; i++)
		json_stranger(put_append(list), &a->strangers[i]);
	json_progress(root, &a->s);
	o = put_object(root, "counters");
	for (i = 0; i < a->ncounters; i++)
		put_u64(o, a->counters[i].name, a->counters[i].value);
	/* microseconds are exact in 15 digits, and read as they are meant */
	if (json_dumpf(root, f, JSON_COMPACT | JSON_REAL_PRECISION(15)) == -1)
		errx(EXIT_REFUSED, "JSON: cannot be written");
	fputc('\n', f);
	json_decref(root);
}

/* ---- commands ---- */

int
sync_show(const char *path, bool json)
{
	struct talk	 t = { .path = path, .ms = WAIT_MS };
	struct sync_answer	 a;
	int		 code;

	if ((code = gather(&t, &a)) == 0)
		(json ? show_json : show_text)(&a, stdout);
	answer_free(&a);
	return (talk_end(&t, code, true));
}

int
sync_line(const char *path, bool must)
{
	struct talk	 t = { .path = path,
			    .ms = must ? WAIT_MS : WAIT_LINE_MS };
	struct sync_answer	 a;
	int		 code;

	if ((code = gather(&t, &a)) == 0)
		show_line(&a, stdout);
	answer_free(&a);
	code = talk_end(&t, code, must);
	return (must ? code : 0);
}

int
sync_diagnose(const char *path, bool must, const struct ipaddr *heard,
    struct sync_facts *facts, struct findings *all)
{
	struct talk	 t = { .path = path, .ms = WAIT_MS };
	struct sync_answer a;
	int		 code;

	memset(facts, 0, sizeof(*facts));
	if ((code = gather(&t, &a)) == 0)
		diagnose_sync(&a, heard, facts, all);
	answer_free(&a);
	must = must || code == EXIT_REFUSED || t.c != NULL;
	code = talk_end(&t, code, must);
	return (must ? code : 0);
}

static int
command(const char *path, enum pfsyncd_msg type)
{
	struct talk	 t = { .path = path, .ms = WAIT_MS };
	struct imsg	 im;
	int		 code;

	if ((code = talk_ask(&t, type)) == 0 &&
	    (code = talk_next(&t, &im)) == 0 && im.type != PMSG_CTL_OK)
		code = unreachable(&t, "answer not understood");
	return (talk_end(&t, code, true));
}

int
sync_now(const char *path)
{
	return (command(path, PMSG_CTL_NOW));
}

int
sync_flush(const char *path)
{
	return (command(path, PMSG_CTL_FLUSH));
}
