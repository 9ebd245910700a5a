#!/bin/bash
# What Docker's bridge does by iptables, by hand: masquerade on the way out, a published port on the way in, and why
# a macvlan has neither. out is another machine on the wire; h the host with a bridge, c behind it; m a macvlan on h's NIC.
for n in out h c m; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 netns out type veth peer name eth0 netns h
ip -n h link add br0 type bridge mcast_snooping 0
ip -n h link add vc type veth peer name eth0 netns c
ip -n h link set vc master br0 up
ip -n h link set eth0 up
ip -n h link set br0 up
ip -n out link set eth0 up
ip -n c link set eth0 up
ip -n h link add link eth0 name mv type macvlan mode bridge
ip -n h link set mv netns m
ip -n m link set mv up
ip -n out addr add 192.0.2.9/24 dev eth0
ip -n h addr add 192.0.2.1/24 dev eth0
ip -n m addr add 192.0.2.2/24 dev mv
ip -n h addr add 172.17.0.1/16 dev br0
ip -n c addr add 172.17.0.2/16 dev eth0
ip -n c route add default via 172.17.0.1
H="ip netns exec h"
$H sysctl -qw net.ipv4.ip_forward=1
$H iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o br0 -j MASQUERADE
$H iptables -t nat -A PREROUTING -p tcp --dport 8080 -m addrtype --dst-type LOCAL -j DNAT --to-destination 172.17.0.2:80
$H iptables -P FORWARD DROP
$H iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$H iptables -A FORWARD -i br0 -j ACCEPT
$H iptables -A FORWARD -d 172.17.0.2 -p tcp --dport 80 -j ACCEPT

say() { # say NETNS ADDRESS PORT TEXT: whether somebody answers there
    if ip netns exec "$1" nc -z -w 1 "$2" "$3"; then echo "yes  $4"; else echo "no   $4"; fi
}
ip netns exec c timeout 20 nc -l -k 80 &
ip netns exec m timeout 20 nc -l -k 80 &
sleep 1
ip netns exec c ping -c 1 -W 1 192.0.2.9 > /dev/null && echo "yes  out, from behind the bridge: out saw the host's address"
say out 192.0.2.1 8080 "the published port of the host"
say out 192.0.2.1 80 "the container's own port at the host's address"
say out 192.0.2.2 80 "the macvlan at its own address and port: no NAT is asked"
say out 192.0.2.2 8080 "the macvlan at a port that the host published"
echo
$H iptables-save -c -t nat | grep '^\['
$H iptables-save -c -t filter | grep '^\['
kill $(jobs -p)
wait
