# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""The fastest timers: a pair with advbase 0, watched for false takeovers.

Used by the namespace tests for seconds, by tests/long for minutes, and by the
bench.
"""
import contextlib

from lab import Daemon, Hogs, Witness, config, now_ns, vmac, wait_for

class FastPair:
    """Mickey with advbase 0 and an advskew, Minnie one behind."""

    def __init__(self, lab, skew=0, behind=1, head="preempt yes\nlog 7"):
        self.lab = lab
        self.mickey = Daemon(lab, "fw1", config(skew, base=0, head=head),
                             "Mickey")
        self.minnie = Daemon(lab, "fw2", config(skew + behind, base=0,
                                                head=head), "Minnie")

    def settle(self, timeout=15):
        for d in (self.mickey, self.minnie):
            if not d.running():
                d.start()
        self.mickey.wait_state("MASTER", timeout=timeout)
        self.minnie.wait_state("BACKUP", timeout=timeout)
        self.minnie.wait_heard(timeout)
        return self

    def transitions(self, since):
        return sorted(self.mickey.transitions(since) +
                      self.minnie.transitions(since))

    def lateness(self):
        """{"Mickey adlate": {bucket: n}, ...}, empty buckets left out."""
        found = {}
        for d in (self.mickey, self.minnie):
            for name, n in d.counters().items():
                kind, _, bucket = name.partition("-")
                if kind in ("adlate", "mdlate") and n:
                    found.setdefault(d.name + " " + kind, {})[bucket] = n
        return found


def lull(lab, seconds, skew, hogs):
    """Nothing happens for that long.  (takeovers that nothing explains,
    those at which the machine itself stood still, lateness)"""
    with contextlib.ExitStack() as stack:
        witness = Witness(lab)
        pair = FastPair(lab, skew).settle()
        if hogs:
            stack.enter_context(Hogs(hogs))
        start = now_ns()
        wait_for(lambda: now_ns() - start > seconds * 1e9, seconds + 60,
                 "the time is over", 0.2)
        bad, excused = [], []
        for t in pair.transitions(start):
            # that he preempts afterwards follows from it
            if t[3] != "MASTER" or t[4] != "master down":
                continue
            # a stall of a good interval ends in it, or shortly before
            stalls = witness.stalls(t[0] - 50_000_000, t[0])
            (excused if stalls else bad).append(
                (t, stalls or witness.stalls(t[0] - 500_000_000, t[0])))
        return bad, excused, pair.lateness()


def is_advert(frame):
    return frame[12:14] == b"\x08\x00" and frame[23] == 112


def gap(frames, mac=vmac(1)):
    """From Mickey's last advertisement on the LAN to Minnie's first, ns."""
    want = bytes(int(x, 16) for x in mac.split(":"))
    last = max(t for t, f in frames["fw1"] if is_advert(f) and
               f[6:12] == want)
    return min(t for t, f in frames["fw2"] if is_advert(f) and
               f[6:12] == want and t > last) - last
