# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Somebody meddles: addresses, filters and interfaces vanish, packets lie.

Mickey runs alone unless a test says otherwise; advbase 0 where the time does
not matter, since then an election takes 12 ms.
"""
import json
import os
import re
import signal
import time

import pytest
from advert import Advert, packet_socket, parse
from lab import (CARPCTL, PASS, VIP_LAN, VIP_WAN, Capture, Daemon, Owners,
                 Stream, config, difference, now_ns, snapshot, vmac, wait_for)

RESTORED_MS = 100       # the promise for an address that somebody removes
MAC = "02:ca:fe:01:00:c8"


def lan_only(addresses=(VIP_LAN + "/24",), base=0, skew=0, dev="lan0",
             vhid=1, password=PASS, head="preempt yes\nlog 7"):
    return "%s\ncarp0 on %s {\n\tvhid %d { advbase %d advskew %d }\n" \
           "\tpass \"%s\"\n%s}\n" % (
               head, dev, vhid, base, skew, password,
               "".join("\taddress %s\n" % a for a in addresses))


@pytest.fixture
def mickey(lab):
    """MASTER of both networks, quickly."""
    lab.firewall()
    d = Daemon(lab, "fw1", config(0, base=0), "Mickey").start()
    d.wait_state("MASTER")
    wait_for(lambda: lab.has_address("fw1", VIP_LAN), 8, "the address")
    return d


def recable(lab):
    """A new lan0 for fw1, as topo.sh made the first one."""
    lab.ip("fw1", "link", "add", "dev", "lan0", "address", MAC, "type", "veth",
           "peer", "name", "fw1", "netns", lab.ns("lan"))
    lab.ip("lan", "link", "set", "dev", "fw1", "master", "br0", "up")
    lab.ip("fw1", "link", "set", "dev", "lan0", "up")
    lab.ip("fw1", "addr", "add", "172.16.0.200/24", "brd", "+", "dev", "lan0")


def steered(lab, dev="lan0"):
    """Is our classifier on both ways of the interface?"""
    return all("bpf" in lab.run("fw1", "tc", "filter", "show", "dev", dev, way,
                                check=False) for way in ("ingress", "egress"))


def lost_for(lab, monitor):
    """Somebody removes the address: milliseconds until it is back."""
    shown = json.loads(lab.ip("fw1", "-j", "addr", "show", "dev", "lan0"))
    plen = [a["prefixlen"] for a in shown[0]["addr_info"]
            if a["local"] == VIP_LAN][0]
    start = now_ns()
    lab.ip("fw1", "addr", "del", "%s/%d" % (VIP_LAN, plen), "dev", "lan0")
    gone = wait_for(lambda: [t for t, text in list(monitor.lines)
                             if t >= start and VIP_LAN in text and
                             "Deleted" in text], 5, "its removal is seen")[0]
    back = wait_for(lambda: [t for t, text in list(monitor.lines)
                             if t > gone and VIP_LAN in text and
                             "Deleted" not in text], 5, "it comes back")[0]
    return (back - gone) / 1e6


def test_address_removed_by_somebody(lab, mickey):
    before = mickey.counters()
    monitor = lab.spawn("fw1", "ip", "-ts", "monitor", "address")

    def listening():
        lab.ip("fw1", "addr", "add", "203.0.113.1/32", "dev", "sync0")
        lab.ip("fw1", "addr", "del", "203.0.113.1/32", "dev", "sync0")
        return monitor.grep("203.0.113.1")
    wait_for(listening, 5, "ip monitor address listens", 0.02)
    # who looks for it may be late, on a busy machine
    assert min(lost_for(lab, monitor) for _ in range(4)) < RESTORED_MS
    assert mickey.states()["carp0"] == "MASTER"
    after = mickey.counters()
    assert sum(after.values()) > sum(before.values())
    assert mickey.proc.wait_line(re.escape(VIP_LAN))


def test_own_removal_is_told_late(lab, mickey):
    """The kernel tells of an address that carpd itself has removed when it is
    MASTER again: that was nobody else."""
    start = now_ns()
    os.kill(mickey.proc.pid, signal.SIGSTOP)
    mickey.ok("state", "carp0", "backup")
    wait_for(lambda: mickey.states()["carp0"] == "MASTER", 8, "MASTER again")
    os.kill(mickey.proc.pid, signal.SIGCONT)
    mickey.proc.wait_line("carp0.*BACKUP -> MASTER", since=start)
    # told after it
    lab.run("fw1", "tc", "filter", "del", "dev", "lan0", "ingress")
    mickey.proc.wait_line("somebody removed the classifier", since=start)
    assert not mickey.proc.grep("somebody removed " + re.escape(VIP_LAN))
    assert mickey.counters()["addrrestored"] == 0
    assert lab.has_address("fw1", VIP_LAN)


@pytest.mark.parametrize("what", [
    ("tc", "filter", "del", "dev", "lan0", "ingress"),
    ("tc", "filter", "del", "dev", "lan0", "egress"),
    ("tc", "qdisc", "del", "dev", "lan0", "clsact"),
])
def test_classifier_removed_by_somebody(lab, mickey, what):
    assert steered(lab)
    stream = Stream(lab)
    stream.wait_flow()
    start = now_ns()
    lab.run("fw1", *what)
    wait_for(lambda: steered(lab), 8, "the classifier is back")
    stream.wait_flow()
    stream.wait_packets(200)
    assert stream.stop().figures(start).outage_ms < 1000
    assert mickey.states()["carp0"] == "MASTER"


def test_interface_deleted_and_created_again(lab):
    """Minnie takes over at once, though LAN and nothing else is lost."""
    lab.firewall()
    mickey = Daemon(lab, "fw1", config(0), "Mickey").start()
    mickey.wait_state("MASTER")
    minnie = Daemon(lab, "fw2", config(100), "Minnie").start()
    minnie.wait_state("BACKUP")
    minnie.wait_heard()
    start = now_ns()
    lab.ip("fw1", "link", "del", "dev", "lan0")
    minnie.wait_state("MASTER")
    mickey.wait_state("INIT", ["carp0"])
    assert mickey.cause("carp0") in ("carpdev gone", "link")
    assert {c for _, i, _, to, c in minnie.transitions(start)
            if i == "carp0"} == {"peer gone"}
    mickey.proc.wait_line("lan0.*(gone|wait|missing)", since=start)
    recable(lab)
    mickey.wait_state("MASTER", timeout=12)
    minnie.wait_state("BACKUP")
    wait_for(lambda: lab.pings("client", "172.16.240.10"), 5,
             "the client reaches the server through Mickey")


def test_interface_that_is_not_there_is_waited_for(lab):
    d = Daemon(lab, "fw1", lan_only(dev="lan7", addresses=["10.7.0.1/24"]),
               "Mickey").start()
    d.wait_state("INIT", ["carp0"])
    assert "lan7" in json.dumps(d.show())
    d.proc.wait_line("lan7")
    lab.ip("fw1", "link", "add", "lan7", "type", "veth", "peer", "far7")
    lab.ip("fw1", "link", "set", "far7", "up")
    lab.ip("fw1", "addr", "add", "10.7.0.2/24", "dev", "lan7")
    lab.ip("fw1", "link", "set", "lan7", "up")
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", "10.7.0.1"), 8, "the address")


def test_address_outside_every_prefix(lab):
    """It works, and is warned of."""
    d = Daemon(lab, "fw1", lan_only(["10.99.0.1/24"]), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    d.proc.wait_line("10.99.0.1")
    lab.ip("client", "route", "add", "10.99.0.1/32", "dev", "eth0")
    wait_for(lambda: lab.pings("client", "10.99.0.1"), 5, "it answers")
    neigh = lab.ip("client", "neigh", "show", "10.99.0.1")
    assert vmac(1) in neigh


def test_own_address_as_virtual_address(lab):
    """The only address of the interface, with a route that hangs on it: gone
    while BACKUP, used while MASTER, and as it was after the stop."""
    own = "172.16.0.200"
    lab.ip("fw1", "route", "add", "10.20.0.0/16", "via", "172.16.0.10")
    lab.ip("fw1", "-6", "addr", "flush", "dev", "lan0", "scope", "global")
    before = snapshot(lab, ["fw1"])
    minnie = Daemon(lab, "fw2", lan_only([own + "/24"], skew=0), "Minnie")
    mickey = Daemon(lab, "fw1", lan_only([own + "/24"], skew=50), "Mickey")
    minnie.start().wait_state("MASTER", ["carp0"])
    mickey.start().wait_state("BACKUP", ["carp0"])
    wait_for(lambda: not lab.has_address("fw1", own), 8, "put aside")
    wait_for(lambda: lab.pings("client", own), 8, "Minnie answers for it")
    assert vmac(1) in lab.ip("client", "neigh", "show", own)
    minnie.stop()
    mickey.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", own), 8, "in use")
    wait_for(lambda: lab.pings("client", own), 8, "Mickey answers")
    assert vmac(1) in lab.ip("client", "neigh", "show", own)
    mickey.stop()
    assert difference(before, snapshot(lab, ["fw1"])) == ""


def test_own_use_during_takeover(lab):
    """Ping to the address while it moves: no redirect, no who-has for it."""
    for dev in ("all", "lan0"):
        for host in ("fw1", "fw2"):
            lab.run(host, "sh", "-c", "echo 1 > "
                    "/proc/sys/net/ipv4/conf/%s/send_redirects" % dev)
    mickey = Daemon(lab, "fw1", config(0), "Mickey").start()
    mickey.wait_state("MASTER")
    minnie = Daemon(lab, "fw2", config(100), "Minnie").start()
    minnie.wait_state("BACKUP")
    captures = [Capture(lab, "lan", host, "arp or icmp") for host in
                ("fw1", "fw2")]
    ping = lab.spawn("client", "ping", "-n", "-i", "0.01", VIP_LAN)
    ping.wait_line("bytes from")
    mickey.stop()
    minnie.wait_state("MASTER")
    count = len(ping.grep("bytes from"))
    wait_for(lambda: len(ping.grep("bytes from")) > count + 50, 5,
             "pings go on")
    mickey.start()
    mickey.wait_state("MASTER")
    count = len(ping.grep("bytes from"))
    wait_for(lambda: len(ping.grep("bytes from")) > count + 50, 5,
             "pings go on")
    ping.end()
    packed = bytes([172, 16, 0, 202])
    for c in captures:
        for _, f in c.stop().frames():
            assert not (f[12:14] == b"\x08\x00" and f[23] == 1 and
                        f[34] == 5), "an ICMP redirect"
            assert not (f[12:14] == b"\x08\x06" and f[38:42] == packed and
                        f[28:32] != packed), "a who-has for the address"


def test_second_daemon_on_the_socket_is_refused(lab, mickey):
    before = mickey.vhid("carp0")
    other = lab.spawn("fw1", *mickey.argv())
    assert other.wait() == 1
    assert mickey.sock in other.text()
    assert mickey.vhid("carp0")["since"] == before["since"]
    assert lab.has_address("fw1", VIP_LAN)


def test_second_daemon_does_not_get_the_carpdev(lab, mickey):
    """It is told who has it, claims nothing, and the first notices nothing."""
    before = mickey.vhid("carp0")
    other = Daemon(lab, "fw1", config(0, base=0), "Goofy")
    other.start(wait=False)
    other.proc.wait_line("lan0: another carpd")
    wait_for(lambda: not other.running() or
             set(other.states().values()) == {"INIT"}, 5, "INIT or its end")
    assert not other.transitions()
    if other.running():
        other.stop()
    assert mickey.vhid("carp0")["since"] == before["since"]
    assert lab.has_address("fw1", VIP_LAN)
    assert steered(lab)


def test_carpctl_without_daemon(lab):
    nobody = Daemon(lab, "fw1", config(0), "Nobody")
    for words in (["show"], ["show", "-j"], ["demote", "1"], ["reload"]):
        done = nobody.ctl(*words)
        assert done.returncode == 3, CARPCTL
        assert len(done.stderr.strip().splitlines()) == 1
        assert nobody.sock in done.stderr


BAD = {
    "badttl": dict(ttl=254),
    "badsum": dict(bad_sum=True),
    "badver": dict(version=3),
    "badlen": dict(cut=5),
    "badauth": dict(password="another"),
    "badvhid": dict(vhid=99),
}


@pytest.fixture(scope="module")
def listener(shared_lab):
    """A MASTER of the LAN and a socket of the client to lie to it."""
    d = Daemon(shared_lab, "fw1", lan_only(), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    return d, packet_socket(shared_lab, "client", "eth0")


def inject(daemon, sock, frame, counter, times=100):
    before = daemon.counters()[counter]
    for _ in range(times):
        sock.send(frame)
    wait_for(lambda: daemon.counters()[counter] >= before + times, 5,
             lambda: "%s counts %d more than %d: %s" %
             (counter, times, before, daemon.counters()))
    return daemon.counters()[counter] - before


@pytest.mark.parametrize("counter", sorted(BAD))
def test_bad_packets_are_counted_by_reason(listener, counter):
    """A hundred of each: counted, at most one line, nothing moves."""
    daemon, sock = listener
    good = dict(vhid=1, password=PASS, addresses=[VIP_LAN],
                src="172.16.0.%d" % (100 + sorted(BAD).index(counter)))
    before = daemon.counters()
    start = now_ns()
    assert inject(daemon, sock, Advert(**{**good, **BAD[counter]}).frame(),
                  counter) == 100
    after = daemon.counters()
    for other in BAD:
        if other != counter:
            assert after[other] == before[other]
    assert len(daemon.proc.grep(good["src"], since=start)) <= 1
    assert daemon.states() == {"carp0": "MASTER"}
    assert not daemon.transitions(start)


def capture_advert(lab, host):
    """One advertisement of a host, as it came into the switch."""
    c = Capture(lab, "lan", host, "ip proto 112")
    wait_for(lambda: any(parse(f) for _, f in c.frames()), 5, "an advert")
    c.stop()
    return next(f for _, f in c.frames() if parse(f))


def test_own_packets_that_come_back(listener, shared_lab):
    """A loop, or a replay: our cookie is never somebody else's."""
    daemon, sock = listener
    frame = capture_advert(shared_lab, "fw1")
    assert inject(daemon, sock, frame, "badauth", 20) >= 20
    assert daemon.states() == {"carp0": "MASTER"}


