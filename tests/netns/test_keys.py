# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A cluster that runs gets keys, is made strict, and gets other keys.

One story: two nodes with carpd and pfsyncd, connections through them all the
time.  Each step changes one node and reloads it, and nothing may happen but
that: no election, no state lost.  Then what strict is for: an advertisement
with the pass alone, recordings of an earlier run, a node whose clock was set
back and whose file is gone.
"""
import hashlib
import re
import signal
import struct
from ipaddress import ip_address
from pathlib import Path

import pytest
from advert import Advert, packet_socket
from lab import PASS, VIP_LAN, Capture, Lab, now_ns, wait_for
from sync import (Cluster, Conn, entries, flows, make, sync_config,
                  wait_same)

STRANGER = "172.16.0.77"
DST_NET = "198."            # where the connections of `flows` go
LATE = 200_000_000          # ns: more than AUTH_LATE
KEYS = {1: "a1" * 32, 2: "b2" * 32}


def words(policy, keys=(), active=None):
    """auth and key of either configuration."""
    if not keys:
        return ""
    return "auth %s\n%s" % (policy, "".join(
        'key "%s" id %d%s\n' % (KEYS[k], k, " active" if k == active else "")
        for k in keys))


class Scene:
    def __init__(self, lab):
        self.lab = lab
        lab.nat()
        self.cluster = Cluster(lab, wait=0)
        self.nodes = self.cluster.nodes
        self.texts = [n.carpd.conf.read_text() for n in self.nodes]
        self.cluster.settle()
        self.conn = Conn.snat(lab)
        self.conn.wait_flow()

    def change(self, i, *auth, more=""):
        """Another auth on node i: both its daemons reload it."""
        n = self.nodes[i]
        n.carpd.write(words(*auth) + self.texts[i])
        n.pfsyncd.write(sync_config(n.carpd.sock, words(*auth) + more))
        n.carpd.ok("reload")
        seen = n.pfsyncd.proc.text().count("reloaded")
        n.pfsyncd.proc.signal(signal.SIGHUP)
        wait_for(lambda: n.pfsyncd.proc.text().count("reloaded") > seen, 10,
                 lambda: n.pfsyncd.proc.text())

    def speaks(self, i, key, auth="verified"):
        """What node i finds in the packets of the other one, everywhere."""
        n = self.nodes[i]
        sync = [p for p in n.pfsyncd.peers() if p["alive"]]
        carp = [p for p in n.carpd.show("peers")["peers"]
                if p["kind"] == "carpd" and p["drop"] != "replay"]
        return sync and all(
            (p["key"], p["auth"]) == (key, auth) for p in sync + carp)

    def wait_speaks(self, key, auth="verified", who=(0, 1)):
        for i in who:
            wait_for(lambda i=i: self.speaks(i, key, auth), 10, lambda i=i:
                     "node %d: key %s %s: %s %s" % (
                         i, key, auth, self.nodes[i].carpd.show("peers"),
                         self.nodes[i].pfsyncd.peers()))

    def well(self):
        """Nothing has moved, all is in step, and bytes go through."""
        for n, state in zip(self.nodes, ("MASTER", "BACKUP")):
            assert set(n.carpd.states().values()) == {state}
            n.pfsyncd.wait_in_step()
        self.conn.wait_flow(now_ns())

    def moves_of(self, i):
        return len(self.nodes[i].carpd.show("history")["history"])

    def moves(self):
        return [self.moves_of(i) for i in range(len(self.nodes))]

    def sum(self, i, *names):
        c = self.nodes[i].carpd.counters()
        return sum(c[n] for n in names)


@pytest.fixture(scope="module")
def scene():
    with Lab("nky") as lab:
        yield Scene(lab)


def step(scene, *auth, key, first=None):
    """The change on Mickey, then on Minnie."""
    scene.change(0, *auth)
    scene.well()
    if first is not None:
        scene.wait_speaks(*first, who=(1,))
    scene.change(1, *auth)
    scene.wait_speaks(key)
    scene.well()


def test_from_nothing_to_strict_and_to_another_key(scene):
    before = scene.moves()
    # a node that has no key yet does not mind those of the other one
    step(scene, "permissive", (1,), 1, key=1,
         first=(1, "a key that is not configured here"))
    step(scene, "strict", (1,), 1, key=1)
    # a rollover: accepted by all, then sent by all, then the only one
    step(scene, "strict", (1, 2), 1, key=1)
    step(scene, "strict", (1, 2), 2, key=2, first=(2,))
    step(scene, "strict", (2,), 2, key=2)
    assert scene.moves() == before
    assert scene.conn.check()
    for n in scene.nodes:
        secrets = n.carpd.text() + n.pfsyncd.text() + \
            n.carpd.ok("show", "peers") + n.pfsyncd.ok("show", "sync")
        for k in KEYS.values():
            assert k not in secrets and k.encode() not in b"".join(
                Path("/proc/%d/cmdline" % pid).read_bytes()
                for pid in n.carpd.pids() + n.pfsyncd.pids())


def native(frame):
    """The version of a native packet over IPv4, or None."""
    body = frame[34:]
    return body[24] if body[20:24] == b"pfsN" else None


def told(scene, base):
    """50 new connections, as native packets; and the addresses of one."""
    lab = scene.lab
    c = Capture(lab, "fw2", "sync0", "ip proto 240")
    make(lab, "fw1", 50, "--snat", "--base", str(base))
    wait_same(lab, least=50)
    line = [e for e in entries(lab, "fw1") if DST_NET in e][0]
    ends = b"".join(ip_address(a).packed for a in
                    re.findall(r"\d+\.\d+\.\d+\.\d+", line)[:2])
    frames = [f for _, f in c.stop().frames() if native(f)]
    flows(lab, "fw1", "del", 50, "--base", str(base))
    wait_same(lab)
    return {native(f) for f in frames}, any(ends in f for f in frames)


def test_encrypted_states(scene):
    """Node after node; what was to be read before is not any more."""
    moves = scene.moves()
    assert told(scene, 1000) == ({1}, True)
    for i in (0, 1):
        scene.change(i, "strict", (2,), 2, more="encrypt yes\n")
        wait_for(lambda i=i: all(p["encrypted"] for p in
                                 scene.nodes[1 - i].pfsyncd.peers()), 10,
                 lambda i=i: scene.nodes[1 - i].pfsyncd.peers())
        scene.well()
    assert told(scene, 2000) == ({0x81}, False)
    assert scene.moves() == moves


def test_the_pass_alone_is_not_enough(scene):
    """What a BSD host would say, with a better advskew than the MASTER's."""
    minnie = scene.nodes[1].carpd
    before, moves = scene.sum(1, "noauth"), scene.moves()
    sock = packet_socket(scene.lab, "client", "eth0")
    frame = Advert(vhid=1, password=PASS, advbase=0, advskew=0,
                   addresses=[VIP_LAN], src=STRANGER).frame()
    for _ in range(20):
        sock.send(frame)
    wait_for(lambda: scene.sum(1, "noauth") >= before + 20, 5,
             lambda: minnie.counters())
    assert ["no key, and auth is strict"] == [
        p["status"] for p in minnie.show("peers")["peers"]
        if p["address"] == STRANGER]
    assert scene.moves() == moves
    sock.close()
    scene.well()


