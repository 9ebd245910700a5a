# What traceroute says of names: a hosts file, a name server, both families, names of hops.
for n in a r b; do
    ip netns add $n; ip -n $n link set lo up
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_ratelimit=0
done
ip link add eth0 netns a type veth peer name ra netns r
ip link add eth0 netns b type veth peer name rb netns r
for d in a/eth0 b/eth0 r/ra r/rb; do ip -n ${d%/*} link set ${d#*/} up; done
ip -n a addr add 10.0.1.2/24 dev eth0; ip -n r addr add 10.0.1.1/24 dev ra
ip -n b addr add 10.0.2.2/24 dev eth0; ip -n r addr add 10.0.2.1/24 dev rb
ip -n a addr add 2001:db8:1::2/64 dev eth0 nodad; ip -n r addr add 2001:db8:1::1/64 dev ra nodad
ip -n b addr add 2001:db8:2::2/64 dev eth0 nodad; ip -n r addr add 2001:db8:2::1/64 dev rb nodad
ip -n a route add default via 10.0.1.1; ip -n b route add default via 10.0.2.1
ip -n a -6 route add default via 2001:db8:1::1; ip -n b -6 route add default via 2001:db8:2::1
ip netns exec r sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
mkdir -p /etc/netns/a
printf '10.0.2.2 both four\n2001:db8:2::2 both six\n10.0.1.1 near\n2001:db8:1::1 near6\n' > /etc/netns/a/hosts
: > /etc/netns/a/resolv.conf
sleep 3
say() { # words of traceroute; how long it took is no matter
    echo "\$ traceroute $*"
    ip netns exec a traceroute -q 1 -m 3 "$@" 2>&1 | sed -E 's/[0-9]+\.[0-9]+ ms/T ms/g'
}
say four
say six
say both
say -4 both
say -6 both
say -6 four
say -4 six
say -n six
say -I six
say -T both
say nosuch
say nosuch.lan
say -6 nosuch
say 10.0.2.2
say 2001:db8:2::2
say -s six four
say -s 10.0.1.2 six
# the same with a name server
printf '127.0.0.1 none\n' > /etc/netns/a/hosts
echo 'nameserver 10.0.2.2' > /etc/netns/a/resolv.conf
log=$(mktemp)
ip netns exec b dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts \
    --host-record=four.lan,10.0.2.2 --host-record=six.lan,2001:db8:2::2 --host-record=both.lan,10.0.2.2,2001:db8:2::2 \
    --host-record=near.lan,10.0.1.1 --local=/lan/ 2> $log & server=$!
until grep -q started $log; do sleep 0.1; done
sleep 1
say four.lan
say six.lan
say both.lan
say -6 both.lan
say -6 four.lan
say -n six.lan
say nosuch.lan
say nosuch.example
kill $server; wait
