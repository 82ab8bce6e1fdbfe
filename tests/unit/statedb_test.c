/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * pfsyncd/statedb: random operations beside a plain array (the seed is
 * printed; STATEDB_SEED repeats a run), clusters that overflow their bucket
 * and wrap round, limits, and a million entries once, which prints what they
 * cost.
 */
#include <sys/resource.h>
#include <sys/wait.h>
#include <netinet/in.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../pfsyncd/statedb.h"
#include "skip.h"

#define MILLION		1000000U

/* Check writes a file at each of its assertions: not in long loops. */
#define MUST(cond) do {							\
	if (!(cond))							\
		ck_abort_msg("%s", #cond);				\
} while (0)

static const uint8_t	 key[16] = "statedb test key";
static uint64_t		 rnd_state;

/* splitmix64 */
static uint64_t
rnd(void)
{
	uint64_t	 z = (rnd_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31);
}

static uint32_t
rnd_below(uint32_t n)
{
	return ((uint32_t)(rnd() % n));
}

/* Flow number n; all differ. */
static void
make(uint32_t n, struct flow *f)
{
	memset(f, 0, sizeof(*f));
	f->af = 4;
	f->proto = IPPROTO_UDP;
	f->timeout = 30;
	f->orig.src[0] = 10;
	memcpy(f->orig.src + 1, &n, 3);
	f->orig.dst[0] = 192;
	f->orig.dst[3] = (uint8_t)(n >> 24);
	f->orig.sport = 1000;
	f->orig.dport = 53;
	flow_invert(&f->orig, f->proto, &f->reply);
}

static void
consistent(const struct statedb *db)
{
	const char	*why = statedb_check(db);

	ck_assert_msg(why == NULL, "%s", why);
}

/* ---- the model ---- */

#define MODEL_MAX	60000U

struct model {
	uint64_t	 h;
	uint64_t	 stamp;
	uint32_t	 i;		/* STATEDB_NONE: not there */
	uint8_t		 carrier;
	bool		 counted;
};

static struct model	 model[MODEL_MAX];

/* How hashes are spread. */
enum spread { UNIFORM, ONE_BUCKET, LAST_BUCKETS, EQUAL_TAGS, SPREAD_MAX };

static const struct {
	uint32_t	 flows;
	int		 steps;
} sizes[SPREAD_MAX] = {
	[UNIFORM] = { MODEL_MAX, 300000 },
	[ONE_BUCKET] = { 400, 20000 },
	[LAST_BUCKETS] = { 600, 30000 },
	[EQUAL_TAGS] = { 300, 10000 },
};

static uint64_t
spread_hash(enum spread s)
{
	uint64_t	 r = rnd();

	switch (s) {
	case ONE_BUCKET:
		return (r >> 12 | 0x123ULL << 52);
	case LAST_BUCKETS:	/* overflows into the first ones */
		return (r >> 11 | 0x7feULL << 53);
	case EQUAL_TAGS:	/* the last positions, one tag for several */
		return (r >> 32 | 0xfffffff0ULL << 32 | (r & 7) << 32);
	default:
		return (r);
	}
}

static void
model_init(const struct statedb *db, enum spread s, uint32_t flows)
{
	struct flow	 f;
	uint32_t	 n;

	for (n = 0; n < flows; n++) {
		make(n, &f);
		memset(&model[n], 0, sizeof(model[n]));
		model[n].i = STATEDB_NONE;
		model[n].h = s == UNIFORM ? statedb_hash(db, &f) :
		    spread_hash(s);
	}
}

