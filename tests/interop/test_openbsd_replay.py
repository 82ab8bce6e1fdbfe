# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Advertisements recorded from kernels, played again, keep carpd quiet."""
from pathlib import Path

import pytest
from advert import packet_socket, parse
from lab import TREE, Capture, Daemon, now_ns, wait_for

VECTORS = TREE / "tests" / "unit" / "vectors"
# file, vhid, addresses, another group's digest
KERNELS = [
    ("obsd-carp-v4-one-addr", 1, ["10.66.0.10/24"]),
    ("obsd-carp-v4-three-addrs", 2,
     ["10.66.0.23/24", "10.66.0.21/32", "10.66.0.122/32"]),
    ("obsd-carp-v4v6-mixed", 5, ["10.66.0.50/24", "fd66::50/64"]),
    ("fbsd12-carp-v4-one-addr", 1, ["10.68.0.10/32"]),
    ("fbsd12-carp-v4v6-mixed", 5, ["10.68.0.50/24", "fd68::50/64"]),
]


def recorded(name):
    """The adverts of a capture but for the bow-out."""
    c = Capture.__new__(Capture)    # the reader only
    c.path = Path(VECTORS / (name + ".pcap"))
    return [f for _, f in c.frames()
            if (h := parse(f)) and h.advbase == 1]


class Player:
    """Plays all of it every 100 ms while somebody waits for something."""

    def __init__(self, lab, frames):
        self.sock = packet_socket(lab, "client", "eth0")
        self.frames = frames
        self.at = self.next = 0

    def while_waiting(self, cond):
        def step():
            if now_ns() >= self.next:
                self.next = now_ns() + 100_000_000
                for f in self.frames[:2]:
                    self.sock.send(f)
                self.frames = self.frames[2:] + self.frames[:2]
            return cond()
        return step


def conf(vhid, addresses, password):
    return "preempt no\nlog 7\ncarp0 on lan0 {\n\tvhid %d { advbase 1 " \
           "advskew 100 }\n\tpass \"%s\"\n%s}\n" % (
               vhid, password, "".join("\taddress %s\n" % a
                                       for a in addresses))


@pytest.mark.parametrize("name,vhid,addresses", KERNELS)
def test_recorded_adverts_keep_a_backup_silent(lab, name, vhid, addresses):
    d = Daemon(lab, "fw1", conf(vhid, addresses, "carptest"), "Mickey").start()
    start = now_ns()
    player = Player(lab, recorded(name))
    d.wait_state("BACKUP", ["carp0"])
    wait_for(player.while_waiting(lambda: now_ns() - start > 4.5e9), 10,
             "more than a master-down time")
    assert d.states() == {"carp0": "BACKUP"}
    counters = d.counters()
    assert counters["badauth"] == 0
    assert counters["opackets"] == 0
    assert {(p["verified"], p["kind"]) for p in d.show("peers")["peers"]} == {
        (True, "openbsd" if name.startswith("obsd") else "freebsd")}
    assert len(d.proc.grep("does not use the demotion byte")) == (
        name.startswith("fbsd"))
    start = now_ns()            # and the silence after them does not
    d.wait_state("MASTER", ["carp0"])
    assert d.cause("carp0") == "master down"


@pytest.mark.parametrize("name,vhid,addresses", KERNELS[:1])
def test_with_another_passphrase_they_do_not(lab, name, vhid, addresses):
    d = Daemon(lab, "fw1", conf(vhid, addresses, "carptesT"), "Mickey").start()
    player = Player(lab, recorded(name))
    wait_for(player.while_waiting(
        lambda: d.states() == {"carp0": "MASTER"}), 8, "MASTER all the same")
    assert d.cause("carp0") == "master down"
    assert d.counters()["badauth"] > 0
