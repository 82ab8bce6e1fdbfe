# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""keepalived with the number of a vhid of ours: named, counted, survived."""
import pytest
from lab import PASS, VIP_LAN, Daemon, now_ns, wait_for

KEEPALIVED = """
global_defs {
    router_id peer
    vrrp_version %d
    vrrp_garp_master_delay 0
}
vrrp_instance peer {
    state MASTER
    interface lan0
    virtual_router_id %d
    priority 150
    advert_int 1
    virtual_ipaddress {
        172.16.0.99/24
    }
}
"""


def conf():
    return "log 7\ncarp0 on lan0 {\n\tvhid 7 { advbase 1 advskew 0 }\n" \
           "\tpass \"%s\"\n\taddress %s/24\n}\n" % (PASS, VIP_LAN)


def keepalived(lab, need, version, vrid):
    path = lab.dir / "keepalived.conf"
    path.write_text(KEEPALIVED % (version, vrid))
    return lab.spawn("fw2", need("keepalived"), "-n", "-l", "-P", "-f",
                     str(path), "-p", str(lab.dir / "ka.pid"), "-r",
                     str(lab.dir / "kv.pid"))


@pytest.mark.parametrize("version", [2, 3])
def test_keepalived_with_our_number(lab, need, version):
    d = Daemon(lab, "fw1", conf(), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    start = now_ns()
    keepalived(lab, need, version, 7)
    # what it hears from us, and refuses, keeps it from speaking every second
    wait_for(lambda: d.counters()["vrrp"] >= 1, 15, "its adverts")
    assert [(p["address"], p["kind"], p["priority"])
            for p in d.show("peers")["peers"]] == [
                ("172.16.0.201", "vrrp%d" % version, 150)]
    assert len(d.proc.grep("VRRP router 172.16.0.201", start)) == 1
    assert d.transitions(start) == []


def test_with_another_number_it_is_nobody(lab, need):
    """The control."""
    d = Daemon(lab, "fw1", conf(), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    keepalived(lab, need, 2, 8)
    heard = d.counters()["ipackets"]
    wait_for(lambda: d.counters()["ipackets"] >= heard + 3, 15, "its adverts")
    assert d.counters()["vrrp"] == 0
    assert d.show("peers")["peers"] == []
    assert not d.proc.grep("VRRP")
