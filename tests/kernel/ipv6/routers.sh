# What routers say: prefixes, lifetimes, MTU, hop limit; a host that becomes a router forgets them.
ip netns add a
ip netns add b
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip -n a link set lo up
ip link add va netns a address 02:00:00:00:00:0a type veth peer name vb netns b address 02:00:00:00:00:0b
ip -n b link set vb up
ip -n a link set va up
sleep 3.5
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000a03afffe800000000000000000000000000001ff02000000000000000000000000000186004b16320007080000000000000000010102000000000b0501000000000578030440c000000e10000007080000000020010db800010000000000000000000003044080ffffffffffffffff0000000020010db80002000000000000000000000304404000000fa0000000000000000020010db8000300000000000000000000030430c000000fa0000000640000000020010db8000400000000000000000000
sleep 3
ip -n a -6 addr show dev va | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 neigh show
ip netns exec a sysctl net.ipv6.conf.va.hop_limit net.ipv6.conf.va.mtu
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000303afffe800000000000000000000000000001ff0200000000000000000000000000018600b318400802580000000000000000030440c000000e10000007080000000020010db8000100000000000000000000
ip -n a -6 route show default | sed -E 's/-?[0-9]+sec/Nsec/g'
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000303afffe800000000000000000000000000001ff0200000000000000000000000000018600ca90400000000000000000000000030440c000000000000000000000000020010db8000100000000000000000000
ip -n a -6 addr show dev va | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 neigh show
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000383afffe800000000000000000000000000001ff0200000000000000000000000000018600b1f14000000300001388000001f4010102000000000b030440c000000005000000030000000020010db8000500000000000000000000
sleep 2
ip -n a -6 addr show dev va | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 neigh show
sleep 6
ip -n a -6 addr show dev va | sed -E 's/-?[0-9]+sec/Nsec/g'
ip netns exec a sysctl net.ipv6.neigh.va.retrans_time_ms net.ipv6.neigh.va.base_reachable_time_ms net.ipv6.neigh.va.gc_stale_time
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000183afffe800000000000000000000000000001ff020000000000000000000000000001860036c3400002580000000000000000010102000000000b
ip -n a -6 route show default | sed -E 's/-?[0-9]+sec/Nsec/g'
ip netns exec a sysctl -qw net.ipv6.conf.all.forwarding=1
sleep 1.5
ip -n a -6 addr show dev va | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a -6 neigh show
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000183afffe800000000000000000000000000001ff020000000000000000000000000001860036c3400002580000000000000000010102000000000b
ip -n a -6 route show default | sed -E 's/-?[0-9]+sec/Nsec/g'
ip netns exec a sysctl -qw net.ipv6.conf.va.accept_ra=2
sleep 0.2
simvlan send --netns b vb --hex 33330000000102000000000b86dd6000000000183afffe800000000000000000000000000001ff020000000000000000000000000001860036c3400002580000000000000000010102000000000b
ip -n a -6 route show default | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a link set va down
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
sleep 1.5
