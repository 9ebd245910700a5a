# Nobody answers: three questions a second apart, then host unreachable, from here and from a router.
ip netns add h1
ip netns add r1
ip netns add r2
ip netns add h2
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name a0 address 02:00:00:00:00:12 netns r1
ip link add b0 address 02:00:00:00:00:21 netns r1 type veth peer name a0 address 02:00:00:00:00:22 netns r2
ip link add b0 address 02:00:00:00:00:31 netns r2 type veth peer name eth0 address 02:00:00:00:00:32 netns h2
ip -n r2 link set b0 mtu 1000
ip -n h2 link set eth0 mtu 1000
ip -n h1 addr add 10.0.1.1/24 dev eth0
ip -n r1 addr add 10.0.1.254/24 dev a0
ip -n r1 addr add 10.0.2.1/24 dev b0
ip -n r2 addr add 10.0.2.2/24 dev a0
ip -n r2 addr add 10.0.3.254/24 dev b0
ip -n h2 addr add 10.0.3.1/24 dev eth0
ip -n h1 link set eth0 up
ip -n r1 link set a0 up
ip -n r1 link set b0 up
ip -n r2 link set a0 up
ip -n r2 link set b0 up
ip -n h2 link set eth0 up
sleep 1.2
ip -n h1 route add default via 10.0.1.254
ip -n r1 route add 10.0.3.0/24 via 10.0.2.2
ip -n r2 route add 10.0.1.0/24 via 10.0.2.1
ip -n h2 route add default via 10.0.3.254
ip netns exec r1 sysctl -qw net.ipv4.ip_forward=1
ip netns exec r2 sysctl -qw net.ipv4.ip_forward=1
ip netns exec h1 ping -c 1 -W 5 10.0.3.9
ip netns exec h1 ping -c 1 -W 5 10.0.1.9
