# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What goes wrong with a cluster, and what `carpctl doctor` says of it.

These are few scenes for many causes, and two at a time: most of it is waiting.
"""
import contextlib
import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from advert import packet_socket
from foreign import Foreign, vrrp
from lab import (PASS, VIP_LAN, VIP_WAN, Capture, Daemon, Lab, Witness,
                 config, vmac, wait_for)
from sync import KEY, SYNC4, Node, sync_config

MICKEY, MINNIE = "172.16.0.200", "172.16.0.201"


def carp(n, addresses, vhid=None, skew=100, password=PASS, dev="lan0", more=""):
    """A carp interface whose advertisements come every 0.4 s or so."""
    return "carp%d on %s {\n\tvhid %d { advbase 0 advskew %d }\n" \
        "\tpass \"%s\"\n%s\t%s\n}\n" % (
            n, dev, vhid or n + 1, skew, password,
            "".join("\taddress %s\n" % a for a in addresses), more)


def vip(n):
    return "172.16.0.%d/24" % (210 + n)


def ask(d, sync, *more):
    """The doctor of that host, in its namespace: the rules are there."""
    return subprocess.run(
        ["ip", "netns", "exec", d.lab.ns(d.host), *d.ctl_argv(
            *(["-S", sync.sock] if sync else []), "doctor", *more)],
        text=True, timeout=10, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def doctor(d, sync=None):
    """What is found, as a list of dictionaries."""
    done = ask(d, sync, "-j")
    assert done.returncode in (0, 20) and not done.stderr, done
    found = json.loads(done.stdout)["findings"]
    assert done.returncode == (20 if found else 0), done
    return found


def wait_found(want, d, sync=None, timeout=15.0):
    """Until these {(code, interface)}, and no other, are found; {code and
    interface: cause}."""
    last = []

    def same():
        last[:] = doctor(d, sync)
        return {(f["code"], f["about"]) for f in last} == want
    wait_for(same, timeout, lambda: "%s at %s; found %s" % (
        sorted(want), d.name, last), 0.1)
    return {(f["code"], f["about"]): f["cause"] for f in last}


def wait_cause(d, code, cause):
    """Names may come a moment later: they are told once a second."""
    wait_for(lambda: any(f["code"] == code and cause in f["cause"]
                         for f in doctor(d)), 10,
             lambda: "%s: %s; found %s" % (code, cause, doctor(d)), 0.1)


def wait_well(d, sync=None):
    wait_found(set(), d, sync)
    wait_for(lambda: (done := ask(d, sync)).returncode == 0 and
             (done.stdout, done.stderr) == ("nothing wrong\n", ""), 15,
             lambda: "nothing wrong, and no more: %s" % ask(d, sync))


@contextlib.contextmanager
def rules(lab, host, text):
    """More rules on a host, for as long as it takes."""
    lab.run(host, "nft", "-f", "-", data=text)
    try:
        yield
    finally:
        lab.run(host, "nft", "flush", "ruleset")


def drop_frames(lab, net, port, what):
    """A switch that loses frames on their way to a host."""
    return rules(lab, net, """
        table netdev lossy {
            chain %s {
                type filter hook egress device %s priority 0;
                %s drop
            }
        }
    """ % (port, port, what))


class Mirror:
    """A loop: a vhid's advertisements come back out of the network."""

    def __init__(self, lab, vhid):
        self.sock = packet_socket(lab, "client", "eth0")
        self.sock.bind(("eth0", 0x0800))
        self.sock.settimeout(0.1)
        self.vhid = vhid
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                frame = self.sock.recv(2048)
                if frame[23] == 112 and frame[35] == self.vhid:
                    self.sock.send(frame)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.sock.close()


class Router(Foreign):
    """VRRP."""

    def say(self):
        self.sock.send(vrrp(2, self.how["vhid"], self.how["src"]))


