# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""The file: checking, printing, refusing; reload touches what differs only."""
import re
import signal
import subprocess

import pytest
from lab import (CARPD, VIP_LAN, VIP_WAN, Capture, Daemon, Lab, Stream, config,
                 difference, now_ns, snapshot, wait_for)

MISTAKES = {
    "unknown word": ("vhid 1 { advbase 1 advskew 0 }", "vhid 1 { advbas 1 }"),
    "vhid too big": ("vhid 1 ", "vhid 256 "),
    "advskew too big": ("advskew 0", "advskew 255"),
    "long pass": ('pass "mekmitasdigoat"', 'pass "%s"' % ("x" * 20)),
    "no address": ("address %s/24" % VIP_LAN, ""),
    "bad address": ("%s/24" % VIP_LAN, "172.16.0.256/24"),
    "bad prefix": ("%s/24" % VIP_LAN, "%s/33" % VIP_LAN),
    "twice the vhid": ("carp1 on wan0 {\n\tvhid 2", "carp1 on lan0 {\n\tvhid 1"),
    "open block": ("address %s/24\n\t\n}\n" % VIP_WAN, ""),
}


def carpd(lab, d, *flags):
    return subprocess.run(["ip", "netns", "exec", lab.ns("fw1"), CARPD, *flags,
                           "-f", str(d.conf), "-s", d.sock, "-u", "nobody"],
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=10)


@pytest.fixture(scope="module")
def a_lab():
    with Lab("nsc") as lab:
        lab.firewall()
        yield lab


@pytest.fixture
def file(a_lab):
    return Daemon(a_lab, "fw1", config(0), "file")


def test_check_says_nothing(a_lab, file):
    done = carpd(a_lab, file, "-n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_print_parses_to_itself(a_lab, file):
    first = carpd(a_lab, file, "-nn")
    assert first.returncode == 0
    assert "mekmitasdigoat" not in first.stdout
    file.write(first.stdout)
    again = carpd(a_lab, file, "-nn")
    assert (again.returncode, again.stdout) == (0, first.stdout)


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_mistake_is_named_and_nothing_happens(a_lab, file, mistake):
    good, bad = MISTAKES[mistake]
    assert good in config(0)
    file.write(config(0).replace(good, bad, 1))
    before = snapshot(a_lab)
    for flags in (["-n"], ["-d"]):
        done = carpd(a_lab, file, *flags)
        assert done.returncode == 1
        assert re.search(r"^(carpd: )?%s:\d+: ." % re.escape(str(file.conf)),
                         done.stderr, re.M), done.stderr
        assert "x" * 20 not in done.stderr, "a pass phrase in a message"
    assert difference(before, snapshot(a_lab)) == ""


def test_readable_file_is_refused(a_lab, file):
    file.conf.chmod(0o644)
    done = carpd(a_lab, file, "-n")
    assert done.returncode == 1
    assert str(file.conf) in done.stderr


def test_unknown_user_is_refused(a_lab, file):
    done = subprocess.run([CARPD, "-d", "-f", str(file.conf), "-s", file.sock,
                           "-u", "no-such-user"], text=True, timeout=10,
                          stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "no-such-user" in done.stderr


@pytest.fixture
def mickey(a_lab):
    d = Daemon(a_lab, "fw1", config(0, base=0), "Mickey").start()
    d.wait_state("MASTER")
    yield d
    if d.running():
        d.stop()


def lived(daemon, iface="carp0"):
    v = daemon.vhid(iface)
    return v["since"], v["transitions"]


def test_reload_of_the_same_file_does_nothing(a_lab, mickey):
    before, links = lived(mickey), snapshot(a_lab)
    mickey.ok("reload")
    assert lived(mickey) == before
    assert difference(links, snapshot(a_lab)) == ""


def test_reload_changes_timers_live(a_lab, mickey):
    before = lived(mickey), lived(mickey, "carp1")
    stream = Stream(a_lab)
    stream.wait_flow()
    start = now_ns()
    mickey.write(config(20, base=0))
    mickey.ok("reload")
    wait_for(lambda: mickey.vhid("carp0")["advskew"] == 20, 5, "advskew 20")
    stream.wait_packets(300)
    assert stream.stop().figures(start).lost == 0
    assert (lived(mickey), lived(mickey, "carp1")) == before


def test_reload_disturbs_only_what_differs(a_lab, mickey):
    """carp1 gets another address and starts anew; carp0 does not notice."""
    before = lived(mickey)
    advance = lived(mickey, "carp1")
    mickey.write(config(0, base=0, more_wan="address 172.16.240.203/24"))
    mickey.proc.signal(signal.SIGHUP)
    wait_for(lambda: a_lab.has_address("fw1", "172.16.240.203"), 5,
             "the new address")
    mickey.wait_state("MASTER")
    assert lived(mickey) == before
    assert lived(mickey, "carp1") != advance
    mickey.write(config(0, base=0))
    mickey.ok("reload")
    wait_for(lambda: not a_lab.has_address("fw1", "172.16.240.203"), 5,
             "the address goes")
    mickey.wait_state("MASTER")
    assert lived(mickey) == before


def test_reload_adds_and_removes_an_interface(a_lab, mickey):
    before = lived(mickey), lived(mickey, "carp1")
    mickey.write(config(0, base=0) + "carp2 on sync0 {\n\tvhid 3 { advbase 0 }"
                 "\n\tpass \"abc\"\n\taddress 192.168.2.202/24\n}\n")
    mickey.ok("reload")
    mickey.wait_state("MASTER", ["carp2"])
    wait_for(lambda: a_lab.has_address("fw1", "192.168.2.202"), 5,
             "its address")
    mickey.write(config(0, base=0))
    mickey.ok("reload")
    wait_for(lambda: "carp2" not in mickey.states(), 5, "carp2 is gone")
    wait_for(lambda: not a_lab.has_address("fw1", "192.168.2.202"), 5,
             "its address is gone")
    assert (lived(mickey), lived(mickey, "carp1")) == before


def test_refused_file_leaves_everything(a_lab, mickey):
    before = lived(mickey)
    mickey.write(config(0).replace("advskew", "advskwe", 1))
    done = mickey.ctl("reload")
    assert done.returncode == 1
    assert re.search(r"Mickey\.conf:\d+: ", done.stdout + done.stderr)
    assert lived(mickey) == before
    assert mickey.running()


def test_stop_says_goodbye(a_lab, mickey):
    """The bow-out, 255/255, is the last advertisement."""
    c = Capture(a_lab, "lan", "fw1", "ip proto 112")
    wait_for(c.frames, 5, "adverts")
    mickey.stop()
    wait_for(lambda: c.frames()[-1][1][36] == 255, 8, "advskew 255")
    frame = c.stop().frames()[-1][1]
    assert (frame[36], frame[39]) == (255, 255)
