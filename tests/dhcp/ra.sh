# What dnsmasq advertises: a prefix, its interval, who is asked; containers make addresses of it.
for n in r h; do
    ip netns add $n
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
    ip -n $n link set lo up
done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns r address 02:00:00:00:00:01 type veth peer name eth0 netns h address 02:00:00:00:00:02
ip link add eth1 netns r address 02:00:00:00:01:01 type veth peer name eth1 netns h address 02:00:00:00:01:02
for dev in eth0 eth1; do ip -n r link set $dev up; done
ip -n r addr add 2001:db8:a::1/64 dev eth0
ip -n r addr add 2001:db8:b::1/64 dev eth1
ip -n r addr add fd00:b::1/64 dev eth1
sleep 3
ip netns exec h sysctl -qw net.ipv6.conf.eth0.router_solicitations=0 net.ipv6.conf.eth1.router_solicitations=0
for dev in eth0 eth1; do ip -n h link set $dev up; done
sleep 3
ip netns exec r dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --dhcp-leasefile="$(mktemp)" --domain=lab.example \
    --enable-ra --dhcp-range=2001:db8:a::,slaac,2h --dhcp-range=::,constructor:eth1,ra-only,off-link --ra-param=eth1,mtu:1400,high,120,900 &
server=$!
sleep 12
simvlan send --netns h eth0 --hex 33330000000202000000000286dd6000000000083aff00000000000000000000000000000000ff02000000000000000000000000000285007bb800000000
sleep 1
simvlan send --netns h eth0 --hex 33330000000202000000000286dd6000000000103afffe80000000000000000000fffe000002ff02000000000000000000000000000285007b2a000000000101020000000002
sleep 2
ip -n h -6 addr show dev eth0
ip -n h -6 addr show dev eth1
ip -n h -6 route show | sed -E 's, expires [0-9]+sec,,'
kill $server
wait
