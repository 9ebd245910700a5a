# A node whose NIC has a macvlan child in a container; the NIC's wire is to lead to a real TAP:
#   simvlan live examples/live/macvlan.sh --attach node/eth0=tap:tap0
ip netns add node
ip netns add c1
ip link add eth0 netns node type veth peer name wire0
ip -n node link set eth0 up
ip -n node link add mv0 link eth0 type macvlan mode bridge
ip -n node link set mv0 netns c1 name eth0
ip -n c1 link set lo up
ip -n c1 addr add 10.80.0.2/24 dev eth0
ip -n c1 link set eth0 up
