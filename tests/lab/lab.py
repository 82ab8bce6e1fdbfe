# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""The two-firewall network of topo.sh for Python: daemons, streams, recorders.

Used by demo.py, by the namespace and interop tests and by the benches.  It
starts and ends processes and says what it sees; it judges nothing.  Everything
waits on conditions (wait_for), never for a time.
"""
import concurrent.futures
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402

LAB = Path(__file__).resolve().parent
TREE = LAB.parents[1]
TOPO = str(LAB / "topo.sh")
STREAM = str(LAB / "stream")
FLOWS = str(LAB / "flows")
WITNESS = str(LAB / "witness")
CARPD = str(TREE / "carpd" / "carpd")
PFSYNCD = str(TREE / "pfsyncd" / "pfsyncd")
CARPCTL = str(TREE / "carpctl" / "carpctl")

USER = "nobody"             # a fresh machine has no _carpd
LOG_STATES = 4              # from this level on carpd tells every transition
ECHO_PORT = 7007
SINK_PORT = 7008            # TCP, through the SNAT
DNAT_PORT = 8080            # TCP, on the virtual address of the WAN
SERVER4, SERVER6 = "172.16.240.10", "2001:db8:240::10"
VIP_LAN, VIP_WAN = "172.16.0.202", "172.16.240.202"
VIP6_LAN, VIP6_WAN = "2001:db8:16::202", "2001:db8:240::202"
PASS = "mekmitasdigoat"
CLIENT4 = "172.16.0.10"
REAL_NET = "10.128.0.0/9"       # where `flows real` comes from
DST_NET = "198.18.0.0/15"       # and where it goes

NAT_RULES = """
table ip nat {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        iifname "wan0" ip daddr 172.16.240.202 tcp dport 8080 \
            dnat to 172.16.0.10
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan0" ip saddr { 172.16.0.0/24, 10.0.0.0/8 } \
            snat to 172.16.240.202
    }
}
table inet fw {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct state invalid counter drop
        tcp flags & (fin | syn | rst | ack) != syn ct state new counter drop
        iifname "lan0" oifname "wan0" accept
        iifname "wan0" oifname "lan0" ct status dnat accept
    }
    %s
}
"""

# A build with sanitizers: what they say fails whatever was tested.
SANITIZER = r"(Address|Leak|Thread|Memory)Sanitizer|: runtime error: "

os.environ["PATH"] += ":/usr/sbin:/sbin"


class Timeout(AssertionError):
    """A condition that did not come true in time."""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def wait_for(cond, timeout=5.0, what="condition", step=None):
    """Wait until cond() is true and return what it returned.

    It is asked every step seconds; without, ever more rarely, since most ask a
    process, and the daemons need the CPU for what is waited for."""
    begin = time.monotonic()
    while True:
        value = cond()
        if value:
            return value
        waited = time.monotonic() - begin
        if waited > timeout:
            if callable(what):
                what = what()
            raise Timeout("not within %.1f s: %s" % (timeout, what))
        time.sleep(min(max(waited / 16, 0.004), 0.05) if step is None
                   else step)


def beside(*acts):
    """Call each (function, arguments...) at the same time, since they wait for
    long; the first failure, with its arguments."""
    with concurrent.futures.ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(*act) for act in acts]
    for done, (_, *args) in zip(running, acts):
        try:
            done.result()
        except Exception as e:
            raise AssertionError("with %s: %s" % (args, e)) from e


def vmac(vhid):
    return "00:00:5e:00:01:%02x" % vhid


def alive(pid):
    """Does a process run (a zombie does not)?"""
    try:
        stat = Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def children(pid):
    """The children of a process, oldest first."""
    found = []
    for d in Path("/proc").iterdir():
        if not d.name.isdigit():
            continue
        try:
            stat = (d / "stat").read_text()
        except OSError:
            continue
        if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
            found.append(int(d.name))
    return sorted(found)


class Process:
    """A process in a namespace; its output lines are kept with their times."""

    def __init__(self, lab, host, argv, asks=False):
        self.lines = []
        self.argv = argv
        cmd = ["ip", "netns", "exec", lab.ns(host)] + argv if host else argv
        self.popen = subprocess.Popen(cmd, stdin=subprocess.PIPE if asks
                                      else subprocess.DEVNULL,
                                      stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True,
                                      errors="replace",
                                      start_new_session=True)
        self.pid = self.popen.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        lab.processes.append(self)

    def _read(self):
        for line in self.popen.stdout:
            self.lines.append((now_ns(), line.rstrip("\n")))

    def grep(self, pattern, since=0):
        """The lines (text only) that match, from a time on."""
        rx = re.compile(pattern)
        return [text for t, text in list(self.lines)
                if t >= since and rx.search(text)]

    def wait_line(self, pattern, timeout=5.0, since=0):
        return wait_for(lambda: self.grep(pattern, since), timeout,
                        lambda: "%r from %s, which said:\n%s" %
                        (pattern, self.argv[0], self.text()))[0]

    def text(self):
        return "\n".join(text for _, text in self.lines)

    def say(self, line):
        """Write a line to one that was started with asks."""
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def running(self):
        return self.popen.poll() is None

    def signal(self, sig):
        if self.running():
            self.popen.send_signal(sig)

    def wait(self, timeout=5.0):
        """The exit status; waits for the output's end as well."""
        wait_for(lambda: not self.running(), timeout,
                 lambda: "end of %s, which said:\n%s" %
                 (" ".join(self.argv), self.text()))
        self.reader.join(1)
        if self.popen.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.popen.stdin.close()
        return self.popen.returncode

    def end(self, timeout=5.0):
        """Ask it to stop; if it does not, end it."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            return self.wait(timeout)
        except Timeout:
            self.signal(signal.SIGKILL)
            return self.wait(timeout)


class Lab:
    """The network: `with Lab("t") as lab:`.  The name of the process is in its
    prefix, so any number may be up at once."""

    serial = itertools.count(1)

    def __init__(self, name, clients=1, servers=1, firewalls=2):
        self.prefix = "%s%d-%d" % (name, os.getpid(), next(Lab.serial))
        self.env = dict(os.environ, LAB_CLIENTS=str(clients),
                        LAB_SERVERS=str(servers),
                        LAB_FIREWALLS=str(firewalls))
        self.processes = []
        self.dir = None

    def __enter__(self):
        try:
            return self.up()
        except BaseException:       # a signal in the middle of it as well
            self.down()
            raise

    def __exit__(self, *_):
        self.down()

    @staticmethod
    def sweep(name):
        """Remove what a run that was killed -9 has left under this name."""
        out = subprocess.run(["sh", TOPO, "list"], stdout=subprocess.PIPE,
                             text=True).stdout
        for prefix in out.split():
            m = re.fullmatch(re.escape(name) + r"(\d+)-\d+", prefix)
            if m and not alive(int(m[1])):
                subprocess.run(["sh", TOPO, "down", prefix], check=True)

    def up(self):
        self.dir = Path(tempfile.mkdtemp(prefix=self.prefix + "."))
        self.topo("up")
        return self

    def down(self):
        for p in reversed(self.processes):
            if p.running():
                p.signal(signal.SIGTERM)
                p.signal(signal.SIGCONT)
        for p in reversed(self.processes):
            with contextlib.suppress(Timeout):
                p.end(2)
        self.topo("down")
        if self.dir is not None:
            shutil.rmtree(self.dir, ignore_errors=True)
        said = [text for p in self.processes for text in p.grep(SANITIZER)]
        self.processes.clear()
        assert not said, "\n".join(said)

    def topo(self, verb, *args):
        subprocess.run(["sh", TOPO, verb, self.prefix, *args], check=True,
                       env=self.env, stdin=subprocess.DEVNULL)

    def ns(self, host):
        return "%s-%s" % (self.prefix, host)

    def run(self, host, *cmd, check=True, data=None, timeout=60):
        """Run a command in a host; its stdout."""
        return self._done(["ip", "netns", "exec", self.ns(host), *cmd], check,
                          data, timeout)

    def tool(self, name, host, *args, check=True):
        """ip, tc or bridge in a host, without a process for its namespace."""
        return self._done([name, "-n", self.ns(host), *args], check)

    def ip(self, host, *args, check=True):
        return self.tool("ip", host, *args, check=check)

    @staticmethod
    def _done(argv, check, data=None, timeout=60):
        done = subprocess.run(argv, text=True, input=data, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and done.returncode != 0:
            raise AssertionError("%s: exit %d: %s%s" %
                                 (" ".join(argv), done.returncode,
                                  done.stdout, done.stderr))
        return done.stdout

    def spawn(self, host, *cmd, asks=False):
        return Process(self, host, list(cmd), asks)

    def ask_gateway(self):
        """The client asks for the gateway's MAC again and again."""
        return self.spawn("client", "sh", "-c", """
            while :; do
                ip neigh del %s dev eth0 2>/dev/null
                ping -nqc1 -W0.01 %s >/dev/null
            done""" % (VIP_LAN, VIP_LAN))

    def unplug(self, host, net):
        self.topo("unplug", host, net)

    def plug(self, host, net):
        self.topo("plug", host, net)

    def reboot(self, host):
        """Power cut: its processes, rules and connections are gone."""
        self.topo("reboot", host)

    def pings(self, host, dst):
        """Is dst answering host?"""
        return "1 received" in self.run(host, "ping", "-nc1", "-W1", dst,
                                        check=False)

    def has_address(self, host, addr):
        out = self.ip(host, "-j", "addr", "show", check=False)
        return any(a.get("local") == addr for i in json.loads(out or "[]")
                   for a in i.get("addr_info", []))

    def firewall(self):
        """Stateful forwarding on both firewalls, policy drop, no NAT.

        States are not replicated between them here, so a flow's packet is let
        in as new from either side, as after any failover without pfsync."""
        rules = """
        table inet fw {
            chain forward {
                type filter hook forward priority filter; policy drop;
                ct state established,related accept
                ct state invalid counter drop
                iifname "lan0" oifname "wan0" accept
                iifname "wan0" oifname "lan0" udp sport %d accept
            }
        }
        """ % ECHO_PORT
        for host in ("fw1", "fw2"):
            self.run(host, "nft", "-f", "-", data=rules)

    def nat(self, hosts=("fw1", "fw2"), more=""):
        """As a site with one public address has it: policy drop, only a SYN
        begins a connection, SNAT to the virtual address, a port on it leads
        inside; and the kernel takes up nothing in the middle."""
        for host in hosts:
            self.run(host, "nft", "-f", "-", data=NAT_RULES % more)
            self.sysctl(host, nf_conntrack_tcp_loose=0,
                        nf_conntrack_tcp_be_liberal=0)
            self.ip(host, "route", "replace", REAL_NET, "via", CLIENT4)
            self.ip(host, "route", "replace", DST_NET, "via", SERVER4)

    def sysctl(self, host, **values):
        """net.netfilter's, of that host."""
        for key, value in values.items():
            self.run(host, "sysctl", "-qw", "net.netfilter.%s=%s" %
                     (key, value))


