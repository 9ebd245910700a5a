# Two switches and a VLAN trunk of 10 ms and 1 % loss each way between them; access ports of VLAN 10 lead outside:
#   simvlan live examples/live/trunk.sh --attach sw1/access=netns:A/eth0 --attach sw2/access=netns:B/eth0
for sw in sw1 sw2; do
    ip netns add $sw
    ip -n $sw link add br0 type bridge vlan_filtering 1 mcast_snooping 0
    ip -n $sw link set br0 up
    ip -n $sw link add access type veth peer name socket
    ip -n $sw link set access master br0 up
    bridge -n $sw vlan add dev access vid 10 pvid untagged
done
ip link add trunk netns sw1 type veth peer name trunk netns sw2
for sw in sw1 sw2; do
    ip -n $sw link set trunk master br0 up
    bridge -n $sw vlan add dev trunk vid 10
    tc -n $sw qdisc add dev trunk root netem delay 10ms loss 1% limit 10000
done
