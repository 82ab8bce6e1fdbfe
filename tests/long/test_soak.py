# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Weeks of flaps, reloads, kills and traffic in two hours: nothing grows.

Everything happens to Mickey, whose host must be the same after each cycle;
Minnie's processes live through all of it and must neither need more memory or
descriptors than after the first cycles, nor wake up more often.

SOAK in the environment: seconds; SEED: the same again.
"""
import itertools
import os
import signal
import statistics
import time
from pathlib import Path

from chaos import Chaos, kill, seed
from lab import Lab, Stream, now_ns, wait_for
from sync import Conn, count, flows, memory_kib

SOAK = int(os.environ.get("SOAK", "7200"))
WARM = 16                   # cycles until tables have been as full as ever
REST_S = 2                  # at rest, for the wake-ups
PORTS = itertools.cycle(range(20000, 30000))
FILES = ("packet", "netlink", "raw", "raw6", "unix", "igmp", "igmp6",
         "dev_mcast", "ptype")


def objects(lab, host):
    """What the kernel has of each kind in that host."""
    out = lab.run(host, "sh", "-c", "cd /proc/net && wc -l " +
                  " ".join(FILES), check=False)
    return {name: int(n) for n, name in
            (line.split() for line in out.splitlines()) if name != "total"}


def descriptors(pid):
    """{what: how many}, timers and maps among them."""
    found = {}
    for fd in Path("/proc/%d/fd" % pid).iterdir():
        what = os.readlink(fd).split(":[")[0]
        found[what] = found.get(what, 0) + 1
    return found


def wakeups(pids):
    """So many a second, at rest."""
    def total():
        return sum(int(line.split()[1]) for pid in pids for line in
                   Path("/proc/%d/status" % pid).read_text().splitlines()
                   if line.startswith("voluntary_ctxt_switches"))
    first, start = total(), now_ns()
    wait_for(lambda: now_ns() - start > REST_S * 1e9, REST_S + 10, "a rest",
             0.1)
    return (total() - first) * 1e9 / (now_ns() - start)


class Sample:
    """Of a settled cluster."""

    def __init__(self, chaos):
        d = chaos.minnie
        self.pids = d.carpd.pids() + d.pfsyncd.pids()
        self.kib = {pid: memory_kib([pid], "Anonymous:")
                    for pid in self.pids}
        self.fds = {pid: descriptors(pid) for pid in self.pids}
        self.objects = {h: objects(chaos.lab, h) for h in ("fw1", "fw2")}
        self.wakeups = wakeups(self.pids)


def flaps(chaos, chance):
    for _ in range(5):
        net = chance.choice(("lan", "wan", "sync", "all"))
        chaos.lab.unplug("fw1", net)
        time.sleep(chance.random() * 0.8)   # how long is what is tested
        chaos.lab.plug("fw1", net)


def reloads(chaos, chance):
    """To other addresses and back, on both."""
    for more in ("address 172.16.0.203/24\n\taddress 2001:db8:16::203/64",
                 "demote-style both", ""):
        for node in chaos.nodes:
            node.carpd.write(chaos.conf(node.host, more))
            node.carpd.ok("reload")
            node.pfsyncd.proc.signal(signal.SIGHUP)


def kills(chaos, chance):
    for _ in range(2):
        names = chance.sample(sorted(chaos.processes(chaos.mickey)), 2)
        kill([chaos.known["fw1"][n] for n in names])
        chaos.restart()


def moves(chaos, chance):
    for _ in range(5):
        chaos.mickey.carpd.ok("demote", "50")
        chaos.minnie.carpd.wait_state("MASTER")
        chaos.mickey.carpd.ok("promote", "50")
        chaos.mickey.carpd.wait_state("MASTER")


def traffic(chaos, chance):
    """Connections that come and go through whoever is MASTER."""
    flows(chaos.lab, "client", "real", 5000, "--rate", 5000)
    for _ in range(3):
        conn = Conn.snat(chaos.lab, port=next(PORTS))
        conn.bulk(200000)
        conn.stop()


def flat(first, last, slack):
    """Is the level of the end that of the beginning?"""
    return statistics.median(last) <= statistics.median(first) * 1.05 + slack


def test_nothing_grows():
    chance = seed()
    with Lab("soak") as lab, Chaos(lab) as chaos:
        stream = Stream(lab, interval_us=10000)
        samples, begin = [], time.monotonic()
        while time.monotonic() - begin < SOAK or len(samples) < WARM + 8:
            acts = [flaps, reloads, kills, moves, traffic]
            chance.shuffle(acts)
            for act in acts:
                act(chaos, chance)
                chaos.restart()
            chaos.judge("cycle %d: %s" % (len(samples), ", ".join(
                a.__name__ for a in acts)))
            stream.wait_flow()
            for host in ("fw1", "fw2"):
                lab.run(host, "conntrack", "-F", check=False)
            samples.append(Sample(chaos))
            s = samples[-1]
            print("%5d s, cycle %d: KiB %s, fds %s, wake-ups %.0f/s" % (
                time.monotonic() - begin, len(samples),
                list(s.kib.values()), [sum(f.values()) for f in
                                       s.fds.values()], s.wakeups), flush=True)
        stream.stop()
        settled = samples[WARM:]
        third = max(3, len(settled) // 3)
        first, last = settled[:third], settled[-third:]
        assert all(s.pids == first[0].pids for s in settled), \
            "Minnie's processes lived"
        for pid in first[0].pids:
            assert flat([s.kib[pid] for s in first],
                        [s.kib[pid] for s in last], 256), [
                            s.kib[pid] for s in samples]
            assert first[0].fds[pid] == last[-1].fds[pid]
        assert first[0].objects == last[-1].objects
        assert flat([s.wakeups for s in first], [s.wakeups for s in last], 20)
        assert count(lab, "fw2") < 1000
        chaos.end()
