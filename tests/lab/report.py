#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Recompute what an event cost from the client's packet log (stream.c).

    report.py PACKETS EVENTS        table: event, outage, lost, duplicates

PACKETS is the log of `stream send`, EVENTS has one JSON object per line with
"event" and "start_ns" (CLOCK_MONOTONIC, taken just before the event).

An event's window reaches from a little before it (packets under way when it
happened are its victims too) to the next one's.  In it

outage   is the longest gap between two consecutive packets that came back,
         at least one having been lost between them, minus the interval, in ms
         by the times they were sent; 0 when nothing was lost;
lost     counts packets without an echo;
dup      counts echoes beyond the first;
delay    is the longest round trip of those that came back, in ms.
"""
import json
import sys
from bisect import bisect_left
from dataclasses import dataclass

EARLY_NS = 10_000_000       # a round trip's worth before the event


@dataclass
class Packet:
    seq: int
    sent: int
    received: int           # 0: never
    echoes: int


@dataclass
class Figures:
    sent: int
    lost: int
    dup: int
    outage_ms: float
    delay_ms: float


class Log:
    """A sender's packets, in the order of their sequence numbers."""

    def __init__(self, interval, packets):
        self.interval = interval
        self.packets = packets
        self.times = [p.sent for p in packets]

    @classmethod
    def load(cls, path):
        interval, packets = 0, []
        with open(path) as f:
            for line in f:
                if line.startswith("# interval_ns"):
                    interval = int(line.split()[2])
                elif not line.startswith("#"):
                    packets.append(Packet(*(int(x) for x in line.split())))
        return cls(interval, packets)

    def _window(self, begin, end):
        return (bisect_left(self.times, begin),
                len(self.times) if end is None
                else bisect_left(self.times, end))

    def figures(self, begin=0, end=None):
        """What happened to the packets sent in [begin, end) ns."""
        lo, hi = self._window(begin, end)
        window = self.packets[lo:hi]
        back = [p for p in window if p.received]
        return Figures(
            len(window), len(window) - len(back),
            sum(p.echoes - 1 for p in back), self._outage(lo, hi),
            max((p.received - p.sent for p in back), default=0) / 1e6)

    def _outage(self, lo, hi):
        worst, i = 0, lo
        while i < hi:
            if self.packets[i].received:
                i += 1
                continue
            j = i                   # the run of lost packets i..j-1
            while j < len(self.packets) and not self.packets[j].received:
                j += 1
            first = self.times[i - 1] if i > 0 else self.times[i]
            last = self.times[min(j, len(self.times) - 1)]
            worst = max(worst, last - first - self.interval)
            i = j
        return worst / 1e6


def windows(events):
    """(event, begin, end) of each, end None for the last."""
    starts = [e["start_ns"] - EARLY_NS for e in events]
    return zip(events, starts, starts[1:] + [None])


def main(argv):
    if len(argv) != 3:
        print("usage: report.py PACKETS EVENTS", file=sys.stderr)
        return 2
    log = Log.load(argv[1])
    with open(argv[2]) as f:
        events = [json.loads(line) for line in f]
    print("%-32s %10s %6s %5s %10s" %
          ("event", "outage ms", "lost", "dup", "delay ms"))
    for event, begin, end in windows(events):
        f = log.figures(begin, end)
        print("%-32s %10.1f %6d %5d %10.1f" %
              (event["event"], f.outage_ms, f.lost, f.dup, f.delay_ms))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
