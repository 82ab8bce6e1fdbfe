# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
"""What else comes to hosts that share: connections that end there, broadcast
and multicast, errors of ICMP about what they forward; and a bridge as carpdev.
"""
from active import PASS, Flock, config, fold
from lab import VIP6_LAN, VIP_LAN, VIP_WAN, wait_for
from sync import Conn, Sync, sync_config
from test_active_nat import rules

FAR4, FAR6 = "10.9.0.2", "2001:db8:9::2"
NARROW = 1300               # the last link's MTU; IPv6 has at least 1280
BULK = 100000
BOTH, DAISY = {0: 0, 1: 1}, {0: 1, 1: 1}

# Says who it is to each connection, and whose packets it got by what address.
LISTEN = """
import selectors, socket, struct, sys
name = sys.argv[1]
tcp = socket.create_server(("::", 7777), family=socket.AF_INET6,
                           dualstack_ipv6=True)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 7778))
udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
               socket.inet_aton("224.0.1.1") + socket.inet_aton(sys.argv[2]))
sel = selectors.DefaultSelector()
sel.register(tcp, selectors.EVENT_READ)
sel.register(udp, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in sel.select():
        if key.fileobj is udp:
            print("got", udp.recv(100).decode(), flush=True)
        else:
            conn, _ = tcp.accept()
            conn.sendall(name.encode())
            conn.close()
"""

ASK = """
import socket, sys
s = socket.create_connection((sys.argv[1], 7777), timeout=10)
print(s.recv(100).decode())
"""

SHOUT = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
             socket.inet_aton(sys.argv[1]))
for to in ("255.255.255.255", "172.16.0.255", "224.0.1.1"):
    for i in range(5):
        s.sendto(b"%s %d" % (to.encode(), i), (to, 7778))
