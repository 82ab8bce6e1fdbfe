# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What pfsyncd says to carpd: hold a demotion, the states are in, who else is
MASTER.  The client here speaks the framing of common/imsg.c and nothing else.
"""
import re
import socket
import struct
import time

import pytest
from lab import (PASS, TREE, VIP_LAN, VIP_WAN, Daemon, Timeout, config,
                 wait_for)

MAGIC = 0x43724d31
HEAD = "preempt yes\nlog 7\n"


def message_numbers():
    """Their place in the table of carpd/msgs.h, from 1 on."""
    table = (TREE / "carpd" / "msgs.h").read_text().split("CARPD_MSGS(X)")[1]
    names = re.findall(r"^\tX\((\w+),", table.split("enum carpd_msg")[0], re.M)
    return {name: i + 1 for i, name in enumerate(names)}


MSG = message_numbers()
NAME = {n: name for name, n in MSG.items()}


class Client:
    """A connection to carpd's control socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(path)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def say(self, name, payload=b""):
        self.sock.sendall(struct.pack("=IIIHH", MAGIC, MSG[name], 0,
                                      len(payload), 0) +
                          payload + bytes(-len(payload) % 8))

    def _need(self, n):
        while len(self.data) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.data += more

    def hear(self):
        """The next message: (name, payload)."""
        self._need(16)
        magic, kind, _, size, _ = struct.unpack_from("=IIIHH", self.data)
        assert magic == MAGIC
        whole = 16 + (size + 7) // 8 * 8
        self._need(whole)
        payload, self.data = self.data[16:16 + size], self.data[whole:]
        return NAME[kind], payload

    def ask(self, name, payload=b""):
        self.say(name, payload)
        return self.hear()

    def hold(self, amount, reason):
        return self.ask("CTL_HOLD", struct.pack("=i32s", amount,
                                                reason.encode()))

    def which(self):
        """The ids of the vhosts that are MASTER."""
        name, payload = self.ask("CTL_WHICH")
        assert name == "CTL_VHOSTS"
        n, last = struct.unpack_from("=20xHB", payload)
        assert last == 1
        return [payload[26 + 8 * i:34 + 8 * i] for i in range(n)]

    def rivals(self, who, ids, n=None, af=socket.AF_INET):
        """These are MASTER at `who`, too."""
        return self.ask("CTL_RIVALS", struct.pack(
            "=B3x4s12xH4x1024s", af, socket.inet_aton(who),
            len(ids) if n is None else n, b"".join(ids)))[0]

    def watched(self):
        """One answer to CTL_WATCH: (masters, vhids, {address: interface})."""
        name, payload = self.hear()
        assert name == "CTL_MASTERS"
        masters, vhids, *_ = struct.unpack("=IIII", payload)
        found = {}
        while True:
            name, payload = self.hear()
            if name == "CTL_END":
                return masters, vhids, found
            assert name == "CTL_ADDR"
            iface, af, plen, raw = struct.unpack_from("=16sBB2x16s", payload)
            assert af == socket.AF_INET
            found["%s/%d" % (socket.inet_ntoa(raw[:4]), plen)] = \
                iface.rstrip(b"\0").decode()

    def quiet(self, seconds=0.2):
        """Nothing is said for a while."""
        self.sock.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.hear()
        self.sock.settimeout(5)


def one(base=0, skew=0, more=""):
    return HEAD + more + "carp0 on lan0 {\n\tvhid 1 { advbase %d advskew %d }" \
        "\n\tpass \"%s\"\n\taddress %s/24\n}\n" % (base, skew, PASS, VIP_LAN)


def group(d):
    """(demotion, {(owner, reason): entry}) of group carp."""
    found = [g for g in d.show("demotion")["groups"] if g["name"] == "carp"]
    return found[0]["demotion"], {(e["owner"], e["reason"]): e
                                  for e in found[0]["entries"]}


def demotion(d):
    return group(d)[0]


@pytest.fixture(scope="module")
def mickey(shared_lab):
    """MASTER of one address, without a peer."""
    d = Daemon(shared_lab, "fw1", one(), "Mickey").start()
    d.wait_state("MASTER", ["carp0"])
    wait_for(lambda: demotion(d) == 0, 5, "the start is over")
    return d


@pytest.fixture
def alone(mickey):
    """The same, and a test leaves it as it was."""
    yield mickey
    wait_for(lambda: demotion(mickey) == 0, 8, "nothing is held any more")


def test_hold_lives_with_the_connection(alone):
    with Client(alone.sock) as c:
        assert c.hold(7, "bulk") == ("CTL_OK", b"")
        total, entries = group(alone)
        assert total == 7
        entry = entries["pfsyncd", "bulk"]
        assert entry["amount"] == 7
        assert 110 <= entry["expires_s"] <= 120
        assert "pfsyncd (bulk)" in alone.ok("show", "demotion")
        # demoted, but alone: somebody has to
        assert alone.states() == {"carp0": "MASTER"}
    wait_for(lambda: demotion(alone) == 0, 8, "the hold is released")
    alone.proc.wait_line(r"pfsyncd demoted group carp by -7 to 0 \(bulk\)")


