# A port that joins a filtering bridge learns the bridge's static addresses before its own.
ip netns add n2
ip netns add n3
ip link add v3 address 02:00:00:00:00:40 netns n2 type veth peer name w4 address 02:00:00:00:00:41 netns n3
ip -n n2 link add br12 address 02:00:00:00:00:b0 type bridge mcast_snooping 0 vlan_filtering 1
ip -n n2 link add link v3 name m14 address 02:00:00:00:00:e0 type macvlan mode bridge
ip -n n2 link set m14 master br12
bridge -n n2 vlan add dev br12 vid 5 untagged self
bridge -n n2 -j fdb show
