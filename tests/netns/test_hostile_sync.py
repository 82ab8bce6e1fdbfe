# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Somebody on the sync network forges: with a key nothing of it enters, without
one what enters is bounded."""
import random
import socket
import struct

import pytest
from advert import packet_socket
from lab import Capture, Lab, now_ns, wait_for
from sync import (KEY, SYNC4, Sync, entries, make, memory_kib, sync_config,
                  wait_same)
from test_sync_robust import (acknowledgements, flood, native, questions,
                              rubbish, strangers, tlv)

FLOOD_S = 1.5
MAXSTATES = 5000
OWN = 10                # of the firewall's own
GROWTH_KIB = 4096
MTU = 15                # NATIVE_MTU
LINES = 10              # of one kind in the log, within a minute
FORGED = "198.51.100."          # where forged states go


def state(n, node):
    """A native record of a TCP connection, all in order."""
    src = socket.inet_aton("203.0.113.%d" % (n >> 16 & 0xff))
    dst = socket.inet_aton(FORGED + "1")
    there = struct.pack("!4s4sHH", src, dst, n & 0xffff | 1, 80)
    back = struct.pack("!4s4sHH", dst, src, 80, n & 0xffff | 1)
    return struct.pack("!QII12s12sIIHBB4B", now_ns() + n, node, node, there,
                       back, 0, 3600, 0, 6, 3, 3, 0, 0, 0)


def forged(_):
    """Packets full of states, each another one, from eight nodes, which say
    another MTU each time."""
    frames = []
    for n in range(2000):
        who = 0x1000 + n % 8
        states = b"".join(state(20 * n + i << 1, who) for i in range(20))
        frames.append(native(who, 1 + n // 8, tlv(2, states) +
                             tlv(MTU, struct.pack("!I", 800 + n))))
    return frames


def forged_entries(lab):
    return [e for e in entries(lab, "fw1", own=True) if FORGED in e]


@pytest.fixture
def lab():
    with Lab("nsf") as the_lab:
        the_lab.nat()
        yield the_lab


def pair(lab, more):
    """Both in step, with some flows."""
    both = [Sync(lab, host, sync_config(more=more), name)
            for host, name in (("fw1", "one"), ("fw2", "two"))]
    for d in both:
        d.start()
    for d in both:
        d.wait_in_step()
    make(lab, "fw2", 100, "--snat")
    wait_same(lab, 10, least=100)
    return both


def flooded(lab, one, frames):
    with flood(lab, frames) as sent:
        start = now_ns()
        while now_ns() - start < FLOOD_S * 1e9:
            assert one.show(), "it answers meanwhile"
    assert sent[0] > 5000


def test_with_a_key_nothing_enters(lab):
    one, two = pair(lab, 'key "%s"' % KEY)
    before = entries(lab, "fw1", own=True)
    peers = [p["node"] for p in one.peers()]
    node, kib = int(one.show()["node"], 16), memory_kib(one.kids)
    own = Capture(lab, "sync", "fw2", "inbound and ip proto 240 and ip src " +
                  SYNC4["fw2"])
    wait_for(lambda: len(own.frames()) > 2, 5, "packets of two")
    heard = [f for _, f in own.stop().frames()]
    rnd = random.Random(1)
    flipped = [f[:n] + bytes([f[n] ^ 1 << rnd.randrange(8)]) + f[n + 1:]
               for f in heard * 50 for n in [rnd.randrange(34, len(f))]]
    cut = [f[:n] for f in heard for n in range(34, len(f), 7)]
    flooded(lab, one, [*rubbish(node), *strangers(node), *questions(node),
                       *acknowledgements(node), *forged(node), *heard,
                       *flipped, *cut])
    assert entries(lab, "fw1", own=True) == before
    assert [p["node"] for p in one.peers()] == peers
    assert one.counters()["badauth"] > 1000
    assert memory_kib(one.kids) < kib + GROWTH_KIB
    make(lab, "fw2", 100, "--snat", "--base", 1000)
    wait_same(lab, 10, least=200)
    assert two.running()


def test_without_one_it_is_bounded(lab):
    """The control for the above: the same states do enter; as many as the
    configuration allows, of as many nodes as there can be."""
    one, _ = pair(lab, "maxstates %d" % MAXSTATES)
    kib = memory_kib(one.kids)
    flooded(lab, one, forged(0))
    wait_for(lambda: len(forged_entries(lab)) > MAXSTATES / 2, 10,
             "forged states enter")
    states = one.show()["states"]
    assert states["local"] + states["remote"] <= MAXSTATES
    assert len(entries(lab, "fw1", own=True)) <= MAXSTATES + OWN
    assert len(one.peers()) <= 16
    one.proc.wait_line("state database is full")
    assert len(one.proc.grep("state database is full")) == 1
    assert 1 <= len(one.proc.grep("has an MTU of")) <= LINES
    assert memory_kib(one.kids) < kib + GROWTH_KIB
