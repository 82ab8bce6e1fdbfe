# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Reloads, frozen halves and operators at awkward moments.

Nearly each of these was wrong once: a reload that killed the engine, a
demotion that nothing took back, an address that outlived its process.
"""
import os
import signal
import subprocess
import time

import pytest
from advert import Advert, packet_socket
from lab import (PASS, VIP6_WAN, VIP_LAN, VIP_WAN, Daemon, Lab, beside,
                 config, now_ns, wait_for)

HEAD = "preempt yes\nlog 7\n"


def iface(name="carp0", dev="lan0", vhid=1, base=0, skew=0, addr=VIP_LAN,
          plen=24, more=""):
    return "%s on %s {\n\tvhid %d { advbase %d advskew %d }\n" \
           "\tpass \"%s\"\n\taddress %s/%d\n%s\n}\n" % (
               name, dev, vhid, base, skew, PASS, addr, plen, more)


def alone(lab, text):
    return Daemon(lab, "fw1", text, "Mickey").start()


def reload(d, text):
    d.write(text)
    d.ok("reload")


def demotion(d, group="carp"):
    return sum(g["demotion"] for g in d.show()["groups"]
               if g["name"] == group)


def sockets(pid):
    """The sockets that a process holds."""
    return [e for e in os.listdir("/proc/%d/fd" % pid)
            if os.readlink("/proc/%d/fd/%s" % (pid, e)).startswith("socket")]


def test_demote_style_changes_the_interval(lab):
    """advskew carries the demotion, so the style is in the timers."""
    d = alone(lab, HEAD + iface(base=1, more="\tdemote-style skew"))
    d.wait_state("MASTER", ["carp0"])
    d.ok("demote", "200")
    reload(d, HEAD + iface(base=1, more="\tdemote-style byte"))
    d.ok("state", "carp0", "master")
    assert d.running()
    assert d.states() == {"carp0": "MASTER"}


@pytest.mark.parametrize("sig", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_are_for_the_parent(shared_lab, sig):
    """A terminal and killall(1) send them to the engine as well."""
    d = alone(shared_lab, HEAD + iface())
    d.wait_state("MASTER", ["carp0"])
    start = now_ns()
    os.kill(d.engine, getattr(signal, sig))
    d.ok("demote", "1")
    assert d.states() == {"carp0": "MASTER"}
    assert d.stop() == 0
    assert not d.proc.grep("engine died", since=start)


def address_does_not_outlive_a_frozen_engine(lab):
    """The slot's lease ends, then the address: nobody refreshes it."""
    d = alone(lab, HEAD + iface())
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", VIP_LAN), 8, "the address")
    os.kill(d.engine, signal.SIGSTOP)
    try:
        wait_for(lambda: not lab.has_address("fw1", VIP_LAN), 30,
                 "the address is gone", 0.1)
    finally:
        os.kill(d.engine, signal.SIGCONT)
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", VIP_LAN), 8, "it is back")


def parent_that_hangs_is_dead(lab):
    """The addresses run out without it: the engine leaves in order."""
    mickey = Daemon(lab, "fw1", config(0), "Mickey").start()
    mickey.wait_state("MASTER")
    minnie = Daemon(lab, "fw2", config(100), "Minnie").start()
    minnie.wait_state("BACKUP")
    minnie.wait_heard()
    start = now_ns()
    os.kill(mickey.proc.pid, signal.SIGSTOP)
    try:
        minnie.wait_state("MASTER", timeout=30)
        wait_for(lambda: {c for _, _, _, to, c in minnie.transitions(start)
                          if to == "MASTER"} == {"parent died"}, 8,
                 lambda: "its reason: " + minnie.text())
    finally:
        os.kill(mickey.proc.pid, signal.SIGCONT)
    mickey.wait_gone()
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "Minnie answers")


def test_one_half_is_frozen(lab):
    """Both take as long as an address lives: beside each other."""
    with Lab("nsf") as other:
        beside((address_does_not_outlive_a_frozen_engine, lab),
               (parent_that_hangs_is_dead, other))


def test_sync_wait_that_comes_with_a_reload_ends(lab):
    d = alone(lab, HEAD + iface(base=3))    # not proven in 8 s
    assert demotion(d) == 128
    reload(d, HEAD + "sync wait 2\n" + iface(base=3))
    assert demotion(d) == 128
    wait_for(lambda: demotion(d) == 0, 8, "the startup demotion ends", 0.1)


