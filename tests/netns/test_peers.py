# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Who speaks on the wire, what carpd makes of it, and what it does for them.

The adverts are made by hand (lab/foreign.py) as each system makes them."""
import pytest
from advert import Advert, packet_socket, parse
from foreign import Foreign, vrrp
from lab import (PASS, VIP6_LAN, VIP_LAN, VIP_WAN, Capture, Daemon, now_ns,
                 vmac, wait_for)

LL = "fe80::202"


def conf(skew=100, more="", addresses=(VIP_LAN + "/24",), head="preempt yes",
         vhid=1, base=1):
    return "%s\nlog 7\ncarp0 on lan0 {\n\tvhid %d { advbase %d advskew %d }\n" \
           "\tpass \"%s\"\n%s\t%s\n}\n" % (
               head, vhid, base, skew, PASS,
               "".join("\taddress %s\n" % a for a in addresses), more)


def quick(skew=25, more="", **how):
    """Adverts ten times a second."""
    return conf(skew, more, base=0, **how)


def peer(d, addr="172.16.0.77"):
    """The entry of that sender, or None."""
    for p in d.show("peers")["peers"]:
        if p["address"] == addr:
            return p
    return None


def wait_peer(d, timeout=8, addr="172.16.0.77", **want):
    """Until its entry has these values."""
    return wait_for(lambda: (p := peer(d, addr)) and
                    all(p[k] == v for k, v in want.items()) and p, timeout,
                    lambda: "%s; it is %s" % (want, peer(d, addr)))


def own_advert(lab, want=lambda a: True, timeout=5):
    """The newest of its own adverts for which want() is true."""
    c = Capture(lab, "lan", "fw1", "ip proto 112")
    found = wait_for(lambda: [a for _, f in c.frames()
                              if (a := parse(f)) and want(a)], timeout,
                     "such an advert of fw1")
    c.stop()
    return found[-1]


@pytest.fixture
def backup(shared_lab):
    made = []

    def make(text=None):
        d = Daemon(shared_lab, "fw1", text or conf(), "Mickey").start()
        made.append(d)
        return d
    yield make
    for d in made:
        d.stop()


UCARP_MAC = "00:00:5e:00:00:01"


@pytest.mark.parametrize("kind,how", [
    ("openbsd", {}), ("openbsd", {"demote": 3}), ("freebsd", {}),
    ("freebsd", {"tos": 0x10}), ("ucarp", {"mac": UCARP_MAC})],
    ids=["openbsd", "openbsd-demoted", "freebsd", "netbsd", "ucarp"])
def test_kind_is_named(shared_lab, backup, kind, how):
    d = backup()
    with Foreign(shared_lab, kind, **how):
        p = wait_peer(d, kind=kind, verified=True)
        assert (p["interface"], p["carpdev"], p["vhid"]) == ("carp0", "lan0",
                                                            1)
        assert p["drop"] is None and p["status"] == "verified"
        assert not p["ours"] and p["node"] is None
        assert (p["advbase"], p["advskew"]) == (1, 0)
        assert p["demote"] == how.get("demote", 0)
        assert p["heard_ms"] < 2000
        line = [x for x in d.ok("show", "peers").splitlines()
                if "172.16.0.77" in x]
        assert len(line) == 1 and " %s " % kind in line[0]
        assert line[0].endswith("verified")


def test_our_own_kind_and_one_that_is_silent(lab):
    mickey = Daemon(lab, "fw1", quick(25), "Mickey").start()
    mickey.wait_state("MASTER", ["carp0"])
    minnie = Daemon(lab, "fw2", quick(50), "Minnie").start()
    p = wait_peer(minnie, addr="172.16.0.200", kind="carpd", verified=True)
    assert p["ours"] and p["node"] == mickey.show()["node"]
    assert mickey.show("peers")["peers"] == []
    mickey.kill_all()
    wait_for(lambda: peer(minnie, "172.16.0.200")["heard_ms"] > 800, 5,
             "last heard grows")
    # of our own with another pass: it is named all the same
    mickey.write(quick(25).replace(PASS, "other"))
    mickey.start().wait_state("MASTER", ["carp0"])
    p = wait_peer(minnie, addr="172.16.0.200", verified=False, kind="carpd")
    assert p["status"] == "another pass" and p["drop"] == "pass"


WHY = [
    ("badauth", dict(password="other"), "another pass or address list"),
    ("badauth", dict(addresses=[VIP_WAN]), "another pass or address list"),
    ("badauth", dict(addresses=[]), "another address list"),
    ("badttl", dict(ttl=254), "TTL is not 255"),
    ("badver", dict(version=4), "another version"),
    ("badsum", dict(bad_sum=True), "wrong checksum"),
    ("badvhid", dict(vhid=9), "our pass and addresses, another vhid"),
    ("badvhid", dict(vhid=9, password="other"),
     "this vhid is not configured here"),
    ("badvhid", dict(src="2001:db8:16::77"),
     "this family or unicast is not configured here"),
]


@pytest.mark.parametrize("drop,how,status", WHY,
                         ids=["pass", "addresses", "no-address", "ttl",
                              "version", "checksum", "vhid", "other-vhid",
                              "family"])
def test_why_not(shared_lab, backup, drop, how, status):
    d = backup(quick())
    addr = how.get("src", "172.16.0.77")
    d.wait_state("MASTER", ["carp0"])
    with Foreign(shared_lab, "openbsd", **how) as f:
        p = wait_peer(d, addr=addr, drop=drop)
        assert p["status"] == status
        assert not p["verified"] and p["dropped"] == p["packets"] > 0
        assert p["vhid"] == how.get("vhid", 1)
        assert p["interface"] == (None if "vhid" in how else "carp0")
        assert d.states() == {"carp0": "MASTER"}
        if "src" in how:
            return
        # the control: what is wrong is put right
        f.set(**{**dict(password=PASS, addresses=[VIP_LAN], ttl=255,
                        version=2, bad_sum=False, vhid=1)})
        want = {(1, True)} | ({(9, False)} if "vhid" in how else set())
        wait_for(lambda: {(p["vhid"], p["verified"])
                          for p in d.show("peers")["peers"]} == want, 8,
                 "its entry is verified; the one of vhid 9 stays")


def test_many_strangers_are_forgotten(shared_lab, backup):
    """The table of other vhids is bounded, and ours is not pushed out."""
    d = backup(quick())
    d.wait_state("MASTER", ["carp0"])
    sock = packet_socket(shared_lab, "client", "eth0")
    before = d.counters()["ipackets"]
    sock.send(Advert(1, "other", [VIP_LAN]).frame())
    for vhid in range(2, 250):
        sock.send(Advert(vhid, PASS, [VIP_LAN]).frame())
    wait_for(lambda: d.counters()["ipackets"] >= before + 249, 5, "all of it")
    found = d.show("peers")["peers"]
    assert sorted(p["vhid"] for p in found) == [1] + list(range(234, 250))
    assert len(d.ok("show", "peers").splitlines()) == 18


def test_stranger_becomes_known(shared_lab, backup):
    """Who spoke for a vhid before it was configured, as while the daemon
    starts, is no stranger afterwards."""
    d = backup()
    sock = packet_socket(shared_lab, "client", "eth0")
    sock.send(Advert(9, PASS, [VIP_LAN]).frame())
    wait_for(lambda: [p["vhid"] for p in d.show("peers")["peers"]] == [9], 5,
             "the stranger")
    d.write(conf(vhid=9))
    d.ok("reload")
    assert d.show("peers")["peers"] == []


# ---- VRRP ----

@pytest.mark.parametrize("version,src", [(2, "172.16.0.78"),
                                         (3, "172.16.0.78"),
                                         (3, "fe80::78")])
def test_vrrp_router_with_our_number(shared_lab, backup, version, src):
    """Named, counted, warned of once; one with another number is nobody."""
    d = backup(quick())
    d.wait_state("MASTER", ["carp0"])
    sock = packet_socket(shared_lab, "client", "eth0")
    start = now_ns()
    before = d.counters()
    for n in range(5):
        sock.send(vrrp(version, 1, src))
        sock.send(vrrp(version, 2, src))
    p = wait_peer(d, addr=src, packets=5, kind="vrrp%d" % version)
    assert p["priority"] == 100 and p["advbase"] == 1 and not p["verified"]
    assert p["status"].startswith("VRRP")
    assert len(d.show("peers")["peers"]) == 1
    after = d.counters()
    assert after["vrrp"] - before["vrrp"] == 5
    line = "VRRP router %s .*vhid 1" % src
    d.proc.wait_line(line, since=start)
    assert len(d.proc.grep(line, start)) == 1
    assert d.transitions(start) == []
    # no split: it does not claim our address with our protocol
    assert d.ctl("show", "--check").stdout == "MASTER\n"
    # CARP's own counters are what a BSD would have
    assert sum(after[k] - before[k] for k in
               ("badlen", "badsum", "badver")) == 10
    # the control: what passed a router is no neighbour
    sock.send(vrrp(version, 1, src, ttl=254))
    wait_for(lambda: d.counters()["badttl"] > after["badttl"], 8, "badttl")
    assert d.counters()["vrrp"] == after["vrrp"]


# ---- digest auto ----

ADDRS = (VIP_LAN + "/24", VIP6_LAN + "/64", LL + "/64")


def which_digest(a):
    """openbsd or freebsd, by what it covers."""
    for name, addrs in (("openbsd", [VIP_LAN, VIP6_LAN]),
                        ("freebsd", [VIP_LAN, VIP6_LAN, LL])):
        if Advert(1, PASS, addrs, counter=a.counter).digest() == a.digest:
            return name
    return "neither"


@pytest.mark.parametrize("kind,addrs,sent", [
    ("freebsd", [VIP_LAN, VIP6_LAN, LL], "freebsd"),
    ("openbsd", [VIP_LAN, VIP6_LAN], "openbsd")])
def test_digest_auto(shared_lab, backup, kind, addrs, sent):
    """A peer that verifies with link-local addresses only is found."""
    d = backup(quick(100, addresses=ADDRS))
    with Foreign(shared_lab, kind, addresses=addrs, advbase=0), \
            Foreign(shared_lab, kind, addresses=addrs, advbase=0,
                    src="2001:db8:16::77"):
        wait_peer(d, verified=True, kind=kind, digest=sent)
        wait_for(lambda: peer(d)["packets"] > 5, 5, "more of them")
    d.wait_state("MASTER", ["carp0"])
    assert len(d.proc.grep("needs? the digest")) == (sent == "freebsd")
    assert which_digest(own_advert(shared_lab)) == sent
    assert d.vhid("carp0")["digest"] == sent


# ---- demotion ----

def demoted(lab, d, amount):
    wait_for(lambda: d.show()["groups"][0]["demotion"] == 0, 8, "ready")
    d.ok("demote", str(amount))
    a = own_advert(lab, lambda x: x.advskew != 25 or x.demote != 0)
    d.ok("promote", str(amount))
    return a.advskew, a.demote


@pytest.mark.parametrize("style,sent", [
    ("byte", (25, 50)), ("skew", (75, 0)), ("both", (75, 50)),
    ("auto", (25, 50))])
def test_demotion_is_sent(shared_lab, backup, style, sent):
    d = backup(quick(more="demote-style " + style))
    d.wait_state("MASTER", ["carp0"])
    assert demoted(shared_lab, d, 50) == sent


def test_freebsd_clamp(shared_lab, backup):
    d = backup(quick(more="demote-style both"))
    d.wait_state("MASTER", ["carp0"])
    assert demoted(shared_lab, d, 250) == (240, 250)


@pytest.mark.parametrize("kind,how,sent", [
    ("freebsd", {}, (75, 50)), ("freebsd", {"tos": 0x10}, (75, 50)),
    ("ucarp", {"mac": UCARP_MAC}, (75, 50)), ("openbsd", {}, (25, 50))],
    ids=["freebsd", "netbsd", "ucarp", "openbsd"])
def test_demote_style_auto(shared_lab, backup, kind, how, sent):
    """Towards who does not look at the byte it goes into advskew, too."""
    d = backup(quick())
    with Foreign(shared_lab, kind, advbase=0, **how):
        wait_for(lambda: (p := peer(d)) and p["packets"] > 5, 5, "some")
    d.wait_state("MASTER", ["carp0"])
    assert len(d.proc.grep("does not use the demotion byte")) == (
        kind != "openbsd")
    assert demoted(shared_lab, d, 50) == sent


@pytest.mark.parametrize("kind,how,preempt,cause", [
    ("freebsd", {"advskew": 240}, "yes", "preempt"),
    ("freebsd", {"advskew": 240}, "no", None),
    ("openbsd", {"demote": 1}, "no", "peer demoted"),
    ("openbsd", {"demote": 1}, "yes", "peer demoted"),
    ("freebsd", {"demote": 0}, "yes", None)])
def test_demoted_master_is_displaced(shared_lab, backup, kind, how, preempt,
                                     cause):
    """By its own way of saying it; one that is well is not."""
    d = backup(conf(100, head="preempt " + preempt))
    with Foreign(shared_lab, kind) as f:
        d.wait_state("BACKUP", ["carp0"])
        wait_for(lambda: (p := peer(d)) and p["packets"] > 3, 8, "its adverts")
        # from the startup demotion on it is the peer's that decides
        wait_for(lambda: d.show()["groups"][0]["demotion"] == 0, 8, "ready")
        start = now_ns()
        f.set(**how)
        if cause is None:
            heard = peer(d)["packets"]
            wait_for(lambda: peer(d)["packets"] > heard + 50, 10, "more")
            assert d.transitions(start) == []
        else:
            d.wait_state("MASTER", ["carp0"])
            assert d.transitions(start)[0][4] == cause
