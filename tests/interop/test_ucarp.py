# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Debian's ucarp and carpd elect one MASTER between them, either way round.

ucarp knows one IPv4 address, no bow-out, no demotion; it must bear our
trailer behind the advertisement."""
import pytest
from lab import (PASS, VIP_LAN, Capture, Daemon, Lab, beside, now_ns,
                 wait_for)

PEER = "172.16.0.201"


def carpd_conf(skew):
    return "preempt yes\nlog 7\ncarp0 on lan0 {\n\tvhid 1 { advbase 1 " \
           "advskew %d }\n\tpass \"%s\"\n\taddress %s/24\n}\n" % (
               skew, PASS, VIP_LAN)


def ucarp(lab, need, skew, *more):
    """ucarp on fw2, which carries the address by scripts as it wants to."""
    for name, verb in (("up", "add"), ("down", "del")):
        script = lab.dir / name
        script.write_text("#!/bin/sh\nip addr %s %s/32 dev \"$1\" "
                          "2>/dev/null\nexit 0\n" % (verb, VIP_LAN))
        script.chmod(0o755)
    return lab.spawn("fw2", need("ucarp"), "-i", "lan0", "-s", PEER, "-v", "1",
                     "-p", PASS, "-a", VIP_LAN, "-b", "1", "-k", str(skew),
                     "-u", str(lab.dir / "up"), "-d", str(lab.dir / "down"),
                     "-z", *more)


def became(proc, state, since):
    proc.wait_line("Switching to state: " + state, 10, since)


def test_ucarp_as_backup(lab, need):
    """It keeps quiet, takes over at our bow-out and gives back."""
    mickey = Daemon(lab, "fw1", carpd_conf(0), "Mickey").start()
    mickey.wait_state("MASTER", ["carp0"])
    peer = ucarp(lab, need, 100)
    became(peer, "BACKUP", 0)
    heard = mickey.counters()["opackets"]
    wait_for(lambda: mickey.counters()["opackets"] > heard + 4, 10,
             "four more adverts, longer than ucarp waits for one")
    assert not peer.grep("state: MASTER")
    assert not peer.grep("(?i)bad|invalid")
    start = now_ns()
    mickey.stop()
    became(peer, "MASTER", start)
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "ucarp answers")
    start = now_ns()
    mickey.start()
    mickey.wait_state("MASTER", ["carp0"])
    assert mickey.cause("carp0") == "preempt"
    became(peer, "BACKUP", start)
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "Mickey answers")


def test_ucarp_as_master(lab, need):
    """carpd keeps quiet beside it and takes over when it dies."""
    peer = ucarp(lab, need, 0, "-P")
    became(peer, "MASTER", 0)
    mickey = Daemon(lab, "fw1", carpd_conf(100), "Mickey").start()
    mickey.wait_state("BACKUP", ["carp0"])
    wait_for(lambda: mickey.counters()["ipackets"] >= 5, 10,
             "five of its adverts")
    assert mickey.states() == {"carp0": "BACKUP"}
    shown = mickey.show("peers")["peers"]
    assert [(p["address"], p["kind"], p["verified"], p["ours"])
            for p in shown] == [(PEER, "ucarp", True, False)]
    assert len(mickey.proc.grep("does not use the demotion byte")) == 1
    capture = Capture(lab, "lan", "fw1", "ip proto 112")
    start = now_ns()
    peer.signal(9)
    peer.wait()
    lab.ip("fw2", "addr", "del", VIP_LAN + "/32", "dev", "lan0", check=False)
    mickey.wait_state("MASTER", ["carp0"])
    assert mickey.cause("carp0") == "master down"
    assert 1.9e9 < now_ns() - start < 10e9
    wait_for(lambda: lab.pings("client", VIP_LAN), 5, "Mickey answers")
    assert capture.stop().frames()


def test_ucarp_takes_over_from_a_dead_carpd(lab, need):
    """No bow-out: ucarp's own timer; from then on the dead node is silent."""
    mickey = Daemon(lab, "fw1", carpd_conf(0), "Mickey").start()
    mickey.wait_state("MASTER", ["carp0"])
    peer = ucarp(lab, need, 50)
    became(peer, "BACKUP", 0)
    start = now_ns()
    mickey.kill_all()
    became(peer, "MASTER", start)

    def ucarps():
        """The dead node answers until ucarp, now MASTER, has spoken."""
        lab.run("client", "ip", "neigh", "flush", "dev", "eth0")
        return lab.pings("client", VIP_LAN) and "02:ca:fe:01:00:c9" in \
            lab.ip("client", "neigh", "show", VIP_LAN)
    wait_for(ucarps, 5, "ucarp alone answers")
    for _ in range(5):
        assert ucarps()


@pytest.fixture
def labs(lab):
    """Two of them."""
    with Lab("nsu") as other:
        yield lab, other


def wrong_password_is_nobody(lab, need, skew):
    mickey = Daemon(lab, "fw1", carpd_conf(skew).replace(PASS, "other"),
                    "Mickey").start()
    mickey.wait_state("MASTER", ["carp0"])
    peer = ucarp(lab, need, 100)
    became(peer, "MASTER", 0)
    wait_for(lambda: mickey.counters()["badauth"] > 1, 5, "its adverts")
    assert mickey.states() == {"carp0": "MASTER"}
    shown = mickey.show("peers")["peers"]
    assert [(p["kind"], p["drop"]) for p in shown] == [("ucarp", "badauth")]


def test_wrong_password_is_nobody(labs, need):
    """The control: strangers' adverts count as nothing on either side, whoever
    is the better one."""
    beside((wrong_password_is_nobody, labs[0], need, 0),
           (wrong_password_is_nobody, labs[1], need, 200))


def masters(mickey, peer):
    """Who is MASTER: carpd's state and ucarp's last word."""
    said = peer.grep("Switching to state: (MASTER|BACKUP)")
    return (mickey.states()["carp0"] == "MASTER",
            bool(said) and said[-1].endswith("MASTER"))


def tie(lab, need, ours):
    if ours != "172.16.0.200":
        lab.ip("fw1", "addr", "del", "172.16.0.200/24", "dev", "lan0")
        lab.ip("fw1", "addr", "add", ours + "/24", "dev", "lan0")
    mickey = Daemon(lab, "fw1", carpd_conf(0), "Mickey").start()
    peer = ucarp(lab, need, 0)
    wait_for(lambda: sum(masters(mickey, peer)) == 1 and
             peer.grep("state: BACKUP|state: MASTER"), 15, "one MASTER")
    # force both: the tie is there, and is settled
    mickey.ok("state", "carp0", "backup")
    became(peer, "MASTER", 0)
    mickey.ok("state", "carp0", "master")

    def adverts():
        return sum(mickey.counters()[k] for k in ("opackets", "ipackets"))

    def stays():
        """Exactly one is MASTER, and the same for six adverts."""
        one, before = masters(mickey, peer), adverts()
        wait_for(lambda: adverts() >= before + 6, 15, "six more adverts")
        return sum(one) == 1 and masters(mickey, peer) == one
    wait_for(stays, 40, "one MASTER that stays")


def test_tie(labs, need):
    """Equal timers: ucarp goes by the address, we yield; one MASTER stays.

    ucarp compares addresses as they are in memory, where the last octet weighs
    most; so Mickey is on either side of it."""
    beside((tie, labs[0], need, "172.16.0.200"),
           (tie, labs[1], need, "172.16.0.210"))
