# A port's own lower device joins its bridge: it forgets the addresses that the port had handed down, and the port keeps them.
ip netns add n1
ip -n n1 link add v5 address 02:00:00:00:00:61 type veth peer name w6 address 02:00:00:00:00:62 netns n1
ip -n n1 link add br7 address 02:00:00:00:00:73 type bridge mcast_snooping 0 vlan_filtering 1
ip -n n1 link set v5 master br7
ip -n n1 link add link br7 name q8 type vlan id 6
ip -n n1 link add d9 address 02:00:00:00:00:21 type dummy
ip -n n1 link add link d9 name q10 type vlan id 6
ip -n n1 link add link q10 name q13 address 02:00:00:00:00:d0 type vlan id 0 ingress-qos-map 3:5 5:1
sleep 3.2
ip -n n1 link set v5 up
ip -n n1 link set br7 up
ip -n n1 link set d9 up
ip -n n1 link set q13 master br7
ip -n n1 link set w6 up
ip -n n1 link set q8 mtu 1400
ip -n n1 link set v5 nomaster
ip -n n1 link set q10 master br7
bridge -n n1 -j fdb show
