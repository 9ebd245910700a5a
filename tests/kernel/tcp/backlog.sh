# A backlog of one: the first is accepted, two wait, the SYN of the fourth is ignored and repeated.
for n in a b; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 address 02:00:00:00:00:11 netns a type veth peer name eth0 address 02:00:00:00:00:12 netns b
for n in a b; do ip netns exec $n ethtool -K eth0 tso off gso off tx off > /dev/null; done
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
sleep 2
ip netns exec b nc -dlk 8001 > /dev/null &
server=$!
sleep 1
clients=
for i in 1 2 3; do ip netns exec a nc -d 10.9.0.2 8001 & clients="$clients $!"; sleep 1; done
ip netns exec a nc -z -w 2 10.9.0.2 8001; echo rc $?
ip -n a link set eth0 down
ip -n b link set eth0 down
kill $server $clients
wait
