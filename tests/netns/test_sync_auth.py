# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Who may speak: a configured key, the TTL, and what was said before."""
import re
import struct

import pytest
from advert import checksum, packet_socket
from lab import Capture, Lab, wait_for
from sync import (GROUP, KEY, SYNC4, Sync, entries, flows, make, sync_config,
                  wait_same)

OTHER = KEY[::-1]


@pytest.fixture(scope="module")
def lab_of_file():
    with Lab("nsk") as lab:
        lab.nat()
        yield lab


class Pair:
    """Started with whatever key each has; ended with the test."""

    def __init__(self, lab, one, two, dialects=("native", "native")):
        self.lab = lab
        self.one, self.two = (
            Sync(lab, host, sync_config(more='key "%s"' % key if key else "",
                                        dialect=dialect), name).start()
            for host, name, key, dialect in (
                ("fw1", "one", one, dialects[0]),
                ("fw2", "two", two, dialects[1])))

    def end(self):
        for d in (self.one, self.two):
            if d.running():
                d.stop()
        for host in ("fw1", "fw2"):
            self.lab.run(host, "conntrack", "-F", check=False)


@pytest.fixture
def pair_of(lab_of_file):
    made = []

    def start(one, two, **kw):
        made.append(Pair(lab_of_file, one, two, **kw))
        return made[-1]
    yield start
    for p in made:
        p.end()


def dropped(d, counters):
    """How many packets it has dropped for these reasons."""
    c = d.counters()
    return sum(c[name] for name in counters)


def test_one_key_on_both(pair_of):
    p = pair_of(KEY, KEY)
    for d in (p.one, p.two):
        d.wait_in_step()
    make(p.lab, "fw1", 100, "--snat")
    wait_same(p.lab, least=100)
    for d in (p.one, p.two):
        assert d.show()["authenticated"] is True
        assert [x["verified"] for x in d.show()["peers"]] == [True]
        assert d.counters()["unauth"] == 0
        assert dropped(d, ["badauth"]) == 0
        assert KEY not in d.text() and KEY not in d.ok("show", "sync")


@pytest.mark.parametrize("other", [OTHER, None], ids=["wrong", "missing"])
def test_another_key_or_none(pair_of, other):
    """Neither takes anything of the other, and both say so."""
    p = pair_of(KEY, other)
    make(p.lab, "fw1", 50, "--snat")
    make(p.lab, "fw2", 50, "--snat", "--base", 1000)
    wait_for(lambda: dropped(p.one, ["badauth"]) > 3, 15,
             lambda: "badauth counted: %s" % p.one.counters(), 0.05)
    wait_for(lambda: dropped(p.two, ["badauth"]) > 3, 15,
             lambda: "badauth counted: %s" % p.two.counters(), 0.05)
    for d, host in ((p.one, "fw1"), (p.two, "fw2")):
        assert not d.in_step()
        assert len(entries(p.lab, host)) == 50
    for d, peer, why in ((p.one, "fw2", "wrong key"),
                         (p.two, "fw1", "wrong key" if other else
                          "it has a key and we have none")):
        assert [(s["address"], s["why"]) for s in d.show()["not_taken"]] == \
            [(SYNC4[peer], why)]
        line = "packets of %s are not taken: %s" % (SYNC4[peer], why)
        d.proc.wait_line(line)
        assert d.text().count(line) == 1
        assert "not taken: %s: %s, " % (SYNC4[peer], why) in \
            d.ok("show", "sync")


def test_no_key(pair_of):
    """Taken, but nobody says that it is verified; a dialect without trailers
    is counted."""
    p = pair_of(None, None, dialects=("openbsd", "openbsd"))
    make(p.lab, "fw1", 10, "--snat")
    wait_for(lambda: p.two.counters()["unauth"] > 0, 15, "unauth", 0.05)
    p.end()
    p = pair_of(None, None)
    for d in (p.one, p.two):
        d.wait_in_step()
        assert [x["verified"] for x in d.show()["peers"]] == [False]


