# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Hundreds of accidents at any moment, above all while somebody is promoted or
demoted: never do two nodes answer, nothing stays behind, and it always comes
back to one MASTER.

ROUNDS and SEED in the environment: how many of them, and the same again.
"""
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from chaos import Chaos, at_once, kill, seed, send, steady
from lab import TOPO, Daemon, Lab, alive, snapshot, wait_for

ROUNDS = int(os.environ.get("ROUNDS", "300"))


# ---- what may happen: functions of (chaos, node, chance), which say what
# they did ----

def kill_some(chaos, node, chance):
    """kill -9 of one process, a pair or more of them at once."""
    all_of = chaos.processes(node)
    names = chance.sample(sorted(all_of), min(len(all_of), chance.choice(
        (1, 1, 1, 2, 2, 3))))
    kill([all_of[n] for n in names])
    return "kill -9 of " + ", ".join(names)


def kill_daemon(chaos, node, chance):
    what = chance.choice(("carpd", "pfsyncd"))
    at_once(p for name, p in chaos.processes(node).items() if what in name)
    return "kill -9 of all of " + what


def kill_both(chaos, node, chance):
    at_once(chaos.processes(node).values())
    return "kill -9 of all"


def stop_some(chaos, node, chance):
    """Asleep for up to two seconds, then awake as if nothing had been."""
    all_of = chaos.processes(node)
    names = chance.sample(sorted(all_of), chance.randint(1, len(all_of)))
    for n in names:
        send(all_of[n], signal.SIGSTOP)
    asleep = chance.choice((0.005, 0.05, 0.15, 0.5, 2)) * chance.random()
    time.sleep(asleep)          # how long is what is tested
    for n in chance.sample(names, len(names)):
        send(all_of[n], signal.SIGCONT)
    return "SIGSTOP of %s for %.3f s" % (", ".join(names), asleep)


def interface_deleted(chaos, node, chance):
    dev = chance.choice(("lan0", "wan0", "sync0"))
    chaos.lab.ip(node.host, "link", "del", "dev", dev)
    time.sleep(chance.choice((0, 0.05, 1.5)) * chance.random())
    chaos.recable(node.host, dev)
    return dev + " deleted and made again"


def rules_flushed(chaos, node, chance):
    chaos.lab.run(node.host, "nft", "flush", "ruleset")
    time.sleep(chance.random() * 0.2)
    chaos.lab.nat([node.host])
    return "nft flush ruleset"


def addresses_flushed(chaos, node, chance):
    chaos.lab.ip(node.host, "addr", "flush", "dev", "lan0",
                 check=False)       # carpd puts its own back meanwhile
    time.sleep(chance.random() * 0.2)
    chaos.addresses(node.host, "lan0")
    chaos.borrowed = True
    return "ip addr flush dev lan0"


def classifier_removed(chaos, node, chance):
    """Also a dead one's, in which stands what the next start puts back."""
    dev = chance.choice(("lan0", "wan0"))
    chaos.lab.tool("tc", node.host, "qdisc", "del", "dev", dev, "clsact",
                   check=False)     # it may be about to be put there
    return "tc qdisc del dev %s clsact" % dev


def disk_full(chaos, node, chance):
    """No room for what pfsyncd knew, and it starts again all the same."""
    filler = chaos.disk / "filler"
    forgets = chance.random() < 0.5
    did = kill_some(chaos, node, chance)
    if forgets:
        Path(node.pfsyncd.sock).with_suffix(".states").unlink(missing_ok=True)
    with contextlib.suppress(OSError), open(filler, "wb", 0) as f:
        while True:
            f.write(bytes(4096))
    chaos.later.append(filler.unlink)
    return "disk full, %s%s" % (did, ", hints lost" if forgets else "")


