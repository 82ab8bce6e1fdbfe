#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Donald and Daisy share the work; one dies, comes back, and streams go on.

`make demo-active` runs this as root, in network namespaces of its own, which
are removed however it ends.  The streams' packet logs (report.py reads them),
the events and the daemons' logs stay in DEMO_LOG (default: a new directory in
/tmp).
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402
import stage  # noqa: E402
from active import LAN, PASS, Flock, config  # noqa: E402
from lab import (CARPD, PFSYNCD, STREAM, Timeout, now_ns,  # noqa: E402
                 wait_for)
from sync import (Conn, Sync, compare, entries, same,  # noqa: E402
                  sync_config)

PICTURE = """
   four clients 172.16.0.10 - .13     each sends UDP to both servers, a packet
      |                               every 4 ms, and holds a TCP connection
   ===+======== LAN ==== 172.16.0.202 ====+=========== balancing ip, vhid 1, 2
      |                                   |
   Donald 172.16.0.200  -- sync --   Daisy 172.16.0.201
   vhid 1 and 101: advskew 0         vhid 2 and 102: advskew 0
      |                                   |
   ===+======== WAN ==== 172.16.240.202 ==+=========== balancing ip, vhid 101,
      |                                                                   102
   two servers 172.16.240.10, .11     TCP comes from 172.16.240.210 (vhid 201,
                                      Donald) or .211 (vhid 202, Daisy)
"""

