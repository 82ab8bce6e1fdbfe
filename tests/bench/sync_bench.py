# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""pfsyncd's figures, beside conntrackd's and the bare kernel's: for bench.py.

Distinct SNATed TCP flows, made by ctnetlink on one firewall; the other one's
kernel is read entry by entry before a figure counts, and what it lacks
(missing), has too much (stale) or otherwise (differ) stands beside it.

kernel      What no daemon can beat: insertions a second without and with
            somebody listening, CPU of each, events a second, dump.
rate        All flows made at once; until the backup's kernel has them all:
            states a second, CPU per state on either side, kernel's part of it
            included (user and system time of all processes of the daemon).
steady      The same at 20 k/s, and the lag from insertion to insertion.
real        UDP flows with replies through the firewall, as fast as they come:
            flows a second that are in both kernels at the end.
bulk        The backup starts with an empty table beside a full one.
cut         Sync link down for CUT_S seconds, changes meanwhile: from the
            carrier's return to equal tables.
overrun     A small event buffer, a burst: from its end to equal tables.
takeover    From the decision to the last state in the kernel.
memory      PSS of all processes, per state.
"""
import contextlib
import json
import os
import re
import shutil
import statistics
import sys
import time

from lab import FLOWS, Lab, Timeout, wait_for
from sync import (Sync, compare, count, cpu_us, flows, make, memory_kib,
                  sync_config, table_size, wait_count)

PATIENCE = 90           # seconds; what is not there then is missing
CUT_S = 10
PARTS = ["kernel", "rate", "steady", "real", "bulk", "cut", "overrun",
         "takeover", "memory"]


def out(**figures):
    for k, v in figures.items():
        if isinstance(v, float):
            figures[k] = round(v, 3)
    print(json.dumps(figures), flush=True)


class Pfsyncd:
    name = "pfsyncd"
    commits = False
    loose = []

    def __init__(self, lab, host, eventbuf=0):
        more = "eventbuf %d" % eventbuf if eventbuf else ""
        self.d = Sync(lab, host, sync_config(more=more), host)

    def start(self):
        self.d.start()

    def ready(self, other):
        for d in (self.d, other.d):
            d.wait_in_step()

    def holds(self):
        """How many it knows of its own kernel's."""
        return self.d.show()["states"]["local"]

    def stop(self):
        self.d.stop()

    def pids(self):
        return self.d.pids()


CONNTRACKD = """
Sync {
	Mode FTFW {
		ResendQueueSize 131072
		DisableExternalCache %(direct)s
		StartupResync On
	}
	UDP {
		IPv4_address %(here)s
		IPv4_Destination_Address %(there)s
		Port 3780
		Interface sync0
		SndSocketBuffer 67108864
		RcvSocketBuffer 67108864
		Checksum on
	}
}
General {
	HashSize 524288
	HashLimit 8388608
	Syslog off
	LogFile %(base)s.log
	LockFile %(base)s.lock
	UNIX {
		Path %(base)s.ctl
	}
	NetlinkBufferSize %(buffer)d
	NetlinkBufferSizeMaxGrowth %(growth)d
	NetlinkOverrunResync On
	Filter From Userspace {
		Protocol Accept {
			TCP
			UDP
		}
		Address Ignore {
			IPv4_address 127.0.0.1
			IPv4_address %(here)s
			IPv4_address %(there)s
		}
	}
}
"""
ADDRESS = {"fw1": "192.168.2.200", "fw2": "192.168.2.201"}


class Conntrackd:
    """Debian's, FTFW."""

    direct = "On"
    name = "conntrackd direct"
    commits = False
    loose = ["--loose"]     # by default it does not tell the window scale

    def __init__(self, lab, host, eventbuf=0):
        self.lab, self.host = lab, host
        base = lab.dir / ("ctd-" + host)
        self.conf = base.with_suffix(".conf")
        other = "fw2" if host == "fw1" else "fw1"
        self.conf.write_text(CONNTRACKD % {
            "direct": self.direct, "here": ADDRESS[host],
            "there": ADDRESS[other], "base": base,
            "buffer": eventbuf or 8 << 20, "growth": eventbuf or 128 << 20})
        self.lock = base.with_suffix(".lock")
        self.proc = None

    def ctl(self, *args):
        return self.lab.run(self.host, "conntrackd", "-C", str(self.conf),
                            *args, check=False)

    def start(self):
        self.lock.unlink(missing_ok=True)
        self.proc = self.lab.spawn(self.host, "conntrackd", "-C",
                                   str(self.conf))
        wait_for(lambda: "cache" in self.ctl("-s"), 10, self.proc.text, 0.02)

    def ready(self, other):
        # after a second it begins to greet
        for d in (self, other):
            wait_for(d.hears, 10, lambda d=d: d.ctl("-s"), 0.05)

    def hears(self):
        m = re.search(r"(\d+) Pckts recv", self.ctl("-s"))
        return m and int(m[1]) > 0

    def holds(self):
        """How many it knows of its own kernel's."""
        m = re.search(r"cache internal:\s*current active connections:\s*"
                      r"(\d+)", self.ctl("-s"))
        return int(m[1]) if m else 0

    def stop(self):
        self.ctl("-k")
        self.proc.end()

    def pids(self):
        return [self.proc.pid]


