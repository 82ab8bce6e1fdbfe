# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""pfsyncd in the two-firewall network: daemons, flows, tables as sets.

What lab.py is for carpd.  Own traffic of the firewalls (adverts, pfsync, the
sync link, what begins or ends at one of their addresses) is in no comparison:
it is not replicated, and no test is about it.
"""
import contextlib
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import (DNAT_PORT, FLOWS, LAB, PFSYNCD, SERVER4, SINK_PORT,
                 STREAM, VIP_WAN, Daemon, Service, config, now_ns, wait_for)

KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
SYNC4 = {"fw1": "192.168.2.200", "fw2": "192.168.2.201"}
GROUP = "224.0.0.240"
MB = 1000 * 1000

# The firewalls' addresses, virtual ones included: `self`.
OWN = ["127.0.0.0/8", "192.168.2.0/24", "172.16.0.200/30", "172.16.240.200/30",
       "::1/128", "fe80::/10", "2001:db8:2::/64", "2001:db8:16::200/126",
       "2001:db8:240::200/126"]


def sync_config(carpd=None, more="", dialect="native", maxupd=128,
                syncdev="sync0"):
    """pfsyncd.conf; carpd: its control socket."""
    return "syncdev %s\nmaxupd %d\ndialect %s\ncarpd %s\n%s\n" % (
        syncdev, maxupd, dialect, '"%s"' % carpd if carpd else "no", more)


class Sync(Service):
    """pfsyncd on one host."""

    what = "pfsyncd"
    path = PFSYNCD
    suffix = ".sync"
    socket_flag = "-S"

    def show(self, *what):
        return super().show(*(what or ("sync",)))

    def counters(self):
        return self.show()["counters"]

    def peers(self):
        return (self.show() or {}).get("peers", [])

    def in_step(self):
        """It hears a peer, and all that are alive say the same as it."""
        alive = [p for p in self.peers() if p["alive"]]
        return bool(alive) and all(p["in_sync"] for p in alive)

    def wait_in_step(self, timeout=15.0):
        wait_for(self.in_step, timeout, lambda: "%s in step; it shows %s, "
                 "log:\n%s" % (self.name, self.show(), self.proc.text()), 0.02)
        return self

    @property
    def engine(self):
        return self._child("engine", "-E")

    @property
    def table(self):
        return self._child("table", "-T")

    def _child(self, *titles):
        """By its title, or by the flag it was started with."""
        for pid in self.kids:
            words = re.split("[^-\\w]+", Path("/proc/%d/cmdline" %
                                             pid).read_text())
            if set(titles) & set(words):
                return pid
        return None


class Node:
    """carpd and pfsyncd of one firewall."""

    def __init__(self, lab, host, name, carp, sync):
        self.host, self.name = host, name
        self.carpd = Daemon(lab, host, carp, name)
        self.pfsyncd = Sync(lab, host, sync(self.carpd.sock), name) \
            if sync else None

    def daemons(self):
        return [d for d in (self.pfsyncd, self.carpd) if d]

    def start(self):
        for d in self.daemons():
            if not d.running():
                d.start()
        return self

    def stop(self):
        for d in reversed(self.daemons()):
            if d.running():
                d.stop()


class Cluster:
    """Mickey (fw1) and Minnie (fw2), NAT on both, preempt."""

    def __init__(self, lab, base=0, skew=100, sync=True, more="", wait=10,
                 **conf):
        head = "preempt yes\nlog 7\nsync wait %d" % wait if sync else \
            "preempt yes\nlog 7"

        def pfsyncd(sock):
            return sync_config(sock, more)
        self.lab = lab
        self.mickey, self.minnie = (
            Node(lab, host, name, config(s, base, head=head, **conf),
                 pfsyncd if sync else None)
            for host, name, s in (("fw1", "Mickey", 0),
                                  ("fw2", "Minnie", skew)))
        self.nodes = (self.mickey, self.minnie)

    def settle(self, timeout=20.0):
        """All runs, Mickey is MASTER, both are in step."""
        for n in self.nodes:
            n.start()
        self.mickey.carpd.wait_state("MASTER", timeout=timeout)
        self.minnie.carpd.wait_state("BACKUP", timeout=timeout)
        if self.mickey.pfsyncd:
            for n in self.nodes:
                n.pfsyncd.wait_in_step(timeout)
        return self


# ---- flows ----

def flows(lab, host, *args, timeout=120):
    """Run the tool in a host; its output."""
    return lab.run(host, FLOWS, *[str(a) for a in args], timeout=timeout)


def make(lab, host, n, *args):
    flows(lab, host, "make", n, *args)


def entries(lab, host, *args, own=False):
    """The table's canonical lines, sorted, own traffic left out."""
    skip = [] if own else [w for p in OWN for w in ("--skip", p)]
    return flows(lab, host, "list", *skip, *args).splitlines()


def count(lab, host):
    return int(flows(lab, host, "count"))


