# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What each process may do, held against SECURITY.md, and who has the keys."""
import ctypes
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from inject import REFUSED, SUPPORTED, Puppet
from lab import TREE, USER, Daemon, Lab, config, now_ns, wait_for
from sync import Sync, sync_config

PASS = "Zx7-vanadium-42q"
KEY = "9f6a41c35dd8be20714f83a95b06ed1c92d7f0384ab561c7e80d3f25b94a6e17"
SECRETS = [PASS.encode(), KEY.encode(), bytes.fromhex(KEY)]
# An instrumented process has no filter, and a debugger in it.
SANITIZED = "ASAN_OPTIONS" in os.environ


class Both:
    """carpd as MASTER and pfsyncd, each with a secret."""

    def __init__(self, lab):
        self.lab = lab
        self.carpd = Daemon(lab, "fw1", 'key "%s" id 1\n' % KEY +
                            config(0, base=0, password=PASS), "c")
        self.pfsyncd = Sync(lab, "fw1", sync_config(
            self.carpd.sock, 'key "%s"\nencrypt yes' % KEY), "p")
        for d in (self.carpd, self.pfsyncd):
            d.start(more=["-v"])
        self.carpd.wait_state("MASTER")
        self.pids = {
            "carpd parent": self.carpd.proc.pid,
            "carpd engine": self.carpd.engine,
            "pfsyncd parent": self.pfsyncd.proc.pid,
            "pfsyncd engine": self.pfsyncd.engine,
            "pfsyncd table": self.pfsyncd.table}

    def running(self):
        return self.carpd.running() and self.pfsyncd.running()


@pytest.fixture(scope="module")
def both():
    with Lab("nss") as lab:
        yield Both(lab)


# ---- the table of SECURITY.md ----

CAPS = {5: "KILL", 2: "DAC_READ_SEARCH", 12: "NET_ADMIN", 13: "NET_RAW",
        21: "SYS_ADMIN", 38: "PERFMON", 39: "BPF"}


def documented():
    """{process: {column: what SECURITY.md says}}"""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in
            (TREE / "SECURITY.md").read_text().splitlines()
            if re.match(r"\| (process|(carpd|pfsyncd) \w+) ", line)]
    return {r[0]: dict(zip(rows[0], r)) for r in rows[1:]}


def status(pid):
    return dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$",
                           Path("/proc/%d/status" % pid).read_text(), re.M))


def capabilities(value):
    value = int(value, 16)
    return {CAPS.get(n, str(n)) for n in range(64) if value >> n & 1}


