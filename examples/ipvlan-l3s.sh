#!/usr/bin/env bash
# ipvlan l3s: as l3, but what comes in passes the host's IP input path (netfilter sees it; a capture on the child does not).
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host address add 192.168.1.1/24 dev eth1
node ext
cable ext eth0 sw p2
ip -n ext address add 192.168.1.9/24 dev eth0
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type ipvlan mode l3s
    ip -n c$c address add 10.$c.0.1/24 dev eth0
    ip -n c$c link set eth0 up
    ip -n c$c route add default dev eth0
done

check yes c1 10.2.0.1 "c1 -> c2, another subnet, no router"
check no ext 10.1.0.1 "ext -> c1, without a route"
ip -n ext route add 10.0.0.0/8 via 192.168.1.1
check yes ext 10.1.0.1 "ext -> c1, with a route via the host"
check yes c1 192.168.1.9 "c1 -> ext"
check no c1 192.168.1.1 "c1 -> host"
exit $failed
