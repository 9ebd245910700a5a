#!/usr/bin/env bash
# One container per driver, each on its own node, and a gateway on the LAN. On a plain switch all of them reach it; ask
# what else would be under the nodes:  simvlan matrix examples/underlays.sh --underlay wifi-sta
set -eu
. "$(dirname "$0")/check.sh"

switch lan
node gw
cable gw eth0 lan p0
ip -n gw address add 10.0.0.1/24 dev eth0
ip -n gw link add link eth0 name eth0.10 type vlan id 10
ip -n gw address add 10.0.10.1/24 dev eth0.10
ip -n gw link set eth0.10 up

number=0
for driver in bridge macvlan ipvlan vlan; do
    number=$((number + 1))
    node node-$driver
    node c-$driver
    cable node-$driver eth1 lan p$number
    case $driver in
        bridge)
            ip -n node-bridge link add br0 type bridge mcast_snooping 0
            ip -n node-bridge link set eth1 master br0
            ip -n node-bridge link set br0 up
            ip link add eth0 netns c-bridge type veth peer name v0 netns node-bridge
            ip -n node-bridge link set v0 master br0 up
            ip -n node-bridge address add 10.0.0.10/24 dev br0
            ;;
        macvlan) ip -n node-macvlan link add link eth1 name eth0 netns c-macvlan type macvlan mode bridge ;;
        ipvlan) ip -n node-ipvlan link add link eth1 name eth0 netns c-ipvlan type ipvlan mode l2 ;;
        vlan) ip -n node-vlan link add link eth1 name eth0 netns c-vlan type vlan id 10 ;;
    esac
    [ $driver = bridge ] || ip -n node-$driver address add 10.0.0.${number}0/24 dev eth1
    [ $driver = vlan ] && subnet=10.0.10 || subnet=10.0.0
    ip -n c-$driver address add $subnet.${number}1/24 dev eth0
    ip -n c-$driver link set eth0 up
    check yes c-$driver $subnet.1 "c-$driver -> gw"
done
exit $failed
