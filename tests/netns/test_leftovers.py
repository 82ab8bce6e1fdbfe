# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""kill -9 at any moment: the next start removes what the dead one left, and
after its stop the machine is as it was before either."""
import os
import signal
import time
from pathlib import Path

import pytest
from lab import (VIP_LAN, VIP_WAN, Daemon, Lab, children, config, difference,
                 snapshot, wait_for)

# Delays in ms after the start, from before main() to a settled MASTER.
MOMENTS = [0, 2, 5, 10, 15, 20, 30, 40, 50, 70, 100, 150, 250]


@pytest.fixture(scope="module")
def quiet():
    """A machine whose sysctls differ from what carpd wants."""
    with Lab("nsl") as lab:
        for key in ("all/send_redirects", "lan0/send_redirects",
                    "wan0/send_redirects"):
            lab.run("fw1", "sh", "-c",
                    "echo 1 > /proc/sys/net/ipv4/conf/" + key)
        yield lab


def kill_whole(proc):
    """Parent first frozen, so that nobody has the time to clean up."""
    pids = [proc.pid]
    try:
        os.kill(proc.pid, signal.SIGSTOP)
        pids += children(proc.pid)
    except ProcessLookupError:
        pass
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    proc.wait()


def moments():
    long = os.environ.get("CHECK_LONG")
    return MOMENTS if not long else [i * 0.5 for i in range(600)]


def test_stop_leaves_nothing(quiet):
    before = snapshot(quiet)
    d = Daemon(quiet, "fw1", config(0, base=0), "Mickey").start()
    d.wait_state("MASTER")
    wait_for(lambda: quiet.has_address("fw1", VIP_LAN), 8, "the address")
    assert snapshot(quiet) != before
    d.stop()
    assert difference(before, snapshot(quiet)) == ""


@pytest.mark.parametrize("ms", moments())
def test_kill_at_any_moment(quiet, ms):
    before = snapshot(quiet)
    d = Daemon(quiet, "fw1", config(0, base=0), "Mickey")
    d.start(wait=False)
    time.sleep(ms / 1000)       # the moment is what is tested
    kill_whole(d.proc)
    d.start().wait_state("MASTER")
    d.stop()
    assert difference(before, snapshot(quiet)) == ""


def kept(d):
    """What is to be put back, for each carpdev."""
    return list(Path(d.sock).parent.glob(Path(d.sock).stem + ".restore-*"))


def test_killed_and_its_classifier_removed(quiet):
    """With the classifier goes its record of what was there before; the one in
    the file beside the control socket stays."""
    before = snapshot(quiet)
    d = Daemon(quiet, "fw1", config(0, base=0), "Mickey").start()
    d.wait_state("MASTER")
    assert [p.stat().st_mode & 0o7777 for p in kept(d)] == [0o600] * 2
    d.kill_all()
    for dev in ("lan0", "wan0"):
        quiet.tool("tc", "fw1", "qdisc", "del", "dev", dev, "clsact")
    d.start().wait_state("MASTER")
    d.stop()
    assert difference(before, snapshot(quiet)) == ""
    assert not kept(d)


def test_other_addresses_after_a_crash(quiet):
    """The new file does not name what the dead one had configured."""
    before = snapshot(quiet)
    d = Daemon(quiet, "fw1", config(0, base=0,
                                    more_lan="address 172.16.0.203/24"),
               "Mickey").start()
    d.wait_state("MASTER")
    wait_for(lambda: quiet.has_address("fw1", "172.16.0.203"), 8,
             "the second address")
    d.kill_all()
    assert quiet.has_address("fw1", "172.16.0.203")
    d.write(config(0, base=0))
    d.start().wait_state("MASTER")
    assert not quiet.has_address("fw1", "172.16.0.203")
    d.stop()
    assert difference(before, snapshot(quiet)) == ""


def test_dead_addresses_expire_by_themselves(quiet):
    """Nobody starts again: the kernel's lifetime ends them."""
    d = Daemon(quiet, "fw1", config(0, base=0), "Mickey").start()
    d.wait_state("MASTER")
    wait_for(lambda: quiet.has_address("fw1", VIP_WAN), 8, "the address")
    before = snapshot(quiet, ["fw2"])
    d.kill_all()
    wait_for(lambda: not quiet.has_address("fw1", VIP_LAN) and
             not quiet.has_address("fw1", VIP_WAN), 30, "they expire", 0.1)
    assert snapshot(quiet, ["fw2"]) == before
    d.start().wait_state("MASTER")
    d.stop()
