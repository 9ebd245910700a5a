# When a device comes up its protocols hear of it first: they join their group before a VLAN on it does.
ip netns add n2
ip netns add n3
ip -n n3 link add br6 type bridge mcast_snooping 0 vlan_filtering 1 vlan_protocol 802.1ad
ip -n n3 link add link br6 name q7 address 02:00:00:00:00:70 type vlan id 6 bridge_binding on egress-qos-map 0:4 5:2
ip -n n3 link add link q7 name q9 type vlan protocol 802.1ad id 6 ingress-qos-map 3:5 5:1
ip -n n3 link set q7 netns n2
ip -n n3 link add link q9 name q12 address 02:00:00:00:00:c0 type vlan id 6 bridge_binding on
ip -n n3 link set br6 up
bridge -n n2 -j fdb show
