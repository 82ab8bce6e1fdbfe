# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Active/active and NAT: both firewalls translate to the address of the
balanced interface, each to its own ports, by the rules that we ship; so half
of the answers come to the firewall that did not see the question."""
import contextlib
import json
import re

from active import MODES, Flock, config
from lab import STREAM, TREE, VIP_WAN, wait_for
from sync import Sync, entries, sync_config

SAMPLE = TREE / "conf" / "balanced.nft.sample"
PORTS = ("donald_ports", "daisy_ports")
SHORT, LONG = 500, 20
AT_ONCE = 16                # short ones of a client with a server
PORT = 7500
LIBERAL = 0x08              # IP_CT_TCP_FLAG_BE_LIBERAL
# Known: in one of some ten runs a node missed the end of one of 520 connections
# of the other, whose entry then lasts as long as the kernel lets it.
LASTING = 2

FORWARD = """
table inet fw {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state invalid drop
        ct state established,related accept
        ip protocol tcp tcp flags & (fin | syn | rst | ack) != syn drop
        iifname "lan0" oifname "wan0" accept
    }
}
"""


def rules(i):
    """The sample for the i'th firewall of the lab."""
    text = SAMPLE.read_text()
    for name, value in (("dmz_if", '"wan0"'), ("vip", VIP_WAN),
                        ("lan_net", "172.16.0.0/24"),
                        ("my_ports", "$" + PORTS[i])):
        text, n = re.subn(r"(?m)^define %s = .*" % name,
                          "define %s = %s" % (name, value), text)
        assert n == 1, name
    return text


def ports(i):
    """Those of the i'th firewall."""
    m = re.search(r"(?m)^define %s = (\d+)-(\d+)$" % PORTS[i],
                  SAMPLE.read_text())
    return range(int(m[1]), int(m[2]) + 1)


def snmp(lab, host, proto):
    """{name: value} of /proc/net/snmp."""
    names, values = (line.split()[1:] for line in lab.run(
        host, "grep", "^%s:" % proto, "/proc/net/snmp").splitlines())
    return dict(zip(names, map(int, values)))


