#!/bin/bash
# ARP works, every ping dies: a bridge, FORWARD policy DROP, and br_netfilter (what Docker and Kubernetes hosts load).
# Two hosts on one bridge of r; nothing is routed, and still iptables decides.
for n in r c1 c2; do ip netns add $n; done
ip -n r link add br0 type bridge mcast_snooping 0
ip -n r link set br0 up
for n in 1 2; do
    ip -n r link add p$n type veth peer name eth0 netns c$n
    ip -n r link set p$n master br0 up
    ip -n c$n addr add 10.0.0.$n/24 dev eth0
    ip -n c$n link set eth0 up
done

reaches() {
    if ip netns exec c1 ping -c 1 -W 1 10.0.0.2 > /dev/null; then echo "yes  $1"; else echo "no   $1"; fi
}

ip netns exec r iptables -P FORWARD DROP
reaches "policy DROP, br_netfilter not loaded: the bridge forwards, iptables never sees it"

modprobe br_netfilter 2> /dev/null # where it is built into the kernel there is nothing to load
ip netns exec r sysctl -qw net.bridge.bridge-nf-call-iptables=1
reaches "policy DROP, br_netfilter loaded: bridged packets go through FORWARD"
ip -n c1 neigh show to 10.0.0.2 | grep -q REACHABLE && echo "     (ARP is answered all the same)"

ip netns exec r iptables -A FORWARD -m physdev --physdev-is-bridged -j ACCEPT
reaches "with a rule for what stays on its bridge"
ip netns exec r iptables-save -c -t filter | grep '^\['

ip netns exec r iptables -F FORWARD
ip netns exec r sysctl -qw net.bridge.bridge-nf-call-iptables=0
reaches "or with net.bridge.bridge-nf-call-iptables=0"
