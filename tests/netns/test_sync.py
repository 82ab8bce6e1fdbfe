# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Live connections through NAT outlive every death of their firewall.

One cluster lives through the file, with one TCP connection through the SNAT,
one through the DNAT and a UDP stream, all begun before the first death.  After
each step both kernels' tables are compared as sets, NAT included, and 100 MB
go through the node that has the work now: far more than any window, so that a
stale one would show.  advbase 0: an election takes some milliseconds, so what
a returning node knows when it preempts is put to the hardest test.

The control is the same cluster without pfsyncd: the same connections die.
"""
import os
from pathlib import Path

import pytest
from lab import SERVER4, Lab, Stream, now_ns, wait_for
from sync import MB, Cluster, Conn, compare, entries, same, wait_same

MOVED = 100 * MB
DEAD_S = 3.0            # a connection without a byte for so long is dead


class Traffic:
    """The three streams."""

    def __init__(self, lab):
        self.lab = lab
        self.out = Conn.snat(lab)
        self.into = Conn.dnat(lab)
        self.udp = Stream(lab, interval_us=5000)
        self.conns = (self.out, self.into)

    def wait_flow(self, since=None):
        since = now_ns() if since is None else since
        for c in self.conns:
            c.wait_flow(since)
        self.udp.wait_flow(since)

    def stop(self):
        """The connections' last reports."""
        self.udp.stop()
        return [c.stop() for c in self.conns]

    def move(self, n=MOVED):
        for c in self.conns:
            c.bulk(n)


class Scene:
    def __init__(self, lab):
        self.lab = lab
        self.cluster = Cluster(lab)
        self.mickey, self.minnie = self.cluster.nodes
        self.sent = {}

    def begin(self):
        self.lab.nat()
        self.cluster.settle()
        self.traffic = Traffic(self.lab)
        self.traffic.wait_flow()
        return self

    def forwarded(self, host):
        """Bytes that left a node for both networks since the last call."""
        sent = sum(int(self.lab.run(host, "cat", "/sys/class/net/%s/statistics"
                                    "/tx_bytes" % dev))
                   for dev in ("lan0", "wan0"))
        moved, self.sent[host] = sent - self.sent.get(host, 0), sent
        return moved

    def moved_to(self, node, since, timeout=12.0):
        """It is MASTER, all streams go on through it, 100 MB do."""
        node.carpd.wait_state("MASTER", timeout=timeout)
        self.traffic.wait_flow(since)
        self.forwarded(node.host)
        self.traffic.move()
        assert self.forwarded(node.host) > MOVED

    def back(self, since):
        """Mickey has the work again, and both kernels the same states."""
        self.cluster.settle()
        self.moved_to(self.mickey, since)
        self.equal()

    def equal(self):
        return wait_same(self.lab, least=3)

    def stream_lines(self):
        """The three flows as the tables have them."""
        return {h: [x for x in entries(self.lab, h) if "172.16.0.10" in x]
                for h in ("fw1", "fw2")}


@pytest.fixture(scope="module")
def scene_of_file():
    with Lab("nsy") as lab:
        yield Scene(lab).begin()


@pytest.fixture
def scene(scene_of_file):
    for host in ("fw1", "fw2"):
        scene_of_file.lab.plug(host, "all")
    scene_of_file.cluster.settle()
    scene_of_file.traffic.wait_flow()
    return scene_of_file


def test_both_kernels_have_the_translated_flows(scene):
    scene.equal()
    lines = scene.stream_lines()
    assert lines["fw1"] == lines["fw2"]
    text = "\n".join(lines["fw1"])
    assert len(lines["fw1"]) == 3, text
    # SNAT: replies go to the virtual address; DNAT: they come from inside
    assert text.count("> 172.16.240.202:") == 3, text
    assert " reply 172.16.0.10:8080 > 172.16.240.10:" in text
    assert text.count("REPLIED ASSURED ESTABLISHED wscale ") == 2, text


def test_graceful_stop_and_return(scene):
    start = now_ns()
    scene.mickey.stop()
    scene.moved_to(scene.minnie, start)
    start = now_ns()
    scene.back(start)


def test_carpd_killed(scene):
    """pfsyncd goes on: Minnie's new work is told to Mickey meanwhile."""
    start = now_ns()
    scene.mickey.carpd.kill_all()
    scene.moved_to(scene.minnie, start)
    scene.equal()
    start = now_ns()
    scene.back(start)


def test_pfsyncd_killed_then_carpd_stopped(scene):
    """The replicas of a dead pfsyncd stay: they are what saves the streams."""
    before = scene.stream_lines()
    scene.mickey.pfsyncd.kill_all()
    start = now_ns()
    scene.mickey.carpd.stop()
    scene.moved_to(scene.minnie, start)
    assert scene.stream_lines()["fw2"] == before["fw2"]
    start = now_ns()
    scene.back(start)


