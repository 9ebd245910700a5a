# What ip rule takes, refuses and lists; words.out is what iproute2 6.1 and Linux 6.18 said
r() { echo "\$ ip $*"; ip -n r "$@" 2>&1; echo "= $?"; }
ip netns add r; ip netns exec r sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip -n r link set lo up
ip -n r link add v0 type veth peer name v1; ip -n r link set v0 up; ip -n r link set v1 up
ip -n r addr add 10.0.0.1/24 dev v0
r rule
r rule show
r -d rule show
r -j rule show
r -4 rule
r rule add from 10.0.0.0/24 table 100
r rule add from 10.0.0.5 lookup 101
r rule add to 10.9.0.0/16 lookup main
r rule add from 10.0.0.5 lookup 101
r rule add priority 100 from 10.0.0.7 table 100
r rule add pref 100 from 10.0.0.7 table 101
r rule add pref 100 from 10.0.0.7 table 100
r rule add iif v0 table 102
r rule add oif v1 table 102 pref 5
r rule add iif nosuch table 103 pref 6
r rule add fwmark 1 table 100
r rule add fwmark 0x10/0xf0 table 100 pref 7
r rule add tos 0x10 table 100 pref 8
r rule add tos 0x03 table 100 pref 9
r rule add not from 10.0.0.0/8 table 100 pref 10
r rule add pref 11 table main suppress_prefixlength 0
r rule add pref 12 unreachable
r rule add pref 13 from 10.1.1.1 blackhole
r rule add pref 14 prohibit to 10.3.0.0/16
r rule add pref 15 from 10.1.1.2 type unreachable
r rule add pref 16 from 10.1.1.3/24 table 100
r rule add from all lookup 300 pref 17
r rule add lookup 100 pref 18
r rule add table 254 pref 19
r rule add table local pref 20
r rule add pref 22
r rule add
r rule add from 10.0.0.300
r rule add from 10.0.0.1 table nosuch
r rule add from 10.0.0.1 pref x table 1
r rule add from 10.0.0.1 bogus 3
r rule add from 10.0.0.1 protocol static table 100 pref 23
r rule add from 2001:db8::/64 table 100
r rule add to 10.0.0.1 to 10.0.0.2 table 100 pref 36
r rule show
r -d rule show
r -j rule show
r rule list table 100
r rule show from 10.0.0.0/24
r rule show pref 100
r rule show iif v0
r rule show fwmark 1
r rule show bogus
r rule del pref 100
r rule del from 10.0.0.7 table 101
r rule del from 10.0.0.7 table 101
r rule del pref 12345
r rule del
r rule del fwmark 0x10/0xf0
r rule del fwmark 0x10/0xf0 table 100
r rule del iif v0
r rule del not from 10.0.0.0/8
r rule del from 10.0.0.0/8 pref 10
r rule del prohibit
r rule del pref 12 unreachable
r rule del pref 13 unreachable
r rule del lookup 300
r rule delete table 102
r rule show
r rule flush
r rule show
r rule add pref 0 table local
r rule del pref 0
r rule show
r rule add from all lookup main pref 32766
r rule add from all lookup default pref 32767
r rule flush table 100
r rule show
r rule change pref 1
r rule bogus
r -6 rule show
r -d -6 rule
r -6 rule add from 2001:db8::/64 table 100
r -6 rule add to 2001:db8:1::/48 unreachable pref 5
r rule add from 2001:db8:2::1 lookup 101
r -6 rule add from 10.0.0.1 table 3
r -6 rule add iif v0 table 200 pref 6
r -6 rule add fwmark 3 table 7
r -6 rule show
r -6 rule del pref 5
r -6 rule del table 100
r -6 rule flush
r -6 rule show
ip -n r link set v0 down; ip -n r link set v0 name w0
r rule add iif w0 table 9 pref 3
ip -n r link del w0
r rule show
r rule add from ::/0 table 8
r rule add to 2001:db8::/32 table 8
r rule del to 2001:db8::/16 table 8
r -6 rule add tos 3 table 8
# where nobody has switched IPv6 on
ip netns add off
ip link add v0 netns off type veth peer name v1 netns off
off() { echo "\$ ip -n off $*"; ip -n off "$@" 2>&1; echo "[$?]"; }
off -6 rule
off -6 rule add from 2001:db8::/32 table 9
off -6 rule add from 2001:db8::/32 table 9 pref 7
off -6 rule add from 2001:db8::/32 table 9 pref 7
off -6 rule del pref 8
off -6 rule
off -6 rule flush
off -6 rule
ip netns exec off sysctl -w net.ipv6.conf.all.disable_ipv6=0
off -6 rule
