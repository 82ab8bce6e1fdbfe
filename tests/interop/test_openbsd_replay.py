# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Advertisements recorded from kernels, played again, keep carpd quiet."""
import itertools
import threading
from pathlib import Path

from advert import packet_socket, parse
from lab import TREE, Capture, Daemon, Lab, beside, now_ns, wait_for

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
    """Plays all of it, two every 100 ms, for as long as the block lasts."""

    def __init__(self, lab, frames):
        self.sock = packet_socket(lab, "client", "eth0")
        self.frames = itertools.cycle(frames)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.wait(0.1):
            for f in itertools.islice(self.frames, 2):
                self.sock.send(f)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.sock.close()


def conf(vhid, addresses, password):
    return "preempt no\nlog 7\ncarp0 on lan0 {\n\tvhid %d { advbase 1 " \
           "advskew 100 }\n\tpass \"%s\"\n%s}\n" % (
               vhid, password, "".join("\taddress %s\n" % a
                                       for a in addresses))


def keep_a_backup_silent(name, vhid, addresses):
    with Lab("nso") as lab:
        with Player(lab, recorded(name)):
            d = Daemon(lab, "fw1", conf(vhid, addresses, "carptest"),
                       "Mickey").start()
            d.wait_state("BACKUP", ["carp0"])
            start = now_ns()
            wait_for(lambda: now_ns() - start > 4.5e9, 10,
                     "more than a master-down time")
            assert d.states() == {"carp0": "BACKUP"}
            counters = d.counters()
            assert counters["badauth"] == 0
            assert counters["opackets"] == 0
            peers = d.show("peers")["peers"]
        assert {(p["verified"], p["kind"]) for p in peers} == {
            (True, "openbsd" if name.startswith("obsd") else "freebsd")}
        assert len(d.proc.grep("does not use the demotion byte")) == (
            name.startswith("fbsd"))
        # and the silence after them does not
        d.wait_state("MASTER", ["carp0"])
        assert d.cause("carp0") == "master down"


def test_recorded_adverts_keep_a_backup_silent():
    """All kernels beside each other: it is a matter of waiting."""
    beside(*[(keep_a_backup_silent, *kernel) for kernel in KERNELS])


def test_with_another_passphrase_they_do_not(lab):
    name, vhid, addresses = KERNELS[0]
    with Player(lab, recorded(name)):
        d = Daemon(lab, "fw1", conf(vhid, addresses, "carptesT"),
                   "Mickey").start()
        d.wait_state("MASTER", ["carp0"])
        wait_for(lambda: d.counters()["badauth"] > 0, 8, "they are refused")
    assert d.cause("carp0") == "master down"
