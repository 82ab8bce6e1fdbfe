# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Two of ours that speak `native openbsd', as beside a peer that runs OpenBSD:
between them native counts, and what they say in openbsd is not for each other.
"""
import pytest
from lab import Lab, wait_for
from sync import Sync, count, flows, make, sync_config, wait_same

STATES = 1000


@pytest.fixture
def lab():
    with Lab("nsd") as lab_of_test:
        lab_of_test.nat()
        yield lab_of_test


def test_native_counts_between_ours(lab):
    one, two = (Sync(lab, host, sync_config(dialect="native openbsd"), name)
                for host, name in (("fw1", "one"), ("fw2", "two")))
    for d in (one, two):
        d.start()
    for d in (one, two):
        d.wait_in_step()
    make(lab, "fw1", STATES, "--snat")
    wait_same(lab, least=STATES)
    # whoever carries them, a restart costs none
    for end, state in ((Sync.stop, "FIN_WAIT"), (Sync.kill_all,
                                                 "ESTABLISHED")):
        for d in (one, two):
            end(d)
            d.start()
            for x in (one, two):
                x.wait_in_step()
            flows(lab, "fw1", "update", STATES // 2, "--state", state,
                  "--timeout", "600")
            wait_same(lab, least=STATES)
            assert count(lab, "fw1") >= STATES
    assert one.show()["states"]["local"] == STATES
    # who is silent is found out as fast as with native alone
    two.kill_all()
    wait_for(lambda: not one.peers()[0]["alive"], 6,
             lambda: "silent: %s" % one.peers())
    one.stop()
