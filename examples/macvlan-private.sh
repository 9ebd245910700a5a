#!/usr/bin/env bash
# macvlan private: siblings never hear each other, not even by a detour over a switch that reflects (hairpin).
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
node ext
cable ext eth0 sw p2
ip -n ext address add 10.0.0.9/24 dev eth0
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type macvlan mode private
    ip -n c$c address add 10.0.0.$c/24 dev eth0
    ip -n c$c link set eth0 up
done

check no c1 10.0.0.2 "c1 -> c2, private siblings"
check yes c1 10.0.0.9 "c1 -> ext, over the wire"
bridge -n sw link set dev p1 hairpin on
sleep 4 # let the unanswered ARP entries fail, so that the next ping asks afresh
check no c1 10.0.0.2 "c1 -> c2, switch reflects: c1's own ARP broadcast comes back to c1 alone"
exit $failed