def test_no_common_dialect(pair_of):
    """Two nodes that have no word in common: each says so, once."""
    p = pair_of(None, None, dialects=("native", "openbsd"))
    for d, peer, why in ((p.one, "fw2", "pfsync(4), not spoken here"),
                         (p.two, "fw1", "native dialect, not spoken here")):
        wait_for(lambda: [(s["address"], s["why"]) for s in
                          d.show()["not_taken"]] ==
                 [(SYNC4[peer], why)], 15,
                 lambda: "%s: %s" % (why, d.show()), 0.05)
        d.proc.wait_line("are not taken: " + re.escape(why))
        assert d.text().count("are not taken: " + why) == 1


def test_key_changed_at_a_reload(pair_of):
    """From the reload on it holds, and what speaks the old one is named."""
    p = pair_of(KEY, KEY)
    for d in (p.one, p.two):
        d.wait_in_step()
    p.one.write(sync_config(more='key "%s"' % OTHER))
    p.one.proc.signal(1)
    wait_for(lambda: [s["why"] for s in p.one.show()["not_taken"]] ==
             ["wrong key"], 10, lambda: p.one.show()["not_taken"])
    p.two.write(sync_config(more='key "%s"' % OTHER))
    p.two.proc.signal(1)
    make(p.lab, "fw1", 20, "--snat")
    wait_same(p.lab, 20, least=20)
    for d in (p.one, p.two):
        d.wait_in_step()


def ip_ttl(frame, ttl):
    """The same frame with another TTL."""
    f = bytearray(frame)
    f[22] = ttl
    f[24:26] = b"\0\0"
    f[24:26] = struct.pack("!H", checksum(bytes(f[14:34])))
    return bytes(f)


def recorded(p):
    """Frames of fw2's pfsyncd, as they left it."""
    c = Capture(p.lab, "sync", "fw2", "ip proto 240")
    make(p.lab, "fw2", 10, "--snat", "--base", 5000)
    wait_same(p.lab, least=10)
    wait_for(lambda: len(c.frames()) > 2, 5, "packets of fw2")
    frames = c.stop().frames()
    assert all(f[22] == 255 and f[30:34] == bytes(
        int(x) for x in GROUP.split(".")) for _, f in frames)
    return [f for _, f in frames]


def test_ttl_and_replay(pair_of):
    """What was right once is not, from farther away or a second time."""
    p = pair_of(KEY, KEY)
    for d in (p.one, p.two):
        d.wait_in_step()
    frames = recorded(p)
    p.two.stop()
    flows(p.lab, "fw1", "del", 10, "--base", 5000)
    flows(p.lab, "fw2", "del", 10, "--base", 5000)
    wait_for(lambda: entries(p.lab, "fw1") == [], 10, "an empty table")
    sock = packet_socket(p.lab, "fw2", "sync0")
    for reason, make_frame in (
            ("badttl", lambda f: ip_ttl(f, 254)),
            ("replay", lambda f: f),
            ("badauth", lambda f: f[:-1] + bytes([f[-1] ^ 1])),
            ("badver", lambda f: f[:34] + b"\x07" + f[35:])):
        before = dropped(p.one, [reason])
        for f in frames:
            sock.send(make_frame(f))
        wait_for(lambda: dropped(p.one, [reason]) >= before + len(frames), 5,
                 lambda: "%d packets %s: %s" % (len(frames), reason,
                                                p.one.counters()), 0.05)
    # of an older run: it is asked whether it lives, and after a while said
    p.two.start()
    for d in (p.one, p.two):
        d.wait_in_step()
    p.two.stop()
    why = "it does not prove to be live: a recording, or it does not hear us"
    assert why not in [s["why"] for s in p.one.show()["not_taken"]]

    def told():
        sock.send(frames[0])
        return why in [s["why"] for s in p.one.show()["not_taken"]]
    wait_for(told, 10, lambda: "not taken: %s" % p.one.show()["not_taken"],
             0.1)
    p.one.proc.wait_line("are not taken: " + why)
    assert p.one.text().count("are not taken: " + why) == 1
    assert entries(p.lab, "fw1") == []
    sock.close()
