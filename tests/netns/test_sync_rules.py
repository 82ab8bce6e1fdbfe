# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What is told to others, what never is, and what becomes of it there.

One pair of pfsyncd without carpd; forwarded traffic goes through fw1, which
holds the virtual addresses by hand, unless a test moves them.
"""
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from lab import FLOWS, SERVER4, SERVER6, Lab, Stream, now_ns, wait_for
from sync import (Conn, Sync, compare, count, entries, flows, make,
                  memory_kib, sync_config, table_size, wait_same)

LONG = bool(os.environ.get("CHECK_LONG"))
RULES = """no-sync {
	proto 132
	self
	from 10.64.1.0/24
	to 198.18.0.9/32
	mark 0x100/0x100
	on sync0
}
refresh 1
"""


class Pair:
    def __init__(self, lab):
        self.lab = lab
        self.one = Sync(lab, "fw1", sync_config(more=RULES), "one")
        self.two = Sync(lab, "fw2", sync_config(more=RULES), "two")

    def settle(self):
        for d in (self.one, self.two):
            if not d.running():
                d.start()
        for d in (self.one, self.two):
            d.wait_in_step()
        return self

    def clear(self):
        def empty():
            for host in ("fw1", "fw2"):
                self.lab.run(host, "conntrack", "-F", check=False)
            f = compare(self.lab)[0]
            return f["here"] == f["there"] == 0
        wait_for(empty, 20, "both tables empty", 0.2)

    def told(self, n=1):
        """Something that is told has come over: what was made before it and
        is not there will not come."""
        base = 3000000 + now_ns() // 1000 % 1000000 * 2
        make(self.lab, "fw1", n, "--base", base, "--zone", 77)
        wait_for(lambda: self.has("fw2", r"^zone 77 "), 10,
                 "what is told", 0.02)
        flows(self.lab, "fw1", "del", n, "--base", base, "--zone", 77)
        wait_for(lambda: not self.has("fw2", r"^zone 77 "), 10,
                 "its end is told", 0.02)

    def has(self, host, pattern, own=False):
        """The lines of its table that match."""
        rx = re.compile(pattern)
        return [x for x in entries(self.lab, host, own=own) if rx.search(x)]

    def wait_has(self, host, pattern, n=1, timeout=10):
        wait_for(lambda: len(self.has(host, pattern)) == n, timeout,
                 lambda: "%d of %r in %s:\n%s" % (
                     n, pattern, host, "\n".join(entries(self.lab, host))),
                 0.05)


@pytest.fixture(scope="module")
def pair_of_file():
    with Lab("nsq") as lab:
        lab.nat()
        lab.topo("vip", "fw1")
        yield Pair(lab).settle()


@pytest.fixture
def pair(pair_of_file):
    for host in ("fw1", "fw2"):
        pair_of_file.lab.topo("unblock", host, "sync")
    pair_of_file.settle().clear()
    return pair_of_file


# ---- who is told of what ----

@pytest.mark.parametrize("what,args", [
    ("proto", ["--proto", "132"]), ("from", ["--base", "65536"]),
    ("to", ["--base", "400000"]), ("mark", ["--mark", "0x142"]),
    ("carp", ["--proto", "112"]), ("pfsync", ["--proto", "240"]),
])
def test_never_told(pair, what, args):
    make(pair.lab, "fw1", 1, *args)
    assert len(entries(pair.lab, "fw1", "--all")) >= 1
    pair.told()
    assert not pair.has("fw2", "10.64"), what


def test_own_connections_are_not_told(pair):
    """`self`: begun by, or ended at, an address of the firewall."""
    pair.lab.run("client", "ping", "-nc1", "-W1", "172.16.0.200")
    pair.lab.run("fw1", "ping", "-nc1", "-W1", SERVER4)
    pair.lab.run("client", "ping", "-nc1", "-W1", SERVER4)
    assert len(pair.has("fw1", "proto 1 ", own=True)) == 3
    pair.wait_has("fw2", "proto 1 172.16.0.10:")
    pair.told()
    ours = [x for x in pair.has("fw2", "proto 1 ", own=True)]
    assert len(ours) == 1 and " > 172.16.240.10" in ours[0], ours


def test_a_mark_set_later_takes_it_back(pair):
    make(pair.lab, "fw1", 3, "--snat")
    wait_same(pair.lab, least=3)
    flows(pair.lab, "fw1", "update", 1, "--mark", "0x100")
    pair.wait_has("fw2", "10.64", 2)
    flows(pair.lab, "fw1", "update", 1, "--mark", "0x7")
    pair.wait_has("fw2", "10.64", 3)
    wait_same(pair.lab, least=3)


def test_rules_change_with_a_reload(pair):
    make(pair.lab, "fw1", 2, "--snat")
    wait_same(pair.lab, least=2)
    try:
        for d in (pair.one, pair.two):
            d.write(sync_config(more=RULES.replace("self", "self\n\tfrom "
                                                   "10.64.0.0/10")))
            d.proc.signal(signal.SIGHUP)
        pair.wait_has("fw2", "10.64", 0)
        assert len(pair.has("fw1", "10.64")) == 2
    finally:
        for d in (pair.one, pair.two):
            d.write(sync_config(more=RULES))
            d.proc.signal(signal.SIGHUP)
    pair.wait_has("fw2", "10.64", 2)


# ---- the operator's hand ----

def test_delete_on_the_carrier_removes_on_both(pair):
    make(pair.lab, "fw1", 10, "--snat")
    wait_same(pair.lab, least=10)
    pair.lab.run("fw1", "conntrack", "-D", "-p", "tcp", "--sport", "1027")
    pair.wait_has("fw2", "10.64.0.0:1027", 0)
    assert wait_same(pair.lab)["here"] == 9


def test_delete_on_the_other_is_put_back(pair):
    make(pair.lab, "fw1", 10, "--snat")
    wait_same(pair.lab, least=10)
    before = pair.two.counters()["restored"]
    pair.lab.run("fw2", "conntrack", "-D", "-p", "tcp", "--sport", "1027")
    pair.wait_has("fw2", "10.64.0.0:1027")
    assert wait_same(pair.lab)["here"] == 10
    assert pair.two.counters()["restored"] > before


# ---- translation ----

def test_nat_port_clash(pair):
    """Both chose one port for different flows while they could not talk: one
    of them stays, the same one on both."""
    pair.lab.topo("block", "fw1", "sync")
    make(pair.lab, "fw1", 10, "--snat")
    make(pair.lab, "fw2", 10, "--snat", "--base", 1000, "--natbase", 49000)
    make(pair.lab, "fw2", 5, "--snat", "--base", 2000)
    pair.lab.topo("unblock", "fw1", "sync")
    assert wait_same(pair.lab, 30, least=15)["here"] == 15
    ports = [re.search(r"172.16.240.202:(\d+)", x)[1]
             for x in entries(pair.lab, "fw1")]
    assert len(set(ports)) == 15, ports
    assert pair.one.counters()["clashes"] + pair.two.counters()["clashes"] > 0


@pytest.mark.parametrize("way", ["told", "repaired"])
def test_tuple_reused_with_another_translation(pair, way):
    """Deleted and made anew under another port, heard of or not."""
    make(pair.lab, "fw1", 20, "--snat")
    wait_same(pair.lab, least=20)
    if way == "repaired":
        pair.lab.topo("block", "fw1", "sync")
    flows(pair.lab, "fw1", "del", 20)
    make(pair.lab, "fw1", 20, "--snat", "--natbase", 5000)
    pair.lab.topo("unblock", "fw1", "sync")
    assert wait_same(pair.lab, 20, least=20)["here"] == 20
    assert len(pair.has("fw2", r"172.16.240.202:150\d\d ")) == 20


def test_zones_and_marks(pair):
    """One tuple in three zones is three flows."""
    for zone in (0, 3, 4):
        make(pair.lab, "fw1", 5, "--zone", zone, "--mark", 0x42 + zone)
    wait_same(pair.lab, least=15)
    assert len(pair.has("fw2", "^zone 3 .* mark 0x45$")) == 5
    flows(pair.lab, "fw1", "del", 5, "--zone", 3)
    flows(pair.lab, "fw1", "update", 5, "--zone", 4, "--mark", 0x11)
    pair.wait_has("fw2", "^zone 4 .* mark 0x11$", 5)
    assert wait_same(pair.lab)["here"] == 10


def test_protocols_and_families(pair):
    """ICMP, ICMPv6, UDP of both families, as the kernel makes them, and made
    ones with IPv6 translation and DNAT."""
    lab = pair.lab
    pings = [lab.spawn("client", "ping", "-ni0.5", dst)
             for dst in (SERVER4, SERVER6)]
    streams = [Stream(lab, dst, interval_us=20000, port=port)
               for dst, port in ((SERVER4, 7101), (SERVER6, 7102))]
    make(lab, "fw1", 10, "--v6", "--snat")
    make(lab, "fw1", 10, "--dnat", "--base", 600)
    make(lab, "fw1", 10, "--proto", "udp", "--snat", "--base", 1200)
    make(lab, "fw1", 10, "--proto", "udp", "--unreplied", "--base", 2000)
    for s in streams:
        s.wait_flow()
    wait_for(lambda: len(pair.has("fw1", "proto 17 .*ASSURED")) >= 12, 10,
             "both streams assured")
    assert wait_same(lab, least=44)["here"] == 44
    text = "\n".join(entries(lab, "fw2"))
    assert re.search(r"proto 1 172.16.0.10:\d+ > 172.16.240.10:2048 reply "
                     r"172.16.240.10:\d+ > 172.16.240.202:0 REPLIED", text)
    assert re.search(r"proto 58 \[2001:db8:16::10\]:\d+ > \[2001:db8:240::10"
                     r"\]:32768 .* REPLIED", text)
    assert text.count("> [2001:db8:240::202]:") == 10
    for s in streams:
        s.stop()
    for p in pings:
        p.end()


# ---- time ----

def connect_from(lab, port, to):
    """A whole TCP connection from a fixed port of the client, closed by the
    server first, so that the port can be used again at once."""
    code = """
import socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("172.16.0.10", %d)); s.settimeout(5); s.connect((%r, %d))
s.sendall(b"x"); assert s.recv(1) == b"y"
print("open", flush=True); sys.stdin.readline()
s.sendall(b"q"); assert s.recv(1) == b""
s.close()
""" % (port, SERVER4, to)
    p = lab.spawn("client", sys.executable, "-c", code, asks=True)
    p.wait_line("^open")
    return p


SERVE = """
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", %d)); s.listen(5); print("ready", flush=True)
while True:
    c, _ = s.accept()
    assert c.recv(1) == b"x"; c.sendall(b"y")
    assert c.recv(1) == b"q"; c.close()
"""


def test_time_wait_reopened(pair):
    """The same tuple lives, ends in TIME_WAIT, and lives again."""
    lab = pair.lab
    server = lab.spawn("server", sys.executable, "-c", SERVE % 7200)
    server.wait_line("^ready")
    for _ in range(3):
        p = connect_from(lab, 5555, 7200)
        for host in ("fw1", "fw2"):
            pair.wait_has(host, "172.16.0.10:5555 .* ASSURED ESTABLISHED")
        wait_same(lab)
        p.say("")
        assert p.wait() == 0, p.text()
        for host in ("fw1", "fw2"):
            pair.wait_has(host, "172.16.0.10:5555 .* TIME_WAIT")
        wait_same(lab)
    server.end()


def test_idle_connection_outlives_its_firewall(pair):
    """Nobody confirms the replica any more, and it stays all the same."""
    lab = pair.lab
    conn = Conn.snat(lab, interval_us=1000000)
    pair.wait_has("fw2", "proto 6 172.16.0.10:.*ESTABLISHED")
    pair.one.kill_all()
    lab.unplug("fw1", "all")
    try:
        start = now_ns()
        idle = 60 if LONG else 6
        conn.proc.signal(signal.SIGSTOP)
        wait_for(lambda: now_ns() - start > idle * 1e9, idle + 1,
                 "nobody says anything", 0.2)
        assert pair.has("fw2", "proto 6 172.16.0.10:.*ESTABLISHED")
        lab.topo("vip", "fw2")
        conn.proc.signal(signal.SIGCONT)
        conn.wait_flow()
        conn.bulk(1000000)
        conn.stop()
    finally:
        lab.topo("vip", "fw2", "del")
        lab.plug("fw1", "all")
        # a dead host's entries are not what this test is about
        lab.run("fw1", "conntrack", "-F")
        lab.run("client", "ip", "neigh", "flush", "dev", "eth0")
        lab.run("server", "ip", "neigh", "flush", "dev", "eth0")
        pair.settle()


def test_udp_of_one_packet_an_interval(pair):
    """No event tells of it; its replica must not expire."""
    lab = pair.lab
    for host in ("fw1", "fw2"):
        lab.sysctl(host, nf_conntrack_udp_timeout=4,
                   nf_conntrack_udp_timeout_stream=4)
    try:
        stream = Stream(lab, interval_us=2000000, port=7103)
        pattern = r"proto 17 172.16.0.10:.*:7103 .* timeout (\d+)"
        pair.wait_has("fw2", "proto 17 172.16.0.10:.*:7103 ")
        start, seen = time.monotonic(), []
        # injected with 4 s + 10 s; without a word that only goes down
        while time.monotonic() < start + (120 if LONG else 7):
            lines = [re.search(pattern, x) for x in
                     entries(lab, "fw2", "--timeouts")]
            left = [int(m[1]) for m in lines if m]
            assert left, "gone after %.1f s" % (time.monotonic() - start)
            seen += left
            time.sleep(0.2)     # how often it is looked at, no more
        assert min(seen) > 4, seen
        assert sum(b > a for a, b in zip(seen, seen[1:])) >= 2, seen
        stream.stop()
    finally:
        for host in ("fw1", "fw2"):
            lab.sysctl(host, nf_conntrack_udp_timeout=30,
                       nf_conntrack_udp_timeout_stream=120)


@pytest.fixture
def room():
    with table_size(1000000 if LONG else 100000):
        yield


def test_syn_flood(pair, room):
    """Half-open ones by the ten thousand beside live ones, which stay in step
    while it lasts; what pfsyncd needs for it does not grow."""
    lab = pair.lab
    live, flood = 5000, 3000000 if LONG else 1000000
    lab.sysctl("fw1", nf_conntrack_tcp_timeout_syn_sent=3)
    make(lab, "fw1", live, "--snat")
    wait_same(lab, least=live)

    def in_state(host, state):
        return int(flows(lab, host, "list", "--count", "--having", state))
    before = [memory_kib(d.pids()) for d in (pair.one, pair.two)]
    p = subprocess.Popen(
        ["ip", "netns", "exec", lab.ns("client"), FLOWS, "real", str(flood),
         "--syn", "--rate", "100000" if LONG else "20000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_for(lambda: count(lab, "fw1") > live + 2000, 10, "a flood")
        for i in range(5):
            flows(lab, "fw1", "update", 100, "--base", i * 100, "--state",
                  "CLOSE_WAIT", "--timeout", "600")
            wait_for(lambda: in_state("fw2", "CLOSE_WAIT") == (i + 1) * 100,
                     10, "a hundred more in step", 0.05)
        assert count(lab, "fw1") > live + 2000
        assert p.poll() is None, "the flood was over before its test"
    finally:
        if not LONG:
            p.terminate()
        out = p.communicate(timeout=300)[0]
    assert not LONG or re.search("^%d sent" % flood, out), out
    after = [memory_kib(d.pids()) for d in (pair.one, pair.two)]
    for b, a in zip(before, after):
        assert a - b < 64 * 1024 * (4 if LONG else 1), (before, after)
    # and when it is over both are as one
    wait_for(lambda: in_state("fw1", "SYN_SENT") == 0, 20, "its end", 0.5)
    assert wait_same(lab, 20, least=live)["here"] == live
    lab.sysctl("fw1", nf_conntrack_tcp_timeout_syn_sent=120)


def test_the_sockets_stay_few(pair):
    """Nothing of all that leaked a descriptor."""
    for d in (pair.one, pair.two):
        for pid in d.pids():
            assert len(os.listdir("/proc/%d/fd" % pid)) < 40
