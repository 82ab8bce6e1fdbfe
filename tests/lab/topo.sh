#!/bin/sh
# Copyright (c) 2026 the carpd authors
# SPDX-License-Identifier: ISC
#
# topo.sh - a firewall-pair test network made of Linux network namespaces.
#
#   topo.sh up     PREFIX               build the network (rebuilds it if it exists)
#   topo.sh down   PREFIX               end what runs in it and remove it (safe to repeat)
#   topo.sh exec   PREFIX HOST CMD...   run CMD in a host of the network
#   topo.sh unplug PREFIX HOST NET      pull HOST's cable out of switch NET (HOST loses carrier)
#   topo.sh plug   PREFIX HOST NET      put it back
#   topo.sh block  PREFIX HOST NET      silent fault: the switch drops all to and from
#   topo.sh unblock PREFIX HOST NET     HOST, but the carrier stays up
#   topo.sh reboot PREFIX HOST          HOST dies, and is there again as after `up`
#   topo.sh vip    PREFIX HOST [add|del] give/take the virtual addresses by hand (no daemon)
#   topo.sh check  PREFIX               self-test: wiring, forwarding through fw1 and fw2
#   topo.sh pids   PREFIX [HOST]        processes that run in the network
#   topo.sh status PREFIX               hosts, addresses, ports
#   topo.sh list                        prefixes that are up
#
# Needs root (CAP_SYS_ADMIN + CAP_NET_ADMIN), iproute2 >= 5.x and, for `check`, ping.
# Kernel: NET_NS, VETH, BRIDGE.  Nothing is made outside the namespaces: no host
# interface, address, route or firewall rule is touched (one exception, only when
# asked for: LAB_CT_MAX, below).  Any number of labs with different PREFIXes can be
# up at once; they do not see each other.  Take a PREFIX that nothing else on the
# machine uses (your test's name and $$): `up` and `down` end every process found in
# the namespaces PREFIX-client, -server, -fw1, -fw2, -lan, -wan and -sync (and the
# further ones of LAB_CLIENTS).
#
#
#   client .10                                                   172.16.0.0/24
#     eth0 |                                                     2001:db8:16::/64
#          |
#   =======+============ switch "lan" (namespace PREFIX-lan) ================
#                 | lan0 .200                          | lan0 .201
#              +--+--+                              +--+--+
#              | fw1 | sync0 .200 -- "sync" -- .201 | fw2 |     192.168.2.0/24
#              +--+--+          (switch)      sync0 +--+--+     2001:db8:2::/64
#                 | wan0 .200                          | wan0 .201
#   =======+============ switch "wan" (namespace PREFIX-wan) ================
#          |
#     eth0 |                                                     172.16.240.0/24
#   server .10                                                   2001:db8:240::/64
#
#   .202 (::202) on lan and on wan is the virtual address, the clients' gateway.
#
# HOSTs (namespaces PREFIX-HOST)         interfaces and addresses
#   client   eth0   172.16.0.10/24    2001:db8:16::10/64    default via .202 / ::202
#   server   eth0   172.16.240.10/24  2001:db8:240::10/64   default via .202 / ::202
#   fw1      lan0   172.16.0.200/24   2001:db8:16::200/64   ("Mickey"; forwarding on)
#            wan0   172.16.240.200/24 2001:db8:240::200/64  (the DMZ side)
#            sync0  192.168.2.200/24  2001:db8:2::200/64
#   fw2      the same with .201 / ::201                     ("Minnie")
#   lan wan sync    the switches: one bridge, br0, whose ports are named after the
#                   host at the other end of the cable (client, server, fw1, fw2)
#
# LAB_CLIENTS, LAB_SERVERS and LAB_FIREWALLS (1, 1 and 2; at most 9) make more of
# them: client2 .11, client3 .12 ..., server2 .11 ..., fw3 .203, fw4 .204 ...
#
# The virtual addresses 172.16.0.202, 172.16.240.202 (and ::202) are given to nobody:
# the daemon under test takes them.  Until then client and server have no gateway.
# Virtual addresses belong on lan0/wan0 as /32, or /24 if the daemon wants it.
#
# MAC addresses are fixed, so captures of two runs can be compared and a received
# frame tells its sender: 02:ca:fe:NN:00:HH with NN 01 lan, 02 wan, 03 sync and HH the
# last octet of the IPv4 address in hex (fw1 c8, fw2 c9, client and server 0a).
#
# Cables.  Each cable is a veth pair with one end in the host and one in the switch's
# namespace.  Putting the switch's end down makes the HOST lose carrier
# (NO-CARRIER / LOWERLAYERDOWN) while its own interface stays administratively up -
# just as when a cable is pulled.  That is what `unplug` does (`unplug HOST all` first
# silences all of them, so that the host cannot tell of one over another); by hand:
#       topo.sh exec P lan ip link set fw1 down
# and the switch forgets the MAC addresses it had learnt on that port.  `block` leaves
# the carrier alone (a broken switch, a one-sided partition); by hand:
#       topo.sh exec P lan bridge link set dev fw1 state disabled
# NET is lan, wan, sync or all.
#
# After `plug` the kernel takes up to about 1 s to report the carrier as back and to let
# traffic through; after `unplug` the loss is reported within milliseconds.
#
# Switches flood multicast (snooping off), run no spanning tree and learn at once.
#
# A host that dies whole: `unplug P fw1 all` (power lost), or freeze its daemons with
# kill -STOP on `topo.sh pids P fw1` (a hung user space: its kernel still forwards
# and still answers ARP!).
#
# Connection tracking.  Conntrack state is per namespace, but it is only active in a
# namespace that has a rule that needs it, e.g. in fw1 and fw2
#       topo.sh exec P fw1 nft 'add table ip t; add chain ip t c { type filter hook forward priority 0; }; add rule ip t c ct state established accept'
# or from the first ctnetlink insertion of an entry.  Its hash table is ONE for the whole
# machine and fw1 and fw2 share it, and nf_conntrack_max can only be set in the initial
# namespace.  For more than ~100000 states set LAB_CT_MAX=<n> for `up`: it raises (never
# lowers) net.netfilter.nf_conntrack_max to n and the buckets to n/4 on this machine; it
# needs to be run from the initial network namespace.
#
# /proc/sys/net and /sys/class/net are those of the host inside `exec`; the file system,
# /run, /tmp and the process list are shared: give each daemon its own pid file, socket
# and configuration, and end processes by pid.
#
# Typical use in a test:
#       sh topo.sh up t$$ || exit 1
#       trap 'sh topo.sh down t$$' EXIT INT TERM
#       sh topo.sh exec t$$ fw1 ./mydaemon -f a.conf &
#       sh topo.sh exec t$$ client ping -c1 172.16.240.10
#
# Exit status: 0 done; 1 failed (after a failed `up` nothing is left behind);
# 2 wrong use; `exec` gives CMD's own.

