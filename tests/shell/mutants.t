#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# A simulation that cannot fail proves nothing: each seeded defect of the
# election core must be noticed by it.
cd "$(dirname "$0")/../.." || exit 1
exec sh tests/sim/mutants.sh