class ConntrackdCache(Conntrackd):
    """The shipped way: states wait in the daemon for a takeover."""

    direct = "Off"
    name = "conntrackd cache"
    commits = True

    def cached(self):
        """How many it holds of the other's."""
        last = 0
        for line in self.ctl("-s", "cache").splitlines():
            if "active objects" in line:
                last = int(line.split()[-1])
        return last         # the external one is the second


KINDS = (Pfsyncd, Conntrackd, ConntrackdCache)


class Bench:
    """Two firewalls, the daemon on both, room for n states."""

    def __init__(self, kind, n, eventbuf=0, both=True, conns=True):
        self.kind, self.n = kind, n
        self.stack = contextlib.ExitStack()
        self.lab = self.stack.enter_context(Lab("bench"))
        self.stack.enter_context(table_size(n * 4))
        if conns:
            self.lab.nat()
        self.master, self.backup = (kind(self.lab, h, eventbuf)
                                    for h in ("fw1", "fw2"))
        if both:
            self.backup.start()
        self.master.start()
        if both:
            self.master.ready(self.backup)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return self.stack.__exit__(*exc)

    def wait_all(self, n, since, have=None):
        """Until the backup has n; seconds since then, or None.  The kernel's
        own count is a file to read; the daemon's cache is asked for."""
        if self.kind.commits and have is None:
            with contextlib.suppress(Timeout):
                wait_for(lambda: self.backup.cached() >= n, PATIENCE,
                         step=0.02)
                return time.monotonic() - since
            return None
        last, still = -1, time.monotonic()
        while True:
            # polls the count every 200 us; then a dump says what it is
            try:
                wait_count(self.lab, "fw2", n, ms=500)
                return time.monotonic() - since
            except AssertionError:
                now = count(self.lab, "fw2")
            if now != last:
                last, still = now, time.monotonic()
            if time.monotonic() - still > PATIENCE / 3:
                return None

    def equal(self):
        """The backup's kernel against the master's, entry by entry."""
        if self.kind.commits:
            self.backup.ctl("-c")
        f, _ = compare(self.lab, "fw1", "fw2", *self.kind.loose)
        return {k: f[k] for k in ("missing", "stale", "differ")}

    def wait_equal(self, since, patience=PATIENCE):
        """Seconds until both tables are one set, or None, and what differs."""
        at, left = since, {}

        def equal():
            nonlocal at, left
            at = time.monotonic()
            if self.kind.commits:
                # its copy is in the daemon: what a commit would make of it
                self.lab.run("fw2", "conntrack", "-F", check=False)
                self.backup.ctl("-c")
            f, _ = compare(self.lab, "fw1", "fw2", *self.kind.loose)
            left = {k: f[k] for k in ("missing", "stale", "differ")}
            return not any(left.values())
        try:
            wait_for(equal, patience, step=0.1)
        except Timeout:
            return None, left
        return at - since, left


class Cpu:
    """Of both sides, since it was made."""

    def __init__(self, bench):
        self.sides = [("master", bench.master), ("backup", bench.backup)]
        self.before = {s: cpu_us(d.pids()) for s, d in self.sides}

    def per(self, n):
        return {"cpu_%s_us" % s: (cpu_us(d.pids()) - self.before[s]) / n
                for s, d in self.sides}


def median(values):
    known = [v for v in values if v is not None]
    return statistics.median(known) if len(known) == len(values) else None


# ---- the bare kernel ----

def seconds(said):
    """Of `flows make`."""
    return float(said.split()[-2])