def test_replay_of_our_own_peer(lab):
    """What a peer of ours once said as MASTER cannot be said again."""
    minnie = Daemon(lab, "fw2", lan_only(base=1), "Minnie").start()
    minnie.wait_state("MASTER", ["carp0"])
    mickey = Daemon(lab, "fw1", lan_only(base=1, skew=50), "Mickey").start()
    mickey.wait_state("BACKUP", ["carp0"])
    frame = capture_advert(lab, "fw2")
    wait_for(lambda: mickey.counters()["ipackets"] > 2, 5, "newer ones heard")
    sock = packet_socket(lab, "client", "eth0")
    assert inject(mickey, sock, frame, "replay", 10) == 10
    minnie.kill_all()
    start = now_ns()
    while mickey.states() != {"carp0": "MASTER"}:
        sock.send(frame)
        assert now_ns() - start < 20e9, "a replayed advert keeps it quiet"
        time.sleep(0.05)        # the rate of the replay: 20 a second


def test_who_died_is_silent_although_he_has_just_spoken(lab):
    """All his processes die as somebody takes over: his lease is fresh, but
    nobody objects, and a tenth of a second later he answers nobody."""
    mickey = Daemon(lab, "fw1", lan_only(base=3), "Mickey").start()
    mickey.ok("state", "carp0", "master")
    mickey.wait_state("MASTER", ["carp0"])
    minnie = Daemon(lab, "fw2", lan_only(base=3, head="preempt no\nlog 7"),
                    "Minnie").start()
    minnie.wait_state("BACKUP", ["carp0"])
    owners = Owners(lab, nets=("lan",))
    lab.ask_gateway()
    owners.wait_answers("fw1", 5)
    seen = len(owners.claims("lan"))
    wait_for(lambda: len(owners.claims("lan")) > seen, 8, "he speaks", 0.01)
    mickey.kill_all()
    minnie.ok("state", "carp0", "master")
    minnie.wait_state("MASTER", ["carp0"])
    taken = next(t for t, host in owners.claims("lan") if host == "fw2")
    owners.wait_answers("fw2", 20, taken + 500_000_000)
    assert [t - taken for t in owners.answers("fw1", taken + 200_000_000)] \
        == [], "ns after the successor's first word"


