# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Somebody on the LAN sends every advertisement that is none, as fast as he
can, while Minnie listens to Mickey: nobody notices."""
import json
import os

import pytest
from advert import Advert, packet_socket
from badadvert import FLOOD, write_frames
from lab import VIP_LAN, now_ns, wait_for
from sync import cpu_us, memory_kib

RATE = 100000
N = (20 if "CHECK_LONG" in os.environ else 2) * RATE
INTERVAL_US = 10**6
LINES = 80              # of 64 reasons and senders in a minute, and ours
GROWTH_KIB = 1024
MICKEY = "172.16.0.200"


@pytest.fixture
def frames(pair):
    """The bad ones, in a file; the pair is as it was, and is again."""
    pair.settle()
    yield write_frames(pair.lab)
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


def test_in_the_name_of_mickey(pair):
    """Who forges his address does not put his name to shame."""
    lab, minnie = pair.lab, pair.minnie
    pair.settle()
    sock = packet_socket(lab, "client", "eth0")
    frame = Advert(1, "guess", [VIP_LAN], src=MICKEY).frame()
    for _ in range(5):
        before = minnie.counters()["badauth"]
        sock.send(frame)
        wait_for(lambda: minnie.counters()["badauth"] > before, 5, "it came")
        line = [p for p in minnie.show("peers")["peers"]
                if p["address"] == MICKEY and p["vhid"] == 1]
        assert [(p["verified"], p["kind"]) for p in line] == [(True, "carpd")]
    assert line[0]["dropped"] >= 5
    sock.close()


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
