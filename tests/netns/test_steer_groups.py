# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""The classifier's groups on a real network, without a daemon.

Two firewalls have the virtual addresses and one node of the group each, four
clients send through them to eight servers, IPv4 and IPv6.  Each packet must
arrive once, by the firewall that balance.c says; whose virtual MAC is learnt
is seen at the clients and in the switch.
"""
import re
import socket
import subprocess

import pytest
from lab import LAB, PASS, VIP6_LAN, VIP_LAN, Capture, vmac, wait_for

STEERER = str(LAB / "steerer")
VHIDS = (3, 4)
CLIENTS = 4
SERVERS = 8
EACH = 6                # packets per client and server
PORT = 9
GROUP_MAC = {"ip": "01:00:5e:00:01:03", "ip-stealth": vmac(3),
             "ip-unicast": vmac(3)}
FIREWALL = {"02:ca:fe:02:00:c8": "fw1", "02:ca:fe:02:00:c9": "fw2"}
NODES = {"fw1": [3], "fw2": [4]}

SEND = """
import socket, sys
port, first, last, *to = sys.argv[1:]
for seq in range(int(first), int(last)):
    for dst in to:
        s = socket.socket(socket.AF_INET6 if ":" in dst else socket.AF_INET,
                          socket.SOCK_DGRAM)
        s.sendto(b"balance %d" % seq, (dst, int(port)))
        s.close()
"""


def client_mac(i):      # two for each node of mode arp
    return ("02:ca:fe:01:00:0a", "52:54:00:12:34:57", "52:54:00:12:34:59",
            "52:54:00:12:34:5c")[i]


def client_addr(i, v6):
    return ("2001:db8:16::%d" if v6 else "172.16.0.%d") % (10 + i)


def server_addr(i, v6):
    return ("2001:db8:240::%d" if v6 else "172.16.240.%d") % (10 + i)


def client(i):
    return "client" if i == 0 else "client%d" % i


def which(mode, src, dst, mac):
    """The node that balance.c computes."""
    args = (mac,) if mode == "arp" else (src, dst)
    return int(subprocess.run(
        [STEERER, "-n", mode, PASS, str(len(VHIDS)), *args], check=True,
        stdout=subprocess.PIPE, text=True).stdout)


def add_client(lab, i):
    """Another one beside topo.sh's."""
    ns, host = lab.ns(client(i)), client(i)
    subprocess.run(["ip", "netns", "add", ns], check=True)
    lab.ip("lan", "link", "add", "dev", host, "type", "veth", "peer", "name",
           "eth0", "address", client_mac(i), "netns", ns)
    lab.ip("lan", "link", "set", "dev", host, "master", "br0", "up")
    lab.ip(host, "link", "set", "dev", "lo", "up")
    lab.ip(host, "link", "set", "dev", "eth0", "up")
    lab.ip(host, "addr", "add", client_addr(i, False) + "/24", "dev", "eth0")
    lab.ip(host, "addr", "add", client_addr(i, True) + "/64", "dev", "eth0",
           "nodad")
    lab.ip(host, "route", "add", "default", "via", VIP_LAN)
    lab.ip(host, "-6", "route", "add", "default", "via", VIP6_LAN)


def up(lab, host, dev):
    return " UP " in lab.ip(host, "-br", "link", "show", "dev", dev)


@pytest.fixture
def net(lab):
    try:
        for i in range(1, CLIENTS):
            add_client(lab, i)
        for i in range(1, SERVERS):
            lab.ip("server", "addr", "add", server_addr(i, False) + "/24",
                   "dev", "eth0")
            lab.ip("server", "addr", "add", server_addr(i, True) + "/64",
                   "dev", "eth0", "nodad")
        for i in range(1, CLIENTS):     # frames sent before would be lost
            wait_for(lambda i=i: up(lab, client(i), "eth0") and
                     up(lab, "lan", client(i)), 10, "the cable of " + client(i))
        yield lab
    finally:
        for i in range(1, CLIENTS):
            subprocess.run(["ip", "netns", "del", lab.ns(client(i))],
                           stderr=subprocess.DEVNULL)


