# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Active/active with real daemons: each packet is forwarded by one firewall,
the one that OpenBSD's carp(4) would take, whatever happens to the others."""
import pytest
from active import (LAN, MODES, WAN, Flock, vmac_of)
from lab import VIP_LAN, VIP_WAN, now_ns, wait_for

PACKETS = 150       # of each stream, to see how they are shared
MOVED_MS = 1500     # an advertisement interval of 1/256 s and much slack


def neighbour(lab, host, addr):
    return lab.ip(host, "neigh", "show", addr)


def shared(flock):
    """Each firewall has forwarded its share and nothing else."""
    expected, seen = flock.expected(), {}
    for i, host in enumerate(flock.hosts):
        for pair, packets in flock.counts(host).items():
            seen.setdefault(pair, {})[i] = packets
    assert set(seen) == set(expected), (seen, expected)
    owners = {k: o[0] for k, o in flock.owners(LAN).items()}
    assert {p: list(s) for p, s in seen.items()} == \
        {p: [owners[k]] for p, k in expected.items()}
    return seen


def whole(logs, begin=0, end=None):
    """Nothing is lost and nothing comes twice; how many packets that were."""
    total = 0
    for who, log in logs.items():
        f = log.figures(begin, end)
        assert (f.lost, f.dup) == (0, 0), (who, f)
        total += f.sent
    return total


@pytest.mark.parametrize("mode", MODES)
def test_share(mode):
    """Donald and Daisy: four clients, two servers, each mode."""
    with Flock.up("act", mode) as lab:
        flock = Flock(lab, mode).start()
        flock.stream_all()
        flock.wait_packets(5)
        flock.reset()
        before = [duck.shares(LAN) for duck in flock.ducks]
        begin = now_ns()
        flock.wait_packets(PACKETS)
        seen = shared(flock)
        logs = flock.stop_streams()
        whole(logs, begin)
        # both firewalls work, or this shows nothing
        assert {i for s in seen.values() for i in s} == {0, 1}
        for iface, host, addr in ((LAN, "client", VIP_LAN),
                                  (WAN, "server", VIP_WAN)):
            shown = flock.ducks[0].show()
            i = next(i for i in shown["interfaces"] if i["name"] == iface)
            assert i["balancing"] == mode and i["state"] == "MASTER"
            macs = [v["lladdr"] for v in i["vhids"]]
            vhids = [v["vhid"] for v in i["vhids"]]
            assert macs == [vmac_of(mode, vhids[0], v) for v in vhids]
            assert any(m in neighbour(lab, host, addr) for m in macs)
        for duck, old in zip(flock.ducks, before):
            mine = duck.masters(LAN)
            for k, (taken, dropped) in duck.shares(LAN).items():
                taken, dropped = taken - old[k][0], dropped - old[k][1]
                assert (taken > 0) == (k in mine), (duck.name, k, taken)
                # frames of mode arp come only to whom they are for
                assert mode == "arp" or (dropped > 0) != (k in mine)
        for duck in flock.ducks:
            assert duck.stop() == 0


class Scene:
    """Firewalls under eight streams; what happens to them and what it cost."""

    def __init__(self, flock):
        self.flock = flock
        self.events = []            # (name, when, packets lost at most, ms)
        flock.stream_all()
        self.event("nothing", lambda: None, {k: k for k in range(flock.n)},
                   20)

    def event(self, name, act, owners, ms=0):
        """Do it; then node k is the owners[k]'th firewall's.  It may cost a
        stream so many milliseconds, 0: not a packet."""
        self.flock.wait_packets(10)
        self.events.append((name, now_ns(), ms))
        act()
        self.flock.wait_owners(owners)
        self.flock.wait_packets(20)
        self.flock.reset()
        self.flock.wait_packets(10)
        shared(self.flock)

    def judge(self):
        """Each stream, each event."""
        logs = self.flock.stop_streams()
        ends = [e[1] for e in self.events[1:]] + [None]
        bad = []
        for (name, begin, ms), end in zip(self.events, ends):
            worst = [log.figures(begin, end) for log in logs.values()]
            lost = sum(f.lost for f in worst)
            out = max(f.outage_ms for f in worst)
            dup = sum(f.dup for f in worst)
            print("%-24s lost %3d outage %6.1f ms dup %d" % (name, lost, out,
                                                            dup))
            if out > ms or (ms == 0 and lost != 0) or dup > 0:
                bad.append((name, lost, out, dup))
        assert not bad, bad


def test_deaths():
    """A node that dies: its share moves as fast as a failover; it comes back:
    nothing is lost."""
    with Flock.up("act", "ip") as lab:
        flock = Flock(lab, "ip").start()
        donald, daisy = flock.ducks
        scene = Scene(flock)
        both, alone = {0: 0, 1: 1}, {0: 1, 1: 1}
        for name, act, ms in (("stop", donald.stop, 0),
                              ("kill -9 engine", donald.kill_engine, 0),
                              ("kill -9 all", donald.kill_all, 0)):
            scene.event(name, act, alone, ms)
            if donald.running():
                donald.wait_gone()
            scene.event("return", lambda: donald.start(), both)
        scene.event("demote", lambda: donald.ok("demote", "50"), alone)
        scene.event("promote", lambda: donald.ok("promote", "50"), both)
        scene.event("LAN cable pulled", lambda: lab.unplug("fw1", "lan"),
                    alone, MOVED_MS)
        scene.event("LAN cable back", lambda: lab.plug("fw1", "lan"), both)
        scene.event("all cables pulled", lambda: lab.unplug("fw1", "all"),
                    alone, MOVED_MS)
        scene.event("all cables back", lambda: lab.plug("fw1", "all"), both,
                    MOVED_MS)
        scene.judge()
