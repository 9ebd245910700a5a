# What tracepath finds and prints; tracepath.out is what iputils 20221126 said on Linux 6.18, durations as T
for n in a r b; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0; done
ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name va netns r address 02:00:00:00:00:1a
ip link add eth0 netns b address 02:00:00:00:00:0b type veth peer name vb netns r address 02:00:00:00:00:1b
ip -n r addr add 10.0.1.1/24 dev va; ip -n r addr add 10.0.2.1/24 dev vb
ip -n a addr add 10.0.1.2/24 dev eth0; ip -n b addr add 10.0.2.2/24 dev eth0
ip -n r addr add 2001:db8:1::1/64 dev va nodad; ip -n r addr add 2001:db8:2::1/64 dev vb nodad
ip -n a addr add 2001:db8:1::2/64 dev eth0 nodad; ip -n b addr add 2001:db8:2::2/64 dev eth0 nodad
for d in r/va r/vb a/eth0 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n a route add default via 10.0.1.1; ip -n b route add default via 10.0.2.1
ip -n a -6 route add default via 2001:db8:1::1; ip -n b -6 route add default via 2001:db8:2::1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
sleep 2
a() { echo "\$ $*"; ip netns exec a "$@" 2>&1; echo "= $?"; }
ip -n r link set vb mtu 1400; ip -n b link set eth0 mtu 1400
a tracepath -n 10.0.2.2
a tracepath 10.0.2.2
a tracepath -n 2001:db8:2::2
a tracepath -n -l 1000 10.0.2.2
a tracepath -n -m 1 10.0.2.2
a tracepath -n 10.0.2.99
a tracepath -b -n 10.0.2.2
sleep 8
a tracepath -n 10.98.0.1
a tracepath -n -p 5000 10.0.2.2
a tracepath -n nosuch
a tracepath -n -m 0 10.0.2.2
a tracepath -n 10.0.1.2
a tracepath -n 127.0.0.1
a tracepath -6 -n 10.0.2.2
a tracepath -n -l 20 10.0.2.2
a tracepath -n -l x 10.0.2.2
a tracepath -n -m 300 10.0.2.2
a tracepath -n 2001:db8:2::2
a tracepath -b 10.0.2.2
a tracepath -n -6 ::1
ip -n a route del default; a tracepath -n 10.77.0.1
