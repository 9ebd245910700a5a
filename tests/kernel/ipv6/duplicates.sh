# A duplicate of an address given by hand, of one with a lifetime, of the link-local one (accept_dad 2).
ip netns add a
ip netns add b
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip netns exec b sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip -n a link set lo up
ip -n b link set lo up
ip link add va netns a address 02:00:00:00:00:0a type veth peer name vb netns b address 02:00:00:00:00:0b
ip -n b link set vb up
ip -n a link set va up
sleep 3.5
ip -n a addr add 2001:db8::1/64 dev va nodad
ip -n b addr add 2001:db8::1/64 dev vb
sleep 2.5
ip -n b -6 addr show dev vb
ip -n b -6 route show table all
ip -n b addr del 2001:db8::1/64 dev vb
ip -n b -6 route show
ip -n b addr add 2001:db8::2/64 dev vb valid_lft 100 preferred_lft 50
ip -n a addr add 2001:db8::2/64 dev va nodad
sleep 2.5
ip -n b -6 addr show dev vb
ip netns exec b sysctl -qw net.ipv6.conf.vb.accept_dad=2
ip -n b link set vb down
ip -n b link set vb address 02:00:00:00:00:0a
ip -n b link set vb up
sleep 3
ip -n b -6 addr show dev vb
ip netns exec b sysctl net.ipv6.conf.vb.disable_ipv6
ip -n b -6 route show table all
ip -n a -6 neigh show
