# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""peer: advertisements by unicast, over IPv4 and IPv6, with one file for all.

What is on the wire is judged by captures at the switch's ports; beside each
claim stands the pair that has no peer, for which it is not true.
"""
import json

import pytest
from advert import Advert, packet_socket
from lab import (PASS, SERVER4, SERVER6, VIP6_LAN, VIP6_WAN, VIP_LAN, VIP_WAN,
                 Capture, Daemon, Lab, Stream, now_ns, vmac, wait_for)

FAST_MS = 200
OWN = {"fw1": ("172.16.0.200", "2001:db8:16::200"),
       "fw2": ("172.16.0.201", "2001:db8:16::201")}
FIREWALLS = [("lan0", "172.16.0", "2001:db8:16::", VIP_LAN, VIP6_LAN),
             ("wan0", "172.16.240", "2001:db8:240::", VIP_WAN, VIP6_WAN)]


BETTER, WORSE = 20, 100         # advskews, with advbase 0


def conf(skew, v4=True, v6=False, peers=True):
    """One file for both hosts but for advskew: each names both of them."""
    text = "preempt yes\nlog 7\n"
    for i, (dev, net4, net6, vip4, vip6) in enumerate(FIREWALLS):
        text += "carp%d on %s {\n\tvhid %d { advbase 0 advskew %d }\n" \
                "\tpass \"%s\"\n" % (i, dev, i + 1, skew, PASS)
        for want, net, sep, vip, plen in ((v4, net4, ".", vip4, 24),
                                          (v6, net6, "", vip6, 64)):
            if not want:
                continue
            text += "\taddress %s/%d\n" % (vip, plen)
            for n in (200, 201) if peers else ():
                text += "\tpeer %s%s%d\n" % (net, sep, n)
        text += "}\n"
    return text


KINDS = {"ipv4": {}, "ipv6": {"v4": False, "v6": True}, "mixed": {"v6": True}}


class Two:
    def __init__(self, lab, kind):
        self.lab = lab
        self.kind = KINDS[kind]
        self.server = SERVER4 if self.kind.get("v4", True) else SERVER6
        self.mickey = Daemon(lab, "fw1", conf(BETTER, **self.kind), "Mickey")
        self.minnie = Daemon(lab, "fw2", conf(WORSE, **self.kind), "Minnie")

    def settle(self):
        for d in (self.mickey, self.minnie):
            if not d.running():
                d.start()
        self.mickey.wait_state("MASTER", timeout=12)
        self.minnie.wait_state("BACKUP", timeout=12)
        self.minnie.wait_heard()
        return self


@pytest.fixture(scope="module", params=list(KINDS))
def two(request):
    with Lab("nsu") as lab:
        lab.firewall()
        yield Two(lab, request.param).settle()


def eth_types(frames):
    return {f[12:14].hex() for f in frames}


def is_carp(f):
    return (f[12:14] == b"\x08\x00" and f[23] == 112) or \
           (f[12:14] == b"\x86\xdd" and f[20] == 112)


def adverts(lab, host, dev, want, act=None, way="in"):
    """The protocol 112 frames at a switch's port until there are some."""
    c = Capture(lab, dev, host, "ip proto 112 or ip6 proto 112", way=way)
    if act is not None:
        act()
    wait_for(lambda: len(c.frames()) >= want, 10,
             "%d frames at %s's port" % (want, host), 0.02)
    return [f for _, f in c.stop().frames()]


def multicast(frames):
    return [f for f in frames if f[0] & 1]


def test_no_multicast_at_all(two):
    """To the other host and to nobody else, as the virtual router."""
    families = {"0800"} if two.kind.get("v4", True) else set()
    families |= {"86dd"} if two.kind.get("v6") else set()
    seen = adverts(two.lab, "fw1", "lan", 3 * len(families))
    assert eth_types(seen) == families
    assert multicast(seen) == []
    assert {f[6:12].hex(":") for f in seen} == {vmac(1)}
    assert {f[:6].hex(":") for f in seen} == {"02:ca:fe:01:00:c9"}
    # at the client's port nothing: the switch knows whose MAC that is
    c = Capture(two.lab, "lan", "client", "ip proto 112 or ip6 proto 112",
                way="out")
    before = two.mickey.counters()
    wait_for(lambda: sum(two.mickey.counters()[k] - before[k]
                         for k in ("opackets", "opackets6")) > 4, 10,
             "four more adverts")
    assert c.stop().frames() == []
    assert not two.mickey.proc.grep("(?i)nothing is sent|failed")