def test_claims_of_strangers_are_objected_to(lab):
    """Who lives is not closed by adverts that he does not obey: neither by
    those that follow each other closely nor by one alone."""
    d = Daemon(lab, "fw1", lan_only(base=3), "Mickey").start()
    d.ok("state", "carp0", "master")
    d.wait_state("MASTER", ["carp0"])
    owners = Owners(lab, nets=("lan",), hosts=("fw1",))
    lab.ask_gateway()
    sock = packet_socket(lab, "client", "eth0")
    frame = Advert(1, "another", [VIP_LAN]).frame()
    for times in (1, 50, 1):
        assert inject(d, sock, frame, "badauth", times) >= times
        start = time.time_ns()
        owners.wait_answers("fw1", 20, start + 200_000_000)
    assert len(d.transitions()) == 2, d.transitions()
    assert d.counters()["successor"] == 0


def test_good_advert_of_a_stranger_is_obeyed(lab):
    """The control for all of the above: the same packet without the fault."""
    d = Daemon(lab, "fw1", lan_only(base=1, skew=100), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    sock = packet_socket(lab, "client", "eth0")
    sock.send(Advert(1, PASS, [VIP_LAN]).frame())
    d.wait_state("BACKUP", ["carp0"], timeout=3)
    assert d.cause("carp0") == "better master"
    assert not lab.has_address("fw1", VIP_WAN)
