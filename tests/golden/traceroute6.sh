# traceroute of IPv6 by a router: both kinds of probes, hops that do not answer, what cannot be reached, what is refused.
for n in h r k; do
    ip netns add $n
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
    ip -n $n link set lo up
done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns h address 02:00:00:00:00:01 type veth peer name eth0 netns r address 02:00:00:00:00:02
ip link add eth0 netns k address 02:00:00:00:01:01 type veth peer name eth1 netns r address 02:00:00:00:01:02
ip -n h addr add 2001:db8:1::1/64 dev eth0 nodad
ip -n r addr add 2001:db8:1::2/64 dev eth0 nodad
ip -n r addr add 2001:db8:2::2/64 dev eth1 nodad
ip -n k addr add 2001:db8:2::1/64 dev eth0 nodad
ip -n h link set eth0 up
ip -n k link set eth0 up
ip -n r link set eth0 up
ip -n r link set eth1 up
ip -n h route add 2001:db8:2::/48 via 2001:db8:1::2
ip -n h route add 2001:db8:3::/64 via 2001:db8:1::2
ip -n h route add 2001:db8:4::/64 via 2001:db8:1::2
ip -n h route add 2001:db8:5::/64 via 2001:db8:1::2
ip -n k route add default via 2001:db8:2::2
ip -n r -6 route add prohibit 2001:db8:4::/64
ip -n r -6 route add blackhole 2001:db8:5::/64
sleep 4
# What may answer often does so once a second only, after a first few (icmp.ratelimit): a pause before each.
t() {
    sleep 8
    echo "== $*"
    ip netns exec h "$@" 2>&1
    echo "status $?"
}
t traceroute -6 -n 2001:db8:2::1
t traceroute6 -n -q 1 -N 1 2001:db8:2::1
t traceroute -I -n 2001:db8:2::1
t traceroute -n -q 1 2001:db8:1::2
t traceroute -n -q 1 2001:db8:1::1
t traceroute -n -q 2 -N 1 2001:db8:3::1
t traceroute -n -q 2 -N 1 2001:db8:4::1
t traceroute -n -q 2 -m 3 -w 1 2001:db8:5::1
t traceroute -I -n -q 1 2001:db8:4::1
t traceroute -n -q 1 -N 1 -f 2 2001:db8:2::77
t traceroute -n -q 1 -N 1 -p 40000 2001:db8:2::1 200
t traceroute -n -q 1 fe80::ff:fe00:2%eth0
t traceroute -q 1 -N 1 -i eth0 2001:db8:2::1
t traceroute -n -q 1 -N 1 -s 2001:db8:1::1 2001:db8:2::1
t traceroute -n -U -q 1 -N 1 2001:db8:2::1
t traceroute -n 2001:db8:9::1
t traceroute -4 2001:db8:2::1
t traceroute6 10.0.0.1
t traceroute -6 fe80::1
t traceroute -n ::1
t traceroute -6 -F -n -q 1 -N 1 2001:db8:2::1 1400
ip -n r link set eth1 mtu 1300
t traceroute -6 -F -n -q 1 -N 1 2001:db8:2::1 1400
t traceroute -6 -F -n -q 1 -N 1 2001:db8:2::1 1400
t traceroute -6 -n -q 1 -N 1 2001:db8:2::1 1400
t traceroute -6 -n -q 1 -N 1 2001:db8:2::1 10