def test_shown(two):
    i = two.minnie.show()["interfaces"][0]
    family = ["172.16.0.%d", "2001:db8:16::%d"]
    want = [[{"address": a % n, "self": n == 201} for n in (200, 201)]
            for a, on in zip(family, (two.kind.get("v4", True),
                                      two.kind.get("v6"))) if on]
    assert i["carppeers"] == sum(want, [])
    text = two.minnie.ok("show", "carp0")
    for peer in i["carppeers"]:
        assert "carppeer %s%s" % (peer["address"], " (this host)"
                                  if peer["self"] else "") in text


@pytest.mark.parametrize("act", ["stop", "kill_engine", "kill_parent",
                                 "kill_all"])
def test_takes_over_and_gives_back(two, act):
    """Every death is told by unicast too, in the ways multicast has it."""
    two.settle()
    stream = Stream(two.lab, two.server)
    stream.wait_flow()
    stream.wait_packets(200)
    c = Capture(two.lab, "lan", "fw1", "ip proto 112 or ip6 proto 112")
    start = now_ns()
    getattr(two.mickey, act)()
    two.minnie.wait_state("MASTER")
    took = now_ns() - start
    stream.wait_flow()
    stream.wait_packets(200)
    f = stream.stop().figures(start)
    cause = {"stop": "bow-out", "kill_engine": "engine died",
             "kill_parent": "parent died", "kill_all": "master down"}[act]
    assert two.minnie.cause("carp0") == cause
    if act == "kill_all":
        assert took > (WORSE - 2 * BETTER) / 256 * 1e9
        assert f.lost == 0              # the lease bridges the silence
    else:
        assert f.outage_ms < FAST_MS
        assert c.stop().frames()
    assert multicast([x for _, x in c.stop().frames()]) == []
    if act != "stop":
        two.mickey.wait_gone()
    start = now_ns()
    two.mickey.start()
    two.mickey.wait_state("MASTER", timeout=12)
    assert two.mickey.cause("carp0") == "preempt"
    two.minnie.wait_state("BACKUP")


def test_lost_network_is_told(two):
    two.settle()
    two.lab.unplug("fw1", "wan")
    two.minnie.wait_state("MASTER")
    assert two.minnie.cause("carp1") == "peer gone"
    two.lab.plug("fw1", "wan")
    two.settle()


def test_without_peers_it_is_multicast(lab):
    """The control of the first test."""
    d = Daemon(lab, "fw1", conf(BETTER, v6=True, peers=False), "Mickey").start()
    d.wait_state("MASTER")
    seen = adverts(lab, "fw1", "lan", 4)
    assert multicast(seen) == seen


def test_one_family_by_unicast(lab):
    """Peers of IPv4 only: IPv6 goes to its group, as on OpenBSD."""
    text = conf(BETTER, v6=True).replace("\tpeer 2001:db8:16::201\n", "").replace(
        "\tpeer 2001:db8:16::200\n", "")
    d = Daemon(lab, "fw1", text, "Mickey").start()
    d.wait_state("MASTER")
    seen = adverts(lab, "fw1", "lan", 6)
    assert eth_types(multicast(seen)) == {"86dd"}
    assert eth_types([f for f in seen if f not in multicast(seen)]) == {"0800"}


def test_alone_in_its_list(lab):
    """No peer but itself: nothing is sent, it is MASTER, and says so."""
    text = conf(BETTER).replace("\tpeer 172.16.0.201\n", "")
    c = Capture(lab, "lan", "fw1", "ip proto 112")
    d = Daemon(lab, "fw1", text, "Mickey").start()
    d.wait_state("MASTER")
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "it answers")
    assert len(d.proc.grep("carp0: no IPv4 peer but this host")) == 1
    assert not d.proc.grep("carp1: no IPv4 peer")
    assert c.stop().frames() == []
    wait_for(lambda: [(g["name"], g["demotion"]) for g in d.show()["groups"]]
             == [("carp", 0)], 8, "it is not demoted")


