# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Every way to lose a MASTER, and back: causes, losses, and one owner always.

One pair with advbase 1 lives through the whole file.  Recorders run all the
time; the tests at the end judge what they saw.  Bounds are an order of
magnitude loose; figures come from `make bench`.
"""
import time

import pytest
from lab import (CLIENT4, SERVER4, VIP_LAN, VIP_WAN, NeighMonitor, Owners,
                 Stream, difference, now_ns, snapshot, vmac, wait_for)

SETTLE = 300            # packets after the event
CONTROL = 2000          # packets of the idle run
FAST_MS = 250           # the aim is 5, unnoticed it is 1400 and more
DEAD_MS = (2000, 8000)  # nobody could tell: 3 s + 100/256 s, less the phase


class Scene:
    """The pair, the recorders and when each event began."""

    def __init__(self, pair):
        self.pair = pair
        self.lab = pair.lab
        self.mickey, self.minnie = pair.mickey, pair.minnie
        self.neigh = {"client": NeighMonitor(self.lab, "client"),
                      "server": NeighMonitor(self.lab, "server")}
        self.owners = Owners(self.lab)
        self.marks = []         # (time since 1970 in ns, what)
        self.control = None

    def mark(self, what):
        self.marks.append((time.time_ns(), what))

    def stream(self):
        s = Stream(self.lab)
        s.wait_flow()
        return s

    def watch(self, what, act, winner, loser_state=None, timeout=12.0):
        """Do it under the stream; (when, figures)."""
        stream = self.stream()
        stream.wait_packets(SETTLE)
        self.mark(what)
        start = now_ns()
        act()
        winner.wait_state("MASTER", timeout=timeout)
        loser = self.minnie if winner is self.mickey else self.mickey
        if loser_state:
            loser.wait_state(loser_state)
        stream.wait_flow()
        stream.wait_packets(SETTLE)
        return start, stream.stop().figures(start)

    def planned(self, what, act, winner, loser_state=None):
        """A planned change: it loses no more than doing nothing does."""
        start, f = self.watch(what, act, winner, loser_state)
        assert f.lost <= self.control.lost, (
            "%s lost %d packets, an idle run of as many %d" %
            (what, f.lost, self.control.lost))
        assert f.dup == 0
        return start

    def settle(self):
        self.mark("settle")
        self.pair.settle()


@pytest.fixture(scope="module")
def scene_of_file(pair):
    s = Scene(pair)
    stream = s.stream()
    stream.wait_packets(CONTROL)
    s.control = stream.stop().figures()
    return s


@pytest.fixture
def scene(scene_of_file):
    scene_of_file.settle()
    yield scene_of_file
    for net in ("lan", "wan", "sync"):
        scene_of_file.lab.plug("fw1", net)


def won(daemon, since, iface):
    """Why it became MASTER, as logged."""
    return wait_for(lambda: [cause for _, i, _, to, cause
                             in daemon.transitions(since)
                             if i == iface and to == "MASTER"], 5,
                    lambda: "a transition to MASTER of %s in the log:\n%s" % (
                        iface, daemon.proc.text()))[-1]


def both(daemon, since):
    return {won(daemon, since, "carp0"), won(daemon, since, "carp1")}


def test_idle_stream_is_whole(scene):
    """The control run: a quiet cluster loses and doubles nothing."""
    assert scene.control.lost == 0
    assert scene.control.dup == 0


def test_graceful_stop_and_return(scene):
    start = scene.planned("stop", scene.mickey.stop, scene.minnie)
    assert both(scene.minnie, start) == {"bow-out"}
    assert scene.minnie.cause("carp0") == "bow-out"
    start = scene.planned("return", scene.mickey.start, scene.mickey,
                          "BACKUP")
    assert both(scene.mickey, start) == {"preempt"}
    assert {c for _, _, _, to, c in scene.minnie.transitions(start)
            if to == "BACKUP"} == {"better master"}


def test_demote_and_promote(scene):
    start = scene.planned("demote", lambda: scene.mickey.ok("demote", "50"),
                          scene.minnie, "BACKUP")
    assert both(scene.minnie, start) == {"peer demoted"}
    shown = scene.mickey.show()
    assert [i["demotion"] for i in shown["interfaces"]] == [50, 50]
    start = scene.planned("promote", lambda: scene.mickey.ok("promote", "50"),
                          scene.mickey, "BACKUP")
    assert both(scene.mickey, start) == {"preempt"}
    assert scene.mickey.show()["interfaces"][0]["demotion"] == 0


def test_kill_engine(scene):
    start, f = scene.watch("kill engine", scene.mickey.kill_engine,
                           scene.minnie)
    assert both(scene.minnie, start) == {"engine died"}
    assert f.outage_ms < FAST_MS
    scene.mickey.wait_gone()
    assert not scene.lab.has_address("fw1", VIP_LAN)


def test_kill_parent(scene):
    start, f = scene.watch("kill parent", scene.mickey.kill_parent,
                           scene.minnie)
    assert both(scene.minnie, start) == {"parent died"}
    assert f.outage_ms < FAST_MS
    scene.mickey.wait_gone()


def test_kill_all(scene):
    """Nobody is left to say so: the dead node forwards until Minnie speaks."""
    start, f = scene.watch("kill all", scene.mickey.kill_all, scene.minnie)
    assert both(scene.minnie, start) == {"master down"}
    assert f.outage_ms < FAST_MS


def test_freeze_all_for_ten_seconds(scene):
    """SIGSTOP of all; when it wakes it must not think that it is MASTER."""
    start, f = scene.watch("freeze", scene.mickey.freeze, scene.minnie)
    assert both(scene.minnie, start) == {"master down"}
    assert f.outage_ms < FAST_MS
    wait_for(lambda: now_ns() - start > 10e9, 30, "ten seconds asleep", 0.1)
    assert set(scene.minnie.states().values()) == {"MASTER"}
    start, f = scene.watch("thaw", scene.mickey.thaw, scene.mickey, "BACKUP")
    assert both(scene.mickey, start) == {"preempt"}
    left = {c for _, _, frm, to, c in scene.mickey.transitions(start)
            if (frm, to) == ("MASTER", "BACKUP")}
    assert left and left <= {"late wake-up", "successor spoke"}
    assert f.lost <= scene.control.lost


@pytest.mark.parametrize("net,lost,other,neighbour",
                         [("lan", "carp0", "carp1", CLIENT4),
                          ("wan", "carp1", "carp0", SERVER4)])
def test_cable_of_one_leg(scene, net, lost, other, neighbour):
    start, f = scene.watch("pull " + net,
                           lambda: scene.lab.unplug("fw1", net),
                           scene.minnie)
    scene.mickey.wait_state("INIT", [lost])
    scene.mickey.wait_state("BACKUP", [other])
    assert won(scene.minnie, start, lost) == "peer gone"
    assert won(scene.minnie, start, other) == "peer demoted"
    assert scene.mickey.cause(lost) == "link"
    assert scene.mickey.show()["groups"][0]["demotion"] == 1
    assert f.outage_ms < FAST_MS

    def plug():
        # asked for in vain, the kernel would ask again a second later
        scene.lab.run("fw1", "ping", "-nc1", "-W0.1", neighbour, check=False)
        assert "INCOMPLETE" in scene.lab.ip("fw1", "neigh", "show", neighbour)
        scene.lab.plug("fw1", net)
    start, f = scene.watch("plug " + net, plug, scene.mickey, "BACKUP")
    assert both(scene.mickey, start) == {"preempt"}
    assert f.outage_ms < FAST_MS
    assert scene.mickey.show()["groups"][0]["demotion"] == 0


def test_all_cables(scene):
    start, f = scene.watch("pull all", lambda: scene.lab.unplug("fw1", "all"),
                           scene.minnie)
    scene.mickey.wait_state("INIT")
    assert both(scene.minnie, start) == {"master down"}
    assert scene.mickey.cause("carp0") == scene.mickey.cause("carp1") == "link"
    assert DEAD_MS[0] < f.outage_ms < DEAD_MS[1]
    start, f = scene.watch("plug all", lambda: scene.lab.plug("fw1", "all"),
                           scene.mickey, "BACKUP")
    assert f.outage_ms < FAST_MS


def test_backup_dies_unnoticed(scene):
    """The other one's death costs nothing and moves nothing."""
    stream = scene.stream()
    start = now_ns()
    scene.mark("backup dies")
    scene.minnie.kill_all()
    stream.wait_packets(1000)
    assert scene.mickey.transitions(start) == []
    scene.minnie.start()
    scene.minnie.wait_state("BACKUP")
    assert stream.stop().figures(start).lost <= scene.control.lost