def test_successor_of_a_vhid_is_not_closed_by_its_predecessor(lab):
    """The old interface's slot has no 50 ms left to drain: it is the new's."""
    d = alone(lab, HEAD + iface("carp0"))
    d.wait_state("MASTER", ["carp0"])
    start = now_ns()
    reload(d, HEAD + iface("carp5"))
    d.ok("state", "carp5", "master")
    time.sleep(0.2)             # what must not happen would, in 50 ms
    d.wait_state("MASTER", ["carp5"])
    assert [(i, to, c) for _, i, _, to, c in d.transitions(start)
            if i == "carp5"] == [("carp5", "BACKUP", "startup"),
                                 ("carp5", "MASTER", "operator")]
    wait_for(lambda: lab.has_address("fw1", VIP_LAN), 8, "the address")
    assert not d.proc.grep("somebody removed")


def test_two_interfaces_swap_vhids_and_addresses(lab):
    d = alone(lab, HEAD + iface("carp0", vhid=1, addr=VIP_LAN) +
              iface("carp1", vhid=2, addr="172.16.0.203"))
    d.wait_state("MASTER")
    for vhids in ((2, 1), (1, 2)):
        reload(d, HEAD + iface("carp0", vhid=vhids[0], addr="172.16.0.203") +
               iface("carp1", vhid=vhids[1], addr=VIP_LAN))
        d.wait_state("MASTER")
        for addr in (VIP_LAN, "172.16.0.203"):
            wait_for(lambda a=addr: lab.pings("client", a), 5, addr)
    assert not d.proc.grep("cannot|somebody removed")


def test_moved_to_another_carpdev_and_back(lab):
    """Each move undoes the last one, in the kernel and in the engine."""
    d = alone(lab, HEAD + iface(dev="lan0"))
    d.wait_state("MASTER", ["carp0"])
    held = len(sockets(d.engine))
    for dev, addr in (("wan0", VIP_WAN), ("lan0", VIP_LAN)) * 2:
        reload(d, HEAD + iface(dev=dev, addr=addr))
        d.wait_state("MASTER", ["carp0"])
        wait_for(lambda a=addr: lab.has_address("fw1", a), 8, addr)
        other = "wan0" if dev == "lan0" else "lan0"
        wait_for(lambda o=other: "bpf" not in lab.run(
            "fw1", "tc", "filter", "show", "dev", o, "ingress", check=False),
            8, "no filter on " + other)
        wait_for(lambda: len(sockets(d.engine)) == held, 8,
                 lambda: "%d sockets, not %s" % (held, sockets(d.engine)))


def test_reloads_in_a_row(lab):
    """What one reload still drains, the next one may want back."""
    one = HEAD + iface("carp0") + iface("carp1", "wan0", 2, addr=VIP_WAN)
    two = HEAD + iface("carp0", vhid=3) + iface("carp2", "lan0", 2,
                                                addr="172.16.0.203")
    d = alone(lab, one)
    d.wait_state("MASTER")
    for text in (two, one) * 10:
        reload(d, text)
    d.wait_state("MASTER")
    for addr in (VIP_LAN, VIP_WAN):
        wait_for(lambda a=addr: lab.has_address("fw1", a), 5, addr)
    d.write(two)
    for _ in range(5):
        d.proc.signal(signal.SIGHUP)
    d.wait_state("MASTER", ["carp0", "carp2"])
    wait_for(lambda: not lab.has_address("fw1", VIP_WAN), 5, "wan is left")
    wait_for(lambda: lab.pings("client", "172.16.0.203"), 5, "it answers")


def test_group_that_stays_does_not_notice_a_reload(shared_lab):
    text = HEAD + iface(more="\tgroup \"dmz\"") + "group \"dmz\" {demote 5}\n"
    d = alone(shared_lab, text)
    d.wait_state("MASTER", ["carp0"])
    start = now_ns()
    reload(d, text)
    assert demotion(d, "dmz") == 5
    assert not d.proc.grep("demoted group dmz", since=start)
    reload(d, text.replace("demote 5", "demote 7"))
    assert demotion(d, "dmz") == 7
    d.stop()


def test_operators_demotion_can_be_taken_back_without_members(shared_lab):
    d = alone(shared_lab, HEAD + iface(more="\tgroup \"dmz\""))
    d.ok("demote", "-g", "dmz", "9")
    reload(d, HEAD + iface())
    d.ok("promote", "-g", "dmz", "9")
    reload(d, HEAD + iface(more="\tgroup \"dmz\""))
    assert demotion(d, "dmz") == 0
    d.stop()


