# What radvd says on a link: when it starts, to who asks, when a link changes, when it ends; what a host makes of it.
conf=$(mktemp) log=$(mktemp)
cat > "$conf" <<'END'
interface eth0 {
    AdvSendAdvert on;
    AdvManagedFlag on; AdvOtherConfigFlag on;
    AdvLinkMTU 1400; AdvCurHopLimit 50; AdvReachableTime 30000; AdvRetransTimer 1000;
    AdvDefaultLifetime 1000; AdvDefaultPreference high;
    prefix 2001:db8:1::/64 { AdvValidLifetime 6000; AdvPreferredLifetime 3000; };
    prefix 2001:db8:2::/64 {
        AdvOnLink off; AdvAutonomous off; AdvRouterAddr on;
        AdvValidLifetime infinity; AdvPreferredLifetime infinity; DeprecatePrefix on;
    };
    prefix ::/64 { AdvValidLifetime 10000; AdvPreferredLifetime 5000; };
    route 2001:db8:f::/48 { AdvRoutePreference low; AdvRouteLifetime 77; };
    route 2001:db8:e::/56 { RemoveRoute off; };
    RDNSS 2001:db8:1::53 2001:db8:1::54 { AdvRDNSSLifetime 700; };
    DNSSL example.org lab.example.org { AdvDNSSLLifetime 700; };
    RDNSS 2001:db8:1::55 { FlushRDNSS off; };
};
interface eth9 { AdvSendAdvert on; };
interface eth1 { AdvSendAdvert on; UnicastOnly on; AdvSourceLLAddress off; prefix 2001:db8:9::/64 { }; };
END
for n in r h k; do
    ip netns add $n
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
    ip -n $n link set lo up
done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns r address 02:00:00:00:00:01 type veth peer name eth0 netns h address 02:00:00:00:00:02
ip link add eth1 netns r address 02:00:00:00:01:01 type veth peer name eth0 netns k address 02:00:00:00:01:02
for dev in eth0 eth1; do ip -n r link set $dev up; done
ip -n r addr add 2001:db8:a::1/64 dev eth0
ip -n h link set eth0 up
sleep 4
ip netns exec r radvd -C "$conf" -n -m stderr_clean -p "$conf.pid" 2> "$log" &
server=$!
until [ -s "$conf.pid" ]; do sleep 0.1; done
sleep 3
ip -n k link set eth0 up
sleep 4
for n in h k; do
    ip -n $n -6 addr show dev eth0 | sed -E 's/[0-9]+sec/Nsec/g'
    ip -n $n -6 route show | sed -E 's/[0-9]+sec/Nsec/g'
done
ip netns exec r sysctl net.ipv6.conf.eth0.mtu net.ipv6.conf.eth0.hop_limit net.ipv6.neigh.eth0.base_reachable_time_ms net.ipv6.neigh.eth0.retrans_time_ms
kill $server
wait $server
echo "radvd: $?"
grep -v -e privsep -e 'unknown logging' -e removing "$log"
ip -n h -6 route show | sed -E 's/[0-9]+sec/Nsec/g'
rm "$conf" "$log"
