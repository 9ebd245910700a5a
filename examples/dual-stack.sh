#!/usr/bin/env bash
# Two nodes, a VLAN trunk, containers with IPv4 and IPv6: radvd on a router tells every VLAN its prefix, containers make addresses of it.
#
#     node-1 eth1 ---- p1 [ bridge "trunk": VLANs 100 and 200 tagged ] p2 ---- eth1 node-2
#                                        p3 ---- eth0 router (eth0.100, eth0.200)
#
# Containers are named NODE-VLAN-LETTER; macvlans on both nodes, and two ipvlans (x, y) on node 2. The nodes have no IPv6 of their own.
set -eu
. "$(dirname "$0")/check.sh"

# ipv6 NETNS: switch IPv6 on there.
ipv6() {
    ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=0
}

node switch
ip -n switch link add trunk type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0
ip -n switch link set trunk up

# plug NETNS DEV PORT MAC: a cable to the trunk, with a sub-interface for each VLAN.
plug() {
    ip link add "$2" netns "$1" address "$4" type veth peer name "$3" netns switch
    ip -n switch link set "$3" master trunk up
    ip -n "$1" link set "$2" up
    for vlan in 100 200; do
        bridge -n switch vlan add dev "$3" vid $vlan
        ip -n "$1" link add link "$2" name "$2.$vlan" type vlan id $vlan
        ip -n "$1" link set "$2.$vlan" up
    done
}
node node-1
plug node-1 eth1 p1 02:00:00:00:00:11
node node-2
plug node-2 eth1 p2 02:00:00:00:00:12

node router
ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
plug router eth0 p3 02:00:00:00:00:01
conf=$(mktemp)
for vlan in 100 200; do
    ip -n router address add 192.168.$vlan.1/24 dev eth0.$vlan
    cat >> "$conf" << END
interface eth0.$vlan { AdvSendAdvert on; prefix 2001:db8:$vlan::/64 { }; };
END
done
# container NODE VLAN LETTER NUMBER KIND...: its IPv4 address is static, of IPv6 nothing is said.
container() {
    local name=n$1-$2-$3 vlan=$2 number=$4
    node "$name"
    ip -n "node-$1" link add link "eth1.$vlan" name eth0 netns "$name" "${@:5}"
    ip -n "$name" address add "192.168.$vlan.$number/24" dev eth0
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via "192.168.$vlan.1"
    containers+=("$name")
}
containers=()
container 1 100 a 11 address 02:00:00:00:01:11 type macvlan mode bridge
container 1 100 b 12 address 02:00:00:00:01:12 type macvlan mode bridge
container 2 100 a 21 address 02:00:00:00:01:21 type macvlan mode bridge
container 1 200 a 11 address 02:00:00:00:02:11 type macvlan mode bridge
container 2 200 x 21 type ipvlan mode l2
container 2 200 y 22 type ipvlan mode l2

# Everybody has IPv6 now, and finds out that nobody else has its link-local address.
for name in router "${containers[@]}"; do ipv6 "$name"; done
for vlan in 100 200; do ip -n router address add 2001:db8:$vlan::1/64 dev eth0.$vlan; done
for name in router "${containers[@]}"; do
    until [ -z "$(ip -n "$name" -6 address show tentative)" ]; do sleep 0.2; done
done

ip netns exec router radvd -C "$conf" -n -m none -p "$conf.pid" 2> /dev/null &
server=$!
until [ -s "$conf.pid" ]; do sleep 0.1; done

# six NETNS: the global address that it made itself, once it is sure of it.
six() {
    ip -n "$1" -6 -o address show dev eth0 scope global | sed -n '/tentative/!s,.*inet6 \(.*\)/64.*,\1,p'
}
for name in "${containers[@]}"; do
    until [ "$(six "$name")" ]; do sleep 0.2; done
    mac=$(ip -n "$name" -o link show dev eth0 | sed 's,.*link/ether \([^ ]*\).*,\1,')
    printf '%-9s %s  %s\n' "$name" "$mac" "$(six "$name")"
done
ip -n n1-100-a -6 route show | sed 's/ expires [0-9]*sec//'

check yes n1-100-a 192.168.100.12 "VLAN 100, same node, IPv4:  n1-100-a -> n1-100-b"
check yes n1-100-a "$(six n1-100-b)" "VLAN 100, same node, IPv6:  n1-100-a -> n1-100-b"
check yes n1-100-a "$(six n2-100-a)" "VLAN 100, across, IPv6:     n1-100-a -> n2-100-a"
check yes n2-200-x "$(six n2-200-y)" "ipvlan to ipvlan, IPv6:     n2-200-x -> n2-200-y"
check yes n1-200-a "$(six n2-200-x)" "macvlan to ipvlan, IPv6:    n1-200-a -> n2-200-x"
check yes n1-100-a 192.168.200.22 "by the router, IPv4:        n1-100-a -> n2-200-y"
check yes n1-100-a "$(six n2-200-y)" "by the router, IPv6:        n1-100-a -> n2-200-y"
check no n1-100-a fe80::200:0:100:12%eth0 "another VLAN, link-local:   n1-100-a -> n2-200-x"

kill $server
wait $server || true
echo "== radvd has said that the router is none any more"
ip -n n1-100-a -6 route show | sed 's/ expires [0-9]*sec//'
check yes n1-100-a "$(six n2-100-a)" "VLAN 100, across, IPv6:     n1-100-a -> n2-100-a"
check no n1-100-a 2001:db8:200::1 "by the router, IPv6:        n1-100-a -> router's other side"
rm "$conf"
exit $failed