"""

# Stateful: an error is let through where its connection is known.
RULES = """
table inet fw {
    chain forward {
        type filter hook forward priority filter; policy drop;
        icmp type destination-unreachable goto errors
        icmpv6 type packet-too-big goto errors
        ct state established,related accept
        ct state invalid counter drop
        tcp flags & (fin | syn | rst | ack) != syn ct state new counter drop
        iifname "lan0" oifname "wan0" accept
    }
    chain errors {
        ct state related counter accept
        counter drop
    }
}
"""

NAT = ("172.16.240.210", "172.16.240.211")
NAT_INTERFACE = """carp%d on wan0 {
	vhid %d { advbase 0 advskew %d }
	pass "%s"
	address %s/24
}
"""
SNAT = """
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname "wan0" ip saddr 172.16.0.0/24 meta l4proto tcp snat to %s
    }
}
"""


def python(lab, host, text, *args):
    return lab.run(host, "/usr/bin/python3", "-c", text, *args)


def far_link(lab):
    """Behind the server, over a link that can be narrow: server2."""
    lab.ip("server", "link", "add", "far0", "type", "veth", "peer", "name",
           "far1", "netns", lab.ns("server2"))
    for host, dev, last in (("server", "far0", 1), ("server2", "far1", 2)):
        lab.ip(host, "link", "set", dev, "up")
        lab.ip(host, "addr", "add", "10.9.0.%d/24" % last, "dev", dev)
        lab.ip(host, "addr", "add", "2001:db8:9::%d/64" % last, "dev", dev,
               "nodad")
    lab.run("server", "sysctl", "-qw", "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1")
    lab.ip("server2", "route", "replace", "172.16.0.0/24", "via", "10.9.0.1")
    lab.ip("server2", "route", "replace", "172.16.240.192/27", "via",
           "10.9.0.1")
    lab.ip("server2", "-6", "route", "replace", "2001:db8:16::/64", "via",
           "2001:db8:9::1")
    for host in ("fw1", "fw2"):
        lab.ip(host, "route", "add", "10.9.0.0/24", "via", "172.16.240.10")
        lab.ip(host, "-6", "route", "add", "2001:db8:9::/64", "via",
               "2001:db8:240::10")


def owners(flock, src, dst):
    return flock.hosts[fold(src, dst) % flock.n]


def local(flock):
    """Each connection to the address ends at the one that OpenBSD says."""
    lab = flock.lab
    seen = set()
    for client, addr6 in flock.clients.items():
        addr = addr6.replace("2001:db8:16::", "172.16.0.")
        for src, vip in ((addr, VIP_LAN), (addr6, VIP6_LAN)):
            who = python(lab, client, ASK, vip).strip()
            assert who == owners(flock, src, vip), (src, vip)
            seen.add(who)
            out = lab.run(client, "ping", "-nc2", "-i0.05", "-W5", vip)
            assert "2 received" in out and "DUP" not in out, out
    assert seen == {"fw1", "fw2"}


def everybodys(flock, listeners):
    """Broadcast and multicast: both, each packet once."""
    python(flock.lab, "client", SHOUT, "172.16.0.10")
    want = sorted("got %s %d" % (to, i) for i in range(5) for to in
                  ("255.255.255.255", "172.16.0.255", "224.0.1.1"))
    for p in listeners:
        wait_for(lambda p=p: len(p.grep("^got")) >= len(want), 10, p.text)
        assert sorted(p.grep("^got")) == want


def errors(lab, host):
    """Packets that the chain of that name let through, and did not."""
    out = lab.run(host, "nft", "list", "chain", "inet", "fw", "errors")
    return [int(line.split()[line.split().index("packets") + 1])
            for line in out.splitlines() if "packets" in line]


def test_ends_here():
    with Flock.up("here", "ip") as lab:
        flock = Flock(lab, "ip", v6=True).start()
        listeners = [lab.spawn(host, "/usr/bin/python3", "-c", LISTEN, host,
                               "172.16.0.%d" % (200 + i))
                     for i, host in enumerate(flock.hosts)]
        for p in listeners:
            p.wait_line("^ready")
        local(flock)
        everybodys(flock, listeners)


def stateful(flock):
    for host in flock.hosts:
        flock.lab.run(host, "nft", "-f", "-", data=RULES)
        flock.lab.sysctl(host, nf_conntrack_tcp_loose=0)


def connect(flock, far):
    """Connections of all clients to it; they flow."""
    conns = [Conn(flock.lab, client, "server2", dst, 7400 + 10 * k + n)
             for k, client in enumerate(flock.clients)
             for n, dst in enumerate(far)]
    for c in conns:
        c.wait_flow()
    return conns


def through(flock, conns, hosts):
    """The path becomes narrow.  Without errors of ICMP nothing moves; with
    them all does, and those hosts had them."""
    lab = flock.lab
    for host in flock.hosts:
        lab.run(host, "nft", "insert rule inet fw errors counter drop")
    for host, dev in (("server", "far0"), ("server2", "far1")):
        lab.ip(host, "link", "set", dev, "mtu", str(NARROW))
    for c in conns:
        c.proc.say("bulk %d" % BULK)
    wait_for(lambda: sum(errors(lab, h)[0] for h in flock.hosts) >=
             len(conns), 20, "errors of ICMP", 0.05)
    assert not any(c.report()["bulk"] for c in conns)
    for host in flock.hosts:
        lab.run(host, "nft", "-f", "-", data="flush chain inet fw errors\n"
                "add rule inet fw errors ct state related counter accept\n"
                "add rule inet fw errors counter drop\n")
    for c in conns:
        wait_for(lambda c=c: c.report()["bulk"], 40,
                 lambda c=c: "bytes moved: %s" % c.report(), 0.05)
        c.check()
    passed = {h: errors(lab, h) for h in flock.hosts}
    assert {h for h, (n, _) in passed.items() if n > 0} == hosts, passed
    assert all(refused == 0 for _, refused in passed.values()), passed


def test_icmp_errors():
    """They come to who forwards the connection, and knows it."""
    with Flock.up("pmtu", "ip") as lab:
        far_link(lab)
        flock = Flock(lab, "ip", v6=True)
        stateful(flock)
        flock.start()
        through(flock, connect(flock, [FAR4, FAR6]), {"fw1", "fw2"})


def test_icmp_errors_nat():
    """Each translates to an address of its own; who has inherited that knows
    the connections by pfsyncd."""
    with Flock.up("pmtun", "ip") as lab:
        far_link(lab)
        flock = Flock(lab, "ip")
        stateful(flock)
        syncs = []
        for i, d in enumerate(flock.ducks):
            d.write(config(i, 2, "ip", tail="".join(NAT_INTERFACE % (
                2 + k, 201 + k, 0 if k == i else 20, PASS, addr)
                for k, addr in enumerate(NAT))))
            lab.run(d.host, "nft", "-f", "-", data=SNAT % NAT[i])
            syncs.append(Sync(lab, d.host, sync_config(d.sock),
                              d.name).start())
        flock.start()
        donald, daisy = flock.ducks
        donald.wait_state("MASTER", ["carp2"])
        daisy.wait_state("MASTER", ["carp3"])
        conns = connect(flock, [FAR4])
        for s in syncs:
            s.wait_in_step()
        donald.ok("demote", "50")
        flock.wait_owners(DAISY)
        daisy.wait_state("MASTER", ["carp2", "carp3"])
        for c in conns:
            c.wait_flow()
        through(flock, conns, {"fw2"})


def test_icmp_errors_shared():
    """All translate to the balanced address: errors come to one of them, of
    connections that the other one has translated, too."""
    with Flock.up("pmtus", "ip") as lab:
        far_link(lab)
        flock = Flock(lab, "ip")
        stateful(flock)
        syncs = []
        for i, d in enumerate(flock.ducks):
            lab.run(d.host, "nft", "-f", "-", data=rules(i))
            syncs.append(Sync(lab, d.host, sync_config(d.sock),
                              d.name).start())
        flock.start()
        for s in syncs:
            s.wait_in_step()
        conns = connect(flock, [FAR4])
        asked = {owners(flock, a, FAR4) for a in flock.clients.values()}
        assert asked == {"fw1", "fw2"}
        for s in syncs:
            s.wait_in_step()
        through(flock, conns, {owners(flock, FAR4, VIP_WAN)})


def test_bridge():
    """carpdev is a bridge on both hosts."""
    with Flock.up("brdev", "ip") as lab:
        for i, host in enumerate(("fw1", "fw2")):
            mac = "02:ca:fe:02:00:%02x" % (0xf0 + i)
            lab.ip(host, "link", "set", "lan0", "down")
            lab.ip(host, "link", "set", "lan0", "name", "port0")
            lab.ip(host, "addr", "flush", "dev", "port0")
            lab.ip(host, "link", "add", "lan0", "address", mac, "type",
                   "bridge", "stp_state", "0", "forward_delay", "0")
            lab.ip(host, "link", "set", "port0", "master", "lan0", "up")
            lab.ip(host, "link", "set", "lan0", "up")
            lab.ip(host, "addr", "add", "172.16.0.%d/24" % (200 + i), "brd",
                   "+", "dev", "lan0")
        flock = Flock(lab, "ip").start()
        flock.stream_all()
        for owners_, act in ((BOTH, lambda: None),
                             (DAISY, flock.ducks[0].kill_all),
                             (BOTH, flock.ducks[0].start)):
            act()
            flock.wait_owners(owners_)
            flock.wait_packets(20)
            flock.reset()
            flock.wait_packets(20)
            flock.check_shares()
        for f in flock.stop_streams().values():
            assert f.figures().lost == 0 and f.figures().dup <= 2
