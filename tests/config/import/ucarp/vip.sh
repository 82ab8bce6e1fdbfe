#!/bin/sh
# two virtual addresses, each with a process of its own
ip link set eth0 up
ucarp -B -P -z -i eth0 -s 192.0.2.2 -v 1 -p 'it''s secret' -a 192.0.2.1 -u /etc/up -d /etc/down
exec /usr/sbin/ucarp --interface=eth1 --src=10.0.0.2 --vhid 2 --passfile /etc/vip.pass \
	--addr 10.0.0.1 --advbase=2 --advskew=100 --mcast=224.0.0.18 --deadratio=5 >/dev/null 2>&1 &
