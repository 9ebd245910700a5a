# A group frame is queued for the ipvlans before the host has it: what the host sends by a sibling in answer comes after it.
ip netns add n1
ip netns add n2
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:20 netns n2
ip -n n1 link add v2 address 02:00:00:00:00:11 type veth peer name w2 address 02:00:00:00:00:21 netns n2
ip -n n1 link add link v1 name i1 type ipvlan mode l2
ip -n n1 link add link v1 name i2 type ipvlan mode l2
ip -n n2 link set w1 up
ip -n n2 link set w2 up
ip -n n1 link set v1 up
ip -n n1 link set v2 up
ip -n n1 link set i1 up
ip -n n1 link set i2 up
ip -n n1 addr add 10.0.0.1/24 dev i1
ip -n n1 addr add 10.0.1.1/24 dev v2
sleep 3.2
simvlan send --netns n2 w1 --hex ffffffffffff02000000002008004500001c00000000400165d80a0000090a0001010800f7ff00000000
sleep 1.2
simvlan send --netns n2 w1 --hex ffffffffffff020000000020080600010800060400010200000000200a0000090000000000000a000101