def test_several_reasons(alone):
    with Client(alone.sock) as c:
        c.hold(1, "bulk")
        c.hold(2, "syncdev")
        assert demotion(alone) == 3
        c.hold(5, "bulk")
        assert demotion(alone) == 7
        assert c.hold(0, "bulk")[0] == "CTL_OK"
        assert demotion(alone) == 2
        assert c.hold(0, "never said")[0] == "CTL_OK"
        assert set(group(alone)[1]) == {("pfsyncd", "syncdev")}
        c.hold(1, "liberal")
        assert c.hold(0, "")[0] == "CTL_OK"     # all of them
        assert demotion(alone) == 0
        c.hold(1, "bulk")
        c.hold(2, "syncdev")
        assert demotion(alone) == 3
    wait_for(lambda: demotion(alone) == 0, 8, "all of it is released")


def test_hold_of_a_new_connection_outlives_the_old_one(alone):
    """pfsyncd was started anew before carpd saw the old one die."""
    with Client(alone.sock) as new:
        with Client(alone.sock) as old:
            old.hold(1, "bulk")
            old.hold(4, "syncdev")
            new.hold(1, "bulk")
            assert demotion(alone) == 5
            # and it can no longer take back what is not its own
            old.hold(0, "bulk")
            assert demotion(alone) == 5
        wait_for(lambda: demotion(alone) == 1, 8, "the old one's is released")
    wait_for(lambda: demotion(alone) == 0, 8, "the new one's too")


def test_operators_demotion_is_another(alone):
    alone.ok("demote", "9")
    with Client(alone.sock) as c:
        c.hold(1, "bulk")
        assert demotion(alone) == 10
    wait_for(lambda: demotion(alone) == 9, 8, "the operator's stays")
    alone.ok("promote", "9")


@pytest.mark.parametrize("amount,reason", [
    (-1, "bulk"), (256, "bulk"), (2**31 - 1, "bulk"), (1, ""), (1, "x" * 32),
    (1, "a\nb"), (1, "\x1b[2J"), (0, "\x07")])
def test_hold_that_is_refused(alone, amount, reason):
    with Client(alone.sock) as c:
        assert c.hold(amount, reason)[0] == "CTL_FAIL"
        assert c.hold(1, "bulk")[0] == "CTL_OK"


def test_reasons_are_bounded(alone):
    with Client(alone.sock) as c:
        said = [c.hold(1, "reason%d" % n)[0] for n in range(20)]
        assert said == ["CTL_OK"] * 16 + ["CTL_FAIL"] * 4
        assert c.hold(2, "reason3")[0] == "CTL_OK"
        assert demotion(alone) == 17


def test_message_of_a_wrong_size_closes(alone):
    with Client(alone.sock) as c:
        c.hold(1, "bulk")
        assert c.ask("CTL_HOLD", b"1234")[0] == "CTL_FAIL"
        with pytest.raises(EOFError):
            c.hear()
        wait_for(lambda: demotion(alone) == 0, 8, "the hold is released")


def test_hold_ends_with_sync_wait(shared_lab):
    """Said again it is not longer; after its end it holds nothing."""
    d = Daemon(shared_lab, "fw2", one(more="sync wait 2\n"), "Minnie").start()
    try:
        wait_for(lambda: demotion(d) == 0, 8, "the start is over", 0.05)
        with Client(d.sock) as c:
            c.hold(3, "bulk")
            assert group(d)[1]["pfsyncd", "bulk"]["expires_s"] <= 2

            def ended():
                assert c.hold(3, "bulk")[0] == "CTL_OK"
                return demotion(d) == 0
            wait_for(ended, 5, "the hold ends by itself", 0.05)
            # a new reason to hold begins when the old one was taken back
            c.hold(0, "bulk")
            c.hold(3, "bulk")
            assert demotion(d) == 3
    finally:
        d.stop()


def test_sync_wait_ends_when_the_states_are_in(lab):
    """A pair: the better node comes back, and waits until it is told."""
    minnie = Daemon(lab, "fw2", config(100), "Minnie").start()
    minnie.wait_state("MASTER")
    mickey = Daemon(lab, "fw1", config(0, head=HEAD + "sync wait 60"),
                    "Mickey").start()
    mickey.wait_state("BACKUP")
    mickey.wait_heard()
    with Client(mickey.sock) as c:
        c.hold(1, "bulk")
        total, entries = group(mickey)
        assert total == 129
        assert entries["carpd", "startup"]["amount"] == 128
        assert entries["carpd", "startup"]["expires_s"] > 30
        # it is better by far, but does not yet take over
        with pytest.raises(Timeout):
            mickey.wait_state("MASTER", timeout=2)
        assert c.ask("CTL_SYNCED") == ("CTL_OK", b"")
        wait_for(lambda: demotion(mickey) == 1, 8, "the start is over")
        c.hold(0, "bulk")
        assert demotion(mickey) == 0
        mickey.wait_state("MASTER")
        minnie.wait_state("BACKUP")
    assert demotion(mickey) == 0


