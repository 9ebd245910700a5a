# a - r - b: r masquerades a, and b knows no way back to it; the filter lets answers through
for n in a r b; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 netns a type veth peer name va netns r
ip link add eth0 netns b type veth peer name vb netns r
ip -n r addr add 10.0.1.1/24 dev va; ip -n r addr add 10.0.2.1/24 dev vb
ip -n a addr add 10.0.1.2/24 dev eth0; ip -n b addr add 10.0.2.2/24 dev eth0
for d in r/va r/vb a/eth0 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n a route add default via 10.0.1.1
R="ip netns exec r"
$R sysctl -qw net.ipv4.ip_forward=1
$R iptables -t nat -A POSTROUTING -s 10.0.1.0/24 -o vb -j MASQUERADE
$R iptables -P FORWARD DROP
$R iptables -N ANSWERS
$R iptables -A FORWARD -j ANSWERS
$R iptables -A ANSWERS -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$R iptables -A FORWARD -i va -o vb -p icmp -j ACCEPT
$R iptables -A FORWARD -i va -o vb -p udp --dport 2000:2010 -j ACCEPT
$R iptables -A FORWARD -i va -o vb -p tcp --dport 80 -j ACCEPT
$R iptables -A INPUT -i va -p icmp -j DROP
$R iptables -A OUTPUT -o vb -p icmp -d 10.0.2.2 -j DROP
ip netns exec a ping -c 2 -W 1 10.0.2.2 | grep received
ip netns exec a ping -c 1 -t 1 -W 1 10.0.2.2 | grep -e From -e received
ip netns exec a ping -c 1 -W 1 10.0.1.1 | grep received
$R ping -c 1 -W 1 10.0.2.2 2>&1 | grep -e received -e permitted
sleep 1
echo hello | ip netns exec a nc -u -w 1 -p 4000 10.0.2.2 2001
ip netns exec a nc -w 2 -v -p 4001 10.0.2.2 80 </dev/null 2>&1; echo $?
$R iptables-save -c -t filter | grep '^\['
$R iptables-save -c -t nat | grep '^\['
