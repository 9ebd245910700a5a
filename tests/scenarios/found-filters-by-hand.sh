# A macvlan takes groups into its filter, all addresses only as a passthru one; groups of 802.1D count as unicast elsewhere.
ip netns add n3
ip -n n3 link set q7 up
bridge -n n3 -j fdb show
ip -n n3 link add v1 address 02:00:00:00:01:01 type veth peer name w1 address 02:00:00:00:01:02
ip -n n3 link add link v1 name i1 type ipvlan mode l2
ip -n n3 link add link w1 name m1 address 02:00:00:00:01:03 type macvlan mode bridge
ip -n n3 link add link w1 name m2 address 02:00:00:00:01:04 type macvlan mode vepa
ip -n n3 link add v2 address 02:00:00:00:02:01 type veth peer name w2 address 02:00:00:00:02:02
ip -n n3 link add link v2 name p1 type macvlan mode passthru nopromisc
ip -n n3 link set v1 up
ip -n n3 link set w1 up
ip -n n3 link set v2 up
ip -n n3 link set w2 up
ip -n n3 link set i1 up
ip -n n3 link set m1 up
ip -n n3 link set p1 up
sleep 3.2
bridge -n n3 fdb add 01:80:c2:00:00:03 dev v1 self
bridge -n n3 fdb add 01:80:c2:00:00:03 dev m1 self
bridge -n n3 fdb add 02:00:00:00:09:01 dev i1 self
bridge -n n3 fdb add 01:00:5e:00:00:09 dev i1 self
bridge -n n3 fdb add 02:00:00:00:09:02 dev m1 self
bridge -n n3 fdb add 02:00:00:00:09:03 dev p1 self
bridge -n n3 fdb add 02:00:00:00:09:04 dev m2 self
bridge -n n3 fdb add 01:80:c2:00:00:04 dev p1 self
bridge -n n3 fdb replace 01:00:5e:00:00:10 dev m1 self
bridge -n n3 fdb replace 01:00:5e:00:00:10 dev i1 self
bridge -n n3 fdb append 01:00:5e:00:00:11 dev m1 self
bridge -n n3 -j fdb show
ip -n n3 -d -j link show
bridge -n n3 fdb del 02:00:00:00:09:04 dev m1 self
bridge -n n3 fdb del 01:80:c2:00:00:03 dev v1 self
bridge -n n3 fdb del 01:80:c2:00:00:03 dev m1 self
bridge -n n3 fdb del 02:00:00:00:09:01 dev i1 self
bridge -n n3 fdb del 02:00:00:00:09:01 dev v1 self
bridge -n n3 fdb del 02:00:00:00:09:01 dev p1 self
bridge -n n3 -j fdb show
bridge -n n3 fdb add 01:80:c2:00:00:03 dev w2 self
bridge -n n3 fdb add 01:80:c2:00:00:03 dev w2 self
bridge -n n3 fdb append 01:80:c2:00:00:03 dev w2 self
bridge -n n3 -j fdb show
ip -n n3 -d -j link show w2
bridge -n n3 fdb append 01:00:5e:00:00:11 dev m1 self
bridge -n n3 fdb replace 01:00:5e:00:00:01 dev m1 self
bridge -n n3 fdb add 02:00:00:00:09:09 dev m1 self vlan 5
bridge -n n3 fdb add 02:00:00:00:09:09 dev m1 self static
bridge -n n3 fdb add 02:00:00:00:09:09 dev m1 self dynamic
bridge -n n3 fdb del 02:00:00:00:09:09 dev m1 self vlan 5
bridge -n n3 fdb add 01:00:5e:00:00:19 dev m1 self vlan 5
bridge -n n3 fdb add 01:00:5e:00:00:19 dev m1 self static
bridge -n n3 fdb add 01:00:5e:00:00:20 dev m1 self dynamic
bridge -n n3 fdb del 01:00:5e:00:00:19 dev m1 self vlan 5
bridge -n n3 fdb del 01:00:5e:00:00:20 dev m1 self
bridge -n n3 fdb del 01:00:5e:00:00:21 dev m1 self
bridge -n n3 fdb add 00:00:00:00:00:00 dev m1 self
bridge -n n3 fdb add 00:00:00:00:00:00 dev w2 self
bridge -n n3 fdb add 02:00:00:00:09:09 dev p1 self vlan 5
bridge -n n3 fdb append 02:00:00:00:09:03 dev p1 self
bridge -n n3 fdb replace 02:00:00:00:09:03 dev p1 self
bridge -n n3 -j fdb show
