# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Carp interfaces without `on': carpdev is the interface that has the network
of their address.

Mickey's, on fw1, are like that; Minnie's, on fw2, name theirs.  So whoever of
them is MASTER and who hears whom shows that Mickey found the right one.  lan0
has 172.16.0.0/24, wan0 172.16.240.0/24, sync0 192.168.2.0/24; a network that
is made up has nobody on it but Mickey.
"""
import os

import pytest
from lab import (CARPD, PASS, VIP6_LAN, VIP_LAN, VIP_WAN, Daemon, config,
                 difference, now_ns, snapshot, wait_for, wait_link_local)

LAN, WAN = VIP_LAN + "/24", VIP_WAN + "/24"
OWN = "172.16.0.200/24"
NONE = "no interface has a network with "


def block(number, vhid, address, on=None, skew=10, more=""):
    return "carp%d %s{\n\tvhid %d { advbase 0 advskew %d }\n\tpass \"%s\"\n" \
           "\taddress %s\n%s}\n" % (number, "on %s " % on if on else "", vhid,
                                    skew, PASS, address, more)


def text(*blocks):
    return "preempt yes\nlog 7\n" + "".join(blocks)


class Mickey(Daemon):
    def __init__(self, lab, *blocks):
        super().__init__(lab, "fw1", text(*blocks), "Mickey")
        self.before = snapshot(lab)

    def iface(self, name="carp0"):
        return next(i for i in self.show()["interfaces"] if i["name"] == name)

    def carpdev(self, name="carp0"):
        return self.iface(name)["carpdev"]

    def why(self, name="carp0"):
        v = self.vhid(name)
        return v["why"] if v["state"] == "INIT" else None

    def wait_on(self, dev, name="carp0"):
        wait_for(lambda: self.carpdev(name) == dev, 5,
                 lambda: "%s on %s, it is on %s; log:\n%s" % (
                     name, dev, self.carpdev(name), self.proc.text()))
        self.wait_state("MASTER", [name])

    def wait_none(self, why, name="carp0"):
        wait_for(lambda: self.carpdev(name) == "" and self.why(name) == why, 5,
                 lambda: "none for %s: %s; it is %s; log:\n%s" % (
                     name, why, self.iface(name), self.proc.text()))

    def settled(self):
        """Now: the log has come to what is shown."""
        wait_for(lambda: {t[1]: t[3] for t in self.transitions()} == {
            k: v for k, v in self.states().items() if v != "INIT"}, 5,
            lambda: "the last of %s in the log" % self.states())
        return now_ns()

    def lines(self, word):
        return [line for line in self.text().splitlines() if word in line]

    def reload(self, *blocks):
        """In force: what it shows is of that file."""
        self.write(text(*blocks))
        self.ok("reload")

    def cpu(self):
        """Seconds that the parent has run for."""
        with open("/proc/%d/stat" % self.proc.pid, encoding="ascii") as f:
            return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / \
                os.sysconf("SC_CLK_TCK")

    def end(self):
        assert self.stop() == 0
        last = []

        def same():
            last[:] = [difference(self.before, snapshot(self.lab))]
            return last == [""]
        wait_for(same, 8, lambda: "as before; it differs by\n" + last[0])


def add(lab, dev, *addresses):
    for a in addresses:
        lab.ip("fw1", "addr", "add", a, "dev", dev, *(
            ["nodad"] if ":" in a else []))


def dummy(lab, name, *addresses):
    """A cable with nobody at its other end."""
    lab.ip("fw1", "link", "add", name, "type", "veth", "peer", "name",
           name + "x")
    for dev in (name, name + "x"):
        lab.ip("fw1", "link", "set", dev, "up")
    wait_link_local(lab, "fw1", name, name + "x")
    add(lab, name, *addresses)


def flush(lab, dev):
    lab.ip("fw1", "addr", "flush", "dev", dev)


def test_both_sides(lab):
    """The guide's pair, without a name of an interface on one of them."""
    mickey = Mickey(lab, block(0, 1, LAN), block(1, 2, WAN))
    minnie = Daemon(lab, "fw2", config(45, 0), "Minnie")
    done = lab.run("fw1", CARPD, "-nn", "-f", str(mickey.conf))
    assert "\ncarp0 {\n" in done and "\ncarp1 {\n" in done
    mickey.start().wait_on("lan0")
    mickey.wait_on("wan0", "carp1")
    minnie.start().wait_state("BACKUP")
    minnie.wait_heard()
    assert mickey.lines("carp0: carpdev is lan0")
    # the network of a virtual address says nothing of where it belongs
    start = now_ns()
    add(lab, "sync0", "172.16.0.199/28")
    mickey.ok("reload")
    assert (mickey.carpdev(), mickey.carpdev("carp1")) == ("lan0", "wan0")
    assert mickey.stop() == 0
    minnie.wait_state("MASTER")
    assert {t[4] for t in minnie.transitions(start)} == {"bow-out"}
    assert minnie.stop() == 0
    flush(lab, "sync0")


