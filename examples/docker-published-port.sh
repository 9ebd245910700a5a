#!/bin/bash
# A published port on Docker's bridge, and why -p does nothing for a macvlan: NAT is in the node's IP layer, which a
# macvlan's frames never enter. h1 is the node with the engine, h2 another machine on the wire.
for n in 1 2; do
    ip netns add h$n
    ip -n h$n link set lo up
done
ip link add eth0 netns h1 type veth peer name eth0 netns h2
for n in 1 2; do
    ip -n h$n addr add 192.0.2.$n/24 dev eth0
    ip -n h$n link set eth0 up
done
on1() { ip netns exec h1 "$@"; }

on1 docker network create --subnet 172.18.0.0/16 -o com.docker.network.bridge.name=one one > /dev/null
on1 docker network create -d macvlan --subnet 192.0.2.0/24 --ip-range 192.0.2.64/28 -o parent=eth0 lan > /dev/null
on1 docker pull -q nginx > /dev/null
on1 docker pull -q alpine > /dev/null
on1 docker run -d --name web --network one -p 8080:80 nginx > /dev/null
on1 docker run -d --name other --network one alpine sleep 1000 > /dev/null
on1 docker run -d --name mac --network lan --ip 192.0.2.66 -p 8081:80 nginx > /dev/null
sleep 4 # the macvlan announces itself

say() { # say TEXT COMMAND...: whether a command succeeds
    local text=$1
    shift
    if "$@" > /dev/null 2>&1; then echo "yes  $text"; else echo "no   $text"; fi
}
fetch() { ip netns exec "$1" curl -s -m 2 -o /dev/null "$2"; }

say "h2 to the node's port 8080: DNAT to the container" fetch h2 http://192.0.2.1:8080/
say "the node to its own port 8080" fetch h1 http://127.0.0.1:8080/
say "a sibling to the bridge's port 8080: docker-proxy" on1 docker exec other wget -q -T 2 -O - http://172.18.0.1:8080/
say "the sibling to h2: masqueraded" on1 docker exec other ping -c 1 -W 1 192.0.2.2
say "h2 to the macvlan container's own port 80" fetch h2 http://192.0.2.66/
say "h2 to the node's port 8081, published for the macvlan" fetch h2 http://192.0.2.1:8081/
echo
on1 iptables-save -c -t nat | grep '^\[.*8080\|^\[.*MASQ'