def compare(lab, a="fw1", b="fw2", *args):
    """(figures, what differs as text) of both tables as sets."""
    cmd = ["ip", "netns", "exec", lab.ns(a), FLOWS, "diff",
           "/run/netns/" + lab.ns(b), *[w for p in OWN for w in ("--skip", p)],
           *args]
    done = subprocess.run(cmd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return json.loads(done.stdout), done.stderr


def same(figures):
    return figures["missing"] + figures["stale"] + figures["differ"] == 0


def wait_same(lab, timeout=15.0, *args, least=0, a="fw1", b="fw2"):
    """Both tables are one set, of at least so many flows; its figures."""
    last = [None, ""]

    def equal():
        last[:] = compare(lab, a, b, *args)
        return same(last[0]) and last[0]["here"] >= least
    wait_for(equal, timeout, lambda: "tables of %s and %s equal, %d flows: "
             "%s\n%s" % (a, b, least, last[0], last[1]), 0.05)
    return last[0]


def wait_count(lab, host, n, most=False, ms=15000):
    """The kernel counts at least (at most) n."""
    return flows(lab, host, "wait", n, "--ms", ms, *(["--most"] if most
                                                      else []))


@contextlib.contextmanager
def table_size(n):
    """Room for n flows.  The limit is the whole machine's, whose other tests may
    need it as well: the last of them puts back what the first one found."""
    with open(Path(tempfile.gettempdir()) / "carpd-tests-table-size",
              "a+", encoding="ascii") as users:
        _table_users(users, 1, n)
        try:
            yield
        finally:
            _table_users(users, -1)


def _table_users(file, more, least=0):
    """So many more of them; what is in file is their number and what was."""
    path = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    now = int(path.read_text())
    fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    n, before = map(int, (file.read() or "0 %d" % now).split())
    n += more
    path.write_text(str(max(now, least) if n else before))
    file.truncate(0)
    if n:
        file.write("%d %d" % (n, before))
        file.flush()
    fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def lossy(lab, loss=30, double=10, delay=20, seed=1, net="sync"):
    """The cable between both firewalls in a network is a bad one; gives a
    dictionary that says in the end what it did."""
    met = {}
    for host in ("fw1", "fw2"):
        lab.ip(net, "link", "set", "dev", host, "nomaster")
    try:
        proc = lab.spawn(net, sys.executable, str(LAB / "lossy.py"), "fw1",
                         "fw2", str(loss), str(double), str(delay), str(seed))
        proc.wait_line("^ready")
        yield met
        proc.end()
        met.update(json.loads(proc.lines[-1][1]))
    finally:
        for host in ("fw1", "fw2"):
            lab.ip(net, "link", "set", "dev", host, "master", "br0")


# ---- connections ----

class Conn:
    """A TCP connection that compares every byte (stream tcp), and its sink."""

    def __init__(self, lab, client, server, dst, port, sink_port=None,
                 interval_us=10000):
        self.sink = lab.spawn(server, STREAM, "sink", str(sink_port or port))
        self.sink.wait_line("^ready")
        self.proc = lab.spawn(client, STREAM, "tcp", dst, str(port),
                              str(interval_us), asks=True)
        self.proc.wait_line("^ready", 8)

    @classmethod
    def snat(cls, lab, port=SINK_PORT, **kw):
        """From the inside, hidden behind the virtual address."""
        return cls(lab, "client", "server", SERVER4, port, **kw)

    @classmethod
    def dnat(cls, lab, **kw):
        """From the outside, to a port of the virtual address."""
        return cls(lab, "server", "client", VIP_WAN, DNAT_PORT, **kw)

    def report(self):
        have = len(self.proc.lines)
        self.proc.say("report")
        wait_for(lambda: len(self.proc.lines) > have, 10,
                 lambda: "a report: " + self.proc.text(), 0.001)
        return json.loads(self.proc.lines[-1][1])

    def mark(self):
        self.proc.say("mark")

    def wait_flow(self, since=None, timeout=15.0):
        """A byte that came back after since."""
        since = now_ns() if since is None else since

        def heard():
            r = self.report()
            assert r["alive"], "the connection died: %s" % r
            return r["heard_ns"] > since
        wait_for(heard, timeout, lambda: "bytes of the connection flow: %s" %
                 self.report(), 0.01)

    def flows_within(self, seconds):
        """Does it live and move?"""
        try:
            self.wait_flow(timeout=seconds)
            return True
        except AssertionError:
            return False

    def bulk(self, n, timeout=60.0):
        """Move n bytes there and back; in ms."""
        self.proc.say("bulk %d" % n)
        wait_for(lambda: self.report()["bulk"], timeout,
                 lambda: "%d bytes moved: %s" % (n, self.report()), 0.02)
        self.check()
        return self.report()["bulk_ms"]

    def check(self):
        r = self.report()
        assert r["alive"] and r["wrong"] == 0, r
        return r

    def stop(self):
        r = self.report()
        self.proc.end()
        self.sink.end()
        return r


def cpu_us(pids):
    """User and system time of live processes so far, in microseconds."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        stat = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1]
        fields = stat.split()
        total += int(fields[11]) + int(fields[12])
    return total * 1e6 / tick


def memory_kib(pids, field="Pss:"):
    """Of live processes, in KiB."""
    total = 0
    for pid in pids:
        for line in Path("/proc/%d/smaps_rollup" % pid).read_text(
                ).splitlines():
            if line.startswith(field):
                total += int(line.split()[1])
    return total

