#!/usr/bin/env bash
# macvlan passthru: one child takes the parent over, its MAC included; the host hears no unicast any more.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host address add 10.0.0.100/24 dev eth1
node ext
cable ext eth0 sw p2
ip -n ext address add 10.0.0.9/24 dev eth0
check yes host 10.0.0.9 "host -> ext, before"

node c1
ip -n host link add link eth1 name eth0 netns c1 type macvlan mode passthru
ip -n c1 address add 10.0.0.1/24 dev eth0
ip -n c1 link set eth0 up
check yes c1 10.0.0.9 "c1 -> ext"
check no host 10.0.0.9 "host -> ext, with the child up"
ip -n host link add link eth1 name m2 type macvlan mode bridge 2>&1 || echo "a second child is refused"
exit $failed
