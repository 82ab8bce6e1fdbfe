#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A two-firewall cluster dies in many ways and three connections look on.

`make demo` runs this as root.  Everything happens in network namespaces of its
own and is removed however it ends.  The client's packet log, the events and
the daemons' logs stay in DEMO_LOG (default: a new directory in /tmp), so that
every figure of the final table can be recomputed:

    report.py $DEMO_LOG/packets.log $DEMO_LOG/events.jsonl

At the end the same with pfsyncd off, to see what it was good for.
"""
import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402
import stage  # noqa: E402
from lab import (CARPD, FLOWS, PFSYNCD, SERVER4, STREAM, VIP_WAN,  # noqa: E402
                 Lab, Stream, Timeout, now_ns, wait_for)
from sync import Cluster, Conn, compare, same, wait_same  # noqa: E402

PICTURE = """
   client 172.16.0.10            UDP, a packet a millisecond, and TCP: through
      |                          the SNAT to the server and back
   ===+======== LAN ==== 172.16.0.202 ====+=========== vhid 1
      |                                   |
   Mickey 172.16.0.200  -- sync --  Minnie 172.16.0.201
   advskew 0                        advskew 100
      |                                   |
   ===+======== DMZ ==== 172.16.240.202 ==+=========== vhid 2
      |
   server 172.16.240.10          TCP to port 8080 of 172.16.240.202: through
                                 the DNAT to the client and back