def kernel(n):
    """Nobody but the tool itself."""
    with Lab("bench") as lab, table_size(n * 4):
        lab.nat()
        alone = [seconds(flows(lab, "fw1", "make", n, "--snat"))]
        t = time.monotonic()
        flows(lab, "fw1", "list", "--count")
        dump = time.monotonic() - t
        flows(lab, "fw1", "del", n, "--snat")
        ear = lab.spawn("fw1", FLOWS, "events", "--secs", "60")
        ear.wait_line("^ready")
        heard = seconds(flows(lab, "fw1", "make", n, "--snat"))
        ear.wait(70)
        ear = json.loads(ear.lines[-1][1])
        out(bench="kernel", states=n, inserts_per_s=n / alone[0],
            insert_us=alone[0] * 1e6 / n, heard_inserts_per_s=n / heard,
            events=ear["events"], event_cpu_us=ear["cpu_us"],
            dump_per_s=n / dump)
        return alone[0]


# ---- states by ctnetlink ----

def rate(kind, n, runs):
    rates, cpus, left = [], [], {}
    for _ in range(runs):
        with Bench(kind, n) as b:
            cpu, since = Cpu(b), time.monotonic()
            make(b.lab, "fw1", n, "--snat")
            took = b.wait_all(n, since)
            cpus.append(cpu.per(n))
            left = b.equal()
            rates.append(n / took if took else None)
    out(bench="rate", daemon=kind.name, states=n, runs=runs,
        into="daemon" if kind.commits else "kernel",
        states_per_s=median(rates), all_runs=[r and round(r) for r in rates],
        **{k: statistics.median(c[k] for c in cpus) for k in cpus[0]}, **left)


def steady(kind, n):
    per_s = 20000
    with Bench(kind, n) as b:
        cpu = Cpu(b)
        if kind.commits:
            flows(b.lab, "fw1", "make", n, "--snat", "--rate", per_s)
            b.wait_all(n, 0)
            lag = {}
        else:
            lag = json.loads(b.lab.run(
                "fw1", FLOWS, "lag", str(n), "/run/netns/" + b.lab.ns("fw2"),
                "--rate", str(per_s), "--snat", check=False, timeout=120))
            lag.pop("flows")
            lag["unseen"] = lag.pop("missing")
        figures = cpu.per(n)
        out(bench="steady", daemon=kind.name, states=n, per_s=per_s,
            **figures, **lag, **b.equal())


def udp_count(lab, host):
    return int(flows(lab, host, "list", "--count", "--only", "udp"))


def real(kind, n):
    """kind None: no daemon; "ear": a bare listener."""
    daemon = kind if kind not in (None, "ear") else None
    with contextlib.ExitStack() as stack:
        if daemon:
            b = stack.enter_context(Bench(daemon, n))
            lab = b.lab
        else:
            lab = stack.enter_context(Lab("bench"))
            stack.enter_context(table_size(n * 4))
            lab.nat()
        if kind == "ear":
            lab.spawn("fw1", FLOWS, "events", "--secs", "60").wait_line(
                "^ready")
        lab.topo("vip", "fw1")
        for host in ("fw1", "fw2"):
            lab.sysctl(host, nf_conntrack_udp_timeout=300,
                       nf_conntrack_udp_timeout_stream=300)
        echo = lab.spawn("server", FLOWS, "echo", "eth0", "--secs", "120")
        echo.wait_line("^ready")
        lab.pings("client", "172.16.240.10")
        cpu = Cpu(b) if daemon else None
        since = time.monotonic()
        flows(lab, "client", "real", n, "--rate", 200000)
        sent = time.monotonic() - since
        made = udp_count(lab, "fw1")
        figures = {}
        took = sent
        if daemon:
            # some of them are the hosts' own
            took = b.wait_all(made - 10, since)
            figures = cpu.per(made)
            figures.update(b.equal())
        out(bench="real", daemon=daemon.name if daemon else
            "none" if kind is None else "bare listener", sent=n, flows=made,
            made_per_s=made / sent, flows_per_s=made / took if took else None,
            **figures)


# ---- many at once ----

