# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What goes wrong with a cluster, and what is said about it."""
from lab import PASS, VIP_LAN, VIP_WAN, Capture, Daemon, vmac, wait_for

WAN = """carp1 on wan0 {
	vhid 2 { advbase 0 advskew 100 }
	pass "%s"
	address %s/24
}
""" % (PASS, VIP_WAN)


def conf(skew=100, vhid=1, password=PASS, addresses=(VIP_LAN + "/24",),
         head="preempt yes\nlog 7", more="", wan=""):
    """carp0 on lan0 with three advertisements a second."""
    return """%s
carp0 on lan0 {
	vhid %d { advbase 0 advskew %d }
	pass "%s"
%s	%s
}
%s""" % (head, vhid, skew, password,
         "".join("\taddress %s\n" % a for a in addresses), more, wan)


def garps(capture):
    """How many times the address of the LAN was announced."""
    vip = bytes(int(x) for x in VIP_LAN.split("."))
    return sum(f[12:14] == b"\x08\x06" and f[28:32] == f[38:42] == vip and
               f[6:12] == bytes.fromhex(vmac(1).replace(":", ""))
               for _, f in capture.frames())


def test_split_brain(lab):
    """Two pass phrases, two MASTERs: said at once, and when it is over."""
    mickey, minnie = (Daemon(lab, host, conf(password=password, head=head),
                             name) for host, name, password, head in (
        ("fw1", "Mickey", PASS, "log 0"), ("fw2", "Minnie", "other", "log 7")))
    mickey.start().wait_state("MASTER", ["carp0"])
    assert mickey.vhid("carp0")["split"] is None
    assert mickey.ctl("show", "--check").returncode == 0
    monitor = lab.spawn("fw1", *mickey.ctl_argv("monitor"))
    minnie.start().wait_state("MASTER", ["carp0"])
    both = minnie.transitions()[-1][0]
    for d, other in ((mickey, "172.16.0.201"), (minnie, "172.16.0.200")):
        line = "carp0: split brain: %s is MASTER of vhid 1, too, " % other
        d.proc.wait_line(line)
        assert [t for t, x in d.proc.lines if line in x][0] < both + 3 * 10**9
        split = d.vhid("carp0")["split"]
        assert (split["address"], split["verified"]) == (other, False)
        done = d.ctl("show", "--check")
        assert (done.returncode, done.stdout) == (12, "SPLIT\n")
        assert "SPLIT: %s is MASTER, too (another pass" % other in d.ok("show")
    wire = Capture(lab, "lan", "fw1", "arp")
    minnie.ok("down", "carp0")
    mickey.proc.wait_line("split brain of vhid 1 is over: we are the only")
    minnie.proc.wait_line("split brain of vhid 1 is over: we are not MASTER")
    wait_for(lambda: garps(wire) == 1, 5, "the addresses announced again")
    assert mickey.states() == {"carp0": "MASTER"}
    assert mickey.ctl("show", "--check").stdout == "MASTER\n"
    assert "SPLIT" not in mickey.ok("show")
    assert len(monitor.grep("split brain")) == 2
    assert mickey.text().count("split brain") == 2


def test_no_split_when_it_is_planned(lab):
    """The last word of a master that is relieved is no alarm."""
    mickey, minnie = (Daemon(lab, host, conf(skew), name).start()
                      for host, name, skew in (("fw1", "Mickey", 50),
                                               ("fw2", "Minnie", 100)))
    mickey.wait_state("MASTER", ["carp0"])
    minnie.wait_state("BACKUP", ["carp0"])
    for _ in range(3):
        mickey.ok("demote", "10")
        minnie.wait_state("MASTER", ["carp0"])
        mickey.wait_state("BACKUP", ["carp0"])
        mickey.ok("promote", "10")
        mickey.wait_state("MASTER", ["carp0"])
        minnie.wait_state("BACKUP", ["carp0"])
    for d in (mickey, minnie):
        assert "split" not in d.text()
