# A VLAN that only ports are in is one of the bridge's for who deletes, not for who adds.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0 vlan_filtering 1
ip -n n1 link set v1 master br1
bridge -n n1 fdb del 02:00:00:00:00:41 dev br1 self vlan 5
bridge -n n1 fdb add 02:00:00:00:00:41 dev br1 self vlan 5
bridge -n n1 fdb del 02:00:00:00:00:41 dev v1 master vlan 5
bridge -n n1 fdb add 02:00:00:00:00:41 dev v1 master vlan 5
bridge -n n1 fdb del 02:00:00:00:00:41 dev v1 master vlan 1
bridge -n n1 vlan add dev v1 vid 5
bridge -n n1 fdb del 02:00:00:00:00:41 dev br1 self vlan 5
bridge -n n1 fdb add 02:00:00:00:00:41 dev br1 self vlan 5
bridge -n n1 fdb add 02:00:00:00:00:41 dev v1 master static vlan 5
bridge -n n1 fdb add 02:00:00:00:00:42 dev v1 master static
bridge -n n1 vlan del dev v1 vid 5
bridge -n n1 -j fdb show
bridge -n n1 fdb del 02:00:00:00:00:41 dev v1 master vlan 5
bridge -n n1 fdb del 02:00:00:00:00:42 dev v1 master vlan 5
bridge -n n1 -j fdb show