def socket_kind(pid, fd):
    """What a socket of another process is, asked of the socket itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    copy = libc.syscall(438, pidfd, fd, 0)      # pidfd_getfd
    os.close(pidfd)
    assert copy >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=copy) as s:
        if s.family == socket.AF_UNIX:
            return "unix"
        if s.family == socket.AF_PACKET:
            return "packet"
        if s.family == socket.AF_NETLINK:
            return {0: "route", 12: "netfilter"}.get(s.proto, "netlink %d" %
                                                     s.proto)
        assert s.family in (socket.AF_INET, socket.AF_INET6)
        return "raw" if s.type == socket.SOCK_RAW else "inet"


def descriptor_kinds(pid):
    kinds = set()
    for fd in map(int, os.listdir("/proc/%d/fd" % pid)):
        what = os.readlink("/proc/%d/fd/%d" % (pid, fd))
        if fd <= 2:
            kinds.add("standard")
        elif what.startswith("socket:"):
            kinds.add(socket_kind(pid, fd))
        elif re.match(r"anon_inode:(bpf|btf)", what):
            kinds.add("bpf")
        elif re.match(r"pipe:|anon_inode:\[(eventpoll|timerfd|eventfd)\]",
                      what):
            kinds.add("event")
        else:
            kinds.add("file" if what.startswith("/") else what)
    return kinds


def test_the_table_is_true(both):
    """Each process has what SECURITY.md says, no more and no less."""
    table = documented()
    assert set(table) == set(both.pids)
    for name, pid in both.pids.items():
        says, st = table[name], status(pid)
        root = Path("/proc/%d/root" % pid)
        uids = set(st["Uid"].split()), set(st["Gid"].split())
        if says["user"] == "root":
            assert uids == ({"0"}, {"0"}), name
        else:
            assert "0" not in uids[0] | uids[1] and st["Groups"] == "", name
        wanted = set(says["capabilities"].split()) - {"none"}
        for column in ("CapPrm", "CapEff", "CapBnd"):
            assert capabilities(st[column]) == wanted, (name, column)
        for column in ("CapInh", "CapAmb"):
            assert capabilities(st[column]) == set(), (name, column)
        assert st["NoNewPrivs"] == "1", name
        if not SANITIZED:
            assert st["Seccomp"] == "2", name
        if says["root"] == "/":
            assert os.path.samefile(root, "/"), name
        else:
            assert os.listdir(root) == [], name
        assert descriptor_kinds(pid) == set(says["descriptors"].split()), name


# ---- what is refused ----

# x86-64's numbers
GETPID, MMAP, MPROTECT, PRCTL = 39, 9, 10, 157
FILE = b"/etc/passwd"
NOT_FOR_PARENTS = {
    "execve": (59, FILE, 0, 0), "execveat": (322, -100, FILE, 0, 0, 0),
    "clone": (56, 17, 0, 0, 0, 0), "clone3": (435, 0, 0), "fork": (57,),
    "vfork": (58,), "ptrace": (101, 7, 1, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "mount": (165, 0, 0, 0, 0, 0),
    "umount2": (166, 0, 0), "pivot_root": (155, 0, 0), "chroot": (161, FILE),
    "setns": (308, -1, 0), "unshare": (272, 0), "init_module": (175, 0, 0, 0),
    "finit_module": (313, -1, 0, 0), "kexec_load": (246, 0, 0, 0, 0),
    "reboot": (169, 0, 0, 0, 0), "clock_settime": (227, -1, 0),
    "pidfd_getfd": (438, -1, 0, 0),
}
NOT_FOR_CHILDREN = {
    "open": (2, FILE, 0, 0), "openat": (257, -100, FILE, 0, 0),
    "creat": (85, FILE, 0), "unlink": (87, FILE), "mkdir": (83, FILE, 0),
    "socket inet": (41, 2, 1, 0), "socket packet": (41, 17, 3, 0),
    "socket unix": (41, 1, 1, 0), "socket route": (41, 16, 3, 0),
    "connect": (42, -1, 0, 0), "listen": (50, -1, 0),
    "SO_MARK": (54, -1, 1, 36, 0, 0), "SO_DETACH_FILTER": (54, -1, 1, 27, 0, 0),
    "kill": (62, 1, 0), "ioctl": (16, -1, 0, 0), "setuid": (105, 0),
    "bpf": (321, 0, 0, 0), "dup": (32, 0), "fcntl F_DUPFD": (72, 0, 0, 0),
    "map code": (MMAP, 0, 4096, 5, 0x22, -1, 0),
    "make code": (MPROTECT, 0, 4096, 5), "memfd_create": (319, FILE, 0),
    "PR_SET_DUMPABLE": (PRCTL, 4, 1, 0, 0, 0), "io_uring": (425, 0, 0),
}


@pytest.mark.skipif(not SUPPORTED, reason="system calls are injected on "
                    "x86-64 only")
@pytest.mark.skipif(SANITIZED, reason="a sanitized process has no filter")
@pytest.mark.parametrize("name", sorted(documented()))
def test_what_is_refused(both, name):
    """The running process itself tries; it can do what it needs."""
    pid, says = both.pids[name], documented()[name]
    calls = dict(NOT_FOR_PARENTS)
    if says["system calls"] == "a list":
        calls.update(NOT_FOR_CHILDREN)
    with Puppet(pid) as p:
        assert p.call(GETPID) == pid
        got = {what: p.call(*args) for what, args in calls.items()}
        assert {w for w, r in got.items() if r != REFUSED} == set()
        if says["user"] == "root":              # its verbs need files
            fd = p.call(257, -100, FILE, 0, 0)
            assert fd > 2 and p.call(3, fd) == 0
            assert p.call(PRCTL, 3, 0, 0, 0, 0) == 0    # not dumpable
        if name == "pfsyncd table":
            fd = p.call(41, 16, 3, 12)          # its own kind
            assert fd > 2 and p.call(3, fd) == 0
        assert p.call(GETPID) == pid
    # one that was kept from its timers for long has to be MASTER again
    both.carpd.wait_state("MASTER")
    assert both.running() and both.pfsyncd.show()["kernel"] is not None


# ---- secrets ----

def search(pid):
    """Which secrets a process has in memory; it does not run meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: status(pid)["State"][0] in "Tt", 5, "it is stopped")
        return search_stopped(pid)
    finally:
        os.kill(pid, signal.SIGCONT)


