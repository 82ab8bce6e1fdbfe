# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A child that was taken over says whatever it likes to its siblings.

The child is tests/lab/hostile_carpd or hostile_pfsyncd: a daemon executes its
own argv[0] again for a child, so the real parent, started under that name, has
it as engine, on the real channel.  Nothing may happen that the configuration
does not have, nothing may crash, nothing may grow.
"""
import os
import re

import pytest
from lab import (CLAIMS, LAB, VIP_LAN, VIP_WAN, Capture, Daemon, Lab, children,
                 config, difference, snapshot, vmac, wait_for)
from sync import Sync, entries, memory_kib, sync_config

LONG = "CHECK_LONG" in os.environ
MESSAGES = 1000000 if LONG else 100000
WRONG = range(13)       # what hostile.c's say_wrong() knows
SOME = WRONG if LONG else [3, 4, 7, 11]     # type, size, descriptor, noise
BAD_OPS = range(13, 29)     # and hostile_pfsyncd.c's say_bad_ops()
BAD_ANSWERS = range(13, 23)     # and its say_bad_answer()
GROWTH_KIB = 2048       # buffers that were never used before
QUEUE_KIB = 65536       # CARPD_QUEUE_MAX
TABLE_KIB = 4096        # and the table process's QUEUE_MAX
ENGINE_KIB = 8192       # states, and what is queued to the table process


def hostile(cls, program):
    """A daemon whose child is that program, with an order for it."""
    class Taken(cls):
        order = who = ""

        def argv(self, *more):
            return ["env", "HOSTILE=" + self.order, "HOSTILE_AS=" + self.who,
                    "HOSTILE_REAL=" + self.path, "bash", "-c",
                    'exec -a "$0" "$@"', str(LAB / program),
                    *super().argv(*more)]

        def begin(self, order, who=""):
            """Nobody answers at its control socket."""
            self.order, self.who = order, who
            return self.start(wait=False)

        def wait_started(self):
            self.proc.wait_line("started", 10)
            self.kids = children(self.proc.pid)

        def wait_said(self, n=MESSAGES):
            """All is said, or it is over before."""
            line = "hostile: %d said" % n
            wait_for(lambda: self.proc.grep(line) or not self.proc.running(),
                     300, line)
            assert self.proc.running(), self.proc.text()[-1000:]
    return Taken


Carpd = hostile(Daemon, "hostile_carpd")
Pfsyncd = hostile(Sync, "hostile_pfsyncd")


@pytest.fixture(scope="module")
def one_net():
    with Lab("nsh") as lab:
        yield lab


@pytest.fixture
def net(one_net):
    """Nobody of the test before is left."""
    yield one_net
    for p in one_net.processes:
        p.end()
    one_net.run("fw1", "conntrack", "-F")


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def kernel(lab):
    """What is there, without the numbers that the kernel gives."""
    return {re.sub(r"\[\d+\]|\bid \d+", "", line)
            for line in snapshot(lab, ["fw1"])}


# What may be said at any time: of neighbours, of the host's addresses, and by
# ip(8) itself, which could not read all of it, or not a cable's other end.
ALWAYS = re.compile(r"\b(REACHABLE|STALE|DELAY|PROBE|INCOMPLETE|FAILED|NOARP)\b"
                    r"|::200\b|fe80::|ff00::|\.200\b|203\.0\.113\.1\b"
                    r"|netlink receive error|^Error: Peer netns")


class Monitor:
    """All that becomes different in a host, each thing once."""

    def __init__(self, lab, host):
        self.proc = lab.spawn(host, "ip", "-rc", "67108864", "-o", "monitor",
                              "link", "address", "route", "neigh", "rule",
                              "nsid")

        def listening():            # a change of our own shows it
            for verb in ("add", "del"):
                lab.ip(host, "addr", verb, "203.0.113.1/32", "dev", "sync0")
            return self.proc.grep("203.0.113.1")
        wait_for(listening, 5, "ip monitor listens", 0.02)

    def seen(self):
        self.proc.end()
        return {re.sub(r"\d+sec", "", text) for _, text in self.proc.lines
                if not ALWAYS.search(text)}


@pytest.fixture(scope="module")
def real(one_net):
    """What a real carpd does with this configuration: when it is MASTER, and
    all that has happened by its end."""
    net = one_net
    net.before = kernel(net)
    monitor = Monitor(net, "fw1")
    d = Daemon(net, "fw1", config(0, base=0), "Real").start()
    d.wait_state("MASTER")
    wait_for(lambda: net.has_address("fw1", VIP_LAN) and
             net.has_address("fw1", VIP_WAN), 5, "the addresses")
    master = kernel(net)
    d.stop()
    return master, monitor.seen()


@pytest.mark.parametrize("how", ["storm", "deaf"])
def test_engine_of_carpd(net, real, how):
    """The kernel is told what a real engine's wishes would tell it, no more;
    then the engine dies, and its last words are those of the configuration."""
    master, told = real
    monitor = Monitor(net, "fw1")
    wire = Capture(net, "lan", "fw1", CLAIMS)
    d = Carpd(net, "fw1", config(0, base=0), "Taken-" + how)
    d.begin("%s %d 1" % (how, MESSAGES)).wait_started()
    pid = d.proc.pid
    before = descriptors(pid), memory_kib([pid])
    d.wait_said()
    wait_for(lambda: descriptors(pid) <= before[0], 5, "no more descriptors")
    wait_for(lambda: kernel(net) == master, 10,
             lambda: difference(master, kernel(net)), 0.1)
    assert memory_kib([pid]) < before[1] + GROWTH_KIB + \
        (QUEUE_KIB if how == "deaf" else 0)
    d.kill(*d.kids)
    assert d.proc.wait(10) == 1
    d.proc.wait_line("engine died")
    assert difference(net.before, kernel(net)) == ""
    assert sorted(monitor.seen() - told) == []
    said = [f for _, f in wire.stop().frames()]
    assert said, "the last words"
    for f in said:
        assert f[6:12].hex(":") == vmac(1) and f[23] == 112, f.hex()


@pytest.mark.parametrize("which", WRONG)
def test_what_no_engine_of_carpd_says(net, real, which):
    """Once is enough: it is killed, and everything is put back."""
    d = Carpd(net, "fw1", config(0, base=0), "Taken")
    d.begin("wrong %d" % which)
    assert d.proc.wait(10) == 1
    d.proc.wait_line("engine (sent message|died)")
    assert difference(net.before, kernel(net)) == ""


def demotions(carpd):
    """Of its ledger what is pfsyncd's."""
    return {(g["name"], e["reason"], e["amount"]) for g in
            carpd.show("demotion")["groups"] for e in g["entries"]
            if e["owner"].startswith("pfsyncd")}


