#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# Install what building and testing needs and this Debian 12 lacks.
#
#	install-deps.sh [build|test|bench|ci]	default: test, which has build;
#						bench has both and what it is
#						compared with, ci both and the
#						linters
#
# Says nothing and needs neither root nor network when nothing is missing.

set -u

build="gcc make pkg-config clang byacc libc6-dev linux-libc-dev libevent-dev
    libpcap-dev libssl-dev libbsd-dev libmnl-dev libseccomp-dev libcap-dev
    libbpf-dev libjansson-dev"
run="check iproute2 iputils-ping nftables tcpdump tshark ucarp keepalived
    conntrack
    procps mandoc spin python3 python3-pytest python3-scapy"
bench="conntrackd"
lint="bmake bison cppcheck shellcheck git"

case ${1:-test} in
build)	want=$build ;;
test)	want="$build $run" ;;
bench)	want="$build $run $bench" ;;
ci)	want="$build $run $lint" ;;
*)	echo "usage: install-deps.sh [build|test|bench|ci]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
	echo "install-deps.sh: this is not a Debian: please install the" \
	    "equivalents of: $want" >&2
	exit 0
fi

missing=
for p in $want; do
	s=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)
	[ "$s" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

# A plain user may still be able to do much of the work.
if [ "$(id -u)" != 0 ]; then
	echo "install-deps.sh: only root can install what is missing:$missing" >&2
	exit 0
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # a list of words
install() {
	apt-get install -qy --no-install-recommends $missing >"$log" 2>&1
}
# The lists on the disk may do; if not, fetch new ones and try once more.
if ! install && ! { apt-get update -qq >>"$log" 2>&1 && install; }; then
	cat "$log" >&2
	echo "install-deps.sh: could not install:$missing" >&2
	exit 1
fi
