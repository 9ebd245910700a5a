# Tags: from MACs, classes, options, names, a relay's word and reservations, to ranges, options, broadcasts and silence.
ip netns add srv; ip netns add lan
ip -n lan link add br0 type bridge mcast_snooping 0
ip -n lan link set br0 up
for n in srv:00:01 box:00:12 phone:01:13 wild:02:14 other:00:15 lap:00:16; do
    ip netns list | grep -q "^${n%%:*}\b" || ip netns add ${n%%:*}
    ip link add eth0 netns ${n%%:*} address 02:00:00:00:${n#*:} type veth peer name ${n%%:*} netns lan
    ip -n lan link set ${n%%:*} master br0 up
    ip -n ${n%%:*} link set eth0 up
done
ip -n srv address add 10.0.0.1/24 dev eth0
ip netns exec srv dnsmasq --no-daemon --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --no-ping \
    --interface=eth0 --bind-interfaces --dhcp-leasefile="$(mktemp)" --domain=lab.example \
    --dhcp-range=set:guests,10.0.0.200,10.0.0.210,1h --dhcp-range=tag:phones,10.0.0.50,10.0.0.60,30m \
    --dhcp-mac=set:phones,02:00:00:00:01:\* --dhcp-vendorclass=set:linux,Linux --dhcp-userclass=set:acc,accounts \
    --dhcp-match=set:efi,option:client-arch,7 --dhcp-circuitid=set:port7,07:aa --dhcp-name-match=set:laptops,lap\* \
    --dhcp-host=02:00:00:00:00:12,set:red,10.0.0.7,box --dhcp-host=nas,10.0.0.8 --dhcp-host=02:00:00:00:02:\*,set:wild \
    --tag-if=set:both,tag:linux,tag:acc --dhcp-option=tag:phones,option:router,10.0.0.250 \
    --dhcp-option=tag:red,15,red.example --dhcp-option=option:dns-server,0.0.0.0,10.0.0.53 \
    --dhcp-option=tag:!known,42,10.0.0.42 --dhcp-option=tag:both,26,1400 \
    --dhcp-option=tag:guests,option:domain-name,guest.example --dhcp-option=tag:port7,7,10.0.0.77 \
    --dhcp-option=tag:laptops,option:domain-search,lab.example,net.example,example --dhcp-option=121,10.1.0.0/16,10.0.0.254 \
    --dhcp-ignore=tag:efi --dhcp-broadcast=tag:phones --dhcp-option-force=tag:wild,252,http://10.0.0.1/wpad &
server=$!
sleep 1
# dhcp NETNS OPTIONS...
dhcp() {
    local netns=$1
    shift
    echo "== $netns"
    ip netns exec $netns udhcpc -i eth0 -n -f -q -t 1 -T 2 -O mtu -O ntpsrv -O staticroutes -O search "$@"
    ip -n srv neigh flush dev eth0
    ip -n $netns -4 -br address show dev eth0
}
dhcp box
dhcp phone
dhcp wild -V Linux
dhcp other -V "Linux 6.1 armv7" -x 0x4d:086163636f756e7473
dhcp other -V "Linux 6.1 armv7" -x 0x4d:6163636f756e74732e -x hostname:other
dhcp other -x 0x5d:0007
dhcp other -x 0x5d:0009 -x 0x52:010207aa0203616263 -O 7
dhcp other -x 0x52:050410090000
dhcp lap -x hostname:laptop
dhcp lap -x hostname:nas.somewhere.example -C -o -O hostname
kill $server
wait
