#!/usr/bin/python3
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""A bad cable between two ports: loses, doubles, delays frames by chance.

    lossy.py DEV DEV LOSS DOUBLE DELAY SEED

Percentages, each way.  A delayed frame goes out after up to MORE others, or
after LATE_S.  For kernels without netem; runs in the switch's namespace, the
ports being out of the bridge.  Ends on SIGTERM with one line of JSON: how many
frames met what.
"""
import json
import random
import select
import signal
import socket
import sys
import time

MORE = 8
LATE_S = 0.03
IGNORE_OUTGOING = 23        # PACKET_IGNORE_OUTGOING
SOL_PACKET = 263
SO_RCVBUFFORCE = 33


class Port:
    def __init__(self, dev):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.sock.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.sock.bind((dev, 3))        # ETH_P_ALL
        self.held = []                  # (frames to wait for, until, frame)

    def put(self, frame):
        try:
            self.sock.send(frame)
        except OSError:
            pass                        # a frame too long, a port down: lost

    def release(self, now, passed=0):
        """Send what has waited long enough."""
        kept = []
        for left, until, frame in self.held:
            if left - passed <= 0 or now > until:
                self.put(frame)
            else:
                kept.append((left - passed, until, frame))
        self.held = kept


class Cable:
    def __init__(self, devs, percents, seed):
        self.ports = [Port(d) for d in devs]
        self.loss, self.double, self.delay = percents
        self.dice = random.Random(seed)
        self.met = dict.fromkeys(("frames", "lost", "doubled", "delayed"), 0)

    def chance(self, percent, what):
        hit = self.dice.random() * 100 < percent
        self.met[what] += hit
        return hit

    def frame(self, frame, out, now):
        self.met["frames"] += 1
        if self.chance(self.loss, "lost"):
            return
        if self.chance(self.double, "doubled"):
            out.put(frame)
        if self.chance(self.delay, "delayed"):
            out.held.append((self.dice.randrange(1, MORE), now + LATE_S,
                             frame))
            return
        out.put(frame)
        out.release(now, 1)

    def run(self):
        a, b = self.ports
        to = {a.sock: b, b.sock: a}
        while True:
            ready, _, _ = select.select(list(to), [], [], LATE_S / 2)
            now = time.monotonic()
            for sock in ready:
                self.frame(sock.recv(65536), to[sock], now)
            for port in self.ports:
                port.release(now)


def main(argv):
    if len(argv) != 7:
        print(__doc__, file=sys.stderr)
        return 2
    cable = Cable(argv[1:3], [float(x) for x in argv[3:6]], int(argv[6]))

    def done(*_):
        print(json.dumps(cable.met), flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, done)
    print("ready", flush=True)
    cable.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
