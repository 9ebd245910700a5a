#!/usr/bin/env bash
# ipvlan l2: all children share the parent's MAC and are told apart by IP address; the host stays out of reach.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host link set eth1 address 02:00:00:00:00:01
ip -n host address add 10.0.0.100/24 dev eth1
node ext
cable ext eth0 sw p2
ip -n ext address add 10.0.0.9/24 dev eth0
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type ipvlan mode l2
    ip -n c$c address add 10.0.0.$c/24 dev eth0
    ip -n c$c link set eth0 up
done

check yes c1 10.0.0.2 "c1 -> c2"
check yes c1 10.0.0.9 "c1 -> ext"
check yes c2 10.0.0.9 "c2 -> ext"
check no c1 10.0.0.100 "c1 -> host"
echo "ext's neighbours: one MAC for both containers"
ip -n ext neigh show | sort | grep -o '^10.0.0.[12] .*lladdr [0-9a-f:]*'
exit $failed
