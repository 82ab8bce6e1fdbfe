#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# The election as a model: is its table that of carpd/vhost.c, and does spin
# find nothing wrong?
#
#	check.sh		prints ok or not ok per question; exit status 77
#				when there is no spin
#	check.sh -g		writes table.pml anew from carpd/vhost.c
#	check.sh -t VHOST.C	is that source noticed by the table?  Exit
#				status 1 and what noticed it, 0: by nothing
#	check.sh -s VHOST.C	by the table, and by spin with the table that
#				this source has
#
# Environment: CC; CHECK_LONG: more faults, and liveness of three nodes.  spin
# is niced and may use 4 GB, 1 GB without CHECK_LONG (it needs 300 MB then).

set -u
cd "$(dirname "$0")/../.." || exit 1

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

CC=${CC:-cc}
memory=1024
[ -z "${CHECK_LONG:-}" ] || memory=4096
bad=0

# table VHOST.C: its table into $tmp/table.pml, complaints into $tmp/said
table() {
	# shellcheck disable=SC2046 # flags are words
	$CC -std=gnu11 -O1 -w -D_GNU_SOURCE -I. -Icarpd \
	    $(pkg-config --cflags libbsd-overlay) -iquote carpd \
	    -o "$tmp/table" tests/model/table.c "$1" >"$tmp/said" 2>&1 &&
	    "$tmp/table" >"$tmp/table.pml" 2>"$tmp/said"
}

# model DIR DEFINITIONS OF-PAN ARGUMENTS: $tmp/DIR.out has what spin says
model() {
	mkdir "$tmp/$1" || return 1
	cp tests/model/election.pml "$tmp/table.pml" "$tmp/$1"
	(
		cd "$tmp/$1" || exit 1
		# shellcheck disable=SC2086 # lists of words
		spin $2 -a election.pml &&
		    $CC -O1 -w -DMEMLIM=$memory -DVECTORSZ=1024 $3 -o pan \
		    pan.c &&
		    nice -n 10 ./pan -m2000000 $4
	) >"$tmp/$1.out" 2>&1 </dev/null &&
	    grep -q 'errors: 0' "$tmp/$1.out" &&
	    ! grep -Eq '^spin:.*rror|^error:|too small|emory limit|not completed' \
	    "$tmp/$1.out"
}

figures() {
	awk '/states, stored/ { s = $1 } /transitions/ { t = $1 }
	    /elapsed time/ { e = $4 }
	    END { printf "%s states, %s transitions, %s s", s, t, e }' \
	    "$tmp/$1.out"
}

# ask NAME DEFINITIONS OF-PAN ARGUMENTS
ask() {
	if model "$1" "$2" "$3" "$4"; then
		echo "ok $1 ($2): $(figures "$1")"
		return
	fi
	bad=1
	echo "not ok $1 ($2): $(grep -E 'pan:|rror' "$tmp/$1.out" | head -n 1)"
	# shellcheck disable=SC2086 # a list of words
	(cd "$tmp/$1" && [ -e election.pml.trail ] &&
	    spin $2 -t -B -w election.pml 2>/dev/null |
	    grep -E '^ +(node|beat|quiet|cut|healed)')
}

safety="-DSAFETY -DCOLLAPSE"
live="-DCOLLAPSE -DNFAIR=3"

# broken NAME DEFINITIONS: does a run break what must hold?
broken() {
	! model "$1" "$2" "$safety" "" &&
	    grep -Eq '^pan:.*(assertion violated|invalid end)' "$tmp/$1.out"
}

# In which networks does the source whose table is in $tmp fail?
noticed() {
	! broken pair "-DN=2 -DFAULTS=2" || printf ' a pair'
	! broken three "-DN=3 -DFAULTS=0" || printf ' three nodes'
}

case ${1:-} in
-g)
	table carpd/vhost.c || { cat "$tmp/said" >&2; exit 1; }
	cp "$tmp/table.pml" tests/model/table.pml
	exit ;;
-t|-s)
	if ! table "$2"; then
		echo "the table: $(head -n 1 "$tmp/said")"
		exit 1
	fi
	rows=$(diff tests/model/table.pml "$tmp/table.pml" | grep -c '^[<>]')
	by="the table, $rows lines"
	[ "$rows" -gt 0 ] || by=
	[ "$1" = -t ] || spin=$(noticed)
	echo "$by${spin:+; spin:$spin}"
	[ -z "$by${spin:-}" ]
	exit ;;
esac

if ! table carpd/vhost.c; then
	cat "$tmp/said"
	echo "not ok the guards of table.c tell all that matters"
	exit 1
fi
if ! diff -u tests/model/table.pml "$tmp/table.pml"; then
	echo "not ok table.pml is that of carpd/vhost.c: read the difference," \
	    "then: sh tests/model/check.sh -g"
	exit 1
fi
if ! command -v spin >/dev/null; then
	echo "the table is that of the code, but there is no spin (Debian:" \
	    "spin) to check the model"
	exit 77
fi
echo "ok table.pml is that of carpd/vhost.c"
ask pair "-DN=2 -DFAULTS=3" "$safety" ""
ask pair-live "-DN=2 -DFAULTS=2 -DLIVE" "$live" "-a -f"
ask three "-DN=3 -DFAULTS=1" "$safety" ""
ask three-live "-DN=3 -DFAULTS=0 -DLIVE" "$live" "-a -f"
if [ -n "${CHECK_LONG:-}" ]; then
	ask pair-long "-DN=2 -DFAULTS=4 -DON_AIR=9" "$safety" ""
	ask three-long "-DN=3 -DFAULTS=2 -DDEMOTE=1 -DSETTLE=12 -DON_AIR=9" \
	    "-DSAFETY -DBITSTATE" "-w31 -k3"
	ask pair-live-long "-DN=2 -DFAULTS=3 -DON_AIR=9 -DLIVE" "$live" "-a -f"
	ask three-live-long "-DN=3 -DFAULTS=1 -DON_AIR=9 -DLIVE" "$live" "-a -f"
fi
exit $bad
