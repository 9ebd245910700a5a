# Who takes back what it never gave: counts of allmulti and promiscuity go round, and rise no more from the largest number.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n1 link add link v1 name m1 address 02:00:00:00:00:10 type macvlan mode passthru
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link add link w1 name m2 address 02:00:00:00:00:31 type macvlan mode bridge
ip -n n1 link add link m2 name q2 type vlan id 4
ip -n n1 link add link q2 name m3 type macvlan mode passthru
ip -n n1 link set m1 master br1
ip -n n1 link set m3 master br1
ip -n n1 link set v1 up
ip -n n1 link set w1 up
ip -n n1 link set m1 up
ip -n n1 link set m2 up
ip -n n1 link set q2 up
ip -n n1 link set m3 up
ip -n n1 link set m1 nomaster
ip -n n1 link set m3 nomaster
sleep 3.2
ip -n n1 -d -j link show
ip -n n1 link set v1 allmulticast on
ip -n n1 link set m2 allmulticast on
ip -n n1 -d -j link show
ip netns add n3
ip -n n3 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n3 link add link v1 name m1 address 02:00:00:00:00:10 type macvlan mode passthru
ip -n n3 link set v1 up
ip -n n3 link set w1 up
ip -n n3 link set m1 up
sleep 3.2
ip -n n3 link set m1 down
ip -n n3 link set m1 type macvlan mode passthru nopromisc
ip -n n3 -d -j link show dev v1
ip -n n3 link set m1 up
sleep 3.2
ip -n n3 link set m1 type macvlan mode passthru nodst
ip -n n3 -d -j link show dev v1
ip -n n3 -d -j link show dev m1
ip -n n3 link set v1 promisc on
ip -n n3 -d -j link show dev v1
ip -n n3 link set v1 promisc off
ip -n n3 -d -j link show dev v1
ip netns add n4
ip netns add n5
ip -n n4 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n4 link add link v1 name m1 address 02:00:00:00:00:10 type macvlan mode passthru
ip -n n4 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n4 link set m1 master br1
ip -n n4 link set v1 up
ip -n n4 link set w1 up
ip -n n4 link set br1 up
ip -n n4 link set m1 up
ip -n n4 link set m1 netns n5
sleep 3.2
ip -n n4 -d -j link show
ip -n n5 -d -j link show
