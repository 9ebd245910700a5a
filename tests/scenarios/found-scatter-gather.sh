# Features follow ports: a bridge whose only port is a VLAN on a dummy loses scatter-gather, and its VLANs learn its limits then.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:11
ip -n n1 link add d1 address 02:00:00:00:00:20 type dummy
ip -n n1 link add link d1 name q1 type vlan id 5
ip -n n1 link add link q1 name x1 type vlan id 6
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link set v1 master br1
ip -n n1 link set v1 nomaster
ip -n n1 link add link br1 name q7 type vlan id 7
ip -n n1 link add link br1 name m7 address 02:00:00:00:00:50 type macvlan mode bridge
ip -n n1 link add link m7 name x7 type vlan id 8
ip -n n1 link set v1 master br1
ip -n n1 link set q1 master br1
ip -n n1 -d -j link show
ip -n n1 link set v1 nomaster
ip -n n1 -d -j link show
ip -n n1 link set q1 nomaster
ip -n n1 -d -j link show
ip -n n1 link set x1 master br1
ip -n n1 -d -j link show
ip -n n1 link set x1 nomaster
ip -n n1 -d -j link show