class Poor:
    """A memory cgroup with room for next to nothing."""

    ROOT = next((d for d in map(Path, ("/sys/fs/cgroup/memory",
                                       "/sys/fs/cgroup"))
                 if (d / "cgroup.procs").exists()), None)
    LIMIT = "memory.limit_in_bytes", "memory.max"

    def __enter__(self):
        self.dir = self.ROOT / ("carpd-kills-%d" % os.getpid())
        self.dir.mkdir()
        limit = next(self.dir / n for n in self.LIMIT
                     if (self.dir / n).exists())
        limit.write_text("65536")
        return self

    def __exit__(self, *_):
        for pid in (self.dir / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (self.ROOT / "cgroup.procs").write_text(pid)
        wait_for(self.gone, 10, "the end of the cgroup")

    def gone(self):
        with contextlib.suppress(OSError):      # a dead one is still in it
            self.dir.rmdir()
        return not self.dir.exists()

    def add(self, pid):
        with contextlib.suppress(ProcessLookupError):
            (self.dir / "cgroup.procs").write_text(str(pid))


def out_of_memory(chaos, node, chance):
    """A process that gets no more memory, and is then given work."""
    name, pid = chance.choice(sorted(chaos.processes(node).items()))
    more = "".join("\taddress 172.16.0.%d/32\n" % n for n in range(100, 180))
    with Poor() as poor:
        poor.add(pid)
        node.carpd.write(chaos.conf(node.host, more))
        node.carpd.ctl("reload")
        node.pfsyncd.ctl("sync", "now")
    dead = "which died" if not alive(pid) else "which lived"
    node.carpd.write(chaos.conf(node.host))
    node.carpd.ctl("reload")
    return "no memory for %s, %s" % (name, dead)


DEADLY = [kill_some] * 6 + [kill_daemon] * 2 + [kill_both] * 2
OTHERS = [stop_some] * 3 + [interface_deleted, rules_flushed,
                            addresses_flushed, classifier_removed,
                            disk_full]
try:
    with Poor():
        OTHERS.append(out_of_memory)
except (OSError, StopIteration, TypeError) as e:
    print("no memory cgroups, no process without memory: %s" % e)


# ---- what else is going on: a promotion on one side is a demotion on the
# other ----

@contextlib.contextmanager
def nothing(chaos):
    yield "at rest"


@contextlib.contextmanager
def demoted(chaos):
    """Minnie is being promoted; and at the end Mickey."""
    chaos.mickey.carpd.ctl("demote", "50")
    yield "demote"
    chaos.mickey.carpd.ctl("promote", "50")


@contextlib.contextmanager
def promoted_again(chaos):
    chaos.mickey.carpd.ok("demote", "50")
    chaos.minnie.carpd.wait_state("MASTER")
    chaos.mickey.carpd.ok("promote", "50")
    yield "promote"


@contextlib.contextmanager
def stopping(chaos):
    chaos.mickey.carpd.proc.signal(signal.SIGTERM)
    yield "SIGTERM"


@contextlib.contextmanager
def starting(chaos):
    chaos.mickey.carpd.stop()
    chaos.minnie.carpd.wait_state("MASTER")
    chaos.mickey.carpd.start()
    yield "start"


@contextlib.contextmanager
def taking_over(chaos):
    """Minnie notices that Mickey is dead."""
    chaos.mickey.carpd.kill_all()
    time.sleep(0.7)             # shortly before
    yield "master down"


@contextlib.contextmanager
def unplugged(chaos):
    chaos.lab.unplug("fw1", "lan")
    yield "cable of lan pulled"
    chaos.lab.plug("fw1", "lan")


SCENES = [nothing, demoted, promoted_again, stopping, starting, taking_over,
          unplugged]
# ms after the scene began: every step of it, and then some
MOMENTS = [0, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 60, 80, 100,
           150, 250, 400]


def one_round(chaos, number, chance, scene, faults):
    """One accident at one moment, to a node of which something lives."""
    with scene(chaos) as what:
        delay = chance.choice(MOMENTS) / 1000 * (0.5 + chance.random())
        time.sleep(delay)       # the moment is what is tested
        node = chance.choice([n for n in chaos.nodes if chaos.processes(n)])
        did = chance.choice(faults)(chaos, node, chance)
        return "round %d: %s, %.1f ms later on %s: %s" % (
            number, what, delay * 1000, node.name, did)


@pytest.fixture(scope="module")
def chaos():
    with Lab("kills") as lab, Chaos(lab) as c:
        yield c
        print("# both answered for %.3f s at the longest" % c.worst)
        c.end()


@pytest.mark.parametrize("faults", [DEADLY, OTHERS], ids=["kills", "others"])
def test_accidents(chaos, faults):
    """ROUNDS of each."""
    chance = seed()
    scenes = itertools.cycle(SCENES)
    for number in range(ROUNDS):
        text = one_round(chaos, number, chance, next(scenes), faults)
        print(text, flush=True)
        try:
            chaos.restart()
            chaos.judge(text)
        except Exception as e:
            raise AssertionError("%s\n%s\n%s" % (text, e, "\n".join(
                d.text()[-3000:] for n in chaos.nodes
                for d in n.daemons()))) from e


# ---- a syslogd that does not read any more ----

def carpds(lab, host):
    """Processes of a carpd that is in the background."""
    out = subprocess.run(["sh", TOPO, "pids", lab.prefix, host], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return [int(p) for p in out.split() if Path("/proc/%s/comm" % p)
            .read_text().strip() == "carpd"]


def test_stopped_syslogd(lab):
    """Lines are lost, and nothing else: neither the start nor an election nor
    a reload waits for it, and who dies is succeeded."""
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(lab.dir / "log"))          # nobody reads from it
    before = snapshot(lab)
    mickey, minnie = (Daemon(lab, host, Chaos.conf(host)) for host in
                      ("fw1", "fw2"))
    for d in (mickey, minnie):
        subprocess.run(["ip", "netns", "exec", lab.ns(d.host), "env",
                        "CARPD_SYSLOG=" + str(lab.dir / "log"),
                        *[a for a in d.argv() if a != "-d"]], check=True,
                       timeout=20, stdin=subprocess.DEVNULL)
    for _ in range(3):
        reached(mickey, "MASTER")
        reached(minnie, "BACKUP")
        for _ in range(100):                # more than it holds
            mickey.ok("demote", "1")
            mickey.ok("promote", "1")
        mickey.ok("demote", "50")
        reached(minnie, "MASTER")
        mickey.ok("reload")
        mickey.ok("promote", "50")
        reached(mickey, "MASTER")
    at_once(carpds(lab, "fw1"))
    reached(minnie, "MASTER")
    for pid in carpds(lab, "fw2"):
        send(pid, signal.SIGTERM)
    wait_for(lambda: not carpds(lab, "fw2"), 10, "Minnie's end")
    assert steady(snapshot(lab, ["fw2"])) == {
        line for line in steady(before) if line.startswith("fw2 ")}
    log.close()


def reached(d, state):
    wait_for(lambda: set(d.states().values()) == {state}, 20, "%s of %s: %s" %
             (state, d.host, d.states()))
