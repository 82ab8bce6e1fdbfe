#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# The election as a model: its table is that of the code, and spin finds
# nothing wrong with it.
if [ -n "${SKIP_MUTANTS:-}" ]; then
	echo "SKIP_MUTANTS is set: make check has the model"
	exit 77
fi
cd "$(dirname "$0")/../.." || exit 1
exec sh tests/model/check.sh