# What a test may change and carpd must leave as it was.
def _addresses(lab, host):
    for i in json.loads(lab.ip(host, "-j", "addr", "show")):
        for a in i["addr_info"]:
            yield "%s %s/%d" % (i["ifname"], a["local"], a["prefixlen"])


def _links(lab, host):
    for i in json.loads(lab.ip(host, "-d", "-j", "link", "show")):
        yield "%s %s promiscuity %s allmulti %s %s" % (
            i["ifname"], i.get("address"), i.get("promiscuity"),
            i.get("allmulti", 0), " ".join(sorted(
                f for f in i["flags"] if f not in ("NO-CARRIER", "LOWER_UP"))))


def _filters(lab, host):
    qdiscs = lab.tool("tc", host, "qdisc", "show").splitlines()
    yield from qdiscs
    for dev in re.findall(r"clsact \S+ dev (\S+)", "\n".join(qdiscs)):
        for way in ("ingress", "egress"):
            out = lab.tool("tc", host, "filter", "show", "dev", dev, way,
                           check=False)
            for line in out.splitlines():
                yield "%s %s %s" % (dev, way, line)


def _routes(lab, host):
    for family in ("-4", "-6"):
        out = lab.ip(host, family, "route", "show", "table", "all")
        # what the kernel counts down is not what we changed
        yield from re.sub(r" expires \w+", "", out).splitlines()


