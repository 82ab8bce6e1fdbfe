# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Nodes of one interface that are not alike, and a switch that keeps frames
for their MAC from one of them: named by both hosts, and gone when mended."""
import contextlib

from active import LAN, Flock, config
from lab import wait_for

PRUNE = """
table bridge prune {
    chain out {
        type filter hook postrouting priority 0;
        oifname "%s" ether daddr %s counter drop
    }
}
"""


def iface(duck, name=LAN):
    return next(i for i in duck.show()["interfaces"] if i["name"] == name)


def frames(duck):
    return iface(duck)["group_frames"]


def said(duck, text):
    return duck.text().count(text)


def test_pruned():
    """Only who gets no frames says so, and only while there are some."""
    modes = {"ip": "01:00:5e:00:01:01", "ip-stealth": "00:00:5e:00:01:01"}
    with contextlib.ExitStack() as stack:
        flocks = {mode: Flock(stack.enter_context(Flock.up("prune", mode)),
                              mode) for mode in modes}
        for flock in flocks.values():
            flock.start()
        # without any traffic
        for mode, flock in flocks.items():
            for d in flock.ducks:
                wait_for(lambda d=d: frames(d)["last_ms"] is not None, 10,
                         "a probe")
                assert frames(d)["lladdr"] == modes[mode]
            flock.lab.run("lan", "nft", "-f", "-",
                          data=PRUNE % ("fw2", modes[mode]))
        for flock in flocks.values():
            donald, daisy = flock.ducks
            wait_for(lambda d=daisy: not frames(d)["arrive"], 20,
                     lambda d=daisy: "no frames: %s\n%s" % (frames(d),
                                                            d.text()), 0.1)
            assert "does the switch keep them from here?" in \
                daisy.ok("show", LAN)
            assert frames(donald)["arrive"]
            flock.lab.run("lan", "nft", "delete", "table", "bridge", "prune")
        for flock in flocks.values():
            donald, daisy = flock.ducks
            daisy.proc.wait_line("arrive on lan0 again", 20)
            assert frames(daisy)["arrive"]
            assert said(daisy, "do not arrive on lan0") == 1
            assert not said(daisy, "do not arrive on wan0")
            assert not said(donald, "do not arrive")


def test_unlike():
    """The mode, the vhids, the pass."""
    with Flock.up("unlike", "arp") as lab:
        flock = Flock(lab, "arp").start()
        donald, daisy = flock.ducks

        def differing(duck):
            return [d["has"] for d in iface(duck)["differing"]]

        def step(here, there, **conf):
            """What Donald shows of Daisy, and she of him."""
            daisy.write(config(1, 2, **conf))
            daisy.ok("reload")
            for d, want in ((donald, here), (daisy, there)):
                wait_for(lambda d=d, want=want: differing(d) == want, 15,
                         lambda d=d, want=want: "%s shows %s, not %s\n%s" % (
                             d.name, differing(d), want, d.text()), 0.05)
        assert not differing(donald) and not differing(daisy)
        step(["balancing ip, vhids 1 2"], ["balancing arp, vhids 1 2"],
             mode="ip")
        peers = donald.show("peers")["peers"]
        assert [(p["balancing"], p["vhids"]) for p in peers
                if p["interface"] == LAN and p["differs"]] == \
            [("ip", [1, 2])] * len([p for p in peers
                                    if p["interface"] == LAN])
        step(["balancing arp, vhids 1 2 3"], ["balancing arp, vhids 1 2"],
             mode="arp", nodes=3)
        step([], [], mode="arp")
        line = "%s: node .* has balancing %s"
        for text in ("ip, vhids 1 2; here it is balancing arp, vhids 1 2",
                     "arp, vhids 1 2 now, as here"):
            donald.proc.wait_line(line % (LAN, text))
            assert len(donald.proc.grep(line % (LAN, text))) == 1
        step(["another pass"], ["another pass"], mode="arp", password="other")
        wait_for(lambda: said(donald, "has another pass"), 5, "the line")
        step([], [], mode="arp")
        wait_for(lambda: said(donald, "has our pass and addresses now"), 5,
                 "the line")
