# A lease of two minutes: renewal at half of it; a server that forgot it refuses; then no server: rebinding, loss, discover again.
ip netns add srv; ip netns add c1
ip link add eth0 netns srv address 02:00:00:00:00:01 type veth peer name eth0 netns c1 address 02:00:00:00:00:11
ip -n srv address add 10.0.0.1/24 dev eth0
ip -n srv link set eth0 up
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 \
    --bind-interfaces --dhcp-range=10.0.0.100,10.0.0.150,2m --dhcp-leasefile="$(mktemp)" &
server=$!
sleep 1
ip netns exec c1 udhcpc -i eth0 -f &
client=$!
sleep 70
ip -n c1 -4 -br address show dev eth0
kill $server; wait $server
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 \
    --bind-interfaces --dhcp-range=10.0.0.160,10.0.0.170,2m --dhcp-leasefile="$(mktemp)" &
server=$!
sleep 60
ip -n c1 -4 -br address show dev eth0
kill $server; wait $server
sleep 115
ip -n c1 -4 -br address show dev eth0
kill $client; wait $client
