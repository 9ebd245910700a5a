# A bridge's features change with its ports: the VLANs on it, and those on them, take its segmentation size over.
ip netns add n1
ip netns add n2
ip -n n1 link add v1 address 02:00:00:00:00:21 type veth peer name w2 address 02:00:00:00:00:22 netns n1
ip -n n1 link add v3 address 02:00:00:00:00:41 type veth peer name w4 address 02:00:00:00:00:42 netns n2
ip -n n1 link add br5 address 02:00:00:00:00:53 type bridge mcast_snooping 0
ip -n n1 link set w2 master br5
ip -n n1 link add br6 address 02:00:00:00:00:63 type bridge mcast_snooping 0
ip -n n1 link add link br6 name q7 netns n1 type vlan protocol 802.1ad id 5
ip -n n1 link add link br6 name m8 address 02:00:00:00:00:80 type macvlan mode source
ip -n n1 link set m8 master br6
ip -n n1 link add link q7 name q9 address 02:00:00:00:00:90 type vlan id 6 ingress-qos-map 3:5 5:1
ip -n n1 link set v3 master br6
ip -n n1 link set q9 down
ip -n n1 link set q9 up
ip -n n1 link set v3 nomaster
ip -n n1 link set m8 name r13
ip -n n1 -d -s -j link show
ip -n n1 link del v1
ip -n n1 link del v3
ip -n n1 -d -s -j link show
