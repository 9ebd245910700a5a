# Addresses over down and up, keep_addr_on_down, addr_gen_mode, disable_ipv6, MTUs, a new MAC, name and namespace.
# Linkwatch looks once a second where both ends of a veth have one index, as here: pauses are longer.
ip netns add a
ip netns add b
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip netns exec b sysctl -qw net.ipv6.conf.all.disable_ipv6=0
ip -n a link set lo up
ip -n b link set lo up
ip netns exec b sysctl -qw net.ipv6.conf.default.router_solicitations=0
ip netns exec a sysctl -qw net.ipv6.conf.default.router_solicitations=0
ip link add va netns a address 02:00:00:00:00:0a type veth peer name vb netns b address 02:00:00:00:00:0b
ip -n b link set vb up
ip -n a link set va up
sleep 3.5
ip -n a addr add 2001:db8::1/64 dev va nodad
ip -n a addr add 2001:db8:1::1/64 dev va nodad
sleep 2
ip netns exec a sysctl -qw net.ipv6.conf.va.keep_addr_on_down=1
ip -n a link set va down
sleep 1.5
ip -n a -6 addr show dev va
ip -n a -6 route show table all
ip -n a maddr show dev va
ip -n a link set va up
sleep 3.5
ip -n a -6 addr show dev va
ip -n a -6 route show table all
ip netns exec a sysctl -qw net.ipv6.conf.va.keep_addr_on_down=0
ip -n a link set va down
sleep 1.5
ip -n a -6 addr show dev va
ip netns exec a sysctl -qw net.ipv6.conf.va.addr_gen_mode=1
ip -n a link set va up
sleep 2
ip -n a -6 addr show dev va
ip netns exec a sysctl -qw net.ipv6.conf.va.addr_gen_mode=0
ip netns exec a sysctl -qw net.ipv6.conf.va.disable_ipv6=1
sleep 1.5
ip -n a -6 addr show dev va
ip netns exec a sysctl -qw net.ipv6.conf.va.disable_ipv6=0
sleep 3.5
ip -n a -6 addr show dev va
ip -n a link set va mtu 1000
sleep 1.5
ip -n a -6 addr show dev va
ip -n a -6 route show table all
ip -n a maddr show dev va
ip -n a link set va mtu 1400
sleep 3.5
ip -n a -6 addr show dev va
ip -n a maddr show dev va
ip netns exec a sysctl net.ipv6.conf.va.mtu
ip -n a link set va down
sleep 1.5
ip -n a link set va address 02:00:00:00:00:1a
ip -n a link set va name vx
ip -n a link set vx up
sleep 3.5
ip -n a -6 addr show dev vx
ip netns exec a sysctl net.ipv6.conf.vx.disable_ipv6
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=1
sleep 1.5
ip -n a -6 addr
ip -n a -6 route show table all
# newer kernels say more
ip -n a addr add 2001:db8::1/64 dev vx 2>&1 | sed 's/^Error: ipv6: IPv6 is disabled on this device.$/RTNETLINK answers: Permission denied/'
ip netns exec a sysctl -qw net.ipv6.conf.all.disable_ipv6=0
sleep 3.5
ip -n a -6 addr
ip -n a link set vx netns b
sleep 1.5
ip -n b -6 addr
ip -n b link set vx up
ip netns exec a sysctl -qw net.ipv6.conf.default.disable_ipv6=1
sleep 1.5
ip -n a link add d0 type veth peer name d1
ip -n a link set d1 up
ip -n a link set d0 up
ip -n a -6 addr show dev d0
sleep 1
sleep 2