PATH=$PATH:/usr/sbin:/sbin
export PATH

SWITCHES="lan wan sync"
# what there may be (KNOWN), and what `up` makes: see LAB_CLIENTS above
KNOWN="client client2 client3 client4 client5 client6 client7 client8 client9 \
server server2 server3 server4 server5 server6 server7 server8 server9 \
fw1 fw2 fw3 fw4 fw5 fw6 fw7 fw8 fw9"
ALL="$KNOWN $SWITCHES"
HOSTS="client server"
n=2
while [ $n -le 9 ]; do
	[ $n -gt "${LAB_CLIENTS:-1}" ] || HOSTS="$HOSTS client$n"
	[ $n -gt "${LAB_SERVERS:-1}" ] || HOSTS="$HOSTS server$n"
	n=$((n + 1))
done
n=1
while [ $n -le "${LAB_FIREWALLS:-2}" ]; do
	HOSTS="$HOSTS fw$n"
	n=$((n + 1))
done

LAN4=172.16.0   LAN6=2001:db8:16:
WAN4=172.16.240 WAN6=2001:db8:240:
SYN4=192.168.2  SYN6=2001:db8:2:
CLIENT=10 SERVER=10 FW1=200 FW2=201 VIRT=202
no_ipv6=
[ -e /proc/sys/net/ipv6 ] || no_ipv6=yes

die()   { echo "topo.sh: $*" >&2; exit 1; }
usage() { sed -n 's/^#   topo/topo/p' "$0" >&2; exit 2; }

