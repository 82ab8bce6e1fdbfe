# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Every knob of carp(4) and ifconfig(8), each beside what it is without."""
import json
import re

import pytest
from advert import Advert, packet_socket
from lab import (PASS, VIP_LAN, VIP_WAN, Capture, Daemon, config, now_ns,
                 wait_for)

LAN, WAN = "carp0", "carp1"


# adverts seven and five times a second: a silent MASTER is noticed after 0.4 s
# and 0.6 s
MICKEY, MINNIE = 36, 52


def text(skew=MICKEY, head="preempt yes\nlog 7"):
    return config(skew, base=0, head=head)


def daemon(lab, **kw):
    return Daemon(lab, "fw1", text(**kw), "Mickey")


@pytest.fixture(scope="module")
def both(shared_lab):
    lab = shared_lab
    return (Daemon(lab, "fw1", text(MICKEY), "Mickey").start(),
            Daemon(lab, "fw2", text(MINNIE), "Minnie").start())


@pytest.fixture
def two(both):
    """The pair, whatever the last test has made of it."""
    mickey, minnie = both
    mickey.ok("enable")
    reload(mickey, text(MICKEY))
    reload(minnie, text(MINNIE))
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    minnie.wait_heard()
    for d in both:
        wait_for(lambda d=d: demotion(d) == 0, 5, "the start is over")
    return both


def demotion(d, group="carp"):
    return {g["name"]: g["demotion"] for g in d.show()["groups"]}[group]


def made(d, since, iface=LAN):
    """The transitions of an interface: [(to, cause)]."""
    return [(to, c) for _, i, _, to, c in d.transitions(since) if i == iface]


def reload(d, conf):
    d.write(conf)
    d.ok("reload")


# ---- allow ----

def test_disable_and_enable(two):
    """net.inet.carp.allow: goodbye, INIT, nothing sent; and back."""
    mickey, minnie = two
    lab = mickey.lab
    start = now_ns()
    mickey.ok("disable")
    mickey.wait_state("INIT")
    minnie.wait_state("MASTER")
    assert minnie.cause(LAN) == "bow-out"
    assert made(mickey, start) == [("INIT", "operator")]
    assert "disabled" in mickey.vhid(LAN)["why"]
    assert not mickey.show()["allow"]
    assert demotion(mickey) == 0
    wait_for(lambda: not lab.has_address("fw1", VIP_LAN), 8, "no address")
    sent = mickey.counters()["opackets"]
    heard = mickey.counters()["ipackets"]
    wait_for(lambda: mickey.counters()["ipackets"] > heard + 4, 5, "adverts")
    assert mickey.counters()["opackets"] == sent
    assert mickey.ctl("state", LAN, "master").returncode == 1
    mickey.ok("enable")
    mickey.wait_state("MASTER")
    assert mickey.cause(LAN) == "preempt"


def test_allow_in_the_file(lab):
    """allow no starts INIT; the file counts again at the next reload."""
    d = daemon(lab, head="preempt yes\nlog 7\nallow no").start()
    d.wait_state("INIT")
    assert "disabled" in d.vhid(LAN)["why"]
    assert demotion(d) == 0
    d.ok("enable")
    d.wait_state("MASTER")
    d.ok("reload")
    d.wait_state("INIT")
    reload(d, text())
    d.wait_state("MASTER")
    start = now_ns()
    d.ok("reload")
    assert d.transitions(start) == []
    d.ok("disable")
    d.ok("reload")
    d.wait_state("MASTER")


# ---- up and down ----

def test_down_and_up_of_one_interface(two):
    """ifconfig carp0 down: only that one, in order, and no demotion."""
    mickey, minnie = two
    start = now_ns()
    mickey.ok("down", LAN)
    mickey.wait_state("INIT", [LAN])
    minnie.wait_state("MASTER", [LAN])
    assert made(minnie, start) == [("MASTER", "bow-out")]
    assert made(mickey, start) == [("INIT", "operator")]
    assert "down" in mickey.vhid(LAN)["why"]
    assert [i["up"] for i in mickey.show()["interfaces"]] == [False, True]
    assert "waiting: down (carpctl up)" in mickey.ok("show", LAN)
    assert demotion(mickey) == 0
    mickey.ok("down", LAN)              # it is
    assert mickey.ctl("state", LAN, "master").returncode == 1
    assert mickey.states()[WAN] == "MASTER"
    assert made(mickey, start, WAN) == made(minnie, start, WAN) == []
    start = now_ns()
    mickey.ok("up", LAN)
    mickey.wait_state("MASTER", [LAN])
    assert mickey.cause(LAN) == "preempt"
    mickey.ok("up", LAN)
    assert made(mickey, start) == [("BACKUP", "startup"),
                                   ("MASTER", "preempt")]
    done = mickey.ctl("down", "carp9")
    assert done.returncode == 1 and "no such interface" in done.stderr


