# What tracking, matches and counters make of packets one by one
for n in a r b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name va netns r address 02:00:00:00:00:1a
ip link add eth0 netns b address 02:00:00:00:00:0b type veth peer name vb netns r address 02:00:00:00:00:1b
ip -n r addr add 10.0.1.1/24 dev va; ip -n r addr add 10.0.2.1/24 dev vb
ip -n a addr add 10.0.1.2/24 dev eth0; ip -n b addr add 10.0.2.2/24 dev eth0
for d in r/va r/vb a/eth0 b/eth0; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n a route add default via 10.0.1.1; ip -n b route add default via 10.0.2.1
ip -n r neigh replace 10.0.1.2 lladdr 02:00:00:00:00:0a dev va; ip -n r neigh replace 10.0.2.2 lladdr 02:00:00:00:00:0b dev vb
ip -n a neigh replace 10.0.1.1 lladdr 02:00:00:00:00:1a dev eth0; ip -n b neigh replace 10.0.2.1 lladdr 02:00:00:00:00:1b dev eth0
R="ip netns exec r"
$R sysctl -qw net.ipv4.ip_forward=1
A=02:00:00:00:00:0a VA=02:00:00:00:00:1a
count() { echo "== $1"; $R iptables-save -c -t filter | grep '^\['; $R iptables -F; $R iptables -X; $R iptables -P FORWARD ACCEPT; sleep 0.2; }
send() { simvlan send --netns a eth0 "Ether(src='$A',dst='$VA')/IP(src='10.0.1.2',dst='10.0.2.2',id=7)/$1"; sleep 0.2; }

for s in INVALID NEW RELATED ESTABLISHED; do $R iptables -A FORWARD -m conntrack --ctstate $s; done
ip netns exec a ping -c 3 -i 0.2 10.0.2.2 | grep -o '. received'
count "a ping: the first request is new, all else established"

for s in INVALID NEW RELATED ESTABLISHED; do $R iptables -A FORWARD -m conntrack --ctstate $s; done
send "UDP(sport=4000,dport=9)/b'?'"
count "nobody listens: the error is related"

for s in INVALID NEW; do $R iptables -A FORWARD -i va -m conntrack --ctstate $s; done
send "ICMP(type=0,id=77,seq=1)/b'unasked'"
send "ICMP(type=8,id=78,seq=1,chksum=1)/b'wrong sum'"
send "ICMP(type=8,id=79,seq=1)/b'right sum'"
count "an answer nobody asked for, a wrong sum: invalid"

for s in INVALID NEW ESTABLISHED; do $R iptables -A FORWARD -i va -m conntrack --ctstate $s; done
$R iptables -A FORWARD -o vb -j DROP
send "TCP(sport=4001,dport=80,flags='A',seq=5,ack=9)"
send "TCP(sport=4002,dport=80,flags='SA',seq=5,ack=9)"
send "TCP(sport=4003,dport=80,flags='S',seq=5)"
count "TCP met in the middle is taken up, an answer without a question is not"

$R iptables -N X; $R iptables -A FORWARD -j X; $R iptables -A X -p icmp -j RETURN; $R iptables -A X -j DROP
$R iptables -A FORWARD ! -p icmp; $R iptables -A FORWARD -i v+ -o v+; $R iptables -A FORWARD -i w+
ip netns exec a ping -c 1 -s 100 10.0.2.2 | grep -o '. received'
send "UDP(sport=4004,dport=9)/b'?'"
count "returned, negated, by the beginning of a name; octets"

$R iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset
for s in R S; do send "TCP(sport=4005,dport=80,flags='$s',seq=5)"; done
count "a reset is not answered by one"

$R iptables -t nat -A POSTROUTING -o vb -j MASQUERADE
for s in INVALID RELATED; do $R iptables -A FORWARD -m conntrack --ctstate $s; done
send "UDP(sport=4006,dport=9)/b'?'"
count "an error about a translated packet"
