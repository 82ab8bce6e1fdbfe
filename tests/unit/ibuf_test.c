/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/ibuf: byte order, bounds, and what happens after the first overrun.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/ibuf.h"

static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
	0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };

START_TEST(read_order)
{
	struct rbuf r;

	rbuf_init(&r, bytes, sizeof(bytes));
	ck_assert_uint_eq(rbuf_u8(&r), 0x01);
	ck_assert_uint_eq(rbuf_be16(&r), 0x0203);
	ck_assert_uint_eq(rbuf_be32(&r), 0x04050607);
	ck_assert_uint_eq(rbuf_be64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	ck_assert_uint_eq(rbuf_left(&r), 0);
	ck_assert(rbuf_ok(&r));
	ck_assert_uint_eq(rbuf_u8(&r), 0);
	ck_assert(!rbuf_ok(&r));
}
END_TEST

/* kind: 1 2 4 8 the integers, 0 bytes, 'v' view, 's' skip; all one too far. */
static const struct {
	int	 kind;
	size_t	 have;
	size_t	 want;
} overruns[] = {
	{ 1, 0, 1 }, { 2, 1, 2 }, { 4, 3, 4 }, { 8, 7, 8 }, { 0, 4, 5 },
	{ 'v', 4, 5 }, { 's', 4, 5 }, { 's', 4, SIZE_MAX },
	{ 'v', 0, SIZE_MAX },
};

static void
overrun(struct rbuf *r, int kind, size_t want)
{
	uint8_t dst[8];

	memset(dst, 0xff, sizeof(dst));
	switch (kind) {
	case 1:
		ck_assert_uint_eq(rbuf_u8(r), 0);
		break;
	case 2:
		ck_assert_uint_eq(rbuf_be16(r), 0);
		break;
	case 4:
		ck_assert_uint_eq(rbuf_be32(r), 0);
		break;
	case 8:
		ck_assert_uint_eq(rbuf_be64(r), 0);
		break;
	case 0:
		rbuf_bytes(r, dst, want);
		ck_assert_mem_eq(dst, "\0\0\0\0\0\xff\xff\xff", 8);
		break;
	case 'v':
		ck_assert_ptr_null(rbuf_view(r, want));
		break;
	case 's':
		rbuf_skip(r, want);
		break;
	}
}

START_TEST(read_overrun)
{
	uint8_t *exact;
	struct rbuf r;

	/* of exactly that size, for the address sanitizer */
	exact = malloc(overruns[_i].have + 1);
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, bytes, overruns[_i].have);
	rbuf_init(&r, exact, overruns[_i].have);
	overrun(&r, overruns[_i].kind, overruns[_i].want);
	ck_assert(!rbuf_ok(&r));
	ck_assert_uint_eq(rbuf_left(&r), 0);
	/* sticky: even what would have fitted */
	ck_assert_uint_eq(rbuf_u8(&r), 0);
	ck_assert_ptr_null(rbuf_view(&r, 0));
	free(exact);
}
END_TEST

START_TEST(read_bytes_view_skip)
{
	uint8_t dst[3];
	struct rbuf r;

	rbuf_init(&r, bytes, sizeof(bytes));
	rbuf_bytes(&r, dst, sizeof(dst));
	ck_assert_mem_eq(dst, bytes, sizeof(dst));
	rbuf_bytes(&r, NULL, 0);
	ck_assert_ptr_eq(rbuf_view(&r, 2), bytes + 3);
	rbuf_skip(&r, 4);
	ck_assert_uint_eq(rbuf_u8(&r), 0x0a);
	ck_assert_uint_eq(rbuf_left(&r), 5);
	ck_assert(rbuf_ok(&r));
}
END_TEST

START_TEST(read_nothing)
{
	struct rbuf r;

	rbuf_init(&r, NULL, 0);
	ck_assert_ptr_null(rbuf_view(&r, 0));
	rbuf_bytes(&r, NULL, 0);
	rbuf_skip(&r, 0);
	ck_assert(rbuf_ok(&r));
}
END_TEST

START_TEST(write_order)
{
	uint8_t mem[18];
	struct wbuf w;

	memset(mem, 0xff, sizeof(mem));
	wbuf_init(&w, mem, sizeof(mem));
	wbuf_u8(&w, 0x01);
	wbuf_be16(&w, 0x0203);
	wbuf_be32(&w, 0x04050607);
	wbuf_be64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	ck_assert_uint_eq(wbuf_used(&w), 15);
	ck_assert_mem_eq(mem, bytes, 15);
	ck_assert_ptr_eq(wbuf_zero(&w, 2), mem + 15);
	wbuf_bytes(&w, "x", 1);
	ck_assert_mem_eq(mem + 15, "\0\0x", 3);
	ck_assert(wbuf_ok(&w));
}
END_TEST

static const size_t write_sizes[] = { 1, 2, 4, 8, 0, 'z' };

START_TEST(write_overrun)
{
	size_t n = write_sizes[_i];
	uint8_t mem[1];
	struct wbuf w;

	wbuf_init(&w, mem, 0);
	wbuf_bytes(&w, NULL, 0);
	ck_assert(wbuf_ok(&w));
	if (n == 1)
		wbuf_u8(&w, 1);
	else if (n == 2)
		wbuf_be16(&w, 1);
	else if (n == 4)
		wbuf_be32(&w, 1);
	else if (n == 8)
		wbuf_be64(&w, 1);
	else if (n == 0)
		wbuf_bytes(&w, "x", 1);
	else
		ck_assert_ptr_null(wbuf_zero(&w, SIZE_MAX));
	ck_assert(!wbuf_ok(&w));
	ck_assert_uint_eq(wbuf_used(&w), 0);
	ck_assert_ptr_null(wbuf_zero(&w, 0));
}
END_TEST

START_TEST(write_sticky)
{
	uint8_t mem[3] = { 0, 0, 9 };
	struct wbuf w;

	wbuf_init(&w, mem, sizeof(mem));
	wbuf_be16(&w, 0x0102);
	wbuf_be32(&w, 0x03040506);
	wbuf_u8(&w, 7);
	ck_assert(!wbuf_ok(&w));
	ck_assert_uint_eq(wbuf_used(&w), 2);
	ck_assert_mem_eq(mem, "\1\2\11", 3);
}
END_TEST

static Suite *
ibuf_suite(void)
{
	Suite *s = suite_create("ibuf");
	TCase *tc = tcase_create("ibuf");

	tcase_add_test(tc, read_order);
	tcase_add_loop_test(tc, read_overrun, 0,
	    sizeof(overruns) / sizeof(overruns[0]));
	tcase_add_test(tc, read_bytes_view_skip);
	tcase_add_test(tc, read_nothing);
	tcase_add_test(tc, write_order);
	tcase_add_loop_test(tc, write_overrun, 0,
	    sizeof(write_sizes) / sizeof(write_sizes[0]));
	tcase_add_test(tc, write_sticky);
	suite_add_tcase(s, tc);
	return (s);
}

int
main(void)
{
	SRunner *sr = srunner_create(ibuf_suite());
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
