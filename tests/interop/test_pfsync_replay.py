# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""pfsync recorded from a pf kernel, played to a pfsyncd that speaks its
dialect: the kernel's connection table gets, changes and loses the entries that
the recording tells of (vectors/README.md).  And the other way round: what
pfsyncd says of a translated flow is what pf's words for it are, read by a
decoder of its own here."""
import re
import struct
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from advert import packet_socket
from lab import TREE, Capture, wait_for
from sync import Sync, entries, flows, make, sync_config

SESSION = TREE / "tests" / "unit" / "vectors" / "obsd-pfsync-session.pcap"
CREATOR = "b31e7dad"        # of the recorded kernel
ACTIONS = {0: "CLR", 2: "INS_ACK", 4: "UPD_C", 5: "UPD_REQ", 7: "DEL_C",
           10: "BUS", 13: "INS", 14: "UPD"}
GROUP_MAC = bytes.fromhex("01005e0000f0")


@dataclass
class State:
    """What we look at of a full state of version 6, 264 bytes."""
    id: int
    creator: str
    proto: int
    direction: int
    wire: tuple             # ((address, port), (address, port))
    stack: tuple
    peers: tuple
    timeout: int


def key(m, af):
    size = {2: 4, 24: 16}[af]
    return tuple((str(ip_address(m[16 * i:16 * i + size])),
                  struct.unpack_from("!H", m, 32 + 2 * i)[0]) for i in (0, 1))


def state(m):
    return State(struct.unpack_from("!Q", m)[0], m[236:240].hex(), m[251],
                 m[252], key(m[24:64], m[250]), key(m[64:104], m[250]),
                 (m[128], m[160]), m[255])


def messages(frame):
    """[(action, bytes)] of a frame with a version 6 packet."""
    p = frame[14 + (frame[14] & 15) * 4:]
    version, _, end = struct.unpack_from("!BBH", p)
    assert version == 6
    at, found = 20, []
    while at < end:
        action, words, n = struct.unpack_from("!BBH", p, at)
        at += 4
        for _ in range(n):
            found.append((ACTIONS.get(action, action), p[at:at + words * 4]))
            at += words * 4
    assert at == end
    return found


def recorded():
    c = Capture.__new__(Capture)        # the reader only
    c.path = SESSION
    return [f for _, f in c.frames()]


class Player:
    """pfsyncd on fw1; we are a pf kernel on fw2."""

    def __init__(self, lab):
        self.lab = lab
        self.d = Sync(lab, "fw1", sync_config(dialect="openbsd"),
                      "Mickey").start()
        self.sock = packet_socket(lab, "fw2", "sync0")
        self.frames = recorded()
        self.at = 0

    def play(self, upto):
        """Up to that frame of the recording, counted from 1."""
        for f in self.frames[self.at:upto]:
            assert f[:6] == GROUP_MAC
            self.sock.send(f)
        self.at = upto

    def table(self):
        return entries(self.lab, "fw1")

    def wait_table(self, *patterns):
        """Exactly these, in any order."""
        def fits():
            lines = self.table()
            return len(lines) == len(patterns) and all(
                any(re.search(p, x) for x in lines) for p in patterns)
        wait_for(fits, 8, lambda: "after frame %d the table to be %s; it is:"
                 "\n%s" % (self.at, patterns, "\n".join(self.table())), 0.02)


ICMP = r"proto 1 10.66.0.4:12016 > 10.66.1.4:2048 reply 10.66.1.4:12016 > " \
       r"10.66.0.4:0"
UDP = r"proto 17 10.66.0.4:40001 > 10.66.1.4:5353 reply 10.66.1.4:5353 > " \
      r"10.66.0.4:40001 REPLIED ASSURED"
TCP = r"proto 6 10.66.0.4:40002 > 10.66.1.4:8080 reply 10.66.1.4:8080 > " \
      r"10.66.0.4:40002 REPLIED ASSURED "
ICMP2 = r"proto 1 10.66.0.4:12419 > 10.66.1.4:2048 "
ICMP6 = r"proto 58 \[fd66::4\]:12426 > \[fd67::4\]:32768 "


def test_the_session(lab):
    p = Player(lab)
    p.play(3)                           # its requests for a bulk update
    p.play(4)
    p.wait_table(ICMP)
    p.play(8)
    p.wait_table(ICMP, UDP)
    p.play(12)
    p.wait_table(ICMP, UDP, TCP + "ESTABLISHED")
    p.play(16)                          # DEL_C of both halves
    p.wait_table(UDP, TCP + "ESTABLISHED")
    p.play(19)                          # bulk update: TCP has ended meanwhile
    p.wait_table(UDP, TCP + "TIME_WAIT")
    wait_for(lambda: p.d.show()["bulk"]["state"] == "done", 5,
             lambda: "the bulk's end: %s" % p.d.show()["bulk"])
    p.play(24)                          # the other node's bulk, a new ping
    p.wait_table(UDP, TCP + "TIME_WAIT", ICMP2)
    p.play(25)
    p.wait_table(UDP, TCP + "TIME_WAIT", ICMP2, ICMP6)
    p.play(27)                          # pfctl -k
    p.wait_table(ICMP2, ICMP6)
    p.play(28)
    p.wait_table(ICMP6)
    p.play(30)                          # pfctl -F states
    p.wait_table()
    c = p.d.counters()
    assert c["ipackets"] >= 30
    told = [x for f in p.frames for x, _ in messages(f)]
    for name in ("INS", "UPD_C", "DEL_C", "CLR", "BUS", "UPD_REQ"):
        assert c["pf_in_" + name.lower()] == told.count(name), (name, c)
    assert c["pf_out_upd_req"] > 0
    for bad in ("badver", "badlen", "badact", "badval", "badttl", "hdrops"):
        assert c[bad] == 0, (bad, c)
    assert any(x["node"] == CREATOR for x in p.d.peers()), p.d.peers()
    # states of its own protocols, multicast and link-local ones are no flows
    assert not [x for x in entries(lab, "fw1", "--all")
                if "fe80" in x or ("proto 240" in x and "10.67" in x)]


def test_told_twice_and_out_of_order(lab):
    """The same recording with each frame doubled, and a bulk before all."""
    p = Player(lab)
    for f in p.frames[17:19]:
        p.sock.send(f)
    p.wait_table(UDP, TCP + "TIME_WAIT")
    p.frames = [f for f in p.frames for _ in (1, 2)]
    p.play(2 * 15)
    # an older update does not turn time back
    p.wait_table(ICMP, UDP, TCP + "TIME_WAIT")
    p.play(2 * 30)
    p.wait_table()


@pytest.fixture
def spoken(lab):
    """(pfsyncd with the dialect, what it has said so far)."""
    lab.nat(["fw1"])
    c = Capture(lab, "sync", "fw1", "ip proto 240")
    d = Sync(lab, "fw1", sync_config(dialect="openbsd", maxupd=1),
             "Mickey").start()

    def said(action):
        return [m for _, f in c.frames() for a, m in messages(f)
                if a == action]
    return d, said


def test_a_flow_of_ours_in_pf_words(lab, spoken):
    """SNAT and DNAT at their places, states and ids that stay."""
    d, said = spoken
    wait_for(lambda: said("UPD_REQ"), 10, "its request for a bulk update")
    assert struct.unpack("!QI", said("UPD_REQ")[0]) == (0, 0)
    make(lab, "fw1", 1, "--snat")
    make(lab, "fw1", 1, "--dnat", "--base", 300)
    wait_for(lambda: len(said("INS")) >= 4, 10,
             lambda: "four halves of two flows: %s" % said("INS"))
    halves = [state(m) for m in said("INS")]
    assert all(h.proto == 6 and h.peers == (4, 4) and h.timeout == 2
               for h in halves), halves
    a, nat = ("10.64.0.0", 1024), ("172.16.240.202", 10000)
    far = ("198.18.0.1", 443)
    b, vip = ("10.64.0.1", 1068), ("172.16.240.202", 443)
    inside = ("172.16.10.51", 8443)
    assert {(h.direction, h.wire, h.stack) for h in halves} == {
        (1, (a, far), (a, far)), (2, (far, nat), (far, a)),
        (1, (b, vip), (b, inside)), (2, (inside, b), (inside, b))}
    assert len({h.id for h in halves}) == 4
    assert len({h.creator for h in halves}) == 1
    assert halves[0].creator == d.show()["node"]
    flows(lab, "fw1", "update", 1, "--state", "TIME_WAIT", "--timeout", "60")
    wait_for(lambda: [m for m in said("UPD_C") if (m[32], m[64]) == (9, 9)],
             10, "UPD_C with both sides in TIME_WAIT")
    flows(lab, "fw1", "del", 1)
    wait_for(lambda: len(said("DEL_C")) >= 2, 10, "DEL_C of both halves")
    gone = {struct.unpack_from("!Q", m)[0] for m in said("DEL_C")}
    assert gone == {h.id for h in halves if far in h.wire}


def test_a_bulk_is_answered(lab, spoken):
    """START, every state, END."""
    _, said = spoken
    make(lab, "fw1", 40, "--snat")
    wait_for(lambda: len(said("INS")) >= 80, 10, "they are told")
    sock = packet_socket(lab, "fw2", "sync0")
    sock.send(recorded()[0])            # UPD_REQ with both zero
    wait_for(lambda: any(m[8] == 2 for m in said("BUS")), 10, "a bulk's end")
    assert [m[8] for m in said("BUS")][0] == 1
    ids = {state(m).id for m in said("INS")}
    assert {state(m).id for m in said("UPD")} >= ids