def test_down_ends_with_a_reload(lab):
    d = daemon(lab).start()
    d.wait_state("MASTER")
    d.ok("down", LAN)
    d.ok("reload")
    d.wait_state("MASTER")


def test_down_while_the_link_is_lost(lab):
    """What is down is not waited for when the link is back."""
    d = daemon(lab).start()
    d.wait_state("MASTER")
    d.ok("down", LAN)
    lab.unplug("fw1", "lan")
    wait_for(lambda: demotion(d) == 1, 8, "the loss counts")
    lab.plug("fw1", "lan")
    wait_for(lambda: demotion(d) == 0, 5, "and its end")
    assert d.states() == {LAN: "INIT", WAN: "MASTER"}


# ---- forced states ----

def test_forced_states(two):
    """Once; a better peer undoes it, which another one does not."""
    mickey, minnie = two
    start = now_ns()
    minnie.ok("state", LAN, "master")
    wait_for(lambda: made(minnie, start), 5, "it is told")
    assert made(minnie, start)[0] == ("MASTER", "operator")
    # Mickey is better: Minnie leaves again, Mickey never moved
    minnie.wait_state("BACKUP")
    assert made(minnie, start)[1:] == [("BACKUP", "better master")]
    assert made(mickey, start) == []
    start = now_ns()
    mickey.ok("state", LAN, "backup")
    wait_for(lambda: made(mickey, start), 5, "it is told")
    assert made(mickey, start)[0] == ("BACKUP", "operator")
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    start = now_ns()
    for d in two:
        was = d.states()
        d.ok("state", LAN, "init")
        assert d.states() == was
        assert d.transitions(start) == []
    # the control: without preempt Minnie keeps what she is given
    for d, skew in ((mickey, MICKEY), (minnie, MINNIE)):
        reload(d, text(skew, head="preempt no\nlog 7"))
    start = now_ns()
    mickey.ok("state", LAN, "backup")
    minnie.ok("state", LAN, "master")
    heard = mickey.counters()["ipackets"]
    wait_for(lambda: mickey.counters()["ipackets"] > heard + 4, 8, "adverts")
    assert minnie.states()[LAN] == "MASTER"
    assert mickey.states()[LAN] == "BACKUP"
    assert mickey.ctl("state", "carp9", "master").returncode == 1


# ---- groups ----

def test_groups_live(two):
    """A group demotes who is in it, from the moment of joining."""
    mickey, minnie = two
    mickey.ok("set", WAN, "group", "dmz")
    assert mickey.show()["interfaces"][1]["groups"] == ["carp", "dmz"]
    start = now_ns()
    mickey.ok("demote", "-g", "dmz", "5")
    minnie.wait_state("MASTER", [WAN])
    assert minnie.cause(WAN) == "peer demoted"
    assert made(mickey, start) == made(minnie, start) == []
    mickey.ok("set", WAN, "-group", "dmz")
    mickey.wait_state("MASTER", [WAN])
    start = now_ns()
    mickey.ok("set", LAN, "group", "dmz")
    minnie.wait_state("MASTER", [LAN])
    assert made(mickey, start, WAN) == []
    for bad in (["set", LAN, "group", "dmz"], ["set", WAN, "-group", "dmz"],
                ["set", LAN, "group", "dmz1"], ["set", LAN, "group", "a b"]):
        assert mickey.ctl(*bad).returncode == 1, bad
    # the file knows no such group
    mickey.ok("reload")
    mickey.wait_state("MASTER")
    assert mickey.show()["interfaces"][0]["groups"] == ["carp"]


# ---- log ----

# what is said from which level on, as ip_carp.c has it
LEVELS = {
    "MASTER -> BACKUP": 2, "BACKUP -> MASTER": 2,
    "demoted group carp by 9": 3, "demoted group carp by -9": 3,
    "-> INIT": 4, "INIT -> BACKUP": 4, "advertisement on lan0 failed": 4,
    "replay or network loop": 4,
    "ttl != 255": 5, "invalid version": 5,
    "checksum failed": 6, "too short": 6, "incorrect hash": 6,
    "non-carp interface": 6,
}


