#!/usr/bin/env bash
# A station moves: the FDB entry follows its MAC to the other port with the first frame; a sticky entry does not.
set -eu
. "$(dirname "$0")/check.sh"

switch sw
for h in 1 2 3; do
    node h$h
    cable h$h eth0 sw p$h
done
where() { bridge -n sw fdb show br br0 | grep '^02:00:00:00:00:aa ' | grep -o '^.*dev p[0-9]' | sort -u; }

ip netns exec h1 simvlan send eth0 --hex ffffffffffff0200000000aa88b500000000
where
ip netns exec h2 simvlan send eth0 --hex ffffffffffff0200000000aa88b500000000
where
bridge -n sw fdb replace 02:00:00:00:00:aa dev p3 master static sticky
ip netns exec h1 simvlan send eth0 --hex ffffffffffff0200000000aa88b500000000
where
exit $failed
