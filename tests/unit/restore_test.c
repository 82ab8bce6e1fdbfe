/*
 * Copyright (c) 2026 the carpd authors
 * SPDX-License-Identifier: ISC
 *
 * carpd/restore and common/ownfile: a record comes back as it was, to the
 * interface that it is of, and a file that is torn, forged or somebody else's
 * is none.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../../carpd/restore.h"
#include "../../common/log.h"
#include "../../common/ownfile.h"
#include "files.h"

static const struct restore_id	 id = { .boot = 7, .ifindex = 3,
    .mac = { 2, 0, 0, 0, 0, 1 } };
static const char		 record[] = "what was there";
static char			 file[PATH_MAX];
static uint8_t			 got[RESTORE_MAX];

static void
setup(void)
{
	make_dir();
	(void)strlcpy(file, path("fw1.restore-3"), sizeof(file));
}

static void
teardown(void)
{
	(void)unlink(file);
	(void)unlink(path("fw1.restore-3.new"));
	(void)unlink(path("other"));
	ck_assert_int_eq(rmdir(dir), 0);
}

static size_t
back(void)
{
	memset(got, 0, sizeof(got));
	return (restore_read(file, &id, got));
}

static void
keep(void)
{
	ck_assert_int_eq(restore_write(file, &id, record, sizeof(record)), 0);
}

static off_t
size(const char *name)
{
	struct stat	 st;

	ck_assert_int_eq(stat(name, &st), 0);
	return (st.st_size);
}

START_TEST(as_it_was)
{
	static uint8_t	 large[RESTORE_MAX + 1];
	struct stat	 st;

	ck_assert_uint_eq(back(), 0);
	keep();
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & ALLPERMS, 0600);
	ck_assert_uint_eq(back(), sizeof(record));
	ck_assert_str_eq((char *)got, record);
	/* the largest, and one that replaces it */
	memset(large, 0xa5, sizeof(large));
	ck_assert_int_eq(restore_write(file, &id, large, RESTORE_MAX), 0);
	ck_assert_uint_eq(back(), RESTORE_MAX);
	ck_assert_mem_eq(got, large, RESTORE_MAX);
	ck_assert_int_eq(restore_write(file, &id, large, sizeof(large)), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(back(), RESTORE_MAX);
	keep();
	ck_assert_uint_eq(back(), sizeof(record));
	ck_assert_int_eq(restore_write(file, &id, "", 0), 0);
	ck_assert_uint_eq(back(), 0);
}
END_TEST

/* Another boot, network namespace, interface, or a card in its place. */
START_TEST(of_another)
{
	struct restore_id	 other[4] = { id, id, id, id };
	size_t			 i;

	other[0].boot++;
	other[1].ifindex++;
	other[2].mac[5]++;
	keep();
	for (i = 0; i < 4; i++)
		ck_assert_uint_eq(restore_read(file, &other[i], got),
		    i < 3 ? 0 : sizeof(record));
}
END_TEST

START_TEST(damaged)
{
	uint8_t	 byte;
	off_t	 i, len;
	int	 fd;

	keep();
	len = size(file);
	for (i = 0; i < len; i++) {
		ck_assert_int_ne(fd = open(file, O_RDWR), -1);
		ck_assert_int_eq(pread(fd, &byte, 1, i), 1);
		byte ^= 0x40;
		ck_assert_int_eq(pwrite(fd, &byte, 1, i), 1);
		ck_assert_uint_eq(back(), 0);
		byte ^= 0x40;
		ck_assert_int_eq(pwrite(fd, &byte, 1, i), 1);
		close(fd);
	}
	ck_assert_uint_eq(back(), sizeof(record));
	/* too long, and shorter and shorter */
	ck_assert_int_eq(truncate(file, len + RESTORE_MAX), 0);
	ck_assert_uint_eq(back(), 0);
	for (; len-- > 0;) {
		ck_assert_int_eq(truncate(file, len), 0);
		ck_assert_uint_eq(back(), 0);
	}
}
END_TEST

START_TEST(strangers)
{
	const char	*other = path("other");

	keep();
	ck_assert_int_eq(chmod(file, 0640), 0);
	ck_assert_uint_eq(back(), 0);
	ck_assert_int_eq(chmod(file, 0600), 0);
	ck_assert_int_eq(link(file, other), 0);
	ck_assert_uint_eq(back(), 0);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(symlink(other, file), 0);
	ck_assert_uint_eq(back(), 0);
	/* what is written takes its place, and leaves the other alone */
	keep();
	ck_assert_uint_eq(back(), sizeof(record));
	ck_assert_int_gt(size(other), 0);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	ck_assert_uint_eq(back(), 0);
}
END_TEST

/* Nothing is lost where there is no room for more. */
START_TEST(no_room)
{
	const char	*new = path("fw1.restore-3.new");
	struct rlimit	 was, none;
	int		 done, saved;

	keep();
	/* what a run left that was killed in the middle */
	ck_assert_int_eq(symlink("/dev/null", new), 0);
	keep();
	ck_assert_int_ne(access(new, F_OK), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 20;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	done = restore_write(file, &id, "x", 1);
	saved = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	ck_assert_int_eq(done, -1);
	ck_assert_int_eq(saved, ENOSPC);
	ck_assert_int_ne(access(new, F_OK), 0);
	ck_assert_uint_eq(back(), sizeof(record));
	ck_assert_str_eq((char *)got, record);
}
END_TEST

START_TEST(stem)
{
	ck_assert_int_eq(ownfile_stem("/run/carpd.sock"), 10);
	ck_assert_int_eq(ownfile_stem("/run/carpd"), 10);
	ck_assert_int_eq(ownfile_stem(".sock"), 5);
}
END_TEST

int
main(void)
{
	Suite	*s = suite_create("restore");
	TCase	*tc = tcase_create("restore");
	SRunner	*sr = srunner_create(s);
	int	 failed;

	log_init("restore_test", true, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, as_it_was);
	tcase_add_test(tc, of_another);
	tcase_add_test(tc, damaged);
	tcase_add_test(tc, strangers);
	tcase_add_test(tc, no_room);
	tcase_add_test(tc, stem);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed == 0 ? 0 : 1);
}
