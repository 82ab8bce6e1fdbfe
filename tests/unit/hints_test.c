/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * The hint file: what was written is found again by the next run, and nothing
 * is believed that is of another boot or node, torn, or no hint file at all.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../pfsyncd/hints.h"

#define BOOT	0x11223344U
#define NODE	0x55667788U

static int
new_file(void)
{
	int fd = memfd_create("hints_test", 0);

	ck_assert_int_ne(fd, -1);
	return (fd);
}

static uint64_t
hash_of(uint32_t i)
{
	return ((i + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* n entries, each third one cleared again; returns a second descriptor. */
static int
write_file(uint32_t n)
{
	int fd = new_file(), second = dup(fd);
	struct hints *h = hints_new(fd, BOOT, NODE);
	uint32_t i;

	ck_assert(hints_reserve(h, n));
	for (i = 0; i < n; i++)
		hints_set(h, i, hash_of(i), 1000 + i, i % 2 ? NODE : 7, i * 3);
	for (i = 0; i < n; i += 3)
		hints_clear(h, i);
	hints_free(h);
	return (second);
}

START_TEST(found_again)
{
	const uint32_t n = 200000;	/* several pieces */
	struct repl_hint hint;
	struct hints_old *o;
	uint32_t i;

	o = hints_load(write_file(n), BOOT, NODE);
	ck_assert_ptr_nonnull(o);
	for (i = 0; i < n; i++) {
		if (i % 3 == 0) {
			ck_assert(!hints_find(hash_of(i), &hint, o));
			continue;
		}
		ck_assert(hints_find(hash_of(i), &hint, o));
		ck_assert_uint_eq(hint.carrier, i % 2 ? NODE : 7);
		ck_assert_uint_eq(hint.stamp, 1000 + i);
		ck_assert_uint_eq(hint.value, i * 3);
	}
	ck_assert(!hints_find(UINT64_C(0x1234567), &hint, o));
	hints_old_free(o);
}
END_TEST

/* Which boot each carrier had; the ones noted last, when there are many. */
START_TEST(boots)
{
	int fd = new_file(), second = dup(fd);
	struct hints *h = hints_new(fd, BOOT, NODE);
	struct repl_hint hint;
	struct hints_old *o;
	uint32_t i, node, boot;

	ck_assert(hints_reserve(h, 100));
	for (i = 0; i < 40; i++)
		hints_set(h, i, hash_of(i), 1, 100 + i, 2);
	hints_boot(h, 100, 5);
	hints_boot(h, 101, 6);
	hints_boot(h, 100, 7);
	hints_boot(h, 0, 8);
	o = hints_load(dup(second), BOOT, NODE);
	ck_assert(hints_node(o, 0, &node, &boot));
	ck_assert(node == 100 && boot == 7);
	ck_assert(hints_node(o, 1, &node, &boot));
	ck_assert(node == 101 && boot == 6);
	ck_assert(!hints_node(o, 2, &node, &boot));
	for (i = 0; i < 3; i++) {
		ck_assert(hints_find(hash_of(i), &hint, o));
		ck_assert_int_eq(hint.booted, i < 2);
		ck_assert_uint_eq(hint.boot, i == 0 ? 7 : i == 1 ? 6 : 0);
	}
	hints_old_free(o);
	for (i = 0; i < 40; i++)
		hints_boot(h, 100 + i, i);
	hints_free(h);
	o = hints_load(second, BOOT, NODE);
	for (i = 24; i < 40; i++) {
		ck_assert(hints_find(hash_of(i), &hint, o));
		ck_assert(hint.booted);
		ck_assert_uint_eq(hint.boot, i);
	}
	hints_old_free(o);
}
END_TEST

START_TEST(not_believed)
{
	const uint64_t before = UINT64_C(0x706673796e633031);
	int fd;

	ck_assert_ptr_null(hints_load(write_file(10), BOOT + 1, NODE));
	ck_assert_ptr_null(hints_load(write_file(10), BOOT, NODE + 1));
	ck_assert_ptr_null(hints_load(write_file(0), BOOT, NODE));
	ck_assert_ptr_null(hints_load(new_file(), BOOT, NODE));
	fd = write_file(10);
	ck_assert_int_eq(ftruncate(fd, 4095), 0);
	ck_assert_ptr_null(hints_load(fd, BOOT, NODE));
	fd = write_file(10);
	ck_assert_int_eq(pwrite(fd, "rubbish!", 8, 0), 8);
	ck_assert_ptr_null(hints_load(fd, BOOT, NODE));
	fd = write_file(10);		/* the format before this one */
	ck_assert_int_eq(pwrite(fd, &before, sizeof(before), 0), 8);
	ck_assert_ptr_null(hints_load(fd, BOOT, NODE));
}
END_TEST

/* A file that ends in the middle of a record is read up to there. */
START_TEST(torn)
{
	struct repl_hint hint;
	struct hints_old *o;
	int fd = write_file(100);

	ck_assert_int_eq(ftruncate(fd, 4096 + 24 * 50 + 11), 0);
	o = hints_load(fd, BOOT, NODE);
	ck_assert_ptr_nonnull(o);
	ck_assert(hints_find(hash_of(49), &hint, o));
	ck_assert(!hints_find(hash_of(50), &hint, o));
	hints_old_free(o);
}
END_TEST

/* Without a file, and beyond what was reserved, nothing happens. */
START_TEST(none)
{
	struct hints *h = hints_new(-1, BOOT, NODE);

	ck_assert(!hints_reserve(h, 10));
	hints_set(h, 3, 1, 2, 3, 4);
	hints_clear(h, 3);
	hints_free(h);
	h = hints_new(new_file(), BOOT, NODE);
	ck_assert(hints_reserve(h, 10));
	hints_set(h, 10000000, 1, 2, 3, 4);
	hints_free(h);
}
END_TEST

/* No room for another piece: nothing is kept, and nobody dies of it. */
START_TEST(full)
{
	int fd = memfd_create("hints_test", MFD_ALLOW_SEALING), second;
	struct hints *h;

	ck_assert_int_ne(fd, -1);
	second = dup(fd);
	h = hints_new(fd, BOOT, NODE);
	ck_assert(hints_reserve(h, 10));
	hints_set(h, 3, 1, 2, 3, 4);
	ck_assert_int_eq(fcntl(second, F_ADD_SEALS, F_SEAL_GROW), 0);
	ck_assert(hints_reserve(h, 10));
	ck_assert(!hints_reserve(h, 100000));
	hints_set(h, 3, 1, 2, 3, 4);
	hints_clear(h, 3);
	ck_assert(!hints_reserve(h, 10));
	hints_free(h);
	ck_assert_ptr_null(hints_load(second, BOOT, NODE));
}
END_TEST

/* Not even for the head: no hole is left, which nobody could read later. */
START_TEST(full_from_the_start)
{
	int fd = memfd_create("hints_test", MFD_ALLOW_SEALING), second;
	struct hints *h;
	struct stat st;

	ck_assert_int_ne(fd, -1);
	second = dup(fd);
	ck_assert_int_eq(fcntl(second, F_ADD_SEALS, F_SEAL_WRITE), 0);
	h = hints_new(fd, BOOT, NODE);
	ck_assert(!hints_reserve(h, 10));
	hints_free(h);
	ck_assert_int_eq(fstat(second, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	close(second);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hints");
	TCase *tc = tcase_create("hints");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, found_again);
	tcase_add_test(tc, boots);
	tcase_add_test(tc, not_believed);
	tcase_add_test(tc, torn);
	tcase_add_test(tc, none);
	tcase_add_test(tc, full);
	tcase_add_test(tc, full_from_the_start);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
