# Each fragment that a process sends has gone through what is local before the next; after one that is refused none goes.
ip netns add n1
ip netns add n2
ip netns add n3
ip netns add sw
ip -n sw link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name p1 address 02:00:00:00:00:11 netns sw
ip -n n2 link add v2 address 02:00:00:00:00:20 type veth peer name p2 address 02:00:00:00:00:21 netns sw
ip -n n3 link add v3 address 02:00:00:00:00:30 type veth peer name p3 address 02:00:00:00:00:31 netns sw
ip -n sw link set p1 master br1
ip -n sw link set p2 master br1
ip -n sw link set p3 master br1
ip -n sw link set p1 up
ip -n sw link set p2 up
ip -n sw link set p3 up
ip -n sw link set br1 up
ip -n n1 link set v1 up
ip -n n2 link set v2 up
ip -n n3 link set v3 up
ip netns exec n2 sysctl -qw net.ipv4.ip_forward=1
ip netns exec n2 sysctl -qw net.ipv4.conf.all.send_redirects=0
ip netns exec n2 sysctl -qw net.ipv4.conf.v2.send_redirects=0
ip -n n1 addr add 10.0.1.1/24 dev v1
ip -n n2 addr add 10.0.1.2/24 dev v2
ip -n n2 addr add 10.0.2.2/24 dev v2
ip -n n3 addr add 10.0.2.3/24 dev v3
ip -n n1 route add default via 10.0.1.2
ip -n n3 route add default via 10.0.2.2
sleep 3.2
ip netns exec n1 ping -q -c 1 -W 1 10.0.2.3
ip netns exec n1 ping -q -c 1 -W 1 -s 4000 10.0.2.3
ip -n sw link set p3 mtu 700
ip netns exec n1 ping -q -c 1 -W 1 -M dont -s 2000 10.0.2.3
ip netns exec n3 ping -q -c 1 -W 0.4 -M dont -s 2000 10.0.2.2
