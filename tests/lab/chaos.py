# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A cluster to which everything happens, and what must be true all the same.

Used by tests/long/test_kills.py and test_soak.py.  Chance comes from a seed
that is printed: SEED in the environment repeats a run.
"""
import contextlib
import ctypes
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from advert import packet_socket
from lab import (CLIENT4, DST_NET, REAL_NET, SERVER4, VIP_LAN, VIP_WAN, alive,
                 config, difference, snapshot, wait_for)
from sync import Cluster, sync_config

ETH_P_ALL, ETH_P_ARP, SO_ATTACH_FILTER = 3, 0x0806, 26
ASKER = {"lan": "172.16.0.250", "wan": "172.16.240.250"}    # nobody's
VIP = {"lan": VIP_LAN, "wan": VIP_WAN}
OCTET = {"fw1": 200, "fw2": 201}        # as topo.sh has all this
NETS = {"lan0": ("01", "172.16.0", "2001:db8:16:"),
        "wan0": ("02", "172.16.240", "2001:db8:240:"),
        "sync0": ("03", "192.168.2", "2001:db8:2:")}
ROUTES = {"lan0": (REAL_NET, "via", CLIENT4),
          "wan0": (DST_NET, "via", SERVER4)}
HOSTS = tuple(OCTET)
# adverts nine and four times a second: a silent MASTER is noticed after 0.4 s
# and 0.8 s
SKEWS = {"fw1": 30, "fw2": 60}
# A MASTER whose processes all die just when a better one takes over answers
# until it has not objected for 0.1 s; and a busy machine makes it longer.
HANDOVER_S = 0.1 + 0.15


def seed():
    """Chance, and a line that says how to have the same again."""
    value = int(os.environ.get("SEED") or random.SystemRandom().getrandbits(32))
    print("# SEED=%d" % value, flush=True)
    return random.Random(value)


def send(pid, sig):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sig)


def kill(pids):
    for pid in pids:
        send(pid, signal.SIGKILL)
    wait_for(lambda: not any(alive(p) for p in pids), 10, "their end")


def at_once(pids):
    """Nobody has the time to say a word."""
    pids = list(pids)
    for pid in pids:
        send(pid, signal.SIGSTOP)
    kill(pids)


class Questions:
    """Who has the address?  Asked a hundred times a second in a network; each
    question is known again by its MAC, so each answer belongs to one."""

    def __init__(self, lab, net):
        self.net = net
        self.asker = packet_socket(
            lab, *{"lan": ("client", "eth0"), "wan": ("server", "eth0")}[net])
        self.ports = {host: packet_socket(lab, net, host) for host in HOSTS}
        for host, port in self.ports.items():
            self.listen(port, host)
        self.asked = {}             # number: when
        self.answers = {}           # number: {host}
        self.next = 0
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.hear, args=(h,),
                                         daemon=True) for h in HOSTS]
        self.threads.append(threading.Thread(target=self.ask, daemon=True))
        for t in self.threads:
            t.start()

    @staticmethod
    def listen(port, host):
        """To ARP, before the bridge takes it."""
        code = b"".join(struct.pack("=HBBI", *insn) for insn in (
            (0x28, 0, 0, 12), (0x15, 0, 1, ETH_P_ARP), (6, 0, 0, 64),
            (6, 0, 0, 0)))
        buf = ctypes.create_string_buffer(code)
        port.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
            "HP", len(code) // 8, ctypes.addressof(buf)))
        port.bind((host, ETH_P_ALL))
        port.settimeout(0.2)

    def frame(self, number):
        mac = b"\2\xa5" + struct.pack("!I", number)
        return b"\xff" * 6 + mac + struct.pack(
            "!HHHBBH6s4s6s4s", ETH_P_ARP, 1, 0x0800, 6, 4, 1, mac,
            socket.inet_aton(ASKER[self.net]), bytes(6),
            socket.inet_aton(VIP[self.net]))

    def ask(self):
        while not self.ended.wait(0.01):
            self.asked[self.next] = time.monotonic()
            with contextlib.suppress(OSError):
                self.asker.send(self.frame(self.next))
            self.next += 1

    def hear(self, host):
        vip = socket.inet_aton(VIP[self.net])
        while not self.ended.is_set():
            try:
                f, (*_, kind, _, _) = self.ports[host].recvfrom(128)
            except TimeoutError:
                continue
            except OSError:         # that cable is gone for a while
                if self.ended.wait(0.01):
                    return
                with contextlib.suppress(OSError):
                    self.listen(self.ports[host], host)
                continue
            if kind != socket.PACKET_OUTGOING and f[20:22] == b"\0\2" and \
                    f[28:32] == vip and f[32:34] == b"\2\xa5":
                number, = struct.unpack("!I", f[34:38])
                self.answers.setdefault(number, set()).add(host)

    def replug(self, lab, host):
        """That cable is another one now."""
        old, self.ports[host] = self.ports[host], packet_socket(lab, self.net,
                                                                host)
        self.listen(self.ports[host], host)
        old.close()

    def twice(self):
        """[(when it began, seconds)]: spells in which both hosts answered."""
        spells = []
        for t in sorted(self.asked[n] for n, by in list(self.answers.items())
                        if len(by) > 1 and n in self.asked):
            if spells and t - spells[-1][1] < 0.1:
                spells[-1][1] = t
            else:
                spells.append([t, t])
        return [(begin, end - begin) for begin, end in spells]

    def who(self, since):
        """The hosts that have answered what was asked since."""
        found = set()
        for n, by in list(self.answers.items()):
            if self.asked.get(n, 0) >= since:
                found |= by
        return found

    def forget(self):
        """What was judged, but for the last ones, which may yet be answered."""
        for numbers in (self.asked, self.answers):
            for n in [n for n in list(numbers) if n < self.next - 100]:
                del numbers[n]

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join()
        for s in (self.asker, *self.ports.values()):
            s.close()


def steady(shot):
    """Without the numbers that a new program, socket or address gets."""
    return {re.sub(r"\[\d+\]|\bid \d+", "", line) for line in shot}


class Chaos(Cluster):
    """Both daemons on both firewalls, Mickey the better one, and a small disk
    of their own for what they write.  `with Chaos(lab) as chaos:`"""

    DISK = "4m"                 # both daemons' hints, and no more of them

    def __init__(self, lab):
        super().__init__(lab)
        self.disk = lab.dir / "disk"
        self.questions = {}
        self.later = []         # what is put right after the judgement
        self.borrowed = False   # the virtual address stood in for the host's
        self.worst = 0.0
        for node in self.nodes:
            for d in node.daemons():
                d.sock = str(self.disk / Path(d.sock).name)
            node.carpd.write(self.conf(node.host))
            node.pfsyncd.write(sync_config(node.carpd.sock))

    def __enter__(self):
        self.lab.nat()
        self.before = steady(snapshot(self.lab))
        self.disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + self.DISK,
                        "none", str(self.disk)], check=True)
        try:
            self.settle()
            self.know()
            self.questions = {net: Questions(self.lab, net) for net in VIP}
            self.normal = steady(snapshot(self.lab))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for q in self.questions.values():
            q.stop()
        for node in self.nodes:
            for d in node.daemons():
                kill(d.pids() if d.proc else [])
        subprocess.run(["umount", str(self.disk)], check=True)

    @staticmethod
    def conf(host, more=""):
        return config(SKEWS[host], base=0, head="preempt yes\nlog 7\n"
                      "sync wait 10", more_lan=more)

    def know(self):
        """Note who is who while all of them live."""
        self.known = {n.host: {
            "carpd": n.carpd.proc.pid, "carpd engine": n.carpd.engine,
            "pfsyncd": n.pfsyncd.proc.pid, "pfsyncd engine": n.pfsyncd.engine,
            "pfsyncd table": n.pfsyncd.table} for n in self.nodes}

    def processes(self, node):
        """{name: pid} of those that live."""
        return {name: pid for name, pid in self.known[node.host].items()
                if alive(pid)}

    def recable(self, host, dev):
        """The interface is there again, as topo.sh made the first one."""
        net = dev[:-1]
        self.lab.ip(host, "link", "add", "dev", dev, "address",
                    "02:ca:fe:%s:00:%02x" % (NETS[dev][0], OCTET[host]),
                    "type", "veth", "peer", "name", host, "netns",
                    self.lab.ns(net))
        self.lab.ip(net, "link", "set", "dev", host, "master", "br0", "up")
        self.lab.ip(host, "link", "set", "dev", dev, "up")
        self.addresses(host, dev)
        if net in self.questions:
            self.questions[net].replug(self.lab, host)

    def addresses(self, host, dev):
        """The host's own, and what hangs on them."""
        number, v4, v6 = NETS[dev]
        octet = OCTET[host]
        self.lab.ip(host, "addr", "replace", "%s.%d/24" % (v4, octet), "brd",
                    "+", "dev", dev)
        for addr in ("%s:%d/64" % (v6, octet),
                     "fe80::ca:feff:fe%s:%x/64" % (number, octet)):
            self.lab.ip(host, "addr", "replace", addr, "dev", dev, "nodad")
        if dev in ROUTES:
            self.lab.ip(host, "route", "replace", *ROUTES[dev])

    def restart(self, timeout=60.0):
        """Whoever has lost a process ends by itself, and is started again."""
        def settled():
            for node in self.nodes:
                for d in node.daemons():
                    if not all(alive(p) for p in d.pids()):
                        d.wait_gone(15)
                        d.start()
            return all(set(n.carpd.states().values()) == {state} and
                       n.pfsyncd.in_step() for n, state in (
                           (self.mickey, "MASTER"), (self.minnie, "BACKUP")))
        wait_for(settled, timeout, lambda: "as it was: %s" % [
            (n.carpd.states(), n.pfsyncd.show()) for n in self.nodes], 0.1)
        self.settle()
        if self.borrowed:       # the network is the host's own again
            self.mickey.carpd.ok("demote", "50")
            self.minnie.carpd.wait_state("MASTER")
            wait_for(lambda: not self.lab.has_address("fw1", VIP_LAN), 8,
                     "Mickey has given it away")
            self.mickey.carpd.ok("promote", "50")
            self.settle()
            self.borrowed = False
        self.know()

    def judge(self, what):
        """After it all is as ever: one MASTER who alone answers, the machines
        as they were, and at no time two who answered."""
        def as_ever():
            last[:] = [difference(self.normal, steady(snapshot(self.lab)))]
            return last == [""]
        last = []
        wait_for(as_ever, 15, lambda: "%s: not as before:\n%s" % (what,
                                                                  last[0]),
                 0.2)
        for net, q in self.questions.items():
            since = time.monotonic()
            wait_for(lambda q=q, s=since: q.who(s), 5, "%s: nobody answers in "
                     "%s" % (what, net))
            assert q.who(since) == {"fw1"}, "%s: %s answer in %s" % (
                what, q.who(since), net)
            spells = q.twice()
            worst = max([0.0] + [s for _, s in spells])
            if worst > self.worst:
                self.worst = worst
                print("both answered for %.3f s, %.1f s ago: %s" % (
                    worst, time.monotonic() - max(
                        spells, key=lambda s: s[1])[0], what))
            q.forget()
            assert self.worst < HANDOVER_S, "%s: both answered in %s for " \
                "%.3f s" % (what, net, self.worst)
        for undo in self.later:
            undo()
        self.later.clear()

    def end(self):
        """Stopped, both machines are as they were before."""
        for node in self.nodes:
            node.stop()
        left = difference(self.before, steady(snapshot(self.lab)))
        assert left == "", left
