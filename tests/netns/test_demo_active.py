# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What `make demo-active` tells is so: its events, from its own files."""
import json
import os
import re
import subprocess
import sys

from lab import LAB

CAUSES = {"idle": "-", "graceful stop": "bow-out", "return": "preempt",
          "kill -9 all": "master down", "machine gone": "master down",
          "machine back": "preempt", "carpctl demote": "peer demoted",
          "carpctl promote": "preempt"}
DAISYS = ("graceful stop", "kill -9 all", "machine gone", "carpctl demote")


def test_demo_active(tmp_path):
    p = subprocess.Popen([sys.executable, str(LAB / "demo_active.py")],
                         text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE,
                         env=dict(os.environ, DEMO_LOG=str(tmp_path)))
    out, said = p.communicate(timeout=240)
    assert p.returncode == 0, out + said
    left = subprocess.run(["sh", str(LAB / "topo.sh"), "list"], text=True,
                          stdout=subprocess.PIPE).stdout.split()
    assert not [x for x in left if x.startswith("ducks%d-" % p.pid)]
    events = [json.loads(line) for line in
              (tmp_path / "events.jsonl").read_text().splitlines()]
    assert {e["event"] for e in events} == set(CAUSES)
    for e in events:
        assert e["cause"] == CAUSES[e["event"]], e
        assert (e["share"][0] == 0) == (e["event"] in DAISYS), e
        assert e["alive"] and e["wrong"] == 0 and e["same"], e
        # nobody could tell Daisy: three intervals, and her own skew
        assert e["outage_ms"] < (4500 if e["event"] == "machine gone" else
                                 250), e
    lost = re.search(r"always Daisy's\n(\d+) packets were lost", out)
    assert lost and int(lost[1]) == 0, out