static void
model_add(struct statedb *db, uint32_t n)
{
	struct model		*m = &model[n];
	struct statedb_entry	*e;
	struct flow		 f;

	make(n, &f);
	if (m->i != STATEDB_NONE) {
		MUST(statedb_find(db, &f, m->h) == m->i);
		MUST(statedb_add(db, &f, m->h) == STATEDB_NONE);
		return;
	}
	MUST(statedb_find(db, &f, m->h) == STATEDB_NONE);
	m->i = statedb_add(db, &f, m->h);
	MUST(m->i != STATEDB_NONE);
	MUST(m->i < statedb_top(db));
	e = statedb_at(db, m->i);
	MUST(memcmp(&e->f, &f, sizeof(f)) == 0);
	MUST(e->h == m->h);
	MUST(e->flags == STATEDB_F_USED);
	MUST(e->txnext == STATEDB_NONE);
	MUST(e->opnext == STATEDB_NONE);
	MUST((e->stamp | e->ctid | e->deadline | e->told | e->carrier |
	    e->creator | e->seen | e->life | e->strikes | e->ops |
	    e->opsec) == 0);
	/* What others do with it must not matter to the next one. */
	memset(&e->ctid, 0xee, offsetof(struct statedb_entry, flags) -
	    offsetof(struct statedb_entry, ctid));
	e->flags |= 0x7f00;
	e->creator = e->seen = e->life = e->strikes = e->ops = 0xff;
	e->opsec = UINT32_MAX;
	m->stamp = e->stamp = rnd();
	m->carrier = e->carrier = (uint8_t)rnd_below(3) * 7;
	m->counted = false;
}

static void
model_count(struct statedb *db, uint32_t n)
{
	struct model	*m = &model[n];

	if (m->i == STATEDB_NONE)
		return;
	if (m->counted)
		statedb_count_out(db, m->i);
	else
		statedb_count_in(db, m->i);
	m->counted = !m->counted;
	MUST(!(statedb_at(db, m->i)->flags & STATEDB_F_COUNTED) ==
	    !m->counted);
}

static void
model_del(struct statedb *db, uint32_t n)
{
	struct model	*m = &model[n];
	struct flow	 f;

	if (m->i == STATEDB_NONE)
		return;
	if (m->counted)
		model_count(db, n);
	statedb_del(db, m->i);
	MUST(!statedb_used(db, m->i));
	m->i = STATEDB_NONE;
	make(n, &f);
	MUST(statedb_find(db, &f, m->h) == STATEDB_NONE);
	MUST(statedb_find_hash(db, m->h) == STATEDB_NONE);
}

static void
model_step(struct statedb *db, uint32_t flows, uint32_t bias)
{
	uint32_t	 n = rnd_below(flows), what = rnd_below(8);

	if (what < bias)
		model_add(db, n);
	else if (what < 6)
		model_del(db, n);
	else
		model_count(db, n);
}

/* ---- the model beside the database ---- */

static uint8_t	 seen[MODEL_MAX];

/* Each bucket as asked for in pieces has all of its entries, once. */
static void
same_buckets(struct statedb *db, uint32_t flows)
{
	uint32_t	 out[8], pos, total = 0;
	size_t		 n, k, max;
	unsigned int	 b;
	bool		 more;

	MUST(statedb_top(db) <= sizeof(seen));
	memset(seen, 0, sizeof(seen));
	for (b = 0; b < STATEDB_BUCKETS; b++) {
		pos = 0;
		max = 1 + b % 8;
		do {
			n = statedb_bucket(db, b, out, max, &pos, &more);
			MUST(n == max || !more);
			for (k = 0; k < n; k++) {
				MUST(statedb_at(db, out[k])->h >> 52 == b);
				MUST(seen[out[k]]++ == 0);
			}
			total += (uint32_t)n;
		} while (more);
	}
	MUST(total == statedb_count(db));
	for (k = 0; k < flows; k++)
		if (model[k].i != STATEDB_NONE)
			MUST(seen[model[k].i] == 1);
}

static void
same_sums(struct statedb *db, uint32_t flows)
{
	static struct statedb_sums	 want[STATEDB_CARRIERS];
	const struct statedb_sums	*s;
	uint64_t			 mix;
	uint32_t			 n;
	uint8_t				 c;

	memset(want, 0, sizeof(want));
	for (n = 0; n < flows; n++) {
		if (model[n].i == STATEDB_NONE || !model[n].counted)
			continue;
		c = model[n].carrier;
		mix = statedb_mix(model[n].h, model[n].stamp);
		want[c].all += mix;
		want[c].count++;
		want[c].group[model[n].h >> 58] += mix;
		want[c].bucket[model[n].h >> 52] += mix;
		want[c].bcount[model[n].h >> 52]++;
	}
	for (c = 0; c < STATEDB_CARRIERS; c++) {
		s = statedb_sums(db, c);
		MUST(s->all == want[c].all);
		MUST(s->count == want[c].count);
		ck_assert_mem_eq(s->group, want[c].group, sizeof(s->group));
		ck_assert_mem_eq(s->bucket, want[c].bucket,
		    sizeof(s->bucket));
		ck_assert_mem_eq(s->bcount, want[c].bcount,
		    sizeof(s->bcount));
	}
}

