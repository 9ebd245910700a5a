#!/usr/bin/env bash
# The remedy when the host must reach its macvlan containers: give the host a macvlan of its own.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
ip -n host address add 10.0.0.100/24 dev eth1
node c1
ip -n host link add link eth1 name eth0 netns c1 type macvlan mode bridge
ip -n c1 address add 10.0.0.1/24 dev eth0
ip -n c1 link set eth0 up

check no host 10.0.0.1 "host -> c1, from the parent eth1"
ip -n host link add link eth1 name mac0 type macvlan mode bridge
ip -n host address add 10.0.0.101/32 dev mac0
ip -n host link set mac0 up
ip -n host route add 10.0.0.1/32 dev mac0
check yes host 10.0.0.1 "host -> c1, through mac0"
check yes c1 10.0.0.101 "c1 -> host's mac0"
exit $failed
