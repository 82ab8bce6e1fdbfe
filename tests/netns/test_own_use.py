# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Traffic to the virtual addresses themselves while they move: ssh and ping.

As on OpenBSD: who becomes MASTER answers new connections at once, and resets
those of its predecessor with the next packet.  Nobody is redirected, and
no firewall asks who has the address.
"""
import sys

import pytest
from lab import (LAB, PASS, VIP6_LAN, VIP_LAN, Capture, Daemon, Lab,
                 wait_for)

PORT = 2222
SESSION = str(LAB / "session.py")
PYTHON = sys.executable

# What the manual shows for a firewall that drops what is invalid: a session
# of the other firewall is told so.
INPUT = """
table inet own {
    chain input {
        type filter hook input priority filter; policy drop;
        ip protocol 112 accept
        ip6 nexthdr 112 accept
        ct state established,related accept
        icmp type echo-request accept
        icmpv6 type { echo-request, nd-neighbor-solicit, \
            nd-neighbor-advert, nd-router-advert } accept
        %s
        ct state invalid drop
        tcp dport 2222 accept
    }
}
"""
TELL = """tcp dport 2222 ct state invalid,new \
            tcp flags & (fin | syn | rst | ack) != syn reject with tcp reset"""


def conf(skew):
    return """preempt yes
log 7
carp0 on lan0 {
	vhid 1 { advbase 1 advskew %d }
	pass "%s"
	address %s/24
	address %s/64
}
""" % (skew, PASS, VIP_LAN, VIP6_LAN)


class Session:
    """One from the client to the virtual address."""

    def __init__(self, lab, address):
        self.proc = lab.spawn("client", PYTHON, SESSION, "talk", address,
                              str(PORT), asks=True)
        self.opened = self.answer(0)    # "open 0": at once

    def answer(self, have):
        wait_for(lambda: len(self.proc.lines) > have, 8,
                 lambda: "an answer: " + self.proc.text(), 0.001)
        return self.proc.lines[have][1]

    def say(self, line):
        """"ANSWER TIMES": how often TCP had to say something again."""
        have = len(self.proc.lines)
        self.proc.say(line)
        return self.answer(have)


@pytest.fixture(scope="module")
def pair():
    with Lab("nsown") as lab:
        for host in ("fw1", "fw2"):
            server = lab.spawn(host, PYTHON, SESSION, "serve", host, str(PORT))
            server.wait_line("^ready")
            for dev in ("all", "lan0"):
                lab.run(host, "sh", "-c", "echo 1 > "
                        "/proc/sys/net/ipv4/conf/%s/send_redirects" % dev)
        mickey = Daemon(lab, "fw1", conf(0), "Mickey").start()
        mickey.wait_state("MASTER", ["carp0"])
        minnie = Daemon(lab, "fw2", conf(100), "Minnie").start()
        minnie.wait_state("BACKUP", ["carp0"])
        yield lab, mickey, minnie


@pytest.fixture
def settled(pair):
    lab, mickey, minnie = pair
    yield pair
    for d in (mickey, minnie):
        if not d.running():
            d.start()
    mickey.wait_state("MASTER", ["carp0"], 12)
    minnie.wait_state("BACKUP", ["carp0"])
    for host in ("fw1", "fw2"):
        lab.run(host, "nft", "flush", "ruleset")


WAYS = {
    "demote": lambda d, _: d.ok("demote", "50"),
    "stop": lambda d, _: d.stop(),
    # the words for IPv6 come after the successor's first
    "kill engine": lambda d, successor: d.kill_engine(successor),
}
BACK = {
    "demote": lambda d: d.ok("promote", "50"),
    "stop": lambda d: d.start(),
    "kill engine": lambda d: d.start(),
}


def rules(lab, more):
    for host in ("fw1", "fw2"):
        lab.run(host, "nft", "-f", "-", data=INPUT % more)
        lab.sysctl(host, nf_conntrack_tcp_loose=0)


def hello(lab, host):
    """New sessions, IPv4 and IPv6, which host answers at once."""
    sessions = []
    for address in (VIP_LAN, VIP6_LAN):
        session = Session(lab, address)
        assert session.opened == "open 0"
        assert session.say("hello") == host + " hello 0"
        sessions.append(session)
    return sessions


def still_there(sessions):
    """They are not, and are told at once: once more after 200 ms is a busy
    machine, not an address at the wrong port of the switch."""
    for session in sessions:
        assert session.say("still there?") in ("reset 0", "reset 1")


@pytest.mark.parametrize("ruled", [False, True], ids=["bare", "nft"])
@pytest.mark.parametrize("way", WAYS)
def test_sessions_over_a_takeover(settled, way, ruled):
    """Old ones are reset by their next packet, new ones are open at once."""
    lab, mickey, minnie = settled
    if ruled:
        rules(lab, TELL)
    old = hello(lab, "fw1")
    WAYS[way](mickey, minnie)
    minnie.wait_state("MASTER", ["carp0"])
    still_there(old)
    old = hello(lab, "fw2")
    BACK[way](mickey)
    mickey.wait_state("MASTER", ["carp0"], 12)
    still_there(old)
    hello(lab, "fw1")


def test_without_the_rule_it_hangs(settled):
    """The control of the manual's line: only `invalid drop`."""
    lab, mickey, minnie = settled
    rules(lab, "")
    old = Session(lab, VIP_LAN)
    assert old.say("hello") == "fw1 hello 0"
    mickey.stop()
    minnie.wait_state("MASTER", ["carp0"])
    said, times = old.say("still there?").split()
    assert said == "TimeoutError" and int(times) > 1


