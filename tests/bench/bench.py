#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Figures, one JSON line each: carpd beside keepalived and ucarp, pfsyncd
beside conntrackd and the bare kernel.

    bench.py [RUNS [PART]...]

The same network, stream and events for all three, each with its ordinary
timers (one advertisement a second, the second node 100/256 s behind, or VRRP
priority 150 and 100), two virtual routers, LAN and DMZ.

outage      What the client loses at each event, RUNS times (3) at a random
            phase of the advertisement; null: no packet came back within
            PATIENCE seconds.
promotion   carpd: from the advertisement that demotes Mickey, leaving him, to
            the first packet that Minnie forwards, on the switches' clocks.
rest        CPU per advertisement sent (MASTER) or heard (BACKUP), RSS and PSS
            of each process.
forward steer
            Packets a second, by one firewall or shared: forward_bench.py.
flood       CPU of carpd's engines for each of half a million advertisements that
            are none, 100000 in a second or as many as this machine can, and how
            late the MASTER's own were meanwhile.
silent many lateness
            fast timers and many vhids: timer_bench.py.
kernel rate steady real bulk cut overrun takeover memory
            pfsyncd's: sync_bench.py.  BENCH_LONG=1 adds 500 k and 1 M states.

Compare what stands in one run; absolute figures are this machine's.
"""
import json
import os
import random
import shutil
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import forward_bench  # noqa: E402
import sync_bench  # noqa: E402
import timer_bench  # noqa: E402
from advert import parse  # noqa: E402
from badadvert import FLOOD, write_frames  # noqa: E402
from lab import (PASS, VIP_LAN, VIP_WAN, Capture, Daemon, Lab,  # noqa: E402
                 Stream, Timeout, children, config, now_ns, wait_for)

PATIENCE = 8.0
REST = 10.0             # seconds of idleness
CLIENT = bytes([172, 16, 0, 10])


class Carpd:
    """carpd on one firewall."""

    name = "carpd"

    def __init__(self, lab, host, first):
        self.lab, self.host = lab, host
        self.d = Daemon(lab, host, config(0 if first else 100), host)

    def start(self):
        self.d.start()

    def stop(self):
        self.d.stop()

    def kill(self):
        self.d.kill_all()

    def pids(self):
        return self.d.pids()

    def running(self):
        return self.d.running()


def stop_all(pids):
    for pid in pids:
        os.kill(pid, 19)


class Foreign:
    """Processes that share a shape: start some, kill them all."""

    def __init__(self, lab, host, first):
        self.lab, self.host, self.first = lab, host, first
        self.procs = []

    def start(self):
        self.forget()
        self.procs = [self.lab.spawn(self.host, *argv)
                      for argv in self.argvs()]

    def stop(self):
        for p in self.procs:
            p.end(10)

    def pids(self):
        return [pid for p in self.procs for pid in [p.pid, *children(p.pid)]]

    def kill(self):
        pids = self.pids()
        stop_all(pids)
        for pid in pids:
            os.kill(pid, 9)
        for p in self.procs:
            p.wait()

    def running(self):
        return bool(self.procs) and all(p.running() for p in self.procs)

    def forget(self):
        """What a killed one left would keep it from starting afresh."""
        for dev, vip in (("lan0", VIP_LAN), ("wan0", VIP_WAN)):
            self.lab.ip(self.host, "addr", "del", vip + "/32", "dev", dev,
                        check=False)


class Keepalived(Foreign):
    name = "keepalived"

    INSTANCE = """vrrp_instance %s {
	interface %s
	virtual_router_id %d
	state BACKUP
	priority %d
	advert_int 1
	virtual_ipaddress { %s/32 dev %s }
}
"""

    def argvs(self):
        base = self.lab.dir / ("keepalived-" + self.host)
        prio = 150 if self.first else 100
        conf = base.with_suffix(".conf")
        conf.write_text("vrrp_sync_group both { group { LAN DMZ } }\n" +
                        self.INSTANCE % ("LAN", "lan0", 1, prio, VIP_LAN,
                                         "lan0") +
                        self.INSTANCE % ("DMZ", "wan0", 2, prio, VIP_WAN,
                                         "wan0"))
        for old in self.lab.dir.glob(base.name + "*.pid"):
            old.unlink()
        return [["keepalived", "-n", "-l", "-P", "-f", str(conf),
                 "-p", "%s.pid" % base, "-r", "%s-vrrp.pid" % base]]


class Ucarp(Foreign):
    name = "ucarp"

    def argvs(self):
        for dev, vip, vhid in (("lan0", VIP_LAN, 1), ("wan0", VIP_WAN, 2)):
            for name, verb in (("up", "add"), ("down", "del")):
                script = self.lab.dir / ("%s-%d" % (name, vhid))
                script.write_text("#!/bin/sh\nexec ip addr %s %s/32 dev %s\n" %
                                  (verb, vip, dev))
                script.chmod(0o755)
            net = vip.rsplit(".", 1)[0]
            yield ["ucarp", "-i", dev, "-s", "%s.%d" %
                   (net, 200 if self.first else 201), "-v", str(vhid),
                   "-p", PASS, "-a", vip, "-b", "1",
                   "-k", "0" if self.first else "100", "-P", "-z",
                   "-u", str(self.lab.dir / ("up-%d" % vhid)),
                   "-d", str(self.lab.dir / ("down-%d" % vhid))]


def out(**figures):
    print(json.dumps(figures), flush=True)


class Cluster:
    def __init__(self, lab, kind):
        self.lab = lab
        self.kind = kind
        self.first = kind(lab, "fw1", True)
        self.second = kind(lab, "fw2", False)
        lab.firewall()

    def holds(self, node):
        return all(self.lab.has_address(node.host, v)
                   for v in (VIP_LAN, VIP_WAN))

    def settle(self):
        """The first one has everything, and the second nothing."""
        self.lab.plug("fw1", "all")
        for node in (self.first, self.second):
            if not node.running():
                node.start()
        wait_for(lambda: self.holds(self.first), 30, "fw1 is MASTER", 0.05)
        wait_for(lambda: not self.lab.has_address("fw2", VIP_LAN) and
                 not self.lab.has_address("fw2", VIP_WAN), 30,
                 "fw2 is BACKUP", 0.05)
        wait_for(lambda: self.lab.pings("client", "172.16.240.10"), 10,
                 "the client reaches the server")

    def events(self):
        lab, first = self.lab, self.first
        yield "idle", lambda: None, None
        yield "stop", first.stop, self.second
        yield "return", first.start, self.first
        yield "kill -9 all", first.kill, self.second
        if self.kind is Carpd:
            yield "kill -9 engine", first.d.kill_engine, self.second
            yield "kill -9 parent", first.d.kill_parent, self.second
            yield "demote", lambda: first.d.ok("demote", "50"), self.second
            yield "promote", lambda: first.d.ok("promote", "50"), self.first
        yield "cable", lambda: lab.unplug("fw1", "lan"), self.second
        yield "cable back", lambda: lab.plug("fw1", "lan"), self.first
        yield "all cables", lambda: lab.unplug("fw1", "all"), self.second

    def watch(self, act, winner, flows=True):
        """(outage in ms or None, packets lost); flows is False after an
        event that nothing has healed."""
        stream = Stream(self.lab)
        if flows:
            stream.wait_flow()
            stream.wait_packets(200 + random.randrange(1000))
        start = now_ns()
        act()
        back = True
        try:
            if winner is not None:
                wait_for(lambda: self.holds(winner), PATIENCE, "takeover")
            stream.wait_flow(timeout=PATIENCE)
            stream.wait_packets(500)
        except Timeout:
            back = False
        f = stream.stop().figures(start - 10_000_000)
        return (f.outage_ms if back else None), f.lost


# events that follow another, which they undo
AFTER = {"return": "stop", "cable back": "cable", "promote": "demote"}


def outages(kind, runs):
    found = {}
    for _ in range(runs):
        with Lab("bench") as lab:
            c = Cluster(lab, kind)
            c.settle()
            for event, act, winner in c.events():
                flows = True
                if event in AFTER:
                    flows = found[AFTER[event]][-1][0] is not None
                else:
                    c.settle()
                found.setdefault(event, []).append(
                    c.watch(act, winner, flows))
    for event, figures in found.items():
        ms = [m for m, _ in figures]
        known = [m for m in ms if m is not None]
        out(bench="outage", daemon=kind.name, event=event, runs=len(ms),
            median_ms=statistics.median(known) if len(known) == len(ms)
            else None, outage_ms=ms, lost=[n for _, n in figures])


def first_after(frames, t0, test):
    return next((t for t, f in frames if t >= t0 and test(f)), None)


def promotions(runs):
    """Mickey is demoted while a packet goes every 50 us."""
    found = []
    with Lab("bench") as lab:
        c = Cluster(lab, Carpd)
        for i in range(runs):
            c.settle()
            said = Capture(lab, "lan", "fw1", "ip proto 112")
            sent = Capture(lab, "wan", "fw2", "udp and src host 172.16.0.10")
            stream = Stream(lab, interval_us=50)
            stream.wait_flow()
            c.first.d.ok("demote", "50")
            wait_for(lambda: c.holds(c.second), PATIENCE, "takeover")
            stream.wait_packets(1000)
            stream.stop()
            c.first.d.ok("promote", "50")
            t0 = first_after(said.stop().frames(), 0,
                             lambda f: parse(f) and parse(f).demote == 50)
            t1 = first_after(sent.stop().frames(), t0,
                             lambda f: f[26:30] == CLIENT)
            found.append((t1 - t0) / 1e3)
    out(bench="promotion", daemon="carpd", runs=len(found), stream_us=50,
        median_us=statistics.median(found), best_us=min(found),
        worst_us=max(found))


def cpu_ns(pid):
    """On the CPU so far, all threads."""
    total = 0
    for task in Path("/proc/%d/task" % pid).iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def memory_kb(pid):
    fields = {}
    for line in Path("/proc/%d/smaps_rollup" % pid).read_text().splitlines():
        words = line.split()
        if words[0] in ("Rss:", "Pss:"):
            fields[words[0][:-1].lower() + "_kb"] = int(words[1])
    return fields


def rest(kind):
    """Two virtual routers, an advertisement a second each."""
    with Lab("bench") as lab:
        c = Cluster(lab, kind)
        c.settle()
        nodes = (("MASTER", c.first), ("BACKUP", c.second))
        heard = Capture(lab, "lan", "fw1", "ip proto 112")
        also = Capture(lab, "wan", "fw1", "ip proto 112")
        before = {pid: cpu_ns(pid) for _, n in nodes for pid in n.pids()}
        start = now_ns()
        wait_for(lambda: now_ns() - start > REST * 1e9, REST + 5, "rest", 0.1)
        spent = {pid: cpu_ns(pid) - before[pid] for pid in before}
        adverts = len(heard.stop().frames()) + len(also.stop().frames())
        for role, node in nodes:
            out(bench="rest", daemon=kind.name, role=role, adverts=adverts,
                cpu_us_per_advert=sum(spent[p] for p in node.pids()) / 1e3 /
                max(adverts, 1),
                processes=[dict(memory_kb(p), name=Path(
                    "/proc/%d/comm" % p).read_text().strip())
                    for p in node.pids()])


def flood(rate=100000, n=500000):
    """Mickey and Minnie hear nothing but lies, and each other."""
    with Lab("bench") as lab:
        c = Cluster(lab, Carpd)
        c.settle()
        daemons = (("MASTER", c.first.d), ("BACKUP", c.second.d))
        frames = write_frames(lab)
        before = {role: cpu_ns(d.engine) for role, d in daemons}
        start = now_ns()
        done = json.loads(lab.run("client", FLOOD, "eth0", str(rate), str(n),
                                  frames, timeout=600))
        for role, d in daemons:
            spent = cpu_ns(d.engine) - before[role]
            out(bench="flood", role=role, adverts=done["sent"],
                per_second=round(done["sent"] * 1000 / done["ms"]),
                cpu_us_per_advert=spent / 1e3 / done["sent"],
                core=spent / 1e6 / done["ms"],
                transitions=len(d.transitions(start)),
                own_late_us=d.counters()["adlate-max-us"])


def main(argv):
    if os.geteuid() != 0:
        print("bench: needs root, for network namespaces", file=sys.stderr)
        return 1
    runs = int(argv[1]) if len(argv) > 1 else 3
    parts = argv[2:] or ["outage", "promotion", "rest", "flood",
                         *forward_bench.PARTS, *timer_bench.PARTS,
                         *sync_bench.PARTS]
    Lab.sweep("bench")
    kinds = [Carpd]
    for k in (Keepalived, Ucarp):
        if shutil.which(k.name):
            kinds.append(k)
        else:
            print("bench: %s is not installed, left out" % k.name,
                  file=sys.stderr)
    for kind in kinds:
        if "outage" in parts:
            outages(kind, runs)
        if "rest" in parts:
            rest(kind)
    if "promotion" in parts:
        promotions(max(runs, 5))
    forward_bench.main(parts, runs, out)
    if "flood" in parts:
        flood()
    timer_bench.main(parts, runs, out)
    if set(parts) & set(sync_bench.PARTS):
        sync_bench.main(parts, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
