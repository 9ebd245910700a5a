# A device that gets another name takes the labels of its addresses along.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20
ip -n n1 addr add 10.0.0.1/24 dev v1
ip -n n1 addr add 10.0.0.2/24 dev v1
ip -n n1 addr add 10.0.0.3/24 dev v1 label v1:web
ip -n n1 addr add 10.0.0.4/24 dev v1
ip -n n1 link set v1 name eth0
ip -n n1 -j addr show dev eth0
ip -n n1 link set eth0 name anamefifteenxx
ip -n n1 -j addr show dev anamefifteenxx
ip -n n1 addr add 10.0.1.3/24 dev w1 label w1:one
ip -n n1 link set w1 name w2
ip -n n1 -j addr show dev w2
