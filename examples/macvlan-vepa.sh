#!/usr/bin/env bash
# macvlan vepa: everything goes to the switch; siblings talk only if the switch sends frames back (hairpin).
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host address add 10.0.0.100/24 dev eth1
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type macvlan mode vepa
    ip -n c$c address add 10.0.0.$c/24 dev eth0
    ip -n c$c link set eth0 up
done

check no c1 10.0.0.2 "c1 -> c2, hairpin off"
check no c1 10.0.0.100 "c1 -> host, hairpin off"
sleep 4 # let the unanswered ARP entries fail, so that the next ping asks afresh
bridge -n sw link set dev p1 hairpin on
check yes c1 10.0.0.2 "c1 -> c2, hairpin on"
check yes c1 10.0.0.100 "c1 -> host, hairpin on"
exit $failed
