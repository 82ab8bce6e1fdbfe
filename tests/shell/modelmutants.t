#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# The model is worth something only if it changes with the election core: each
# seeded defect of that must show in its table.  With CHECK_LONG spin has to
# say what comes of it, too.
if [ -n "${SKIP_MUTANTS:-}" ]; then
	echo "SKIP_MUTANTS is set: make check runs them"
	exit 77
fi
cd "$(dirname "$0")/../.." || exit 1
[ -z "${CHECK_LONG:-}" ] || exec sh tests/sim/mutants.sh -s
exec sh tests/sim/mutants.sh -t
