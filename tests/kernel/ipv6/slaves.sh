# An ipvlan in mode l3s on a bridge: a packet whose way leads back into it is sent nine times, one inside the other, and
# each time is an error of the bridge; what comes from :: by ICMPv6 is not the slave's; a router's advertisement that it
# sends to all nodes is not heard by its own host. A redirect is believed although its destination is on the link: the
# gateway is that of a shorter prefix. IPv6 is switched on when all devices are up and the bridge's port forwards: which
# reports pass it is nobody's luck.
for n in a b; do
  ip netns add $n
  ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.router_solicitations=0
done
ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name eth0 netns b address 02:00:00:00:00:0b
ip -n b link add br0 address 02:00:00:00:00:0b type bridge mcast_snooping 0
ip -n b link set eth0 master br0
ip -n b link add link br0 name i0 type ipvlan mode l3s
for d in a/eth0 b/eth0 b/br0 b/i0; do ip -n ${d%/*} link set ${d#*/} up; done
sleep 2
for n in b a; do ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; done
sleep 5
ip -n b addr add 2001:db8::1/64 dev i0
sleep 2.5
simvlan send --netns b i0 --hex 02000000000a02000000000b86dd6000000000003b40fe80000000000000020000000100000b20010db8000000000000000000000009
simvlan send --netns a eth0 --hex 02000000000b02000000000a86dd6000000000083aff00000000000000000000000000000000fe80000000000000020000000100000b8f006f3100000000
simvlan send --netns b i0 --hex 02000000000b02000000000b86dd6000000000103afffe80000000000000020000000100000bff02000000000000000000000000000186007215000807080000000000000000
sleep 1
ip -n b -6 route show default
ip -n b -s link show br0
ip -n b -s link show i0
simvlan send --netns a eth0 --hex 33330000000102000000000a86dd6000000000103afffe80000000000000000000fffe00000aff02000000000000000000000000000186007616000807080000000000000000
simvlan send --netns a eth0 --hex 02000000000b02000000000a86dd6000000000303afffe80000000000000000000fffe00000afe80000000000000000000fffe00000b8900790500000000fe800000000000000000000000000077fe8000000000000000000000000000880201020000000077
sleep 1
ip -n b -6 neigh show
ip -n b -6 route show default
# What a packet socket sends on an ipvlan above a VLAN device whose lower device takes no tag aside: the packet is looked
# for four octets too late, so that only one that stands there finds its slave.
ip -n a link add d0 type dummy
ip -n a link add link d0 name q0 address 02:00:00:00:00:01 type vlan id 5
for n in 1 2; do
  ip -n a link add link q0 name i$n type ipvlan mode l3
  ip netns add c$n
  ip -n a link set i$n netns c$n
  ip -n c$n link set i$n up
  ip -n c$n addr add 10.0.0.$n/24 dev i$n
done
for d in d0 q0; do ip -n a link set $d up; done
sleep 1
simvlan send --netns c2 i2 --hex 02000000000102000000000108004500003200010000403365cc0a0000020a000001787878787878787878787878787878787878787878787878787878787878
simvlan send --netns c2 i2 --hex 020000000001020000000001080045000000450000300000000040fd00000a0000020a0000010a00000100000000000000000000000000000000000000000000000000000000000000000000
ip -n c1 link set i1 type ipvlan mode l2
simvlan send --netns c2 i2 --hex 02000000000102000000000108004500003200010000403365cc0a0000020a000001787878787878787878787878787878787878787878787878787878787878
simvlan send --netns c2 i2 --hex 020000000001020000000001080600010800060400010200000000010a0000020000000000000a000001
simvlan send --netns c2 i2 --hex 020000000001020000000001080045000000450000300000000040fd00000a0000020a0000010a00000100000000000000000000000000000000000000000000000000000000000000000000
ip -n c1 -s link show i1