"""

SETTLE = 300        # packets that must come back before the next event
IDLE = 1500         # packets of the control run
TCP_US = 5000       # between two chunks of a TCP stream
DEAD_S = 3.0        # without a byte for so long it is dead

HEAD = ("event", "cause, as logged by the new MASTER", "UDP ms", "lost",
        "SNAT ms", "DNAT ms", "bytes", "states", "MASTER")
ROW = "%-19s %-34s %8s %5s %8s %8s  %-7s %-10s %s"


def say(text):
    print(text, flush=True)


class Demo:
    def __init__(self, lab, logdir):
        self.lab = lab
        self.dir = logdir
        self.cluster = Cluster(lab, base=1)
        self.nodes = self.cluster.nodes
        self.mickey, self.minnie = (n.carpd for n in self.nodes)
        self.sync1, self.sync2 = (n.pfsyncd for n in self.nodes)
        self.stream = None
        self.conns = []
        self.events = []

    def prepare(self):
        say(PICTURE)
        say("Both firewalls forward by nftables rules: policy drop, stateful, "
            "SNAT to %s,\nport 8080 of it leads inside; invalid packets are "
            "dropped, and the kernel takes up\nno connection in the middle "
            "(nf_conntrack_tcp_loose=0)." % VIP_WAN)
        self.lab.nat()
        say("pfsyncd and carpd start on Mickey; carpd listens for three "
            "advertisements before it\nclaims anything.")
        self.nodes[0].start()
        self.mickey.wait_state("MASTER", timeout=15)
        say("Mickey is MASTER of both networks. pfsyncd and carpd start on "
            "Minnie.")
        self.nodes[1].start()
        self.minnie.wait_state("BACKUP")
        self.sync2.wait_in_step()
        wait_for(lambda: self.lab.pings("client", SERVER4), 5,
                 "the client reaches the server")
        self.stream = Stream(self.lab, path=self.dir / "packets.log")
        self.stream.wait_flow()
        self.connect()
        figures = wait_same(self.lab, least=3)
        say("The streams flow; both kernels know the same %d connections.\n" %
            figures["here"])

    def connect(self):
        self.conns = [Conn.snat(self.lab, interval_us=TCP_US),
                      Conn.dnat(self.lab, interval_us=TCP_US)]
        for c in self.conns:
            c.wait_flow()

    def who(self):
        """Who is MASTER, as both daemons show it; a dead one shows nothing."""
        names = []
        for d in (self.mickey, self.minnie):
            if "MASTER" in d.states().values():
                names.append(d.name)
        return "+".join(names) or "nobody"

    def causes(self, winner, since):
        """Why, from the winner's log: one cause, or one per interface."""
        seen = {}
        for _, iface, _, to, cause in winner.transitions(since):
            if to == "MASTER":
                seen[iface] = cause
        if len(set(seen.values())) <= 1:
            return next(iter(seen.values()), "-")
        return ", ".join("%s %s" % kv for kv in sorted(seen.items()))

    def mark(self):
        for c in self.conns:
            c.mark()

    def wait_streams(self):
        since = now_ns()
        self.stream.wait_flow(since)
        for c in self.conns:
            c.wait_flow(since)
        self.stream.wait_packets(SETTLE)

    def tables(self):
        """Both kernels' tables; the last change may be on its way."""
        if all(n.pfsyncd.running() for n in self.cluster.nodes):
            with contextlib.suppress(Timeout):
                return wait_same(self.lab, 2)
        return compare(self.lab)[0]

    def note(self, name, start, winner, cause):
        """What the connections and the kernels' tables say now."""
        figures = self.tables()
        out, into = (c.report() for c in self.conns)
        e = {"event": name, "start_ns": start, "winner": winner,
             "cause": cause, "master": self.who(),
             "snat_ms": out["stall_ms"], "dnat_ms": into["stall_ms"],
             "alive": out["alive"] and into["alive"],
             "wrong": out["wrong"] + into["wrong"],
             "states": [figures["here"], figures["there"]],
             "same": same(figures)}
        self.events.append(e)
        return e

    def event(self, name, text, act, winner, loser_state=None, timeout=15.0):
        """Do it, wait for the election, watch the streams for a while."""
        say("%s: %s" % (name, text))
        self.mark()
        start = now_ns()
        act()
        winner.wait_state("MASTER", timeout=timeout)
        loser = self.minnie if winner is self.mickey else self.mickey
        if loser_state:
            loser.wait_state(loser_state)
        self.wait_streams()
        e = self.note(name, start, winner.name, self.causes(winner, start))
        say("    %s is MASTER (%s); all streams go on" % (e["master"],
                                                          e["cause"]))

    def idle(self):
        say("idle: nothing happens, for comparison")
        self.mark()
        start = now_ns()
        self.stream.wait_packets(IDLE)
        self.note("idle", start, "Mickey", "-")

    def comes_back(self, name, text, act):
        """Mickey has its states before it preempts."""
        self.event(name, text, act, self.mickey, "BACKUP")
        wait_same(self.lab, least=3)

    def restart(self):
        def start():
            self.nodes[0].start()
        self.comes_back("restart", "what is dead on Mickey starts again, "
                        "removes what it has left, and preempts.", start)

    def die(self, name, text, act):
        self.event(name, text, act, self.minnie)
        self.restart()

    def unnoticed(self, name, text, act):
        """Killed, nothing; started, it takes the states before Mickey goes
        on to be MASTER: Minnie may have the work for a moment."""
        self.event(name, text, act, self.mickey, "BACKUP")
        self.sync1.start()
        wait_for(lambda: self.sync1.in_step() and
                 self.sync1.show()["carpd"] and
                 not self.sync1.show()["holding"], 15, "pfsyncd is in step")
        self.cluster.settle()

    def pull(self, net):
        return lambda: self.lab.unplug("fw1", net)

    def plug(self, net):
        return lambda: self.lab.plug("fw1", net)

    def kill_both(self):
        for d in (self.sync1, self.mickey):
            d.freeze()
        for d in (self.sync1, self.mickey):
            d.kill(*d.pids())

    def run(self):
        mickey, minnie = self.mickey, self.minnie
        self.idle()
        self.event("graceful stop", "carpd and pfsyncd on Mickey are told to "
                   "stop.", self.nodes[0].stop, minnie)
        self.comes_back("return", "they start again; carpd waits for the "
                        "states, and preempts.", self.nodes[0].start)
        self.die("kill -9 engine", "the engine of Mickey's carpd is killed.",
                 mickey.kill_engine)
        self.die("kill -9 parent", "the parent of Mickey's carpd is killed.",
                 mickey.kill_parent)
        self.die("kill -9 carpd", "all of carpd on Mickey is killed; its "
                 "kernel forwards until Minnie speaks.", mickey.kill_all)
        self.unnoticed("kill -9 pfsyncd", "all of pfsyncd on Mickey is "
                       "killed, and later started again.",
                       self.sync1.kill_all)
        self.die("kill -9 both", "all of carpd and of pfsyncd on Mickey is "
                 "killed at once.", self.kill_both)
        self.event("LAN cable pulled", "Mickey loses the LAN, not the DMZ.",
                   self.pull("lan"), minnie)
        self.comes_back("LAN cable back", "the cable is put back.",
                        self.plug("lan"))
        self.event("machine gone", "all of Mickey's cables are pulled: nobody "
                   "can tell Minnie.", self.pull("all"), minnie)
        self.comes_back("machine back", "all of them are put back.",
                        self.plug("all"))
        self.event("carpctl demote 50", "the operator moves the work to "
                   "Minnie.", lambda: mickey.ok("demote", "50"), minnie,
                   "BACKUP")
        self.comes_back("carpctl promote 50", "and back.",
                        lambda: mickey.ok("promote", "50"))
        self.without()

    def without(self):
        """The control: the same, but nobody tells Minnie of connections."""
        say("\nThe same without pfsyncd: new TCP streams, and carpd on Mickey "
            "is told to stop.")
        for c in self.conns:
            c.stop()
        for d in (self.sync1, self.sync2):
            d.stop()
        self.connect()
        self.mark()
        start = now_ns()
        self.mickey.stop()
        self.minnie.wait_state("MASTER")
        self.stream.wait_flow()
        since = now_ns()
        wait_for(lambda: now_ns() - since > DEAD_S * 1e9, DEAD_S + 1,
                 "a while", 0.05)
        e = self.note("without pfsyncd", start, "Minnie",
                      self.causes(self.minnie, start))
        reports = [c.report() for c in self.conns]
        e["dead"] = [not r["alive"] or r["heard_ns"] < since for r in reports]
        say("    Minnie is MASTER, and forwards; of the two connections %d "
            "are dead" % sum(e["dead"]))

    def row(self, e, f):
        dead = e.get("dead", [False, False])
        tcp = ["dead" if d else "%.0f" % e[k]
               for d, k in zip(dead, ("snat_ms", "dnat_ms"))]
        return ROW % (
            e["event"], e["cause"], "%.1f" % f.outage_ms, f.lost, *tcp,
            "-" if any(dead) else "intact" if e["alive"] and not e["wrong"]
            else "WRONG", "%d %s %d" % (e["states"][0], "=" if e["same"]
                                        else "/", e["states"][1]),
            e["master"])

    def table(self):
        """The UDP figures are all from the client's packet log."""
        log = self.stream.stop()
        self.stream = None
        say("\n" + ROW % HEAD)
        for e, begin, end in report.windows(self.events):
            f = log.figures(begin, end)
            e.update(outage_ms=f.outage_ms, lost=f.lost, dup=f.dup)
            say(self.row(e, f))
        whole = log.figures(report.EARLY_NS)
        say("\n%d packets sent, %d lost, %d duplicated. states: how many "
            "connections each kernel\nknows, = when they are the same, NAT "
            "included; a dead pfsyncd's are old." %
            (whole.sent, whole.lost, whole.dup))

    def save(self):
        """What the figures were made from."""
        if self.stream is not None:
            self.stream.send.end()
        stage.save(self.dir, self.events,
                   (self.mickey, self.minnie, self.sync1, self.sync2))
        say("The packet log, the events and the daemons' logs: %s" % self.dir)


def main():
    return stage.run("demo", (CARPD, PFSYNCD, STREAM, FLOWS), Lab("demo"),
                     "demo", Demo)


if __name__ == "__main__":
    sys.exit(main())
