# Packets of strange addresses: an echo request from :: is answered by the default route, whose neighbour :: is asked
# for; a group's packet without hops left goes out of an ipvlan in mode l3 (who does not hear it himself looks at no hops).
for n in a b; do
  ip netns add $n
  ip netns exec $n sysctl -qw net.ipv6.conf.default.disable_ipv6=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.router_solicitations=0
done
ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name eth0 netns b address 02:00:00:00:00:0b
ip -n b link add link eth0 name i0 netns b type ipvlan mode l3
for d in a/eth0 b/eth0 b/i0; do ip -n ${d%/*} link set ${d#*/} up; done
sleep 3.5
ip -n a -6 route add default dev eth0
ip -n a -6 route get ::
simvlan send --netns b eth0 --hex 02000000000a02000000000b86dd6000000000103a4000000000000000000000000000000000fe80000000000000000000fffe00000a80008222000700010000000000000000
simvlan send --netns b i0 --hex 33330000000202000000000b86dd6000000000103a0020010db8000300000000000000000001ff020000000000000000000000000002800052eb000700010000000000000000
sleep 4
ip -n a -6 neigh show