def garps(capture):
    """How many times the address of the LAN was announced."""
    vip4 = bytes(int(x) for x in VIP_LAN.split("."))
    return sum(f[12:14] == b"\x08\x06" and f[28:32] == f[38:42] == vip4 and
               f[6:12] == bytes.fromhex(vmac(1).replace(":", ""))
               for _, f in capture.frames())


def split_brain(lab):
    """Two pass phrases, two MASTERs: said at once, and when it is over."""
    mickey, minnie = (
        Daemon(lab, host, head + "\n" + carp(0, [VIP_LAN + "/24"],
                                             password=password), name)
        for host, name, password, head in (
            ("fw1", "Mickey", PASS, "log 0"),
            ("fw2", "Minnie", "other", "log 7")))
    mickey.start().wait_state("MASTER", ["carp0"])
    assert mickey.vhid("carp0")["split"] is None
    assert mickey.ctl("show", "--check").returncode == 0
    witness = Witness(lab)
    monitor = lab.spawn("fw1", *mickey.ctl_argv("monitor"))
    minnie.start().wait_state("MASTER", ["carp0"])
    both = minnie.transitions()[-1][0]
    for d, other in ((mickey, MINNIE), (minnie, MICKEY)):
        line = "carp0: split brain: %s is MASTER of vhid 1, too, " % other
        d.proc.wait_line(line, 10)
        said = [t for t, x in d.proc.lines if line in x][0]
        stood = sum(length for _, length in witness.stalls(both, said))
        assert said < both + stood + 6 * 10**9
        split = d.vhid("carp0")["split"]
        assert (split["address"], split["verified"]) == (other, False)
        done = d.ctl("show", "--check")
        assert (done.returncode, done.stdout) == (12, "SPLIT\n")
        assert "SPLIT: %s is MASTER, too (another pass" % other in d.ok("show")
    wire = Capture(lab, "lan", "fw1", "arp")
    minnie.ok("down", "carp0")
    mickey.proc.wait_line("split brain of vhid 1 is over: we are the only")
    minnie.proc.wait_line("split brain of vhid 1 is over: we are not MASTER")
    wait_for(lambda: garps(wire) == 1, 5, "the addresses announced again")
    assert mickey.states() == {"carp0": "MASTER"}
    assert mickey.ctl("show", "--check").stdout == "MASTER\n"
    assert "SPLIT" not in mickey.ok("show")
    wait_for(lambda: len(monitor.grep("split brain")) == 2, 5, monitor.text)
    assert mickey.text().count("split brain") == 2


