#!/bin/bash
# Two real namespaces, real iperf3, TCP and UDP, through the simulated trunk of trunk.sh: 10 ms and 1 % loss. Run as root.
. "$(dirname "$0")/lib.sh"

real svl-a
real svl-b
live trunk.sh --attach sw1/access=netns:svl-a/eth0 --attach sw2/access=netns:svl-b/eth0
ip -n svl-a addr add 10.80.0.1/24 dev eth0
ip -n svl-b addr add 10.80.0.2/24 dev eth0

ip netns exec svl-b iperf3 -s > /dev/null &
server=$!
until ip netns exec svl-b ss -ltn | grep -q :5201; do sleep 0.1; done
ip netns exec svl-a ping -c 3 -i 0.2 10.80.0.2
ip netns exec svl-a iperf3 -c 10.80.0.2 -t "${SECONDS_EACH:-5}"
ip netns exec svl-a iperf3 -c 10.80.0.2 -t "${SECONDS_EACH:-5}" -u -b 20M
echo "== without the loss"
for sw in sw1 sw2; do inside tc -n $sw qdisc change dev trunk root netem delay 10ms limit 10000; done
ip netns exec svl-a iperf3 -c 10.80.0.2 -t "${SECONDS_EACH:-5}"
kill $server
