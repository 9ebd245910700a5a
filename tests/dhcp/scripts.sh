# What udhcpc tells a script of one's own: bound, renew, a lost lease, a refusal, an address in use, nobody, release.
ip netns add srv; ip netns add c1; ip netns add c2
ip -n srv link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0
ip -n srv link set br0 up
for c in 1 2; do
    ip link add c$c netns srv type veth peer name eth0 netns c$c address 02:00:00:00:00:1$c
    ip -n srv link set c$c master br0 up
    ip -n c$c link set eth0 up
done
ip -n srv address add 10.0.0.1/24 dev br0
sleep 1
serve() {
    ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --no-ping \
        --interface=br0 --bind-interfaces --dhcp-leasefile="$(mktemp)" "$@" 2> /dev/null &
    server=$!
    sleep 1
}
script=$(mktemp)
cat > $script <<'END'
#!/bin/bash
echo "own: $1 $#"
env | grep -E '^(interface|ip|siaddr|giaddr|boot_file|sname|subnet|mask|router|dns|domain|hostname|broadcast|lease|serverid|dhcptype|message|ntpsrv|mtu|staticroutes|search|opt[0-9]+|T|own)=' | grep -v '^opt5[89]=' | sort | sed 's/^/own: /'
case $1 in
    bound|renew) ip address replace $ip/$mask dev $interface ;;
    deconfig) ip link set $interface up; ip address flush dev $interface ;;
esac
END
chmod +x $script
run() {
    local c=$1
    shift
    echo "own: == $c"
    own=mine ip netns exec $c udhcpc -i eth0 -s $script "$@" 2>&1 | grep -a -e ^own: -e ^udhcpc:
    ip -n $c -4 -br address show dev eth0
}
serve --dhcp-range=10.0.0.100,10.0.0.150,2m --dhcp-option=6,10.0.0.53,10.0.0.54 --dhcp-option=15,example.net \
    --dhcp-option=121,10.1.0.0/16,10.0.0.254 --dhcp-option=119,a.example,b.example --dhcp-option-force=26,1400 \
    --dhcp-option-force=252,http://x/ --dhcp-option=42,10.0.0.42
run c1 -n -q -f
run c1 -n -q -f -O staticroutes -O search -O 252 -x hostname:box
pid=$(mktemp)
run c1 -f -R -t 2 -p $pid & client=$!
sleep 65
kill $server; wait $server
serve --dhcp-range=10.0.0.160,10.0.0.170,2m
sleep 60
kill $server; wait $server
sleep 130
kill $(cat $pid); wait $client
run c1 -n -q -f -t 1 -T 1
ip -n c2 address add 10.0.0.160/24 dev eth0
serve --dhcp-range=10.0.0.160,10.0.0.160,2m
run c1 -n -q -f -a -t 1 -T 1 -A 2 -p $pid & client=$!
sleep 3
kill $(cat $pid); wait $client
kill $server; wait $server
