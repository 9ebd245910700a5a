# The operational state is linkwatch's last word: a device moved to where its link has another index keeps it.
ip netns add n1
ip netns add n2
ip netns add n3
ip link add v1 address 02:00:00:00:00:20 netns n3 type veth peer name w2 address 02:00:00:00:00:21 netns n2
ip link add v3 address 02:00:00:00:00:40 netns n1 type veth peer name w4 address 02:00:00:00:00:41 netns n2
ip -n n3 link add br6 address 02:00:00:00:00:50 type bridge mcast_snooping 0
ip -n n3 link add br7 address 02:00:00:00:00:20 type bridge mcast_snooping 0
ip -n n1 link add link v3 name i11 type ipvlan mode l2 bridge
ip -n n3 link add link br7 name i12 netns n1 type ipvlan mode l2 bridge
ip -n n1 link set i12 netns n3
ip -n n3 link set i12 up
ip -n n3 -d -s -j link show
