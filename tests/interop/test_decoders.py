# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""tcpdump and tshark read what carpd sends as we mean it."""
import re
import subprocess

import pytest
from advert import Advert, parse
from lab import PASS, VIP6_LAN, VIP_LAN, Capture, Daemon, Lab, vmac, wait_for


def heard(capture):
    return [h for h in (parse(f) for _, f in capture.frames()) if h]


@pytest.fixture(scope="module")
def capture():
    """Some adverts of both families, the announcements, and the bow-out."""
    with Lab("nsd") as lab:
        c = Capture(lab, "lan", "fw1", "proto 112 or arp or icmp6")
        d = Daemon(lab, "fw1", "preempt yes\ncarp0 on lan0 {\n\tvhid 7 "
                   "{ advbase 1 advskew 3 }\n\tpass \"%s\"\n\taddress %s/24\n"
                   "\taddress %s/64\n}\n" % (PASS, VIP_LAN, VIP6_LAN), "Mickey")
        d.start().wait_state("MASTER", ["carp0"])
        d.ok("demote", "20")
        wait_for(lambda: sum(1 for _, f in c.frames() if parse(f)) >= 8, 10,
                 "adverts")
        d.stop()
        wait_for(lambda: heard(c)[-1].advbase == 255, 8, "the bow-out")
        yield c.stop()


def tool(need, *argv):
    done = subprocess.run([need(argv[0]), *argv[1:]], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_adverts_are_those_of_the_format(capture):
    """Digest, checksum, cookie and MAC by our own reading of the sources."""
    adverts = heard(capture)
    assert {":" in h.src for h in adverts} == {True, False}
    assert len({h.counter for h in adverts}) == 1, "a constant cookie"
    assert adverts[0].counter != b"\0" * 8
    want = Advert(7, PASS, [VIP_LAN, VIP6_LAN],
                  counter=adverts[0].counter).digest()
    for h in adverts:
        assert (h.vhid, h.digest, h.cksum_ok) == (7, want, True)
        assert h.mac == vmac(7)
        assert (h.advbase, h.advskew) in ((1, 3), (255, 255))
    # 128 while it starts: to its first advertisement, where that is the proof
    # that the way is open
    demotes = [h.demote for h in adverts]
    assert demotes[0] == 128
    while demotes[0] == 128:
        demotes.pop(0)
    assert demotes == sorted(demotes) and set(demotes) == {0, 20}
    assert adverts[-1].advbase == 255


def test_tcpdump_agrees(capture, need):
    """On every field, and that the checksums are right."""
    out = tool(need, "tcpdump", "-nn", "-vv", "-t", "-T", "carp", "-r",
               str(capture.path), "proto 112")
    rx = re.compile(r"CARPv2-advertise \d+: vhid=(\d+) advbase=(\d+) "
                    r"advskew=(\d+) authlen=7 (?: \(bad.*\))?counter=(\d+)")
    said = [tuple(int(x) for x in m) for m in rx.findall(out)]
    assert said == [(h.vhid, h.advbase, h.advskew,
                     int.from_bytes(h.counter, "big"))
                    for h in heard(capture)]
    assert "bad" not in out, out
    assert "ttl 255" in out and "hlim 255" in out


def test_tshark_agrees(capture, need):
    out = tool(need, "tshark", "-r", str(capture.path), "-Y",
               "ip.proto == 112 || ipv6.nxt == 112",
               "-d", "ip.proto==112,carp", "-T", "fields",
               "-e", "carp.vhid", "-e", "carp.adver_int", "-e", "carp.advskew",
               "-e", "carp.demotion", "-e", "carp.counter", "-e", "carp.hmac",
               "-e", "carp.checksum.status")
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) == len(heard(capture))
    for row, h in zip(rows, heard(capture)):
        assert [int(x) for x in row[:4]] == [h.vhid, h.advbase, h.advskew,
                                             h.demote]
        assert int(row[4], 0) == int.from_bytes(h.counter, "big")
        assert row[5].replace(":", "") == h.digest.hex()
        assert row[6] in ("1", "Good")


def test_announcements(capture, need):
    """One gratuitous ARP and one unsolicited NA at least, virtual MAC in
    all places."""
    out = tool(need, "tcpdump", "-nn", "-e", "-t", "-r", str(capture.path),
               "arp host " + VIP_LAN)
    assert re.search(r"^%s > ff:ff:ff:ff:ff:ff.*[Rr]equest who-has %s .*tell "
                     r"%s" % (vmac(7), VIP_LAN, VIP_LAN), out, re.M), out
    out = tool(need, "tcpdump", "-nn", "-e", "-t", "-vv", "-r",
               str(capture.path), "icmp6 and ip6[40] == 136")
    assert re.search(r"^%s > 33:33:00:00:00:01" % vmac(7), out, re.M), out
    assert re.search(r"tgt is %s, Flags \[.*override" % VIP6_LAN, out), out
    assert "destination link-address option (2), length 8 (1): %s" % vmac(7) \
        in out
