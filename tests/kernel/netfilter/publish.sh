# out - h - c: h publishes a port of c, seen from out, from h itself, and from c (hairpin); what is rejected says so
for n in out h c; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 netns out type veth peer name eth0 netns h
ip -n h link add br0 type bridge mcast_snooping 0
ip link add eth0 netns c type veth peer name vc netns h
ip -n h link set vc master br0
ip -n out addr add 10.0.1.2/24 dev eth0; ip -n h addr add 10.0.1.1/24 dev eth0
ip -n h addr add 172.17.0.1/16 dev br0; ip -n c addr add 172.17.0.2/16 dev eth0
for d in out/eth0 h/eth0 h/br0 h/vc c/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n c route add default via 172.17.0.1
H="ip netns exec h"
$H sysctl -qw net.ipv4.ip_forward=1
$H iptables -t nat -N DOCKER
$H iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
$H iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
$H iptables -t nat -A DOCKER -p udp --dport 5300 -j DNAT --to-destination 172.17.0.2:53
$H iptables -t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
$H iptables -t nat -A DOCKER -p udp --dport 8081 -j DNAT --to-destination 172.17.0.2:81
$H iptables -t nat -A DOCKER -p tcp --dport 8082 -j DNAT --to-destination 172.17.0.2:82
$H iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o br0 -j MASQUERADE
$H iptables -t nat -A POSTROUTING -s 172.17.0.2 -d 172.17.0.2 -p udp --dport 53 -j MASQUERADE
$H iptables -A FORWARD -o br0 -p udp --dport 81 -j REJECT
$H iptables -A FORWARD -o br0 -p tcp --dport 82 -j REJECT --reject-with tcp-reset
ip netns exec c ping -c 1 -W 1 10.0.1.2 | grep received
sleep 1
ip netns exec out nc -w 2 -v -p 4001 10.0.1.1 8080 </dev/null 2>&1; echo $?
echo x | ip netns exec out nc -u -w 1 -p 4002 10.0.1.1 8081
ip netns exec out nc -w 2 -v -p 4003 10.0.1.1 8082 </dev/null 2>&1; echo $?
sleep 1
echo x | ip netns exec out nc -u -w 1 -p 4004 10.0.1.1 5300
sleep 1
$H nc -w 2 -v -p 4005 10.0.1.1 8080 </dev/null 2>&1; echo $?
sleep 1
echo x | ip netns exec c nc -u -w 1 -p 4006 10.0.1.1 5300
sleep 1.5
$H iptables-save -c -t filter | grep '^\['
$H iptables-save -c -t nat | grep '^\['
