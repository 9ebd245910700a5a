#!/usr/bin/env bash
# Docker's macvlan tutorial: two nodes, a VLAN trunk between them, macvlan containers on eth1.100 and eth1.200.
#
#     node-1 eth1 ---- p1 [ bridge "trunk": VLANs 100 and 200 tagged ] p2 ---- eth1 node-2
#
# Containers are namespaces named NODE-VLAN-LETTER. All share 192.168.0.0/16, so only the VLAN keeps them apart.
set -eu
. "$(dirname "$0")/check.sh"

node switch
ip -n switch link add trunk type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0
ip -n switch link set trunk up

for n in 1 2; do
    node node-$n
    ip link add eth1 netns node-$n type veth peer name p$n netns switch
    ip -n switch link set p$n master trunk up
    bridge -n switch vlan add dev p$n vid 100
    bridge -n switch vlan add dev p$n vid 200
    ip -n node-$n link set eth1 up
    for vlan in 100 200; do
        ip -n node-$n link add link eth1 name eth1.$vlan type vlan id $vlan
        ip -n node-$n link set eth1.$vlan up
    done
done
ip -n node-1 address add 192.168.11.254/16 dev eth1.100
ip -n node-2 address add 192.168.10.254/16 dev eth1.100

# container NODE VLAN LETTER ADDRESS
container() {
    local name=n$1-$2-$3
    node "$name"
    ip -n "node-$1" link add link "eth1.$2" name eth0 netns "$name" type macvlan mode bridge
    ip -n "$name" address add "$4/16" dev eth0
    ip -n "$name" link set eth0 up
}
container 1 100 a 192.168.11.1
container 1 100 b 192.168.11.2
container 1 200 a 192.168.11.3
container 1 200 b 192.168.11.4
container 2 100 a 192.168.10.1
container 2 100 b 192.168.10.2
container 2 200 a 192.168.10.3
container 2 200 b 192.168.10.4

check yes n1-100-a 192.168.11.2 "VLAN 100, same node:   n1-100-a -> n1-100-b"
check yes n1-200-a 192.168.11.4 "VLAN 200, same node:   n1-200-a -> n1-200-b"
check yes n1-100-a 192.168.10.1 "VLAN 100, across:      n1-100-a -> n2-100-a"
check yes n2-200-b 192.168.11.3 "VLAN 200, across:      n2-200-b -> n1-200-a"
check no n1-100-a 192.168.11.3 "VLAN 100 to VLAN 200:  n1-100-a -> n1-200-a (same node)"
check no n1-100-a 192.168.10.3 "VLAN 100 to VLAN 200:  n1-100-a -> n2-200-a (across)"
check no node-1 192.168.11.1 "node to own container: node-1   -> n1-100-a"
check yes node-1 192.168.10.1 "node to the other's:   node-1   -> n2-100-a"
exit $failed