def redirects(frames):
    return [f for _, f in frames
            if f[12:14] == b"\x08\x00" and f[23] == 1 and f[34] == 5 or
            f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 137]


def questions(frames):
    """ARP requests and neighbour solicitations for the virtual addresses,
    but for gratuitous ones."""
    v4 = bytes([172, 16, 0, 202])
    v6 = bytes.fromhex("20010db800160000000000000000") + b"\x02\x02"
    return [f for _, f in frames
            if f[12:14] == b"\x08\x06" and f[38:42] == v4 and
            f[28:32] != v4 or
            f[12:14] == b"\x86\xdd" and f[20] == 58 and f[54] == 135 and
            f[62:78] == v6]


@pytest.mark.parametrize("address", [VIP_LAN, VIP6_LAN], ids=["v4", "v6"])
def test_ping_while_it_moves(settled, address):
    """Not one request is lost in a planned change, there and back; nobody is
    redirected, no firewall asks for the address."""
    lab, mickey, minnie = settled
    captures = [Capture(lab, "lan", host, "arp or icmp or icmp6")
                for host in ("fw1", "fw2")]
    # a host of the LAN by way of the gateway, which asks for a redirect
    lab.ip("client", "route", "replace", "172.16.0.201", "via", VIP_LAN)
    stray = lab.spawn("client", "ping", "-n", "-i", "0.05", "172.16.0.201")
    stray.wait_line("bytes from")
    ping = lab.spawn("client", "ping", "-n", "-i", "0.01", address)
    ping.wait_line("bytes from")

    def more(n=50):
        count = len(ping.grep("bytes from"))
        wait_for(lambda: len(ping.grep("bytes from")) >= count + n, 5,
                 "pings go on")
    for act, winner, loser in ((lambda: mickey.ok("demote", "50"),
                                minnie, mickey),
                               (lambda: mickey.ok("promote", "50"),
                                mickey, minnie)):
        act()
        winner.wait_state("MASTER", ["carp0"])
        loser.wait_state("BACKUP", ["carp0"])
        more()
    ping.signal(2)
    ping.wait()
    sent, back = (int(x) for x in
                  ping.grep("packets transmitted")[0].split()[0:4:3])
    assert sent - back <= 1         # the one on its way at the end
    frames = [x for c in captures for x in c.stop().frames()]
    assert len(frames) > 100
    assert redirects(frames) == []
    assert questions(frames) == []
    # the control: this traffic makes redirects where they are not off
    again = Capture(lab, "lan", "fw1", "icmp")
    lab.run("fw1", "sh", "-c",
            "echo 1 > /proc/sys/net/ipv4/conf/lan0/send_redirects")
    wait_for(lambda: redirects(again.frames()), 5, "a redirect", 0.05)
    again.stop()
    lab.run("fw1", "sh", "-c",
            "echo 0 > /proc/sys/net/ipv4/conf/lan0/send_redirects")
    stray.end()
    lab.ip("client", "route", "del", "172.16.0.201", "via", VIP_LAN)
