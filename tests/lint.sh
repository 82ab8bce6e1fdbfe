#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# make lint: cppcheck, mandoc, shellcheck, headers that stand alone, and no
# conditional on an operating system outside os/ and compat/.

set -u
cd "$(dirname "$0")/.." || exit 1
rc=0
bad() { rc=1; echo "lint: $*"; }

cppcheck --quiet --inline-suppr --error-exitcode=1 --std=c11 \
    --enable=warning,portability --suppress=missingIncludeSystem \
    --suppress=normalCheckLevelMaxBranches --suppress=unknownMacro \
    -DLIBBSD_OVERLAY -D_GNU_SOURCE -DVERSION='"0"' -I. -Icarpd \
    -I/usr/include/bsd -j 2 \
    common carpd pfsyncd carpctl -i carpd/bpf -i carpd/parse.c \
    -i pfsyncd/parse.c || bad cppcheck

for f in man/*.[1-9]; do
	mandoc -T lint -W warning "$f" || bad "$f"
done

scripts=$(git ls-files 2>/dev/null | grep -E '\.(sh|t)$' |
    grep -v '^tests/config/')	# there they are input
[ -n "$scripts" ] || scripts=$(find . -name '*.sh' -o -name '*.t')
# shellcheck disable=SC2086
shellcheck conf/rcctl .ci/run $scripts || bad shellcheck

flags="-std=gnu11 -D_GNU_SOURCE -I. -Icarpd $(pkg-config --cflags libbsd-overlay)"
for h in common/*.h common/*/*.h carpd/*.h carpd/os/*.h pfsyncd/*.h \
    pfsyncd/os/*.h carpctl/*.h; do
	# shellcheck disable=SC2086
	echo "#include \"$h\"" | cc $flags -Wall -Wextra -Werror \
	    -fsyntax-only -x c - || bad "$h does not stand alone"
done

find common carpd pfsyncd carpctl -name '*.[chy]' ! -path '*/os/*' \
    ! -path '*/compat/*' -exec grep -nE \
    '^#[ 	]*if(def)?[ 	].*__(linux|OpenBSD|FreeBSD|NetBSD)__' {} + &&
    bad "OS conditional outside os/"

exit $rc
