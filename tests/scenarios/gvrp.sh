# GVRP: what VLAN devices with gvrp on declare, twice each after a random wait, and what is said when they go.
ip netns add h1
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name p1 address 02:00:00:00:00:01
ip -n h1 link set eth0 up
ip link set p1 up
sleep 3
ip link add link p1 name v5 type vlan id 5 gvrp on
ip link set v5 up
sleep 4
ip link add link p1 name v7 type vlan id 7 gvrp on
ip link set v7 up
sleep 2
ip link set v5 down
sleep 2
ip link del v7
sleep 2
