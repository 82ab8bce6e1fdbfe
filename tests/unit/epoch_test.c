/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * common/epoch: above the last one whatever the clock says, the file, and what
 * becomes of one that is torn, somebody else's, or has no room.
 */
#include <sys/stat.h>

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/epoch.h"
#include "../../common/log.h"
#include "files.h"

#define NOW	UINT64_C(1763620945920)

static char	 sock[PATH_MAX], file[PATH_MAX];

static void
setup(void)
{
	make_dir();
	(void)strlcpy(sock, path("fw1.sock"), sizeof(sock));
	(void)strlcpy(file, path("fw1.epoch"), sizeof(file));
}

static void
teardown(void)
{
	(void)unlink(file);
	(void)rmdir(dir);
}

START_TEST(next)
{
	uint64_t	 a = epoch_next(0, NOW, 7), b;

	ck_assert(a == (NOW << 22 | 7));
	ck_assert(epoch_next(a, NOW + 1, 0) == (NOW + 1) << 22);
	/* the same millisecond, and a clock that was set back */
	b = epoch_next(a, NOW, UINT32_MAX);
	ck_assert(b == ((NOW + 1) << 22 | 0x3fffff));
	ck_assert(epoch_next(b, 0, 0) > b);
	ck_assert(epoch_next(b, 5, 3) > b);
}
END_TEST

START_TEST(paths)
{
	static const struct {
		const char	*sock;
		const char	*path;
	} t[] = {
		{ "/run/carpd.sock", "/var/lib/carpd/carpd.epoch" },
		{ "/run/b.sock", "/var/lib/carpd/b.epoch" },
		{ "/run/b", "/var/lib/carpd/b.epoch" },
		{ "/run/x/carpd.sock", "/run/x/carpd.epoch" },
		{ "/tmp/fw1", "/tmp/fw1.epoch" },
		{ "/tmp/.sock", "/tmp/.epoch" },
	};
	char	 path[64];
	size_t	 i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ck_assert(epoch_path("carpd", t[i].sock, path, sizeof(path)));
		ck_assert_str_eq(path, t[i].path);
	}
	ck_assert(!epoch_path("carpd", "/run/carpd.sock", path, 26));
}
END_TEST

/* Again and again: one node, and epochs that grow. */
START_TEST(starts)
{
	struct epoch	 a, b;
	struct stat	 st;
	int		 i;

	epoch_start("carpd", sock, NULL, &a);
	ck_assert(a.epoch >> 22 > NOW);
	ck_assert_uint_ne(a.node, 0);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & ALLPERMS, 0600);
	ck_assert_int_eq(st.st_size, 32);
	for (i = 0; i < 100; i++, a = b) {
		epoch_start("carpd", sock, NULL, &b);
		ck_assert(b.epoch > a.epoch);
		ck_assert_uint_eq(b.node, a.node);
	}
	/* the file is gone: somebody else, but never an epoch again */
	ck_assert_int_eq(unlink(file), 0);
	epoch_start("carpd", sock, NULL, &b);
	ck_assert(b.epoch != a.epoch);
	ck_assert_uint_ne(b.node, a.node);
}
END_TEST

/* On another machine it is another node, whose epochs go on. */
START_TEST(cloned)
{
	static const uint8_t	 mac[][6] = { { 2, 0, 0, 0, 0, 1 },
		{ 2, 0, 0, 0, 0, 2 } };
	struct epoch		 a, b;

	epoch_start("carpd", sock, mac[0], &a);
	epoch_start("carpd", sock, mac[0], &b);
	ck_assert_uint_eq(a.node, b.node);
	epoch_start("carpd", sock, mac[1], &a);
	ck_assert_uint_ne(a.node, b.node);
	ck_assert(a.epoch > b.epoch);
	epoch_start("carpd", sock, mac[1], &b);
	ck_assert_uint_eq(a.node, b.node);
}
END_TEST

/* Each bit that is wrong makes it no file of ours; it is written anew. */
START_TEST(torn)
{
	struct epoch	 a, b;
	uint8_t		 byte;
	int		 fd;
	off_t		 i;

	epoch_start("carpd", sock, NULL, &a);
	for (i = 0; i < 32; i++) {
		ck_assert_int_ne(fd = open(file, O_RDWR), -1);
		ck_assert_int_eq(pread(fd, &byte, 1, i), 1);
		byte ^= 0x40;
		ck_assert_int_eq(pwrite(fd, &byte, 1, i), 1);
		close(fd);
		epoch_start("carpd", sock, NULL, &b);
		ck_assert_uint_ne(b.node, a.node);
		a = b;
	}
	ck_assert_int_eq(truncate(file, 31), 0);
	epoch_start("carpd", sock, NULL, &b);
	ck_assert_uint_ne(b.node, a.node);
	epoch_start("carpd", sock, NULL, &a);
	ck_assert_uint_eq(b.node, a.node);
}
END_TEST

static void
refused(void)
{
	struct epoch	 a, b;

	epoch_start("carpd", sock, NULL, &a);
	epoch_start("carpd", sock, NULL, &b);
	ck_assert_uint_ne(a.node, 0);
	ck_assert_uint_ne(a.node, b.node);
	ck_assert(a.epoch >> 22 > NOW);
}

/* What is not ours stays as it is, and a daemon starts without it. */
START_TEST(strangers)
{
	char		 other[PATH_MAX];
	struct stat	 st;

	(void)strlcpy(other, path("other"), sizeof(other));
	ck_assert_int_eq(symlink("/dev/null", file), 0);
	refused();
	unlink(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	refused();
	unlink(file);
	close(open(other, O_CREAT | O_RDWR, 0600));
	ck_assert_int_eq(link(other, file), 0);
	refused();
	unlink(file);
	ck_assert_int_eq(chmod(other, 0644), 0);
	ck_assert_int_eq(rename(other, file), 0);
	refused();
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	(void)strlcpy(sock, path("no/such/dir/fw1.sock"), sizeof(sock));
	refused();
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("epoch");
	TCase	*tc = tcase_create("epoch");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	log_init("epoch_test", true, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, next);
	tcase_add_test(tc, paths);
	tcase_add_test(tc, starts);
	tcase_add_test(tc, cloned);
	tcase_add_test(tc, torn);
	tcase_add_test(tc, strangers);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
