# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""`defer yes`: the first packet of a flow leaves when the other firewall's
kernel has the flow.

What is asserted are causes: the moment a packet arrives, the server's own
socket tells, and the other kernel is asked for its flow; a peer that is to be
late is stopped.  Where nfnetlink_queue does not tell of connections, there is
the refusal, and the rest is skipped.
"""
import ctypes
import errno
import os
import signal
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from lab import CLIENT4, SERVER4, VIP_LAN, VIP_WAN, Lab, wait_for
from sync import Sync, sync_config

QUEUE = 240
RULE = """
table inet pfsync {
    chain defer {
        type filter hook postrouting priority srcnat + 50;
        meta l4proto { tcp, udp, icmp, icmpv6, sctp } \
            ct state new ct status ! confirmed queue flags bypass to 240
    }
}
"""
PORT = 9000
DELAY = 0.020               # DEFER_TIME
SO_RCVBUFFORCE = 33
LIBC = ctypes.CDLL(None, use_errno=True)


# ---- sockets in namespaces ----

def sock_in(lab, host, *args):
    """A socket of that host, in this process."""
    with open("/proc/self/ns/net") as here, \
            open("/run/netns/" + lab.ns(host)) as there:
        assert LIBC.setns(there.fileno(), 0) == 0, os.strerror(
            ctypes.get_errno())
        try:
            return socket.socket(*args)
        finally:
            assert LIBC.setns(here.fileno(), 0) == 0


# ---- netlink, as little as it takes ----

def attr(kind, data):
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + bytes(-size % 4)


def talk(s, kind, flags, head, attrs):
    """The error number in, or None for another answer."""
    body = struct.pack("!BBH", *head) + attrs
    s.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 1, 1, 0) +
           body)
    answer = s.recv(65536)
    if struct.unpack_from("=H", answer, 4)[0] != 2:
        return None
    return -struct.unpack_from("=i", answer, 16)[0]


def netfilter(lab, host):
    s = sock_in(lab, host, socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.bind((0, 0))
    s.settimeout(5)
    return s


def bind_queue(s):
    """As pfsyncd does: command, copy mode, flags of the queue."""
    return talk(s, 3 << 8 | 2, 4, (0, 0, QUEUE),
                attr(1, struct.pack("!BBH", 1, 0, 0)) +
                attr(2, struct.pack("!IB", 0, 1)) +
                attr(5, struct.pack("!I", 7)) + attr(4,
                                                     struct.pack("!I", 7)))


def has_flow(s, sport, proto=socket.IPPROTO_UDP, dst=SERVER4, dport=PORT):
    """Does that kernel know the client's flow?"""
    ip = attr(1 | 0x8000, attr(1, socket.inet_aton(CLIENT4)) +
              attr(2, socket.inet_aton(dst)))
    ports = attr(2 | 0x8000, attr(1, bytes([proto])) +
                 attr(2, struct.pack("!H", sport)) +
                 attr(3, struct.pack("!H", dport)))
    error = talk(s, 1 << 8 | 1, 0, (socket.AF_INET, 0, 0),
                 attr(1 | 0x8000, ip + ports))
    assert error in (None, errno.ENOENT), error
    return error is None


# ---- the network ----

