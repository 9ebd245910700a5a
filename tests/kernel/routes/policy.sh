# A container with two networks and a router on each: which way its packets take, by rules, and what rules refuse
for n in c r1 r2 h; do
    ip netns add $n; ip -n $n link set lo up
    ip netns exec $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
done
cable() { ip link add $2 netns $1 address 02:00:00:00:00:$5 type veth peer name $4 netns $3 address 02:00:00:00:01:$5; }
cable c eth0 r1 in 01; cable c eth1 r2 in 02; cable h eth1 r1 out 03; cable h eth2 r2 out 04
for at in c/eth0/10.0.1.5 c/eth1/10.0.2.5 r1/in/10.0.1.1 r2/in/10.0.2.1 r1/out/10.8.1.1 r2/out/10.8.2.1 h/eth1/10.8.1.9 h/eth2/10.8.2.9; do
    IFS=/ read -r n dev address <<<$at
    ip netns exec $n sysctl -qw net.ipv4.conf.$dev.rp_filter=0
    ip -n $n addr add $address/24 dev $dev; ip -n $n link set $dev up
done
for r in r1 r2; do ip netns exec $r sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_ratelimit=0; ip -n $r route add 10.9.0.9 via 10.8.${r#r}.9; done
ip -n h addr add 10.9.0.9/32 dev lo; ip -n h route add 10.0.1.0/24 via 10.8.1.1; ip -n h route add 10.0.2.0/24 via 10.8.2.1
know() { ip -n $1 neigh replace $2 lladdr 02:00:00:00:0$3 dev $4; }
know c 10.0.1.1 1:01 eth0; know c 10.0.2.1 1:02 eth1; know r1 10.0.1.5 0:01 in; know r2 10.0.2.5 0:02 in
know r1 10.8.1.9 0:03 out; know r2 10.8.2.9 0:04 out; know h 10.8.1.1 1:03 eth1; know h 10.8.2.1 1:04 eth2
c() { ip netns exec c "$@"; }
reach() { echo "== $*"; "$@" | grep -E 'transmitted|^From|errors' ; }
get() { ip -n c route get "$@" 2>&1 | head -1; }
c ip route add default via 10.0.1.1
sleep 0.2

echo "== without rules answers leave by the default route"
reach ip netns exec h ping -c1 -W1 -I 10.9.0.9 10.0.2.5
get 10.9.0.9; get 10.9.0.9 from 10.0.2.5

echo "== by their source"
c ip route add default via 10.0.2.1 table 2
c ip route add 10.0.2.0/24 dev eth1 table 2
c ip rule add from 10.0.2.5 table 2
get 10.9.0.9; get 10.9.0.9 from 10.0.2.5; get 10.9.0.9 from 10.0.1.5; get 10.0.1.1 from 10.0.2.5
reach ip netns exec h ping -c1 -W1 -I 10.9.0.9 10.0.2.5
reach c ping -c1 -W1 -I 10.0.2.5 10.9.0.9
reach c ping -c1 -W1 -I eth1 10.9.0.9
reach c ping -c1 -W1 10.9.0.9
c ip route show table 2; c ip -d route show table 2; c ip route show table 3; c ip route show table all | grep -c 'table 2'

echo "== a connection that has no address yet asks twice: once for a source, once from there"
ip -n c rule add from 10.0.1.5 to 10.9.0.9 unreachable pref 50
ip netns exec h nc -lu 7 >/dev/null & sleep 0.2
c nc -u -p 4001 -w1 10.9.0.9 7 <<<x; echo "udp $?"
c nc -p 4002 -w1 10.9.0.9 7 <<<x; echo "tcp $?"
c nc -u -p 4003 -w1 -s 10.0.2.5 10.9.0.9 7 <<<x; echo "udp from the other $?"
c ping -c1 -W1 10.9.0.9 2>&1 | tail -2; get 10.9.0.9; get 10.9.0.9 from 10.0.1.5
kill %1; ip -n c rule del pref 50

echo "== by TOS, by mark, by device, not, suppressed"
c ip rule add tos 0x10 table 2 pref 10
reach c ping -c1 -W1 -Q 0x10 10.9.0.9
reach c ping -c1 -W1 -Q 0x12 10.9.0.9
get 10.9.0.9 tos 0x10; get 10.9.0.9 tos 0x08
c ip rule add fwmark 7/0xf table 2 pref 11
get 10.9.0.9 mark 7; get 10.9.0.9 mark 0x17; get 10.9.0.9 mark 8
c ip rule add oif eth1 table 2 pref 12
get 10.9.0.9 oif eth1; get 10.9.0.9 oif eth0
reach c ping -c1 -W1 -I eth1 10.9.0.9
c ip rule del pref 10; c ip rule del pref 11; c ip rule del pref 12
c ip rule add table main suppress_prefixlength 0 pref 20
c ip rule add not to 10.0.0.0/8 table 2 pref 21
c ip rule add to 10.9.0.0/16 table 2 pref 22
get 10.0.1.9; get 10.9.0.9; get 11.0.0.1; get 10.7.0.1
reach c ping -c1 -W1 10.9.0.9
c ip rule flush; get 10.9.0.9; c ip rule add table main pref 32766; get 10.9.0.9; c ip rule show

echo "== thrown back, refused"
c ip route add throw 10.9.0.0/24 table 3; c ip route add unreachable 10.7.0.0/24 table 3
c ip rule add table 3 pref 5
get 10.9.0.9; get 10.7.0.1
for kind in unreachable prohibit blackhole; do c ip rule add to 10.6.0.0/24 $kind pref 6; get 10.6.0.1; c ping -c1 -W1 10.6.0.1 2>&1 | head -1; c ip rule del pref 6; done

echo "== a router refuses by the device it came from, and tells"
for kind in unreachable prohibit blackhole; do
    ip -n r1 rule add iif in to 10.9.0.9 $kind pref 7
    reach c ping -c1 -W1 10.9.0.9
    ip -n r1 rule del pref 7
done
ip -n r1 rule add iif out to 10.9.0.9 prohibit pref 7
ip -n r1 rule add iif lo to 10.9.0.9 prohibit pref 8
reach c ping -c1 -W1 10.9.0.9
ip -n r1 route get 10.9.0.9 2>&1; ip -n r1 route get 10.9.0.9 from 10.0.1.5 iif in

echo "== the way back that is asked about is that of the rules"
ip netns exec c sysctl -qw net.ipv4.conf.eth1.rp_filter=1
ip -n c rule flush; ip -n c rule add table main pref 100; ip -n c rule show
reach ip netns exec h ping -c1 -W1 -I 10.9.0.9 10.0.2.5
ip -n c rule add to 10.9.0.9 from 10.0.2.5 table 2 pref 9
reach ip netns exec h ping -c1 -W1 -I 10.9.0.9 10.0.2.5

echo "== one's own addresses are a table like others"
c ip rule add pref 30 table local
c ip rule add to 10.0.2.5 table 2 pref 20
c ip rule del pref 0
c ip rule show; get 10.0.2.5; get 10.0.1.5
