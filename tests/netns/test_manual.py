# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What the manual for administrators from OpenBSD says to write, tried: its
rules are rules for nft, its blocks are for carpd.conf, its commands are
commands; and so are the rules of the sample and of README.md."""
import re
import subprocess

import pytest
from lab import CARPCTL, CARPD, TREE, Lab

PAGE = TREE / "man/carpd-openbsd.7"
OTHERS = TREE / "conf/pfsyncd.conf.sample", TREE / "README.md"
CONF = TREE / "man/pfsyncd.conf.5"


def blocks(page=PAGE):
    """The literal blocks of a page, each with the heading above it."""
    heading, block, found = "", None, []
    for line in page.read_text().splitlines():
        if line.startswith((".Ss ", ".It ", ".Sh ")):
            heading = line.split(" ", 1)[1]
        elif line.startswith(".Bd -literal"):
            block = []
        elif line.startswith(".Ed"):
            found.append((heading, "\n".join(block) + "\n"))
            block = None
        elif block is not None:
            block.append(line.replace("\\e", "\\"))
    return found


def other_rules():
    """Tables elsewhere, also in comments: from `table' to its last brace."""
    text = "\n".join(re.sub(r"(?m)^#\t?", "", f.read_text()) for f in OTHERS)
    return re.findall(r"(?ms)^table .*?^}$", text)


RULES = [b for b in blocks() + blocks(CONF) if b[1].startswith("table ")]
CONFS = [b for b in blocks() if not b[1].startswith("table ")]
COMMANDS = re.findall(r"(?m)^(?:\.It |\.)Ic (carpctl .*?)(?: [,;.:].*)?$",
                      PAGE.read_text())


@pytest.fixture(scope="module")
def a_lab():
    with Lab("nsn") as lab:
        yield lab


def nft(lab, *args, rules=None):
    return subprocess.run(["ip", "netns", "exec", lab.ns("fw1"), "nft", *args],
                          input=rules, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=20)


def without_queue(lab, rules):
    """Where the kernel has no queue for nft, the rest of the rule is tried."""
    probe = "table inet probe { chain c { queue flags bypass to 240; } }"
    if " queue " in rules and nft(lab, "-c", "-f", "-",
                                  rules=probe).returncode != 0:
        return rules.replace("queue flags bypass to 240", "accept")
    return rules


def load(lab, rules):
    """Checked, then loaded for real: what the kernel refuses, -c may not."""
    rules = without_queue(lab, rules)
    done = nft(lab, "-c", "-f", "-", rules=rules)
    if done.returncode == 0:
        done = nft(lab, "-f", "-", rules=rules)
        assert nft(lab, "flush", "ruleset").returncode == 0
    return done


@pytest.mark.parametrize("heading,rules", RULES,
                         ids=[re.sub(r"\W+", "-", h) for h, _ in RULES])
def test_rules(a_lab, heading, rules):
    done = load(a_lab, rules)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("n", range(len(other_rules())))
def test_rules_elsewhere(a_lab, n):
    done = load(a_lab, other_rules()[n])
    assert done.returncode == 0, done.stdout


def test_wrong_rules_are_seen(a_lab):
    wrong = RULES[0][1].replace("notrack", "nottrack", 1)
    assert load(a_lab, wrong).returncode != 0


def test_all_are_found():
    assert len(RULES) >= 9 and len(CONFS) >= 1
    assert len(other_rules()) >= 5
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("heading,text", CONFS, ids=[h for h, _ in CONFS])
def test_configuration(tmp_path, heading, text):
    conf = tmp_path / "carpd.conf"
    conf.write_text(text)
    conf.chmod(0o600)
    done = subprocess.run([CARPD, "-n", "-f", str(conf)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_command(tmp_path, command):
    """carpctl knows the words: what is missing is the daemon (3)."""
    words = command.split()[1:]
    none = str(tmp_path / "none")
    done = subprocess.run([CARPCTL, "-s", none, "-S", none, *words], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 3, done.stderr