def test_peer_list_is_reloaded_live(lab):
    """From multicast to unicast, BACKUP first, and back: nobody moves."""
    mickey = Daemon(lab, "fw1", conf(BETTER, peers=False), "Mickey").start()
    minnie = Daemon(lab, "fw2", conf(WORSE, peers=False), "Minnie").start()
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    minnie.wait_heard()
    start = now_ns()
    for peers in (True, False):
        order = [(minnie, WORSE), (mickey, BETTER)]
        for d, skew in order if peers else reversed(order):
            d.write(conf(skew, peers=peers))
            d.ok("reload")
            heard = minnie.counters()["ipackets"]
            wait_for(lambda h=heard: minnie.counters()["ipackets"] > h + 8,
                     12, "more adverts than a master-down time has")
        seen = adverts(lab, "fw1", "lan", 3)
        assert (multicast(seen) == []) == peers
    assert mickey.transitions(start) == minnie.transitions(start) == []
    assert minnie.counters()["badvhid"] == mickey.counters()["refused"] == 0
    mickey.write(conf(BETTER))
    mickey.ok("reload")
    minnie.write(conf(WORSE))
    minnie.ok("reload")
    c = Capture(lab, "lan", "fw1", "ip proto 112")
    mickey.kill_engine()
    minnie.wait_state("MASTER")
    assert minnie.cause("carp0") == "engine died"
    assert multicast([f for _, f in c.stop().frames()]) == []


def test_peer_that_is_not_there(lab):
    """No neighbour answers: it is not our fault, and the others hear us."""
    text = conf(BETTER).replace("\tpeer 172.16.0.200\n", "\tpeer 172.16.0.99\n")
    mickey = Daemon(lab, "fw1", text, "Mickey").start()
    minnie = Daemon(lab, "fw2", conf(WORSE), "Minnie").start()
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    sent = mickey.counters()["opackets"]
    wait_for(lambda: mickey.counters()["opackets"] > sent + 100, 20,
             "adverts for as long as a neighbour takes to fail", 0.05)
    assert mickey.counters()["oerrors"] == 0
    assert {g["name"]: g["demotion"]
            for g in mickey.show()["groups"]} == {"carp": 0}
    assert minnie.states() == {"carp0": "BACKUP", "carp1": "BACKUP"}


def test_refused_by_the_packet_filter_is_an_error(lab):
    """The control of that: what the own host refuses is counted and demotes.
    """
    d = Daemon(lab, "fw1", conf(BETTER), "Mickey").start()
    d.wait_state("MASTER")
    lab.run("fw1", "nft", "-f", "-", data="table ip f { chain o { type filter "
            "hook output priority 0\nip protocol 112 drop\n}\n}\n")
    wait_for(lambda: d.counters()["oerrors"] > 3, 5, "errors")
    wait_for(lambda: "snderrors" in d.ok("show", "demotion"), 5, "a demotion")
    lab.run("fw1", "nft", "delete", "table", "ip", "f")


class Sender:
    """Unicast adverts of a foreign peer on the client's place in the LAN."""

    def __init__(self, lab, mac="02:ca:fe:01:00:c8"):
        self.sock = packet_socket(lab, "client", "eth0")
        self.mac = mac

    def send(self, advert, dst):
        f = advert.frame(dst, self.mac)
        self.sock.send(f)


V4 = dict(src="172.16.0.10")
V6 = dict(src="2001:db8:16::10")


def heard_of(d, act, counter):
    before = d.counters()[counter]
    act()
    wait_for(lambda: d.counters()[counter] > before, 8, counter, 0.02)


