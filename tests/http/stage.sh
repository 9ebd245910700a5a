# Two namespaces on a veth, a web server in b; `try` shows what a command in a did, all of it.
for n in a b; do ip netns add $n; ip -n $n link set lo up; done
ip link add eth0 netns a type veth peer name eth0 netns b
ip -n a addr add 10.9.0.1/24 dev eth0; ip -n b addr add 10.9.0.2/24 dev eth0
for n in a b; do ip netns exec $n sysctl -qw net.ipv6.conf.all.disable_ipv6=1; done
ip -n a link set eth0 up; ip -n b link set eth0 up
cd "$(mktemp -d)"
mkdir -p www/sub down
echo hello > www/a.txt
head -c 200000 /dev/zero > www/big.bin
echo '<p>x' > www/sub/index.html
touch 'www/b c&<.txt' www/.hid www/z.tar.gz www/x.py
sleep 2
ip netns exec b python3 -u -m http.server 8000 --directory www > server.out 2> server.err &
server=$!
until ip netns exec b nc -z 10.9.0.2 8000; do sleep 0.2; done
sleep 0.5
cd down
U=http://10.9.0.2:8000
try() {
    echo "== $*"
    ip netns exec a "$@" > ../out 2> ../err < /dev/null
    echo "status $?"
    cat -A ../out
    echo "-- err"
    cat -A ../err
}
canned() {
    printf "$1" | ip netns exec b nc -lN 9001 > /dev/null &
    nc=$!
    sleep 0.7
}
finish() {
    kill $server
    wait $server
    echo "== server"
    cat ../server.out ../server.err
}
