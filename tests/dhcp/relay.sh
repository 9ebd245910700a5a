# ISC's dhcrelay with option 82: the server knows a client by the relay's interface; its answers come back without it.
ip netns add srv; ip netns add r; ip netns add far; ip netns add near
ip link add eth0 netns srv address 02:00:00:00:00:01 type veth peer name eth0 netns r address 02:00:00:00:00:21
ip link add eth1 netns r address 02:00:00:00:00:22 type veth peer name eth0 netns far address 02:00:00:00:00:31
ip link add eth2 netns r address 02:00:00:00:00:23 type veth peer name eth0 netns near address 02:00:00:00:00:32
ip -n srv address add 10.0.0.1/24 dev eth0
ip -n r address add 10.0.0.9/24 dev eth0
ip -n r address add 10.1.0.1/24 dev eth1
ip -n r address add 10.2.0.1/24 dev eth2
for n in srv:eth0 r:eth0 r:eth1 r:eth2 far:eth0 near:eth0; do ip -n ${n%:*} link set ${n#*:} up; done
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip -n srv route add 10.1.0.0/16 via 10.0.0.9
ip -n srv route add 10.2.0.0/16 via 10.0.0.9
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 --bind-interfaces \
    --dhcp-range=10.1.0.50,10.1.0.60,255.255.255.0,30m --dhcp-range=10.2.0.50,10.2.0.60,255.255.255.0,30m --dhcp-leasefile="$(mktemp)" \
    --dhcp-circuitid=set:two,eth2 --dhcp-option=tag:two,42,10.2.0.42 &
server=$!
ip netns exec r dhcrelay -4 -d -q --no-pid -a -id eth1 -id eth2 -iu eth0 10.0.0.1 > /dev/null 2>&1 &
relay=$!
sleep 2
for c in far near; do
    echo "== $c"
    ip netns exec $c udhcpc -i eth0 -n -f -q -O ntpsrv
    ip -n $c -4 -br address show dev eth0
done
ip netns exec far udhcpc -i eth0 -n -f -q -B
kill $relay
wait $relay
ip netns exec r dhcrelay -4 -d -q --no-pid -id eth1 -iu eth0 10.0.0.1 > /dev/null 2>&1 &
relay=$!
sleep 1
echo "== without option 82"
ip netns exec far udhcpc -i eth0 -n -f -q
kill $relay $server
wait