def _sysctls(lab, host):
    yield from lab.run(host, "sh", "-c", "grep -r . /proc/sys/net/ipv4/conf "
                       "/proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward "
                       "2>/dev/null", check=False).splitlines()


def _fdb(lab, host):
    for line in lab.tool("bridge", host, "fdb", "show").splitlines():
        if "permanent" in line or "static" in line:     # not learnt
            yield line


def wait_link_local(lab, host, *devs):
    """The kernel gives an interface its link-local address a moment after its
    carrier: what a snapshot of before needs to have."""
    def there(dev):
        shown = json.loads(lab.ip(host, "-6", "-j", "addr", "show", "dev", dev,
                                  "scope", "link") or "[]")
        return [a for i in shown for a in i.get("addr_info", [])
                if "local" in a and not a.get("tentative")]
    for dev in devs:
        wait_for(lambda dev=dev: there(dev), 15,
                 "a link-local address on %s of %s" % (dev, host))


def snapshot(lab, hosts=("fw1", "fw2")):
    """Addresses, links, filters, routes, sysctls, filter entries of hosts."""
    parts = {"address": _addresses, "link": _links, "filter": _filters,
             "route": _routes, "sysctl": _sysctls, "fdb": _fdb}
    return {"%s %s: %s" % (host, name, line.strip())
            for host in hosts for name, part in parts.items()
            for line in part(lab, host)}


