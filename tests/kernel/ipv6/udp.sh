# UDP over IPv6: there and back, a port nobody listens on, IPv4 at a socket of ::.
cd "$(mktemp -d)"
for n in a b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.router_solicitations=0; ip -n $n link set lo up; done
ip link add va netns a address 02:00:00:00:00:0a type veth peer name vb netns b address 02:00:00:00:00:0b
ip -n a link set va up; ip -n b link set vb up
ip -n a addr add 2001:db8:1::a/64 dev va nodad; ip -n b addr add 2001:db8:1::b/64 dev vb nodad
ip -n a addr add 10.9.1.1/24 dev va; ip -n b addr add 10.9.1.2/24 dev vb
for n in 2001:db8:1::b fe80::ff:fe00:b; do ip -n a neigh add $n lladdr 02:00:00:00:00:0b dev va; done
for n in 2001:db8:1::a fe80::ff:fe00:a; do ip -n b neigh add $n lladdr 02:00:00:00:00:0a dev vb; done
sleep 3
echo answer > answer; head -c 1400 /dev/zero > data
ip netns exec b nc -u -6 -l -w 2 9000 < answer > got & sleep 1
ip netns exec a nc -u -w 1 -p 4000 2001:db8:1::b 9000 < data; echo rc $?
wait; cmp data got && echo same
ip netns exec b nc -u -l -w 2 :: 9000 < answer > got & sleep 1
ip netns exec a nc -u -w 1 -p 4001 10.9.1.2 9000 < data; echo rc $?
wait; cmp data got && echo same
ip netns exec a nc -u -w 1 -p 4002 2001:db8:1::b 9001 < data; echo rc $?
ip netns exec a nc -u -w 1 -p 4003 fe80::ff:fe00:b%va 9001 < data; echo rc $?
