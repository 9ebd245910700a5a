# A router with NAT, six connections, and what conntrack says of them; table.out is what conntrack-tools 1.4.7 said on Linux 6.18
for n in cta ctr ctb; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns cta type veth peer name va netns ctr
ip link add eth0 netns ctb type veth peer name vb netns ctr
ip -n ctr addr add 10.0.1.1/24 dev va; ip -n ctr addr add 10.0.2.1/24 dev vb
ip -n cta addr add 10.0.1.2/24 dev eth0; ip -n ctb addr add 10.0.2.2/24 dev eth0
for d in ctr/va ctr/vb cta/eth0 ctb/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n cta route add default via 10.0.1.1; ip -n ctb route add default via 10.0.2.1
R="ip netns exec ctr"
$R sysctl -qw net.ipv4.ip_forward=1 
c() { echo "\$ conntrack $*"; $R ${CT:-conntrack} "$@"; echo "= $?"; }
exec 2>&1
c -L
$R iptables -t nat -A POSTROUTING -o vb -j MASQUERADE
$R iptables -t nat -A PREROUTING -i vb -p tcp --dport 8080 -j DNAT --to-destination 10.0.1.2:80
c -L
ip netns exec cta ping -c1 10.0.2.2 >/dev/null
ip netns exec ctb nc -l 5000 >/dev/null &
ip netns exec ctb nc -ul 5001 >/dev/null & u=$!
ip netns exec cta nc -l 80 >/dev/null & 
sleep 0.5
echo hi | ip netns exec cta nc -N 10.0.2.2 5000
echo hi | ip netns exec cta nc -u -w1 10.0.2.2 5001
echo hi | ip netns exec cta nc -u -p 6000 -w1 10.0.2.2 5009
echo hi | ip netns exec ctb nc -N 10.0.2.1 8080
timeout 1 ip netns exec cta nc -w2 10.0.2.99 81
( sleep 3 ) | ip netns exec ctb nc 10.0.2.1 8080 & 
sleep 0.3
c -L
c -L -n 
c -L -g
c -L -j
c -L -p tcp
c -L -p udp
c -L -p icmp
c -L -s 10.0.1.2
c -L -d 10.0.2.2
c -L -p udp --dport 5001
c -L -p udp --sport 6000
c -L -r 10.0.2.2
c -L -q 10.0.2.1
c -L -p tcp --state TIME_WAIT
c -L -u ASSURED
c -L -u SEEN_REPLY
c -L -s 10.0.1.0/24
c -L -f ipv4
c -L -f ipv6
c -L conntrack
c -L expect
c -L -o extended
c -L -o timestamp -p icmp
c -C
c -D -p udp --dport 5009
c -D -p udp --dport 5009
c -D -s 1.2.3.4
c -L -o extended -p udp
c -L -p sctp
c -L -p foo
c -L -s foo
c -L --dport 80
c -L -Z
c -V
c -L foo
c -F
c -L
kill $u; for n in cta ctr ctb; do ip netns del $n; done
