# What an ipvlan in mode l3 finds a broadcast's route for counts as an error of its parent, which only a bridge shows.
ip netns add n1
ip -n n1 link add v1 address 02:00:00:00:00:10 type veth peer name w1 address 02:00:00:00:00:11
ip -n n1 link add d1 address 02:00:00:00:00:20 type dummy
ip -n n1 link add br1 address 02:00:00:00:00:40 type bridge mcast_snooping 0
ip -n n1 link set w1 master br1
ip -n n1 link add link v1 name i1 type ipvlan mode l3
ip -n n1 link add link d1 name i2 type ipvlan mode l3
ip -n n1 link add link br1 name i3 type ipvlan mode l3
ip -n n1 link set v1 up
ip -n n1 link set w1 up
ip -n n1 link set d1 up
ip -n n1 link set br1 up
ip -n n1 link set i1 up
ip -n n1 link set i2 up
ip -n n1 link set i3 up
ip -n n1 addr add 10.0.1.1/24 dev v1
ip -n n1 addr add 10.0.2.1/24 dev d1
ip -n n1 addr add 10.0.3.1/24 dev br1
sleep 3.2
simvlan send --netns n1 i1 --hex 02000000001002000000001008004500001c00000000400163da0a0001090a0001ff0800f7ff00000000
simvlan send --netns n1 i2 --hex 02000000002002000000002008004500001c00000000400161da0a0002090a0002ff0800f7ff00000000
simvlan send --netns n1 i3 --hex 02000000004002000000004008004500001c0000000040015fda0a0003090a0003ff0800f7ff00000000
ip -n n1 -s -j link show
