#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# Tests that cannot fail prove nothing: each seeded defect of the replication
# core must be noticed by its unit test or its simulation.
# SKIP_MUTANTS: a second build of the same source has nothing to add.
if [ -n "${SKIP_MUTANTS:-}" ]; then
	echo "SKIP_MUTANTS is set: make check runs them"
	exit 77
fi
cd "$(dirname "$0")/../.." || exit 1
exec sh tests/sim/syncmutants.sh
