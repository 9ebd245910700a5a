# Linkwatch looks at an urgent change at once, at others once a second: a veth whose peer has the same index is not urgent.
ip netns add n1
ip netns add n2
ip link add v1 address 02:00:00:00:00:20 netns n1 type veth peer name w2 address 02:00:00:00:00:21 netns n2
ip -n n1 link add link v1 name m1 address 02:00:00:00:00:30 type macvlan mode bridge
ip -n n1 link set v1 up
ip -n n2 link set w2 up
ip -n n1 link set m1 up
sleep 2.5
ip -n n1 -s -s link show
ip -n n2 link set w2 down
ip -n n2 link set w2 up
ip -n n1 -s -s link show
ip -n n2 link set w2 down
ip -n n1 -s -s link show
sleep 2.5
ip -n n1 -s -s link show
