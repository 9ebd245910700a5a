# An MTU under 68 takes IPv4 from a device: addresses, groups, settings; an MTU that will do gives it back, bare.
ip netns add n1
ip netns add n2
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20 netns n2
ip -n n1 link set v1 up
ip -n n2 link set w1 up
ip -n n1 link add link v1 name q1 type vlan id 5
ip -n n1 link set q1 up
ip -n n1 addr add 10.0.0.1/24 dev q1
ip netns exec n1 sysctl -w net.ipv4.conf.q1.rp_filter=1
sleep 3.2
ip -n n1 link set q1 mtu 60
ip -n n1 -j addr show dev q1
bridge -n n1 -j fdb show
ip -n n1 -j route show
ip -n n1 addr add 10.0.0.2/24 dev q1
ip -n n1 route add 10.9.0.0/24 dev q1
ip -n n1 route add 10.9.0.0/24 via 10.8.0.1 dev q1 onlink
ip -n n1 neigh add 10.0.0.9 lladdr 02:00:00:00:00:99 dev q1
ip netns exec n1 sysctl net.ipv4.conf.q1.rp_filter
ip netns exec n1 sysctl -qw net.ipv4.neigh.q1.locktime=3
simvlan send --netns n2 w1 --hex ffffffffffff0200000000208100000508060001080006040001020000000020000000000a00000000000a000001
simvlan send --netns n2 w1 --hex 02000000001002000000002081000005080045000014000000004001000a0000090a000001
ip -n n1 link set q1 down
ip -n n1 link set q1 up
ip -n n1 link set q1 mtu 70
bridge -n n1 -j fdb show
ip netns exec n1 sysctl net.ipv4.conf.q1.rp_filter
ip -n n1 addr add 10.0.0.2/24 dev q1
ip -n n1 -j addr show dev q1
simvlan send --netns n2 w1 --hex ffffffffffff0200000000208100000508060001080006040001020000000020000000000a00000000000a000002
ip -n n1 link add link v1 name q2 mtu 60 type vlan id 6
ip -n n1 addr add 10.0.6.2/24 dev q2
ip -n n1 link set q2 up
bridge -n n1 -j fdb show
ip -n n1 link set q2 mtu 1500
bridge -n n1 -j fdb show
ip -n n1 -s -j link show dev q1