def test_address_comes_later_and_stays_sticky(lab):
    """None at first, with a reason, told once; then the first network."""
    flush(lab, "lan0")
    mickey = Mickey(lab, block(0, 1, LAN))
    mickey.start().wait_none(NONE + VIP_LAN)
    shown = mickey.ok("show")
    assert "carpdev none demotion" in shown and NONE + VIP_LAN in shown
    assert "carpdev none" in mickey.ok("show", "demotion")
    # neither of these is a network of an interface that could be one
    add(lab, "lo", "172.16.0.7/24")
    add(lab, "lan0", "10.1.1.1/24")
    mickey.ok("reload")
    mickey.wait_none(NONE + VIP_LAN)
    # it looks when something happens, not all the time
    add(lab, "lan0", "10.1.1.2/24")
    before = mickey.cpu(), now_ns()
    while now_ns() - before[1] < 700000000:
        assert mickey.why() == NONE + VIP_LAN
    assert mickey.cpu() - before[0] < .2
    add(lab, "lan0", OWN)
    mickey.wait_on("lan0")
    wait_for(lambda: mickey.iface()["demotion"] == 0, 5, "nothing is missing")
    assert len(mickey.lines(NONE)) == 1
    # a better one, or the loss of that address, moves nobody
    start = mickey.settled()
    add(lab, "sync0", "172.16.0.199/28")
    lab.ip("fw1", "addr", "del", OWN, "dev", "lan0")
    wait_for(lambda: mickey.iface()["installed"][0]["installed"] == LAN, 5,
             "it is noticed")
    mickey.ok("reload")
    assert mickey.carpdev() == "lan0" and not mickey.transitions(start)
    assert len(mickey.lines("carpdev is")) == 1
    # other addresses are another choice
    mickey.reload(block(0, 1, "172.16.0.201/24"))
    mickey.wait_on("sync0")
    assert mickey.stop() == 0


def test_interface_comes_later_vanishes_and_another_has_it(lab):
    flush(lab, "lan0")
    mickey = Mickey(lab, block(0, 1, LAN), block(1, 2, WAN, on="wan0"))
    mickey.start().wait_none(NONE + VIP_LAN)
    mickey.wait_state("MASTER", ["carp1"])
    assert mickey.iface("carp1")["demotion"] == 1
    start = mickey.settled()
    dummy(lab, "new0", OWN)
    mickey.wait_on("new0")
    dummy(lab, "new1", "172.16.0.198/24")
    lab.ip("fw1", "link", "del", "new0")
    mickey.wait_on("new1")
    assert lab.has_address("fw1", VIP_LAN)
    lab.ip("fw1", "link", "set", "new1", "down")
    lab.ip("fw1", "link", "set", "new1", "name", "new2")
    lab.ip("fw1", "link", "set", "new2", "up")
    mickey.wait_on("new2")
    lab.ip("fw1", "link", "del", "new2")
    mickey.wait_none(NONE + VIP_LAN)
    assert mickey.iface("carp1")["demotion"] == 1
    add(lab, "lan0", OWN)
    mickey.wait_on("lan0")
    wait_for(lambda: mickey.iface("carp1")["demotion"] == 0, 5, "all is well")
    assert not [t for t in mickey.transitions(start) if t[1] == "carp1"]
    assert mickey.stop() == 0


def test_two_candidates(lab):
    """The narrower network, else the lower index; not a virtual address of
    another carp interface, not a link-local one."""
    dummy(lab, "new0", "172.16.0.193/28", "10.5.0.1/16")
    dummy(lab, "new1", "10.5.0.2/16")
    add(lab, "wan0", "10.6.0.1/24")
    mickey = Mickey(lab, block(0, 1, LAN), block(1, 2, "10.5.0.9/16"),
                    block(2, 3, "10.6.0.9/24"))
    mickey.start().wait_on("new0")
    mickey.wait_on("new0", "carp1")
    mickey.wait_on("wan0", "carp2")
    mickey.reload(block(0, 1, LAN), block(2, 3, "10.6.0.9/8", on="lan0"),
                  block(3, 4, "10.9.0.9/24"), block(4, 5, "fe80::77/64"))
    mickey.wait_on("lan0", "carp2")
    wait_for(lambda: lab.has_address("fw1", "10.6.0.9"), 5, "on lan0 now")
    mickey.wait_none(NONE + "10.9.0.9", "carp3")
    mickey.wait_none(NONE + "fe80::77", "carp4")
    mickey.ok("reload")
    mickey.wait_none(NONE + "10.9.0.9", "carp3")
    assert mickey.stop() == 0


