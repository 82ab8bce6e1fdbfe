# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What carpd costs the packets that a firewall forwards, for bench.py.

forward     One CPU sends small UDP packets from a client to a server, as many
            as it can, RUNS times (7): how many arrive a second, and the time
            of one by the best run: what else happens only slows.  The same CPU
            does all the work of the way: the switches and the firewalls are
            namespaces of this machine.  By "bare" the client's gateway is the
            firewall's own address and there is no carpd; "failover" is one
            vhid, the others are two vhids of two firewalls.  In ip modes the
            switches flood, which costs here as well, and the other firewall
            drops: those times are upper bounds.
steer       The classifier alone, for each kind of frame: nanoseconds, the best
            of some rounds (BPF_PROG_TEST_RUN).
"""
import re
import statistics
import subprocess

from active import Flock, config
from lab import STREAM, TREE, wait_for

PARTS = ["forward", "steer"]
PATHS = ("bare", "failover", "arp", "ip", "ip-stealth", "ip-unicast")
FLOOD_MS = 700
PORT = "9"
COUNT = """
table inet sunk {
    counter arrived { }
    chain sink {
        type filter hook prerouting priority raw;
        udp dport %s counter name arrived drop
    }
}
""" % PORT


def arrived(lab):
    out = lab.run("server", "nft", "list", "counter", "inet", "sunk",
                  "arrived")
    return int(re.search(r"packets (\d+)", out)[1])


def flood(lab, server):
    """Packets a second that arrived."""
    before = arrived(lab)
    ns, _ = map(int, lab.run("client", STREAM, "flood", server, PORT,
                             str(FLOOD_MS)).split())
    return (arrived(lab) - before) / ns * 1e9


def prepare(flock, path):
    """Somebody forwards."""
    if path == "bare":
        for host, gateways in (("client", ("172.16.0.200",
                                           "2001:db8:16::200")),
                               ("server", ("172.16.240.200",
                                           "2001:db8:240::200"))):
            for gateway in gateways:
                flock.lab.ip(host, "route", "replace", "default", "via",
                             gateway)
        return
    if path == "failover":
        for i, d in enumerate(flock.ducks):
            d.write(config(i, 2, "none", v6=True, nodes=1, base=1))
        flock.start(settle=False)
        flock.wait_owners({0: 0})
        return
    for i, d in enumerate(flock.ducks):
        d.write(config(i, 2, path, v6=True, base=1))
    flock.start()


def forward(path, runs, out):
    with Flock.up("bench", path) as lab:
        flock = Flock(lab, path, v6=True, count=False)
        prepare(flock, path)
        lab.run("server", "nft", "-f", "-", data=COUNT)
        for family, server in (("IPv4", "172.16.240.10"),
                               ("IPv6", "2001:db8:240::10")):
            wait_for(lambda: lab.pings("client", server), 10, server)
            found = [flood(lab, server) for _ in range(runs)]
            out(bench="forward", path=path, family=family, runs=runs,
                pps=round(statistics.median(found)), best_pps=round(max(found)),
                ns_per_packet=round(1e9 / max(found)),
                all_pps=[round(p) for p in found])


def steer():
    done = subprocess.run([str(TREE / "tests/unit/steer_prog_test.ut"),
                           "bench"], cwd=TREE, text=True, check=True,
                          stdout=subprocess.PIPE)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            print(line, flush=True)


def main(parts, runs, out):
    if "forward" in parts:
        for path in PATHS:
            forward(path, max(runs, 7), out)
    if "steer" in parts:
        steer()
