# Three thousand octets one way, both ends closing; then a port nobody listens on. No offload: every segment on its own.
cd "$(mktemp -d)"
for n in a b; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 address 02:00:00:00:00:11 netns a type veth peer name eth0 address 02:00:00:00:00:12 netns b
for n in a b; do ip netns exec $n ethtool -K eth0 tso off gso off tx off > /dev/null; done
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
sleep 2
head -c 3000 /dev/zero > data
ip netns exec b nc -l 8000 < /dev/null > got &
sleep 1
ip netns exec a nc -N 10.9.0.2 8000 < data; echo rc $?
wait
cmp data got && echo same
sleep 1
ip netns exec a nc -z 10.9.0.2 81; echo rc $?
sleep 1