static void
same(struct statedb *db, uint32_t flows)
{
	struct flow	 f;
	uint32_t	 n, count = 0;

	for (n = 0; n < flows; n++) {
		make(n, &f);
		MUST(statedb_find(db, &f, model[n].h) == model[n].i);
		MUST(statedb_find_hash(db, model[n].h) == model[n].i);
		count += model[n].i != STATEDB_NONE;
	}
	MUST(count == statedb_count(db));
	consistent(db);
	same_sums(db, flows);
	same_buckets(db, flows);
}

START_TEST(random_ops)
{
	struct statedb	*db = statedb_new(key);
	uint32_t	 flows = sizes[_i].flows;
	int		 i, steps = sizes[_i].steps;

	model_init(db, (enum spread)_i, flows);
	for (i = 0; i < steps; i++) {
		if (i % 1000 == 0)
			ck_assert_int_eq(statedb_reserve(db), 0);
		/* mostly growing, then mostly shrinking */
		model_step(db, flows, i < steps * 2 / 3 ? 5 : 2);
		if (i % (steps / 10) == 0)
			same(db, flows);
	}
	same(db, flows);
	for (i = 0; i < (int)flows; i++)
		model_del(db, (uint32_t)i);
	same(db, flows);
	ck_assert_uint_eq(statedb_count(db), 0);
	statedb_free(db);
}
END_TEST

/* ---- by hand ---- */

/* Two flows with one hash: the first is kept. */
START_TEST(same_hash)
{
	struct statedb	*db = statedb_new(key);
	struct flow	 a, b;
	uint32_t	 i;

	make(1, &a);
	make(2, &b);
	i = statedb_add(db, &a, 77);
	ck_assert_uint_ne(i, STATEDB_NONE);
	ck_assert_uint_eq(statedb_add(db, &b, 77), STATEDB_NONE);
	ck_assert_uint_eq(statedb_find(db, &b, 77), STATEDB_NONE);
	ck_assert_uint_eq(statedb_find(db, &a, 77), i);
	ck_assert_uint_eq(statedb_find_hash(db, 77), i);
	/* Equal upper halves only. */
	ck_assert_uint_ne(statedb_add(db, &b, 78), STATEDB_NONE);
	ck_assert_uint_ne(statedb_find(db, &b, 78), i);
	ck_assert_uint_eq(statedb_find(db, &a, 77), i);
	consistent(db);
	statedb_free(db);
	statedb_free(NULL);
}
END_TEST

START_TEST(unused)
{
	struct statedb	*db = statedb_new(key);
	struct flow	 f;
	uint32_t	 i;
	uint32_t	 out[1], pos = 0;
	bool		 more = true;

	ck_assert_uint_eq(statedb_top(db), 0);
	ck_assert(!statedb_used(db, 0));
	ck_assert(!statedb_used(db, STATEDB_NONE));
	make(1, &f);
	i = statedb_add(db, &f, statedb_hash(db, &f));
	ck_assert(statedb_used(db, i));
	ck_assert(!statedb_used(db, i + 1));
	statedb_del(db, i);
	ck_assert(!statedb_used(db, i));
	ck_assert_uint_eq(statedb_bucket(db, STATEDB_BUCKETS, out, 1, &pos,
	    &more), 0);
	ck_assert(!more);
	statedb_free(db);
}
END_TEST

/* Adds n flows from number `from` on, or what fits; returns how many. */
static uint32_t
add_some(struct statedb *db, uint32_t from, uint32_t n)
{
	struct flow	 f;
	uint32_t	 k;

	for (k = 0; k < n; k++) {
		make(from + k, &f);
		if (statedb_add(db, &f, statedb_hash(db, &f)) == STATEDB_NONE)
			break;
	}
	return (k);
}

