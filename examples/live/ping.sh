#!/bin/bash
# A real ping, in a real namespace, to a simulated container on a macvlan: through a TAP. Run as root.
. "$(dirname "$0")/lib.sh"

real svl-host
live macvlan.sh --attach node/eth0=tap:svl-host/tap0
ip -n svl-host addr add 10.80.0.1/24 dev tap0

ip netns exec svl-host ping -c 5 -i 0.2 10.80.0.2
echo "== and 10 ms later each way"
inside tc -n node qdisc add dev eth0 root netem delay 10ms
inside tc -n c1 qdisc add dev eth0 root netem delay 10ms
ip netns exec svl-host ping -c 5 -i 0.2 10.80.0.2
