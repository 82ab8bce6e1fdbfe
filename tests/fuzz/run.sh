#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# run.sh SECONDS [TARGET...]: build the libFuzzer targets in a copy of the tree
# (build-fuzz) and run each for SECONDS; prints executions and edge coverage (of
# all that is linked in, reached by this target or not).
# What crashes is left in build-fuzz/crash-*.

set -eu
seconds=$1
shift
cd "$(dirname "$0")/../.."
root=$PWD
mkdir -p build-fuzz
git ls-files | tar cf - -T - | tar xf - -C build-fuzz
cd build-fuzz
san=-fsanitize=address,undefined
make -s CC=clang HARDEN= LDHARDEN= OPT='-O1 -g' \
    CFLAGS="$san -fsanitize=fuzzer-no-link -fno-sanitize-recover=all" \
    carpd/libcarpd.a pfsyncd/libpfsyncd.a common/libcommon.a
[ $# -gt 0 ] || set -- tests/fuzz/*_fuzz.c
rc=0
for t in "$@"; do
	name=${t##*/}
	name=${name%_fuzz.c}
	# which daemon's objects it is linked with
	kind=fz
	! grep -q "pfsyncd/" "$t" || kind=fs
	make -s CC=clang HARDEN= LDHARDEN= OPT='-O1 -g' \
	    CFLAGS="$san,fuzzer -fno-sanitize-recover=all" \
	    "tests/fuzz/${name}_fuzz.$kind"
	mkdir -p "found/$name"
	case $name in		# scripts that have such packets in them
	pfdial)	dict=-dict=tests/fuzz/pfsync.dict ;;
	repl)	dict=-dict=tests/fuzz/native.dict ;;
	*)	dict=-dict=tests/fuzz/$name.dict ;;
	esac
	[ -e "${dict#-dict=}" ] || dict=
	# shellcheck disable=SC2086
	if ! "tests/fuzz/${name}_fuzz.$kind" $dict -max_total_time="$seconds" \
	    -print_final_stats=1 -max_len=4096 "found/$name" \
	    "$root/tests/fuzz/corpus/$name" >"found/$name.log" 2>&1; then
		rc=1
		echo "$name: CRASH, see $PWD/found/$name.log"
		tail -n 30 "found/$name.log"
		continue
	fi
	cov=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "found/$name.log" | tail -n 1)
	all=$(sed -n 's/.*modules *(\([0-9]*\) inline.*/\1/p' "found/$name.log")
	runs=$(sed -n 's/.*number_of_executed_units: *//p' "found/$name.log")
	echo "$name: $runs executions, $cov edges of the $all linked"
done
exit $rc
