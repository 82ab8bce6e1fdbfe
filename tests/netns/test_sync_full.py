# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A BACKUP whose kernel has no room for the states of the others: said once,
shown, tried seldom, and made up for when there is room.

The limit is the whole machine's, so it is not lowered: the table is filled.
"""
from pathlib import Path

import pytest
from lab import Lab, wait_for
from sync import Sync, count, flows, make, sync_config, wait_same

MAX = Path("/proc/sys/net/netfilter/nf_conntrack_max")
ROOM, STATES = 1000, 3000


@pytest.fixture
def lab():
    with Lab("nsf") as lab_of_test:
        lab_of_test.nat()
        yield lab_of_test


def test_full(lab):
    limit = int(MAX.read_text())
    if limit > 300000:
        pytest.skip("nf_conntrack_max is %d: too many to fill it" % limit)
    one = Sync(lab, "fw1", sync_config(), "one").start()
    two = Sync(lab, "fw2", sync_config(
        more="no-sync { from 10.0.0.0/8 }"), "two").start()
    for d in (one, two):
        d.wait_in_step()
    assert two.show()["in_sync"] is True
    # its own flows, which are no business of the other's
    fill = limit - ROOM - count(lab, "fw2")
    make(lab, "fw2", fill, "--base", 1000000)
    make(lab, "fw1", STATES, "--snat")
    begin = "the kernel's table is full: states of the peers are missing"
    wait_for(lambda: begin in two.text(), 20, lambda: two.text(), 0.1)
    wait_for(lambda: two.show()["states"]["missing"] >= STATES - ROOM, 10,
             lambda: "missing: %s" % two.show()["states"], 0.1)
    s = two.show()
    assert s["in_sync"] is False and s["kernel"]["full"] is True
    assert "states missing in the kernel, whose table is full" in \
        two.ok("show", "sync")
    failed = two.counters()["kernel_failed"]
    # 2, 4, 8 seconds
    wait_for(lambda: two.counters()["kernel_failed"] >= failed + 2 * 64, 20,
             lambda: "tried again: %s" % two.counters(), 0.2)
    assert two.counters()["kernel_failed"] < failed + 1000
    flows(lab, "fw2", "del", fill, "--base", 1000000)
    wait_same(lab, 60, least=STATES)
    wait_for(lambda: two.show()["in_sync"], 10, lambda: two.text(), 0.1)
    wait_for(lambda: "has room again" in two.text(), 10,
             lambda: two.text(), 0.1)
    assert two.text().count(begin) == 1
    assert "its table or memory is full" not in two.text()
    for d in (one, two):
        d.stop()
