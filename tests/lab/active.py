# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Active/active: several firewalls at once, and who of them forwards what.

A carp interface on each side with one vhid for each firewall; firewall i is
the best for node i, the next one for node i - 1, and so on.  What each
forwards is counted by nftables for each pair of client and server; what it
should forward is computed here as OpenBSD's carp(4) does, not by our own code.
"""
import hashlib
import ipaddress
import json
import struct

from lab import (VIP6_LAN, VIP6_WAN, VIP_LAN, VIP_WAN, Daemon, Lab,
                 Stream, now_ns, wait_for)

PASS = "password1"          # arp: the clients are not all of one node
LAN, WAN = "carp0", "carp1"
FIRST = {LAN: 1, WAN: 101}          # vhids
STEP = 20                           # of advskew, from one to the next
NAMES = ("Donald", "Daisy", "Gladstone", "Gus", "Fethry")
MODES = ("arp", "ip", "ip-stealth", "ip-unicast")

COUNT_RULES = """
table inet count {
    set pairs4 {
        typeof ip saddr . ip daddr
        flags dynamic
        counter
    }
    set pairs6 {
        typeof ip6 saddr . ip6 daddr
        flags dynamic
        counter
    }
    chain forward {
        type filter hook forward priority 10;
        update @pairs4 { ip saddr . ip daddr }
        update @pairs6 { ip6 saddr . ip6 daddr }
    }
}
"""


def fold(src, dst):
    """XOR of all 32-bit words of both addresses."""
    words = b"".join(ipaddress.ip_address(a).packed for a in (src, dst))
    f = 0
    for (w,) in struct.iter_unpack(">I", words):
        f ^= w
    return f


def arp_hash(mac, password=PASS):
    """carp_hash() of OpenBSD 5.8's sys/netinet/ip_carp.c."""
    key = password.encode().ljust(20, b"\0")
    block = bytes(b ^ 0x36 for b in key.ljust(64, b"\0"))
    w = struct.unpack("<5I", hashlib.sha1(block + b"\x02\x01").digest())
    m = bytes.fromhex(mac.replace(":", ""))
    mask = 0xffffffff
    a = (0x9e3779b9 + struct.unpack("<I", m[:4])[0]) & mask
    b = ((w[0] ^ w[1]) + m[4] + (m[5] << 8)) & mask
    c = ((w[2] ^ w[3]) + struct.unpack("<I", key[:4])[0]) & mask
    for p, q, r in ((13, 8, 13), (12, 16, 5), (3, 10, 15)):
        a = (a - b - c) & mask ^ c >> p
        b = (b - c - a) & mask ^ (a << q) & mask
        c = (c - a - b) & mask ^ b >> r
    return c


def vmac_of(mode, leader, vhid):
    """What ARP and ND say of the virtual addresses."""
    return "%s:00:5e:00:01:%02x" % ("01" if mode == "ip" else "00",
                                   vhid if mode == "arp" else leader)


def config(i, n, mode="ip", v6=False, more="", head="preempt yes\nlog 7",
           base=0, nodes=None, tail="", password=PASS):
    """carpd.conf of the i'th of n firewalls."""
    text = head + "\n"
    for iface, dev, a4, a6 in ((LAN, "lan0", VIP_LAN, VIP6_LAN),
                               (WAN, "wan0", VIP_WAN, VIP6_WAN)):
        text += "%s on %s {\n\tbalancing %s\n" % (iface, dev, mode)
        for k in range(nodes or n):
            text += "\tvhid %d { advbase %d advskew %d }\n" % (
                FIRST[iface] + k, base, (k - i) % n * STEP)
        text += "\tpass \"%s\"\n\taddress %s/24\n" % (password, a4)
        if v6:
            text += "\taddress %s/64\n" % a6
        text += "\t%s\n}\n" % more
    return text + tail


class Duck(Daemon):
    """One of the firewalls, and the nodes it is MASTER of."""

    def nodes(self, iface):
        """[state of each node], in the order of their vhids."""
        shown = self.show() if self.running() else None
        shown = shown or {"interfaces": []}
        return next(([v["state"] for v in i["vhids"]]
                     for i in shown["interfaces"] if i["name"] == iface), [])

    def masters(self, iface):
        return {k for k, s in enumerate(self.nodes(iface)) if s == "MASTER"}

    def shares(self, iface):
        """{node: (packets taken, dropped)}"""
        i = next(i for i in self.show()["interfaces"] if i["name"] == iface)
        return {v["carpnode"]: (v["taken"], v["dropped"]) for v in i["vhids"]}


