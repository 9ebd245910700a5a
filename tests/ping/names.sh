# What `ping NAME` asks and prints. names.out is what iputils 20221126 printed on Linux 6.18 (Debian 12, glibc 2.36, dnsmasq 2.90), times as T.
a() { ip netns exec a "$@"; }
for n in a b; do ip netns add $n; ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0;ip -n $n link set lo up; done
ip link add va netns a type veth peer name vb netns b
for n in a b; do ip -n $n link set v$n up; done
ip -n a addr add 2001:db8::1/64 dev va nodad; ip -n b addr add 2001:db8::2/64 dev vb nodad
ip -n a addr add 10.0.0.1/24 dev va; ip -n b addr add 10.0.0.2/24 dev vb
mkdir -p /etc/netns/a
cat > /etc/netns/a/hosts <<H
127.0.0.1 localhost
::1 localhost ip6-localhost
10.0.0.2 x.lan x
2001:db8::2 y.lan y
10.0.0.77 gone.lan gone
10.0.0.1 me
H
echo "nameserver 10.0.0.2
search lan
options timeout:1 attempts:1" > /etc/netns/a/resolv.conf
ip netns exec b dnsmasq --no-resolv --no-hosts -C /dev/null --host-record=both.lan,10.0.0.2,2001:db8::2 --host-record=d4.lan,10.0.0.2 --host-record=d6.lan,2001:db8::2 --host-record=q4.lan,10.0.0.3 --host-record=q6.lan,2001:db8::3
sleep 2
ip -n b addr add 10.0.0.3/24 dev vb; ip -n b addr add 2001:db8::3/64 dev vb nodad
for c in x y "-4 x" "-6 y" both "-4 both" "-4 d4" "-6 d6" d4 d6 "-c2 -i0.1 q4" "-c2 -i0.1 q6" "-n q4" gone localhost "-6 localhost" ip6-localhost 127.0.0.1 ::1 both.lan BOTH "-6 BOTH" "-4 BOTH" none none.lan "-4 none" "-t1 -c1 x" me; do
 echo "\$ ping -c1 -W1 $c"; a ping -c1 -W1 $c 2>&1; echo "= $?"; sleep 0.2
done
