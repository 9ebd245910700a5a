# The same for IPv6: which way a host with two networks sends, and what rules refuse
for n in c r1 r2; do
    ip netns add $n; ip -n $n link set lo up
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.forwarding=1 net.ipv6.icmp.ratelimit=0
done
cable() { ip link add $2 netns $1 address 02:00:00:00:00:$5 type veth peer name $4 netns $3 address 02:00:00:00:01:$5; }
cable c eth0 r1 in 01; cable c eth1 r2 in 02
for r in 1 2; do
    ip -n c link set eth$((r - 1)) up; ip -n r$r link set in up
    ip -n c addr add 2001:db8:$r::5/64 dev eth$((r - 1)) nodad; ip -n r$r addr add 2001:db8:$r::1/64 dev in nodad
    ip -n r$r addr add 2001:db8:9::9/128 dev lo nodad
    ip -n c neigh replace 2001:db8:$r::1 lladdr 02:00:00:00:01:0$r dev eth$((r - 1))
    ip -n r$r neigh replace 2001:db8:$r::5 lladdr 02:00:00:00:00:0$r dev in
done
sleep 2
c() { ip netns exec c "$@"; }
reach() { echo "== $*"; "$@" 2>&1 | grep -E 'transmitted|^From|errors|ping:' ; }
get() { ip -n c -6 route get "$@" 2>&1 | head -1; }
c ip -6 route add default via 2001:db8:1::1
reach c ping -c1 -W1 -I 2001:db8:2::5 2001:db8:9::9
ip -n r1 -6 route add 2001:db8:2::/64 via 2001:db8:1::5

echo "== by their source"
c ip -6 route add default via 2001:db8:2::1 table 2
c ip -6 rule add from 2001:db8:2::5 table 2
get 2001:db8:9::9; get 2001:db8:9::9 from 2001:db8:2::5; get 2001:db8:9::9 from 2001:db8:1::5
reach c ping -c1 -W1 -I 2001:db8:2::5 2001:db8:9::9
reach c ping -c1 -W1 2001:db8:9::9
c ip -6 route show table 2

echo "== refused, thrown back, suppressed"
for kind in unreachable prohibit blackhole; do
    c ip -6 rule add to 2001:db8:9::/48 $kind pref 6; get 2001:db8:9::9; reach c ping -c1 -W1 2001:db8:9::9; c ip -6 rule del pref 6
done
c ip -6 route add throw 2001:db8:9::/48 table 3; c ip -6 route add unreachable 2001:db8:7::/48 table 3
c ip -6 rule add table 3 pref 5
get 2001:db8:9::9; get 2001:db8:7::1
c ip -6 rule add table main suppress_prefixlength 0 pref 20; c ip -6 rule add table 2 pref 21
get 2001:db8:1::9; get 2001:db8:9::9
c ip -6 rule del pref 20; c ip -6 rule del pref 21; c ip -6 rule del pref 5

echo "== a router refuses by the device it came from, and tells"
for kind in unreachable prohibit blackhole; do
    ip -n r1 -6 rule add iif in to 2001:db8:8::/48 $kind pref 7
    reach c ping -c1 -W1 2001:db8:8::9
    ip -n r1 -6 rule del pref 7
done
c ip -6 rule show; c ip -6 rule flush; c ip -6 rule show; get 2001:db8:9::9