def difference(before, after):
    """What is different, as text; empty when nothing is."""
    return "\n".join(["- " + s for s in sorted(before - after)] +
                     ["+ " + s for s in sorted(after - before)])


def config(skew=0, base=1, lan="lan0", wan="wan0", more_lan="", more_wan="",
           head="preempt yes\nlog 7", password=PASS):
    """The pair's configuration: Mickey has advskew 0, Minnie 100."""
    return """%s
carp0 on %s {
	vhid 1 { advbase %d advskew %d }
	pass "%s"
	address %s/24
	%s
}
carp1 on %s {
	vhid 2 { advbase %d advskew %d }
	pass "%s"
	address %s/24
	%s
}
""" % (head, lan, base, skew, password, VIP_LAN, more_lan,
       wan, base, skew, password, VIP_WAN, more_wan)


def many(dev, vhids, base=1, skew=0, net=10, password=PASS):
    """A carp interface for each vhid on dev, named carp<net><vhid>, with an
    IPv4 and an IPv6 address in a network of its own."""
    return "".join("""carp%d on %s {
	vhid %d { advbase %d advskew %d }
	pass "%s"
	address 10.%d.%d.1/24
	address 2001:db8:%x:%x::1/64
}
""" % (net * 1000 + v, dev, v, base, skew, password, net, v, net, v)
                   for v in vhids)


class Hogs:
    """Processes that take all CPU they can get: `with Hogs(6):`."""

    def __init__(self, n):
        self.n = n
        self.procs = []

    def __enter__(self):
        self.procs = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
                      for _ in range(self.n)]
        return self

    def __exit__(self, *_):
        for p in self.procs:
            p.kill()
            p.wait()


class Witness:
    """When the machine stood still, see witness.c."""

    def __init__(self, lab, limit_us=3000):
        self.proc = lab.spawn(None, WITNESS, str(limit_us))
        self.proc.wait_line("^ready")

    def stalls(self, since=0, until=None):
        """[(end, length)] in ns."""
        found = []
        for _, text in list(self.proc.lines):
            words = text.split()
            if len(words) == 2 and words[0].isdigit():
                end, length = int(words[0]), int(words[1]) * 1000
                if end >= since and (until is None or end - length <= until):
                    found.append((end, length))
        return found