class Traffic:
    """The client's first packets, as the server sees them."""

    def __init__(self, lab):
        self.lab = lab
        self.server = sock_in(lab, "server", socket.AF_INET,
                              socket.SOCK_DGRAM)
        self.server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
        self.server.bind(("", PORT))
        self.other = netfilter(lab, "fw2")

    def send(self):
        """The first packet of a flow; its port."""
        s = sock_in(self.lab, "client", socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((CLIENT4, 0))
        s.sendto(struct.pack("!H", s.getsockname()[1]), (SERVER4, PORT))
        port = s.getsockname()[1]
        s.close()
        return port

    def receive(self, timeout=10):
        """(port, does the other firewall know it?)"""
        self.server.settimeout(timeout)
        try:
            data = self.server.recv(100)
        except (socket.timeout, BlockingIOError):
            return None
        port = struct.unpack("!H", data)[0]
        return port, has_flow(self.other, port)

    def one(self):
        """Send and receive one: (is it known, after how long)."""
        begin = time.monotonic()
        port = self.send()
        came = self.receive()
        took = time.monotonic() - begin
        assert came is not None and came[0] == port, came
        return came[1], took


@pytest.fixture(scope="module")
def lab():
    with Lab("nsy") as the_lab:
        the_lab.nat(("fw1", "fw2"))
        for dev, vip in (("lan0", VIP_LAN), ("wan0", VIP_WAN)):
            the_lab.ip("fw1", "addr", "add", vip + "/24", "dev", dev)
        wait_for(lambda: the_lab.pings("client", SERVER4), 10, "a way")
        yield the_lab


@pytest.fixture(scope="module")
def lacks(lab):
    """What this kernel answers when the queue is asked for; 0: it has it."""
    with netfilter(lab, "fw1") as s:
        return bind_queue(s)


@pytest.fixture
def able(lab, lacks):
    if lacks:
        pytest.skip("this kernel has no nfnetlink_queue that tells of "
                    "connections: %s" % os.strerror(lacks))
    lab.run("fw1", "nft", "-f", "-", data=RULE)
    yield
    lab.run("fw1", "nft", "delete", "table", "inet", "pfsync")


@pytest.fixture
def sync(lab, able, request):
    """Both firewalls in step; defer as the test's parameter says."""
    how = getattr(request, "param", {})
    conf = sync_config(more="defer %s" % how.get("defer", "yes"),
                       dialect=how.get("dialect", "native"))
    one, two = (Sync(lab, host, conf, name).start()
                for host, name in (("fw1", "one"), ("fw2", "two")))
    for d in (one, two):
        wait_for(lambda d=d: [p for p in d.peers() if p["alive"]], 15,
                 lambda d=d: "a peer: %s" % d.show(), 0.02)
        if "dialect" not in how:
            d.wait_in_step()
    yield SimpleNamespace(one=one, two=two, net=Traffic(lab))
    for d in (one, two):
        if d.running():
            d.thaw()
            d.stop()
    for host in ("fw1", "fw2"):
        lab.run(host, "conntrack", "-F", check=False)


def counters(d):
    return SimpleNamespace(**{k: v for k, v in d.counters().items()
                              if k.startswith("defer")})


# ---- refused ----

def test_refused_where_the_kernel_lacks_it(lab, lacks):
    if not lacks:
        pytest.skip("this kernel has it")
    d = Sync(lab, "fw1", sync_config(more="defer yes"), "refused")
    d.start(wait=False)
    assert d.proc.wait(10) != 0
    assert d.proc.grep("defer yes: this kernel.*CONFIG_NETFILTER_NETLINK_"), \
        d.text()


def test_refused_while_another_has_the_queue(lab, able):
    with netfilter(lab, "fw1") as s:
        assert bind_queue(s) == 0
        d = Sync(lab, "fw1", sync_config(more="defer yes"), "refused")
        d.start(wait=False)
        assert d.proc.wait(10) != 0
    assert d.proc.grep("defer yes: another program has queue 240"), d.text()


# ---- held ----

@pytest.mark.parametrize("sync", [{}, {"dialect": "openbsd"}], indirect=True,
                         ids=["native", "openbsd"])
def test_the_other_kernel_has_it_first(sync):
    """What was acknowledged is known there when it arrives; what the machine
    was too slow for went on, and is counted."""
    arrived = unknown = 0

    def enough():
        nonlocal arrived, unknown
        for _ in range(10):
            unknown += not sync.net.one()[0]
            arrived += 1
        return counters(sync.one).defer_acked >= 30
    wait_for(enough, 20, lambda: "acknowledged packets: %s" %
             counters(sync.one))
    c = counters(sync.one)
    assert c.defer_acked + c.defer_timed_out == arrived, (arrived, c)
    assert unknown <= c.defer_timed_out, (unknown, c)


@pytest.mark.parametrize("sync", [{"defer": "no"}], indirect=True)
def test_without_defer_it_does_not(sync):
    """The negative control: it is told a second later."""
    assert [sync.net.one()[0] for _ in range(20)] == [False] * 20
    assert counters(sync.one).deferred == 0


def test_a_silent_peer_is_waited_for_in_vain(lab, sync):
    """20 ms while it counts as alive, not at all afterwards, and again."""
    sync.net.one()
    begin = before = counters(sync.one)
    sync.two.freeze()
    for _ in range(5):
        known, took = sync.net.one()
        after = counters(sync.one)
        assert not known and after.defer_acked == begin.defer_acked
        assert took >= DELAY or after == before, (took, before, after)
        before = after
    assert before.defer_timed_out > begin.defer_timed_out
    wait_for(lambda: not sync.one.peers()[0]["alive"], 10, "a dead peer")
    before = counters(sync.one)
    for _ in range(5):
        assert not sync.net.one()[0]
    assert counters(sync.one) == before
    sync.two.thaw()
    wait_for(lambda: sync.net.one()[0], 15, "a known flow", 0.05)


def test_of_a_connection_one_packet_waits(lab, sync):
    before = counters(sync.one)
    with sock_in(lab, "server", socket.AF_INET, socket.SOCK_STREAM) as at, \
            sock_in(lab, "client", socket.AF_INET, socket.SOCK_STREAM) as s:
        at.bind(("", PORT))
        at.listen()
        s.settimeout(10)
        s.connect((SERVER4, PORT))
        there = at.accept()[0]
        for _ in range(3):
            s.send(b"to")
            assert there.recv(10) == b"to"
            there.send(b"fro")
            assert s.recv(10) == b"fro"
        there.close()
    assert counters(sync.one).deferred == before.deferred + 1


def test_what_is_not_exported_is_not_held(lab, sync):
    before = counters(sync.one)
    lab.run("fw1", "ping", "-nc1", "-W5", SERVER4)
    assert counters(sync.one) == before


def test_a_flood_goes_on(sync):
    """More than can be held, with nobody who acknowledges."""
    sync.two.freeze()
    flood = 1500
    before = counters(sync.one)
    arrived = 0
    for sent in range(flood):
        sync.net.send()
        arrived += sync.net.receive(0) is not None
    while sync.net.receive(1) is not None:
        arrived += 1
    c = counters(sync.one)
    assert arrived >= flood - 5, (arrived, c)
    assert c.deferred - before.deferred < flood
    # who acknowledges again is waited for again
    sync.two.thaw()
    wait_for(lambda: sync.net.one()[0], 15, "a known flow", 0.05)


def test_death_loses_what_is_queued_and_no_more(sync):
    os.kill(sync.one.table, signal.SIGSTOP)
    queued = [sync.net.send() for _ in range(5)]
    assert sync.net.receive(0.2) is None
    sync.one.kill_all()
    for _ in range(5):
        sync.net.one()
    assert not [p for p in queued if has_flow(netfilter(sync.net.lab, "fw1"),
                                              p)]


def test_a_stop_loses_nothing(sync):
    sync.two.freeze()
    sent = [sync.net.send() for _ in range(5)]
    sync.one.stop()
    assert sorted(sync.net.receive()[0] for _ in sent) == sorted(sent)
    sync.net.one()
