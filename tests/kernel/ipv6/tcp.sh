# TCP over IPv6: three thousand octets one way, a port nobody listens on, IPv4 at a socket of ::, an address that is not ours.
cd "$(mktemp -d)"
for n in a r b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.router_solicitations=0 net.ipv4.tcp_rmem="4096 131072 6291456"; ip -n $n link set lo up; done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1
ip link add va netns a address 02:00:00:00:00:0a type veth peer name r0 netns r address 02:00:00:00:00:a0
ip link add vb netns b address 02:00:00:00:00:0b type veth peer name r1 netns r address 02:00:00:00:00:a1
for d in a/va b/vb r/r0 r/r1; do ip netns exec ${d%/*} ethtool -K ${d#*/} tso off gso off tx off > /dev/null; ip -n ${d%/*} link set ${d#*/} up; done
ip -n a addr add 2001:db8:1::a/64 dev va nodad; ip -n b addr add 2001:db8:2::b/64 dev vb nodad
ip -n r addr add 2001:db8:1::fe/64 dev r0 nodad; ip -n r addr add 2001:db8:2::fe/64 dev r1 nodad
ip -n a addr add 10.9.1.1/24 dev va; ip -n r addr add 10.9.1.254/24 dev r0; ip -n r addr add 10.9.2.254/24 dev r1; ip -n b addr add 10.9.2.1/24 dev vb
for f in -4 -6; do ip -n a $f route add default via $([ $f = -4 ] && echo 10.9.1.254 || echo 2001:db8:1::fe); ip -n b $f route add default via $([ $f = -4 ] && echo 10.9.2.254 || echo 2001:db8:2::fe); done
ip -n a neigh add 2001:db8:1::fe lladdr 02:00:00:00:00:a0 dev va; ip -n r neigh add 2001:db8:1::a lladdr 02:00:00:00:00:0a dev r0
ip -n b neigh add 2001:db8:2::fe lladdr 02:00:00:00:00:a1 dev vb; ip -n r neigh add 2001:db8:2::b lladdr 02:00:00:00:00:0b dev r1
sleep 3
head -c 3000 /dev/zero > data
ip netns exec b nc -6 -l 8000 < /dev/null > got &
sleep 1
ip netns exec a nc -N 2001:db8:2::b 8000 < data; echo rc $?
wait
cmp data got && echo same
sleep 1
ip netns exec a nc -zv 2001:db8:2::b 81; echo rc $?
sleep 1
ip netns exec b nc -l :: 8001 < /dev/null > got &
sleep 1
ip netns exec a nc -N 10.9.2.1 8001 < data; echo rc $?
wait
cmp data got && echo same
sleep 1
ip netns exec a nc -v -s 2001:db8:1::77 2001:db8:2::b 81; echo rc $?