@pytest.fixture
def carpd(net, real):
    d = Daemon(net, "fw1", config(0, base=0), "Real").start()
    d.wait_state("MASTER")
    return d


def test_engine_of_pfsyncd(net, real, carpd):
    """Well-formed states come and go, carpd is demoted as pfsyncd may demote
    it, and nothing else happens."""
    before = kernel(net), net.run("fw1", "nft", "list", "ruleset")
    monitor = Monitor(net, "fw1")
    d = Pfsyncd(net, "fw1", sync_config(carpd.sock), "Taken")
    d.begin("storm %d 1" % (MESSAGES // 2), "engine").wait_started()
    pids = [d.proc.pid, d.table]
    fds, kib = [descriptors(p) for p in pids], memory_kib(pids)
    d.wait_said(MESSAGES // 2)
    # it has deleted what it made, but for what lasts a second
    wait_for(lambda: not entries(net, "fw1", own=True), 10, "none is left")
    wait_for(lambda: all(descriptors(p) <= n for p, n in zip(pids, fds)), 5,
             "no more descriptors")
    assert memory_kib(pids) < kib + GROWTH_KIB + TABLE_KIB
    assert demotions(carpd) <= {("carp", "bulk", 32), ("carp", "liberal", 32),
                                ("carp", "syncdev", 1)}
    by = {m[1] for m in (re.search(r"pfsyncd demoted group (\w+ by -?\d+) ", x)
                         for _, x in carpd.proc.lines) if m}
    assert by and by <= {"carp by %d" % n for n in (1, 32, -1, -32)}
    assert carpd.states() == {"carp0": "MASTER", "carp1": "MASTER"}
    assert d.stop() == 0
    assert (kernel(net), net.run("fw1", "nft", "list", "ruleset")) == before
    assert sorted(monitor.seen() - real[1]) == []


def test_engine_of_pfsyncd_that_does_not_read(net):
    """The table process waits for it no longer than 4 MiB, and ends."""
    d = Pfsyncd(net, "fw1", sync_config(), "Taken")
    d.begin("deaf 1000000 1", "engine")
    assert d.proc.wait(30) == 1
    d.proc.wait_line("the engine does not read")


@pytest.mark.parametrize("how", ["storm", "endless", "deaf"])
def test_table_of_pfsyncd(net, how):
    """Of events, failures, dumps and held packets that never were the engine
    believes what can be, to a bound, and goes on: it answers, hears its peer,
    and ends in order.  One that does not read it waits for no longer than
    2 MiB."""
    peer = Sync(net, "fw2", sync_config(), "Peer").start()
    d = Pfsyncd(net, "fw1", sync_config(), "Taken")
    d.begin("%s %d 1" % (how, MESSAGES // 2), "table-engine").wait_started()
    wait_for(d.peers, 10, "it answers, and has a peer")
    pids = [d.proc.pid, d.engine]
    fds, kib = [descriptors(p) for p in pids], memory_kib(pids)
    if how != "deaf":
        d.wait_said(MESSAGES // 2)
        wait_for(lambda: all(descriptors(p) <= n for p, n in zip(pids, fds)),
                 5, "no more descriptors")
        assert any(p["alive"] for p in d.peers())
    else:
        wait_for(lambda: d.proc.grep("hostile: %d said" % (MESSAGES // 2)) or
                 d.proc.grep("message to the table process"), 300, "the end")
    if d.proc.grep("message to the table process"):
        assert d.proc.wait(10) == 1
    else:
        assert memory_kib(pids) < kib + ENGINE_KIB
        assert d.stop() == 0
    assert peer.stop() == 0


@pytest.mark.parametrize("who,which", [
    *(("engine", n) for n in SOME), *(("table", n) for n in SOME),
    *(("engine-table", n) for n in [*SOME, *BAD_OPS]),
    *(("table-engine", n) for n in [*SOME, *BAD_ANSWERS])])
def test_what_no_child_of_pfsyncd_says(net, who, which):
    """The one that hears it ends it, or itself, and all of pfsyncd; a batch
    with one bad record is not begun."""
    d = Pfsyncd(net, "fw1", sync_config(), "Taken")
    d.begin("wrong %d" % which, who)
    assert d.proc.wait(10) == 1
    d.proc.wait_line({
        "engine": "the engine (sent message|died)",
        "table": "the (table process sent message|table process died|"
                 "engine died)",
        "engine-table": r"\[table\]: (message|operation).* from the engine|"
                        "the (table process|engine) died",
        "table-engine": r"\[engine\]: .*table process|"
                        "the (table process|engine) died"}[who])
    assert not entries(net, "fw1", own=True)
