#!/usr/bin/env bash
# Who hears a container: modes.sh KIND MODE [FLAG] [build]; with `build` nothing is tried.
#
#     node host:  c1, c2 on eth1.100, v on eth1.200      switch: VLANs 100 and 200 tagged, to both nodes
#     node far:   has 10.0.2.1 itself, in VLAN 100       all in one subnet, 10.0.0.0/16
#
# One line for each ping: its name, yes or no. At last c1 sends a broadcast of its own Ethernet type, for the captures.
set -u
kind=$1 mode=$2 flag=${3:-} last=${4:-}

node() { ip netns add "$1" && ip -n "$1" link set lo up; }

# addressed NETNS DEV MAC ADDRESS: the same addresses wherever this runs.
addressed() {
    ip -n "$1" link set "$2" address "$3"
    ip -n "$1" address add "$4/16" dev "$2"
    ip -n "$1" link set "$2" up
}

# container NETNS VLAN MAC ADDRESS: on the host's device in that VLAN, or on the host's bridge over it.
container() {
    node "$1"
    if [ "$kind" = bridge ]; then
        ip link add eth0 netns "$1" type veth peer name "to-$1" netns host
        ip -n host link set "to-$1" master "br$2" up
    else
        local how=(type "$kind" mode "$mode")
        [ -z "$flag" ] || how+=("$flag")
        ip -n host link add link "eth1.$2" name eth0 netns "$1" "${how[@]}" 2> /dev/null || return 1
    fi
    if [ "$kind" = ipvlan ]; then
        ip -n "$1" address add "$4/16" dev eth0
        ip -n "$1" link set eth0 up
    elif [ "$mode" = passthru ]; then # it takes the address of the device below
        ip -n "$1" address add "$4/16" dev eth0
        ip -n "$1" link set eth0 up
    else
        addressed "$1" eth0 "$3" "$4"
    fi
    if [ "$mode" = source ]; then # hears those who are listed: everybody here
        for mac in 02:00:00:00:01:01 02:00:00:00:01:02 02:00:00:00:01:fe 02:00:00:00:02:01 02:00:00:00:01:09; do
            ip -n "$1" link set eth0 type macvlan macaddr add $mac
        done
    fi
}

node switch
ip -n switch link add trunk type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0
ip -n switch link set trunk up
for at in host far; do
    node $at
    ip link add eth1 netns $at type veth peer name $at netns switch
    ip -n switch link set $at master trunk up
    bridge -n switch vlan add dev $at vid 100
    bridge -n switch vlan add dev $at vid 200
    ip -n $at link set eth1 up
    for vlan in 100 200; do
        ip -n $at link add link eth1 name eth1.$vlan type vlan id $vlan
        ip -n $at link set eth1.$vlan up
    done
done
if [ "$kind" = bridge ]; then
    for vlan in 100 200; do
        ip -n host link add br$vlan type bridge mcast_snooping 0
        ip -n host link set br$vlan up
        ip -n host link set eth1.$vlan master br$vlan
    done
    addressed host br100 02:00:00:00:01:fe 10.0.1.254
else
    addressed host eth1.100 02:00:00:00:01:fe 10.0.1.254
fi
addressed far eth1.100 02:00:00:00:02:01 10.0.2.1
container c1 100 02:00:00:00:01:01 10.0.1.1
container c2 100 02:00:00:00:01:02 10.0.1.2 || echo "sibling refused"
container v 200 02:00:00:00:01:09 10.0.1.9
[ "$last" != build ] || exit 0

# try NAME ADDRESS: one ping by c1.
try() {
    local got=no
    ip netns exec c1 ping -n -c 1 -W 1 "$2" > /dev/null 2>&1 && got=yes
    echo "$1 $got"
}
try sibling 10.0.1.2
try host 10.0.1.254
try far 10.0.2.1
try vlan 10.0.1.9
simvlan send --netns c1 eth0 --hex ffffffffffff02000000010188b5"$(printf '6d%.0s' {1..46})"
sleep 4 # the neighbour entries of whom nobody answered for fail meanwhile
if [ "$kind" = macvlan ] || [ "$kind" = ipvlan ]; then
    bridge -n switch link set dev host hairpin on
    try sibling-hairpin 10.0.1.2
    try host-hairpin 10.0.1.254
    bridge -n switch link set dev host hairpin off
fi
if [ "$mode" = l3 ] || [ "$mode" = l3s ]; then
    ip -n far route add 10.0.1.1/32 via 10.0.1.254
    try far-route 10.0.2.1
fi
exit 0