def test_synced_before_the_networks_are_proven(lab):
    """Both must be: here nobody was heard yet for a master-down time."""
    d = Daemon(lab, "fw1", one(base=1, more="sync wait 60\n"),
               "Mickey").start()
    d.wait_state("BACKUP", ["carp0"])
    with Client(d.sock) as c:
        assert c.ask("CTL_SYNCED")[0] == "CTL_OK"
        now = d.show()
        assert now["interfaces"][0]["state"] == "BACKUP"
        assert now["groups"][0]["demotion"] == 128
        d.wait_state("MASTER", ["carp0"])
        wait_for(lambda: demotion(d) == 0, 8, "the start is over")


def test_watch(alone):
    with Client(alone.sock) as c, Client(alone.sock) as other:
        c.say("CTL_WATCH")
        assert c.watched() == (1, 1, {VIP_LAN + "/24": "carp0"})
        other.say("CTL_WATCH")
        assert other.watched()[0] == 1
        c.quiet()
        # MASTER and not
        alone.ok("disable")
        assert c.watched() == (0, 1, {VIP_LAN + "/24": "carp0"})
        alone.ok("enable")
        assert c.watched()[0] == 1
        assert [other.watched()[0] for _ in range(2)] == [0, 1]
        # addresses
        alone.write(one().replace("address", "address 172.16.0.203/24\n"
                                  "\taddress"))
        alone.ok("reload")
        seen = c.watched()
        while seen[0] == 0:         # another address set begins anew
            seen = c.watched()
        assert seen == (1, 1, {VIP_LAN + "/24": "carp0",
                               "172.16.0.203/24": "carp0"})
        c.quiet()
        # what changes nothing is not told
        alone.ok("reload")
        alone.ok("demote", "1")
        alone.ok("promote", "1")
        c.quiet()
        alone.write(one())
        alone.ok("reload")
        alone.wait_state("MASTER", ["carp0"])


def test_rivals(alone):
    """Whatever pfsyncd says, it is an alarm and nothing else."""
    before = alone.vhid("carp0")["transitions"]
    with Client(alone.sock) as c, Client(alone.sock) as watcher:
        ours, = c.which()
        watcher.say("CTL_WATCH")
        assert watcher.watched() == (1, 1, {VIP_LAN + "/24": "carp0"})
        for wrong in ({"af": 0}, {"af": 3}, {"n": 129}, {"n": 65535}):
            assert c.rivals("192.0.2.1", [ours], **wrong) == "CTL_FAIL"
        began = time.monotonic()

        def alarm():
            # others' ids, and ours by two
            assert c.rivals("192.0.2.2", [b"another1", ours]) == "CTL_OK"
            assert c.rivals("192.0.2.1", [ours, ours]) == "CTL_OK"
            split = alone.vhid("carp0")["split"]
            return split and split["heard"] is False and \
                alone.ctl("show", "--check").returncode == 12
        wait_for(alarm, 10, "a split by pfsyncd's word")
        assert time.monotonic() - began >= 1.25
        assert watcher.watched()[:2] == (1, 1)
        alone.proc.wait_line("carp0: split brain: 192.0.2.[12] is MASTER of "
                             "vhid 1, too, and not heard on lan0, but by pfs")
        # said once, and no longer than it is said
        wait_for(lambda: alone.vhid("carp0")["split"] is None, 10, "its end")
        assert watcher.watched()[:2] == (1, 1)
        assert alone.text().count("split brain: ") == 1
        alone.proc.wait_line("split brain of vhid 1 is over: pfsyncd hears")
        assert alone.states() == {"carp0": "MASTER"}
        assert alone.vhid("carp0")["transitions"] == before
        # who is not MASTER is not asked to be alarmed
        alone.ok("disable")
        assert c.which() == []
        assert c.rivals("192.0.2.1", [ours]) == "CTL_OK"
        alone.ok("enable")
        alone.wait_state("MASTER", ["carp0"])
        assert c.which() == [ours]


def test_watch_counts_every_vhid(lab):
    d = Daemon(lab, "fw1", config(0, base=0), "Mickey").start()
    with Client(d.sock) as c:
        c.say("CTL_WATCH")
        wait_for(lambda: c.watched()[0] == 2, 5, "both are MASTER", 0)
        lab.unplug("fw1", "lan")
        assert c.watched() == (1, 2, {VIP_LAN + "/24": "carp0",
                                      VIP_WAN + "/24": "carp1"})
        lab.plug("fw1", "lan")
        assert c.watched()[0] == 2
