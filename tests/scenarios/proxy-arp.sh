# proxy_arp, arp_ignore and arp_announce, and a gratuitous ARP.
ip netns add h1
ip netns add r
ip netns add h2
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name a0 address 02:00:00:00:00:12 netns r
ip link add b0 address 02:00:00:00:00:21 netns r type veth peer name eth0 address 02:00:00:00:00:22 netns h2
ip -n h1 addr add 10.0.0.1/16 dev eth0
ip -n r addr add 10.0.0.254/24 dev a0
ip -n r addr add 10.0.1.254/24 dev b0
ip -n h2 addr add 10.0.1.1/16 dev eth0
ip -n h1 link set eth0 up
ip -n r link set a0 up
ip -n r link set b0 up
ip -n h2 link set eth0 up
sleep 1.2
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip netns exec r sysctl -qw net.ipv4.conf.a0.proxy_arp=1
ip netns exec r sysctl -qw net.ipv4.conf.b0.proxy_arp=1
ip netns exec r sysctl -qw net.ipv4.neigh.a0.proxy_delay=0
ip netns exec r sysctl -qw net.ipv4.neigh.b0.proxy_delay=0
ip netns exec h1 ping -c 1 -W 2 10.0.1.1
ip netns exec r sysctl -qw net.ipv4.conf.a0.arp_ignore=1
ip netns exec h1 arping -c 1 -w 2 -I eth0 10.0.1.254
ip netns exec r sysctl -qw net.ipv4.conf.b0.arp_announce=2
ip netns exec r ping -c 1 -W 2 -I 10.0.0.254 10.0.1.1
ip netns exec h1 arping -U -c 2 -I eth0 10.0.0.1
ip -n r neigh show
