# What ss says of programs at every stage: recorded by
#   unshare -n -m -p -f --mount-proc bash -c 'mount -t tmpfs none /run; bash tests/ss/sockets.sh' > tests/ss/sockets.out
exec 2>&1
ip link set lo up
ip netns add b
ip link add e0 type veth peer name e1 netns b
ip addr add 10.0.0.1/24 dev e0; ip link set e0 up
ip -n b addr add 10.0.0.2/24 dev e1; ip -n b link set e1 up
t() { for o in "$@"; do echo "== ss $o"; ss $o; echo "rc=$?"; done; }
nc -lk -p 80 > /dev/null & A=$!
nc -lu -p 53 > /dev/null & B=$!
nc -6 -lk ::1 8081 > /dev/null & C=$!
python3 -m http.server 8000 > /dev/null & D=$!
iperf3 -s > /dev/null & E=$!
dnsmasq -d --port=0 -i e0 -F 10.0.0.10,10.0.0.20 2> /dev/null & F=$!
sleep 1
t -tln -tuln -tulpn -tn -tan -t -tl -u -un -ua -uan -ln4t -tln6 -tlnH "-l -t -u -n -p" "-tlnp sport = :80" "-tln state listening"
t "-t state foo" "-tln ( sport = :80 or sport = :8000 )" "-nltp dport = :1" "-tln src :80" "-tln src 127.0.0.1" "-V" "-A tcp -ln" "-f inet -tln"
t "--tcp --listening --numeric" "-tln sport = :http" "-tln sport != :80 and sport < 8001" "-tuaN b"
ip netns exec b nc -d 10.0.0.1 80 & G=$!
ip netns exec b nc -d 10.0.0.1 8000 & H=$!
sleep 0.5
t -tn -tan -tanp -tnp -tnH -tunpH "-tuan" "-tn state established" "-tn dst 10.0.0.2" "-tan exclude listening" "-tn src 10.0.0.0/24"
t "-tn not sport = :80" "-Htn sport gt 8000" "state connected -tn" "-N b -tnp" "-N nosuch -tn"
ip netns exec b curl -s -m 3 http://10.0.0.1/ & I=$!
sleep 0.5
t -tnp
wait $I; kill $G; sleep 0.2
t -tan "-tn state time-wait" "-N b -tan"
ip netns exec b iperf3 -c 10.0.0.1 -t 2 -b 1M > /dev/null & I=$!
sleep 1
t -tnp "-tn sport = :5201" "-N b -tnp" "-tn src 10.0.0.1:5201" "-tn4"
wait $I; kill $H; sleep 62
t -tan
ip netns exec b timeout 3 nc 10.0.0.9 99 & sleep 1
t "-N b -tnp"
ip netns exec b nc -u -d 10.0.0.1 99 & G=$!
sleep 0.1
t "-N b -unp" "-N b -uanp"
kill $A $B $C $D $E $F $G; sleep 1
t -tuan
