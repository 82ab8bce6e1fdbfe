#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# Run the tests and sum them up in one closing line,
#
#	N passed, N failed, N skipped
#
# Exit status 0 when nothing failed.
#
#	run.sh [-u] PROGRAM...
#
# PROGRAMs are unit and simulation programs (Check).  Each "skip: REASON" that
# one prints is a test of its that could not run; where it ran none at all this
# is its only line (tests/unit/skip.h).  Then come the configurations
# (tests/config), the shell tests (tests/shell) and, unless -u was given, the
# namespace and interop tests (pytest), which need root.
#
# A shell test exits 0, 77 (skipped, its last line says why) or otherwise; it
# may print "ok ..." and "not ok ..." lines, which are counted instead.
# PYTESTS in the environment names other pytest files or directories.
#
# tests/config: NAME.conf is printed by `carpd -nn` as NAME.ok, and NAME.ok as
# itself, with the passes masked; NAME.bad is refused by `carpd -n` with exactly
# NAME.err.  tests/config/pfsyncd: the same of `pfsyncd`, with the keys masked.

set -u
cd "$(dirname "$0")/.." || exit 1

unit_only=no
if [ "${1:-}" = -u ]; then
	unit_only=yes
	shift
fi

passed=0 failed=0 skipped=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

pass() { passed=$((passed + ${1:-1})); }
skip() { skipped=$((skipped + 1)); echo "skip  $1"; }
fail() {
	failed=$((failed + ${2:-1}))
	echo "FAIL  $1"
	sed 's/^/      /' "$tmp/out"
}

# beside COMMAND: run it with each file of a list on stdin, as many at once as
# there are CPUs; output, status and seconds of a/b go into a_b, a_b.rc and
# a_b.time, for ran
beside() {
	# shellcheck disable=SC2016 # the inner shell expands them
	xargs -n 1 -P "$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)" \
	    sh -c 'tmp=$1 how=$2 out=$1/$(echo "$3" | tr / _)
		begin=$(date +%s)
		$how "./$3" >"$out" 2>&1 </dev/null
		echo $? >"$out.rc"
		echo $(($(date +%s) - begin)) >"$out.time"' sh "$tmp" "$1"
}

# ran FILE: $tmp/out, $rc and $took of one that beside() has run
ran() {
	out=$tmp/$(echo "$1" | tr / _)
	mv "$out" "$tmp/out"
	rc=$(cat "$out.rc") took=$(cat "$out.time")
}

# The simulations take the longest: first.
units() {
	{
		printf '%s\n' "$@" | grep /sim/
		printf '%s\n' "$@" | grep -v /sim/
	} | beside ""
	for t in "$@"; do
		unit "$t"
	done
}

# A Check program's last line: 100%: Checks: 3, Failures: 0, Errors: 0
unit() {
	ran "$1"
	line=$(grep '%: Checks: ' "$tmp/out" |
	    sed 's/.*Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/' |
	    awk '{ c += $1; b += $2 + $3 } END { if (NR) print c, b }')
	checks=${line% *} bad=${line#* }
	# Check counts a test that returned early as one that passed
	none=$(grep -c '^skip: ' "$tmp/out")
	[ -z "$line" ] || checks=$((checks - none))
	sed -n "s|^skip: |skip  $1: |p" "$tmp/out"
	skipped=$((skipped + none))
	if [ -z "$line" ] && [ "$none" -gt 0 ] && [ "$rc" -eq 0 ]; then
		:
	elif [ -z "$line" ]; then
		fail "$1 ended with status $rc and no result"
	elif [ "$bad" -gt 0 ]; then
		pass $((checks - bad))
		fail "$1: $bad of $checks" "$bad"
	elif [ "$rc" -ne 0 ]; then
		pass "$checks"
		fail "$1: all passed, but it ended with status $rc"
	else
		pass "$checks"
		# what a simulation says about itself
		sed -n 's/^sim: /      &/p' "$tmp/out"
		echo "ok    $1: $checks"
	fi
}

same() {	# same TEXT EXPECTED ACTUAL
	if diff -u "$2" "$3" >"$tmp/out" 2>&1; then
		pass
	else
		fail "$1"
	fi
}

# configs DAEMON DIRECTORY MASK: MASK is what sed does to a secret.  The files
# of a working tree are readable by all, which the daemons refuse.
configs() {
	[ -d "$2" ] || return
	before=$passed daemon=$PWD/$1/$1
	rm -rf "$tmp/config"
	cp -R "$2" "$tmp/config"
	chmod -R go-rwx "$tmp/config"
	for f in "$2"/*.ok; do
		[ -e "$f" ] || continue
		n=${f##*/}; n=${n%.ok}
		sed "$3" "$f" >"$tmp/masked"
		for form in conf ok; do
			(cd "$tmp/config" && "$daemon" -nn -f "$n.$form") \
			    >"$tmp/printed" 2>"$tmp/said" ||
			    cat "$tmp/said" >>"$tmp/printed"
			same "$2/$n.$form prints $n.ok" "$tmp/masked" \
			    "$tmp/printed"
		done
	done
	for f in "$2"/*.err; do
		[ -e "$f" ] || continue
		n=${f##*/}; n=${n%.err}
		rc=0
		(cd "$tmp/config" && "$daemon" -n -f "$n.bad") \
		    >"$tmp/printed" 2>&1 || rc=$?
		[ $rc = 1 ] || echo "(exit status $rc)" >>"$tmp/printed"
		same "$2/$n.bad is refused with $n.err" "$f" "$tmp/printed"
	done
	echo "ok    $2: $((passed - before))"
}

