#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A two-firewall cluster dies in many ways and a client looks on.

`make demo` runs this as root.  Everything happens in network namespaces of its
own and is removed however it ends.  The client's packet log, the events and
both daemons' logs stay in DEMO_LOG (default: a new directory in /tmp), so that
every figure of the final table can be recomputed:

    report.py $DEMO_LOG/packets.log $DEMO_LOG/events.jsonl
"""
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402
from lab import (CARPD, SERVER4, STREAM, VIP_LAN, Daemon, Lab,  # noqa: E402
                 Stream, Timeout, config, now_ns, wait_for)

PICTURE = """
   client 172.16.0.10                           one packet a millisecond,
      |                                         to the server and back
   ===+======== LAN ==== 172.16.0.202 ====+=========== vhid 1
      |                                   |
   Mickey 172.16.0.200              Minnie 172.16.0.201
   advskew 0                        advskew 100
      |                                   |
   ===+======== DMZ ==== 172.16.240.202 ==+=========== vhid 2
      |
   server 172.16.240.10
"""

SETTLE = 300        # packets that must come back before the next event
IDLE = 1500         # packets of the control run


def say(text):
    print(text, flush=True)


class Demo:
    def __init__(self, lab, logdir):
        self.lab = lab
        self.dir = logdir
        self.mickey = Daemon(lab, "fw1", config(0), "Mickey")
        self.minnie = Daemon(lab, "fw2", config(100), "Minnie")
        self.stream = None
        self.events = []

    def prepare(self):
        say(PICTURE)
        say("Both firewalls forward by nftables rules: policy drop, stateful, "
            "no NAT.")
        self.lab.firewall()
        say("carpd starts on Mickey; it listens for three advertisements "
            "before it claims anything.")
        self.mickey.start()
        self.mickey.wait_state("MASTER")
        say("Mickey is MASTER of both networks. carpd starts on Minnie.")
        self.minnie.start()
        self.minnie.wait_state("BACKUP")
        wait_for(lambda: self.lab.pings("client", SERVER4), 5,
                 "the client reaches the server")
        self.stream = Stream(self.lab, path=self.dir / "packets.log")
        self.stream.wait_flow()
        say("The client's stream flows through %s.\n" % VIP_LAN)

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

    def event(self, name, text, act, winner, loser_state=None, timeout=12.0):
        """Do it, wait for the election, watch the stream for a while."""
        say("%s: %s" % (name, text))
        start = now_ns()
        act()
        winner.wait_state("MASTER", timeout=timeout)
        loser = self.minnie if winner is self.mickey else self.mickey
        if loser_state:
            loser.wait_state(loser_state)
        self.stream.wait_flow(now_ns())
        self.stream.wait_packets(SETTLE)
        e = {"event": name, "start_ns": start, "winner": winner.name,
             "cause": self.causes(winner, start), "master": self.who()}
        self.events.append(e)
        say("    %s is MASTER (%s)" % (e["master"], e["cause"]))

    def idle(self):
        say("idle: nothing happens, for comparison")
        self.events.append({"event": "idle", "start_ns": now_ns(),
                            "winner": "Mickey", "cause": "-",
                            "master": self.who()})
        self.stream.wait_packets(IDLE)

    def comes_back(self, name, text, act):
        self.event(name, text, act, self.mickey, "BACKUP")

    def restart(self):
        self.comes_back("restart", "carpd starts on Mickey again, removes what "
                        "the dead one left, and preempts.", self.mickey.start)

    def die(self, name, text, act):
        self.event(name, text, act, self.minnie)
        self.restart()

    def pull(self, net):
        return lambda: self.lab.unplug("fw1", net)

    def plug(self, net):
        return lambda: self.lab.plug("fw1", net)

    def run(self):
        mickey, minnie = self.mickey, self.minnie
        self.idle()
        self.event("graceful stop", "carpd on Mickey is told to stop.",
                   mickey.stop, minnie)
        self.comes_back("return", "carpd on Mickey starts again and preempts.",
                        mickey.start)
        self.die("kill -9 engine", "Mickey's engine is killed.",
                 mickey.kill_engine)
        self.die("kill -9 parent", "Mickey's parent is killed.",
                 mickey.kill_parent)
        self.die("kill -9 all", "All of carpd on Mickey is killed; its kernel "
                 "forwards until Minnie speaks.", mickey.kill_all)
        self.event("LAN cable pulled", "Mickey loses the LAN, not the DMZ.",
                   self.pull("lan"), minnie)
        self.comes_back("LAN cable back", "The cable is put back.",
                        self.plug("lan"))
        self.event("machine gone", "All of Mickey's cables are pulled: nobody "
                   "can tell Minnie.", self.pull("all"), minnie)
        self.comes_back("machine back", "All of them are put back.",
                        self.plug("all"))
        self.event("carpctl demote 50", "The operator moves the work to "
                   "Minnie.", lambda: mickey.ok("demote", "50"), minnie,
                   "BACKUP")
        self.comes_back("carpctl promote 50", "And back.",
                        lambda: mickey.ok("promote", "50"))

    def table(self):
        """The figures, all from the client's packet log."""
        log = self.stream.stop()
        self.stream = None
        say("\n%-20s %-34s %10s %6s  %s" %
            ("event", "cause, as logged by the new MASTER", "outage ms",
             "lost", "MASTER"))
        for e, begin, end in report.windows(self.events):
            f = log.figures(begin, end)
            e.update(outage_ms=f.outage_ms, lost=f.lost, dup=f.dup)
            say("%-20s %-34s %10.1f %6d  %s" %
                (e["event"], e["cause"], f.outage_ms, f.lost, e["master"]))
        whole = log.figures(report.EARLY_NS)
        say("\n%d packets sent, %d lost, %d duplicated." %
            (whole.sent, whole.lost, whole.dup))

    def save(self):
        """What the figures were made from."""
        if self.stream is not None:
            self.stream.send.end()
        with open(self.dir / "events.jsonl", "w") as f:
            for e in self.events:
                f.write(json.dumps(e) + "\n")
        for d in (self.mickey, self.minnie):
            lines = d.log + (d.proc.lines if d.proc else [])
            (self.dir / (d.name + ".log")).write_text(
                "".join("%d %s\n" % line for line in lines))
        say("The packet log, the events and both daemons' logs: %s" % self.dir)


def on_signal(sig, _frame):
    # once is enough: what cleans up must not be disturbed
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    sys.exit(128 + sig)


def main():
    if os.geteuid() != 0:
        print("demo: needs root, for network namespaces", file=sys.stderr)
        return 1
    for tool in (CARPD, STREAM):
        if not os.access(tool, os.X_OK):
            print("demo: %s is not built: run make" % tool, file=sys.stderr)
            return 1
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, on_signal)
    logdir = Path(os.environ.get("DEMO_LOG") or
                  tempfile.mkdtemp(prefix="carpd-demo."))
    logdir.mkdir(parents=True, exist_ok=True)
    status = 0
    Lab.sweep("demo")
    with Lab("demo") as lab:
        demo = Demo(lab, logdir)
        try:
            demo.prepare()
            demo.run()
            demo.table()
        except (Timeout, AssertionError) as e:
            print("demo: failed: %s" % e, file=sys.stderr)
            status = 1
        finally:
            demo.save()
    return status


if __name__ == "__main__":
    sys.exit(main())