class Firewall:
    """One with the addresses, the classifier and these nodes."""

    def __init__(self, lab, host, mode):
        self.lab, self.host = lab, host
        self.proc = lab.spawn(host, STEERER, "lan0", mode, PASS,
                              ",".join(map(str, VHIDS)), VIP_LAN, VIP6_LAN,
                              asks=True)
        self.proc.wait_line("^ready$")
        # as carpd sets it: who forwards asks from the physical address
        lab.run(host, "sysctl", "-qw", "net.ipv4.conf.lan0.arp_announce=2")
        lab.ip(host, "addr", "add", VIP_LAN + "/32", "dev", "lan0")
        lab.ip(host, "addr", "add", VIP6_LAN + "/128", "dev", "lan0", "nodad")

    def say(self, verb, vhid):
        said = len(self.proc.lines)
        self.proc.say("%s %d" % (verb, vhid))
        return wait_for(lambda: self.proc.lines[said:], 5, verb)[0][1]

    def stats(self, vhid):
        """taken, dropped"""
        return [int(n) for n in self.say("stats", vhid).split()[2:]]


def send(lab, first, last):
    """Packets first to last - 1 from each client to each server."""
    dst = [server_addr(i, v6) for v6 in (False, True) for i in range(SERVERS)]
    procs = [lab.spawn(client(i), "/usr/bin/python3", "-c", SEND,
                       str(PORT), str(first), str(last), *dst)
             for i in range(CLIENTS)]
    for p in procs:
        assert p.wait(30) == 0, p.text()


def arrived(capture):
    """{(source, destination, number): [by which firewall]}"""
    found = {}
    for _, f in capture.frames():
        v6 = f[12:14] == b"\x86\xdd"
        m = re.search(rb"balance (\d+)", f)
        if m is None:
            continue
        src, dst = (f[22:38], f[38:54]) if v6 else (f[26:30], f[30:34])
        mac = ":".join("%02x" % b for b in f[6:12])
        found.setdefault((src, dst, int(m[1])), []).append(FIREWALL[mac])
    return found


def packed(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else
                            socket.AF_INET, text)


def unpacked(key):
    src, dst, seq = key
    af = socket.AF_INET6 if len(src) == 16 else socket.AF_INET
    return socket.inet_ntop(af, src), socket.inet_ntop(af, dst), seq


def expect(mode, first, last, owner):
    """owner: node -> firewall"""
    want = {}
    for c in range(CLIENTS):
        for v6 in (False, True):
            for s in range(SERVERS):
                src, dst = client_addr(c, v6), server_addr(s, v6)
                fw = owner[which(mode, src, dst, client_mac(c))]
                for seq in range(first, last):
                    want[packed(src), packed(dst), seq] = [fw]
    return want


def check_all(capture, want, total):
    """All of want has come as it should, and nothing else of its numbers."""
    def missing():
        gone = [k for k in want if k not in arrived(capture)]
        return "%d packets, not these: %s" % (
            len(arrived(capture)), [unpacked(k) for k in gone[:5]])

    wait_for(lambda: sum(map(len, arrived(capture).values())) >= total, 20,
             missing, 0.1)
    got = arrived(capture)
    numbers = {seq for _, _, seq in want}
    got = {k: v for k, v in got.items() if k[2] in numbers}
    wrong = {k: (want.get(k), got.get(k)) for k in want.keys() | got.keys()
             if want.get(k) != got.get(k)}
    assert not wrong, "%d of %d: %s" % (len(wrong), len(want),
                                        list(wrong.items())[:3])


def neighbour(lab, host, addr):
    m = re.search(r"lladdr (\S+)", lab.ip(host, "neigh", "show", addr))
    return m and m[1]


