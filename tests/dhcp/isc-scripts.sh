# What dhclient tells a script of one's own.
ip netns add srv; ip netns add c1
ip link add eth0 netns srv address 02:00:00:00:00:01 type veth peer name eth0 netns c1 address 02:00:00:00:00:11
ip -n srv address add 10.0.0.1/24 dev eth0
ip -n srv link set eth0 up
sleep 1
serve() {
    ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --no-ping \
        --interface=eth0 --bind-interfaces --dhcp-leasefile="$(mktemp)" "$@" 2> /dev/null &
    server=$!
    sleep 1
}
script=$(mktemp)
said=$(mktemp)
cat > $script <<END
#!/bin/bash
{
echo "own: \$reason \$#"
env | grep -E '^(interface|medium|reason|pid|alias_|requested_|new_|old_|cur_|own)' | sort | sed 's/^/own: /'
} >> $said
case \$reason in
    PREINIT) ip link set \$interface up ;;
    BOUND|RENEW|REBIND|REBOOT) ip address replace \$new_ip_address/24 dev \$interface ;;
    EXPIRE|FAIL|RELEASE|STOP|TIMEOUT) ip address flush dev \$interface ;;
esac
exit 0
END
chmod +x $script
lf=$(mktemp) pf=$(mktemp)
run() {
    ip netns exec c1 dhclient -cf /dev/null -lf $lf -pf $pf -sf $script "$@" eth0 2>&1 | sed -E 's/interval [0-9]+|in [0-9]+ sec/N/'
    cat $said; : > $said
    ip -n c1 -4 -br address show dev eth0
}
serve --dhcp-range=10.0.0.100,10.0.0.150,2m --dhcp-option=6,10.0.0.53,10.0.0.54 --dhcp-option=15,example.net --dhcp-authoritative
echo "own: == bound"
run -v
sleep 70
echo "own: == renewed"
cat $said; : > $said
echo "own: == released"
run -r
echo "own: == again, then stopped"
run
run -x
echo "own: == rebooted, then lost"
run -1
kill $server; wait $server
sleep 150
cat $said
kill $(cat $pf)
sleep 1
