# A device on which another is stacked is announced: the namespace its link is in gets an id.
ip netns add n1
ip netns add n2
ip netns add n3
ip link add v3 address 02:00:00:00:00:40 netns n3 type veth peer name w4 address 02:00:00:00:00:41 netns n1
ip -n n1 link add link w4 name m8 address 02:00:00:00:00:80 netns n2 type macvlan mode private
ip -n n3 link set v3 netns n2
ip -n n1 -s -j link show
