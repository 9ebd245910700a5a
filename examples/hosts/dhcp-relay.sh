#!/usr/bin/env bash
# DHCP across a router: macvlan containers on two VLANs, one server on neither. The router relays; the server picks the range of the
# VLAN whose address the relay has (giaddr), and a tag of that range picks the name server.
set -eu
. "$(dirname "$0")/../check.sh"

switch lan vlan_filtering 1 vlan_default_pvid 0
node router
cable router eth0 lan p0
node host
cable host eth1 lan p1
for vlan in 10 20; do
    for port in p0 p1; do bridge -n lan vlan add dev $port vid $vlan; done
    ip -n router link add link eth0 name eth0.$vlan type vlan id $vlan
    ip -n router link set eth0.$vlan up
    ip -n router address add 10.0.$vlan.1/24 dev eth0.$vlan
    ip -n host link add link eth1 name eth1.$vlan type vlan id $vlan
    ip -n host link set eth1.$vlan up
    node c$vlan
    ip -n host link add link eth1.$vlan name eth0 netns c$vlan address 02:00:00:00:00:$vlan type macvlan mode bridge
done
node srv
ip link add eth0 netns srv type veth peer name eth1 netns router
ip -n srv address add 192.0.2.2/24 dev eth0
ip -n router address add 192.0.2.1/24 dev eth1
ip -n srv link set eth0 up
ip -n router link set eth1 up
ip -n srv route add default via 192.0.2.1
ip netns exec router sysctl -qw net.ipv4.ip_forward=1

leases=$(mktemp) log=$(mktemp)
common="--no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0"
ip netns exec srv dnsmasq $common --no-ping --dhcp-leasefile="$leases" --interface=eth0 --bind-interfaces \
    --dhcp-range=set:ten,10.0.10.100,10.0.10.150,255.255.255.0,1h --dhcp-range=set:twenty,10.0.20.100,10.0.20.150,255.255.255.0,1h \
    --dhcp-option=tag:twenty,option:dns-server,10.0.20.53 --dhcp-option=option:dns-server,192.0.2.2 2>> "$log" &
server=$!
ip netns exec router dnsmasq $common --dhcp-leasefile="$(mktemp)" --dhcp-relay=10.0.10.1,192.0.2.2 --dhcp-relay=10.0.20.1,192.0.2.2 2>> "$log" &
relay=$!
until [ "$(grep -c started "$log")" = 2 ]; do sleep 0.1; done
sleep 1

for vlan in 10 20; do
    echo "== c$vlan"
    ip netns exec c$vlan udhcpc -i eth0 -n -q -f -T 20 2>&1 | grep ^udhcpc
    ip -n router neigh flush dev eth0.$vlan # what the relay entered to answer
    ip -n c$vlan -4 -br address show dev eth0
    ip -n c$vlan route
done
check yes c10 192.0.2.2 "c10 -> srv"
check yes c20 "$(ip -n c10 -4 -o address show dev eth0 | sed 's,.*inet \([^/]*\).*,\1,')" "c20 -> c10, by the router"
echo "== the server's leases"
cut -d ' ' -f 2-3,5 "$leases"
kill $relay $server
rm "$leases" "$log"
exit $failed
