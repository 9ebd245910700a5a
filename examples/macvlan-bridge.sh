#!/usr/bin/env bash
# macvlan bridge: siblings talk directly, the wire never sees it; the host itself stays out of reach.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host address add 10.0.0.100/24 dev eth1
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type macvlan mode bridge
    ip -n c$c address add 10.0.0.$c/24 dev eth0
    ip -n c$c link set eth0 up
done

check yes c1 10.0.0.2 "c1 -> c2, siblings"
check no c1 10.0.0.100 "c1 -> host"
check no host 10.0.0.1 "host -> c1"
exit $failed
