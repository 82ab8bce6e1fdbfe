# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""Fixtures of the namespace and interop tests; the means are in lab/lab.py.

A network costs half a second and an election with advbase 1 three, so a file
whose tests leave the pair as they found it shares one (`pair`); a test that
wants its own takes `lab`.
"""
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "lab"))
from lab import Daemon, Lab, config, snapshot  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(
            reason="network namespaces need root"))


@pytest.fixture
def lab():
    with Lab("ns") as the_lab:
        yield the_lab


@pytest.fixture(scope="module")
def shared_lab():
    with Lab("nsm") as the_lab:
        yield the_lab


class Pair:
    """Mickey (fw1, advskew 0) and Minnie (fw2, 100), preempt."""

    def __init__(self, lab, skew=100, **conf):
        self.lab = lab
        self.before = snapshot(lab)
        self.mickey = Daemon(lab, "fw1", config(0, **conf), "Mickey")
        self.minnie = Daemon(lab, "fw2", config(skew, **conf), "Minnie")

    def settle(self, timeout=12.0):
        """Both run, all cables are in, Mickey is MASTER, Minnie BACKUP."""
        for d in (self.mickey, self.minnie):
            if not d.running():
                d.start()
        self.mickey.wait_state("MASTER", timeout=timeout)
        self.minnie.wait_state("BACKUP", timeout=timeout)
        return self


@pytest.fixture(scope="module")
def pair(shared_lab):
    shared_lab.firewall()
    return Pair(shared_lab).settle()


@pytest.fixture
def need():
    """need("ucarp"): what make check installs must be there."""
    def check(tool):
        if shutil.which(tool) is None:
            pytest.fail("%s is missing: sh mk/install-deps.sh" % tool)
        return tool
    return check
