# neigh_suppress: the bridge answers for a neighbour it knows, on the way to that port.
ip netns add s
ip netns add h
ip link add p1 address 02:00:00:00:01:01 netns s type veth peer name e1 address 02:00:00:00:02:01 netns h
ip link add p2 address 02:00:00:00:01:02 netns s type veth peer name e2 address 02:00:00:00:02:02 netns h
ip -n s link add br0 address 02:00:00:00:01:00 type bridge mcast_snooping 0
ip -n s link set p1 master br0 up
ip -n s link set p2 master br0 up
ip -n s link set br0 up
ip -n h link set e1 up
ip -n h link set e2 up
sleep 1.2
ip -n s link set p1 type bridge_slave neigh_suppress on
ip -n s addr add 10.0.0.254/24 dev br0
ip -n s neigh add 10.0.0.2 lladdr 02:00:00:00:02:02 dev br0
bridge -n s fdb add 02:00:00:00:02:02 dev p2 master static
simvlan send --netns h e1 --hex ffffffffffff0200000002010806000108000604000102000000020100000000000a0000000000000a000002
simvlan send --netns h e1 --hex ffffffffffff0200000002010806000108000604000102000000020100000000000a00000a0000000a000002
simvlan send --netns h e1 --hex ffffffffffff020000000201080600010800060400010200000002010a0000010000000000000a000002
simvlan send --netns h e1 --hex ffffffffffff020000000201080600010800060400010200000002010a0000010000000000000a000003
simvlan send --netns h e2 --hex ffffffffffff020000000202080600010800060400010200000002020a0000020000000000000a000001