def test_the_same_vhid_on_one_carpdev(lab):
    """The first has it; a name in the file goes before a choice."""
    taken = "vhid 1 on lan0 is already that of "
    first, second = block(0, 1, LAN), block(1, 1, "172.16.0.203/24")
    mickey = Mickey(lab, first, second).start()
    mickey.wait_on("lan0")
    mickey.wait_none(taken + "carp0", "carp1")
    assert len(mickey.lines(taken)) == 1
    start = mickey.settled()
    mickey.reload(second, first)        # who has it keeps it
    mickey.wait_none(taken + "carp0", "carp1")
    assert not mickey.transitions(start) and len(mickey.lines(taken)) == 1
    mickey.reload(first, block(1, 2, LAN))
    mickey.wait_none(VIP_LAN + " on lan0 is already that of carp0", "carp1")
    mickey.reload(second)
    mickey.wait_on("lan0", "carp1")
    mickey.reload(second, block(2, 1, "172.16.0.204/24", on="lan0"))
    mickey.wait_none(taken + "carp2", "carp1")
    mickey.wait_state("MASTER", ["carp2"])
    # of two that wait it is the file's first, though the other waits longer
    a, b = block(3, 3, "10.9.0.3/24"), block(4, 3, "10.9.0.4/24")
    named = block(2, 1, "172.16.0.204/24", on="lan0")
    mickey.reload(second, named, b)
    mickey.reload(second, named, a, b)
    mickey.wait_none(NONE + "10.9.0.3", "carp3")
    add(lab, "lan0", "10.9.0.1/24")
    mickey.wait_on("lan0", "carp3")
    mickey.wait_none("vhid 3 on lan0 is already that of carp3", "carp4")
    lab.ip("fw1", "addr", "del", "10.9.0.1/24", "dev", "lan0")
    wait_for(lambda: not lab.has_address("fw1", "172.16.0.203"), 5, "gone")
    mickey.end()


def test_reload_to_and_from_on(lab):
    """What comes to the same moves nobody; what carpctl set is of the move."""
    mickey = Mickey(lab, block(0, 1, LAN, on="lan0"))
    mickey.start().wait_on("lan0")
    start = mickey.settled()
    for on in (None, "lan0", None):
        mickey.reload(block(0, 1, LAN, on=on))
        assert mickey.carpdev() == "lan0"
    assert not mickey.transitions(start)
    mickey.reload(block(0, 1, LAN, on="wan0"))
    mickey.wait_on("wan0")
    mickey.reload(block(0, 1, LAN))
    mickey.wait_on("lan0")
    # chosen, it is looked for again
    mickey.ok("set", "carp0", "advskew", "77")
    lab.ip("fw1", "link", "del", "lan0")
    mickey.wait_none(NONE + VIP_LAN)
    dummy(lab, "new0", OWN)
    mickey.wait_on("new0")
    assert mickey.vhid("carp0")["advskew"] == 77
    # with a name it is waited for
    mickey.reload(block(0, 1, LAN, on="new0"))
    lab.ip("fw1", "link", "del", "new0")
    mickey.wait_state("INIT", ["carp0"])
    wait_for(lambda: mickey.carpdev() == "new0" and "does not exist" in
             mickey.why(), 5, "new0 is missing")
    assert mickey.stop() == 0


@pytest.mark.parametrize("own", (["2001:db8:77::1/64"],
                                 ["2001:db8:77::1/64", OWN]))
def test_ipv6(lab, own):
    """IPv6 alone will do; IPv4 goes first where both have a network."""
    flush(lab, "lan0")
    dummy(lab, "new6", own[0])
    dummy(lab, "new4", *own[1:])
    mickey = Mickey(lab, block(0, 1, LAN + "\n\taddress 2001:db8:77::9/64"))
    mickey.start().wait_on("new4" if OWN in own else "new6")
    mickey.end()


def test_ipv6_only(lab):
    lab.ip("fw1", "-6", "addr", "flush", "dev", "lan0", "scope", "global")
    mickey = Mickey(lab, block(0, 1, VIP6_LAN + "/64"))
    mickey.start().wait_none(NONE + VIP6_LAN)
    add(lab, "lan0", "2001:db8:16::200/64")
    mickey.wait_on("lan0")
    assert lab.has_address("fw1", VIP6_LAN)
    assert mickey.stop() == 0
