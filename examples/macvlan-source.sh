#!/usr/bin/env bash
# macvlan source: a child hears only the MAC addresses on its list.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
node host
cable host eth1 sw p1
node friend
cable friend eth0 sw p2
ip -n friend link set eth0 address 02:00:00:00:00:0f
ip -n friend address add 10.0.0.8/24 dev eth0
node stranger
cable stranger eth0 sw p3
ip -n stranger address add 10.0.0.9/24 dev eth0

node c1
ip -n host link add link eth1 name m1 type macvlan mode source
ip -n host link set m1 type macvlan macaddr add 02:00:00:00:00:0f
ip -n host link set m1 netns c1 name eth0
ip -n c1 address add 10.0.0.1/24 dev eth0
ip -n c1 link set eth0 up

check yes c1 10.0.0.8 "c1 -> friend, whose MAC is on the list"
check no c1 10.0.0.9 "c1 -> stranger"
ip -n c1 link set eth0 type macvlan macaddr del 02:00:00:00:00:0f
check no c1 10.0.0.8 "c1 -> friend, taken off the list"
exit $failed
