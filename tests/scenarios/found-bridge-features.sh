# A bridge whose last port goes offers another feature again: what stands on it takes its segmentation size over.
ip netns add n1
ip netns add n2
ip link add v3 address 02:00:00:00:00:40 netns n2 type veth peer name w4 address 02:00:00:00:00:41 netns n1
ip -n n2 link add br9 address 02:00:00:00:00:80 type bridge mcast_snooping 0 vlan_filtering 1 vlan_default_pvid 5
ip -n n2 link add link br9 name q10 netns n2 type vlan id 1 reorder_hdr off
ip -n n2 link set v3 master br9
ip -n n1 link del w4
ip -n n2 -d -s -j link show
