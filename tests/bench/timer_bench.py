# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Figures of fast timers and of many vhids, for bench.py.

silent      A death that nobody tells of, RUNS times at a random phase: all
            processes stopped, or the cable passing nothing (no carrier lost).
            From it to the successor's first advertisement, and from the last
            advertisement heard.  carpd with advbase 0, keepalived with
            VRRPv3 and advert_int 0.01, its fastest.
many        CPU of all processes of a node, per advertisement (a frame) and of
            a core, RSS: 1 and 255 vhids with IPv4, each second and at the
            fastest.
lateness    How late the advertisements of a minute ran, with and without six
            CPU hogs, advbase 0; takeovers that there were.
"""
import random
import statistics
import time

from fast import lull
from lab import Capture, Daemon, Lab, many, now_ns, wait_for

PARTS = ["silent", "many", "lateness"]
REST = 10.0


def wait_ns(ns):
    end = now_ns() + ns
    wait_for(lambda: now_ns() > end, 60, "%d ns" % ns, 0.0005)


def vrrp_conf(count, prio, interval, dev="lan0"):
    return "global_defs {\n\tvrrp_version 3\n}\n" + "".join(
        """vrrp_instance V%d {
	interface %s
	virtual_router_id %d
	state BACKUP
	priority %d
	advert_int %s
	virtual_ipaddress { 10.10.%d.1/24 dev %s }
}
""" % (v, dev, v, prio, interval, v, dev) for v in range(1, count + 1))


class Vrrp:
    """keepalived with `count` instances on one firewall."""

    name = "keepalived"

    def __init__(self, lab, host, count, interval):
        from bench import Foreign
        base = lab.dir / ("ka-" + host)
        conf = base.with_suffix(".conf")
        conf.write_text(vrrp_conf(count, 150 if host == "fw1" else 100,
                                  interval))
        argv = ["keepalived", "-n", "-l", "-P", "-f", str(conf),
                "-p", "%s.pid" % base, "-r", "%s-vrrp.pid" % base]

        class One(Foreign):
            def argvs(self):
                return [argv]

            def forget(self):
                for old in lab.dir.glob(base.name + "*.pid"):
                    old.unlink()
        self.p = One(lab, host, host == "fw1")

    def start(self):
        self.p.start()

    def pids(self):
        return self.p.pids()


class Carp:
    name = "carpd"

    def __init__(self, lab, host, count, base):
        self.d = Daemon(lab, host, "preempt yes\nlog 2\n" +
                        many("lan0", range(1, count + 1), base,
                             0 if host == "fw1" else 100 if base else 1)
                        .replace("\taddress 2001", "#"), host)

    def start(self):
        self.d.start()

    def pids(self):
        return self.d.pids()


def installed(lab, host):
    out = lab.ip(host, "-br", "-4", "addr", "show", "dev", "lan0")
    return out.count(" 10.10.")


def cluster(lab, kind, count, arg):
    first, second = kind(lab, "fw1", count, arg), kind(lab, "fw2", count, arg)
    first.start()
    wait_for(lambda: installed(lab, "fw1") == count, 60, "fw1 is MASTER")
    second.start()
    wait_for(lambda: installed(lab, "fw2") == 0, 60, "fw2 is BACKUP")
    wait_ns(3 * 10**9)
    return first, second


def silent_once(kind, arg, how):
    """(ns from the death, ns from the last advertisement)"""
    from bench import stop_all
    with Lab("bench") as lab:
        first, _ = cluster(lab, kind, 1, arg)
        heard = Capture(lab, "fw2", "lan0", "ip proto 112", "in")
        said = Capture(lab, "fw2", "lan0", "ip proto 112", "out")
        wait_ns(200_000_000 + random.randrange(20_000_000))
        if how == "stopped":
            stop_all(first.pids())
        else:
            lab.topo("block", "fw1", "lan")
        died = time.time_ns()
        wait_for(lambda: said.frames(), 10, "fw2 speaks", 0.01)
        taken = said.stop().frames()[0][0]
        last = [t for t, _ in heard.stop().frames() if t < taken][-1]
        return taken - died, taken - last


def silent(runs, out):
    for kind, arg, timers in ((Carp, 0, "advbase 0"),
                              (Vrrp, "0.01", "VRRPv3, advert_int 0.01")):
        for how in ("stopped", "cable blocked"):
            found = [silent_once(kind, arg, how) for _ in range(runs)]
            # what blocks the cable ends some time after it has
            noticed = [a / 1e6 for a, _ in found] if how == "stopped" else \
                None
            out(bench="silent", daemon=kind.name, timers=timers, death=how,
                runs=runs, noticed_ms=noticed and statistics.median(noticed),
                noticed_worst_ms=noticed and max(noticed),
                silence_ms=statistics.median(b / 1e6 for _, b in found),
                silence_worst_ms=max(b / 1e6 for _, b in found))


def frames_sent(lab):
    return int(lab.run("fw1", "cat", "/sys/class/net/lan0/statistics/"
                       "tx_packets"))


def many_once(kind, count, arg, timers, out):
    from bench import cpu_ns, memory_kb
    with Lab("bench") as lab:
        nodes = dict(zip(("MASTER", "BACKUP"),
                         cluster(lab, kind, count, arg)))
        before = {p: cpu_ns(p) for n in nodes.values() for p in n.pids()}
        sent, start = frames_sent(lab), now_ns()
        wait_ns(REST * 1e9)
        took = now_ns() - start
        spent = {p: cpu_ns(p) - before[p] for p in before}
        sent = frames_sent(lab) - sent
        for role, node in nodes.items():
            cpu = sum(spent[p] for p in node.pids())
            out(bench="many", daemon=kind.name, vhids=count, timers=timers,
                role=role, adverts=sent,
                cpu_us_per_advert=cpu / 1e3 / max(sent, 1),
                cpu_percent=100 * cpu / took,
                rss_kb=[memory_kb(p)["rss_kb"] for p in node.pids()],
                pss_kb=[memory_kb(p)["pss_kb"] for p in node.pids()])


def many_vhids(out):
    for count in (1, 255):
        many_once(Carp, count, 1, "1 s", out)
        many_once(Carp, count, 0, "1/256 s", out)
        many_once(Vrrp, count, "1", "1 s", out)


def lateness(out):
    for hogs in (0, 6):
        with Lab("bench") as lab:
            bad, excused, late = lull(lab, 60, 0, hogs)
        out(bench="lateness", hogs=hogs, takeovers=len(bad),
            while_the_machine_stood_still=len(excused), histogram=late)


def main(parts, runs, out):
    if "silent" in parts:
        silent(max(runs, 9), out)
    if "many" in parts:
        many_vhids(out)
    if "lateness" in parts:
        lateness(out)