def test_group_joined_or_left_while_the_link_is_lost(lab):
    d = alone(lab, HEAD + iface(more="\tgroup \"dmz\"") +
              iface("carp1", "wan0", 2, addr=VIP_WAN, more="\tgroup \"dmz\""))
    d.wait_state("MASTER")
    lab.unplug("fw1", "lan")
    wait_for(lambda: demotion(d, "dmz") == 1, 8, "dmz is demoted")
    d.ok("set", "carp0", "-group", "dmz")
    assert demotion(d, "dmz") == 0
    d.ok("set", "carp0", "group", "dmz")
    assert demotion(d, "dmz") == 1
    lab.plug("fw1", "lan")
    wait_for(lambda: demotion(d, "dmz") == 0, 5, "dmz is well again")


def test_link_without_a_vhid_that_can_ever_speak(lab):
    """Nobody will prove that network: its demotion ends with the link."""
    lab.run("fw1", "sysctl", "-qw", "net.ipv6.conf.wan0.disable_ipv6=1")
    d = alone(lab, HEAD + iface() +
              iface("carp1", "wan0", 2, addr=VIP6_WAN, plen=64))
    d.wait_state("MASTER", ["carp0"])
    lab.unplug("fw1", "wan")
    wait_for(lambda: demotion(d) == 1, 8, "carp is demoted")
    lab.plug("fw1", "wan")
    wait_for(lambda: demotion(d) == 0, 5, "carp is well again")


def test_more_vhosts_lost_than_one_advertisement_names(lab):
    text = [HEAD + "".join(
        iface("carp%d" % n, "lan0", n, base=1, skew=skew,
              addr="172.16.0.%d" % (100 + n)) for n in range(1, 41)) +
        iface("carp99", "wan0", 99, base=1, skew=skew, addr=VIP_WAN)
        for skew in (0, 100)]
    names = ["carp%d" % n for n in range(1, 41)]
    mickey = Daemon(lab, "fw1", text[0], "Mickey").start()
    mickey.wait_state("MASTER", names + ["carp99"], timeout=12)
    minnie = Daemon(lab, "fw2", text[1], "Minnie").start()
    minnie.wait_state("BACKUP", names + ["carp99"])
    minnie.wait_heard()
    start = now_ns()
    lab.unplug("fw1", "lan")
    minnie.wait_state("MASTER", names)
    assert {c for _, i, _, to, c in minnie.transitions(start)
            if i in names and to == "MASTER"} == {"peer gone"}


def test_start_that_fails_is_seen_at_the_terminal(lab):
    """Without -d, after the terminal was left: exit 1, and a line."""
    conf = lab.dir / "c.conf"
    conf.write_text(HEAD + iface())
    conf.chmod(0o600)
    d = Daemon(lab, "fw1", HEAD + iface())
    argv = [a for a in d.argv() if a != "-d"]
    done = subprocess.run(
        ["ip", "netns", "exec", lab.ns("fw1"), "prlimit", "--nofile=10",
         *argv], text=True, stdin=subprocess.DEVNULL, timeout=20,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "carpd: " in done.stderr


def test_carpdev_of_another_carpd_is_waited_for(lab):
    first = alone(lab, HEAD + iface())
    first.wait_state("MASTER", ["carp0"])
    second = Daemon(lab, "fw1", HEAD + iface(), "second").start()
    second.proc.wait_line("another carpd owns")
    first.stop()
    second.wait_state("MASTER", ["carp0"])
    assert len(second.proc.grep("another carpd owns")) == 1


def test_reload_does_not_wait_for_what_is_no_ethernet(shared_lab):
    text = HEAD + iface() + iface("carp1", "lo", 2, addr=VIP_WAN)
    d = alone(shared_lab, text)
    d.wait_state("MASTER", ["carp0"])

    def seconds():
        start = now_ns()
        reload(d, text)
        return (now_ns() - start) / 1e9
    # more than once, on a busy machine
    wait_for(lambda: seconds() < 0.7, 30, "a quick reload")
    d.stop()


def test_peer_that_was_started_anew_keeps_its_habits(lab):
    """A counter that moves by steps is another system's; a new one is not."""
    d = alone(lab, HEAD + iface(base=1, skew=100))
    sock = packet_socket(lab, "client", "eth0")

    def say(counter):
        before = d.counters()["ipackets"]
        sock.send(Advert(1, PASS, [VIP_LAN],
                         counter=counter.to_bytes(8, "big")).frame())
        wait_for(lambda: d.counters()["ipackets"] > before, 8, "it is heard")
    for counter in (0x1111 << 40, 0x7777 << 32, 0x2222 << 40):
        say(counter)
    assert not d.proc.grep("demotion byte")
    say((0x2222 << 40) + 1)
    d.proc.wait_line("demotion byte")
