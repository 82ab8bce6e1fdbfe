#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# A simulation that cannot fail proves nothing: each seeded defect of the
# election core must be noticed by it.
# SKIP_MUTANTS: a second build of the same source has nothing to add.
if [ -n "${SKIP_MUTANTS:-}" ]; then
	echo "SKIP_MUTANTS is set: make check runs them"
	exit 77
fi
cd "$(dirname "$0")/../.." || exit 1
exec sh tests/sim/mutants.sh