valid_prefix() {
	case $1 in
	''|-*|*[!A-Za-z0-9_-]*) die "PREFIX must be letters, digits, - or _: '$1'" ;;
	esac
	[ ${#1} -le 32 ] || die "PREFIX is longer than 32: '$1'"
}

# is WORD one of LIST (one string, words separated by blanks)
in_list() {
	case " $2 " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

ns_exists() { [ -e "/run/netns/$1" ]; }

# ns_pids NAMESPACE... - the processes in them, without this script
ns_pids() {
	(cd /run/netns && stat -Lc '%i %n' -- "$@" /proc/[0-9]*/ns/net) \
	    2>/dev/null | awk -v "self=$$" -F '[ /]' '
		$3 != "proc" { in_it[$1] = 1; next }
		$1 in in_it && $4 != self { print $4 }'
}

# setctls NAMESPACE - on stdin lines of KEY(with /) VALUE; a key that this kernel
# lacks is not an error
setctls() {
	# shellcheck disable=SC2016 # the inner shell expands them
	nsenter --net="/run/netns/$1" sh -c 'while read -r key value; do
		[ ! -e "/proc/sys/$key" ] || echo "$value" >"/proc/sys/$key"
	done'
}

# end_all NAMESPACE... - at once
end_all() {
	for p in $(ns_pids "$@"); do kill -KILL "$p" 2>/dev/null; done
}

# those namespaces of the network that there are
there() {
	for h in $ALL; do
		! ns_exists "$P-$h" || echo "$P-$h"
	done
}

# down: end processes by pid, then remove the namespaces (their veths go with them)
# shellcheck disable=SC2046 # $(there) is a list of words
cmd_down() {
	P=$1
	[ -n "$(there)" ] || return 0
	left=$(ns_pids $(there))
	for p in $left; do
		kill -TERM "$p" 2>/dev/null
		kill -CONT "$p" 2>/dev/null
	done
	n=0
	while [ -n "$left" ] && [ $n -lt 20 ]; do
		sleep 0.1
		left=$(ns_pids $(there))
		n=$((n + 1))
	done
	[ -z "$left" ] || end_all $(there)
	there | sed 's/^/netns del /' | ip -force -batch -
}

# What follows prints lines for `ip -batch`: one process for many commands.

# cables HOST: "IFNAME SWITCH MAC-NET NET4 NET6" of each
cables() {
	case $1 in
	client*) echo "eth0 lan 01 $LAN4 $LAN6" ;;
	server*) echo "eth0 wan 02 $WAN4 $WAN6" ;;
	fw*)	echo "lan0 lan 01 $LAN4 $LAN6"
		echo "wan0 wan 02 $WAN4 $WAN6"
		echo "sync0 sync 03 $SYN4 $SYN6" ;;
	esac
}