def test_both_killed(scene):
    start = now_ns()
    for d in (scene.mickey.pfsyncd, scene.mickey.carpd):
        d.freeze()
    for d in (scene.mickey.pfsyncd, scene.mickey.carpd):
        d.kill(*d.pids())
    scene.moved_to(scene.minnie, start)
    start = now_ns()
    scene.back(start)


def test_lan_cable(scene):
    start = now_ns()
    scene.lab.unplug("fw1", "lan")
    scene.moved_to(scene.minnie, start)
    scene.equal()
    start = now_ns()
    scene.lab.plug("fw1", "lan")
    scene.back(start)


def test_all_cables(scene):
    """Mickey's kernel keeps its old entries, with old windows, meanwhile."""
    start = now_ns()
    scene.lab.unplug("fw1", "all")
    scene.moved_to(scene.minnie, start)
    start = now_ns()
    scene.lab.plug("fw1", "all")
    scene.back(start)


def test_power_cut(scene):
    """Reboot: Mickey's table is empty, and full before it preempts."""
    start = now_ns()
    scene.lab.reboot("fw1")
    for d in scene.mickey.daemons():
        d.proc.wait()
    scene.moved_to(scene.minnie, start)
    scene.lab.nat(["fw1"])
    assert entries(scene.lab, "fw1") == []
    start = now_ns()
    scene.back(start)


def test_to_and_fro(scene):
    """Demoted and promoted: nobody dies, the work moves again and again."""
    for _ in range(10 if os.environ.get("CHECK_LONG") else 2):
        start = now_ns()
        scene.mickey.carpd.ok("demote", "50")
        scene.moved_to(scene.minnie, start)
        scene.equal()
        start = now_ns()
        scene.mickey.carpd.ok("promote", "50")
        scene.moved_to(scene.mickey, start)
        scene.equal()


def test_pfsyncd_of_the_backup_killed(scene):
    """Not noticed by the streams; when it is back it is in step."""
    scene.minnie.pfsyncd.kill_all()
    scene.traffic.move()
    fresh = Conn.snat(scene.lab, port=7009)
    fresh.wait_flow()
    assert not same(compare(scene.lab)[0])
    scene.minnie.pfsyncd.start()
    scene.cluster.settle()
    scene.equal()
    start = now_ns()
    scene.mickey.carpd.ok("demote", "50")
    scene.moved_to(scene.minnie, start)
    fresh.wait_flow()
    fresh.stop()
    scene.mickey.carpd.ok("promote", "50")


@pytest.mark.parametrize("how", ["restart", "kill", "kill, no hints"])
def test_pfsyncd_of_the_master_restarted(scene, how):
    """MASTER stays where it is: nothing is held against it for a moment, and
    the streams go on, also through the other one afterwards."""
    start = now_ns()
    if how == "restart":
        scene.mickey.pfsyncd.stop()
    else:
        scene.mickey.pfsyncd.kill_all()
    if how == "kill, no hints":
        Path(scene.mickey.pfsyncd.sock).with_suffix(".states").unlink()
    scene.mickey.pfsyncd.start()
    scene.traffic.wait_flow()
    scene.equal()
    carpd = scene.mickey.carpd
    assert carpd.transitions(start) == []
    assert carpd.proc.grep(r"pfsyncd demoted group", start) == []
    scene.traffic.move(10 * MB)
    start = now_ns()
    carpd.ok("demote", "50")
    scene.moved_to(scene.minnie, start)
    carpd.ok("promote", "50")
    scene.back(now_ns())


def test_streams_are_those_of_the_beginning(scene):
    """Nothing was begun anew under the tests' eyes."""
    for c in scene.traffic.conns:
        r = c.check()
        assert r["got"] > 10 * MOVED


def test_the_control_without_pfsyncd(scene_of_file):
    """The same with pfsyncd off: what the streams above lived on."""
    scene = scene_of_file
    lab = scene.lab
    scene.cluster.settle()
    scene.traffic.stop()
    for n in scene.cluster.nodes:
        n.pfsyncd.stop()
    conns = [Conn.snat(lab), Conn.dnat(lab)]
    for c in conns:
        c.wait_flow()
    assert compare(lab)[0]["missing"] >= 2
    scene.mickey.carpd.ok("demote", "50")
    scene.minnie.carpd.wait_state("MASTER")
    wait_for(lambda: lab.pings("client", SERVER4), 5,
             "Minnie forwards what is new")

    def dead(c):
        r = c.report()
        return not r["alive"] or now_ns() - r["heard_ns"] > DEAD_S * 1e9
    # Mickey forwards for a moment after Minnie has spoken
    wait_for(lambda: all(dead(c) for c in conns), DEAD_S + 2,
             lambda: "both are dead: %s" % [c.report() for c in conns], 0.1)
