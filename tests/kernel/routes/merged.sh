# Until there are rules, the local table and the main one are one: the longer prefix of both counts
ip netns add a; ip -n a link set lo up
ip netns add b; ip link add eth0 netns a address 02:00:00:00:00:01 type veth peer name eth0 netns b address 02:00:00:00:00:02
for n in a b; do ip -n $n link set eth0 up; done
ip -n a addr add 10.0.0.1/24 dev eth0; ip -n b addr add 10.0.0.2/24 dev eth0
get() { ip -n a route get "$@" 2>&1 | head -1; }
ip -n a route add 127.5.0.0/16 dev eth0; ip -n a route add unreachable 127.6.0.0/16; ip -n a route add throw 127.7.0.0/16
ip -n a route add 10.0.0.1/32 via 10.0.0.2; ip -n a route add local 10.7.0.0/16 dev lo; ip -n a route add 10.7.7.0/24 via 10.0.0.2
get 127.5.0.1; get 127.4.0.1; get 127.6.0.1; get 127.7.0.1; get 10.0.0.1; get 10.7.1.1; get 10.7.7.1
ip netns exec a ping -c1 -W1 10.7.7.1 | grep transmitted
ip -n a rule add pref 9 table 9
get 127.5.0.1; get 127.4.0.1; get 127.6.0.1; get 127.7.0.1; get 10.0.0.1; get 10.7.1.1; get 10.7.7.1
ip netns exec a ping -c1 -W1 10.7.7.1 | grep transmitted
ip -n a rule del pref 9
get 127.5.0.1; get 10.7.7.1
