# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Somebody on the LAN sends every advertisement that is none, as fast as he
can, while Minnie listens to Mickey: nobody notices."""
import json
import os
import random
import struct

import pytest
from advert import Advert, checksum, parse
from lab import (LAB, PASS, VIP_LAN, Capture, now_ns, wait_for)
from sync import cpu_us, memory_kib

RATE = 100000
N = (20 if "CHECK_LONG" in os.environ else 2) * RATE
FLOOD = str(LAB / "flood")
INTERVAL_US = 10**6
CARP_LEN = 36
LINES = 80              # of 64 reasons and senders in a minute, and ours
GROWTH_KIB = 1024


def wrong_lengths(a):
    """Cut anywhere, or with more behind it than a network carries."""
    whole = a.frame()
    yield from (whole[:n] for n in range(14, len(whole), 3))
    yield from (Advert(1, PASS, [VIP_LAN], cut=n).frame()
                for n in (1, 5, 20, 35))
    yield from (Advert(1, "another", [VIP_LAN], more=bytes(n)).frame()
                for n in (1, 40, 500, 1400))


def ip4(frame, at, fmt, value):
    """The same frame with another value in its IPv4 header."""
    head = bytearray(frame[14:34])
    struct.pack_into(fmt, head, at, value)
    head[10:12] = b"\0\0"
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return frame[:14] + bytes(head) + frame[34:]


def bad_adverts(mickey):
    """All kinds; mickey: one that Mickey has sent."""
    rnd = random.Random(1)
    good = Advert(1, PASS, [VIP_LAN])

    def src():
        return "172.16.0.%d" % rnd.randrange(20, 200)
    for n in range(600):                        # digests by guess
        yield Advert(1, "guess%d" % n, [VIP_LAN], src=src(),
                     advskew=rnd.randrange(256), advbase=rnd.randrange(1, 256),
                     counter=rnd.randbytes(8)).frame()
    for n in range(200):                        # in the name of Mickey
        yield Advert(1, "guess", [VIP_LAN], src="172.16.0.200",
                     mac="00:00:5e:00:01:01", advbase=255, advskew=255,
                     counter=rnd.randbytes(8)).frame()
    for vhid in range(2, 256):
        yield Advert(vhid, PASS, [VIP_LAN], src=src()).frame()
    for ttl in (0, 1, 64, 254):
        yield Advert(1, PASS, [VIP_LAN], ttl=ttl).frame()
    for version in (0, 1, 3, 15):
        yield Advert(1, PASS, [VIP_LAN], version=version).frame()
    yield Advert(1, PASS, [VIP_LAN], bad_sum=True).frame()
    yield from wrong_lengths(good)
    for off in (0x2000, 0x2001, 1, 100, 0x1fff):        # fragments
        yield ip4(Advert(1, "guess", [VIP_LAN]).frame(), 6, "!H", off)
    for length in (0, 19, 20, 36, 55, 60, 0xffff):
        yield ip4(good.frame(), 2, "!H", length)
    for version_and_length in (0x4f, 0x41, 0x55):
        yield ip4(good.frame(), 0, "!B", version_and_length)
    for _ in range(300):                        # a bit of his, changed
        f = bytearray(mickey)
        f[rnd.randrange(34, len(f))] ^= 1 << rnd.randrange(8)
        yield bytes(f)
    for _ in range(200):                        # and as it was: replayed
        yield mickey
    for n in (0, 1, 40):                        # and without its trailer
        bare = mickey[:34 + CARP_LEN] + bytes(n)
        yield ip4(bare, 2, "!H", len(bare) - 14)


def heard(lab, host):
    """An advertisement of that host, as it came into the switch."""
    c = Capture(lab, "lan", host, "inbound and ip proto 112")
    wait_for(lambda: any(parse(f) for _, f in c.frames()), 5, "an advert")
    c.stop()
    return next(f for _, f in c.frames() if parse(f))


@pytest.fixture
def frames(pair):
    """The bad ones, in a file; the pair is as it was, and is again."""
    pair.settle()
    path = pair.lab.dir / "frames"
    path.write_text("".join(f.hex() + "\n" for f in bad_adverts(
        heard(pair.lab, "fw1"))))
    yield str(path)
    pair.settle()


def grown(daemon, before):
    return {k: v - before[k] for k, v in daemon.counters().items()}


def test_flood_of_bad_adverts(pair, frames):
    """Each is counted by its reason; no transition, no advertisement late, no
    growth, and the log says what it has to, once."""
    lab, daemons = pair.lab, (pair.mickey, pair.minnie)
    engines = [d.engine for d in daemons]
    counted = [d.counters() for d in daemons]
    lines, kib = [len(d.proc.lines) for d in daemons], memory_kib(engines)
    cpu, start = cpu_us(engines), now_ns()
    done = json.loads(lab.run("client", FLOOD, "eth0", str(RATE), str(N),
                              frames, timeout=300))
    cpu = cpu_us(engines) - cpu
    assert done["sent"] == N
    for d, before, said in zip(daemons, counted, lines):
        more = grown(d, before)
        assert more["ipackets"] > N / 2
        for reason in ("badttl", "hdrops", "badsum", "badver", "badlen",
                       "badauth", "badvhid"):
            assert more[reason] > 0, reason
        assert not d.transitions(start)
        assert len(d.proc.lines) <= said + LINES
    # a replay is a loop to whom it comes from
    assert grown(pair.minnie, counted[1])["replay"] > 0
    assert grown(pair.minnie, counted[1])["badtrailer"] > 0
    assert pair.mickey.states() == {"carp0": "MASTER", "carp1": "MASTER"}
    assert pair.minnie.states() == {"carp0": "BACKUP", "carp1": "BACKUP"}
    assert pair.mickey.counters()["adlate-max-us"] < INTERVAL_US / 2
    assert memory_kib(engines) < kib + GROWTH_KIB
    print("%d adverts in %d ms, %.2f us of CPU each" %
          (N, done["ms"], cpu / len(engines) / N))


def test_takeover_in_the_middle_of_it(pair, frames):
    """What is not heard any more is still noticed among all that is."""
    flood = pair.lab.spawn("client", FLOOD, "eth0", str(RATE), str(10**9),
                           frames)
    heard_before = pair.minnie.counters()["badauth"]
    wait_for(lambda: pair.minnie.counters()["badauth"] > heard_before + 1000,
             10, "the flood is there")
    pair.mickey.kill_all()
    try:
        pair.minnie.wait_state("MASTER", timeout=10)
        assert flood.running()
        assert pair.minnie.cause("carp0") == "master down"
    finally:
        flood.end()
