#!/usr/bin/env bash
# DHCP over ipvlan l2: all children have the parent's MAC. An answer sent to that MAC and to an address nobody has yet goes to the host,
# so a client must ask for broadcasts (-B); and a server knows clients by MAC unless they say who they are (-x 0x3d:...).
set -eu
. "$(dirname "$0")/check.sh"

switch lan
node srv
cable srv eth0 lan p0
ip -n srv address add 10.0.0.1/24 dev eth0
node host
cable host eth1 lan p1
ip -n host link set eth1 address 02:00:00:00:00:10
for c in 1 2; do
    node c$c
    ip -n host link add link eth1 name eth0 netns c$c type ipvlan mode l2
done
leases=$(mktemp) log=$(mktemp)
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --port=0 --no-ping --interface=eth0 --bind-interfaces \
    --dhcp-range=10.0.0.100,10.0.0.150,1h --dhcp-leasefile="$leases" 2> "$log" &
server=$!
until grep -q started "$log"; do sleep 0.1; done

# dhcp NETNS OPTIONS...: what udhcpc says, and the address there is then.
dhcp() {
    local netns=$1
    shift
    echo "== $netns: udhcpc $*"
    ip netns exec "$netns" udhcpc -i eth0 -n -q -f -t 1 -T ${patience:-20} "$@" 2>&1 | grep ^udhcpc
    ip -n srv neigh flush dev eth0 # what dnsmasq entered to answer: nobody asks again by ARP
    ip -n "$netns" -4 -br address show dev eth0
}

patience=2 dhcp c1
dhcp c1 -B
dhcp c2 -B
echo "== the server's leases: one, for one MAC"
cut -d ' ' -f 2-3,5 "$leases"

ip -n c1 address flush dev eth0
dhcp c1 -B -x 0x3d:00c1
dhcp c2 -B -x 0x3d:00c2
check yes c1 10.0.0.1 "c1 -> srv"
check yes c2 10.0.0.1 "c2 -> srv"
echo "== the server's leases"
cut -d ' ' -f 2-3,5 "$leases"
kill $server
rm "$leases" "$log"
exit $failed
