# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""1000 vhids over four carpdevs, IPv4 and IPv6."""
import time

from lab import Daemon, many, wait_for

DEVS = 4
VHIDS = range(1, 251)
ALL = DEVS * len(VHIDS)
HEAD = "preempt yes\nlog 2\n"


def text(skew, vhids=VHIDS):
    return HEAD + "".join(many("x%d" % d, vhids, 1, skew, 20 + d)
                          for d in range(DEVS))


def cables(lab):
    """Four more networks between the firewalls."""
    for d in range(DEVS):
        lab.ip("lan", "link", "add", "sw%d" % d, "type", "bridge",
               "mcast_snooping", "0", "forward_delay", "0")
        lab.ip("lan", "link", "set", "sw%d" % d, "up")
        for host, octet in (("fw1", 1), ("fw2", 2)):
            dev, port = "x%d" % d, "%sx%d" % (host, d)
            lab.ip(host, "link", "add", dev, "type", "veth", "peer", "name",
                   port, "netns", lab.ns("lan"))
            lab.ip("lan", "link", "set", port, "master", "sw%d" % d, "up")
            lab.ip(host, "link", "set", dev, "up")
            lab.ip(host, "addr", "add", "192.168.%d.%d/24" % (100 + d, octet),
                   "dev", dev)
            lab.ip(host, "addr", "add", "fd00:%d::%d/64" % (100 + d, octet),
                   "dev", dev, "nodad")


def wait(d, state, n=ALL, timeout=20):
    wait_for(lambda: list(d.states().values()).count(state) == n, timeout,
             lambda: "%d vhids %s, they are %s" % (
                 n, state, {s: list(d.states().values()).count(s)
                            for s in set(d.states().values())}), 0.05)


def causes(d):
    return {i["vhids"][0]["cause"] for i in d.show()["interfaces"]}


def test_1000(lab):
    cables(lab)
    mickey = Daemon(lab, "fw1", text(0), "Mickey")
    minnie = Daemon(lab, "fw2", text(100), "Minnie")
    begin = time.monotonic()
    mickey.start()
    assert time.monotonic() - begin < 5, "s to start"
    wait(mickey, "MASTER")
    minnie.start()
    wait(minnie, "BACKUP")
    minnie.wait_heard()

    lab.ip("lan", "link", "set", "fw1x0", "down")
    wait(minnie, "MASTER")
    assert causes(minnie) <= {"peer gone", "peer demoted"}
    lab.ip("lan", "link", "set", "fw1x0", "up")
    wait(mickey, "MASTER")
    wait(minnie, "BACKUP")

    stays = {n: v["vhids"][0]["since"] for n, v in (
        (i["name"], i) for i in mickey.show()["interfaces"])
        if int(n[-3:]) <= 125}
    for vhids in (range(1, 126), VHIDS):
        mickey.write(text(0, vhids))
        mickey.ok("reload")
        wait(mickey, "MASTER", DEVS * len(vhids))
        now = {i["name"]: i["vhids"][0]["since"]
               for i in mickey.show()["interfaces"]}
        assert {n: now[n] for n in stays} == stays
    wait(minnie, "BACKUP")

    mickey.ok("demote", "50")
    wait(minnie, "MASTER")
    mickey.ok("promote", "50")
    wait(mickey, "MASTER")
    wait(minnie, "BACKUP")
    # nothing of all that kept an advertisement waiting
    assert mickey.counters()["adlate-max-us"] < 250_000
    mickey.kill_all()
    wait(minnie, "MASTER")
    for what in ("sandboxed", "addrerrors", "refused"):
        assert minnie.counters()[what] == 0, what
    assert minnie.stop() == 0