def search_stopped(pid):
    hits, control = set(), False
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as mem:
        for line in Path("/proc/%d/maps" % pid).read_text().splitlines():
            at, mode = line.split()[:2]
            lo, hi = (int(x, 16) for x in at.split("-"))
            if mode[0] != "r" or "[vvar" in line or lo >> 63:
                continue
            mem.seek(lo)
            data = mem.read(hi - lo)
            control = control or b"pfsyncd" in data or b"carpd" in data
            hits |= {s for s in SECRETS if s in data}
    assert control, "memory of %d was read" % pid
    return hits


def forgotten(pid):
    """Soon: what waits for the engine to read it is no longer there."""
    wait_for(lambda: search(pid) == set(), 5,
             lambda: "%d has forgotten: %s" % (pid, search(pid)), 0.05)


def reload(d, text):
    since = now_ns()
    d.write(text)
    d.proc.signal(signal.SIGHUP)
    d.proc.wait_line("reloaded", since=since)


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what is freed")
def test_parents_forget(both):
    """From the start on, after a reload, and after one that is refused."""
    assert search(both.pids["carpd engine"]) == {PASS.encode()}, "the control"
    for d in (both.carpd, both.pfsyncd):
        forgotten(d.proc.pid)
        good = d.conf.read_text()
        for text in (good, good + "rubbish\n", good.replace("wan0", "lan0"),
                     good):
            reload(d, text)
            forgotten(d.proc.pid)
    forgotten(both.pids["pfsyncd table"])


def test_secrets_are_nowhere_to_be_read(both):
    """Arguments, environment, log, what carpctl and -nn print."""
    shown = [d.text() for d in (both.carpd, both.pfsyncd)]
    shown += [Path("/proc/%d/%s" % (pid, f)).read_bytes().decode(
        errors="replace") for pid in both.pids.values()
        for f in ("cmdline", "environ", "comm")]
    for what in ("demotion", "counters", "peers", "history", "carp0"):
        shown += [both.carpd.ok("show", what), both.carpd.ok("show", what,
                                                             "-j")]
    shown += [both.carpd.ok("show", "-j"), both.pfsyncd.ok("show", "sync"),
              both.pfsyncd.ok("show", "sync", "-j")]
    for d in (both.carpd, both.pfsyncd):
        shown.append(subprocess.run([d.path, "-nn", "-f", str(d.conf)],
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT,
                                    text=True).stdout)
        assert "***" in shown[-1]
    for text in shown:
        assert PASS not in text and KEY not in text.lower()


@pytest.mark.skipif(SANITIZED, reason="a sanitized process is dumpable")
def test_no_core_files_and_no_debuggers(both):
    """Not even for the user that an engine is."""
    def readable(pid):
        return subprocess.run(["cat", "/proc/%d/environ" % pid], user=USER,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0
    for name, pid in both.pids.items():
        limits = Path("/proc/%d/limits" % pid).read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.M), name
        assert not readable(pid), name
        assert os.stat("/proc/%d/environ" % pid).st_uid == 0, name
    control = subprocess.Popen(["sleep", "60"], user=USER)
    try:
        wait_for(lambda: readable(control.pid), 5, "the control is readable")
    finally:
        control.kill()
        control.wait()