def other_systems(lab):
    """One host that hears all kinds, and that does not send where it may not;
    then none of it."""
    ll = "fe80::212"
    mine = {n: [vip(n)] for n in range(7)}
    mine[2] += ["2001:db8:16::212/64", ll + "/64"]
    mine[5] += ["172.16.0.225/24"]
    more = {2: "digest openbsd"}
    d = Daemon(lab, "fw1", "log 0\n" + "".join(
        carp(n, mine[n], more=more.get(n, "")) for n in mine) +
        carp(7, ["172.16.240.217/24"], dev="wan0") +
        carp(8, ["172.16.240.218/24"], dev="wan0",
             more="peer 172.16.240.201"), "Mickey")
    d.start().wait_state("MASTER", ["carp%d" % n for n in range(9)])
    wait_well(d)

    def theirs(n, kind, **how):
        addresses = [a.split("/")[0] for a in mine[n]]
        return Foreign(lab, kind, **{**dict(
            vhid=n + 1, addresses=addresses, advbase=0, mac=vmac(n + 1),
            src="172.16.0.%d" % (70 + n)), **how})
    with contextlib.ExitStack() as all_:
        for peer in (
                theirs(0, "ucarp", mac="00:00:5e:00:00:01"),
                Router(lab, "vrrp", vhid=2, src="172.16.0.71"),
                theirs(2, "freebsd"),
                theirs(2, "freebsd", src="2001:db8:16::72"),
                Mirror(lab, 4),
                theirs(4, "openbsd", password="other"),
                theirs(5, "openbsd", addresses=["172.16.0.215"]),
                theirs(6, "openbsd", vhid=77)):
            all_.enter_context(peer)
        all_.enter_context(rules(lab, "fw1", """
            table inet fw {
                chain out {
                    type filter hook output priority 0;
                    oifname "wan0" meta l4proto 112 drop
                }
            }"""))
        found = wait_found({
            ("ucarp", "carp0"), ("vrrp", "carp1"), ("digest", "carp2"),
            ("loop", "carp3"), ("pass or addresses", "carp4"),
            ("split", "carp4"), ("addresses", "carp5"), ("split", "carp5"),
            ("vhid", "carp6"), ("rules carp", "carp8")}, d)
        for n, code, cause in (
                (0, "ucarp", "172.16.0.70 is ucarp: "),
                (1, "vrrp", "VRRP router 172.16.0.71 on lan0 has the number "
                 "of vhid 2, "),
                (2, "digest", " needs the digest of vhid 3 that covers link"),
                (3, "loop", "our own advertisements of vhid 4 come back on "),
                (4, "pass or addresses", "172.16.0.74, which advertises vhid "
                 "5, has another pass phrase, or "),
                (5, "addresses", "172.16.0.75, which advertises vhid 6, has "
                 "our pass phrase but another address list: 172.16.0.225 is "
                 "only here"),
                (6, "vhid", "172.16.0.76 has our pass phrase and addresses, "
                 "but vhid 77 instead of 7"),
                (8, "rules carp", "the rules drop our advertisements "
                 "(protocol 112) on wan0: inet fw out")):
            assert cause in found[code, "carp%d" % n]
    with drop_frames(lab, "fw1", "wan0", "meta l4proto 112"):
        found = wait_found({("rules carp", "carp7"), ("rules carp", "carp8")},
                           d)
        assert found["rules carp", "carp7"].endswith(": netdev lossy wan0")
    wait_well(d)


def misfits(lab):
    """Each sees what the other has otherwise, and who does not hear it."""
    lists = {"fw1": ["172.16.0.221/24"], "fw2": ["172.16.0.222/24"]}
    mickey, minnie = (
        Daemon(lab, host, "preempt yes\nlog 0\n" +
               carp(0, [vip(0)], skew=skew, password=password) +
               carp(1, [vip(1), *lists[host]], skew=skew) +
               carp(2, [vip(2)], skew=skew) +
               carp(3, [vip(3)], skew=skew, vhid=vhid), name)
        for host, name, skew, password, vhid in (
            ("fw1", "Mickey", 50, PASS, 4), ("fw2", "Minnie", 100, "other",
                                             5)))
    with drop_frames(lab, "lan", "fw2", "ether saddr %s meta l4proto 112" %
                     vmac(3)):
        for d in (mickey, minnie):
            d.start()
        both = {("pass", "carp0"), ("split", "carp0"), ("addresses", "carp1"),
                ("split", "carp1"), ("vhid", "carp3")}
        found = wait_found(both | {("one-way", "carp2"), ("split", "carp2")},
                           mickey)
        assert found["pass", "carp0"].startswith(
            MINNIE + ", which advertises vhid 1, has another pass phrase")
        wait_cause(mickey, "addresses", "172.16.0.221 is only here, "
                   "172.16.0.222 is only there")
        assert found["one-way", "carp2"].startswith(
            MINNIE + " does not hear our advertisements of vhid 3 on lan0")
        assert found["vhid", "carp3"].endswith("vhid 5 instead of 4")
        found = wait_found(both, minnie)
        wait_cause(minnie, "addresses", "172.16.0.222 is only here, "
                   "172.16.0.221 is only there")
        assert found["vhid", "carp3"].endswith("vhid 4 instead of 5")
    minnie.write(mickey.conf.read_text().replace("advskew 50", "advskew 100"))
    minnie.ok("reload")
    for d in (mickey, minnie):
        wait_well(d)


