# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Jumbo frames on one firewall's syncdev and not on the other's: said once,
shown, and replicated in datagrams that arrive."""
import re

import pytest
from lab import Lab, wait_for
from sync import SYNC4, Sync, make, sync_config, wait_same

JUMBO, USUAL = 9000, 1500


@pytest.fixture(scope="module")
def lab():
    with Lab("nsm") as lab_of_file:
        lab_of_file.nat()
        # the switch takes jumbo frames; it is the other host that does not
        for dev in ("fw1", "fw2", "br0"):
            lab_of_file.ip("sync", "link", "set", "dev", dev, "mtu",
                           str(JUMBO))
        lab_of_file.ip("fw1", "link", "set", "dev", "sync0", "mtu",
                       str(JUMBO))
        yield lab_of_file


@pytest.fixture
def pair(lab):
    daemons = [Sync(lab, host, sync_config(), name).start()
               for host, name in (("fw1", "one"), ("fw2", "two"))]
    yield daemons
    for d in daemons:
        d.stop()
    for host in ("fw1", "fw2"):
        lab.run(host, "conntrack", "-F", check=False)


def test_replicated_in_what_arrives(lab, pair):
    one, two = pair
    for d in pair:
        d.wait_in_step()
    make(lab, "fw1", 3000, "--snat")
    wait_same(lab, 10, least=3000)
    make(lab, "fw2", 3000, "--snat", "--base", 5000)
    wait_same(lab, 10, least=6000)
    for d, own, peer, other in ((one, JUMBO, "fw2", USUAL),
                                (two, USUAL, "fw1", JUMBO)):
        assert d.show()["mtu"] == own
        assert [p["mtu"] for p in d.peers()] == [other]
        assert len(re.findall(r"%s has an MTU of %d on its syncdev and we "
                              r"one of %d" % (re.escape(SYNC4[peer]), other,
                                              own), d.text())) == 1, d.text()
        assert "mtu: %d here, %d at" % (own, other) in d.ok("show", "sync")


def test_alike_again(lab, pair):
    """The operator mends it: larger datagrams at once, and no more lines."""
    one, two = pair
    for d in pair:
        d.wait_in_step()
    lab.ip("fw2", "link", "set", "dev", "sync0", "mtu", str(JUMBO))
    wait_for(lambda: [d.peers()[0]["mtu"] for d in pair] == [JUMBO, JUMBO],
             10, lambda: "both MTUs: %s" % one.peers(), 0.05)
    make(lab, "fw1", 3000, "--snat")
    wait_same(lab, 10, least=3000)
    assert "mtu:" not in two.ok("show", "sync")
    lab.ip("fw2", "link", "set", "dev", "sync0", "mtu", str(USUAL))