def test_recordings_of_an_earlier_run(scene):
    """Minnie reboots; all that Mickey ever said is played to her."""
    mickey, minnie = (n.carpd for n in scene.nodes)
    c = Capture(scene.lab, "fw1", "lan0", "ip proto 112", way="out")
    wait_for(lambda: len(c.frames()) > 20, 5, "adverts of Mickey")
    mickey.stop()                       # his goodbye is among them
    minnie.wait_state("MASTER")
    frames = [f for _, f in c.stop().frames()]
    mickey.start()
    mickey.wait_state("MASTER")
    minnie.stop()
    minnie.start()
    minnie.wait_state("BACKUP")
    wait_for(lambda: scene.speaks(1, 2), 10, "Minnie knows Mickey")
    moves = scene.moves()
    before = scene.sum(1, "unproven", "replay")
    sock = packet_socket(scene.lab, "client", "eth0")
    for f in frames:
        sock.send(f)
    wait_for(lambda: scene.sum(1, "unproven", "replay") >=
             before + len(frames), 5, lambda: minnie.counters())
    sock.close()
    assert scene.moves() == moves
    scene.well()


def test_recordings_of_what_was_not_heard(scene):
    """Mickey dies; what he said while Minnie had no cable is played to her."""
    mickey, minnie = (n.carpd for n in scene.nodes)
    scene.lab.unplug("fw2", "lan")
    minnie.wait_state("INIT", ("carp0",))
    c = Capture(scene.lab, "fw1", "lan0", "ip proto 112", way="out")
    wait_for(lambda: len(c.frames()) > 3, 10, "adverts of Mickey")
    mickey.kill_all()
    died = now_ns()
    frames = [f for _, f in c.stop().frames()]
    scene.lab.plug("fw2", "lan")
    minnie.wait_state("MASTER", timeout=15)
    wait_for(lambda: now_ns() > died + LATE, 5, "nothing is just late")
    moves = scene.moves_of(1)
    before = scene.sum(1, "unproven", "replay")
    sock = packet_socket(scene.lab, "client", "eth0")
    for f in frames:
        sock.send(f)
    wait_for(lambda: scene.sum(1, "unproven", "replay") >=
             before + len(frames), 5, lambda: minnie.counters())
    sock.close()
    assert scene.moves_of(1) == moves
    mickey.start()
    mickey.wait_state("MASTER", timeout=15)
    minnie.wait_state("BACKUP")
    scene.well()


def record(path, ms):
    """As it is, of a start so much later (common/epoch.c)."""
    magic, epoch, node, pad, _ = struct.unpack("=QQIIQ", path.read_bytes())
    body = struct.pack("=QQII", magic, epoch + (ms << 22), node, pad)
    return body + hashlib.sha256(body).digest()[:8]


def test_a_lost_file_and_a_clock_set_back(scene):
    """Minnie comes back with an epoch far below the one she had."""
    n = scene.nodes[1]
    n.stop()
    files = [Path(str(d.sock)[:-len(".sock")] + ".epoch")
             for d in n.daemons()]
    for ahead in (True, False):
        for f in files:
            if ahead:
                f.write_bytes(record(f, 20 * 365 * 86400 * 1000))
            else:
                f.unlink()
        n.start()
        scene.wait_speaks(2)
        scene.well()
        n.stop()
    n.start()
    scene.wait_speaks(2)
    scene.well()
