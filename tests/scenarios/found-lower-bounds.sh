# What follows its lower device: an MTU only within its own bounds; a passthru macvlan's address without telling anybody.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n1 link set v1 up
ip -n n1 link add link v1 name q1 type vlan id 5
ip -n n1 link add link q1 name m1 address 02:00:00:00:00:30 type macvlan mode bridge
ip -n n1 link add link m1 name i1 type ipvlan mode l2
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link add link v1 name q6 type vlan id 6
ip -n n1 link add link q6 name i6 type ipvlan mode l2
ip -n n1 addr add 10.0.0.1/24 dev i6
ip -n n1 link add link i6 name m6 address 02:00:00:00:00:31 type macvlan mode bridge
ip -n n1 link set q6 mtu 60
ip -n n1 -j addr show dev i6
ip -n n1 -j addr show dev m6
ip -n n1 link set q1 mtu 60
ip -n n1 -j link show dev m1
ip -n n1 -j link show dev i1
ip -n n1 link set i6 mtu 80
ip -n n1 link set q6 master br1
ip -n n1 link add link v1 name q7 type vlan id 7
ip -n n1 link set q7 master br1
ip -n n1 -j link show dev br1
ip -n n1 link set q7 mtu 50
ip -n n1 -j link show dev br1
ip -n n1 link set q7 mtu 700
ip -n n1 -j link show dev br1
ip -n n1 link add link w1 name p1 type macvlan mode passthru
ip -n n1 link add link p1 name i2 type ipvlan mode l2
ip -n n1 link add link p1 name q8 type vlan id 8
ip -n n1 link set w1 address 02:00:00:00:00:21
ip -n n1 -d -j link show
ip -n n1 link set w1 up
ip -n n1 link set p1 up
ip -n n1 link set q8 up
ip -n n1 link set w1 address 02:00:00:00:00:22
sleep 3.2
ip -n n1 -d -j link show
ip -n n1 link set p1 address 02:00:00:00:00:23
sleep 3.2
ip -n n1 -d -j link show
