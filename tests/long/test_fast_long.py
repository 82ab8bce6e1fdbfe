# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Ten minutes of the fastest timers each, with and without load.

LULL in the environment: seconds instead.
"""
import os

import pytest
from fast import lull

LULL = int(os.environ.get("LULL", "600"))


@pytest.mark.parametrize("hogs", [0, 6])
@pytest.mark.parametrize("skew", [0, 1, 50])
def test_no_false_takeover(lab, skew, hogs):
    bad, excused, late = lull(lab, LULL, skew, hogs)
    print("advbase 0 advskew %d, %d hogs, %d s: %d takeovers while the "
          "machine stood still; lateness %s" %
          (skew, hogs, LULL, len(excused), late))
    assert not bad, "\n".join(str(x) for x in bad)
