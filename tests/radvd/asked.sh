# radvd when it is asked: at once, or three seconds after the last answer to all; listed clients; a new address.
conf=$(mktemp) log=$(mktemp)
cat > "$conf" <<'END'
interface eth0 { AdvSendAdvert on; AdvRASolicitedUnicast off; prefix ::/64 { }; };
interface eth1 {
    AdvSendAdvert on; AdvRAMTU 1280; AdvDefaultPreference low;
    clients { fe80::ff:fe00:102; fe80::dead; };
    AdvRASrcAddress { fe80::1234; fe80::5678; };
    prefix 2001:db8:9::/64 { Base6Interface eth0; };
};
interface eth2 { AdvSendAdvert off; };
interface eth3 { AdvSendAdvert on; MinRtrAdvInterval 2; };
END
for n in r h k l; do
    ip netns add $n
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
    ip -n $n link set lo up
done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns r address 02:00:00:00:00:01 type veth peer name eth0 netns h address 02:00:00:00:00:02
ip link add eth1 netns r address 02:00:00:00:01:01 type veth peer name eth0 netns k address 02:00:00:00:01:02
ip link add eth2 netns r address 02:00:00:00:02:01 type veth peer name eth2 netns l address 02:00:00:00:02:02
ip link add eth3 netns r address 02:00:00:00:03:01 type veth peer name eth3 netns l address 02:00:00:00:03:02
for dev in eth0 eth1 eth2 eth3; do ip -n r link set $dev up; done
ip -n r addr add 2001:db8:a::1/64 dev eth0
ip -n r addr add fe80::5678/64 dev eth1
ip -n k addr add fe80::dead/64 dev eth0
for n in h k; do ip netns exec $n sysctl -qw net.ipv6.conf.eth0.router_solicitations=0; ip -n $n link set eth0 up; done
for dev in eth2 eth3; do ip -n l link set $dev up; done
sleep 6
ip netns exec r sysctl -qw net.ipv6.conf.eth3.forwarding=0
sleep 2.5
ip netns exec r radvd -C "$conf" -n -m stderr_clean -p "$conf.pid" 2> "$log" &
server=$!
until [ -s "$conf.pid" ]; do sleep 0.1; done
sleep 4
simvlan send --netns h eth0 --hex 33330000000202000000000286dd6000000000083aff00000000000000000000000000000000ff02000000000000000000000000000285007bb800000000
sleep 4
simvlan send --netns h eth0 --hex 33330000000202000000000286dd6000000000103afffe80000000000000000000fffe000002ff02000000000000000000000000000285007b2a000000000101020000000002
sleep 1
simvlan send --netns h eth0 --hex 33330000000202000000000286dd6000000000083aff00000000000000000000000000000000ff02000000000000000000000000000285007bb800000000
simvlan send --netns l eth2 --hex 33330000000202000000020286dd6000000000103afffe80000000000000000000fffe000202ff0200000000000000000000000000028500772a000000000101020000000202
sleep 4
ip -n r addr add 2001:db8:b::1/64 dev eth0
sleep 3
for n in h k; do
    ip -n $n -6 addr show dev eth0
    ip -n $n -6 route show
done
kill $server
wait $server
sleep 2.5
grep -v -e privsep -e 'unknown logging' -e removing "$log"
rm "$conf" "$log"
