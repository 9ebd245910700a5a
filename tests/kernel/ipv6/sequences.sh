# One after the other: bring-up, a router's advertisement, a duplicate, a redirect, fragments, nobody there. IPv6 is switched
# on when all devices are up: what a host says first is heard by all, however slow the commands are.
for n in s a c r1 r2; do ip netns add $n; done
ip -n s link add sw address 02:00:00:00:00:05 type bridge mcast_snooping 0
ip -n s link set sw up
for n in a c r1 r2; do
  ip netns exec $n sysctl -qw net.ipv6.conf.default.router_solicitation_delay=0
  ip -n $n link set lo up
done
for n in r1 r2; do ip netns exec $n sysctl -qw net.ipv6.conf.all.forwarding=1; done
number=10
for n in a c r1 r2; do
  ip -n s link add p$n index 1$number address 02:00:00:00:01:$number type veth peer name e$n index 2$number address 02:00:00:00:00:$number netns $n
  ip -n s link set p$n master sw
  ip -n s link set p$n up
  ip netns exec $n sysctl -qw net.ipv6.neigh.e$n.delay_first_probe_time=60
  ip -n $n link set e$n up
  number=$((number + 1))
done
sleep 1.5
for n in r2 r1 c a; do ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0; done
ip -n r1 addr add 2001:db8:1::1/64 dev er1 nodad
ip -n r2 addr add 2001:db8:1::2/64 dev er2 nodad
ip -n r2 addr add 2001:db8:9::9/128 dev lo
ip -n r1 -6 route add 2001:db8:9::/64 via fe80::ff:fe00:13 dev er1
sleep 2.3
ip -n a -6 addr show dev ea
simvlan send --netns r1 er1 --hex 33330000000102000000001286dd6000000000383afffe80000000000000000000fffe000012ff0200000000000000000000000000018600379b4000070800000000000000000101020000000012030440c000015180000038400000000020010db8000100000000000000000000
sleep 1.5
ip -n a -6 route show | sed -E 's/-?[0-9]+sec/Nsec/g'
ip -n a addr add 2001:db8:1::c/64 dev ea
sleep 1.5
ip -n a -6 addr show dev ea to 2001:db8:1::c
ip -n a addr del 2001:db8:1::c/64 dev ea
ip -n c addr add 2001:db8:1::d/64 dev ec nodad
ip -n a addr add 2001:db8:1::d/64 dev ea
sleep 1.5
ip -n a -6 addr show dev ea to 2001:db8:1::d
ip netns exec a ping -6 -c 2 -i 0.3 2001:db8:9::9 >/dev/null; echo $?
ip -n a -6 route get 2001:db8:9::9 | sed -E 's/[0-9]+sec/Nsec/'
ip netns exec a ping -6 -c 1 -s 3000 2001:db8:1::1 >/dev/null; echo $?
ip netns exec a ping -6 -c 1 -W 4 2001:db8:1::77 >/dev/null; echo $?
