# A bridge that asks who listens (MLD and IGMP), what it learns of answers, where groups go, and a foreign querier.
for n in a b c; do
  ip netns add $n
  ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
  ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
  ip -n $n link set lo up
done
ip netns add sw
ip netns exec sw sysctl -qw net.ipv4.igmp_link_local_mcast_reports=0
ip netns exec sw sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
ip netns exec sw sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0
ip -n sw link add br0 address 02:00:00:00:00:99 type bridge mcast_snooping 1 \
  mcast_query_response_interval 100 mcast_startup_query_interval 100000
i=1
for n in a b c; do
  ip -n sw link add p$n address 02:00:00:00:01:0$i type veth peer name e0 netns $n address 02:00:00:00:00:0$i
  ip netns exec sw sysctl -qw net.ipv6.conf.p$n.disable_ipv6=1
  ip -n sw link set p$n master br0 up
  ip -n $n link set e0 up
  i=$((i + 1))
done
sleep 3
ip -n sw link set br0 up
sleep 4
ip -n sw link set br0 type bridge mcast_querier 1
sleep 3
bridge -n sw mdb show | sort
bridge -n sw -d mdb show dev br0 | grep -c ff02::1:ff00
# reports of a, data from b, before and after c says that it wants the group as well
ip -n a addr add 2001:db8::aa:1/64 dev e0
sleep 3
bridge -n sw mdb show | sort
data=600000000008112000000000000000000000000000000000ff05000000000000000000000000012300070007000800f4
simvlan send --netns b e0 --hex 33330000012302000000000286dd$data
simvlan send --netns c e0 --hex 33330000012302000000000386dd6000000000200001fe80000000000000000000fffe000003ff0500000000000000000000000001233a0005020000010083007ed700000000ff050000000000000000000000000123
simvlan send --netns b e0 --hex 33330000012302000000000286dd$data
bridge -n sw mdb show | sort
# it leaves: the bridge asks for this group alone, then forgets it
simvlan send --netns c e0 --hex 33330000000202000000000386dd6000000000200001fe80000000000000000000fffe000003ff0200000000000000000000000000023a0005020000010084007efb00000000ff050000000000000000000000000123
sleep 4
bridge -n sw mdb show | sort
simvlan send --netns b e0 --hex 33330000012302000000000286dd$data
# a querier with a lower address: a router is behind its port, and the bridge asks no more
simvlan send --netns a e0 --hex 33330000000102000000000186dd6000000000200001fe800000000000000000000000000001ff0200000000000000000000000000013a0005020000010082007c3f03e8000000000000000000000000000000000000
sleep 2
bridge -n sw -d mdb show | grep router
simvlan send --netns b e0 --hex 33330000012302000000000286dd$data
# one that says so itself (RFC 4286)
simvlan send --netns c e0 --hex 33330000006a02000000000386dd6000000000100001fe80000000000000000000fffe000003ff02000000000000000000000000006a3a0005020000010097146b39007d0002
bridge -n sw -d mdb show | grep router
ip -n sw maddress show dev br0
