/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/wire/cksum: the example of RFC 1071 section 3, carries, odd lengths,
 * pieces, unaligned data.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../common/wire/cksum.h"

START_TEST(rfc1071)
{
	static const uint8_t	 data[] = {
		0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7
	};

	ck_assert_uint_eq(cksum(data, sizeof(data)), (uint16_t)~0xddf2);
	ck_assert_uint_eq(cksum_fin(0x2ddf0), (uint16_t)~0xddf2);
	ck_assert_uint_eq(cksum(data, 0), 0xffff);
	/* An odd byte is the high one. */
	ck_assert_uint_eq(cksum(data + 2, 1), (uint16_t)~0xf200);
}
END_TEST

/* The header of the vector v4-one, with and without its checksum. */
START_TEST(ip_header)
{
	uint8_t	 head[] = {
		0x45, 0x10, 0x00, 0x38, 0x00, 0x00, 0x40, 0x00, 0xff, 0x70,
		0xd9, 0x30, 0xc0, 0x00, 0x02, 0x02, 0xe0, 0x00, 0x00, 0x12
	};
	size_t	 i;

	ck_assert_uint_eq(cksum(head, sizeof(head)), 0);
	for (i = 0; i < sizeof(head) * 8; i++) {
		head[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert_uint_ne(cksum(head, sizeof(head)), 0);
		head[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	head[10] = head[11] = 0;
	ck_assert_uint_eq(cksum(head, sizeof(head)), 0xd930);
}
END_TEST

START_TEST(pieces)
{
	uint8_t		 data[257];
	uint32_t	 sum;
	uint16_t	 want;
	size_t		 i, cut;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 151 + 7);
	want = cksum(data, sizeof(data));
	for (cut = 0; cut < sizeof(data); cut += 2) {
		sum = cksum_add(0, data, cut);
		sum = cksum_add(sum, data + cut, sizeof(data) - cut);
		ck_assert_uint_eq(cksum_fin(sum), want);
	}
	want = cksum(data, sizeof(data) - 1);
	memmove(data + 1, data, sizeof(data) - 1);
	ck_assert_uint_eq(cksum(data + 1, sizeof(data) - 1), want);
}
END_TEST

/* Sums that would wrap 32 bits if nobody folded them. */
START_TEST(carries)
{
	static uint8_t	 ones[262144];
	uint32_t	 sum = UINT32_MAX;
	int		 i;

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(cksum(ones, sizeof(ones)), 0);
	for (i = 0; i < 64; i++)
		sum = cksum_add(sum, ones, sizeof(ones));
	ck_assert_uint_eq(cksum_fin(sum), 0);
	ck_assert_uint_eq(cksum_fin(UINT32_MAX), 0);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("cksum");
	TCase	*tc = tcase_create("cksum");
	SRunner	*sr;
	int	 failed;

	tcase_add_test(tc, rfc1071);
	tcase_add_test(tc, ip_header);
	tcase_add_test(tc, pieces);
	tcase_add_test(tc, carries);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed != 0);
}