shell_tests() {	# shell_tests HOW TEST...
	how=$1
	shift
	printf '%s\n' "$@" | beside "$how"
}

shell_results() {
	for t in "$@"; do
		shell_test "$t"
	done
}

shell_test() {
	ran "$1"
	good=$(grep -c '^ok' "$tmp/out")
	bad=$(grep -c '^not ok' "$tmp/out")
	if [ "$rc" = 77 ]; then
		skip "$1: $(tail -n 1 "$tmp/out")"
	elif [ "$bad" -gt 0 ]; then
		pass "$good"
		fail "$1" "$bad"
	elif [ "$rc" -ne 0 ]; then
		pass "$good"
		fail "$1: status $rc"
	else
		[ "$good" -gt 0 ] || good=1
		pass "$good"
		echo "ok    $1: $good, $took s"
	fi
}

# The last line of pytest -q: 2 failed, 12 passed, 1 skipped in 3.00s
count() { grep -oE "[0-9]+ $1" "$tmp/last" | cut -d' ' -f1; }

# worker FILE...: runs those that nobody else has begun; output, status and
# seconds into files
worker() {
	for t in "$@"; do
		n=$(echo "$t" | tr / .)
		mkdir "$tmp/begun.$n" 2>/dev/null || continue
		begin=$(date +%s)
		# shellcheck disable=SC2086 # a list of words
		PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest \
		    -p no:cacheprovider -rsP -q --tb=short $t >"$tmp/py.$n" 2>&1
		echo $? >"$tmp/rc.$n"
		echo $(($(date +%s) - begin)) >"$tmp/time.$n"
	done
}

sum_up() {	# sum_up FILE: what a worker left
	n=$(echo "$1" | tr / .)
	grep -E '^=*[ ]*[0-9]+ (passed|failed|skipped|error|deselected)' \
	    "$tmp/py.$n" | tail -n 1 | tr -d '=' >"$tmp/last"
	p=$(count passed) f=$(count failed) s=$(count skipped) e=$(count error)
	pass "${p:-0}"
	skipped=$((skipped + ${s:-0}))
	bad=$((${f:-0} + ${e:-0}))
	[ "$(cat "$tmp/rc.$n")" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	failed=$((failed + bad))
	if [ "$bad" -gt 0 ]; then
		echo "FAIL  $1: $bad, $(cat "$tmp/time.$n") s"
		sed 's/^/      /' "$tmp/py.$n"
	else
		echo "ok    $1: ${p:-0}, $(cat "$tmp/time.$n") s"
		grep '^SKIPPED' "$tmp/py.$n" | sed 's/^SKIPPED/skip /'
		# what the long ones say about themselves
		sed -n 's/^# /      /p' "$tmp/py.$n"
	fi
}

# So many files beside each other, the longest first: they wait most of the time.
WORKERS=4
namespaces() {
	if ! /usr/bin/python3 -c 'import pytest' 2>/dev/null; then
		skip "tests/netns, tests/interop: no pytest for python3"
		return
	fi
	files=${PYTESTS:-}
	if [ -z "$files" ]; then
		for n in netns/test_active netns/test_carpdev \
		    netns/test_sync_repair netns/test_review \
		    netns/test_demo_active interop/test_ucarp \
		    netns/test_sync_rules netns/test_sync netns/test_unicast \
		    netns/test_leftovers netns/test_robust netns/test_failover \
		    netns/test_sync_robust interop/test_openbsd_replay \
		    netns/test_autodev; do
			files="$files tests/$n.py"
		done
		for t in tests/netns/test_*.py tests/interop/test_*.py; do
			case "$files " in
			*" $t "*) ;;
			*)	files="$files $t" ;;
			esac
		done
	fi
	workers=
	n=0
	while [ $n -lt $WORKERS ]; do
		# shellcheck disable=SC2086
		worker $files &
		workers="$workers $!"
		n=$((n + 1))
	done
	# shellcheck disable=SC2086
	wait $workers
	if [ -n "${CHECK_LONG:-}" ]; then	# these measure: alone
		wait
		for t in tests/long/test_*.py; do
			worker "$t"
			files="$files $t"
		done
	fi
	for t in $files; do
		sum_up "$t"
	done
}

[ $# = 0 ] || units "$@"
configs carpd tests/config \
    's/^\(	pass\) ".*"$/\1 "***"/; s/^key "[^"]*"/key "***"/'
configs pfsyncd tests/config/pfsyncd 's/^key "[^"]*"/key "***"/'
quick=$(echo tests/shell/*.t | tr ' ' '\n' | grep -v -e mutants -e model)
# these compute all the time, and the namespace tests hardly
slow="tests/shell/syncmutants.t tests/shell/model.t tests/shell/mutants.t
    tests/shell/modelmutants.t"
# shellcheck disable=SC2086 # lists of words
{
	shell_tests sh $quick
	shell_results $quick
	shell_tests "nice -n 19 sh" $slow &
	[ $unit_only = yes ] || namespaces
	wait
	shell_results $slow
}

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
