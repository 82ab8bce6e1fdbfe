# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What carpdev may be, and what may become of it while it is in use.

Each test is a pair of firewalls whose LAN side is made or changed in its own
way.  Wherever the pair stands, serves() asks the same: the client reaches the
virtual address, by the virtual MAC only, at the MASTER and at nobody else.
At the end both daemons stop and the machines are as they were.

advbase 0 with advskew 30 and 45: adverts eight times a second, a silent MASTER
is noticed within half a second.
"""
import ctypes
import fcntl
import json
import os
import select
import struct
import threading

import pytest
from advert import CLONE_NEWNET
from lab import (CLIENT4, PASS, VIP6_LAN, VIP_LAN, Daemon, NeighMonitor,
                 difference, now_ns, snapshot, vmac, wait_for, wait_link_local)

VMAC = vmac(1)
V4, V6 = VIP_LAN + "/24", VIP6_LAN + "/64"
LINKLOCAL = "fe80::202"
MACS = {"fw1": "02:ca:fe:01:00:c8", "fw2": "02:ca:fe:01:00:c9"}
OWN = {"fw1": ("172.16.0.200", "2001:db8:16::200"),
       "fw2": ("172.16.0.201", "2001:db8:16::201")}


def conf(dev, skew, addresses, more=""):
    return "preempt yes\nlog 7\ncarp0 on %s {\n\tvhid 1 { advbase 0 advskew " \
           "%d }\n\tpass \"%s\"\n\t%s\n%s}\n" % (
               dev, skew, PASS, more,
               "".join("\taddress %s\n" % a for a in addresses))


def own_addresses(lab, host, dev):
    v4, v6 = OWN[host]
    lab.ip(host, "addr", "add", v4 + "/24", "brd", "+", "dev", dev)
    lab.ip(host, "addr", "add", v6 + "/64", "dev", dev, "nodad")


def sysctl6(lab, host, dev, key, value):
    lab.run(host, "sh", "-c", "echo %s > /proc/sys/net/ipv6/conf/%s/%s" %
            (value, dev, key))


def link(lab, host, dev):
    return json.loads(lab.ip(host, "-d", "-j", "link", "show", dev))[0]


def flags_of(lab, host, addr):
    """What the kernel says of one of its addresses, {} without it."""
    for i in json.loads(lab.ip(host, "-j", "addr", "show")):
        for a in i["addr_info"]:
            if a.get("local") == addr:
                return a
    return {}


def traces(lab, host, dev):
    """What carpd would have left on an interface: all that names its MAC or
    its classifier, and its addresses."""
    found = [line for way in ("ingress", "egress") for line in
             lab.run(host, "tc", "filter", "show", "dev", dev, way,
                     check=False).splitlines() if "carp" in line]
    found += [line for line in lab.run(host, "bridge", "fdb", "show", "dev",
                                       dev).splitlines() if VMAC in line]
    found += [a["local"] for i in json.loads(lab.ip(host, "-j", "addr", "show",
                                                    dev))
              for a in i["addr_info"]
              if a.get("local") in (VIP_LAN, VIP6_LAN, LINKLOCAL)]
    return found


class Pair:
    """Mickey on fw1 is the better one, Minnie on fw2 the other."""

    def __init__(self, lab, devs=("lan0", "lan0"), addresses=(V4,), more=""):
        self.lab = lab
        self.patience = 5           # of serves(), in seconds
        self.addresses = [a.split("/")[0] for a in addresses]
        self.before = snapshot(lab)
        self.mickey = Daemon(lab, "fw1", conf(devs[0], 30, addresses, more),
                             "Mickey")
        self.minnie = Daemon(lab, "fw2", conf(devs[1], 45, addresses, more),
                             "Minnie")

    def start(self, wait=True):
        self.mickey.start()
        if wait:
            self.mickey.wait_state("MASTER", ["carp0"])
        self.minnie.start()
        if wait:
            self.minnie.wait_state("BACKUP", ["carp0"])
            self.minnie.wait_heard()
        return self

    def serves(self, master, addresses=None, client="client", dev="eth0"):
        """The client reaches each address at that host and nowhere else."""
        lab, other = self.lab, {"fw1": "fw2", "fw2": "fw1"}[master]
        for a in self.addresses if addresses is None else addresses:
            wait_for(lambda a=a: lab.has_address(master, a), self.patience,
                     "%s on %s" % (a, master))
            wait_for(lambda a=a: not lab.has_address(other, a), self.patience,
                     "no %s on %s" % (a, other))
            lab.ip(client, "neigh", "flush", "dev", dev)
            wait_for(lambda a=a: lab.pings(client, a + "%" + dev if
                                           a.startswith("fe80") else a),
                     self.patience,
                     lambda a=a: "%s answers %s; %s\n%s" % (
                         a, client, lab.ip(client, "neigh"),
                         lab.run("lan", "bridge", "fdb", "show", "br", "br0")))
            neigh = lab.ip(client, "neigh", "show", a, "dev", dev)
            assert VMAC in neigh, neigh
        ports = [e["ifname"] for e in json.loads(lab.run(
            "lan", "bridge", "-j", "fdb", "show", "br", "br0"))
            if e["mac"] == VMAC]
        assert ports == [master]

    def failover(self):
        """There and back, planned: with its causes, and each time served."""
        neigh = NeighMonitor(self.lab, "client")
        self.mickey.stop()
        self.minnie.wait_state("MASTER", ["carp0"])
        assert self.minnie.cause("carp0") == "bow-out"
        self.serves("fw2")
        self.mickey.start().wait_state("MASTER", ["carp0"])
        assert self.mickey.cause("carp0") == "preempt"
        self.minnie.wait_state("BACKUP", ["carp0"])
        assert self.minnie.cause("carp0") == "better master"
        self.serves("fw1")
        neigh.stop()
        for a in self.addresses:
            assert neigh.macs(a) == {VMAC}

    def heard(self, daemon, n=6, counter="ipackets"):
        """n more adverts have come to it: longer than either is patient."""
        goal = daemon.counters()[counter] + n
        wait_for(lambda: daemon.counters()[counter] >= goal, 10,
                 "%d more %s at %s" % (n, counter, daemon.host))

    def stop(self):
        for d in (self.mickey, self.minnie):
            if d.running():
                assert d.stop() == 0

    def end(self):
        """Stop; the machines are as before."""
        self.stop()
        last = []

        def same():     # an address of the host's may still be tentative
            last[:] = [difference(self.before, snapshot(self.lab))]
            return last == [""]
        wait_for(same, 8, lambda: "as before; it differs by\n" + last[0])


def test_veth(lab):
    """The control for all that follow: serves() can tell a wrong host, a
    wrong MAC and a daemon that has left something."""
    pair = Pair(lab).start()
    pair.serves("fw1")
    assert traces(lab, "fw1", "lan0")
    pair.patience = 0.1
    with pytest.raises(AssertionError):
        pair.serves("fw2")
    pair.patience = 5
    assert difference(pair.before, snapshot(lab)) != ""
    pair.failover()
    pair.end()
    assert not traces(lab, "fw1", "lan0")
    lab.ip("fw1", "addr", "add", VIP_LAN + "/32", "dev", "lan0")
    pair.patience = 0.1             # it answers, with its own MAC
    with pytest.raises(AssertionError):
        pair.serves("fw1")


# ---- kinds ----

def make_bridge(lab, host):
    """lan0 is a port of br0, which has the addresses.  Its MAC is set: by
    itself a bridge takes the lowest of its ports'."""
    lab.ip(host, "addr", "flush", "dev", "lan0")
    lab.ip(host, "link", "add", "br0", "address", MACS[host], "type", "bridge",
           "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
    lab.ip(host, "link", "set", "lan0", "master", "br0")
    lab.ip(host, "link", "set", "br0", "up")
    own_addresses(lab, host, "br0")
    wait_link_local(lab, host, "br0")


def test_bridge_with_a_host_behind_it(lab):
    """A bridge whose other port is used: what is behind it reaches the MASTER
    at this host, and through it the one at the other host."""
    for host in ("fw1", "fw2"):
        make_bridge(lab, host)
    lab.ip("fw1", "link", "add", "guest", "type", "veth", "peer", "name",
           "eth1", "netns", lab.ns("server"))
    lab.ip("fw1", "link", "set", "guest", "master", "br0", "up")
    lab.ip("server", "link", "set", "eth1", "up")
    wait_link_local(lab, "fw1", "guest")
    lab.ip("server", "addr", "add", "172.16.0.11/24", "dev", "eth1")
    lab.ip("server", "addr", "add", "2001:db8:16::11/64", "dev", "eth1",
           "nodad")
    pair = Pair(lab, ("br0", "br0"), (V4, V6)).start()

    def guest(master):
        pair.serves(master)
        pair.serves(master, client="server", dev="eth1")
    guest("fw1")
    pair.mickey.ok("demote", "10")
    pair.minnie.wait_state("MASTER", ["carp0"])
    assert pair.minnie.cause("carp0") == "peer demoted"
    pair.mickey.wait_state("BACKUP", ["carp0"])
    guest("fw2")
    pair.mickey.ok("promote", "10")
    pair.mickey.wait_state("MASTER", ["carp0"])
    assert pair.mickey.cause("carp0") == "preempt"
    guest("fw1")
    pair.failover()
    pair.mickey.kill_all()          # the bridge's entry is left behind
    assert traces(lab, "fw1", "br0")
    pair.minnie.wait_state("MASTER", ["carp0"])
    assert pair.minnie.cause("carp0") == "master down"
    pair.mickey.start().wait_state("MASTER", ["carp0"])
    guest("fw1")
    pair.end()


def test_port_of_a_bridge_is_warned_of(lab):
    """The bridge takes what comes in there before the host does."""
    d = Daemon(lab, "fw1", conf("lan0", 30, (V4,)), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    assert not d.proc.grep("port of")
    lab.ip("fw1", "link", "add", "br0", "type", "bridge")
    lab.ip("fw1", "link", "set", "lan0", "master", "br0")
    d.proc.wait_line("lan0: is a port of br0")
    d.stop()


def replace_lan0(lab, host, *kind, mac=None):
    """Another lan0, with the MAC and the addresses of the old one."""
    lab.ip(host, "link", "set", "lan0", "down")
    lab.ip(host, "addr", "flush", "dev", "lan0")
    lab.ip(host, "link", "set", "lan0", "name", "low0")
    lab.ip(host, "link", "set", "low0", "up")
    # else it answers for the addresses of its neighbour as well
    lab.run(host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/low0/"
            "arp_ignore")
    made = lab.run(host, "sh", "-c", "ip link add link low0 name lan0 address "
                   "%s type %s 2>&1 || true" % (mac or MACS[host],
                                                " ".join(kind)))
    if "Unknown device type" in made:
        pytest.skip("this kernel has no %s: %s" % (kind[0], made.strip()))
    assert made == ""
    lab.ip(host, "link", "set", "lan0", "up")
    own_addresses(lab, host, "lan0")
    wait_link_local(lab, host, "low0", "lan0")


def test_vlan(lab):
    """Both ends of the cable tag: lan0 is VLAN 5 of low0."""
    for host in ("fw1", "fw2"):
        replace_lan0(lab, host, "vlan", "id", "5")
    lab.run("lan", "ip", "link", "set", "br0", "type", "bridge",
            "vlan_filtering", "1")
    for port in ("client", "fw1", "fw2"):
        lab.run("lan", "bridge", "vlan", "del", "dev", port, "vid", "1")
        lab.run("lan", "bridge", "vlan", "add", "dev", port, "vid", "5",
                *(("pvid", "untagged") if port == "client" else ()))
    pair = Pair(lab, addresses=(V4, V6)).start()
    pair.serves("fw1")
    pair.failover()
    pair.end()


def test_macvlan_passthru(lab):
    for host in ("fw1", "fw2"):
        replace_lan0(lab, host, "macvlan", "mode", "passthru")
    pair = Pair(lab, addresses=(V4, V6)).start()
    pair.serves("fw1")
    pair.failover()
    pair.end()


def test_macvlan_that_is_shared_is_refused(lab):
    """It gets frames for its own MAC only: a MASTER there would be one that
    nobody reaches.  The interface below it works."""
    replace_lan0(lab, "fw1", "macvlan", "mode", "bridge",
                 mac="02:ca:fe:01:00:79")
    pair = Pair(lab).start(wait=False)
    pair.mickey.proc.wait_line("lan0: a macvlan .*passthru")
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    assert pair.mickey.states() == {"carp0": "INIT"}
    assert not pair.mickey.transitions()
    assert not traces(lab, "fw1", "lan0")
    pair.mickey.write(conf("low0", 30, (V4,)))
    pair.mickey.ok("reload")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.serves("fw1")
    pair.end()


TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000


def open_tap(lab, host, name):
    """A tap interface of a host, for this process."""
    made = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        ns = os.open("/run/netns/" + lab.ns(host), os.O_RDONLY)
        try:
            if libc.setns(ns, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack(
                "16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
            made.append(fd)
        finally:
            os.close(ns)
    t = threading.Thread(target=make)
    t.start()
    t.join()
    return made[0]


class Cable:
    """Two taps joined by a thread: what a virtual machine's host does."""

    def __init__(self, a, b):
        self.fds = (a, b)
        self.wake = os.pipe()
        self.thread = threading.Thread(target=self.pump, daemon=True)
        self.thread.start()

    def pump(self):
        other = dict(zip(self.fds, reversed(self.fds)))
        while True:
            ready = select.select([*self.fds, self.wake[0]], [], [])[0]
            if self.wake[0] in ready:
                return
            for fd in ready:
                try:
                    os.write(other[fd], os.read(fd, 65536))
                except OSError:
                    pass            # that end is down: a frame is lost

    def close(self):
        os.close(self.wake[1])
        self.thread.join()
        os.close(self.wake[0])
        for fd in self.fds:
            os.close(fd)


def test_tap(lab):
    """And what becomes of it when the process behind it ends: its link goes
    with the interface, the other host takes over."""
    lab.ip("fw1", "link", "del", "lan0")
    cable = Cable(open_tap(lab, "fw1", "lan0"), open_tap(lab, "lan", "fw1"))
    try:
        lab.ip("lan", "link", "set", "fw1", "master", "br0", "up")
        lab.ip("fw1", "link", "set", "lan0", "address", MACS["fw1"])
        lab.ip("fw1", "link", "set", "lan0", "up")
        own_addresses(lab, "fw1", "lan0")
        wait_link_local(lab, "fw1", "lan0")
        pair = Pair(lab, addresses=(V4, V6)).start()
        pair.serves("fw1")
        pair.failover()
        pair.end()
        pair.start()
    finally:
        cable.close()
    pair.mickey.wait_state("INIT", ["carp0"])
    assert pair.mickey.cause("carp0") in ("carpdev gone", "link")
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    pair.stop()


# ---- it comes, goes and changes ----

def test_appears_later_changes_mac_and_mtu(lab):
    """Nothing of that moves anybody."""
    lab.ip("fw1", "link", "set", "lan0", "down")
    lab.ip("fw1", "link", "set", "lan0", "name", "nic7")
    pair = Pair(lab, addresses=(V4, V6)).start(wait=False)
    pair.mickey.proc.wait_line("carpdev lan0 does not exist, waiting")
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    lab.ip("fw1", "link", "set", "nic7", "name", "lan0")
    wait_for(lambda: pair.mickey.vhid("carp0")["why"] ==
             "carpdev has no link", 5, "it is seen, and down")
    lab.ip("fw1", "link", "set", "lan0", "up")
    lab.ip("fw1", "addr", "add", OWN["fw1"][1] + "/64", "dev", "lan0", "nodad")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.serves("fw1")
    start = now_ns()
    lab.ip("fw1", "link", "set", "lan0", "address", "02:ca:fe:01:00:77")
    wait_for(lambda: pair.mickey.show()["interfaces"][0]["carpdev_lladdr"] ==
             "02:ca:fe:01:00:77", 5, "the new MAC is seen")
    pair.serves("fw1")
    lab.ip("client", "neigh", "flush", "dev", "eth0")
    assert lab.pings("client", OWN["fw1"][0])
    assert "02:ca:fe:01:00:77" in lab.ip("client", "neigh", "show",
                                         OWN["fw1"][0])
    lab.ip("fw1", "link", "set", "lan0", "mtu", "1400")
    pair.heard(pair.minnie)
    pair.serves("fw1")
    assert not pair.mickey.transitions(start)
    assert not pair.minnie.transitions(start)
    pair.failover()
    pair.stop()
    assert not traces(lab, "fw1", "lan0")


def test_loses_and_gains_addresses(lab):
    """The virtual address brings its network's route when nothing else does;
    and it is the source when there is none."""
    pair = Pair(lab, addresses=(V4, V6)).start()
    start = now_ns()
    assert flags_of(lab, "fw1", VIP_LAN)["prefixlen"] == 32
    lab.ip("fw1", "addr", "del", OWN["fw1"][0] + "/24", "dev", "lan0")
    lab.ip("fw1", "addr", "del", OWN["fw1"][1] + "/64", "dev", "lan0")
    wait_for(lambda: flags_of(lab, "fw1", VIP_LAN).get("prefixlen") == 24 and
             flags_of(lab, "fw1", VIP6_LAN).get("prefixlen") == 64, 5,
             "with the prefix of the configuration")
    wait_for(lambda: [i["installed"] for i in pair.mickey.show()["interfaces"]
                      [0]["installed"]] == [V4, V6], 5, "and so it is shown")
    pair.serves("fw1")
    pair.heard(pair.minnie)
    peers = json.dumps(pair.minnie.show("peers"))
    assert VIP_LAN in peers and OWN["fw1"][0] in peers
    own_addresses(lab, "fw1", "lan0")
    wait_for(lambda: flags_of(lab, "fw1", VIP_LAN).get("prefixlen") == 32, 5,
             "the network's route is the host's again")
    assert "src " + OWN["fw1"][0] in lab.ip("fw1", "route", "get", CLIENT4)
    pair.serves("fw1")
    assert not pair.mickey.transitions(start)
    assert not pair.minnie.transitions(start)
    assert not pair.mickey.proc.grep("somebody removed")
    pair.failover()
    assert flags_of(lab, "fw1", VIP_LAN)["prefixlen"] == 32
    pair.end()


def test_no_other_address(lab):
    """Both hosts have nothing on the LAN but what the MASTER has."""
    for host in ("fw1", "fw2"):
        lab.ip(host, "addr", "flush", "dev", "lan0", "scope", "global")
    pair = Pair(lab, addresses=(V4, V6)).start()
    pair.serves("fw1")
    assert flags_of(lab, "fw1", VIP_LAN)["prefixlen"] == 24
    assert flags_of(lab, "fw1", VIP6_LAN)["prefixlen"] == 64
    pair.failover()
    pair.end()


def test_renamed_away_and_back(lab):
    """What is renamed is no carpdev any more and has nothing left of it; what
    gets the name is one.  bond-like: another interface takes the name."""
    lab.run("fw1", "sh", "-c",
            "echo 1 > /proc/sys/net/ipv4/conf/lan0/send_redirects")
    pair = Pair(lab, addresses=(V4, V6)).start()
    start = now_ns()
    lab.ip("fw1", "link", "set", "lan0", "name", "slave0")
    pair.mickey.wait_state("INIT", ["carp0"])
    assert pair.mickey.cause("carp0") in ("carpdev gone", "link")
    assert "carpdev does not exist" in pair.mickey.vhid("carp0")["why"]
    pair.mickey.proc.wait_line("lan0: interface is gone, waiting", since=start)
    wait_for(lambda: not traces(lab, "fw1", "slave0"), 8,
             lambda: "nothing of ours on it: %s" % traces(lab, "fw1",
                                                          "slave0"))
    for key, value in (("send_redirects", "1"), ("arp_announce", "0"),
                       ("promote_secondaries", "0")):
        assert lab.run("fw1", "cat", "/proc/sys/net/ipv4/conf/slave0/" +
                       key).strip() == value
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    # the name for a bridge over it, as a bond's would be over its slaves
    lab.ip("fw1", "addr", "flush", "dev", "slave0", "scope", "global")
    lab.ip("fw1", "link", "add", "bond7", "address", MACS["fw1"], "type",
           "bridge", "stp_state", "0", "forward_delay", "0")
    lab.ip("fw1", "link", "set", "slave0", "master", "bond7")
    lab.ip("fw1", "link", "set", "bond7", "up")
    own_addresses(lab, "fw1", "bond7")
    lab.ip("fw1", "link", "set", "bond7", "name", "lan0")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.serves("fw1")
    lab.ip("fw1", "link", "del", "lan0")
    pair.minnie.wait_state("MASTER", ["carp0"])
    lab.ip("fw1", "link", "set", "slave0", "name", "lan0")
    own_addresses(lab, "fw1", "lan0")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.serves("fw1")
    pair.end()


def test_moves_to_another_namespace_and_back(lab):
    pair = Pair(lab, addresses=(V4, V6)).start()
    lab.ip("fw1", "link", "set", "lan0", "netns", lab.ns("sync"))
    pair.mickey.wait_state("INIT", ["carp0"])
    assert pair.mickey.cause("carp0") in ("carpdev gone", "link")
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    assert not traces(lab, "sync", "lan0")
    lab.ip("sync", "link", "set", "lan0", "netns", lab.ns("fw1"))
    lab.ip("fw1", "link", "set", "lan0", "up")
    own_addresses(lab, "fw1", "lan0")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.serves("fw1")
    pair.failover()
    pair.end()


def test_vanishes_and_comes_again(lab):
    """Another index and another MAC."""
    pair = Pair(lab, addresses=(V4, V6)).start()
    old = link(lab, "fw1", "lan0")["ifindex"]
    lab.ip("fw1", "link", "del", "lan0")
    pair.mickey.wait_state("INIT", ["carp0"])
    pair.minnie.wait_state("MASTER", ["carp0"])
    lab.ip("fw1", "link", "add", "lan0", "address", "02:ca:fe:01:00:78",
           "type", "veth", "peer", "name", "fw1", "netns", lab.ns("lan"))
    lab.ip("lan", "link", "set", "fw1", "master", "br0", "up")
    lab.ip("fw1", "link", "set", "lan0", "up")
    own_addresses(lab, "fw1", "lan0")
    assert link(lab, "fw1", "lan0")["ifindex"] != old
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.serves("fw1")
    pair.failover()
    pair.stop()
    assert not traces(lab, "fw1", "lan0")


# ---- IPv6 comes and goes ----

def ipv6_off(lab, host):
    sysctl6(lab, host, "lan0", "disable_ipv6", 1)


def ipv6_on(lab, host):
    """Its address is tentative for a second: an operator's machine."""
    sysctl6(lab, host, "lan0", "accept_dad", 1)
    sysctl6(lab, host, "lan0", "disable_ipv6", 0)
    sysctl6(lab, host, "lan0", "accept_dad", 0)
    lab.ip(host, "addr", "add", OWN[host][1] + "/64", "dev", "lan0", "nodad")


def mtu_off(lab, host):
    lab.ip(host, "link", "set", "lan0", "mtu", "1200")


def mtu_on(lab, host):
    lab.ip(host, "link", "set", "lan0", "mtu", "1500")
    lab.ip(host, "addr", "add", OWN[host][1] + "/64", "dev", "lan0", "nodad")


@pytest.mark.parametrize("off, on, digest", [
    (ipv6_off, ipv6_on, "freebsd"), (mtu_off, mtu_on, "auto")],
    ids=["disable_ipv6", "mtu"])
def test_ipv6_off_and_on(lab, off, on, digest):
    """IPv4 does not notice, on either host; IPv6 is taken up again with its
    addresses, its neighbours, its multicast; the digest stays what it was."""
    pair = Pair(lab, addresses=(V4, V6, LINKLOCAL + "/64"),
                more="digest " + digest).start()
    variant = pair.mickey.vhid("carp0")["digest"]
    assert variant == ("freebsd" if digest == "freebsd" else "openbsd")
    bad = [d.counters()["badauth"] for d in (pair.mickey, pair.minnie)]
    v6 = [VIP6_LAN, LINKLOCAL]

    for daemon, host in ((pair.mickey, "fw1"), (pair.minnie, "fw2")):
        start = now_ns()
        off(lab, host)
        daemon.proc.wait_line("IPv6 is disabled on lan0", since=start)
        pair.heard(pair.minnie)
        pair.serves("fw1", [VIP_LAN] if host == "fw1" else None)
        assert not any(lab.has_address(host, a) for a in v6)
        assert not pair.mickey.transitions(start)
        assert not pair.minnie.transitions(start)
        if host == "fw2":
            pair.mickey.ok("demote", "10")
            pair.minnie.wait_state("MASTER", ["carp0"])
            assert pair.minnie.cause("carp0") == "peer demoted"
            pair.serves("fw2", [VIP_LAN])
            pair.heard(pair.mickey)
            assert len(pair.minnie.transitions(start)) == 1
            assert not any(lab.has_address("fw1", a) for a in v6)
        before = len(daemon.transitions())
        on(lab, host)
        daemon.proc.wait_line("IPv6 is back on lan0", since=start)
        pair.serves(host)
        pair.heard(pair.minnie if host == "fw1" else pair.mickey,
                   counter="ipackets6")
        assert len(daemon.transitions()) == before
        assert "ff02::12" in lab.ip(host, "maddr", "show", "dev", "lan0")
        assert not daemon.proc.grep("somebody removed|cannot add", since=start)
    pair.mickey.ok("promote", "10")
    pair.mickey.wait_state("MASTER", ["carp0"])
    assert [d.vhid("carp0")["digest"] for d in (pair.mickey, pair.minnie)] == \
        [variant, variant]
    assert [d.counters()["badauth"] for d in (pair.mickey, pair.minnie)] == bad
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.failover()
    if off == ipv6_off:
        pair.end()
    else:
        pair.stop()         # the kernel has made its settings anew
        assert not traces(lab, "fw1", "lan0")


def test_ipv6_only_without_ipv6(lab):
    """Nothing is left to go on with: the other host takes over."""
    pair = Pair(lab, addresses=(V6,)).start()
    ipv6_off(lab, "fw1")
    pair.mickey.wait_state("INIT", ["carp0"])
    assert pair.mickey.cause("carp0") == "no source address"
    wait_for(lambda: pair.mickey.vhid("carp0")["why"] ==
             "IPv6 is disabled on carpdev", 8, "why")
    pair.minnie.wait_state("MASTER", ["carp0"])
    pair.serves("fw2")
    ipv6_on(lab, "fw1")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.serves("fw1")
    pair.end()


def test_ipv6_address_lost_is_not_ipv6_disabled(lab):
    """The control: its family cannot send, and should; another host can."""
    pair = Pair(lab, addresses=(V4, V6)).start()
    lab.ip("fw1", "-6", "addr", "flush", "dev", "lan0", "scope", "global",
           "permanent")
    lab.ip("fw1", "-6", "addr", "flush", "dev", "lan0", "scope", "link")
    pair.mickey.wait_state("INIT", ["carp0"])
    assert pair.mickey.cause("carp0") == "no source address"
    pair.minnie.wait_state("MASTER", ["carp0"])
    assert not pair.mickey.proc.grep("IPv6 is disabled")
    pair.serves("fw2")
    lab.ip("fw1", "addr", "add", OWN["fw1"][1] + "/64", "dev", "lan0", "nodad")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.serves("fw1")
    pair.stop()


# ---- tentative, dadfailed, optimistic, link-local ----

def link_locals(lab, host):
    return [a for i in json.loads(lab.ip(host, "-6", "-j", "addr", "show",
                                         "lan0"))
            for a in i.get("addr_info", []) if a.get("scope") == "link"]


def replug(lab, host):
    """Down and up: the kernel makes its link-local address anew."""
    lab.ip(host, "link", "set", "lan0", "down")
    lab.ip(host, "link", "set", "lan0", "up")


@pytest.mark.parametrize("dad", [1, 2])
def test_source_that_is_somebody_elses(lab, dad):
    """Duplicate address detection failed: no source for IPv6.  With
    accept_dad 2 the kernel disables IPv6 then, and IPv4 goes on."""
    own = link_locals(lab, "fw1")[0]["local"]
    pair = Pair(lab, addresses=(V4, V6))
    lab.ip("client", "addr", "add", own + "/64", "dev", "eth0", "nodad")
    sysctl6(lab, "fw1", "lan0", "accept_dad", dad)
    pair.start()
    replug(lab, "fw1")
    if dad == 1:
        wait_for(lambda: any(a.get("dadfailed") for a in
                             link_locals(lab, "fw1")), 5, "dadfailed")
        wait_for(lambda: pair.mickey.vhid("carp0")["why"] == "no usable IPv6 "
                 "source address on carpdev", 5, "why")
        pair.minnie.wait_state("MASTER", ["carp0"])
        pair.serves("fw2")
        assert pair.mickey.states() == {"carp0": "INIT"}
    else:
        pair.mickey.proc.wait_line("IPv6 is disabled on lan0")
        pair.mickey.wait_state("MASTER", ["carp0"])
        pair.serves("fw1", [VIP_LAN])
    lab.ip("client", "addr", "del", own + "/64", "dev", "eth0")
    sysctl6(lab, "fw1", "lan0", "disable_ipv6", 0)
    replug(lab, "fw1")
    lab.ip("fw1", "addr", "add", OWN["fw1"][1] + "/64", "dev", "lan0", "nodad")
    pair.mickey.wait_state("MASTER", ["carp0"])
    pair.minnie.wait_state("BACKUP", ["carp0"])
    pair.serves("fw1")
    sysctl6(lab, "fw1", "lan0", "accept_dad", 0)
    pair.end()


def test_virtual_addresses_are_never_tentative(lab):
    """Not even where detection is on, and a source is tentative or
    optimistic: they are used at once, and nobody is asked for them."""
    for host in ("fw1", "fw2"):
        for dev in ("all", "lan0"):
            sysctl6(lab, host, dev, "accept_dad", 1)
        sysctl6(lab, host, "lan0", "optimistic_dad", 1)
        sysctl6(lab, host, "lan0", "use_optimistic", 1)
    pair = Pair(lab, addresses=(V4, V6, LINKLOCAL + "/64"))
    capture = lab.spawn("client", "tcpdump", "-lni", "eth0", "-Z", "root",
                        "icmp6[0] == 135 and ip6 src ::")
    capture.wait_line("listening")
    replug(lab, "fw1")
    lab.ip("fw1", "addr", "add", OWN["fw1"][1] + "/64", "dev", "lan0")
    pair.start()
    for a in (VIP6_LAN, LINKLOCAL):
        wait_for(lambda a=a: lab.has_address("fw1", a), 8, a)
        assert not flags_of(lab, "fw1", a).get("tentative")
        assert flags_of(lab, "fw1", a).get("deprecated")
    pair.serves("fw1")
    pair.failover()
    capture.wait_line(OWN["fw1"][1])        # the control: its own is asked for
    assert not capture.grep("who has (%s|%s)," % (VIP6_LAN, LINKLOCAL))
    pair.end()


def test_link_local_virtual_address(lab):
    """The only one of its family; the digest that covers it is learnt."""
    addresses = (V4, LINKLOCAL + "/64")
    pair = Pair(lab, addresses=addresses, more="digest freebsd")
    pair.minnie.write(conf("lan0", 45, addresses))
    pair.start()
    pair.serves("fw1")
    wait_for(lambda: pair.minnie.vhid("carp0")["digest"] == "freebsd", 5,
             "the digest is learnt")
    pair.failover()
    assert pair.mickey.counters()["badauth"] == 0
    pair.end()
