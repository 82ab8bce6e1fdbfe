# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""The demo's table is true: its figures follow from the client's packet log,
recomputed here by other means than the demo's, its causes stand in the logs."""
import json
import os
import re
import subprocess
import sys

import pytest
from lab import LAB, now_ns, wait_for

EARLY = 10_000_000      # as the demo: packets under way belong to the event
EXPECTED = {            # event: (who is MASTER afterwards, why)
    "idle": ("Mickey", "-"),
    "graceful stop": ("Minnie", "bow-out"),
    "return": ("Mickey", "preempt"),
    "kill -9 engine": ("Minnie", "engine died"),
    "restart": ("Mickey", "preempt"),
    "kill -9 parent": ("Minnie", "parent died"),
    "kill -9 carpd": ("Minnie", "master down"),
    "kill -9 pfsyncd": ("Mickey", "-"),
    "kill -9 both": ("Minnie", "master down"),
    "LAN cable pulled": ("Minnie", "carp0 peer gone, carp1 peer demoted"),
    "LAN cable back": ("Mickey", "preempt"),
    "machine gone": ("Minnie", "master down"),
    "machine back": ("Mickey", "preempt"),
    "carpctl demote 50": ("Minnie", "peer demoted"),
    "carpctl promote 50": ("Mickey", "preempt"),
    "without pfsyncd": ("Minnie", "bow-out"),
}
PLANNED = ("graceful stop", "return", "kill -9 pfsyncd", "carpctl demote 50",
           "carpctl promote 50")
PLANNED_MS = 1000       # of a TCP stream, that never has to send again


def labs(pid):
    """Those of the demo that is, or was, this process."""
    out = subprocess.run(["sh", str(LAB / "topo.sh"), "list"], text=True,
                         stdout=subprocess.PIPE).stdout.split()
    return {p for p in out if p.startswith("demo%d-" % pid)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What one run said and left."""
    logdir = tmp_path_factory.mktemp("demo")
    p = subprocess.Popen([sys.executable, str(LAB / "demo.py")], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         env=dict(os.environ, DEMO_LOG=str(logdir)))
    out, said = p.communicate(timeout=180)
    assert p.returncode == 0, out + said
    assert labs(p.pid) == set()
    events = [json.loads(line) for line in
              (logdir / "events.jsonl").read_text().splitlines()]
    return out, logdir, events


def lost_runs(packets, begin, end):
    """Lengths in ms and packets of each run of losses begun in the window."""
    runs, previous, lost = [], None, []
    for sent, received in packets:
        if not received:
            lost.append(sent)
            continue
        if lost and begin <= lost[0] < end:
            runs.append(((sent - previous) / 1e6, len(lost)))
        previous, lost = sent, []
    return runs


def test_every_event_and_cause(demo):
    _, _, events = demo
    assert {e["event"] for e in events} == set(EXPECTED)
    for e in events:
        assert (e["master"], e["cause"]) == EXPECTED[e["event"]], e["event"]


def test_table_follows_from_the_packet_log(demo):
    out, logdir, events = demo
    lines = (logdir / "packets.log").read_text().splitlines()
    interval = int(lines[0].split()[2]) / 1e6
    packets = [tuple(int(x) for x in line.split()[1:3])
               for line in lines if not line.startswith("#")]
    table = out[out.index("UDP ms"):]
    begins = [e["start_ns"] - EARLY for e in events] + [1 << 62]
    for e, begin, end in zip(events, begins, begins[1:]):
        runs = lost_runs(packets, begin, end)
        lost = sum(n for _, n in runs)
        outage = max((ms - interval for ms, _ in runs), default=0.0)
        row = re.compile(r"^%s +%s +%.1f +%d +%s +%s +\S+ +%d . %d +%s$" % (
            re.escape(e["event"]), re.escape(e["cause"]), outage, lost,
            *(r"dead" if e["event"] == "without pfsyncd" else "%.0f" % e[k]
              for k in ("snat_ms", "dnat_ms")), *e["states"], e["master"]),
            re.M)
        assert row.search(table), "%s: outage %.1f ms, %d lost, but:\n%s" % (
            e["event"], outage, lost, table)


def test_figures_are_what_the_project_promises(demo):
    _, _, events = demo
    for e in events[:-1]:
        if e["event"] in PLANNED:
            assert e["lost"] <= events[0]["lost"], e
            assert max(e["snat_ms"], e["dnat_ms"]) < PLANNED_MS, e
        elif e["event"] not in ("machine gone", "LAN cable back",
                                "machine back"):
            assert e["outage_ms"] < 250, e


def test_every_connection_lived_and_was_whole(demo):
    _, _, events = demo
    for e in events[:-1]:
        assert e["alive"] and e["wrong"] == 0, e
        assert min(e["states"]) >= 3, e
        if "kill" not in e["event"] and e["event"] not in ("graceful stop",
                                                           "machine gone"):
            assert e["same"], e


def test_the_control_died(demo):
    """Without pfsyncd, by the gentlest of all ends."""
    _, _, events = demo
    assert events[-1]["event"] == "without pfsyncd"
    assert events[-1]["dead"] == [True, True], events[-1]


def test_interrupted_demo_cleans_up(tmp_path):
    """A signal in the middle of it."""
    p = subprocess.Popen([sys.executable, str(LAB / "demo.py")],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, env=dict(os.environ,
                                             DEMO_LOG=str(tmp_path)))
    start = now_ns()
    wait_for(lambda: p.stdout.readline().startswith("The streams flow"),
             30, "the demo's streams")
    assert labs(p.pid) != set()
    p.terminate()
    p.communicate(timeout=30)
    assert p.returncode == 128 + 15
    assert labs(p.pid) == set(), "after %.1f s" % ((now_ns() - start) / 1e9)
