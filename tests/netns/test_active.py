# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Active/active with real daemons: each packet is forwarded by one firewall,
the one that OpenBSD's carp(4) would take, whatever happens to the others."""
import re

import pytest
from active import LAN, MODES, WAN, Flock, config, vmac_of
from lab import VIP_LAN, VIP_WAN, difference, now_ns, snapshot, wait_for

PACKETS = 100       # of each stream, to see how they are shared
MOVED_MS = 1500     # master-down is 235 ms where nobody can tell
DUPLICATES = 6      # of a hand-over: one packet, and the answers to it


def neighbour(lab, host, addr):
    return lab.ip(host, "neigh", "show", addr)


def listens(lab, host):
    """Is the NIC told of the group's MAC?"""
    return "01:00:5e:00:01:01" in lab.ip(host, "maddr", "show", "dev", "lan0")


def whole(logs, begin=0, end=None):
    """Nothing is lost and nothing comes twice; how many packets that were."""
    total = 0
    for who, log in logs.items():
        f = log.figures(begin, end)
        assert (f.lost, f.dup) == (0, 0), (who, f)
        total += f.sent
    return total


def share(flock):
    """Under streams: who forwards what, and what carpctl shows of it."""
    lab, mode = flock.lab, flock.mode
    before = [duck.shares(LAN) for duck in flock.ducks]
    flock.reset()
    flock.wait_packets(PACKETS)
    # both firewalls work, or this shows nothing
    assert {i for s in flock.check_shares().values() for i in s} == {0, 1}
    for iface, host, addr in ((LAN, "client", VIP_LAN),
                              (WAN, "server", VIP_WAN)):
        shown = flock.ducks[0].show()
        i = next(i for i in shown["interfaces"] if i["name"] == iface)
        assert i["balancing"] == mode and i["state"] == "MASTER"
        macs = [v["lladdr"] for v in i["vhids"]]
        vhids = [v["vhid"] for v in i["vhids"]]
        assert macs == [vmac_of(mode, vhids[0], v) for v in vhids]
        assert any(m in neighbour(lab, host, addr) for m in macs)
    for mine, (duck, old) in enumerate(zip(flock.ducks, before)):
        for k, (taken, dropped) in duck.shares(LAN).items():
            taken, dropped = taken - old[k][0], dropped - old[k][1]
            assert (taken > 0) == (k == mine), (duck.name, k, taken)
            # frames of mode arp come only to whom they are for
            assert mode == "arp" or (dropped > 0) != (k == mine)


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
        self.flock.check_shares()

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
            if out > ms or (ms == 0 and lost != 0) or dup > DUPLICATES:
                bad.append((name, lost, out, dup))
        assert not bad, bad


def test_deaths():
    """A node that dies: its share moves as fast as a failover; it comes back:
    nothing is lost."""
    with Flock.up("act", "ip") as lab:
        flock = Flock(lab, "ip", more='group "dmz"').start()
        donald, daisy = flock.ducks
        scene = Scene(flock)
        share(flock)
        assert listens(lab, "fw1") and listens(lab, "fw2")
        both, alone = {0: 0, 1: 1}, {0: 1, 1: 1}
        for name, act, ms in (("stop", donald.stop, 0),
                              ("kill -9 engine",
                               lambda: donald.kill_engine(daisy), 0),
                              ("kill -9 all", donald.kill_all, 0)):
            scene.event(name, act, alone, ms)
            if donald.running():
                donald.wait_gone()
            # the dead forward until their successor speaks
            assert listens(lab, "fw1") == (name == "kill -9 all")
            scene.event("return", lambda: donald.start(), both)
        scene.event("demote", lambda: donald.ok("demote", "50"), alone)
        scene.event("promote", lambda: donald.ok("promote", "50"), both)
        scene.event("demote -g", lambda: donald.ok("demote", "-g", "dmz"),
                    alone)
        scene.event("promote -g", lambda: donald.ok("promote", "-g", "dmz"),
                    both)
        scene.event("advskew", lambda: [daisy.ok(
            "set", f, "advskew", "30", "vhid", str(v))
            for f, v in ((LAN, 1), (WAN, 101))], both)
        scene.event("LAN cable pulled", lambda: lab.unplug("fw1", "lan"),
                    alone, MOVED_MS)
        scene.event("LAN cable back", lambda: lab.plug("fw1", "lan"), both)
        scene.event("all cables pulled", lambda: lab.unplug("fw1", "all"),
                    alone, MOVED_MS)
        scene.event("all cables back", lambda: lab.plug("fw1", "all"), both,
                    MOVED_MS)
        # live, and a file that says the same again
        scene.event("reload", lambda: [d.ok("reload") for d in flock.ducks],
                    both)
        scene.judge()
        for d in flock.ducks:
            assert "state transition (vhid 2): " in d.text()


@pytest.mark.parametrize("mode", [m for m in MODES if m != "ip"])
def test_modes(mode):
    """The other modes: shares, kill, return, and nothing is left behind."""
    with Flock.up("act", mode) as lab:
        flock = Flock(lab, mode)
        before = snapshot(lab)
        flock.start()
        donald = flock.ducks[0]
        scene = Scene(flock)
        share(flock)
        both, alone = {0: 0, 1: 1}, {0: 1, 1: 1}
        events = [("kill -9 all", donald.kill_all)]
        if mode == "arp":           # its virtual MAC moves
            events.append(("stop", donald.stop))
        for name, act in events:
            scene.event(name, act, alone)
            scene.event("return", lambda: donald.start(), both)
        scene.judge()
        for d in flock.ducks:
            assert d.stop() == 0
        assert not difference(before, snapshot(lab))