def check_clients(lab, mode):
    """What the address resolves to, and that one firewall answers a ping."""
    for c in range(CLIENTS):
        for vip in (VIP_LAN, VIP6_LAN):
            out = lab.run(client(c), "ping", "-nc3", "-i0.05", "-W5", vip)
            assert "3 received" in out and "DUP" not in out, out
            node = which("arp", None, None, client_mac(c))
            want = GROUP_MAC.get(mode, vmac(VHIDS[node]))
            assert neighbour(lab, client(c), vip) == want


def learnt(lab):
    """Virtual MACs in the switch: {MAC: port}"""
    out = lab.run("lan", "bridge", "fdb", "show", "br", "br0")
    return {mac: port for mac, port in
            re.findall(r"^(\S+) dev (\S+)", out, re.M)
            if mac.startswith("00:00:5e:00:01:")}


def hub(lab):
    """ip-unicast needs one (or a mirror port): everybody gets everything."""
    ports = ["fw1", "fw2"] + [client(i) for i in range(CLIENTS)]
    for port in ports:
        lab.run("lan", "bridge", "link", "set", "dev", port, "learning", "off")
        lab.run("lan", "bridge", "fdb", "flush", "dev", port, check=False)


@pytest.mark.parametrize("mode", ["arp", "ip", "ip-stealth", "ip-unicast"])
def test_split(net, mode):
    lab = net
    if mode == "ip-unicast":
        hub(lab)
    fw = {host: Firewall(lab, host, mode) for host in NODES}
    for host, vhids in NODES.items():
        for vhid in vhids:
            fw[host].say("on", vhid)
    capture = Capture(lab, "server", "eth0", "udp port %d" % PORT, snap=128)
    per_round = CLIENTS * 2 * SERVERS * EACH

    # each has its share
    send(lab, 0, EACH)
    want = expect(mode, 0, EACH, ["fw1", "fw2"])
    assert {v[0] for v in want.values()} == {"fw1", "fw2"}
    check_all(capture, want, per_round)
    check_clients(lab, mode)
    if mode == "arp":
        assert learnt(lab) == {vmac(3): "fw1", vmac(4): "fw2"}
    else:
        assert not learnt(lab)
    taken = [fw[h].stats(v)[0] for h, v in (("fw1", 3), ("fw2", 4))]
    share = [sum(v == [h] for v in want.values()) for h in ("fw1", "fw2")]
    assert taken[0] >= share[0] and taken[1] >= share[1]
    if mode != "arp":       # and dropped what the other one has
        assert fw["fw2"].stats(3)[1] >= share[0]
        assert fw["fw1"].stats(4)[1] >= share[1]

    # fw1 gives its node away: no packet lost, none doubled
    fw["fw1"].say("off", 3)
    fw["fw2"].say("on", 3)
    send(lab, EACH, 2 * EACH)
    check_all(capture, expect(mode, EACH, 2 * EACH, ["fw2", "fw2"]),
              2 * per_round)
    check_clients(lab, mode)

    # and takes both
    for vhid in VHIDS:
        fw["fw2"].say("off", vhid)
        fw["fw1"].say("on", vhid)
    send(lab, 2 * EACH, 3 * EACH)
    check_all(capture, expect(mode, 2 * EACH, 3 * EACH, ["fw1", "fw1"]),
              3 * per_round)
    # by now doubles of the first rounds would have come
    check_all(capture, want, 3 * per_round)
    assert len(arrived(capture)) == 3 * per_round


def test_no_node_no_answer(net):
    """Who has no node of the group neither answers nor forwards."""
    lab = net
    fw = {host: Firewall(lab, host, "ip") for host in NODES}
    for host in NODES:
        assert not lab.pings("client", VIP_LAN)
    assert neighbour(lab, "client", VIP_LAN) is None
    fw["fw2"].say("on", 4)      # not the leader: still no answer
    assert not lab.pings("client", VIP_LAN)
    assert neighbour(lab, "client", VIP_LAN) is None
    fw["fw2"].say("on", 3)
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "an answer")