class Service:
    """A daemon of ours on one host, with its file, socket and log."""

    what = None                 # for messages
    path = None
    suffix = ""                 # of the files' names
    socket_flag = None          # carpctl's

    def __init__(self, lab, host, text, name=None):
        self.lab = lab
        self.host = host
        self.name = name or host
        self.conf = lab.dir / (self.name + self.suffix + ".conf")
        self.sock = str(lab.dir / (self.name + self.suffix + ".sock"))
        self.proc = None
        self.kids = []
        self.log = []               # of the runs before this one
        self.write(text)

    def write(self, text):
        self.conf.write_text(text)
        self.conf.chmod(0o600)

    def argv(self, *more):
        return [self.path, "-d", "-f", str(self.conf), "-s", self.sock,
                "-u", USER, *more]

    def start(self, wait=True, more=()):
        if self.proc is not None:
            self.log += self.proc.lines
        self.proc = self.lab.spawn(self.host, *self.argv(*more))
        self.kids = []
        if wait:
            self.wait_up()
        return self

    def wait_up(self, timeout=10.0):
        def answers():
            if not self.proc.running():
                raise AssertionError("%s on %s ended, status %d:\n%s" % (
                    self.what, self.host, self.proc.popen.returncode,
                    self.proc.text()))
            return self.show() is not None
        wait_for(answers, timeout, lambda: "%s on %s answers; log:\n%s" %
                 (self.what, self.host, self.proc.text()))
        self.kids = children(self.proc.pid)

    def running(self):
        return self.proc is not None and self.proc.running()

    def pids(self):
        """Parent and children."""
        return [self.proc.pid, *self.kids]

    def text(self):
        """All it has said, in all its runs."""
        return "\n".join(text for _, text in
                         self.log + list(self.proc.lines if self.proc else []))

    def ctl_argv(self, *args):
        return [CARPCTL, self.socket_flag, self.sock, *args]

    def ctl(self, *args, timeout=10):
        return subprocess.run(self.ctl_argv(*args), text=True,
                              stdin=subprocess.DEVNULL, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ok(self, *args):
        """A carpctl command that must work; its output."""
        done = self.ctl(*args)
        assert done.returncode == 0, "carpctl %s: exit %d: %s%s" % (
            " ".join(args), done.returncode, done.stdout, done.stderr)
        return done.stdout

    def show(self, *what):
        """`carpctl show -j`, or None without a daemon."""
        done = self.ctl("show", *what, "-j")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def stop(self, timeout=5.0):
        """In order: SIGTERM, and wait for all of it."""
        pids = self.pids()
        status = self.proc.end(timeout)
        self._gone(pids)
        return status

    def kill(self, *pids):
        """kill -9, and wait for those to be dead."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            if pid == self.proc.pid:
                self.proc.wait()
        self._gone(pids)

    def kill_parent(self):
        self.kill(self.proc.pid)

    def kill_all(self):
        """The machine's power button for processes: nobody may say a word."""
        self.freeze()
        self.kill(*self.pids())

    def freeze(self):
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def wait_gone(self, timeout=5.0):
        """All of it has ended by itself."""
        self._gone(self.pids(), timeout)
        self.proc.wait(timeout)

    def _gone(self, pids, timeout=5.0):
        wait_for(lambda: not any(alive(p) for p in pids), timeout,
                 "end of %s's processes on %s" % (self.what, self.host))


class Daemon(Service):
    """carpd on one host."""

    what = "carpd"
    path = CARPD
    socket_flag = "-s"

    @property
    def engine(self):
        return self.kids[0] if self.kids else None

    def vhid(self, iface, vhid=None):
        """The entry of an interface's (only) vhid, or None."""
        shown = self.show()
        for i in (shown or {}).get("interfaces", []):
            if i["name"] == iface:
                for v in i["vhids"]:
                    if vhid in (None, v["vhid"]):
                        return v
        return None

    def states(self):
        """{carp interface: state}; empty without a daemon."""
        shown = self.show()
        return {i["name"]: i["state"]
                for i in (shown or {}).get("interfaces", [])}

    def wait_state(self, state, ifaces=("carp0", "carp1"), timeout=8.0):
        def reached():
            states = self.states()
            return all(states.get(i) == state for i in ifaces)
        wait_for(reached, timeout, lambda: "%s of %s on %s; it shows %s, log:"
                 "\n%s" % (state, ifaces, self.host, self.states(),
                           self.proc.text() if self.proc else "(none)"))
        self._await_log(state, ifaces)

    def _await_log(self, state, ifaces):
        """The log comes by another way than what is shown, and may be later.
        (Not asked for those with several vhids.)"""
        shown = self.show() or {"log": 0}
        if shown["log"] < LOG_STATES:
            return
        one = [i["name"] for i in shown["interfaces"]
               if i["name"] in ifaces and len(i["vhids"]) == 1 and
               i["state"] == state]

        def told():
            last = {i: to for _, i, _, to, _ in
                    self._transitions(self.proc.lines)}
            return all(last.get(i, "INIT") == state for i in one)
        with contextlib.suppress(Timeout):      # what it says is not judged
            wait_for(told, 2)

    def wait_heard(self, timeout=5.0):
        """As BACKUP it knows whom it would succeed."""
        wait_for(lambda: all(v["master"] for i in self.show()["interfaces"]
                             for v in i["vhids"]), timeout,
                 "a MASTER heard on every interface of " + self.host)

    def cause(self, iface, vhid=None):
        return self.vhid(iface, vhid)["cause"]

    def transitions(self, since=0):
        """[(time, interface, from, to, cause)] as logged."""
        return [t for t in self._transitions(
            self.log + list(self.proc.lines if self.proc else []))
            if t[0] >= since]

    @staticmethod
    def _transitions(lines):
        rx = re.compile(r"(\S+): state transition(?: \(vhid \d+\))?: "
                        r"(\w+) -> (\w+)(?:.*\(([^()]*)\))?")
        return [(t, m[1], m[2], m[3], m[4] or "") for t, m in
                ((t, rx.search(text)) for t, text in list(lines)) if m]

    def counters(self):
        shown = self.show("counters")
        return shown.get("counters", shown)

    def kill_engine(self, successor=None):
        """successor: who answers our parent's last words does so before the
        parent goes on, since its engine is on the same CPU."""
        cpus = os.sched_getaffinity(0)
        if successor:
            for pid in (self.proc.pid, successor.engine):
                os.sched_setaffinity(pid, {min(cpus)})
        self.kill(self.engine)
        if successor:
            self.wait_gone()
            os.sched_setaffinity(successor.engine, cpus)


class Stream:
    """The client's packets through the virtual gateway, and their echoes."""

    def __init__(self, lab, dst=SERVER4, interval_us=1000, port=ECHO_PORT,
                 path=None, client="client", server="server"):
        self.lab = lab
        self.path = Path(path or lab.dir / ("stream-%d.log" % port))
        self.echo = lab.spawn(server, STREAM, "echo", str(port))
        self.echo.wait_line("^ready")
        self.send = lab.spawn(client, STREAM, "send", dst, str(port),
                              str(interval_us), "0", str(self.path))
        self.send.wait_line("^ready")

    def progress(self):
        """(packets sent, packets echoed, send time of the last echoed)"""
        have = len(self.send.lines)
        self.send.signal(signal.SIGUSR1)
        wait_for(lambda: len(self.send.lines) > have, 5,
                 lambda: "the stream's progress: " + self.send.text(), 0.001)
        return tuple(int(x) for x in self.send.lines[-1][1].split())

    def wait_flow(self, since=None, timeout=10.0):
        """A packet sent after since has come back."""
        since = now_ns() if since is None else since
        wait_for(lambda: self.progress()[2] > since, timeout,
                 "packets flow through the gateway", 0.02)

    def wait_packets(self, n, timeout=20.0):
        """n more packets have come back."""
        goal = self.progress()[1] + n
        wait_for(lambda: self.progress()[1] >= goal, timeout,
                 "%d packets through the gateway" % n, 0.02)

    def stop(self):
        """End both; the sender's log (report.Log)."""
        assert self.send.end() == 0, self.send.text()
        self.echo.end()
        return report.Log.load(self.path)


class NeighMonitor:
    """`ip monitor neigh` on a host: which MACs were an address's."""

    def __init__(self, lab, host, dev="eth0"):
        self.proc = lab.spawn(host, "ip", "-ts", "monitor", "neigh")
        probe = "203.0.113.254"     # a change of our own shows it listens

        def heard():
            lab.ip(host, "neigh", "replace", probe, "lladdr",
                   "02:00:00:00:00:01", "dev", dev, "nud", "permanent")
            lab.ip(host, "neigh", "del", probe, "dev", dev)
            return self.proc.grep(probe)
        wait_for(heard, 5, "ip monitor neigh listens", 0.02)

    def macs(self, addr):
        """The link-layer addresses that addr has had."""
        rx = re.compile(r"(?:^|\s)%s dev \S+ (?:.* )?lladdr (\S+)" %
                        re.escape(addr))
        return {m[1] for m in (rx.search(text) for _, text in
                               list(self.proc.lines)) if m}

    def stop(self):
        self.proc.end()


class Capture:
    """tcpdump on an interface; its frames as [(ns since 1970, bytes)]."""

    def __init__(self, lab, host, dev, expr="", way="in", path=None, snap=0):
        """snap: bytes kept of each; with few, bursts find room."""
        self.path = Path(path or lab.dir / ("%s-%s-%d.pcap" % (
            host, dev, len(lab.processes))))
        self.proc = lab.spawn(host, "tcpdump", "-i", dev, "-Q", way, "-U",
                              "-s%d" % snap, "-nn", "--immediate-mode",
                              "-Z", "root",
                              "--time-stamp-precision=nano",
                              "-w", str(self.path), *([expr] if expr else []))
        self.proc.wait_line("listening on")

    def stop(self):
        self.proc.end()
        return self

    def frames(self):
        data = self.path.read_bytes()
        order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1",
                                    b"\x4d\x3c\xb2\xa1") else ">"
        nano = struct.unpack(order + "I", data[:4])[0] == 0xa1b23c4d
        at, found = 24, []
        while at + 16 <= len(data):
            sec, frac, caplen, _ = struct.unpack_from(order + "IIII", data, at)
            frame = data[at + 16:at + 16 + caplen]
            if len(frame) < caplen:
                break               # tcpdump is still writing it
            found.append((sec * 10**9 + frac * (1 if nano else 1000), frame))
            at += 16 + caplen
        return found