def bulk(kind, n, insert_s):
    with Bench(kind, n, both=False) as b:
        make(b.lab, "fw1", n, "--snat")
        wait_for(lambda: b.master.holds() >= n, PATIENCE,
                 "the master heard of all of it before the backup starts")
        before = cpu_us(b.master.pids())
        since = time.monotonic()
        b.backup.start()
        took = b.wait_all(n, since)
        cpu = {"cpu_master_us": (cpu_us(b.master.pids()) - before) / n,
               "cpu_backup_us": cpu_us(b.backup.pids()) / n}
        out(bench="bulk", daemon=kind.name, states=n, seconds=took,
            into="daemon" if kind.commits else "kernel",
            states_per_s=n / took if took else None,
            times_insertion=took / insert_s if took else None, **cpu,
            **b.equal())


def cut(kind, n, changes):
    """n states; half of the changes are new flows, the others go."""
    half = changes // 2
    with Bench(kind, max(n, half) + half) as b:
        make(b.lab, "fw1", max(n, half), "--snat")
        b.wait_all(max(n, half), time.monotonic())
        b.lab.unplug("fw1", "sync")
        since = time.monotonic()
        make(b.lab, "fw1", half, "--snat", "--base", 5000000)
        flows(b.lab, "fw1", "del", half)
        # the length of the cut is what is tested
        time.sleep(max(0, CUT_S - (time.monotonic() - since)))
        b.lab.plug("fw1", "sync")
        since = time.monotonic()
        wait_for(lambda: b.lab.pings("fw1", ADDRESS["fw2"]), 10, "the link")
        link = time.monotonic() - since
        took, left = b.wait_equal(since)
        out(bench="cut", daemon=kind.name, states=max(n, half),
            changes=changes, cut_s=CUT_S, link_s=link, seconds=took, **left)


def overrun(kind, n):
    with Bench(kind, n, eventbuf=65536) as b:
        make(b.lab, "fw1", n, "--snat")
        since = time.monotonic()
        took, left = b.wait_equal(since)
        out(bench="overrun", daemon=kind.name, states=n, eventbuf=65536,
            seconds=took, **left)


def takeover(kind, n):
    with Bench(kind, n) as b:
        make(b.lab, "fw1", n, "--snat")
        b.wait_all(n, time.monotonic())
        since = time.monotonic()
        if kind.commits:
            b.backup.ctl("-c")
        took = b.wait_all(n, since, have="kernel")
        f, _ = compare(b.lab, "fw1", "fw2", *kind.loose)
        out(bench="takeover", daemon=kind.name, states=n, seconds=took,
            **{k: f[k] for k in ("missing", "stale", "differ")})


def at_rest(read, apart=0.5):
    """What read() returns once it returns it twice, so many seconds apart."""
    last = None

    def rests():
        nonlocal last
        before, last = last, read()
        return before == last
    wait_for(rests, PATIENCE, "figures at rest", apart)
    return last


def memory(kind, n):
    with Bench(kind, n) as b:
        sides = (("master", b.master), ("backup", b.backup))
        before = {s: memory_kib(d.pids()) for s, d in sides}
        make(b.lab, "fw1", n, "--snat")
        b.wait_all(n, time.monotonic())
        after = at_rest(lambda: {s: memory_kib(d.pids()) for s, d in sides})
        out(bench="memory", daemon=kind.name, states=n,
            **{"%s_start_kib" % s: before[s] for s in before},
            **{"%s_kib_per_state" % s: round((after[s] - before[s]) / n, 4)
               for s in before})


def main(parts, runs):
    """What is asked for; BENCH_LONG=1 adds 500 k and 1 M states."""
    long = bool(os.environ.get("BENCH_LONG"))
    sizes = [100000, 500000, 1000000] if long else [100000]
    kinds = KINDS
    if not shutil.which("conntrackd"):
        print("bench: conntrackd is not installed: pfsyncd alone",
              file=sys.stderr)
        kinds = [Pfsyncd]
    insert = {}
    for n in sizes:
        if {"kernel", "bulk"} & set(parts):
            insert[n] = kernel(n)
    for kind in kinds:
        for n in sizes:
            if "rate" in parts:
                rate(kind, n, runs)
            if "bulk" in parts:
                bulk(kind, n, insert[n])
        if "steady" in parts:
            steady(kind, 60000)
        if "cut" in parts:
            cut(kind, 50000, 50000)
            if long:
                cut(kind, 300000, 600000)
        if "overrun" in parts:
            overrun(kind, 100000)
        if "takeover" in parts:
            takeover(kind, sizes[min(1, len(sizes) - 1)])
        if "memory" in parts:
            memory(kind, sizes[0])
    if "real" in parts:
        for kind in [None, "ear", *kinds]:
            real(kind, 100000)
