# A move to another namespace empties a device's lists of addresses: those above still count as handed down what is gone.
ip netns add n1
ip netns add n2
ip netns add n3
ip -n n3 link add br5 address 02:00:00:00:00:05 type bridge mcast_snooping 0 vlan_filtering 1 vlan_default_pvid 5
ip -n n3 link add link br5 name q7 address 02:00:00:00:00:07 netns n1 type vlan id 6
ip -n n1 link add link q7 name m8 address 02:00:00:00:00:08 netns n2 type macvlan mode bridge
ip -n n3 link set br5 up
sleep 3.2
ip -n n2 link set m8 up
bridge -n n1 -j fdb show
ip -n n1 link set q7 netns n3
ip -n n3 link set q7 up
sleep 3.2
bridge -n n3 -j fdb show
ip -n n2 link set m8 down
bridge -n n3 -j fdb show
ip -n n2 link set m8 up
bridge -n n3 -j fdb show
ip -n n3 link set q7 down
bridge -n n3 -j fdb show
ip -n n2 link set m8 down
bridge -n n3 -j fdb show
ip -n n2 link set m8 up
ip -n n2 link set m8 multicast off
ip -n n3 link add w1 address 02:00:00:00:01:02 type veth peer name v1 address 02:00:00:00:01:01
ip -n n3 link add link w1 name m1 address 02:00:00:00:01:03 netns n2 type macvlan mode bridge
ip -n n3 link set v1 up
ip -n n3 link set w1 up
ip -n n2 link set m1 up
sleep 3.2
ip -n n3 link set w1 netns n1
ip -n n1 link set w1 up
sleep 3.2
ip -n n2 link set m1 down
bridge -n n1 -j fdb show
ip -n n1 -d -j link show
ip -n n2 -d -j link show
ip -n n3 -d -j link show
