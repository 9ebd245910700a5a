# Two simulated containers, each on a macvlan of one NIC, without addresses:
#   simvlan live examples/live/clients.sh --attach node/eth0=netns:REAL/eth0
ip netns add node
ip link add eth0 netns node type veth peer name wire0
ip -n node link set eth0 up
for c in c1 c2; do
    ip netns add $c
    ip -n node link add mv-$c link eth0 type macvlan mode bridge
    ip -n node link set mv-$c netns $c name eth0
    ip -n $c link set lo up
    ip -n $c link set eth0 up
done