def cluster(lab):
    """Well, and well after a failover, active/active too; then one thing after
    another goes wrong, and right again."""
    mickey, minnie = (
        Node(lab, host, name, config(skew, head="preempt yes\nlog 7") + """
            carp2 on lan0 {
                balancing ip
                vhid 3 { advskew %d }
                vhid 4 { advskew %d }
                pass "%s"
                address 172.16.0.203/24
            }""" % (skew, 100 - skew, PASS),
             sync_config).start()
        for host, name, skew in (("fw1", "Mickey", 0), ("fw2", "Minnie", 100)))
    nodes = [(n.carpd, n.pfsyncd) for n in (mickey, minnie)]
    for n in (mickey, minnie):
        n.pfsyncd.wait_in_step()
    mickey.carpd.wait_state("MASTER")
    mickey.carpd.ok("demote", "10")
    minnie.carpd.wait_state("MASTER")
    for d, sync in nodes:
        wait_well(d, sync)
    mickey.carpd.ok("promote", "10")
    mickey.carpd.wait_state("MASTER")
    minnie.carpd.wait_state("BACKUP")
    for d, sync in nodes:
        wait_well(d, sync)
        assert "split brain" not in d.text()
    masquerade(lab, *nodes[0])
    sync_faults(lab, *nodes)
    multicast(lab, *nodes)
    starve(*nodes)


def masquerade(lab, d, sync):
    with rules(lab, "fw1", """
            table ip nat {
                chain post {
                    type nat hook postrouting priority srcnat;
                    oifname "wan0" ip saddr 172.16.0.0/24 masquerade
                }
            }"""):
        found = wait_found({("masquerade", "carp1")}, d, sync)
        assert "leaves by wan0 may be masqueraded (ip nat post)" in \
            found["masquerade", "carp1"]
    with rules(lab, "fw1", """
            table ip nat {
                chain post {
                    type nat hook postrouting priority srcnat;
                    oifname "wan0" ip saddr 172.16.0.0/24 snat to %s
                }
            }""" % VIP_WAN):
        wait_well(d, sync)


def sync_faults(lab, one, two):
    """pfsyncd's own, at both."""
    lab.unplug("fw1", "sync")
    wait_found({("sync link", "sync0")}, *one)
    lab.plug("fw1", "sync")
    for d, sync in (one, two):
        wait_well(d, sync)
    right = two[1].conf.read_text()

    def restart(text):
        two[1].stop()
        two[1].write(text)
        two[1].start()
    restart(right + 'key "%s"\n' % KEY)
    found = wait_found({("sync unauthenticated", "sync0")}, *one)
    assert found["sync unauthenticated", "sync0"].startswith(SYNC4["fw2"])
    found = wait_found({("sync key", "sync0")}, *two)
    assert found["sync key", "sync0"].startswith(SYNC4["fw1"])
    restart(right.replace("native", "openbsd"))
    wait_found({("sync dialect", "sync0")}, *one)
    wait_found({("sync dialect", "sync0")}, *two)
    restart(right + "syncpeer %s\n" % SYNC4["fw1"])
    drop = """
        table inet fw {
            chain %s {
                type filter hook %s priority 0;
                meta l4proto 240 drop
            }
        }"""
    with rules(lab, "fw2", drop % ("in", "input")):
        assert ("rules pfsync", "sync0") in {
            (f["code"], f["about"]) for f in doctor(*two)}
    with rules(lab, "fw2", drop % ("out", "output")):
        found = [f["cause"] for f in doctor(*two)
                 if f["code"] == "rules pfsync"]
        assert found == ["the rules drop what pfsyncd sends (protocol 240): "
                         "inet fw out"]
    restart(right)
    for d, sync in (one, two):
        wait_well(d, sync)


def deafen(lab, net):
    """A switch that eats protocol 112, so that nobody hears anybody there."""
    for port in ("fw1", "fw2"):
        lab.run(net, "nft", "-f", "-", data="""
            table netdev %s {
                chain e {
                    type filter hook egress device %s priority 0;
                    meta l4proto 112 drop
                }
            }""" % (port, port))


