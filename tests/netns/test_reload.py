# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Reload of a living pair: random files, in which some interfaces stay as they
are.  Those must not notice: no advertisement late, no state changed, not one
packet through them lost.  In between come files that are refused, which
change nothing at all.  (Thousands of pairs: tests/unit/reload_test.c.)
"""
import os
import random

import pytest
from lab import (PASS, VIP_LAN, VIP_WAN, Capture, Daemon, Lab, Stream, now_ns,
                 wait_for)

SEED = int(os.environ.get("RELOAD_SEED", "1"))
ROUNDS = 12
SKEW = (20, 80)                 # of Mickey, of Minnie; advbase 0
INTERVAL = SKEW[0] / 256        # s
LATE = 0.5                      # of an interval

# What stays.
FIXED = """
carp0 on lan0 {
	vhid 1 { advbase 0 advskew %(skew)d }
	pass "%(password)s"
	address %(lan)s/24
	group "fixed"
}
carp1 on wan0 {
	vhid 2 { advbase 0 advskew %(skew)d }
	pass "%(password)s"
	address %(wan)s/24
	group "fixed"
}
"""
BAD = [("advskew 300", "advskew"), ("vhid 1 {", "vhid"),
       ("adress 10.9.9.9/24", "adress"), ("address 10.9.9.9/33", "33")]


def text(rng, skew):
    """Both nodes have the same random interfaces: the same rng state."""
    t = "preempt yes\nlog 7\n"
    if rng.random() < 0.5:
        t += 'group "dmz" { demote %d }\n' % rng.randrange(1, 200)
    t += FIXED % {"skew": skew, "password": PASS, "lan": VIP_LAN,
                  "wan": VIP_WAN}
    for i in range(2, 10):
        if rng.random() < 0.4:
            continue
        t += ("carp%d on %s {\n\tvhid %d { advbase %d advskew %d }\n"
              "\tpass \"word%d\"\n\taddress 10.77.%d.%d/24\n" %
              (i, rng.choice(("lan0", "wan0")), 10 + i, rng.randrange(3),
               rng.randrange(1, 240), rng.randrange(3), i,
               rng.randrange(1, 5)))
        if rng.random() < 0.3:
            t += "\taddress 2001:db8:77:%d::1/64\n" % i
        if rng.random() < 0.4:
            t += '\tgroup "dmz"\n'
        if rng.random() < 0.3:
            t += "\tdemote-style %s\n" % rng.choice(("byte", "skew", "both"))
        t += "}\n"
    return t


def fixed(d):
    """What is shown of the interfaces that stay, but for what counts."""
    found = {}
    for i in d.show()["interfaces"]:
        if i["name"] in ("carp0", "carp1"):
            v = i["vhids"][0]
            found[i["name"]] = [i["demotion"]] + \
                [v[k] for k in ("state", "since", "cause", "advskew")]
    return found


def demotions(d):
    """Who holds what against which group."""
    return [(g["name"], g["demotion"],
             [(e["owner"], e["reason"], e["amount"]) for e in g["entries"]])
            for g in d.show("demotion")["groups"]]


@pytest.fixture(scope="module")
def pair():
    print("seed", SEED)
    with Lab("nsrl") as lab:
        lab.firewall()
        both = [Daemon(lab, host, text(random.Random(SEED), skew), name)
                for host, skew, name in (("fw1", SKEW[0], "Mickey"),
                                         ("fw2", SKEW[1], "Minnie"))]
        for d in both:
            d.start()
        both[0].wait_state("MASTER")
        both[1].wait_state("BACKUP")
        yield lab, both


def gaps(capture, vhid):
    """Seconds between a vhid's advertisements."""
    times = [t for t, f in capture.frames()
             if f[6:12] == bytes([0, 0, 0x5e, 0, 1, vhid]) and f[23] == 112]
    assert len(times) > ROUNDS
    return [(b - a) / 1e9 for a, b in zip(times, times[1:])]


def test_random_reloads(pair):
    lab, both = pair
    stream = Stream(lab)
    stream.wait_flow()
    captures = {1: Capture(lab, "lan", "fw1", "ip proto 112"),
                2: Capture(lab, "wan", "fw1", "ip proto 112")}
    before = [fixed(d) for d in both]
    start = now_ns()
    for n in range(ROUNDS):
        for d, skew in zip(both, SKEW):
            d.write(text(random.Random(SEED * 1000 + n), skew))
            d.ok("reload")
        stream.wait_packets(100)
        assert [fixed(d) for d in both] == before, "after reload %d" % n
    for d in both:
        assert [t for t in d.transitions(start)
                if t[1] in ("carp0", "carp1")] == []
    figures = stream.stop().figures(start)
    assert figures.lost == 0
    for vhid, c in captures.items():
        late = max(gaps(c.stop(), vhid)) - INTERVAL
        assert late < LATE * INTERVAL, "vhid %d: %.1f ms late" % (vhid,
                                                                  late * 1e3)


@pytest.mark.parametrize("bad,word", BAD, ids=[w for _, w in BAD])
def test_refused_files_change_nothing(pair, bad, word):
    """Also when everything else in the file is different."""
    _, (mickey, _) = pair
    wait_for(lambda: set(mickey.states().values()) == {"MASTER"}, 12,
             lambda: "all elections are over: %s" % mickey.states(), 0.05)
    old, start = mickey.conf.read_text(), now_ns()
    shown = mickey.show()["interfaces"]
    groups = demotions(mickey)
    new = text(random.Random(SEED + 77), SKEW[0])
    line = new.count("\n") + 2
    mickey.write(new + "carp99 on lan0 {\n%s\n}\n" % bad)
    done = mickey.ctl("reload")
    assert done.returncode == 1
    assert "%s:%d: " % (mickey.conf, line) in done.stderr or \
        "%s:%d: " % (mickey.conf, line + 1) in done.stderr, done.stderr
    assert word in done.stderr
    wait_for(lambda: mickey.proc.grep("carp99|%s" % word, start), 5,
             "it is logged")

    def same(interfaces):
        return [(i["name"], i["carpdev"], i["addresses"],
                 [(v["vhid"], v["state"], v["since"], v["cause"])
                  for v in i["vhids"]]) for i in interfaces]
    assert same(mickey.show()["interfaces"]) == same(shown)
    assert demotions(mickey) == groups
    mickey.write(old)
    mickey.ok("reload")
    assert same(mickey.show()["interfaces"]) == same(shown)