def happen(lab, d, level):
    """All of LEVELS happens; each packet from a host not heard before."""
    sock = packet_socket(lab, "client", "eth0")
    own = Capture(lab, "lan", "fw1", "ip proto 112")
    wait_for(own.frames, 5, "an advert of its own")
    copied = own.stop().frames()[0][1]
    cookie = copied[42:50]
    kinds = [("badauth", dict(counter=cookie)), ("badttl", dict(ttl=254)),
             ("badver", dict(version=4)), ("badsum", dict(bad_sum=True)),
             ("badlen", dict(cut=5)), ("badauth", dict(password="wrong"))]
    for n, (counter, how) in enumerate(kinds):
        a = Advert(**{**dict(vhid=1, password=PASS, addresses=[VIP_LAN],
                             src="172.16.0.%d" % (20 + 10 * level + n)),
                      **how})
        before = d.counters()[counter]
        sock.send(a.frame())
        wait_for(lambda c=counter, b=before: d.counters()[c] > b, 8,
                 "%s counted" % counter)
    before = d.counters()["badif"]
    sock.send(Advert(1, PASS, [VIP_LAN], src="2001:db8:16::%x" %
                     (0x20 + level)).frame("2001:db8:16::200",
                                           "02:ca:fe:01:00:c8"))
    wait_for(lambda: d.counters()["badif"] > before, 8, "badif counted")
    d.ok("demote", "9")
    d.ok("promote", "9")
    d.ok("state", LAN, "backup")
    d.ok("disable")
    d.wait_state("INIT")
    d.ok("enable")
    d.wait_state("MASTER")
    # adverts of lan0 go to a peer, which the own filter refuses, for a while
    lab.run("fw1", "nft", "-f", "-", data="table ip f { chain o { type filter "
            "hook output priority 0\nip protocol 112 drop\n}\n}\n")
    before = d.counters()["oerrors"]
    d.write(text_of(level, "peer 172.16.0.99"))
    d.ok("reload")
    wait_for(lambda: d.counters()["oerrors"] > before, 8, "an error")
    lab.run("fw1", "nft", "delete", "table", "ip", "f")
    d.write(text_of(level))
    d.ok("reload")


def text_of(level, more=""):
    return config(0, base=0, head="preempt yes\nlog %d" % level,
                  more_lan=more)


def test_log_levels(lab):
    """0 to 7 in one run: at each exactly what is at or below it."""
    d = daemon(lab, skew=0, head="preempt yes\nlog 0").start()
    d.wait_state("MASTER")
    for level in range(8):
        d.write(text_of(level))
        d.ok("reload")
        start = now_ns()
        happen(lab, d, level)
        d.ok("set", "log", "0")
        want = {w for w, at in LEVELS.items() if at <= level}

        def said():
            return {w for w in LEVELS if d.proc.grep(re.escape(w), start)}
        wait_for(lambda: want <= said(), 8, lambda: "at %d: %s" % (
            level, want - said()))
        assert said() == want, level
    assert d.show()["log"] == 0


def test_log_set_live(lab):
    d = daemon(lab, skew=0, head="preempt yes\nlog 0").start()
    d.wait_state("MASTER")
    for level, seen in ((2, 0), (3, 1), (2, 1)):
        d.ok("set", "log", str(level))
        assert json.loads(d.ok("show", "-j"))["log"] == level
        d.ok("demote", "3")
        d.ok("promote", "3")
        # the line after it is there, whatever the level
        d.ok("set", "log", "7")
        start = now_ns()
        d.ok("demote", "1")
        d.proc.wait_line("demoted group carp by 1 to 1", since=start)
        d.ok("promote", "1")
        d.ok("set", "log", "0")
        assert len(d.proc.grep("demoted group carp by 3 ")) == seen
    d.ok("reload")
    assert d.show()["log"] == 0
    assert d.ctl("set", "log", "8").returncode == 2


def test_preempt_live(two):
    """Set on the host that would preempt; the control is before it."""
    mickey, minnie = two
    for d, skew in ((mickey, MICKEY), (minnie, MINNIE)):
        reload(d, text(skew, head="preempt no\nlog 7"))
    mickey.ok("state", LAN, "backup")
    minnie.ok("state", LAN, "master")
    heard = mickey.counters()["ipackets"]
    wait_for(lambda: mickey.counters()["ipackets"] > heard + 4, 8, "adverts")
    assert mickey.states()[LAN] == "BACKUP"
    mickey.ok("set", "preempt", "yes")
    mickey.wait_state("MASTER", [LAN])
    assert mickey.cause(LAN) == "preempt"


def test_advskew_live(two):
    """The worse one becomes the better one, and back with the file."""
    mickey, minnie = two
    minnie.ok("set", LAN, "vhid", "1", "advskew", "0")
    mickey.ok("set", LAN, "advskew", "200")
    minnie.wait_state("MASTER", [LAN])
    assert minnie.cause(LAN) == "preempt"
    assert mickey.states()[WAN] == "MASTER"
    assert mickey.ctl("set", LAN, "vhid", "9", "advskew", "1").returncode == 1
    for d in two:
        d.ok("reload")
    mickey.wait_state("MASTER", [LAN])


def test_unused_addresses_stay(lab):
    """The control of this file: a daemon nobody touches moves nothing."""
    d = daemon(lab).start()
    d.wait_state("MASTER")
    start = now_ns()
    sent = d.counters()["opackets"]
    wait_for(lambda: d.counters()["opackets"] > sent + 6, 8, "adverts")
    assert d.transitions(start) == []
    assert lab.has_address("fw1", VIP_LAN) and lab.has_address("fw1", VIP_WAN)