/* Between two calls of reserve() the promised number fits, unallocated. */
START_TEST(spare)
{
	struct statedb	*db = statedb_new(key);
	uint32_t	 n = 0;
	size_t		 bytes;

	while (n < 50 * STATEDB_SPARE) {
		ck_assert_int_eq(statedb_reserve(db), 0);
		bytes = statedb_bytes(db);
		ck_assert_uint_eq(add_some(db, n, STATEDB_SPARE),
		    STATEDB_SPARE);
		ck_assert_uint_eq(statedb_bytes(db), bytes);
		n += STATEDB_SPARE;
	}
	ck_assert_uint_eq(statedb_count(db), n);
	/* Nobody reserves: it ends without harm, and goes on later. */
	n += add_some(db, n, MILLION);
	ck_assert_uint_lt(n, MILLION);
	ck_assert_uint_eq(statedb_bytes(db), bytes);
	consistent(db);
	ck_assert_int_eq(statedb_reserve(db), 0);
	ck_assert_uint_eq(add_some(db, n, 10), 10);
	consistent(db);
	statedb_free(db);
}
END_TEST

START_TEST(limit)
{
	struct statedb	*db = statedb_new(key);

	statedb_limit(db, 100);
	ck_assert_int_eq(statedb_reserve(db), 0);
	ck_assert_uint_eq(add_some(db, 0, 200), 100);
	ck_assert_int_eq(statedb_reserve(db), -1);
	ck_assert_uint_eq(add_some(db, 100, 1), 0);
	statedb_del(db, 5);
	ck_assert_int_eq(statedb_reserve(db), 0);
	ck_assert_uint_eq(add_some(db, 100, 2), 1);
	/* Lower than what is there: nothing is lost, nothing is added. */
	statedb_limit(db, 50);
	ck_assert_int_eq(statedb_reserve(db), -1);
	ck_assert_uint_eq(add_some(db, 200, 1), 0);
	ck_assert_uint_eq(statedb_count(db), 100);
	statedb_limit(db, 30000);
	ck_assert_int_eq(statedb_reserve(db), 0);
	ck_assert_uint_ge(add_some(db, 200, 5000), STATEDB_SPARE);
	statedb_limit(db, UINT32_MAX);
	ck_assert_int_eq(statedb_reserve(db), 0);
	consistent(db);
	statedb_free(db);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED	1
#endif
#endif

#ifndef SANITIZED
/* In a child: runs until memory is refused; its exit status. */
static int
starve(void)
{
	struct statedb	*db = statedb_new(key);
	struct rlimit	 rl = { 64 << 20, 64 << 20 };
	uint32_t	 n = 0, got, count;

	if (setrlimit(RLIMIT_AS, &rl) == -1)
		return (1);
	while (statedb_reserve(db) == 0) {
		got = add_some(db, n, STATEDB_SPARE);
		if (got != STATEDB_SPARE || n > MILLION)
			return (2);
		n += got;
	}
	n += add_some(db, n, MILLION);
	if (statedb_reserve(db) != -1 || add_some(db, n, 1) != 0)
		return (3);
	count = statedb_count(db);
	statedb_del(db, 7);
	if (count != n || add_some(db, n, 2) != 1)
		return (4);
	statedb_del(db, 8);
	return (statedb_count(db) == n - 1 && statedb_used(db, 9) ? 0 : 5);
}

START_TEST(no_memory)
{
	pid_t	 pid;
	int	 status;

	fflush(NULL);
	if ((pid = fork()) == 0)
		_exit(starve());
	ck_assert_int_ne(pid, -1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST
#else
START_TEST(no_memory)
{
	skip_because("AddressSanitizer needs more address space than the "
	    "limit of no_memory");
}
END_TEST
#endif

/* All nodes must agree on these for ever. */
START_TEST(mix)
{
	uint64_t	 a, b;
	int		 i;

	ck_assert_uint_eq(statedb_mix(0, 0), 0);
	ck_assert_uint_eq(statedb_mix(1, 0), 0xb456bcfc34c2cb2cULL);
	ck_assert_uint_eq(statedb_mix(0x0123456789abcdefULL, 1700000000000000),
	    0x3bcbbe0ef4438e81ULL);
	/* Swapped stamps, a bit here for a bit there: other sums. */
	for (i = 0; i < 64; i++) {
		a = statedb_mix(7, 100) + statedb_mix(8, 200);
		b = statedb_mix(7, 100 ^ 1ULL << i) +
		    statedb_mix(8, 200 ^ 1ULL << i);
		ck_assert_uint_ne(a, b);
	}
	ck_assert_uint_ne(statedb_mix(7, 100) + statedb_mix(8, 200),
	    statedb_mix(7, 200) + statedb_mix(8, 100));
}
END_TEST

/* ---- a million ---- */

static double
now_ns(void)
{
	struct timespec	 ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec);
}

/*
 * Figures are printed, not judged: the machine may be busy.  Order is random
 * enough: the hash scatters the index, and i * 7919 the entries.
 */
START_TEST(million)
{
	struct statedb	*db = statedb_new(key);
	struct flow	 f;
	uint64_t	 h;
	uint32_t	 i, k;
	double		 t[6], r, worst = 0;

	t[0] = now_ns();
	for (i = 0; i < MILLION; i++) {
		if (i % 1000 == 0) {
			r = now_ns();
			ck_assert_int_eq(statedb_reserve(db), 0);
			r = now_ns() - r;
			worst = r > worst ? r : worst;
		}
		make(i, &f);
		k = statedb_add(db, &f, statedb_hash(db, &f));
		MUST(k == i);
	}
	t[1] = now_ns();
	for (i = 0; i < MILLION; i++) {
		make((uint32_t)((uint64_t)i * 7919 % MILLION), &f);
		h = statedb_hash(db, &f);
		MUST(statedb_find(db, &f, h) != STATEDB_NONE);
	}
	t[2] = now_ns();
	for (i = 0; i < MILLION; i++) {
		make(MILLION + i, &f);
		h = statedb_hash(db, &f);
		MUST(statedb_find(db, &f, h) == STATEDB_NONE);
	}
	t[3] = now_ns();
	for (i = 0; i < MILLION; i++)
		statedb_count_in(db, i);
	t[4] = now_ns();
	consistent(db);
	ck_assert_uint_eq(statedb_sums(db, 0)->count, MILLION);
	printf("statedb: a million entries, %.1f bytes each; the longest "
	    "reserve %.1f ms\n", (double)statedb_bytes(db) / MILLION,
	    worst / 1e6);
	ck_assert_uint_lt(statedb_bytes(db) / MILLION, 204);
	for (i = 0; i < MILLION; i++)
		statedb_count_out(db, i);
	ck_assert_uint_eq(statedb_sums(db, 0)->all, 0);
	t[5] = now_ns();
	for (i = 0; i < MILLION; i++)
		statedb_del(db, (uint32_t)((uint64_t)i * 7919 % MILLION));
	r = now_ns();
	printf("statedb: ns with hash and making the flow: add %.0f, "
	    "find %.0f, miss %.0f; count_in %.0f, del %.0f\n",
	    (t[1] - t[0]) / MILLION, (t[2] - t[1]) / MILLION,
	    (t[3] - t[2]) / MILLION, (t[4] - t[3]) / MILLION,
	    (r - t[5]) / MILLION);
	ck_assert_uint_eq(statedb_count(db), 0);
	consistent(db);
	statedb_free(db);
}
END_TEST

int
main(void)
{
	Suite		*s = suite_create("statedb");
	TCase		*tc = tcase_create("statedb");
	const char	*seed = getenv("STATEDB_SEED");
	SRunner		*sr;
	int		 failed;

	rnd_state = seed != NULL ? strtoull(seed, NULL, 0) :
	    (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	printf("statedb: STATEDB_SEED=%llu\n", (unsigned long long)rnd_state);
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, same_hash);
	tcase_add_test(tc, unused);
	tcase_add_test(tc, spare);
	tcase_add_test(tc, limit);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, mix);
	tcase_add_loop_test(tc, random_ops, 0, SPREAD_MAX);
	tcase_add_test(tc, million);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
