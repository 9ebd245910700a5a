# Paths: a smaller MTU on the way, fragments, the last hop, no route, nobody there, a group.
for n in a r b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; ip netns exec $n sysctl -qw net.ipv6.conf.default.router_solicitations=0; ip -n $n link set lo up; done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add va netns a address 02:00:00:00:00:0a type veth peer name r0 netns r address 02:00:00:00:00:a0
ip link add vb netns b address 02:00:00:00:00:0b type veth peer name r1 netns r address 02:00:00:00:00:a1
ip -n b link set vb mtu 1300; ip -n r link set r1 mtu 1300
ip -n a link set va up; ip -n b link set vb up; ip -n r link set r0 up; ip -n r link set r1 up
ip -n a addr add 2001:db8:1::a/64 dev va nodad; ip -n b addr add 2001:db8:2::b/64 dev vb nodad
ip -n r addr add 2001:db8:1::fe/64 dev r0 nodad; ip -n r addr add 2001:db8:2::fe/64 dev r1 nodad
ip -n a -6 route add default via 2001:db8:1::fe; ip -n b -6 route add default via 2001:db8:2::fe
sleep 3
ip netns exec a ping -6 -c 2 2001:db8:2::b > /dev/null; echo $?
ip netns exec a ping -6 -c 2 -s 1400 2001:db8:2::b >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -s 3000 2001:db8:2::b >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -W 1 -t 1 2001:db8:2::b >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -W 1 2001:db8:3::b >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -W 4 2001:db8:2::c >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -W 1 ff02::1%va >/dev/null; echo $?
ip netns exec a ping -6 -c 1 fe80::ff:fe00:a0%va >/dev/null; echo $?
ip -n a -6 route get 2001:db8:2::b | sed -E 's/[0-9]+sec/Nsec/'
