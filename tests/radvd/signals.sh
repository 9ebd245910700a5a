# radvd and signals: another configuration at SIGHUP, a wrong one, and a daemon that is ended by the number in its file.
for n in r h; do
    ip netns add $n
    ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=0
done
ip netns exec r sysctl -qw net.ipv6.conf.all.forwarding=1
ip link add eth0 netns r address 02:00:00:00:00:01 type veth peer name eth0 netns h address 02:00:00:00:00:02
ip link add eth1 netns r address 02:00:00:00:01:01 type veth peer name eth1 netns h address 02:00:00:00:01:02
ip netns exec h sysctl -qw net.ipv6.conf.eth0.router_solicitations=0 net.ipv6.conf.eth1.router_solicitations=0
for d in eth0 eth1; do ip -n r link set $d up; ip -n h link set $d up; done
sleep 4
cd "$(mktemp -d)"
echo 'interface eth0 { AdvSendAdvert on; prefix 2001:db8:a::/64 { }; };' > conf
serve() {
    ip netns exec r radvd -C conf -n -m stderr_clean -p "$PWD/pid" 2> log &
    server=$!
    until [ -s pid ]; do sleep 0.1; done
    sleep 2
}
serve
cat > conf <<END
interface eth0 { AdvSendAdvert on; prefix 2001:db8:b::/64 { }; };
interface eth1 { AdvSendAdvert on; prefix 2001:db8:c::/64 { }; };
END
kill -HUP $(cat pid)
sleep 2
kill $(cat pid)
wait $server
echo "status $?"
sed "s,$PWD/,," log | grep -v -e privsep -e "unknown logging"
ls
serve
echo 'interface eth0 { nonsense; };' > conf
kill -HUP $(cat pid)
wait $server
echo "status $?"
sed "s,$PWD/,," log | grep -v -e privsep -e "unknown logging"
rm -f pid
echo 'interface eth1 { AdvSendAdvert on; prefix 2001:db8:d::/64 { }; };' > conf
ip netns exec r radvd -C "$PWD/conf" -m none -p "$PWD/pid"
echo "status $?"
sleep 2
echo 'interface eth1 { AdvSendAdvert on; prefix 2001:db8:e::/64 { }; };' > conf
kill -HUP $(cat pid)
sleep 2
kill $(cat pid)
sleep 2
ls
