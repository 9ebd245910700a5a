#!/usr/bin/env bash
# Bridge VLAN filtering: access ports (untagged, pvid) and a trunk port (tagged) to a router-on-a-stick.
set -eu
. "$(dirname "$0")/check.sh"

switch sw vlan_filtering 1
for h in 1 2 3; do
    node h$h
    cable h$h eth0 sw p$h
    bridge -n sw vlan del dev p$h vid 1
done
bridge -n sw vlan add dev p1 vid 10 pvid untagged
bridge -n sw vlan add dev p2 vid 10 pvid untagged
bridge -n sw vlan add dev p3 vid 20 pvid untagged
ip -n h1 address add 10.0.10.1/24 dev eth0
ip -n h2 address add 10.0.10.2/24 dev eth0
ip -n h3 address add 10.0.20.3/24 dev eth0
ip -n h1 route add default via 10.0.10.254
ip -n h3 route add default via 10.0.20.254

check yes h1 10.0.10.2 "h1 -> h2, both access ports of VLAN 10"
check no h1 10.0.20.3 "h1 -> h3, VLAN 20, no router yet"
sleep 4 # let the unanswered ARP entries fail, so that the next ping asks afresh

node router
cable router eth0 sw p4
bridge -n sw vlan del dev p4 vid 1
bridge -n sw vlan add dev p4 vid 10
bridge -n sw vlan add dev p4 vid 20
for vlan in 10 20; do
    ip -n router link add link eth0 name eth0.$vlan type vlan id $vlan
    ip -n router address add 10.0.$vlan.254/24 dev eth0.$vlan
    ip -n router link set eth0.$vlan up
done
ip netns exec router sysctl -q -w net.ipv4.ip_forward=1
check yes h1 10.0.20.3 "h1 -> h3, through the router on the trunk port"
exit $failed