class Flock:
    """n firewalls, four clients and two servers on a Lab."""

    logdir = None               # of the streams

    def __init__(self, lab, mode, n=2, v6=False, count=True, **conf):
        self.lab, self.mode, self.n, self.v6 = lab, mode, n, v6
        self.nodes = n
        self.hosts = ["fw%d" % (i + 1) for i in range(n)]
        self.ducks = [Duck(lab, host, config(i, n, mode, v6, **conf),
                           NAMES[i]) for i, host in enumerate(self.hosts)]
        nets = ("2001:db8:16::%d", "2001:db8:240::%d") if v6 else \
            ("172.16.0.%d", "172.16.240.%d")
        self.clients = {"client" + s: nets[0] % (10 + k)
                        for k, s in enumerate(("", "2", "3", "4"))}
        self.servers = {"server" + s: nets[1] % (10 + k)
                        for k, s in enumerate(("", "2"))}
        self.streams = {}
        if mode == "ip-unicast":    # it needs a hub
            for net in ("lan", "wan"):
                lab.ip(net, "link", "set", "br0", "type", "bridge",
                       "ageing_time", "0")
        for host in self.hosts if count else ():
            lab.run(host, "nft", "-f", "-", data=COUNT_RULES)

    @classmethod
    def up(cls, name, mode, n=2, **conf):
        """A Lab for it, not yet up."""
        return Lab(name, clients=4, servers=2, firewalls=n)

    def start(self, settle=True):
        for d in self.ducks:
            if not d.running():
                d.start()
        if settle:
            self.wait_owners({k: k for k in range(self.n)})
        return self

    def all_owners(self):
        """{interface: {node: [firewalls that are MASTER of it]}}"""
        found = {LAN: {}, WAN: {}}
        for i, d in enumerate(self.ducks):
            shown = d.show() if d.running() else None
            for iface in (shown or {"interfaces": []})["interfaces"]:
                for k, v in enumerate(iface["vhids"]):
                    if v["state"] == "MASTER" and iface["name"] in found:
                        found[iface["name"]].setdefault(k, []).append(i)
        return found

    def owners(self, iface):
        return self.all_owners()[iface]

    def wait_owners(self, want, timeout=15.0):
        """Node k is the want[k]'th firewall's, on both sides."""
        want = {k: [i] for k, i in want.items()}
        seen = {}

        def there():
            seen.update(self.all_owners())
            return all(s == want for s in seen.values())
        wait_for(there, timeout, lambda: "owners %s; they are %s\n%s" % (
            want, seen, "\n".join(d.name + ":\n" + d.text()
                                  for d in self.ducks)), 0.02)

    def mac(self, host):
        shown = json.loads(self.lab.ip(host, "-j", "link", "show", "eth0"))
        return shown[0]["address"]

    def node(self, src_host, src, dst):
        """Which node forwards what src sends to dst."""
        if self.mode == "arp":
            return arp_hash(self.mac(src_host)) % self.nodes
        return fold(src, dst) % self.nodes

    def pairs(self):
        """[(sending host, source, destination)] of all, both ways."""
        return [(h, a, b) for c, s in ((self.clients, self.servers),
                                       (self.servers, self.clients))
                for h, a in c.items() for b in s.values()]

    def expected(self):
        """{(source, destination): node}"""
        return {(a, b): self.node(h, a, b) for h, a, b in self.pairs()}

    def counts(self, host):
        """{(source, destination): packets it forwarded}"""
        shown = json.loads(self.lab.run(host, "nft", "-j", "list", "table",
                                        "inet", "count"))
        found = {}
        for part in shown["nftables"]:
            for e in part.get("set", {}).get("elem", []):
                e = e["elem"]
                found[tuple(e["val"]["concat"])] = e["counter"]["packets"]
        return found

    def check_shares(self):
        """Each firewall has forwarded its share and nothing else; the packets
        as {(source, destination): {firewall: packets}}."""
        expected, seen = self.expected(), {}
        for i, host in enumerate(self.hosts):
            for pair, packets in self.counts(host).items():
                seen.setdefault(pair, {})[i] = packets
        assert set(seen) == set(expected), (seen, expected)
        owners = {k: o[0] for k, o in self.owners(LAN).items()}
        assert {p: list(s) for p, s in seen.items()} == \
            {p: [owners[k]] for p, k in expected.items()}
        return seen

    def reset(self):
        for host in self.hosts:
            self.lab.run(host, "nft", "flush set inet count pairs4; "
                         "flush set inet count pairs6")

    def stream_all(self, interval_us=4000):
        """A stream of each client to each server; they flow."""
        since = now_ns()
        for s in self.stream_all_unchecked(interval_us).values():
            s.wait_flow(since)
        return self

    def stream_all_unchecked(self, interval_us=4000):
        port = 7100
        for c in self.clients:
            for s, addr in self.servers.items():
                port += 1
                self.streams[c, s] = Stream(
                    self.lab, addr, interval_us, port, client=c, server=s,
                    path=self.logdir / ("%s-%s.log" % (c, s))
                    if self.logdir else None)
        return self.streams

    def wait_packets(self, n):
        """n more of each stream have come back."""
        goals = [(s, s.progress()[1] + n) for s in self.streams.values()]
        for s, goal in goals:
            wait_for(lambda s=s, goal=goal: s.progress()[1] >= goal, 20,
                     "%d packets of each stream" % n, 0.02)

    def stop_streams(self):
        """{(client, server): report.Log}"""
        logs = {k: s.stop() for k, s in self.streams.items()}
        self.streams = {}
        return logs
