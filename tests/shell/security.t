#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# SECURITY.md names every verb of the root processes and no other, and what is
# secret is compared in constant time.
set -u
cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
rc=0

# verbs DAEMON: those of its table, and those of its section in SECURITY.md
verbs() {
	sed -n 's/^	\[P*I*MSG_\([A-Z0-9_]*\)\] = verb_.*/\1/p' "$1/$1.c" |
	    sort >"$tmp/code"
	sed -n "/^| $1: verb/,/^\$/s/^| \\([A-Z0-9_]*\\) |.*/\\1/p" \
	    SECURITY.md | sort >"$tmp/doc"
	if [ -s "$tmp/code" ] && diff "$tmp/code" "$tmp/doc"; then
		echo "ok    verbs of $1"
	else
		echo "not ok    verbs of $1: $1/$1.c and SECURITY.md differ"
		rc=1
	fi
}

verbs carpd
verbs pfsyncd

# memcmp() stops at the first byte that differs; a reload may compare with it
if grep -rnE 'memcmp\(.*(digest|hmac|mac_|trailer|sum\[|secret)' \
    --include='*.c' carpd common pfsyncd; then
	echo "not ok    memcmp() of something secret"
	rc=1
else
	echo "ok    no memcmp() of something secret"
fi
for f in carpd/advert.c common/wire/trailer.c; do
	if grep -q hmac_equal "$f"; then
		echo "ok    $f compares in constant time"
	else
		echo "not ok    $f does not use hmac_equal()"
		rc=1
	fi
done
exit $rc
