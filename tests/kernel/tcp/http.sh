# python3 -m http.server and curl: a file, a listing, a redirection, an error, a body in many segments, a refusal.
for n in a b; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv4.tcp_rmem="4096 131072 6291456"; done
ip link add eth0 address 02:00:00:00:00:11 netns a type veth peer name eth0 address 02:00:00:00:00:12 netns b
for n in a b; do ip netns exec $n ethtool -K eth0 tso off gso off tx off > /dev/null; done
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
ip -n a link set eth0 up; ip -n b link set eth0 up
sleep 2
mkdir -p www/sub
echo hello > www/a.txt
head -c 3000 /dev/zero > www/b.bin
ip netns exec b python3 -m http.server 8000 --directory www > /dev/null 2> log &
server=$!
sleep 4
for path in a.txt "" sub none b.bin; do
    ip netns exec a curl -sS -m 20 "http://10.9.0.2:8000/$path"  | md5sum
    sleep 1
done
ip netns exec a curl -s -o /dev/null -d x=y -w '%{http_code} %{size_download} %{num_connects}\n' http://10.9.0.2:8000/
sleep 1
ip netns exec a curl -sS http://10.9.0.2:81/ 2>&1 | sed 's/after [0-9]* ms/after N ms/'
sleep 1
kill $server
wait $server
sed 's/\[.*\] //' log
