#!/usr/bin/env bash
# DHCP over macvlan works: each child has a MAC of its own, so the LAN's server gives each a lease of its own.
set -eu
. "$(dirname "$0")/check.sh"

switch lan
node srv
cable srv eth0 lan p0
ip -n srv address add 10.0.0.1/24 dev eth0
node host
cable host eth1 lan p1
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c address 02:00:00:00:00:1$c type macvlan mode bridge
done
leases=$(mktemp) log=$(mktemp)
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 --bind-interfaces \
    --dhcp-range=10.0.0.100,10.0.0.150,1h --dhcp-host=02:00:00:00:00:12,10.0.0.200 --dhcp-leasefile="$leases" 2> "$log" &
server=$!
until grep -q started "$log"; do sleep 0.1; done
sleep 1

for c in 1 2; do
    echo "== c$c"
    ip netns exec c$c udhcpc -i eth0 -n -q -f -T 20 2>&1 | grep ^udhcpc
    ip -n srv neigh flush dev eth0 # what dnsmasq entered to answer: nobody asks again by ARP
    ip -n c$c -4 -br address show dev eth0
    ip -n c$c route
done
check yes c1 10.0.0.200 "c1 -> c2, at its reserved address"
check yes c2 10.0.0.1 "c2 -> srv"
echo "== the server's leases"
cut -d ' ' -f 2-3,5 "$leases"
kill $server
rm "$leases" "$log"
exit $failed
