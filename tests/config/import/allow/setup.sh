sudo -u root sysctl net.inet.carp.allow=0 net.inet.carp.preempt=0
env PATH=/sbin ifconfig carp0 vhid 1 carpdev em0 fe80::1%carp0/64 fe80::2%carp0 prefixlen 64
su root -c 'anything'
