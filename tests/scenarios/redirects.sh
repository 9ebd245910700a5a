# Out of the interface it came in by, to a gateway in the sender's subnet: forwarded, and a redirect back, rationed.
ip netns add h1
ip netns add r1
ip netns add r2
ip link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name p1 address 02:00:00:00:00:a1
ip link add eth0 address 02:00:00:00:00:12 netns r1 type veth peer name p2 address 02:00:00:00:00:a2
ip link add eth0 address 02:00:00:00:00:13 netns r2 type veth peer name p3 address 02:00:00:00:00:a3
ip link set p1 master br0
ip link set p2 master br0
ip link set p3 master br0
ip link set p1 up
ip link set p2 up
ip link set p3 up
ip link set br0 up
ip -n h1 addr add 10.0.1.1/24 dev eth0
ip -n r1 addr add 10.0.1.2/24 dev eth0
ip -n r2 addr add 10.0.1.3/24 dev eth0
ip -n r2 addr add 10.0.5.1/32 dev lo
ip -n h1 link set eth0 up
ip -n r1 link set eth0 up
ip -n r2 link set eth0 up
ip -n r2 link set lo up
ip -n h1 neigh add 10.0.1.2 lladdr 02:00:00:00:00:12 dev eth0
ip -n h1 neigh add 10.0.1.3 lladdr 02:00:00:00:00:13 dev eth0
ip -n r1 neigh add 10.0.1.1 lladdr 02:00:00:00:00:11 dev eth0
ip -n r1 neigh add 10.0.1.3 lladdr 02:00:00:00:00:13 dev eth0
ip -n r2 neigh add 10.0.1.1 lladdr 02:00:00:00:00:11 dev eth0
ip -n r2 neigh add 10.0.1.2 lladdr 02:00:00:00:00:12 dev eth0
sleep 3
ip -n h1 route add default via 10.0.1.2
ip -n r1 route add 10.0.5.0/24 via 10.0.1.3
ip netns exec r1 sysctl -qw net.ipv4.ip_forward=1
ip netns exec h1 ping -c 3 -i 0.3 -W 1 10.0.5.1
ip -n h1 route get 10.0.5.1
ip netns exec h1 ping -c 2 -i 0.3 -W 1 10.0.5.1
ip -n h1 route flush cache
ip netns exec r1 sysctl -qw net.ipv4.conf.eth0.send_redirects=0
ip netns exec r1 sysctl -qw net.ipv4.conf.all.send_redirects=0
ip -n h1 route get 10.0.5.1
ip netns exec h1 ping -c 1 -W 1 10.0.5.1
ip netns exec h1 sysctl -qw net.ipv4.conf.eth0.accept_redirects=0
ip netns exec h1 sysctl -qw net.ipv4.conf.all.accept_redirects=0
ip netns exec r1 sysctl -qw net.ipv4.conf.all.send_redirects=1
sleep 2
ip netns exec h1 ping -c 2 -i 0.3 -W 1 10.0.5.1
ip -n h1 route get 10.0.5.1
