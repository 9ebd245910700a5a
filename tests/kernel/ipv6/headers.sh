# Under which header the stack's own packets leave: a VLAN with reorder_hdr off on another writes its tag into the
# octets, a macvlan's neighbours keep a header without it from their second packet on; listeners' reports have a
# priority of their own (7), by which an egress map tells them from solicitations (0).
for n in a b; do
  ip netns add $n
  ip netns exec $n sysctl -qw net.ipv6.conf.default.disable_ipv6=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.router_solicitations=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.mldv2_unsolicited_report_interval=1
done
ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name eth0 netns b address 02:00:00:00:00:0b
for n in a b; do
  ip -n $n link add link eth0 name q netns $n type vlan id 5 egress-qos-map 0:4 7:2
  ip -n $n link add link q name r netns $n type vlan id 6 reorder_hdr off
done
ip -n a link add link r name m0 netns a address 02:00:00:00:00:0c type macvlan mode bridge
for d in a/eth0 a/q a/r a/m0 b/eth0 b/q b/r; do
  ip -n ${d%/*} link set ${d#*/} up
  ip netns exec ${d%/*} sysctl -qw net.ipv6.neigh.${d#*/}.delay_first_probe_time=600
done
sleep 3
ip -n a addr add 2001:db8:1::a/64 dev r; ip -n b addr add 2001:db8:1::b/64 dev r
ip -n a addr add 2001:db8:2::a/64 dev m0; ip -n b addr add 2001:db8:2::b/64 dev r
sleep 1
ip netns exec a ping -c 2 -i 0.3 2001:db8:1::b
ip netns exec a ping -c 3 -i 0.3 2001:db8:2::b
