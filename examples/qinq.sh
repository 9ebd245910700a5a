#!/usr/bin/env bash
# QinQ: an 802.1ad provider bridge carries the customer's 802.1Q tags through its own S-VLAN 50, untouched.
set -eu
. "$(dirname "$0")/check.sh"

switch sw vlan_filtering 1 vlan_protocol 802.1ad
for h in 1 2; do
    node h$h
    cable h$h eth0 sw p$h
    bridge -n sw vlan add dev p$h vid 50 pvid untagged
    for vlan in 10 20; do
        ip -n h$h link add link eth0 name eth0.$vlan type vlan id $vlan
        ip -n h$h address add 10.0.$vlan.$h/24 dev eth0.$vlan
        ip -n h$h link set eth0.$vlan up
    done
done
check yes h1 10.0.10.2 "h1 -> h2, customer VLAN 10 inside S-VLAN 50"
check yes h1 10.0.20.2 "h1 -> h2, customer VLAN 20 inside S-VLAN 50"

node h3
cable h3 eth0 sw p3
bridge -n sw vlan add dev p3 vid 60 pvid untagged
ip -n h3 link add link eth0 name eth0.10 type vlan id 10
ip -n h3 address add 10.0.10.3/24 dev eth0.10
ip -n h3 link set eth0.10 up
check no h1 10.0.10.3 "h1 -> h3, the same customer VLAN 10 in another S-VLAN"
sleep 4 # let the unanswered ARP entries fail, so that they do not reach core

node core
cable core eth0 sw p4
bridge -n sw vlan add dev p4 vid 50
ip -n core link add link eth0 name s50 type vlan id 50 protocol 802.1ad
ip -n core link add link s50 name s50.10 type vlan id 10
ip -n core address add 10.0.10.4/24 dev s50.10
ip -n core link set s50 up
ip -n core link set s50.10 up
check yes h1 10.0.10.4 "h1 -> core, which sees both tags: 802.1ad 50, then 802.1Q 10"
exit $failed