# octet HOST: the last one of its addresses
octet() {
	case $1 in
	client|server)	echo $CLIENT ;;
	client*)	echo $((CLIENT - 1 + ${1#client})) ;;
	server*)	echo $((CLIENT - 1 + ${1#server})) ;;
	fw1|fw2)	echo $((FW1 - 1 + ${1#fw})) ;;
	fw*)		echo $((FW1 + ${1#fw})) ;;
	esac
}

# links HOST: its cables, in no namespace yet
links() {
	last=$(octet "$1")
	cables "$1" | while read -r dev switch net _; do
		printf 'link add dev %s netns %s address 02:ca:fe:%s:00:%02x ' \
		    "$dev" "$P-$1" "$net" "$last"
		echo "type veth peer name $1 netns $P-$switch"
	done
}

# inside HOST: its links, addresses and routes
inside() {
	last=$(octet "$1")
	echo "link set dev lo up"
	cables "$1" | while read -r dev _ _ net4 net6; do
		echo "link set dev $dev up"
		echo "addr add $net4.$last/24 brd + dev $dev"
		[ -n "$no_ipv6" ] ||
		    echo "addr add $net6:$last/64 dev $dev nodad"
		[ "$dev" = eth0 ] || continue
		echo "route add default via $net4.$VIRT"
		[ -n "$no_ipv6" ] ||
		    echo "route add default via $net6:$VIRT dev eth0"
	done
}

# settings HOST: what its interfaces take over when they are made
settings() {
	cat <<-EOF
	net/ipv6/conf/all/accept_dad 0
	net/ipv6/conf/default/accept_dad 0
	net/ipv6/conf/default/accept_ra 0
	EOF
	case $1 in
	fw*)	;;
	*)	return ;;
	esac
	echo net/ipv4/ip_forward 1
	echo net/ipv6/conf/all/forwarding 1
	# a gateway that shares its subnet with its peer would send redirects
	for i in all default; do
		echo "net/ipv4/conf/$i/send_redirects 0"
		echo "net/ipv4/conf/$i/rp_filter 0"
	done
}

# hosts HOST...: their namespaces, cables, addresses and settings
hosts() {
	for h; do
		echo "netns add $P-$h"
	done | ip -batch - || return 1
	for h; do
		settings "$h" | setctls "$P-$h" || return 1
	done
	for h; do
		links "$h"
	done | ip -batch - || return 1
	for h; do
		inside "$h" | ip -n "$P-$h" -batch - || return 1
	done
	for s in $SWITCHES; do
		for h; do
			cables "$h" | while read -r _ switch _; do
				[ "$switch" != "$s" ] ||
				    echo "link set dev $h master br0 up"
			done
		done | ip -n "$P-$s" -batch - || return 1
	done
}

# The switch itself speaks no IPv6, nor do its ports.
switches() {
	for s in $SWITCHES; do
		echo "netns add $P-$s"
	done | ip -batch - || return 1
	for s in $SWITCHES; do
		echo net/ipv6/conf/default/disable_ipv6 1 | setctls "$P-$s"
		ip -n "$P-$s" -batch - <<-EOF || return 1
		link set dev lo up
		link add dev br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		link set dev br0 up
		EOF
	done
}

# carriers HOST|SWITCH...: until the kernel has seen all of them, which takes
# milliseconds; what is sent before is lost without a word
carriers() {
	for h; do
		n=0
		while ip -n "$P-$h" -br link show type veth | grep -qv ' UP '; do
			[ $n -lt 500 ] || return 1
			sleep 0.02
			n=$((n + 1))
		done
	done
}

build() {
	# shellcheck disable=SC2086 # lists of words
	switches && hosts $HOSTS && carriers $HOSTS $SWITCHES
}

# A power cut: processes, addresses, rules and connections are gone.  The dead
# namespace is held until the new one is there, which so is another one for those
# who go by its number, and its cables are cut by hand.
reboot() {
	exec 9<"/run/netns/$P-$1"
	end_all "$P-$1"
	for s in $SWITCHES; do
		ip -n "$P-$s" link del dev "$1" 2>/dev/null
	done
	ip netns del "$P-$1" || return 1
	hosts "$1" && carriers "$1" || return 1
	exec 9<&-
}

ct_max() {
	f=/proc/sys/net/netfilter
	[ -w $f/nf_conntrack_max ] || { echo "topo.sh: LAB_CT_MAX: cannot set nf_conntrack_max here" >&2; return 0; }
	[ "$(cat $f/nf_conntrack_max)" -ge "$LAB_CT_MAX" ] || echo "$LAB_CT_MAX" > $f/nf_conntrack_max
	b=$((LAB_CT_MAX / 4))
	[ "$(cat $f/nf_conntrack_buckets)" -ge $b ] || echo $b > $f/nf_conntrack_buckets
}

cmd_up() {
	P=$1
	[ "$(id -u)" = 0 ] || die "needs root"
	command -v ip >/dev/null || die "needs ip (iproute2)"
	cmd_down "$P" || die "could not remove the old '$P'"
	[ -z "$LAB_CT_MAX" ] || ct_max
	trap 'trap - INT TERM HUP; cmd_down "$P"; exit 1' INT TERM HUP
	if ! build; then
		cmd_down "$P"
		die "up '$P' failed; removed what had been made"
	fi
	trap - INT TERM HUP
}

# port ACTION HOST NET
port() {
	nets=$3
	done_some=0
	# Cables cannot be pulled in the same instant, and a host that still has
	# one can tell of the others.  So a host that is to lose all of them is
	# silenced first: block, which it does not notice, then unplug.
	[ "$1 $3" != "unplug all" ] || port block "$2" all
	[ "$3" = all ] && nets=$SWITCHES
	for s in $nets; do
		in_list "$s" "$SWITCHES" || die "no such net: $s (lan wan sync all)"
		[ -e "/run/netns/$P-$s" ] || die "'$P' is not up"
		ip -n "$P-$s" link show dev "$2" >/dev/null 2>&1 || { [ "$3" = all ] && continue; die "$2 has no cable in $s"; }
		case $1 in
		unplug)  ip -n "$P-$s" link set dev "$2" down ;;
		plug)    ip -n "$P-$s" link set dev "$2" up ;;
		block)   bridge -n "$P-$s" link set dev "$2" state disabled ;;
		unblock) bridge -n "$P-$s" link set dev "$2" state forwarding ;;
		esac || exit 1
		done_some=1
	done
	[ $done_some = 1 ] || die "$2 has no cable"
}

# vip HOST add|del; after `add`, tells the neighbours (as a daemon would)
vip() {
	nodad=
	[ "$2" != add ] || nodad=nodad
	for spec in lan0:$LAN4:$LAN6 wan0:$WAN4:$WAN6; do
		i=${spec%%:*}; r=${spec#*:}; n4=${r%%:*}; n6=${r#*:}
		ip -n "$P-$1" addr "$2" "$n4.$VIRT/32" dev "$i" || return 1
		# shellcheck disable=SC2086 # an empty $nodad is no word
		[ ! -e /proc/sys/net/ipv6 ] ||
		    ip -n "$P-$1" -6 addr "$2" "$n6:$VIRT/128" dev "$i" $nodad ||
		    return 1
	done
	ip -n "$P-client" neigh flush dev eth0 2>/dev/null
	ip -n "$P-server" neigh flush dev eth0 2>/dev/null
	return 0
}

cmd_check() {
	bad=0
	try() {	# try TEXT HOST CMD...
		t=$1 h=$2; shift 2
		if ip netns exec "$P-$h" "$@" >/dev/null 2>&1; then echo "ok   $t"
		else echo "FAIL $t"; bad=1; fi
	}
	for h in $HOSTS $SWITCHES; do
		ns_exists "$P-$h" || die "'$P' is not up ($h is missing)"
	done
	try "client - fw1 lan"  client ping -nc1 -W2 $LAN4.$FW1
	try "client - fw2 lan"  client ping -nc1 -W2 $LAN4.$FW2
	try "server - fw1 wan"  server ping -nc1 -W2 $WAN4.$FW1
	try "server - fw2 wan"  server ping -nc1 -W2 $WAN4.$FW2
	try "fw1 - fw2 sync"    fw1 ping -nc1 -W2 $SYN4.$FW2
	try "fw1 - fw2 sync v6" fw1 ping -nc1 -W2 $SYN6:$FW2
	for f in fw1 fw2; do
		if ip -n "$P-fw1" addr | grep -q "$LAN4.$VIRT/" || ip -n "$P-fw2" addr | grep -q "$LAN4.$VIRT/"; then
			echo "skip forwarding through $f by hand: the virtual address is in use"
			continue
		fi
		vip $f add || bad=1
		try "client - server through $f"    client ping -nc1 -W2 $WAN4.$SERVER
		try "client - server through $f v6" client ping -nc1 -W2 $WAN6:$SERVER
		vip $f del || bad=1
	done
	return $bad
}

cmd_status() {
	for h in $HOSTS; do
		ns_exists "$P-$h" || { echo "$h: not up"; continue; }
		echo "$h: $(ns_pids "$P-$h" | wc -l) processes"
		ip -n "$P-$h" -br addr | sed 's/^/    /'
	done
	for s in $SWITCHES; do
		ns_exists "$P-$s" || { echo "switch $s: not up"; continue; }
		echo "switch $s:"
		ip -n "$P-$s" -br link show master br0 | sed 's/^/    /'
	done
}

[ $# -ge 1 ] || usage
cmd=$1
shift
case $cmd in
list)
	for n in /run/netns/*-fw1; do
		[ -e "$n" ] || continue
		n=${n##*/}; echo "${n%-fw1}"
	done
	exit 0 ;;
-h|--help|help) sed -n '5,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
[ $# -ge 1 ] || usage
P=$1
shift
valid_prefix "$P"
case $cmd in
up)	cmd_up "$P" ;;
down)	cmd_down "$P" ;;
exec)
	[ $# -ge 2 ] || usage
	in_list "$1" "$ALL" || die "no such host: $1 ($ALL)"
	ns_exists "$P-$1" || die "'$P' is not up"
	h=$1; shift
	exec ip netns exec "$P-$h" "$@" ;;
unplug|plug|block|unblock)
	[ $# = 2 ] || usage
	in_list "$1" "$KNOWN" || die "no such host: $1 ($KNOWN)"
	port "$cmd" "$1" "$2" ;;
reboot)
	[ $# = 1 ] || usage
	in_list "$1" "$KNOWN" || die "no such host: $1 ($KNOWN)"
	ns_exists "$P-$1" || die "'$P' is not up"
	reboot "$1" || die "$1 did not come up again" ;;
vip)
	case $1 in fw1|fw2) ;; *) die "vip: fw1 or fw2" ;; esac
	vip "$1" "${2:-add}" ;;
check)	cmd_check ;;
pids)
	if [ $# -gt 0 ]; then
		ns_pids "$P-$1"
	else
		# shellcheck disable=SC2046 # a list of words
		ns_pids $(there)
	fi
	exit 0 ;;
status)	cmd_status ;;
*)	usage ;;
esac