@pytest.mark.parametrize("n", (3, 5))
def test_many(n):
    """More firewalls: one dies, the others' shares stay.  Three: by IPv6."""
    with Flock.up("act", "ip", n) as lab:
        flock = Flock(lab, "ip", n, v6=n == 3).start()
        scene = Scene(flock)
        all_ = {k: k for k in range(n)}
        scene.event("kill -9 all", flock.ducks[0].kill_all,
                    {**all_, 0: n - 1}, MOVED_MS)
        scene.event("return", lambda: flock.ducks[0].start(), all_)
        scene.judge()


def test_reload():
    """A vhid is added, and the mode is changed, on one host after the other:
    in the end everything has one owner again."""
    with Flock.up("act", "ip") as lab:
        flock = Flock(lab, "ip", head="preempt yes\nlog 7")
        before = snapshot(lab)
        flock.start()
        scene = Scene(flock)

        def rewrite(mode, nodes):
            flock.mode, flock.nodes = mode, nodes
            for i, d in enumerate(flock.ducks):
                d.write(config(i, 2, mode, nodes=nodes))
                d.ok("reload")
        begin = now_ns()
        scene.event("three nodes", lambda: rewrite("ip", 3),
                    {0: 0, 1: 1, 2: 0}, MOVED_MS)
        scene.event("two nodes", lambda: rewrite("ip", 2), {0: 0, 1: 1},
                    MOVED_MS)
        # nobody else has moved, and the addresses have not
        for d in flock.ducks:
            moved = d.proc.grep(r"transition \(vhid", begin)
            assert moved and not [m for m in moved
                                  if not re.search(r"vhid (10)?3\)", m)], moved
            assert d.counters()["refused"] == 0
            assert d.counters()["addrrestored"] == 0
        flock.stop_streams()
        rewrite("ip-stealth", 2)
        flock.wait_owners({0: 0, 1: 1})
        for h in ("client", "client2", "client3", "client4", "server",
                  "server2"):
            lab.ip(h, "neigh", "flush", "dev", "eth0")
        flock.reset()
        flock.stream_all()
        flock.check_shares()
        for d in flock.ducks:
            assert d.stop() == 0
        assert not difference(before, snapshot(lab))


def test_no_preempt():
    """Who returns without preempt leaves its share where it is."""
    with Flock.up("act", "ip") as lab:
        flock = Flock(lab, "ip", head="preempt no\nlog 7")
        donald, daisy = flock.ducks
        daisy.start()
        flock.wait_owners({0: 1, 1: 1})
        donald.start()
        wait_for(lambda: all(s == "BACKUP" for f in (LAN, WAN)
                             for s in donald.nodes(f)) and donald.nodes(LAN),
                 10, "Donald is BACKUP")
        donald.wait_heard()
        assert flock.owners(LAN) == {0: [1], 1: [1]}
        assert not lab.has_address("fw1", VIP_LAN)
        daisy.ok("state", LAN, "backup")
        daisy.ok("state", WAN, "backup")
        wait_for(lambda: flock.owners(LAN) == {0: [0], 1: [0]}, 10,
                 lambda: "all are Donald's: %s" % flock.owners(LAN))
        donald.ok("set", LAN, "advskew", "50", "vhid", "2")
        refused = donald.ctl("set", LAN, "advskew", "50")
        assert refused.returncode == 1
        assert "has 2 vhids" in refused.stderr
        donald.ok("state", LAN, "backup")
        wait_for(lambda: flock.owners(LAN) == {0: [1], 1: [1]}, 10,
                 lambda: "all are Daisy's: %s" % flock.owners(LAN))
        donald.ok("state", LAN, "master")
        wait_for(lambda: donald.masters(LAN), 10, "Donald is MASTER")


def test_control():
    """Firewalls that do not agree on the number of nodes, or of which none
    balances, do not pass for right."""
    with Flock.up("act", "ip") as lab:
        flock = Flock(lab, "ip")
        flock.ducks[1].write(config(1, 2, "ip", nodes=4))
        flock.start(settle=False)
        wait_for(lambda: flock.ducks[1].masters(LAN) == {1, 2, 3} and
                 flock.ducks[0].masters(LAN) == {0}, 15, "both are MASTER")
        for s in flock.stream_all_unchecked().values():
            wait_for(lambda s=s: s.progress()[0] > PACKETS, 15, "packets")
        logs = flock.stop_streams()
        with pytest.raises(AssertionError):
            whole(logs)
        for i, d in enumerate(flock.ducks):
            d.stop()
            d.write(config(i, 2, "none", nodes=1))
        flock.start(settle=False)
        flock.wait_owners({0: 0})
        for h in ("client", "client2", "client3", "client4", "server",
                  "server2"):
            lab.ip(h, "neigh", "flush", "dev", "eth0")
        flock.stream_all()
        flock.reset()
        flock.wait_packets(10)
        with pytest.raises((AssertionError, KeyError)):
            flock.check_shares()
