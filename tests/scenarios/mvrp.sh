# MVRP: a VLAN device with mvrp on declares its VID once a second, VIDs in a row together; a last one says that it goes.
# once: 01:80:c2:00:00:21
ip netns add h1
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name p1 address 02:00:00:00:00:01
ip -n h1 link set eth0 up
ip link set p1 up
sleep 3
ip link add link p1 name v9 type vlan id 9 mvrp on
ip link set v9 up
sleep 3.6
ip link set v9 down
sleep 2
ip link del v9
sleep 1
ip link set p1 down
ip link add link p1 name v10 type vlan id 10 mvrp on
ip link add link p1 name v11 type vlan id 11 mvrp on
ip link add link p1 name v20 type vlan id 20 mvrp on
ip link add link p1 name v21 type vlan id 21 protocol 802.1ad mvrp on
ip -d -j link show v10
ip link set p1 up
sleep 3.6
