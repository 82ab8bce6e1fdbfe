# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What every demo needs around it: root, the programs, a place for its logs,
and an end that removes everything, whatever happens.
"""
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from lab import Timeout


def on_signal(sig, _frame):
    # once is enough: what cleans up must not be disturbed
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, signal.SIG_IGN)
    sys.exit(128 + sig)


def save(logdir, events, daemons):
    """The events, and what the daemons said, with times."""
    with open(logdir / "events.jsonl", "w") as f:
        for e in events:
            f.write(json.dumps(e) + "\n")
    for d in daemons:
        lines = d.log + (d.proc.lines if d.proc else [])
        (logdir / (d.name + d.suffix + ".log")).write_text(
            "".join("%d %s\n" % line for line in lines))


def run(name, tools, lab, prefix, kind):
    """Play kind(lab, logdir): prepare, run, table, save.  What a killed run
    left under the prefix is removed first.  Exit status."""
    if os.geteuid() != 0:
        print("%s: needs root, for network namespaces" % name,
              file=sys.stderr)
        return 1
    for tool in tools:
        if not os.access(tool, os.X_OK):
            print("%s: %s is not built: run make" % (name, tool),
                  file=sys.stderr)
            return 1
    for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, on_signal)
    logdir = Path(os.environ.get("DEMO_LOG") or
                  tempfile.mkdtemp(prefix="carpd-%s." % name))
    logdir.mkdir(parents=True, exist_ok=True)
    lab.sweep(prefix)
    with lab:
        demo = kind(lab, logdir)
        try:
            demo.prepare()
            demo.run()
            demo.table()
        except (Timeout, AssertionError) as e:
            print("%s: failed: %s" % (name, e), file=sys.stderr)
            return 1
        finally:
            demo.save()
    return 0