def test_neighbours_knew_only_the_virtual_mac(scene):
    """Over the whole run, on both sides."""
    assert scene.neigh["client"].macs(VIP_LAN) == {vmac(1)}
    assert scene.neigh["server"].macs(VIP_WAN) == {vmac(2)}


def test_one_owner_at_a_time(scene):
    """Each event moved the virtual router once at most: nobody who had lost
    it claimed it again, and no BACKUP claimed it ever."""
    scene.owners.stop()
    marks = scene.marks + [(time.time_ns(), "end")]
    for net in ("lan", "wan"):
        moves = scene.owners.handovers(net)
        assert moves[0][1] == "fw1"
        for (begin, what), (end, _) in zip(marks, marks[1:]):
            during = [m for m in moves[1:] if begin <= m[0] < end]
            assert len(during) <= 1, "%s: %s moved the %s %d times: %s" % (
                net, what, net, len(during),
                ["%s +%.1f ms" % (h, (t - begin) / 1e6) for t, h in during])


def test_machines_are_as_they_were(scene_of_file):
    """Addresses, filters, routes, sysctls, after all those deaths."""
    pair = scene_of_file.pair
    pair.settle()
    pair.mickey.stop()
    pair.minnie.stop()
    assert difference(pair.before, snapshot(pair.lab)) == ""
