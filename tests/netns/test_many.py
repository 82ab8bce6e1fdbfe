# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""255 vhids on one carpdev, IPv4 and IPv6: elect, reload, fail over.

The tests are one story, in the order of the file.  tests/long has 1000.
"""
import json
from datetime import datetime

import pytest
from lab import Daemon, Lab, config, many, wait_for

VHIDS = range(1, 256)
LAN, WAN = 10, 20
HEAD = "preempt yes\nlog 2\n"


def text(skew, vhids=VHIDS):
    return HEAD + many("lan0", vhids, 1, skew, LAN) + \
        many("wan0", [1], 1, skew, WAN)


class ManyPair:
    def __init__(self, lab):
        self.lab = lab
        self.mickey = Daemon(lab, "fw1", text(0), "Mickey").start()
        self.wait("MASTER", self.mickey, 256)
        self.minnie = Daemon(lab, "fw2", text(100), "Minnie").start()
        self.wait("BACKUP", self.minnie, 256)
        self.minnie.wait_heard()

    @staticmethod
    def wait(state, d, n, timeout=10):
        def reached():
            states = list(d.states().values())
            return len(states) == n and set(states) == {state}
        wait_for(reached, timeout, lambda: "%d vhids %s, they are %s" %
                 (n, state, d.states()), 0.05)

    def settle(self):
        self.wait("MASTER", self.mickey, 256)
        self.wait("BACKUP", self.minnie, 256)


def since(d):
    """{carp interface: ms since 1970 of its state}"""
    return {i["name"]: datetime.fromisoformat(
        i["vhids"][0]["since"].replace("Z", "+00:00")).timestamp() * 1000
        for i in d.show()["interfaces"]}


def causes(d):
    return {i["vhids"][0]["cause"] for i in d.show()["interfaces"]}


def addresses(lab, host, dev):
    out = json.loads(lab.ip(host, "-j", "addr", "show", "dev", dev))
    return {a["local"] for i in out for a in i["addr_info"]}


def virtual(vhids=VHIDS):
    return {a for v in vhids for a in
            ("10.%d.%d.1" % (LAN, v), "2001:db8:%x:%x::1" % (LAN, v))}


@pytest.fixture(scope="module")
def many_pair(shared_lab):
    return ManyPair(shared_lab)


def test_elect(many_pair):
    p = many_pair
    wait_for(lambda: virtual() <= addresses(p.lab, "fw1", "lan0"), 5,
             "Mickey has all addresses")
    assert not virtual() & addresses(p.lab, "fw2", "lan0")
    for d in (p.mickey, p.minnie):
        c = d.counters()
        assert c["sandboxed"] == c["oerrors"] == c["addrerrors"] == 0, c


def test_reload_moves_nobody_else(many_pair):
    """100 go and come again; the others do not notice, on neither node."""
    p = many_pair
    keep = [v for v in VHIDS if v % 5 > 1]
    names = {"carp%d" % (LAN * 1000 + v) for v in keep} | {"carp20001"}
    before = {d: since(d) for d in (p.mickey, p.minnie)}
    heard = p.minnie.counters()
    for vhids in (keep, VHIDS):
        for d, skew in ((p.mickey, 0), (p.minnie, 100)):
            d.write(text(skew, vhids))
            d.ok("reload")
            wait_for(lambda: len(d.states()) == len(vhids) + 1, 5,
                     "%d vhids" % len(vhids))
        wait_for(lambda: virtual(vhids) == virtual() & addresses(
            p.lab, "fw1", "lan0"), 10, "Mickey has their addresses")
    p.settle()
    for d, old in before.items():
        new = since(d)
        assert {n: new[n] for n in names} == {n: old[n] for n in names}
    # no advertisement was late by as much as a tenth of its interval
    assert p.mickey.counters()["adlate-max-us"] < 100_000
    c = p.minnie.counters()
    assert c["ipackets"] > heard["ipackets"] and c["badauth"] == 0


def test_cable(many_pair):
    """255 told of over the other cable, taken over at once, and back."""
    p = many_pair
    p.lab.unplug("fw1", "lan")
    p.wait("MASTER", p.minnie, 256)
    assert causes(p.minnie) <= {"peer gone", "peer demoted"}
    at = [t for n, t in since(p.minnie).items()]
    assert max(at) - min(at) < 1000, "ms between the first and the last"
    wait_for(lambda: virtual() <= addresses(p.lab, "fw2", "lan0"), 5,
             "Minnie has all addresses")
    p.lab.plug("fw1", "lan")
    p.settle()


def test_death(many_pair):
    """Mickey's processes die: nobody is left out."""
    p = many_pair
    p.mickey.kill_all()
    p.wait("MASTER", p.minnie, 256)
    assert causes(p.minnie) == {"master down"}
    wait_for(lambda: virtual() <= addresses(p.lab, "fw2", "lan0"), 5,
             "Minnie has all addresses")
    assert p.minnie.counters()["sandboxed"] == 0
    assert p.minnie.stop() == 0
    assert not virtual() & addresses(p.lab, "fw2", "lan0")


class FewFiles(Daemon):
    """Started as by a shell or service manager whose soft limit of open files
    has no room for its carpdevs, but whose hard limit has."""

    def argv(self, *more):
        return ["sh", "-c", 'ulimit -Sn 40; exec "$@"', "sh",
                *super().argv(*more)]


def test_open_files():
    """A carpdev takes twenty descriptors: 1024 are 50 VLANs."""
    with Lab("nmf") as lab:
        d = FewFiles(lab, "fw1", config(), "Mickey").start()
        d.wait_state("MASTER", timeout=12)
        assert "Too many open files" not in d.text()
        assert d.stop() == 0
