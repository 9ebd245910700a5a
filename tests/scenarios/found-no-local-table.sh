# Before a namespace has its first IPv4 address it has no local table, and all addresses count as broadcasts: neighbours
# need no ARP. The router n has none; o has one on another device, and asks.
ip netns add n
ip netns exec n sysctl -qw net.ipv4.ip_forward=1
ip -n n link add v0 address 02:00:00:00:00:01 type veth peer name w0 address 02:00:00:00:00:02
ip -n n link add v1 address 02:00:00:00:00:03 type veth peer name w1 address 02:00:00:00:00:04
ip -n n link set v0 up
ip -n n link set w0 up
ip -n n link set v1 up
ip -n n link set w1 up
ip -n n route add 10.0.1.0/24 dev v1
ip netns add o
ip netns exec o sysctl -qw net.ipv4.ip_forward=1
ip -n o link add v0 address 02:00:00:00:00:01 type veth peer name w0 address 02:00:00:00:00:02
ip -n o link add v1 address 02:00:00:00:00:03 type veth peer name w1 address 02:00:00:00:00:04
ip -n o link set v0 up
ip -n o link set w0 up
ip -n o link set v1 up
ip -n o link set w1 up
ip -n o route add 10.0.1.0/24 dev v1
ip -n o addr add 10.0.9.1/24 dev w1
simvlan send --netns n w0 --hex 02000000000102000000000208004500001c00070000400165c80a0000070a00010c0800f7fe00000001
simvlan send --netns o w0 --hex 02000000000102000000000208004500001c00070000400165c80a0000070a00010c0800f7fe00000001