NAT = ("172.16.240.210", "172.16.240.211")
RULES = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan0" ip saddr 172.16.0.0/24 meta l4proto tcp snat to %s
    }
}
table inet fw {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        ct state invalid counter drop
        tcp flags & (fin | syn | rst | ack) != syn ct state new counter drop
        iifname "lan0" oifname "wan0" accept
    }
}
"""
SAMPLE = 150        # packets of each stream, to see who forwards what
HEAD = ("event", "cause, as logged", "Donald", "Daisy", "UDP ms", "lost",
        "dup", "TCP ms", "bytes", "states")
ROW = "%-17s %-22s %7s %7s %8s %5s %4s %7s  %-7s %s"
BOTH, DAISY = {0: 0, 1: 1}, {0: 1, 1: 1}


def say(text):
    print(text, flush=True)


def nat_interfaces(i):
    """An address for each to translate to, that it is the MASTER of."""
    return "".join("""carp%d on wan0 {
	vhid %d { advskew %d }
	pass "%s"
	address %s/24
}
""" % (2 + k, 201 + k, 0 if k == i else 100, PASS, addr)
                   for k, addr in enumerate(NAT))


class Demo:
    def __init__(self, lab, logdir):
        self.lab, self.dir = lab, logdir
        self.flock = Flock(lab, "ip")
        self.flock.logdir = logdir
        self.syncs = []
        for i, d in enumerate(self.flock.ducks):
            d.write(config(i, 2, "ip", base=1, tail=nat_interfaces(i),
                           head="preempt yes\nlog 7\nsync wait 10"))
            self.syncs.append(Sync(lab, d.host, sync_config(d.sock), d.name))
        self.donald, self.daisy = self.flock.ducks
        self.conns = []
        self.events = []

    def start(self, i):
        """pfsyncd, then carpd, which waits for the states."""
        for d in (self.syncs[i], self.flock.ducks[i]):
            if not d.running():
                d.start()

    def prepare(self):
        say(PICTURE)
        say("Both forward by nftables rules: policy drop, stateful, invalid "
            "packets are dropped,\nand the kernel takes up no connection in "
            "the middle. Each translates TCP to the\naddress that it is the "
            "MASTER of, so that the answers come to it.")
        for host, addr in zip(self.flock.hosts, NAT):
            self.lab.run(host, "nft", "-f", "-", data=RULES % addr)
            self.lab.sysctl(host, nf_conntrack_tcp_loose=0,
                            nf_conntrack_tcp_be_liberal=0)
        say("pfsyncd and carpd start on both.")
        for i in range(2):
            self.start(i)
        self.wait(BOTH)
        for s in self.syncs:
            s.wait_in_step()
        self.flock.stream_all()
        for k, client in enumerate(self.flock.clients):
            server = list(self.flock.servers)[k % 2]
            self.conns.append(Conn(self.lab, client, server,
                                   self.flock.servers[server], 7300 + k,
                                   interval_us=10000))
        for c in self.conns:
            c.wait_flow()
        # to the kernel a UDP stream is one after two seconds, and Daisy's
        # shall not notice that while Donald is away
        wait_for(lambda: all("ASSURED" in e for h in self.flock.hosts
                             for e in entries(self.lab, h)), 15,
                 "both know the streams for what they are")
        say("Eight UDP streams and four TCP connections flow.\n")

    def wait(self, owners):
        """Also of the addresses that are translated to."""
        self.flock.wait_owners(owners)

        def masters():
            return all(self.flock.ducks[owners[k]].states().get(
                "carp%d" % (2 + k)) == "MASTER" for k in range(2))
        wait_for(masters, 15, "a MASTER of both addresses of the NAT", 0.02)

    def cause(self, since):
        """Of what somebody became MASTER of."""
        seen = {cause for d in self.flock.ducks
                for _, iface, _, to, cause in d.transitions(since)
                if to == "MASTER"}
        return ", ".join(sorted(seen)) or "-"

    def sample(self):
        """Packets that each firewall forwards, of 100."""
        self.flock.reset()
        self.flock.wait_packets(SAMPLE)
        n = [sum(self.flock.counts(h).values()) for h in self.flock.hosts]
        return [100 * x / sum(n) for x in n]

    def event(self, name, text, act, owners):
        say("%s: %s" % (name, text))
        for c in self.conns:
            c.mark()
        start = now_ns()
        act()
        self.wait(owners)
        since = now_ns()
        for s in self.flock.streams.values():
            s.wait_flow(since)
        for c in self.conns:
            c.wait_flow(since)
        share = self.sample()
        reports = [c.report() for c in self.conns]
        both = all(s.running() for s in self.syncs)
        figures = self.tables() if both else compare(self.lab)[0]
        self.events.append({
            "event": name, "start_ns": start, "cause": self.cause(start),
            "share": share, "tcp_ms": max(r["stall_ms"] for r in reports),
            "alive": all(r["alive"] for r in reports),
            "wrong": sum(r["wrong"] for r in reports),
            "states": [figures["here"], figures["there"]],
            "same": same(figures)})
        say("    Donald forwards %.0f %% of the packets, Daisy %.0f %%; all "
            "streams go on" % tuple(share))

    def tables(self):
        """The last change may be on its way."""
        last = []

        def equal():
            last[:] = [compare(self.lab)[0]]
            return same(last[0])
        try:
            wait_for(equal, 5, "equal tables", 0.05)
        except Timeout:
            pass
        return last[0]

    def kill_donald(self):
        """Nobody may say a word."""
        for d in (self.syncs[0], self.donald):
            d.freeze()
        for d in (self.syncs[0], self.donald):
            d.kill(*d.pids())

    def stop_donald(self):
        self.donald.stop()
        self.syncs[0].stop()

    def run(self):
        def back(name, text, act):
            self.event(name, text, act, BOTH)
            for s in self.syncs:
                s.wait_in_step()
        self.event("idle", "nothing happens, for comparison", lambda: None,
                   BOTH)
        self.event("graceful stop", "carpd and pfsyncd on Donald are told to "
                   "stop.", self.stop_donald, DAISY)
        back("return", "they start again, take the states, and then Donald's "
             "share.", lambda: self.start(0))
        self.event("kill -9 all", "carpd and pfsyncd on Donald are killed; "
                   "his kernel forwards until Daisy speaks.",
                   self.kill_donald, DAISY)
        back("return", "they start again.", lambda: self.start(0))
        self.event("machine gone", "all of Donald's cables are pulled: nobody "
                   "can tell Daisy.", lambda: self.lab.unplug("fw1", "all"),
                   DAISY)
        back("machine back", "all of them are put back.",
             lambda: self.lab.plug("fw1", "all"))
        self.event("carpctl demote", "the operator gives all to Daisy.",
                   lambda: self.donald.ok("demote", "50"), DAISY)
        back("carpctl promote", "and takes it back.",
             lambda: self.donald.ok("promote", "50"))
        say("\nWhat carpctl shows on Donald:\n")
        say(self.donald.ok("show", LAN))

    def table(self):
        """The UDP figures are all from the clients' packet logs."""
        logs = self.flock.stop_streams()
        say(ROW % HEAD)
        for e, begin, end in report.windows(self.events):
            f = [log.figures(begin, end) for log in logs.values()]
            e.update(outage_ms=max(x.outage_ms for x in f),
                     lost=sum(x.lost for x in f), dup=sum(x.dup for x in f))
            say(ROW % (e["event"], e["cause"], "%.0f %%" % e["share"][0],
                       "%.0f %%" % e["share"][1], "%.1f" % e["outage_ms"],
                       e["lost"], e["dup"], "%.0f" % e["tcp_ms"],
                       "intact" if e["alive"] and not e["wrong"] else "WRONG",
                       "%d %s %d" % (e["states"][0], "=" if e["same"] else
                                     "/", e["states"][1])))
        whole = {k: log.figures(report.EARLY_NS) for k, log in logs.items()}
        node = {k: self.flock.node(k[0], self.flock.clients[k[0]],
                                   self.flock.servers[k[1]]) for k in whole}
        say("\n%d packets sent, %d lost, %d duplicated; of the %d streams that "
            "are always Daisy's\n%d packets were lost. UDP ms and TCP ms are "
            "those of the worst stream, lost and dup\nof all together; states: "
            "how many connections each kernel knows, = when they are\nthe "
            "same." % (
                sum(f.sent for f in whole.values()),
                sum(f.lost for f in whole.values()),
                sum(f.dup for f in whole.values()),
                sum(node.values()),
                sum(f.lost for k, f in whole.items() if node[k] == 1)))

    def save(self):
        stage.save(self.dir, self.events,
                   self.flock.ducks + self.syncs)
        say("The packet logs, the events and the daemons' logs: %s" % self.dir)


def main():
    return stage.run("demo-active", (CARPD, PFSYNCD, STREAM),
                     Flock.up("ducks", "ip"), "ducks", Demo)


if __name__ == "__main__":
    sys.exit(main())