def shares(total, n):
    return [total // n + (k < total % n) for k in range(n)]


class Nated(Flock):
    """Two firewalls that translate to one address."""

    def __init__(self, lab, mode, sync=True):
        super().__init__(lab, mode)
        self.syncs = []
        for i, d in enumerate(self.ducks):
            d.write(config(i, 2, mode, base=1, head="preempt yes\nlog 7" +
                           ("\nsync wait 10" if sync else "")))
            for text in (rules(i), FORWARD):
                lab.run(d.host, "nft", "-f", "-", data=text)
            lab.sysctl(d.host, nf_conntrack_tcp_loose=0,
                       nf_conntrack_tcp_be_liberal=0)
            if sync:
                self.syncs.append(Sync(lab, d.host, sync_config(d.sock),
                                       d.name).start())
        for s in self.servers:
            lab.spawn(s, STREAM, "sink", str(PORT)).wait_line("^ready")
        self.runs = []

    def ways(self, client, server):
        """Which node takes the question, and which the answer."""
        return (self.node(client, self.clients[client],
                          self.servers[server]),
                self.node(server, self.servers[server], VIP_WAN))

    def crossing(self):
        """Pairs whose answers come to the other firewall."""
        found = [(c, s) for c in self.clients for s in self.servers
                 if len(set(self.ways(c, s))) == 2]
        assert found, self.mode
        return found

    def settle(self):
        self.wait_owners({0: 0, 1: 1})
        for s in self.syncs:
            s.wait_in_step()

    def conns(self, client, server, count, at_once, chunks, interval_us):
        return self.lab.spawn(client, STREAM, "conns", self.servers[server],
                              str(PORT), str(count), str(at_once),
                              str(chunks), str(interval_us))

    def begin(self):
        """All connections; they take their time."""
        self.reset()
        pairs = [(c, s) for c in self.clients for s in self.servers]
        for pair, short, long in zip(pairs, shares(SHORT, len(pairs)),
                                     shares(LONG, len(pairs))):
            self.runs += [
                ("long", pair, self.conns(*pair, long, long, 100, 50000)),
                ("short", pair, self.conns(*pair, short, AT_ONCE, 3, 0))]

    def end(self):
        """[(kind, pair, its line)]"""
        found = []
        for kind, pair, run in self.runs:
            # what hangs says what it has
            with contextlib.suppress(AssertionError):
                run.wait(90)
            assert run.end() == 0, run.text()
            found.append((kind, pair, json.loads(run.lines[-1][1])))
        return found

    def judge(self):
        lab, found = self.lab, self.end()
        again = sum(snmp(lab, s, "Tcp")["RetransSegs"] for s in self.servers)
        crossing = self.crossing()
        for kind, total in (("short", SHORT), ("long", LONG)):
            of = [(p in crossing, r) for k, p, r in found if k == kind]
            for crosses in (False, True):
                some = [r for x, r in of if x == crosses]
                print("%-10s %-5s %-8s %3d of %3d whole, %3d segments sent "
                      "again, mean %6.1f ms, longest %6.1f ms" % (
                          self.mode, kind,
                          "crossing" if crosses else "straight",
                          sum(r["whole"] for r in some),
                          sum(r["begun"] for r in some),
                          sum(r["retrans"] for r in some),
                          sum(r["mean_ms"] * r["begun"] for r in some) /
                          max(1, sum(r["begun"] for r in some)),
                          max((r["longest_ms"] for r in some), default=0)))
            assert sum(r["whole"] for _, r in of) == total, of
            assert not any(r["wrong"] for _, r in of), of
        print("%-10s servers sent %d segments again" % (self.mode, again))
        self.judge_paths()
        self.judge_tables()
        # nobody was told that there is no such connection
        assert [snmp(lab, h, "Tcp")["OutRsts"] for h in self.hosts] == [0, 0]

    def judge_paths(self):
        """Answers went where they were to go: some to the other one."""
        counts = [self.counts(h) for h in self.hosts]
        for c, a in self.clients.items():
            for s, b in self.servers.items():
                want = self.ways(c, s)
                for pair, k in (((a, b), want[0]), ((b, a), want[1])):
                    assert [pair in n for n in counts] == \
                        [k == 0, k == 1], (pair, want, counts)

    def judge_tables(self):
        """Each has its own ports, and what the other one made is liberal; and
        both know that all of it is over."""
        rx = re.compile(r"proto 6 .* reply .* > %s:(\d+) .*flags (\w+)/(\w+)" %
                        re.escape(VIP_WAN))
        for i, host in enumerate(self.hosts):
            flows = [rx.search(e) for e in entries(self.lab, host, "--flags",
                                                   "--proto", "tcp")]
            flows = [(int(m[1]), int(m[2], 16), int(m[3], 16))
                     for m in flows if m]
            others = [f for f in flows if f[0] in ports(1 - i)]
            assert others and len(others) < len(flows)
            assert all(f[0] in ports(i) for f in flows if f not in others)
            assert all(f[1] & f[2] & LIBERAL for f in others), others
            wait_for(lambda: len(self.lasting(host)) <= LASTING, 20,
                     lambda: "no connection in the table of %s:\n%s" % (
                         host, "\n".join(self.lasting(host))))
            for e in self.lasting(host):
                print("lasts at %s: %s" % (host, e))
        for s in self.syncs:
            assert s.counters().get("clashes", 0) == 0

    def lasting(self, host):
        return [e for e in entries(self.lab, host) if "ESTABLISHED" in e]


def test_connections():
    """Each mode, side by side: all connections complete."""
    with contextlib.ExitStack() as stack:
        flocks = [Nated(stack.enter_context(Flock.up("anat", m)), m)
                  for m in MODES]
        for f in flocks:
            f.start(settle=False)
        for f in flocks:
            f.settle()
        for f in flocks:
            f.begin()
        for f in flocks:
            f.judge()


def test_silence():
    """An answer whose state is not there: nobody is told so, which without the
    chain of the sample they are."""
    with Flock.up("anat", "ip") as lab:
        flock = Nated(lab, "ip", sync=False).start()    # it never comes
        client, server = flock.crossing()[0]
        answers = flock.hosts[flock.ways(client, server)[1]]

        def told():
            return (snmp(lab, answers, "Tcp")["OutRsts"],
                    snmp(lab, answers, "Icmp")["OutDestUnreachs"])

        def dropped():
            shown = lab.run(answers, "nft", "list", "chain", "ip", "balanced",
                            "early")
            return [int(n) for n in re.findall(r"packets (\d+)", shown)]
        lab.spawn(server, STREAM, "echo", str(PORT)).wait_line("^ready")

        def ask():
            return (flock.conns(client, server, 1, 1, 1, 0),
                    lab.spawn(client, STREAM, "send", flock.servers[server],
                              str(PORT), "10000", "0",
                              str(lab.dir / "echoes")))
        asking = ask()
        wait_for(lambda: all(dropped()), 20, lambda: "TCP and UDP dropped: "
                 "%s" % dropped(), 0.02)
        for p in asking:
            p.end()
        assert told() == (0, 0)
        # who asks for what nobody serves is told as ever
        refused = lab.run(server, STREAM, "conns", VIP_WAN, "9", "1", "1", "1",
                          "0").splitlines()
        assert json.loads(refused[-1])["error"] == "Connection refused"
        before = told()
        lab.run(answers, "nft", "flush", "chain", "ip", "balanced", "early")
        ask()
        wait_for(lambda: all(b > a for a, b in zip(before, told())), 20,
                 lambda: "RST and ICMP: %s, then %s" % (before, told()), 0.02)