def test_what_is_accepted(lab):
    """Unicast to us where peers are configured, with TTL 255; else as before.
    """
    d = Daemon(lab, "fw1", conf(BETTER, v6=True), "Mickey").start()
    d.wait_state("MASTER")
    s = Sender(lab)
    good4 = dict(vhid=1, password=PASS, addresses=[VIP_LAN, VIP6_LAN],
                 advskew=200, **V4)
    good6 = dict(good4, **V6)
    me4, me6 = OWN["fw1"]
    heard_of(d, lambda: s.send(Advert(**good4), me4), "ipackets")
    heard_of(d, lambda: s.send(Advert(**good6), me6), "ipackets6")
    peers = d.show("peers")["peers"]
    assert {(p["address"], p["verified"]) for p in peers} == {
        (V4["src"], True), (V6["src"], True)}
    heard_of(d, lambda: s.send(Advert(ttl=254, **good4), me4), "badttl")
    heard_of(d, lambda: s.send(Advert(ttl=254, **good6), me6), "badttl")
    # another host's, that our NIC sees since it takes all frames
    before = d.counters()
    Sender(lab, "02:ca:fe:01:00:c9").send(Advert(**good4), OWN["fw2"][0])
    heard_of(d, lambda: s.send(Advert(**good4), me4), "ipackets")
    assert d.counters()["ipackets"] == before["ipackets"] + 1
    # the control: without peers a unicast advert is nobody's
    d.write(conf(BETTER, v6=True, peers=False))
    d.ok("reload")
    heard_of(d, lambda: s.send(Advert(**good4), me4), "badvhid")
    heard_of(d, lambda: s.send(Advert(**good6), me6), "badif")


def unreachables(lab, act, way="in"):
    """The ICMP of either family that fw1 sends on the LAN during act()."""
    c = Capture(lab, "lan", "fw1", "icmp or (icmp6 and ip6[40] < 5)", way=way)
    act()
    lab.run("client", "ping", "-nc1", "-W2", OWN["fw1"][0])
    lab.run("client", "ping", "-nc1", "-W2", OWN["fw1"][1])
    wait_for(lambda: any(f[34] == 0 for _, f in c.frames()
                         if f[12:14] == b"\x08\x00"), 8, "the ping's answer")
    found = []
    for _, f in c.stop().frames():
        if f[12:14] == b"\x08\x00" and f[34] == 3:
            found.append("4 code %d" % f[35])
        elif f[12:14] == b"\x86\xdd" and f[54] in (1, 4):
            found.append("6 type %d" % f[54])
    return found


def strike(lab):
    """Adverts of a known vhid, an unknown one and none, to fw1's addresses."""
    s = Sender(lab)
    for vhid in (1, 77, 0):
        for src, dst in zip((V4, V6), OWN["fw1"]):
            s.send(Advert(vhid=vhid, password=PASS, addresses=[VIP_LAN], **src),
                   dst)


def test_protocol_unreachable_never_leaves(lab):
    """While carpd runs in whatever state, and after it was killed."""
    # neighbours are known, so that an answer would leave at once
    for a in OWN["fw1"]:
        lab.pings("client", a)
    # the control: a host that never had a carpd says it
    said = unreachables(lab, lambda: strike(lab))
    assert "4 code 2" in said and "6 type 4" in said
    mickey = Daemon(lab, "fw1", conf(BETTER, v6=True), "Mickey").start()
    mickey.wait_state("MASTER")
    assert unreachables(lab, lambda: strike(lab)) == []
    mickey.ok("disable")
    mickey.wait_state("INIT")
    assert unreachables(lab, lambda: strike(lab)) == []
    mickey.ok("enable")
    minnie = Daemon(lab, "fw2", conf(BETTER, v6=True), "Minnie").start()
    mickey.write(conf(WORSE, v6=True))
    mickey.ok("reload")
    mickey.wait_state("BACKUP", timeout=12)
    assert unreachables(lab, lambda: strike(lab)) == []
    mickey.kill_all()
    assert unreachables(lab, lambda: strike(lab)) == []
    minnie.stop()
    # put back in order it is a host like any other
    mickey.start().stop()
    assert "4 code 2" in unreachables(lab, lambda: strike(lab))


def test_json_of_multicast_has_no_peers(lab):
    d = Daemon(lab, "fw1", conf(BETTER, peers=False), "Mickey").start()
    assert [i["carppeers"] for i in json.loads(
        d.ok("show", "-j"))["interfaces"]] == [[], []]
    assert "carppeer" not in d.ok("show")