def unheard(d, sync, vhids):
    """Is a split known of these, and no other, that only pfsyncd hears?"""
    found = {v["vhid"]: v["split"] for i in d.show()["interfaces"]
             for v in i["vhids"] if v["split"]}
    return set(found) == set(vhids) and sync.show()["split"] == len(vhids) \
        and not any(s["heard"] for s in found.values())


def multicast(lab, one, two):
    """Nobody hears anybody but over the sync link: in one network, then in
    both; an alarm until they do."""
    nodes = ((one, two), (two, one))
    with contextlib.ExitStack() as nets:
        for net, vhids, more in (
                ("lan", (1, 3, 4), set()),
                ("wan", (1, 2, 3, 4), {("split", "carp1"),
                                       ("multicast", "")})):
            deafen(lab, net)
            nets.callback(lab.run, net, "nft", "flush", "ruleset")
            for (d, sync), (_, other) in nodes:
                wait_for(lambda d=d, sync=sync, vhids=vhids:
                         unheard(d, sync, vhids), 15,
                         lambda d=d, vhids=vhids: "splits of %s at %s: %s" %
                         (vhids, d.name, d.show()))
                found = wait_found({("split", "carp0"), ("split", "carp2")} |
                                   more, d, sync)
                assert found["split", "carp0"].startswith(
                    "split brain: %s is MASTER of vhid 1, too, heard by "
                    "pfsyncd only, for " % SYNC4[other.host])
        assert found["multicast", ""].startswith(
            "%s, heard on sync0, is MASTER, too, but nothing that it "
            "advertises arrives on " % SYNC4[other.host])
        for (d, _), (_, other) in nodes:
            who = SYNC4[other.host]
            assert d.vhid("carp0")["split"]["address"] == who
            assert "SPLIT: %s is MASTER, too (heard by pfsyncd only), " % \
                who in d.ok("show")
            done = d.ctl("show", "--check")
            assert (done.returncode, done.stdout) == (12, "SPLIT\n")
            for n in (0, 1, 2):
                assert "carp%d: split brain: %s is MASTER of vhid " % (
                    n, who) in d.text()
            assert "too, and not heard on lan0, but by pfsyncd" in d.text()
        wire = Capture(lab, "lan", "fw1", "arp")
    for (d, sync), _ in nodes:
        wait_for(lambda d=d, sync=sync: unheard(d, sync, ()), 15,
                 lambda d=d: "no split at %s: %s" % (d.name, d.show()))
        wait_well(d, sync)
    over = "carp0: split brain of vhid 1 is over: "
    one[0].proc.wait_line(over + "pfsyncd hears of no other MASTER any more")
    two[0].proc.wait_line(over + "we are not MASTER any more")
    wait_for(lambda: garps(wire) > 0, 5, "the addresses announced again")


def starve(one, two):
    """An engine that is stopped until its peer takes over."""
    splits = [d.text().count("split brain: ") for d, _ in (one, two)]
    os.kill(one[0].engine, signal.SIGSTOP)
    two[0].wait_state("MASTER")
    os.kill(one[0].engine, signal.SIGCONT)
    found = wait_found({("starved", "")}, *one)
    assert "so late that it was not MASTER any more" in found["starved", ""]
    wait_well(*two)
    assert splits == [d.text().count("split brain: ") for d, _ in (one, two)]


# the long one first
SCENES = (cluster, other_systems, split_brain, misfits)


@pytest.fixture(scope="module")
def scenes():
    with contextlib.ExitStack() as labs, ThreadPoolExecutor(2) as pool:
        yield {scene: pool.submit(scene, labs.enter_context(Lab("nsd")))
               for scene in SCENES}


@pytest.mark.parametrize("scene", SCENES, ids=[s.__name__ for s in SCENES])
def test_scene(scenes, scene):
    scenes[scene].result(300)
