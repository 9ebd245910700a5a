# iperf3 through one netem: flows.sh RATE DELAY LOSS LIMIT FLOWS SECONDS CONGESTION; the servers' reports,
# by the second, each line with its flow before it.
rate=$1 delay=$2 loss=$3 limit=$4 flows=$5 seconds=$6 congestion=$7
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
ip netns exec a tc qdisc add dev eth0 root netem delay "$delay" loss "$loss" rate "$rate" limit "$limit"
ip netns exec b tc qdisc add dev eth0 root netem delay "$delay" rate "$rate" limit 10000
for ((n = 1; n <= flows; n++)); do
    ip netns exec b iperf3 -s -1 -p $((5200 + n)) > "flow$n" &
done
sleep 1
for ((n = 1; n <= flows; n++)); do
    ip netns exec a iperf3 -c 10.9.0.2 -t "$seconds" -C "$congestion" -p $((5200 + n)) > /dev/null &
    sleep 0.007
done
wait
for ((n = 1; n <= flows; n++)); do while read -r line; do echo "$n $line"; done < "flow$n"; done