# Frames whose sender claims to be the virtual router of either network.
CLAIMS = ("ether[6:4] = 0x00005e00 or ip proto 112 or arp src host %s or "
          "arp src host %s or src host %s or src host %s" %
          (VIP_LAN, VIP_WAN, VIP_LAN, VIP_WAN))


def claims(frame, vips=(VIP_LAN, VIP_WAN)):
    """Does the frame's sender claim a virtual MAC or a virtual address?"""
    packed = [bytes(int(x) for x in v.split(".")) for v in vips]
    if frame[6:11] == bytes.fromhex("00005e0001"):
        return True
    if frame[12:14] == b"\x08\x06":
        return frame[28:32] in packed
    if frame[12:14] == b"\x08\x00":
        return frame[26:30] in packed
    return False


def gateway_answer(frame):
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2" and \
        frame[28:32] == socket.inet_aton(VIP_LAN)


class Owners:
    """Who claims to be the virtual router, as the switches' ports see it."""

    def __init__(self, lab, nets=("lan", "wan"), hosts=("fw1", "fw2"),
                 expr=CLAIMS, test=claims):
        self.test = test
        self.captures = {(net, host): Capture(lab, net, host, expr)
                         for net in nets for host in hosts}

    def stop(self):
        for c in self.captures.values():
            c.stop()
        return self

    def answers(self, host, since=0):
        """When it answered who asked for the gateway."""
        return [t for t, f in self.captures[("lan", host)].frames()
                if t > since and gateway_answer(f)]

    def wait_answers(self, host, n, since=0):
        return wait_for(lambda: len(self.answers(host, since)) > n, 8,
                        "%s answers for the gateway" % host)

    def claims(self, net):
        """[(time, host)] of the claiming frames in a network, in order."""
        return sorted((t, host) for (n, host), c in self.captures.items()
                      if n == net for t, f in c.frames() if self.test(f))

    def handovers(self, net):
        """[(time, host)] of each frame whose claimant is not the last one."""
        seq = self.claims(net)
        return [seq[i] for i in range(len(seq))
                if i == 0 or seq[i][1] != seq[i - 1][1]]
