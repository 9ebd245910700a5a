# bridge_binding: a bridge looks after every bound VLAN above it, directly upon it or not, once one was made upon it.
ip netns add n1
ip -n n1 link add p1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:11
ip -n n1 link add p2 address 02:00:00:00:00:20 type veth peer name w2 address 02:00:00:00:00:21
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0 vlan_filtering 1 vlan_default_pvid 5
ip -n n1 link add br2 address 02:00:00:00:00:41 type bridge mcast_snooping 0
ip -n n1 link set p1 master br1
ip -n n1 link set p2 master br1
ip -n n1 link add link br1 name q6 type vlan id 6
ip -n n1 link add link q6 name x5 type vlan id 5 bridge_binding on
ip -n n1 link add link q6 name y6 type vlan id 7 bridge_binding on
ip -n n1 link set p1 up
ip -n n1 link set w1 up
ip -n n1 link set br1 up
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set x5 up
sleep 3.2
ip -n n1 link add link br1 name b5 type vlan protocol 802.1ad id 5 bridge_binding on
ip -n n1 link add link b5 name z5 type vlan id 5 bridge_binding on
ip -n n1 link set b5 up
ip -n n1 link set z5 up
ip -n n1 link set q6 master br2
ip -n n1 link add link br2 name e5 type vlan id 5 bridge_binding on
ip -n n1 link add link br2 name e8 type vlan id 8 bridge_binding on
sleep 3.2
ip -n n1 -j link show
bridge -n n1 vlan add dev p1 vid 7
bridge -n n1 vlan add dev p1 vid 8
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set w1 down
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set w1 up
sleep 3.2
ip -n n1 -j link show
bridge -n n1 vlan del dev p1 vid 5
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set p2 up
ip -n n1 link set w2 up
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set br1 down
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set br1 up
sleep 3.2
ip -n n1 -j link show
ip -n n1 link del b5
ip -n n1 link set p2 nomaster
sleep 3.2
ip -n n1 -j link show
ip -n n1 link set p2 master br1
sleep 3.2
ip -n n1 -j link show
