# Optimistic addresses: of a host and of one that uses them, by prefix, by hand, and one that is a duplicate.
for ns in a b c s; do ip netns add $ns; done
for ns in a b c; do
  ip -n $ns link set lo up
  for set in disable_ipv6=0 router_solicitation_delay=0 router_solicitations=0 mldv2_unsolicited_report_interval=1; do
    ip netns exec $ns sysctl -qw net.ipv6.conf.default.$set
  done
done
for ns in a c; do ip netns exec $ns sysctl -qw net.ipv6.conf.default.optimistic_dad=1; done
ip netns exec c sysctl -qw net.ipv6.conf.default.use_optimistic=1
ip netns exec c sysctl -qw net.ipv6.conf.default.ndisc_notify=1
ip -n s link add br0 address 02:00:00:00:00:99 type bridge mcast_snooping 0
ip -n s link set br0 up
for ns in a b c; do
  ip link add e0 netns $ns address 02:00:00:00:00:0$ns type veth peer name p$ns netns s address 02:00:00:00:01:0$ns
  ip -n s link set p$ns master br0 up
  ip netns exec $ns sysctl -qw net.ipv6.neigh.e0.retrans_time_ms=4000
done
sleep 1.5
for ns in b a c; do ip -n $ns link set e0 up; done
sleep 1.5
for ns in a b c; do ip -n $ns -6 addr show dev e0; ip -n $ns -6 route show table local; done
sleep 6
for ns in a b c; do ip -n $ns -6 addr show dev e0; done
ip -n b addr add 2001:db8::b/64 dev e0 nodad
ip -n a addr add 2001:db8::a/64 dev e0 optimistic
ip -n c addr add 2001:db8::c/64 dev e0 optimistic
ip -n b addr add 2001:db8::bb/64 dev e0 optimistic
ip -n a addr add 2001:db8::aa/64 dev e0 optimistic nodad
simvlan send --netns s br0 --hex 33330000000102000000009986dd6000000000383afffe80000000000000000000fffe000099ff02000000000000000000000000000186003b3d4000025800000000000000000101020000000099030440c000015180000038400000000020010db8000100000000000000000000
simvlan send --netns s br0 --hex 33330000000102000000009986dd6000000000303afffe80000000000000000000fffe000099ff02000000000000000000000000000186003ede400002580000000000000000030440c000015180000038400000000020010db8000200000000000000000000
sleep 0.5
for ns in a b c; do ip -n $ns -6 addr show dev e0; done
ip netns exec b ping -6 -c 1 -W 1 2001:db8::a
ip netns exec c ping -6 -c 1 -W 1 2001:db8::b
ip netns exec a ping -6 -c 1 -W 1 2001:db8::77
sleep 7
ip -n c addr add 2001:db8::a/64 dev e0 optimistic
sleep 9
for ns in a b c; do ip -n $ns -6 addr show dev e0; ip -n $ns -6 route show table local; done
for ns in a b c; do ip -n $ns link set e0 down; done  # neighbours that failed are forgotten sooner where others have many
sleep 1.5
