# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Somebody meddles with pfsyncd: floods, stopped children, a syncdev that goes.

Nothing of it may end, block or bloat a process, fill the log, or keep new
flows from the peer for longer than it lasts.  fw1's daemon is the one that
suffers; what is sent to it comes from fw2's end of the sync network.
"""
import contextlib
import hashlib
import hmac
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from advert import checksum, packet_socket
from lab import TREE, Daemon, Lab, config, now_ns, wait_for
from sync import (GROUP, SYNC4, Sync, cpu_us, flows, make, memory_kib,
                  sync_config, wait_count, wait_same)

FLOOD_S = 0.8
STOPPED_S = 2.2         # a peer is called silent after 3
STRANGER = "192.168.2.77"
LINES = 12              # of a kind in a minute, the summary included

# instrumented memory is larger
SHADOW = 4 if "ASAN_OPTIONS" in os.environ else 1


class Pair:
    """pfsyncd on both; fw1's looks for a carpd that is seldom there."""

    def __init__(self, lab):
        self.lab = lab
        self.carpd = Daemon(lab, "fw1", config(0, base=0), "Mickey")
        self.one = Sync(lab, "fw1", sync_config(self.carpd.sock), "one")
        self.two = Sync(lab, "fw2", sync_config(), "two")
        self.made = 0

    def settle(self):
        for d in (self.one, self.two):
            if not d.running():
                d.start()
        for d in (self.one, self.two):
            d.wait_in_step()
        return self

    def more(self, n=200):
        """New flows here; how many there are."""
        make(self.lab, "fw1", n, "--snat", "--base", self.made)
        self.made += n
        return self.made

    def replicates(self, timeout=10):
        n = self.more()
        wait_same(self.lab, timeout, least=n)


@pytest.fixture(scope="module")
def pair_of_file():
    with Lab("nsx") as lab:
        lab.nat()
        yield Pair(lab)


@pytest.fixture
def pair(pair_of_file):
    """Whatever happened: the same processes, alive, and they replicate."""
    p = pair_of_file
    if not (p.one.running() and p.two.running()):
        p.settle()
    pids = p.one.pids()
    p.since = now_ns()
    yield p
    assert p.one.pids() == pids and p.one.running()
    p.replicates()


def wakeups(pid):
    text = Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])


def test_at_rest(pair):
    """A hello a second, and nothing else to do."""
    d = pair.one
    pids = (d.proc.pid, d.engine, d.table)
    before = [wakeups(p) for p in pids], cpu_us(pids)
    start = now_ns()
    wait_for(lambda: now_ns() - start > 2e9, 8, "two seconds", 0.5)
    assert all(wakeups(p) - n < 2 * 10 for p, n in zip(pids, before[0]))
    assert cpu_us(pids) - before[1] < 50000


# ---- floods ----

