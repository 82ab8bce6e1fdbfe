# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""IPv6 and mixed vhids: the same failover, and every vhid in step."""
import pytest
from lab import (PASS, SERVER6, VIP6_LAN, VIP6_WAN, VIP_LAN, VIP_WAN, Capture,
                 Daemon, Lab, NeighMonitor, Stream, now_ns, vmac, wait_for)

FAST_MS = 250           # unnoticed it is 1400 and more


def conf(skew, mixed, base=1):
    """carp0 and carp1 with an IPv6 address each, and IPv4 too when mixed."""
    text = "preempt yes\nlog 7\n"
    for i, (dev, v4, v6) in enumerate((("lan0", VIP_LAN, VIP6_LAN),
                                       ("wan0", VIP_WAN, VIP6_WAN))):
        text += "carp%d on %s {\n\tvhid %d { advbase %d advskew %d }\n" \
                "\tpass \"%s\"\n" % (i, dev, i + 1, base, skew, PASS)
        if mixed:
            text += "\taddress %s/24\n" % v4
        text += "\taddress %s/64\n}\n" % v6
    return text


@pytest.fixture(scope="module", params=[False, True], ids=["ipv6", "mixed"])
def pair(request):
    with Lab("ns6") as lab:
        lab.firewall()
        mickey = Daemon(lab, "fw1", conf(0, request.param), "Mickey")
        minnie = Daemon(lab, "fw2", conf(100, request.param), "Minnie")
        mickey.start().wait_state("MASTER")
        minnie.start().wait_state("BACKUP")
        yield lab, mickey, minnie


def watch(lab, act, winner):
    stream = Stream(lab, SERVER6)
    stream.wait_flow()
    stream.wait_packets(200)
    start = now_ns()
    act()
    winner.wait_state("MASTER")
    stream.wait_flow()
    stream.wait_packets(200)
    return start, stream.stop().figures(start)


def test_ipv6_moves_and_returns(pair):
    lab, mickey, minnie = pair
    neigh = NeighMonitor(lab, "client")
    lab.ip("client", "-6", "neigh", "flush", "dev", "eth0")
    start, f = watch(lab, mickey.stop, minnie)
    assert f.lost == 0
    assert minnie.cause("carp0") == "bow-out"
    start, f = watch(lab, mickey.start, mickey)
    assert f.lost == 0
    assert mickey.cause("carp0") == "preempt"
    minnie.wait_state("BACKUP")
    start, f = watch(lab, mickey.kill_engine, minnie)
    assert f.outage_ms < FAST_MS
    assert minnie.cause("carp0") == "engine died"
    mickey.wait_gone()
    mickey.start().wait_state("MASTER")
    minnie.wait_state("BACKUP")
    start, f = watch(lab, lambda: lab.unplug("fw1", "wan"), minnie)
    assert f.outage_ms < FAST_MS
    assert minnie.cause("carp1") == "peer gone"
    lab.plug("fw1", "wan")
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    neigh.stop()
    assert neigh.macs(VIP6_LAN) == {vmac(1)}


def test_backup_has_no_address_and_answers_nothing(pair):
    lab, mickey, minnie = pair
    lab.plug("fw1", "all")
    mickey.wait_state("MASTER")
    minnie.wait_state("BACKUP")
    wait_for(lambda: lab.has_address("fw1", VIP6_LAN), 8, "Mickey's")
    wait_for(lambda: not lab.has_address("fw2", VIP6_LAN), 8, "not Minnie's")
    c = Capture(lab, "lan", "fw2", "icmp6 or ether src " + vmac(1))
    lab.ip("client", "-6", "neigh", "flush", "dev", "eth0")
    wait_for(lambda: lab.pings("client", VIP6_LAN), 5, "Mickey answers")
    target = bytes.fromhex("20010db800160000000000000000") + b"\x02\x02"
    for _, f in c.stop().frames():
        assert f[6:12].hex(":") != vmac(1)
        assert not (f[54] == 136 and f[62:78] == target)


def sysctl6(lab, dev, key, value):
    lab.run("fw1", "sh", "-c", "echo %d > /proc/sys/net/ipv6/conf/%s/%s" %
            (value, dev, key))


def test_waits_until_its_source_is_no_longer_tentative(lab):
    """INIT, and it says why, until every family can send; then both do."""
    for dev in ("all", "lan0"):
        sysctl6(lab, dev, "accept_dad", 1)
    sysctl6(lab, "lan0", "disable_ipv6", 1)
    sysctl6(lab, "lan0", "dad_transmits", 3)
    sysctl6(lab, "lan0", "disable_ipv6", 0)     # three seconds or four
    d = Daemon(lab, "fw1", conf(0, True, base=0), "Mickey").start()
    wait_for(lambda: d.vhid("carp0"), 8, "it has its configuration")
    assert d.vhid("carp0")["state"] == "INIT"
    assert d.vhid("carp0")["why"]
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", VIP_LAN) and
             lab.has_address("fw1", VIP6_LAN), 8, "both addresses")


def test_family_that_can_never_send_is_not_run(lab):
    """IPv6 is off on the interface: a warning, and IPv4 goes on."""
    sysctl6(lab, "lan0", "disable_ipv6", 1)
    d = Daemon(lab, "fw1", conf(0, True, base=0), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: lab.has_address("fw1", VIP_LAN), 8, "the IPv4 address")
    d.proc.wait_line("IPv6 is disabled on lan0")
