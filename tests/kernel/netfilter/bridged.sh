# FORWARD policy DROP and br_netfilter: bridged frames die
for n in r a b c; do ip netns add $n; ip -n $n link set lo up; done
ip -n r link add br0 type bridge mcast_snooping 0
for n in a b c; do ip link add eth0 netns $n type veth peer name p$n netns r; ip -n r link set p$n master br0 up; ip -n $n link set eth0 up; done
ip -n a addr add 10.0.0.1/24 dev eth0; ip -n b addr add 10.0.0.2/24 dev eth0; ip -n c addr add 10.0.0.3/24 dev eth0
ip -n r addr add 10.0.0.254/24 dev br0; ip -n r link set br0 up
modprobe br_netfilter 2>/dev/null
R="ip netns exec r"
p() { ip netns exec $1 ping -c 1 -W 1 $2 | grep -o '. received'; }
show() { $R iptables-save -c -t filter | grep "^\["; $R iptables-save -c -t nat | grep "^\["; }
$R sysctl -qw net.bridge.bridge-nf-call-iptables=1
p a 10.0.0.2
$R iptables -P FORWARD DROP
p a 10.0.0.2
p a 10.0.0.254
$R iptables -A FORWARD -i br0 -o br0 -s 10.0.0.1 -j ACCEPT
p a 10.0.0.2
p b 10.0.0.1
$R iptables -A FORWARD -m physdev --physdev-is-bridged -m conntrack --ctstate ESTABLISHED -j ACCEPT
p a 10.0.0.2
p b 10.0.0.1
$R iptables -A INPUT -i br0 -p icmp -m conntrack --ctstate NEW -j ACCEPT
$R iptables -t nat -A PREROUTING -i br0 -p icmp -d 10.0.0.254 -j RETURN
p a 10.0.0.254
p a 10.0.0.254
ip netns exec a ping -c 1 -b -W 1 10.0.0.255 2>/dev/null | grep -o '. received'
show
$R sysctl -qw net.bridge.bridge-nf-call-iptables=0
p b 10.0.0.3
p a 10.0.0.254
$R sysctl -qw net.bridge.bridge-nf-call-iptables=1
$R iptables -P FORWARD ACCEPT
$R iptables -A FORWARD -d 10.0.0.3 -j REJECT
ip netns exec b ping -c 1 -W 1 10.0.0.3 | grep -o 'From.*'
show
