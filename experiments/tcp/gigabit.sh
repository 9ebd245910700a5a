# iperf3 over 1 Gb/s with 10 ms each way; what the receiver counted each second.
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
for n in a b; do ip netns exec $n tc qdisc add dev eth0 root netem delay 10ms rate 1gbit limit 3000; done
ip netns exec b iperf3 -s -1 &
sleep 1
ip netns exec a iperf3 -c 10.9.0.2 -t 4 > /dev/null
wait
