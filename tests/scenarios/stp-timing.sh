# A port of a bridge with STP: listening until 6 s, learning until 12 s, then forwarding; what it learns and passes when.
# without: 01:80:c2:00:00:00
ip netns add h1
ip netns add h2
ip link add eth0 address 02:00:00:00:00:11 netns h1 type veth peer name p1 address 02:00:00:00:00:01
ip link add eth0 address 02:00:00:00:00:12 netns h2 type veth peer name p2 address 02:00:00:00:00:02
ip -n h1 link set eth0 up
ip -n h2 link set eth0 up
ip link add br0 address 02:00:00:00:00:01 type bridge stp_state 1 forward_delay 600 hello_time 200 mcast_snooping 0
ip link set br0 up
ip link set p1 master br0
ip link set p2 master br0
ip link set p1 up
ip link set p2 up
sleep 2
bridge -j link show
simvlan send --netns h1 eth0 --hex 02000000001202000000001188b50000
bridge fdb show dynamic
sleep 6
bridge -j link show
simvlan send --netns h1 eth0 --hex 02000000001202000000001188b50001
bridge fdb show dynamic
sleep 6
bridge -j link show
simvlan send --netns h1 eth0 --hex 02000000001202000000001188b50002
simvlan send --netns h2 eth0 --hex 02000000001102000000001288b50003