def frame(payload, ident=0, off=0x4000, ttl=255):
    """A frame to the group from a stranger."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0x10, 20 + len(payload), ident,
                       off, ttl, 240, 0, socket.inet_aton(STRANGER),
                       socket.inet_aton(GROUP))
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return bytes.fromhex("01005e0000f002cafe0300c90800") + head + payload


EPOCH = int(time.time() * 1000)


def native(node, seq, tlvs=b""):
    """A packet that is right in the way of nodes without a key."""
    body = struct.pack("!BxH16x4sBBHIIQQ", 6, 20, b"pfsN", 1, 0,
                       32 + len(tlvs), 1, 0, 0, 0) + tlvs
    body += struct.pack("!4sBBHIHHQQ", b"pfsA", 1, 1, 0, node, 64, 0, EPOCH,
                        seq)
    key = hmac.new(b"pfsyncd-trailer-key-v1", b"", hashlib.sha256).digest()
    context = struct.pack("!16sBBxx4s12x4s12x", b"pfsyncd-auth-v1", 4, 240,
                          socket.inet_aton(STRANGER), socket.inet_aton(GROUP))
    return frame(body + hmac.new(key, context + body,
                                 hashlib.sha256).digest())


def tlv(kind, value):
    return struct.pack("!BBH", kind, 0, len(value)) + value


def rubbish(_):
    r = random.Random(1)
    return [frame(r.randbytes(n)) for n in (4, 20, 60, 300, 1400) * 40] + \
        [frame(b"\x06\0\0\x14" + bytes(16) + r.randbytes(n))
         for n in (0, 1, 32, 100, 1400) * 40] + \
        [frame(r.randbytes(1000), n, off) for n in range(20)
         for off in (0x2000, 10)]


def strangers(_):
    """One packet each of more nodes than there can be."""
    return [native(0x1000 + n, 1) for n in range(1000)]


def questions(node):
    """All that can be asked, by as many as are listened to."""
    asked = tlv(12, struct.pack("!III", node, 0, 4095)) + \
        tlv(6, struct.pack("!I", node)) + \
        tlv(8, struct.pack("!IQ", node, 2**64 - 1)) + \
        tlv(10, struct.pack("!I128I", node, *range(128)))
    return [native(0x1000 + n % 8, 2 + n // 8, asked) for n in range(1000)]


def acknowledgements(node):
    """Of packets that were never sent, and no room for more."""
    acks = tlv(1, struct.pack("!IIQQ", node, 0, 2**63, 2**64 - 1) * 20)
    return [native(0x2000, 1 + n, acks) for n in range(500)]


@contextlib.contextmanager
def flood(lab, frames):
    """As fast as it goes, for as long as the block lasts; [how many]."""
    sock = packet_socket(lab, "fw2", "sync0")
    sent, end = [0], threading.Event()

    def run():
        while not end.is_set():
            for f in frames:
                with contextlib.suppress(OSError):
                    sock.send(f)
                    sent[0] += 1
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        end.set()
        thread.join()
        sock.close()


@pytest.mark.parametrize("what", [rubbish, strangers, questions,
                                  acknowledgements])
def test_flood(pair, what):
    one, start = pair.one, now_ns()
    frames = what(int(one.show()["node"], 16))
    lines, before = len(one.proc.lines), memory_kib(one.kids)
    with flood(pair.lab, frames) as sent:
        wait_for(lambda: sent[0] > 0, 5, "the flood begins")
        pair.more()
        while now_ns() - start < FLOOD_S * 1e9 or sent[0] < 5000:
            assert one.show(), "it answers meanwhile"
            assert now_ns() - start < 60e9, "only %d packets" % sent[0]
    wait_count(pair.lab, "fw2", pair.made)
    assert len(one.peers()) <= 16
    # one line for each address and reason, not for each packet
    assert len(one.proc.lines) <= lines + 4
    assert memory_kib(one.kids) < before + 4096


# ---- children that do not run ----

@pytest.mark.parametrize("who,child", [
    ("one", "engine"), ("one", "table"), ("two", "table")])
def test_child_stopped(pair, who, child):
    """It catches up; what cannot wait for it does not."""
    d = getattr(pair, who)
    pid, lines = getattr(d, child), len(d.proc.lines)
    others = [p for p in d.pids() if p != pid]
    before = cpu_us(others), memory_kib(others)
    os.kill(pid, signal.SIGSTOP)
    try:
        start = now_ns()
        n = pair.more(5000)
        flows(pair.lab, "fw1", "update", 500, "--base", n - 5000, "--state",
              "FIN_WAIT", "--timeout", "600")
        if child == "table":
            for _ in range(2):          # a second each
                assert d.show()["kernel"] is not None
        wait_for(lambda: now_ns() - start > STOPPED_S * 1e9, 10,
                 "it is stopped for a while", 0.1)
        assert cpu_us(others) - before[0] < STOPPED_S * 1e6 / 4
        assert memory_kib(others) < before[1] + 8192
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_same(pair.lab, 15, least=n)
    assert len(d.proc.lines) < lines + LINES


# ---- control clients ----

def show_request():
    """The bytes of a CTL_SHOW (common/imsg.c)."""
    names = re.findall(r"^\tX\((\w+),", (TREE / "pfsyncd" / "msgs.h"
                                        ).read_text(), re.M)
    return struct.pack("=IIIHH", 0x43724d31, names.index("CTL_SHOW") + 1, 0,
                       0, 0)


def test_client_that_does_not_read(pair):
    """It is cut off at 4 MiB."""
    one, before = pair.one, memory_kib([pair.one.engine])
    ask, clients = show_request() * 500, []
    for _ in range(4):
        s = socket.socket(socket.AF_UNIX)
        s.connect(one.sock)
        s.setblocking(False)
        clients.append(s)

    def cut():
        for s in list(clients):
            try:
                s.send(ask)
            except BlockingIOError:
                continue
            except OSError:
                s.close()
                clients.remove(s)
        assert memory_kib([one.engine]) < before + 4 * 8192 * SHADOW
        return not clients
    wait_for(cut, 10, "all are cut off", 0.01)
    assert one.show()
    # the questions to the table process went with them
    wait_for(lambda: one.show()["kernel"]["count"] > 0, 5, "it counts")


# ---- the sync interface ----

def addresses(lab, verb, n):
    lab.run("fw1", "ip", "-b", "-", data="".join(
        "addr %s 10.%d.%d.1/32 dev wan0\n" % (verb, 77 + i // 250, i % 250)
        for i in range(n)))


def test_more_own_addresses_than_we_know(pair):
    """Said once, not for each."""
    lines = len(pair.one.proc.lines)
    addresses(pair.lab, "add", 700)
    pair.one.proc.wait_line("more than 512 own addresses", since=pair.since)
    pair.replicates()
    addresses(pair.lab, "del", 700)
    addresses(pair.lab, "add", 700)
    pair.replicates()
    addresses(pair.lab, "del", 700)
    assert len(pair.one.proc.lines) == lines + 1


def hold_is(d, reason):
    wait_for(lambda: d.show()["hold_reason"] == reason, 5,
             lambda: "the hold is %s: %s" % (reason, d.show()))


def test_syncdev_changes(pair):
    """Too small, without address, gone, and there again each time."""
    lab, one = pair.lab, pair.one
    for mtu, reason in ((600, "syncdev"), (1400, None), (1500, None)):
        lab.ip("fw1", "link", "set", "dev", "sync0", "mtu", str(mtu))
        hold_is(one, reason)
        pair.more()
    one.proc.wait_line("sync0 has an MTU that is too small",
                       since=pair.since)
    wait_same(lab, 10, least=pair.made)
    lab.ip("fw1", "addr", "flush", "dev", "sync0")
    hold_is(one, "syncdev")
    pair.more()
    lab.ip("fw1", "addr", "add", "192.168.2.210/24", "dev", "sync0")
    wait_same(lab, 10, least=pair.made)
    lab.ip("fw1", "link", "del", "dev", "sync0")
    one.proc.wait_line("sync0: link gone", since=pair.since)
    pair.more()
    lab.ip("fw1", "link", "add", "dev", "sync0", "address",
           "02:ca:fe:03:00:c8", "type", "veth", "peer", "name", "fw1",
           "netns", lab.ns("sync"))
    lab.ip("sync", "link", "set", "dev", "fw1", "master", "br0", "up")
    lab.ip("fw1", "link", "set", "dev", "sync0", "up")
    lab.ip("fw1", "addr", "add", SYNC4["fw1"] + "/24", "dev", "sync0")
    wait_same(lab, 10, least=pair.made)
    assert len(one.proc.grep(".", pair.since)) < 25


def test_reload_of_sockets(pair):
    """Another syncdev, another syncpeer, and what is wrong."""
    one, two = pair.one, pair.two
    good = one.conf.read_text(), two.conf.read_text()

    def reload(d, text, says):
        since = now_ns()
        d.write(text)
        d.proc.signal(signal.SIGHUP)
        d.proc.wait_line(says, since=since)
    reload(one, sync_config(syncdev="nope0"), "nope0 does not exist")
    hold_is(one, "syncdev")
    reload(one, good[0], "syncing from %s with %s" % (SYNC4["fw1"], GROUP))
    pair.replicates()
    # one that cannot be used yet: the old one is not listened to any more
    pair.lab.ip("fw1", "link", "add", "bare0", "up", "type", "veth",
                "peer", "name", "bare1")
    pair.lab.ip("fw1", "link", "set", "dev", "bare1", "up")
    reload(one, sync_config(syncdev="bare0"), "bare0 has no IPv4 address")
    hold_is(one, "syncdev")
    wait_for(lambda: not two.in_step(), 10, "silence")
    heard, sent = one.counters()["ipackets"], two.counters()["opackets"]
    wait_for(lambda: two.counters()["opackets"] > sent + 2, 10, "more hellos")
    assert one.counters()["ipackets"] == heard
    reload(one, good[0], "syncing from %s with %s" % (SYNC4["fw1"], GROUP))
    pair.lab.ip("fw1", "link", "del", "bare0")
    pair.replicates()
    for d, peer, text in ((one, "fw2", good[0]), (two, "fw1", good[1])):
        reload(d, "syncpeer %s\n%s" % (SYNC4[peer], text),
               "with " + SYNC4[peer])
    pair.replicates()
    reload(one, "syncpeer %s\n%s" % (SYNC4["fw1"], good[0]),
           "an address of our own")
    reload(one, "rubbish\n", "not reloaded")
    reload(one, good[0] + "maxstates 1000\n", "not reloaded")
    for d, text in ((one, good[0]), (two, good[1])):
        reload(d, text, "with " + GROUP)
    for _ in range(100):
        one.proc.signal(signal.SIGHUP)


# ---- carpd, files, other instances ----

def test_carpd_comes_and_goes(pair):
    d = pair.carpd
    try:
        for _ in range(5):
            d.start()
            d.stop()
        d.start()
        wait_for(lambda: pair.one.show()["carpd"], 5, "carpd is found")
        wait_for(lambda: pair.one.show()["masters"] == 2, 5,
                 "two MASTERs are told")
    finally:
        if d.running():
            d.stop()
    assert len(pair.one.proc.grep("carpd", pair.since)) <= 2 * 7


def test_no_room_for_hints(pair):
    """Said once, and a restart does without."""
    other = Sync(pair.lab, "server", sync_config(syncdev="eth0"), "full")
    small = pair.lab.dir / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none",
                    str(small)], check=True)
    try:
        other.sock = str(small / "full.sock")
        for _ in range(2):
            other.start()
            other.proc.wait_line("hint file: no room")
            make(pair.lab, "server", 10)
            flows(pair.lab, "server", "del", 10)
            assert len(other.proc.grep("hint file")) == 1
            other.kill_all()
        with contextlib.suppress(OSError), open(small / "filler", "wb",
                                                0) as f:
            while True:
                f.write(bytes(4096))
        for _ in range(3):          # not even for the head of it
            other.start()
            other.proc.wait_line("hint file: a restart will begin")
            make(pair.lab, "server", 10)
            flows(pair.lab, "server", "del", 10)
            assert other.running()
            other.kill_all()
        other.start()
        assert other.stop() == 0
    finally:
        if other.running():
            other.kill_all()
        subprocess.run(["umount", str(small)], check=True)


def test_second_instance(pair):
    """It is told who is there, and leaves nothing behind."""
    lab, argv = pair.lab, pair.one.argv()
    before = sorted(os.listdir(lab.dir))
    at = argv.index("-s") + 1

    def refused(argv, why):
        p = lab.spawn("fw1", *argv)
        assert p.wait() == 1
        assert why in p.text()
    refused(argv, "another pfsyncd answers there")
    refused(argv[:at] + [argv[at] + "2"] + argv[at + 1:],
            "another pfsyncd has this syncdev")
    refused(argv[:-1] + ["nosuchuser"], "user nosuchuser does not exist")
    assert sorted(os.listdir(lab.dir)) == before
    # a socket that a killed one left is no obstacle
    pair.two.kill_all()
    assert os.path.exists(pair.two.sock)
    pair.two.start().wait_in_step()
