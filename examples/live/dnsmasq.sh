#!/bin/bash
# A real dnsmasq leases addresses to simulated DHCP clients behind macvlans; a real ping finds them there. Run as root.
. "$(dirname "$0")/lib.sh"

real svl-lan
live clients.sh --attach node/eth0=netns:svl-lan/eth0
ip -n svl-lan addr add 10.81.0.1/24 dev eth0
ip netns exec svl-lan dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=eth0 --bind-interfaces \
    --dhcp-range=10.81.0.100,10.81.0.150,1h --dhcp-leasefile="$scratch/leases" --user=root 2> "$scratch/log" &
server=$!

until grep -q "DHCP, IP range" "$scratch/log"; do sleep 0.1; done
for c in c1 c2; do
    inside ip netns exec $c udhcpc -i eth0 -n -q
done
grep -E "DHCP(DISCOVER|OFFER|REQUEST|ACK)" "$scratch/log"
cut -d' ' -f3 "$scratch/leases" | while read -r address; do
    ip netns exec svl-lan ping -c 2 -i 0.2 "$address"
done
kill $server
