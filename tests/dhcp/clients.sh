# What clients and servers say to each other: reservations, options, INIT-REBOOT, decline, release, refusals, a relay.
ip netns add srv; ip netns add c1; ip netns add c2; ip netns add lan; ip netns add r; ip netns add far
ip -n lan link add br0 type bridge mcast_snooping 0
ip -n lan link set br0 up
for n in srv:01 c1:11 c2:12 r:21; do
    ip link add eth0 netns ${n%:*} address 02:00:00:00:00:${n#*:} type veth peer name ${n%:*} netns lan
    ip -n lan link set ${n%:*} master br0 up
    ip -n ${n%:*} link set eth0 up
done
ip -n srv address add 10.0.0.1/24 dev eth0
ip -n c2 address add 10.0.0.110/24 dev eth0
ip link add eth1 netns r address 02:00:00:00:00:22 type veth peer name eth0 netns far address 02:00:00:00:00:31
ip -n r address add 10.0.0.9/24 dev eth0
ip -n r address add 10.1.0.1/24 dev eth1
ip -n r link set eth1 up
ip -n far link set eth0 up
ip netns exec r sysctl -qw net.ipv4.ip_forward=1
ip -n srv route add 10.1.0.0/24 via 10.0.0.9
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 --bind-interfaces \
    --dhcp-range=10.0.0.100,10.0.0.150,1h --dhcp-range=10.1.0.50,10.1.0.60,255.255.255.0,30m --dhcp-leasefile="$(mktemp)" \
    --dhcp-host=id:00:aa,10.0.0.7,infinite --dhcp-host=02:00:00:00:00:12,ignore \
    --dhcp-option=option:router,10.0.0.254 --dhcp-option=6,10.0.0.53 --dhcp-option=15,example.net --dhcp-option=42 &
server=$!
ip netns exec r dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --interface=eth1 \
    --dhcp-relay=10.1.0.1,10.0.0.1 --dhcp-leasefile="$(mktemp)" 2> /dev/null &
relay=$!
sleep 1
echo "== the address is in use: declined"
ip netns exec c1 udhcpc -i eth0 -n -f -q -a -A 4 -t 2
ip -n c1 route
echo "== by client identifier"
ip netns exec c1 udhcpc -i eth0 -n -f -q -x 0x3d:00aa -O ntpsrv
echo "== asks for what it had"
ip netns exec c1 udhcpc -i eth0 -n -f -q -x 0x3d:00aa -r 10.0.0.120
echo "== ignored"
ip netns exec c2 udhcpc -i eth0 -n -f -q -t 1 -T 1
echo "== released"
ip netns exec c1 udhcpc -i eth0 -f -R -C -B -x hostname:box &
client=$!
sleep 2
kill $client
wait $client
echo "== through a relay"
ip netns exec far udhcpc -i eth0 -n -f -q
ip -n far -4 -br address show dev eth0
ip netns exec far udhcpc -i eth0 -n -f -q -B
kill $server $relay
wait
